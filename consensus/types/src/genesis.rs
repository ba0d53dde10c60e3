//! Genesis: everything a network agrees on before its first block. Its hash is the chain id (R17).

use crate::block::Header;
use crate::canonical::{Blob, Canonical, List, Malformed, Reader, canonical, shown_struct};
use crate::chain::ChainPoint;
use crate::duty::MAX_DUTY_SLOTS;
use crate::evidence::Domains;
use crate::ids::{Address, ChainId, Domain, DomainKind, Ed25519Key, Hash, OperatorId, SchnorrKey};
use crate::operator::MAX_PEER_ID;
use crate::position::{Moment, StakeSource};
use crate::price::{MAX_DECIMALS, Price};
use crate::slash::SlashTarget;
use crate::units::{BasisPoints, Height, MicroUsd, Sats, Wad};
use crate::vault::MAX_COVENANT;
use palisade_crypto::hash::Tag;

/// EIP-155 chain id of Ethereum's mainnet.
const EVM_MAINNET: u64 = 1;
/// The hash of Bitcoin's first block, internal byte order.
const BITCOIN_MAINNET: [u8; 32] = [
    0x6f, 0xe2, 0x8c, 0x0a, 0xb6, 0xf1, 0xb3, 0x72, 0xc1, 0xa6, 0xa2, 0x46, 0xae, 0x63, 0xf7, 0x4f, 0x93, 0x1e, 0x83,
    0x65, 0xe1, 0x5a, 0x08, 0x9c, 0x68, 0xd6, 0x19, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// Seconds of a slot on Ethereum's mainnet.
const SLOT_SECONDS: u64 = 12;

/// The most versions of vaults' terms.
pub const MAX_TERMS: usize = 16;

/// Everything that names one network. A restart from scratch has other random bytes, so another chain id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Makes two networks with the same parameters differ.
    pub random: Hash,
    /// EIP-155 chain id of Ethereum.
    pub evm_chain_id: u64,
    /// Bitcoin's genesis block hash, internal byte order.
    pub bitcoin_genesis: Hash,
    /// The first Ethereum anchor: a final block before every registration.
    pub ethereum_start: ChainPoint,
    /// The first Bitcoin anchor: a final block before every vault.
    pub bitcoin_start: ChainPoint,
    /// The numbers of the protocol; before everything of varying length, so that a reader of proofs finds a committee's
    /// lifetime without knowing what kinds of stake there are ([`crate::proof::ProofBundle`]).
    pub parameters: Parameters,
    /// Our contracts, as predicted from the deployer's nonces, and EigenLayer's.
    pub contracts: Contracts,
    /// The kinds of ETH-side stake that count; none in a BTC-only network (R22), which is declared so and in no other way.
    pub assets: List<Asset, 16>,
    /// The terms of vaults, one version after the other; none when bitcoin does not count.
    pub vaults: List<VaultTerms, MAX_TERMS>,
    /// Who orders blocks in epoch 0, one unit each (R6). Of a successor: which members of the committee before go on; the others
    /// are jailed there.
    pub seats: List<Seat, 256>,
    /// The network that this one goes on from (R21); `None` when it begins with nothing.
    pub continues: Option<Continues>,
}

/// As [`canonical!`] would, but that a network which begins with nothing says nothing of it: its chain id is what it was before
/// there were successions.
impl Canonical for Genesis {
    fn write(&self, out: &mut Vec<u8>) {
        (self.random, self.evm_chain_id).write(out);
        (self.bitcoin_genesis, self.ethereum_start).write(out);
        (self.bitcoin_start, self.parameters).write(out);
        self.contracts.write(out);
        self.assets.write(out);
        self.vaults.write(out);
        self.seats.write(out);
        if let Some(continues) = &self.continues {
            continues.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (random, evm_chain_id) = Canonical::read(input)?;
        let (bitcoin_genesis, ethereum_start) = Canonical::read(input)?;
        let (bitcoin_start, parameters) = Canonical::read(input)?;
        Ok(Self {
            random,
            evm_chain_id,
            bitcoin_genesis,
            ethereum_start,
            bitcoin_start,
            parameters,
            contracts: Canonical::read(input)?,
            assets: Canonical::read(input)?,
            vaults: Canonical::read(input)?,
            seats: Canonical::read(input)?,
            continues: if input.is_empty() { None } else { Some(Canonical::read(input)?) },
        })
    }
}

/// How many networks may go on from one another.
pub const MAX_LINE: usize = 16;

/// What a successor goes on from (R21).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continues {
    /// The last ether-final block of the network before: the successor begins with the state after it.
    pub block: Header,
    /// The chain ids of all networks before this one, the first of them first. To that one the contracts are bound, and the
    /// keys in their registry.
    pub line: List<ChainId, MAX_LINE>,
}
canonical!(Continues { block, line });

