//! The engine's messages as bytes.
//!
//! One canonical encoding for the wire, the write-ahead log and the sync protocol, in the manner of
//! [`Canonical`](palisade_types::canonical::Canonical) (which cannot be put on the engine's types: both are foreign).
//! Everything read is bounded before it is allocated: rounds, signatures in a certificate, heights in a range,
//! values in a response. Decoding what was encoded gives the same value, and every other string of bytes an error.

use crate::context::{Level, Palisade, Proposal, Voter, Value, Vote};
use crate::malachite::{
    Codec, CommitCertificate, CommitSignature, ExtendedCommitCertificate, ExtendedCommitSignature, HasEncodedLen,
    LivenessMsg, NilOrVal, PeerId, PolkaCertificate, PolkaSignature, ProposedValue, RawDecidedValue, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedConsensusMsg, SignedMessage, StreamContent, StreamId,
    StreamMessage, Validity, VoteType, sync,
};
use crate::parts::{Part, STREAM_ID_BYTES};
use bytes::Bytes;
use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::certificate::MAX_MEMBERS;
use palisade_types::block::MAX_BLOCK;
use palisade_types::units::Height;

/// Encodes and decodes for the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct WireCodec;

/// No honest node ever comes to this round of a height: with timeouts of a second it takes ten years.
pub const MAX_ROUND: u32 = 1 << 28;
/// The most signatures in one certificate: a round certificate may hold both votes of every member.
pub const MAX_SIGNATURES: usize = 2 * MAX_MEMBERS;
/// The most heights in one request of the sync protocol.
pub const MAX_RANGE: u64 = 100;
/// The longest peer id: a multihash of an inline key.
const MAX_PEER_ID: usize = 64;

/// One of the engine's values as bytes.
pub(crate) trait Wire: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// Gives the engine a codec for every type that has a [`Wire`] form.
macro_rules! codec_for {
    ($($message:ty),* $(,)?) => {$(
        impl Codec<$message> for WireCodec {
            type Error = Malformed;

            fn decode(&self, bytes: Bytes) -> Result<$message, Malformed> {
                decode(&bytes)
            }

            fn encode(&self, message: &$message) -> Result<Bytes, Malformed> {
                Ok(encode(message).into())
            }
        }
    )*};
}

codec_for!(
    SignedConsensusMsg<Palisade>,
    LivenessMsg<Palisade>,
    StreamMessage<Part>,
    ProposedValue<Palisade>,
    PolkaCertificate<Palisade>,
    CommitCertificate<Palisade>,
    sync::Status<Palisade>,
    sync::Request<Palisade>,
    sync::Response<Palisade>,
);

impl HasEncodedLen<sync::Response<Palisade>> for WireCodec {
    fn encoded_len(&self, response: &sync::Response<Palisade>) -> Result<usize, Malformed> {
        let sync::Response::ValueResponse(response) = response;
        let values = response.values.iter().map(|value| {
            4 + value.value_bytes.len() + CERTIFICATE_HEAD + value.certificate.commit_signatures.len() * SIGNATURE_ENTRY
        });
        Ok(8 + 4 + values.sum::<usize>())
    }
}

/// height, round, block id and the count of signatures.
const CERTIFICATE_HEAD: usize = 8 + 4 + 32 + 4;
/// operator and signature.
const SIGNATURE_ENTRY: usize = 20 + 64;

/// The bytes of `value`.
pub(crate) fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}

fn decode<T: Wire>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut input = Reader::new(bytes);
    let value = T::read(&mut input)?;
    if input.is_empty() { Ok(value) } else { Err(Malformed::TrailingBytes) }
}

/// A commit certificate as the core keeps it and as it travels to a lagging peer.
#[must_use]
pub fn certificate_bytes(certificate: &CommitCertificate<Palisade>) -> Vec<u8> {
    encode(certificate)
}

/// Reads what [`certificate_bytes`] wrote.
///
/// # Errors
///
/// [`Malformed`]; the signatures are not checked here.
pub fn certificate_from_bytes(bytes: &[u8]) -> Result<CommitCertificate<Palisade>, Malformed> {
    decode(bytes)
}

// The small parts.

fn write_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("every list here is bounded far below 2^32").write(out);
}

fn read_length(input: &mut Reader<'_>, bound: usize) -> Result<usize, Malformed> {
    let length = u32::read(input)? as usize;
    if length > bound { Err(Malformed::TooLong { length, bound }) } else { Ok(length) }
}

fn write_list<T: Wire>(values: &[T], out: &mut Vec<u8>) {
    write_length(values.len(), out);
    for value in values {
        value.write(out);
    }
}

