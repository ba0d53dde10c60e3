//! Certificates that Rust makes with real keys, and what Committee.sol's tests read of them. The file is checked in
//! beside those tests; run this with `PALISADE_WRITE_VECTORS=1` to write it anew after a format has changed.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

#[allow(dead_code)]
mod council;

use council::Council;
use palisade_crypto::bls;
use palisade_crypto::hash::keccak256;
use palisade_ethereum::light::{self, Certified};
use palisade_types::attestation::Statement;
use palisade_types::block::Header;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::QuorumCertificate;
use palisade_types::ids::{Address, BlockId, ChainId, Digest, Domain, DomainKind, Hash, OperatorId};
use palisade_types::proof::{EMPTY, RowProof, Terminal, bit, inner, leaf};
use palisade_types::units::{Epoch, Height};
use palisade_types::{Row, RowKey};
use serde_json::{Value, json};
use std::path::Path;

const CHAIN: ChainId = ChainId::new([0xc4; 32]);
/// The account whose first creation Palisade.sol is in the tests.
const DEPLOYER: [u8; 20] = [0x20; 20];
/// The Ethereum block of the committees' snapshots.
const SNAPSHOT: u64 = 1_000;

/// (members, how many of them are absent, whether the rest is a quorum).
const COMMITTEES: [(usize, &[(usize, bool)]); 5] = [
    (1, &[(0, true)]),
    (4, &[(0, true), (1, true), (2, false)]),
    (16, &[(0, true), (2, true), (5, true), (6, false)]),
    (64, &[(0, true), (6, true), (21, true), (22, false)]),
    (256, &[(0, true), (25, true), (85, true), (86, false)]),
];

#[test]
fn r03_the_certificates_that_the_contracts_read_are_the_ones_that_rust_makes() {
    let sets: Vec<_> = COMMITTEES.iter().map(|(members, absences)| set(*members, absences)).collect();
    let file = json!({
        "chain": hex(CHAIN.as_bytes()), "palisade": hex(palisade().as_bytes()), "snapshot": SNAPSHOT, "sets": sets,
    });
    compare("certificates.json", &file);
}

fn set(members: usize, absences: &[(usize, bool)]) -> Value {
    let council = Council::new(members, Epoch::new(1), SNAPSHOT);
    let next = Council::new(members, Epoch::new(2), SNAPSHOT + 20);
    let origin = header(7, 0, council.committee.hash(&CHAIN));
    let boundary = header(30, 1, next.committee.hash(&CHAIN));
    let statement = |kind, slot, digest| Statement { domain: Domain::own(&CHAIN, &palisade(), kind), slot, digest };
    let claim = claim(5, 1);
    let cases: Vec<_> = absences
        .iter()
        .map(|(absent, quorum)| {
            let absent = council.spread(*absent);
            let handed = statement(DomainKind::Ledger, 30, boundary.id().into());
            let claimed = statement(DomainKind::VaultClaim, 5, Digest::new(keccak256(&claim)));
            let handed = council.certify(&CHAIN, &handed, &absent);
            let claimed = council.certify(&CHAIN, &claimed, &absent);
            assert_eq!(handed.verify(&CHAIN, &council.committee, |_| false).is_ok(), *quorum);
            json!({
                "quorum": quorum,
                "signers": word(&handed),
                "signature": packed(&handed),
                "claimSignature": packed(&claimed),
            })
        })
        .collect();
    json!({
        "members": members,
        "secrets": council.secrets().map(|secret| hex(&secret)).collect::<Vec<_>>(),
        "operators": council.committee.members.iter().map(|member| hex(member.operator.as_bytes())).collect::<Vec<_>>(),
        "origin": hex(&origin.to_bytes()),
        "boundary": hex(&boundary.to_bytes()),
        "committee": hex(&council.committee.figures()),
        "weights": hex(&council.committee.judged()),
        "next": hex(&next.committee.figures()),
        "claim": hex(&claim),
        "count": cases.len(),
        "cases": cases,
    })
}

