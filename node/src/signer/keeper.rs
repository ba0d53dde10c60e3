//! What the signer's thread owns, and what it does with one request.

use super::history::{self, Copy, History};
use super::nonces::Nonces;
use super::{Config, KEYS, Meeting, Met, OpenError, OwnKey, RECORDS, Refused, SignedLast};
use crate::keys::{OperatorKeys, PublicKeys};
use palisade_agreement::ballot::Ballot;
use palisade_agreement::guard::{Ancestry, Danger, Guard, Known, Lineage, Request, Verdict, ballot_digest};
use palisade_crypto::eots;
use palisade_crypto::hash::sha256_all;
use palisade_storage::{Place, Record, SignatureStore, StoreError, Wait};
use palisade_types::attestation::{Attestation, FinalityVote, Statement, UNNAMED};
use palisade_types::block::Header;
use palisade_types::canonical::Canonical;
use palisade_types::duty::Unjail;
use palisade_types::epoch::FinalBlock;
use palisade_types::evidence::Domains;
use palisade_types::ids::{
    Address, BlockId, BlsSignature, Digest, Domain, Ed25519Signature, Hash, OperatorId, SchnorrKey, SchnorrSignature,
};
use palisade_types::numbers::Numbered;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::service::ServiceStatement;
use palisade_types::units::Height;
use std::time::{Duration, Instant};

/// Keys, guard and records.
pub(super) struct Keeper {
    operator: OperatorId,
    domains: Domains,
    palisade: Address,
    keys: OperatorKeys,
    eots: eots::SecretKey,
    /// What the promises of this key are recorded under.
    promises: Domain,
    guard: Guard,
    nonces: Nonces,
    store: SignatureStore,
    copy: Copy,
    history: History,
    started: Instant,
    vote_pause: Duration,
    /// A write failed: what is on the disk is not known any more.
    failed: bool,
    /// Another signs with these keys (R20).
    doubled: bool,
}

impl Keeper {
    pub(super) fn open(config: &Config) -> Result<Self, OpenError> {
        history::check_outside(&config.dir, &config.incarnation)?;
        let domains = config.domains;
        let mut store = SignatureStore::open(&config.dir.join(RECORDS))?;
        let keys = OperatorKeys::read(&config.dir.join(KEYS))?;
        let (history, copy) = history::settle(&mut store, &config.incarnation, &keys.names(), config.ethereum_head)?;
        if let History::Waiting(wait) = history {
            tracing::warn!(cause = %wait.cause, wake_up = wait.wake_up, "the guard's history is not unbroken: it attests in epochs that start above this Ethereum block");
        }
        let eots = keys.eots(&domains.founder, &domains.keys); // what vaults name stays for the whole line (R21)
        let key = SchnorrKey::new(eots.public().to_bytes());
        let promises = promises_of(&domains.bitcoin, &key);
        let nonces = Nonces::new(eots.clone(), domains, store.commitments(&promises)?);
        Ok(Self {
            operator: config.operator,
            domains,
            palisade: config.palisade,
            keys,
            eots,
            promises,
            guard: Guard::new(domains),
            nonces,
            store,
            copy,
            history,
            started: Instant::now(),
            vote_pause: config.vote_pause,
            failed: false,
            doubled: false,
        })
    }

    pub(super) fn public(&self) -> PublicKeys {
        self.keys.public(&self.domains.founder, &self.domains.keys)
    }

    pub(super) const fn history(&self) -> History {
        self.history
    }

    pub(super) fn attest(
        &mut self,
        header: &Header,
        ancestry: Option<&Ancestry>,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        let slot = header.height.get();
        let statement = Statement { domain: self.domains.ledger, slot, digest: header.id().into() };
        self.check_history(header.height, epoch_start)?;
        let known = self.known(&statement, Some(self.domains.bitcoin))?;
        let request = Request::Attestation { statement: &statement, header, ancestry };
        self.judge(&request, &known, &record(&statement))?;
        let signature = self.keys.bls.sign(&statement.bls_message(&self.domains.chain));
        Ok(Attestation { statement, operator: self.operator, signature: BlsSignature::new(signature.to_bytes()) })
    }

    pub(super) fn attest_numbered(
        &mut self,
        numbered: &Numbered,
        first: Height,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        let statement = numbered.statement(&self.domains);
        self.check_history(first, epoch_start)?;
        let known = self.known(&statement, None)?;
        self.judge(&Request::Numbered(numbered), &known, &record(&statement))?;
        let signature = self.keys.bls.sign(&statement.bls_message(&self.domains.chain));
        Ok(Attestation { statement, operator: self.operator, signature: BlsSignature::new(signature.to_bytes()) })
    }

    pub(super) fn attest_service(
        &mut self,
        asked: &ServiceStatement,
        first: Height,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        let statement = asked.statement(&self.domains.chain, &self.palisade).ok_or(Refused::Reserved)?;
        self.check_history(first, epoch_start)?;
        let known = self.known(&statement, None)?;
        self.judge(&Request::Service(&statement), &known, &record(&statement))?;
        let signature = self.keys.bls.sign(&statement.bls_message(&self.domains.chain));
        Ok(Attestation { statement, operator: self.operator, signature: BlsSignature::new(signature.to_bytes()) })
    }

