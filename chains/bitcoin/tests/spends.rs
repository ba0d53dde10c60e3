//! Every spend we build, judged by Bitcoin Core's script verifier; and what is refused before anybody signs.
#![allow(clippy::unwrap_used)]

mod stake;

use bitcoin::consensus::encode;
use bitcoin::{Amount, Sequence, Transaction, TxOut};
use palisade_bitcoin::covenant::{Presigning, Progress};
use palisade_bitcoin::inclusion::MerkleProof;
use palisade_bitcoin::registration::{Draft, Presigned, RegistrationError};
use palisade_bitcoin::scripts::{StakingTerms, TermsError};
use palisade_bitcoin::slash::SlashError;
use palisade_bitcoin::staker::StakerError;
use palisade_bitcoin::vault::{CheckedVault, Held, VaultError, VaultRules, Versions};
use palisade_bitcoin::{check_registration, watch};
use palisade_types::vault::{Spend, VaultLoss};
use palisade_types::{Blob, Canonical as _, Hash, List, Sats, SchnorrKey, VaultRegistration};
use stake::{People, core_accepts, elsewhere, key, secret};

/// Covenants of 2 of 3, 1 of 1 and 5 of 9, with one and two providers: single keys collapse, several are counted.
fn worlds() -> Vec<(People, Versions)> {
    [(3, 2, 1), (1, 1, 1), (9, 5, 2), (3, 2, 2)]
        .into_iter()
        .map(|(members, quorum, providers)| {
            let people = People::new(members, providers);
            let versions = stake::versions(&[people.terms(quorum, 100, 20)]);
            (people, versions)
        })
        .collect()
}

#[test]
fn every_slashing_transaction_completes_with_any_providers_key_and_no_other() {
    for (people, versions) in worlds() {
        let quorum = usize::from(versions.at(5).unwrap().quorum());
        let (presigned, _) = people.presigned(&versions, 128, quorum);
        let vault = presigned.vault();
        for (index, slashing) in vault.slashings().iter().enumerate() {
            for provider in &people.providers {
                let complete = presigned.slash(index, provider).unwrap();
                let spent = [vault.spent(slashing.held)];
                assert!(core_accepts(&complete, &spent));
                assert_eq!(complete.compute_txid(), slashing.transaction.compute_txid());
                refuses_what_is_one_step_off(&complete, &spent, vault.terms());
                let recovered = watch::exposed(&presigned, &complete).unwrap();
                assert_eq!(recovered.public(), provider.public());
            }
            assert_eq!(presigned.slash(index, &secret(99)), Err(SlashError::NotAProvider));
        }
    }
}

/// The staker's signature gone, one covenant signature fewer, the slots the other way round.
fn refuses_what_is_one_step_off(complete: &Transaction, spent: &[TxOut], terms: &StakingTerms) {
    let items: Vec<Vec<u8>> = complete.input[0].witness.iter().map(<[u8]>::to_vec).collect();
    let members = terms.covenant().len();
    let with = |items: &[Vec<u8>]| {
        let mut changed = complete.clone();
        changed.input[0].witness = bitcoin::Witness::from_slice(items);
        core_accepts(&changed, spent)
    };
    assert!(with(&items));
    let mut fewer = items.clone();
    fewer[..members].iter_mut().find(|slot| !slot.is_empty()).unwrap().clear();
    assert!(!with(&fewer));
    let mut reversed = items.clone();
    reversed[..members].reverse();
    assert_eq!(with(&reversed), members == 1);
    let mut silent = items.clone();
    let staker = items.len() - 3;
    silent[staker].clear();
    assert!(!with(&silent));
    let mut cheaper = complete.clone();
    cheaper.output[0].value -= Amount::from_sat(1);
    assert!(!core_accepts(&cheaper, spent));
}

