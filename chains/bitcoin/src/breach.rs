//! A covenant member's signature on a spend that nobody registered (R27).
//!
//! A quorum of the covenant together with a staker can let a vault's coins go where no slash reaches them. They cannot do so unseen:
//! their signatures stand in the witness. Whoever's slot is filled in a spend that is none of those an honest member
//! signs is convicted by it, and his ETH-side stake answers.
//!
//! An honest member signs ([`crate::covenant`]) for one output of a staking transaction, perhaps several times, before and after a
//! registration lapsed and under every version of terms with the same covenant, exactly this:
//! 1. the unbonding transaction, which a version fixes to the bit;
//! 2. adaptor signatures on slashing transactions, which pay to the sink what the version takes;
//! 3. the first input of an expansion, once the ledger holds it, and then for good.
//!
//! So a spend is suspect only when its witness reveals a leaf that asks the covenant, and it is not an unbonding transaction of any such
//! version, does not (by the slashing leaf) pay what any of them takes, and spends into no vault that the ledger holds
//! as an expansion ([`crate::watch`]). What a suspect spend's signers signed is then computed again and compared. Taproot's consensus
//! rules have done that before: a filled slot that does not verify makes a block invalid.

use bitcoin::hashes::Hash as _;
use bitcoin::sighash::{Annex, Prevouts, SighashCache};
use bitcoin::{TapSighashType, Transaction, TxOut, XOnlyPublicKey};
use palisade_types::{Hash, SchnorrKey, SchnorrSignature};

use crate::scripts::Leaf;
use crate::vault::{CheckedVault, Held, Versions};
use crate::watch::{Classified, covenant_part};
use crate::witness;

/// One member's signature on a suspect spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The member.
    pub member: SchnorrKey,
    /// What he signed.
    pub sighash: Hash,
    /// How.
    pub signature: SchnorrSignature,
}

/// Why a spend in a block proves nothing. No valid block holds such a one, if what it spends was told truly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BreachError {
    /// Not one output for each input, or another one than the vault's.
    #[error("the transaction does not spend these outputs")]
    OtherOutputs,
    /// A filled slot that does not verify.
    #[error("the signature of covenant member {0} does not hold")]
    Signature(SchnorrKey),
}

/// Whether no honest member signs this spend, as far as the ledger's vaults say ([`crate::watch::classify`]).
pub fn is_suspect(
    vault: &CheckedVault,
    versions: &Versions,
    transaction: &Transaction,
    classified: &Classified,
) -> bool {
    if classified.covenant.is_empty() {
        return false;
    }
    let Classified { held, input, .. } = *classified;
    let txid = transaction.compute_txid();
    let slashes = covenant_part(vault, held, &transaction.input[input].witness)
        .is_some_and(|(leaf, _)| leaf == vault.slashing_leaf(held));
    let unbonds = |of: Option<Transaction>| held == Held::Staked && of.is_some_and(|of| of.compute_txid() == txid);
    !versions.all().iter().any(|rules| match slashes {
        true => rules.takes(vault, held, transaction),
        false => unbonds(rules.unbonding(vault)),
    })
}

/// The signatures of a spend's covenant members, by member ascending. `spent` are the outputs that its inputs spend.
///
/// # Errors
///
/// [`BreachError`].
pub fn prove(
    vault: &CheckedVault,
    transaction: &Transaction,
    classified: &Classified,
    spent: &[TxOut],
) -> Result<Vec<Breach>, BreachError> {
    let Classified { held, input, .. } = *classified;
    if spent.len() != transaction.input.len() || spent.get(input) != Some(&vault.spent(held)) {
        return Err(BreachError::OtherOutputs);
    }
    let part = covenant_part(vault, held, &transaction.input[input].witness);
    let Some((leaf, slots)) = part else { return Ok(Vec::new()) };
    let signed = slots.into_iter().filter(|(_, slot)| !slot.is_empty());
    let mut breaches = signed
        .map(|(member, slot)| read(transaction, input, spent, leaf, member, slot).ok_or(BreachError::Signature(member)))
        .collect::<Result<Vec<_>, _>>()?;
    breaches.sort_unstable_by_key(|breach| breach.member);
    Ok(breaches)
}

/// A slot's signature, when it holds over what it says it is over: 64 bytes, or one more that names what it covers (BIP-341).
fn read(
    transaction: &Transaction,
    input: usize,
    spent: &[TxOut],
    leaf: &Leaf,
    member: SchnorrKey,
    slot: &[u8],
) -> Option<Breach> {
    let (covers, bytes) = match slot {
        [bytes @ .., covers] if slot.len() == 65 => (TapSighashType::from_consensus_u8(*covers).ok()?, bytes),
        bytes => (TapSighashType::Default, bytes),
    };
    let signature = SchnorrSignature::new(bytes.try_into().ok()?);
    let annex = transaction.input[input].witness.taproot_annex().map(Annex::new).transpose().ok()?;
    let sighash = SighashCache::new(transaction)
        .taproot_signature_hash(input, &Prevouts::All(spent), annex, Some((leaf.hash(), NO_SEPARATOR)), covers)
        .ok()?
        .to_byte_array();
    let key = XOnlyPublicKey::from_slice(member.as_bytes()).ok()?;
    witness::verify(&key, &sighash, &signature).then_some(Breach { member, sighash: Hash::new(sighash), signature })
}

/// BIP-342: no `OP_CODESEPARATOR` was met; our leaves have none.
const NO_SEPARATOR: u32 = u32::MAX;
