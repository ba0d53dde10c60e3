//! A staker whose key never meets Palisade: his wallet is rust-bitcoin's own PSBT signer, and Bitcoin Core judges the result.

#![allow(clippy::unwrap_used)]

mod stake;

use std::collections::HashMap;

use bitcoin::secp256k1::{SECP256K1, SecretKey};
use bitcoin::taproot::TapNodeHash;
use bitcoin::{Amount, Network, PrivateKey, Psbt, Transaction, TxOut, XOnlyPublicKey};
use palisade_bitcoin::plan;
use palisade_bitcoin::psbt::{self, PsbtError, Request};
use palisade_bitcoin::registration;
use palisade_bitcoin::vault::Held;
use palisade_types::SchnorrSignature;
use proptest::prelude::*;
use stake::{People, block_with, core_accepts, elsewhere, key, secret, versions};

fn wallet_of(number: u8) -> HashMap<XOnlyPublicKey, PrivateKey> {
    let key = PrivateKey::new(SecretKey::from_slice(&*secret(number).to_bytes()).unwrap(), Network::Regtest);
    HashMap::from([(key.public_key(SECP256K1).inner.x_only_public_key().0, key)])
}

/// What comes back from the wallet, through bytes both ways.
fn signed_by(number: u8, request: &Request) -> Psbt {
    let mut psbt = psbt::read(&request.psbt(None).serialize()).unwrap();
    let _ = psbt.sign(&wallet_of(number), SECP256K1); // one that owns nothing here says so and signs nothing
    psbt::read(&psbt.serialize()).unwrap()
}

fn answer(request: &Request) -> SchnorrSignature {
    request.signature(&signed_by(1, request)).unwrap()
}

fn pays(transaction: &Transaction, spent: TxOut) -> bool {
    core_accepts(transaction, &[spent])
}

#[test]
fn a_foreign_wallet_signs_a_registration_an_unbonding_and_a_withdrawal() {
    let people = People::new(3, 2);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let rules = versions.at(5).unwrap();
    let staking = people.stake(rules, 1_000);
    let vault = people.vault(&staking, rules, 1_000);

    let signatures: Vec<_> = Request::slashings(&vault).iter().map(answer).collect();
    assert_eq!(signatures.len(), 4, "two rungs for each of two outputs");
    let operator = palisade_types::OperatorId::new([9; 20]);
    let draft = registration::write(operator, &staking, (None, None), &vault, &signatures).unwrap();
    let whole = people.presign(&draft, None, None, &versions, 3);
    let presigned = registration::Presigned::check(&whole, None, &versions).unwrap();

    let unbonding = Request::unbonding(&presigned);
    let sent = unbonding.complete(&answer(&unbonding));
    assert!(pays(&sent, vault.spent(Held::Staked)));
    for held in [Held::Staked, Held::Unbonding] {
        let withdrawal = Request::withdrawal(&vault, held, elsewhere(), Amount::from_sat(500)).unwrap();
        assert!(pays(&withdrawal.complete(&answer(&withdrawal)), vault.spent(held)));
    }
    let change = Request::change(&vault, 1, elsewhere(), Amount::from_sat(500)).unwrap();
    assert!(pays(&change.complete(&answer(&change)), vault.slashings()[1].transaction.output[1].clone()));
}

#[test]
fn a_psbt_names_the_leaf_the_tree_and_the_covenant_signatures() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let (presigned, _) = people.presigned(&versions, 1_000, 3);
    let psbt = Request::unbonding(&presigned).psbt(None);
    let input = &psbt.inputs[0];
    assert_eq!(input.tap_script_sigs.len(), 2, "exactly a quorum: one more would not count");
    let (block, (script, _)) = input.tap_scripts.first_key_value().unwrap();
    assert_eq!(*script, presigned.vault().staking_output().unbonding.script);
    let (output, root) = (presigned.vault().spent(Held::Staked), input.tap_merkle_root.unwrap());
    let of = |root: TapNodeHash| bitcoin::ScriptBuf::new_p2tr(SECP256K1, input.tap_internal_key.unwrap(), Some(root));
    assert_eq!(of(root), output.script_pubkey);
    assert!(block.verify_taproot_commitment(
        SECP256K1,
        XOnlyPublicKey::from_slice(&output.script_pubkey.as_bytes()[2..]).unwrap(),
        script
    ));
}

