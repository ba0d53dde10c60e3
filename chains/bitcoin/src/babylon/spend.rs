//! A spend of a stake, read from its witness alone.
//!
//! The script names who must sign, and the control block commits to the other leaves, so that a spend says much about an output that was only
//! a hash: the output's script follows exactly, and the times that are in no revealed script are found by trying all 65535 of them.

use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak as _;
use bitcoin::secp256k1::{Message, SECP256K1, XOnlyPublicKey};
use bitcoin::sighash::{Annex, Prevouts, SighashCache};
use bitcoin::taproot::{ControlBlock, LeafVersion, Signature, TapNodeHash};
use bitcoin::{ScriptBuf, TapLeafHash, Transaction, TxOut, Witness};

use super::leaf::{LeafError, LeafScript};
use crate::scripts::{self, timelock_script, unbonding_script};

/// Which of a stake's outputs a spend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The staking output; its time, when it could be told.
    Staking {
        /// The staking time.
        staking_time: Option<u16>,
    },
    /// The output of the unbonding transaction.
    Unbonding {
        /// The unbonding time.
        unbonding_time: Option<u16>,
    },
    /// What a slashing transaction gave back.
    Change {
        /// The unbonding time.
        unbonding_time: u16,
    },
}

impl Origin {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staking { .. } => "staking output",
            Self::Unbonding { .. } => "unbonding output",
            Self::Change { .. } => "change of a slash",
        }
    }
}

/// A place for one key's signature; empty when the key did not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Whose.
    pub key: XOnlyPublicKey,
    /// What stands in it.
    pub signature: Vec<u8>,
}

/// A spend by one of the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafSpend {
    /// The input.
    pub input: usize,
    /// The leaf.
    pub leaf: LeafScript,
    /// The output it is of.
    pub origin: Origin,
    /// The script of the output that is spent, as script and proof make it.
    pub output: ScriptBuf,
    /// Whether the internal key is the one nobody knows, and the proof's parity the output's.
    pub no_key_path: bool,
    /// The staker's signature.
    pub staker: Vec<u8>,
    /// The providers' slots, in the witness' order.
    pub providers: Vec<Slot>,
    /// The covenant's slots, in the witness' order.
    pub covenant: Vec<Slot>,
    /// The siblings of the leaf in its tree, nearest first.
    pub siblings: Vec<TapNodeHash>,
}

/// Why an input is no spend of a stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendError {
    /// There is no such input.
    #[error("there is no input {0}")]
    NoInput(usize),
    /// The witness reveals no tapscript.
    #[error("the witness reveals no tapscript")]
    NoScript,
    /// The script is no leaf.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The proof cannot be read, or is of no tree of a stake.
    #[error("the control block is of no tree of a stake")]
    Tree,
    /// The witness has another number of items than the leaf takes.
    #[error("{found} items in front of the script instead of {expected}")]
    Items {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
}

impl LeafSpend {
    /// Reads the spend of one input.
    ///
    /// # Errors
    ///
    /// [`SpendError`].
    pub fn read(transaction: &Transaction, input: usize) -> Result<Self, SpendError> {
        let witness = &transaction.input.get(input).ok_or(SpendError::NoInput(input))?.witness;
        let revealed = witness.taproot_leaf_script().ok_or(SpendError::NoScript)?;
        let leaf = LeafScript::read(revealed.script)?;
        let proof = witness.taproot_control_block().ok_or(SpendError::Tree)?;
        let proof = ControlBlock::decode(proof).map_err(|_| SpendError::Tree)?;
        if proof.leaf_version != LeafVersion::TapScript {
            return Err(SpendError::Tree);
        }
        let siblings: Vec<TapNodeHash> = proof.merkle_branch.iter().copied().collect();
        let origin = origin(&leaf, &siblings).ok_or(SpendError::Tree)?;
        let root = siblings
            .iter()
            .fold(leaf_hash(&leaf).into(), |node, sibling| TapNodeHash::from_node_hashes(node, *sibling));
        let (key, parity) = proof.internal_key.tap_tweak(SECP256K1, Some(root));
        let signatures = signatures(witness, &leaf)?;
        Ok(Self {
            input,
            origin,
            output: ScriptBuf::new_p2tr_tweaked(key),
            no_key_path: proof.internal_key == scripts::unspendable() && parity == proof.output_key_parity,
            staker: signatures.staker,
            providers: signatures.providers,
            covenant: signatures.covenant,
            siblings,
            leaf,
        })
    }

    /// Whether a signature in this witness is `key`'s, given every output that the transaction spends. The hash type is the signature's own,
    /// and an annex is part of what it signs.
    pub fn verifies(&self, transaction: &Transaction, spent: &[TxOut], key: &XOnlyPublicKey, signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        let Some(input) = transaction.input.get(self.input).filter(|_| spent.len() == transaction.input.len()) else {
            return false;
        };
        let annex = input.witness.taproot_annex().map(Annex::new).transpose();
        let Ok(annex) = annex else {
            return false;
        };
        let leaf = Some((leaf_hash(&self.leaf), NO_SEPARATOR));
        SighashCache::new(transaction)
            .taproot_signature_hash(self.input, &Prevouts::All(spent), annex, leaf, signature.sighash_type)
            .is_ok_and(|hash| {
                let message = Message::from_digest(hash.to_byte_array());
                SECP256K1.verify_schnorr(&signature.signature, &message, key).is_ok()
            })
    }

    /// The slots that are filled.
    pub fn signers(slots: &[Slot]) -> impl Iterator<Item = &Slot> {
        slots.iter().filter(|slot| !slot.signature.is_empty())
    }

