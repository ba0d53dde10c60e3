//! Stake on Symbiotic as the ledger weighs and orders it: captures, the vault that several operators share, vetoes.

#![allow(clippy::unwrap_used)]

use palisade_ledger::fixture::{BOND, Network, Run, SHARES, network_with};
use palisade_types::chain::ChainKind::Ethereum;
use palisade_types::genesis::{Asset, Caps, SymbioticContracts};
use palisade_types::observation::{Listed, SlashedOnChain, StakeSeen, VetoedOnChain};
use palisade_types::position::{Capture, Position, PositionId, StakeSource, SymbioticStake};
use palisade_types::price::Price;
use palisade_types::slash::{CaseStatus, OrderStatus, SlashOrder, SlashTarget, Taken};
use palisade_types::units::{MicroUsd, Wad};
use palisade_types::{Address, Case, Fact, Hash, Item, Row, RowKey};

const ADAPTER: Address = Address::new([0xc1; 20]);
const VAULT: Address = Address::new([0xc4; 20]);
const SOURCE: StakeSource = StakeSource::Symbiotic(VAULT);
/// W of the fixture's parameters, in seconds.
const WINDOW: u64 = 2_160;
/// What [`SHARES`] of the vault's collateral weigh: the whole of them, where EigenLayer's asset loses a half.
const WHOLE: u64 = 2 * BOND;

/// A network whose operators have stake on EigenLayer, and may have some in one vault of Symbiotic.
fn network(operators: usize, seed: u64) -> Network {
    capped(operators, seed, Caps::ANY)
}

/// One in which what is like that vault weighs no more than `cap`.
fn capped(operators: usize, seed: u64, cap: MicroUsd) -> Network {
    network_with(operators, seed, |genesis| {
        let eigenlayer = genesis.assets[0];
        let vault = Asset { source: SOURCE, equivocation: Wad::ONE, cap, ..eigenlayer };
        genesis.assets = vec![eigenlayer, vault].try_into().unwrap();
        genesis.parameters.window_seconds = WINDOW;
        genesis.contracts.symbiotic = Some(SymbioticContracts {
            adapter: ADAPTER,
            vault_factory: Address::new([0xc2; 20]),
            middleware_service: Address::new([0xc3; 20]),
        });
    })
}

fn captured(time: u64, stake: u128) -> SymbioticStake {
    let mut position =
        SymbioticStake { pool: stake, epoch_duration: 4_000, veto_duration: 0, ..SymbioticStake::NOTHING };
    position.captures[0] = Capture { time, stake };
    position
}

fn seen(network: &Network, index: usize, stake: SymbioticStake) -> Fact {
    let id = PositionId { operator: network.operators[index].id, source: SOURCE };
    Fact::Stake(StakeSeen { id, position: Position::Symbiotic(stake) })
}

/// Everybody joins, with these positions in the vault; then the next committee is drawn.
fn drawn(network: Network, stakes: &[SymbioticStake]) -> Run {
    let mut run = Run::new(network);
    let mut facts = run.network.joining_facts();
    facts.extend(stakes.iter().enumerate().map(|(index, stake)| seen(&run.network, index, *stake)));
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    run
}

fn weight(run: &Run, index: usize) -> u64 {
    let committee = run.ledger.committee();
    committee.seat(&run.network.operators[index].id).map_or(0, |(_, member)| member.ether)
}

/// The time of the anchor that [`drawn`] draws by.
fn snapshot() -> u64 {
    palisade_ledger::fixture::point(Ethereum, 105).time
}

#[test]
fn r04_stake_in_a_vault_counts_only_while_its_epoch_holds_window_and_veto() {
    let check = |stake: SymbioticStake, counted: bool| {
        let run = drawn(network(2, 61), &[stake]);
        assert_eq!(weight(&run, 0), BOND + if counted { WHOLE } else { 0 }, "{stake:?}");
        assert_eq!(weight(&run, 1), BOND);
    };
    let now = captured(snapshot(), SHARES);
    check(now, true);
    check(SymbioticStake { epoch_duration: WINDOW, ..now }, true);
    check(SymbioticStake { epoch_duration: WINDOW - 1, ..now }, false);
    check(SymbioticStake { epoch_duration: WINDOW + 100, veto_duration: 100, ..now }, true);
    check(SymbioticStake { epoch_duration: WINDOW + 99, veto_duration: 100, ..now }, false);
    // The capture is as old as it is: its epoch began then.
    check(captured(snapshot() + WINDOW - 4_000, SHARES), true);
    check(captured(snapshot() + WINDOW - 4_001, SHARES), false);
}

