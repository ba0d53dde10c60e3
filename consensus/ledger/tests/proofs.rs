//! What a reader without a ledger can check, and that nothing else passes. The vectors that this writes hold the verifier in
//! `node/web` to the same answers.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Run, network};
use palisade_types::canonical::List;
use palisade_types::certificate::Worthless;
use palisade_types::proof::{BadProof, Clock, LightProof, ProofBundle, Terminal};
use palisade_types::{Canonical, CaseId, Digest, Domain, Hash, Height, Item, MicroUsd, Row, RowKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What every reader here knows: a committee's hash, and that his Ethereum is at the committee's snapshot.
struct Reader {
    committee: Hash,
    now: Clock,
}

impl Reader {
    fn of(bundle: &ProofBundle) -> Self {
        let committee = bundle.committee.hash(&bundle.genesis.chain_id());
        Self { committee, now: Clock::Ethereum(bundle.committee.ethereum.number) }
    }

    fn check(&self, bytes: &[u8]) -> &'static str {
        let Ok(bundle) = ProofBundle::from_bytes(bytes) else { return "malformed" };
        bundle.verify(&self.committee, self.now).map_or_else(name, |()| "ok")
    }
}

/// How the vectors call a failure.
const fn name(bad: BadProof) -> &'static str {
    match bad {
        BadProof::OtherCommittee => "other_committee",
        BadProof::TrustExpired { .. } => "trust_expired",
        BadProof::Certificate(_) => "certificate",
        BadProof::WrongHeader => "wrong_header",
        BadProof::WrongRoot => "wrong_root",
        BadProof::WrongClaim => "wrong_claim",
    }
}

/// A network in which one of four was convicted, and the certified block at its end.
fn convicted() -> Run {
    let mut run = Run::joined(network(4, 7));
    let pair = run.network.pair(2, 12);
    run.until_height(14);
    run.produce(vec![Item::Evidence(pair)]);
    run
}

fn bundle(run: &Run, key: RowKey) -> ProofBundle {
    let head = run.blocks.last().unwrap().header;
    let proof = LightProof {
        key,
        row: run.ledger.row(&key),
        proof: run.ledger.prove(&key),
        header: head,
        certificate: run.certify(head.height.get(), &[0, 1, 3]),
    };
    ProofBundle { genesis: (*run.network.genesis).clone(), committee: run.ledger.committee().clone(), proof }
}

/// A key that is not there and whose way ends as `ends` wants it.
fn missing(run: &Run, ends: impl Fn(&Terminal) -> bool) -> RowKey {
    let mut keys = (0..=u64::MAX).map(|height| RowKey::Block(Height::new((1 << 40) + height)));
    keys.find(|key| ends(&run.ledger.prove(key).terminal)).unwrap()
}

/// Good bundles by name.
fn good(run: &Run) -> BTreeMap<&'static str, ProofBundle> {
    let case = *run.ledger.cases().map(|case| RowKey::Case(case.id)).collect::<Vec<_>>().first().unwrap();
    let operator = RowKey::Operator(run.network.operators[2].id);
    [
        ("a case", bundle(run, case)),
        ("an operator", bundle(run, operator)),
        ("the committee", bundle(run, RowKey::Committee(run.ledger.epoch().epoch))),
        ("no row, at an empty place", bundle(run, missing(run, |end| *end == Terminal::Nothing))),
        ("no row, where another hangs", bundle(run, missing(run, |end| matches!(end, Terminal::Other(_))))),
    ]
    .into()
}

type Change = Box<dyn Fn(&mut ProofBundle)>;

