//! The account that pays for transactions.

use alloy::network::EthereumWallet;
use alloy::primitives;
use alloy::signers::local::PrivateKeySigner;
use palisade_types::ids::Address;
use std::fmt;
use zeroize::Zeroizing;

/// An Ethereum account with its key. The key is never printed.
#[derive(Clone)]
pub struct Account(PrivateKeySigner);

/// The file holds no key. It does not say what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Ethereum key is 32 bytes of hex, not zero and below the curve's order")]
pub struct BadKey;

impl Account {
    /// Reads the content of a key file: 32 bytes of hex, with or without `0x` and a newline.
    ///
    /// # Errors
    ///
    /// [`BadKey`].
    pub fn from_file(content: &[u8]) -> Result<Self, BadKey> {
        let text = content.trim_ascii();
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.strip_prefix(b"0x").unwrap_or(text), key.as_mut()).map_err(|_| BadKey)?;
        Self::from_bytes(&key)
    }

    /// Reads the bare scalar, big-endian.
    ///
    /// # Errors
    ///
    /// [`BadKey`].
    pub fn from_bytes(key: &[u8; 32]) -> Result<Self, BadKey> {
        PrivateKeySigner::from_slice(key).map(Self).map_err(|_| BadKey)
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new(self.0.address().into_array())
    }

    pub(crate) fn alloy_address(&self) -> primitives::Address {
        self.0.address()
    }

    pub(crate) fn wallet(&self) -> EthereumWallet {
        EthereumWallet::from(self.0.clone())
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_hex_and_is_never_printed() {
        let hex = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let account = Account::from_file(format!("0x{hex}\n").as_bytes()).unwrap();
        assert_eq!(account.address().to_string(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        assert!(!format!("{account:?}").contains("ac0974"));
        assert_eq!(Account::from_file(b"0x00").unwrap_err(), BadKey);
        assert_eq!(Account::from_bytes(&[0; 32]).unwrap_err(), BadKey);
    }
}