fn read_list<T: Wire>(input: &mut Reader<'_>, bound: usize) -> Result<Vec<T>, Malformed> {
    let length = read_length(input, bound)?;
    let mut values = Vec::with_capacity(length.min(input.left()));
    for _ in 0..length {
        values.push(T::read(input)?);
    }
    Ok(values)
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(input: &mut Reader<'a>, bound: usize) -> Result<&'a [u8], Malformed> {
    let length = read_length(input, bound)?;
    input.take(length)
}

impl Wire for Level {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    /// Half of all numbers is enough; no sum with a height can then overflow.
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let height = u64::read(input)?;
        if height > u64::MAX / 2 { Err(Malformed::OutOfRange("height")) } else { Ok(Self(Height::new(height))) }
    }
}

impl Wire for Voter {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self(Canonical::read(input)?))
    }
}

/// A round is its number; the nil round is all ones.
impl Wire for Round {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_u32().unwrap_or(u32::MAX).write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u32::read(input)? {
            u32::MAX => Ok(Self::Nil),
            round if round <= MAX_ROUND => Ok(Self::new(round)),
            _ => Err(Malformed::OutOfRange("round")),
        }
    }
}

/// A round in which something is said: never the nil one.
fn read_round(input: &mut Reader<'_>) -> Result<Round, Malformed> {
    match Round::read(input)? {
        Round::Nil => Err(Malformed::OutOfRange("round")),
        round => Ok(round),
    }
}

impl Wire for VoteType {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Prevote => 0,
            Self::Precommit => 1,
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Prevote),
            1 => Ok(Self::Precommit),
            tag => Err(Malformed::UnknownTag { of: "vote type", tag }),
        }
    }
}

impl<T: Canonical> Wire for NilOrVal<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.push(0),
            Self::Val(value) => {
                out.push(1);
                value.write(out);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Option::<T>::read(input)?.map_or(Self::Nil, Self::Val))
    }
}

impl Wire for Vote {
    fn write(&self, out: &mut Vec<u8>) {
        self.kind.write(out);
        self.height.write(out);
        self.round.write(out);
        self.value.write(out);
        self.address.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            kind: Wire::read(input)?,
            height: Wire::read(input)?,
            round: read_round(input)?,
            value: Wire::read(input)?,
            address: Wire::read(input)?,
        })
    }
}

impl Wire for Proposal {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.round.write(out);
        self.value.0.write(out);
        self.pol_round.write(out);
        self.address.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            height: Wire::read(input)?,
            round: read_round(input)?,
            value: Value(Canonical::read(input)?),
            pol_round: Wire::read(input)?,
            address: Wire::read(input)?,
        })
    }
}

impl<T: Wire> Wire for SignedMessage<Palisade, T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.message.write(out);
        self.signature.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::new(T::read(input)?, Canonical::read(input)?))
    }
}

// The messages.

impl Wire for SignedConsensusMsg<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Vote(vote) => {
                out.push(0);
                vote.write(out);
            }
            Self::Proposal(proposal) => {
                out.push(1);
                proposal.write(out);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Vote(Wire::read(input)?)),
            1 => Ok(Self::Proposal(Wire::read(input)?)),
            tag => Err(Malformed::UnknownTag { of: "consensus message", tag }),
        }
    }
}

impl Wire for LivenessMsg<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Vote(vote) => {
                out.push(0);
                vote.write(out);
            }
            Self::PolkaCertificate(certificate) => {
                out.push(1);
                certificate.write(out);
            }
            Self::SkipRoundCertificate(certificate) => {
                out.push(2);
                certificate.write(out);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Vote(Wire::read(input)?)),
            1 => Ok(Self::PolkaCertificate(Wire::read(input)?)),
            2 => Ok(Self::SkipRoundCertificate(Wire::read(input)?)),
            tag => Err(Malformed::UnknownTag { of: "liveness message", tag }),
        }
    }
}

impl Wire for StreamMessage<Part> {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(&self.stream_id.to_bytes(), out);
        self.sequence.write(out);
        match &self.content {
            StreamContent::Data(part) => {
                out.push(1);
                part.write(out);
            }
            StreamContent::Fin => out.push(0),
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let stream = read_bytes(input, STREAM_ID_BYTES)?;
        let stream_id = StreamId::new(Bytes::copy_from_slice(stream));
        let sequence = u64::read(input)?;
        let content = Option::<Part>::read(input)?.map_or(StreamContent::Fin, StreamContent::Data);
        Ok(Self::new(stream_id, sequence, content))
    }
}

impl Wire for ProposedValue<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.round.write(out);
        self.valid_round.write(out);
        self.proposer.write(out);
        self.value.0.write(out);
        self.validity.is_valid().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            height: Wire::read(input)?,
            round: read_round(input)?,
            valid_round: Wire::read(input)?,
            proposer: Wire::read(input)?,
            value: Value(Canonical::read(input)?),
            validity: Validity::from_bool(bool::read(input)?),
        })
    }
}

