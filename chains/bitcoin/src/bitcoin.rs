//! Bitcoin as the rest of Palisade sees it: final points, facts about vaults, and slashes carried out.
//!
//! One honest endpoint of several is enough for truth: the chain is the heaviest we can check ourselves, and blocks are checked whole. All
//! endpoints lying together can only hide the newest blocks, which freezes the anchor and nothing else.
//!
//! Facts are a function of the two points and of what the ledger says already: which registered vaults stand
//! (those whose staking transaction is final now), and which were spent, in the order of the chain.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::hashes::Hash as _;
use bitcoin::{Block, BlockHash, Network, OutPoint, Transaction, TxOut, Txid};
use palisade_types::chain::{Chain, ChainError, ChainPoint, Endpoints, Execution, Progress, Watch};
use palisade_types::evidence::{CovenantBreach, ExposedKey, ExposedProvider};
use palisade_types::observation::{Fact, MAX_FACTS, VaultConfirmed, VaultSpent};
use palisade_types::slash::SlashTarget;
use palisade_types::vault::{Inclusion, Vault, VaultStatus};
use palisade_types::{Domain, DomainKind, Evidence, Genesis, Hash, Operator, VaultId};
use tokio::sync::Mutex;

use crate::breach;
use crate::client::{Client, Endpoint, RpcError};
use crate::elsewhere::{Claim, newest};
use crate::headers::kept::{self, KeptError, Restored, Unkept};
use crate::headers::{Extension, HeaderChain, HeaderError, MAX_HEADERS};
use crate::inclusion::MerkleProof;
use crate::market;
use crate::registration::{self, Presigned};
use crate::slash;
use crate::vault::{CheckedVault, Held, Versions};
use crate::watch;

/// How old a staking transaction may be when its registration is confirmed, in blocks: every block since then is read
/// to be sure that nothing has spent it, and that work has a bound.
pub const MAX_REGISTRATION_AGE: u64 = 2_016;

/// What connecting to Bitcoin needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's own endpoints; one is enough, more protect against a bad one.
    pub endpoints: Vec<Endpoint>,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// How old the endpoints' newest block may be before the anchor stands still (R30).
    pub max_tip_age: Duration,
    /// For how long another operator may know a heavier chain than our endpoints before the anchor stands still.
    pub grace: Duration,
    /// Headers that an earlier run kept, by height, ascending ([`kept`]). They are checked, and what does not hold is asked for again.
    pub kept: Vec<(u32, Vec<u8>)>,
}

/// Bitcoin, through the operator's own endpoints.
#[derive(Debug)]
pub struct Bitcoin {
    clients: Vec<Client>,
    headers: Mutex<HeaderChain>,
    depth: u32,
    network: Network,
    start: u32,
    genesis: Arc<Genesis>,
    domain: Domain,
    versions: Versions,
    blocks: StdMutex<VecDeque<Arc<Block>>>,
    asked: StdMutex<BTreeMap<(u32, BlockHash), u64>>,
    vaults: StdMutex<BTreeMap<VaultId, Arc<CheckedVault>>>,
    claim: StdMutex<Option<Claim>>,
    fare: StdMutex<Endpoints>,
    max_tip_age: Duration,
    grace: Duration,
}

/// The newest block of the heaviest chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The block. It is not final.
    pub point: ChainPoint,
    /// The work since the chain's start, big-endian: comparable between nodes of one network.
    pub work: [u8; 32],
}

impl Bitcoin {
    /// Connects, checks that every endpoint that answers serves the chain genesis names, and finds the start anchor on it.
    ///
    /// # Errors
    ///
    /// [`ChainError::WrongChain`] and [`ChainError::Refused`] are for a person to mend; [`ChainError::Unavailable`] and
    /// [`ChainError::NotThere`] pass.
    pub async fn connect(config: Config) -> Result<Self, ChainError> {
        let genesis = &config.genesis;
        let versions = Versions::of(genesis).map_err(|error| ChainError::Refused(error.to_string()))?;
        if versions.is_empty() {
            return Err(ChainError::Refused("genesis has no vaults".to_owned()));
        }
        let clients = config.endpoints.into_iter().map(Client::new).collect::<Result<Vec<_>, _>>();
        let clients = clients.map_err(|error| ChainError::Refused(error.to_string()))?;
        if clients.is_empty() {
            return Err(ChainError::Refused("no Bitcoin endpoint is configured".to_owned()));
        }
        for client in &clients {
            match check_genesis(client, &genesis.bitcoin_genesis).await {
                // It may come back: what it says then must fit the headers we hold, whatever chain it is on.
                Err(ChainError::Unavailable { source, .. }) => {
                    tracing::warn!(?client, %source, "a Bitcoin endpoint is silent")
                }
                other => other?,
            }
        }
        let headers = start(&clients, genesis, &config.kept).await?;
        let fare = Endpoints { configured: clients.len(), well: clients.len(), contradictions: 0 };
        Ok(Self {
            clients,
            fare: StdMutex::new(fare),
            headers: Mutex::new(headers),
            depth: u32::try_from(genesis.parameters.bitcoin_depth)
                .map_err(|_| ChainError::Refused("Bitcoin's depth is beyond 2^32".to_owned()))?,
            network: network(&genesis.bitcoin_genesis)?,
            start: narrow(genesis.bitcoin_start.number)?,
            genesis: genesis.clone(),
            domain: genesis.domain(DomainKind::Bitcoin),
            versions,
            blocks: StdMutex::default(),
            asked: StdMutex::default(),
            vaults: StdMutex::default(),
            claim: StdMutex::default(),
            max_tip_age: config.max_tip_age,
            grace: config.grace,
        })
    }

    /// What a vault of this network must be, by version.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The first of the operator's endpoints, for what is not about facts: sending a staker's transaction.
    pub fn client(&self) -> &Client {
        &self.clients[0]
    }

    /// A part of the heaviest chain that is not on the disk yet, or no longer as it lies there. Who cannot write it down calls
    /// [`Self::unkeep`].
    pub async fn keep_next(&self) -> Option<Unkept> {
        self.headers.lock().await.keep_next(MAX_HEADERS)
    }

