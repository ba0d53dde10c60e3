//! The network key: libp2p's identity of this node. It lies in the data directory, since it neither votes nor
//! attests; the registry binds its peer id to the operator.

use crate::keys::{self, KeyError};
use libp2p::PeerId;
use libp2p::identity::Keypair;
use std::path::Path;

/// Makes a new key at `path`.
///
/// # Errors
///
/// [`KeyError::Exists`], or the disk fails.
pub fn create(path: &Path) -> Result<PeerId, KeyError> {
    let mut secret = keys::random();
    keys::write_secret(path, &secret)?;
    let pair = Keypair::ed25519_from_bytes(secret.as_mut_slice()).expect("any 32 bytes are an Ed25519 secret");
    Ok(pair.public().to_peer_id())
}

/// Reads the key at `path`.
///
/// # Errors
///
/// [`KeyError`]
pub fn read(path: &Path) -> Result<Keypair, KeyError> {
    let mut secret = keys::read_secret(path)?;
    Keypair::ed25519_from_bytes(secret.as_mut_slice()).map_err(|_| KeyError::Malformed { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_key_is_read_back_as_the_same_peer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/node.key");
        let peer = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().public().to_peer_id(), peer);
        assert!(matches!(create(&path), Err(KeyError::Exists { .. })));
    }
}
