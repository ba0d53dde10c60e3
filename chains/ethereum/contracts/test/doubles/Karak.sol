// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IKarakHooks} from "../../src/interfaces/IKarak.sol";
import {IToken} from "./EigenLayerFunds.sol";
import {Lists} from "./Wad.sol";

/// @title Where what Karak's slashes take ends: nobody gets it out again
contract KarakSink {
    function handleSlashing(IToken token, uint256 amount) external {
        require(token.transferFrom(msg.sender, address(this), amount), "transferFrom");
    }
}

/// @title A double of Karak's Vault: ERC 4626 shares of one operator's token, which leave by a queue
/// @dev One virtual share and unit, as solady has it. A queued redemption's shares lie with the vault itself.
contract KarakVault {
    struct Redemption {
        address staker;
        uint96 start;
        uint256 shares;
        address beneficiary;
    }

    error MinWithdrawDelayNotPassed();
    error Unauthorized();
    error WithdrawalNotFound();
    error ZeroAmount();
    error ZeroShares();

    event FinishedRedeem(
        address staker, address beneficiary, address operator, uint256 shares, uint256 assets, bytes32 withdrawalKey
    );
    event Slashed(uint256 amount);
    event StartedRedeem(address staker, address operator, uint256 shares, bytes32 withdrawalKey, uint256 assets);

    KarakBase public immutable owner;
    address public immutable operator;
    IToken public immutable asset;
    uint256 public totalSupply;
    mapping(address account => uint256) public balanceOf;
    mapping(address staker => uint256) public getNextWithdrawNonce;
    mapping(bytes32 key => Redemption) private _redemptions;
    bool private _broken;
    bool private _blind;

    constructor(address operator_, IToken asset_) {
        (owner, operator, asset) = (KarakBase(msg.sender), operator_, asset_);
    }

    function deposit(uint256 assets, address to) external returns (uint256 shares) {
        if (assets == 0) revert ZeroAmount();
        shares = assets * (totalSupply + 1) / (totalAssets() + 1);
        require(asset.transferFrom(msg.sender, address(this), assets), "transferFrom");
        totalSupply += shares;
        balanceOf[to] += shares;
    }

    function startRedeem(uint256 shares, address beneficiary) external returns (bytes32 key) {
        if (shares == 0) revert ZeroShares();
        key = keccak256(abi.encode(msg.sender, getNextWithdrawNonce[msg.sender]++));
        _redemptions[key] = Redemption(msg.sender, uint96(block.timestamp), shares, beneficiary);
        balanceOf[msg.sender] -= shares;
        balanceOf[address(this)] += shares;
        emit StartedRedeem(msg.sender, operator, shares, key, convertToAssets(shares));
    }

    function finishRedeem(bytes32 key) external {
        Redemption memory redemption = _redemptions[key];
        if (redemption.start == 0) revert WithdrawalNotFound();
        if (block.timestamp < redemption.start + owner.stakeUpdateDelay()) revert MinWithdrawDelayNotPassed();
        delete _redemptions[key];
        uint256 assets = convertToAssets(redemption.shares);
        balanceOf[address(this)] -= redemption.shares;
        totalSupply -= redemption.shares;
        require(asset.transfer(redemption.beneficiary, assets), "transfer");
        emit FinishedRedeem(
            redemption.staker, redemption.beneficiary, operator, redemption.shares, assets, key
        );
    }

    /// @dev At most what is there.
    function slashAssets(uint256 amount, KarakSink sink) external returns (uint256 taken) {
        if (msg.sender != address(owner)) revert Unauthorized();
        require(!_broken, "broken vault");
        uint256 held = asset.balanceOf(address(this));
        taken = amount < held ? amount : held;
        if (_blind) taken = 0;
        IKarakToken(address(asset)).approve(address(sink), taken);
        sink.handleSlashing(asset, taken);
        emit Slashed(taken);
    }

    function totalAssets() public view returns (uint256) {
        return asset.balanceOf(address(this));
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return shares * (totalAssets() + 1) / (totalSupply + 1);
    }

    /// @dev For tests: slashes revert.
    function breakDown(bool yes) external {
        _broken = yes;
    }

    /// @dev For tests: slashes succeed and take nothing.
    function goBlind(bool yes) external {
        _blind = yes;
    }
}

