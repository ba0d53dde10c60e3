//! Ratios against peers, in one run.
//!
//! A figure alone says as much about the machine as about the code, so that every bench is a [`Race`]: contenders do the same work in turn, round after
//! round, and what counts is the ratio of the processor time they took, with the spread over the rounds. Before any of it is printed, what they
//! found must be the same: speed without it does not count. There is no statistics library here: a race takes a few seconds, and the
//! smallest and the middle of its rounds say what is to be said.
//!
//! The ledger's bench stands here, because it needs little else: `cargo bench -p palisade-race --features jmt`. All others are
//! `palisade-benches`': `cargo bench -p palisade-benches --bench headers`; with `--features kernel` Bitcoin Core's own code takes part.

use std::time::Duration;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

/// The `main` of a bench: whole under `cargo bench`. Test runners are told of one test, which is a short run: that it works.
///
/// # Errors
///
/// The bench's own.
pub fn bench(name: &str, run: impl FnOnce(Effort) -> Result<()>) -> Result<()> {
    let asked = |wanted: &str| std::env::args().skip(1).any(|argument| argument == wanted);
    match (asked("--list"), asked("--bench")) {
        (true, _) if asked("--ignored") => Ok(()),
        (true, _) => {
            println!("{name}: test");
            Ok(())
        }
        (false, true) => run(Effort::Whole),
        (false, false) => run(Effort::Short),
    }
}

/// How much a bench does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Just enough to see that everybody finds the same.
    Short,
    /// Enough to measure.
    Whole,
}

/// What one run of a contender took, and what it found: facts by name.
#[derive(Debug)]
pub struct Run {
    took: Duration,
    lasted: Option<Duration>,
    found: Vec<(&'static str, String)>,
}

/// Does the work that counts. What is prepared for it and taken down after it is not timed.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = processor_time();
    let done = work();
    (processor_time() - before, done)
}

/// The time this process has spent on any processor: what else the machine does is not in it.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("time spent is not negative");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}

impl Run {
    /// A run that took so long.
    #[must_use]
    pub fn of(took: Duration) -> Self {
        Self { took, lasted: None, found: Vec::new() }
    }

    /// How long it lasted by the clock, waiting for disks and with several processors at work.
    #[must_use]
    pub const fn lasted(mut self, lasted: Duration) -> Self {
        self.lasted = Some(lasted);
        self
    }

    /// A fact it found. Contenders that name the same fact must agree on it.
    #[must_use]
    pub fn found(mut self, name: &'static str, value: impl ToString) -> Self {
        self.found.push((name, value.to_string()));
        self
    }
}

type Work<'a> = Box<dyn FnMut() -> Result<Run> + 'a>;

/// Contenders that do the same work.
pub struct Race<'a> {
    title: String,
    /// How many pieces of work one run does, and what they are called.
    pieces: (u64, &'a str),
    contenders: Vec<(&'static str, Work<'a>)>,
}

impl std::fmt::Debug for Race<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Race").field("title", &self.title).finish_non_exhaustive()
    }
}

impl<'a> Race<'a> {
    /// A race in which one run does so many pieces of work. `ours` is what the others are measured by.
    pub fn new(title: impl Into<String>, pieces: (u64, &'a str), ours: impl FnMut() -> Result<Run> + 'a) -> Self {
        Self { title: title.into(), pieces, contenders: vec![("palisade", Box::new(ours))] }
    }

    /// A peer that does the same work.
    #[must_use]
    pub fn against(mut self, name: &'static str, peer: impl FnMut() -> Result<Run> + 'a) -> Self {
        self.contenders.push((name, Box::new(peer)));
        self
    }

    /// Runs everybody in turn and prints what came of it, the ratios last.
    ///
    /// # Errors
    ///
    /// When a contender fails, or two find different things.
    pub fn run(mut self, rounds: usize) -> Result<()> {
        let (count, unit) = self.pieces;
        println!("{}: {count} {unit}s a run, {rounds} rounds, processor time", self.title);
        let mut times = vec![Vec::new(); self.contenders.len()];
        let mut clock = times.clone();
        let mut known: Vec<(&str, String)> = Vec::new();
        for _ in 0..rounds {
            for (((name, work), times), clock) in self.contenders.iter_mut().zip(&mut times).zip(&mut clock) {
                let run = work()?;
                times.push(run.took);
                clock.extend(run.lasted);
                for (fact, value) in run.found {
                    match known.iter().find(|(known, _)| *known == fact) {
                        None => known.push((fact, value)),
                        Some((_, expected)) if *expected == value => {}
                        Some((_, expected)) => bail!("{name} finds {fact} {value}, the first found {expected}"),
                    }
                }
            }
        }
        for (fact, value) in known {
            println!("  {fact} {value}");
        }
        for ((name, _), times) in self.contenders.iter().zip(&times) {
            let (least, middle) = (of(times, 0), of(times, times.len() / 2));
            let each = |time: Duration| time.as_nanos() / u128::from(count);
            println!("  {name:<14} {:>10} ns a {unit}, at best {} ns; a run {middle:?}", each(middle), each(least));
        }
        for (how, times) in [("", &times), (" by the clock", &clock)] {
            for ((name, _), peer) in self.contenders.iter().zip(times).skip(1).filter(|(_, peer)| !peer.is_empty()) {
                let ratios: Vec<u128> =
                    peer.iter().zip(&times[0]).map(|(peer, ours)| hundredths(*peer, *ours)).collect();
                let (low, middle, high) =
                    (of(&ratios, 0), of(&ratios, ratios.len() / 2), of(&ratios, ratios.len() - 1));
                let (low, middle, high) = (show(low), show(middle), show(high));
                println!("  {name} takes {middle} times as long{how} ({low} to {high})");
            }
        }
        Ok(())
    }
}

/// The value at a place of the sorted list.
fn of<T: Copy + Ord>(values: &[T], place: usize) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[place]
}

fn hundredths(of: Duration, to: Duration) -> u128 {
    100 * of.as_nanos() / to.as_nanos().max(1)
}

fn show(hundredths: u128) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: u32) -> impl FnMut() -> Result<Run> {
        move || Ok(Run::of(Duration::from_nanos(10)).found("sum", value))
    }

    #[test]
    fn contenders_that_find_different_things_are_no_race() {
        assert!(Race::new("same", (1, "sum"), found(1)).against("peer", found(1)).run(3).is_ok());
        assert!(Race::new("other", (1, "sum"), found(1)).against("peer", found(2)).run(3).is_err());
    }

    #[test]
    fn ratios_are_of_the_middle_round() {
        assert_eq!(hundredths(Duration::from_nanos(35), Duration::from_nanos(10)), 350);
        assert_eq!((of(&[3, 1, 2], 0), of(&[3, 1, 2], 1)), (1, 2));
        assert_eq!((show(350), show(1_207)), ("3.50".to_owned(), "12.07".to_owned()));
    }
}
