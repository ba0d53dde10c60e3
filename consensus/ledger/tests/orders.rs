//! Orders: a fault that no contract can check becomes one, it is drawn again until the stake is taken, and what was really
//! taken is booked.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_crypto::hash::sha256;
use palisade_ledger::fixture::{BOND, Network, Run, SHARES, covenant_secret, network, network_with};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::evidence::CovenantBreach;
use palisade_types::genesis::{Genesis, Unsafe};
use palisade_types::observation::SlashedOnChain;
use palisade_types::position::{Magnitudes, StakeSource};
use palisade_types::slash::{CaseStatus, OrderStatus, Taken};
use palisade_types::{
    Address, Canonical as _, Case, CaseId, Domain, DomainKind, Epoch, Fact, Hash, Item, NumberedKind, Order, OrderId,
    Row, RowKey, SchnorrKey, SchnorrSignature, ServiceId, Unproven, VaultId, Wad,
};
use proptest::prelude::*;

/// Three members with a vault behind the second; the first operator is the covenant.
fn joined(network: Network) -> (Run, VaultId) {
    let mut run = Run::new(network);
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let vault = run.network.vault(1, 1, 100_000_000, 201);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    run.until_epoch(1);
    (run, id)
}

/// The member signs a spend of the vault that nobody registered.
fn breach(run: &mut Run, vault: VaultId, seed: u64) {
    let (secret, sighash) = (covenant_secret(seed), sha256(b"the coins go elsewhere"));
    let breach = CovenantBreach {
        vault,
        member: SchnorrKey::new(secret.public().to_bytes()),
        height: 206,
        transaction: Hash::new([8; 32]),
        sighash: Hash::new(sighash),
        signature: SchnorrSignature::new(secret.sign_schnorr(&sighash)),
    };
    let upto = run.ledger.anchor(Bitcoin).number + 1;
    run.observe(Bitcoin, upto, vec![Fact::CovenantBreach(breach)]);
}

fn convicted(seed: u64) -> Run {
    let (mut run, vault) = joined(network(3, seed));
    breach(&mut run, vault, seed);
    run
}

fn only_case(run: &Run) -> Case {
    assert_eq!(run.ledger.cases().count(), 1);
    run.ledger.cases().next().unwrap().clone()
}

fn only_order(run: &Run) -> Order {
    assert_eq!(run.ledger.orders().count(), 1);
    *run.ledger.orders().next().unwrap()
}

fn status(run: &Run) -> OrderStatus {
    only_case(run).orders[0].status
}

/// Ethereum's anchor moves on to `upto`.
fn ethereum(run: &mut Run, upto: u64, facts: Vec<Fact>) {
    run.observe(Ethereum, upto, facts);
    run.ledger.audit().unwrap();
}

fn slashed(run: &Run, before: u128, afterwards: u128) -> SlashedOnChain {
    let case = only_case(run);
    let StakeSource::EigenLayer(asset) = run.network.genesis.assets[0].source else { panic!("not EigenLayer") };
    SlashedOnChain {
        case: case.id,
        operator: case.operator,
        adapter: run.network.genesis.contracts.eigenlayer_adapter,
        asset,
        before,
        afterwards,
        transaction: Hash::new([0x51; 32]),
    }
}

#[test]
fn r27_a_breach_is_an_order_in_the_block_that_opens_its_case() {
    let run = convicted(1);
    let (case, order, genesis) = (only_case(&run), only_order(&run), &run.network.genesis);
    let committee = run.ledger.committee_of(order.epoch).unwrap();
    assert!(case.needs_order());
    assert_eq!((order.number, order.epoch), (1, Epoch::new(1)));
    assert_eq!((order.chain, order.evm_chain_id), (run.network.chain, genesis.evm_chain_id));
    assert_eq!((order.contract, order.adapter), (genesis.contracts.orders, genesis.contracts.eigenlayer_adapter));
    assert_eq!((order.case, order.operator, order.service), (case.id, case.operator, ServiceId::ZERO));
    assert_eq!((order.wad, order.capture), (genesis.parameters.order_part, committee.ethereum.number));
    // Maximum age, trust and execution after the snapshot: what it counted can be taken until then (R4).
    assert_eq!(order.expiry, committee.ethereum.number + 100 + 50 + 20);
    assert_eq!(case.orders[0].asked, SHARES / 4, "what the order will take");
    assert_eq!((order.to_bytes().len(), Order::from_bytes(&order.to_bytes())), (Order::LENGTH, Ok(order)));
    assert_eq!(run.ledger.order(&order.id()), Some(&order));
    assert_eq!(run.ledger.epoch_of_number(NumberedKind::Order, 1), Some(Epoch::new(1)));
    run.ledger.audit().unwrap();
}

