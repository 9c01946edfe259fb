//! Ordered maps of byte strings: trees of sled, or maps in memory, which need no disk space.
//!
//! An [`Entries`] iterator sees insertions and removals that are made while it runs. Maps in memory
//! are dropped with the last [`Tree`] and [`Forest`] that refer to them.

use std::{
    collections::BTreeMap,
    ops::Bound::{self, Excluded, Included, Unbounded},
    sync::Arc,
};

use parking_lot::RwLock;
use sled::{
    Batch, Transactional,
    transaction::{ConflictableTransactionResult, TransactionError},
};

use crate::error::{Result, StoreError, unreadable_entry};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Named trees that can be changed together. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Forest {
    Stored(sled::Db),
    /// By name.
    InMemory(Arc<RwLock<BTreeMap<&'static str, Map>>>),
}

#[derive(Clone)]
pub(crate) enum Tree {
    Stored(sled::Tree),
    InMemory { name: &'static str, maps: Arc<RwLock<BTreeMap<&'static str, Map>>> },
}

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// New values of keys; `None` removes a key.
pub(crate) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

impl Forest {
    pub(crate) fn in_memory() -> Self {
        Self::InMemory(Arc::default())
    }

    pub(crate) fn tree(&self, name: &'static str) -> Result<Tree> {
        Ok(match self {
            Self::Stored(db) => Tree::Stored(db.open_tree(name)?),
            Self::InMemory(maps) => Tree::InMemory { name, maps: Arc::clone(maps) },
        })
    }

    /// Changes trees of this forest, atomically.
    pub(crate) fn apply(&self, changes: &[(&Tree, Changes)]) -> Result<()> {
        let maps = match self {
            Self::Stored(_) => return apply_stored(changes),
            Self::InMemory(maps) => maps,
        };
        let mut maps = maps.write();
        for (tree, changes) in changes {
            let Tree::InMemory { name, .. } = tree else { continue };
            let map = maps.entry(name).or_default();
            for (key, value) in changes {
                match value {
                    Some(value) => map.insert(key.clone(), value.clone()),
                    None => map.remove(key),
                };
            }
        }
        Ok(())
    }
}

impl Tree {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stored(tree) => String::from_utf8_lossy(&tree.name()).into_owned(),
            Self::InMemory { name, .. } => (*name).to_owned(),
        }
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        Ok(match self {
            Self::Stored(tree) => tree.get(key)?.map(|v| v.to_vec()),
            Self::InMemory { name, maps } => maps.read().get(name).and_then(|map| map.get(key.as_ref())).cloned(),
        })
    }

    /// Inserts a value and returns the one that it replaces.
    pub(crate) fn insert(&self, key: impl AsRef<[u8]>, value: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(match self {
            Self::Stored(tree) => tree.insert(key, value)?.map(|v| v.to_vec()),
            Self::InMemory { name, maps } => {
                maps.write().entry(name).or_default().insert(key.as_ref().to_vec(), value.to_vec())
            }
        })
    }

    pub(crate) fn remove(&self, key: impl AsRef<[u8]>) -> Result<()> {
        match self {
            Self::Stored(tree) => drop(tree.remove(key)?),
            Self::InMemory { name, maps } => drop(maps.write().entry(name).or_default().remove(key.as_ref())),
        }
        Ok(())
    }

    /// Replaces a value by the result of `change`, atomically. `change` may be called more than
    /// once.
    pub(crate) fn update(
        &self,
        key: impl AsRef<[u8]>,
        change: impl Fn(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<()> {
        match self {
            Self::Stored(tree) => drop(tree.update_and_fetch(key, change)?),
            Self::InMemory { name, maps } => {
                let mut maps = maps.write();
                let map = maps.entry(name).or_default();
                match change(map.get(key.as_ref()).map(Vec::as_slice)) {
                    Some(value) => map.insert(key.as_ref().to_vec(), value),
                    None => map.remove(key.as_ref()),
                };
            }
        }
        Ok(())
    }

    pub(crate) fn range(&self, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Entries {
        // Neither sled nor `BTreeMap` accepts bounds in the wrong order.
        if is_empty(&low, &high) {
            return Entries::None;
        }
        match self {
            Self::Stored(tree) => Entries::Stored(tree.range((low, high))),
            Self::InMemory { .. } => Entries::InMemory { tree: self.clone(), low, high },
        }
    }

    pub(crate) fn all(&self) -> Entries {
        self.range(Unbounded, Unbounded)
    }

    /// Entries whose keys begin with `prefix`.
    pub(crate) fn with_prefix(&self, prefix: &[u8]) -> Entries {
        let last = prefix.iter().rposition(|byte| *byte < u8::MAX);
        let next = last.and_then(|last| {
            let mut next = prefix.get(..=last)?.to_vec();
            *next.last_mut()? += 1;
            Some(next)
        });
        self.range(Included(prefix.to_vec()), next.map_or(Unbounded, Excluded))
    }
}

fn apply_stored(changes: &[(&Tree, Changes)]) -> Result<()> {
    let (mut trees, mut batches) = (Vec::new(), Vec::new());
    for (tree, changes) in changes {
        let Tree::Stored(tree) = tree else { continue };
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&key[..], &value[..]),
                None => batch.remove(&key[..]),
            }
        }
        trees.push(tree);
        batches.push(batch);
    }
    let applied: Result<(), TransactionError<()>> =
        trees[..].transaction(|trees| -> ConflictableTransactionResult<(), ()> {
            trees.iter().zip(&batches).try_for_each(|(tree, batch)| tree.apply_batch(batch))?;
            Ok(())
        });
    applied.map_err(|e| match e {
        TransactionError::Storage(e) => StoreError::Index(e),
        TransactionError::Abort(()) => unreadable_entry(),
    })
}

