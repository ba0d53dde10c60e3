//! The state every operator derives from the same blocks.

use crate::audit::Unsound;
use crate::changes::{Changes, Draft};
use crate::forecast::Forecast;
use crate::invalid::Invalid;
use crate::root::Tree;
use crate::rows::Rows;
use crate::state::{State, UNCHANGED};
use crate::stored::Stored;
use crate::{
    accounts, audit, cases, claims, duties, epochs, exposure, facts, finality, forecast, orders, randomness, run,
    suspension, vaults, verdicts,
};
use palisade_crypto::hash::sha256;
use palisade_types::account::{Account, AccountId, SlashId, SlashRecord};
use palisade_types::block::{HEADER_VERSION, MAX_BLOCK, MAX_ITEMS};
use palisade_types::certificate::{Committee, QuorumCertificate, Worthless};
use palisade_types::chain::{ChainKind, ChainPoint, Watch};
use palisade_types::contradiction::CertificatePair;
use palisade_types::duty::Duty;
use palisade_types::epoch::{EpochState, FinalBlock, Finality, Roll};
use palisade_types::evidence::{Domains, ExposedProvider, VotePair};
use palisade_types::genesis::Asset;
use palisade_types::position::{Magnitudes, Position, PositionId, StakeSource};
use palisade_types::price::Quote;
use palisade_types::proof::RowProof;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::service::{Registration, RegistrationId, Service, ServiceStakeId, SetProtocol};
use palisade_types::verdict::{CertifiedVerdict, Docket};
use palisade_types::{
    Address, Block, BlockId, Canonical, Case, CaseId, ChainId, Claim, Claims, Domain, Epoch, Evidence, Genesis, Hash,
    Header, Height, Item, List, MicroUsd, Numbered, NumberedKind, Numbers, Observation, Operator, OperatorId, Order,
    OrderId, ProvenFault, Row, RowKey, SchnorrKey, ServiceId, Suspended, Suspension, Unproven, Vault, VaultId,
    VaultRegistration,
};
use std::borrow::Cow;
use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The state after a decided block: rows, and the tree over them.
#[derive(Clone)]
pub struct Ledger {
    genesis: Arc<Genesis>,
    chain: ChainId,
    domains: Domains,
    head: FinalBlock,
    pub(crate) rows: Rows,
    tree: Tree,
    /// Certificates whose signatures the caller knows to hold, until the next block. They change how long a check takes, and
    /// nothing else.
    vouched: BTreeSet<Hash>,
}

