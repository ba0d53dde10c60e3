//! A whole network in one thread: operators' real cores, real keys and the real guard, over the engine's pure core.
//!
//! Time, the wire, the disk and the two chains are ours and seeded; everything that decides is what the live node
//! runs, called in the order in which `node/src/run.rs` calls it. The disk and the signer's records survive a crash,
//! nothing else does; what the signer and the followers answer comes some time later, and a crash may come first, so
//! that a record is on the disk whose signature nobody has seen. Every operator has stake on Ethereum and a vault on
//! Bitcoin that the covenant, three of the operators, signs like any other. The same seed gives the same world, event by
//! event: [`World::trace`].

use crate::cast::Role;
use crate::chain::{FakeChain, History};
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, FeeRate, OutPoint, Transaction, Txid};
use palisade_agreement::anchors::Wanted;
use palisade_agreement::app::{Kept, Pace, Start, Stored, Verdict};
use palisade_agreement::ballot::{Ballot, Overheard, SignedBallot, Step};
use palisade_agreement::batch;
use palisade_agreement::context::Refused;
use palisade_agreement::guard::{Danger, Guard, Known, Request, Verdict as Judgement, ballot_digest};
use palisade_agreement::parts::Proposed;
use palisade_agreement::pool::Pool;
use palisade_agreement::sim::{Config, Node, Sim};
use palisade_bitcoin::covenant::Member;
use palisade_bitcoin::inclusion::MerkleProof;
use palisade_bitcoin::registration::{self, Draft};
use palisade_bitcoin::scripts::StakingTerms;
use palisade_bitcoin::staker::{Coin, Wallet};
use palisade_bitcoin::vault::{CheckedVault, Versions};
use palisade_crypto::eots;
use palisade_crypto::hash::sha256_all;
use palisade_ledger::fixture::{self, Network, OperatorKeys};
use palisade_ledger::{Changes, Ledger, Tree};
use palisade_node::core::{Action, Attest, AttestNumbered, CHAINS, Core, Promises, Vote};
use palisade_node::elsewhere::Question;
use palisade_node::message::{Message, Presigned};
use palisade_node::pull::Attested;
use palisade_node::sessions::Asked;
use palisade_node::signer::{Met, SignedLast};
use palisade_node::signing::Task;
use palisade_types::attestation::{Attestation, FinalityVote, Statement};
use palisade_types::block::{Block, Item};
use palisade_types::canonical::Canonical;
use palisade_types::certificate::{BitcoinCertificate, QuorumCertificate};
use palisade_types::chain::{ChainError, ChainKind};
use palisade_types::epoch::FinalBlock;
use palisade_types::evidence::{CovenantBreach, Domains, Evidence, VotePair};
use palisade_types::genesis::VaultTerms;
use palisade_types::ids::{
    BlockId, BlsSignature, CaseId, Digest, Domain, Ed25519Signature, Hash, OperatorId, SchnorrKey, SchnorrSignature,
    VaultId,
};
use palisade_types::numbers::NumberedKind;
use palisade_types::randomness::{Commitment, Opening, RandomnessCommitment};
use palisade_types::row::{Row, RowKey};
use palisade_types::slash::CaseStatus;
use palisade_types::units::{BasisPoints, Epoch, Height, Millis, Sats};
use palisade_types::vault::{Inclusion, VaultRegistration};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How fast a world's engine goes: about two heights a second on a quiet wire.
pub const PACE: Pace = Pace {
    propose: Duration::from_millis(1_500),
    prevote: Duration::from_millis(300),
    precommit: Duration::from_millis(300),
    step: Duration::from_millis(300),
    target: Some(Duration::from_millis(400)),
};
/// How long a guard that was restored is silent (R15).
const VOTE_PAUSE: Millis = Millis::new(60_000);
/// How long a final Ethereum block takes.
const ETHEREUM_BLOCK: u64 = 1_500;
/// How long a final Bitcoin block takes.
const BITCOIN_BLOCK: u64 = 4_000;
/// How often a follower asks for the tip, and a staker for his vault.
const POLL: u64 = 500;
/// How often open orders are looked at.
const LOOK: u64 = 1_000;
/// The block after genesis' anchor, in which everybody registers and stakes.
const JOIN: u64 = 1;
/// Before a question to peers, and before an answer; no message of gossip begins like this.
const ASKED: u8 = 0xfe;
const ANSWERED: u8 = 0xfd;
/// Satoshis in each vault.
const VAULT: u64 = 100_000_000;

/// Makes an endpoint a bad one.
pub type Trouble = fn(FakeChain) -> FakeChain;

/// What a world is made of, before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    operators: usize,
    villains: Vec<Role>,
    loss: u16,
    endpoint: Option<(usize, Trouble)>,
    bitcoin_only: bool,
    promises: Promises,
    ahead: Option<(usize, u64)>,
    mute: bool,
}

impl Plan {
    /// Gossip loses every attestation: only who asks hears what others said.
    #[must_use]
    pub const fn mute(mut self) -> Self {
        self.mute = true;
        self
    }

    /// How many operators there are; four unless it is said.
    #[must_use]
    pub const fn operators(mut self, count: usize) -> Self {
        self.operators = count;
        self
    }

    /// `count` of them are such villains. Which ones, the seed says: [`World::villains`].
    #[must_use]
    pub fn with(mut self, villain: impl Into<Role>, count: usize) -> Self {
        self.villains.extend(std::iter::repeat_n(villain.into(), count));
        self
    }

    /// Messages of a thousand that are lost.
    #[must_use]
    pub const fn loss(mut self, loss: u16) -> Self {
        self.loss = loss;
        self
    }

    /// Bitcoin stands alone behind the network (R22).
    #[must_use]
    pub const fn bitcoin_only(mut self) -> Self {
        self.bitcoin_only = true;
        self
    }

    /// How far ahead everybody promises nonces.
    #[must_use]
    pub const fn promising(mut self, promises: Promises) -> Self {
        self.promises = promises;
        self
    }

    /// What is wrong with the Ethereum endpoint of operator `index`.
    #[must_use]
    pub const fn endpoint(mut self, index: usize, of: Trouble) -> Self {
        self.endpoint = Some((index, of));
        self
    }

    /// The staker behind operator `index` has the covenant sign first, and locks his coins in the `block`th after genesis'. A
    /// stranger hands in a copy of every other registration before its owner, with a block that nobody has seen.
    #[must_use]
    pub const fn ahead(mut self, index: usize, block: u64) -> Self {
        self.ahead = Some((index, block));
        self
    }

    /// Starts everybody.
    #[must_use]
    pub fn begin(self) -> World {
        World::new(&self)
    }
}

/// A network that runs.
pub struct World {
    /// Time, wire and operators.
    pub sim: Sim<Operator>,
    /// Who risks what: by place, villains first to be asked for.
    villains: Vec<usize>,
    /// What really happened on Bitcoin.
    bitcoin: Arc<Mutex<History>>,
    stakes: BTreeSet<VaultId>,
    network: Arc<Network>,
    seed: u64,
    /// What was on the disk and in the guard of a machine when a backup was made.
    backups: BTreeMap<usize, (Disk, Signer)>,
}

