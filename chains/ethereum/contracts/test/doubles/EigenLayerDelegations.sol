// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {OperatorSet} from "../../src/interfaces/IEigenLayer.sol";
import {EigenLayerAllocations} from "./EigenLayerAllocations.sol";
import {EigenLayerFunds} from "./EigenLayerFunds.sol";
import {History, Wad} from "./Wad.sol";

/// @title A double of EigenLayer's DelegationManager as it is since core 1.9
/// @notice Operators, stakers and the withdrawal queue, for strategies of tokens; without pods and approvers.
/// See EigenLayerAllocations.
contract EigenLayerDelegations {
    using Wad for uint256;
    using History for History.Entry[];

    struct SignatureWithExpiry {
        bytes signature;
        uint256 expiry;
    }

    struct QueuedWithdrawalParams {
        address[] strategies;
        uint256[] depositShares;
        address withdrawer;
    }

    struct Withdrawal {
        address staker;
        address delegatedTo;
        address withdrawer;
        uint256 nonce;
        uint32 startBlock;
        address[] strategies;
        uint256[] scaledShares;
    }

    error ActivelyDelegated();
    error CallerCannotUndelegate();
    error FullySlashed();
    error InputArrayLengthMismatch();
    error InputArrayLengthZero();
    error NotActivelyDelegated();
    error OnlyAllocationManager();
    error OnlyStrategyManagerOrEigenPodManager();
    error OperatorNotRegistered();
    error OperatorsCannotUndelegate();
    error WithdrawalDelayNotElapsed();
    error WithdrawalNotQueued();
    error WithdrawerNotCaller();

    event DepositScalingFactorUpdated(address staker, address strategy, uint256 newDepositScalingFactor);
    event OperatorRegistered(address indexed operator, address delegationApprover);
    event OperatorSharesDecreased(address indexed operator, address staker, address strategy, uint256 shares);
    event OperatorSharesIncreased(address indexed operator, address staker, address strategy, uint256 shares);
    event OperatorSharesSlashed(address indexed operator, address strategy, uint256 totalSlashedShares);
    event SlashingWithdrawalCompleted(bytes32 withdrawalRoot);
    event SlashingWithdrawalQueued(bytes32 withdrawalRoot, Withdrawal withdrawal, uint256[] sharesToWithdraw);
    event StakerDelegated(address indexed staker, address indexed operator);
    event StakerForceUndelegated(address indexed staker, address indexed operator);
    event StakerUndelegated(address indexed staker, address indexed operator);

    EigenLayerFunds public immutable strategyManager;
    EigenLayerAllocations public immutable allocationManager;
    uint32 public immutable minWithdrawalDelayBlocks;

    mapping(address staker => address) public delegatedTo;
    mapping(address operator => mapping(address strategy => uint256)) public operatorShares;
    mapping(address staker => uint256) public cumulativeWithdrawalsQueued;
    mapping(bytes32 root => bool) public pendingWithdrawals;
    mapping(bytes32 root => Withdrawal) private _withdrawals;
    mapping(address staker => bytes32[]) private _roots;
    mapping(address staker => mapping(address strategy => uint256)) private _factors;
    /// @dev Scaled shares that ever entered the queue.
    mapping(address operator => mapping(address strategy => History.Entry[])) private _queued;

    constructor(address funds, address allocations, uint32 withdrawalDelay) {
        strategyManager = EigenLayerFunds(funds);
        allocationManager = EigenLayerAllocations(allocations);
        minWithdrawalDelayBlocks = withdrawalDelay;
    }

    // ---- Delegation

    function registerAsOperator(address, uint32 allocationDelay, string calldata) external {
        if (isDelegated(msg.sender)) revert ActivelyDelegated();
        allocationManager.setAllocationDelay(msg.sender, allocationDelay);
        emit OperatorRegistered(msg.sender, address(0));
        _delegate(msg.sender, msg.sender);
    }

    function delegateTo(address operator, SignatureWithExpiry calldata, bytes32) external {
        if (isDelegated(msg.sender)) revert ActivelyDelegated();
        if (!isOperator(operator)) revert OperatorNotRegistered();
        _delegate(msg.sender, operator);
    }

    function _delegate(address staker, address operator) private {
        delegatedTo[staker] = operator;
        emit StakerDelegated(staker, operator);
        (address[] memory strategies, uint256[] memory shares) = strategyManager.getDeposits(staker);
        for (uint256 i = 0; i < strategies.length; ++i) {
            _increase(operator, staker, strategies[i], 0, shares[i]);
        }
    }

    function undelegate(address staker) external returns (bytes32[] memory roots) {
        if (!isDelegated(staker)) revert NotActivelyDelegated();
        if (isOperator(staker)) revert OperatorsCannotUndelegate();
        address operator = delegatedTo[staker];
        if (msg.sender != staker) {
            if (msg.sender != operator) revert CallerCannotUndelegate();
            emit StakerForceUndelegated(staker, operator);
        }
        delegatedTo[staker] = address(0);
        emit StakerUndelegated(staker, operator);
        (address[] memory strategies, uint256[] memory shares) = strategyManager.getDeposits(staker);
        roots = new bytes32[](strategies.length);
        for (uint256 i = 0; i < strategies.length; ++i) {
            (address[] memory one, uint256[] memory amount) = (new address[](1), new uint256[](1));
            (one[0], amount[0]) = (strategies[i], shares[i]);
            roots[i] = _queue(staker, operator, one, amount);
        }
    }

    function increaseDelegatedShares(address staker, address strategy, uint256 before, uint256 added) external {
        if (msg.sender != address(strategyManager)) revert OnlyStrategyManagerOrEigenPodManager();
        _increase(delegatedTo[staker], staker, strategy, before, added);
    }

    /// @dev The scaling factor takes out of later slashes what was lost before the deposit.
    function _increase(address operator, address staker, address strategy, uint256 before, uint256 added) private {
        uint256 max = allocationManager.getMaxMagnitude(operator, strategy);
        if (max == 0) revert FullySlashed();
        if (added == 0) return;
        uint256 factor = depositScalingFactor(staker, strategy);
        if (before == 0) {
            factor = factor.div(max);
        } else {
            uint256 withdrawable = before.mul(factor).mul(max);
            factor = (withdrawable + added).div(before + added).div(max);
        }
        _factors[staker][strategy] = factor;
        emit DepositScalingFactorUpdated(staker, strategy, factor);
        if (!isDelegated(staker)) return;
        operatorShares[operator][strategy] += added;
        emit OperatorSharesIncreased(operator, staker, strategy, added);
    }

    function _decrease(address operator, address staker, address strategy, uint256 shares) private {
        operatorShares[operator][strategy] -= shares;
        emit OperatorSharesDecreased(operator, staker, strategy, shares);
    }

    // ---- Withdrawals

    function queueWithdrawals(QueuedWithdrawalParams[] calldata params) external returns (bytes32[] memory roots) {
        roots = new bytes32[](params.length);
        for (uint256 i = 0; i < params.length; ++i) {
            if (params[i].strategies.length != params[i].depositShares.length) revert InputArrayLengthMismatch();
            roots[i] = _queue(msg.sender, delegatedTo[msg.sender], params[i].strategies, params[i].depositShares);
        }
    }

    /// @dev The operator loses the shares at once; the queue keeps them scaled, so that a slash meanwhile takes its part.
    function _queue(address staker, address operator, address[] memory strategies, uint256[] memory shares)
        private
        returns (bytes32 root)
    {
        if (strategies.length == 0) revert InputArrayLengthZero();
        (uint256[] memory scaled, uint256[] memory out) = (new uint256[](shares.length), new uint256[](shares.length));
        for (uint256 i = 0; i < shares.length; ++i) {
            address strategy = strategies[i];
            scaled[i] = shares[i].mul(depositScalingFactor(staker, strategy));
            out[i] = scaled[i].mul(allocationManager.getMaxMagnitude(operator, strategy));
            if (operator != address(0)) {
                History.Entry[] storage queued = _queued[operator][strategy];
                queued.push(queued.latest(0) + scaled[i]);
                _decrease(operator, staker, strategy, out[i]);
            }
            if (strategyManager.removeDepositShares(staker, strategy, shares[i]) == 0) {
                _factors[staker][strategy] = 0;
                emit DepositScalingFactorUpdated(staker, strategy, Wad.ONE);
            }
        }
        uint256 nonce = cumulativeWithdrawalsQueued[staker]++;
        Withdrawal memory withdrawal =
            Withdrawal(staker, operator, staker, nonce, uint32(block.number), strategies, scaled);
        root = keccak256(abi.encode(withdrawal));
        pendingWithdrawals[root] = true;
        _withdrawals[root] = withdrawal;
        _roots[staker].push(root);
        emit SlashingWithdrawalQueued(root, withdrawal, out);
    }

    /// @dev Slashable through the delay's last block, completable strictly after.
    function completeQueuedWithdrawal(Withdrawal calldata withdrawal, address[] calldata tokens, bool receiveAsTokens)
        external
    {
        if (tokens.length != withdrawal.strategies.length) revert InputArrayLengthMismatch();
        if (msg.sender != withdrawal.withdrawer) revert WithdrawerNotCaller();
        bytes32 root = keccak256(abi.encode(withdrawal));
        if (!pendingWithdrawals[root]) revert WithdrawalNotQueued();
        if (block.number <= withdrawal.startBlock + minWithdrawalDelayBlocks) revert WithdrawalDelayNotElapsed();
        _forget(withdrawal.staker, root);
        emit SlashingWithdrawalCompleted(root);
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 shares = _afterQueue(withdrawal, i);
            if (shares == 0) continue;
            address strategy = withdrawal.strategies[i];
            if (receiveAsTokens) {
                strategyManager.withdrawSharesAsTokens(withdrawal.staker, strategy, tokens[i], shares);
            } else {
                (uint256 before, uint256 added) = strategyManager.addShares(withdrawal.staker, strategy, shares);
                _increase(delegatedTo[withdrawal.staker], withdrawal.staker, strategy, before, added);
            }
        }
    }

    function _afterQueue(Withdrawal memory withdrawal, uint256 i) private view returns (uint256) {
        uint32 until = withdrawal.startBlock + minWithdrawalDelayBlocks;
        uint64 max = allocationManager.getMaxMagnitudeAtBlock(withdrawal.delegatedTo, withdrawal.strategies[i], until);
        return withdrawal.scaledShares[i].mul(max);
    }

    function _forget(address staker, bytes32 root) private {
        delete pendingWithdrawals[root];
        delete _withdrawals[root];
        bytes32[] storage roots = _roots[staker];
        for (uint256 i = 0; i < roots.length; ++i) {
            if (roots[i] != root) continue;
            roots[i] = roots[roots.length - 1];
            roots.pop();
            return;
        }
    }

    // ---- Slashes

    /// @return total what the operator's stakers lost, with what still waited in the queue.
    function slashOperatorShares(
        address operator,
        OperatorSet calldata set,
        uint256 slashId,
        address strategy,
        uint64 before,
        uint64 afterwards
    ) external returns (uint256 total) {
        if (msg.sender != address(allocationManager)) revert OnlyAllocationManager();
        uint256 active = operatorShares[operator][strategy].lost(before, afterwards);
        total = active + _inQueue(operator, strategy).mul(before - afterwards);
        _decrease(operator, address(0), strategy, active);
        emit OperatorSharesSlashed(operator, strategy, total);
        strategyManager.increaseBurnOrRedistributableShares(set, slashId, strategy, total);
    }

    /// @dev Scaled shares that entered the queue in the last delay's blocks.
    function _inQueue(address operator, address strategy) private view returns (uint256) {
        History.Entry[] storage queued = _queued[operator][strategy];
        return queued.latest(0) - queued.upTo(uint32(block.number) - minWithdrawalDelayBlocks - 1, 0);
    }

    // ---- Views

    function isDelegated(address staker) public view returns (bool) {
        return delegatedTo[staker] != address(0);
    }

    function isOperator(address operator) public view returns (bool) {
        return operator != address(0) && delegatedTo[operator] == operator;
    }

    function depositScalingFactor(address staker, address strategy) public view returns (uint256) {
        uint256 factor = _factors[staker][strategy];
        return factor == 0 ? Wad.ONE : factor;
    }

    function getOperatorsShares(address[] calldata operators, address[] calldata strategies)
        external
        view
        returns (uint256[][] memory shares)
    {
        shares = new uint256[][](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            shares[i] = new uint256[](strategies.length);
            for (uint256 j = 0; j < strategies.length; ++j) {
                shares[i][j] = operatorShares[operators[i]][strategies[j]];
            }
        }
    }

    function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256) {
        return _inQueue(operator, strategy).mul(allocationManager.getMaxMagnitude(operator, strategy));
    }

    function getWithdrawableShares(address staker, address[] calldata strategies)
        external
        view
        returns (uint256[] memory withdrawable, uint256[] memory deposited)
    {
        withdrawable = new uint256[](strategies.length);
        deposited = new uint256[](strategies.length);
        for (uint256 i = 0; i < strategies.length; ++i) {
            deposited[i] = strategyManager.stakerDepositShares(staker, strategies[i]);
            uint256 max = allocationManager.getMaxMagnitude(delegatedTo[staker], strategies[i]);
            withdrawable[i] = deposited[i].mul(depositScalingFactor(staker, strategies[i])).mul(max);
        }
    }

    function getQueuedWithdrawals(address staker)
        external
        view
        returns (Withdrawal[] memory withdrawals, uint256[][] memory shares)
    {
        uint256 count = _roots[staker].length;
        (withdrawals, shares) = (new Withdrawal[](count), new uint256[][](count));
        for (uint256 i = 0; i < count; ++i) {
            withdrawals[i] = _withdrawals[_roots[staker][i]];
            shares[i] = new uint256[](withdrawals[i].strategies.length);
            for (uint256 j = 0; j < shares[i].length; ++j) {
                shares[i][j] = _afterQueue(withdrawals[i], j); // of now, while the delay runs
            }
        }
    }
}
