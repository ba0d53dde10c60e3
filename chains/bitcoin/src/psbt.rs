//! What a staker signs, one [`Request`] each, and its way to a wallet of his own and back as a PSBT (BIP-174, BIP-371).
//!
//! A wallet that holds the staker's key needs nothing of Palisade: the PSBT says what is spent, by which leaf, and who signs. What comes
//! back is believed in nothing but the signature itself: the transaction must be the one that was asked for, byte for byte,
//! and the signature must hold over our own sighash.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use bitcoin::absolute::LockTime;
use bitcoin::bip32::{DerivationPath, Fingerprint, KeySource};
use bitcoin::psbt::Input;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, SECP256K1, XOnlyPublicKey};
use bitcoin::taproot::LeafVersion;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, TapNodeHash, TapSighashType, Transaction, TxIn, TxOut, Witness,
    taproot,
};
use palisade_types::{SchnorrKey, SchnorrSignature};

use crate::registration::{Draft, Presigned};
use crate::scripts::{Leaf, StakingTerms, UNSPENDABLE};
use crate::staker::StakerError;
use crate::vault::{CheckedVault, Held};
use crate::witness::{self, Signatures, only_sighash};

/// The largest PSBT that is read, in bytes.
pub const MAX_PSBT_BYTES: usize = 400_000;

/// Why a PSBT is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PsbtError {
    /// The bytes are none.
    #[error("no PSBT: {0}")]
    Malformed(String),
    /// It is larger than any we make.
    #[error("{0} bytes, where a PSBT has at most {MAX_PSBT_BYTES}")]
    TooLarge(usize),
    /// It signs something else.
    #[error("the PSBT is of another transaction than the one asked for")]
    OtherTransaction,
    /// A signature is not there.
    #[error("input {0} is not signed")]
    Unsigned(usize),
    /// A signature is there and does not hold.
    #[error("the signature in input {0} does not verify")]
    Signature(usize),
    /// An input's id could still change when it is signed.
    #[error("input {0} spends no native witness output, or the PSBT does not say what it spends")]
    NotSegwit(usize),
    /// No output, or more than one, is the stake.
    #[error("{0} outputs pay the staking script; exactly one must")]
    Outputs(usize),
}

/// Reads a PSBT in either of the forms that wallets write: bytes, or their base64 in text.
///
/// # Errors
///
/// [`PsbtError::TooLarge`], [`PsbtError::Malformed`].
pub fn read(file: &[u8]) -> Result<Psbt, PsbtError> {
    if file.len() > MAX_PSBT_BYTES {
        return Err(PsbtError::TooLarge(file.len()));
    }
    let parsed = match BASE64.decode(file.trim_ascii()) {
        Ok(bytes) => Psbt::deserialize(&bytes),
        Err(_) => Psbt::deserialize(file),
    };
    parsed.map_err(|error| PsbtError::Malformed(error.to_string()))
}

/// A PSBT as text, which every wallet reads.
pub fn text(psbt: &Psbt) -> String {
    BASE64.encode(psbt.serialize())
}

/// The transaction of a PSBT that a staker's wallet funded, and which of its outputs is the stake. Its id is final before it is
/// signed, as all of its inputs are native witness outputs: everything else can be signed first.
///
/// # Errors
///
/// [`PsbtError::NotSegwit`], [`PsbtError::Outputs`].
pub fn funded(psbt: &Psbt, terms: &StakingTerms) -> Result<(Transaction, u32), PsbtError> {
    for at in 0..psbt.inputs.len() {
        if !spent_by(psbt, at).is_some_and(|output| output.script_pubkey.is_witness_program()) {
            return Err(PsbtError::NotSegwit(at));
        }
    }
    let script = terms.staking_output().script_pubkey;
    let transaction = psbt.unsigned_tx.clone();
    let mut places = (0_u32..).zip(&transaction.output).filter(|(_, output)| output.script_pubkey == script);
    match (places.next(), places.count()) {
        (Some((index, _)), 0) => Ok((transaction, index)),
        (first, more) => Err(PsbtError::Outputs(usize::from(first.is_some()) + more)),
    }
}

fn spent_by(psbt: &Psbt, at: usize) -> Option<TxOut> {
    let outpoint = psbt.unsigned_tx.input.get(at)?.previous_output;
    let input = psbt.inputs.get(at)?;
    let whole = input.non_witness_utxo.as_ref().filter(|whole| whole.compute_txid() == outpoint.txid);
    let of_whole = whole.and_then(|whole| whole.output.get(usize::try_from(outpoint.vout).ok()?).cloned());
    of_whole.or_else(|| input.witness_utxo.clone())
}

/// What the staker is asked to sign: one input of one transaction, by one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    staker: XOnlyPublicKey,
    transaction: Transaction,
    /// One for each input.
    spent: Vec<TxOut>,
    leaf: Leaf,
    sighash: [u8; 32],
    /// The members the leaf asks for, and the signatures that are there.
    covenant: Vec<XOnlyPublicKey>,
    signed: BTreeMap<SchnorrKey, SchnorrSignature>,
}

