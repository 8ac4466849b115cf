//! Work on what threads have each a part of: keys, most of all.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::crew::beside;

/// Keys are told apart to so many parts where a thread's share of them is sought.
const PARTS_OF_KEYS: usize = 1 << 10;

thread_local! {
    static TIMES_SHARED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often this thread has shared work with others: for tests, which are to know that they test that.
pub fn times_shared() -> u64 {
    TIMES_SHARED.get()
}

/// Counts that this thread shares work with others.
pub fn count_shared() {
    TIMES_SHARED.set(TIMES_SHARED.get() + 1);
}

/// Does the same to each part, all at once: one on this thread, each of the others on one of its own. Gives what comes of them
/// in their order.
pub fn on_each<P: Send, T: Send>(
    parts: impl IntoIterator<Item = P>,
    work: impl Fn(usize, P) -> T + Sync,
) -> Vec<T> {
    on_threads(usize::MAX, parts, work)
}

/// The same on at most so many threads, this one among them: who is done with a part takes the next.
pub fn on_threads<P: Send, T: Send>(
    threads: usize,
    parts: impl IntoIterator<Item = P>,
    work: impl Fn(usize, P) -> T + Sync,
) -> Vec<T> {
    let parts: Vec<P> = parts.into_iter().collect();
    let others = threads.min(parts.len()).saturating_sub(1);
    if others == 0 {
        return parts.into_iter().enumerate().map(|(number, part)| work(number, part)).collect();
    }
    count_shared();
    let outcomes: Vec<Mutex<Option<T>>> = parts.iter().map(|_| Mutex::new(None)).collect();
    let left = Mutex::new(parts.into_iter().enumerate());
    let work_on_parts = || {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, part)) = next else { return };
            let outcome = work(number, part);
            *outcomes[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    };
    beside(others, work_on_parts, work_on_parts, || {});
    let outcome = |one: Mutex<Option<T>>| one.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.into_iter().map(|one| outcome(one).expect("every part has been worked on")).collect()
}

/// Rows cut into as many stretches, of about as many rows each; none is empty.
pub fn even_stretches(rows: usize, stretches: usize) -> Vec<Range<usize>> {
    let each = rows.div_ceil(stretches.max(1)).max(1);
    (0..rows).step_by(each).map(|begin| begin..rows.min(begin + each)).collect()
}

/// Changes each value, some of them on each of at most so many threads.
pub fn change_each<T: Send>(threads: usize, values: &mut [T], change: impl Fn(&mut T) + Sync) {
    let each = values.len().div_ceil(threads.max(1)).max(1);
    on_each(values.chunks_mut(each), |_, own| own.iter_mut().for_each(&change));
}

/// Does two things at once: the other on another thread, or on this one if nobody has begun it when this one is done.
pub fn on_two<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    let (other, outcome) = (Mutex::new(Some(other)), Mutex::new(None));
    let take_other = || {
        let taken = other.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(other) = taken {
            let of_other = other();
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(of_other);
        }
    };
    let both = || {
        let of_one = one();
        take_other();
        of_one
    };
    let of_one = beside(1, take_other, both, || {});
    let of_other = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    (of_one, of_other.expect("whoever was first has done it"))
}

/// Where at most so many stretches of keys begin, the first of them with key 0: of each come about as many of these rows.
///
/// Cost: O(rows).
pub fn stretches_of_keys(keys: &[u32], num_keys: usize, threads: usize) -> Vec<u32> {
    let (mut begins, threads) = (vec![0], threads.min(num_keys));
    if threads <= 1 {
        return begins;
    }
    // By their first bits, so that it does not cost more the more keys there are.
    let shift = (usize::BITS - num_keys.leading_zeros()).saturating_sub(PARTS_OF_KEYS.ilog2());
    let mut rows_of = vec![0_usize; (num_keys >> shift) + 1];
    keys.iter().for_each(|key| rows_of[(*key >> shift) as usize] += 1);
    let mut rows = 0;
    for (part, own) in rows_of.into_iter().enumerate() {
        rows += own;
        let end = (part + 1) << shift;
        if rows >= keys.len() * begins.len() / threads && end < num_keys && begins.len() < threads {
            begins.push(end as u32);
        }
    }
    begins
}

