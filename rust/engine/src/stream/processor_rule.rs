//! A function of whole batches as a rule of an engine: what it is given, and what becomes of what it gives.

use std::fmt;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use cepheid_eval::Fault;
use cepheid_event::{
    EventError, MergedBatch, MergedSchema, event_times, nanoseconds_per_step, resolve_column,
};
use cepheid_matcher::Strategy;
use cepheid_matcher::sequence::Moment;
use serde::{Deserialize, Serialize};

use super::derived::{DerivedTable, Part};
use super::event_ids::of_given;
use super::ipc::{schema_of, to_ipc};
use super::snapshot::{differ, paired, refuse};
use super::stage::Stage;
use crate::error::EngineError;

/// A function of whole batches. It is given the rows of its topic that a call releases, in the order of event time, equal times
/// in that of arrival, and never none; how many they are depends on how the input is cut.
///
/// It must give the same for the same rows: a call that is refused for another reason has asked it already.
pub trait Process: fmt::Debug + Send + Sync {
    /// What it makes of rows; `None`: nothing.
    ///
    /// # Errors
    /// Whatever it likes; the call then fails, and changes nothing.
    fn process(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>, Fault>;
}

/// A function as a rule: it reads one topic, and what it gives are events of another.
#[derive(Clone, Debug)]
pub struct Processor {
    /// Its name; `None`: that of its place among the rules.
    pub name: Option<String>,
    /// The topic whose rows it is given.
    pub topic: String,
    /// The topic of what it gives; `None`: its name.
    pub emit: Option<String>,
    /// What is asked.
    pub function: Arc<dyn Process>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ProcessorRule {
    pub(crate) name: String,
    pub(crate) topic: String,
    emit: Option<String>,
    function: Arc<dyn Process>,
    kept: Kept,
    /// How it was before the call.
    before: Option<Kept>,
}

/// What is kept between calls.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// The columns of what it gives, once it has given something, be it no row.
    output: Option<SchemaRef>,
    /// Events so far.
    given: u64,
    /// Rows so far.
    visited: u64,
}

/// What it has given, in the order of event time.
pub(crate) struct Given {
    batch: RecordBatch,
    times: ScalarBuffer<i64>,
}

/// What is kept of a processor, as plain data.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedProcessor {
    name: String,
    fingerprint: String,
    given: u64,
    visited: u64,
    /// In Arrow IPC.
    output: Option<Vec<u8>>,
}

impl Stage {
    pub(super) fn load_processors(
        &mut self,
        saved: Vec<SavedProcessor>,
        event_time: &str,
    ) -> Result<(), EngineError> {
        let given = std::mem::take(&mut self.processors);
        for (mut rule, saved) in paired(given, saved, |rule| &rule.name, |saved| &saved.name)? {
            rule.load(saved, event_time)?;
            self.processors.push(rule);
        }
        Ok(())
    }
}

impl ProcessorRule {
    /// `number`: which rule it is, for one without a name.
    pub(crate) fn new(processor: Processor, number: usize) -> Self {
        let Processor { name, topic, emit, function } = processor;
        let name = name.unwrap_or_else(|| format!("rule-{number}"));
        Self { name, topic, emit, function, kept: Kept::default(), before: None }
    }

    /// Topic of what it gives.
    pub(crate) fn emits(&self) -> &str {
        self.emit.as_deref().unwrap_or(&self.name)
    }

