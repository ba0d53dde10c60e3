//! A small network with real keys, made from a seed: for the tests of this crate and of those above it.
//!
//! Signatures, proofs of possession, certificates and evidence are real. Bitcoin transactions are not: a vault's
//! are bytes that only have a name, since nothing in this crate reads them.

use crate::{Invalid, Ledger};
use palisade_crypto::hash::{keccak256_all, sha256_all};
use palisade_crypto::{bls, ed25519, eots};
use palisade_types::certificate::{
    BitcoinCertificate, CERTIFICATE_VERSION, CertifiedVote, Committee, QuorumCertificate,
};
use palisade_types::evidence::{AncestorFault, BlsPair, EotsPair, ExposedKey, ExposedProvider, VotePair};
use palisade_types::genesis::{Asset, Caps, Contracts, Parameters, Seat, VaultTerms};
use palisade_types::observation::{ConvictedOnChain, KeysRegistered, SlashedOnChain, StakeSeen, VaultConfirmed};
use palisade_types::operator::KeyRow;
use palisade_types::position::{Magnitudes, Position, PositionId, StakeSource};
use palisade_types::possession;
use palisade_types::price::Price;
use palisade_types::proof::RowProof;
use palisade_types::randomness::{Commitment, Opening, RandomnessCommitment};
use palisade_types::vault::{CovenantAdaptor, CovenantSignature, Expansion, Funding, Inclusion, Slashing};
use palisade_types::{
    AdaptorBytes, Address, Attestation, BasisPoints, Block, BlsKey, BlsSignature, CaseId, ChainId, ChainKind,
    ChainPoint, Digest, Domain, DomainKind, Ed25519Key, Ed25519Signature, Evidence, Fact, FinalityVote, Genesis, Hash,
    Header, Height, Item, MicroUsd, Observation, OperatorId, Sats, SchnorrKey, SchnorrSignature, Statement, Vault,
    VaultId, VaultRegistration, Wad,
};
use std::sync::Arc;

/// Shares that a fixture's operator has at stake: 32, of which an equivocation takes half.
pub const SHARES: u128 = 32_000_000_000_000_000_000;
/// What [`SHARES`] weigh: 32 x 1/2 x $2,000.
pub const BOND: u64 = 32_000_000_000;

/// A genesis and everybody's secrets.
#[derive(Clone, Debug)]
pub struct Network {
    /// What the network agrees on.
    pub genesis: Arc<Genesis>,
    /// Its hash.
    pub chain: ChainId,
    /// Its ledger domain.
    pub ledger_domain: Domain,
    /// Its Bitcoin finality domain.
    pub bitcoin_domain: Domain,
    /// Everybody, by account ascending; the first 256 have seats in epoch 0.
    pub operators: Vec<OperatorKeys>,
}

/// One operator's secrets.
#[derive(Clone, Debug)]
pub struct OperatorKeys {
    /// Who.
    pub id: OperatorId,
    /// Attests.
    pub bls: bls::SecretKey,
    /// Votes.
    pub ed25519: ed25519::SecretKey,
    /// Attests for Bitcoin stake.
    pub eots: eots::SecretKey,
}

/// A network of `n` operators with seats; the same seed gives the same network.
#[must_use]
pub fn network(n: usize, seed: u64) -> Network {
    network_with(n, seed, |_| {})
}

/// A network of `n` operators behind whom bitcoin stands alone (R22).
#[must_use]
pub fn bitcoin_only(n: usize, seed: u64) -> Network {
    network_with(n, seed, |genesis| genesis.assets = palisade_types::List::new())
}

/// A network whose genesis is changed before it is hashed.
#[must_use]
pub fn network_with(n: usize, seed: u64, change: impl FnOnce(&mut Genesis)) -> Network {
    let mut seeds: Vec<_> = (0..n).map(|index| operator_seed(seed, index)).collect();
    seeds.sort_by_key(operator_id);
    let mut genesis = genesis(&seeds, seed);
    change(&mut genesis);
    let genesis = Arc::new(genesis);
    let chain = genesis.chain_id();
    let bitcoin_domain = genesis.domain(DomainKind::Bitcoin);
    let operators = seeds.iter().map(|seed| OperatorKeys {
        id: operator_id(seed),
        bls: bls::SecretKey::from_seed(&sha256_all(&[b"bls", seed])),
        ed25519: ed25519::SecretKey::from_seed(&sha256_all(&[b"ed25519", seed])),
        eots: eots::SecretKey::derive(seed, chain.as_bytes(), bitcoin_domain.as_bytes()),
    });
    Network {
        operators: operators.collect(),
        chain,
        ledger_domain: genesis.domain(DomainKind::Ledger),
        bitcoin_domain,
        genesis,
    }
}

