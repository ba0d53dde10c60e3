//! libFuzzer over one parser, which `PALISADE_PARSER` names. `tests/fuzz/run.sh` builds and runs it.

#![no_main]

use std::sync::OnceLock;

use palisade_parsers::{Parser, named};

static PARSER: OnceLock<Parser> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("PALISADE_PARSER").expect("PALISADE_PARSER names a parser");
        let parser = *named(&name).expect("PALISADE_PARSER names a parser");
        PARSER.get_or_init(|| parser);
    },
    |bytes: &[u8]| {
        let parser = PARSER.get().expect("initialised before the first input");
        (parser.feed)(bytes);
    }
);
