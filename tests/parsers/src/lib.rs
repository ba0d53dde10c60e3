//! Every parser of bytes from outside, as a function of bytes.
//!
//! A [`Parser`] feeds bytes to our code the way a stranger can, and asserts what must hold whatever they are: nothing panics, what is
//! refused changes nothing, what is accepted says the same when it is written again. The same functions are run three ways: on random bytes
//! and on spoilt seeds in every test run (`tests/spoilt.rs`), and by libFuzzer (`tests/fuzz`), whose seeds the binary `seeds` writes
//! out of the test vectors.
//!
//! A new parser is a line in [`PARSERS`], its seeds in [`seeds`], and a file of two lines in `tests/fuzz/fuzz_targets`.

// What is asserted here is for tests and fuzzers; none of it runs in a node.
#![allow(clippy::missing_panics_doc)]

mod blocks;
mod canonical;
mod headers;
mod inclusion;
pub mod seeds;
mod vaults;

#[allow(clippy::unwrap_used)] // a fixture, for tests like this crate
#[path = "../../../chains/bitcoin/tests/stake/mod.rs"]
mod stake;

/// A parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// Its name, which is the fuzz target's too.
    pub name: &'static str,
    /// Feeds it; panics when something does not hold.
    pub feed: fn(&[u8]),
}

/// All of them.
pub const PARSERS: &[Parser] = &[
    Parser { name: "headers", feed: headers::batch },
    Parser { name: "header_tree", feed: headers::tree },
    Parser { name: "inclusion", feed: inclusion::path },
    Parser { name: "block", feed: blocks::block },
    Parser { name: "transaction", feed: blocks::transaction },
    Parser { name: "registration", feed: vaults::registration },
    Parser { name: "answer", feed: vaults::answer },
    Parser { name: "spend", feed: vaults::spend },
    Parser { name: "canonical", feed: canonical::values },
];

/// Feeds the parser with this name.
pub fn feed(name: &str, bytes: &[u8]) {
    let parser = PARSERS.iter().find(|parser| parser.name == name).expect("a parser of that name");
    (parser.feed)(bytes);
}
