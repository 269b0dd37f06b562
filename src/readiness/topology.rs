//! Whether the parts of a model, taken together, can serve it.
//!
//! A model is often served by parts with different roles: one reads the prompt, one writes the
//! answer. Each registers by itself, and the model cannot serve before all that need each other are
//! there. A [`Unit`] says what it is and needs, a [`Diagnosis`] judges the units of one namespace, and
//! a model is ready if one of its namespaces is: an incomplete sibling closes nothing. The rules and
//! their truth table stand at [`Diagnosis`].

use std::collections::BTreeSet;

/// The role of a unit that needs no other: any number of them is normal.
const AGGREGATED: &str = "aggregated";

/// A group of identical replicas that serve a model, or a part of it: its role, how many of them live,
/// and what it needs of others. What follows from that is told at [`Diagnosis`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unit {
    id: Box<str>,
    role: Option<Box<str>>,
    live: usize,
    needs: Vec<Box<[Box<str>]>>,
}

impl Unit {
    /// One live replica, without a role and without needs. The id is unique within a namespace of a
    /// model.
    #[must_use]
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self { id: id.into(), role: None, live: 1, needs: Vec::new() }
    }

    /// Sets what it does: `decode`, `prefill`, `encode`, `aggregated`… Any word will do. Default: none.
    #[must_use]
    pub fn with_role(self, role: impl Into<Box<str>>) -> Self {
        Self { role: Some(role.into()), ..self }
    }

    /// Sets how many replicas can serve now. Default: 1.
    #[must_use]
    pub fn with_live(self, live: usize) -> Self {
        Self { live, ..self }
    }

    /// Adds an alternative: roles that must all be live. Once there are several, one of them is
    /// enough. Default: none, it needs nobody.
    #[must_use]
    pub fn with_need<R: Into<Box<str>>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        let last = self.needs.len();
        insert(&mut self.needs, last, roles.into_iter().map(Into::into).collect());
        self
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it does, if it says so.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// How many replicas can serve now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// The alternatives: of at least one of them, if there are any, all roles must be live.
    pub fn needs(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        self.needs.iter().map(|roles| roles.iter().map(|role| &**role))
    }

    fn is_live(&self) -> bool {
        self.live > 0
    }

    fn is_satisfied(&self, present: &BTreeSet<&str>) -> bool {
        let complete = |roles: &[Box<str>]| roles.iter().all(|role| present.contains(&**role));
        self.needs.is_empty() || self.needs.iter().any(|roles| complete(roles))
    }
}

/// What there is to say of the units of one namespace. The rules are those of NVIDIA Dynamo's frontend:
///
/// 1. No units: not ready.
/// 2. A unit without a role says nothing of how it works with others. If there is one, the namespace
///    is ready as soon as any unit lives.
/// 3. Else it is ready if at least one unit lives, every *live* unit finds one of its alternatives
///    complete, and every registered role has a live unit. A unit without alternatives needs nobody.
/// 4. What a dead unit needs does not count; its role is missing.
/// 5. Two live units of one role are ambiguous, unless it is `aggregated`, the role of one that needs
///    nobody. That is shown to operators, and keeps nothing from being ready: a rolling update looks
///    like that.
///
/// # Truth table
///
/// `decode+prefill` is a live unit of the role `decode` that needs `prefill`, `+a,b|c` one that needs
/// `a` and `b`, or `c`; `(decode)` is registered without a live replica, `?` has no role.
///
/// | units | ready | missing | ambiguous |
/// |---|---|---|---|
/// | | no | | |
/// | `aggregated` | yes | | |
/// | `aggregated` `aggregated` | yes | | |
/// | `decode+prefill` `prefill+decode` | yes | | |
/// | `decode+prefill` | no | prefill | |
/// | `decode+prefill` `(prefill)` | no | prefill | |
/// | `(decode+prefill)` `prefill` | no | decode | |
/// | `(decode)` `(prefill)` | no | decode, prefill | |
/// | `decode+prefill` `decode+prefill` `prefill` | yes | | decode |
/// | `decode` `(decode)` | yes | | |
/// | `encode+prefill,decode\|aggregated` `prefill` `decode` | yes | | |
/// | `encode+prefill,decode\|aggregated` `aggregated` | yes | | |
/// | `encode+prefill,decode\|aggregated` `prefill` | no | aggregated, decode | |
/// | `aggregated` `(encode+prefill)` | no | encode | |
/// | `?` | yes | | |
/// | `(?)` | no | | |
/// | `?` `(decode+prefill)` | yes | | |
/// | `(?)` `decode+prefill` | yes | | |
///
/// # Example: an operator asks what is missing
///
/// ```
/// use tower_inference::readiness::{Diagnosis, Unit};
///
/// let mut units = vec![Unit::new("decode-h100").with_role("decode").with_live(2).with_need(["prefill"])];
/// let diagnosis = Diagnosis::of(&units);
/// assert!(!diagnosis.is_ready());
/// assert!(diagnosis.missing().eq(["prefill"]));
///
/// units.push(Unit::new("prefill-h100").with_role("prefill"));
/// assert!(Diagnosis::of(&units).is_ready());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnosis<'a> {
    ready: bool,
    present: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
    ambiguous: BTreeSet<&'a str>,
}

