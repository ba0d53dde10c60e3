//! Babylon's stakes from end to end: every spend is judged by Bitcoin Core's verifier and by what we say about it, and both must agree.

#![allow(clippy::unwrap_used)]

mod stake;

use bitcoin::consensus::encode::serialize;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey,
};
use palisade_bitcoin::babylon::context::{Context, account, module_address};
use palisade_bitcoin::babylon::delegation::{CovenantPart, Delegation, DelegationError};
use palisade_bitcoin::babylon::expansion::Parent;
use palisade_bitcoin::babylon::inspect::{Act, Hints, Kind, inspect};
use palisade_bitcoin::babylon::parameters::{Parameters, SlashingRate, Table};
use palisade_bitcoin::babylon::possession::Possession;
use palisade_bitcoin::babylon::rules::{Checks, Rule, Verdict};
use palisade_bitcoin::babylon::spend::LeafSpend;
use palisade_bitcoin::babylon::transactions::{self, Known, Stake};
use palisade_bitcoin::scripts::Leaf;
use palisade_bitcoin::witness;
use palisade_crypto::{adaptor, sha256};
use palisade_types::SchnorrSignature;
use proptest::prelude::*;
use stake::{core_accepts, elsewhere, secret};

const STAKER: u8 = 1;
const TIME: u16 = 150;

/// A network of `members` of whom `quorum` sign, and a stake behind `providers`.
struct World {
    parameters: Parameters,
    stake: Stake,
    staking: Transaction,
    members: Vec<u8>,
    providers: Vec<u8>,
}

fn key(number: u8) -> XOnlyPublicKey {
    stake::key(&secret(number).public())
}

fn sats(value: u64) -> Amount {
    Amount::from_sat(value)
}

fn input(from: OutPoint) -> TxIn {
    TxIn { previous_output: from, sequence: Sequence::MAX, ..TxIn::default() }
}

fn sorted(mut numbers: Vec<u8>) -> Vec<u8> {
    numbers.sort_unstable_by_key(|number| key(*number).serialize());
    numbers
}

impl World {
    fn new(providers: u8, members: u8, quorum: u16) -> Self {
        let members = sorted((0..members).map(|member| 10 + member).collect());
        let providers = sorted((0..providers).map(|provider| 60 + provider).collect());
        let parameters = Parameters {
            version: 0,
            activation: 0,
            covenant: members.iter().map(|member| key(*member)).collect(),
            quorum,
            min_stake: sats(50_000),
            max_stake: sats(500_000_000),
            min_time: 100,
            max_time: 200,
            sink: ScriptBuf::from_bytes(b"\x6a\x07babylon".to_vec()),
            min_slashing_fee: sats(1_000),
            rate: SlashingRate::new(10).unwrap(),
            unbonding_time: 20,
            unbonding_fee: sats(9_600),
            max_providers: 8,
            allow_list_until: 0,
        };
        let terms =
            parameters.terms(key(STAKER), providers.iter().map(|provider| key(*provider)).collect(), TIME).unwrap();
        let output = TxOut { value: sats(1_234_567), script_pubkey: terms.staking_output().script_pubkey };
        let change = TxOut { value: sats(70_000), script_pubkey: elsewhere() };
        let from = OutPoint { vout: 3, ..OutPoint::null() };
        let staking = Transaction {
            version: Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![input(from)],
            output: vec![change, output],
        };
        let stake = Stake::find(&parameters, terms, &staking).unwrap();
        Self { parameters, stake, staking, members, providers }
    }

    fn table(&self) -> Table {
        Table::new("test", vec![self.parameters.clone()]).unwrap()
    }

    fn quorum(&self) -> Vec<u8> {
        self.members[..usize::from(self.parameters.quorum)].to_vec()
    }

    fn unbonding(&self) -> Transaction {
        self.stake.unbonding(&self.parameters).unwrap()
    }

    fn unbonded(&self) -> (OutPoint, TxOut) {
        let unbonding = self.unbonding();
        (OutPoint { txid: unbonding.compute_txid(), vout: 0 }, unbonding.output[0].clone())
    }

    /// The slashing transaction of one of the two outputs, what it spends, and by which leaf.
    fn slashing(&self, of_unbonding: bool) -> (Transaction, TxOut, Leaf) {
        let (from, spent, leaf) = match of_unbonding {
            true => (self.unbonded().0, self.unbonded().1, self.stake.terms.unbonding_output().slashing),
            false => (self.stake.outpoint, self.stake.output(), self.stake.terms.staking_output().slashing),
        };
        (self.stake.slashing(&self.parameters, from, spent.value, sats(2_000)).unwrap(), spent, leaf)
    }

    fn withdrawal(&self, from: OutPoint, value: Amount, blocks: u16) -> Transaction {
        let mut input = input(from);
        input.sequence = Sequence::from_height(blocks);
        Transaction {
            version: Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value: value - sats(500), script_pubkey: elsewhere() }],
        }
    }
}

