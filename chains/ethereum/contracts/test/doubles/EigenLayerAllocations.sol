// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAllocationManager, IAVSRegistrar, OperatorSet} from "../../src/interfaces/IEigenLayer.sol";
import {History, Lists, Wad} from "./Wad.sol";
import {EigenLayerDelegations} from "./EigenLayerDelegations.sol";

/// @title A double of EigenLayer's AllocationManager as it is since core 1.9
/// @notice Ours, because no registry carries that generation's bytecode: what a slasher sees of it and how it rounds.
/// Where the real core 1.4 does the same, chains/ethereum/tests/doubles.rs holds the two against each other. Without
/// pausing, without the PermissionController (everybody acts for himself), without proxies.
contract EigenLayerAllocations {
    using Wad for uint256;
    using History for History.Entry[];
    using Lists for address[];

    struct CreateSetParamsV2 {
        uint32 operatorSetId;
        address[] strategies;
        address slasher;
    }

    struct RegisterParams {
        address avs;
        uint32[] operatorSetIds;
        bytes data;
    }

    struct DeregisterParams {
        address operator;
        address avs;
        uint32[] operatorSetIds;
    }

    struct AllocateParams {
        OperatorSet operatorSet;
        address[] strategies;
        uint64[] newMagnitudes;
    }

    /// @dev Registered, or slashable through this block.
    struct Registration {
        bool registered;
        uint32 slashableUntil;
    }

    struct Delay {
        uint32 delay;
        bool isSet;
        uint32 pending;
        uint32 effectBlock;
    }

    /// @dev The sets whose deallocations wait, oldest first.
    struct Queue {
        uint256 head;
        bytes32[] sets;
    }

    /// @dev What slashes one strategy: named, because it is more than fits beside the loop.
    struct Slash {
        bytes32 key;
        uint256 id;
        uint256 wad;
    }

    error AlreadyMemberOfSet();
    error InputArrayLengthMismatch();
    error InsufficientMagnitude();
    error InvalidAVSRegistrar();
    error InvalidCaller();
    error InvalidOperator();
    error InvalidOperatorSet();
    error InvalidPermissions();
    error InvalidRedistributionRecipient();
    error InvalidWadToSlash();
    error ModificationAlreadyPending();
    error NonexistentAVSMetadata();
    error NotMemberOfSet();
    error OperatorNotSlashable();
    error SameMagnitude();
    error StrategiesMustBeInAscendingOrder();
    error StrategyAlreadyInOperatorSet();
    error StrategyNotInOperatorSet();
    error UninitializedAllocationDelay();

    event AVSMetadataURIUpdated(address indexed avs, string metadataURI);
    event AVSRegistrarSet(address avs, address registrar);
    event AllocationDelaySet(address operator, uint32 delay, uint32 effectBlock);
    event AllocationUpdated(
        address operator, OperatorSet operatorSet, address strategy, uint64 magnitude, uint32 effectBlock
    );
    event EncumberedMagnitudeUpdated(address operator, address strategy, uint64 encumberedMagnitude);
    event MaxMagnitudeUpdated(address operator, address strategy, uint64 maxMagnitude);
    event OperatorAddedToOperatorSet(address indexed operator, OperatorSet operatorSet);
    event OperatorRemovedFromOperatorSet(address indexed operator, OperatorSet operatorSet);
    event OperatorSetCreated(OperatorSet operatorSet);
    event OperatorSlashed(
        address operator, OperatorSet operatorSet, address[] strategies, uint256[] wadSlashed, string description
    );
    event RedistributionAddressSet(OperatorSet operatorSet, address redistributionRecipient);
    event SlasherUpdated(OperatorSet operatorSet, address slasher, uint32 effectBlock);
    event StrategyAddedToOperatorSet(OperatorSet operatorSet, address strategy);
    event StrategyRemovedFromOperatorSet(OperatorSet operatorSet, address strategy);

    address private constant BURN = 0x00000000000000000000000000000000000E16E4;

    uint32 public immutable DEALLOCATION_DELAY;
    uint32 public immutable ALLOCATION_CONFIGURATION_DELAY;
    EigenLayerDelegations public immutable delegation;

    mapping(address avs => bool) private _described;
    mapping(address avs => address) private _registrars;
    mapping(bytes32 set => bool) private _exists;
    mapping(bytes32 set => address[]) private _strategies;
    mapping(bytes32 set => address[]) private _members;
    mapping(bytes32 set => address) private _recipients;
    mapping(bytes32 set => uint256) private _slashCounts;
    mapping(bytes32 set => address) private _slashers;
    mapping(bytes32 set => address) private _pendingSlashers;
    mapping(bytes32 set => uint32) private _slasherEffects;
    mapping(address operator => mapping(bytes32 set => Registration)) private _registrations;
    mapping(address operator => Delay) private _delays;
    mapping(address operator => mapping(bytes32 set => mapping(address strategy => IAllocationManager.Allocation)))
        private _allocations;
    mapping(address operator => mapping(address strategy => uint64)) private _encumbered;
    mapping(address operator => mapping(address strategy => History.Entry[])) private _max;
    mapping(address operator => mapping(address strategy => Queue)) private _queues;

    constructor(address delegation_, uint32 deallocationDelay, uint32 allocationConfigurationDelay) {
        delegation = EigenLayerDelegations(delegation_);
        DEALLOCATION_DELAY = deallocationDelay;
        ALLOCATION_CONFIGURATION_DELAY = allocationConfigurationDelay;
    }

    // ---- Services

    modifier onlySelf(address account) {
        if (msg.sender != account) revert InvalidPermissions();
        _;
    }

    function updateAVSMetadataURI(address avs, string calldata metadataURI) external onlySelf(avs) {
        _described[avs] = true;
        emit AVSMetadataURIUpdated(avs, metadataURI);
    }

    /// @dev The old form: the service itself becomes the slasher.
    function createOperatorSets(address avs, IAllocationManager.CreateSetParams[] calldata params)
        external
        onlySelf(avs)
    {
        for (uint256 i = 0; i < params.length; ++i) {
            _create(OperatorSet(avs, params[i].operatorSetId), params[i].strategies, avs);
        }
    }

    function createOperatorSets(address avs, CreateSetParamsV2[] calldata params) external onlySelf(avs) {
        for (uint256 i = 0; i < params.length; ++i) {
            _create(OperatorSet(avs, params[i].operatorSetId), params[i].strategies, params[i].slasher);
        }
    }

    function createRedistributingOperatorSets(
        address avs,
        IAllocationManager.CreateSetParams[] calldata params,
        address[] calldata recipients
    ) external onlySelf(avs) {
        if (params.length != recipients.length) revert InputArrayLengthMismatch();
        for (uint256 i = 0; i < params.length; ++i) {
            if (recipients[i] == address(0) || recipients[i] == BURN) revert InvalidRedistributionRecipient();
            OperatorSet memory set = OperatorSet(avs, params[i].operatorSetId);
            _create(set, params[i].strategies, avs);
            _recipients[_key(set)] = recipients[i];
            emit RedistributionAddressSet(set, recipients[i]);
        }
    }

    function _create(OperatorSet memory set, address[] calldata strategies, address slasher) private {
        if (!_described[set.avs]) revert NonexistentAVSMetadata();
        bytes32 key = _key(set);
        if (_exists[key]) revert InvalidOperatorSet();
        _exists[key] = true;
        emit OperatorSetCreated(set);
        _addStrategies(set, strategies);
        _slashers[key] = slasher;
        emit SlasherUpdated(set, slasher, uint32(block.number));
    }

    function addStrategiesToOperatorSet(address avs, uint32 id, address[] calldata strategies) external onlySelf(avs) {
        _addStrategies(_known(avs, id), strategies);
    }

    function _addStrategies(OperatorSet memory set, address[] calldata strategies) private {
        for (uint256 i = 0; i < strategies.length; ++i) {
            if (!_strategies[_key(set)].add(strategies[i])) revert StrategyAlreadyInOperatorSet();
            emit StrategyAddedToOperatorSet(set, strategies[i]);
        }
    }

    function removeStrategiesFromOperatorSet(address avs, uint32 id, address[] calldata strategies)
        external
        onlySelf(avs)
    {
        OperatorSet memory set = _known(avs, id);
        for (uint256 i = 0; i < strategies.length; ++i) {
            if (!_strategies[_key(set)].remove(strategies[i])) revert StrategyNotInOperatorSet();
            emit StrategyRemovedFromOperatorSet(set, strategies[i]);
        }
    }

    function setAVSRegistrar(address avs, address registrar) external onlySelf(avs) {
        _registrars[avs] = registrar;
        if (!IAVSRegistrar(getAVSRegistrar(avs)).supportsAVS(avs)) revert InvalidAVSRegistrar();
        emit AVSRegistrarSet(avs, getAVSRegistrar(avs));
    }

    function updateSlasher(OperatorSet calldata set, address slasher) external onlySelf(set.avs) {
        bytes32 key = _key(_known(set.avs, set.id));
        _slashers[key] = getSlasher(set); // a change that is due is made
        _pendingSlashers[key] = slasher;
        _slasherEffects[key] = uint32(block.number) + ALLOCATION_CONFIGURATION_DELAY + 1;
        emit SlasherUpdated(set, slasher, _slasherEffects[key]);
    }

    // ---- Operators

    function registerForOperatorSets(address operator, RegisterParams calldata params) external onlySelf(operator) {
        if (!delegation.isOperator(operator)) revert InvalidOperator();
        for (uint256 i = 0; i < params.operatorSetIds.length; ++i) {
            OperatorSet memory set = _known(params.avs, params.operatorSetIds[i]);
            if (isOperatorSlashable(operator, set)) revert AlreadyMemberOfSet();
            _members[_key(set)].add(operator);
            emit OperatorAddedToOperatorSet(operator, set);
            _registrations[operator][_key(set)].registered = true;
        }
        IAVSRegistrar(getAVSRegistrar(params.avs))
            .registerOperator(operator, params.avs, params.operatorSetIds, params.data);
    }

    /// @dev Slashable through the block of the removal plus the delay, inclusive.
    function deregisterFromOperatorSets(DeregisterParams calldata params) external {
        if (msg.sender != params.operator && msg.sender != params.avs) revert InvalidCaller();
        for (uint256 i = 0; i < params.operatorSetIds.length; ++i) {
            OperatorSet memory set = _known(params.avs, params.operatorSetIds[i]);
            Registration storage registration = _registrations[params.operator][_key(set)];
            if (!registration.registered) revert NotMemberOfSet();
            _members[_key(set)].remove(params.operator);
            emit OperatorRemovedFromOperatorSet(params.operator, set);
            registration.registered = false;
            registration.slashableUntil = uint32(block.number) + DEALLOCATION_DELAY;
        }
        IAVSRegistrar(getAVSRegistrar(params.avs))
            .deregisterOperator(params.operator, params.avs, params.operatorSetIds);
    }

    /// @dev The delay that is given at registration acts at once since core 1.9.
    function setAllocationDelay(address operator, uint32 delay) external {
        if (msg.sender == address(delegation)) {
            _delays[operator] = Delay(delay, true, delay, uint32(block.number));
        } else {
            if (msg.sender != operator) revert InvalidCaller();
            if (!delegation.isOperator(operator)) revert InvalidOperator();
            (bool isSet, uint32 current) = getAllocationDelay(operator);
            uint32 effect = uint32(block.number) + ALLOCATION_CONFIGURATION_DELAY + 1;
            _delays[operator] = Delay(current, isSet, delay, effect);
        }
        emit AllocationDelaySet(operator, delay, _delays[operator].effectBlock);
    }

    function modifyAllocations(address operator, AllocateParams[] calldata params) external onlySelf(operator) {
        (bool isSet, uint32 delay) = getAllocationDelay(operator);
        if (!isSet) revert UninitializedAllocationDelay();
        for (uint256 i = 0; i < params.length; ++i) {
            if (params[i].strategies.length != params[i].newMagnitudes.length) revert InputArrayLengthMismatch();
            OperatorSet memory set = _known(params[i].operatorSet.avs, params[i].operatorSet.id);
            for (uint256 j = 0; j < params[i].strategies.length; ++j) {
                _modify(operator, set, params[i].strategies[j], params[i].newMagnitudes[j], delay);
            }
        }
    }

    /// @dev What is added is encumbered at once and slashable after the delay; what is taken away stays slashable for
    /// the deallocation delay, unless nothing can be slashed.
    function _modify(address operator, OperatorSet memory set, address strategy, uint64 wanted, uint32 delay) private {
        _clear(operator, strategy, type(uint16).max);
        bytes32 key = _key(set);
        (uint64 encumbered, IAllocationManager.Allocation memory allocation) = _now(operator, key, strategy);
        if (allocation.effectBlock != 0) revert ModificationAlreadyPending();
        int128 change = int128(uint128(wanted)) - int128(uint128(allocation.currentMagnitude));
        if (change == 0) revert SameMagnitude();
        if (change > 0) {
            encumbered = _plus(encumbered, change);
            if (encumbered > getMaxMagnitude(operator, strategy)) revert InsufficientMagnitude();
            (allocation.pendingDiff, allocation.effectBlock) = (change, uint32(block.number) + delay);
        } else if (_takes(operator, set, strategy, allocation.currentMagnitude)) {
            _queues[operator][strategy].sets.push(key);
            allocation.pendingDiff = change;
            allocation.effectBlock = uint32(block.number) + DEALLOCATION_DELAY + 1;
        } else {
            encumbered = _plus(encumbered, change);
            (allocation.currentMagnitude, allocation.effectBlock) = (wanted, uint32(block.number));
        }
        _store(operator, key, strategy, encumbered, allocation);
        emit AllocationUpdated(operator, set, strategy, wanted, allocation.effectBlock);
    }

    function _takes(address operator, OperatorSet memory set, address strategy, uint64 magnitude)
        private
        view
        returns (bool)
    {
        return magnitude > 0 && isOperatorSlashable(operator, set) && _strategies[_key(set)].has(strategy);
    }

    function clearDeallocationQueue(address operator, address[] calldata strategies, uint16[] calldata numToClear)
        external
    {
        if (strategies.length != numToClear.length) revert InputArrayLengthMismatch();
        for (uint256 i = 0; i < strategies.length; ++i) {
            _clear(operator, strategies[i], numToClear[i]);
        }
    }

    /// @dev Completes what is due, oldest first.
    function _clear(address operator, address strategy, uint16 most) private {
        Queue storage queue = _queues[operator][strategy];
        for (uint256 count = 0; count < most && queue.head < queue.sets.length; ++count) {
            bytes32 key = queue.sets[queue.head];
            (uint64 encumbered, IAllocationManager.Allocation memory allocation) = _now(operator, key, strategy);
            if (block.number < allocation.effectBlock) break;
            _store(operator, key, strategy, encumbered, allocation);
            ++queue.head;
        }
    }

    // ---- Slashes

    /// @return slashId the number of this slash of the set, which is used up even when nothing is taken.
    /// @return shares what each strategy lost, with what was taken from its queue.
    function slashOperator(address avs, IAllocationManager.SlashingParams calldata params)
        external
        returns (uint256 slashId, uint256[] memory shares)
    {
        OperatorSet memory set = OperatorSet(avs, params.operatorSetId);
        if (params.strategies.length != params.wadsToSlash.length) revert InputArrayLengthMismatch();
        if (!_exists[_key(set)]) revert InvalidOperatorSet();
        if (msg.sender != getSlasher(set)) revert InvalidCaller();
        if (!isOperatorSlashable(params.operator, set)) revert OperatorNotSlashable();
        slashId = ++_slashCounts[_key(set)];
        shares = new uint256[](params.strategies.length);
        uint256[] memory wads = new uint256[](shares.length);
        for (uint256 i = 0; i < shares.length; ++i) {
            if (i > 0 && params.strategies[i] <= params.strategies[i - 1]) revert StrategiesMustBeInAscendingOrder();
            uint256 wad = params.wadsToSlash[i];
            if (wad == 0 || wad > Wad.ONE) revert InvalidWadToSlash();
            if (!_strategies[_key(set)].has(params.strategies[i])) revert StrategyNotInOperatorSet();
            (wads[i], shares[i]) =
                _slash(params.operator, set, params.strategies[i], Slash(_key(set), slashId, wad));
        }
        emit OperatorSlashed(params.operator, set, params.strategies, wads, params.description);
    }

    /// @dev All magnitudes are rounded in the stakers' disfavour; a strategy without magnitude is skipped in silence.
    function _slash(address operator, OperatorSet memory set, address strategy, Slash memory slash)
        private
        returns (uint256 ofStake, uint256 shares)
    {
        (uint64 encumbered, IAllocationManager.Allocation memory allocation) = _now(operator, slash.key, strategy);
        if (allocation.currentMagnitude == 0) return (0, 0);
        uint64 max = getMaxMagnitude(operator, strategy);
        uint64 taken = uint64(uint256(allocation.currentMagnitude).mulUp(slash.wad));
        ofStake = uint256(taken).div(max);
        allocation.currentMagnitude -= taken;
        if (allocation.pendingDiff < 0) {
            uint256 pending = uint256(uint128(-allocation.pendingDiff)).mulUp(slash.wad);
            allocation.pendingDiff += int128(uint128(pending));
            uint64 future = _plus(allocation.currentMagnitude, allocation.pendingDiff);
            emit AllocationUpdated(operator, set, strategy, future, allocation.effectBlock);
        }
        _store(operator, slash.key, strategy, encumbered - taken, allocation);
        emit AllocationUpdated(operator, set, strategy, allocation.currentMagnitude, uint32(block.number));
        _max[operator][strategy].push(max - taken);
        emit MaxMagnitudeUpdated(operator, strategy, max - taken);
        shares = delegation.slashOperatorShares(operator, set, slash.id, strategy, max, max - taken);
    }

    // ---- Rows

    /// @dev With the pending change completed if its block has come.
    function _now(address operator, bytes32 key, address strategy)
        private
        view
        returns (uint64 encumbered, IAllocationManager.Allocation memory allocation)
    {
        encumbered = _encumbered[operator][strategy];
        allocation = _allocations[operator][key][strategy];
        if (block.number < allocation.effectBlock) return (encumbered, allocation);
        allocation.currentMagnitude = _plus(allocation.currentMagnitude, allocation.pendingDiff);
        if (allocation.pendingDiff < 0) encumbered = _plus(encumbered, allocation.pendingDiff);
        (allocation.pendingDiff, allocation.effectBlock) = (0, 0);
    }

    function _store(
        address operator,
        bytes32 key,
        address strategy,
        uint64 encumbered,
        IAllocationManager.Allocation memory allocation
    ) private {
        if (_encumbered[operator][strategy] != encumbered) {
            _encumbered[operator][strategy] = encumbered;
            emit EncumberedMagnitudeUpdated(operator, strategy, encumbered);
        }
        _allocations[operator][key][strategy] = allocation;
    }

    function _plus(uint64 a, int128 b) private pure returns (uint64) {
        return uint64(uint128(int128(uint128(a)) + b));
    }

    function _key(OperatorSet memory set) private pure returns (bytes32) {
        return bytes32(uint256(uint160(set.avs)) << 96 | set.id);
    }

    function _known(address avs, uint32 id) private view returns (OperatorSet memory set) {
        set = OperatorSet(avs, id);
        if (!_exists[_key(set)]) revert InvalidOperatorSet();
    }

    // ---- Views

    function getAVSRegistrar(address avs) public view returns (address) {
        return _registrars[avs] == address(0) ? avs : _registrars[avs];
    }

    function isOperatorSet(OperatorSet calldata set) external view returns (bool) {
        return _exists[_key(set)];
    }

    function getStrategiesInOperatorSet(OperatorSet calldata set) external view returns (address[] memory) {
        return _strategies[_key(set)];
    }

    function getMembers(OperatorSet calldata set) external view returns (address[] memory) {
        return _members[_key(set)];
    }

    function getMemberCount(OperatorSet calldata set) external view returns (uint256) {
        return _members[_key(set)].length;
    }

    function isMemberOfOperatorSet(address operator, OperatorSet calldata set) external view returns (bool) {
        return _members[_key(set)].has(operator);
    }

    function isOperatorSlashable(address operator, OperatorSet memory set) public view returns (bool) {
        Registration memory registration = _registrations[operator][_key(set)];
        return registration.registered || block.number <= registration.slashableUntil;
    }

    function getAllocationDelay(address operator) public view returns (bool isSet, uint32 delay) {
        Delay memory row = _delays[operator];
        bool due = row.effectBlock != 0 && block.number >= row.effectBlock;
        return due ? (true, row.pending) : (row.isSet, row.delay);
    }

    function getAllocation(address operator, OperatorSet memory set, address strategy)
        public
        view
        returns (IAllocationManager.Allocation memory allocation)
    {
        (, allocation) = _now(operator, _key(set), strategy);
    }

    function getAllocations(address[] calldata operators, OperatorSet calldata set, address strategy)
        external
        view
        returns (IAllocationManager.Allocation[] memory allocations)
    {
        allocations = new IAllocationManager.Allocation[](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            allocations[i] = getAllocation(operators[i], set, strategy);
        }
    }

    function getMaxMagnitude(address operator, address strategy) public view returns (uint64) {
        return uint64(_max[operator][strategy].latest(Wad.ONE));
    }

    function getMaxMagnitudes(address[] calldata operators, address strategy)
        external
        view
        returns (uint64[] memory maxima)
    {
        maxima = new uint64[](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            maxima[i] = getMaxMagnitude(operators[i], strategy);
        }
    }

    function getMaxMagnitudeAtBlock(address operator, address strategy, uint32 number) external view returns (uint64) {
        return uint64(_max[operator][strategy].upTo(number, Wad.ONE));
    }

    /// @dev Deallocations that are due are counted out, whether or not anybody completed them.
    function getEncumberedMagnitude(address operator, address strategy) public view returns (uint64 encumbered) {
        encumbered = _encumbered[operator][strategy];
        Queue storage queue = _queues[operator][strategy];
        for (uint256 i = queue.head; i < queue.sets.length; ++i) {
            IAllocationManager.Allocation memory allocation = _allocations[operator][queue.sets[i]][strategy];
            if (block.number < allocation.effectBlock) break;
            encumbered = _plus(encumbered, allocation.pendingDiff);
        }
    }

    function getAllocatableMagnitude(address operator, address strategy) external view returns (uint64) {
        return getMaxMagnitude(operator, strategy) - getEncumberedMagnitude(operator, strategy);
    }

    function getMinimumSlashableStake(
        OperatorSet calldata set,
        address[] calldata operators,
        address[] calldata strategies,
        uint32 futureBlock
    ) external view returns (uint256[][] memory stakes) {
        stakes = new uint256[][](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            stakes[i] = new uint256[](strategies.length);
            if (!isOperatorSlashable(operators[i], set)) continue;
            for (uint256 j = 0; j < strategies.length; ++j) {
                stakes[i][j] = _minimum(operators[i], set, strategies[j], futureBlock);
            }
        }
    }

    function _minimum(address operator, OperatorSet calldata set, address strategy, uint32 futureBlock)
        private
        view
        returns (uint256)
    {
        // As the real core: a strategy that is not in the set cannot be slashed, and counts here all the same.
        IAllocationManager.Allocation memory allocation = getAllocation(operator, set, strategy);
        uint64 magnitude = allocation.currentMagnitude;
        if (allocation.pendingDiff < 0 && allocation.effectBlock <= futureBlock) {
            magnitude = _plus(magnitude, allocation.pendingDiff);
        }
        uint64 max = getMaxMagnitude(operator, strategy);
        if (max == 0) return 0;
        return delegation.operatorShares(operator, strategy).mul(uint256(magnitude).div(max));
    }

    function getSlasher(OperatorSet memory set) public view returns (address) {
        bytes32 key = _key(set);
        bool due = _slasherEffects[key] != 0 && block.number >= _slasherEffects[key];
        return due ? _pendingSlashers[key] : _slashers[key];
    }

    function getPendingSlasher(OperatorSet calldata set) external view returns (address slasher, uint32 effectBlock) {
        bytes32 key = _key(set);
        if (block.number < _slasherEffects[key]) (slasher, effectBlock) = (_pendingSlashers[key], _slasherEffects[key]);
    }

    function getSlashCount(OperatorSet calldata set) external view returns (uint256) {
        return _slashCounts[_key(set)];
    }

    function getRedistributionRecipient(OperatorSet calldata set) external view returns (address) {
        address recipient = _recipients[_key(set)];
        return recipient == address(0) ? BURN : recipient;
    }

    function isRedistributingOperatorSet(OperatorSet calldata set) external view returns (bool) {
        return _recipients[_key(set)] != address(0);
    }
}
