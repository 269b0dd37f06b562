//! Which models there are, and whether each can serve.

mod names;
mod shared;
mod snapshot;

pub(super) use self::shared::Shared;
pub use self::snapshot::{Breakdown, Snapshot};

use super::{InFlight, NotReady, ReadinessProbe, Reporter, State, Unit, Verdict, Wake};
use crate::head::RequestHead;
use std::{sync::Arc, time::Duration};

/// Readiness per model, and of the process as a whole: cheap to clone, all clones share one state.
///
/// The gate and the health endpoints read the same registry, so they cannot disagree. The gate takes
/// no lock and allocates nothing; a change is visible to the next request. Only the owner adds
/// models: a name that a client invents is looked up, never kept. A name says where a request goes,
/// not whether its sender may go there.
///
/// A registry without models is [`Ready`](State::Ready) as a process and lets every request pass,
/// unless it was made by [`discovering`](Self::discovering).
///
/// # What a model's state is
///
/// | [reported](Self::set) | its [units](Self::set_unit) | it is |
/// |---|---|---|
/// | not ready | whatever | as reported |
/// | ready, or nothing | there never were any | [`Ready`](State::Ready) |
/// | ready, or nothing | complete in a namespace | [`Ready`](State::Ready) |
/// | ready, or nothing | incomplete in all of them, or all removed | [`Incomplete`](State::Incomplete) |
///
/// When units are complete is told at [`Diagnosis`](super::Diagnosis).
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
///
/// # Example: a model in two parts
///
/// ```
/// use tower_inference::{ModelRegistry, readiness::{State, Unit}};
///
/// let models = ModelRegistry::new();
/// models.set_unit("llama-3", "default", Unit::new("d").with_role("decode").with_need(["prefill"]));
/// assert_eq!(models.state("llama-3"), Some(State::Incomplete));
/// models.set_unit("llama-3", "default", Unit::new("p").with_role("prefill").with_live(2));
/// assert_eq!(models.state("llama-3"), Some(State::Ready));
/// ```
#[derive(Clone, Debug)]
pub struct ModelRegistry {
    pub(super) shared: Arc<Shared>,
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

impl ModelRegistry {
    /// A registry with no models, whose process is ready and whose unknown models pass.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new(false)), unknown: UnknownModel::default() }
    }

    /// A registry that waits to be told which models there are: the process is
    /// [`Starting`](State::Starting) until the first [`Update::Synced`](super::Update::Synced) or
    /// [`set_process(Ready)`](Self::set_process), and after that the health endpoints say 503 as long
    /// as there is no model.
    ///
    /// ```
    /// use tower_inference::{ModelRegistry, readiness::{State, Update}};
    ///
    /// let models = ModelRegistry::discovering();
    /// models.set("llama-3", State::Ready);
    /// assert_eq!(models.snapshot().not_ready(), Some(State::starting()));
    /// models.apply(Update::Synced);
    /// assert_eq!(models.snapshot().not_ready(), None);
    /// ```
    #[must_use]
    pub fn discovering() -> Self {
        Self { shared: Arc::new(Shared::new(true)), unknown: UnknownModel::default() }
    }

    /// Sets what happens to requests for other models, for this handle and its clones. Default:
    /// [`UnknownModel::Pass`].
    #[must_use]
    pub fn unknown_model(self, unknown: UnknownModel) -> Self {
        Self { unknown, ..self }
    }

    /// Reports the state of a model, which is added if it is new. While its units are incomplete, a
    /// model that is reported ready is [`Incomplete`](State::Incomplete).
    pub fn set(&self, model: &str, state: State) {
        self.shared.report(model, state);
    }

    /// Adds a unit of a model, or replaces the one of the same id. The model is added if it is new.
    pub fn set_unit(&self, model: &str, namespace: &str, unit: Unit) {
        self.shared.set_unit(model, namespace, unit);
    }

    /// Removes a unit; returns whether it was there. A model whose last unit is removed stays, and is
    /// [`Incomplete`](State::Incomplete).
    pub fn remove_unit(&self, model: &str, namespace: &str, id: &str) -> bool {
        self.shared.remove_unit(model, namespace, id)
    }