    /// The script of the unbonding output of the same stake, as far as this witness tells: the slashing leaf is the same in both trees.
    pub fn unbonding_output(&self, unbonding_time: u16) -> Option<ScriptBuf> {
        let timelock = node(&timelock_script(self.leaf.staker(), unbonding_time));
        let slashing = match (&self.leaf, &self.siblings[..]) {
            (LeafScript::Slashing { .. }, _) => leaf_hash(&self.leaf).into(),
            (LeafScript::Unbonding { .. } | LeafScript::Timelock { .. }, [_, slashing]) => *slashing,
            _ => return None,
        };
        Some(output(TapNodeHash::from_node_hashes(timelock, slashing)))
    }

    /// The script of what a slash of the same stake gives back.
    pub fn change_output(&self, unbonding_time: u16) -> ScriptBuf {
        output(node(&timelock_script(self.leaf.staker(), unbonding_time)))
    }

    /// Whether the tree of a staking output has this covenant's unbonding leaf beside the timelock that is revealed.
    pub fn has_unbonding_leaf(&self, covenant: &[XOnlyPublicKey], quorum: u16) -> bool {
        let unbonding = node(&unbonding_script(self.leaf.staker(), covenant, quorum));
        self.siblings.first() == Some(&unbonding)
    }

    /// Whether these providers are the ones this output commits to; `None` when nobody is named or the witness cannot tell.
    pub fn commits_to(&self, providers: &[XOnlyPublicKey], covenant: &[XOnlyPublicKey], quorum: u16) -> Option<bool> {
        if providers.is_empty() || covenant.is_empty() {
            return None;
        }
        let mut sorted = providers.to_vec();
        sorted.sort_unstable_by_key(XOnlyPublicKey::serialize);
        let slashing = node(&scripts::slashing_script(self.leaf.staker(), &sorted, covenant, quorum));
        match (&self.leaf, &self.siblings[..]) {
            (LeafScript::Slashing { providers, .. }, _) => Some(*providers == sorted),
            (LeafScript::Unbonding { .. } | LeafScript::Timelock { .. }, [_, sibling]) => Some(*sibling == slashing),
            (LeafScript::Timelock { .. }, [sibling]) => Some(*sibling == slashing),
            _ => None,
        }
    }
}

/// Which tree has this leaf with these siblings.
fn origin(leaf: &LeafScript, siblings: &[TapNodeHash]) -> Option<Origin> {
    match (leaf, siblings) {
        (LeafScript::Timelock { blocks, .. }, []) => Some(Origin::Change { unbonding_time: *blocks }),
        (LeafScript::Timelock { blocks, .. }, [_]) => Some(Origin::Unbonding { unbonding_time: Some(*blocks) }),
        (LeafScript::Timelock { blocks, .. }, [_, _]) => Some(Origin::Staking { staking_time: Some(*blocks) }),
        (LeafScript::Unbonding { staker, .. }, [timelock, _]) => {
            Some(Origin::Staking { staking_time: time(*staker, |leaf| leaf == *timelock) })
        }
        (LeafScript::Slashing { staker, covenant, quorum, .. }, [sibling]) => {
            let unbonding = node(&unbonding_script(*staker, covenant, *quorum));
            let pair = |leaf| TapNodeHash::from_node_hashes(leaf, unbonding) == *sibling;
            let found = time(*staker, |leaf| leaf == *sibling || pair(leaf))?;
            Some(match node(&timelock_script(*staker, found)) == *sibling {
                true => Origin::Unbonding { unbonding_time: Some(found) },
                false => Origin::Staking { staking_time: Some(found) },
            })
        }
        _ => None,
    }
}

/// The only time whose timelock leaf satisfies a condition: there are few enough to try them all.
fn time(staker: XOnlyPublicKey, matches: impl Fn(TapNodeHash) -> bool) -> Option<u16> {
    (1..=u16::MAX).find(|blocks| matches(node(&timelock_script(staker, *blocks))))
}

fn node(script: &ScriptBuf) -> TapNodeHash {
    TapNodeHash::from_script(script, LeafVersion::TapScript)
}

fn leaf_hash(leaf: &LeafScript) -> TapLeafHash {
    TapLeafHash::from_script(&leaf.script(), LeafVersion::TapScript)
}

fn output(root: TapNodeHash) -> ScriptBuf {
    ScriptBuf::new_p2tr(SECP256K1, scripts::unspendable(), Some(root))
}

struct Signatures {
    covenant: Vec<Slot>,
    providers: Vec<Slot>,
    staker: Vec<u8>,
}

/// The items in front of script and control block: covenant, providers, staker, each list from its highest key down.
fn signatures(witness: &Witness, leaf: &LeafScript) -> Result<Signatures, SpendError> {
    let behind = 2 + usize::from(witness.taproot_annex().is_some());
    let found = witness.len().saturating_sub(behind);
    let covenant = leaf.covenant().map_or(&[][..], |(covenant, _)| covenant);
    let expected = covenant.len() + leaf.providers().len() + 1;
    if found != expected {
        return Err(SpendError::Items { found, expected });
    }
    let mut items = witness.iter();
    let mut slots = |keys: &[XOnlyPublicKey]| -> Vec<Slot> {
        keys.iter().rev().zip(items.by_ref()).map(|(key, item)| Slot { key: *key, signature: item.to_vec() }).collect()
    };
    let (covenant, providers) = (slots(covenant), slots(leaf.providers()));
    let staker = witness.nth(expected - 1).unwrap_or_default().to_vec();
    Ok(Signatures { covenant, providers, staker })
}

/// No code separator was executed.
const NO_SEPARATOR: u32 = u32::MAX;
