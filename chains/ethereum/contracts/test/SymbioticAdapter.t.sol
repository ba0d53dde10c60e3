// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SymbioticAdapter} from "../src/SymbioticAdapter.sol";
import {Loss} from "../src/interfaces/IAdapter.sol";
import {Vm, vm} from "./Vm.sol";

/// @title What the real core does not do on request; the rest is in deploy/devnet/tests/symbiotic.rs
contract SymbioticAdapterTest {
    address private constant OPERATOR = address(0xA11CE);
    address private constant ORDERS = address(0x0DE5);
    uint48 private constant EPOCH = 4_000;

    FakeSymbiotic private vault = new FakeSymbiotic(1, 0, 0, address(0xdEaD));
    SymbioticAdapter private adapter;
    /// @dev The compiler takes block.timestamp for a constant.
    uint256 private time = 1_000_000;

    function setUp() public {
        pass(0);
        adapter = deploy(vault, address(0));
    }

    function pass(uint256 moment) private {
        time += moment;
        vm.warp(time);
    }

    function deploy(FakeSymbiotic source, address resolver) private returns (SymbioticAdapter) {
        SymbioticAdapter.Source[] memory sources = new SymbioticAdapter.Source[](1);
        sources[0] = SymbioticAdapter.Source(address(source), resolver);
        return over(sources);
    }

    function over(SymbioticAdapter.Source[] memory sources) private returns (SymbioticAdapter) {
        address core = sources[0].vault;
        return new SymbioticAdapter(address(this), ORDERS, 0, core, core, core, sources);
    }

    /// @dev Over two vaults, the second of which may be vetoed: stake in both.
    function both() private returns (FakeSymbiotic instant, FakeSymbiotic veto) {
        (instant, veto) = (new FakeSymbiotic(1, 0, 0, address(0xdEaD)), new FakeSymbiotic(2, 1, 1, address(0xdEaD)));
        bool inOrder = address(instant) < address(veto);
        SymbioticAdapter.Source[] memory sources = new SymbioticAdapter.Source[](2);
        sources[inOrder ? 0 : 1] = SymbioticAdapter.Source(address(instant), address(0));
        sources[inOrder ? 1 : 0] = SymbioticAdapter.Source(address(veto), address(this));
        adapter = over(sources);
        instant.setStake(300);
        veto.setStake(200);
    }

    function part(bytes32 id, uint256 wad) private returns (Loss[] memory losses, bool pending) {
        vm.prank(ORDERS);
        return adapter.slashPart(OPERATOR, id, wad, 1_000);
    }

    function partFails(bytes32 id, uint256 wad, bytes memory reason) private {
        vm.prank(ORDERS);
        vm.expectRevert(reason);
        adapter.slashPart(OPERATOR, id, wad, 1_000);
    }

    function test_r24_only_the_judge_slashes_and_only_the_adapter_takes() public {
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.WrongCaller.selector, OPERATOR));
        adapter.slash(OPERATOR, 0);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.WrongCaller.selector, address(this)));
        adapter.take(0, OPERATOR, 0, 1e18, false);
    }

    function test_r08_only_sinks_that_nobody_can_own() public view {
        require(adapter.isSink(address(0xdEaD)) && adapter.isSink(address(uint160(type(uint64).max))), "no key, no code");
        require(!adapter.isSink(address(0)) && !adapter.isSink(address(0xfff)), "zero and precompiles");
        require(!adapter.isSink(address(uint160(1) << 64)) && !adapter.isSink(address(vault)), "somebody's");
    }

    function test_r08_vaults_of_other_kinds_are_refused_by_name() public {
        refused(new FakeSymbiotic(3, 0, 0, address(0xdEaD)), SymbioticAdapter.WrongVersion.selector);
        refused(new FakeSymbiotic(1, 4, 0, address(0xdEaD)), SymbioticAdapter.WrongDelegator.selector);
        refused(new FakeSymbiotic(1, 0, 2, address(0xdEaD)), SymbioticAdapter.WrongSlasher.selector);
        refused(new FakeSymbiotic(2, 3, 0, address(this)), SymbioticAdapter.NoSink.selector);
        deploy(new FakeSymbiotic(2, 3, 1, address(0xdEaD)), OPERATOR);
    }

    function refused(FakeSymbiotic source, bytes4 expected) private {
        try this.deployOne(source) {
            revert("accepted");
        } catch (bytes memory reason) {
            require(bytes4(reason) == expected, "refused for another reason");
        }
    }

    function deployOne(FakeSymbiotic source) external {
        deploy(source, address(0));
    }

    function test_r26_the_last_four_moments_are_remembered_a_quarter_of_an_epoch_apart() public {
        uint48[4] memory expected;
        for (uint48 i = 0; i < 6; ++i) {
            require(adapter.note(), "kept");
            expected = [uint48(time), expected[0], expected[1], expected[2]];
            pass(EPOCH / 4);
            require(!adapter.note(), "too early");
            pass(1);
        }
        require(keccak256(abi.encode(adapter.notes())) == keccak256(abi.encode(expected)), "newest first");
    }

    function test_r26_the_moment_that_leaves_the_most_is_taken() public {
        uint48[3] memory moments;
        for (uint256 i = 0; i < 3; ++i) {
            moments[i] = uint48(time);
            adapter.note();
            pass(EPOCH / 4 + 1);
        }
        (uint256[3] memory left, uint256 taken) = ([uint256(40), 70, 10], 70);
        for (uint256 i = 0; i < 3; ++i) {
            vault.setLeft(moments[i], left[i]);
        }
        (Loss[] memory losses, bool pending) = adapter.slash(OPERATOR, "case");
        require(losses.length == 1 && !pending && vault.slashedBy() == moments[1], "the second");
        require(losses[0].before == taken && losses[0].afterwards == 0, "all of it");
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.NothingSlashable.selector, OPERATOR));
        adapter.slash(OPERATOR, "case"); // a case takes once
    }

    function test_r24_what_the_vault_did_not_lose_is_not_booked() public {
        vault.setLeft(uint48(time - 1), 50);
        vault.lose(20); // others took the rest
        (Loss[] memory losses,) = adapter.slash(OPERATOR, "case");
        require(losses[0].before == 50 && losses[0].afterwards == 30, "twenty");
    }

    function test_r24_a_slash_without_a_loss_is_undone() public {
        vault.setLeft(uint48(time - 1), 50);
        vault.lose(0);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.LossNotSeen.selector, address(vault)));
        adapter.slash(OPERATOR, "case");
    }

    // ---- Orders

    function test_r11_only_orders_sol_takes_a_part_and_a_part_is_one() public {
        vault.setStake(100);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.WrongCaller.selector, address(this)));
        adapter.slashPart(OPERATOR, "case", 0.5e18, 1_000); // not even the judge
        partFails("case", 0, abi.encodeWithSelector(SymbioticAdapter.WrongPart.selector, 0));
        partFails("case", 1e18 + 1, abi.encodeWithSelector(SymbioticAdapter.WrongPart.selector, 1e18 + 1));
        require(adapter.service() == 0 && adapter.orders() == ORDERS && vault.gone() == 0, "nothing happened");
    }

    /// @dev The part, rounded up; then the pair takes exactly the rest, whatever the cases are called.
    function testFuzz_r11_an_order_takes_its_part_once_and_the_pair_the_rest(uint64 stake, uint64 wad, bool sameCase)
        public
    {
        (uint256 whole, uint256 share) = (1 + uint256(stake), 1 + uint256(wad) % 1e18);
        vault.setStake(whole);
        (Loss[] memory losses, bool pending) = part("case", share);
        uint256 taken = (whole * share + 1e18 - 1) / 1e18;
        require(losses.length == 1 && !pending && losses[0].asset == address(vault), "one vault");
        require(losses[0].before == taken && losses[0].afterwards == 0 && vault.gone() == taken, "the part");
        partFails("case", share, abi.encodeWithSelector(SymbioticAdapter.NothingSlashable.selector, OPERATOR));
        if (taken == whole) return;
        (losses,) = adapter.slash(OPERATOR, sameCase ? bytes32("case") : bytes32("pair"));
        require(losses[0].before == whole - taken && vault.gone() == whole, "the rest");
    }

    /// @dev Verdicts go in capture order: what was taken by a moment leaves nothing to take by an older one.
    function testFuzz_r26_orders_of_several_cases_take_one_after_the_other(uint32[4] calldata left, uint64 wad) public {
        uint256 share = 1 + uint256(wad) % 1e18;
        vault.setStake(0); // but by the moments that are remembered
        for (uint256 i = 0; i < 4; ++i) {
            vault.setLeft(uint48(time), left[i]);
            adapter.note();
            pass(EPOCH / 5 + 201);
        }
        uint48 last;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 before = vault.totalStake();
            try this.partOf(bytes32(i), share) returns (Loss[] memory losses) {
                require(vault.slashedBy() >= last && losses[0].before == before - vault.totalStake(), "in order");
                last = vault.slashedBy();
            } catch (bytes memory reason) {
                require(bytes4(reason) == SymbioticAdapter.NothingSlashable.selector, "only for want of stake");
            }
        }
    }

    function partOf(bytes32 id, uint256 wad) external returns (Loss[] memory losses) {
        (losses,) = part(id, wad);
    }

    function test_r24_an_order_waits_for_the_veto_and_is_done_when_all_vaults_show_it() public {
        (FakeSymbiotic instant, FakeSymbiotic veto) = both();
        (Loss[] memory losses, bool pending) = part("case", 0.5e18);
        require(losses.length == 1 && losses[0].asset == address(instant) && losses[0].before == 150, "at once");
        require(pending && veto.gone() == 0, "the other waits");
        (losses, pending) = part("case", 0.5e18);
        require(losses.length == 0 && pending && veto.requests() == 1, "still, and asked once");
        pass(100);
        (losses, pending) = part("case", 0.9e18); // another number's part changes nothing of what was asked
        require(losses.length == 1 && !pending && losses[0].before == 100 && veto.gone() == 100, "after its time");
        require(instant.gone() == 150, "once a vault");
        partFails("case", 0.5e18, abi.encodeWithSelector(SymbioticAdapter.NothingSlashable.selector, OPERATOR));
    }

    /// @dev Orders.sol undoes a call that neither takes nor is pending, and with it what the adapter learnt of a veto.
    function test_r26_a_veto_ends_an_order_there_and_the_pair_has_its_turn() public {
        (FakeSymbiotic instant, FakeSymbiotic veto) = both();
        part("case", 0.5e18);
        (Loss[] memory losses, bool pending) = adapter.slash(OPERATOR, "pair");
        require(losses.length == 1 && losses[0].before == 150 && pending, "the rest at once, and behind the order");
        require(behind(veto, "pair") && !behind(instant, "pair") && veto.requests() == 1, "it asks for nothing");
        veto.veto(0);
        require(!behind(veto, "pair"), "its turn");
        vm.recordLogs();
        (losses, pending) = part("case", 0.5e18);
        require(losses.length == 0 && pending, "kept");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == SymbioticAdapter.Vetoed.selector, "told");
        require(logs[0].topics[1] == "case", "by its case");
        partFails("case", 0.5e18, abi.encodeWithSelector(SymbioticAdapter.NothingSlashable.selector, OPERATOR));
        (losses, pending) = adapter.slash(OPERATOR, "pair");
        require(losses.length == 0 && pending && veto.requests() == 2, "asked for all");
        pass(100);
        (losses, pending) = adapter.slash(OPERATOR, "pair");
        require(losses.length == 1 && !pending && veto.gone() == 200, "all");
    }

    /// @dev The pair's request first: an order asks when that is over, for its part of what is left, which is nothing.
    function test_r26_an_order_waits_behind_an_equivocation() public {
        (FakeSymbiotic instant, FakeSymbiotic veto) = both();
        adapter.slash(OPERATOR, "pair");
        (Loss[] memory losses, bool pending) = part("pair", 0.5e18); // whatever the case is called
        require(losses.length == 0 && pending && veto.requests() == 1, "behind");
        pass(100);
        adapter.slash(OPERATOR, "pair");
        require(instant.gone() == 300 && veto.gone() == 200, "all");
        partFails("pair", 0.5e18, abi.encodeWithSelector(SymbioticAdapter.NothingSlashable.selector, OPERATOR));
        veto.setStake(300); // new stake
        (losses, pending) = part("pair", 0.5e18);
        require(losses.length == 0 && pending && veto.requests() == 2, "asked");
    }

    /// @dev A request that came too late is asked anew, for the order's part.
    function test_r26_a_request_that_lapsed_is_made_again() public {
        (, FakeSymbiotic veto) = both();
        part("case", 0.5e18);
        pass(EPOCH + 1);
        (, bool pending) = part("case", 0.5e18);
        require(pending && veto.requests() == 1, "given up");
        part("case", 0.5e18);
        pass(100);
        part("case", 0.5e18);
        require(veto.requests() == 2 && veto.gone() == 100, "taken");
    }

    function test_r24_a_vault_with_nothing_left_is_told_when_the_others_are_done() public {
        (FakeSymbiotic instant, FakeSymbiotic veto) = both();
        veto.setStake(0);
        (Loss[] memory losses, bool pending) = part("case", 0.5e18);
        require(losses.length == 2 && !pending, "both are told");
        require(losses[0].asset == address(instant) && losses[0].before == 150, "one lost");
        require(losses[1].asset == address(veto) && losses[1].before == 0 && losses[1].afterwards == 0, "one had nothing");
    }

    function test_r24_a_vault_that_fails_leaves_an_order_open() public {
        (FakeSymbiotic instant, FakeSymbiotic veto) = both();
        instant.lose(0);
        (, bool pending) = part("case", 0.5e18);
        require(pending && instant.gone() == 0, "the other goes on");
        veto.veto(0);
        (, pending) = part("case", 0.5e18);
        require(pending, "kept");
        partFails("case", 0.5e18, abi.encodeWithSelector(SymbioticAdapter.LossNotSeen.selector, address(instant)));
        instant.lose(type(uint256).max);
        (, pending) = part("case", 0.5e18);
        require(!pending && instant.gone() == 150, "taken");
    }

    /// @dev A vault's hook runs inside: neither the judge nor Orders.sol gets through.
    function test_r24_what_a_vault_calls_back_is_refused() public {
        vault.setStake(100);
        bytes memory again = abi.encodeCall(adapter.slash, (OPERATOR, "pair"));
        vault.setHook(abi.encodeCall(this.asJudge, (again)));
        (Loss[] memory losses,) = part("case", 0.5e18);
        require(losses[0].before == 50 && vault.gone() == 50 && vault.hookFailed(), "half, and nothing else");
        adapter.slash(OPERATOR, "pair");
        require(vault.gone() == 100, "it is open again");
    }

    /// @dev As the judge, which this contract is.
    function asJudge(bytes calldata call_) external {
        (bool success, bytes memory reason) = address(adapter).call(call_);
        require(!success && bytes4(reason) == SymbioticAdapter.Reentered.selector, "it went through");
        revert("refused");
    }

    /// @dev At the edge: a vault gets all its gas, or nothing happens.
    function test_r24_with_too_little_gas_nothing_is_tried() public {
        both();
        uint256 floor = adapter.gasFloor(OPERATOR);
        require(floor > 3_000_000, "two vaults");
        vm.prank(ORDERS);
        try adapter.slashPart{gas: 1_500_000}(OPERATOR, "case", 0.5e18, 1_000) {
            revert("tried");
        } catch (bytes memory reason) {
            require(bytes4(reason) == SymbioticAdapter.TooLittleGas.selector, "named");
        }
        vm.prank(ORDERS);
        (Loss[] memory losses, bool pending) = adapter.slashPart{gas: floor}(OPERATOR, "case", 0.5e18, 1_000);
        require(losses.length == 1 && pending, "with its floor it goes through");
    }

    /// @dev Whatever gas somebody sends: both vaults are served, or nothing happens. The guilty starves neither.
    function testFuzz_r24_no_gas_serves_one_vault_and_starves_the_other(uint32 some) public {
        (FakeSymbiotic instant, FakeSymbiotic veto) = both();
        uint256 gas_ = 100_000 + uint256(some) % adapter.gasFloor(OPERATOR);
        vm.prank(ORDERS);
        try adapter.slashPart{gas: gas_}(OPERATOR, "case", 0.5e18, 1_000) returns (Loss[] memory losses, bool) {
            require(losses.length == 1 && instant.gone() == 150 && veto.requests() == 1, "both");
        } catch {
            require(gas_ < adapter.gasFloor(OPERATOR) && instant.gone() == 0 && veto.requests() == 0, "nothing");
        }
    }

    function behind(FakeSymbiotic source, bytes32 id) private view returns (bool is_) {
        SymbioticAdapter.Vault[] memory all = adapter.vaults();
        (, is_) = adapter.progressOf(OPERATOR, id, false, all[0].vault == address(source) ? 0 : 1);
    }
}