/// Tells certificates apart by every byte.
fn name(certificate: &QuorumCertificate) -> Hash {
    Hash::new(sha256(&certificate.to_bytes()))
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("head", &self.head)
            .field("root", &self.root())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// How it starts, and how it goes on.
impl Ledger {
    /// The state before the first block. Its head stands at height 0 under the chain id's bytes. A successor begins with
    /// another's state instead: [`Ledger::succeed`].
    ///
    /// # Panics
    ///
    /// With the genesis of a successor: our own bug, whoever starts one has that state.
    #[must_use]
    pub fn genesis(genesis: Arc<Genesis>) -> Self {
        assert!(genesis.continues.is_none(), "a successor begins with the state before it");
        let chain = genesis.chain_id();
        let head = FinalBlock { height: Height::new(0), id: BlockId::new(*chain.as_bytes()) };
        let joined = Stored::join(vec![Stored::of(epochs::genesis_rows(&genesis))]);
        let (rows, tree) = joined.expect("genesis writes each row once");
        Self::assemble(genesis, head, rows, tree)
    }

    /// The state that was stored with block `head`; of a row that comes twice the later counts. The caller compares [`Ledger::root`]
    /// with that block's header.
    ///
    /// # Errors
    ///
    /// [`Invalid::Unsound`] when the rows are not a ledger's.
    pub fn restore(
        genesis: Arc<Genesis>,
        head: FinalBlock,
        rows: impl IntoIterator<Item = (RowKey, Row)>,
    ) -> Result<Self, Invalid> {
        let rows: Rows = rows.into_iter().collect();
        Self::wake(genesis, head, vec![Stored::of(rows)])
    }

    /// [`Ledger::restore`], of rows that were hashed as they were read, each key once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wake(genesis: Arc<Genesis>, head: FinalBlock, stored: Vec<Stored>) -> Result<Self, Invalid> {
        let (rows, tree) = Stored::join(stored).ok_or(Unsound::Tree)?;
        let ledger = Self::assemble(genesis, head, rows, tree);
        audit::check_rows(&ledger, &ledger.rows)?;
        Ok(ledger)
    }

    /// `tree` is that of `rows`.
    pub(crate) fn assemble(genesis: Arc<Genesis>, head: FinalBlock, rows: Rows, tree: Tree) -> Self {
        Self {
            chain: genesis.chain_id(),
            domains: genesis.domains(),
            tree,
            genesis,
            head,
            rows,
            vouched: BTreeSet::new(),
        }
    }

    /// The caller has checked the signature of every single signer of `certificate`, and that they add up to its own: until
    /// the next block it is not checked again.
    pub fn vouch(&mut self, certificate: &QuorumCertificate) {
        self.vouched.insert(name(certificate));
    }

    /// [`QuorumCertificate::verify`] in this state, but for a signature that somebody vouches for.
    pub(crate) fn verify(&self, certificate: &QuorumCertificate, committee: &Committee) -> Result<(), Worthless> {
        let convicted = |operator: &OperatorId| self.state().is_convicted(operator);
        match self.vouched.contains(&name(certificate)) {
            true => certificate.check_signers(&self.chain, committee, convicted),
            false => certificate.verify(&self.chain, committee, convicted),
        }
    }

    /// What `block` would change: the full check of everything that needs no chain and no clock.
    ///
    /// What it does not check, and a voter must: that observations are what his own follower saw, a vault's
    /// scripts and signatures (`palisade_bitcoin`), and that two engine votes contradict each other (`agreement`).
    ///
    /// # Errors
    ///
    /// [`Invalid`] says what the voter does: fetch, or prevote nil.
    pub fn preview(&self, block: &Block) -> Result<Changes, Invalid> {
        let header = &block.header;
        if header.height != self.head.height.next() || header.parent != self.head.id {
            return Err(Invalid::NotNext { height: header.height, parent: header.parent });
        }
        if block.to_bytes().len() > MAX_BLOCK {
            return Err(Invalid::Items("are larger than a block may be"));
        }
        check_order(&block.items)?;
        let mut draft = Draft::on(self);
        for item in &block.items {
            draft.apply(item)?;
        }
        let (derived, changes) = self.close(draft, &block.items);
        compare(header, &derived)?;
        Ok(changes)
    }

    /// The block a proposer makes of `candidates`, put into the order that [`Ledger::preview`] asks for, and what
    /// it would change. Items that do not apply, or do not fit, come back with the reason.
    pub fn draft(&self, mut candidates: Vec<Item>) -> (Block, Changes, Vec<(Item, Invalid)>) {
        candidates.sort_by_key(|item| (rank(item), slot(item)));
        let (mut items, mut refused) = (List::<Item, MAX_ITEMS>::new(), Vec::new());
        let mut draft = Draft::on(self);
        let mut room = MAX_BLOCK - HEADER_ROOM;
        for item in candidates {
            let size = item.to_bytes().len();
            let fits = size <= room && items.len() < MAX_ITEMS;
            let doubled = items.last().is_some_and(|last| !may_follow(last, &item));
            let applied = match (fits, doubled) {
                (false, _) => Err(Invalid::Early("the block is full")),
                (_, true) => Err(Invalid::Early("one anchor per chain and block")),
                (true, false) => draft.apply(&item),
            };
            match applied {
                Ok(()) => {
                    room -= size;
                    items.push(item).expect("the bound was just checked");
                }
                Err(reason) => refused.push((item, reason)),
            }
        }
        let (header, changes) = self.close(draft, &items);
        (Block { header, items }, changes, refused)
    }

    /// Ends the block: books what came, went and was taken, and what is over, says of vaults what is not said yet, draws orders and the next committee where they are due, changes the epoch, hashes.
    fn close(&self, mut draft: Draft<'_>, items: &List<Item, MAX_ITEMS>) -> (Header, Changes) {
        accounts::close(&mut draft);
        finality::close(&mut draft);
        claims::close(&mut draft);
        verdicts::close(&mut draft);
        orders::close(&mut draft);
        let next_committee = epochs::close(&mut draft);
        let epoch = self.epoch().epoch;
        let made = draft.finish();
        let header = Header {
            version: HEADER_VERSION,
            chain: self.chain,
            height: self.head.height.next(),
            epoch,
            parent: self.head.id,
            items_root: Block::items_root(items),
            state_root: made.tree.root(),
            next_committee,
        };
        let head = FinalBlock { height: header.height, id: header.id() };
        (header, Changes::new(head, self.head.id, made))
    }

    /// Makes the decided block's changes real.
    ///
    /// # Panics
    ///
    /// When the changes are not of a block on this head: our own bug, and going on would be wrong.
    pub fn apply(&mut self, changes: Changes) {
        assert_eq!(changes.parent(), self.head.id, "changes of another parent");
        assert_eq!(changes.head().height, self.head.height.next());
        let (head, rows, tree) = changes.into_parts();
        for (key, row) in rows {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            }
        }
        (self.head, self.tree) = (head, tree);
        self.vouched.clear();
        debug_assert_eq!(accounts::check(self.state()), Ok(()), "the books do not balance");
    }

    /// Whether a block on this head could hold `item`: what a pool asks before it keeps something from outside.
    ///
    /// # Errors
    ///
    /// As [`Ledger::preview`]. [`Invalid::Early`] may change with the head.
    pub fn admits(&self, item: &Item) -> Result<(), Invalid> {
        Draft::on(self).apply(item)
    }

    /// Whether a block on this head could hold `registration` once the covenant has signed it: what is asked before the
    /// covenant is.
    ///
    /// # Errors
    ///
    /// As [`Ledger::admits`].
    pub fn expects(&self, registration: &VaultRegistration) -> Result<(), Invalid> {
        vaults::check(self.state(), registration)
    }

    /// Judges evidence as the next block would: for the pool and for whoever hands it in. Pairs of engine votes
    /// are [`Ledger::judge_votes`]'s, exposed providers [`Ledger::judge_provider`]'s, verdicts
    /// [`Ledger::judge_verdict`]'s, two certificates [`Ledger::judge_certificates`]'s.
    ///
    /// # Errors
    ///
    /// [`Unproven`], also when it came too late or the case stands already.
    pub fn judge(&self, evidence: &Evidence) -> Result<ProvenFault, Unproven> {
        cases::judge(self.state(), evidence)
    }

    /// Judges a finality provider's secret, of whatever service (R29).
    ///
    /// # Errors
    ///
    /// [`Unproven`], also when it is known already or no vault names the key.
    pub fn judge_provider(&self, provider: &ExposedProvider) -> Result<(), Unproven> {
        exposure::judge(self.state(), provider)
    }

    /// Judges a service's verdict by its rules; the answer names its case.
    ///
    /// # Errors
    ///
    /// As [`Ledger::judge`].
    pub fn judge_verdict(&self, verdict: &CertifiedVerdict) -> Result<CaseId, Unproven> {
        verdicts::judge(self.state(), verdict)
    }

    /// Judges two certificates that contradict each other: whom they convict, by account ascending, and who are not convicted in that
    /// domain yet.
    ///
    /// # Errors
    ///
    /// As [`Ledger::judge`].
    pub fn judge_certificates(&self, pair: &CertificatePair) -> Result<Vec<OperatorId>, Unproven> {
        cases::judge_certificates(self.state(), pair)
    }

    /// Judges a pair of engine votes, but for what the votes mean, which only `agreement` can read (R18).
    ///
    /// # Errors
    ///
    /// As [`Ledger::judge`].
    pub fn judge_votes(&self, pair: &VotePair) -> Result<(), Unproven> {
        cases::judge_votes(self.state(), pair)
    }

    /// What this evidence would cost, and what would be left.
    ///
    /// # Errors
    ///
    /// [`Unproven`], as [`Ledger::judge`]; of engine votes [`Unproven::WrongDomain`], because they cost no stake (R18).
    pub fn foresee(&self, evidence: &Evidence) -> Result<Forecast, Unproven> {
        forecast::of_evidence(&mut Draft::on(self), evidence)
    }

    /// What it would cost if `operator` signed twice in `domain`, one of the network's own.
    ///
    /// # Errors
    ///
    /// [`Unproven::UnknownOperator`], [`Unproven::WrongDomain`], [`Unproven::AlreadyConvicted`].
    pub fn foresee_fault(&self, operator: OperatorId, domain: Domain) -> Result<Forecast, Unproven> {
        forecast::of_fault(&mut Draft::on(self), operator, domain)
    }

    /// Checks that the rows are a ledger: each fits its key, none is missing, the tree is theirs, and no sum is
    /// larger than it may be. It reads everything; it is for starting, for tests and for doubt.
    ///
    /// # Errors
    ///
    /// [`Unsound`] names what does not hold.
    pub fn audit(&self) -> Result<(), Unsound> {
        audit::check(self, &self.rows)
    }
}

