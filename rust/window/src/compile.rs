//! A window compiled against a schema: which aggregates are kept, and how measures are made of them.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_eval::{ColumnOf, EvalError, Leaf, RowSource, RuleError, TypedAggregate, TypedExpr};
use cepheid_event::check_window_spans;
use cepheid_ir::trend::WINDOW_COLUMNS;
use cepheid_ir::window_reports::TIMING_COLUMN;
use cepheid_ir::{AggregateFunction, Anchor, Early, Frame, PatternError, Reports, Timing, Window};

use crate::frames::Complete;
use crate::frames::tumbling::start_before;
use crate::monoid::Reading;
use crate::operators::{Kind, UserDefined};
use crate::state::Arguments;
use crate::user_aggregate::UserAggregates;

/// An aggregate that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) kind: Kind,
    args: Vec<TypedExpr>,
}

/// A value that measures are made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slot {
    pub(crate) column: usize,
    function: Option<AggregateFunction>,
    constant: Option<f64>,
    text: String,
    data_type: DataType,
    /// The first measure that asks for it.
    measure: String,
}

impl Slot {
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading {
            function: self.function,
            constant: self.constant,
            text: &self.text,
            data_type: &self.data_type,
        }
    }

    /// An error with where it belongs.
    pub(crate) fn told(&self, source: EvalError) -> RuleError {
        RuleError::Eval { context: format!("measure `{}`", self.measure), source: Box::new(source) }
    }
}

/// Where a measure finds the value of a leaf.
#[derive(Clone, Copy, Debug)]
enum Source {
    Slot(usize),
    /// A column of the row at hand.
    Row(usize),
}

#[derive(Debug)]
struct Measure {
    name: String,
    value: TypedExpr,
    sources: Vec<Source>,
}

/// The aggregate of the user's that one names.
fn user_defined(
    name: &str,
    aggregate: &TypedAggregate,
    aggregates: &UserAggregates,
) -> Result<UserDefined, EvalError> {
    match aggregates.get(name) {
        Some(known) => Ok(UserDefined::new(name, known)),
        None => Err(EvalError::InvalidCall {
            expression: aggregate.text(),
            reason: format!(
                "nobody has said what the aggregate `{name}` is; it cannot be read from text or data alone"
            ),
        }),
    }
}

/// See the module. Immutable and shareable.
#[derive(Debug)]
pub struct WindowPlan {
    frame: Frame,
    reports: Reports,
    has_timing: bool,
    row_source: RowSource,
    columns: Vec<Column>,
    slots: Vec<Slot>,
    measures: Vec<Measure>,
    output: SchemaRef,
    never_fails: bool,
}

impl WindowPlan {
    /// Compiles a window that has been validated and normalised. `event_time`: the column that rows are ordered by.
    ///
    /// # Errors
    /// [`RuleError`]: a column that there is not, types that do not fit, spans that are no whole number of the steps of the
    /// event time.
    pub fn compile(
        window: &Window,
        aggregates: &UserAggregates,
        schema: &SchemaRef,
        event_time: usize,
    ) -> Result<Self, RuleError> {
        let (keys, condition) = (&window.partition_by, window.condition.as_ref());
        let row_source = RowSource::compile("the window", keys, condition, schema, event_time)?;
        let mut spans = edge_spans(window.frame);
        if let Some(Early::EveryNs(every)) = window.reports.early {
            // An early report is an event of that time.
            spans.push(every);
        }
        if !spans.is_empty() {
            let context = "a window".into();
            check_window_spans(&spans, row_source.time_type())
                .map_err(|problem| PatternError::InvalidExpression { context, problem })?;
        }
        let mut plan = Self {
            frame: window.frame,
            reports: window.reports,
            has_timing: window.reports.have_timing(),
            row_source,
            columns: vec![],
            slots: vec![],
            measures: vec![],
            output: Arc::new(Schema::empty()),
            never_fails: false,
        };
        for measure in &window.measures {
            let context = || format!("measure `{}`", measure.name);
            let value = TypedExpr::compile(&measure.value, schema).map_err(RuleError::in_context(context))?;
            let sources = value
                .leaves()
                .iter()
                .map(|leaf| plan.source(leaf, &measure.name, aggregates))
                .collect::<Result<_, _>>()
                .map_err(RuleError::in_context(context))?;
            plan.measures.push(Measure { name: measure.name.clone(), value, sources });
        }
        plan.put_together();
        plan.output = Arc::new(Schema::new(plan.output_fields()?));
        let args = plan.columns.iter().flat_map(|column| &column.args);
        let measures = plan.measures.iter().map(|measure| &measure.value);
        plan.never_fails = plan.row_source.never_fails()
            && args.chain(measures).all(TypedExpr::never_fails)
            && plan.columns.iter().all(|column| column.kind.never_fails());
        Ok(plan)
    }

