// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "./Bls.sol";
import {Header, Headers} from "./Headers.sol";
import {KeyBlobs} from "./KeyBlobs.sol";
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
/// for stragglers: a missing signature costs him about 4,000 gas.
///
/// Convictions are the registry's. Who holds a pair hands it to Palisade.sol first, in the same transaction if it
/// must be; from then on the convict counts neither as signer nor in the total here (R9). A conviction older than
/// a committee's snapshot needs no look, for the ledger draws no convict. Convictions that only the ledger knows
/// (EOTS pairs, exposed keys) are not seen here: certificates then need the full two thirds of the old total.
contract Committee {
    /// @notice What is said: `digest` stands in `slot` of a domain (R14).
    struct Statement {
        /// Zero for the network's own domains.
        bytes32 serviceId;
        /// Zero for the network's own domains.
        uint64 registration;
        uint16 kind;
        uint64 slot;
        bytes32 digest;
    }

    /// @notice Who says it.
    struct Certificate {
        /// The committee: what its hash commits to after the chain id, 382 bytes: epoch u32 | snapshot on Ethereum
        /// (number u64 | hash | log u32 | time u64) | snapshot on Bitcoin (the same) | total u128 | n u16 |
        /// aggregate key 192 | hash of weights 32 | hash of the rest 32.
        bytes committee;
        /// Key id u32 | weight u64 of each member, in the committee's order. May be empty when all have signed and
        /// nobody was convicted since the snapshot.
        bytes weights;
        /// Bit i is member i.
        uint256 signers;
        /// The sum of the signers' signatures: x | y, 96 bytes.
        bytes signature;
    }

    /// @notice Which committee it was.
    struct Office {
        uint32 epoch;
        /// The Ethereum block at which its weights stood. It cannot have signed anything before.
        uint64 ethereumBlock;
        /// The Bitcoin block at which its weights stood.
        uint64 bitcoinBlock;
    }

    /// @dev What is read of a committee.
    struct Parsed {
        Office office;
        uint256 total;
        uint256 count;
        bytes aggregate;
        bytes32 weightsHash;
    }

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
    /// The header names no next committee, so it is no boundary block's.
    error NoBoundary();
    /// The block or statement is of another epoch than the committee that signed it (R3), or the boundary block of
    /// another epoch than the newest.
    error WrongEpoch(uint32 epoch, uint32 expected);
    /// A boundary block must be above the one before.
    error WrongHeight(uint64 height, uint64 before);
    /// The bytes of a committee or the list of weights do not have their length.
    error WrongLength(uint256 length);
    /// No committee with these figures is in office here, or was immediately before.
    error UnknownCommittee(uint32 epoch);
    /// The weights are not those that the committee's hash commits to.
    error WrongWeights();
    /// The snapshot lies in a block that is not there yet.
    error FromTheFuture(uint64 ethereumBlock);
    /// The committee's maximum age and the trust period are over (R5).
    error TrustExpired(uint256 lastBlock);
    /// The bitmap names seats that are not there.
    error NotMembers();
    /// Signers weigh two thirds or less of what counts.
    error NoQuorum(uint256 signed, uint256 total);
    /// Finality on Bitcoin is signed with EOTS, not with these keys.
    error SignedWithEots();
    /// The two boundary blocks are the same, or the accepted one is not kept any more.
    error NoContradiction();
    /// Two boundary blocks of one epoch were certified.
    error HandOverFrozen();

    uint16 public constant KIND_LEDGER = 1;
    uint16 public constant KIND_BITCOIN = 2;
    /// @notice Kinds below belong to the network itself.
    uint16 public constant FIRST_SERVICE_KIND = 256;
    /// @notice For how many epochs boundary blocks are kept, so that a contradiction is recognised.
    uint32 public constant KEPT_EPOCHS = 32;

    /// @notice The hash of genesis.
    bytes32 public immutable chainId;
    /// @notice The registry of keys and convictions.
    address public immutable palisade;
    /// @notice For how many Ethereum blocks after its snapshot a committee may sign (R10).
    uint64 public immutable maxAgeBlocks;
    /// @notice For how many Ethereum blocks after that what it signed is accepted (R5).
    uint64 public immutable trustBlocks;
    /// @dev The domain of block ids (R14).
    bytes32 private immutable LEDGER;

    Newest private _newest;
    /// The committees in office and before, by the lowest bit of their epoch.
    bytes32[2] private _committees;
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
        LEDGER = _domain(chainId_, palisade_, 0, 0, KIND_LEDGER);
        Header memory header = Headers.read(boundary, chainId_);
        if (header.nextCommittee == 0) revert NoBoundary();
        _advance(header);
    }

    // ---- Hand-over

    /// @notice Takes the next committee in, with the certificate of the boundary block that names it. Anybody may
    /// call, within the committee's maximum age and trust period.
    /// @dev Within that time whatever counted at the snapshot can still be taken (R4), so that a late hand-over
    /// needs no other weights here than a timely one.
    function handOver(bytes calldata header, Certificate calldata certificate) external {
        Newest memory newest = _newest;
        if (newest.frozen) revert HandOverFrozen();
        Header memory boundary = Headers.read(header, chainId);
        if (boundary.nextCommittee == 0) revert NoBoundary();
        if (boundary.epoch != newest.epoch) revert WrongEpoch(boundary.epoch, newest.epoch);
        if (boundary.height <= newest.height) revert WrongHeight(boundary.height, newest.height);
        _checkBlock(_committees[boundary.epoch % 2], boundary, certificate, true);
        _advance(boundary);
    }

    function _advance(Header memory boundary) private {
        uint32 epoch = boundary.epoch + 1;
        _committees[epoch % 2] = boundary.nextCommittee;
        _boundaries[boundary.epoch % KEPT_EPOCHS] = boundary.id;
        _newest = Newest({epoch: epoch, height: boundary.height, frozen: false});
        emit HandedOver(epoch, boundary.nextCommittee, boundary.id, boundary.height);
    }

    /// @notice Shows a second certified boundary block of an epoch that has been handed over. From then on nothing
    /// is handed over and no certificate accepted, for ever (R10): nobody here can tell which of the two histories
    /// goes on. Slashing by pairs at Palisade.sol is untouched.
    /// @param origin the header of the boundary block of the epoch before, which named the committee.
    /// @param header the contradicting boundary block's.
    /// @dev Convicts count here: whoever slashes the guilty first must not make the contradiction disappear.
    function contradict(bytes calldata origin, bytes calldata header, Certificate calldata certificate) external {
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
        _checkBlock(before.nextCommittee, second, certificate, false);
        _newest.frozen = true;
        delete _committees; // so that no certificate has to look whether this happened
        emit Frozen(second.epoch, accepted, second.id);
    }

    // ---- Certificates

    /// @notice Reverts unless the certificate holds for the statement. Any of the network's own BLS domains and of
    /// the services', under the newest committee or the one before.
    /// @return office the committee that signed. In a domain of the network other than the ledger's the epoch is in
    /// what the digest hashes, and the caller must compare (R3); for blocks use `verifyBlock`, which does.
    function verify(Statement calldata statement, Certificate calldata certificate)
        external
        view
        returns (Office memory office)
    {
        if (statement.kind == KIND_BITCOIN) revert SignedWithEots();
        bytes32 domain = _domain(chainId, palisade, statement.serviceId, statement.registration, statement.kind);
        office = _check(_inOffice(certificate), domain, statement.slot, statement.digest, certificate, true);
        if (statement.kind >= FIRST_SERVICE_KIND && statement.slot >> 40 != office.epoch) {
            revert WrongEpoch(uint32(statement.slot >> 40), office.epoch);
        }
    }

    /// @notice Reverts unless the block with this header is final: certified by the committee of its epoch.
    /// @return block_ what the header says; rows of the ledger can be proven under its state root (RowProof.sol).
    function verifyBlock(bytes calldata header, Certificate calldata certificate)
        external
        view
        returns (Header memory block_, Office memory office)
    {
        block_ = Headers.read(header, chainId);
        office = _checkBlock(_inOffice(certificate), block_, certificate, true);
    }

    /// @notice The last boundary: `blockId` at `height` named the committee of `epoch`. A node that syncs asks for
    /// it at its own final Ethereum block and refuses a chain without that block (R13).
    function latest() external view returns (uint32 epoch, bytes32 blockId, uint64 height) {
        Newest memory newest = _newest;
        return (newest.epoch, _boundaries[(newest.epoch - 1) % KEPT_EPOCHS], newest.height);
    }

    /// @notice The hash of an epoch's committee; zero unless it is the newest or the one before, and zero for all
    /// once frozen.
    function committeeHash(uint32 epoch) external view returns (bytes32) {
        uint32 newest = _newest.epoch;
        return epoch == newest || epoch + 1 == newest ? _committees[epoch % 2] : bytes32(0);
    }

    /// @notice Whether a contradiction has ended hand-over.
    function frozen() external view returns (bool) {
        return _newest.frozen;
    }

    /// @dev The hash to which the certificate's committee must lead. The epoch is part of what is hashed, so that
    /// an older committee does not pass for the one that has its place now.
    function _inOffice(Certificate calldata certificate) private view returns (bytes32) {
        if (certificate.committee.length != COMMITTEE_LENGTH) revert WrongLength(certificate.committee.length);
        return _committees[uint8(certificate.committee[3]) % 2];
    }

    function _checkBlock(bytes32 hash, Header memory header, Certificate calldata certificate, bool withoutConvicts)
        private
        view
        returns (Office memory office)
    {
        office = _check(hash, LEDGER, header.height, header.id, certificate, withoutConvicts);
        if (office.epoch != header.epoch) revert WrongEpoch(header.epoch, office.epoch);
    }

    /// @dev The whole check of a certificate, from the cheapest part to the dearest.
    function _check(
        bytes32 hash,
        bytes32 domain,
        uint64 slot,
        bytes32 digest,
        Certificate calldata certificate,
        bool withoutConvicts
    ) private view returns (Office memory) {
        Parsed memory committee = _parse(certificate.committee);
        // The zero of an empty place is no hash of anything.
        if (keccak256(bytes.concat(chainId, certificate.committee)) != hash) {
            revert UnknownCommittee(committee.office.epoch);
        }
        _checkClock(committee.office.ethereumBlock);
        bytes memory key = _keyOfSigners(committee, certificate, withoutConvicts);
        bytes32 message = keccak256(abi.encodePacked("PALISADE-ATT-1", chainId, domain, slot, digest));
        Bls.verifyPadded(key, message, certificate.signature);
        return committee.office;
    }

    function _parse(bytes calldata committee) private pure returns (Parsed memory parsed) {
        if (committee.length != COMMITTEE_LENGTH) revert WrongLength(committee.length);
        parsed.office = Office({
            epoch: uint32(bytes4(committee[0:4])),
            ethereumBlock: uint64(bytes8(committee[4:12])),
            bitcoinBlock: uint64(bytes8(committee[56:64]))
        });
        parsed.total = uint128(bytes16(committee[108:124]));
        parsed.count = uint16(bytes2(committee[124:126]));
        parsed.aggregate = committee[126:318];
        parsed.weightsHash = bytes32(committee[318:350]);
    }

    function _checkClock(uint64 snapshot) private view {
        if (snapshot > block.number) revert FromTheFuture(snapshot);
        uint256 last = uint256(snapshot) + maxAgeBlocks + trustBlocks;
        if (block.number > last) revert TrustExpired(last);
    }

    /// @dev Checks that the signers weigh enough and returns the sum of their keys, padded. Weights are needed only
    /// when somebody is absent or may be convicted; else signers and total are the same.
    function _keyOfSigners(Parsed memory committee, Certificate calldata certificate, bool withoutConvicts)
        private
        view
        returns (bytes memory)
    {
        uint256 signers = certificate.signers;
        if (committee.count == 0 || committee.count > MAX_MEMBERS) revert NotMembers();
        uint256 everybody = type(uint256).max >> (MAX_MEMBERS - committee.count);
        if (signers & ~everybody != 0) revert NotMembers();
        bool mayHaveConvicts =
            withoutConvicts && IPalisade(palisade).lastConvictionBlock() >= committee.office.ethereumBlock;
        uint256 absent = everybody ^ signers;
        if (absent == 0 && !mayHaveConvicts) {
            _checkQuorum(committee.total, committee.total);
            return Bls.pad(committee.aggregate);
        }
        bytes calldata weights = certificate.weights;
        if (weights.length != MEMBER_LENGTH * committee.count) revert WrongLength(weights.length);
        if (keccak256(weights) != committee.weightsHash) revert WrongWeights();
        uint256 convicts = mayHaveConvicts ? IPalisade(palisade).convicts(_keyIds(weights)) : 0;
        uint256 total = committee.total - _weigh(weights, convicts);
        _checkQuorum(total - _weigh(weights, absent & ~convicts), total);
        return Bls.subtract(committee.aggregate, _keysOf(weights, absent));
    }

    function _checkQuorum(uint256 signed, uint256 total) private pure {
        if (signed * 3 <= total * 2) revert NoQuorum(signed, total);
    }

    /// @dev What the seats in `bits` weigh together.
    function _weigh(bytes calldata weights, uint256 bits) private pure returns (uint256 sum) {
        while (bits != 0) {
            uint256 seat = _lowest(bits);
            bits &= bits - 1;
            sum += uint64(bytes8(weights[seat * MEMBER_LENGTH + 4:seat * MEMBER_LENGTH + 12]));
        }
    }

    /// @dev The attestation keys of the seats in `bits`.
    function _keysOf(bytes calldata weights, uint256 bits) private view returns (bytes[] memory keys) {
        keys = new bytes[](_count(bits));
        for (uint256 i = 0; bits != 0; ++i) {
            uint256 seat = _lowest(bits);
            bits &= bits - 1;
            keys[i] = KeyBlobs.read(palisade, _keyId(weights, seat));
        }
    }

    function _keyIds(bytes calldata weights) private pure returns (uint32[] memory ids) {
        ids = new uint32[](weights.length / MEMBER_LENGTH);
        for (uint256 seat = 0; seat < ids.length; ++seat) {
            ids[seat] = _keyId(weights, seat);
        }
    }

    function _keyId(bytes calldata weights, uint256 seat) private pure returns (uint32) {
        return uint32(bytes4(weights[seat * MEMBER_LENGTH:seat * MEMBER_LENGTH + 4]));
    }

    /// @dev The number of the lowest bit that is set; there is one.
    function _lowest(uint256 bits) private pure returns (uint256 seat) {
        assembly ("memory-safe") {
            seat := sub(255, clz(and(bits, sub(0, bits))))
        }
    }

    function _count(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }

    function _domain(bytes32 chainId_, address palisade_, bytes32 serviceId, uint64 registration, uint16 kind)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked("PALISADE-DOM-1", chainId_, palisade_, serviceId, registration, kind));
    }

    uint256 private constant MAX_MEMBERS = 256;
    uint256 private constant COMMITTEE_LENGTH = 382;
    uint256 private constant MEMBER_LENGTH = 12;
}
