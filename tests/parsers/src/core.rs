//! What a bitcoind answers, as far as it is more than hex.

use palisade_bitcoin::client::{Acceptance, ChainInfo, Pooled, Unspent};
use serde::de::DeserializeOwned;

/// One byte for the method, then the JSON of its result.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((method, json)) = bytes.split_first() else { return };
    match method % 4 {
        0 => drop(read::<ChainInfo>(json)),
        1 => drop(read::<Acceptance>(json)),
        2 => drop(read::<Pooled>(json)),
        _ => drop(read::<Unspent>(json).and_then(|unspent| unspent.output())),
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

/// Seeds: what Core 28 says on regtest.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let hash = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";
    let answers = [
        (
            0,
            format!(
                r#"{{"chain":"regtest","blocks":101,"headers":101,"bestblockhash":"{hash}","difficulty":4.6e-10}}"#
            ),
        ),
        (1, r#"{"txid":"00","allowed":false,"reject-reason":"missing-inputs"}"#.to_owned()),
        (2, r#"{"vsize":141,"weight":561,"time":1700000000,"height":101}"#.to_owned()),
        (3, format!(r#"{{"bestblock":"{hash}","confirmations":1,"value":49.99999859,"scriptPubKey":{{"hex":"6a"}}}}"#)),
    ];
    answers.into_iter().map(|(method, json)| [vec![method], json.into_bytes()].concat()).collect()
}
