//! Orders: a fault that no contract can check becomes one, it is drawn again until the stake is taken, and what was really
//! taken is booked.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_crypto::hash::sha256;
use palisade_ledger::fixture::{BOND, Network, Run, SHARES, covenant_secret, network, network_with};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::evidence::CovenantBreach;
use palisade_types::genesis::{Asset, Genesis, KarakContracts, SymbioticContracts, Unsafe};
use palisade_types::observation::{SlashedOnChain, StakeSeen, VetoedOnChain};
use palisade_types::position::{Capture, KarakStake, Magnitudes, Position, PositionId, StakeSource, SymbioticStake};
use palisade_types::slash::{CaseStatus, OrderStatus, SlashTarget, Taken};
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

// ---- Symbiotic and Karak

const SYMBIOTIC: Address = Address::new([0xc1; 20]);
const KARAK: Address = Address::new([0xd1; 20]);
/// Two vaults of each protocol.
const ELSEWHERE: [StakeSource; 4] = [
    StakeSource::Symbiotic(Address::new([0xc4; 20])),
    StakeSource::Symbiotic(Address::new([0xc5; 20])),
    StakeSource::Karak(Address::new([0xd4; 20])),
    StakeSource::Karak(Address::new([0xd5; 20])),
];

/// Stake counts at every protocol.
fn everywhere(genesis: &mut Genesis) {
    let eigenlayer = genesis.assets[0];
    let mut assets = vec![eigenlayer];
    assets.extend(ELSEWHERE.map(|source| Asset { source, equivocation: Wad::ONE, ..eigenlayer }));
    genesis.assets = assets.try_into().unwrap();
    genesis.parameters.window_seconds = 2_160;
    genesis.contracts.symbiotic = Some(SymbioticContracts {
        adapter: SYMBIOTIC,
        vault_factory: Address::new([0xc2; 20]),
        middleware_service: Address::new([0xc3; 20]),
    });
    genesis.contracts.karak = Some(KarakContracts {
        adapter: KARAK,
        core: Address::new([0xd2; 20]),
        unstake_seconds: 777_600,
        veto_seconds: 172_800,
    });
}

/// A breach of a member who has stake there.
fn convicted_everywhere(seed: u64) -> Run {
    let network = network_with(3, seed, everywhere);
    let mut run = Run::new(network);
    let mut facts = run.network.joining_facts();
    let operator = run.network.operators[0].id;
    let mut vault =
        SymbioticStake { pool: SHARES, epoch_duration: 400_000, veto_duration: 0, ..SymbioticStake::NOTHING };
    vault.captures[0] = Capture { time: palisade_ledger::fixture::point(Ethereum, 105).time, stake: SHARES };
    let karak = KarakStake { assets: SHARES, leaving: 0, veto_duration: 172_800 };
    facts.extend(ELSEWHERE.map(|source| {
        let position = match source {
            StakeSource::Symbiotic(_) => Position::Symbiotic(vault),
            _ => Position::Karak(karak),
        };
        Fact::Stake(StakeSeen { id: PositionId { operator, source }, position })
    }));
    run.observe(Ethereum, 105, facts);
    let vault = run.network.vault(1, 1, 100_000_000, 201);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    run.until_epoch(1);
    breach(&mut run, id, seed);
    run
}

fn at(run: &Run, source: StakeSource) -> OrderStatus {
    only_case(run).orders.iter().find(|order| order.target == source.target()).unwrap().status
}

fn numbers(run: &Run) -> Vec<(Address, u64)> {
    let mut drawn: Vec<_> = run.ledger.orders().map(|order| (order.adapter, order.number)).collect();
    drawn.sort_by_key(|(_, number)| *number);
    drawn
}

/// What an adapter's target lost: a quarter.
fn lost(run: &Run, source: StakeSource) -> Fact {
    let (adapter, asset) = place(source);
    Fact::Slashed(SlashedOnChain { adapter, asset, ..slashed(run, SHARES, SHARES - SHARES / 4) })
}

fn vetoed(run: &Run, source: StakeSource) -> Fact {
    let (adapter, asset) = place(source);
    let (case, operator) = (only_case(run).id, only_case(run).operator);
    Fact::Vetoed(VetoedOnChain { case, operator, adapter, asset, transaction: Hash::new([7; 32]) })
}

fn place(source: StakeSource) -> (Address, Address) {
    match source {
        StakeSource::EigenLayer(_) => panic!("asked of `slashed`"),
        StakeSource::Symbiotic(vault) => (SYMBIOTIC, vault),
        StakeSource::Karak(vault) => (KARAK, vault),
    }
}

fn next(run: &mut Run, facts: Vec<Fact>) {
    let upto = run.ledger.anchor(Ethereum).number + 1;
    ethereum(run, upto, facts);
}

