//! A pattern that engines may have as a rule, with what has been found out about it once.
//!
//! What is kept follows from the pattern, which never changes, and from the columns that it was last compiled for. So it is the same
//! for whoever asks, and an engine to come need not find it out again: thousands of rules are compiled once, and not once a table.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cepheid_ir::{Pattern, PatternError, SortKey};
use cepheid_matcher::Automaton;

use super::binding::{BoundColumns, topics_named, topics_read};
use super::rule::{Compiled, check_order, may_wait_for_ever, refuse_what_looks_around};
use crate::error::EngineError;

/// See the module. Clones share what is kept.
///
/// - Space: its automaton, and one plan: that for the columns it was last compiled for.
#[derive(Clone, Debug)]
pub struct PreparedPattern(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    pattern: Pattern,
    checked: OnceLock<Arc<Checked>>,
    last: Mutex<Option<Kept>>,
}

/// A pattern that streams can answer.
#[derive(Debug)]
pub(super) struct Checked {
    /// In its normal spelling, without an order: rows of a stream have one.
    pub(super) pattern: Arc<Pattern>,
    /// The order that it asks for.
    order_by: Vec<SortKey>,
    pub(super) automaton: Arc<Automaton>,
    /// Topics it reads; `None`: all.
    pub(super) topics: Option<Vec<String>>,
    /// Those that it names.
    pub(super) topics_named: Vec<String>,
    /// How many rows before a row its conditions look back at.
    pub(super) rows_before: u64,
    pub(super) fingerprint: String,
}

/// How it was compiled, and for what.
#[derive(Debug)]
struct Kept {
    compiled: Arc<Compiled>,
    bound: Arc<BoundColumns>,
    event_time: String,
}

impl From<Pattern> for PreparedPattern {
    fn from(pattern: Pattern) -> Self {
        Self(Arc::new(Prepared { pattern, checked: OnceLock::new(), last: Mutex::new(None) }))
    }
}

impl Deref for PreparedPattern {
    type Target = Pattern;

    fn deref(&self) -> &Pattern {
        &self.0.pattern
    }
}

impl PreparedPattern {
    /// Checks it for streams whose rows go by a column.
    ///
    /// # Errors
    /// [`EngineError::Pattern`] if it is impossible, or asks for what a stream cannot answer.
    pub(super) fn checked(&self, event_time: &str) -> Result<Arc<Checked>, EngineError> {
        if let Some(checked) = self.0.checked.get() {
            // Nothing else about it can be wrong.
            checked.order_by.iter().try_for_each(|key| check_order(key, event_time))?;
            return Ok(Arc::clone(checked));
        }
        let checked = Arc::new(Checked::new(&self.0.pattern, event_time)?);
        Ok(Arc::clone(self.0.checked.get_or_init(|| checked)))
    }

    /// How it was compiled for such columns, if it was so last.
    pub(super) fn compiled(&self, bound: &BoundColumns, event_time: &str) -> Option<Arc<Compiled>> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last.as_ref()?;
        let same = kept.event_time == event_time && bound.are_like(&kept.bound);
        same.then(|| Arc::clone(&kept.compiled))
    }

    /// Keeps how it was compiled, in the place of what there was.
    pub(super) fn keep(&self, compiled: &Arc<Compiled>, bound: &Arc<BoundColumns>, event_time: &str) {
        let (compiled, bound) = (Arc::clone(compiled), Arc::clone(bound));
        let kept = Kept { compiled, bound, event_time: event_time.to_owned() };
        // What was kept before is dropped when the lock is free again.
        let _before = self.0.last.lock().unwrap_or_else(PoisonError::into_inner).replace(kept);
    }
}

impl Checked {
    fn new(pattern: &Pattern, event_time: &str) -> Result<Self, EngineError> {
        let fingerprint = pattern.fingerprint();
        pattern.validate()?;
        let mut pattern = pattern.clone();
        let order_by: Vec<SortKey> = pattern.order_by.drain(..).collect();
        order_by.iter().try_for_each(|key| check_order(key, event_time))?;
        let pattern = pattern.normalise();
        if pattern.trend.is_some() {
            return Err(PatternError::Unsupported {
                construct: "an aggregation over all matches of a stream".into(),
                hint: "match tables of whole windows with it, or leave aggregate(...) out".into(),
            }
            .into());
        }
        refuse_what_looks_around(&pattern)?;
        let automaton = Arc::new(Automaton::compile(&pattern)?);
        if pattern.within.is_none() && may_wait_for_ever(&automaton) {
            return Err(PatternError::UnboundedWait.into());
        }
        Ok(Self {
            topics: topics_read(&pattern),
            topics_named: topics_named(&pattern),
            rows_before: pattern.rows_before(),
            fingerprint,
            order_by,
            automaton,
            pattern: Arc::new(pattern),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, RecordBatch, TimestampNanosecondArray};

    use super::*;
    use crate::stream::{Engine, EngineOptions};

    /// How a rule is compiled by an engine to which rows come.
    fn compiled(pattern: &PreparedPattern, columns: &[&str]) -> Arc<Compiled> {
        let options = EngineOptions { event_time: "ts".into(), ..EngineOptions::default() };
        let mut engine = Engine::new(vec![pattern.clone()], options).expect("a rule");
        let time = ("ts", Arc::new(TimestampNanosecondArray::from(vec![1])) as _);
        let others = columns.iter().map(|name| (*name, Arc::new(Int64Array::from(vec![1])) as _));
        let batch = RecordBatch::try_from_iter([time].into_iter().chain(others)).expect("one row");
        engine.push(None, &[batch], None).expect("good rows");
        Arc::clone(engine.stage.rules[0].compiled.as_ref().expect("rows have come"))
    }

    #[test]
    fn a_pattern_is_compiled_again_for_other_columns_alone() {
        let text =
            "SELECT * FROM t MATCH_RECOGNIZE (MEASURES a.x AS x PATTERN (a -> b) WITHIN INTERVAL '1' SECOND
                    DEFINE a AS x = 1, b AS x = 2)";
        let pattern = PreparedPattern::from(cepheid_sql::parse_pattern(text).expect("a pattern"));
        let first = compiled(&pattern, &["x"]);
        assert!(Arc::ptr_eq(&first, &compiled(&pattern.clone(), &["x"])), "the same columns");
        let other = compiled(&pattern, &["y", "x"]);
        assert!(!Arc::ptr_eq(&first, &other), "other columns");
        assert!(Arc::ptr_eq(&other, &compiled(&pattern, &["y", "x"])), "what came last is kept");
        assert!(!Arc::ptr_eq(&first, &compiled(&pattern, &["x"])), "and nothing else");
    }
}
