//! The process: a socket that only its owner opens, and what happens to a question.

use super::config::Config;
use super::keeper::{Keeper, refusal};
use super::protocol::{
    Asked, FRAME, MAX_QUESTION, Question, Reason, Refusal, Reply, Status, THINKING, Unanswered, receive, send,
};
use super::record::{Record, RecordError};
use super::shield;
use crate::config;
use crate::keys::{self, KeyError, Secret};
use crate::keystore::{Keystore, KeystoreError, Passphrase};
use crate::message::Presigned;
use crate::socket::{self, SocketError, listen};
use anyhow::Context;
use palisade_bitcoin::bitcoin::network;
use palisade_bitcoin::vault::Versions;
use palisade_bitcoin::{Bitcoin, Network, check_registration};
use palisade_crypto::eots;
use palisade_types::chain::ChainError;
use palisade_types::genesis::Genesis;
use palisade_types::ids::{ChainId, SchnorrKey, VaultId};
use palisade_types::vault::VaultRegistration;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at one time. Whoever comes then is turned away and comes again.
const MAX_CONNECTIONS: usize = 32;
/// Registrations looked at in one second; a check costs milliseconds.
const MAX_PER_SECOND: u32 = 64;
/// What a wrong passphrase costs on top of its derivation.
const WRONG_PAUSE: Duration = Duration::from_secs(1);
/// How often our endpoints are looked at when nobody asks.
const LOOK: Duration = Duration::from_secs(30);
/// How long a status waits for Bitcoin.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
/// Bitcoin blocks by which a ledger's anchor may lag behind our own tip when it asks by which terms to sign: a day.
const ANCHOR_LAG: u64 = 144;
/// Pause between two tries to connect to Bitcoin.
const CONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Why a process does not start, beside what its files say.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keystore.
    #[error("{}", path.display())]
    Keystore {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeystoreError,
    },
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No terms of this network name the key.
    #[error("{0} is no member of the covenant of this network")]
    NoMember(SchnorrKey),
    /// The coins there are real.
    #[error(
        "devnet_plain_key: a plain key is not for Bitcoin's mainnet; make a keystore with `palisade covenant init`"
    )]
    PlainOnMainnet,
    /// The socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Where the key comes from.
enum Key {
    /// Under a passphrase.
    Sealed(Box<Keystore>),
    /// Open, on a devnet.
    Plain(Secret),
}

/// Runs the process until it is told to stop.
///
/// # Errors
///
/// Whatever keeps it from starting, as one readable line with its causes; nothing has been signed then.
pub async fn run(config: Config, genesis: Genesis) -> anyhow::Result<()> {
    let (key, public) = read_key(&config, &genesis)?;
    if !is_member(&genesis, &public) {
        return Err(StartError::NoMember(public).into());
    }
    let chain = genesis.chain_id();
    let versions = Versions::of(&genesis).context("genesis: terms of vaults")?;
    let record = Record::open(&config.records, &chain, &public).map_err(StartError::from)?;
    let mut keeper = Keeper::new(chain, public, record, config.quota.quota());
    if let Key::Plain(secret) = &key {
        tracing::warn!("the key is a plain file: for devnets only");
        keeper.unlock(eots::SecretKey::from_bytes(secret).context("devnet_plain_key")?)?;
    }
    let listener = listen(&config.socket).map_err(StartError::from)?;
    let unlocked = keeper.is_unlocked();
    tracing::info!(member = %public, %chain, socket = %config.socket.display(), unlocked, "the covenant's member listens");
    let server = Arc::new(Server {
        chain,
        genesis: Arc::new(genesis),
        versions,
        bitcoin: OnceLock::new(),
        keeper: Mutex::new(keeper),
        key,
        confirmations: config.confirmations,
        looking: Mutex::default(),
        unlocking: tokio::sync::Mutex::default(),
        pace: Mutex::default(),
    });
    let endpoints = config.bitcoin.iter().map(config::Bitcoin::endpoint).collect::<Result<Vec<_>, _>>()?;
    let ended = tokio::select! {
        () = crate::run::stop_asked() => Ok(()),
        ended = server.clone().follow(endpoints) => ended,
        never = server.clone().accept(listener) => match never {},
    };
    tracing::info!("stopping");
    server.keeper().lock();
    // Left over, it would be found dead and removed by the next start.
    let _ = fs::remove_file(&config.socket);
    ended
}

