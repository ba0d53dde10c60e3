//! The ledger as JSON shows it. These are views: nothing is ever read back from them into consensus.
//!
//! Heights, epochs and block numbers are numbers. Amounts (satoshis, shares, micro-dollars, power) are decimal
//! strings, since JavaScript's numbers are not exact above 2^53. Bytes are `0x`-hex; hashes of Bitcoin stand as
//! Bitcoin shows them. Absent values are `null`.

use super::services;
use crate::text::{bitcoin_hash, chain_hash, hex_bytes};
use libp2p::PeerId;
use palisade_ledger::Ledger;
use palisade_types::block::{Block, Item};
use palisade_types::canonical::Canonical;
use palisade_types::certificate::{BitcoinCertificate, Committee, Member, QuorumCertificate};
use palisade_types::chain::{ChainKind, ChainPoint};
use palisade_types::epoch::FinalBlock;
use palisade_types::evidence::{Domains, Evidence};
use palisade_types::ids::{Hash, OperatorId};
use palisade_types::observation::{Fact, Observation};
use palisade_types::operator::{KeyRow, Operator};
use palisade_types::position::{KarakStake, Magnitudes, Position, PositionId, SymbioticStake};
use palisade_types::price::Answer;
use palisade_types::slash::{Case, CaseStatus, OrderStatus, SlashOrder, SlashTarget};
use palisade_types::vault::{Spend, Vault, VaultRegistration, VaultStatus};
use serde::{Deserialize, Serialize};

/// `palisade_status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// This binary.
    pub version: String,
    /// The network.
    pub chain_id: String,
    /// Whose node this is.
    pub operator: String,
    /// The newest committed block.
    pub head: BlockName,
    /// The root of all rows after it.
    pub state_root: String,
    /// The epoch of the next block.
    pub epoch: u32,
    /// Its committee's members.
    pub committee_size: usize,
    /// Whether this operator is one of them.
    pub seated: bool,
    /// Whether certificates of this epoch mean anything (R6).
    pub has_weight: bool,
    /// Whether bitcoin stands alone behind the network: nothing is ever ether-final (R22).
    pub bitcoin_only: bool,
    /// The newest height up to which our own followers confirm every block (R7).
    pub confirmed: u64,
    /// The newest height this operator attested.
    pub attested: u64,
    /// The newest checkpoint this operator voted for.
    pub voted: u64,
    /// The newest ether-final block we know a certificate of, whether or not it stands in a block.
    pub ether_final: Option<BlockName>,
    /// The newest bitcoin-final checkpoint, likewise.
    pub bitcoin_final: Option<BlockName>,
    /// The unbroken run of checkpoints that the ledger shows as bitcoin-final (R2).
    pub bitcoin_run: Option<RunView>,
    /// For how many checkpoints above the head this operator has promised nonces; `null` while he has no keys (R19).
    pub eots_slots_left: Option<u64>,
    /// How far Ethereum is taken in.
    pub ethereum: ChainView,
    /// How far Bitcoin is taken in.
    pub bitcoin: ChainView,
    /// Chains on which a proposal contradicted what we saw: nothing is attested until a person looks.
    pub contradicted: Vec<String>,
    /// Operators we are connected to, ourselves left out.
    pub peers: Vec<String>,
    /// Whether the signer attests.
    pub signer: SignerView,
    /// Evidence and registrations waiting for a block.
    pub pending: usize,
    /// Cases with an open order.
    pub cases_open: usize,
    /// Cases whose every order is final or escaped.
    pub cases_final: usize,
}

/// A run of bitcoin-final checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// The checkpoint it starts with.
    pub first: u64,
    /// Its newest checkpoint whose certificate stands in a block.
    pub last: u64,
    /// Where the run before it ended, when a gap ended one (R22).
    pub broken: Option<u64>,
}

/// A block by height and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockName {
    /// Height.
    pub height: u64,
    /// Id.
    pub id: String,
}

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainView {
    /// How far the ledger has taken it in.
    pub anchor: PointView,
    /// The newest final block our own endpoint shows; `null` until it has answered.
    pub own_final: Option<PointView>,
    /// Set while the chain is suspended (R30): it took back what was final, its stake weighs nothing, and its anchor stands
    /// still until the operators accept a new one.
    pub suspended: Option<SuspensionView>,
    /// What the chain's blocks ask of a transaction, as agreed, satoshis per 1000 weight units; `null` for Ethereum (R28).
    pub fee_rate: Option<u64>,
}

/// Why and since when a chain is suspended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspensionView {
    /// The anchor that its chain no longer holds.
    pub gone: PointView,
    /// The height of the block that suspended it.
    pub since: u64,
}

/// A block of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointView {
    /// Number or height.
    pub number: u64,
    /// Hash.
    pub hash: String,
    /// Seconds since 1970.
    pub time: u64,
}

/// What the signer's records are worth (R15).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerView {
    /// `unbroken`, or `broken`: the record was imported, restored or truncated at some time.
    pub history: String,
    /// Whether the next block's epoch may be attested.
    pub attests: bool,
    /// With a broken history: only epochs whose start anchor is above this Ethereum block are attested.
    pub only_epochs_above: Option<u64>,
}