    /// What there is to tell versions apart by: a function cannot be looked into.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{} -> {}", self.topic, self.emits())
    }

    pub(crate) fn given(&self) -> u64 {
        self.kept.given
    }

    pub(crate) fn visited(&self) -> u64 {
        self.kept.visited
    }

    /// The columns of what it gives, and the type of its event time, once it is known.
    pub(crate) fn output(&self, event_time: &str) -> Option<(SchemaRef, DataType)> {
        let schema = self.kept.output.as_ref()?;
        let time = resolve_column(schema, event_time, false).expect("checked when it was given");
        Some((Arc::clone(schema), schema.field(time).data_type().clone()))
    }

    pub(crate) fn commit(&mut self) {
        self.before = None;
    }

    pub(crate) fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.kept = before;
        }
    }

    /// Asks the function of released rows. What it says counts once they are [taken](Self::part), or is forgotten if the call is
    /// rolled back.
    pub(crate) fn process(
        &mut self,
        rows: &MergedBatch,
        columns: &MergedSchema,
        event_time: &str,
    ) -> Result<Option<Given>, EngineError> {
        let Some(number) = columns.topic(&self.topic) else { return Ok(None) };
        let own = columns.rows_of(number, rows)?;
        if own.num_rows() == 0 {
            return Ok(None);
        }
        self.before.get_or_insert_with(|| self.kept.clone());
        self.kept.visited += own.num_rows() as u64;
        let failed = |fault| EngineError::Processor { rule: self.name.clone(), fault };
        let Some(given) = self.function.process(&own.batch).map_err(failed)? else { return Ok(None) };
        let given = with_time(given, &own, event_time).and_then(|given| in_order(given, &own, event_time));
        let given = given.map_err(|problem| self.refused(problem))?;
        let batch = self.in_known_columns(given.batch)?;
        Ok((batch.num_rows() > 0).then_some(Given { batch, times: given.times }))
    }

    fn refused(&self, problem: String) -> EngineError {
        EngineError::ProcessorOutput { rule: self.name.clone(), problem }
    }

    /// A batch in the columns that were given first.
    fn in_known_columns(&mut self, batch: RecordBatch) -> Result<RecordBatch, EngineError> {
        let known = self.kept.output.get_or_insert_with(|| {
            // Later rows may have a NULL where there is none yet.
            let fields = batch.schema_ref().fields().iter();
            let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        });
        let known = Arc::clone(known);
        let columns = known.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name())?;
            (column.data_type() == field.data_type()).then(|| Arc::clone(column))
        });
        match columns.collect::<Option<Vec<_>>>().filter(|columns| columns.len() == batch.num_columns()) {
            Some(columns) => {
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                Ok(RecordBatch::try_new_with_options(known, columns, &options).map_err(EventError::from)?)
            }
            None => Err(self.refused(format!(
                "it gave the columns ({}) at first, and now ({}); a topic keeps its columns",
                described(&known),
                described(batch.schema_ref())
            ))),
        }
    }

    /// What was given as derived events. `place`: its place among all rules.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub(crate) fn part(&mut self, given: Given, place: usize, ids: bool) -> Result<Part, EngineError> {
        let events = given.batch.num_rows();
        let first = self.kept.given;
        self.kept.given += events as u64;
        let batch = if ids {
            of_given(&self.fingerprint(), self.emits(), first, &given.batch)
                .add_to(&given.batch, |_| false)?
        } else {
            given.batch
        };
        let order = given.times.iter().map(|time| (Moment::At { time: *time, row: 0 }, None, None)).collect();
        let strategies = vec![Strategy::Processor];
        let table = DerivedTable { strategies, ..DerivedTable::new(batch, None, events) };
        Ok(Part { topic: self.emits().to_owned(), rule: place, table, order, event_of: None })
    }

    pub(super) fn save(&self) -> Result<SavedProcessor, EngineError> {
        Ok(SavedProcessor {
            name: self.name.clone(),
            fingerprint: self.fingerprint(),
            given: self.kept.given,
            visited: self.kept.visited,
            output: self.kept.output.as_ref().map(|schema| to_ipc(schema, None)).transpose()?,
        })
    }

    fn load(&mut self, saved: SavedProcessor, event_time: &str) -> Result<(), EngineError> {
        if saved.fingerprint != self.fingerprint() {
            return differ(format!("processor `{}` is of other topics", self.name));
        }
        let output = saved.output.as_deref().map(schema_of).transpose()?;
        let timed = |schema: &SchemaRef| {
            let time = resolve_column(schema, event_time, false);
            time.is_ok_and(|time| {
                cepheid_event::nanoseconds_per_step(schema.field(time).data_type()).is_some()
            })
        };
        // Python cannot be told of such a name.
        let nameable = |schema: &SchemaRef| schema.fields().iter().all(|field| !field.name().contains('\0'));
        if !output.as_ref().is_none_or(|schema| timed(schema) && nameable(schema)) {
            return refuse(format!("what `{}` gives can be no events", self.name));
        }
        self.kept = Kept { output, given: saved.given, visited: saved.visited };
        Ok(())
    }
}

/// What was given, with the event time of the rows that it was given for, one for each, if it has none of its own.
fn with_time(given: RecordBatch, rows: &MergedBatch, event_time: &str) -> Result<RecordBatch, String> {
    let schema = given.schema_ref();
    let names = schema.fields().iter().map(|field| field.name());
    if let Some((_, name)) =
        names.clone().enumerate().find(|(place, name)| names.clone().take(*place).any(|known| known == *name))
    {
        return Err(format!("it gave two columns named `{name}`; give each a name of its own"));
    }
    match resolve_column(schema, event_time, false) {
        Ok(_) => Ok(given),
        Err(error @ EventError::AmbiguousColumn { .. }) => Err(error.to_string()),
        Err(_) if given.num_rows() == rows.num_rows() || given.num_rows() == 0 => {
            let own = rows.batch.schema_ref();
            let time = resolve_column(own, event_time, false).map_err(|error| error.to_string())?;
            let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
            fields.push(Arc::new(own.field(time).clone()));
            let mut columns = given.columns().to_vec();
            columns.push(rows.batch.column(time).slice(0, given.num_rows()));
            RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| error.to_string())
        }
        Err(_) => Err(format!(
            "it gave {} rows for {} without the event time `{event_time}`; give each its own, or one row for each",
            given.num_rows(),
            rows.num_rows()
        )),
    }
}

/// The rows in the order of event time, equal times as they were given.
fn in_order(given: RecordBatch, rows: &MergedBatch, event_time: &str) -> Result<Given, String> {
    let column = resolve_column(given.schema_ref(), event_time, false).map_err(|error| error.to_string())?;
    let times = event_times(event_time, given.column(column), 0).map_err(|error| error.to_string())?;
    let first = rows.time.first().copied().expect("a processor is given rows");
    // A deadline may lie between two steps of the column that tells it.
    let step = nanoseconds_per_step(given.column(column).data_type()).unwrap_or(1);
    let told = first.saturating_sub(first.rem_euclid(step));
    if let Some(early) = times.iter().position(|time| *time < told) {
        return Err(format!(
            "row {early} of what it gave is of a time before the first row that it was given, which those who read it may \
             have passed; event times may only be put forward"
        ));
    }
    let times: ScalarBuffer<i64> = if times.iter().any(|time| *time < first) {
        times.iter().map(|time| (*time).max(first)).collect()
    } else {
        times
    };
    if times.is_sorted() {
        return Ok(Given { batch: given, times });
    }
    let mut order: Vec<u32> = (0..times.len() as u32).collect();
    order.sort_by_key(|row| times[*row as usize]);
    let times = order.iter().map(|row| times[*row as usize]).collect();
    let batch = arrow_select::take::take_record_batch(&given, &UInt32Array::from(order));
    Ok(Given { batch: batch.map_err(|error| error.to_string())?, times })
}

fn described(schema: &Schema) -> String {
    let fields = schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
    fields.collect::<Vec<_>>().join(", ")
}
