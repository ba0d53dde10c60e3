//! One operator's module of a notary: a process beside his node.
//!
//! A request is a transaction to the service's account with 36 bytes: an epoch, and what is to be notarised. The answer is a hash of it
//! and of the final Ethereum block that holds it, as the module's own endpoint shows it; the operator's signer attests it in a slot of
//! that epoch (R3). An operator who gave no answer, or another one, a while after a quorum gave its own has failed, and every module has
//! its operator attest that verdict; a slot holds one, so that all attest the same. Whoever sees its certificate hands it in as evidence.
//!
//! The module keeps nothing: after a start it looks back [`LOOK_BACK`] blocks, and what it asks again the signer knows already.

use super::{ANSWERS, MISSED, Service, VERDICTS, WRONG};
use crate::constants::POLL;
use crate::devnet::Devnet;
use crate::equivocation::hex_of;
use crate::operator::Operator;
use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{B256, Bytes};
use alloy::providers::{DynProvider, Provider};
use anyhow::{Context, ensure};
use jsonrpsee::http_client::HttpClient;
use palisade_crypto::hash::keccak256;
use palisade_node::rpc::PalisadeClient;
use palisade_node::service::protocol::{Question, Refusal, Reply, ask};
use palisade_node::text::parse_hex_bytes;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::QuorumCertificate;
use palisade_types::evidence::Evidence;
use palisade_types::genesis::Genesis;
use palisade_types::service::{ServiceRules, ServiceStatement, slot_of};
use palisade_types::verdict::{CertifiedVerdict, Verdict};
use palisade_types::{CaseId, Digest, Epoch, OperatorId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Final blocks that a module looks back at its start: longer than an epoch and the next, after which no slot is open.
const LOOK_BACK: u64 = 60;
/// Final blocks after a slot was first seen open until its operators are judged.
const PATIENCE: u64 = 3;
/// The most requests of one block: a byte of the slot counts them.
const MAX_REQUESTS: usize = 256;
/// Blocks looked at in one round.
const ROUND: u64 = 64;

/// Calldata of a request.
#[must_use]
pub fn request(epoch: u32, what: B256) -> Bytes {
    [&epoch.to_be_bytes()[..], what.as_slice()].concat().into()
}

/// The slot of a request's answer, and with the place of an operator in the committee that of a verdict over him: 24 bits of the Ethereum
/// block, 8 of the request in it, 8 of that place. `None` beyond these bounds.
#[must_use]
pub fn slot(epoch: u32, block: u64, index: usize, place: Option<usize>) -> Option<u64> {
    let (index, place) = (u8::try_from(index).ok()?, u8::try_from(place.unwrap_or(0)).ok()?);
    let number = (block << 16) | (u64::from(index) << 8) | u64::from(place);
    (block < 1 << 24).then(|| slot_of(Epoch::new(epoch), number)).flatten()
}

/// What a notary says of 32 bytes in a block.
#[must_use]
pub fn answer(block: B256, what: B256) -> Digest {
    Digest::new(keccak256(&[&b"PALISADE-NOTARY-1"[..], block.as_slice(), what.as_slice()].concat()))
}

/// One request, as far as it has come.
struct Task {
    epoch: u32,
    block: u64,
    index: usize,
    answer: Digest,
    answered: bool,
    /// The final block at which it was first seen open.
    open: Option<u64>,
    /// What is to be said of others, once they are judged.
    verdicts: Option<Vec<Verdict>>,
}

/// One module.
struct Notary {
    service: Service,
    rules: ServiceRules,
    genesis: Arc<Genesis>,
    name: String,
    socket: PathBuf,
    node: HttpClient,
    ethereum: DynProvider,
    /// Says something else than what is true: a broken source, for a scenario.
    wrong: bool,
    /// The next block to be looked at.
    next: u64,
    tasks: BTreeMap<u64, Task>,
}

/// Runs one operator's module until it is told to stop.
///
/// # Errors
///
/// The service was not founded, or there is no such operator.
pub async fn run(devnet: &Devnet, service: &str, operator: &str, wrong: bool) -> anyhow::Result<()> {
    let operator: Operator = devnet.operator(operator)?;
    let service = Service::read(devnet.layout(), service)?;
    let mut notary = Notary {
        rules: super::rules(service.adapter)?,
        genesis: devnet.genesis()?,
        name: operator.name().to_owned(),
        socket: operator.service_socket(),
        node: operator.client()?,
        ethereum: devnet.anvil().provider()?,
        next: 0,
        tasks: BTreeMap::new(),
        service,
        wrong,
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut ticks = tokio::time::interval(POLL);
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            _ = ticks.tick() => if let Err(error) = notary.tick().await {
                println!("{}: {error:#}", notary.name); // tried again
            },
        }
    }
}

