//! Expansions: a vault's coins go into another vault, judged by Bitcoin Core's script verifier; and what the covenant does not sign.
#![allow(clippy::unwrap_used)]

mod stake;

use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Witness};
use palisade_bitcoin::covenant::{Presigning, Progress};
use palisade_bitcoin::expansion::{self, ExpansionError, FundingCoin};
use palisade_bitcoin::registration::{Draft, Presigned, RegistrationError};
use palisade_bitcoin::staker::StakerError;
use palisade_bitcoin::vault::{CheckedVault, Versions};
use palisade_bitcoin::watch;
use palisade_types::vault::{Expansion, Spend};
use palisade_types::{Hash, OperatorId, Sats, SchnorrKey, VaultRegistration};
use stake::{People, core_accepts, elsewhere, key, ladder, secret};

/// What a vault of one bitcoin grows by.
const MORE: u64 = 50_000_000;

/// A vault and its people.
struct Grown {
    people: People,
    versions: Versions,
    presigned: Presigned,
    parent: VaultRegistration,
}

impl Grown {
    fn new(members: u8, quorum: u8, providers: u8) -> Self {
        let people = People::new(members, providers);
        let versions = stake::versions(&[people.terms(quorum, 100, 20)]);
        let (presigned, parent) = people.presigned(&versions, 128, usize::from(quorum));
        Self { people, versions, presigned, parent }
    }

    fn coin(&self) -> FundingCoin {
        let output = TxOut { value: Amount::from_sat(2 * MORE), script_pubkey: self.people.wallet.script_pubkey() };
        FundingCoin { outpoint: OutPoint { txid: Txid::from_byte_array([6; 32]), vout: 3 }, output }
    }

    /// The child's transaction: with change, or with everything in the vault.
    fn transaction(&self, change: bool) -> Transaction {
        let rules = self.versions.at(5).unwrap();
        let terms = self.people.staking_terms(rules, 200);
        let amount = self.presigned.vault().value() + Amount::from_sat(MORE);
        let rest = change.then(|| (amount, self.people.wallet.script_pubkey()));
        expansion::build(self.presigned.vault(), &terms, &self.coin(), rest, FeeRate::from_sat_per_vb_u32(3)).unwrap()
    }

    fn child(&self, transaction: &Transaction) -> CheckedVault {
        self.people.vault(transaction, self.versions.at(5).unwrap(), 200)
    }

    fn expansion(&self) -> Expansion {
        expansion::write(self.presigned.draft().id(), &self.coin()).unwrap()
    }

    /// What the staker hands in.
    fn draft(&self, transaction: &Transaction) -> VaultRegistration {
        self.people.register(transaction, &self.child(transaction), (None, Some(self.expansion())))
    }

    fn check(&self, registration: &VaultRegistration) -> Result<Draft, RegistrationError> {
        Draft::check(registration, Some(&self.parent), &self.versions)
    }

    fn whole(&self, draft: &VaultRegistration) -> Presigned {
        let quorum = usize::from(self.versions.at(5).unwrap().quorum());
        let whole = self.people.presign(draft, Some(&self.parent), None, &self.versions, quorum);
        Presigned::check(&whole, Some(&self.parent), &self.versions).unwrap()
    }
}

