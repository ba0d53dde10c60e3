//! Every spend of a known vault is one of five things.
//!
//! Which one is read from the leaf the witness names and from the transaction's id, which registrations fix: the
//! registered unbonding transaction, a registered slashing transaction, the staking transaction of a registered expansion, the
//! staker's own timelock; anything else is unexpected, and then covenant members may have signed something nobody registered ([`crate::breach`], R27).

use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Script, Transaction, Witness};
use palisade_crypto::eots;
use palisade_types::vault::{Spend, VaultLoss};
use palisade_types::{Hash, Sats, SchnorrKey};

use crate::registration::Presigned;
use crate::scripts::Leaf;
use crate::vault::{CheckedVault, Held};
use crate::witness;

/// A spend of one of a vault's two outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// Which output is gone.
    pub held: Held,
    /// The input that spends it.
    pub input: usize,
    /// What the ledger is told.
    pub spend: Spend,
    /// The covenant members whose signatures stand in the witness of an unexpected spend (R27). The spend is in a block, so
    /// the network has checked them: tapscript refuses a non-empty signature that does not verify.
    pub covenant: Vec<SchnorrKey>,
}

/// What `transaction` does to the vault; `None` when it spends neither of its outputs. `expands` says that it is the staking
/// transaction of a registered expansion of this vault.
pub fn classify(vault: &CheckedVault, transaction: &Transaction, expands: bool) -> Option<Classified> {
    let (input, held) = transaction
        .input
        .iter()
        .enumerate()
        .find_map(|(at, input)| Some((at, spends(vault, input.previous_output)?)))?;
    let witness = &transaction.input[input].witness;
    let txid = transaction.compute_txid();
    let hash = Hash::new(txid.to_byte_array());
    let (spend, covenant) = if let Some(slashing) = vault.slashing(txid) {
        let taken = Sats::new(slashing.transaction.output[0].value.to_sat());
        (Spend::Slashed(VaultLoss { txid: hash, taken }), vec![])
    } else if txid == vault.unbonded_outpoint().txid {
        (Spend::Unbonded(hash), vec![])
    } else if expands && held == Held::Staked {
        (Spend::Expanded(hash), vec![])
    } else if script(witness) == Some(&vault.timelock_leaf(held).0.script) {
        (Spend::Withdrawn(hash), vec![])
    } else {
        (Spend::Unexpected(hash), signers(vault, held, witness))
    };
    Some(Classified { held, input, spend, covenant })
}

/// Which of the vault's outputs lies at `outpoint`.
pub fn spends(vault: &CheckedVault, outpoint: OutPoint) -> Option<Held> {
    match outpoint {
        at if at == vault.outpoint() => Some(Held::Staked),
        at if at == vault.unbonded_outpoint() => Some(Held::Unbonding),
        _ => None,
    }
}

/// The provider's secret, when `transaction` is one of the vault's slashing transactions: whoever published it had to put the
/// completed covenant signatures in the open, next to which the adaptor signatures say the rest (R29).
pub fn exposed(presigned: &Presigned, transaction: &Transaction) -> Option<eots::SecretKey> {
    let vault = presigned.vault();
    let txid = transaction.compute_txid();
    let index = vault.slashings().iter().position(|slashing| slashing.transaction.compute_txid() == txid)?;
    let slots = covenant_slots(vault, &transaction.input.first()?.witness)?;
    let providers = vault.terms().providers().iter().enumerate();
    providers
        .flat_map(|(place, provider)| {
            presigned.adaptors(index, place).map(move |(member, adaptor)| (provider, member, adaptor))
        })
        .find_map(|(provider, member, adaptor)| {
            let completed = slots.iter().find(|(key, _)| *key == member)?.1;
            let secret = adaptor.recover(completed.try_into().ok()?).ok()?;
            (witness::x_only(&secret.public()) == *provider).then_some(secret)
        })
}

/// What each member's slot of a witness holds, highest key first.
type Slots<'w> = Vec<(SchnorrKey, &'w [u8])>;

/// The leaf that asks the covenant, when a witness of that output reveals one, and what each member's slot of it holds.
pub(crate) fn covenant_part<'v, 'w>(
    vault: &'v CheckedVault,
    held: Held,
    witness: &'w Witness,
) -> Option<(&'v Leaf, Slots<'w>)> {
    let leaves = match held {
        Held::Staked => vec![&vault.staking_output().unbonding, vault.slashing_leaf(held)],
        Held::Unbonding => vec![vault.slashing_leaf(held)],
    };
    let revealed = script(witness)?;
    let leaf = leaves.into_iter().find(|leaf| *revealed == *leaf.script)?;
    Some((leaf, covenant_slots(vault, witness)?))
}

/// The script a script-path witness reveals, with a possible annex put aside.
fn script(witness: &Witness) -> Option<&Script> {
    witness.taproot_leaf_script().map(|leaf| leaf.script)
}

fn signers(vault: &CheckedVault, held: Held, witness: &Witness) -> Vec<SchnorrKey> {
    let slots = covenant_part(vault, held, witness).map(|(_, slots)| slots);
    slots.into_iter().flatten().filter(|(_, signature)| !signature.is_empty()).map(|(member, _)| member).collect()
}

/// The covenant's slots of a witness: the first ones, highest key first.
fn covenant_slots<'a>(vault: &CheckedVault, witness: &'a Witness) -> Option<Slots<'a>> {
    let covenant = vault.terms().covenant();
    if witness.len() < covenant.len() + 3 {
        return None; // a staker's signature, a script and a control block follow
    }
    Some(covenant.iter().rev().map(witness::name).zip(witness.iter()).collect())
}
