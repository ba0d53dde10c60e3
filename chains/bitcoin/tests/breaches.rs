//! R27: a covenant member who lets coins go where no slash reaches them is found out by his own signature, and nobody else is.
#![allow(clippy::unwrap_used)]

mod stake;

use bitcoin::hashes::Hash as _;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Txid, Witness};
use palisade_bitcoin::breach::{self, Breach, BreachError};
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::scripts::Leaf;
use palisade_bitcoin::vault::{CheckedVault, Held, Versions};
use palisade_bitcoin::watch::{self, Classified};
use palisade_crypto::eots;
use palisade_types::vault::Spend;
use palisade_types::{Sats, SchnorrKey, VaultRegistration};
use proptest::prelude::*;
use stake::{People, core_accepts, elsewhere, key, ladder, secret};

const QUORUM: u8 = 2;

/// Three members, two providers, and two versions of terms with the same covenant that differ in all a version can.
fn world() -> (People, Versions) {
    let people = People::new(3, 2);
    let mut later = people.terms(QUORUM, 100, 30);
    (later.activation, later.unbonding_fee, later.slash_rate) =
        (6, Sats::new(2_000), palisade_types::BasisPoints::new(2_000).unwrap());
    let versions = stake::versions(&[people.terms(QUORUM, 100, 20), later]);
    (people, versions)
}

/// The same coins registered under `version` with the ladder of `fees`, presigned by `members`.
fn registered(people: &People, versions: &Versions, version: u16, fees: &[Amount], members: &[usize]) -> Presigned {
    let rules = versions.rules(version).unwrap();
    let staking = people.stake(versions.rules(0).unwrap(), 128);
    let vault = CheckedVault::check(&staking, 0, people.staking_terms(rules, 128), fees, rules).unwrap();
    let draft = people.register(&staking, &vault, (None, None));
    let mut session = palisade_bitcoin::covenant::Presigning::open(&draft, None, versions).unwrap();
    for member in members {
        session.take(people.members[*member].presign(&draft, None, None, versions).unwrap()).unwrap();
    }
    let whole: VaultRegistration = session.finish(versions).unwrap();
    Presigned::check(&whole, None, versions).unwrap()
}

fn member_secret(member: &SchnorrKey) -> eots::SecretKey {
    (10..13).map(secret).find(|secret| secret.public().to_bytes() == *member.as_bytes()).unwrap()
}

fn suspect(vault: &CheckedVault, versions: &Versions, transaction: &Transaction) -> Option<Classified> {
    let classified = watch::classify(vault, transaction, false).unwrap();
    breach::is_suspect(vault, versions, transaction, &classified).then_some(classified)
}

/// A spend of the staking output through `leaf`, signed by the staker, these covenant members and, for the slashing leaf, a provider.
fn collude(
    people: &People,
    vault: &CheckedVault,
    leaf: &Leaf,
    (outputs, others): (Vec<TxOut>, Vec<TxOut>),
    guilty: &[SchnorrKey],
    covers: TapSighashType,
) -> (Transaction, Vec<TxOut>) {
    let input = |previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let funding = (0..).map(|vout| OutPoint { txid: Txid::from_byte_array([5; 32]), vout });
    let mut transaction = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: std::iter::once(vault.outpoint()).chain(funding.take(others.len())).map(input).collect(),
        output: outputs,
    };
    let spent: Vec<TxOut> = std::iter::once(vault.spent(Held::Staked)).chain(others).collect();
    let message = SighashCache::new(&transaction)
        .taproot_script_spend_signature_hash(0, &Prevouts::All(&spent), leaf.hash(), covers)
        .unwrap()
        .to_byte_array();
    let sign = |secret: &eots::SecretKey| {
        let mut signature = secret.sign_schnorr(&message).to_vec();
        signature.extend((covers != TapSighashType::Default).then_some(covers as u8));
        signature
    };
    let mut witness = Witness::new();
    for member in vault.terms().covenant().iter().rev().map(|member| SchnorrKey::new(member.serialize())) {
        witness.push(if guilty.contains(&member) { sign(&member_secret(&member)) } else { Vec::new() });
    }
    if leaf == vault.slashing_leaf(Held::Staked) {
        let helper = vault.terms().providers()[0];
        for provider in vault.terms().providers().iter().rev() {
            let secret = people.providers.iter().find(|secret| key(&secret.public()) == *provider).unwrap();
            witness.push(if *provider == helper { sign(secret) } else { Vec::new() });
        }
    }
    witness.push(sign(people.wallet.secret()));
    witness.push(leaf.script.as_bytes());
    witness.push(leaf.control_block.serialize());
    transaction.input[0].witness = witness;
    (transaction, spent)
}

