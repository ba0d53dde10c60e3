//! Vaults: registered once staker and covenant have signed, active once their staking transaction is deep, over
//! once their coins are gone.
//!
//! A vault may be registered before its coins are locked: then the covenant has signed everything that can take them
//! before the staker depends on it. Such a vault confirms only above the anchor at which it was registered, because below
//! it nobody looked; one that stood in a block by then is registered again with that block. What is never locked lapses.
//!
//! An expansion moves a vault's coins into another one without their ever being free. Until its transaction is deep only
//! the parent counts, from then on only the child (R8). It is registered twice: presigned like every vault, and then with the parent's
//! covenant's signatures on its first input, which honest members make only when its row is there. So that no such
//! signature ever looks like a breach (R27), the row stays for good.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::state::State;
use crate::{accounts, cases, exposure, weights};
use palisade_crypto::hash::sha256;
use palisade_types::chain::ChainKind;
use palisade_types::genesis::VaultTerms;
use palisade_types::observation::{VaultConfirmed, VaultSpent};
use palisade_types::slash::{MAX_ORDERS, OrderStatus, SlashTarget, Taken};
use palisade_types::vault::{Expansion, LAPSE_BLOCKS, MAX_EXPANSIONS, MAX_VERIFIED, Slashing, Spend, VaultStatus};
use palisade_types::{Hash, OperatorId, Row, RowKey, Vault, VaultId, VaultRegistration};

/// The vault's name: the double SHA-256 of the staking transaction without its witness, and the output.
pub(crate) fn name(registration: &VaultRegistration) -> VaultId {
    VaultId { txid: Hash::new(sha256(&sha256(&registration.staking))), output: registration.output }
}

/// Takes a registration in. Here only what needs no Bitcoin code is checked; scripts, signatures and the
/// inclusion proof are checked by `palisade_bitcoin` before a vote.
pub(crate) fn register(draft: &mut Draft<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let state = draft.state();
    check(state, registration)?;
    let id = name(registration);
    if let Some(known) = state.vault(&id).filter(|known| awaits_release(known, registration)) {
        let released = release(state, known, registration)?;
        draft.put(RowKey::Vault(id), Row::Vault(Box::new(released)));
        return Ok(());
    }
    check_presigned(state, registration)?;
    let registered = state.anchor(ChainKind::Bitcoin).number;
    let registration = registration.clone();
    let (start, status, since) = (None, VaultStatus::Verified, registered);
    let vault = Vault { id, registration, registered, start, status, since };
    draft.put(RowKey::Vault(id), Row::Vault(Box::new(vault)));
    Ok(())
}

/// Whether the ledger would take the registration in once the covenant has signed it.
pub(crate) fn check(state: State<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let id = name(registration);
    match state.vault(&id) {
        Some(known) if awaits_release(known, registration) => return check_release(state, registration),
        Some(known) if !is_replaced_by(known, registration) => {
            return Err(Invalid::Late("a vault that is registered already"));
        }
        _ => {}
    }
    check_terms(state, registration)?;
    let operator =
        state.operator(&registration.operator).ok_or(Invalid::Early("a vault behind an unknown operator"))?;
    if operator.convicted.is_some() {
        return Err(Invalid::Late("a vault behind a convict"));
    }
    let keys = operator.keys_now().ok_or(Invalid::Early("a vault behind an operator without keys"))?;
    if !registration.providers.contains(&keys.eots) {
        return Err(Invalid::Refused("a vault that its operator cannot be slashed by"));
    }
    if exposure::is_exposed(state, registration) {
        return Err(Invalid::Refused("a vault that anybody can slash"));
    }
    if let Some(expansion) = &registration.expansion {
        check_expansion(state, registration, expansion)?;
    }
    check_room(state, registration)
}

/// An expansion whose row is there, and whose first input the parent's covenant has still to sign.
fn awaits_release(known: &Vault, registration: &VaultRegistration) -> bool {
    let old = &known.registration;
    let unsigned = old.expansion.as_ref().is_some_and(|expansion| expansion.covenant.is_empty());
    known.status == VaultStatus::Verified && unsigned && old.bare() == registration.bare()
}