/// @dev The contracts of the core that a vault needs, in two: for one operator.
contract FakeSymbiotic {
    uint64 public immutable version;
    /// The slasher's kind: this contract is the slasher, too.
    uint64 public immutable TYPE;
    address public immutable burner;
    address public immutable delegator;
    uint48 public epochDuration = 4_000;
    uint48 public constant vetoDuration = 100;
    address public collateral = address(0xC011);
    /// Who may slash for a network, and what is none of the factory's: this contract is all of the core.
    mapping(address network => address) public middleware;
    mapping(address => bool) private foreign;
    address private resolver;
    uint256 public totalStake = 1_000;
    uint48 public slashedBy;
    address private immutable owner = msg.sender;
    uint256 private most = type(uint256).max;
    mapping(uint48 => uint256) private left;
    /// What there is at every moment, and how much of it was taken.
    uint256 public stake;
    uint256 public gone;
    bytes private hook;
    bool public hookFailed;
    Request[] private asked;

    struct Request {
        uint256 amount;
        uint48 capture;
        bool completed;
    }

    constructor(uint64 version_, uint64 delegatorKind, uint64 slasherKind, address burner_) {
        (version, TYPE, burner) = (version_, slasherKind, burner_);
        delegator = address(new FakeDelegator(delegatorKind));
    }

    function setEpoch(uint48 duration) external {
        epochDuration = duration;
    }

    function setCollateral(address token) external {
        collateral = token;
    }

    function setForeign(address account) external {
        foreign[account] = true;
    }

    function setLeft(uint48 moment, uint256 amount) external {
        left[moment] = amount;
    }

    function setStake(uint256 stake_) external {
        stake = stake_;
        totalStake = type(uint128).max;
    }

    /// @dev What the one who made this is called with during a slash.
    function setHook(bytes calldata hook_) external {
        hook = hook_;
    }

    function requests() external view returns (uint256) {
        return asked.length;
    }

    function veto(uint256 index) external {
        asked[index].completed = true;
    }

    /// @dev However much is asked for.
    function lose(uint256 amount) external {
        most = amount;
    }

    function activeStake() external view returns (uint256) {
        return totalStake;
    }

    function currentEpoch() external pure returns (uint256) {
        return 0;
    }

    function withdrawals(uint256) external pure returns (uint256) {
        return 0;
    }

    function slasher() external view returns (address) {
        return address(this);
    }

    function isEntity(address account) external view returns (bool) {
        return !foreign[account];
    }

    function registerNetwork() external {}

    function setMiddleware(address middleware_) external {
        middleware[msg.sender] = middleware_;
    }

    function setResolver(uint96, address resolver_, bytes calldata) external {
        resolver = resolver_;
    }

    function slashableStake(bytes32, address, uint48 moment, bytes calldata) external view returns (uint256) {
        return moment < slashedBy ? 0 : left[moment] + (stake > gone ? stake - gone : 0);
    }

    function slash(bytes32, address, uint256 amount, uint48 moment, bytes calldata) external returns (uint256) {
        return _slash(amount, moment);
    }

    function _slash(uint256 amount, uint48 moment) private returns (uint256) {
        require(moment >= slashedBy && moment < block.timestamp, "out of capture order");
        slashedBy = moment;
        if (hook.length > 0) {
            (bool success,) = owner.call(hook);
            hookFailed = !success;
        }
        if (left[moment] >= amount) left[moment] -= amount;
        else gone += amount;
        totalStake -= amount < most ? amount : most;
        return amount;
    }

    function requestSlash(bytes32, address, uint256 amount, uint48 moment, bytes calldata) external returns (uint256) {
        asked.push(Request(amount, moment, false));
        return asked.length - 1;
    }

    function slashRequests(uint256 index)
        external
        view
        returns (bytes32, address, uint256, uint48, uint48, bool)
    {
        Request memory request = asked[index];
        return (0, address(0), request.amount, request.capture, 0, request.completed);
    }

    function executeSlash(uint256 index, bytes calldata) external returns (uint256) {
        Request storage request = asked[index];
        require(!request.completed, "completed");
        request.completed = true;
        return _slash(request.amount, request.capture);
    }

    function resolverAt(bytes32, uint48, bytes calldata) external view returns (address) {
        return resolver;
    }
}

contract FakeDelegator {
    uint64 public immutable TYPE;
    address public operator;
    address public network;
    mapping(bytes32 subnetwork => uint256) public maxNetworkLimit;

    constructor(uint64 kind) {
        TYPE = kind;
    }

    function setPair(address operator_, address network_) external {
        (operator, network) = (operator_, network_);
    }

    function setMaxNetworkLimit(uint96 identifier, uint256 amount) external {
        bytes32 subnetwork = bytes32(uint256(uint160(msg.sender)) << 96 | identifier);
        require(maxNetworkLimit[subnetwork] != amount, "as it is");
        maxNetworkLimit[subnetwork] = amount;
    }
}