impl<'a> Diagnosis<'a> {
    /// Judges the units of one namespace, in any order.
    #[must_use]
    pub fn of(units: &'a [Unit]) -> Self {
        let any_live = units.iter().any(Unit::is_live);
        let (mut present, mut ambiguous) = (BTreeSet::new(), BTreeSet::new());
        for role in units.iter().filter(|unit| unit.is_live()).filter_map(Unit::role) {
            if !present.insert(role) && role != AGGREGATED {
                ambiguous.insert(role);
            }
        }
        if units.iter().any(|unit| unit.role.is_none()) {
            let (missing, ambiguous) = (BTreeSet::new(), BTreeSet::new());
            return Self { ready: any_live, present, missing, ambiguous };
        }
        let mut missing: BTreeSet<&str> = units.iter().filter_map(Unit::role).collect();
        for unit in units.iter().filter(|unit| unit.is_live() && !unit.is_satisfied(&present)) {
            missing.extend(unit.needs().flatten());
        }
        missing.retain(|role| !present.contains(role));
        Self { ready: any_live && missing.is_empty(), present, missing, ambiguous }
    }

    /// Whether the units can serve the model.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The roles that have a live unit, sorted.
    pub fn present(&self) -> impl Iterator<Item = &'a str> {
        self.present.iter().copied()
    }

    /// The roles that are needed or registered, and have no live unit, sorted. Empty if a unit has no
    /// role.
    pub fn missing(&self) -> impl Iterator<Item = &'a str> {
        self.missing.iter().copied()
    }

    /// The roles, other than `aggregated`, of more than one live unit, sorted. Empty if a unit has no
    /// role.
    pub fn ambiguous(&self) -> impl Iterator<Item = &'a str> {
        self.ambiguous.iter().copied()
    }
}

/// The units of one model, by namespace; both sorted, since they are few.
#[derive(Clone, Debug, Default)]
pub(super) struct Topology {
    namespaces: Vec<(Box<str>, Vec<Unit>)>,
}

impl Topology {
    /// Whether one namespace is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.namespaces.iter().any(|(_, units)| Diagnosis::of(units).is_ready())
    }

    /// Adds a unit, or replaces the one of the same id.
    pub(super) fn set(&mut self, namespace: &str, unit: Unit) {
        let at = self.find(namespace).unwrap_or_else(|at| {
            insert(&mut self.namespaces, at, (namespace.into(), Vec::new()));
            at
        });
        let units = &mut self.namespaces[at].1;
        match find(units, &unit.id) {
            Ok(at) => units[at] = unit,
            Err(at) => insert(units, at, unit),
        }
    }

    /// Removes a unit, and its namespace with the last one; returns whether it was there.
    pub(super) fn remove(&mut self, namespace: &str, id: &str) -> bool {
        let Ok(at) = self.find(namespace) else { return false };
        let units = &mut self.namespaces[at].1;
        let found = find(units, id).map(|at| units.remove(at)).is_ok();
        if units.is_empty() {
            self.namespaces.remove(at);
        }
        found
    }

    /// The namespaces and their units, by name.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&str, &[Unit])> {
        self.namespaces.iter().map(|(name, units)| (&**name, &**units))
    }

    fn find(&self, namespace: &str) -> Result<usize, usize> {
        self.namespaces.binary_search_by(|(name, _)| (**name).cmp(namespace))
    }
}

fn find(units: &[Unit], id: &str) -> Result<usize, usize> {
    units.binary_search_by(|unit| (*unit.id).cmp(id))
}

