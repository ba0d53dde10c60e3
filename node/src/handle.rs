//! The way from every other task to the core actor: reads run on it, between two blocks, and see one state.

use crate::core::Core;
use crate::message::Message;
use crate::service::protocol::Refusal;
use palisade_agreement::batch::Checked;
use palisade_types::attestation::Attestation;
use palisade_types::duty::Unjail;
use palisade_types::epoch::FinalBlock;
use palisade_types::service::ServiceStatement;
use palisade_types::{CaseId, ChainKind, ChainPoint, Evidence, Unproven, VaultId, VaultRegistration};
use tokio::sync::{mpsc, oneshot};

/// How many commands may wait for the core. Whoever comes later waits for a place.
pub const MAX_WAITING: usize = 256;

/// One thing asked of the core.
pub enum Command {
    /// Looks at the state; must not block.
    Read(Box<dyn FnOnce(&Core) + Send>),
    /// Takes evidence into the pool when it proves something the ledger does not know yet. The answer is the case;
    /// a pair of engine votes opens none, it jails (R18).
    SubmitEvidence(Box<Evidence>, oneshot::Sender<Result<Vec<CaseId>, Unproven>>),
    /// Takes a registration to be presigned by the covenant and put into a block.
    RegisterVault(Box<VaultRegistration>, oneshot::Sender<Result<VaultId, RegistrationRefused>>),
    /// What a peer says that this operator said (R20).
    HearOwn(Vec<Message>),
    /// Attestations that a peer was asked for; their signatures hold.
    HearChecked(Vec<Checked>),
    /// The operator himself accepts a new start anchor of a suspended chain (R30). Nothing that strangers reach sends this.
    Accept(ChainKind, ChainPoint, oneshot::Sender<bool>),
    /// A local module of a service asks for an attestation. Nothing that strangers reach sends this (R14).
    AttestFor(Box<ServiceStatement>, oneshot::Sender<Result<Attestation, Refusal>>),
    /// The operator wants to leave jail. As above.
    Unjail(oneshot::Sender<Result<Unjail, Refusal>>),
    /// What Committee.sol says our chain must pass through (R13); `None` while it does not stand.
    PassesThrough(Option<FinalBlock>),
}

/// Why the node does not take a vault. It says nothing about the coins, which nobody has touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vault is refused: {reason}")]
pub struct RegistrationRefused {
    /// The term or signature that does not hold, as a lower-case phrase.
    pub reason: String,
}

/// The core has stopped; the node is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

/// Asks the core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CoreHandle {
    commands: mpsc::Sender<Command>,
}

impl CoreHandle {
    /// A handle, and what the core actor takes from.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(MAX_WAITING);
        (Self { commands }, receiver)
    }

    /// Runs `f` on the core and returns what it found.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn read<T: Send + 'static>(&self, f: impl FnOnce(&Core) -> T + Send + 'static) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let read = move |core: &Core| {
            // Who asked may have gone away meanwhile; then nobody needs the answer.
            let _ = reply.send(f(core));
        };
        self.send(Command::Read(Box::new(read))).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Hands in evidence. The inner result says what the ledger makes of it.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn submit_evidence(&self, evidence: Evidence) -> Result<Result<Vec<CaseId>, Unproven>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::SubmitEvidence(Box::new(evidence), reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Hands in a vault. The inner result says whether its terms and signatures hold.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn register_vault(
        &self,
        registration: VaultRegistration,
    ) -> Result<Result<VaultId, RegistrationRefused>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::RegisterVault(Box::new(registration), reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Hands in what a peer says that this operator said.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn hear_own(&self, said: Vec<Message>) -> Result<(), Stopped> {
        self.send(Command::HearOwn(said)).await
    }

    /// Hands in attestations whose signatures hold.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn hear_checked(&self, checked: Vec<Checked>) -> Result<(), Stopped> {
        self.send(Command::HearChecked(checked)).await
    }

    /// Says that the operator accepts `anchor`; false when the chain is not suspended.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn accept(&self, chain: ChainKind, anchor: ChainPoint) -> Result<bool, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Accept(chain, anchor, reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks for an attestation in a service's domain.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn attest_for(&self, statement: ServiceStatement) -> Result<Result<Attestation, Refusal>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::AttestFor(Box::new(statement), reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks to leave jail.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn unjail(&self) -> Result<Result<Unjail, Refusal>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Unjail(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Tells what Committee.sol says the chain must pass through.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the core no longer answers.
    pub async fn passes_through(&self, boundary: Option<FinalBlock>) -> Result<(), Stopped> {
        self.send(Command::PassesThrough(boundary)).await
    }

    async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read",
            Self::SubmitEvidence(..) => "SubmitEvidence",
            Self::RegisterVault(..) => "RegisterVault",
            Self::HearOwn(_) => "HearOwn",
            Self::HearChecked(_) => "HearChecked",
            Self::Accept(..) => "Accept",
            Self::AttestFor(..) => "AttestFor",
            Self::Unjail(_) => "Unjail",
            Self::PassesThrough(_) => "PassesThrough",
        })
    }
}
