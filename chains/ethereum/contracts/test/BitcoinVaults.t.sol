// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BitcoinVaults} from "../src/BitcoinVaults.sol";
import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {Certificate, Council, packed} from "./Council.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Claims as a test writes them.
abstract contract Claims {
    bytes32 internal constant TXID = keccak256("vault");

    struct Told {
        uint64 number;
        uint32 epoch;
        bytes32 txid;
        address operator;
        uint64 sats;
        uint64 until;
        uint64 blockHeight;
        bool revoked;
    }

    function told(uint64 number) internal pure returns (Told memory) {
        return Told(number, 1, TXID, address(0xA11CE), 50_000, 900, 800, false);
    }

    /// @dev Output 3 of the vault's transaction.
    function encode(Told memory claim) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(claim.number, claim.epoch, claim.txid, uint32(3), claim.operator);
        bytes memory tail = abi.encodePacked(keccak256("bitcoin"), claim.blockHeight, claim.revoked);
        return bytes.concat(head, abi.encodePacked(claim.sats, claim.until), tail);
    }
}

contract BitcoinVaultsTest is Council, Claims {
    BitcoinVaults private vaults;

    function setUp() public {
        found(4);
        vaults = new BitcoinVaults(light);
    }

    function first() private pure returns (Seats memory) {
        return seats(1, SNAPSHOT, 4);
    }

    function certified(Seats memory all, bytes memory claim) private view returns (Certificate memory) {
        uint64 number = uint64(bytes8(claim));
        return certify(all, everybody(all), palisade.domain(0, 0, 3), number, keccak256(claim));
    }

    function post(Told memory claim) private {
        bytes memory encoded = encode(claim);
        vaults.post(encoded, packed(certified(first(), encoded)));
    }

    function refused(bytes memory claim, Certificate memory by, bytes memory reason) private {
        vm.expectRevert(reason);
        vaults.post(claim, packed(by));
    }

    function refused(Told memory claim, bytes memory reason) private {
        bytes memory encoded = encode(claim);
        refused(encoded, certified(first(), encoded), reason);
    }

    function test_a_certified_claim_stands_with_what_it_says() public {
        vm.recordLogs();
        post(told(5));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == BitcoinVaults.Claimed.selector, "one event");
        BitcoinVaults.Collateral memory found_ = vaults.collateral(TXID, 3);
        require(found_.operator == address(0xA11CE) && found_.sats == 50_000 && !found_.revoked, "operator, amount");
        require(found_.until == 900 && found_.asOf == 800 && found_.number == 5, "heights and number");
        require(found_.certifiedSince == SNAPSHOT, "signed after the committee's snapshot");
        require(vaults.bitcoinHeight() == 800 && vaults.vaultCount(address(0xA11CE)) == 1, "listed");
        require(vaults.collateral(TXID, 2).number == 0, "another output is another vault");
        (bytes32 vault, BitcoinVaults.Collateral memory same) = vaults.vaultAt(address(0xA11CE), 0);
        require(vault == vaults.vaultId(TXID, 3) && same.number == 5, "by place");
    }

    function test_a_revocation_is_a_newer_claim_and_lower_numbers_never_return() public {
        post(told(5));
        refused(told(5), abi.encodeWithSelector(BitcoinVaults.NotNewer.selector, 5, 5));
        refused(told(4), abi.encodeWithSelector(BitcoinVaults.NotNewer.selector, 4, 5));
        Told memory revoked = told(7);
        revoked.revoked = true;
        post(revoked);
        require(vaults.collateral(TXID, 3).revoked && vaults.vaultCount(address(0xA11CE)) == 0, "revoked");
        require(vaults.collateralOf(address(0xA11CE), 0, 0, 0, 10) == 0, "counts nothing");
        refused(told(6), abi.encodeWithSelector(BitcoinVaults.NotNewer.selector, 6, 7));
        post(told(8)); // after a reorg a vault can come back
        require(vaults.collateralOf(address(0xA11CE), 0, 0, 0, 10) == 50_000, "counts again");
        refused(told(0), abi.encodeWithSelector(BitcoinVaults.NotNewer.selector, 0, 8));
    }

    function test_number_zero_is_no_claim() public {
        refused(told(0), abi.encodeWithSelector(BitcoinVaults.NotNewer.selector, 0, 0));
    }

    function test_r03_a_claim_is_of_the_epoch_whose_committee_signed() public {
        Told memory claim = told(5);
        claim.epoch = 2;
        refused(claim, abi.encodeWithSelector(BitcoinVaults.WrongEpoch.selector, 2, 1));
        Seats memory second = seats(2, SNAPSHOT + 2, 4);
        bytes memory block_ = header(1, 30, hash(second));
        light.handOver(block_, packed(certifyBlock(first(), 15, block_)));
        bytes memory encoded = encode(claim);
        vaults.post(encoded, packed(certified(second, encoded)));
        require(vaults.collateral(TXID, 3).certifiedSince == SNAPSHOT + 2, "the second committee's snapshot");
        post(told(6)); // the committee before, within its trust period
        encoded = encode(told(7));
        Certificate memory by = certified(first(), encoded);
        vm.roll(SNAPSHOT + MAX_AGE + TRUST + 1);
        refused(encoded, by, abi.encodeWithSelector(Committee.TrustExpired.selector, SNAPSHOT + MAX_AGE + TRUST));
        Seats memory third = seats(3, SNAPSHOT + 4, 4);
        block_ = header(2, 60, hash(third));
        light.handOver(block_, packed(certifyBlock(second, 15, block_)));
        refused(encoded, by, abi.encodeWithSelector(Committee.UnknownCommittee.selector, 1));
    }

    function test_only_its_own_certificate_proves_a_claim() public {
        bytes memory claim = encode(told(5));
        bytes memory wrong = abi.encodeWithSelector(Bls.WrongSignature.selector);
        refused(claim, certified(first(), encode(told(6))), wrong);
        refused(claim, certify(first(), 15, palisade.domain(0, 0, 1), 5, keccak256(claim)), wrong);
        refused(claim, certify(first(), 15, palisade.domain(0, 0, 3), 6, keccak256(claim)), wrong);
        Certificate memory few = certify(first(), 3, palisade.domain(0, 0, 3), 5, keccak256(claim));
        refused(claim, few, abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 400));
        Certificate memory by = certified(first(), claim);
        for (uint256 i = 8; i < 124; i += 7) {
            bytes memory changed = encode(told(5));
            changed[i] = ~changed[i];
            refused(changed, by, wrong);
        }
        refused(bytes.concat(claim, hex"00"), by, abi.encodeWithSelector(BitcoinVaults.WrongLength.selector, 126));
        claim[124] = 0x02;
        refused(claim, by, abi.encodeWithSelector(BitcoinVaults.NoClaim.selector, 2));
    }

    function test_heights_that_no_chain_reaches_are_refused() public {
        Told memory claim = told(5);
        claim.until = 1 << 48;
        refused(claim, abi.encodeWithSelector(BitcoinVaults.SenselessHeight.selector, 1 << 48));
        claim.until = (1 << 48) - 1;
        post(claim);
    }
}

