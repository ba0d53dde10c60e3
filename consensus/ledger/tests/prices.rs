//! R23: what an asset is worth by its feed, and how much of it counts at most.

#![allow(clippy::unwrap_used)]

use palisade_ledger::fixture::{BOND, Network, Run, SHARES, network_with, point};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::genesis::{Asset, Caps, Genesis, Unsafe};
use palisade_types::observation::StakeSeen;
use palisade_types::position::StakeSource;
use palisade_types::price::{Answer, Feed, Price, PriceSeen, Quote, Round, Trouble};
use palisade_types::units::{BasisPoints, MicroUsd};
use palisade_types::{Address, Fact, Item, Row, RowKey};

/// The fixture's price: BOND is what SHARES weigh by it.
const START: u64 = 2_000_000_000;
const AGGREGATOR: Address = Address::new([0xfe; 20]);

fn feed() -> Feed {
    Feed {
        aggregator: AGGREGATOR,
        asset_decimals: 18,
        start: MicroUsd::new(START),
        max_age: 1_000,
        max_jump: BasisPoints::new(5_000).unwrap(),
    }
}

fn fed(operators: usize, seed: u64) -> Network {
    network_with(operators, seed, |genesis| change(genesis, |asset| asset.price = Price::Feed(feed())))
}

fn change(genesis: &mut Genesis, change: impl Fn(&mut Asset)) {
    let mut assets: Vec<Asset> = genesis.assets.iter().copied().collect();
    assets.iter_mut().for_each(change);
    genesis.assets = assets.try_into().unwrap();
}

fn source(run: &Run) -> StakeSource {
    run.network.genesis.assets[0].source
}

/// What the feed says at the anchor, in dollars with eight decimals.
fn says(run: &mut Run, upto: u64, answer: i128) {
    let updated = point(Ethereum, upto).time;
    let answer = Answer::Round(Round { answer, decimals: 8, updated });
    let seen = PriceSeen { source: source(run), answer };
    run.observe(Ethereum, upto, vec![Fact::Price(seen)]);
}

fn weights(run: &Run) -> Vec<u64> {
    run.ledger.committee().members.iter().map(|member| member.ether).collect()
}

fn quote(run: &Run) -> Quote {
    let quotes: Vec<_> = run.ledger.quotes().map(|(_, quote)| *quote).collect();
    quotes[0]
}

#[test]
fn r23_a_feed_weighs_as_its_last_good_word_and_a_bad_one_freezes_it() {
    let mut run = Run::new(fed(2, 71));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    assert_eq!(weights(&run), [BOND; 2], "genesis' price until the first answer");
    assert_eq!(run.ledger.row(&RowKey::Price(source(&run))), None);

    let mut upto = run.ledger.anchor(Ethereum).number;
    // (dollars, what it then is frozen by, what an operator weighs in the next committee)
    for (answer, trouble, weighs) in [
        (300_000_000_000, None, BOND / 2 * 3),
        (450_000_000_001, None, BOND / 4 * 9), // rounded down to a micro-dollar
        (0, Some(Trouble::NotPositive), BOND / 4 * 9),
        (-1, Some(Trouble::NotPositive), BOND / 4 * 9),
        (900_000_000_000, Some(Trouble::Jumped), BOND / 4 * 9),
        (100_000_000_000, Some(Trouble::Jumped), BOND / 4 * 9),
        (400_000_000_000, None, BOND * 2),
    ] {
        upto += 1;
        says(&mut run, upto, answer);
        assert_eq!(quote(&run).trouble, trouble, "{answer}");
        let epoch = run.ledger.epoch().epoch.get();
        run.until_epoch(epoch + 1);
        assert_eq!(weights(&run), [weighs; 2], "{answer}");
        upto = run.ledger.anchor(Ethereum).number;
    }
    // What the follower compares with is what the ledger holds.
    assert_eq!(run.ledger.watch(Ethereum).prices.values().copied().collect::<Vec<_>>(), [quote(&run)]);
    assert!(run.ledger.watch(Bitcoin).prices.is_empty());

    let before = quote(&run);
    let seen = PriceSeen { source: source(&run), answer: Answer::Nothing };
    run.observe(Ethereum, upto + 1, vec![Fact::Price(seen)]);
    assert_eq!(quote(&run), Quote { trouble: Some(Trouble::NoAnswer), ..before });
    let old = Answer::Round(Round { answer: 400_000_000_000, decimals: 8, updated: before.updated });
    let late = point(Ethereum, upto + 200).time;
    assert!(late - before.updated > feed().max_age, "the fixture's clock moves on");
    let seen = PriceSeen { source: source(&run), answer: old };
    run.observe(Ethereum, upto + 200, vec![Fact::Price(seen)]);
    assert_eq!(quote(&run), Quote { trouble: Some(Trouble::Stale), ..before });
    run.ledger.audit().unwrap();
}