/// Whether there is still something to let go of.
fn check_release(state: State<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let parent = registration.expansion.as_ref().and_then(|expansion| state.vault(&expansion.parent));
    if parent.is_none_or(|parent| parent.status != VaultStatus::Active) {
        return Err(Invalid::Late("an expansion of a vault that is not active any more"));
    }
    if state.is_convicted(&registration.operator) {
        return Err(Invalid::Late("a vault behind a convict"));
    }
    Ok(())
}

/// The row with the signatures on its first input; nothing else of it changes.
fn release(state: State<'_>, known: &Vault, registration: &VaultRegistration) -> Result<Vault, Invalid> {
    let signed = registration.expansion.as_ref().map(|expansion| &expansion.covenant);
    let (Some(signed), Some(true)) = (signed, parent_signed(state, registration)) else {
        return Err(Invalid::Late("a vault that is registered already"));
    };
    let mut released = known.clone();
    if let Some(expansion) = &mut released.registration.expansion {
        expansion.covenant = signed.clone();
    }
    Ok(released)
}

/// R32: what one operator may have waiting, and what one case can reach. Coins that nobody has locked cost nothing to promise,
/// so that such promises never keep out a stake that stands in a block.
fn check_room(state: State<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let id = name(registration);
    let reachable = |vault: &&Vault| vault.id != id && !is_over(vault) && !is_forgotten(state, vault);
    let others = || state.vaults_of(&registration.operator).filter(reachable);
    let early = |registration: &VaultRegistration| registration.inclusion.is_none() && registration.expansion.is_none();
    let waits = |vault: &&Vault| vault.status == VaultStatus::Verified && early(&vault.registration);
    if early(registration) && others().filter(waits).count() >= MAX_VERIFIED {
        return Err(Invalid::Early("a vault while too many of its operator wait for their coins"));
    }
    if others().count() >= MAX_ORDERS {
        return Err(Invalid::Early("a vault more than one case can reach"));
    }
    Ok(())
}

/// A vault that was registered before its coins were locked, and whose transaction stood in a block by then, may be
/// registered again with that block: no follower looks for it there.
fn is_replaced_by(known: &Vault, registration: &VaultRegistration) -> bool {
    let old = &known.registration;
    known.status == VaultStatus::Verified
        && old.inclusion.is_none()
        && old.expansion.is_none()
        && registration.expansion.is_none()
        && registration.operator == old.operator
        && registration.inclusion.as_ref().is_some_and(|inclusion| inclusion.height <= known.registered)
}

/// The terms a vault is registered under: of the height that holds its coins, or, as long as none does, of the anchor.
fn terms<'a>(state: State<'a>, registration: &VaultRegistration) -> Result<&'a VaultTerms, Invalid> {
    let height = match &registration.inclusion {
        Some(inclusion) => inclusion.height,
        None => state.anchor(ChainKind::Bitcoin).number,
    };
    let found = state.ledger.genesis_of().terms_at(height);
    let (version, terms) = found.ok_or(Invalid::Refused("a vault where bitcoin does not count"))?;
    match registration.terms.cmp(&version) {
        std::cmp::Ordering::Equal => Ok(terms),
        _ if registration.inclusion.is_some() => Err(Invalid::Refused("a vault under the terms of another height")),
        std::cmp::Ordering::Less => Err(Invalid::Late("a vault under terms that are no longer in force")),
        std::cmp::Ordering::Greater => Err(Invalid::Early("a vault under terms that are not in force yet")),
    }
}

fn check_terms(state: State<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let terms = terms(state, registration)?;
    let times = terms.min_staking_time..=terms.max_staking_time;
    if !is_bonded(state, terms) {
        return Err(Invalid::Early("a vault while too few of its covenant can lose anything"));
    }
    let in_covenant = !terms.devnet && terms.members.contains(&registration.operator);
    refuse_unless(&[
        (registration.amount >= terms.min_stake, "a vault below the least stake"),
        (times.contains(&registration.staking_time), "a vault locked too short or too long"),
        (!in_covenant, "a vault behind a member of its own covenant"),
        (!registration.providers.is_empty(), "a vault that nobody can be slashed by"),
        (!registration.slashings.is_empty(), "a vault without a slashing transaction"),
        (!registration.unbonding_slashings.is_empty(), "a vault without a slashing transaction after unbonding"),
    ])
}

