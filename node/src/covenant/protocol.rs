//! What goes over the socket: four bytes of length, one of version, one canonical value; one question and one answer a connection.
//!
//! Every side limits what it reads in bytes and in time, and a frame is read whole before a byte of it is believed.

use crate::keystore::{MAX_PASSPHRASE, Passphrase};
use crate::message::{MAX_MESSAGE, Presigned};
use palisade_types::canonical::{Blob, Canonical, Malformed, Reader};
use palisade_types::ids::{ChainId, SchnorrKey};
use palisade_types::vault::VaultRegistration;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The version of this protocol. Both ends are one release of one program; another version is refused.
pub const VERSION: u8 = 2;
/// The longest question, in bytes: a registration, the one it expands, and what stands around them.
pub const MAX_QUESTION: usize = 2 * MAX_MESSAGE + 256;
/// The longest answer, in bytes: one member's signatures on the longest ladder for the most providers.
pub const MAX_REPLY: usize = 64 << 10;
/// How long one frame may take to come or go once its turn is there.
pub const FRAME: Duration = Duration::from_secs(5);
/// How long the process may think: it asks Bitcoin.
pub const THINKING: Duration = Duration::from_secs(30);
/// The longest reason in a refusal, in bytes.
pub const MAX_REASON: usize = 256;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Sign for this vault.
    Presign(Box<Asked>),
    /// Open the key.
    Unlock(Passphrase),
    /// Wipe the key.
    Lock,
    /// How are you?
    Status,
}

/// What a member is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The network the node is in.
    pub chain: ChainId,
    /// The operator's finality key, as the node's ledger shows it.
    pub provider: SchnorrKey,
    /// The registration; the covenant's lists in it are ignored.
    pub registration: VaultRegistration,
    /// What the node's ledger holds of the vault that it expands.
    pub parent: Option<VaultRegistration>,
    /// Whether the node's ledger holds this very registration: an expansion's first input is signed only then (R27).
    pub registered: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Signed.
    Presigned(Box<Presigned>),
    /// Not signed, or not done.
    Refused(Refusal),
    /// Done.
    Done,
    /// See [`Status`].
    Status(Status),
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key is locked.
    #[error("the key is locked")]
    Locked,
    /// Too much at once, or this very vault is being looked at.
    #[error("busy")]
    Busy,
    /// The node is in another network than the process.
    #[error("the genesis of this process is another network's")]
    OtherNetwork,
    /// The registration is wrong: nobody signs it, ever.
    #[error("the registration does not hold: {0}")]
    Invalid(Reason),
    /// Our own Bitcoin does not show the stake, or not deep enough, or does not answer.
    #[error("not yet: {0}")]
    NotYet(Reason),
    /// The staking output is spent.
    #[error("the staking output is spent")]
    Spent,
    /// Something else was signed for this very output.
    #[error("the record holds a contradicting signature for this output")]
    Contradiction,
    /// The vault has enough expansions that may come about.
    #[error("the vault has enough expansions")]
    Expansions,
    /// Enough was signed in this hour.
    #[error("the quota of this hour is used up")]
    Quota,
    /// The record's disk failed: nothing is signed until the process is started again.
    #[error("the record's disk failed")]
    Failed,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// The key is a plain file, which has no lock.
    #[error("the key is a plain file and has no lock")]
    Plain,
    /// The question is of another version, too long, or makes no sense.
    #[error("the question is not understood")]
    Senseless,
}

impl Refusal {
    /// Whether asking again soon is of no use.
    #[must_use]
    pub const fn stays(&self) -> bool {
        match self {
            Self::OtherNetwork
            | Self::Invalid(_)
            | Self::Spent
            | Self::Contradiction
            | Self::Expansions
            | Self::Senseless => true,
            Self::Locked
            | Self::Busy
            | Self::NotYet(_)
            | Self::Quota
            | Self::Failed
            | Self::WrongPassphrase
            | Self::Plain => false,
        }
    }
}

/// A reason in words, cut to [`MAX_REASON`] bytes. It comes from the other end: show it, do not act on it.
#[derive(Clone, PartialEq, Eq)]
pub struct Reason(Blob<MAX_REASON>);

