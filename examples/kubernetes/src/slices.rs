//! From the endpoint slices of services to the units of models.
//!
//! A service has several slices: one for each IP family, port and hundred of endpoints. While the
//! control plane moves endpoints around, one can be in two of them. So pods are counted, not entries,
//! and all slices of a service that name the same model and role are one unit.
//!
//! Nothing here waits or does any I/O: events go in, updates come out.

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::{ResourceExt, runtime::watcher::Event};
use std::collections::{BTreeMap, BTreeSet};
use tower_inference::readiness::{Unit, Update};

/// The label that says to which service a slice belongs.
pub(crate) const SERVICE: &str = "kubernetes.io/service-name";

/// The label or annotation with the name of the model that the pods serve.
const MODEL: &str = "tower-inference/model";

/// The label or annotation with the role of the pods in it.
const ROLE: &str = "tower-inference/role";

/// What is known of the slices, and what has been told about them.
#[derive(Debug)]
pub(crate) struct Slices {
    model: Option<String>,
    roles: Vec<String>,
    slices: BTreeMap<String, Slice>,
    told: BTreeMap<Key, usize>,
}

/// The ready pods of one slice.
#[derive(Debug)]
struct Slice {
    key: Key,
    ready: BTreeSet<String>,
}

/// What makes a unit.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    model: String,
    namespace: String,
    service: String,
    role: Option<String>,
}