fn read_key(config: &Config, genesis: &Genesis) -> Result<(Key, SchnorrKey), StartError> {
    match config.devnet_plain_key {
        Some(_) if network(&genesis.bitcoin_genesis).ok() == Some(Network::Bitcoin) => Err(StartError::PlainOnMainnet),
        _ => key_of(config),
    }
}

fn key_of(config: &Config) -> Result<(Key, SchnorrKey), StartError> {
    match (&config.key, &config.devnet_plain_key) {
        (_, Some(path)) => {
            let secret = keys::read_secret(path)?;
            let key = eots::SecretKey::from_bytes(&secret).map_err(|_| KeyError::Malformed { path: path.clone() })?;
            Ok((Key::Plain(secret), SchnorrKey::new(key.public().to_bytes())))
        }
        (Some(path), None) => {
            let wrong = |source| StartError::Keystore { path: path.clone(), source };
            let keystore = Keystore::read(path).map_err(wrong)?;
            let public = keystore.public().map_err(wrong)?;
            Ok((Key::Sealed(Box::new(keystore)), public))
        }
        (None, None) => Err(KeyError::Missing { path: PathBuf::new() }.into()),
    }
}

/// Whose key the configuration names.
///
/// # Errors
///
/// [`StartError::Key`] and [`StartError::Keystore`].
pub fn public(config: &Config) -> Result<SchnorrKey, StartError> {
    Ok(key_of(config)?.1)
}

fn is_member(genesis: &Genesis, key: &SchnorrKey) -> bool {
    genesis.vaults.iter().any(|terms| terms.covenant.contains(key))
}

/// What every connection shares.
struct Server {
    chain: ChainId,
    genesis: Arc<Genesis>,
    versions: Versions,
    /// Empty until an endpoint answered.
    bitcoin: OnceLock<Bitcoin>,
    keeper: Mutex<Keeper>,
    key: Key,
    confirmations: u32,
    /// Vaults that a question is about right now.
    looking: Mutex<BTreeSet<VaultId>>,
    /// One passphrase is tried at a time.
    unlocking: tokio::sync::Mutex<()>,
    /// The second that runs, and how many registrations came in it.
    pace: Mutex<(u64, u32)>,
}

