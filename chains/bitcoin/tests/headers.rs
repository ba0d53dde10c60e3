//! The heaviest chain of headers against real ones, against a model, and against whoever sends nonsense.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, CompactTarget, Network, TxMerkleNode, Work, constants::genesis_block};
use palisade_bitcoin::headers::{Checkpoint, Extension, HeaderChain, HeaderError, MAX_HEADERS, MAX_SIDE_HEADERS, read};
use proptest::prelude::*;

/// A clock that no header here is ahead of.
const NOW: u64 = 2_000_000_000;

/// `height,header` rows of the repository's own vectors.
fn rows(name: &str) -> Vec<(u32, Header)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/btc-headers").join(name);
    let row = |line: &str| {
        let (height, header) = line.split_once(',').unwrap();
        (height.parse().unwrap(), deserialize_hex(header).unwrap())
    };
    std::fs::read_to_string(path).unwrap().lines().skip(1).map(row).collect()
}

fn chain(network: Network, rows: &[(u32, Header)]) -> HeaderChain {
    let mut chain = HeaderChain::new(network, rows[0].0, rows[0].1).unwrap();
    let headers: Vec<Header> = rows[1..].iter().map(|row| row.1).collect();
    assert_eq!(chain.extend(&headers, NOW), Ok(Extension::Heavier { shared: rows[0].0, replaced: 0 }));
    assert_eq!(chain.tip(), rows[rows.len() - 1].0);
    chain
}

/// Mainnet around the retargets at 824,544 and 826,560.
fn mainnet() -> Vec<(u32, Header)> {
    rows("mainnet-822528-828575.csv")
}

/// All that a refused call must leave as it was.
fn state(chain: &HeaderChain) -> (u32, Option<BlockHash>, Work, usize) {
    (chain.tip(), chain.hash(chain.tip()), chain.work(), chain.aside())
}