/// One input of a transaction, what it spends, and by which leaf.
struct Case<'a> {
    transaction: &'a Transaction,
    spent: &'a [TxOut],
    leaf: &'a Leaf,
}

impl Case<'_> {
    fn sign(&self, number: u8, kind: TapSighashType) -> Vec<u8> {
        let hash = SighashCache::new(self.transaction)
            .taproot_script_spend_signature_hash(0, &Prevouts::All(self.spent), self.leaf.hash(), kind)
            .unwrap();
        let message: [u8; 32] = *hash.as_ref();
        let signature = secret(number).sign_schnorr(&message);
        let mut bytes = signature.to_vec();
        bytes.extend((kind != TapSighashType::Default).then_some(kind as u8));
        bytes
    }

    /// One slot for each of `all` (ascending), highest first, filled by those who sign.
    fn slots(&self, all: &[u8], signing: &[u8]) -> Vec<Vec<u8>> {
        all.iter()
            .rev()
            .map(|number| match signing.contains(number) {
                true => self.sign(*number, TapSighashType::Default),
                false => vec![],
            })
            .collect()
    }

    fn witness(&self, parts: &[Vec<Vec<u8>>]) -> Transaction {
        let mut items = parts.concat();
        items.push(self.leaf.script.to_bytes());
        items.push(self.leaf.control_block.serialize());
        let mut signed = self.transaction.clone();
        signed.input[0].witness = Witness::from_slice(&items);
        signed
    }

    fn staker(&self) -> Vec<Vec<u8>> {
        vec![self.sign(STAKER, TapSighashType::Default)]
    }
}

/// What Core says and what we say, about a spend of outputs that are all known.
fn judged(world: &World, signed: &Transaction, spent: &[TxOut], previous: &[&Transaction]) -> (bool, Option<bool>) {
    let hints =
        previous.iter().fold(Hints::none(), |hints, earlier| hints.with_previous(&serialize(*earlier)).unwrap());
    let report = inspect(&serialize(signed), &world.table(), &hints).unwrap();
    let signature =
        |rule: &str| rule.contains("has signed") || rule.contains("waits") || rule == "its version is allowed";
    let rules = report.acts.first().map(|act| &act.rules);
    let good = rules.map(|rules| {
        rules.iter().filter(|rule| signature(&rule.rule)).all(|rule| rule.verdict == "obeyed")
            && rules.iter().any(|rule| signature(&rule.rule))
    });
    (core_accepts(signed, spent), good)
}

fn worlds() -> Vec<World> {
    vec![World::new(1, 1, 1), World::new(1, 3, 2), World::new(2, 3, 2), World::new(3, 9, 6)]
}

#[test]
fn core_and_we_agree_on_every_unbonding_spend() {
    for world in worlds() {
        let (unbonding, leaf) = (world.unbonding(), world.stake.terms.staking_output().unbonding);
        let spent = [world.stake.output()];
        let case = Case { transaction: &unbonding, spent: &spent, leaf: &leaf };
        let (quorum, staker) = (world.quorum(), case.staker());
        let covenant = |signing: &[u8]| case.slots(&world.members, signing);
        let verdict = |parts: &[Vec<Vec<u8>>]| {
            let (core, ours) = judged(&world, &case.witness(parts), &spent, &[&world.staking]);
            assert_eq!(ours.unwrap_or(false), core, "Core and we differ");
            core
        };
        assert!(verdict(&[covenant(&quorum), staker.clone()]));
        assert!(!verdict(&[covenant(&quorum[1..]), staker.clone()]), "one less than the quorum");
        assert!(!verdict(&[covenant(&quorum), vec![vec![]]]), "the staker missing");
        assert!(!verdict(&[covenant(&quorum), vec![case.sign(99, TapSighashType::Default)]]), "a stranger");
        assert!(!verdict(&[staker.clone(), covenant(&quorum)]), "the staker first");
        let whole = [covenant(&quorum), vec![case.sign(STAKER, TapSighashType::All)]];
        assert!(verdict(&whole), "another hash type is valid on Bitcoin");
        if world.members.len() > 1 {
            let more = &world.members[..quorum.len() + 1];
            assert!(!verdict(&[covenant(more), staker.clone()]), "one more than the quorum");
            let mut ascending = covenant(&quorum);
            ascending.reverse();
            assert!(!verdict(&[ascending, staker.clone()]), "ascending keys");
            let compact = covenant(&quorum).into_iter().filter(|slot| !slot.is_empty()).collect();
            assert!(!verdict(&[compact, staker.clone()]), "no slots for who did not sign");
        }
    }
}

