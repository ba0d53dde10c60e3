//! EigenLayer's generations: our doubles of cores 1.9 and 1.13 held against the real core 1.4, and the client over them. Slow.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code)]
mod doubles;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
mod history;
#[allow(dead_code)]
mod recorded;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
#[allow(dead_code)]
mod world;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::{SolCall, SolEvent};
use doubles::bindings::odd_token::OddToken;
use doubles::{EigenLayerFunds, RESOLUTION_DELAY_BLOCKS};
use history::{Core, OPERATORS, PEOPLE, SETS, STAKERS, Side, Step};
use palisade_ethereum::inspect::{Question, inspect};
use palisade_ethereum::readers::eigenlayer::Generation;
use palisade_ethereum::readers::slashed::Clearing;
use palisade_ethereum::{Config, Ethereum};
use palisade_types::chain::{Chain, ChainError, Progress, Watch};
use palisade_types::ids;
use palisade_types::observation::Fact;
use palisade_types::position::{Position, StakeSource};
use palisade_types::slash::{OrderStatus, SlashOrder, SlashTarget};
use recorded::Recorded;
use sender::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::{Anvil, Member, World, applied, case, execution, signer};

alloy::sol! {
    interface Unknown {
        function getOperatorSetCount(address avs) external view returns (uint256);
        function eigenPodManager() external view returns (address);
        function beaconChainETHStrategy() external view returns (address);
    }
}

/// The histories told, and how long each is.
const SEEDS: [u64; 4] = [1, 2, 3, 4];
const STEPS: usize = 90;

/// The double of core 1.13 does what the real core 1.4 does, wherever both can: the same steps succeed, are refused with
/// the same error, log the same amounts, and leave the same views.
#[tokio::test]
async fn our_double_of_a_newer_eigenlayer_answers_as_the_real_core_does() {
    let [real, double] = [Side::new(true).await, Side::new(false).await];
    let (a, b) = (real.height().await, double.height().await);
    real.mine(a.max(b) - a).await;
    double.mine(a.max(b) - b).await;
    let mut starts = [real.snapshot().await, double.snapshot().await];
    let mut done: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for seed in SEEDS {
        let mut random = Random(seed);
        for number in 0..STEPS {
            let step = step(&mut random, &real, number).await;
            let context = format!("seed {seed}, step {number}: {step:?}");
            let outcomes = [real.does(&step).await, double.does(&step).await];
            if let [Ok(shown), Ok(ours)] = &outcomes {
                for (shown, ours) in shown.iter().zip(ours) {
                    assert_eq!(shown, ours, "{context}");
                }
            }
            assert_eq!(outcomes[0], outcomes[1], "{context}");
            let [shown, ours] = [real.shows().await, double.shows().await];
            for (shown, ours) in shown.into_iter().zip(ours) {
                assert_eq!(shown, ours, "{context}");
            }
            let name = format!("{step:?}").split(' ').next().unwrap().to_owned();
            let outcome = usize::from(outcomes[0].is_err());
            done.entry(name).or_default()[outcome] += 1;
            if let Err(refused) = &outcomes[0] {
                done.entry(refused.clone()).or_default()[1] += 1;
            }
        }
        for (side, start) in [&real, &double].into_iter().zip(&mut starts) {
            side.revert(*start).await;
            *start = side.snapshot().await;
        }
    }
    println!("{done:#?}");
    // Histories in which nothing succeeds, or nothing is refused, would compare nothing.
    let kinds = [
        "Deposit",
        "Delegate",
        "Undelegate",
        "Queue",
        "Complete",
        "Allocate",
        "Clear",
        "Delay",
        "Join",
        "Leave",
        "List",
        "Unlist",
        "Slash",
    ];
    for kind in kinds {
        assert!(done.get(kind).is_some_and(|[succeeded, _]| *succeeded > 0), "no {kind} succeeded");
    }
    let errors = done.keys().filter(|name| !kinds.contains(&name.as_str())).count();
    assert!(errors >= 10, "only {errors} different errors were met");
}

