//! Stake on the real Symbiotic core, on an anvil of its own: as the reader counts it, as a proven pair takes it.

#![allow(clippy::unwrap_used)]

use palisade_devnet::{contracts, eigenlayer, symbiotic};

#[allow(dead_code)]
#[path = "../../../chains/ethereum/tests/council/mod.rs"]
mod council;
#[allow(dead_code)]
#[path = "../src/sender.rs"]
mod sender;
#[allow(dead_code)]
#[path = "../../../chains/ethereum/tests/world/mod.rs"]
mod world;

use alloy::primitives::{Address, B256, Bytes, U256, aliases::U48};
use alloy::providers::Provider;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolConstructor, SolValue};
use bindings::{DevToken, SymbioticApp, SymbioticVaultV2};
use contracts::{Orders, Palisade};
use council::Council;
use palisade_ethereum::inspect::{Failed, Question, Standing, inspect};
use palisade_ethereum::{Config, Ethereum};
use palisade_types::chain::{Chain, ChainError, ChainPoint, Execution, Progress, Watch};
use palisade_types::genesis::{Asset, Genesis, SymbioticContracts};
use palisade_types::ids;
use palisade_types::observation::{Fact, SlashedOnChain};
use palisade_types::position::{Position, StakeSource, SymbioticStake};
use palisade_types::slash::{OrderStatus, SlashOrder, SlashTarget};
use palisade_types::units::{MicroUsd, Wad};
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbiotic::{BURNER, Division, Kind, Symbiotic};
use world::{Member, World, applied, breach_case, case, drawn, execution, signer};

#[tokio::test]
async fn r04_the_ledger_counts_what_the_real_slasher_says() {
    let members = [Member::new(1), Member::new(4)];
    let [one, other] = [&members[0], &members[1]].map(|member| member.signer().address());
    let net = Net::new(&[shared(None), each(Some(VETO)), alone(one)], &members).await;
    net.register(&members).await;
    net.divide(0, &[(one, ether(30)), (other, ether(10))], ether(40), ether(40)).await;
    // Full restake: both stand behind the same forty, and ask for sixty together.
    net.divide(1, &[(one, ether(40)), (other, ether(20))], ether(40), ether(40)).await;
    net.divide(2, &[], ether(7), ether(5)).await;
    net.opt_in(&members).await;
    let mut watch = Watch::default();
    let mut anchor = net.genesis.ethereum_start;
    // Without a capture nothing can be taken whatever the operator does, and nothing counts.
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 0);
    net.note().await;
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 5, "one in three vaults, the other in two");
    net.check(&watch, &anchor).await;
    let first = stake(&watch, &net, 0, one);
    assert_eq!(first.captures[0].stake, U256::from(30_000_000_000_000_000_000_u128).to::<u128>());
    assert_eq!((first.pool, first.epoch_duration, first.veto_duration), (ether(40).to(), EPOCH, 0));
    assert_eq!(stake(&watch, &net, 1, one).veto_duration, VETO);
    assert_eq!(stake(&watch, &net, 2, one).captures[0].stake, ether(5).to::<u128>());

    // One goes, the curator cuts the other's limit, a staker withdraws; another capture sees it, the first still holds.
    symbiotic::opt_out(&net.world.endpoint, &net.core, &members[0].signer(), net.vaults[0]).await.unwrap();
    net.divide(1, &[(other, ether(1))], U256::ZERO, U256::ZERO).await;
    symbiotic::withdraw(&net.world.endpoint, &net.curator, net.vaults[0], ether(4)).await.unwrap();
    net.pass(EPOCH / 4 + 1).await;
    net.note().await;
    assert!(net.stakes(&mut anchor, &mut watch).await > 0);
    net.check(&watch, &anchor).await;
    let later = stake(&watch, &net, 0, one);
    assert_eq!(later.captures[0], first.captures[0], "of the newest nothing is left, of the first all");
    let both = stake(&watch, &net, 1, other).captures;
    assert_eq!([both[0].stake, both[1].stake], [ether(1).to::<u128>(), ether(20).to()]);

    // A vault that breaks counts for nothing, and the others go on.
    net.set_code(net.vaults[2], Bytes::new()).await;
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 1);
    assert_eq!(stake(&watch, &net, 2, one), SymbioticStake::NOTHING);
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 0);

    // When its epoch is over, a capture leaves nothing by itself.
    let end = first.captures[0].time + EPOCH;
    assert!(later.slashable_at(end) > 0 && later.slashable_at(end + 1) < later.slashable_at(end));
}

#[tokio::test]
async fn r26_a_pair_takes_the_whole_share_at_once_and_after_the_time_for_a_veto() {
    let members = [Member::new(1)];
    let (net, ethereum, mut watch, anchor) = staked(&members, [shared(None), each(Some(VETO))]).await;
    let member = &members[0];
    // Leaving after the fault helps nobody.
    for vault in &net.vaults {
        symbiotic::opt_out(&net.world.endpoint, &net.core, &member.signer(), *vault).await.unwrap();
    }
    net.pass(30).await;
    let before = net.active().await;
    let [instant, veto] = [0, 1].map(|at| net.order(member, &watch, at));
    let Progress::Sent(sent) = ethereum.execute(&instant).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(net.executed(&ethereum, &instant).await, sent);
    println!("gas of the pair, two vaults: {}", net.gas(sent).await);
    assert_eq!(ethereum.execute(&veto).await.unwrap(), Progress::Waiting, "a veto may come");
    assert_eq!(net.active().await, [before[0] - ether(30), before[1]]);
    let mut anchor = anchor;
    let facts = net.observe(&mut anchor, &watch).await;
    let slashed = slashes(&facts);
    assert_eq!(slashed.len(), 1, "{facts:?}");
    assert_eq!((slashed[0].asset, slashed[0].transaction), (id(net.vaults[0]), sent));
    assert_eq!((slashed[0].before, slashed[0].afterwards), (ether(30).to(), 0));
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Convicted(_))));
    applied(&mut watch, &facts);
    assert_eq!(stake(&watch, &net, 0, member.signer().address()), SymbioticStake::NOTHING);

    net.pass(VETO + 1).await;
    let sends = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Sent(_)));
    let Ok(Progress::Sent(sent)) = net.until(&ethereum, &veto, sends).await else { unreachable!() };
    assert_eq!(net.executed(&ethereum, &veto).await, sent);
    println!("gas of carrying a veto slash on: {}", net.gas(sent).await);
    assert_eq!(net.active().await, [before[0] - ether(30), before[1] - ether(20)]);
    assert_eq!(symbiotic::burned(&net.world.provider, &net.core).await.unwrap(), ether(50));
    let facts = net.observe(&mut anchor, &watch).await;
    let slashed = slashes(&facts);
    assert_eq!(slashed.len(), 1, "{facts:?}");
    assert_eq!((slashed[0].asset, slashed[0].before, slashed[0].afterwards), (id(net.vaults[1]), ether(20).to(), 0));
    // Done is done: another look at either finds the transaction that took it.
    assert_eq!(ethereum.execute(&veto).await.unwrap(), Progress::Executed(sent));
}

