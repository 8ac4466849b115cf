//! Values in order, of which a part is shared with others rather than copied.

use std::sync::Arc;

/// So many values are copied when they are joined; more are shared.
const COPIED_MAX: usize = 2;
/// So many values that came one by one through joins are copied with a clone; more are shared.
const CLONED_MAX: usize = 64;

/// Values in order.
///
/// - Time: `push` O(1), `append` O(1) but for the values that came by `push`, a `clone` likewise.
/// - Space: a value, and some 100 bytes for each join of more than a few: suffixes of the rows of a window share their values.
#[derive(Clone, Debug)]
pub(crate) struct Rope<T> {
    /// All but the last.
    shared: Option<Arc<Part<T>>>,
    /// How many they are.
    shared_len: usize,
    /// The last.
    own: Vec<T>,
}

#[derive(Debug)]
struct Part<T> {
    left: Option<Arc<Self>>,
    values: Box<[T]>,
    right: Option<Arc<Self>>,
}

impl<T> Default for Rope<T> {
    fn default() -> Self {
        Self::from(vec![])
    }
}

impl<T: Clone> Rope<T> {
    /// Adds a value at the end.
    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        self.own.push(value);
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.shared_len + self.own.len()
    }

    /// Has clones share all values.
    pub(crate) fn share_all(&mut self) {
        self.share(&Self::default());
    }

    /// The values that are not shared, the last ones.
    pub(crate) fn own_mut(&mut self) -> &mut Vec<T> {
        &mut self.own
    }

    /// Adds the values of another at the end.
    pub(crate) fn append(&mut self, later: &Self) {
        if later.shared.is_none() && later.own.len() <= COPIED_MAX {
            self.own.extend_from_slice(&later.own);
            if self.own.len() > CLONED_MAX {
                self.share_all();
            }
        } else if self.len() == 0 {
            *self = later.clone();
        } else {
            self.share(later);
            // Not `clone_from`, which leaves room for more.
            self.own = later.own.clone();
        }
    }

    /// Makes all values shared, with those that another shares behind them.
    fn share(&mut self, later: &Self) {
        self.shared_len = self.len() + later.shared_len;
        let values = std::mem::take(&mut self.own).into_boxed_slice();
        let part = Part { left: self.shared.take(), values, right: later.shared.clone() };
        self.shared = Some(Arc::new(part));
    }

    /// Calls `take` with each value, in order.
    pub(crate) fn for_each(&self, mut take: impl FnMut(&T)) {
        enum Rest<'a, T> {
            Part(&'a Part<T>),
            Values(&'a [T]),
        }
        // A stack of our own: a rope may be as deep as it is long.
        let mut rest: Vec<Rest<'_, T>> = self.shared.as_deref().map(Rest::Part).into_iter().collect();
        while let Some(next) = rest.pop() {
            match next {
                Rest::Values(values) => values.iter().for_each(&mut take),
                Rest::Part(part) => {
                    rest.extend(part.right.as_deref().map(Rest::Part));
                    rest.push(Rest::Values(&part.values));
                    rest.extend(part.left.as_deref().map(Rest::Part));
                }
            }
        }
        self.own.iter().for_each(take);
    }

    /// All values, in order.
    pub(crate) fn to_vec(&self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        self.for_each(|value| values.push(value.clone()));
        values
    }

    /// The values in front of another, which has been added at the end; `None`: it is not shared, so that one has to look.
    pub(crate) fn before(&self, later: &Self) -> Option<Vec<T>> {
        let part = self.shared.as_ref()?;
        let same = |own: &Arc<Part<T>>| later.shared.as_ref().is_some_and(|later| Arc::ptr_eq(own, later));
        if !part.right.as_ref().is_some_and(same) || self.own.len() != later.own.len() {
            return None;
        }
        let front = Self { shared: part.left.clone(), shared_len: 0, own: part.values.to_vec() };
        Some(front.to_vec())
    }

    /// Bytes held, about; what suffixes share is counted for one of them.
    pub(crate) fn bytes(&self) -> usize {
        let mut bytes = self.own.capacity() * size_of::<T>();
        let mut rest: Vec<&Arc<Part<T>>> = self.shared.iter().collect();
        while let Some(part) = rest.pop() {
            bytes += size_of::<Part<T>>() + part.values.len() * size_of::<T>();
            // A suffix made the part that it begins with, and shares the others.
            if Arc::strong_count(part) == 1 {
                rest.extend(part.left.iter().chain(&part.right));
            }
        }
        bytes
    }
}

impl<T> From<Vec<T>> for Rope<T> {
    fn from(own: Vec<T>) -> Self {
        Self { shared: None, shared_len: 0, own }
    }
}

impl<T> Drop for Part<T> {
    /// Part by part: left to itself the compiler would recurse, and a deep rope overflow the stack.
    fn drop(&mut self) {
        let mut rest: Vec<Arc<Self>> = self.left.take().into_iter().chain(self.right.take()).collect();
        while let Some(part) = rest.pop() {
            if let Some(mut part) = Arc::into_inner(part) {
                rest.extend(part.left.take());
                rest.extend(part.right.take());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_keep_values_and_their_order_on_both_sides() {
        for (left, right) in [(0, 0), (0, 20), (1, 2), (1, 3), (64, 1), (30, 30), (100, 100)] {
            let earlier: Vec<i32> = (0..left).collect();
            let later: Vec<i32> = (left..left + right).collect();
            let (mut rope, other) = (Rope::from(earlier), Rope::from(later.clone()));
            let before = rope.clone();
            rope.append(&other);
            assert_eq!(rope.to_vec(), (0..left + right).collect::<Vec<_>>());
            assert_eq!(rope.len(), (left + right) as usize);
            assert_eq!((before.to_vec().len(), other.to_vec()), (left as usize, later));
        }
    }

    #[test]
    fn suffixes_share_their_values_and_are_dropped_without_recursion() {
        const ROWS: usize = 200_000;
        let mut suffixes: Vec<Rope<u64>> = vec![Rope::default()];
        for row in (0..ROWS as u64).rev() {
            let mut rope = Rope::from(vec![row]);
            rope.append(&suffixes[suffixes.len() - 1]);
            suffixes.push(rope);
        }
        let bytes: usize = suffixes.iter().map(Rope::bytes).sum();
        assert!((ROWS * 50..ROWS * 200).contains(&bytes), "{bytes} bytes");
        let all = suffixes.pop().expect("the longest");
        drop(suffixes);
        assert_eq!(all.to_vec(), (0..ROWS as u64).collect::<Vec<_>>());
        drop(all);
        let mut prefix = Rope::default();
        (0..ROWS as u64).for_each(|row| prefix.append(&Rope::from(vec![row])));
        assert!(prefix.own.len() <= CLONED_MAX);
        assert_eq!(prefix.to_vec(), (0..ROWS as u64).collect::<Vec<_>>());
    }
}