fn operator_seed(seed: u64, index: usize) -> [u8; 32] {
    sha256_all(&[b"operator", &seed.to_be_bytes(), &index.to_be_bytes()])
}

fn operator_id(seed: &[u8; 32]) -> OperatorId {
    OperatorId::new(std::array::from_fn(|i| seed[i]))
}

fn genesis(seeds: &[[u8; 32]], seed: u64) -> Genesis {
    let seats = seeds.iter().take(256).map(|seed| Seat {
        operator: operator_id(seed),
        ed25519: ed25519_key(&ed25519::SecretKey::from_seed(&sha256_all(&[b"ed25519", seed]))),
        peer: seed.to_vec().try_into().expect("32 bytes are no more than 64"),
    });
    Genesis {
        random: Hash::new(sha256_all(&[b"genesis", &seed.to_be_bytes()])),
        evm_chain_id: 31_337,
        bitcoin_genesis: Hash::new([6; 32]),
        ethereum_start: point(ChainKind::Ethereum, 100),
        bitcoin_start: point(ChainKind::Bitcoin, 200),
        contracts: contracts(),
        assets: vec![asset()].try_into().expect("one asset"),
        vaults: vec![terms(seeds, seed)].try_into().expect("one version"),
        parameters: parameters(),
        seats: seats.collect::<Vec<_>>().try_into().expect("no more than 256"),
        continues: None,
    }
}

fn contracts() -> Contracts {
    Contracts {
        palisade: Address::new([0xa1; 20]),
        eigenlayer_adapter: Address::new([0xa2; 20]),
        committee: Address::new([0xa3; 20]),
        allocation_manager: Address::new([0xa4; 20]),
        delegation_manager: Address::new([0xa5; 20]),
        orders: Address::new([0xa6; 20]),
        symbiotic: None,
        karak: None,
    }
}

fn asset() -> Asset {
    Asset {
        source: StakeSource::EigenLayer(Address::new([0xb1; 20])),
        price: Price::Fixed(MicroUsd::new(2_000_000_000)),
        cap: Caps::ANY,
        equivocation: Wad::new(500_000_000_000_000_000),
    }
}

/// Windows that hold R4: W is 180 of 200 blocks, and 176 of 200 on Bitcoin.
fn parameters() -> Parameters {
    Parameters {
        epoch_heights: 10,
        epoch_ethereum_blocks: 50,
        epoch_bitcoin_blocks: 50,
        max_age_blocks: 100,
        trust_blocks: 50,
        execution_blocks: 20,
        observation_lag_blocks: 10,
        bitcoin_depth: 3,
        deallocation_delay: 200,
        checkpoint_interval: 5,
        attest_lag_blocks: 10,
        min_total: MicroUsd::new(1_000_000),
        min_bond: MicroUsd::new(1_000_000),
        bitcoin_price: MicroUsd::new(60_000_000_000),
        order_part: Wad::new(250_000_000_000_000_000),
        order_delay_blocks: 5,
        window_seconds: 0,
        caps: Caps::NONE,
        duty_slots: 120,
    }
}

/// A covenant of one, the first operator.
fn terms(seeds: &[[u8; 32]], seed: u64) -> VaultTerms {
    let member = SchnorrKey::new(covenant_secret(seed).public().to_bytes());
    VaultTerms {
        activation: 0,
        covenant: vec![member].try_into().expect("one member"),
        members: vec![operator_id(&seeds[0])].try_into().expect("one member"),
        devnet: true,
        quorum: 1,
        min_staking_time: 300,
        max_staking_time: 60_000,
        unbonding_time: 200,
        unbonding_fee: Sats::new(1_000),
        slash_rate: BasisPoints::new(1_000).expect("a tenth"),
        slash_script: vec![0x6a].try_into().expect("one byte"),
        min_slash_fee: Sats::new(1_000),
        min_stake: Sats::new(10_000),
    }
}

