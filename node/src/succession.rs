//! How operators name the network that goes on from theirs (R21), each by hand and with his own signer. No node has to run, no peer
//! to answer: what is passed around is a folder, by whatever means, and everything in it proves itself.
//!
//! - `genesis.json`: the successor's genesis, which names the last ether-final block of the network before;
//! - `state`: the rows after that block, in chunks that prove themselves against its state root;
//! - `attestations/`: one file for each operator who has named this successor;
//! - `certificate`: what more than two thirds of the committee before are together.
//!
//! The successor's first block follows from the first two ([`palisade_ledger::succession`]), so that everybody makes it himself. Who
//! attests it leaves the network before for ever: the guard signs nothing more under that chain id, in whatever domain.

use crate::config::Config;
use crate::genesis_file;
use crate::keys::write_new;
use crate::signer;
use anyhow::{Context, bail, ensure};
use palisade_agreement::guard::Ancestry;
use palisade_crypto::bls;
use palisade_ledger::snapshot::{Assembly, Chunk, chunks};
use palisade_ledger::{Ledger, succession};
use palisade_storage::Store;
use palisade_types::certificate::{CERTIFICATE_VERSION, Committee, QuorumCertificate};
use palisade_types::epoch::FinalBlock;
use palisade_types::genesis::{Continues, Genesis};
use palisade_types::{
    Attestation, Block, BlsSignature, Canonical, ChainId, Epoch, Hash, Header, Height, OperatorId, Row, RowKey,
    Statement,
};
use rand::RngCore;
use rand::rngs::OsRng;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The longest state that is read: some hundred thousand rows.
pub const MAX_STATE: u64 = 1 << 30;
/// The longest attestation or certificate.
const MAX_SIGNED: u64 = 1 << 12;

const GENESIS: &str = "genesis.json";
const STATE: &str = "state";
const ATTESTATIONS: &str = "attestations";
const CERTIFICATE: &str = "certificate";

/// A successor that is proposed: read from a folder, and checked but for who wants it.
#[derive(Debug)]
pub struct Proposal {
    /// Its genesis.
    pub genesis: Arc<Genesis>,
    /// Its first block.
    pub first: Block,
    /// The state after that.
    pub ledger: Ledger,
    /// What the committee before attests,
    pub statement: Statement,
    /// under this chain id.
    pub before: ChainId,
    rows: Vec<(RowKey, Row)>,
}

/// How far a proposal has come.
#[derive(Debug)]
pub struct Standing {
    /// Members of the committee before who count, with their weights, and whether they attested.
    pub members: Vec<(OperatorId, u64, bool)>,
    /// What they are together, once they are enough.
    pub certificate: Option<QuorumCertificate>,
}

