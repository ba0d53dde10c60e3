//! What proves a fault, for how long, and what it costs: exactly the guilty, exactly what the proof can take.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_crypto::{bls, ed25519, eots};
use palisade_ledger::fixture::{Network, OperatorKeys, Run, SHARES, network, network_with, point};
use palisade_ledger::{Invalid, Ledger};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::genesis::{Asset, Caps};
use palisade_types::observation::VaultSpent;
use palisade_types::position::{Magnitudes, StakeSource};
use palisade_types::price::Price;
use palisade_types::slash::{CaseStatus, OrderStatus, SlashTarget, Taken};
use palisade_types::vault::{Spend, VaultLoss, VaultStatus};
use palisade_types::{
    Address, Case, Digest, Domain, DomainKind, Evidence, Fact, Hash, Header, Height, Item, MicroUsd, Row, RowKey, Sats,
    ServiceId, Unproven, VaultId, Wad,
};

/// Three members with a vault each and nonces for checkpoints from 10 on.
fn joined(seed: u64) -> (Run, Vec<VaultId>) {
    let mut run = Run::new(network(3, seed));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let vaults: Vec<_> = (0..3).map(|index| run.network.vault(index, 1, 100_000_000, 201)).collect();
    let ids: Vec<_> = vaults.iter().map(Network::vault_id).collect();
    let promises = (0..3).map(|index| Item::Randomness(run.network.randomness(index, 10, 9)));
    let promises: Vec<_> = promises.collect();
    let vaults = vaults.into_iter().map(|vault| Item::Vault(Box::new(vault)));
    run.produce(vaults.chain(promises).collect());
    let confirmed = ids.iter().map(|id| Network::confirmed(*id, 201)).collect();
    run.observe(Bitcoin, 205, confirmed);
    run.until_epoch(1);
    run.until_height(16);
    (run, ids)
}

fn only_case(run: &Run) -> &Case {
    assert_eq!(run.ledger.cases().count(), 1);
    run.ledger.cases().next().unwrap()
}

/// Everything that belongs to one operator.
fn belongings(ledger: &Ledger, operator: &palisade_types::OperatorId) -> Vec<(RowKey, Row)> {
    let owned = ledger.rows().filter(|(key, row)| match (key, row) {
        (RowKey::Operator(id), _) => id == operator,
        (RowKey::Position(id), _) => id.operator == *operator,
        (_, Row::Vault(vault)) => vault.registration.operator == *operator,
        (_, Row::Case(case)) => case.operator == *operator,
        _ => false,
    });
    owned.collect()
}

/// A header of another chain of blocks, on whose state another block stands at `slot`.
fn contradiction(run: &Run, slot: u64) -> (Header, Hash, palisade_types::proof::RowProof) {
    let mut fork = Run::new(run.network.clone());
    fork.observe(Bitcoin, 201, vec![]); // something that the real chain did not do
    fork.until_height(slot + 1);
    let named = fork.ledger.block_id(Height::new(slot)).unwrap();
    let proof = fork.ledger.prove(&RowKey::Block(Height::new(slot)));
    let header = fork.blocks.last().unwrap().header;
    (header, Hash::new(*named.as_bytes()), proof)
}

#[test]
fn r01_attesting_a_block_and_a_child_of_another_is_proof() {
    let (mut run, _) = joined(1);
    let real: Digest = run.ledger.block_id(Height::new(12)).unwrap().into();
    let (header, named, proof) = contradiction(&run, 12);
    let fault = |digest, contradiction| run.network.ancestor_fault(0, 12, digest, contradiction);
    let honest = fault(Digest::new(*named.as_bytes()), (header, named, proof.clone()));
    assert_eq!(run.ledger.judge(&honest), Err(Unproven::Compatible));
    let made_up = fault(real, (header, Hash::new([7; 32]), proof.clone()));
    assert_eq!(run.ledger.judge(&made_up), Err(Unproven::BadProof));
    let mut guilty = fault(real, (header, named, proof));
    let proven = run.ledger.judge(&guilty).unwrap();
    assert_eq!((proven.operator(), proven.slot()), (run.network.operators[0].id, 12));
    if let Evidence::Ancestor(fault) = &mut guilty {
        fault.operator = run.network.operators[1].id;
    }
    assert_eq!(run.ledger.judge(&guilty), Err(Unproven::BadSignature));
    if let Evidence::Ancestor(fault) = &mut guilty {
        fault.operator = run.network.operators[0].id;
    }
    run.produce(vec![Item::Evidence(guilty)]);
    let case = only_case(&run);
    assert_eq!((case.domain, case.slot), (run.network.ledger_domain, 12));
    assert_eq!(case.orders.len(), 1);
}