#[tokio::test]
async fn r26_a_veto_ends_the_case_at_its_vault() {
    let members = [Member::new(1)];
    let (net, ethereum, mut watch, mut anchor) = staked(&members, [shared(None), each(Some(VETO))]).await;
    let before = net.active().await;
    let veto = net.order(&members[0], &watch, 1);
    let Progress::Sent(_) = ethereum.execute(&veto).await.unwrap() else { panic!("nothing was sent") };
    let waits = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Waiting));
    net.until(&ethereum, &veto, waits).await.unwrap();
    symbiotic::veto(&net.world.endpoint, &net.curator, net.vaults[1], U256::ZERO).await.unwrap();
    let refuses = |progress: &Result<Progress, ChainError>| matches!(progress, Err(ChainError::Refused(why)) if why.contains("vetoed"));
    net.until(&ethereum, &veto, refuses).await.unwrap_err();
    let facts = net.observe(&mut anchor, &watch).await;
    let vetoed: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Vetoed(vetoed) => Some(*vetoed),
            _ => None,
        })
        .collect();
    assert_eq!(vetoed.len(), 1, "{facts:?}");
    assert_eq!((vetoed[0].asset, vetoed[0].adapter), (id(net.vaults[1]), id(net.adapter)));
    assert_eq!((vetoed[0].case, vetoed[0].operator), (veto.case.id, members[0].id()));
    assert_eq!(net.active().await, [before[0] - ether(30), before[1]]);
    applied(&mut watch, &facts);
    net.pass(VETO + 1).await;
    assert!(matches!(ethereum.execute(&veto).await, Err(ChainError::Refused(_))));
    assert_eq!(net.active().await, [before[0] - ether(30), before[1]]);
    assert_eq!(symbiotic::requests(&net.world.provider, net.vaults[1]).await.unwrap(), 1);
}

#[tokio::test]
async fn r11_r24_a_certified_order_takes_its_part_at_once_and_after_the_time_for_a_veto() {
    let members = [Member::new(1)];
    let (net, ethereum, mut watch, mut anchor) = staked(&members, [shared(None), each(Some(VETO))]).await;
    let before = net.active().await;
    let [instant, veto] = net.ordered(&members[0], &watch, anchor.number).await;
    net.announced(&ethereum, &instant).await;
    let sends = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Sent(_)));
    let Ok(Progress::Sent(sent)) = net.until(&ethereum, &instant, sends).await else { unreachable!() };
    assert_eq!(net.executed(&ethereum, &instant).await, sent);
    println!("gas of an order, an instant vault and a request: {}", net.gas(sent).await);
    assert_eq!(ethereum.execute(&veto).await.unwrap(), Progress::Waiting, "a veto may come");
    let part = ether(30) / U256::from(4);
    assert_eq!(net.active().await, [before[0] - part, before[1]]);
    let facts = net.observe(&mut anchor, &watch).await;
    let slashed = slashes(&facts);
    assert_eq!(slashed.len(), 1, "{facts:?}");
    assert_eq!((slashed[0].case, slashed[0].asset), (instant.case.id, id(net.vaults[0])));
    assert_eq!((slashed[0].before, slashed[0].afterwards, slashed[0].transaction), (part.to(), 0, sent));
    applied(&mut watch, &facts);
    // Another case, by a pair: all that is left of his in the instant vault at once, the other behind the order. He has three
    // quarters of that vault whatever is in it, as its delegator divides: by a moment after the order, more than he had before.
    net.pass(2).await;
    let [pair, behind] = [0, 1].map(|at| net.order(&members[0], &watch, at));
    let Ok(Progress::Sent(_)) = net.until(&ethereum, &pair, sends).await else { unreachable!() };
    net.executed(&ethereum, &pair).await;
    let left = (before[0] - part) / U256::from(4);
    assert_eq!(net.active().await[0], left);
    assert_eq!(ethereum.execute(&behind).await.unwrap(), Progress::Waiting);
    assert_eq!(symbiotic::requests(&net.world.provider, net.vaults[1]).await.unwrap(), 1);

    net.pass(VETO + 1).await;
    assert_eq!(ethereum.execute(&behind).await.unwrap(), Progress::Waiting, "the order goes first");
    let Ok(Progress::Sent(sent)) = net.until(&ethereum, &veto, sends).await else { unreachable!() };
    assert_eq!(net.executed(&ethereum, &veto).await, sent);
    println!("gas of carrying an order's request on: {}", net.gas(sent).await);
    assert_eq!(net.active().await[1], before[1] - ether(5));
    let orders = Orders::new(Address::from(*net.genesis.contracts.orders.as_bytes()), &net.world.provider);
    let case = B256::from(*veto.case.id.as_bytes());
    let executed = orders.isExecuted(case, members[0].signer().address(), B256::ZERO, net.adapter).call().await;
    assert!(executed.unwrap(), "all that the network has there is over");
    let slashed = slashes(&net.observe(&mut anchor, &watch).await);
    let of_order: Vec<_> = slashed.iter().filter(|slashed| slashed.case == veto.case.id).collect();
    assert_eq!(of_order.len(), 1, "{slashed:?}");
    assert_eq!((of_order[0].asset, of_order[0].before, of_order[0].afterwards), (id(net.vaults[1]), ether(5).to(), 0));

    // The pair's turn: by a moment after the order, he stands with his whole limit again, for there is enough in the vault.
    net.pass(2).await;
    let Ok(Progress::Sent(_)) = net.until(&ethereum, &behind, sends).await else { unreachable!() };
    let waits = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Waiting));
    net.until(&ethereum, &behind, waits).await.unwrap();
    net.pass(VETO + 1).await;
    let Ok(Progress::Sent(_)) = net.until(&ethereum, &behind, sends).await else { unreachable!() };
    net.executed(&ethereum, &behind).await;
    assert_eq!(net.active().await, [left, before[1] - ether(5) - ether(20)], "once each");
}

