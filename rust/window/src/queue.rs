//! Rows that come at one end and leave at the other, one behind the other in memory.

/// Room for so many is made at once, where it is known that as many come.
const ROOM_MAX: usize = 128;

/// A queue whose contents are a slice. What has left is dropped when it is half of all, so that leaving costs O(1) amortised.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    items: Vec<T>,
    /// So many at the beginning have left.
    left: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: vec![], left: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn of(items: Vec<T>) -> Self {
        Self { items, left: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        self.items.push(item);
    }

    /// Sees to room for so many more, but not for more than a few at a time: others may leave before they come.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.items.reserve(more.min(ROOM_MAX));
    }

    /// The first so many leave.
    #[inline]
    pub(crate) fn leave(&mut self, items: usize) {
        self.left += items;
        if self.left == self.items.len() {
            self.items.clear();
            self.left = 0;
        } else if self.left * 2 > self.items.len() {
            self.items.drain(..self.left);
            self.left = 0;
        }
    }

    #[inline]
    pub(crate) fn all(&self) -> &[T] {
        &self.items[self.left..]
    }

    #[inline]
    pub(crate) fn all_mut(&mut self) -> &mut [T] {
        &mut self.items[self.left..]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.left
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>()
    }
}
