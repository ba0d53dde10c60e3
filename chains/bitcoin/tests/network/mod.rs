//! What genesis says of a network over a bitcoind of a test.

use std::net::TcpListener;

use bitcoin::hashes::Hash as _;
use palisade_types::chain::ChainPoint;
use palisade_types::genesis::{Contracts, Parameters};
use palisade_types::{Address, Genesis, Hash, List, MicroUsd, Wad};

use crate::stake::People;

/// Blocks above a final one.
pub const DEPTH: u32 = 3;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A network over this bitcoind that starts at block `start`.
pub async fn genesis(bitcoind: &crate::bitcoind::Bitcoind, people: &People, start: u32) -> Genesis {
    let client = bitcoind.client();
    let hash = client.block_hash(start).await.unwrap();
    let time = u64::from(client.header(hash).await.unwrap().time);
    let zero = Address::ZERO;
    Genesis {
        random: Hash::new([5; 32]),
        evm_chain_id: 31_337,
        bitcoin_genesis: Hash::new(client.block_hash(0).await.unwrap().to_byte_array()),
        ethereum_start: ChainPoint { number: 0, hash: Hash::ZERO, log: u32::MAX, time: 0 },
        bitcoin_start: ChainPoint {
            number: u64::from(start),
            hash: Hash::new(hash.to_byte_array()),
            log: u32::MAX,
            time,
        },
        contracts: Contracts {
            palisade: zero,
            eigenlayer_adapter: zero,
            committee: zero,
            allocation_manager: zero,
            delegation_manager: zero,
            orders: zero,
            symbiotic: None,
            karak: None,
        },
        assets: List::new(),
        vaults: List::try_from(vec![people.terms(2, 12, 6)]).unwrap(),
        parameters: Parameters {
            epoch_heights: 20,
            epoch_ethereum_blocks: 15,
            epoch_bitcoin_blocks: 15,
            max_age_blocks: 30,
            trust_blocks: 40,
            execution_blocks: 20,
            observation_lag_blocks: 10,
            bitcoin_depth: u64::from(DEPTH),
            deallocation_delay: 120,
            checkpoint_interval: 5,
            attest_lag_blocks: 20,
            min_total: MicroUsd::new(0),
            min_bond: MicroUsd::new(0),
            bitcoin_price: MicroUsd::new(60_000_000_000),
            order_part: Wad::new(0),
            order_delay_blocks: 0,
            window_seconds: 0,
            caps: palisade_types::genesis::Caps::NONE,
            duty_slots: 120,
        },
        seats: List::new(),
        continues: None,
    }
}
