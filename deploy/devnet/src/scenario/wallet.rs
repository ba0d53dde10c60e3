//! A wallet that never heard of Palisade: rust-bitcoin's own PSBT signer with the staker's key, in place of the hardware or
//! desktop wallet of a real staker. It knows its own coins, and signs what a PSBT says is its to sign (BIP-174, BIP-371).

use anyhow::{Context, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::key::{PrivateKey, XOnlyPublicKey};
use bitcoin::psbt::Input;
use bitcoin::secp256k1::{SECP256K1, SecretKey};
use bitcoin::transaction::Version;
use bitcoin::{Address, Amount, Network, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use palisade_bitcoin::psbt;
use palisade_bitcoin::staker::Coin;
use palisade_node::keys;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// What the wallet pays for a stake, satoshis: far above the least of any relay for its 200 bytes.
const FEE: Amount = Amount::from_sat(2_000);

/// The staker's key outside Palisade.
pub(super) struct Wallet {
    key: XOnlyPublicKey,
    keys: HashMap<XOnlyPublicKey, PrivateKey>,
}

impl Wallet {
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let secret = SecretKey::from_slice(&*keys::read_secret(file)?).context("the staker's key")?;
        let key = PrivateKey::new(secret, Network::Regtest);
        let name = key.public_key(SECP256K1).inner.x_only_public_key().0;
        Ok(Self { key: name, keys: HashMap::from([(name, key)]) })
    }

    /// The x-only key that it shows.
    pub(super) fn key(&self) -> String {
        self.key.to_string()
    }

    fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(SECP256K1, self.key, None)
    }

    /// A payment out of one coin, into a file, unsigned.
    pub(super) fn fund(&self, coin: &Coin, address: &str, sats: u64, file: &Path) -> anyhow::Result<()> {
        let to = Address::from_str(address)?.require_network(Network::Regtest)?.script_pubkey();
        let amount = Amount::from_sat(sats);
        let rest = coin.value.checked_sub(amount).and_then(|rest| rest.checked_sub(FEE));
        let rest = rest.with_context(|| format!("a coin of {} is not enough", coin.value))?;
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: coin.outpoint, sequence: Sequence::MAX, ..TxIn::default() }],
            output: vec![
                TxOut { value: rest, script_pubkey: self.script() },
                TxOut { value: amount, script_pubkey: to },
            ],
        };
        let mut psbt = Psbt::from_unsigned_tx(transaction)?;
        psbt.inputs[0].witness_utxo = Some(TxOut { value: coin.value, script_pubkey: self.script() });
        write(file, &psbt)
    }

    /// Signs what is its to sign in one file, finishes what it can, and writes the result into another.
    pub(super) fn sign(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        let mut psbt = psbt::read(&fs::read(from).with_context(|| from.display().to_string())?)?;
        psbt.inputs.iter_mut().for_each(|input| self.recognise(input));
        let signed = psbt.sign(&self.keys, SECP256K1);
        let signed = signed.map_err(|(_, errors)| anyhow::anyhow!("{}: {errors:?}", from.display()))?;
        ensure!(signed.len() == psbt.inputs.len(), "{}: signed only {signed:?}", from.display());
        psbt.inputs.iter_mut().for_each(finish);
        write(to, &psbt)
    }

    /// Adds what a wallet knows of its own coins.
    fn recognise(&self, input: &mut Input) {
        if input.witness_utxo.as_ref().is_some_and(|output| output.script_pubkey == self.script()) {
            input.tap_internal_key = Some(self.key);
            input.tap_key_origins.insert(self.key, (vec![], Default::default()));
        }
    }
}

/// A wallet can finish its own coins' inputs; it cannot know what a script it never saw wants in its witness.
fn finish(input: &mut Input) {
    if let Some(signature) = input.tap_key_sig.take() {
        input.final_script_witness = Some(Witness::p2tr_key_spend(&signature));
    }
}

fn write(file: &Path, psbt: &Psbt) -> anyhow::Result<()> {
    fs::write(file, psbt::text(psbt)).with_context(|| file.display().to_string())
}