impl Server {
    /// Connects to Bitcoin, however long that takes, and keeps up with its headers. It ends only with what a person must mend.
    async fn follow(self: Arc<Self>, endpoints: Vec<palisade_bitcoin::Endpoint>) -> anyhow::Result<()> {
        loop {
            let (endpoints, genesis) = (endpoints.clone(), self.genesis.clone());
            // What makes an anchor stand still is of no meaning here: there is none.
            let (max_tip_age, grace) = (Duration::MAX, Duration::MAX);
            let config = palisade_bitcoin::Config { endpoints, genesis, max_tip_age, grace, kept: Vec::new() };
            match Bitcoin::connect(config).await {
                Ok(bitcoin) => {
                    let _ = self.bitcoin.set(bitcoin); // set here alone, and once
                    break;
                }
                Err(error @ (ChainError::WrongChain { .. } | ChainError::Refused(_))) => {
                    return Err(error).context("connecting to Bitcoin (bitcoin.rpc)");
                }
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "waiting for Bitcoin"),
            }
            sleep(CONNECT_PAUSE).await;
        }
        tracing::info!("connected to Bitcoin");
        let mut silent = false;
        loop {
            let seen = match self.bitcoin.get() {
                Some(bitcoin) => bitcoin.newest().await.map(drop),
                None => Ok(()),
            };
            match (&seen, silent) {
                (Err(error), false) => tracing::warn!(error = error as &dyn std::error::Error, "Bitcoin is silent"),
                (Ok(()), true) => tracing::info!("Bitcoin answers again"),
                _ => {}
            }
            silent = seen.is_err();
            sleep(LOOK).await;
        }
    }

    async fn accept(self: Arc<Self>, listener: UnixListener) -> std::convert::Infallible {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    sleep(WRONG_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::debug!("too many connections");
                continue;
            };
            let server = self.clone();
            tokio::spawn(async move {
                server.serve(stream).await;
                drop(place);
            });
        }
    }

    /// One connection: a question, an answer.
    async fn serve(&self, mut stream: UnixStream) {
        if !socket::is_ours(&stream) {
            tracing::warn!("somebody else than our own user came to the socket");
            return;
        }
        let question = timeout(FRAME, receive(&mut stream, MAX_QUESTION)).await;
        let reply = match question.unwrap_or(Err(Unanswered::Slow)) {
            Ok(question) => timeout(THINKING, self.answer(question)).await.unwrap_or_else(|_| {
                Reply::Refused(Refusal::NotYet(Reason::new("our own Bitcoin endpoints take too long")))
            }),
            Err(Unanswered::Away(_) | Unanswered::Slow) => return,
            Err(error) => {
                tracing::warn!(%error, "a question is not understood");
                Reply::Refused(Refusal::Senseless)
            }
        };
        if let Err(error) = send(&mut stream, &reply).await {
            tracing::debug!(%error, "nobody waits for the answer");
        }
    }

    async fn answer(&self, question: Question) -> Reply {
        match question {
            Question::Presign(asked) => match self.presign(*asked).await {
                Ok(presigned) => Reply::Presigned(Box::new(presigned)),
                Err(refusal) => Reply::Refused(refusal),
            },
            Question::Unlock(passphrase) => self.unlock(passphrase).await.map_or_else(Reply::Refused, |()| Reply::Done),
            Question::Lock => self.lock().map_or_else(Reply::Refused, |()| Reply::Done),
            Question::Status => Reply::Status(self.status().await),
        }
    }

    async fn presign(&self, asked: Asked) -> Result<Presigned, Refusal> {
        let Asked { chain, provider, registration, parent, .. } = &asked;
        if *chain != self.chain {
            return Err(Refusal::OtherNetwork);
        }
        if !self.keeper().is_unlocked() {
            return Err(Refusal::Locked);
        }
        self.keep_pace()?;
        let vault =
            check_registration(registration, parent.as_ref(), &self.versions, provider, false).map_err(refusal)?;
        let _looked_at = self.look_at(vault)?;
        let signed = self.sign(vault, &asked).await;
        let operator = registration.operator;
        match &signed {
            Ok(_) => tracing::info!(%vault, %operator, "signed for a vault"),
            Err(refusal) => tracing::info!(%vault, %operator, %refusal, "does not sign for a vault"),
        }
        signed
    }

    /// Compares the stake with our own Bitcoin, and signs.
    async fn sign(&self, vault: VaultId, asked: &Asked) -> Result<Presigned, Refusal> {
        let (registration, parent) = (&asked.registration, asked.parent.as_ref());
        let bitcoin = self.bitcoin.get().ok_or_else(|| Refusal::NotYet(Reason::new("Bitcoin does not answer yet")))?;
        let newest = bitcoin.newest().await.map_err(not_yet)?.point.number;
        if !asked.registered {
            self.check_terms(registration, newest)?; // one that is registered keeps its own
        }
        let header = match &registration.inclusion {
            Some(inclusion) => {
                self.check_locked(bitcoin, &vault, inclusion.height, newest).await?;
                Some(bitcoin.header_of(&vault, inclusion).await.map_err(unseen)?)
            }
            None => None,
        };
        if let (None, Some(expansion)) = (&header, &registration.expansion)
            && !bitcoin.unspent(&expansion.parent, 0).await.map_err(not_yet)?
        {
            return Err(Refusal::Spent);
        }
        let mut keeper = self.keeper();
        // On the disk before it leaves: this thread waits for it.
        tokio::task::block_in_place(|| {
            keeper.sign(now(), vault, registration, |member| {
                match asked.registered && registration.expansion.is_some() {
                    true => member.release(registration, parent, &self.versions),
                    false => member.presign(registration, parent, header.as_ref(), &self.versions),
                }
            })
        })
    }

    /// The coins lie where they are said to, deep enough, and unspent.
    async fn check_locked(&self, bitcoin: &Bitcoin, vault: &VaultId, height: u64, newest: u64) -> Result<(), Refusal> {
        let confirmations = newest.saturating_add(1).saturating_sub(height);
        if confirmations < u64::from(self.confirmations) {
            let told = format!("{confirmations} of {} confirmations", self.confirmations);
            return Err(Refusal::NotYet(Reason::new(told)));
        }
        match bitcoin.unspent(vault, height).await.map_err(not_yet)? {
            true => Ok(()),
            false => Err(Refusal::Spent),
        }
    }

    /// The terms are those in force where the coins were locked, or about now when they are not: an anchor lags.
    fn check_terms(&self, registration: &VaultRegistration, newest: u64) -> Result<(), Refusal> {
        let heights = match &registration.inclusion {
            Some(inclusion) => [inclusion.height; 2],
            None => [newest, newest.saturating_sub(ANCHOR_LAG)],
        };
        let in_force =
            |height: &u64| self.versions.at(*height).is_some_and(|rules| rules.version() == registration.terms);
        match heights.iter().any(in_force) {
            true => Ok(()),
            false => Err(Refusal::Invalid(Reason::new("other terms are in force"))),
        }
    }

    async fn unlock(&self, passphrase: Passphrase) -> Result<(), Refusal> {
        let Key::Sealed(keystore) = &self.key else { return Err(Refusal::Plain) };
        let Ok(_turn) = self.unlocking.try_lock() else { return Err(Refusal::Busy) };
        let keystore = keystore.clone();
        let opened = tokio::task::spawn_blocking(move || keystore.open(&passphrase)).await;
        let secret = match opened {
            Ok(Ok(secret)) => secret,
            Ok(Err(KeystoreError::WrongPassphrase)) => {
                tracing::warn!("a passphrase was tried that does not open the key");
                sleep(WRONG_PAUSE).await;
                return Err(Refusal::WrongPassphrase);
            }
            Ok(Err(error)) => return Err(Refusal::Invalid(Reason::new(error))),
            Err(error) => return Err(Refusal::Invalid(Reason::new(error))),
        };
        let secret = eots::SecretKey::from_bytes(&secret).map_err(|error| Refusal::Invalid(Reason::new(error)))?;
        self.keeper().unlock(secret).map_err(|error| Refusal::Invalid(Reason::new(error)))?;
        shield::keep_from_swap();
        tracing::info!("unlocked");
        Ok(())
    }

    fn lock(&self) -> Result<(), Refusal> {
        if matches!(self.key, Key::Plain(_)) {
            return Err(Refusal::Plain);
        }
        self.keeper().lock();
        tracing::info!("locked");
        Ok(())
    }

    async fn status(&self) -> Status {
        let bitcoin = match self.bitcoin.get() {
            Some(bitcoin) => timeout(STATUS_PATIENCE, bitcoin.newest()).await.ok().and_then(Result::ok),
            None => None,
        };
        let mut keeper = self.keeper();
        let (signed, this_hour) = keeper.counts(now());
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        Status {
            chain: self.chain,
            member: keeper.public(),
            unlocked: keeper.is_unlocked(),
            failed: keeper.failed(),
            signed: count(signed),
            this_hour: count(this_hour),
            bitcoin: bitcoin.map(|newest| newest.point.number),
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_pace(&self) -> Result<(), Refusal> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        *pace = if pace.0 == now { (now, pace.1.saturating_add(1)) } else { (now, 1) };
        if pace.1 > MAX_PER_SECOND { Err(Refusal::Busy) } else { Ok(()) }
    }

    /// One question about a vault at a time; the place is free again when what this gives is dropped.
    fn look_at(&self, vault: VaultId) -> Result<Looking<'_>, Refusal> {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if looking.insert(vault) { Ok(Looking { all: &self.looking, vault }) } else { Err(Refusal::Busy) }
    }
}

