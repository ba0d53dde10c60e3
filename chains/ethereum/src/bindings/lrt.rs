//! What the four large liquid restaking tokens answer, as far as it is asked.

alloy::sol! {
    #[derive(Debug, PartialEq, Eq)]
    interface EtherFi {
        /// weETH.
        function getRate() external view returns (uint256);
        /// LiquidityPool: what its oracle reported of the ether outside.
        function totalValueOutOfLp() external view returns (uint128);
        function totalValueInLp() external view returns (uint128);
        function etherFiAdminContract() external view returns (address);
        /// EtherFiAdmin: the block that the last report in force is about.
        function lastHandledReportRefBlock() external view returns (uint32);
        /// StakingManager; each node owns a pod.
        event EtherFiNodeDeployed(address indexed etheFiNode);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Renzo {
        /// The rate provider.
        function getRate() external view returns (uint256);
        /// RestakeManager; the whole of it reverts when any operator delegator is undelegated.
        function calculateTVLs()
            external view returns (uint256[][] memory perToken, uint256[] memory perDelegator, uint256 total);
        function getOperatorDelegatorsLength() external view returns (uint256);
        function operatorDelegators(uint256 index) external view returns (address);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Kelp {
        /// LRTOracle: stored, written by a call that anybody may make.
        function rsETHPrice() external view returns (uint256);
        function getAssetPrice(address asset) external view returns (uint256);
        event RsETHPriceUpdate(uint256 newPrice, uint256 oldPrice);
        /// LRTDepositPool.
        function lrtConfig() external view returns (address);
        function getNodeDelegatorQueue() external view returns (address[] memory);
        function getTotalAssetDeposits(address asset) external view returns (uint256);
        /// LRTConfig.
        function getSupportedAssetList() external view returns (address[] memory);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Puffer {
        /// pufETH, an ERC-4626 vault.
        function convertToAssets(uint256 shares) external view returns (uint256);
        function totalAssets() external view returns (uint256);
        /// PufferOracle.
        function getLockedEthAmount() external view returns (uint256);
        /// PufferProtocol.
        function getModuleWeights() external view returns (bytes32[] memory);
        function getModuleAddress(bytes32 moduleName) external view returns (address);
    }
}