impl Request {
    /// Everything a registration needs the staker's signature for, in the order of [`CheckedVault::slashings`].
    pub fn slashings(vault: &CheckedVault) -> Vec<Self> {
        let of = |slashing: &crate::vault::PinnedSlashing| Self {
            staker: vault.terms().staker(),
            transaction: slashing.transaction.clone(),
            spent: vec![vault.spent(slashing.held)],
            leaf: vault.slashing_leaf(slashing.held).clone(),
            sighash: slashing.sighash,
            covenant: vec![],
            signed: BTreeMap::new(),
        };
        vault.slashings().iter().map(of).collect()
    }

    /// The unbonding transaction, which the covenant has signed already.
    pub fn unbonding(presigned: &Presigned) -> Self {
        let vault = presigned.vault();
        Self {
            staker: vault.terms().staker(),
            transaction: vault.unbonding_transaction().clone(),
            spent: vec![vault.spent(Held::Staked)],
            leaf: vault.staking_output().unbonding.clone(),
            sighash: *vault.unbonding_sighash(),
            covenant: vault.terms().covenant().to_vec(),
            signed: quorum(presigned.unbonding(), vault.terms().quorum()),
        }
    }

    /// Takes one of a vault's two outputs back alone, by its timelock; valid once the lock has run out.
    ///
    /// # Errors
    ///
    /// [`StakerError::FeeTakesAll`].
    pub fn withdrawal(vault: &CheckedVault, held: Held, to: ScriptBuf, fee: Amount) -> Result<Self, StakerError> {
        let (leaf, blocks) = vault.timelock_leaf(held);
        let from = match held {
            Held::Staked => vault.outpoint(),
            Held::Unbonding => vault.unbonded_outpoint(),
        };
        Self::unlock(vault, (from, vault.spent(held)), (leaf, blocks), to, fee)
    }

    /// Takes back what slashing transaction `index` left, once its lock has run out.
    ///
    /// # Errors
    ///
    /// [`StakerError::NoSuchSlashing`], [`StakerError::FeeTakesAll`].
    pub fn change(vault: &CheckedVault, index: usize, to: ScriptBuf, fee: Amount) -> Result<Self, StakerError> {
        let slashing = vault.slashings().get(index).ok_or(StakerError::NoSuchSlashing(index))?;
        let from = OutPoint { txid: slashing.transaction.compute_txid(), vout: 1 };
        let spent = slashing.transaction.output[1].clone();
        let leaf = &vault.change_output().timelock;
        Self::unlock(vault, (from, spent), (leaf, vault.terms().unbonding_time()), to, fee)
    }

    fn unlock(
        vault: &CheckedVault,
        (from, spent): (OutPoint, TxOut),
        (leaf, blocks): (&Leaf, u16),
        to: ScriptBuf,
        fee: Amount,
    ) -> Result<Self, StakerError> {
        let rest = spent.value.checked_sub(fee).filter(|rest| *rest >= to.minimal_non_dust());
        let value = rest.ok_or(StakerError::FeeTakesAll { value: spent.value, fee })?;
        let input = TxIn {
            previous_output: from,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::from_height(blocks),
            witness: Witness::new(),
        };
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value, script_pubkey: to }],
        };
        Ok(Self {
            staker: vault.terms().staker(),
            sighash: only_sighash(&transaction, &spent, leaf),
            transaction,
            spent: vec![spent],
            leaf: leaf.clone(),
            covenant: vec![],
            signed: BTreeMap::new(),
        })
    }

    /// The first input of an expansion; the second is for whoever owns the coin that pays. `None` when the draft is none.
    pub fn expansion(draft: &Draft) -> Option<Self> {
        let expansion = draft.expansion()?;
        Some(Self {
            staker: expansion.parent().terms().staker(),
            transaction: expansion.transaction().clone(),
            spent: expansion.spent().to_vec(),
            leaf: expansion.parent().staking_output().unbonding.clone(),
            sighash: *expansion.sighash(),
            covenant: vec![],
            signed: BTreeMap::new(),
        })
    }

    /// Whose signature is asked for.
    pub fn staker(&self) -> XOnlyPublicKey {
        self.staker
    }

    /// The transaction, unsigned.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// What the staker's signature is over.
    pub fn sighash(&self) -> &[u8; 32] {
        &self.sighash
    }

    /// What a wallet needs to sign. `origin` says where in it the staker's key is found; wallets that look keys up by
    /// themselves need none.
    pub fn psbt(&self, origin: Option<KeySource>) -> Psbt {
        let mut psbt = Psbt::from_unsigned_tx(self.transaction.clone()).expect("our transactions carry no signatures");
        for (input, spent) in psbt.inputs.iter_mut().zip(&self.spent) {
            input.witness_utxo = Some(spent.clone());
        }
        self.describe(&mut psbt.inputs[0], origin.unwrap_or((Fingerprint::default(), DerivationPath::default())));
        psbt
    }

    fn describe(&self, input: &mut Input, origin: KeySource) {
        let leaf = self.leaf.hash();
        let block = self.leaf.control_block.clone();
        let root = block.merkle_branch.iter().fold(TapNodeHash::from(leaf), |node, sibling| {
            TapNodeHash::from_node_hashes(node, *sibling) // which sorts the two, as BIP-341 does
        });
        input.tap_internal_key = XOnlyPublicKey::from_slice(&UNSPENDABLE).ok();
        input.tap_merkle_root = Some(root);
        input.tap_scripts.insert(block, (self.leaf.script.clone(), LeafVersion::TapScript));
        input.tap_key_origins.insert(self.staker, (vec![leaf], origin));
        for member in &self.covenant {
            let signature = self.signed.get(&witness::name(member));
            let signature = signature.and_then(|signature| Signature::from_slice(signature.as_bytes()).ok());
            if let Some(signature) = signature {
                let signature = taproot::Signature { signature, sighash_type: TapSighashType::Default };
                input.tap_script_sigs.insert((*member, leaf), signature);
            }
        }
    }

    /// The staker's signature that a wallet put into our PSBT, or into the transaction when it finished it.
    ///
    /// # Errors
    ///
    /// [`PsbtError`].
    pub fn signature(&self, signed: &Psbt) -> Result<SchnorrSignature, PsbtError> {
        if signed.unsigned_tx != self.transaction {
            return Err(PsbtError::OtherTransaction);
        }
        let input = signed.inputs.first().ok_or(PsbtError::Unsigned(0))?;
        let partial = input.tap_script_sigs.get(&(self.staker, self.leaf.hash()));
        let partial = partial.filter(|partial| partial.sighash_type == TapSighashType::Default);
        let partial = partial.map(|partial| SchnorrSignature::new(partial.signature.serialize()));
        match partial.or_else(|| self.finished(input)) {
            None => Err(PsbtError::Unsigned(0)),
            Some(signature) if witness::verify(&self.staker, &self.sighash, &signature) => Ok(signature),
            Some(_) => Err(PsbtError::Signature(0)),
        }
    }

    /// The signature in a finished witness: it stands right before script and control block.
    fn finished(&self, input: &Input) -> Option<SchnorrSignature> {
        let witness = input.final_script_witness.as_ref()?;
        let signature = witness.nth(witness.len().checked_sub(3)?)?;
        signature.try_into().ok().map(SchnorrSignature::new)
    }

    /// The transaction of a request with one input, ready to be sent.
    pub fn complete(&self, staker: &SchnorrSignature) -> Transaction {
        let mut transaction = self.transaction.clone();
        transaction.input[0].witness =
            Signatures::new().slots(&self.covenant, &self.signed).one(staker).leaf(&self.leaf);
        transaction
    }
}

