// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "./Bls.sol";
import {Header, Headers} from "./Headers.sol";
import {KeyBlobs} from "./KeyBlobs.sol";
import {RowProof} from "./RowProof.sol";
import {Secp256k1} from "./Secp256k1.sol";
import {Statements} from "./Statements.sol";
import {IAdapter, Loss} from "./interfaces/IAdapter.sol";
import {ILightClient} from "./interfaces/IPalisade.sol";

/// @title Registry of operators' keys, and judge of their equivocations
/// @notice An operator is an Ethereum account. It registers its keys here and is slashed here when anybody shows
/// two digests that its attestation key signed for one slot of one domain, or that it attested a block and later
/// one whose state names another block at that height (R1). Whoever shows the secret of its finality key convicts it
/// too, and takes nothing here (R29). Nobody owns this contract and nothing in it can be
/// changed; the way on is a succession (R21). It binds one genesis through its chain id (R17).
/// @dev Key ids are the nonces of CREATE: this contract creates nothing but key blobs, so that the address of a
/// key follows from its id and no slot has to hold it. A failed creation reverts the whole registration.
contract Palisade {
    /// @notice All of an operator's keys with their proofs of possession.
    /// @dev Only the BLS proof is checked here. The Ed25519 and EOTS proofs are passed on to the ledger, which
    /// takes no row whose proofs are false or whose keys are another row's: if this contract, which cannot check
    /// those proofs, kept such keys unique, anybody could burn a published key by registering it first.
    struct Keys {
        /// Attestation key: x.c0 | x.c1 | y.c0 | y.c1, 192 bytes.
        bytes bls;
        /// Signature over `possession(operator, bls)` under the proof-of-possession tag: x | y, 96 bytes.
        bytes blsProof;
        /// Consensus key.
        bytes32 ed25519;
        /// 64 bytes.
        bytes ed25519Proof;
        /// Finality key: the x coordinate, as in BIP 340.
        bytes32 eots;
        /// 64 bytes.
        bytes eotsProof;
        /// The libp2p peer id, at most 64 bytes.
        bytes peerId;
    }

    /// @notice Two digests of one slot and the sum of the signatures over them.
    struct Pair {
        uint32 keyId;
        bytes32 serviceId;
        uint64 registration;
        uint16 kind;
        uint64 slot;
        bytes32 digestA;
        bytes32 digestB;
        /// The sum of both signatures: x | y, 96 bytes.
        bytes signatureSum;
    }

    /// @notice Two attestations of different heights in the ledger's domain that cannot both be honest (R1).
    struct Ancestor {
        /// The key that attested `digest` at `slot`.
        uint32 keyId;
        /// The key that attested the header's block; the same operator's, often the same key.
        uint32 laterKeyId;
        uint64 slot;
        bytes32 digest;
        /// The later block's header: its height is the later slot, its id the later digest.
        bytes header;
        /// The block that the later one's state names at `slot`.
        bytes32 named;
        /// Proves that row under the header's state root, root first.
        bytes32[] siblings;
        /// The sum of both signatures: x | y, 96 bytes.
        bytes signatureSum;
    }

    /// @notice A registry row: the key counts in Ethereum blocks [from, until); until 0 is open.
    struct Row {
        address operator;
        uint48 from;
        uint48 until;
    }

    /// @dev What is known of an operator besides its rows: one slot, so that a conviction writes one.
    struct Standing {
        /// Its open row; 0 while it never registered.
        uint32 openKeyId;
        /// The Ethereum block of its first conviction; 0 without one.
        uint48 convicted;
        /// Bit k - 1: convicted in the network's own domain of kind k (R25).
        uint8 cases;
        /// Byte k - 1, bit i of it: adapter i has shown the loss of the case of kind k.
        uint64 done;
    }

    /// A new row. `ed25519Proof` and `eotsProof` are as handed in: the ledger checks them.
    event KeysRegistered(
        address indexed operator,
        uint32 indexed keyId,
        uint64 fromBlock,
        bytes bls,
        bytes32 ed25519,
        bytes ed25519Proof,
        bytes32 eots,
        bytes eotsProof,
        bytes peerId
    );
    /// An operator signed two digests in one slot, or attested a block that says `digestB` stands where it had
    /// attested `digestA`. Emitted once per case (R25).
    event Convicted(
        bytes32 indexed caseId, address indexed operator, bytes32 domain, uint64 slot, bytes32 digestA, bytes32 digestB
    );
    /// Somebody showed the secret of an operator's finality key: two signatures with one nonce give it away, and so does
    /// a slashing transaction on Bitcoin. Emitted once an operator.
    event KeyExposed(address indexed operator, uint32 indexed keyId, uint256 secret);
    /// What an adapter's target shows of one asset immediately before and after the slash.
    event Slashed(
        bytes32 indexed caseId,
        address indexed operator,
        address indexed adapter,
        address asset,
        uint256 before,
        uint256 afterwards
    );
    /// Operators certified an order against one of them for a fault that no contract can check. Emitted once an operator.
    event ConvictedByOrder(address indexed operator);
    /// An adapter's target waits, for a veto say: a later call of `slash` leads it on. It is not done (R24).
    event SlashPending(bytes32 indexed caseId, address indexed operator, address indexed adapter);
    /// An adapter took nothing. It stays open: anybody may call `slash` again (R24).
    event SlashFailed(bytes32 indexed caseId, address indexed operator, address indexed adapter, bytes reason);

    /// A key, a proof or a peer id does not have its length.
    error WrongLength(uint256 length);
    /// A key was registered before, by whomever: keys are unique for ever (R12).
    error KeyTaken();
    /// The key's code could not be stored.
    error KeyNotStored();
    /// The row closed longer ago than evidence counts.
    error EvidenceTooLate(uint64 until);
    /// The two digests are the same, or the later block agrees with the earlier, or is not later: all honest.
    error Compatible();
    /// The two keys are not one operator's.
    error DifferentSigners();
    /// Finality on Bitcoin is signed with EOTS; a pair there gives up the key itself, and that convicts.
    error SignedWithEots();
    /// The secret is not that of the row's finality key.
    error NotExposed();
    /// The operator's finality key was shown before.
    error AlreadyExposed(address operator);
    /// The network does not reserve this kind.
    error UnknownKind(uint16 kind);
    /// Services' domains slash what is allocated to the service, not the network's own set.
    error ServiceDomain();
    /// The case is convicted and every target has shown the loss.
    error AlreadySlashed(bytes32 caseId);
    /// Less gas is left than the adapter may need.
    error TooLittleGas(address adapter, uint256 needed);
    /// An adapter called back.
    error Reentered();
    /// Only Orders.sol tells of certified orders.
    error WrongCaller(address caller);
    /// There must be one adapter at least and `MAX_ADAPTERS` at most.
    error WrongAdapterCount(uint256 count);

    // Reasons given in `SlashFailed` for adapters that did not revert; never reverted with.
    error AdapterMissing();
    error LossNotSeen();

    uint256 public constant MAX_ADAPTERS = 8;
    uint256 public constant MAX_PEER_ID_LENGTH = 64;
    uint16 public constant KIND_LEDGER = 1;
    uint16 public constant KIND_BITCOIN = 2;
    uint16 public constant KIND_SUCCESSION = 5;

    /// @notice The hash of genesis.
    bytes32 public immutable chainId;
    /// @notice How many blocks after its row closed a key can still be convicted: W (R4, R12).
    uint64 public immutable evidenceWindowBlocks;
    /// @notice The contract that is told of every conviction: Committee.sol, which may come later at this address.
    address public immutable lightClient;
    /// @notice The contract that tells of orders against the network's own operators: Orders.sol.
    address public immutable orders;
    /// @notice The id of the newest row; 0 while there is none.
    uint32 public lastKeyId;
    /// @notice The Ethereum block of the newest conviction; 0 while nobody is convicted. Whoever counts weights
    /// that stood at a later block need not ask about anybody (R9).
    uint48 public lastConvictionBlock;
    uint8 private _adapterCount;

    address[MAX_ADAPTERS] private _adapters;
    mapping(uint32 keyId => Row) private _rows;
    mapping(address operator => Standing) private _standings;
    mapping(bytes32 keyHash => bool) private _taken;
    bool private transient _slashing;

    /// @param adapters_ the slashable sources, fixed for ever; their code may come later at these addresses.
    /// @param lightClient_ where Committee.sol will stand (R17).
    /// @param orders_ where Orders.sol will stand.
    constructor(
        bytes32 chainId_,
        address[] memory adapters_,
        uint64 evidenceWindowBlocks_,
        address lightClient_,
        address orders_
    ) {
        if (adapters_.length == 0 || adapters_.length > MAX_ADAPTERS) revert WrongAdapterCount(adapters_.length);
        chainId = chainId_;
        evidenceWindowBlocks = evidenceWindowBlocks_;
        lightClient = lightClient_;
        orders = orders_;
        _adapterCount = uint8(adapters_.length);
        for (uint256 i = 0; i < adapters_.length; ++i) {
            _adapters[i] = adapters_[i];
        }
    }

    // ---- Registry

    /// @notice Opens a row for the caller with new keys; the caller's open row, if any, closes at this block.
    function register(Keys calldata keys) external returns (uint32 keyId) {
        _checkLengths(keys);
        bytes memory bls = keys.bls;
        Bls.verify(bls, possession(msg.sender, bls), Bls.POSSESSION, keys.blsProof);
        _take(keccak256(bls));
        keyId = _openRow(msg.sender);
        _storeKeys(keyId, bls, keys.eots);
        emit KeysRegistered(
            msg.sender,
            keyId,
            uint64(block.number),
            bls,
            keys.ed25519,
            keys.ed25519Proof,
            keys.eots,
            keys.eotsProof,
            keys.peerId
        );
    }

    function _checkLengths(Keys calldata keys) private pure {
        if (keys.ed25519Proof.length != 64) revert WrongLength(keys.ed25519Proof.length);
        if (keys.eotsProof.length != 64) revert WrongLength(keys.eotsProof.length);
        if (keys.peerId.length > MAX_PEER_ID_LENGTH) revert WrongLength(keys.peerId.length);
        // Bls.verify checks the lengths of `bls` and `blsProof`.
    }

    function _take(bytes32 keyHash) private {
        if (_taken[keyHash]) revert KeyTaken();
        _taken[keyHash] = true;
    }

    function _openRow(address operator) private returns (uint32 keyId) {
        uint32 open = _standings[operator].openKeyId;
        if (open != 0) _rows[open].until = uint48(block.number);
        keyId = ++lastKeyId; // checked: ids end at 2^32 - 1, as do the addresses of KeyBlobs
        _rows[keyId] = Row({operator: operator, from: uint48(block.number), until: 0});
        _standings[operator].openKeyId = keyId;
    }

    /// @dev The blob is a STOP and both keys, so that calling it does nothing.
    function _storeKeys(uint32 keyId, bytes memory bls, bytes32 eots) private {
        // Returns everything after the first eleven bytes: CODECOPY(0, 11, CODESIZE - 11) and RETURN.
        bytes memory creation = bytes.concat(hex"600b380380600b5f395ff300", bls, eots);
        address blob;
        assembly ("memory-safe") {
            blob := create(0, add(creation, 32), mload(creation))
        }
        if (blob == address(0) || blob != KeyBlobs.addressOf(address(this), keyId)) revert KeyNotStored();
    }

    /// @notice The attestation key of a row, 192 bytes packed.
    function blsKey(uint32 keyId) public view returns (bytes memory key) {
        return KeyBlobs.read(address(this), keyId);
    }

    /// @notice The finality key of a row, the x coordinate.
    function eotsKey(uint32 keyId) public view returns (bytes32) {
        return KeyBlobs.readEots(address(this), keyId);
    }

    /// @notice The registry row of a key; all zero if there is none.
    function row(uint32 keyId) external view returns (Row memory) {
        return _rows[keyId];
    }

    /// @notice The id of the operator's open row; 0 if it never registered.
    function openKeyId(address operator) external view returns (uint32) {
        return _standings[operator].openKeyId;
    }

    /// @notice What the operator signs to prove that it holds its attestation key (R12).
    function possession(address operator, bytes memory bls) public view returns (bytes32) {
        return keccak256(abi.encodePacked("PALISADE-POP-1", chainId, address(this), operator, keccak256(bls)));
    }

    // ---- Judge

    /// @dev Adapters are foreign code: while one runs, nobody is judged.
    modifier alone() {
        if (_slashing) revert Reentered();
        _slashing = true;
        _;
        _slashing = false;
    }

    /// @notice Convicts the signer of a pair and slashes it at every target. Anybody may call; nothing is paid.
    /// @dev A case is tried once (R25): when it is convicted already, the pair is not looked at again and the
    /// call retries the targets that have not shown their loss. A target's failure does not revert, so that the
    /// conviction stands and the target stays open to everybody (R24).
    function slash(Pair calldata pair) external alone {
        bytes32 domain_ = _ownDomain(pair);
        Row memory signer = _signer(pair.keyId);
        bytes32 id = caseId(signer.operator, domain_);
        if (!_isConvicted(signer.operator, pair.kind)) _convict(id, domain_, signer, pair);
        _execute(id, signer.operator, pair.kind);
    }

    /// @notice As `slash`, for an attestation that contradicts an ancestor (R1). The case is the same as a pair's
    /// in the ledger's domain.
    function slashAncestor(Ancestor calldata fault) external alone {
        bytes32 domain_ = domain(0, 0, KIND_LEDGER);
        Row memory signer = _signer(fault.keyId);
        bytes32 id = caseId(signer.operator, domain_);
        if (!_isConvicted(signer.operator, KIND_LEDGER)) _convictAncestor(id, domain_, signer, fault);
        _execute(id, signer.operator, KIND_LEDGER);
    }

    /// @notice As `slash`, where the convict's signatures are known only within sums: those of two certificates, each of which
    /// others signed with him.
    /// @param withFirst the keys whose signatures over the first statement are in the sum beside his,
    /// @param withSecond and over the second.
    /// @dev Needs no committee: each key came with a proof of possession, so that a sum of signatures that holds under a sum of
    /// keys proves that each of them signed. Whoever does not belong to the convict's case is not touched.
    function slashAmong(Pair calldata pair, uint32[] calldata withFirst, uint32[] calldata withSecond) external alone {
        bytes32 domain_ = _ownDomain(pair);
        Row memory signer = _signer(pair.keyId);
        bytes32 id = caseId(signer.operator, domain_);
        if (!_isConvicted(signer.operator, pair.kind)) {
            if (pair.digestA == pair.digestB) revert Compatible();
            _checkInTime(signer);
            bytes32 first = statement(domain_, pair.slot, pair.digestA);
            bytes32 second = statement(domain_, pair.slot, pair.digestB);
            _verifyAmong(pair.keyId, withFirst, first, withSecond, second, pair.signatureSum);
            _mark(signer.operator, pair.kind);
            emit Convicted(id, signer.operator, domain_, pair.slot, pair.digestA, pair.digestB);
        }
        _execute(id, signer.operator, pair.kind);
    }

    /// @notice As `slashAmong`, for two certificates of which the later contradicts an ancestor (R1). Both were signed with one key,
    /// since both are of one committee.
    function slashAncestorAmong(Ancestor calldata fault, uint32[] calldata withFirst, uint32[] calldata withSecond)
        external
        alone
    {
        bytes32 domain_ = domain(0, 0, KIND_LEDGER);
        Row memory signer = _signer(fault.keyId);
        bytes32 id = caseId(signer.operator, domain_);
        if (!_isConvicted(signer.operator, KIND_LEDGER)) {
            if (fault.laterKeyId != fault.keyId) revert DifferentSigners();
            Header memory later = _contradiction(fault);
            _checkInTime(signer);
            bytes32 first = statement(domain_, fault.slot, fault.digest);
            bytes32 second = statement(domain_, later.height, later.id);
            _verifyAmong(fault.keyId, withFirst, first, withSecond, second, fault.signatureSum);
            _mark(signer.operator, KIND_LEDGER);
            emit Convicted(id, signer.operator, domain_, fault.slot, fault.digest, fault.named);
        }
        _execute(id, signer.operator, KIND_LEDGER);
    }

    /// @notice Convicts the operator of a row whose finality key is not secret any more (R29), however it came out: from
    /// then on its weight counts no more where this contract is asked for convicts (R9). Anybody may call. Nothing is
    /// slashed: restaked ether pays for what attestation keys sign, and the Bitcoin behind a finality key is taken on
    /// Bitcoin, with this very secret.
    /// @dev No `Convicted` is emitted: the ledger convicts by the same secret itself, and its case must hold it.
    function convictExposed(uint32 keyId, uint256 secret) external {
        Row memory signer = _signer(keyId);
        if (_isConvicted(signer.operator, KIND_BITCOIN)) revert AlreadyExposed(signer.operator);
        _checkInTime(signer);
        if (!Secp256k1.isSecretOf(secret, eotsKey(keyId))) revert NotExposed();
        _mark(signer.operator, KIND_BITCOIN);
        emit KeyExposed(signer.operator, keyId, secret);
    }

    /// @notice The network's operators certified that this one committed a fault which no contract can check, and the ledger
    /// has convicted it: from then on its weight counts no more here either (R9). Only Orders.sol calls, with an order of the
    /// network itself that Committee.sol has verified. So two thirds of a committee can take the weight of the rest away, one
    /// order each; that is theirs in the ledger, too.
    /// @dev Nothing is slashed, and no case that a proof can open is touched. An operator's second order changes nothing, or
    /// orders that are drawn again would have certificates carry their weights for ever.
    function convictOrdered(address operator) external {
        if (msg.sender != orders) revert WrongCaller(msg.sender);
        if (_standings[operator].convicted != 0) return;
        lastConvictionBlock = uint48(block.number);
        _standings[operator].convicted = uint48(block.number);
        emit ConvictedByOrder(operator);
        _tell();
    }

    function _signer(uint32 keyId) private view returns (Row memory signer) {
        signer = _rows[keyId];
        if (signer.operator == address(0)) revert KeyBlobs.UnknownKey(keyId);
    }

    function _checkInTime(Row memory signer) private view {
        if (signer.until != 0 && block.number > uint256(signer.until) + evidenceWindowBlocks) {
            revert EvidenceTooLate(signer.until);
        }
    }

    /// @dev Verify, then mark.
    function _convict(bytes32 id, bytes32 domain_, Row memory signer, Pair calldata pair) private {
        if (pair.digestA == pair.digestB) revert Compatible();
        _checkInTime(signer);
        Bls.verifyPair(
            blsKey(pair.keyId),
            statement(domain_, pair.slot, pair.digestA),
            statement(domain_, pair.slot, pair.digestB),
            pair.signatureSum
        );
        _mark(signer.operator, pair.kind);
        emit Convicted(id, signer.operator, domain_, pair.slot, pair.digestA, pair.digestB);
    }

    /// @dev Verify, then mark. The block that was attested later says by its state root what stands at the
    /// earlier height, and it is not what was attested there.
    function _convictAncestor(bytes32 id, bytes32 domain_, Row memory signer, Ancestor calldata fault) private {
        Header memory later = _contradiction(fault);
        _checkInTime(signer);
        if (fault.laterKeyId != fault.keyId) {
            Row memory laterSigner = _signer(fault.laterKeyId);
            if (laterSigner.operator != signer.operator) revert DifferentSigners();
            _checkInTime(laterSigner);
        }
        _verifyBoth(domain_, later, fault);
        _mark(signer.operator, KIND_LEDGER);
        emit Convicted(id, signer.operator, domain_, fault.slot, fault.digest, fault.named);
    }

    function _verifyBoth(bytes32 domain_, Header memory later, Ancestor calldata fault) private view {
        bytes32 earlier = statement(domain_, fault.slot, fault.digest);
        bytes32 last = statement(domain_, later.height, later.id);
        if (fault.laterKeyId == fault.keyId) {
            Bls.verifyPair(blsKey(fault.keyId), earlier, last, fault.signatureSum);
        } else {
            Bls.verifyTwo(blsKey(fault.keyId), earlier, blsKey(fault.laterKeyId), last, fault.signatureSum);
        }
    }

    /// @dev The later block, whose state says that another block stands at the earlier height.
    function _contradiction(Ancestor calldata fault) private view returns (Header memory later) {
        later = Headers.read(fault.header, chainId);
        if (fault.slot >= later.height || fault.named == fault.digest) revert Compatible();
        RowProof.checkBlock(later.stateRoot, fault.slot, fault.named, fault.siblings);
    }

    /// @dev The ordinary aggregate check over two messages that differ: with three pairs, e(sum, g2) = e(H(m1), keys that signed
    /// m1) e(H(m2), keys that signed m2).
    function _verifyAmong(
        uint32 keyId,
        uint32[] calldata withFirst,
        bytes32 first,
        uint32[] calldata withSecond,
        bytes32 second,
        bytes calldata signatureSum
    ) private view {
        uint256 pairs = Bls.openPairs(signatureSum, 3);
        Bls.hashTo(pairs + Bls.FIRST_POINT, first, Bls.SIGNATURE);
        _sumKeys(pairs + Bls.FIRST_KEY, keyId, withFirst);
        Bls.hashTo(pairs + Bls.FIRST_POINT + Bls.PAIR, second, Bls.SIGNATURE);
        _sumKeys(pairs + Bls.FIRST_KEY + Bls.PAIR, keyId, withSecond);
        Bls.checkPairs(pairs, 3);
    }

    function _sumKeys(uint256 to, uint32 keyId, uint32[] calldata others) private view {
        Bls.padTo(to, blsKey(keyId));
        for (uint256 i = 0; i < others.length; ++i) {
            Bls.addKey(to, blsKey(others[i]));
        }
    }

    function _mark(address operator, uint16 kind) private {
        lastConvictionBlock = uint48(block.number);
        Standing storage standing = _standings[operator];
        if (standing.convicted == 0) standing.convicted = uint48(block.number);
        standing.cases |= uint8(1 << (kind - 1));
        _tell();
    }

    /// @dev Says to the light client that somebody was convicted. Its gas is bounded and its failure ignored, so that
    /// whatever stands at that address can stop no conviction; Committee.sol needs a fifth of this gas and never fails.
    function _tell() private {
        if (lightClient.code.length == 0) return; // when it comes it looks at `lastConvictionBlock`
        if (gasleft() - gasleft() / 64 < TELLING_GAS + CALL_GAS) revert TooLittleGas(lightClient, TELLING_GAS);
        try ILightClient(lightClient).convictionCame{gas: TELLING_GAS}() {} catch {}
    }

    function _isConvicted(address operator, uint16 kind) private view returns (bool) {
        return _standings[operator].cases >> (kind - 1) & 1 == 1;
    }

    /// @notice Which of these keys belong to a convict, of whatever domain: bit i is `keyIds[i]`. At most 256.
    /// @dev For whoever counts weights: a convict's weight leaves at once, signers and total alike (R9).
    function convicts(uint32[] calldata keyIds) external view returns (uint256 bits) {
        if (keyIds.length > 256) revert WrongLength(keyIds.length);
        for (uint256 i = 0; i < keyIds.length; ++i) {
            if (_standings[_rows[keyIds[i]].operator].convicted != 0) bits |= 1 << i;
        }
    }

    /// @notice The Ethereum block of the operator's first conviction; 0 without one.
    function convictedAt(address operator) external view returns (uint48) {
        return _standings[operator].convicted;
    }

    /// @dev Tries every target that has not shown its loss yet.
    function _execute(bytes32 id, address operator, uint16 kind) private {
        uint256 count = _adapterCount;
        uint256 shift = 8 * (kind - 1);
        uint256 done = _standings[operator].done >> shift & 0xff;
        if (done == (1 << count) - 1) revert AlreadySlashed(id);
        for (uint256 i = 0; i < count; ++i) {
            uint256 flag = 1 << i;
            if (done & flag == 0 && _slashAt(IAdapter(_adapters[i]), operator, id)) done |= flag;
        }
        // Read again: an adapter may have let the operator register, which this slot knows too.
        _standings[operator].done |= uint64(done << shift);
    }

    /// @return seen whether the target's own views show a loss (R24).
    function _slashAt(IAdapter adapter, address operator, bytes32 id) private returns (bool seen) {
        if (address(adapter).code.length == 0) {
            emit SlashFailed(id, operator, address(adapter), abi.encodeWithSelector(AdapterMissing.selector));
            return false;
        }
        uint256 needed = adapter.gasFloor(operator);
        // The inner call gets 63 of every 64 parts; without this check the guilty could starve it (R24).
        if (gasleft() - gasleft() / 64 < needed + CALL_GAS) revert TooLittleGas(address(adapter), needed);
        try adapter.slash(operator, id) returns (Loss[] memory losses, bool pending) {
            return _report(id, operator, adapter, losses, pending);
        } catch (bytes memory reason) {
            emit SlashFailed(id, operator, address(adapter), reason);
            return false;
        }
    }

    function _report(bytes32 id, address operator, IAdapter adapter, Loss[] memory losses, bool pending)
        private
        returns (bool seen)
    {
        for (uint256 i = 0; i < losses.length; ++i) {
            Loss memory loss = losses[i];
            seen = seen || loss.afterwards < loss.before;
            emit Slashed(id, operator, address(adapter), loss.asset, loss.before, loss.afterwards);
        }
        if (pending) {
            emit SlashPending(id, operator, address(adapter));
            return false;
        }
        // An adapter reverts before it gets here (IAdapter); we do not rely on that to call a case done.
        if (!seen) emit SlashFailed(id, operator, address(adapter), abi.encodeWithSelector(LossNotSeen.selector));
    }

    /// @dev The domain of the pair, if it is one of the network's own that are signed with BLS.
    function _ownDomain(Pair calldata pair) private view returns (bytes32) {
        if (pair.serviceId != 0 || pair.registration != 0) revert ServiceDomain();
        if (pair.kind == KIND_BITCOIN) revert SignedWithEots();
        if (pair.kind < KIND_LEDGER || pair.kind > KIND_SUCCESSION) revert UnknownKind(pair.kind);
        return domain(pair.serviceId, pair.registration, pair.kind);
    }

    /// @notice The domain of a service, or of the network itself with service and registration zero (R14).
    function domain(bytes32 serviceId, uint64 registration, uint16 kind) public view returns (bytes32) {
        return Statements.domain(chainId, address(this), serviceId, registration, kind);
    }

    /// @notice The 32 bytes that an attestation key signs for a digest in a slot.
    function statement(bytes32 domain_, uint64 slot, bytes32 digest) public view returns (bytes32) {
        return Statements.statement(chainId, domain_, slot, digest);
    }

    /// @notice The case that all pairs of one operator in one domain belong to (R25).
    function caseId(address operator, bytes32 domain_) public view returns (bytes32) {
        return keccak256(abi.encodePacked(chainId, operator, domain_));
    }

    /// @notice The case of an operator in the network's own domain of a kind: whether it was convicted there, and
    /// which adapters have shown the loss, bit i for adapter i.
    function caseOf(address operator, uint16 kind) external view returns (bool convicted, uint8 done) {
        if (kind < KIND_LEDGER || kind > KIND_SUCCESSION) revert UnknownKind(kind);
        return (_isConvicted(operator, kind), uint8(_standings[operator].done >> 8 * (kind - 1)));
    }

    /// @notice The slashable sources, in the order of `caseOf`'s bits.
    function adapters() external view returns (address[] memory all) {
        all = new address[](_adapterCount);
        for (uint256 i = 0; i < all.length; ++i) {
            all[i] = _adapters[i];
        }
    }

    /// @dev What passing the call costs besides the adapter's own gas.
    uint256 private constant CALL_GAS = 5_000;
    /// @dev About five times what Committee.sol takes.
    uint256 private constant TELLING_GAS = 50_000;
}
