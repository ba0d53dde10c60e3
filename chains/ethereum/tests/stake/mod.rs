//! Kinds of stake on the real core beside delegated tokens: what waits in the withdrawal queue, and native ether.

use super::eigenlayer::{self, WITHDRAWAL_DELAY_BLOCKS};
use super::world::{Anvil, Member, World, applied, case, execution, signer};
use super::{MILLI, ether, executed, id, magnitudes};
use alloy::primitives::{Address, I256, U256, address};
use alloy::providers::Provider;
use palisade_ethereum::Ethereum;
use palisade_types::chain::{Chain, ChainPoint, Progress, Watch};
use palisade_types::ids;
use palisade_types::observation::{Fact, SetProtocolSeen};
use palisade_types::position::Magnitudes;
use palisade_types::service::SetProtocol;
use palisade_types::slash::{OrderStatus, SlashOrder, SlashTarget};

/// The strategy that stands for ether in pods, a constant of EigenLayer's.
const NATIVE: Address = address!("beac0eeeeeeeeeeeeeeeeeeeeeeeeeeeeeebeac0");

alloy::sol! {
    #[sol(rpc)]
    interface PodManager {
        function createPod() external returns (address);
        function getPod(address owner) external view returns (address);
        function recordBeaconChainETHBalanceUpdate(address owner, uint256 before, int256 change) external;
    }
}

/// What became true since `from`, taken in.
async fn follow(world: &World, ethereum: &Ethereum, watch: &mut Watch, from: &mut ChainPoint) -> Vec<Fact> {
    world.finalize().await;
    let upto = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(from, &upto, watch).await.unwrap();
    applied(watch, &facts);
    *from = upto;
    facts
}

fn only_stake(facts: &[Fact]) -> Magnitudes {
    let [Fact::Stake(seen)] = facts else { panic!("{facts:?}") };
    magnitudes(&seen.position)
}

#[tokio::test]
async fn r04_the_withdrawal_queue_is_followed_as_long_as_a_slash_reaches_it() {
    let world = World::with_stake().await;
    let core = world.core.clone().unwrap();
    let ethereum = world.connect().await;
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let (member, mut watch, mut at) = (Member::new(1), Watch::default(), world.genesis.ethereum_start);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let owner = member.signer();
    eigenlayer::stake(&world.endpoint, &core, &owner, &owner, ether(1_000)).await.unwrap();
    eigenlayer::queue_withdrawal(&world.endpoint, &core, &owner, ether(100)).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &owner, adapter, 400 * MILLI).await.unwrap();
    let facts = follow(&world, &ethereum, &mut watch, &mut at).await;
    let [Fact::Keys(_), Fact::Stake(first)] = &facts[..] else { panic!("{facts:?}") };
    let first = magnitudes(&first.position);
    let milli = |amount: u64| u128::from(amount) * 1_000 * u128::from(MILLI);
    assert_eq!((first.shares, first.queued), (milli(900), milli(100)), "what was queued before he was known is seen");
    assert_eq!(first.takeable(at.number), milli(400));

    // As much comes in as is queued: shares are as they were, and the queue is seen all the same.
    eigenlayer::queue_withdrawal(&world.endpoint, &core, &owner, ether(300)).await.unwrap();
    eigenlayer::stake(&world.endpoint, &core, &owner, &owner, ether(300)).await.unwrap();
    let more = only_stake(&follow(&world, &ethereum, &mut watch, &mut at).await);
    assert_eq!(more, Magnitudes { queued: milli(400), ..first });
    assert_eq!(follow(&world, &ethereum, &mut watch, &mut at).await, [], "nothing happened, nothing is told");

    // A slash takes of both, by what the adapter finds.
    let order = SlashOrder {
        target: SlashTarget::EigenLayer(ids::Address::new(core.strategy.into_array())),
        asked: 1,
        status: OrderStatus::Ordered,
    };
    let slash = execution(&case(&world.genesis, &member, order), &watch);
    assert!(matches!(ethereum.execute(&slash).await.unwrap(), Progress::Sent(_)));
    executed(&ethereum, &slash).await;
    let facts = follow(&world, &ethereum, &mut watch, &mut at).await;
    let [Fact::Convicted(_), Fact::Slashed(slashed), Fact::Stake(left)] = &facts[..] else { panic!("{facts:?}") };
    let left = magnitudes(&left.position);
    assert_eq!(slashed.before, more.takeable(at.number));
    assert_eq!(slashed.afterwards, left.takeable(at.number));
    assert_eq!((left.shares, left.queued), (milli(810), milli(360)), "a quarter of the 0.4 that are allocated");

    // When the delay is over nobody can take of it any more; no log says so.
    world.mine(WITHDRAWAL_DELAY_BLOCKS.into()).await;
    let over = only_stake(&follow(&world, &ethereum, &mut watch, &mut at).await);
    assert_eq!(over, Magnitudes { queued: 0, ..left });
}

