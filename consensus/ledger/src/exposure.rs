//! Finality providers' keys whose secrets are known (R29).
//!
//! Several services may stand behind one vault, each with a finality provider of its own, and any one of these keys unlocks the whole
//! slashing leaf. Once its secret is known, by a fault in our own network or in another one, whoever likes can slash every vault
//! that names it: none of them weighs anything any more, here or in a claim, because what can be lost at any moment
//! backs no promise (R8). Nobody here is convicted by it, nothing is ordered, and no loss is booked before Bitcoin shows it: the
//! operator behind such a vault, and its staker, may be as innocent as everybody else.
//!
//! A row stays for good, as the secret does. There is one only for keys that vaults name, so that a vault's coins pay for it.

use crate::changes::Draft;
use crate::state::State;
use crate::vaults;
use palisade_types::evidence::{ExposedProvider, Exposure};
use palisade_types::{Row, RowKey, SchnorrKey, Unproven, Vault, VaultRegistration};

/// Takes in a secret that somebody shows.
pub(crate) fn expose(draft: &mut Draft<'_>, provider: &ExposedProvider) -> Result<(), Unproven> {
    judge(draft.state(), provider)?;
    mark(draft, *provider);
    Ok(())
}

/// Whether it is news: the secret of a key that a vault with something to take names.
pub(crate) fn judge(state: State<'_>, provider: &ExposedProvider) -> Result<(), Unproven> {
    let key = provider.key().ok_or(Unproven::BadSignature)?;
    if state.exposure(&key).is_some() {
        return Err(Unproven::AlreadyConvicted);
    }
    let names = |vault: &Vault| !vaults::is_over(vault) && vault.registration.providers.contains(&key);
    if state.vaults().any(names) { Ok(()) } else { Err(Unproven::UnknownProvider) }
}

/// Notes a secret that is known, as of a case; once.
pub(crate) fn mark(draft: &mut Draft<'_>, provider: ExposedProvider) {
    let Some(key) = provider.key().filter(|key| draft.state().exposure(key).is_none()) else { return };
    let exposure = Exposure { provider, since: draft.height };
    draft.put(RowKey::Exposed(key), Row::Exposed(exposure));
}

/// Whether anybody can take from a vault of this registration.
pub(crate) fn is_exposed(state: State<'_>, registration: &VaultRegistration) -> bool {
    registration.providers.iter().any(|provider| state.exposure(provider).is_some())
}

impl<'a> State<'a> {
    /// What is known of a finality provider's key whose secret is.
    pub(crate) fn exposure(self, key: &SchnorrKey) -> Option<&'a Exposure> {
        match self.row(&RowKey::Exposed(*key)) {
            Some(Row::Exposed(exposure)) => Some(exposure),
            _ => None,
        }
    }
}