    fn source(
        &mut self,
        leaf: &Leaf,
        measure: &str,
        aggregates: &UserAggregates,
    ) -> Result<Source, EvalError> {
        let mut constant = None;
        let (kind, args, function, text) = match leaf {
            Leaf::Column { index, at, .. } if at.anchor == Anchor::Last && self.is_of_rows() => {
                return Ok(Source::Row(*index));
            }
            Leaf::Column { index, at, .. } => {
                let kind = if at.anchor == Anchor::First { Kind::First } else { Kind::Last };
                let name = self.row_source.schema().field(*index).name().clone();
                (kind, vec![self.column(*index)?], None, name)
            }
            Leaf::Aggregate(aggregate) => {
                let columns = aggregate.function.args_of_rows(aggregate.args.len());
                let (columns, constants) = aggregate.args.split_at(columns);
                let constants: Vec<f64> =
                    constants.iter().filter_map(|constant| constant.source().as_number()).collect();
                constant = constants.first().copied();
                let kind = match aggregate.user_defined_name() {
                    Some(name) => Kind::UserDefined(user_defined(&name, aggregate, aggregates)?),
                    None => Kind::of(aggregate, &constants),
                };
                let mut args = columns.to_vec();
                if matches!(kind, Kind::Decayed(_)) {
                    args.push(self.column(self.row_source.event_time())?);
                }
                (kind, args, Some(aggregate.function), aggregate.text())
            }
            Leaf::Classifier { .. } | Leaf::MatchNumber => unreachable!("validated: a window has no matches"),
        };
        let wanted = Column { kind, args };
        let column = self.columns.iter().position(|known| *known == wanted).unwrap_or_else(|| {
            self.columns.push(wanted);
            self.columns.len() - 1
        });
        let data_type = leaf.data_type();
        let known = |slot: &Slot| {
            (slot.column, slot.function, slot.constant) == (column, function, constant)
                && slot.data_type == data_type
        };
        let slot = self.slots.iter().position(known).unwrap_or_else(|| {
            let measure = measure.to_owned();
            self.slots.push(Slot { column, function, constant, text, data_type, measure });
            self.slots.len() - 1
        });
        Ok(Source::Slot(slot))
    }

    /// A column of the table as an expression.
    fn column(&self, index: usize) -> Result<TypedExpr, EvalError> {
        let schema = self.row_source.schema();
        let name = schema.field(index).name().clone();
        TypedExpr::compile(&cepheid_ir::Expr::Column { name, quoted: true, at: Default::default() }, schema)
    }

