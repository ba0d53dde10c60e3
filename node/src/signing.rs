//! One task that asks the signer for what the core wants signed, one thing after the other and in order; and another
//! that presigns vaults where this operator is a member of the covenant.

use crate::core::services::AttestService;
use crate::core::{Attest, AttestNumbered, Vote};
use crate::covenant::protocol::Asked;
use crate::message::Presigned;
use crate::service::protocol::Refusal;
use crate::signer::{Doppelganger, Meeting, Met, Refused, SignedLast, Signer};
use palisade_bitcoin::Bitcoin;
use palisade_bitcoin::covenant::Member;
use palisade_bitcoin::registration;
use palisade_crypto::eots;
use palisade_types::attestation::{Attestation, FinalityVote};
use palisade_types::duty::Unjail;
use palisade_types::ids::Hash;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::units::Height;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What is to be signed.
#[derive(Debug)]
pub enum Task {
    /// A block.
    Attest(Box<Attest>),
    /// A claim about a vault, or an order.
    Numbered(Box<AttestNumbered>),
    /// What a service's module wants said.
    Service(Box<AttestService>, oneshot::Sender<Result<Attestation, Refusal>>),
    /// The operator leaves the jail that this block put him into.
    Unjail(Height, oneshot::Sender<Result<Unjail, Refusal>>),
    /// A checkpoint.
    Vote(Box<Vote>),
    /// A signature that was met: did we make it (R20)?
    Met(Box<Met>),
    /// A range of nonces.
    Commit {
        /// The first checkpoint.
        first: Height,
        /// How many.
        count: u32,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum Signed {
    /// See [`Task::Attest`].
    Attested(Attestation),
    /// The guard refused to attest this height.
    Unattested(Height),
    /// See [`Task::Vote`].
    Voted(FinalityVote),
    /// The guard refused to vote for this checkpoint.
    Unvoted(Height),
    /// See [`Task::Commit`].
    Committed(RandomnessCommitment),
    /// A signature of ours that the records had lost was met; what is signed next builds on this.
    Learned(SignedLast),
    /// A signature was met that is not ours (R20): the node stops.
    Doppelganger(Doppelganger),
    /// The covenant's member among us signed for a vault.
    Presigned(Presigned),
    /// See [`Task::Unjail`].
    Unjailing(Unjail),
    /// The guard refused something else.
    Refused,
    /// The signer's disk failed, or it is gone: the node stops.
    Failed,
}

/// Signs until the core is gone.
pub async fn sign(signer: Signer, mut tasks: mpsc::UnboundedReceiver<Task>, signed: mpsc::Sender<Signed>) {
    while let Some(task) = tasks.recv().await {
        let result = match task {
            Task::Attest(attest) => attested(&signer, *attest).await,
            Task::Numbered(asked) => signer
                .attest_numbered(asked.numbered, asked.first, asked.epoch_start)
                .await
                .map_or_else(|refused| refusal("a claim or an order", &refused), Signed::Attested),
            Task::Service(asked, reply) => {
                let AttestService { statement, first, epoch_start } = *asked;
                let answer = signer.attest_service(statement, first, epoch_start).await;
                // A module that went away asks again.
                let _ = reply.send(answer.map_err(Refusal::from));
                answer.map_or_else(|refused| refusal("a service's statement", &refused), Signed::Attested)
            }
            Task::Unjail(jailed, reply) => {
                let answer = signer.unjail(jailed).await;
                let _ = reply.send(answer.map_err(Refusal::from));
                answer.map_or_else(|refused| refusal("a word to leave jail", &refused), Signed::Unjailing)
            }
            Task::Vote(vote) => voted(&signer, *vote).await,
            Task::Met(met) => match met_by(&signer, *met).await {
                None => continue,
                Some(result) => result,
            },
            Task::Commit { first, count } => signer
                .commit_randomness(first, count)
                .await
                .map_or_else(|refused| refusal("a promise of nonces", &refused), Signed::Committed),
        };
        if signed.send(result).await.is_err() {
            return;
        }
    }
}

/// Presigns as the covenant's member `secret`. It asks Bitcoin, so it is a task of its own: attesting never waits for it.
pub async fn presign(
    secret: eots::SecretKey,
    bitcoin: Arc<Bitcoin>,
    mut registrations: mpsc::Receiver<Asked>,
    signed: mpsc::Sender<Signed>,
) {
    let member = Member::new(secret);
    let mut answered = BTreeMap::new();
    while let Some(asked) = registrations.recv().await {
        if let Some(presigned) = presign_one(&member, &bitcoin, &asked, &mut answered).await
            && signed.send(Signed::Presigned(presigned)).await.is_err()
        {
            return;
        }
    }
}

/// Records that were lost hold no promise any more, and the ledger does: nonces follow from the key, so the same promise
/// is made again. Whether the guard may sign with it is another question (R15).
async fn vote(signer: &Signer, asked: Vote) -> Result<FinalityVote, Refused> {
    let Vote { checkpoint, lineage, promise, epoch_start } = asked;
    let vote = async || signer.finality_vote(checkpoint.height, checkpoint.id, lineage.clone(), epoch_start).await;
    match vote().await {
        Err(Refused::NotCommitted) => {
            signer.commit_randomness(promise.first, promise.count).await?;
            vote().await
        }
        answer => answer,
    }
}

async fn voted(signer: &Signer, asked: Vote) -> Signed {
    let height = asked.checkpoint.height;
    match vote(signer, asked).await {
        Ok(vote) => Signed::Voted(vote),
        Err(refused) => match refusal("a finality vote", &refused) {
            Signed::Failed => Signed::Failed,
            _ => Signed::Unvoted(height),
        },
    }
}

async fn attested(signer: &Signer, attest: Attest) -> Signed {
    let height = attest.header.height;
    match signer.attest(attest.header, attest.ancestry, attest.epoch_start).await {
        Ok(attestation) => Signed::Attested(attestation),
        Err(refused) => match refusal("an attestation", &refused) {
            Signed::Failed => Signed::Failed,
            _ => Signed::Unattested(height),
        },
    }
}

/// Nothing to tell when we made it ourselves.
async fn met_by(signer: &Signer, met: Met) -> Option<Signed> {
    let learned = async || match signer.meet(met).await? {
        Meeting::Ours => Ok(None),
        Meeting::Learned => Ok(Some(Signed::Learned(signer.signed_last().await?))),
        Meeting::Doppelganger => Ok(Some(Signed::Doppelganger(Doppelganger(met.statement)))),
    };
    learned().await.unwrap_or_else(|refused: Refused| Some(refusal("a signature that was met", &refused)))
}

fn refusal(what: &'static str, refused: &Refused) -> Signed {
    tracing::warn!(what, %refused, "the guard refuses");
    match refused {
        Refused::Failed | Refused::Gone => Signed::Failed,
        _ => Signed::Refused,
    }
}

/// Answers kept: a registration that is said again gets the same one.
const MAX_ANSWERED: usize = 256;

/// A member checks everything himself, against his own chain, and answers the same registration once.
async fn presign_one(
    member: &Member,
    bitcoin: &Bitcoin,
    asked: &Asked,
    answered: &mut BTreeMap<(Hash, bool), Presigned>,
) -> Option<Presigned> {
    let registration = &asked.registration;
    let releases = asked.registered && registration.expansion.is_some();
    let name = registration.endorsement(bitcoin.versions().chain());
    if let Some(presigned) = answered.get(&(name, releases)) {
        return Some(presigned.clone());
    }
    let header = match &registration.inclusion {
        None => None,
        Some(inclusion) => {
            let vault = registration::vault(registration, bitcoin.versions());
            let vault =
                vault.inspect_err(|error| tracing::info!(registration = %name, %error, "no vault to sign")).ok()?;
            let header = bitcoin.header_of(&vault.id(), inclusion).await;
            Some(header.inspect_err(|error| tracing::info!(%error, "cannot presign a vault yet")).ok()?)
        }
    };
    let answer = match releases {
        true => member.release(registration, asked.parent.as_ref(), bitcoin.versions()),
        false => member.presign(registration, asked.parent.as_ref(), header.as_ref(), bitcoin.versions()),
    };
    match answer {
        Ok(answer) => {
            tracing::info!(registration = %name, "presigned a vault as a member of the covenant");
            let presigned = Presigned { registration: name, answer };
            if answered.len() >= MAX_ANSWERED {
                answered.pop_first();
            }
            answered.insert((name, releases), presigned.clone());
            Some(presigned)
        }
        Err(error) => {
            tracing::info!(registration = %name, %error, "the covenant's member does not sign this vault");
            None
        }
    }
}
