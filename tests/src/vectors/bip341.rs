//! BIP-341's wallet vectors, through the library our scripts are built with, and Bitcoin Core's verifier.

use anyhow::{Context, Result, ensure};
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::SECP256K1;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::taproot::{LeafVersion, NodeInfo, TaprootSpendInfo};
use bitcoin::{Address, Network, ScriptBuf, TapSighashType, Transaction, TxOut, XOnlyPublicKey};
use serde_json::Value;

use super::parsed::{key_of, same, sats, script, transaction};
use super::spends::core_accepts;
use super::{File, Outcome, Tally, array, bytes, has, list, number, tally_list, text};

/// Outputs with their trees and proofs, and spends by the key path.
pub(super) fn wallet(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["scriptPubKey", "keyPathSpending"]))?;
    Some(Outcome::of((|| {
        let outputs = tally_list(&file["scriptPubKey"], check_output)?;
        let spends = tally_list(&file["keyPathSpending"], check_spend)?;
        Ok(Tally { checked: outputs.checked + spends.checked, left_out: 0 })
    })()))
}

fn check_output(case: &Value) -> Result<()> {
    let (given, expected) = (&case["given"], &case["expected"]);
    let internal = key_of(given, "internalPubkey")?;
    let tree = &given["scriptTree"];
    let script_pubkey =
        if tree.is_null() { ScriptBuf::new_p2tr(SECP256K1, internal, None) } else { check_tree(internal, tree, case)? };
    same(&script_pubkey, &script(expected, "scriptPubKey")?, "the output")?;
    let address = Address::from_script(&script_pubkey, Network::Bitcoin)?;
    ensure!(address.to_string() == text(expected, "bip350Address")?, "another address");
    Ok(())
}

fn check_tree(internal: XOnlyPublicKey, tree: &Value, case: &Value) -> Result<ScriptBuf> {
    let mut leaves = Vec::new();
    let spend = TaprootSpendInfo::from_node_info(SECP256K1, internal, node(tree, &mut leaves)?);
    let root = spend.merkle_root().context("no root")?.to_byte_array();
    same(root, array(&case["intermediary"], "merkleRoot")?, "the root")?;
    for (leaf, expected) in leaves.into_iter().zip(list(&case["expected"], "scriptPathControlBlocks")?) {
        let block = spend.control_block(&leaf).context("no control block")?;
        same(hex::encode(block.serialize()), expected.as_str().unwrap_or_default().to_owned(), "the control block")?;
    }
    Ok(ScriptBuf::new_p2tr_tweaked(spend.output_key()))
}

fn node(tree: &Value, leaves: &mut Vec<(ScriptBuf, LeafVersion)>) -> Result<NodeInfo> {
    if let Some([left, right]) = tree.as_array().map(Vec::as_slice) {
        let (left, right) = (node(left, leaves)?, node(right, leaves)?);
        return Ok(NodeInfo::combine(left, right)?);
    }
    let version = LeafVersion::from_consensus(u8::try_from(number(tree, "leafVersion")?)?)?;
    leaves.push((script(tree, "script")?, version));
    Ok(NodeInfo::new_leaf_with_ver(script(tree, "script")?, version))
}

fn check_spend(case: &Value) -> Result<()> {
    let unsigned = transaction(&case["given"], "rawUnsignedTx")?;
    let spent = list(&case["given"], "utxosSpent")?
        .iter()
        .map(|output| Ok(TxOut { value: sats(output, "amountSats")?, script_pubkey: script(output, "scriptPubKey")? }))
        .collect::<Result<Vec<_>>>()?;
    let signed = transaction(&case["auxiliary"], "fullySignedTx")?;
    same(&signed.output, &unsigned.output, "the outputs")?;
    ensure!(core_accepts(&signed, &spent), "Bitcoin Core refuses the signed transaction");
    list(case, "inputSpending")?.iter().try_for_each(|input| check_input(input, &unsigned, &signed, &spent))
}

fn check_input(case: &Value, unsigned: &Transaction, signed: &Transaction, spent: &[TxOut]) -> Result<()> {
    let input = usize::try_from(number(&case["given"], "txinIndex")?)?;
    let kind = TapSighashType::from_consensus_u8(u8::try_from(number(&case["given"], "hashType")?)?)?;
    let hash = SighashCache::new(unsigned).taproot_key_spend_signature_hash(input, &Prevouts::All(spent), kind)?;
    same(hash.to_byte_array(), array(&case["intermediary"], "sigHash")?, "the sighash")?;
    let witness = signed.input[input].witness.nth(0).context("no witness")?;
    let expected = case["expected"]["witness"][0].as_str().context("no text")?;
    same(hex::encode(witness), expected.to_owned(), "the witness")?;
    ensure!(bytes(&case["intermediary"], "sigMsg")?[0] == 0, "another epoch");
    Ok(())
}
