//! Why nothing can be shown.

use palisade_types::chain::ChainError;

/// What a person can do about it: ask otherwise, use another node, or try again.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The question makes no sense, or nothing answers to it.
    #[error("{0}")]
    Asked(String),
    /// What stands there is nothing that is known: it is not looked at.
    #[error("{expected} is looked for, and there is {found}")]
    Unknown {
        /// What is known.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The endpoint does not answer, or not as it should.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Failed {
    pub(crate) fn unknown(expected: &str, found: &str) -> Self {
        Self::Unknown { expected: expected.to_owned(), found: found.to_owned() }
    }

    pub(crate) fn lied(what: &str) -> Self {
        Self::Chain(ChainError::Lied(what.to_owned()))
    }

    pub(crate) fn unavailable(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Chain(crate::endpoint::unavailable(doing, source))
    }

    pub(crate) const fn not_there(number: u64) -> Self {
        Self::Chain(ChainError::NotThere { number })
    }
}
