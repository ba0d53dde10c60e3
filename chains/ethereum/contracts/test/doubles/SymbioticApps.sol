// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IToken} from "../../src/interfaces/ISymbiotic.sol";

interface IMiddlewares {
    function middleware(address network) external view returns (address);
}

interface ITransfers is IToken {
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @title A vault of Symbiotic's core 2 and its delegator in one, as far as our adapter and its reader ask
/// @dev Written after the interfaces of core 2 (facts, section 2.2); no registry carries its code. Whoever calls is its curator.
contract SymbioticVaultV2 {
    uint64 public version = 3;
    address public immutable asset;
    mapping(address adapter => uint16) public adapterToIndex;
    uint16 private _count;
    /// @dev What the sweep at the start of a slash does: a call, or a failure.
    address private _swept;
    bytes private _sweep;

    error NothingToSweep();

    constructor(address asset_) {
        asset = asset_;
    }

    function delegator() external view returns (address) {
        return address(this);
    }

    function add(address adapter) external {
        adapterToIndex[adapter] = ++_count;
    }

    function setVersion(uint64 version_) external {
        version = version_;
    }

    function setSweep(address swept, bytes calldata sweep) external {
        (_swept, _sweep) = (swept, sweep);
    }

    function sweepPending() external returns (uint256) {
        if (_swept == address(0)) return 0;
        (bool success,) = _swept.call(_sweep);
        if (!success) revert NothingToSweep();
        return 0;
    }
}

/// @title An AppAdapter of core 2: the stake of one operator in one subnetwork
/// @dev What is asked back leaves `duration` after it was asked for, and is slashable until then; what is allocated, and what
/// is left when nothing waits to leave any more, begins a record of its own. A slash takes from what can be taken now.
contract SymbioticApp {
    struct Point {
        uint48 time;
        uint256 value;
    }

    /// @dev `debt` is told by the moment at which it leaves, `slashed` by the moment at which it was taken.
    struct Record {
        uint256 initial;
        Point[] debt;
        Point[] slashed;
    }

    address public vault;
    address public immutable asset;
    address public immutable burner;
    bytes32 public immutable subnetwork;
    address public immutable operator;
    uint48 public immutable duration;
    address private immutable _middlewares;
    Record[] private _records;
    Point[] private _newest;

    event Slash(uint256 amount);
    event Release(uint256 amount);

    error InsufficientSlash();
    error NotNetworkMiddleware();
    error NotNetworkOrMiddleware();

    constructor(
        address vault_,
        address middlewares,
        bytes32 subnetwork_,
        address operator_,
        uint48 duration_,
        address burner_
    ) {
        (vault, asset, _middlewares) = (vault_, SymbioticVaultV2(vault_).asset(), middlewares);
        (subnetwork, operator, duration, burner) = (subnetwork_, operator_, duration_, burner_);
        _records.push();
    }

    // ---- Views

    function totalAssets() public view returns (uint256) {
        return IToken(asset).balanceOf(address(this));
    }

    function freeAssets() public view returns (uint256) {
        return totalAssets() - slashable();
    }

    function slashable() public view returns (uint256) {
        return _left(_record(), type(uint48).max, uint48(block.timestamp));
    }

    function stake() external view returns (uint256) {
        return _left(_record(), type(uint48).max, uint48(block.timestamp) + duration - 1);
    }

    function stakeAt(uint48 timestamp) external view virtual returns (uint256) {
        return _left(_records[_at(_newest, timestamp)], timestamp, timestamp + duration - 1);
    }

    // ---- The network

    function slash(uint256 amount) external virtual {
        if (msg.sender != IMiddlewares(_middlewares).middleware(_network())) revert NotNetworkMiddleware();
        SymbioticVaultV2(SymbioticVaultV2(vault).delegator()).sweepPending();
        amount = _min(amount, slashable());
        if (amount == 0) revert InsufficientSlash();
        _take(amount);
        ITransfers(asset).transfer(burner, amount);
        emit Slash(amount);
    }

    function release(uint256 amount) external {
        if (msg.sender != _network() && msg.sender != IMiddlewares(_middlewares).middleware(_network())) {
            revert NotNetworkOrMiddleware();
        }
        amount = _min(amount, slashable());
        _take(amount);
        emit Release(amount);
    }

    // ---- The vault, whose part the tests play

    /// @dev The tokens are here already.
    function allocate() external {
        _begin(totalAssets());
    }

    /// @dev All that waits to leave, at least what it was: more is added, less begins anew when the rest is enough.
    function requestDeallocate(uint256 amount) external {
        uint256 left = slashable();
        uint256 held = totalAssets();
        if (held - _min(amount, held) >= left) {
            _begin(left);
        } else {
            Point[] storage debt = _record().debt;
            if (debt.length == 0 || debt[debt.length - 1].value < amount) {
                debt.push(Point(uint48(block.timestamp) + duration, amount));
            }
        }
    }

    /// @dev What is not slashable goes.
    function deallocate(address to) external {
        ITransfers(asset).transfer(to, freeAssets());
    }

    // ---- Inside

    function _begin(uint256 initial) private {
        _newest.push(Point(uint48(block.timestamp), _records.length));
        _records.push().initial = initial;
    }

    function _take(uint256 amount) private {
        Point[] storage slashed = _record().slashed;
        uint256 before = slashed.length == 0 ? 0 : slashed[slashed.length - 1].value;
        slashed.push(Point(uint48(block.timestamp), before + amount));
    }

    function _record() private view returns (Record storage) {
        return _records[_records.length - 1];
    }

    function _left(Record storage record, uint48 slashedUntil, uint48 leavesUntil) private view returns (uint256) {
        uint256 gone = _at(record.slashed, slashedUntil) + _at(record.debt, leavesUntil);
        return record.initial - _min(gone, record.initial);
    }

    /// @dev The last value at that time or before; zero without one.
    function _at(Point[] storage points, uint48 time) private view returns (uint256) {
        for (uint256 i = points.length; i > 0; --i) {
            if (points[i - 1].time <= time) return points[i - 1].value;
        }
        return 0;
    }

    function _network() private view returns (address) {
        return address(uint160(uint256(subnetwork) >> 96));
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}

/// @title An AppAdapter whose asset is another vault's share: its stake of the past is not supported
contract SymbioticRestakingApp is SymbioticApp {
    error Unsupported();

    constructor(
        address vault_,
        address middlewares,
        bytes32 subnetwork_,
        address operator_,
        uint48 duration_,
        address burner_
    ) SymbioticApp(vault_, middlewares, subnetwork_, operator_, duration_, burner_) {}

    function stakeAt(uint48) external pure override returns (uint256) {
        revert Unsupported();
    }
}

/// @title An AppAdapter that says it slashed and did not
contract SymbioticLiar is SymbioticApp {
    constructor(
        address vault_,
        address middlewares,
        bytes32 subnetwork_,
        address operator_,
        uint48 duration_,
        address burner_
    ) SymbioticApp(vault_, middlewares, subnetwork_, operator_, duration_, burner_) {}

    function slash(uint256 amount) external override {
        emit Slash(amount);
    }
}
