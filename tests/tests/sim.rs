//! Seeded worlds: operators' real cores under loss, crashes and equivocators. `PALISADE_WORLDS=N` runs N of them.

use palisade_agreement::ballot::{Ballot, SignedBallot, Step};
use palisade_agreement::sim::Node;
use palisade_ledger::fixture::SHARES;
use palisade_node::core::Promises;
use palisade_node::message::Message;
use palisade_tests::cast::{Equivocator, Role};
use palisade_tests::world::{Operator, World, is_settled};
use palisade_types::attestation::Attestation;
use palisade_types::block::{Block, Item};
use palisade_types::chain::ChainKind;
use palisade_types::claim::Claim;
use palisade_types::evidence::Evidence;
use palisade_types::ids::{BlockId, BlsSignature, Ed25519Signature, OperatorId};
use palisade_types::numbers::NumberedKind;
use palisade_types::order::Order;
use palisade_types::position::Position;
use palisade_types::slash::OrderStatus;
use palisade_types::units::{Epoch, Height, Millis, Sats, Wad};
use palisade_types::vault::VaultStatus;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The first height at which the villain may contradict himself.
const TREASON: u64 = 16;

/// Four operators with loss, one of them an equivocator, one honest one killed and started again at a moment of the seed's.
fn life(seed: u64) -> World {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::seeded(seed).operators(4).with(Equivocator::of_stake(TREASON), 1).loss(30).begin();
    let honest: Vec<usize> = world.honest().collect();
    let victim = honest[random.gen_range(0..honest.len())];
    world.sim.run_for(Millis::new(random.gen_range(2_000..25_000)));
    world.sim.crash(victim);
    world.sim.run_for(Millis::new(random.gen_range(0..10_000)));
    world.sim.restart(victim);
    let convicts = world.names(world.villains());
    let convicted = world.run_until(300, |world| {
        world.everybody(|ledger| {
            convicts.iter().all(|id| ledger.operator(id).is_some_and(|one| one.convicted.is_some()))
        })
    });
    assert!(convicted, "the villain got away\n{}", world.describe());
    world
}

/// What a life must come to, once faults stop.
fn ends_well(world: &mut World) {
    world.sim.lose(0);
    let until = Height::new(30).max(Height::new(world.height().get() + 10));
    let (epoch, ether, bitcoin) = (world.epoch(), world.ether_final(), world.bitcoin_final());
    let cases = 2 * world.villains().len();
    let done = |world: &World| {
        world.everybody(|ledger| ledger.cases().count() == cases)
            && world.height() >= until
            && world.epoch() > epoch.next()
            && world.ether_final() > ether.max(Height::new(25))
            && world.bitcoin_final() > bitcoin.max(Height::new(20))
            && world.everybody(is_settled)
    };
    assert!(
        world.run_until(300, done),
        "no progress from epoch {epoch:?}, ether {ether}, bitcoin {bitcoin}\n{}",
        world.describe()
    );
    world.agree();
    let villains = world.names(world.villains());
    world.guilty_are(&villains, &BTreeSet::new());
    for operator in world.sim.nodes() {
        let ledger = operator.ledger();
        let cases: Vec<_> = ledger.cases().collect();
        assert_eq!(cases.len(), 2 * villains.len(), "a case for each domain (R25)\n{}", world.describe());
        assert_eq!(cases.iter().map(|case| case.operator).collect::<BTreeSet<_>>(), villains);
        let orders: Vec<_> = cases.iter().flat_map(|case| case.orders.iter()).collect();
        let taken = |status: &OrderStatus| matches!(status, OrderStatus::Final(taken) if taken.amount > 0);
        assert!(
            !orders.is_empty() && orders.iter().all(|order| taken(&order.status)),
            "both stakes are gone: {orders:?}"
        );
    }
}

/// Runs each seed; one that fails says which it was.
fn each(seeds: impl Iterator<Item = u64>, run: impl Fn(u64)) {
    for seed in seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| run(seed)));
        if let Err(panic) = ran {
            eprintln!("the world of seed {seed} fails");
            resume_unwind(panic);
        }
    }
}

