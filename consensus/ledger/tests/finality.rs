//! What certificates in blocks make final.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Network, Run, network};
use palisade_ledger::{Invalid, SUPPLEMENT_HEIGHTS};
use palisade_types::certificate::{BitcoinCertificate, QuorumCertificate, Worthless};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::observation::VaultSpent;
use palisade_types::vault::Spend;
use palisade_types::{Digest, Epoch, Fact, Hash, Height, Item};

/// Four members with equal ether and a vault of 1 to 4 bitcoin, nonces for checkpoints 10 to 60.
fn joined(seed: u64) -> Run {
    let mut run = Run::new(network(4, seed));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let (mut items, mut confirmed) = (Vec::new(), Vec::new());
    for index in 0..4 {
        let sats = 100_000_000 * (index as u64 + 1);
        let vault = run.network.vault(index, 1, sats, 201);
        confirmed.push(Network::confirmed(Network::vault_id(&vault), 201));
        items.push(Item::Vault(Box::new(vault)));
        items.push(Item::Randomness(run.network.randomness(index, 10, 11)));
    }
    run.produce(items);
    run.observe(Bitcoin, 205, confirmed);
    run.until_epoch(1);
    run
}

/// What `voters` say of a checkpoint, under the committee of its epoch.
fn checkpoint(run: &Run, slot: u64, voters: &[usize]) -> BitcoinCertificate {
    let height = Height::new(slot);
    let id = run.ledger.block_id(height).unwrap();
    let votes: Vec<_> = voters.iter().map(|index| run.network.finality_vote(*index, slot, id.into(), 10, 11)).collect();
    let epoch = run.ledger.epoch_of(height).unwrap();
    run.network.bitcoin_certificate(run.ledger.committee_of(epoch).unwrap(), &votes)
}

fn finalise(run: &mut Run, height: u64) {
    let certificate = run.certify(height, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(certificate)]);
}

fn refused_ether(run: &Run, certificate: QuorumCertificate) -> Invalid {
    run.refusal(Item::EtherFinal(certificate))
}

fn refused_bitcoin(run: &Run, certificate: BitcoinCertificate) -> Invalid {
    run.refusal(Item::BitcoinFinal(certificate))
}

#[test]
fn more_than_two_thirds_make_a_block_ether_final_and_each_is_recorded_in_time() {
    let mut run = joined(1);
    run.until_height(13);
    let few = run.certify(12, &[0, 1]);
    assert!(matches!(refused_ether(&run, few), Invalid::Worthless(Worthless::NoQuorum { .. })));
    finalise(&mut run, 12);
    assert_eq!(run.ledger.finality().ether.unwrap().height, Height::new(12));
    assert_eq!(record(&run), [(0, 0); 4], "there is time to name the fourth");
    // The same and older slots are final already.
    for (height, signers) in [(11, &[0, 1, 2, 3][..]), (12, &[0, 1, 2])] {
        let late = run.certify(height, signers);
        assert!(matches!(refused_ether(&run, late), Invalid::Late(_)));
    }
    // The block before this one can be certified: its id is the parent's.
    let head = run.ledger.head().height.get();
    finalise(&mut run, head);
}

/// What is booked of each operator: slots attested, slots missed.
fn record(run: &Run) -> Vec<(u64, u64)> {
    run.ledger.operators().map(|seen| (seen.attested, seen.missed)).collect()
}

/// Four members in an epoch, of which nothing is booked but what the boundary before it left, and block 30 certified by three.
fn certified(seed: u64) -> (Run, u64) {
    let mut run = Run::joined(palisade_ledger::fixture::network_with(4, seed, |genesis| {
        genesis.parameters.epoch_heights = 40;
    }));
    let first = run.ledger.epoch().first.get();
    run.until_height(first + 1);
    finalise(&mut run, first);
    (run, first)
}

fn supplement(run: &Run, slot: u64, signers: &[usize]) -> Item {
    Item::EtherFinal(run.certify(slot, signers))
}

