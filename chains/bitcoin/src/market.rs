//! What Bitcoin's blocks ask of a transaction, from whole blocks alone (R28).
//!
//! A block's fees are exact without a look at the coins its transactions spend: what its coinbase pays out, less the subsidy of its
//! height. Divided by the weight of its other transactions that is the mean of what they pay, satoshis per 1000 weight
//! units, rounded down. Whoever pays the mean gets in: something in the block paid no more. A block that had [`ROOM`] left
//! asked nothing, whatever it took: a slashing transaction at any rate would have fitted. So empty blocks, and the blocks of a
//! test network, ask nothing.
//!
//! The rate up to a block is what at least half of the [`WINDOW`] blocks that end with it asked no more than: a transaction that
//! pays it gets in within a day. Blocks at or before the network's start anchor count as blocks with room.
//!
//! Nobody can forge it alone. A voter cannot: it is a fact that every voter computes from blocks that are final on his own chain, whose
//! work, Merkle root and witnesses he checked. A miner can fill his blocks with payments to himself at no cost, or leave them
//! empty, and moves the rate past what the others ask only when more than half of the window is his. A miner who claims less than his
//! fees shows less than he took.

use bitcoin::constants::SUBSIDY_HALVING_INTERVAL;
use bitcoin::{Block, Network, Weight};

/// Blocks that are looked at: a day, and no more than a node that prunes keeps (288).
pub const WINDOW: u32 = 144;

/// A block with this much weight left had room for any transaction that is relayed.
pub const ROOM: Weight = Weight::from_wu(400_000);

/// What the block's other transactions left to its miner, satoshis, as far as he claimed it.
pub fn fees(block: &Block, height: u32, network: Network) -> u64 {
    let coinbase = block.txdata.first();
    let claimed = coinbase.into_iter().flat_map(|coinbase| &coinbase.output);
    let claimed = claimed.fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
    claimed.saturating_sub(subsidy(height, network))
}

/// What the block at `height` asked of a transaction, satoshis per 1000 weight units, rounded down.
pub fn asked(block: &Block, height: u32, network: Network) -> u64 {
    if block.weight() + ROOM <= Weight::MAX_BLOCK {
        return 0;
    }
    let weight = block.txdata.iter().skip(1).fold(0_u64, |sum, transaction| sum + transaction.weight().to_wu());
    let mean = (u128::from(fees(block, height, network)) * 1_000).checked_div(u128::from(weight)).unwrap_or(0);
    u64::try_from(mean).unwrap_or(u64::MAX)
}

/// The rate of a window, from what its blocks asked, in any order: the lower median of [`WINDOW`] blocks, where those that are
/// missing asked nothing.
pub fn rate(mut asked: Vec<u64>) -> u64 {
    asked.resize(WINDOW as usize, 0);
    asked.sort_unstable();
    asked[(asked.len() - 1) / 2]
}

/// What a block at `height` may pay its miner beyond fees, satoshis.
fn subsidy(height: u32, network: Network) -> u64 {
    let interval = match network {
        Network::Regtest => 150,
        _ => SUBSIDY_HALVING_INTERVAL,
    };
    FIRST_SUBSIDY.checked_shr(height / interval).unwrap_or(0)
}

/// What the first blocks paid their miners.
const FIRST_SUBSIDY: u64 = 50 * 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::absolute::LockTime;
    use bitcoin::constants::genesis_block;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut};
    use proptest::prelude::*;

    const SUBSIDY: u64 = FIRST_SUBSIDY >> 4; // of block 900,000

    fn transaction(value: u64, bytes: usize) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn::default()],
            output: vec![TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from(vec![0x6a; bytes]) }],
        }
    }

    /// A block whose miner claims `claimed` and whose one other transaction carries `bytes`.
    fn block(claimed: u64, bytes: usize) -> Block {
        let txdata = vec![transaction(claimed, 0), transaction(1, bytes)];
        Block { txdata, ..genesis_block(Network::Bitcoin) }
    }

    #[test]
    fn r28_a_full_block_asks_the_mean_of_what_it_took_rounded_down() {
        let full = block(SUBSIDY + 10_000_000, 950_000);
        let weight = full.txdata[1].weight().to_wu();
        assert_eq!(fees(&full, 900_000, Network::Bitcoin), 10_000_000);
        assert_eq!(asked(&full, 900_000, Network::Bitcoin), 10_000_000_000 / weight);
        // The subsidy is the height's, and a claim below it shows no fees.
        assert_eq!(fees(&full, 839_999, Network::Bitcoin), 0);
        assert_eq!(fees(&full, 1_050_000, Network::Bitcoin), SUBSIDY / 2 + 10_000_000);
        assert_eq!(asked(&block(SUBSIDY - 1, 950_000), 900_000, Network::Bitcoin), 0);
        // Past every subsidy, all is fees; more than there can be is no panic.
        assert_eq!(fees(&full, u32::MAX, Network::Regtest), SUBSIDY + 10_000_000);
        assert_eq!(fees(&block(u64::MAX, 950_000), 0, Network::Bitcoin), u64::MAX - FIRST_SUBSIDY);
    }

    #[test]
    fn r28_a_block_with_room_asked_nothing() {
        let paid = 1_000_000_000;
        for (bytes, asks) in [(0, false), (850_000, false), (910_000, true)] {
            let rate = asked(&block(SUBSIDY + paid, bytes), 900_000, Network::Bitcoin);
            assert_eq!(rate > 0, asks, "{bytes} bytes: {rate}");
        }
        let empty = Block { txdata: vec![transaction(SUBSIDY, 0)], ..genesis_block(Network::Bitcoin) };
        assert_eq!(asked(&empty, 900_000, Network::Bitcoin), 0);
        let nothing = Block { txdata: vec![], ..empty };
        assert_eq!(asked(&nothing, 900_000, Network::Bitcoin), 0);
    }

    #[test]
    fn r28_blocks_before_the_start_asked_nothing() {
        assert_eq!(rate(vec![]), 0);
        assert_eq!(rate(vec![9; 72]), 0);
        assert_eq!(rate(vec![9; 73]), 9);
        assert_eq!(rate(vec![9; 144]), 9);
    }

    proptest! {
        #[test]
        fn r28_whoever_has_less_than_half_of_the_window_moves_the_rate_nowhere_the_others_are_not(
            honest in prop::collection::vec(10_u64..1_000, 73..=144),
            forged in prop::sample::select(vec![0, 1, 500, u64::MAX]),
        ) {
            let (lowest, highest) = (*honest.iter().min().unwrap(), *honest.iter().max().unwrap());
            let mut asked = honest;
            asked.resize(WINDOW as usize, forged);
            let found = rate(asked.clone());
            prop_assert!((lowest..=highest).contains(&found));
            asked.reverse();
            prop_assert_eq!(rate(asked), found, "no order matters");
        }

        #[test]
        fn r28_half_of_the_blocks_take_what_pays_the_rate(asked in prop::collection::vec(any::<u64>(), 144)) {
            let found = rate(asked.clone());
            prop_assert!(asked.iter().filter(|asked| **asked <= found).count() * 2 >= asked.len());
        }
    }
}
