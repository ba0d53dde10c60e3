// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAllocationManager, IDelegationManager, OperatorSet} from "../src/interfaces/IEigenLayer.sol";

/// @title An EigenLayer core of one operator set, which can misbehave
/// @dev The real core stands in deploy/devnet/tests; this one shows what a real one does not do on request.
contract FakeEigenLayer is IAllocationManager, IDelegationManager {
    error OperatorNotSlashable();
    error StrategyBroken(address strategy);

    mapping(address strategy => uint64) public current;
    mapping(address strategy => uint64) public maximum;
    mapping(address strategy => uint256) public shares;
    mapping(address strategy => uint256) public queued;
    string public metadataURI;
    address[] public setStrategies;
    uint256 public slashes;

    bool public down;
    bool public blind;
    bool public hungry;
    bool public answersLikeCore15;
    address public broken;

    function stake(address strategy, uint64 magnitude, uint256 inShares, uint256 inQueue) external {
        (current[strategy], maximum[strategy]) = (magnitude, 1e18);
        (shares[strategy], queued[strategy]) = (inShares, inQueue);
    }

    /// @dev Reverts every slash.
    function goDown(bool yes) external {
        down = yes;
    }

    /// @dev Accepts slashes and shows no loss.
    function goBlind(bool yes) external {
        blind = yes;
    }

    /// @dev Burns all the gas it is given.
    function goHungry(bool yes) external {
        hungry = yes;
    }

    /// @dev Reverts every slash of one strategy, and so of all beside it.
    function breakStrategy(address strategy) external {
        broken = strategy;
    }

    function answerLikeCore15(bool yes) external {
        answersLikeCore15 = yes;
    }

    function updateAVSMetadataURI(address, string calldata uri) external {
        metadataURI = uri;
    }

    function createOperatorSets(address, CreateSetParams[] calldata params) external {
        require(bytes(metadataURI).length > 0 && params.length == 1 && params[0].operatorSetId == 0, "wrong set");
        setStrategies = params[0].strategies;
    }

    function slashOperator(address avs, SlashingParams calldata params) external {
        require(msg.sender == avs, "not the slasher");
        if (down) revert OperatorNotSlashable();
        while (hungry) ++slashes;
        ++slashes;
        for (uint256 i = 0; i < params.strategies.length; ++i) {
            address strategy = params.strategies[i];
            require(i == 0 || params.strategies[i - 1] < strategy, "not ascending");
            require(current[strategy] > 0, "would be skipped in silence");
            if (strategy == broken) revert StrategyBroken(strategy);
            if (!blind) take(strategy, params.wadsToSlash[i]);
        }
        if (answersLikeCore15) {
            assembly ("memory-safe") {
                mstore(0, 1)
                return(0, 32)
            }
        }
    }

    function take(address strategy, uint256 wad) private {
        uint64 taken = uint64((current[strategy] * wad + 1e18 - 1) / 1e18);
        uint64 left = maximum[strategy] - taken;
        shares[strategy] = shares[strategy] * left / maximum[strategy];
        queued[strategy] = queued[strategy] * left / maximum[strategy];
        (current[strategy], maximum[strategy]) = (current[strategy] - taken, left);
    }

    function getAllocation(address, OperatorSet calldata, address strategy) external view returns (Allocation memory) {
        return Allocation({currentMagnitude: current[strategy], pendingDiff: 0, effectBlock: 0});
    }

    function getMaxMagnitude(address, address strategy) external view returns (uint64) {
        return maximum[strategy];
    }

    function getMinimumSlashableStake(OperatorSet calldata, address[] calldata, address[] calldata list, uint32)
        external
        view
        returns (uint256[][] memory stakes)
    {
        stakes = new uint256[][](1);
        stakes[0] = new uint256[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            if (maximum[list[i]] == 0) continue;
            stakes[0][i] = shares[list[i]] * current[list[i]] / maximum[list[i]];
        }
    }

    function operatorShares(address, address strategy) external view returns (uint256) {
        return shares[strategy];
    }

    function getSlashableSharesInQueue(address, address strategy) external view returns (uint256) {
        return queued[strategy];
    }
}
