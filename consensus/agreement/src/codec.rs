//! The engine's messages as bytes.
//!
//! One canonical encoding for the wire, the write-ahead log and the sync protocol, in the manner of
//! [`Canonical`](palisade_types::canonical::Canonical) (which cannot be put on the engine's types: both are foreign).
//! Everything read is bounded before it is allocated: rounds, signatures in a certificate, heights in a range,
//! values in a response. Decoding what was encoded gives the same value, and every other string of bytes an error.

use crate::context::{Level, Palisade, Proposal, Value, Vote, Voter};
use crate::malachite::{
    Codec, CommitCertificate, CommitSignature, ExtendedCommitCertificate, ExtendedCommitSignature, HasEncodedLen,
    LivenessMsg, NilOrVal, PeerId, PolkaCertificate, PolkaSignature, ProposedValue, RawDecidedValue, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedConsensusMsg, SignedMessage, StreamContent, StreamId,
    StreamMessage, Validity, VoteType, sync,
};
use crate::parts::{Part, STREAM_ID_BYTES};
use bytes::Bytes;
use palisade_types::block::MAX_BLOCK;
use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::certificate::MAX_MEMBERS;
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

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::ids::{BlockId, Ed25519Signature, OperatorId};
    use proptest::prelude::*;

    fn round_trip<T: Wire + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
        let bytes = encode(value);
        let decoded = decode::<T>(&bytes);
        prop_assert_eq!(decoded.as_ref(), Ok(value));
        // Every place where the bytes may end, thinned out where they are many.
        for length in (0..bytes.len()).step_by(1 + bytes.len() / 512) {
            prop_assert!(decode::<T>(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
        prop_assert_eq!(decode::<T>(&[bytes.as_slice(), &[0]].concat()), Err(Malformed::TrailingBytes));
        Ok(())
    }

    fn level() -> impl Strategy<Value = Level> {
        (0..=u64::MAX / 2).prop_map(|height| Level(Height::new(height)))
    }

    fn some_round() -> impl Strategy<Value = Round> {
        (0..=MAX_ROUND).prop_map(Round::new)
    }

    fn any_round() -> impl Strategy<Value = Round> {
        prop_oneof![Just(Round::Nil), some_round()]
    }

    fn block_id() -> impl Strategy<Value = BlockId> {
        any::<[u8; 32]>().prop_map(BlockId::new)
    }

    fn value() -> impl Strategy<Value = NilOrVal<BlockId>> {
        prop_oneof![Just(NilOrVal::Nil), block_id().prop_map(NilOrVal::Val)]
    }

    fn kind() -> impl Strategy<Value = VoteType> {
        prop_oneof![Just(VoteType::Prevote), Just(VoteType::Precommit)]
    }

    fn voter() -> impl Strategy<Value = Voter> {
        any::<[u8; 20]>().prop_map(|bytes| Voter(OperatorId::new(bytes)))
    }

    fn signature() -> impl Strategy<Value = Ed25519Signature> {
        any::<u8>().prop_map(|byte| Ed25519Signature::new([byte; 64]))
    }

    fn signed_vote() -> impl Strategy<Value = SignedMessage<Palisade, Vote>> {
        (kind(), level(), some_round(), value(), voter(), signature()).prop_map(
            |(kind, height, round, value, address, signature)| {
                SignedMessage::new(Vote { kind, height, round, value, address }, signature)
            },
        )
    }

    fn signed_proposal() -> impl Strategy<Value = SignedMessage<Palisade, Proposal>> {
        (level(), some_round(), block_id(), any_round(), voter(), signature()).prop_map(
            |(height, round, block, pol_round, address, signature)| {
                SignedMessage::new(Proposal { height, round, value: Value(block), pol_round, address }, signature)
            },
        )
    }

    fn commit() -> impl Strategy<Value = CommitCertificate<Palisade>> {
        let commits = prop::collection::vec((voter(), signature()), 0..5);
        (level(), some_round(), block_id(), commits).prop_map(|(height, round, value_id, commits)| CommitCertificate {
            height,
            round,
            value_id,
            commit_signatures: commits.into_iter().map(|(who, how)| CommitSignature::new(who, how)).collect(),
        })
    }

    fn polka() -> impl Strategy<Value = PolkaCertificate<Palisade>> {
        commit().prop_map(|commit| PolkaCertificate {
            height: commit.height,
            round: commit.round,
            value_id: commit.value_id,
            polka_signatures: commit
                .commit_signatures
                .into_iter()
                .map(|commit| PolkaSignature::new(commit.address, commit.signature))
                .collect(),
        })
    }

    fn round_certificate() -> impl Strategy<Value = RoundCertificate<Palisade>> {
        let types = prop_oneof![Just(RoundCertificateType::Skip), Just(RoundCertificateType::Precommit)];
        let votes = prop::collection::vec((kind(), value(), voter(), signature()), 0..5);
        (level(), some_round(), types, votes).prop_map(|(height, round, cert_type, votes)| RoundCertificate {
            height,
            round,
            cert_type,
            round_signatures: votes
                .into_iter()
                .map(|(kind, value, who, how)| RoundSignature::new(kind, value, who, how))
                .collect(),
        })
    }

    fn part() -> impl Strategy<Value = StreamMessage<Part>> {
        let of = (level(), 0..=MAX_ROUND, voter(), block_id()).prop_map(|(height, round, proposer, block)| {
            crate::parts::Proposed { height: height.0, round, proposer: proposer.0, block }
        });
        let place = (1..=crate::parts::MAX_PARTS).prop_flat_map(|count| (0..count, Just(count)));
        (of, place, prop::collection::vec(any::<u8>(), 0..300), any::<[u8; STREAM_ID_BYTES]>()).prop_map(
            |(of, (index, count), bytes, stream)| {
                let stream = StreamId::new(Bytes::copy_from_slice(&stream));
                let content = StreamContent::Data(Part { of, index, count, bytes: bytes.into() });
                StreamMessage::new(stream, u64::from(index), content)
            },
        )
    }

    fn response() -> impl Strategy<Value = sync::Response<Palisade>> {
        let values = prop::collection::vec((prop::collection::vec(any::<u8>(), 0..100), commit()), 0..4);
        (0_u64..1_000_000, values).prop_map(|(start, values)| {
            let values = (start..).zip(values).map(|(height, (bytes, mut certificate))| {
                certificate.height = Level(Height::new(height));
                RawDecidedValue::new(bytes.into(), extended(certificate))
            });
            sync::Response::ValueResponse(sync::ValueResponse::new(Level(Height::new(start)), values.collect()))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_encoded_is_decoded_and_nothing_shorter_or_longer_is(
            vote in signed_vote(), proposal in signed_proposal(), polka in polka(), round in round_certificate(),
            commit in commit(), part in part(), response in response(), valid in any::<bool>(),
        ) {
            round_trip(&SignedConsensusMsg::Vote(vote.clone()))?;
            round_trip(&SignedConsensusMsg::Proposal(proposal.clone()))?;
            round_trip(&LivenessMsg::Vote(vote))?;
            round_trip(&LivenessMsg::PolkaCertificate(polka.clone()))?;
            round_trip(&LivenessMsg::SkipRoundCertificate(round))?;
            round_trip(&polka)?;
            round_trip(&commit)?;
            round_trip(&extended(commit.clone()))?;
            round_trip(&part)?;
            prop_assert_eq!(WireCodec.encoded_len(&response), Ok(encode(&response).len()));
            round_trip(&response)?;
            let Proposal { height, round, value, pol_round, address } = proposal.message;
            let proposed = ProposedValue::<Palisade> {
                height, round, valid_round: pol_round, proposer: address, value, validity: Validity::from_bool(valid),
            };
            round_trip(&proposed)?;
            let status = sync::Status {
                peer_id: crate::malachite::numbered_peer(7), tip_height: height, history_min_height: commit.height,
            };
            round_trip::<sync::Status<Palisade>>(&status)?;
        }

        #[test]
        fn no_bytes_make_the_codec_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode::<SignedConsensusMsg<Palisade>>(&bytes);
            let _ = decode::<LivenessMsg<Palisade>>(&bytes);
            let _ = decode::<StreamMessage<Part>>(&bytes);
            let _ = decode::<ProposedValue<Palisade>>(&bytes);
            let _ = decode::<CommitCertificate<Palisade>>(&bytes);
            let _ = decode::<sync::Status<Palisade>>(&bytes);
            let _ = decode::<sync::Request<Palisade>>(&bytes);
            let _ = decode::<sync::Response<Palisade>>(&bytes);
        }
    }

    #[test]
    fn a_range_is_forward_and_short() {
        let request = |start: u64, end: u64| {
            let bytes = [start.to_be_bytes(), end.to_be_bytes()].concat();
            decode::<sync::Request<Palisade>>(&bytes).is_ok()
        };
        assert!(request(5, 5));
        assert!(request(5, 4 + MAX_RANGE));
        assert!(!request(5, 5 + MAX_RANGE));
        assert!(!request(5, 4));
        assert!(!request(0, u64::MAX));
    }

    #[test]
    fn a_response_with_a_gap_is_refused() {
        let certificate = |height| CommitCertificate::<Palisade> {
            height: Level(Height::new(height)),
            round: Round::ZERO,
            value_id: BlockId::ZERO,
            commit_signatures: vec![],
        };
        let values = [7, 9].map(|height| RawDecidedValue::new(Bytes::new(), extended(certificate(height)))).to_vec();
        let response = sync::Response::ValueResponse(sync::ValueResponse::new(Level(Height::new(7)), values));
        assert!(decode::<sync::Response<Palisade>>(&encode(&response)).is_err());
    }

    #[test]
    fn nothing_is_said_in_the_nil_round() {
        let vote = Vote {
            kind: VoteType::Prevote,
            height: Level(Height::new(1)),
            round: Round::Nil,
            value: NilOrVal::Nil,
            address: Voter(OperatorId::ZERO),
        };
        assert_eq!(decode::<Vote>(&encode(&vote)), Err(Malformed::OutOfRange("round")));
    }
}