/// Our adapter is the set's slasher on newer cores, and what it took is not called burnt before it is.
#[tokio::test]
async fn r24_our_adapter_slashes_on_core_1_9() {
    let world = slashed_on(false, Generation::From1_9).await;
    let ethereum = world.connect().await;
    let funds = ethereum.slashed_funds().await.unwrap();
    assert_eq!(funds.len(), 1);
    assert_eq!(funds[0].clearing, Clearing::Open);
}

#[tokio::test]
async fn r24_what_core_1_13_took_waits_for_the_resolution_block() {
    let world = slashed_on(true, Generation::From1_13).await;
    let core = world.core.clone().unwrap();
    let ethereum = world.connect().await;
    let [waiting] = <[_; 1]>::try_from(ethereum.slashed_funds().await.unwrap()).unwrap();
    let strategy = ids::Address::new(core.strategy.into_array());
    let burn: Address = "0x00000000000000000000000000000000000E16E4".parse().unwrap();
    assert_eq!((waiting.slash, &waiting.held), (1, &vec![(strategy, 100_000 * u128::from(MILLI))]));
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    // Anybody sees it without a genesis, too. The double knows no pods, and does not count sets.
    let recorded = Recorded::before(&world.endpoint, 31_337).await;
    recorded.says(core.allocation_manager, Unknown::getOperatorSetCountCall { avs: adapter }, &U256::ONE);
    recorded.says(core.delegation_manager, Unknown::eigenPodManagerCall {}, &Address::repeat_byte(1));
    recorded.says(core.delegation_manager, Unknown::beaconChainETHStrategyCall {}, &Address::repeat_byte(2));
    let question = Question {
        what: adapter.to_string(),
        endpoint: recorded.endpoint.clone(),
        timeout_ms: 20_000,
        delegation_manager: Some(ids::Address::new(core.delegation_manager.into_array())),
        ..Question::default()
    };
    let [set] = <[_; 1]>::try_from(inspect(&question).await.unwrap().service.unwrap().sets).unwrap();
    assert_eq!((set.slashes.as_deref(), set.redistribution.as_deref()), (Some("1"), None));
    let [escrow] = &set.escrow[..] else { panic!("{:?}", set.escrow) };
    let held = vec![(core.strategy.to_string(), (100_000 * u128::from(MILLI)).to_string())];
    assert_eq!((escrow.slash, &escrow.held), (1, &held));
    let Clearing::Waits { until } = waiting.clearing else { panic!("{waiting:?}") };
    assert_eq!(escrow.resolution_block.map(u64::from), Some(until));
    assert_eq!(waiting.recipient, ids::Address::new(burn.into_array()));
    let Clearing::Waits { until } = waiting.clearing else { panic!("{waiting:?}") };
    let now = world.provider.get_block_number().await.unwrap();
    assert!(until > now && until <= now + u64::from(RESOLUTION_DELAY_BLOCKS));

    let sender = Sender::new(&world.endpoint, &signer(6)).unwrap();
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let set = EigenLayerFunds::clearBurnOrRedistributableSharesCall {
        set: EigenLayerFunds::OperatorSet { avs: adapter, id: 0 },
        slashId: U256::from(1),
    };
    let funds = EigenLayerFunds::new(core.strategy_manager, &sender.provider);
    let early = funds.clearBurnOrRedistributableShares(set.set.clone(), set.slashId).call().await.unwrap_err();
    assert!(early.to_string().contains("06f6f070"), "{early}"); // SlashResolutionDelayNotElapsed()
    while world.provider.get_block_number().await.unwrap() <= until {
        world.finalize().await;
    }
    world.finalize().await;
    assert_eq!(ethereum.slashed_funds().await.unwrap()[0].clearing, Clearing::Open);
    let mut plan = sender.plan().await.unwrap();
    plan.call("clear", core.strategy_manager, &set);
    sender.send(plan).await.unwrap();
    world.finalize().await;
    let [cleared] = <[_; 1]>::try_from(ethereum.slashed_funds().await.unwrap()).unwrap();
    assert_eq!((cleared.clearing, cleared.held), (Clearing::Cleared, vec![]));
}

