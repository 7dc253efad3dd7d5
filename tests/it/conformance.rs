//! Every conformance case, against the real binary.

use std::path::Path;

use countersign_conformance::{Outcome, fixture, run};

use crate::support::Site;

#[test]
fn every_case_passes() {
    let site = Site::new("conformance");
    let _server = site.start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report =
        runtime.block_on(run(&site.profile(), Path::new(fixture::CASES), None)).unwrap_or_else(|error| panic!("{error}"));
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
