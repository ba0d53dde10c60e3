//! Vaults: registered once staker and covenant have signed, active once their staking transaction is deep, over
//! once their coins are gone.

use crate::cases;
use crate::changes::Draft;
use crate::invalid::Invalid;
use palisade_crypto::hash::sha256;
use palisade_types::observation::VaultSpent;
use palisade_types::slash::{MAX_ORDERS, OrderStatus, SlashTarget, Taken};
use palisade_types::vault::{Spend, VaultStatus};
use palisade_types::{Hash, Row, RowKey, Vault, VaultId, VaultRegistration};

/// The vault's name: the double SHA-256 of the staking transaction without its witness, and the output.
pub(crate) fn name(registration: &VaultRegistration) -> VaultId {
    VaultId { txid: Hash::new(sha256(&sha256(&registration.staking))), output: registration.output }
}

/// Takes a registration in. Here only what needs no Bitcoin code is checked; scripts, signatures and the
/// inclusion proof are checked by `palisade_bitcoin` before a vote.
pub(crate) fn register(draft: &mut Draft<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let state = draft.state();
    let id = name(registration);
    if state.vault(&id).is_some() {
        return Err(Invalid::Late("a vault that is registered already"));
    }
    check_terms(draft, registration)?;
    let operator =
        state.operator(&registration.operator).ok_or(Invalid::Early("a vault behind an unknown operator"))?;
    if operator.convicted.is_some() {
        return Err(Invalid::Late("a vault behind a convict"));
    }
    let keys = operator.keys_now().ok_or(Invalid::Early("a vault behind an operator without keys"))?;
    if !registration.providers.contains(&keys.eots) {
        return Err(Invalid::Refused("a vault that its operator cannot be slashed by"));
    }
    let behind = state.vaults_of(&operator.id).filter(|vault| !is_over(vault));
    if behind.count() >= MAX_ORDERS {
        return Err(Invalid::Early("a vault more than one case can reach"));
    }
    let vault = Vault { id, registration: registration.clone(), status: VaultStatus::Verified };
    draft.put(RowKey::Vault(id), Row::Vault(Box::new(vault)));
    Ok(())
}

fn check_terms(draft: &Draft<'_>, registration: &VaultRegistration) -> Result<(), Invalid> {
    let terms = draft.parent.genesis_of().vaults.as_ref();
    let terms = terms.ok_or(Invalid::Refused("a vault where bitcoin does not count"))?;
    let times = terms.min_staking_time..=terms.max_staking_time;
    let quorum = usize::from(terms.quorum);
    let signed = |slashings: &[palisade_types::vault::Slashing]| {
        !slashings.is_empty() && slashings.iter().all(|slashing| slashing.covenant.len() >= quorum)
    };
    let checks = [
        (registration.amount >= terms.min_stake, "a vault below the least stake"),
        (times.contains(&registration.staking_time), "a vault locked too short or too long"),
        (!registration.providers.is_empty(), "a vault that nobody can be slashed by"),
        (registration.unbonding_covenant.len() >= quorum, "a vault whose unbonding is not presigned"),
        (signed(&registration.slashings), "a vault whose slashing is not presigned"),
        (signed(&registration.unbonding_slashings), "a vault whose unbonding slashing is not presigned"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Invalid::Refused(what)),
        None => Ok(()),
    }
}

/// Whether nothing of it can be taken or withdrawn any more.
pub(crate) const fn is_over(vault: &Vault) -> bool {
    matches!(vault.status, VaultStatus::Withdrawn(_) | VaultStatus::Slashed(_) | VaultStatus::Lost(_))
}

/// The staking transaction is k deep: the vault counts from the next committee on.
pub(crate) fn confirm(draft: &mut Draft<'_>, id: &VaultId) {
    let Some(vault) = draft.state().vault(id) else {
        return;
    };
    if vault.status == VaultStatus::Verified {
        let vault = vault.clone();
        put(draft, vault, VaultStatus::Active);
    }
}

/// The coins moved, k deep. What cannot follow from the status changes nothing.
pub(crate) fn spend(draft: &mut Draft<'_>, spent: &VaultSpent) {
    let Some(vault) = draft.state().vault(&spent.id).filter(|vault| !is_over(vault)) else {
        return;
    };
    let vault = vault.clone();
    let operator = vault.registration.operator;
    let spend = match spent.spend {
        // No transaction takes more than the vault holds, so this is none of ours.
        Spend::Slashed(loss) if loss.taken > vault.registration.amount => Spend::Unexpected(loss.txid),
        spend => spend,
    };
    let status = match spend {
        Spend::Withdrawn(txid) => VaultStatus::Withdrawn(txid),
        Spend::Unbonded(txid) => VaultStatus::Unbonding(txid),
        Spend::Slashed(loss) => VaultStatus::Slashed(loss),
        Spend::Unexpected(txid) => VaultStatus::Lost(txid),
    };
    put(draft, vault, status);
    let order = match spend {
        Spend::Unbonded(_) => return, // its output can still be slashed
        Spend::Slashed(loss) => {
            OrderStatus::Final(Taken { amount: u128::from(loss.taken.get()), transaction: loss.txid })
        }
        Spend::Withdrawn(_) | Spend::Unexpected(_) => OrderStatus::Escaped,
    };
    let domain = draft.parent.domains().bitcoin;
    cases::settle(draft, &operator, &domain, SlashTarget::Vault(spent.id), order);
}

fn put(draft: &mut Draft<'_>, vault: Vault, status: VaultStatus) {
    let vault = Vault { status, ..vault };
    draft.put(RowKey::Vault(vault.id), Row::Vault(Box::new(vault)));
}
