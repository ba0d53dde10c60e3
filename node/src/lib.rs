//! The node of one operator: everything that touches the world, wired together.
//!
//! [`run`] builds the parts and owns the loop; [`core`] decides, without IO; the rest are edges: chains are followed
//! and slashed by [`follower`] and [`executor`], other operators are heard over [`network`], people over [`rpc`] and
//! [`cli`]. Keys are used by [`signer`] alone; a covenant member's may live in a process of its own ([`covenant`]). JSON exists here and nowhere else.

pub mod core;
pub mod handle;
pub mod handover;
pub mod message;
pub mod run;
pub mod sessions;
pub mod signing;
pub mod succession;

pub mod boundary;
pub mod decided;
pub mod doppelganger;
pub mod elsewhere;
pub mod executor;
pub mod follower;
pub mod headers;
pub mod network;
pub mod snapshot;

pub mod covenant;
pub mod identity;
pub mod keys;
pub mod keystore;
pub mod service;
pub mod signer;
pub mod socket;

pub mod acceptance;
pub mod config;
pub mod genesis_file;
pub mod logs;
pub mod text;

pub mod health;
pub mod metrics;
pub mod rpc;

mod budget;
mod checking;
pub mod cli;
pub mod pull;