    /// What was handed out by [`Self::keep_next`] did not reach the disk: all of it comes again.
    pub async fn unkeep(&self) {
        self.headers.lock().await.unkeep();
    }

    /// The heaviest chain's tip, final or not: what peers tell each other (R30).
    ///
    /// # Errors
    ///
    /// As [`Chain::tip`].
    pub async fn newest(&self) -> Result<Newest, ChainError> {
        self.sync().await?;
        let headers = self.headers.lock().await;
        newest(&headers).ok_or(ChainError::NotThere { number: u64::from(headers.tip()) })
    }

    /// The header our own chain shows at the height that a registration names: what a covenant member checks its path against. When it
    /// is the block that is named, that block is read whole and must hold the vault's transaction at that index: a path of hashes alone could
    /// end in a leaf that was made up below a transaction of 64 bytes, and a block with such a one is refused ([`crate::block`]).
    ///
    /// # Errors
    ///
    /// [`ChainError::NotThere`]; [`ChainError::Refused`] when the block holds another transaction there.
    pub async fn header_of(&self, id: &VaultId, inclusion: &Inclusion) -> Result<bitcoin::block::Header, ChainError> {
        self.sync().await?;
        let height = narrow(inclusion.height)?;
        let header = self.headers.lock().await.header(height).copied();
        let header = header.ok_or(ChainError::NotThere { number: inclusion.height })?;
        if header.block_hash().to_byte_array() == *inclusion.block.as_bytes()
            && !holds(&*self.block(height).await?, id, inclusion)
        {
            return Err(ChainError::Refused(format!("block {height} does not hold {id}")));
        }
        Ok(header)
    }

    /// Finds a transaction in the block at `height`, and its path, as a registration needs them.
    ///
    /// # Errors
    ///
    /// [`ChainError::NotThere`] while the block is not there or does not hold the transaction.
    pub async fn find(&self, txid: Txid, height: u64) -> Result<(BlockHash, MerkleProof), ChainError> {
        self.sync().await?;
        let block = self.block(narrow(height)?).await?;
        let index = block.txdata.iter().position(|transaction| transaction.compute_txid() == txid);
        index
            .and_then(|index| MerkleProof::of(&block, u32::try_from(index).ok()?))
            .map(|proof| (block.block_hash(), proof))
            .ok_or(ChainError::NotThere { number: height })
    }

    /// Whether an output that stands in block `height` of our chain is unspent there: what a covenant member looks at before
    /// signing. One endpoint of the same chain that holds it spent is enough for no; the mempool does not count.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`] when none answers, [`ChainError::NotThere`] while none has come to that block.
    pub async fn unspent(&self, output: &VaultId, height: u64) -> Result<bool, ChainError> {
        self.sync().await?; // an answer as of a block we have not heard of would count for nothing
        let outpoint = OutPoint { txid: Txid::from_byte_array(*output.txid.as_bytes()), vout: output.output };
        let mut outcome = None;
        for client in &self.clients {
            let found = match client.unspent(outpoint, false).await {
                Ok(found) => found,
                Err(error) => {
                    outcome.get_or_insert(Err(chain_error("looking for an output", error)));
                    continue;
                }
            };
            let tip = match &found {
                Some(unspent) => unspent.bestblock,
                None => client.info().await.map_err(|error| chain_error("looking for an output", error))?.bestblockhash,
            };
            let seen = self.headers.lock().await.height(&tip).is_some_and(|tip| u64::from(tip) >= height);
            match (found, seen) {
                (Some(_), true) => outcome = Some(Ok(true)),
                (None, true) => return Ok(false),
                // It lags, or is on another chain.
                (_, false) if !matches!(outcome, Some(Ok(_))) => {
                    outcome = Some(Err(ChainError::NotThere { number: height }));
                }
                (_, false) => {}
            }
        }
        outcome.unwrap_or(Err(ChainError::NotThere { number: height }))
    }

