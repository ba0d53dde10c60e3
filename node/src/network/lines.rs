//! Direct sends: one open stream to each peer, on which frames follow each other.
//!
//! Gossip signs every message, has every copy of it checked, and sends most of them several times. Between members of a
//! committee that are all connected none of this is needed: the transport has shown who the other one is, so a frame on his line is
//! his own, is checked once, and goes no further. [`Reach`](super::reach::Reach) says when that is enough.
//!
//! A frame is a length (u32), a topic (u8) and that topic's bytes. What waits for a peer that reads slowly is bounded in bytes: more is
//! dropped, and whatever matters is sent again. One stream each way is open for each connection; a peer that opens another has
//! the first one closed.

use super::topic::Topic;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

/// What a line is called when it is opened.
const LINE: StreamProtocol = StreamProtocol::new("/palisade/line/1");
/// Bytes that may wait for one peer.
const QUEUE_BYTES: usize = 4 << 20;
/// How often a line that breaks is opened again on one connection.
const OPENINGS: u32 = 8;
/// Length and topic.
const HEAD: usize = 5;
/// How much is read, or written, at once.
const CHUNK: usize = 16 << 10;

/// What happens on lines.
#[derive(Debug)]
pub(super) enum Event {
    /// Our line to a peer is open, or no longer.
    Open(PeerId, bool),
    /// A peer's own message. Its length is within its topic's bound.
    Heard(PeerId, Topic, Bytes),
    /// A peer sent what is no frame.
    Garbled(PeerId),
}

/// Every peer's lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    peers: BTreeMap<PeerId, BTreeMap<ConnectionId, Line>>,
    events: VecDeque<ToSwarm<Event, Bytes>>,
}

/// One connection, as the behaviour sees it.
#[derive(Debug, Default)]
struct Line {
    is_open: bool,
    waiting: Arc<AtomicUsize>,
}

/// A message as it goes to any number of peers.
pub(super) fn frame(topic: Topic, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + bytes.len());
    frame.put_u32(u32::try_from(bytes.len()).expect("a topic's bound is far below 2^32"));
    frame.put_u8(topic.number());
    frame.put_slice(bytes);
    frame.freeze()
}

impl Lines {
    /// Whether our line to `peer` is open.
    pub fn is_open(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|lines| lines.values().any(|line| line.is_open))
    }

    /// Sends a frame; false when there is no line, or too much waits on it.
    pub fn send(&mut self, peer: PeerId, frame: Bytes) -> bool {
        let lines = self.peers.get(&peer).into_iter().flatten();
        let Some((connection, line)) = lines.into_iter().find(|(_, line)| line.is_open) else { return false };
        if line.waiting.load(Ordering::Relaxed) + frame.len() > QUEUE_BYTES {
            return false;
        }
        line.waiting.fetch_add(frame.len(), Ordering::Relaxed);
        let handler = NotifyHandler::One(*connection);
        self.events.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: frame });
        true
    }

    fn established(&mut self, connection: ConnectionId, peer: PeerId) -> Handler {
        let line = self.peers.entry(peer).or_default().entry(connection).or_default();
        Handler::new(line.waiting.clone())
    }

    fn open(&mut self, peer: PeerId, connection: ConnectionId, is_open: bool) {
        let before = self.is_open(&peer);
        if let Some(line) = self.peers.get_mut(&peer).and_then(|lines| lines.get_mut(&connection)) {
            line.is_open = is_open;
        }
        self.tell_change(peer, before);
    }

    fn tell_change(&mut self, peer: PeerId, before: bool) {
        let now = self.is_open(&peer);
        if now != before {
            self.events.push_back(ToSwarm::GenerateEvent(Event::Open(peer, now)));
        }
    }
}

