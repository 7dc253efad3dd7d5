//! Finding records among many that lie in their entry bundles: the index made, caught up, and asked.

use std::path::Path;
use std::time::Instant;

use countersign::admin::{self, FindQuery};
use countersign::store;

use super::disk::{self, Folder};

/// Records from different trust rules; so many of them in all.
const RULES: u64 = 10_000;

pub fn measure(size: u64) {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("find-bench-{}", std::process::id())));
    let (data, keys) = (folder.0.join("data"), folder.0.join("keys"));
    std::fs::create_dir_all(&keys).unwrap();
    disk::fill(&data, size, |index| {
        let (jti, txn, record) = disk::record(index);
        let rule = format!("idp-{:04}", index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % RULES);
        (jti, txn, String::from_utf8(record).unwrap().replace("acme-idp", &rule).into_bytes())
    });
    disk::grow(&data, &keys, size);
    let records = store::reader(&data).unwrap();
    let started = Instant::now();
    admin::index_records(&mut *store::find_index(&data).unwrap(), &*records).unwrap();
    let taken = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(data.join("find.sqlite")).unwrap().len();
    println!("index          {taken:8.1} s for {size} records, {} bytes of each", bytes / size);
    let late = (1_750_000_000_000 + size * 9 / 10).to_string();
    let jti = disk::record(size / 3).0.to_string();
    let questions: [(&str, Vec<(&str, &str)>); 6] = [
        ("one of few, anywhere", vec![("rule", "idp-0042")]),
        ("one of all", vec![("agent", "researcher")]),
        ("two that never meet", vec![("rule", "idp-0042"), ("rule", "idp-0043")]),
        ("many, in a time span", vec![("agent", "researcher"), ("api", "https://billing.example"), ("since", &late)]),
        ("a jti", vec![("jti", &jti)]),
        ("nothing known", vec![("error_id", "no-such")]),
    ];
    for (what, parameters) in questions {
        let query = FindQuery::parse(parameters.iter().copied()).unwrap();
        let mut taken: Vec<f64> = (0..21).map(|_| asked(&data, &query)).collect();
        taken.sort_by(f64::total_cmp);
        println!("find           {:8.2} ms median, {:.2} ms at most: {what}", taken.get(10).unwrap(), taken.last().unwrap());
    }
}

/// Milliseconds for the first page, with everything opened anew, as a command does.
fn asked(data: &Path, query: &FindQuery) -> f64 {
    let started = Instant::now();
    let records = store::reader(data).unwrap();
    let mut index = store::find_index(data).unwrap();
    let found = admin::find(&mut *index, &*records, query, None).unwrap();
    assert!(found.records.len() <= query.limit);
    started.elapsed().as_secs_f64() * 1e3
}