/// The key of a network's only covenant member.
///
/// # Panics
///
/// Never: a hash is a scalar.
#[must_use]
pub fn covenant_secret(seed: u64) -> eots::SecretKey {
    let bytes = sha256_all(&[b"covenant", &seed.to_be_bytes()]);
    eots::SecretKey::from_bytes(&bytes).expect("a hash is a scalar but for one in 2^127")
}

/// A chain's final block of that number, on the one chain that every honest endpoint shows.
#[must_use]
pub fn point(chain: ChainKind, number: u64) -> ChainPoint {
    let kind = [chain as u8];
    ChainPoint {
        number,
        hash: Hash::new(keccak256_all(&[&kind, &number.to_be_bytes()])),
        log: u32::MAX,
        time: 1_700_000_000 + number * 12,
    }
}

fn ed25519_key(secret: &ed25519::SecretKey) -> Ed25519Key {
    Ed25519Key::new(secret.public().to_bytes())
}

/// Facts of the chains.
impl Network {
    /// Operator `index` registers the keys he was made with as row `index + 1`, at Ethereum block `from`.
    #[must_use]
    pub fn keys_fact(&self, index: usize, from: u64) -> Fact {
        let id = u32::try_from(index).expect("a small network") + 1;
        self.registration(&self.operators[index], id, from)
    }

    /// `keys.id` registers `keys` as row `id`: also for keys that are not in [`Network::operators`].
    #[must_use]
    pub fn registration(&self, keys: &OperatorKeys, id: u32, from: u64) -> Fact {
        let palisade = self.genesis.contracts.palisade;
        let (votes, finalises) = (ed25519_key(&keys.ed25519), SchnorrKey::new(keys.eots.public().to_bytes()));
        let votes_message = possession::ed25519_message(&self.chain, &palisade, &keys.id, &votes);
        let finalises_message = possession::eots_message(&self.chain, &palisade, &keys.id, &finalises);
        Fact::Keys(Box::new(KeysRegistered {
            operator: keys.id,
            row: KeyRow {
                id,
                from,
                until: None,
                bls: BlsKey::new(keys.bls.public().to_bytes()),
                ed25519: votes,
                eots: finalises,
                peer: keys.id.as_bytes().to_vec().try_into().expect("20 bytes"),
            },
            ed25519_proof: Ed25519Signature::new(keys.ed25519.sign(&votes_message).0),
            eots_proof: SchnorrSignature::new(keys.eots.sign_schnorr(&finalises_message)),
        }))
    }

    /// EigenLayer's views show `shares` of operator `index`, all of them allocated to the network's set.
    #[must_use]
    pub fn stake_fact(&self, index: usize, shares: u128) -> Fact {
        let whole = Wad::ONE.get();
        let position = Magnitudes {
            shares,
            queued: 0,
            max_magnitude: whole,
            magnitude: whole,
            pending: 0,
            effect_block: 0,
            member: true,
            slashable_until: 0,
        };
        self.position_fact(index, position)
    }

    /// EigenLayer's views show this position of operator `index`.
    #[must_use]
    pub fn position_fact(&self, index: usize, position: Magnitudes) -> Fact {
        Fact::Stake(StakeSeen { id: self.position_id(index), position: Position::EigenLayer(position) })
    }

    /// Operator `index`'s position in the one asset.
    #[must_use]
    pub fn position_id(&self, index: usize) -> PositionId {
        PositionId { operator: self.operators[index].id, source: self.genesis.assets[0].source }
    }

    /// Everybody registers and stakes [`SHARES`], just after the start anchor. In a BTC-only network there is nothing to
    /// stake there.
    #[must_use]
    pub fn joining_facts(&self) -> Vec<Fact> {
        let all = 0..self.operators.len();
        let from = self.genesis.ethereum_start.number + 1;
        let stakes = if self.genesis.is_bitcoin_only() { 0..0 } else { all.clone() };
        all.map(|index| self.keys_fact(index, from)).chain(stakes.map(|index| self.stake_fact(index, SHARES))).collect()
    }

    /// An item that moves `ledger`'s anchor of a chain to block `upto`.
    #[must_use]
    pub fn observed(&self, ledger: &Ledger, chain: ChainKind, upto: u64, facts: Vec<Fact>) -> Item {
        Item::Observed(Observation {
            chain,
            after: *ledger.anchor(chain),
            upto: point(chain, upto),
            facts: facts.try_into().expect("few facts"),
        })
    }

