// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DevToken} from "../devnet/DevToken.sol";
import {EigenLayerAdapter} from "../src/EigenLayerAdapter.sol";
import {IKarakCore, IKarakHooks, IKarakVault} from "../src/interfaces/IKarak.sol";
import {Loss} from "../src/interfaces/IAdapter.sol";
import {KarakAdapter} from "../src/KarakAdapter.sol";
import {Palisade} from "../src/Palisade.sol";
import {IToken} from "./doubles/EigenLayerFunds.sol";
import {KarakBase, KarakCore, KarakCoreAudited, KarakSink, KarakVault} from "./doubles/Karak.sol";
import {FakeEigenLayer} from "./FakeEigenLayer.sol";
import {Vm, vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @title The adapter over a double of Karak, of either generation, with one operator and two vaults
abstract contract KarakWorld is World {
    uint48 internal constant UNSTAKE = 9 days;
    uint48 internal constant VETO = 2 days;
    address internal constant COMMITTEE = address(0xC0);
    bytes32 internal constant CASE = keccak256("case");
    /// @dev The most that an order takes.
    uint256 internal constant MOST = 0.4e18;

    KarakBase internal core;
    KarakAdapter internal karak;
    DevToken internal token;
    /// @dev Ascending.
    KarakVault[2] internal pots;

    function setUp() public virtual override {
        vm.roll(1_000);
        vm.warp(100 days);
        core = newCore();
        token = new DevToken();
        token.mint(address(this), type(uint128).max);
        (address a, address b) = (newVault(), newVault());
        (pots[0], pots[1]) = a < b ? (KarakVault(a), KarakVault(b)) : (KarakVault(b), KarakVault(a));
        address[] memory adapters = list(vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1));
        palisade = new Palisade(CHAIN, adapters, WINDOW, address(0), address(0));
        karak = new KarakAdapter(address(palisade), ORDERS, 0, address(core), both(), CUT, MOST, VETO);
        require(address(karak) == adapters[0], "predicted address");
        karak.join();
        register(OPERATOR, SECRET);
        vm.prank(OPERATOR);
        core.registerOperatorToDSS(address(karak), "");
    }

    function newCore() internal virtual returns (KarakBase);

    function newVault() internal returns (address vault) {
        vm.prank(OPERATOR);
        vault = core.deployVault(IToken(address(token)));
        token.approve(vault, type(uint256).max);
    }

    function both() internal view returns (address[] memory all) {
        all = new address[](2);
        (all[0], all[1]) = (address(pots[0]), address(pots[1]));
    }

    function update(KarakVault vault, bool toStake) internal {
        vm.prank(OPERATOR);
        KarakBase.QueuedStakeUpdate memory queued = core.requestUpdateVaultStakeInDSS(
            KarakBase.StakeUpdateRequest(address(vault), address(karak), toStake)
        );
        vm.warp(block.timestamp + UNSTAKE);
        core.finalizeUpdateVaultStakeInDSS(queued);
    }

    /// @dev Both vaults with something in them, staked in the order that is not the adapter's.
    function staked() internal {
        pots[0].deposit(1_000e18, address(this));
        pots[1].deposit(500e18, address(this));
        update(pots[1], true);
        update(pots[0], true);
    }

    /// @dev Empty while it is pending.
    function slash(bytes32 id) internal returns (Loss[] memory losses) {
        bool pending;
        vm.prank(address(palisade));
        (losses, pending) = karak.slash(OPERATOR, id);
        require(pending == (losses.length == 0), "pending");
    }

    function slashFails(bytes memory reason) internal {
        vm.prank(address(palisade));
        vm.expectRevert(reason);
        karak.slash(OPERATOR, CASE);
    }

    /// @dev Asks, and hands out what Karak will want back.
    function requested() internal returns (bytes memory request) {
        vm.recordLogs();
        require(slash(CASE).length == 0, "nothing is taken yet");
        return requestIn(vm.getRecordedLogs());
    }

    /// @dev The request that was made, by whomever.
    function requestIn(Vm.Log[] memory logs) internal pure returns (bytes memory request) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == KarakAdapter.Requested.selector) request = abi.decode(logs[i].data, (bytes));
        }
        require(request.length > 0, "asked");
    }

    function cancel(bytes memory request) internal virtual;

    function finalize(bytes memory request) internal virtual;

    function expect(Loss memory loss, KarakVault vault, uint256 before, uint256 afterwards) internal pure {
        require(loss.asset == address(vault), "asset");
        require(loss.before == before && loss.afterwards == afterwards, "amounts");
    }
}