/// A core that has a newer one's view and not the older one's is none we know.
#[tokio::test]
async fn an_eigenlayer_of_no_known_generation_is_refused_by_name() {
    let world = World::with_stake().await;
    let mut genesis = (*world.genesis).clone();
    // Our own adapter answers none of the core's questions.
    genesis.contracts.delegation_manager = genesis.contracts.committee;
    world.redeploy(&mut genesis).await;
    let connected = Ethereum::connect(&Config::one(&world.endpoint), Arc::new(genesis), None).await;
    assert!(matches!(connected, Err(ChainError::WrongChain { .. })), "{connected:?}");
}

/// A strategy's shares count, whatever its token does; an operator without any, or with the least magnitude there is, is told as
/// the core tells it, and stops nobody else.
#[tokio::test]
async fn odd_tokens_and_operators_are_counted_as_the_core_counts_them() {
    let (anvil, endpoint) = Anvil::start();
    let mut core = eigenlayer::deploy(&endpoint, &signer(0)).await.unwrap();
    let sender = Sender::new(&endpoint, &signer(0)).unwrap();
    let mut plan = sender.plan().await.unwrap();
    core.token = plan.create("odd token", OddToken::BYTECODE.to_vec());
    plan.call("deployNewStrategy", core.strategy_factory, &Core::deployNewStrategyCall { token: core.token });
    sender.send(plan).await.unwrap();
    let made = Core::deployedStrategiesCall { token: core.token };
    let request = TransactionRequest::default().with_to(core.strategy_factory).with_input(made.abi_encode());
    let made = sender.provider.call(request).await.unwrap();
    core.strategy = Core::deployedStrategiesCall::abi_decode_returns(&made).unwrap();
    let world = World::over(anvil, endpoint, Some(core.clone())).await;
    let ethereum = world.connect().await;
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let members = [1, 3, 4].map(Member::new);
    for member in &members {
        ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    }
    let [odd, empty, tiny] = &members;

    // What arrives less a fee is refused by the core itself, and counts nothing here.
    odd_token(&world, &core, &OddToken::chargeFeeCall { bips: U256::from(1_000) }).await;
    let amount = U256::from(1_000_000) * U256::from(MILLI);
    assert!(eigenlayer::stake(&world.endpoint, &core, &odd.signer(), &odd.signer(), amount).await.is_err());
    odd_token(&world, &core, &OddToken::chargeFeeCall { bips: U256::ZERO }).await;
    for (member, magnitude) in [(odd, 400 * MILLI), (tiny, 5)] {
        eigenlayer::stake(&world.endpoint, &core, &member.signer(), &member.signer(), amount).await.unwrap();
        eigenlayer::allocate(&world.endpoint, &core, &member.signer(), adapter, magnitude).await.unwrap();
    }
    let call = Core::registerAsOperatorCall { approver: Address::ZERO, allocationDelay: 0, metadataURI: String::new() };
    let sender = Sender::new(&world.endpoint, &empty.signer()).unwrap();
    let mut plan = sender.plan().await.unwrap();
    plan.call("registerAsOperator", core.delegation_manager, &call);
    sender.send(plan).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &empty.signer(), adapter, 400 * MILLI).await.unwrap();
    world.finalize().await;
    let mut watch = Watch::default();
    let seen = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&world.genesis.ethereum_start, &seen, &watch).await.unwrap();
    applied(&mut watch, &facts);
    let mut slashable = BTreeMap::new();
    for member in &members {
        let id = facts.iter().find_map(|fact| match fact {
            Fact::Stake(stake) if stake.id.operator == member.id() => Some(stake.position),
            _ => None,
        });
        let Some(Position::EigenLayer(magnitudes)) = id else { panic!("{facts:?}") };
        let counted = magnitudes.slashable_at(seen.number);
        assert_eq!(U256::from(counted), world.slashable(member, seen.number).await);
        slashable.insert(member.id(), counted);
    }
    let each = |member: &Member| slashable[&member.id()];
    assert_eq!((each(odd), each(empty), each(tiny)), (400_000 * u128::from(MILLI), 0, 5_000));

    // Balances shrink and grow; shares do neither. Somebody else's logs of the same name say nothing.
    odd_token(&world, &core, &OddToken::rebaseCall { worth_: U256::from(MILLI) }).await;
    let left = Core::OperatorRemovedFromOperatorSet {
        operator: odd.signer().address(),
        operatorSet: Core::OperatorSet { avs: adapter, id: 0 },
    };
    let log = left.encode_log_data();
    let sender = Sender::new(&world.endpoint, &signer(0)).unwrap();
    let mut plan = sender.plan().await.unwrap();
    plan.create("impostor", doubles::logging(log.topics(), &log.data));
    let receipt = sender.send(plan).await.unwrap().remove(0);
    assert_eq!(receipt.logs().len(), 1); // it did say so
    world.finalize().await;
    let next = ethereum.tip().await.unwrap();
    assert_eq!(ethereum.observe(&seen, &next, &watch).await.unwrap(), []);

    // From nobody's shares nothing is taken, which is said by name; the others lose theirs.
    for member in [empty, odd, tiny] {
        let target = SlashTarget::EigenLayer(ids::Address::new(core.strategy.into_array()));
        let order = SlashOrder { target, asked: 1, status: OrderStatus::Ordered };
        let execution = execution(&case(&world.genesis, member, order), &watch);
        let deadline = Instant::now() + Duration::from_secs(20);
        let outcome = loop {
            match ethereum.execute(&execution).await {
                Ok(Progress::Sent(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => break outcome,
            }
        };
        match outcome {
            Err(ChainError::Refused(why)) if each(member) == 0 => assert!(why.contains("LossNotSeen"), "{why}"),
            Ok(Progress::Executed(_)) if each(member) > 0 => {}
            other => panic!("{other:?}"),
        }
    }
    world.finalize().await;
    let last = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&next, &last, &watch).await.unwrap();
    let lost = |member: &Member| {
        facts.iter().find_map(|fact| match fact {
            Fact::Slashed(slashed) if slashed.operator == member.id() => Some((slashed.before, slashed.afterwards)),
            _ => None,
        })
    };
    assert_eq!(lost(empty), None);
    assert_eq!(lost(odd), Some((400_000 * u128::from(MILLI), 299_999_999_999_999_999_700)));
    assert_eq!(lost(tiny), Some((5_000, 2_999))); // two of five, since the core rounds up; down what is left
}