    /// Palisade.sol convicts operator `index` of a pair in `slot` of the ledger's domain.
    #[must_use]
    pub fn convicted_fact(&self, index: usize, slot: u64) -> Fact {
        let (operator, domain) = (self.operators[index].id, self.ledger_domain);
        Fact::Convicted(ConvictedOnChain {
            case: CaseId::derive(&self.chain, &operator, &domain),
            operator,
            domain,
            slot,
        })
    }

    /// EigenLayer's views show that the slash of operator `index` left `afterwards` of `before` shares.
    #[must_use]
    pub fn slashed_fact(&self, index: usize, before: u128, afterwards: u128) -> Fact {
        let operator = self.operators[index].id;
        Fact::Slashed(SlashedOnChain {
            case: CaseId::derive(&self.chain, &operator, &self.ledger_domain),
            operator,
            adapter: self.genesis.contracts.eigenlayer_adapter,
            asset: *self.genesis.assets[0].source.asset(),
            before,
            afterwards,
            transaction: Hash::new([0x51; 32]),
        })
    }

    /// A presigned vault behind operator `index`, included at Bitcoin height `included`; `number` tells vaults apart.
    #[must_use]
    pub fn vault(&self, index: usize, number: u32, sats: u64, included: u64) -> VaultRegistration {
        let keys = &self.operators[index];
        let provider = SchnorrKey::new(keys.eots.public().to_bytes());
        let bytes = [&number.to_be_bytes()[..], keys.id.as_bytes()].concat();
        let transaction: palisade_types::Blob<_> = bytes.try_into().expect("24 bytes");
        let member = self.genesis.vaults.first().map_or(SchnorrKey::ZERO, |terms| terms.covenant[0]);
        let adaptor = CovenantAdaptor { member, provider, signature: AdaptorBytes::ZERO };
        let slashing = Slashing {
            transaction: transaction.clone(),
            staker: SchnorrSignature::ZERO,
            covenant: vec![adaptor].try_into().expect("one"),
        };
        let ladder: palisade_types::List<_, _> = vec![slashing].try_into().expect("one rung");
        let signed = CovenantSignature { member, signature: SchnorrSignature::ZERO };
        VaultRegistration {
            terms: 0,
            operator: keys.id,
            staker: SchnorrKey::new([0xd1; 32]),
            providers: vec![provider].try_into().expect("one"),
            staking_time: 1_000,
            staking: transaction.clone(),
            output: 0,
            amount: Sats::new(sats),
            inclusion: Some(Inclusion {
                block: point(ChainKind::Bitcoin, included).hash,
                height: included,
                index: 1,
                siblings: palisade_types::List::new(),
            }),
            expansion: None,
            unbonding: transaction,
            unbonding_covenant: vec![signed].try_into().expect("one"),
            slashings: ladder.clone(),
            unbonding_slashings: ladder,
            top_rate: 1_000,
            endorsements: vec![signed].try_into().expect("one"),
        }
    }

    /// The same before its coins are locked.
    #[must_use]
    pub fn prestaked(&self, index: usize, number: u32, sats: u64) -> VaultRegistration {
        VaultRegistration { inclusion: None, ..self.vault(index, number, sats, 0) }
    }

    /// An expansion of `parent` to `sats`; `number` tells vaults apart.
    #[must_use]
    pub fn expanded(&self, parent: &Vault, index: usize, number: u32, sats: u64) -> VaultRegistration {
        let child = self.prestaked(index, number, sats);
        let funding = Funding { value: Sats::new(1_000), script: palisade_types::Blob::default() };
        let covenant = child.endorsements.clone();
        VaultRegistration { expansion: Some(Expansion { parent: parent.id, funding, covenant }), ..child }
    }

    /// The fact that a vault's staking transaction stands in block `height`.
    #[must_use]
    pub const fn confirmed(id: VaultId, height: u64) -> Fact {
        Fact::VaultConfirmed(VaultConfirmed { id, height })
    }

    /// The name of [`Network::vault`]'s vault.
    #[must_use]
    pub fn vault_id(registration: &VaultRegistration) -> VaultId {
        crate::vaults::name(registration)
    }
}

