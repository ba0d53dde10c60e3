//! R27: a covenant member whose signature stands on an unregistered spend is convicted, whoever did not sign is not, and outside a
//! devnet members are bonded and stand behind no vault of their own covenant.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_crypto::eots;
use palisade_crypto::hash::sha256;
use palisade_ledger::Invalid;
use palisade_ledger::fixture::{Network, Run, SHARES, covenant_secret, network, network_with};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::evidence::CovenantBreach;
use palisade_types::genesis::{Genesis, Unsafe};
use palisade_types::observation::VaultSpent;
use palisade_types::slash::OrderStatus;
use palisade_types::vault::{Spend, VaultStatus};
use palisade_types::{
    Canonical as _, Case, CaseId, Domain, DomainKind, Evidence, Fact, Hash, Item, List, OperatorId, SchnorrKey,
    SchnorrSignature, Unproven, VaultId,
};
use proptest::prelude::*;

/// Three members with a vault each in epoch 1; the first operator is the covenant.
fn joined(network: Network) -> (Run, Vec<VaultId>) {
    let mut run = Run::new(network);
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let vaults: Vec<_> = (0..3).map(|index| run.network.vault(index, 1, 100_000_000, 201)).collect();
    let ids: Vec<_> = vaults.iter().map(Network::vault_id).collect();
    let promises = (0..3).map(|index| Item::Randomness(run.network.randomness(index, 10, 9))).collect::<Vec<_>>();
    run.produce(vaults.into_iter().map(|vault| Item::Vault(Box::new(vault))).chain(promises).collect());
    run.observe(Bitcoin, 205, ids.iter().map(|id| Network::confirmed(*id, 201)).collect());
    run.until_epoch(1);
    (run, ids)
}

/// What a member's key says of a spend of `vault`.
fn breach(vault: VaultId, secret: &eots::SecretKey) -> CovenantBreach {
    let sighash = sha256(b"the coins go elsewhere");
    CovenantBreach {
        vault,
        member: SchnorrKey::new(secret.public().to_bytes()),
        height: 206,
        transaction: Hash::new([8; 32]),
        sighash: Hash::new(sighash),
        signature: SchnorrSignature::new(secret.sign_schnorr(&sighash)),
    }
}

fn seen(run: &mut Run, breaches: Vec<CovenantBreach>) {
    let upto = run.ledger.anchor(Bitcoin).number + 1;
    run.observe(Bitcoin, upto, breaches.into_iter().map(Fact::CovenantBreach).collect());
}

fn domain(run: &Run) -> Domain {
    Domain::own(&run.network.chain, &run.network.genesis.contracts.palisade, DomainKind::Covenant)
}

fn only_case(run: &Run) -> Case {
    assert_eq!(run.ledger.cases().count(), 1);
    run.ledger.cases().next().unwrap().clone()
}

#[test]
fn r27_a_members_signature_on_an_unregistered_spend_convicts_his_operator() {
    let (mut run, ids) = joined(network(3, 1));
    let guilty = run.network.operators[0].id;
    let found = breach(ids[1], &covenant_secret(1));
    let spent = VaultSpent { id: ids[1], spend: Spend::Unexpected(found.transaction) };
    run.observe(Bitcoin, 207, vec![Fact::VaultSpent(spent), Fact::CovenantBreach(found)]);
    let case = only_case(&run);
    assert_eq!((case.operator, case.domain, case.slot), (guilty, domain(&run), 206));
    assert_eq!(case.id, CaseId::derive(&run.network.chain, &guilty, &case.domain));
    assert_eq!(case.evidence, Some(Evidence::Covenant(found)));
    let source = run.network.genesis.assets[0].source;
    let [order] = case.orders[..] else { panic!("his ETH-side stake and nothing else: {:?}", case.orders) };
    assert_eq!((order.target, order.asked), (source.target(), SHARES / 4));
    assert_eq!(order.status, OrderStatus::Ordered);
    // His weight is out of everything at once (R9), and the vault's coins are gone.
    assert_eq!(run.ledger.operator(&guilty).unwrap().convicted, Some(run.ledger.head().height));
    assert_eq!(run.ledger.vault(&ids[1]).unwrap().status, VaultStatus::Lost(found.transaction));
    assert!(run.ledger.operators().filter(|operator| operator.convicted.is_some()).count() == 1);
    run.ledger.audit().unwrap();
    // R25: seen again, of whatever vault, it opens nothing new.
    seen(&mut run, vec![found, breach(ids[2], &covenant_secret(1))]);
    assert_eq!(only_case(&run), case);
    run.until_epoch(2);
    assert!(run.ledger.committee().seat(&guilty).is_none());
}

