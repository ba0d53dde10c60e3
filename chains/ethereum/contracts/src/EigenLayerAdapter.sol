// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAdapter, Loss} from "./interfaces/IAdapter.sol";
import {IOrderTarget} from "./interfaces/IOrderTarget.sol";
import {IAllocationManager, IAVSRegistrar, IDelegationManager, OperatorSet} from "./interfaces/IEigenLayer.sol";

/// @notice What the adapter asks of the registry.
interface IRegistry {
    function openKeyId(address operator) external view returns (uint32);
}

/// @title Palisade's operator set on EigenLayer
/// @notice This contract is the service (AVS), its registrar and its slasher at once. It has one operator set,
/// number 0, which is not redistributing: what is slashed goes to EigenLayer's burn address, a sink nobody owns
/// (R8). It slashes for two callers: the judge of equivocations, who takes a fraction fixed at deployment from every
/// strategy, and Orders.sol, which takes what a certified order says (R11). A service deploys one of its own, in its
/// own name; Palisade.sol does not know that one, so that only orders reach it.
/// @dev Works with cores 1.3 to 1.13: the service itself may slash in all of them.
contract EigenLayerAdapter is IAdapter, IOrderTarget, IAVSRegistrar {
    /// The caller is not the contract that this function is for.
    error WrongCaller(address caller);
    /// The call is about another service.
    error WrongService(address avs);
    /// There is one operator set, number 0.
    error WrongOperatorSet();
    /// The operator has no open key row in the registry.
    error NotRegistered(address operator);
    /// The fraction must be in (0, 1e18].
    error WrongFraction(uint256 wad);
    /// There must be 1 to `MAX_STRATEGIES` strategies, ascending by address.
    error WrongStrategies();
    /// The operator allocates nothing to the set at present.
    error NothingSlashable(address operator);
    /// EigenLayer accepted the slash and its views show no loss, so it is undone.
    error LossNotSeen(address operator);

    /// @dev What an operator has in one strategy at one moment, in EigenLayer's words.
    struct Holding {
        /// The magnitude allocated to this set.
        uint256 current;
        /// The magnitude that all slashes so far have left.
        uint256 max;
        /// Shares that this set can take.
        uint256 shares;
    }

    uint256 public constant MAX_STRATEGIES = 16;
    uint32 public constant OPERATOR_SET_ID = 0;

    /// @notice The registry, and judge of equivocations.
    address public immutable palisade;
    /// @notice Orders.sol.
    address public immutable orders;
    /// @inheritdoc IOrderTarget
    bytes32 public immutable service;
    IAllocationManager public immutable allocationManager;
    IDelegationManager public immutable delegationManager;
    /// @notice The fraction of an allocation that an equivocation takes, of 1e18.
    uint256 public immutable equivocationWad;
    address[] private _strategies;

    constructor(
        address palisade_,
        address orders_,
        bytes32 service_,
        address allocationManager_,
        address delegationManager_,
        address[] memory strategies_,
        uint256 equivocationWad_,
        string memory metadataUri
    ) {
        if (equivocationWad_ == 0 || equivocationWad_ > WAD) {
            revert WrongFraction(equivocationWad_);
        }
        if (strategies_.length == 0 || strategies_.length > MAX_STRATEGIES) revert WrongStrategies();
        for (uint256 i = 1; i < strategies_.length; ++i) {
            if (strategies_[i - 1] >= strategies_[i]) revert WrongStrategies();
        }
        palisade = palisade_;
        orders = orders_;
        service = service_;
        allocationManager = IAllocationManager(allocationManager_);
        delegationManager = IDelegationManager(delegationManager_);
        equivocationWad = equivocationWad_;
        _strategies = strategies_;
        // EigenLayer makes no operator set for a service without a metadata URI.
        IAllocationManager(allocationManager_).updateAVSMetadataURI(address(this), metadataUri);
        IAllocationManager.CreateSetParams[] memory sets = new IAllocationManager.CreateSetParams[](1);
        sets[0] = IAllocationManager.CreateSetParams({operatorSetId: OPERATOR_SET_ID, strategies: strategies_});
        IAllocationManager(allocationManager_).createOperatorSets(address(this), sets);
    }

    // ---- Registrar

    /// @inheritdoc IAVSRegistrar
    /// @dev Refuses operators without keys: nobody could prove their faults.
    function registerOperator(address operator, address avs, uint32[] calldata operatorSetIds, bytes calldata)
        external
        view
    {
        _checkRegistrarCall(avs);
        if (operatorSetIds.length != 1 || operatorSetIds[0] != OPERATOR_SET_ID) revert WrongOperatorSet();
        if (IRegistry(palisade).openKeyId(operator) == 0) revert NotRegistered(operator);
    }

    /// @inheritdoc IAVSRegistrar
    /// @dev Nobody is kept: the stake stays slashable for EigenLayer's deallocation delay.
    function deregisterOperator(address, address avs, uint32[] calldata) external view {
        _checkRegistrarCall(avs);
    }

    /// @inheritdoc IAVSRegistrar
    function supportsAVS(address avs) external view returns (bool) {
        return avs == address(this);
    }

    function _checkRegistrarCall(address avs) private view {
        if (msg.sender != address(allocationManager)) revert WrongCaller(msg.sender);
        if (avs != address(this)) revert WrongService(avs);
    }

    // ---- Slasher

    /// @inheritdoc IAdapter
    /// @dev It takes at once, so nothing is ever pending.
    function slash(address operator, bytes32) external returns (Loss[] memory losses, bool pending) {
        if (msg.sender != palisade) revert WrongCaller(msg.sender);
        return (_slash(operator, equivocationWad, "palisade: equivocation"), false);
    }

    /// @inheritdoc IOrderTarget
    /// @dev EigenLayer takes what is allocated now, whatever the capture.
    function slashPart(address operator, bytes32, uint256 wad, uint64)
        external
        returns (Loss[] memory losses, bool pending)
    {
        if (msg.sender != orders) revert WrongCaller(msg.sender);
        if (wad == 0 || wad > WAD) revert WrongFraction(wad);
        return (_slash(operator, wad, "palisade: certified order"), false);
    }

    /// @dev Slash all strategies in one call, look again. EigenLayer skips a strategy without magnitude in silence; here
    /// it is left out.
    function _slash(address operator, uint256 wad, string memory why) private returns (Loss[] memory losses) {
        (address[] memory strategies_, Holding[] memory held) = _allocated(operator);
        if (strategies_.length == 0) revert NothingSlashable(operator);
        _take(operator, strategies_, wad, why);
        losses = new Loss[](strategies_.length);
        bool seen;
        for (uint256 i = 0; i < losses.length; ++i) {
            uint256 afterwards = _left(operator, strategies_[i], held[i]);
            losses[i] = Loss({asset: strategies_[i], before: held[i].shares, afterwards: afterwards});
            seen = seen || afterwards < held[i].shares;
        }
        if (!seen) revert LossNotSeen(operator);
    }

    /// @dev What the set can still take after a slash, by the views. A slash lowers the current magnitude by what it
    /// lowers the maximum by, so that only the maximum is read again: reading an allocation costs five times as much.
    function _left(address operator, address strategy, Holding memory held) private view returns (uint256) {
        uint256 max = allocationManager.getMaxMagnitude(operator, strategy);
        uint256 taken = held.max - max; // it never rises
        return _shares(operator, strategy, taken < held.current ? held.current - taken : 0, max);
    }

    function _take(address operator, address[] memory strategies_, uint256 wad, string memory why) private {
        uint256[] memory wads = new uint256[](strategies_.length);
        for (uint256 i = 0; i < wads.length; ++i) {
            wads[i] = wad;
        }
        allocationManager.slashOperator(
            address(this),
            IAllocationManager.SlashingParams({
                operator: operator,
                operatorSetId: OPERATOR_SET_ID,
                strategies: strategies_,
                wadsToSlash: wads,
                description: why
            })
        );
    }

    /// @dev The set's strategies in which the operator has a magnitude to lose, ascending.
    function _allocated(address operator) private view returns (address[] memory allocated, Holding[] memory held) {
        uint256 count = _strategies.length;
        allocated = new address[](count);
        held = new Holding[](count);
        uint256 found;
        for (uint256 i = 0; i < count; ++i) {
            address strategy = _strategies[i];
            uint256 current = allocationManager.getAllocation(operator, _set(), strategy).currentMagnitude;
            if (current == 0) continue;
            uint256 max = allocationManager.getMaxMagnitude(operator, strategy);
            held[found] = Holding(current, max, _shares(operator, strategy, current, max));
            allocated[found++] = strategy;
        }
        assembly ("memory-safe") {
            mstore(allocated, found)
            mstore(held, found)
        }
    }

    /// @notice Shares that this set can take from the operator now, by EigenLayer's own views: its slashable
    /// stake, and the set's part of what waits in the withdrawal queue.
    function slashable(address operator, address[] memory strategies_) public view returns (uint256[] memory shares) {
        shares = new uint256[](strategies_.length);
        for (uint256 i = 0; i < shares.length; ++i) {
            uint256 current = allocationManager.getAllocation(operator, _set(), strategies_[i]).currentMagnitude;
            uint256 max = allocationManager.getMaxMagnitude(operator, strategies_[i]);
            shares[i] = _shares(operator, strategies_[i], current, max);
        }
    }

    /// @dev The first part is getMinimumSlashableStake's own formula, with its rounding down, for an operator that is
    /// slashable (another cannot be slashed); calling it costs three times as much. The queue counts, because an
    /// operator whose stakers all queued has nothing in the first part and loses all the same. A slash of w takes the
    /// fraction w of both.
    function _shares(address operator, address strategy, uint256 current, uint256 max) private view returns (uint256) {
        if (max == 0) return 0; // nothing is left to take
        uint256 delegated = delegationManager.operatorShares(operator, strategy);
        uint256 queued = delegationManager.getSlashableSharesInQueue(operator, strategy);
        return delegated * (current * WAD / max) / WAD + queued * current / max;
    }

    /// @inheritdoc IAdapter
    function gasFloor(address) external view override(IAdapter, IOrderTarget) returns (uint256) {
        return BASE_GAS + STRATEGY_GAS * _strategies.length;
    }

    /// @notice The strategies of the set, ascending.
    function strategies() external view returns (address[] memory) {
        return _strategies;
    }

    function _set() private view returns (OperatorSet memory) {
        return OperatorSet({avs: address(this), id: OPERATOR_SET_ID});
    }

    uint256 private constant WAD = 1e18;
    // About twice what core 1.4 takes (276,000 with one strategy, first slash; deploy/devnet/tests/eigenlayer.rs).
    uint256 private constant BASE_GAS = 200_000;
    uint256 private constant STRATEGY_GAS = 400_000;
}
