//! The one place that signs: keys, guard and records on one thread, behind a handle that anybody may hold.
//!
//! Every request goes the same way (R15, R16, R18, R19): is the history whole, or is the wait over; does the guard allow it;
//! is the record on the disk; only then is the signature made. Signing is deterministic, so that the same request gives the
//! same signature, also after a crash between record and publication. A record that could not be made durable ends
//! signing for the life of the process, because nobody knows what is on the disk then.
//!
//! Domains are derived here and never given (R14): callers name blocks, not digests. A service's module, which alone hands in digests, names
//! its registration and the kind, and reaches no domain of the network's own that way.
//!
//! The directory holds `keys/` and `records/`. It lies outside the data directory, so that restoring that does not restore
//! it; the copy of the incarnation lies outside both.

mod history;
pub mod interchange;
mod keeper;
mod nonces;
#[cfg(test)]
mod tests;

use crate::keys::{self, KeyError, OperatorKeys, PublicKeys};
use keeper::Keeper;
use palisade_agreement::ballot::Ballot;
use palisade_agreement::context::{self, SignRequest};
use palisade_agreement::guard::{Ancestry, Danger, Lineage};
use palisade_crypto::eots;
use palisade_storage::{SignatureStore, StoreError};
use palisade_types::attestation::{Attestation, FinalityVote, Statement};
use palisade_types::block::Header;
use palisade_types::duty::Unjail;
use palisade_types::epoch::FinalBlock;
use palisade_types::evidence::Domains;
use palisade_types::ids::{
    Address, BlockId, BlsKey, ChainId, Digest, Domain, Ed25519Signature, OperatorId, SchnorrKey,
};
use palisade_types::numbers::Numbered;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::service::ServiceStatement;
use palisade_types::units::Height;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

pub use history::History;
pub use palisade_storage::{Cause, Wait};

/// How long a guard without unbroken history keeps from voting after the start that found it (R15).
pub const VOTE_PAUSE: Duration = Duration::from_secs(60);

/// How many requests may wait for the signer. Whoever comes later waits for a place.
pub const MAX_WAITING: usize = 256;

/// What a signer is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds `keys/` and `records/`.
    pub dir: PathBuf,
    /// The copy of the incarnation: a file outside [`Self::dir`] and outside every directory that is ever backed up. It
    /// belongs to the store, not to a network, and is where [`create`] put it.
    pub incarnation: PathBuf,
    /// Whose keys these are.
    pub operator: OperatorId,
    /// The network.
    pub domains: Domains,
    /// Its Palisade.sol, which services' domains are derived with (R14).
    pub palisade: Address,
    /// The newest Ethereum block the operator's endpoints show now, final or not: what a guard that finds its history
    /// broken waits for (R15).
    pub ethereum_head: u64,
    /// [`VOTE_PAUSE`]; shorter only in tests.
    pub vote_pause: Duration,
}

/// Why a signer does not open. The node does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key file is missing, open to others, or no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The records are in use, damaged, or of a newer release.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy of the incarnation cannot be read or written.
    #[error("cannot access the copy of the incarnation at {}", path.display())]
    Incarnation {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The copy would be backed up and restored together with the records.
    #[error("the copy of the incarnation at {} must lie outside the signer's directory", path.display())]
    Inside {
        /// Where it is.
        path: PathBuf,
    },
    /// Keys are made once per directory.
    #[error("{} holds a signer already, or its incarnation", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The system gives no thread.
    #[error("cannot start the signer's thread")]
    Thread(#[source] io::Error),
}

/// Why there is no signature. Being late is safe: the caller goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The history is not unbroken and the epoch did not start above the wake-up (R15).
    #[error("{}, so the guard waits for an epoch that starts above Ethereum block {}", .0.cause, .0.wake_up)]
    Waiting(Wait),
    /// The pause before the first vote after such a start is not over (R15).
    #[error("the guard keeps from voting for a while, because its history is not unbroken")]
    Pausing,
    /// The height is decided, and what was voted there may be forgotten (R15).
    #[error("the height is decided, and the guard may have forgotten what it voted there")]
    Forgotten,
    /// The guard refuses (R16, R18). When [`Danger::stops`], it refuses everything until a person acts.
    #[error(transparent)]
    NotSafe(#[from] Danger),
    /// No nonce is promised for this checkpoint (R19).
    #[error("no nonce is promised for this checkpoint")]
    NotCommitted,
    /// The range of nonces is empty, too long, or does not start at a checkpoint.
    #[error("this is no range of checkpoints that can be promised")]
    BadRange,
    /// The domain is the network's own, and no service's (R14).
    #[error("the domain is the network's own")]
    Reserved,
    /// Another signs with these keys (R20): the node stops.
    #[error("another process signs with these keys")]
    Doubled,
    /// A record could not be made durable or read: the node stops.
    #[error("the signer's disk failed")]
    Failed,
    /// The signer has stopped; the node is going down.
    #[error("the signer is gone")]
    Gone,
}

/// The highest blocks signed for in a network: what is signed next must be of one chain with them (R16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignedLast {
    /// Attested with BLS.
    pub attested: Option<FinalBlock>,
    /// Voted for with EOTS.
    pub voted: Option<FinalBlock>,
}

