//! What the ledger says of a vault to contracts on Ethereum: "vault V holds S satoshis for operator O until height H,
//! as of Bitcoin block B". A committee certifies it in the domain of vault claims; the slot is the claim's number.

use crate::attestation::Statement;
use crate::canonical::{Canonical, canonical};
use crate::ids::{Digest, Domain, Hash, OperatorId, VaultId};
use crate::numbers::Numbers;
use crate::units::{Epoch, Sats};
use palisade_crypto::hash::keccak256;

/// One claim about one vault. Its Canonical bytes, 125 of them, are what BitcoinVaults.sol is told, and their keccak256
/// is what is signed. The claim with the highest number is what is true of a vault; the others are history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Counts from 1 over all claims of the ledger, revocations among them; never given twice.
    pub number: u64,
    /// The epoch whose committee certifies it (R3): the one of the block that holds it first.
    pub epoch: Epoch,
    /// The vault.
    pub vault: VaultId,
    /// Whose equivocation takes the coins.
    pub operator: OperatorId,
    /// What one equivocation takes, once and for all readers together (R8): the vault's amount times the slashing rate of
    /// its terms, rounded down. Not what the vault holds.
    pub sats: Sats,
    /// The first Bitcoin height at which it does not count any more, though the coins still lie there: what begins to
    /// move then is gone before a fault is proven (R4).
    pub until: u64,
    /// The ledger's Bitcoin anchor when the claim was made, internal byte order.
    pub block: Hash,
    /// Its height.
    pub height: u64,
    /// Whether it takes back what the numbers before it said. The other figures are those of the claim taken back.
    pub revoked: bool,
}
canonical!(Claim { number, epoch, vault, operator, sats, until, block, height, revoked });

impl Claim {
    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::new(keccak256(&self.to_bytes()))
    }

    /// The statement in `domain`, the network's domain of vault claims.
    #[must_use]
    pub fn statement(&self, domain: Domain) -> Statement {
        Statement { domain, slot: self.number, digest: self.digest() }
    }
}

/// How far the ledger has come with its claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Their numbers.
    pub numbers: Numbers,
    /// Whether more is to be said than one block may hold: the next block goes on.
    pub behind: bool,
}
canonical!(Claims { numbers, behind });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_packed_as_solidity_packs_it() {
        let claim = Claim {
            number: 0x0102,
            epoch: Epoch::new(3),
            vault: VaultId { txid: Hash::new([4; 32]), output: 5 },
            operator: OperatorId::new([6; 20]),
            sats: Sats::new(7),
            until: 8,
            block: Hash::new([9; 32]),
            height: 10,
            revoked: true,
        };
        let mut packed = Vec::new();
        packed.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
        packed.extend([4; 32]);
        packed.extend([0, 0, 0, 5]);
        packed.extend([6; 20]);
        packed.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8]);
        packed.extend([9; 32]);
        packed.extend([0, 0, 0, 0, 0, 0, 0, 10, 1]);
        assert_eq!(claim.to_bytes(), packed);
        assert_eq!((packed.len(), Claim::from_bytes(&packed)), (125, Ok(claim)));
    }
}
