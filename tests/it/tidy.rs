//! Taste, enforced. Each rule reads text and returns complaints; each has a test that shows it can complain.

mod banned;
mod circles;
mod cited;
mod files;
mod order;
mod rooms;
mod size;
mod source;
mod spec;
mod twice;
mod vocabulary;

use std::path::Path;

use source::{Source, sources};

/// Where the repository is.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Panics with all complaints, one per line.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}\n", complaints.len(), complaints.join("\n"));
}

/// The files of the server itself.
fn server() -> Vec<Source> {
    sources(Path::new(ROOT), &["src"])
}

/// Everything written in Rust here.
fn everything() -> Vec<Source> {
    sources(Path::new(ROOT), &["src", "conformance/src", "tests", "benches", "fuzz/fuzz_targets"])
}

#[test]
fn a_module_imports_only_modules_above_it() {
    none(&order::complaints(&order::rooms(&server()), &server()));
}

#[test]
fn files_import_one_another_in_no_circle() {
    let sources = server();
    none(&circles::Tree::new(&sources).complaints(circles::EXCEPTIONS));
}

#[test]
fn a_name_means_one_type() {
    none(&twice::complaints(&server()));
}

#[test]
fn stages_meet_only_in_the_line() {
    none(&order::stage_complaints(&server()));
}

#[test]
fn files_functions_and_lines_are_short() {
    none(&everything().iter().flat_map(size::file_complaints).collect::<Vec<_>>());
    none(&size::distribution_complaints(&server()));
}

#[test]
fn banned_calls_are_not_made() {
    none(&server().iter().flat_map(banned::complaints).collect::<Vec<_>>());
    none(&everything().iter().flat_map(banned::ignored_tests).collect::<Vec<_>>());
    none(&everything().iter().flat_map(banned::clocks_in_tests).collect::<Vec<_>>());
}

#[test]
fn replaced_names_stay_replaced() {
    let sources = server();
    none(&sources.iter().flat_map(vocabulary::replaced_names).collect::<Vec<_>>());
    none(&vocabulary::missing_names(&sources));
}

#[test]
fn doc_comments_say_what_an_item_is() {
    let rooms = [
        "conformance/src",
        "conformance/tests",
        "benches",
        "fuzz/fuzz_targets",
        "src/jose",
        "src/x509",
        "src/net",
        "src/keys",
        "src/trust",
        "src/client",
        "src/config/trust_file",
    ];
    none(&sources(Path::new(ROOT), &rooms).iter().flat_map(vocabulary::vague_comments).collect::<Vec<_>>());
}

#[test]
fn every_crate_is_named_only_in_its_rooms() {
    none(&rooms::complaints(&server()));
}

#[test]
fn specifications_are_cited_in_one_form() {
    none(&everything().iter().flat_map(|source| spec::complaints(&source.path, &source.text)).collect::<Vec<_>>());
    none(&files::texts(Path::new(ROOT)).iter().flat_map(|(path, text)| spec::complaints(path, text)).collect::<Vec<_>>());
}

#[test]
fn what_is_cited_and_named_exists() {
    let sources = everything();
    let texts = files::texts(Path::new(ROOT));
    none(&cited::name_complaints(&texts, &sources));
    let code = sources.into_iter().map(|source| (source.path, source.text));
    none(&cited::number_complaints(&texts.into_iter().chain(code).collect::<Vec<_>>()));
}

#[test]
fn every_source_file_is_compiled() {
    none(&files::unreachable(&server(), &["src/lib.rs", "src/main.rs"]));
    none(&files::unreachable(&sources(Path::new(ROOT), &["tests/it"]), &["tests/it/main.rs"]));
}

#[test]
fn the_top_level_is_complete_and_documents_are_well_formed() {
    none(&files::missing(Path::new(ROOT)));
    none(&files::document_complaints(&files::texts(Path::new(ROOT))));
}

#[test]
fn nothing_speaks_of_where_it_was_written() {
    none(&everything().iter().flat_map(|source| files::workplace(&source.path, &source.text)).collect::<Vec<_>>());
    none(&files::texts(Path::new(ROOT)).iter().flat_map(|(path, text)| files::workplace(path, text)).collect::<Vec<_>>());
}
