//! Public data about Bitcoin staking, run against our code. What may be copied lies in `tests/vectors` of the repository; the rest is read from
//! `shared/vectors` beside the checkout, and a test that finds none says so.

#![allow(clippy::unwrap_used)]

mod stake;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Address, Amount, Block, BlockHash, Network, ScriptBuf, Transaction, TxMerkleNode, TxOut, Txid};
use palisade_bitcoin::block;
use palisade_bitcoin::inclusion::{InclusionError, MerkleProof};
use palisade_bitcoin::scripts::{Leaf, StakingTerms};
use palisade_bitcoin::vault::{CheckedVault, Held, VaultRules, babylon_slash};
use palisade_bitcoin::witness;
use palisade_crypto::adaptor::AdaptorSignature;
use palisade_crypto::eots;
use palisade_types::genesis::VaultTerms;
use palisade_types::{BasisPoints, Blob, List, Sats, SchnorrKey, SchnorrSignature};
use serde_json::Value;
use stake::core_accepts;

/// A file of ours.
fn ours(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/babylon").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A file beside the checkout; `None`, said aloud, when it is not there.
fn beside(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("{name} is not beside the checkout: nothing was checked against it");
    None
}

fn beside_json(name: &str) -> Option<Value> {
    Some(serde_json::from_slice(&std::fs::read(beside(name)?).unwrap()).unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A key, with or without its parity byte.
fn key(value: &Value) -> XOnlyPublicKey {
    let text = text(value);
    XOnlyPublicKey::from_str(&text[text.len() - 64..]).unwrap()
}

fn keys(value: &Value) -> Vec<XOnlyPublicKey> {
    list(value).iter().map(key).collect()
}

fn short(value: &Value) -> u16 {
    u16::try_from(number(value)).unwrap()
}

fn transaction(value: &Value) -> Transaction {
    deserialize_hex(text(value)).unwrap()
}

fn script(value: &Value) -> ScriptBuf {
    ScriptBuf::from_hex(text(value)).unwrap()
}

fn signature(value: &Value) -> SchnorrSignature {
    SchnorrSignature::from_str(text(value)).unwrap()
}

fn is_leaf(leaf: &Leaf, script: &Value, control_block: &Value) {
    assert_eq!(leaf.script.to_hex_string(), text(script));
    assert_eq!(hex::encode(leaf.control_block.serialize()), text(control_block));
}

#[test]
fn scripts_addresses_and_control_blocks_are_those_of_the_reference() {
    for case in list(&ours("derived_btc.json")["scripts"]) {
        let terms = StakingTerms::new(
            key(&case["staker"]),
            keys(&case["finality_providers"]),
            keys(&case["covenant"]),
            short(&case["quorum"]),
            short(&case["staking_time"]),
            short(&case["unbonding_time"]),
        )
        .unwrap();
        let (staking, unbonding) = (terms.staking_output(), terms.unbonding_output());
        let expected = &case["staking"];
        is_leaf(&staking.timelock, &expected["timelock"], &expected["cb_timelock"]);
        is_leaf(&staking.unbonding, &expected["unbonding"], &expected["cb_unbonding"]);
        is_leaf(&staking.slashing, &expected["slashing"], &expected["cb_slashing"]);
        assert_eq!(staking.script_pubkey, script(&expected["spk"]));
        let expected = &case["unbonding"];
        is_leaf(&unbonding.timelock, &expected["timelock"], &expected["cb_timelock"]);
        is_leaf(&unbonding.slashing, &expected["slashing"], &expected["cb_slashing"]);
        assert_eq!(unbonding.script_pubkey, script(&expected["spk"]));
        assert_eq!(terms.change_output().script_pubkey, script(&case["slashing_change_pk_script"]));
        let nets = [("mainnet", Network::Bitcoin), ("signet", Network::Signet), ("regtest", Network::Regtest)];
        for (name, network) in nets {
            let address = Address::from_script(&staking.script_pubkey, network).unwrap();
            assert_eq!(address.to_string(), text(&case["staking_address"][name]));
        }
    }
}

#[test]
fn numbers_dust_and_babylons_rounding_are_those_of_the_reference() {
    let data = ours("derived_btc.json");
    let person = |number| stake::key(&stake::secret(number).public());
    for case in list(&data["timelock_pushes"]) {
        let blocks = short(&case["blocks"]);
        let terms = StakingTerms::new(person(1), vec![person(2)], vec![person(3)], 1, blocks, 1).unwrap();
        let script = terms.staking_output().timelock.script.to_hex_string();
        assert!(script.ends_with(&format!("ad{}b2", text(&case["script_num_push"]))), "{blocks}: {script}");
    }
    for case in list(&data["dust"]) {
        let smallest = script(&case["pk_script"]).minimal_non_dust();
        assert_eq!(smallest.to_sat(), number(&case["smallest_non_dust"]), "{}", case["kind"]);
    }
    for case in list(&data["slash_amounts"]).iter().chain(list(&data["float_ties"])) {
        let rate: u16 = text(&case["rate"]).trim_start_matches("0.").parse().unwrap();
        let value = Amount::from_sat(number(&case["value"]));
        assert_eq!(babylon_slash(value, rate).to_sat(), number(&case["slash_amount"]));
    }
}

#[test]
fn bitcoin_core_judges_complete_spends_as_the_files_say() {
    let shared = beside_json("babylon/signed_spends.json");
    for data in [Some(ours("derived_spends.json")), shared].into_iter().flatten() {
        for case in list(&data["vectors"]) {
            let value = Amount::from_sat(number(&case["prevout_value"]));
            let spent = TxOut { value, script_pubkey: script(&case["prevout_pk_script"]) };
            let valid = case["valid"].as_bool().unwrap();
            assert_eq!(core_accepts(&transaction(&case["signed_tx"]), &[spent]), valid, "{}", case["why"]);
        }
    }
}

#[test]
fn babylons_own_scripts_and_unbonding_transactions_come_out_the_same() {
    let Some(data) = beside_json("babylon/staking_scripts.json") else {
        return;
    };
    for case in list(&data["vectors"]) {
        let (given, expected) = (&case["parameters"], &case["expected"]);
        let terms = StakingTerms::new(
            key(&given["staker_public_key"]),
            keys(&given["finality_provider_public_keys"]),
            keys(&given["covenant_public_keys"]),
            short(&given["covenant_quorum"]),
            short(&given["staking_time"]),
            short(&given["unbonding_time"]),
        )
        .unwrap();
        let (staking, unbonding) = (terms.staking_output(), terms.unbonding_output());
        assert_eq!(staking.script_pubkey, script(&expected["staking_output_pkscript_hex"]));
        assert_eq!(staking.timelock.script, script(&expected["staking_transaction_timelock_script_hex"]));
        assert_eq!(staking.unbonding.script, script(&expected["staking_transaction_unbonding_script_hex"]));
        assert_eq!(staking.slashing.script, script(&expected["staking_transaction_slashing_script_hex"]));
        assert_eq!(unbonding.timelock.script, script(&expected["unbonding_transaction_time_lock_script_hex"]));
        assert_eq!(unbonding.slashing.script, script(&expected["unbonding_transaction_slashing_script_hex"]));
        let theirs = transaction(&expected["unbonding_transaction_hex"]);
        assert_eq!(theirs.output[0].script_pubkey, unbonding.script_pubkey);
    }
}

/// Genesis terms under which a foreign delegation is a vault.
fn terms_of(case: &Value, unbonding_fee: u64, rate: u16, sink: Vec<u8>) -> VaultTerms {
    let mut covenant: Vec<_> = keys(&case["covenant_pks"]).iter().map(|key| SchnorrKey::new(key.serialize())).collect();
    covenant.sort_unstable();
    VaultTerms {
        activation: 0,
        covenant: List::try_from(covenant).unwrap(),
        members: List::new(),
        devnet: true,
        quorum: u8::try_from(number(&case["covenant_quorum"])).unwrap(),
        min_staking_time: 1,
        max_staking_time: u16::MAX,
        unbonding_time: short(&case["unbonding_time"]),
        unbonding_fee: Sats::new(unbonding_fee),
        slash_rate: BasisPoints::new(rate).unwrap(),
        slash_script: Blob::try_from(sink).unwrap(),
        min_slash_fee: Sats::new(500),
        min_stake: Sats::new(40_000),
    }
}

fn vault_of(case: &Value, terms: &VaultTerms, fee: u64) -> CheckedVault {
    let rules = VaultRules::new(0, terms).unwrap();
    let staking_terms =
        rules.terms(key(&case["staker_btc_pk"]), keys(&case["fp_btc_pk_list"]), short(&case["staking_time"])).unwrap();
    let index = u32::try_from(number(&case["staking_output_index"])).unwrap();
    CheckedVault::check(&transaction(&case["staking_tx"]), index, staking_terms, &[Amount::from_sat(fee)], &rules)
        .unwrap()
}

#[test]
fn babylons_delegations_are_vaults_with_the_same_transactions_and_sighashes() {
    let Some(data) = beside_json("babylon/delegations.json") else {
        return;
    };
    for case in list(&data["vectors"]) {
        let (slashing, unbonding) = (transaction(&case["slashing_tx"]), transaction(&case["unbonding_tx"]));
        let value = number(&case["staking_value"]);
        let taken = slashing.output[0].value.to_sat();
        let rate = u16::try_from(taken * 10_000 / value).unwrap();
        let fee = value - slashing.output.iter().map(|output| output.value.to_sat()).sum::<u64>();
        let terms = terms_of(
            case,
            value - unbonding.output[0].value.to_sat(),
            rate,
            stake::SINK.to_vec(), // theirs may be spent from, which our rules refuse
        );
        let vault = vault_of(case, &terms, fee);
        assert_eq!(vault.unbonding_transaction(), &unbonding);
        let ours = vault.slashings().iter().find(|slashing| slashing.held == Held::Staked).unwrap();
        assert_eq!(ours.transaction.output[0].value, slashing.output[0].value);
        assert_eq!(ours.transaction.output[1], slashing.output[1]);
        let computed = &case["computed"];
        assert_eq!(hex::encode(vault.unbonding_sighash()), text(&computed["sighash_unbonding"]));
        let (leaf, spent) = (vault.slashing_leaf(Held::Staked), vault.spent(Held::Staked));
        let sighash = witness::sighash(&slashing, 0, &[spent], leaf).unwrap();
        assert_eq!(hex::encode(sighash), text(&computed["sighash_slashing"]));
        is_leaf(leaf, &computed["staking_slashing_script"], &computed["control_block_staking_slashing"]);
        let leaf = vault.slashing_leaf(Held::Unbonding);
        is_leaf(leaf, &computed["unbonding_slashing_script"], &computed["control_block_unbonding_slashing"]);
        assert!(witness::verify(&vault.terms().staker(), &sighash, &signature(&case["staker_sig_slashing"])));
        check_covenant(case, &vault, &sighash);
    }
}

/// Every plain and adaptor signature of the covenant, and what the provider's secret makes of the latter.
fn check_covenant(case: &Value, vault: &CheckedVault, sighash: &[u8; 32]) {
    for signed in list(&case["covenant_unbonding"]) {
        assert!(witness::verify(&key(&signed["cov_pk"]), vault.unbonding_sighash(), &signature(&signed["sig"])));
    }
    for signed in list(&case["covenant_slashing"]) {
        for encrypted in list(&signed["adaptor_sigs"]) {
            let adaptor = AdaptorSignature::from_bytes(&hex::decode(text(&encrypted["adaptor_sig"])).unwrap()).unwrap();
            let of = |value: &Value| eots::PublicKey::from_bytes(&key(value).serialize()).unwrap();
            let (member, provider) = (of(&signed["cov_pk"]), of(&encrypted["fp_btc_pk"]));
            adaptor.verify(&member, sighash, &provider).unwrap();
            let secret = text(&case["fp_secret_keys"][text(&encrypted["fp_btc_pk"])]["sk"]);
            let secret = eots::SecretKey::from_bytes(&hex::decode(secret).unwrap().try_into().unwrap()).unwrap();
            let complete = adaptor.decrypt(&secret).unwrap();
            assert_eq!(hex::encode(complete), text(&encrypted["decrypted_bip340_sig"]));
        }
    }
}

#[test]
fn real_testnet_delegations_have_our_unbonding_transaction_and_verify() {
    let Some(data) = beside_json("babylon/testnet_delegations.json") else {
        return;
    };
    for case in list(&data["vectors"]) {
        let terms = terms_of(case, number(&case["unbonding_fee_sat"]), 500, b"\x6a\x07babylon".to_vec());
        let vault = vault_of(case, &terms, 500);
        assert_eq!(vault.outpoint().txid, Txid::from_str(text(&case["staking_txid"])).unwrap());
        assert_eq!(vault.unbonding_transaction(), &transaction(&case["unbonding_tx"]));
        assert_eq!(hex::encode(vault.unbonding_sighash()), text(&case["computed"]["unbonding_sighash"]));
        let leaf = &vault.staking_output().unbonding;
        assert_eq!(hex::encode(leaf.control_block.serialize()), text(&case["computed"]["control_block_unbonding"]));
        for signed in list(&case["covenant_unbonding"]) {
            assert!(witness::verify(&key(&signed["cov_pk"]), vault.unbonding_sighash(), &signature(&signed["sig"])));
        }
    }
}

#[test]
fn real_merkle_proofs_hold_and_fail_one_step_off() {
    let Some(data) = beside_json("babylon/inclusion_proofs.json") else {
        return;
    };
    for case in list(&data["vectors"]) {
        let bytes = hex::decode(text(&case["proof_hex"])).unwrap();
        let siblings: Vec<[u8; 32]> = bytes.chunks(32).map(|sibling| sibling.try_into().unwrap()).collect();
        let proof = MerkleProof { index: u32::try_from(number(&case["index"])).unwrap(), siblings };
        let root = hex::decode(text(&case["computed_merkle_root_internal"])).unwrap();
        let root = TxMerkleNode::from_byte_array(root.try_into().unwrap());
        let txid = Txid::from_str(text(&case["txid"])).unwrap();
        assert_eq!(proof.verify_id(txid, root), Ok(()));
        one_step_off(&proof, txid, root);
    }
}

fn one_step_off(proof: &MerkleProof, txid: Txid, root: TxMerkleNode) {
    let length = proof.siblings.len();
    let with = |index: u32, siblings: Vec<[u8; 32]>| MerkleProof { index, siblings }.verify_id(txid, root);
    let beyond = proof.index | 1 << length; // the same path by another name
    assert!(matches!(with(beyond, proof.siblings.clone()), Err(InclusionError::IndexBeyondPath { .. })));
    assert!(with(proof.index ^ 1, proof.siblings.clone()).is_err());
    let mut changed = proof.siblings.clone();
    changed[0][0] ^= 1;
    assert_eq!(with(proof.index, changed), Err(InclusionError::OtherRoot));
    assert_eq!(with(0, vec![[0; 32]; 16]), Err(InclusionError::TooLong(16)));
}

#[test]
fn proofs_out_of_whole_blocks_verify_against_their_headers() {
    let Some(data) = beside_json("babylon/spv_blocks.json") else {
        return;
    };
    for case in list(&data["blocks"]) {
        let txdata: Vec<Transaction> = list(&case["transactions"]).iter().map(transaction).collect();
        let header: Header = deserialize_hex(text(&case["header"])).unwrap();
        let block = Block { header, txdata };
        let index = u32::try_from(number(&case["tx_index"])).unwrap();
        let proof = MerkleProof::of(&block, index).unwrap();
        assert_eq!(hex::encode(proof.siblings.concat()), text(&case["computed_proof"]));
        for (index, transaction) in (0..).zip(&block.txdata) {
            let proof = MerkleProof::of(&block, index).unwrap();
            let expected = if index == 0 { Err(InclusionError::Coinbase) } else { Ok(()) };
            assert_eq!(proof.verify(transaction, &header), expected);
        }
        assert_eq!(MerkleProof::of(&block, u32::try_from(block.txdata.len()).unwrap()), None);
    }
}

#[test]
fn whole_blocks_are_taken_whole_or_not_at_all() {
    let Some(data) = beside_json("btc-headers/regtest-reorg.json") else {
        return;
    };
    for text in list(&data).iter().flat_map(list) {
        let real: Block = deserialize_hex(self::text(text)).unwrap();
        let hash = real.block_hash();
        assert!(block::check(&real, hash).is_ok());
        assert_eq!(block::read(self::text(text), BlockHash::all_zeros()), Err(block::BlockError::OtherBlock(hash)));
        let refused = |change: &dyn Fn(&mut Block)| {
            let mut changed = real.clone();
            change(&mut changed);
            block::check(&changed, changed.block_hash()).unwrap_err()
        };
        assert_eq!(
            refused(&|block| block.txdata[0].output[0].value += Amount::from_sat(1)),
            block::BlockError::MerkleRoot
        );
        assert_eq!(refused(&|block| block.txdata[0].input[0].witness.clear()), block::BlockError::Witnesses);
    }
}
