// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "./Certificates.sol";
import {Committee} from "./Committee.sol";
import {Loss} from "./interfaces/IAdapter.sol";
import {IOrderTarget} from "./interfaces/IOrderTarget.sol";
import {IPalisade} from "./interfaces/IPalisade.sol";

/// @title Slashes for faults that no contract can check
/// @notice The ledger's operators certify an order: this part of what that set may take from this operator, for that
/// case. Anybody announces it here with its certificate and, once the delay is over and before the order expires, executes
/// it. What two thirds of a committee can do to an operator this way is bounded (R11): a service's set loses at most the
/// maximum that the service named when it registered, once a case, and everybody sees an order coming for `delayBlocks`.
/// The network itself is service zero, whose maximum stands since deployment. An order is done when the target's own views
/// have shown the loss (R24); until then anybody may try again. Nobody owns this contract and nothing in it can be changed.
///
/// An order of the network itself says that the ledger has convicted an operator: its announcement takes his weight out of
/// what Committee.sol counts, at once (R9). An order of a service takes stake and no weight, as in the ledger: whoever failed
/// a service did not contradict himself here.
///
/// The ledger gives a case a new order, with a new number, when an epoch ends before the old one is executed. Several
/// orders of one case may so be announced here, and only one of them takes anything.
contract Orders {
    /// @dev An order's bytes, integers big-endian: 200 of them, whose keccak256 the operators sign in the domain of orders
    /// with the number as slot.
    struct Order {
        uint64 number;
        uint32 epoch;
        bytes32 chainId;
        address orders;
        uint64 evmChainId;
        bytes32 caseId;
        address operator;
        bytes32 service;
        address adapter;
        uint64 wad;
        uint64 capture;
        uint64 expiry;
    }

    /// @dev An announced order.
    struct Announcement {
        bytes32 digest;
        /// The first Ethereum block in which it may be executed.
        uint64 from;
    }

    /// A service named the most that an order may take of its operator set at `adapter`, of 1e18.
    event ServiceRegistered(bytes32 indexed service, address indexed adapter, uint64 maximum);
    /// A service registered: its domains and what its verdicts may take follow from these rules, for ever (R14).
    event ServiceDeclared(bytes32 indexed service, uint64 indexed registration, bytes rules);
    /// A certified order is known here and may be executed from block `from` on.
    event Announced(uint64 indexed number, bytes32 indexed caseId, address indexed adapter, uint64 from, bytes order);
    /// What the target's views show of one asset immediately before and after. As in Palisade.sol, so that one reader serves.
    event Slashed(
        bytes32 indexed caseId,
        address indexed operator,
        address indexed adapter,
        address asset,
        uint256 before,
        uint256 afterwards
    );
    /// The order's target has shown the loss: no order of this case does anything there any more.
    event Executed(uint64 indexed number, bytes32 indexed caseId, address indexed adapter);
    /// The target takes its time: whoever executes again drives it on.
    event Pending(uint64 indexed number, bytes32 indexed caseId, address indexed adapter);

    /// An order has 200 bytes.
    error WrongLength(uint256 length);
    /// The order is another network's.
    error OtherChain(bytes32 chainId);
    /// The order is for another contract, or for this address on another Ethereum chain.
    error OtherContract(address orders, uint64 evmChainId);
    /// The order is of another epoch than the committee that signed it (R3).
    error WrongEpoch(uint32 epoch, uint32 signedIn);
    /// Nobody registered this operator set.
    error UnknownService(bytes32 service, address adapter);
    /// The order takes more than the service registered, or nothing.
    error OverMaximum(uint64 wad, uint64 maximum);
    /// A maximum is in (0, 1e18], for ever.
    error WrongMaximum(uint64 maximum);
    /// Rules have at most 1,024 bytes, and some.
    error WrongRules(uint256 length);
    /// A service without an operator set has nothing that rules could take.
    error NoOperatorSet(bytes32 service);
    /// The operator set is registered, and what was registered stands.
    error AlreadyRegistered(bytes32 service, address adapter);
    /// The operator set is another service's.
    error WrongService(bytes32 service);
    /// An order with this number is announced already; another one with the same number is a fault of its signers.
    error AlreadyAnnounced(uint64 number);
    /// No such order was announced.
    error NotAnnounced(uint64 number);
    /// The delay is not over.
    error TooEarly(uint64 from);
    /// The order's last block is over, or comes before the delay ends.
    error Expired(uint64 expiry);
    /// An order of this case has taken its part there.
    error AlreadyExecuted(bytes32 caseId, address adapter);
    /// Less gas is left than the adapter may need.
    error TooLittleGas(address adapter, uint256 needed);
    /// The target neither shows a loss nor says that it takes its time, so everything is undone.
    error LossNotSeen(address adapter);
    /// A target called back.
    error Reentered();
    /// Without a delay nobody sees an order coming.
    error NoDelay();

    /// @notice The hash of genesis.
    bytes32 public immutable chainId;
    /// @notice The light client; its code may come later at this address (R6).
    Committee public immutable committee;
    /// @notice How many Ethereum blocks lie between an order's announcement and its execution at least.
    uint64 public immutable delayBlocks;
    /// @notice The most that one order may take of a service's operator set, of 1e18; zero where nothing is registered.
    mapping(bytes32 service => mapping(address adapter => uint64 wad)) public maximum;

    /// @notice How often a service registered its rules: the number of the newest registration.
    mapping(bytes32 service => uint64 count) public registrations;

    mapping(uint64 number => Announcement) private _announced;
    /// By H(case | operator | service | adapter): whatever number or epoch the order has.
    mapping(bytes32 target => bool) private _done;
    mapping(bytes32 service => bool) private _hasSet;
    bool private transient _executing;

    /// @param adapters the network's own operator sets; their code may come later at these addresses.
    /// @param ownMaximum the most that an order may take of them, of 1e18.
    constructor(bytes32 chainId_, Committee committee_, uint64 delayBlocks_, address[] memory adapters, uint64 ownMaximum) {
        if (delayBlocks_ == 0) revert NoDelay();
        chainId = chainId_;
        committee = committee_;
        delayBlocks = delayBlocks_;
        for (uint256 i = 0; i < adapters.length; ++i) {
            _register(0, adapters[i], ownMaximum);
        }
    }

    // ---- Services

    /// @notice Names the most that an order may take of the caller's operator set at `adapter`. Once: operators who join
    /// the set know what it can cost them, for ever. The service's id is the caller's account as 32 bytes.
    function register(address adapter, uint64 wad) external {
        bytes32 service = bytes32(uint256(uint160(msg.sender)));
        // The set says whose it is, so that nobody registers another's before him.
        bytes32 owner = IOrderTarget(adapter).service();
        if (owner != service) revert WrongService(owner);
        _register(service, adapter, wad);
    }

    /// @notice Registers the caller's rules, which no contract reads: every follower does. New code of a service is a new
    /// registration, with domains of its own; what an earlier one says stands.
    /// @param rules what `ServiceRules` of the node writes.
    /// @return registration its number, from 1.
    function declare(bytes calldata rules) external returns (uint64 registration) {
        bytes32 service = bytes32(uint256(uint160(msg.sender)));
        if (rules.length == 0 || rules.length > MAX_RULES) revert WrongRules(rules.length);
        if (!_hasSet[service]) revert NoOperatorSet(service);
        registration = ++registrations[service];
        emit ServiceDeclared(service, registration, rules);
    }

    function _register(bytes32 service, address adapter, uint64 wad) private {
        if (wad == 0 || wad > WAD) revert WrongMaximum(wad);
        if (maximum[service][adapter] != 0) revert AlreadyRegistered(service, adapter);
        maximum[service][adapter] = wad;
        _hasSet[service] = true;
        emit ServiceRegistered(service, adapter, wad);
    }

    // ---- Orders

    /// @notice Takes an order in, with its certificate. Anybody may call. One of the network itself convicts at Palisade.sol;
    /// its own certificate still counts the convict, as the committee that signed it does.
    /// @param order number u64 | epoch u32 | chain id 32 | this contract 20 | EVM chain id u64 | case 32 | operator 20 |
    /// service 32 | adapter 20 | part u64, of 1e18 | capture u64 | expiry u64: 200 bytes.
    function announce(bytes calldata order, bytes calldata certificate) external {
        Order memory told = _parse(order);
        if (_announced[told.number].from != 0) revert AlreadyAnnounced(told.number);
        _checkNotDone(told);
        _checkCap(told);
        uint64 from = uint64(block.number) + delayBlocks;
        if (from > told.expiry) revert Expired(told.expiry);
        bytes32 digest = keccak256(order);
        committee.verifyOrder(told.number, digest, certificate);
        uint32 epoch = Certificates.epoch(certificate);
        if (epoch != told.epoch) revert WrongEpoch(told.epoch, epoch);
        _announced[told.number] = Announcement({digest: digest, from: from});
        if (told.service == 0) IPalisade(committee.palisade()).convictOrdered(told.operator);
        emit Announced(told.number, told.caseId, told.adapter, from, order);
    }

    /// @notice Carries an announced order out. Anybody may call; nothing is paid. Reverts, and leaves the order open to
    /// everybody, unless the target's views show the loss or the target says that it takes its time (R24).
    /// @param order the bytes that were announced.
    function execute(bytes calldata order) external {
        if (_executing) revert Reentered();
        _executing = true;
        Order memory told = _parse(order);
        _checkDue(told, keccak256(order));
        _checkNotDone(told);
        IOrderTarget target = IOrderTarget(told.adapter);
        uint256 needed = target.gasFloor(told.operator);
        // The inner call gets 63 of every 64 parts; whatever the target catches inside must not starve (R24).
        if (gasleft() - gasleft() / 64 < needed + CALL_GAS) revert TooLittleGas(told.adapter, needed);
        (Loss[] memory losses, bool pending) =
            target.slashPart(told.operator, told.caseId, told.wad, told.capture);
        bool seen = _report(told, losses);
        if (pending) {
            emit Pending(told.number, told.caseId, told.adapter);
        } else {
            if (!seen) revert LossNotSeen(told.adapter);
            _done[_target(told.caseId, told.operator, told.service, told.adapter)] = true;
            emit Executed(told.number, told.caseId, told.adapter);
        }
        _executing = false;
    }

    function _parse(bytes calldata order) private view returns (Order memory told) {
        if (order.length != ORDER_LENGTH) revert WrongLength(order.length);
        told = Order({
            number: uint64(bytes8(order[0:8])),
            epoch: uint32(bytes4(order[8:12])),
            chainId: bytes32(order[12:44]),
            orders: address(bytes20(order[44:64])),
            evmChainId: uint64(bytes8(order[64:72])),
            caseId: bytes32(order[72:104]),
            operator: address(bytes20(order[104:124])),
            service: bytes32(order[124:156]),
            adapter: address(bytes20(order[156:176])),
            wad: uint64(bytes8(order[176:184])),
            capture: uint64(bytes8(order[184:192])),
            expiry: uint64(bytes8(order[192:200]))
        });
        if (told.chainId != chainId) revert OtherChain(told.chainId);
        if (told.orders != address(this) || told.evmChainId != block.chainid) {
            revert OtherContract(told.orders, told.evmChainId);
        }
    }

    function _checkCap(Order memory told) private view {
        uint64 most = maximum[told.service][told.adapter];
        if (most == 0) revert UnknownService(told.service, told.adapter);
        if (told.wad == 0 || told.wad > most) revert OverMaximum(told.wad, most);
    }

    function _checkDue(Order memory told, bytes32 digest) private view {
        Announcement memory announced = _announced[told.number];
        if (announced.digest != digest) revert NotAnnounced(told.number);
        if (block.number < announced.from) revert TooEarly(announced.from);
        if (block.number > told.expiry) revert Expired(told.expiry);
    }

    function _checkNotDone(Order memory told) private view {
        if (isExecuted(told.caseId, told.operator, told.service, told.adapter)) {
            revert AlreadyExecuted(told.caseId, told.adapter);
        }
    }

    function _report(Order memory told, Loss[] memory losses) private returns (bool seen) {
        for (uint256 i = 0; i < losses.length; ++i) {
            Loss memory loss = losses[i];
            seen = seen || loss.afterwards < loss.before;
            emit Slashed(told.caseId, told.operator, told.adapter, loss.asset, loss.before, loss.afterwards);
        }
    }

    // ---- Reading

    /// @notice The digest of the order announced under a number, and the first block in which it may be executed; zero
    /// without one.
    function announcement(uint64 number) external view returns (bytes32 digest, uint64 from) {
        Announcement memory announced = _announced[number];
        return (announced.digest, announced.from);
    }

    /// @notice Whether an order of this case has taken its part of that operator set.
    function isExecuted(bytes32 caseId, address operator, bytes32 service, address adapter) public view returns (bool) {
        return _done[_target(caseId, operator, service, adapter)];
    }

    function _target(bytes32 caseId, address operator, bytes32 service, address adapter) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(caseId, operator, service, adapter));
    }

    uint256 private constant WAD = 1e18;
    uint256 private constant ORDER_LENGTH = 200;
    uint256 private constant MAX_RULES = 1_024;
    /// @dev What passing the call costs besides the adapter's own gas.
    uint256 private constant CALL_GAS = 5_000;
}