interface IKarakToken {
    function approve(address spender, uint256 value) external returns (bool);
}

/// @title What both generations of Karak's Core share
/// @notice A double of ours: the audited source is not ours to compile into tests, and of the deployed generation only
/// the ABI is published. Delays, which are constants there, are constructor arguments.
abstract contract KarakBase {
    using Lists for address[];

    struct StakeUpdateRequest {
        address vault;
        address dss;
        bool toStake;
    }

    struct QueuedStakeUpdate {
        uint48 nonce;
        uint48 startTimestamp;
        address operator;
        StakeUpdateRequest updateRequest;
    }

    struct SlashRequest {
        address operator;
        uint96[] slashPercentagesWad;
        address[] vaults;
    }

    error DSSAlreadyRegistered();
    error DSSHookCallReverted(bytes32 reason);
    error DSSNotRegistered();
    error AllVaultsNotUnstakedFromDSS();
    error DuplicateSlashingVaults();
    error EmptyArray();
    error InvalidQueuedStakeUpdateInput();
    error InvalidSlashingParams();
    error LengthsDontMatch();
    error MaxSlashPercentageWadBreached();
    error MaxSlashableVaultsPerRequestBreached();
    error MinSlashingDelayNotPassed();
    error NotEnoughGas();
    error NotSmartContract();
    error OperatorAlreadyRegisteredToDSS();
    error OperatorNotValidatingForDSS();
    error OperatorStakeUpdateDelayNotPassed();
    error PendingStakeUpdateRequest();
    error SlashingCooldownNotPassed();
    error Unauthorized();
    error VaultNotAChildVault();
    error VaultNotStakedToDSS();
    error ZeroSlashPercentageWad();

    event DSSRegistered(address dss, uint256 maxSlashablePercentageWad);
    event DeployedVault(address operator, address vault, address asset);
    event FinishedStakeUpdate(QueuedStakeUpdate update);
    event HookCallFailed(bytes32 answer);
    event HookCallSucceeded(bytes32 answer);
    event InterfaceNotSupported();
    event RegisteredOperatorToDSS(address operator, address dss);
    event RequestedSlashing(address dss, SlashRequest request);
    event RequestedStakeUpdate(QueuedStakeUpdate update);
    event UnregisteredOperatorToDSS(address operator, address dss);

    uint256 internal constant WHOLE = 100e18;
    uint256 internal constant MAX_VAULTS = 32;
    uint256 private constant HOOK_GAS = 500_000;
    uint256 private constant INTERFACE_GAS = 20_000;
    uint256 private constant BUFFER_GAS = 40_000;

    uint48 public immutable stakeUpdateDelay;
    uint48 public immutable vetoWindow;
    uint48 public immutable cooldown;
    address public immutable vetoCommittee;
    KarakSink public immutable sink = new KarakSink();

    uint256 private _nonce;
    mapping(address dss => uint256) public getDssMaxSlashablePercentageWad;
    mapping(address operator => address[]) private _vaults;
    mapping(address operator => address[]) private _services;
    mapping(address operator => mapping(address dss => address[])) private _staked;
    mapping(address operator => mapping(address dss => uint256)) private _nextSlash;
    mapping(address vault => bytes32) private _updates;
    mapping(bytes32 slashing => bool) internal _queued;

    constructor(uint48 stakeUpdateDelay_, uint48 vetoWindow_, uint48 cooldown_, address vetoCommittee_) {
        (stakeUpdateDelay, vetoWindow, cooldown) = (stakeUpdateDelay_, vetoWindow_, cooldown_);
        vetoCommittee = vetoCommittee_;
    }

    // ---- Services, operators, vaults

    function registerDSS(uint256 maxSlashablePercentageWad) external {
        if (msg.sender.code.length == 0) revert NotSmartContract();
        if (getDssMaxSlashablePercentageWad[msg.sender] != 0) revert DSSAlreadyRegistered();
        if (maxSlashablePercentageWad == 0) revert ZeroSlashPercentageWad();
        if (maxSlashablePercentageWad > WHOLE) revert MaxSlashPercentageWadBreached();
        getDssMaxSlashablePercentageWad[msg.sender] = maxSlashablePercentageWad;
        emit DSSRegistered(msg.sender, maxSlashablePercentageWad);
    }

    function deployVault(IToken asset) external returns (address vault) {
        vault = address(new KarakVault(msg.sender, asset));
        _vaults[msg.sender].add(vault);
        emit DeployedVault(msg.sender, vault, address(asset));
    }

    function registerOperatorToDSS(address dss, bytes calldata data) external {
        if (getDssMaxSlashablePercentageWad[dss] == 0) revert DSSNotRegistered();
        if (!_services[msg.sender].add(dss)) revert OperatorAlreadyRegisteredToDSS();
        _hook(dss, abi.encodeCall(IKarakHooks.registrationHook, (msg.sender, data)), false);
        emit RegisteredOperatorToDSS(msg.sender, dss);
    }

    function unregisterOperatorFromDSS(address dss) external {
        if (_staked[msg.sender][dss].length != 0) revert AllVaultsNotUnstakedFromDSS();
        if (!_services[msg.sender].remove(dss)) revert OperatorNotValidatingForDSS();
        emit UnregisteredOperatorToDSS(msg.sender, dss);
    }

    function requestUpdateVaultStakeInDSS(StakeUpdateRequest calldata request)
        external
        returns (QueuedStakeUpdate memory update)
    {
        if (!isOperatorRegisteredToDSS(msg.sender, request.dss)) revert OperatorNotValidatingForDSS();
        if (_updates[request.vault] != 0) revert PendingStakeUpdateRequest();
        if (!_vaults[msg.sender].has(request.vault)) revert VaultNotAChildVault();
        update = QueuedStakeUpdate(uint48(_nonce++), uint48(block.timestamp), msg.sender, request);
        _updates[request.vault] = keccak256(abi.encode(update));
        IKarakHooks.StakeUpdateRequest memory told =
            IKarakHooks.StakeUpdateRequest(request.vault, request.dss, request.toStake);
        bytes memory call = abi.encodeCall(IKarakHooks.requestUpdateStakeHook, (msg.sender, told));
        _hook(request.dss, call, !request.toStake);
        emit RequestedStakeUpdate(update);
    }

    function finalizeUpdateVaultStakeInDSS(QueuedStakeUpdate calldata update) external {
        if (update.startTimestamp + stakeUpdateDelay > block.timestamp) revert OperatorStakeUpdateDelayNotPassed();
        StakeUpdateRequest memory request = update.updateRequest;
        if (_updates[request.vault] != keccak256(abi.encode(update))) revert InvalidQueuedStakeUpdateInput();
        delete _updates[request.vault];
        address[] storage staked = _staked[update.operator][request.dss];
        if (request.toStake) staked.add(request.vault);
        else staked.remove(request.vault);
        emit FinishedStakeUpdate(update);
    }

    // ---- Slashes

    /// @dev Checks a request of the caller's, and gives it its time and number.
    function _accept(SlashRequest calldata request) internal returns (uint96 timestamp, uint256 nonce) {
        address dss = msg.sender;
        if (!isOperatorRegisteredToDSS(request.operator, dss)) revert OperatorNotValidatingForDSS();
        if (block.timestamp < _nextSlash[request.operator][dss]) revert SlashingCooldownNotPassed();
        if (request.slashPercentagesWad.length != request.vaults.length) revert LengthsDontMatch();
        if (request.vaults.length > MAX_VAULTS) revert MaxSlashableVaultsPerRequestBreached();
        if (request.vaults.length == 0) revert EmptyArray();
        for (uint256 i = 0; i < request.vaults.length; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                if (request.vaults[i] == request.vaults[j]) revert DuplicateSlashingVaults();
            }
            if (!_isStaked(request.operator, dss, request.vaults[i])) revert VaultNotStakedToDSS();
            uint256 percentage = request.slashPercentagesWad[i];
            if (percentage == 0) revert ZeroSlashPercentageWad();
            if (percentage > getDssMaxSlashablePercentageWad[dss]) revert MaxSlashPercentageWadBreached();
        }
        _nextSlash[request.operator][dss] = block.timestamp + cooldown;
        return (uint96(block.timestamp), _nonce++);
    }

    function _end(bytes32 slashing, uint256 timestamp) internal {
        if (!_queued[slashing]) revert InvalidSlashingParams();
        if (timestamp + vetoWindow > block.timestamp) revert MinSlashingDelayNotPassed();
        delete _queued[slashing];
    }

    function _cancel(bytes32 slashing, address dss, address operator) internal {
        if (msg.sender != vetoCommittee) revert Unauthorized();
        if (!_queued[slashing]) revert InvalidSlashingParams();
        delete _queued[slashing];
        _hook(dss, abi.encodeCall(IKarakHooks.cancelSlashingHook, (operator)), true);
    }

    function _tellFinished(address dss, address operator) internal {
        _hook(dss, abi.encodeCall(IKarakHooks.finishSlashingHook, (operator)), true);
    }

    function _part(address vault, uint256 percentage) internal view returns (uint256) {
        return percentage * KarakVault(vault).totalAssets() / WHOLE;
    }

    /// @dev A hook gets bounded gas, and all of it or the call does not happen.
    function _hook(address dss, bytes memory call, bool ignoreFailure) private {
        if (gasleft() < INTERFACE_GAS * 64 / 63 + BUFFER_GAS) revert NotEnoughGas();
        bytes4 selector = bytes4(call);
        (bool known, bytes memory answer) =
            dss.call{gas: INTERFACE_GAS}(abi.encodeCall(IKarakHooks.supportsInterface, (selector)));
        if (!known || answer.length < 32 || uint256(bytes32(answer)) == 0) {
            emit InterfaceNotSupported();
            return;
        }
        if (gasleft() < HOOK_GAS * 64 / 63 + BUFFER_GAS) revert NotEnoughGas();
        (bool success, bytes memory said) = dss.call{gas: HOOK_GAS}(call);
        if (!ignoreFailure && !success) revert DSSHookCallReverted(bytes32(said));
        if (success) emit HookCallSucceeded(bytes32(said));
        else emit HookCallFailed(bytes32(said));
    }

    // ---- Views

    function isDSSRegistered(address dss) external view returns (bool) {
        return getDssMaxSlashablePercentageWad[dss] != 0;
    }

    function isOperatorRegisteredToDSS(address operator, address dss) public view returns (bool) {
        return _services[operator].has(dss);
    }

    function getOperatorVaults(address operator) external view returns (address[] memory) {
        return _vaults[operator];
    }

    function fetchVaultsStakedInDSS(address operator, address dss) external view returns (address[] memory) {
        return _staked[operator][dss];
    }

    function _isStaked(address operator, address dss, address vault) internal view returns (bool) {
        return _staked[operator][dss].has(vault);
    }
}

