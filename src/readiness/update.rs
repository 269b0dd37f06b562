//! Changes of a registry as values, so that a stream of them can drive it.

use super::{ModelRegistry, State, Unit, registry::Shared};
use futures::{
    future::{Either, select},
    stream::{Stream, StreamExt},
};
use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Weak},
};
use tokio::task::yield_now;

/// How many updates are applied before other tasks get a turn.
const AT_ONCE: usize = 128;

/// One change of a [`ModelRegistry`].
///
/// # Example: an engine that owns the truth
///
/// ```
/// use futures::stream;
/// use tower_inference::{ModelRegistry, readiness::{State, Unit, Update}};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let models = ModelRegistry::discovering();
/// let updates = stream::iter([
///     Update::Unit {
///         model: "llama-3".into(),
///         namespace: "default".into(),
///         unit: Unit::new("endpoints").with_live(3),
///     },
///     Update::Alias { alias: "gpt".into(), model: "llama-3".into() },
///     Update::Synced,
/// ]);
/// // A real stream does not end. `tokio::spawn` it, or whatever spawns futures in your runtime.
/// models.follow(updates).await;
/// assert_eq!(models.state("gpt"), Some(State::Ready));
/// assert_eq!(models.snapshot().process(), State::Failed);
/// # });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// See [`ModelRegistry::set`].
    State {
        /// The model.
        model: String,
        /// What it is now.
        state: State,
    },
    /// See [`ModelRegistry::set_unit`].
    Unit {
        /// The model.
        model: String,
        /// Where its units must be complete.
        namespace: String,
        /// The unit as it is now.
        unit: Unit,
    },
    /// See [`ModelRegistry::remove_unit`].
    RemoveUnit {
        /// The model.
        model: String,
        /// The namespace of the unit.
        namespace: String,
        /// The id of the unit.
        id: String,
    },
    /// See [`ModelRegistry::remove`].
    RemoveModel {
        /// The model.
        model: String,
    },
    /// See [`ModelRegistry::alias`].
    Alias {
        /// The name that clients use.
        alias: String,
        /// The model they get.
        model: String,
    },
    /// See [`ModelRegistry::remove_alias`].
    RemoveAlias {
        /// The name that clients used.
        alias: String,
    },
    /// What the source of the updates says of the process as a whole, which is ready only if this and
    /// [`ModelRegistry::set_process`] are: an engine cannot reopen a gateway that drains.
    Process(State),
    /// All there is has been told; the same as `Process(Ready)`. Ends the wait of
    /// [`ModelRegistry::discovering`], and opens the gate again that the end of an earlier
    /// [stream](ModelRegistry::follow) closed.
    Synced,
}

impl ModelRegistry {
    /// Makes one change; the next request sees it.
    pub fn apply(&self, update: Update) {
        apply(&self.shared, update);
    }

    /// A future that makes the changes of a stream. Nothing happens until it is polled: spawn it.
    ///
    /// It ends when the stream does, or with the last handle of the registry, which it does not keep
    /// alive. However it ends, be it dropped or by a panic of the stream, nobody tells the registry the
    /// truth any more: the process is [`Failed`](State::Failed) then, until another stream is
    /// [`Synced`](Update::Synced) or [`set_process`](Self::set_process) says that it is ready. One that
    /// drains keeps draining.
    ///
    /// Follow one stream at a time: several are merged first, so that the end of one cannot be undone
    /// by another.
    pub fn follow<S>(&self, updates: S) -> impl Future<Output = ()> + use<S>
    where
        S: Stream<Item = Update>,
    {
        let following = Following(Arc::downgrade(&self.shared));
        let mut handles = self.shared.handles();
        async move {
            let mut updates = pin!(updates);
            let mut lost = pin!(async { while handles.changed().await.is_ok() {} });
            let mut applied = 0_usize;
            while let Either::Right((Some(update), _)) = select(lost.as_mut(), updates.next()).await
            {
                let Some(shared) = following.0.upgrade() else { return };
                apply(&shared, update);
                drop(shared);
                applied += 1;
                if applied % AT_ONCE == 0 {
                    yield_now().await;
                }
            }
        }
    }
}

fn apply(registry: &Shared, update: Update) {
    match update {
        Update::State { model, state } => registry.report(&model, state),
        Update::Unit { model, namespace, unit } => registry.set_unit(&model, &namespace, unit),
        Update::RemoveUnit { model, namespace, id } => {
            registry.remove_unit(&model, &namespace, &id);
        }
        Update::RemoveModel { model } => {
            registry.remove(&model);
        }
        Update::Alias { alias, model } => registry.set_alias(&alias, &model),
        Update::RemoveAlias { alias } => {
            registry.remove_alias(&alias);
        }
        Update::Process(state) => registry.set_discovery(state),
        Update::Synced => registry.set_discovery(State::Ready),
    }
}

