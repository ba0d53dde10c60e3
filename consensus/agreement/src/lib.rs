//! How operators agree on the next block.
//!
//! The engine (Malachite, Tendermint's rules) orders blocks with Ed25519 votes weighted by stake; what the outside
//! relies on is attested after the commit and is not its business. This crate gives the engine our types, our bytes
//! and our blocks, and the node's core one channel of [`app::Request`]s. It refuses three things: to hand the engine a
//! block whose bytes are not durable, to go on after a decision that is not committed, and to restart a height.

pub mod anchors;
pub mod app;
pub mod ballot;
pub mod batch;
pub mod codec;
pub mod context;
pub mod engine;
mod forward;
pub mod guard;
pub mod malachite;
pub mod parts;
pub mod pool;
#[cfg(feature = "sim")]
pub mod sim;
mod surplus;
pub mod tally;
pub mod tap;
pub mod wire;