impl Reason {
    /// Takes what fits of a text.
    #[must_use]
    pub fn new(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let mut end = text.len().min(MAX_REASON);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(Blob::try_from(text.as_bytes()[..end].to_vec()).expect("cut to fit"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        text.chars().filter(|character| !character.is_control()).try_for_each(|character| write!(f, "{character}"))
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reason({self})")
    }
}

/// How the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The network.
    pub chain: ChainId,
    /// The member.
    pub member: SchnorrKey,
    /// Whether the key is in memory.
    pub unlocked: bool,
    /// Whether the record's disk failed.
    pub failed: bool,
    /// Vaults that stand in the record.
    pub signed: u64,
    /// Of these, new in the last hour.
    pub this_hour: u64,
    /// The newest Bitcoin block at our own endpoints; `None` while they do not answer.
    pub bitcoin: Option<u64>,
}

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody listens, or the connection broke.
    #[error("nobody answers on the socket")]
    Away(#[source] io::Error),
    /// It took too long.
    #[error("the answer takes too long")]
    Slow,
    /// A frame is longer than it may be.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// Another release.
    #[error("the other end speaks version {0} of the protocol")]
    OtherVersion(u8),
    /// The bytes are no value.
    #[error("the other end says what makes no sense")]
    Senseless(#[from] Malformed),
}

/// Asks one question and waits for its answer.
///
/// # Errors
///
/// [`Unanswered`]; the question may have been done all the same.
pub async fn ask(socket: &Path, question: &Question, patience: Duration) -> Result<Reply, Unanswered> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await.map_err(Unanswered::Away)?;
        send(&mut stream, question).await?;
        receive(&mut stream, MAX_REPLY).await
    };
    timeout(patience, exchange).await.map_err(|_| Unanswered::Slow)?
}

/// Writes one frame.
///
/// # Errors
///
/// [`Unanswered::Away`] and [`Unanswered::Slow`].
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), value: &impl Canonical) -> Result<(), Unanswered> {
    send_within(stream, value, MAX_QUESTION).await
}

/// The same for a value that is short and no secret.
///
/// # Errors
///
/// As [`send`].
pub async fn send_short(stream: &mut (impl AsyncWrite + Unpin), value: &impl Canonical) -> Result<(), Unanswered> {
    send_within(stream, value, 0).await
}

async fn send_within(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &impl Canonical,
    length: usize,
) -> Result<(), Unanswered> {
    // A question may be a passphrase: the buffer is wiped, and as long from the start as it gets.
    let mut frame = Zeroizing::new(Vec::with_capacity(length + 5));
    frame.extend_from_slice(&[0; 4]);
    frame.push(VERSION);
    value.write(&mut frame);
    let length = u32::try_from(frame.len() - 4).expect("a frame is far shorter than 2^32");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let written = async {
        stream.write_all(&frame).await?;
        stream.flush().await
    };
    timeout(FRAME, written).await.map_err(|_| Unanswered::Slow)?.map_err(Unanswered::Away)
}

/// Reads one frame of at most `limit` bytes. Its first byte may take as long as the caller lets it, the rest may not.
///
/// # Errors
///
/// [`Unanswered`].
pub async fn receive<T: Canonical>(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<T, Unanswered> {
    let length = usize::try_from(stream.read_u32().await.map_err(Unanswered::Away)?).unwrap_or(usize::MAX);
    if length > limit || length == 0 {
        return Err(Unanswered::TooLong(length));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    let read = stream.read_exact(&mut frame);
    timeout(FRAME, read).await.map_err(|_| Unanswered::Slow)?.map_err(Unanswered::Away)?;
    match frame.split_first() {
        Some((&VERSION, value)) => Ok(T::from_bytes(value)?),
        Some((version, _)) => Err(Unanswered::OtherVersion(*version)),
        None => Err(Unanswered::TooLong(0)),
    }
}

impl Canonical for Asked {
    fn write(&self, out: &mut Vec<u8>) {
        self.chain.write(out);
        self.provider.write(out);
        self.registration.write(out);
        self.parent.write(out);
        self.registered.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            chain: Canonical::read(input)?,
            provider: Canonical::read(input)?,
            registration: Canonical::read(input)?,
            parent: Canonical::read(input)?,
            registered: Canonical::read(input)?,
        })
    }
}

