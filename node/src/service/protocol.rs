//! What goes over the socket: frames as those of the covenant's process, one question and one answer a connection.

use crate::core::services::NotAsked;
use crate::covenant::protocol::{self as frames, Unanswered};
use crate::signer::Refused;
use palisade_types::attestation::Attestation;
use palisade_types::canonical::{Canonical, Malformed, Reader, canonical_refusal};
use palisade_types::duty::Unjail;
use palisade_types::ids::{Address, ChainId, OperatorId};
use palisade_types::service::ServiceStatement;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The longest question, in bytes.
pub const MAX_QUESTION: usize = 128;
/// The longest answer, in bytes.
pub const MAX_REPLY: usize = 512;
/// How long the node may think: it listens for a doppelganger before its first signature.
pub const THINKING: Duration = Duration::from_secs(30);

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Attest this.
    Attest(ServiceStatement),
    /// Leave jail.
    Unjail,
    /// Where the ledger stands: what a module needs to name slots and captures.
    Status,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Signed, and told to peers.
    Attested(Attestation),
    /// Signed, and on its way into a block.
    Unjailing(Unjail),
    /// See [`Status`].
    Status(Status),
    /// Not signed.
    Refused(Refusal),
}

/// Where the ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The network.
    pub chain: ChainId,
    /// Its Palisade.sol.
    pub palisade: Address,
    /// Whose node this is.
    pub operator: OperatorId,
    /// The epoch of the next block.
    pub epoch: u32,
    /// The Ethereum block of its committee's snapshot: what verdicts in its slots are charged to (R26).
    pub capture: u64,
}

canonical_refusal! {
    /// Why there is no signature. A module is told what to mend; the reason behind the signer's is in the node's log.
    pub enum Refusal {
        /// See [`NotAsked::UnknownService`].
        0 => UnknownService("no such registration of a service stands in the ledger, or it has no such domain"),
        /// See [`NotAsked::WrongEpoch`].
        1 => WrongEpoch("the slot is not of this epoch or the one before"),
        /// See [`NotAsked::NotMember`].
        2 => NotMember("this operator is no member who counts in that service"),
        /// See [`NotAsked::Silent`].
        3 => Silent("this node attests nothing at present"),
        /// See [`NotAsked::TooMany`].
        4 => TooMany("too many slots of that domain in this epoch"),
        /// Another digest is signed in the slot, and stays.
        5 => Taken("another digest is signed in this slot"),
        /// The guard waits, or is stopped (R15, R16).
        6 => Guarded("the guard signs nothing at present"),
        /// The domain is the network's own (R14).
        7 => Reserved("the domain is the network's own"),
        /// There is nothing to leave, or the time is not over.
        8 => NotInJail("this operator is not in jail, or his time is not over"),
        /// Too much at once.
        9 => Busy("too much at once"),
        /// The node is going down.
        10 => Stopping("the node is stopping"),
        /// The question is of another version, too long, or makes no sense.
        11 => Senseless("the question is not understood"),
    }
}

impl From<NotAsked> for Refusal {
    fn from(refused: NotAsked) -> Self {
        match refused {
            NotAsked::UnknownService => Self::UnknownService,
            NotAsked::WrongEpoch => Self::WrongEpoch,
            NotAsked::NotMember => Self::NotMember,
            NotAsked::Silent => Self::Silent,
            NotAsked::TooMany => Self::TooMany,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        use palisade_agreement::guard::Danger;
        match refused {
            Refused::NotSafe(Danger::Taken | Danger::Conflict | Danger::Unnamed) => Self::Taken,
            Refused::Reserved => Self::Reserved,
            Refused::Failed | Refused::Gone | Refused::Doubled => Self::Stopping,
            _ => Self::Guarded,
        }
    }
}

/// Asks one question and waits for its answer.
///
/// # Errors
///
/// [`Unanswered`]; the question may have been done all the same, and asking again is safe.
pub async fn ask(socket: &Path, question: &Question) -> Result<Reply, Unanswered> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await.map_err(Unanswered::Away)?;
        frames::send_short(&mut stream, question).await?;
        frames::receive(&mut stream, MAX_REPLY).await
    };
    timeout(THINKING, exchange).await.map_err(|_| Unanswered::Slow)?
}

impl Canonical for Question {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Attest(statement) => {
                out.push(0);
                statement.write(out);
            }
            Self::Unjail => out.push(1),
            Self::Status => out.push(2),
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Attest(Canonical::read(input)?),
            1 => Self::Unjail,
            2 => Self::Status,
            tag => return Err(Malformed::UnknownTag { of: "Question", tag }),
        })
    }
}

impl Canonical for Reply {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Attested(attestation) => {
                out.push(0);
                attestation.write(out);
            }
            Self::Unjailing(unjail) => {
                out.push(1);
                unjail.write(out);
            }
            Self::Status(status) => {
                out.push(2);
                status.write(out);
            }
            Self::Refused(refusal) => {
                out.push(3);
                refusal.write(out);
            }
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Attested(Canonical::read(input)?),
            1 => Self::Unjailing(Canonical::read(input)?),
            2 => Self::Status(Canonical::read(input)?),
            3 => Self::Refused(Canonical::read(input)?),
            tag => return Err(Malformed::UnknownTag { of: "Reply", tag }),
        })
    }
}

impl Canonical for Status {
    fn write(&self, out: &mut Vec<u8>) {
        (self.chain, self.palisade).write(out);
        (self.operator, self.epoch).write(out);
        self.capture.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (chain, palisade) = Canonical::read(input)?;
        let (operator, epoch) = Canonical::read(input)?;
        Ok(Self { chain, palisade, operator, epoch, capture: Canonical::read(input)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::attestation::Statement;
    use palisade_types::ids::{BlsSignature, Digest, Domain, Ed25519Signature, ServiceId};
    use palisade_types::service::{RegistrationId, ServiceDomain};
    use palisade_types::units::Height;

    #[test]
    fn every_question_and_answer_is_read_as_it_is_written_and_fits_its_bound() {
        let registration = RegistrationId { service: ServiceId::new([1; 32]), number: 2 };
        let domain = ServiceDomain { registration, kind: 256 };
        let asked = ServiceStatement { domain, slot: 9, digest: Digest::new([3; 32]) };
        for question in [Question::Attest(asked), Question::Unjail, Question::Status] {
            let bytes = question.to_bytes();
            assert!(bytes.len() < MAX_QUESTION);
            assert_eq!(Question::from_bytes(&bytes), Ok(question));
        }
        let (chain, palisade, operator) = (ChainId::new([4; 32]), Address::new([5; 20]), OperatorId::new([6; 20]));
        let statement = Statement { domain: Domain::new([7; 32]), slot: 9, digest: Digest::new([3; 32]) };
        let signature = Ed25519Signature::new([8; 64]);
        let mut replies = vec![
            Reply::Attested(Attestation { statement, operator, signature: BlsSignature::ZERO }),
            Reply::Unjailing(Unjail { operator, jailed: Height::new(7), signature }),
            Reply::Status(Status { chain, palisade, operator, epoch: 3, capture: 100 }),
        ];
        replies.extend(Refusal::ALL.map(Reply::Refused));
        for reply in replies {
            let bytes = reply.to_bytes();
            assert!(bytes.len() < MAX_REPLY);
            assert_eq!(Reply::from_bytes(&bytes), Ok(reply));
        }
        assert!(Question::from_bytes(&[3]).is_err() && Refusal::from_bytes(&[12]).is_err());
    }
}