#[test]
fn r11_a_pair_takes_the_fixed_part_of_the_ether_stake_and_nothing_else() {
    let (mut run, vaults) = joined(2);
    let guilty = run.network.operators[1].id;
    let pair = run.network.pair(1, 13);
    run.produce(vec![Item::Evidence(pair.clone())]);
    let case = only_case(&run);
    assert_eq!(case.evidence, Some(pair));
    assert_eq!((case.operator, case.opened), (guilty, run.ledger.head().height));
    assert_eq!(case.status(), CaseStatus::Convicted);
    let order = case.orders[0];
    let source = run.network.genesis.assets[0].source;
    assert_eq!(case.orders.len(), 1);
    assert_eq!(order.target, source.target());
    assert_eq!((order.asked, order.status), (SHARES / 2, OrderStatus::Ordered));
    assert_eq!(run.ledger.vault(&vaults[1]).unwrap().status, VaultStatus::Active);
    let convicted = run.ledger.operator(&guilty).unwrap().convicted;
    assert_eq!(convicted, Some(run.ledger.head().height));
}

#[test]
fn r11_an_eots_pair_takes_the_fixed_part_of_every_vault_and_nothing_else() {
    let (mut run, vaults) = joined(3);
    let pair = run.network.eots_pair(1, 15, 10, 9);
    let secret = run.ledger.judge(&pair).unwrap().exposed().unwrap();
    let public = eots::SecretKey::from_bytes(&secret).unwrap().public();
    assert_eq!(public, run.network.operators[1].eots.public());
    run.produce(vec![Item::Evidence(pair)]);
    let orders = &only_case(&run).orders;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].target, SlashTarget::Vault(vaults[1]));
    assert_eq!(orders[0].asked, 10_000_000);
}

#[test]
fn a_conviction_takes_only_from_the_guilty() {
    let accuse: [fn(&Network) -> Evidence; 3] =
        [|network| network.pair(1, 13), |network| network.eots_pair(1, 15, 10, 9), |network| network.exposed_key(1)];
    for accuse in accuse {
        let (mut run, _) = joined(4);
        let others = [0, 2].map(|index| run.network.operators[index].id);
        let before = others.map(|operator| belongings(&run.ledger, &operator));
        let evidence = accuse(&run.network);
        run.produce(vec![Item::Evidence(evidence)]);
        let slashed = run.network.slashed_fact(1, SHARES, SHARES / 2);
        run.observe(Ethereum, 110, vec![slashed]);
        assert_eq!(others.map(|operator| belongings(&run.ledger, &operator)), before);
        run.ledger.audit().unwrap();
    }
}

#[test]
fn r25_one_fault_has_one_case_however_often_it_is_shown() {
    let (mut run, _) = joined(5);
    let (pair, again) = (run.network.pair(1, 13), run.network.pair(1, 14));
    run.produce(vec![Item::Evidence(pair.clone())]);
    let convicted = run.ledger.operator(&run.network.operators[1].id).cloned();
    for evidence in [pair, again] {
        assert_eq!(run.ledger.judge(&evidence), Err(Unproven::AlreadyConvicted));
        let refused = run.refusal(Item::Evidence(evidence));
        assert_eq!(refused, Invalid::Unproven(Unproven::AlreadyConvicted));
    }
    // It is dropped before its signatures are looked at.
    let Evidence::Pair(mut broken) = run.network.pair(1, 15) else { unreachable!() };
    broken.first.1 = palisade_types::BlsSignature::ZERO;
    let judged = run.ledger.judge(&Evidence::Pair(broken));
    assert_eq!(judged, Err(Unproven::AlreadyConvicted));
    // Another domain is another case, and the first conviction stands.
    let eots = run.network.eots_pair(1, 15, 10, 9);
    run.produce(vec![Item::Evidence(eots)]);
    assert_eq!(run.ledger.cases().count(), 2);
    let operator = run.ledger.operator(&run.network.operators[1].id).cloned();
    assert_eq!(operator, convicted);
}

