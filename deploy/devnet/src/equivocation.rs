//! A deliberate fault: what an operator's stolen or misused keys can do. It goes around the guard, which would refuse
//! both signatures, and exists so that everything behind a fault can be tried on real chains.

use crate::operator::Operator;
use anyhow::{Context, bail};
use jsonrpsee::http_client::HttpClient;
use palisade_agreement::ballot::{Ballot, SignedBallot, Step};
use palisade_crypto::eots;
use palisade_crypto::hash::sha256_all;
use palisade_node::keys::OperatorKeys;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::ItemView;
use palisade_types::attestation::Statement;
use palisade_types::canonical::Canonical;
use palisade_types::evidence::{BlsPair, Domains, EotsPair, Evidence};
use palisade_types::genesis::Genesis;
use palisade_types::randomness::{Commitment, Opening};
use palisade_types::{BlockId, BlsSignature, Digest, Ed25519Signature, Hash, Height, OperatorId};
use std::fs;
use std::path::{Path, PathBuf};

/// What the tool says before it does anything.
pub const WARNING: &str = "WARNING: this signs two contradicting statements with the operator's own keys. It bypasses the \
guard that would refuse them, whoever holds the result can take his stake on both chains, and it cannot be undone.";

/// Two faults in two domains, so two cases (R25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivocation {
    /// Two BLS attestations of one height.
    pub ledger: Evidence,
    /// Two EOTS attestations of one checkpoint: they give away the finality provider's key.
    pub bitcoin: Evidence,
    /// The height.
    pub height: u64,
    /// The checkpoint slot.
    pub checkpoint: u64,
}

impl Equivocation {
    /// Signs. The first digest of each pair is the block that really stands there, the second names none.
    ///
    /// # Errors
    ///
    /// The node knows no such block, or no promise of nonces for its checkpoint.
    pub async fn sign(
        operator: &Operator,
        genesis: &Genesis,
        node: &HttpClient,
        height: Option<u64>,
    ) -> anyhow::Result<Self> {
        let (id, keys) = (operator.id()?, operator.keys()?);
        let signer = Signer { id, keys, domains: genesis.domains() };
        let height = match height {
            Some(height) => height,
            None => newest_final(node, genesis.is_bitcoin_only()).await?,
        };
        let checkpoint = height - height % signer.domains.interval;
        let promise = promise(node, &id, checkpoint, signer.domains.interval).await?;
        Ok(Self {
            ledger: signer.bls_pair(height, digest_at(node, height).await?),
            bitcoin: signer.eots_pair(checkpoint, digest_at(node, checkpoint).await?, promise)?,
            height,
            checkpoint,
        })
    }

    /// Writes both as files of hex, as `palisade evidence submit` takes them.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn write(&self, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
        fs::create_dir_all(folder)?;
        let paths = ["ledger.hex", "bitcoin.hex"].map(|name| folder.join(name));
        for (path, evidence) in paths.iter().zip([&self.ledger, &self.bitcoin]) {
            fs::write(path, format!("{}\n", hex_of(evidence))).with_context(|| path.display().to_string())?;
        }
        Ok(paths)
    }
}

/// Two engine votes of one operator in one place: they jail, and take nothing (R18).
#[derive(Clone, Copy, Debug)]
pub struct Votes;

impl Votes {
    /// Signs precommits for the block that stands at the newest height, and for one that is none, in a round that never was: what he
    /// really voted is in another.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn sign(operator: &Operator, genesis: &Genesis, node: &HttpClient) -> anyhow::Result<Evidence> {
        let (height, key) = (node.status().await?.head.height, operator.keys()?.ed25519);
        let truth = digest_at(node, height).await?;
        let vote = |digest: Digest| {
            let block = Some(BlockId::new(*digest.as_bytes()));
            let (chain, operator, height) = (genesis.chain_id(), operator.id()?, Height::new(height));
            let step = Step::Precommit;
            let ballot = Ballot { chain, operator, height, round: NEVER, step, block, valid_round: None };
            let signature = Ed25519Signature::new(key.sign(&ballot.preimage()).0);
            anyhow::Ok(SignedBallot { ballot, signature })
        };
        let pair = vote(truth)?.pair(&vote(lie(&truth))?).context("the two contradict each other")?;
        Ok(Evidence::Votes(pair))
    }
}

/// A round that no height of a devnet comes to.
const NEVER: u32 = 1_000_000;

/// Evidence as JSON-RPC takes it.
#[must_use]
pub fn hex_of(evidence: &Evidence) -> String {
    format!("0x{}", hex::encode(evidence.to_bytes()))
}

struct Signer {
    id: OperatorId,
    keys: OperatorKeys,
    domains: Domains,
}

impl Signer {
    fn bls_pair(&self, slot: u64, truth: Digest) -> Evidence {
        let domain = self.domains.ledger;
        let sign = |digest: Digest| {
            let message = Statement { domain, slot, digest }.bls_message(&self.domains.chain);
            (digest, BlsSignature::new(self.keys.bls.sign(&message).to_bytes()))
        };
        let (first, second) = (sign(truth), sign(lie(&truth)));
        Evidence::Pair(BlsPair { operator: self.id, domain, slot, first, second })
    }

