//! Inputs to begin with, out of the test vectors.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use bitcoin::Block;
use bitcoin::consensus::{deserialize, serialize};
use palisade_bitcoin::inclusion::MerkleProof;
use palisade_types::block::HEADER_VERSION;
use palisade_types::certificate::{CERTIFICATE_VERSION, QuorumCertificate};
use palisade_types::contradiction::{CertificatePair, LaterBlock};
use palisade_types::evidence::{CovenantBreach, ExposedProvider, Exposure};
use palisade_types::position::StakeSource;
use palisade_types::price::{Answer, PriceSeen, Quote, Round, Trouble};
use palisade_types::proof::{RowProof, Terminal};
use palisade_types::{
    Address, BlockId, BlsSignature, Canonical as _, ChainId, Digest, Domain, Epoch, Evidence, Fact, Hash, Header,
    Height, MicroUsd, Row, SchnorrKey, SchnorrSignature, VaultId,
};
use serde_json::Value;

use crate::{core, possession, vaults, wallet};
#[cfg(feature = "node")]
use crate::{files, rpc, wire};

/// The seeds of the parser with this name, each small.
///
/// # Errors
///
/// When a vector of this repository cannot be read.
pub fn of(name: &str) -> Result<Vec<Vec<u8>>> {
    let blocks = blocks()?;
    Ok(match name {
        "headers" => {
            let mainnet = headers("mainnet-822528-828575.csv", 6)?;
            let signet = headers("signet-0-2015.csv", 12)?;
            let testnet = headers("testnet3-with-forks.csv", 20)?;
            let of = |network: u8, headers: &[u8]| [vec![network], headers.to_vec()].concat();
            vec![of(0, &mainnet), of(1, &testnet), of(1, &testnet[80..]), of(3, &signet[80..]), of(3, &signet)]
        }
        "header_tree" => vec![
            (0..40).flat_map(|step| [step, 3, step % 5, 0]).collect(),
            (0..40).flat_map(|step| [step / 2, 7, step, 195 + step]).collect(),
        ],
        "inclusion" => blocks.iter().flat_map(paths).chain(summa()?).collect(),
        "block" => blocks.iter().map(serialize).collect(),
        "transaction" => blocks.iter().flat_map(|block| block.txdata.iter().map(serialize)).collect(),
        "core" => core::seeds(),
        "registration" | "answer" | "spend" => vaults::seeds(name),
        "parameters" => vaults::tables(),
        "psbt" => wallet::psbt_seeds(),
        "plan" => wallet::plan_seeds(),
        "possession" => possession::seeds(),
        #[cfg(feature = "node")]
        "engine" | "gossip" | "peer" | "covenant" => wire::seeds(name),
        #[cfg(feature = "node")]
        "rpc" => rpc::seeds(),
        #[cfg(feature = "node")]
        "config" | "genesis" | "keystore" => files::seeds(name),
        "canonical" => {
            let blank = (0..7).flat_map(|kind| [vec![kind; 400], [vec![kind], vec![0; 400]].concat()]);
            blank.chain(exposures()).collect()
        }
        "proof" => crate::proof::seeds(),
        other => anyhow::bail!("{other} has no seeds"),
    })
}

/// What the ledger takes in of fees, covenants and exposed keys, by the kinds of `canonical`.
fn exposures() -> Vec<Vec<u8>> {
    let breach = CovenantBreach {
        vault: VaultId { txid: Hash::new([1; 32]), output: 2 },
        member: SchnorrKey::new([3; 32]),
        height: 4,
        transaction: Hash::new([5; 32]),
        sighash: Hash::new([6; 32]),
        signature: SchnorrSignature::new([7; 64]),
    };
    let provider = ExposedProvider { secret: [8; 32] };
    let row = Row::Exposed(Exposure { provider, since: Height::new(9) });
    let source = StakeSource::EigenLayer(Address::new([14; 20]));
    let round = Round { answer: 15, decimals: 8, updated: 16 };
    vec![
        [vec![1], Evidence::Covenant(breach).to_bytes()].concat(),
        [vec![1], Evidence::ExposedProvider(provider).to_bytes()].concat(),
        [vec![1], Evidence::Certificates(Box::new(certificates(false))).to_bytes()].concat(),
        [vec![1], Evidence::Certificates(Box::new(certificates(true))).to_bytes()].concat(),
        [vec![5], row.to_bytes()].concat(),
        [vec![5], Row::FeeRate(10).to_bytes()].concat(),
        [vec![6], Fact::CovenantBreach(breach).to_bytes()].concat(),
        [vec![6], Fact::FeeRate(11).to_bytes()].concat(),
        [
            vec![5],
            Row::Price(Quote { price: MicroUsd::new(12), updated: 13, trouble: Some(Trouble::Stale) }).to_bytes(),
        ]
        .concat(),
        [vec![6], Fact::Price(PriceSeen { source, answer: Answer::Round(round) }).to_bytes()].concat(),
    ]
}

