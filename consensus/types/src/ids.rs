//! Names of things: fixed bytes, printed as lower-case hex. None is checked by its type; what a key or a
//! signature is worth is decided where it is verified.

use crate::canonical::{Canonical, Malformed, Reader, canonical};
use palisade_crypto::hash::keccak256_all;
use std::fmt;
use std::str::FromStr;

/// Why text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} bytes of hex for {of}")]
pub struct NotHex {
    /// What was expected.
    pub of: &'static str,
    /// How many bytes it has.
    pub expected: usize,
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident($length:literal)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $length]);

        impl $name {
            /// All zero: the name of nothing.
            pub const ZERO: Self = Self([0; $length]);
            /// Names bare bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
            /// The bare bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = NotHex;
            fn from_str(text: &str) -> Result<Self, NotHex> {
                let mut bytes = [0; $length];
                hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
                    .map_err(|_| NotHex { of: stringify!($name), expected: $length })?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
            fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self(Canonical::read(input)?))
            }
        }
    };
}

bytes_id! {
    /// The hash of genesis: the name of one network, for ever (R17).
    ChainId(32)
}
bytes_id! {
    /// The hash of a block's header.
    BlockId(32)
}
bytes_id! {
    /// What an attestation says of its slot.
    Digest(32)
}
bytes_id! {
    /// What kind of statements a signature may stand under (R14). Only derived, never given.
    Domain(32)
}
bytes_id! {
    /// A service's name in Palisade.sol; zero is the network itself.
    ServiceId(32)
}
bytes_id! {
    /// One fault of one operator in one domain (R25).
    CaseId(32)
}
bytes_id! {
    /// A hash with no narrower name.
    Hash(32)
}
bytes_id! {
    /// An account or contract on Ethereum.
    Address(20)
}
bytes_id! {
    /// An operator: his cold Ethereum account, which authorises his keys.
    OperatorId(20)
}
bytes_id! {
    /// A BLS12-381 attestation key, compressed G2.
    BlsKey(96)
}
bytes_id! {
    /// A BLS12-381 signature, compressed G1.
    BlsSignature(48)
}
bytes_id! {
    /// An Ed25519 key for the engine's votes.
    Ed25519Key(32)
}
bytes_id! {
    /// An Ed25519 signature.
    Ed25519Signature(64)
}
bytes_id! {
    /// An x-only secp256k1 key: finality providers, stakers, covenant members.
    SchnorrKey(32)
}
bytes_id! {
    /// A BIP-340 signature.
    SchnorrSignature(64)
}
bytes_id! {
    /// A covenant member's adaptor signature.
    AdaptorBytes(65)
}

impl From<BlockId> for Digest {
    /// A finality attestation says which block stands at a height.
    fn from(block: BlockId) -> Self {
        Self(block.0)
    }
}

impl From<OperatorId> for Address {
    /// An operator's name is his account.
    fn from(operator: OperatorId) -> Self {
        Self(operator.0)
    }
}

/// What a domain is for. Kinds below 256 belong to the network itself; its service id and registration are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DomainKind {
    /// Which block stands at a height, signed with BLS.
    Ledger,
    /// Which block stands at a checkpoint height, signed with EOTS.
    Bitcoin,
    /// What a vault holds, for contracts on Ethereum.
    VaultClaim,
    /// A slash that no pair proves.
    Order,
    /// The next network's chain id (R21).
    Succession,
    /// What a covenant member signed that nobody registered (R27). It only names cases: nobody attests in it.
    Covenant,
}

impl DomainKind {
    /// All that are the network's own.
    pub const ALL: [Self; 6] =
        [Self::Ledger, Self::Bitcoin, Self::VaultClaim, Self::Order, Self::Succession, Self::Covenant];

    /// The number that is hashed.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Ledger => 1,
            Self::Bitcoin => 2,
            Self::VaultClaim => 3,
            Self::Order => 4,
            Self::Succession => 5,
            Self::Covenant => 6,
        }
    }
}

impl Domain {
    /// One of the network's own domains (R14): H("PALISADE-DOM-1" | chain id | Palisade.sol | 0 | 0 | kind).
    #[must_use]
    pub fn own(chain: &ChainId, palisade: &Address, kind: DomainKind) -> Self {
        Self::of_service(chain, palisade, &ServiceId::ZERO, 0, kind.number())
    }

    /// A service's domain: new code of a service is a new registration number (R14).
    #[must_use]
    pub fn of_service(chain: &ChainId, palisade: &Address, service: &ServiceId, registration: u64, kind: u16) -> Self {
        Self(keccak256_all(&[
            b"PALISADE-DOM-1",
            &chain.0,
            &palisade.0,
            &service.0,
            &registration.to_be_bytes(),
            &kind.to_be_bytes(),
        ]))
    }
}

impl CaseId {
    /// H(chain id | operator | domain): later pairs of the same operator and domain are the same case (R25).
    #[must_use]
    pub fn derive(chain: &ChainId, operator: &OperatorId, domain: &Domain) -> Self {
        Self(keccak256_all(&[&chain.0, &operator.0, &domain.0]))
    }
}

/// A transaction output on Bitcoin, and so a vault's name. `txid` is in internal byte order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VaultId {
    /// The staking transaction, internal byte order.
    pub txid: Hash,
    /// Which of its outputs.
    pub output: u32,
}
canonical!(VaultId { txid, output });

impl fmt::Display for VaultId {
    /// As Bitcoin shows it: the txid byte-reversed, then the output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut txid = *self.txid.as_bytes();
        txid.reverse();
        write!(f, "{}:{}", hex::encode(txid), self.output)
    }
}

impl fmt::Debug for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultId({self})")
    }
}

impl FromStr for VaultId {
    type Err = NotHex;
    fn from_str(text: &str) -> Result<Self, NotHex> {
        let wrong = NotHex { of: "VaultId (txid:output)", expected: 32 };
        let (txid, output) = text.split_once(':').ok_or_else(|| wrong.clone())?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(txid, &mut bytes).map_err(|_| wrong.clone())?;
        bytes.reverse();
        Ok(Self { txid: Hash(bytes), output: output.parse().map_err(|_| wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_a_domain_differs_by_every_part_of_its_name() {
        let (chain, contract) = (ChainId::new([1; 32]), Address::new([2; 20]));
        let ledger = Domain::own(&chain, &contract, DomainKind::Ledger);
        assert_eq!(ledger, Domain::own(&chain, &contract, DomainKind::Ledger));
        assert_ne!(ledger, Domain::own(&chain, &contract, DomainKind::Bitcoin));
        assert_ne!(ledger, Domain::own(&ChainId::new([3; 32]), &contract, DomainKind::Ledger));
        assert_ne!(ledger, Domain::own(&chain, &Address::new([3; 20]), DomainKind::Ledger));
        let service = ServiceId::new([9; 32]);
        assert_ne!(
            Domain::of_service(&chain, &contract, &service, 1, 256),
            Domain::of_service(&chain, &contract, &service, 2, 256)
        );
    }

    #[test]
    fn a_vault_is_written_as_bitcoin_writes_an_outpoint() {
        let id = VaultId { txid: Hash::new(std::array::from_fn(|i| i as u8)), output: 3 };
        assert!(id.to_string().starts_with("1f1e1d"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