#[test]
fn r25_two_proofs_in_one_block_are_one_case() {
    let (run, _) = joined(6);
    let pairs = [13, 14].map(|slot| Item::Evidence(run.network.pair(1, slot)));
    let (block, _, refused) = run.ledger.draft(pairs.to_vec());
    assert_eq!((block.items.len(), refused.len()), (1, 1));
    assert_eq!(refused[0].1, Invalid::Unproven(Unproven::AlreadyConvicted));
}

#[test]
fn evidence_that_proves_nothing_convicts_nobody() {
    let (run, _) = joined(7);
    let network = &run.network;
    let check = |evidence: Evidence, expected| {
        assert_eq!(run.ledger.judge(&evidence), Err(expected));
        let refused = run.refusal(Item::Evidence(evidence));
        assert_eq!(refused, Invalid::Unproven(expected));
    };
    let Evidence::Pair(pair) = network.pair(1, 13) else { unreachable!() };
    let mut same = pair;
    same.second = same.first;
    check(Evidence::Pair(same), Unproven::Compatible);
    let mut other = pair;
    other.operator = network.operators[2].id;
    check(Evidence::Pair(other), Unproven::BadSignature);
    other.operator = palisade_types::OperatorId::new([0xee; 20]);
    check(Evidence::Pair(other), Unproven::UnknownOperator);
    let mut moved = pair;
    moved.slot = 14;
    check(Evidence::Pair(moved), Unproven::BadSignature);
    // A BLS pair in the domain of EOTS, and a service's domain, which takes from the service's own stake.
    check(network.pair_in(network.bitcoin_domain, 1, 15), Unproven::WrongDomain);
    let palisade = network.genesis.contracts.palisade;
    let service = Domain::of_service(&network.chain, &palisade, &ServiceId::new([5; 32]), 1, 256);
    check(network.pair_in(service, 1, 15), Unproven::WrongDomain);
    // Nonces that nobody promised.
    check(network.eots_pair(1, 15, 5, 9), Unproven::NotCommitted);
    let stranger =
        OperatorKeys { eots: eots::SecretKey::from_bytes(&[3; 32]).unwrap(), ..network.operators[1].clone() };
    let strangers = Network { operators: vec![network.operators[0].clone(), stranger], ..network.clone() };
    check(strangers.exposed_key(1), Unproven::BadSignature);
}

#[test]
fn r14_every_domain_of_the_network_itself_is_judged() {
    for kind in [DomainKind::VaultClaim, DomainKind::Order, DomainKind::Succession] {
        let (mut run, _) = joined(8);
        let domain = run.network.genesis.domain(kind);
        let pair = run.network.pair_in(domain, 1, 77);
        run.produce(vec![Item::Evidence(pair)]);
        assert_eq!(only_case(&run).domain, domain);
        assert_eq!(only_case(&run).orders.len(), 1);
    }
}

#[test]
fn r04_evidence_counts_until_its_execution_no_longer_fits() {
    let (run, _) = joined(9);
    let snapshot = run.ledger.committee().ethereum.number;
    let start = run.network.genesis.ethereum_start.number;
    let check = |slot: u64, last: u64| {
        let mut run = run.clone();
        let pair = run.network.pair(1, slot);
        run.observe(Ethereum, last, vec![]);
        run.ledger.judge(&pair).unwrap();
        run.observe(Ethereum, last + 1, vec![]);
        assert_eq!(run.ledger.judge(&pair), Err(Unproven::Expired));
        let refused = run.refusal(Item::Evidence(pair));
        assert_eq!(refused, Invalid::Unproven(Unproven::Expired));
    };
    check(3, start + 150); // epoch 0
    check(13, snapshot + 150); // epoch 1
}