/// `ledger_root`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootView {
    /// Height.
    pub height: u64,
    /// The block's id.
    pub id: String,
    /// The root of all rows after it.
    pub state_root: String,
}

/// `ledger_proof`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// The certified block under whose root the row stands.
    pub height: u64,
    /// Its epoch: the committee to verify with.
    pub epoch: u32,
    /// Whether the row is there.
    pub present: bool,
    /// Canonical bytes of the light proof.
    pub proof: String,
}

/// `ledger_proof_bundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleView {
    /// The certified block under whose root the row stands.
    pub height: u64,
    /// The hash of the committee whose certificate it is: what the reader must know from elsewhere.
    pub committee: String,
    /// Whether the row is there.
    pub present: bool,
    /// Canonical bytes of genesis, committee and light proof together.
    pub bundle: String,
}

/// `ledger_block`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockView {
    /// Id.
    pub id: String,
    /// Height.
    pub height: u64,
    /// Epoch.
    pub epoch: u32,
    /// The block before.
    pub parent: String,
    /// Hash of the items.
    pub items_root: String,
    /// Root of all rows after it.
    pub state_root: String,
    /// The next committee's hash in a boundary block.
    pub next_committee: Option<String>,
    /// Canonical bytes of the header.
    pub header: String,
    /// What it holds, in order.
    pub items: Vec<ItemView>,
}

/// One item of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are those of the item
pub enum ItemView {
    /// A chain's anchor moves.
    Observed { chain: String, after: PointView, upto: PointView, facts: Vec<FactView> },
    /// A proof of fault.
    Evidence(EvidenceView),
    /// A vault.
    Vault { operator: String, staker: String, amount: String },
    /// A promise of nonces.
    Randomness { operator: String, first: u64, count: u32, root: String },
    /// A block is ether-final.
    EtherFinal { height: u64, id: String },
    /// A checkpoint is bitcoin-final.
    BitcoinFinal { height: u64, id: String, votes: usize },
    /// A chain took back what was final.
    Suspended { chain: String, gone: PointView },
    /// A suspended chain goes on from a new anchor.
    Resumed { chain: String, gone: PointView, anchor: PointView, facts: Vec<FactView> },
    /// An operator leaves jail.
    Unjail { operator: String, jailed: u64 },
}

/// One final fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are those of the fact
pub enum FactView {
    /// New keys.
    Keys { operator: String, keys: KeysView },
    /// A position differs.
    Stake { operator: String, position: PositionView },
    /// Palisade.sol saw a pair.
    Convicted { case: String, operator: String, domain: String, slot: u64 },
    /// A restaking protocol showed a loss.
    Slashed { case: String, operator: String, asset: String, before: String, afterwards: String, transaction: String },
    /// A restaking protocol let a slash be vetoed.
    Vetoed { case: String, operator: String, asset: String, transaction: String },
    /// What a price feed said: its answer with its decimals and when it was made; none of the three when it said nothing.
    Price { source: String, asset: String, answer: Option<String>, decimals: Option<u8>, updated: Option<u64> },
    /// A service named an operator set, and the most that an order may take there.
    ServiceSet { service: String, adapter: String, maximum: String },
    /// A service registered, with its rules.
    ServiceDeclared { service: String, registration: u64, rules: String },
    /// Whose protocol a service's operator set is.
    ServiceProtocol { adapter: String, protocol: String },
    /// What an operator has in a service's set.
    ServiceStake(services::ServiceStakeView),
    /// A vault counts.
    VaultConfirmed { id: String, height: u64 },
    /// A vault's output is gone.
    VaultSpent { id: String, spend: String, transaction: String },
    /// What Bitcoin's blocks ask of a transaction now, satoshis per 1000 weight units.
    FeeRate { rate: u64 },
    /// A covenant member signed a spend that nobody registered.
    CovenantBreach { vault: String, member: String, height: u64, transaction: String },
    /// An operator listed a vault beside genesis' assets, which follows one of them.
    Listed { operator: String, source: String, asset: String, like: String },
    /// What was taken in after this anchor is forgotten.
    Rewound { anchor: PointView },
}

/// A proof of fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// `pair`, `eots_pair`, `ancestor`, `votes`, `covenant`, `exposed_key` or `exposed_provider`.
    pub evidence: String,
    /// The accused; `null` where nobody is.
    pub operator: Option<String>,
    /// Canonical bytes, as `evidence_submit` takes them.
    pub bytes: String,
}

/// `ledger_certificate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Of which block.
    pub height: u64,
    /// By BLS and ETH-side stake.
    pub ether: EtherCertificateView,
    /// By EOTS and bitcoin; checkpoints only.
    pub bitcoin: Option<BitcoinCertificateView>,
}

/// A BLS certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtherCertificateView {
    /// The statement's domain.
    pub domain: String,
    /// Its slot.
    pub slot: u64,
    /// Its digest: the block's id.
    pub digest: String,
    /// The committee's hash.
    pub committee: String,
    /// Members in all.
    pub members: u16,
    /// Who signed.
    pub signers: Vec<String>,
    /// The sum of their signatures.
    pub signature: String,
    /// Canonical bytes.
    pub bytes: String,
}