#[test]
fn core_and_we_agree_on_every_slashing_spend() {
    for world in worlds() {
        for of_unbonding in [false, true] {
            let (slashing, spent, leaf) = world.slashing(of_unbonding);
            let spent = [spent];
            let case = Case { transaction: &slashing, spent: &spent, leaf: &leaf };
            let unbonding = world.unbonding();
            let earlier: &Transaction = if of_unbonding { &unbonding } else { &world.staking };
            let (quorum, staker) = (case.slots(&world.members, &world.quorum()), case.staker());
            let providers = |signing: &[u8]| case.slots(&world.providers, signing);
            let verdict = |parts: &[Vec<Vec<u8>>]| {
                let (core, ours) = judged(&world, &case.witness(parts), &spent, &[earlier]);
                assert_eq!(ours.unwrap_or(false), core, "Core and we differ");
                core
            };
            for provider in &world.providers {
                assert!(verdict(&[quorum.clone(), providers(&[*provider]), staker.clone()]));
            }
            assert!(!verdict(&[quorum.clone(), providers(&[]), staker.clone()]), "no provider");
            let one = providers(&world.providers[..1]);
            assert!(!verdict(&[one.clone(), quorum.clone(), staker.clone()]), "the provider first");
            assert!(!verdict(&[quorum.clone(), one.clone(), vec![vec![]]]), "the staker missing");
            let few = case.slots(&world.members, &world.quorum()[1..]);
            assert!(!verdict(&[few, one, staker.clone()]), "one member less");
            if world.providers.len() > 1 {
                let both = providers(&world.providers[..2]);
                assert!(!verdict(&[quorum.clone(), both, staker.clone()]), "two providers where one is counted");
            }
        }
    }
}

#[test]
fn core_and_we_agree_on_when_a_lock_is_over() {
    let world = World::new(2, 3, 2);
    let (unbonded, unbonded_output) = world.unbonded();
    let terms = &world.stake.terms;
    let (staking, unbonding) = (terms.staking_output().timelock, terms.unbonding_output().timelock);
    let transaction = world.unbonding();
    for (from, output, leaf, blocks, earlier) in [
        (world.stake.outpoint, world.stake.output(), staking, TIME, &world.staking),
        (unbonded, unbonded_output, unbonding, 20, &transaction),
    ] {
        let spent = [output];
        let verdict = |change: &dyn Fn(&mut Transaction)| {
            let mut withdrawal = world.withdrawal(from, spent[0].value, blocks);
            change(&mut withdrawal);
            let case = Case { transaction: &withdrawal, spent: &spent, leaf: &leaf };
            let (core, ours) = judged(&world, &case.witness(&[case.staker()]), &spent, &[earlier]);
            assert_eq!(ours, Some(core), "Core and we differ");
            core
        };
        assert!(verdict(&|_| ()));
        assert!(verdict(&|t| t.input[0].sequence = Sequence::from_height(blocks + 1)));
        assert!(!verdict(&|t| t.input[0].sequence = Sequence::from_height(blocks - 1)));
        assert!(!verdict(&|t| t.input[0].sequence = Sequence::from_512_second_intervals(blocks)));
        assert!(!verdict(&|t| t.input[0].sequence = Sequence::MAX));
        assert!(!verdict(&|t| t.version = Version::ONE));
    }
}

#[test]
fn a_proof_of_another_leaf_or_another_output_spends_nothing() {
    let world = World::new(2, 3, 2);
    let (unbonding, output) = (world.unbonding(), world.stake.terms.staking_output());
    let spent = [world.stake.output()];
    let swapped = [
        Leaf { script: output.unbonding.script.clone(), control_block: output.timelock.control_block.clone() },
        Leaf { script: output.slashing.script.clone(), control_block: output.unbonding.control_block.clone() },
        world.stake.terms.unbonding_output().slashing,
    ];
    for leaf in &swapped {
        let case = Case { transaction: &unbonding, spent: &spent, leaf };
        let providers = if leaf.script == output.unbonding.script { vec![] } else { world.providers[..1].to_vec() };
        let slots = if providers.is_empty() { vec![] } else { case.slots(&world.providers, &providers) };
        let signed = case.witness(&[case.slots(&world.members, &world.quorum()), slots, case.staker()]);
        assert!(!core_accepts(&signed, &spent));
        let good =
            LeafSpend::read(&signed, 0).is_ok_and(|read| read.output == spent[0].script_pubkey && read.no_key_path);
        assert!(!good, "we see the same");
    }
    // the key path of an output whose internal key somebody has
    let case = Case { transaction: &unbonding, spent: &spent, leaf: &output.unbonding };
    let mut signed = case.witness(&[case.slots(&world.members, &world.quorum()), case.staker()]);
    let mut items: Vec<Vec<u8>> = signed.input[0].witness.iter().map(<[u8]>::to_vec).collect();
    let last = items.len() - 1;
    items[last][1..33].copy_from_slice(&key(77).serialize());
    signed.input[0].witness = Witness::from_slice(&items);
    assert!(!LeafSpend::read(&signed, 0).unwrap().no_key_path);
    items[last][0] ^= 2;
    signed.input[0].witness = Witness::from_slice(&items);
    assert!(!LeafSpend::read(&signed, 0).is_ok_and(|read| read.no_key_path));
}

