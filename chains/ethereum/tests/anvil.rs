//! The client on a real anvil: our contracts as compiled, and the real EigenLayer core where stake is looked at. Slow.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

// The devnet's own deployment, so that what is tested is what runs. Not as a dependency: that crate depends on ours and
// on the whole node.
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code)] // the other half makes the vectors
mod council;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/relay.rs"]
mod relay;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
mod light;
mod ordered;
mod stake;
mod world;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use palisade_crypto::{ed25519, eots};
use palisade_ethereum::readers::eigenlayer::Generation;
use palisade_ethereum::{Config, Ethereum};
use palisade_types::canonical::List;
use palisade_types::chain::{Chain, ChainError, ChainPoint, Endpoints, Execution, Progress, Watch};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{self, Hash};
use palisade_types::observation::{Fact, KeysRegistered};
use palisade_types::position::{Magnitudes, Position, PositionId, StakeSource};
use palisade_types::possession;
use palisade_types::slash::{OrderStatus, SlashOrder, SlashTarget};
use relay::{Lie, Relay};
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::{Member, World, applied, case, execution};

#[tokio::test]
async fn a_registration_is_a_fact_once_it_is_final() {
    let world = World::without_stake().await;
    let ethereum = world.connect().await;
    let start = world.genesis.ethereum_start;
    let member = Member::new(1);

    assert_eq!(ethereum.registered(&member.id()).await.unwrap(), None);
    let keys = member.keys(&world.genesis);
    let registered = ethereum.register_keys(&member.account(), &keys).await.unwrap();
    assert_eq!((registered.key_id, registered.bls), (1, keys.bls));
    let again = ethereum.register_keys(&member.account(), &keys).await.unwrap();
    assert_eq!(again, registered); // nothing was sent: the contract would refuse the keys

    let early = ethereum.tip().await.unwrap();
    assert!(early.number < registered.from);
    let unseen = ethereum.point(registered.from).await;
    assert!(matches!(unseen, Err(ChainError::NotThere { number }) if number == registered.from));
    if early.number > start.number {
        assert_eq!(ethereum.observe(&start, &early, &Watch::default()).await.unwrap(), []);
    }

    world.finalize().await;
    world.finalize().await;
    let tip = ethereum.tip().await.unwrap();
    assert!(tip.number > registered.from);
    let facts = ethereum.observe(&start, &tip, &Watch::default()).await.unwrap();
    let [Fact::Keys(fact)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(fact.operator, member.id());
    assert_eq!((fact.row.id, fact.row.from), (1, registered.from));
    assert_proofs_hold(&world.genesis, fact);
    assert_eq!(ethereum.observe(&start, &tip, &Watch::default()).await.unwrap(), facts);

    // The anchor divides: nothing is told twice, and a log that was not taken in yet is told (R32).
    let before = ethereum.point(registered.from - 1).await.unwrap();
    let at = ethereum.point(registered.from).await.unwrap();
    let observe =
        async |after: &ChainPoint, upto: &ChainPoint| ethereum.observe(after, upto, &Watch::default()).await.unwrap();
    assert_eq!(observe(&before, &at).await, facts);
    assert_eq!(observe(&at, &tip).await, []);
    assert_eq!(observe(&before, &ChainPoint { log: 0, ..at }).await, []);
    assert_eq!(observe(&ChainPoint { log: 0, ..at }, &tip).await, facts);
}

fn assert_proofs_hold(genesis: &Genesis, fact: &KeysRegistered) {
    let (chain, palisade) = (genesis.chain_id(), genesis.contracts.palisade);
    let message = possession::ed25519_message(&chain, &palisade, &fact.operator, &fact.row.ed25519);
    let key = ed25519::PublicKey::from_bytes(fact.row.ed25519.as_bytes()).unwrap();
    key.verify(&message, &ed25519::Signature(*fact.ed25519_proof.as_bytes())).unwrap();
    let message = possession::eots_message(&chain, &palisade, &fact.operator, &fact.row.eots);
    let key = eots::PublicKey::from_bytes(fact.row.eots.as_bytes()).unwrap();
    key.verify_schnorr(&message, fact.eots_proof.as_bytes()).unwrap();
}

#[tokio::test]
async fn r17_another_chain_is_refused() {
    let world = World::without_stake().await;
    let refused = async |change: fn(&mut Genesis)| {
        let mut genesis = (*world.genesis).clone();
        change(&mut genesis);
        let connected = Ethereum::connect(&Config::one(&world.endpoint), Arc::new(genesis), None).await;
        assert!(matches!(connected, Err(ChainError::WrongChain { .. })), "{connected:?}");
    };
    refused(|genesis| genesis.evm_chain_id = 1).await;
    refused(|genesis| genesis.ethereum_start.hash = Hash::new([9; 32])).await;
    refused(|genesis| genesis.random = Hash::new([9; 32])).await; // the contract is bound to another chain id
    refused(|genesis| genesis.contracts.palisade = ids::Address::new([9; 20])).await;

    let down = Config { timeout_ms: 500, ..Config::one("http://127.0.0.1:1") };
    let connected = Ethereum::connect(&down, Arc::clone(&world.genesis), None).await;
    assert!(matches!(connected, Err(ChainError::Unavailable { .. })));
}

#[tokio::test]
async fn r30_enough_endpoints_outvote_a_liar_and_name_it_and_too_few_say_nothing() {
    let world = World::without_stake().await;
    let member = Member::new(1);
    let start = world.genesis.ethereum_start;
    world.connect().await.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    world.finalize().await;
    let relay = Relay::start(&world.endpoint).await.unwrap();
    let connect = async |honest: usize| {
        let mut endpoints = vec![world.endpoint.clone(); honest];
        endpoints.push(relay.endpoint().to_owned());
        let config = Config { endpoints, ..Config::one("") };
        Ethereum::connect(&config, Arc::clone(&world.genesis), None).await.unwrap()
    };
    let (three, two, silent) = (connect(2).await, connect(1).await, connect(2).await);
    let tip = three.tip().await.unwrap();
    let told = async |ethereum: &Ethereum| ethereum.observe(&start, &tip, &Watch::default()).await;
    let facts = told(&three).await.unwrap();
    assert_eq!(facts.len(), 1);
    assert_eq!(told(&two).await.unwrap(), facts);
    assert_eq!(three.endpoints(), Endpoints { configured: 3, well: 3, contradictions: 0 });

    relay.tell(Lie::NoLogs);
    assert_eq!(told(&three).await.unwrap(), facts);
    assert_eq!(three.endpoints(), Endpoints { configured: 3, well: 2, contradictions: 1 });
    assert_eq!(told(&three).await.unwrap(), facts);
    assert_eq!(three.endpoints().contradictions, 1, "it rests");
    assert!(matches!(told(&two).await, Err(ChainError::Lied(_))));

    relay.tell(Lie::Hashes);
    assert_eq!(three.tip().await.unwrap(), tip);
    assert!(matches!(two.tip().await, Err(ChainError::Lied(_))));
    let other = two.point(start.number).await;
    assert!(matches!(other, Err(ChainError::Lied(_))), "{other:?}");

    relay.tell(Lie::Silence);
    for _ in 0..20 {
        assert_eq!(silent.tip().await.unwrap(), tip);
    }
    assert_eq!(silent.endpoints(), Endpoints { configured: 3, well: 2, contradictions: 0 });
    relay.tell(Lie::None);
    assert_eq!(told(&two).await.unwrap(), facts, "an honest answer counts again at once");
}

#[tokio::test]
async fn r30_what_is_final_outlives_a_reorg_and_a_false_anchor_is_named() {
    let world = World::without_stake().await;
    let ethereum = world.connect().await;
    let start = world.genesis.ethereum_start;
    let member = Member::new(1);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    world.finalize().await;
    let tip = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&start, &tip, &Watch::default()).await.unwrap();
    assert_eq!(facts.len(), 1);

    world.reorg(5).await;
    assert_eq!(ethereum.point(tip.number).await.unwrap(), tip);
    assert_eq!(ethereum.observe(&start, &tip, &Watch::default()).await.unwrap(), facts);

    let gone = ChainPoint { hash: Hash::new([7; 32]), ..start };
    let observed = ethereum.observe(&gone, &tip, &Watch::default()).await;
    assert!(matches!(observed, Err(ChainError::FinalityBroken { number }) if number == start.number));
    let gone = ChainPoint { time: tip.time + 1, ..tip };
    let observed = ethereum.observe(&start, &gone, &Watch::default()).await;
    assert!(matches!(observed, Err(ChainError::FinalityBroken { number }) if number == tip.number));
    world.finalize().await;
    let newer = ethereum.tip().await.unwrap();
    let observed = ethereum.observe(&newer, &tip, &Watch::default()).await;
    assert!(matches!(observed, Err(ChainError::Refused(_))));
}