impl Canonical for Passphrase {
    fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.as_bytes().len()).expect("a passphrase is far shorter than 2^32");
        length.write(out);
        out.extend_from_slice(self.as_bytes());
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = usize::try_from(u32::read(input)?).unwrap_or(usize::MAX);
        if length > MAX_PASSPHRASE {
            return Err(Malformed::TooLong { length, bound: MAX_PASSPHRASE });
        }
        let bytes = Zeroizing::new(input.take(length)?.to_vec());
        Self::new(bytes).ok_or(Malformed::OutOfRange("a passphrase"))
    }
}

impl Canonical for Question {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Presign(asked) => {
                out.push(0);
                asked.write(out);
            }
            Self::Unlock(passphrase) => {
                out.push(1);
                passphrase.write(out);
            }
            Self::Lock => out.push(2),
            Self::Status => out.push(3),
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Presign(Box::new(Canonical::read(input)?)),
            1 => Self::Unlock(Canonical::read(input)?),
            2 => Self::Lock,
            3 => Self::Status,
            tag => return Err(Malformed::UnknownTag { of: "Question", tag }),
        })
    }
}

impl Canonical for Reply {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Presigned(presigned) => {
                out.push(0);
                presigned.write(out);
            }
            Self::Refused(refusal) => {
                out.push(1);
                refusal.write(out);
            }
            Self::Done => out.push(2),
            Self::Status(status) => {
                out.push(3);
                status.write(out);
            }
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Presigned(Box::new(Canonical::read(input)?)),
            1 => Self::Refused(Canonical::read(input)?),
            2 => Self::Done,
            3 => Self::Status(Canonical::read(input)?),
            tag => return Err(Malformed::UnknownTag { of: "Reply", tag }),
        })
    }
}

impl Canonical for Reason {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self(Canonical::read(input)?))
    }
}

impl Canonical for Refusal {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Locked => out.push(0),
            Self::Busy => out.push(1),
            Self::OtherNetwork => out.push(2),
            Self::Invalid(reason) => {
                out.push(3);
                reason.write(out);
            }
            Self::NotYet(reason) => {
                out.push(4);
                reason.write(out);
            }
            Self::Spent => out.push(5),
            Self::Contradiction => out.push(6),
            Self::Quota => out.push(7),
            Self::Failed => out.push(8),
            Self::WrongPassphrase => out.push(9),
            Self::Plain => out.push(10),
            Self::Senseless => out.push(11),
            Self::Expansions => out.push(12),
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Locked,
            1 => Self::Busy,
            2 => Self::OtherNetwork,
            3 => Self::Invalid(Canonical::read(input)?),
            4 => Self::NotYet(Canonical::read(input)?),
            5 => Self::Spent,
            6 => Self::Contradiction,
            7 => Self::Quota,
            8 => Self::Failed,
            9 => Self::WrongPassphrase,
            10 => Self::Plain,
            11 => Self::Senseless,
            12 => Self::Expansions,
            tag => return Err(Malformed::UnknownTag { of: "Refusal", tag }),
        })
    }
}

