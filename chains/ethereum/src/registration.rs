//! An operator's keys in Palisade.sol.

use crate::account::Account;
use crate::bindings::palisade::Palisade::{self, KeysRegistered, registerCall};
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, view_failed};
use crate::facts::lied;
use crate::outbox::{Draft, Fate, Sent};
use alloy::primitives::B256;
use alloy::sol_types::{SolCall, SolEvent};
use palisade_crypto::bls;
use palisade_types::canonical::Blob;
use palisade_types::chain::ChainError;
use palisade_types::ids::{
    Address, BlsKey, BlsSignature, Ed25519Key, Ed25519Signature, OperatorId, SchnorrKey, SchnorrSignature,
};
use palisade_types::operator::MAX_PEER_ID;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a registration is followed before its sender is told to look again.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a block is asked for.
const POLL: Duration = Duration::from_millis(500);
/// Storing a key costs the same everywhere; the estimate needs no more than a little room for another block's state.
const SPARE_GAS: u64 = 50_000;

/// All keys of an operator with their proofs of possession (R12), made over `palisade_types::possession`.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Attests.
    pub bls: BlsKey,
    /// Over `possession::bls_message`, under the possession tag.
    pub bls_proof: BlsSignature,
    /// Votes.
    pub ed25519: Ed25519Key,
    /// Over `possession::ed25519_message`.
    pub ed25519_proof: Ed25519Signature,
    /// Attests for Bitcoin stake.
    pub eots: SchnorrKey,
    /// Over `possession::eots_message`, BIP-340.
    pub eots_proof: SchnorrSignature,
    /// The libp2p peer, multihash bytes.
    pub peer: Blob<MAX_PEER_ID>,
}

/// An operator's open row in the newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The row's id, from 1.
    pub key_id: u32,
    /// The first block in which it stands.
    pub from: u64,
    /// Its attestation key.
    pub bls: BlsKey,
}

impl Ethereum {
    /// The operator's open row in the newest block; `None` when it never registered. It counts for the network
    /// only once a finalized block holds it.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`] when no endpoint answers.
    pub async fn registered(&self, operator: &OperatorId) -> Result<Option<Registered>, ChainError> {
        self.first(async |endpoint: Endpoint| registered(&endpoint, operator).await).await
    }

    /// Registers the keys for `operator`, who pays, and waits until a block holds them. Keys that stand already are
    /// not sent again, so that this can be run twice.
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] with the contract's reason, or when no block takes it in for three minutes: then ask
    /// [`Ethereum::registered`]. [`ChainError::Unavailable`] when no endpoint answers.
    pub async fn register_keys(&self, operator: &Account, keys: &Keys) -> Result<Registered, ChainError> {
        let id = OperatorId::new(*operator.address().as_bytes());
        match self.registered(&id).await? {
            Some(registered) if registered.bls == keys.bls => return Ok(registered),
            _ => {}
        }
        let input = registerCall { keys: told(keys)? }.abi_encode();
        let draft =
            Draft { to: alloy_address(&self.genesis.contracts.palisade), input: input.into(), spare_gas: SPARE_GAS };
        self.first(async |endpoint: Endpoint| register(&endpoint, operator, draft.clone()).await).await
    }
}

async fn registered(endpoint: &Endpoint, operator: &OperatorId) -> Result<Option<Registered>, ChainError> {
    let palisade = alloy_address(&endpoint.genesis().contracts.palisade);
    let contract = Palisade::new(palisade, endpoint.provider().await?);
    let account = alloy_address(&Address::from(*operator));
    let id = contract.openKeyId(account).call().await;
    let id = id.map_err(|error| view_failed("asking for an operator's open row", error))?;
    if id == 0 {
        return Ok(None);
    }
    let row = contract.row(id).call().await;
    let row = row.map_err(|error| view_failed("asking for a key row", error))?;
    let key = contract.blsKey(id).call().await;
    let key = key.map_err(|error| view_failed("asking for a row's key", error))?;
    Ok(Some(Registered { key_id: id, from: row.from.to(), bls: unpacked(&key)? }))
}

async fn register(endpoint: &Endpoint, operator: &Account, draft: Draft) -> Result<Registered, ChainError> {
    let mut sent = Sent::send(endpoint, operator, draft, 0).await?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match sent.follow(endpoint, operator).await? {
            Fate::Waiting(_) => sleep(POLL).await,
            Fate::Replaced => {
                return Err(ChainError::Refused("another transaction of the account took its place".to_owned()));
            }
            Fate::Included(receipt) if !receipt.status() => {
                return Err(ChainError::Refused("the registration reverted in its block".to_owned()));
            }
            Fate::Included(receipt) => {
                let palisade = alloy_address(&endpoint.genesis().contracts.palisade);
                let mut logs = receipt.logs().iter().filter(|log| log.address() == palisade);
                let event = logs.find_map(|log| KeysRegistered::decode_log_data_validate(log.data()).ok());
                let event = event.ok_or_else(|| lied("a registration without its log"))?;
                return Ok(Registered { key_id: event.keyId, from: event.fromBlock, bls: unpacked(&event.bls)? });
            }
        }
    }
    // Refused and not Unavailable: another endpoint would send it a second time.
    Err(ChainError::Refused(format!("no block took in {} yet; look again later", sent.hash())))
}

fn unpacked(packed: &[u8]) -> Result<BlsKey, ChainError> {
    let key = packed.try_into().ok().and_then(|packed| bls::PublicKey::from_packed(packed).ok());
    key.map(|key| BlsKey::new(key.to_bytes())).ok_or_else(|| lied("a row whose attestation key is none"))
}

fn told(keys: &Keys) -> Result<Palisade::Keys, ChainError> {
    let bad = |error: bls::BlsError| ChainError::Refused(error.to_string());
    Ok(Palisade::Keys {
        bls: bls::PublicKey::from_bytes(keys.bls.as_bytes()).map_err(bad)?.to_packed().to_vec().into(),
        blsProof: bls::Signature::from_bytes(keys.bls_proof.as_bytes()).map_err(bad)?.to_packed().to_vec().into(),
        ed25519: B256::from(*keys.ed25519.as_bytes()),
        ed25519Proof: keys.ed25519_proof.as_bytes().to_vec().into(),
        eots: B256::from(*keys.eots.as_bytes()),
        eotsProof: keys.eots_proof.as_bytes().to_vec().into(),
        peerId: keys.peer.to_vec().into(),
    })
}
