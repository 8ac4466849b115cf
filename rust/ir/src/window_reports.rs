//! What is reported of windows beside what is in each of them when it ends: before, without rows, and once late rows have come.

use serde::{Deserialize, Serialize};

use crate::window::{Frame, ROWS_MAX};

/// The column that says [when](Timing) a report is made, where some are not made when the window ends.
pub const TIMING_COLUMN: &str = "window_timing";

/// When a report of a window is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Before the window has ended: its rows may not all have come.
    Early,
    /// When it ends.
    OnTime,
    /// When a late row has come after that.
    Late,
}

impl Timing {
    /// What the column says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::OnTime => "on_time",
            Self::Late => "late",
        }
    }
}

/// See the module. By default: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reports {
    /// Reports of windows that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Early>,
    /// Reports of windows without rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<Empty>,
    /// Reports of windows that ended less than so many nanoseconds before a row of theirs came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ns: Option<i64>,
}

/// When windows are reported that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Early {
    /// At every whole multiple of so many nanoseconds, counted from the epoch: those with rows before it that have not been
    /// reported since.
    EveryNs(i64),
    /// With every so many rows of the window.
    Rows(u64),
}

/// Which windows of a grid are reported though a key has no row in them: those that begin after a row of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {
    /// And begin less than so many nanoseconds after its last; `None`: as long as there is a clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ns: Option<i64>,
}

impl Reports {
    /// Whether it is nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether some reports may be made before or after a window ends.
    pub fn have_timing(&self) -> bool {
        self.early.is_some() || self.late_ns.is_some()
    }

    /// What is wrong with it for windows of a frame.
    pub(crate) fn problem(&self, frame: Frame) -> Option<&'static str> {
        let by_time = matches!(frame, Frame::Time { .. });
        match self.early {
            Some(_) if !by_time && !matches!(frame, Frame::Session { .. }) => {
                return Some(
                    "windows by rows and sliding ones are decided by their rows; none is reported early",
                );
            }
            Some(Early::EveryNs(every)) if every <= 0 => {
                return Some("the time from one early report to the next must be longer than zero");
            }
            Some(Early::Rows(rows)) if !(1..=ROWS_MAX).contains(&rows) => {
                return Some("an early report comes with every so many rows, from one to 2^31");
            }
            _ => {}
        }
        match self.late_ns {
            Some(_) if !by_time => {
                return Some("only tumbling and hopping windows are reported again when late rows come");
            }
            Some(_) if matches!(self.early, Some(Early::Rows(_))) => {
                return Some(
                    "early reports with every so many rows count them as they come, which late ones would upset; \
                     have early reports every so often",
                );
            }
            Some(span) if span <= 0 => {
                return Some("late rows are waited for longer than zero");
            }
            _ => {}
        }
        match self.empty {
            Some(_) if !by_time => Some("only tumbling and hopping windows are there without rows"),
            Some(Empty { for_ns: Some(span) }) if span <= 0 => {
                Some("empty windows are reported for longer than zero, or for ever")
            }
            _ => None,
        }
    }
}
