//! The files that an operator or his network passes on.

use palisade_node::config::Config;
use palisade_node::covenant;
use palisade_node::genesis_file::{GenesisFile, to_json};
use palisade_node::keystore::Keystore;
use palisade_types::{Canonical as _, Genesis};

/// A node's configuration, and a covenant process'.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = toml::from_str::<Config>(text);
    let _ = toml::from_str::<covenant::Config>(text);
}

/// A genesis file: what is safe is written again as the same network.
pub(crate) fn genesis(bytes: &[u8]) {
    let Ok(file) = serde_json::from_slice::<GenesisFile>(bytes) else { return };
    let Ok(genesis) = Genesis::try_from(file) else { return };
    let _ = genesis.check();
    let again: GenesisFile = serde_json::from_str(&to_json(&genesis)).expect("what we wrote");
    assert_eq!(Genesis::try_from(again).expect("what we read before"), genesis);
    assert_eq!(Genesis::from_bytes(&genesis.to_bytes()).as_ref(), Ok(&genesis));
}

/// A covenant member's key under a passphrase. It is not opened here: that is made to take a second.
pub(crate) fn keystore(bytes: &[u8]) {
    let Ok(keystore) = serde_json::from_slice::<Keystore>(bytes) else { return };
    let _ = keystore.public();
}

/// Seeds of the parser with this name.
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    let texts = match name {
        "config" => vec![CONFIG, COVENANT],
        "genesis" => vec![include_str!("../../../node/tests/genesis.json")],
        _ => vec![KEYSTORE],
    };
    texts.into_iter().map(|text| text.as_bytes().to_vec()).collect()
}

const CONFIG: &str = r#"genesis = "genesis.json"
data_dir = "data"
signer_dir = "signer"
incarnation = "incarnation"
operator = "0x0909090909090909090909090909090909090909"
[ethereum]
rpc = ["http://127.0.0.1:8545/secret-key"]
sender_key = "ethereum.key"
[bitcoin]
rpc = "http://127.0.0.1:18443"
cookie = ".cookie"
[p2p]
listen = ["/ip4/0.0.0.0/tcp/26101"]
peers = ["/ip4/127.0.0.1/tcp/26101/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"]
[rpc]
listen = "127.0.0.1:26110"
max_batch = 2
[engine]
propose_ms = 1500
[covenant]
enabled = true
[log]
format = "json"
filter = "palisade=debug,info"
"#;

const COVENANT: &str = r#"genesis = "genesis.json"
key = "member.json"
records = "records"
socket = "run/covenant.sock"
confirmations = 2
[[bitcoin]]
rpc = "http://127.0.0.1:18443"
user = "me"
password_file = "password"
[quota]
vaults_per_hour = 100
"#;

/// EIP-2335's own example.
const KEYSTORE: &str = r#"{"crypto": {
"kdf": {"function": "scrypt", "params": {"dklen": 32, "n": 262144, "p": 1, "r": 8,
"salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"}, "message": ""},
"checksum": {"function": "sha256", "params": {},
"message": "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"},
"cipher": {"function": "aes-128-ctr", "params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
"message": "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"}},
"description": "a test", "path": "m/12381/60/3141592653/589793238", "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f",
"pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27", "version": 4}"#;
