//! R29: several services behind one vault. A key of any of them whose secret is known unlocks it, so that it weighs nothing; nobody
//! here is convicted by another service's fault, and no loss is booked before Bitcoin shows it.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_crypto::eots;
use palisade_ledger::fixture::{Network, Run, foreign_provider, network};
use palisade_ledger::{Invalid, Ledger};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::evidence::{ExposedProvider, Exposure};
use palisade_types::observation::{VaultConfirmed, VaultSpent};
use palisade_types::vault::{Spend, VaultLoss, VaultStatus};
use palisade_types::{
    Canonical as _, Evidence, Fact, Hash, Height, Item, Row, RowKey, Sats, SchnorrKey, Unproven, VaultId,
};
use proptest::prelude::*;

/// Three members with equal ether and nonces; each of `vaults` is (operator, other services' providers), of a bitcoin, active before
/// epoch 1.
fn joined(seed: u64, vaults: &[(usize, Vec<SchnorrKey>)]) -> (Run, Vec<VaultId>) {
    let mut run = Run::new(network(3, seed));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let mut items: Vec<_> = (0..3).map(|index| Item::Randomness(run.network.randomness(index, 10, 21))).collect();
    let mut ids = Vec::new();
    for (number, (index, others)) in (1..).zip(vaults) {
        let mut vault = run.network.vault(*index, number, 100_000_000, 201);
        let mut providers = [vault.providers.to_vec(), others.clone()].concat();
        providers.sort_unstable();
        vault.providers = providers.try_into().unwrap();
        ids.push(Network::vault_id(&vault));
        items.push(Item::Vault(Box::new(vault)));
    }
    run.produce(items);
    let confirmed = ids.iter().map(|id| Fact::VaultConfirmed(VaultConfirmed { id: *id, height: 201 }));
    run.observe(Bitcoin, 205, confirmed.collect());
    run.until_epoch(1);
    run.produce(vec![]); // in which claims are made
    (run, ids)
}

fn weights(ledger: &Ledger) -> Vec<u64> {
    ledger.committee().members.iter().map(|member| member.bitcoin).collect()
}

fn next_epoch(run: &mut Run) {
    let epoch = run.ledger.epoch().epoch.get() + 1;
    run.until_epoch(epoch);
}

#[test]
fn r29_a_key_of_another_service_takes_the_weight_of_every_vault_that_names_it_and_nothing_else() {
    let (secret, key) = foreign_provider(1);
    let (_, quiet) = foreign_provider(2);
    let (mut run, ids) = joined(1, &[(0, vec![key]), (1, vec![quiet]), (1, vec![key, quiet]), (2, vec![])]);
    assert_eq!(weights(&run.ledger), [10_000_000, 20_000_000, 10_000_000]);
    run.produce(vec![Item::Evidence(secret)]);
    run.ledger.audit().unwrap();
    assert!(run.ledger.is_exposed(&key) && !run.ledger.is_exposed(&quiet));
    assert_eq!(run.ledger.cases().count(), 0, "nobody is convicted");
    assert!(run.ledger.operators().all(|operator| operator.convicted.is_none()));
    let revoked: Vec<_> = ids.iter().map(|id| run.ledger.claim(id).unwrap().revoked).collect();
    assert_eq!(revoked, [true, false, true, false]);
    next_epoch(&mut run);
    assert_eq!(weights(&run.ledger), [0, 10_000_000, 10_000_000]);
    assert!(run.ledger.vaults().all(|vault| vault.status == VaultStatus::Active), "nothing is booked");
    // The loss is what Bitcoin shows, when it does.
    let taken = Sats::new(10_000_000);
    let spend = Spend::Slashed(VaultLoss { txid: Hash::new([9; 32]), taken });
    run.observe(Bitcoin, 207, vec![Fact::VaultSpent(VaultSpent { id: ids[0], spend })]);
    assert!(matches!(run.ledger.vault(&ids[0]).unwrap().status, VaultStatus::Slashed(loss) if loss.taken == taken));
    assert_eq!(run.ledger.vault(&ids[2]).unwrap().status, VaultStatus::Active);
    assert_eq!(run.ledger.cases().count(), 0);
    run.ledger.audit().unwrap();
}