#[tokio::test]
async fn r26_a_veto_ends_an_order_at_its_vault() {
    let members = [Member::new(1)];
    let (net, ethereum, watch, mut anchor) = staked(&members, [shared(None), each(Some(VETO))]).await;
    let before = net.active().await;
    let [instant, veto] = net.ordered(&members[0], &watch, anchor.number).await;
    net.announced(&ethereum, &veto).await;
    let sends = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Sent(_)));
    net.until(&ethereum, &veto, sends).await.unwrap();
    net.executed(&ethereum, &instant).await;
    symbiotic::veto(&net.world.endpoint, &net.curator, net.vaults[1], U256::ZERO).await.unwrap();
    // The adapter learns of it, and so does everybody.
    let refuses = |progress: &Result<Progress, ChainError>| matches!(progress, Err(ChainError::Refused(why)) if why.contains("vetoed"));
    net.until(&ethereum, &veto, refuses).await.unwrap_err();
    let facts = net.observe(&mut anchor, &watch).await;
    let vetoed = facts.iter().find_map(|fact| if let Fact::Vetoed(vetoed) = fact { Some(*vetoed) } else { None });
    let vetoed = vetoed.unwrap();
    assert_eq!((vetoed.case, vetoed.operator), (veto.case.id, members[0].id()));
    assert_eq!((vetoed.asset, vetoed.adapter), (id(net.vaults[1]), id(net.adapter)));
    net.pass(VETO + 1).await;
    assert!(matches!(ethereum.execute(&veto).await, Err(ChainError::Refused(_))));
    assert_eq!(net.active().await, [before[0] - ether(30) / U256::from(4), before[1]]);
    assert_eq!(symbiotic::requests(&net.world.provider, net.vaults[1]).await.unwrap(), 1, "nobody asks again");
}

#[tokio::test]
async fn r24_one_pair_at_one_vault_and_one_vault_that_fails_stops_no_other() {
    let members = [Member::new(1)];
    let (net, ethereum, watch, _) = staked(&members, [shared(None), shared(None)]).await;
    let code = net.world.provider.get_code_at(net.vaults[0]).await.unwrap();
    net.set_code(net.vaults[0], Bytes::from_static(&[0xfe])).await; // burns what it is given
    let [broken, sound] = [0, 1].map(|at| net.order(&members[0], &watch, at));
    let Progress::Sent(sent) = ethereum.execute(&sound).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(net.executed(&ethereum, &sound).await, sent);
    net.until(&ethereum, &broken, Result::is_err).await.unwrap_err();
    // It stays open to everybody, and is taken from when it works again.
    net.set_code(net.vaults[0], code).await;
    let sends = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Sent(_)));
    let Ok(Progress::Sent(sent)) = net.until(&ethereum, &broken, sends).await else { unreachable!() };
    assert_eq!(net.executed(&ethereum, &broken).await, sent);
    println!("gas of one instant vault by a standing conviction: {}", net.gas(sent).await);
    assert_eq!(symbiotic::burned(&net.world.provider, &net.core).await.unwrap(), ether(60));
}

#[tokio::test]
async fn r11_the_pair_of_one_vault_and_what_it_costs() {
    let members = [Member::new(1)];
    let net = Net::new(&[shared(None)], &members).await;
    let (ethereum, watch, _) = net.stake(&members).await;
    let order = net.order(&members[0], &watch, 0);
    let Progress::Sent(sent) = ethereum.execute(&order).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(net.executed(&ethereum, &order).await, sent);
    let gas = net.gas(sent).await;
    println!("gas of the pair, one instant vault: {gas}");
    assert!(gas < 900_000, "{gas}");
}

#[tokio::test]
async fn r08_the_adapter_refuses_vaults_whose_stake_would_not_be_lost() {
    let world = World::without_stake().await;
    let (endpoint, curator) = (world.endpoint.clone(), curator());
    let core = deploy_core(&world, &curator).await;
    let made = async |kind: Kind| symbiotic::create_vault(&endpoint, &core, &curator, &kind).await.unwrap();
    let deploy = async |vaults: &[(Address, Address)]| {
        symbiotic::deploy_adapter(&endpoint, &core, &curator, (Address::ZERO, Address::ZERO), vaults).await
    };
    let good = made(shared(None)).await;
    let owned = made(Kind { burner: curator.address(), ..shared(None) }).await;
    let contract = made(Kind { burner: core.token, ..shared(None) }).await;
    for vaults in [
        vec![(owned, Address::ZERO)],
        vec![(contract, Address::ZERO)],
        vec![(core.token, Address::ZERO)],
        vec![(good, curator.address())], // nobody vetoes an instant slasher
        vec![(good, Address::ZERO), (good, Address::ZERO)],
        vec![],
    ] {
        assert!(deploy(&vaults).await.is_err(), "{vaults:?}");
    }
    deploy(&[(good, Address::ZERO)]).await.unwrap();
}

/// A vault for one operator in one network can be made only once the core knows the network, and our adapter becomes one by standing,
/// for which its vaults must stand before: what the core will know of it is told the core's registry for as long as the vault is made.
#[tokio::test]
async fn r26_a_vault_for_one_operator_in_our_network_counts_and_is_slashed() {
    let members = [Member::new(1), Member::new(4)];
    let [one, other] = [&members[0], &members[1]].map(|member| member.signer().address());
    let net = Net::new(&[only(one), shared(None)], &members).await;
    net.register(&members).await;
    net.divide(0, &[], ether(9), U256::ZERO).await;
    net.divide(1, &[(other, ether(1))], ether(4), ether(4)).await;
    net.opt_in(&members).await;
    net.note().await;
    let (mut watch, mut anchor) = (Watch::default(), net.genesis.ethereum_start);
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 2, "one in his own vault, the other in the shared one");
    net.check(&watch, &anchor).await;
    assert_eq!(stake(&watch, &net, 0, one).captures[0].stake, ether(9).to::<u128>());
    let (ethereum, before) = (net.world.connect().await, net.active().await);
    let order = net.order(&members[0], &watch, 0);
    let Progress::Sent(sent) = ethereum.execute(&order).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(net.executed(&ethereum, &order).await, sent);
    assert_eq!(net.active().await, [before[0] - ether(9), before[1]]);
    let facts = net.observe(&mut anchor, &watch).await;
    let taken: Vec<_> = slashes(&facts).into_iter().filter(|slashed| slashed.before > 0).collect();
    let [slashed] = taken[..] else { panic!("{facts:?}") };
    assert_eq!((slashed.asset, slashed.before, slashed.afterwards), (id(net.vaults[0]), ether(9).to(), 0));
}