impl World {
    /// A world of four honest operators on a wire that loses nothing.
    #[must_use]
    pub const fn seeded(seed: u64) -> Plan {
        let promises = Promises { slots: 2_048, least: 512 };
        Plan {
            seed,
            operators: 4,
            villains: Vec::new(),
            loss: 0,
            endpoint: None,
            bitcoin_only: false,
            promises,
            ahead: None,
            mute: false,
        }
    }

    fn new(plan: &Plan) -> Self {
        // Each operator checks what every other has checked.
        palisade_crypto::memo::begin();
        let network = Arc::new(network(plan));
        let genesis = &network.genesis;
        let rules = Versions::of(genesis).expect("a world's terms can be met");
        let mut bitcoin = History::new(ChainKind::Bitcoin, genesis.clone());
        let registrations = stakes(&network, &rules, plan, &mut bitcoin);
        let stakes = registrations.iter().map(|one| name(one, &rules)).collect();
        let mut ethereum = History::new(ChainKind::Ethereum, genesis.clone());
        for fact in network.joining_facts() {
            ethereum.happen(genesis.ethereum_start.number + JOIN, fact);
        }
        let (ethereum, bitcoin) = (Arc::new(Mutex::new(ethereum)), Arc::new(Mutex::new(bitcoin)));
        let first = usize::try_from(plan.seed).unwrap_or(0);
        let villains: Vec<usize> = (0..plan.villains.len()).map(|index| (first + index) % plan.operators).collect();
        let twins: Vec<_> = villains.iter().zip(&plan.villains).filter(|(_, role)| **role == Role::Twin).collect();
        let second = twins.iter().map(|(place, _)| (**place, registrations[**place].clone())).collect::<Vec<_>>();
        let operators: Vec<_> = registrations
            .into_iter()
            .enumerate()
            .chain(second)
            .map(|(index, registration)| {
                let villain = villains.iter().position(|villain| *villain == index);
                let role = villain.map_or(Role::Honest, |at| plan.villains[at]);
                let of = plan.endpoint.filter(|(place, _)| *place == index).map(|(_, of)| of);
                let seen = FakeChain::new(ethereum.clone());
                let seen = of.map_or(seen.clone(), |of| of(seen));
                let chains = BTreeMap::from([
                    (ChainKind::Ethereum, seen),
                    (ChainKind::Bitcoin, FakeChain::new(bitcoin.clone())),
                ]);
                Operator::new(&network, &rules, plan, index, role, chains, registration)
            })
            .collect();
        let config = Config { loss: plan.loss, ..Config::seeded(plan.seed, network.chain) };
        let mut sim = Sim::new(config, operators);
        (plan.operators..sim.len()).for_each(|second| sim.crash(second));
        Self { sim, villains, bitcoin, stakes, network, seed: plan.seed, backups: BTreeMap::new() }
    }

    /// Gives the second machine at `place` what the first one, at `of`, has on its disk and in its guard now; it is not started.
    pub fn copy(&mut self, of: usize, place: usize) {
        let (disk, signer) = (self.sim.node(of).disk.clone(), self.sim.node(of).signer.clone());
        let second = self.sim.node_mut(place);
        (second.disk, second.signer) = (disk, signer);
        self.sim.crash(place);
    }

    /// Somebody makes a backup of everything that the operator at `place` has on his disk, the guard's records among it.
    pub fn back_up(&mut self, place: usize) {
        let operator = self.sim.node(place);
        self.backups.insert(place, (operator.disk.clone(), operator.signer.clone()));
    }

    /// The machine at `place` is lost, and goes on with its last backup. Its guard finds its history broken, and does what R15 says,
    /// as the live one: it is silent for a minute, votes only above what more than a third has decided by then, and attests only in
    /// epochs that start above the newest Ethereum block it was shown.
    pub fn restore(&mut self, place: usize) {
        let Some((disk, signer)) = self.backups.remove(&place) else { return };
        self.sim.crash(place);
        let shown = self.network.genesis.ethereum_start.number + self.sim.now().get() / ETHEREUM_BLOCK;
        self.sim.run_for(VOTE_PAUSE);
        let mut heads: Vec<Height> = self.sim.nodes().map(|operator| operator.ledger().head().height).collect();
        heads.sort_unstable_by(|one, other| other.cmp(one));
        let decided = heads[self.network.operators.len() / 3];
        let operator = self.sim.node_mut(place);
        operator.disk = disk;
        operator.signer = Signer { waiting: Some(Waiting { shown, decided }), ..signer };
        self.sim.crash(place); // what it starts from is what it was given
        self.sim.forget(place); // of a later time than the backup
        self.sim.restart(place);
    }

    /// Bitcoin block `number` holds a slashing transaction nobody ordered; its witness gives away the key of the operator at `place`.
    pub fn give_away(&mut self, number: u64, place: usize) {
        let secret = self.network.exposed_key(place);
        self.bitcoin.lock().expect("nobody panicked with it").give_away(number, secret);
    }

    /// Bitcoin block `number` shows the signature of the operator at `place`, as a member of the covenant, on a spend of some vault
    /// that nobody registered (R27); the answer is whose it is.
    pub fn breach(&mut self, number: u64, place: usize) -> OperatorId {
        let (secret, sighash) = (member_secret(self.seed, place), sha256_all(&[b"the coins go elsewhere"]));
        let breach = CovenantBreach {
            vault: *self.stakes.first().expect("a world has vaults"),
            member: member_key(self.seed, place),
            height: number,
            transaction: Hash::new([8; 32]),
            sighash: Hash::new(sighash),
            signature: SchnorrSignature::new(secret.sign_schnorr(&sighash)),
        };
        let fact = palisade_types::observation::Fact::CovenantBreach(breach);
        self.bitcoin.lock().expect("nobody panicked with it").happen(number, fact);
        self.network.operators[place].id
    }

    /// From Bitcoin's block `number` on the market asks `rate` of a transaction (R28).
    pub fn market(&mut self, number: u64, rate: u64) {
        self.bitcoin
            .lock()
            .expect("nobody panicked with it")
            .happen(number, palisade_types::observation::Fact::FeeRate(rate));
    }

    /// Bitcoin's blocks from `number` on are replaced by others, at every endpoint, though they were final.
    pub fn reorganise_bitcoin(&mut self, number: u64) {
        self.bitcoin.lock().expect("nobody panicked with it").reorganise(number);
    }

    /// The staking transactions that are gone stand in Bitcoin block `number` again.
    pub fn stake_again(&mut self, number: u64) {
        let block = block_with(std::iter::empty());
        let mut bitcoin = self.bitcoin.lock().expect("nobody panicked with it");
        bitcoin.stake(number, block.header, self.stakes.iter().copied());
    }

    /// The operator at `place` accepts Bitcoin's block `number`, as his endpoint shows it (R30); false when nothing is to be
    /// accepted.
    pub fn accept_bitcoin(&mut self, place: usize, number: u64) -> bool {
        let operator = self.sim.node_mut(place);
        let point = operator.chains[&ChainKind::Bitcoin].point_at(number).expect("it is final there");
        operator.core.accept(ChainKind::Bitcoin, point)
    }

    /// How many operators there are, whatever machines they have.
    #[must_use]
    pub fn operators(&self) -> usize {
        self.network.operators.len()
    }

