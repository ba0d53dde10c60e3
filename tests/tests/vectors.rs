//! Every vector of this repository, and of the folder beside the checkout where there is one.

use std::path::{Path, PathBuf};

use palisade_tests::vectors::{Outcome, Summary, report, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn check(path: PathBuf) -> Summary {
    let mut lines = Vec::new();
    let summary = report(&[path], &mut lines).expect("the folder can be read");
    assert_eq!(summary.failed, 0, "{}", String::from_utf8_lossy(&lines));
    summary
}

#[test]
fn every_vector_of_the_repository_passes() {
    let summary = check(root());
    assert!(summary.passed > 0);
    assert_eq!((summary.skipped, summary.unknown), (0, 0));
}

#[test]
fn every_vector_beside_the_checkout_passes() {
    let beside = root().join("../../../shared/vectors");
    if beside.is_dir() {
        assert!(check(beside).passed > 0);
    }
}

/// A file under another name is recognised, and one wrong byte in it is seen.
#[test]
fn a_file_is_known_by_its_fields_and_fails_when_it_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("renamed.json");
    let good = std::fs::read_to_string(root().join("babylon/derived_eots.json")).unwrap();
    std::fs::write(&place, &good).unwrap();
    assert!(matches!(run(&place), Outcome::Passed(_)));
    std::fs::write(&place, good.replacen("16c9decc", "16c9decd", 1)).unwrap();
    assert!(matches!(run(&place), Outcome::Failed(_)));
    std::fs::write(&place, "{}").unwrap();
    assert!(matches!(run(&place), Outcome::Unknown));
    std::fs::write(&place, "{").unwrap();
    assert!(matches!(run(&place), Outcome::Failed(_)));
}
