//! Work shared among threads so that nobody can tell: what comes of it, an error included, is what one thread gives.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cepheid_event::crew::beside;
use cepheid_event::threads::count_shared;
pub use cepheid_event::threads::times_shared;

use crate::error::MatchError;

/// Whether an answer is still wanted: asked now and then by whoever works on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interruption<'a> {
    /// Asked on the thread that the work was asked of, as only that one may be told of signals.
    asked: Option<fn() -> bool>,
    /// What other threads know, and the place of the piece that this one works on.
    shared: Option<(&'a Shared, usize)>,
}

/// What threads that share work tell each other.
#[derive(Debug)]
struct Shared {
    /// The piece to be taken next.
    next: AtomicUsize,
    /// Pieces from here on are not wanted: one before them has ended the work.
    end: AtomicUsize,
    /// Whether nothing is wanted any more.
    interrupted: AtomicBool,
}

impl From<Option<fn() -> bool>> for Interruption<'_> {
    fn from(asked: Option<fn() -> bool>) -> Self {
        Self { asked, shared: None }
    }
}

impl Interruption<'_> {
    /// Whether to stop.
    pub fn is_due(&self) -> bool {
        let due = self.asked.is_some_and(|asked| asked());
        let Some((shared, piece)) = self.shared else { return due };
        if due {
            shared.interrupted.store(true, Ordering::Relaxed);
        }
        shared.interrupted.load(Ordering::Relaxed) || shared.end.load(Ordering::Relaxed) <= piece
    }
}

/// Most threads: there is no machine for more, and each of them takes memory.
pub const THREADS_MAX: usize = 256;

/// Who works.
#[derive(Clone, Copy, Debug)]
pub struct Workers<'a> {
    /// How many threads at most, the one that asks among them.
    pub threads: usize,
    /// What ends the work.
    pub interrupted: Interruption<'a>,
}

impl Default for Workers<'_> {
    fn default() -> Self {
        Self { threads: 1, interrupted: Interruption::default() }
    }
}