#[test]
fn a_staker_unbonds_with_exactly_a_quorum_and_withdraws_alone_after_the_lock() {
    for (people, versions) in worlds() {
        let all = people.members.len();
        let (presigned, _) = people.presigned(&versions, 128, all);
        let vault = presigned.vault();
        let unbonding = people.wallet.unbond(&presigned).unwrap();
        let staked = [vault.spent(Held::Staked)];
        assert!(core_accepts(&unbonding, &staked));
        refuses_what_is_one_step_off(&unbonding, &staked, vault.terms());
        for held in [Held::Staked, Held::Unbonding] {
            let withdrawal = people.wallet.withdraw(vault, held, elsewhere(), Amount::from_sat(500)).unwrap();
            locked(&withdrawal, &[vault.spent(held)], vault.timelock_leaf(held).1);
        }
        let change = people.wallet.withdraw_change(vault, 1, elsewhere(), Amount::from_sat(500)).unwrap();
        locked(&change, &[vault.slashings()[1].transaction.output[1].clone()], vault.terms().unbonding_time());
    }
}

/// Valid as it is; the sequence is covered by the signature, so one block less fails either way.
fn locked(withdrawal: &Transaction, spent: &[TxOut], blocks: u16) {
    assert_eq!(withdrawal.input[0].sequence, Sequence::from_height(blocks));
    assert!(core_accepts(withdrawal, spent));
    let mut early = withdrawal.clone();
    early.input[0].sequence = Sequence::from_height(blocks - 1);
    assert!(!core_accepts(&early, spent));
}

#[test]
fn a_staking_transaction_is_signed_by_the_key_path_and_keeps_the_change() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let staking = people.stake(rules, 128);
    let coin = TxOut { value: Amount::from_sat(150_000_000), script_pubkey: people.wallet.script_pubkey() };
    assert!(core_accepts(&staking, std::slice::from_ref(&coin)));
    assert_eq!(staking.output[1].script_pubkey, people.wallet.script_pubkey());
    let fee = coin.value - staking.output.iter().map(|output| output.value).sum::<Amount>();
    assert_eq!(fee.to_sat(), staking.weight().to_vbytes_ceil() * 2, "the fee is the rate times the size");
    let terms = people.staking_terms(rules, 128);
    let poor = people.wallet.stake(&[], &terms, Amount::from_sat(1), bitcoin::FeeRate::BROADCAST_MIN);
    assert_eq!(poor, Err(StakerError::NotEnough { held: Amount::ZERO, needed: Amount::from_sat(1) }));
}

#[test]
fn r28_a_vault_pins_one_slashing_transaction_per_rung_and_output() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let staking = people.stake(rules, 128);
    let vault = people.vault(&staking, rules, 128);
    let held: Vec<_> = vault.slashings().iter().map(|slashing| (slashing.held, slashing.rung)).collect();
    assert_eq!(held, [(Held::Staked, 0), (Held::Staked, 1), (Held::Unbonding, 0), (Held::Unbonding, 1)]);
    for slashing in vault.slashings() {
        let value = vault.spent(slashing.held).value;
        let [sink, change] = &slashing.transaction.output[..] else { panic!("two outputs") };
        assert_eq!(sink.value.to_sat(), value.to_sat() / 10, "a tenth, rounded down");
        assert_eq!(value - sink.value - change.value, stake::ladder()[slashing.rung]);
    }
    let complete = people.presigned(&versions, 128, 2).0.slash(1, &people.providers[0]).unwrap();
    let real = Amount::from_sat(20_000) / complete.weight();
    assert_eq!(vault.rate(&vault.slashings()[1]), real.to_sat_per_kwu());
    let rates = [1, 3].map(|dearest: usize| vault.rate(&vault.slashings()[dearest]));
    assert_eq!(vault.top_rate(), rates[0].min(rates[1]));
}

