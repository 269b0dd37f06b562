//! Whether a model is ready, by its name, among 1 to 100,000: the registry as the gate asks it, and the
//! maps that could hold the states.
//!
//! `busy` is the same while another thread reads on and on, and one writes a thousand times a second.

use super::Work;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use http::Request;
use std::{
    collections::HashMap,
    hint::black_box,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};
use tower_inference::{
    ModelRegistry, ReadinessProbe, RequestHead, RequestedModel,
    readiness::{State, UnknownModel, Verdict},
};

/// Reads and writes the state of a model: 1 is ready.
trait States: Send + Sync + 'static {
    /// What asks for a model.
    type Ask;

    fn with(names: impl Iterator<Item = String>) -> Self;
    fn ask(name: String) -> Self::Ask;
    fn is_ready(&self, ask: &Self::Ask) -> bool;
    fn set_ready(&self, name: &str);
}

impl States for ModelRegistry {
    type Ask = Request<()>;

    fn with(names: impl Iterator<Item = String>) -> Self {
        let registry = Self::new().unknown_model(UnknownModel::NotFound);
        names.for_each(|name| registry.set(&name, State::Ready));
        registry
    }

    fn ask(name: String) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert(RequestedModel::new(name));
        request
    }

    fn is_ready(&self, ask: &Request<()>) -> bool {
        self.check(RequestHead::of(ask)) == Verdict::Ready
    }

    fn set_ready(&self, name: &str) {
        self.set(name, State::Ready);
    }
}

/// A map that nobody can add to: the least that a lookup by name can cost.
type Frozen = HashMap<String, AtomicU8, RandomState>;

impl States for Frozen {
    type Ask = String;

    fn with(names: impl Iterator<Item = String>) -> Self {
        names.map(|name| (name, AtomicU8::new(1))).collect()
    }

    fn ask(name: String) -> String {
        name
    }

    fn is_ready(&self, name: &String) -> bool {
        self.get(name).is_some_and(|state| state.load(Ordering::Acquire) == 1)
    }

    fn set_ready(&self, name: &str) {
        self[name].store(1, Ordering::Release);
    }
}

type Locked = RwLock<HashMap<String, u8, RandomState>>;

impl States for Locked {
    type Ask = String;

    fn with(names: impl Iterator<Item = String>) -> Self {
        Self::new(names.map(|name| (name, 1)).collect())
    }

    fn ask(name: String) -> String {
        name
    }

    fn is_ready(&self, name: &String) -> bool {
        self.read().expect("no reader panics").get(name) == Some(&1)
    }

    fn set_ready(&self, name: &str) {
        let mut states = self.write().expect("no reader panics");
        *states.get_mut(name).expect("is known") = 1;
    }
}

type Sharded = DashMap<String, u8, RandomState>;

impl States for Sharded {
    type Ask = String;

    fn with(names: impl Iterator<Item = String>) -> Self {
        names.map(|name| (name, 1)).collect()
    }

    fn ask(name: String) -> String {
        name
    }

    fn is_ready(&self, name: &String) -> bool {
        self.get(name).is_some_and(|state| *state == 1)
    }

    fn set_ready(&self, name: &str) {
        *self.get_mut(name).expect("is known") = 1;
    }
}

fn name(n: usize) -> String {
    format!("meta-llama-3.1-8b-instruct-{n:06}")
}

/// Asks for one name after the other, of up to 1,024, in an order that nobody foresees.
fn ask<S: States>(models: usize) -> Work {
    work(Arc::new(S::with((0..models).map(name))), models)
}

fn work<S: States>(states: Arc<S>, models: usize) -> Work {
    let asks: Vec<_> = (0..models.min(1024)).map(|n| S::ask(name(n * 7919 % models))).collect();
    let mut next = 0;
    Box::new(move |times| {
        for _ in 0..times {
            next = if next + 1 < asks.len() { next + 1 } else { 0 };
            assert!(states.is_ready(black_box(&asks[next])), "is known");
        }
    })
}

fn ask_while_busy<S: States>(models: usize) -> Work {
    let states = Arc::new(S::with((0..models).map(name)));
    // They end when the work is dropped.
    let (reader, writer) = (Arc::downgrade(&states), Arc::downgrade(&states));
    let work = work(states, models);
    thread::spawn(move || {
        let asks: Vec<_> = (0..models).map(|n| S::ask(name(n))).collect();
        while let Some(states) = reader.upgrade() {
            for ask in asks.iter().cycle().take(10_000) {
                assert!(states.is_ready(black_box(ask)), "is known");
            }
        }
    });
    thread::spawn(move || {
        for n in (0..models).cycle() {
            let Some(states) = writer.upgrade() else { break };
            states.set_ready(&name(n));
            drop(states);
            thread::park_timeout(Duration::from_millis(1));
        }
    });
    work
}

macro_rules! cases {
    ($($name:ident: $ask:ident::<$states:ty>($models:literal);)*) => {
        $(pub(crate) fn $name() -> Work {
            $ask::<$states>($models)
        })*
    };
}

cases! {
    bare: ask::<Frozen>(100);
    ours_1: ask::<ModelRegistry>(1);
    ours_100: ask::<ModelRegistry>(100);
    ours_10k: ask::<ModelRegistry>(10_000);
    ours_20k: ask::<ModelRegistry>(20_000);
    ours_100k: ask::<ModelRegistry>(100_000);
    frozen_1: ask::<Frozen>(1);
    frozen_10k: ask::<Frozen>(10_000);
    frozen_100k: ask::<Frozen>(100_000);
    dash_map_100: ask::<Sharded>(100);
    dash_map_100k: ask::<Sharded>(100_000);
    rw_lock_100: ask::<Locked>(100);
    rw_lock_100k: ask::<Locked>(100_000);
}

pub(crate) mod busy {
    use super::*;

    cases! {
        bare: ask_while_busy::<Frozen>(100);
        ours_100: ask_while_busy::<ModelRegistry>(100);
        ours_10k: ask_while_busy::<ModelRegistry>(10_000);
        dash_map_100: ask_while_busy::<Sharded>(100);
        rw_lock_100: ask_while_busy::<Locked>(100);
    }
}
