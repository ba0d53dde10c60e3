//! The descriptors (BIP-380 and following) by which a wallet recognises a staker's outputs.
//!
//! A wallet that knows miniscript in Taproot can watch a stake, and sign for it, from one line of text. The three leaves are
//! ordinary miniscript, so that nothing has to be taught to it.

use bitcoin::secp256k1::XOnlyPublicKey;
use miniscript::Descriptor;

use crate::scripts::{StakingTerms, UNSPENDABLE};

/// The descriptors of a stake's two outputs, each with its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Of the staking output.
    pub staking: String,
    /// Of the output that the unbonding transaction pays.
    pub unbonding: String,
}

impl Descriptors {
    /// The descriptors of a stake with these terms. They are parsed again and compared with the scripts, so that what a wallet
    /// is told is what the output says; `None` if they ever differed.
    pub fn of(terms: &StakingTerms) -> Option<Self> {
        let (staking, unbonding) = (terms.staking_output().script_pubkey, terms.unbonding_output().script_pubkey);
        let (timelock, slashing) = (timelock(terms, terms.staking_time()), slashing(terms));
        let unbonded = timelock_after_unbonding(terms);
        let leaves = format!("{{{{{timelock},{}}},{slashing}}}", unbonding_leaf(terms));
        Some(Self {
            staking: checked(&leaves, &staking)?,
            unbonding: checked(&format!("{{{unbonded},{slashing}}}"), &unbonding)?,
        })
    }
}

fn checked(leaves: &str, script: &bitcoin::Script) -> Option<String> {
    let internal = XOnlyPublicKey::from_slice(&UNSPENDABLE).ok()?;
    let parsed: Descriptor<XOnlyPublicKey> = format!("tr({internal},{leaves})").parse().ok()?;
    (*parsed.script_pubkey() == *script).then(|| parsed.to_string())
}

fn timelock(terms: &StakingTerms, blocks: u16) -> String {
    format!("and_v(v:pk({}),older({blocks}))", terms.staker())
}

fn timelock_after_unbonding(terms: &StakingTerms) -> String {
    timelock(terms, terms.unbonding_time())
}

fn unbonding_leaf(terms: &StakingTerms) -> String {
    format!("and_v(v:pk({}),{})", terms.staker(), threshold(terms.covenant(), terms.quorum()))
}

fn slashing(terms: &StakingTerms) -> String {
    let (provider, covenant) = (threshold(terms.providers(), 1), threshold(terms.covenant(), terms.quorum()));
    format!("and_v(v:pk({}),and_v(v:{provider},{covenant}))", terms.staker())
}

/// As the scripts have it: a single key needs no counting.
fn threshold(keys: &[XOnlyPublicKey], threshold: u16) -> String {
    match keys {
        [single] => format!("pk({single})"),
        several => {
            let keys: Vec<_> = several.iter().map(ToString::to_string).collect();
            format!("multi_a({threshold},{})", keys.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::secp256k1::{Keypair, SECP256K1, SecretKey};

    fn key(byte: u8) -> XOnlyPublicKey {
        Keypair::from_secret_key(SECP256K1, &SecretKey::from_slice(&[byte; 32]).unwrap()).x_only_public_key().0
    }

    #[test]
    fn a_wallet_recognises_both_outputs_by_their_descriptors() {
        for (providers, covenant, quorum, time) in [
            (vec![key(2)], vec![key(3)], 1, 1),
            (vec![key(2)], vec![key(3), key(4), key(5)], 2, 16),
            (vec![key(2), key(6), key(7)], (10..19).map(key).collect(), 6, 17),
            (vec![key(2), key(6)], (10..30).map(key).collect(), 17, 64_000),
        ] {
            let terms = StakingTerms::new(key(1), providers, covenant, quorum, time, 1_008).unwrap();
            let descriptors = Descriptors::of(&terms).expect("miniscript says what the scripts say");
            assert!(descriptors.staking.starts_with("tr(50929b74") && descriptors.staking.contains('#'));
            assert_ne!(descriptors.staking, descriptors.unbonding);
        }
    }
}