impl Notary {
    async fn tick(&mut self) -> anyhow::Result<()> {
        let newest = self.ethereum.get_block_by_number(BlockNumberOrTag::Finalized).await?;
        let newest = newest.context("Ethereum has no final block")?.header.number;
        self.look(newest).await?;
        if self.tasks.is_empty() {
            return Ok(());
        }
        let Reply::Status(status) = ask(&self.socket, &Question::Status).await? else { return Ok(()) };
        self.tasks.retain(|_, task| task.epoch.saturating_add(1) >= status.epoch);
        let open: Vec<u64> =
            self.tasks.iter().filter(|(_, task)| task.epoch <= status.epoch).map(|(slot, _)| *slot).collect();
        for slot in open {
            let Some(mut task) = self.tasks.remove(&slot) else { continue };
            let worked = self.work(slot, &mut task, newest).await;
            self.tasks.insert(slot, task);
            worked.with_context(|| format!("slot {slot}"))?;
        }
        Ok(())
    }

    /// Finds new requests in final blocks.
    async fn look(&mut self, newest: u64) -> anyhow::Result<()> {
        if self.next == 0 {
            self.next = newest.saturating_sub(LOOK_BACK).max(self.genesis.ethereum_start.number + 1);
        }
        let last = newest.min(self.next.saturating_add(ROUND - 1));
        while self.next <= last {
            let block = self.ethereum.get_block_by_number(self.next.into()).full().await?;
            let block = block.with_context(|| format!("there is no block {}", self.next))?;
            let asked = block.transactions.as_transactions().unwrap_or_default().iter().filter_map(|transaction| {
                use alloy::consensus::Transaction as _;
                let input = transaction.input();
                let is_ours = transaction.to() == Some(self.service.account) && input.len() == 36;
                let (epoch, what) = input.split_first_chunk::<4>().filter(|_| is_ours)?;
                Some((u32::from_be_bytes(*epoch), B256::from_slice(what)))
            });
            for (index, (epoch, what)) in asked.take(MAX_REQUESTS).enumerate() {
                let Some(slot) = slot(epoch, self.next, index, None) else { continue };
                let mut answer = answer(block.header.hash, what);
                if self.wrong {
                    answer = Digest::new(keccak256(answer.as_bytes()));
                }
                println!("{}: a request in block {}, for slot {slot}", self.name, self.next);
                let task = Task { epoch, block: self.next, index, answer, answered: false, open: None, verdicts: None };
                self.tasks.insert(slot, task);
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Carries one open request as far as it can be carried now.
    async fn work(&self, slot: u64, task: &mut Task, newest: u64) -> anyhow::Result<()> {
        let open = *task.open.get_or_insert(newest);
        if !task.answered {
            task.answered = self.attest(ANSWERS, slot, task.answer).await?;
        }
        if task.verdicts.is_none() && newest >= open + PATIENCE {
            task.verdicts = self.judge(slot, task).await?;
        }
        for verdict in task.verdicts.iter().flatten() {
            self.carry(verdict).await?;
        }
        Ok(())
    }

    /// Has the operator attest; true when there is nothing more to ask.
    async fn attest(&self, kind: u16, slot: u64, digest: Digest) -> anyhow::Result<bool> {
        let statement = ServiceStatement { domain: self.service.domain(kind), slot, digest };
        match ask(&self.socket, &Question::Attest(statement)).await? {
            Reply::Attested(_) => {
                println!("{}: attested {digest} in slot {slot} of kind {kind}", self.name);
                Ok(true)
            }
            // His signer holds to what it said.
            Reply::Refused(Refusal::Taken) => Ok(true),
            Reply::Refused(refusal) => {
                println!("{}: slot {slot} of kind {kind}: {refusal}", self.name);
                Ok(false)
            }
            other => anyhow::bail!("the signer answers {other:?}"),
        }
    }

    /// Who failed in a slot, once a quorum gave the answer that this module knows for true; `None` before.
    async fn judge(&self, slot: u64, task: &Task) -> anyhow::Result<Option<Vec<Verdict>>> {
        let kind = self.service.kind(ANSWERS);
        let seen = self.node.attestation_status(kind.clone(), slot).await?;
        if !seen.certified {
            return Ok(None);
        }
        let certified = self.node.attestation_certificate(kind, slot).await?.digest;
        if certified != task.answer.to_string() {
            return Ok(None); // a quorum says otherwise: this module's own source is wrong
        }
        let committee = self.node.committee(Some(task.epoch)).await?;
        let mut verdicts = Vec::new();
        for (place, member) in committee.members.iter().enumerate() {
            let weight: u64 = member.ether.parse()?;
            let said = seen.said.iter().find(|said| said.operator == member.operator).map(|said| &said.digest);
            let fault = match said {
                _ if weight < self.rules.bond.get() => continue,
                Some(digest) if *digest == certified => continue,
                Some(_) => WRONG,
                None => MISSED,
            };
            let operator: OperatorId = member.operator.parse()?;
            let rule = self.rules.fault(fault).context("the rules name every fault")?;
            verdicts.push(Verdict {
                registration: self.service.domain(VERDICTS).registration,
                operator,
                fault,
                part: rule.most,
                slot: self::slot(task.epoch, task.block, task.index, Some(place)).context("a slot for each seat")?,
                capture: committee.ethereum.number,
            });
            println!("{}: {operator} failed in slot {slot}, fault {fault}", self.name);
        }
        Ok(Some(verdicts))
    }

    /// Has a verdict attested, and hands it in once it is certified, until its case is there.
    async fn carry(&self, verdict: &Verdict) -> anyhow::Result<()> {
        let domain = self.service.domain(VERDICTS);
        let hashed = domain.derive(&self.genesis.chain_id(), &self.genesis.contracts.palisade);
        let case = CaseId::of_verdict(
            &self.genesis.chain_id(),
            &verdict.operator,
            &hashed.context("it is a service's domain")?,
            verdict.slot,
        );
        if self.node.case(case.to_string()).await.is_ok() {
            return Ok(());
        }
        let kind = self.service.kind(VERDICTS);
        let Ok(certificate) = self.node.attestation_certificate(kind, verdict.slot).await else {
            return self.attest(VERDICTS, verdict.slot, verdict.digest()).await.map(drop);
        };
        ensure!(certificate.digest == verdict.digest().to_string(), "slot {} certifies another verdict", verdict.slot);
        let certificate = QuorumCertificate::from_bytes(&parse_hex_bytes(&certificate.bytes)?)?;
        let evidence = Evidence::Verdict(Box::new(CertifiedVerdict { verdict: *verdict, certificate }));
        match self.node.submit_evidence(hex_of(&evidence)).await {
            Ok(_) => println!("{}: handed in the verdict in slot {}", self.name, verdict.slot),
            Err(error) => println!("{}: the verdict in slot {}: {error}", self.name, verdict.slot),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::service::epoch_of;
    use std::collections::BTreeSet;

    #[test]
    fn r03_every_request_and_every_operator_has_a_slot_of_its_own_in_its_epoch() {
        let places = [None, Some(1), Some(255)];
        let all: Vec<_> = [(7, 0, 0), (7, 0, 255), (7, 1, 0), (8, 0, 0), (7, (1 << 24) - 1, 255)]
            .into_iter()
            .flat_map(|(epoch, block, index)| places.map(|place| (epoch, slot(epoch, block, index, place).unwrap())))
            .collect();
        assert!(all.iter().all(|(epoch, slot)| epoch_of(*slot) == Epoch::new(*epoch)));
        assert_eq!(all.iter().map(|(_, slot)| slot).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(slot(7, 1 << 24, 0, None), None);
        assert_eq!((slot(7, 1, 256, None), slot(7, 1, 0, Some(256)), slot(1 << 24, 1, 0, None)), (None, None, None));
    }

    #[test]
    fn an_answer_is_of_its_block_and_of_what_was_asked() {
        let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        assert!(answer(one, other) != answer(other, one) && answer(one, one) != answer(one, other));
        assert_eq!(request(7, one).len(), 36);
    }
}