#[test]
fn r26_a_slot_of_the_future_is_charged_to_the_newest_snapshot() {
    let (mut run, _) = joined(10);
    let snapshot = run.ledger.committee().ethereum.number;
    let (future, key) = (run.network.pair(1, 1 << 40), run.network.exposed_key(1));
    run.observe(Ethereum, snapshot + 50, vec![]);
    // The next committee is drawn, so its snapshot is the newest.
    assert!(run.ledger.epoch().boundary.is_some());
    run.observe(Ethereum, snapshot + 50 + 150, vec![]);
    run.ledger.judge(&future).unwrap();
    run.ledger.judge(&key).unwrap();
    run.observe(Ethereum, snapshot + 50 + 151, vec![]);
    assert_eq!(run.ledger.judge(&future), Err(Unproven::Expired));
    assert_eq!(run.ledger.judge(&key), Err(Unproven::Expired));
}

#[test]
fn r12_a_key_convicts_until_its_rows_end_and_w() {
    let (mut run, _) = joined(11);
    let (old, future) = (run.network.pair(1, 13), run.network.pair(1, 1 << 40));
    let fresh = OperatorKeys {
        id: run.network.operators[1].id,
        bls: bls::SecretKey::from_seed(&[1; 32]),
        ed25519: ed25519::SecretKey::from_seed(&[1; 32]),
        eots: eots::SecretKey::from_bytes(&[1; 32]).unwrap(),
    };
    let change = run.network.registration(&fresh, 9, 110);
    let gone = run.network.stake_fact(1, 0); // others certify, so that the new key need not
    run.observe(Ethereum, 111, vec![change, gone]);
    run.ledger.judge(&old).unwrap();
    // Keep drawing committees, so that only the key's own end counts.
    let go_to = |run: &mut Run, upto| {
        while run.ledger.anchor(Ethereum).number < upto {
            let epoch = run.ledger.epoch().epoch.get();
            let next = upto.min(run.ledger.anchor(Ethereum).number + 50);
            run.observe(Ethereum, next, vec![]);
            run.until_epoch(epoch + 1);
        }
    };
    go_to(&mut run, 110 + 180);
    run.ledger.judge(&future).unwrap();
    go_to(&mut run, 110 + 181);
    assert_eq!(run.ledger.judge(&future), Err(Unproven::Expired));
}

#[test]
fn r18_a_pair_of_engine_votes_jails_and_takes_nothing() {
    let (mut run, _) = joined(12);
    let pair = run.network.vote_pair(1, 12, [b"this", b"that"]);
    let same = run.network.vote_pair(1, 12, [b"this", b"this"]);
    let mut other = pair.clone();
    other.operator = run.network.operators[0].id;
    assert_eq!(run.ledger.judge_votes(&same), Err(Unproven::Compatible));
    assert_eq!(run.ledger.judge_votes(&other), Err(Unproven::BadSignature));
    run.ledger.judge_votes(&pair).unwrap();
    let before = run.ledger.operator(&pair.operator).unwrap().clone();
    run.produce(vec![Item::Evidence(Evidence::Votes(pair.clone()))]);
    let jailed = run.ledger.operator(&pair.operator).unwrap().clone();
    assert_eq!(jailed.jailed, Some(run.ledger.head().height));
    assert_eq!((jailed.convicted, before.jailed), (None, None));
    assert_eq!(run.ledger.cases().count(), 0);
    assert_eq!(run.ledger.judge_votes(&pair), Err(Unproven::AlreadyConvicted));
    run.produce(vec![]);
    assert_eq!(run.ledger.epoch().boundary, None, "no stake left, so no hurry");
    run.until_epoch(2);
    assert_eq!(run.ledger.committee().seat(&pair.operator), None);
}