#[test]
fn r08_operators_who_share_a_vault_weigh_no_more_than_it_can_lose() {
    // Full restake: each of three could be slashed for all that the vault holds.
    let shared = captured(snapshot(), SHARES);
    let run = drawn(network(3, 62), &[shared; 3]);
    let weights: Vec<u64> = (0..3).map(|index| weight(&run, index) - BOND).collect();
    assert!(weights.iter().sum::<u64>() <= WHOLE, "{weights:?}");
    assert!(weights.iter().all(|weight| *weight == WHOLE / 3), "{weights:?}");
    // In proportion, rounded down, and nothing is cut where all fits.
    let of = |stake| SymbioticStake { pool: SHARES, ..captured(snapshot(), stake) };
    let run = drawn(network(3, 63), &[of(SHARES), of(SHARES / 2), of(0)]);
    assert_eq!((0..3).map(|index| weight(&run, index) - BOND).collect::<Vec<_>>(), [WHOLE * 2 / 3, WHOLE / 3, 0]);
    let run = drawn(network(2, 64), &[of(SHARES / 2), of(SHARES / 2)]);
    assert_eq!((weight(&run, 0), weight(&run, 1)), (BOND + WHOLE / 2, BOND + WHOLE / 2));
    // Of two anchors' views of one vault the lesser holds.
    let run = drawn(network(2, 65), &[of(SHARES / 2), SymbioticStake { pool: SHARES / 2, ..of(SHARES / 2) }]);
    assert_eq!((weight(&run, 0), weight(&run, 1)), (BOND + WHOLE / 4, BOND + WHOLE / 4));
}

#[test]
fn r08_only_listed_vaults_get_a_row_and_only_in_their_own_terms() {
    let mut run = Run::new(network(1, 66));
    let mut facts = run.network.joining_facts();
    let operator = run.network.operators[0].id;
    let foreign = PositionId { operator, source: StakeSource::Symbiotic(Address::new([0xc5; 20])) };
    let position = Position::Symbiotic(captured(snapshot(), SHARES));
    facts.push(Fact::Stake(StakeSeen { id: foreign, position }));
    let mixed = PositionId { operator, source: run.network.genesis.assets[0].source };
    facts.push(Fact::Stake(StakeSeen { id: mixed, position }));
    run.observe(Ethereum, 105, facts);
    assert_eq!(run.ledger.positions().count(), 1);
    assert!(run.ledger.positions().all(|(id, position)| position.is_of(&id.source)));
}

/// A vault that came after genesis, made for one operator.
const LATER: StakeSource = StakeSource::Symbiotic(Address::new([0xc6; 20]));

fn listed(network: &Network, index: usize, source: StakeSource, like: StakeSource) -> Fact {
    Fact::Listed(Listed { id: PositionId { operator: network.operators[index].id, source }, like })
}

fn seen_at(network: &Network, index: usize, source: StakeSource, stake: SymbioticStake) -> Fact {
    let id = PositionId { operator: network.operators[index].id, source };
    Fact::Stake(StakeSeen { id, position: Position::Symbiotic(stake) })
}

#[test]
fn r08_a_listed_vault_weighs_for_its_operator_as_the_asset_it_follows() {
    let network = network(3, 71);
    let mut run = Run::new(network);
    let mut facts = run.network.joining_facts();
    facts.push(listed(&run.network, 0, LATER, SOURCE));
    let later = captured(snapshot(), SHARES / 2);
    // The second has stake there, too, and did not list it; the third listed what genesis does not know.
    facts.push(listed(&run.network, 2, LATER, LATER));
    for index in 0..3 {
        facts.push(seen_at(&run.network, index, LATER, later));
    }
    facts.push(seen(&run.network, 0, captured(snapshot(), SHARES)));
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    assert_eq!([0, 1, 2].map(|index| weight(&run, index)), [BOND + WHOLE + WHOLE / 2, BOND, BOND]);
    let id = PositionId { operator: run.network.operators[0].id, source: LATER };
    assert_eq!(run.ledger.listings().map(|(id, like)| (*id, *like)).collect::<Vec<_>>(), [(id, SOURCE)]);
    assert_eq!(run.ledger.watch(Ethereum).listings.into_iter().collect::<Vec<_>>(), [(id, SOURCE)]);
    assert_eq!(run.ledger.row(&RowKey::Listing(id)), Some(Row::Listing(SOURCE)));

    // An equivocation asks for both, and what was taken of each is booked by itself.
    let pair = run.network.pair(0, 1);
    run.produce(vec![Item::Evidence(pair)]);
    let asked = |run: &Run, target: StakeSource| {
        *only_case(run).orders.iter().find(|order| order.target == target.target()).unwrap()
    };
    assert_eq!((asked(&run, SOURCE).asked, asked(&run, LATER).asked), (SHARES, SHARES / 2));
    let (case, operator, transaction) = (only_case(&run).id, only_case(&run).operator, Hash::new([8; 32]));
    let (asset, before) = (*LATER.asset(), SHARES / 2);
    let fact =
        Fact::Slashed(SlashedOnChain { case, operator, adapter: ADAPTER, asset, before, afterwards: 0, transaction });
    run.observe(Ethereum, run.ledger.anchor(Ethereum).number + 1, vec![fact]);
    assert_eq!(asked(&run, LATER).status, OrderStatus::Final(Taken { amount: SHARES / 2, transaction }));
    assert_eq!(asked(&run, SOURCE).status, OrderStatus::Ordered);
}

