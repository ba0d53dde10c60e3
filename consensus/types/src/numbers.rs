//! What the ledger attests by number: claims about vaults, and orders. A number is given once and belongs to one epoch (R3).

use crate::attestation::Statement;
use crate::canonical::canonical;
use crate::claim::Claim;
use crate::evidence::Domains;
use crate::ids::{Digest, Domain};
use crate::order::Order;
use crate::units::Epoch;

/// How far the ledger has counted in one of these domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The next number.
    pub next: u64,
    /// The newest epoch in which it was looked whether there is something to say.
    pub epoch: Epoch,
    /// The first number of that epoch,
    pub first: u64,
    /// and of the epoch before it: a number belongs to one epoch (R3).
    pub before: u64,
}
canonical!(Numbers { next, epoch, first, before });

impl Default for Numbers {
    fn default() -> Self {
        Self { next: 1, epoch: Epoch::new(0), first: 1, before: 1 }
    }
}

impl Numbers {
    /// The counter in `epoch`.
    #[must_use]
    pub fn entered(self, epoch: Epoch) -> Self {
        if epoch == self.epoch { self } else { Self { epoch, first: self.next, before: self.first, ..self } }
    }

    /// Gives a number out.
    #[must_use]
    pub fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
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

/// The domains in which the ledger gives numbers out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumberedKind {
    /// Claims about vaults.
    Claim,
    /// Orders.
    Order,
}

impl NumberedKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Claim, Self::Order];

    /// The kind whose domain this is.
    #[must_use]
    pub fn of(domains: &Domains, domain: &Domain) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.domain(domains) == *domain)
    }

    /// Where it is signed.
    #[must_use]
    pub const fn domain(self, domains: &Domains) -> Domain {
        match self {
            Self::Claim => domains.claim,
            Self::Order => domains.order,
        }
    }
}

/// One thing that the ledger says under a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// See [`NumberedKind::Claim`].
    Claim(Claim),
    /// See [`NumberedKind::Order`].
    Order(Order),
}

impl Numbered {
    /// Of which domain.
    #[must_use]
    pub const fn kind(&self) -> NumberedKind {
        match self {
            Self::Claim(_) => NumberedKind::Claim,
            Self::Order(_) => NumberedKind::Order,
        }
    }

    /// Its number, never zero.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Claim(claim) => claim.number,
            Self::Order(order) => order.number,
        }
    }

    /// Whose committee certifies it.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Claim(claim) => claim.epoch,
            Self::Order(order) => order.epoch,
        }
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Claim(claim) => claim.digest(),
            Self::Order(order) => order.digest(),
        }
    }

    /// The statement in its own domain of the network.
    #[must_use]
    pub fn statement(&self, domains: &Domains) -> Statement {
        Statement { domain: self.kind().domain(domains), slot: self.number(), digest: self.digest() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r03_a_number_belongs_to_one_epoch() {
        let counted = |numbers: Numbers, count| Numbers { next: numbers.next + count, ..numbers };
        let numbers = counted(Numbers::default().entered(Epoch::new(4)), 3); // 1, 2, 3
        let numbers = counted(numbers.entered(Epoch::new(5)), 2); // 4, 5
        let of = |number| numbers.epoch_of(number).map(Epoch::get);
        assert_eq!([0, 1, 3, 4, 5, 6].map(of), [None, Some(4), Some(4), Some(5), Some(5), None]);
        let numbers = numbers.entered(Epoch::new(6)).entered(Epoch::new(6));
        let of = |number| numbers.epoch_of(number).map(Epoch::get);
        assert_eq!([3, 4, 5, 6].map(of), [None, Some(5), Some(5), None]);
    }
}
