//! Babylon's stakes, as they stand on Bitcoin: read and checked, never made.
//!
//! The scripts are those of [`crate::scripts`]; what differs from a vault of ours is who sets the terms (parameters that a chain
//! versions by Bitcoin height), how a slash is rounded, and what the signatures of votes and proofs bind.
//!
//! In reading order: [`parameters`] and [`phase1`] say what is asked, [`rules`] names each thing asked, [`transactions`] and [`expansion`] check the
//! transactions, [`leaf`] and [`spend`] read a spend, [`context`], [`possession`], [`finality`] and [`delegation`] check what is signed,
//! [`checkpoint`] reads what Babylon itself leaves on Bitcoin, and [`inspect`] explains all of it to a person.

pub mod parameters;
pub mod phase1;
pub mod rules;

pub mod expansion;
pub mod transactions;

pub mod leaf;
pub mod spend;

pub mod checkpoint;
pub mod context;
pub mod delegation;
pub mod finality;
pub mod possession;

pub mod inspect;