#[test]
fn r24_an_order_is_final_when_the_targets_own_views_show_the_loss() {
    let (mut run, _) = joined(13);
    let pair = run.network.pair(1, 13);
    run.produce(vec![Item::Evidence(pair)]);
    let status = |run: &Run| only_case(run).orders[0].status;
    // Facts that fit no order change nothing.
    let before = only_case(&run).clone();
    let Fact::Slashed(slashed) = run.network.slashed_fact(1, SHARES, SHARES / 2) else { unreachable!() };
    let mut foreign = [slashed; 4];
    foreign[0].operator = run.network.operators[0].id;
    foreign[1].adapter = Address::ZERO;
    foreign[2].asset = Address::ZERO;
    foreign[3].case = palisade_types::CaseId::ZERO;
    run.observe(Ethereum, 106, foreign.map(Fact::Slashed).to_vec());
    assert_eq!(*only_case(&run), before);
    let facts = vec![Fact::Slashed(slashed), run.network.stake_fact(1, SHARES / 2)];
    run.observe(Ethereum, 107, facts);
    let taken = Taken { amount: SHARES / 2, transaction: slashed.transaction };
    assert_eq!(status(&run), OrderStatus::Final(taken));
    assert_eq!(only_case(&run).status(), CaseStatus::Final);
    // What is final stays.
    let twice = run.network.slashed_fact(1, SHARES / 2, 0);
    run.observe(Ethereum, 108, vec![twice]);
    assert_eq!(status(&run), OrderStatus::Final(taken));
}

#[test]
fn stake_that_can_no_longer_be_taken_has_escaped_until_a_chain_shows_otherwise() {
    let (mut run, _) = joined(14);
    let pair = run.network.pair(1, 13);
    run.produce(vec![Item::Evidence(pair)]);
    let whole = Wad::ONE.get();
    let left = Magnitudes {
        shares: SHARES,
        queued: 0,
        max_magnitude: whole,
        magnitude: whole,
        member: false,
        slashable_until: 120,
        ..Magnitudes::NOTHING
    };
    let status = |run: &Run| only_case(run).orders[0].status;
    let fact = run.network.position_fact(1, left);
    run.observe(Ethereum, 120, vec![fact]);
    assert_eq!(status(&run), OrderStatus::Ordered);
    run.observe(Ethereum, 121, vec![]);
    assert_eq!(status(&run), OrderStatus::Escaped);
    let late = run.network.slashed_fact(1, SHARES, SHARES / 2);
    run.observe(Ethereum, 122, vec![late]);
    assert!(matches!(status(&run), OrderStatus::Final(_)));
}

#[test]
fn shares_that_wait_in_the_queue_are_ordered_though_the_views_do_not_count_them() {
    let (mut run, _) = joined(15);
    let fact = run.network.stake_fact(1, 0); // all stakers queued; the magnitude is whole
    run.observe(Ethereum, 106, vec![fact]);
    let pair = run.network.pair(1, 13);
    run.produce(vec![Item::Evidence(pair)]);
    let order = only_case(&run).orders[0];
    assert_eq!((order.asked, order.status), (0, OrderStatus::Ordered));
}

#[test]
fn r11_every_asset_loses_its_own_part_and_no_loss_is_no_slash() {
    let second = Asset {
        source: StakeSource::EigenLayer(Address::new([0xb2; 20])),
        price: Price::Fixed(MicroUsd::new(1_000_000)),
        cap: Caps::ANY,
        equivocation: Wad::new(100_000_000_000_000_000),
    };
    let network = network_with(2, 16, |genesis| {
        genesis.assets = vec![genesis.assets[0], second].try_into().unwrap();
    });
    let mut run = Run::new(network);
    let mut facts = run.network.joining_facts();
    let Fact::Stake(mut seen) = run.network.stake_fact(0, 1_009) else { unreachable!() };
    seen.id.source = second.source;
    facts.push(Fact::Stake(seen));
    // Collateral that genesis does not list gets no row (R8).
    seen.id.source = StakeSource::EigenLayer(Address::new([0xb3; 20]));
    facts.push(Fact::Stake(seen));
    run.observe(Ethereum, 105, facts);
    assert_eq!(run.ledger.positions().count(), 3);
    let pair = run.network.pair(0, 1);
    run.produce(vec![Item::Evidence(pair)]);
    let asked: Vec<_> = only_case(&run).orders.iter().map(|order| order.asked).collect();
    assert_eq!(asked, [SHARES / 2, 100]);
    let Fact::Slashed(mut none) = run.network.slashed_fact(0, 5, 5) else { unreachable!() };
    none.asset = *second.source.asset();
    run.observe(Ethereum, 106, vec![Fact::Slashed(none)]);
    assert_eq!(only_case(&run).orders[1].status, OrderStatus::Escaped);
    assert_eq!(only_case(&run).orders[0].status, OrderStatus::Ordered);
}