#[test]
fn r20_missed_is_what_no_certificate_and_no_supplement_within_the_window_shows() {
    let (mut run, slot) = certified(11);
    let before = record(&run);
    let held = run.ledger.head().height.get();
    let until = run.ledger.rolls().next().unwrap().1.until;
    assert_eq!(until.get(), held + SUPPLEMENT_HEIGHTS);
    // Nothing is booked before the window closes, and the last block of the window may still name him.
    run.until_height(until.get() - 1);
    assert_eq!(record(&run), before);
    let late = supplement(&run, slot, &[1, 2, 3]);
    run.produce(vec![late]);
    let with = |attested: [u64; 4], missed: [u64; 4]| -> Vec<_> {
        (0..4).map(|index| (before[index].0 + attested[index], before[index].1 + missed[index])).collect()
    };
    assert_eq!(record(&run), with([1; 4], [0; 4]), "the one left out came in time, and nobody else is forgotten");
    assert_eq!(run.ledger.rolls().count(), 0);
    // The first height after the window is too late, whoever it names.
    let (mut run, slot) = certified(11);
    run.until_height(until.get());
    assert_eq!(record(&run), with([1, 1, 1, 0], [0, 0, 0, 1]));
    let late = supplement(&run, slot, &[0, 1, 2, 3]);
    assert!(matches!(run.refusal(late), Invalid::Late(_)));
    run.until_height(until.get() + 3);
    assert_eq!(record(&run), with([1, 1, 1, 0], [0, 0, 0, 1]), "it is booked once");
}

#[test]
fn r20_a_supplement_says_the_same_with_more_signers_and_holds_by_itself() {
    let (mut run, slot) = certified(12);
    let refused = |run: &Run, item: Item| run.refusal(item);
    assert!(matches!(refused(&run, supplement(&run, slot, &[0, 1, 2])), Invalid::Late(_)), "names nobody new");
    let few = supplement(&run, slot, &[2, 3]);
    assert!(matches!(refused(&run, few), Invalid::Worthless(Worthless::NoQuorum { .. })));
    let other = |change: &dyn Fn(&mut QuorumCertificate)| {
        let mut certificate = run.certify(slot, &[0, 1, 2, 3]);
        change(&mut certificate);
        Item::EtherFinal(certificate)
    };
    assert!(matches!(refused(&run, other(&|one| one.digest = Digest::ZERO)), Invalid::Refused(_)));
    run.ledger.admits(&other(&|_| {})).unwrap();
    let mut claimed = run.certify(slot, &[0, 1, 2]);
    claimed.signers = vec![0b1111].try_into().unwrap();
    assert_eq!(refused(&run, Item::EtherFinal(claimed)), Invalid::Worthless(Worthless::BadSignature));
    let finality = *run.ledger.finality();
    let whole = supplement(&run, slot, &[0, 1, 2, 3]);
    run.produce(vec![whole.clone()]);
    assert_eq!(*run.ledger.finality(), finality, "it makes nothing final");
    assert!(matches!(refused(&run, whole), Invalid::Late(_)), "once");
}

#[test]
fn r20_r09_a_convict_is_booked_nowhere_and_names_nobody() {
    let (mut run, slot) = certified(13);
    let before = record(&run);
    let pair = run.network.pair(3, slot);
    run.produce(vec![Item::Evidence(pair)]);
    // What he signs besides is no weight, but the others are enough without him.
    let item = supplement(&run, slot, &[0, 1, 2, 3]);
    run.produce(vec![item]);
    let until = run.ledger.rolls().next().unwrap().1.until.get();
    run.until_height(until);
    let booked: Vec<_> = (0..4).map(|index| (before[index].0 + u64::from(index < 3), before[index].1)).collect();
    assert_eq!(record(&run), booked);
}

#[test]
fn r20_the_record_survives_a_change_of_epochs_and_a_replay() {
    let (mut run, _) = certified(14);
    let epoch = run.ledger.epoch().epoch.get();
    run.until_epoch(epoch + 1);
    // The boundary's certificate was the last thing of that epoch: its roll is open in the next.
    let (slot, roll) = run.ledger.rolls().next().map(|(slot, roll)| (slot, roll.clone())).unwrap();
    assert_eq!(roll.epoch.get(), epoch);
    assert!(run.ledger.audit().is_ok());
    run.until_height(roll.until.get());
    assert!(run.ledger.rolls().all(|(open, _)| open != slot));
    let mut again = palisade_ledger::Ledger::genesis(run.network.genesis.clone());
    for block in &run.blocks {
        let changes = again.preview(block).unwrap();
        again.apply(changes);
    }
    assert_eq!((again.root(), again.audit()), (run.ledger.root(), Ok(())));
    let rows: Vec<_> = run.ledger.rows().collect();
    let restored = palisade_ledger::Ledger::restore(run.network.genesis.clone(), run.ledger.head(), rows).unwrap();
    assert_eq!(restored.root(), run.ledger.root());
    // Every slot that was certified is booked once for everybody who sat there.
    let certified: std::collections::BTreeSet<_> = run
        .blocks
        .iter()
        .flat_map(|block| block.items.iter())
        .filter_map(|item| if let Item::EtherFinal(one) = item { Some(one.slot) } else { None })
        .collect();
    let open = run.ledger.rolls().count() as u64;
    assert!(record(&run).iter().all(|(attested, missed)| attested + missed == certified.len() as u64 - open));
}

