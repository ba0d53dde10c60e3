//! Services: what one names when it registers on Ethereum, and where its operators' statements stand.
//!
//! A service first gives Orders.sol its operator sets, each with the most that an order may take there, and then its rules. Neither can be
//! taken back: new code of a service, and so new rules, is a new registration with a domain of its own (R14). Its committee is the
//! network's, as the epoch in a slot names it (R3); the rules say how much of it must agree.

use crate::attestation::Statement;
use crate::canonical::{Blob, Canonical, List, canonical, canonical_enum};
use crate::certificate::{Committee, QuorumCertificate, Worthless};
use crate::ids::{Address, ChainId, Digest, Domain, OperatorId, ServiceId};
use crate::position::mul_div;
use crate::units::{Epoch, Height, MicroUsd, Wad};

/// The longest rules, in bytes; Orders.sol takes no more.
pub const MAX_RULES: usize = 1_024;
/// The most operator sets of one service.
pub const MAX_SETS: usize = 4;
/// The most operator sets of all services whose stake is followed, first come first served: each costs every follower views at every anchor.
pub const MAX_FOLLOWED: usize = 64;
/// The most assets of one operator in one set that have rows: sixteen that a set may name, and as many that it named before.
pub const MAX_SET_ASSETS: usize = 32;
/// The most kinds of domains of one registration.
pub const MAX_KINDS: usize = 8;
/// The most kinds of faults of one registration.
pub const MAX_FAULTS: usize = 16;
/// The first kind of domain that is a service's; those below are the network's own (R14).
pub const FIRST_KIND: u16 = 256;
/// How many bits of a slot say which of its epoch's it is; the epoch stands above (R3).
const SLOT_BITS: u32 = 40;

/// Names one registration of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId {
    /// Which service.
    pub service: ServiceId,
    /// Which of its registrations, from 1.
    pub number: u64,
}
canonical!(RegistrationId { service, number });

/// Names one of the domains of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceDomain {
    /// Whose.
    pub registration: RegistrationId,
    /// Which of its kinds, at least [`FIRST_KIND`].
    pub kind: u16,
}
canonical!(ServiceDomain { registration, kind });

impl ServiceDomain {
    /// What is hashed into statements; `None` when service, registration or kind are the network's own (R14).
    #[must_use]
    pub fn derive(&self, chain: &ChainId, palisade: &Address) -> Option<Domain> {
        let RegistrationId { service, number } = self.registration;
        let is_service = service != ServiceId::ZERO && number > 0 && self.kind >= FIRST_KIND;
        is_service.then(|| Domain::of_service(chain, palisade, &service, number, self.kind))
    }
}

/// What a service's module wants its operator to say: `digest` stands in `slot` of that domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceStatement {
    /// Where; what is hashed is derived from it and never given (R14).
    pub domain: ServiceDomain,
    /// The slot, with its epoch in the high 24 bits (R3).
    pub slot: u64,
    /// What stands there.
    pub digest: Digest,
}
canonical!(ServiceStatement { domain, slot, digest });

impl ServiceStatement {
    /// What is signed; `None` where the domain is the network's own.
    #[must_use]
    pub fn statement(&self, chain: &ChainId, palisade: &Address) -> Option<Statement> {
        let domain = self.domain.derive(chain, palisade)?;
        Some(Statement { domain, slot: self.slot, digest: self.digest })
    }
}

/// What Orders.sol knows of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its account, as 32 bytes.
    pub id: ServiceId,
    /// Its operator sets, in the order in which they were registered.
    pub sets: List<ServiceSet, MAX_SETS>,
}
canonical!(Service { id, sets });

impl Service {
    /// The most that one order may take through `adapter`.
    #[must_use]
    pub fn maximum(&self, adapter: &Address) -> Option<Wad> {
        self.sets.iter().find(|set| set.adapter == *adapter).map(|set| set.maximum)
    }
}

/// One operator set of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSet {
    /// The contract that slashes it.
    pub adapter: Address,
    /// The most that one order may take of what is allocated there.
    pub maximum: Wad,
}
canonical!(ServiceSet { adapter, maximum });

