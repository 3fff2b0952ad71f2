//! A memory of what can be found again: bounded, and when it is full one goes for each that comes. Which one is by chance, so nobody can
//! choose whom he pushes out, and a fleet that is larger than the memory still finds most of what fits.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// At most so many values, by key.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    most: usize,
    places: HashMap<K, usize>,
    all: Vec<(K, V)>,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// Of `most`, at least one.
    pub(crate) fn of(most: usize) -> Self {
        Self { most, places: HashMap::new(), all: Vec::new() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.places.get(key).map(|place| &self.all[*place].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.places.get(key).map(|place| &mut self.all[*place].1)
    }

    /// Puts a value in the place of the one that its key had; else, where it is full, in the place of any other.
    pub(crate) fn put(&mut self, key: K, value: V) {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.all.len() < self.most => {
                self.places.insert(key, self.all.len());
                return self.all.push((key, value));
            }
            None => self.any(),
        };
        self.places.remove(&self.all[place].0);
        self.places.insert(key, place);
        self.all[place] = (key, value);
    }

    /// Takes one out, and forgets it.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(key)?;
        let (_, value) = self.all.swap_remove(place);
        if let Some((moved, _)) = self.all.get(place) {
            self.places.insert(*moved, place);
        }
        Some(value)
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.all.clear();
    }

    /// A hasher's keys are the process's own, and no two hashers have the same.
    fn any(&self) -> usize {
        let drawn = RandomState::new().hash_one(());
        usize::try_from(drawn % self.all.len() as u64).expect("less than a length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_leaves_all_others() {
        let mut memory = Bounded::of(3);
        (0..3).for_each(|key| memory.put(key, key));
        assert_eq!((memory.take(&0), memory.take(&7)), (Some(0), None));
        assert_eq!([0, 1, 2].map(|key| memory.get(&key).copied()), [None, Some(1), Some(2)]);
        memory.put(3, 3);
        assert_eq!([1, 2, 3].map(|key| memory.get(&key).copied()), [Some(1), Some(2), Some(3)]);
    }

    /// F9: one that comes costs one that was there, and not all of them; whom, nobody foresees.
    #[test]
    fn a_full_memory_forgets_one_for_each_that_comes() {
        let full = || {
            let mut memory = Bounded::of(1000);
            (0..1000).for_each(|key| memory.put(key, key));
            memory
        };
        let mut memory = full();
        for key in 1000..1100 {
            memory.put(key, key);
            assert_eq!(memory.get(&key), Some(&key));
            assert_eq!((memory.places.len(), memory.all.len()), (1000, 1000));
        }
        let left = (0..1000).filter(|key| memory.get(key) == Some(key)).count();
        assert!((900..1000).contains(&left), "{left}");
        let gone = |mut memory: Bounded<u32, u32>| {
            (1000..1100).for_each(|key| memory.put(key, key));
            (0..1000).filter(|key| memory.get(key).is_none()).collect::<Vec<_>>()
        };
        assert_ne!(gone(full()), gone(full()), "the same go each time");
    }

    #[test]
    fn a_key_has_one_place() {
        let mut memory = Bounded::of(2);
        (0..100).for_each(|value| memory.put("one", value));
        memory.put("other", 7);
        (0..100).for_each(|value| memory.put("one", value));
        assert_eq!((memory.get(&"one"), memory.get(&"other")), (Some(&99), Some(&7)));
        memory.clear();
        assert_eq!(memory.get(&"one"), None);
    }
}
