//! What operators tell each other besides the engine's own messages. All of it proves itself or is worth nothing.

use palisade_bitcoin::covenant::Answer;
use palisade_types::attestation::{Attestation, FinalityVote};
use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::certificate::QuorumCertificate;
use palisade_types::duty::Unjail;
use palisade_types::evidence::Evidence;
use palisade_types::ids::Hash;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::vault::VaultRegistration;

/// The longest message, in bytes: a registration with its whole ladder.
pub const MAX_MESSAGE: usize = 512 << 10;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What an operator says of a block, of a vault, or of a fault.
    Attestation(Attestation),
    /// What a finality provider says of a checkpoint.
    Vote(Box<FinalityVote>),
    /// A proof of fault.
    Evidence(Box<Evidence>),
    /// A vault that asks the covenant for its signatures.
    Registration(Box<VaultRegistration>),
    /// A covenant member's signatures for a vault.
    Presigned(Box<Presigned>),
    /// A promise of nonces that asks to be put into a block.
    Randomness(RandomnessCommitment),
    /// A claim's, an order's or a service's certificate, for somebody who still asks for it by saying the same again.
    NumberedCertificate(Box<QuorumCertificate>),
    /// A block's certificate, for whoever may be on another chain.
    Certificate(Box<QuorumCertificate>),
    /// An operator who asks to leave jail.
    Unjail(Unjail),
}

/// One covenant member's answer to one registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presigned {
    /// To which one: [`VaultRegistration::endorsement`].
    pub registration: Hash,
    /// His signatures.
    pub answer: Answer,
}

impl Canonical for Presigned {
    fn write(&self, out: &mut Vec<u8>) {
        self.registration.write(out);
        self.answer.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { registration: Canonical::read(input)?, answer: Canonical::read(input)? })
    }
}

impl Canonical for Message {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Attestation(attestation) => (0_u8, *attestation).write(out),
            Self::Vote(vote) => {
                out.push(1);
                vote.write(out);
            }
            Self::Evidence(evidence) => {
                out.push(2);
                evidence.write(out);
            }
            Self::Registration(registration) => {
                out.push(3);
                registration.write(out);
            }
            Self::Presigned(presigned) => {
                out.push(4);
                presigned.write(out);
            }
            Self::Randomness(commitment) => (5_u8, *commitment).write(out),
            Self::NumberedCertificate(certificate) => {
                out.push(14);
                certificate.write(out);
            }
            Self::Unjail(unjail) => (20_u8, *unjail).write(out),
            Self::Certificate(certificate) => {
                out.push(23);
                certificate.write(out);
            }
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Attestation(Canonical::read(input)?),
            1 => Self::Vote(Canonical::read(input)?),
            2 => Self::Evidence(Canonical::read(input)?),
            3 => Self::Registration(Canonical::read(input)?),
            4 => Self::Presigned(Canonical::read(input)?),
            5 => Self::Randomness(Canonical::read(input)?),
            14 => Self::NumberedCertificate(Canonical::read(input)?),
            20 => Self::Unjail(Canonical::read(input)?),
            23 => Self::Certificate(Canonical::read(input)?),
            tag => return Err(Malformed::UnknownTag { of: "Message", tag }),
        })
    }
}