/// A regtest header with work: `salt` makes it another one.
fn mined(below: &Header, salt: u32) -> Header {
    let mut header = Header {
        version: Version::from_consensus(4),
        prev_blockhash: below.block_hash(),
        merkle_root: TxMerkleNode::from_byte_array([salt.to_le_bytes(); 8].concat().try_into().unwrap()),
        time: below.time + 1,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
    header
}

fn branch(below: &Header, length: u32, salt: u32) -> Vec<Header> {
    std::iter::successors(Some(*below), |last| Some(mined(last, salt))).skip(1).take(length as usize).collect()
}

fn genesis() -> Header {
    genesis_block(Network::Regtest).header
}

fn regtest() -> HeaderChain {
    HeaderChain::new(Network::Regtest, 0, genesis()).unwrap()
}

#[test]
fn real_headers_with_retargets_are_followed_and_a_stale_one_changes_nothing() {
    let rows = mainnet();
    let mut real = chain(Network::Bitcoin, &rows);
    let (height, stale) = self::rows("mainnet-stale-823226.csv")[0];
    assert_eq!(real.height(&stale.prev_blockhash), Some(height - 1));
    let before = real.work();
    assert_eq!(real.extend(&[stale], NOW), Ok(Extension::Unchanged), "less work than the chain it forks off");
    assert_eq!((real.work(), real.aside()), (before, 1));
    assert_eq!(real.extend(&[stale], NOW), Ok(Extension::Unchanged), "known");
    let headers: Vec<Header> = rows.iter().map(|row| row.1).collect();
    assert_eq!(real.extend(&headers, NOW), Ok(Extension::Unchanged), "all known");
    for (height, header) in &rows {
        assert_eq!((real.header(*height), real.hash(*height)), (Some(header), Some(header.block_hash())));
        assert_eq!(real.height(&header.block_hash()), Some(*height));
    }
    assert_eq!((real.hash(822_527), real.hash(828_576), real.height(&stale.block_hash())), (None, None, None));
    assert_eq!(HeaderChain::new(Network::Bitcoin, height, stale).map(drop), Err(HeaderError::Start(height)));
}

#[test]
fn a_wrong_header_is_named_and_nothing_changes() {
    let rows = mainnet();
    let retarget = 824_544 - 822_528;
    let mut chain = chain(Network::Bitcoin, &rows[..retarget]);
    let (before, good, last) = (state(&chain), rows[retarget].1, rows[retarget - 1].1);
    let table = [
        (Header { bits: last.bits, ..good }, NOW, HeaderError::Difficulty(824_544)),
        (Header { nonce: good.nonce ^ 1, ..good }, NOW, HeaderError::NoWork(824_544)),
        (Header { time: last.time - 7_200, ..good }, NOW, HeaderError::TooEarly(824_544)),
        (Header { version: Version::from_consensus(3), ..good }, NOW, HeaderError::Version(824_544)),
        (good, u64::from(good.time) - 7_201, HeaderError::TooFarAhead { height: 824_544, time: good.time }),
        (rows[retarget + 1].1, NOW, HeaderError::Unlinked(rows[retarget + 1].1.prev_blockhash)),
    ];
    for (header, now, error) in table {
        assert_eq!(chain.extend(&[header], now), Err(error));
        assert_eq!(chain.extend(&[rows[retarget - 2].1, last, header], now), Err(error), "after known ones");
        assert_eq!(state(&chain), before);
    }
    assert_eq!(
        chain.extend(&[good, rows[retarget + 2].1], NOW),
        Err(HeaderError::Gap(824_545)),
        "good ones are not kept"
    );
    assert_eq!(state(&chain), before);
    assert_eq!(chain.extend(&vec![good; MAX_HEADERS + 1], NOW), Err(HeaderError::TooMany(MAX_HEADERS + 1)));
    assert!(chain.extend(&[good], u64::from(good.time) - 7_200).is_ok());
}

#[test]
fn work_and_heights_are_the_same_whatever_the_pieces() {
    let rows = mainnet();
    let whole = chain(Network::Bitcoin, &rows);
    for size in [1, 63, 64, 65, 2_016] {
        let mut pieces = HeaderChain::new(Network::Bitcoin, rows[0].0, rows[0].1).unwrap();
        for piece in rows[1..].chunks(size) {
            let headers: Vec<Header> = piece.iter().map(|row| row.1).collect();
            assert!(matches!(pieces.extend(&headers, NOW), Ok(Extension::Heavier { replaced: 0, .. })));
        }
        assert_eq!(state(&pieces), state(&whole));
    }
    let sum = rows.iter().skip(1).fold(rows[0].1.work(), |sum, row| sum + row.1.work());
    assert_eq!(whole.work(), sum);
}

#[test]
fn the_first_headers_of_signet_are_followed() {
    chain(Network::Signet, &rows("signet-0-2015.csv"));
}

#[test]
fn a_chain_can_start_inside_a_period_with_the_headers_since_its_beginning() {
    let rows = mainnet();
    let headers: Vec<Header> = rows.iter().map(|row| row.1).collect();
    let trusted = 822_528 + 3_000;
    let whole = chain(Network::Bitcoin, &rows);
    let until = chain(Network::Bitcoin, &rows[..=3_000]);
    let earlier = Work::from_hex("0x6000000000000000000000000").unwrap();
    let start = |from: usize, work| {
        let checkpoint = Checkpoint { height: trusted, headers: &headers[from..=3_000], work };
        HeaderChain::from_checkpoint(Network::Bitcoin, checkpoint)
    };
    for from in [0, 2_006, 2_016] {
        let mut chain = start(from, until.work() + earlier).unwrap();
        assert_eq!((chain.tip(), chain.work()), (trusted, until.work() + earlier));
        assert!(chain.extend(&headers[3_001..], NOW).is_ok());
        assert_eq!((chain.tip(), chain.work()), (whole.tip(), whole.work() + earlier));
    }
    assert_eq!(start(2_017, until.work()).map(drop), Err(HeaderError::Start(822_528 + 2_017)));
    assert_eq!(start(2_016, headers[0].work()).map(drop), Err(HeaderError::StartWork));
    assert_eq!(start(2_016, Work::from_be_bytes([1; 32])).map(drop), Err(HeaderError::StartWork));

    let of = |height, headers: &[Header]| {
        let work = Work::from_be_bytes([0; 32]);
        HeaderChain::from_checkpoint(Network::Bitcoin, Checkpoint { height, headers, work }).map(drop)
    };
    assert_eq!(of(trusted, &[]), Err(HeaderError::Start(trusted + 1)));
    assert_eq!(of(0, &headers[..2]), Err(HeaderError::Start(0)));
    assert_eq!(of(u32::MAX, &headers[..2]), Err(HeaderError::Start(u32::MAX)));
    assert_eq!(of(822_529, &[headers[0], headers[2]]), Err(HeaderError::Gap(822_529)));
    assert_eq!(of(822_528, &[Header { nonce: 1, ..headers[0] }]), Err(HeaderError::NoWork(822_528)));
    assert_eq!(of(822_528, &[genesis()]), Err(HeaderError::Difficulty(822_528)), "of another network");
}

#[test]
fn nothing_forks_off_below_the_trusted_header() {
    let (ours, theirs) = (branch(&genesis(), 12, 1), branch(&genesis(), 40, 2));
    let mut headers = vec![genesis()];
    headers.extend(&ours);
    let work = headers.iter().skip(1).fold(genesis().work(), |sum, header| sum + header.work());
    let checkpoint = Checkpoint { height: 12, headers: &headers, work };
    let mut chain = HeaderChain::from_checkpoint(Network::Regtest, checkpoint).unwrap();
    assert_eq!(chain.extend(&theirs, NOW), Err(HeaderError::BelowCheckpoint(1)));
    assert_eq!(chain.extend(&branch(&ours[10], 40, 3), NOW), Err(HeaderError::BelowCheckpoint(12)));
    assert_eq!(state(&chain), (12, Some(ours[11].block_hash()), work, 0));
    assert!(chain.extend(&branch(&ours[11], 1, 4), NOW).is_ok());
    let replaced = Extension::Heavier { shared: 12, replaced: 1 };
    assert_eq!(chain.extend(&branch(&ours[11], 2, 5), NOW), Ok(replaced));
}

#[test]
fn nothing_is_final_below_the_floor_of_work() {
    let headers = branch(&genesis(), 10, 1);
    let unit = genesis().work();
    let floor = (1..10).fold(unit, |sum, _| sum + unit);
    let mut chain = regtest().with_floor(floor);
    assert!(chain.extend(&headers[..8], NOW).is_ok());
    assert_eq!((chain.tip(), chain.final_height(3)), (8, None));
    assert!(chain.extend(&headers[8..9], NOW).is_ok());
    assert_eq!((chain.final_height(3), chain.final_height(9), chain.final_height(10)), (Some(6), Some(0), None));
}

#[test]
fn a_fork_wins_by_work_alone_in_one_piece_or_many_and_back_again() {
    let (ours, theirs) = (branch(&genesis(), 20, 1), branch(&genesis(), 25, 2));
    for size in [1, 7, 25] {
        let mut chain = regtest();
        assert!(chain.extend(&ours, NOW).is_ok());
        let outcomes: Vec<_> = theirs.chunks(size).map(|piece| chain.extend(piece, NOW).unwrap()).collect();
        let replaced = Extension::Heavier { shared: 0, replaced: 20 };
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == replaced).count(), 1);
        assert_eq!((chain.hash(25), chain.height(&ours[19].block_hash())), (Some(theirs[24].block_hash()), None));
        assert_eq!(chain.aside(), 20, "what was replaced is kept");
        let back = branch(&ours[19], 6, 3);
        assert_eq!(chain.extend(&back[..5], NOW), Ok(Extension::Unchanged), "equal work: ours was first");
        assert_eq!(chain.extend(&back[5..], NOW), Ok(Extension::Heavier { shared: 0, replaced: 25 }));
        assert_eq!((chain.tip(), chain.hash(20), chain.aside()), (26, Some(ours[19].block_hash()), 25));
    }
}

