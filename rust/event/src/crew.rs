//! Threads that stay: who does a part of the work of a call, and for a while after waits for more of it without sleeping.
//!
//! The threads are `rayon`'s, as many as there are cores beside that of the call. What is added to them: a call asks only those
//! that have nothing to do, and begins others where these do not suffice, so that it never waits for somebody else's work;
//! whoever has done a part looks out for the next one for [`WARM`], as to wake a thread costs as much as to search some ten
//! thousand rows; and a child of `fork`, which has no threads but its own, begins anew.

use std::cell::Cell;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, TryLockError};
use std::thread::{self, Builder, Scope, ScopedJoinHandle, Thread};
use std::time::{Duration, Instant};

use rayon_core::{ThreadPool, ThreadPoolBuilder, Yield};

/// How long a thread with nothing to do stays awake, and how long the one that asked does for the others to come to an end:
/// about what comes between two parts of a call, or two calls, that share their work.
const WARM: Duration = Duration::from_micros(100);

/// How often a thread that waits looks at the clock or for work: every so many turns.
const TURNS: usize = 8;

/// A thread is done a little after it has said so: so many turns.
const LAST_TURNS: usize = 32;

/// How often the crew is asked for before it is held to be out of reach: who forks while another thread asks for it leaves it
/// locked to the child for good.
const TRIES: usize = 100;

/// How long the thread that asked sleeps before it looks whether the work is wanted still.
const PAUSE: Duration = Duration::from_millis(20);

static CREW: Mutex<Option<Arc<Crew>>> = Mutex::new(None);

/// Kept, as it is read from files of the system; asked for with [`CREW`] locked alone, so that no child finds it half read.
static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));

thread_local! {
    /// Whether this thread waits for work in [`stay_warm`], and would come back to it.
    static IS_WARM: Cell<bool> = const { Cell::new(false) };
}

#[derive(Debug)]
struct Crew {
    threads: ThreadPool,
    /// How many have nothing to do and have not been asked.
    free: AtomicUsize,
    /// The process whose threads these are.
    process: u32,
}

impl Crew {
    /// That of this process. `None`: there is but one core, the system has no threads, or it is out of reach.
    fn of_process() -> Option<Arc<Self>> {
        let mut tries = 0;
        let mut kept = loop {
            match CREW.try_lock() {
                Ok(kept) => break kept,
                Err(TryLockError::Poisoned(kept)) => break kept.into_inner(),
                Err(TryLockError::WouldBlock) if tries == TRIES => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
            tries += 1;
        };
        let process = std::process::id();
        if let Some(crew) = kept.as_ref().filter(|crew| crew.process == process) {
            return Some(Arc::clone(crew));
        }
        let crew = Arc::new(Self::begin(*CORES - 1, process)?);
        // To end those of the parent would be to wait for threads that this process does not have.
        std::mem::forget(kept.replace(Arc::clone(&crew)));
        Some(crew)
    }

    fn begin(size: usize, process: u32) -> Option<Self> {
        if size == 0 {
            return None;
        }
        let named = |number| format!("cepheid-{number}");
        let threads = ThreadPoolBuilder::new().num_threads(size).thread_name(named).build().ok()?;
        Some(Self { threads, free: AtomicUsize::new(size), process })
    }

    /// Takes as many as are free, and no more than so many.
    fn take(&self, others: usize) -> usize {
        let some_left = |free: usize| (free > 0).then(|| free - free.min(others));
        let free = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, some_left);
        free.map_or(0, |free| free.min(others))
    }
}

/// The others of a call.
struct Others {
    /// Those that have not come to the end of their part.
    working: AtomicUsize,
    asking: Thread,
}

impl Others {
    /// Waits for all of them, and does this each time that it has slept for [`PAUSE`].
    fn wait(&self, mut meanwhile: impl FnMut()) {
        let since = Instant::now();
        while self.working.load(Ordering::Acquire) > 0 {
            if since.elapsed() < WARM {
                turn(TURNS);
                continue;
            }
            let slept = Instant::now();
            thread::park_timeout(PAUSE);
            if slept.elapsed() >= PAUSE {
                meanwhile();
            }
        }
        turn(LAST_TURNS);
    }
}

