//! The heaviest chain on a disk, between two runs of a node.
//!
//! Every header is a row of its own: its 80 bytes, and the first four of its hash as a seal. Rows are believed no more than an endpoint is: at
//! the start each is checked by every rule again, and what does not hold, with all above it, is asked for again. What was beside the
//! heaviest chain is not kept.

use bitcoin::Network;
use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;

use super::{HEADER_BYTES, HeaderChain, HeaderError, hash};

/// The length of a row.
pub const ROW_BYTES: usize = HEADER_BYTES + SEAL_BYTES;
const SEAL_BYTES: usize = 4;

/// Headers in one piece.
const PIECE: usize = 2_000;

/// Why rows of an earlier run are not taken, from some height on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// The first row is of another height than this chain starts at.
    #[error("the kept headers start at {found}, this chain at {expected}")]
    OtherStart {
        /// Where they start.
        found: u32,
        /// Where they must.
        expected: u32,
    },
    /// A row is missing.
    #[error("no header is kept at {0}, and some are above")]
    Gap(u32),
    /// A row's bytes are not what was written.
    #[error("the header kept at {0} is damaged")]
    Damaged(u32),
    /// The headers break a rule.
    #[error("the kept headers do not hold")]
    Refused(#[from] HeaderError),
    /// They do not hold the block that genesis starts from.
    #[error("the kept headers are not of the chain that genesis names")]
    OtherChain,
}

/// A part of the chain as it goes to the disk: what lies there at its heights and above is to be replaced by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// The height of the first row.
    pub first: u32,
    /// Rows of [`ROW_BYTES`], ascending.
    pub rows: Vec<Vec<u8>>,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub struct Restored {
    /// The chain as far as it holds.
    pub chain: Option<HeaderChain>,
    /// Why it ends where it does, when it is not the end of what was kept.
    pub error: Option<KeptError>,
}

/// Reads rows, ascending, of a chain that starts at `start`. `now` is the caller's clock, as for [`HeaderChain::extend`].
pub fn restore(network: Network, start: u32, rows: &[(u32, Vec<u8>)], now: u64) -> Restored {
    let (headers, mut error) = read(start, rows);
    let Some((first, above)) = headers.split_first() else { return Restored { chain: None, error } };
    let mut chain = match HeaderChain::new(network, start, *first) {
        Ok(chain) => chain,
        Err(refused) => return Restored { chain: None, error: Some(refused.into()) },
    };
    if let Err(refused) = above.chunks(PIECE).try_for_each(|piece| chain.extend(piece, now).map(drop)) {
        error = Some(refused.into()); // a piece that is refused changes nothing
    }
    chain.kept = chain.headers.len();
    Restored { chain: Some(chain), error }
}

/// The headers of the rows, as far as the rows are whole.
fn read(start: u32, rows: &[(u32, Vec<u8>)]) -> (Vec<Header>, Option<KeptError>) {
    let mut headers = Vec::with_capacity(rows.len());
    for ((found, row), height) in rows.iter().zip(start..) {
        match header(row) {
            _ if *found != height && headers.is_empty() => {
                return (headers, Some(KeptError::OtherStart { found: *found, expected: start }));
            }
            _ if *found != height => return (headers, Some(KeptError::Gap(height))),
            None => return (headers, Some(KeptError::Damaged(height))),
            Some(header) => headers.push(header),
        }
    }
    (headers, None)
}

fn header(row: &[u8]) -> Option<Header> {
    let (bytes, seal) = row.split_first_chunk::<HEADER_BYTES>()?;
    let header = encode::deserialize(bytes).ok()?;
    (*seal == self::seal(&header)).then_some(header)
}

fn row(header: &Header) -> Vec<u8> {
    [encode::serialize(header).as_slice(), &seal(header)].concat()
}

fn seal(header: &Header) -> [u8; SEAL_BYTES] {
    let [a, b, c, d, ..] = hash(header).to_byte_array();
    [a, b, c, d]
}

impl HeaderChain {
    /// The next part of the chain that was not handed out here since it last changed, at most so many headers. Who fails to write it
    /// down calls [`Self::unkeep`].
    pub fn keep_next(&mut self, most: usize) -> Option<Unkept> {
        let place = self.kept;
        let headers = &self.headers[place..(place + most).min(self.headers.len())];
        let rows: Vec<_> = headers.iter().map(row).collect();
        let first = self.start + u32::try_from(place).ok()?;
        self.kept += rows.len();
        (!rows.is_empty()).then_some(Unkept { first, rows })
    }

