//! The state of one run: which rows its variables hold, and the running aggregates that its conditions read.
//!
//! Everything grows and shrinks by one row in O(1), so that backtracking costs no more than going on.

use std::ops::Range;

use cepheid_eval::{
    Accumulator, ColumnReader, EvalError, Leaf, SlotValues, TypedAggregate, TypedExpr, Value,
};
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{Anchor, Pattern, RowPointer, TestedRow};

use crate::automaton::{VariableId, members};
use crate::bits::Bits;
use crate::conditions::{Condition, Conditions};
use crate::error::MatchError;
use crate::masks::Masks;

/// Reads single values of the ordered rows.
pub(crate) struct RowReader<'a> {
    table: &'a Table,
    rows: &'a OrderedRows,
    /// `columns[c]`: readers of the batches of column `c`, empty where no condition reads the column.
    columns: Vec<Vec<ColumnReader>>,
}

impl<'a> RowReader<'a> {
    fn new(table: &'a Table, rows: &'a OrderedRows) -> Self {
        Self { table, rows, columns: vec![vec![]; table.schema().fields().len()] }
    }

    fn open(&mut self, column: usize) {
        if self.columns[column].is_empty() {
            let arrays = self.table.batches().iter().map(|batch| ColumnReader::new(batch.column(column)));
            self.columns[column] = arrays.collect();
        }
    }

    fn value(&self, column: usize, position: u32) -> Value {
        let arrival = self.rows.arrival(position) as usize;
        let (batch, row) = match self.columns[column].len() {
            1 => (0, arrival),
            _ => self.table.locate(arrival),
        };
        self.columns[column][batch].value(row)
    }
}

/// A pointer with its names resolved.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    /// Rows of a variable or subset; `None`: all rows of the run.
    scope: Option<usize>,
    anchor: Anchor,
    logical_offset: u32,
    physical_offset: i64,
    excluded: bool,
}

/// Where the value of a leaf comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Column(usize, Pointer),
    Classifier(Pointer),
    MatchNumber,
    Aggregate(usize),
}

/// The condition of a variable, ready to be tested on a row of a run.
enum Test<'a> {
    Always,
    Mask(&'a Bits),
    Row { condition: TypedExpr, sources: Vec<Source>, guard: Option<&'a Bits> },
}

/// The rows of the run that were mapped to one variable or subset.
struct Scope {
    /// `members[v]`: whether rows of variable `v` count.
    members: Vec<bool>,
    rows: Vec<u32>,
}

/// An aggregate over the rows of a run so far.
struct Rolling {
    members: Vec<bool>,
    includes_tested: bool,
    args: Vec<TypedExpr>,
    sources: Vec<Vec<Source>>,
    accumulator: Accumulator,
    rows: usize,
    /// The first row whose arguments could not be taken, and why: an error only if the aggregate is then asked for.
    failed: Option<(usize, EvalError)>,
    definition: TypedAggregate,
}

/// Tests rows against conditions in the light of a run.
pub(crate) struct RunState<'a> {
    reader: RowReader<'a>,
    tests: Vec<Test<'a>>,
    scopes: Vec<Scope>,
    aggregates: Vec<Rolling>,
    /// Of the aggregate at hand, kept for its room.
    arguments: Vec<Value>,
    names: Vec<Value>,
    variables: &'a [String],
    /// Variables of the run's rows.
    labels: Vec<VariableId>,
    start: u32,
    rows: u32,
    partition: Range<u32>,
    match_number: u64,
    keeps_state: bool,
}

impl<'a> RunState<'a> {
    pub(crate) fn new(
        pattern: &Pattern,
        variables: &'a [String],
        conditions: &Conditions,
        masks: &'a Masks,
        table: &'a Table,
        rows: &'a OrderedRows,
    ) -> Self {
        let mut state = Self {
            reader: RowReader::new(table, rows),
            tests: vec![],
            scopes: vec![],
            aggregates: vec![],
            arguments: vec![],
            names: variables.iter().map(|name| Value::String(name.as_str().into())).collect(),
            variables,
            labels: vec![],
            start: 0,
            rows: 0,
            partition: 0..0,
            match_number: 1,
            keeps_state: false,
        };
        for condition in &conditions.of {
            let mask = |predicate: usize| masks.of[predicate].as_ref().ok();
            let test = match condition {
                Condition::Always => Test::Always,
                Condition::Predicate(predicate) => match mask(*predicate) {
                    Some(bits) => Test::Mask(bits),
                    None => {
                        let condition = conditions.predicates[*predicate].clone();
                        let sources = state.resolve(pattern, &condition);
                        Test::Row { condition, sources, guard: None }
                    }
                },
                Condition::Run { whole, guard } => {
                    let sources = state.resolve(pattern, whole);
                    Test::Row { condition: whole.clone(), sources, guard: guard.and_then(mask) }
                }
            };
            state.tests.push(test);
        }
        let reads_run = |test: &Test<'_>| matches!(test, Test::Row { .. });
        state.keeps_state = state.tests.iter().any(reads_run);
        state
    }

