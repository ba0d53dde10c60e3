// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {Palisade} from "../src/Palisade.sol";
import {Signer} from "./Signer.sol";
import {vm} from "./Vm.sol";

/// @dev A certificate's parts.
struct Certificate {
    bytes committee;
    bytes weights;
    uint256 signers;
    bytes signature;
}

/// @dev A certificate as the contract takes it: the short form without weights, for then all have signed.
function packed(Certificate memory by) pure returns (bytes memory) {
    bytes memory short = bytes.concat(by.committee, by.signature);
    if (by.weights.length == 0) return short;
    uint256 count = uint256(uint8(by.committee[124])) << 8 | uint8(by.committee[125]);
    uint256 everybody = type(uint256).max >> (count > 256 ? 0 : 256 - count);
    return bytes.concat(short, bytes32(by.signers ^ everybody), by.weights);
}

/// @dev What a certificate is of.
struct Statement {
    bytes32 serviceId;
    uint64 registration;
    uint16 kind;
    uint64 slot;
    bytes32 digest;
}

/// @title Committees whose secret keys the test holds
/// @dev Member i of every committee has the secret 7 + i and the key id 1 + i.
abstract contract Council {
    bytes32 internal constant CHAIN = keccak256("genesis");
    uint64 internal constant SNAPSHOT = 1_000;
    uint64 internal constant MAX_AGE = 30;
    uint64 internal constant TRUST = 40;
    bytes32 internal constant DIGEST = keccak256("digest");

    /// @dev What a test knows of a committee.
    struct Seats {
        uint32 epoch;
        uint64 snapshot;
        uint64[] weights;
        /// How many members the figures claim that there are; zero tells the truth.
        uint16 claimed;
    }

    Palisade internal palisade;
    Committee internal light;

    /// @dev Where Orders.sol will stand.
    address internal ordersAt;

    /// @dev Palisade.sol with `members` registered, and the light client at epoch 1 with all of them.
    function found(uint256 members) internal {
        foundAt(seats(1, SNAPSHOT, members));
    }

    /// @dev The same with these seats as the first committee.
    function foundAt(Seats memory first) internal {
        vm.roll(SNAPSHOT - 10);
        foundRegistry();
        for (uint256 i = 0; i < first.weights.length; ++i) {
            register(i);
        }
        vm.roll(SNAPSHOT + 5);
        light = lightAt(first);
    }

    /// @dev Palisade.sol without a target, which tells of convictions what this contract creates next.
    function foundRegistry() internal {
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        palisade = new Palisade(CHAIN, new address[](1), 1_000, next, ordersAt);
    }

    /// @dev A light client that starts with these seats.
    function lightAt(Seats memory first) internal returns (Committee) {
        bytes memory boundary = header(first.epoch - 1, 10 * first.epoch, hash(first));
        return new Committee(CHAIN, address(palisade), boundary, MAX_AGE, TRUST);
    }

    function register(uint256 seat) internal {
        Palisade.Keys memory keys;
        keys.bls = Signer.key(secret(seat));
        keys.blsProof = Signer.sign(secret(seat), palisade.possession(operator(seat), keys.bls), Bls.POSSESSION);
        keys.eots = bytes32(vm.createWallet(finality(seat)).publicKeyX);
        keys.ed25519Proof = new bytes(64);
        keys.eotsProof = new bytes(64);
        vm.prank(operator(seat));
        require(palisade.register(keys) == seat + 1, "key ids are given out in order");
    }

    /// @dev A member signs two digests, and everybody can see it.
    function convict(uint256 seat) internal {
        convictOf(seat, 1, 7, "one", "two");
    }

    /// @dev The same in any of the network's own domains.
    function convictOf(uint256 seat, uint16 kind, uint64 slot, bytes32 one, bytes32 two) internal {
        Palisade.Pair memory pair;
        (pair.keyId, pair.kind, pair.slot) = (uint32(seat + 1), kind, slot);
        (pair.digestA, pair.digestB) = (one, two);
        bytes32 domain = palisade.domain(0, 0, kind);
        bytes memory a = Signer.sign(secret(seat), palisade.statement(domain, slot, one), Bls.SIGNATURE);
        bytes memory b = Signer.sign(secret(seat), palisade.statement(domain, slot, two), Bls.SIGNATURE);
        pair.signatureSum = Signer.sum(a, b);
        palisade.slash(pair);
    }

    function operator(uint256 seat) internal pure returns (address) {
        return address(uint160(0xA000 + seat));
    }

    function finality(uint256 seat) internal pure returns (uint256) {
        return 5_000 + seat;
    }

    function secret(uint256 seat) internal pure returns (uint256) {
        return 7 + seat;
    }

    /// @dev Equal weights.
    function seats(uint32 epoch, uint64 snapshot, uint256 members) internal pure returns (Seats memory all) {
        uint64[] memory weights = new uint64[](members);
        for (uint256 i = 0; i < members; ++i) {
            weights[i] = 100;
        }
        all = Seats(epoch, snapshot, weights, 0);
    }

    function everybody(Seats memory all) internal pure returns (uint256) {
        return type(uint256).max >> (256 - all.weights.length);
    }

    /// @dev The list of key ids and weights.
    function judged(Seats memory all) internal pure returns (bytes memory list) {
        for (uint256 i = 0; i < all.weights.length; ++i) {
            list = bytes.concat(list, abi.encodePacked(uint32(i + 1), all.weights[i]));
        }
    }

    /// @dev What a committee's hash commits to after the chain id.
    function figures(Seats memory all) internal view returns (bytes memory) {
        uint128 total;
        uint256 sum;
        for (uint256 i = 0; i < all.weights.length; ++i) {
            total += all.weights[i];
            sum += secret(i);
        }
        bytes memory head = abi.encodePacked(all.epoch, point(all.snapshot), point(700), total);
        bytes memory tail = abi.encodePacked(keccak256(judged(all)), keccak256("rest"));
        return bytes.concat(head, abi.encodePacked(count(all)), Signer.key(sum), tail);
    }

    function count(Seats memory all) private pure returns (uint16) {
        return all.claimed == 0 ? uint16(all.weights.length) : all.claimed;
    }

    function point(uint64 number) private pure returns (bytes memory) {
        return abi.encodePacked(number, keccak256(abi.encode(number)), type(uint32).max, uint64(1_700_000_000));
    }

    function hash(Seats memory all) internal view returns (bytes32) {
        return keccak256(bytes.concat(CHAIN, figures(all)));
    }

    function header(uint32 epoch, uint64 height, bytes32 next) internal pure returns (bytes memory) {
        return headerOver(epoch, height, next, keccak256("state"));
    }

    function headerOver(uint32 epoch, uint64 height, bytes32 next, bytes32 state) internal pure returns (bytes memory) {
        return abi.encodePacked(uint16(1), CHAIN, height, epoch, keccak256("parent"), keccak256("items"), state, next);
    }

    /// @dev What the seats in `signers` sign together: one signature by the sum of their secrets.
    function certify(Seats memory all, uint256 signers, bytes32 domain, uint64 slot, bytes32 digest)
        internal
        view
        returns (Certificate memory certificate)
    {
        uint256 sum;
        for (uint256 i = 0; i < all.weights.length; ++i) {
            if (signers >> i & 1 == 1) sum += secret(i);
        }
        certificate.committee = figures(all);
        certificate.weights = judged(all);
        certificate.signers = signers;
        certificate.signature = Signer.sign(sum, palisade.statement(domain, slot, digest), Bls.SIGNATURE);
    }

    /// @dev A certificate of a block.
    function certifyBlock(Seats memory all, uint256 signers, bytes memory block_)
        internal
        view
        returns (Certificate memory)
    {
        uint64 height = uint64(uint256(bytes32(Signer.slice(block_, 34, 32))) >> 192);
        return certify(all, signers, palisade.domain(0, 0, 1), height, keccak256(block_));
    }

    function statementOf(uint16 kind, uint64 slot, bytes32 digest) internal pure returns (Statement memory statement) {
        (statement.kind, statement.slot, statement.digest) = (kind, slot, digest);
    }

    /// @dev One call of the light client.
    function verify(Statement memory told, Certificate memory by) internal view {
        bytes memory whole = packed(by);
        if (told.kind == 3) light.verifyClaim(told.slot, told.digest, whole);
        else if (told.kind == 4) light.verifyOrder(told.slot, told.digest, whole);
        else if (told.kind == 5) light.verifySuccession(told.slot, told.digest, whole);
        else light.verifyService(told.serviceId, told.registration, told.kind, told.slot, told.digest, whole);
    }
}
