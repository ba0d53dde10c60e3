//! Proofs for a reader without a ledger.

use palisade_types::proof::{Clock, ProofBundle};
use palisade_types::{Canonical, Hash};
use std::sync::LazyLock;

const VECTORS: &str = include_str!("../../vectors/proofs/bundles.json");

/// The bundles that prove something, and the one committee they prove it under.
static GOOD: LazyLock<(Vec<Vec<u8>>, Hash)> = LazyLock::new(|| {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let bundles = vectors["bundles"].as_object().expect("the vectors have bundles").values();
    let bytes = |text: &str| hex::decode(text.trim_start_matches("0x")).expect("a bundle is hex");
    let bundles = bundles.map(|bundle| bytes(bundle.as_str().expect("a bundle is text"))).collect();
    let committee = vectors["cases"][0]["committee"].as_str().expect("a case names its committee");
    (bundles, committee.parse().expect("a committee's hash"))
});

/// What can be read is written as it was, and proves nothing unless it is one of ours.
pub(crate) fn bundle(bytes: &[u8]) {
    let Ok(bundle) = ProofBundle::from_bytes(bytes) else { return };
    assert_eq!(bundle.to_bytes(), bytes);
    let (good, committee) = &*GOOD;
    let proves = bundle.verify(committee, Clock::Ethereum(0)).is_ok();
    assert_eq!(proves, good.iter().any(|good| good == bytes));
}

/// The bundles themselves.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    GOOD.0.clone()
}
