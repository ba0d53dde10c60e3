//! Two certificates that cannot both be honest convict exactly who signed both.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Network, Run, network};
use palisade_ledger::{Invalid, Ledger};
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::contradiction::{CertificatePair, LaterBlock};
use palisade_types::genesis::Continues;
use palisade_types::ids::{BlsSignature, ChainId};
use palisade_types::{
    Canonical, Digest, Domain, DomainKind, Epoch, Evidence, Genesis, Hash, Height, Item, OperatorId, Statement,
    Unproven,
};
use proptest::prelude::*;
use std::sync::Arc;

const A: Digest = Digest::new([1; 32]);
const B: Digest = Digest::new([2; 32]);

/// A slot of epoch 1.
const SLOT: u64 = 13;

fn joined(members: usize, seed: u64) -> Run {
    let mut run = Run::joined(network(members, seed));
    run.until_height(SLOT + 3);
    assert_eq!(run.ledger.epoch_of(Height::new(SLOT)), Some(Epoch::new(1)));
    run
}

fn ids(run: &Run, indices: &[usize]) -> Vec<OperatorId> {
    indices.iter().map(|index| run.network.operators[*index].id).collect()
}

fn certified(run: &Run, domain: Domain, slot: u64, digest: Digest, by: &[usize]) -> QuorumCertificate {
    run.network.certificate(run.ledger.committee(), Statement { domain, slot, digest }, by)
}

/// Two digests of one slot.
fn pair_in(run: &Run, domain: Domain, slot: u64, first: &[usize], second: &[usize]) -> CertificatePair {
    let certified = |digest, by| certified(run, domain, slot, digest, by);
    let epoch = run.ledger.epoch().epoch;
    CertificatePair { epoch, first: certified(A, first), second: certified(B, second), later: None }
}

fn pair(run: &Run, first: &[usize], second: &[usize]) -> CertificatePair {
    pair_in(run, run.network.ledger_domain, SLOT, first, second)
}

/// The real block at [`SLOT`], and one on another chain whose state names another there.
fn ancestors(run: &Run, first: &[usize], second: &[usize]) -> CertificatePair {
    let real: Digest = run.ledger.block_id(Height::new(SLOT)).unwrap().into();
    let mut fork = Run::new(run.network.clone());
    fork.observe(Bitcoin, 201, vec![]); // something that the real chain did not do
    fork.until_height(SLOT + 1);
    let (height, header) = (Height::new(SLOT), fork.blocks.last().unwrap().header);
    let named = Hash::new(*fork.ledger.block_id(height).unwrap().as_bytes());
    let proof = fork.ledger.prove(&palisade_types::RowKey::Block(height));
    let domain = run.network.ledger_domain;
    CertificatePair {
        epoch: run.ledger.epoch().epoch,
        first: certified(run, domain, SLOT, real, first),
        second: certified(run, domain, header.height.get(), header.id().into(), second),
        later: Some(LaterBlock { header, named, proof }),
    }
}

fn evidence(pair: &CertificatePair) -> Evidence {
    Evidence::Certificates(Box::new(pair.clone()))
}

fn convicts(ledger: &Ledger) -> Vec<OperatorId> {
    ledger.operators().filter(|operator| operator.convicted.is_some()).map(|operator| operator.id).collect()
}

