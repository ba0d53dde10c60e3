//! What may befall a world, drawn from its seed: how many operators, who of them is bad and how, and what happens to wire
//! and machines until faults stop.
//!
//! Fewer than a third are ever bad at once, by the weight that the network counts. Everything else may happen to
//! everybody: crashes at any moment, partitions, loss.

use crate::cast::{Equivocator, Role};
use crate::world::{World, is_settled};
use palisade_types::ids::OperatorId;
use palisade_types::units::{Height, Millis};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Heights that every world goes through at least.
pub const HEIGHTS: u64 = 50;
/// Blows that a stormy world deals, at most.
const BLOWS: usize = 8;
/// How long a blow lasts at most, and the time between two.
const BLOW: u64 = 12_000;
/// Seconds in which a world must do what it is asked for, once faults have stopped.
const PATIENCE: u64 = 300;

/// How one operator is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// Loses both stakes.
    Stake,
    /// Loses his bitcoin.
    Checkpoints,
    /// Is jailed.
    Ballots,
    /// Tells half of the others nothing.
    Withholds,
    /// His Ethereum endpoint falls silent for good.
    Deaf,
    /// It lies for some blocks.
    Deceived,
    /// It is behind.
    Behind,
    /// Somebody copies his machine while it runs, and both run on with one key. Each has a guard of its own and follows the one chain, so
    /// that they attest the same; in the engine they may contradict each other, which jails (R18). That a node hears its twin
    /// and stops (R20) is shown on the devnet: these two do not listen.
    Twin,
}

const KINDS: [Bad; 8] =
    [Bad::Stake, Bad::Checkpoints, Bad::Ballots, Bad::Withholds, Bad::Deaf, Bad::Deceived, Bad::Behind, Bad::Twin];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Blow {
    /// These are killed, and started again after some time.
    Kill(Vec<usize>),
    /// These hear only one another.
    Part(Vec<usize>),
    /// The wire loses so many messages of a thousand.
    Lose(u16),
    /// A backup of this machine is made, and after some time it is lost and goes on with that (R15).
    Restore(usize),
}

/// A world's fate.
#[derive(Clone, Debug)]
pub struct Fate {
    seed: u64,
    operators: usize,
    bad: Vec<Bad>,
    treason: u64,
    loss: u16,
    /// Each after a pause, for a time.
    blows: Vec<(Millis, Blow, Millis)>,
}

impl Fate {
    /// The fate of the world of this seed. Every second one is stormy, and of four operators each second pair.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x66_6174_6500);
        let operators = if seed & 2 == 0 { 4 } else { 7 };
        let most = (operators - 1) / 3;
        let mut bad: Vec<_> =
            (0..random.gen_range(0..=most)).filter_map(|_| KINDS.choose(&mut random)).copied().collect();
        // One endpoint at a time is a bad one.
        let mut endpoints = 0;
        bad.retain(|bad| !bad.is_of_endpoint() || std::mem::replace(&mut endpoints, 1) == 0);
        let count = if seed & 1 == 0 { 0 } else { random.gen_range(2..=BLOWS) };
        let mut blows: Vec<_> = (0..count).map(|_| blow(&mut random, operators)).collect();
        // Who waits does not attest, so that he counts among those of whom there are fewer than a third, until the next epoch.
        let mut restores = usize::from(bad.len() < most);
        for (_, blow, _) in &mut blows {
            if matches!(blow, Blow::Restore(_)) && std::mem::replace(&mut restores, 0) == 0 {
                *blow = Blow::Lose(200);
            }
        }
        Self { seed, operators, bad, treason: random.gen_range(8..32), loss: random.gen_range(0..50), blows }
    }

    /// Whether it deals blows to machines and wire.
    #[must_use]
    pub fn is_stormy(&self) -> bool {
        !self.blows.is_empty()
    }

    /// Plays it.
    ///
    /// # Panics
    ///
    /// When the operators disagree, stop for good once faults have stopped, let an equivocator off or blame anybody else.
    #[must_use]
    pub fn play(&self) -> World {
        let mut world = self.begin();
        self.start_twins(&mut world);
        for (pause, blow, time) in &self.blows {
            world.sim.run_for(*pause);
            strike(&mut world, blow);
            world.sim.run_for(*time);
            relieve(&mut world, blow, self.loss);
            world.agree();
        }
        self.ends_well(&mut world);
        world
    }

    /// The second machines of twins are copies of the first ones, some seconds old.
    fn start_twins(&self, world: &mut World) {
        let twins = self.places(world, |bad| bad == Bad::Twin);
        if !twins.is_empty() {
            world.sim.run_for(Millis::new(5_000 + self.treason * 100));
        }
        for (first, second) in twins.into_iter().zip(self.operators..) {
            world.copy(first, second);
            world.sim.restart(second);
        }
    }

    /// Operators who may be jailed and need not be: twins, and who was restored.
    fn uncertain(&self, world: &World) -> BTreeSet<OperatorId> {
        let mut places = self.places(world, |bad| bad == Bad::Twin);
        places.extend(self.blows.iter().filter_map(|(_, blow, _)| match blow {
            Blow::Restore(place) => Some(restored(world, *place)),
            _ => None,
        }));
        world.names(&places)
    }

    fn begin(&self) -> World {
        let mut plan = World::seeded(self.seed).operators(self.operators).loss(self.loss);
        for bad in self.bad.iter().filter_map(|bad| bad.role(self.treason)) {
            plan = plan.with(bad, 1);
        }
        // The villains sit from the place on that the seed says.
        let villains = self.bad.iter().filter(|bad| !bad.is_of_endpoint()).count();
        let place = (usize::try_from(self.seed).unwrap_or(0) + villains) % self.operators;
        plan = match self.bad.iter().find(|bad| bad.is_of_endpoint()) {
            Some(Bad::Deaf) => plan.endpoint(place, |chain| chain.silent_after(108)),
            Some(Bad::Deceived) => plan.endpoint(place, |chain| chain.lying_in(110..118)),
            Some(Bad::Behind) => plan.endpoint(place, |chain| chain.lagging(3)),
            _ => plan,
        };
        plan.begin()
    }

    fn ends_well(&self, world: &mut World) {
        let (convicts, jailed) = (self.guilty(world, Bad::is_convicted), self.guilty(world, |bad| bad == Bad::Ballots));
        let convicted = world.run_until(PATIENCE, |world| {
            world.everybody(|ledger| {
                let is = |id: &OperatorId| ledger.operator(id).is_some_and(|one| one.convicted.is_some());
                let sits = |id: &OperatorId| ledger.operator(id).is_some_and(|one| one.jailed.is_some());
                convicts.iter().all(is) && jailed.iter().all(sits)
            })
        });
        assert!(convicted, "somebody got away\n{self:?}\n{}", world.describe());
        world.sim.lose(0);
        let (epoch, height) = (world.epoch(), world.height().get());
        let (ether, bitcoin) = (world.ether_final(), world.bitcoin_final());
        let until = Height::new(HEIGHTS.max(height + 10));
        let done = |world: &World| {
            world.height() >= until
                && world.epoch() > epoch
                && world.ether_final() > ether
                && world.bitcoin_final() > bitcoin
                && (convicts.is_empty() || world.everybody(is_settled))
        };
        assert!(world.run_until(PATIENCE, done), "no progress\n{self:?}\n{}", world.describe());
        world.agree();
        world.guilty_are_and_perhaps(&convicts, &jailed, &self.uncertain(world));
    }

    fn guilty(&self, world: &World, is: impl Fn(Bad) -> bool) -> BTreeSet<OperatorId> {
        world.names(&self.places(world, is))
    }

    fn places(&self, world: &World, is: impl Fn(Bad) -> bool) -> Vec<usize> {
        let villains = self.bad.iter().filter(|bad| !bad.is_of_endpoint());
        world.villains().iter().zip(villains).filter(|(_, bad)| is(**bad)).map(|(place, _)| *place).collect()
    }
}