    /// The places of the villains.
    #[must_use]
    pub fn villains(&self) -> &[usize] {
        &self.villains
    }

    /// The places of everybody else.
    pub fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.sim.len()).filter(|index| !self.villains.contains(index))
    }

    /// The operators at these places.
    #[must_use]
    pub fn names(&self, places: &[usize]) -> BTreeSet<OperatorId> {
        places.iter().map(|place| self.sim.node(*place).operator()).collect()
    }

    /// Hashes everything that was delivered and decided so far, in order.
    #[must_use]
    pub const fn trace(&self) -> [u8; 32] {
        self.sim.trace()
    }

    /// The height that everybody has reached.
    #[must_use]
    pub fn height(&self) -> Height {
        self.lowest(|operator| operator.ledger().head().height).unwrap_or_default()
    }

    /// The epoch that everybody is in, or past.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.lowest(|operator| operator.ledger().epoch().epoch).unwrap_or_default()
    }

    /// The height up to which everybody's ledger shows ether finality.
    #[must_use]
    pub fn ether_final(&self) -> Height {
        self.lowest(|operator| height(operator.ledger().finality().ether)).unwrap_or_default()
    }

    /// The same of those at these places only.
    #[must_use]
    pub fn ether_final_of<const N: usize>(&self, places: [usize; N]) -> Height {
        let of = |place| height(self.sim.node(place).ledger().finality().ether);
        places.into_iter().map(of).min().unwrap_or_default()
    }

    /// The same for Bitcoin.
    #[must_use]
    pub fn bitcoin_final(&self) -> Height {
        self.lowest(|operator| height(operator.ledger().finality().bitcoin)).unwrap_or_default()
    }

    /// What holds of everybody's ledger.
    #[must_use]
    pub fn everybody(&self, holds: impl Fn(&Ledger) -> bool) -> bool {
        self.sim.nodes().all(|operator| holds(operator.ledger()))
    }

    fn lowest<T: Ord>(&self, of: impl Fn(&Operator) -> T) -> Option<T> {
        self.sim.nodes().map(of).min()
    }

    /// Runs until `done` holds, at most for `seconds`; says whether it held.
    pub fn run_until(&mut self, seconds: u64, done: impl Fn(&Self) -> bool) -> bool {
        let limit = self.sim.now().get() + seconds * 1_000;
        while !done(self) {
            if self.sim.now().get() >= limit {
                return false;
            }
            self.sim.run_for(Millis::new(POLL.min(limit - self.sim.now().get())));
        }
        true
    }

    /// Where everybody stands, for the message of a failing test.
    #[must_use]
    pub fn describe(&self) -> String {
        let one = |(index, operator): (usize, &Operator)| {
            let (ledger, status) = (operator.ledger(), operator.core.status());
            format!(
                "  {index}{}{}: height {} epoch {:?} committee {} ether {} bitcoin {} confirmed {} attested {} certified {} \
                 anchors {}/{} cases {} alarms {:?} stopped {:?}",
                if self.villains.contains(&index) { " (villain)" } else { "" },
                self.sim.hung(index).map_or_else(String::new, |why| format!(" (hung: {why})")),
                ledger.head().height,
                ledger.epoch(),
                ledger.committee().members.len(),
                height(ledger.finality().ether),
                height(ledger.finality().bitcoin),
                status.confirmed,
                status.attested,
                height(status.certified),
                ledger.anchor(ChainKind::Ethereum).number,
                ledger.anchor(ChainKind::Bitcoin).number,
                ledger.cases().count(),
                operator.alarms,
                operator.signer.stopped,
            )
        };
        let lines: Vec<_> = self.sim.nodes().enumerate().map(one).collect();
        format!("at {} ms:\n{}", self.sim.now(), lines.join("\n"))
    }

    /// Asks for agreement: one block at each height, one root for each head, one certified digest for each slot, every
    /// ledger sound, and no honest guard that met a contradiction.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn agree(&self) {
        let longest = self.sim.nodes().max_by_key(|operator| operator.disk.blocks.len()).expect("there is somebody");
        for (index, operator) in self.sim.nodes().enumerate() {
            assert_eq!(self.sim.hung(index), None, "the engine of {index} gave up\n{}", self.describe());
            for ((ours, _), (theirs, _)) in operator.disk.blocks.iter().zip(&longest.disk.blocks) {
                let height = ours.header.height;
                assert_eq!(ours.id(), theirs.id(), "two blocks at height {height}\n{}", self.describe());
            }
            if let Some((head, _)) = operator.disk.blocks.last() {
                assert_eq!(head.header.state_root, operator.ledger().root(), "{index} has another root");
            }
            operator.ledger().audit().expect("a ledger is sound");
            // What is claimed of vaults, or ordered, is counted by numbers, not by heights.
            let domains = operator.ledger().domains();
            let by_height = |domain: &Domain| NumberedKind::of(domains, domain).is_none();
            for (slot, digest) in operator.disk.certified.iter().filter(|((domain, _), _)| by_height(domain)) {
                let block = usize::try_from(slot.1).ok().and_then(|slot| longest.disk.blocks.get(slot - 1));
                let id = block.map(|(block, _)| Digest::from(block.id()));
                assert_eq!(id, Some(*digest), "a certificate of another block\n{}", self.describe());
            }
        }
        for index in self.honest() {
            let operator = self.sim.node(index);
            assert_eq!(operator.signer.stopped, None, "the guard of {index} met a contradiction\n{}", self.describe());
            assert_eq!(operator.worthless, BTreeSet::new(), "{index} was sent what is worth nothing");
        }
    }

    /// Asks that every ledger convicts exactly `convicts` and jails exactly `jailed`.
    ///
    /// # Panics
    ///
    /// When one does not.
    pub fn guilty_are(&self, convicts: &BTreeSet<OperatorId>, jailed: &BTreeSet<OperatorId>) {
        self.guilty_are_and_perhaps(convicts, jailed, &BTreeSet::new());
    }

    /// The same, but that `perhaps` may be jailed too: who does not know what he voted can vote twice without malice, and pays no stake
    /// for it (R18).
    ///
    /// # Panics
    ///
    /// When a ledger does not, or when two differ.
    pub fn guilty_are_and_perhaps(
        &self,
        convicts: &BTreeSet<OperatorId>,
        jailed: &BTreeSet<OperatorId>,
        perhaps: &BTreeSet<OperatorId>,
    ) {
        for (index, operator) in self.sim.nodes().enumerate() {
            let of = |is: fn(&palisade_types::Operator) -> bool| -> BTreeSet<OperatorId> {
                operator.ledger().operators().filter(|operator| is(operator)).map(|operator| operator.id).collect()
            };
            let found = [of(|operator| operator.convicted.is_some()), of(|operator| operator.jailed.is_some())];
            let [convicted, sits] = found;
            let sits: BTreeSet<_> =
                sits.into_iter().filter(|id| jailed.contains(id) || !perhaps.contains(id)).collect();
            assert_eq!([&convicted, &sits], [convicts, jailed], "guilty in ledger {index}\n{}", self.describe());
        }
    }
}

fn height(block: Option<FinalBlock>) -> Height {
    block.map_or(Height::new(0), |block| block.height)
}