/// An EOTS certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitcoinCertificateView {
    /// The statement's domain.
    pub domain: String,
    /// Its slot.
    pub slot: u64,
    /// Its digest: the block's id.
    pub digest: String,
    /// The committee's hash.
    pub committee: String,
    /// Who signed.
    pub signers: Vec<String>,
    /// Canonical bytes.
    pub bytes: String,
}

/// One of `ledger_operators`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorView {
    /// Account.
    pub id: String,
    /// Every key row, oldest first.
    pub keys: Vec<KeysView>,
    /// Height of the first conviction.
    pub convicted: Option<u64>,
    /// Height of the jailing.
    pub jailed: Option<u64>,
    /// Slots attested.
    pub attested: u64,
    /// Slots missed.
    pub missed: u64,
    /// His stake on Ethereum.
    pub positions: Vec<PositionView>,
    /// Vaults behind him.
    pub vaults: Vec<String>,
    /// His seat in the committee of the next block.
    pub seat: Option<MemberView>,
}

/// A key row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// Number in Palisade.sol.
    pub id: u32,
    /// First Ethereum block.
    pub from: u64,
    /// First Ethereum block without it.
    pub until: Option<u64>,
    /// Attests.
    pub bls: String,
    /// Votes.
    pub ed25519: String,
    /// Attests for bitcoin.
    pub eots: String,
    /// libp2p peer id.
    pub peer: String,
}

/// A stake position, by its `source`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum PositionView {
    /// `eigenlayer`.
    Eigenlayer(MagnitudesView),
    /// `symbiotic`.
    Symbiotic(SymbioticView),
    /// `karak`.
    Karak(KarakView),
}

/// Stake on Karak. Times are seconds, amounts the asset's smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KarakView {
    /// The vault.
    pub asset: String,
    /// What is staked, less what its stakers asked back.
    pub assets: String,
    /// When a pending request to unstake can be completed; zero without one.
    pub leaving: u64,
    /// How long a slash waits for a veto.
    pub veto_duration: u64,
}

/// Stake on Symbiotic. Times are seconds, amounts the collateral's smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbioticView {
    /// The vault.
    pub asset: String,
    /// What can be slashed by which capture, newest first.
    pub captures: Vec<CaptureView>,
    /// What the vault can lose at most, over all of its operators.
    pub pool: String,
    /// For how long after its capture stake can be slashed.
    pub epoch_duration: u64,
    /// How long of that a request waits for a veto.
    pub veto_duration: u64,
}

/// What one moment of the past leaves to slash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureView {
    /// Seconds since 1970.
    pub time: u64,
    /// How much.
    pub stake: String,
}

/// Stake on EigenLayer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagnitudesView {
    /// The strategy.
    pub asset: String,
    /// Delegated shares.
    pub shares: String,
    /// Shares in the withdrawal queue of which a slash still takes.
    pub queued: String,
    /// Of 1e18, what the set may take now.
    pub magnitude: String,
    /// Of 1e18.
    pub max_magnitude: String,
    /// Pending change of `magnitude`.
    pub pending: String,
    /// When it takes effect.
    pub effect_block: u64,
    /// Whether he is in the operator set.
    pub member: bool,
}

/// `ledger_committee`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitteeView {
    /// Epoch.
    pub epoch: u32,
    /// Hash, as certificates name it.
    pub hash: String,
    /// Snapshot on Ethereum.
    pub ethereum: PointView,
    /// Snapshot on Bitcoin.
    pub bitcoin: PointView,
    /// Sum of `ether`, micro-dollars.
    pub total_ether: String,
    /// Sum of `bitcoin`, satoshis.
    pub total_bitcoin: String,
    /// Canonical bytes, to verify certificates with.
    pub bytes: String,
    /// By account ascending.
    pub members: Vec<MemberView>,
}

/// A seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Account.
    pub operator: String,
    /// Number of his key row.
    pub key: u32,
    /// ETH-side stake a pair can take, micro-dollars.
    pub ether: String,
    /// Bitcoin a pair can take, satoshis.
    pub bitcoin: String,
    /// Power in the engine.
    pub engine: String,
}

