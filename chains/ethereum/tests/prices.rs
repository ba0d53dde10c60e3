//! A price feed on a real anvil, beside the real EigenLayer core: what the follower tells of it. Slow.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
#[allow(dead_code)]
mod world;

use alloy::primitives::{Address, I256, U256};
use alloy::sol_types::SolConstructor;
use palisade_ethereum::{Config, Ethereum};
use palisade_types::chain::{Chain, ChainPoint, Watch};
use palisade_types::ids;
use palisade_types::observation::Fact;
use palisade_types::price::{Answer, Feed, Price, PriceSeen, Round, Trouble};
use palisade_types::units::{BasisPoints, MicroUsd};
use sender::Sender;
use std::sync::Arc;
use world::{Member, World};

alloy::sol! {
    #[sol(rpc)]
    DevFeed,
    "contracts/artifacts/DevFeed.json"
}

#[tokio::test]
async fn r23_what_a_feed_says_is_a_fact_once_it_is_final_and_while_it_differs() {
    let world = World::with_stake().await;
    let aggregator = deploy(&world, 8).await;
    let mut genesis = (*world.genesis).clone();
    let feed = Feed {
        aggregator: ids::Address::new(aggregator.into_array()),
        asset_decimals: 18,
        start: MicroUsd::new(2_000_000_000),
        max_age: 3_600,
        max_jump: BasisPoints::new(5_000).unwrap(),
    };
    let mut assets: Vec<_> = genesis.assets.iter().copied().collect();
    assets[0].price = Price::Feed(feed);
    genesis.assets = assets.try_into().unwrap();
    world.redeploy(&mut genesis).await;
    let genesis = Arc::new(genesis);
    let ethereum = Ethereum::connect(&Config::one(&world.endpoint), Arc::clone(&genesis), None).await.unwrap();
    let source = genesis.assets[0].source;
    let mut watch = Watch::default();
    let mut after = genesis.ethereum_start;

    // What the ledger would make of the facts of the next anchor.
    let mut next = async |watch: &mut Watch| -> (ChainPoint, Vec<Fact>) {
        world.finalize().await;
        let upto = ethereum.tip().await.unwrap();
        let facts = ethereum.observe(&after, &upto, watch).await.unwrap();
        after = upto;
        for fact in &facts {
            let Fact::Price(seen) = fact else { panic!("{fact:?}") };
            let quote = feed.follow(watch.prices.get(&seen.source), &seen.answer, upto.time);
            watch.prices.insert(seen.source, quote);
        }
        (upto, facts)
    };

    // Before its first round it reverts: that is no reason not to move on.
    let (_, facts) = next(&mut watch).await;
    assert_eq!(facts, [Fact::Price(PriceSeen { source, answer: Answer::Nothing })]);
    assert_eq!((watch.prices[&source].price, watch.prices[&source].trouble), (feed.start, Some(Trouble::NoAnswer)));
    assert_eq!(next(&mut watch).await.1, [], "told once");

    let (now, _) = next(&mut watch).await;
    report(&world, aggregator, 250_000_000_000, now.time).await;
    let (_, facts) = next(&mut watch).await;
    let said = Answer::Round(Round { answer: 250_000_000_000, decimals: 8, updated: now.time });
    assert_eq!(facts, [Fact::Price(PriceSeen { source, answer: said })]);
    let good = watch.prices[&source];
    assert_eq!((good.price, good.updated, good.trouble), (MicroUsd::new(2_500_000_000), now.time, None));

    // (what it says, when, why that is not taken)
    let huge = i128::MAX;
    for (answer, updated, trouble) in [
        (0, now.time, Trouble::NotPositive),
        (900_000_000_000, now.time, Trouble::Jumped),
        (-250_000_000_000, now.time, Trouble::NotPositive),
        (250_000_000_000, now.time - 100_000, Trouble::Stale),
        (250_000_000_000, now.time + 1_000_000, Trouble::FromTheFuture),
        (huge, now.time, Trouble::TooLarge),
        (250_000_000_000, 0, Trouble::NoAnswer),
    ] {
        report(&world, aggregator, answer, updated).await;
        let (_, facts) = next(&mut watch).await;
        assert_eq!(facts.len(), 1, "{answer}");
        let frozen = watch.prices[&source];
        assert_eq!(
            (frozen.price, frozen.updated, frozen.trouble),
            (good.price, good.updated, Some(trouble)),
            "{answer}"
        );
    }
    let (now, _) = next(&mut watch).await;
    report(&world, aggregator, 240_000_000_000, now.time).await;
    let (_, facts) = next(&mut watch).await;
    assert_eq!(facts.len(), 1);
    assert_eq!(watch.prices[&source].price, MicroUsd::new(2_400_000_000));
    assert_eq!(watch.prices[&source].trouble, None);
}

#[tokio::test]
async fn r23_a_feed_that_is_not_there_holds_no_anchor_up() {
    let world = World::with_stake().await;
    let mut genesis = (*world.genesis).clone();
    let mut assets: Vec<_> = genesis.assets.iter().copied().collect();
    for aggregator in [ids::Address::new([0xab; 20]), genesis.contracts.allocation_manager] {
        assets[0].price = Price::Feed(Feed {
            aggregator,
            asset_decimals: 18,
            start: MicroUsd::new(1_000_000),
            max_age: 60,
            max_jump: BasisPoints::new(100).unwrap(),
        });
        genesis.assets = assets.clone().try_into().unwrap();
        world.redeploy(&mut genesis).await;
        let ethereum = Ethereum::connect(&Config::one(&world.endpoint), Arc::new(genesis.clone()), None).await.unwrap();
        let member = Member::new(1);
        ethereum.register_keys(&member.account(), &member.keys(&genesis)).await.unwrap();
        world.finalize().await;
        let upto = ethereum.tip().await.unwrap();
        let facts = ethereum.observe(&genesis.ethereum_start, &upto, &Watch::default()).await.unwrap();
        // The position that EigenLayer shows of everybody, and the feed after it.
        let told = Fact::Price(PriceSeen { source: genesis.assets[0].source, answer: Answer::Nothing });
        assert!(matches!(&facts[..], [Fact::Keys(_), Fact::Stake(_), price] if *price == told), "{facts:?}");
    }
}

async fn deploy(world: &World, decimals: u8) -> Address {
    let sender = Sender::new(&world.endpoint, &Member::new(0).signer()).unwrap();
    let mut plan = sender.plan().await.unwrap();
    let arguments = DevFeed::constructorCall { decimals_: decimals };
    let address = plan.create("DevFeed", [&DevFeed::BYTECODE[..], &arguments.abi_encode()].concat());
    sender.send(plan).await.unwrap();
    address
}

async fn report(world: &World, aggregator: Address, answer: i128, updated: u64) {
    let sender = Sender::new(&world.endpoint, &Member::new(0).signer()).unwrap();
    let mut plan = sender.plan().await.unwrap();
    let call = DevFeed::reportCall { answer: I256::try_from(answer).unwrap(), updatedAt: U256::from(updated) };
    plan.call("report", aggregator, &call);
    sender.send(plan).await.unwrap();
}
