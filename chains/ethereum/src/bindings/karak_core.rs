//! Views and events of Karak's core for whoever looks at all of it. None of the events is indexed.

alloy::sol! {
    #[derive(Debug, PartialEq, Eq)]
    interface Core {
        struct SlashRequest {
            address operator;
            uint96[] slashPercentagesWad;
            address[] vaults;
        }

        event DSSRegistered(address dss, uint256 maxSlashablePercentageWad);
        event RegisteredOperatorToDSS(address operator, address dss);
        event RequestedSlashing(address dss, SlashRequest request);

        function isDSSRegistered(address dss) external view returns (bool);
        function isOperatorRegisteredToDSS(address operator, address dss) external view returns (bool);
        function getOperatorVaults(address operator) external view returns (address[] memory);
        function fetchVaultsStakedInDSS(address operator, address dss) external view returns (address[] memory);
        function isVaultQueuedForSlashing(address vault) external view returns (bool);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Vault {
        function asset() external view returns (address);
        function totalAssets() external view returns (uint256);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
    }
}
