//! What was seen, for people and for programs. Amounts are decimal text in the smallest unit, because a program's numbers end
//! below them; nothing is a float.

use alloy::primitives::B256;
use serde::Serialize;

/// Everything that was seen of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// As it was typed.
    pub asked: String,
    /// EIP-155.
    pub chain_id: u64,
    /// Its name, when it is in our table.
    pub chain: Option<String>,
    /// The block for which all of it is true.
    pub block: Block,
    /// EigenLayer's core, where one is known or named.
    pub eigenlayer: Option<CoreSeen>,
    /// When it is an operator.
    pub operator: Option<OperatorSeen>,
    /// When it is a service, or what EigenLayer calls an AVS.
    pub service: Option<ServiceSeen>,
    /// When it is a liquid restaking token.
    pub token: Option<TokenSeen>,
    /// What it is on Symbiotic: several things at once, or nothing.
    pub symbiotic: Vec<SymbioticSeen>,
    /// When it is an operator or a service on Karak.
    pub karak: Option<KarakSeen>,
    /// Protocols that could not be looked at, and why.
    pub gaps: Vec<String>,
}

impl Report {
    /// Whether it is nothing that was looked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let on_eigenlayer = self.operator.is_some() || self.service.is_some() || self.token.is_some();
        !on_eigenlayer && self.symbiotic.is_empty() && self.karak.is_none()
    }
}

/// A final block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: String,
    /// Its own timestamp, seconds since 1970.
    pub time: u64,
}

impl Block {
    pub(crate) fn hash(&self) -> B256 {
        self.hash.parse().expect("made of a hash")
    }
}

/// EigenLayer's core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoreSeen {
    /// The versions that answer as it does.
    pub generation: String,
    /// What it calls itself; nothing before 1.4.
    pub version: Option<String>,
    /// Where it was found.
    pub delegation_manager: String,
    /// As the DelegationManager names it.
    pub allocation_manager: String,
    /// Blocks in which a deallocation is still slashable.
    pub deallocation_delay: u32,
    /// Blocks in which a queued withdrawal is still slashable.
    pub withdrawal_delay: u32,
}

/// What a strategy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenName {
    /// The token; ether has none.
    pub address: Option<String>,
    /// What it calls itself.
    pub symbol: Option<String>,
    /// Its decimals, by its own word.
    pub decimals: Option<u8>,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperatorSeen {
    /// Who.
    pub operator: String,
    /// Blocks until an allocation is slashable; nothing while he has chosen none.
    pub allocation_delay: Option<u32>,
    /// Whether he sits in a set whose slashes go to somebody; nothing before 1.5.
    pub redistributable: Option<bool>,
    /// What is delegated to him, by strategy.
    pub strategies: Vec<StrategySeen>,
    /// Every set that may take something of it, or of which he is a member.
    pub sets: Vec<SetSeen>,
    /// What a delegator should know.
    pub warnings: Vec<String>,
    /// What could not be seen, and why.
    pub gaps: Vec<String>,
}

/// What is delegated to an operator in one strategy: his whole stake, of which a set can take only its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StrategySeen {
    /// Where.
    pub strategy: String,
    /// What it holds.
    pub token: Option<TokenName>,
    /// Shares delegated, all of them.
    pub delegated: String,
    /// The same in the token's smallest units, rounded down by the strategy.
    pub underlying: Option<String>,
    /// Shares in the withdrawal queue that a slash still reaches.
    pub queued: String,
    /// Of 1e18; it only falls.
    pub max_magnitude: u64,
    /// What of it sets hold, pending included.
    pub encumbered: u64,
    /// What of it no set holds.
    pub allocatable: u64,
}

/// One operator set, from an operator's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetSeen {
    /// Whose.
    pub service: String,
    /// Which.
    pub id: u32,
    /// Whether he is in it now.
    pub member: bool,
    /// Whether it can slash him now: a former member stays slashable for the deallocation delay.
    pub slashable: bool,
    /// Who may slash; nothing before 1.9, where the service may.
    pub slasher: Option<String>,
    /// Who receives what is slashed; nothing when it is burnt or before 1.5.
    pub redistribution: Option<String>,
    /// What it may take, by strategy.
    pub allocations: Vec<AllocationSeen>,
}