impl Continues {
    /// Which succession of the line it is, from 1: the slot in which the committee before certifies it.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.line.len()).expect("at most 16")
    }
}
shown_struct!(Genesis {
    random,
    evm_chain_id,
    bitcoin_genesis,
    ethereum_start,
    bitcoin_start,
    parameters,
    contracts,
    assets,
    vaults,
    seats,
    continues,
});

/// Addresses on Ethereum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// Registry and judge.
    pub palisade: Address,
    /// AVS, registrar and slasher of the network's own operator set 0.
    pub eigenlayer_adapter: Address,
    /// The light client; deployed after epoch 0 (R6).
    pub committee: Address,
    /// EigenLayer's AllocationManager.
    pub allocation_manager: Address,
    /// EigenLayer's DelegationManager.
    pub delegation_manager: Address,
    /// What carries certified orders out.
    pub orders: Address,
    /// Symbiotic's, and our adapter to it; there exactly if stake there is listed.
    pub symbiotic: Option<SymbioticContracts>,
    /// Karak's, and our adapter to it; there exactly if stake there is listed.
    pub karak: Option<KarakContracts>,
}
canonical!(Contracts {
    palisade,
    eigenlayer_adapter,
    committee,
    allocation_manager,
    delegation_manager,
    orders,
    symbiotic,
    karak,
});

/// Symbiotic's core version 1 as far as we ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbioticContracts {
    /// Our network and its own middleware in one; stake counts in its subnetwork 0.
    pub adapter: Address,
    /// VaultFactory: says which vaults are Symbiotic's own code.
    pub vault_factory: Address,
    /// NetworkMiddlewareService: says who may slash for the network.
    pub middleware_service: Address,
}
canonical!(SymbioticContracts { adapter, vault_factory, middleware_service });

/// Karak's core as far as we ask it, with two constants of it that no view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KarakContracts {
    /// Our service, and its slasher.
    pub adapter: Address,
    /// Core.
    pub core: Address,
    /// Seconds until a request to unstake a vault, or a staker's to redeem, can be completed: nine days on Karak's networks.
    pub unstake_seconds: u64,
    /// Seconds a slash waits for a veto: two days there.
    pub veto_seconds: u64,
}
canonical!(KarakContracts { adapter, core, unstake_seconds, veto_seconds });

impl Contracts {
    /// What `adapter` takes stake from when it says `asset`; `None` when it is none of ours.
    #[must_use]
    pub fn source_of(&self, adapter: &Address, asset: Address) -> Option<StakeSource> {
        if *adapter == self.eigenlayer_adapter {
            return Some(StakeSource::EigenLayer(asset));
        }
        if self.symbiotic.is_some_and(|symbiotic| symbiotic.adapter == *adapter) {
            return Some(StakeSource::Symbiotic(asset));
        }
        let karak = self.karak.filter(|karak| karak.adapter == *adapter);
        karak.map(|_| StakeSource::Karak(asset))
    }

    /// Our adapter to where this stake lies; `None` when this network has none there.
    #[must_use]
    pub fn adapter_of(&self, source: &StakeSource) -> Option<Address> {
        match source {
            StakeSource::EigenLayer(_) => Some(self.eigenlayer_adapter),
            StakeSource::Symbiotic(_) => self.symbiotic.map(|symbiotic| symbiotic.adapter),
            StakeSource::Karak(_) => self.karak.map(|karak| karak.adapter),
        }
    }

    /// Our adapter to what a certified order may take from: every restaking protocol's takes them. `None` for bitcoin, and
    /// where this network has no stake.
    #[must_use]
    pub fn taking_orders(&self, target: &SlashTarget) -> Option<Address> {
        match target {
            SlashTarget::Service(target) => Some(target.adapter),
            _ => self.adapter_of(&target.source()?),
        }
    }
}

