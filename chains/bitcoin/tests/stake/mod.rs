//! A small network for tests: a covenant of three, two providers, a staker; and Bitcoin Core's own judgement on every spend.

#![allow(dead_code)] // each test file uses a part

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, Block, BlockHash, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use palisade_bitcoin::covenant::{Member, Presigning};
use palisade_bitcoin::inclusion::MerkleProof;
use palisade_bitcoin::registration::{self, Presigned};
use palisade_bitcoin::staker::{Coin, Wallet};
use palisade_bitcoin::vault::{CheckedVault, VaultRules, Versions};
use palisade_crypto::eots;
use palisade_types::genesis::VaultTerms;
use palisade_types::vault::{Expansion, Inclusion};
use palisade_types::{BasisPoints, Blob, ChainId, List, OperatorId, Sats, SchnorrKey, VaultRegistration};

/// A burn that carries a name, as on Babylon's mainnet.
pub const SINK: &[u8] = b"\x6a\x08palisade";

/// The secret of a made-up person.
pub fn secret(number: u8) -> eots::SecretKey {
    eots::SecretKey::from_bytes(&[number; 32]).unwrap()
}

/// Everybody who takes part in a vault.
pub struct People {
    pub wallet: Wallet,
    pub members: Vec<Member>,
    pub providers: Vec<eots::SecretKey>,
}

impl People {
    /// A staker, a covenant of `members`, and `providers`.
    pub fn new(members: u8, providers: u8) -> Self {
        Self {
            wallet: Wallet::new(secret(1)),
            members: (0..members).map(|number| Member::new(secret(10 + number))).collect(),
            providers: (0..providers).map(|number| secret(60 + number)).collect(),
        }
    }

    /// Terms of genesis with this covenant.
    pub fn terms(&self, quorum: u8, min_staking_time: u16, unbonding_time: u16) -> VaultTerms {
        let mut covenant: Vec<_> =
            self.members.iter().map(|member| SchnorrKey::new(member.key().serialize())).collect();
        covenant.sort_unstable();
        VaultTerms {
            activation: 0,
            members: (0..)
                .zip(&covenant)
                .map(|(at, _)| OperatorId::new([at; 20]))
                .collect::<Vec<_>>()
                .try_into()
                .unwrap(),
            covenant: List::try_from(covenant).unwrap(),
            devnet: true,
            quorum,
            min_staking_time,
            max_staking_time: 64_000,
            unbonding_time,
            unbonding_fee: Sats::new(1_000),
            slash_rate: BasisPoints::new(1_000).unwrap(),
            slash_script: Blob::try_from(SINK.to_vec()).unwrap(),
            min_slash_fee: Sats::new(1_000),
            min_stake: Sats::new(50_000),
        }
    }

    /// A staking transaction of 1 BTC from a made-up coin.
    pub fn stake(&self, rules: &VaultRules, staking_time: u16) -> Transaction {
        let coin =
            Coin { outpoint: OutPoint { txid: Txid::all_zeros(), vout: 7 }, value: Amount::from_sat(150_000_000) };
        let terms = self.staking_terms(rules, staking_time);
        self.wallet.stake(&[coin], &terms, Amount::from_sat(100_000_000), FeeRate::from_sat_per_vb_u32(2)).unwrap()
    }

    pub fn staking_terms(&self, rules: &VaultRules, staking_time: u16) -> palisade_bitcoin::scripts::StakingTerms {
        let providers = self.providers.iter().map(|provider| key(&provider.public())).collect();
        rules.terms(self.wallet.key(), providers, staking_time).unwrap()
    }

    /// The vault in output 0 of `staking`, with a ladder of two fees.
    pub fn vault(&self, staking: &Transaction, rules: &VaultRules, staking_time: u16) -> CheckedVault {
        CheckedVault::check(staking, 0, self.staking_terms(rules, staking_time), &ladder(), rules).unwrap()
    }