/// What one set may take of one strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AllocationSeen {
    /// Where.
    pub strategy: String,
    /// Whether the strategy is in the set: what was taken out of it can be taken from nobody.
    pub in_set: bool,
    /// Magnitude now, of 1e18.
    pub magnitude: u64,
    /// Its pending change.
    pub pending: Option<String>,
    /// The block at which it takes effect.
    pub effect_block: Option<u32>,
    /// Shares that a slash can take now, by EigenLayer's own view.
    pub slashable: String,
    /// The least it can take in every block up to one deallocation delay from now, whatever he does.
    pub lasting: String,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceSeen {
    /// Who.
    pub service: String,
    /// Who is asked when an operator comes or goes.
    pub registrar: Option<String>,
    /// Its sets.
    pub sets: Vec<ServiceSet>,
    /// What could not be seen, and why.
    pub gaps: Vec<String>,
}

/// One operator set, from its service's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceSet {
    /// Which.
    pub id: u32,
    /// Who may slash; nothing before 1.9, where the service may.
    pub slasher: Option<String>,
    /// Who will, and from which block on.
    pub pending_slasher: Option<(String, u32)>,
    /// Who receives what is slashed; nothing when it is burnt or before 1.5.
    pub redistribution: Option<String>,
    /// How often it slashed; nothing before 1.5.
    pub slashes: Option<String>,
    /// What it may take of.
    pub strategies: Vec<(String, Option<TokenName>)>,
    /// Its members.
    pub members: Vec<MemberSeen>,
    /// How many it has.
    pub member_count: u64,
    /// Shares that it can take of all members together, by strategy in the order above.
    pub slashable: Vec<String>,
    /// What its newest slashes took and nobody cleared; nothing before 1.5, which numbers no slashes.
    pub escrow: Vec<EscrowSeen>,
}

/// What one slash took and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EscrowSeen {
    /// EigenLayer's number of the slash in its set.
    pub slash: u64,
    /// Strategies and shares that wait there to be burnt, or for the recipient.
    pub held: Vec<(String, String)>,
    /// The block after which anybody may clear it; nothing before 1.13, where that is at once.
    pub resolution_block: Option<u32>,
}

/// One member of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberSeen {
    /// Who.
    pub operator: String,
    /// Shares that the set can take of him now, by strategy in the set's order.
    pub slashable: Vec<String>,
    /// What he allocated to it, by strategy in the set's order.
    pub allocated: Vec<MagnitudeSeen>,
}

/// What a member allocated to a set in one strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MagnitudeSeen {
    /// Magnitude now, of 1e18.
    pub magnitude: u64,
    /// Its pending change.
    pub pending: Option<String>,
    /// The block at which it takes effect.
    pub effect_block: Option<u32>,
}

/// A liquid restaking token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenSeen {
    /// Whose.
    pub issuer: String,
    /// Its symbol.
    pub symbol: String,
    /// Where.
    pub token: String,
    /// Wei for 1e18 of it.
    pub rate: Figure,
    /// How much of it there is on this chain, smallest units.
    pub supply: Figure,
    /// Wei behind it, by its issuer's word.
    pub backing: Figure,
    /// What the issuer's word is made of, by name.
    pub parts: Vec<(String, Figure)>,
    /// Restaking accounts of its that were looked at.
    pub accounts: usize,
    /// What they have at stake and with whom, by operator and strategy.
    pub rows: Vec<Row>,
    /// The same by service: what a slash could take from the token's holders.
    pub services: Vec<ServiceTotal>,
    /// What circulates elsewhere against what is locked here.
    pub bridged: Bridged,
    /// What could not be seen, and why.
    pub gaps: Vec<String>,
}

/// A number of an issuer, with where it comes from and since when it is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// The number; nothing when it could not be read, which a gap says.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// Since when it is true.
    pub as_of: AsOf,
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The chain's own state at this block.
    Chain,
    /// Somebody's report, true when it was made.
    Reported,
}