/// R27: a quorum of the covenant's members are operators with ETH-side stake that a breach can take. Nobody asks on a devnet, or
/// where there is no such stake (R22).
fn is_bonded(state: State<'_>, terms: &VaultTerms) -> bool {
    let genesis = state.ledger.genesis_of();
    let least = genesis.parameters.min_bond.get().max(1);
    let parameters = &genesis.parameters;
    let at = parameters.after(state.anchor(ChainKind::Ethereum), parameters.ethereum_window());
    let ether = weights::Ether::at(state, at);
    let bonded = |member: &&OperatorId| {
        let is_honest = state.operator(member).is_some_and(|operator| operator.convicted.is_none());
        is_honest && ether.of(member) >= least
    };
    let asked = !terms.devnet && !genesis.is_bitcoin_only();
    !asked || terms.members.iter().filter(bonded).count() >= usize::from(terms.quorum)
}

/// A quorum has signed everything. Whether the signatures hold is for `palisade_bitcoin` to say.
fn check_presigned(state: State<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let quorum = usize::from(terms(state, registration)?.quorum);
    let signed = |slashings: &[Slashing]| slashings.iter().all(|slashing| slashing.covenant.len() >= quorum);
    refuse_unless(&[
        (registration.unbonding_covenant.len() >= quorum, "a vault whose unbonding is not presigned"),
        (signed(&registration.slashings), "a vault whose slashing is not presigned"),
        (signed(&registration.unbonding_slashings), "a vault whose unbonding slashing is not presigned"),
        (registration.endorsements.len() >= quorum, "a vault that the covenant does not endorse"),
        (parent_signed(state, registration) != Some(false), "an expansion whose first input is signed by too few"),
    ])
}

/// Whether a quorum of the parent's covenant, under the parent's terms, let its coins go into this vault; `None` where nobody has
/// been asked yet, or nobody needs to be.
fn parent_signed(state: State<'_>, registration: &VaultRegistration) -> Option<bool> {
    let expansion = registration.expansion.as_ref().filter(|expansion| !expansion.covenant.is_empty())?;
    let parent = state.vault(&expansion.parent);
    let terms = parent.and_then(|parent| state.ledger.genesis_of().terms(parent.registration.terms));
    Some(terms.is_some_and(|terms| expansion.covenant.len() >= usize::from(terms.quorum)))
}

/// R28: an expansion keeps staker, operator, every provider and at least the value of a vault that is active. Several
/// may wait, the same one with other fees; one transaction can be only one of them.
fn check_expansion(state: State<'_>, registration: &VaultRegistration, expansion: &Expansion) -> Result<(), Invalid> {
    let parent = state.vault(&expansion.parent).ok_or(Invalid::Early("an expansion of an unknown vault"))?;
    match parent.status {
        VaultStatus::Verified => return Err(Invalid::Early("an expansion of a vault that is not active yet")),
        VaultStatus::Active => {}
        _ => return Err(Invalid::Late("an expansion of a vault that is not active any more")),
    }
    let old = &parent.registration;
    refuse_unless(&[
        (registration.inclusion.is_none(), "an expansion that stands in a block already"),
        (registration.staker == old.staker, "an expansion by another staker"),
        (registration.operator == old.operator, "an expansion behind another operator"),
        (
            old.providers.iter().all(|provider| registration.providers.contains(provider)),
            "an expansion that leaves out a finality provider",
        ),
        (registration.amount >= old.amount, "an expansion that holds less than its parent"),
    ])?;
    let txid = name(registration).txid;
    let siblings = || state.vaults().filter(|vault| is_waiting_child(vault, &expansion.parent));
    if siblings().any(|sibling| sibling.id.txid == txid) {
        return Err(Invalid::Late("a second expansion of one vault by one transaction"));
    }
    if siblings().count() >= MAX_EXPANSIONS {
        return Err(Invalid::Early("an expansion while too many of the same vault wait"));
    }
    Ok(())
}