impl NetworkBehaviour for Lines {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.established(connection, peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.established(connection, peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) = event else { return };
        let before = self.is_open(&peer_id);
        if let Some(lines) = self.peers.get_mut(&peer_id) {
            lines.remove(&connection_id);
            if lines.is_empty() {
                self.peers.remove(&peer_id);
            }
        }
        self.tell_change(peer_id, before);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, told: THandlerOutEvent<Self>) {
        match told {
            Told::Open(is_open) => self.open(peer, connection, is_open),
            Told::Heard(topic, bytes) => {
                self.events.push_back(ToSwarm::GenerateEvent(Event::Heard(peer, topic, bytes)))
            }
            Told::Garbled => self.events.push_back(ToSwarm::GenerateEvent(Event::Garbled(peer))),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // Whoever pushes does so before the swarm polls again, so there is nobody to be woken.
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a connection tells.
#[derive(Debug)]
pub(super) enum Told {
    Open(bool),
    Heard(Topic, Bytes),
    Garbled,
}

/// The two streams of one connection.
pub(super) struct Handler {
    asked: bool,
    openings: u32,
    out: Option<Stream>,
    /// Frames that wait, and what of them is being written.
    queue: VecDeque<Bytes>,
    writing: BytesMut,
    unflushed: bool,
    waiting: Arc<AtomicUsize>,
    input: Option<(Stream, BytesMut)>,
    told: VecDeque<Told>,
    waker: Option<std::task::Waker>,
}

impl Handler {
    fn new(waiting: Arc<AtomicUsize>) -> Self {
        Self {
            asked: false,
            openings: 0,
            out: None,
            queue: VecDeque::new(),
            writing: BytesMut::new(),
            unflushed: false,
            waiting,
            input: None,
            told: VecDeque::new(),
            waker: None,
        }
    }

    /// The line is gone, and what waited on it.
    fn hang_up(&mut self) {
        let lost = self.queue.drain(..).map(|frame| frame.len()).sum::<usize>() + self.writing.len();
        self.waiting.fetch_sub(lost, Ordering::Relaxed);
        self.writing.clear();
        (self.out, self.unflushed) = (None, false);
        self.told.push_back(Told::Open(false));
    }

    /// Writes until everything is out or the peer takes no more.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.out else { return Poll::Pending };
        let mut stream = Pin::new(stream);
        loop {
            while self.writing.len() < CHUNK
                && let Some(frame) = self.queue.pop_front()
            {
                self.writing.extend_from_slice(&frame);
            }
            if self.writing.is_empty() {
                if self.unflushed {
                    ready!(stream.as_mut().poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
            let written = ready!(stream.as_mut().poll_write(cx, &self.writing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(written);
            self.waiting.fetch_sub(written, Ordering::Relaxed);
            self.unflushed = true;
        }
    }

    /// The next frame of the peer; `None` when he closed his line.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<(Topic, Bytes)>>> {
        let Some((stream, buffer)) = &mut self.input else { return Poll::Pending };
        loop {
            if let Some(frame) = take(buffer)? {
                return Poll::Ready(Ok(Some(frame)));
            }
            let mut chunk = [0; CHUNK];
            // Grows with what really arrives: a length alone reserves no memory.
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk))?;
            if read == 0 {
                return Poll::Ready(Ok(None));
            }
            buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// Takes a whole frame off the front.
fn take(buffer: &mut BytesMut) -> io::Result<Option<(Topic, Bytes)>> {
    let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
    let [a, b, c, d, topic] = *head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let topic = Topic::numbered(topic).filter(|topic| topic.is_direct() && length <= topic.limit());
    let Some(topic) = topic else { return Err(io::ErrorKind::InvalidData.into()) };
    if buffer.len() < HEAD + length {
        return Ok(None);
    }
    buffer.advance(HEAD);
    // A copy, so that a short message that is kept does not keep everything that came with it.
    Ok(Some((topic, Bytes::copy_from_slice(&buffer.split_to(length)))))
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Bytes;
    type ToBehaviour = Told;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(LINE), ())
    }

    fn on_behaviour_event(&mut self, frame: Bytes) {
        if self.out.is_some() {
            self.queue.push_back(frame);
        } else {
            self.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.out = Some(protocol);
                self.asked = false;
                self.told.push_back(Told::Open(true));
            }
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.input = Some((protocol, BytesMut::new()));
            }
            // He does not know lines: he hears us by gossip.
            ConnectionEvent::DialUpgradeError(_) => self.openings = OPENINGS,
            _ => {}
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Told>> {
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        if self.out.is_none() && !self.asked && self.openings < OPENINGS {
            (self.asked, self.openings) = (true, self.openings + 1);
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(LINE), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if let Poll::Ready(Err(_)) = self.write(cx) {
            self.hang_up();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.read(cx) {
            Poll::Ready(Ok(Some((topic, bytes)))) => {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Told::Heard(topic, bytes)));
            }
            Poll::Ready(Ok(None)) => self.input = None,
            Poll::Ready(Err(error)) => {
                self.input = None;
                if error.kind() == io::ErrorKind::InvalidData {
                    return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Told::Garbled));
                }
            }
            Poll::Pending => {}
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_apart_as_they_were_put_together_however_they_arrive() {
        let frames = [frame(Topic::Consensus, b"vote"), frame(Topic::Parts, &[7; 70_000]), frame(Topic::Eots, b"")];
        let (mut buffer, mut taken) = (BytesMut::new(), Vec::new());
        for piece in frames.concat().chunks(999) {
            buffer.extend_from_slice(piece);
            while let Some((topic, bytes)) = take(&mut buffer).unwrap() {
                taken.push((topic, bytes));
            }
        }
        let expected = [
            (Topic::Consensus, Bytes::from_static(b"vote")),
            (Topic::Parts, vec![7; 70_000].into()),
            (Topic::Eots, Bytes::new()),
        ];
        assert_eq!(taken, expected);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_too_long_or_of_no_direct_topic_is_refused_by_its_head() {
        let head = |length: u32, topic: u8| {
            let mut buffer = BytesMut::new();
            buffer.put_u32(length);
            buffer.put_u8(topic);
            take(&mut buffer).map_err(|error| error.kind())
        };
        let limit = u32::try_from(Topic::Consensus.limit()).unwrap();
        assert_eq!(head(limit, Topic::Consensus.number()), Ok(None));
        assert_eq!(head(limit + 1, Topic::Consensus.number()), Err(io::ErrorKind::InvalidData));
        assert_eq!(head(1, Topic::Covenant.number()), Err(io::ErrorKind::InvalidData));
        assert_eq!(head(1, 200), Err(io::ErrorKind::InvalidData));
    }
}
