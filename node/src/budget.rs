//! How long the core works for each publisher (R32).
//!
//! What is published proves itself, and a proof that is false, or true and worth nothing, costs whoever checks it thousands of times what it
//! cost its author. Counting messages does not bound that. So every publisher has his part of the core's time between two ticks; what he says
//! beyond that is not heard, and nobody's fault: whatever matters is said again. Attestations are not counted: their signatures are checked
//! beside the core, together, and who sends false ones is sent away.

use crate::network::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// What all publishers together may take of the core's time between two ticks: well below the half.
const ALL: Duration = Duration::from_millis(100);
/// What each of many may take, before the message that is being heard: a check or two.
const LEAST: Duration = Duration::from_millis(2);

/// What each publisher took since the last tick. Only admitted peers publish, so there are few.
#[derive(Debug, Default)]
pub struct Budget {
    spent: BTreeMap<PeerId, Duration>,
}

impl Budget {
    /// Whether the core listens to one of so many publishers.
    #[must_use]
    pub fn allows(&self, publisher: &PeerId, publishers: usize) -> bool {
        let count = u32::try_from(publishers.max(1)).unwrap_or(u32::MAX);
        let part = (ALL / count).max(LEAST);
        self.spent.get(publisher).is_none_or(|spent| *spent < part)
    }

    /// The core worked so long for what he said.
    pub fn spend(&mut self, publisher: PeerId, time: Duration) {
        let spent = self.spent.entry(publisher).or_default();
        *spent = spent.saturating_add(time);
    }

    /// A tick: everybody has his part again.
    pub fn renew(&mut self) {
        self.spent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r32_who_makes_the_core_work_is_not_heard_until_the_next_tick_and_everybody_else_is() {
        let (villain, honest) = (PeerId::random(), PeerId::random());
        let mut budget = Budget::default();
        let mut heard = 0;
        while budget.allows(&villain, 4) {
            budget.spend(villain, Duration::from_millis(3));
            heard += 1;
        }
        assert_eq!(heard, 9, "a quarter of all, and what the last one takes beyond it");
        assert!(budget.allows(&honest, 4));
        budget.renew();
        assert!(budget.allows(&villain, 4));
        // Of a large committee everybody is heard once at least.
        assert!(budget.allows(&villain, 256));
        budget.spend(villain, Duration::from_millis(2));
        assert!(!budget.allows(&villain, 256) && budget.allows(&honest, 256));
    }
}