/// One of `vault_list`; `vault_get` adds the registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultView {
    /// `txid:output`.
    pub id: String,
    /// The operator behind it.
    pub operator: String,
    /// The staker's key.
    pub staker: String,
    /// Finality providers' keys.
    pub providers: Vec<String>,
    /// Satoshis.
    pub amount: String,
    /// The version of genesis' terms that it keeps for life.
    pub terms: u16,
    /// The vault it expands, if any.
    pub parent: Option<String>,
    /// `verified`, `active`, `expired`, `unbonding`, `withdrawn`, `slashed`, `expanded` or `lost`, at the ledger's Bitcoin
    /// anchor. An expired vault weighs nothing and can be slashed until its coins are spent.
    pub status: String,
    /// The transaction that ended or unbonded it.
    pub transaction: Option<String>,
    /// Satoshis a slash took.
    pub taken: Option<String>,
    /// The ledger's Bitcoin anchor when it was registered.
    pub registered: u64,
    /// Bitcoin height of the staking transaction, once it is final.
    pub start: Option<u64>,
    /// Bitcoin height from which it weighs nothing: one unbonding time before its end.
    pub expires: Option<u64>,
    /// Bitcoin height at which the timelock lets the coins go.
    pub end: Option<u64>,
    /// Confirmations of the staking transaction at the ledger's Bitcoin anchor, its own block counted.
    pub confirmations: u64,
    /// What its dearest slashing transaction pays, satoshis per 1000 weight units (R28).
    pub top_rate: u64,
    /// Whether the market asks more than that: it weighs nothing until the market calms.
    pub outbid: bool,
    /// Those of its providers whose secret is known: anybody can slash it, and it weighs nothing (R29).
    pub exposed: Vec<String>,
    /// Canonical bytes of the registration; only in `vault_get`.
    pub registration: Option<String>,
}

/// `vault_register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultAccepted {
    /// The vault.
    pub vault: String,
    /// `pending`: it goes to the covenant, then into a block.
    pub status: String,
}

/// `evidence_submit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceAccepted {
    /// The case it opens; `null` for a pair of engine votes, which opens none but jails (R18).
    pub case: Option<String>,
    /// Every case it opens: two certificates convict everybody who signed both.
    pub cases: Vec<String>,
    /// `new`: it is proven and waits for a block.
    pub status: String,
}

/// `evidence_case` and one of `evidence_cases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseView {
    /// Id.
    pub id: String,
    /// Who.
    pub operator: String,
    /// Where.
    pub domain: String,
    /// `ledger`, `bitcoin`, `covenant` (R27) or `other`.
    pub domain_kind: String,
    /// Which slot.
    pub slot: u64,
    /// The block that holds the proof.
    pub opened: u64,
    /// `convicted` or `final`.
    pub status: String,
    /// The proof; `null` when the contract convicted.
    pub evidence: Option<EvidenceView>,
    /// What is to be taken.
    pub orders: Vec<OrderView>,
}

/// One slash order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// One of [`OrderView::SOURCES`].
    pub source: String,
    /// The strategy, or the vault; of a service's set its adapter, and once the chain shows it the asset that was taken.
    pub target: String,
    /// Shares, smallest units of a vault's collateral, or satoshis; of a service's set the part, of 1e18.
    pub asked: String,
    /// One of [`OrderView::STATUSES`].
    pub status: String,
    /// What was really taken of these.
    pub taken: Option<String>,
    /// The transaction that took it.
    pub transaction: Option<String>,
}

impl From<&FinalBlock> for BlockName {
    fn from(block: &FinalBlock) -> Self {
        Self { height: block.height.get(), id: block.id.to_string() }
    }
}

impl PointView {
    /// `point` of `chain`.
    #[must_use]
    pub fn of(chain: ChainKind, point: &ChainPoint) -> Self {
        Self { number: point.number, hash: chain_hash(chain, &point.hash), time: point.time }
    }
}

impl From<&Block> for BlockView {
    fn from(block: &Block) -> Self {
        let header = &block.header;
        Self {
            id: block.id().to_string(),
            height: header.height.get(),
            epoch: header.epoch.get(),
            parent: header.parent.to_string(),
            items_root: header.items_root.to_string(),
            state_root: header.state_root.to_string(),
            next_committee: (header.next_committee != Hash::ZERO).then(|| header.next_committee.to_string()),
            header: hex_bytes(&header.to_bytes()),
            items: block.items.iter().map(ItemView::from).collect(),
        }
    }
}

impl From<&Item> for ItemView {
    fn from(item: &Item) -> Self {
        match item {
            Item::Observed(observation) => observed(observation),
            Item::Evidence(evidence) => Self::Evidence(evidence.into()),
            Item::Vault(registration) => Self::Vault {
                operator: registration.operator.to_string(),
                staker: registration.staker.to_string(),
                amount: registration.amount.to_string(),
            },
            Item::Randomness(promise) => Self::Randomness {
                operator: promise.operator.to_string(),
                first: promise.commitment.first.get(),
                count: promise.commitment.count,
                root: promise.commitment.root.to_string(),
            },
            Item::EtherFinal(certificate) => {
                Self::EtherFinal { height: certificate.slot, id: certificate.digest.to_string() }
            }
            Item::BitcoinFinal(certificate) => Self::BitcoinFinal {
                height: certificate.slot,
                id: certificate.digest.to_string(),
                votes: certificate.votes.len(),
            },
            Item::Suspended(suspended) => Self::Suspended {
                chain: chain_name(suspended.chain).to_owned(),
                gone: PointView::of(suspended.chain, &suspended.anchor),
            },
            Item::Unjail(unjail) => Self::Unjail { operator: unjail.operator.to_string(), jailed: unjail.jailed.get() },
            Item::Resumed(observation) => Self::Resumed {
                chain: chain_name(observation.chain).to_owned(),
                gone: PointView::of(observation.chain, &observation.after),
                anchor: PointView::of(observation.chain, &observation.upto),
                facts: observation.facts.iter().map(FactView::from).collect(),
            },
        }
    }
}