/// The part of one of them: over when this is dropped, also by a panic.
struct Part<'a> {
    others: &'a Others,
    /// Of which it is one, unless it was begun for the purpose.
    crew: Option<&'a Crew>,
}

impl<'a> Part<'a> {
    fn of(others: &'a Others, crew: Option<&'a Crew>) -> Self {
        others.working.fetch_add(1, Ordering::AcqRel);
        Self { others, crew }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        // Free first: the call may go on to what it shares next at once.
        if let Some(crew) = self.crew {
            crew.free.fetch_add(1, Ordering::AcqRel);
        }
        if self.others.working.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.others.asking.unpark();
        }
    }
}

/// Does `own` on this thread and, at the same time, `theirs` on each of so many others: fewer if the system has no more. Comes
/// back when all are done. Each time that it has slept for the others' sake for 20 ms it does `meanwhile`, on this thread.
///
/// # Panics
/// As any of them does, when all of them are done.
pub fn beside<R>(
    others: usize,
    theirs: impl Fn() + Sync,
    own: impl FnOnce() -> R,
    meanwhile: impl FnMut(),
) -> R {
    let crew = Crew::of_process();
    beside_with(crew.as_deref(), others, theirs, own, meanwhile)
}

fn beside_with<R>(
    crew: Option<&Crew>,
    others: usize,
    theirs: impl Fn() + Sync,
    own: impl FnOnce() -> R,
    meanwhile: impl FnMut(),
) -> R {
    let all = Others { working: AtomicUsize::new(0), asking: thread::current() };
    let (all, theirs) = (&all, &theirs);
    let of_crew = crew.map_or(0, |crew| crew.take(others));
    let own_and_wait = || {
        let outcome = own();
        all.wait(meanwhile);
        outcome
    };
    let with_crew = || match crew {
        // In place: what says whether to go on is to be asked on this thread.
        Some(crew) if of_crew > 0 => crew.threads.in_place_scope(|scope| {
            for _ in 0..of_crew {
                let part = Part::of(all, Some(crew));
                scope.spawn(move |_| {
                    let _part = part;
                    theirs();
                    if !IS_WARM.get() {
                        rayon_core::spawn(stay_warm);
                    }
                });
            }
            own_and_wait()
        }),
        _ => own_and_wait(),
    };
    if of_crew == others {
        return with_crew();
    }
    thread::scope(|scope| {
        let begun = begin(scope, all, others - of_crew, theirs);
        let outcome = with_crew();
        for other in begun {
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        outcome
    })
}

/// Begins so many threads for this purpose alone: fewer if the system has no more.
fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    all: &'scope Others,
    count: usize,
    theirs: &'scope (impl Fn() + Sync),
) -> Vec<ScopedJoinHandle<'scope, ()>> {
    let begin_one = |_| {
        let part = Part::of(all, None);
        let work = move || {
            let _part = part;
            theirs();
        };
        Builder::new().spawn_scoped(scope, work).ok()
    };
    (0..count).map_while(begin_one).collect()
}

/// Takes on what there is to do until there has been nothing for [`WARM`].
fn stay_warm() {
    IS_WARM.set(true);
    let mut since = Instant::now();
    while since.elapsed() < WARM {
        match rayon_core::yield_now() {
            Some(Yield::Executed) => since = Instant::now(),
            _ => turn(TURNS),
        }
    }
    IS_WARM.set(false);
}

