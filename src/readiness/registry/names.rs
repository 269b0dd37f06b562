//! Names to the cells that hold their states, for readers who take no lock.

use crate::readiness::state::StateCell;
use foldhash::fast::FixedState;
use std::{
    array,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

const SHARDS: usize = 256;

/// A map that does not change: a change makes another one, which shares all shards but one with it.
/// Adding to 100,000 names so copies a few hundred entries, not all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    models: Table<Arc<StateCell>>,
    /// Asked only about names that are no models.
    aliases: Arc<Table<Arc<str>>>,
}

impl Names {
    /// The cell of a model, by its name or else by an alias.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<StateCell>> {
        self.resolve(name).map(|(_, cell)| cell)
    }

    /// The same, and the model's own name.
    #[inline]
    pub(super) fn resolve(&self, name: &str) -> Option<(&Arc<str>, &Arc<StateCell>)> {
        let hash = hash(name);
        self.models.get(hash, name).or_else(|| self.model(self.aliases.get(hash, name)?.1))
    }

    /// The cell of a model, by its own name.
    pub(super) fn model(&self, name: &str) -> Option<(&Arc<str>, &Arc<StateCell>)> {
        self.models.get(hash(name), name)
    }

    /// All models, in no order.
    pub(super) fn models(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<StateCell>)> {
        self.models.entries()
    }

    pub(super) fn with_model(&self, name: Arc<str>, cell: Arc<StateCell>) -> Self {
        Self { models: self.models.with(name, cell), aliases: Arc::clone(&self.aliases) }
    }

    pub(super) fn without_model(&self, name: &str) -> Self {
        Self { models: self.models.without(name), aliases: Arc::clone(&self.aliases) }
    }

    pub(super) fn with_alias(&self, alias: &str, model: &str) -> Self {
        let aliases = Arc::new(self.aliases.with(alias.into(), model.into()));
        Self { models: self.models.clone(), aliases }
    }

    pub(super) fn without_alias(&self, alias: &str) -> Self {
        let aliases = Arc::new(self.aliases.without(alias));
        Self { models: self.models.clone(), aliases }
    }

    /// Whether there is such an alias, of whatever.
    pub(super) fn has_alias(&self, alias: &str) -> bool {
        self.aliases.get(hash(alias), alias).is_some()
    }
}

/// What there is for each name. A reader hashes the name once, and follows one pointer to the entry.
#[derive(Clone, Debug)]
struct Table<V>([Arc<Shard<V>>; SHARDS]);

/// Each entry is in its home, or in the first free place after that; behind the last place comes the
/// first. A quarter is free.
type Shard<V> = [Option<Entry<V>>];

#[derive(Clone, Debug)]
struct Entry<V> {
    hash: u64,
    name: Arc<str>,
    value: V,
}

impl<V> Table<V> {
    #[inline]
    fn get(&self, hash: u64, name: &str) -> Option<(&Arc<str>, &V)> {
        let shard = &*self.0[shard_of(hash)];
        let (last, first) = shard.split_at(home(hash, shard.len()));
        let mut entries = first.iter().chain(last).map_while(Option::as_ref);
        let entry = entries.find(|entry| entry.hash == hash && *entry.name == *name)?;
        Some((&entry.name, &entry.value))
    }

    fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        let entries = self.0.iter().flat_map(|shard| shard.iter().flatten());
        entries.map(|entry| (&entry.name, &entry.value))
    }
}

impl<V: Clone> Table<V> {
    fn with(&self, name: Arc<str>, value: V) -> Self {
        let hash = hash(&name);
        self.rebuilt(hash, &Arc::clone(&name), Some(Entry { hash, name, value }))
    }

    fn without(&self, name: &str) -> Self {
        self.rebuilt(hash(name), name, None)
    }

