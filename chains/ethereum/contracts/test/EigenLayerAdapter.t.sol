// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EigenLayerAdapter} from "../src/EigenLayerAdapter.sol";
import {Loss} from "../src/interfaces/IAdapter.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract EigenLayerAdapterTest is World {
    function test_it_is_born_with_one_operator_set() public view {
        require(keccak256(bytes(eigenlayer.metadataURI())) == keccak256("https://palisade.example"), "uri");
        require(eigenlayer.setStrategies(0) == STRATEGY && eigenlayer.setStrategies(1) == STRATEGY2, "strategies");
        require(adapter.supportsAVS(address(adapter)) && !adapter.supportsAVS(address(this)), "its own avs only");
    }

    function test_only_eigenlayer_registers_and_only_for_this_service_and_set() public {
        uint32[] memory ids = new uint32[](1);
        registration(address(this), OPERATOR, address(adapter), ids, EigenLayerAdapter.WrongCaller.selector);
        registration(address(eigenlayer), OPERATOR, address(this), ids, EigenLayerAdapter.WrongService.selector);
        registration(address(eigenlayer), OPERATOR, address(adapter), ids, bytes4(0));
        registration(
            address(eigenlayer), address(0xB0B), address(adapter), ids, EigenLayerAdapter.NotRegistered.selector
        );
        ids[0] = 1;
        registration(address(eigenlayer), OPERATOR, address(adapter), ids, EigenLayerAdapter.WrongOperatorSet.selector);
        ids = new uint32[](2);
        registration(address(eigenlayer), OPERATOR, address(adapter), ids, EigenLayerAdapter.WrongOperatorSet.selector);
    }

    /// @dev `expected` zero means that it succeeds.
    function registration(address caller, address operator, address avs, uint32[] memory ids, bytes4 expected) private {
        vm.prank(caller);
        try adapter.registerOperator(operator, avs, ids, "") {
            require(expected == 0, "accepted");
        } catch (bytes memory reason) {
            require(bytes4(reason) == expected, "refused for another reason");
        }
        vm.prank(caller);
        bool mayLeave = caller == address(eigenlayer) && avs == address(adapter);
        try adapter.deregisterOperator(operator, avs, ids) {
            require(mayLeave, "left");
        } catch {
            require(!mayLeave, "could not leave");
        }
    }

    function test_only_the_judge_slashes() public {
        vm.expectRevert(abi.encodeWithSelector(EigenLayerAdapter.WrongCaller.selector, address(this)));
        adapter.slash(OPERATOR, 0);
    }

    function test_strategies_are_ascending_and_few_and_the_fraction_is_a_fraction() public {
        address[] memory wrong = new address[](2);
        bytes memory reason = abi.encodeWithSelector(EigenLayerAdapter.WrongStrategies.selector);
        (wrong[0], wrong[1]) = (STRATEGY, STRATEGY);
        refusedDeployment(wrong, CUT, reason);
        (wrong[0], wrong[1]) = (STRATEGY2, STRATEGY);
        refusedDeployment(wrong, CUT, reason);
        refusedDeployment(new address[](0), CUT, reason);
        refusedDeployment(new address[](17), CUT, reason);
        refusedDeployment(strategies(), 0, abi.encodeWithSelector(EigenLayerAdapter.WrongFraction.selector, 0));
        refusedDeployment(
            strategies(), 1e18 + 1, abi.encodeWithSelector(EigenLayerAdapter.WrongFraction.selector, 1e18 + 1)
        );
    }

    function refusedDeployment(address[] memory list, uint256 wad, bytes memory reason) private {
        vm.expectRevert(reason);
        new EigenLayerAdapter(address(palisade), ORDERS, 0, address(eigenlayer), address(eigenlayer), list, wad, "uri");
    }

    function testFuzz_every_allocated_strategy_loses_the_fraction(
        uint64 magnitude1,
        uint64 magnitude2,
        uint96 shares1,
        uint96 shares2,
        uint96 queued
    ) public {
        (magnitude1, magnitude2) = (magnitude1 % 1e18, uint64(1e9 + magnitude2 % 1e18));
        if (magnitude2 > 1e18) magnitude2 = 1e18;
        eigenlayer.stake(STRATEGY, magnitude1, shares1, 0);
        eigenlayer.stake(STRATEGY2, magnitude2, 1e18 + uint256(shares2), queued);
        vm.prank(address(palisade));
        (Loss[] memory losses,) = adapter.slash(OPERATOR, 0);
        require(losses.length == (magnitude1 > 0 ? 2 : 1), "only what has a magnitude");
        Loss memory last = losses[losses.length - 1];
        require(last.asset == STRATEGY2, "ascending");
        // Up to the rounding of shares against magnitudes of at least 1e9.
        uint256 expected = last.before - last.before * CUT / 1e18;
        uint256 slack = last.before / 1e8 + 4;
        require(last.afterwards <= expected + slack && last.afterwards + slack >= expected, "the fraction");
    }

    function test_r11_only_the_judge_and_orders_take_anything_each_in_its_own_way() public {
        bytes memory wrong = abi.encodeWithSelector(EigenLayerAdapter.WrongCaller.selector, address(palisade));
        vm.prank(address(palisade));
        vm.expectRevert(wrong);
        adapter.slashPart(OPERATOR, 0, 1, 0);
        vm.prank(ORDERS);
        vm.expectRevert(abi.encodeWithSelector(EigenLayerAdapter.WrongCaller.selector, ORDERS));
        adapter.slash(OPERATOR, 0);
        for (uint256 i = 0; i < 2; ++i) {
            uint256 wad = i == 0 ? 0 : 1e18 + 1;
            vm.prank(ORDERS);
            vm.expectRevert(abi.encodeWithSelector(EigenLayerAdapter.WrongFraction.selector, wad));
            adapter.slashPart(OPERATOR, 0, wad, 0);
        }
        vm.prank(ORDERS);
        (Loss[] memory losses, bool pending) = adapter.slashPart(OPERATOR, 0, 0.5e18, 0);
        require(!pending, "at once");
        require(losses[0].before == 400e18 && losses[0].afterwards == 200e18, "half of what is allocated");
    }

    function test_stake_that_waits_in_the_queue_counts() public {
        eigenlayer.stake(STRATEGY, 0.4e18, 0, 1_000e18); // every staker has queued
        vm.prank(address(palisade));
        (Loss[] memory losses,) = adapter.slash(OPERATOR, 0);
        require(losses[0].before == 400e18 && losses[0].afterwards == 300e18, "a quarter of the set's part");
    }

    function test_answers_of_newer_cores_are_ignored() public {
        eigenlayer.answerLikeCore15(true);
        vm.prank(address(palisade));
        (Loss[] memory losses, bool pending) = adapter.slash(OPERATOR, 0);
        require(losses[0].afterwards == 299_999_999_999_999_999_700 && !pending, "slashed, as the core rounds");
    }

    function test_a_core_that_burns_its_gas_leaves_the_conviction() public {
        eigenlayer.goHungry(true);
        palisade.slash{gas: 6_000_000}(pairOf(7, "a", "b"));
        require(convicted(), "convicted");
        require(done() == 0, "open");
    }
}