/// What it says.
impl Ledger {
    /// Everything agreed on before the first block.
    #[must_use]
    pub const fn genesis_of(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The network.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// What evidence is judged by.
    #[must_use]
    pub const fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The newest decided block.
    #[must_use]
    pub const fn head(&self) -> FinalBlock {
        self.head
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// One row, copied.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        self.rows.get(key).map(Cow::into_owned)
    }

    /// Every row, copied, by key ascending.
    pub fn rows(&self) -> impl Iterator<Item = (RowKey, Row)> {
        self.rows.iter().map(|(key, row)| (key, row.into_owned()))
    }

    /// The tree over this state's rows; cheap to keep, for proofs after the head has moved on.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Shows that a row is, or is not, under [`Ledger::root`].
    #[must_use]
    pub fn prove(&self, key: &RowKey) -> RowProof {
        self.tree.prove(&key.path())
    }

    /// The epoch of the next block.
    #[must_use]
    pub fn epoch(&self) -> &EpochState {
        self.state().epoch()
    }

    /// The committee of the next block.
    #[must_use]
    pub fn committee(&self) -> &Committee {
        self.state().committee()
    }

    /// The committee of an epoch: any past one, this one, and the next once its boundary block is there.
    #[must_use]
    pub fn committee_of(&self, epoch: Epoch) -> Option<&Committee> {
        self.state().committee_of(epoch)
    }

    /// The epoch that a height belongs to (R3); `None` for genesis and for heights beyond the next block.
    #[must_use]
    pub fn epoch_of(&self, height: Height) -> Option<Epoch> {
        self.state().epoch_of(height)
    }

    /// The chain's suspension, while it is suspended (R30).
    #[must_use]
    pub fn suspension(&self, chain: ChainKind) -> Option<&Suspension> {
        self.state().suspension(chain).filter(|suspension| suspension.resumed.is_none())
    }

    /// What Bitcoin's blocks ask of a transaction, satoshis per 1000 weight units: below it a vault weighs nothing (R28).
    #[must_use]
    pub fn fee_rate(&self) -> u64 {
        self.state().fee_rate()
    }

    /// How far a chain is taken in.
    #[must_use]
    pub fn anchor(&self, chain: ChainKind) -> &ChainPoint {
        self.state().anchor(chain)
    }

    /// What is final.
    #[must_use]
    pub fn finality(&self) -> &Finality {
        self.state().finality()
    }

    /// Slots of which supplements may still name more signers, ascending (R20).
    pub fn rolls(&self) -> impl Iterator<Item = (Height, &Roll)> {
        self.state().rolls()
    }

    /// The checkpoints of which one may become bitcoin-final next: the one that the run goes on with, else those with which
    /// a new run can start (R2, R22).
    #[must_use]
    pub fn due_checkpoints(&self) -> Vec<Height> {
        run::due(self.state())
    }

    /// The first height whose checkpoints can still be certified (R3, R22).
    #[must_use]
    pub fn first_open(&self) -> Height {
        run::first_open(self.state())
    }

    /// One operator.
    #[must_use]
    pub fn operator(&self, id: &OperatorId) -> Option<&Operator> {
        self.state().operator(id)
    }

    /// Every operator, by account ascending.
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.state().operators()
    }