    fn resolve(&mut self, pattern: &Pattern, condition: &TypedExpr) -> Vec<Source> {
        condition.leaves().iter().map(|leaf| self.source(pattern, leaf)).collect()
    }

    fn source(&mut self, pattern: &Pattern, leaf: &Leaf) -> Source {
        match leaf {
            Leaf::Column { index, at, .. } => {
                self.reader.open(*index);
                Source::Column(*index, self.pointer(pattern, at))
            }
            Leaf::Classifier { at } => Source::Classifier(self.pointer(pattern, at)),
            Leaf::MatchNumber => Source::MatchNumber,
            Leaf::Aggregate(aggregate) => Source::Aggregate(self.aggregate(pattern, aggregate)),
        }
    }

    fn pointer(&mut self, pattern: &Pattern, at: &RowPointer) -> Pointer {
        let scope = at.variable.as_deref().map(|name| {
            let members = members(pattern, self.variables, Some(name));
            match self.scopes.iter().position(|scope| scope.members == members) {
                Some(scope) => scope,
                None => {
                    self.scopes.push(Scope { members, rows: vec![] });
                    self.scopes.len() - 1
                }
            }
        });
        Pointer {
            scope,
            anchor: at.anchor,
            logical_offset: at.logical_offset,
            physical_offset: at.physical_offset,
            excluded: at.tested_row == TestedRow::Excluded,
        }
    }

    fn aggregate(&mut self, pattern: &Pattern, aggregate: &TypedAggregate) -> usize {
        if let Some(known) = self.aggregates.iter().position(|rolling| rolling.definition == *aggregate) {
            return known;
        }
        let sources = aggregate.args.iter().map(|arg| self.resolve(pattern, arg)).collect();
        let members = members(pattern, self.variables, aggregate.variable.as_deref());
        self.aggregates.push(Rolling {
            members,
            includes_tested: aggregate.tested_row == TestedRow::Included,
            args: aggregate.args.clone(),
            sources,
            accumulator: aggregate.accumulator(),
            rows: 0,
            failed: None,
            definition: aggregate.clone(),
        });
        self.aggregates.len() - 1
    }

    /// Begins a run without rows.
    pub(crate) fn begin(&mut self, start: u32, partition: Range<u32>, match_number: u64) {
        self.start = start;
        self.rows = 0;
        self.partition = partition;
        self.match_number = match_number;
        self.labels.clear();
        for scope in &mut self.scopes {
            scope.rows.clear();
        }
        for rolling in &mut self.aggregates {
            rolling.accumulator.clear();
            rolling.rows = 0;
            rolling.failed = None;
        }
    }

    /// Takes the next row for `variable` if the variable's condition holds.
    #[inline]
    pub(crate) fn take(&mut self, variable: VariableId) -> Result<bool, MatchError> {
        let row = self.start + self.rows;
        let accepted = match &self.tests[variable as usize] {
            Test::Always => true,
            Test::Mask(bits) => bits.get(row as usize),
            Test::Row { guard, .. } => {
                if guard.is_some_and(|guard| !guard.get(row as usize)) {
                    return Ok(false);
                }
                return self.take_in_run(variable, row);
            }
        };
        if accepted {
            if self.keeps_state {
                self.grow(variable, row, true);
                self.grow(variable, row, false);
            }
            self.rows += 1;
        }
        Ok(accepted)
    }

    #[cold]
    fn fail(&self, variable: VariableId, source: EvalError) -> MatchError {
        MatchError::Condition {
            variable: self.variables[variable as usize].clone(),
            source: Box::new(source),
        }
    }

    fn take_in_run(&mut self, variable: VariableId, row: u32) -> Result<bool, MatchError> {
        self.grow(variable, row, true);
        self.rows += 1;
        let Test::Row { condition, sources, .. } = &self.tests[variable as usize] else {
            unreachable!("only conditions that read the run come here")
        };
        let mut slots = Slots { state: self, sources, tested: variable };
        let accepted = condition.evaluate_condition(&mut slots);
        match accepted {
            Ok(true) => {
                self.grow(variable, row, false);
                Ok(true)
            }
            Ok(false) => {
                self.rows -= 1;
                self.shrink(variable, true);
                Ok(false)
            }
            Err(error) => Err(self.fail(variable, error)),
        }
    }

    /// Gives back the last row, which was taken for `variable`.
    #[inline]
    pub(crate) fn give_back(&mut self, variable: VariableId) {
        self.rows -= 1;
        if self.keeps_state {
            self.shrink(variable, false);
            self.shrink(variable, true);
        }
    }