/// Closes the process gate when it is dropped.
#[derive(Debug)]
struct Following(Weak<Shared>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.set_discovery(State::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{channel::mpsc, stream};
    use std::time::Duration;
    use tokio::time::timeout;

    fn ready(model: &str) -> Update {
        Update::State { model: model.into(), state: State::Ready }
    }

    fn process(models: &ModelRegistry) -> State {
        models.snapshot().process()
    }

    #[test]
    fn every_update_does_what_its_method_does() {
        let models = ModelRegistry::discovering();
        let unit = Unit::new("u").with_role("decode").with_need(["prefill"]);
        let table = [
            (Update::Synced, None),
            (ready("m"), Some(State::Ready)),
            (
                Update::Unit { model: "m".into(), namespace: "n".into(), unit },
                Some(State::Incomplete),
            ),
            (
                Update::RemoveUnit { model: "m".into(), namespace: "n".into(), id: "u".into() },
                Some(State::Incomplete),
            ),
            (Update::RemoveModel { model: "m".into() }, None),
            (ready("m"), Some(State::Ready)),
        ];
        for (update, state) in table {
            models.apply(update.clone());
            assert_eq!((process(&models), models.state("m")), (State::Ready, state), "{update:?}");
        }
        models.apply(Update::Alias { alias: "a".into(), model: "m".into() });
        assert_eq!(models.state("a"), Some(State::Ready));
        models.apply(Update::RemoveAlias { alias: "a".into() });
        assert_eq!(models.state("a"), None);
        models.apply(Update::Process(State::Incomplete));
        assert_eq!(process(&models), State::Incomplete);
        models.apply(Update::Synced);
        assert_eq!(process(&models), State::Ready);
    }

    #[tokio::test]
    async fn the_gate_closes_with_the_stream_and_opens_with_the_next() {
        let models = ModelRegistry::discovering();
        let (updates, stream) = mpsc::unbounded();
        let task = tokio::spawn(models.follow(stream));
        updates.unbounded_send(ready("m")).unwrap();
        updates.unbounded_send(Update::Synced).unwrap();
        while !process(&models).is_ready() {
            yield_now().await;
        }
        assert_eq!(models.state("m"), Some(State::Ready));
        drop(updates);
        task.await.unwrap();
        assert_eq!(process(&models), State::Failed);

        let next = stream::iter([ready("n")]).chain(stream::pending());
        let task = tokio::spawn(models.follow(next));
        while models.state("n").is_none() {
            yield_now().await;
        }
        assert_eq!(process(&models), State::Failed, "it is not known yet what there is");
        models.apply(Update::Synced);
        assert_eq!(process(&models), State::Ready);
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(process(&models), State::Failed);
    }

    #[tokio::test]
    async fn the_gate_closes_when_the_stream_panics_or_is_never_polled() {
        let models = ModelRegistry::new();
        let panics = stream::poll_fn(|_| panic!("the stream is broken"));
        assert!(tokio::spawn(models.follow(panics)).await.unwrap_err().is_panic());
        assert_eq!(process(&models), State::Failed);

        models.set_process(State::Ready);
        drop(models.follow(stream::pending()));
        assert_eq!(process(&models), State::Failed);
    }

    #[tokio::test]
    async fn a_registry_that_drains_keeps_draining() {
        let models = ModelRegistry::new();
        models.begin_drain();
        for update in [Update::Synced, Update::Process(State::Ready)] {
            models.apply(update.clone());
            assert_eq!(process(&models), State::Draining, "{update:?}");
        }
        models.follow(stream::empty()).await;
        assert_eq!(process(&models), State::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn the_future_ends_with_the_last_handle() {
        let models = ModelRegistry::new();
        let other = models.clone();
        let task = tokio::spawn(models.follow(stream::pending()));
        drop(models);
        yield_now().await;
        assert!(!task.is_finished());
        drop(other);
        timeout(Duration::from_secs(1), task).await.expect("it is woken").unwrap();
    }

    #[tokio::test]
    async fn a_long_backlog_leaves_turns_to_others() {
        let models = ModelRegistry::new();
        let backlog = (0..AT_ONCE + 1).map(|n| ready(&n.to_string()));
        let task = tokio::spawn(models.follow(stream::iter(backlog)));
        yield_now().await;
        assert_eq!(models.snapshot().models().count(), AT_ONCE);
        task.await.unwrap();
    }
}