#[test]
fn r27_what_the_members_key_did_not_sign_convicts_nobody() {
    let (mut run, ids) = joined(network(3, 2));
    let found = breach(ids[1], &covenant_secret(2));
    let stranger = eots::SecretKey::from_bytes(&[7; 32]).unwrap();
    let own = &run.network.operators[0].eots.clone();
    seen(
        &mut run,
        vec![
            CovenantBreach { sighash: Hash::ZERO, ..found },
            CovenantBreach { signature: SchnorrSignature::ZERO, ..found },
            CovenantBreach { member: SchnorrKey::ZERO, ..found },
            breach(ids[1], &stranger),
            breach(ids[1], own), // an operator's other key is no covenant key
            CovenantBreach { vault: VaultId { txid: Hash::ZERO, output: 0 }, ..found },
        ],
    );
    assert_eq!(run.ledger.cases().count(), 0);
    assert!(run.ledger.operators().all(|operator| operator.convicted.is_none()));
    // A member who never registered has nothing here that could be taken.
    let nobody = |genesis: &mut Genesis| {
        genesis.vaults.as_mut_slice()[0].members = vec![OperatorId::new([0x77; 20])].try_into().unwrap();
    };
    let (mut run, ids) = joined(network_with(3, 2, nobody));
    seen(&mut run, vec![breach(ids[1], &covenant_secret(2))]);
    assert_eq!(run.ledger.cases().count(), 0);
}

/// Whether somebody registered a spend is what a follower and the ledger know together: nobody hands it in.
#[test]
fn r27_a_breach_comes_from_bitcoin_and_from_nobody_else() {
    let (run, ids) = joined(network(3, 3));
    let found = breach(ids[1], &covenant_secret(3));
    assert_eq!(run.ledger.judge(&Evidence::Covenant(found)), Err(Unproven::WrongDomain));
    let refused = run.refusal(Item::Evidence(Evidence::Covenant(found)));
    assert_eq!(refused, Invalid::Unproven(Unproven::WrongDomain));
    let elsewhere = run.network.observed(&run.ledger, Ethereum, 106, vec![Fact::CovenantBreach(found)]);
    assert!(matches!(run.refusal(elsewhere), Invalid::Refused(_)));
    // And nobody attests in the domain that names its cases.
    let pair = run.network.pair_in(domain(&run), 0, 7);
    assert_eq!(run.ledger.judge(&pair), Err(Unproven::WrongDomain));
    let (fact, evidence) = (Fact::CovenantBreach(found), Evidence::Covenant(found));
    assert_eq!((fact.to_bytes()[0], evidence.to_bytes()[0]), (7, 4));
    assert_eq!(Fact::from_bytes(&fact.to_bytes()), Ok(fact));
    assert_eq!(Evidence::from_bytes(&evidence.to_bytes()), Ok(evidence));
}

#[test]
fn r27_outside_a_devnet_members_are_bonded_and_stand_behind_no_vault_of_their_covenant() {
    let real = |genesis: &mut Genesis| genesis.vaults.as_mut_slice()[0].devnet = false;
    let mut run = Run::new(network_with(3, 4, real));
    let keys = (0..3).map(|index| run.network.keys_fact(index, 101)).collect();
    run.observe(Ethereum, 105, keys);
    let vault = |run: &Run, index| Item::Vault(Box::new(run.network.vault(index, 1, 100_000_000, 201)));
    assert!(matches!(run.refusal(vault(&run, 1)), Invalid::Early(_)), "nobody of the covenant is bonded");
    let stake = run.network.stake_fact(0, SHARES);
    run.observe(Ethereum, 106, vec![stake]);
    assert!(matches!(run.refusal(vault(&run, 0)), Invalid::Refused(_)), "the member's own");
    let (mut guilty, item) = (run.clone(), vault(&run, 1));
    run.produce(vec![item.clone()]);
    let pair = guilty.network.pair(0, 1);
    guilty.produce(vec![Item::Evidence(pair)]);
    assert!(matches!(guilty.refusal(item), Invalid::Early(_)), "a convict is no member any more");
    // Where bitcoin stands alone, there is nothing to bond with.
    let alone = |genesis: &mut Genesis| {
        real(genesis);
        genesis.assets = List::new();
    };
    let mut run = Run::new(network_with(3, 4, alone));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    assert!(matches!(run.refusal(vault(&run, 0)), Invalid::Refused(_)));
    let item = vault(&run, 1);
    run.produce(vec![item]);
}