/// Signatures.
impl Network {
    /// What an honest operator says of a block.
    #[must_use]
    pub const fn finality_statement(&self, height: Height, digest: Digest) -> Statement {
        Statement { domain: self.ledger_domain, slot: height.get(), digest }
    }

    /// Operator `index`'s attestation.
    #[must_use]
    pub fn attest(&self, index: usize, statement: Statement) -> Attestation {
        let keys = &self.operators[index];
        let signature = keys.bls.sign(&statement.bls_message(&self.chain));
        Attestation { statement, operator: keys.id, signature: BlsSignature::new(signature.to_bytes()) }
    }

    /// A certificate of `statement` by `signers`, who are members of `committee`.
    #[must_use]
    pub fn certificate(&self, committee: &Committee, statement: Statement, signers: &[usize]) -> QuorumCertificate {
        let count = committee.members.len();
        let mut bitmap = vec![0_u8; count.div_ceil(8)];
        let mut signatures = Vec::new();
        for signer in signers {
            let keys = &self.operators[*signer];
            let (seat, _) = committee.seat(&keys.id).expect("a signer has a seat");
            bitmap[seat / 8] |= 1 << (seat % 8);
            signatures.push(keys.bls.sign(&statement.bls_message(&self.chain)));
        }
        let sum = bls::Signature::aggregate(&signatures).expect("there is a signer");
        QuorumCertificate {
            version: CERTIFICATE_VERSION,
            chain: self.chain,
            committee: committee.hash(&self.chain),
            domain: statement.domain,
            slot: statement.slot,
            digest: statement.digest,
            members: u16::try_from(count).expect("at most 256"),
            signers: bitmap.try_into().expect("at most 32 bytes"),
            signature: BlsSignature::new(sum.to_bytes()),
        }
    }

    fn nonces(&self, keys: &OperatorKeys, first: Height, count: u32) -> Vec<eots::SecretNonce> {
        let interval = self.genesis.parameters.checkpoint_interval;
        let slot = |leaf: u32| first.get() + u64::from(leaf) * interval;
        (0..count)
            .map(|leaf| {
                let (chain, domain) = (self.chain.as_bytes(), self.bitcoin_domain.as_bytes());
                eots::nonce(&keys.eots, chain, domain, slot(leaf))
            })
            .collect()
    }

    /// Operator `index`'s promise of `count` nonces from checkpoint `first` on.
    #[must_use]
    pub fn randomness(&self, index: usize, first: u64, count: u32) -> RandomnessCommitment {
        self.randomness_of(&self.operators[index], first, count)
    }

    /// The promise of `count` nonces of `keys` from checkpoint `first` on: also for keys that are not in
    /// [`Network::operators`].
    #[must_use]
    pub fn randomness_of(&self, keys: &OperatorKeys, first: u64, count: u32) -> RandomnessCommitment {
        let first = Height::new(first);
        let nonces = self.nonces(keys, first, count.clamp(1, 1_000));
        let public: Vec<_> = nonces.iter().map(eots::SecretNonce::public).collect();
        let tree = eots::commit(&public).expect("at least one nonce");
        let commitment = Commitment { first, count, root: Hash::new(tree.root()) };
        let message = RandomnessCommitment::message(&self.chain, &self.bitcoin_domain, &keys.id, &commitment);
        RandomnessCommitment {
            operator: keys.id,
            key: SchnorrKey::new(keys.eots.public().to_bytes()),
            commitment,
            signature: SchnorrSignature::new(keys.eots.sign_schnorr(&message)),
        }
    }

    /// Operator `index`'s EOTS vote on a checkpoint under the promise of `count` nonces from `first` on.
    #[must_use]
    pub fn finality_vote(&self, index: usize, slot: u64, digest: Digest, first: u64, count: u32) -> FinalityVote {
        let statement = Statement { domain: self.bitcoin_domain, slot, digest };
        let keys = &self.operators[index];
        let nonces = self.nonces(keys, Height::new(first), count);
        let public: Vec<_> = nonces.iter().map(eots::SecretNonce::public).collect();
        let commitment = self.randomness(index, first, count).commitment;
        let leaf = commitment
            .leaf(Height::new(slot), self.genesis.parameters.checkpoint_interval)
            .expect("the promise covers the slot");
        let tree = eots::commit(&public).expect("at least one nonce");
        let aunts = tree.proof(leaf).expect("the leaf is there").aunts;
        let aunts: Vec<_> = aunts.into_iter().map(Hash::new).collect();
        let nonce = &nonces[usize::try_from(leaf).expect("a small index")];
        let signature = eots::sign(&keys.eots, nonce, &statement.eots_message(&self.chain));
        FinalityVote {
            statement,
            operator: keys.id,
            nonce: Hash::new(nonce.public().to_bytes()),
            signature: Hash::new(signature.0),
            opening: Opening { commitment, aunts: aunts.try_into().expect("at most 32") },
        }
    }