#[test]
fn r01_two_certificates_of_one_slot_convict_everybody_who_signed_both_like_a_pair() {
    let mut run = joined(4, 1);
    let contradiction = pair(&run, &[0, 1, 2], &[1, 2, 3]);
    let guilty = ids(&run, &[1, 2]);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(guilty.clone()));
    let foreseen = run.ledger.foresee(&evidence(&contradiction)).unwrap();
    let mut by_pairs = run.clone();
    by_pairs.produce([1, 2].map(|index| Item::Evidence(run.network.pair(index, SLOT))).to_vec());

    run.produce(vec![Item::Evidence(evidence(&contradiction))]);
    assert_eq!((convicts(&run.ledger), run.ledger.cases().count()), (guilty.clone(), 2));
    for (case, same) in run.ledger.cases().zip(by_pairs.ledger.cases()) {
        assert_eq!(case.evidence, Some(evidence(&contradiction)));
        assert_eq!((case.id, case.operator, case.domain, case.slot), (same.id, same.operator, same.domain, same.slot));
        assert_eq!((&case.orders, case.opened), (&same.orders, same.opened));
        assert!(!case.orders.is_empty() && !case.needs_order(), "the contract can check it");
    }
    assert_eq!(foreseen.convicts.iter().map(|one| one.operator).collect::<Vec<_>>(), guilty);
    assert!(foreseen.convicts.iter().all(|one| run.ledger.case(&one.case).unwrap().orders.len() == one.losses.len()));
    assert_eq!((foreseen.before.members, foreseen.after.members), (4, 2));
    run.ledger.audit().unwrap();
    // R9: their weight is gone at once, and with the boundary they are.
    let domain = run.network.ledger_domain;
    let id = run.ledger.head().id;
    let height = run.ledger.head().height.get();
    run.produce(vec![]);
    let refused = run.refusal(Item::EtherFinal(certified(&run, domain, height, id.into(), &[0, 1, 2])));
    assert!(matches!(refused, Invalid::Worthless(_)), "{refused:?}");
    run.produce(vec![Item::EtherFinal(certified(&run, domain, height, id.into(), &[0, 3]))]);
    let restored = Ledger::restore(run.network.genesis.clone(), run.ledger.head(), run.ledger.rows());
    assert_eq!(restored.unwrap().root(), run.ledger.root());
}

#[test]
fn r01_a_certificate_and_one_whose_block_contradicts_an_ancestor_convict_who_signed_both() {
    let mut run = joined(4, 2);
    let contradiction = ancestors(&run, &[0, 1, 2], &[0, 2, 3]);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(ids(&run, &[0, 2])));
    let broken = |change: fn(&mut CertificatePair)| {
        let mut broken = contradiction.clone();
        change(&mut broken);
        run.ledger.judge_certificates(&broken)
    };
    assert_eq!(broken(|pair| pair.later = None), Err(Unproven::Compatible));
    assert_eq!(broken(|pair| pair.later.as_mut().unwrap().named = Hash::new([7; 32])), Err(Unproven::BadProof));
    assert_eq!(
        broken(|pair| pair.later.as_mut().unwrap().named = Hash::new(*pair.first.digest.as_bytes())),
        Err(Unproven::Compatible)
    );
    assert_eq!(broken(|pair| pair.later.as_mut().unwrap().header.epoch = Epoch::new(9)), Err(Unproven::Compatible));
    assert_eq!(
        broken(|pair| pair.later.as_mut().unwrap().header.chain = ChainId::new([9; 32])),
        Err(Unproven::WrongDomain)
    );
    assert_eq!(broken(|pair| std::mem::swap(&mut pair.first, &mut pair.second)), Err(Unproven::Compatible));
    run.produce(vec![Item::Evidence(evidence(&contradiction))]);
    assert_eq!(convicts(&run.ledger), ids(&run, &[0, 2]));
    assert!(run.ledger.cases().all(|case| case.slot == SLOT && case.domain == run.network.ledger_domain));
    run.ledger.audit().unwrap();
}

type Change<'a> = &'a dyn Fn(&mut CertificatePair);