/// Lies, each with the good bundle it is made of and what must be answered.
fn lies(run: &Run) -> Vec<(&'static str, &'static str, Change, &'static str)> {
    let resign = |run: &Run, bundle: &mut ProofBundle, signers: &[usize], domain: Option<Domain>| {
        let id = bundle.proof.header.id();
        let mut statement = run.network.finality_statement(bundle.proof.header.height, id.into());
        statement.domain = domain.unwrap_or(statement.domain);
        bundle.proof.certificate = run.network.certificate(&bundle.committee, statement, signers);
    };
    let service = Domain::of_service(
        &run.ledger.chain(),
        &run.network.genesis.contracts.palisade,
        &palisade_types::ServiceId::new([9; 32]),
        1,
        256,
    );
    let again = |signers: &'static [usize], domain| -> Change {
        let run = convicted();
        Box::new(move |bundle| resign(&run, bundle, signers, domain))
    };
    let elsewhere: Change = {
        let run = convicted();
        Box::new(move |bundle| {
            bundle.proof.header.state_root = Hash::new([7; 32]);
            resign(&run, bundle, &[0, 1, 3], Some(service));
        })
    };
    vec![
        ("a case that is hidden", "a case", Box::new(|lie| lie.proof.row = None), "wrong_claim"),
        ("a case that is made up", "no row, at an empty place", Box::new(invent), "wrong_claim"),
        ("a row of another key", "a case", Box::new(|lie| lie.proof.key = RowKey::Case(CaseId::ZERO)), "wrong_root"),
        ("a changed row", "an operator", Box::new(|lie| lie.proof.row = Some(Row::FeeRate(1))), "wrong_root"),
        ("a sibling changed", "a case", Box::new(|lie| first_sibling(lie, Hash::new([1; 32]))), "wrong_root"),
        ("a sibling too many", "a case", Box::new(|lie| siblings(lie, |all| all.push(Hash::ZERO))), "wrong_root"),
        ("a sibling too few", "a case", Box::new(|lie| siblings(lie, |all| all.truncate(all.len() - 1))), "wrong_root"),
        ("a row that hangs elsewhere", "no row, where another hangs", Box::new(far_away), "wrong_claim"),
        ("the row itself as another", "no row, where another hangs", Box::new(itself), "wrong_claim"),
        (
            "a header with another state",
            "a case",
            Box::new(|lie| lie.proof.header.state_root = Hash::ZERO),
            "wrong_header",
        ),
        (
            "a header of another epoch",
            "a case",
            Box::new(|lie| lie.proof.header.epoch = lie.committee.epoch.next()),
            "wrong_header",
        ),
        (
            "a certificate about something else",
            "a case",
            Box::new(|lie| lie.proof.certificate.digest = Digest::ZERO),
            "certificate",
        ),
        ("a certificate of another slot", "a case", Box::new(|lie| lie.proof.certificate.slot += 1), "certificate"),
        ("a signer who did not sign", "a case", Box::new(|lie| signers(lie, |map| map[0] |= 1 << 2)), "certificate"),
        ("a signer left out", "a case", Box::new(|lie| signers(lie, |map| map[0] ^= 1)), "certificate"),
        ("a seat that is not there", "a case", Box::new(|lie| signers(lie, |map| map[0] |= 1 << 4)), "certificate"),
        ("a bitmap for more members", "a case", Box::new(|lie| lie.proof.certificate.members = 9), "malformed"),
        ("two of four", "a case", again(&[0, 1], None), "certificate"),
        ("a service's certificate", "a case", again(&[0, 1, 3], Some(service)), "certificate"),
        ("a service's certificate over a made up state", "a case", elsewhere, "certificate"),
        ("another format of certificates", "a case", Box::new(|lie| lie.proof.certificate.version = 2), "certificate"),
        (
            "more weight for one",
            "a case",
            Box::new(|lie| lie.committee.members.as_mut_slice()[0].ether += 1),
            "other_committee",
        ),
        ("another snapshot", "a case", Box::new(|lie| lie.committee.ethereum.number += 1), "other_committee"),
        ("a longer trust", "a case", Box::new(|lie| lie.genesis.parameters.trust_blocks += 1), "other_committee"),
        (
            "another genesis",
            "a case",
            Box::new(|lie| lie.genesis.parameters.min_bond = MicroUsd::new(1)),
            "other_committee",
        ),
        (
            "another chain's header",
            "a case",
            Box::new(|lie| lie.proof.header.chain = palisade_types::ChainId::ZERO),
            "wrong_header",
        ),
        ("a header of a later format", "a case", Box::new(|lie| lie.proof.header.version = 2), "wrong_header"),
    ]
}

fn invent(lie: &mut ProofBundle) {
    lie.proof.row = Some(Row::FeeRate(1));
}

fn first_sibling(lie: &mut ProofBundle, other: Hash) {
    lie.proof.proof.siblings.as_mut_slice()[0] = other;
}

fn siblings(lie: &mut ProofBundle, change: impl Fn(&mut Vec<Hash>)) {
    let mut all = lie.proof.proof.siblings.to_vec();
    change(&mut all);
    lie.proof.proof.siblings = List::try_from(all).unwrap();
}

/// The other row would have to hang on another way.
fn far_away(lie: &mut ProofBundle) {
    let Terminal::Other((path, value)) = lie.proof.proof.terminal else { panic!("another row hangs there") };
    let mut bytes = *path.as_bytes();
    bytes[0] ^= 0x80;
    lie.proof.proof.terminal = Terminal::Other((Hash::new(bytes), value));
}

/// Absence shown by the very row that is asked for.
fn itself(lie: &mut ProofBundle) {
    let Terminal::Other((_, value)) = lie.proof.proof.terminal else { panic!("another row hangs there") };
    lie.proof.proof.terminal = Terminal::Other((Hash::new(lie.proof.key.path()), value));
}