/// Whose protocol an operator set of a service is, as its followers found at an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetProtocol {
    /// An adapter to the EigenLayer core that genesis names: what operators allocate there is followed.
    EigenLayer,
    /// Another one's, so behind a veto perhaps: what lies there nobody here knows.
    Other,
    /// EigenLayer's, beyond the sets that are followed.
    Beyond,
}
canonical_enum!(SetProtocol { 0 => EigenLayer, 1 => Other, 2 => Beyond });

/// Names what one operator has in one of a service's operator sets, in one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceStakeId {
    /// The set's adapter.
    pub adapter: Address,
    /// Whose.
    pub operator: OperatorId,
    /// The strategy.
    pub asset: Address,
}
canonical!(ServiceStakeId { adapter, operator, asset });

/// One registration, as the ledger took it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Which.
    pub id: RegistrationId,
    /// What it says.
    pub rules: ServiceRules,
    /// The block that holds it.
    pub since: Height,
}
canonical!(Registration { id, rules, since });

/// The rules of one registration. Their Canonical bytes are what the service tells Orders.sol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRules {
    /// [`ServiceRules::VERSION`].
    pub version: u8,
    /// The kinds of domains that its operators attest in, ascending. Verdicts stand in the first.
    pub kinds: List<u16, MAX_KINDS>,
    /// The operator sets that a verdict takes from: adapters that the service registered at Orders.sol, ascending.
    pub sets: List<Address, MAX_SETS>,
    /// Signers must weigh more than this part of the committee. At least two thirds, less than all.
    pub threshold: Wad,
    /// Members who weigh less neither count nor can be judged.
    pub bond: MicroUsd,
    /// Faults whose verdicts come within so many Ethereum blocks of each other are taken for faults of one cause.
    pub window_blocks: u64,
    /// What each kind of fault may take, by kind ascending.
    pub faults: List<FaultRule, MAX_FAULTS>,
}
canonical!(ServiceRules { version, kinds, sets, threshold, bond, window_blocks, faults });

/// What one kind of fault may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// The service's own number of this kind.
    pub fault: u16,
    /// The most that a verdict may ask, of what is allocated to the service.
    pub most: Wad,
    /// How that rises with the share of the committee at fault.
    pub law: Law,
}
canonical!(FaultRule { fault, most, law });

/// The part of what is asked that is taken, by the share x of the committee's weight at fault within one window. `k` is in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// All of it, whoever else failed.
    Flat,
    /// min(k x, 1).
    Linear(u32),
    /// min((k x)^2, 1): few who fail alone lose next to nothing, a third together everything at k = 3.
    Square(u32),
}
canonical_enum!(Law { 0 => Flat, 1 => Linear(k), 2 => Square(k) });

impl Law {
    /// The factor, of 1e18, for a share `x` of 1e18; every step rounds down, in favour of whoever is judged.
    #[must_use]
    pub fn factor(self, x: Wad) -> Wad {
        let one = u128::from(Wad::ONE.get());
        let scaled = |k: u32| (u128::from(x.get()) * u128::from(k) / 100).min(one);
        let factor = match self {
            Self::Flat => one,
            Self::Linear(k) => scaled(k),
            Self::Square(k) => scaled(k) * scaled(k) / one,
        };
        Wad::new(u64::try_from(factor).expect("at most 1e18"))
    }
}

/// Why rules are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRules {
    /// The bytes are no rules.
    #[error("the bytes are no rules")]
    Malformed,
    /// Of a later version.
    #[error("rules of version {0}")]
    Version(u8),
    /// A list is empty, not ascending, or holds a number that is not the service's to use.
    #[error("{0} of the rules are empty, out of order or out of range")]
    List(&'static str),
    /// Less than two thirds, or nobody could reach it.
    #[error("a threshold below two thirds, or of all")]
    Threshold,
}

impl ServiceRules {
    /// What is written today.
    pub const VERSION: u8 = 1;
    /// Two thirds of 1e18, rounded up.
    pub const LEAST_THRESHOLD: Wad = Wad::new(666_666_666_666_666_667);

