//! Which columns of a topic rules have to do with: whoever replays a history need not read the others, as long as none of its
//! rows is kept as it came.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, make_array, new_null_array};
use arrow_schema::Field;
use cepheid_ir::{RowsPerMatch, mentioned};

use super::Engine;
use super::derived::DerivedTable;
use super::event_ids;
use super::rules::AnyRule;
use crate::error::EngineError;

impl Engine {
    /// The columns of a topic that something is asked of; `None`: all, or it is not known yet what columns it has.
    ///
    /// A column is needed if a rule mentions its name anywhere, whatever it means there. All are where a rule gives rows as
    /// they came, or hands them to a function, and where rows would wait for those of other topics, or for late ones: a
    /// rule that is added meanwhile would see them.
    ///
    /// Cost: O(texts of rules).
    pub fn columns_needed(&self, topic: &str) -> Option<Vec<String>> {
        let schema = self.topic_schema(Some(topic))?;
        let others = self.buffer.stats().into_iter().any(|source| source.active && source.topic != topic);
        if self.options.lateness_ns != Some(0) || others {
            return None;
        }
        let mut named: HashSet<String> = event_ids::COLUMNS.map(str::to_owned).into();
        named.insert(self.options.event_time.to_lowercase());
        for rule in self.all_rules() {
            match rule {
                AnyRule::Pattern(rule) if rule.pattern.rows_per_match == RowsPerMatch::One => {
                    named.extend(mentioned(&rule.pattern.to_json()));
                }
                AnyRule::Window(rule) => named.extend(mentioned(&rule.spec.window.to_json())),
                AnyRule::Pattern(_) | AnyRule::Anomaly(_) | AnyRule::Processor(_) => return None,
            }
        }
        let names = schema.fields().iter().map(|field| field.name());
        let needed: Vec<String> =
            names.filter(|name| named.contains(&name.to_lowercase())).cloned().collect();
        (needed.len() < schema.fields().len()).then_some(needed)
    }

    /// Feeds rows of which no more than the columns that are needed is there, as [`push`](Self::push) would the whole rows.
    /// `None`: some of them would come out as they came, late or ahead of the guard, or would wait, so that they have to be
    /// pushed as a whole; nothing has changed.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_needed(
        &mut self,
        topic: &str,
        rows: &RecordBatch,
        now_ns: Option<i64>,
    ) -> Result<Option<Vec<(String, DerivedTable)>>, EngineError> {
        let Some(schema) = self.topic_schema(Some(topic)).filter(|_| self.buffer.listens(topic)) else {
            return Ok(None);
        };
        let column = |field: &Arc<Field>| match rows.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => nothing(field, rows.num_rows()),
        };
        let columns = schema.fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let whole = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
        // There is no value that stands for none in some nested columns without NULL.
        let Ok(whole) = whole else { return Ok(None) };
        let prepared = self.buffer.prepare(topic, &[whole], now_ns)?;
        if !prepared.is_let_out() {
            return Ok(None);
        }
        self.run(prepared).map(Some)
    }
}

/// A column that nobody reads.
fn nothing(field: &Field, rows: usize) -> ArrayRef {
    let nulls = new_null_array(field.data_type(), rows);
    if field.is_nullable() || nulls.nulls().is_none() {
        return nulls;
    }
    let values = nulls.to_data().into_builder().nulls(None).build();
    values.map_or(nulls, make_array)
}
