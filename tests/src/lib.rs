//! Worlds, runs and vectors that test the whole of Palisade from outside its crates.
//!
//! [`world`] runs operators' real cores over a seeded network, on [`chain`]s that a test writes, with the villains of
//! [`cast`]; [`fate`] draws what befalls one from its seed. [`vectors`] runs test vectors of other implementations against our code.

pub mod cast;
pub mod chain;
pub mod fate;
pub mod world;

pub mod vectors;
