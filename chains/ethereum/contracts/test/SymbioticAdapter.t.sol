// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SymbioticAdapter} from "../src/SymbioticAdapter.sol";
import {Loss} from "../src/interfaces/IAdapter.sol";
import {vm} from "./Vm.sol";

/// @title What the real core does not do on request; the rest is in deploy/devnet/tests/symbiotic.rs
contract SymbioticAdapterTest {
    address private constant OPERATOR = address(0xA11CE);
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
        return new SymbioticAdapter(address(this), address(source), address(source), address(source), sources);
    }

    function test_r24_only_the_judge_slashes_and_only_the_adapter_takes() public {
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.WrongCaller.selector, OPERATOR));
        adapter.slash(OPERATOR, 0);
        vm.expectRevert(abi.encodeWithSelector(SymbioticAdapter.WrongCaller.selector, address(this)));
        adapter.take(0, OPERATOR, 0);
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
}

/// @dev The contracts of the core that a vault needs, in two: for one operator.
contract FakeSymbiotic {
    uint64 public immutable version;
    /// The slasher's kind: this contract is the slasher, too.
    uint64 public immutable TYPE;
    address public immutable burner;
    address public immutable delegator;
    uint48 public constant epochDuration = 4_000;
    uint48 public constant vetoDuration = 100;
    uint256 public totalStake = 1_000;
    uint48 public slashedBy;
    uint256 private most = type(uint256).max;
    mapping(uint48 => uint256) private left;

    constructor(uint64 version_, uint64 delegatorKind, uint64 slasherKind, address burner_) {
        (version, TYPE, burner) = (version_, slasherKind, burner_);
        delegator = address(new FakeDelegator(delegatorKind));
    }

    function setLeft(uint48 moment, uint256 amount) external {
        left[moment] = amount;
    }

    /// @dev However much is asked for.
    function lose(uint256 amount) external {
        most = amount;
    }

    function slasher() external view returns (address) {
        return address(this);
    }

    function isEntity(address) external pure returns (bool) {
        return true;
    }

    function registerNetwork() external {}

    function setMiddleware(address) external {}

    function setResolver(uint96, address, bytes calldata) external {}

    function slashableStake(bytes32, address, uint48 moment, bytes calldata) external view returns (uint256) {
        return moment < slashedBy ? 0 : left[moment];
    }

    function slash(bytes32, address, uint256 amount, uint48 moment, bytes calldata) external returns (uint256) {
        slashedBy = moment;
        left[moment] -= amount;
        totalStake -= amount < most ? amount : most;
        return amount;
    }
}

contract FakeDelegator {
    uint64 public immutable TYPE;

    constructor(uint64 kind) {
        TYPE = kind;
    }

    function setMaxNetworkLimit(uint96, uint256) external {}
}