#[tokio::test]
async fn r30_enough_endpoints_must_agree() {
    let world = World::without_stake().await;
    let down = "http://127.0.0.1:1".to_owned();
    let config = |endpoints: Vec<String>| Config { endpoints, agreeing: None, timeout_ms: 2_000 };
    let two_of_three = config(vec![down.clone(), world.endpoint.clone(), world.endpoint.clone()]);
    let ethereum = Ethereum::connect(&two_of_three, Arc::clone(&world.genesis), None).await.unwrap();
    let tip = ethereum.tip().await.unwrap();
    assert_eq!(ethereum.point(tip.number).await.unwrap(), tip);
    let one_of_two = config(vec![down, world.endpoint.clone()]);
    let connected = Ethereum::connect(&one_of_two, Arc::clone(&world.genesis), None).await;
    assert!(matches!(connected, Err(ChainError::Unavailable { .. })));
}

#[tokio::test]
async fn r24_a_conviction_stands_when_its_target_fails() {
    let world = World::without_stake().await;
    let ethereum = world.connect().await;
    let start = world.genesis.ethereum_start;
    let member = Member::new(1);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    world.finalize().await;
    let seen = ethereum.tip().await.unwrap();
    let mut watch = Watch::default();
    let facts = ethereum.observe(&start, &seen, &watch).await.unwrap();
    applied(&mut watch, &facts);

    let order = SlashOrder {
        target: SlashTarget::EigenLayer(ids::Address::new([3; 20])),
        asked: 1,
        status: OrderStatus::Ordered,
    };
    let case = case(&world.genesis, &member, order);
    let execution = execution(&case, &watch);
    let reading = Ethereum::connect(&Config::one(&world.endpoint), Arc::clone(&world.genesis), None).await.unwrap();
    assert!(matches!(reading.execute(&execution).await, Err(ChainError::Refused(_)))); // nobody pays

    assert!(matches!(ethereum.execute(&execution).await.unwrap(), Progress::Sent(_)));
    // The receipt says that the adapter has no code, and the next call finds it out by itself.
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(20);
        let refused = loop {
            match ethereum.execute(&execution).await {
                Ok(Progress::Sent(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => break other,
            }
        };
        assert!(matches!(refused, Err(ChainError::Refused(_))), "{refused:?}");
    }
    world.finalize().await;
    let tip = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&seen, &tip, &watch).await.unwrap();
    let [Fact::Convicted(convicted)] = facts[..] else { panic!("{facts:?}") };
    assert_eq!((convicted.case, convicted.operator), (case.id, member.id()));
    assert_eq!((convicted.domain, convicted.slot), (case.domain, case.slot));

    let mut honest = execution.clone();
    honest.operator.keys = List::new();
    assert!(matches!(ethereum.execute(&honest).await, Err(ChainError::Refused(_))));
    let unknown = Execution { order: 1, ..execution };
    assert!(matches!(ethereum.execute(&unknown).await, Err(ChainError::Refused(_))));
}

