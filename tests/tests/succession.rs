//! A successor from proposal to first block, over real folders and stores (R21).

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Ledger;
use palisade_ledger::fixture::{Run, network};
use palisade_ledger::snapshot::chunks;
use palisade_node::succession::{self, Proposal};
use palisade_storage::Store;
use palisade_types::{Canonical, Genesis, Item};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The store of an operator whose network of four, one of them convicted, has ended with an ether-final block.
fn ended(dir: &Path) -> (Run, Store) {
    let mut run = Run::joined(network(4, 33));
    let pair = run.network.pair(3, run.ledger.head().height.get());
    run.produce(vec![Item::Evidence(pair)]);
    let last = run.produce(vec![]).clone();
    let store = Store::open(dir, &run.network.chain).unwrap();
    let rows = run.ledger.rows();
    store.begin_later(&last, &[], &chunks(rows)).unwrap();
    (run, store)
}

fn attest(run: &Run, proposal: &Proposal, folder: &Path, index: usize) {
    let attestation = run.network.attest(index, proposal.statement);
    fs::create_dir_all(folder.join("attestations")).unwrap();
    fs::write(folder.join("attestations").join(attestation.operator.to_string()), attestation.to_bytes()).unwrap();
}

#[test]
fn r21_a_successor_is_proposed_attested_by_hand_and_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (run, store) = ended(&dir.path().join("old"));
    let folder = dir.path().join("proposal");
    let genesis = run.network.genesis.clone();
    let ids: Vec<_> = run.network.operators.iter().map(|keys| keys.id).collect();
    let propose = |like: Genesis| succession::propose(&store, &genesis, like, &ids[..2], &folder);
    assert!(propose((*genesis).clone()).is_err(), "nothing is ether-final");
    store.put_certificate(&run.certify(run.ledger.head().height.get(), &[0, 1, 2])).unwrap();
    let mut elsewhere = (*genesis).clone();
    elsewhere.contracts.palisade = palisade_types::Address::new([9; 20]);
    assert!(propose(elsewhere).is_err(), "with other contracts");
    let proposed = propose((*genesis).clone()).unwrap();

    // Whoever gets the folder makes the same of it.
    let proposal = Proposal::read(&folder).unwrap();
    assert_eq!(proposal.first, proposed.first);
    assert_eq!(proposal.last().id(), run.ledger.head().id);
    assert_eq!(proposal.committee().unwrap(), run.ledger.committee());
    let attested = || {
        let standing = proposal.standing(&folder).unwrap();
        let who = standing.members.iter().filter(|(_, _, attested)| *attested).count();
        (who, standing.members.len(), standing.certificate.is_some())
    };
    assert_eq!(attested(), (0, 3, false), "a convict is not asked");
    attest(&run, &proposal, &folder, 0);
    attest(&run, &proposal, &folder, 3);
    attest(&run, &proposal, &folder, 1);
    assert_eq!(attested(), (2, 3, false), "a convict does not count");
    assert!(proposal.certify(&folder).is_err());
    // The third leaves with his engine, and names the successor all the same.
    attest(&run, &proposal, &folder, 2);
    assert_eq!(attested(), (3, 3, true));
    proposal.certify(&folder).unwrap();

    let begun = Store::open(&dir.path().join("new"), &proposal.genesis.chain_id()).unwrap();
    assert!(proposal.begin(&folder, &genesis, &begun).is_err(), "the configuration is of the network before");
    proposal.begin(&folder, &proposal.genesis, &begun).unwrap();
    assert!(proposal.begin(&folder, &proposal.genesis, &begun).is_err(), "once");
    let loaded = begun.load().unwrap().unwrap();
    let ledger = Ledger::restore(proposal.genesis.clone(), loaded.head, loaded.rows).unwrap();
    assert_eq!((ledger.head().id, ledger.root()), (proposal.first.id(), proposal.first.header.state_root));
    let members: Vec<_> = ledger.committee().members.iter().map(|member| member.operator).collect();
    assert_eq!(members, ids[..2]);
}

#[test]
fn r21_a_folder_that_was_changed_proves_itself_false() {
    let dir = tempfile::tempdir().unwrap();
    let (run, store) = ended(&dir.path().join("old"));
    store.put_certificate(&run.certify(run.ledger.head().height.get(), &[0, 1, 2])).unwrap();
    let folder = dir.path().join("proposal");
    let genesis = run.network.genesis.clone();
    let proposal = succession::propose(&store, &genesis, (*genesis).clone(), &[], &folder).unwrap();
    // A file that is no attestation of this successor is named, not left out.
    let stray = folder.join("attestations").join("stray");
    attest(&run, &proposal, &folder, 0);
    for bytes in [
        vec![0xff; 40],
        vec![0; 1 << 13],
        run.network
            .attest(1, run.network.finality_statement(run.ledger.head().height, proposal.statement.digest))
            .to_bytes(),
    ] {
        fs::write(&stray, bytes).unwrap();
        assert!(proposal.standing(&folder).is_err());
    }
    fs::remove_file(&stray).unwrap();
    assert!(proposal.standing(&folder).is_ok());
    // Nobody begins what is not certified.
    let begun = Store::open(&dir.path().join("new"), &proposal.genesis.chain_id()).unwrap();
    assert!(proposal.begin(&folder, &proposal.genesis, &begun).is_err());
    // Another state is not the block's.
    let path = folder.join("state");
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for bytes in [&changed[..], &whole[..whole.len() - 1], &whole[..3], &[]] {
        fs::write(&path, bytes).unwrap();
        assert!(Proposal::read(&folder).is_err());
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(Proposal::read(&folder).unwrap().first, proposal.first);
    let _: &Arc<Genesis> = &proposal.genesis;
}
