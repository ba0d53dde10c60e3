//! What survives a restart: the chain of blocks with the ledger's rows, and the record of every signature.
//!
//! There is no storage trait: what must survive is a value, not an interface. Every value is
//! [`palisade_types::Canonical`]. Nothing here decides; a write that fails is final, and the node stops on it.
//!
//! [`schema`] is the table of what is kept, [`Store`] the node's database, [`SignatureStore`] the guard's own small one,
//! which only the signer opens and which lives outside the data directory, so that restoring the data directory does not
//! restore it.

mod beside;
mod error;
mod files;
mod migrations;
pub mod schema;
mod signatures;
mod snapshots;
mod store;

pub use beside::Beside;
pub use error::StoreError;
pub use signatures::{Cause, Incarnation, Merged, Origin, Place, Record, SignatureStore, Wait};
pub use snapshots::NextBase;
pub use store::{Loaded, Store, Undecided};
