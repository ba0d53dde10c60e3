//! Proofs that transactions stand in blocks.

use anyhow::{Context as _, Result, bail, ensure};
use bitcoin::consensus::encode::{deserialize, deserialize_hex};
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::merkle_tree::{MerkleBlock, PartialMerkleTree};
use bitcoin::{Transaction, Txid};
use palisade_bitcoin::inclusion::MerkleProof;
use serde_json::Value;

use super::{File, Outcome, Tally, array, bytes, has, headers, number, tally_list};

/// Summa's proofs, good and bad.
pub(super) fn summa(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(value, &["valid", "validHeader", "badHeaders", "badSPVProofs"]))?;
    Some(Outcome::of(check(value)))
}

fn check(value: &Value) -> Result<Tally> {
    let parsed = |case: &Value| Ok::<Value, anyhow::Error>(serde_json::from_str(case.as_str().context("no text")?)?);
    let mut sum = Tally::default();
    let mut add = |part: Tally| sum.checked += part.checked;
    add(tally_list(&value["valid"], |case| prove(&parsed(case)?)).context("valid")?);
    add(tally_list(&value["validHeader"], |case| describes(&parsed(case)?)).context("validHeader")?);
    add(tally_list(&value["badSPVProofs"], |case| refused(prove(&case["proof"]))).context("badSPVProofs")?);
    add(tally_list(&value["badHeaders"], |case| refused(describes(&case["header"]))).context("badHeaders")?);
    for (name, case) in value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("err")) {
        let case: Value = serde_json::from_str(case.as_str().context("no text")?)?;
        let outcome = match &case {
            Value::String(_) if name.ends_with("160") => {
                array::<20>(&serde_json::json!({ "hash": case }), "hash").map(drop)
            }
            Value::Object(_) if case.get("intermediate_nodes").is_some() => prove(&case),
            _ => describes(&case),
        };
        refused(outcome).context(name.clone())?;
        add(Tally::one());
    }
    Ok(sum)
}

fn refused(outcome: Result<()>) -> Result<()> {
    ensure!(outcome.is_err(), "it is taken for good");
    Ok(())
}

/// Checks that a proof's transaction is put together right and stands in its block.
fn prove(proof: &Value) -> Result<()> {
    let header = &proof["confirming_header"];
    describes(header)?;
    let parts = ["version", "vin", "vout", "locktime"].map(|part| bytes(proof, part));
    let whole = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let transaction: Transaction = deserialize(&whole)?;
    ensure!(transaction.compute_txid() == Txid::from_byte_array(array(proof, "tx_id")?), "another transaction");
    let nodes = bytes(proof, "intermediate_nodes")?;
    let (siblings, rest) = nodes.as_chunks::<32>();
    ensure!(rest.is_empty(), "half a sibling");
    let path = MerkleProof { index: u32::try_from(number(proof, "index")?)?, siblings: siblings.to_vec() };
    Ok(path.verify(&transaction, &headers::header(&bytes(header, "raw")?)?)?)
}

/// Checks that a header is what is said about it.
fn describes(value: &Value) -> Result<()> {
    let header = headers::header(&bytes(value, "raw")?)?;
    ensure!(headers::worked(&header)?.to_byte_array() == array(value, "hash")?, "another hash");
    ensure!(header.merkle_root.to_byte_array() == array(value, "merkle_root")?, "another Merkle root");
    ensure!(header.prev_blockhash.to_byte_array() == array(value, "prevhash")?, "another parent");
    number(value, "height").map(drop)
}

/// Core's `gettxoutproof`: names are heights and the indices that are proven.
pub(super) fn core(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(value, &["format", "proofs"]) && value["proofs"].is_object())?;
    let mut tally = Tally::default();
    for (name, proof) in value["proofs"].as_object()? {
        match proven(name, proof).with_context(|| format!("proof {name}")) {
            Ok(paths) => tally.checked += paths,
            Err(error) => return Some(Outcome::of(Err(error))),
        }
    }
    Some(Outcome::of(Ok(tally)))
}

fn proven(name: &str, proof: &Value) -> Result<usize> {
    let block: MerkleBlock = deserialize_hex(proof.as_str().context("no text")?)?;
    headers::worked(&block.header)?;
    let named = name.split(['-', '_']).skip(1).map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let paths = Paths::of(&block.txn)?;
    let indices: Vec<u32> = paths.iter().map(|(path, _)| path.index).collect();
    ensure!(indices == named, "it proves {indices:?}");
    for (path, txid) in &paths {
        path.verify_id(*txid, block.header.merkle_root)?;
        let beside = MerkleProof { index: path.index ^ 1, ..path.clone() };
        ensure!(
            beside.verify_id(*txid, block.header.merkle_root).is_err(),
            "its neighbour's place is taken for its own"
        );
    }
    Ok(paths.len())
}

/// Turns Core's pruned tree into paths.
struct Paths<'a> {
    tree: &'a PartialMerkleTree,
    bits: usize,
    hashes: usize,
    found: Vec<(MerkleProof, Txid)>,
}

impl<'a> Paths<'a> {
    fn of(tree: &'a PartialMerkleTree) -> Result<Vec<(MerkleProof, Txid)>> {
        let height = (0..32).find(|height| width(tree, *height) <= 1).context("too many transactions")?;
        let mut paths = Self { tree, bits: 0, hashes: 0, found: Vec::new() };
        paths.walk(height, 0)?;
        Ok(paths.found)
    }

    /// The hash of a node. Every path through it gets its two halves as siblings of each other.
    fn walk(&mut self, height: u32, place: u32) -> Result<[u8; 32]> {
        let flag = *self.tree.bits().get(self.bits).context("too few bits")?;
        self.bits += 1;
        if height == 0 || !flag {
            let hash = self.tree.hashes().get(self.hashes).context("too few hashes")?.to_byte_array();
            self.hashes += 1;
            if flag {
                let path = MerkleProof { index: place, siblings: Vec::new() };
                self.found.push((path, Txid::from_byte_array(hash)));
            }
            return Ok(hash);
        }
        let before = self.found.len();
        let left = self.walk(height - 1, 2 * place)?;
        let middle = self.found.len();
        let has_right = 2 * place + 1 < width(self.tree, height - 1);
        let right = if has_right { self.walk(height - 1, 2 * place + 1)? } else { left };
        if has_right && left == right {
            bail!("two equal halves");
        }
        self.found[before..middle].iter_mut().for_each(|(path, _)| path.siblings.push(right));
        self.found[middle..].iter_mut().for_each(|(path, _)| path.siblings.push(left));
        Ok(sha256d::Hash::hash(&[left, right].concat()).to_byte_array())
    }
}

/// How many nodes a row of the tree has.
fn width(tree: &PartialMerkleTree, height: u32) -> u32 {
    tree.num_transactions().div_ceil(1_u32.checked_shl(height).unwrap_or(u32::MAX))
}