fn out(value: Amount, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value, script_pubkey }
}

fn names(breaches: &[Breach]) -> Vec<SchnorrKey> {
    breaches.iter().map(|breach| breach.member).collect()
}

/// Everything an honest member ever signed for these coins, of whatever registration of them, is no breach of the one that stands.
#[test]
fn r27_what_honest_members_sign_is_never_a_breach() {
    let (people, versions) = world();
    let other_fees = [Amount::from_sat(3_000), Amount::from_sat(9_000), Amount::from_sat(30_000)];
    let presigned = [
        registered(&people, &versions, 0, &ladder(), &[0, 1]),
        registered(&people, &versions, 0, &other_fees, &[1, 2]),
        registered(&people, &versions, 1, &ladder(), &[0, 1, 2]),
    ];
    let mut unexpected = 0;
    for stands in &presigned {
        let vault = stands.vault();
        for signed in &presigned {
            let unbonding = people.wallet.unbond(signed).unwrap();
            assert_eq!(suspect(vault, &versions, &unbonding), None);
            unexpected += u32::from(watch::classify(vault, &unbonding, false).unwrap().covenant.len() == 2);
            for (index, slashing) in signed.vault().slashings().iter().enumerate() {
                for provider in &people.providers {
                    let slash = signed.slash(index, provider).unwrap();
                    assert!(core_accepts(&slash, &[signed.vault().spent(slashing.held)]));
                    if watch::classify(vault, &slash, false).is_some() {
                        assert_eq!(suspect(vault, &versions, &slash), None);
                    }
                }
            }
        }
        assert_eq!(vault.id(), presigned[0].vault().id(), "the same coins");
    }
    assert!(unexpected > 0, "some of it looks unexpected");
}

#[test]
fn r27_an_expansion_is_a_breach_only_while_nobody_registered_it() {
    let (people, versions) = world();
    let parent = registered(&people, &versions, 0, &ladder(), &[0, 1]);
    let vault = parent.vault();
    let leaf = vault.staking_output().unbonding.clone();
    let funding = out(Amount::from_sat(70_000), elsewhere());
    let guilty: Vec<_> = vault.terms().covenant()[..2].iter().map(|one| SchnorrKey::new(one.serialize())).collect();
    let outputs = vec![out(vault.value(), vault.staking_output().script_pubkey.clone())];
    let (grown, spent) = collude(&people, vault, &leaf, (outputs, vec![funding]), &guilty, TapSighashType::Default);
    let classified = suspect(vault, &versions, &grown).unwrap();
    let breaches = breach::prove(vault, &grown, &classified, &spent).unwrap();
    assert_eq!(names(&breaches), guilty);
    // A false word for what the other input spends convicts nobody, and is noticed.
    let mut false_word = spent.clone();
    false_word[1].value = Amount::from_sat(69_999);
    assert!(matches!(breach::prove(vault, &grown, &classified, &false_word), Err(BreachError::Signature(_))));
    assert_eq!(breach::prove(vault, &grown, &classified, &spent[..1]), Err(BreachError::OtherOutputs));
    // The ledger holds it: then it is what it is.
    let registered = watch::classify(vault, &grown, true).unwrap();
    assert!(matches!(registered.spend, Spend::Expanded(_)) && registered.covenant.is_empty());
    assert!(!breach::is_suspect(vault, &versions, &grown, &registered));
}