/// Most models have one namespace, and most units one alternative: no place for more.
fn insert<T>(list: &mut Vec<T>, at: usize, item: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.insert(at, item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*, sample::select};

    /// Reads the shorthand of the truth table.
    fn unit(text: &str) -> Unit {
        let shown = text.trim_start_matches('(').trim_end_matches(')');
        let (role, needs) = shown.split_once('+').unwrap_or((shown, ""));
        let unit = Unit::new(text).with_live(usize::from(shown == text));
        let unit = if role == "?" { unit } else { unit.with_role(role) };
        let needs = needs.split('|').filter(|it| !it.is_empty());
        needs.fold(unit, |unit, roles| unit.with_need(roles.split(',')))
    }

    #[test]
    fn the_truth_table_of_the_docs_is_true() {
        let mut rows = 0;
        for line in include_str!("topology.rs").lines().filter(|it| it.starts_with("/// | ")) {
            let line = line.replace("\\|", "¦");
            let cells: Vec<_> = line.split('|').skip(1).map(str::trim).collect();
            let [units, ready, missing, ambiguous, ""] = cells[..] else { panic!("{line}") };
            if !matches!(ready, "yes" | "no") {
                continue;
            }
            rows += 1;
            let units: Vec<_> = units
                .split_whitespace()
                .map(|it| unit(&it.trim_matches('`').replace('¦', "|")))
                .collect();
            let diagnosis = Diagnosis::of(&units);
            assert_eq!(diagnosis.is_ready(), ready == "yes", "{line}");
            assert_eq!(diagnosis.missing().collect::<Vec<_>>().join(", "), missing, "{line}");
            assert_eq!(diagnosis.ambiguous().collect::<Vec<_>>().join(", "), ambiguous, "{line}");
        }
        assert_eq!(rows, 18);
    }

    #[test]
    fn one_complete_namespace_is_enough() {
        let mut topology = Topology::default();
        assert!(!topology.is_ready());
        topology.set("old", unit("decode+prefill"));
        assert!(!topology.is_ready());
        topology.set("new", unit("aggregated"));
        assert!(topology.is_ready());
        topology.set("new", unit("aggregated").with_live(0));
        assert!(!topology.is_ready());
        topology.set("old", unit("prefill"));
        assert!(topology.is_ready());
    }

    #[test]
    fn parts_do_not_complete_each_other_across_namespaces() {
        let mut topology = Topology::default();
        topology.set("a", unit("decode+prefill"));
        topology.set("b", unit("prefill+decode"));
        assert!(!topology.is_ready());
    }

    #[test]
    fn a_unit_is_replaced_by_its_id_and_takes_its_namespace_with_it() {
        let mut topology = Topology::default();
        topology.set("b", Unit::new("y"));
        topology.set("b", Unit::new("x"));
        topology.set("a", Unit::new("x"));
        topology.set("b", Unit::new("x").with_live(7));
        let shown: Vec<_> = topology
            .namespaces()
            .map(|(name, units)| (name, units.iter().map(|it| (it.id(), it.live())).collect()))
            .collect();
        assert_eq!(shown, [("a", vec![("x", 1)]), ("b", vec![("x", 7), ("y", 1)])]);
        assert!(!topology.remove("c", "x"));
        assert!(!topology.remove("a", "y"));
        assert!(topology.remove("a", "x"));
        assert!(!topology.remove("a", "x"));
        assert_eq!(topology.namespaces().count(), 1);
    }

    fn role() -> impl Strategy<Value = &'static str> {
        select(&["a", "b", "c", AGGREGATED][..])
    }

    fn units() -> impl Strategy<Value = Vec<Unit>> {
        let needs = vec(vec(role(), 0..3), 0..3);
        let role = option::weighted(0.95, role());
        let unit = (role, 0..3_usize, needs).prop_map(|(role, live, needs)| {
            let unit = Unit::new("x").with_live(live);
            let unit = role.into_iter().fold(unit, Unit::with_role);
            needs.into_iter().fold(unit, Unit::with_need)
        });
        vec(unit, 0..6)
    }

    /// The rules again, each as one sentence over all units.
    fn model(units: &[Unit]) -> bool {
        let live = |role: &str| units.iter().any(|it| it.role() == Some(role) && it.live() > 0);
        let any = units.iter().any(|unit| unit.live() > 0);
        if units.iter().any(|unit| unit.role().is_none()) {
            return any;
        }
        let roles_live = units.iter().all(|unit| live(unit.role().unwrap()));
        let needs_met = units.iter().filter(|unit| unit.live() > 0).all(|unit| {
            unit.needs().next().is_none() || unit.needs().any(|mut roles| roles.all(live))
        });
        any && roles_live && needs_met
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

        #[test]
        fn the_diagnosis_agrees_with_the_rules(units in units()) {
            let diagnosis = Diagnosis::of(&units);
            prop_assert_eq!(diagnosis.is_ready(), model(&units));
            let roles = units.iter().all(|unit| unit.role().is_some());
            let live = units.iter().any(|unit| unit.live() > 0);
            if roles && live {
                prop_assert_eq!(diagnosis.is_ready(), diagnosis.missing().next().is_none());
            }
            prop_assert!(diagnosis.ambiguous().all(|role| diagnosis.present().any(|it| it == role)));
        }

        #[test]
        fn neither_order_nor_duplicates_decide(units in units(), seed in any::<prop::sample::Index>()) {
            let before = Diagnosis::of(&units).is_ready();
            let mut changed = units.clone();
            changed.reverse();
            if !units.is_empty() {
                changed.push(units[seed.index(units.len())].clone());
                let middle = seed.index(changed.len());
                changed.rotate_left(middle);
            }
            prop_assert_eq!(Diagnosis::of(&changed).is_ready(), before);
        }
    }
}