/// Whoever is in one of them only cannot be accused, whatever is made of the two.
#[test]
fn r01_two_certificates_prove_nothing_else() {
    let run = joined(4, 3);
    let good = pair(&run, &[0, 1, 2], &[1, 2, 3]);
    let judge = |change: &dyn Fn(&mut CertificatePair)| {
        let mut changed = good.clone();
        change(&mut changed);
        run.ledger.judge_certificates(&changed)
    };
    assert_eq!(judge(&|_| ()), Ok(ids(&run, &[1, 2])));
    for bits in 0..=255 {
        if bits == good.first.signers[0] {
            continue;
        }
        let expected = match bits {
            16.. => Unproven::UnknownCommittee, // seats that are not there
            _ if bits & good.second.signers[0] == 0 => Unproven::Compatible,
            _ => Unproven::BadSignature,
        };
        assert_eq!(judge(&|pair| pair.first.signers = vec![bits].try_into().unwrap()), Err(expected), "{bits:b}");
    }
    let committee_before = run.ledger.committee_of(Epoch::new(0)).unwrap().hash(&run.network.chain);
    let table: [(Change<'_>, Unproven); 12] = [
        (&|pair| pair.second = pair.first.clone(), Unproven::Compatible), // sent again after a restart
        (&|pair| pair.second.slot += 1, Unproven::Compatible),
        (&|pair| pair.second.domain = run.network.bitcoin_domain, Unproven::WrongDomain),
        (&|pair| (pair.first.domain, pair.second.domain) = (Domain::ZERO, Domain::ZERO), Unproven::WrongDomain),
        (&|pair| pair.second.digest = Digest::new([3; 32]), Unproven::BadSignature),
        (&|pair| pair.second.signature = pair.first.signature, Unproven::BadSignature),
        (&|pair| pair.second.signature = BlsSignature::ZERO, Unproven::BadSignature),
        (&|pair| pair.epoch = Epoch::new(0), Unproven::UnknownCommittee),
        (&|pair| pair.epoch = Epoch::new(7), Unproven::UnknownCommittee),
        (&|pair| pair.second.committee = committee_before, Unproven::UnknownCommittee),
        (&|pair| pair.second.chain = ChainId::new([9; 32]), Unproven::UnknownCommittee),
        (&|pair| pair.second.version = 2, Unproven::UnknownCommittee),
    ];
    for (row, (change, expected)) in table.into_iter().enumerate() {
        assert_eq!(judge(change), Err(expected), "row {row}");
    }
    assert_eq!(
        run.ledger.judge_certificates(&pair(&run, &[0, 1], &[2, 3])),
        Err(Unproven::Compatible),
        "nobody in both"
    );
    // What is not one of the network's own domains takes from a service, and is judged by its rules.
    let bitcoin = pair_in(&run, run.network.bitcoin_domain, SLOT, &[0, 1, 2], &[1, 2, 3]);
    assert_eq!(run.ledger.judge_certificates(&bitcoin), Err(Unproven::WrongDomain));
    assert_eq!(run.ledger.judge(&evidence(&good)), Err(Unproven::UnknownOperator), "it accuses no single one");
}

#[test]
fn r14_certificates_of_every_domain_of_the_network_itself_are_judged() {
    for kind in [DomainKind::VaultClaim, DomainKind::Order, DomainKind::Succession] {
        let mut run = joined(4, 4);
        let domain = run.network.genesis.domain(kind);
        let contradiction = pair_in(&run, domain, 5, &[0, 1, 2], &[0, 1, 3]);
        run.produce(vec![Item::Evidence(evidence(&contradiction))]);
        assert_eq!(convicts(&run.ledger), ids(&run, &[0, 1]));
        assert!(run.ledger.cases().all(|case| case.domain == domain && !case.orders.is_empty()));
    }
}

#[test]
fn r25_who_is_convicted_already_is_left_out_and_then_no_signature_is_looked_at() {
    let mut run = joined(4, 5);
    let mut contradiction = pair(&run, &[0, 1, 2], &[0, 1, 2]);
    run.produce(vec![Item::Evidence(run.network.pair(1, SLOT))]);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(ids(&run, &[0, 2])));
    run.produce(vec![Item::Evidence(evidence(&contradiction))]);
    assert_eq!((convicts(&run.ledger), run.ledger.cases().count()), (ids(&run, &[0, 1, 2]), 3));
    assert!(matches!(
        run.ledger.cases().find(|case| case.operator == ids(&run, &[1])[0]).unwrap().evidence,
        Some(Evidence::Pair(_))
    ));
    contradiction.second.signature = BlsSignature::ZERO;
    assert_eq!(run.ledger.judge_certificates(&contradiction), Err(Unproven::AlreadyConvicted));
    assert_eq!(run.ledger.judge(&run.network.pair(0, SLOT)), Err(Unproven::AlreadyConvicted), "a later pair of theirs");
    assert_eq!(run.ledger.foresee(&evidence(&contradiction)), Err(Unproven::AlreadyConvicted));
    let other = pair_in(&run, run.network.genesis.domain(DomainKind::Order), 1, &[0, 1], &[0, 3]);
    assert_eq!(run.ledger.judge_certificates(&other), Ok(ids(&run, &[0])), "another domain is another case");
}

