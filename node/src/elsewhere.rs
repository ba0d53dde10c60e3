//! Operators tell each other their best Bitcoin header and its work, and prove it when it is more than the other's (R30).
//!
//! Nobody signs this: all that follows is that the other's anchor stands still and a person is called. What is asked and answered
//! is bounded, and asked for at a pace of our own.

use crate::handle::CoreHandle;
use crate::network::{Ask, Network, PeerId};
use crate::snapshot;
use bytes::Bytes;
use palisade_bitcoin::Bitcoin;
use palisade_bitcoin::elsewhere::{HEADERS_AT_ONCE, Heard, MAX_LOCATOR};
use palisade_storage::{Store, StoreError};
use palisade_types::canonical::{Canonical, List, Malformed, Reader};
use palisade_types::chain::ChainPoint;
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::{Domain, Hash, OperatorId};
use palisade_types::units::Height;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often every peer is asked.
const ASK: Duration = Duration::from_secs(20);
/// How many answers one proof may take: as many headers as a chain of headers takes at once.
const ANSWERS: usize = palisade_bitcoin::headers::MAX_HEADERS / HEADERS_AT_ONCE;

/// What one operator asks another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// His best header and work.
    Best,
    /// Headers after the newest of these blocks that he holds.
    Headers(List<Hash, MAX_LOCATOR>),
    /// What this operator said last (R20).
    Said(OperatorId),
    /// The height of his newest committed block.
    Head,
    /// The block whose state he keeps for others (R13); nothing when he does not.
    Snapshot(FinalBlock),
    /// The chunk of the state after the block at this height that begins at this path.
    Chunk(Height, Hash),
    /// Who attested a slot of a BLS domain.
    Attested(Domain, u64),
}

impl Canonical for Question {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Best => out.push(0),
            Self::Headers(locator) => {
                out.push(1);
                locator.write(out);
            }
            Self::Said(operator) => {
                out.push(2);
                operator.write(out);
            }
            Self::Head => out.push(3),
            Self::Snapshot(block) => {
                out.push(4);
                block.write(out);
            }
            Self::Chunk(height, first) => {
                out.push(5);
                height.write(out);
                first.write(out);
            }
            Self::Attested(domain, slot) => {
                out.push(6);
                (*domain, *slot).write(out);
            }
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::read(input)? {
            0 => Self::Best,
            1 => Self::Headers(Canonical::read(input)?),
            2 => Self::Said(Canonical::read(input)?),
            3 => Self::Head,
            4 => Self::Snapshot(Canonical::read(input)?),
            5 => Self::Chunk(Canonical::read(input)?, Canonical::read(input)?),
            6 => Self::Attested(Canonical::read(input)?, Canonical::read(input)?),
            tag => return Err(Malformed::UnknownTag { of: "Question", tag }),
        })
    }
}

/// The answer to [`Question::Best`]. Headers are answered as they are, 80 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// The block.
    pub point: ChainPoint,
    /// The work since genesis' start, big-endian.
    pub work: Hash,
}

impl Canonical for Best {
    fn write(&self, out: &mut Vec<u8>) {
        self.point.write(out);
        self.work.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { point: Canonical::read(input)?, work: Canonical::read(input)? })
    }
}

/// Answers what peers ask, until the network is gone. What cannot be read is not answered.
pub async fn serve(mut asks: mpsc::Receiver<Ask>, bitcoin: Arc<Bitcoin>, core: CoreHandle, store: Arc<Store>) {
    while let Some(ask) = asks.recv().await {
        let answer = match Question::from_bytes(&ask.question) {
            Ok(Question::Best) => bitcoin.best().await.map(|best| {
                let best = Best { point: best.point, work: Hash::new(best.work) };
                Bytes::from(best.to_bytes())
            }),
            Ok(Question::Headers(locator)) => Some(bitcoin.headers_after(&locator).await.into()),
            Ok(Question::Said(operator)) => {
                let said = core.read(move |core| core.said_last(&operator)).await;
                said.ok().map(|said| said.to_bytes().into())
            }
            Ok(Question::Head) => {
                let head = core.read(|core| core.ledger().head().height).await;
                head.ok().map(|head| head.to_bytes().into())
            }
            Ok(Question::Snapshot(wanted)) => read(&store, move |store| snapshot::block(store, &wanted)).await,
            Ok(Question::Chunk(height, first)) => {
                read(&store, move |store| snapshot::chunk(store, height, &first)).await
            }
            Ok(Question::Attested(domain, slot)) => {
                let known = core.read(move |core| core.attestations(&domain, slot)).await;
                known.ok().map(|known| known.to_bytes().into())
            }
            Err(_) => None,
        };
        if let Some(answer) = answer {
            ask.answer(answer).await;
        }
    }
}

