//! Every number of the devnet, in one place, with the reason for it.
//!
//! The windows are small so that a person can watch a whole life of an epoch, a vault and a case in a minute, and they
//! keep R4's inequalities all the same: [`genesis::Genesis::check`](palisade_types::Genesis::check), which every node
//! runs, is a test of this file.
//!
//! | | Ethereum | Bitcoin |
//! |---|---|---|
//! | block every | 2 s | 2 s |
//! | final after | 8 blocks | 3 blocks (k) |
//! | an epoch is due after | 15 blocks (or 20 heights) | 15 blocks |
//! | a committee is too old after | 30 blocks | 30 blocks |
//! | verifiers trust it for another | 40 blocks | 40 blocks |
//! | a slash is carried out within | 20 blocks | 20 blocks |
//! | an anchor lags by at most | 10 blocks | (k, again: 3) |
//! | so stake must stay slashable for | 30 + 40 + 20 + 10 = 100 blocks | 3 + 30 + 40 + 20 + 3 = 96 blocks |
//! | and leaves after | 120 blocks (deallocation) | 120 blocks (unbonding) |

pub use crate::eigenlayer::{
    ALLOCATION_CONFIGURATION_DELAY_BLOCKS, DEALLOCATION_DELAY_BLOCKS, WITHDRAWAL_DELAY_BLOCKS,
};
use std::time::Duration;

// ---- Who takes part

/// The operators of genesis, each with a seat in epoch 0.
pub const OPERATORS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// The one who joins later.
pub const LATECOMER: &str = "erin";
/// Who is a member of the covenant, with the key in a process of its own beside his node. Outside a devnet a vault's operators are not its covenant (R27).
pub const COVENANT: [&str; 3] = ["alice", "bob", "carol"];
/// How many of the covenant must sign.
pub const COVENANT_QUORUM: u8 = 2;

// ---- Ethereum: one anvil, which mines by itself

/// Seconds between two blocks of anvil, by its own clock.
pub const ETHEREUM_BLOCK_SECONDS: u64 = 2;
/// Makes the tags `safe` and `finalized` move; `finalized` is then 8 blocks behind.
pub const SLOTS_IN_AN_EPOCH: u64 = 4;
/// What that lag is. While nodes run nobody mines more blocks at once than this and two.
pub const FINALITY_LAG_BLOCKS: u64 = 8;
/// Mined after a stored state is loaded: until two of anvil's epochs have passed, state at `finalized` cannot be read.
pub const BLOCKS_AFTER_LOAD: u64 = 10;
/// anvil's EIP-155 chain id.
pub const EVM_CHAIN_ID: u64 = 31_337;
/// What an operator's account gets for gas, in whole ether.
pub const GAS_MONEY_ETHER: u64 = 1_000;

// ---- Bitcoin: one bitcoind on regtest, on which a process of this crate mines

/// Between two blocks of the miner.
pub const BITCOIN_BLOCK: Duration = Duration::from_secs(2);
/// k: a block is final when this many stand on it.
pub const BITCOIN_DEPTH: u64 = 3;
/// Mined at the very start, to the staker: a coinbase can be spent after 100 blocks, so he has twenty coins.
pub const FIRST_BITCOIN_BLOCKS: u32 = 120;
/// Fee rate of a staking transaction, satoshis per virtual byte.
pub const STAKING_FEE_RATE: u64 = 2;

// ---- Epochs and windows (R4, R10), in blocks of the respective chain unless said otherwise

/// Heights after which an epoch is due.
pub const EPOCH_HEIGHTS: u64 = 20;
/// M: Ethereum blocks after its snapshot at which an epoch is due.
pub const EPOCH_ETHEREUM_BLOCKS: u64 = 15;
/// B: the same for Bitcoin.
pub const EPOCH_BITCOIN_BLOCKS: u64 = 15;
/// A committee's age limit; twice M, so that a hand-over has as much time as the epoch had.
pub const MAX_AGE_BLOCKS: u64 = 30;
/// How long a verifier trusts a committee past that.
pub const TRUST_BLOCKS: u64 = 40;
/// Detection, submission and execution of a slash.
pub const EXECUTION_BLOCKS: u64 = 20;
/// How many of his last slots an operator's duty is judged by: who misses more than 102 of them in a row, about 100 seconds, is jailed
/// (R20). The minute for which a guard that was put back to a backup does not vote (R15) must not be enough.
pub const DUTY_SLOTS: u64 = 128;
/// How far an anchor may lag; more than the finality tag's 8.
pub const OBSERVATION_LAG_BLOCKS: u64 = 10;
/// L: no attestation while an anchor lags the own final view by more (R7).
pub const ATTEST_LAG_BLOCKS: u64 = 20;
/// N: a checkpoint every so many heights (R2).
pub const CHECKPOINT_INTERVAL: u64 = 5;
/// How long one height takes at least, milliseconds: two per block of the chains.
pub const ENGINE_TARGET_MILLIS: u64 = 1_000;
/// For how long after a start a node only listens for another with its keys (R20), milliseconds: a few heights.
pub const LISTEN_MILLIS: u64 = 3_000;

// ---- Stake and prices. The common unit of power is the micro-dollar (R23).