    /// A certificate of the checkpoint that `votes` are about.
    #[must_use]
    pub fn bitcoin_certificate(&self, committee: &Committee, votes: &[FinalityVote]) -> BitcoinCertificate {
        let statement = votes[0].statement;
        let mut certified: Vec<_> = votes
            .iter()
            .map(|vote| {
                let (seat, _) = committee.seat(&vote.operator).expect("a voter has a seat");
                CertifiedVote {
                    member: u16::try_from(seat).expect("at most 256"),
                    nonce: vote.nonce,
                    signature: vote.signature,
                    opening: vote.opening.clone(),
                }
            })
            .collect();
        certified.sort_by_key(|vote| vote.member);
        BitcoinCertificate {
            chain: self.chain,
            committee: committee.hash(&self.chain),
            domain: statement.domain,
            slot: statement.slot,
            digest: statement.digest,
            votes: certified.try_into().expect("at most 256"),
        }
    }
}

/// Faults.
impl Network {
    /// Operator `index` attests two blocks in `slot` of `domain`.
    #[must_use]
    pub fn pair_in(&self, domain: Domain, index: usize, slot: u64) -> Evidence {
        let signed = |digest| {
            let statement = Statement { domain, slot, digest };
            (digest, self.attest(index, statement).signature)
        };
        Evidence::Pair(BlsPair {
            operator: self.operators[index].id,
            domain,
            slot,
            first: signed(Digest::new([1; 32])),
            second: signed(Digest::new([2; 32])),
        })
    }

    /// Operator `index` attests two blocks at one height.
    #[must_use]
    pub fn pair(&self, index: usize, slot: u64) -> Evidence {
        self.pair_in(self.ledger_domain, index, slot)
    }

    /// Operator `index` votes for two blocks at one checkpoint under the promise of `count` nonces from `first` on.
    #[must_use]
    pub fn eots_pair(&self, index: usize, slot: u64, first: u64, count: u32) -> Evidence {
        let vote = |digest| self.finality_vote(index, slot, digest, first, count);
        let (one, other) = (vote(Digest::new([1; 32])), vote(Digest::new([2; 32])));
        Evidence::EotsPair(EotsPair {
            operator: one.operator,
            domain: self.bitcoin_domain,
            slot,
            nonce: one.nonce,
            opening: one.opening,
            first: (one.statement.digest, one.signature),
            second: (other.statement.digest, other.signature),
        })
    }

    /// Operator `index` attested `attested` at `slot` and the block `header`, whose state names `named` there (R1).
    #[must_use]
    pub fn ancestor_fault(
        &self,
        index: usize,
        slot: u64,
        attested: Digest,
        (header, named, proof): (Header, Hash, RowProof),
    ) -> Evidence {
        let earlier = self.finality_statement(Height::new(slot), attested);
        let later = self.finality_statement(header.height, header.id().into());
        Evidence::Ancestor(Box::new(AncestorFault {
            operator: self.operators[index].id,
            domain: self.ledger_domain,
            slot,
            first: (attested, self.attest(index, earlier).signature),
            header,
            second: self.attest(index, later).signature,
            named,
            proof,
        }))
    }

    /// Operator `index` signed two different engine votes; what they say is up to the caller.
    #[must_use]
    pub fn vote_pair(&self, index: usize, height: u64, votes: [&[u8]; 2]) -> VotePair {
        let keys = &self.operators[index];
        let signed = |bytes: &[u8]| {
            let signature = Ed25519Signature::new(keys.ed25519.sign(bytes).0);
            (bytes.to_vec().try_into().expect("a short vote"), signature)
        };
        VotePair { operator: keys.id, height: Height::new(height), first: signed(votes[0]), second: signed(votes[1]) }
    }

