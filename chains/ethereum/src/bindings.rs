//! The contracts' ABIs: ours from the checked-in artifacts, EigenLayer's by hand and only as far as it is used.

#![allow(missing_docs, clippy::too_many_arguments)]

pub(crate) mod core;
pub(crate) mod karak_core;
pub(crate) mod lrt;
pub(crate) mod price;
pub(crate) mod symbiotic_core;

/// Palisade.sol.
pub mod palisade {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Palisade,
        "contracts/artifacts/Palisade.json"
    }
}

/// Committee.sol.
pub mod committee {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Committee,
        "contracts/artifacts/Committee.json"
    }
}

/// BitcoinVaults.sol.
pub mod vaults {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        BitcoinVaults,
        "contracts/artifacts/BitcoinVaults.json"
    }
}

/// Orders.sol.
pub mod orders {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Orders,
        "contracts/artifacts/Orders.json"
    }
}

/// EigenLayerAdapter.sol.
pub mod adapter {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        EigenLayerAdapter,
        "contracts/artifacts/EigenLayerAdapter.json"
    }
}

/// The views of EigenLayer that hold in cores 1.3 to 1.13 with the same selectors.
pub mod eigenlayer {
    alloy::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct OperatorSet {
            address avs;
            uint32 id;
        }

        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        interface AllocationManager {
            struct Allocation {
                uint64 currentMagnitude;
                int128 pendingDiff;
                uint32 effectBlock;
            }

            event OperatorRemovedFromOperatorSet(address indexed operator, OperatorSet operatorSet);

            function DEALLOCATION_DELAY() external view returns (uint32);
            function isOperatorSet(OperatorSet operatorSet) external view returns (bool);
            function getStrategiesInOperatorSet(OperatorSet operatorSet) external view returns (address[] memory);
            function getMembers(OperatorSet operatorSet) external view returns (address[] memory);
            function isMemberOfOperatorSet(address operator, OperatorSet operatorSet) external view returns (bool);
            function getMaxMagnitudes(address[] operators, address strategy) external view returns (uint64[] memory);
            function getAllocations(address[] operators, OperatorSet operatorSet, address strategy)
                external view returns (Allocation[] memory);
            function getMinimumSlashableStake(
                OperatorSet operatorSet, address[] operators, address[] strategies, uint32 futureBlock
            ) external view returns (uint256[][] memory);
            /// Cores 1.5 and later.
            function isRedistributingOperatorSet(OperatorSet operatorSet) external view returns (bool);
            function getRedistributionRecipient(OperatorSet operatorSet) external view returns (address);
            function getSlashCount(OperatorSet operatorSet) external view returns (uint256);
            /// Cores 1.9 and later.
            function getSlasher(OperatorSet operatorSet) external view returns (address);
        }

        #[sol(rpc)]
        interface StrategyManager {
            /// Cores 1.5 and later.
            function getBurnOrRedistributableShares(OperatorSet operatorSet, uint256 slashId)
                external view returns (address[] memory strategies, uint256[] memory shares);
            /// Cores 1.13 and later.
            function getSlashResolutionBlock(OperatorSet operatorSet, uint256 slashId) external view returns (uint32);
        }

        #[sol(rpc)]
        interface DelegationManager {
            event OperatorSharesDecreased(address indexed operator, address staker, address strategy, uint256 shares);

            function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256);
            function strategyManager() external view returns (address);
            function getOperatorsShares(address[] operators, address[] strategies)
                external view returns (uint256[][] memory);
        }
    }
}

/// SymbioticAdapter.sol.
pub mod symbiotic_adapter {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        SymbioticAdapter,
        "contracts/artifacts/SymbioticAdapter.json"
    }
}

/// What of Symbiotic's cores is asked beside what our adapter asks of it.
pub mod symbiotic {
    alloy::sol! {
        #[sol(rpc)]
        interface Factory {
            function isEntity(address account) external view returns (bool);
        }
        #[sol(rpc)]
        interface MiddlewareService {
            function middleware(address network) external view returns (address);
        }
        #[sol(rpc)]
        interface Vault {
            function version() external view returns (uint64);
            function slasher() external view returns (address);
        }
        #[sol(rpc)]
        interface VetoSlasher {
            function slashRequests(uint256 index) external view returns (
                bytes32 subnetwork, address operator, uint256 amount, uint48 capture, uint48 vetoDeadline, bool completed
            );
        }
        /// Core 2's stake of one operator in one subnetwork.
        #[sol(rpc)]
        interface AppAdapter {
            function vault() external view returns (address);
            function slash(uint256 amount) external;
        }
    }
}

/// KarakAdapter.sol.
pub mod karak_adapter {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        KarakAdapter,
        "contracts/artifacts/KarakAdapter.json"
    }
}

/// The part of Karak's core and vaults that is used; of `finalizeSlashing` a core has one.
pub mod karak {
    alloy::sol! {
        #[sol(rpc)]
        interface Core {
            #[derive(Default)]
            struct QueuedSlashing {
                address dss;
                uint96 timestamp;
                address operator;
                address[] vaults;
                uint96[] slashPercentagesWad;
                uint256 nonce;
            }

            #[derive(Default)]
            struct EarmarkedSlashing {
                address dss;
                uint96 timestamp;
                address operator;
                address[] vaults;
                uint256[] earmarkedStakes;
                uint256 nonce;
            }

            struct StakeUpdateRequest {
                address vault;
                address dss;
                bool toStake;
            }

            struct QueuedStakeUpdate {
                uint48 nonce;
                uint48 startTimestamp;
                address operator;
                StakeUpdateRequest updateRequest;
            }

            event RequestedStakeUpdate(QueuedStakeUpdate update);
            event FinishedStakeUpdate(QueuedStakeUpdate update);

            function fetchVaultsStakedInDSS(address operator, address dss) external view returns (address[] memory);
            function finalizeSlashing(QueuedSlashing slashing) external;
            function finalizeSlashing(EarmarkedSlashing slashing) external;
        }

        #[sol(rpc)]
        interface Vault {
            function totalAssets() external view returns (uint256);
            function totalSupply() external view returns (uint256);
            function balanceOf(address account) external view returns (uint256);
        }
    }
}