#[test]
fn r29_an_operators_own_fault_marks_the_vaults_of_others_that_name_his_key() {
    let network = network(3, 2);
    let guilty = SchnorrKey::new(network.operators[0].eots.public().to_bytes());
    let (mut run, ids) = joined(2, &[(0, vec![]), (1, vec![guilty]), (2, vec![])]);
    run.until_height(16);
    let pair = run.network.eots_pair(0, 15, 10, 21);
    run.produce(vec![Item::Evidence(pair)]);
    let case = run.ledger.cases().next().unwrap();
    assert_eq!(case.orders.len(), 1, "exactly the guilty is to lose");
    assert_eq!(case.operator, run.network.operators[0].id);
    assert!(run.ledger.is_exposed(&guilty));
    assert!(run.ledger.operator(&run.network.operators[1].id).unwrap().convicted.is_none());
    assert!(run.ledger.claim(&ids[1]).unwrap().revoked && !run.ledger.claim(&ids[2]).unwrap().revoked);
    // Shown once more as a provider's it says nothing new.
    let again = ExposedProvider { secret: *network.operators[0].eots.to_bytes() };
    assert_eq!(run.ledger.judge_provider(&again), Err(Unproven::AlreadyConvicted));
    next_epoch(&mut run);
    let seats: Vec<_> = run.ledger.committee().members.iter().map(|seat| (seat.operator, seat.bitcoin)).collect();
    assert_eq!(seats, [(run.network.operators[1].id, 0), (run.network.operators[2].id, 10_000_000)]);
}

#[test]
fn r29_only_the_secret_of_a_key_that_a_vault_names_is_kept_and_once() {
    let (secret, key) = foreign_provider(1);
    let (stranger, _) = foreign_provider(9);
    let (mut run, ids) = joined(3, &[(0, vec![key])]);
    let refused = |run: &Run, evidence: &Evidence| run.refusal(Item::Evidence(evidence.clone()));
    assert_eq!(refused(&run, &stranger), Invalid::Unproven(Unproven::UnknownProvider));
    let nonsense = Evidence::ExposedProvider(ExposedProvider { secret: [0xff; 32] });
    assert_eq!(refused(&run, &nonsense), Invalid::Unproven(Unproven::BadSignature));
    assert_eq!(run.ledger.judge(&secret), Err(Unproven::WrongDomain), "it accuses nobody");
    let mut over = run.clone();
    let withdrawn = Spend::Withdrawn(Hash::new([9; 32]));
    over.observe(Bitcoin, 207, vec![Fact::VaultSpent(VaultSpent { id: ids[0], spend: withdrawn })]);
    assert_eq!(refused(&over, &secret), Invalid::Unproven(Unproven::UnknownProvider), "nothing is left to take");
    run.produce(vec![Item::Evidence(secret.clone())]);
    assert_eq!(refused(&run, &secret), Invalid::Unproven(Unproven::AlreadyConvicted));
    // No vault is registered that anybody can slash.
    let mut vault = run.network.vault(1, 7, 100_000_000, 202);
    let mut providers = vec![vault.providers[0], key];
    providers.sort_unstable();
    vault.providers = providers.try_into().unwrap();
    assert!(matches!(run.refusal(Item::Vault(Box::new(vault))), Invalid::Refused(_)));
}