/// @dev A light client that believes everything: the books of BitcoinVaults.sol are looked at without signatures.
contract Credulous {
    function verifyClaim(uint64, bytes32, bytes calldata) external view {}
}

contract BitcoinVaultsBooksTest is Claims {
    BitcoinVaults private vaults = new BitcoinVaults(Committee(address(new Credulous())));
    uint64 private since;

    function post(Told memory claim) private {
        vaults.post(encode(claim), abi.encodePacked(uint32(1), since, new bytes(52)));
    }

    function claimOf(uint64 number, bytes32 txid, uint64 sats, uint64 until) private {
        Told memory claim = told(number);
        (claim.txid, claim.sats, claim.until) = (txid, sats, until);
        post(claim);
    }

    function test_the_reader_says_how_old_a_claim_may_be_and_at_which_height_it_counts() public {
        address operator = address(0xA11CE);
        since = 100;
        claimOf(1, "one", 1, 900);
        since = 200;
        claimOf(2, "two", 10, 850);
        claimOf(3, "three", 100, 801);
        require(vaults.collateralOf(operator, 0, 0, 0, 3) == 111, "all");
        require(vaults.collateralOf(operator, 100, 800, 0, 3) == 111, "the oldest is just young enough");
        require(vaults.collateralOf(operator, 101, 800, 0, 3) == 110, "and now it is too old");
        require(vaults.collateralOf(operator, 201, 800, 0, 3) == 0, "all are");
        require(vaults.collateralOf(operator, 0, 801, 0, 3) == 11, "until is the first height without");
        require(vaults.collateralOf(operator, 0, 849, 0, 3) == 11, "one before");
        require(vaults.collateralOf(operator, 0, 850, 0, 3) == 1, "at");
        require(vaults.collateralOf(operator, 0, 900, 0, 3) == 0, "none is left");
        // A reader who does not know the height, or an old one, gets the newest that was claimed.
        Told memory elsewhere = told(4);
        (elsewhere.txid, elsewhere.operator, elsewhere.blockHeight) = ("four", address(0xB0B), 860);
        post(elsewhere);
        require(vaults.bitcoinHeight() == 860 && vaults.collateralOf(operator, 0, 0, 0, 3) == 1, "a clock");
        elsewhere.number = 5;
        elsewhere.blockHeight = 855;
        post(elsewhere);
        require(vaults.bitcoinHeight() == 860, "it never goes back");
    }

    function test_pages_together_are_the_whole() public {
        for (uint64 i = 1; i <= 7; ++i) {
            claimOf(i, bytes32(uint256(i)), uint64(10 ** i), 900);
        }
        address operator = address(0xA11CE);
        uint256 whole = vaults.collateralOf(operator, 0, 0, 0, type(uint256).max);
        require(whole == 11_111_110, "all seven");
        for (uint256 size = 1; size <= 8; ++size) {
            uint256 sum;
            for (uint256 from = 0; from < vaults.vaultCount(operator); from += size) {
                sum += vaults.collateralOf(operator, 0, 0, from, size);
            }
            require(sum == whole, "pages");
        }
        require(vaults.collateralOf(operator, 0, 0, 7, type(uint256).max) == 0, "behind the end");
        require(vaults.collateralOf(operator, 0, 0, type(uint256).max, type(uint256).max) == 0, "far behind");
        require(vaults.collateralOf(address(0xB0B), 0, 0, 0, 9) == 0, "nobody");
    }

    function test_an_expired_vault_leaves_the_list_and_stays_readable() public {
        claimOf(1, "one", 1, 801);
        claimOf(2, "two", 10, 900);
        vm.expectRevert(abi.encodeWithSelector(BitcoinVaults.NotExpired.selector));
        vaults.expire("one", 3);
        Told memory later = told(3);
        (later.txid, later.blockHeight) = ("three", 801);
        post(later);
        vaults.expire("one", 3);
        require(vaults.vaultCount(address(0xA11CE)) == 2 && vaults.collateral("one", 3).sats == 1, "readable");
        vm.expectRevert(abi.encodeWithSelector(BitcoinVaults.NotExpired.selector));
        vaults.expire("one", 3); // once
        vm.expectRevert(abi.encodeWithSelector(BitcoinVaults.NotExpired.selector));
        vaults.expire("two", 3);
        vm.expectRevert(abi.encodeWithSelector(BitcoinVaults.NotExpired.selector));
        vaults.expire("never heard of", 3);
        claimOf(4, "one", 5, 950);
        require(vaults.vaultCount(address(0xA11CE)) == 3, "a newer claim lists it again");
    }

    /// @dev Claims in any order about four vaults of three operators, against a model that keeps the newest.
    function testFuzz_the_books_are_the_newest_claims(uint256[24] calldata seeds) public {
        Told[4] memory newest;
        uint64 height;
        for (uint256 i = 0; i < seeds.length; ++i) {
            Told memory claim = told(uint64(seeds[i] % 32));
            uint256 vault = seeds[i] >> 8 & 3;
            claim.txid = bytes32(vault + 1);
            claim.operator = address(uint160(0x100 + (seeds[i] >> 16) % 3));
            claim.sats = uint64(seeds[i] >> 32);
            claim.until = 800 + uint64(seeds[i] >> 24 & 7);
            claim.blockHeight = 798 + uint64(seeds[i] >> 28 & 3);
            claim.revoked = seeds[i] >> 120 & 3 == 0;
            if (claim.number <= newest[vault].number) {
                vm.expectRevert(
                    abi.encodeWithSelector(BitcoinVaults.NotNewer.selector, claim.number, newest[vault].number)
                );
                post(claim);
                continue;
            }
            post(claim);
            newest[vault] = claim;
            if (claim.blockHeight > height) height = claim.blockHeight;
            if (seeds[i] >> 128 & 1 == 1) sweep(newest[seeds[i] >> 130 & 3], height);
            for (uint160 operator = 0x100; operator < 0x103; ++operator) {
                compare(newest, address(operator), height);
            }
        }
    }

    function sweep(Told memory claim, uint64 height) private {
        if (claim.number == 0 || claim.revoked || claim.until > height) return;
        try vaults.expire(claim.txid, 3) {} catch {} // it may be off the list already
    }

    function compare(Told[4] memory newest, address operator, uint64 height) private view {
        uint256 sum;
        uint256 counting;
        for (uint256 i = 0; i < 4; ++i) {
            Told memory claim = newest[i];
            if (claim.operator != operator || claim.revoked || claim.until <= height) continue;
            sum += claim.sats;
            ++counting;
        }
        require(vaults.collateralOf(operator, 0, 0, 0, 9) == sum, "the sum");
        require(vaults.vaultCount(operator) >= counting, "the count");
        for (uint256 i = 0; i < vaults.vaultCount(operator); ++i) {
            (, BitcoinVaults.Collateral memory found) = vaults.vaultAt(operator, i);
            require(found.operator == operator && !found.revoked, "every place is the operator's own");
        }
    }
}
