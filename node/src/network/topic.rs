//! What is gossiped, and how large it may be.

use crate::message::Message;
use palisade_agreement::wire;

/// One gossip topic. Each has its own bound, checked by the transport before a byte is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The engine's votes and proposals.
    Consensus,
    /// The engine's re-sent votes and round certificates.
    Liveness,
    /// Parts of proposed blocks.
    Parts,
    /// BLS attestations of committed blocks, of vault claims, of orders and of services' tasks.
    Attestations,
    /// One-time signatures of finality providers.
    Eots,
    /// Proofs of fault.
    Evidence,
    /// The covenant's sessions: vaults that ask for signatures, and the signatures.
    Covenant,
    /// Promises of nonces, and words of operators in jail, on their way into a block.
    Registrations,
}

impl Topic {
    /// Every topic, in the order of the table above.
    pub const ALL: [Self; 8] = [
        Self::Consensus,
        Self::Liveness,
        Self::Parts,
        Self::Attestations,
        Self::Eots,
        Self::Evidence,
        Self::Covenant,
        Self::Registrations,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consensus => "/palisade/consensus/1",
            Self::Liveness => "/palisade/liveness/1",
            Self::Parts => "/palisade/parts/1",
            Self::Attestations => "/palisade/attestations/1",
            Self::Eots => "/palisade/eots/1",
            Self::Evidence => "/palisade/evidence/1",
            Self::Covenant => "/palisade/covenant/1",
            Self::Registrations => "/palisade/registrations/1",
        }
    }

    /// The topic of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Its place in [`Self::ALL`], which names it on a line.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The topic with that number.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether members send it to each other directly. What the engine sends again goes by gossip, since something was lost;
    /// the rest is rare, and every follower wants it.
    #[must_use]
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::Consensus | Self::Parts | Self::Attestations | Self::Eots)
    }

    /// Where a message of the node's own belongs.
    #[must_use]
    pub const fn of(message: &Message) -> Self {
        match message {
            Message::Attestation(_) | Message::NumberedCertificate(_) | Message::Certificate(_) => Self::Attestations,
            Message::Vote(_) => Self::Eots,
            Message::Evidence(_) => Self::Evidence,
            Message::Registration(_) | Message::Presigned(_) => Self::Covenant,
            Message::Randomness(_) | Message::Unjail(_) => Self::Registrations,
        }
    }

    /// The most bytes one message of this topic may have, the transport's envelope not counted.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Consensus => wire::CONSENSUS_LIMIT,
            Self::Liveness => wire::LIVENESS_LIMIT,
            Self::Parts => wire::PART_LIMIT,
            Self::Attestations => 4 << 10,
            Self::Eots => 8 << 10,
            Self::Evidence | Self::Registrations => 256 << 10,
            Self::Covenant => crate::message::MAX_MESSAGE,
        }
    }

    /// The engine's topic of the same name; `None` for the node's own.
    #[must_use]
    pub const fn of_engine(self) -> Option<wire::Topic> {
        match self {
            Self::Consensus => Some(wire::Topic::Consensus),
            Self::Liveness => Some(wire::Topic::Liveness),
            Self::Parts => Some(wire::Topic::Parts),
            _ => None,
        }
    }
}

impl From<wire::Topic> for Topic {
    fn from(topic: wire::Topic) -> Self {
        match topic {
            wire::Topic::Consensus => Self::Consensus,
            wire::Topic::Liveness => Self::Liveness,
            wire::Topic::Parts => Self::Parts,
        }
    }
}

/// What the transport adds to a message: source, signature, key, sequence number and topic.
pub(super) const ENVELOPE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_found_by_its_own_name_only() {
        for topic in Topic::ALL {
            assert_eq!(Topic::named(topic.name()), Some(topic));
            assert_eq!(Topic::numbered(topic.number()), Some(topic));
        }
        assert_eq!(Topic::named("/palisade/consensus/2"), None);
    }
}