/// As it is in production: the network stands, then the vault is made for one operator in it, then he lists it.
#[tokio::test]
async fn r08_a_vault_made_for_the_network_after_it_is_listed_counted_and_slashed() {
    let members = [Member::new(1), Member::new(4)];
    let [one, other] = [&members[0], &members[1]].map(|member| member.signer().address());
    let mut net = Net::new(&[shared(None)], &members).await;
    net.register(&members).await;
    net.divide(0, &[(one, ether(3)), (other, ether(1))], ether(4), ether(4)).await;
    let later = net.make(only_in(one, net.adapter)).await;
    net.divide(later, &[], ether(9), U256::ZERO).await;
    net.opt_in(&members).await;
    net.note().await;
    let (mut watch, mut anchor) = (Watch::default(), net.genesis.ethereum_start);
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 2, "what nobody listed counts for nothing");
    // Nobody lists for another, and it must be like what it follows.
    let list = async |who: usize, vault: Address, like: Address| {
        symbiotic::list(&net.world.endpoint, &members[who].signer(), net.adapter, vault, like).await
    };
    let (vault, like) = (net.vaults[later], net.vaults[0]);
    assert!(list(1, vault, like).await.is_err(), "it is not his");
    assert!(list(0, like, like).await.is_err(), "it is genesis' own");
    assert!(list(0, net.core.token, like).await.is_err(), "it is no vault");
    list(0, vault, like).await.unwrap();
    assert!(list(0, vault, like).await.is_err(), "it is listed");
    // It counts by captures from then on: its network had no limit before.
    net.pass(EPOCH / 4 + 1).await;
    net.note().await;
    let facts = net.observe(&mut anchor, &watch).await;
    let told: Vec<_> = facts.iter().filter(|fact| matches!(fact, Fact::Listed(_))).collect();
    let [Fact::Listed(listed)] = told[..] else { panic!("{facts:?}") };
    assert_eq!((listed.id.operator, *listed.id.source.asset()), (members[0].id(), id(vault)));
    assert_eq!(listed.like, StakeSource::Symbiotic(id(like)));
    applied(&mut watch, &facts);
    net.check(&watch, &anchor).await;
    let seen = stake(&watch, &net, later, one);
    assert_eq!((seen.captures[0].stake, seen.captures[1].stake, seen.pool), (ether(9).to(), 0, ether(9).to()));
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 0);

    let (ethereum, before) = (net.world.connect().await, net.active().await);
    let [order, shared] = [later, 0].map(|at| net.order(&members[0], &watch, at));
    let Progress::Sent(sent) = ethereum.execute(&order).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(net.executed(&ethereum, &order).await, sent);
    println!("gas of the pair, a shared vault and a listed one: {}", net.gas(sent).await);
    assert_eq!(net.executed(&ethereum, &shared).await, sent, "one transaction takes both");
    assert_eq!(net.active().await, [before[0] - ether(3), U256::ZERO]);
    let slashed = slashes(&net.observe(&mut anchor, &watch).await);
    let of: Vec<_> = slashed.iter().map(|loss| (loss.asset, loss.before, loss.afterwards)).collect();
    assert_eq!(of, [(id(like), ether(3).to(), 0), (id(vault), ether(9).to(), 0)]);
}

/// Core 2, by a double of its vault and its AppAdapter beside the real core 1, whose factory is told that it made the vault.
#[tokio::test]
async fn r04_r24_an_app_of_core_2_is_listed_counted_by_captures_and_slashed() {
    let members = [Member::new(1)];
    let one = members[0].signer().address();
    let mut net = Net::new(&[shared(None)], &members).await;
    net.register(&members).await;
    net.divide(0, &[(one, ether(1))], ether(4), ether(4)).await;
    net.opt_in(&members).await;
    let (vault, app) = net.app(one, ether(30)).await;
    let signer = members[0].signer();
    symbiotic::list(&net.world.endpoint, &signer, net.adapter, app, net.vaults[0]).await.unwrap();
    let at = net.vaults.len();
    net.vaults.push(app);
    net.note().await;
    let (mut watch, mut anchor) = (Watch::default(), net.genesis.ethereum_start);
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 2);
    let first = stake(&watch, &net, at, one);
    assert_eq!((first.captures[0].stake, first.pool, first.veto_duration), (ether(30).to(), ether(30).to(), 0));
    assert_eq!(first.epoch_duration, EPOCH, "its duration less the last second");

    // A slash that its vault refuses, or that would cost more than the adapter gives, counts for nothing; then it does again.
    net.sweep(vault, net.core.token).await;
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 1);
    assert_eq!(stake(&watch, &net, at, one), SymbioticStake::NOTHING);
    net.sweep(vault, Address::ZERO).await;
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 1);
    assert_eq!(stake(&watch, &net, at, one), first);

    // It is asked back: by the newest capture nothing counts, by the one before all, and that is taken.
    net.ask_back(app, ether(30)).await;
    net.pass(EPOCH / 4 + 1).await;
    net.note().await;
    assert!(net.stakes(&mut anchor, &mut watch).await > 0);
    let later = stake(&watch, &net, at, one);
    assert_eq!((later.captures, later.pool), (first.captures, ether(30).to()), "of the newest nothing");
    let ethereum = net.world.connect().await;
    let order = net.order(&members[0], &watch, at);
    let Progress::Sent(sent) = ethereum.execute(&order).await.unwrap() else { panic!("nothing was sent") };
    assert_eq!(net.executed(&ethereum, &order).await, sent);
    println!("gas of the pair, a shared vault and an AppAdapter: {}", net.gas(sent).await);
    assert_eq!(symbiotic::burned(&net.world.provider, &net.core).await.unwrap(), ether(34));
    let facts = net.observe(&mut anchor, &watch).await;
    let slashed = slashes(&facts);
    let of: Vec<_> = slashed.iter().map(|loss| (loss.asset, loss.before, loss.afterwards)).collect();
    assert_eq!(of, [(id(net.vaults[0]), ether(4).to(), 0), (id(app), ether(30).to(), 0)]);
    applied(&mut watch, &facts);
    assert_eq!(stake(&watch, &net, at, one), SymbioticStake::NOTHING);
    assert_eq!(ethereum.execute(&order).await.unwrap(), Progress::Executed(sent), "once");
}

/// A capture counts for its vault's own epoch, and captures come a quarter of the longest epoch apart.
#[tokio::test]
async fn r04_a_vault_with_a_short_epoch_beside_a_long_one_counts_while_a_capture_leaves_it_and_never_longer() {
    let members = [Member::new(1)];
    let one = members[0].signer().address();
    let short = Kind { epoch_seconds: EPOCH / 8, ..shared(None) };
    let net = Net::new(&[shared(None), short], &members).await;
    net.register(&members).await;
    for at in [0, 1] {
        net.divide(at, &[(one, ether(3))], ether(3), ether(3)).await;
    }
    net.opt_in(&members).await;
    net.note().await;
    let (mut watch, mut anchor) = (Watch::default(), net.genesis.ethereum_start);
    assert_eq!(net.stakes(&mut anchor, &mut watch).await, 2);
    net.check(&watch, &anchor).await;
    let [long, quick] = [0, 1].map(|at| stake(&watch, &net, at, one));
    let noted = long.captures[0].time;
    assert_eq!(quick.captures[0].time, noted);
    let (end, after) = (noted + EPOCH / 8, noted + EPOCH / 8 + 1);
    assert_eq!([end, after].map(|at| quick.slashable_at(at)), [ether(3).to(), 0]);
    assert_eq!(long.slashable_at(after), ether(3).to::<u128>());
    // At a snapshot it weighs while its epoch still holds the window, and then nothing until the next capture.
    let last = noted + EPOCH / 8 - WINDOW;
    assert_eq!([last, last + 1].map(|snapshot| quick.slashable_at(snapshot + WINDOW)), [ether(3).to(), 0]);
    // When its epoch is over the core's own view leaves nothing, the ledger's neither, and the adapter keeps no newer capture yet.
    net.pass(EPOCH / 8 + 1).await;
    net.note().await;
    assert!(net.stakes(&mut anchor, &mut watch).await >= 1);
    assert_eq!(stake(&watch, &net, 1, one), SymbioticStake::NOTHING);
    assert_eq!(stake(&watch, &net, 0, one).captures[0].stake, ether(3).to::<u128>());
    net.check(&watch, &anchor).await;
    net.pass(EPOCH / 8 + 1).await;
    net.note().await;
    net.stakes(&mut anchor, &mut watch).await;
    assert_eq!(stake(&watch, &net, 1, one).captures[0].stake, ether(3).to::<u128>(), "a newer capture counts again");
}