#[test]
fn what_a_wallet_gives_back_is_believed_in_nothing_but_its_signature() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let (presigned, _) = people.presigned(&versions, 1_000, 3);
    let vault = presigned.vault();
    let requests = Request::slashings(vault);
    let good = signed_by(1, &requests[0]);

    assert!(matches!(requests[0].signature(&requests[0].psbt(None)), Err(PsbtError::Unsigned(0))));
    assert!(matches!(requests[0].signature(&signed_by(2, &requests[0])), Err(PsbtError::Unsigned(0))));
    assert!(matches!(requests[1].signature(&good), Err(PsbtError::OtherTransaction)));
    let mut moved = good.clone();
    moved.unsigned_tx.output[1].value += Amount::from_sat(1);
    assert!(matches!(requests[0].signature(&moved), Err(PsbtError::OtherTransaction)));
    let mut foreign = good.clone();
    let other = signed_by(1, &requests[1]).inputs[0].tap_script_sigs.first_key_value().map(|(_, sig)| *sig).unwrap();
    foreign.inputs[0].tap_script_sigs.iter_mut().for_each(|(_, signature)| *signature = other);
    assert!(matches!(requests[0].signature(&foreign), Err(PsbtError::Signature(0))));
    let mut other_type = good;
    for signature in other_type.inputs[0].tap_script_sigs.values_mut() {
        signature.sighash_type = bitcoin::TapSighashType::None;
    }
    assert!(matches!(requests[0].signature(&other_type), Err(PsbtError::Unsigned(0))));
}

#[test]
fn a_finished_psbt_counts_as_a_signed_one() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let (presigned, _) = people.presigned(&versions, 1_000, 3);
    let request = Request::withdrawal(presigned.vault(), Held::Staked, elsewhere(), Amount::from_sat(500)).unwrap();
    let signature = answer(&request);
    let mut finished = request.psbt(None);
    finished.inputs[0].final_script_witness = Some(request.complete(&signature).input[0].witness.clone());
    assert_eq!(request.signature(&finished).unwrap(), signature);
}

#[test]
fn a_stake_is_funded_by_native_witness_outputs_only_and_once() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let rules = versions.at(5).unwrap();
    let terms = people.staking_terms(rules, 1_000);
    let mut staking = people.stake(rules, 1_000);
    staking.input[0].witness.clear();
    let mut psbt = Psbt::from_unsigned_tx(staking.clone()).unwrap();
    assert!(matches!(psbt::funded(&psbt, &terms), Err(PsbtError::NotSegwit(0))));
    let coin = |script_pubkey| Some(TxOut { value: Amount::from_sat(150_000_000), script_pubkey });
    psbt.inputs[0].witness_utxo = coin(bitcoin::ScriptBuf::new_p2sh(&bitcoin::ScriptHash::from_raw_hash(
        bitcoin::hashes::Hash::from_byte_array([1; 20]),
    )));
    assert!(matches!(psbt::funded(&psbt, &terms), Err(PsbtError::NotSegwit(0))), "its id would change");
    psbt.inputs[0].witness_utxo = coin(people.wallet.script_pubkey());
    assert_eq!(psbt::funded(&psbt, &terms).unwrap(), (staking, 0));
    let twice = psbt.unsigned_tx.output[0].clone();
    psbt.unsigned_tx.output.push(twice);
    psbt.outputs.push(psbt.outputs[0].clone());
    assert!(matches!(psbt::funded(&psbt, &terms), Err(PsbtError::Outputs(2))));
    psbt.unsigned_tx.output.retain(|output| output.script_pubkey == people.wallet.script_pubkey());
    assert!(matches!(psbt::funded(&psbt, &terms), Err(PsbtError::Outputs(0))));
}

#[test]
fn a_stake_that_a_wallet_signed_is_finished_here_when_the_wallet_did_not() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let rules = versions.at(5).unwrap();
    let mut unsigned = people.stake(rules, 1_000);
    let vault = people.vault(&unsigned, rules, 1_000);
    unsigned.input[0].witness.clear();
    let coin = TxOut { value: Amount::from_sat(150_000_000), script_pubkey: people.wallet.script_pubkey() };
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    psbt.inputs[0].witness_utxo = Some(coin.clone());
    psbt.inputs[0].tap_internal_key = Some(people.wallet.key());
    psbt.inputs[0].tap_key_origins.insert(people.wallet.key(), (vec![], Default::default()));
    assert!(matches!(plan::finished(psbt.clone(), &vault), Err(PsbtError::Unsigned(0))));
    psbt.sign(&wallet_of(1), SECP256K1).unwrap();
    let complete = plan::finished(psbt.clone(), &vault).unwrap();
    assert!(pays(&complete, coin));
    psbt.inputs[0].final_script_witness = Some(complete.input[0].witness.clone());
    psbt.inputs[0].tap_key_sig = None;
    assert_eq!(plan::finished(psbt.clone(), &vault).unwrap(), complete);
    psbt.unsigned_tx.output[0].value -= Amount::ONE_SAT;
    assert!(matches!(plan::finished(psbt, &vault), Err(PsbtError::OtherTransaction)));
}