/// Tokens that each operator's staker deposits and delegates, in whole tokens of 1e18.
pub const STAKE_TOKENS: u64 = 1_000;
/// The part of them that is allocated to the network's operator set, of 1e18: all.
pub const ALLOCATED_MAGNITUDE: u64 = 1_000_000_000_000_000_000;
/// What one token is worth: 3,000 dollars. A stake is then worth three millions, and what a pair takes of it
/// three hundred thousand.
pub const TOKEN_PRICE_MICRO_USD: u64 = 3_000_000_000;
/// What an equivocation takes of an allocation, of 1e18: a tenth (R11).
pub const EQUIVOCATION_WAD: u64 = 100_000_000_000_000_000;
/// What a certified order takes of an allocation, of 1e18, and the most it may: a fifth (R11).
pub const ORDER_WAD: u64 = 200_000_000_000_000_000;
/// How long an order stands announced before it may be executed, Ethereum blocks: six seconds.
pub const ORDER_DELAY_BLOCKS: u64 = 3;
/// Ether-side value at risk without which an epoch has no weight (R6): two operators' worth.
pub const MIN_TOTAL_MICRO_USD: u64 = 600_000_000_000;
/// The least value at risk of a committee behind which bitcoin stands alone: two operators' vaults (R22).
pub const MIN_TOTAL_BITCOIN_MICRO_USD: u64 = 12_000_000_000;
/// The least of one member: a thousand dollars.
pub const MIN_BOND_MICRO_USD: u64 = 1_000_000_000;

/// Tokens of each operator in each of the two vaults on Symbiotic, in whole tokens; an equivocation takes all of them (R26).
pub const SYMBIOTIC_TOKENS: u64 = 20;
/// For how long after its capture stake on Symbiotic can be slashed, seconds. A capture is noted every fourth of it.
pub const SYMBIOTIC_EPOCH_SECONDS: u64 = 600;
/// How long a slash of the veto vault may be vetoed, seconds.
pub const SYMBIOTIC_VETO_SECONDS: u64 = 20;
/// W in seconds: Ethereum's window of 100 blocks, and a fifth more for blocks that come late.
pub const WINDOW_SECONDS: u64 = 240;

/// What one vault holds: a bitcoin.
pub const VAULT_SATS: u64 = 100_000_000;
/// What one bitcoin is worth: 60,000 dollars. All vaults together stay far below a third of the power.
pub const BITCOIN_PRICE_MICRO_USD: u64 = 60_000_000_000;
/// What an equivocation takes of a vault, in hundredths of a percent: a tenth.
pub const VAULT_SLASH_BASIS_POINTS: u16 = 1_000;
/// Where it goes: an OP_RETURN output, which nobody can spend (R8).
pub const VAULT_SLASH_SCRIPT: &[u8] = b"\x6a\x08palisade";
/// Fees of the pre-signed slashing transactions, satoshis: a ladder of about 4, 20 and 100 satoshis per virtual byte (R28).
pub const VAULT_SLASH_FEES: [u64; 3] = [1_000, 5_000, 25_000];
/// The least of them that a vault may have.
pub const MIN_SLASH_FEE_SATS: u64 = 1_000;
/// Fee of the unbonding transaction.
pub const UNBONDING_FEE_SATS: u64 = 1_000;
/// The least stake of a vault.
pub const MIN_VAULT_SATS: u64 = 50_000;
/// Lock of the unbonding output, blocks: above Bitcoin's window of 96.
pub const UNBONDING_BLOCKS: u16 = 120;
/// How long the devnet's vaults are locked, blocks: 33 hours of the miner. After that a devnet has no bitcoin weight.
pub const STAKING_BLOCKS: u16 = 60_000;
/// The shortest lock allowed.
pub const MIN_STAKING_BLOCKS: u16 = 200;
/// The longest.
pub const MAX_STAKING_BLOCKS: u16 = 64_000;

// ---- Services (`service up`): notaries with an operator set, a token and rules of their own

/// Tokens of the services' own that each operator deposits, whole tokens.
pub const SERVICE_TOKENS: u64 = 100;
/// What of them each operator allocates to each service, of 1e18, in the order of [`SERVICES`](crate::layout::SERVICES).
pub const SERVICE_MAGNITUDES: [u64; 2] = [500_000_000_000_000_000, 250_000_000_000_000_000];
/// The most that an order, and all orders of a span together, take of an operator's allocation to a service: three fifths.
pub const SERVICE_MAX_WAD: u64 = 600_000_000_000_000_000;
/// What a verdict asks, before the law of correlation: a half.
pub const SERVICE_FAULT_WAD: u64 = 500_000_000_000_000_000;
/// k of the law min((k x)^2, 1), in hundredths: a third of the committee at fault in one window pays all that is asked.
pub const SERVICE_LAW_HUNDREDTHS: u32 = 300;
/// Verdicts that come within so many Ethereum blocks of each other are taken for one cause: eight seconds.
pub const SERVICE_WINDOW_BLOCKS: u64 = 4;

// ---- Where things listen, all on 127.0.0.1

/// The first port of a devnet; `PALISADE_DEVNET_PORT` overrides it.
pub const FIRST_PORT: u16 = 26_500;
/// anvil's, counted from the first port.
pub const ETHEREUM_PORT: u16 = 0;
/// bitcoind's.
pub const BITCOIN_PORT: u16 = 1;
/// The first operator's; each has this many: libp2p, JSON-RPC, metrics.
pub const OPERATOR_PORT: u16 = 10;
/// Ports per operator.
pub const PORTS_PER_OPERATOR: u16 = 3;
/// How many ports a devnet has in all.
pub const PORTS: u16 = 30;

// ---- How long a person waits before something is called broken

/// A chain that was started answers.
pub const START_DEADLINE: Duration = Duration::from_secs(60);
/// A process that was told to stop is gone.
pub const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// From the nodes' start until everything is final: four epochs.
pub const READY_DEADLINE: Duration = Duration::from_secs(240);
/// From the last transaction of `join` to a seat: allocation final, in the ledger, the next boundary certified.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(240);
/// From evidence to both chains' final word, with every operator but one to fall back on.
pub const SLASH_DEADLINE: Duration = Duration::from_secs(240);
/// Between two looks at something that is waited for.
pub const POLL: Duration = Duration::from_millis(250);