fn is_empty(low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> bool {
    match (low, high) {
        (Included(low), Included(high)) => low > high,
        (Included(low) | Excluded(low), Included(high) | Excluded(high)) => low >= high,
        (Unbounded, _) | (_, Unbounded) => false,
    }
}

/// Iterator over keys and values in order, from both ends.
pub(crate) enum Entries {
    None,
    Stored(sled::Iter),
    InMemory { tree: Tree, low: Bound<Vec<u8>>, high: Bound<Vec<u8>> },
}

impl Entries {
    pub(crate) fn keys(self) -> impl DoubleEndedIterator<Item = Result<Vec<u8>>> + use<> {
        self.map(|entry| entry.map(|(key, _)| key))
    }
}

fn copied((key, value): (sled::IVec, sled::IVec)) -> Entry {
    (key.to_vec(), value.to_vec())
}

fn in_memory(tree: &Tree, range: (Bound<Vec<u8>>, Bound<Vec<u8>>), last: bool) -> Option<Entry> {
    let Tree::InMemory { name, maps } = tree else { return None };
    if is_empty(&range.0, &range.1) {
        return None;
    }
    let maps = maps.read();
    let mut found = maps.get(name)?.range(range);
    let (key, value) = if last { found.next_back() } else { found.next() }?;
    Some((key.clone(), value.clone()))
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::None => None,
            Self::Stored(entries) => Some(entries.next()?.map(copied).map_err(StoreError::from)),
            Self::InMemory { tree, low, high } => {
                let entry = in_memory(tree, (low.clone(), high.clone()), false)?;
                *low = Excluded(entry.0.clone());
                Some(Ok(entry))
            }
        }
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::None => None,
            Self::Stored(entries) => Some(entries.next_back()?.map(copied).map_err(StoreError::from)),
            Self::InMemory { tree, low, high } => {
                let entry = in_memory(tree, (low.clone(), high.clone()), true)?;
                *high = Excluded(entry.0.clone());
                Some(Ok(entry))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        Append(Vec<u8>, u8),
        Apply(Vec<(bool, Vec<u8>, Option<Vec<u8>>)>),
        Range(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
        Prefix(Vec<u8>),
    }

    /// Short keys of few different bytes, so that they collide, with the lowest and highest bytes.
    fn key() -> impl Strategy<Value = Vec<u8>> + Clone {
        vec(prop_oneof![Just(0), Just(1), Just(254), Just(255)], 0..4)
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![key().prop_map(Included), key().prop_map(Excluded), Just(Unbounded)]
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = || vec(any::<u8>(), 0..3);
        prop_oneof![
            4 => (key(), value()).prop_map(|(k, v)| Step::Insert(k, v)),
            2 => key().prop_map(Step::Remove),
            1 => (key(), any::<u8>()).prop_map(|(k, byte)| Step::Append(k, byte)),
            1 => vec((any::<bool>(), key(), proptest::option::of(value())), 0..4).prop_map(Step::Apply),
            2 => (bound(), bound(), vec(any::<bool>(), 0..20)).prop_map(|(low, high, ends)| Step::Range(low, high, ends)),
            1 => key().prop_map(Step::Prefix),
        ]
    }

    fn done(forest: &Forest, steps: &[Step]) -> Vec<String> {
        let trees = [forest.tree("a").unwrap(), forest.tree("b").unwrap()];
        let tree = &trees[0];
        let mut reported: Vec<String> = Vec::new();
        for step in steps {
            reported.push(match step.clone() {
                Step::Insert(key, value) => {
                    format!("{:?} {:?}", tree.insert(&key, &value).unwrap(), tree.get(&key).unwrap())
                }
                Step::Remove(key) => format!("{:?}", tree.remove(key).unwrap()),
                Step::Append(key, byte) => {
                    let change = |old: Option<&[u8]>| (byte > 50).then(|| [old.unwrap_or_default(), &[byte]].concat());
                    format!("{:?}", tree.update(key, change).unwrap())
                }
                Step::Apply(changes) => {
                    let of =
                        |b: bool| changes.iter().filter(|c| c.0 == b).map(|(_, k, v)| (k.clone(), v.clone())).collect();
                    format!("{:?}", forest.apply(&[(&trees[0], of(false)), (&trees[1], of(true))]).unwrap())
                }
                Step::Range(low, high, ends) => {
                    let mut entries = tree.range(low, high);
                    let some: Vec<_> =
                        ends.iter().map(|last| if *last { entries.next_back() } else { entries.next() }).collect();
                    format!("{:?}", some.into_iter().map(|entry| entry.map(Result::unwrap)).collect::<Vec<_>>())
                }
                Step::Prefix(prefix) => {
                    let found: Vec<_> = tree.with_prefix(&prefix).map(Result::unwrap).collect();
                    assert!(found.iter().all(|(key, _)| key.starts_with(&prefix)));
                    assert_eq!(
                        found.len(),
                        tree.all().keys().filter(|key| key.as_ref().unwrap().starts_with(&prefix)).count()
                    );
                    format!("{found:?}")
                }
            });
        }
        reported.push(format!("{:?}", trees.map(|tree| tree.all().map(Result::unwrap).collect::<Vec<_>>())));
        reported
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_kinds_give_the_same_results(steps in vec(step(), 0..60)) {
            let stored = Forest::Stored(sled::Config::new().temporary(true).open().unwrap());
            prop_assert_eq!(done(&stored, &steps), done(&Forest::in_memory(), &steps));
        }
    }
}
