//! What the ledger says of vaults to contracts on Ethereum.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Network, Run, network, network_with, point};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::observation::{Observation, VaultConfirmed, VaultSpent};
use palisade_types::vault::Spend;
use palisade_types::{Claim, Domain, DomainKind, Epoch, Fact, Hash, Item, List, Suspended, Unproven, VaultId};

/// Three members with equal ether and nonces, nobody with a vault yet.
fn joined(network: Network) -> Run {
    let mut run = Run::new(network);
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let promises = (0..3).map(|index| Item::Randomness(run.network.randomness(index, 10, 11)));
    run.produce(promises.collect());
    run.until_epoch(1);
    run
}

/// Registers vault `number` behind operator `index`; [`confirmed`] makes it active.
fn register(run: &mut Run, index: usize, number: u32, sats: u64) -> VaultId {
    let vault = run.network.vault(index, number, sats, 201);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    id
}

fn active(run: &mut Run, index: usize, number: u32, sats: u64) -> VaultId {
    let id = register(run, index, number, sats);
    next_block(run, vec![confirmed(&id)]);
    id
}

fn confirmed(id: &VaultId) -> Fact {
    Fact::VaultConfirmed(VaultConfirmed { id: *id, height: 201 })
}

/// Bitcoin's next block.
fn next_block(run: &mut Run, facts: Vec<Fact>) {
    let upto = run.ledger.anchor(Bitcoin).number + 1;
    run.observe(Bitcoin, upto, facts);
}

fn claim(run: &Run, id: &VaultId) -> Claim {
    *run.ledger.claim(id).unwrap()
}