fn not_yet(error: ChainError) -> Refusal {
    Refusal::NotYet(Reason::new(error))
}

/// A block that holds something else will never hold the stake.
fn unseen(error: ChainError) -> Refusal {
    match error {
        ChainError::Refused(why) => Refusal::Invalid(Reason::new(why)),
        error => not_yet(error),
    }
}

/// A vault that is being looked at.
struct Looking<'a> {
    all: &'a Mutex<BTreeSet<VaultId>>,
    vault: VaultId,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.vault);
    }
}

/// Seconds since 1970, by this machine.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/covenant.sock");
        let listener = listen(&socket).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(socket.parent().unwrap()), mode(&socket)), (0o700, 0o600));
        assert!(matches!(listen(&socket), Err(SocketError::Listened { .. })));
        drop(listener);
        assert!(socket.exists(), "what a killed process leaves");
        drop(listen(&socket).unwrap());
        fs::set_permissions(socket.parent().unwrap(), Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(listen(&socket), Err(SocketError::OpenFolder { mode: 0o750, .. })));
    }

    #[tokio::test]
    async fn a_file_in_the_sockets_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own/precious");
        keys::write_new(&path, b"precious").unwrap();
        assert!(matches!(listen(&path), Err(SocketError::NoSocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let long = dir.path().join("x".repeat(120));
        assert!(matches!(listen(&long), Err(SocketError::OpenFolder { .. } | SocketError::Listen { .. })));
    }
}