/// Since when a number is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AsOf {
    /// The block it is about, when it is known.
    pub block: Option<u64>,
    /// That block's time, seconds since 1970.
    pub time: Option<u64>,
    /// How many seconds that was before the report's block; nothing when nobody says.
    pub age_seconds: Option<u64>,
}

/// What accounts of a token have at stake with one operator in one strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The operator; nothing when they delegate to nobody.
    pub operator: Option<String>,
    /// Where.
    pub strategy: String,
    /// What it holds.
    pub token: Option<TokenName>,
    /// How many accounts.
    pub accounts: usize,
    /// Shares that they could withdraw, what was slashed before taken off.
    pub shares: String,
    /// The same in the token's smallest units, rounded down.
    pub underlying: Option<String>,
    /// Shares in their queued withdrawals that a slash of the operator still reaches.
    pub queued: String,
    /// When the stalest of their pods was last checkpointed, seconds since 1970; only ether has pods.
    pub oldest_checkpoint: Option<u64>,
    /// Pods of theirs that never were, or are in the middle of it.
    pub pods_without_checkpoint: usize,
    /// What each set may take of it.
    pub exposures: Vec<Exposure>,
}

/// What one set may take of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// The service.
    pub service: String,
    /// Its set.
    pub id: u32,
    /// The operator's magnitude there now, of `max_magnitude`.
    pub magnitude: u64,
    /// The operator's max magnitude.
    pub max_magnitude: u64,
    /// Whether the set can slash him now, and the strategy is in it; nothing of the row is exposed otherwise.
    pub slashable: bool,
    /// Shares of the row that it may take, rounded down as EigenLayer does.
    pub shares: String,
    /// The same in the token's smallest units, rounded down.
    pub underlying: Option<String>,
}

/// What one set may take of a token's backing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceTotal {
    /// The service.
    pub service: String,
    /// Its set.
    pub id: u32,
    /// What it may take of what, smallest units: never added up over different tokens.
    pub exposed: Vec<(String, String)>,
}

/// What circulates on other chains against what is locked here for it. A rate says nothing of it: on 18 April 2026 a forged message
/// released 116,500 rsETH, and the rate stood still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bridged {
    /// Who holds it here.
    pub lockbox: Option<String>,
    /// How much he holds, smallest units.
    pub locked: Option<String>,
    /// What the named chains say.
    pub remotes: Vec<Remote>,
    /// What all of them say together.
    pub circulating: Option<String>,
    /// By how much less is locked than circulates there; zero is as it should be. Nothing when it could not be compared.
    pub missing: Option<String>,
}

/// A token on another chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remote {
    /// EIP-155.
    pub chain_id: u64,
    /// The token there.
    pub token: String,
    /// The final block for which it is true.
    pub block: u64,
    /// Its supply, smallest units.
    pub supply: String,
}

/// What an address is on Symbiotic, with the vaults that matter to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbioticSeen {
    /// The core, by its factory of vaults.
    pub vault_factory: String,
    /// As what it was looked at.
    pub standing: Standing,
    /// Vaults that back him or it, or itself.
    pub vaults: Vec<VaultSeen>,
    /// What could not be seen, and why.
    pub gaps: Vec<String>,
}

/// What an address is on Symbiotic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// An operator.
    Operator {
        /// Networks that he opted in to.
        networks: Vec<String>,
    },
    /// A network, which is what other protocols call a service.
    Network {
        /// Who slashes for it.
        middleware: Option<String>,
    },
    /// A vault.
    Vault,
    /// A token that vaults hold.
    Collateral,
}