    /// Reads what a service declared.
    ///
    /// # Errors
    ///
    /// [`BadRules`]: then the registration does not count.
    pub fn read_declared(bytes: &Blob<MAX_RULES>) -> Result<Self, BadRules> {
        let rules = Self::from_bytes(bytes).map_err(|_| BadRules::Malformed)?;
        rules.check()?;
        Ok(rules)
    }

    /// Whether the rules can be meant.
    ///
    /// # Errors
    ///
    /// [`BadRules`] names what cannot.
    pub fn check(&self) -> Result<(), BadRules> {
        if self.version != Self::VERSION {
            return Err(BadRules::Version(self.version));
        }
        let (first, last) = (self.kinds.first(), self.kinds.windows(2).all(|pair| pair[0] < pair[1]));
        if !last || first.is_none_or(|kind| *kind < FIRST_KIND) {
            return Err(BadRules::List("kinds of domains"));
        }
        if self.sets.is_empty() || self.sets.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(BadRules::List("operator sets"));
        }
        let is_part = |rule: &FaultRule| (1..=Wad::ONE.get()).contains(&rule.most.get());
        if self.faults.windows(2).any(|pair| pair[0].fault >= pair[1].fault) || !self.faults.iter().all(is_part) {
            return Err(BadRules::List("faults"));
        }
        if self.threshold < Self::LEAST_THRESHOLD || self.threshold >= Wad::ONE {
            return Err(BadRules::Threshold);
        }
        Ok(())
    }

    /// The kind of domain that verdicts are certified in.
    #[must_use]
    pub fn verdict_kind(&self) -> Option<u16> {
        self.kinds.first().copied()
    }

    /// What a kind of fault may take.
    #[must_use]
    pub fn fault(&self, fault: u16) -> Option<&FaultRule> {
        self.faults.iter().find(|rule| rule.fault == fault)
    }

    /// Whether a member of `committee` counts in this service.
    #[must_use]
    pub fn counts(&self, committee: &Committee, operator: &OperatorId) -> bool {
        let seat = committee.seat(operator);
        seat.is_some_and(|(_, seat)| seat.ether >= self.bond.get().max(1))
    }

    /// Judges a certificate by these rules: two thirds as every certificate, and the threshold, of those who count here and whom
    /// `convicted` does not name (R9).
    ///
    /// # Errors
    ///
    /// [`Worthless`].
    pub fn judge(
        &self,
        chain: &ChainId,
        committee: &Committee,
        certificate: &QuorumCertificate,
        convicted: impl Fn(&OperatorId) -> bool,
    ) -> Result<(), Worthless> {
        let counts = |operator: &OperatorId| self.counts(committee, operator) && !convicted(operator);
        let (mut signed, mut total) = (0, 0);
        for (index, member) in committee.members.iter().enumerate().filter(|(_, member)| counts(&member.operator)) {
            total += u128::from(member.ether);
            if certificate.names(index) {
                signed += u128::from(member.ether);
            }
        }
        // Sums of 256 weights have 72 bits at most, a threshold 60.
        let needed = mul_div(total, self.threshold.get().into(), Wad::ONE.get().into());
        if signed <= needed {
            return Err(Worthless::NoQuorum { signed, total });
        }
        certificate.verify(chain, committee, |operator| !counts(operator))
    }
}

/// The slot with this number in `epoch`; `None` when a slot has no room for it (R3).
#[must_use]
pub fn slot_of(epoch: Epoch, number: u64) -> Option<u64> {
    (epoch <= Epoch::MAX && number >> SLOT_BITS == 0).then(|| (u64::from(epoch.get()) << SLOT_BITS) | number)
}

/// The epoch whose committee attests a slot of a service (R3).
#[must_use]
pub fn epoch_of(slot: u64) -> Epoch {
    Epoch::new(u32::try_from(slot >> SLOT_BITS).expect("24 bits"))
}

