//! The books of every asset, the record of every slash, and what stood where when a fault is charged.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Network, Run, SHARES, network, point};
use palisade_ledger::{Invalid, Ledger, Unsound};
use palisade_types::account::{Account, AccountId, SlashId, SlashRecord};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::chain::ChainPoint;
use palisade_types::observation::{Observation, VaultSpent};
use palisade_types::slash::SlashTarget;
use palisade_types::vault::{Spend, VaultLoss};
use palisade_types::{Fact, Hash, Item, OperatorId, Row, RowKey, Sats, Suspended, VaultId};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn books(ledger: &Ledger, id: AccountId) -> Account {
    ledger.accounts().find(|(found, _)| **found == id).map(|(_, account)| *account).unwrap_or_default()
}

fn stake_books(run: &Run) -> Account {
    books(&run.ledger, AccountId::Stake(run.network.genesis.assets[0].source))
}

fn account(entered: u128, held: u128, left: u128, taken: u128) -> Account {
    Account { entered, held, left, taken }
}

/// What operator `index` has delegated, as the ledger holds it.
fn shares(run: &Run, index: usize) -> u128 {
    let id = run.network.position_id(index);
    run.ledger.positions().find(|(position, _)| **position == id).map_or(0, |(_, position)| position.held())
}

/// The next block takes these facts of Ethereum in, at the next of its blocks.
fn observe(run: &mut Run, facts: Vec<Fact>) {
    let next = run.ledger.anchor(Ethereum).number + 1;
    run.observe(Ethereum, next, facts);
}

#[test]
fn r24_a_slash_is_recorded_with_what_was_there_before_and_after() {
    let mut run = Run::joined(network(4, 1));
    run.produce(vec![]);
    let convict = run.network.operators[1].id;
    let snapshot = run.ledger.committee().ethereum.number;
    let convicted = run.network.convicted_fact(1, run.ledger.head().height.get());
    let slashed = run.network.slashed_fact(1, SHARES, SHARES / 2);
    // What he staked besides in the same block came in, and is no part of the loss.
    let left = run.network.stake_fact(1, SHARES / 2 + 7);
    observe(&mut run, vec![convicted, slashed.clone(), left]);
    let Fact::Slashed(seen) = slashed else { unreachable!() };
    let (id, record) = run.ledger.slashes().next().unwrap();
    let target = SlashTarget::EigenLayer(seen.asset);
    assert_eq!(*id, SlashId { operator: convict, target, transaction: seen.transaction });
    let booked = run.ledger.head().height;
    let (case, asked) = (Some(seen.case), SHARES / 2);
    assert_eq!(*record, SlashRecord { case, asked, capture: snapshot, before: SHARES, afterwards: SHARES / 2, booked });
    assert_eq!(stake_books(&run), account(4 * SHARES + 7, 4 * SHARES - SHARES / 2 + 7, 0, SHARES / 2));
    // Told again, and once more by another transaction: the one is known, the other is on top.
    observe(&mut run, vec![Fact::Slashed(seen)]);
    assert_eq!((run.ledger.slashes().count(), stake_books(&run).taken), (1, SHARES / 2));
    let second = palisade_types::observation::SlashedOnChain {
        transaction: Hash::new([0x52; 32]),
        before: SHARES / 2,
        afterwards: SHARES / 4,
        ..seen
    };
    let left = run.network.stake_fact(1, SHARES / 4 + 7);
    observe(&mut run, vec![Fact::Slashed(second), left]);
    assert_eq!((run.ledger.slashes().count(), stake_books(&run).taken), (2, SHARES / 2 + SHARES / 4));
    // Nobody else's, and no loss at all, is no record.
    let other = palisade_types::observation::SlashedOnChain { operator: run.network.operators[0].id, ..seen };
    let nothing = palisade_types::observation::SlashedOnChain {
        transaction: Hash::new([0x53; 32]),
        before: 9,
        afterwards: 9,
        ..seen
    };
    observe(&mut run, vec![Fact::Slashed(other), Fact::Slashed(nothing)]);
    assert_eq!(run.ledger.slashes().count(), 2);
    run.ledger.audit().unwrap();
}

