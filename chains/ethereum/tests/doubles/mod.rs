//! Contracts of ours that stand for restaking protocols whose code no registry carries, deployed on an anvil.

use crate::eigenlayer::{
    ALLOCATION_CONFIGURATION_DELAY_BLOCKS, DEALLOCATION_DELAY_BLOCKS, EigenLayer, WITHDRAWAL_DELAY_BLOCKS,
};
use crate::sender::Sender;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolConstructor;
use bindings::allocations::EigenLayerAllocations;
use bindings::delegations::EigenLayerDelegations;
pub(crate) use bindings::funds::EigenLayerFunds;
pub(crate) use bindings::funds113::EigenLayerFunds113;
use bindings::karak::KarakCore;
use bindings::karak_audited::KarakCoreAudited;
use bindings::odd_token::OddToken;
use bindings::token::DevToken;

/// Blocks that the double of core 1.13 waits before what a slash took can be paid out; 50,400 in the real one.
pub(crate) const RESOLUTION_DELAY_BLOCKS: u32 = 30;

/// Deploys the double of a core 1.9, or with `resolves` of a core 1.13, with devnet's delays, a token and its strategy.
pub(crate) async fn deploy_eigenlayer(endpoint: &str, deployer: &PrivateKeySigner, resolves: bool) -> EigenLayer {
    let sender = Sender::new(endpoint, deployer).unwrap();
    let nonce = sender.nonce().await.unwrap();
    let [allocations, delegations, funds] = [0, 1, 2].map(|step| deployer.address().create(nonce + step));
    let mut plan = sender.plan().await.unwrap();
    let arguments = EigenLayerAllocations::constructorCall {
        delegation_: delegations,
        deallocationDelay: DEALLOCATION_DELAY_BLOCKS,
        allocationConfigurationDelay: ALLOCATION_CONFIGURATION_DELAY_BLOCKS,
    };
    plan.create("allocations", creation(&EigenLayerAllocations::BYTECODE, &arguments));
    let arguments =
        EigenLayerDelegations::constructorCall { funds, allocations, withdrawalDelay: WITHDRAWAL_DELAY_BLOCKS };
    plan.create("delegations", creation(&EigenLayerDelegations::BYTECODE, &arguments));
    if resolves {
        let arguments =
            EigenLayerFunds113::constructorCall { delegation_: delegations, resolutionDelay: RESOLUTION_DELAY_BLOCKS };
        plan.create("funds", creation(&EigenLayerFunds113::BYTECODE, &arguments));
    } else {
        let arguments = EigenLayerFunds::constructorCall { delegation_: delegations };
        plan.create("funds", creation(&EigenLayerFunds::BYTECODE, &arguments));
    }
    let token = plan.create("token", DevToken::BYTECODE.to_vec());
    plan.call("deployNewStrategy", funds, &EigenLayerFunds::deployNewStrategyCall { token });
    sender.send(plan).await.unwrap();
    let missing = u64::from(WITHDRAWAL_DELAY_BLOCKS) + 2; // as in a real core, which counts back from the block
    sender.provider.raw_request::<_, Option<bool>>("anvil_mine".into(), [U256::from(missing)]).await.unwrap();
    let strategy = EigenLayerFunds::new(funds, &sender.provider).deployedStrategies(token).call().await.unwrap();
    EigenLayer {
        allocation_manager: allocations,
        delegation_manager: delegations,
        strategy_manager: funds,
        eigen_pod_manager: Address::ZERO,
        permission_controller: Address::ZERO,
        strategy_factory: funds,
        token,
        strategy,
    }
}

/// The creation of a token that anybody can mint.
pub(crate) fn token() -> Vec<u8> {
    DevToken::BYTECODE.to_vec()
}

/// Where a Karak stands, with one vault of one operator.
pub(crate) struct Karak {
    pub(crate) core: Address,
    pub(crate) token: Address,
    pub(crate) vault: Address,
}

/// Nine days until stake can leave, two for a veto and between requests: Karak's own constants.
pub(crate) const UNSTAKE_SECONDS: u64 = 9 * 86_400;
pub(crate) const VETO_SECONDS: u64 = 2 * 86_400;

