//! Vaults and promises of nonces: what a block may hold without anybody asking Bitcoin.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{Network, Run, network, network_with};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::randomness::MAX_COMMITTED;
use palisade_types::slash::MAX_ORDERS;
use palisade_types::vault::{MAX_VERIFIED, VaultStatus};
use palisade_types::{Hash, Item, List, OperatorId, Sats, SchnorrKey, SchnorrSignature, VaultRegistration};

fn registered(seed: u64) -> Run {
    let mut run = Run::new(network(2, seed));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    run
}

fn refused(run: &Run, vault: VaultRegistration) -> Invalid {
    run.refusal(Item::Vault(Box::new(vault)))
}

#[test]
fn a_vault_is_verified_then_active_and_registered_once() {
    let mut run = registered(1);
    let vault = run.network.vault(0, 1, 100_000_000, 201);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault.clone()))]);
    assert_eq!(run.ledger.vault(&id).unwrap().status, VaultStatus::Verified);
    assert!(matches!(refused(&run, vault), Invalid::Late(_)));
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    assert_eq!(run.ledger.vault(&id).unwrap().status, VaultStatus::Active);
    assert_eq!(run.ledger.vaults().count(), 1);
    // A vault nobody registered is none of ours.
    let unknown = Network::vault_id(&run.network.vault(1, 9, 1, 1));
    run.observe(Bitcoin, 206, vec![Network::confirmed(unknown, 201)]);
    assert_eq!(run.ledger.vaults().count(), 1);
}

#[test]
fn a_vaults_name_is_its_transactions_double_hash() {
    let run = registered(2);
    let vault = run.network.vault(0, 1, 100_000_000, 201);
    let once = palisade_crypto::hash::sha256(&vault.staking);
    let twice = Hash::new(palisade_crypto::hash::sha256(&once));
    assert_eq!(Network::vault_id(&vault).txid, twice);
}

#[test]
fn r08_a_vault_must_be_what_genesis_asks_and_its_operator_can_lose() {
    let run = registered(3);
    let spoil: [fn(&mut VaultRegistration); 11] = [
        |vault| vault.amount = Sats::new(9_999),
        |vault| vault.staking_time = 299,
        |vault| vault.staking_time = 60_001,
        |vault| vault.providers = List::new(),
        |vault| vault.providers = vec![SchnorrKey::new([7; 32])].try_into().unwrap(),
        |vault| vault.unbonding_covenant = List::new(),
        |vault| vault.slashings = List::new(),
        |vault| vault.slashings.as_mut_slice()[0].covenant = List::new(),
        |vault| vault.unbonding_slashings = List::new(),
        |vault| vault.endorsements = List::new(),
        |vault| vault.terms = 1,
    ];
    for spoil in spoil {
        let mut vault = run.network.vault(0, 1, 100_000_000, 201);
        spoil(&mut vault);
        assert!(matches!(refused(&run, vault), Invalid::Refused(_)));
    }
    let mut unknown = run.network.vault(0, 1, 100_000_000, 201);
    unknown.operator = OperatorId::new([0xee; 20]);
    assert!(matches!(refused(&run, unknown), Invalid::Early(_)));
}

#[test]
fn a_network_without_bitcoin_takes_no_vaults() {
    let mut run = Run::new(network_with(2, 4, |genesis| genesis.vaults = List::new()));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let vault = run.network.vault(0, 1, 100_000_000, 201);
    assert!(matches!(refused(&run, vault), Invalid::Refused(_)));
    run.until_epoch(1);
    assert_eq!(run.ledger.committee().total_bitcoin(), 0);
}

#[test]
fn a_convict_gets_neither_vaults_nor_nonces() {
    let mut run = registered(5);
    let pair = run.network.pair(0, 1);
    run.produce(vec![Item::Evidence(pair)]);
    let vault = run.network.vault(0, 1, 100_000_000, 201);
    assert!(matches!(refused(&run, vault), Invalid::Late(_)));
    let promise = run.network.randomness(0, 10, 3);
    assert!(matches!(run.refusal(Item::Randomness(promise)), Invalid::Late(_)));
}

#[test]
fn nobody_stands_behind_more_vaults_than_one_case_reaches() {
    let mut run = registered(6);
    let vault = |run: &Run, number| Item::Vault(Box::new(run.network.vault(0, number, 100_000_000, 201)));
    let count = u32::try_from(MAX_ORDERS).unwrap();
    let quota = u32::try_from(MAX_VERIFIED).unwrap();
    for (first, anchor) in (0..count).step_by(MAX_VERIFIED).zip(205..) {
        let numbers = first..first + quota;
        let some = numbers.clone().map(|number| vault(&run, number)).collect();
        run.produce(some);
        let locked = numbers.map(|number| run.network.vault(0, number, 100_000_000, 201));
        let locked = locked.map(|vault| Network::confirmed(Network::vault_id(&vault), 201)).collect();
        run.observe(Bitcoin, anchor, locked);
    }
    assert!(matches!(run.refusal(vault(&run, count)), Invalid::Early(_)));
    let key = run.network.exposed_key(0);
    run.produce(vec![Item::Evidence(key)]);
    assert_eq!(run.ledger.cases().next().unwrap().orders.len(), MAX_ORDERS);
    run.ledger.audit().unwrap();
}