/// Whoever holds two pairs of one operator may hand both in by one transaction, and deposit for him in between; and a service's adapter
/// may say of its own set whatever it likes.
#[test]
fn r24_stake_that_comes_in_between_two_slashes_of_one_transaction_breaks_no_books() {
    let mut run = Run::joined(network(4, 3));
    run.produce(vec![]);
    let convicted = run.network.convicted_fact(1, run.ledger.head().height.get());
    let Fact::Slashed(seen) = run.network.slashed_fact(1, SHARES, SHARES / 2) else { unreachable!() };
    let second = palisade_types::observation::SlashedOnChain { before: 9 * SHARES, afterwards: 8 * SHARES, ..seen };
    let held = run.network.stake_fact(1, 8 * SHARES);
    observe(&mut run, vec![convicted, Fact::Slashed(seen), Fact::Slashed(second), held]);
    let taken: Vec<u128> = run.ledger.slashes().map(|(_, record)| record.taken()).collect();
    assert_eq!((taken, stake_books(&run).taken), (vec![SHARES / 2 + SHARES], SHARES / 2 + SHARES));
    // The largest numbers that an adapter can say.
    let most = palisade_types::observation::SlashedOnChain { before: u128::MAX, afterwards: 0, ..seen };
    let left = palisade_types::observation::SlashedOnChain { before: u128::MAX, afterwards: u128::MAX - 1, ..seen };
    observe(&mut run, vec![Fact::Slashed(most), Fact::Slashed(left)]);
    run.ledger.audit().unwrap();
    let rows: Vec<_> = run.ledger.rows().collect();
    let woken = Ledger::restore(run.network.genesis.clone(), run.ledger.head(), rows).unwrap();
    assert_eq!(woken.root(), run.ledger.root());
}

#[derive(Clone, Debug)]
enum Step {
    /// The views show so many shares of one of them.
    Stake(usize, u64),
    /// One of them is convicted, if he is not yet, and loses a part of 256.
    Slash(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_usize..4, any::<u64>()).prop_map(|(who, shares)| Step::Stake(who, shares)),
        (0_usize..4, any::<u8>()).prop_map(|(who, part)| Step::Slash(who, part)),
    ];
    prop::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_made_and_nothing_vanishes_whatever_the_views_show(seed in any::<u64>(), steps in steps()) {
        let mut run = Run::joined(network(4, seed));
        let (mut entered, mut left, mut taken) = (4 * SHARES, 0_u128, 0_u128);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Stake(who, now) => {
                    let (before, now) = (shares(&run, who), u128::from(now));
                    entered += now.saturating_sub(before);
                    left += before.saturating_sub(now);
                    let seen = run.network.stake_fact(who, now);
                    observe(&mut run, vec![seen]);
                }
                Step::Slash(who, part) => {
                    let before = shares(&run, who);
                    let lost = before / 256 * u128::from(part);
                    taken += lost;
                    let convicted = run.network.convicted_fact(who, 3);
                    let Fact::Slashed(mut slashed) = run.network.slashed_fact(who, before, before - lost) else {
                        unreachable!()
                    };
                    slashed.transaction = Hash::new([number as u8; 32]);
                    let seen = run.network.stake_fact(who, before - lost);
                    observe(&mut run, vec![convicted, Fact::Slashed(slashed), seen]);
                }
            }
            let held: u128 = (0..4).map(|who| shares(&run, who)).sum();
            prop_assert_eq!(stake_books(&run), account(entered, held, left, taken));
        }
        prop_assert_eq!(run.ledger.audit(), Ok(()));
        let recorded: u128 = run.ledger.slashes().map(|(_, record)| record.taken()).sum();
        prop_assert_eq!(recorded, taken);
    }

    #[test]
    fn r26_a_capture_answers_for_every_snapshot_of_the_window(
        seed in any::<u64>(), rounds in prop::collection::vec((0_usize..3, any::<bool>(), 1_u64..60), 1..12),
    ) {
        let mut run = Run::joined(network(3, seed));
        let window = run.network.genesis.parameters.ethereum_window();
        // What an onlooker wrote down at every snapshot.
        let mut seen: BTreeMap<u64, Vec<u128>> = BTreeMap::new();
        let note = |run: &Run, seen: &mut BTreeMap<u64, Vec<u128>>| {
            let snapshot = run.ledger.committee().ethereum.number;
            seen.insert(snapshot, (0..3).map(|who| shares(run, who)).collect());
        };
        note(&run, &mut seen);
        for (who, changes, blocks) in rounds {
            let upto = run.ledger.anchor(Ethereum).number + blocks;
            let stake = shares(&run, who) + u128::from(changes);
            let facts = vec![run.network.stake_fact(who, stake)];
            run.observe(Ethereum, upto, facts);
            let epoch = run.ledger.epoch().epoch.get();
            run.until_epoch(epoch + 1);
            note(&run, &mut seen);
            let newest = *seen.keys().last().unwrap();
            for (block, expected) in seen.iter().filter(|(block, _)| **block + window >= newest) {
                for (who, held) in expected.iter().enumerate() {
                    let at = run.ledger.captured(&run.network.operators[who].id, *block);
                    prop_assert_eq!(at.len(), 1);
                    let (id, since, position) = at[0];
                    prop_assert_eq!(id, run.network.position_id(who));
                    prop_assert!(since <= *block);
                    prop_assert_eq!(position.held(), *held);
                }
            }
        }
        prop_assert_eq!(run.ledger.audit(), Ok(()));
    }
}