/// An attestation that contradicts an ancestor (R1), and proofs of rows of a state with many.
#[test]
fn r01_the_row_proofs_that_the_contracts_read_are_the_ones_that_rust_makes() {
    let domain = Domain::own(&CHAIN, &palisade(), DomainKind::Ledger);
    let secret = council::secret(0);
    let second_secret = council::secret(1);
    let faults: Vec<_> = [1_u64, 2, 3, 40, 300]
        .into_iter()
        .map(|rows| {
            let row = |height: u64| (RowKey::Block(Height::new(height)), Row::Block(BlockId::new([height as u8; 32])));
            let state: Vec<_> = (1..=rows).map(row).collect();
            let slot = rows.div_ceil(2);
            let (key, named) = row(slot);
            let (root, proof) = tree(&state, &key);
            proof.proves(&root, &key, Some(&named)).unwrap();
            let later = Header { state_root: root, ..header(rows + 1, 1, Hash::ZERO) };
            let digest = Digest::new([0xaa; 32]);
            let sign = |secret: &bls::SecretKey, slot, digest| {
                secret.sign(&Statement { domain, slot, digest }.bls_message(&CHAIN))
            };
            let sum = |second: &bls::SecretKey| {
                let last = sign(second, later.height.get(), later.id().into());
                hex(&bls::Signature::aggregate(&[sign(&secret, slot, digest), last]).unwrap().to_packed())
            };
            json!({
                "slot": slot,
                "digest": hex(digest.as_bytes()),
                "header": hex(&later.to_bytes()),
                "named": hex(&[slot as u8; 32]),
                "siblings": proof.siblings.iter().map(|hash| hex(hash.as_bytes())).collect::<Vec<_>>(),
                "sum": sum(&secret),
                "sumOfTwoKeys": sum(&second_secret),
            })
        })
        .collect();
    let file = json!({
        "chain": hex(CHAIN.as_bytes()), "palisade": hex(palisade().as_bytes()),
        "secret": hex(&*secret.to_bytes()), "secondSecret": hex(&*second_secret.to_bytes()), "faults": faults,
    });
    compare("ancestors.json", &file);
}

/// The root over some rows and the proof of one, by the definition in `palisade_types::proof`.
fn tree(rows: &[(RowKey, Row)], key: &RowKey) -> (Hash, RowProof) {
    let rows: Vec<_> = rows.iter().map(|(key, row)| (key.path(), row.value_hash())).collect();
    let mut siblings = Vec::new();
    let root = subtree(&rows, 0, &key.path(), &mut siblings);
    siblings.reverse();
    (root, RowProof { siblings: siblings.try_into().unwrap(), terminal: Terminal::Found })
}

fn subtree(rows: &[([u8; 32], [u8; 32])], depth: usize, path: &[u8; 32], siblings: &mut Vec<Hash>) -> Hash {
    match rows {
        [] => EMPTY,
        [(path, value)] => leaf(path, value),
        _ => {
            let (right, left): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|(path, _)| bit(path, depth));
            let way = rows.iter().any(|(row, _)| row == path);
            let halves = [&left, &right].map(|half| subtree(half, depth + 1, path, siblings));
            if way {
                siblings.push(halves[usize::from(!bit(path, depth))]);
            }
            inner(&halves[0], &halves[1])
        }
    }
}

#[test]
fn calldata_carries_the_weights_when_somebody_is_absent_or_convicted() {
    let council = Council::new(4, Epoch::new(1), SNAPSHOT);
    let boundary = header(30, 1, Hash::new([1; 32]));
    let statement = Statement {
        domain: Domain::own(&CHAIN, &palisade(), DomainKind::Ledger),
        slot: 30,
        digest: boundary.id().into(),
    };
    let length = |absent: &[usize], with_weights| {
        let certificate = council.certify(&CHAIN, &statement, absent);
        let certified = Certified { certificate: &certificate, committee: &council.committee, with_weights };
        light::hand_over(&boundary, &certified).unwrap().len()
    };
    assert_eq!(length(&[], true), length(&[1], false));
    assert_eq!(length(&[], true), length(&[], false) + 96); // who is absent, and four times twelve: in words
}

fn palisade() -> Address {
    Address::new(alloy::primitives::Address::from(DEPLOYER).create(0).into_array())
}

fn header(height: u64, epoch: u32, next_committee: Hash) -> Header {
    Header {
        version: palisade_types::block::HEADER_VERSION,
        chain: CHAIN,
        height: Height::new(height),
        epoch: Epoch::new(epoch),
        parent: BlockId::new([1; 32]),
        items_root: Hash::new([2; 32]),
        state_root: Hash::new([3; 32]),
        next_committee,
    }
}

/// A claim's bytes in the format of BitcoinVaults.sol: integers big-endian.
fn claim(number: u64, epoch: u32) -> Vec<u8> {
    [
        &number.to_be_bytes()[..],
        &epoch.to_be_bytes(),
        &[7; 32],             // the vault's txid
        &1_u32.to_be_bytes(), // and output
        OperatorId::new([9; 20]).as_bytes(),
        &1_000_000_u64.to_be_bytes(), // satoshis
        &900_u64.to_be_bytes(),       // until
        &[8; 32],                     // Bitcoin's block
        &800_u64.to_be_bytes(),
        &[0], // not revoked
    ]
    .concat()
}

fn word(certificate: &QuorumCertificate) -> String {
    let mut bytes = [0; 32];
    for (at, byte) in certificate.signers.iter().enumerate() {
        bytes[31 - at] = *byte;
    }
    hex(&bytes)
}

fn packed(certificate: &QuorumCertificate) -> String {
    hex(&bls::Signature::from_bytes(certificate.signature.as_bytes()).unwrap().to_packed())
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn compare(name: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts/test/vectors").join(name);
    let text = format!("{made:#}\n");
    if std::env::var_os("PALISADE_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{} is not what Rust makes: run with PALISADE_WRITE_VECTORS=1", path.display());
}