/// A contract that says it leads to the core, registered as a service's set: whatever it says, and however often it changes its mind, the
/// core alone tells whether it has a set. One that stands there is followed by what the core has of it.
#[tokio::test]
async fn r30_a_services_own_contract_is_asked_nothing() {
    let world = World::with_stake().await;
    let core = world.core.clone().unwrap();
    let ethereum = world.connect().await;
    let ours = world.genesis.contracts.eigenlayer_adapter;
    let adapter = Address::from(*ours.as_bytes());
    let liar = Address::repeat_byte(0x11);
    // mstore(0, the core); return(0, 32)
    let code =
        [&[0x73][..], world.genesis.contracts.allocation_manager.as_bytes(), &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]];
    let code = alloy::primitives::Bytes::from(code.concat());
    world.set_code(liar, &code).await;
    let (member, mut watch, mut at) = (Member::new(1), Watch::default(), world.genesis.ethereum_start);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let owner = member.signer();
    eigenlayer::stake(&world.endpoint, &core, &owner, &owner, ether(1_000)).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &owner, adapter, 400 * MILLI).await.unwrap();
    follow(&world, &ethereum, &mut watch, &mut at).await;
    let lies = ids::Address::new(liar.into_array());
    watch.service_sets.extend([(lies, None), (ours, None)]);
    world.mine(1).await;
    let facts = follow(&world, &ethereum, &mut watch, &mut at).await;
    let found = |adapter, protocol| Fact::ServiceProtocol(SetProtocolSeen { adapter, protocol });
    let told: Vec<_> = facts.into_iter().filter(|fact| matches!(fact, Fact::ServiceProtocol(_))).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&found(lies, SetProtocol::Other)) && told.contains(&found(ours, SetProtocol::EigenLayer)));
    // What the ledger says of a set is what is read of it.
    watch.service_sets.extend([(lies, Some(SetProtocol::EigenLayer)), (ours, Some(SetProtocol::EigenLayer))]);
    world.mine(1).await;
    let facts = follow(&world, &ethereum, &mut watch, &mut at).await;
    let stakes: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::ServiceStake(seen) => Some((seen.id.adapter, seen.id.operator, seen.stake.magnitude)),
            _ => None,
        })
        .collect();
    assert_eq!(stakes, [(ours, member.id(), 400 * MILLI)]);
}

#[tokio::test]
async fn native_ether_counts_and_is_slashed_like_every_strategy() {
    let (anvil, endpoint) = Anvil::start();
    let tokens = eigenlayer::deploy(&endpoint, &signer(0)).await.unwrap();
    let core = eigenlayer::EigenLayer { strategy: NATIVE, ..tokens.clone() };
    let world = World::over(anvil, endpoint, Some(core.clone())).await;
    let ethereum = world.connect().await;
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let (member, mut watch, mut at) = (Member::new(1), Watch::default(), world.genesis.ethereum_start);
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let owner = member.signer();
    // Makes him an operator who delegates to himself; the token does not count here.
    eigenlayer::stake(&world.endpoint, &tokens, &owner, &owner, ether(1)).await.unwrap();
    prove(&world, &core, owner.address(), 0, 32).await;
    eigenlayer::allocate(&world.endpoint, &core, &owner, adapter, 400 * MILLI).await.unwrap();
    let facts = follow(&world, &ethereum, &mut watch, &mut at).await;
    let [Fact::Keys(_), Fact::Stake(seen)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(seen.id, id(&core, &member));
    let staked = magnitudes(&seen.position);
    assert_eq!(U256::from(staked.shares), ether(32), "a share is a wei");
    assert_eq!(U256::from(staked.slashable_at(at.number)), world.slashable(&member, at.number).await);

    // The beacon chain takes an eighth of it: the pod says so, and the shares follow.
    prove(&world, &core, owner.address(), 32, -4).await;
    let penalised = only_stake(&follow(&world, &ethereum, &mut watch, &mut at).await);
    assert_eq!(penalised, Magnitudes { shares: staked.shares / 8 * 7, ..staked });

    let target = SlashTarget::EigenLayer(ids::Address::new(NATIVE.into_array()));
    let order = SlashOrder { target, asked: 1, status: OrderStatus::Ordered };
    let slash = execution(&case(&world.genesis, &member, order), &watch);
    assert!(matches!(ethereum.execute(&slash).await.unwrap(), Progress::Sent(_)));
    executed(&ethereum, &slash).await;
    let facts = follow(&world, &ethereum, &mut watch, &mut at).await;
    let [Fact::Convicted(_), Fact::Slashed(slashed), Fact::Stake(left)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(slashed.before, penalised.slashable_at(at.number));
    // The core rounds for itself, and shares by 1e18ths.
    let taken = slashed.before - slashed.afterwards;
    assert!(taken.abs_diff(slashed.before / 4) < 100, "{taken} of {}", slashed.before);
    let shares = magnitudes(&left.position).shares;
    assert!(shares.abs_diff(penalised.shares / 10 * 9) < 100, "{shares} of {}", penalised.shares);
}

/// What the member's pod says after a proof about his validators: its balance changes by so many ether. No beacon chain stands
/// behind anvil, so that the pod itself is spoken for; all that follows from its word is the core's.
async fn prove(world: &World, core: &eigenlayer::EigenLayer, owner: Address, before: u64, change: i64) {
    let send = async |from: Address, call: alloy::rpc::types::TransactionRequest| {
        world.impersonate(from).await;
        let sent = world.provider.send_transaction(call.from(from)).await.unwrap();
        assert!(sent.get_receipt().await.unwrap().status());
    };
    let pods = PodManager::new(core.eigen_pod_manager, &world.provider);
    if before == 0 {
        send(owner, pods.createPod().into_transaction_request()).await;
    }
    let pod = pods.getPod(owner).call().await.unwrap();
    let ether = I256::try_from(1_000 * MILLI).unwrap();
    let change = ether * I256::try_from(change).unwrap();
    let update = pods.recordBeaconChainETHBalanceUpdate(owner, super::ether(before), change);
    send(pod, update.into_transaction_request()).await;
}
