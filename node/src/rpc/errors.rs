//! Every reason for which a request is refused: one number and one name each, which never change meaning.
//!
//! | code | reason | what it says |
//! |---|---|---|
//! | 1001 | `malformed` | the bytes are no canonical encoding of what was asked for |
//! | 1002 | `not_hex` | the text is no hex, or of the wrong length |
//! | 1101 | `unknown_operator` | the ledger has no such operator |
//! | 1102 | `wrong_signature` | a signature is not by any key of the operator |
//! | 1103 | `compatible` | an honest operator may sign both statements |
//! | 1104 | `wrong_domain` | this kind of evidence cannot speak of that domain |
//! | 1105 | `not_committed` | the nonce was not committed for this slot |
//! | 1106 | `bad_proof` | the state proof does not lead to the header |
//! | 1107 | `expired` | the stake behind the fault can no longer be taken |
//! | 1108 | `already_convicted` | the operator is convicted of this fault already (R25), or the secret known (R29) |
//! | 1109 | `unknown_provider` | no vault names the finality provider whose secret it is |
//! | 1110 | `unknown_service` | no such registration of a service stands in the ledger |
//! | 1111 | `over_rules` | the service's own rules do not allow this verdict |
//! | 1112 | `no_quorum` | the service's quorum does not say it |
//! | 1116 | `unknown_committee` | a certificate is not of the committee of the epoch that it is said to be of |
//! | 1201 | `registration_refused` | a term or signature of the vault does not hold |
//! | 1301 | `unknown_height` | no such block is committed here |
//! | 1302 | `unknown_epoch` | no committee of that epoch is known |
//! | 1303 | `unknown_case` | there is no such case |
//! | 1304 | `unknown_vault` | there is no such vault |
//! | 1305 | `not_certified` | no certificate for this block is known (yet) |
//! | 1306 | `unknown_domain` | the network attests nothing in a domain of that name |
//! | 1307 | `unknown_claim` | nothing was ever claimed of this vault |
//! | 1401 | `busy` | too many submissions at once; try again |
//! | 1402 | `stopping` | the node is going down |
//! | -32603 | `internal` | our own disk failed; the reason is in our log |
//!
//! The name stands in `data.reason`. What jsonrpsee refuses itself (no JSON, unknown method, wrong parameters, too
//! large) has the codes of JSON-RPC 2.0.