#[test]
fn terms_with_repeated_missing_or_too_many_keys_are_refused() {
    let keys = |numbers: std::ops::Range<u8>| numbers.map(|number| key(&secret(number).public())).collect::<Vec<_>>();
    let staker = key(&secret(1).public());
    let new = |providers: Vec<_>, covenant: Vec<_>, quorum, time| {
        StakingTerms::new(staker, providers, covenant, quorum, time, 20)
    };
    assert!(new(keys(2..3), keys(10..13), 2, 1).is_ok());
    assert!(matches!(
        new(keys(2..2), keys(10..13), 2, 1),
        Err(TermsError::KeyCount { list: "provider", count: 0, .. })
    ));
    assert!(matches!(
        new(keys(2..12), keys(20..23), 2, 1),
        Err(TermsError::KeyCount { list: "provider", count: 10, .. })
    ));
    assert!(matches!(new(keys(2..3), keys(10..50), 2, 1), Err(TermsError::KeyCount { list: "covenant", .. })));
    assert_eq!(new(keys(2..3), keys(10..13), 0, 1), Err(TermsError::Quorum { quorum: 0, members: 3 }));
    assert_eq!(new(keys(2..3), keys(10..13), 4, 1), Err(TermsError::Quorum { quorum: 4, members: 3 }));
    assert_eq!(new(keys(1..2), keys(10..13), 2, 1), Err(TermsError::Repeated(staker)));
    assert!(matches!(new(keys(10..11), keys(10..13), 2, 1), Err(TermsError::Repeated(_))));
    assert!(matches!(new([keys(2..3), keys(2..3)].concat(), keys(10..13), 2, 1), Err(TermsError::Repeated(_))));
    assert_eq!(new(keys(2..3), keys(10..13), 2, 0), Err(TermsError::NoTime));
    let sorted = new(keys(2..4), keys(10..13), 2, 1).unwrap();
    let mut turned = keys(10..13);
    turned.reverse();
    assert_eq!(new(keys(2..4), turned, 2, 1).unwrap(), sorted, "the order of keys says nothing");
}

#[test]
fn an_output_is_a_vault_only_under_the_networks_own_rules() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let staking = people.stake(rules, 128);
    let terms = |time| people.staking_terms(rules, time);
    let check = |staking: &Transaction, index, terms, fees: &[u64]| {
        let fees: Vec<_> = fees.iter().copied().map(Amount::from_sat).collect();
        CheckedVault::check(staking, index, terms, &fees, rules).map(drop)
    };
    assert_eq!(check(&staking, 0, terms(128), &[1_000]), Ok(()));
    assert_eq!(check(&staking, 1, terms(128), &[1_000]), Err(VaultError::OtherScript(1)));
    assert_eq!(check(&staking, 2, terms(128), &[1_000]), Err(VaultError::NoOutput(2)));
    assert_eq!(check(&staking, 0, terms(129), &[1_000]), Err(VaultError::OtherScript(0)));
    assert_eq!(
        check(&staking, 0, terms(99), &[1_000]),
        Err(VaultError::StakingTime { blocks: 99, least: 100, most: 64_000 })
    );
    for fees in [&[][..], &[999], &[1_000, 1_000], &[2_000, 1_000], &[1_000; 9]] {
        assert_eq!(check(&staking, 0, terms(128), fees), Err(VaultError::Ladder { least: Amount::from_sat(1_000) }));
    }
    assert!(matches!(
        check(&staking, 0, terms(128), &[90_000_000]),
        Err(VaultError::TooSmall { transaction: "slashing", .. })
    ));
    let mut small = staking.clone();
    small.output[0].value = Amount::from_sat(49_999);
    assert_eq!(
        check(&small, 0, terms(128), &[1_000]),
        Err(VaultError::Value { value: Amount::from_sat(49_999), least: Amount::from_sat(50_000) })
    );
    let mut coinbase = staking.clone();
    coinbase.input[0].previous_output = bitcoin::OutPoint::null();
    assert_eq!(check(&coinbase, 0, terms(128), &[1_000]), Err(VaultError::Coinbase));
    let other = VaultRules::new(0, &people.terms(3, 100, 20)).unwrap();
    let foreign = other.terms(people.wallet.key(), vec![key(&people.providers[0].public())], 128).unwrap();
    assert_eq!(check(&staking, 0, foreign, &[1_000]), Err(VaultError::Foreign("quorum")));
}

