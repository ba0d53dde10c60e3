// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "./Certificates.sol";
import {Committee} from "./Committee.sol";

/// @title Bitcoin collateral, for services on Ethereum
/// @notice Keeps the newest claim about each Bitcoin vault that a committee of the ledger certified: "vault V holds
/// S satoshis for operator O until height H, as of Bitcoin block B". Anybody posts claims. A revocation, after a
/// spend or a reorg, is a claim with a higher number.
///
/// What a reader may rely on. A claim that stands here was signed by more than two thirds of the ETH-side stake of
/// one committee, after that committee's snapshot (`certifiedSince`) and while it was in office. It says what the
/// ledger knew as of Bitcoin block `asOf`. It says nothing of what came later: a vault that was spent, or began to
/// unbond, after `asOf` still stands here until somebody posts the revocation, and nobody is forced to. Therefore
///  - the reader chooses how old a claim may be. On Ethereum's own clock: it counts only claims with
///    `certifiedSince >= block.number - F`. A claim is never older than that says.
///  - coins that begin to unbond stay slashable for the vault's unbonding time. What the reader counts can really be
///    taken if F, in time, plus the time he needs from fault to slashing transaction is shorter than that.
///  - from Bitcoin height `until` on a vault does not count, and the reader says at which height he stands. Without a
///    Bitcoin clock of his own he takes `bitcoinHeight()`, the newest block of any claim here, which lags.
///  - satoshis are what an equivocation of the operator would cost him once. They stand behind everything the
///    operator does: they are not reserved for one reader.
/// A committee of which more than two thirds lie can write anything here. Nobody owns this contract and nothing in
/// it can be changed.
contract BitcoinVaults {
    /// @notice What the newest claim says of a vault.
    struct Collateral {
        address operator;
        /// Satoshis that count; as claimed, also when revoked.
        uint64 sats;
        /// The first Bitcoin height at which it does not count any more.
        uint64 until;
        /// The Bitcoin block as of which this was so.
        uint64 asOf;
        /// The claim's number in the ledger; 0 if there never was a claim.
        uint64 number;
        /// The snapshot, an Ethereum block, of the committee that certified the claim: it was signed after that.
        uint64 certifiedSince;
        bool revoked;
    }

    /// @dev As stored, in two slots. `place` is the vault's place among its operator's vaults, from 1; 0 is nowhere.
    struct Stored {
        address operator;
        uint64 sats;
        uint32 place;
        uint64 number;
        uint48 until;
        uint48 asOf;
        uint48 certifiedSince;
        bool revoked;
    }

    /// @dev A claim's bytes: integers big-endian.
    struct Claim {
        uint64 number;
        uint32 epoch;
        bytes32 txid;
        uint32 output;
        address operator;
        uint64 sats;
        uint64 until;
        bytes32 blockHash;
        uint64 blockHeight;
        bool revoked;
    }

    /// A claim took the place of whatever was said of this vault before. `txid` is in internal byte order.
    event Claimed(
        bytes32 indexed txid,
        uint32 indexed output,
        address indexed operator,
        uint64 number,
        uint64 sats,
        uint64 until,
        bytes32 blockHash,
        uint64 blockHeight,
        bool revoked
    );
    /// A vault whose `until` has passed is not listed any more among its operator's.
    event Expired(bytes32 indexed txid, uint32 indexed output, address indexed operator);

    /// A claim has 125 bytes.
    error WrongLength(uint256 length);
    /// The byte that says whether the claim is a revocation is neither 0 nor 1.
    error NoClaim(uint8 revoked);
    /// A claim with this number or a higher one stands here already.
    error NotNewer(uint64 number, uint64 stands);
    /// The claim is of another epoch than the committee that signed it (R3).
    error WrongEpoch(uint32 epoch, uint32 signedIn);
    /// A height that no chain of blocks will reach.
    error SenselessHeight(uint64 height);
    /// The vault is not listed, or counts still.
    error NotExpired();

    /// @notice The light client.
    Committee public immutable committee;
    /// @notice The newest Bitcoin block that any claim here speaks of.
    uint64 public bitcoinHeight;

    mapping(bytes32 vault => Stored) private _stored;
    mapping(address operator => bytes32[] vaults) private _listed;

    constructor(Committee committee_) {
        committee = committee_;
    }

    // ---- Claims

    /// @notice Takes a claim in, with its certificate in the domain of vault claims.
    /// @param claim number u64 | epoch u32 | txid 32 | output u32 | operator 20 | sats u64 | until u64 | block hash 32 |
    /// block height u64 | revoked u8: 125 bytes. The certificate's slot is the number, its digest keccak256 of these.
    function post(bytes calldata claim, bytes calldata certificate) external {
        Claim memory told = _parse(claim);
        bytes32 vault = vaultId(told.txid, told.output);
        Stored memory stored = _stored[vault];
        // Numbers start at 1: zero is a vault of which nothing was ever said.
        if (told.number <= stored.number) revert NotNewer(told.number, stored.number);
        committee.verifyClaim(told.number, keccak256(claim), certificate);
        uint32 epoch = Certificates.epoch(certificate);
        if (epoch != told.epoch) revert WrongEpoch(told.epoch, epoch);
        if (told.blockHeight > bitcoinHeight) bitcoinHeight = told.blockHeight;
        _store(vault, stored, told, Certificates.ethereumBlock(certificate));
        emit Claimed(
            told.txid,
            told.output,
            told.operator,
            told.number,
            told.sats,
            told.until,
            told.blockHash,
            told.blockHeight,
            told.revoked
        );
    }

    function _parse(bytes calldata claim) private pure returns (Claim memory) {
        if (claim.length != CLAIM_LENGTH) revert WrongLength(claim.length);
        uint8 revoked = uint8(claim[124]);
        if (revoked > 1) revert NoClaim(revoked);
        return Claim({
            number: uint64(bytes8(claim[0:8])),
            epoch: uint32(bytes4(claim[8:12])),
            txid: bytes32(claim[12:44]),
            output: uint32(bytes4(claim[44:48])),
            operator: address(bytes20(claim[48:68])),
            sats: uint64(bytes8(claim[68:76])),
            until: uint64(bytes8(claim[76:84])),
            blockHash: bytes32(claim[84:116]),
            blockHeight: uint64(bytes8(claim[116:124])),
            revoked: revoked == 1
        });
    }

    function _store(bytes32 vault, Stored memory before, Claim memory told, uint64 certifiedSince) private {
        uint32 place = before.place;
        if (place != 0 && (told.revoked || before.operator != told.operator)) {
            _unlist(before.operator, place);
            place = 0;
        }
        if (place == 0 && !told.revoked) {
            _listed[told.operator].push(vault);
            place = uint32(_listed[told.operator].length);
        }
        _stored[vault] = Stored({
            operator: told.operator,
            sats: told.sats,
            place: place,
            number: told.number,
            until: _height(told.until),
            asOf: _height(told.blockHeight),
            certifiedSince: _height(certifiedSince),
            revoked: told.revoked
        });
    }

    /// @dev The last of the list takes the free place.
    function _unlist(address operator, uint32 place) private {
        bytes32[] storage listed = _listed[operator];
        bytes32 last = listed[listed.length - 1];
        listed[place - 1] = last;
        _stored[last].place = place;
        listed.pop();
    }

    function _height(uint64 height) private pure returns (uint48) {
        if (height > type(uint48).max) revert SenselessHeight(height);
        return uint48(height);
    }

    /// @notice Takes a vault off its operator's list when a later certified Bitcoin block shows that its `until` has
    /// passed. Anybody may call; what the claim said stays readable. A newer claim lists the vault again.
    function expire(bytes32 txid, uint32 output) external {
        bytes32 vault = vaultId(txid, output);
        Stored memory stored = _stored[vault];
        if (stored.place == 0 || stored.until > bitcoinHeight) revert NotExpired();
        _unlist(stored.operator, stored.place);
        _stored[vault].place = 0;
        emit Expired(txid, output, stored.operator);
    }

    // ---- Reading

    /// @notice The name under which a vault is kept. `txid` is in internal byte order.
    function vaultId(bytes32 txid, uint32 output) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(txid, output));
    }

    /// @notice What the newest claim says of a vault; all zero if nothing was ever claimed.
    function collateral(bytes32 txid, uint32 output) external view returns (Collateral memory) {
        return _collateral(vaultId(txid, output));
    }

    /// @notice The satoshis behind an operator in a page of its vaults: those not revoked, certified by a committee
    /// whose snapshot is Ethereum block `certifiedSince` or later, and counting at Bitcoin height `height`. A height
    /// below `bitcoinHeight()` is taken as that. Sum the pages in one call or block: lists change.
    /// @param first the first vault's place, from 0. @param most at most so many; `vaultCount` says how many there are.
    function collateralOf(address operator, uint64 certifiedSince, uint64 height, uint256 first, uint256 most)
        external
        view
        returns (uint256 sats)
    {
        if (height < bitcoinHeight) height = bitcoinHeight;
        bytes32[] storage listed = _listed[operator];
        uint256 end = most < listed.length - _min(first, listed.length) ? first + most : listed.length;
        for (uint256 i = first; i < end; ++i) {
            Stored memory stored = _stored[listed[i]];
            if (stored.certifiedSince >= certifiedSince && stored.until > height) sats += stored.sats;
        }
    }

    /// @notice How many vaults are listed for an operator: claimed, not revoked, not yet taken off as expired.
    function vaultCount(address operator) external view returns (uint256) {
        return _listed[operator].length;
    }

    /// @notice A vault of an operator by its place, and what the newest claim says of it.
    function vaultAt(address operator, uint256 place) external view returns (bytes32 vault, Collateral memory) {
        vault = _listed[operator][place];
        return (vault, _collateral(vault));
    }

    function _collateral(bytes32 vault) private view returns (Collateral memory) {
        Stored memory stored = _stored[vault];
        return Collateral({
            operator: stored.operator,
            sats: stored.sats,
            until: stored.until,
            asOf: stored.asOf,
            number: stored.number,
            certifiedSince: stored.certifiedSince,
            revoked: stored.revoked
        });
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    uint256 private constant CLAIM_LENGTH = 125;
}