fn observed(observation: &Observation) -> ItemView {
    ItemView::Observed {
        chain: chain_name(observation.chain).to_owned(),
        after: PointView::of(observation.chain, &observation.after),
        upto: PointView::of(observation.chain, &observation.upto),
        facts: observation.facts.iter().map(FactView::from).collect(),
    }
}

/// The chain in one word, as views and metrics have it.
#[must_use]
pub const fn chain_name(chain: ChainKind) -> &'static str {
    match chain {
        ChainKind::Ethereum => "ethereum",
        ChainKind::Bitcoin => "bitcoin",
    }
}

impl From<&Fact> for FactView {
    fn from(fact: &Fact) -> Self {
        match fact {
            Fact::Keys(keys) => Self::Keys { operator: keys.operator.to_string(), keys: (&keys.row).into() },
            Fact::Stake(stake) => Self::Stake {
                operator: stake.id.operator.to_string(),
                position: PositionView::of(&stake.id, &stake.position),
            },
            Fact::Convicted(convicted) => Self::Convicted {
                case: convicted.case.to_string(),
                operator: convicted.operator.to_string(),
                domain: convicted.domain.to_string(),
                slot: convicted.slot,
            },
            Fact::Slashed(slashed) => Self::Slashed {
                case: slashed.case.to_string(),
                operator: slashed.operator.to_string(),
                asset: slashed.asset.to_string(),
                before: slashed.before.to_string(),
                afterwards: slashed.afterwards.to_string(),
                transaction: slashed.transaction.to_string(),
            },
            Fact::Vetoed(vetoed) => Self::Vetoed {
                case: vetoed.case.to_string(),
                operator: vetoed.operator.to_string(),
                asset: vetoed.asset.to_string(),
                transaction: vetoed.transaction.to_string(),
            },
            Fact::VaultConfirmed(confirmed) => {
                Self::VaultConfirmed { id: confirmed.id.to_string(), height: confirmed.height }
            }
            Fact::CovenantBreach(breach) => Self::CovenantBreach {
                vault: breach.vault.to_string(),
                member: breach.member.to_string(),
                height: breach.height,
                transaction: bitcoin_hash(&breach.transaction),
            },
            Fact::Price(seen) => {
                let round = match seen.answer {
                    Answer::Nothing => None,
                    Answer::Round(round) => Some(round),
                };
                Self::Price {
                    source: seen.source.protocol().to_owned(),
                    asset: seen.source.asset().to_string(),
                    answer: round.map(|round| round.answer.to_string()),
                    decimals: round.map(|round| round.decimals),
                    updated: round.map(|round| round.updated),
                }
            }
            Fact::Listed(listed) => Self::Listed {
                operator: listed.id.operator.to_string(),
                source: listed.id.source.protocol().to_owned(),
                asset: listed.id.source.asset().to_string(),
                like: listed.like.asset().to_string(),
            },
            Fact::FeeRate(rate) => Self::FeeRate { rate: *rate },
            Fact::ServiceSet(seen) => Self::ServiceSet {
                service: seen.service.to_string(),
                adapter: seen.set.adapter.to_string(),
                maximum: seen.set.maximum.to_string(),
            },
            Fact::ServiceDeclared(declared) => Self::ServiceDeclared {
                service: declared.id.service.to_string(),
                registration: declared.id.number,
                rules: hex_bytes(&declared.rules),
            },
            Fact::ServiceProtocol(seen) => Self::ServiceProtocol {
                adapter: seen.adapter.to_string(),
                protocol: services::protocol_name(Some(seen.protocol)).to_owned(),
            },
            Fact::ServiceStake(seen) => Self::ServiceStake(services::ServiceStakeView::of(&seen.id, &seen.stake, None)),
            Fact::Rewound(point) => Self::Rewound { anchor: PointView::of(ChainKind::Bitcoin, point) },
            Fact::VaultSpent(spent) => {
                let (spend, transaction) = match &spent.spend {
                    Spend::Withdrawn(txid) => ("withdrawn", txid),
                    Spend::Unbonded(txid) => ("unbonded", txid),
                    Spend::Slashed(loss) => ("slashed", &loss.txid),
                    Spend::Unexpected(txid) => ("unexpected", txid),
                    Spend::Expanded(txid) => ("expanded", txid),
                };
                Self::VaultSpent {
                    id: spent.id.to_string(),
                    spend: spend.to_owned(),
                    transaction: bitcoin_hash(transaction),
                }
            }
        }
    }
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        let kind = match evidence {
            Evidence::Pair(_) => "pair",
            Evidence::EotsPair(_) => "eots_pair",
            Evidence::Ancestor(_) => "ancestor",
            Evidence::Votes(_) => "votes",
            Evidence::Covenant(_) => "covenant",
            Evidence::ExposedKey(_) => "exposed_key",
            Evidence::ExposedProvider(_) => "exposed_provider",
            Evidence::Verdict(_) => "verdict",
            Evidence::Certificates(_) => "certificates",
        };
        Self {
            evidence: kind.to_owned(),
            operator: evidence.operator().map(|operator| operator.to_string()),
            bytes: hex_bytes(&evidence.to_bytes()),
        }
    }
}

