//! Views of EigenLayer's core for whoever looks at all of it. What is marked with a version is not there before.

alloy::sol! {
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct OperatorSet {
        address avs;
        uint32 id;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Allocation {
        uint64 currentMagnitude;
        int128 pendingDiff;
        uint32 effectBlock;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Delegations {
        function allocationManager() external view returns (address);
        function strategyManager() external view returns (address);
        function eigenPodManager() external view returns (address);
        function beaconChainETHStrategy() external view returns (address);
        function minWithdrawalDelayBlocks() external view returns (uint32);
        function isOperator(address operator) external view returns (bool);
        function delegatedTo(address staker) external view returns (address);
        function getOperatorShares(address operator, address[] strategies) external view returns (uint256[] memory);
        function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256);
        function getDepositedShares(address staker)
            external view returns (address[] memory strategies, uint256[] memory shares);
        struct Withdrawal {
            address staker;
            address delegatedTo;
            address withdrawer;
            uint256 nonce;
            uint32 startBlock;
            address[] strategies;
            uint256[] scaledShares;
        }
        function getQueuedWithdrawals(address staker)
            external view returns (Withdrawal[] memory withdrawals, uint256[][] memory shares);
        function getWithdrawableShares(address staker, address[] strategies)
            external view returns (uint256[] memory withdrawable, uint256[] memory deposited);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Allocations {
        function DEALLOCATION_DELAY() external view returns (uint32);
        function version() external view returns (string memory);
        function getOperatorSetCount(address avs) external view returns (uint256);
        function isOperatorSet(OperatorSet operatorSet) external view returns (bool);
        function getAVSRegistrar(address avs) external view returns (address);
        function getMembers(OperatorSet operatorSet) external view returns (address[] memory);
        function getMemberCount(OperatorSet operatorSet) external view returns (uint256);
        function getStrategiesInOperatorSet(OperatorSet operatorSet) external view returns (address[] memory);
        function getAllocatedSets(address operator) external view returns (OperatorSet[] memory);
        function getRegisteredSets(address operator) external view returns (OperatorSet[] memory);
        function getAllocatedStrategies(address operator, OperatorSet operatorSet)
            external view returns (address[] memory);
        function getAllocation(address operator, OperatorSet operatorSet, address strategy)
            external view returns (Allocation memory);
        function getAllocations(address[] operators, OperatorSet operatorSet, address strategy)
            external view returns (Allocation[] memory);
        function getStrategyAllocations(address operator, address strategy)
            external view returns (OperatorSet[] memory sets, Allocation[] memory allocations);
        function getMaxMagnitude(address operator, address strategy) external view returns (uint64);
        function getEncumberedMagnitude(address operator, address strategy) external view returns (uint64);
        function getAllocatableMagnitude(address operator, address strategy) external view returns (uint64);
        function getAllocationDelay(address operator) external view returns (bool isSet, uint32 delay);
        function isOperatorSlashable(address operator, OperatorSet operatorSet) external view returns (bool);
        function getMinimumSlashableStake(
            OperatorSet operatorSet, address[] operators, address[] strategies, uint32 futureBlock
        ) external view returns (uint256[][] memory);
        /// 1.5.
        function isRedistributingOperatorSet(OperatorSet operatorSet) external view returns (bool);
        /// 1.5.
        function isOperatorRedistributable(address operator) external view returns (bool);
        /// 1.5; `0x...0E16E4` when slashed funds are burnt.
        function getRedistributionRecipient(OperatorSet operatorSet) external view returns (address);
        /// 1.5.
        function getSlashCount(OperatorSet operatorSet) external view returns (uint256);
        /// 1.9.
        function getSlasher(OperatorSet operatorSet) external view returns (address);
        /// 1.9.
        function getPendingSlasher(OperatorSet operatorSet)
            external view returns (address pendingSlasher, uint32 effectBlock);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Strategies {
        /// 1.5.
        function getBurnOrRedistributableShares(OperatorSet operatorSet, uint256 slashId)
            external view returns (address[] memory strategies, uint256[] memory shares);
        /// 1.13.
        function getSlashResolutionBlock(OperatorSet operatorSet, uint256 slashId) external view returns (uint32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Pods {
        function ownerToPod(address owner) external view returns (address);
        function beaconChainSlashingFactor(address owner) external view returns (uint64);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Pod {
        function lastCheckpointTimestamp() external view returns (uint64);
        function currentCheckpointTimestamp() external view returns (uint64);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Strategy {
        function underlyingToken() external view returns (address);
        function sharesToUnderlyingView(uint256 shares) external view returns (uint256);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Token {
        function symbol() external view returns (string memory);
        function decimals() external view returns (uint8);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
    }
}