/// A vault that could never weigh anything beside the window is no asset.
#[tokio::test]
async fn r04_a_vault_whose_epoch_does_not_hold_the_window_is_refused_at_the_start() {
    let short = Kind { epoch_seconds: EPOCH / 8, ..shared(None) };
    let net = Net::within(EPOCH / 8 + 1, &[shared(None), short], &[]).await;
    let refused = Ethereum::connect(&Config::one(&net.world.endpoint), Arc::clone(&net.genesis), None).await;
    let Err(ChainError::WrongChain { expected, found }) = refused else { panic!("{refused:?}") };
    assert!(
        expected.contains(&net.vaults[1].to_string().to_lowercase()) && expected.contains("151 seconds"),
        "{expected}"
    );
    assert!(found.contains("150 seconds"), "{found}");
}

#[tokio::test]
async fn operators_networks_vaults_and_collaterals_are_shown_as_the_core_has_them() {
    let members = [Member::new(1), Member::new(4)];
    let [one, other] = [&members[0], &members[1]].map(|member| member.signer().address());
    let net = Net::new(&[shared(None), each(Some(VETO))], &members).await;
    let (ethereum, watch, _) = net.stake(&members[..1]).await;
    net.world.finalize().await;
    let ask = |what: Address| Question {
        what: what.to_string(),
        endpoint: net.world.endpoint.clone(),
        timeout_ms: 20_000,
        symbiotic_factory: Some(id(net.core.vault_factory)),
        ..Question::default()
    };
    let look = async |what: Address| {
        let report = inspect(&ask(what)).await.unwrap();
        assert!(report.eigenlayer.is_none() && report.gaps.is_empty(), "{:?}", report.gaps);
        let [seen] = <[_; 1]>::try_from(report.symbiotic).unwrap();
        seen
    };
    let seen = look(one).await;
    let network = net.adapter.to_string();
    assert_eq!(seen.standing, Standing::Operator { networks: vec![network.clone()] });
    assert_eq!(seen.vaults.len(), 2);
    let [first, second] = [0, 1].map(|at| {
        let vault = net.vaults[at].to_string();
        seen.vaults.iter().find(|seen| seen.vault == vault).unwrap()
    });
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!((first.veto_duration, second.veto_duration), (None, Some(VETO)));
    assert_eq!((first.epoch_duration, first.burner.clone()), (EPOCH, Some(BURNER.to_string())));
    assert_eq!((&first.active_stake, &first.total_stake), (&Some(ether(40).to_string()), &Some(ether(40).to_string())));
    assert!(
        first.delegator.as_ref().unwrap().starts_with("0,") && second.delegator.as_ref().unwrap().starts_with("1,")
    );
    let [backing] = &first.backings[..] else { panic!("{:?}", first.backings) };
    assert_eq!((&backing.network, backing.subnetwork, &backing.operator), (&network, 0, &one.to_string()));
    let thirty = Some(ether(30).to_string());
    assert_eq!((&backing.stake, &backing.slashable, &backing.slashed), (&thirty, &thirty, &Some("0".to_owned())));
    assert_eq!((&backing.limit, &backing.resolver), (&Some(ether(40).to_string()), &None));
    assert_eq!(backing.slashable_by_oldest, Some("0".to_owned()), "he had nothing an epoch ago");
    assert_eq!(second.backings[0].resolver, Some(net.curator.address().to_string()));

    // A slash takes the one and asks for the other; a withdrawal leaves and stays slashable; who opts out stays so for an epoch.
    symbiotic::withdraw(&net.world.endpoint, &net.curator, net.vaults[0], ether(4)).await.unwrap();
    let [instant, veto] = [0, 1].map(|at| net.order(&members[0], &watch, at));
    let Progress::Sent(_) = ethereum.execute(&instant).await.unwrap() else { panic!("nothing was sent") };
    net.executed(&ethereum, &instant).await;
    assert_eq!(ethereum.execute(&veto).await.unwrap(), Progress::Waiting);
    net.world.finalize().await;
    let seen = look(net.adapter).await;
    assert_eq!(seen.standing, Standing::Network { middleware: Some(network.clone()) });
    let [first, second] = [0, 1].map(|at| {
        let vault = net.vaults[at].to_string();
        seen.vaults.iter().find(|seen| seen.vault == vault).unwrap()
    });
    let [backing] = &first.backings[..] else { panic!("{:?}", first.backings) };
    assert_eq!((&backing.slashed, &backing.slashable), (&thirty, &Some("0".to_owned())));
    assert!(backing.latest_capture.is_some());
    let left: Vec<U256> = first.withdrawals.iter().flatten().map(|amount| amount.parse().unwrap()).collect();
    assert!(left[1] > U256::ZERO && left[1] < ether(4), "the withdrawal lost its part, too: {left:?}");
    let [backing] = &second.backings[..] else { panic!("{:?}", second.backings) };
    let [request] = &backing.requests[..] else { panic!("{:?}", backing.requests) };
    assert_eq!((request.index, &request.amount), (0, &ether(20).to_string()));
    assert_eq!(request.executable_until, request.capture + EPOCH);

    let seen = look(net.vaults[1]).await;
    assert_eq!((seen.standing, seen.vaults.len(), seen.vaults[0].backings.len()), (Standing::Vault, 1, 1));
    let seen = look(net.core.token).await;
    assert_eq!((seen.standing, seen.vaults.len()), (Standing::Collateral, 2));
    let seen = look(other).await;
    assert_eq!((seen.standing, seen.vaults.len()), (Standing::Operator { networks: Vec::new() }, 0));

    // Version 3 has another core: it is named, counts for nothing, and holds up no other.
    net.set_code(net.vaults[1], Bytes::from_static(&alloy::primitives::hex!("600360005260206000f3"))).await;
    net.world.finalize().await;
    let seen = look(net.vaults[1]).await;
    assert!(seen.vaults.is_empty() && seen.gaps.iter().any(|gap| gap.contains("is of version 3")), "{:?}", seen.gaps);
    assert_eq!(look(one).await.vaults.len(), 1);
    let (mut watch, mut anchor) = (watch, net.genesis.ethereum_start);
    net.stakes(&mut anchor, &mut watch).await;
    assert_eq!(stake(&watch, &net, 1, one), SymbioticStake::NOTHING);

    let asked = async |question: Question| inspect(&question).await.unwrap_err();
    assert!(matches!(asked(ask(BURNER)).await, Failed::Asked(why) if why.contains("account without code")));
    let nowhere = Question { symbiotic_factory: Some(id(BURNER)), ..ask(one) };
    assert!(matches!(asked(nowhere).await, Failed::Unknown { found, .. } if found.contains("no code")));
    let no_factory = Question { symbiotic_factory: Some(id(net.core.token)), ..ask(one) };
    assert!(matches!(asked(no_factory).await, Failed::Unknown { found, .. } if found.contains("totalEntities")));
    let nothing = Question { symbiotic_factory: None, ..ask(one) };
    assert!(matches!(asked(nothing).await, Failed::Asked(why) if why.contains("factory of vaults")));
}

