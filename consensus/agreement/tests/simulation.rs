//! Networks under loss, crashes, partitions and villains: always agreement, and progress when two thirds can talk.

#![allow(clippy::unwrap_used)] // clippy takes only functions marked as tests for tests

mod plain;

use palisade_agreement::sim::{Config, Sim};
use palisade_types::units::Millis;
use plain::{CHAIN, FAST, Plain, committee, operator};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn world(seed: u64, count: usize, loss: u16) -> Sim<Plain> {
    let committee = committee(count);
    let nodes = (0..count).map(|index| Plain::new(index, committee.clone(), FAST));
    Sim::new(Config { loss, ..Config::seeded(seed, CHAIN) }, nodes)
}

fn lowest(sim: &Sim<Plain>) -> usize {
    sim.nodes().map(Plain::height).min().unwrap()
}

/// No two nodes have different blocks at one height.
fn agree(sim: &Sim<Plain>) {
    let longest = sim.nodes().max_by_key(|node| node.height()).unwrap().ids();
    for node in sim.nodes() {
        assert_eq!(node.ids(), longest[..node.height()], "node {} stands elsewhere", node.index);
    }
    for node in 0..sim.len() {
        assert_eq!(sim.hung(node), None, "node {node}");
    }
}

#[test]
fn the_same_seed_is_the_same_world_and_another_seed_is_another() {
    let run = |seed| {
        let mut sim = world(seed, 4, 50);
        sim.run_for(Millis::new(20_000));
        agree(&sim);
        (sim.trace(), lowest(&sim))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert!(run(1).1 > 10);
}

#[test]
fn a_quiet_network_decides_several_blocks_each_second() {
    for count in [1, 4, 7, 20] {
        let mut sim = world(3, count, 0);
        assert!(sim.run_until(Millis::new(20_000), |sim| lowest(sim) >= 20), "{count} nodes are at {}", lowest(&sim));
        agree(&sim);
        assert!(sim.nodes().all(|node| node.refused == 0 && node.pairs.is_empty() && node.caught.is_empty()));
    }
}

#[test]
fn agreement_and_progress_under_loss() {
    for seed in 0..20 {
        let mut sim = world(seed, 4, 100);
        assert!(sim.run_until(Millis::new(600_000), |sim| lowest(sim) >= 15), "seed {seed} stands at {}", lowest(&sim));
        agree(&sim);
    }
}

#[test]
fn r18_crashes_at_any_moment_never_make_a_node_vote_twice() {
    for seed in 0..20 {
        let mut sim = world(seed, 4, 20);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..15 {
            sim.run_for(Millis::new(random.gen_range(0..2_000)));
            let victim = random.gen_range(0..sim.len());
            sim.crash(victim);
            sim.run_for(Millis::new(random.gen_range(0..3_000)));
            sim.restart(victim);
            agree(&sim);
        }
        sim.lose(0);
        let before = lowest(&sim);
        let limit = Millis::new(sim.now().get() + 60_000);
        assert!(sim.run_until(limit, |sim| lowest(sim) >= before + 5), "seed {seed} does not go on");
        agree(&sim);
        // The guard kept everybody honest, so nobody was ever caught.
        assert!(sim.nodes().all(|node| node.pairs.is_empty() && node.caught.is_empty()), "seed {seed}");
    }
}

#[test]
fn everybody_crashes_and_the_network_goes_on() {
    for seed in 0..10 {
        let mut sim = world(seed, 4, 0);
        sim.run_for(Millis::new(3_000 + 37 * seed));
        (0..4).for_each(|node| sim.crash(node));
        let before = lowest(&sim);
        sim.run_for(Millis::new(5_000));
        (0..4).for_each(|node| sim.restart(node));
        let limit = Millis::new(sim.now().get() + 60_000);
        let goes_on = sim.run_until(limit, |sim| lowest(sim) >= before + 5);
        agree(&sim);
        assert!(goes_on, "seed {seed} does not go on");
        assert!(sim.nodes().all(|node| node.caught.is_empty()));
    }
}

#[test]
fn a_third_goes_unheard_and_nothing_is_decided_against_it() {
    let mut sim = world(5, 4, 0);
    sim.run_for(Millis::new(3_000));
    // One is cut off: three go on. Two are cut off: nobody does.
    (0..3).for_each(|other| sim.cut(3, other));
    // It may still get the blocks of the sync stub's peers? No: those messages are cut too.
    let before = lowest(&sim);
    sim.run_for(Millis::new(10_000));
    assert!(sim.node(0).height() > before + 5 && sim.node(3).height() <= before + 1);
    (0..2).for_each(|other| sim.cut(2, other));
    sim.run_for(Millis::new(2_000));
    let stopped = sim.node(0).height();
    sim.run_for(Millis::new(70_000)); // longer than gossip remembers duplicates
    assert!(sim.node(0).height() <= stopped + 1);
    sim.heal();
    let limit = Millis::new(sim.now().get() + 150_000);
    assert!(sim.run_until(limit, |sim| lowest(sim) >= stopped + 5), "stands at {}", lowest(&sim));
    agree(&sim);
}

#[test]
fn r18_less_than_a_third_vote_twice_and_are_caught_and_nobody_else_is() {
    for seed in 0..5 {
        let committee = committee(7);
        let nodes = (0..7).map(|index| {
            let mut node = Plain::new(index, committee.clone(), FAST);
            node.two_faced = index < 2;
            node
        });
        let mut sim = Sim::new(Config::seeded(seed, CHAIN), nodes);
        assert!(sim.run_until(Millis::new(300_000), |sim| lowest(sim) >= 10), "seed {seed} stands at {}", lowest(&sim));
        agree(&sim);
        let villains = [operator(0), operator(1)];
        for honest in (2..7).map(|index| sim.node(index)) {
            assert!(honest.caught.iter().all(|caught| villains.contains(caught)));
            assert!(honest.pairs.iter().all(|pair| villains.contains(&pair.operator)));
        }
        for villain in villains {
            assert!(
                sim.nodes().any(
                    |node| node.caught.contains(&villain) || node.pairs.iter().any(|pair| pair.operator == villain)
                ),
                "seed {seed}: {villain} got away"
            );
        }
    }
}

#[test]
fn r15_one_whose_guard_waits_follows_and_stops_nobody() {
    let committee = committee(4);
    let nodes = (0..4).map(|index| {
        let mut node = Plain::new(index, committee.clone(), FAST);
        node.silent = index == 0;
        node
    });
    let mut sim = Sim::new(Config::seeded(1, CHAIN), nodes);
    assert!(sim.run_until(Millis::new(120_000), |sim| lowest(sim) >= 10), "stands at {}", lowest(&sim));
    agree(&sim);
    assert!(sim.node(0).refused > 0);
}