#[test]
fn r27_whoever_signs_the_coins_away_is_named_by_whichever_leaf_and_whatever_his_signature_covers() {
    let (people, versions) = world();
    let stands = registered(&people, &versions, 0, &ladder(), &[0, 1]);
    let vault = stands.vault();
    let all: Vec<_> = vault.terms().covenant().iter().map(|one| SchnorrKey::new(one.serialize())).collect();
    let sink = ScriptBuf::from_bytes(stake::SINK.to_vec());
    let unbonded = vault.unbonding_output().script_pubkey.clone();
    let less = vault.value() - Amount::from_sat(1_000);
    // A fee one satoshi off, somebody's address, less than the least any version takes: none of it an honest member signs.
    let escapes = [
        vec![out(less, elsewhere())],
        vec![out(less - Amount::from_sat(1), unbonded.clone())],
        vec![out(Amount::from_sat(9_999_999), sink.clone()), out(Amount::from_sat(80_000_000), elsewhere())],
        vec![out(less, unbonded), out(Amount::ZERO, elsewhere())],
    ];
    for leaf in [vault.staking_output().unbonding.clone(), vault.slashing_leaf(Held::Staked).clone()] {
        for covers in [TapSighashType::Default, TapSighashType::All, TapSighashType::SinglePlusAnyoneCanPay] {
            for outputs in &escapes {
                let guilty = [all[0], all[2]];
                let (spend, spent) = collude(&people, vault, &leaf, (outputs.clone(), vec![]), &guilty, covers);
                assert!(core_accepts(&spend, &spent), "it could stand in a block");
                let classified = suspect(vault, &versions, &spend).unwrap();
                assert!(matches!(classified.spend, Spend::Unexpected(_)));
                assert_eq!(names(&breach::prove(vault, &spend, &classified, &spent).unwrap()), guilty);
            }
        }
    }
    // Whoever takes as much as a slash does no harm by the slashing leaf, and all the same by the other.
    let paid = vec![out(Amount::from_sat(10_000_000), sink), out(Amount::from_sat(80_000_000), elsewhere())];
    let of = |leaf: &Leaf| {
        let (spend, _) = collude(&people, vault, leaf, (paid.clone(), vec![]), &all[..2], TapSighashType::Default);
        suspect(vault, &versions, &spend).is_some()
    };
    assert!(!of(vault.slashing_leaf(Held::Staked)));
    assert!(of(&vault.staking_output().unbonding));
}

/// A version with another covenant excuses nobody: its members are not asked by this vault's script.
#[test]
fn r27_terms_with_another_covenant_are_no_excuse() {
    let people = People::new(3, 2);
    let mut later = people.terms(3, 100, 30);
    later.activation = 6;
    let versions = stake::versions(&[people.terms(QUORUM, 100, 20), later]);
    let stands = registered(&people, &versions, 0, &ladder(), &[0, 1]);
    let vault = stands.vault();
    let rules = versions.rules(1).unwrap();
    let escape =
        out(vault.value() - Amount::from_sat(1_000), people.staking_terms(rules, 128).unbonding_output().script_pubkey);
    let guilty: Vec<_> = vault.terms().covenant()[1..].iter().map(|one| SchnorrKey::new(one.serialize())).collect();
    let leaf = vault.staking_output().unbonding.clone();
    let (spend, spent) = collude(&people, vault, &leaf, (vec![escape], vec![]), &guilty, TapSighashType::Default);
    let classified = suspect(vault, &versions, &spend).unwrap();
    assert_eq!(names(&breach::prove(vault, &spend, &classified, &spent).unwrap()), guilty);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is spent, exactly those are named who signed it, and who did not can be named by no change of the witness.
    #[test]
    fn r27_nobody_is_named_who_did_not_sign(
        guilty in prop::collection::btree_set(0_usize..3, 1..=3),
        values in prop::collection::vec(1_000_u64..90_000_000, 1..4),
        by_slashing_leaf: bool,
        moved in 0_usize..3,
    ) {
        let (people, versions) = world();
        let stands = registered(&people, &versions, 0, &ladder(), &[0, 1]);
        let vault = stands.vault();
        let all: Vec<_> = vault.terms().covenant().iter().map(|one| SchnorrKey::new(one.serialize())).collect();
        let named: Vec<_> = guilty.iter().map(|at| all[*at]).collect();
        let leaf = match by_slashing_leaf {
            true => vault.slashing_leaf(Held::Staked).clone(),
            false => vault.staking_output().unbonding.clone(),
        };
        let outputs = values.iter().map(|value| out(Amount::from_sat(*value), elsewhere())).collect();
        let (spend, spent) = collude(&people, vault, &leaf, (outputs, vec![]), &named, TapSighashType::Default);
        let classified = suspect(vault, &versions, &spend).unwrap();
        let breaches = breach::prove(vault, &spend, &classified, &spent).unwrap();
        prop_assert_eq!(names(&breaches), named.clone());
        // Somebody's signature in another one's slot is nobody's.
        let mut items: Vec<Vec<u8>> = spend.input[0].witness.iter().map(<[u8]>::to_vec).collect();
        items.swap(moved, (moved + 1) % 3);
        let mut forged = spend.clone();
        forged.input[0].witness = Witness::from_slice(&items);
        let classified = watch::classify(vault, &forged, false).unwrap();
        if let Ok(breaches) = breach::prove(vault, &forged, &classified, &spent) {
            prop_assert!(names(&breaches).iter().all(|name| named.contains(name)));
        }
    }
}