    /// Forgets what was handed out: all of it comes again.
    pub fn unkeep(&mut self) {
        self.kept = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::block::Version;
    use bitcoin::constants::genesis_block;
    use bitcoin::{CompactTarget, TxMerkleNode};

    const NOW: u64 = u32::MAX as u64;

    fn branch(below: &Header, length: usize, salt: u8) -> Vec<Header> {
        let next = |below: &Header| {
            let mut header = Header {
                version: Version::from_consensus(4),
                prev_blockhash: below.block_hash(),
                merkle_root: TxMerkleNode::from_byte_array([salt; 32]),
                time: below.time + 1,
                bits: CompactTarget::from_consensus(0x207f_ffff),
                nonce: 0,
            };
            while header.validate_pow(header.target()).is_err() {
                header.nonce += 1;
            }
            header
        };
        std::iter::successors(Some(*below), |below| Some(next(below))).skip(1).take(length).collect()
    }

    fn chain(length: usize) -> (HeaderChain, Vec<Header>) {
        let genesis = genesis_block(Network::Regtest).header;
        let headers = branch(&genesis, length, 1);
        let mut chain = HeaderChain::new(Network::Regtest, 0, genesis).unwrap();
        chain.extend(&headers, NOW).unwrap();
        (chain, headers)
    }

    type Rows = Vec<(u32, Vec<u8>)>;

    /// A disk.
    #[derive(Default)]
    struct Disk(Rows);

    impl Disk {
        fn write(&mut self, chain: &mut HeaderChain, most: usize) {
            while let Some(part) = chain.keep_next(most) {
                assert!(part.rows.len() <= most);
                self.0.retain(|(height, _)| *height < part.first);
                self.0.extend((part.first..).zip(part.rows));
            }
        }

        fn restore(&self) -> Restored {
            restore(Network::Regtest, 0, &self.0, NOW)
        }
    }

    fn tip(chain: &HeaderChain) -> (u32, Option<bitcoin::BlockHash>, bitcoin::Work) {
        (chain.tip(), chain.hash(chain.tip()), chain.work())
    }

    #[test]
    fn what_was_kept_is_the_chain_again_also_after_it_was_replaced_deep() {
        let (mut chain, headers) = chain(4_500);
        let mut disk = Disk::default();
        disk.write(&mut chain, 1_000);
        assert!(chain.keep_next(1).is_none(), "nothing new");
        let restored = disk.restore();
        assert_eq!((restored.error, restored.chain.as_ref().map(tip)), (None, Some(tip(&chain))));
        assert!(restored.chain.unwrap().keep_next(1).is_none(), "it lies there already");

        chain.extend(&branch(&headers[99], 4_500, 2), NOW).unwrap();
        assert_eq!(chain.tip(), 4_600);
        let part = chain.clone().keep_next(10).unwrap();
        assert_eq!(part.first, 101, "from the fork on");
        disk.write(&mut chain, 1_000);
        assert_eq!(disk.restore().chain.as_ref().map(tip), Some(tip(&chain)));
        chain.unkeep();
        assert_eq!(chain.keep_next(5_000).unwrap().rows.len(), 4_601);
    }

    #[test]
    fn a_flipped_bit_a_gap_and_another_start_are_named_and_what_lies_below_is_taken() {
        let (mut chain, _) = chain(50);
        let mut disk = Disk::default();
        disk.write(&mut chain, 1_000);
        let spoilt = |spoil: &dyn Fn(&mut Rows)| {
            let mut rows = disk.0.clone();
            spoil(&mut rows);
            let restored = restore(Network::Regtest, 0, &rows, NOW);
            (restored.chain.map(|chain| chain.tip()), restored.error)
        };
        for bit in 0..8 * ROW_BYTES {
            let flipped = spoilt(&|rows| rows[50].1[bit / 8] ^= 1 << (bit % 8));
            assert_eq!(flipped, (Some(49), Some(KeptError::Damaged(50))), "bit {bit}");
        }
        assert_eq!(spoilt(&|rows| drop(rows.remove(7))), (Some(6), Some(KeptError::Gap(7))));
        let other = KeptError::OtherStart { found: 1, expected: 0 };
        assert_eq!(spoilt(&|rows| drop(rows.remove(0))), (None, Some(other)));
        assert_eq!(spoilt(&|rows| rows[3].1.truncate(80)), (Some(2), Some(KeptError::Damaged(3))));
        let moved = |rows: &mut Rows| {
            let row = rows[9].1.clone();
            rows[8].1 = row;
        };
        assert_eq!(spoilt(&moved), (Some(0), Some(KeptError::Refused(HeaderError::Gap(8)))), "sealed, and no chain");
        assert_eq!(spoilt(&Vec::clear), (None, None));
    }
}
