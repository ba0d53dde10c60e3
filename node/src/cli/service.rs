//! `palisade service`: what a local module of a service asks the signer of its operator, by hand (R14).

use crate::service::protocol::{Question, Reply, ask};
use anyhow::{Context, bail};
use palisade_types::ids::{Digest, ServiceId};
use palisade_types::service::{FIRST_KIND, RegistrationId, ServiceDomain, ServiceStatement};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Service {
    /// Show where the node's ledger stands: epoch, and the capture that verdicts in its slots are charged to
    Status(Socket),
    /// Have a digest attested in one of the service's domains
    Attest(Attest),
    /// Leave jail, once the time there is over
    Unjail(Socket),
}

#[derive(Debug, clap::Args)]
pub struct Socket {
    /// The node's `service.socket`
    #[arg(long, env = "PALISADE_SERVICE_SOCKET", value_name = "FILE")]
    socket: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Attest {
    #[command(flatten)]
    at: Socket,
    /// The service: its account as 32 bytes of hex
    #[arg(long, value_name = "HEX")]
    service: ServiceId,
    /// Which of its registrations
    #[arg(long, value_name = "NUMBER")]
    registration: u64,
    /// Which of the registration's domains
    #[arg(long, value_name = "NUMBER", default_value_t = FIRST_KIND)]
    kind: u16,
    /// The slot, with its epoch in the high 24 bits
    #[arg(long, value_name = "NUMBER")]
    slot: u64,
    /// What stands there
    #[arg(long, value_name = "HEX")]
    digest: Digest,
}

impl Service {
    pub async fn act(self) -> anyhow::Result<()> {
        let (socket, question) = match self {
            Self::Status(at) => (at.socket, Question::Status),
            Self::Unjail(at) => (at.socket, Question::Unjail),
            Self::Attest(Attest { at, service, registration, kind, slot, digest }) => {
                let registration = RegistrationId { service, number: registration };
                let domain = ServiceDomain { registration, kind };
                (at.socket, Question::Attest(ServiceStatement { domain, slot, digest }))
            }
        };
        let reply = ask(&socket, &question).await.with_context(|| format!("asking {}", socket.display()))?;
        match reply {
            Reply::Status(status) => println!(
                "chain {}\noperator {}\nepoch {}\ncapture {}",
                status.chain, status.operator, status.epoch, status.capture
            ),
            Reply::Attested(attestation) => println!(
                "domain {}\nslot {}\nsignature {}",
                attestation.statement.domain, attestation.statement.slot, attestation.signature
            ),
            Reply::Unjailing(unjail) => println!("on its way: out of the jail of height {}", unjail.jailed),
            Reply::Refused(refusal) => bail!("refused: {refusal}"),
        }
        Ok(())
    }
}
