//! Values in our own encoding, which peers and callers send.

use std::fmt::Debug;

use palisade_bitcoin::covenant::Answer;
use palisade_types::{Canonical, Evidence, VaultRegistration};

/// One byte for the kind, then the value.
pub(crate) fn values(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => same::<VaultRegistration>(bytes),
        1 => same::<Answer>(bytes),
        _ => same::<Evidence>(bytes),
    }
}

/// What can be read is written as it was: there is one encoding of everything.
fn same<T: Canonical + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}
