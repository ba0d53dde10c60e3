//! The books of every asset, kept up block by block, and the record of every slash.
//!
//! Restaked stake is told by views: what a position holds more than before has entered, what it holds less was taken, as far as the
//! block books slashes of the source, or has left. What a vault adds to the books of bitcoin follows from its row alone. So every sum can be
//! checked against the rows it is of: in debug builds that is done after every block, and always by the audit.

use crate::audit::Unsound;
use crate::cases;
use crate::changes::Draft;
use crate::state::State;
use palisade_types::account::{Account, AccountId, SlashId, SlashRecord};
use palisade_types::observation::SlashedOnChain;
use palisade_types::position::Position;
use palisade_types::slash::{SlashOrder, SlashTarget};
use palisade_types::vault::{VaultLoss, VaultStatus};
use palisade_types::{Address, Case, Hash, OperatorId, OrderId, Row, RowKey, Vault};
use std::collections::BTreeMap;

/// What one block does to the stake of one source.
#[derive(Clone, Copy, Default)]
struct Flow {
    more: u128,
    less: u128,
    taken: u128,
}

/// Ends a block: books what its rows have changed.
pub(crate) fn close(draft: &mut Draft<'_>) {
    let (before, after) = (draft.parent.state(), draft.state());
    let (mut flows, mut bitcoin) = (BTreeMap::<AccountId, Flow>::new(), None::<Account>);
    for key in draft.changed_keys() {
        match key {
            RowKey::Position(id) => {
                let held = |state: State<'_>| state.position(id).map_or(0, Position::held);
                let (old, new) = (held(before), held(after));
                let flow = flows.entry(AccountId::Stake(id.source)).or_default();
                flow.more = flow.more.wrapping_add(new.saturating_sub(old));
                flow.less = flow.less.wrapping_add(old.saturating_sub(new));
            }
            RowKey::Slashed(id) => {
                if let (Some(source), Some(record)) = (id.target.source(), after.slash(id)) {
                    let flow = flows.entry(AccountId::Stake(source)).or_default();
                    let told = before.slash(id).map_or(0, SlashRecord::taken);
                    flow.taken = flow.taken.wrapping_add(record.taken()).wrapping_sub(told);
                }
            }
            RowKey::Vault(id) => {
                let adds = |state: State<'_>| state.vault(id).map(Account::of_vault).unwrap_or_default();
                let books = bitcoin.unwrap_or_else(|| before.account(&AccountId::Bitcoin));
                bitcoin = Some(books.minus(&adds(before)).plus(&adds(after)));
            }
            _ => {}
        }
    }
    let mut booked: Vec<_> = flows.into_iter().map(|(id, flow)| (id, flow.through(before.account(&id)))).collect();
    booked.extend(bitcoin.map(|books| (AccountId::Bitcoin, books)));
    for (id, account) in booked {
        if account != draft.state().account(&id) {
            draft.put(RowKey::Account(id), Row::Account(account));
        }
    }
}

impl Flow {
    /// The books after it. Less may be gone than was taken, because something came in the same block.
    const fn through(self, books: Account) -> Account {
        let left = self.less.saturating_sub(self.taken);
        let came = self.more.wrapping_add(self.taken.saturating_sub(self.less));
        Account {
            entered: books.entered.wrapping_add(came),
            held: books.held.wrapping_add(self.more).wrapping_sub(self.less),
            left: books.left.wrapping_add(left),
            taken: books.taken.wrapping_add(self.taken),
        }
    }
}

/// Records what a restaking protocol's own views showed of a case, if it was anything (R24).
pub(crate) fn record(draft: &mut Draft<'_>, case: &Case, target: SlashTarget, seen: &SlashedOnChain) {
    if seen.afterwards >= seen.before {
        return;
    }
    let id = SlashId { operator: case.operator, target, transaction: seen.transaction };
    let first = draft.state().slash(&id).copied();
    if first.is_some_and(|first| (first.before, first.afterwards) == (seen.before, seen.afterwards)) {
        return; // told again
    }
    // One transaction may take twice, for two cases, and let stake in between the two: the record is of both, and says of before what
    // both took besides what is left.
    let taken = (seen.before - seen.afterwards).saturating_add(first.map_or(0, |first| first.taken()));
    let asked = case.orders.iter().find(|order| same_place(order, &target)).map_or(0, |order| order.asked);
    let record = SlashRecord {
        case: Some(case.id),
        asked,
        capture: capture(draft.state(), case, seen.adapter),
        before: seen.afterwards.saturating_add(taken),
        afterwards: seen.afterwards,
        booked: draft.height,
    };
    draft.put(RowKey::Slashed(id), Row::Slashed(record));
}

/// Whether an order is against this target; a service's before anybody knew which asset lies there.
fn same_place(order: &SlashOrder, target: &SlashTarget) -> bool {
    match (order.target, target) {
        (SlashTarget::Service(asked), SlashTarget::Service(told)) => asked.adapter == told.adapter,
        (asked, told) => asked == *told,
    }
}

/// The Ethereum block whose stake a case is charged to (R26): of an order its own, else the snapshot of the slot's epoch.
fn capture(state: State<'_>, case: &Case, adapter: Address) -> u64 {
    if let Some(order) = state.order(&OrderId { case: case.id, adapter }) {
        return order.capture;
    }
    let epoch = cases::capture(state, &case.domain, Some(case.slot));
    let committee = epoch.and_then(|epoch| state.committee_of(epoch));
    committee.unwrap_or_else(|| state.newest_committee()).ethereum.number
}