#[test]
fn rules_that_could_never_slash_do_not_start_a_network() {
    let people = People::new(3, 1);
    let with = |change: fn(&mut palisade_types::genesis::VaultTerms)| {
        let mut terms = people.terms(2, 100, 20);
        change(&mut terms);
        VaultRules::new(0, &terms).map(drop)
    };
    assert!(with(|_| ()).is_ok());
    assert!(with(|terms| terms.slash_rate = palisade_types::BasisPoints::new(0).unwrap()).is_err());
    assert!(with(|terms| terms.slash_rate = palisade_types::BasisPoints::new(10_000).unwrap()).is_err());
    assert!(with(|terms| terms.min_slash_fee = Sats::new(0)).is_err());
    assert!(with(|terms| terms.slash_script = Blob::default()).is_err());
    let owned = |terms: &mut palisade_types::genesis::VaultTerms| {
        terms.slash_script = Blob::try_from(elsewhere().to_bytes()).unwrap();
    };
    assert_eq!(with(owned), Err(palisade_bitcoin::vault::RulesError::SpendableSink), "r08: somebody's address");
    assert!(with(|terms| terms.quorum = 1).is_err(), "half of three is no majority");
    assert!(with(|terms| terms.min_stake = Sats::new(1_500)).is_err(), "nothing left for the change");
    assert!(with(|terms| terms.unbonding_fee = Sats::new(49_900)).is_err(), "an unbonding output of dust");
}

#[test]
fn r28_a_registration_counts_only_when_a_quorum_signed_every_transaction() {
    let (people, versions) = worlds().remove(3);
    let eots = SchnorrKey::new(people.providers[0].public().to_bytes());
    let (presigned, whole) = people.presigned(&versions, 128, 2);
    assert_eq!(check_registration(&whole, None, &versions, &eots, true), Ok(presigned.draft().id()));
    assert_eq!(VaultRegistration::from_bytes(&whole.to_bytes()).unwrap(), whole);
    let refused = |change: &dyn Fn(&mut VaultRegistration)| {
        let mut changed = whole.clone();
        change(&mut changed);
        assert_ne!(changed, whole, "the change changes nothing");
        check_registration(&changed, None, &versions, &eots, true).unwrap_err()
    };
    let others =
        |r: &VaultRegistration| r.providers.iter().copied().filter(|provider| *provider != eots).collect::<Vec<_>>();
    assert_eq!(refused(&|r| r.providers = List::try_from(others(r)).unwrap()), RegistrationError::NotTheOperator);
    assert_eq!(refused(&|r| r.providers.as_mut_slice().reverse()), RegistrationError::Unsorted);
    assert_eq!(refused(&|r| r.staker = SchnorrKey::new([0xff; 32])), RegistrationError::Key("staker"));
    assert_eq!(refused(&|r| r.staking_time = 129), RegistrationError::Vault(VaultError::OtherScript(0)));
    assert_eq!(refused(&|r| r.output = 9), RegistrationError::Vault(VaultError::NoOutput(9)));
    assert!(matches!(refused(&|r| r.amount = Sats::new(1)), RegistrationError::Amount { .. }));
    assert_eq!(refused(&|r| r.staking = Blob::default()), RegistrationError::NotATransaction("staking"));
    assert!(matches!(
        refused(&|r| r.unbonding = r.staking.clone()),
        RegistrationError::Vault(VaultError::OtherTransaction { .. })
    ));
    assert!(matches!(refused(&|r| r.slashings = List::new()), RegistrationError::Vault(VaultError::Ladder { .. })));
    assert!(matches!(
        refused(&|r| r.unbonding_slashings = List::new()),
        RegistrationError::Vault(VaultError::SlashingCount { given: 2, wanted: 4 })
    ));
    assert!(matches!(refused(&|r| swap_slashings(r)), RegistrationError::Vault(VaultError::Ladder { .. })));
    assert_eq!(
        refused(&|r| r.slashings.as_mut_slice()[1].staker = r.slashings[0].staker),
        RegistrationError::Staker(1)
    );
    assert_eq!(refused(&|r| r.unbonding_covenant.as_mut_slice().reverse()), RegistrationError::NotMembers);
    let one = |r: &VaultRegistration| List::try_from(vec![r.unbonding_covenant[0]]).unwrap();
    assert_eq!(refused(&|r| r.unbonding_covenant = one(r)), RegistrationError::NoQuorum { signed: 1, quorum: 2 });
    assert!(matches!(
        refused(&|r| r.unbonding_covenant.as_mut_slice()[0].signature = r.slashings[0].staker),
        RegistrationError::Unbonding(_)
    ));
    assert!(matches!(
        refused(&|r| r.slashings.as_mut_slice()[0].covenant = r.slashings[1].covenant.clone()),
        RegistrationError::Adaptor { index: 0, .. }
    ));
    assert!(matches!(
        refused(&|r| r.unbonding_slashings.as_mut_slice()[1].covenant = List::new()),
        RegistrationError::NoQuorum { signed: 0, quorum: 2 }
    ));
    assert!(matches!(
        refused(&|r| r.slashings.as_mut_slice()[0].covenant.as_mut_slice().swap(0, 1)),
        RegistrationError::Adaptor { index: 0, .. }
    ));
    assert!(matches!(refused(&|r| r.top_rate += 1), RegistrationError::TopRate { .. }));
    assert_eq!(refused(&|r| r.terms = 1), RegistrationError::UnknownTerms(1));
    assert_eq!(refused(&|r| r.endorsements = List::new()), RegistrationError::NoQuorum { signed: 0, quorum: 2 });
}

