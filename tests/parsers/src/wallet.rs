//! What `palisade vault` takes back from a wallet, and the files of a plan.

use std::sync::LazyLock;

use bitcoin::secp256k1::{SECP256K1, SecretKey};
use bitcoin::{Amount, Network, PrivateKey, Psbt};
use palisade_bitcoin::expansion::FundingCoin;
use palisade_bitcoin::plan::{self, Choice, Plan};
use palisade_bitcoin::psbt::{self, Request};
use palisade_bitcoin::registration;
use palisade_bitcoin::vault::Held;
use palisade_bitcoin::witness;
use palisade_types::{Canonical as _, OperatorId, SchnorrKey};

use crate::stake::{elsewhere, secret};
use crate::vaults::STAND;

/// Everything that a staker may be asked to sign, and a plan that asks for it.
struct Asked {
    requests: Vec<Request>,
    choice: Choice,
    plan: Plan,
}

static ASKED: LazyLock<Asked> = LazyLock::new(|| {
    let stand = &*STAND;
    let vault = stand.presigned.vault();
    let withdrawal = |held| Request::withdrawal(vault, held, elsewhere(), Amount::from_sat(500)).expect("it pays");
    let change = Request::change(vault, 1, elsewhere(), Amount::from_sat(500)).expect("it pays");
    let rest = [Request::unbonding(&stand.presigned), withdrawal(Held::Staked), withdrawal(Held::Unbonding), change];
    let requests = Request::slashings(vault).into_iter().chain(rest).collect();
    let key = |key: &bitcoin::XOnlyPublicKey| SchnorrKey::new(key.serialize()).to_string();
    let providers: Vec<String> = vault.terms().providers().iter().map(key).collect();
    let keys = (&*key(&vault.terms().staker()), &*providers);
    let choice = Choice::new(&stand.versions, 5, OperatorId::new([9; 20]), keys, 1_000, &[1_000, 20_000]);
    let plan = Plan::read(&stand.whole.bare().to_bytes(), &stand.versions).expect("a plan is a registration");
    Asked { requests, choice: choice.expect("the terms are good"), plan }
});

/// A file that a wallet wrote: bytes or base64. A signature that is taken is one that holds, and what is funded is the transaction as it stands.
pub(crate) fn psbt(bytes: &[u8]) {
    let Ok(read) = psbt::read(bytes) else { return };
    assert_eq!(psbt::read(psbt::text(&read).as_bytes()).ok(), Some(read.clone()), "what was read is written");
    let Asked { requests, choice, plan } = &*ASKED;
    for request in requests {
        if let Ok(signature) = request.signature(&read) {
            assert!(witness::verify(&request.staker(), request.sighash(), &signature));
        }
    }
    if let Ok(index) = plan.clone().take(&read) {
        assert!(index < plan.requests().len());
    }
    if let Ok(plan) = choice.funded(&read) {
        assert_eq!(plan.id().txid.as_bytes(), AsRef::<[u8; 32]>::as_ref(&read.unsigned_tx.compute_txid()));
    }
    let _ = psbt::funding_witness(STAND.presigned.draft(), &read);
    if let Ok(transaction) = plan::finished(read, STAND.presigned.vault()) {
        assert_eq!(transaction.compute_txid(), STAND.presigned.vault().outpoint().txid);
    }
}

/// A plan's file. What is read is written again, and may be registered only when a voter would take it.
pub(crate) fn plan(bytes: &[u8]) {
    let versions = &STAND.versions;
    let Ok(plan) = Plan::read(bytes, versions) else { return };
    assert_eq!(plan.bytes(), bytes);
    assert!(plan.unsigned().iter().all(|index| *index < plan.requests().len()));
    if let Ok(registration) = plan.registration(None, versions) {
        assert!(plan.unsigned().is_empty() && registration::vault(registration, versions).is_ok());
    }
}

/// Seeds of PSBTs: asked, signed, finished, funded and not, bytes and base64.
pub(crate) fn psbt_seeds() -> Vec<Vec<u8>> {
    let Asked { requests, .. } = &*ASKED;
    let asked = requests.iter().map(|request| request.psbt(None));
    let signed = requests.iter().map(|request| signed(request.psbt(None)));
    let finished = requests.iter().map(|request| {
        let mut psbt = request.psbt(None);
        let signature = request.signature(&self::signed(psbt.clone())).expect("the wallet signs");
        psbt.inputs[0].final_script_witness = Some(request.complete(&signature).input[0].witness.clone());
        psbt
    });
    let funded = funded();
    let all: Vec<Psbt> = asked.chain(signed).chain(finished).chain([funded.clone()]).collect();
    let texts = all.iter().step_by(5).map(|psbt| psbt::text(psbt).into_bytes());
    all.iter().map(Psbt::serialize).chain(texts).collect()
}

/// A stake as a wallet funds it.
fn funded() -> Psbt {
    let stand = &*STAND;
    let mut staking = crate::vaults::staking();
    staking.input[0].witness.clear();
    let mut psbt = Psbt::from_unsigned_tx(staking).expect("no signatures");
    psbt.inputs[0].witness_utxo = Some(bitcoin::TxOut {
        value: Amount::from_sat(150_000_000),
        script_pubkey: stand.people.wallet.script_pubkey(),
    });
    psbt
}

fn signed(mut psbt: Psbt) -> Psbt {
    let key = SecretKey::from_slice(&*secret(1).to_bytes()).expect("a key");
    let key = PrivateKey::new(key, Network::Regtest);
    let name = key.public_key(SECP256K1).inner.x_only_public_key().0;
    let _ = psbt.sign(&std::collections::HashMap::from([(name, key)]), SECP256K1);
    psbt
}

/// Seeds of plans: nothing signed, everything signed, and one that grows out of another.
pub(crate) fn plan_seeds() -> Vec<Vec<u8>> {
    let stand = &*STAND;
    let coin = FundingCoin {
        outpoint: bitcoin::OutPoint { txid: stand.presigned.vault().outpoint().txid, vout: 1 },
        output: bitcoin::TxOut { value: Amount::from_sat(1_000_000), script_pubkey: elsewhere() },
    };
    let grown = ASKED.choice.expanding(&stand.presigned, &coin, None, 2).expect("it pays");
    vec![stand.whole.bare().to_bytes(), stand.whole.to_bytes(), grown.bytes()]
}
