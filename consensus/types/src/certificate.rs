//! A committee, and what more than two thirds of it say. A certificate counts only the stake that its own
//! proof can take: BLS counts ETH-side weight, EOTS counts bitcoin; each needs more than 2/3 of its own total.

use crate::attestation::Statement;
use crate::canonical::{Blob, Canonical, List, canonical, shown_struct};
use crate::chain::ChainPoint;
use crate::ids::{BlsKey, BlsSignature, ChainId, Digest, Domain, Ed25519Key, Hash, OperatorId, SchnorrKey};
use crate::keyring::Keyring;
use crate::randomness::Opening;
use crate::units::{Epoch, Height};
use palisade_crypto::hash::keccak256_all;
use palisade_crypto::{bls, eots};

/// The largest committee: a one-word bitmap on chain.
pub const MAX_MEMBERS: usize = 256;
/// The cap on the sum of engine weights; the engine multiplies it by three.
pub const MAX_ENGINE_POWER: u64 = 1 << 60;

/// One seat. Which of the three weights counts where is the rule above; `engine` counts for votes only (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub operator: OperatorId,
    /// Palisade.sol's number of the key row that covers the snapshot (R12); zero in epoch 0.
    pub key: u32,
    /// Attests; zero in a seat of epoch 0, where nobody attests.
    pub bls: BlsKey,
    /// Votes.
    pub ed25519: Ed25519Key,
    /// Attests for Bitcoin stake; zero in a seat of epoch 0.
    pub eots: SchnorrKey,
    /// [`crate::randomness::Commitment::id`] of the nonces for this epoch; zero without, and then `bitcoin` is zero (R19).
    pub randomness: Hash,
    /// ETH-side stake that a pair can take, in micro-dollars.
    pub ether: u64,
    /// Bitcoin stake that a pair can take, in satoshis.
    pub bitcoin: u64,
    /// Power in the engine.
    pub engine: u64,
}
canonical!(Member { operator, key, bls, ed25519, eots, randomness, ether, bitcoin, engine });

/// The members of one epoch, by operator account ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// Its epoch.
    pub epoch: Epoch,
    /// The boundary block's Ethereum anchor: its weights are what stood there.
    pub ethereum: ChainPoint,
    /// The boundary block's Bitcoin anchor.
    pub bitcoin: ChainPoint,
    /// The seats.
    pub members: List<Member, MAX_MEMBERS>,
}
canonical!(Committee { epoch, ethereum, bitcoin, members });

impl Committee {
    /// Layout D of facts/bls-gas.md: H(chain id | [`Self::figures`]).
    #[must_use]
    pub fn hash(&self, chain: &ChainId) -> Hash {
        Hash::new(keccak256_all(&[chain.as_bytes(), &self.figures()]))
    }

    /// What the hash commits to after the chain id, and what Committee.sol is told of a committee: epoch | snapshot
    /// points | total | n | aggregate key | H([`Self::judged`]) | H(list of operator, bitcoin, engine, Ed25519 key,
    /// EOTS key, EOTS root). The aggregate key is 192 packed bytes, zero when nobody has a BLS key (epoch 0).
    #[must_use]
    pub fn figures(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        for member in &self.members {
            (member.operator, member.bitcoin).write(&mut rest);
            (member.engine, member.ed25519).write(&mut rest);
            (member.eots, member.randomness).write(&mut rest);
        }
        let count = u16::try_from(self.members.len()).expect("at most 256 members");
        [
            &self.epoch.to_bytes()[..],
            &self.ethereum.to_bytes(),
            &self.bitcoin.to_bytes(),
            &self.total_ether().to_be_bytes(),
            &count.to_be_bytes(),
            Keyring::of(self).aggregate(),
            &keccak256_all(&[&self.judged()]),
            &keccak256_all(&[&rest]),
        ]
        .concat()
    }

    /// The list of (key id, `ether`) by which a certificate is judged, without a prefix.
    #[must_use]
    pub fn judged(&self) -> Vec<u8> {
        let mut judged = Vec::new();
        for member in &self.members {
            (member.key, member.ether).write(&mut judged);
        }
        judged
    }

    /// The sum of ETH-side weights.
    #[must_use]
    pub fn total_ether(&self) -> u128 {
        self.members.iter().map(|member| u128::from(member.ether)).sum()
    }