fn signers(lie: &mut ProofBundle, change: impl Fn(&mut Vec<u8>)) {
    let mut map = lie.proof.certificate.signers.to_vec();
    change(&mut map);
    lie.proof.certificate.signers = map.try_into().unwrap();
}

#[test]
fn r05_what_a_reader_without_a_ledger_believes() {
    let run = convicted();
    let bundles = good(&run);
    let mut cases = Vec::new();
    for (title, bundle) in &bundles {
        let reader = Reader::of(bundle);
        assert_eq!(reader.check(&bundle.to_bytes()), "ok", "{title}");
        cases.push(case(title, title, &[], &[], &reader, "ok"));
    }
    for (title, of, change, answer) in lies(&run) {
        let honest = &bundles[of];
        let mut lie = honest.clone();
        change(&mut lie);
        let (reader, bytes) = (Reader::of(honest), lie.to_bytes());
        assert_eq!(reader.check(&bytes), answer, "{title}");
        cases.push(case(title, of, &honest.to_bytes(), &bytes, &reader, answer));
    }
    cases.extend(times(&bundles["a case"]));
    let bundles: BTreeMap<_, _> = bundles.iter().map(|(title, bundle)| (title, hex(&bundle.to_bytes()))).collect();
    compare(&json!({ "bundles": bundles, "cases": cases }));
}

/// The same bundle on either side of the end of trust, by either chain.
fn times(bundle: &ProofBundle) -> Vec<Value> {
    let lifetime = bundle.genesis.parameters.lifetime();
    let (ethereum, bitcoin) = (bundle.committee.ethereum.number, bundle.committee.bitcoin.number);
    let answers = [
        (Clock::Ethereum(ethereum + lifetime), "ok"),
        (Clock::Ethereum(ethereum + lifetime + 1), "trust_expired"),
        (Clock::Bitcoin(bitcoin + lifetime), "ok"),
        (Clock::Bitcoin(bitcoin + lifetime + 1), "trust_expired"),
        (Clock::Ethereum(0), "ok"),
    ];
    let check = |(now, answer)| {
        let reader = Reader { now, ..Reader::of(bundle) };
        assert_eq!(reader.check(&bundle.to_bytes()), answer, "{now:?}");
        case(&format!("{now:?}"), "a case", &[], &[], &reader, answer)
    };
    answers.into_iter().map(check).collect()
}

/// One vector: what must be cut from the good bundle at `at` and put there, and what is answered.
fn case(title: &str, of: &str, honest: &[u8], lie: &[u8], reader: &Reader, answer: &str) -> Value {
    let same = |pair: &(&u8, &u8)| pair.0 == pair.1;
    let at = honest.iter().zip(lie).take_while(same).count();
    let end = honest[at..].iter().rev().zip(lie[at..].iter().rev()).take_while(same).count();
    let (now, chain) = match reader.now {
        Clock::Ethereum(block) => (block, "ethereum"),
        Clock::Bitcoin(height) => (height, "bitcoin"),
    };
    json!({
        "title": title,
        "bundle": of,
        "edit": { "at": at, "remove": honest.len() - at - end, "insert": hex(&lie[at..lie.len() - end]) },
        "committee": reader.committee.to_string(),
        "now": { chain: now },
        "answer": answer,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn compare(made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/proofs/bundles.json");
    let text = format!("{made:#}\n");
    if std::env::var_os("PALISADE_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{} is not what Rust makes: run with PALISADE_WRITE_VECTORS=1", path.display());
}

#[test]
fn a_services_certificate_is_no_proof_of_the_ledger() {
    let run = convicted();
    let honest = bundle(&run, RowKey::Finality);
    let chain = run.ledger.chain();
    let other =
        Domain::of_service(&chain, &run.network.genesis.contracts.palisade, &palisade_types::ServiceId::ZERO, 0, 2);
    assert_eq!(
        honest.proof.verify(&chain, &other, &honest.committee),
        Err(BadProof::Certificate(Worthless::OtherCommittee))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// Every byte of a bundle counts: whatever is changed, cut off or added, it proves nothing any more.
    #[test]
    fn a_bundle_that_was_tampered_with_proves_nothing(which in 0_usize..5, at: usize, with in 1_u8..=255, cut in 0_u8..8) {
        thread_local!(static GOOD: Vec<(Vec<u8>, Reader)> = {
            let bundles = good(&convicted()).into_values();
            bundles.map(|bundle| (bundle.to_bytes(), Reader::of(&bundle))).collect()
        });
        GOOD.with(|good| {
            let (honest, reader) = &good[which];
            let mut bytes = honest.clone();
            let at = at % bytes.len();
            match cut {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, with),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] ^= with,
            }
            prop_assume!(bytes != *honest);
            prop_assert_ne!(reader.check(&bytes), "ok");
            Ok(())
        })?;
    }
}
