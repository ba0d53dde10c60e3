// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {EigenLayerAdapter} from "../src/EigenLayerAdapter.sol";
import {Loss} from "../src/interfaces/IAdapter.sol";
import {IOrderTarget} from "../src/interfaces/IOrderTarget.sol";
import {Orders} from "../src/Orders.sol";
import {Palisade} from "../src/Palisade.sol";
import {Certificate, Council, packed} from "./Council.sol";
import {FakeEigenLayer} from "./FakeEigenLayer.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Orders as a test writes them.
abstract contract Drawn is Council {
    uint64 internal constant DELAY = 5;
    uint64 internal constant MOST = 0.5e18;
    uint64 internal constant EXPIRY = SNAPSHOT + 60;
    bytes32 internal constant CASE = keccak256("case");
    address internal constant STRATEGY = address(0x1001);

    Orders internal orders;
    FakeEigenLayer internal eigenlayer;
    EigenLayerAdapter internal adapter;

    /// @dev Four operators, of whom the first has stake in the network's own set.
    function establish() internal {
        // Palisade.sol, the light client, EigenLayer and then Orders.sol.
        ordersAt = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 3);
        found(4);
        eigenlayer = new FakeEigenLayer();
        address[] memory own = new address[](1);
        own[0] = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        orders = new Orders(CHAIN, light, DELAY, own, MOST);
        adapter = adapterOf(0);
        require(address(orders) == ordersAt && address(adapter) == own[0], "predicted addresses");
        eigenlayer.stake(STRATEGY, 0.4e18, 1_000e18, 0);
    }

    function adapterOf(bytes32 service) internal returns (EigenLayerAdapter) {
        address[] memory strategies = new address[](1);
        strategies[0] = STRATEGY;
        address core = address(eigenlayer);
        return new EigenLayerAdapter(
            address(palisade), address(orders), service, core, core, strategies, 0.25e18, "https://palisade.example"
        );
    }

    function seated() internal pure returns (Seats memory) {
        return seats(1, SNAPSHOT, 4);
    }

    function drawn(uint64 number) internal view returns (Orders.Order memory order) {
        return Orders.Order({
            number: number,
            epoch: 1,
            chainId: CHAIN,
            orders: address(orders),
            evmChainId: uint64(block.chainid),
            caseId: CASE,
            operator: operator(0),
            service: 0,
            adapter: address(adapter),
            wad: 0.25e18,
            capture: SNAPSHOT,
            expiry: EXPIRY
        });
    }

    function encode(Orders.Order memory order) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(order.number, order.epoch, order.chainId, order.orders, order.evmChainId);
        bytes memory whom = abi.encodePacked(order.caseId, order.operator, order.service, order.adapter);
        return bytes.concat(head, whom, abi.encodePacked(order.wad, order.capture, order.expiry));
    }

    function certified(Seats memory all, bytes memory order) internal view returns (bytes memory) {
        uint64 number = uint64(bytes8(order));
        return packed(certify(all, everybody(all), palisade.domain(0, 0, 4), number, keccak256(order)));
    }

    function announce(Orders.Order memory order) internal returns (bytes memory encoded) {
        encoded = encode(order);
        orders.announce(encoded, certified(seated(), encoded));
    }

    function taken() internal view returns (uint256) {
        return 1_000e18 - eigenlayer.shares(STRATEGY);
    }
}

