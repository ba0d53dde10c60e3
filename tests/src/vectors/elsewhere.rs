//! Files whose form is known and which no code of ours can run.

use serde_json::Value;

use super::{File, Outcome, has};

/// Says why a known form is not run.
pub(super) fn skipped(file: &File) -> Option<Outcome> {
    let reason = match file {
        File::Json(value) => json(value)?,
        File::Table(_) | File::Exchanges(_) | File::Other(_) => return None,
    };
    Some(Outcome::Skipped(reason))
}

fn json(value: &Value) -> Option<&'static str> {
    let forms: [(&[&str], &Value, &'static str); 15] = [
        (
            &["Input", "Name"],
            &value[0],
            "precompiles are the EVM's: our contracts call them and no code of ours computes them",
        ),
        (&["schema", "set", "cases"], value, "the risk engine is not built yet"),
        (&["DST", "hash", "tests"], value, "expand_message is inside blst; hash_to_curve covers it"),
        (&["account", "accountProof"], value, PROOFS),
        (&["address", "accountProof"], value, PROOFS),
        (
            &["blockHash", "accessList", "chainId"],
            value,
            "a transaction by its hash: the outbox signs its own and asks for their receipts only",
        ),
        (&["accounts"], value, PROOFS),
        (&["algorithm", "testGroups"], value, "an algorithm we do not use"),
        (&["pubkeys", "tweaks", "valid_test_cases"], value, MUSIG),
        (&["pubkeys", "sorted_pubkeys"], value, MUSIG),
        (&["pnonces", "valid_test_cases"], value, MUSIG),
        (&["rand_", "expected_secnonce"], &value["test_cases"][0], MUSIG),
        (&["secnonces", "pnonces", "aggnonces"], value, MUSIG),
        (&["psigs", "aggnonce"], value, MUSIG),
        (
            &["ikm", "salt_utf8", "hkdf", "expand"],
            value,
            "secrets of Babylon's trustless vaults, which we have none of",
        ),
    ];
    let known = forms.into_iter().find(|(fields, form, _)| has(form, fields)).map(|(.., reason)| reason);
    known.or_else(|| hashes(value).then_some(ETHEREUM))
}

/// Whether it is a list of hashes and nothing else.
fn hashes(value: &Value) -> bool {
    let hash = |value: &Value| value.as_str().is_some_and(|text| text.len() == 66 && text.starts_with("0x"));
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(hash))
}

/// What an Ethereum node answers to questions that we do not ask.
const ETHEREUM: &str = "hashes alone: a block is asked for by its number, and its header names its hash";

/// The covenant signs one by one, as Babylon's scripts ask, so that the chain shows who did.
const MUSIG: &str = "MuSig2: no key or signature is aggregated on Bitcoin here";

/// What a light client of Ethereum would check.
const PROOFS: &str = "proofs of accounts, which none of ours reads: what enough endpoints say counts (R30)";
