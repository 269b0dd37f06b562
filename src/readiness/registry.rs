//! Which models there are, and whether each can serve.

use super::{InFlight, NotReady, ReadinessProbe, Reporter, State, Verdict, Wake, state::StateCell};
use crate::head::RequestHead;
use arc_swap::ArcSwap;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Readiness per model, and of the process as a whole: cheap to clone, all clones share one state.
///
/// The gate and the health endpoints read the same registry, so they cannot disagree. Reading takes
/// no lock and allocates nothing; a change is visible to the next request. Only the owner adds
/// models: a name that a client invents is looked up, never kept.
///
/// A registry without models is [`Ready`](State::Ready) as a process and lets every request pass.
///
/// # Example: two models, one of them loading
///
/// ```
/// use http::Request;
/// use tower_inference::{
///     ModelRegistry, ReadinessProbe, RequestHead, RequestedModel,
///     readiness::{State, UnknownModel, Verdict},
/// };
///
/// let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
/// models.set("llama-3", State::Ready);
/// models.set("qwen-3", State::starting());
///
/// let check = |name: &str| {
///     let request = Request::builder().extension(RequestedModel::new(name)).body(()).expect("valid");
///     models.check(RequestHead::of(&request))
/// };
/// assert_eq!(check("llama-3"), Verdict::Ready);
/// assert!(matches!(check("qwen-3"), Verdict::NotReady(_)));
/// assert_eq!(check("gpt-9"), Verdict::UnknownModel);
/// ```
#[derive(Clone, Debug)]
pub struct ModelRegistry {
    shared: Arc<Shared>,
    unknown: UnknownModel,
}

/// What happens to a request for a model that the registry does not know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum UnknownModel {
    /// It passes: the inner service knows best.
    #[default]
    Pass,
    /// It is answered 404, in the client's dialect.
    NotFound,
}

#[derive(Debug)]
pub(super) struct Shared {
    origin: Instant,
    process: StateCell,
    wake: Wake,
    in_flight: InFlight,
    /// Swapped when a model is added or removed; a change of state is one store into a cell.
    models: ArcSwap<Models>,
}

type Models = BTreeMap<Arc<str>, Arc<StateCell>>;

impl ModelRegistry {
    /// A registry with no models, whose process is ready and whose unknown models pass.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                origin: Instant::now(),
                process: StateCell::new(State::Ready, Duration::ZERO),
                wake: Wake::new(),
                in_flight: InFlight::new(),
                models: ArcSwap::default(),
            }),
            unknown: UnknownModel::default(),
        }
    }

    /// Sets what happens to requests for other models, for this handle and its clones. Default:
    /// [`UnknownModel::Pass`].
    #[must_use]
    pub fn unknown_model(self, unknown: UnknownModel) -> Self {
        Self { unknown, ..self }
    }

    /// Sets the state of a model, which is added if it is new.
    pub fn set(&self, model: &str, state: State) {
        self.shared.report(Some(model), state, None);
    }

    /// Where a driver reports what it finds out about a model.
    #[must_use]
    pub fn reporter(&self, model: &str) -> Reporter {
        Reporter::model(&self.shared, model)
    }

    /// Where a driver reports what it finds out about the process as a whole.
    #[must_use]
    pub fn process_reporter(&self) -> Reporter {
        Reporter::process(&self.shared)
    }

    /// Removes a model; returns whether it was there.
    pub fn remove(&self, model: &str) -> bool {
        let before = self.shared.models.rcu(|models| {
            let mut models = Models::clone(models);
            models.remove(model);
            models
        });
        before.contains_key(model)
    }

    /// Sets the state of the process as a whole.
    pub fn set_process(&self, state: State) {
        self.shared.report(None, state, None);
    }

    /// Refuses new requests from now on, with 503; those under way are not touched.
    pub fn begin_drain(&self) {
        self.set_process(State::Draining);
    }

    /// The state of a model; `None` if it is not registered.
    #[must_use]
    pub fn state(&self, model: &str) -> Option<State> {
        let now = self.shared.origin.elapsed();
        self.shared.models.load().get(model).map(|cell| cell.load(now))
    }

    /// All states at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.origin.elapsed();
        let models = self.shared.models.load();
        Snapshot {
            process: self.shared.process.load(now),
            models: models.iter().map(|(name, cell)| (Arc::clone(name), cell.load(now))).collect(),
        }
    }
}

impl Shared {
    /// Sets the state of a model, or of the process.
    pub(super) fn report(&self, model: Option<&str>, state: State, valid_for: Option<Duration>) {
        let now = self.origin.elapsed();
        match model {
            Some(model) => self.cell(model).report(state, valid_for, now),
            None => self.process.report(state, valid_for, now),
        }
        self.wake.wake();
    }

