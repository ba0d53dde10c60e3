//! An actor that only hands on. The engine talks to actors; our rooms are loops over a channel, which can wait for
//! several things at once where an actor handles one message after the other.

use ractor::{Actor, ActorProcessingErr, ActorRef, Message, SpawnErr, async_trait};
use std::marker::PhantomData;
use tokio::sync::mpsc;

/// Hands messages on in order; stops when nobody takes them any more, and the engine with it.
pub(crate) struct Forward<M>(PhantomData<fn(M)>);

impl<M: Message> Forward<M> {
    /// The actor, and the messages that it is sent.
    pub async fn spawn() -> Result<(ActorRef<M>, mpsc::Receiver<M>), SpawnErr> {
        let (sender, messages) = mpsc::channel(128);
        let (actor, _) = Actor::spawn(None, Self(PhantomData), sender).await?;
        Ok((actor, messages))
    }
}

#[async_trait]
impl<M: Message> Actor for Forward<M> {
    type Msg = M;
    type State = mpsc::Sender<M>;
    type Arguments = mpsc::Sender<M>;

    async fn pre_start(&self, _: ActorRef<M>, sender: mpsc::Sender<M>) -> Result<mpsc::Sender<M>, ActorProcessingErr> {
        Ok(sender)
    }

    async fn handle(
        &self,
        myself: ActorRef<M>,
        message: M,
        next: &mut mpsc::Sender<M>,
    ) -> Result<(), ActorProcessingErr> {
        if next.send(message).await.is_err() {
            myself.stop(Some("nobody takes the messages".into()));
        }
        Ok(())
    }
}