#[tokio::test]
async fn r04_a_slash_follows_the_stake_from_views_to_the_final_loss() {
    let world = World::with_stake().await;
    let core = world.core.clone().unwrap();
    let ethereum = world.connect().await;
    assert_eq!(ethereum.generation().await.unwrap(), Some(Generation::From1_3));
    let start = world.genesis.ethereum_start;
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let member = Member::new(1);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let signer = member.signer();
    eigenlayer::stake(&world.endpoint, &core, &signer, &signer, ether(1_000)).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &signer, adapter, 400 * MILLI).await.unwrap();
    world.finalize().await;

    // What the views say at the anchor, in the order of the facts.
    let mut watch = Watch::default();
    let seen = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&start, &seen, &watch).await.unwrap();
    let [Fact::Keys(_), Fact::Stake(stake)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(stake.id, id(&core, &member));
    let joined = Magnitudes {
        shares: 1_000 * 1_000 * u128::from(MILLI),
        queued: 0,
        max_magnitude: 1_000 * MILLI,
        magnitude: 400 * MILLI,
        pending: 0,
        effect_block: 0,
        member: true,
        slashable_until: 0,
    };
    assert_eq!(stake.position, Position::EigenLayer(joined));
    assert_eq!(ethereum.observe(&start, &seen, &watch).await.unwrap(), facts);
    let end = seen.number + world.genesis.parameters.ethereum_window();
    assert_eq!(U256::from(joined.slashable_at(end)), world.slashable(&member, end).await);
    applied(&mut watch, &facts);

    // A pending deallocation is kept with the block of its effect.
    eigenlayer::allocate(&world.endpoint, &core, &signer, adapter, 300 * MILLI).await.unwrap();
    let changed = world.provider.get_block_number().await.unwrap();
    world.finalize().await;
    let next = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&seen, &next, &watch).await.unwrap();
    let delay = world.genesis.parameters.deallocation_delay;
    let leaving = Magnitudes { pending: -i128::from(100 * MILLI), effect_block: changed + delay + 1, ..joined };
    let [Fact::Stake(stake)] = facts[..] else { panic!("{facts:?}") };
    assert_eq!(stake.position, Position::EigenLayer(leaving));
    applied(&mut watch, &facts);
    assert_eq!(ethereum.observe(&seen, &next, &watch).await.unwrap(), []);

    // The slash: sent once, executed when the chain shows it, a fact when it is final.
    let order = SlashOrder {
        target: SlashTarget::EigenLayer(ids::Address::new(core.strategy.into_array())),
        asked: 1,
        status: OrderStatus::Ordered,
    };
    let case = case(&world.genesis, &member, order);
    let execution = execution(&case, &watch);
    let Progress::Sent(sent) = ethereum.execute(&execution).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(executed(&ethereum, &execution).await, sent);
    let other = world.connect().await; // another operator, or we after a restart
    assert_eq!(executed(&other, &execution).await, sent);

    world.finalize().await;
    let last = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&next, &last, &watch).await.unwrap();
    let [Fact::Convicted(convicted), Fact::Slashed(slashed), Fact::Stake(stake)] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!(convicted.case, case.id);
    assert_eq!((slashed.case, slashed.transaction), (case.id, sent));
    assert_eq!(slashed.adapter, world.genesis.contracts.eigenlayer_adapter);
    assert_eq!(slashed.before, joined.slashable_at(seen.number));
    let left = magnitudes(&stake.position);
    assert_eq!(slashed.afterwards, left.slashable_at(last.number));
    assert_eq!(left.magnitude, 300 * MILLI); // a quarter of 0.4
    assert_eq!(left.pending, -i128::from(75 * MILLI));
    applied(&mut watch, &facts);

    // Who leaves stays slashable for the deallocation delay.
    let left = world.leave(&member).await;
    world.finalize().await;
    let gone = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&last, &gone, &watch).await.unwrap();
    let [Fact::Stake(stake)] = facts[..] else { panic!("{facts:?}") };
    let former = magnitudes(&stake.position);
    assert!(!former.member);
    assert_eq!(former.slashable_until, left + delay);
    for block in [left + delay, left + delay + 1] {
        assert_eq!(U256::from(former.slashable_at(block)) > U256::ZERO, block == left + delay);
    }
}