#[test]
fn r19_nonces_are_promised_by_the_finality_key_for_checkpoints_ahead() {
    let mut run = registered(7);
    let check = |run: &Run, first, count, late: bool| {
        let promise = run.network.randomness(0, first, count);
        match run.refusal(Item::Randomness(promise)) {
            Invalid::Late(_) => assert!(late),
            Invalid::Refused(_) => assert!(!late),
            other => panic!("{other}"),
        }
    };
    check(&run, 7, 3, false); // no checkpoint
    check(&run, 10, 0, false);
    check(&run, 10, MAX_COMMITTED + 1, false);
    check(&run, 0, 1, true); // it has passed
    run.until_height(4);
    check(&run, 5, 1, true); // it is this very block, and none after it
    run.until_height(3);
    let mut forged = run.network.randomness(0, 10, 3);
    forged.signature = SchnorrSignature::ZERO;
    assert!(matches!(run.refusal(Item::Randomness(forged)), Invalid::Refused(_)));
    forged = run.network.randomness(0, 10, 3);
    forged.operator = run.network.operators[1].id;
    assert!(matches!(run.refusal(Item::Randomness(forged)), Invalid::Refused(_)));
    forged.operator = OperatorId::new([0xee; 20]);
    assert!(matches!(run.refusal(Item::Randomness(forged)), Invalid::Early(_)));
    let beyond = run.network.randomness(0, u64::MAX - 4_995, 1_000);
    assert!(matches!(run.refusal(Item::Randomness(beyond)), Invalid::Refused(_)));
}

#[test]
fn r19_promises_of_one_operator_never_overlap() {
    let mut run = registered(8);
    let promise = |run: &Run, index, first, count| Item::Randomness(run.network.randomness(index, first, count));
    let first = promise(&run, 0, 20, 3); // 20, 25, 30
    run.produce(vec![first]);
    for (first, count) in [(20, 3), (30, 1), (10, 3), (5, 20), (25, 1)] {
        let refused = run.refusal(promise(&run, 0, first, count));
        assert!(matches!(refused, Invalid::Late(_)), "{first} {count}");
    }
    let (before, after) = (promise(&run, 0, 10, 2), promise(&run, 0, 35, 2));
    let others = promise(&run, 1, 20, 3);
    run.produce(vec![before, after, others]);
    let firsts: Vec<_> =
        run.ledger.commitments(&run.network.operators[0].id).map(|promise| promise.commitment.first.get()).collect();
    assert_eq!(firsts, [10, 20, 35]);
}

#[test]
fn r32_a_key_promises_no_more_than_it_may_need() {
    let mut run = registered(10);
    let promise = |run: &Run, at: u64| Item::Randomness(run.network.randomness(0, 1_000_000 * at + 10, 1));
    let near = Item::Randomness(run.network.randomness(0, 10, 1));
    let far: Vec<_> = (1..8).map(|at| promise(&run, at)).collect();
    run.produce([vec![near], far].concat());
    assert!(matches!(run.refusal(promise(&run, 8)), Invalid::Early(_)), "whoever is registered writes on and on");
    let others = Item::Randomness(run.network.randomness(1, 10, 1));
    run.produce(vec![others]);
    run.until_height(10);
    run.produce(vec![promise(&run, 8)]);
    assert!(matches!(run.refusal(promise(&run, 9)), Invalid::Early(_)), "one had passed, and no more");
}

#[test]
fn r19_promises_belong_to_a_key_and_end_with_it() {
    let mut run = registered(9);
    let ours = run.network.operators[0].clone();
    let mut stranger = network(1, 99).operators[0].clone();
    stranger.id = ours.id;
    let first = run.network.randomness(0, 20, 20);
    let early = run.network.randomness_of(&stranger, 20, 20);
    assert!(matches!(run.refusal(Item::Randomness(early)), Invalid::Early(_)), "its key may be registered yet");
    run.produce(vec![Item::Randomness(first)]);
    let registration = run.network.registration(&stranger, 2, 110);
    run.observe(Ethereum, 115, vec![registration]);
    let late = run.network.randomness(0, 200, 3);
    assert!(matches!(run.refusal(Item::Randomness(late)), Invalid::Late(_)), "its key was replaced");
    let mut forged = run.network.randomness(0, 200, 3);
    forged.key = early.key;
    assert!(matches!(run.refusal(Item::Randomness(forged)), Invalid::Refused(_)));
    // The same slots again: nonces of another key are others.
    run.produce(vec![Item::Randomness(early)]);
    let keys: Vec<_> = run.ledger.commitments(&ours.id).map(|promise| promise.key).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.contains(&early.key) && keys.contains(&first.key));
    let again = run.network.randomness_of(&stranger, 25, 2);
    assert!(matches!(run.refusal(Item::Randomness(again)), Invalid::Late(_)));
}
