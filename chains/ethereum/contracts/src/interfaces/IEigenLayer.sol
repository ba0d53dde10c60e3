// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice An operator set is named by the service that made it and a number of its own.
struct OperatorSet {
    address avs;
    uint32 id;
}

/// @title The part of EigenLayer's AllocationManager that Palisade uses
/// @dev Selectors are the same in cores 1.3 to 1.13. `slashOperator` answers nothing before 1.5 and a slash id
/// with shares since; it is declared without an answer, so that both are accepted.
interface IAllocationManager {
    struct SlashingParams {
        address operator;
        uint32 operatorSetId;
        address[] strategies;
        uint256[] wadsToSlash;
        string description;
    }

    struct Allocation {
        uint64 currentMagnitude;
        int128 pendingDiff;
        uint32 effectBlock;
    }

    struct CreateSetParams {
        uint32 operatorSetId;
        address[] strategies;
    }

    function updateAVSMetadataURI(address avs, string calldata metadataURI) external;

    /// @dev Since core 1.9 this form makes the service itself the set's slasher.
    function createOperatorSets(address avs, CreateSetParams[] calldata params) external;

    function slashOperator(address avs, SlashingParams calldata params) external;

    /// @dev Pending changes whose block has come are counted in.
    function getAllocation(address operator, OperatorSet calldata operatorSet, address strategy)
        external
        view
        returns (Allocation memory);

    function getMaxMagnitude(address operator, address strategy) external view returns (uint64);
}

/// @title The part of EigenLayer's DelegationManager that Palisade uses
interface IDelegationManager {
    /// @dev Shares that are delegated to the operator now.
    function operatorShares(address operator, address strategy) external view returns (uint256);

    /// @dev Shares that left the operator less than a withdrawal delay ago and can still be slashed.
    function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256);
}

/// @title What EigenLayer's AllocationManager asks of a service
interface IAVSRegistrar {
    function registerOperator(address operator, address avs, uint32[] calldata operatorSetIds, bytes calldata data)
        external;
    function deregisterOperator(address operator, address avs, uint32[] calldata operatorSetIds) external;
    function supportsAVS(address avs) external view returns (bool);
}