/// The core, vaults that our adapter knows, and Palisade.sol over it.
struct Net {
    world: World,
    core: Symbiotic,
    curator: PrivateKeySigner,
    adapter: Address,
    /// In the order of their kinds.
    vaults: Vec<Address>,
    kinds: Vec<Kind>,
    genesis: Arc<Genesis>,
}

impl Net {
    async fn new(kinds: &[Kind], members: &[Member]) -> Self {
        Self::within(WINDOW, kinds, members).await
    }

    /// One whose stake must last so many seconds past a snapshot.
    async fn within(window: u64, kinds: &[Kind], members: &[Member]) -> Self {
        let mut world = World::without_stake().await;
        let curator = curator();
        let core = deploy_core(&world, &curator).await;
        for member in members {
            let nowhere = symbiotic::opt_in(&world.endpoint, &core, &member.signer(), Address::ZERO, &[]).await;
            assert!(nowhere.is_err(), "there is no such network"); // but he is an operator now
        }
        let nonce = contracts::next_nonce(&world.endpoint, &curator).await.unwrap();
        let adapter = curator.address().create(nonce + kinds.len() as u64); // after its vaults
        let mut kinds = kinds.to_vec();
        let mut vaults = Vec::new();
        for kind in &mut kinds {
            if let Division::OperatorNetworkSpecific { network, .. } = &mut kind.division {
                *network = adapter;
            }
            let is_ours = matches!(kind.division, Division::OperatorNetworkSpecific { .. });
            vouch(&world, core.network_registry, adapter, is_ours).await;
            vaults.push(symbiotic::create_vault(&world.endpoint, &core, &curator, kind).await.unwrap());
        }
        vouch(&world, core.network_registry, adapter, false).await;
        let mut genesis = (*world.genesis).clone();
        genesis.parameters.window_seconds = window;
        assert_eq!(found(&world, &core, &curator, &vaults, &mut genesis).await, adapter);
        let genesis = Arc::new(genesis);
        world.genesis = Arc::clone(&genesis);
        Self { world, core, curator, adapter, vaults, kinds, genesis }
    }

    /// Makes one more vault, after the network; its place.
    async fn make(&mut self, kind: Kind) -> usize {
        let vault = symbiotic::create_vault(&self.world.endpoint, &self.core, &self.curator, &kind).await.unwrap();
        self.vaults.push(vault);
        self.kinds.push(kind);
        self.vaults.len() - 1
    }

    /// A double of core 2's vault, which the factory knows as its own, with an AppAdapter that holds `amount` for an operator.
    async fn app(&self, operator: Address, amount: U256) -> (Address, Address) {
        let sender = sender::Sender::new(&self.world.endpoint, &self.curator).unwrap();
        let mut plan = sender.plan().await.unwrap();
        let arguments = SymbioticVaultV2::constructorCall { asset_: self.core.token };
        let vault = plan.create("a vault", [&SymbioticVaultV2::BYTECODE[..], &arguments.abi_encode()].concat());
        let arguments = SymbioticApp::constructorCall {
            vault_: vault,
            middlewares: self.core.middleware_service,
            subnetwork_: B256::from(U256::from_be_slice(self.adapter.as_slice()) << 96),
            operator_: operator,
            duration_: U48::from(EPOCH + 1),
            burner_: BURNER,
        };
        let app = plan.create("an app", [&SymbioticApp::BYTECODE[..], &arguments.abi_encode()].concat());
        plan.call("add", vault, &SymbioticVaultV2::addCall { adapter: app });
        plan.call("mint", self.core.token, &DevToken::mintCall { to: app, value: amount });
        plan.call("allocate", app, &SymbioticApp::allocateCall {});
        sender.send(plan).await.unwrap();
        vouch(&self.world, self.core.vault_factory, vault, true).await;
        (vault, app)
    }

    /// What a slash calls first of all; it takes no such call, but from the zero address.
    async fn sweep(&self, vault: Address, swept: Address) {
        let call = SymbioticVaultV2::setSweepCall { swept, sweep: Bytes::from_static(&[1, 2, 3, 4]) };
        self.call(vault, &call).await;
    }

    async fn ask_back(&self, app: Address, amount: U256) {
        self.call(app, &SymbioticApp::requestDeallocateCall { amount }).await;
    }

    async fn call(&self, to: Address, call: &impl SolCall) {
        let sender = sender::Sender::new(&self.world.endpoint, &self.curator).unwrap();
        let mut plan = sender.plan().await.unwrap();
        plan.call("call", to, call);
        sender.send(plan).await.unwrap();
    }

    /// Registers, opts in, divides: thirty in shared vaults, twenty of what all share; with a capture, as the ledger knows it.
    async fn stake(&self, members: &[Member]) -> (Ethereum, Watch, ChainPoint) {
        self.register(members).await;
        let account = members[0].signer().address();
        for (at, kind) in self.kinds.iter().enumerate() {
            let part = if kind.division == Division::NetworkRestake { ether(30) } else { ether(20) };
            self.divide(at, &[(account, part), (self.curator.address(), ether(40) - part)], ether(40), ether(40)).await;
        }
        self.opt_in(members).await;
        self.note().await;
        let (mut watch, mut anchor) = (Watch::default(), self.genesis.ethereum_start);
        assert_eq!(self.stakes(&mut anchor, &mut watch).await, self.vaults.len());
        (self.world.connect().await, watch, anchor)
    }

