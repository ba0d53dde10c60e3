//! From an exposed key to a complete slashing transaction.
//!
//! An equivocation gives away the provider's secret. With it, every adaptor signature the covenant left becomes a
//! signature, the provider's own signature can be made by anybody, and the staker's is in the registration: nobody needs
//! to be asked, and nobody can refuse.

use std::collections::BTreeMap;

use bitcoin::Transaction;
use palisade_crypto::eots;
use palisade_types::evidence::EotsPair;
use palisade_types::{ChainId, Evidence, SchnorrKey, SchnorrSignature, Statement};

use crate::registration::Presigned;
use crate::witness::{self, Signatures};

/// Why a slashing transaction cannot be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlashError {
    /// The secret is none of the vault's providers'.
    #[error("the exposed key is no finality provider of this vault")]
    NotAProvider,
    /// The vault has no such slashing transaction.
    #[error("the vault has no slashing transaction {0}")]
    NoSuchTransaction(usize),
    /// An adaptor signature did not become a signature, although it verified when the vault was registered.
    #[error("covenant member {0}'s adaptor signature does not complete")]
    Incomplete(SchnorrKey),
    /// The evidence does not expose a key: Bitcoin can be slashed by an EOTS pair or an exposed key only.
    #[error("the evidence exposes no key")]
    NothingExposed,
}

impl Presigned {
    /// Slashing transaction `index` of [`crate::vault::CheckedVault::slashings`], with its witness: ready to be sent.
    ///
    /// # Errors
    ///
    /// [`SlashError`].
    pub fn slash(&self, index: usize, provider: &eots::SecretKey) -> Result<Transaction, SlashError> {
        let vault = self.vault();
        let slashing = vault.slashings().get(index).ok_or(SlashError::NoSuchTransaction(index))?;
        let key = witness::x_only(&provider.public());
        let providers = vault.terms().providers();
        let place = providers.iter().position(|provider| *provider == key).ok_or(SlashError::NotAProvider)?;
        let covenant = self.decrypt(index, place, provider)?;
        let guilty = BTreeMap::from([(witness::name(&key), witness::sign(provider, &slashing.sighash))]);
        let mut transaction = slashing.transaction.clone();
        transaction.input[0].witness = Signatures::new()
            .slots(vault.terms().covenant(), &covenant)
            .slots(providers, &guilty)
            .one(self.draft().staker_signature(index))
            .leaf(vault.slashing_leaf(slashing.held));
        Ok(transaction)
    }

    /// Exactly a quorum of the covenant's signatures, each checked: one bad one would make the whole spend invalid.
    fn decrypt(
        &self,
        index: usize,
        place: usize,
        secret: &eots::SecretKey,
    ) -> Result<BTreeMap<SchnorrKey, SchnorrSignature>, SlashError> {
        let sighash = &self.vault().slashings()[index].sighash;
        let quorum = usize::from(self.vault().terms().quorum());
        let one = |(member, adaptor): (SchnorrKey, &palisade_crypto::adaptor::AdaptorSignature)| {
            let incomplete = SlashError::Incomplete(member);
            let signature = adaptor.decrypt(secret).map_err(|_| incomplete)?;
            let signer = eots::PublicKey::from_bytes(member.as_bytes()).map_err(|_| incomplete)?;
            signer.verify_schnorr(sighash, &signature).map_err(|_| incomplete)?;
            Ok((member, SchnorrSignature::new(signature)))
        };
        self.adaptors(index, place).take(quorum).map(one).collect()
    }
}

/// The secret that evidence gives away, when it belongs to one of `providers`.
///
/// # Errors
///
/// [`SlashError::NothingExposed`] when the evidence is of another kind or of another key.
pub fn exposed(evidence: &Evidence, chain: &ChainId, providers: &[SchnorrKey]) -> Result<eots::SecretKey, SlashError> {
    let found = match evidence {
        Evidence::EotsPair(pair) => providers.iter().find_map(|provider| extract(pair, chain, provider)),
        Evidence::ExposedKey(key) => eots::SecretKey::from_bytes(&key.secret).ok(),
        Evidence::Pair(_)
        | Evidence::Ancestor(_)
        | Evidence::Votes(_)
        | Evidence::Covenant(_)
        | Evidence::ExposedProvider(_)
        | Evidence::Verdict(_)
        | Evidence::Certificates(_) => None,
    };
    found
        .filter(|secret| providers.contains(&SchnorrKey::new(secret.public().to_bytes())))
        .ok_or(SlashError::NothingExposed)
}

fn extract(pair: &EotsPair, chain: &ChainId, provider: &SchnorrKey) -> Option<eots::SecretKey> {
    let key = eots::PublicKey::from_bytes(provider.as_bytes()).ok()?;
    let nonce = eots::PublicNonce::from_bytes(pair.nonce.as_bytes()).ok()?;
    let message = |digest| Statement { domain: pair.domain, slot: pair.slot, digest }.eots_message(chain);
    let (first, second) = (message(pair.first.0), message(pair.second.0));
    let s = |s: &palisade_types::Hash| eots::EotsSignature(*s.as_bytes());
    eots::extract(&key, &nonce, (&first, &s(&pair.first.1)), (&second, &s(&pair.second.1))).ok()
}
