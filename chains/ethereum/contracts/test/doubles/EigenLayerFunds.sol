// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {OperatorSet} from "../../src/interfaces/IEigenLayer.sol";
import {EigenLayerDelegations} from "./EigenLayerDelegations.sol";
import {Lists} from "./Wad.sol";

/// @title A token, as far as a strategy needs it
interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// @title A double of EigenLayer's StrategyBase: shares of what it holds of one token
/// @dev 1e3 virtual shares and units keep the first depositor from owning the rate.
contract EigenLayerStrategy {
    error NewSharesZero();
    error OnlyStrategyManager();
    error OnlyUnderlyingToken();
    error WithdrawalAmountExceedsTotalDeposits();

    uint256 private constant OFFSET = 1e3;
    address public immutable strategyManager;
    IToken public immutable underlyingToken;
    uint256 public totalShares;

    constructor(IToken token) {
        (strategyManager, underlyingToken) = (msg.sender, token);
    }

    modifier onlyManager() {
        if (msg.sender != strategyManager) revert OnlyStrategyManager();
        _;
    }

    /// @dev The amount lies here already. What really arrived counts in the rate, not in the depositor's shares.
    function deposit(IToken token, uint256 amount) external onlyManager returns (uint256 shares) {
        if (address(token) != address(underlyingToken)) revert OnlyUnderlyingToken();
        uint256 before = OFFSET + underlyingToken.balanceOf(address(this)) - amount;
        shares = amount * (totalShares + OFFSET) / before;
        if (shares == 0) revert NewSharesZero();
        totalShares += shares;
    }

    function withdraw(address recipient, IToken token, uint256 shares) external onlyManager returns (uint256 amount) {
        if (address(token) != address(underlyingToken)) revert OnlyUnderlyingToken();
        if (shares > totalShares) revert WithdrawalAmountExceedsTotalDeposits();
        amount = sharesToUnderlyingView(shares);
        totalShares -= shares;
        require(underlyingToken.transfer(recipient, amount), "transfer");
    }

    function sharesToUnderlyingView(uint256 shares) public view returns (uint256) {
        return (underlyingToken.balanceOf(address(this)) + OFFSET) * shares / (totalShares + OFFSET);
    }
}