    /// Every restaking position, by operator and source ascending.
    pub fn positions(&self) -> impl Iterator<Item = (&PositionId, &Position)> {
        self.state().positions()
    }

    /// One operator's restaking positions, by source ascending.
    pub fn positions_of(&self, operator: &OperatorId) -> impl Iterator<Item = (&PositionId, &Position)> {
        let operator = *operator;
        self.state().positions_from(operator).take_while(move |(id, _)| id.operator == operator)
    }

    /// One vault.
    #[must_use]
    pub fn vault(&self, id: &VaultId) -> Option<&Vault> {
        self.state().vault(id)
    }

    /// Every vault, also those that are over, by outpoint ascending.
    pub fn vaults(&self) -> impl Iterator<Item = &Vault> {
        self.state().vaults()
    }

    /// The vaults behind an operator, also those that are over, by outpoint ascending.
    pub fn vaults_of(&self, operator: &OperatorId) -> impl Iterator<Item = &Vault> {
        self.state().vaults_of(operator)
    }

    /// Whether the secret of a finality provider's key is known: vaults that name it weigh nothing (R29).
    #[must_use]
    pub fn is_exposed(&self, provider: &SchnorrKey) -> bool {
        self.state().exposure(provider).is_some()
    }

    /// The newest claim about a vault, for contracts on Ethereum; `None` while it never counted.
    #[must_use]
    pub fn claim(&self, vault: &VaultId) -> Option<&Claim> {
        self.state().claim(vault)
    }