    /// With another entry for this name, or none.
    fn rebuilt(&self, hash: u64, name: &str, entry: Option<Entry<V>>) -> Self {
        let kept = self.0[shard_of(hash)].iter().flatten().filter(|entry| *entry.name != *name);
        let entries: Vec<_> = kept.cloned().chain(entry).collect();
        let places = entries.len() + entries.len().div_ceil(3);
        let mut shard = vec![None; places];
        for entry in entries {
            let mut place = home(entry.hash, places);
            while shard[place].is_some() {
                place = (place + 1) % places;
            }
            shard[place] = Some(entry);
        }
        let mut table = self.clone();
        table.0[shard_of(hash)] = shard.into();
        table
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self(array::from_fn(|_| Arc::default()))
    }
}

/// Always the same hash: only the owner of the registry adds names, so nobody can crowd a shard.
fn hash(name: &str) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// By the lowest bits of a hash.
fn shard_of(hash: u64) -> usize {
    usize::from(hash.to_le_bytes()[0])
}

/// By the highest bits of a hash: a place for each equal part of all hashes.
fn home(hash: u64, places: usize) -> usize {
    let place = ((hash >> 32) * places as u64) >> 32;
    usize::try_from(place).expect("it is less than the number of places")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::State;
    use std::time::Duration;

    fn cell(state: State) -> Arc<StateCell> {
        Arc::new(StateCell::new(state, Duration::ZERO))
    }

    fn state(names: &Names, name: &str) -> Option<State> {
        names.find(name).map(|cell| cell.load(Duration::ZERO))
    }

    #[test]
    fn a_change_leaves_the_old_map_as_it_was() {
        let empty = Names::default();
        let one = empty.with_model("a".into(), cell(State::Ready));
        let none = one.without_model("a");
        assert_eq!(
            [&empty, &one, &none].map(|names| state(names, "a")),
            [None, Some(State::Ready), None]
        );
    }

    #[test]
    fn a_model_wins_over_an_alias_and_an_alias_is_followed_once() {
        let names = Names::default()
            .with_model("b".into(), cell(State::Ready))
            .with_alias("a", "b")
            .with_alias("aa", "a")
            .with_alias("x", "x");
        assert_eq!(state(&names, "a"), Some(State::Ready));
        assert_eq!((state(&names, "aa"), state(&names, "x")), (None, None));
        let names = names.with_model("a".into(), cell(State::Failed));
        assert_eq!(state(&names, "a"), Some(State::Failed));
        assert_eq!(state(&names, "aa"), Some(State::Failed));
        assert!(!names.without_alias("aa").has_alias("aa"));
    }

    #[test]
    fn every_name_is_found_and_no_other_however_full_a_shard_is() {
        let name = |n: usize| n.to_string();
        let mut table = Table::default();
        let has = |table: &Table<usize>, n| {
            let name = name(n);
            table.get(hash(&name), &name).map(|(found, value)| (found.to_string(), *value))
        };
        for n in 0..5_000 {
            table = table.with(name(n).into(), 0).with(name(n).into(), n);
            assert_eq!(has(&table, n), Some((name(n), n)));
        }
        for n in (0..5_000).step_by(2) {
            table = table.without(&name(n));
        }
        for n in 0..10_000 {
            let kept = n % 2 == 1 && n < 5_000;
            assert_eq!(has(&table, n), kept.then(|| (name(n), n)));
        }
        assert_eq!(table.entries().count(), 2_500);
    }

    #[test]
    fn names_with_the_same_hash_are_told_apart() {
        let entry = |name: &str| Entry { hash: 7, name: name.into(), value: name.to_owned() };
        let table = ["a", "b", "c"]
            .into_iter()
            .fold(Table::default(), |table, name| table.rebuilt(7, name, Some(entry(name))));
        let table = table.rebuilt(7, "b", None);
        let found = ["a", "b", "c"].map(|name| table.get(7, name).map(|(_, value)| &**value));
        assert_eq!(found, [Some("a"), None, Some("c")]);
    }

    #[test]
    fn names_that_count_up_are_spread() {
        let mut sizes = [0; SHARDS];
        for n in 0..100_000 {
            sizes[shard_of(hash(&format!("meta-llama/Llama-3.1-8B-Instruct-{n:05}")))] += 1;
        }
        let largest = sizes.into_iter().max().unwrap();
        assert!(largest < 600, "{largest}");
    }
}