    async fn register(&self, members: &[Member]) {
        let ethereum = self.world.connect().await;
        for member in members {
            ethereum.register_keys(&member.account(), &member.keys(&self.genesis)).await.unwrap();
        }
    }

    async fn opt_in(&self, members: &[Member]) {
        for member in members {
            let signer = member.signer();
            symbiotic::opt_in(&self.world.endpoint, &self.core, &signer, self.adapter, &self.vaults).await.unwrap();
        }
    }

    /// Gives the network `limit` of a vault and operators their parts, and puts `amount` in; zero leaves what is.
    async fn divide(&self, at: usize, parts: &[(Address, U256)], amount: U256, limit: U256) {
        let (endpoint, vault) = (&self.world.endpoint, self.vaults[at]);
        if !amount.is_zero() {
            symbiotic::deposit(endpoint, &self.core, &self.curator, vault, amount).await.unwrap();
        }
        if !limit.is_zero() {
            symbiotic::set_limit(endpoint, &self.curator, vault, self.adapter, limit).await.unwrap();
        }
        let division = &self.kinds[at].division;
        symbiotic::set_parts(endpoint, &self.curator, vault, self.adapter, division, parts).await.unwrap();
    }

    async fn note(&self) {
        symbiotic::note(&self.world.endpoint, &self.curator, self.adapter).await.unwrap();
        self.pass(1).await; // the core takes by a moment of the past only
    }

    /// Lets time go by.
    async fn pass(&self, seconds: u64) {
        let provider = &self.world.provider;
        provider.raw_request::<_, serde_json::Value>("evm_increaseTime".into(), (seconds,)).await.unwrap();
        provider.raw_request::<_, serde_json::Value>("evm_mine".into(), ()).await.unwrap();
    }

    async fn set_code(&self, of: Address, code: Bytes) {
        let arguments = (of, code);
        self.world.provider.raw_request::<_, serde_json::Value>("anvil_setCode".into(), arguments).await.unwrap();
    }

    /// Everything so far, final.
    async fn observe(&self, anchor: &mut ChainPoint, watch: &Watch) -> Vec<Fact> {
        self.world.finalize().await;
        let ethereum = self.world.connect().await;
        let upto = ethereum.tip().await.unwrap();
        let facts = ethereum.observe(anchor, &upto, watch).await.unwrap();
        *anchor = upto;
        facts
    }

    /// Takes in what is final; how many positions differ from what was known.
    async fn stakes(&self, anchor: &mut ChainPoint, watch: &mut Watch) -> usize {
        let facts = self.observe(anchor, watch).await;
        applied(watch, &facts);
        facts.iter().filter(|fact| matches!(fact, Fact::Stake(_))).count()
    }

    /// What the ledger has is what the core's own slasher says at the anchor, by every capture, for everybody.
    async fn check(&self, watch: &Watch, anchor: &ChainPoint) {
        let block = B256::from(*anchor.hash.as_bytes());
        for (id, position) in &watch.positions {
            let (StakeSource::Symbiotic(vault), Position::Symbiotic(stake)) = (id.source, position) else {
                panic!("{id:?}")
            };
            let (vault, operator) = (Address::from(*vault.as_bytes()), Address::from(*id.operator.as_bytes()));
            for capture in stake.captures.iter().filter(|capture| capture.time > 0) {
                let provider = &self.world.provider;
                let said = symbiotic::slashable(provider, vault, self.adapter, operator, capture.time, block.into());
                assert_eq!(U256::from(capture.stake), said.await.unwrap(), "{id:?} {capture:?}");
            }
        }
    }

    /// The order of a member's case against one of the vaults.
    fn order(&self, member: &Member, watch: &Watch, at: usize) -> Execution {
        let target = SlashTarget::Symbiotic(id(self.vaults[at]));
        let order = SlashOrder { target, asked: 1, status: OrderStatus::Ordered };
        execution(&case(&self.genesis, member, order), watch)
    }

    /// The orders against both vaults for a covenant's breach, certified by the member alone; the light client comes to stand.
    async fn ordered(&self, member: &Member, watch: &Watch, capture: u64) -> [Execution; 2] {
        let council = Council::alone(member.id(), 1, &member.bls, capture);
        let boundary = council::header(&self.genesis, 20, 0, council.committee.hash(&self.genesis.chain_id()));
        let sender = sender::Sender::new(&self.world.endpoint, &signer(DEPLOYER)).unwrap();
        let mut plan = sender.plan().await.unwrap();
        let stands = plan.create("Committee", palisade_ethereum::light::deploy_committee(&self.genesis, &boundary));
        sender.send(plan).await.unwrap();
        assert_eq!(id(stands), self.genesis.contracts.committee, "where genesis says");
        let target = |vault: &Address| SlashTarget::Symbiotic(id(*vault));
        let order = |vault| SlashOrder { target: target(vault), asked: 1, status: OrderStatus::Ordered };
        let case = breach_case(&self.genesis, member, self.vaults.iter().map(order).collect());
        let certified = council.order(&self.genesis, drawn(&self.genesis, &case, 1, id(self.adapter), capture));
        let both = execution(&case, watch);
        [0, 1].map(|order| Execution { order, certified: Some(Box::new(certified.clone())), ..both.clone() })
    }

    /// Announces an order, and lets its delay pass.
    async fn announced(&self, ethereum: &Ethereum, execution: &Execution) {
        let Progress::Sent(_) = ethereum.execute(execution).await.unwrap() else { panic!("nothing was sent") };
        let waits = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Waiting));
        self.until(ethereum, execution, waits).await.unwrap();
        for _ in 0..self.genesis.parameters.order_delay_blocks {
            self.pass(1).await;
        }
    }

    async fn executed(&self, ethereum: &Ethereum, execution: &Execution) -> ids::Hash {
        let is_done = |progress: &Result<Progress, ChainError>| matches!(progress, Ok(Progress::Executed(_)));
        let Ok(Progress::Executed(hash)) = self.until(ethereum, execution, is_done).await else { unreachable!() };
        hash
    }

    /// Asks until it is so: anvil counts a block before it answers for all of it.
    async fn until(
        &self,
        ethereum: &Ethereum,
        execution: &Execution,
        wanted: impl Fn(&Result<Progress, ChainError>) -> bool,
    ) -> Result<Progress, ChainError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let progress = ethereum.execute(execution).await;
            if wanted(&progress) {
                return progress;
            }
            assert!(Instant::now() < deadline, "{progress:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn gas(&self, transaction: ids::Hash) -> u64 {
        let hash = B256::from(*transaction.as_bytes());
        self.world.provider.get_transaction_receipt(hash).await.unwrap().unwrap().gas_used
    }

    /// The active stake of the first two vaults.
    async fn active(&self) -> [U256; 2] {
        let of = async |at: usize| symbiotic::active_stake(&self.world.provider, self.vaults[at]).await.unwrap();
        [of(0).await, of(1).await]
    }
}

