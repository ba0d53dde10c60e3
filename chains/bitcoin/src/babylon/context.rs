//! What a Babylon signature is bound to besides its message.
//!
//! Mainnet's line binds nothing; the line for many chains puts 64 hexadecimal characters in front of the message, the hash of purpose,
//! chain id and verifier. Which of the two holds is never guessed from a signature: whoever verifies says so.

use bitcoin::bech32::{self, Bech32, Hrp};
use palisade_crypto::sha256;

/// What is signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A finality provider's proof of possession.
    ProviderPossession,
    /// A commitment to randomness.
    RandomnessCommitment,
    /// A finality vote.
    FinalityVote,
    /// A staker's proof of possession.
    StakerPossession,
}

impl Purpose {
    fn tag(self) -> &'static str {
        match self {
            Self::ProviderPossession => "fp_pop",
            Self::RandomnessCommitment => "fp_rand_commit",
            Self::FinalityVote => "fp_fin_vote",
            Self::StakerPossession => "staker_pop",
        }
    }
}

/// The bytes in front of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context(String);

impl Context {
    /// The context of one purpose on one chain before one verifier (a module's or a contract's address).
    pub fn new(purpose: Purpose, chain_id: &str, verifier: &str) -> Self {
        let text = format!("btcstaking/0/{}/{chain_id}/{verifier}", purpose.tag());
        Self(hex::encode(sha256(text.as_bytes())))
    }

    /// No context: only to verify data of the mainnet line, which binds none. Nothing is ever signed with it.
    pub fn none_to_verify_existing_data() -> Self {
        Self(String::new())
    }

    /// The bytes themselves: 64 hexadecimal characters, or nothing.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address of a module's account: bech32 of the first 20 bytes of the hash of its name.
pub fn module_address(module: &str) -> String {
    let hash = sha256(module.as_bytes());
    bech32::encode::<Bech32>(BABYLON, &hash[..20]).expect("20 bytes fit into an address")
}

/// The account that a bech32 address names.
///
/// # Errors
///
/// [`AddressError`].
pub fn account(address: &str) -> Result<[u8; 20], AddressError> {
    if address.len() > MAX_ADDRESS {
        return Err(AddressError);
    }
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(address).map_err(|_| AddressError)?;
    if checked.hrp() != BABYLON {
        return Err(AddressError);
    }
    checked.byte_iter().collect::<Vec<_>>().try_into().map_err(|_| AddressError)
}

/// The text is no account of Babylon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is no account of Babylon")]
pub struct AddressError;

/// The prefix of Babylon's addresses.
const BABYLON: Hrp = Hrp::parse_unchecked("bbn");

/// The longest bech32 text.
const MAX_ADDRESS: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_the_addresses_that_live_votes_name() {
        assert_eq!(module_address("finality"), "bbn1lhf40qkva2f2n3snjjaglsx2yvwz7da9qa0tup");
        assert_eq!(module_address("btcstaking"), "bbn13837feaxn8t0zvwcjwhw7lhpgdcx4s36eqteah");
        assert_eq!(account(&module_address("finality")).unwrap()[..], sha256(b"finality")[..20]);
    }

    #[test]
    fn a_context_names_purpose_chain_and_verifier() {
        let finality = module_address("finality");
        let context = Context::new(Purpose::FinalityVote, "bsn-devnet-1", &finality);
        assert_eq!(context.as_str(), "8535977a2b2ff9f14059d252a3a9abab56dadc76ce9ac071d593722f19f85d66");
        for other in [
            Context::new(Purpose::RandomnessCommitment, "bsn-devnet-1", &finality),
            Context::new(Purpose::FinalityVote, "bsn-devnet-2", &finality),
            Context::new(Purpose::FinalityVote, "bsn-devnet-1", &module_address("btcstaking")),
            Context::none_to_verify_existing_data(),
        ] {
            assert_ne!(other, context);
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in
            ["", "bbn1", "cosmos1lhf40qkva2f2n3snjjaglsx2yvwz7da9", "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l"]
        {
            assert_eq!(account(text), Err(AddressError), "{text}");
        }
        assert_eq!(account(&"b".repeat(91)), Err(AddressError));
        assert_eq!(account("bbn1lhf40qkva2f2n3snjjaglsx2yvwz7da9qa0tuq"), Err(AddressError), "a wrong checksum");
    }
}