#[test]
fn r23_listed_vaults_share_the_cap_of_the_asset_they_follow() {
    let mut run = Run::new(capped(2, 72, MicroUsd::new(WHOLE)));
    let mut facts = run.network.joining_facts();
    facts.push(listed(&run.network, 0, LATER, SOURCE));
    facts.push(seen_at(&run.network, 0, LATER, captured(snapshot(), SHARES)));
    facts.push(seen(&run.network, 0, captured(snapshot(), SHARES)));
    facts.push(seen(&run.network, 1, captured(snapshot(), SHARES)));
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    // Genesis' vault cannot lose to both what each could lose there, and what is left is a third over the cap.
    assert_eq!([0, 1].map(|index| weight(&run, index) - BOND), [WHOLE * 3 / 4, WHOLE / 4]);
}

#[test]
fn r08_one_vault_that_several_listed_is_lost_once() {
    let mut run = Run::new(network(3, 73));
    let mut facts = run.network.joining_facts();
    for index in 0..3 {
        facts.push(listed(&run.network, index, LATER, SOURCE));
        facts.push(seen_at(&run.network, index, LATER, captured(snapshot(), SHARES)));
    }
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    assert_eq!([0, 1, 2].map(|index| weight(&run, index) - BOND), [WHOLE / 3; 3]);
}

#[test]
fn r24_a_listing_stays_and_there_are_few() {
    let mut run = Run::new(network(1, 74));
    let mut facts = run.network.joining_facts();
    let eigenlayer = run.network.genesis.assets[0].source;
    let of = |byte: u8| StakeSource::Symbiotic(Address::new([byte; 20]));
    for fact in [(SOURCE, SOURCE), (of(9), eigenlayer), (of(9), of(8)), (eigenlayer, eigenlayer)] {
        facts.push(listed(&run.network, 0, fact.0, fact.1)); // none of these is a listing
    }
    facts.extend((1..=6).map(|byte| listed(&run.network, 0, of(byte), SOURCE)));
    run.observe(Ethereum, 105, facts);
    let sources: Vec<_> = run.ledger.listings().map(|(id, _)| id.source).collect();
    assert_eq!(sources, [1, 2, 3, 4].map(of), "as many as the contract lets him");
    assert_eq!(palisade_types::position::MAX_LISTED, 4);
}

fn only_case(run: &Run) -> &Case {
    run.ledger.cases().next().unwrap()
}

fn order(run: &Run) -> SlashOrder {
    let orders = &only_case(run).orders;
    *orders.iter().find(|order| order.target == SlashTarget::Symbiotic(VAULT)).unwrap()
}

/// Operator 0 is convicted, with stake in the vault.
fn convicted(seed: u64) -> Run {
    let mut run = drawn(network(2, seed), &[captured(snapshot(), SHARES)]);
    let pair = run.network.pair(0, 1);
    run.produce(vec![Item::Evidence(pair)]);
    run
}

fn vetoed(run: &Run, adapter: Address) -> Fact {
    let (case, operator) = (only_case(run).id, only_case(run).operator);
    Fact::Vetoed(VetoedOnChain { case, operator, adapter, asset: VAULT, transaction: Hash::new([7; 32]) })
}

fn slashed(run: &Run, adapter: Address, afterwards: u128) -> Fact {
    let (case, operator) = (only_case(run).id, only_case(run).operator);
    let transaction = Hash::new([8; 32]);
    Fact::Slashed(SlashedOnChain { case, operator, adapter, asset: VAULT, before: SHARES, afterwards, transaction })
}