#[test]
fn captures_that_no_fault_is_charged_to_go() {
    let mut run = Run::joined(network(1, 3));
    let window = run.network.genesis.parameters.ethereum_window();
    for round in 1..=40_u64 {
        let upto = run.ledger.anchor(Ethereum).number + 30;
        let facts = vec![run.network.stake_fact(0, SHARES + u128::from(round))];
        run.observe(Ethereum, upto, facts);
        let epoch = run.ledger.epoch().epoch.get();
        run.until_epoch(epoch + 1);
    }
    let captures = run.ledger.rows().filter(|(key, _)| matches!(key, RowKey::Captured(_))).count();
    assert!(captures as u64 <= window / 30 + 2, "{captures} of 41 stay");
    let newest = run.ledger.committee().ethereum.number;
    assert_eq!(run.ledger.captured(&run.network.operators[0].id, newest - window).len(), 1);
    let nobody = OperatorId::new([9; 20]);
    assert!(run.ledger.captured(&nobody, newest).is_empty());
}

/// Four members with a vault of a bitcoin each.
fn with_vaults(seed: u64) -> (Run, Vec<VaultId>) {
    let mut run = Run::joined(network(4, seed));
    let vaults: Vec<_> = (0..4).map(|index| run.network.vault(index, 1, 100_000_000, 201)).collect();
    let ids: Vec<_> = vaults.iter().map(Network::vault_id).collect();
    run.produce(vaults.into_iter().map(|vault| Item::Vault(Box::new(vault))).collect());
    assert_eq!(books(&run.ledger, AccountId::Bitcoin), Account::default(), "coins that are not locked are in no book");
    let confirmed = ids.iter().map(|id| Network::confirmed(*id, 201)).collect();
    run.observe(Bitcoin, 205, confirmed);
    (run, ids)
}