/// One vault. Amounts are the collateral's smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VaultSeen {
    /// Where.
    pub vault: String,
    /// 1, or 2 with a token for its shares.
    pub version: u64,
    /// What it holds.
    pub collateral: Option<TokenName>,
    /// How it is divided.
    pub delegator: Option<String>,
    /// How it is slashed; nothing without a slasher, when nobody can.
    pub slasher: Option<String>,
    /// How long a slash waits for a veto, seconds.
    pub veto_duration: Option<u64>,
    /// Who receives what is slashed.
    pub burner: Option<String>,
    /// What the delegator calls on a slash.
    pub hook: Option<String>,
    /// For how long after its capture stake can be slashed, seconds.
    pub epoch_duration: u64,
    /// The epoch now.
    pub epoch: Option<String>,
    /// When the next one starts, seconds since 1970.
    pub next_epoch: Option<u64>,
    /// What does not leave.
    pub active_stake: Option<String>,
    /// What leaves with this epoch and with the next one: a slash still reaches it.
    pub withdrawals: [Option<String>; 2],
    /// All of that.
    pub total_stake: Option<String>,
    /// Whom it backs for whom. Never to be added up over networks, and with full restake not over operators.
    pub backings: Vec<BackingSeen>,
}

/// What of a vault stands behind one operator in one subnetwork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackingSeen {
    /// The network.
    pub network: String,
    /// Its number of the subnetwork.
    pub subnetwork: u64,
    /// The operator.
    pub operator: String,
    /// The most that the vault's curator lets the subnetwork use; nothing where the kind knows no such limit.
    pub limit: Option<String>,
    /// The most that the network accepts.
    pub max_limit: String,
    /// By the delegator's own view now.
    pub stake: Option<String>,
    /// What a slash by a capture one second ago can take.
    pub slashable: Option<String>,
    /// What a slash by the oldest capture that still counts can take: who left in between is not safe from it.
    pub slashable_by_oldest: Option<String>,
    /// What was slashed of him there ever, as it was asked for.
    pub slashed: Option<String>,
    /// The newest capture that was slashed by: none before it can be.
    pub latest_capture: Option<u64>,
    /// Who may veto; nobody where it is nothing.
    pub resolver: Option<String>,
    /// Requests to slash him that are still open.
    pub requests: Vec<RequestSeen>,
}

impl BackingSeen {
    /// Whether there is nothing and never was.
    pub(crate) fn is_nothing(&self) -> bool {
        let none = |amount: &Option<String>| amount.as_ref().is_none_or(|amount| amount == "0");
        let amounts = [&self.stake, &self.slashable, &self.slashable_by_oldest, &self.slashed];
        amounts.into_iter().all(none) && self.requests.is_empty()
    }
}

/// A request to slash that somebody may veto.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestSeen {
    /// Its number at the slasher.
    pub index: u64,
    /// What is asked for.
    pub amount: String,
    /// By what the operator had then, seconds since 1970.
    pub capture: u64,
    /// Until when it can be vetoed, seconds since 1970.
    pub veto_deadline: u64,
    /// Until when it can be carried out, seconds since 1970.
    pub executable_until: u64,
}

/// An operator or a service on Karak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KarakSeen {
    /// Where the core stands.
    pub core: String,
    /// Whether it is a service (a DSS); an operator otherwise.
    pub is_service: bool,
    /// The operator's vaults, or those staked to the service.
    pub vaults: Vec<KarakVault>,
    /// Requests to slash, newest first. What became of them no view says.
    pub slashes: Vec<KarakSlash>,
    /// What could not be seen, and why.
    pub gaps: Vec<String>,
}

/// One vault on Karak. It is staked whole, to each of its services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KarakVault {
    /// Whose.
    pub operator: String,
    /// Where.
    pub vault: String,
    /// What it holds.
    pub asset: Option<TokenName>,
    /// How much, smallest units.
    pub assets: Option<String>,
    /// Shares of it.
    pub shares: Option<String>,
    /// Shares that are asked back and still slashable.
    pub shares_asked_back: Option<String>,
    /// Services that it is staked to, of those that were looked for.
    pub staked_to: Vec<String>,
    /// Whether a request to slash it waits.
    pub queued_for_slashing: Option<bool>,
}

/// A request to slash on Karak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KarakSlash {
    /// The block it was made in.
    pub block: u64,
    /// By whom.
    pub service: String,
    /// Of whom.
    pub operator: String,
    /// Vaults and what is asked of each, of 100e18.
    pub vaults: Vec<(String, String)>,
}
