//! Worlds, runs and vectors that test the whole of Palisade from outside its crates.
//!
//! [`vectors`] runs test vectors of other implementations against our code.

pub mod vectors;
