//! Places of states, of which a key has one in each stretch of time that it has rows in.
//!
//! Those of a stretch stand behind each other as the first rows of their keys come. They are numbered, from 1 on; the places
//! of those that are kept begin with 0.
//!
//! - Time: O(1) a row, without a branch: whether a row is the first of its key is as good as random.
//! - Space: 4 bytes a state, and 8 bytes a key.

use crate::frames::Renumbered;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct KeyPlaces {
    /// Keys of the states that are kept.
    key_of: Vec<u32>,
    /// Number of the first of them.
    base: u64,
    /// By key: the number of its last state; 0: it has had none.
    lasts: Vec<u64>,
}

impl KeyPlaces {
    pub(crate) fn new() -> Self {
        Self { key_of: vec![], base: 1, lasts: vec![] }
    }

    /// Has room for so many keys.
    pub(crate) fn grow(&mut self, num_keys: usize) {
        self.lasts.resize(num_keys, 0);
    }

    /// Adds the places of rows of these keys to `places`, counted from state `origin`. The stretch that they are in begins with
    /// state `first`.
    pub(crate) fn put(&mut self, keys: &[u32], first: u64, origin: u64, places: &mut Vec<u32>) {
        let first_place = places.len();
        places.resize(first_place + keys.len(), 0);
        let mut states = self.key_of.len();
        self.key_of.resize(states + keys.len(), 0);
        let (key_of, lasts, base) = (&mut self.key_of[..], &mut self.lasts[..], self.base);
        // Not as a chain of iterators: their state would stand in memory.
        for (place, key) in places[first_place..].iter_mut().zip(keys) {
            let known = lasts[*key as usize];
            // Written for every row, and over again if this one needs no new state.
            key_of[states] = *key;
            let is_new = known < first;
            let last = if is_new { base + states as u64 } else { known };
            lasts[*key as usize] = last;
            *place = (last - origin) as u32;
            states += usize::from(is_new);
        }
        self.key_of.truncate(states);
    }

    /// Adds states of keys, each of one.
    pub(crate) fn append(&mut self, keys: &[u32]) {
        for key in keys {
            self.lasts[*key as usize] = self.end();
            self.key_of.push(*key);
        }
    }

    /// How many states are kept.
    pub(crate) fn len(&self) -> usize {
        self.key_of.len()
    }

    /// The number of the first state that is kept.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The number of the next state.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.key_of.len() as u64
    }

    pub(crate) fn keys(&self) -> &[u32] {
        &self.key_of
    }

    /// Lets the first states go, and gives their keys instead of others, whose room is kept.
    pub(crate) fn leave(&mut self, states: usize, keys: &mut Vec<u32>) {
        keys.clear();
        keys.extend_from_slice(&self.key_of[states..]);
        self.key_of.truncate(states);
        self.base += states as u64;
        std::mem::swap(&mut self.key_of, keys);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        keys.rename(&mut self.key_of);
        keys.retain(&mut self.lasts);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.key_of.capacity() * 4 + self.lasts.capacity() * 8
    }
}