    /// Lets clients ask for `model` by another name, before or after it is added. The model's state is
    /// the alias's; it is not listed. A model of that very name comes first, and an alias of an alias
    /// leads nowhere.
    ///
    /// ```
    /// use tower_inference::{ModelRegistry, readiness::State};
    ///
    /// let models = ModelRegistry::new();
    /// models.alias("gpt", "llama-3");
    /// assert_eq!(models.state("gpt"), None);
    /// models.set("llama-3", State::starting());
    /// assert_eq!(models.state("gpt"), Some(State::starting()));
    /// assert!(models.snapshot().models().eq([("llama-3", State::starting())]));
    /// ```
    pub fn alias(&self, alias: &str, model: &str) {
        self.shared.set_alias(alias, model);
    }

    /// Removes an alias; returns whether it was there.
    pub fn remove_alias(&self, alias: &str) -> bool {
        self.shared.remove_alias(alias)
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

    /// Removes a model and its units; returns whether it was there. Its aliases stay, and lead nowhere
    /// until it is added again.
    pub fn remove(&self, model: &str) -> bool {
        self.shared.remove(model)
    }

    /// Sets the state of the process as a whole. [`Ready`](State::Ready) also ends the wait of
    /// [`discovering`](Self::discovering).
    pub fn set_process(&self, state: State) {
        self.shared.set_process(state);
    }

    /// Refuses new requests from now on, with 503; those under way are not touched.
    pub fn begin_drain(&self) {
        self.set_process(State::Draining);
    }

    /// Waits until no request that passed a gate of this registry is [under way](InFlight), at most
    /// `deadline`; says whether that was reached. [Begin to drain](Self::begin_drain) first.
    pub async fn drained(&self, deadline: Duration) -> bool {
        self.shared.in_flight().drained(deadline).await
    }

    /// The state of a model, by its name or an alias; `None` if it is not registered.
    #[must_use]
    pub fn state(&self, model: &str) -> Option<State> {
        self.shared.state(model)
    }

    /// All states at one moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Why a model, by its name or an alias, can or cannot serve; `None` if it is not registered. For
    /// operators: it names what clients are not told.
    #[must_use]
    pub fn breakdown(&self, model: &str) -> Option<Breakdown> {
        self.shared.breakdown(model)
    }
}

impl Default for ModelRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadinessProbe for ModelRegistry {
    fn closed(&self) -> Option<NotReady> {
        self.shared.closed()
    }

    fn check(&self, head: RequestHead<'_>) -> Verdict {
        if let Some(closed) = self.closed() {
            return Verdict::NotReady(closed);
        }
        let Some(model) = head.model() else { return Verdict::Ready };
        self.shared.check(model).unwrap_or(match self.unknown {
            UnknownModel::Pass => Verdict::Ready,
            UnknownModel::NotFound => Verdict::UnknownModel,
        })
    }

    fn watch(&self) -> Option<Wake> {
        Some(self.shared.wake())
    }