impl Proposal {
    /// Reads and checks the folder.
    ///
    /// # Errors
    ///
    /// A file is missing, too long or not what it must be, or no successor can be made of it.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let genesis =
            genesis_file::read(&dir.join(GENESIS)).with_context(|| dir.join(GENESIS).display().to_string())?;
        let continues = genesis.continues.clone().context("the genesis continues no network")?;
        let rows = read_state(&dir.join(STATE), continues.block.state_root)?;
        Self::of(Arc::new(genesis), rows)
    }

    fn of(genesis: Arc<Genesis>, rows: Vec<(RowKey, Row)>) -> anyhow::Result<Self> {
        let (first, ledger) = Ledger::succeed(genesis.clone(), rows.clone()).context("making the first block")?;
        let (before, statement) =
            succession::statement(&genesis, &first.header).context("the genesis continues nothing")?;
        Ok(Self { genesis, first, ledger, statement, before, rows })
    }

    /// The block it goes on from.
    #[must_use]
    pub fn last(&self) -> Header {
        self.genesis.continues.as_ref().expect("it was made of one that continues").block
    }

    /// Who is asked: the committee of the network before, after its last block.
    ///
    /// # Errors
    ///
    /// The state names none.
    pub fn committee(&self) -> anyhow::Result<&Committee> {
        let epoch = self.rows.iter().find_map(|(_, row)| match row {
            Row::Epoch(state) => Some(state.epoch),
            _ => None,
        });
        let committee = self.rows.iter().find_map(|(key, row)| match row {
            Row::Committee(committee) if Some(*key) == epoch.map(RowKey::Committee) => Some(committee),
            _ => None,
        });
        committee.context("the state before names no committee")
    }

    fn is_convicted(&self, id: &OperatorId) -> bool {
        self.ledger.operator(id).is_some_and(|operator| operator.convicted.is_some())
    }

    /// Who has attested it, by the files in the folder. A file that is no member's attestation of this very successor is an error:
    /// whoever put it there should know.
    ///
    /// # Errors
    ///
    /// As said, or the disk fails.
    pub fn standing(&self, dir: &Path) -> anyhow::Result<Standing> {
        let committee = self.committee()?;
        let said = self.attestations(&dir.join(ATTESTATIONS), committee)?;
        let members = committee.members.iter().filter(|member| !self.is_convicted(&member.operator));
        let members = members.map(|member| (member.operator, member.ether, said.contains_key(&member.operator)));
        Ok(Standing { members: members.collect(), certificate: self.certificate(committee, &said)? })
    }

    fn attestations(&self, dir: &Path, committee: &Committee) -> anyhow::Result<BTreeMap<OperatorId, bls::Signature>> {
        let mut said = BTreeMap::new();
        let Ok(files) = fs::read_dir(dir) else { return Ok(said) };
        for file in files {
            let path = file?.path();
            let attestation = read_signed::<Attestation>(&path)?;
            let name = || format!("{} is no member's attestation of this successor", path.display());
            let (_, member) = committee.seat(&attestation.operator).with_context(name)?;
            ensure!(attestation.statement == self.statement, name());
            let key = bls::PublicKey::from_bytes(member.bls.as_bytes()).with_context(name)?;
            let signature = bls::Signature::from_bytes(attestation.signature.as_bytes()).with_context(name)?;
            key.verify(&self.statement.bls_message(&self.before), &signature).with_context(name)?;
            said.insert(attestation.operator, signature);
        }
        Ok(said)
    }

    fn certificate(
        &self,
        committee: &Committee,
        said: &BTreeMap<OperatorId, bls::Signature>,
    ) -> anyhow::Result<Option<QuorumCertificate>> {
        if said.is_empty() {
            return Ok(None);
        }
        let mut signers = vec![0_u8; committee.members.len().div_ceil(8)];
        for (index, member) in committee.members.iter().enumerate() {
            signers[index / 8] |= u8::from(said.contains_key(&member.operator)) << (index % 8);
        }
        let sum = bls::Signature::aggregate(&said.values().copied().collect::<Vec<_>>())?;
        let certificate = QuorumCertificate {
            version: CERTIFICATE_VERSION,
            chain: self.before,
            committee: committee.hash(&self.before),
            domain: self.statement.domain,
            slot: self.statement.slot,
            digest: self.statement.digest,
            members: u16::try_from(committee.members.len())?,
            signers: signers.try_into()?,
            signature: BlsSignature::new(sum.to_bytes()),
        };
        let holds = certificate.verify(&self.before, committee, |id| self.is_convicted(id));
        Ok(holds.is_ok().then_some(certificate))
    }

    /// Writes down that enough have attested it, for whoever begins the successor. The same again is written over.
    ///
    /// # Errors
    ///
    /// Too few have, or the disk fails.
    pub fn certify(&self, dir: &Path) -> anyhow::Result<QuorumCertificate> {
        let certificate = self.standing(dir)?.certificate;
        let certificate = certificate.context("not more than two thirds of the committee's stake have attested it")?;
        fs::write(dir.join(CERTIFICATE), certificate.to_bytes()).context("writing the certificate")?;
        Ok(certificate)
    }

    /// Gives an empty ledger the successor's first block, if it is certified.
    ///
    /// # Errors
    ///
    /// The certificate does not hold, `genesis` is another one, or the store has begun.
    pub fn begin(&self, dir: &Path, genesis: &Genesis, store: &Store) -> anyhow::Result<()> {
        ensure!(genesis.chain_id() == self.genesis.chain_id(), "the configuration names another genesis");
        let certificate = read_signed::<QuorumCertificate>(&dir.join(CERTIFICATE))?;
        ensure!(certificate.statement() == self.statement, "the certificate is of another successor");
        certificate
            .verify(&self.before, self.committee()?, |id| self.is_convicted(id))
            .context("the certificate of the succession")?;
        let head = self.ledger.head();
        let rows = self.ledger.rows();
        store.begin_later(&self.first, &[], &chunks(rows)).context("storing the first state")?;
        store.put_confirmed(&head)?;
        Ok(())
    }
}