// ---- what a world begins with ------------------------------------------------------------------------------------

/// The fixture's network, with a covenant that exists.
fn network(plan: &Plan) -> Network {
    let Plan { operators, seed, bitcoin_only, .. } = *plan;
    fixture::network_with(operators, seed, |genesis| {
        if bitcoin_only {
            genesis.assets = palisade_types::canonical::List::new();
        }
        let seats = genesis.seats.iter().map(|seat| seat.operator);
        let keys = (0..operators.min(COVENANT)).map(|member| member_key(seed, member));
        let mut covenant: Vec<_> = keys.zip(seats).collect();
        covenant.sort_unstable();
        let (covenant, members): (Vec<_>, Vec<_>) = covenant.into_iter().unzip();
        let terms = VaultTerms {
            activation: 0,
            quorum: u8::try_from(covenant.len() / 2 + 1).expect("a small covenant"),
            covenant: covenant.try_into().expect("a small covenant"),
            members: members.try_into().expect("a small covenant"),
            devnet: true,
            min_staking_time: 300,
            max_staking_time: 60_000,
            unbonding_time: 200,
            unbonding_fee: Sats::new(1_000),
            slash_rate: BasisPoints::new(1_000).expect("a tenth"),
            slash_script: b"\x6a\x08palisade".to_vec().try_into().expect("ten bytes"),
            min_slash_fee: Sats::new(1_000),
            min_stake: Sats::new(50_000),
        };
        genesis.vaults = vec![terms].try_into().expect("one version");
        genesis.check().expect("a world's genesis is safe");
    })
}

/// Members of the covenant: the first operators.
const COVENANT: usize = 3;

fn secret(what: &[u8], seed: u64, index: usize) -> eots::SecretKey {
    let bytes = sha256_all(&[what, &seed.to_be_bytes(), &index.to_be_bytes()]);
    eots::SecretKey::from_bytes(&bytes).expect("a hash is a scalar but for one in 2^127")
}

fn member_secret(seed: u64, index: usize) -> eots::SecretKey {
    secret(b"covenant", seed, index)
}

fn member_key(seed: u64, index: usize) -> SchnorrKey {
    SchnorrKey::new(member_secret(seed, index).public().to_bytes())
}

/// One staker behind each operator, all in one block, and what each asks the covenant to sign.
fn stakes(network: &Network, versions: &Versions, plan: &Plan, bitcoin: &mut History) -> Vec<VaultRegistration> {
    let number = network.genesis.bitcoin_start.number + JOIN;
    let rules = versions.at(number).expect("a world's genesis has vaults");
    let staked: Vec<_> = network
        .operators
        .iter()
        .enumerate()
        .map(|(index, keys)| {
            let wallet = Wallet::new(secret(b"staker", plan.seed, index));
            let provider = XOnlyPublicKey::from_slice(&keys.eots.public().to_bytes()).expect("a key is a point");
            let terms = rules.terms(wallet.key(), vec![provider], 50_000).expect("the keys differ");
            let transaction = stake(&wallet, &terms);
            (keys.id, wallet, terms, transaction)
        })
        .collect();
    let block = block_with(staked.iter().map(|(.., transaction)| transaction.clone()));
    let mut registrations: Vec<_> = staked
        .into_iter()
        .zip(1..)
        .map(|((operator, wallet, terms, transaction), index)| {
            let fees = [Amount::from_sat(1_000), Amount::from_sat(20_000)];
            let vault = CheckedVault::check(&transaction, 0, terms, &fees, rules).expect("it keeps the rules");
            let proof = MerkleProof::of(&block, index).expect("the block holds it");
            let inclusion = registration::inclusion(&proof, block.block_hash(), number).expect("a short path");
            let signatures = registration::sign(&vault, wallet.secret());
            registration::write(operator, &transaction, (Some(inclusion), None), &vault, &signatures)
                .expect("it is short")
        })
        .collect();
    bitcoin.stake(number, block.header, registrations.iter().map(|one| name(one, versions)));
    if let Some((index, late)) = plan.ahead {
        registrations[index].inclusion = None;
        bitcoin.lock_later(network.genesis.bitcoin_start.number + late, name(&registrations[index], versions));
    }
    registrations
}

fn name(registration: &VaultRegistration, versions: &Versions) -> VaultId {
    Draft::check(registration, None, versions).expect("the staker made it well").id()
}

fn stake(wallet: &Wallet, terms: &StakingTerms) -> Transaction {
    let outpoint = OutPoint { txid: Txid::from_byte_array(wallet.key().serialize()), vout: 0 };
    let coin = Coin { outpoint, value: Amount::from_sat(2 * VAULT) };
    let rate = FeeRate::from_sat_per_vb_u32(2);
    wallet.stake(&[coin], terms, Amount::from_sat(VAULT), rate).expect("the coin is worth it")
}

