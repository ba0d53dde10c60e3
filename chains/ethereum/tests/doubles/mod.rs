//! Contracts of ours that stand for restaking protocols whose code no registry carries, deployed on an anvil.

use crate::eigenlayer::{
    ALLOCATION_CONFIGURATION_DELAY_BLOCKS, DEALLOCATION_DELAY_BLOCKS, EigenLayer, WITHDRAWAL_DELAY_BLOCKS,
};
use crate::sender::Sender;
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolConstructor;
use bindings::allocations::EigenLayerAllocations;
use bindings::delegations::EigenLayerDelegations;
pub(crate) use bindings::funds::EigenLayerFunds;
pub(crate) use bindings::funds113::EigenLayerFunds113;
pub(crate) use bindings::registrar::OpenRegistrar;
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

pub(crate) fn creation(code: &[u8], arguments: &impl SolConstructor) -> Vec<u8> {
    [code, &arguments.abi_encode()].concat()
}

/// As compiled and checked in beside the contracts' tests.
#[allow(missing_docs, clippy::too_many_arguments)]
mod bindings {
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
    pub(crate) mod registrar {
        alloy::sol!(OpenRegistrar, "contracts/test/artifacts/OpenRegistrar.json");
    }
    pub(crate) mod token {
        alloy::sol!(DevToken, "contracts/artifacts/DevToken.json");
    }
}