fn worlds() -> u64 {
    std::env::var("PALISADE_WORLDS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

#[test]
fn four_operators_real_cores_with_loss_a_crash_and_an_equivocator_convict_him_and_go_on() {
    each(0..worlds(), |seed| ends_well(&mut life(seed)));
}

#[test]
fn crashes_at_any_moment_lose_nobody_anything() {
    each(0..worlds(), |seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::seeded(seed).with(Equivocator::of_stake(TREASON), 1).loss(30).begin();
        for _ in 0..12 {
            world.sim.run_for(Millis::new(random.gen_range(0..4_000)));
            let victim = random.gen_range(0..world.sim.len());
            world.sim.crash(victim);
            world.sim.run_for(Millis::new(random.gen_range(0..4_000)));
            world.sim.restart(victim);
        }
        ends_well(&mut world);
        // Each met himself in certificates of before his crashes, and took himself for nobody else (R20).
        assert!(world.honest().all(|index| world.sim.node(index).met > 0), "{}", world.describe());
    });
}

#[test]
fn r10_a_hand_over_waits_for_the_last_of_those_it_needs() {
    let mut world = World::seeded(3).with(Equivocator::of_stake(TREASON), 1).begin();
    let convicts = world.names(world.villains());
    let is_convicted = |world: &World| world.sim.nodes().any(|node| node.ledger().cases().count() > 0);
    assert!(world.run_until(60, is_convicted), "{}", world.describe());
    let late = world.honest().next().unwrap();
    world.sim.crash(late);
    world.sim.run_for(Millis::new(90_000));
    let waiting = world.sim.node((late + 1) % 4).ledger();
    assert!(waiting.epoch().boundary.is_some() && waiting.committee().seat(convicts.first().unwrap()).is_some());
    world.sim.restart(late);
    ends_well(&mut world);
}

#[test]
fn r18_an_operator_who_votes_twice_is_jailed_in_every_ledger_and_loses_nothing() {
    each(0..worlds().div_ceil(2), |seed| {
        let mut world = World::seeded(seed).with(Equivocator::of_ballots(12), 1).loss(20).begin();
        let villain = *world.names(world.villains()).first().unwrap();
        let gone = |world: &World| world.everybody(|ledger| ledger.committee().seat(&villain).is_none());
        assert!(world.run_until(120, gone), "he still sits\n{}", world.describe());
        let until = Height::new(world.height().get() + 10);
        assert!(world.run_until(60, |world| world.ether_final() >= until), "{}", world.describe());
        world.agree();
        world.guilty_are(&BTreeSet::new(), &BTreeSet::from([villain]));
        assert!(world.everybody(|ledger| ledger.cases().count() == 0));
    });
}

/// Found by a fate: one who was behind blamed whoever told him of a fault.
#[test]
fn r18_evidence_against_somebody_whom_one_behind_does_not_know_yet_is_no_fault_of_who_tells_it() {
    let mut world = World::seeded(6).begin();
    let (voter, chain) = (world.sim.node(1).signer.keys.clone(), world.sim.node(1).ledger().chain());
    let ballot = |block| {
        let (height, step) = (Height::new(1), Step::Prevote);
        let ballot = Ballot { chain, operator: voter.id, height, round: 0, step, block, valid_round: None };
        SignedBallot { ballot, signature: Ed25519Signature::new(voter.ed25519.sign(&ballot.preimage()).0) }
    };
    let pair = ballot(None).pair(&ballot(Some(BlockId::new([7; 32])))).unwrap();
    let (now, pair) = (world.sim.now(), Message::Evidence(Box::new(Evidence::Votes(pair))));
    assert!(world.sim.node(0).ledger().operator(&voter.id).is_none(), "nobody is registered in genesis");
    assert!(world.sim.node_mut(0).core.hear(now, pair.clone()));
    let known = |world: &World| world.everybody(|ledger| ledger.operator(&voter.id).is_some());
    assert!(world.run_until(60, known), "{}", world.describe());
    let now = world.sim.now();
    assert!(world.sim.node_mut(0).core.hear(now, pair));
    let jailed =
        |world: &World| world.everybody(|ledger| ledger.operator(&voter.id).is_some_and(|one| one.jailed.is_some()));
    assert!(world.run_until(60, jailed), "{}", world.describe());
}

/// Two of four run second machines with the same keys. On one side of a cut wire they attest with one honest operator up to some height;
/// then they forget it, and make another chain with the other honest one, on which they attest nothing up to that height.
#[test]
fn r01_a_fork_by_amnesia_convicts_who_made_it_though_nobody_signed_twice_in_a_slot() {
    let mut world = World::seeded(9).with(Role::Twin, 2).begin();
    assert!(world.run_until(120, |world| world.ether_final_of([0, 1, 2, 3]) >= Height::new(8)), "{}", world.describe());
    let (twins, honest) = (world.villains().to_vec(), world.honest().filter(|place| *place < 4).collect::<Vec<_>>());
    let ([one, other], guilty) = ([honest[0], honest[1]], world.names(&twins));
    // The one side goes on without the other.
    world.sim.crash(other);
    for (second, first) in (4..).zip(&twins) {
        world.copy(*first, second);
    }
    let before = world.sim.node(one).ledger().head().height;
    let until = Height::new(before.get() + 3);
    assert!(world.run_until(60, |world| world.ether_final_of([one]) >= until), "{}", world.describe());
    twins.iter().for_each(|twin| world.sim.crash(*twin));
    let attested = twins.iter().map(|twin| world.sim.node(*twin).signer.newest_attested()).max().unwrap();
    assert!(attested > before);
    // Then they forget it, and go on with the other.
    for second in 4..6 {
        world.sim.node_mut(second).signer.silent = attested;
        world.sim.cut(one, second);
        world.sim.restart(second);
    }
    world.sim.cut(one, other);
    world.sim.restart(other);
    let until = Height::new(attested.get() + 3);
    assert!(world.run_until(120, |world| world.ether_final_of([other]) >= until), "{}", world.describe());
    let certified = world.ether_final_of([one]);
    let block = |place: usize| world.sim.node(place).ledger().block_id(certified);
    assert!(block(one) != block(other), "two chains are certified\n{}", world.describe());
    let is_innocent = |world: &World| world.sim.nodes().all(|one| one.ledger().cases().count() == 0);
    assert!(is_innocent(&world), "nobody can know it yet");
    world.sim.heal();
    let convicts = |ledger: &palisade_ledger::Ledger| {
        let convicted = ledger.operators().filter(|operator| operator.convicted.is_some());
        convicted.map(|operator| operator.id).collect::<BTreeSet<_>>()
    };
    let done = |world: &World| convicts(world.sim.node(other).ledger()) == guilty;
    assert!(world.run_until(120, done), "{}", world.describe());
    let ledger = world.sim.node(other).ledger();
    assert!(ledger.cases().all(|case| case.slot <= attested.get() && case.domain == ledger.domains().ledger));
    // The other honest one, whose chain ended, can prove it to anybody too.
    let proven = world.sim.node(one).disk.evidence().filter_map(|evidence| match evidence {
        Evidence::Ancestor(fault) => Some(fault.operator),
        _ => None,
    });
    assert_eq!(proven.collect::<BTreeSet<_>>(), guilty, "{}", world.describe());
}

/// Two of four sign for both sides of a fork, slot by slot, and no single attestation of theirs is gossiped: each honest operator
/// holds what he counted, and after it the certificates that the other side tells.
#[test]
fn r01_two_certificates_of_a_fork_convict_who_signed_both_though_nobody_hears_a_pair() {
    let mut world = World::seeded(9).mute().with(Role::Twin, 2).begin();
    assert!(world.run_until(240, |world| world.ether_final_of([0, 1, 2, 3]) >= Height::new(8)), "{}", world.describe());
    let (twins, honest) = (world.villains().to_vec(), world.honest().filter(|place| *place < 4).collect::<Vec<_>>());
    let ([one, other], guilty) = ([honest[0], honest[1]], world.names(&twins));
    world.sim.crash(other);
    for (second, first) in (4..).zip(&twins) {
        world.copy(*first, second);
    }
    let fork = world.sim.node(one).ledger().head().height;
    let until = Height::new(fork.get() + 3);
    assert!(world.run_until(120, |world| world.ether_final_of([one]) >= until), "{}", world.describe());
    twins.iter().for_each(|twin| world.sim.crash(*twin));
    for second in 4..6 {
        world.sim.cut(one, second);
        world.sim.restart(second);
    }
    world.sim.cut(one, other);
    world.sim.restart(other);
    let until = Height::new(world.sim.node(one).ledger().head().height.get() + 3);
    assert!(world.run_until(240, |world| world.ether_final_of([other]) >= until), "{}", world.describe());
    let certified = world.ether_final_of([one]);
    let block = |place: usize| world.sim.node(place).ledger().block_id(certified);
    assert!(block(one) != block(other), "two chains are certified\n{}", world.describe());
    let is_innocent = |world: &World| world.sim.nodes().all(|one| one.ledger().cases().count() == 0);
    assert!(is_innocent(&world), "nobody can know it yet");
    // Nobody is asked any more for what he counted.
    (0..world.sim.len()).for_each(|place| world.sim.node_mut(place).closed = true);
    world.sim.heal();
    let convicts = |ledger: &palisade_ledger::Ledger| {
        let convicted = ledger.operators().filter(|operator| operator.convicted.is_some());
        convicted.map(|operator| operator.id).collect::<BTreeSet<_>>()
    };
    let done = |world: &World| convicts(world.sim.node(other).ledger()) == guilty;
    assert!(world.run_until(120, done), "{}", world.describe());
    for case in world.sim.node(other).ledger().cases() {
        assert!(matches!(case.evidence, Some(Evidence::Certificates(_))), "{}", world.describe());
        assert!(case.slot > fork.get() && case.slot <= certified.get());
    }
    // The other honest one, whose chain ended, holds it too, and can hand it to anybody.
    let held = world.sim.node(one).disk.evidence().any(|evidence| match evidence {
        Evidence::Certificates(pair) => {
            let judged = world.sim.node(one).ledger().judge_certificates(pair);
            judged.is_ok_and(|convicts| convicts.into_iter().collect::<BTreeSet<_>>() == guilty)
        }
        _ => false,
    });
    assert!(held, "{}", world.describe());
}

#[test]
fn r29_a_key_that_a_slash_nobody_ordered_gives_away_convicts_its_owner_in_every_ledger() {
    let mut world = World::seeded(5).begin();
    assert!(world.run_until(60, |world| world.bitcoin_final() >= Height::new(10)), "{}", world.describe());
    let anchor = world.sim.node(0).ledger().anchor(ChainKind::Bitcoin).number;
    world.give_away(anchor + 3, 1);
    let owner = world.names(&[1]);
    let convicted = |world: &World| {
        world.everybody(|ledger| owner.iter().all(|id| ledger.operator(id).is_some_and(|one| one.convicted.is_some())))
    };
    assert!(world.run_until(120, convicted), "{}", world.describe());
    world.agree();
    world.guilty_are(&owner, &BTreeSet::new());
}

/// Ethereum blocks in which a lying endpoint lies.
const LYING: Range<u64> = 110..118;

#[test]
fn r07_an_operator_whose_endpoint_falls_silent_attests_nothing_new_and_the_others_go_on() {
    let mut world = World::seeded(2).endpoint(1, |chain| chain.silent_after(108)).begin();
    let others = |world: &World| world.ether_final() >= Height::new(60);
    assert!(world.run_until(120, others), "{}", world.describe());
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    let is_news = |block: &Block| {
        block.items.iter().any(|item| {
            matches!(item, Item::Observed(seen)
            if seen.chain == ChainKind::Ethereum && seen.upto.number > 108)
        })
    };
    let deaf = world.sim.node(1);
    let first = deaf.disk.blocks.iter().map(|(block, _)| block).find(|block| is_news(block)).unwrap();
    assert!(!deaf.signer.has_attested(first.header.height), "{}", world.describe());
    assert!(deaf.alarms.is_empty(), "silence is no contradiction\n{}", world.describe());
}

#[test]
fn r31_an_operator_whose_endpoint_lags_keeps_up() {
    let mut world = World::seeded(3).endpoint(1, |chain| chain.lagging(3)).loss(20).begin();
    let done = |world: &World| world.height() >= Height::new(60) && world.bitcoin_final() >= Height::new(45);
    assert!(world.run_until(120, done), "{}", world.describe());
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    let behind = world.sim.node(1);
    assert!(behind.alarms.is_empty() && behind.core.status().attested > Height::new(40), "{}", world.describe());
}

#[test]
fn seven_operators_convict_exactly_the_two_who_equivocate() {
    ends_well(&mut World::seeded(7).operators(7).with(Equivocator::of_stake(TREASON), 2).loss(20).begin());
}

#[test]
fn r07_an_operator_whose_endpoint_lies_attests_no_block_it_contradicts_and_the_others_go_on() {
    // In this world it hears of the block it contradicts before the others have certified that: later, R7 asks for no more.
    let mut world = World::seeded(1).endpoint(2, |chain| chain.lying_in(LYING)).begin();
    let others = |world: &World| {
        let final_height = |index| world.sim.node(index).ledger().finality().ether.map(|block| block.height);
        [0, 1, 3].into_iter().all(|index| final_height(index) >= Some(Height::new(60)))
    };
    assert!(world.run_until(120, others), "{}", world.describe());
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    let unchanged = |position: &Position| matches!(position, Position::EigenLayer(seen) if seen.shares == SHARES);
    assert!(world.everybody(|ledger| ledger.positions().all(|(_, position)| unchanged(position))));
    let is_contradicted = |item: &Item| match item {
        Item::Observed(seen) => seen.chain == ChainKind::Ethereum && LYING.contains(&seen.upto.number),
        _ => false,
    };
    let blocks = world.sim.node(0).disk.blocks.iter().map(|(block, _)| block);
    let contradicted = blocks.filter(|block| block.items.iter().any(is_contradicted));
    let attested = |index: usize, block: &Block| world.sim.node(index).signer.has_attested(block.header.height);
    // The block that ends an epoch is attested by nobody: the next committee is in office when it stands.
    let contradicted: Vec<_> = contradicted.filter(|block| attested(0, block)).collect();
    assert!(!contradicted.is_empty(), "{}", world.describe());
    for block in contradicted {
        assert!(!attested(2, block), "attested {}\n{}", block.header.height, world.describe());
    }
    let deceived = world.sim.node(2);
    assert!(!deceived.alarms.is_empty() && !deceived.core.status().contradicted.is_empty(), "{}", world.describe());
    // The person who was called mends the endpoint and starts the node again.
    let before = deceived.core.status().attested;
    assert!(before < Height::new(50), "it stops for good\n{}", world.describe());
    world.sim.crash(2);
    world.sim.restart(2);
    let again = |world: &World| world.sim.node(2).core.status().attested > Height::new(60);
    assert!(world.run_until(60, again), "{}", world.describe());
    world.agree();
}

#[test]
fn r07_one_who_is_killed_before_his_follower_has_answered_attests_again() {
    let mut world = World::seeded(2).with(Equivocator::of_stake(TREASON), 1).begin();
    let is_convicted = |world: &World| world.sim.nodes().any(|node| node.ledger().cases().count() > 0);
    assert!(world.run_until(60, is_convicted), "{}", world.describe());
    // Without the convict the hand-over needs the other three. One of them misses some blocks and is given them decided.
    let victim = world.honest().next().unwrap();
    (0..4).filter(|index| *index != victim).for_each(|index| world.sim.cut(victim, index));
    world.sim.run_for(Millis::new(5_000));
    world.sim.heal();
    let waits = |operator: &Operator| operator.core.status().confirmed < operator.ledger().head().height;
    let limit = Millis::new(world.sim.now().get() + 10_000);
    assert!(world.sim.run_until(limit, |sim| waits(sim.node(victim))), "{}", world.describe());
    world.sim.crash(victim);
    world.sim.restart(victim);
    ends_well(&mut world);
}

#[test]
fn r10_everybody_is_killed_at_any_moment_and_the_next_hand_over_still_comes() {
    each(0..2 * worlds(), |seed| {
        let mut world = World::seeded(seed).begin();
        assert!(world.run_until(60, |world| world.epoch() >= Epoch::new(1)), "{}", world.describe());
        // The second epoch ends within ten heights: its boundary block is on its way in most of these worlds.
        world.sim.run_for(Millis::new(2_500 + 160 * seed % 5_000));
        let (epoch, ether) = (world.epoch(), world.ether_final());
        (0..4).for_each(|index| world.sim.crash(index));
        (0..4).for_each(|index| world.sim.restart(index));
        let done = |world: &World| world.epoch() > epoch.next() && world.ether_final() > ether;
        assert!(world.run_until(60, done), "no hand-over after epoch {epoch:?}\n{}", world.describe());
        world.agree();
    });
}

#[test]
fn the_same_seed_is_the_same_world_and_another_seed_is_another() {
    let run = |seed| {
        let mut world = World::seeded(seed).with(Equivocator::of_stake(TREASON), 1).loss(50).begin();
        world.sim.run_for(Millis::new(9_000));
        world.sim.crash(0);
        world.sim.run_for(Millis::new(2_000));
        world.sim.restart(0);
        world.sim.run_for(Millis::new(9_000));
        (world.trace(), world.height())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert!(run(1).1 > Height::new(5));
}

#[test]
fn a_quiet_world_loses_nobody_anything() {
    let mut world = World::seeded(1).begin();
    let done = |world: &World| world.height() >= Height::new(40) && world.bitcoin_final() >= Height::new(30);
    assert!(world.run_until(120, done), "{}", world.describe());
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    assert!(world.epoch() >= Epoch::new(3));
    assert!(world.everybody(|ledger| ledger.cases().count() == 0 && ledger.vaults().count() == 4));
}

/// Whether everybody has the certificate of the newest claim about every vault, and each is `revoked` or not.
fn claims_are_certified(world: &World, revoked: bool) -> bool {
    world.sim.nodes().all(|one| {
        let (ledger, held) = (one.ledger(), &one.disk.numbered);
        ledger.claims().count() == 4
            && ledger.claims().all(|claim| {
                let certificate = held.get(&(NumberedKind::Claim, claim.number));
                let statement = claim.statement(ledger.domains().claim);
                claim.revoked == revoked && certificate.is_some_and(|found| found.statement() == statement)
            })
    })
}

#[test]
fn r03_vaults_are_claimed_and_certified_in_every_epoch_also_by_one_who_was_away() {
    each(0..worlds().div_ceil(2), |seed| {
        let mut world = World::seeded(seed).loss(30).begin();
        assert!(world.run_until(120, |world| claims_are_certified(world, false)), "{}", world.describe());
        world.sim.crash(1);
        world.sim.run_for(Millis::new(15_000));
        world.sim.restart(1);
        let epoch = world.epoch();
        let done = |world: &World| world.epoch() > epoch.next() && claims_are_certified(world, false);
        assert!(world.run_until(180, done), "{}", world.describe());
        for one in world.sim.nodes() {
            let ledger = one.ledger();
            for claim in ledger.claims() {
                let committee = ledger.committee_of(claim.epoch).unwrap();
                one.disk.numbered[&(NumberedKind::Claim, claim.number)]
                    .verify(&ledger.chain(), committee, |_| false)
                    .unwrap();
                assert_eq!(claim.sats.get(), committee.seat(&claim.operator).unwrap().1.bitcoin);
            }
            let numbers = ledger.numbers(NumberedKind::Claim);
            let mut held = one.disk.numbered.keys().filter(|(kind, _)| *kind == NumberedKind::Claim);
            assert!(held.all(|(_, number)| *number >= numbers.before), "old certificates are forgotten");
        }
        world.agree();
        world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    });
}

/// Whether the case is over and something was taken for it.
fn is_taken(ledger: &palisade_ledger::Ledger, guilty: OperatorId) -> bool {
    let taken = |status: &OrderStatus| matches!(status, OrderStatus::Final(taken) if taken.amount > 0);
    let mut cases = ledger.cases().filter(|case| case.operator == guilty && case.needs_order());
    cases.any(|case| !case.orders.is_empty() && case.orders.iter().all(|order| taken(&order.status)))
}

#[test]
fn r27_a_covenants_breach_is_ordered_certified_and_taken_though_somebody_crashes() {
    each(0..worlds().div_ceil(2), |seed| {
        let mut world = World::seeded(seed).loss(30).begin();
        assert!(world.run_until(120, |world| claims_are_certified(world, false)), "{}", world.describe());
        let before = world.sim.node(3).ledger().anchor(ChainKind::Bitcoin).number;
        let guilty = world.breach(before + 2, 1);
        let convicted = |ledger: &palisade_ledger::Ledger| ledger.cases().any(|case| case.operator == guilty);
        assert!(world.run_until(60, |world| world.everybody(convicted)), "{}", world.describe());
        // Of the three who are left everybody is needed, and one is away for a while.
        world.sim.crash(2);
        world.sim.run_for(Millis::new(5_000 + 1_000 * seed));
        world.sim.restart(2);
        let done = |world: &World| world.everybody(|ledger| is_taken(ledger, guilty));
        assert!(world.run_until(180, done), "{}", world.describe());
        let part = world.sim.node(0).ledger().genesis_of().parameters.order_part.get();
        for one in world.sim.nodes() {
            let ledger = one.ledger();
            let case = ledger.cases().find(|case| case.operator == guilty).unwrap();
            let order = ledger.orders().find(|order| order.case == case.id).unwrap();
            assert_eq!((order.operator, order.wad.get()), (guilty, part));
            for order in &case.orders {
                let OrderStatus::Final(taken) = order.status else { panic!("{order:?}") };
                assert!(taken.amount.abs_diff(order.asked) <= 1, "asked {}, taken {}", order.asked, taken.amount);
            }
        }
        world.agree();
        world.guilty_are(&BTreeSet::from([guilty]), &BTreeSet::new());
    });
}

#[test]
fn r16_two_orders_under_one_number_convict_their_signer_in_every_ledger() {
    let mut world = World::seeded(21).begin();
    assert!(world.run_until(120, |world| claims_are_certified(world, false)), "{}", world.describe());
    let before = world.sim.node(3).ledger().anchor(ChainKind::Bitcoin).number;
    let guilty = world.breach(before + 2, 1);
    let certified = |world: &World| {
        world.sim.nodes().all(|one| one.disk.numbered.keys().any(|(kind, _)| *kind == NumberedKind::Order))
    };
    assert!(world.run_until(120, certified), "{}", world.describe());
    let (liar, now) = (world.sim.node(2).signer.keys.clone(), world.sim.now());
    let ledger = world.sim.node(0).ledger();
    let (chain, domain) = (ledger.chain(), ledger.domains().order);
    let order = *ledger.orders().next().unwrap();
    let lie = Order { wad: Wad::new(order.wad.get() + 1), ..order }.statement(domain);
    let signature = BlsSignature::new(liar.bls.sign(&lie.bls_message(&chain)).to_bytes());
    let lie = Attestation { statement: lie, operator: liar.id, signature };
    assert!(world.sim.node_mut(0).core.hear(now, Message::Attestation(lie)), "no fault of whoever passes it on");
    let convicted = |ledger: &palisade_ledger::Ledger| {
        let mut cases = ledger.cases();
        cases.any(|case| (case.operator, case.domain, case.slot) == (liar.id, domain, order.number))
    };
    assert!(world.run_until(60, |world| world.everybody(convicted)), "{}", world.describe());
    assert!(
        guilty != liar.id
            && world.everybody(|ledger| ledger.cases().all(|case| case.operator != guilty || case.needs_order()))
    );
}

#[test]
fn r16_two_attestations_under_one_claims_number_convict_their_signer_in_every_ledger() {
    let mut world = World::seeded(11).begin();
    assert!(world.run_until(120, |world| claims_are_certified(world, false)), "{}", world.describe());
    let (liar, now) = (world.sim.node(2).signer.keys.clone(), world.sim.now());
    let ledger = world.sim.node(0).ledger();
    let (chain, domain) = (ledger.chain(), ledger.domains().claim);
    let claim = *ledger.claims().next().unwrap();
    let statement = Claim { sats: Sats::new(claim.sats.get() + 1), ..claim }.statement(domain);
    let signature = BlsSignature::new(liar.bls.sign(&statement.bls_message(&chain)).to_bytes());
    let lie = Attestation { statement, operator: liar.id, signature };
    // It goes to somebody who has counted what he said before.
    assert!(world.sim.node_mut(0).core.hear(now, Message::Attestation(lie)), "no fault of whoever passes it on");
    let convicted = |ledger: &palisade_ledger::Ledger| {
        let mut cases = ledger.cases();
        cases.any(|case| (case.operator, case.domain, case.slot) == (liar.id, domain, claim.number))
    };
    assert!(world.run_until(60, |world| world.everybody(convicted)), "{}", world.describe());
    // His vault's claim is taken back.
    let revoked = |ledger: &palisade_ledger::Ledger| {
        ledger.claims().filter(|claim| claim.operator == liar.id).all(|claim| claim.revoked)
    };
    assert!(world.everybody(revoked));
    let stranger = Attestation { operator: world.sim.node(1).signer.keys.id, ..lie };
    assert!(!world.sim.node_mut(0).core.hear(now, Message::Attestation(stranger)), "not by his key");
}

#[test]
fn r30_a_suspended_bitcoin_takes_every_claim_back_and_that_is_certified() {
    let mut world = World::seeded(12).begin();
    assert!(world.run_until(120, |world| claims_are_certified(world, false)), "{}", world.describe());
    let anchor = settled(&mut world);
    world.reorganise_bitcoin(anchor - 2);
    assert!(world.run_until(120, |world| claims_are_certified(world, true)), "{}", world.describe());
}

/// Runs until Bitcoin's stake counts and some checkpoints are final; gives the agreed anchor's number.
fn settled(world: &mut World) -> u64 {
    // Some blocks above the one with the stakes, so that a reorganisation can leave these.
    let deep = |world: &World| world.everybody(|ledger| ledger.anchor(ChainKind::Bitcoin).number >= 206);
    let done = |world: &World| world.bitcoin_final() >= Height::new(20) && deep(world);
    assert!(world.run_until(120, done), "{}", world.describe());
    world.sim.node(0).ledger().anchor(ChainKind::Bitcoin).number
}

fn is_suspended(world: &World) -> bool {
    world.everybody(|ledger| ledger.suspension(ChainKind::Bitcoin).is_some())
}

#[test]
fn r30_a_deep_reorganisation_suspends_bitcoin_for_everybody_until_more_than_two_thirds_accept_a_new_start() {
    each(0..worlds().div_ceil(2), |seed| {
        let mut world = World::seeded(seed).loss(20).begin();
        let anchor = settled(&mut world);
        world.reorganise_bitcoin(anchor - 2);
        assert!(world.run_until(60, is_suspended), "{}", world.describe());
        let suspension = *world.sim.node(0).ledger().suspension(ChainKind::Bitcoin).unwrap();
        assert!(world.everybody(|ledger| ledger.suspension(ChainKind::Bitcoin) == Some(&suspension)));
        // Ether finality goes on through hand-overs, Bitcoin's stands still, its stake leaves the committee.
        let (ether, bitcoin, epoch) = (world.ether_final(), world.bitcoin_final(), world.epoch());
        let on = |world: &World| world.ether_final().get() >= ether.get() + 30 && world.epoch() > epoch.next();
        assert!(world.run_until(120, on), "{}", world.describe());
        assert!(world.everybody(|ledger| ledger.finality().bitcoin.unwrap().height == bitcoin));
        let weighs = |ledger: &palisade_ledger::Ledger| ledger.committee().members.iter().any(|one| one.bitcoin > 0);
        assert!(world.everybody(|ledger| !weighs(ledger) && ledger.committee().has_weight()));
        assert!(world.sim.nodes().all(|one| one.alarms.iter().any(|alarm| alarm.contains("SUSPENDED"))));
        assert!(world.sim.nodes().all(|one| one.core.status().contradicted.is_empty()));
        // Two of four operators are not more than two thirds; the third makes them.
        let start = anchor + 1;
        assert!(world.accept_bitcoin(0, start) && world.accept_bitcoin(1, start));
        world.sim.run_for(Millis::new(30_000));
        assert!(is_suspended(&world), "{}", world.describe());
        assert!(world.accept_bitcoin(2, start));
        let goes_on = |world: &World| world.everybody(|ledger| ledger.anchor(ChainKind::Bitcoin).number > start);
        assert!(world.run_until(120, goes_on), "{}", world.describe());
        assert!(!world.accept_bitcoin(3, start), "there is nothing left to accept");
        let again = |world: &World| world.bitcoin_final().get() > bitcoin.get() + 10 && world.everybody(weighs);
        assert!(world.run_until(120, again), "{}", world.describe());
        world.agree();
        world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    });
}

#[test]
fn r28_bitcoin_steps_back_while_the_market_outbids_every_vault_and_comes_back_when_it_calms() {
    let mut world = World::seeded(8).loss(20).begin();
    let anchor = settled(&mut world);
    let weighs = |ledger: &palisade_ledger::Ledger| ledger.committee().members.iter().any(|one| one.bitcoin > 0);
    world.market(anchor + 5, u64::MAX);
    assert!(world.run_until(120, |world| world.everybody(|ledger| !weighs(ledger))), "{}", world.describe());
    assert!(world.everybody(|ledger| ledger.fee_rate() == u64::MAX && ledger.committee().has_weight()));
    let (ether, bitcoin) = (world.ether_final(), world.bitcoin_final());
    let number = world.sim.node(0).ledger().anchor(ChainKind::Bitcoin).number;
    world.market(number + 8, 0);
    let back = |world: &World| world.everybody(weighs) && world.bitcoin_final().get() > bitcoin.get() + 10;
    assert!(world.run_until(120, back), "{}", world.describe());
    assert!(world.ether_final() > ether && world.everybody(|ledger| ledger.fee_rate() == 0));
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
}

#[test]
fn r30_a_reorged_slash_is_carried_out_again_and_lost_stakes_come_back_when_they_are_mined_again() {
    let mut world = World::seeded(6).with(Equivocator::of_stake(TREASON), 1).begin();
    let done = |world: &World| world.everybody(|ledger| ledger.cases().count() == 2 && is_settled(ledger));
    assert!(world.run_until(120, done), "{}", world.describe());
    let anchor = world.sim.node(0).ledger().anchor(ChainKind::Bitcoin).number;
    // Everything since genesis' start is replaced: the vaults' own transactions, and the slash.
    let start = world.sim.node(0).ledger().genesis_of().bitcoin_start.number;
    world.reorganise_bitcoin(start + 1);
    assert!(world.run_until(60, is_suspended), "{}", world.describe());
    let honest: Vec<usize> = world.honest().collect();
    assert!(honest.into_iter().all(|place| world.accept_bitcoin(place, anchor)));
    let resumed = |world: &World| world.everybody(|ledger| ledger.suspension(ChainKind::Bitcoin).is_none());
    assert!(world.run_until(60, resumed), "{}", world.describe());
    let open = |ledger: &palisade_ledger::Ledger| {
        ledger.cases().any(|case| case.orders.iter().any(|order| order.status == OrderStatus::Ordered))
    };
    assert!(world.everybody(open), "{}", world.describe());
    let nothing_counts =
        |ledger: &palisade_ledger::Ledger| ledger.vaults().all(|vault| vault.status == VaultStatus::Verified);
    assert!(world.everybody(nothing_counts), "{}", world.describe());
    let now = world.sim.node(0).ledger().anchor(ChainKind::Bitcoin).number;
    world.stake_again(now + 3);
    assert!(world.run_until(120, done), "the slash is not carried out again\n{}", world.describe());
    let counted = |ledger: &palisade_ledger::Ledger| {
        ledger.vaults().filter(|vault| vault.status == VaultStatus::Active).count() == 3
    };
    let vaults: Vec<_> = world.sim.node(0).ledger().vaults().map(|vault| (vault.status, vault.start)).collect();
    assert!(world.everybody(counted), "{vaults:?}\n{}", world.describe());
    let bitcoin = world.bitcoin_final();
    assert!(world.run_until(120, |world| world.bitcoin_final().get() > bitcoin.get() + 10), "{}", world.describe());
    world.agree();
}

#[test]
fn r30_everybody_is_killed_around_a_suspension_and_it_still_comes_and_goes() {
    each(0..worlds(), |seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::seeded(seed).loss(20).begin();
        let anchor = settled(&mut world);
        world.reorganise_bitcoin(anchor - random.gen_range(0..3));
        for _ in 0..4 {
            world.sim.run_for(Millis::new(random.gen_range(0..3_000)));
            let victim = random.gen_range(0..world.sim.len());
            world.sim.crash(victim);
            world.sim.run_for(Millis::new(random.gen_range(0..2_000)));
            world.sim.restart(victim);
        }
        assert!(world.run_until(60, is_suspended), "{}", world.describe());
        let ether = world.ether_final();
        assert!(world.run_until(60, |world| world.ether_final().get() > ether.get() + 10), "{}", world.describe());
        (0..4).for_each(|place| assert!(world.accept_bitcoin(place, anchor + 1)));
        let bitcoin = world.bitcoin_final();
        let again = |world: &World| world.bitcoin_final().get() > bitcoin.get() + 10;
        assert!(world.run_until(180, again), "{}", world.describe());
        world.agree();
    });
}

#[test]
fn r22_where_bitcoin_stands_alone_votes_follow_commit_over_every_hand_over() {
    let mut world = World::seeded(4).bitcoin_only().begin();
    let done = |world: &World| world.bitcoin_final() >= Height::new(45);
    assert!(world.run_until(120, done), "{}", world.describe());
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    assert_eq!(world.ether_final(), Height::new(0), "nothing is ever ether-final");
    assert!(world.epoch() >= Epoch::new(4));
    for operator in world.sim.nodes() {
        let run = operator.ledger().finality().run.unwrap();
        assert_eq!(run.broken, None, "{}", world.describe());
        let head = operator.ledger().head().height.get();
        assert!((1..=head).all(|height| !operator.signer.has_attested(Height::new(height))), "nobody attests");
        assert!((run.first.get()..=45).step_by(5).all(|slot| operator.signer.has_voted(Height::new(slot))));
        assert!(operator.notices.is_empty() && operator.alarms.is_empty(), "{:?}", operator.notices);
    }
}

#[test]
fn r22_one_who_was_away_signs_his_late_slots_and_the_run_goes_on() {
    each(0..worlds().div_ceil(2), |seed| {
        let mut world = World::seeded(seed).bitcoin_only().begin();
        assert!(world.run_until(120, |world| world.bitcoin_final() >= Height::new(20)), "{}", world.describe());
        world.sim.crash(0);
        let away_from = world.sim.node(0).disk.blocks.len() as u64;
        let late = Height::new((away_from / 5 + 2) * 5);
        // The moment the second checkpoint without him is decided, another goes too: what is left can decide nothing more
        // and certify nothing.
        let limit = Millis::new(world.sim.now().get() + 60_000);
        let decided = world.sim.run_until(limit, |sim| sim.node(1).ledger().head().height >= late);
        assert!(decided, "{}", world.describe());
        world.sim.crash(1);
        world.sim.run_for(Millis::new(5_000));
        assert!(!world.sim.node(0).signer.has_voted(late));
        world.sim.restart(0);
        let others = |world: &World| {
            let newest = |index: usize| world.sim.node(index).ledger().finality().bitcoin.map(|block| block.height);
            [0, 2, 3].into_iter().all(|index| newest(index) > Some(Height::new(late.get() + 5)))
        };
        assert!(world.run_until(120, others), "late {late}\n{}", world.describe());
        assert!(world.sim.node(0).signer.has_voted(late), "{}", world.describe());
        world.sim.restart(1);
        let until = Height::new(world.sim.node(0).ledger().head().height.get() + 10);
        assert!(world.run_until(120, |world| world.bitcoin_final() >= until), "{}", world.describe());
        world.agree();
        world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
        assert!(world.everybody(|ledger| ledger.finality().run.unwrap().broken.is_none()), "{}", world.describe());
    });
}

/// Four operators behind whom bitcoin stands alone, with loss, a crash, and one who votes twice at each checkpoint.
fn bitcoin_life(seed: u64) -> World {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::seeded(seed).bitcoin_only().with(Equivocator::of_checkpoints(TREASON), 1).loss(30).begin();
    let honest: Vec<usize> = world.honest().collect();
    let victim = honest[random.gen_range(0..honest.len())];
    world.sim.run_for(Millis::new(random.gen_range(2_000..25_000)));
    world.sim.crash(victim);
    world.sim.run_for(Millis::new(random.gen_range(0..10_000)));
    world.sim.restart(victim);
    let settled = |world: &World| world.everybody(is_settled) && world.bitcoin_final() >= Height::new(40);
    assert!(world.run_until(300, settled), "{}", world.describe());
    world
}

#[test]
fn r22_an_equivocator_at_a_checkpoint_loses_his_bitcoin_and_nobody_else_anything() {
    each(0..worlds(), |seed| {
        let mut world = bitcoin_life(seed);
        world.sim.lose(0);
        let until = Height::new(world.height().get() + 15);
        assert!(world.run_until(120, |world| world.bitcoin_final() >= until), "{}", world.describe());
        world.agree();
        let villains = world.names(world.villains());
        world.guilty_are(&villains, &BTreeSet::new());
        for operator in world.sim.nodes() {
            let cases: Vec<_> = operator.ledger().cases().collect();
            assert_eq!(cases.iter().map(|case| case.operator).collect::<Vec<_>>(), Vec::from_iter(villains.clone()));
            let taken = |status: &OrderStatus| matches!(status, OrderStatus::Final(taken) if taken.amount > 0);
            assert!(!cases[0].orders.is_empty() && cases[0].orders.iter().all(|order| taken(&order.status)));
        }
    });
}

#[test]
fn r22_the_same_seed_is_the_same_world_of_bitcoin() {
    let run = |seed| {
        let world = bitcoin_life(seed);
        (world.trace(), world.height())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn r22_a_run_that_nobody_can_go_on_with_ends_and_starts_again_for_all_to_see() {
    // Nobody promises nonces before the last are used: an epoch is drawn without weight, and its checkpoints stay open.
    let mut world = World::seeded(6).bitcoin_only().promising(Promises { slots: 4, least: 1 }).begin();
    let restarted = |world: &World| {
        world.everybody(|ledger| ledger.finality().run.is_some_and(|run| run.broken.is_some_and(|at| at < run.first)))
    };
    assert!(world.run_until(300, restarted), "{}", world.describe());
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
    for operator in world.sim.nodes() {
        let run = operator.ledger().finality().run.unwrap();
        assert!(run.broken.unwrap().get() + 5 < run.first.get(), "there was a gap");
        assert!(operator.notices.iter().any(|notice| notice.contains("starts again")), "{:?}", operator.notices);
    }
}

#[test]
fn r19_one_who_was_down_until_his_nonces_ran_out_promises_more_and_votes_again() {
    let mut world = World::seeded(8).promising(Promises { slots: 12, least: 6 }).begin();
    assert!(world.run_until(120, |world| world.bitcoin_final() >= Height::new(20)), "{}", world.describe());
    let away = world.sim.node(0).operator();
    world.sim.crash(0);
    let left = |world: &World, index: usize| {
        let ledger = world.sim.node(index).ledger();
        let last = ledger.commitments(&away).map(|promise| promise.commitment.last(5)).max();
        last.unwrap_or_default().get().saturating_sub(ledger.head().height.get())
    };
    assert!(world.run_until(300, |world| left(world, 1) == 0), "{}", world.describe());
    world.sim.run_for(Millis::new(10_000));
    world.sim.restart(0);
    let back = world.sim.node(1).ledger().head().height;
    let votes = |world: &World| {
        (back.get()..back.get() + 200).any(|slot| world.sim.node(0).signer.has_voted(Height::new(slot)))
    };
    assert!(world.run_until(120, votes), "{}", world.describe());
    world.agree();
    let promises: Vec<_> = world.sim.node(0).ledger().commitments(&away).map(|promise| promise.commitment).collect();
    assert!(promises.len() > 1);
    assert!(promises.windows(2).all(|pair| pair[0].last(5) < pair[1].first), "{promises:?}");
    let ahead = |world: &World| world.sim.node(0).core.eots_slots_left() > Some(6);
    assert!(world.run_until(60, ahead), "{}", world.describe());
}

#[test]
fn r19_who_is_jailed_and_has_no_seat_goes_on_promising_nonces() {
    let mut world =
        World::seeded(2).with(Equivocator::of_ballots(12), 1).promising(Promises { slots: 12, least: 6 }).begin();
    let villain = *world.names(world.villains()).first().unwrap();
    let gone = |world: &World| world.everybody(|ledger| ledger.committee().seat(&villain).is_none());
    assert!(world.run_until(120, gone), "{}", world.describe());
    let until = Height::new(world.height().get() + 80);
    assert!(world.run_until(120, |world| world.height() >= until), "{}", world.describe());
    world.guilty_are(&BTreeSet::new(), &BTreeSet::from([villain]));
    assert!(world.sim.node(world.villains()[0]).core.eots_slots_left() >= Some(5), "{}", world.describe());
}

/// And a stranger's copies with a false block take nobody's place: a session is named by the registration, and no member endorses them.
#[test]
fn r32_a_vault_signed_for_ahead_counts_once_its_coins_are_locked_and_copies_never_do() {
    const LATE: u64 = 12;
    let mut world = World::seeded(5).ahead(1, LATE).begin();
    let all = |world: &World| world.everybody(|ledger| ledger.vaults().count() == 4);
    assert!(world.run_until(40, all), "{}", world.describe());
    let ahead = |ledger: &palisade_ledger::Ledger| {
        let mut waiting = ledger.vaults().filter(|vault| vault.registration.inclusion.is_none());
        waiting.next().cloned().unwrap()
    };
    assert!(world.everybody(|ledger| ahead(ledger).status == VaultStatus::Verified), "{}", world.describe());
    let counts = |world: &World| {
        world.everybody(|ledger| ledger.committee().members.iter().filter(|member| member.bitcoin > 0).count() == 4)
    };
    assert!(!counts(&world));
    assert!(world.run_until(240, counts), "{}", world.describe());
    let in_time = |ledger: &palisade_ledger::Ledger| {
        let (vault, locked) = (ahead(ledger), ledger.genesis_of().bitcoin_start.number + LATE);
        (vault.status, vault.start) == (VaultStatus::Active, Some(locked)) && vault.registered < locked
    };
    assert!(world.everybody(in_time), "{}", world.describe());
    world.agree();
}

/// Everybody says his own attestation again and again, and gossip loses every one of them, with a part of everything else. Who asks his
/// peers hears them, so that epochs end and checkpoints are voted for; and nobody is said to have missed what came late.
#[test]
fn what_gossip_dropped_is_asked_for_and_finality_goes_on() {
    let mut world = World::seeded(77).mute().loss(100).begin();
    let done = |world: &World| world.ether_final() > Height::new(40) && world.epoch() >= Epoch::new(2);
    assert!(world.run_until(400, done), "nothing is final\n{}", world.describe());
    assert!(world.sim.nodes().all(|operator| operator.pulled > 0 && operator.worthless.is_empty()));
    world.agree();
    world.guilty_are(&BTreeSet::new(), &BTreeSet::new());
}