fn refuse_unless(checks: &[(bool, &'static str)]) -> Result<(), Invalid> {
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Invalid::Refused(what)),
        None => Ok(()),
    }
}

fn is_waiting_child(vault: &Vault, parent: &VaultId) -> bool {
    vault.status == VaultStatus::Verified && vault.parent() == Some(parent)
}

/// Whether nothing of it can be taken or withdrawn any more.
pub(crate) const fn is_over(vault: &Vault) -> bool {
    match vault.status {
        VaultStatus::Verified | VaultStatus::Active | VaultStatus::Unbonding(_) => false,
        VaultStatus::Withdrawn(_) | VaultStatus::Slashed(_) | VaultStatus::Lost(_) | VaultStatus::Expanded(_) => true,
    }
}

/// The staking transaction is k deep: the vault counts from the next committee on. A height that the registration does
/// not allow changes nothing, and so does an expansion whose parent's coins did not go into it.
pub(crate) fn confirm(draft: &mut Draft<'_>, confirmed: &VaultConfirmed) {
    let state = draft.state();
    let Some(vault) = state.vault(&confirmed.id).filter(|vault| vault.status == VaultStatus::Verified) else {
        return;
    };
    let in_its_place = match &vault.registration.inclusion {
        Some(inclusion) if !vault.is_awaited() => inclusion.height == confirmed.height,
        _ => confirmed.height > vault.registered,
    };
    let is_final = confirmed.height <= state.anchor(ChainKind::Bitcoin).number;
    let came_from = |parent: &Vault| parent.status == VaultStatus::Expanded(vault.id.txid);
    let grew = vault.parent().is_none_or(|parent| state.vault(parent).is_some_and(came_from));
    if in_its_place && is_final && grew {
        let vault = Vault { start: Some(confirmed.height), ..vault.clone() };
        // One that lapsed behind a convict can be taken after all.
        settle(draft, &vault, OrderStatus::Ordered);
        put(draft, vault, VaultStatus::Active);
    }
}

/// The coins moved, k deep. What cannot follow from the status changes nothing: coins that were not locked cannot move, and out
/// of the unbonding output they neither unbond nor expand.
pub(crate) fn spend(draft: &mut Draft<'_>, spent: &VaultSpent) {
    let follows = |vault: &&Vault| match vault.status {
        VaultStatus::Active => true,
        VaultStatus::Unbonding(_) => !matches!(spent.spend, Spend::Unbonded(_) | Spend::Expanded(_)),
        _ => false,
    };
    let Some(vault) = draft.state().vault(&spent.id).filter(follows) else {
        return;
    };
    let vault = vault.clone();
    let spend = match spent.spend {
        // No transaction takes more than the vault holds, so this is none of ours.
        Spend::Slashed(loss) if loss.taken > vault.registration.amount => Spend::Unexpected(loss.txid),
        Spend::Expanded(txid) if !has_child(draft.state(), &vault.id, &txid) => Spend::Unexpected(txid),
        spend => spend,
    };
    let status = match spend {
        Spend::Withdrawn(txid) => VaultStatus::Withdrawn(txid),
        Spend::Unbonded(txid) => VaultStatus::Unbonding(txid),
        Spend::Slashed(loss) => VaultStatus::Slashed(loss),
        Spend::Unexpected(txid) => VaultStatus::Lost(txid),
        Spend::Expanded(txid) => VaultStatus::Expanded(txid),
    };
    let order = match spend {
        Spend::Unbonded(_) => None, // its output can still be slashed
        Spend::Slashed(loss) => {
            Some(OrderStatus::Final(Taken { amount: u128::from(loss.taken.get()), transaction: loss.txid }))
        }
        // An expansion has an order of its own: it was verified when its operator was convicted.
        Spend::Withdrawn(_) | Spend::Unexpected(_) | Spend::Expanded(_) => Some(OrderStatus::Escaped),
    };
    if let Spend::Slashed(loss) = spend {
        accounts::record_vault(draft, &vault, loss);
    }
    if let Some(order) = order {
        settle(draft, &vault, order);
    }
    put(draft, vault, status);
}