#[test]
fn r25_the_ledger_follows_a_conviction_by_the_contract_once() {
    let (mut run, _) = joined(17);
    let convicted = run.network.convicted_fact(1, 13);
    let slashed = run.network.slashed_fact(1, SHARES, SHARES / 2);
    let Fact::Convicted(mut wrong) = run.network.convicted_fact(0, 13) else { unreachable!() };
    wrong.case = palisade_types::CaseId::new([9; 32]);
    // The loss was seen in the same step as the conviction, and the position afterwards.
    let position = run.network.stake_fact(1, SHARES / 2);
    let facts = vec![convicted.clone(), slashed, position, Fact::Convicted(wrong)];
    run.observe(Ethereum, 106, facts);
    let case = only_case(&run).clone();
    assert_eq!((case.evidence.clone(), case.orders[0].asked), (None, SHARES / 2));
    assert_eq!(case.status(), CaseStatus::Final);
    assert!(run.ledger.operator(&case.operator).unwrap().convicted.is_some());
    run.observe(Ethereum, 107, vec![convicted]);
    assert_eq!(*only_case(&run), case);
    let pair = run.network.pair(1, 13);
    assert_eq!(run.ledger.judge(&pair), Err(Unproven::AlreadyConvicted));
}

#[test]
fn a_vaults_order_ends_as_bitcoin_shows_it() {
    let txid = Hash::new([4; 32]);
    let loss = |sats| VaultLoss { txid, taken: Sats::new(sats) };
    let taken = |amount| OrderStatus::Final(Taken { amount, transaction: txid });
    let rows = [
        (Spend::Slashed(loss(9_990_000)), VaultStatus::Slashed(loss(9_990_000)), taken(9_990_000)),
        (Spend::Unbonded(txid), VaultStatus::Unbonding(txid), OrderStatus::Ordered),
        (Spend::Withdrawn(txid), VaultStatus::Withdrawn(txid), OrderStatus::Escaped),
        (Spend::Unexpected(txid), VaultStatus::Lost(txid), OrderStatus::Escaped),
        // More than the vault holds is no slash of it.
        (Spend::Slashed(loss(100_000_001)), VaultStatus::Lost(txid), OrderStatus::Escaped),
    ];
    for (spend, vault, order) in rows {
        let (mut run, vaults) = joined(18);
        let key = run.network.exposed_key(1);
        run.produce(vec![Item::Evidence(key)]);
        let id = vaults[1];
        run.observe(Bitcoin, 206, vec![Fact::VaultSpent(VaultSpent { id, spend })]);
        assert_eq!(run.ledger.vault(&id).unwrap().status, vault);
        assert_eq!(only_case(&run).orders[0].status, order);
        run.ledger.audit().unwrap();
        // An unbonding output can still be slashed; what is over stays over.
        let spend = Spend::Slashed(loss(1));
        run.observe(Bitcoin, 207, vec![Fact::VaultSpent(VaultSpent { id, spend })]);
        let after = run.ledger.vault(&id).unwrap().status;
        let expected = match vault {
            VaultStatus::Unbonding(_) => VaultStatus::Slashed(loss(1)),
            over => over,
        };
        assert_eq!(after, expected);
    }
}