    /// The newest claim about every vault that ever had one, by outpoint ascending.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.state().all_claims()
    }

    /// How far claims are counted, and which numbers belong to the newest epochs (R3).
    #[must_use]
    pub fn claim_numbers(&self) -> Claims {
        self.state().claims()
    }

    /// The case of a fault of an operator in a domain, of this network or of one before it (R21, R25).
    #[must_use]
    pub fn case_id(&self, operator: &OperatorId, domain: &Domain) -> CaseId {
        cases::id(self.state(), operator, domain)
    }

    /// The newest order for a case at an adapter.
    #[must_use]
    pub fn order(&self, id: &OrderId) -> Option<&Order> {
        self.state().order(id)
    }

    /// The newest order of every case and adapter that ever had one, by case and adapter ascending.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.state().all_orders()
    }

    /// How far orders are counted.
    #[must_use]
    pub fn order_numbers(&self) -> Numbers {
        self.state().order_numbers()
    }

    /// The epoch of a number that can still be certified: the newest in which numbers of this kind were given, or the one
    /// before (R3).
    #[must_use]
    pub fn epoch_of_number(&self, kind: NumberedKind, number: u64) -> Option<Epoch> {
        self.numbers(kind).epoch_of(number)
    }

    /// How far numbers of a kind are counted.
    #[must_use]
    pub fn numbers(&self, kind: NumberedKind) -> Numbers {
        match kind {
            NumberedKind::Claim => self.claim_numbers().numbers,
            NumberedKind::Order => self.order_numbers(),
        }
    }

    /// What stands under numbers of a kind: the newest claim of every vault, the newest order of every case and adapter.
    pub fn numbered(&self, kind: NumberedKind) -> Vec<Numbered> {
        match kind {
            NumberedKind::Claim => self.claims().copied().map(Numbered::Claim).collect(),
            NumberedKind::Order => self.orders().copied().map(Numbered::Order).collect(),
        }
    }

    /// Whether this is still what the ledger says of its subject.
    #[must_use]
    pub fn says(&self, numbered: &Numbered) -> bool {
        match numbered {
            Numbered::Claim(claim) => self.claim(&claim.vault) == Some(claim),
            Numbered::Order(order) => self.order(&order.id()) == Some(order),
        }
    }

    /// One service.
    #[must_use]
    pub fn service(&self, id: &ServiceId) -> Option<&Service> {
        self.state().service(id)
    }

    /// Every service that has an operator set, by account ascending.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.state().services()
    }

    /// Whose protocol a service's operator set was found to be; `None` while nobody looked.
    #[must_use]
    pub fn set_protocol(&self, adapter: &Address) -> Option<SetProtocol> {
        self.state().set_protocol(adapter)
    }

    /// What operators have in services' own sets, by adapter, operator and asset ascending.
    pub fn service_stakes(&self) -> impl Iterator<Item = (&ServiceStakeId, &Magnitudes)> {
        self.state().service_stakes()
    }

    /// One registration of a service (R14).
    #[must_use]
    pub fn registration(&self, id: &RegistrationId) -> Option<&Registration> {
        self.state().registration(id)
    }

    /// Every registration that counts, by service and number ascending.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.state().registrations()
    }

    /// Verdicts that wait, or that others are weighed by, as they came.
    pub fn dockets(&self) -> impl Iterator<Item = &Docket> {
        self.state().dockets()
    }

    /// What is known of an operator's last slots; `None` before the first.
    #[must_use]
    pub fn duty(&self, operator: &OperatorId) -> Option<&Duty> {
        self.state().duty(operator)
    }

    /// The books of every asset in which anything was ever booked.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &Account)> {
        self.state().accounts()
    }

    /// What every slash took, by operator and target.
    pub fn slashes(&self) -> impl Iterator<Item = (&SlashId, &SlashRecord)> {
        self.state().slashes_from(OperatorId::ZERO)
    }

    /// What stood in an operator's positions at the newest snapshot up to Ethereum block `block`, each with that snapshot's block: what a
    /// fault of that time is charged to (R26). It answers for the whole slashable window; before that it says what is known.
    #[must_use]
    pub fn captured(&self, operator: &OperatorId, block: u64) -> Vec<(PositionId, u64, &Position)> {
        self.state().captured(operator, block)
    }

    /// One case.
    #[must_use]
    pub fn case(&self, id: &CaseId) -> Option<&Case> {
        self.state().case(id)
    }

    /// Every case, by id ascending.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.state().cases()
    }

    /// An operator's promises of nonces, by key and first slot ascending.
    pub fn commitments(&self, operator: &OperatorId) -> impl Iterator<Item = &RandomnessCommitment> {
        self.state().commitments(operator)
    }

    /// Stake that operators listed beside genesis' assets, with the asset that each follows, by operator ascending.
    pub fn listings(&self) -> impl Iterator<Item = (&PositionId, &StakeSource)> {
        self.state().listings_from(OperatorId::ZERO)
    }

    /// What is held of each price feed that was asked, by asset ascending.
    pub fn quotes(&self) -> impl Iterator<Item = (&StakeSource, &Quote)> {
        let assets = self.genesis_of().assets.iter();
        assets.filter_map(|asset| Some((&asset.source, self.state().quote(&asset.source)?)))
    }

    /// What 1e18 of an asset's smallest units are worth: genesis' number, or the last good word of its feed (R23).
    #[must_use]
    pub fn price(&self, asset: &Asset) -> MicroUsd {
        self.state().price(asset)
    }

    /// Which block stands at a height, up to the head.
    #[must_use]
    pub fn block_id(&self, height: Height) -> Option<BlockId> {
        if height == self.head.height {
            return Some(self.head.id);
        }
        self.state().block_id(height)
    }

    /// What the ledger already says about one chain, for its follower.
    #[must_use]
    pub fn watch(&self, chain: ChainKind) -> Watch {
        let operators = self.operators().map(|operator| (operator.id, operator.clone()));
        let older = self.suspension(chain).map(|_| suspension::older(self.state(), chain));
        let (mut positions, mut open, mut fee_rate) = (BTreeMap::new(), BTreeMap::new(), 0);
        let (mut prices, mut listings) = (BTreeMap::new(), BTreeMap::new());
        let (mut service_sets, mut service_stakes) = (BTreeMap::new(), BTreeMap::new());
        match chain {
            ChainKind::Ethereum => {
                positions.extend(self.positions().map(|(id, seen)| (*id, *seen)));
                listings.extend(self.listings().map(|(id, like)| (*id, *like)));
                prices.extend(self.quotes().map(|(source, quote)| (*source, *quote)));
                let sets = self.services().flat_map(|service| service.sets.iter().map(|set| set.adapter));
                service_sets.extend(sets.map(|adapter| (adapter, self.set_protocol(&adapter))));
                service_stakes.extend(self.service_stakes().map(|(id, stake)| (*id, *stake)));
            }
            ChainKind::Bitcoin => {
                // What seemed over may not be, once the chain took it back.
                let watched = |vault: &&Vault| older.is_some() || !vaults::is_over(vault);
                open.extend(self.vaults().filter(watched).map(|vault| (vault.id, vault.clone())));
                fee_rate = self.fee_rate();
            }
        }
        let older = older.unwrap_or_default();
        let operators = operators.collect();
        Watch { operators, positions, vaults: open, older, fee_rate, prices, listings, service_sets, service_stakes }
    }

    pub(crate) const fn state(&self) -> State<'_> {
        State { ledger: self, changed: &UNCHANGED }
    }

    /// One row that is no block's.
    pub(crate) fn settled(&self, key: &RowKey) -> Option<&Row> {
        self.rows.others().get(key)
    }

    pub(crate) fn settled_from(&self, start: RowKey) -> Range<'_, RowKey, Row> {
        self.rows.range(start)
    }
}

