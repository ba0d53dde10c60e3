//! A ledger that goes through the disk at any height is the ledger that never did.

use palisade_ledger::Ledger;
use palisade_ledger::fixture::{Run, network};
use palisade_storage::{Loaded, Store};

#[test]
fn a_ledger_loaded_at_any_height_goes_on_like_the_one_that_was_never_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::joined(network(4, 7));
    let pair = run.network.pair(1, 3);
    run.produce(vec![palisade_types::Item::Evidence(pair)]);
    let height = run.ledger.head().height.get() + 3;
    run.until_height(height);
    let (genesis, chain) = (run.network.genesis.clone(), run.network.chain);
    let mut ledger = Ledger::genesis(genesis.clone());
    let store = Store::open(dir.path(), &chain).unwrap();
    store.begin(ledger.head(), ledger.rows()).unwrap();
    drop(store);
    for block in &run.blocks {
        let store = Store::open(dir.path(), &chain).unwrap();
        let Loaded { head, rows } = store.load().unwrap().unwrap();
        let restored = Ledger::restore(genesis.clone(), head, rows).unwrap();
        assert_eq!((restored.head(), restored.root()), (ledger.head(), ledger.root()));
        let changes = restored.preview(block).unwrap();
        store.commit(block, b"certificate", &changes).unwrap();
        ledger.apply(ledger.preview(block).unwrap());
        let (stored, certificate) = store.block(block.header.height).unwrap().unwrap();
        assert_eq!((&stored, certificate.as_slice()), (block, b"certificate".as_slice()));
    }
    assert_eq!((ledger.head(), ledger.root()), (run.ledger.head(), run.ledger.root()));
}