#[test]
fn r23_a_price_is_taken_of_listed_feeds_only() {
    let mut fixed = Run::new(network_with(1, 72, |_| {}));
    let answer = Answer::Round(Round { answer: 300_000_000_000, decimals: 8, updated: point(Ethereum, 105).time });
    let listed = source(&fixed);
    fixed.observe(Ethereum, 105, vec![Fact::Price(PriceSeen { source: listed, answer })]);
    assert_eq!(fixed.ledger.row(&RowKey::Price(listed)), None, "genesis fixed it");
    let mut run = Run::new(fed(1, 73));
    let unknown = StakeSource::EigenLayer(Address::new([0xee; 20]));
    run.observe(Ethereum, 105, vec![Fact::Price(PriceSeen { source: unknown, answer })]);
    assert_eq!(run.ledger.row(&RowKey::Price(unknown)), None);
    let told = run.network.observed(&run.ledger, Bitcoin, 206, vec![Fact::Price(PriceSeen { source: listed, answer })]);
    assert!(format!("{:?}", run.refusal(told)).contains("other chain"));
    let row = Row::Price(Quote { price: MicroUsd::new(1), updated: 2, trouble: Some(Trouble::Stale) });
    let back: Row = palisade_types::Canonical::from_bytes(&palisade_types::Canonical::to_bytes(&row)).unwrap();
    assert_eq!(back, row);
}

/// Two strategies, with these caps; operators have `stakes` shares of each.
fn capped(seed: u64, caps: [MicroUsd; 2], kind: MicroUsd, stakes: &[[u128; 2]]) -> Vec<u64> {
    let second = StakeSource::EigenLayer(Address::new([0xb2; 20]));
    let mut run = Run::new(network_with(stakes.len(), seed, |genesis| {
        let first = genesis.assets[0];
        let assets = vec![Asset { cap: caps[0], ..first }, Asset { source: second, cap: caps[1], ..first }];
        genesis.assets = assets.try_into().unwrap();
        genesis.parameters.caps = Caps { eigenlayer: kind, ..Caps::NONE };
    }));
    let mut facts: Vec<Fact> = (0..stakes.len()).map(|index| run.network.keys_fact(index, 101)).collect();
    for (index, [one, two]) in stakes.iter().enumerate() {
        facts.push(run.network.stake_fact(index, *one));
        let Fact::Stake(seen) = run.network.stake_fact(index, *two) else { unreachable!() };
        let id = palisade_types::position::PositionId { source: second, ..seen.id };
        facts.push(Fact::Stake(StakeSeen { id, ..seen }));
    }
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    let committee = run.ledger.committee().clone();
    let seat = |index: usize| committee.seat(&run.network.operators[index].id);
    (0..stakes.len()).map(|index| seat(index).map_or(0, |(_, member)| member.ether)).collect()
}

#[test]
fn r23_an_asset_and_a_protocol_weigh_no_more_than_their_caps() {
    let usd = MicroUsd::new;
    let two = [[SHARES, SHARES], [SHARES, SHARES]];
    assert_eq!(capped(74, [Caps::ANY; 2], Caps::ANY, &two), [2 * BOND; 2]);
    // One asset: what is more is cut in proportion, and the other stays whole.
    assert_eq!(capped(75, [usd(BOND), Caps::ANY], Caps::ANY, &two), [BOND / 2 + BOND; 2]);
    assert_eq!(capped(76, [usd(2 * BOND), Caps::ANY], Caps::ANY, &two), [2 * BOND; 2], "it just fits");
    let uneven = [[3 * SHARES, 0], [SHARES, SHARES]];
    assert_eq!(capped(77, [usd(2 * BOND), Caps::ANY], Caps::ANY, &uneven), [BOND * 3 / 2, BOND / 2 + BOND]);
    // The protocol together, after each asset's own cap.
    assert_eq!(capped(78, [Caps::ANY; 2], usd(2 * BOND), &two), [BOND; 2]);
    assert_eq!(
        capped(79, [usd(BOND), Caps::ANY], usd(2 * BOND), &two),
        [BOND - 1; 2],
        "a third of each is no whole number"
    );
    // Rounded down: three who share what three do not divide.
    let three = [[SHARES, 0], [SHARES, 0], [SHARES, 0]];
    let weights = capped(80, [usd(BOND + 1), Caps::ANY], Caps::ANY, &three);
    assert!(
        weights.iter().sum::<u64>() <= BOND + 1 && weights.iter().all(|weight| *weight == (BOND + 1) / 3),
        "{weights:?}"
    );
}

