//! Where contracts stand that others deployed: only what nothing on the chain leads to. Everything else is asked of these.
//!
//! Sources: the README of eigenlayer-contracts (16 March 2026) for EigenLayer; the deployment lists of the tokens' own
//! repositories for the rest, as the facts of 20 November 2026 hold them. None could be looked up on the chain from where this was
//! written: a contract that is not there is told as a gap, never taken for an empty one.

use alloy::primitives::{Address, address};

/// What is known of one chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) chain_id: u64,
    pub(crate) name: &'static str,
    /// EigenLayer's DelegationManager; it names the rest of the core.
    pub(crate) delegation_manager: Address,
    /// Symbiotic's factory of vaults, version 1 of its core; its vaults name the rest.
    pub(crate) symbiotic_factory: Option<Address>,
    /// Strategies to look at although nobody allocates them: no view lists what an operator holds.
    pub(crate) strategies: &'static [Address],
    pub(crate) tokens: &'static [Lrt],
}

/// A liquid restaking token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lrt {
    /// Its issuer.
    pub(crate) issuer: &'static str,
    /// The token's symbol.
    pub(crate) symbol: &'static str,
    /// The token whose supply and rate are looked at.
    pub(crate) token: Address,
    /// Others by which a person may ask for it: what it wraps.
    pub(crate) also: &'static [(&'static str, Address)],
    /// Holds on this chain what circulates on others.
    pub(crate) lockbox: Option<Address>,
    pub(crate) issue: Issue,
}

/// Where each issuer's own figures are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Issue {
    EtherFi { pool: Address, staking_manager: Address, restaker: Address, shares: Address },
    Renzo { rate: Address, manager: Address },
    Kelp { oracle: Address, pool: Address },
    Puffer { oracle: Address, protocol: Address },
}

/// Every chain that is known.
pub(crate) const KNOWN: [Known; 2] = [MAINNET, HOODI];

const MAINNET: Known = Known {
    chain_id: 1,
    name: "Ethereum mainnet",
    delegation_manager: address!("39053D51B77DC0d36036Fc1fCc8Cb819df8Ef37A"),
    symbiotic_factory: Some(address!("AEb6bdd95c502390db8f52c8909F703E9Af6a346")),
    strategies: &[
        address!("93c4b944D05dfe6df7645A86cd2206016c51564D"), // stETH
        address!("1BeE69b7dFFfA4E2d53C2a2Df135C388AD25dCD2"), // rETH
        address!("54945180dB7943c0ed0FEE7EdaB2Bd24620256bc"), // cbETH
        address!("aCB55C530Acdb2849e6d4f36992Cd8c9D50ED8F7"), // EIGEN
    ],
    tokens: &[
        Lrt {
            issuer: "ether.fi",
            symbol: "weETH",
            token: address!("Cd5fE23C85820F7B72D0926FC9b05b43E359b7ee"),
            also: &[("eETH", EETH)],
            lockbox: None,
            issue: Issue::EtherFi {
                pool: address!("308861A430be4cce5502d0A12724771Fc6DaF216"),
                staking_manager: address!("25e821b7197B146F7713C3b89B6A4D83516B912d"),
                restaker: address!("1B7a4C3797236A1C37f8741c0Be35c2c72736fFf"),
                shares: EETH,
            },
        },
        Lrt {
            issuer: "Renzo",
            symbol: "ezETH",
            token: address!("bf5495Efe5DB9ce00f80364C8B423567e58d2110"),
            also: &[],
            lockbox: None,
            issue: Issue::Renzo {
                rate: address!("387dBc0fB00b26fb085aa658527D5BE98302c84C"),
                manager: address!("74a09653A083691711cF8215a6ab074BB4e99ef5"),
            },
        },
        Lrt {
            issuer: "Kelp",
            symbol: "rsETH",
            token: address!("A1290d69c65A6Fe4DF752f95823fae25cB99e5A7"),
            also: &[],
            // The OFT adapter of which 116,500 rsETH were released by a forged message on 18 April 2026.
            lockbox: Some(address!("85d456B2DfF1fd8245387C0BfB64Dfb700e98Ef3")),
            issue: Issue::Kelp {
                oracle: address!("349A73444b1a310BAe67ef67973022020d70020d"),
                pool: address!("036676389e48133B63a802f8635AD39E752D375D"),
            },
        },
        Lrt {
            issuer: "Puffer",
            symbol: "pufETH",
            token: address!("D9A442856C234a39a81a089C06451EBAa4306a72"),
            also: &[],
            lockbox: None,
            issue: Issue::Puffer {
                oracle: address!("0BE2aE0edbeBb517541DF217EF0074FC9a9e994f"),
                protocol: address!("f7b6B32492c2e13799D921E84202450131bd238B"),
            },
        },
    ],
};

const EETH: Address = address!("35fA164735182de50811E8e2E824cFb9B6118ac2");

const HOODI: Known = Known {
    chain_id: 560_048,
    name: "Hoodi",
    delegation_manager: address!("867837a9722C512e0862d8c2E15b8bE220E8b87d"),
    symbiotic_factory: None,
    strategies: &[],
    tokens: &[],
};

impl Known {
    /// What is known of the chain with that id.
    pub(crate) fn of(chain_id: u64) -> Option<&'static Self> {
        static CHAINS: [Known; 2] = KNOWN;
        CHAINS.iter().find(|known| known.chain_id == chain_id)
    }
}

impl Lrt {
    /// Whether a person who typed `name` means this one: its issuer, its symbol, or an address of it.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let names = [self.issuer, self.symbol].into_iter().chain(self.also.iter().map(|(symbol, _)| *symbol));
        names.into_iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn is_at(&self, address: Address) -> bool {
        self.token == address || self.also.iter().any(|(_, also)| *also == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_issuer_is_mixed_up_with_another() {
        let called = |name: &str| -> Vec<&str> {
            MAINNET.tokens.iter().filter(|lrt| lrt.is_called(name)).map(|lrt| lrt.issuer).collect()
        };
        for (name, issuer) in
            [("ezETH", "Renzo"), ("rsETH", "Kelp"), ("pufETH", "Puffer"), ("eETH", "ether.fi"), ("weeth", "ether.fi")]
        {
            assert_eq!(called(name), [issuer]);
        }
        assert!(called("stETH").is_empty());
        assert!(
            MAINNET.tokens.iter().all(|lrt| MAINNET.tokens.iter().filter(|other| other.is_at(lrt.token)).count() == 1)
        );
        assert_eq!(Known::of(1).map(|known| known.name), Some("Ethereum mainnet"));
        assert!(Known::of(5).is_none());
    }
}
