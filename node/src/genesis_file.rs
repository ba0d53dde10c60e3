//! Genesis as people pass it on: a JSON file that converts to [`Genesis`] and back without loss. What is hashed
//! is always the canonical encoding, never the text, so that spaces and the order of keys do not matter.
//!
//! Amounts are decimal strings, hashes of Bitcoin stand as Bitcoin shows them (byte-reversed, without `0x`),
//! everything else is `0x`-hex or a number.

use crate::text::{bitcoin_hash, hex_bytes, parse_bitcoin_hash, parse_hex_bytes};
use palisade_types::block::Header;
use palisade_types::canonical::{Blob, Canonical, List, Malformed};
use palisade_types::chain::ChainPoint;
use palisade_types::genesis::{
    Asset, Caps, Continues, Contracts, Genesis, KarakContracts, Parameters, Seat, SymbioticContracts, Unsafe,
    VaultTerms,
};
use palisade_types::ids::{Address, ChainId, Ed25519Key, Hash, OperatorId, SchnorrKey};
use palisade_types::position::StakeSource;
use palisade_types::price::{Feed, Price};
use palisade_types::units::{BasisPoints, MicroUsd, Sats, Wad};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;

/// The largest genesis file, in bytes: 256 seats need a tenth of it.
pub const MAX_GENESIS_FILE: u64 = 1 << 20;

/// Why a genesis file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadGenesis {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is larger than [`MAX_GENESIS_FILE`].
    #[error("is larger than {MAX_GENESIS_FILE} bytes")]
    TooLarge,
    /// It is no JSON of this shape: a key is unknown, missing or of another type.
    #[error("is not a genesis: {0}")]
    Json(#[from] serde_json::Error),
    /// A value is not what its key asks for.
    #[error("key `{key}`: {reason}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// It can be read, but a network made of it would not be safe.
    #[error("is not safe: {0}")]
    Unsafe(#[from] Unsafe),
}

/// Reads and checks the file at `path`.
///
/// # Errors
///
/// [`BadGenesis`] says what is wrong with it, without naming the file.
pub fn read(path: &Path) -> Result<Genesis, BadGenesis> {
    if std::fs::metadata(path)?.len() > MAX_GENESIS_FILE {
        return Err(BadGenesis::TooLarge);
    }
    let genesis: Genesis = serde_json::from_slice::<GenesisFile>(&std::fs::read(path)?)?.try_into()?;
    genesis.check()?;
    Ok(genesis)
}

/// The text of `genesis`, to be written to a file that [`read`] takes.
#[must_use]
pub fn to_json(genesis: &Genesis) -> String {
    let mut text = serde_json::to_string_pretty(&GenesisFile::from(genesis))
        .expect("a struct of strings and numbers has a JSON form");
    text.push('\n');
    text
}

/// See [`Genesis`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisFile {
    /// 32 random bytes.
    pub random: String,
    /// EIP-155 chain id.
    pub evm_chain_id: u64,
    /// Bitcoin's genesis block.
    pub bitcoin_genesis: String,
    /// The first Ethereum anchor.
    pub ethereum_start: PointFile,
    /// The first Bitcoin anchor.
    pub bitcoin_start: PointFile,
    /// Addresses on Ethereum.
    pub contracts: ContractsFile,
    /// Kinds of ETH-side stake, by strategy ascending.
    pub assets: Vec<AssetFile>,
    /// Versions of the terms of vaults, by activation ascending; absent when bitcoin does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vaults: Vec<VaultTermsFile>,
    /// The protocol's numbers.
    pub parameters: ParametersFile,
    /// Seats of epoch 0, by operator ascending.
    pub seats: Vec<SeatFile>,
    /// What it goes on from (R21); absent in a network that begins with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<ContinuesFile>,
}

/// See [`Continues`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuesFile {
    /// The header of the last ether-final block before, canonical bytes.
    pub block: String,
    /// The chain ids before, the first of them first.
    pub line: Vec<String>,
}

/// See [`ChainPoint`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointFile {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: String,
    /// The first log not taken in; absent when the whole block is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<u32>,
    /// Seconds since 1970.
    pub time: u64,
}

