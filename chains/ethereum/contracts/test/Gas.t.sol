// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BitcoinVaults} from "../src/BitcoinVaults.sol";
import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {Palisade} from "../src/Palisade.sol";
import {Certificate, packed} from "./Council.sol";
import {Orders} from "../src/Orders.sol";
import {Drawn} from "./Orders.t.sol";
import {Signer} from "./Signer.sol";
import {vm} from "./Vm.sol";

/// @title What whole transactions cost
/// @dev test.sh runs this alone and isolated: each call from the test is a transaction of its own, so that a figure
/// has the 21,000, the calldata and the cold slots in it. They are kept in snapshots/gas.json, to the last unit.
contract GasTest is Drawn {
    function record(string memory name) private {
        vm.snapshotValue("gas", name, vm.lastCallGas().gasTotalUsed);
    }

    function test_certificates_and_hand_overs_of_4_members() public {
        sizes(4, 1, "4");
    }

    function test_certificates_and_hand_overs_of_16_members() public {
        sizes(16, 2, "16");
    }

    function test_certificates_and_hand_overs_of_64_members() public {
        sizes(64, 6, "64");
    }

    function test_certificates_and_hand_overs_of_128_members() public {
        sizes(128, 13, "128");
    }

    function test_certificates_and_hand_overs_of_256_members() public {
        sizes(256, 26, "256");
    }

    function sizes(uint256 members, uint256 absent, string memory n) private {
        found(members);
        Seats memory first = seats(1, SNAPSHOT, members);
        verified(first, 0, string.concat("verify, n = ", n, ", all present"));
        verified(first, absent, string.concat("verify, n = ", n, ", a tenth absent"));
        Seats memory second = seats(2, SNAPSHOT + 1, members);
        bytes memory block_ = header(1, 30, hash(second));
        Certificate memory by = certifyBlock(first, everybody(first), block_);
        by.weights = "";
        light.handOver(block_, packed(by));
        record(string.concat("hand over, n = ", n, ", one of the first 32"));
        convict(0);
        verifiedBy(second, everybody(second), true, string.concat("verify, n = ", n, ", after a conviction"));
    }

    function verified(Seats memory all, uint256 absent, string memory name) private {
        uint256 signers = everybody(all);
        for (uint256 i = 0; i < absent; ++i) {
            signers &= ~(1 << (i * all.weights.length / absent));
        }
        verifiedBy(all, signers, absent > 0, name);
    }

    function verifiedBy(Seats memory all, uint256 signers, bool withWeights, string memory name) private {
        Certificate memory by = certify(all, signers, palisade.domain(0, 0, 3), 9, DIGEST);
        if (!withWeights) by.weights = "";
        // By a low-level call: a view called as such would be no transaction.
        (bool held,) = address(light).call(abi.encodeCall(light.verifyClaim, (9, DIGEST, packed(by))));
        require(held, "verified");
        record(name);
    }

    function test_a_later_hand_over() public {
        found(4);
        for (uint32 epoch = 1; epoch <= 33; ++epoch) {
            Seats memory now_ = seats(epoch, SNAPSHOT, 4);
            bytes memory block_ = header(epoch, 30 * epoch, hash(seats(epoch + 1, SNAPSHOT, 4)));
            Certificate memory by = certifyBlock(now_, 15, block_);
            by.weights = "";
            light.handOver(block_, packed(by));
        }
        record("hand over, n = 4, all present, later");
    }

    function test_claims() public {
        found(4);
        BitcoinVaults vaults = new BitcoinVaults(light);
        claim(vaults, 5, "one", 0);
        record("claim, first of an operator");
        claim(vaults, 6, "two", 0);
        record("claim, another vault");
        claim(vaults, 7, "one", 0);
        record("claim, newer");
        claim(vaults, 8, "one", 1);
        record("claim, revoked");
    }

    function claim(BitcoinVaults vaults, uint64 number, bytes32 txid, uint8 revoked) private {
        bytes memory head = abi.encodePacked(number, uint32(1), txid, uint32(3), address(0xA11CE), uint64(50_000));
        bytes memory told = bytes.concat(head, abi.encodePacked(uint64(900), keccak256("block"), uint64(800), revoked));
        Seats memory first = seats(1, SNAPSHOT, 4);
        Certificate memory by = certify(first, 15, palisade.domain(0, 0, 3), number, keccak256(told));
        by.weights = "";
        vaults.post(told, packed(by));
    }

    function test_orders() public {
        establish();
        ordered(5, "one");
        record("execute an order, EigenLayer's own costs left out");
        ordered(6, "two");
        record("execute an order, a later one");
    }

    function ordered(uint64 number, bytes32 caseId) private {
        Orders.Order memory order = drawn(number);
        order.caseId = caseId;
        bytes memory encoded = encode(order);
        Certificate memory by = certify(seated(), 15, palisade.domain(0, 0, 4), number, keccak256(encoded));
        if (number == 5) by.weights = ""; // it convicts
        orders.announce(encoded, packed(by));
        if (number == 5) record("announce an order, n = 4, all present");
        vm.roll(block.number + DELAY);
        orders.execute(encoded);
    }

    function test_convictions() public {
        found(4);
        convict(0);
        record("convict by a pair, no target there");
        bytes32 named = "named";
        bytes32 path = keccak256(abi.encodePacked(uint8(0), uint64(7)));
        bytes32 value = keccak256(abi.encodePacked(uint8(0), named));
        bytes32 root = keccak256(abi.encodePacked(uint8(0), path, value));
        Palisade.Ancestor memory fault;
        fault.siblings = new bytes32[](20); // a state of about a million rows
        for (uint256 depth = 20; depth > 0; --depth) {
            bytes32 sibling = keccak256(abi.encode(depth));
            fault.siblings[depth - 1] = sibling;
            bool right = uint256(path) >> (256 - depth) & 1 == 1;
            root = keccak256(right ? abi.encodePacked(uint8(1), sibling, root) : abi.encodePacked(uint8(1), root, sibling));
        }
        (fault.keyId, fault.laterKeyId, fault.slot, fault.digest, fault.named) = (2, 2, 7, DIGEST, named);
        fault.header = headerOver(1, 30, 0, root);
        bytes32 domain = palisade.domain(0, 0, 1);
        bytes32 later = palisade.statement(domain, 30, keccak256(fault.header));
        bytes memory a = Signer.sign(secret(1), palisade.statement(domain, 7, DIGEST), Bls.SIGNATURE);
        fault.signatureSum = Signer.sum(a, Signer.sign(secret(1), later, Bls.SIGNATURE));
        palisade.slashAncestor(fault);
        record("convict by an ancestor, 20 deep, no target there");
        amongCertificates();
        register(4);
        record("register");
        palisade.convictExposed(3, finality(2));
        record("convict by an exposed key");
    }

    /// @dev Seats 1 to 3 of four sign two blocks; the last of them is accused.
    function amongCertificates() private {
        bytes32 domain = palisade.domain(0, 0, 1);
        Palisade.Pair memory pair;
        (pair.keyId, pair.kind, pair.slot, pair.digestA, pair.digestB) = (4, 1, 9, DIGEST, "another");
        (bytes32 first, bytes32 second) = (palisade.statement(domain, 9, DIGEST), palisade.statement(domain, 9, "another"));
        uint32[] memory others = new uint32[](2);
        (others[0], others[1]) = (2, 3);
        for (uint256 seat = 1; seat < 4; ++seat) {
            bytes memory one = Signer.sign(secret(seat), first, Bls.SIGNATURE);
            one = Signer.sum(one, Signer.sign(secret(seat), second, Bls.SIGNATURE));
            pair.signatureSum = seat == 1 ? one : Signer.sum(pair.signatureSum, one);
        }
        palisade.slashAmong(pair, others, others);
        record("convict by two certificates, n = 4, one absent, no target there");
    }
}
