//! Entries with stable numbers, and a journal to take changes back by.

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// A store of entries by number. Between [`begin`](Self::begin) and [`commit`](Self::commit) or
/// [`roll_back`](Self::roll_back) it remembers what entries were before they changed.
///
/// - Time: O(1) an operation; one copy of an entry the first time it changes under a journal. Committing and rolling
///   back cost O(1) an entry that changed.
/// - Space: 1 byte an entry beyond itself, and 4 for a free one.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    items: Vec<T>,
    /// Numbers that may be given out.
    free: Vec<u32>,
    /// What has become of each entry since the journal was begun.
    fates: Vec<Fate>,
    journal: Option<Journal<T>>,
    /// Entries given up since memory was last given back.
    given_up: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is as it was.
    Untouched,
    /// It was there, and the journal has a copy.
    Copied,
    /// It was not there.
    Born,
}

#[derive(Clone, Debug)]
struct Journal<T> {
    /// Entries as they were.
    old: Vec<(u32, T)>,
    /// Number of entries when the journal was begun.
    len: usize,
    /// Numbers, free then, that have been given out since.
    taken: Vec<u32>,
    /// Entries given up that were there: their numbers are not given out before the journal ends.
    given_up: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: vec![], free: vec![], fates: vec![], journal: None, given_up: 0 }
    }
}

impl<T: Clone> Slab<T> {
    /// Entries in use.
    pub(crate) fn len(&self) -> usize {
        let kept_back = self.journal.as_ref().map_or(0, |journal| journal.given_up.len());
        self.items.len() - self.free.len() - kept_back
    }

    /// Bytes of entries in use, what they hold elsewhere apart. Room that has become free is used again before more is
    /// asked for, and given back when most of it is free.
    pub(crate) fn bytes(&self) -> usize {
        self.len() * (size_of::<T>() + 1)
    }

    /// Adds an entry.
    #[inline]
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(id) = self.free.pop() {
            if let Some(journal) = &mut self.journal
                && self.fates[id as usize] != Fate::Born
            {
                journal.taken.push(id);
                self.fates[id as usize] = Fate::Born;
            }
            self.items[id as usize] = item;
            return id;
        }
        let id = self.items.len() as u32;
        assert!(id != NONE, "more entries than can be numbered");
        self.items.push(item);
        self.fates.push(if self.journal.is_some() { Fate::Born } else { Fate::Untouched });
        id
    }

    /// Gives an entry up. What it holds stays until the number is given out again.
    #[inline]
    pub(crate) fn remove(&mut self, id: u32) {
        self.given_up += 1;
        match &mut self.journal {
            Some(journal) if self.fates[id as usize] != Fate::Born => journal.given_up.push(id),
            _ => self.free.push(id),
        }
    }

    /// Every entry, those that have been given up too.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Whether the entry was not there when the journal was begun.
    pub(crate) fn is_born(&self, id: u32) -> bool {
        self.fates[id as usize] == Fate::Born
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> &T {
        &self.items[id as usize]
    }

    /// An entry that there may be no room for any more. What is there may be given up.
    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<&T> {
        self.items.get(id as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: u32) -> &mut T {
        if let Some(journal) = &mut self.journal
            && self.fates[id as usize] == Fate::Untouched
        {
            self.fates[id as usize] = Fate::Copied;
            journal.old.push((id, self.items[id as usize].clone()));
        }
        &mut self.items[id as usize]
    }

    /// Begins to remember.
    pub(crate) fn begin(&mut self) {
        debug_assert!(self.journal.is_none(), "one journal at a time");
        let len = self.items.len();
        self.journal = Some(Journal { old: vec![], len, taken: vec![], given_up: vec![] });
    }

    /// Forgets how things were.
    pub(crate) fn commit(&mut self) {
        let Some(journal) = self.journal.take() else { return };
        self.settle(&journal);
        self.free.extend(journal.given_up);
        // As many have been given up since the last time as the work takes.
        let mostly_free = self.free.len() > self.items.len() - self.items.len() / 8;
        if self.items.len() > 1024 && mostly_free && self.given_up > self.items.len() {
            self.given_up = 0;
            self.shrink();
        }
    }

    /// Puts everything back. `clear` is called with what is left in numbers that are free again.
    pub(crate) fn roll_back(&mut self, mut clear: impl FnMut(&mut T)) {
        let Some(journal) = self.journal.take() else { return };
        let fates = &self.fates;
        self.free.retain(|id| (*id as usize) < journal.len && fates[*id as usize] != Fate::Born);
        self.free.extend(&journal.taken);
        self.settle(&journal);
        self.items.truncate(journal.len);
        self.fates.truncate(journal.len);
        for (id, item) in journal.old {
            self.items[id as usize] = item;
        }
        for id in journal.taken {
            clear(&mut self.items[id as usize]);
        }
    }

    fn settle(&mut self, journal: &Journal<T>) {
        for id in journal.old.iter().map(|(id, _)| id).chain(&journal.taken) {
            self.fates[*id as usize] = Fate::Untouched;
        }
        self.fates[journal.len..].fill(Fate::Untouched);
    }

    /// Gives memory back when few entries are left: free numbers at the end are dropped.
    fn shrink(&mut self) {
        let mut is_free = vec![false; self.items.len()];
        for id in &self.free {
            is_free[*id as usize] = true;
        }
        let used = is_free.iter().rposition(|free| !free).map_or(0, |last| last + 1);
        self.items.truncate(used);
        self.items.shrink_to(used * 2);
        self.fates.truncate(used);
        self.fates.shrink_to(used * 2);
        self.free.retain(|id| (*id as usize) < used);
        self.free.shrink_to(used * 2);
        // Low numbers first, so that the end gets free again.
        self.free.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolling_back_brings_every_entry_back_and_no_other() {
        let mut slab: Slab<u32> = Slab::default();
        let ids: Vec<u32> = (0..6).map(|value| slab.insert(value)).collect();
        slab.remove(ids[1]);
        slab.remove(ids[4]);
        let before: Vec<(u32, u32)> = [0, 2, 3, 5].iter().map(|id| (*id, *slab.get(*id))).collect();
        slab.begin();
        *slab.get_mut(2) = 20;
        *slab.get_mut(2) = 21;
        slab.remove(3);
        let reused = [slab.insert(70), slab.insert(71), slab.insert(72)];
        slab.remove(reused[0]);
        slab.insert(73);
        assert_eq!(slab.len(), 6);
        let mut cleared = 0;
        slab.roll_back(|_| cleared += 1);
        assert_eq!(cleared, 2);
        assert_eq!(slab.len(), 4);
        for (id, value) in &before {
            assert_eq!(slab.get(*id), value);
        }
        // What was free is free again, each number once.
        let mut given: Vec<u32> = (0..3).map(|value| slab.insert(value)).collect();
        given.sort_unstable();
        assert_eq!(given, [1, 4, 6]);
    }

    #[test]
    fn a_number_given_up_under_a_journal_is_free_after_the_commit() {
        let mut slab: Slab<u32> = Slab::default();
        let first = slab.insert(1);
        slab.begin();
        slab.remove(first);
        assert_ne!(slab.insert(2), first);
        slab.commit();
        assert_eq!(slab.insert(3), first);
        assert_eq!(slab.len(), 2);
    }
}
