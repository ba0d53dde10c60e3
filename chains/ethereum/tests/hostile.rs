//! Endpoints that mean harm.

use palisade_ethereum::{Config, Ethereum};
use palisade_types::canonical::{Canonical, List};
use palisade_types::chain::{ChainError, ChainPoint};
use palisade_types::genesis::{Contracts, Genesis, Parameters};
use palisade_types::ids::{Address, Hash};
use palisade_types::units::MicroUsd;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endpoint = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        let noise = [b' '; 65_536];
        while stream.write_all(&noise).is_ok() {} // until we hang up
    });
    let connected = Ethereum::connect(&Config::one(endpoint), genesis(), None).await;
    let Err(ChainError::Unavailable { source, .. }) = connected else { panic!("{connected:?}") };
    assert!(source.to_string().contains("larger than"), "{source}");
}

#[tokio::test]
async fn silence_ends_with_the_deadline_and_a_redirect_leads_nowhere() {
    let silent = serve(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let started = Instant::now();
    let config = Config { timeout_ms: 300, ..Config::one(silent) };
    assert!(matches!(Ethereum::connect(&config, genesis(), None).await, Err(ChainError::Unavailable { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));

    let elsewhere = serve(|mut stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
    });
    let Err(ChainError::Unavailable { source, .. }) = Ethereum::connect(&Config::one(elsewhere), genesis(), None).await
    else {
        panic!("a redirect is no answer")
    };
    assert!(source.to_string().contains("307"), "{source}");
}

/// Answers every connection's first request with `answer`.
fn serve(answer: impl Fn(TcpStream) + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4_096]);
                answer(stream);
            });
        }
    });
    endpoint
}

fn genesis() -> Arc<Genesis> {
    let point = ChainPoint { number: 0, hash: Hash::ZERO, log: u32::MAX, time: 0 };
    let zeros = [0; 20 * 8];
    Arc::new(Genesis {
        random: Hash::ZERO,
        evm_chain_id: 31_337,
        bitcoin_genesis: Hash::ZERO,
        ethereum_start: point,
        bitcoin_start: point,
        contracts: Contracts {
            palisade: Address::ZERO,
            eigenlayer_adapter: Address::ZERO,
            committee: Address::ZERO,
            allocation_manager: Address::ZERO,
            delegation_manager: Address::ZERO,
            orders: Address::ZERO,
            symbiotic: None,
            karak: None,
        },
        assets: List::new(),
        vaults: List::new(),
        parameters: Parameters {
            min_bond: MicroUsd::new(1),
            bitcoin_price: MicroUsd::new(1),
            ..Parameters::from_bytes(&zeros).expect("twenty numbers of eight bytes")
        },
        seats: List::new(),
    })
}