    /// The sum of Bitcoin weights, in satoshis.
    #[must_use]
    pub fn total_bitcoin(&self) -> u128 {
        self.members.iter().map(|member| u128::from(member.bitcoin)).sum()
    }

    /// Whether a certificate of this committee can mean anything (R6): BLS where there is ETH-side weight, which no
    /// bitcoin is without in a mixed network; else EOTS (R22).
    #[must_use]
    pub fn has_weight(&self) -> bool {
        self.total_ether() > 0 || self.total_bitcoin() > 0
    }

    /// The seat of `operator`.
    #[must_use]
    pub fn seat(&self, operator: &OperatorId) -> Option<(usize, &Member)> {
        let index = self.members.binary_search_by_key(operator, |member| member.operator).ok()?;
        Some((index, &self.members[index]))
    }
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Worthless {
    /// It names another chain, committee or domain.
    #[error("the certificate is of another chain, committee or domain")]
    OtherCommittee,
    /// The bitmap has the wrong length or names seats that are not there, or a signer twice or out of order.
    #[error("the certificate names signers that are not members")]
    NotMembers,
    /// Signers weigh two thirds or less.
    #[error("signers weigh {signed} of {total}, not more than two thirds")]
    NoQuorum {
        /// What the signers weigh.
        signed: u128,
        /// What counts in all.
        total: u128,
    },
    /// A signature or a key does not hold.
    #[error("the signature does not hold")]
    BadSignature,
    /// A nonce was not promised for this slot.
    #[error("a nonce was not committed for this slot")]
    NotCommitted,
}

/// Version of [`QuorumCertificate`].
pub const CERTIFICATE_VERSION: u8 = 1;

/// More than two thirds of a committee's ETH-side weight say one thing: 188 bytes at four members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumCertificate {
    /// [`CERTIFICATE_VERSION`].
    pub version: u8,
    /// Of which network.
    pub chain: ChainId,
    /// Of which committee.
    pub committee: Hash,
    /// What kind of statement.
    pub domain: Domain,
    /// About what.
    pub slot: u64,
    /// What stands there.
    pub digest: Digest,
    /// How many members the committee has.
    pub members: u16,
    /// Bit i (byte i / 8, bit i % 8 from the lowest) is member i.
    pub signers: Bitmap,
    /// The sum of their signatures.
    pub signature: BlsSignature,
}

/// Who signed. Its length in bytes follows from the number of members, so it is written without a prefix.
pub type Bitmap = Blob<{ MAX_MEMBERS / 8 }>;

shown_struct!(QuorumCertificate { version, chain, committee, domain, slot, digest, members, signers, signature });

impl Canonical for QuorumCertificate {
    fn write(&self, out: &mut Vec<u8>) {
        self.version.write(out);
        (self.chain, self.committee).write(out);
        (self.domain, self.slot).write(out);
        (self.digest, self.members).write(out);
        out.extend_from_slice(&self.signers);
        self.signature.write(out);
    }
    fn read(input: &mut crate::canonical::Reader<'_>) -> Result<Self, crate::canonical::Malformed> {
        let version = u8::read(input)?;
        let (chain, committee) = Canonical::read(input)?;
        let (domain, slot) = Canonical::read(input)?;
        let (digest, members): (Digest, u16) = Canonical::read(input)?;
        let signers = input.take(usize::from(members).div_ceil(8))?.to_vec().try_into()?;
        let signature = Canonical::read(input)?;
        Ok(Self { version, chain, committee, domain, slot, digest, members, signers, signature })
    }
}

