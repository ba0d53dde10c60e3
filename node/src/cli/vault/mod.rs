//! `palisade vault`

mod inspect;

#[derive(Debug, clap::Subcommand)]
pub enum Vault {
    /// Explain a transaction that makes or takes apart a stake, ours or Babylon's
    Inspect(inspect::Inspect),
}

impl Vault {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Inspect(inspect) => inspect.act().await,
        }
    }
}