/// See [`Contracts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractsFile {
    /// Registry and judge.
    pub palisade: String,
    /// Our EigenLayer adapter.
    pub eigenlayer_adapter: String,
    /// The light client.
    pub committee: String,
    /// EigenLayer's AllocationManager.
    pub allocation_manager: String,
    /// EigenLayer's DelegationManager.
    pub delegation_manager: String,
    /// Orders.sol.
    pub orders: String,
    /// Symbiotic's; absent where no stake there counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbiotic: Option<SymbioticFile>,
    /// Karak's; absent where no stake there counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karak: Option<KarakFile>,
}

/// See [`KarakContracts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KarakFile {
    /// Our adapter: the service.
    pub adapter: String,
    /// Core.
    pub core: String,
    /// Seconds until stake can leave; 777600 on Karak's networks.
    pub unstake_seconds: u64,
    /// Seconds a slash waits for a veto; 172800 there.
    pub veto_seconds: u64,
}

/// See [`SymbioticContracts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbioticFile {
    /// Our adapter: network and middleware.
    pub adapter: String,
    /// VaultFactory.
    pub vault_factory: String,
    /// NetworkMiddlewareService.
    pub middleware_service: String,
}

/// See [`Asset`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetFile {
    /// `eigenlayer`, `symbiotic` or `karak`.
    pub source: String,
    /// EigenLayer's strategy, Symbiotic's or Karak's vault.
    pub asset: String,
    /// Micro-dollars of 1e18 shares, or of 1e18 of the collateral's smallest units; or `feed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Where the price is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedFile>,
    /// Micro-dollars that this asset weighs at most; absent when it is not capped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<String>,
    /// Of 1e18, what an equivocation takes.
    pub equivocation: String,
}

/// See [`Feed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedFile {
    /// The aggregator.
    pub aggregator: String,
    /// The token's decimals.
    pub asset_decimals: u8,
    /// Micro-dollars, until the first answer.
    pub start: String,
    /// Seconds.
    pub max_age: u64,
    /// Hundredths of a percent.
    pub max_jump: u16,
}

/// See [`VaultTerms`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultTermsFile {
    /// Bitcoin height.
    pub activation: u64,
    /// Covenant keys, ascending.
    pub covenant: Vec<String>,
    /// The operators whose they are, in the same order.
    pub members: Vec<String>,
    /// Whether operators may sign for their own vaults; false when absent.
    #[serde(default)]
    pub devnet: bool,
    /// How many must sign.
    pub quorum: u8,
    /// Blocks.
    pub min_staking_time: u16,
    /// Blocks.
    pub max_staking_time: u16,
    /// Blocks.
    pub unbonding_time: u16,
    /// Satoshis.
    pub unbonding_fee: u64,
    /// Hundredths of a percent.
    pub slash_rate: u16,
    /// Script, hex.
    pub slash_script: String,
    /// Satoshis.
    pub min_slash_fee: u64,
    /// Satoshis.
    pub min_stake: u64,
}

/// See [`Parameters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each is the field of the same name
pub struct ParametersFile {
    pub epoch_heights: u64,
    pub epoch_ethereum_blocks: u64,
    pub epoch_bitcoin_blocks: u64,
    pub max_age_blocks: u64,
    pub trust_blocks: u64,
    pub execution_blocks: u64,
    pub observation_lag_blocks: u64,
    pub bitcoin_depth: u64,
    pub deallocation_delay: u64,
    pub checkpoint_interval: u64,
    pub attest_lag_blocks: u64,
    pub min_total: String,
    pub min_bond: String,
    pub bitcoin_price: String,
    pub order_part: String,
    pub order_delay_blocks: u64,
    /// Zero when absent.
    #[serde(default)]
    pub window_seconds: u64,
    /// None when absent.
    #[serde(default, skip_serializing_if = "CapsFile::is_empty")]
    pub caps: CapsFile,
    /// [`Parameters::usual_duty_slots`] when absent.
    #[serde(default)]
    pub duty_slots: Option<u64>,
}

