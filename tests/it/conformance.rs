//! Every conformance case, against the real binary.

use countersign_conformance::Outcome;

use crate::support::Site;

#[test]
fn every_case_passes() {
    let site = Site::new("conformance");
    let (_server, report) = site.conform();
    let (passed, failed, skipped) = report.counts();
    for case in &report.cases {
        if let Outcome::Failed { text } = &case.outcome {
            println!("FAIL  {}\n      {}\n{text}", case.name, case.rule);
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped: {:?}", report.skipped());
    assert_eq!(failed, 0, "see above");
    assert!(passed > 400, "only {passed} cases ran");
    assert!(skipped * 20 < passed, "this server knows nearly everything that the cases ask about: {:?}", report.skipped());
}