    /// The registration that staker and operator agree on, of a stake in a block.
    pub fn draft(
        &self,
        staking: &Transaction,
        vault: &CheckedVault,
        proof: &MerkleProof,
        (block, height): (BlockHash, u64),
    ) -> VaultRegistration {
        let inclusion = registration::inclusion(proof, block, height).unwrap();
        self.register(staking, vault, (Some(inclusion), None))
    }

    /// The same, of any vault.
    pub fn register(
        &self,
        staking: &Transaction,
        vault: &CheckedVault,
        how: (Option<Inclusion>, Option<Expansion>),
    ) -> VaultRegistration {
        let signatures = registration::sign(vault, self.wallet.secret());
        registration::write(OperatorId::new([9; 20]), staking, how, vault, &signatures).unwrap()
    }

    /// The registration with the answers of the first `answering` members.
    pub fn presign(
        &self,
        draft: &VaultRegistration,
        parent: Option<&VaultRegistration>,
        header: Option<&Header>,
        versions: &Versions,
        answering: usize,
    ) -> VaultRegistration {
        let mut session = Presigning::open(draft, parent, versions).unwrap();
        for member in &self.members[..answering] {
            let answer = match parent {
                Some(_) => member.release(session.registration(), parent, versions), // as if the ledger held it
                None => member.presign(session.registration(), parent, header, versions),
            };
            let answer = answer.unwrap();
            session.take(answer).unwrap();
        }
        session.finish(versions).unwrap()
    }

    /// A vault that went the whole way, in a block of its own.
    pub fn presigned(
        &self,
        versions: &Versions,
        staking_time: u16,
        answering: usize,
    ) -> (Presigned, VaultRegistration) {
        let rules = versions.at(5).unwrap();
        let staking = self.stake(rules, staking_time);
        let vault = self.vault(&staking, rules, staking_time);
        let block = block_with(staking.clone());
        let proof = MerkleProof::of(&block, 1).unwrap();
        let draft = self.draft(&staking, &vault, &proof, (block.block_hash(), 5));
        let whole = self.presign(&draft, None, Some(&block.header), versions, answering);
        (Presigned::check(&whole, None, versions).unwrap(), whole)
    }
}

/// A network with these terms.
pub fn versions(terms: &[VaultTerms]) -> Versions {
    Versions::new(ChainId::new([3; 32]), terms).unwrap()
}

/// Two rungs.
pub fn ladder() -> Vec<Amount> {
    vec![Amount::from_sat(1_000), Amount::from_sat(20_000)]
}

pub fn key(public: &eots::PublicKey) -> bitcoin::XOnlyPublicKey {
    bitcoin::XOnlyPublicKey::from_slice(&public.to_bytes()).unwrap()
}

/// A block with regtest's coinbase and `transaction`.
pub fn block_with(transaction: Transaction) -> Block {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    block.txdata.push(transaction);
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    work(&mut block);
    block
}

/// Finds a nonce: on regtest every second one does.
pub fn work(block: &mut Block) {
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
}

/// Bitcoin Core's own judgement on every input, with Taproot and relative locks checked.
pub fn core_accepts(transaction: &Transaction, spent: &[TxOut]) -> bool {
    let scripts: Vec<Vec<u8>> = spent.iter().map(|output| output.script_pubkey.to_bytes()).collect();
    let outputs: Vec<bitcoinconsensus::Utxo> = scripts
        .iter()
        .zip(spent)
        .map(|(script, output)| bitcoinconsensus::Utxo {
            script_pubkey: script.as_ptr(),
            script_pubkey_len: u32::try_from(script.len()).unwrap(),
            value: i64::try_from(output.value.to_sat()).unwrap(),
        })
        .collect();
    let bytes = encode::serialize(transaction);
    let flags = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;
    (0..spent.len()).all(|input| {
        let output = &spent[input];
        bitcoinconsensus::verify_with_flags(
            output.script_pubkey.as_bytes(),
            output.value.to_sat(),
            &bytes,
            Some(&outputs),
            input,
            flags,
        )
        .is_ok()
    })
}

/// An output nobody knows.
pub fn elsewhere() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([7; 20]))
}