fn verdicts(checks: &Checks) -> Vec<Rule> {
    checks.broken().map(|broken| broken.rule).collect()
}

#[test]
fn every_pinned_field_of_an_unbonding_transaction_is_looked_at() {
    let world = World::new(2, 3, 2);
    let known = Known::all(&world.stake.terms, world.stake.outpoint, world.stake.value);
    let with = |change: &dyn Fn(&mut Transaction)| {
        let mut changed = world.unbonding();
        change(&mut changed);
        verdicts(&transactions::unbonding(&world.parameters, &known, &changed))
    };
    let lock = bitcoin::absolute::LockTime::from_consensus(1);
    assert_eq!(with(&|_| ()), []);
    assert_eq!(with(&|t| t.version = Version::ONE), [Rule::Version]);
    assert_eq!(with(&|t| t.version = Version(3)), [Rule::Version]);
    assert_eq!(with(&|t| t.lock_time = lock), [Rule::LockTime]);
    assert_eq!(with(&|t| t.input[0].sequence = Sequence::ENABLE_RBF_NO_LOCKTIME), [Rule::Final]);
    assert_eq!(with(&|t| t.input[0].script_sig = elsewhere()), [Rule::NoScriptSig]);
    assert_eq!(with(&|t| t.input[0].previous_output.vout = 0), [Rule::Spends]);
    assert_eq!(with(&|t| t.input.push(input(OutPoint { vout: 9, ..OutPoint::null() }))), [Rule::Inputs]);
    assert_eq!(with(&|t| t.output.push(TxOut { value: Amount::ZERO, script_pubkey: elsewhere() })), [Rule::Outputs]);
    assert_eq!(with(&|t| t.output[0].script_pubkey = elsewhere()), [Rule::UnbondingOutput]);
    assert_eq!(with(&|t| t.output[0].value += sats(1)), [Rule::UnbondingFee]);
    assert_eq!(with(&|t| t.output[0].value -= sats(1)), [Rule::UnbondingFee]);
    assert_eq!(with(&|t| t.output[0].value = world.stake.value + sats(1)), [Rule::UnbondingFee]);
    assert_eq!(with(&|t| t.output.clear()), [Rule::Sane, Rule::Outputs, Rule::UnbondingOutput, Rule::UnbondingFee]);
    assert_eq!(with(&|t| t.input.push(t.input[0].clone())), [Rule::Sane, Rule::Inputs]);
    assert_eq!(with(&|t| t.input[0].witness.push([0; 400_000])), [Rule::Weight]);
}

#[test]
fn every_pinned_field_of_a_slashing_transaction_is_looked_at() {
    let world = World::new(2, 3, 2);
    for of_unbonding in [false, true] {
        let (slashing, spent, _) = world.slashing(of_unbonding);
        let known = Known::all(&world.stake.terms, slashing.input[0].previous_output, spent.value);
        let with = |change: &dyn Fn(&mut Transaction)| {
            let mut changed = slashing.clone();
            change(&mut changed);
            verdicts(&transactions::slashing(&world.parameters, &known, &changed))
        };
        assert_eq!(with(&|_| ()), []);
        assert_eq!(with(&|t| t.version = Version::TWO), [], "as wallets build it");
        assert_eq!(with(&|t| t.version = Version(3)), [Rule::Version]);
        assert_eq!(with(&|t| t.output.swap(0, 1)), [Rule::Sink, Rule::Change]);
        assert_eq!(with(&|t| t.output[0].value -= sats(1)), [Rule::Slash]);
        assert_eq!(with(&|t| t.output[0].value += sats(1_000)), [], "more may be taken");
        assert_eq!(with(&|t| t.output[1].value += sats(1_001)), [Rule::SlashingFee]);
        assert_eq!(with(&|t| t.output[1].value -= sats(1)), [], "more may be paid");
        assert_eq!(with(&|t| t.output[1].value = sats(329)), [Rule::Dust]);
        assert_eq!(with(&|t| t.output[1].value = spent.value), [Rule::SlashingFee]);
        assert_eq!(with(&|t| t.output.truncate(1)), [Rule::Outputs, Rule::Change]);
    }
}