#[test]
fn r30_what_bitcoin_takes_back_leaves_the_books_too() {
    let coin = 100_000_000;
    let (mut run, ids) = with_vaults(5);
    assert_eq!(books(&run.ledger, AccountId::Bitcoin), account(4 * coin, 4 * coin, 0, 0));
    let loss = VaultLoss { txid: Hash::new([0x77; 32]), taken: Sats::new(10_000_000) };
    let spent = |id, spend| Fact::VaultSpent(VaultSpent { id, spend });
    let facts = || vec![spent(ids[0], Spend::Slashed(loss)), spent(ids[1], Spend::Unbonded(Hash::new([1; 32])))];
    run.observe(Bitcoin, 210, facts());
    let after = account(4 * coin, 3 * coin, 90_000_000, 10_000_000);
    assert_eq!(books(&run.ledger, AccountId::Bitcoin), after);
    let (id, record) = run.ledger.slashes().next().unwrap();
    assert_eq!((id.target, id.transaction), (SlashTarget::Vault(ids[0]), loss.txid));
    assert_eq!((record.case, record.asked, record.capture), (None, 0, 201), "a fault towards somebody else (R29)");
    assert_eq!((record.before, record.afterwards), (coin, 90_000_000));
    // The chain takes the block at 210 back, and tells nothing of the slash anew.
    let anchor = *run.ledger.anchor(Bitcoin);
    run.produce(vec![Item::Suspended(Suspended { chain: Bitcoin, anchor })]);
    let elsewhere = ChainPoint { hash: Hash::new([0xee; 32]), ..point(Bitcoin, 211) };
    let resumed = |facts: Vec<Fact>| {
        let facts = facts.try_into().unwrap();
        Item::Resumed(Observation { chain: Bitcoin, after: anchor, upto: elsewhere, facts })
    };
    let base = run.ledger.watch(Bitcoin).older.first().copied().unwrap();
    let told = ids.iter().map(|id| Network::confirmed(*id, 201));
    let facts: Vec<_> = std::iter::once(Fact::Rewound(base)).chain(told).collect();
    run.produce(vec![resumed(facts)]);
    assert_eq!(books(&run.ledger, AccountId::Bitcoin), account(4 * coin, 4 * coin, 0, 0));
    assert_eq!(run.ledger.slashes().count(), 0);
    run.ledger.audit().unwrap();
}

#[test]
fn an_audit_finds_books_that_do_not_balance() {
    let (mut run, ids) = with_vaults(6);
    let convicted = run.network.convicted_fact(1, 3);
    let slashed = run.network.slashed_fact(1, SHARES, SHARES / 2);
    let stake = run.network.stake_fact(1, SHARES / 2);
    observe(&mut run, vec![convicted, slashed, stake]);
    let spend = Spend::Slashed(VaultLoss { txid: Hash::new([1; 32]), taken: Sats::new(10_000_000) });
    run.observe(Bitcoin, 206, vec![Fact::VaultSpent(VaultSpent { id: ids[2], spend })]);
    let mut changed = Vec::new();
    for (key, row) in run.ledger.rows() {
        match row {
            Row::Account(account) => {
                let one = |at: usize| Account {
                    entered: account.entered + u128::from(at == 0),
                    held: account.held + u128::from(at == 1),
                    left: account.left + u128::from(at == 2),
                    taken: account.taken + u128::from(at == 3),
                };
                changed.extend((0..4).map(|at| (key, Row::Account(one(at)))));
                // Balanced, and yet not what the rows add up to.
                let moved = Account { held: account.held + 1, entered: account.entered + 1, ..account };
                changed.push((key, Row::Account(moved)));
            }
            Row::Slashed(record) => {
                changed.push((key, Row::Slashed(SlashRecord { afterwards: record.afterwards + 1, ..record })));
            }
            _ => {}
        }
    }
    assert_eq!(changed.len(), 2 * 5 + 2);
    for (key, row) in changed {
        let rows = run.ledger.rows().map(|(at, held)| (at, if at == key { row.clone() } else { held }));
        let refused = Ledger::restore(run.ledger.genesis_of().clone(), run.ledger.head(), rows.collect::<Vec<_>>());
        let is_named = |unsound: &Unsound| match unsound {
            Unsound::Misplaced(at) | Unsound::Contradicts(at) => {
                *at == key || matches!((at, key), (RowKey::Account(_), RowKey::Slashed(_)))
            }
            _ => false,
        };
        assert!(matches!(&refused, Err(Invalid::Unsound(unsound)) if is_named(unsound)), "{key:?}: {refused:?}");
    }
}
