//! Values in our own encoding that stand in blocks or come over RPC.

use std::fmt::Debug;

use palisade_types::vault::{Inclusion, Slashing, Vault};
use palisade_types::{Block, Canonical, Evidence, Fact, Row};

/// One byte for the kind, then the value.
pub(crate) fn values(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 7 {
        0 => same::<Block>(bytes),
        1 => same::<Evidence>(bytes),
        2 => same::<Vault>(bytes),
        3 => same::<Slashing>(bytes),
        4 => same::<Inclusion>(bytes),
        5 => same::<Row>(bytes),
        _ => same::<Fact>(bytes),
    }
}

/// What can be read is written as it was: there is one encoding of everything.
fn same<T: Canonical + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}