#[test]
fn a_flood_of_light_headers_costs_a_fixed_amount_and_drops_no_rival() {
    let (ours, rival) = (branch(&genesis(), 50, 1), branch(&genesis(), 51, 2));
    let mut chain = regtest();
    assert!(chain.extend(&ours, NOW).is_ok());
    assert_eq!(chain.extend(&rival[..49], NOW), Ok(Extension::Unchanged));
    let flood = |chain: &mut HeaderChain, salt: u32| {
        let first = mined(&genesis(), salt);
        let second = mined(&first, salt);
        assert_eq!(chain.extend(&[first, second], NOW), Ok(Extension::Unchanged));
        assert!(chain.aside() <= MAX_SIDE_HEADERS);
    };
    let count = u32::try_from(MAX_SIDE_HEADERS).unwrap();
    (0..count).for_each(|salt| flood(&mut chain, 100 + salt));
    assert_eq!((chain.tip(), chain.aside()), (50, MAX_SIDE_HEADERS));
    assert_eq!(chain.extend(&rival[49..], NOW), Ok(Extension::Heavier { shared: 0, replaced: 50 }), "its 49 were kept");
    assert_eq!(chain.aside(), MAX_SIDE_HEADERS);
    assert_eq!(chain.extend(&branch(&ours[49], 2, 3), NOW), Ok(Extension::Heavier { shared: 0, replaced: 51 }));
}

#[test]
fn a_fork_longer_than_what_is_kept_comes_whole_or_is_dropped_from_its_end() {
    let length = u32::try_from(MAX_SIDE_HEADERS).unwrap();
    let ours = branch(&genesis(), length + 20, 1);
    let mut chain = regtest();
    for piece in ours.chunks(MAX_HEADERS) {
        assert!(chain.extend(piece, NOW).is_ok());
    }
    let rival = branch(&ours[29], length, 2);
    let replaced = Extension::Heavier { shared: 30, replaced: length - 10 };
    assert_eq!(chain.extend(&rival, NOW), Ok(replaced));
    assert_eq!(chain.aside(), MAX_SIDE_HEADERS - 10);
    assert_eq!(chain.extend(&branch(&genesis(), 20, 3), NOW), Ok(Extension::Unchanged));
    assert_eq!(chain.aside(), MAX_SIDE_HEADERS, "ten of the light ones found room");
}

