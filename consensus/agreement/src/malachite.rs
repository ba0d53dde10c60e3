//! The engine's names, in one place: whoever upgrades it reads this list first. Nothing outside this crate and the
//! node's network needs any of them.

pub use arc_malachitebft_app_channel::app::config;
pub use arc_malachitebft_app_channel::app::consensus::{
    ConsensusMsg, Effect, Error as ConsensusError, Input, LivenessMsg, MisbehaviorEvidence, Params, ProposedValue,
    Resumable, Resume, SignedConsensusMsg, State, VoteExtensionError, process,
};
pub use arc_malachitebft_app_channel::app::engine;
pub use arc_malachitebft_app_channel::app::metrics;
pub use arc_malachitebft_app_channel::app::spawn;
pub use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
pub use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
pub use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
pub use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, PeerId};
pub use arc_malachitebft_core_types::{
    CommitCertificate, CommitSignature, ExtendedCommitCertificate, ExtendedCommitSignature, HeightParams,
    LinearTimeouts, NilOrVal, PolkaCertificate, PolkaSignature, Round, RoundCertificate, RoundCertificateType,
    RoundSignature, SignedMessage, SignedProposal, SignedVote, Timeout, TimeoutKind, Validity, ValueOrigin,
    ValuePayload, ValueResponse, VoteType,
};

/// The sync protocol's messages.
pub mod sync {
    pub use arc_malachitebft_app_channel::app::types::sync::{Request, Response, Status};
    pub use arc_malachitebft_sync::{
        InboundRequestId, OutboundFailureReason, OutboundRequestId, ValueRequest, ValueResponse,
    };
}

/// A peer id that is no key's, for tests: the identity multihash of four bytes.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn numbered_peer(index: u32) -> PeerId {
    PeerId::from_bytes(&[&[0, 4], index.to_be_bytes().as_slice()].concat()).expect("an identity multihash is a peer id")
}