    /// Takes in what the endpoints show. One that answers nonsense is passed over; when none answers, nothing is known.
    async fn sync(&self) -> Result<(), ChainError> {
        let mut headers = self.headers.lock().await;
        let mut failure = None;
        let (mut well, mut lies) = (0, 0);
        for client in &self.clients {
            match follow(client, &mut headers).await {
                Ok(extension) => {
                    well += 1;
                    report(extension, self.depth);
                }
                Err(error) => {
                    tracing::warn!(?client, %error, "a Bitcoin endpoint gives no headers");
                    lies += u64::from(matches!(error, ChainError::Lied(_)));
                    failure = Some(error);
                }
            }
        }
        let mut fare = self.fare.lock().unwrap_or_else(PoisonError::into_inner);
        fare.well = well;
        fare.contradictions += lies;
        match failure {
            Some(error) if well == 0 => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn headers(&self) -> &Mutex<HeaderChain> {
        &self.headers
    }

    pub(crate) fn claim(&self) -> MutexGuard<'_, Option<Claim>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn max_tip_age(&self) -> Duration {
        self.max_tip_age
    }

    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    async fn point_at(&self, height: u32) -> Result<ChainPoint, ChainError> {
        let headers = self.headers.lock().await;
        let missing = ChainError::NotThere { number: u64::from(height) };
        if headers.final_height(self.depth).is_none_or(|last| height > last) {
            return Err(missing);
        }
        match (headers.hash(height), headers.header(height)) {
            (Some(hash), Some(header)) => Ok(point(height, hash, header.time)),
            _ => Err(missing),
        }
    }

    /// Both points must be on our chain and the second final. The first was an anchor: where our chain is deep past it and
    /// shows another block, what was final is gone (R30); where it is not that deep, nothing is known yet.
    async fn check_points(&self, after: &ChainPoint, upto: &ChainPoint) -> Result<(), ChainError> {
        if self.point_at(narrow(after.number)?).await?.hash != after.hash {
            return Err(ChainError::FinalityBroken { number: after.number });
        }
        if !upto.is_above(after) {
            return Err(ChainError::Refused(format!("block {} is not above {}", upto.number, after.number)));
        }
        self.check_point(upto).await
    }

    /// The point must be final on our chain.
    async fn check_point(&self, point: &ChainPoint) -> Result<(), ChainError> {
        match self.point_at(narrow(point.number)?).await? {
            ours if ours.hash == point.hash => Ok(()),
            _ => Err(ChainError::Refused(format!("block {} is not what our own chain shows", point.number))),
        }
    }

    /// The newest of these anchors that is final on our chain.
    async fn newest_shared(&self, anchors: &[ChainPoint]) -> Result<ChainPoint, ChainError> {
        for anchor in anchors {
            match self.point_at(narrow(anchor.number)?).await {
                Ok(ours) if ours.hash == anchor.hash => return Ok(*anchor),
                Ok(_) | Err(ChainError::NotThere { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ChainError::Refused("our chain holds no anchor that was agreed on".to_owned()))
    }

    async fn hash_at(&self, number: u64) -> Result<Option<Hash>, ChainError> {
        let hash = self.headers.lock().await.hash(narrow(number)?);
        Ok(hash.map(|hash| Hash::new(hash.to_byte_array())))
    }

    /// The whole block at a height of our chain, from any endpoint that has it.
    async fn block(&self, height: u32) -> Result<Arc<Block>, ChainError> {
        let hash = self.headers.lock().await.hash(height).ok_or(ChainError::NotThere { number: u64::from(height) })?;
        if let Some(block) = self.cached(hash) {
            return Ok(block);
        }
        let mut failure = ChainError::NotThere { number: u64::from(height) };
        for client in &self.clients {
            match client.block(hash).await {
                Ok(block) => return Ok(self.keep(block)),
                Err(error) => failure = chain_error("reading a block", error),
            }
        }
        Err(failure)
    }

    fn cached(&self, hash: BlockHash) -> Option<Arc<Block>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.iter().find(|block| block.block_hash() == hash).cloned()
    }

    fn keep(&self, block: Block) -> Arc<Block> {
        let block = Arc::new(block);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.truncate(CACHED_BLOCKS - 1);
        blocks.push_front(block.clone());
        block
    }

    /// Where the outputs of the vaults lie: their staking outputs, and the unbonding outputs they may become.
    fn places<'a>(&self, watched: impl Iterator<Item = &'a Vault>) -> HashMap<OutPoint, VaultId> {
        let of = |vault: &Vault| {
            let checked = self.checked(vault)?;
            Some([(checked.outpoint(), vault.id), (checked.unbonded_outpoint(), vault.id)])
        };
        watched.filter_map(of).flatten().collect()
    }

    /// The vault of a registration, from memory when it was rebuilt before. One that is no vault after all is passed over by
    /// everybody alike: nothing would be gained by stopping at it.
    fn checked(&self, vault: &Vault) -> Option<Arc<CheckedVault>> {
        let mut vaults = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        // It may be registered again with a block, and so under other terms.
        if let Some(known) = vaults.get(&vault.id).filter(|known| known.is_of(&vault.registration)) {
            return Some(known.clone());
        }
        let rebuilt = registration::vault(&vault.registration, &self.versions);
        let rebuilt = rebuilt
            .inspect_err(|error| tracing::error!(id = %vault.id, %error, "the ledger holds a vault that is none"));
        let checked = Arc::new(rebuilt.ok()?);
        if vaults.len() >= CACHED_VAULTS {
            vaults.pop_first();
        }
        vaults.insert(vault.id, checked.clone());
        Some(checked)
    }

    /// Vaults registered with a block that is final now: it is on our chain at the height they name, and holds their
    /// staking transaction. `upto` is final.
    async fn confirmed(&self, upto: &ChainPoint, watch: &Watch) -> Result<Vec<VaultConfirmed>, ChainError> {
        let mut confirmed = Vec::new();
        for vault in watch.vaults.values().filter(|vault| vault.status == VaultStatus::Verified) {
            let Some(inclusion) = &vault.registration.inclusion else { continue };
            let age = upto.number.checked_sub(inclusion.height);
            let young = age.is_some_and(|age| age <= MAX_REGISTRATION_AGE);
            let sound = self.checked(vault).is_some();
            if young && sound && self.hash_at(inclusion.height).await? == Some(inclusion.block) {
                let block = self.block(narrow(inclusion.height)?).await?;
                if holds(&block, &vault.id, inclusion) {
                    confirmed.push(VaultConfirmed { id: vault.id, height: inclusion.height });
                }
            }
            if confirmed.len() == MAX_CONFIRMED {
                break; // the others come with the next observation, and what happened to them by then with them
            }
        }
        Ok(confirmed)
    }

    /// What became true after `after` up to `upto`, both final on our chain. What happened before to the vaults in `doubtful`, whose
    /// coins were locked by then, is told too.
    async fn facts(
        &self,
        after: &ChainPoint,
        upto: &ChainPoint,
        watch: &Watch,
        doubtful: &BTreeSet<VaultId>,
    ) -> Result<Vec<Fact>, ChainError> {
        let (from, to, last) = (behind(after)?, behind(upto)?, narrow(upto.number)?);
        let confirmed = self.confirmed(upto, watch).await?;
        let fresh: BTreeSet<VaultId> = confirmed.iter().map(|confirmed| confirmed.id).collect();
        let known = doubtful.iter().filter_map(|id| watch.vaults.get(id)?.start);
        let oldest = confirmed.iter().map(|confirmed| confirmed.height).chain(known).min();
        let mut facts: Vec<Fact> = confirmed.into_iter().map(Fact::VaultConfirmed).collect();
        if let Some(oldest) = oldest.map(narrow).transpose()?.filter(|oldest| (*oldest, 0) < from) {
            let early = self.places(
                watch.vaults.values().filter(|vault| fresh.contains(&vault.id) || doubtful.contains(&vault.id)),
            );
            let scan = Scan { watch, places: early, awaited: HashMap::new(), suspects: Vec::new() };
            let early = self.scan((oldest, 0), from, scan).await?;
            // No vault counted then, or it was told before: who signed what there is nobody's business any more (R27).
            facts.extend(early.into_iter().filter(|fact| !matches!(fact, Fact::CovenantBreach(_))));
        }
        let counted = |vault: &&Vault| vault.status != VaultStatus::Verified || fresh.contains(&vault.id);
        let places = self.places(watch.vaults.values().filter(counted));
        let awaited = awaited(watch, after.number, &fresh);
        facts.extend(self.scan(from, to, Scan { watch, places, awaited, suspects: Vec::new() }).await?);
        // One is enough for a case, and no covenant can fill an observation.
        let mut told = BTreeSet::new();
        facts.retain(|fact| !matches!(fact, Fact::CovenantBreach(breach) if !told.insert(breach.member)));
        facts.extend(self.fee_rate(last, watch).await?.map(Fact::FeeRate));
        match facts.len() > MAX_FACTS {
            true => Err(ChainError::TooMany { number: upto.number }),
            false => Ok(facts),
        }
    }

    /// What the blocks up to `last`, which is final, ask of a transaction, when the ledger says otherwise (R28). Where there is no
    /// vault nobody needs to know.
    async fn fee_rate(&self, last: u32, watch: &Watch) -> Result<Option<u64>, ChainError> {
        if watch.vaults.is_empty() {
            return Ok(None);
        }
        let first = last.saturating_sub(market::WINDOW - 1).max(self.start.saturating_add(1));
        let mut asked = Vec::new();
        for height in first..=last {
            asked.push(self.asked(height).await?);
        }
        let rate = market::rate(asked);
        Ok((rate != watch.fee_rate).then_some(rate))
    }

    /// What the block at a height of our chain asks, from memory when it was read before.
    async fn asked(&self, height: u32) -> Result<u64, ChainError> {
        let hash = self.headers.lock().await.hash(height).ok_or(ChainError::NotThere { number: u64::from(height) })?;
        let known = || self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = known().get(&(height, hash)) {
            return Ok(*asked);
        }
        let block = self.block(height).await?;
        let asked = market::asked(&block, height, self.network);
        let mut known = known();
        if known.len() >= CACHED_RATES {
            known.pop_first();
        }
        known.insert((height, block.block_hash()), asked);
        Ok(asked)
    }

    /// Everything that is done to the vaults in `scan` from one place up to another, in the order of the chain.
    async fn scan(&self, from: Place, to: Place, mut scan: Scan<'_>) -> Result<Vec<Fact>, ChainError> {
        let mut facts = Vec::new();
        let beyond = if to.1 == 0 { to.0 } else { to.0.saturating_add(1) };
        for height in from.0..beyond {
            if scan.is_idle() {
                break;
            }
            let first = if height == from.0 { from.1 } else { 0 };
            let end = if height == to.0 { to.1 } else { u32::MAX };
            let block = self.block(height).await?;
            let mut at = 0;
            for transaction in &block.txdata {
                let next = at + count(transaction.input.len()) + count(transaction.output.len());
                if at < end && first < next {
                    scan.meet(self, height, (transaction, at), &(first..end), &mut facts);
                    for (vault, classified) in std::mem::take(&mut scan.suspects) {
                        let block = (block.block_hash(), u64::from(height));
                        let breaches = self.breaches(&vault, &classified, transaction, block).await?;
                        facts.extend(breaches.into_iter().map(Fact::CovenantBreach));
                    }
                }
                at = next;
            }
        }
        Ok(facts)
    }

    /// What a provider's secret is evidence of: it marks the vaults that name its key, of whatever service it is, and convicts the
    /// operator of ours whose key it is.
    fn accusations(&self, secret: [u8; 32], watch: &Watch) -> Vec<Evidence> {
        let provider = ExposedProvider { secret };
        let key = provider.key();
        let holds = |operator: &&Operator| operator.keys.iter().any(|row| Some(row.eots) == key);
        let of_ours =
            watch.operators.values().find(holds).map(|operator| {
                Evidence::ExposedKey(ExposedKey { operator: operator.id, domain: self.domain, secret })
            });
        of_ours.into_iter().chain([Evidence::ExposedProvider(provider)]).collect()
    }

    /// Who of the covenant signed a suspect spend, and what (R27). What the other inputs of the transaction spend is looked up in the
    /// block's undo data; a false answer makes the signatures fail, and the next endpoint is asked.
    async fn breaches(
        &self,
        vault: &CheckedVault,
        classified: &watch::Classified,
        transaction: &Transaction,
        (block, height): (BlockHash, u64),
    ) -> Result<Vec<CovenantBreach>, ChainError> {
        let txid = transaction.compute_txid();
        let told = |breach: breach::Breach| CovenantBreach {
            vault: vault.id(),
            member: breach.member,
            height,
            transaction: hash(txid),
            sighash: breach.sighash,
            signature: breach.signature,
        };
        let prove = |spent: &[TxOut]| {
            let breaches = breach::prove(vault, transaction, classified, spent);
            breaches.map(|breaches| breaches.into_iter().map(told).collect::<Vec<_>>())
        };
        let lied = |error: breach::BreachError| ChainError::Lied(error.to_string());
        if transaction.input.len() == 1 {
            return prove(&[vault.spent(classified.held)]).map_err(lied);
        }
        let mut failure = ChainError::NotThere { number: height };
        for client in &self.clients {
            match client.spent_by(txid, block).await {
                Ok(spent) => match prove(&spent) {
                    Ok(breaches) => return Ok(breaches),
                    Err(error) => failure = lied(error),
                },
                Err(error) => failure = chain_error("reading what a transaction spends", error),
            }
        }
        Err(failure)
    }

    /// Hands a transaction to every endpoint; one that takes it is enough.
    async fn send(&self, transaction: &Transaction) -> Result<Txid, RpcError> {
        let mut outcome = Err(RpcError::Endpoint("no endpoint".to_owned()));
        for client in &self.clients {
            let sent = client.send(transaction).await;
            if outcome.is_err() {
                outcome = sent;
            }
        }
        outcome
    }

    /// The order's vault with everything signed for it, and the secret its case exposed.
    fn armed(&self, execution: &Execution) -> Result<(Presigned, palisade_crypto::eots::SecretKey), ChainError> {
        let refused = |why: String| ChainError::Refused(why);
        let order = execution.case.orders.get(execution.order).ok_or_else(|| refused("no such order".to_owned()))?;
        let vault = execution.vault.as_ref().ok_or_else(|| refused("the order names no vault".to_owned()))?;
        if order.target != SlashTarget::Vault(vault.id) {
            return Err(refused("the order is against another target".to_owned()));
        }
        let evidence =
            execution.case.evidence.as_ref().ok_or_else(|| refused("the case holds no evidence".to_owned()))?;
        let origin = self.genesis.origin(&execution.case.domain);
        let chain = origin.map_or_else(|| self.genesis.chain_id(), |(chain, _)| chain); // of a network before (R21)
        let secret = slash::exposed(evidence, &chain, &vault.registration.providers)
            .map_err(|error| refused(error.to_string()))?;
        let presigned =
            Presigned::held(&vault.registration, &self.versions).map_err(|error| refused(error.to_string()))?;
        Ok((presigned, secret))
    }

    /// How far the slashing transactions of one output have come: on the chain, in the mempool for long, or not sent.
    async fn stands(&self, presigned: &Presigned, held: Held) -> Result<Stands, RpcError> {
        let mut outcome = Err(RpcError::Endpoint("no endpoint".to_owned()));
        for client in &self.clients {
            outcome = stands(client, presigned, held).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// What a transaction pays today, as the first endpoint that answers says; zero when none does: then the cheapest rung is tried.
    async fn market_rate(&self) -> u64 {
        for client in &self.clients {
            match client.market_rate().await {
                Ok(rate) => return rate,
                Err(error) => tracing::debug!(?client, %error, "a Bitcoin endpoint knows no fee rate"),
            }
        }
        0
    }

    /// Sends the slashing transaction of `held` that is due now: the cheapest rung that meets the market, or a dearer one when
    /// the market has left the last behind or the last has waited (R28). A slash that a reorganisation took out is sent again.
    async fn climb(
        &self,
        presigned: &Presigned,
        held: Held,
        secret: &palisade_crypto::eots::SecretKey,
        market: u64,
    ) -> Result<Climbed, ChainError> {
        let unavailable = |error| chain_error("slashing", error);
        let vault = presigned.vault();
        let slashings = vault.slashings();
        let rate = |index: &usize| vault.rate(&slashings[*index]);
        let mut rungs: Vec<usize> = (0..slashings.len()).filter(|index| slashings[*index].held == held).collect();
        let waiting = match self.stands(presigned, held).await.map_err(unavailable)? {
            Stands::OnChain(txid) => return Ok(Climbed::There(Progress::Executed(hash(txid)))),
            Stands::Pooled { txid, waited, index } => {
                rungs.retain(|rung| *rung > index);
                if rungs.is_empty() || (waited < PATIENCE_BLOCKS && rate(&index) >= market) {
                    return Ok(Climbed::There(Progress::Sent(hash(txid))));
                }
                Some(Progress::Sent(hash(txid)))
            }
            Stands::NotSent => None,
        };
        let rates: Vec<u64> = rungs.iter().map(rate).collect();
        let mut refusal = None;
        for index in rungs.into_iter().skip(first_rung(&rates, market)) {
            let transaction = presigned.slash(index, secret).map_err(|error| ChainError::Refused(error.to_string()))?;
            match self.send(&transaction).await {
                Ok(txid) => return Ok(Climbed::There(Progress::Sent(hash(txid)))),
                Err(error) if error.code() == Some(MISSING_INPUTS) => return Ok(Climbed::Gone),
                Err(error) if error.code().is_some() => refusal = Some(error.to_string()),
                Err(error) => return Err(unavailable(error)),
            }
        }
        match (waiting, refusal) {
            (Some(progress), _) => Ok(Climbed::There(progress)), // a dearer rung is refused while the cheaper one still waits
            (None, Some(refusal)) => Ok(Climbed::Refused(refusal)),
            (None, None) => Ok(Climbed::Gone),
        }
    }
}

impl Chain for Bitcoin {
    fn endpoints(&self) -> Endpoints {
        *self.fare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tip(&self) -> Result<ChainPoint, ChainError> {
        self.sync().await?;
        self.check_elsewhere().await?;
        self.check_age(now()).await?;
        let (last, start) = {
            let headers = self.headers.lock().await;
            (headers.final_height(self.depth), headers.start())
        };
        self.point_at(last.ok_or(ChainError::NotThere { number: u64::from(start) })?).await
    }

    /// Vaults registered with their block first, by name, then what happened to them in blocks before the gap: they may have been
    /// spent before the ledger knew them. Then everything in the gap, in the order of the chain: vaults whose coins are locked
    /// by a transaction that was registered before, and spends. An expansion is a spend of the parent and then the child's confirmation;
    /// an unregistered spend that covenant members signed is followed by their breaches (R27).
    /// Last what the newest blocks ask of a transaction.
    async fn observe(&self, after: &ChainPoint, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.sync().await?;
        self.check_elsewhere().await?;
        self.check_points(after, upto).await?;
        let facts = self.facts(after, upto, watch, &BTreeSet::new()).await?;
        self.check_points(after, upto).await?; // other tasks follow headers too: no fact is of another chain
        Ok(facts)
    }

    /// Vaults that changed after the block that both chains share are told from their beginning.
    async fn resume(&self, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.sync().await?;
        self.check_point(upto).await?;
        let below: Vec<_> = watch.older.iter().filter(|older| older.number < upto.number).copied().collect();
        let shared = self.newest_shared(&below).await?;
        let changed = watch.vaults.values().filter(|vault| vault.since > shared.number).map(|vault| vault.id);
        let told = self.facts(&shared, upto, &watch.rewound(&shared), &changed.collect()).await?;
        self.check_points(&shared, upto).await?;
        let facts: Vec<Fact> = std::iter::once(Fact::Rewound(shared)).chain(told).collect();
        match facts.len() > MAX_FACTS {
            true => Err(ChainError::TooMany { number: upto.number }),
            false => Ok(facts),
        }
    }

    /// Of slashing transactions: their witnesses hold completed covenant signatures.
    async fn exposed(&self, after: &ChainPoint, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Evidence>, ChainError> {
        self.check_points(after, upto).await?;
        let places = self.places(watch.vaults.values());
        let mut found = Vec::new();
        for height in behind(after)?.0..=narrow(upto.number)? {
            let block = self.block(height).await?;
            for (id, transaction) in spends(&block, &places) {
                let Some(vault) = watch.vaults.get(&id) else { continue };
                let Ok(presigned) = Presigned::held(&vault.registration, &self.versions) else {
                    continue;
                };
                let Some(secret) = watch::exposed(&presigned, transaction) else {
                    continue;
                };
                found.extend(self.accusations(*secret.to_bytes(), watch));
            }
        }
        Ok(found)
    }

    async fn point(&self, number: u64) -> Result<ChainPoint, ChainError> {
        self.sync().await?;
        self.point_at(narrow(number)?).await
    }

    /// Completes and sends the slashing transaction of the staking output, or, when the staker was faster, of the unbonding output:
    /// also while his transaction is in the mempool only and pays more than ours may.
    async fn execute(&self, execution: &Execution) -> Result<Progress, ChainError> {
        let (presigned, secret) = self.armed(execution)?;
        let market = self.market_rate().await;
        let mut refusal = None;
        for held in [Held::Staked, Held::Unbonding] {
            match self.climb(&presigned, held, &secret, market).await? {
                Climbed::There(progress) => return Ok(progress),
                Climbed::Refused(reason) => refusal = Some(reason),
                Climbed::Gone => {}
            }
        }
        match (refusal, &execution.vault) {
            (Some(reason), _) => Err(ChainError::Refused(reason)),
            // Its coins may never be locked; should they be, they can be taken then.
            (None, Some(vault)) if vault.status == VaultStatus::Verified => {
                Err(ChainError::NotThere { number: vault.registered.saturating_add(1) })
            }
            (None, _) => Err(ChainError::Refused("both outputs of the vault are gone".to_owned())),
        }
    }
}

/// Which of the rungs with these `rates`, ascending, to begin with: the cheapest that meets the market, or the dearest.
fn first_rung(rates: &[u64], market: u64) -> usize {
    let meets = rates.iter().position(|rate| *rate >= market);
    meets.unwrap_or_else(|| rates.len().saturating_sub(1))
}

/// What is looked for in the blocks of a gap.
struct Scan<'a> {
    watch: &'a Watch,
    /// Where outputs of vaults lie that are locked.
    places: HashMap<OutPoint, VaultId>,
    /// Staking transactions of vaults that were registered before their coins were locked.
    awaited: HashMap<Txid, Vec<VaultId>>,
    /// Spends by the last transaction that covenant members signed and nobody registered (R27).
    suspects: Vec<(Arc<CheckedVault>, watch::Classified)>,
}

impl Scan<'_> {
    fn is_idle(&self) -> bool {
        self.places.is_empty() && self.awaited.is_empty()
    }

    /// One transaction, whose first input is at place `at` of its block: first what it spends, then what it locks, as far as that is
    /// `within`. From then on that may be spent, also in this very block.
    fn meet(
        &mut self,
        bitcoin: &Bitcoin,
        height: u32,
        (transaction, at): (&Transaction, u32),
        within: &Range<u32>,
        facts: &mut Vec<Fact>,
    ) {
        let locked = match self.awaited.is_empty() {
            true => Vec::new(),
            false => self.awaited.remove(&transaction.compute_txid()).unwrap_or_default(),
        };
        let locked: Vec<&Vault> = locked.iter().filter_map(|id| self.watch.vaults.get(id)).collect();
        for (input, _) in transaction.input.iter().zip(at..).filter(|(_, place)| within.contains(place)) {
            // One transaction may spend several vaults, but no vault twice: the unbonding output is made by spending the other.
            let Some(id) = self.places.get(&input.previous_output).copied() else { continue };
            let expands = locked.iter().any(|child| child.parent() == Some(&id));
            let spent = self.spend(bitcoin, id, transaction, expands);
            facts.extend(spent.map(Fact::VaultSpent));
        }
        let outputs = at + count(transaction.input.len());
        for vault in locked.into_iter().filter(|vault| within.contains(&outputs.saturating_add(vault.id.output))) {
            let confirmed = VaultConfirmed { id: vault.id, height: u64::from(height) };
            let Some(checked) = bitcoin.checked(vault) else { continue };
            self.places.extend([(checked.outpoint(), vault.id), (checked.unbonded_outpoint(), vault.id)]);
            facts.push(Fact::VaultConfirmed(confirmed));
        }
    }

    fn spend(
        &mut self,
        bitcoin: &Bitcoin,
        id: VaultId,
        transaction: &Transaction,
        expands: bool,
    ) -> Option<VaultSpent> {
        let checked = bitcoin.checked(self.watch.vaults.get(&id)?)?;
        let classified = watch::classify(&checked, transaction, expands)?;
        let spend = classified.spend;
        if breach::is_suspect(&checked, &bitcoin.versions, transaction, &classified) {
            tracing::error!(%id, members = ?classified.covenant, "covenant members signed an unregistered spend (R27)");
            self.suspects.push((checked, classified));
        }
        Some(VaultSpent { id, spend })
    }
}

/// A place in the chain: a height, and one of its block's inputs and outputs, counted in order through all transactions.
type Place = (u32, u32);

/// The first place that a point does not take in: it may end within a block (R32).
fn behind(point: &ChainPoint) -> Result<Place, ChainError> {
    let height = narrow(point.number)?;
    Ok(if point.log == u32::MAX { (height.saturating_add(1), 0) } else { (height, point.log) })
}

/// How many of something a block holds: less than it has bytes.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The transactions of vaults whose coins are not locked yet, or were not in a final block when they were registered: the block that
/// was named then may have been replaced. Below the anchor at which they were registered nobody looked, so that one that stood
/// there already is not found here: it is registered again with its block. `fresh` ones are found where they were said to be.
fn awaited(watch: &Watch, after: u64, fresh: &BTreeSet<VaultId>) -> HashMap<Txid, Vec<VaultId>> {
    let mut awaited: HashMap<Txid, Vec<VaultId>> = HashMap::new();
    let waits = |vault: &&Vault| vault.is_awaited() && vault.registered <= after && !fresh.contains(&vault.id);
    for vault in watch.vaults.values().filter(waits) {
        awaited.entry(Txid::from_byte_array(*vault.id.txid.as_bytes())).or_default().push(vault.id);
    }
    awaited
}

/// How far the slashing of one output has come.
enum Stands {
    OnChain(Txid),
    Pooled { index: usize, txid: Txid, waited: u32 },
    NotSent,
}

/// What sending the slashing transactions of one output came to.
enum Climbed {
    There(Progress),
    /// The network does not take any: something that pays more spends the output already.
    Refused(String),
    /// The output is not there to be taken.
    Gone,
}

async fn stands(client: &Client, presigned: &Presigned, held: Held) -> Result<Stands, RpcError> {
    let mut found = Stands::NotSent;
    let tip = client.info().await?.blocks;
    let slashings = presigned.vault().slashings().iter().enumerate();
    for (index, slashing) in slashings.filter(|(_, slashing)| slashing.held == held) {
        let txid = slashing.transaction.compute_txid();
        // The sink is unspendable, and so in no UTXO set; the change is in it until its lock runs out.
        let change = client.unspent(OutPoint { txid, vout: 1 }, false).await?;
        if change.is_some_and(|change| change.confirmations > 0) {
            return Ok(Stands::OnChain(txid));
        }
        if let Some(entry) = client.pooled(txid).await? {
            let waited = tip.saturating_sub(entry.height);
            found = Stands::Pooled { index, txid, waited };
        }
    }
    Ok(found)
}

/// Whether a block that was read whole holds the vault's transaction where the registration says.
fn holds(block: &Block, id: &VaultId, inclusion: &Inclusion) -> bool {
    let transaction = usize::try_from(inclusion.index).ok().and_then(|index| block.txdata.get(index));
    inclusion.index != 0
        && transaction.is_some_and(|transaction| transaction.compute_txid().to_byte_array() == *id.txid.as_bytes())
}

/// Every transaction of a block that spends one of `places`, with the vault, in the block's order.
fn spends<'a>(
    block: &'a Block,
    places: &'a HashMap<OutPoint, VaultId>,
) -> impl Iterator<Item = (VaultId, &'a Transaction)> {
    block.txdata.iter().flat_map(move |transaction| {
        // One transaction may spend several vaults, but no vault twice: the unbonding output is made by spending the other.
        transaction.input.iter().filter_map(move |input| Some((*places.get(&input.previous_output)?, transaction)))
    })
}

async fn check_genesis(client: &Client, expected: &Hash) -> Result<(), ChainError> {
    let found = client.block_hash(0).await.map_err(|error| chain_error("reading the genesis block", error))?;
    let wanted = BlockHash::from_byte_array(*expected.as_bytes());
    match found == wanted {
        true => Ok(()),
        false => Err(ChainError::WrongChain { expected: wanted.to_string(), found: found.to_string() }),
    }
}

/// The network that starts with this block, internal byte order.
///
/// # Errors
///
/// [`ChainError::Refused`] for one whose work cannot be followed.
pub fn network(genesis: &Hash) -> Result<Network, ChainError> {
    let wanted = BlockHash::from_byte_array(*genesis.as_bytes());
    let of = |network: &Network| bitcoin::constants::genesis_block(*network).block_hash() == wanted;
    let known = [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];
    let unknown = || ChainError::Refused(format!("genesis block {wanted} is of no network we know"));
    known.into_iter().find(of).ok_or_else(unknown)
}

/// The chain of headers from the start anchor on, or from the beginning of the difficulty period it lies in: then what lies in
/// between is checked to lead to the anchor, so that the endpoint's word for the start is not needed. What an earlier run kept is not asked for.
async fn start(clients: &[Client], genesis: &Genesis, kept: &[(u32, Vec<u8>)]) -> Result<HeaderChain, ChainError> {
    let network = network(&genesis.bitcoin_genesis)?;
    let anchor = narrow(genesis.bitcoin_start.number)?;
    let wanted = BlockHash::from_byte_array(*genesis.bitcoin_start.hash.as_bytes());
    if let Some(chain) = restored(network, (anchor, wanted), kept) {
        return Ok(chain);
    }
    let mut failure = ChainError::NotThere { number: genesis.bitcoin_start.number };
    for client in clients {
        match start_at(client, network, anchor, wanted).await {
            Ok(headers) => return Ok(headers),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The chain that an earlier run kept, as far as it holds; `None` when that is not as far as the start anchor.
fn restored(network: Network, (anchor, wanted): (u32, BlockHash), kept: &[(u32, Vec<u8>)]) -> Option<HeaderChain> {
    let Restored { chain, error } = kept::restore(network, HeaderChain::start_for(network, anchor), kept, now());
    let chain = chain.filter(|chain| chain.hash(anchor) == Some(wanted));
    let error = error.or((chain.is_none() && !kept.is_empty()).then_some(KeptError::OtherChain));
    let held = chain.as_ref().map(HeaderChain::tip);
    if let Some(error) = error {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            held,
            "headers on the disk do not hold and are asked for again"
        );
    }
    chain.inspect(|chain| tracing::info!(tip = chain.tip(), "Bitcoin headers taken from the disk"))
}

async fn start_at(
    client: &Client,
    network: Network,
    anchor: u32,
    wanted: BlockHash,
) -> Result<HeaderChain, ChainError> {
    let first = HeaderChain::start_for(network, anchor);
    let unavailable = |error| chain_error("reading the start anchor", error);
    let header = header_at(client, first).await.map_err(unavailable)?;
    let mut headers =
        HeaderChain::new(network, first, header).map_err(|error| ChainError::Refused(error.to_string()))?;
    for height in first + 1..=anchor {
        let header = header_at(client, height).await.map_err(unavailable)?;
        headers.extend(&[header], now()).map_err(header_error)?;
    }
    match headers.hash(anchor) {
        Some(found) if found == wanted => Ok(headers),
        found => Err(ChainError::WrongChain {
            expected: format!("block {wanted} at {anchor}"),
            found: found.map_or_else(|| "nothing".to_owned(), |hash| hash.to_string()),
        }),
    }
}

async fn header_at(client: &Client, height: u32) -> Result<bitcoin::block::Header, RpcError> {
    client.header(client.block_hash(height).await?).await
}

/// Takes in what one endpoint holds beyond what we know.
async fn follow(client: &Client, headers: &mut HeaderChain) -> Result<Extension, ChainError> {
    let unavailable = |error| chain_error("following headers", error);
    let info = client.info().await.map_err(unavailable)?;
    if headers.height(&info.bestblockhash).is_some() {
        return Ok(Extension::Unchanged);
    }
    let shared = shared(client, headers, info.blocks).await?;
    let mut outcome = Extension::Unchanged;
    let mut branch = Vec::new();
    for height in shared + 1..=info.blocks {
        branch.push(header_at(client, height).await.map_err(unavailable)?);
        // On top of our own tip headers are taken as they come; a fork must be whole before it is weighed.
        let on_top = shared == headers.tip() || outcome != Extension::Unchanged;
        if branch.len() == MAX_HEADERS || (on_top && branch.len() == BATCH) || height == info.blocks {
            outcome = headers.extend(&branch, now()).map_err(header_error)?;
            branch.clear();
        }
    }
    Ok(outcome)
}

/// The highest block of ours that the endpoint has too, found in steps that double.
async fn shared(client: &Client, headers: &HeaderChain, blocks: u32) -> Result<u32, ChainError> {
    if blocks < headers.start() {
        return Err(ChainError::NotThere { number: u64::from(headers.start()) }); // it has just begun to follow, or lost its disk
    }
    let mut step = 1;
    let mut at = headers.tip().min(blocks);
    while at >= headers.start() {
        let theirs = client.block_hash(at).await.map_err(|error| chain_error("following headers", error))?;
        if headers.hash(at) == Some(theirs) {
            return Ok(at);
        }
        if at == headers.start() {
            break;
        }
        at = at.saturating_sub(step).max(headers.start());
        step *= 2;
    }
    Err(ChainError::Lied("the endpoint's chain does not hold our start anchor".to_owned()))
}

fn report(extension: Extension, depth: u32) {
    if let Extension::Heavier { shared, replaced } = extension {
        match replaced {
            0 => tracing::debug!(shared, "new Bitcoin headers"),
            few if few <= depth => tracing::info!(shared, replaced, "Bitcoin reorganised"),
            _ => tracing::error!(shared, replaced, "Bitcoin replaced blocks that were final"),
        }
    }
}

pub(crate) fn point(height: u32, hash: BlockHash, time: u32) -> ChainPoint {
    ChainPoint {
        number: u64::from(height),
        hash: Hash::new(hash.to_byte_array()),
        log: u32::MAX,
        time: u64::from(time),
    }
}

fn hash(txid: Txid) -> Hash {
    Hash::new(txid.to_byte_array())
}

fn narrow(number: u64) -> Result<u32, ChainError> {
    u32::try_from(number).map_err(|_| ChainError::NotThere { number })
}

/// A header from the future is no lie yet: it is asked for again, and our own clock may be slow.
pub(crate) fn header_error(error: HeaderError) -> ChainError {
    match error {
        HeaderError::TooFarAhead { .. } => {
            ChainError::Unavailable { doing: "following headers".to_owned(), source: Box::new(error) }
        }
        other => ChainError::Lied(other.to_string()),
    }
}

/// This machine's clock, in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn chain_error(doing: &str, error: RpcError) -> ChainError {
    match error {
        RpcError::Block(_) | RpcError::Senseless { .. } => ChainError::Lied(error.to_string()),
        RpcError::Endpoint(why) => ChainError::Refused(why),
        other => ChainError::Unavailable { doing: doing.to_owned(), source: Box::new(other) },
    }
}

/// How many vaults one observation says are where their registrations said: with all that may have happened to them since, they
/// leave room for what the gap holds.
const MAX_CONFIRMED: usize = MAX_FACTS / 4;

/// Blocks kept in memory: several voters' questions ask for the same ones.
const CACHED_BLOCKS: usize = 16;

/// Of how many blocks it is kept in memory what they ask of a transaction.
const CACHED_RATES: usize = 4 * market::WINDOW as usize;

/// Rebuilt vaults kept in memory.
const CACHED_VAULTS: usize = 10_000;

/// Headers taken in at once while catching up.
const BATCH: usize = 500;

/// Blocks a slashing transaction may wait in the mempool before the next rung is sent (R28).
const PATIENCE_BLOCKS: u32 = 6;

/// Core: an input is spent or never was.
const MISSING_INPUTS: i32 = -25;

#[cfg(test)]
mod tests {
    use super::first_rung;

    #[test]
    fn r28_the_first_rung_is_the_cheapest_that_meets_the_market() {
        for (market, rung) in [(0, 0), (1_000, 0), (1_001, 1), (5_000, 1), (25_000, 2), (25_001, 2)] {
            assert_eq!(first_rung(&[1_000, 5_000, 25_000], market), rung, "{market}");
        }
        assert_eq!(first_rung(&[], 1), 0);
    }
}
