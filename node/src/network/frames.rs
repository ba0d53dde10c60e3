//! Direct requests: one frame of bytes each way, its length first, never longer than agreed.

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use std::io;

/// Reads and writes length-prefixed frames. Both bounds are checked before anything is allocated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames {
    /// The longest request.
    pub request: usize,
    /// The longest response.
    pub response: usize,
}

/// A request as it came. One that is longer than agreed comes as that: what a codec refuses libp2p keeps to itself, and nobody would answer
/// for it.
pub(super) type Request = Result<Bytes, TooLong>;

/// Somebody announced more than his protocol allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooLong;

impl Codec for Frames {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Bytes;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read(io, self.request).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Err(TooLong)),
            request => request.map(Ok),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.response).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = request.map_err(|TooLong| io::Error::from(io::ErrorKind::InvalidInput))?;
        write(io, &request, self.request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Bytes) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response, self.response).await
    }
}

async fn read<T: AsyncRead + Unpin>(io: &mut T, limit: usize) -> io::Result<Bytes> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(too_long(length, limit));
    }
    // Grows with what really arrives: a length alone reserves no memory.
    let mut frame = Vec::new();
    io.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame.into())
}

async fn write<T: AsyncWrite + Unpin>(io: &mut T, frame: &[u8], limit: usize) -> io::Result<()> {
    let length =
        u32::try_from(frame.len()).ok().filter(|_| frame.len() <= limit).ok_or_else(|| too_long(frame.len(), limit))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(frame).await?;
    io.flush().await
}

fn too_long(length: usize, limit: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is over its bound {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::io::Cursor;

    #[test]
    fn a_frame_comes_back_and_one_over_the_bound_does_not() {
        let mut pipe = Vec::new();
        block_on(write(&mut pipe, b"hello", 5)).unwrap();
        assert_eq!(block_on(read(&mut Cursor::new(&pipe), 5)).unwrap(), Bytes::from_static(b"hello"));
        assert!(block_on(read(&mut Cursor::new(&pipe), 4)).is_err());
        assert!(block_on(write(&mut Vec::new(), b"hello", 4)).is_err());
        let (protocol, mut frames) = (StreamProtocol::new("/test"), Frames { request: 4, response: 5 });
        let request = block_on(frames.read_request(&protocol, &mut Cursor::new(&pipe)));
        assert!(matches!(request, Ok(Err(TooLong))), "who sent it is to answer for it");
        assert!(block_on(frames.read_response(&protocol, &mut Cursor::new(&pipe))).is_ok());
    }

    #[test]
    fn a_length_without_its_bytes_is_an_error() {
        let announced = 1_000_000_u32.to_be_bytes();
        assert!(block_on(read(&mut Cursor::new(announced), 2_000_000)).is_err());
    }
}