impl EtherCertificateView {
    /// `committee` names the signers; without it they are seat numbers.
    #[must_use]
    pub fn of(certificate: &QuorumCertificate, committee: Option<&Committee>) -> Self {
        let seats = (0..usize::from(certificate.members)).filter(|seat| certificate.names(*seat));
        Self {
            domain: certificate.domain.to_string(),
            slot: certificate.slot,
            digest: certificate.digest.to_string(),
            committee: certificate.committee.to_string(),
            members: certificate.members,
            signers: seats.map(|seat| seat_name(committee, seat)).collect(),
            signature: certificate.signature.to_string(),
            bytes: hex_bytes(&certificate.to_bytes()),
        }
    }
}

impl BitcoinCertificateView {
    /// `committee` names the signers; without it they are seat numbers.
    #[must_use]
    pub fn of(certificate: &BitcoinCertificate, committee: Option<&Committee>) -> Self {
        let seats = certificate.votes.iter().map(|vote| usize::from(vote.member));
        Self {
            domain: certificate.domain.to_string(),
            slot: certificate.slot,
            digest: certificate.digest.to_string(),
            committee: certificate.committee.to_string(),
            signers: seats.map(|seat| seat_name(committee, seat)).collect(),
            bytes: hex_bytes(&certificate.to_bytes()),
        }
    }
}

fn seat_name(committee: Option<&Committee>, seat: usize) -> String {
    let member = committee.and_then(|committee| committee.members.get(seat));
    member.map_or_else(|| format!("seat {seat}"), |member| member.operator.to_string())
}

impl OperatorView {
    /// `operator` with what lies elsewhere in the ledger.
    #[must_use]
    pub fn of(operator: &Operator, positions: Vec<PositionView>, vaults: Vec<String>, committee: &Committee) -> Self {
        Self {
            id: operator.id.to_string(),
            keys: operator.keys.iter().map(KeysView::from).collect(),
            convicted: operator.convicted.map(|height| height.get()),
            jailed: operator.jailed.map(|height| height.get()),
            attested: operator.attested,
            missed: operator.missed,
            positions,
            vaults,
            seat: committee.seat(&operator.id).map(|(_, member)| member.into()),
        }
    }
}

impl From<&KeyRow> for KeysView {
    fn from(row: &KeyRow) -> Self {
        Self {
            id: row.id,
            from: row.from,
            until: row.until,
            bls: row.bls.to_string(),
            ed25519: row.ed25519.to_string(),
            eots: row.eots.to_string(),
            peer: peer_name(&row.peer),
        }
    }
}

/// A peer id as libp2p writes it; hex when it is none, since the registry takes any bytes.
#[must_use]
pub fn peer_name(multihash: &[u8]) -> String {
    PeerId::from_bytes(multihash).map_or_else(|_| hex_bytes(multihash), |peer| peer.to_string())
}

impl PositionView {
    /// `position` named `id`.
    #[must_use]
    pub fn of(id: &PositionId, position: &Position) -> Self {
        let asset = id.source.asset().to_string();
        match position {
            Position::EigenLayer(magnitudes) => Self::Eigenlayer(MagnitudesView::of(asset, magnitudes)),
            Position::Symbiotic(stake) => Self::Symbiotic(SymbioticView::of(asset, stake)),
            Position::Karak(stake) => Self::Karak(KarakView::of(asset, stake)),
        }
    }

    /// Whether anything of it can be slashed at present.
    #[must_use]
    pub fn is_stake(&self) -> bool {
        match self {
            Self::Eigenlayer(magnitudes) => magnitudes.member && magnitudes.magnitude != "0",
            Self::Symbiotic(stake) => stake.captures.iter().any(|capture| capture.stake != "0"),
            Self::Karak(stake) => stake.assets != "0",
        }
    }
}

impl MagnitudesView {
    fn of(asset: String, magnitudes: &Magnitudes) -> Self {
        Self {
            asset,
            shares: magnitudes.shares.to_string(),
            queued: magnitudes.queued.to_string(),
            magnitude: magnitudes.magnitude.to_string(),
            max_magnitude: magnitudes.max_magnitude.to_string(),
            pending: magnitudes.pending.to_string(),
            effect_block: magnitudes.effect_block,
            member: magnitudes.member,
        }
    }
}

impl SymbioticView {
    fn of(asset: String, stake: &SymbioticStake) -> Self {
        let captures = stake.captures.iter().filter(|capture| capture.time > 0);
        let captures = captures.map(|capture| CaptureView { time: capture.time, stake: capture.stake.to_string() });
        Self {
            asset,
            captures: captures.collect(),
            pool: stake.pool.to_string(),
            epoch_duration: stake.epoch_duration,
            veto_duration: stake.veto_duration,
        }
    }
}