fn turn(times: usize) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn crew(size: usize) -> Crew {
        Crew::begin(size, std::process::id()).expect("the system has threads")
    }

    /// Asks for so many others, who all have to be there.
    fn meet(crew: Option<&Crew>, others: usize) {
        let all = Barrier::new(others + 1);
        let meet = || {
            all.wait();
        };
        beside_with(crew, others, meet, meet, || {});
    }

    #[test]
    fn as_many_as_are_asked_for_are_there_each_time() {
        for size in [1, 2, 3] {
            let crew = crew(size);
            for others in [0, 1, 2, 7, 3, 1, 7] {
                (0..50).for_each(|_| meet(Some(&crew), others));
                assert_eq!(crew.free.load(Ordering::Acquire), size);
            }
            // What is shared is shared itself.
            let share = || (0..50).for_each(|_| meet(Some(&crew), 2));
            beside_with(Some(&crew), 2, share, share, || {});
        }
        meet(None, 3);
        meet(Crew::of_process().as_deref(), 3);
    }

    #[test]
    fn threads_of_the_crew_stay_and_others_are_begun_where_they_are_at_work() {
        let crew = crew(2);
        let seen = Mutex::new(std::collections::HashSet::new());
        let theirs = || {
            seen.lock().expect("no panic").insert(thread::current().id());
        };
        (0..500).for_each(|_| beside_with(Some(&crew), 2, theirs, || (), || {}));
        assert!((1..=2).contains(&seen.lock().expect("no panic").len()));
        let (all, is_over) = (Barrier::new(4), AtomicBool::new(false));
        let work = || {
            all.wait();
            while !is_over.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let (crew, work) = (&crew, &work);
            scope.spawn(move || beside_with(Some(crew), 2, work, work, || {}));
            all.wait();
            assert_eq!(crew.take(2), 0);
            meet(Some(crew), 3);
            is_over.store(true, Ordering::Release);
        });
        assert_eq!(crew.take(3), 2);
    }

    #[test]
    fn a_panic_of_any_of_them_is_told_when_all_are_done_and_the_crew_goes_on() {
        let crew = crew(1);
        for others in [1, 2] {
            for (own_panics, theirs_panics) in [(true, false), (false, true), (true, true)] {
                let (all, done) = (Barrier::new(others + 1), AtomicUsize::new(0));
                let part = |panics: bool| {
                    all.wait();
                    done.fetch_add(1, Ordering::AcqRel);
                    assert!(!panics, "a mistake of ours");
                };
                let (own, theirs) = (|| part(own_panics), || part(theirs_panics));
                let shared = || beside_with(Some(&crew), others, theirs, own, || {});
                let panic = catch_unwind(AssertUnwindSafe(shared)).expect_err("one of them has");
                assert_eq!(panic.downcast_ref(), Some(&"a mistake of ours"));
                assert_eq!(done.into_inner(), others + 1);
                meet(Some(&crew), 1);
            }
        }
    }

    #[test]
    fn who_waits_long_looks_around_meanwhile() {
        let (is_seen, here) = (AtomicBool::new(false), thread::current().id());
        let theirs = || {
            while !is_seen.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        let meanwhile = || {
            assert_eq!(thread::current().id(), here);
            is_seen.store(true, Ordering::Release);
        };
        for crew in [Some(&crew(1)), None] {
            assert_eq!(beside_with(crew, 1, theirs, || thread::current().id(), meanwhile), here);
            assert!(is_seen.swap(false, Ordering::AcqRel));
        }
    }

    #[test]
    fn many_who_ask_at_once_all_get_their_work_done() {
        let (done, crew) = (AtomicUsize::new(0), &crew(3));
        thread::scope(|scope| {
            for asking in 0..8 {
                let done = &done;
                scope.spawn(move || {
                    for number in 0..200 {
                        let left = AtomicUsize::new(20);
                        let take = || {
                            let some = |left: usize| left.checked_sub(1);
                            while left.fetch_update(Ordering::AcqRel, Ordering::Acquire, some).is_ok() {
                                done.fetch_add(1, Ordering::AcqRel);
                            }
                        };
                        beside_with(Some(crew), (asking + number) % 4, take, take, || {});
                        assert_eq!(left.into_inner(), 0);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 8 * 200 * 20);
        assert_eq!(crew.free.load(Ordering::Acquire), 3);
    }
}