impl Draft<'_> {
    /// Applies one item. On an error nothing has changed: every room checks first and writes then.
    fn apply(&mut self, item: &Item) -> Result<(), Invalid> {
        match item {
            Item::Observed(observation) => facts::observe(self, observation),
            Item::Evidence(evidence) => cases::convict(self, evidence),
            Item::Vault(registration) => vaults::register(self, registration),
            Item::Randomness(commitment) => randomness::commit(self, commitment),
            Item::EtherFinal(certificate) => finality::ether(self, certificate),
            Item::BitcoinFinal(certificate) => finality::bitcoin(self, certificate),
            Item::Suspended(suspended) => suspension::suspend(self, suspended),
            Item::Resumed(observation) => suspension::resume(self, observation),
            Item::Unjail(unjail) => duties::unjail(self, unjail),
        }
    }
}

/// The order of items in a block: what chains show first, so that everything else meets it.
const fn rank(item: &Item) -> u8 {
    match item {
        Item::Observed(Observation { chain, .. })
        | Item::Suspended(Suspended { chain, .. })
        | Item::Resumed(Observation { chain, .. }) => match chain {
            ChainKind::Ethereum => 0,
            ChainKind::Bitcoin => 1,
        },
        Item::Evidence(_) => 2,
        Item::Vault(_) => 3,
        Item::Randomness(_) => 4,
        Item::EtherFinal(_) => 5,
        Item::BitcoinFinal(_) => 6,
        Item::Unjail(_) => 7,
    }
}

