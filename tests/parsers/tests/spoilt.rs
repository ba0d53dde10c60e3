//! Every parser on random bytes, on its seeds, and on seeds with something wrong in them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use palisade_parsers::{PARSERS, seeds};
use proptest::prelude::*;
use proptest::sample::Index;

#[test]
fn every_parser_has_seeds_it_reads_and_a_fuzz_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    for parser in PARSERS {
        let seeds = seeds::of(parser.name).unwrap();
        assert!(!seeds.is_empty(), "{}", parser.name);
        seeds.iter().for_each(|seed| (parser.feed)(seed));
        (parser.feed)(&[]);
        assert!(targets.join(parser.name).with_extension("rs").is_file(), "{} has no fuzz target", parser.name);
    }
    assert_eq!(std::fs::read_dir(targets).unwrap().count(), PARSERS.len());
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
    #![proptest_config(ProptestConfig::with_cases(400))]
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
        let parser = &PARSERS[parser];
        let mut bytes = seed.get(&seeds::of(parser.name).unwrap()).clone();
        spoils.into_iter().for_each(|spoil| spoil.apply(&mut bytes));
        (parser.feed)(&bytes);
    }
}