async fn odd_token(world: &World, core: &eigenlayer::EigenLayer, call: &impl SolCall) {
    let sender = Sender::new(&world.endpoint, &signer(0)).unwrap();
    let mut plan = sender.plan().await.unwrap();
    plan.call("odd token", core.token, call);
    sender.send(plan).await.unwrap();
}

/// The whole way of a slash over a double: stake is read, a pair takes a quarter, the loss is seen when it is final.
async fn slashed_on(resolves: bool, generation: Generation) -> World {
    let (anvil, endpoint) = Anvil::start();
    let core = doubles::deploy_eigenlayer(&endpoint, &signer(0), resolves).await;
    let world = World::over(anvil, endpoint, Some(core.clone())).await;
    let ethereum = world.connect().await;
    assert_eq!(ethereum.generation().await.unwrap(), Some(generation));
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let member = Member::new(1);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let amount = U256::from(1_000_000) * U256::from(MILLI);
    eigenlayer::stake(&world.endpoint, &core, &member.signer(), &member.signer(), amount).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &member.signer(), adapter, 400 * MILLI).await.unwrap();
    world.finalize().await;
    let mut watch = Watch::default();
    let seen = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&world.genesis.ethereum_start, &seen, &watch).await.unwrap();
    let [Fact::Keys(_), Fact::Stake(stake)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(stake.id.source, StakeSource::EigenLayer(ids::Address::new(core.strategy.into_array())));
    let Position::EigenLayer(magnitudes) = stake.position else { panic!("{stake:?}") };
    assert_eq!(U256::from(magnitudes.slashable_at(seen.number)), world.slashable(&member, seen.number).await);
    applied(&mut watch, &facts);

    let target = SlashTarget::EigenLayer(ids::Address::new(core.strategy.into_array()));
    let order = SlashOrder { target, asked: 1, status: OrderStatus::Ordered };
    let execution = execution(&case(&world.genesis, &member, order), &watch);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !matches!(ethereum.execute(&execution).await.unwrap(), Progress::Executed(_)) {
        assert!(Instant::now() < deadline, "the slash is not carried out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.finalize().await;
    let last = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&seen, &last, &watch).await.unwrap();
    let [Fact::Convicted(_), Fact::Slashed(slashed), Fact::Stake(stake)] = &facts[..] else { panic!("{facts:?}") };
    // As on the real core, to the last unit.
    assert_eq!((slashed.before, slashed.afterwards), (400_000 * u128::from(MILLI), 299_999_999_999_999_999_700));
    let Position::EigenLayer(left) = stake.position else { panic!("{stake:?}") };
    assert_eq!(left.slashable_at(last.number), slashed.afterwards);
    world
}

/// A thousandth of 1e18.
const MILLI: u64 = 1_000_000_000_000_000;

/// The next step of a history: most of them make sense, some do not.
async fn step(random: &mut Random, real: &Side, number: usize) -> Step {
    let strategy = random.below(2) as usize;
    let operator = random.of(&OPERATORS);
    let (staker, set) = (random.of(&PEOPLE), random.of(&SETS));
    // Every history begins with stake, members and allocations.
    match number {
        0..4 => {
            let [a, b] = [number % 2, number / 2];
            return Step::Deposit {
                staker: STAKERS[a],
                strategy: b,
                amount: 1_000 * ETHER + u128::from(random.next()),
            };
        }
        4..6 => return Step::Delegate { staker: STAKERS[number - 4], operator: OPERATORS[number - 4] },
        6..8 => return Step::Join { operator: OPERATORS[number - 6], set: 0 },
        8..10 => {
            let magnitudes = vec![(0, WAD / 10 + random.below(WAD / 3)), (1, 1 + random.below(WAD / 2))];
            return Step::Allocate { operator: OPERATORS[number - 8], set: 0, magnitudes };
        }
        _ => {}
    }
    match random.below(100) {
        0..12 => Step::Deposit { staker, strategy, amount: random.below(4) as u128 * random.next() as u128 },
        12..17 => Step::Delegate { staker: random.of(&STAKERS), operator },
        17..20 => Step::Undelegate { caller: random.of(&PEOPLE), staker: random.of(&STAKERS) },
        20..34 => {
            let mut amounts = Vec::new();
            for strategy in 0..random.below(3) as usize {
                let share = U256::from(random.below(1_050));
                amounts.push((strategy, real.deposited(staker, strategy).await * share / U256::from(1_000)));
            }
            Step::Queue { staker, amounts }
        }
        34..44 => Step::Complete { staker, which: random.below(4) as usize, tokens: random.below(2) == 0 },
        44..60 => {
            let largest = random.of(&[1, 1_000, WAD / 3, WAD, WAD + WAD / 8]);
            let magnitudes = (0..=random.below(2) as usize).map(|at| ((strategy + at) % 2, random.below(largest)));
            Step::Allocate { operator, set, magnitudes: magnitudes.collect() }
        }
        60..63 => Step::Clear { operator, counts: [random.below(3) as u16, random.below(3) as u16] },
        63..65 => Step::Delay { operator, delay: random.below(5) as u32 },
        65..70 => Step::Join { operator, set },
        70..73 => Step::Leave { operator, set },
        73..75 => Step::List { set, strategy },
        75..77 => Step::Unlist { set, strategy },
        77..93 => {
            let wad = |random: &mut Random| {
                let largest = random.of(&[2, 1_000_000, WAD / 10, WAD, WAD + WAD / 20]);
                if random.below(12) == 0 { WAD } else { random.below(largest) }
            };
            let first = (strategy, wad(random));
            let wads = match random.below(8) {
                0..4 => vec![first],
                4..7 => vec![(0, wad(random)), (1, wad(random))],
                _ => vec![first, (0, wad(random))], // out of order, or twice the same
            };
            Step::Slash { operator, set, wads }
        }
        _ => Step::Wait { blocks: random.of(&[1, 4, 30, 119, 121, 130]) },
    }
}

/// `SplitMix64`: a seed tells the same history everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

const WAD: u64 = 1_000_000_000_000_000_000;
const ETHER: u128 = 1_000_000_000_000_000_000;