/// A block with regtest's coinbase, these transactions, and its proof of work.
fn block_with(transactions: impl Iterator<Item = Transaction>) -> bitcoin::Block {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    block.txdata.extend(transactions);
    block.header.merkle_root = block.compute_merkle_root().expect("there are transactions");
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

// ---- an operator -------------------------------------------------------------------------------------------------

/// One operator: his core, and around it what `run.rs` and its tasks are to the live one.
pub struct Operator {
    network: Arc<Network>,
    versions: Versions,
    promises: Promises,
    role: Role,
    random: ChaCha8Rng,
    /// What decides.
    pub core: Core,
    /// What survives a crash.
    pub disk: Disk,
    /// So does this.
    pub signer: Signer,
    member: Option<Member>,
    chains: BTreeMap<ChainKind, FakeChain>,
    registration: VaultRegistration,
    /// Whether a stranger hands in copies of it.
    copied: bool,
    /// Whether gossip loses every attestation.
    mute: bool,
    /// He answers nobody who asks what others attested.
    pub closed: bool,
    /// How often he asked others for the attestations of a slot.
    pub pulled: usize,
    now: Millis,
    polled: Millis,
    looked: Millis,
    asked: VecDeque<Wanted>,
    tasks: VecDeque<Task>,
    judged: BTreeMap<BlockId, Verdict>,
    since: BTreeMap<CaseId, Millis>,
    out: Vec<Vec<u8>>,
    /// How often he met himself in a certificate or on the network (R20).
    pub met: usize,
    /// What a person was told, since the last start.
    pub notices: Vec<String>,
    /// What a person was told to look at.
    pub alarms: Vec<String>,
    /// Messages for which the sender would have paid. Nobody here sends any: a villain's are signed too.
    pub worthless: BTreeSet<String>,
}

impl Operator {
    fn new(
        network: &Arc<Network>,
        versions: &Versions,
        plan: &Plan,
        index: usize,
        role: Role,
        chains: BTreeMap<ChainKind, FakeChain>,
        registration: VaultRegistration,
    ) -> Self {
        let (seed, promises) = (plan.seed, plan.promises);
        let signer = Signer::new(network, index);
        let disk = Disk::begin(&Ledger::genesis(network.genesis.clone()));
        let member = (index < COVENANT).then(|| Member::new(member_secret(seed, index)));
        Self {
            core: load(network, versions, &disk, &signer).promising(promises),
            promises,
            network: network.clone(),
            versions: versions.clone(),
            role,
            random: ChaCha8Rng::seed_from_u64(seed ^ (u64::try_from(index).unwrap_or(0) + 1) << 32),
            disk,
            signer,
            member,
            chains,
            registration,
            copied: plan.ahead.is_some(),
            mute: plan.mute,
            closed: false,
            pulled: 0,
            now: Millis::new(0),
            polled: Millis::new(0),
            looked: Millis::new(0),
            asked: VecDeque::new(),
            tasks: VecDeque::new(),
            judged: BTreeMap::new(),
            since: BTreeMap::new(),
            out: Vec::new(),
            notices: Vec::new(),
            alarms: Vec::new(),
            met: 0,
            worthless: BTreeSet::new(),
        }
    }

    /// His ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        self.core.ledger()
    }

    /// Does what the core asks, in order, and hears about blocks whose check has ended.
    fn act(&mut self) {
        loop {
            let actions = self.core.actions();
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.take(action);
            }
            self.work();
        }
        self.judged.extend(self.core.verdicts());
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Observe(wanted) => self.asked.push_back(wanted),
            Action::Attest(attest) => self.tasks.push_back(Task::Attest(attest)),
            Action::AttestNumbered(asked) => self.tasks.push_back(Task::Numbered(asked)),
            Action::Vote(vote) => self.tasks.push_back(Task::Vote(vote)),
            Action::CommitRandomness { first, count } => self.tasks.push_back(Task::Commit { first, count }),
            Action::Presign(asked) => {
                if let Some(presigned) = self.presign(&asked) {
                    self.core.presigned(presigned, true);
                }
            }
            Action::Pull(domain, slot) => {
                self.pulled += 1;
                self.out.push([&[ASKED][..], &Question::Attested(domain, slot).to_bytes()].concat());
            }
            Action::Met(met) => self.tasks.push_back(Task::Met(met)),
            Action::Publish(message) => self.publish(&message),
            Action::Certified(certificate) => self.disk.certify(&certificate),
            Action::BitcoinCertified(certificate) => self.disk.certify_bitcoin(&certificate),
            Action::ServiceCertified(_) | Action::ForgetService(..) => {} // no module lives here
            Action::NumberedCertified(kind, certificate) => self.disk.certify_numbered(kind, &certificate),
            Action::ForgetNumbered(kind, first) => {
                self.disk.numbered.retain(|(of, number), _| *of != kind || *number >= first);
            }
            Action::Confirmed(block) => self.disk.confirmed = Some(block),
            Action::Keep(item) => drop(self.disk.pending.insert(Pool::name(&item), item)),
            Action::Drop(item) => drop(self.disk.pending.remove(&Pool::name(&item))),
            Action::Notice(notice) => self.notices.push(notice),
            Action::Alarm(alarm) => self.alarms.push(alarm),
        }
    }

    /// A question to everybody, or an answer to one, which here everybody hears.
    fn asked_or_answered(&mut self, message: &[u8]) -> bool {
        match message.split_first() {
            Some((&ASKED, question)) => {
                if let Ok(Question::Attested(domain, slot)) = Question::from_bytes(question)
                    && !self.closed
                {
                    let known = self.core.attestations(&domain, slot).to_bytes();
                    self.out.push([&[ANSWERED][..], &known].concat());
                }
            }
            Some((&ANSWERED, answer)) => {
                let said = Attested::from_bytes(answer).expect("everybody answers what can be read");
                let chain = self.core.ledger().chain();
                let asked: Vec<_> = said.iter().filter_map(|said| Some((*said, self.core.key_for(said)?))).collect();
                for checked in batch::check(&chain, &asked, &[7; 32]).into_iter().flatten() {
                    self.core.hear_checked(checked);
                }
            }
            _ => return false,
        }
        true
    }

    fn publish(&mut self, message: &Message) {
        self.out.push(message.to_bytes());
        let own = match message {
            Message::Vote(vote) => vote.operator == self.signer.keys.id,
            _ => false,
        };
        if let Role::Equivocator(villain) = self.role
            && own
        {
            let aside = villain.aside(&self.signer.keys, &self.signer.domains, message);
            self.out.extend(aside.iter().map(Canonical::to_bytes));
        }
    }

    /// Signer and followers get some of their work done; the rest waits, until the next tick at most.
    fn work(&mut self) {
        while self.random.r#gen() {
            if !self.work_once() {
                return;
            }
        }
    }

    fn work_off(&mut self) {
        while self.work_once() {}
    }

    /// One thing; false when there is nothing to do.
    fn work_once(&mut self) -> bool {
        if let Some(wanted) = self.asked.pop_front() {
            self.observe(&wanted);
        } else if let Some(task) = self.tasks.pop_front() {
            self.sign_task(task);
        } else {
            return false;
        }
        true
    }

    fn observe(&mut self, wanted: &Wanted) {
        let gap = wanted.gap;
        let chain = &self.chains[&gap.chain];
        let answer = match wanted.watch.older.is_empty() {
            true => chain.seen(&gap.after, &gap.upto, &wanted.watch),
            false => chain.seen_anew(&gap.upto, &wanted.watch),
        };
        match answer {
            Ok(facts) => {
                let given_away = chain.given_away(&gap.after, &gap.upto);
                self.core.observed(gap, facts);
                self.core.exposed(given_away);
            }
            Err(ChainError::FinalityBroken { number }) if number == gap.after.number => self.core.lost(self.now, &gap),
            Err(_) => self.core.unobserved(&gap),
        }
    }

    fn sign_task(&mut self, task: Task) {
        match task {
            Task::Attest(attest) => match self.signer.attest(&attest) {
                Ok(attestation) => self.core.attested(attestation),
                Err(_) => self.core.unattested(attest.header.height),
            },
            Task::Numbered(asked) => {
                if let Some(attestation) = self.signer.attest_numbered(&asked) {
                    self.core.attested(attestation);
                }
            }
            Task::Service(..) | Task::Unjail(..) => unreachable!("no module of a service lives here"),
            Task::Vote(asked) => match self.signer.vote(&asked) {
                Some(vote) => self.core.voted(vote),
                None => self.core.unvoted(asked.checkpoint.height),
            },
            Task::Met(met) => {
                let is_ours = self.signer.meet(&met) || self.role != Role::Honest;
                assert!(is_ours, "an honest operator would stop for a signature of his own (R20): {met:?}");
                self.met += 1;
            }
            Task::Commit { first, count } => {
                if let Some(commitment) = self.signer.commit(first, count) {
                    self.core.committed_randomness(commitment);
                }
            }
        }
    }

    /// As a member of the covenant, against his own chain.
    fn presign(&self, asked: &Asked) -> Option<Presigned> {
        let bitcoin = &self.chains[&ChainKind::Bitcoin];
        let header = asked.registration.inclusion.as_ref().and_then(|inclusion| bitcoin.header(inclusion.height));
        let member = self.member.as_ref()?;
        let (registration, parent) = (&asked.registration, asked.parent.as_ref());
        let answer = match asked.registered && registration.expansion.is_some() {
            true => member.release(registration, parent, &self.versions).ok()?,
            false => member.presign(registration, parent, header.as_ref(), &self.versions).ok()?,
        };
        let registration = asked.registration.endorsement(self.versions.chain());
        Some(Presigned { registration, answer })
    }

    /// The chains go on, and the followers say where they stand.
    fn follow(&mut self) {
        for chain in CHAINS {
            let (start, block) = match chain {
                ChainKind::Ethereum => (self.network.genesis.ethereum_start.number, ETHEREUM_BLOCK),
                ChainKind::Bitcoin => (self.network.genesis.bitcoin_start.number, BITCOIN_BLOCK),
            };
            let Some(endpoint) = self.chains.get_mut(&chain) else { continue };
            endpoint.advance(start + self.now.get() / block);
            if let Ok(tip) = endpoint.newest() {
                self.core.stands(self.now, chain, tip);
            }
        }
    }

    /// The staker asks his operator for as long as the vault is not in the ledger.
    fn ask_for_vault(&mut self) {
        let id = name(&self.registration, &self.versions);
        if self.ledger().vault(&id).is_none() {
            if let (true, Some(inclusion)) = (self.copied, &self.registration.inclusion) {
                let false_one = Inclusion { block: Hash::ZERO, ..inclusion.clone() };
                let copy = VaultRegistration { inclusion: Some(false_one), ..self.registration.clone() };
                let _ = self.core.register(self.now, copy);
            }
            // Refused until the operator himself is known.
            let _ = self.core.register(self.now, self.registration.clone());
        }
    }

    /// Orders whose turn has come are carried out, on both chains.
    fn execute(&mut self) {
        for chain in CHAINS {
            for execution in self.core.open_orders(self.now, &self.since, chain) {
                // Refused is refused to everybody; silent is asked again.
                let _ = self.chains[&chain].carry_out(&execution);
            }
        }
        let now = self.now;
        for case in self.core.ledger().cases() {
            self.since.entry(case.id).or_insert(now);
        }
    }
}