    fn eots_pair(&self, slot: u64, truth: Digest, promise: Commitment) -> anyhow::Result<Evidence> {
        let Domains { chain, bitcoin: domain, interval, .. } = self.domains;
        let key = self.keys.eots(&chain, &domain);
        let nonce = |slot| eots::nonce(&key, chain.as_bytes(), domain.as_bytes(), slot);
        let slots = (0..u64::from(promise.count)).map(|leaf| promise.first.get() + leaf * interval);
        let tree = eots::commit(&slots.map(|slot| nonce(slot).public()).collect::<Vec<_>>())?;
        if tree.root() != *promise.root.as_bytes() {
            bail!("the promise in the ledger is not by this operator's key");
        }
        let leaf = promise.leaf(Height::new(slot), interval).context("the promise covers the checkpoint")?;
        let proof = tree.proof(leaf).context("the promise covers the checkpoint")?;
        let aunts: Vec<_> = proof.aunts.iter().map(|aunt| Hash::new(*aunt)).collect();
        let nonce = nonce(slot);
        let sign = |digest: Digest| {
            let message = Statement { domain, slot, digest }.eots_message(&chain);
            (digest, Hash::new(eots::sign(&key, &nonce, &message).0))
        };
        Ok(Evidence::EotsPair(EotsPair {
            operator: self.id,
            domain,
            slot,
            nonce: Hash::new(nonce.public().to_bytes()),
            opening: Opening { commitment: promise, aunts: aunts.try_into()? },
            first: sign(truth),
            second: sign(lie(&truth)),
        }))
    }
}

/// The newest height that counts as final: by bitcoin where nothing else stands behind the network (R22).
async fn newest_final(node: &HttpClient, bitcoin_only: bool) -> anyhow::Result<u64> {
    let status = node.status().await?;
    let newest = if bitcoin_only { status.bitcoin_final } else { status.ether_final };
    Ok(newest.context("nothing is final yet")?.height)
}

/// The id of no block.
fn lie(truth: &Digest) -> Digest {
    Digest::new(sha256_all(&[b"palisade-devnet: another block than ", truth.as_bytes()]))
}

async fn digest_at(node: &HttpClient, height: u64) -> anyhow::Result<Digest> {
    Ok(node.block(height).await?.id.parse()?)
}

/// The operator's promise of nonces that covers a checkpoint, as some block of the ledger holds it.
async fn promise(node: &HttpClient, operator: &OperatorId, slot: u64, interval: u64) -> anyhow::Result<Commitment> {
    let name = operator.to_string();
    for height in 1..=node.status().await?.head.height {
        for item in node.block(height).await?.items {
            let ItemView::Randomness { operator, first, count, root } = item else {
                continue;
            };
            let commitment = Commitment { first: Height::new(first), count, root: root.parse()? };
            if operator == name && commitment.leaf(Height::new(slot), interval).is_some() {
                return Ok(commitment);
            }
        }
    }
    bail!("the ledger holds no promise of {name} for checkpoint {slot}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::{ChainId, Domain};

    #[test]
    fn r02_r19_both_pairs_prove_a_fault_and_the_second_gives_the_key_away() {
        let domains = Domains {
            chain: ChainId::new([1; 32]),
            ledger: Domain::new([2; 32]),
            bitcoin: Domain::new([3; 32]),
            claim: Domain::new([4; 32]),
            order: Domain::new([5; 32]),
            succession: Domain::new([6; 32]),
            founder: ChainId::new([1; 32]),
            keys: Domain::new([3; 32]),
            interval: 5,
        };
        let signer = Signer { id: OperatorId::new([4; 20]), keys: OperatorKeys::generate(), domains };
        let public = signer.keys.public(&domains.chain, &domains.bitcoin);
        let row = palisade_types::operator::KeyRow {
            id: 1,
            from: 0,
            until: None,
            bls: public.bls,
            ed25519: public.ed25519,
            eots: public.eots,
            peer: Default::default(),
        };
        let operator = palisade_types::Operator {
            id: signer.id,
            keys: vec![row].try_into().unwrap(),
            convicted: None,
            jailed: None,
            attested: 0,
            missed: 0,
        };
        let key = signer.keys.eots(&domains.chain, &domains.bitcoin);
        let nonces: Vec<_> = (0..4)
            .map(|leaf| eots::nonce(&key, domains.chain.as_bytes(), domains.bitcoin.as_bytes(), 10 + leaf * 5).public())
            .collect();
        let root = Hash::new(eots::commit(&nonces).unwrap().root());
        let promise = Commitment { first: Height::new(10), count: 4, root };
        let truth = Digest::new([5; 32]);
        let pair = signer.bls_pair(12, truth);
        assert_eq!(pair.prove(&domains, &operator, |_| true).unwrap().slot(), 12);
        let pair = signer.eots_pair(20, truth, promise).unwrap();
        let fault = pair.prove(&domains, &operator, |id| *id == promise.id()).unwrap();
        // Of the two scalars with this x-only key, extraction gives the one of the even point.
        let exposed = eots::SecretKey::from_bytes(&fault.exposed().unwrap()).unwrap();
        assert!(exposed.public() == key.public());
        let other = Commitment { root: Hash::ZERO, ..promise };
        assert!(signer.eots_pair(20, truth, other).is_err());
    }
}
