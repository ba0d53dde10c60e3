//! The Taproot scripts of a stake.
//!
//! A stake is one Taproot output without a usable key path. Its tree holds three leaves, as in Babylon's staking script
//! specification, so that a wallet that stakes there can stake here:
//!
//! - **timelock**: the staker alone, after `staking_time` blocks;
//! - **unbonding**: the staker and a quorum of the covenant, at once;
//! - **slashing**: the staker, one of the finality providers and a quorum of the covenant.
//!
//! The unbonding output holds timelock (with `unbonding_time`) and slashing; the change of a slashing transaction holds the timelock only.
//! Key lists are sorted, because the order of keys in a script decides the address: two people who agree on the set must meet at the same one.

use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CHECKSIGADD, OP_CHECKSIGVERIFY, OP_CSV, OP_NUMEQUAL, OP_NUMEQUALVERIFY};
use bitcoin::script::Builder;
use bitcoin::secp256k1::{SECP256K1, XOnlyPublicKey};
use bitcoin::taproot::{ControlBlock, LeafVersion, TaprootBuilder, TaprootSpendInfo};
use bitcoin::{ScriptBuf, TapLeafHash};
use palisade_types::vault::{MAX_COVENANT, MAX_PROVIDERS};

/// The point nobody knows the logarithm of (BIP-341's H): the internal key of every output, so that no key path exists.
pub(crate) const UNSPENDABLE: [u8; 32] = [
    0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e, 0x07, 0x8a, 0x5a,
    0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
];

/// Who stakes, behind whom, watched by which covenant, for how long. Only [`StakingTerms::new`] makes one, with its lists
/// sorted and without repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StakingTerms {
    staker: XOnlyPublicKey,
    providers: Vec<XOnlyPublicKey>,
    covenant: Vec<XOnlyPublicKey>,
    quorum: u16,
    staking_time: u16,
    unbonding_time: u16,
}

/// Why terms cannot become a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// A list of keys is empty or longer than its limit.
    #[error("the {list} list has {count} keys, allowed are 1 to {limit}")]
    KeyCount {
        /// Which list.
        list: &'static str,
        /// How many keys it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The quorum is zero or larger than the covenant.
    #[error("a quorum of {quorum} is not possible in a covenant of {members}")]
    Quorum {
        /// The quorum asked for.
        quorum: u16,
        /// The members there are.
        members: usize,
    },
    /// One key stands twice, within a list or in two roles.
    #[error("key {0} appears more than once")]
    Repeated(XOnlyPublicKey),
    /// A lock of zero blocks is no lock.
    #[error("a timelock of zero blocks")]
    NoTime,
}

impl StakingTerms {
    /// Checks the terms and sorts their lists. Times are in blocks.
    ///
    /// # Errors
    ///
    /// [`TermsError`]: every variant means that no output with these terms may count.
    pub fn new(
        staker: XOnlyPublicKey,
        mut providers: Vec<XOnlyPublicKey>,
        mut covenant: Vec<XOnlyPublicKey>,
        quorum: u16,
        staking_time: u16,
        unbonding_time: u16,
    ) -> Result<Self, TermsError> {
        bound("provider", &providers, MAX_PROVIDERS)?;
        bound("covenant", &covenant, MAX_COVENANT)?;
        if quorum == 0 || usize::from(quorum) > covenant.len() {
            return Err(TermsError::Quorum { quorum, members: covenant.len() });
        }
        if staking_time == 0 || unbonding_time == 0 {
            return Err(TermsError::NoTime);
        }
        providers.sort_unstable_by_key(XOnlyPublicKey::serialize);
        covenant.sort_unstable_by_key(XOnlyPublicKey::serialize);
        distinct(staker, &providers, &covenant)?;
        Ok(Self { staker, providers, covenant, quorum, staking_time, unbonding_time })
    }

    /// The owner of the coins.
    pub fn staker(&self) -> XOnlyPublicKey {
        self.staker
    }

    /// The finality providers, ascending: any one of them can be the cause of a slash.
    pub fn providers(&self) -> &[XOnlyPublicKey] {
        &self.providers
    }

