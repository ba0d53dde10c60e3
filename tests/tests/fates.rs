//! A thousand worlds: whatever befalls them, operators agree, go on, convict every equivocator, and nobody else ever.
//!
//! `PALISADE_FATES=0..1000` plays these seeds; a few of them otherwise. Eight tests share them, so that they run beside one another.

use palisade_tests::fate::Fate;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SHARES: u64 = 8;

fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("PALISADE_FATES") else { return 0..16 };
    let (from, to) = asked.split_once("..").expect("PALISADE_FATES is a range such as 0..1000");
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// Plays every eighth seed; one that fails says which it was.
fn play(share: u64) {
    for seed in seeds().filter(|seed| seed / 4 % SHARES == share) {
        let played = catch_unwind(AssertUnwindSafe(|| drop(Fate::of(seed).play())));
        if let Err(panic) = played {
            eprintln!("the world of seed {seed} fails: PALISADE_FATES={seed}..{}", seed + 1);
            resume_unwind(panic);
        }
    }
}

macro_rules! shares {
    ($($name:ident $share:expr;)*) => {
        $(#[test]
        fn $name() {
            play($share);
        })*
    };
}

shares! {
    whatever_befalls_them_0 0;
    whatever_befalls_them_1 1;
    whatever_befalls_them_2 2;
    whatever_befalls_them_3 3;
    whatever_befalls_them_4 4;
    whatever_befalls_them_5 5;
    whatever_befalls_them_6 6;
    whatever_befalls_them_7 7;
}

#[test]
fn the_same_seed_is_the_same_fate() {
    for seed in 1..5 {
        assert_eq!(Fate::of(seed).play().trace(), Fate::of(seed).play().trace(), "seed {seed}");
    }
    assert_ne!(Fate::of(1).play().trace(), Fate::of(5).play().trace());
}

#[test]
fn half_of_the_fates_are_stormy_and_half_are_of_seven() {
    let stormy = (0..1_000).filter(|seed| Fate::of(*seed).is_stormy()).count();
    assert_eq!(stormy, 500);
}