#[test]
fn r26_an_equivocation_asks_for_the_whole_share_and_books_what_was_really_taken() {
    let mut run = convicted(67);
    assert_eq!((order(&run).asked, order(&run).status), (SHARES, OrderStatus::Ordered));
    // Another contract, or another adapter's word for the vault, books nothing.
    let eigenlayer = run.network.genesis.contracts.eigenlayer_adapter;
    for adapter in [Address::new([0xee; 20]), eigenlayer] {
        let fact = slashed(&run, adapter, 0);
        run.observe(Ethereum, run.ledger.anchor(Ethereum).number + 1, vec![fact]);
        assert_eq!(order(&run).status, OrderStatus::Ordered);
    }
    let fact = slashed(&run, ADAPTER, SHARES / 4);
    run.observe(Ethereum, run.ledger.anchor(Ethereum).number + 1, vec![fact]);
    let taken = Taken { amount: SHARES - SHARES / 4, transaction: Hash::new([8; 32]) };
    assert_eq!(order(&run).status, OrderStatus::Final(taken));
}

#[test]
fn r26_a_vetoed_slash_ends_at_that_vault_and_nowhere_else() {
    let mut run = convicted(68);
    let (foreign, own) = (vetoed(&run, Address::new([0xee; 20])), vetoed(&run, ADAPTER));
    run.observe(Ethereum, run.ledger.anchor(Ethereum).number + 1, vec![foreign]);
    assert_eq!(order(&run).status, OrderStatus::Ordered);
    run.observe(Ethereum, run.ledger.anchor(Ethereum).number + 1, vec![own]);
    assert_eq!(order(&run).status, OrderStatus::Vetoed);
    assert_eq!(only_case(&run).orders[0].status, OrderStatus::Ordered, "EigenLayer's stands");
    assert_eq!(only_case(&run).status(), CaseStatus::Convicted);
    // It stays vetoed, whatever comes: nobody asked again.
    let fact = slashed(&run, ADAPTER, 0);
    run.observe(Ethereum, run.ledger.anchor(Ethereum).number + 1, vec![fact]);
    assert_eq!(order(&run).status, OrderStatus::Vetoed);
}

#[test]
fn r26_what_waits_for_its_veto_has_not_escaped_before_its_epoch_ends() {
    let mut run = Run::new(network(2, 69));
    let mut facts = run.network.joining_facts();
    // Captured at the anchor; of its epoch the veto takes the last 240 seconds, twenty blocks.
    let stake = SymbioticStake { epoch_duration: 480, veto_duration: 240, ..captured(snapshot(), SHARES) };
    facts.push(seen(&run.network, 0, stake));
    run.observe(Ethereum, 105, facts);
    let pair = run.network.pair(0, 1);
    run.produce(vec![Item::Evidence(pair)]);
    assert_eq!(order(&run).asked, SHARES);
    run.observe(Ethereum, 105 + 40, vec![]);
    assert_eq!(order(&run).status, OrderStatus::Ordered);
    run.observe(Ethereum, 105 + 41, vec![]);
    assert_eq!(order(&run).status, OrderStatus::Escaped);
}

#[test]
fn r04_a_genesis_that_counts_seconds_says_how_long_its_window_is() {
    let check = |change: fn(&mut palisade_types::Genesis)| {
        let mut genesis = network(1, 70).genesis.as_ref().clone();
        change(&mut genesis);
        genesis.check()
    };
    assert_eq!(check(|_| ()), Ok(()));
    assert!(check(|genesis| genesis.parameters.window_seconds = 0).is_err());
    assert!(check(|genesis| genesis.parameters.window_seconds = genesis.parameters.ethereum_window() - 1).is_err());
    assert!(check(|genesis| genesis.contracts.symbiotic = None).is_err());
    assert!(check(|genesis| genesis.assets = vec![genesis.assets[0]].try_into().unwrap()).is_err());
    assert!(check(|genesis| genesis.assets.as_mut_slice()[1].equivocation = Wad::new(1)).is_err());
    // On mainnet a block takes twelve seconds.
    let on_mainnet = |genesis: &mut palisade_types::Genesis| {
        genesis.evm_chain_id = 1;
        genesis.vaults = palisade_types::List::new();
    };
    let mut genesis = network(1, 70).genesis.as_ref().clone();
    on_mainnet(&mut genesis);
    assert_eq!(genesis.check(), Ok(()));
    genesis.parameters.window_seconds -= 1;
    assert!(genesis.check().is_err());
    // Priced in micro-dollars of 1e18 units.
    assert_eq!(genesis.assets[1].price, Price::Fixed(MicroUsd::new(2_000_000_000)));
}