/// @title A double of EigenLayer's StrategyManager as it is in cores 1.9 to 1.12, which makes strategies too
/// @notice What a slash took waits here by operator set and slash, until anybody clears it to the burn address or to the
/// set's recipient. See EigenLayerAllocations.
contract EigenLayerFunds {
    using Lists for address[];

    /// @dev What one slash took and nobody cleared.
    struct Taken {
        address[] strategies;
        mapping(address strategy => uint256) shares;
    }

    error OnlyDelegationManager();
    error SharesAmountTooHigh();
    error SharesAmountZero();
    error StrategyNotWhitelisted();

    event BurnOrRedistributableSharesDecreased(
        OperatorSet operatorSet, uint256 slashId, address strategy, uint256 shares
    );
    event BurnOrRedistributableSharesIncreased(
        OperatorSet operatorSet, uint256 slashId, address strategy, uint256 shares
    );
    event Deposit(address staker, address strategy, uint256 shares);

    EigenLayerDelegations public immutable delegation;
    mapping(address token => address) public deployedStrategies;
    mapping(address staker => mapping(address strategy => uint256)) public stakerDepositShares;
    mapping(address strategy => bool) private _whitelisted;
    mapping(address staker => address[]) private _staked;
    mapping(bytes32 slash => Taken) private _taken;

    constructor(address delegation_) {
        delegation = EigenLayerDelegations(delegation_);
    }

    function deployNewStrategy(address token) external returns (address strategy) {
        strategy = address(new EigenLayerStrategy(IToken(token)));
        deployedStrategies[token] = strategy;
        _whitelisted[strategy] = true;
    }

    function depositIntoStrategy(address strategy, address token, uint256 amount) external returns (uint256 shares) {
        if (!_whitelisted[strategy]) revert StrategyNotWhitelisted();
        require(IToken(token).transferFrom(msg.sender, strategy, amount), "transferFrom");
        shares = EigenLayerStrategy(strategy).deposit(IToken(token), amount);
        (uint256 before, uint256 added) = _add(msg.sender, strategy, shares);
        delegation.increaseDelegatedShares(msg.sender, strategy, before, added);
    }

    modifier onlyDelegations() {
        if (msg.sender != address(delegation)) revert OnlyDelegationManager();
        _;
    }

    function addShares(address staker, address strategy, uint256 shares)
        external
        onlyDelegations
        returns (uint256 before, uint256 added)
    {
        return _add(staker, strategy, shares);
    }

    function _add(address staker, address strategy, uint256 shares) private returns (uint256 before, uint256 added) {
        if (shares == 0) revert SharesAmountZero();
        before = stakerDepositShares[staker][strategy];
        _staked[staker].add(strategy);
        stakerDepositShares[staker][strategy] = before + shares;
        emit Deposit(staker, strategy, shares);
        return (before, shares);
    }

    function removeDepositShares(address staker, address strategy, uint256 shares)
        external
        onlyDelegations
        returns (uint256 left)
    {
        if (shares == 0) revert SharesAmountZero();
        if (shares > stakerDepositShares[staker][strategy]) revert SharesAmountTooHigh();
        left = stakerDepositShares[staker][strategy] - shares;
        stakerDepositShares[staker][strategy] = left;
        if (left == 0) _staked[staker].remove(strategy);
    }

    function withdrawSharesAsTokens(address staker, address strategy, address token, uint256 shares)
        external
        onlyDelegations
    {
        EigenLayerStrategy(strategy).withdraw(staker, IToken(token), shares);
    }

    function getDeposits(address staker) external view returns (address[] memory strategies, uint256[] memory shares) {
        strategies = _staked[staker];
        shares = new uint256[](strategies.length);
        for (uint256 i = 0; i < shares.length; ++i) {
            shares[i] = stakerDepositShares[staker][strategies[i]];
        }
    }

    // ---- What slashes took

    function increaseBurnOrRedistributableShares(
        OperatorSet calldata set,
        uint256 slashId,
        address strategy,
        uint256 shares
    ) external onlyDelegations {
        Taken storage taken = _taken[_slash(set, slashId)];
        taken.strategies.add(strategy);
        taken.shares[strategy] += shares;
        emit BurnOrRedistributableSharesIncreased(set, slashId, strategy, shares);
        _slashed(set, slashId);
    }

    function _slashed(OperatorSet calldata set, uint256 slashId) internal virtual {}

    /// @notice Pays out what a slash took. Anybody may call.
    function clearBurnOrRedistributableShares(OperatorSet calldata set, uint256 slashId)
        external
        returns (uint256[] memory amounts)
    {
        _checkClearing(set, slashId);
        Taken storage taken = _taken[_slash(set, slashId)];
        address[] memory strategies = taken.strategies;
        amounts = new uint256[](strategies.length);
        address recipient = delegation.allocationManager().getRedistributionRecipient(set);
        for (uint256 i = 0; i < strategies.length; ++i) {
            uint256 shares = taken.shares[strategies[i]];
            delete taken.shares[strategies[i]];
            emit BurnOrRedistributableSharesDecreased(set, slashId, strategies[i], shares);
            EigenLayerStrategy strategy = EigenLayerStrategy(strategies[i]);
            if (shares > 0) amounts[i] = strategy.withdraw(recipient, strategy.underlyingToken(), shares);
        }
        delete taken.strategies;
    }

    function _checkClearing(OperatorSet calldata set, uint256 slashId) internal view virtual {}

    function getBurnOrRedistributableShares(OperatorSet calldata set, uint256 slashId)
        external
        view
        returns (address[] memory strategies, uint256[] memory shares)
    {
        Taken storage taken = _taken[_slash(set, slashId)];
        strategies = taken.strategies;
        shares = new uint256[](strategies.length);
        for (uint256 i = 0; i < shares.length; ++i) {
            shares[i] = taken.shares[strategies[i]];
        }
    }

    function _slash(OperatorSet calldata set, uint256 slashId) internal pure returns (bytes32) {
        return keccak256(abi.encode(set, slashId));
    }
}

/// @title The same in core 1.13: what a slash took can be cleared after its resolution block only
contract EigenLayerFunds113 is EigenLayerFunds {
    error SlashResolutionDelayNotElapsed();

    event SlashResolutionBlockSet(OperatorSet operatorSet, uint256 slashId, uint32 resolutionBlock);

    /// @dev A constant of 50,400 there; nobody mines that many on a test chain.
    uint32 public immutable SLASH_RESOLUTION_DELAY_BLOCKS;
    mapping(bytes32 slash => uint32) private _resolution;

    constructor(address delegation_, uint32 resolutionDelay) EigenLayerFunds(delegation_) {
        SLASH_RESOLUTION_DELAY_BLOCKS = resolutionDelay;
    }

    function _slashed(OperatorSet calldata set, uint256 slashId) internal override {
        if (_resolution[_slash(set, slashId)] != 0) return;
        uint32 resolution = uint32(block.number) + SLASH_RESOLUTION_DELAY_BLOCKS;
        _resolution[_slash(set, slashId)] = resolution;
        emit SlashResolutionBlockSet(set, slashId, resolution);
    }

    function _checkClearing(OperatorSet calldata set, uint256 slashId) internal view override {
        if (block.number <= _resolution[_slash(set, slashId)]) revert SlashResolutionDelayNotElapsed();
    }

    function getSlashResolutionBlock(OperatorSet calldata set, uint256 slashId) external view returns (uint32) {
        return _resolution[_slash(set, slashId)];
    }
}