abstract contract KarakAdapterTest is KarakWorld {
    function test_r24_a_slash_is_asked_for_and_taken_after_the_veto_window() public {
        staked();
        requested();
        (bytes32 id, uint256 since,) = karak.underWay(OPERATOR);
        require(id == CASE && since == block.timestamp, "under way");
        vm.warp(since + VETO - 1);
        require(slash(CASE).length == 0, "the window's last second");
        vm.warp(since + VETO);
        Loss[] memory losses = slash(CASE);
        expect(losses[0], pots[0], 1_000e18, 750e18);
        expect(losses[1], pots[1], 500e18, 375e18);
        require(token.balanceOf(address(core.sink())) == 375e18, "to a sink");
        (id, since,) = karak.underWay(OPERATOR);
        require(id == 0 && since == 0, "over");
    }

    function test_r24_the_judge_calls_a_case_done_when_karak_shows_the_loss() public {
        staked();
        vm.recordLogs();
        palisade.slash(pairOf(7, "a", "b"));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.SlashPending.selector) == 1, "pending");
        require(convicted() && done() == 0, "convicted, not done");
        vm.warp(block.timestamp + VETO);
        vm.recordLogs();
        palisade.slash(pairOf(7, "a", "b"));
        logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.Slashed.selector) == 2 && done() == 1, "done");
        refused(pairOf(7, "a", "b"), abi.encodeWithSelector(Palisade.AlreadySlashed.selector, ledgerCase()));
    }

    function test_a_whole_is_100e18_on_karak() public view {
        require(core.getDssMaxSlashablePercentageWad(address(karak)) == 40e18, "the most that anybody takes");
    }

    /// @dev Whatever is staked and holds something loses the fraction, ascending; the others are not asked for.
    function testFuzz_every_staked_vault_loses_the_fraction(uint96 a, uint96 b, bool stakeA, bool stakeB) public {
        if (a > 0) pots[0].deposit(a, address(this));
        if (b > 0) pots[1].deposit(b, address(this));
        if (stakeB) update(pots[1], true);
        if (stakeA) update(pots[0], true);
        uint256 count = (stakeA && a > 3 ? 1 : 0) + (stakeB && b > 3 ? 1 : 0);
        bool anything = stakeA && a > 0 || stakeB && b > 0;
        if (!anything) {
            slashFails(abi.encodeWithSelector(KarakAdapter.NothingSlashable.selector, OPERATOR));
            return;
        }
        requested();
        vm.warp(block.timestamp + VETO);
        if (count == 0) {
            // A quarter of three units is nothing.
            slashFails(abi.encodeWithSelector(KarakAdapter.LossNotSeen.selector, OPERATOR));
            return;
        }
        Loss[] memory losses = slash(CASE);
        for (uint256 i = 0; i < losses.length; ++i) {
            require(i == 0 || losses[i - 1].asset < losses[i].asset, "ascending");
            uint256 expected = losses[i].asset == address(pots[0]) ? a : b;
            require(losses[i].before == expected, "before");
            require(losses[i].afterwards == expected - expected / 4, "a quarter, rounded down");
        }
    }

    function test_r24_a_veto_ends_the_case_and_no_other() public {
        staked();
        bytes memory request = requested();
        vm.recordLogs();
        cancel(request);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 told;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != KarakAdapter.Vetoed.selector) continue;
            require(logs[i].topics[1] == CASE && address(uint160(uint256(logs[i].topics[2]))) == OPERATOR, "whose");
            require(address(uint160(uint256(logs[i].topics[3]))) == address(pots[told++]), "which vault");
        }
        require(told == 2 && karak.isVetoed(OPERATOR, CASE, false), "told");
        vm.warp(block.timestamp + VETO);
        slashFails(abi.encodeWithSelector(KarakAdapter.CaseVetoed.selector, CASE));
        require(pots[0].totalAssets() == 1_000e18, "nothing is lost");
        slash("another");
        vm.warp(block.timestamp + VETO);
        expect(slash("another")[0], pots[0], 1_000e18, 750e18);
    }

    /// @dev The hook's failure is ignored by Karak; what is queued no more and took nothing was cancelled.
    function test_r24_a_veto_that_nobody_told_is_seen() public {
        staked();
        bytes memory request = requested();
        vm.mockCallRevert(address(karak), abi.encodeWithSelector(IKarakHooks.cancelSlashingHook.selector), "");
        cancel(request);
        vm.clearMockedCalls();
        require(!karak.isVetoed(OPERATOR, CASE, false), "not told");
        vm.warp(block.timestamp + VETO);
        vm.prank(address(palisade));
        (Loss[] memory losses, bool pending) = karak.slash(OPERATOR, CASE);
        require(losses.length == 0 && !pending && karak.isVetoed(OPERATOR, CASE, false), "seen");
        slashFails(abi.encodeWithSelector(KarakAdapter.CaseVetoed.selector, CASE));
    }

    /// @dev Anybody may carry a request out; deposits and withdrawals since then hide nothing.
    function test_r24_what_somebody_else_carried_out_is_seen() public {
        staked();
        bytes memory request = requested();
        pots[0].deposit(3_000e18, address(this));
        vm.warp(block.timestamp + VETO);
        finalize(request);
        uint256 left = pots[0].totalAssets();
        Loss[] memory losses = slash(CASE);
        expect(losses[0], pots[0], 4_000e18, left);
        require(left < 4_000e18, "a loss");
        expect(losses[1], pots[1], 500e18, 375e18);
    }

    function test_r24_a_vault_that_reverts_holds_up_the_request_and_loses_nothing() public {
        staked();
        requested();
        pots[1].breakDown(true);
        vm.warp(block.timestamp + VETO);
        slashFails(abi.encodeWithSignature("Error(string)", "broken vault"));
        require(pots[0].totalAssets() == 1_000e18, "nothing is taken");
        pots[1].breakDown(false);
        expect(slash(CASE)[1], pots[1], 500e18, 375e18);
    }

    function test_a_vault_whose_views_fail_is_left_out() public {
        staked();
        vm.mockCallRevert(address(pots[0]), abi.encodeWithSelector(IKarakVault.totalSupply.selector), "");
        requested();
        vm.clearMockedCalls();
        vm.warp(block.timestamp + VETO);
        Loss[] memory losses = slash(CASE);
        require(losses.length == 1, "one");
        expect(losses[0], pots[1], 500e18, 375e18);
    }

    function test_r24_a_slash_that_shows_no_loss_is_undone() public {
        staked();
        requested();
        vm.warp(block.timestamp + VETO);
        pots[0].goBlind(true);
        pots[1].goBlind(true);
        slashFails(abi.encodeWithSelector(KarakAdapter.LossNotSeen.selector, OPERATOR));
        pots[0].goBlind(false);
        Loss[] memory losses = slash(CASE); // one that shows is enough: the core asks no second time
        expect(losses[0], pots[0], 1_000e18, 750e18);
        expect(losses[1], pots[1], 500e18, 500e18);
    }

    function test_another_case_of_the_operator_waits_for_its_turn() public {
        staked();
        requested();
        require(slash("another").length == 0, "waits");
        vm.warp(block.timestamp + VETO);
        require(slash("another").length == 0, "still");
        slash(CASE);
        require(slash("another").length == 0, "asked");
        vm.warp(block.timestamp + VETO);
        expect(slash("another")[0], pots[0], 750e18, 562.5e18);
    }

    function part(bytes32 id, uint256 wad) internal returns (Loss[] memory losses, bool pending) {
        vm.prank(ORDERS);
        return karak.slashPart(OPERATOR, id, wad, 1_000);
    }

    function partFails(bytes32 id, uint256 wad, bytes memory reason) internal {
        vm.prank(ORDERS);
        vm.expectRevert(reason);
        karak.slashPart(OPERATOR, id, wad, 1_000);
    }

    function testFuzz_r11_an_order_takes_its_part_after_the_veto_window(uint256 wad) public {
        wad = 0.001e18 + wad % (MOST - 0.001e18 + 1);
        staked();
        (Loss[] memory losses, bool pending) = part(CASE, wad);
        require(losses.length == 0 && pending, "asked");
        (bytes32 id,, bool ordered) = karak.underWay(OPERATOR);
        require(id == CASE && ordered, "by an order");
        vm.warp(block.timestamp + VETO - 1);
        (losses, pending) = part(CASE, wad);
        require(losses.length == 0 && pending, "the window's last second");
        vm.warp(block.timestamp + 1);
        (losses, pending) = part(CASE, wad);
        require(losses.length == 2 && !pending, "taken");
        expect(losses[0], pots[0], 1_000e18, 1_000e18 - 1_000e18 * wad / 1e18);
        expect(losses[1], pots[1], 500e18, 500e18 - 500e18 * wad / 1e18);
    }

    /// @dev Each waits for the other's request to end, whatever their cases are called.
    function test_r26_an_order_and_an_equivocation_ask_one_after_the_other() public {
        staked();
        part(CASE, MOST);
        require(slash(CASE).length == 0, "the pair waits behind the order");
        vm.warp(block.timestamp + VETO);
        require(slash(CASE).length == 0, "and does not carry it out");
        (Loss[] memory losses,) = part(CASE, MOST);
        expect(losses[0], pots[0], 1_000e18, 600e18);
        require(slash(CASE).length == 0, "its turn");
        bool pending;
        (losses, pending) = part("another", MOST);
        require(losses.length == 0 && pending, "behind the pair");
        vm.warp(block.timestamp + VETO);
        expect(slash(CASE)[0], pots[0], 600e18, 450e18);
    }

    function test_r26_a_veto_of_an_order_ends_it_and_not_the_pair() public {
        staked();
        vm.recordLogs();
        part(CASE, MOST);
        bytes memory request = requestIn(vm.getRecordedLogs());
        cancel(request);
        require(karak.isVetoed(OPERATOR, CASE, true) && !karak.isVetoed(OPERATOR, CASE, false), "the order's");
        vm.warp(block.timestamp + VETO);
        partFails(CASE, MOST, abi.encodeWithSelector(KarakAdapter.CaseVetoed.selector, CASE));
        slash(CASE);
        vm.warp(block.timestamp + VETO);
        expect(slash(CASE)[0], pots[0], 1_000e18, 750e18);
    }

    /// @dev Orders.sol undoes a call that neither takes nor is pending: the veto would be forgotten.
    function test_r26_an_orders_veto_that_nobody_told_is_pending_once() public {
        staked();
        vm.recordLogs();
        part(CASE, MOST);
        bytes memory request = requestIn(vm.getRecordedLogs());
        vm.mockCallRevert(address(karak), abi.encodeWithSelector(IKarakHooks.cancelSlashingHook.selector), "");
        cancel(request);
        vm.clearMockedCalls();
        vm.warp(block.timestamp + VETO);
        (Loss[] memory losses, bool pending) = part(CASE, MOST);
        require(losses.length == 0 && pending && karak.isVetoed(OPERATOR, CASE, true), "seen, and kept");
        partFails(CASE, MOST, abi.encodeWithSelector(KarakAdapter.CaseVetoed.selector, CASE));
    }

    /// @dev With its floor it goes through; with whatever less, all of it does or nothing.
    function testFuzz_r24_no_gas_takes_an_order_by_half(uint32 some) public {
        staked();
        part(CASE, MOST);
        vm.warp(block.timestamp + VETO);
        uint256 floor = karak.gasFloor(OPERATOR);
        uint256 gas_ = 50_000 + uint256(some) % floor;
        vm.prank(ORDERS);
        try karak.slashPart{gas: gas_}(OPERATOR, CASE, MOST, 1_000) returns (Loss[] memory losses, bool pending) {
            require(losses.length == 2 && !pending && pots[1].totalAssets() == 300e18, "both");
        } catch {
            require(gas_ < floor && pots[0].totalAssets() == 1_000e18, "nothing");
            require(pots[1].totalAssets() == 500e18, "nothing at all");
        }
    }

    function test_r11_an_order_is_heard_from_its_contract_and_within_what_karak_was_told() public {
        vm.expectRevert(abi.encodeWithSelector(KarakAdapter.WrongCaller.selector, address(this)));
        karak.slashPart(OPERATOR, CASE, MOST, 1_000);
        vm.prank(address(palisade));
        vm.expectRevert(abi.encodeWithSelector(KarakAdapter.WrongCaller.selector, address(palisade)));
        karak.slashPart(OPERATOR, CASE, MOST, 1_000);
        partFails(CASE, MOST + 1, abi.encodeWithSelector(KarakAdapter.WrongFraction.selector, MOST + 1));
        partFails(CASE, 0, abi.encodeWithSelector(KarakAdapter.WrongFraction.selector, 0));
        partFails(CASE, MOST, abi.encodeWithSelector(KarakAdapter.NothingSlashable.selector, OPERATOR));
        require(karak.service() == 0 && karak.orders() == ORDERS, "the network's own");
    }

    function test_only_its_callers_are_heard() public {
        bytes memory reason = abi.encodeWithSelector(KarakAdapter.WrongCaller.selector, address(this));
        vm.expectRevert(reason);
        karak.slash(OPERATOR, CASE);
        vm.expectRevert(reason);
        karak.registrationHook(OPERATOR, "");
        vm.expectRevert(reason);
        karak.requestUpdateStakeHook(OPERATOR, IKarakHooks.StakeUpdateRequest(address(pots[0]), address(karak), true));
        vm.expectRevert(reason);
        karak.cancelSlashingHook(OPERATOR);
        vm.expectRevert(reason);
        karak.finishSlashingHook(OPERATOR);
        // Hooks for an operator without a request change nothing.
        vm.prank(address(core));
        karak.finishSlashingHook(OPERATOR);
        vm.prank(address(core));
        karak.cancelSlashingHook(OPERATOR);
        require(!karak.isVetoed(OPERATOR, 0, false), "nothing happened");
    }

    function test_it_names_the_hooks_it_has() public view {
        require(karak.supportsInterface(0x01ffc9a7), "ERC 165");
        require(karak.supportsInterface(IKarakHooks.registrationHook.selector), "registration");
        require(karak.supportsInterface(IKarakHooks.requestUpdateStakeHook.selector), "stake");
        require(karak.supportsInterface(IKarakHooks.cancelSlashingHook.selector), "cancel");
        require(karak.supportsInterface(IKarakHooks.finishSlashingHook.selector), "finish");
        require(!karak.supportsInterface(0xffffffff), "nothing else");
    }

    function test_operators_without_keys_and_vaults_that_are_not_listed_stay_out() public {
        vm.prank(address(0xB0B));
        bytes4 known = KarakAdapter.NotRegistered.selector;
        bytes32 reason = bytes32(abi.encodeWithSelector(known, address(0xB0B)));
        vm.expectRevert(abi.encodeWithSelector(KarakBase.DSSHookCallReverted.selector, reason));
        core.registerOperatorToDSS(address(karak), "");
        address stranger = newVault();
        reason = bytes32(abi.encodeWithSelector(KarakAdapter.UnlistedVault.selector, stranger));
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(KarakBase.DSSHookCallReverted.selector, reason));
        core.requestUpdateVaultStakeInDSS(KarakBase.StakeUpdateRequest(stranger, address(karak), true));
    }

    function test_vaults_are_ascending_and_few_and_the_fraction_is_a_fraction() public {
        bytes memory vaults = abi.encodeWithSelector(KarakAdapter.WrongVaults.selector);
        address[] memory wrong = new address[](2);
        refusedDeployment(wrong, CUT, vaults);
        (wrong[0], wrong[1]) = (both()[1], both()[0]);
        refusedDeployment(wrong, CUT, vaults);
        refusedDeployment(new address[](0), CUT, vaults);
        refusedDeployment(new address[](33), CUT, vaults);
        refusedDeployment(both(), 0, abi.encodeWithSelector(KarakAdapter.WrongFraction.selector, 0));
        refusedDeployment(both(), 1e18 + 1, abi.encodeWithSelector(KarakAdapter.WrongFraction.selector, 1e18 + 1));
    }

    function refusedDeployment(address[] memory list, uint256 wad, bytes memory reason) private {
        vm.expectRevert(reason);
        new KarakAdapter(address(palisade), ORDERS, 0, address(core), list, wad, CUT, VETO);
    }
}