#[test]
fn r03_a_certificate_counts_under_its_own_epochs_committee_only() {
    let mut run = joined(2);
    run.until_height(12);
    let certificate = run.certify(12, &[0, 1, 2]);
    run.until_epoch(2);
    assert!(matches!(refused_ether(&run, certificate.clone()), Invalid::Late(_)));
    let mut moved = certificate.clone();
    moved.slot = run.ledger.epoch().first.get();
    assert!(matches!(refused_ether(&run, moved.clone()), Invalid::Early(_)));
    run.produce(vec![]);
    assert!(matches!(refused_ether(&run, moved), Invalid::Refused(_)), "another block");
    let first = run.ledger.epoch().first.get();
    let mut foreign = run.certify(first, &[0, 1, 2]);
    foreign.committee = certificate.committee;
    let refused = refused_ether(&run, foreign);
    assert_eq!(refused, Invalid::Worthless(Worthless::OtherCommittee));
    let mut domain = run.certify(first, &[0, 1, 2]);
    domain.domain = run.network.bitcoin_domain;
    assert!(matches!(refused_ether(&run, domain), Invalid::Refused(_)));
}

#[test]
fn r09_convicted_weight_is_out_of_signers_and_total_whatever_the_slot() {
    let mut run = joined(3);
    run.until_height(13);
    let (with, without) = (run.certify(12, &[0, 1, 3]), run.certify(12, &[0, 1, 2]));
    let pair = run.network.pair(3, 12);
    // The block that holds the proof is still judged by its parent.
    let both = vec![Item::Evidence(pair.clone()), Item::EtherFinal(with.clone())];
    assert!(run.ledger.draft(both).2.is_empty());
    run.produce(vec![Item::Evidence(pair)]);
    // Three are left: two of them are not more than two thirds, all three are.
    assert!(matches!(refused_ether(&run, with), Invalid::Worthless(Worthless::NoQuorum { .. })));
    run.produce(vec![Item::EtherFinal(without)]);
    let convict = run.ledger.operator(&run.network.operators[3].id).unwrap();
    assert_eq!((convict.attested, convict.missed), (0, 0));
}

#[test]
fn r02_bitcoin_finality_is_an_unbroken_run_of_ether_final_checkpoints() {
    let mut run = joined(4);
    run.until_height(19);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(1));
    let (all, first) = ([0, 1, 2, 3], run.ledger.epoch().first.get());
    assert_eq!(first, 11);
    let fifteen = checkpoint(&run, 15, &all);
    let early = refused_bitcoin(&run, fifteen.clone());
    assert!(matches!(early, Invalid::Early(_)), "not ether-final");
    finalise(&mut run, 16); // an ether-final descendant is enough
    // 1 + 4 of 10 bitcoin are not more than two thirds, 3 + 4 are.
    let few = checkpoint(&run, 15, &[0, 3]);
    assert!(matches!(
        refused_bitcoin(&run, few),
        Invalid::Worthless(Worthless::NoQuorum { signed: 50_000_000, total: 100_000_000 })
    ));
    let enough = checkpoint(&run, 15, &[2, 3]);
    run.produce(vec![Item::BitcoinFinal(enough)]);
    assert_eq!(run.ledger.finality().bitcoin.unwrap().height, Height::new(15));
    assert!(matches!(refused_bitcoin(&run, fifteen), Invalid::Late(_)));
    // Not a checkpoint; another block.
    let mut odd = checkpoint(&run, 15, &all);
    odd.slot = 16;
    assert!(matches!(refused_bitcoin(&run, odd), Invalid::Refused(_)));
    let mut other = checkpoint(&run, 15, &all);
    other.digest = Digest::new([9; 32]);
    assert!(matches!(refused_bitcoin(&run, other), Invalid::Refused(_)));
}