/// What certificates are sorted by, so that a later one does not make an earlier one late.
const fn slot(item: &Item) -> u64 {
    match item {
        Item::EtherFinal(certificate) => certificate.slot,
        Item::BitcoinFinal(certificate) => certificate.slot,
        _ => 0,
    }
}

/// Whether `after` may stand behind `before`: in order, and one item about each chain.
fn may_follow(before: &Item, after: &Item) -> bool {
    match after {
        Item::Observed(_) | Item::Suspended(_) | Item::Resumed(_) => rank(before) < rank(after),
        _ => rank(before) <= rank(after),
    }
}

fn check_order(items: &[Item]) -> Result<(), Invalid> {
    if items.windows(2).all(|pair| may_follow(&pair[0], &pair[1])) {
        Ok(())
    } else {
        Err(Invalid::Items("are out of order or move an anchor twice"))
    }
}

/// Names the first field in which two headers differ.
fn compare(header: &Header, derived: &Header) -> Result<(), Invalid> {
    let fields = [
        ("version", header.version == derived.version),
        ("chain", header.chain == derived.chain),
        ("epoch", header.epoch == derived.epoch),
        ("items root", header.items_root == derived.items_root),
        ("next committee", header.next_committee == derived.next_committee),
        ("state root", header.state_root == derived.state_root),
    ];
    match fields.iter().find(|(_, same)| !same) {
        Some((name, _)) => Err(Invalid::Header(name)),
        None if header == derived => Ok(()),
        None => Err(Invalid::Header("content")),
    }
}

/// Bytes that a block takes besides its items: the header and the length of the list.
const HEADER_ROOM: usize = 256;