contract KarakPercentagesTest is KarakAdapterTest {
    function newCore() internal override returns (KarakBase) {
        return new KarakCore(UNSTAKE, VETO, VETO, COMMITTEE);
    }

    function cancel(bytes memory request) internal override {
        vm.prank(COMMITTEE);
        KarakCore(address(core)).cancelSlashing(abi.decode(request, (KarakCore.QueuedSlashing)));
    }

    function finalize(bytes memory request) internal override {
        KarakCore(address(core)).finalizeSlashing(abi.decode(request, (KarakCore.QueuedSlashing)));
    }

    /// @dev The percentage is of what the vault holds in the end.
    function test_what_came_in_the_window_loses_too() public {
        staked();
        requested();
        pots[0].deposit(1_000e18, address(this));
        vm.warp(block.timestamp + VETO);
        expect(slash(CASE)[0], pots[0], 2_000e18, 1_500e18);
    }

    function test_a_vault_that_was_unstaked_meanwhile_is_skipped() public {
        staked();
        requested();
        update(pots[0], false); // nobody carried the request out in these nine days
        Loss[] memory losses = slash(CASE);
        expect(losses[0], pots[0], 1_000e18, 1_000e18);
        expect(losses[1], pots[1], 500e18, 375e18);
    }

    function test_against_an_operator_who_left_nothing_is_carried_out() public {
        staked();
        requested();
        update(pots[0], false);
        update(pots[1], false);
        vm.prank(OPERATOR);
        core.unregisterOperatorFromDSS(address(karak));
        slashFails(abi.encodeWithSelector(KarakBase.OperatorNotValidatingForDSS.selector));
        // He comes back, and so does his stake.
        vm.prank(OPERATOR);
        core.registerOperatorToDSS(address(karak), "");
        update(pots[0], true);
        expect(slash(CASE)[0], pots[0], 1_000e18, 750e18);
    }
}