#[test]
fn r02_a_gap_ends_the_run_until_a_certified_boundary() {
    let mut run = joined(5);
    run.until_epoch(2); // 15 and 20 were never certified
    let first = run.ledger.epoch().first.get();
    let start = first.div_ceil(5) * 5;
    run.until_height(start + 6);
    // Nothing closed epoch 2 yet.
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    finalise(&mut run, start + 5);
    let all = [0, 1, 2, 3];
    let second = checkpoint(&run, start + 5, &all);
    assert!(matches!(refused_bitcoin(&run, second.clone()), Invalid::Early(_)));
    let restart = checkpoint(&run, start, &all);
    run.produce(vec![Item::BitcoinFinal(restart)]);
    run.produce(vec![Item::BitcoinFinal(second)]);
    assert_eq!(run.ledger.finality().bitcoin.unwrap().height, Height::new(start + 5));
}

#[test]
fn r02_r32_a_late_vote_of_the_epoch_before_fills_the_gap() {
    let mut run = joined(12);
    let all = [0, 1, 2, 3];
    run.until_height(16);
    finalise(&mut run, 15);
    let fifteen = checkpoint(&run, 15, &all);
    run.produce(vec![Item::BitcoinFinal(fifteen)]);
    run.until_epoch(2);
    let first = run.ledger.epoch().first.get();
    assert!((21..=25).contains(&first), "20 is the last checkpoint of epoch 1: {first}");
    run.until_height(27);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    finalise(&mut run, 26);
    assert_eq!(run.ledger.due_checkpoints(), [Height::new(20)]);
    let next = checkpoint(&run, 25, &all);
    assert!(matches!(refused_bitcoin(&run, next.clone()), Invalid::Early(_)), "the gap can still be filled");
    let late = checkpoint(&run, 20, &all);
    run.produce(vec![Item::BitcoinFinal(late), Item::BitcoinFinal(next)]);
    let finality = run.ledger.finality();
    assert_eq!(finality.bitcoin.unwrap().height, Height::new(25));
    assert_eq!(finality.run.unwrap().broken, None);
}

#[test]
fn r09_bitcoin_of_a_convict_is_out_of_both_and_a_lost_vault_of_the_signers() {
    let ready = |seed| {
        let mut run = joined(seed);
        run.until_height(16);
        finalise(&mut run, 15);
        run
    };
    // 1 + 2 + 3 of 10; without the convict's 4 they are everything.
    let mut run = ready(6);
    let certificate = checkpoint(&run, 15, &[1, 2]);
    let pair = run.network.pair(3, 12);
    run.produce(vec![Item::Evidence(pair)]);
    run.produce(vec![Item::BitcoinFinal(certificate)]);
    // 3 + 4 of 10; without the vault of 4 they are 3 of 10.
    let mut run = ready(7);
    let certificate = checkpoint(&run, 15, &[2, 3]);
    assert!(run.ledger.draft(vec![Item::BitcoinFinal(certificate.clone())]).2.is_empty());
    let lost = run.ledger.vaults().find(|vault| vault.registration.operator == run.network.operators[3].id);
    let spent = VaultSpent { id: lost.unwrap().id, spend: Spend::Withdrawn(Hash::new([1; 32])) };
    run.observe(Bitcoin, 206, vec![Fact::VaultSpent(spent)]);
    assert!(matches!(
        refused_bitcoin(&run, certificate),
        Invalid::Worthless(Worthless::NoQuorum { signed: 30_000_000, total: 100_000_000 })
    ));
}

#[test]
fn r29_eots_of_an_exposed_key_count_for_nothing() {
    let mut run = joined(8);
    run.until_height(16);
    finalise(&mut run, 15);
    let certificate = checkpoint(&run, 15, &[0, 3]);
    let key = run.network.exposed_key(3);
    run.produce(vec![Item::Evidence(key)]);
    assert!(matches!(
        refused_bitcoin(&run, certificate),
        Invalid::Worthless(Worthless::NoQuorum { signed: 10_000_000, total: 60_000_000 })
    ));
}

#[test]
fn r19_a_vote_with_a_nonce_that_its_seat_does_not_name_counts_for_nothing() {
    let mut run = joined(9);
    run.until_height(16);
    finalise(&mut run, 15);
    let id = run.ledger.block_id(Height::new(15)).unwrap();
    let votes: Vec<_> = (0..4).map(|index| run.network.finality_vote(index, 15, id.into(), 15, 3)).collect();
    let certificate = run.network.bitcoin_certificate(run.ledger.committee(), &votes);
    let refused = refused_bitcoin(&run, certificate);
    assert_eq!(refused, Invalid::Worthless(Worthless::NotCommitted));
}