impl Wire for PolkaSignature<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.address.write(out);
        self.signature.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::new(Wire::read(input)?, Canonical::read(input)?))
    }
}

impl Wire for PolkaCertificate<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.round.write(out);
        self.value_id.write(out);
        write_list(&self.polka_signatures, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            height: Wire::read(input)?,
            round: read_round(input)?,
            value_id: Canonical::read(input)?,
            polka_signatures: read_list(input, MAX_MEMBERS)?,
        })
    }
}

impl Wire for RoundSignature<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.vote_type.write(out);
        self.value_id.write(out);
        self.address.write(out);
        self.signature.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::new(Wire::read(input)?, Wire::read(input)?, Wire::read(input)?, Canonical::read(input)?))
    }
}

impl Wire for RoundCertificate<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.round.write(out);
        out.push(match self.cert_type {
            RoundCertificateType::Skip => 0,
            RoundCertificateType::Precommit => 1,
        });
        write_list(&self.round_signatures, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            height: Wire::read(input)?,
            round: read_round(input)?,
            cert_type: match u8::read(input)? {
                0 => RoundCertificateType::Skip,
                1 => RoundCertificateType::Precommit,
                tag => return Err(Malformed::UnknownTag { of: "round certificate", tag }),
            },
            round_signatures: read_list(input, MAX_SIGNATURES)?,
        })
    }
}

impl Wire for CommitSignature<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.address.write(out);
        self.signature.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::new(Wire::read(input)?, Canonical::read(input)?))
    }
}

impl Wire for CommitCertificate<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.round.write(out);
        self.value_id.write(out);
        write_list(&self.commit_signatures, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            height: Wire::read(input)?,
            round: read_round(input)?,
            value_id: Canonical::read(input)?,
            commit_signatures: read_list(input, MAX_MEMBERS)?,
        })
    }
}

/// Without extensions, which are disabled, an extended certificate is a plain one.
impl Wire for ExtendedCommitCertificate<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        self.trim_vote_extensions().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(extended(CommitCertificate::read(input)?))
    }
}

/// A plain certificate in the engine's extended form, with no extension in it.
#[must_use]
pub fn extended(certificate: CommitCertificate<Palisade>) -> ExtendedCommitCertificate<Palisade> {
    ExtendedCommitCertificate {
        height: certificate.height,
        round: certificate.round,
        value_id: certificate.value_id,
        commit_signatures: certificate
            .commit_signatures
            .into_iter()
            .map(|commit| ExtendedCommitSignature::new(commit.address, commit.signature, None))
            .collect(),
    }
}

impl Wire for sync::Status<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(&self.peer_id.to_bytes(), out);
        self.tip_height.write(out);
        self.history_min_height.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let peer = read_bytes(input, MAX_PEER_ID)?;
        Ok(Self {
            peer_id: PeerId::from_bytes(peer).map_err(|_| Malformed::OutOfRange("peer id"))?,
            tip_height: Wire::read(input)?,
            history_min_height: Wire::read(input)?,
        })
    }
}

impl Wire for sync::Request<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self::ValueRequest(request) = self;
        request.range.start().write(out);
        request.range.end().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (start, end) = (Level::read(input)?, Level::read(input)?);
        let heights = end.0.get().checked_sub(start.0.get()).ok_or(Malformed::OutOfRange("range"))?;
        if heights >= MAX_RANGE {
            return Err(Malformed::OutOfRange("range"));
        }
        Ok(Self::ValueRequest(sync::ValueRequest::new(start..=end)))
    }
}

impl Wire for RawDecidedValue<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(&self.value_bytes, out);
        self.certificate.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let value = Bytes::copy_from_slice(read_bytes(input, MAX_BLOCK)?);
        Ok(Self::new(value, Wire::read(input)?))
    }
}

impl Wire for sync::Response<Palisade> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self::ValueResponse(response) = self;
        response.start_height.write(out);
        write_list(&response.values, out);
    }

    /// The values must be of consecutive heights from the start: the engine counts on it.
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let start = Level::read(input)?;
        let bound = usize::try_from(MAX_RANGE).unwrap_or(usize::MAX);
        let values: Vec<RawDecidedValue<Palisade>> = read_list(input, bound)?;
        let in_order = (start.0.get()..).zip(&values).all(|(height, value)| value.height().0.get() == height);
        if !in_order {
            return Err(Malformed::OutOfRange("height in a response"));
        }
        Ok(Self::ValueResponse(sync::ValueResponse::new(start, values)))
    }
}
