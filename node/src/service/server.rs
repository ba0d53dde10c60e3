//! Takes questions of local modules, one a connection.

use super::protocol::{MAX_QUESTION, Question, Refusal, Reply, Status, THINKING};
use crate::covenant::protocol::{FRAME, Unanswered, receive, send_short};
use crate::handle::CoreHandle;
use crate::socket;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at one time. Whoever comes then is turned away and comes again.
pub const MAX_CONNECTIONS: usize = 32;
/// Pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves modules until the node stops.
pub async fn serve(listener: UnixListener, core: CoreHandle) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot take a module's connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::debug!("too many modules at once");
            continue;
        };
        let core = core.clone();
        tokio::spawn(async move {
            converse(stream, &core).await;
            drop(place);
        });
    }
}

/// One connection: a question, an answer.
async fn converse(mut stream: UnixStream, core: &CoreHandle) {
    if !socket::is_ours(&stream) {
        tracing::warn!("somebody else than our own user came to the services' socket");
        return;
    }
    let question = timeout(FRAME, receive(&mut stream, MAX_QUESTION)).await;
    let reply = match question.unwrap_or(Err(Unanswered::Slow)) {
        Ok(question) => {
            let answered = timeout(THINKING, answer(question, core)).await;
            answered.unwrap_or(Reply::Refused(Refusal::Busy))
        }
        Err(Unanswered::Away(_) | Unanswered::Slow) => return,
        Err(error) => {
            tracing::warn!(%error, "a module's question is not understood");
            Reply::Refused(Refusal::Senseless)
        }
    };
    if let Err(error) = send_short(&mut stream, &reply).await {
        tracing::debug!(%error, "no module waits for the answer");
    }
}

async fn answer(question: Question, core: &CoreHandle) -> Reply {
    let refused = Reply::Refused;
    match question {
        Question::Attest(statement) => match core.attest_for(statement).await {
            Ok(Ok(attestation)) => Reply::Attested(attestation),
            Ok(Err(refusal)) => refused(refusal),
            Err(_) => refused(Refusal::Stopping),
        },
        Question::Unjail => match core.unjail().await {
            Ok(Ok(unjail)) => Reply::Unjailing(unjail),
            Ok(Err(refusal)) => refused(refusal),
            Err(_) => refused(Refusal::Stopping),
        },
        Question::Status => {
            let status = core.read(|core| {
                let (ledger, genesis) = (core.ledger(), core.genesis());
                Status {
                    chain: ledger.chain(),
                    palisade: genesis.contracts.palisade,
                    operator: core.own(),
                    epoch: ledger.epoch().epoch.get(),
                    capture: ledger.committee().ethereum.number,
                }
            });
            status.await.map_or(refused(Refusal::Stopping), Reply::Status)
        }
    }
}