/// A signature by a key of our operator that was met on the network or in a block. It verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    /// What it says.
    pub statement: Statement,
    /// By which key.
    pub key: OwnKey,
    /// The Ethereum anchor in the state of the block that it is about, or an older one: what a waiting guard compares. `None` for
    /// a block that is not committed yet, of which a waiting guard makes nothing: it is met again.
    pub anchor: Option<u64>,
}

/// The key of a seat that made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnKey {
    /// For attestations.
    Bls(BlsKey),
    /// For finality on Bitcoin.
    Eots(SchnorrKey),
}

/// Who made a signature that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// It is recorded here, or by an earlier key of the operator that this signer does not hold.
    Ours,
    /// From before a waiting guard woke up: it is recorded now.
    Learned,
    /// Somebody else who holds the key.
    Doppelganger,
}

/// Another process signs with our key (R20). Whoever signs on now equivocates sooner or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "another process signs with this operator's key: it signed {} in slot {} of domain {}, and this signer did not. \
     Find it and stop it before this node is started again (R20)",
    .0.digest, .0.slot, .0.domain
)]
pub struct Doppelganger(pub Statement);

/// Our hand on the signer. Cheap to clone; the thread ends with the last hand.
#[derive(Clone, Debug)]
pub struct Signer {
    requests: mpsc::Sender<Request>,
    facts: Arc<Facts>,
}

/// What does not change while a signer runs.
#[derive(Debug)]
struct Facts {
    keys: PublicKeys,
    history: History,
    covenant: Option<eots::SecretKey>,
}

/// One request and where its answer goes.
enum Request {
    Attest(Box<(Header, Option<Ancestry>, u64)>, Reply<Attestation>),
    Numbered(Box<(Numbered, Height, u64)>, Reply<Attestation>),
    Service(Box<(ServiceStatement, Height, u64)>, Reply<Attestation>),
    Unjail(Height, Reply<Unjail>),
    FinalityVote(Box<(Height, BlockId, Option<Lineage>, u64)>, Reply<FinalityVote>),
    Ballot(Ballot, Reply<Ed25519Signature>),
    Commit((Height, u32), Reply<RandomnessCommitment>),
    SignedLast(Reply<SignedLast>),
    Recorded(Domain, u64, Reply<Option<Digest>>),
    Meet(Box<Met>, Reply<Meeting>),
    Close(oneshot::Sender<()>),
}

type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// Makes an operator's keys into a new directory and records their birth (R15): only keys made here sign at once.
///
/// # Errors
///
/// [`OpenError::Exists`] when there is anything yet; otherwise [`OpenError`] says what failed, and the directory is of no
/// use.
pub fn create(dir: &Path, incarnation: &Path) -> Result<OperatorKeys, OpenError> {
    let mut store = fresh(dir, incarnation)?;
    let keys = OperatorKeys::generate();
    store.bear(&keys.names())?;
    history::renew(&mut store, incarnation)?;
    keys.write(&dir.join(KEYS))?;
    Ok(keys)
}