/// Deploys the double of Karak's Core, of the deployed generation or the audited one, with a token and a vault of `operator`'s.
pub(crate) async fn deploy_karak(
    endpoint: &str,
    deployer: &PrivateKeySigner,
    operator: &PrivateKeySigner,
    audited: bool,
) -> Karak {
    let sender = Sender::new(endpoint, deployer).unwrap();
    let mut plan = sender.plan().await.unwrap();
    let seconds = |seconds: u64| alloy::primitives::aliases::U48::from(seconds);
    let code = if audited {
        let arguments = KarakCoreAudited::constructorCall {
            stakeUpdateDelay_: seconds(UNSTAKE_SECONDS),
            vetoWindow_: seconds(VETO_SECONDS),
            cooldown_: seconds(VETO_SECONDS),
            vetoCommittee_: deployer.address(),
        };
        creation(&KarakCoreAudited::BYTECODE, &arguments)
    } else {
        let arguments = KarakCore::constructorCall {
            stakeUpdateDelay_: seconds(UNSTAKE_SECONDS),
            vetoWindow_: seconds(VETO_SECONDS),
            cooldown_: seconds(VETO_SECONDS),
            vetoCommittee_: deployer.address(),
        };
        creation(&KarakCore::BYTECODE, &arguments)
    };
    let core = plan.create("Karak's Core", code);
    let token = plan.create("token", OddToken::BYTECODE.to_vec());
    sender.send(plan).await.unwrap();
    let sender = Sender::new(endpoint, operator).unwrap();
    let mut plan = sender.plan().await.unwrap();
    plan.call("deployVault", core, &KarakCore::deployVaultCall { asset: token });
    sender.send(plan).await.unwrap();
    let vaults = KarakCore::new(core, &sender.provider).getOperatorVaults(operator.address()).call().await.unwrap();
    Karak { core, token, vault: vaults[0] }
}

pub(crate) fn creation(code: &[u8], arguments: &impl SolConstructor) -> Vec<u8> {
    [code, &arguments.abi_encode()].concat()
}

/// Creation code that logs `data` under the topics and leaves no code: anybody can say anything.
pub(crate) fn logging(topics: &[B256], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let mut code = Vec::new();
    for topic in topics.iter().rev() {
        code.push(0x7f); // PUSH32
        code.extend_from_slice(topic.as_slice());
    }
    let log = 0xa0 + u8::try_from(topics.len()).unwrap();
    // The size and place of what is logged; the size, origin and place of what is copied: CODECOPY, LOG, STOP.
    code.extend_from_slice(&[0x61, length[0], length[1], 0x60, 0x00, 0x61, length[0], length[1]]);
    let origin = u16::try_from(code.len() + 8).unwrap().to_be_bytes();
    code.extend_from_slice(&[0x61, origin[0], origin[1], 0x60, 0x00, 0x39, log, 0x00]);
    code.extend_from_slice(data);
    code
}

/// As compiled and checked in beside the contracts' tests.
#[allow(missing_docs, clippy::too_many_arguments)]
pub(crate) mod bindings {
    pub(crate) mod allocations {
        alloy::sol!(EigenLayerAllocations, "contracts/test/artifacts/EigenLayerAllocations.json");
    }
    pub(crate) mod delegations {
        alloy::sol!(EigenLayerDelegations, "contracts/test/artifacts/EigenLayerDelegations.json");
    }
    pub(crate) mod funds {
        alloy::sol! {
            #[sol(rpc)]
            #[derive(Debug)]
            EigenLayerFunds,
            "contracts/test/artifacts/EigenLayerFunds.json"
        }
    }
    pub(crate) mod funds113 {
        alloy::sol! {
            #[sol(rpc)]
            #[derive(Debug)]
            EigenLayerFunds113,
            "contracts/test/artifacts/EigenLayerFunds113.json"
        }
    }
    pub(crate) mod karak {
        alloy::sol! {
            #[sol(rpc)]
            #[derive(Debug)]
            KarakCore,
            "contracts/test/artifacts/KarakCore.json"
        }
    }
    pub(crate) mod karak_audited {
        alloy::sol!(KarakCoreAudited, "contracts/test/artifacts/KarakCoreAudited.json");
    }
    pub(crate) mod karak_vault {
        alloy::sol! {
            #[sol(rpc)]
            KarakVault,
            "contracts/test/artifacts/KarakVault.json"
        }
    }
    pub(crate) mod odd_token {
        alloy::sol!(OddToken, "contracts/test/artifacts/OddToken.json");
    }
    pub(crate) mod registrar {
        alloy::sol!(OpenRegistrar, "contracts/test/artifacts/OpenRegistrar.json");
    }
    pub(crate) mod token {
        alloy::sol!(DevToken, "contracts/artifacts/DevToken.json");
    }
}