#[test]
fn a_stake_is_found_only_within_its_versions_bounds() {
    let world = World::new(2, 3, 2);
    let find = |change: &dyn Fn(&mut Parameters, &mut Transaction)| {
        let (mut parameters, mut staking) = (world.parameters.clone(), world.staking.clone());
        change(&mut parameters, &mut staking);
        Stake::find(&parameters, world.stake.terms.clone(), &staking).map(drop).map_err(|broken| broken.rule)
    };
    assert_eq!(find(&|_, _| ()), Ok(()));
    assert_eq!(find(&|p, _| p.min_time = 151), Err(Rule::StakingTime));
    assert_eq!(find(&|p, _| p.max_time = 149), Err(Rule::StakingTime));
    assert_eq!(find(&|p, _| p.min_stake = sats(1_234_568)), Err(Rule::StakingValue));
    assert_eq!(find(&|p, _| p.max_stake = sats(1_234_566)), Err(Rule::StakingValue));
    assert_eq!(find(&|p, _| p.max_providers = 1), Err(Rule::Providers));
    assert_eq!(find(&|p, _| p.quorum = 3), Err(Rule::Covenant));
    assert_eq!(find(&|p, _| p.unbonding_time = 21), Err(Rule::Covenant));
    assert_eq!(find(&|_, t| t.output.truncate(1)), Err(Rule::StakingOutput));
    assert_eq!(find(&|_, t| t.output.push(t.output[1].clone())), Err(Rule::StakingOutput));
    assert_eq!(find(&|_, t| t.input.clear()), Err(Rule::Sane));
}

/// The delegation of a world's stake, with everything signed.
fn delegation(world: &World) -> (Delegation, Vec<CovenantPart>) {
    let owner = module_address("somebody");
    let hash = sha256(&account(&owner).unwrap());
    let ((slashing, spent, leaf), (other, other_spent, other_leaf)) = (world.slashing(false), world.slashing(true));
    let sighash = |transaction: &Transaction, spent: &TxOut, leaf: &Leaf| {
        witness::sighash(transaction, 0, std::slice::from_ref(spent), leaf).unwrap()
    };
    let hashes = [sighash(&slashing, &spent, &leaf), sighash(&other, &other_spent, &other_leaf)];
    let unbonding = sighash(&world.unbonding(), &world.stake.output(), &world.stake.terms.staking_output().unbonding);
    let sign = |number: u8, hash: &[u8; 32]| SchnorrSignature::new(secret(number).sign_schnorr(hash));
    // in the registration's order, which is not the script's
    let order: Vec<u8> = world.providers.iter().rev().copied().collect();
    let adaptors = |member: u8, hash: &[u8; 32]| {
        order
            .iter()
            .map(|provider| adaptor::sign(&secret(member), hash, &secret(*provider).public(), &[0; 32]))
            .collect()
    };
    let quorum = world.quorum();
    let parts = quorum.iter().map(|member| CovenantPart {
        member: key(*member),
        slashing: adaptors(*member, &hashes[0]),
        unbonding: sign(*member, &unbonding),
        unbonding_slashing: adaptors(*member, &hashes[1]),
    });
    let parts = parts.collect();
    let delegation = Delegation {
        owner,
        possession: Possession::Bip340(secret(STAKER).sign_schnorr(&hash)),
        staker: key(STAKER),
        providers: order.iter().map(|provider| key(*provider)).collect(),
        staking_time: TIME,
        staking_value: world.stake.value,
        staking: world.staking.clone(),
        slashing,
        slashing_signature: sign(STAKER, &hashes[0]),
        unbonding: world.unbonding(),
        unbonding_slashing: other,
        unbonding_slashing_signature: sign(STAKER, &hashes[1]),
    };
    (delegation, parts)
}

#[test]
fn a_delegation_counts_with_every_signature_and_a_published_slash_names_its_provider() {
    for world in worlds() {
        let (delegation, parts) = delegation(&world);
        let none = Context::none_to_verify_existing_data();
        let check = |delegation: &Delegation| delegation.check(&world.parameters, &none, Network::Signet);
        let checked = check(&delegation).unwrap();
        checked.check_covenant(&parts).unwrap();
        let changed = |change: &dyn Fn(&mut Delegation)| {
            let mut changed = delegation.clone();
            change(&mut changed);
            check(&changed).map(drop).unwrap_err()
        };
        assert!(matches!(changed(&|d| d.owner = module_address("else")), DelegationError::Possession(_)));
        assert!(matches!(changed(&|d| d.staking_value += sats(1)), DelegationError::Value { .. }));
        assert!(matches!(
            changed(&|d| d.staking_time += 1),
            DelegationError::Transaction { transaction: "staking", .. }
        ));
        assert!(matches!(changed(&|d| d.providers.push(d.providers[0])), DelegationError::Terms(_)));
        assert_eq!(
            changed(&|d| d.slashing_signature = d.unbonding_slashing_signature),
            DelegationError::Staker("slashing")
        );
        let crossed = |d: &mut Delegation| std::mem::swap(&mut d.slashing, &mut d.unbonding_slashing);
        assert!(matches!(changed(&crossed), DelegationError::Transaction { transaction: "slashing", .. }));
        let stranger = CovenantPart { member: key(99), ..parts[0].clone() };
        assert_eq!(checked.check_member(&stranger), Err(DelegationError::NotAMember(key(99))));
        let mut short = parts[0].clone();
        short.slashing.pop();
        assert!(matches!(checked.check_member(&short), Err(DelegationError::Count { .. })));
        if world.providers.len() > 1 {
            let mut turned = parts[0].clone();
            turned.slashing.reverse(); // in the script's order instead of the registration's
            let expected = DelegationError::Covenant { member: turned.member, transaction: "slashing" };
            assert_eq!(checked.check_member(&turned), Err(expected));
        }
        selective_slashing(&world, &checked, &parts);
    }
}

