//! A price feed, as Chainlink's aggregators and the proxies before them answer.

alloy::sol! {
    #[derive(Debug, PartialEq, Eq)]
    interface Aggregator {
        function decimals() external view returns (uint8);
        /// Reverts before the first answer.
        function latestRoundData()
            external
            view
            returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
    }
}
