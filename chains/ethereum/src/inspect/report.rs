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
    /// The core that was found.
    pub eigenlayer: CoreSeen,
    /// When it is an operator.
    pub operator: Option<OperatorSeen>,
    /// When it is a service, or what EigenLayer calls an AVS.
    pub service: Option<ServiceSeen>,
    /// When it is a liquid restaking token.
    pub token: Option<TokenSeen>,
}

impl Report {
    /// Whether it is nothing that was looked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operator.is_none() && self.service.is_none() && self.token.is_none()
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