/// What the live node does at its start: the ledger from disk, what was confirmed, what was attested, the head's header.
fn load(network: &Network, versions: &Versions, disk: &Disk, signer: &Signer) -> Core {
    let genesis = network.genesis.clone();
    let head = disk.blocks.last().map(|(block, _)| block.header);
    let ledger = match head {
        None => Ledger::genesis(genesis),
        Some(header) => {
            let head = FinalBlock { height: header.height, id: header.id() };
            let rows = disk.rows.iter().map(|(key, row)| (*key, row.clone()));
            let ledger = Ledger::restore(genesis, head, rows).expect("what was stored is a ledger");
            assert_eq!(ledger.root(), header.state_root, "replay equals live");
            ledger
        }
    };
    let signed = signer.signed_last();
    let mut core = Core::new(signer.keys.id, versions.clone(), ledger, disk.confirmed, signed);
    if let Some(header) = head {
        core.resume(header, None);
    }
    let boundary = core.boundary();
    if let Some(certificate) = boundary.and_then(|height| disk.certificates.get(&height)) {
        core.resume_certificate(certificate.clone());
    }
    for place in core.open_numbers() {
        if let Some(certificate) = disk.numbered.get(&place) {
            core.resume_numbered(certificate);
        }
    }
    let head = core.ledger().head().height;
    let unsaid = boundary.filter(|height| *height < head && signed.attested.is_none_or(|last| last.height < *height));
    let tree = match (core.unchecked(), unsaid) {
        (None, None) => None,
        (_, unsaid) => replay(network, disk, &mut core, unsaid),
    };
    if let Some((block, _)) = boundary.and_then(|height| disk.block(height)) {
        core.resume(block.header, tree);
    }
    core.remember(disk.pending.values().cloned());
    core
}

/// As `run.rs` does it: earlier states from the blocks alone.
fn replay(network: &Network, disk: &Disk, core: &mut Core, wanted: Option<Height>) -> Option<Tree> {
    let (mut ledger, mut tree) = (Ledger::genesis(network.genesis.clone()), None);
    let unchecked = core.unchecked();
    for (block, _) in &disk.blocks {
        let height = block.header.height;
        if unchecked.is_some_and(|first| height >= first) {
            core.recheck(&ledger, block);
        }
        let changes = ledger.preview(block).expect("what was decided applies");
        ledger.apply(changes);
        if wanted == Some(height) {
            tree = Some(ledger.tree().clone());
        }
    }
    tree
}

impl Node for Operator {
    fn operator(&self) -> OperatorId {
        self.signer.keys.id
    }

    fn start(&mut self) -> Start {
        let ledger = self.core.ledger();
        let committee = Arc::new(ledger.committee().clone());
        Start { height: ledger.head().height.next(), committee, pace: PACE }
    }

    fn kept(&mut self, height: Height) -> Vec<Block> {
        self.disk.undecided.iter().filter(|block| block.header.height == height).cloned().collect()
    }

    fn propose(&mut self, now: Millis, _: Height, _: u32) -> Block {
        self.now = now;
        let block = self.core.propose(now);
        self.act();
        block
    }

    fn check(&mut self, now: Millis, of: &Proposed, block: &Block, decided: bool) -> Verdict {
        self.now = now;
        if of.height != self.ledger().head().height.next() {
            return Verdict::Unknown;
        }
        if let Some(verdict) = self.judged.remove(&of.block) {
            return verdict;
        }
        let verdict = self.core.check(&Arc::new(block.clone()), decided).unwrap_or(Verdict::Unknown);
        self.act();
        verdict
    }

    fn keep(&mut self, kept: &Kept) {
        if !self.disk.undecided.contains(&kept.block) {
            self.disk.undecided.push((*kept.block).clone());
        }
    }

    fn decided(&mut self, now: Millis, _: &Proposed, block: &Block, certificate: &[u8]) -> Start {
        self.now = now;
        let changes = self.core.prepare(block).expect("two thirds decide what applies");
        if self.core.agrees_with(block) {
            self.disk.confirmed = Some(changes.head());
        }
        self.disk.commit(block, certificate, &changes);
        self.core.commit(block, changes);
        self.judged.clear();
        self.act();
        self.start()
    }

    fn block(&self, height: Height) -> Option<Stored> {
        let (block, certificate) = self.disk.block(height)?;
        Some(Stored { block: block.to_bytes().into(), certificate: certificate.clone().into() })
    }

    fn sign(&mut self, ballot: &Ballot) -> Result<Ed25519Signature, Refused> {
        self.signer.ballot(ballot).map_err(|_| Refused)
    }

    fn heard(&mut self, now: Millis, ballot: &SignedBallot) {
        self.now = now;
        self.core.heard_ballot(&Overheard { signed: *ballot, firsthand: true });
        self.act();
    }

    fn misbehaved(&mut self, pairs: Vec<VotePair>) {
        self.core.misbehaved(pairs);
        self.act();
    }

    fn tick(&mut self, now: Millis) {
        self.now = now;
        self.work_off();
        if now.get() >= self.polled.get() + POLL {
            self.polled = now;
            self.follow();
            self.ask_for_vault();
        }
        if now.get() >= self.looked.get() + LOOK {
            self.looked = now;
            self.execute();
        }
        self.core.tick(now);
        self.act();
    }