/// What is kept of keys, by number, in stretches that begin with these, the first of them with 0.
pub fn cut<'a, T>(of_keys: &'a mut [T], begins: &[u32]) -> Vec<&'a mut [T]> {
    let (mut stretches, mut rest, mut first) = (vec![], of_keys, 0);
    for begin in begins.iter().skip(1) {
        let own;
        (own, rest) = rest.split_at_mut((*begin - first) as usize);
        stretches.push(own);
        first = *begin;
    }
    stretches.push(rest);
    stretches
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn every_part_is_worked_on_and_outcomes_come_in_order() {
        for count in [0, 1, 2, 7] {
            let (before, mut parts) = (times_shared(), (0..count).collect::<Vec<usize>>());
            let doubled = on_each(parts.iter_mut(), |number, part| {
                assert_eq!(*part, number);
                *part += 10;
                number * 2
            });
            assert_eq!(doubled, (0..count).map(|number| number * 2).collect::<Vec<_>>());
            assert_eq!(parts, (10..10 + count).collect::<Vec<_>>());
            assert_eq!(times_shared() - before, u64::from(count > 1));
        }
    }

    #[test]
    fn fewer_threads_than_parts_do_all_of_them_in_order() {
        for threads in [0, 1, 2, 3, 9] {
            let before = times_shared();
            let squares = on_threads(threads, 0..7, |number, part| (number, part * part));
            assert_eq!(squares, (0..7).map(|part| (part, part * part)).collect::<Vec<_>>());
            assert_eq!(times_shared() - before, u64::from(threads > 1));
        }
    }

    #[test]
    fn stretches_are_all_rows_and_none_is_empty() {
        for (rows, stretches) in [(0, 2), (1, 2), (7, 0), (7, 1), (7, 2), (7, 3), (7, 9), (1000, 7)] {
            let cut = even_stretches(rows, stretches);
            assert_eq!(cut.iter().cloned().flatten().collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
            assert!(cut.len() <= stretches.max(1) && cut.iter().all(|own| !own.is_empty()), "{cut:?}");
        }
    }

    #[test]
    #[should_panic(expected = "the second part")]
    fn a_panic_of_another_thread_is_told() {
        on_each([1, 2], |_, part| assert!(part != 2, "the second part"));
    }

    #[test]
    fn each_value_is_changed_once() {
        for (count, threads) in [(0, 2), (1, 2), (7, 0), (7, 1), (7, 2), (7, 3), (3, 9)] {
            let mut values: Vec<usize> = (0..count).collect();
            change_each(threads, &mut values, |value| *value += 10);
            assert_eq!(values, (10..10 + count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn two_things_are_done_at_once_and_a_panic_of_either_is_told() {
        let (here, both) = (thread::current().id(), Barrier::new(2));
        let meet = || {
            both.wait();
            thread::current().id()
        };
        let (one, other) = on_two(meet, meet);
        assert!(one == here && other != here);
        let panics = |one: bool, other: bool| {
            let both = || on_two(|| assert!(!one, "the one"), || assert!(!other, "the other"));
            std::panic::catch_unwind(both).is_err()
        };
        assert_eq!([panics(true, false), panics(false, true), panics(false, false)], [true, true, false]);
    }

    #[test]
    fn stretches_are_all_keys_and_have_rows_alike() {
        for (num_keys, rows, threads) in [(0, 0, 3), (1, 50, 3), (3, 1000, 2), (5, 9, 8), (50_000, 20_000, 4)]
        {
            let keys: Vec<u32> =
                (0..rows).map(|row: u32| row.wrapping_mul(2_654_435_761) % num_keys).collect();
            let begins = stretches_of_keys(&keys, num_keys as usize, threads);
            assert!(begins[0] == 0 && begins.is_sorted_by(|one, next| one < next), "{begins:?}");
            assert!(begins.len() <= threads && begins.iter().skip(1).all(|begin| *begin < num_keys));
            let mut of_keys: Vec<u32> = (0..num_keys).collect();
            let stretches = cut(&mut of_keys, &begins);
            assert_eq!(stretches.len(), begins.len());
            let mut all = vec![];
            for own in stretches {
                let of_own = keys.iter().filter(|key| own.binary_search(key).is_ok()).count();
                let most =
                    keys.len() / begins.len() * 11 / 10 + keys.len().div_ceil(num_keys.max(1) as usize);
                assert!(of_own <= most, "{of_own} of {} rows: {begins:?}", keys.len());
                all.extend_from_slice(own);
            }
            assert_eq!(all, of_keys);
        }
        // All rows of one key.
        assert_eq!(stretches_of_keys(&[7; 100], 10, 2), [0, 8]);
    }
}
