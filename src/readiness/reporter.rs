//! Where a driver puts what it found out.

use super::{State, flag, registry};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// Sets one state: of a [`ReadyFlag`](crate::ReadyFlag), of the process or of one model of a
/// [`ModelRegistry`](crate::ModelRegistry). Does not keep what it reports to alive.
#[derive(Clone, Debug)]
pub struct Reporter(Target);

#[derive(Clone, Debug)]
enum Target {
    Flag(Weak<flag::Inner>),
    Process(Weak<registry::Shared>),
    Model(Weak<registry::Shared>, Arc<str>),
}

impl Reporter {
    pub(super) fn flag(flag: &Arc<flag::Inner>) -> Self {
        Self(Target::Flag(Arc::downgrade(flag)))
    }

    pub(super) fn process(registry: &Arc<registry::Shared>) -> Self {
        Self(Target::Process(Arc::downgrade(registry)))
    }

    pub(super) fn model(registry: &Arc<registry::Shared>, model: &str) -> Self {
        Self(Target::Model(Arc::downgrade(registry), model.into()))
    }

    /// The model whose state this sets; `None` for a process as a whole.
    #[must_use]
    pub fn model_name(&self) -> Option<&str> {
        match &self.0 {
            Target::Flag(_) | Target::Process(_) => None,
            Target::Model(_, model) => Some(model),
        }
    }

    /// Sets the state. [`State::Ready`] counts only for `valid_for`, if that is given: unless it is
    /// reported again by then, it reads as [`State::Failed`]. A [drain](State::Draining) is left as it is:
    /// it was decided, not found out.
    ///
    /// Returns whether anybody is left to read it.
    pub fn report(&self, state: State, valid_for: Option<Duration>) -> bool {
        match &self.0 {
            Target::Flag(flag) => flag.upgrade().map(|flag| flag.confirm(state, valid_for)),
            Target::Process(registry) => {
                registry.upgrade().map(|registry| registry.confirm(None, state, valid_for))
            }
            Target::Model(registry, model) => {
                registry.upgrade().map(|registry| registry.confirm(Some(model), state, valid_for))
            }
        }
        .is_some()
    }

    /// Whether nobody is left to read what is reported.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        match &self.0 {
            Target::Flag(flag) => flag.strong_count() == 0,
            Target::Process(registry) | Target::Model(registry, _) => registry.strong_count() == 0,
        }
    }
}