/// Puts an operator's keys that were made elsewhere, as from a seed, into a new directory. Nothing says that they never
/// signed, so no birth is recorded and the guard waits (R15).
///
/// # Errors
///
/// As [`create`].
pub fn import(dir: &Path, incarnation: &Path, keys: &OperatorKeys) -> Result<(), OpenError> {
    let mut store = fresh(dir, incarnation)?;
    history::renew(&mut store, incarnation)?;
    Ok(keys.write(&dir.join(KEYS))?)
}

fn fresh(dir: &Path, incarnation: &Path) -> Result<SignatureStore, OpenError> {
    history::check_outside(dir, incarnation)?;
    let store = SignatureStore::open(&dir.join(RECORDS))?;
    if store.incarnation()?.is_some() {
        return Err(OpenError::Exists { path: dir.to_owned() });
    }
    if incarnation.exists() {
        return Err(OpenError::Exists { path: incarnation.to_owned() });
    }
    Ok(store)
}

/// Ends the wait of a guard (R15). A person says by it that these keys signed nothing above `above` in this network that
/// the records do not hold; saying it wrongly costs the stake. The signer must not be running.
///
/// # Errors
///
/// [`StoreError`], [`StoreError::Locked`] while it runs.
pub fn release(dir: &Path, chain: &ChainId, above: Height) -> Result<(), StoreError> {
    let mut store = SignatureStore::open(&dir.join(RECORDS))?;
    match store.wait()? {
        Some(wait) => store.set_wait(&Wait { silent: false, released: Some((*chain, above)), ..wait }, &[]),
        None => Ok(()),
    }
}

/// Ends a stop after a contradiction (R16) and returns what it was about. A person says by it that he has looked. The
/// signer must not be running.
///
/// # Errors
///
/// [`StoreError`], [`StoreError::Locked`] while it runs.
pub fn resume(dir: &Path, chain: &ChainId) -> Result<Option<String>, StoreError> {
    let mut store = SignatureStore::open(&dir.join(RECORDS))?;
    let reason = store.stopped(chain)?;
    store.resume(chain)?;
    Ok(reason)
}

/// Attests the first block of the network that goes on from `last` (R21), by hand: the signer must not be running. `ancestry`
/// shows what the chain of `last` holds at a height, for the block attested last (R16); `epoch_start` as in [`Signer::attest`].
/// The guard signs nothing more under this chain id afterwards, for ever.
///
/// # Errors
///
/// [`ByHand`]; a signer that runs is locked.
pub fn attest_succession(
    config: &Config,
    count: u64,
    first: &Header,
    last: &Header,
    ancestry: impl FnOnce(Height) -> Option<Ancestry>,
    epoch_start: u64,
) -> Result<Attestation, ByHand> {
    let mut keeper = Keeper::open(config)?;
    let attested = keeper.signed_last()?.attested;
    let ancestry = attested.and_then(|block| ancestry(block.height));
    Ok(keeper.attest_succession(count, first, last, ancestry.as_ref(), epoch_start)?)
}