    fn received(&mut self, now: Millis, _: usize, message: &[u8]) {
        self.now = now;
        if self.asked_or_answered(message) {
            return self.act();
        }
        let message = Message::from_bytes(message).expect("everybody writes messages that can be read");
        if self.mute && matches!(message, Message::Attestation(_)) {
            return;
        }
        let text = format!("{message:?}");
        if !self.core.hear(now, message) {
            self.worthless.insert(text.chars().take(200).collect());
        }
        self.act();
    }

    fn outgoing(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    fn second_face(&mut self, ballot: &SignedBallot) -> Option<SignedBallot> {
        match self.role {
            Role::Honest | Role::Withholder | Role::Twin => None,
            Role::Equivocator(villain) => villain.second_face(&self.signer.keys, ballot),
        }
    }

    fn withholds(&self, to: usize) -> bool {
        let height = usize::try_from(self.ledger().head().height.get()).unwrap_or(0);
        self.role == Role::Withholder && (to + height).is_multiple_of(2)
    }

    fn crash(&mut self) {
        // The signer had begun: some records are made whose signatures nobody ever sees.
        while self.random.r#gen() {
            match self.tasks.pop_front() {
                Some(Task::Attest(attest)) => drop(self.signer.attest(&attest)),
                Some(Task::Numbered(asked)) => drop(self.signer.attest_numbered(&asked)),
                Some(Task::Vote(asked)) => drop(self.signer.vote(&asked)),
                Some(Task::Commit { first, count }) => drop(self.signer.commit(first, count)),
                Some(Task::Met(_) | Task::Service(..) | Task::Unjail(..)) => {}
                None => break,
            }
        }
        self.core = load(&self.network, &self.versions, &self.disk, &self.signer).promising(self.promises);
        self.asked.clear();
        self.tasks.clear();
        self.judged.clear();
        self.since.clear();
        self.out.clear();
    }
}

// ---- what survives a crash ---------------------------------------------------------------------------------------

/// What the live node's store holds.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Every block with its commit certificate, from height 1 on.
    pub blocks: Vec<(Block, Vec<u8>)>,
    rows: BTreeMap<RowKey, Row>,
    undecided: Vec<Block>,
    pending: BTreeMap<Hash, Item>,
    certificates: BTreeMap<Height, QuorumCertificate>,
    /// What is certified of vaults, by number.
    pub numbered: BTreeMap<(NumberedKind, u64), QuorumCertificate>,
    confirmed: Option<FinalBlock>,
    /// What was certified, by domain and slot.
    pub certified: BTreeMap<(Domain, u64), Digest>,
}

impl Disk {
    /// The rows that the ledger starts from: blocks only carry what changes.
    fn begin(ledger: &Ledger) -> Self {
        let rows = ledger.rows().collect();
        Self { rows, ..Self::default() }
    }

    /// One write: the block, its certificate, the rows; proposals up to its height go.
    fn commit(&mut self, block: &Block, certificate: &[u8], changes: &Changes) {
        let height = block.header.height;
        assert_eq!(height.get(), self.blocks.len() as u64 + 1, "blocks are committed in order");
        for (key, row) in changes.rows() {
            match row {
                Some(row) => drop(self.rows.insert(*key, row.clone())),
                None => drop(self.rows.remove(key)),
            }
        }
        self.blocks.push((block.clone(), certificate.to_vec()));
        self.undecided.retain(|kept| kept.header.height > height);
    }

    /// Evidence that waits for a block.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.pending.values().filter_map(|item| match item {
            Item::Evidence(evidence) => Some(evidence),
            _ => None,
        })
    }

    fn block(&self, height: Height) -> Option<&(Block, Vec<u8>)> {
        self.blocks.get(usize::try_from(height.get()).ok()?.checked_sub(1)?)
    }

    fn certify(&mut self, certificate: &QuorumCertificate) {
        self.certificates.insert(Height::new(certificate.slot), certificate.clone());
        self.insert(certificate.domain, certificate.slot, certificate.digest);
    }

    fn certify_numbered(&mut self, kind: NumberedKind, certificate: &QuorumCertificate) {
        self.numbered.insert((kind, certificate.slot), certificate.clone());
        self.insert(certificate.domain, certificate.slot, certificate.digest);
    }

    fn certify_bitcoin(&mut self, certificate: &BitcoinCertificate) {
        self.insert(certificate.domain, certificate.slot, certificate.digest);
    }

    fn insert(&mut self, domain: Domain, slot: u64, digest: Digest) {
        let before = self.certified.insert((domain, slot), digest);
        assert!(before.is_none_or(|before| before == digest), "two digests are certified in slot {slot}");
    }
}

/// Keys behind the real guard, with records that are durable at once. What the live signer does on its thread.
#[derive(Clone)]
pub struct Signer {
    /// Whose.
    pub keys: OperatorKeys,
    domains: Domains,
    guard: Guard,
    statements: BTreeMap<(Domain, u64), Digest>,
    ballots: BTreeMap<(Height, u32, Step), Digest>,
    promised: Vec<(Commitment, eots::Commitment)>,
    /// The contradiction after which nothing more is signed (R16).
    pub stopped: Option<Danger>,
    /// An amnesiac says nothing of blocks up to this height, nor of claims and orders.
    pub silent: Height,
    /// Since a restore it is not known what was signed before.
    waiting: Option<Waiting>,
}

/// What a guard with a broken history waits for (R15).
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The newest Ethereum block it was shown when it woke up.
    shown: u64,
    /// Up to which height others had decided when its pause was over.
    decided: Height,
}

impl Signer {
    fn new(network: &Network, index: usize) -> Self {
        let domains = network.genesis.domains();
        Self {
            keys: network.operators[index].clone(),
            domains,
            guard: Guard::new(domains),
            statements: BTreeMap::new(),
            ballots: BTreeMap::new(),
            promised: Vec::new(),
            stopped: None,
            silent: Height::new(0),
            waiting: None,
        }
    }

    /// Whether what rests on an epoch that starts at this Ethereum block may be signed (R15).
    fn allows(&self, epoch_start: u64) -> bool {
        self.waiting.is_none_or(|waiting| epoch_start > waiting.shown)
    }

    /// Whether a signature of our key is ours. A waiting guard takes old ones for its own, and remembers them (R20).
    fn meet(&mut self, met: &Met) -> bool {
        let Statement { domain, slot, digest } = met.statement;
        let found = self.statements.get(&(domain, slot)).copied();
        match (self.waiting, met.anchor) {
            _ if found == Some(digest) => true,
            (Some(_), None) => true,
            (Some(waiting), Some(anchor)) if anchor <= waiting.shown && found.is_none() => {
                self.statements.insert((domain, slot), digest);
                true
            }
            _ => false,
        }
    }

    /// Whether the checkpoint at this height was voted for.
    #[must_use]
    pub fn has_voted(&self, checkpoint: Height) -> bool {
        self.statements.contains_key(&(self.domains.bitcoin, checkpoint.get()))
    }

    /// Whether the block at this height was attested.
    #[must_use]
    pub fn has_attested(&self, height: Height) -> bool {
        self.statements.contains_key(&(self.domains.ledger, height.get()))
    }

    /// The newest block that was attested.
    #[must_use]
    pub fn newest_attested(&self) -> Height {
        Height::new(self.newest(self.domains.ledger).map_or(0, |(slot, _)| slot))
    }

