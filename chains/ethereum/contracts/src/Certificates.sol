// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What a certificate says of itself
/// @notice True once Committee.sol has accepted the certificate; before that it is what anybody wrote there. The whole
/// format is told at Committee.sol. The caller makes sure that there are 64 bytes at least, as Committee.sol does.
library Certificates {
    /// @notice The epoch whose committee signed.
    function epoch(bytes calldata certificate) internal pure returns (uint32) {
        return uint32(_word(certificate, 0) >> 224);
    }

    /// @notice The Ethereum block at which the committee's weights stood. It cannot have signed anything before.
    function ethereumBlock(bytes calldata certificate) internal pure returns (uint64) {
        return uint64(_word(certificate, 4) >> 192);
    }

    /// @notice The Bitcoin block at which the committee's weights stood.
    function bitcoinBlock(bytes calldata certificate) internal pure returns (uint64) {
        return uint64(_word(certificate, 56) >> 192);
    }

    function _word(bytes calldata certificate, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(certificate.offset, offset))
        }
    }
}