/// Exactly as many signatures as the script counts.
fn quorum(signatures: &BTreeMap<SchnorrKey, SchnorrSignature>, quorum: u16) -> BTreeMap<SchnorrKey, SchnorrSignature> {
    signatures.iter().take(usize::from(quorum)).map(|(member, signature)| (*member, *signature)).collect()
}

/// The witness that a wallet made for an expansion's funding coin: whatever it finished, a Taproot key's signature, or a P2WPKH's.
///
/// # Errors
///
/// [`PsbtError::Unsigned`]; [`PsbtError::Signature`] for a Taproot key's signature that does not hold.
pub fn funding_witness(draft: &Draft, signed: &Psbt) -> Result<Witness, PsbtError> {
    let expansion = draft.expansion().ok_or(PsbtError::OtherTransaction)?;
    if signed.unsigned_tx != *expansion.transaction() {
        return Err(PsbtError::OtherTransaction);
    }
    let input = signed.inputs.get(1).ok_or(PsbtError::Unsigned(1))?;
    if let (None, Some(key)) = (&input.final_script_witness, input.tap_key_sig) {
        check_key_path(draft, &key)?;
    }
    single_key_witness(input).ok_or(PsbtError::Unsigned(1))
}

/// The witness of an input: whatever the wallet finished, or what it left unfinished of a Taproot key or a P2WPKH.
pub(crate) fn single_key_witness(input: &Input) -> Option<Witness> {
    let key_path = || input.tap_key_sig.map(|signature| Witness::p2tr_key_spend(&signature));
    let key_hash = || {
        let (key, signature) = input.partial_sigs.first_key_value()?;
        Some(Witness::from_slice(&[signature.to_vec(), key.to_bytes()]))
    };
    input.final_script_witness.clone().or_else(key_path).or_else(key_hash)
}

fn check_key_path(draft: &Draft, signature: &taproot::Signature) -> Result<(), PsbtError> {
    let wrong = PsbtError::Signature(1);
    let Some(expansion) = draft.expansion() else { return Err(wrong) };
    let script = expansion.spent()[1].script_pubkey.as_bytes();
    let key = script.get(2..).and_then(|key| XOnlyPublicKey::from_slice(key).ok());
    let (Some(key), Some(sighash)) = (key, expansion.funding_sighash()) else { return Err(wrong) };
    let message = Message::from_digest(sighash);
    let holds = SECP256K1.verify_schnorr(&signature.signature, &message, &key).is_ok();
    if holds && signature.sighash_type == TapSighashType::Default { Ok(()) } else { Err(wrong) }
}
