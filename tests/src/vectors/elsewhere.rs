//! Files whose form is known and which another room checks.

use serde_json::Value;

use super::{File, Outcome, has};

/// Says who checks a known form.
pub(super) fn skipped(file: &File) -> Option<Outcome> {
    let reason = match file {
        File::Json(value) => json(value)?,
        File::Other(ending) if ending == "io" => "JSON-RPC pairs: chains/ethereum checks them",
        File::Table(_) | File::Other(_) => return None,
    };
    Some(Outcome::Skipped(reason))
}

fn json(value: &Value) -> Option<&'static str> {
    let forms: [(&[&str], &Value, &'static str); 12] = [
        (&["Input", "Name"], &value[0], "precompiles: the contracts' tests check them"),
        (&["schema", "set", "cases"], value, "risk networks: the ledger's tests check them"),
        (&["steps", "genesis_validators_root"], value, "interchange: the guard's tests check them"),
        (&["DST", "hash", "tests"], value, "expand_message is inside blst; hash_to_curve covers it"),
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
    forms.into_iter().find(|(fields, form, _)| has(form, fields)).map(|(.., reason)| reason)
}

/// The covenant signs one by one, as Babylon's scripts ask, so that the chain shows who did.
const MUSIG: &str = "MuSig2: no key or signature is aggregated on Bitcoin here";