/// See [`Caps`]; what is absent is not capped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the fields are documented in Caps
pub struct CapsFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eigenlayer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbiotic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karak: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl CapsFile {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn parse(&self) -> Result<Caps, BadGenesis> {
        Ok(Caps {
            eigenlayer: cap("parameters.caps.eigenlayer", self.eigenlayer.as_deref())?,
            symbiotic: cap("parameters.caps.symbiotic", self.symbiotic.as_deref())?,
            karak: cap("parameters.caps.karak", self.karak.as_deref())?,
            operator: cap("parameters.caps.operator", self.operator.as_deref())?,
        })
    }
}

impl From<&Caps> for CapsFile {
    fn from(caps: &Caps) -> Self {
        Self {
            eigenlayer: cap_file(caps.eigenlayer),
            symbiotic: cap_file(caps.symbiotic),
            karak: cap_file(caps.karak),
            operator: cap_file(caps.operator),
        }
    }
}

/// See [`Seat`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeatFile {
    /// Account.
    pub operator: String,
    /// Voting key.
    pub ed25519: String,
    /// Peer id, multihash bytes.
    pub peer: String,
}

impl From<&Genesis> for GenesisFile {
    fn from(genesis: &Genesis) -> Self {
        Self {
            random: genesis.random.to_string(),
            evm_chain_id: genesis.evm_chain_id,
            bitcoin_genesis: bitcoin_hash(&genesis.bitcoin_genesis),
            ethereum_start: point_file(&genesis.ethereum_start, genesis.ethereum_start.hash.to_string()),
            bitcoin_start: point_file(&genesis.bitcoin_start, bitcoin_hash(&genesis.bitcoin_start.hash)),
            contracts: ContractsFile {
                palisade: genesis.contracts.palisade.to_string(),
                eigenlayer_adapter: genesis.contracts.eigenlayer_adapter.to_string(),
                committee: genesis.contracts.committee.to_string(),
                allocation_manager: genesis.contracts.allocation_manager.to_string(),
                delegation_manager: genesis.contracts.delegation_manager.to_string(),
                orders: genesis.contracts.orders.to_string(),
                symbiotic: genesis.contracts.symbiotic.as_ref().map(SymbioticFile::from),
                karak: genesis.contracts.karak.as_ref().map(KarakFile::from),
            },
            assets: genesis.assets.iter().map(AssetFile::from).collect(),
            vaults: genesis.vaults.iter().map(VaultTermsFile::from).collect(),
            parameters: ParametersFile::from(&genesis.parameters),
            seats: genesis.seats.iter().map(SeatFile::from).collect(),
            continues: genesis.continues.as_ref().map(ContinuesFile::from),
        }
    }
}

fn point_file(point: &ChainPoint, hash: String) -> PointFile {
    PointFile { number: point.number, hash, log: (point.log != u32::MAX).then_some(point.log), time: point.time }
}

impl From<&SymbioticContracts> for SymbioticFile {
    fn from(contracts: &SymbioticContracts) -> Self {
        Self {
            adapter: contracts.adapter.to_string(),
            vault_factory: contracts.vault_factory.to_string(),
            middleware_service: contracts.middleware_service.to_string(),
        }
    }
}

impl From<&KarakContracts> for KarakFile {
    fn from(contracts: &KarakContracts) -> Self {
        Self {
            adapter: contracts.adapter.to_string(),
            core: contracts.core.to_string(),
            unstake_seconds: contracts.unstake_seconds,
            veto_seconds: contracts.veto_seconds,
        }
    }
}

impl From<&Asset> for AssetFile {
    fn from(asset: &Asset) -> Self {
        Self {
            source: asset.source.protocol().to_owned(),
            asset: asset.source.asset().to_string(),
            price: match &asset.price {
                Price::Fixed(price) => Some(price.to_string()),
                Price::Feed(_) => None,
            },
            feed: match &asset.price {
                Price::Fixed(_) => None,
                Price::Feed(feed) => Some(FeedFile::from(feed)),
            },
            cap: cap_file(asset.cap),
            equivocation: asset.equivocation.to_string(),
        }
    }
}