#[test]
fn r04_a_window_and_a_veto_that_outlive_an_unstake_on_karak_are_refused() {
    let check = |change: fn(&mut Genesis)| {
        let mut genesis = (*network_with(1, 35, everywhere).genesis).clone();
        change(&mut genesis);
        genesis.check()
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(check(|genesis| genesis.contracts.karak.as_mut().unwrap().unstake_seconds = 2_160 + 172_800), Ok(()));
    for refused in [
        check(|genesis| genesis.contracts.karak.as_mut().unwrap().unstake_seconds = 2_160 + 172_799),
        check(|genesis| genesis.parameters.window_seconds = 777_600 - 172_800 + 1),
        check(|genesis| genesis.contracts.karak.as_mut().unwrap().veto_seconds = u64::MAX),
        check(|genesis| genesis.contracts.karak = None),
    ] {
        assert!(matches!(refused, Err(Unsafe::Senseless(why)) if why.contains("Karak")), "{refused:?}");
    }
}

#[test]
fn r11_a_breach_is_ordered_at_every_protocol_once_each() {
    let run = convicted_everywhere(31);
    let case = only_case(&run);
    assert_eq!(case.orders.len(), 5);
    assert!(case.orders.iter().all(|order| order.asked == SHARES / 4 && order.status == OrderStatus::Ordered));
    let eigenlayer = run.network.genesis.contracts.eigenlayer_adapter;
    let adapters: Vec<_> = numbers(&run).into_iter().map(|(adapter, _)| adapter).collect();
    let mut expected = vec![eigenlayer, SYMBIOTIC, KARAK];
    expected.sort_unstable();
    assert_eq!(adapters, expected, "ascending, one number each");
    let part = run.network.genesis.parameters.order_part;
    assert!(run.ledger.orders().all(|order| order.wad == part && order.service == ServiceId::ZERO));
    run.ledger.audit().unwrap();
}

#[test]
fn r24_on_symbiotic_each_vault_ends_on_its_own_and_only_then_nothing_is_ordered() {
    let mut run = convicted_everywhere(32);
    let facts = vec![lost(&run, ELSEWHERE[0])];
    next(&mut run, facts);
    assert!(matches!(at(&run, ELSEWHERE[0]), OrderStatus::Final(taken) if taken.amount == SHARES / 4));
    assert_eq!(at(&run, ELSEWHERE[1]), OrderStatus::Ordered, "it may wait for a veto");
    let ordered = |run: &Run| run.ledger.orders().find(|order| order.adapter == SYMBIOTIC).unwrap().epoch;
    run.until_epoch(2);
    run.produce(vec![]);
    assert_eq!(ordered(&run), Epoch::new(2), "ordered again");
    let facts = vec![vetoed(&run, ELSEWHERE[1])];
    next(&mut run, facts);
    assert_eq!(at(&run, ELSEWHERE[1]), OrderStatus::Vetoed);
    // Whatever comes: nobody asked again.
    let facts = vec![lost(&run, ELSEWHERE[1])];
    next(&mut run, facts);
    assert_eq!(at(&run, ELSEWHERE[1]), OrderStatus::Vetoed);
    run.until_epoch(3);
    run.produce(vec![]);
    assert_eq!(ordered(&run), Epoch::new(2), "and nothing is ordered there");
    assert!(run.ledger.orders().any(|order| order.adapter == KARAK && order.epoch == Epoch::new(3)), "elsewhere it is");
}

#[test]
fn r24_karak_takes_all_of_its_vaults_at_once_or_spares_them() {
    for veto in [false, true] {
        let mut run = convicted_everywhere(33);
        let fact = if veto { vetoed(&run, ELSEWHERE[2]) } else { lost(&run, ELSEWHERE[2]) };
        next(&mut run, vec![fact]);
        assert_eq!(matches!(at(&run, ELSEWHERE[2]), OrderStatus::Final(_)), !veto);
        assert_eq!(at(&run, ELSEWHERE[3]), OrderStatus::Escaped, "it was not in the request");
        assert_eq!(at(&run, ELSEWHERE[0]), OrderStatus::Ordered);
        assert_eq!(at(&run, run.network.genesis.assets[0].source), OrderStatus::Ordered);
        assert_eq!(only_case(&run).status(), CaseStatus::Convicted);
    }
}

#[test]
fn r25_a_vault_with_nothing_left_escapes_when_its_adapter_says_so() {
    let mut run = convicted_everywhere(34);
    let SlashTarget::Symbiotic(asset) = ELSEWHERE[1].target() else { unreachable!() };
    let nothing = SlashedOnChain { adapter: SYMBIOTIC, asset, ..slashed(&run, 0, 0) };
    let facts = vec![lost(&run, ELSEWHERE[0]), Fact::Slashed(nothing)];
    next(&mut run, facts);
    assert_eq!(at(&run, ELSEWHERE[1]), OrderStatus::Escaped);
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
    assert_eq!(run.ledger.row(&RowKey::Order(order.id())), Some(Row::Order(Box::new(order))));
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
        let rows = run.ledger.rows().collect::<Vec<_>>();
        let genesis = std::sync::Arc::clone(run.ledger.genesis_of());
        let restored = palisade_ledger::Ledger::restore(genesis, run.ledger.head(), rows).unwrap();
        prop_assert_eq!(restored.root(), run.ledger.root());
    }
}