impl QuorumCertificate {
    /// The statement it certifies.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        Statement { domain: self.domain, slot: self.slot, digest: self.digest }
    }

    /// Whether member `index` signed.
    #[must_use]
    pub fn names(&self, index: usize) -> bool {
        self.signers.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// Checks the certificate under `committee`, with the weight of everybody whom `convicted` names out of
    /// signers and total (R9).
    ///
    /// # Errors
    ///
    /// [`Worthless`] says why it certifies nothing; it blames nobody.
    pub fn verify(
        &self,
        chain: &ChainId,
        committee: &Committee,
        convicted: impl Fn(&OperatorId) -> bool,
    ) -> Result<(), Worthless> {
        self.check_signers(chain, committee, convicted)?;
        self.check_signature(chain, committee)
    }

    /// Whether everybody it names signed it: the sum of signatures holds under the sum of their keys.
    ///
    /// # Errors
    ///
    /// [`Worthless::BadSignature`].
    pub fn check_signature(&self, chain: &ChainId, committee: &Committee) -> Result<(), Worthless> {
        let ring = Keyring::of(committee);
        let named = (0..committee.members.len()).filter(|index| self.names(*index));
        let keys = named.map(|index| ring.key(index).copied()).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or(Worthless::BadSignature)?;
        let signature = bls::Signature::from_bytes(self.signature.as_bytes()).map_err(|_| Worthless::BadSignature)?;
        bls::verify_aggregate(&keys, &self.statement().bls_message(chain), &signature)
            .map_err(|_| Worthless::BadSignature)
    }

    /// Everything of [`Self::verify`] but the signature: for who has checked that in another way.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`].
    pub fn check_signers(
        &self,
        chain: &ChainId,
        committee: &Committee,
        convicted: impl Fn(&OperatorId) -> bool,
    ) -> Result<(), Worthless> {
        self.check_seats(chain, committee)?;
        let weight = |counts: &dyn Fn(usize) -> bool| -> u128 {
            let members = committee.members.iter().enumerate();
            members
                .filter(|(index, member)| counts(*index) && !convicted(&member.operator))
                .map(|(_, member)| u128::from(member.ether))
                .sum()
        };
        let (signed, total) = (weight(&|index| self.names(index)), weight(&|_| true));
        if signed * 3 <= total * 2 {
            return Err(Worthless::NoQuorum { signed, total });
        }
        Ok(())
    }

    /// Whether it is one of this committee's, and its bitmap names nobody but seats there.
    ///
    /// # Errors
    ///
    /// [`Worthless::OtherCommittee`] or [`Worthless::NotMembers`].
    pub fn check_seats(&self, chain: &ChainId, committee: &Committee) -> Result<(), Worthless> {
        if self.version != CERTIFICATE_VERSION || self.chain != *chain || self.committee != committee.hash(chain) {
            return Err(Worthless::OtherCommittee);
        }
        let count = committee.members.len();
        if usize::from(self.members) != count
            || self.signers.len() != count.div_ceil(8)
            || (count..self.signers.len() * 8).any(|index| self.names(index))
        {
            return Err(Worthless::NotMembers);
        }
        Ok(())
    }
}

/// One provider's vote inside a [`BitcoinCertificate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedVote {
    /// His seat.
    pub member: u16,
    /// R.x.
    pub nonce: Hash,
    /// s.
    pub signature: Hash,
    /// Shows that the nonce was promised.
    pub opening: Opening,
}
canonical!(CertifiedVote { member, nonce, signature, opening });

/// More than two thirds of a committee's bitcoin say one thing about a checkpoint. Every vote is listed:
/// EOTS do not aggregate, and blame needs a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitcoinCertificate {
    /// Of which network.
    pub chain: ChainId,
    /// Of which committee.
    pub committee: Hash,
    /// The Bitcoin finality domain.
    pub domain: Domain,
    /// The checkpoint height.
    pub slot: u64,
    /// The block id.
    pub digest: Digest,
    /// The votes, by seat ascending.
    pub votes: List<CertifiedVote, MAX_MEMBERS>,
}
canonical!(BitcoinCertificate { chain, committee, domain, slot, digest, votes });