/// Whoever publishes a completed covenant signature shows which provider's key completed it, for keys of both parities.
fn selective_slashing(world: &World, checked: &palisade_bitcoin::babylon::delegation::Checked, parts: &[CovenantPart]) {
    for (at, provider) in world.providers.iter().rev().enumerate() {
        for of_unbonding in [false, true] {
            let (slashing, spent, leaf) = world.slashing(of_unbonding);
            let spent = [spent];
            let case = Case { transaction: &slashing, spent: &spent, leaf: &leaf };
            let covenant = world.members.iter().rev().map(|member| {
                let part = parts.iter().find(|part| part.member == key(*member));
                part.map_or(vec![], |part| {
                    let adaptors = if of_unbonding { &part.unbonding_slashing } else { &part.slashing };
                    adaptors[at].decrypt(&secret(*provider)).unwrap().to_vec()
                })
            });
            let published =
                case.witness(&[covenant.collect(), case.slots(&world.providers, &[*provider]), case.staker()]);
            assert!(core_accepts(&published, &spent));
            let (named, found) = checked.exposed(&published, parts).unwrap();
            assert_eq!((named, found.public()), (key(*provider), secret(*provider).public()));
            let plain = case.slots(&world.members, &world.quorum());
            let honest = case.witness(&[plain, case.slots(&world.providers, &[*provider]), case.staker()]);
            assert!(core_accepts(&honest, &spent), "signed by the covenant itself");
            assert!(checked.exposed(&honest, parts).is_none(), "which gives nobody away");
        }
    }
    assert!(checked.exposed(&world.staking, parts).is_none());
}

#[test]
fn an_expansion_keeps_its_parties_and_is_signed_by_the_old_covenant() {
    let world = World::new(1, 3, 2);
    let parent = Parent { stake: world.stake.clone(), parameters: world.parameters.clone() };
    let wider = world.parameters.terms(key(STAKER), vec![key(60), key(65)], 180).unwrap();
    let funding = TxOut { value: sats(300_000), script_pubkey: elsewhere() };
    let expansion = Transaction {
        version: Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input(world.stake.outpoint), input(OutPoint { vout: 5, ..OutPoint::null() })],
        output: vec![TxOut {
            value: world.stake.value + sats(250_000),
            script_pubkey: wider.staking_output().script_pubkey,
        }],
    };
    let check = |terms, funding: &TxOut, is_stake, change: &dyn Fn(&mut Transaction)| {
        let mut changed = expansion.clone();
        change(&mut changed);
        verdicts(&parent.expansion(&world.parameters, terms, funding, is_stake, &changed))
    };
    assert_eq!(check(&wider, &funding, false, &|_| ()), []);
    assert_eq!(check(&wider, &funding, true, &|_| ()), [Rule::Funding]);
    let nothing = TxOut { value: Amount::ZERO, ..funding.clone() };
    assert_eq!(check(&wider, &nothing, false, &|_| ()), [Rule::Funding, Rule::ExpansionFee]);
    assert_eq!(check(&wider, &funding, false, &|t| t.input.swap(0, 1)), [Rule::Spends]);
    assert_eq!(check(&wider, &funding, false, &|t| t.input.truncate(1)), [Rule::Inputs]);
    assert_eq!(check(&wider, &funding, false, &|t| t.output[0].value += sats(50_000)), [Rule::ExpansionFee]);
    assert_eq!(
        check(&wider, &funding, false, &|t| t.output[0].value = world.stake.value - sats(1)),
        [Rule::KeepsValue]
    );
    let narrower = world.parameters.terms(key(STAKER), vec![key(65)], 180).unwrap();
    let script = narrower.staking_output().script_pubkey;
    let lost = check(&narrower, &funding, false, &|t| t.output[0].script_pubkey = script.clone());
    assert_eq!(lost, [Rule::KeepsParties]);
    let mut other = world.parameters.clone();
    other.covenant = sorted(vec![10, 90, 91]).into_iter().map(key).collect();
    let terms = other.terms(key(STAKER), vec![key(60)], 180).unwrap();
    let mut moved = expansion.clone();
    moved.output[0].script_pubkey = terms.staking_output().script_pubkey;
    assert_eq!(verdicts(&parent.expansion(&other, &terms, &funding, false, &moved)), [Rule::Overlap]);

    // input 0 is spent by the old unbonding leaf, over both outputs
    let spent = [world.stake.output(), TxOut { script_pubkey: elsewhere(), ..funding }];
    let leaf = world.stake.terms.staking_output().unbonding;
    let case = Case { transaction: &expansion, spent: &spent, leaf: &leaf };
    let signed = case.witness(&[case.slots(&world.members, &world.quorum()), case.staker()]);
    assert!(core_input(&signed, &spent), "Core takes input 0");
    let mut cheaper = spent.clone();
    cheaper[1].value -= sats(1);
    assert!(!core_input(&signed, &cheaper), "the signature covers the other input's value");
    let hints = Hints::of(None, &[key(60).to_string(), key(65).to_string()], Some(180)).unwrap();
    let report = inspect(&serialize(&signed), &world.table(), &hints).unwrap();
    assert_eq!(report.acts[0].kind, Kind::Expansion);
    assert!(!report.is_broken(), "what cannot be known is not broken: {report:?}");
}

