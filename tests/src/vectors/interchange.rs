//! EIP-3076's interchange tests, run on our guard and its records: a validator's key is a key, "slot" is a slot of one domain, and a
//! block's signing root stands in what is signed there.
//!
//! The domain is the one of vault claims, where a slot is a number and nothing builds on anything, as for beacon blocks. The answers
//! are judged as the tests' own notes say: who keeps every record signs what `should_succeed_complete` allows, who keeps
//! only the newest what `should_succeed` does; what lies between is anybody's choice. Attestations of the beacon chain have a source and a
//! target epoch, and a rule about pairs that surround each other; no statement of ours spans slots, so they are left out.

use anyhow::{Context, Result, ensure};
use palisade_agreement::guard::{Guard, Known, Request, Verdict};
use palisade_node::signer::interchange::{Interchange, Metadata, Row, SignedSlot, VERSION};
use palisade_storage::{Place, Record, SignatureStore};
use palisade_types::evidence::Domains;
use palisade_types::{ChainId, Claim, Domain, Epoch, Hash, Numbered, OperatorId, Sats, VaultId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::{File, Outcome, Tally, has, list, text};

/// One file: imports, and what may be signed after each.
pub(super) fn eip_3076(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(value, &["steps", "genesis_validators_root"]))?;
    Some(match run(value) {
        Ok(tally) if tally.checked == 0 => Outcome::Skipped(ATTESTATIONS),
        result => Outcome::of(result),
    })
}

fn run(value: &Value) -> Result<Tally> {
    let chain: ChainId = text(value, "genesis_validators_root")?.parse()?;
    let mut validators = Validators::new(chain)?;
    let mut tally = Tally::default();
    for (number, step) in list(value, "steps")?.iter().enumerate() {
        let (imported, left_out) = validators.import(&step["interchange"]).with_context(|| format!("step {number}"))?;
        ensure!(Some(imported) == step["should_succeed"].as_bool(), "step {number}: imported {imported}");
        tally.left_out += left_out + list(step, "attestations")?.len();
        // An import of attestations alone says nothing of ours.
        let blocks = list(step, "blocks")?;
        tally.checked += blocks.len() + usize::from(left_out == 0 || !imported);
        for (place, block) in blocks.iter().enumerate() {
            validators.sign(block).with_context(|| format!("step {number}, block {place}"))?;
        }
    }
    Ok(tally)
}

/// A guard's records for each key: ours hold for all keys of a directory, a test's keys are of different validators.
struct Validators {
    chain: ChainId,
    home: tempfile::TempDir,
    stores: BTreeMap<String, SignatureStore>,
}

impl Validators {
    fn new(chain: ChainId) -> Result<Self> {
        Ok(Self { chain, home: tempfile::tempdir()?, stores: BTreeMap::new() })
    }

    fn store(&mut self, key: &str) -> Result<&mut SignatureStore> {
        if !self.stores.contains_key(key) {
            let store = SignatureStore::open(&self.home.path().join(self.stores.len().to_string()))?;
            self.stores.insert(key.to_owned(), store);
        }
        self.stores.get_mut(key).context("it was just made")
    }

    /// Whether an import succeeds; and how many attestations it leaves out.
    fn import(&mut self, interchange: &Value) -> Result<(bool, usize)> {
        let (file, left_out) = translated(interchange)?;
        let file = Interchange::from_json(&file.to_json())?;
        let keys: BTreeSet<&str> = file.data.iter().map(|row| row.pubkey.as_str()).collect();
        let chain = self.chain;
        if keys.is_empty() {
            return Ok((file.merge_into(self.store("")?, &[], &chain).is_ok(), left_out));
        }
        let mut succeeded = true;
        for key in keys {
            succeeded &= file.merge_into(self.store(key)?, &[key.to_owned()], &chain).is_ok();
        }
        Ok((succeeded, left_out))
    }

    /// Asks the guard, records what it allows, and compares.
    fn sign(&mut self, block: &Value) -> Result<()> {
        let (slot, root): (u64, _) = (text(block, "slot")?.parse()?, block["signing_root"].as_str());
        let numbered = statement(slot, root.unwrap_or(NO_ROOT))?;
        let domains = Domains {
            chain: self.chain,
            ledger: Domain::new([1; 32]),
            bitcoin: Domain::new([2; 32]),
            claim: DOMAIN,
            order: Domain::new([4; 32]),
            succession: Domain::new([5; 32]),
            founder: self.chain,
            keys: Domain::new([3; 32]),
            interval: 5,
        };
        let place = Place::Slot { domain: DOMAIN, slot };
        let store = self.store(text(block, "pubkey")?)?;
        let known = Known { here: store.find(&place)?, newest: store.newest(&DOMAIN)?, ..Known::default() };
        let verdict = Guard::new(domains).check(&Request::Numbered(&numbered), &known);
        let signs = match verdict {
            Verdict::Safe => store.remember(&Record { place, digest: numbered.digest() }).map(|()| true)?,
            Verdict::Same => true,
            Verdict::NotSafe(_) => false,
        };
        let (least, most) = (block["should_succeed"].as_bool(), block["should_succeed_complete"].as_bool());
        ensure!(least != Some(true) || signs, "slot {slot} is refused ({verdict:?}) and need not be");
        ensure!(most.or(least) != Some(false) || !signs, "slot {slot} is signed ({verdict:?}) and must not be");
        Ok(())
    }
}

/// The test's file in our form; and how many attestations are left out.
fn translated(interchange: &Value) -> Result<(Interchange, usize)> {
    let (mut data, mut left_out) = (Vec::new(), 0);
    for row in list(interchange, "data")? {
        left_out += list(row, "signed_attestations")?.len();
        let slots = list(row, "signed_blocks")?.iter().map(|block| {
            let slot = text(block, "slot")?;
            let signed = |root| anyhow::Ok(statement(slot.parse()?, root)?.digest().to_string());
            let digest = block["signing_root"].as_str().map(signed).transpose()?;
            anyhow::Ok(SignedSlot { slot: slot.to_owned(), digest })
        });
        let signed_slots = slots.collect::<Result<_>>()?;
        let pubkey = text(row, "pubkey")?.to_owned();
        data.push(Row { pubkey, domain: Some(DOMAIN.to_string()), signed_slots, ..Row::default() });
    }
    let chain_id = text(&interchange["metadata"], "genesis_validators_root")?.to_owned();
    let metadata = Metadata { interchange_format_version: VERSION.to_owned(), chain_id };
    Ok((Interchange { metadata, data }, left_out))
}

/// A statement of ours for a block: its number is the slot, and the root stands in it.
fn statement(slot: u64, root: &str) -> Result<Numbered> {
    Ok(Numbered::Claim(Claim {
        number: slot,
        epoch: Epoch::new(1),
        vault: VaultId { txid: Hash::ZERO, output: 0 },
        operator: OperatorId::ZERO,
        sats: Sats::new(1),
        until: 1,
        block: root.parse()?,
        height: 1,
        revoked: false,
    }))
}

const DOMAIN: Domain = Domain::new([3; 32]);
const NO_ROOT: &str = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
/// Why cases of the beacon chain's attestations do not apply.
const ATTESTATIONS: &str = "attestations of the beacon chain only: they span two epochs and may surround each other; no statement of ours spans slots";
