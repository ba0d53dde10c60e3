// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A token that is odd in every way a vault may meet
/// @dev Six decimals, a fee on what is moved, and balances that all grow or shrink together.
contract OddToken {
    uint8 public constant decimals = 6;
    /// Of 10,000, what a transfer loses on the way.
    uint256 public feeBips;
    /// Of 1e18, what a unit of the books is worth.
    uint256 public worth = 1e18;
    mapping(address owner => uint256) private _books;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        _books[to] += value * 1e18 / worth;
        emit Transfer(address(0), to, value);
    }

    function chargeFee(uint256 bips) external {
        feeBips = bips;
    }

    function rebase(uint256 worth_) external {
        worth = worth_;
    }

    function balanceOf(address owner) public view returns (uint256) {
        return _books[owner] * worth / 1e18;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value; // checked
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        _books[from] -= (value * 1e18 + worth - 1) / worth; // checked, and up: nobody moves more than he has
        _books[to] += (value - value * feeBips / 10_000) * 1e18 / worth;
        emit Transfer(from, to, value);
    }
}
