//! Two certificates that cannot both be honest.
//!
//! The sum of signatures in a certificate holds under the sum of its signers' keys only if every one of them signed: each key came
//! with a proof of possession (R12). So two certificates of one committee that contradict each other accuse everybody who stands in
//! both bitmaps, as a pair of his own signatures would, though nobody can take those out of the sums again.
//!
//! A quorum is not asked for. What proves a signature is the sum, whatever its signers weigh; and whoever was convicted meanwhile
//! (R9) would else make two certificates worthless that the rest signed. Nor has the committee to be in office: the epoch says by
//! which list of keys the bitmaps are read, and when the fault was is told by its slot, as of a pair (R26).

use crate::block::Header;
use crate::canonical::canonical;
use crate::certificate::{Committee, Member, QuorumCertificate};
use crate::evidence::{Domains, Unproven};
use crate::ids::{BlockId, ChainId, Digest, Hash, OperatorId};
use crate::proof::RowProof;
use crate::row::{Row, RowKey};
use crate::units::{Epoch, Height};

/// Two certificates of one committee: two digests in one slot or, with `later`, an ancestor that another one contradicts (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePair {
    /// The committee's epoch.
    pub epoch: Epoch,
    /// The one; of two slots the earlier.
    pub first: QuorumCertificate,
    /// The other.
    pub second: QuorumCertificate,
    /// What the second one's block says of the first one's slot; `None` when both are of one slot.
    pub later: Option<LaterBlock>,
}
canonical!(CertificatePair { epoch, first, second, later });

/// A certified block of the ledger, whose state names another block at an earlier height than the one certified there (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterBlock {
    /// Its header.
    pub header: Header,
    /// Which block its state names at the earlier height.
    pub named: Hash,
    /// Proves that row in the header's state root.
    pub proof: RowProof,
}
canonical!(LaterBlock { header, named, proof });

/// The key rows of who made the two sums, as the contract is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Palisade.sol's number of the accused's own key.
    pub key: u32,
    /// Those of the others who signed the first statement.
    pub first: Vec<u32>,
    /// Those of the others who signed the second.
    pub second: Vec<u32>,
}

impl CertificatePair {
    /// Everybody whom the pair accuses, by seat. The signatures are not looked at: that is [`Self::holds`].
    ///
    /// # Errors
    ///
    /// [`Unproven`] when the two agree, are not of this committee, or nobody stands in both.
    pub fn accused<'a>(&self, domains: &Domains, committee: &'a Committee) -> Result<Vec<&'a Member>, Unproven> {
        self.check_statements(domains)?;
        for certificate in [&self.first, &self.second] {
            certificate.check_seats(&domains.chain, committee).map_err(|_| Unproven::UnknownCommittee)?;
        }
        let signed_both = |seat: &usize| self.first.names(*seat) && self.second.names(*seat);
        let accused: Vec<_> =
            (0..committee.members.len()).filter(signed_both).map(|seat| &committee.members[seat]).collect();
        if accused.is_empty() { Err(Unproven::Compatible) } else { Ok(accused) }
    }

    /// Whether both sums are of signatures by everybody they name: two pairings.
    #[must_use]
    pub fn holds(&self, chain: &ChainId, committee: &Committee) -> bool {
        [&self.first, &self.second].iter().all(|certificate| certificate.check_signature(chain, committee).is_ok())
    }

    /// Who signed with one of the accused, by key rows; `None` when he is none of them.
    #[must_use]
    pub fn company(&self, committee: &Committee, accused: &OperatorId) -> Option<Company> {
        let (seat, member) = committee.seat(accused)?;
        let others = |certificate: &QuorumCertificate| {
            let others = committee.members.iter().enumerate().filter(|(index, _)| *index != seat);
            certificate
                .names(seat)
                .then(|| others.filter(|(index, _)| certificate.names(*index)).map(|(_, other)| other.key).collect())
        };
        Some(Company { key: member.key, first: others(&self.first)?, second: others(&self.second)? })
    }

    fn check_statements(&self, domains: &Domains) -> Result<(), Unproven> {
        let (first, second) = (&self.first, &self.second);
        if first.domain != second.domain || first.domain == domains.bitcoin {
            return Err(Unproven::WrongDomain);
        }
        match &self.later {
            Some(later) => later.check(domains, first, second),
            None if first.slot != second.slot || first.digest == second.digest => Err(Unproven::Compatible),
            None => Ok(()),
        }
    }
}

impl LaterBlock {
    /// As of an attestation that contradicts an ancestor ([`crate::evidence::AncestorFault`]).
    fn check(&self, domains: &Domains, first: &QuorumCertificate, second: &QuorumCertificate) -> Result<(), Unproven> {
        if first.domain != domains.ledger || self.header.chain != domains.chain {
            return Err(Unproven::WrongDomain);
        }
        let is_second = second.slot == self.header.height.get() && second.digest == self.header.id().into();
        if !is_second || first.slot >= second.slot || first.digest == Digest::new(*self.named.as_bytes()) {
            return Err(Unproven::Compatible);
        }
        let row = Row::Block(BlockId::new(*self.named.as_bytes()));
        let key = RowKey::Block(Height::new(first.slot));
        self.proof.proves(&self.header.state_root, &key, Some(&row)).map_err(|_| Unproven::BadProof)
    }
}
