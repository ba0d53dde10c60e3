//! Every parser on random bytes, on its seeds, and on seeds with something wrong in them.

#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use palisade_parsers::{PARSERS, named, seeds};
use proptest::prelude::*;
use proptest::sample::Index;

static SEEDS: LazyLock<Vec<Vec<Vec<u8>>>> =
    LazyLock::new(|| PARSERS.iter().map(|parser| seeds::of(parser.name).unwrap()).collect());

#[test]
fn every_parser_has_seeds_and_a_name_of_its_own() {
    for (parser, seeds) in PARSERS.iter().zip(SEEDS.iter()) {
        assert!(!seeds.is_empty(), "{}", parser.name);
        seeds.iter().for_each(|seed| (parser.feed)(seed));
        (parser.feed)(&[]);
        assert_eq!(named(parser.name).map(|found| found.feed as usize), Some(parser.feed as usize), "{}", parser.name);
    }
}

/// Something done to good bytes.
#[derive(Clone, Debug)]
enum Spoil {
    Set(Index, u8),
    Cut(Index),
    Repeat(Index, Index),
    Insert(Index, Vec<u8>),
}

impl Spoil {
    fn apply(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set(place, to) => {
                let place = place.index(bytes.len());
                bytes[place] = to;
            }
            Self::Cut(place) => bytes.truncate(place.index(bytes.len())),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part);
            }
            Self::Insert(place, more) => {
                let place = place.index(bytes.len());
                bytes.splice(place..place, more);
            }
        }
    }
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(place, to)| Spoil::Set(place, to)),
        1 => any::<Index>().prop_map(Spoil::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Spoil::Repeat(from, to)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(place, more)| Spoil::Insert(place, more)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn random_bytes_are_refused_by_name(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        PARSERS.iter().for_each(|parser| (parser.feed)(&bytes));
    }

    #[test]
    fn spoilt_seeds_are_refused_or_mean_something_else(
        parser in 0..PARSERS.len(),
        seed in any::<Index>(),
        spoils in prop::collection::vec(spoil(), 1..5),
    ) {
        let mut bytes = seed.get(&SEEDS[parser]).clone();
        spoils.into_iter().for_each(|spoil| spoil.apply(&mut bytes));
        (PARSERS[parser].feed)(&bytes);
    }
}
