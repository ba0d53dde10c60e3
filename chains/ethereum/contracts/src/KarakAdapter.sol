// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAdapter, Loss} from "./interfaces/IAdapter.sol";
import {IKarakCore, IKarakHooks, IKarakVault} from "./interfaces/IKarak.sol";
import {IOrderTarget} from "./interfaces/IOrderTarget.sol";

/// @notice What the adapter asks of the registry.
interface IKeyRegistry {
    function openKeyId(address operator) external view returns (uint32);
}

/// @title Palisade's service (DSS) on Karak
/// @notice A slash on Karak is asked for, waits two days in which a committee of Karak's may veto it, and can then be
/// carried out by anybody. So `slash` is called several times: the first call asks, and is pending as are those in
/// the window; the first after it takes the stake and answers with the losses. Equivocation takes a fraction fixed at
/// deployment from every listed vault that the operator has staked to this service, a certified order what it says (R11).
/// @dev One request is under way for an operator at a time, a case's or an order's: Karak's hooks name nothing but the
/// operator, and its cooldown allows no second one anyway. What comes second is pending until then. What Karak calls back with is believed for the end of a request only; that
/// something was taken must show in the vaults (R24).
contract KarakAdapter is IAdapter, IOrderTarget, IKarakHooks {
    /// The caller is not the contract that this function is for.
    error WrongCaller(address caller);
    /// A vault, or what it calls, called back.
    error Reentered();
    /// The operator has no open key row in the registry.
    error NotRegistered(address operator);
    /// A fraction is in (0, 1e18]; an order's is no more than was registered with Karak.
    error WrongFraction(uint256 wad);
    /// There must be 1 to `MAX_VAULTS` vaults, ascending by address.
    error WrongVaults();
    /// Stake in this vault is not this network's business.
    error UnlistedVault(address vault);
    /// No listed vault with anything in it is staked here.
    error NothingSlashable(address operator);
    /// Karak queued something else than was asked for.
    error WrongRequest();
    /// Karak's committee cancelled the request: the case ends here.
    error CaseVetoed(bytes32 caseId);
    /// The Core has `finalizeSlashing` of neither generation.
    error UnknownGeneration();
    /// Karak carried the request out and its vaults show no loss, so that this is undone.
    error LossNotSeen(address operator);
    /// The request could not be kept.
    error RequestNotKept();

    /// A slash was asked for. `request` is Karak's whole QueuedSlashing, as its Core will want it back.
    event Requested(bytes32 indexed caseId, address indexed operator, bytes request);
    /// Karak's committee cancelled the request of this case: the operator keeps what lies in the vault.
    /// `index` is the request's nonce at Karak.
    event Vetoed(bytes32 indexed caseId, address indexed operator, address indexed vault, uint256 index);

    /// @dev What is under way for an operator.
    struct Flight {
        bytes32 caseId;
        /// Where the request is kept, with what the vaults held when it was made.
        address kept;
        /// Karak says that it was carried out, by whomever.
        bool over;
        /// Whether an order asked for it.
        bool ordered;
        /// The part of every vault that was asked for.
        uint64 wad;
    }

    /// @dev What a vault held: its price per share is what only a slash lowers.
    struct Held {
        uint256 assets;
        uint256 shares;
    }

    uint256 public constant MAX_VAULTS = 32;

    /// @notice The registry, and judge of equivocations.
    address public immutable palisade;
    /// @notice Orders.sol.
    address public immutable orders;
    /// @inheritdoc IOrderTarget
    bytes32 public immutable service;
    /// @notice Karak's Core.
    IKarakCore public immutable core;
    /// @notice The fraction of a vault that an equivocation takes, of 1e18.
    uint256 public immutable equivocationWad;
    /// @notice The most that an order may take of a vault, of 1e18.
    uint256 public immutable orderWad;
    /// @notice How long a request can be vetoed, seconds: Karak's constant, two days on its networks.
    uint256 public immutable vetoSeconds;
    address[] private _vaults;
    mapping(address operator => Flight) private _flights;
    bool private transient _slashing;
    /// @dev By case and whether an order asked.
    mapping(address operator => mapping(bytes32 caseId => mapping(bool ordered => bool))) private _vetoed;

    /// @param service_ whose service this is: an account as 32 bytes, or zero for Palisade itself.
    constructor(
        address palisade_,
        address orders_,
        bytes32 service_,
        address core_,
        address[] memory vaults_,
        uint256 equivocationWad_,
        uint256 orderWad_,
        uint256 vetoSeconds_
    ) {
        if (equivocationWad_ == 0 || equivocationWad_ > WAD) revert WrongFraction(equivocationWad_);
        if (orderWad_ == 0 || orderWad_ > WAD) revert WrongFraction(orderWad_);
        if (vaults_.length == 0 || vaults_.length > MAX_VAULTS) revert WrongVaults();
        for (uint256 i = 1; i < vaults_.length; ++i) {
            if (vaults_[i - 1] >= vaults_[i]) revert WrongVaults();
        }
        palisade = palisade_;
        orders = orders_;
        service = service_;
        core = IKarakCore(core_);
        equivocationWad = equivocationWad_;
        orderWad = orderWad_;
        vetoSeconds = vetoSeconds_;
        _vaults = vaults_;
    }

    /// @notice Registers this service with Karak. Anybody may call, once: Karak takes no service whose constructor still runs.
    function join() external {
        core.registerDSS((equivocationWad > orderWad ? equivocationWad : orderWad) * PERCENT);
    }

    // ---- Hooks

    modifier onlyCore() {
        if (msg.sender != address(core)) revert WrongCaller(msg.sender);
        _;
    }

    /// @inheritdoc IKarakHooks
    /// @dev Refuses operators without keys: nobody could prove their faults.
    function registrationHook(address operator, bytes calldata) external view onlyCore {
        if (IKeyRegistry(palisade).openKeyId(operator) == 0) revert NotRegistered(operator);
    }

    /// @inheritdoc IKarakHooks
    /// @dev A vault that is not listed would count for nothing and could make a request fail.
    function requestUpdateStakeHook(address, StakeUpdateRequest calldata update) external view onlyCore {
        if (update.toStake && !_isListed(update.vault)) revert UnlistedVault(update.vault);
    }

    /// @inheritdoc IKarakHooks
    function cancelSlashingHook(address operator) external onlyCore {
        if (_flights[operator].kept != address(0)) _veto(operator);
    }

    /// @inheritdoc IKarakHooks
    function finishSlashingHook(address operator) external onlyCore {
        if (_flights[operator].kept != address(0)) _flights[operator].over = true;
    }

    /// @inheritdoc IKarakHooks
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == IKarakHooks.supportsInterface.selector
            || interfaceId == IKarakHooks.registrationHook.selector
            || interfaceId == IKarakHooks.requestUpdateStakeHook.selector
            || interfaceId == IKarakHooks.cancelSlashingHook.selector
            || interfaceId == IKarakHooks.finishSlashingHook.selector;
    }

    // ---- Slasher

    /// @dev Vaults are foreign code: while one runs, nothing else is asked for or taken.
    modifier alone() {
        if (_slashing) revert Reentered();
        _slashing = true;
        _;
        _slashing = false;
    }

    /// @inheritdoc IAdapter
    /// @dev Pending while a request is under way, this case's or another's of the operator.
    function slash(address operator, bytes32 caseId) external alone returns (Loss[] memory losses, bool pending) {
        if (msg.sender != palisade) revert WrongCaller(msg.sender);
        return _slash(operator, caseId, equivocationWad, false);
    }

    /// @inheritdoc IOrderTarget
    /// @dev Karak slashes what lies in the vaults, and asks for no snapshot.
    function slashPart(address operator, bytes32 caseId, uint256 wad, uint64)
        external
        alone
        returns (Loss[] memory losses, bool pending)
    {
        if (msg.sender != orders) revert WrongCaller(msg.sender);
        if (wad == 0 || wad > orderWad) revert WrongFraction(wad);
        (losses, pending) = _slash(operator, caseId, wad, true);
        // Only a veto that nobody told of ends with neither; if the call failed, it would be forgotten.
        pending = losses.length == 0;
    }

    function _slash(address operator, bytes32 caseId, uint256 wad, bool ordered)
        private
        returns (Loss[] memory losses, bool pending)
    {
        if (_vetoed[operator][caseId][ordered]) revert CaseVetoed(caseId);
        Flight memory flight = _flights[operator];
        if (flight.kept == address(0)) _request(operator, caseId, wad, ordered);
        else if (flight.caseId == caseId && flight.ordered == ordered) return _land(operator, flight);
        return (losses, true);
    }

    /// @dev Asks for all vaults in one request, because Karak's cooldown lets no other follow in time.
    function _request(address operator, bytes32 caseId, uint256 wad, bool ordered) private {
        (address[] memory vaults_, Held[] memory held) = _staked(operator);
        if (vaults_.length == 0) revert NothingSlashable(operator);
        uint96[] memory percentages = new uint96[](vaults_.length);
        for (uint256 i = 0; i < percentages.length; ++i) {
            percentages[i] = uint96(wad * PERCENT);
        }
        IKarakCore.QueuedSlashing memory queued =
            core.requestSlashing(IKarakCore.SlashRequest(operator, percentages, vaults_));
        bool same = queued.dss == address(this) && queued.operator == operator
            && queued.amounts.length == vaults_.length
            && keccak256(abi.encode(queued.vaults)) == keccak256(abi.encode(vaults_));
        if (!same) revert WrongRequest();
        address kept = _keep(abi.encode(queued, held));
        _flights[operator] = Flight({caseId: caseId, kept: kept, over: false, ordered: ordered, wad: uint64(wad)});
        emit Requested(caseId, operator, abi.encode(queued));
    }

    /// @dev The listed vaults that the operator has staked here and that hold anything, ascending, whatever order Karak
    /// names them in. A vault whose views fail is left out: it would make the request of all the others fail.
    function _staked(address operator) private view returns (address[] memory vaults_, Held[] memory held) {
        address[] memory staked = core.fetchVaultsStakedInDSS(operator, address(this));
        uint256 count = _vaults.length;
        (vaults_, held) = (new address[](count), new Held[](count));
        uint256 found;
        for (uint256 i = 0; i < count; ++i) {
            address vault = _vaults[i];
            if (!_isAmong(staked, vault)) continue;
            (bool answers, Held memory holds) = _look(vault);
            if (!answers || holds.assets == 0) continue;
            (vaults_[found], held[found]) = (vault, holds);
            ++found;
        }
        assembly ("memory-safe") {
            mstore(vaults_, found)
            mstore(held, found)
        }
    }

    function _look(address vault) private view returns (bool answers, Held memory holds) {
        try IKarakVault(vault).totalAssets() returns (uint256 assets) {
            holds.assets = assets;
        } catch {
            return (false, holds);
        }
        try IKarakVault(vault).totalSupply() returns (uint256 shares) {
            holds.shares = shares;
            answers = true;
        } catch {}
    }

    /// @dev Carries the request out after its window, or sees that somebody else did.
    function _land(address operator, Flight memory flight) private returns (Loss[] memory losses, bool pending) {
        (IKarakCore.QueuedSlashing memory queued, Held[] memory held) =
            abi.decode(_read(flight.kept), (IKarakCore.QueuedSlashing, Held[]));
        bool gone = flight.over;
        if (!gone) {
            if (block.timestamp < queued.timestamp + vetoSeconds) return (losses, true);
            Held[] memory now_ = _all(queued.vaults);
            if (_finalize(queued)) held = now_; // what they hold this moment tells exactly
            else gone = true;
        }
        bool seen;
        // Others may have slashed these vaults since the request: without our own look before, half of ours must show.
        (losses, seen) = _losses(queued.vaults, held, gone ? flight.wad / 2 : 0);
        if (seen) {
            delete _flights[operator];
        } else if (gone && !flight.over) {
            _veto(operator); // it is queued no more, and nothing was taken
            delete losses;
        } else {
            revert LossNotSeen(operator);
        }
    }

    /// @dev By the price of a share, which deposits and withdrawals leave and a slash lowers: what the present shares
    /// would be worth by then, and what they are worth. Deposits round in the vault's favour, so that it does not fall.
    /// @param least the part of 1e18 that must be lost more than of one vault at least.
    function _losses(address[] memory vaults_, Held[] memory held, uint256 least)
        private
        view
        returns (Loss[] memory losses, bool seen)
    {
        Held[] memory now_ = _all(vaults_);
        losses = new Loss[](vaults_.length);
        for (uint256 i = 0; i < losses.length; ++i) {
            uint256 before = held[i].shares == 0 ? 0 : held[i].assets * now_[i].shares / held[i].shares;
            uint256 left = now_[i].assets;
            if (before < left) before = left; // it gained meanwhile, which is no loss
            losses[i] = Loss({asset: vaults_[i], before: before, afterwards: left});
            seen = seen || before - left > before * least / WAD;
        }
    }

    function _all(address[] memory vaults_) private view returns (Held[] memory held) {
        held = new Held[](vaults_.length);
        for (uint256 i = 0; i < held.length; ++i) {
            (, held[i]) = _look(vaults_[i]);
        }
    }

    /// @dev Tries both generations: a function that a contract does not have reverts without a word, these with one.
    /// @return done false if Karak has no such request queued (any more).
    function _finalize(IKarakCore.QueuedSlashing memory queued) private returns (bool done) {
        bytes4[2] memory selectors = [FINALIZE_PERCENTAGES, FINALIZE_EARMARKED];
        for (uint256 i = 0; i < selectors.length; ++i) {
            (bool success, bytes memory answer) = address(core).call(abi.encodeWithSelector(selectors[i], queued));
            if (success) return true;
            if (answer.length == 0) continue;
            if (bytes4(answer) == INVALID_SLASHING) return false;
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        revert UnknownGeneration();
    }

    function _veto(address operator) private {
        Flight memory flight = _flights[operator];
        delete _flights[operator];
        _vetoed[operator][flight.caseId][flight.ordered] = true;
        (IKarakCore.QueuedSlashing memory queued,) =
            abi.decode(_read(flight.kept), (IKarakCore.QueuedSlashing, Held[]));
        for (uint256 i = 0; i < queued.vaults.length; ++i) {
            emit Vetoed(flight.caseId, operator, queued.vaults[i], queued.nonce);
        }
    }

    /// @dev Kept as code, a STOP before it: a fourth of what slots cost.
    function _keep(bytes memory data) private returns (address kept) {
        // Returns everything after the first eleven bytes: CODECOPY(0, 11, CODESIZE - 11) and RETURN.
        bytes memory creation = bytes.concat(hex"600b380380600b5f395ff300", data);
        assembly ("memory-safe") {
            kept := create(0, add(creation, 32), mload(creation))
        }
        if (kept == address(0)) revert RequestNotKept();
    }

    function _read(address kept) private view returns (bytes memory data) {
        data = new bytes(kept.code.length - 1);
        assembly ("memory-safe") {
            extcodecopy(kept, add(data, 32), 1, mload(data))
        }
    }

    function _isListed(address vault) private view returns (bool) {
        return _isAmong(_vaults, vault);
    }

    function _isAmong(address[] memory list, address one) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == one) return true;
        }
        return false;
    }

    // ---- Views

    /// @inheritdoc IAdapter
    function gasFloor(address) external view override(IAdapter, IOrderTarget) returns (uint256) {
        return BASE_GAS + VAULT_GAS * _vaults.length;
    }

    /// @notice The vaults whose stake this network counts, ascending.
    function vaults() external view returns (address[] memory) {
        return _vaults;
    }

    /// @notice The case whose request is under way for an operator, since when, seconds, and whether by an order; zero
    /// without one.
    function underWay(address operator) external view returns (bytes32 caseId, uint256 since, bool ordered) {
        Flight memory flight = _flights[operator];
        if (flight.kept == address(0)) return (0, 0, false);
        (IKarakCore.QueuedSlashing memory queued,) =
            abi.decode(_read(flight.kept), (IKarakCore.QueuedSlashing, Held[]));
        return (flight.caseId, queued.timestamp, flight.ordered);
    }

    /// @notice Whether a request of this case, or of an order of it, was vetoed: then nobody asks again.
    function isVetoed(address operator, bytes32 caseId, bool ordered) external view returns (bool) {
        return _vetoed[operator][caseId][ordered];
    }

    uint256 private constant WAD = 1e18;
    /// @dev Karak counts percentages: its whole is 100e18.
    uint256 private constant PERCENT = 100;
    bytes4 private constant FINALIZE_PERCENTAGES =
        bytes4(keccak256("finalizeSlashing((address,uint96,address,address[],uint96[],uint256))"));
    bytes4 private constant FINALIZE_EARMARKED =
        bytes4(keccak256("finalizeSlashing((address,uint96,address,address[],uint256[],uint256))"));
    bytes4 private constant INVALID_SLASHING = bytes4(keccak256("InvalidSlashingParams()"));
    // Karak calls hooks only when it could give them half a million gas.
    uint256 private constant BASE_GAS = 900_000;
    uint256 private constant VAULT_GAS = 250_000;
}
