//! Babylon's trustless vaults: we have none, but their outputs can be recomputed from the scripts beside them.

use anyhow::{Context, Result, ensure};
use bitcoin::psbt::Psbt;
use bitcoin::secp256k1::SECP256K1;
use bitcoin::taproot::TapNodeHash;
use bitcoin::{ScriptBuf, XOnlyPublicKey};
use palisade_bitcoin::scripts::StakingTerms;
use serde_json::Value;

use super::parsed::same;
use super::{File, Outcome, Tally, bytes, has, number};

/// Every revealed leaf with its proof leads to the output that is spent, which has no key path. What a hardware wallet makes of
/// the PSBT is its own business.
pub(super) fn psbt(file: &File) -> Option<Outcome> {
    let file =
        file.json().filter(|value| has(value, &["psbt_hex", "psbt_v2_hex", "n_inputs", "sign_psbt_cdata_hex"]))?;
    Some(Outcome::of(check(file)))
}

fn check(file: &Value) -> Result<Tally> {
    let psbt = Psbt::deserialize(&bytes(file, "psbt_hex")?)?;
    same(psbt.inputs.len() as u64, number(file, "n_inputs")?, "the inputs")?;
    same(psbt.outputs.len() as u64, number(file, "n_outputs")?, "the outputs")?;
    let mut checked = 1;
    for input in &psbt.inputs {
        let spent = input.witness_utxo.as_ref();
        for (block, (script, version)) in &input.tap_scripts {
            let leaf = TapNodeHash::from_script(script, *version);
            let root = block.merkle_branch.iter().fold(leaf, |node, side| TapNodeHash::from_node_hashes(node, *side));
            let output = ScriptBuf::new_p2tr(SECP256K1, block.internal_key, Some(root));
            same(&output, &spent.context("no output is spent")?.script_pubkey, "the output")?;
            same(block.internal_key, unspendable()?, "the internal key")?;
            checked += 1;
        }
    }
    Ok(Tally { checked, left_out: 0 })
}

/// The internal key of our own outputs: BIP-341's point.
fn unspendable() -> Result<XOnlyPublicKey> {
    let table = palisade_bitcoin::babylon::parameters::Table::bbn_1();
    let keys = &table.versions()[0].covenant;
    let terms = StakingTerms::new(keys[0], vec![keys[1]], vec![keys[2]], 1, 1, 1)?;
    let key = terms.change_output().timelock.control_block.internal_key;
    ensure!(key.to_string().starts_with("50929b74"), "another point");
    Ok(key)
}