/// Records what a slashing transaction took from a vault.
pub(crate) fn record_vault(draft: &mut Draft<'_>, vault: &Vault, loss: VaultLoss) {
    let state = draft.state();
    let domains = cases::finality_domains(state.ledger.genesis_of());
    let operator = vault.registration.operator;
    let of_vault = |order: &&SlashOrder| order.target == SlashTarget::Vault(vault.id);
    let charged = domains.iter().filter_map(|domain| state.case(&cases::id(state, &operator, domain)));
    let charged = charged.filter_map(|case| Some((case.id, case.orders.iter().find(of_vault)?.asked))).next();
    let before = u128::from(vault.registration.amount.get());
    let record = SlashRecord {
        case: charged.map(|(case, _)| case),
        asked: charged.map_or(0, |(_, asked)| asked),
        capture: vault.start.unwrap_or(0),
        before,
        afterwards: before.saturating_sub(loss.taken.get().into()),
        booked: draft.height,
    };
    draft.put(RowKey::Slashed(slash_of(vault, &loss)), Row::Slashed(record));
}

/// Its chain took a vault's end back (R30): what was recorded of it goes with it.
pub(crate) fn forget(draft: &mut Draft<'_>, vault: &Vault) {
    if let VaultStatus::Slashed(loss) = vault.status {
        draft.take_away(RowKey::Slashed(slash_of(vault, &loss)));
    }
}

const fn slash_of(vault: &Vault, loss: &VaultLoss) -> SlashId {
    SlashId { operator: vault.registration.operator, target: SlashTarget::Vault(vault.id), transaction: loss.txid }
}

/// Checks the books against everything they are of: nothing was made, nothing vanished, and no vault lost more than it held.
pub(crate) fn check(state: State<'_>) -> Result<(), Unsound> {
    let mut found: BTreeMap<AccountId, Account> = BTreeMap::new();
    for (id, position) in state.positions() {
        let account = found.entry(AccountId::Stake(id.source)).or_default();
        account.held = account.held.wrapping_add(position.held());
    }
    for (id, record) in state.slashes_from(OperatorId::ZERO) {
        if !record_holds(state, id, record) {
            return Err(Unsound::Contradicts(RowKey::Slashed(*id)));
        }
        if let Some(source) = id.target.source() {
            let account = found.entry(AccountId::Stake(source)).or_default();
            account.taken = account.taken.wrapping_add(record.taken());
        }
    }
    let bitcoin = state.vaults().map(Account::of_vault).fold(Account::default(), |sum, vault| sum.plus(&vault));
    if bitcoin != state.account(&AccountId::Bitcoin) {
        return Err(Unsound::Contradicts(RowKey::Account(AccountId::Bitcoin)));
    }
    let booked: BTreeMap<_, _> = state.accounts().filter(|(id, _)| **id != AccountId::Bitcoin).collect();
    for id in found.keys().chain(booked.keys().copied()) {
        let (sums, account) = (found.get(id).copied().unwrap_or_default(), state.account(id));
        if (sums.held, sums.taken) != (account.held, account.taken) || !account.is_balanced() {
            return Err(Unsound::Contradicts(RowKey::Account(*id)));
        }
    }
    Ok(())
}

/// Whether a slash took something, not before its block, and from a vault what the vault itself says.
fn record_holds(state: State<'_>, id: &SlashId, record: &SlashRecord) -> bool {
    let of_case = record.case.is_none_or(|case| state.case(&case).is_some_and(|case| case.operator == id.operator));
    let by_vault = match id.target {
        SlashTarget::Vault(vault) => state.vault(&vault).is_some_and(|vault| match vault.status {
            VaultStatus::Slashed(loss) => {
                *id == slash_of(vault, &loss) && record.taken() == u128::from(loss.taken.get())
            }
            _ => false,
        }),
        _ => record.case.is_some() && record.afterwards < record.before,
    };
    of_case && by_vault && record.booked <= state.ledger.head().height
}

impl<'a> State<'a> {
    /// The books of an asset; empty ones where nothing was ever booked.
    pub(crate) fn account(self, id: &AccountId) -> Account {
        match self.row(&RowKey::Account(*id)) {
            Some(Row::Account(account)) => *account,
            _ => Account::default(),
        }
    }

    /// All books that anything was ever booked in, by asset ascending.
    pub(crate) fn accounts(self) -> impl Iterator<Item = (&'a AccountId, &'a Account)> {
        let first = AccountId::Stake(crate::state::FIRST_SOURCE);
        self.rows_from(RowKey::Account(first)).map_while(|(key, row)| match (key, row) {
            (RowKey::Account(id), Row::Account(account)) => Some((id, account)),
            _ => None,
        })
    }

    pub(crate) fn slash(self, id: &SlashId) -> Option<&'a SlashRecord> {
        match self.row(&RowKey::Slashed(*id)) {
            Some(Row::Slashed(record)) => Some(record),
            _ => None,
        }
    }

    /// Every slash of `first` and of every operator after him, by operator and target.
    pub(crate) fn slashes_from(self, first: OperatorId) -> impl Iterator<Item = (&'a SlashId, &'a SlashRecord)> {
        let first =
            SlashId { operator: first, target: SlashTarget::EigenLayer(Address::ZERO), transaction: Hash::ZERO };
        self.rows_from(RowKey::Slashed(first)).map_while(|(key, row)| match (key, row) {
            (RowKey::Slashed(id), Row::Slashed(record)) => Some((id, record)),
            _ => None,
        })
    }
}
