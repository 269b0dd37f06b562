//! Names to the cells that hold their states, for readers who take no lock.

use crate::readiness::state::StateCell;
use foldhash::fast::FixedState;
use std::{collections::HashMap, hash::BuildHasher, sync::Arc};

const SHARDS: usize = 256;

/// A map that does not change: a change makes another one, which shares all shards but one with it.
/// Adding to 100,000 names so copies a few hundred entries, not all of them.
#[derive(Clone, Debug)]
pub(super) struct Names(Box<[Arc<Shard>]>);

#[derive(Clone, Debug, Default)]
struct Shard {
    models: HashMap<Arc<str>, Arc<StateCell>, FixedState>,
    aliases: HashMap<Arc<str>, Arc<str>, FixedState>,
}

impl Names {
    /// The cell of a model, by its name or else by an alias.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<StateCell>> {
        self.resolve(name).map(|(_, cell)| cell)
    }

    /// The same, and the model's own name.
    pub(super) fn resolve(&self, name: &str) -> Option<(&Arc<str>, &Arc<StateCell>)> {
        let shard = &self.0[shard_of(name)];
        shard.models.get_key_value(name).or_else(|| self.model(shard.aliases.get(name)?))
    }

    /// The cell of a model, by its own name.
    pub(super) fn model(&self, name: &str) -> Option<(&Arc<str>, &Arc<StateCell>)> {
        self.0[shard_of(name)].models.get_key_value(name)
    }

    /// All models, in no order.
    pub(super) fn models(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<StateCell>)> {
        self.0.iter().flat_map(|shard| &shard.models)
    }

    pub(super) fn with_model(&self, name: Arc<str>, cell: Arc<StateCell>) -> Self {
        self.edit(&Arc::clone(&name), |shard| shard.models.insert(name, cell))
    }

    pub(super) fn without_model(&self, name: &str) -> Self {
        self.edit(name, |shard| shard.models.remove(name))
    }

    pub(super) fn with_alias(&self, alias: &str, model: &str) -> Self {
        self.edit(alias, |shard| shard.aliases.insert(alias.into(), model.into()))
    }

    pub(super) fn without_alias(&self, alias: &str) -> Self {
        self.edit(alias, |shard| shard.aliases.remove(alias))
    }

    /// Whether there is such an alias, of whatever.
    pub(super) fn has_alias(&self, alias: &str) -> bool {
        self.0[shard_of(alias)].aliases.contains_key(alias)
    }

    fn edit<T>(&self, name: &str, change: impl FnOnce(&mut Shard) -> T) -> Self {
        let mut edited = self.clone();
        change(Arc::make_mut(&mut edited.0[shard_of(name)]));
        edited
    }
}

impl Default for Names {
    fn default() -> Self {
        Self(vec![Arc::default(); SHARDS].into())
    }
}

/// Always the same hash: only the owner of the registry adds names, so nobody can crowd a shard.
/// Of its bits, the maps inside use the first and the last ones.
fn shard_of(name: &str) -> usize {
    usize::from(FixedState::default().hash_one(name).to_le_bytes()[4])
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
    fn names_that_count_up_are_spread() {
        let mut sizes = [0; SHARDS];
        for n in 0..100_000 {
            sizes[shard_of(&format!("meta-llama/Llama-3.1-8B-Instruct-{n:05}"))] += 1;
        }
        let largest = sizes.into_iter().max().unwrap();
        assert!(largest < 600, "{largest}");
    }
}