#[test]
fn what_the_network_does_not_allow_is_refused_before_an_address_is_shown() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let (staker, provider) = (people.wallet.key().to_string(), key(&people.providers[0].public()).to_string());
    let operator = palisade_types::OperatorId::new([9; 20]);
    let choose = |time, fees: &[u64]| {
        plan::Choice::new(&versions, 5, operator, (&staker, std::slice::from_ref(&provider)), time, fees)
    };
    assert!(choose(1_000, &[]).is_ok());
    let refused = |time, fees: &[u64]| choose(time, fees).unwrap_err().to_string();
    assert!(refused(199, &[]).contains("not between 200 and 64000"), "{}", refused(199, &[]));
    assert!(refused(1_000, &[10]).contains("or more"), "{}", refused(1_000, &[10]));
}

#[test]
fn a_foreign_wallet_signs_both_inputs_of_an_expansion() {
    let people = People::new(3, 1);
    let versions = versions(&[people.terms(2, 200, 100)]);
    let (parent, old) = people.presigned(&versions, 1_000, 3);
    let rules = versions.at(5).unwrap();
    let terms = people.staking_terms(rules, 2_000);
    let coin = palisade_bitcoin::expansion::FundingCoin {
        outpoint: bitcoin::OutPoint { txid: block_with(people.stake(rules, 900)).txdata[1].compute_txid(), vout: 1 },
        output: TxOut { value: Amount::from_sat(90_000), script_pubkey: people.wallet.script_pubkey() },
    };
    let rate = bitcoin::FeeRate::from_sat_per_vb_u32(2);
    let staking = palisade_bitcoin::expansion::build(parent.vault(), &terms, &coin, None, rate).unwrap();
    let vault = people.vault(&staking, rules, 2_000);
    let expansion = palisade_bitcoin::expansion::write(parent.draft().id(), &coin).unwrap();
    let draft = people.register(&staking, &vault, (None, Some(expansion)));
    let whole = people.presign(&draft, Some(&old), None, &versions, 3);
    let child = registration::Presigned::check(&whole, Some(&old), &versions).unwrap();

    let request = Request::expansion(child.draft()).unwrap();
    let mut psbt = request.psbt(None);
    psbt.inputs[1].tap_internal_key = Some(people.wallet.key());
    let key = people.wallet.key();
    psbt.inputs[1].tap_key_origins.insert(key, (vec![], Default::default()));
    assert!(matches!(psbt::funding_witness(child.draft(), &psbt), Err(PsbtError::Unsigned(1))));
    psbt.sign(&wallet_of(1), SECP256K1).unwrap();
    let funding = psbt::funding_witness(child.draft(), &psbt).unwrap();
    let complete = child.expand(&request.signature(&psbt).unwrap(), funding).unwrap();
    assert!(core_accepts(&complete, child.draft().expansion().unwrap().spent()));

    let mut wrong = psbt.clone();
    let other = wrong.inputs[0].tap_script_sigs.first_key_value().map(|(_, signature)| *signature);
    wrong.inputs[1].tap_key_sig = other;
    assert!(matches!(psbt::funding_witness(child.draft(), &wrong), Err(PsbtError::Signature(1))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes from outside never panic, and a damaged PSBT never gives another signature than the good one.
    #[test]
    fn a_damaged_psbt_is_refused_or_says_the_same(at in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<bool>()) {
        let people = People::new(1, 1);
        let versions = versions(&[people.terms(1, 200, 100)]);
        let rules = versions.at(5).unwrap();
        let vault = people.vault(&people.stake(rules, 1_000), rules, 1_000);
        let request = &Request::slashings(&vault)[0];
        let good = signed_by(1, request);
        let mut bytes = good.serialize();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        if let Ok(signature) = psbt::read(&bytes).and_then(|psbt| request.signature(&psbt)) {
            prop_assert_eq!(signature, request.signature(&good).unwrap());
        }
    }

    #[test]
    fn any_bytes_are_a_psbt_or_a_named_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut framed = b"psbt\xff".to_vec();
        framed.extend(bytes);
        let _ = psbt::read(&framed);
        prop_assert!(matches!(psbt::read(&vec![0; psbt::MAX_PSBT_BYTES + 1]), Err(PsbtError::TooLarge(_))));
    }
}