    /// Keeps aggregates of the same argument together where that is cheaper.
    fn put_together(&mut self) {
        let mut first = 0;
        while first < self.columns.len() {
            let own = &self.columns[first];
            let floats = own
                .args
                .first()
                .is_some_and(|arg| matches!(arg.data_type(), DataType::Float32 | DataType::Float64));
            let pair = (first + 1..self.columns.len())
                .filter(|other| self.columns[*other].args == own.args)
                .find_map(|other| Some((other, own.kind.together(&self.columns[other].kind, floats)?)));
            let Some((other, kind)) = pair else {
                first += 1;
                continue;
            };
            self.columns[first].kind = kind;
            self.columns.remove(other);
            for slot in &mut self.slots {
                if slot.column == other {
                    slot.column = first;
                }
                slot.column -= usize::from(slot.column > other);
            }
        }
        let rows = self.columns.iter().position(|column| column.kind == Kind::Rows);
        let counts = |column: &Column| column.kind.with_rows(rows?);
        let counting = self.columns.iter().enumerate().find_map(|(column, own)| Some((column, counts(own)?)));
        if let (Some(rows), Some((column, kind))) = (rows, counting) {
            self.columns[column].kind = kind;
            self.columns.remove(rows);
            for slot in &mut self.slots {
                if slot.column == rows {
                    slot.column = column;
                }
                slot.column -= usize::from(slot.column > rows);
            }
        }
    }

    fn output_fields(&self) -> Result<Vec<Field>, RuleError> {
        let mut fields: Vec<Field> = self.row_source.key_fields().collect();
        let time = self.row_source.time_field();
        if self.is_of_rows() {
            fields.push(time.clone());
        } else {
            fields.extend(WINDOW_COLUMNS.map(|name| Field::new(name, time.data_type().clone(), true)));
        }
        if self.has_timing {
            fields.push(Field::new(TIMING_COLUMN, DataType::Utf8, true));
        }
        for measure in &self.measures {
            fields.push(Field::new(&measure.name, measure.value.data_type().clone(), true));
        }
        let taken =
            |place: &usize| fields[..*place].iter().any(|known| known.name() == fields[*place].name());
        match (0..fields.len()).find(taken) {
            None => Ok(fields),
            Some(place) => Err(PatternError::MeasureNameTaken { name: fields[place].name().clone() }.into()),
        }
    }

    /// Which rows share a window.
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// What is reported beside windows that have ended.
    pub fn reports(&self) -> Reports {
        self.reports
    }

    /// The same over rows none of which is late.
    #[must_use]
    pub fn without_late_rows(mut self) -> Self {
        self.reports.late_ns = None;
        self
    }

    /// Whether late rows are put to windows.
    pub fn takes_late_rows(&self) -> bool {
        self.reports.late_ns.is_some()
    }

    /// The column that says of so many reports when they are made (`timings` is empty if all are when windows end); `None`: the
    /// window asks for no other.
    pub fn timings(&self, timings: &[Timing], reports: usize) -> Option<ArrayRef> {
        let all = (0..reports).map(|report| timings.get(report).unwrap_or(&Timing::OnTime).name());
        self.has_timing.then(|| Arc::new(StringArray::from_iter_values(all)) as ArrayRef)
    }

    /// Whether each window is that of a row.
    pub fn is_of_rows(&self) -> bool {
        !self.frame.has_bounds()
    }

    /// Which rows it is about.
    pub fn row_source(&self) -> &RowSource {
        &self.row_source
    }

    /// The columns of what is reported: keys, then the window's start and end, or the time of its row, then when it is
    /// reported, if some are not when windows end, then measures.
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether windows of a grid leave gaps, so that some rows are in none.
    pub fn has_gaps(&self) -> bool {
        matches!(self.frame, Frame::Time { size_ns, every_ns, .. } if every_ns > size_ns)
    }

    /// Whether no value can raise an error: sums of integers apart, which may grow past 64 bits.
    pub(crate) fn never_fails(&self) -> bool {
        self.never_fails
    }

    /// The greatest of the integers that are to be summed up, whatever their sign.
    pub(crate) fn greatest_summed(&self, args: &Arguments) -> u64 {
        let summed = |column: &usize| {
            self.columns[*column].kind == Kind::IntegerSum
                && self
                    .slots
                    .iter()
                    .any(|slot| slot.column == *column && slot.function == Some(AggregateFunction::Sum))
        };
        let summed = (0..self.columns.len()).filter(summed);
        summed.map(|column| crate::operators::greatest(&args.of[column][0])).max().unwrap_or(0)
    }