impl Canonical for Status {
    fn write(&self, out: &mut Vec<u8>) {
        self.chain.write(out);
        self.member.write(out);
        self.unlocked.write(out);
        self.failed.write(out);
        self.signed.write(out);
        self.this_hour.write(out);
        self.bitcoin.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            chain: Canonical::read(input)?,
            member: Canonical::read(input)?,
            unlocked: Canonical::read(input)?,
            failed: Canonical::read(input)?,
            signed: Canonical::read(input)?,
            this_hour: Canonical::read(input)?,
            bitcoin: Canonical::read(input)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_bitcoin::covenant::Answer;
    use palisade_types::ids::{AdaptorBytes, Hash, SchnorrSignature};
    use palisade_types::vault::{CovenantAdaptor, MAX_PROVIDERS, MAX_RUNGS};

    fn round_trip<T: Canonical + PartialEq + fmt::Debug>(value: &T) {
        assert_eq!(T::from_bytes(&value.to_bytes()).as_ref(), Ok(value));
    }

    #[test]
    fn what_is_written_is_read_and_every_tag_is_its_own() {
        let refusals = [
            Refusal::Locked,
            Refusal::Busy,
            Refusal::OtherNetwork,
            Refusal::Invalid(Reason::new("x")),
            Refusal::NotYet(Reason::new("")),
            Refusal::Spent,
            Refusal::Contradiction,
            Refusal::Quota,
            Refusal::Failed,
            Refusal::WrongPassphrase,
            Refusal::Plain,
            Refusal::Senseless,
            Refusal::Expansions,
        ];
        for refusal in refusals {
            round_trip(&Reply::Refused(refusal));
        }
        let passphrase = Passphrase::new(Zeroizing::new(b"secret".to_vec())).unwrap();
        assert!(!format!("{:?}", Question::Unlock(passphrase.clone())).contains("secret"));
        [Question::Unlock(passphrase), Question::Lock, Question::Status].iter().for_each(round_trip);
        round_trip(&Reply::Done);
        let (chain, member) = (ChainId::new([1; 32]), SchnorrKey::new([2; 32]));
        let status = Status { chain, member, unlocked: true, failed: false, signed: 3, this_hour: 1, bitcoin: Some(9) };
        round_trip(&Reply::Status(status));
        assert!(Question::from_bytes(&[4]).is_err());
        assert!(Question::from_bytes(&[2, 0]).is_err());
        assert!(Refusal::from_bytes(&[13]).is_err());
        let mut long = vec![1];
        u32::try_from(MAX_PASSPHRASE + 1).unwrap().write(&mut long);
        long.resize(long.len() + MAX_PASSPHRASE + 1, b'a');
        assert!(Question::from_bytes(&long).is_err(), "a passphrase has a bound");
        assert!(Question::from_bytes(&[1, 0, 0, 0, 1, 0xff]).is_err(), "and is text");
    }

    #[test]
    fn the_longest_answer_fits_its_limit() {
        let key = SchnorrKey::new([1; 32]);
        let adaptor = CovenantAdaptor { member: key, provider: key, signature: AdaptorBytes::new([0; 65]) };
        let one = vec![adaptor; MAX_PROVIDERS].try_into().unwrap();
        let slashings = vec![one; 2 * MAX_RUNGS].try_into().unwrap();
        let signature = SchnorrSignature::new([0; 64]);
        let answer =
            Answer { member: key, unbonding: signature, slashings, endorsement: signature, expansion: Some(signature) };
        let reply = Reply::Presigned(Box::new(Presigned { registration: Hash::ZERO, answer }));
        assert!(reply.to_bytes().len() < MAX_REPLY);
    }

    #[test]
    fn a_reason_is_cut_and_shows_no_control_characters() {
        assert_eq!(Reason::new("\u{1b}[31mred\n").to_string(), "[31mred");
        let long = Reason::new("ä".repeat(200));
        assert_eq!(long.to_string(), "ä".repeat(128));
    }

    #[tokio::test]
    async fn a_frame_too_long_of_another_version_or_cut_off_is_named() {
        async fn read(bytes: &[u8]) -> Unanswered {
            receive::<Reply>(&mut &*bytes, 100).await.unwrap_err()
        }
        assert!(matches!(read(&[0, 0, 0, 101]).await, Unanswered::TooLong(101)));
        assert!(matches!(read(&[0xff; 4]).await, Unanswered::TooLong(_)));
        assert!(matches!(read(&[0; 4]).await, Unanswered::TooLong(0)));
        assert!(matches!(read(&[0, 0, 0, 2, 9, 2]).await, Unanswered::OtherVersion(9)));
        assert!(matches!(read(&[0, 0, 0, 3, VERSION]).await, Unanswered::Away(_)));
        assert!(matches!(read(&[0, 0]).await, Unanswered::Away(_)));
        assert!(matches!(read(&[0, 0, 0, 2, VERSION, 77]).await, Unanswered::Senseless(_)));
        assert!(matches!(read(&[0, 0, 0, 3, VERSION, 2, 2]).await, Unanswered::Senseless(_)));
        let mut frame = Vec::new();
        send(&mut frame, &Reply::Done).await.unwrap();
        assert_eq!(frame, [0, 0, 0, 2, VERSION, 2]);
        assert_eq!(receive::<Reply>(&mut &frame[..], 2).await.unwrap(), Reply::Done);
    }

    #[tokio::test]
    async fn whoever_stops_in_the_middle_of_a_frame_is_not_waited_for() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(&[0, 0, 0, 9, VERSION]).await.unwrap();
        let (mut full, _never_reads) = tokio::io::duplex(4);
        let (received, sent) = tokio::join!(receive::<Reply>(&mut ours, 100), send(&mut full, &Reply::Done));
        assert!(matches!(received, Err(Unanswered::Slow)));
        assert!(matches!(sent, Err(Unanswered::Slow)));
    }
}
