//! `palisade ethereum`: looking at Ethereum without a node of ours.

mod inspect;
mod lines;

#[derive(Debug, clap::Subcommand)]
pub enum Ethereum {
    /// Show what an Ethereum endpoint shows of an operator, a service or a liquid restaking token
    Inspect(inspect::Inspect),
}

impl Ethereum {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Inspect(inspect) => inspect.act().await,
        }
    }
}