contract OrdersTest is Drawn {
    function setUp() public {
        establish();
    }

    function refusedAnnouncement(bytes memory encoded, bytes memory by, bytes memory reason) private {
        vm.expectRevert(reason);
        orders.announce(encoded, by);
    }

    function refusedAnnouncement(Orders.Order memory order, bytes memory reason) private {
        bytes memory encoded = encode(order);
        refusedAnnouncement(encoded, certified(seated(), encoded), reason);
    }

    function refusedExecution(bytes memory encoded, bytes memory reason) private {
        vm.expectRevert(reason);
        orders.execute(encoded);
    }

    function test_r11_a_certified_order_takes_its_part_after_the_delay() public {
        vm.recordLogs();
        bytes memory order = announce(drawn(5));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 2 && logs[0].topics[0] == Palisade.ConvictedByOrder.selector, "convicted");
        require(logs[1].topics[0] == Orders.Announced.selector && logs[1].topics[2] == CASE, "announced, by case");
        (uint64 from, bytes memory told) = abi.decode(logs[1].data, (uint64, bytes));
        require(from == block.number + DELAY && keccak256(told) == keccak256(order), "with its bytes");
        (bytes32 digest, uint64 kept) = orders.announcement(5);
        require(digest == keccak256(order) && kept == from, "kept");
        vm.roll(from);
        vm.recordLogs();
        orders.execute(order);
        logs = vm.getRecordedLogs();
        require(logs.length == 2 && logs[0].topics[0] == Orders.Slashed.selector, "what was lost");
        (address asset, uint256 before, uint256 afterwards) = abi.decode(logs[0].data, (address, uint256, uint256));
        require(asset == STRATEGY && before == 400e18 && before - afterwards == 100e18 + 300, "a quarter of 40 percent");
        require(logs[1].topics[0] == Orders.Executed.selector, "executed");
        require(orders.isExecuted(CASE, operator(0), 0, address(adapter)) && taken() == 100e18, "taken");
    }

    /// @dev Everything that is no order of this network, this contract or this chain, or asks for too much.
    function test_r11_hostile_orders_are_refused() public {
        Orders.Order memory order = drawn(5);
        order.chainId = "other";
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.OtherChain.selector, bytes32("other")));
        order = drawn(5);
        order.orders = address(0xDEAD);
        refusedAnnouncement(
            order, abi.encodeWithSelector(Orders.OtherContract.selector, address(0xDEAD), uint64(block.chainid))
        );
        order = drawn(5);
        order.evmChainId += 1;
        refusedAnnouncement(
            order, abi.encodeWithSelector(Orders.OtherContract.selector, address(orders), order.evmChainId)
        );
        order = drawn(5);
        order.wad = MOST + 1;
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.OverMaximum.selector, MOST + 1, MOST));
        order.wad = 0;
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.OverMaximum.selector, 0, MOST));
        order = drawn(5);
        order.service = bytes32(uint256(1));
        refusedAnnouncement(
            order, abi.encodeWithSelector(Orders.UnknownService.selector, order.service, address(adapter))
        );
        order = drawn(5);
        order.adapter = address(0xDEAD);
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.UnknownService.selector, 0, address(0xDEAD)));
        order = drawn(5);
        order.expiry = uint64(block.number) + DELAY - 1;
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.Expired.selector, order.expiry));
        bytes memory encoded = bytes.concat(encode(drawn(5)), hex"00");
        refusedAnnouncement(encoded, "", abi.encodeWithSelector(Orders.WrongLength.selector, 201));
        require(taken() == 0, "nothing was taken");
    }

    function test_r11_only_its_own_certificate_proves_an_order() public {
        bytes memory order = encode(drawn(5));
        bytes memory wrong = abi.encodeWithSelector(Bls.WrongSignature.selector);
        refusedAnnouncement(order, certified(seated(), encode(drawn(6))), wrong);
        for (uint16 kind = 1; kind < 6; ++kind) {
            if (kind == 4) continue;
            Certificate memory other = certify(seated(), 15, palisade.domain(0, 0, kind), 5, keccak256(order));
            refusedAnnouncement(order, packed(other), wrong);
        }
        Certificate memory few = certify(seated(), 3, palisade.domain(0, 0, 4), 5, keccak256(order));
        refusedAnnouncement(order, packed(few), abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 400));
        bytes memory by = certified(seated(), order);
        // Case, operator, part, capture and expiry are signed.
        uint8[5] memory places = [uint8(80), 110, 183, 191, 199];
        for (uint256 i = 0; i < places.length; ++i) {
            bytes memory changed = encode(drawn(5));
            changed[places[i]] ^= 0x01;
            refusedAnnouncement(changed, by, wrong);
        }
        orders.announce(order, by);
    }

    function test_r03_an_order_is_of_the_epoch_whose_committee_signed() public {
        Orders.Order memory order = drawn(5);
        order.epoch = 2;
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.WrongEpoch.selector, 2, 1));
        order.epoch = 0;
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.WrongEpoch.selector, 0, 1));
        Seats memory second = seats(2, SNAPSHOT + 2, 4);
        bytes memory block_ = header(1, 30, hash(second));
        light.handOver(block_, packed(certifyBlock(seated(), 15, block_)));
        order.epoch = 2;
        bytes memory encoded = encode(order);
        orders.announce(encoded, certified(second, encoded));
    }

    function test_a_number_is_announced_once_and_only_what_was_announced_is_executed() public {
        bytes memory order = announce(drawn(5));
        refusedAnnouncement(drawn(5), abi.encodeWithSelector(Orders.AlreadyAnnounced.selector, 5));
        Orders.Order memory twin = drawn(5);
        twin.wad = 0.3e18; // its signers signed two orders under one number
        refusedAnnouncement(twin, abi.encodeWithSelector(Orders.AlreadyAnnounced.selector, 5));
        vm.roll(block.number + DELAY);
        refusedExecution(encode(twin), abi.encodeWithSelector(Orders.NotAnnounced.selector, 5));
        refusedExecution(encode(drawn(6)), abi.encodeWithSelector(Orders.NotAnnounced.selector, 6));
        orders.execute(order);
    }

    function test_r11_neither_early_nor_late() public {
        bytes memory order = announce(drawn(5));
        uint64 from = uint64(block.number) + DELAY;
        refusedExecution(order, abi.encodeWithSelector(Orders.TooEarly.selector, from));
        vm.roll(from - 1);
        refusedExecution(order, abi.encodeWithSelector(Orders.TooEarly.selector, from));
        vm.roll(EXPIRY + 1);
        refusedExecution(order, abi.encodeWithSelector(Orders.Expired.selector, EXPIRY));
        vm.roll(EXPIRY);
        orders.execute(order);
    }

    function test_r11_an_order_that_ends_with_its_delay_can_be_executed_in_one_block() public {
        Orders.Order memory order = drawn(5);
        order.expiry = uint64(block.number) + DELAY;
        bytes memory encoded = announce(order);
        vm.roll(order.expiry);
        orders.execute(encoded);
    }

    /// @dev The ledger draws a case's order again in the next epoch; the old one may have been announced.
    function test_r25_one_case_is_taken_once_whatever_its_orders_numbers() public {
        bytes memory order = announce(drawn(5));
        bytes memory again = announce(drawn(6));
        vm.roll(block.number + DELAY);
        orders.execute(again);
        bytes memory reason = abi.encodeWithSelector(Orders.AlreadyExecuted.selector, CASE, address(adapter));
        refusedExecution(order, reason);
        refusedExecution(again, reason);
        refusedAnnouncement(drawn(7), reason);
        require(taken() == 100e18, "once");
        Orders.Order memory other = drawn(8);
        other.caseId = "another";
        order = announce(other);
        vm.roll(block.number + DELAY);
        orders.execute(order);
        require(taken() > 100e18, "another fault is another case");
    }

    function test_r24_a_failure_leaves_the_order_open_to_everybody() public {
        bytes memory order = announce(drawn(5));
        vm.roll(block.number + DELAY);
        eigenlayer.goDown(true);
        refusedExecution(order, abi.encodeWithSelector(FakeEigenLayer.OperatorNotSlashable.selector));
        eigenlayer.goDown(false);
        eigenlayer.goBlind(true);
        refusedExecution(order, abi.encodeWithSelector(EigenLayerAdapter.LossNotSeen.selector, operator(0)));
        eigenlayer.goBlind(false);
        eigenlayer.stake(STRATEGY, 0, 1_000e18, 0);
        refusedExecution(order, abi.encodeWithSelector(EigenLayerAdapter.NothingSlashable.selector, operator(0)));
        eigenlayer.stake(STRATEGY, 0.4e18, 1_000e18, 0);
        vm.prank(address(0xB0B));
        orders.execute(order);
        require(taken() == 100e18, "taken");
    }

    function test_r24_with_too_little_gas_nothing_is_tried() public {
        bytes memory order = announce(drawn(5));
        vm.roll(block.number + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Orders.TooLittleGas.selector, address(adapter), adapter.gasFloor(operator(0))));
        orders.execute{gas: 600_000}(order);
        orders.execute{gas: 1_000_000}(order);
    }

    /// @dev At the edge and everywhere else: an execution takes its part and is done, or changes nothing.
    function testFuzz_r24_no_gas_ends_an_order_that_took_nothing(uint32 some) public {
        bytes memory order = announce(drawn(5));
        vm.roll(block.number + DELAY);
        uint256 gas_ = 50_000 + uint256(some) % 1_000_000;
        uint256 floor = adapter.gasFloor(operator(0));
        try orders.execute{gas: gas_}(order) {
            require(gas_ > floor && taken() == 100e18, "taken");
            require(orders.isExecuted(CASE, operator(0), 0, address(adapter)), "done");
        } catch {
            require(gas_ < floor + 100_000 && taken() == 0, "nothing");
            require(!orders.isExecuted(CASE, operator(0), 0, address(adapter)), "and open");
        }
    }

    function test_r24_an_adapter_that_shows_no_loss_ends_nothing() public {
        Moody moody = new Moody(orders);
        moody.register(MOST);
        bytes memory order = announce(orderOf(moody, 5));
        vm.roll(block.number + DELAY);
        moody.become(Moody.Mood.Idle);
        refusedExecution(order, abi.encodeWithSelector(Orders.LossNotSeen.selector, address(moody)));
        moody.become(Moody.Mood.Empty);
        refusedExecution(order, abi.encodeWithSelector(Orders.LossNotSeen.selector, address(moody)));
        moody.become(Moody.Mood.Slow);
        vm.recordLogs();
        orders.execute(order);
        orders.execute(order);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 2 && logs[1].topics[0] == Orders.Pending.selector, "under way");
        require(!isDone(moody), "and open");
        moody.become(Moody.Mood.Honest);
        orders.execute(order);
        require(isDone(moody), "done");
    }

    function test_r24_a_target_that_calls_back_is_refused() public {
        Moody moody = new Moody(orders);
        moody.register(MOST);
        bytes memory order = announce(orderOf(moody, 5));
        bytes memory own = announce(drawn(6));
        vm.roll(block.number + DELAY);
        moody.say(order);
        refusedExecution(order, abi.encodeWithSelector(Orders.Reentered.selector));
        moody.say(own); // not even another order
        refusedExecution(order, abi.encodeWithSelector(Orders.Reentered.selector));
        orders.execute(own);
        moody.become(Moody.Mood.Honest);
        orders.execute(order);
    }

    function orderOf(Moody moody, uint64 number) private view returns (Orders.Order memory order) {
        order = drawn(number);
        (order.service, order.adapter) = (moody.service(), address(moody));
    }

    function isDone(Moody moody) private view returns (bool) {
        return orders.isExecuted(CASE, operator(0), moody.service(), address(moody));
    }

    function test_r11_a_service_names_its_maximum_once_and_for_its_own_set_only() public {
        address owner = address(0xB0B);
        bytes32 service = bytes32(uint256(uint160(owner)));
        EigenLayerAdapter set = adapterOf(service);
        vm.expectRevert(abi.encodeWithSelector(Orders.WrongService.selector, service));
        orders.register(address(set), MOST);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Orders.WrongService.selector, bytes32(0)));
        orders.register(address(adapter), MOST); // the network's own
        for (uint64 i = 0; i < 2; ++i) {
            uint64 wrong = i == 0 ? 0 : 1e18 + 1;
            vm.prank(owner);
            vm.expectRevert(abi.encodeWithSelector(Orders.WrongMaximum.selector, wrong));
            orders.register(address(set), wrong);
        }
        vm.prank(owner);
        orders.register(address(set), 0.1e18);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Orders.AlreadyRegistered.selector, service, address(set)));
        orders.register(address(set), 1e18);
        Orders.Order memory order = drawn(5);
        (order.service, order.adapter) = (service, address(set));
        refusedAnnouncement(order, abi.encodeWithSelector(Orders.OverMaximum.selector, order.wad, 0.1e18));
        order.wad = 0.1e18;
        bytes memory encoded = announce(order);
        vm.roll(block.number + DELAY);
        orders.execute(encoded);
        require(taken() == 40e18, "a tenth of what is allocated");
    }

    function test_r14_every_registration_of_a_service_has_a_number_of_its_own() public {
        address owner = address(0xB0B);
        bytes32 service = bytes32(uint256(uint160(owner)));
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Orders.NoOperatorSet.selector, service));
        orders.declare(hex"01");
        EigenLayerAdapter set = adapterOf(service);
        vm.prank(owner);
        orders.register(address(set), 0.1e18);
        for (uint256 i = 0; i < 2; ++i) {
            uint256 wrong = i == 0 ? 0 : 1_025;
            vm.prank(owner);
            vm.expectRevert(abi.encodeWithSelector(Orders.WrongRules.selector, wrong));
            orders.declare(new bytes(wrong));
        }
        for (uint64 number = 1; number <= 3; ++number) {
            vm.prank(owner);
            require(orders.declare(new bytes(1_024)) == number, "counted");
            require(orders.registrations(service) == number, "shown");
        }
        require(orders.registrations(0) == 0, "the network has no rules to declare");
    }

    function test_r11_there_is_no_contract_without_delay_or_without_a_maximum() public {
        vm.expectRevert(abi.encodeWithSelector(Orders.NoDelay.selector));
        new Orders(CHAIN, light, 0, new address[](0), MOST);
        vm.expectRevert(abi.encodeWithSelector(Orders.WrongMaximum.selector, 0));
        new Orders(CHAIN, light, DELAY, new address[](1), 0);
        vm.expectRevert(abi.encodeWithSelector(Orders.AlreadyRegistered.selector, 0, address(0)));
        new Orders(CHAIN, light, DELAY, new address[](2), MOST);
    }

    /// @dev The same file is read by consensus/types/src/order.rs.
    function test_an_order_is_packed_and_hashed_as_rust_does_it() public view {
        string memory json = vm.readFile("test/vectors/orders.json");
        string[3] memory at = [".orders[0].", ".orders[1].", ".orders[2]."];
        for (uint256 i = 0; i < at.length; ++i) {
            Orders.Order memory order;
            order.number = uint64(vm.parseJsonUint(json, string.concat(at[i], "number")));
            order.epoch = uint32(vm.parseJsonUint(json, string.concat(at[i], "epoch")));
            order.chainId = word(json, at[i], "chain");
            order.orders = account(json, at[i], "contract");
            order.evmChainId = uint64(vm.parseJsonUint(json, string.concat(at[i], "evmChainId")));
            order.caseId = word(json, at[i], "case");
            order.operator = account(json, at[i], "operator");
            order.service = word(json, at[i], "service");
            order.adapter = account(json, at[i], "adapter");
            order.wad = uint64(vm.parseJsonUint(json, string.concat(at[i], "wad")));
            order.capture = uint64(vm.parseJsonUint(json, string.concat(at[i], "capture")));
            order.expiry = uint64(vm.parseJsonUint(json, string.concat(at[i], "expiry")));
            bytes memory told = vm.parseJsonBytes(json, string.concat(at[i], "bytes"));
            require(keccak256(encode(order)) == keccak256(told), "bytes");
            require(keccak256(told) == word(json, at[i], "digest"), "digest");
        }
    }

    function word(string memory json, string memory at, string memory key) private view returns (bytes32) {
        return bytes32(vm.parseJsonBytes(json, string.concat(at, key)));
    }

    function account(string memory json, string memory at, string memory key) private view returns (address) {
        return address(bytes20(vm.parseJsonBytes(json, string.concat(at, key))));
    }

    /// @dev Convicts count neither as signers nor in the total (R9).
    function test_r09_a_convicts_signature_makes_no_order() public {
        bytes memory order = encode(drawn(5));
        Certificate memory three = certify(seated(), 14, palisade.domain(0, 0, 4), 5, keccak256(order));
        convict(3);
        refusedAnnouncement(order, packed(three), abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 300));
        Certificate memory all = certify(seated(), 15, palisade.domain(0, 0, 4), 5, keccak256(order));
        orders.announce(order, packed(all));
    }

    /// @dev From its announcement on, long before it takes anything (R9), in certificates and in hand-overs.
    function test_r09_an_order_of_the_network_takes_the_convicts_weight_at_once() public {
        bytes memory block_ = header(1, 30, hash(seats(2, SNAPSHOT + 2, 4)));
        (Certificate memory with, Certificate memory without) = (claimBy(7), claimBy(14));
        verify(statementOf(3, 9, DIGEST), with); // three of four
        announce(drawn(5));
        require(palisade.convictedAt(operator(0)) == block.number, "convicted");
        require(palisade.lastConvictionBlock() == block.number && taken() == 0, "before anything is taken");
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 300);
        vm.expectRevert(few);
        light.verifyClaim(9, DIGEST, packed(with));
        light.verifyClaim(9, DIGEST, packed(without));
        bytes memory by = packed(certifyBlock(seated(), 7, block_));
        vm.expectRevert(few);
        light.handOver(block_, by);
        light.handOver(block_, packed(certifyBlock(seated(), 14, block_)));
        // A pair still takes what a pair takes, and is a case of its own.
        convict(0);
        (bool convicted,) = palisade.caseOf(operator(0), 1);
        require(convicted, "by the pair");
    }

    /// @dev An order that is drawn again leaves later committees alone: their certificates go without weights.
    function test_r09_an_order_drawn_again_convicts_nobody_anew() public {
        announce(drawn(5));
        uint48 first = palisade.lastConvictionBlock();
        vm.roll(block.number + 10);
        Seats memory second = seats(2, uint64(first) + 5, 4);
        bytes memory block_ = header(1, 30, hash(second));
        light.handOver(block_, packed(certifyBlock(seated(), 14, block_)));
        Orders.Order memory again = drawn(6);
        again.epoch = 2;
        bytes memory encoded = encode(again);
        Certificate memory short = certify(second, 15, palisade.domain(0, 0, 4), 6, keccak256(encoded));
        short.weights = "";
        orders.announce(encoded, packed(short));
        require(palisade.lastConvictionBlock() == first, "long ago");
    }

    /// @dev What a service's order says is the service's business: the ledger convicts nobody for it, nor does this.
    function test_r09_an_order_of_a_service_takes_no_weight() public {
        Moody moody = new Moody(orders);
        moody.register(MOST);
        announce(orderOf(moody, 5));
        require(palisade.convictedAt(operator(0)) == 0 && palisade.lastConvictionBlock() == 0, "nobody");
        Certificate memory short = claimBy(15);
        short.weights = "";
        light.verifyClaim(9, DIGEST, packed(short));
    }

    function test_r09_only_orders_sol_convicts_by_an_order() public {
        vm.expectRevert(abi.encodeWithSelector(Palisade.WrongCaller.selector, address(this)));
        palisade.convictOrdered(operator(0));
        vm.prank(address(light));
        vm.expectRevert(abi.encodeWithSelector(Palisade.WrongCaller.selector, address(light)));
        palisade.convictOrdered(operator(0));
    }

    function claimBy(uint256 signers) private view returns (Certificate memory) {
        return certify(seated(), signers, palisade.domain(0, 0, 3), 9, DIGEST);
    }

    /// @dev Two orders under one number are a pair like any other.
    function test_r25_two_orders_under_one_number_convict_their_signer() public {
        Orders.Order memory twin = drawn(5);
        twin.wad = 0.3e18;
        convictOf(1, 4, 5, keccak256(encode(drawn(5))), keccak256(encode(twin)));
        (bool convicted,) = palisade.caseOf(operator(1), 4);
        require(convicted, "in the domain of orders");
        (convicted,) = palisade.caseOf(operator(1), 1);
        require(!convicted, "and in no other");
    }

    function testFuzz_r11_what_is_taken_is_the_part_and_never_more_than_the_maximum(uint64 wad, uint64 most, uint64 wait)
        public
    {
        most = uint64(1 + most % 1e18);
        wad = uint64(1 + wad % 1e18);
        wait = wait % 2 * DELAY + wait % 3;
        address owner = address(0xB0B);
        bytes32 service = bytes32(uint256(uint160(owner)));
        EigenLayerAdapter set = adapterOf(service);
        vm.prank(owner);
        orders.register(address(set), most);
        Orders.Order memory order = drawn(9);
        (order.service, order.adapter, order.wad) = (service, address(set), wad);
        if (wad > most) {
            refusedAnnouncement(order, abi.encodeWithSelector(Orders.OverMaximum.selector, wad, most));
            return;
        }
        bytes memory encoded = announce(order);
        uint64 from = uint64(block.number) + DELAY;
        vm.roll(block.number + wait);
        if (wait < DELAY) {
            refusedExecution(encoded, abi.encodeWithSelector(Orders.TooEarly.selector, from));
            require(taken() == 0, "not yet");
            return;
        }
        try orders.execute(encoded) {
            uint256 part = 400e18 * uint256(wad) / 1e18;
            // EigenLayer takes at least one unit of magnitude, and rounds against the operator.
            require(taken() >= part && taken() <= part + 2e3, "the part");
        } catch (bytes memory reason) {
            revert(string(reason));
        }
    }
}

/// @dev A service that is its own operator set, and does what its mood is.
contract Moody is IOrderTarget {
    enum Mood {
        Honest,
        Idle,
        Empty,
        Slow,
        Reentrant
    }

    Orders private immutable orders;
    Mood private mood;
    bytes private saying;

    constructor(Orders orders_) {
        orders = orders_;
    }

    function register(uint64 wad) external {
        orders.register(address(this), wad);
    }

    function become(Mood mood_) external {
        mood = mood_;
    }

    function say(bytes calldata order) external {
        (mood, saying) = (Mood.Reentrant, order);
    }

    function slashPart(address, bytes32, uint256, uint64) external returns (Loss[] memory losses, bool pending) {
        if (mood == Mood.Reentrant) orders.execute(saying);
        if (mood == Mood.Slow) return (losses, true);
        if (mood == Mood.Empty) return (losses, false);
        losses = new Loss[](1);
        (losses[0].before, losses[0].afterwards) = (10, mood == Mood.Idle ? 10 : 9);
    }

    function gasFloor(address) external pure returns (uint256) {
        return 100_000;
    }

    function service() external view returns (bytes32) {
        return bytes32(uint256(uint160(address(this))));
    }
}