#[test]
fn r29_an_exposed_key_orders_the_vaults_that_it_unlocks() {
    let (mut run, vaults) = joined(19);
    // The operator changed his finality key; the vault of the new key is safe from the old one.
    let mut fresh = run.network.operators[1].clone();
    fresh.bls = bls::SecretKey::from_seed(&[1; 32]);
    fresh.ed25519 = ed25519::SecretKey::from_seed(&[1; 32]);
    fresh.eots = eots::SecretKey::from_bytes(&[1; 32]).unwrap();
    let change = run.network.registration(&fresh, 9, 110);
    run.observe(Ethereum, 111, vec![change]);
    let renewed = Network { operators: vec![run.network.operators[0].clone(), fresh], ..run.network.clone() };
    let vault = renewed.vault(1, 2, 50_000_000, 201);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    run.observe(Bitcoin, 206, vec![Network::confirmed(id, 201)]);
    let old = run.network.exposed_key(1);
    run.produce(vec![Item::Evidence(old)]);
    let targets: Vec<_> = only_case(&run).orders.iter().map(|order| order.target).collect();
    assert_eq!(targets, [SlashTarget::Vault(vaults[1])]);
}

#[test]
fn an_anchor_is_what_every_honest_endpoint_shows() {
    assert_eq!(point(Ethereum, 7), point(Ethereum, 7));
    assert_ne!(point(Ethereum, 7).hash, point(Bitcoin, 7).hash);
}

#[test]
fn a_forecast_is_what_then_happens_and_changes_nothing() {
    let (run, ids) = joined(11);
    let domains = *run.ledger.domains();
    let operator = run.network.operators[1].id;
    let proofs = [
        (domains.ledger, run.network.pair(1, 12)),
        (domains.bitcoin, run.network.eots_pair(1, 15, 10, 9)),
        (domains.claim, run.network.pair_in(domains.claim, 1, 3)),
    ];
    for (domain, proof) in proofs {
        let mut run = Run { network: run.network.clone(), ledger: run.ledger.clone(), blocks: Vec::new() };
        let root = run.ledger.root();
        let foreseen = run.ledger.foresee(&proof).unwrap();
        let guessed = run.ledger.foresee_fault(operator, domain).unwrap();
        let [convict] = &foreseen.convicts[..] else { panic!("one") };
        assert_eq!((&guessed, convict.operator, convict.domain), (&foreseen, operator, domain));
        assert_eq!(run.ledger.root(), root);
        run.produce(vec![Item::Evidence(proof.clone())]);
        let case = only_case(&run);
        assert_eq!(convict.case, case.id);
        let ordered = case.orders.iter().map(|order| (order.target, order.asked));
        assert!(convict.losses.iter().map(|loss| (loss.target, loss.asked)).eq(ordered));
        assert!(convict.losses.iter().all(|loss| loss.value.get() > 0));
        assert!(convict.losses.iter().all(|loss| 0 < loss.asked && loss.asked <= loss.takes && loss.takes <= loss.of));
        run.until_epoch(2);
        let committee = run.ledger.committee();
        assert_eq!((foreseen.after.members, foreseen.before.members), (2, 3));
        assert_eq!(foreseen.after.ether, committee.total_ether());
        assert_eq!(foreseen.before.ether * 2, foreseen.after.ether * 3, "everybody has the same stake");
        assert_eq!(run.ledger.foresee(&proof), Err(Unproven::AlreadyConvicted));
        assert_eq!(run.ledger.foresee_fault(operator, domain), Err(Unproven::AlreadyConvicted));
    }
    let on_bitcoin = run.ledger.foresee_fault(operator, domains.bitcoin).unwrap().convicts.remove(0);
    assert_eq!(on_bitcoin.losses.iter().map(|loss| loss.target).collect::<Vec<_>>(), [SlashTarget::Vault(ids[1])]);
    assert_eq!(on_bitcoin.losses[0].of, 100_000_000);
}

#[test]
fn nobody_is_foretold_a_fault_that_cannot_be() {
    let (run, _) = joined(11);
    let (operator, domains) = (run.network.operators[0].id, run.ledger.domains());
    let stranger = palisade_types::OperatorId::new([0xee; 20]);
    assert_eq!(run.ledger.foresee_fault(stranger, domains.ledger), Err(Unproven::UnknownOperator));
    assert_eq!(run.ledger.foresee_fault(operator, Domain::ZERO), Err(Unproven::WrongDomain));
    let votes = Evidence::Votes(run.network.vote_pair(0, 12, [b"one", b"two"]));
    assert_eq!(run.ledger.foresee(&votes), Err(Unproven::WrongDomain));
}