#[test]
fn r28_an_expansion_is_signed_by_the_parents_covenant_and_its_child_can_be_slashed() {
    for (members, quorum, providers) in [(3, 2, 1), (1, 1, 1), (9, 6, 2)] {
        for change in [true, false] {
            let grown = Grown::new(members, quorum, providers);
            let transaction = grown.transaction(change);
            assert_eq!((transaction.version, transaction.output.len()), (Version(3), 1 + usize::from(change)));
            let child = grown.whole(&grown.draft(&transaction));
            let complete = grown.people.wallet.expand(&child).unwrap();
            let expansion = child.draft().expansion().unwrap();
            let spent = expansion.spent().to_vec();
            assert!(core_accepts(&complete, &spent));
            assert_eq!(complete.compute_txid(), transaction.compute_txid());
            let fee = spent.iter().chain(&complete.output).map(|output| output.value.to_sat() as i64);
            let fee: i64 =
                fee.take(2).sum::<i64>() - complete.output.iter().map(|o| o.value.to_sat() as i64).sum::<i64>();
            let paid = fee as u64 / complete.weight().to_vbytes_ceil();
            assert!((3..=4).contains(&paid), "{fee} satoshis for {}", complete.weight());

            let vault = child.vault();
            for (index, slashing) in vault.slashings().iter().enumerate() {
                let slash = child.slash(index, &grown.people.providers[0]).unwrap();
                assert!(core_accepts(&slash, &[vault.spent(slashing.held)]));
            }
            let txid = Hash::new(complete.compute_txid().to_byte_array());
            let seen = |expands| watch::classify(grown.presigned.vault(), &complete, expands).unwrap();
            assert_eq!((seen(true).spend, seen(true).covenant), (Spend::Expanded(txid), vec![]));
            assert_eq!(seen(false).spend, Spend::Unexpected(txid), "r27: nobody registered it");
            assert_eq!(seen(false).covenant.len(), usize::from(quorum));
        }
    }
}

#[test]
fn exactly_a_quorum_and_the_staker_move_the_coins() {
    let grown = Grown::new(3, 2, 1);
    let child = grown.whole(&grown.draft(&grown.transaction(true)));
    let complete = grown.people.wallet.expand(&child).unwrap();
    let spent = child.draft().expansion().unwrap().spent().to_vec();
    let items: Vec<Vec<u8>> = complete.input[0].witness.iter().map(<[u8]>::to_vec).collect();
    for slot in 0..4 {
        let mut fewer = items.clone();
        if fewer[slot].is_empty() {
            continue;
        }
        fewer[slot].clear();
        let mut changed = complete.clone();
        changed.input[0].witness = Witness::from_slice(&fewer);
        assert!(!core_accepts(&changed, &spent), "slot {slot}");
    }
    let stranger = palisade_bitcoin::staker::Wallet::new(secret(99));
    assert_eq!(stranger.expand(&child), Err(StakerError::NotTheStaker));
    assert_eq!(grown.people.wallet.expand(&grown.presigned), Err(StakerError::NoExpansion));
}

/// A false funding coin cheats nobody: every signature covers what Bitcoin really spends.
#[test]
fn a_false_funding_coin_makes_the_signatures_worthless() {
    let grown = Grown::new(3, 2, 1);
    let mut draft = grown.draft(&grown.transaction(true));
    draft.expansion.as_mut().unwrap().funding.value = Sats::new(3 * MORE);
    let child = grown.whole(&draft);
    let complete = grown.people.wallet.expand(&child).unwrap();
    let claimed = child.draft().expansion().unwrap().spent().to_vec();
    assert!(core_accepts(&complete, &claimed));
    let real = [claimed[0].clone(), grown.coin().output];
    assert!(!core_accepts(&complete, &real));
}