    fn in_flight(&self) -> Option<InFlight> {
        Some(self.shared.in_flight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::RequestedModel;
    use http::Request;
    use std::time::Duration;

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

    fn decode() -> Unit {
        Unit::new("d").with_role("decode").with_need(["prefill"])
    }

    fn prefill(live: usize) -> Unit {
        Unit::new("p").with_role("prefill").with_live(live)
    }

    #[test]
    fn a_model_is_as_ready_as_its_report_and_its_units_allow() {
        let units = [
            (vec![], State::Ready),
            (vec![decode()], State::Incomplete),
            (vec![decode(), prefill(1)], State::Ready),
            (vec![decode(), prefill(0)], State::Incomplete),
        ];
        for (units, complete) in units {
            for state in
                [State::Ready, State::starting(), State::Incomplete, State::Draining, State::Failed]
            {
                let expected = if state == State::Ready { complete } else { state };
                let (before, after) = (ModelRegistry::new(), ModelRegistry::new());
                before.set("m", state);
                for unit in &units {
                    before.set_unit("m", "n", unit.clone());
                    after.set_unit("m", "n", unit.clone());
                }
                after.set("m", state);
                assert_eq!(before.state("m"), Some(expected), "{units:?}");
                assert_eq!(after.state("m"), Some(expected), "{units:?}");
                assert_eq!(after.breakdown("m").unwrap().reported(), state);
            }
        }
    }

    #[test]
    fn a_model_known_only_by_its_units_needs_no_report() {
        let models = ModelRegistry::new();
        models.set_unit("m", "n", decode());
        assert_eq!(models.state("m"), Some(State::Incomplete));
        models.set_unit("m", "n", prefill(1));
        assert_eq!(models.state("m"), Some(State::Ready));
        assert_eq!(models.breakdown("m").unwrap().reported(), State::Ready);
    }

    #[test]
    fn a_model_that_lost_all_its_units_is_incomplete_until_it_is_added_anew() {
        let models = ModelRegistry::new();
        models.set_unit("m", "n", Unit::new("u"));
        assert!(models.remove_unit("m", "n", "u"));
        assert!(!models.remove_unit("m", "n", "u"));
        assert!(!models.remove_unit("x", "n", "u"));
        models.set("m", State::Ready);
        assert_eq!((models.state("m"), models.state("x")), (Some(State::Incomplete), None));
        assert!(models.remove("m"));
        assert!(models.breakdown("m").is_none());
        models.set("m", State::Ready);
        assert_eq!(models.state("m"), Some(State::Ready));
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_nobody_confirms_runs_out_with_units_too() {
        let models = ModelRegistry::new();
        let report = || models.reporter("m").report(State::Ready, Some(Duration::from_secs(3)));
        models.set_unit("m", "n", decode());
        assert!(report());
        models.set_unit("m", "n", prefill(1));
        assert_eq!((models.state("m"), check(&models, "m")), (Some(State::Ready), Verdict::Ready));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(models.state("m"), Some(State::Failed));
        assert_ne!(check(&models, "m"), Verdict::Ready);
        models.set_unit("m", "n", prefill(2));
        assert_eq!(models.state("m"), Some(State::Failed));
        assert!(report());
        assert_eq!(models.state("m"), Some(State::Ready));
    }

    #[test]
    fn an_alias_is_its_model_at_the_gate() {
        let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
        models.alias("gpt", "llama-3");
        assert_eq!(check(&models, "gpt"), Verdict::UnknownModel);
        models.set("llama-3", State::Ready);
        assert_eq!(check(&models, "gpt"), Verdict::Ready);
        models.set("llama-3", State::Failed);
        let failed = NotReady::new(State::Failed).for_model("gpt");
        assert_eq!(check(&models, "gpt"), Verdict::NotReady(failed));
        assert_eq!(models.breakdown("gpt").unwrap().model(), "llama-3");
        assert!(models.remove_alias("gpt"));
        assert!(!models.remove_alias("gpt"));
        assert_eq!(check(&models, "gpt"), Verdict::UnknownModel);
    }

    #[test]
    fn discovery_closes_the_process_gate_until_it_has_ended() {
        let models = ModelRegistry::discovering();
        models.set("a", State::Ready);
        assert!(models.process_reporter().report(State::Ready, None));
        assert_eq!(models.closed(), Some(NotReady::new(State::starting())));
        models.set_process(State::Ready);
        assert_eq!((models.closed(), models.snapshot().not_ready()), (None, None));
        models.remove("a");
        assert_eq!(models.snapshot().not_ready(), Some(State::Incomplete));
    }

    #[test]
    fn a_snapshot_never_mixes_two_moments() {
        let models = ModelRegistry::new();
        let ready = |name: &str, other: &str| {
            models.set(name, State::Ready);
            models.set(other, State::Draining);
        };
        ready("a", "z");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..20_000 {
                    ready("z", "a");
                    ready("a", "z");
                }
            });
            while !writer.is_finished() {
                assert_eq!(models.snapshot().not_ready(), None, "one is always ready");
            }
        });
    }
}