/// R9 takes convicts' weight out of quorums. What the rest signed twice after that is proof all the same.
#[test]
fn r09_no_quorum_is_asked_of_two_certificates() {
    let mut run = joined(4, 6);
    run.produce(vec![Item::Evidence(run.network.pair(0, SLOT)), Item::Evidence(run.network.pair(1, SLOT))]);
    let contradiction = pair(&run, &[2], &[2, 3]);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(ids(&run, &[2])));
}

#[test]
fn r26_two_certificates_count_as_long_as_a_pair_of_their_slot_would() {
    let run = joined(4, 7);
    let snapshot = run.ledger.committee().ethereum.number;
    let start = run.network.genesis.ethereum_start.number;
    // The bitmaps are read by epoch 1's committee, the time is the slot's.
    for (slot, last) in [(3, start + 150), (SLOT, snapshot + 150)] {
        let mut run = run.clone();
        let contradiction = pair_in(&run, run.network.ledger_domain, slot, &[0, 1, 2], &[0, 1, 2]);
        let single = run.network.pair(0, slot);
        run.observe(Ethereum, last, vec![]);
        run.ledger.judge_certificates(&contradiction).unwrap();
        run.ledger.judge(&single).unwrap();
        run.observe(Ethereum, last + 1, vec![]);
        assert_eq!(run.ledger.judge_certificates(&contradiction), Err(Unproven::Expired));
        assert_eq!(run.ledger.judge(&single), Err(Unproven::Expired));
        assert_eq!(run.refusal(Item::Evidence(evidence(&contradiction))), Invalid::Unproven(Unproven::Expired));
    }
}

#[test]
fn r12_a_key_whose_row_ended_longer_ago_than_w_convicts_nobody_in_company_either() {
    let mut run = joined(4, 8);
    let (future, domain) = (1 << 40, run.network.ledger_domain); // charged to the newest snapshot
    let contradiction = pair_in(&run, domain, future, &[0, 1, 2], &[0, 1, 2]);
    let fresh = palisade_ledger::fixture::OperatorKeys {
        bls: palisade_crypto::bls::SecretKey::from_seed(&[1; 32]),
        ed25519: palisade_crypto::ed25519::SecretKey::from_seed(&[1; 32]),
        eots: palisade_crypto::eots::SecretKey::from_bytes(&[1; 32]).unwrap(),
        ..run.network.operators[1].clone()
    };
    let (change, gone) = (run.network.registration(&fresh, 9, 110), run.network.stake_fact(1, 0));
    run.observe(Ethereum, 111, vec![change, gone]);
    let go_to = |run: &mut Run, upto| {
        while run.ledger.anchor(Ethereum).number < upto {
            let epoch = run.ledger.epoch().epoch.get();
            let next = upto.min(run.ledger.anchor(Ethereum).number + 50);
            run.observe(Ethereum, next, vec![]);
            run.until_epoch(epoch + 1);
        }
    };
    go_to(&mut run, 110 + 180);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(ids(&run, &[0, 1, 2])));
    go_to(&mut run, 110 + 181);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(ids(&run, &[0, 2])));
    let alone = CertificatePair {
        first: certified_by(&run, contradiction.epoch, domain, future, A, &[1]),
        second: certified_by(&run, contradiction.epoch, domain, future, B, &[1]),
        ..contradiction
    };
    assert_eq!(run.ledger.judge_certificates(&alone), Err(Unproven::Expired));
}