#[test]
fn r29_a_certificate_does_not_count_what_anybody_can_take() {
    let (secret, key) = foreign_provider(1);
    let (mut run, _) = joined(4, &[(0, vec![key]), (1, vec![]), (2, vec![])]);
    run.until_height(15);
    run.produce(vec![Item::Evidence(secret)]);
    let certificate = run.certify(15, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    let id = run.ledger.block_id(Height::new(15)).unwrap();
    let votes: Vec<_> = (0..3).map(|index| run.network.finality_vote(index, 15, id.into(), 10, 21)).collect();
    let whole = run.network.bitcoin_certificate(run.ledger.committee(), &votes);
    // Two of three bitcoin are left, and that is not more than two thirds.
    assert!(matches!(run.refusal(Item::BitcoinFinal(whole)), Invalid::Worthless(_)));
}

#[test]
fn an_exposure_says_whose_key_it_is_and_never_the_secret() {
    let (evidence, key) = foreign_provider(5);
    let Evidence::ExposedProvider(provider) = evidence else { unreachable!() };
    let row = Row::Exposed(Exposure { provider, since: Height::new(7) });
    assert_eq!(Row::from_bytes(&row.to_bytes()), Ok(row.clone()));
    assert_eq!((row.to_bytes()[0], RowKey::Exposed(key).to_bytes()[0], evidence_tag(provider)), (12, 12, 6));
    let shown = format!("{row:?}");
    let secret: Vec<String> = provider.secret.iter().map(ToString::to_string).collect();
    assert!(!shown.contains(&secret.join(", ")), "{shown}");
    assert_eq!(ExposedProvider { secret: [0; 32] }.key(), None);
}

fn evidence_tag(provider: ExposedProvider) -> u8 {
    let evidence = Evidence::ExposedProvider(provider);
    assert_eq!(Evidence::from_bytes(&evidence.to_bytes()), Ok(evidence.clone()));
    assert_eq!(evidence.operator(), None);
    evidence.to_bytes()[0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn r29_honest_operators_lose_the_weight_of_open_vaults_and_nothing_more(
        vaults in prop::collection::vec((0_usize..3, prop::collection::btree_set(0_u8..4, 0..3)), 0..5),
        shown in prop::collection::btree_set(0_u8..4, 0..4),
    ) {
        let named = |numbers: &std::collections::BTreeSet<u8>| {
            numbers.iter().map(|number| foreign_provider(*number).1).collect::<Vec<_>>()
        };
        let behind: Vec<_> = vaults.iter().map(|(index, numbers)| (*index, named(numbers))).collect();
        let (mut run, _) = joined(5, &behind);
        let before: Vec<_> = run.ledger.positions().map(|(id, position)| (*id, *position)).collect();
        for number in &shown {
            let (secret, _) = foreign_provider(*number);
            let known = vaults.iter().any(|(_, numbers)| numbers.contains(number));
            match run.ledger.admits(&Item::Evidence(secret.clone())) {
                Ok(()) => { prop_assert!(known); run.produce(vec![Item::Evidence(secret)]); }
                Err(error) => prop_assert!(!known && error == Invalid::Unproven(Unproven::UnknownProvider)),
            }
        }
        // The first secret may close the epoch (R9) and have the next committee drawn before the last one is known.
        next_epoch(&mut run);
        next_epoch(&mut run);
        let mut expected = [0_u64; 3];
        for (index, _) in vaults.iter().filter(|(_, numbers)| numbers.is_disjoint(&shown)) {
            expected[*index] += 10_000_000;
        }
        prop_assert_eq!(weights(&run.ledger), expected);
        let after: Vec<_> = run.ledger.positions().map(|(id, position)| (*id, *position)).collect();
        prop_assert_eq!(after, before);
        prop_assert!(run.ledger.operators().all(|one| one.convicted.is_none() && one.jailed.is_none()));
        prop_assert!(run.ledger.vaults().all(|vault| vault.status == VaultStatus::Active));
        run.ledger.audit().unwrap();
    }

    #[test]
    fn r29_a_secret_names_its_own_key_and_no_other(secret: [u8; 32]) {
        let key = ExposedProvider { secret }.key();
        let expected = eots::SecretKey::from_bytes(&secret).ok();
        prop_assert_eq!(key, expected.map(|secret| SchnorrKey::new(secret.public().to_bytes())));
    }
}
