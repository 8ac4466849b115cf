//! Which rows stand out from those of their key before them.
//!
//! [`DetectorPlan`] is an anomaly rule compiled against a schema, [`DetectorState`] what it keeps between rows. Rows come in order
//! of (event time, arrival), with numbers for their keys; whoever brings them sees to that.
//!
//! - [`methods`]: how values are judged, one a file: for each key a machine that is given one row after the other.
//! - [`rolling`]: recent values in their order, on which two of them stand; [`ranks`] finds the value of a rank among these.
#![forbid(unsafe_code)]

mod compile;
mod methods;
mod ranks;
mod rolling;
mod saved;
mod state;

pub use compile::DetectorPlan;
pub use methods::Verdict;
pub use saved::SavedDetector;
pub use state::{Chunk, DetectorState};
