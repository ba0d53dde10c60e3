// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SymbioticAdapter} from "../src/SymbioticAdapter.sol";
import {Loss} from "../src/interfaces/IAdapter.sol";
import {DevToken} from "../devnet/DevToken.sol";
import {OddToken} from "./doubles/OddToken.sol";
import {SymbioticApp, SymbioticLiar, SymbioticRestakingApp, SymbioticVaultV2} from "./doubles/SymbioticApps.sol";
import {FakeDelegator, FakeSymbiotic} from "./SymbioticAdapter.t.sol";
import {Vm, vm} from "./Vm.sol";

/// @title Vaults that come after the network, of both cores
contract SymbioticListingTest {
    address private constant OPERATOR = address(0xA11CE);
    address private constant OTHER = address(0xB0B);
    address private constant ORDERS = address(0x0DE5);
    address private constant SINK = address(0xdEaD);
    uint48 private constant EPOCH = 4_000;

    DevToken private token = new DevToken();
    /// @dev Given at the construction; the core, too.
    FakeSymbiotic private core = made(1, 0, 0, SINK);
    SymbioticAdapter private adapter;
    /// @dev The compiler takes block.timestamp for a constant.
    uint256 private time = 1_000_000;

    function setUp() public {
        vm.warp(time);
        adapter = over(1);
    }

    function over(uint256 count) private returns (SymbioticAdapter) {
        SymbioticAdapter.Source[] memory sources = new SymbioticAdapter.Source[](count);
        sources[0].vault = address(core);
        for (uint256 i = 1; i < count; ++i) {
            sources[i].vault = address(made(1, 0, 0, SINK));
            for (uint256 j = i; j > 0 && sources[j].vault < sources[j - 1].vault; --j) {
                (sources[j].vault, sources[j - 1].vault) = (sources[j - 1].vault, sources[j].vault);
            }
        }
        address core_ = address(core);
        return new SymbioticAdapter(address(this), ORDERS, 0, core_, core_, core_, sources);
    }

    /// @dev The judge, which this contract is, knows these two.
    function openKeyId(address operator) external pure returns (uint32) {
        return operator == OPERATOR || operator == OTHER ? 1 : 0;
    }

    function pass(uint256 moment) private {
        time += moment;
        vm.warp(time);
    }

    function made(uint64 version, uint64 delegator, uint64 slasher, address burner) private returns (FakeSymbiotic vault) {
        vault = new FakeSymbiotic(version, delegator, slasher, burner);
        vault.setCollateral(address(token));
    }

    /// @dev Made for the operator in this very network.
    function own(uint64 slasher) private returns (FakeSymbiotic vault) {
        vault = made(2, 3, slasher, SINK);
        FakeDelegator(vault.delegator()).setPair(OPERATOR, address(adapter));
    }

    function app(uint256 amount) private returns (SymbioticApp made_) {
        made_ = new SymbioticApp(vaultV2(), address(core), adapter.subnetwork(), OPERATOR, EPOCH + 1, SINK);
        joined(made_, amount);
    }

    function vaultV2() private returns (address) {
        return address(new SymbioticVaultV2(address(token)));
    }

    function joined(SymbioticApp made_, uint256 amount) private {
        core.setForeign(address(made_));
        SymbioticVaultV2(made_.vault()).add(address(made_));
        if (amount == 0) return;
        token.mint(address(made_), amount);
        made_.allocate();
    }

    function list(address vault) private {
        vm.prank(OPERATOR);
        adapter.list(vault, address(core));
    }

    function refused(address vault, bytes memory reason) private {
        vm.prank(OPERATOR);
        vm.expectRevert(reason);
        adapter.list(vault, address(core));
    }

    function part(bytes32 id, uint256 wad) private returns (Loss[] memory losses, bool pending) {
        vm.prank(ORDERS);
        return adapter.slashPart(OPERATOR, id, wad, 1_000);
    }

    function one(address operator) private pure returns (address[] memory only) {
        only = new address[](1);
        only[0] = operator;
    }

    // ---- Who lists what

    function test_r24_an_operator_lists_for_himself_and_only_when_registered() public {
        FakeSymbiotic vault = own(0);
        vm.prank(address(0xBAD));
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.Unregistered.selector, address(0xBAD)));
        adapter.list(address(vault), address(core));
        // Nobody fills another's places.
        vm.prank(OTHER);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.OtherOperator.selector, address(vault), OPERATOR));
        adapter.list(address(vault), address(core));
        vm.recordLogs();
        list(address(vault));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == SymbioticAdapter.Listed.selector, "told");
        require(logs[0].topics[1] == word(OPERATOR) && logs[0].topics[2] == word(address(vault)), "whose, and what");
        require(logs[0].topics[3] == word(address(core)), "like which");
        require(adapter.vaultsOf(OPERATOR).length == 2 && adapter.vaultsOf(OTHER).length == 1, "his alone");
        require(FakeDelegator(vault.delegator()).maxNetworkLimit(adapter.subnetwork()) == type(uint256).max, "let in");
    }

    function word(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function test_r24_a_listing_is_for_ever_and_there_are_few() public {
        refused(address(core), abi.encodeWithSelector(SymbioticAdapter.AlreadyListed.selector, address(core)));
        FakeSymbiotic first = own(0);
        list(address(first));
        refused(address(first), abi.encodeWithSelector(SymbioticAdapter.AlreadyListed.selector, address(first)));
        for (uint256 i = 1; i < adapter.MAX_LISTED(); ++i) {
            list(address(own(0)));
        }
        refused(address(own(0)), abi.encodeWithSelector(SymbioticAdapter.TooManyListed.selector, OPERATOR));
        // All vaults of one slash fit into a transaction, whatever he lists.
        adapter = over(adapter.MAX_VAULTS() - 1);
        list(address(own(0)));
        refused(address(own(0)), abi.encodeWithSelector(SymbioticAdapter.TooManyListed.selector, OPERATOR));
        require(adapter.gasFloor(OPERATOR) == adapter.gasFloor(OTHER) * 8 / 7 - 14_285, "for what he has");
        require(adapter.gasFloor(OPERATOR) < 16_777_216, "a transaction's most (EIP-7825)");
    }

    function test_r08_what_is_not_as_genesis_vaults_are_is_refused_by_name() public {
        FakeSymbiotic vault = made(2, 4, 0, SINK);
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.WrongDelegator.selector, address(vault), 4));
        vault = made(3, 0, 0, SINK);
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.WrongVersion.selector, address(vault), 3));
        vault = made(1, 0, 2, SINK);
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.WrongSlasher.selector, address(vault), 2));
        vault = made(1, 0, 0, address(this));
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.NoSink.selector, address(vault), address(this)));
        vault = made(1, 2, 0, SINK);
        FakeDelegator(vault.delegator()).setPair(OTHER, address(0));
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.OtherOperator.selector, address(vault), OTHER));
        vault = own(0);
        FakeDelegator(vault.delegator()).setPair(OPERATOR, OTHER);
        bytes32 theirs = bytes32(uint256(uint160(OTHER)) << 96);
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.OtherNetwork.selector, address(vault), theirs));
        vault = own(0);
        vault.setCollateral(OTHER);
        refused(address(vault), abi.encodeWithSelector(SymbioticAdapter.OtherCollateral.selector, address(vault), OTHER));
        vault = own(0);
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.UnknownVault.selector, address(vault)));
        adapter.list(address(vault), address(vault));
    }

    function test_r08_what_the_factory_did_not_make_is_refused() public {
        FakeSymbiotic vault = own(0);
        core.setForeign(address(vault));
        vm.prank(OPERATOR);
        try adapter.list(address(vault), address(core)) {
            revert("listed");
        } catch {}
        SymbioticApp foreign = app(0);
        core.setForeign(foreign.vault());
        refused(address(foreign), abi.encodeWithSelector(SymbioticAdapter.NotVault.selector, address(foreign)));
        // Of a vault of its own, whose delegator never took it in.
        foreign = new SymbioticApp(vaultV2(), address(core), adapter.subnetwork(), OPERATOR, EPOCH + 1, SINK);
        core.setForeign(address(foreign));
        refused(address(foreign), abi.encodeWithSelector(SymbioticAdapter.NotVault.selector, address(foreign)));
    }

    /// @dev R4: what genesis' vault was checked for, a listed one is checked for by it.
    function testFuzz_r04_an_epoch_that_holds_less_than_the_one_it_follows_is_refused(uint16 some, bool veto) public {
        FakeSymbiotic vault = own(veto ? 1 : 0);
        uint48 epoch = EPOCH - 200 + some % 400;
        vault.setEpoch(epoch);
        uint256 lasts = veto ? epoch - 100 : epoch;
        if (lasts < EPOCH) {
            bytes4 selector = SymbioticAdapter.ShortEpoch.selector;
            refused(address(vault), abi.encodeWithSelector(selector, address(vault), lasts, EPOCH));
        } else {
            list(address(vault));
        }
    }

    // ---- Core 1

    /// @dev A vault made for him in this network, which could not be there before it.
    function test_r24_a_listed_vault_is_slashed_with_the_others_and_for_its_operator_only() public {
        FakeSymbiotic vault = own(0);
        list(address(vault));
        core.setStake(300);
        vault.setStake(70);
        (Loss[] memory losses, bool pending) = adapter.slash(OTHER, "other");
        require(losses.length == 1 && !pending && vault.gone() == 0, "it is none of his");
        core.setStake(900);
        (losses, pending) = adapter.slash(OPERATOR, "case");
        require(losses.length == 2 && !pending && losses[1].asset == address(vault), "both");
        require(losses[1].before == 70 && losses[1].afterwards == 0 && vault.gone() == 70, "all of it");
    }

    function test_r26_captures_and_orders_reach_a_listed_vault() public {
        FakeSymbiotic vault = own(0);
        list(address(vault));
        vault.setLeft(uint48(time), 90);
        adapter.note();
        pass(500);
        SymbioticAdapter.Seen memory seen = adapter.look(address(vault), one(OPERATOR));
        require(seen.delegator == 3 && seen.left[0][0] == 90, "seen by its capture");
        (Loss[] memory losses,) = part("case", 0.1e18);
        require(losses.length == 2 && losses[0].asset == address(vault) && losses[0].before == 9, "a tenth");
        require(losses[1].asset == address(core) && losses[1].before == 0, "nothing there");
    }

    /// @dev This network names nobody who may veto at a listed vault, so nothing waits.
    function test_r26_a_listed_vault_with_a_veto_slasher_is_taken_at_once() public {
        FakeSymbiotic vault = own(1);
        vault.setEpoch(EPOCH + 100);
        list(address(vault));
        vault.setStake(70);
        (Loss[] memory losses, bool pending) = adapter.slash(OPERATOR, "case");
        require(!pending && losses[0].before == 70 && vault.gone() == 70, "asked for and executed");
    }

    /// @dev One that takes all its gas, one that says nothing, one that shows no loss: the others go on.
    function test_r24_a_listed_vault_that_fails_stops_no_other() public {
        FakeSymbiotic vault = own(0);
        list(address(vault));
        SymbioticApp broken = app(50);
        list(address(broken));
        core.setStake(300);
        vault.setStake(70);
        vault.lose(0);
        SymbioticVaultV2(broken.vault()).setSweep(address(this), abi.encodeCall(this.burn, ()));
        (Loss[] memory losses, bool pending) = adapter.slash{gas: adapter.gasFloor(OPERATOR) + 50_000}(OPERATOR, "case");
        require(losses.length == 1 && losses[0].asset == address(core) && pending, "the third");
        vault.lose(type(uint256).max);
        SymbioticVaultV2(broken.vault()).setSweep(address(0), "");
        (losses, pending) = adapter.slash(OPERATOR, "case");
        require(losses.length == 2 && !pending && vault.gone() == 70 && token.balanceOf(SINK) == 50, "when they work");
    }

    function burn() external pure {
        while (true) {}
    }

    function testFuzz_r24_no_gas_serves_genesis_vault_and_starves_a_listed_one(uint32 some) public {
        FakeSymbiotic vault = own(0);
        list(address(vault));
        core.setStake(300);
        vault.setStake(70);
        uint256 gas_ = 100_000 + uint256(some) % adapter.gasFloor(OPERATOR);
        try adapter.slash{gas: gas_}(OPERATOR, "case") returns (Loss[] memory losses, bool) {
            require(losses.length == 2 && core.gone() == 300 && vault.gone() == 70, "both");
        } catch {
            require(gas_ < adapter.gasFloor(OPERATOR) && core.gone() == 0 && vault.gone() == 0, "nothing");
        }
    }

    // ---- Core 2

    function test_r08_an_app_of_another_kind_is_refused_by_name() public {
        (address apps, bytes32 ours) = (address(core), adapter.subnetwork());
        SymbioticApp bad = new SymbioticApp(vaultV2(), apps, ours, OTHER, EPOCH + 1, SINK);
        joined(bad, 0);
        refused(address(bad), abi.encodeWithSelector(SymbioticAdapter.OtherOperator.selector, address(bad), OTHER));
        bytes32 second = bytes32(uint256(ours) | 1);
        bad = new SymbioticApp(vaultV2(), apps, second, OPERATOR, EPOCH + 1, SINK);
        joined(bad, 0);
        refused(address(bad), abi.encodeWithSelector(SymbioticAdapter.OtherNetwork.selector, address(bad), second));
        bad = new SymbioticApp(vaultV2(), apps, ours, OPERATOR, EPOCH, SINK);
        joined(bad, 0);
        bytes4 short = SymbioticAdapter.ShortEpoch.selector;
        refused(address(bad), abi.encodeWithSelector(short, address(bad), EPOCH - 1, EPOCH));
        bad = new SymbioticApp(vaultV2(), apps, ours, OPERATOR, EPOCH + 1, address(this));
        joined(bad, 0);
        refused(address(bad), abi.encodeWithSelector(SymbioticAdapter.NoSink.selector, address(bad), address(this)));
        address odd = address(new OddToken());
        bad = new SymbioticApp(address(new SymbioticVaultV2(odd)), apps, ours, OPERATOR, EPOCH + 1, SINK);
        joined(bad, 0);
        refused(address(bad), abi.encodeWithSelector(SymbioticAdapter.OtherCollateral.selector, address(bad), odd));
        bad = app(0);
        SymbioticVaultV2(bad.vault()).setVersion(4);
        refused(address(bad), abi.encodeWithSelector(SymbioticAdapter.WrongVersion.selector, address(bad), 4));
        bad = new SymbioticRestakingApp(vaultV2(), apps, ours, OPERATOR, EPOCH + 1, SINK);
        joined(bad, 0);
        refused(address(bad), abi.encodeWithSelector(SymbioticRestakingApp.Unsupported.selector));
    }

    /// @dev The same stake, the same parts, in a vault of core 1 and in an AppAdapter: taken and booked the same.
    function testFuzz_r24_an_app_loses_what_a_vault_of_core_1_loses(uint64 stake, uint64 wad, bool first) public {
        (uint256 whole, uint256 share) = (1 + uint256(stake), 1 + uint256(wad) % 1e18);
        FakeSymbiotic vault = own(0);
        SymbioticApp twin = app(whole);
        vault.setStake(whole);
        list(first ? address(vault) : address(twin));
        list(first ? address(twin) : address(vault));
        (Loss[] memory losses, bool pending) = part("case", share);
        same(losses, pending, address(vault), vault.gone());
        require(losses[0].before == (whole * share + 1e18 - 1) / 1e18 && losses[0].afterwards == 0, "the part");
        if (vault.gone() == whole) return;
        pass(1);
        (losses, pending) = adapter.slash(OPERATOR, "pair");
        same(losses, pending, address(vault), whole);
        require(twin.slashable() == 0 && token.balanceOf(SINK) == whole, "the rest");
    }

    function same(Loss[] memory losses, bool pending, address vault, uint256 gone) private view {
        // Genesis' own has nothing and is told when the others are done.
        require(losses.length == 3 && !pending && losses[2].asset == address(core), "both, and the empty one");
        require(losses[0].asset == vault || losses[1].asset == vault, "his vault");
        require(losses[0].before == losses[1].before && losses[0].afterwards == losses[1].afterwards, "booked");
        require(token.balanceOf(SINK) == gone, "taken");
    }

    /// @dev Who asks for it back after the fault does not keep it, for the duration that is one second longer than counted.
    function test_r04_an_app_counts_by_its_captures_and_is_taken_until_they_end() public {
        SymbioticApp stake = app(100);
        list(address(stake));
        adapter.note();
        pass(10);
        stake.requestDeallocate(100);
        pass(1);
        require(stake.stake() == 0 && stake.slashable() == 100, "it leaves");
        pass(EPOCH / 4);
        adapter.note();
        SymbioticAdapter.Seen memory seen = adapter.look(address(stake), one(OPERATOR));
        require(seen.slasher == 2 && seen.delegator == 4 && seen.hasSink && seen.vetoDuration == 0, "by its name");
        require(seen.epochDuration == EPOCH && seen.pool == 100, "a second less than it lasts");
        require(seen.left[0][0] == 0 && seen.left[0][1] == 100, "by the older moment only");
        vm.warp(uint256(seen.captures[1]) + EPOCH);
        require(stake.slashable() == 100, "as long as it counts");
        (Loss[] memory losses,) = adapter.slash(OPERATOR, "case");
        require(losses[0].before == 100 && token.balanceOf(SINK) == 100, "and is taken");
        require(adapter.look(address(stake), one(OPERATOR)).left[0][1] == 0, "once");
        require(adapter.look(address(stake), one(OTHER)).left[0][1] == 0, "nobody else's");
    }

    /// @dev Whatever comes and goes: what is counted by a capture can be taken for as long as it counts, if nobody slashes.
    function testFuzz_r04_what_an_app_counts_stays_until_the_capture_ends(uint256 seed) public {
        SymbioticApp stake = app(1_000);
        list(address(stake));
        uint256 case_;
        for (uint256 i = 0; i < 12; ++i) {
            adapter.note();
            pass(1 + seed % 700);
            seed = uint256(keccak256(abi.encode(seed)));
            if (seed % 4 == 0) {
                token.mint(address(stake), 1 + seed % 97);
                stake.allocate();
            } else if (seed % 4 == 1) {
                stake.requestDeallocate(seed % 1_500);
            } else if (seed % 4 == 2) {
                stake.deallocate(address(this));
            } else if (stake.slashable() > 0) {
                part(bytes32(++case_), 1 + seed % 0.3e18);
            }
            keeps(stake);
        }
    }

    function keeps(SymbioticApp stake) private {
        SymbioticAdapter.Seen memory seen = adapter.look(address(stake), one(OPERATOR));
        for (uint256 i = 0; i < 4 && seen.captures[i] != 0; ++i) {
            uint256 end = uint256(seen.captures[i]) + seen.epochDuration;
            if (end < time || seen.left[0][i] == 0) continue;
            vm.warp(end);
            require(stake.slashable() >= seen.left[0][i], "it left too early");
            vm.warp(time);
            require(stake.slashable() >= seen.left[0][i], "more than there is");
        }
        // All that can be asked back is asked back now.
        uint256 snapshot = vm.snapshotState();
        stake.requestDeallocate(type(uint256).max);
        for (uint256 i = 0; i < 4 && seen.captures[i] != 0; ++i) {
            uint256 end = uint256(seen.captures[i]) + seen.epochDuration;
            if (end < time) continue;
            vm.warp(end);
            require(stake.slashable() >= seen.left[0][i], "it left after that");
        }
        require(vm.revertToState(snapshot), "undone");
        vm.warp(time);
    }

    function test_r24_an_app_that_took_nothing_is_not_believed() public {
        SymbioticLiar liar =
            new SymbioticLiar(vaultV2(), address(core), adapter.subnetwork(), OPERATOR, EPOCH + 1, SINK);
        joined(liar, 70);
        list(address(liar));
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.LossNotSeen.selector, address(liar)));
        adapter.slash(OPERATOR, "case");
    }

    /// @dev What a token keeps on the way to the sink was not shown to be lost.
    function test_r24_only_what_came_to_the_sink_is_booked() public {
        OddToken odd = new OddToken();
        core.setCollateral(address(odd));
        address vault = address(new SymbioticVaultV2(address(odd)));
        SymbioticApp stake = new SymbioticApp(vault, address(core), adapter.subnetwork(), OPERATOR, EPOCH + 1, SINK);
        odd.mint(address(stake), 1_000);
        joined(stake, 0);
        stake.allocate();
        list(address(stake));
        odd.chargeFee(100);
        (Loss[] memory losses,) = adapter.slash(OPERATOR, "case");
        require(losses[0].before == 1_000 && losses[0].afterwards == 10, "less the fee");
    }

    /// @dev What a sweep calls runs inside: the judge does not get through, and what is allocated meanwhile is another's.
    function test_r24_a_sweep_that_calls_back_or_allocates_changes_nothing_of_what_is_booked() public {
        SymbioticApp stake = app(100);
        list(address(stake));
        bytes memory again = abi.encodeCall(adapter.slash, (OPERATOR, "pair"));
        SymbioticVaultV2(stake.vault()).setSweep(address(this), abi.encodeCall(this.asJudge, (again)));
        part("case", 0.5e18);
        require(token.balanceOf(SINK) == 50, "half, and once");
        token.mint(address(stake), 900);
        SymbioticVaultV2(stake.vault()).setSweep(address(stake), abi.encodeCall(stake.allocate, ()));
        (Loss[] memory losses,) = adapter.slash(OPERATOR, "pair");
        require(losses[0].before == 50 && losses[0].afterwards == 0 && token.balanceOf(SINK) == 100, "what was asked");
        require(stake.slashable() == 900, "the rest is new");
    }

    function asJudge(bytes calldata call_) external {
        (bool success, bytes memory reason) = address(adapter).call(call_);
        require(!success && bytes4(reason) == SymbioticAdapter.Reentered.selector, "it went through");
    }

    /// @dev Nobody but the network and its middleware, which is this adapter, slashes or releases; it never releases.
    function test_r08_nobody_else_takes_or_releases() public {
        SymbioticApp stake = app(100);
        list(address(stake));
        vm.expectRevert(abi.encodeWithSelector(SymbioticApp.NotNetworkMiddleware.selector));
        stake.slash(1);
        vm.expectRevert(abi.encodeWithSelector(SymbioticApp.NotNetworkOrMiddleware.selector));
        stake.release(1);
    }
}
