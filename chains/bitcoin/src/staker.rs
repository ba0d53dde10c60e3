//! What a staker does: stake, unbond, withdraw, expand.
//!
//! The wallet is the smallest that can stake: one key, whose coins lie in the Taproot output of that key (BIP-86's
//! tweak), spent by the key path. The same key is the staker's key in the scripts. A staker with a wallet of his own needs only the
//! staking output's address and the sighashes; nothing here is in the way of that.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak as _;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, SECP256K1, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, FeeRate, Network, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Weight,
    Witness,
};
use palisade_crypto::eots;
use palisade_types::SchnorrSignature;

use crate::psbt::Request;
use crate::registration::Presigned;
use crate::scripts::StakingTerms;
use crate::vault::{CheckedVault, Held};
use crate::witness;

/// A coin of the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it lies.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub value: Amount,
}

/// Why a staker's transaction cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StakerError {
    /// The coins are not worth the payment and its fee.
    #[error("{held} is not enough for {needed} with the fee")]
    NotEnough {
        /// What the coins are worth together.
        held: Amount,
        /// What is paid, without the fee.
        needed: Amount,
    },
    /// Nothing worth sending would be left after the fee.
    #[error("an output of {value} leaves nothing after a fee of {fee}")]
    FeeTakesAll {
        /// What the output holds.
        value: Amount,
        /// The fee.
        fee: Amount,
    },
    /// The key is not the vault's staker's.
    #[error("the key is not this vault's staker's")]
    NotTheStaker,
    /// The vault has no such slashing transaction.
    #[error("the vault has no slashing transaction {0}")]
    NoSuchSlashing(usize),
    /// The registration is no expansion that a Taproot key pays for.
    #[error("the registration is no expansion that this wallet pays for")]
    NoExpansion,
}

/// A key and its coins.
pub struct Wallet {
    secret: eots::SecretKey,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Wallet").field(&self.key()).finish()
    }
}

impl Wallet {
    /// A wallet of one key.
    pub fn new(secret: eots::SecretKey) -> Self {
        Self { secret }
    }

    /// The key itself, untweaked: the staker's key in scripts.
    pub fn key(&self) -> XOnlyPublicKey {
        witness::x_only(&self.secret.public())
    }

    /// The secret, for the signatures a registration needs.
    pub fn secret(&self) -> &eots::SecretKey {
        &self.secret
    }

    /// The script that holds the wallet's coins.
    pub fn script_pubkey(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(SECP256K1, self.key(), None)
    }

    /// The address that holds the wallet's coins.
    pub fn address(&self, network: Network) -> Address {
        Address::p2tr(SECP256K1, self.key(), None, network)
    }

    /// A signed transaction that puts `amount` under `terms` as its output 0. It takes the largest coins first; the
    /// rest comes back to the wallet as output 1.
    ///
    /// # Errors
    ///
    /// [`StakerError::NotEnough`].
    pub fn stake(
        &self,
        coins: &[Coin],
        terms: &StakingTerms,
        amount: Amount,
        rate: FeeRate,
    ) -> Result<Transaction, StakerError> {
        let output = TxOut { value: amount, script_pubkey: terms.staking_output().script_pubkey };
        self.pay(coins, output, rate)
    }

    /// A signed payment of `output` from `coins`, the largest first.
    ///
    /// # Errors
    ///
    /// [`StakerError::NotEnough`].
    pub fn pay(&self, coins: &[Coin], output: TxOut, rate: FeeRate) -> Result<Transaction, StakerError> {
        let needed = output.value;
        let held: Amount = coins.iter().map(|coin| coin.value).sum();
        let mut sorted = coins.to_vec();
        sorted.sort_unstable_by_key(|coin| (std::cmp::Reverse(coin.value), coin.outpoint));
        (1..=sorted.len())
            .find_map(|count| self.pay_with(&sorted[..count], &output, rate))
            .ok_or(StakerError::NotEnough { held, needed })
    }

