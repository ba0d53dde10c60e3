//! Registrations that wait for the covenant: what a stranger who makes some up can do to the true ones.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

#[path = "../../chains/bitcoin/tests/stake/mod.rs"]
mod stake;

use bitcoin::{Amount, FeeRate, OutPoint, Txid, hashes::Hash as _};
use palisade_bitcoin::staker::Coin;
use palisade_bitcoin::vault::Versions;
use palisade_ledger::fixture::{Run, network_with};
use palisade_node::message::Presigned;
use palisade_node::sessions::{Sessions, Taken};
use palisade_types::chain::ChainKind::Ethereum;
use palisade_types::units::Millis;
use palisade_types::vault::{MAX_VERIFIED, VaultRegistration};
use palisade_types::{Hash, List};
use stake::People;

/// A ledger with two operators, the first of whom is behind every vault, and a covenant of three.
struct World {
    run: Run,
    people: People,
    sessions: Sessions,
}

impl World {
    fn new() -> Self {
        let mut people = People::new(3, 0);
        let terms = people.terms(2, 12, 6);
        let network = network_with(2, 5, |genesis| genesis.vaults = List::try_from(vec![terms]).unwrap());
        people.providers = vec![network.operators[0].eots.clone()];
        let versions = Versions::of(&network.genesis).unwrap();
        let mut run = Run::new(network);
        let facts = run.network.joining_facts();
        run.observe(Ethereum, 105, facts);
        Self { run, people, sessions: Sessions::new(versions) }
    }

    /// A registration of a stake from a made-up coin: `number` tells them apart.
    fn made_up(&self, number: u32) -> VaultRegistration {
        let rules = self.sessions.versions().at(5).unwrap();
        let terms = self.people.staking_terms(rules, 1_000);
        let outpoint = OutPoint { txid: Txid::all_zeros(), vout: number };
        let coin = Coin { outpoint, value: Amount::from_sat(150_000_000) };
        let (amount, rate) = (Amount::from_sat(100_000_000), FeeRate::from_sat_per_vb_u32(2));
        let staking = self.people.wallet.stake(&[coin], &terms, amount, rate).unwrap();
        let mut draft = self.people.register(&staking, &self.people.vault(&staking, rules, 1_000), (None, None));
        draft.operator = self.run.network.operators[0].id;
        draft
    }

    fn opens(&mut self, seconds: u64, number: u32) -> bool {
        let registration = self.made_up(number);
        self.sessions.open(Millis::new(1_000 * seconds), &self.run.ledger, &registration).is_ok()
    }

    fn answer(&mut self, number: u32) -> Taken {
        let (registration, versions) = (self.made_up(number), self.sessions.versions());
        let answer = self.people.members[0].presign(&registration, None, None, versions).unwrap();
        let registration: Hash = registration.endorsement(versions.chain());
        self.sessions.take(Presigned { registration, answer })
    }
}

#[test]
fn r32_made_up_registrations_that_nobody_answers_keep_the_true_one_out_for_seconds_only() {
    let mut world = World::new();
    let places = u32::try_from(MAX_VERIFIED).unwrap();
    for number in 0..places {
        assert!(world.opens(0, number));
    }
    assert!(matches!(world.answer(0), Taken::Waiting));
    assert!(!world.opens(9, 100), "members get time to answer");
    assert!(world.opens(10, 100), "the oldest that nobody answered gives way");
    assert!(matches!(world.answer(100), Taken::Waiting));
    assert!(matches!(world.answer(0), Taken::Waiting), "what a member signed for keeps its place");
    // However many more come, it is never what was answered that goes.
    let kept = (101..400).filter(|number| world.opens(11, *number)).count();
    assert_eq!(kept, MAX_VERIFIED - 2, "each keeps its place for as long");
    assert!(matches!(world.answer(0), Taken::Waiting));
    assert!(matches!(world.answer(100), Taken::Waiting));
    assert!(matches!(world.answer(1), Taken::Unneeded), "it gave way");
}
