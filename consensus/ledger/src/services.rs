//! Services as Orders.sol registers them (R14). What does not fit changes nothing: whoever pays for a transaction can say anything there.

use crate::changes::Draft;
use crate::state::State;
use palisade_types::observation::{ServiceDeclared, ServiceSetSeen, ServiceStakeSeen, SetProtocolSeen};
use palisade_types::position::Magnitudes;
use palisade_types::service::{
    MAX_FOLLOWED, MAX_SET_ASSETS, Registration, RegistrationId, Service, ServiceRules, ServiceStakeId, SetProtocol,
};
use palisade_types::{Address, List, OperatorId, Row, RowKey, ServiceId, Wad};

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

/// Takes in whose protocol a set is, once: code does not change, and of what is EigenLayer's only so many sets are followed.
pub(crate) fn protocol(draft: &mut Draft<'_>, seen: &SetProtocolSeen) {
    let state = draft.state();
    let is_set = state.services().any(|service| service.maximum(&seen.adapter).is_some());
    if !is_set || state.set_protocol(&seen.adapter).is_some() {
        return;
    }
    let followed = state.set_protocols().filter(|(_, protocol)| *protocol == SetProtocol::EigenLayer).count();
    let protocol = match seen.protocol {
        SetProtocol::EigenLayer if followed >= MAX_FOLLOWED => SetProtocol::Beyond,
        protocol => protocol,
    };
    draft.put(RowKey::SetProtocol(seen.adapter), Row::SetProtocol(protocol));
}

/// Takes in what an operator has in a service's set. It weighs nothing anywhere: what a verdict takes there is told by the set itself.
pub(crate) fn stake(draft: &mut Draft<'_>, seen: &ServiceStakeSeen) {
    let (id, state) = (seen.id, draft.state());
    let is_followed = state.set_protocol(&id.adapter) == Some(SetProtocol::EigenLayer);
    if !is_followed || state.operator(&id.operator).is_none() {
        return;
    }
    let key = RowKey::ServiceStake(id);
    let is_known = state.row(&key).is_some();
    if seen.stake.magnitude == 0 && seen.stake.pending == 0 {
        if is_known {
            draft.take_away(key);
        }
        return;
    }
    let same = |other: &&ServiceStakeId| (other.adapter, other.operator) == (id.adapter, id.operator);
    let has = state.service_stakes().filter(|(other, _)| same(other)).count();
    if is_known || has < MAX_SET_ASSETS {
        draft.put(key, Row::ServiceStake(seen.stake));
    }
}

impl<'a> State<'a> {
    pub(crate) fn set_protocol(self, adapter: &Address) -> Option<SetProtocol> {
        match self.row(&RowKey::SetProtocol(*adapter)) {
            Some(Row::SetProtocol(protocol)) => Some(*protocol),
            _ => None,
        }
    }

    pub(crate) fn set_protocols(self) -> impl Iterator<Item = (&'a Address, SetProtocol)> {
        self.rows_from(RowKey::SetProtocol(Address::ZERO)).map_while(|(key, row)| match (key, row) {
            (RowKey::SetProtocol(adapter), Row::SetProtocol(protocol)) => Some((adapter, *protocol)),
            _ => None,
        })
    }

    pub(crate) fn service_stakes(self) -> impl Iterator<Item = (&'a ServiceStakeId, &'a Magnitudes)> {
        let first = ServiceStakeId { adapter: Address::ZERO, operator: OperatorId::ZERO, asset: Address::ZERO };
        self.rows_from(RowKey::ServiceStake(first)).map_while(|(key, row)| match (key, row) {
            (RowKey::ServiceStake(id), Row::ServiceStake(stake)) => Some((id, stake)),
            _ => None,
        })
    }

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