/// One kind of ETH-side stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Where it lies.
    pub source: StakeSource,
    /// What 1e18 shares are worth; of Symbiotic and Karak, 1e18 of the asset's smallest units.
    pub price: Price,
    /// The most that this asset weighs over all operators; what is more is cut from each in proportion (R23).
    /// [`Caps::ANY`] cuts nothing.
    pub cap: MicroUsd,
    /// The fixed part of what can be taken that an equivocation takes (R11); the adapter has the same number. Of Symbiotic
    /// the whole (R26).
    pub equivocation: Wad,
}
canonical!(Asset { source, price, cap, equivocation });

/// The most that each protocol's assets weigh together, over all operators, and the most that one operator weighs (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// On EigenLayer.
    pub eigenlayer: MicroUsd,
    /// On Symbiotic.
    pub symbiotic: MicroUsd,
    /// On Karak.
    pub karak: MicroUsd,
    /// One operator's ETH-side stake, wherever it lies; in the engine also his bitcoin, by itself.
    pub operator: MicroUsd,
}
canonical!(Caps { eigenlayer, symbiotic, karak, operator });

impl Caps {
    /// No cap: more than anything weighs.
    pub const ANY: MicroUsd = MicroUsd::new(u64::MAX);
    /// Nothing is cut.
    pub const NONE: Self = Self { eigenlayer: Self::ANY, symbiotic: Self::ANY, karak: Self::ANY, operator: Self::ANY };

    /// The cap of the protocol where this lies.
    #[must_use]
    pub const fn of(&self, source: &StakeSource) -> MicroUsd {
        match source {
            StakeSource::EigenLayer(_) => self.eigenlayer,
            StakeSource::Symbiotic(_) => self.symbiotic,
            StakeSource::Karak(_) => self.karak,
        }
    }
}

/// What every vault registered under this version must agree to, for life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultTerms {
    /// The Bitcoin height from which this version is in force, until the next one's.
    pub activation: u64,
    /// The covenant's keys, ascending.
    pub covenant: List<SchnorrKey, MAX_COVENANT>,
    /// Whose each of these keys is, in the same order: who answers for what it signs (R27). A key belongs to one network only, or
    /// what it signs elsewhere looks like a breach here.
    pub members: List<OperatorId, MAX_COVENANT>,
    /// Whether operators may sit in the covenant of their own vaults, and unbonded members are enough: on a devnet (R27).
    pub devnet: bool,
    /// How many of them must sign.
    pub quorum: u8,
    /// Shortest lock of the staking output, in blocks.
    pub min_staking_time: u16,
    /// Longest lock.
    pub max_staking_time: u16,
    /// Lock of the unbonding output and of what is left after a slash, in blocks; outlives evidence (R4).
    pub unbonding_time: u16,
    /// The unbonding transaction's fee, exactly.
    pub unbonding_fee: Sats,
    /// The part an equivocation takes (R11).
    pub slash_rate: BasisPoints,
    /// Where it goes: a script nobody can spend (R8).
    pub slash_script: Blob<64>,
    /// The least fee of a slashing transaction.
    pub min_slash_fee: Sats,
    /// The least stake of a vault.
    pub min_stake: Sats,
}
canonical!(VaultTerms {
    activation,
    covenant,
    members,
    devnet,
    quorum,
    min_staking_time,
    max_staking_time,
    unbonding_time,
    unbonding_fee,
    slash_rate,
    slash_script,
    min_slash_fee,
    min_stake,
});

/// One seat of epoch 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub operator: OperatorId,
    /// His voting key.
    pub ed25519: Ed25519Key,
    /// His peer id, multihash bytes.
    pub peer: Blob<MAX_PEER_ID>,
}
canonical!(Seat { operator, ed25519, peer });

