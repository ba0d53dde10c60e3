//! Every parser of bytes from outside, as a function of bytes.
//!
//! A [`Parser`] feeds bytes to our code the way a stranger can, and asserts what must hold whatever they are: nothing panics, what is
//! refused changes nothing, what is accepted says the same when it is written again. The same functions are run three ways: on random bytes
//! and on spoilt seeds in every test run (`tests/spoilt.rs`), and by libFuzzer (`tests/fuzz/run.sh`), whose seeds the binary `seeds`
//! writes out of the test vectors.
//!
//! A new parser is a line in [`PARSERS`] and its seeds in [`seeds`].

// What is asserted here is for tests and fuzzers; none of it runs in a node.
#![allow(clippy::missing_panics_doc)]

mod blocks;
mod canonical;
mod core;
#[cfg(feature = "node")]
mod files;
mod headers;
mod inclusion;
mod possession;
mod proof;
#[cfg(feature = "node")]
mod rpc;
pub mod seeds;
mod vaults;
mod wallet;
#[cfg(feature = "node")]
mod wire;

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
    Parser { name: "core", feed: core::answer },
    Parser { name: "registration", feed: vaults::registration },
    Parser { name: "answer", feed: vaults::answer },
    Parser { name: "spend", feed: vaults::spend },
    Parser { name: "psbt", feed: wallet::psbt },
    Parser { name: "plan", feed: wallet::plan },
    Parser { name: "parameters", feed: vaults::parameters },
    Parser { name: "possession", feed: possession::proof },
    Parser { name: "canonical", feed: canonical::values },
    Parser { name: "proof", feed: proof::bundle },
    #[cfg(feature = "node")]
    Parser { name: "engine", feed: wire::engine },
    #[cfg(feature = "node")]
    Parser { name: "gossip", feed: wire::gossip },
    #[cfg(feature = "node")]
    Parser { name: "peer", feed: wire::peer },
    #[cfg(feature = "node")]
    Parser { name: "covenant", feed: wire::covenant },
    #[cfg(feature = "node")]
    Parser { name: "rpc", feed: rpc::request },
    #[cfg(feature = "node")]
    Parser { name: "config", feed: files::config },
    #[cfg(feature = "node")]
    Parser { name: "genesis", feed: files::genesis },
    #[cfg(feature = "node")]
    Parser { name: "keystore", feed: files::keystore },
];

/// The parser with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Parser> {
    PARSERS.iter().find(|parser| parser.name == name)
}