    /// The payment with exactly these coins; `None` when they are not enough.
    fn pay_with(&self, coins: &[Coin], output: &TxOut, rate: FeeRate) -> Option<Transaction> {
        let input = |coin: &Coin| spend(coin.outpoint, Sequence::ENABLE_RBF_NO_LOCKTIME);
        let change = TxOut { value: Amount::ZERO, script_pubkey: self.script_pubkey() };
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins.iter().map(input).collect(),
            output: vec![output.clone(), change],
        };
        let signatures = KEY_PATH_WITNESS.checked_mul(u64::try_from(coins.len()).ok()?)?;
        let fee = rate.fee_wu(transaction.weight().checked_add(SEGWIT_MARKER)?.checked_add(signatures)?)?;
        let held: Amount = coins.iter().map(|coin| coin.value).sum();
        let rest = held.checked_sub(output.value)?.checked_sub(fee)?;
        match rest < self.script_pubkey().minimal_non_dust() {
            true => drop(transaction.output.pop()), // dust goes to the miners
            false => transaction.output[1].value = rest,
        }
        self.sign_key_path(&mut transaction, coins);
        Some(transaction)
    }

    fn sign_key_path(&self, transaction: &mut Transaction, coins: &[Coin]) {
        let spent: Vec<_> =
            coins.iter().map(|coin| TxOut { value: coin.value, script_pubkey: self.script_pubkey() }).collect();
        let signatures: Vec<_> = {
            let mut cache = SighashCache::new(&*transaction);
            let mut sign = |at| {
                let hash = cache
                    .taproot_key_spend_signature_hash(at, &Prevouts::All(&spent), TapSighashType::Default)
                    .expect("one spent output stands for each input");
                self.key_path_signature(&hash.to_byte_array())
            };
            (0..coins.len()).map(&mut sign).collect()
        };
        for (input, signature) in transaction.input.iter_mut().zip(signatures) {
            input.witness = Witness::from_slice(&[signature.as_ref()]);
        }
    }

    /// A signature of the key that the wallet's coins lie under, which is tweaked (BIP-86).
    fn key_path_signature(&self, sighash: &[u8; 32]) -> Signature {
        let keypair =
            Keypair::from_seckey_slice(SECP256K1, self.secret.to_bytes().as_ref()).expect("a secret key is a scalar");
        let tweaked = keypair.tap_tweak(SECP256K1, None).to_keypair();
        SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(*sighash), &tweaked)
    }

    /// The unbonding transaction, complete: the covenant signed it when the vault was registered.
    ///
    /// # Errors
    ///
    /// [`StakerError::NotTheStaker`].
    pub fn unbond(&self, presigned: &Presigned) -> Result<Transaction, StakerError> {
        let vault = presigned.vault();
        self.owns(vault)?;
        let request = Request::unbonding(presigned);
        Ok(request.complete(&self.answer(&request)?))
    }

    /// The expansion's transaction, complete: the covenant signed it when it was registered. The wallet's own coin pays.
    ///
    /// # Errors
    ///
    /// [`StakerError::NotTheStaker`], [`StakerError::NoExpansion`].
    pub fn expand(&self, presigned: &Presigned) -> Result<Transaction, StakerError> {
        self.owns(presigned.vault())?;
        let expansion = presigned.draft().expansion().ok_or(StakerError::NoExpansion)?;
        let sighash = expansion.funding_sighash().ok_or(StakerError::NoExpansion)?;
        let funding = self.key_path_signature(&sighash);
        let staker = witness::sign(&self.secret, expansion.sighash());
        presigned.expand(&staker, Witness::from_slice(&[funding.as_ref()])).ok_or(StakerError::NoExpansion)
    }

    /// Takes the stake back alone, by its timelock; valid once the lock has run out.
    ///
    /// # Errors
    ///
    /// [`StakerError`].
    pub fn withdraw(
        &self,
        vault: &CheckedVault,
        held: Held,
        to: ScriptBuf,
        fee: Amount,
    ) -> Result<Transaction, StakerError> {
        self.owns(vault)?;
        let request = Request::withdrawal(vault, held, to, fee)?;
        Ok(request.complete(&self.answer(&request)?))
    }

    /// Takes back what slashing transaction `index` left, once its lock has run out.
    ///
    /// # Errors
    ///
    /// [`StakerError`].
    pub fn withdraw_change(
        &self,
        vault: &CheckedVault,
        index: usize,
        to: ScriptBuf,
        fee: Amount,
    ) -> Result<Transaction, StakerError> {
        self.owns(vault)?;
        let request = Request::change(vault, index, to, fee)?;
        Ok(request.complete(&self.answer(&request)?))
    }

    /// The staker's signature that a request asks for.
    ///
    /// # Errors
    ///
    /// [`StakerError::NotTheStaker`].
    pub fn answer(&self, request: &Request) -> Result<SchnorrSignature, StakerError> {
        match request.staker() == self.key() {
            true => Ok(witness::sign(&self.secret, request.sighash())),
            false => Err(StakerError::NotTheStaker),
        }
    }

    fn owns(&self, vault: &CheckedVault) -> Result<(), StakerError> {
        if vault.terms().staker() == self.key() { Ok(()) } else { Err(StakerError::NotTheStaker) }
    }
}

fn spend(previous_output: OutPoint, sequence: Sequence) -> TxIn {
    TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }
}

/// One item of 64 bytes, with the count of items and the item's length.
const KEY_PATH_WITNESS: Weight = Weight::from_wu(66);

/// The two bytes that say a transaction has witnesses.
const SEGWIT_MARKER: Weight = Weight::from_wu(2);