impl From<&VaultTerms> for VaultTermsFile {
    fn from(terms: &VaultTerms) -> Self {
        Self {
            activation: terms.activation,
            covenant: terms.covenant.iter().map(ToString::to_string).collect(),
            members: terms.members.iter().map(ToString::to_string).collect(),
            devnet: terms.devnet,
            quorum: terms.quorum,
            min_staking_time: terms.min_staking_time,
            max_staking_time: terms.max_staking_time,
            unbonding_time: terms.unbonding_time,
            unbonding_fee: terms.unbonding_fee.get(),
            slash_rate: terms.slash_rate.get(),
            slash_script: hex_bytes(&terms.slash_script),
            min_slash_fee: terms.min_slash_fee.get(),
            min_stake: terms.min_stake.get(),
        }
    }
}

impl From<&Parameters> for ParametersFile {
    fn from(p: &Parameters) -> Self {
        Self {
            epoch_heights: p.epoch_heights,
            epoch_ethereum_blocks: p.epoch_ethereum_blocks,
            epoch_bitcoin_blocks: p.epoch_bitcoin_blocks,
            max_age_blocks: p.max_age_blocks,
            trust_blocks: p.trust_blocks,
            execution_blocks: p.execution_blocks,
            observation_lag_blocks: p.observation_lag_blocks,
            bitcoin_depth: p.bitcoin_depth,
            deallocation_delay: p.deallocation_delay,
            checkpoint_interval: p.checkpoint_interval,
            attest_lag_blocks: p.attest_lag_blocks,
            min_total: p.min_total.to_string(),
            min_bond: p.min_bond.to_string(),
            bitcoin_price: p.bitcoin_price.to_string(),
            order_part: p.order_part.to_string(),
            order_delay_blocks: p.order_delay_blocks,
            window_seconds: p.window_seconds,
            caps: CapsFile::from(&p.caps),
            duty_slots: Some(p.duty_slots),
        }
    }
}

impl From<&Seat> for SeatFile {
    fn from(seat: &Seat) -> Self {
        Self { operator: seat.operator.to_string(), ed25519: seat.ed25519.to_string(), peer: hex_bytes(&seat.peer) }
    }
}

impl TryFrom<GenesisFile> for Genesis {
    type Error = BadGenesis;
    fn try_from(file: GenesisFile) -> Result<Self, BadGenesis> {
        let assets = file.assets.iter().map(AssetFile::parse).collect::<Result<Vec<_>, _>>()?;
        let vaults = file.vaults.into_iter().map(VaultTermsFile::parse).collect::<Result<Vec<_>, _>>()?;
        let seats = file.seats.iter().map(SeatFile::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            random: parse("random", &file.random)?,
            evm_chain_id: file.evm_chain_id,
            bitcoin_genesis: bitcoin("bitcoin_genesis", &file.bitcoin_genesis)?,
            ethereum_start: file.ethereum_start.parse(parse("ethereum_start.hash", &file.ethereum_start.hash)?),
            bitcoin_start: file.bitcoin_start.parse(bitcoin("bitcoin_start.hash", &file.bitcoin_start.hash)?),
            contracts: file.contracts.parse()?,
            assets: bounded("assets", assets)?,
            vaults: bounded("vaults", vaults)?,
            parameters: file.parameters.parse()?,
            seats: bounded("seats", seats)?,
            continues: file.continues.map(ContinuesFile::parse).transpose()?,
        })
    }
}

impl PointFile {
    fn parse(&self, hash: Hash) -> ChainPoint {
        ChainPoint { number: self.number, hash, log: self.log.unwrap_or(u32::MAX), time: self.time }
    }
}

impl ContractsFile {
    fn parse(&self) -> Result<Contracts, BadGenesis> {
        let address = |key, text: &str| parse::<Address>(key, text);
        Ok(Contracts {
            palisade: address("contracts.palisade", &self.palisade)?,
            eigenlayer_adapter: address("contracts.eigenlayer_adapter", &self.eigenlayer_adapter)?,
            committee: address("contracts.committee", &self.committee)?,
            allocation_manager: address("contracts.allocation_manager", &self.allocation_manager)?,
            delegation_manager: address("contracts.delegation_manager", &self.delegation_manager)?,
            orders: address("contracts.orders", &self.orders)?,
            symbiotic: self.symbiotic.as_ref().map(SymbioticFile::parse).transpose()?,
            karak: self.karak.as_ref().map(KarakFile::parse).transpose()?,
        })
    }
}