#[test]
fn a_quorum_endorses_one_operator_and_one_block_and_no_copy_with_others() {
    let (people, versions) = worlds().remove(0);
    let (_, whole) = people.presigned(&versions, 128, 2);
    let changes: [fn(&mut VaultRegistration); 4] = [
        |r| r.operator = palisade_types::OperatorId::new([8; 20]),
        |r| r.inclusion.as_mut().unwrap().height = 6,
        |r| r.inclusion.as_mut().unwrap().block = Hash::ZERO,
        |r| r.inclusion = None,
    ];
    for change in changes {
        let mut copy = whole.clone();
        change(&mut copy);
        let refused = Presigned::check(&copy, None, &versions);
        assert!(matches!(refused, Err(RegistrationError::Endorsement(_))));
    }
    let terms = people.terms(2, 100, 20);
    let elsewhere = Versions::new(palisade_types::ChainId::new([4; 32]), &[terms]).unwrap();
    assert!(matches!(Presigned::check(&whole, None, &elsewhere), Err(RegistrationError::Endorsement(_))));
}

#[test]
fn a_vault_keeps_the_terms_of_the_height_that_holds_its_coins() {
    let people = People::new(3, 1);
    let (old, mut new) = (people.terms(2, 100, 20), people.terms(3, 100, 30));
    new.activation = 6;
    let versions = stake::versions(&[old, new]);
    let rules = |version| versions.rules(version).unwrap();
    assert_eq!(versions.at(5), Some(rules(0)));
    assert_eq!(versions.at(6), Some(rules(1)));
    let (_, whole) = people.presigned(&versions, 128, 3);
    assert_eq!(whole.terms, 0);
    let mut late = whole.clone();
    late.inclusion.as_mut().unwrap().height = 6;
    let refused = Draft::check(&late, None, &versions);
    assert_eq!(refused, Err(RegistrationError::OtherTerms { named: 0, height: 6 }));
    let mut renamed = late;
    renamed.terms = 1; // another covenant, another unbonding time: another vault
    assert!(matches!(Draft::check(&renamed, None, &versions), Err(RegistrationError::Vault(_))));
}

fn swap_slashings(registration: &mut VaultRegistration) {
    registration.slashings.as_mut_slice().swap(0, 1);
}

