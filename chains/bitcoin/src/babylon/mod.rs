//! Babylon's stakes, as they stand on Bitcoin: read and checked, never made.
//!
//! The scripts are those of [`crate::scripts`]; what differs from a vault of ours is who sets the terms (parameters that a chain
//! versions by Bitcoin height), how a slash is rounded, and what the signatures of votes and proofs bind.

pub mod inspect;
pub mod leaf;