    fn signed_last(&self) -> SignedLast {
        let newest = |domain| {
            let (slot, digest) = self.newest(domain)?;
            Some(FinalBlock { height: Height::new(slot), id: BlockId::new(*digest.as_bytes()) })
        };
        SignedLast { attested: newest(self.domains.ledger), voted: newest(self.domains.bitcoin) }
    }

    fn newest(&self, domain: Domain) -> Option<(u64, Digest)> {
        let mut slots = self.statements.range((domain, 0)..=(domain, u64::MAX));
        slots.next_back().map(|((_, slot), digest)| (*slot, *digest))
    }

    fn attest(&mut self, attest: &Attest) -> Result<Attestation, Danger> {
        let slot = attest.header.height.get();
        let statement = Statement { domain: self.domains.ledger, slot, digest: attest.header.id().into() };
        let (header, ancestry) = (&attest.header, attest.ancestry.as_ref());
        let known = self.known(&statement, self.domains.bitcoin);
        if attest.header.height <= self.silent || !self.allows(attest.epoch_start) {
            return Err(Danger::Fork);
        }
        self.judge(&Request::Attestation { statement: &statement, header, ancestry }, &known)?;
        self.statements.insert((statement.domain, slot), statement.digest);
        let signature = self.keys.bls.sign(&statement.bls_message(&self.domains.chain));
        Ok(Attestation { statement, operator: self.keys.id, signature: BlsSignature::new(signature.to_bytes()) })
    }

    fn attest_numbered(&mut self, asked: &AttestNumbered) -> Option<Attestation> {
        let numbered = &asked.numbered;
        let statement = numbered.statement(&self.domains);
        let (slot, here) = (statement.slot, self.statements.get(&(statement.domain, statement.slot)).copied());
        let known = Known { stopped: self.stopped.is_some(), here, ..Known::default() };
        if self.silent.get() > 0 || !self.allows(asked.epoch_start) {
            return None;
        }
        self.judge(&Request::Numbered(numbered), &known).ok()?;
        self.statements.insert((statement.domain, slot), statement.digest);
        let signature = self.keys.bls.sign(&statement.bls_message(&self.domains.chain));
        Some(Attestation { statement, operator: self.keys.id, signature: BlsSignature::new(signature.to_bytes()) })
    }

    fn vote(&mut self, asked: &Vote) -> Option<FinalityVote> {
        let Vote { checkpoint, lineage, epoch_start, .. } = asked;
        let slot = checkpoint.height.get();
        let statement = Statement { domain: self.domains.bitcoin, slot, digest: checkpoint.id.into() };
        if checkpoint.height <= self.silent || !self.allows(*epoch_start) {
            return None;
        }
        let opening = self.opening(checkpoint.height)?;
        let known = self.known(&statement, self.domains.ledger);
        let request = Request::FinalityVote { statement: &statement, lineage: lineage.as_ref() };
        self.judge(&request, &known).ok()?;
        self.statements.insert((statement.domain, slot), statement.digest);
        let nonce = self.nonce(slot);
        let signature = eots::sign(&self.keys.eots, &nonce, &statement.eots_message(&self.domains.chain));
        Some(FinalityVote {
            statement,
            operator: self.keys.id,
            nonce: Hash::new(nonce.public().to_bytes()),
            signature: Hash::new(signature.0),
            opening,
        })
    }

    fn ballot(&mut self, ballot: &Ballot) -> Result<Ed25519Signature, Danger> {
        if self.waiting.is_some_and(|waiting| ballot.height <= waiting.decided) {
            return Err(Danger::Fork);
        }
        let newest = self.ballots.last_key_value().map(|((height, ..), digest)| (height.get(), *digest));
        let here = self.ballots.get(&ballot.slot()).copied();
        let known = Known { stopped: self.stopped.is_some(), here, beside: None, succeeded: false, newest };
        self.judge(&Request::Ballot(ballot), &known)?;
        self.ballots.insert(ballot.slot(), ballot_digest(ballot));
        Ok(Ed25519Signature::new(self.keys.ed25519.sign(&ballot.preimage()).0))
    }

    /// The same range again, or one that overlaps it, gives the same promise (R19).
    fn commit(&mut self, first: Height, count: u32) -> Option<RandomnessCommitment> {
        let interval = self.domains.interval;
        let last = first.get() + u64::from(count.checked_sub(1)?) * interval;
        let overlaps = |known: &Commitment| known.first.get() <= last && first <= known.last(interval);
        let known = self.promised.iter().map(|(known, _)| *known).filter(overlaps).min_by_key(|known| known.first);
        let commitment = match known {
            Some(known) => known,
            None => {
                let slots = (0..u64::from(count)).map(|leaf| first.get() + leaf * interval);
                let nonces: Vec<_> = slots.map(|slot| self.nonce(slot).public()).collect();
                let tree = eots::commit(&nonces).ok()?;
                let commitment = Commitment { first, count, root: Hash::new(tree.root()) };
                self.promised.push((commitment, tree));
                commitment
            }
        };
        let (Domains { chain, bitcoin, .. }, operator) = (self.domains, self.keys.id);
        let message = RandomnessCommitment::message(&chain, &bitcoin, &operator, &commitment);
        let signature = SchnorrSignature::new(self.keys.eots.sign_schnorr(&message));
        let key = SchnorrKey::new(self.keys.eots.public().to_bytes());
        Some(RandomnessCommitment { operator, key, commitment, signature })
    }

    fn nonce(&self, slot: u64) -> eots::SecretNonce {
        eots::nonce(&self.keys.eots, self.domains.chain.as_bytes(), self.domains.bitcoin.as_bytes(), slot)
    }

    fn opening(&self, slot: Height) -> Option<Opening> {
        let interval = self.domains.interval;
        let mut covering = self.promised.iter().filter_map(|known| Some((known, known.0.leaf(slot, interval)?)));
        let ((commitment, tree), leaf) = covering.next()?;
        let aunts: Vec<_> = tree.proof(leaf)?.aunts.into_iter().map(Hash::new).collect();
        Some(Opening { commitment: *commitment, aunts: aunts.try_into().ok()? })
    }

    fn known(&self, statement: &Statement, beside: Domain) -> Known {
        let (domain, slot) = (statement.domain, statement.slot);
        Known {
            succeeded: false,
            stopped: self.stopped.is_some(),
            here: self.statements.get(&(domain, slot)).copied(),
            beside: self.statements.get(&(beside, slot)).copied(),
            newest: self.newest(domain),
        }
    }

    fn judge(&mut self, request: &Request<'_>, known: &Known) -> Result<(), Danger> {
        match self.guard.check(request, known) {
            Judgement::Safe | Judgement::Same => Ok(()),
            Judgement::NotSafe(danger) => {
                if danger.stops() {
                    self.stopped = Some(danger);
                }
                Err(danger)
            }
        }
    }
}

/// Whether every order against the convicts has been carried out, or has escaped, in this ledger.
#[must_use]
pub fn is_settled(ledger: &Ledger) -> bool {
    ledger.cases().count() > 0 && ledger.cases().all(|case| case.status() == CaseStatus::Final)
}