impl SymbioticFile {
    fn parse(&self) -> Result<SymbioticContracts, BadGenesis> {
        Ok(SymbioticContracts {
            adapter: parse("contracts.symbiotic.adapter", &self.adapter)?,
            vault_factory: parse("contracts.symbiotic.vault_factory", &self.vault_factory)?,
            middleware_service: parse("contracts.symbiotic.middleware_service", &self.middleware_service)?,
        })
    }
}

impl KarakFile {
    fn parse(&self) -> Result<KarakContracts, BadGenesis> {
        Ok(KarakContracts {
            adapter: parse("contracts.karak.adapter", &self.adapter)?,
            core: parse("contracts.karak.core", &self.core)?,
            unstake_seconds: self.unstake_seconds,
            veto_seconds: self.veto_seconds,
        })
    }
}

impl From<&Feed> for FeedFile {
    fn from(feed: &Feed) -> Self {
        Self {
            aggregator: feed.aggregator.to_string(),
            asset_decimals: feed.asset_decimals,
            start: feed.start.to_string(),
            max_age: feed.max_age,
            max_jump: feed.max_jump.get(),
        }
    }
}

impl FeedFile {
    fn parse(&self) -> Result<Feed, BadGenesis> {
        let max_jump = BasisPoints::new(self.max_jump);
        Ok(Feed {
            aggregator: parse("assets.feed.aggregator", &self.aggregator)?,
            asset_decimals: self.asset_decimals,
            start: MicroUsd::new(parse("assets.feed.start", &self.start)?),
            max_age: self.max_age,
            max_jump: max_jump.ok_or_else(|| value("assets.feed.max_jump", "is more than 10000"))?,
        })
    }
}

/// Absent where nothing is capped.
fn cap_file(cap: MicroUsd) -> Option<String> {
    (cap != Caps::ANY).then(|| cap.to_string())
}

fn cap(key: &'static str, cap: Option<&str>) -> Result<MicroUsd, BadGenesis> {
    cap.map_or(Ok(Caps::ANY), |cap| Ok(MicroUsd::new(parse(key, cap)?)))
}

impl AssetFile {
    fn price(&self) -> Result<Price, BadGenesis> {
        match (&self.price, &self.feed) {
            (Some(price), None) => Ok(Price::Fixed(MicroUsd::new(parse("assets.price", price)?))),
            (None, Some(feed)) => Ok(Price::Feed(feed.parse()?)),
            _ => Err(value("assets.price", "stands beside `feed`, or neither of them does")),
        }
    }

    fn parse(&self) -> Result<Asset, BadGenesis> {
        let asset = parse("assets.asset", &self.asset)?;
        let source = match self.source.as_str() {
            "eigenlayer" => StakeSource::EigenLayer(asset),
            "symbiotic" => StakeSource::Symbiotic(asset),
            "karak" => StakeSource::Karak(asset),
            _ => return Err(value("assets.source", "is neither `eigenlayer`, `symbiotic` nor `karak`")),
        };
        Ok(Asset {
            source,
            price: self.price()?,
            cap: cap("assets.cap", self.cap.as_deref())?,
            equivocation: Wad::new(parse("assets.equivocation", &self.equivocation)?),
        })
    }
}

