//! Registrations, covenant answers and spends of a vault that really stands.

use std::sync::LazyLock;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Script, Transaction};
use palisade_bitcoin::babylon::inspect::{Hints, inspect};
use palisade_bitcoin::babylon::leaf::LeafScript;
use palisade_bitcoin::babylon::parameters::Table;
use palisade_bitcoin::babylon::phase1;
use palisade_bitcoin::covenant::{Answer, Presigning};
use palisade_bitcoin::registration::{self, Presigned};
use palisade_bitcoin::vault::{Held, Versions};
use palisade_bitcoin::{check_registration, watch};
use palisade_types::vault::Spend;
use palisade_types::{Canonical, SchnorrKey, VaultRegistration};

use crate::stake::{People, versions};

/// A network, and a vault of which two of three members signed everything.
pub(crate) struct Stand {
    pub(crate) people: People,
    pub(crate) versions: Versions,
    pub(crate) presigned: Presigned,
    pub(crate) whole: VaultRegistration,
}

pub(crate) static STAND: LazyLock<Stand> = LazyLock::new(|| {
    let people = People::new(3, 2);
    let versions = versions(&[people.terms(2, 144, 101)]);
    let (presigned, whole) = people.presigned(&versions, 1_000, 2);
    Stand { people, versions, presigned, whole }
});

/// The rules that strangers' transactions are explained by.
static BBN_1: LazyLock<Table> = LazyLock::new(Table::bbn_1);

/// A registration: whatever of the real one is changed, it is refused, or means the same vault in the same block for the same operator.
pub(crate) fn registration(bytes: &[u8]) {
    let Ok(registration) = VaultRegistration::from_bytes(bytes) else { return };
    let Stand { people, versions, presigned, whole } = &*STAND;
    assert_eq!(registration.to_bytes(), bytes);
    let _ = registration::vault(&registration, versions);
    let provider = SchnorrKey::new(people.providers[0].public().to_bytes());
    let _ = check_registration(&registration, None, versions, &provider, false);
    if let Ok(id) = check_registration(&registration, None, versions, &provider, true) {
        assert_eq!(id, presigned.draft().id());
        assert_eq!((registration.operator, &registration.inclusion), (whole.operator, &whole.inclusion));
    }
}

/// A member's answer to the real registration: only members' answers count.
pub(crate) fn answer(bytes: &[u8]) {
    let Ok(answer) = Answer::from_bytes(bytes) else { return };
    let Stand { people, versions, whole, .. } = &*STAND;
    assert_eq!(answer.to_bytes(), bytes);
    let mut session = Presigning::open(whole, None, versions).expect("the registration is good");
    let member = answer.member;
    if session.take(answer).is_ok() {
        assert!(people.members.iter().any(|known| SchnorrKey::new(known.key().serialize()) == member));
    }
}

/// One byte for the output that is spent, then the spending transaction: everything that looks at spends, and at transactions of strangers.
pub(crate) fn spend(bytes: &[u8]) {
    let Some((held, bytes)) = bytes.split_first() else { return };
    if let Ok(report) = inspect(bytes, &BBN_1, &Hints::none()) {
        assert!(!report.txid.is_empty());
    }
    let Ok(mut transaction) = deserialize::<Transaction>(bytes) else { return };
    let vault = STAND.presigned.vault();
    for input in &mut transaction.input {
        if let Some(leaf) = input.witness.taproot_leaf_script() {
            read(leaf.script);
        }
    }
    let Some(input) = transaction.input.first_mut() else { return };
    let held = if held % 2 == 0 { Held::Staked } else { Held::Unbonding };
    input.previous_output = if held == Held::Staked { vault.outpoint() } else { vault.unbonded_outpoint() };
    let classified = watch::classify(vault, &transaction, false).expect("it spends the vault");
    assert!(classified.held == held && classified.input == 0);
    if let Spend::Slashed(_) = classified.spend {
        assert!(vault.slashing(transaction.compute_txid()).is_some());
    }
    if let Some(secret) = watch::exposed(&STAND.presigned, &transaction) {
        assert!(STAND.people.providers.iter().any(|provider| provider.public() == secret.public()));
    }
}

fn read(script: &Script) {
    if let Ok(leaf) = LeafScript::read(script) {
        assert_eq!(leaf.script(), *script);
    }
}

/// A table of Babylon's parameters, of either phase: what is read obeys its own rules.
pub(crate) fn parameters(bytes: &[u8]) {
    if let Ok(table) = Table::read("fuzzed", bytes) {
        assert!(table.versions().iter().all(|version| version.check().is_ok()));
        assert_eq!(table.at(u32::MAX).ok(), table.versions().last());
    }
    if let Ok(versions) = phase1::read(bytes) {
        let _ = phase1::at(&versions, u32::MAX);
    }
}

/// Seeds of tables.
pub(crate) fn tables() -> Vec<Vec<u8>> {
    let data = [
        &include_bytes!("../../../chains/bitcoin/src/babylon/data/bbn-1.json")[..],
        include_bytes!("../../../chains/bitcoin/src/babylon/data/bbn-test-5.json"),
    ];
    data.map(<[u8]>::to_vec).into()
}

/// The staking transaction that everything here is about.
pub(crate) fn staking() -> Transaction {
    transaction(&STAND.whole.staking)
}

/// Seeds of the parser with this name.
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    let Stand { people, versions, presigned, whole } = &*STAND;
    match name {
        "registration" => vec![whole.to_bytes(), whole.bare().to_bytes()],
        "answer" => {
            let header = crate::stake::block_with(transaction(&whole.staking)).header;
            let answers = people.members.iter().map(|member| member.presign(whole, None, Some(&header), versions));
            answers.map(|answer| answer.expect("the registration is good").to_bytes()).collect()
        }
        _ => {
            let slashings = presigned.vault().slashings().iter().enumerate().flat_map(|(index, slashing)| {
                let slashed = presigned.slash(index, &people.providers[0]).expect("everybody signed");
                [spending(slashing.held, &slashed), spending(slashing.held, &slashing.transaction)]
            });
            let unbonding = people.wallet.unbond(presigned).expect("everybody signed");
            slashings.chain([spending(Held::Staked, &unbonding)]).collect()
        }
    }
}

fn spending(held: Held, transaction: &Transaction) -> Vec<u8> {
    [vec![u8::from(held == Held::Unbonding)], serialize(transaction)].concat()
}

fn transaction(bytes: &[u8]) -> Transaction {
    deserialize(bytes).expect("a registration that was checked holds transactions")
}