/// Proposes a successor of the network of `genesis`, from the newest ether-final block of the own store, and writes its folder.
/// `like` has the parameters it shall have, with `seats` of those members who shall go on.
///
/// # Errors
///
/// Nothing is ether-final, contracts differ, or no successor can be made of it.
pub fn propose(
    store: &Store,
    genesis: &Arc<Genesis>,
    like: Genesis,
    seats: &[OperatorId],
    out: &Path,
) -> anyhow::Result<Proposal> {
    ensure!(like.contracts == genesis.contracts, "a successor's contracts are those of the network before");
    let ledger = newest_final(store, genesis)?;
    let (block, _) = store.block(ledger.head().height)?.context("the block is not stored")?;
    let mut line = genesis.before().to_vec();
    line.push(genesis.chain_id());
    let stays = |id: &OperatorId| seats.is_empty() || seats.contains(id);
    let all = ledger.committee().members.iter().filter(|member| stays(&member.operator));
    let seat = |id: OperatorId| {
        let keys = ledger.operator(&id)?.keys_now()?;
        Some(palisade_types::genesis::Seat { operator: id, ed25519: keys.ed25519, peer: keys.peer.clone() })
    };
    let seats: Vec<_> = all.filter_map(|member| seat(member.operator)).collect();
    let continues = Continues { block: block.header, line: line.try_into().context("the line is too long")? };
    let mut random = [0; 32];
    OsRng.fill_bytes(&mut random);
    let successor = Genesis {
        random: Hash::new(random),
        seats: seats.try_into().context("too many seats")?,
        continues: Some(continues),
        ..like
    };
    successor.check().context("the successor's genesis")?;
    let rows: Vec<_> = ledger.rows().collect();
    let mut state = Vec::new();
    for chunk in chunks(rows.clone()) {
        let bytes = chunk.to_bytes();
        u32::try_from(bytes.len())?.write(&mut state);
        state.extend_from_slice(&bytes);
    }
    let proposal = Proposal::of(Arc::new(successor), rows)?;
    write_new(&out.join(GENESIS), genesis_file::to_json(&proposal.genesis).as_bytes())?;
    write_new(&out.join(STATE), &state)?;
    Ok(proposal)
}

/// Attests a proposal with the own signer, and writes the attestation into its folder. What must hold, besides what the guard asks:
/// the own store has the block from which it goes on, with its certificate, so that everything up to there was confirmed by more
/// than two thirds (R7).
///
/// # Errors
///
/// As said, or the guard refuses.
pub fn attest(
    proposal: &Proposal,
    dir: &Path,
    store: &Store,
    genesis: &Arc<Genesis>,
    signer: &signer::Config,
) -> anyhow::Result<Attestation> {
    ensure!(proposal.before == genesis.chain_id(), "it goes on from network {}, not from this one", proposal.before);
    ensure!(proposal.genesis.contracts == genesis.contracts, "its contracts are not those of this network");
    let last = proposal.last();
    let block = FinalBlock { height: last.height, id: last.id() };
    let ledger = Ledger::restore(genesis.clone(), block, proposal.rows.clone()).context("the state before")?;
    let (own, _) = store.block(last.height)?.with_context(|| format!("block {} is not in our store", last.height))?;
    ensure!(own.id() == last.id(), "block {} is another one in our store", last.height);
    ensure!(is_certified(store, &ledger)?, "we hold no certificate of block {}", last.height);
    let committee = proposal.committee()?;
    let ancestry = |height: Height| {
        let named = ledger.block_id(height)?;
        Some(Ancestry { height, named, proof: ledger.prove(&RowKey::Block(height)) })
    };
    let first = &proposal.first.header;
    let (count, start) = (proposal.statement.slot, committee.ethereum.number);
    let attestation = signer::attest_succession(signer, count, first, &last, ancestry, start)?;
    ensure!(attestation.statement == proposal.statement, "the signer attested something else");
    let path = dir.join(ATTESTATIONS).join(attestation.operator.to_string());
    if !path.exists() {
        write_new(&path, &attestation.to_bytes())?;
    }
    Ok(attestation)
}