impl KarakView {
    fn of(asset: String, stake: &KarakStake) -> Self {
        Self { asset, assets: stake.assets.to_string(), leaving: stake.leaving, veto_duration: stake.veto_duration }
    }
}

impl CommitteeView {
    /// `committee` of `chain`.
    #[must_use]
    pub fn of(committee: &Committee, chain: &palisade_types::ChainId) -> Self {
        Self {
            epoch: committee.epoch.get(),
            hash: committee.hash(chain).to_string(),
            ethereum: PointView::of(ChainKind::Ethereum, &committee.ethereum),
            bitcoin: PointView::of(ChainKind::Bitcoin, &committee.bitcoin),
            total_ether: committee.total_ether().to_string(),
            total_bitcoin: committee.total_bitcoin().to_string(),
            bytes: hex_bytes(&committee.to_bytes()),
            members: committee.members.iter().map(MemberView::from).collect(),
        }
    }

    /// Whether `operator` has a seat.
    #[must_use]
    pub fn seats(&self, operator: &OperatorId) -> bool {
        let name = operator.to_string();
        self.members.iter().any(|member| member.operator == name)
    }
}

impl From<&Member> for MemberView {
    fn from(member: &Member) -> Self {
        Self {
            operator: member.operator.to_string(),
            key: member.key,
            ether: member.ether.to_string(),
            bitcoin: member.bitcoin.to_string(),
            engine: member.engine.to_string(),
        }
    }
}

impl VaultView {
    /// The vault as `ledger` sees it now, without its registration.
    #[must_use]
    pub fn of(vault: &Vault, ledger: &Ledger) -> Self {
        let VaultRegistration { terms: version, operator, staker, providers, amount, top_rate, .. } =
            &vault.registration;
        let anchor = ledger.anchor(ChainKind::Bitcoin).number;
        let terms = ledger.genesis_of().terms(*version);
        let (transaction, taken) = match &vault.status {
            VaultStatus::Verified | VaultStatus::Active => (None, None),
            VaultStatus::Unbonding(txid)
            | VaultStatus::Withdrawn(txid)
            | VaultStatus::Lost(txid)
            | VaultStatus::Expanded(txid) => (Some(txid), None),
            VaultStatus::Slashed(loss) => (Some(&loss.txid), Some(loss.taken)),
        };
        let end = vault.end_height();
        Self {
            id: vault.id.to_string(),
            operator: operator.to_string(),
            staker: staker.to_string(),
            providers: providers.iter().map(ToString::to_string).collect(),
            amount: amount.to_string(),
            terms: *version,
            parent: vault.parent().map(ToString::to_string),
            status: terms.map_or("lost", |terms| vault.phase(terms, anchor).name()).to_owned(),
            transaction: transaction.map(bitcoin_hash),
            taken: taken.map(|sats| sats.to_string()),
            registered: vault.registered,
            start: vault.start,
            expires: end.zip(terms).map(|(end, terms)| end.saturating_sub(u64::from(terms.unbonding_time))),
            end,
            confirmations: vault.start.map_or(0, |start| (anchor + 1).saturating_sub(start)),
            top_rate: *top_rate,
            outbid: *top_rate < ledger.fee_rate(),
            exposed: providers.iter().filter(|key| ledger.is_exposed(key)).map(ToString::to_string).collect(),
            registration: None,
        }
    }

    /// The vault with its registration.
    #[must_use]
    pub fn whole(vault: &Vault, ledger: &Ledger) -> Self {
        let registration = Some(hex_bytes(&vault.registration.to_bytes()));
        Self { registration, ..Self::of(vault, ledger) }
    }
}

impl CaseView {
    /// `case` in a network with these `domains`.
    #[must_use]
    pub fn of(case: &Case, domains: &Domains) -> Self {
        let status = match case.status() {
            CaseStatus::Convicted => "convicted",
            CaseStatus::Final => "final",
        };
        Self {
            id: case.id.to_string(),
            operator: case.operator.to_string(),
            domain: case.domain.to_string(),
            domain_kind: domain_kind(case, domains).to_owned(),
            slot: case.slot,
            opened: case.opened.get(),
            status: status.to_owned(),
            evidence: case.evidence.as_ref().map(EvidenceView::from),
            orders: case.orders.iter().map(OrderView::from).collect(),
        }
    }
}

fn domain_kind(case: &Case, domains: &Domains) -> &'static str {
    match case.domain {
        domain if domain == domains.ledger => "ledger",
        domain if domain == domains.bitcoin => "bitcoin",
        domain if domain == domains.claim => "vault-claim",
        domain if domain == domains.order => "order",
        _ if matches!(case.evidence, Some(Evidence::Covenant(_))) => "covenant",
        _ if matches!(case.evidence, Some(Evidence::Verdict(_))) => "service",
        _ => "other",
    }
}

