// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A price feed as Chainlink's aggregators answer, which says whatever it is told: for tests
/// @dev It never leaves devnet; no contract under src/ knows it.
contract DevFeed {
    error NoDataPresent();

    uint8 public immutable decimals;
    uint80 private round;
    int256 private price;
    uint256 private updated;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    /// @param updatedAt seconds since 1970; zero makes it answer nothing
    function report(int256 answer, uint256 updatedAt) external {
        round += 1;
        (price, updated) = (answer, updatedAt);
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        require(updated != 0, NoDataPresent());
        return (round, price, updated, updated, round);
    }
}