/// The heaviest chain as somebody would compute it who keeps everything.
#[derive(Default)]
struct Model {
    work: HashMap<BlockHash, (Work, Header)>,
    best: Option<BlockHash>,
}

impl Model {
    fn learn(&mut self, header: &Header) {
        let hash = header.block_hash();
        let below = self.work.get(&header.prev_blockhash).map(|(work, _)| *work);
        let work = below.map_or(header.work(), |below| below + header.work());
        self.work.insert(hash, (work, *header));
        if self.best.is_none_or(|best| work > self.work[&best].0) {
            self.best = Some(hash);
        }
    }

    fn chain(&self) -> Vec<BlockHash> {
        let up = std::iter::successors(self.best, |hash| {
            let below = self.work[hash].1.prev_blockhash;
            self.work.contains_key(&below).then_some(below)
        });
        let mut hashes: Vec<_> = up.collect();
        hashes.reverse();
        hashes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_tree_in_any_order_leads_to_the_heaviest_chain(
        shape in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..9), 1..60),
    ) {
        let (mut chain, mut model, mut known) = (regtest(), Model::default(), vec![genesis()]);
        model.learn(&genesis());
        for (salt, (place, length)) in (0..).zip(shape) {
            let batch = branch(place.get(&known), u32::try_from(length).unwrap(), salt);
            let before = chain.clone();
            let outcome = chain.extend(&batch, NOW).unwrap();
            for header in &batch {
                model.learn(header);
            }
            known.extend(batch);
            let hashes: Vec<_> = (0..=chain.tip()).map(|height| chain.hash(height).unwrap()).collect();
            prop_assert_eq!(&hashes, &model.chain());
            prop_assert_eq!(chain.work(), model.work[&model.best.unwrap()].0);
            prop_assert_eq!(chain.aside(), known.len() - hashes.len(), "nothing valid is lost while there is room");
            if let Extension::Heavier { shared, replaced } = outcome {
                prop_assert_eq!(shared + replaced, before.tip());
                prop_assert_eq!(chain.hash(shared), before.hash(shared));
                prop_assert!(replaced == 0 || chain.hash(shared + 1) != before.hash(shared + 1));
            }
        }
    }

    #[test]
    fn a_changed_byte_is_refused_and_changes_nothing(place in any::<prop::sample::Index>(), to in any::<u8>()) {
        let rows = mainnet();
        let mut chain = chain(Network::Bitcoin, &rows[..10]);
        let mut bytes: Vec<u8> = rows[10..30].iter().flat_map(|row| bitcoin::consensus::serialize(&row.1)).collect();
        let place = place.index(bytes.len());
        let before = state(&chain);
        let changed = bytes[place] != to;
        bytes[place] = to;
        let outcome = chain.extend(&read(&bytes).unwrap(), NOW);
        match changed {
            true => prop_assert!(outcome.is_err() && state(&chain) == before, "{:?}", outcome),
            false => prop_assert!(outcome.is_ok()),
        }
    }

    #[test]
    fn any_bytes_are_headers_or_a_named_error(bytes in prop::collection::vec(any::<u8>(), 0..900)) {
        match read(&bytes) {
            Ok(headers) => {
                prop_assert_eq!(headers.len() * 80, bytes.len());
                let mut chain = regtest();
                prop_assert_eq!(chain.extend(&headers, NOW).is_ok(), headers.is_empty());
                prop_assert_eq!(state(&chain), state(&regtest()));
                for network in [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest] {
                    let checkpoint = Checkpoint { height: 4_032, headers: &headers, work: genesis().work() };
                    prop_assert!(HeaderChain::from_checkpoint(network, checkpoint).is_err());
                }
            }
            Err(error) => prop_assert_eq!(error, HeaderError::Ragged(bytes.len())),
        }
    }
}

#[test]
fn more_bytes_than_a_call_may_bring_are_refused_unread() {
    assert_eq!(read(&vec![0; 80 * (MAX_HEADERS + 1)]), Err(HeaderError::TooMany(MAX_HEADERS + 1)));
    assert_eq!(read(&vec![0; 80 * MAX_HEADERS]).map(|headers| headers.len()), Ok(MAX_HEADERS));
}
