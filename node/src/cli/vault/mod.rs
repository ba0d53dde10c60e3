//! `palisade vault`: the life of a stake. The staker's key stays in his wallet: what must be signed leaves as a PSBT, and what
//! comes back is checked against what was asked.

mod core;
mod desk;
mod inspect;
mod leave;
mod list;
mod register;
mod stake;

#[derive(Debug, clap::Subcommand)]
pub enum Vault {
    /// Plan a stake: its address, its descriptors, and the PSBTs your wallet signs before any coin is locked
    Stake(stake::Stake),
    /// Hand a signed plan in and wait for the covenant
    Register(register::Register),
    /// Lock the coins of a verified vault
    Send(register::Send),
    /// Every vault
    List(list::List),
    /// One vault
    Status(list::Status),
    /// Leave early: the coins are free after the unbonding time
    Unbond(leave::Unbond),
    /// Take the coins back once their lock has run out: of the stake, of an unbonding, or what a slash left
    Withdraw(leave::Withdraw),
    /// Grow a vault, or lock it for longer, without its coins ever being free
    Expand(stake::Expand),
    /// Explain a transaction that makes or takes apart a stake, ours or Babylon's
    Inspect(inspect::Inspect),
}

impl Vault {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Stake(stake) => stake.act().await,
            Self::Register(register) => register.act().await,
            Self::Send(send) => send.act().await,
            Self::List(list) => list.act().await,
            Self::Status(status) => status.act().await,
            Self::Unbond(unbond) => unbond.act().await,
            Self::Withdraw(withdraw) => withdraw.act().await,
            Self::Expand(expand) => expand.act().await,
            Self::Inspect(inspect) => inspect.act().await,
        }
    }
}
