// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Fractions of 1e18, and how EigenLayer rounds them
/// @dev The doubles' amounts are below 2^128, so that no product overflows.
library Wad {
    uint256 internal constant ONE = 1e18;

    function mul(uint256 a, uint256 wad) internal pure returns (uint256) {
        return a * wad / ONE;
    }

    function mulUp(uint256 a, uint256 wad) internal pure returns (uint256) {
        return (a * wad + ONE - 1) / ONE;
    }

    function div(uint256 a, uint256 b) internal pure returns (uint256) {
        return a * ONE / b;
    }

    /// @dev What a fall of the maximum from `before` to `afterwards` takes from shares: what is left is rounded up.
    function lost(uint256 shares, uint256 before, uint256 afterwards) internal pure returns (uint256) {
        return shares - (shares * afterwards + before - 1) / before;
    }
}

/// @title Values by the block that wrote them
library History {
    struct Entry {
        uint32 block_;
        uint224 value;
    }

    function push(Entry[] storage entries, uint256 value) internal {
        uint256 count = entries.length;
        if (count > 0 && entries[count - 1].block_ == block.number) {
            entries[count - 1].value = uint224(value);
        } else {
            entries.push(Entry(uint32(block.number), uint224(value)));
        }
    }

    function latest(Entry[] storage entries, uint256 none) internal view returns (uint256) {
        return entries.length == 0 ? none : entries[entries.length - 1].value;
    }

    /// @dev The value at the end of block `number`.
    function upTo(Entry[] storage entries, uint256 number, uint256 none) internal view returns (uint256) {
        for (uint256 i = entries.length; i > 0; --i) {
            if (entries[i - 1].block_ <= number) return entries[i - 1].value;
        }
        return none;
    }
}

/// @title Sets whose order is that of OpenZeppelin's: the last takes the place of what leaves
library Lists {
    function has(address[] storage list, address one) internal view returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == one) return true;
        }
        return false;
    }

    function add(address[] storage list, address one) internal returns (bool) {
        if (has(list, one)) return false;
        list.push(one);
        return true;
    }

    function remove(address[] storage list, address one) internal returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] != one) continue;
            list[i] = list[list.length - 1];
            list.pop();
            return true;
        }
        return false;
    }
}
