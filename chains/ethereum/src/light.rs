//! What the light client Committee.sol and BitcoinVaults.sol are told: creation code and calldata, ready to be sent.
//!
//! Nothing is sent from here and nothing is checked that the contracts check. Certificates come as the ledger keeps
//! them, with the committee that made them.

use crate::bindings::committee::Committee as Client;
use crate::bindings::vaults::BitcoinVaults;
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, state_at, unavailable, view_failed};
use alloy::primitives::{B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::sol_types::{SolCall, SolConstructor};
use palisade_crypto::bls::{self, BlsError};
use palisade_types::block::Header;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::{ChainError, ChainPoint};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{Address, BlockId};
use palisade_types::units::{Epoch, Height};

/// The creation code of Committee.sol for a network. `boundary` is the header of the block whose state drew the first
/// committee with weight: the last block of the last epoch without (R6).
#[must_use]
pub fn deploy_committee(genesis: &Genesis, boundary: &Header) -> Vec<u8> {
    let arguments = Client::constructorCall {
        chainId_: B256::from(*genesis.chain_id().as_bytes()),
        palisade_: alloy_address(&genesis.contracts.palisade),
        boundary: boundary.to_bytes().into(),
        maxAgeBlocks_: genesis.parameters.max_age_blocks,
        trustBlocks_: genesis.parameters.trust_blocks,
    };
    [&Client::BYTECODE[..], &arguments.abi_encode()].concat()
}

/// The creation code of BitcoinVaults.sol over a light client that stands at `committee`.
#[must_use]
pub fn deploy_vaults(committee: &Address) -> Vec<u8> {
    let arguments = BitcoinVaults::constructorCall { committee_: alloy_address(committee) };
    [&BitcoinVaults::BYTECODE[..], &arguments.abi_encode()].concat()
}

/// A certificate with the committee that made it, as both contracts take it.
#[derive(Clone, Copy, Debug)]
pub struct Certified<'a> {
    /// The certificate.
    pub certificate: &'a QuorumCertificate,
    /// Who signed it.
    pub committee: &'a Committee,
    /// Whether the list of weights goes with it though nobody is absent: needed when Palisade.sol has convicted
    /// anybody at the committee's snapshot block or later, and about 130 gas a member.
    pub with_weights: bool,
}

/// Calldata of Committee.sol that hands over to the committee which `boundary` names.
///
/// # Errors
///
/// The certificate's signature is no point of the curve.
pub fn hand_over(boundary: &Header, certified: &Certified<'_>) -> Result<Vec<u8>, BlsError> {
    let call = Client::handOverCall { header: boundary.to_bytes().into(), certificate: certified.packed()? };
    Ok(call.abi_encode())
}

/// Calldata of Committee.sol that shows a second certified boundary block of an epoch. `origin` is the boundary
/// block of the epoch before, which named the committee.
///
/// # Errors
///
/// As [`hand_over`].
pub fn contradict(origin: &Header, second: &Header, certified: &Certified<'_>) -> Result<Vec<u8>, BlsError> {
    let call = Client::contradictCall {
        origin: origin.to_bytes().into(),
        header: second.to_bytes().into(),
        certificate: certified.packed()?,
    };
    Ok(call.abi_encode())
}

/// Calldata of BitcoinVaults.sol that posts a claim, whose bytes are what its certificate's digest hashes.
///
/// # Errors
///
/// As [`hand_over`].
pub fn claim(claim: &[u8], certified: &Certified<'_>) -> Result<Vec<u8>, BlsError> {
    let certificate = certified.packed()?;
    Ok(BitcoinVaults::postCall { claim: claim.to_vec().into(), certificate }.abi_encode())
}

/// What the light client knows of the ledger (R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBoundary {
    /// The newest epoch handed over.
    pub epoch: Epoch,
    /// The boundary block whose state drew its committee.
    pub block: BlockId,
    /// That block's height.
    pub height: Height,
    /// Two boundary blocks of one epoch were certified: nothing goes on there (R10).
    pub frozen: bool,
}

impl Ethereum {
    /// The last boundary that genesis' Committee.sol has seen at a final block, as enough endpoints say; `None` while
    /// it does not stand.
    ///
    /// # Errors
    ///
    /// [`ChainError`] says why it could not be read.
    pub async fn last_boundary(&self, at: &ChainPoint) -> Result<Option<LastBoundary>, ChainError> {
        self.agreed(async |endpoint: Endpoint| endpoint.last_boundary(at).await).await
    }
}

impl Endpoint {
    async fn last_boundary(&self, at: &ChainPoint) -> Result<Option<LastBoundary>, ChainError> {
        let provider = self.provider().await?;
        let address = alloy_address(&self.genesis().contracts.committee);
        let code = provider.get_code_at(address).block_id(state_at(at)).await;
        if code.map_err(|error| unavailable("asking for the light client's code", error))?.is_empty() {
            return Ok(None);
        }
        let contract = Client::new(address, provider);
        let latest = contract.latest().block(state_at(at)).call().await;
        let latest = latest.map_err(|error| view_failed("asking Committee.sol for its last boundary", error))?;
        let frozen = contract.frozen().block(state_at(at)).call().await;
        let frozen = frozen.map_err(|error| view_failed("asking Committee.sol whether it goes on", error))?;
        Ok(Some(LastBoundary {
            epoch: Epoch::new(latest.epoch),
            block: BlockId::new(latest.blockId.0),
            height: Height::new(latest.height),
            frozen,
        }))
    }
}

impl Certified<'_> {
    /// The bytes that Committee.sol tells of: the committee's figures and the signature; and unless all have signed and
    /// nobody needs to look for convicts, who is absent and what everybody weighs.
    pub(crate) fn packed(&self) -> Result<Bytes, BlsError> {
        let signature = bls::Signature::from_bytes(self.certificate.signature.as_bytes())?;
        let mut bytes = self.committee.figures();
        bytes.extend_from_slice(&signature.to_packed());
        let absent = (0..self.committee.members.len()).filter(|seat| !self.certificate.names(*seat));
        let absent = absent.fold(U256::ZERO, |absent, seat| absent | U256::ONE << seat);
        if self.with_weights || !absent.is_zero() {
            bytes.extend_from_slice(&absent.to_be_bytes::<32>());
            bytes.extend_from_slice(&self.committee.judged());
        }
        Ok(bytes.into())
    }
}