    /// What aggregates are of, one value for each of the rows. `times`: theirs, in order; `column`: the values of a column, for
    /// each of them.
    ///
    /// # Errors
    /// Of a value that an expression cannot take, or of a time whose windows begin or end where the 64 bits of nanoseconds do not
    /// reach.
    pub fn arguments(&self, times: &[i64], column: ColumnOf<'_>) -> Result<Arguments, RuleError> {
        let rows = times.len();
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            self.check_edges(*first, *last)?;
        }
        let mut known: Vec<(&TypedExpr, ArrayRef)> = vec![];
        let mut all = Vec::with_capacity(self.columns.len());
        for (number, own) in self.columns.iter().enumerate() {
            let mut args = Vec::with_capacity(own.args.len());
            for arg in &own.args {
                let array = match known.iter().find(|(other, _)| *other == arg) {
                    Some((_, array)) => Arc::clone(array),
                    None => {
                        let array = arg.evaluate_columns(&arg.slots(column)?, rows).map_err(|error| {
                            let slot = self.slots.iter().find(|slot| slot.column == number);
                            slot.expect("an aggregate is kept for a slot").told(error)
                        })?;
                        known.push((arg, Arc::clone(&array)));
                        array
                    }
                };
                args.push(array);
            }
            all.push(args);
        }
        Ok(Arguments::new(all))
    }

    /// Checks that the windows of rows from the first to the last of these times begin and end within 64 bits.
    fn check_edges(&self, first: i64, last: i64) -> Result<(), RuleError> {
        let (first, last) = (i128::from(first), i128::from(last));
        let (start, end) = match self.frame {
            Frame::Time { size_ns, every_ns, offset_ns } => {
                let (size, every) = (i128::from(size_ns), i128::from(every_ns));
                let start_of = |time| start_before(time, every_ns, offset_ns);
                // The first window that ends behind the first row, and the last that begins no later than the last.
                (start_of(first - size) + every, start_of(last) + size)
            }
            Frame::Session { gap_ns } => (first, last + i128::from(gap_ns)),
            Frame::Range { .. } | Frame::Rows { .. } => return Ok(()),
        };
        for (edge, name) in [start, end].into_iter().zip(WINDOW_COLUMNS) {
            if i64::try_from(edge).is_err() {
                let overflow =
                    EvalError::Overflow { expression: name.into(), data_type: "64 bits of nanoseconds" };
                return Err(RuleError::in_context(|| "the windows of a row".into())(overflow));
            }
        }
        Ok(())
    }

    /// The measures of windows that are complete. `column`: where windows are those of rows, the values of a column of these.
    pub(crate) fn measures(
        &self,
        complete: &Complete,
        column: ColumnOf<'_>,
    ) -> Result<Vec<ArrayRef>, RuleError> {
        let rows = complete.keys.len();
        let value = |measure: &Measure| {
            let slot = |source: &Source| match source {
                Source::Slot(slot) => Ok(Arc::clone(&complete.values[*slot])),
                Source::Row(index) => column(*index),
            };
            let slots: Vec<ArrayRef> = measure.sources.iter().map(slot).collect::<Result<_, _>>()?;
            let context = || format!("measure `{}`", measure.name);
            measure.value.evaluate_columns(&slots, rows).map_err(RuleError::in_context(context))
        };
        self.measures.iter().map(value).collect()
    }
}

/// The spans of time that starts and ends of windows are made with.
fn edge_spans(frame: Frame) -> Vec<i64> {
    match frame {
        Frame::Time { size_ns, every_ns, offset_ns } => vec![size_ns, every_ns, offset_ns],
        Frame::Session { gap_ns } => vec![gap_ns],
        Frame::Range { .. } | Frame::Rows { .. } => vec![],
    }
}
