//! What all handles of a registry share: cells that the gate reads, and what their writers need.

use super::{
    names::Names,
    snapshot::{Breakdown, Snapshot},
};
use crate::readiness::{
    InFlight, NotReady, State, Unit, Verdict, Wake, state::StateCell, topology::Topology,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// The gate reads `process` and `names`, and takes no lock. Whoever writes, or looks at several states
/// at once, holds the lock of the book; nobody's code but ours runs under it.
#[derive(Debug)]
pub(in crate::readiness) struct Shared {
    origin: Instant,
    process: StateCell,
    /// Swapped when a name comes or goes; a change of state is one store into a cell.
    names: ArcSwap<Names>,
    book: Mutex<Book>,
    /// Models are discovered: as long as there are none, nothing is ready.
    discovers: bool,
    wake: Wake,
    in_flight: InFlight,
    /// Dropped with the last handle, which ends the futures that drive the registry.
    handles: watch::Sender<()>,
}

/// What the cells that the gate reads are made from.
#[derive(Debug)]
struct Book {
    process: StateCell,
    /// What whoever discovers the models says of the process.
    discovery: StateCell,
    /// Only models that have, or had, units.
    parts: HashMap<Arc<str>, Parts>,
}

#[derive(Debug)]
struct Parts {
    reported: StateCell,
    topology: Topology,
}

impl Parts {
    fn publish(&self, cell: &StateCell, now: Duration) {
        if self.reported.load(now).is_ready() && !self.topology.is_ready() {
            cell.report(State::Incomplete, None, now);
        } else {
            cell.copy(&self.reported);
        }
    }
}

impl Shared {
    pub(super) fn new(discovers: bool) -> Self {
        let discovery = if discovers { State::starting() } else { State::Ready };
        let cell = |state| StateCell::new(state, Duration::ZERO);
        let book = Book {
            process: cell(State::Ready),
            discovery: cell(discovery),
            parts: HashMap::default(),
        };
        Self {
            origin: Instant::now(),
            process: cell(discovery),
            names: ArcSwap::default(),
            book: Mutex::new(book),
            discovers,
            wake: Wake::new(),
            in_flight: InFlight::new(),
            handles: watch::Sender::new(()),
        }
    }

    /// Reports the state of a model.
    pub(in crate::readiness) fn report(&self, model: &str, state: State) {
        self.store(Some(model), |cell, now| cell.report(state, None, now));
    }

    /// Reports what a driver found out about a model, or the process.
    pub(in crate::readiness) fn confirm(
        &self,
        model: Option<&str>,
        state: State,
        valid_for: Option<Duration>,
    ) {
        self.store(model, |cell, now| cell.confirm(state, valid_for, now));
    }

    fn store(&self, model: Option<&str>, report: impl Fn(&StateCell, Duration)) {
        self.write(|book, now| match model {
            Some(model) => match book.parts.get(model) {
                Some(parts) => {
                    report(&parts.reported, now);
                    self.publish(model, |cell| parts.publish(cell, now));
                }
                None => self.publish(model, |cell| report(cell, now)),
            },
            None => {
                report(&book.process, now);
                self.publish_process(book, now);
            }
        });
    }

    pub(in crate::readiness) fn set_process(&self, state: State) {
        self.write(|book, now| {
            if state.is_ready() {
                book.discovery.report(State::Ready, None, now);
            }
            book.process.report(state, None, now);
            self.publish_process(book, now);
        });
    }

    /// What whoever discovers the models says of the process, which is ready only if both are.
    pub(in crate::readiness) fn set_discovery(&self, state: State) {
        self.write(|book, now| {
            book.discovery.report(state, None, now);
            self.publish_process(book, now);
        });
    }

    pub(in crate::readiness) fn set_unit(&self, model: &str, namespace: &str, unit: Unit) {
        self.write(|book, now| {
            let names = self.names.load();
            let known = names.model(model);
            let name = known.map_or_else(|| model.into(), |(name, _)| Arc::clone(name));
            let parts = book.parts.entry(Arc::clone(&name)).or_insert_with(|| {
                let reported = StateCell::new(State::Ready, now);
                if let Some((_, cell)) = known {
                    reported.copy(cell);
                }
                Parts { reported, topology: Topology::default() }
            });
            parts.topology.set(namespace, unit);
            self.publish(name, |cell| parts.publish(cell, now));
        });
    }

    pub(in crate::readiness) fn remove_unit(&self, model: &str, namespace: &str, id: &str) -> bool {
        self.write(|book, now| {
            let Some(parts) = book.parts.get_mut(model) else { return false };
            let found = parts.topology.remove(namespace, id);
            self.publish(model, |cell| parts.publish(cell, now));
            found
        })
    }

    pub(in crate::readiness) fn remove(&self, model: &str) -> bool {
        self.write(|book, _| {
            book.parts.remove(model);
            let names = self.names.load();
            let found = names.model(model).is_some();
            if found {
                self.names.store(Arc::new(names.without_model(model)));
            }
            found
        })
    }

    pub(in crate::readiness) fn set_alias(&self, alias: &str, model: &str) {
        self.write(|_, _| {
            self.names.store(Arc::new(self.names.load().with_alias(alias, model)));
        });
    }

    pub(in crate::readiness) fn remove_alias(&self, alias: &str) -> bool {
        self.write(|_, _| {
            let names = self.names.load();
            let found = names.has_alias(alias);
            if found {
                self.names.store(Arc::new(names.without_alias(alias)));
            }
            found
        })
    }

    pub(super) fn closed(&self) -> Option<NotReady> {
        self.refusal(&self.process).map(NotReady::new)
    }

    /// `None` if nobody knows the model.
    pub(super) fn check(&self, model: &str) -> Option<Verdict> {
        let names = self.names.load();
        let refusal = self.refusal(names.find(model)?);
        Some(refusal.map(|state| NotReady::new(state).for_model(model)).into())
    }

    pub(super) fn state(&self, model: &str) -> Option<State> {
        let now = self.now();
        self.names.load().find(model).map(|cell| cell.load(now))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let book = self.book();
        let now = self.now();
        let process = self.process.load(now);
        let names = self.names.load_full();
        let models =
            names.models().map(|(name, cell)| (Arc::clone(name), cell.load(now))).collect();
        drop(book);
        Snapshot::new(process, models, self.discovers)
    }

    pub(super) fn breakdown(&self, model: &str) -> Option<Breakdown> {
        let book = self.book();
        let now = self.now();
        let names = self.names.load();
        let (name, cell) = names.resolve(model)?;
        let state = cell.load(now);
        let parts = book.parts.get(name);
        let reported = parts.map_or(state, |parts| parts.reported.load(now));
        let topology = parts.map(|parts| parts.topology.clone()).unwrap_or_default();
        let process = self.process.load(now);
        Some(Breakdown { model: Arc::clone(name), process, state, reported, topology })
    }

    pub(super) fn wake(&self) -> Wake {
        self.wake.clone()
    }

    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Fails as soon as the last handle is gone.
    pub(in crate::readiness) fn handles(&self) -> watch::Receiver<()> {
        self.handles.subscribe()
    }

    /// Makes a change that nobody else's can come between, then wakes who waits for one.
    fn write<T>(&self, change: impl FnOnce(&mut Book, Duration) -> T) -> T {
        let mut book = self.book();
        let result = change(&mut book, self.now());
        drop(book);
        self.wake.wake();
        result
    }

    /// Stores into the cell of a model. A new one is stored into before anybody can read it.
    fn publish<N>(&self, model: N, store: impl FnOnce(&StateCell))
    where
        N: AsRef<str> + Into<Arc<str>>,
    {
        let names = self.names.load();
        if let Some((_, cell)) = names.model(model.as_ref()) {
            return store(cell);
        }
        let cell = StateCell::new(State::starting(), Duration::ZERO);
        store(&cell);
        self.names.store(Arc::new(names.with_model(model.into(), Arc::new(cell))));
    }

    fn publish_process(&self, book: &Book, now: Duration) {
        let ready = book.process.load(now).is_ready();
        self.process.copy(if ready && !book.discovery.load(now).is_ready() {
            &book.discovery
        } else {
            &book.process
        });
    }

    /// The state, unless it is ready.
    fn refusal(&self, cell: &StateCell) -> Option<State> {
        if cell.is_ready(|| self.now()) {
            return None;
        }
        Some(cell.load_at(|| self.now())).filter(|state| !state.is_ready())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}