#[test]
fn r03_every_epoch_draws_the_order_again_under_a_new_number_until_it_is_taken() {
    let mut run = convicted(2);
    let first = only_order(&run);
    run.until_epoch(2);
    run.produce(vec![]);
    let second = only_order(&run);
    assert_eq!((second.number, second.epoch), (2, Epoch::new(2)));
    assert_eq!(
        second,
        Order { number: 2, epoch: second.epoch, capture: second.capture, expiry: second.expiry, ..first }
    );
    assert!(second.capture >= first.capture, "a new snapshot");
    run.produce(vec![]);
    assert_eq!(only_order(&run), second, "once an epoch");
    run.until_epoch(3);
    run.produce(vec![]);
    assert_eq!(only_order(&run).number, 3);
    assert_eq!(
        [1, 2, 3, 4].map(|number| run.ledger.epoch_of_number(NumberedKind::Order, number).map(Epoch::get)),
        [None, Some(2), Some(3), None]
    );
    let upto = run.ledger.anchor(Ethereum).number + 1;
    let taken = slashed(&run, SHARES, SHARES * 3 / 4);
    let left = run.network.stake_fact(0, SHARES * 3 / 4);
    ethereum(&mut run, upto, vec![Fact::Slashed(taken), left]);
    run.until_epoch(4);
    run.produce(vec![]);
    assert_eq!(only_order(&run).number, 3, "nothing is left to order");
}

#[test]
fn r24_what_was_really_taken_is_booked_and_nothing_more_is_asked() {
    let mut run = convicted(3);
    // An order of another case, or of another's adapter, changes nothing.
    let told = slashed(&run, SHARES, SHARES - 77);
    let strange = [
        SlashedOnChain { case: CaseId::ZERO, ..told },
        SlashedOnChain { adapter: Address::ZERO, ..told },
        SlashedOnChain { operator: run.network.operators[2].id, ..told },
    ];
    ethereum(&mut run, 106, strange.map(Fact::Slashed).to_vec());
    assert_eq!(status(&run), OrderStatus::Ordered);
    let left = run.network.stake_fact(0, SHARES - 77);
    ethereum(&mut run, 107, vec![Fact::Slashed(told), left]);
    let taken = Taken { amount: 77, transaction: told.transaction };
    assert_eq!(status(&run), OrderStatus::Final(taken), "what the views show, not what was asked");
    assert_eq!(only_case(&run).status(), CaseStatus::Final);
}

#[test]
fn r11_an_order_that_passed_is_expired_until_the_next_epoch_orders_again() {
    let mut run = convicted(4);
    let order = only_order(&run);
    ethereum(&mut run, order.expiry, vec![]);
    assert_eq!(status(&run), OrderStatus::Ordered, "in its last block it can be executed");
    assert_eq!(only_order(&run), order);
    ethereum(&mut run, order.expiry + 1, vec![]);
    assert_eq!(status(&run), OrderStatus::Expired, "the old committee's snapshot gives no time any more");
    assert_eq!(only_case(&run).status(), CaseStatus::Convicted, "the case is open");
    assert_eq!(only_order(&run), order);
    run.until_epoch(2);
    run.produce(vec![]);
    assert_eq!((status(&run), only_order(&run).number), (OrderStatus::Ordered, 2));
    assert!(only_order(&run).expiry > order.expiry);
    // And a loss that is shown late is a loss.
    let upto = run.ledger.anchor(Ethereum).number + 1;
    let late = slashed(&run, SHARES, SHARES / 2);
    ethereum(&mut run, upto, vec![Fact::Slashed(late)]);
    assert!(matches!(status(&run), OrderStatus::Final(_)));
}

#[test]
fn stake_that_left_escapes_its_order_and_nobody_orders_again() {
    let mut run = convicted(5);
    let gone = run.network.position_fact(0, Magnitudes::NOTHING);
    ethereum(&mut run, 106, vec![gone]);
    assert_eq!(status(&run), OrderStatus::Escaped);
    run.until_epoch(2);
    run.produce(vec![]);
    assert_eq!(only_order(&run).number, 1);
}

#[test]
fn r25_two_orders_under_one_number_convict_their_signer() {
    let mut run = convicted(6);
    let domain = run.network.genesis.domain(DomainKind::Order);
    assert_eq!(domain, run.ledger.domains().order);
    let pair = run.network.pair_in(domain, 1, 1);
    let guilty = run.network.operators[1].id;
    run.produce(vec![Item::Evidence(pair.clone())]);
    let case = run.ledger.case(&CaseId::derive(&run.network.chain, &guilty, &domain)).unwrap();
    assert!(!case.needs_order(), "Palisade.sol judges pairs of this domain itself");
    assert_eq!(case.orders[0].asked, SHARES / 2, "what an equivocation takes");
    assert_eq!(run.ledger.orders().count(), 1, "so that nothing is ordered for it");
    assert_eq!(run.ledger.judge(&pair), Err(Unproven::AlreadyConvicted));
    run.ledger.audit().unwrap();
}