/// The numbers of the protocol. Each window is counted in its own chain's blocks. All are of fixed length: `node/web/src/proof.ts`
/// finds by that what comes after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// An epoch ends after this many of its heights,
    pub epoch_heights: u64,
    /// or when the Ethereum anchor is this many blocks past its committee's snapshot,
    pub epoch_ethereum_blocks: u64,
    /// or the Bitcoin anchor this many (R4).
    pub epoch_bitcoin_blocks: u64,
    /// A committee's age limit, blocks of either chain from its snapshot (R10).
    pub max_age_blocks: u64,
    /// How long a verifier trusts a committee past its snapshot's age (R5), blocks of either chain.
    pub trust_blocks: u64,
    /// Detection, submission and execution of a slash, blocks of either chain.
    pub execution_blocks: u64,
    /// How far behind the chain an anchor may lag when it is taken in, Ethereum blocks.
    pub observation_lag_blocks: u64,
    /// Bitcoin's finality depth k: the tip itself has depth 0.
    pub bitcoin_depth: u64,
    /// EigenLayer's DEALLOCATION_DELAY, which W may not exceed.
    pub deallocation_delay: u64,
    /// R2's N: a checkpoint every so many heights.
    pub checkpoint_interval: u64,
    /// R7's L: no attestation while an anchor lags the own final view by more, blocks.
    pub attest_lag_blocks: u64,
    /// The least ETH-side stake of an epoch with weight (R6); in a BTC-only network the least value of what a fault
    /// takes from its bitcoin (R22).
    pub min_total: MicroUsd,
    /// The same of one member.
    pub min_bond: MicroUsd,
    /// What one bitcoin is worth.
    pub bitcoin_price: MicroUsd,
    /// The part that an order takes of what the network's own sets may take, for a fault that no contract can check;
    /// Orders.sol has the same number as the network's maximum (R11).
    pub order_part: Wad,
    /// How many Ethereum blocks Orders.sol waits between an order's announcement and its execution (R11).
    pub order_delay_blocks: u64,
    /// The Ethereum window W of R4 in seconds, for stake whose protocol counts them; zero where none is listed.
    pub window_seconds: u64,
    /// The most that each protocol's assets, and each operator, weigh.
    pub caps: Caps,
    /// How many of his last slots an operator's duty is judged by: who missed more than four fifths of them is jailed (R20).
    pub duty_slots: u64,
}
canonical!(Parameters {
    epoch_heights,
    epoch_ethereum_blocks,
    epoch_bitcoin_blocks,
    max_age_blocks,
    trust_blocks,
    execution_blocks,
    observation_lag_blocks,
    bitcoin_depth,
    deallocation_delay,
    checkpoint_interval,
    attest_lag_blocks,
    min_total,
    min_bond,
    bitcoin_price,
    order_part,
    order_delay_blocks,
    window_seconds,
    caps,
    duty_slots,
});

/// Why a genesis cannot be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Stake could leave before a slash of it lands (R4).
    #[error("the Ethereum window W of {window} blocks is longer than the deallocation delay of {delay}")]
    EthereumWindow {
        /// W.
        window: u64,
        /// What EigenLayer grants.
        delay: u64,
    },
    /// As above, for Bitcoin.
    #[error("the Bitcoin window of {window} blocks is longer than the unbonding time of {delay}")]
    BitcoinWindow {
        /// k + maximum age + trust + execution + k.
        window: u64,
        /// The unbonding time.
        delay: u64,
    },
    /// A number or list makes no sense; it is named.
    #[error("{0} makes no sense")]
    Senseless(&'static str),
}

impl Parameters {
    /// What a genesis file that does not name [`Self::duty_slots`] means: twelve epochs' slots, 64 at least and [`MAX_DUTY_SLOTS`] at most.
    #[must_use]
    pub fn usual_duty_slots(epoch_heights: u64) -> u64 {
        epoch_heights.saturating_mul(12).clamp(64, MAX_DUTY_SLOTS.into())
    }

    /// R4's W: for how many Ethereum blocks past the snapshot stake must stay slashable.
    #[must_use]
    pub const fn ethereum_window(&self) -> u64 {
        self.max_age_blocks + self.trust_blocks + self.execution_blocks + self.observation_lag_blocks
    }

    /// How long `blocks` of the Ethereum window last at most, seconds: their part of W, rounded up.
    #[must_use]
    pub fn seconds_of(&self, blocks: u64) -> u64 {
        let seconds = u128::from(self.window_seconds) * u128::from(blocks);
        let seconds = seconds.div_ceil(u128::from(self.ethereum_window().max(1)));
        u64::try_from(seconds).unwrap_or(u64::MAX)
    }