#[test]
fn a_covenant_member_signs_only_what_he_checked_himself() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let staking = people.stake(rules, 128);
    let vault = people.vault(&staking, rules, 128);
    let block = stake::block_with(staking.clone());
    let proof = MerkleProof::of(&block, 1).unwrap();
    let draft = people.draft(&staking, &vault, &proof, (block.block_hash(), 5));
    let member = &people.members[0];
    assert!(member.presign(&draft, None, Some(&block.header), &versions).is_ok());
    let elsewhere = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    assert_eq!(member.presign(&draft, None, Some(&elsewhere), &versions), Err(RegistrationError::OtherBlock));
    assert_eq!(member.presign(&draft, None, None, &versions), Err(RegistrationError::Unseen));
    let mut shifted = draft.clone();
    shifted.inclusion.as_mut().unwrap().index = 3;
    let refused = member.presign(&shifted, None, Some(&block.header), &versions);
    assert!(matches!(refused, Err(RegistrationError::Inclusion(_))));
    let stranger = palisade_bitcoin::covenant::Member::new(secret(200));
    assert_eq!(stranger.presign(&draft, None, Some(&block.header), &versions), Err(RegistrationError::NotMembers));
    assert!(Draft::check(&draft, None, &versions).unwrap().check_inclusion(&block.header).is_ok());
}

/// R32's other side: a staker locks his coins only when everything that can take them is signed.
#[test]
fn a_member_signs_before_the_coins_are_locked_and_the_block_is_named_later() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let mut unsigned = people.stake(rules, 128);
    let signed = unsigned.clone();
    unsigned.input[0].witness.clear(); // the staker keeps his signature until then
    let ahead = people.register(&unsigned, &people.vault(&unsigned, rules, 128), (None, None));
    let whole = people.presign(&ahead, None, None, &versions, 2);
    let presigned = Presigned::check(&whole, None, &versions).unwrap();
    assert_eq!(presigned.draft().inclusion(), None);
    let block = stake::block_with(signed);
    assert_eq!(presigned.draft().check_inclusion(&block.header), Err(RegistrationError::Unseen));
    assert_eq!(block.txdata[1].compute_txid(), unsigned.compute_txid());
    // With a block it is another registration, and endorsed anew.
    let mut known = whole.clone();
    let proof = MerkleProof::of(&block, 1).unwrap();
    known.inclusion = Some(palisade_bitcoin::registration::inclusion(&proof, block.block_hash(), 5).unwrap());
    assert!(matches!(Presigned::check(&known, None, &versions), Err(RegistrationError::Endorsement(_))));
    let known = people.presign(&known, None, Some(&block.header), &versions, 2);
    assert!(Presigned::check(&known, None, &versions).is_ok());
}

#[test]
fn a_session_counts_good_answers_once_and_bad_ones_never() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let staking = people.stake(rules, 128);
    let vault = people.vault(&staking, rules, 128);
    let block = stake::block_with(staking.clone());
    let proof = MerkleProof::of(&block, 1).unwrap();
    let draft = people.draft(&staking, &vault, &proof, (block.block_hash(), 5));
    let answer = |number: usize| people.members[number].presign(&draft, None, Some(&block.header), &versions).unwrap();
    let mut session = Presigning::open(&draft, None, &versions).unwrap();
    let waiting = Progress::Waiting { signed: 1, quorum: 2 };
    assert_eq!(session.take(answer(0)), Ok(waiting));
    assert_eq!(session.take(answer(0)), Ok(waiting), "the same member again");
    assert_eq!(session.finish(&versions), Err(RegistrationError::NoQuorum { signed: 1, quorum: 2 }));
    let mut posing = answer(0);
    posing.member = answer(1).member;
    assert!(matches!(session.take(posing), Err(RegistrationError::Unbonding(_))));
    let mut short = answer(1);
    short.slashings = List::try_from(short.slashings[..3].to_vec()).unwrap();
    assert!(matches!(session.take(short), Err(RegistrationError::Adaptor { index: 3, .. })));
    let mut mixed = answer(1);
    mixed.slashings.as_mut_slice().swap(0, 2);
    assert!(matches!(session.take(mixed), Err(RegistrationError::Adaptor { index: 0, .. })));
    let mut unendorsed = answer(1);
    unendorsed.endorsement = unendorsed.unbonding;
    assert!(matches!(session.take(unendorsed), Err(RegistrationError::Endorsement(_))));
    let mut moving = answer(1);
    moving.expansion = Some(moving.unbonding);
    assert!(matches!(session.take(moving), Err(RegistrationError::FirstInput(_))), "there is nothing to move");
    assert_eq!(session.progress(), waiting);
    let bytes = answer(1).to_bytes();
    assert_eq!(session.take(palisade_bitcoin::covenant::Answer::from_bytes(&bytes).unwrap()), Ok(Progress::Complete));
    assert!(Presigned::check(&session.finish(&versions).unwrap(), None, &versions).is_ok());
}

