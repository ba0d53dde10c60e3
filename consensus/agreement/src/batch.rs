//! Attestations whose signatures are checked together.
//!
//! All honest attestations of a slot sign one message, so that any number of them costs about as much as one
//! ([`bls::verify_same_message`]), and those of several slots share most of that ([`bls::verify_messages`]). Only [`check`], and [`made`] for our own, makes a [`Checked`], and the tally believes it for the key it was checked
//! under, no other: the committee may have changed since.

use palisade_crypto::bls;
use palisade_types::attestation::{Attestation, Statement};
use palisade_types::ids::{BlsKey, ChainId};
use std::collections::BTreeMap;

/// An attestation that the key of an operator made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    attestation: Attestation,
    key: BlsKey,
    signature: bls::Signature,
}

impl Checked {
    /// What was checked.
    #[must_use]
    pub const fn attestation(&self) -> &Attestation {
        &self.attestation
    }

    /// Which key made it.
    #[must_use]
    pub const fn key(&self) -> BlsKey {
        self.key
    }

    /// The signature, read.
    #[must_use]
    pub const fn signature(&self) -> bls::Signature {
        self.signature
    }
}

/// What our own signer made a moment ago under his own `key`: nobody has to check it. `None` when it is no signature.
#[must_use]
pub fn made(attestation: Attestation, key: BlsKey) -> Option<Checked> {
    let signature = bls::Signature::from_bytes(attestation.signature.as_bytes()).ok()?;
    Some(Checked { attestation, key, signature })
}

/// An attestation as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nobody has looked at the signature.
    Unchecked(Attestation),
    /// A key made it; whether that key counts is another question.
    Checked(Checked),
}

impl Heard {
    /// What was said.
    #[must_use]
    pub const fn attestation(&self) -> &Attestation {
        match self {
            Self::Unchecked(attestation) => attestation,
            Self::Checked(checked) => &checked.attestation,
        }
    }
}

/// Checks attestations, those of one statement at the price of about one, and several statements together; the answers in order, `None` for each that its key
/// did not make. `seed` is fresh randomness, as for [`bls::verify_same_message`].
#[must_use]
pub fn check(chain: &ChainId, asked: &[(Attestation, bls::PublicKey)], seed: &[u8; 32]) -> Vec<Option<Checked>> {
    let mut checked = vec![None; asked.len()];
    let mut statements: BTreeMap<Statement, Vec<usize>> = BTreeMap::new();
    for (place, (attestation, key)) in asked.iter().enumerate() {
        if let Ok(signature) = bls::Signature::from_bytes(attestation.signature.as_bytes()) {
            let key = BlsKey::new(key.to_bytes());
            checked[place] = Some(Checked { attestation: *attestation, key, signature });
            statements.entry(attestation.statement).or_default().push(place);
        }
    }
    let pairs = |places: &[usize]| -> Vec<_> {
        places.iter().filter_map(|place| Some((asked[*place].1, checked[*place].as_ref()?.signature))).collect()
    };
    let claims: Vec<_> =
        statements.iter().map(|(statement, places)| (statement.bls_message(chain), pairs(places))).collect();
    let claims: Vec<_> = claims.iter().map(|(message, pairs)| bls::Claim { message, pairs }).collect();
    let bad = bls::verify_messages(&claims, seed);
    for (places, bad) in statements.values().zip(bad) {
        bad.into_iter().for_each(|bad| checked[places[bad]] = None);
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::ids::{BlsSignature, Digest, Domain, OperatorId};

    const CHAIN: ChainId = ChainId::new([1; 32]);

    fn attest(key: u8, slot: u64, lie: bool) -> (Attestation, bls::PublicKey) {
        let statement = Statement { domain: Domain::new([2; 32]), slot, digest: Digest::new([3; 32]) };
        let signed = if lie { Statement { slot: slot + 1, ..statement } } else { statement };
        let secret = bls::SecretKey::from_seed(&[key; 32]);
        let signature = BlsSignature::new(secret.sign(&signed.bls_message(&CHAIN)).to_bytes());
        (Attestation { statement, operator: OperatorId::new([key; 20]), signature }, secret.public())
    }

    #[test]
    fn a_batch_of_several_statements_names_its_bad_ones_in_order() {
        let mut asked: Vec<_> = (1..=12).map(|key| attest(key, u64::from(key % 3), key % 5 == 0)).collect();
        asked[6].0.signature = BlsSignature::new([0xff; 48]);
        let holds: Vec<bool> = check(&CHAIN, &asked, &[5; 32]).iter().map(Option::is_some).collect();
        let expected: Vec<bool> = (1..=12).map(|key| key % 5 != 0 && key != 7).collect();
        assert_eq!(holds, expected);
    }

    /// `vectors/bls/torsion`: a sum accepts it one time in three.
    #[test]
    fn a_signature_with_a_small_order_part_is_refused_in_any_company() {
        let hex = "82ce0023581508b4043e14139ab19cb128dfbefc4aa3b72b5f36a4dccec9bf14e34fe5b1538c7e38c70fdc624cdd69e8";
        let bytes = std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap());
        for seed in 0..12 {
            let mut asked: Vec<_> = (1..=4).map(|key| attest(key, 1, false)).collect();
            asked[2].0.signature = BlsSignature::new(bytes);
            let checked = check(&CHAIN, &asked, &[seed; 32]);
            assert!(checked[2].is_none() && checked.iter().flatten().count() == 3);
        }
    }

    #[test]
    fn what_was_checked_says_under_which_key() {
        let asked = attest(1, 1, false);
        let checked = check(&CHAIN, &[asked], &[0; 32])[0].unwrap();
        assert_eq!(checked.key(), BlsKey::new(asked.1.to_bytes()));
        assert_eq!(Heard::Checked(checked).attestation(), &asked.0);
    }
}