/// Two certificates of one committee, of one slot or of two.
fn certificates(later: bool) -> CertificatePair {
    let certificate = |slot: u64, digest: u8| QuorumCertificate {
        version: CERTIFICATE_VERSION,
        chain: ChainId::new([17; 32]),
        committee: Hash::new([18; 32]),
        domain: Domain::new([19; 32]),
        slot,
        digest: Digest::new([digest; 32]),
        members: 4,
        signers: vec![0b0111].try_into().expect("one byte"),
        signature: BlsSignature::new([20; 48]),
    };
    let header = Header {
        version: HEADER_VERSION,
        chain: ChainId::new([17; 32]),
        height: Height::new(8),
        epoch: Epoch::new(1),
        parent: BlockId::ZERO,
        items_root: Hash::ZERO,
        state_root: Hash::ZERO,
        next_committee: Hash::ZERO,
    };
    let proof = RowProof { siblings: vec![Hash::new([21; 32])].try_into().expect("one"), terminal: Terminal::Found };
    CertificatePair {
        epoch: Epoch::new(1),
        first: certificate(7, 22),
        second: certificate(if later { 8 } else { 7 }, 23),
        later: later.then_some(LaterBlock { header, named: Hash::new([24; 32]), proof }),
    }
}

fn vectors() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/btc-headers")
}

fn json(name: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(vectors().join(name))?)?)
}

/// The first headers of a file whose rows end with one.
fn headers(name: &str, count: usize) -> Result<Vec<u8>> {
    let text = fs::read_to_string(vectors().join(name))?;
    let rows = text.lines().skip(1).take(count);
    let bytes = rows.map(|row| Ok(hex::decode(row.split_once(',').context("no row")?.1)?));
    Ok(bytes.collect::<Result<Vec<_>>>()?.concat())
}

fn blocks() -> Result<Vec<Block>> {
    let branches = json("regtest-reorg.json")?;
    let texts = branches.as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
    let texts = texts.filter_map(Value::as_str).take(3);
    texts.map(|text| Ok(deserialize(&hex::decode(text)?)?)).collect()
}

/// A block with a few copies of its coinbase that differ, and their paths.
fn paths(block: &Block) -> Vec<Vec<u8>> {
    let mut block = block.clone();
    for salt in 1..6 {
        let mut other = block.txdata[0].clone();
        other.input[0].previous_output.vout = salt;
        other.input[0].previous_output.txid = block.txdata[0].compute_txid();
        block.txdata.push(other);
    }
    let path = |index: u32| {
        let proof = MerkleProof::of(&block, index)?;
        let transaction = block.txdata.get(usize::try_from(index).ok()?)?;
        Some(written(proof.index, &proof.siblings.concat(), &serialize(transaction)))
    };
    (0..6).filter_map(path).collect()
}

/// Real paths of mainnet.
fn summa() -> Result<Vec<Vec<u8>>> {
    let valid = &json("summa-spv-proofs.json")?["valid"];
    let texts = valid.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| real(&serde_json::from_str(text)?)).collect()
}

fn real(proof: &Value) -> Result<Vec<u8>> {
    let bytes = |field: &str| {
        let text = proof[field].as_str().with_context(|| format!("no {field}"))?;
        Ok::<_, anyhow::Error>(hex::decode(text.trim_start_matches("0x"))?)
    };
    let transaction = ["version", "vin", "vout", "locktime"].map(bytes).into_iter().collect::<Result<Vec<_>>>()?;
    let index = u32::try_from(proof["index"].as_u64().context("no index")?)?;
    Ok(written(index, &bytes("intermediate_nodes")?, &transaction.concat()))
}

fn written(index: u32, siblings: &[u8], transaction: &[u8]) -> Vec<u8> {
    let count = u8::try_from(siblings.len() / 32).unwrap_or(u8::MAX);
    [index.to_be_bytes().as_slice(), &[count], siblings, transaction].concat()
}