/// Where stake lies, as [`OrderView::SOURCES`] has it, and what it is named there.
pub(super) fn target_name(target: &SlashTarget) -> (&'static str, String) {
    match target {
        SlashTarget::Vault(id) => ("vault", id.to_string()),
        SlashTarget::EigenLayer(asset) => ("eigenlayer", asset.to_string()),
        SlashTarget::Symbiotic(asset) => ("symbiotic", asset.to_string()),
        SlashTarget::Karak(asset) => ("karak", asset.to_string()),
        SlashTarget::Service(target) => ("service", target.asset.unwrap_or(target.adapter).to_string()),
    }
}

/// A transaction that took something, as its chain shows it.
pub(super) fn transaction_name(target: &SlashTarget, transaction: &Hash) -> String {
    let chain = if matches!(target, SlashTarget::Vault(_)) { ChainKind::Bitcoin } else { ChainKind::Ethereum };
    chain_hash(chain, transaction)
}

impl OrderView {
    /// Where stake can lie, `vault` for bitcoin, `service` for a service's own set.
    pub const SOURCES: [&str; 5] = ["eigenlayer", "vault", "symbiotic", "karak", "service"];
    /// How far an order can have come.
    pub const STATUSES: [&str; 6] = ["ordered", "final", "escaped", "vetoed", "expired", "waiting"];
}

impl From<&SlashOrder> for OrderView {
    fn from(order: &SlashOrder) -> Self {
        let (status, taken) = match order.status {
            OrderStatus::Ordered => ("ordered", None),
            OrderStatus::Final(taken) => ("final", Some(taken)),
            OrderStatus::Escaped => ("escaped", None),
            OrderStatus::Vetoed => ("vetoed", None),
            OrderStatus::Expired => ("expired", None),
            OrderStatus::Waiting => ("waiting", None),
        };
        let (source, target) = target_name(&order.target);
        let transaction = taken.map(|taken| transaction_name(&order.target, &taken.transaction));
        Self {
            source: source.to_owned(),
            target,
            asked: order.asked.to_string(),
            status: status.to_owned(),
            taken: taken.map(|taken| taken.amount.to_string()),
            transaction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::ids::{Address, CaseId, ChainId, Domain, VaultId};
    use palisade_types::slash::Taken;
    use palisade_types::units::Height;

    fn domains() -> Domains {
        Domains {
            chain: ChainId::new([1; 32]),
            ledger: Domain::new([2; 32]),
            bitcoin: Domain::new([3; 32]),
            claim: Domain::new([4; 32]),
            order: Domain::new([5; 32]),
            succession: Domain::new([6; 32]),
            founder: ChainId::new([1; 32]),
            keys: Domain::new([3; 32]),
            interval: 5,
        }
    }

    fn case(status: OrderStatus) -> Case {
        let vault = VaultId { txid: Hash::new(std::array::from_fn(|i| i as u8)), output: 1 };
        let orders = vec![
            SlashOrder { target: SlashTarget::EigenLayer(Address::new([6; 20])), asked: u128::MAX, status },
            SlashOrder { target: SlashTarget::Vault(vault), asked: 5_000, status },
        ];
        Case {
            id: CaseId::new([4; 32]),
            operator: OperatorId::new([5; 20]),
            domain: domains().bitcoin,
            slot: 10,
            opened: Height::new(12),
            evidence: None,
            orders: orders.try_into().unwrap(),
        }
    }

    #[test]
    fn r24_a_case_is_final_only_when_every_order_is() {
        assert_eq!(CaseView::of(&case(OrderStatus::Ordered), &domains()).status, "convicted");
        assert_eq!(CaseView::of(&case(OrderStatus::Escaped), &domains()).status, "final");
    }

    #[test]
    fn amounts_are_exact_and_hashes_are_written_as_their_chain_writes_them() {
        let transaction = Hash::new(std::array::from_fn(|i| i as u8));
        let taken = OrderStatus::Final(Taken { amount: u128::MAX, transaction });
        let view = CaseView::of(&case(taken), &domains());
        assert_eq!(view.domain_kind, "bitcoin");
        assert_eq!(view.orders[0].asked, u128::MAX.to_string());
        assert_eq!(view.orders[0].taken.as_deref(), Some(u128::MAX.to_string().as_str()));
        assert!(view.orders[0].transaction.as_deref().unwrap().starts_with("0x000102"));
        assert!(view.orders[1].transaction.as_deref().unwrap().starts_with("1f1e1d"));
        assert!(view.orders[1].target.ends_with(":1"));
    }

    #[test]
    fn a_view_survives_json() {
        let view = CaseView::of(&case(OrderStatus::Ordered), &domains());
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<CaseView>(&json).unwrap(), view);
        let item = ItemView::Randomness { operator: "0x".to_owned(), first: 5, count: 2, root: "0x".to_owned() };
        let json = serde_json::to_value(&item).unwrap();
        assert_eq!(json["kind"], "randomness");
        assert_eq!(serde_json::from_value::<ItemView>(json).unwrap(), item);
    }

    #[test]
    fn a_signer_is_named_by_his_account_and_else_by_his_seat() {
        assert_eq!(seat_name(None, 3), "seat 3");
        assert_eq!(peer_name(&[1, 2]), "0x0102");
    }
}
