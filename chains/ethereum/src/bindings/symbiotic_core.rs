//! Views of Symbiotic's core 1 for whoever looks at all of it.

alloy::sol! {
    #[derive(Debug, PartialEq, Eq)]
    interface Registry {
        function isEntity(address account) external view returns (bool);
        function totalEntities() external view returns (uint256);
        function entity(uint256 index) external view returns (address);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Middlewares {
        function middleware(address network) external view returns (address);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface OptIns {
        function WHO_REGISTRY() external view returns (address);
        function WHERE_REGISTRY() external view returns (address);
        function isOptedIn(address who, address where) external view returns (bool);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Vault {
        function version() external view returns (uint64);
        function collateral() external view returns (address);
        function burner() external view returns (address);
        function delegator() external view returns (address);
        function slasher() external view returns (address);
        function epochDuration() external view returns (uint48);
        function currentEpoch() external view returns (uint256);
        function nextEpochStart() external view returns (uint48);
        function activeStake() external view returns (uint256);
        function totalStake() external view returns (uint256);
        function withdrawals(uint256 epoch) external view returns (uint256);
        function slashableBalanceOf(address account) external view returns (uint256);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Delegator {
        function TYPE() external view returns (uint64);
        function OPERATOR_VAULT_OPT_IN_SERVICE() external view returns (address);
        function OPERATOR_NETWORK_OPT_IN_SERVICE() external view returns (address);
        function NETWORK_REGISTRY() external view returns (address);
        function hook() external view returns (address);
        function maxNetworkLimit(bytes32 subnetwork) external view returns (uint256);
        function stake(bytes32 subnetwork, address operator) external view returns (uint256);
        /// Kinds 0 to 2.
        function networkLimit(bytes32 subnetwork) external view returns (uint256);
        /// Kinds 2 and 3.
        function operator() external view returns (address);
        /// Kind 3.
        function network() external view returns (address);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Slasher {
        function TYPE() external view returns (uint64);
        function NETWORK_MIDDLEWARE_SERVICE() external view returns (address);
        function latestSlashedCaptureTimestamp(bytes32 subnetwork, address operator) external view returns (uint48);
        function cumulativeSlash(bytes32 subnetwork, address operator) external view returns (uint256);
        function slashableStake(bytes32 subnetwork, address operator, uint48 capture, bytes hints)
            external view returns (uint256);
        /// Kind 1.
        function vetoDuration() external view returns (uint48);
        function resolver(bytes32 subnetwork, bytes hint) external view returns (address);
        function slashRequestsLength() external view returns (uint256);
        function slashRequests(uint256 index) external view returns (
            bytes32 subnetwork, address operator, uint256 amount, uint48 capture, uint48 vetoDeadline, bool completed
        );
    }
}