impl Bad {
    const fn is_of_endpoint(&self) -> bool {
        matches!(self, Self::Deaf | Self::Deceived | Self::Behind)
    }

    const fn is_convicted(self) -> bool {
        matches!(self, Self::Stake | Self::Checkpoints)
    }

    fn role(self, treason: u64) -> Option<Role> {
        match self {
            Self::Stake => Some(Equivocator::of_stake(treason).into()),
            Self::Checkpoints => Some(Equivocator::of_checkpoints(treason).into()),
            Self::Ballots => Some(Equivocator::of_ballots(treason).into()),
            Self::Withholds => Some(Role::Withholder),
            Self::Twin => Some(Role::Twin),
            Self::Deaf | Self::Deceived | Self::Behind => None,
        }
    }
}

fn blow(random: &mut ChaCha8Rng, operators: usize) -> (Millis, Blow, Millis) {
    let mut places: Vec<_> = (0..operators).collect();
    places.shuffle(random);
    let blow = match random.gen_range(0..6) {
        5 => Blow::Restore(places[0]),
        0 => Blow::Kill(places),
        1 | 2 => Blow::Kill(places[..random.gen_range(1..=operators / 2)].to_vec()),
        3 => Blow::Part(places[..random.gen_range(1..=operators / 2)].to_vec()),
        _ => Blow::Lose(random.gen_range(100..400)),
    };
    (Millis::new(random.gen_range(0..BLOW)), blow, Millis::new(random.gen_range(0..BLOW)))
}

fn strike(world: &mut World, blow: &Blow) {
    match blow {
        Blow::Kill(victims) => victims.iter().for_each(|victim| world.sim.crash(*victim)),
        Blow::Part(group) => {
            let others: Vec<_> = (0..world.sim.len()).filter(|place| !group.contains(place)).collect();
            for (one, other) in group.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))) {
                world.sim.cut(one, other);
            }
        }
        Blow::Lose(loss) => world.sim.lose(*loss),
        Blow::Restore(place) => world.back_up(restored(world, *place)),
    }
}

/// Whose machine is lost: the first honest one from this place on.
fn restored(world: &World, place: usize) -> usize {
    let count = world.operators();
    (place..place + count).map(|place| place % count).find(|place| !world.villains().contains(place)).unwrap_or(place)
}

fn relieve(world: &mut World, blow: &Blow, loss: u16) {
    match blow {
        Blow::Kill(victims) => victims.iter().for_each(|victim| world.sim.restart(*victim)),
        Blow::Part(_) => world.sim.heal(),
        Blow::Lose(_) => world.sim.lose(loss),
        Blow::Restore(place) => world.restore(restored(world, *place)),
    }
}
