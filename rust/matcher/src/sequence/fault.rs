//! Errors of a stream's keys, and which of them is the first: the same however keys are shared among threads.

use crate::error::MatchError;

/// An error, and where it stands among those that other keys have.
#[derive(Debug)]
pub struct Fault {
    /// What went wrong.
    pub error: MatchError,
    place: Place,
}

/// In order. Numbers of partitions will not do for it: they go by shard, and by the rows that rules share.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Of all keys: nobody waits for the answer any more, or there is no room for it.
    Everywhere,
    /// At rows of this key.
    Rows(Box<[u8]>),
    /// When the clock moved, of a key that was to be looked after at this time.
    Clock(i64, Box<[u8]>),
    /// At the end of the input.
    End(Box<[u8]>),
}

impl Fault {
    pub(crate) fn new(error: MatchError, place: impl FnOnce() -> Place) -> Self {
        let everywhere = matches!(error, MatchError::Interrupted | MatchError::StateLimit { .. });
        Self { error, place: if everywhere { Place::Everywhere } else { place() } }
    }

    /// Whether no other error can come before it.
    pub(super) fn is_everywhere(&self) -> bool {
        self.place == Place::Everywhere
    }

    /// The first of some.
    pub fn first(faults: impl IntoIterator<Item = Self>) -> Option<Self> {
        faults.into_iter().min_by(|left, right| left.place.cmp(&right.place))
    }
}

impl From<Fault> for MatchError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// Goes on after an error of one key, as one of another may come before it.
pub(crate) fn keep(
    error: MatchError,
    faults: &mut Vec<Fault>,
    place: impl FnOnce() -> Place,
) -> Result<(), Fault> {
    let fault = Fault::new(error, place);
    if fault.is_everywhere() {
        return Err(fault);
    }
    faults.push(fault);
    Ok(())
}