fn certified_by(run: &Run, epoch: Epoch, domain: Domain, slot: u64, digest: Digest, by: &[usize]) -> QuorumCertificate {
    let committee: &Committee = run.ledger.committee_of(epoch).unwrap();
    run.network.certificate(committee, Statement { domain, slot, digest }, by)
}

#[test]
fn r21_certificates_of_the_network_before_are_judged_under_its_chain_id() {
    let mut run = joined(4, 9);
    let contradiction = pair(&run, &[0, 1, 2], &[0, 1, 3]);
    let last = run.produce(vec![]).header;
    let before: &Genesis = &run.network.genesis;
    let genesis = Arc::new(Genesis {
        random: Hash::new([0x21; 32]),
        continues: Some(Continues { block: last, line: vec![last.chain].try_into().unwrap() }),
        ..before.clone()
    });
    let rows: Vec<_> = run.ledger.rows().collect();
    let (_, ledger) = Ledger::succeed(genesis, rows).unwrap();
    assert_eq!(ledger.judge_certificates(&contradiction), Ok(ids(&run, &[0, 1])));
    let mut renamed = contradiction;
    renamed.first.chain = ledger.chain();
    assert_eq!(ledger.judge_certificates(&renamed), Err(Unproven::UnknownCommittee));
}

fn subset() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..6_usize).collect::<Vec<_>>(), 1..=6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the two bitmaps are: the convicts are those in both, without those convicted before; bytes are the same again.
    #[test]
    fn r01_exactly_those_in_both_are_convicted(first in subset(), second in subset(), before in subset(), later in any::<bool>()) {
        let mut run = BASE.with(Clone::clone);
        let contradiction = if later { ancestors(&run, &first, &second) } else { pair(&run, &first, &second) };
        let bytes = evidence(&contradiction).to_bytes();
        prop_assert_eq!(&Evidence::from_bytes(&bytes).unwrap(), &evidence(&contradiction));
        let most = if later { 2_000 } else { 400 };
        prop_assert!(bytes.len() < most, "{} bytes", bytes.len());
        let before = &before[1..];
        let pairs = before.iter().map(|index| Item::Evidence(run.network.pair(*index, SLOT)));
        run.produce(pairs.collect());
        let both: Vec<usize> = first.iter().copied().filter(|index| second.contains(index)).collect();
        let new: Vec<usize> = both.iter().copied().filter(|index| !before.contains(index)).collect();
        let judged = run.ledger.judge_certificates(&contradiction);
        if new.is_empty() {
            let expected = if both.is_empty() { Unproven::Compatible } else { Unproven::AlreadyConvicted };
            prop_assert_eq!(judged, Err(expected));
            return Ok(());
        }
        prop_assert_eq!(judged, Ok(ids(&run, &new)));
        run.produce(vec![Item::Evidence(evidence(&contradiction))]);
        let mut all: Vec<usize> = before.iter().copied().chain(new).collect();
        all.sort_unstable();
        prop_assert_eq!(convicts(&run.ledger), ids(&run, &all));
        run.ledger.audit().unwrap();
    }
}

thread_local! {
    static BASE: Run = joined(6, 10);
}

/// Committees whose bitmap is longer than a byte, and the largest.
#[test]
fn the_largest_committees_are_read_by_seat() {
    let run = joined(17, 11);
    let contradiction = pair(&run, &[0, 7, 8, 15, 16], &[1, 7, 9, 15, 16]);
    assert_eq!(run.ledger.judge_certificates(&contradiction), Ok(ids(&run, &[7, 15, 16])));
    let network: &Network = &run.network;
    let company = contradiction.company(run.ledger.committee(), &network.operators[15].id).unwrap();
    let key = |index: usize| run.ledger.committee().seat(&network.operators[index].id).unwrap().1.key;
    assert_eq!(company.key, key(15));
    assert_eq!(company.first, [0, 7, 8, 16].map(key));
    assert_eq!(company.second, [1, 7, 9, 16].map(key));
    assert_eq!(contradiction.company(run.ledger.committee(), &network.operators[8].id), None, "he signed one only");
}