#[test]
fn r27_every_spend_of_a_vault_is_named_for_what_it_is() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let (presigned, _) = people.presigned(&versions, 128, 3);
    let vault = presigned.vault();
    let of = |transaction: &Transaction| watch::classify(vault, transaction, false);
    let id = |transaction: &Transaction| Hash::new(*AsRef::<[u8; 32]>::as_ref(&transaction.compute_txid()));
    let unbonding = people.wallet.unbond(&presigned).unwrap();
    assert_eq!(of(&unbonding).unwrap().spend, Spend::Unbonded(id(&unbonding)));
    for held in [Held::Staked, Held::Unbonding] {
        let withdrawal = people.wallet.withdraw(vault, held, elsewhere(), Amount::from_sat(500)).unwrap();
        let seen = of(&withdrawal).unwrap();
        assert_eq!((seen.held, seen.spend), (held, Spend::Withdrawn(id(&withdrawal))));
    }
    let slash = presigned.slash(3, &people.providers[0]).unwrap();
    let taken = Sats::new((100_000_000 - 1_000) / 10);
    assert_eq!(of(&slash).unwrap().spend, Spend::Slashed(VaultLoss { txid: id(&slash), taken }));
    let mut stolen = unbonding.clone(); // as the covenant and the staker could sign it together, to anywhere
    stolen.output[0].script_pubkey = elsewhere();
    let seen = of(&stolen).unwrap();
    assert_eq!(seen.spend, Spend::Unexpected(id(&stolen)));
    let mut first_two: Vec<_> =
        vault.terms().covenant()[..2].iter().map(|member| SchnorrKey::new(member.serialize())).collect();
    first_two.reverse();
    assert_eq!(seen.covenant, first_two, "exactly those whose slots are filled");
    assert_eq!(of(&people.stake(rules, 128)), None);
    assert!(encode::serialize(&stolen).len() > 64);
}

#[test]
fn r30_a_block_that_repeats_its_last_transaction_keeps_its_root_and_is_refused() {
    let (people, versions) = worlds().remove(0);
    let rules = versions.at(5).unwrap();
    let (first, second) = (people.stake(rules, 128), people.stake(rules, 129));
    let mut block = stake::block_with(first);
    block.txdata.push(second);
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    stake::work(&mut block);
    let proof = MerkleProof::of(&block, 2).unwrap();
    assert!(proof.verify(&block.txdata[2], &block.header).is_ok());
    let mut shadow = proof.clone();
    shadow.index = 3; // the same node, doubled
    let refused = shadow.verify(&block.txdata[2], &block.header);
    assert_eq!(refused, Err(palisade_bitcoin::inclusion::InclusionError::Shadow(3)));
    let mut repeated = block.clone();
    repeated.txdata.push(block.txdata[2].clone());
    assert!(repeated.check_merkle_root(), "the root does not tell");
    let hash = block.block_hash();
    assert_eq!(palisade_bitcoin::block::check(&repeated, hash), Err(palisade_bitcoin::block::BlockError::Repeated));
}