/// Core's verdict on input 0 alone.
fn core_input(transaction: &Transaction, spent: &[TxOut]) -> bool {
    let scripts: Vec<Vec<u8>> = spent.iter().map(|output| output.script_pubkey.to_bytes()).collect();
    let outputs: Vec<_> = scripts
        .iter()
        .zip(spent)
        .map(|(script, output)| bitcoinconsensus::Utxo {
            script_pubkey: script.as_ptr(),
            script_pubkey_len: u32::try_from(script.len()).unwrap(),
            value: i64::try_from(output.value.to_sat()).unwrap(),
        })
        .collect();
    let flags = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;
    let bytes = serialize(transaction);
    bitcoinconsensus::verify_with_flags(&scripts[0], spent[0].value.to_sat(), &bytes, Some(&outputs), 0, flags).is_ok()
}

fn only(report: &palisade_bitcoin::babylon::inspect::Report) -> &Act {
    assert_eq!(report.acts.len(), 1, "{report:?}");
    &report.acts[0]
}

#[test]
fn a_spend_explains_itself_and_what_it_does_not_say_is_unknown() {
    let world = World::new(2, 3, 2);
    let explain =
        |transaction: &Transaction, hints: &Hints| inspect(&serialize(transaction), &world.table(), hints).unwrap();
    let names: Vec<_> = world.stake.terms.providers().iter().map(XOnlyPublicKey::to_string).collect();
    let hints = Hints::of(Some(&key(STAKER).to_string()), &names, None).unwrap();

    assert!(explain(&world.staking, &Hints::none()).acts.is_empty(), "a hash says nothing");
    let report = explain(&world.staking, &hints);
    let act = only(&report);
    assert_eq!((act.kind, act.staking_time, act.value), (Kind::Staking, Some(TIME), Some(1_234_567)));
    assert_eq!(act.outpoint, world.stake.outpoint.to_string());
    assert!(!report.is_broken());

    let (unbonding, spent) = (world.unbonding(), [world.stake.output()]);
    let leaf = world.stake.terms.staking_output().unbonding;
    let case = Case { transaction: &unbonding, spent: &spent, leaf: &leaf };
    let signed = case.witness(&[case.slots(&world.members, &world.quorum()), case.staker()]);
    let report = explain(&signed, &Hints::none());
    let act = only(&report);
    assert_eq!((act.kind, act.staking_time, act.value), (Kind::Unbonding, Some(TIME), Some(1_234_567)));
    assert_eq!((act.fee, act.signed_by.len(), act.providers.len()), (Some(9_600), 2, 0));
    assert!(!report.is_broken() && act.rules.iter().filter(|rule| rule.verdict == "unknown").count() == 1);
    assert_eq!(only(&explain(&signed, &hints)).providers, names, "confirmed by the tree");
    assert_eq!(only(&explain(&unbonding, &hints)).kind, Kind::Unbonding, "unsigned");

    for of_unbonding in [false, true] {
        let (slashing, spent, leaf) = world.slashing(of_unbonding);
        let (value, spent) = (spent.value, [spent]);
        let case = Case { transaction: &slashing, spent: &spent, leaf: &leaf };
        let quorum = case.slots(&world.members, &world.quorum());
        let signed = case.witness(&[quorum, case.slots(&world.providers, &world.providers[..1]), case.staker()]);
        let report = explain(&signed, &Hints::none());
        let act = only(&report);
        assert_eq!((act.kind, act.value, act.fee), (Kind::Slashing, Some(value.to_sat()), Some(2_000)));
        assert_eq!(act.slashed, Some(key(world.providers[0]).to_string()));
        assert_eq!(act.staking_time, (!of_unbonding).then_some(TIME));
        assert_eq!(act.unbonding_time, of_unbonding.then_some(20));
        assert!(!report.is_broken());
        let mut stingy = signed.clone();
        stingy.output[0].value -= sats(1);
        let broken = explain(&stingy, &Hints::none().with_previous(&serialize(&world.staking)).unwrap());
        assert!(broken.is_broken() || of_unbonding, "the signatures no longer hold");
        assert_eq!(only(&explain(&slashing, &hints)).kind, Kind::Slashing, "unsigned");
    }

    let withdrawal = world.withdrawal(world.stake.outpoint, world.stake.value, TIME);
    let leaf = world.stake.terms.staking_output().timelock;
    let spent = [world.stake.output()];
    let case = Case { transaction: &withdrawal, spent: &spent, leaf: &leaf };
    let signed = case.witness(&[case.staker()]);
    let act = only(&explain(&signed, &Hints::none())).clone();
    assert_eq!((act.kind, act.staking_time, act.value), (Kind::Withdrawal, Some(TIME), None));
    let known = Hints::none().with_previous(&serialize(&world.staking)).unwrap();
    let report = explain(&signed, &known);
    assert!(only(&report).rules.iter().all(|rule| rule.verdict == "obeyed"), "{report:?}");
    assert_eq!(only(&report).fee, Some(500));
}