#[test]
fn r23_no_operator_weighs_more_than_an_operators_cap() {
    let cap = MicroUsd::new(BOND * 3 / 2);
    let mut run = Run::new(network_with(3, 85, |genesis| {
        genesis.parameters.caps = Caps { operator: cap, ..Caps::NONE };
        genesis.parameters.bitcoin_price = MicroUsd::new(BOND * 100);
    }));
    let mut facts: Vec<Fact> = (0..3).map(|index| run.network.keys_fact(index, 101)).collect();
    facts.extend([1, 2, 5].iter().enumerate().map(|(index, times)| run.network.stake_fact(index, times * SHARES)));
    run.observe(Ethereum, 105, facts);
    // The first has a vault besides, of which a fault takes ten bonds: more than the cap again.
    let vault = run.network.vault(0, 1, 100_000_000, 201);
    let (id, promise) = (Network::vault_id(&vault), run.network.randomness(0, 10, 9));
    run.produce(vec![Item::Vault(Box::new(vault)), Item::Randomness(promise)]);
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    run.until_epoch(1);
    assert_eq!(weights(&run), [BOND, cap.get(), cap.get()]);
    let seats: Vec<_> =
        run.network.operators.iter().map(|keys| run.ledger.committee().seat(&keys.id).unwrap().1).collect();
    assert_eq!(seats[0].bitcoin, 10_000_000, "satoshis are no dollars: what votes for checkpoints is not capped");
    assert_eq!([seats[0].engine, seats[1].engine, seats[2].engine], [BOND + cap.get(), cap.get(), cap.get()]);
}

#[test]
fn r23_a_convict_takes_nothing_of_a_cap_from_the_others() {
    let mut run = Run::new(network_with(2, 81, |genesis| change(genesis, |asset| asset.cap = MicroUsd::new(BOND))));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    run.until_epoch(1);
    assert_eq!(weights(&run), [BOND / 2; 2]);
    let upto = run.ledger.anchor(Ethereum).number + 1;
    let convicted = run.network.convicted_fact(0, 3);
    run.observe(Ethereum, upto, vec![convicted]);
    let epoch = run.ledger.epoch().epoch.get();
    run.until_epoch(epoch + 1);
    assert_eq!(weights(&run), [BOND]);
}

#[test]
fn r23_a_genesis_bounds_every_feed_and_caps_nothing_to_nothing() {
    let check = |alter: &dyn Fn(&mut Genesis)| {
        let network = fed(1, 82);
        let mut genesis = (*network.genesis).clone();
        alter(&mut genesis);
        genesis.check()
    };
    let price = |alter: &dyn Fn(&mut Feed)| {
        let mut feed = feed();
        alter(&mut feed);
        check(&|genesis| change(genesis, |asset| asset.price = Price::Feed(feed)))
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert!(matches!(price(&|feed| feed.aggregator = Address::ZERO), Err(Unsafe::Senseless(_))));
    assert!(matches!(price(&|feed| feed.asset_decimals = 39), Err(Unsafe::Senseless(_))));
    assert!(matches!(price(&|feed| feed.start = MicroUsd::new(0)), Err(Unsafe::Senseless(_))));
    assert!(matches!(price(&|feed| feed.max_age = 0), Err(Unsafe::Senseless(_))));
    assert!(matches!(price(&|feed| feed.max_jump = BasisPoints::new(0).unwrap()), Err(Unsafe::Senseless(_))));
    let zero = MicroUsd::new(0);
    assert!(matches!(check(&|genesis| change(genesis, |asset| asset.cap = zero)), Err(Unsafe::Senseless(_))));
    let kind = check(&|genesis| genesis.parameters.caps = Caps { eigenlayer: zero, ..Caps::NONE });
    assert!(matches!(kind, Err(Unsafe::Senseless(_))));
    let everybody = check(&|genesis| genesis.parameters.caps = Caps { operator: zero, ..Caps::NONE });
    assert!(matches!(everybody, Err(Unsafe::Senseless(_))));
}
