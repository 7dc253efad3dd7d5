#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use super::*;

const GOOD: &str = "# RFC 8693 §2.1: a rule.

POST token as orchestrator -> hop
  grant_type = ${grant}
  X-Header: ${id}
expect 200,201 token
  body.scope == a b
  claims.act present
POST /x
  body: ${hop.body.access_token}
expect 400 error invalid_request,invalid_target
";

fn read(text: &str) -> Result<Case, Vec<Complaint>> {
    parse("x", Path::new("x.case"), text)
}

/// The line and the text of the first complaint about `text`.
fn complaint_about(text: &str) -> (usize, String) {
    let complaints = read(text).unwrap_err();
    (complaints[0].line, complaints[0].what.clone())
}

/// `GOOD` with one part replaced, which must be complained about at `line`.
fn spoiled(from: &str, to: &str, line: usize) -> String {
    assert!(GOOD.contains(from));
    let (found, what) = complaint_about(&GOOD.replacen(from, to, 1));
    assert_eq!(found, line, "{what}");
    what
}

#[test]
fn every_shipped_case_parses() {
    let folder = Path::new(crate::fixture::CASES);
    if let Err(complaints) = load(folder) {
        panic!("{}", complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn a_case_is_read_with_its_steps_fields_and_expectations() {
    let case = read(GOOD).unwrap();
    assert_eq!(case.rule, "RFC 8693 §2.1: a rule.");
    let [Item::Step(first), Item::Step(second)] = case.items.as_slice() else { panic!("{:?}", case.items) };
    assert_eq!((first.line, first.method.as_str(), first.client.as_deref()), (3, "POST", Some("orchestrator")));
    assert_eq!(first.fields.len(), 2);
    assert!(matches!(&first.fields[0], Field::Param(name, _) if name == "grant_type"));
    assert!(matches!(&first.fields[1], Field::Header(name, _) if name == "X-Header"));
    assert_eq!((first.expect.line, first.expect.statuses.as_slice()), (6, [200, 201].as_slice()));
    assert_eq!(first.expect.shape, Shape::Token);
    assert_eq!(first.expect.checks[1].place, Place::Claims(vec!["act".to_owned()]));
    assert!(matches!(second.fields[0], Field::Body(_)));
    assert_eq!(second.expect.shape, Shape::Error(vec!["invalid_request".to_owned(), "invalid_target".to_owned()]));
}

#[test]
fn what_means_nothing_is_refused_with_its_line() {
    assert!(spoiled("POST /x", "Post /x", 9).contains("no directive"));
    assert!(spoiled("200,201 token", "200 tokens", 6).contains("after the status"));
    assert!(spoiled("200,201", "20", 6).contains("not an HTTP status"));
    assert!(spoiled("body.scope ==", "body.scope =", 7).contains("no comparison"));
    assert!(spoiled("claims.act present", "clams.act present", 8).contains("no place"));
    assert!(spoiled("claims.act present", "claims.act present x", 8).contains("needless"));
    assert!(spoiled("body.scope == a b", "body.scope ==", 7).contains("no value"));
    assert!(spoiled("body.scope == a b", "body.scope is text", 7).contains("none of"));
    assert!(spoiled("${grant}", "${grant", 4).contains("never closed"));
    assert!(spoiled("${id}", "${made up}", 5).contains("no function made"));
    assert!(spoiled("${id}", "${jwt}", 5).contains("takes"));
    assert!(spoiled("grant_type =", "grant_type", 4).contains("name = value"));
}

#[test]
fn names_are_known_bound_once_and_used() {
    assert!(spoiled("${grant}", "${grnt}", 3).contains("nothing is called grnt"));
    assert!(spoiled("${hop.body.access_token}", "x", 3).contains("never used"));
    assert!(spoiled("-> hop", "-> hop\n  a = ${hop.body.x}", 3).contains("nothing is called hop"));
    assert!(complaint_about("# RFC 9999: r.\nlet now = 1\nGET /x\nexpect 200\n").1.contains("already"));
    assert!(complaint_about("# RFC 9999: r.\nlet jwt = 1\nGET /x\nexpect 200\n").1.contains("already"));
    assert!(complaint_about("# RFC 9999: r.\nlet a = 1\nlet a = ${a}\nGET /${a}\nexpect 200\n").1.contains("already"));
}

#[test]
fn a_case_says_its_rule_and_expects_something() {
    assert_eq!(complaint_about("GET /x\nexpect 200\n").0, 1);
    assert_eq!(complaint_about("# no source\nGET /x\nexpect 200\n").0, 1);
    assert!(complaint_about("# RFC 9999: r.\n").1.contains("no request"));
    assert!(complaint_about("# RFC 9999: r.\nGET /x\n").1.contains("no expect"));
    assert_eq!(complaint_about("# RFC 9999: r.\nGET /x\nGET /y\nexpect 200\n").0, 2);
    assert!(complaint_about("# RFC 9999: r.\nGET /x\nexpect 200\nexpect 200\n").1.contains("one expect"));
    assert!(complaint_about("# RFC 9999: r.\nGET /x\nexpect 200\nrequires y\n").1.contains("before the first"));
}

#[test]
fn templates_nest_and_keep_json_whole() {
    let template = Template::parse(r#"a ${jwt idp act={"sub":"x y","act":{"sub":"${client.a}"}} -iss header.kid=k}z"#).unwrap();
    assert_eq!(template.names(), ["client.a"]);
    let [Part::Text(before), Part::Call(function, args), Part::Text(after)] = template.0.as_slice() else { panic!() };
    assert_eq!((before.as_str(), function.as_str(), after.as_str()), ("a ", "jwt", "z"));
    let keys: Vec<_> = args.iter().map(|arg| arg.key.as_deref()).collect();
    assert_eq!(keys, [None, Some("act"), None, Some("header.kid")]);
    assert_eq!(args[1].value.0.len(), 3);
}

#[test]
fn a_quote_in_json_hides_brackets() {
    let template = Template::parse(r#"${jwt idp sub="}\"]" aud=x}"#).unwrap();
    let [Part::Call(_, args)] = template.0.as_slice() else { panic!("{template:?}") };
    assert_eq!(args.len(), 3);
    assert_eq!(args[1].value, Template(vec![Part::Text(r#""}\"]""#.to_owned())]));
}
