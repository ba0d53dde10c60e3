//! What stands behind the network, what faults have cost, and what stood where when one is charged.

use super::Api;
use super::errors::Refusal;
use super::views::{PositionView, target_name, transaction_name};
use palisade_types::account::{Account, AccountId, SlashId, SlashRecord};
use palisade_types::ids::OperatorId;
use serde::{Deserialize, Serialize};

/// `ledger_accounts`: the books of one asset. `entered` = `held` + `left` + `taken`, in the asset's smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// `eigenlayer`, `symbiotic`, `karak` or `bitcoin`.
    pub source: String,
    /// The strategy or vault; `null` for bitcoin.
    pub asset: Option<String>,
    /// All that ever came in.
    pub entered: String,
    /// What is there.
    pub held: String,
    /// What went otherwise than by a slash.
    pub left: String,
    /// What slashes took.
    pub taken: String,
}

impl AccountView {
    fn of(id: &AccountId, account: &Account) -> Self {
        let (source, asset) = match id {
            AccountId::Stake(source) => (source.protocol(), Some(source.asset().to_string())),
            AccountId::Bitcoin => ("bitcoin", None),
        };
        Self {
            source: source.to_owned(),
            asset,
            entered: account.entered.to_string(),
            held: account.held.to_string(),
            left: account.left.to_string(),
            taken: account.taken.to_string(),
        }
    }
}

/// `evidence_slashes`: what one transaction took, as its chain finally showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlashView {
    /// Whose stake it was.
    pub operator: String,
    /// Where it lay: as in an order.
    pub source: String,
    /// What it is named there.
    pub target: String,
    /// The transaction.
    pub transaction: String,
    /// For which case; `null` when a vault was slashed for a fault towards somebody else (R29).
    pub case: Option<String>,
    /// What the case asked for.
    pub asked: String,
    /// The Ethereum block of the snapshot that the fault is charged to; of a vault the Bitcoin height at which it was locked.
    pub capture: u64,
    /// What could be taken before.
    pub before: String,
    /// The same afterwards.
    pub afterwards: String,
    /// What was taken.
    pub taken: String,
    /// The height of the block that books it.
    pub booked: u64,
}

impl SlashView {
    fn of(id: &SlashId, record: &SlashRecord) -> Self {
        let (source, target) = target_name(&id.target);
        Self {
            operator: id.operator.to_string(),
            source: source.to_owned(),
            target,
            transaction: transaction_name(&id.target, &id.transaction),
            case: record.case.map(|case| case.to_string()),
            asked: record.asked.to_string(),
            capture: record.capture,
            before: record.before.to_string(),
            afterwards: record.afterwards.to_string(),
            taken: record.taken().to_string(),
            booked: record.booked.get(),
        }
    }
}

/// `ledger_captured`: what stood in one position from a snapshot on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedView {
    /// The Ethereum block of the snapshot at which it was written down: the position has not changed from there to the newest
    /// snapshot up to the block that was asked for.
    pub since: u64,
    /// What stood there.
    pub position: PositionView,
}

impl Api {
    pub(super) async fn read_accounts(&self) -> Result<Vec<AccountView>, Refusal> {
        self.read(|core| core.ledger().accounts().map(|(id, account)| AccountView::of(id, account)).collect()).await
    }

    pub(super) async fn read_slashes(&self, operator: Option<&str>) -> Result<Vec<SlashView>, Refusal> {
        let operator = operator.map(str::parse::<OperatorId>).transpose()?;
        let found = self.read(move |core| {
            let asked = |id: &SlashId| operator.is_none_or(|operator| id.operator == operator);
            let slashes = core.ledger().slashes().filter(|(id, _)| asked(id));
            slashes.map(|(id, record)| SlashView::of(id, record)).collect()
        });
        found.await
    }

    pub(super) async fn read_captured(&self, operator: &str, block: u64) -> Result<Vec<CapturedView>, Refusal> {
        let operator: OperatorId = operator.parse()?;
        let found = self.read(move |core| {
            let ledger = core.ledger();
            ledger.operator(&operator)?;
            let captured = ledger.captured(&operator, block);
            let view = |(id, since, position)| CapturedView { since, position: PositionView::of(&id, position) };
            Some(captured.into_iter().map(view).collect())
        });
        found.await?.ok_or_else(|| palisade_types::Unproven::UnknownOperator.into())
    }
}
