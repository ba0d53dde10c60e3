//! Batches of headers.

use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, CompactTarget, Network, TxMerkleNode, Work};
use palisade_bitcoin::headers::{Checkpoint, Extension, HeaderChain, MAX_SIDE_HEADERS, read};

const NETWORKS: [Network; 5] =
    [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

/// A clock in the middle of what times a header can have.
const NOW: u64 = 1 << 31;

/// One byte for the network, then headers as they come. They are taken on top of genesis, then as a checkpoint.
pub(crate) fn batch(bytes: &[u8]) {
    let Some((network, bytes)) = bytes.split_first() else { return };
    let network = NETWORKS[usize::from(*network) % NETWORKS.len()];
    let Ok(headers) = read(bytes) else {
        assert!(!bytes.len().is_multiple_of(80) || bytes.len() > 80 * 20_000);
        return;
    };
    let genesis = genesis_block(network).header;
    let mut chain = HeaderChain::new(network, 0, genesis).expect("every network starts with its genesis");
    take(&mut chain, &headers);
    let checkpoint = Checkpoint { height: 4_032, headers: &headers, work: genesis.work() };
    if let Ok(chain) = HeaderChain::from_checkpoint(network, checkpoint) {
        assert_eq!((chain.tip(), chain.aside()), (4_032, 0));
    }
}

/// Four bytes a step: which known header to build on, how many headers, what makes them others, and what is wrong with the last one.
pub(crate) fn tree(bytes: &[u8]) {
    let genesis = genesis_block(Network::Regtest).header;
    let mut chain = HeaderChain::new(Network::Regtest, 0, genesis).expect("regtest starts with its genesis");
    let mut known = vec![genesis];
    for step in bytes.as_chunks::<4>().0.iter().take(64) {
        let below = known[usize::from(step[0]) % known.len()];
        let mut batch: Vec<Header> = Vec::new();
        for _ in 0..=step[1] % 8 {
            batch.push(mined(batch.last().unwrap_or(&below), step[2]));
        }
        spoil(&mut batch, step[3]);
        if take(&mut chain, &batch) {
            known.extend(batch);
        }
        assert!(chain.aside() < known.len());
    }
}

fn spoil(batch: &mut [Header], how: u8) {
    let Some(last) = batch.last_mut() else { return };
    match how {
        200..210 => last.bits = CompactTarget::from_consensus(0x1d00_ffff),
        210..220 => last.time = 0,
        220..230 => last.time = u32::MAX,
        230..240 => last.version = Version::from_consensus(i32::from(how) - 232),
        240..250 => last.prev_blockhash = BlockHash::all_zeros(),
        250.. => batch.reverse(),
        _ => {}
    }
}

/// Extends, and holds the chain to what it promises. Whether the headers were taken.
fn take(chain: &mut HeaderChain, headers: &[Header]) -> bool {
    let before = state(chain);
    match chain.extend(headers, NOW) {
        Ok(Extension::Heavier { shared, replaced }) => {
            assert!(chain.work() > before.2 && shared + replaced == before.0);
            assert_eq!(chain.hash(chain.tip()), headers.last().map(Header::block_hash));
        }
        Ok(Extension::Unchanged) => assert_eq!((chain.tip(), chain.work()), (before.0, before.2)),
        Err(_) => {
            assert_eq!(state(chain), before);
            return false;
        }
    }
    assert!(chain.aside() <= MAX_SIDE_HEADERS);
    for height in chain.start()..=chain.tip() {
        let hash = chain.hash(height).expect("every height up to the tip is held");
        assert_eq!(chain.header(height).map(Header::block_hash), Some(hash));
        assert_eq!(chain.height(&hash), Some(height));
    }
    true
}

fn state(chain: &HeaderChain) -> (u32, Option<BlockHash>, Work, usize) {
    (chain.tip(), chain.hash(chain.tip()), chain.work(), chain.aside())
}

fn mined(below: &Header, salt: u8) -> Header {
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
}