/// The state after the newest block of which the store has a certificate.
fn newest_final(store: &Store, genesis: &Arc<Genesis>) -> anyhow::Result<Ledger> {
    let tip = store.tip()?.context("the store is empty")?;
    let loaded = store.load()?.context("the store is empty")?;
    let ledger = Ledger::restore(genesis.clone(), loaded.head, loaded.rows).context("the stored ledger")?;
    if is_certified(store, &ledger)? {
        return Ok(ledger);
    }
    let mut wanted = tip.height;
    while store.certificate(wanted)?.is_none() {
        if wanted == Height::new(0) {
            bail!("no block of this store is ether-final");
        }
        wanted = wanted.previous();
    }
    let mut ledger = match store.first()? {
        Some(first) => Ledger::restore(genesis.clone(), first.head, first.rows).context("the first state")?,
        None => Ledger::genesis(genesis.clone()),
    };
    while ledger.head().height < wanted {
        let height = ledger.head().height.next();
        let (block, _) = store.block(height)?.with_context(|| format!("block {height} is not stored"))?;
        let changes = ledger.preview(&block).with_context(|| format!("replaying block {height}"))?;
        ledger.apply(changes);
    }
    ensure!(is_certified(store, &ledger)?, "the stored certificate of block {wanted} does not hold");
    Ok(ledger)
}

/// Whether the store holds a certificate of the ledger's head.
fn is_certified(store: &Store, ledger: &Ledger) -> anyhow::Result<bool> {
    let head = ledger.head();
    let Some(certificate) = store.certificate(head.height)? else { return Ok(false) };
    let epoch: Option<Epoch> = ledger.epoch_of(head.height);
    let Some(committee) = epoch.and_then(|epoch| ledger.committee_of(epoch)) else { return Ok(false) };
    let expected = Statement { domain: ledger.domains().ledger, slot: head.height.get(), digest: head.id.into() };
    let convicted = |id: &OperatorId| ledger.operator(id).is_some_and(|operator| operator.convicted.is_some());
    Ok(certificate.statement() == expected && certificate.verify(&ledger.chain(), committee, convicted).is_ok())
}

fn read_state(path: &Path, root: Hash) -> anyhow::Result<Vec<(RowKey, Row)>> {
    let bytes = read_bounded(path, MAX_STATE)?;
    let (mut rest, mut assembly) = (bytes.as_slice(), Assembly::new(root));
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        let (chunk, after) = after.split_at_checked(length).context("the state ends inside a chunk")?;
        let chunk = Chunk::from_bytes(chunk).context("a chunk of the state")?;
        assembly.take(chunk).context("a chunk of the state")?;
        rest = after;
    }
    let mut rows = assembly.whole().context("the state is not whole")?;
    rows.sort_unstable_by_key(|(key, _)| *key);
    Ok(rows)
}

fn read_signed<T: Canonical>(path: &Path) -> anyhow::Result<T> {
    let bytes = read_bounded(path, MAX_SIGNED)?;
    T::from_bytes(&bytes).with_context(|| path.display().to_string())
}

fn read_bounded(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let length = fs::metadata(path).with_context(name)?.len();
    ensure!(length <= most, "{} is longer than {most} bytes", path.display());
    fs::read(path).with_context(name)
}

/// Where the signer of `config` lies, for what a person signs by hand.
#[must_use]
pub fn signer_of(config: &Config, genesis: &Genesis, ethereum_head: u64) -> signer::Config {
    signer::Config {
        dir: config.signer_dir.clone(),
        incarnation: config.incarnation.clone(),
        operator: config.operator,
        domains: genesis.domains(),
        palisade: genesis.contracts.palisade,
        ethereum_head,
        vote_pause: signer::VOTE_PAUSE,
    }
}
