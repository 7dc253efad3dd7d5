//! `[subject]`: what a token's claims say about who it is about.

use std::collections::BTreeMap;

use crate::config::Diagnostic;
use crate::config::matcher_file::claim;
use crate::config::reader::{Reader, short};
use crate::config::tree::Value;
use crate::trust::{SubjectKind, SubjectParts, TemplateReason, TrustKind};

/// The subject of a rule of that kind. A platform's are workloads, by what it never gives to somebody else.
pub(super) fn take(rule: &mut Reader<'_>, kind: Option<TrustKind>) -> Option<SubjectParts> {
    let platform = kind.is_some_and(TrustKind::is_platform);
    let default_id = kind.unwrap_or(TrustKind::Oidc).default_id();
    if platform && !rule.has("subject") {
        let (kind, id) = (SubjectKind::Workload, default_id.to_owned());
        return Some(SubjectParts { kind, id, instance: None, attributes: BTreeMap::new() });
    }
    read(rule.take_table("subject")?, platform, default_id)
}

fn read(mut reader: Reader<'_>, platform: bool, default_id: &str) -> Option<SubjectParts> {
    let kind = if platform && !reader.has("kind") {
        Some(SubjectKind::Workload)
    } else {
        reader.need(&["kind"]);
        let kinds = [("user", SubjectKind::User), ("workload", SubjectKind::Workload)];
        reader.take_choice("kind", &kinds).map(|kind| kind.value)
    };
    let id = if reader.has("id") { reader.take_parsed("id", template).map(|id| id.value) } else { Some(default_id.to_owned()) };
    let instance = reader.take_parsed("instance", template);
    let attributes = reader.take_table("attributes").map(attributes).unwrap_or_default();
    if let (Some(instance), Some(SubjectKind::User)) = (&instance, kind) {
        let sentence = "`instance` is for workloads; a person has none";
        reader.desk().complain(Diagnostic::new(instance.place.clone(), sentence));
    }
    reader.finish();
    Some(SubjectParts { kind: kind?, id: id?, instance: instance.map(|found| found.value), attributes })
}

fn attributes(mut reader: Reader<'_>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for (name, node) in reader.take_rest() {
        let Value::Text(text) = &node.value else {
            let sentence = format!("attribute `{}` must name a claim, not {}", short(&name), node.value.kind());
            reader.desk().complain(Diagnostic::new(node.place, sentence));
            continue;
        };
        match claim(text) {
            Ok(claim) => drop(attributes.insert(name, claim)),
            Err(reason) => {
                let sentence = format!("the claim of attribute `{}` {reason}", short(&name));
                reader.desk().complain(Diagnostic::new(node.place, sentence));
            }
        }
    }
    attributes
}

/// Text with claims in braces, as `trust` reads it; told here because here its line is known.
fn template(text: &str) -> Result<String, TemplateReason> {
    let mut parts = text.split('{');
    if parts.next().is_none_or(|literal| literal.contains('}')) {
        return Err(TemplateReason::Braces);
    }
    let mut before = None;
    for part in parts {
        let (name, literal) = part.split_once('}').ok_or(TemplateReason::Braces)?;
        claim(name).map_err(|_| TemplateReason::Braces)?;
        match before.replace(literal) {
            _ if literal.contains('}') => return Err(TemplateReason::Braces),
            Some("") => return Err(TemplateReason::Adjacent),
            _ => {}
        }
    }
    before.map(|_| text.to_owned()).ok_or(TemplateReason::Constant)
}
