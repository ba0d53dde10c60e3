//! What the ledger says of a vault to contracts on Ethereum: "vault V holds S satoshis for operator O until height H,
//! as of Bitcoin block B". A committee certifies it in the domain of vault claims; the slot is the claim's number.

use crate::attestation::Statement;
use crate::canonical::{Canonical, canonical};
use crate::ids::{Digest, Domain, Hash, OperatorId, VaultId};
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

/// How far the ledger has counted its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The number of the next claim.
    pub next: u64,
    /// The newest epoch in which claims were looked at.
    pub epoch: Epoch,
    /// The first number of that epoch,
    pub first: u64,
    /// and of the epoch before it: a number belongs to one epoch (R3).
    pub before: u64,
    /// Whether more is to be said than one block may hold: the next block goes on.
    pub behind: bool,
}
canonical!(Claims { next, epoch, first, before, behind });

impl Default for Claims {
    fn default() -> Self {
        Self { next: 1, epoch: Epoch::new(0), first: 1, before: 1, behind: false }
    }
}

impl Claims {
    /// The counter in `epoch`.
    #[must_use]
    pub fn entered(self, epoch: Epoch) -> Self {
        if epoch == self.epoch { self } else { Self { epoch, first: self.next, before: self.first, ..self } }
    }

    /// The epoch of a number that was given in the newest epoch or the one before it.
    #[must_use]
    pub fn epoch_of(&self, number: u64) -> Option<Epoch> {
        if number >= self.next || number < self.before {
            None
        } else if number >= self.first {
            Some(self.epoch)
        } else {
            self.epoch.get().checked_sub(1).map(Epoch::new)
        }
    }
}

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

    #[test]
    fn r03_a_number_belongs_to_one_epoch() {
        let counted = |claims: Claims, count| Claims { next: claims.next + count, ..claims };
        let claims = counted(Claims::default().entered(Epoch::new(4)), 3); // 1, 2, 3
        let claims = counted(claims.entered(Epoch::new(5)), 2); // 4, 5
        let of = |number| claims.epoch_of(number).map(Epoch::get);
        assert_eq!([0, 1, 3, 4, 5, 6].map(of), [None, Some(4), Some(4), Some(5), Some(5), None]);
        let claims = claims.entered(Epoch::new(6)).entered(Epoch::new(6));
        let of = |number| claims.epoch_of(number).map(Epoch::get);
        assert_eq!([3, 4, 5, 6].map(of), [None, Some(5), Some(5), None]);
    }
}