/// @title What the pair path costs whose only target is Karak, whole transactions
/// @dev See GasTest: test.sh runs this alone and isolated.
contract KarakGasTest is KarakWorld {
    function newCore() internal override returns (KarakBase) {
        return new KarakCore(UNSTAKE, VETO, VETO, COMMITTEE);
    }

    function cancel(bytes memory) internal override {}

    function finalize(bytes memory) internal override {}

    function test_a_slash_of_two_vaults() public {
        staked();
        Palisade.Pair memory pair = pairOf(7, "a", "b");
        palisade.slash(pair);
        vm.snapshotValue("gas", "slash on Karak by a pair, two vaults: ask", vm.lastCallGas().gasTotalUsed);
        vm.warp(block.timestamp + VETO);
        palisade.slash(pair);
        vm.snapshotValue("gas", "slash on Karak by a pair, two vaults: take", vm.lastCallGas().gasTotalUsed);
        require(done() == 1, "done");
    }
}

/// @title The judge over two protocols, one of which fails
contract TwoTargetsTest is KarakWorld {
    function newCore() internal override returns (KarakBase) {
        return new KarakCore(UNSTAKE, VETO, VETO, COMMITTEE);
    }

    function cancel(bytes memory) internal override {}

    function finalize(bytes memory) internal override {}

    /// @dev A slash that reverts for one strategy takes nothing on EigenLayer, says why, and stays open; Karak goes on.
    function test_r24_a_strategy_that_reverts_is_named_and_the_other_target_goes_on() public {
        address[] memory adapters = new address[](2);
        uint64 nonce = vm.getNonce(address(this));
        adapters[0] = vm.computeCreateAddress(address(this), nonce + 1);
        adapters[1] = vm.computeCreateAddress(address(this), nonce + 2);
        palisade = new Palisade(CHAIN, adapters, WINDOW, address(0), address(0));
        adapter = new EigenLayerAdapter(
            address(palisade), ORDERS, 0, address(eigenlayer), address(eigenlayer), strategies(), CUT, "https://palisade.example"
        );
        karak = new KarakAdapter(address(palisade), ORDERS, 0, address(core), both(), CUT, MOST, VETO);
        require(address(karak) == adapters[1], "predicted address");
        karak.join();
        register(OPERATOR, SECRET);
        vm.prank(OPERATOR);
        core.registerOperatorToDSS(address(karak), "");
        staked();
        eigenlayer.stake(STRATEGY, 0.4e18, 1_000e18, 0);
        eigenlayer.stake(STRATEGY2, 0.4e18, 1_000e18, 0);
        eigenlayer.breakStrategy(STRATEGY2);
        vm.recordLogs();
        palisade.slash(pairOf(7, "a", "b"));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes memory reason = abi.encodeWithSelector(FakeEigenLayer.StrategyBroken.selector, STRATEGY2);
        require(keccak256(reasonIn(logs)) == keccak256(reason), "named");
        require(counted(logs, Palisade.SlashPending.selector) == 1 && done() == 0, "karak goes on");
        require(eigenlayer.shares(STRATEGY) == 1_000e18, "nothing is taken by half");
        vm.warp(block.timestamp + VETO);
        palisade.slash(pairOf(7, "a", "b"));
        require(done() == 2, "karak is done");
        eigenlayer.breakStrategy(address(0));
        palisade.slash(pairOf(7, "a", "b"));
        require(done() == 3 && eigenlayer.shares(STRATEGY2) == 900e18, "and eigenlayer, once it works");
    }
}