/// @title Karak's Core as its published ABI says it is deployed: percentages, applied when a slash is carried out
contract KarakCore is KarakBase {
    struct QueuedSlashing {
        address dss;
        uint96 timestamp;
        address operator;
        address[] vaults;
        uint96[] slashPercentagesWad;
        uint256 nonce;
    }

    event CancelledSlashing(address by, QueuedSlashing slashing);
    event FinalizedSlashing(address by, QueuedSlashing slashing);
    event SkippedSlashing(address vault);

    constructor(uint48 stakeUpdateDelay_, uint48 vetoWindow_, uint48 cooldown_, address vetoCommittee_)
        KarakBase(stakeUpdateDelay_, vetoWindow_, cooldown_, vetoCommittee_)
    {}

    function requestSlashing(SlashRequest calldata request) external returns (QueuedSlashing memory slashing) {
        (uint96 timestamp, uint256 nonce) = _accept(request);
        slashing = QueuedSlashing(
            msg.sender, timestamp, request.operator, request.vaults, request.slashPercentagesWad, nonce
        );
        _queued[keccak256(abi.encode(slashing))] = true;
        emit RequestedSlashing(msg.sender, request);
    }

    function cancelSlashing(QueuedSlashing calldata slashing) external {
        _cancel(keccak256(abi.encode(slashing)), slashing.dss, slashing.operator);
        emit CancelledSlashing(msg.sender, slashing);
    }

    /// @dev A vault that was unstaked meanwhile is skipped; an operator who left is not slashed at all.
    function finalizeSlashing(QueuedSlashing calldata slashing) external {
        _end(keccak256(abi.encode(slashing)), slashing.timestamp);
        if (!isOperatorRegisteredToDSS(slashing.operator, slashing.dss)) revert OperatorNotValidatingForDSS();
        for (uint256 i = 0; i < slashing.vaults.length; ++i) {
            address vault = slashing.vaults[i];
            if (_isStaked(slashing.operator, slashing.dss, vault)) {
                KarakVault(vault).slashAssets(_part(vault, slashing.slashPercentagesWad[i]), sink);
            } else {
                emit SkippedSlashing(vault);
            }
        }
        _tellFinished(slashing.dss, slashing.operator);
        emit FinalizedSlashing(msg.sender, slashing);
    }
}