fn numbers(run: &Run) -> Vec<(u64, bool)> {
    let mut numbers: Vec<_> = run.ledger.claims().map(|claim| (claim.number, claim.revoked)).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn r08_a_claim_says_what_one_equivocation_takes_and_no_more() {
    let mut run = joined(network(3, 1));
    let id = register(&mut run, 0, 1, 100_000_001);
    assert_eq!(run.ledger.claim(&id), None, "it does not count yet");
    next_block(&mut run, vec![confirmed(&id)]);
    let said = claim(&run, &id);
    let genesis = run.ledger.genesis_of().clone();
    let vault = run.ledger.vault(&id).unwrap();
    let terms = genesis.terms(vault.registration.terms).unwrap();
    assert_eq!(said.sats, vault.registration.amount.slashed_by(terms.slash_rate));
    assert!(said.sats < vault.registration.amount, "a part of it, rounded down");
    let anchor = run.ledger.anchor(Bitcoin);
    let expected = Claim {
        number: 1,
        epoch: Epoch::new(1),
        vault: id,
        operator: run.network.operators[0].id,
        until: vault.end_height().unwrap() - u64::from(terms.unbonding_time),
        block: anchor.hash,
        height: anchor.number,
        revoked: false,
        ..said
    };
    assert_eq!(said, expected);
    // The next committee's row counts exactly the same.
    run.until_epoch(2);
    let seat = *run.ledger.committee().seat(&said.operator).unwrap().1;
    assert_eq!(seat.bitcoin, said.sats.get());
    run.ledger.audit().unwrap();
}

#[test]
fn a_claim_is_revoked_when_its_vault_is_over_and_never_comes_back() {
    let spends = [
        Spend::Unbonded(Hash::new([1; 32])),
        Spend::Withdrawn(Hash::new([1; 32])),
        Spend::Unexpected(Hash::new([1; 32])),
    ];
    for (seed, spend) in (10..).zip(spends) {
        let mut run = joined(network(3, seed));
        let id = active(&mut run, 1, 1, 50_000_000);
        let before = claim(&run, &id);
        next_block(&mut run, vec![Fact::VaultSpent(VaultSpent { id, spend })]);
        let anchor = *run.ledger.anchor(Bitcoin);
        let revoked = Claim { number: 2, block: anchor.hash, height: anchor.number, revoked: true, ..before };
        assert_eq!(claim(&run, &id), revoked, "{spend:?}");
        run.until_epoch(3);
        assert_eq!(claim(&run, &id), revoked, "once is enough");
    }
}

#[test]
fn r30_every_claim_is_revoked_while_bitcoin_is_suspended() {
    let mut run = joined(network(3, 20));
    let ids = [active(&mut run, 0, 1, 50_000_000), active(&mut run, 1, 1, 50_000_000)];
    let suspended = Suspended { chain: Bitcoin, anchor: *run.ledger.anchor(Bitcoin) };
    run.produce(vec![Item::Suspended(suspended)]);
    assert!(ids.iter().all(|id| claim(&run, id).revoked));
    run.until_epoch(3);
    assert!(ids.iter().all(|id| claim(&run, id).revoked && claim(&run, id).number <= 4));
    // Bitcoin goes on with the same vaults: they are claimed again.
    let after = *run.ledger.anchor(Bitcoin);
    let upto = point(Bitcoin, after.number + 1);
    let facts = vec![Fact::Rewound(point(Bitcoin, 200)), confirmed(&ids[0]), confirmed(&ids[1])];
    let facts = facts.try_into().unwrap();
    run.produce(vec![Item::Resumed(Observation { chain: Bitcoin, after, upto, facts })]);
    assert!(ids.iter().all(|id| !claim(&run, id).revoked && claim(&run, id).number > 4));
}

#[test]
fn a_claim_is_revoked_with_the_last_height_at_which_it_counts() {
    let mut run = joined(network(3, 2));
    let id = active(&mut run, 0, 1, 50_000_000);
    let until = claim(&run, &id).until;
    run.observe(Bitcoin, until - 1, vec![]);
    assert!(!claim(&run, &id).revoked);
    run.observe(Bitcoin, until, vec![]);
    assert!(claim(&run, &id).revoked);
}

#[test]
fn a_convicts_claims_are_revoked_at_once_in_whatever_domain_he_is_convicted() {
    let domains = |run: &Run| [run.network.ledger_domain, run.ledger.domains().claim];
    for which in 0..2 {
        let mut run = joined(network(3, 3 + which as u64));
        let (his, other) = (active(&mut run, 0, 1, 50_000_000), active(&mut run, 1, 1, 50_000_000));
        let pair = run.network.pair_in(domains(&run)[which], 0, 7);
        run.produce(vec![Item::Evidence(pair)]);
        assert!(claim(&run, &his).revoked && !claim(&run, &other).revoked);
    }
}

/// The claims' own domain is one in which a pair convicts, once, as Palisade.sol does it (R25); a number that no
/// claim has yet is punishable too (R26).
#[test]
fn r26_two_digests_under_one_claims_number_convict() {
    let mut run = joined(network(3, 4));
    let (chain, palisade) = (run.ledger.chain(), run.ledger.genesis_of().contracts.palisade);
    let domain = Domain::own(&chain, &palisade, DomainKind::VaultClaim);
    assert_eq!(run.ledger.domains().claim, domain);
    let pair = run.network.pair_in(domain, 2, 1_000);
    assert_eq!(run.ledger.judge(&pair).unwrap().slot(), 1_000);
    run.produce(vec![Item::Evidence(pair.clone())]);
    let case = run.ledger.cases().next().unwrap();
    assert_eq!((case.operator, case.domain, case.orders.len()), (run.network.operators[2].id, domain, 1));
    assert_eq!(run.ledger.judge(&pair), Err(Unproven::AlreadyConvicted));
}

#[test]
fn r03_every_epoch_with_weight_says_it_again_under_a_new_number() {
    let mut run = joined(network(3, 5));
    let id = active(&mut run, 0, 1, 50_000_000);
    let first = claim(&run, &id);
    run.until_epoch(2);
    assert_eq!(claim(&run, &id), first, "the last block of an epoch belongs to it");
    run.produce(vec![]);
    let second = claim(&run, &id);
    assert_eq!((second.number, second.epoch), (2, Epoch::new(2)));
    let counted = run.ledger.claim_numbers();
    let of = |number| counted.numbers.epoch_of(number).map(Epoch::get);
    assert_eq!([0, 1, 2, 3].map(of), [None, Some(1), Some(2), None]);
    // Nothing changed: nothing is said.
    run.produce(vec![]);
    next_block(&mut run, vec![]);
    assert_eq!(claim(&run, &id), second);
}

#[test]
fn r06_an_epoch_without_weight_says_nothing_and_the_next_with_weight_catches_up() {
    let mut run = joined(network(3, 6));
    let (stays, goes) = (active(&mut run, 0, 1, 50_000_000), active(&mut run, 1, 1, 50_000_000));
    let facts = (0..3).map(|index| run.network.stake_fact(index, 0)).collect();
    run.observe(Ethereum, 110, facts);
    run.until_epoch(2);
    assert!(!run.ledger.committee().has_weight());
    let spend = Spend::Withdrawn(Hash::new([1; 32]));
    next_block(&mut run, vec![Fact::VaultSpent(VaultSpent { id: goes, spend })]);
    assert_eq!(numbers(&run), [(1, false), (2, false)]);
    let facts = (0..3).map(|index| run.network.stake_fact(index, palisade_ledger::fixture::SHARES)).collect();
    run.observe(Ethereum, 115, facts);
    run.until_epoch(3);
    run.produce(vec![]);
    assert_eq!((claim(&run, &goes).number, claim(&run, &goes).revoked), (3, true), "revocations go first");
    assert_eq!((claim(&run, &stays).number, claim(&run, &stays).revoked), (4, false));
    assert_eq!(claim(&run, &stays).epoch, Epoch::new(3));
}

/// The eight of a block are given out revocations first, then by vault; what is left waits for the next block.
#[test]
fn r32_a_block_says_a_bounded_number_of_claims_and_the_next_goes_on() {
    let mut run = joined(network(3, 7));
    let mut vaults: Vec<_> = (0..16).map(|number| register(&mut run, 0, number, 50_000_000)).collect();
    next_block(&mut run, vaults.iter().map(confirmed).collect());
    vaults.sort_unstable();
    let said = |run: &Run| vaults.iter().map_while(|id| run.ledger.claim(id)).count();
    assert_eq!(said(&run), 8);
    // A vault that goes meanwhile is revoked before the others are named.
    let spend = Spend::Withdrawn(Hash::new([1; 32]));
    next_block(&mut run, vec![Fact::VaultSpent(VaultSpent { id: vaults[3], spend })]);
    assert_eq!((claim(&run, &vaults[3]).number, claim(&run, &vaults[3]).revoked), (9, true));
    assert_eq!(said(&run), 15);
    run.produce(vec![]);
    assert_eq!(said(&run), 16);
    assert!(!run.ledger.claim_numbers().behind);
    let counted = run.ledger.claim_numbers();
    run.produce(vec![]);
    assert_eq!(run.ledger.claim_numbers(), counted);
    run.ledger.audit().unwrap();
}

#[test]
fn without_vaults_nothing_is_counted() {
    let mut run = joined(network_with(3, 8, |genesis| genesis.vaults = List::new()));
    run.until_epoch(3);
    assert_eq!(run.ledger.claims().count(), 0);
    assert_eq!(run.ledger.row(&palisade_types::RowKey::Claims), None);
}

#[test]
fn r19_without_nonces_there_is_nothing_to_claim() {
    let mut run = Run::joined(network(3, 9));
    let id = active(&mut run, 0, 1, 50_000_000);
    assert_eq!(run.ledger.claim(&id), None);
}
