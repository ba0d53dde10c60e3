//! The engine's names, in one place: whoever upgrades it reads this list first. Nothing outside this crate and the
//! node's network needs any of them.

pub use arc_malachitebft_app_channel::app::config;
pub use arc_malachitebft_app_channel::app::consensus::{
    Effect, Input, LivenessMsg, MisbehaviorEvidence, Params, ProposedValue, Resumable, Resume, Role,
    SignedConsensusMsg, State, process,
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
    RoundSignature, SignedMessage, SignedProposal, SignedVote, ThresholdParams, Timeout, TimeoutKind, Validity,
    ValueOrigin, ValuePayload, ValueResponse, Vote as VoteApi, VoteType,
};

/// The sync protocol's messages.
pub mod sync {
    pub use arc_malachitebft_app_channel::app::types::sync::{Request, Response, Status};
    pub use arc_malachitebft_sync::{
        InboundRequestId, OutboundFailureReason, OutboundRequestId, ValueRequest, ValueResponse,
    };
}