/// The first slot of an epoch.
#[must_use]
pub fn first_slot(epoch: Epoch) -> u64 {
    u64::from(epoch.get()) << SLOT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> ServiceRules {
        ServiceRules {
            version: 1,
            kinds: vec![256, 300].try_into().unwrap(),
            sets: vec![Address::new([1; 20])].try_into().unwrap(),
            threshold: ServiceRules::LEAST_THRESHOLD,
            bond: MicroUsd::new(1),
            window_blocks: 10,
            faults: vec![FaultRule { fault: 1, most: Wad::ONE, law: Law::Square(300) }].try_into().unwrap(),
        }
    }

    #[test]
    fn r14_rules_use_no_domain_of_the_network() {
        assert_eq!(rules().check(), Ok(()));
        assert!(rules().to_bytes().len() < MAX_RULES);
        let wrong = |change: fn(&mut ServiceRules)| {
            let mut rules = rules();
            change(&mut rules);
            rules.check().unwrap_err()
        };
        assert_eq!(wrong(|rules| rules.version = 2), BadRules::Version(2));
        for kinds in [vec![], vec![255], vec![6, 256], vec![300, 256], vec![256, 256]] {
            let changed = ServiceRules { kinds: kinds.try_into().unwrap(), ..rules() };
            assert_eq!(changed.check(), Err(BadRules::List("kinds of domains")));
        }
        assert_eq!(wrong(|rules| rules.sets = List::new()), BadRules::List("operator sets"));
        assert_eq!(wrong(|rules| rules.faults.as_mut_slice()[0].most = Wad::new(0)), BadRules::List("faults"));
        assert_eq!(wrong(|rules| rules.threshold = Wad::ONE), BadRules::Threshold);
        assert_eq!(wrong(|rules| rules.threshold = Wad::new(600_000_000_000_000_000)), BadRules::Threshold);
        let domain = |service, number, kind| {
            let registration = RegistrationId { service, number };
            ServiceDomain { registration, kind }.derive(&ChainId::new([1; 32]), &Address::new([2; 20]))
        };
        assert!(domain(ServiceId::new([3; 32]), 1, 256).is_some());
        assert_eq!(domain(ServiceId::ZERO, 1, 256), None);
        assert_eq!(domain(ServiceId::new([3; 32]), 0, 256), None);
        assert_eq!(domain(ServiceId::new([3; 32]), 1, 255), None);
    }

    #[test]
    fn r03_a_slot_carries_its_epoch_in_its_high_24_bits() {
        let slot = slot_of(Epoch::new(7), 9).unwrap();
        assert_eq!((epoch_of(slot), slot & 0xff_ffff_ffff), (Epoch::new(7), 9));
        assert_eq!(epoch_of(u64::MAX), Epoch::MAX);
        assert_eq!(slot_of(Epoch::MAX, (1 << 40) - 1), Some(u64::MAX));
        assert_eq!(slot_of(Epoch::new(7), 1 << 40), None);
        assert_eq!(slot_of(Epoch::new(1 << 24), 0), None);
    }

    #[test]
    fn a_third_at_fault_loses_everything_at_k_3_and_one_in_a_hundred_next_to_nothing() {
        let percent = |x: u64| Wad::new(x * 10_000_000_000_000_000);
        assert_eq!(Law::Square(300).factor(percent(1)), Wad::new(900_000_000_000_000));
        assert_eq!(Law::Square(300).factor(percent(34)), Wad::ONE);
        assert_eq!(Law::Linear(300).factor(percent(10)), percent(30));
        assert_eq!(Law::Flat.factor(Wad::new(0)), Wad::ONE);
    }

    proptest! {
        #[test]
        fn a_law_never_falls_with_the_share_and_never_takes_more_than_all(
            k in any::<u32>(), shares in (0_u64..=1_000_000_000_000_000_000, 0_u64..=1_000_000_000_000_000_000),
        ) {
            let (low, high) = (shares.0.min(shares.1), shares.0.max(shares.1));
            for law in [Law::Flat, Law::Linear(k), Law::Square(k)] {
                let (less, more) = (law.factor(Wad::new(low)), law.factor(Wad::new(high)));
                prop_assert!(less <= more && more <= Wad::ONE);
            }
        }
    }
}