#[test]
fn r27_a_genesis_names_every_member_once_and_is_a_devnets_only_where_nothing_has_value() {
    let check = |change: &dyn Fn(&mut Genesis)| network_with(3, 5, change).genesis.check();
    assert_eq!(check(&|_| ()), Ok(()));
    let members = |genesis: &mut Genesis, members: &[u8]| {
        let members: Vec<_> = members.iter().map(|number| OperatorId::new([*number; 20])).collect();
        genesis.vaults.as_mut_slice()[0].members = members.try_into().unwrap();
    };
    let keys = |genesis: &mut Genesis| {
        let keys = vec![SchnorrKey::new([1; 32]), SchnorrKey::new([2; 32])];
        let terms = &mut genesis.vaults.as_mut_slice()[0];
        (terms.covenant, terms.quorum) = (keys.try_into().unwrap(), 2);
    };
    let senseless = |result| matches!(result, Err(Unsafe::Senseless(_)));
    assert!(senseless(check(&|genesis| members(genesis, &[]))));
    assert!(senseless(check(&|genesis| members(genesis, &[1, 2]))));
    assert!(senseless(check(&|genesis| (keys(genesis), members(genesis, &[1, 1])).0)));
    assert_eq!(check(&|genesis| (keys(genesis), members(genesis, &[2, 1])).0), Ok(()));
    assert!(senseless(check(&|genesis| genesis.evm_chain_id = 1)));
    let mut first = hex("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
    first.reverse();
    let mainnet = Hash::new(first.try_into().unwrap());
    assert!(senseless(check(&|genesis| genesis.bitcoin_genesis = mainnet)));
    assert_eq!(
        check(&|genesis| {
            genesis.bitcoin_genesis = mainnet;
            genesis.vaults.as_mut_slice()[0].devnet = false;
        }),
        Ok(())
    );
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever followers tell, nobody is convicted whose covenant key did not sign.
    #[test]
    fn r27_honest_members_and_operators_never_suffer(
        told in prop::collection::vec((0_usize..4, 0_u8..3, any::<[u8; 32]>(), any::<bool>()), 1..8),
    ) {
        let (mut run, ids) = joined(network(3, 6));
        let before: Vec<_> = run.ledger.operators().cloned().collect();
        let mut guilty = false;
        let mut facts = Vec::new();
        for (vault, who, noise, true_signature) in told {
            let secret = match who {
                0 => covenant_secret(6),
                1 => run.network.operators[1].eots.clone(),
                _ => eots::SecretKey::from_bytes(&sha256(&noise)).unwrap(),
            };
            let id = ids.get(vault).copied().unwrap_or(VaultId { txid: Hash::new(noise), output: 1 });
            let mut found = breach(id, &secret);
            if !true_signature {
                found.sighash = Hash::new(noise);
            }
            guilty |= true_signature && who == 0 && vault < 3;
            facts.push(found);
        }
        seen(&mut run, facts);
        let convicts: Vec<_> =
            run.ledger.operators().filter(|one| one.convicted.is_some()).map(|one| one.id).collect();
        let expected: Vec<_> = guilty.then_some(run.network.operators[0].id).into_iter().collect();
        prop_assert_eq!(convicts, expected);
        let after: Vec<_> = run.ledger.operators().skip(1).cloned().collect();
        prop_assert_eq!(&after[..], &before[1..]);
        run.ledger.audit().unwrap();
    }
}