/// Why nothing was signed by hand.
#[derive(Debug, thiserror::Error)]
pub enum ByHand {
    /// The signer does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It refuses.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Signer {
    /// Reads the keys, opens the records, judges their history and starts the thread. It blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`OpenError`] is a line for the operator; the node does not start.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let covenant = keys::read_covenant(&config.dir.join(KEYS))?;
        let keeper = Keeper::open(config)?;
        let facts = Facts { keys: keeper.public(), history: keeper.history(), covenant };
        let (requests, served) = mpsc::channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("signer".to_owned())
            .spawn(move || serve(keeper, served))
            .map_err(OpenError::Thread)?;
        Ok(Self { requests, facts: Arc::new(facts) })
    }

    /// The public half of the keys in this network.
    #[must_use]
    pub fn keys(&self) -> &PublicKeys {
        &self.facts.keys
    }

    /// Whether the records hold every signature these keys ever made (R15).
    #[must_use]
    pub fn history(&self) -> History {
        self.facts.history
    }

    /// The key of the covenant member, when this operator is one. It signs no statements, so no guard is before it.
    #[must_use]
    pub fn covenant(&self) -> Option<&eots::SecretKey> {
        self.facts.covenant.as_ref()
    }

    /// Attests a committed block that the own followers confirm (R7). `ancestry` proves what the block's state names at
    /// [`Self::signed_last`] and is needed once anything was attested (R16). `epoch_start` is the Ethereum anchor in
    /// the state of the boundary block before the block's epoch (R15).
    ///
    /// # Errors
    ///
    /// [`Refused`]; on [`Refused::Failed`] the node stops.
    pub async fn attest(
        &self,
        header: Header,
        ancestry: Option<Ancestry>,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        self.ask(|reply| Request::Attest(Box::new((header, ancestry, epoch_start)), reply)).await
    }

    /// Attests a claim or an order that stands in an ether-final block of the own ledger. `first` is the first height of its
    /// epoch, below which it cannot have been signed, `epoch_start` as in [`Self::attest`] (R15).
    ///
    /// # Errors
    ///
    /// [`Refused`]; on [`Refused::Failed`] the node stops.
    pub async fn attest_numbered(
        &self,
        numbered: Numbered,
        first: Height,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        self.ask(|reply| Request::Numbered(Box::new((numbered, first, epoch_start)), reply)).await
    }

    /// Attests what a local module of a service handed in. The domain is derived here, from the service, its registration and the kind
    /// (R14); whether that registration stands is the core's to know. `first` and `epoch_start` as in [`Self::attest_numbered`], of the
    /// slot's epoch.
    ///
    /// # Errors
    ///
    /// [`Refused`]: [`Danger::Taken`] for a second digest in the slot, which stops nothing else; on [`Refused::Failed`] the node stops.
    pub async fn attest_service(
        &self,
        statement: ServiceStatement,
        first: Height,
        epoch_start: u64,
    ) -> Result<Attestation, Refused> {
        self.ask(|reply| Request::Service(Box::new((statement, first, epoch_start)), reply)).await
    }

    /// Signs that the operator leaves the jail that the block at `jailed` put him into. It says nothing that could contradict anything.
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`], [`Refused::Doubled`] or [`Refused::Gone`].
    pub async fn unjail(&self, jailed: Height) -> Result<Unjail, Refused> {
        self.ask(|reply| Request::Unjail(jailed, reply)).await
    }

    /// Signs a checkpoint for Bitcoin finality, once it has its BLS certificate (R2); in a BTC-only network, once it is confirmed
    /// (R22). `lineage` shows that it is of one chain with the checkpoint voted for last and is needed once anything was
    /// voted for (R16). `epoch_start` as in [`Self::attest`].
    ///
    /// # Errors
    ///
    /// [`Refused`]; on [`Refused::Failed`] the node stops.
    pub async fn finality_vote(
        &self,
        checkpoint: Height,
        block: BlockId,
        lineage: Option<Lineage>,
        epoch_start: u64,
    ) -> Result<FinalityVote, Refused> {
        self.ask(|reply| Request::FinalityVote(Box::new((checkpoint, block, lineage, epoch_start)), reply)).await
    }

    /// Signs a vote or proposal of the engine (R18).
    ///
    /// # Errors
    ///
    /// [`Refused`]: the engine abstains; on [`Refused::Failed`] the node stops.
    pub async fn sign_ballot(&self, ballot: Ballot) -> Result<Ed25519Signature, Refused> {
        self.ask(|reply| Request::Ballot(ballot, reply)).await
    }

    /// Promises the nonces of `count` checkpoints from `first` on (R19). The same range again gives the same promise, also
    /// into records that lost it; one that overlaps what is promised already gives the lowest such promise instead. Nothing
    /// else is signed meanwhile: about 15 µs a nonce.
    ///
    /// # Errors
    ///
    /// [`Refused::BadRange`]; on [`Refused::Failed`] the node stops.
    pub async fn commit_randomness(&self, first: Height, count: u32) -> Result<RandomnessCommitment, Refused> {
        self.ask(|reply| Request::Commit((first, count), reply)).await
    }

    /// What the next block must be of one chain with (R16).
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`] or [`Refused::Gone`]: the node stops.
    pub async fn signed_last(&self) -> Result<SignedLast, Refused> {
        self.ask(Request::SignedLast).await
    }

    /// What the records hold in a slot.
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`] or [`Refused::Gone`]: the node stops.
    pub async fn recorded(&self, domain: Domain, slot: u64) -> Result<Option<Digest>, Refused> {
        self.ask(|reply| Request::Recorded(domain, slot, reply)).await
    }

    /// Tells who made a signature that was met (R20): where the history is unbroken, everything that is not recorded is a
    /// doppelganger's. A guard that waits may have made it before its records were lost, unless the block it is about came
    /// after it woke up; an older one it records, so that it is never contradicted.
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`] or [`Refused::Gone`]: the node stops.
    pub async fn meet(&self, met: Met) -> Result<Meeting, Refused> {
        self.ask(|reply| Request::Meet(Box::new(met), reply)).await
    }

    /// Answers the engine until it or the signer is gone. A refusal makes the engine abstain; a signer that failed stops
    /// it, by dropping the reply. With a history that is not unbroken it votes only above `decided`: what it voted there before the
    /// records begin, it does not know (R15, R18).
    pub async fn serve(self, mut requests: mpsc::Receiver<SignRequest>, decided: watch::Receiver<Height>) {
        while let Some(SignRequest { ballot, reply }) = requests.recv().await {
            let forgot = self.history() != History::Unbroken && ballot.height <= *decided.borrow();
            let asked = if forgot { Err(Refused::Forgotten) } else { self.sign_ballot(ballot).await };
            let answer = match asked {
                Ok(signature) => Ok(signature),
                Err(Refused::Failed | Refused::Gone) => return,
                Err(_) => Err(context::Refused),
            };
            // The engine may have given up on this round meanwhile.
            let _ = reply.send(answer);
        }
    }

    /// Ends the thread and closes the records; every other hand finds the signer gone. When this returns, another may
    /// open them.
    pub async fn close(self) {
        let (reply, closed) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).await.is_ok() {
            // Dropped or answered, the thread has let go.
            let _ = closed.await;
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Refused::Gone)?;
        answer.await.map_err(|_| Refused::Gone)?
    }
}