impl VaultTermsFile {
    fn parse(self) -> Result<VaultTerms, BadGenesis> {
        let covenant = self.covenant.iter().map(|key| parse::<SchnorrKey>("vaults.covenant", key));
        let members = self.members.iter().map(|operator| parse::<OperatorId>("vaults.members", operator));
        Ok(VaultTerms {
            activation: self.activation,
            covenant: bounded("vaults.covenant", covenant.collect::<Result<Vec<_>, _>>()?)?,
            members: bounded("vaults.members", members.collect::<Result<Vec<_>, _>>()?)?,
            devnet: self.devnet,
            quorum: self.quorum,
            min_staking_time: self.min_staking_time,
            max_staking_time: self.max_staking_time,
            unbonding_time: self.unbonding_time,
            unbonding_fee: Sats::new(self.unbonding_fee),
            slash_rate: BasisPoints::new(self.slash_rate)
                .ok_or_else(|| value("vaults.slash_rate", "is more than the whole, 10000"))?,
            slash_script: blob("vaults.slash_script", &self.slash_script)?,
            min_slash_fee: Sats::new(self.min_slash_fee),
            min_stake: Sats::new(self.min_stake),
        })
    }
}

impl ParametersFile {
    fn parse(&self) -> Result<Parameters, BadGenesis> {
        Ok(Parameters {
            epoch_heights: self.epoch_heights,
            epoch_ethereum_blocks: self.epoch_ethereum_blocks,
            epoch_bitcoin_blocks: self.epoch_bitcoin_blocks,
            max_age_blocks: self.max_age_blocks,
            trust_blocks: self.trust_blocks,
            execution_blocks: self.execution_blocks,
            observation_lag_blocks: self.observation_lag_blocks,
            bitcoin_depth: self.bitcoin_depth,
            deallocation_delay: self.deallocation_delay,
            checkpoint_interval: self.checkpoint_interval,
            attest_lag_blocks: self.attest_lag_blocks,
            min_total: MicroUsd::new(parse("parameters.min_total", &self.min_total)?),
            min_bond: MicroUsd::new(parse("parameters.min_bond", &self.min_bond)?),
            bitcoin_price: MicroUsd::new(parse("parameters.bitcoin_price", &self.bitcoin_price)?),
            order_part: Wad::new(parse("parameters.order_part", &self.order_part)?),
            order_delay_blocks: self.order_delay_blocks,
            window_seconds: self.window_seconds,
            caps: self.caps.parse()?,
            duty_slots: self.duty_slots.unwrap_or_else(|| Parameters::usual_duty_slots(self.epoch_heights)),
        })
    }
}

impl From<&Continues> for ContinuesFile {
    fn from(continues: &Continues) -> Self {
        Self {
            block: hex_bytes(&continues.block.to_bytes()),
            line: continues.line.iter().map(ToString::to_string).collect(),
        }
    }
}

impl ContinuesFile {
    fn parse(self) -> Result<Continues, BadGenesis> {
        let block = parse_hex_bytes(&self.block).map_err(|error| value("continues.block", error))?;
        let line = self.line.iter().map(|chain| parse::<ChainId>("continues.line", chain));
        Ok(Continues {
            block: Header::from_bytes(&block).map_err(|error| value("continues.block", error))?,
            line: bounded("continues.line", line.collect::<Result<Vec<_>, _>>()?)?,
        })
    }
}

impl SeatFile {
    fn parse(&self) -> Result<Seat, BadGenesis> {
        Ok(Seat {
            operator: parse::<OperatorId>("seats.operator", &self.operator)?,
            ed25519: parse::<Ed25519Key>("seats.ed25519", &self.ed25519)?,
            peer: blob("seats.peer", &self.peer)?,
        })
    }
}

fn value(key: &'static str, reason: impl ToString) -> BadGenesis {
    BadGenesis::Value { key, reason: reason.to_string() }
}

fn parse<T: FromStr<Err: ToString>>(key: &'static str, text: &str) -> Result<T, BadGenesis> {
    text.parse().map_err(|error: T::Err| value(key, error))
}

fn bitcoin(key: &'static str, text: &str) -> Result<Hash, BadGenesis> {
    parse_bitcoin_hash(text).map_err(|error| value(key, error))
}

fn blob<const MAX: usize>(key: &'static str, text: &str) -> Result<Blob<MAX>, BadGenesis> {
    let bytes = parse_hex_bytes(text).map_err(|error| value(key, error))?;
    bytes.try_into().map_err(|error: Malformed| value(key, error))
}

