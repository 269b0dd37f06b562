//! What there is to see of a registry at one moment.

use crate::readiness::{State, Unit, topology::Topology};
use std::sync::Arc;

/// All states of a [`ModelRegistry`](crate::ModelRegistry) at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    process: State,
    models: Vec<(Arc<str>, State)>,
    needs_a_model: bool,
}

impl Snapshot {
    pub(super) fn new(
        process: State,
        mut models: Vec<(Arc<str>, State)>,
        needs_a_model: bool,
    ) -> Self {
        models.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self { process, models, needs_a_model }
    }

    /// The state of the process as a whole.
    #[must_use]
    pub fn process(&self) -> State {
        self.process
    }

    /// The models and their states, by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, State)> {
        self.models.iter().map(|(name, state)| (&**name, *state))
    }

    /// Why the service as a whole is not ready: the process is not, or there are models and none of
    /// them is, or there should be models and are none. `None` if it is ready.
    #[must_use]
    pub fn not_ready(&self) -> Option<State> {
        if !self.process.is_ready() {
            return Some(self.process);
        }
        match self.models.first() {
            None => self.needs_a_model.then_some(State::Incomplete),
            Some((_, first)) => {
                let any_ready = self.models.iter().any(|(_, state)| state.is_ready());
                (!any_ready).then_some(*first)
            }
        }
    }
}

/// Why one model of a [`ModelRegistry`](crate::ModelRegistry) can or cannot serve, at one moment.
///
/// ```
/// use tower_inference::{ModelRegistry, readiness::{Diagnosis, State, Unit}};
///
/// let models = ModelRegistry::new();
/// models.set_unit("llama-3", "blue", Unit::new("d").with_role("decode").with_need(["prefill"]));
/// let breakdown = models.breakdown("llama-3").expect("it is registered");
/// assert_eq!(breakdown.state(), State::Incomplete);
/// for (namespace, units) in breakdown.namespaces() {
///     assert_eq!(namespace, "blue");
///     assert!(Diagnosis::of(units).missing().eq(["prefill"]));
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Breakdown {
    pub(super) model: Arc<str>,
    pub(super) process: State,
    pub(super) state: State,
    pub(super) reported: State,
    pub(super) topology: Topology,
}

impl Breakdown {
    /// The model's own name, if it was asked for by an alias.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The state of the process, which the gate asks first.
    #[must_use]
    pub fn process(&self) -> State {
        self.process
    }

    /// The state of the model that the gate goes by.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The state that was reported; [`Ready`](State::Ready) if none was.
    #[must_use]
    pub fn reported(&self) -> State {
        self.reported
    }

    /// The namespaces and their units, by name; none if the model has no units.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &[Unit])> {
        self.topology.namespaces()
    }
}