fn has_child(state: State<'_>, parent: &VaultId, txid: &Hash) -> bool {
    state.vaults().any(|vault| is_waiting_child(vault, parent) && vault.id.txid == *txid)
}

/// After Bitcoin's anchor moved: registrations whose coins were never locked go. A case that names one keeps its row, and an
/// expansion always does: what its covenant signed may turn up at any time, and must be known then (R27).
pub(crate) fn lapse(draft: &mut Draft<'_>) {
    let state = draft.state();
    let anchor = state.anchor(ChainKind::Bitcoin).number;
    let waiting = state.vaults().filter(|vault| vault.status == VaultStatus::Verified);
    let hopeless: Vec<(Vault, u64)> =
        waiting.filter_map(|vault| Some((vault.clone(), hopeless_from(state, vault)?))).collect();
    for (vault, from) in hopeless {
        let forgotten = anchor > from.saturating_add(LAPSE_BLOCKS);
        let convicted = draft.state().is_convicted(&vault.registration.operator);
        if convicted && (forgotten || vault.parent().is_some()) {
            settle(draft, &vault, OrderStatus::Escaped);
        } else if forgotten && !convicted && vault.parent().is_none() {
            draft.take_away(RowKey::Vault(vault.id));
        }
    }
}

/// Whether it is an expansion of which nothing is expected any more. Its row stays, and counts for nothing.
pub(crate) fn is_forgotten(state: State<'_>, vault: &Vault) -> bool {
    let anchor = state.anchor(ChainKind::Bitcoin).number;
    let since = || hopeless_from(state, vault);
    let waits = vault.status == VaultStatus::Verified && vault.parent().is_some();
    waits && since().is_some_and(|from| anchor > from.saturating_add(LAPSE_BLOCKS))
}

/// From which anchor on nothing is expected of a vault that is only verified: what comes later still may, for a while. What the
/// covenant signed for an expansion lets the parent's coins go for as long as they lie there, and again when their chain takes
/// their end back (R30): it waits as long as that, so that it is known when it comes.
fn hopeless_from(state: State<'_>, vault: &Vault) -> Option<u64> {
    let Some(parent) = vault.parent() else { return Some(vault.registered) };
    match state.vault(parent) {
        Some(parent) if matches!(parent.status, VaultStatus::Active | VaultStatus::Verified) => None,
        Some(parent) => Some(parent.since),
        None => Some(vault.registered),
    }
}

fn settle(draft: &mut Draft<'_>, vault: &Vault, status: OrderStatus) {
    for domain in cases::finality_domains(draft.parent.genesis_of()) {
        cases::settle(draft, &vault.registration.operator, &domain, SlashTarget::Vault(vault.id), status);
    }
}

/// Bitcoin took back what came after its block at `anchor`: what was taken from vaults that have changed since is to be
/// taken again (R30).
pub(crate) fn rewind(draft: &mut Draft<'_>, anchor: u64) {
    let changed: Vec<Vault> = draft.state().vaults().filter(|vault| vault.since > anchor).cloned().collect();
    let domains = cases::finality_domains(draft.parent.genesis_of());
    for vault in changed {
        for domain in &domains {
            cases::reopen(draft, &vault.registration.operator, domain, SlashTarget::Vault(vault.id));
        }
        accounts::forget(draft, &vault);
        draft.put(RowKey::Vault(vault.id), Row::Vault(Box::new(vault.rewound(anchor))));
    }
}

fn put(draft: &mut Draft<'_>, vault: Vault, status: VaultStatus) {
    let since = draft.state().anchor(ChainKind::Bitcoin).number;
    let vault = Vault { status, since, ..vault };
    draft.put(RowKey::Vault(vault.id), Row::Vault(Box::new(vault)));
}
