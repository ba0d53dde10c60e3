// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {EigenLayerAdapter} from "../src/EigenLayerAdapter.sol";
import {OperatorSet} from "../src/interfaces/IEigenLayer.sol";
import {Palisade} from "../src/Palisade.sol";
import {FakeEigenLayer} from "./FakeEigenLayer.sol";
import {Signer} from "./Signer.sol";
import {Vm, vm} from "./Vm.sol";

/// @title Our contracts over a fake EigenLayer with one operator, and the words the tests use
abstract contract World {
    bytes32 internal constant CHAIN = keccak256("genesis");
    uint64 internal constant WINDOW = 60;
    address internal constant OPERATOR = address(0xA11CE);
    address internal constant ORDERS = address(0x0DE5);
    address internal constant STRATEGY = address(0x1001);
    address internal constant STRATEGY2 = address(0x1002);
    uint256 internal constant SECRET = 42;
    uint256 internal constant CUT = 0.25e18;

    FakeEigenLayer internal eigenlayer = new FakeEigenLayer();
    Palisade internal palisade;
    EigenLayerAdapter internal adapter;

    function setUp() public virtual {
        vm.roll(1_000);
        address[] memory adapters = new address[](1);
        adapters[0] = created(address(this), 3); // FakeEigenLayer is 1, Palisade 2
        palisade = new Palisade(CHAIN, adapters, WINDOW, address(0), address(0));
        adapter = new EigenLayerAdapter(
            address(palisade),
            ORDERS,
            0,
            address(eigenlayer),
            address(eigenlayer),
            strategies(),
            CUT,
            "https://palisade.example"
        );
        require(address(adapter) == adapters[0], "predicted address");
        register(OPERATOR, SECRET);
        eigenlayer.stake(STRATEGY, 0.4e18, 1_000e18, 0);
    }

    function strategies() internal pure returns (address[] memory all) {
        all = new address[](2);
        (all[0], all[1]) = (STRATEGY, STRATEGY2);
    }

    function list(address one) internal pure returns (address[] memory only) {
        only = new address[](1);
        only[0] = one;
    }

    function set() internal view returns (OperatorSet memory) {
        return OperatorSet({avs: address(adapter), id: 0});
    }

    function created(address creator, uint8 nonce) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", creator, nonce)))));
    }

    function keysOf(address operator, uint256 secret) internal view returns (Palisade.Keys memory keys) {
        keys.bls = Signer.key(secret);
        keys.blsProof = Signer.sign(secret, palisade.possession(operator, keys.bls), Bls.POSSESSION);
        keys.ed25519 = keccak256(abi.encode("ed25519", secret));
        keys.ed25519Proof = new bytes(64);
        keys.eots = keccak256(abi.encode("eots", secret));
        keys.eotsProof = new bytes(64);
        keys.peerId = hex"002408";
    }

    function register(address operator, uint256 secret) internal returns (uint32) {
        Palisade.Keys memory keys = keysOf(operator, secret);
        vm.prank(operator);
        return palisade.register(keys);
    }

    /// @dev A pair of the first key in the ledger's domain.
    function pairOf(uint64 slot, bytes32 digestA, bytes32 digestB) internal view returns (Palisade.Pair memory pair) {
        return pairIn(1, SECRET, 1, slot, digestA, digestB);
    }

    function pairIn(uint32 keyId, uint256 secret, uint16 kind, uint64 slot, bytes32 digestA, bytes32 digestB)
        internal
        view
        returns (Palisade.Pair memory pair)
    {
        bytes32 domain = palisade.domain(0, 0, kind);
        bytes memory a = Signer.sign(secret, palisade.statement(domain, slot, digestA), Bls.SIGNATURE);
        bytes memory b = Signer.sign(secret, palisade.statement(domain, slot, digestB), Bls.SIGNATURE);
        (pair.keyId, pair.kind, pair.slot) = (keyId, kind, slot);
        (pair.digestA, pair.digestB, pair.signatureSum) = (digestA, digestB, Signer.sum(a, b));
    }

    function refused(Palisade.Pair memory pair, bytes memory reason) internal {
        vm.expectRevert(reason);
        palisade.slash(pair);
    }

    function ledgerCase() internal view returns (bytes32) {
        return palisade.caseId(OPERATOR, palisade.domain(0, 0, 1));
    }

    /// @dev Whether the operator is convicted in the ledger's domain, and where it was slashed for that.
    function convicted() internal view returns (bool yes) {
        (yes,) = palisade.caseOf(OPERATOR, 1);
    }

    function done() internal view returns (uint8 flags) {
        (, flags) = palisade.caseOf(OPERATOR, 1);
    }

    function failed(bytes4 selector) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    /// @dev How often an event of Palisade is among the logs recorded since `vm.recordLogs`.
    function counted(Vm.Log[] memory logs, bytes32 topic) internal view returns (uint256 count) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(palisade) && logs[i].topics[0] == topic) ++count;
        }
    }

    /// @dev The reason given in the only `SlashFailed` among the logs.
    function reasonIn(Vm.Log[] memory logs) internal pure returns (bytes memory reason) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == Palisade.SlashFailed.selector) reason = abi.decode(logs[i].data, (bytes));
        }
    }
}