#[test]
fn a_stake_of_another_network_breaks_the_rule_it_breaks() {
    let world = World::new(1, 3, 2);
    let mut parameters = world.parameters.clone();
    parameters.unbonding_fee += sats(1);
    let unbonding = world.unbonding();
    let known = Known::all(&world.stake.terms, world.stake.outpoint, world.stake.value);
    let checks = transactions::unbonding(&parameters, &known, &unbonding);
    assert_eq!(verdicts(&checks), [Rule::UnbondingFee]);
    assert_eq!(checks.of(Rule::UnbondingOutput), Some(&Verdict::Obeyed));
    assert!(checks.require().unwrap_err().to_string().contains("it pays exactly the unbonding fee"));
    let unknown = transactions::unbonding(&parameters, &Known::default(), &unbonding);
    assert!(verdicts(&unknown).is_empty(), "nothing is broken that cannot be known");
    assert!(unknown.require().is_err(), "and nothing is good");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_explained_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = inspect(&bytes, &Table::bbn_1(), &Hints::none());
    }

    #[test]
    fn a_damaged_spend_is_never_called_good(place in 0_usize..2_000, bit in 0_u8..8) {
        let world = World::new(2, 3, 2);
        let (slashing, spent, leaf) = world.slashing(false);
        let spent = [spent];
        let case = Case { transaction: &slashing, spent: &spent, leaf: &leaf };
        let quorum = case.slots(&world.members, &world.quorum());
        let signed = case.witness(&[quorum, case.slots(&world.providers, &world.providers[..1]), case.staker()]);
        let mut bytes = serialize(&signed);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let hints = Hints::none().with_previous(&serialize(&world.staking)).unwrap();
        if let Ok(report) = inspect(&bytes, &world.table(), &hints) {
            let all = |act: &Act| act.rules.iter().all(|rule| rule.verdict == "obeyed");
            prop_assert!(!report.acts.iter().any(|act| act.kind == Kind::Slashing && all(act)));
        }
        let _ = inspect(&bytes[..place], &world.table(), &hints);
    }
}

#[test]
fn a_vault_of_ours_is_explained_by_its_genesis() {
    let people = stake::People::new(3, 2);
    let terms = people.terms(2, 100, 20);
    let versions = stake::versions(std::slice::from_ref(&terms));
    let (presigned, _) = people.presigned(&versions, 128, 2);
    let vault = presigned.vault();
    let table = Table::palisade(std::slice::from_ref(&terms)).unwrap();
    let staking = people.stake(versions.at(5).unwrap(), 128);
    let known = Hints::none().with_previous(&serialize(&staking)).unwrap();
    let unbonding = people.wallet.unbond(&presigned).unwrap();
    let after = Hints::none().with_previous(&serialize(&unbonding)).unwrap();
    let good = |transaction: &Transaction, hints: &Hints| {
        let report = inspect(&serialize(transaction), &table, hints).unwrap();
        assert!(!report.is_broken(), "{report:?}");
        only(&report).clone()
    };
    assert_eq!(good(&unbonding, &known).kind, Kind::Unbonding);
    for (index, slashing) in vault.slashings().iter().enumerate() {
        let complete = presigned.slash(index, &people.providers[0]).unwrap();
        let held = slashing.held == palisade_bitcoin::vault::Held::Staked;
        let act = good(&complete, if held { &known } else { &after });
        assert_eq!((act.kind, act.taken), (Kind::Slashing, Some(complete.output[0].value.to_sat())));
        let mut greedy = complete.clone();
        greedy.output[0].value += sats(1); // Babylon would take that; ours takes exactly the agreed part
        greedy.output[1].value -= sats(1);
        let rules = Known { value: Some(vault.spent(slashing.held).value), ..Known::default() };
        let checks = transactions::slashing(&table.versions()[0], &rules, &greedy);
        assert_eq!(verdicts(&checks), [Rule::Slash]);
    }
}