    /// Adds a row: to the scopes and to the aggregates that count the row under test (`before` its condition is
    /// tested), or to the other aggregates (after).
    fn grow(&mut self, variable: VariableId, row: u32, before: bool) {
        if before {
            self.labels.push(variable);
            for scope in &mut self.scopes {
                if scope.members[variable as usize] {
                    scope.rows.push(row);
                }
            }
        }
        for index in 0..self.aggregates.len() {
            let rolling = &self.aggregates[index];
            if rolling.includes_tested != before || !rolling.members[variable as usize] {
                continue;
            }
            if rolling.failed.is_none() {
                let mut arguments = std::mem::take(&mut self.arguments);
                let outcome = self.evaluate_arguments(rolling, variable, row, &mut arguments);
                let rolling = &mut self.aggregates[index];
                match outcome {
                    Ok(()) => rolling.accumulator.push(&arguments),
                    Err(error) => rolling.failed = Some((rolling.rows, error)),
                }
                self.arguments = arguments;
            }
            self.aggregates[index].rows += 1;
        }
    }

    fn shrink(&mut self, variable: VariableId, before: bool) {
        if before {
            self.labels.pop();
            for scope in &mut self.scopes {
                if scope.members[variable as usize] {
                    scope.rows.pop();
                }
            }
        }
        for rolling in &mut self.aggregates {
            if rolling.includes_tested != before || !rolling.members[variable as usize] {
                continue;
            }
            rolling.rows -= 1;
            match &rolling.failed {
                Some((failed, _)) if *failed < rolling.rows => {}
                Some(_) => rolling.failed = None,
                None => rolling.accumulator.pop(),
            }
        }
    }

    /// Arguments of an aggregate on the row that is being added.
    fn evaluate_arguments(
        &self,
        rolling: &Rolling,
        variable: VariableId,
        row: u32,
        arguments: &mut Vec<Value>,
    ) -> Result<(), EvalError> {
        arguments.clear();
        for (arg, sources) in rolling.args.iter().zip(&rolling.sources) {
            arguments.push(arg.evaluate_row(&mut |slot: usize| {
                Ok(match sources[slot] {
                    Source::Column(column, _) => self.reader.value(column, row),
                    Source::Classifier(_) => self.names[variable as usize].clone(),
                    Source::MatchNumber => Value::Integer(self.match_number as i64),
                    Source::Aggregate(_) => unreachable!("aggregates do not nest"),
                })
            })?);
        }
        Ok(())
    }

    /// The row that a pointer leads to, if it leads to any.
    fn resolve_row(&self, pointer: Pointer, tested: VariableId) -> Option<u32> {
        let logical = match pointer.scope {
            None => {
                let rows = self.rows - u32::from(pointer.excluded);
                let inwards = pointer.logical_offset;
                (inwards < rows).then(|| match pointer.anchor {
                    Anchor::First => self.start + inwards,
                    Anchor::Last => self.start + rows - 1 - inwards,
                })?
            }
            Some(scope) => {
                let scope = &self.scopes[scope];
                let rows = scope.rows.len() - usize::from(pointer.excluded && scope.members[tested as usize]);
                let inwards = pointer.logical_offset as usize;
                (inwards < rows).then(|| match pointer.anchor {
                    Anchor::First => scope.rows[inwards],
                    Anchor::Last => scope.rows[rows - 1 - inwards],
                })?
            }
        };
        let physical = i64::from(logical).checked_add(pointer.physical_offset)?;
        u32::try_from(physical).ok().filter(|row| self.partition.contains(row))
    }
}

/// The leaves of a condition on the row under test, which is the run's last.
struct Slots<'s, 'a> {
    state: &'s RunState<'a>,
    sources: &'s [Source],
    tested: VariableId,
}

impl SlotValues for Slots<'_, '_> {
    fn slot(&mut self, index: usize) -> Result<Value, EvalError> {
        let state = self.state;
        Ok(match self.sources[index] {
            Source::Column(column, pointer) => match state.resolve_row(pointer, self.tested) {
                Some(row) => state.reader.value(column, row),
                None => Value::Null,
            },
            Source::Classifier(pointer) => {
                let row =
                    state.resolve_row(pointer, self.tested).and_then(|row| row.checked_sub(state.start));
                match row.and_then(|row| state.labels.get(row as usize)) {
                    Some(variable) => state.names[*variable as usize].clone(),
                    None => Value::Null,
                }
            }
            Source::MatchNumber => Value::Integer(state.match_number as i64),
            Source::Aggregate(aggregate) => {
                let rolling = &state.aggregates[aggregate];
                match &rolling.failed {
                    Some((_, error)) => return Err(error.clone()),
                    None => rolling.accumulator.value()?,
                }
            }
        })
    }
}