/// @title Karak's Core as its source was audited in July 2024: amounts, earmarked when a slash is asked for
contract KarakCoreAudited is KarakBase {
    struct QueuedSlashing {
        address dss;
        uint96 timestamp;
        address operator;
        address[] vaults;
        uint256[] earmarkedStakes;
        uint256 nonce;
    }

    event CancelledSlashing(address by, QueuedSlashing slashing);
    event FinalizedSlashing(address by, QueuedSlashing slashing);

    constructor(uint48 stakeUpdateDelay_, uint48 vetoWindow_, uint48 cooldown_, address vetoCommittee_)
        KarakBase(stakeUpdateDelay_, vetoWindow_, cooldown_, vetoCommittee_)
    {}

    function requestSlashing(SlashRequest calldata request) external returns (QueuedSlashing memory slashing) {
        (uint96 timestamp, uint256 nonce) = _accept(request);
        uint256[] memory stakes = new uint256[](request.vaults.length);
        for (uint256 i = 0; i < stakes.length; ++i) {
            stakes[i] = _part(request.vaults[i], request.slashPercentagesWad[i]);
        }
        slashing = QueuedSlashing(msg.sender, timestamp, request.operator, request.vaults, stakes, nonce);
        _queued[keccak256(abi.encode(slashing))] = true;
        emit RequestedSlashing(msg.sender, request);
    }

    function cancelSlashing(QueuedSlashing calldata slashing) external {
        _cancel(keccak256(abi.encode(slashing)), slashing.dss, slashing.operator);
        emit CancelledSlashing(msg.sender, slashing);
    }

    function finalizeSlashing(QueuedSlashing calldata slashing) external {
        _end(keccak256(abi.encode(slashing)), slashing.timestamp);
        for (uint256 i = 0; i < slashing.vaults.length; ++i) {
            KarakVault(slashing.vaults[i]).slashAssets(slashing.earmarkedStakes[i], sink);
        }
        _tellFinished(slashing.dss, slashing.operator);
        emit FinalizedSlashing(msg.sender, slashing);
    }
}