impl Workers<'_> {
    /// Works on pieces, and gives what comes of them in their order: up to the first of which `ends` says that no later one
    /// is wanted. Later ones may have been begun; they are told to stop by what they are given to ask.
    ///
    /// # Errors
    /// [`MatchError::Interrupted`] if whoever asked for the work says so. What `work` gives for an error is for `ends` to see.
    pub fn share<P: Sync, R: Send>(
        self,
        pieces: &[P],
        work: impl Fn(&P, Interruption<'_>) -> R + Sync,
        ends: impl Fn(&R) -> bool + Sync,
    ) -> Result<Vec<R>, MatchError> {
        let threads = self.threads.min(pieces.len()).min(THREADS_MAX);
        if threads <= 1 {
            let mut outcomes = vec![];
            for piece in pieces {
                let outcome = work(piece, self.interrupted);
                let over = ends(&outcome);
                outcomes.push(outcome);
                if over {
                    break;
                }
            }
            return Ok(outcomes);
        }
        count_shared();
        let shared = Shared {
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(pieces.len()),
            interrupted: AtomicBool::new(false),
        };
        let outcomes: Vec<Mutex<Option<R>>> = pieces.iter().map(|_| Mutex::new(None)).collect();
        let work_on_pieces = |asked: Option<fn() -> bool>| {
            loop {
                let piece = shared.next.fetch_add(1, Ordering::Relaxed);
                if piece >= shared.end.load(Ordering::Relaxed) {
                    return;
                }
                let outcome = work(&pieces[piece], Interruption { asked, shared: Some((&shared, piece)) });
                if ends(&outcome) {
                    shared.end.fetch_min(piece + 1, Ordering::Relaxed);
                }
                *outcomes[piece].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            }
        };
        let asked = self.interrupted.asked;
        let ask = || {
            if asked.is_some_and(|asked| asked()) {
                shared.interrupted.store(true, Ordering::Relaxed);
            }
        };
        beside(threads - 1, || work_on_pieces(None), || work_on_pieces(asked), ask);
        if shared.interrupted.into_inner() {
            return Err(MatchError::Interrupted);
        }
        let wanted = outcomes.into_iter().take(shared.end.into_inner());
        let outcome = |one: Mutex<Option<R>>| one.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(wanted.map(|one| outcome(one).expect("pieces are taken in order, up to the end")).collect())
    }

    /// The same of work that an error ends, and what is enough.
    ///
    /// # Errors
    /// That of the first piece, in order, that has one.
    pub(crate) fn share_until<P: Sync, R: Send>(
        self,
        pieces: &[P],
        work: impl Fn(&P, Interruption<'_>) -> Result<R, MatchError> + Sync,
        is_enough: impl Fn(&R) -> bool + Sync,
    ) -> Result<Vec<R>, MatchError> {
        let ends = |outcome: &Result<R, MatchError>| outcome.as_ref().map_or(true, &is_enough);
        self.share(pieces, work, ends)?.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn of(threads: usize) -> Workers<'static> {
        Workers { threads, ..Workers::default() }
    }

    fn numbers(threads: usize, end_at: Option<usize>) -> Vec<usize> {
        let pieces: Vec<usize> = (0..100).collect();
        of(threads).share(&pieces, |piece, _| *piece, |piece| Some(*piece) == end_at).expect("no signal")
    }

    #[test]
    fn outcomes_come_in_the_order_of_the_pieces_up_to_the_first_that_ends_the_work() {
        let mut shared = 0;
        for threads in [0, 1, 2, 3, 7, 1000] {
            let before = times_shared();
            assert_eq!(numbers(threads, None), (0..100).collect::<Vec<_>>());
            assert_eq!(numbers(threads, Some(60)), (0..61).collect::<Vec<_>>());
            assert_eq!(numbers(threads, Some(0)), [0]);
            shared += times_shared() - before;
        }
        assert_eq!(shared, 4 * 3);
    }

    #[test]
    fn a_piece_behind_the_end_is_told_to_stop() {
        let (first, second) = (AtomicBool::new(false), AtomicBool::new(false));
        let wait_for = |flag: &AtomicBool| {
            while !flag.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        };
        let work = |piece: &usize, interrupted: Interruption<'_>| {
            if *piece == 0 {
                wait_for(&second);
                first.store(true, Ordering::SeqCst);
                return true;
            }
            second.store(true, Ordering::SeqCst);
            wait_for(&first);
            while !interrupted.is_due() {
                thread::yield_now();
            }
            false
        };
        assert_eq!(of(2).share(&[0, 1], work, |over| *over), Ok(vec![true]));
    }

    #[test]
    fn an_interruption_reaches_every_thread_also_when_the_first_has_nothing_left_to_do() {
        let asked: Option<fn() -> bool> = Some(|| true);
        let both = std::sync::Barrier::new(2);
        let work = |_: &usize, interrupted: Interruption<'_>| {
            both.wait();
            // Whoever is not the thread that asked waits for the word of it.
            while interrupted.asked.is_none() && !interrupted.is_due() {
                thread::yield_now();
            }
        };
        let found = Workers { threads: 2, interrupted: asked.into() }.share(&[0, 1], work, |()| false);
        assert_eq!(found, Err(MatchError::Interrupted));
    }

    #[test]
    fn the_first_error_in_order_is_given_whichever_thread_is_faster() {
        for fails in 0..50 {
            let pieces: Vec<usize> = (0..50).collect();
            let work = |piece: &usize, _: Interruption<'_>| {
                if *piece >= fails {
                    return Err(MatchError::StepLimit { row: *piece as u32, limit: 1 });
                }
                Ok(())
            };
            let found = of(3).share_until(&pieces, work, |()| false);
            assert_eq!(found, Err(MatchError::StepLimit { row: fails as u32, limit: 1 }));
        }
    }

    #[test]
    #[should_panic(expected = "a mistake of ours")]
    fn a_panic_of_another_thread_is_that_of_the_first() {
        let here = thread::current().id();
        let both = std::sync::Barrier::new(2);
        let work = |_: &usize, _: Interruption<'_>| {
            both.wait();
            assert!(thread::current().id() == here, "a mistake of ours");
        };
        let _ = of(2).share(&[0, 1], work, |()| false);
    }
}
