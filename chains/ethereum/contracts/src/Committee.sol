// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "./Bls.sol";
import {Certificates} from "./Certificates.sol";
import {Header, Headers} from "./Headers.sol";
import {KeyBlobs} from "./KeyBlobs.sol";
import {Statements} from "./Statements.sol";
import {IPalisade} from "./interfaces/IPalisade.sol";

/// @title The ledger's light client on Ethereum
/// @notice It knows the committee of the newest epoch that was handed over to it, and of the one before, and says
/// whether more than two thirds of their ETH-side stake signed a statement. It starts at the first committee with
/// weight (R6) and goes on from boundary certificate to boundary certificate (R10). Nobody owns it and nothing in
/// it can be changed.
///
/// What it promises: if it accepts two statements of which no honest operator signs both, more than a third of
/// the weight that it counted has signed a slashable contradiction, and that stake can still be taken, because a
/// committee is refused past its maximum age and the trust period (R4, R5). It cannot know whether what two thirds
/// say is true.
///
/// @dev Layout D of the gas study: of a committee only a hash is stored. Its figures come as calldata and are
/// checked against the hash, its weights only when somebody is absent or convicted, and the keys of those who are
/// absent are read from the registry's code and taken from the aggregate key. The submitter of a certificate waits
/// for stragglers: the first missing signature costs him about 130 gas a member, and each about 4,000.
///
/// A certificate is packed:
///  - the committee, what its hash commits to after the chain id, 382 bytes: epoch u32 | snapshot on Ethereum (number
///    u64 | hash | log u32 | time u64) | snapshot on Bitcoin (the same) | total u128 | n u16 | aggregate key 192 |
///    hash of weights 32 | hash of the rest 32;
///  - the sum of the signers' signatures: x | y, 96 bytes;
///  - and, unless all have signed and nobody was convicted since the snapshot: who did not sign, 32 bytes, of which bit i
///    is member i; then key id u32 | weight u64 of each member, in the committee's order.
///
/// Convictions are the registry's, and it tells this contract of each (R9): from then on the convict counts neither
/// as signer nor in the total here. Who holds a proof hands it to Palisade.sol first, in the same transaction if it
/// must be. So that nobody has to ask the registry while there is nothing to ask, a conviction leaves a mark where the
/// newest committee's hash is kept; only that costs nothing to look at, for asking would be 4,900 gas a certificate.
/// A conviction older than a committee's snapshot needs no look, for the ledger draws no convict.
contract Committee {
    /// @dev The newest epoch here, and the height of the boundary block that led to it.
    struct Newest {
        uint32 epoch;
        uint64 height;
        bool frozen;
    }

    /// The committee of `epoch` takes office. `blockId` is the boundary block before it, at `height`.
    event HandedOver(uint32 indexed epoch, bytes32 committee, bytes32 indexed blockId, uint64 height);
    /// Two boundary blocks of `epoch` were certified. Nothing is handed over and nothing accepted any more.
    event Frozen(uint32 indexed epoch, bytes32 accepted, bytes32 contradicting);

    /// Palisade.sol is bound to another genesis.
    error OtherChain(bytes32 chainId);
    /// Palisade.sol tells another contract of convictions.
    error OtherLightClient(address lightClient);
    /// Only the registry tells of convictions.
    error WrongCaller(address caller);
    /// The header names no next committee, so it is no boundary block's.
    error NoBoundary();
    /// The block or statement is of another epoch than the committee that signed it (R3), or the boundary block of
    /// another epoch than the newest.
    error WrongEpoch(uint32 epoch, uint32 expected);
    /// A boundary block must be above the one before.
    error WrongHeight(uint64 height, uint64 before);
    /// A certificate or its list of weights does not have its length.
    error WrongLength(uint256 length);
    /// No committee with these figures is in office here, or was immediately before.
    error UnknownCommittee(uint32 epoch);
    /// The weights are not those that the committee's hash commits to.
    error WrongWeights();
    /// The snapshot lies in a block that is not there yet.
    error FromTheFuture(uint64 ethereumBlock);
    /// The committee's maximum age and the trust period are over (R5).
    error TrustExpired(uint256 lastBlock);
    /// The kind is the network's own.
    error UnknownKind(uint16 kind);
    /// The bitmap names seats that are not there.
    error NotMembers();
    /// Signers weigh two thirds or less of what counts.
    error NoQuorum(uint256 signed, uint256 total);
    /// The two boundary blocks are the same, or the accepted one is not kept any more.
    error NoContradiction();
    /// Two boundary blocks of one epoch were certified.
    error HandOverFrozen();

    uint16 private constant KIND_LEDGER = 1;
    uint16 private constant KIND_VAULT_CLAIM = 3;
    uint16 private constant KIND_ORDER = 4;
    uint16 private constant KIND_SUCCESSION = 5;
    /// @dev Kinds below belong to the network itself.
    uint16 private constant FIRST_SERVICE_KIND = 256;
    /// @dev For how many epochs boundary blocks are kept, so that a contradiction is recognised.
    uint32 private constant KEPT_EPOCHS = 32;

    /// @notice The hash of genesis.
    bytes32 public immutable chainId;
    /// @notice The registry of keys and convictions.
    address public immutable palisade;
    /// @notice For how many Ethereum blocks after its snapshot a committee may sign (R10).
    uint64 public immutable maxAgeBlocks;
    /// @notice For how many Ethereum blocks after that what it signed is accepted (R5).
    uint64 public immutable trustBlocks;
    /// @dev The network's own domains that are signed with BLS (R14).
    bytes32 private immutable LEDGER;
    bytes32 private immutable VAULT_CLAIMS;
    bytes32 private immutable ORDERS;
    bytes32 private immutable SUCCESSION;
    /// @dev For how many blocks after its snapshot a committee's certificates are accepted.
    uint256 private immutable LIFETIME;

    Newest private _newest;
    /// The hash of the newest committee, but for its lowest bit: that one says whether anybody may have been convicted
    /// since the committee's snapshot.
    bytes32 private _current;
    /// The same of the committee before, where that bit says nothing.
    bytes32 private _previous;
    /// The boundary blocks of the last epochs, by epoch modulo KEPT_EPOCHS.
    bytes32[KEPT_EPOCHS] private _boundaries;

    /// @param boundary the header of the block whose state drew the first committee with weight. Its epoch had
    /// none, so nobody certified it (R6): anybody can check it against the ledger.
    constructor(
        bytes32 chainId_,
        address palisade_,
        bytes memory boundary,
        uint64 maxAgeBlocks_,
        uint64 trustBlocks_
    ) {
        bytes32 bound = IPalisade(palisade_).chainId();
        if (bound != chainId_) revert OtherChain(bound);
        chainId = chainId_;
        palisade = palisade_;
        maxAgeBlocks = maxAgeBlocks_;
        trustBlocks = trustBlocks_;
        LIFETIME = uint256(maxAgeBlocks_) + trustBlocks_;
        LEDGER = Statements.domain(chainId_, palisade_, 0, 0, KIND_LEDGER);
        VAULT_CLAIMS = Statements.domain(chainId_, palisade_, 0, 0, KIND_VAULT_CLAIM);
        ORDERS = Statements.domain(chainId_, palisade_, 0, 0, KIND_ORDER);
        SUCCESSION = Statements.domain(chainId_, palisade_, 0, 0, KIND_SUCCESSION);
        address told = IPalisade(palisade_).lightClient();
        if (told != address(this)) revert OtherLightClient(told);
        Header memory header = Headers.read(boundary, chainId_);
        if (header.nextCommittee == 0) revert NoBoundary();
        // Places that will be written are taken now, so that each hand-over costs the same: 1 is the hash of nothing.
        for (uint256 i = 0; i < KEPT_EPOCHS; ++i) {
            _boundaries[i] = NOTHING;
        }
        _previous = NOTHING;
        _current = _marked(header.nextCommittee, IPalisade(palisade_).lastConvictionBlock() != 0);
        _advance(header);
    }

    // ---- Hand-over

    /// @notice Takes the next committee in, with the certificate of the boundary block that names it. Anybody may
    /// call, within the committee's maximum age and trust period.
    /// @dev Within that time whatever counted at the snapshot can still be taken (R4), so that a late hand-over
    /// needs no other weights here than a timely one.
    function handOver(bytes calldata header, bytes calldata certificate) external {
        Newest memory newest = _newest;
        if (newest.frozen) revert HandOverFrozen();
        Header memory boundary = Headers.read(header, chainId);
        if (boundary.nextCommittee == 0) revert NoBoundary();
        if (boundary.epoch != newest.epoch) revert WrongEpoch(boundary.epoch, newest.epoch);
        if (boundary.height <= newest.height) revert WrongHeight(boundary.height, newest.height);
        bool convictions = _acceptBlock(boundary, 0, certificate);
        _previous = _current;
        // Whoever was convicted since this committee's snapshot may have been so since the next one's. The mark goes
        // on until a committee's snapshot is above the last conviction.
        _current = _marked(boundary.nextCommittee, convictions);
        _advance(boundary);
    }

    function _advance(Header memory boundary) private {
        uint32 epoch = boundary.epoch + 1;
        _boundaries[boundary.epoch % KEPT_EPOCHS] = boundary.id;
        _newest = Newest({epoch: epoch, height: boundary.height, frozen: false});
        emit HandedOver(epoch, boundary.nextCommittee, boundary.id, boundary.height);
    }

    /// @notice The registry says that somebody was convicted in this block.
    function convictionCame() external {
        if (msg.sender != palisade) revert WrongCaller(msg.sender);
        bytes32 current = _current;
        if (current & MARK == 0 && current != 0) _current = current | MARK;
    }

    /// @dev How a committee's hash is kept.
    function _marked(bytes32 committee, bool convictions) private pure returns (bytes32) {
        return convictions ? committee | MARK : committee & ~MARK;
    }

    /// @notice Shows a second certified boundary block of an epoch that has been handed over. From then on nothing
    /// is handed over and no certificate accepted, for ever (R10): nobody here can tell which of the two histories
    /// goes on. Slashing by pairs at Palisade.sol is untouched.
    /// @param origin the header of the boundary block of the epoch before, which named the committee.
    /// @param header the contradicting boundary block's.
    /// @dev Convicts count here: whoever slashes the guilty first must not make the contradiction disappear.
    function contradict(bytes calldata origin, bytes calldata header, bytes calldata certificate) external {
        Newest memory newest = _newest;
        if (newest.frozen) revert HandOverFrozen();
        Header memory before = Headers.read(origin, chainId);
        Header memory second = Headers.read(header, chainId);
        if (second.nextCommittee == 0) revert NoBoundary();
        if (second.epoch == 0 || second.epoch - 1 != before.epoch) revert WrongEpoch(before.epoch, second.epoch);
        // The boundary before must be kept too: it shows who the committee was.
        if (second.epoch >= newest.epoch || newest.epoch - before.epoch > KEPT_EPOCHS) revert NoContradiction();
        if (_boundaries[before.epoch % KEPT_EPOCHS] != before.id) revert UnknownCommittee(second.epoch);
        bytes32 accepted = _boundaries[second.epoch % KEPT_EPOCHS];
        if (accepted == second.id) revert NoContradiction();
        _acceptBlock(second, before.nextCommittee, certificate);
        _newest.frozen = true;
        delete _current; // so that no certificate has to look whether this happened
        delete _previous;
        emit Frozen(second.epoch, accepted, second.id);
    }

    // ---- Certificates

    // Calls find their function by selector, the lowest first, in 22 gas each: with the number before the digest these
    // are low. Each of the network's own domains (R14) has a function of its own; of blocks, `verifyBlock` checks more. What
    // Certificates.sol reads of a certificate is true when one of these did not revert.

    /// @notice Reverts unless the newest committee or the one before certified the claim with this number and digest.
    /// The claim names its epoch, and the caller must compare (R3).
    function verifyClaim(uint64 number, bytes32 digest, bytes calldata certificate) external view {
        _accept(0, Statements.statement(chainId, VAULT_CLAIMS, number, digest), certificate);
    }

    /// @notice Reverts unless the newest committee or the one before certified the order with this number and digest.
    /// The order names its epoch, and the caller must compare (R3).
    function verifyOrder(uint64 number, bytes32 digest, bytes calldata certificate) external view {
        _accept(0, Statements.statement(chainId, ORDERS, number, digest), certificate);
    }

    /// @notice Reverts unless the newest committee or the one before named `successor` as the `count`-th chain id that
    /// goes on from here (R21).
    function verifySuccession(uint64 count, bytes32 successor, bytes calldata certificate) external view {
        _accept(0, Statements.statement(chainId, SUCCESSION, count, successor), certificate);
    }

    /// @notice Reverts unless the newest committee or the one before certified `digest` in `slot` of a service's domain.
    /// The slot names the epoch, and must name the right one (R3).
    function verifyService(
        bytes32 serviceId,
        uint64 registration,
        uint16 kind,
        uint64 slot,
        bytes32 digest,
        bytes calldata certificate
    ) external view {
        if (kind < FIRST_SERVICE_KIND) revert UnknownKind(kind);
        bytes32 domain = Statements.domain(chainId, palisade, serviceId, registration, kind);
        _accept(0, Statements.statement(chainId, domain, slot, digest), certificate);
        uint32 epoch = Certificates.epoch(certificate);
        if (slot >> 40 != epoch) revert WrongEpoch(uint32(slot >> 40), epoch);
    }

    /// @notice Reverts unless the block with this header is final: certified by the committee of its epoch.
    /// @return block_ what the header says; rows of the ledger can be proven under its state root (RowProof.sol).
    function verifyBlock(bytes calldata header, bytes calldata certificate) external view returns (Header memory block_) {
        block_ = Headers.read(header, chainId);
        _acceptBlock(block_, 0, certificate);
    }

    /// @notice The last boundary: `blockId` at `height` named the committee of `epoch`. A node that syncs asks for
    /// it at its own final Ethereum block and refuses a chain without that block (R13).
    function latest() external view returns (uint32 epoch, bytes32 blockId, uint64 height) {
        Newest memory newest = _newest;
        return (newest.epoch, _boundaries[(newest.epoch - 1) % KEPT_EPOCHS], newest.height);
    }

    /// @notice Whether certificates of the committee with this hash are accepted: it is the newest or the one before,
    /// and nothing is frozen.
    function inOffice(bytes32 committee) external view returns (bool) {
        return uint256(committee) > uint256(NOTHING) && (_is(committee, _current) || _is(committee, _previous));
    }

    function _is(bytes32 committee, bytes32 kept) private pure returns (bool) {
        return (committee ^ kept) | MARK == MARK;
    }

    /// @notice Whether a contradiction has ended hand-over.
    function frozen() external view returns (bool) {
        return _newest.frozen;
    }

    /// @dev As `_accept`, for a block of the ledger, whose epoch is its committee's.
    function _acceptBlock(Header memory header, bytes32 committee, bytes calldata certificate)
        private
        view
        returns (bool convictions)
    {
        bytes32 statement = Statements.statement(chainId, LEDGER, header.height, header.id);
        convictions = _accept(committee, statement, certificate);
        uint32 epoch = Certificates.epoch(certificate);
        if (epoch != header.epoch) revert WrongEpoch(header.epoch, epoch);
    }

    /// @dev The whole check of a certificate, from the cheapest part to the dearest.
    /// @param committee zero for one in office; else the hash of the one committee that may have signed, and then
    /// convicts are not left out.
    /// @return convictions whether somebody was convicted since the committee's snapshot, as far as it matters.
    function _accept(bytes32 committee, bytes32 statement, bytes calldata certificate)
        private
        view
        returns (bool convictions)
    {
        bytes32 hash = _hash(certificate);
        if (committee == 0) convictions = _inOffice(hash, certificate);
        else if (committee != hash) revert UnknownCommittee(Certificates.epoch(certificate));
        _checkClock(Certificates.ethereumBlock(certificate));
        uint256 absent = _checkSigners(certificate, convictions);
        uint256 from = _offset(certificate);
        unchecked {
            uint256 pairs = Bls.openPairsAt(from + SIGNATURE_AT, 2);
            Bls.hashTo(pairs + Bls.FIRST_POINT, statement, Bls.SIGNATURE);
            Bls.padCalldataTo(pairs + Bls.FIRST_KEY, from + AGGREGATE_AT);
            if (absent != 0) _takeAway(pairs + Bls.FIRST_KEY, certificate[WEIGHTS_AT:], absent);
            Bls.checkPairs(pairs, 2);
        }
    }

    /// @dev The hash of a certificate's committee, of which nothing is read before its length is checked here.
    function _hash(bytes calldata certificate) private view returns (bytes32 hash) {
        if (certificate.length < SHORT_LENGTH) revert WrongLength(certificate.length);
        bytes32 chain = chainId;
        assembly ("memory-safe") {
            let from := mload(0x40)
            mstore(from, chain)
            calldatacopy(add(from, 32), certificate.offset, COMMITTEE_LENGTH)
            hash := keccak256(from, add(32, COMMITTEE_LENGTH))
        }
    }

    /// @dev The committee's hash must be one that is kept. The epoch is part of what is hashed.
    function _inOffice(bytes32 hash, bytes calldata certificate) private view returns (bool convictions) {
        bytes32 current = _current;
        if (hash & ~MARK == current) return false; // the newest, and nobody was convicted
        if (!_is(hash, current) && !_is(hash, _previous)) revert UnknownCommittee(Certificates.epoch(certificate));
        return IPalisade(palisade).lastConvictionBlock() >= Certificates.ethereumBlock(certificate);
    }

    function _checkClock(uint64 snapshot) private view {
        unchecked {
            if (block.number - snapshot <= LIFETIME) return; // and not from the future: that would be a huge number
        }
        if (snapshot > block.number) revert FromTheFuture(snapshot);
        revert TrustExpired(snapshot + LIFETIME);
    }

    /// @dev Checks that the signers weigh enough. Weights are needed only when somebody is absent or may be convicted;
    /// else signers and total are the same.
    /// @return absent the seats that did not sign.
    function _checkSigners(bytes calldata certificate, bool convictions) private view returns (uint256 absent) {
        uint256 total = _integer(certificate, 108, 128);
        if (certificate.length == SHORT_LENGTH) {
            if (convictions) revert WrongLength(SHORT_LENGTH);
            if (total == 0) revert NoQuorum(0, 0);
            return 0;
        }
        uint256 count = _integer(certificate, 124, 16);
        if (count == 0 || count > MAX_MEMBERS) revert NotMembers();
        if (certificate.length != WEIGHTS_AT + MEMBER_LENGTH * count) revert WrongLength(certificate.length);
        absent = _integer(certificate, SHORT_LENGTH, 256);
        if (absent & ~(type(uint256).max >> (MAX_MEMBERS - count)) != 0) revert NotMembers();
        bytes calldata weights = certificate[WEIGHTS_AT:];
        if (keccak256(weights) != bytes32(_integer(certificate, 318, 256))) revert WrongWeights();
        uint256 convicts = convictions ? IPalisade(palisade).convicts(_keyIds(weights, count)) : 0;
        total -= _weigh(weights, convicts);
        _checkQuorum(total - _weigh(weights, absent & ~convicts), total);
    }

    function _checkQuorum(uint256 signed, uint256 total) private pure {
        if (signed * 3 <= total * 2) revert NoQuorum(signed, total);
    }

    /// @dev What the seats in `bits` weigh together.
    function _weigh(bytes calldata weights, uint256 bits) private pure returns (uint256 sum) {
        for (; bits != 0; bits &= bits - 1) {
            unchecked {
                sum += _integer(weights, _lowest(bits) * MEMBER_LENGTH + 4, 64); // at most 256 numbers of 64 bits
            }
        }
    }

    /// @dev Takes the attestation keys of the seats in `bits` from a padded sum. The sum is negated, each of them
    /// added, and what comes out negated again: one call of a precompile a key.
    function _takeAway(uint256 sum, bytes calldata weights, uint256 bits) private view {
        Bls.negate(sum);
        for (; bits != 0; bits &= bits - 1) {
            Bls.addKey(sum, KeyBlobs.read(palisade, _keyId(weights, _lowest(bits))));
        }
        Bls.negate(sum);
    }

    function _keyIds(bytes calldata weights, uint256 count) private pure returns (uint32[] memory ids) {
        ids = new uint32[](count);
        for (uint256 seat = 0; seat < count; ++seat) {
            ids[seat] = _keyId(weights, seat);
        }
    }

    function _keyId(bytes calldata weights, uint256 seat) private pure returns (uint32) {
        return uint32(_integer(weights, seat * MEMBER_LENGTH, 32));
    }

    /// @dev The number of `bits` bits at `offset`. The caller has checked that the bytes are that long.
    function _integer(bytes calldata from, uint256 offset, uint256 bits) private pure returns (uint256 integer) {
        assembly ("memory-safe") {
            integer := shr(sub(256, bits), calldataload(add(from.offset, offset)))
        }
    }

    function _offset(bytes calldata from) private pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := from.offset
        }
    }

    /// @dev The number of the lowest bit that is set; there is one.
    function _lowest(uint256 bits) private pure returns (uint256 seat) {
        assembly ("memory-safe") {
            seat := sub(255, clz(and(bits, sub(0, bits))))
        }
    }

    uint256 private constant MAX_MEMBERS = 256;
    uint256 private constant MEMBER_LENGTH = 12;
    uint256 private constant COMMITTEE_LENGTH = 382;
    uint256 private constant AGGREGATE_AT = 126;
    uint256 private constant SIGNATURE_AT = 382;
    /// @dev A certificate that all have signed.
    uint256 private constant SHORT_LENGTH = 478;
    uint256 private constant WEIGHTS_AT = 510;
    /// @dev Convictions may concern the committee.
    bytes32 private constant MARK = bytes32(uint256(1));
    /// @dev The hash of nothing, in a place that was never used.
    bytes32 private constant NOTHING = bytes32(uint256(1));
}