fn bounded<T, const MAX: usize>(key: &'static str, entries: Vec<T>) -> Result<List<T, MAX>, BadGenesis> {
    entries.try_into().map_err(|error: Malformed| value(key, error))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use palisade_types::{BlockId, Epoch, Height};

    /// A genesis that [`Genesis::check`] takes, with devnet.md's numbers.
    pub(crate) fn sample() -> Genesis {
        Genesis {
            random: Hash::new([7; 32]),
            evm_chain_id: 31_337,
            bitcoin_genesis: Hash::new(std::array::from_fn(|i| i as u8)),
            ethereum_start: ChainPoint { number: 5, hash: Hash::new([1; 32]), log: u32::MAX, time: 100 },
            bitcoin_start: ChainPoint { number: 101, hash: Hash::new([2; 32]), log: 3, time: 90 },
            contracts: Contracts {
                palisade: Address::new([1; 20]),
                eigenlayer_adapter: Address::new([2; 20]),
                committee: Address::new([3; 20]),
                allocation_manager: Address::new([4; 20]),
                delegation_manager: Address::new([5; 20]),
                orders: Address::new([10; 20]),
                symbiotic: Some(SymbioticContracts {
                    adapter: Address::new([0x11; 20]),
                    vault_factory: Address::new([0x12; 20]),
                    middleware_service: Address::new([0x13; 20]),
                }),
                karak: Some(KarakContracts {
                    adapter: Address::new([0x21; 20]),
                    core: Address::new([0x22; 20]),
                    unstake_seconds: 777_600,
                    veto_seconds: 172_800,
                }),
            },
            assets: vec![
                Asset {
                    source: StakeSource::EigenLayer(Address::new([6; 20])),
                    price: Price::Fixed(MicroUsd::new(3_000_000_000)),
                    cap: Caps::ANY,
                    equivocation: Wad::new(500_000_000_000_000_000),
                },
                Asset {
                    source: StakeSource::Symbiotic(Address::new([7; 20])),
                    price: Price::Feed(Feed {
                        aggregator: Address::new([8; 20]),
                        asset_decimals: 6,
                        start: MicroUsd::new(1_000_000_000_000_000_000),
                        max_age: 86_400,
                        max_jump: BasisPoints::new(500).unwrap(),
                    }),
                    cap: MicroUsd::new(7_000_000),
                    equivocation: Wad::ONE,
                },
                Asset {
                    source: StakeSource::Karak(Address::new([8; 20])),
                    price: Price::Fixed(MicroUsd::new(3_000_000_000)),
                    cap: Caps::ANY,
                    equivocation: Wad::new(500_000_000_000_000_000),
                },
            ]
            .try_into()
            .unwrap(),
            vaults: vec![VaultTerms {
                activation: 100,
                covenant: vec![SchnorrKey::new([1; 32]), SchnorrKey::new([2; 32]), SchnorrKey::new([3; 32])]
                    .try_into()
                    .unwrap(),
                members: [1, 2, 3].map(|number| OperatorId::new([number; 20])).to_vec().try_into().unwrap(),
                devnet: true,
                quorum: 2,
                min_staking_time: 200,
                max_staking_time: 60_000,
                unbonding_time: 120,
                unbonding_fee: Sats::new(1_000),
                slash_rate: BasisPoints::new(1_000).unwrap(),
                slash_script: vec![0x6a, 0x01, 0x50].try_into().unwrap(),
                min_slash_fee: Sats::new(1_000),
                min_stake: Sats::new(50_000),
            }]
            .try_into()
            .unwrap(),
            parameters: Parameters {
                epoch_heights: 20,
                epoch_ethereum_blocks: 15,
                epoch_bitcoin_blocks: 15,
                max_age_blocks: 30,
                trust_blocks: 40,
                execution_blocks: 20,
                observation_lag_blocks: 10,
                bitcoin_depth: 3,
                deallocation_delay: 120,
                checkpoint_interval: 5,
                attest_lag_blocks: 20,
                min_total: MicroUsd::new(1),
                min_bond: MicroUsd::new(1),
                bitcoin_price: MicroUsd::new(60_000_000_000),
                order_part: Wad::new(250_000_000_000_000_000),
                order_delay_blocks: 5,
                window_seconds: 200,
                caps: Caps { symbiotic: MicroUsd::new(9_000_000), operator: MicroUsd::new(8_000_000), ..Caps::NONE },
                duty_slots: 64,
            },
            seats: vec![Seat {
                operator: OperatorId::new([9; 20]),
                ed25519: Ed25519Key::new([8; 32]),
                peer: vec![0, 1, 2].try_into().unwrap(),
            }]
            .try_into()
            .unwrap(),
            continues: None,
        }
    }

    #[test]
    fn r21_a_successors_file_names_the_block_and_the_line_it_goes_on_from() {
        let before = sample();
        let block = Header {
            version: 1,
            chain: before.chain_id(),
            height: Height::new(9),
            epoch: Epoch::new(2),
            parent: BlockId::ZERO,
            items_root: Hash::ZERO,
            state_root: Hash::new([7; 32]),
            next_committee: Hash::ZERO,
        };
        let line = vec![before.chain_id()].try_into().unwrap();
        let genesis = Genesis { continues: Some(Continues { block, line }), ..before.clone() };
        let text = to_json(&genesis);
        let back: Genesis = serde_json::from_str::<GenesisFile>(&text).unwrap().try_into().unwrap();
        assert_eq!((back.chain_id(), back.founder()), (genesis.chain_id(), before.chain_id()));
        assert_eq!(Genesis::from_bytes(&genesis.to_bytes()).unwrap(), genesis);
        assert_ne!(genesis.chain_id(), before.chain_id());
        assert_eq!((back.first_height(), before.first_height()), (Height::new(11), Height::new(1)));
    }

    #[test]
    fn r17_a_genesis_survives_its_file_with_the_same_chain_id() {
        let genesis = sample();
        let file: GenesisFile = serde_json::from_str(&to_json(&genesis)).unwrap();
        let back = Genesis::try_from(file).unwrap();
        assert_eq!(back, genesis);
        assert_eq!(back.chain_id(), genesis.chain_id());
        assert_eq!(back.check(), Ok(()));
    }

    #[test]
    fn a_wrong_genesis_is_refused_with_the_key_that_is_wrong() {
        let json = to_json(&sample());
        let refused = |from: &str, to: &str| {
            let text = json.replacen(from, to, 1);
            assert_ne!(text, json, "{from} does not stand in the file");
            let file = match serde_json::from_str::<GenesisFile>(&text) {
                Ok(file) => file,
                Err(error) => return error.to_string(),
            };
            Genesis::try_from(file).unwrap_err().to_string()
        };
        assert!(refused("\"random\"", "\"rendom\"").contains("unknown field `rendom`"));
        assert!(refused("\"evm_chain_id\": 31337,", "").contains("missing field `evm_chain_id`"));
        assert!(refused("\"price\": \"3000000000\"", "\"price\": \"-1\"").contains("`assets.price`"));
        assert!(refused("\"price\": \"3000000000\",", "").contains("`assets.price`"));
        assert!(refused("\"feed\": {", "\"price\": \"1\", \"feed\": {").contains("`assets.price`"));
        assert!(refused("\"max_jump\": 500", "\"max_jump\": 10001").contains("`assets.feed.max_jump`"));
        assert!(refused("\"cap\": \"7000000\"", "\"cap\": \"-7\"").contains("`assets.cap`"));
        assert!(refused("\"symbiotic\": \"9000000\"", "\"symbiotic\": \"x\"").contains("`parameters.caps.symbiotic`"));
        assert!(refused("\"operator\": \"8000000\"", "\"operator\": \"\"").contains("`parameters.caps.operator`"));
        assert!(refused("\"source\": \"eigenlayer\"", "\"source\": \"lido\"").contains("`assets.source`"));
        assert!(refused("\"slash_rate\": 1000", "\"slash_rate\": 10001").contains("`vaults.slash_rate`"));
        assert!(refused("0x6a0150", "0x6a015").contains("`vaults.slash_script`"));
    }
}