/// The thread: one request after another. Who asked may have gone away; then nobody needs the answer.
fn serve(mut keeper: Keeper, mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.blocking_recv() {
        match request {
            Request::Attest(request, reply) => {
                let (header, ancestry, epoch_start) = *request;
                let _ = reply.send(keeper.attest(&header, ancestry.as_ref(), epoch_start));
            }
            Request::Numbered(request, reply) => {
                let (numbered, first, epoch_start) = *request;
                let _ = reply.send(keeper.attest_numbered(&numbered, first, epoch_start));
            }
            Request::Service(request, reply) => {
                let (statement, first, epoch_start) = *request;
                let _ = reply.send(keeper.attest_service(&statement, first, epoch_start));
            }
            Request::Unjail(jailed, reply) => {
                let _ = reply.send(keeper.unjail(jailed));
            }
            Request::FinalityVote(request, reply) => {
                let (checkpoint, block, lineage, epoch_start) = *request;
                let _ = reply.send(keeper.finality_vote(checkpoint, block, lineage.as_ref(), epoch_start));
            }
            Request::Ballot(ballot, reply) => {
                let _ = reply.send(keeper.sign_ballot(&ballot));
            }
            Request::Commit((first, count), reply) => {
                let _ = reply.send(keeper.commit_randomness(first, count));
            }
            Request::SignedLast(reply) => {
                let _ = reply.send(keeper.signed_last());
            }
            Request::Recorded(domain, slot, reply) => {
                let _ = reply.send(keeper.recorded(domain, slot));
            }
            Request::Meet(met, reply) => {
                let _ = reply.send(keeper.meet(&met));
            }
            Request::Close(reply) => {
                drop((keeper, requests));
                let _ = reply.send(());
                return;
            }
        }
    }
}

const KEYS: &str = "keys";
const RECORDS: &str = "records";