    /// Attests the first block of the network that goes on from `last` (R21). It is the last signature under this chain id: the
    /// record that refuses all others is on the disk before it can be seen.
    pub(super) fn attest_succession(
        &mut self,
        count: u64,
        first: &Header,
        last: &Header,
        ancestry: Option<&Ancestry>,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        let statement = Statement { domain: self.domains.succession, slot: count, digest: first.id().into() };
        self.check_history(last.height, epoch_start)?;
        let known = self.known(&statement, None)?;
        self.judge(&Request::Succession { statement: &statement, first, last, ancestry }, &known, &record(&statement))?;
        let signature = self.keys.bls.sign(&statement.bls_message(&self.domains.chain));
        Ok(Attestation { statement, operator: self.operator, signature: BlsSignature::new(signature.to_bytes()) })
    }

    pub(super) fn unjail(&mut self, jailed: Height) -> Result<Unjail, Refused> {
        self.read(|_| Ok(()))?; // nothing is signed after a failure
        let message = Unjail::message(&self.domains.chain, &self.operator, jailed);
        let signature = Ed25519Signature::new(self.keys.ed25519.sign(&message).0);
        Ok(Unjail { operator: self.operator, jailed, signature })
    }

    pub(super) fn finality_vote(
        &mut self,
        checkpoint: Height,
        block: BlockId,
        lineage: Option<&Lineage>,
        epoch_start: u64,
    ) -> Result<FinalityVote, Refused> {
        let statement = Statement { domain: self.domains.bitcoin, slot: checkpoint.get(), digest: block.into() };
        self.check_history(checkpoint, epoch_start)?;
        let known = self.known(&statement, Some(self.domains.ledger))?;
        let opening = self.nonces.opening(checkpoint)?;
        let request = Request::FinalityVote { statement: &statement, lineage };
        self.judge(&request, &known, &record(&statement))?;
        let nonce = self.nonces.nonce(checkpoint);
        let signature = eots::sign(&self.eots, &nonce, &statement.eots_message(&self.domains.chain));
        Ok(FinalityVote {
            statement,
            operator: self.operator,
            nonce: Hash::new(nonce.public().to_bytes()),
            signature: Hash::new(signature.0),
            opening,
        })
    }

    pub(super) fn sign_ballot(&mut self, ballot: &Ballot) -> Result<Ed25519Signature, Refused> {
        if ballot.operator != self.operator {
            return Err(Danger::Misfit.into());
        }
        self.end_pause()?;
        let (height, round, step) = ballot.slot();
        let place = Place::Ballot { chain: ballot.chain, height, round, step: step.to_bytes()[0] };
        let succession = self.domains.succession;
        let known = self.read(|store| {
            Ok(Known {
                stopped: store.stopped(&ballot.chain)?.is_some(),
                here: store.find(&place)?,
                beside: None,
                succeeded: store.newest(&succession)?.is_some(),
                newest: store.newest_ballot(&ballot.chain)?.map(|(height, digest)| (height.get(), digest)),
            })
        })?;
        let record = Record { place, digest: ballot_digest(ballot) };
        self.judge(&Request::Ballot(ballot), &known, &record)?;
        Ok(Ed25519Signature::new(self.keys.ed25519.sign(&ballot.preimage()).0))
    }

    pub(super) fn commit_randomness(&mut self, first: Height, count: u32) -> Result<RandomnessCommitment, Refused> {
        let (Domains { chain, bitcoin, .. }, promises) = (self.domains, self.promises);
        if self.read(|store| store.stopped(&chain))?.is_some() {
            return Err(Danger::Stopped.into());
        }
        let succession = self.domains.succession;
        if self.read(|store| store.newest(&succession))?.is_some() {
            return Err(Danger::Succeeded.into());
        }
        let commitment = self.nonces.promise(first, count)?;
        self.write(|store| store.keep_commitment(&promises, &commitment))?;
        self.nonces.keep(commitment);
        let message = RandomnessCommitment::message(&chain, &bitcoin, &self.operator, &commitment);
        let signature = SchnorrSignature::new(self.eots.sign_schnorr(&message));
        let key = SchnorrKey::new(self.eots.public().to_bytes());
        Ok(RandomnessCommitment { operator: self.operator, key, commitment, signature })
    }

    pub(super) fn signed_last(&mut self) -> Result<SignedLast, Refused> {
        let Domains { ledger, bitcoin, .. } = self.domains;
        let block = |(slot, digest): (u64, Digest)| FinalBlock {
            height: Height::new(slot),
            id: BlockId::new(*digest.as_bytes()),
        };
        self.read(|store| {
            let (attested, voted) = (store.newest(&ledger)?.map(block), store.newest(&bitcoin)?.map(block));
            Ok(SignedLast { attested, voted })
        })
    }