#[tokio::test]
async fn a_slash_that_stays_behind_is_sent_again_for_more() {
    let world = World::with_stake().await;
    let core = world.core.clone().unwrap();
    let ethereum = world.connect().await;
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let member = Member::new(1);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let signer = member.signer();
    eigenlayer::stake(&world.endpoint, &core, &signer, &signer, ether(1_000)).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &signer, adapter, 400 * MILLI).await.unwrap();
    world.finalize().await;
    let mut watch = Watch::default();
    let seen = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&world.genesis.ethereum_start, &seen, &watch).await.unwrap();
    applied(&mut watch, &facts);
    let order = SlashOrder {
        target: SlashTarget::EigenLayer(ids::Address::new(core.strategy.into_array())),
        asked: 1,
        status: OrderStatus::Ordered,
    };
    let execution = execution(&case(&world.genesis, &member, order), &watch);

    world.stop_mining().await;
    let Progress::Sent(first) = ethereum.execute(&execution).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(ethereum.execute(&execution).await.unwrap(), Progress::Sent(first));
    world.mine_at(100 * GWEI, 3).await; // too dear for what it offers
    let Progress::Sent(second) = ethereum.execute(&execution).await.unwrap() else { panic!("it is not waiting") };
    assert_ne!(second, first);
    // After a restart nothing is known of it: the same nonce is taken again.
    let restarted = world.connect().await;
    assert!(matches!(restarted.execute(&execution).await.unwrap(), Progress::Sent(_)));
    world.mine_at(GWEI, 1).await;
    let done = executed(&ethereum, &execution).await;
    assert_eq!(executed(&restarted, &execution).await, done);
}