    /// The covenant's members, ascending.
    pub fn covenant(&self) -> &[XOnlyPublicKey] {
        &self.covenant
    }

    /// How many covenant members must sign: exactly as many, as the script compares for equality.
    pub fn quorum(&self) -> u16 {
        self.quorum
    }

    /// Blocks until the staker can take the stake back alone.
    pub fn staking_time(&self) -> u16 {
        self.staking_time
    }

    /// Blocks until the staker can take an unbonded stake, or the change of a slash.
    pub fn unbonding_time(&self) -> u16 {
        self.unbonding_time
    }

    /// The output that holds the stake.
    pub fn staking_output(&self) -> StakingOutput {
        StakingOutput::new(self)
    }

    /// The output that the unbonding transaction pays.
    pub fn unbonding_output(&self) -> UnbondingOutput {
        UnbondingOutput::new(self)
    }

    /// The output that a slashing transaction gives back to the staker.
    pub fn change_output(&self) -> ChangeOutput {
        ChangeOutput::new(self)
    }
}

fn bound(list: &'static str, keys: &[XOnlyPublicKey], limit: usize) -> Result<(), TermsError> {
    if keys.is_empty() || keys.len() > limit {
        return Err(TermsError::KeyCount { list, count: keys.len(), limit });
    }
    Ok(())
}

fn distinct(
    staker: XOnlyPublicKey,
    providers: &[XOnlyPublicKey],
    covenant: &[XOnlyPublicKey],
) -> Result<(), TermsError> {
    let mut keys: Vec<_> = std::iter::once(&staker).chain(providers).chain(covenant).copied().collect();
    keys.sort_unstable_by_key(XOnlyPublicKey::serialize);
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(TermsError::Repeated(pair[0])),
        None => Ok(()),
    }
}

/// One way to spend an output: the script, and the proof that the output commits to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The script.
    pub script: ScriptBuf,
    /// The proof, last item of a witness.
    pub control_block: ControlBlock,
}

impl Leaf {
    fn of(tree: &TaprootSpendInfo, script: ScriptBuf) -> Self {
        let key = (script, LeafVersion::TapScript);
        let control_block = tree.control_block(&key).expect("the tree was built with this script");
        Self { script: key.0, control_block }
    }

    /// What a signature for this leaf commits to.
    pub fn hash(&self) -> TapLeafHash {
        TapLeafHash::from_script(&self.script, LeafVersion::TapScript)
    }
}

/// The output that holds a stake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StakingOutput {
    /// The staker alone, after the staking time.
    pub timelock: Leaf,
    /// The staker and the covenant.
    pub unbonding: Leaf,
    /// The staker, a finality provider and the covenant.
    pub slashing: Leaf,
    /// The output's script.
    pub script_pubkey: ScriptBuf,
}

impl StakingOutput {
    fn new(terms: &StakingTerms) -> Self {
        let timelock = timelock_script(terms.staker, terms.staking_time);
        let unbonding = unbonding_script(terms.staker, &terms.covenant, terms.quorum);
        let slashing = slashing_script(terms.staker, &terms.providers, &terms.covenant, terms.quorum);
        let tree = tree(&[(2, &timelock), (2, &unbonding), (1, &slashing)]);
        Self {
            timelock: Leaf::of(&tree, timelock),
            unbonding: Leaf::of(&tree, unbonding),
            slashing: Leaf::of(&tree, slashing),
            script_pubkey: ScriptBuf::new_p2tr_tweaked(tree.output_key()),
        }
    }
}

/// The output that the unbonding transaction pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnbondingOutput {
    /// The staker alone, after the unbonding time.
    pub timelock: Leaf,
    /// The staker, a finality provider and the covenant.
    pub slashing: Leaf,
    /// The output's script.
    pub script_pubkey: ScriptBuf,
}