    pub(super) fn recorded(&mut self, domain: Domain, slot: u64) -> Result<Option<Digest>, Refused> {
        self.read(|store| store.find(&Place::Slot { domain, slot }))
    }

    pub(super) fn meet(&mut self, met: &Met) -> Result<Meeting, Refused> {
        let keys = self.public();
        let is_ours = match met.key {
            OwnKey::Bls(key) => key == keys.bls,
            OwnKey::Eots(key) => key == keys.eots,
        };
        if !is_ours {
            return Ok(Meeting::Ours);
        }
        let record = record(&met.statement);
        let found = self.read(|store| store.find(&record.place))?;
        // What was pruned may have been ours; nothing more is known of it.
        if found == Some(record.digest) || found == Some(UNNAMED) {
            return Ok(Meeting::Ours);
        }
        match (self.history, met.anchor) {
            (History::Waiting(_), None) => Ok(Meeting::Ours),
            (History::Waiting(wait), Some(anchor)) if anchor <= wait.wake_up && found.is_none() => {
                self.remember(&record)?;
                Ok(Meeting::Learned)
            }
            _ => {
                tracing::error!(statement = ?met.statement, "another signs with these keys: nothing is signed any more");
                self.doubled = true;
                Ok(Meeting::Doppelganger)
            }
        }
    }

    /// R15, for what finality rests on.
    fn check_history(&self, height: Height, epoch_start: u64) -> Result<(), Refused> {
        match self.history {
            History::Waiting(wait) if !self.history.allows(&self.domains.chain, height, epoch_start) => {
                Err(Refused::Waiting(wait))
            }
            _ => Ok(()),
        }
    }

    /// R15, for votes: a pause once, after the start that found the history broken.
    fn end_pause(&mut self) -> Result<(), Refused> {
        let History::Waiting(wait) = self.history else {
            return Ok(());
        };
        if !wait.silent {
            return Ok(());
        }
        if self.started.elapsed() < self.vote_pause {
            return Err(Refused::Pausing);
        }
        let wait = Wait { silent: false, ..wait };
        self.write(|store| store.set_wait(&wait, &[]))?;
        self.history = History::Waiting(wait);
        Ok(())
    }

    /// What the records hold around a statement; `beside` is the other finality domain, for statements of finality.
    fn known(&mut self, statement: &Statement, beside: Option<Domain>) -> Result<Known, Refused> {
        let Domains { chain, ledger, succession, .. } = self.domains;
        let (slot, domain) = (statement.slot, statement.domain);
        self.read(|store| {
            Ok(Known {
                stopped: store.stopped(&chain)?.is_some(),
                here: store.find(&Place::Slot { domain, slot })?,
                beside: beside.map(|domain| store.find(&Place::Slot { domain, slot })).transpose()?.flatten(),
                succeeded: store.newest(&succession)?.is_some(),
                newest: store.newest(if domain == succession { &ledger } else { &domain })?,
            })
        })
    }

    /// Asks the guard and does what it says. When this returns well, the record is on the disk and the signature may be
    /// made.
    fn judge(&mut self, request: &Request<'_>, known: &Known, record: &Record) -> Result<(), Refused> {
        match self.guard.check(request, known) {
            Verdict::Safe => self.remember(record),
            Verdict::Same => Ok(()),
            Verdict::NotSafe(danger) if danger.stops() => {
                tracing::error!(%danger, place = ?record.place, digest = %record.digest, "the guard stops signing in this network until a person acts");
                let (chain, reason) = (self.domains.chain, format!("{danger}: {:?} {}", record.place, record.digest));
                self.write(|store| store.stop(&chain, &reason))?;
                Err(danger.into())
            }
            Verdict::NotSafe(danger) => Err(danger.into()),
        }
    }

    fn remember(&mut self, record: &Record) -> Result<(), Refused> {
        self.write(|store| store.remember(record))?;
        let counted = self.copy.count(self.store.records());
        counted.map_err(|error| self.fail(&error))
    }

    fn read<T>(&mut self, read: impl FnOnce(&SignatureStore) -> Result<T, StoreError>) -> Result<T, Refused> {
        self.write(|store| read(store))
    }

    fn write<T>(&mut self, write: impl FnOnce(&mut SignatureStore) -> Result<T, StoreError>) -> Result<T, Refused> {
        if self.failed {
            return Err(Refused::Failed);
        }
        if self.doubled {
            return Err(Refused::Doubled);
        }
        write(&mut self.store).map_err(|error| self.fail(&error))
    }

    fn fail(&mut self, error: &(dyn std::error::Error + 'static)) -> Refused {
        tracing::error!(error, "the signer's disk failed: nothing is signed any more");
        self.failed = true;
        Refused::Failed
    }
}

const fn record(statement: &Statement) -> Record {
    Record { place: Place::Slot { domain: statement.domain, slot: statement.slot }, digest: statement.digest }
}

/// Nonces belong to a key: what another key in this directory promised is no promise of this one.
fn promises_of(bitcoin: &Domain, key: &SchnorrKey) -> Domain {
    Domain::new(sha256_all(&[b"promises", bitcoin.as_bytes(), key.as_bytes()]))
}