#[test]
fn r28_what_is_no_expansion_is_refused_with_its_reason() {
    let grown = Grown::new(3, 2, 2);
    let transaction = grown.transaction(true);
    let good = grown.draft(&transaction);
    assert!(grown.check(&good).is_ok());
    assert_eq!(
        Draft::check(&good, None, &grown.versions),
        Err(RegistrationError::Expansion(ExpansionError::NoParent)),
        "whoever does not know the parent signs nothing"
    );
    // Changes of the transaction, made before the vault is computed from it.
    let rebuilt = |change: &dyn Fn(&mut Transaction)| {
        let mut changed = transaction.clone();
        change(&mut changed);
        match grown.check(&grown.draft(&changed)) {
            Err(RegistrationError::Expansion(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let itself = FundingCoin { outpoint: grown.presigned.vault().outpoint(), ..grown.coin() };
    let terms = grown.people.staking_terms(grown.versions.at(5).unwrap(), 200);
    let rate = FeeRate::from_sat_per_vb_u32(3);
    let built = expansion::build(grown.presigned.vault(), &terms, &itself, None, rate);
    assert_eq!(built, Err(expansion::UnpayableExpansion::Itself));
    let another = OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 0 };
    assert_eq!(rebuilt(&|t| t.input[0].previous_output = another), ExpansionError::OtherParent);
    assert_eq!(rebuilt(&|t| t.input.swap(0, 1)), ExpansionError::OtherParent);
    assert_eq!(rebuilt(&|t| drop(t.input.pop())), ExpansionError::Inputs(1));
    assert_eq!(rebuilt(&|t| t.input.push(t.input[1].clone())), ExpansionError::Inputs(3));
    assert_eq!(rebuilt(&|t| t.version = Version::TWO), ExpansionError::Pinnable, "change that can pin it");
    assert_eq!(rebuilt(&|t| t.output.push(t.output[1].clone())), ExpansionError::Outputs(3));
    let (old, new) = (Amount::from_sat(100_000_000), Amount::from_sat(99_999_999));
    assert_eq!(rebuilt(&|t| t.output[0].value = new), ExpansionError::Value { old, new });
    assert_eq!(rebuilt(&|t| t.output[1].value = Amount::from_sat(2 * MORE)), ExpansionError::NoFee);
    let mut without = transaction.clone();
    without.version = Version::TWO;
    without.output.pop();
    assert!(grown.check(&grown.draft(&without)).is_ok(), "version 2 without change");

    // Changes of what the registration says.
    let renamed = |change: &dyn Fn(&mut VaultRegistration)| {
        let mut changed = good.clone();
        change(&mut changed);
        match grown.check(&changed) {
            Err(RegistrationError::Expansion(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let funding = |r: &mut VaultRegistration| r.expansion.as_mut().unwrap().funding.clone();
    let set = |r: &mut VaultRegistration, funding| r.expansion.as_mut().unwrap().funding = funding;
    assert!(
        matches!(
            renamed(&|r| {
                let zero = palisade_types::vault::Funding { value: Sats::new(0), ..funding(r) };
                set(r, zero);
            }),
            ExpansionError::Funding(_)
        ),
        "Babylon #1855"
    );
    assert!(matches!(
        renamed(&|r| {
            let legacy = ScriptBuf::new_p2pkh(&bitcoin::PubkeyHash::from_byte_array([1; 20])).to_bytes();
            let legacy = palisade_types::vault::Funding { script: legacy.try_into().unwrap(), ..funding(r) };
            set(r, legacy);
        }),
        ExpansionError::Funding(_)
    ));
    assert_eq!(renamed(&|r| r.operator = OperatorId::new([8; 20])), ExpansionError::Operator);
    assert_eq!(renamed(&|r| r.expansion.as_mut().unwrap().parent.output = 1), ExpansionError::OtherParent);
    let at = palisade_types::vault::Inclusion { block: Hash::ZERO, height: 9, index: 1, siblings: Default::default() };
    assert_eq!(renamed(&|r| r.inclusion = Some(at.clone())), ExpansionError::Included);
}

/// Babylon #1883 compared no staker; and a provider who is left out could equivocate for nothing.
#[test]
fn r28_an_expansion_changes_neither_its_staker_nor_leaves_out_a_provider() {
    let grown = Grown::new(3, 2, 2);
    let rules = grown.versions.at(5).unwrap();
    let try_with = |staker: &palisade_bitcoin::staker::Wallet, providers: Vec<bitcoin::XOnlyPublicKey>| {
        let terms = rules.terms(staker.key(), providers, 200).unwrap();
        let rest = Some((Amount::from_sat(150_000_000), elsewhere()));
        let rate = FeeRate::from_sat_per_vb_u32(3);
        let transaction = expansion::build(grown.presigned.vault(), &terms, &grown.coin(), rest, rate).unwrap();
        let vault = CheckedVault::check(&transaction, 0, terms, &ladder(), rules).unwrap();
        let signatures = palisade_bitcoin::registration::sign(&vault, staker.secret());
        let how = (None, Some(grown.expansion()));
        let operator = OperatorId::new([9; 20]);
        let draft = palisade_bitcoin::registration::write(operator, &transaction, how, &vault, &signatures).unwrap();
        grown.check(&draft)
    };
    let providers: Vec<_> = grown.people.providers.iter().map(|provider| key(&provider.public())).collect();
    let thief = palisade_bitcoin::staker::Wallet::new(secret(2));
    let staker = &grown.people.wallet;
    assert!(try_with(staker, providers.clone()).is_ok());
    assert_eq!(try_with(&thief, providers.clone()), Err(RegistrationError::Expansion(ExpansionError::Staker)));
    let missing = SchnorrKey::new(providers[1].serialize());
    let fewer = try_with(staker, providers[..1].to_vec());
    assert_eq!(fewer, Err(RegistrationError::Expansion(ExpansionError::Provider(missing))));
    let more = [providers, vec![key(&secret(70).public())]].concat();
    assert!(try_with(staker, more).is_ok(), "a provider of one more service is welcome");
}

/// The old vault's covenant signs its coins away, the new one's the new slashings: a quorum of the old must be in both.
#[test]
fn an_expansion_into_newer_terms_needs_the_old_quorum_in_the_new_covenant() {
    let check = |kept: usize| {
        let (mut people, newcomers) = (People::new(3, 1), (20..23).map(secret));
        let old = people.terms(2, 100, 20);
        let newcomers = newcomers.map(palisade_bitcoin::covenant::Member::new).take(3 - kept);
        let parents = std::mem::take(&mut people.members);
        let (first, rest) = (parents.into_iter(), newcomers);
        let mut first: Vec<_> = first.collect();
        first.sort_unstable_by_key(|member| member.key().serialize());
        let leaving = first.split_off(kept);
        people.members = first.into_iter().chain(rest).collect();
        let mut new = people.terms(2, 100, 30);
        new.activation = 6;
        let versions = stake::versions(&[old, new]);
        // The parent is presigned by the old covenant: those who stay and those who leave.
        let staying = std::mem::take(&mut people.members);
        let (newcomers, stay): (Vec<_>, Vec<_>) = staying.into_iter().enumerate().partition(|(at, _)| *at >= kept);
        people.members = stay.into_iter().map(|(_, member)| member).chain(leaving).collect();
        let (presigned, parent) = people.presigned(&versions, 128, 3);
        people.members.truncate(kept);
        people.members.extend(newcomers.into_iter().map(|(_, member)| member));
        let grown = Grown { people, versions, presigned, parent };
        let rules = grown.versions.rules(1).unwrap();
        let terms = grown.people.staking_terms(rules, 200);
        let rate = FeeRate::from_sat_per_vb_u32(3);
        let transaction = expansion::build(grown.presigned.vault(), &terms, &grown.coin(), None, rate).unwrap();
        let vault = grown.people.vault(&transaction, rules, 200);
        let draft = grown.people.register(&transaction, &vault, (None, Some(grown.expansion())));
        grown.check(&draft)?;
        let mut session = Presigning::open(&draft, Some(&grown.parent), &grown.versions).unwrap();
        for member in grown.people.members.iter().rev() {
            let answer = member.release(&draft, Some(&grown.parent), &grown.versions).unwrap();
            session.take(answer).unwrap();
        }
        let whole = session.finish(&grown.versions).unwrap();
        assert_eq!((whole.terms, whole.endorsements.len()), (1, 3));
        assert_eq!(whole.expansion.as_ref().unwrap().covenant.len(), kept, "only who is in both");
        let child = Presigned::check(&whole, Some(&grown.parent), &grown.versions).unwrap();
        let complete = grown.people.wallet.expand(&child).unwrap();
        assert!(core_accepts(&complete, child.draft().expansion().unwrap().spent()));
        Ok(())
    };
    assert_eq!(check(3), Ok(()));
    assert_eq!(check(2), Ok(()));
    let refused = ExpansionError::Covenant { common: 1, quorum: 2 };
    assert_eq!(check(1), Err(RegistrationError::Expansion(refused)));
}

/// A signature on the first input that nobody has registered would convict its signer: first the row, then the signature.
#[test]
fn r27_a_member_signs_an_expansions_first_input_only_when_the_ledger_holds_it() {
    let grown = Grown::new(3, 2, 1);
    let draft = grown.draft(&grown.transaction(true));
    let (parent, versions) = (Some(&grown.parent), &grown.versions);
    let mut session = Presigning::open(&draft, parent, versions).unwrap();
    let mut progress = Vec::new();
    for member in &grown.people.members[..2] {
        let answer = member.presign(&draft, parent, None, versions).unwrap();
        assert_eq!(answer.expansion, None);
        progress.push(session.take(answer).unwrap());
    }
    assert_eq!(progress, [Progress::Waiting { signed: 1, quorum: 2 }, Progress::Complete]);
    let presigned = session.finish(versions).unwrap();
    assert!(presigned.expansion.as_ref().unwrap().covenant.is_empty());
    let child = Presigned::check(&presigned, parent, versions).unwrap();
    assert_eq!(grown.people.wallet.expand(&child), Err(StakerError::NoExpansion), "nobody can complete it");
    // Registered: one release is not enough, and an older answer takes none back.
    session.take(grown.people.members[0].release(&draft, parent, versions).unwrap()).unwrap();
    session.take(grown.people.members[0].presign(&draft, parent, None, versions).unwrap()).unwrap();
    assert!(session.finish(versions).unwrap().expansion.unwrap().covenant.is_empty());
    session.take(grown.people.members[2].release(&draft, parent, versions).unwrap()).unwrap();
    let released = session.finish(versions).unwrap();
    assert_eq!((released.bare(), released.expansion.as_ref().unwrap().covenant.len()), (presigned.bare(), 2));
    let child = Presigned::check(&released, parent, versions).unwrap();
    let complete = grown.people.wallet.expand(&child).unwrap();
    assert!(core_accepts(&complete, child.draft().expansion().unwrap().spent()));
}

#[test]
fn r28_a_block_holds_an_expansion_only_with_the_parents_quorum_on_its_first_input() {
    let grown = Grown::new(3, 2, 1);
    let draft = grown.draft(&grown.transaction(true));
    let parent = Some(&grown.parent);
    let whole = grown.people.presign(&draft, parent, None, &grown.versions, 3);
    let refused = |change: &dyn Fn(&mut Expansion)| {
        let mut changed = whole.clone();
        change(changed.expansion.as_mut().unwrap());
        Presigned::check(&changed, parent, &grown.versions).unwrap_err()
    };
    let keep = |e: &Expansion, count: usize| e.covenant[..count].to_vec().try_into().unwrap();
    assert_eq!(refused(&|e| e.covenant = keep(e, 1)), RegistrationError::NoQuorum { signed: 1, quorum: 2 });
    assert_eq!(refused(&|e| e.covenant.as_mut_slice().reverse()), RegistrationError::NotMembers);
    let member = whole.expansion.as_ref().unwrap().covenant[0].member;
    let other = whole.unbonding_covenant[0].signature;
    assert_eq!(refused(&|e| e.covenant.as_mut_slice()[0].signature = other), RegistrationError::FirstInput(member));
    // What the ledger holds can be slashed without the parent at hand.
    let held = Presigned::held(&whole, &grown.versions).unwrap();
    assert_eq!(held.vault(), &grown.child(&grown.transaction(true)));
}