    /// Operator `index`'s finality key is out (R29).
    #[must_use]
    pub fn exposed_key(&self, index: usize) -> Evidence {
        let keys = &self.operators[index];
        Evidence::ExposedKey(ExposedKey {
            operator: keys.id,
            domain: self.bitcoin_domain,
            secret: *keys.eots.to_bytes(),
        })
    }
}

/// The secret of another service's finality provider number `number`, and its key.
///
/// # Panics
///
/// Never: its hash is a scalar.
#[must_use]
pub fn foreign_provider(number: u8) -> (Evidence, SchnorrKey) {
    let secret = ExposedProvider { secret: sha256_all(&[b"foreign", &[number]]) };
    (Evidence::ExposedProvider(secret), secret.key().expect("a hash is a scalar"))
}

/// A network whose ledger goes on block by block, without an engine.
#[derive(Clone, Debug)]
pub struct Run {
    /// The network.
    pub network: Network,
    /// Its ledger.
    pub ledger: Ledger,
    /// Every block so far.
    pub blocks: Vec<Block>,
}

impl Run {
    /// A ledger at genesis.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self { ledger: Ledger::genesis(network.genesis.clone()), network, blocks: Vec::new() }
    }

    /// A ledger at the first height of epoch 1, in which everybody sits with a bond of [`BOND`].
    #[must_use]
    pub fn joined(network: Network) -> Self {
        let mut run = Self::new(network);
        let facts = run.network.joining_facts();
        run.observe(ChainKind::Ethereum, 105, facts);
        run.until_epoch(1);
        run
    }

    /// Makes, checks and applies the next block; every item must apply.
    ///
    /// # Panics
    ///
    /// When one does not.
    pub fn produce(&mut self, items: Vec<Item>) -> &Block {
        let (block, drafted, refused) = self.ledger.draft(items);
        assert!(refused.is_empty(), "refused: {refused:?}");
        let changes = self.ledger.preview(&block).expect("a drafted block is valid");
        assert_eq!(changes.rows(), drafted.rows(), "a draft is its preview");
        assert_eq!(changes.root(), block.header.state_root);
        self.ledger.apply(changes);
        self.blocks.push(block);
        self.blocks.last().expect("it was just pushed")
    }

    /// Why the next block may not hold `item`; the ledger stays as it is.
    ///
    /// # Panics
    ///
    /// When it may.
    #[must_use]
    pub fn refusal(&self, item: Item) -> Invalid {
        let (block, _, mut refused) = self.ledger.draft(vec![item]);
        assert!(block.items.is_empty(), "the item applies");
        refused.pop().expect("an item is taken or refused").1
    }

    /// The next block moves a chain's anchor.
    pub fn observe(&mut self, chain: ChainKind, upto: u64, facts: Vec<Fact>) -> &Block {
        let item = self.network.observed(&self.ledger, chain, upto, facts);
        self.produce(vec![item])
    }

    /// Empty blocks up to and including height `height`.
    pub fn until_height(&mut self, height: u64) {
        while self.ledger.head().height.get() < height {
            self.produce(vec![]);
        }
    }

    /// Blocks until the next one is of epoch `epoch`. All members certify the boundary block as soon as it stands.
    pub fn until_epoch(&mut self, epoch: u32) {
        while self.ledger.epoch().epoch.get() < epoch {
            let boundary = self.ledger.epoch().boundary;
            let items = boundary.map(|boundary| {
                let signers: Vec<_> = (0..self.network.operators.len()).collect();
                Item::EtherFinal(self.certify(boundary.height.get(), &signers))
            });
            self.produce(items.into_iter().collect());
        }
    }

    /// A certificate of the block at `height`, by those of `signers` who sit in the committee.
    ///
    /// # Panics
    ///
    /// When there is no such block.
    #[must_use]
    pub fn certify(&self, height: u64, signers: &[usize]) -> QuorumCertificate {
        let committee = self.ledger.committee();
        let height = Height::new(height);
        let id = self.ledger.block_id(height).expect("the block is there");
        let seated: Vec<_> = signers
            .iter()
            .copied()
            .filter(|index| committee.seat(&self.network.operators[*index].id).is_some())
            .collect();
        let statement = self.network.finality_statement(height, id.into());
        self.network.certificate(committee, statement, &seated)
    }
}