/// Asks until the chain shows the effect: anvil counts a block before it answers for all of it.
async fn executed(ethereum: &Ethereum, execution: &Execution) -> Hash {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ethereum.execute(execution).await {
            Ok(Progress::Executed(hash)) => return hash,
            Ok(Progress::Sent(_)) | Err(ChainError::Unavailable { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn r04_a_core_with_another_delay_is_refused() {
    let world = World::with_stake().await;
    let mut genesis = (*world.genesis).clone();
    genesis.contracts.allocation_manager = ids::Address::new([9; 20]);
    world.redeploy(&mut genesis).await;
    let connected = Ethereum::connect(&Config::one(&world.endpoint), Arc::new(genesis.clone()), None).await;
    assert!(matches!(connected, Err(ChainError::WrongChain { .. })), "{connected:?}");
    genesis.contracts.allocation_manager = world.genesis.contracts.allocation_manager;
    genesis.parameters.deallocation_delay += 1;
    world.redeploy(&mut genesis).await;
    let connected = Ethereum::connect(&Config::one(&world.endpoint), Arc::new(genesis), None).await;
    assert!(matches!(connected, Err(ChainError::WrongChain { .. })), "{connected:?}");
}

fn magnitudes(position: &Position) -> Magnitudes {
    let Position::EigenLayer(magnitudes) = position else { panic!("{position:?}") };
    *magnitudes
}

fn id(core: &eigenlayer::EigenLayer, member: &Member) -> PositionId {
    PositionId { operator: member.id(), source: StakeSource::EigenLayer(ids::Address::new(core.strategy.into_array())) }
}

fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000 * MILLI)
}

const GWEI: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000_000_000_000;