use crate::handle::{RegistrationRefused, Stopped};
use crate::text::NotHexText;
use jsonrpsee::types::ErrorObjectOwned;
use palisade_types::canonical::Malformed;
use palisade_types::ids::NotHex;
use palisade_types::units::{Epoch, Height};
use palisade_types::{CaseId, ServiceId, Unproven, VaultId};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Bytes that are no value.
    #[error("malformed bytes: {0}")]
    Malformed(#[from] Malformed),
    /// Text that is no bytes.
    #[error("{0}")]
    NotHex(String),
    /// Evidence that proves nothing.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// A vault that cannot count.
    #[error(transparent)]
    Registration(#[from] RegistrationRefused),
    /// A height that is not there.
    #[error("unknown height {0}")]
    UnknownHeight(Height),
    /// An epoch that is not there.
    #[error("unknown epoch {0}")]
    UnknownEpoch(Epoch),
    /// A case that is not there.
    #[error("unknown case {0}")]
    UnknownCase(CaseId),
    /// A vault that is not there.
    #[error("unknown vault {0}")]
    UnknownVault(VaultId),
    /// A block without certificate.
    #[error("no certificate for height {0} is known")]
    NotCertified(Height),
    /// A service that is not there.
    #[error("unknown service {0}")]
    UnknownService(ServiceId),
    /// A domain that is not there, or none of those that were asked for, which it names.
    #[error("the domains are {0}")]
    UnknownDomain(&'static str),
    /// A vault that never counted.
    #[error("nothing was ever claimed of vault {0}")]
    UnknownClaim(VaultId),
    /// A claim or an order without certificate.
    #[error("no certificate of number {0} is known")]
    NumberNotCertified(u64),
    /// Too many submissions at once.
    #[error("too many submissions at once, try again")]
    Busy,
    /// The node is going down.
    #[error(transparent)]
    Stopping(#[from] Stopped),
    /// Our own fault.
    #[error("internal error")]
    Internal,
}

/// The names of all reasons, as metrics and `data.reason` have them.
pub const REASONS: [&str; 26] = [
    "malformed",
    "not_hex",
    "unknown_operator",
    "wrong_signature",
    "compatible",
    "wrong_domain",
    "not_committed",
    "bad_proof",
    "expired",
    "already_convicted",
    "unknown_provider",
    "unknown_service",
    "over_rules",
    "no_quorum",
    "unknown_committee",
    "registration_refused",
    "unknown_height",
    "unknown_epoch",
    "unknown_case",
    "unknown_vault",
    "not_certified",
    "unknown_domain",
    "unknown_claim",
    "busy",
    "stopping",
    "internal",
];

impl Refusal {
    /// The number of the table above.
    #[must_use]
    pub const fn code(&self) -> i32 {
        self.row().0
    }

    /// The name of the table above.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.row().1
    }

    const fn row(&self) -> (i32, &'static str) {
        match self {
            Self::Malformed(_) => (1001, "malformed"),
            Self::NotHex(_) => (1002, "not_hex"),
            Self::Unproven(unproven) => unproven_row(unproven),
            Self::Registration(_) => (1201, "registration_refused"),
            Self::UnknownHeight(_) => (1301, "unknown_height"),
            Self::UnknownEpoch(_) => (1302, "unknown_epoch"),
            Self::UnknownCase(_) => (1303, "unknown_case"),
            Self::UnknownVault(_) => (1304, "unknown_vault"),
            Self::NotCertified(_) | Self::NumberNotCertified(_) => (1305, "not_certified"),
            Self::UnknownService(_) => unproven_row(&Unproven::UnknownService),
            Self::UnknownDomain(_) => (1306, "unknown_domain"),
            Self::UnknownClaim(_) => (1307, "unknown_claim"),
            Self::Busy => (1401, "busy"),
            Self::Stopping(_) => (1402, "stopping"),
            Self::Internal => (-32_603, "internal"),
        }
    }
}

const fn unproven_row(unproven: &Unproven) -> (i32, &'static str) {
    match unproven {
        Unproven::UnknownOperator => (1101, "unknown_operator"),
        Unproven::BadSignature => (1102, "wrong_signature"),
        Unproven::Compatible => (1103, "compatible"),
        Unproven::WrongDomain => (1104, "wrong_domain"),
        Unproven::NotCommitted => (1105, "not_committed"),
        Unproven::BadProof => (1106, "bad_proof"),
        Unproven::Expired => (1107, "expired"),
        Unproven::AlreadyConvicted => (1108, "already_convicted"),
        Unproven::UnknownProvider => (1109, "unknown_provider"),
        Unproven::UnknownService => (1110, "unknown_service"),
        Unproven::OverRules => (1111, "over_rules"),
        Unproven::NoQuorum => (1112, "no_quorum"),
        Unproven::UnknownCommittee => (1116, "unknown_committee"),
    }
}

impl From<NotHex> for Refusal {
    fn from(error: NotHex) -> Self {
        Self::NotHex(error.to_string())
    }
}

impl From<NotHexText> for Refusal {
    fn from(error: NotHexText) -> Self {
        Self::NotHex(error.to_string())
    }
}

impl From<Refusal> for ErrorObjectOwned {
    fn from(refusal: Refusal) -> Self {
        let data = serde_json::json!({ "reason": refusal.reason() });
        Self::owned(refusal.code(), refusal.to_string(), Some(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn every_refusal() -> Vec<Refusal> {
        vec![
            Malformed::TooShort.into(),
            Refusal::NotHex("not hex".to_owned()),
            Unproven::UnknownOperator.into(),
            Unproven::BadSignature.into(),
            Unproven::Compatible.into(),
            Unproven::WrongDomain.into(),
            Unproven::NotCommitted.into(),
            Unproven::BadProof.into(),
            Unproven::Expired.into(),
            Unproven::AlreadyConvicted.into(),
            Unproven::UnknownProvider.into(),
            Unproven::UnknownService.into(),
            Unproven::OverRules.into(),
            Unproven::NoQuorum.into(),
            Unproven::UnknownCommittee.into(),
            RegistrationRefused { reason: "the amount is too small".to_owned() }.into(),
            Refusal::UnknownHeight(Height::new(9)),
            Refusal::UnknownEpoch(Epoch::new(9)),
            Refusal::UnknownCase(CaseId::new([9; 32])),
            Refusal::UnknownVault(VaultId { txid: palisade_types::Hash::ZERO, output: 0 }),
            Refusal::NotCertified(Height::new(9)),
            Refusal::UnknownDomain("`ledger`"),
            Refusal::UnknownClaim(VaultId { txid: palisade_types::Hash::ZERO, output: 0 }),
            Refusal::Busy,
            Stopped.into(),
            Refusal::Internal,
        ]
    }

    #[test]
    fn every_reason_has_its_own_code_and_name() {
        let all = every_refusal();
        let codes: BTreeSet<_> = all.iter().map(Refusal::code).collect();
        assert_eq!(codes.len(), all.len());
        let names: Vec<_> = all.iter().map(Refusal::reason).collect();
        assert_eq!(names, REASONS);
        let service = Refusal::UnknownService(ServiceId::new([9; 32]));
        assert_eq!(service.row(), unproven_row(&Unproven::UnknownService));
    }

    #[test]
    fn the_table_in_the_documentation_is_the_one_in_the_code() {
        let documented = include_str!("errors.rs");
        for refusal in every_refusal() {
            let row = format!("//! | {} | `{}` |", refusal.code(), refusal.reason());
            assert!(documented.contains(&row), "{row}");
        }
    }

    #[test]
    fn an_error_names_its_reason_twice_for_people_and_for_programs() {
        let error = ErrorObjectOwned::from(Refusal::from(Unproven::Compatible));
        assert_eq!(error.code(), 1103);
        assert_eq!(error.message(), "the two statements are compatible");
        assert_eq!(error.data().unwrap().get(), r#"{"reason":"compatible"}"#);
    }
}