contract KarakEarmarkedTest is KarakAdapterTest {
    function newCore() internal override returns (KarakBase) {
        return new KarakCoreAudited(UNSTAKE, VETO, VETO, COMMITTEE);
    }

    function cancel(bytes memory request) internal override {
        vm.prank(COMMITTEE);
        KarakCoreAudited(address(core)).cancelSlashing(abi.decode(request, (KarakCoreAudited.QueuedSlashing)));
    }

    function finalize(bytes memory request) internal override {
        KarakCoreAudited(address(core)).finalizeSlashing(abi.decode(request, (KarakCoreAudited.QueuedSlashing)));
    }

    /// @dev The amount is fixed when it is asked for, so that less than the fraction may be taken, or all there is.
    function test_r24_what_was_taken_is_told_and_not_what_was_asked() public {
        staked();
        requested();
        pots[0].deposit(1_000e18, address(this));
        vm.warp(block.timestamp + VETO);
        expect(slash(CASE)[0], pots[0], 2_000e18, 1_750e18);
    }

    function test_an_operator_who_left_is_slashed_all_the_same() public {
        staked();
        requested();
        update(pots[0], false);
        update(pots[1], false);
        vm.prank(OPERATOR);
        core.unregisterOperatorFromDSS(address(karak));
        expect(slash(CASE)[0], pots[0], 1_000e18, 750e18);
    }
}

