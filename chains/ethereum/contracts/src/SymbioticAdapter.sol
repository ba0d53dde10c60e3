// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAdapter, Loss} from "./interfaces/IAdapter.sol";
import {IOrderTarget} from "./interfaces/IOrderTarget.sol";
import {IPalisade} from "./interfaces/IPalisade.sol";
import {
    IAppAdapter,
    IDelegator,
    IFactory,
    IInstantSlasher,
    INetworkMiddlewareService,
    INetworkRegistry,
    ISlasher,
    IToken,
    IUniversalDelegator,
    IVault,
    IVaultV2,
    IVetoSlasher
} from "./interfaces/ISymbiotic.sol";

/// @title Palisade's subnetwork on Symbiotic
/// @notice This contract is the network and its middleware at once; stake counts in its subnetwork 0. It slashes for two
/// callers: the judge, for whom an equivocation takes the subnetwork's whole share of every vault (R26), and Orders.sol,
/// which takes the part that a certified order says (R11). What is slashed goes to the vaults' burners, which are sinks
/// nobody owns (R8).
/// @dev Symbiotic slashes what an operator had at a moment of the past, the capture, for one epoch of the vault after it.
/// Heights name no moment here, so this contract remembers some (`note`), and a slash takes the one by which the most can be
/// taken. So neither opting out nor a lowered limit after a fault helps. A vault is slashed at once, or by a request that
/// somebody may veto: then `slash` must be called again when the time for that is over.
///
/// Verdicts go in capture order (R26) because the core takes nothing by a moment before the newest one it took by: whatever
/// comes later looks only at what is left since then, and the last second always is. For the same reason one request at a
/// time waits for an operator at a vault, a case's or an order's: the others are pending behind it.
///
/// The vaults that genesis prices are given at the construction. Those that come later, among them all that are made for this
/// very network, are listed by the operator whose stake they hold (`list`): each follows one of genesis' vaults of the same
/// collateral, with its price and within its cap. Only his own account lists for him, and only a few, so that nobody can make
/// his slash longer than a transaction or fill his places with dust; a listing is for ever, so that nothing leaves by it.
/// Nothing is asked of a listed vault that was not asked of genesis' own: its epoch holds what the epoch of the one it follows
/// holds, which every node has checked against the window (R4).
///
/// Core 2 keeps an operator's stake in an AppAdapter, one for each subnetwork. It is slashed at once, by no capture and without
/// a veto, and is guaranteed for a duration from any moment on; so it is listed, counted and taken as a vault of one operator.
contract SymbioticAdapter is IAdapter, IOrderTarget {
    /// @notice A vault to be slashed, and who may veto it there: zero for nobody, and for every instant slasher.
    struct Source {
        address vault;
        address resolver;
    }

    /// @dev How a vault is slashed.
    enum Kind {
        Instant,
        Veto,
        /// An AppAdapter of core 2.
        App
    }

    /// @dev What does not change about a vault: two slots.
    struct Vault {
        /// The vault; of core 2 the AppAdapter.
        address vault;
        /// For how long what there was at a moment can be taken from then on.
        uint48 epochDuration;
        /// Zero where slashes are instant.
        uint48 vetoDuration;
        /// None in core 2.
        address slasher;
        Kind kind;
        /// When this contract took of it last, which only core 2's views do not tell.
        uint48 slashedAt;
    }

    /// @notice What can be seen of a vault, and of some operators' stake in it.
    struct Seen {
        /// The kind of its slasher, 0 or 1 where it is known; 2 for an AppAdapter of core 2.
        uint64 slasher;
        /// The kind of its delegator, 0 to 3 where it is known; 4 for core 2's.
        uint64 delegator;
        /// Whether nobody can own what is slashed.
        bool hasSink;
        uint48 epochDuration;
        uint48 vetoDuration;
        /// What it can lose at most, over all of its operators.
        uint256 pool;
        /// The moments that are remembered, newest first.
        uint48[4] captures;
        /// What can be slashed, by operator and moment.
        uint256[4][] left;
    }

    /// @dev How a case, or the orders of a case, stand at a vault.
    enum Standing {
        /// Nothing was taken, nor asked for in time.
        Open,
        /// A request waits for its veto.
        Requested,
        Taken,
        Vetoed
    }

    struct Progress {
        Standing standing;
        /// The request's, while one waits.
        uint48 capture;
        /// The request's, while one waits.
        uint48 vetoDeadline;
        uint128 index;
    }

    /// A slash was asked for and may be vetoed until `vetoDeadline`.
    event Requested(
        bytes32 indexed caseId, address indexed operator, address indexed vault, uint256 index, uint48 vetoDeadline
    );
    /// The slash was vetoed: the case is over at this vault and nobody asks again.
    event Vetoed(bytes32 indexed caseId, address indexed operator, address indexed vault, uint256 index);
    /// A vault took no part this time; the others went on. It stays open (R24).
    event VaultFailed(bytes32 indexed caseId, address indexed operator, address indexed vault, bytes reason);
    /// From now on what an operator has at this moment can be slashed for one epoch of its vault.
    event Noted(uint48 capture);
    /// From now on `operator` can lose his stake in `vault`, which weighs what the same collateral in `like` weighs. For ever.
    event Listed(address indexed operator, address indexed vault, address indexed like);

    /// The caller is not the contract that this function is for.
    error WrongCaller(address caller);
    /// A vault, or what it calls, called back.
    error Reentered();
    /// A part is in (0, 1e18].
    error WrongPart(uint256 wad);
    /// There must be 1 to `MAX_VAULTS` vaults, ascending by address.
    error WrongVaults();
    /// It is none of the factory's.
    error NotVault(address vault);
    /// Only versions 1 and 2 are known, and of version 3 the AppAdapters.
    error WrongVersion(address vault, uint64 version);
    /// Only delegators 0 to 3 are known.
    error WrongDelegator(address vault, uint64 kind);
    /// Only slashers 0 and 1 are known; without one nothing can be taken.
    error WrongSlasher(address vault, uint64 kind);
    /// Somebody may own what is slashed (R8).
    error NoSink(address vault, address burner);
    /// There is nobody to veto at an instant slasher.
    error ResolverWithoutVeto(address vault);
    /// Nothing can be taken from the operator, in any vault.
    error NothingSlashable(address operator);
    /// The vault accepted the slash and its views show no loss, so it is undone.
    error LossNotSeen(address vault);
    /// Less gas is left than a vault may need.
    error TooLittleGas(address vault);
    /// Only registered operators list vaults.
    error Unregistered(address operator);
    /// The operator has as many as there may be.
    error TooManyListed(address operator);
    /// It is slashed already.
    error AlreadyListed(address vault);
    /// Not one of those that were given at the construction.
    error UnknownVault(address like);
    /// It holds something else than the vault it shall follow.
    error OtherCollateral(address vault, address collateral);
    /// It is another operator's.
    error OtherOperator(address vault, address operator);
    /// It is another network's, or another subnetwork's.
    error OtherNetwork(address vault, bytes32 subnetwork);
    /// What is in it can be taken for a shorter time than in the vault it shall follow (R4).
    error ShortEpoch(address vault, uint256 duration, uint256 needed);

    /// @notice The most vaults of one slash, with those that the operator listed.
    uint256 public constant MAX_VAULTS = 8;
    /// @notice The most of them that he may have listed.
    uint256 public constant MAX_LISTED = 4;
    uint96 public constant SUBNETWORK_ID = 0;
    /// @notice How many captures are remembered.
    uint256 public constant NOTES = 4;

    /// @notice The judge of equivocations.
    address public immutable palisade;
    /// @notice Orders.sol.
    address public immutable orders;
    /// @inheritdoc IOrderTarget
    bytes32 public immutable service;
    /// @notice Symbiotic's own: says what it made.
    address public immutable vaultFactory;
    /// @notice The least time between two captures, so that those remembered cover the longest epoch.
    uint48 public immutable noteInterval;
    /// @dev `NOTES` times 48 bits, the newest lowest.
    uint256 private _notes;
    Vault[] private _vaults;
    /// @dev In the order in which he listed them; none is ever taken away.
    mapping(address operator => Vault[]) private _listed;
    /// @dev By `_key`: a case and the orders of a case take apart from each other.
    mapping(bytes32 key => mapping(address vault => Progress)) private _progress;
    /// @dev Whose request came last: a share is asked for once at a time.
    mapping(address operator => mapping(address vault => bytes32 key)) private _waiting;
    bool private transient _slashing;

    /// @param service_ whose network this is: an account as 32 bytes, or zero for Palisade itself.
    constructor(
        address palisade_,
        address orders_,
        bytes32 service_,
        address vaultFactory_,
        address networkRegistry,
        address middlewareService,
        Source[] memory sources
    ) {
        if (sources.length == 0 || sources.length > MAX_VAULTS) revert WrongVaults();
        palisade = palisade_;
        orders = orders_;
        service = service_;
        vaultFactory = vaultFactory_;
        INetworkRegistry(networkRegistry).registerNetwork();
        INetworkMiddlewareService(middlewareService).setMiddleware(address(this));
        uint48 longest;
        for (uint256 i = 0; i < sources.length; ++i) {
            if (i > 0 && sources[i - 1].vault >= sources[i].vault) revert WrongVaults();
            if (!IFactory(vaultFactory_).isEntity(sources[i].vault)) revert NotVault(sources[i].vault);
            Vault memory vault = _accept(sources[i].vault, address(0));
            address resolver = sources[i].resolver;
            if (vault.kind != Kind.Veto && resolver != address(0)) revert ResolverWithoutVeto(vault.vault);
            if (resolver != address(0)) IVetoSlasher(vault.slasher).setResolver(SUBNETWORK_ID, resolver, "");
            if (vault.epochDuration > longest) longest = vault.epochDuration;
            _vaults.push(vault);
        }
        noteInterval = longest / uint48(NOTES) + 1;
    }

    /// @dev Looks whether a vault of core 1 is of the kinds that are known, and lets it back this network.
    /// @param operator whose vault it is to be, where its delegator names one; zero for anybody's.
    function _accept(address vault_, address operator) private returns (Vault memory) {
        IVault vault = IVault(vault_);
        uint64 version = vault.version();
        if (version != 1 && version != 2) revert WrongVersion(vault_, version);
        _checkSink(vault_, vault.burner());
        IDelegator delegator = IDelegator(vault.delegator());
        uint64 kind = delegator.TYPE();
        if (kind > 3) revert WrongDelegator(vault_, kind);
        if (operator != address(0) && kind > 1) {
            _checkOperator(vault_, delegator.operator(), operator);
            if (kind == 3) _checkNetwork(vault_, bytes32(uint256(uint160(delegator.network())) << 96));
        }
        address slasher = vault.slasher();
        if (slasher == address(0)) revert WrongSlasher(vault_, type(uint64).max);
        kind = ISlasher(slasher).TYPE();
        if (kind > 1) revert WrongSlasher(vault_, kind);
        // How much of it counts is for the vault's curator to say.
        if (delegator.maxNetworkLimit(subnetwork()) != type(uint256).max) {
            delegator.setMaxNetworkLimit(SUBNETWORK_ID, type(uint256).max);
        }
        uint48 vetoDuration = kind == 1 ? IVetoSlasher(slasher).vetoDuration() : 0;
        return Vault(vault_, vault.epochDuration(), vetoDuration, slasher, kind == 1 ? Kind.Veto : Kind.Instant, 0);
    }

    /// @dev The same of an AppAdapter of core 2. The delegator of a vault of the factory's takes only what core 2's own
    /// factories of adapters made, and the kind of adapter that holds another vault's shares has no stake of the past.
    function _acceptApp(address app_, address operator) private view returns (Vault memory) {
        IAppAdapter app = IAppAdapter(app_);
        IVaultV2 vault = IVaultV2(app.vault());
        if (!IFactory(vaultFactory).isEntity(address(vault))) revert NotVault(app_);
        uint64 version = vault.version();
        if (version != APP_VERSION) revert WrongVersion(app_, version);
        if (IUniversalDelegator(vault.delegator()).adapterToIndex(app_) == 0) revert NotVault(app_);
        _checkCollateral(app_, app.asset(), vault.asset());
        app.stakeAt(uint48(block.timestamp));
        _checkSink(app_, app.burner());
        _checkOperator(app_, app.operator(), operator);
        _checkNetwork(app_, app.subnetwork());
        // The last second of the duration is one second less from now.
        return Vault(app_, app.duration() - 1, 0, address(0), Kind.App, 0);
    }

    function _checkSink(address vault, address burner) private view {
        if (!isSink(burner)) revert NoSink(vault, burner);
    }

    function _checkOperator(address vault, address found, address expected) private pure {
        if (found != expected) revert OtherOperator(vault, found);
    }

    function _checkNetwork(address vault, bytes32 found) private view {
        if (found != subnetwork()) revert OtherNetwork(vault, found);
    }

    function _checkCollateral(address vault, address found, address expected) private pure {
        if (found != expected) revert OtherCollateral(vault, found);
    }

    // ---- Listing

    /// @notice From now on the caller can lose his stake in a vault of core 1, or in an AppAdapter of core 2, that was not given
    /// at the construction. Every registered operator may list some, for himself and for ever.
    /// @dev At a listed vault nobody can veto: this network names no resolver there.
    /// @param like the vault of the same collateral, of those given at the construction, by whose price and within whose cap the
    /// stake weighs.
    function list(address vault, address like) external {
        if (IPalisade(palisade).openKeyId(msg.sender) == 0) revert Unregistered(msg.sender);
        Vault[] memory all = vaultsOf(msg.sender);
        if (all.length == MAX_VAULTS || all.length == _vaults.length + MAX_LISTED) revert TooManyListed(msg.sender);
        uint256 needed = type(uint256).max;
        for (uint256 i = 0; i < all.length; ++i) {
            if (all[i].vault == vault) revert AlreadyListed(vault);
            if (all[i].vault == like && i < _vaults.length) needed = _lasting(all[i]);
        }
        if (needed == type(uint256).max) revert UnknownVault(like);
        bool isApp = !IFactory(vaultFactory).isEntity(vault);
        Vault memory accepted = isApp ? _acceptApp(vault, msg.sender) : _accept(vault, msg.sender);
        address collateral = isApp ? IAppAdapter(vault).asset() : IVault(vault).collateral();
        _checkCollateral(vault, collateral, IVault(like).collateral());
        uint256 lasts = _lasting(accepted);
        if (lasts < needed) revert ShortEpoch(vault, lasts, needed);
        _listed[msg.sender].push(accepted);
        emit Listed(msg.sender, vault, like);
    }

    /// @dev For how long after a capture a slash can be asked for.
    function _lasting(Vault memory vault) private pure returns (uint256) {
        return vault.epochDuration < vault.vetoDuration ? 0 : vault.epochDuration - vault.vetoDuration;
    }

    /// @dev First those given at the construction, then those that the operator listed.
    function _at(address operator, uint256 place) private view returns (Vault memory) {
        uint256 count = _vaults.length;
        return place < count ? _vaults[place] : _listed[operator][place - count];
    }

    function _count(address operator) private view returns (uint256) {
        return _vaults.length + _listed[operator].length;
    }

    /// @notice Whether nobody can own what lies at this address: there is no code, and it is a number so small that to find a
    /// key for any such number takes 2^96 tries.
    function isSink(address burner) public view returns (bool) {
        return burner.code.length == 0 && uint160(burner) > 0xfff && uint160(burner) >> 64 == 0;
    }

    // ---- Captures

    /// @notice Remembers this moment, unless one was remembered a short while ago. Anybody may call.
    /// @return kept whether it is remembered.
    function note() external returns (bool kept) {
        uint256 notes_ = _notes;
        uint48 newest = uint48(notes_);
        if (newest != 0 && block.timestamp < uint256(newest) + noteInterval) return false;
        _notes = (notes_ << 48 | uint48(block.timestamp)) & type(uint192).max;
        emit Noted(uint48(block.timestamp));
        return true;
    }

    /// @notice The moments that are remembered, newest first; those that are not are zero.
    function notes() public view returns (uint48[NOTES] memory all) {
        uint256 packed = _notes;
        for (uint256 i = 0; i < NOTES; ++i) {
            all[i] = uint48(packed >> (48 * i));
        }
    }

    /// @notice A vault as it is now, and what of some operators' stake in it each remembered moment leaves to slash, by the
    /// vault's own slasher.
    /// @dev Reverts where the vault is none that the core makes, of either version. Nothing is left yet by the moment of this very block: the
    /// core takes only what was there before it. What can be lost counts only what later epochs can take, too: what left in
    /// the epoch before does not count.
    function look(address vault, address[] calldata operators) external view returns (Seen memory seen) {
        if (!IFactory(vaultFactory).isEntity(vault)) return _lookAtApp(vault, operators);
        IVault vault_ = IVault(vault);
        ISlasher slasher = ISlasher(vault_.slasher());
        (seen.slasher, seen.delegator) = (slasher.TYPE(), IDelegator(vault_.delegator()).TYPE());
        seen.hasSink = isSink(vault_.burner());
        seen.epochDuration = vault_.epochDuration();
        if (seen.slasher == 1) seen.vetoDuration = IVetoSlasher(address(slasher)).vetoDuration();
        seen.pool = vault_.activeStake() + vault_.withdrawals(vault_.currentEpoch() + 1);
        seen.captures = notes();
        seen.left = new uint256[NOTES][](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            for (uint256 j = 0; j < NOTES && seen.captures[j] != 0; ++j) {
                seen.left[i][j] = slasher.slashableStake(subnetwork(), operators[i], seen.captures[j], "");
            }
        }
    }

    /// @dev What an AppAdapter's operator had at a remembered moment stays there for its duration. What was slashed since then
    /// is told by no view: then only what is guaranteed from now on counts.
    function _lookAtApp(address app_, address[] calldata operators) private view returns (Seen memory seen) {
        IAppAdapter app = IAppAdapter(app_);
        address operator = app.operator();
        (seen.slasher, seen.delegator) = (APP_SLASHER, APP_DELEGATOR);
        seen.hasSink = isSink(app.burner());
        seen.epochDuration = app.duration() - 1;
        seen.pool = app.slashable();
        seen.captures = notes();
        seen.left = new uint256[NOTES][](operators.length);
        uint48 slashedAt = _slashedAt(operator, app_);
        for (uint256 i = 0; i < operators.length; ++i) {
            if (operators[i] != operator || app.subnetwork() != subnetwork()) continue;
            for (uint256 j = 0; j < NOTES && seen.captures[j] != 0; ++j) {
                uint256 left = seen.captures[j] > slashedAt ? app.stakeAt(seen.captures[j]) : app.stake();
                seen.left[i][j] = left < seen.pool ? left : seen.pool;
            }
        }
    }

    function _slashedAt(address operator, address app) private view returns (uint48) {
        Vault[] storage listed = _listed[operator];
        for (uint256 i = 0; i < listed.length; ++i) {
            if (listed[i].vault == app) return listed[i].slashedAt;
        }
        return 0;
    }

    // ---- Slasher

    /// @dev Vaults call hooks: while one runs, nobody else is slashed, so that each loss is seen once.
    modifier alone() {
        if (_slashing) revert Reentered();
        _slashing = true;
        _;
        _slashing = false;
    }

    /// @inheritdoc IAdapter
    /// @dev Every vault is tried on its own, with gas of its own: what one does, or does not do, is nothing to the others.
    function slash(address operator, bytes32 caseId) external alone returns (Loss[] memory losses, bool pending) {
        if (msg.sender != palisade) revert WrongCaller(msg.sender);
        (losses, pending,) = _slashAll(operator, caseId, WAD, false);
    }

    /// @inheritdoc IOrderTarget
    /// @dev The part is of what the operator can lose in each vault when it is taken or asked for there, by the moment that
    /// leaves the most: each vault takes it once a case, whatever number the order has, so that nothing is taken of what an
    /// order before left. A capture is a block and names no moment here. Were only what is newer than it taken, then whoever
    /// left after the fault and before the next committee's snapshot would keep his stake, for a later order names that one.
    /// A call that only meets a veto is pending, too: if it failed, nobody would hear of the veto.
    function slashPart(address operator, bytes32 caseId, uint256 wad, uint64)
        external
        alone
        returns (Loss[] memory losses, bool pending)
    {
        if (msg.sender != orders) revert WrongCaller(msg.sender);
        if (wad == 0 || wad > WAD) revert WrongPart(wad);
        bool ended;
        (losses, pending, ended) = _slashAll(operator, caseId, wad, true);
        if (losses.length == 0) pending = pending || ended;
    }

    /// @return losses what was taken now; once that is all, also the vaults where nothing is left to take, with zeros.
    /// @return pending whether a vault has a request under way, or failed.
    /// @return ended whether a vault's request turns out to be vetoed.
    function _slashAll(address operator, bytes32 caseId, uint256 wad, bool ordered)
        private
        returns (Loss[] memory losses, bool pending, bool ended)
    {
        Vault[] memory all = vaultsOf(operator);
        losses = new Loss[](all.length);
        uint256 found;
        uint256 empty; // bit i: nothing can be taken of vault i
        bool failed;
        bytes memory failure; // empty where a vault ran out of gas
        for (uint256 i = 0; i < all.length; ++i) {
            address vault = all[i].vault;
            // The inner call gets 63 of every 64 parts of what is left.
            if (gasleft() - gasleft() / 64 < VAULT_GAS) revert TooLittleGas(vault);
            try this.take{gas: VAULT_GAS}(i, operator, caseId, wad, ordered) returns (
                Loss memory loss, Standing standing
            ) {
                if (loss.before > 0) losses[found++] = loss;
                if (standing == Standing.Open) empty |= 1 << i;
                if (standing == Standing.Requested) pending = true;
                if (standing == Standing.Vetoed) ended = true;
            } catch (bytes memory reason) {
                (failed, failure) = (true, reason);
                emit VaultFailed(caseId, operator, vault, reason);
            }
        }
        if (found == 0 && !pending && !ended) {
            if (!failed) revert NothingSlashable(operator);
            assembly ("memory-safe") {
                revert(add(failure, 32), mload(failure))
            }
        }
        // What failed stays open to everybody.
        pending = pending || failed;
        if (found > 0 && !pending) {
            // Nobody asks here again, and everybody shall know it.
            for (uint256 i = 0; i < all.length; ++i) {
                if (empty >> i & 1 == 1) losses[found++].asset = all[i].vault;
            }
        }
        assembly ("memory-safe") {
            mstore(losses, found)
        }
    }

    /// @notice One vault's part of `slash` or `slashPart`: only this contract calls it, and whoever wants to know what it
    /// would do.
    /// @return loss what was taken in this call; nothing when `before` is zero.
    /// @return standing how it stands at the vault now: `Open` when there is nothing to take, `Requested` when something may
    /// come, `Vetoed` in the call that learns of it, and else `Taken`.
    function take(uint256 place, address operator, bytes32 caseId, uint256 wad, bool ordered)
        external
        returns (Loss memory loss, Standing standing)
    {
        if (msg.sender != address(this)) revert WrongCaller(msg.sender);
        Vault memory vault = _at(operator, place);
        bytes32 key = _key(caseId, ordered);
        Progress storage progress = _progress[key][vault.vault];
        if (progress.standing == Standing.Taken || progress.standing == Standing.Vetoed) return (loss, Standing.Taken);
        if (progress.standing == Standing.Open) {
            if (vault.kind == Kind.App) return _slashApp(_listed[operator][place - _vaults.length], progress, wad);
            // What another asked for is counted as his. Should that be vetoed, this one has its turn.
            if (_isBehind(vault, operator, key)) return (loss, Standing.Requested);
            (uint48 capture, uint256 amount) = _best(vault, operator);
            if (amount == 0) return (loss, Standing.Open);
            amount = _part(amount, wad);
            if (vault.kind == Kind.Instant) return (_slash(vault, progress, operator, capture, amount), Standing.Taken);
            _request(vault, key, operator, caseId, capture, amount);
        }
        return _follow(vault, progress, operator, caseId);
    }

    /// @dev Rounded up, so that something is taken wherever something is.
    function _part(uint256 amount, uint256 wad) private pure returns (uint256) {
        return (amount * wad + WAD - 1) / WAD;
    }

    /// @dev Under what a case's progress is kept, and that of its orders. They are apart, or a quorum could order a little for
    /// an equivocation's case and so have the pair find everything done (R11: pairs need no quorum).
    function _key(bytes32 caseId, bool ordered) private pure returns (bytes32) {
        return ordered ? keccak256(abi.encodePacked("order", caseId)) : caseId;
    }

    /// @dev Whether another's request is in the way: it waits, in time to be executed.
    function _isBehind(Vault memory vault, address operator, bytes32 key) private view returns (bool) {
        if (vault.kind != Kind.Veto) return false;
        bytes32 waiting = _waiting[operator][vault.vault];
        return waiting != 0 && waiting != key && _isWaiting(vault, _progress[waiting][vault.vault]);
    }

    /// @dev The capture by which the most can be taken, and how much; the newest of several. A second ago is one, too.
    function _best(Vault memory vault, address operator) private view returns (uint48 capture, uint256 amount) {
        uint256 first = block.timestamp + vault.vetoDuration - vault.epochDuration;
        uint48[NOTES] memory captures = notes();
        capture = uint48(block.timestamp - 1);
        amount = ISlasher(vault.slasher).slashableStake(subnetwork(), operator, capture, "");
        for (uint256 i = 0; i < NOTES && captures[i] >= first && captures[i] != 0; ++i) {
            uint256 left = ISlasher(vault.slasher).slashableStake(subnetwork(), operator, captures[i], "");
            if (left > amount) (capture, amount) = (captures[i], left);
        }
    }

    function _slash(Vault memory vault, Progress storage progress, address operator, uint48 capture, uint256 amount)
        private
        returns (Loss memory)
    {
        uint256 before = IVault(vault.vault).totalStake();
        progress.standing = Standing.Taken;
        IInstantSlasher(vault.slasher).slash(subnetwork(), operator, amount, capture, "");
        return _loss(vault, before, amount);
    }

    /// @dev Takes from an AppAdapter. What it took is what came to its sink: its own figures move by more than that in a slash,
    /// when its vault sweeps what waits to leave.
    function _slashApp(Vault storage listed, Progress storage progress, uint256 wad)
        private
        returns (Loss memory loss, Standing standing)
    {
        IAppAdapter app = IAppAdapter(listed.vault);
        uint256 amount = _part(app.slashable(), wad);
        if (amount == 0) return (loss, Standing.Open);
        (IToken token, address burner) = (IToken(app.asset()), app.burner());
        uint256 burned = token.balanceOf(burner);
        progress.standing = Standing.Taken;
        listed.slashedAt = uint48(block.timestamp);
        app.slash(amount);
        uint256 lost = token.balanceOf(burner) - burned;
        if (lost == 0) revert LossNotSeen(address(app));
        loss = Loss({asset: address(app), before: amount, afterwards: lost < amount ? amount - lost : 0});
        return (loss, Standing.Taken);
    }

    function _request(
        Vault memory vault,
        bytes32 key,
        address operator,
        bytes32 caseId,
        uint48 capture,
        uint256 amount
    ) private {
        uint256 index = IVetoSlasher(vault.slasher).requestSlash(subnetwork(), operator, amount, capture, "");
        uint48 vetoDeadline = uint48(block.timestamp) + vault.vetoDuration;
        _progress[key][vault.vault] = Progress(Standing.Requested, capture, vetoDeadline, uint128(index));
        _waiting[operator][vault.vault] = key;
        emit Requested(caseId, operator, vault.vault, index, vetoDeadline);
    }

    /// @dev Leads a request on: it waits, was vetoed, came too late, or takes its part now.
    function _follow(Vault memory vault, Progress storage progress, address operator, bytes32 caseId)
        private
        returns (Loss memory loss, Standing standing)
    {
        IVetoSlasher slasher = IVetoSlasher(vault.slasher);
        uint256 index = progress.index;
        (,, uint256 amount, uint48 capture,, bool completed) = slasher.slashRequests(index);
        if (completed) {
            // Only this contract executes, so it was vetoed.
            progress.standing = Standing.Vetoed;
            emit Vetoed(caseId, operator, vault.vault, index);
            return (loss, Standing.Vetoed);
        }
        if (block.timestamp > uint256(capture) + vault.epochDuration) {
            progress.standing = Standing.Open; // the next call may ask anew, by a later capture
            return (loss, Standing.Requested);
        }
        bool mayBeVetoed = slasher.resolverAt(subnetwork(), capture, "") != address(0)
            && slasher.resolverAt(subnetwork(), uint48(block.timestamp - 1), "") != address(0);
        if (mayBeVetoed && block.timestamp < progress.vetoDeadline) return (loss, Standing.Requested);
        uint256 before = IVault(vault.vault).totalStake();
        progress.standing = Standing.Taken;
        slasher.executeSlash(index, "");
        return (_loss(vault, before, amount), Standing.Taken);
    }

    /// @dev A request that can be executed, now or when nobody may veto it any more.
    function _isWaiting(Vault memory vault, Progress storage progress) private view returns (bool) {
        if (progress.standing != Standing.Requested) return false;
        (,,,,, bool completed) = IVetoSlasher(vault.slasher).slashRequests(progress.index);
        return !completed && block.timestamp <= uint256(progress.capture) + vault.epochDuration;
    }

    /// @dev What the vault's own views show: it can lose less than the slasher says, when others took from it before.
    function _loss(Vault memory vault, uint256 before, uint256 amount) private view returns (Loss memory) {
        uint256 lost = before - IVault(vault.vault).totalStake();
        if (lost == 0) revert LossNotSeen(vault.vault);
        return Loss({asset: vault.vault, before: amount, afterwards: lost < amount ? amount - lost : 0});
    }

    // ---- Views

    /// @notice How a case, or its orders, stand at a vault, and by which request.
    /// @return progress what was asked for or taken.
    /// @return behind whether a request of something else of the operator goes first.
    function progressOf(address operator, bytes32 caseId, bool ordered, uint256 place)
        external
        view
        returns (Progress memory progress, bool behind)
    {
        Vault memory vault = _at(operator, place);
        bytes32 key = _key(caseId, ordered);
        progress = _progress[key][vault.vault];
        behind = progress.standing == Standing.Open && _isBehind(vault, operator, key);
    }

    /// @inheritdoc IAdapter
    function gasFloor(address operator) external view override(IAdapter, IOrderTarget) returns (uint256) {
        return BASE_GAS + (VAULT_GAS + VAULT_GAS / 32) * _count(operator);
    }

    /// @notice The vaults that were given at the construction, ascending.
    function vaults() external view returns (Vault[] memory) {
        return _vaults;
    }

    /// @notice The vaults in which an operator can lose his stake, by place: those of all, then those that he listed.
    function vaultsOf(address operator) public view returns (Vault[] memory all) {
        all = new Vault[](_count(operator));
        for (uint256 i = 0; i < all.length; ++i) {
            all[i] = _at(operator, i);
        }
    }

    /// @notice The subnetwork whose stake counts.
    function subnetwork() public view returns (bytes32) {
        return bytes32(uint256(uint160(address(this))) << 96 | SUBNETWORK_ID);
    }

    uint256 private constant WAD = 1e18;
    uint64 private constant APP_VERSION = 3;
    /// @dev What `look` calls an AppAdapter's ways: core 2 has no slashers, and its delegator is of type 4.
    uint64 private constant APP_SLASHER = 2;
    uint64 private constant APP_DELEGATOR = 4;
    uint256 private constant BASE_GAS = 100_000;
    // Twice what core 1 takes, with a hook of the vault's delegator and one of its burner that use all they may.
    uint256 private constant VAULT_GAS = 1_500_000;
}