/// Whether the core's registry calls it a network: the place of its set of entities that says so.
async fn vouch(world: &World, registry: Address, network: Address, yes: bool) {
    let slot = alloy::primitives::keccak256((network, U256::from(1)).abi_encode());
    let arguments = (registry, slot, B256::from(U256::from(yes)));
    world.provider.raw_request::<_, serde_json::Value>("anvil_setStorageAt".into(), arguments).await.unwrap();
}

async fn staked(members: &[Member], kinds: [Kind; 2]) -> (Net, Ethereum, Watch, ChainPoint) {
    let net = Net::new(&kinds, members).await;
    let (ethereum, watch, anchor) = net.stake(members).await;
    (net, ethereum, watch, anchor)
}

/// Names the contracts in genesis and deploys them; the adapter's address comes back. Nobody can slash on EigenLayer here.
async fn found(
    world: &World,
    core: &Symbiotic,
    curator: &PrivateKeySigner,
    vaults: &[Address],
    genesis: &mut Genesis,
) -> Address {
    let deployer = signer(DEPLOYER);
    let nonce = contracts::next_nonce(&world.endpoint, &deployer).await.unwrap();
    let [palisade, orders, committee] = [0, 1, 2].map(|after| deployer.address().create(nonce + after));
    let nonce = contracts::next_nonce(&world.endpoint, curator).await.unwrap();
    let adapter = curator.address().create(nonce);
    let mut sorted = vaults.to_vec();
    sorted.sort_unstable();
    let assets = sorted.iter().map(|vault| Asset {
        source: StakeSource::Symbiotic(id(*vault)),
        price: palisade_types::price::Price::Fixed(MicroUsd::new(1)),
        cap: palisade_types::genesis::Caps::ANY,
        equivocation: Wad::ONE,
    });
    genesis.assets = assets.collect::<Vec<_>>().try_into().unwrap();
    genesis.contracts.palisade = id(palisade);
    genesis.contracts.eigenlayer_adapter = ids::Address::new([0xee; 20]);
    genesis.contracts.committee = id(committee);
    genesis.contracts.orders = id(orders);
    genesis.contracts.symbiotic = Some(SymbioticContracts {
        adapter: id(adapter),
        vault_factory: id(core.vault_factory),
        middleware_service: id(core.middleware_service),
    });
    let nobody = Address::from(*genesis.contracts.eigenlayer_adapter.as_bytes());
    let arguments = Palisade::constructorCall {
        chainId_: B256::from(*genesis.chain_id().as_bytes()),
        adapters_: vec![nobody, adapter],
        evidenceWindowBlocks_: genesis.parameters.ethereum_window(),
        lightClient_: committee,
        orders_: orders,
    };
    let sender = sender::Sender::new(&world.endpoint, &deployer).unwrap();
    let mut plan = sender.plan().await.unwrap();
    plan.create("Palisade", [&Palisade::BYTECODE[..], &arguments.abi_encode()].concat());
    let arguments = Orders::constructorCall {
        chainId_: B256::from(*genesis.chain_id().as_bytes()),
        committee_: committee,
        delayBlocks_: genesis.parameters.order_delay_blocks,
        adapters: vec![adapter],
        ownMaximum: genesis.parameters.order_part.get(),
    };
    plan.create("Orders", [&Orders::BYTECODE[..], &arguments.abi_encode()].concat());
    sender.send(plan).await.unwrap();
    let provider = &world.provider;
    let mut sources = Vec::new();
    for vault in sorted {
        let is_veto = symbiotic::requests(provider, vault).await.is_ok();
        sources.push((vault, if is_veto { curator.address() } else { Address::ZERO }));
    }
    let stands = symbiotic::deploy_adapter(&world.endpoint, core, curator, (palisade, orders), &sources).await.unwrap();
    assert_eq!(stands, adapter);
    adapter
}

async fn deploy_core(world: &World, curator: &PrivateKeySigner) -> Symbiotic {
    let token = symbiotic::deploy_token(&world.endpoint, curator).await.unwrap();
    symbiotic::deploy(&world.endpoint, curator, token).await.unwrap()
}

fn stake(watch: &Watch, net: &Net, at: usize, operator: Address) -> SymbioticStake {
    let source = StakeSource::Symbiotic(id(net.vaults[at]));
    let operator = ids::OperatorId::new(operator.into_array());
    let known = watch.positions.iter().find(|(id, _)| (id.operator, id.source) == (operator, source));
    let Some((_, Position::Symbiotic(stake))) = known else { panic!("{known:?}") };
    *stake
}

fn slashes(facts: &[Fact]) -> Vec<SlashedOnChain> {
    let slashed = |fact: &Fact| match fact {
        Fact::Slashed(slashed) => Some(*slashed),
        _ => None,
    };
    facts.iter().filter_map(slashed).collect()
}

const fn shared(veto_seconds: Option<u64>) -> Kind {
    Kind { version: 1, division: Division::NetworkRestake, epoch_seconds: EPOCH, veto_seconds, burner: BURNER }
}

const fn each(veto_seconds: Option<u64>) -> Kind {
    Kind { version: 2, division: Division::FullRestake, ..shared(veto_seconds) }
}

const fn alone(operator: Address) -> Kind {
    Kind { division: Division::OperatorSpecific(operator), ..shared(None) }
}

/// In the network that is made for it.
const fn only(operator: Address) -> Kind {
    only_in(operator, Address::ZERO)
}

const fn only_in(operator: Address, network: Address) -> Kind {
    Kind { division: Division::OperatorNetworkSpecific { operator, network }, ..shared(None) }
}

/// anvil's first account: deployer, curator, staker, and who may veto.
fn curator() -> PrivateKeySigner {
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse().unwrap()
}

fn id(address: Address) -> ids::Address {
    ids::Address::new(address.into_array())
}

fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000_000_000_000_000_000_u64)
}

/// Doubles of core 2, and the token.
#[allow(clippy::too_many_arguments)]
mod bindings {
    alloy::sol! {
        SymbioticVaultV2,
        "../../chains/ethereum/contracts/test/artifacts/SymbioticVaultV2.json"
    }
    alloy::sol! {
        SymbioticApp,
        "../../chains/ethereum/contracts/test/artifacts/SymbioticApp.json"
    }
    alloy::sol! {
        DevToken,
        "../../chains/ethereum/contracts/artifacts/DevToken.json"
    }
}

/// Who deploys what genesis predicts; nothing else.
const DEPLOYER: usize = 6;
const EPOCH: u64 = 1_200;
const VETO: u64 = 100;
/// Seconds for which stake must last past a snapshot.
const WINDOW: u64 = 100;