impl Slices {
    /// No slices. Those that name no model serve `model`, or else one of the name of their service. A
    /// unit that has a role needs all the other `roles`.
    pub(crate) fn new(model: Option<String>, roles: Vec<String>) -> Self {
        Self { model, roles, slices: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// What an event changes. Nothing, while slices are being listed: what is known stands until the
    /// list is complete, and then replaces it at once.
    pub(crate) fn apply(&mut self, event: Event<EndpointSlice>) -> Vec<Update> {
        match event {
            Event::Init => self.slices.clear(),
            Event::InitApply(slice) => self.insert(&slice),
            Event::InitDone => {
                let mut updates = self.tell();
                updates.push(Update::Synced);
                return updates;
            }
            Event::Apply(slice) => {
                self.insert(&slice);
                return self.tell();
            }
            Event::Delete(slice) => {
                self.slices.remove(&slice.name_any());
                return self.tell();
            }
        }
        Vec::new()
    }

    fn insert(&mut self, slice: &EndpointSlice) {
        let text = |key| slice.labels().get(key).or_else(|| slice.annotations().get(key)).cloned();
        let service = text(SERVICE).unwrap_or_else(|| slice.name_any());
        let model = text(MODEL).or_else(|| self.model.clone()).unwrap_or_else(|| service.clone());
        let namespace = slice.namespace().unwrap_or_default();
        let key = Key { model, namespace, service, role: text(ROLE) };
        let ready = slice.endpoints.iter().filter(|endpoint| is_ready(endpoint)).map(pod).collect();
        self.slices.insert(slice.name_any(), Slice { key, ready });
    }

    /// The units that differ from what has been told; first those to set, then those to remove, so that
    /// a model whose pods move to another unit stays ready.
    fn tell(&mut self) -> Vec<Update> {
        let mut pods = BTreeMap::<&Key, BTreeSet<&str>>::new();
        for slice in self.slices.values() {
            pods.entry(&slice.key).or_default().extend(slice.ready.iter().map(String::as_str));
        }
        let units: BTreeMap<Key, usize> =
            pods.into_iter().map(|(key, pods)| (key.clone(), pods.len())).collect();
        let changed = units.iter().filter(|&(key, live)| self.told.get(key) != Some(live));
        let gone = self.told.keys().filter(|key| !units.contains_key(key));
        let updates =
            changed.map(|(key, &live)| key.set(live, &self.roles)).chain(gone.map(Key::remove));
        let updates = updates.collect();
        self.told = units;
        updates
    }
}

impl Key {
    fn id(&self) -> String {
        match &self.role {
            Some(role) => format!("{}/{role}", self.service),
            None => self.service.clone(),
        }
    }

    fn set(&self, live: usize, roles: &[String]) -> Update {
        let mut unit = Unit::new(self.id()).with_live(live);
        if let Some(role) = &self.role {
            unit = unit.with_role(role.as_str());
            let mut others = roles.iter().filter(|&other| other != role).peekable();
            if others.peek().is_some() {
                unit = unit.with_need(others.map(String::as_str));
            }
        }
        Update::Unit { model: self.model.clone(), namespace: self.namespace.clone(), unit }
    }

    fn remove(&self) -> Update {
        let Self { model, namespace, .. } = self.clone();
        Update::RemoveUnit { model, namespace, id: self.id() }
    }
}

/// An endpoint that says nothing is ready, as the API has it.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// The pod behind an endpoint; its addresses, where there is none.
fn pod(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
    uid.unwrap_or_else(|| endpoint.addresses.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::api_server;
    use serde_json::{Value, from_value, json};

    fn slice(name: &str, labels: &Value, pods: &[(&str, bool)]) -> EndpointSlice {
        from_value(api_server::slice(name, labels.clone(), pods)).unwrap()
    }

    fn set(model: &str, unit: Unit) -> Update {
        Update::Unit { model: model.into(), namespace: "default".into(), unit }
    }

    fn remove(model: &str, id: &str) -> Update {
        Update::RemoveUnit { model: model.into(), namespace: "default".into(), id: id.into() }
    }

    #[test]
    fn labels_come_before_annotations_and_options_and_those_before_the_service() {
        let service = json!({ "kubernetes.io/service-name": "s" });
        let label = json!({ "kubernetes.io/service-name": "s", "tower-inference/model": "label" });
        let annotation = json!({ "tower-inference/model": "org/annotation" });
        let table = [
            (&service, None, None, "s"),
            (&service, None, Some("option"), "option"),
            (&service, Some(&annotation), Some("option"), "org/annotation"),
            (&label, Some(&annotation), Some("option"), "label"),
        ];
        for (labels, annotations, option, model) in table {
            let mut slice = slice("x", labels, &[("a", true)]);
            slice.metadata.annotations =
                annotations.map(|it| from_value(it.clone()).unwrap()).unwrap_or_default();
            let mut slices = Slices::new(option.map(String::from), Vec::new());
            assert_eq!(slices.apply(Event::Apply(slice)), [set(model, Unit::new("s"))]);
        }
    }

    #[test]
    fn a_pod_in_two_slices_counts_once() {
        let labels = json!({ "kubernetes.io/service-name": "s" });
        let mut slices = Slices::new(None, Vec::new());
        let v4 = slice("v4", &labels, &[("a", true), ("b", false)]);
        assert_eq!(slices.apply(Event::Apply(v4)), [set("s", Unit::new("s"))]);
        let v6 = slice("v6", &labels, &[("a", true), ("b", false)]);
        assert_eq!(slices.apply(Event::Apply(v6.clone())), []);
        let more = slice("v4", &labels, &[("a", true), ("b", true)]);
        assert_eq!(
            slices.apply(Event::Apply(more.clone())),
            [set("s", Unit::new("s").with_live(2))]
        );
        assert_eq!(slices.apply(Event::Delete(v6)), []);
        assert_eq!(slices.apply(Event::Delete(more)), [remove("s", "s")]);
    }

    #[test]
    fn an_endpoint_without_conditions_is_ready_and_one_without_a_pod_is_its_address() {
        let labels = json!({ "kubernetes.io/service-name": "s" });
        let mut slice = slice("x", &labels, &[("a", false), ("b", false), ("c", false)]);
        for endpoint in &mut slice.endpoints[..2] {
            endpoint.conditions = None;
            endpoint.target_ref = None;
        }
        let mut slices = Slices::new(None, Vec::new());
        let two = set("s", Unit::new("s").with_live(2));
        assert_eq!(slices.apply(Event::Apply(slice)), [two]);
    }

    #[test]
    fn a_role_needs_the_others() {
        let labels = json!({ "kubernetes.io/service-name": "s", "tower-inference/role": "decode" });
        let unit = || Unit::new("s/decode").with_role("decode");
        let table = [
            (vec![], unit()),
            (vec!["decode"], unit()),
            (vec!["encode", "decode", "prefill"], unit().with_need(["encode", "prefill"])),
        ];
        for (roles, unit) in table {
            let mut slices = Slices::new(None, roles.into_iter().map(String::from).collect());
            let slice = slice("x", &labels, &[("a", true)]);
            assert_eq!(slices.apply(Event::Apply(slice)), [set("s", unit)]);
        }
    }

    #[test]
    fn a_list_replaces_what_is_known_when_it_is_complete() {
        let labels = |service| json!({ "kubernetes.io/service-name": service });
        let mut slices = Slices::new(Some("m".into()), Vec::new());
        slices.apply(Event::Apply(slice("x", &labels("s"), &[("a", true)])));
        slices.apply(Event::Apply(slice("y", &labels("t"), &[("b", true)])));
        assert_eq!(slices.apply(Event::Init), []);
        assert_eq!(slices.apply(Event::InitApply(slice("z", &labels("u"), &[("b", true)]))), []);
        assert_eq!(slices.apply(Event::InitApply(slice("x", &labels("s"), &[("a", true)]))), []);
        let updates = [set("m", Unit::new("u")), remove("m", "t"), Update::Synced];
        assert_eq!(slices.apply(Event::InitDone), updates);
    }
}
