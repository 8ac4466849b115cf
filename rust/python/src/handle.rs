//! What several threads use until one of them closes it.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something that is used by any number of threads, and closed by one, which waits until nobody uses it. Whoever comes
/// meanwhile does not wait for that: it may be what a user waits for.
pub(crate) struct Handle<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// There until it is closed.
    used: Option<Arc<T>>,
    /// Whether somebody closes it, and waits for those who use it.
    closing: bool,
}

impl<T> Handle<T> {
    pub(crate) fn new(used: T) -> Self {
        Self {
            state: Mutex::new(State { used: Some(Arc::new(used)), closing: false }),
            changed: Condvar::new(),
        }
    }

    /// What is used; it is not closed before this is dropped. `None`: it has been, or somebody is about to.
    pub(crate) fn get(&self) -> Option<Used<'_, T>> {
        let used = self.state().used.clone()?;
        Some(Used { used: Some(used), of: self })
    }

    /// Closes it; when this returns, it is closed, whoever has.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        if let Some(mut used) = state.used.take() {
            state.closing = true;
            loop {
                match Arc::try_unwrap(used) {
                    Ok(last) => {
                        drop(state);
                        drop(last);
                        break;
                    }
                    Err(still) => used = still,
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            self.state().closing = false;
            self.changed.notify_all();
            return;
        }
        while state.closing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is behind this lock is whole whatever happens.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is used, for one call.
pub(crate) struct Used<'a, T> {
    /// There until this is dropped.
    used: Option<Arc<T>>,
    of: &'a Handle<T>,
}

impl<T> Deref for Used<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.used.as_ref().expect("there until it is dropped")
    }
}

impl<T> Drop for Used<'_, T> {
    fn drop(&mut self) {
        // Before whoever closes it looks.
        self.used = None;
        let _state = self.of.state();
        self.of.changed.notify_all();
    }
}