    /// The moment `blocks` Ethereum blocks after `point`, at the latest.
    #[must_use]
    pub fn after(&self, point: &ChainPoint, blocks: u64) -> Moment {
        Moment { block: point.number.saturating_add(blocks), time: point.time.saturating_add(self.seconds_of(blocks)) }
    }

    /// The same for Bitcoin: k + maximum age + trust period + execution + k.
    #[must_use]
    pub const fn bitcoin_window(&self) -> u64 {
        self.bitcoin_depth + self.max_age_blocks + self.trust_blocks + self.execution_blocks + self.bitcoin_depth
    }

    /// A committee's maximum age and the trust period: for so many blocks of either chain from its snapshot a verifier takes its
    /// certificates (R5). The end of time where the numbers make no sense.
    #[must_use]
    pub const fn lifetime(&self) -> u64 {
        self.max_age_blocks.saturating_add(self.trust_blocks)
    }

    /// For how many Ethereum blocks after its slot's snapshot evidence is accepted: execution must still fit
    /// into W (R4, R26).
    #[must_use]
    pub const fn evidence_blocks(&self) -> u64 {
        self.max_age_blocks + self.trust_blocks
    }
}

impl Genesis {
    /// The hash of everything here (R17).
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId::new(Tag::Genesis.hash(&[&self.to_bytes()]))
    }

    /// The chain id that the contracts are bound to, and the keys of their registry (R12): the first of the line (R21).
    #[must_use]
    pub fn founder(&self) -> ChainId {
        self.before().first().copied().unwrap_or_else(|| self.chain_id())
    }

    /// The networks before this one, the first of them first (R21).
    #[must_use]
    pub fn before(&self) -> &[ChainId] {
        self.continues.as_ref().map_or(&[], |continues| &continues.line)
    }

    /// The first height at which this network decides blocks: 1, but for a successor.
    #[must_use]
    pub fn first_height(&self) -> Height {
        self.continues.as_ref().map_or(Height::new(1), |continues| continues.block.height.next().next())
    }

    /// One of the network's own domains.
    #[must_use]
    pub fn domain(&self, kind: DomainKind) -> Domain {
        Domain::own(&self.chain_id(), &self.contracts.palisade, kind)
    }

    /// What evidence is judged by.
    #[must_use]
    pub fn domains(&self) -> Domains {
        self.domains_under(self.chain_id())
    }

    /// What evidence of a network of the line is judged by.
    #[must_use]
    pub fn domains_under(&self, chain: ChainId) -> Domains {
        let own = |kind| Domain::own(&chain, &self.contracts.palisade, kind);
        let founder = self.founder();
        Domains {
            chain,
            ledger: own(DomainKind::Ledger),
            bitcoin: own(DomainKind::Bitcoin),
            claim: own(DomainKind::VaultClaim),
            order: own(DomainKind::Order),
            succession: own(DomainKind::Succession),
            founder,
            keys: Domain::own(&founder, &self.contracts.palisade, DomainKind::Bitcoin),
            interval: self.parameters.checkpoint_interval,
        }
    }

    /// Which network of the line a domain is of (R21), and what it is for there; `None` for a service's.
    #[must_use]
    pub fn origin(&self, domain: &Domain) -> Option<(ChainId, DomainKind)> {
        let networks = [self.chain_id()].into_iter().chain(self.before().iter().rev().copied());
        let mut all = networks.flat_map(|chain| DomainKind::ALL.map(|kind| (chain, kind)));
        all.find(|(chain, kind)| Domain::own(chain, &self.contracts.palisade, *kind) == *domain)
    }

    /// Whether bitcoin alone stands behind the network (R22): no ETH-side stake is listed, and vaults are.
    #[must_use]
    pub fn is_bitcoin_only(&self) -> bool {
        self.assets.is_empty() && !self.vaults.is_empty()
    }

    fn check_line(&self, continues: &Continues) -> Result<(), Unsafe> {
        let line = &continues.line;
        if self.is_bitcoin_only() {
            return Err(Unsafe::Senseless("a succession where no ETH-side stake could certify it"));
        }
        if line.last() != Some(&continues.block.chain) {
            return Err(Unsafe::Senseless("a block of another network than the last of its line"));
        }
        if (1..line.len()).any(|at| line[..at].contains(&line[at])) {
            return Err(Unsafe::Senseless("a line that names a network twice"));
        }
        if continues.block.height.get() == 0 || continues.block.height.get() > u64::MAX / 2 {
            return Err(Unsafe::Senseless("a succession from a height that is no block's"));
        }
        Ok(())
    }

    /// Checks R4's inequalities and that every number makes sense. Every node does this before anything else.
    ///
    /// # Errors
    ///
    /// [`Unsafe`] names the first number that does not hold.
    pub fn check(&self) -> Result<(), Unsafe> {
        let p = &self.parameters;
        // Where nothing is staked, nothing leaves from there.
        let is_eigenlayer = |asset: &Asset| matches!(asset.source, StakeSource::EigenLayer(_));
        if self.assets.iter().any(is_eigenlayer) && p.ethereum_window() > p.deallocation_delay {
            return Err(Unsafe::EthereumWindow { window: p.ethereum_window(), delay: p.deallocation_delay });
        }
        if p.checkpoint_interval == 0 || p.epoch_heights == 0 {
            return Err(Unsafe::Senseless("an epoch or checkpoint interval of zero"));
        }
        if !(1..=u64::from(MAX_DUTY_SLOTS)).contains(&p.duty_slots) {
            return Err(Unsafe::Senseless("a window of duty without slots or longer than a row holds"));
        }
        if p.epoch_ethereum_blocks >= p.max_age_blocks || p.epoch_bitcoin_blocks >= p.max_age_blocks {
            return Err(Unsafe::Senseless("an epoch that outlives its committee's maximum age"));
        }
        if self.seats.is_empty() || self.seats.windows(2).any(|pair| pair[0].operator >= pair[1].operator) {
            return Err(Unsafe::Senseless("a list of seats that is empty or not ascending"));
        }
        if let Some(continues) = &self.continues {
            self.check_line(continues)?;
        }
        if self.assets.iter().any(|asset| asset.equivocation > Wad::ONE)
            || self.assets.windows(2).any(|pair| pair[0].source >= pair[1].source)
        {
            return Err(Unsafe::Senseless("a list of assets that is not ascending or takes more than the whole"));
        }
        self.check_prices()?;
        self.check_seconds()?;
        if !self.assets.is_empty() && (p.order_part == Wad::new(0) || p.order_part > Wad::ONE) {
            return Err(Unsafe::Senseless("an order that takes nothing or more than the whole"));
        }
        // The delay is part of the time that W leaves for execution (R4); without one nobody sees an order coming.
        if !self.assets.is_empty() && (p.order_delay_blocks == 0 || p.order_delay_blocks >= p.execution_blocks) {
            return Err(Unsafe::Senseless("an order's delay that is nothing or as long as execution may take"));
        }
        if self.assets.is_empty() && self.vaults.is_empty() {
            return Err(Unsafe::Senseless("a network without any kind of stake"));
        }
        if self.vaults.windows(2).any(|pair| pair[0].activation >= pair[1].activation) {
            return Err(Unsafe::Senseless("a list of vaults' terms that is not ascending by activation"));
        }
        if self.vaults.first().is_some_and(|first| first.activation > self.bitcoin_start.number) {
            return Err(Unsafe::Senseless("a first version of vaults' terms that is not in force at the start"));
        }
        let is_real = self.evm_chain_id == EVM_MAINNET || self.bitcoin_genesis == Hash::new(BITCOIN_MAINNET);
        if is_real && self.vaults.iter().any(|terms| terms.devnet) {
            return Err(Unsafe::Senseless("a devnet's covenant on a chain with value"));
        }
        self.vaults.iter().try_for_each(|terms| terms.check(p))
    }

    /// A feed that could never be believed, or always, or a cap that leaves nothing, is a mistake of whoever wrote genesis.
    fn check_prices(&self) -> Result<(), Unsafe> {
        let caps = self.parameters.caps;
        let capped_to_nothing = |asset: &Asset| asset.cap.get() == 0 || caps.of(&asset.source).get() == 0;
        if self.assets.iter().any(capped_to_nothing) || caps.operator.get() == 0 {
            return Err(Unsafe::Senseless("a cap of zero"));
        }
        let bad = |asset: &Asset| match &asset.price {
            Price::Fixed(_) => false,
            Price::Feed(feed) => {
                feed.aggregator == Address::ZERO
                    || feed.asset_decimals > MAX_DECIMALS
                    || feed.start.get() == 0
                    || feed.max_age == 0
                    || feed.max_jump.get() == 0
            }
        };
        if self.assets.iter().any(bad) {
            return Err(Unsafe::Senseless("a price feed without a bound, an address or a price to start from"));
        }
        Ok(())
    }

    /// What is asked of stake whose protocol counts in seconds.
    fn check_seconds(&self) -> Result<(), Unsafe> {
        let p = &self.parameters;
        let is_symbiotic = |asset: &&Asset| matches!(asset.source, StakeSource::Symbiotic(_));
        let mut symbiotic = self.assets.iter().filter(is_symbiotic).peekable();
        if symbiotic.peek().is_some() != self.contracts.symbiotic.is_some() {
            return Err(Unsafe::Senseless("Symbiotic's contracts without an asset there, or an asset without them"));
        }
        if symbiotic.any(|asset| asset.equivocation != Wad::ONE) {
            return Err(Unsafe::Senseless(
                "an equivocation that takes a part of a Symbiotic share, not the whole (R26)",
            ));
        }
        let is_karak = |asset: &Asset| matches!(asset.source, StakeSource::Karak(_));
        if self.assets.iter().any(is_karak) != self.contracts.karak.is_some() {
            return Err(Unsafe::Senseless("Karak's contracts without an asset there, or an asset without them"));
        }
        // What is asked for within W must be carried out before a request to unstake that comes right after the snapshot.
        let in_time = |karak: &KarakContracts| {
            p.window_seconds.checked_add(karak.veto_seconds).is_some_and(|end| end <= karak.unstake_seconds)
        };
        if !self.contracts.karak.iter().all(in_time) {
            return Err(Unsafe::Senseless("a window W that outlives stake on Karak less its time for a veto (R4)"));
        }
        // A block of mainnet comes every 12 seconds or later; anywhere else a second later than the one before at least.
        let slot = if self.evm_chain_id == EVM_MAINNET { SLOT_SECONDS } else { 1 };
        let counts_seconds = self.assets.iter().any(|asset| !matches!(asset.source, StakeSource::EigenLayer(_)));
        if counts_seconds && p.window_seconds < p.ethereum_window().saturating_mul(slot) {
            return Err(Unsafe::Senseless("a window W that is shorter in seconds than its blocks can be"));
        }
        Ok(())
    }

    /// The terms of vaults in force at a Bitcoin height, with their version; `None` where bitcoin does not count.
    #[must_use]
    pub fn terms_at(&self, height: u64) -> Option<(u16, &VaultTerms)> {
        let versions = (0..).zip(&self.vaults);
        versions.take_while(|(_, terms)| terms.activation <= height).last()
    }

    /// One version of the terms of vaults.
    #[must_use]
    pub fn terms(&self, version: u16) -> Option<&VaultTerms> {
        self.vaults.get(usize::from(version))
    }
}

impl VaultTerms {
    fn check(&self, parameters: &Parameters) -> Result<(), Unsafe> {
        let delay = u64::from(self.unbonding_time);
        if parameters.bitcoin_window() > delay {
            return Err(Unsafe::BitcoinWindow { window: parameters.bitcoin_window(), delay });
        }
        let quorum = usize::from(self.quorum);
        if quorum == 0 || quorum > self.covenant.len() || quorum * 2 <= self.covenant.len() {
            return Err(Unsafe::Senseless("a covenant quorum that is no majority"));
        }
        if self.covenant.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Unsafe::Senseless("a covenant that is not ascending"));
        }
        if self.members.len() != self.covenant.len() {
            return Err(Unsafe::Senseless("a covenant whose members are not named one by one"));
        }
        let twice = |(at, member): (usize, &OperatorId)| self.members[..at].contains(member);
        if self.members.iter().enumerate().any(twice) {
            return Err(Unsafe::Senseless("a covenant in which one operator is two members"));
        }
        if self.min_staking_time > self.max_staking_time || self.min_staking_time <= self.unbonding_time {
            return Err(Unsafe::Senseless("a staking time shorter than the unbonding time"));
        }
        Ok(())
    }
}