    /// The cell of a model, which is added if it is new.
    fn cell(&self, model: &str) -> Arc<StateCell> {
        if let Some(cell) = self.models.load().get(model) {
            return Arc::clone(cell);
        }
        let name = Arc::<str>::from(model);
        let mut cell = Arc::new(StateCell::new(State::starting(), Duration::ZERO));
        self.models.rcu(|models| {
            let mut models = Models::clone(models);
            // Somebody may have been faster: then theirs is the cell that others hold.
            cell = Arc::clone(models.entry(Arc::clone(&name)).or_insert_with(|| Arc::clone(&cell)));
            models
        });
        cell
    }
}

impl Default for ModelRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadinessProbe for ModelRegistry {
    fn closed(&self) -> Option<NotReady> {
        let now = || self.shared.origin.elapsed();
        let process = &self.shared.process;
        if process.is_ready(now) {
            return None;
        }
        Some(process.load(now())).filter(|state| !state.is_ready()).map(NotReady::new)
    }

    fn check(&self, head: RequestHead<'_>) -> Verdict {
        if let Some(closed) = self.closed() {
            return Verdict::NotReady(closed);
        }
        let Some(model) = head.model() else { return Verdict::Ready };
        let models = self.shared.models.load();
        match (models.get(model), self.unknown) {
            (Some(cell), _) if cell.is_ready(|| self.shared.origin.elapsed()) => Verdict::Ready,
            (Some(cell), _) => match cell.load(self.shared.origin.elapsed()) {
                State::Ready => Verdict::Ready,
                state => Verdict::NotReady(NotReady::new(state).for_model(model)),
            },
            (None, UnknownModel::Pass) => Verdict::Ready,
            (None, UnknownModel::NotFound) => Verdict::UnknownModel,
        }
    }

    fn watch(&self) -> Option<Wake> {
        Some(self.shared.wake.clone())
    }

    fn in_flight(&self) -> Option<InFlight> {
        Some(self.shared.in_flight.clone())
    }
}

/// All states of a [`ModelRegistry`] at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    process: State,
    models: Vec<(Arc<str>, State)>,
}

impl Snapshot {
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
    /// them is. `None` if it is ready.
    #[must_use]
    pub fn not_ready(&self) -> Option<State> {
        if !self.process.is_ready() {
            return Some(self.process);
        }
        let any_ready = self.models.iter().any(|(_, state)| state.is_ready());
        self.models.first().map(|(_, state)| *state).filter(|_| !any_ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::RequestedModel;
    use http::Request;

    fn check(models: &ModelRegistry, name: &str) -> Verdict {
        let request = Request::builder().extension(RequestedModel::new(name)).body(()).unwrap();
        models.check(RequestHead::of(&request))
    }

    #[test]
    fn the_process_gate_comes_before_the_models() {
        let models = ModelRegistry::new();
        models.set("a", State::Ready);
        models.begin_drain();
        assert_eq!(check(&models, "a"), Verdict::NotReady(NotReady::new(State::Draining)));
        models.set_process(State::Ready);
        assert_eq!(check(&models, "a"), Verdict::Ready);
    }

    #[test]
    fn unknown_models_pass_unless_told_otherwise() {
        let models = ModelRegistry::new();
        assert_eq!(check(&models, "x"), Verdict::Ready);
        let strict = models.clone().unknown_model(UnknownModel::NotFound);
        assert_eq!(check(&strict, "x"), Verdict::UnknownModel);
        models.set("x", State::Failed);
        let failed = NotReady::new(State::Failed).for_model("x");
        assert_eq!(check(&strict, "x"), Verdict::NotReady(failed));
        assert!(models.remove("x"));
        assert_eq!(check(&strict, "x"), Verdict::UnknownModel);
        assert!(!models.remove("x"));
    }

    #[test]
    fn a_request_without_a_model_asks_the_process_only() {
        let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
        models.set("a", State::starting());
        assert_eq!(models.check(RequestHead::of(&Request::new(()))), Verdict::Ready);
    }

    #[test]
    fn the_service_is_ready_with_its_first_ready_model() {
        let models = ModelRegistry::new();
        assert_eq!(models.snapshot().not_ready(), None);
        models.set("a", State::Failed);
        models.set("b", State::starting());
        assert_eq!(models.snapshot().not_ready(), Some(State::Failed));
        models.set("b", State::Ready);
        assert_eq!(models.snapshot().not_ready(), None);
        models.set_process(State::Draining);
        assert_eq!(models.snapshot().not_ready(), Some(State::Draining));
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let models = ModelRegistry::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let models = &models;
                scope.spawn(move || {
                    for n in 0..50 {
                        models.set(&n.to_string(), State::Ready);
                        models.set(&format!("{thread}-{n}"), State::Ready);
                    }
                });
            }
        });
        assert_eq!(models.snapshot().models().count(), 250);
        assert!(models.snapshot().models().all(|(_, state)| state.is_ready()));
    }
}
