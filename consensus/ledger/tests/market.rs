//! R28: a vault that the market outbids weighs nothing until the market calms.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Network, Run, network};
use palisade_ledger::{Invalid, Ledger};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::observation::VaultConfirmed;
use palisade_types::{Canonical as _, Fact, Item, Row, RowKey, VaultId};
use proptest::prelude::*;

/// Three members with equal ether and nonces; each of `vaults` is (operator, satoshis, top rate), active before epoch 1.
fn joined(seed: u64, vaults: &[(usize, u64, u64)]) -> (Run, Vec<VaultId>) {
    let mut run = Run::new(network(3, seed));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let mut items: Vec<_> = (0..3).map(|index| Item::Randomness(run.network.randomness(index, 10, 21))).collect();
    let mut ids = Vec::new();
    for (number, (index, sats, top_rate)) in (1..).zip(vaults) {
        let mut vault = run.network.vault(*index, number, *sats, 201);
        vault.top_rate = *top_rate;
        ids.push(Network::vault_id(&vault));
        items.push(Item::Vault(Box::new(vault)));
    }
    run.produce(items);
    let confirmed = ids.iter().map(|id| Fact::VaultConfirmed(VaultConfirmed { id: *id, height: 201 }));
    run.observe(Bitcoin, 205, confirmed.collect());
    run.until_epoch(1);
    run.produce(vec![]); // in which claims are made
    (run, ids)
}

/// Bitcoin's next anchor, at which the market asks `rate`.
fn market(run: &mut Run, rate: u64) {
    let upto = run.ledger.anchor(Bitcoin).number + 1;
    run.observe(Bitcoin, upto, vec![Fact::FeeRate(rate)]);
}

fn next_epoch(run: &mut Run) {
    let epoch = run.ledger.epoch().epoch.get() + 1;
    run.until_epoch(epoch);
}

fn weights(ledger: &Ledger) -> Vec<u64> {
    ledger.committee().members.iter().map(|member| member.bitcoin).collect()
}

#[test]
fn r28_a_vault_weighs_nothing_while_the_market_asks_more_than_its_dearest_slash_pays() {
    let (mut run, _) = joined(1, &[(0, 1_000_000, 1_000), (1, 2_000_000, 2_000), (1, 3_000_000, 5_000)]);
    assert_eq!((run.ledger.fee_rate(), weights(&run.ledger)), (0, vec![100_000, 500_000, 0]));
    assert_eq!(run.ledger.row(&RowKey::FeeRate), None, "a calm market has no row");
    // (what the market asks, what the next committee weighs)
    for (rate, weighs) in [
        (1_000, [100_000, 500_000, 0]),
        (1_001, [0, 500_000, 0]),
        (2_001, [0, 300_000, 0]),
        (5_001, [0, 0, 0]),
        (u64::MAX, [0, 0, 0]),
        (1_500, [0, 500_000, 0]),
        (0, [100_000, 500_000, 0]),
    ] {
        let before = weights(&run.ledger);
        market(&mut run, rate);
        assert_eq!(run.ledger.fee_rate(), rate);
        assert_eq!(weights(&run.ledger), before, "seats stay as they were drawn");
        next_epoch(&mut run);
        assert_eq!(weights(&run.ledger), weighs, "{rate}");
        assert!(run.ledger.committee().members.iter().all(|member| member.ether > 0), "ether is not touched");
        run.ledger.audit().unwrap();
    }
}

#[test]
fn r28_the_market_ends_no_epoch_and_takes_nothing_from_a_drawn_seat() {
    let (mut run, _) = joined(2, &[(0, 1_000_000, 1_000), (1, 1_000_000, 1_000), (2, 1_000_000, 1_000)]);
    let epoch = run.ledger.epoch().epoch;
    run.until_height(14);
    market(&mut run, 9_999);
    let height = run.ledger.head().height.get();
    let certificate = run.certify(height, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    assert_eq!((run.ledger.epoch().epoch, run.ledger.epoch().boundary), (epoch, None), "it is not due");
    // What the seats were drawn with still certifies: an equivocation is slashed at the dearest rung, when the market lets it.
    let id = run.ledger.block_id(palisade_types::Height::new(15)).unwrap();
    let votes: Vec<_> = (0..3).map(|index| run.network.finality_vote(index, 15, id.into(), 10, 21)).collect();
    let final_block = run.network.bitcoin_certificate(run.ledger.committee(), &votes);
    run.produce(vec![Item::BitcoinFinal(final_block)]);
    assert_eq!(run.ledger.finality().bitcoin.unwrap().height.get(), 15);
}

#[test]
fn r28_a_claim_about_an_outbid_vault_is_revoked_and_made_again_when_the_market_calms() {
    let (mut run, ids) = joined(3, &[(0, 1_000_000, 1_000)]);
    let said = *run.ledger.claim(&ids[0]).unwrap();
    assert!(!said.revoked);
    market(&mut run, 1_001);
    let revoked = *run.ledger.claim(&ids[0]).unwrap();
    assert!(revoked.revoked && revoked.number > said.number);
    // Still outbid: nothing more is said.
    market(&mut run, 1_500);
    assert_eq!(*run.ledger.claim(&ids[0]).unwrap(), revoked);
    market(&mut run, 1_000);
    let again = *run.ledger.claim(&ids[0]).unwrap();
    assert!(!again.revoked && again.number > revoked.number && again.sats == said.sats);
}

#[test]
fn r28_what_the_market_asks_is_bitcoins_to_say() {
    let (mut run, _) = joined(4, &[]);
    let told = run.network.observed(&run.ledger, Ethereum, 106, vec![Fact::FeeRate(1)]);
    assert!(matches!(run.refusal(told), Invalid::Refused(_)));
    market(&mut run, 7);
    assert_eq!(run.ledger.watch(Bitcoin).fee_rate, 7, "its follower says no more until that changes");
    assert_eq!(run.ledger.watch(Ethereum).fee_rate, 0);
    let (key, row) = (RowKey::FeeRate, Row::FeeRate(7));
    assert_eq!(run.ledger.row(&key).as_ref(), Some(&row));
    assert_eq!(RowKey::from_bytes(&key.to_bytes()), Ok(key));
    assert_eq!((key.to_bytes(), row.to_bytes()), (vec![11], [vec![11], 7_u64.to_be_bytes().to_vec()].concat()));
    let fact = Fact::FeeRate(u64::MAX);
    assert_eq!(fact.to_bytes(), [vec![6], vec![0xff; 8]].concat());
    assert_eq!(Fact::from_bytes(&fact.to_bytes()), Ok(fact));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn r28_exactly_the_vaults_that_the_market_does_not_outbid_weigh(
        vaults in prop::collection::vec((0_usize..3, 10_000_u64..1 << 40, 0_u64..4), 0..6),
        rates in prop::collection::vec(0_u64..5, 1..4),
    ) {
        let (mut run, _) = joined(5, &vaults);
        for rate in rates {
            market(&mut run, rate);
            next_epoch(&mut run);
            let mut expected = [0_u64; 3];
            for (index, sats, _) in vaults.iter().filter(|(_, _, top_rate)| *top_rate >= rate) {
                expected[*index] += sats / 10;
            }
            prop_assert_eq!(weights(&run.ledger), expected);
        }
        run.ledger.audit().unwrap();
    }
}
