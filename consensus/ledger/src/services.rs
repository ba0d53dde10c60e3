//! Services as Orders.sol registers them (R14). What does not fit changes nothing: whoever pays for a transaction can say anything there.

use crate::changes::Draft;
use crate::state::State;
use palisade_types::observation::{ServiceDeclared, ServiceSetSeen};
use palisade_types::service::{Registration, RegistrationId, Service, ServiceRules};
use palisade_types::{List, Row, RowKey, ServiceId, Wad};

/// Takes an operator set in. What stands there stands for ever, as in the contract; a set beyond the bound takes part in no rules.
pub(crate) fn set(draft: &mut Draft<'_>, seen: &ServiceSetSeen) {
    let is_part = (1..=Wad::ONE.get()).contains(&seen.set.maximum.get());
    if seen.service == ServiceId::ZERO || !is_part {
        return; // the network's own
    }
    let known = draft.state().service(&seen.service).cloned();
    let mut service = known.unwrap_or_else(|| Service { id: seen.service, sets: List::new() });
    if service.maximum(&seen.set.adapter).is_none() && service.sets.push(seen.set).is_ok() {
        draft.put(RowKey::Service(service.id), Row::Service(service));
    }
}

/// Takes a registration in, when its rules can be read and take only from sets that the service has.
pub(crate) fn declare(draft: &mut Draft<'_>, declared: &ServiceDeclared) {
    let state = draft.state();
    let Some(service) = state.service(&declared.id.service) else { return };
    let Ok(rules) = ServiceRules::read_declared(&declared.rules) else { return };
    let own_sets = rules.sets.iter().all(|adapter| service.maximum(adapter).is_some());
    if own_sets && declared.id.number > 0 && state.registration(&declared.id).is_none() {
        let registration = Registration { id: declared.id, rules, since: draft.height };
        draft.put(RowKey::Registration(declared.id), Row::Registration(Box::new(registration)));
    }
}

impl<'a> State<'a> {
    pub(crate) fn service(self, id: &ServiceId) -> Option<&'a Service> {
        match self.row(&RowKey::Service(*id)) {
            Some(Row::Service(service)) => Some(service),
            _ => None,
        }
    }

    pub(crate) fn services(self) -> impl Iterator<Item = &'a Service> {
        self.rows_from(RowKey::Service(ServiceId::ZERO)).map_while(|(_, row)| match row {
            Row::Service(service) => Some(service),
            _ => None,
        })
    }

    pub(crate) fn registration(self, id: &RegistrationId) -> Option<&'a Registration> {
        match self.row(&RowKey::Registration(*id)) {
            Some(Row::Registration(registration)) => Some(registration),
            _ => None,
        }
    }

    pub(crate) fn registrations(self) -> impl Iterator<Item = &'a Registration> {
        let first = RegistrationId { service: ServiceId::ZERO, number: 0 };
        self.rows_from(RowKey::Registration(first)).map_while(|(_, row)| match row {
            Row::Registration(registration) => Some(&**registration),
            _ => None,
        })
    }
}