/// Reads the disk where it may block.
async fn read(
    store: &Arc<Store>,
    read: impl FnOnce(&Store) -> Result<Bytes, StoreError> + Send + 'static,
) -> Option<Bytes> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || read(&store)).await.ok()? {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "what a peer asks for cannot be read");
            None
        }
    }
}

/// Asks every connected peer for its best header, and for a proof when that has more work than ours, for as long as we live.
pub async fn compare(network: Network, bitcoin: Arc<Bitcoin>) {
    let mut pace = tokio::time::interval(ASK);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        for peer in network.peers().into_keys() {
            let Some(best) = ask_best(&network, peer).await else { continue };
            let ours = bitcoin.best().await.map_or([0; 32], |best| best.work);
            if *best.work.as_bytes() > ours {
                prove(&network, &bitcoin, peer, &best).await;
            }
        }
    }
}

async fn ask_best(network: &Network, peer: PeerId) -> Option<Best> {
    let answer = network.ask(peer, Question::Best.to_bytes().into()).await.ok()?;
    Best::from_bytes(&answer).ok()
}

/// Fetches the headers of a claim and weighs them.
async fn prove(network: &Network, bitcoin: &Bitcoin, peer: PeerId, best: &Best) {
    let (mut locator, mut headers) = (bitcoin.locator().await, Vec::new());
    for _ in 0..ANSWERS {
        let Ok(asked) = locator.clone().try_into() else { return };
        let Ok(answer) = network.ask(peer, Question::Headers(asked).to_bytes().into()).await else { return };
        if answer.len() > 80 * HEADERS_AT_ONCE {
            return;
        }
        headers.extend_from_slice(&answer);
        let last = answer.as_chunks::<80>().0.last();
        let Some(last) = last.filter(|_| answer.len() == 80 * HEADERS_AT_ONCE) else { break };
        locator = vec![palisade_bitcoin::elsewhere::name(last)];
    }
    let (height, tip) = (best.point.number, crate::text::bitcoin_hash(&best.point.hash));
    match bitcoin.hear(&headers, Instant::now()).await {
        Ok(Heard::Known) => {}
        Ok(Heard::Heavier) => {
            tracing::warn!(%peer, height, tip, "a peer knows a heavier Bitcoin than our own endpoint")
        }
        Err(error) => tracing::warn!(%peer, %error, "a peer's headers of Bitcoin do not hold"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r30_questions_and_answers_are_read_as_they_were_written_and_nothing_longer() {
        let hashes = |count: usize| vec![Hash::new([7; 32]); count];
        let longest = Question::Headers(hashes(MAX_LOCATOR).try_into().unwrap());
        let block = FinalBlock { height: Height::new(9), id: palisade_types::ids::BlockId::new([4; 32]) };
        let state = [Question::Snapshot(block), Question::Chunk(Height::new(9), Hash::new([5; 32])), Question::Head];
        for question in state {
            assert_eq!(Question::from_bytes(&question.to_bytes()), Ok(question));
        }
        for question in [
            Question::Best,
            longest.clone(),
            Question::Said(OperatorId::new([3; 20])),
            Question::Attested(Domain::new([4; 32]), 5),
        ] {
            assert_eq!(Question::from_bytes(&question.to_bytes()), Ok(question.clone()));
        }
        let mut longer = longest.to_bytes();
        longer.push(0);
        assert!(Question::from_bytes(&longer).is_err());
        assert!(List::<Hash, MAX_LOCATOR>::try_from(hashes(MAX_LOCATOR + 1)).is_err());
        assert!(Question::from_bytes(&[9]).is_err());
        let point = ChainPoint { number: 7, hash: Hash::new([1; 32]), log: u32::MAX, time: 9 };
        let best = Best { point, work: Hash::new([2; 32]) };
        assert_eq!(Best::from_bytes(&best.to_bytes()), Ok(best));
    }
}