impl BitcoinCertificate {
    /// The statement it certifies.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        Statement { domain: self.domain, slot: self.slot, digest: self.digest }
    }

    /// Checks the certificate under `committee` as [`QuorumCertificate::verify`] does. `interval` is R2's N.
    /// `gone` names operators whose bitcoin left with a conviction: out of signers and total (R9).
    ///
    /// # Errors
    ///
    /// [`Worthless`] says why it certifies nothing; it blames nobody.
    pub fn verify(
        &self,
        chain: &ChainId,
        committee: &Committee,
        interval: u64,
        gone: impl Fn(&OperatorId) -> bool,
    ) -> Result<(), Worthless> {
        if self.chain != *chain || self.committee != committee.hash(chain) {
            return Err(Worthless::OtherCommittee);
        }
        if self.votes.windows(2).any(|pair| pair[0].member >= pair[1].member) {
            return Err(Worthless::NotMembers);
        }
        let message = self.statement().eots_message(chain);
        let mut signed = 0;
        for vote in &self.votes {
            let member = committee.members.get(usize::from(vote.member)).ok_or(Worthless::NotMembers)?;
            vote.verify(member, Height::new(self.slot), interval, &message)?;
            if !gone(&member.operator) {
                signed += u128::from(member.bitcoin);
            }
        }
        let total = committee
            .members
            .iter()
            .filter(|member| !gone(&member.operator))
            .map(|member| u128::from(member.bitcoin))
            .sum();
        if signed * 3 <= total * 2 { Err(Worthless::NoQuorum { signed, total }) } else { Ok(()) }
    }
}

impl CertifiedVote {
    /// Checks one vote: the nonce was promised for this slot in the member's row, and the signature holds.
    ///
    /// # Errors
    ///
    /// [`Worthless::NotCommitted`] or [`Worthless::BadSignature`].
    pub fn verify(&self, member: &Member, slot: Height, interval: u64, message: &[u8; 32]) -> Result<(), Worthless> {
        if member.randomness == Hash::ZERO
            || self.opening.commitment.id() != member.randomness
            || !self.opening.opens(&self.nonce, slot, interval)
        {
            return Err(Worthless::NotCommitted);
        }
        verify_eots(&member.eots, &self.nonce, message, &self.signature).map_err(|()| Worthless::BadSignature)
    }
}

/// Whether `signature` over `message` with the one-time `nonce` is by `key`.
pub(crate) fn verify_eots(key: &SchnorrKey, nonce: &Hash, message: &[u8; 32], signature: &Hash) -> Result<(), ()> {
    let key = eots::PublicKey::from_bytes(key.as_bytes()).map_err(|_| ())?;
    let nonce = eots::PublicNonce::from_bytes(nonce.as_bytes()).map_err(|_| ())?;
    let signature = eots::EotsSignature(*signature.as_bytes());
    eots::verify(&key, &nonce, message, &signature).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 5's aim for a certificate of 64 members, bytes.
    const AIM: usize = 240;

    fn certificate(members: u16, signs: impl Fn(usize) -> bool) -> QuorumCertificate {
        let count = usize::from(members);
        let mut bitmap = vec![0_u8; count.div_ceil(8)];
        let mut signatures = Vec::new();
        let statement = Statement { domain: Domain::new([2; 32]), slot: 7, digest: Digest::new([3; 32]) };
        let chain = ChainId::new([1; 32]);
        for signer in (0..count).filter(|index| signs(*index)) {
            bitmap[signer / 8] |= 1 << (signer % 8);
            let key = bls::SecretKey::from_seed(&palisade_crypto::hash::sha256(&signer.to_be_bytes()));
            signatures.push(key.sign(&statement.bls_message(&chain)));
        }
        QuorumCertificate {
            version: CERTIFICATE_VERSION,
            chain,
            committee: Hash::new([4; 32]),
            domain: statement.domain,
            slot: statement.slot,
            digest: statement.digest,
            members,
            signers: bitmap.try_into().unwrap(),
            signature: BlsSignature::new(bls::Signature::aggregate(&signatures).unwrap().to_bytes()),
        }
    }

    #[test]
    fn a_certificate_is_as_long_whoever_signs_it() {
        // A third is absent, as many as may be in a quorum of 64.
        let absent = |index: usize| index == 63 || !index.is_multiple_of(3);
        for (members, bytes) in [(4, 188), (64, 195), (256, 219)] {
            for certificate in [certificate(members, |_| true), certificate(members, absent)] {
                let encoded = certificate.to_bytes();
                assert_eq!(encoded.len(), bytes, "{members} members");
                assert_eq!(QuorumCertificate::from_bytes(&encoded).as_ref(), Ok(&certificate));
            }
        }
        let sixty_four = certificate(64, absent);
        assert_eq!((0..64).filter(|index| sixty_four.names(*index)).count(), 43);
        assert!(sixty_four.to_bytes().len() <= AIM);
    }
}