#[test]
fn r06_in_an_epoch_without_weight_nothing_is_ordered() {
    // The two who are left do not weigh enough.
    let poor = |genesis: &mut Genesis| genesis.parameters.min_total = palisade_types::MicroUsd::new(BOND * 5 / 2);
    let network = network_with(3, 7, poor);
    let (mut run, vault) = joined(network);
    let weight = |run: &Run| run.ledger.committee().has_weight();
    assert!(weight(&run), "three are enough");
    breach(&mut run, vault, 7);
    assert_eq!(only_order(&run).number, 1);
    run.until_epoch(2);
    run.produce(vec![]);
    assert!(!weight(&run), "two are not");
    assert_eq!((only_order(&run).number, status(&run)), (1, OrderStatus::Ordered));
    let past = only_order(&run).expiry + 1;
    ethereum(&mut run, past, vec![]);
    assert_eq!((only_order(&run).number, status(&run)), (1, OrderStatus::Expired));
}

#[test]
fn r11_genesis_leaves_time_for_the_delay_and_bounds_the_part() {
    let refused = |change: fn(&mut Genesis)| {
        let mut genesis = (*network(3, 8).genesis).clone();
        change(&mut genesis);
        matches!(genesis.check(), Err(Unsafe::Senseless(_)))
    };
    assert!(!refused(|_| {}));
    assert!(refused(|genesis| genesis.parameters.order_part = Wad::new(0)));
    assert!(refused(|genesis| genesis.parameters.order_part = Wad::new(Wad::ONE.get() + 1)));
    assert!(refused(|genesis| genesis.parameters.order_delay_blocks = 0));
    assert!(refused(|genesis| genesis.parameters.order_delay_blocks = genesis.parameters.execution_blocks));
    assert!(!refused(|genesis| genesis.parameters.order_delay_blocks = genesis.parameters.execution_blocks - 1));
}

#[test]
fn rows_of_orders_have_the_numbers_that_proofs_name() {
    let id = OrderId { case: CaseId::new([1; 32]), adapter: Address::new([2; 20]) };
    assert_eq!((RowKey::Order(id).to_bytes()[0], RowKey::Orders.to_bytes()), (16, vec![17]));
    let run = convicted(9);
    let order = only_order(&run);
    assert_eq!(run.ledger.row(&RowKey::Order(order.id())), Some(&Row::Order(order)));
    let nowhere = Domain::own(&run.network.chain, &Address::ZERO, DomainKind::Order);
    assert_ne!(order.statement(nowhere).bls_message(&run.network.chain), {
        order.statement(run.ledger.domains().order).bls_message(&run.network.chain)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever Ethereum's clock and the epochs do: numbers only grow, each belongs to the epoch in which it was given, an
    /// order is never drawn past the time to execute it, and a ledger that is restored says the same.
    #[test]
    fn r03_numbers_only_grow_and_orders_are_alive_when_drawn(steps in prop::collection::vec((0_u8..3, 1_u64..90), 1..14)) {
        let mut run = convicted(10);
        let mut last = only_order(&run);
        for (what, by) in steps {
            let now = run.ledger.anchor(Ethereum).number;
            match what {
                0 => { run.produce(vec![]); }
                1 => { run.observe(Ethereum, now + by, vec![]); }
                _ => run.until_epoch(run.ledger.epoch().epoch.get() + 1),
            }
            let order = only_order(&run);
            if order != last {
                let now = run.ledger.anchor(Ethereum).number;
                prop_assert!(order.number > last.number && order.epoch > last.epoch);
                prop_assert!(now + run.network.genesis.parameters.order_delay_blocks < order.expiry);
                prop_assert_eq!(status(&run), OrderStatus::Ordered);
            }
            let dead = run.ledger.anchor(Ethereum).number > order.expiry;
            prop_assert_eq!(dead, status(&run) == OrderStatus::Expired);
            last = order;
            run.ledger.audit().unwrap();
        }
        let rows = run.ledger.rows().map(|(key, row)| (*key, row.clone())).collect::<Vec<_>>();
        let genesis = std::sync::Arc::clone(run.ledger.genesis_of());
        let restored = palisade_ledger::Ledger::restore(genesis, run.ledger.head(), rows).unwrap();
        prop_assert_eq!(restored.root(), run.ledger.root());
    }
}