/// @title A Core of no known generation
contract StrangeCore {
    address private immutable _vault;
    bool private immutable _swaps;

    constructor(address vault, bool swaps) {
        (_vault, _swaps) = (vault, swaps);
    }

    function fetchVaultsStakedInDSS(address, address) external view returns (address[] memory vaults) {
        vaults = new address[](2); // twice the same
        (vaults[0], vaults[1]) = (_vault, _vault);
    }

    function requestSlashing(IKarakCore.SlashRequest calldata request)
        external
        view
        returns (IKarakCore.QueuedSlashing memory queued)
    {
        require(request.vaults.length == 1, "each once");
        address operator = _swaps ? msg.sender : request.operator;
        uint256[] memory amounts = new uint256[](1);
        return IKarakCore.QueuedSlashing(msg.sender, uint96(block.timestamp), operator, request.vaults, amounts, 0);
    }
}

contract StrangeKarakTest is World {
    function over(bool swaps) private returns (KarakAdapter karak) {
        address[] memory vaults = new address[](1);
        vaults[0] = address(new FullVault());
        address core = address(new StrangeCore(vaults[0], swaps));
        return new KarakAdapter(address(palisade), ORDERS, 0, core, vaults, CUT, CUT, 2 days);
    }

    function test_another_generation_is_named() public {
        KarakAdapter karak = over(false);
        vm.prank(address(palisade));
        karak.slash(OPERATOR, "case");
        vm.warp(block.timestamp + 2 days);
        vm.prank(address(palisade));
        vm.expectRevert(abi.encodeWithSelector(KarakAdapter.UnknownGeneration.selector));
        karak.slash(OPERATOR, "case");
    }

    function test_another_request_than_ours_is_refused() public {
        KarakAdapter karak = over(true);
        vm.prank(address(palisade));
        vm.expectRevert(abi.encodeWithSelector(KarakAdapter.WrongRequest.selector));
        karak.slash(OPERATOR, "case");
    }
}

contract FullVault {
    uint256 public constant totalAssets = 1e18;
    uint256 public constant totalSupply = 1e18;
}