impl UnbondingOutput {
    fn new(terms: &StakingTerms) -> Self {
        let timelock = timelock_script(terms.staker, terms.unbonding_time);
        let slashing = slashing_script(terms.staker, &terms.providers, &terms.covenant, terms.quorum);
        let tree = tree(&[(1, &timelock), (1, &slashing)]);
        Self {
            timelock: Leaf::of(&tree, timelock),
            slashing: Leaf::of(&tree, slashing),
            script_pubkey: ScriptBuf::new_p2tr_tweaked(tree.output_key()),
        }
    }
}

/// What a slashing transaction gives back: the staker alone, after the unbonding time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeOutput {
    /// The staker alone, after the unbonding time.
    pub timelock: Leaf,
    /// The output's script.
    pub script_pubkey: ScriptBuf,
}

impl ChangeOutput {
    fn new(terms: &StakingTerms) -> Self {
        let timelock = timelock_script(terms.staker, terms.unbonding_time);
        let tree = tree(&[(0, &timelock)]);
        Self { timelock: Leaf::of(&tree, timelock), script_pubkey: ScriptBuf::new_p2tr_tweaked(tree.output_key()) }
    }
}

/// The internal key of every output.
pub(crate) fn unspendable() -> XOnlyPublicKey {
    XOnlyPublicKey::from_slice(&UNSPENDABLE).expect("BIP-341's point is on the curve")
}

fn tree(leaves: &[(u8, &ScriptBuf)]) -> TaprootSpendInfo {
    leaves
        .iter()
        .try_fold(TaprootBuilder::new(), |builder, (depth, script)| builder.add_leaf(*depth, (*script).clone()))
        .expect("the depths of our three trees are those of complete trees")
        .finalize(SECP256K1, unspendable())
        .expect("a complete tree")
}

/// `<staker> CHECKSIGVERIFY <blocks> CHECKSEQUENCEVERIFY`.
pub(crate) fn timelock_script(staker: XOnlyPublicKey, blocks: u16) -> ScriptBuf {
    Builder::new()
        .push_x_only_key(&staker)
        .push_opcode(OP_CHECKSIGVERIFY)
        .push_int(i64::from(blocks))
        .push_opcode(OP_CSV)
        .into_script()
}

/// The staker, and then the covenant's quorum.
pub(crate) fn unbonding_script(staker: XOnlyPublicKey, covenant: &[XOnlyPublicKey], quorum: u16) -> ScriptBuf {
    let builder = Builder::new().push_x_only_key(&staker).push_opcode(OP_CHECKSIGVERIFY);
    threshold(builder, covenant, quorum, End::Result).into_script()
}

/// The staker, then one finality provider, then the covenant's quorum.
pub(crate) fn slashing_script(
    staker: XOnlyPublicKey,
    providers: &[XOnlyPublicKey],
    covenant: &[XOnlyPublicKey],
    quorum: u16,
) -> ScriptBuf {
    let builder = Builder::new().push_x_only_key(&staker).push_opcode(OP_CHECKSIGVERIFY);
    let builder = threshold(builder, providers, 1, End::Verify);
    threshold(builder, covenant, quorum, End::Result).into_script()
}

/// Whether a threshold's outcome stays on the stack or is checked at once.
#[derive(Clone, Copy)]
enum End {
    Result,
    Verify,
}

/// `<k1> CHECKSIG <k2> CHECKSIGADD … <threshold> NUMEQUAL`; a single key needs no counting.
fn threshold(builder: Builder, keys: &[XOnlyPublicKey], threshold: u16, end: End) -> Builder {
    let (single, several) = match end {
        End::Result => (OP_CHECKSIG, OP_NUMEQUAL),
        End::Verify => (OP_CHECKSIGVERIFY, OP_NUMEQUALVERIFY),
    };
    let (first, rest) = keys.split_first().expect("terms hold no empty list");
    if rest.is_empty() {
        return builder.push_x_only_key(first).push_opcode(single);
    }
    rest.iter()
        .fold(builder.push_x_only_key(first).push_opcode(OP_CHECKSIG), |builder, key| {
            builder.push_x_only_key(key).push_opcode(OP_CHECKSIGADD)
        })
        .push_int(i64::from(threshold))
        .push_opcode(several)
}
