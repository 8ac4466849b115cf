//! Output columns from matches.
//!
//! Every measure is evaluated over columns: its leaves (navigations, classifiers, aggregates) become arrays with one
//! element an output row, and the rest is ordinary column arithmetic.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray, UInt32Array};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use cepheid_eval::{Leaf, TypedExpr};
use cepheid_event::{EventError, OrderedRows, Table};
use cepheid_ir::{Anchor, Pattern, RowPointer, RowsPerMatch, Semantics};
use cepheid_matcher::{MatchSet, MatchView, Segment, members};

use crate::aggregates::aggregate_column;
use crate::error::EngineError;
use crate::matches::{MatchTable, Ordinals, Origin, UNMATCHED};
use crate::plan::{Measures, Plan};

/// Makes the output of a pattern's matches.
///
/// # Errors
/// Data errors of measures, and what Arrow refuses.
pub(crate) fn derive(deriving: &Deriving<'_>, origin: Origin) -> Result<MatchTable, EngineError> {
    let set = &origin.set;
    let matches = deriving.order.clone().map_or(Ordinals::All(set.len() as u32), Ordinals::Listed);
    let output = OutputRows::new(deriving.plan.pattern(), &origin.rows, set, &matches);
    let scene = Scene {
        table: deriving.table,
        rows: &origin.rows,
        set,
        output: &output,
        variables: &origin.variables,
    };
    let batch = scene.batch(deriving)?;
    let row_matches = output.matches;
    Ok(MatchTable { batch, origin: Arc::new(origin), matches, row_matches })
}

/// What is to be made of matches.
pub(crate) struct Deriving<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) measures: &'a Measures,
    /// The input, behind its own columns perhaps others that measures read.
    pub(crate) table: &'a Table,
    /// The matches in order, if that is not the order of the set.
    pub(crate) order: Option<Vec<u32>>,
    /// At most so many make the columns.
    pub(crate) threads: usize,
}

/// The rows of the output, in order.
pub(crate) struct OutputRows {
    /// The match of each; [`UNMATCHED`] for an input row that no match holds.
    pub(crate) matches: Ordinals,
    /// Which rows of the matches they show; `None`: one row a match, which shows all of it.
    shown: Option<Shown>,
    unmatched: usize,
}

/// One output row a matched row.
#[derive(Default)]
struct Shown {
    matches: Vec<u32>,
    /// Position of the input row.
    positions: Vec<u32>,
    /// Rows of the match up to and including it.
    seen: Vec<u32>,
}

impl OutputRows {
    fn new(pattern: &Pattern, rows: &OrderedRows, set: &MatchSet, order: &Ordinals) -> Self {
        let mode = pattern.rows_per_match;
        if mode == RowsPerMatch::One {
            return Self { matches: order.clone(), shown: None, unmatched: 0 };
        }
        let mut shown = Shown::default();
        if mode == RowsPerMatch::AllWithUnmatched {
            shown.add_with_unmatched(rows, set);
        } else {
            for index in order.iter() {
                shown.add_match(mode, index, set.get(index as usize));
            }
        }
        let unmatched = shown.matches.iter().filter(|index| **index == UNMATCHED).count();
        let matches = Ordinals::Listed(std::mem::take(&mut shown.matches));
        Self { matches, shown: Some(shown), unmatched }
    }

    /// Rows of the match that output row `row` has seen, itself included.
    #[inline]
    pub(crate) fn seen(&self, row: usize, found: MatchView<'_>) -> u32 {
        match &self.shown {
            Some(shown) => shown.seen[row],
            None => found.rows(),
        }
    }

    /// Positions of the input rows whose columns are shown.
    pub(crate) fn positions(&self, set: &MatchSet) -> UInt32Array {
        match &self.shown {
            Some(shown) => UInt32Array::from(shown.positions.clone()),
            None => UInt32Array::from_iter_values(self.matches.iter().map(|index| set.start(index as usize))),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.matches.len()
    }

    /// Whether there are rows that no match holds.
    pub(crate) fn has_unmatched(&self) -> bool {
        self.unmatched > 0
    }

    /// Whether each row shows the whole of one match.
    pub(crate) fn shows_whole_matches(&self) -> bool {
        self.shown.is_none()
    }
}

impl Shown {
    fn add(&mut self, index: u32, position: u32, seen: u32) {
        self.matches.push(index);
        self.positions.push(position);
        self.seen.push(seen);
    }

    fn add_match(&mut self, mode: RowsPerMatch, index: u32, found: MatchView<'_>) {
        if found.is_empty() {
            if mode != RowsPerMatch::AllOmitEmpty {
                self.add(index, found.start, 0);
            }
        } else {
            let mut seen = 0;
            for segment in found.segments() {
                for _ in 0..segment.rows {
                    seen += 1;
                    if !segment.label.excluded {
                        self.add(index, found.start + seen - 1, seen);
                    }
                }
            }
        }
    }

    /// Every partition's matches, and in their midst the rows that no match holds: such a row comes when the search
    /// passes it, before the matches that begin after it.
    fn add_with_unmatched(&mut self, rows: &OrderedRows, set: &MatchSet) {
        for (partition, matches) in set.partitions().enumerate() {
            let range = rows.partition(partition);
            // Rows before `covered` are held by a match, or have been reported.
            let mut covered = range.start;
            for index in matches {
                let found = set.get(index);
                while covered < found.start {
                    self.add(UNMATCHED, covered, 0);
                    covered += 1;
                }
                self.add_match(RowsPerMatch::AllShowEmpty, index as u32, found);
                covered = covered.max(found.start + found.rows().max(1));
            }
            for position in covered..range.end {
                self.add(UNMATCHED, position, 0);
            }
        }
    }
}

/// What the leaves of measures are read from.
pub(crate) struct Scene<'a> {
    pub(crate) table: &'a Table,
    pub(crate) rows: &'a OrderedRows,
    pub(crate) set: &'a MatchSet,
    pub(crate) output: &'a OutputRows,
    pub(crate) variables: &'a [String],
}

impl Scene<'_> {
    pub(crate) fn measure(
        &self,
        pattern: &Pattern,
        name: &str,
        measure: &TypedExpr,
    ) -> Result<ArrayRef, EngineError> {
        let failed = || EngineError::in_context(format!("measure `{name}`"));
        let slots = measure
            .leaves()
            .iter()
            .map(|leaf| match leaf {
                Leaf::Column { index, at, .. } => {
                    let members = self.named_by(pattern, at);
                    self.read_at(*index, members.as_deref(), at, || self.resolve(members.as_deref(), at))
                }
                Leaf::Classifier { at } => {
                    let positions = self.resolve(self.named_by(pattern, at).as_deref(), at);
                    Ok(self.classifiers(pattern, &positions))
                }
                Leaf::MatchNumber => Ok(self.match_numbers()),
                Leaf::Aggregate(aggregate) => aggregate_column(self, pattern, aggregate).map_err(failed()),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let values = measure.evaluate_columns(&slots, self.output.len()).map_err(failed())?;
        if self.output.unmatched == 0 {
            return Ok(values);
        }
        let unmatched: BooleanArray =
            self.output.matches.iter().map(|index| Some(index == UNMATCHED)).collect();
        Ok(arrow_select::nullif::nullif(&values, &unmatched).map_err(EventError::from)?)
    }

    /// The values of a column at positions; NULL where there is none.
    pub(crate) fn read(&self, column: usize, positions: &UInt32Array) -> Result<ArrayRef, EngineError> {
        Ok(self.rows.gather(self.table, column, positions)?)
    }

    /// The values of a column where a pointer leads to in every match, if that can be told of all at once; else at positions.
    pub(crate) fn read_at(
        &self,
        column: usize,
        members: Option<&[bool]>,
        at: &RowPointer,
        positions: impl FnOnce() -> UInt32Array,
    ) -> Result<ArrayRef, EngineError> {
        match self.read_in_every_match(column, members, at)? {
            Some(values) => Ok(values),
            None => self.read(column, &positions()),
        }
    }

    pub(crate) fn match_numbers(&self) -> ArrayRef {
        if self.set.is_numbered_in_order() && matches!(self.output.matches, Ordinals::All(_)) {
            return Arc::new(Int64Array::from_iter_values(1..=self.set.len() as i64));
        }
        let numbers = self.set.numbers();
        let number = |index: u32| (index != UNMATCHED).then(|| numbers[index as usize]);
        if self.output.unmatched > 0 {
            return Arc::new(self.output.matches.iter().map(number).collect::<Int64Array>());
        }
        Arc::new(Int64Array::from_iter_values(self.output.matches.iter().filter_map(number)))
    }

    /// Positions of the first or last rows of matches; NULL for empty and unmatched ones.
    pub(crate) fn edge_positions(&self, edge: &RowPointer) -> UInt32Array {
        if let Some(positions) = self.in_every_match(None, edge) {
            return positions;
        }
        let position = |index: u32| {
            let found = (index != UNMATCHED).then(|| self.set.get(index as usize))?;
            match edge.anchor {
                Anchor::First => (!found.is_empty()).then_some(found.start),
                Anchor::Last => found.last(),
            }
        };
        optional_positions(self.output.matches.iter().map(position))
    }

    /// Names of the variables that rows of the match were mapped to.
    fn classifiers(&self, pattern: &Pattern, positions: &UInt32Array) -> ArrayRef {
        let everyone = self.members(pattern, None);
        let mut walk = SegmentWalk::new(&everyone);
        let label = |(index, position): (u32, Option<u32>)| {
            // Only rows of a match have a position.
            let position = position?;
            let found = self.set.get(index as usize);
            let segment = walk.find(index, found, position.checked_sub(found.start)?)?;
            Some(self.variables[segment.label.variable as usize].as_str())
        };
        let names: StringArray = self.output.matches.iter().zip(positions).map(label).collect();
        Arc::new(names)
    }

    /// Which variables a name stands for, by id.
    pub(crate) fn members(&self, pattern: &Pattern, name: Option<&str>) -> Vec<bool> {
        members(pattern, self.variables, name)
    }

    /// Which variables a pointer is about; `None`: the whole run.
    fn named_by(&self, pattern: &Pattern, at: &RowPointer) -> Option<Vec<bool>> {
        at.variable.as_deref().map(|name| self.members(pattern, Some(name)))
    }

    /// The position that a pointer leads to from every output row. `members`: the variables that it is about.
    fn resolve(&self, members: Option<&[bool]>, at: &RowPointer) -> UInt32Array {
        if let Some(positions) = self.in_every_match(members, at) {
            return positions;
        }
        let whole_match = at.semantics == Semantics::Final || self.output.shown.is_none();
        // Over the whole match, all its output rows have one answer.
        let mut answered = (None, None);
        let mut walk = ScopeWalk::default();
        let resolve = |row: usize| {
            let index = self.output.matches.get(row);
            if index == UNMATCHED {
                return None;
            }
            let found = self.set.get(index as usize);
            let logical = if !whole_match {
                let seen = self.output.seen(row, found);
                match &members {
                    None => in_stretch(found.start, seen, at)?,
                    Some(members) => walk.find(index, found, seen, members, at)?,
                }
            } else {
                if answered.0 != Some(index) {
                    let answer = match &members {
                        None => in_stretch(found.start, found.rows(), at),
                        Some(members) => in_whole_match(found, members, at),
                    };
                    answered = (Some(index), answer);
                }
                answered.1?
            };
            if at.physical_offset == 0 {
                return Some(logical);
            }
            let partition = self.rows.partition(self.rows.partition_of(logical));
            let physical = i64::from(logical).checked_add(at.physical_offset)?;
            u32::try_from(physical).ok().filter(|position| partition.contains(position))
        };
        optional_positions((0..self.output.len()).map(resolve))
    }
}

/// Positions as an array. Arrow's own way from options costs a branch and a bit a row; most have no NULL.
fn optional_positions(positions: impl ExactSizeIterator<Item = Option<u32>>) -> UInt32Array {
    let mut missing = vec![];
    let values: Vec<u32> = positions
        .enumerate()
        .map(|(row, position)| {
            position.unwrap_or_else(|| {
                missing.push(row);
                0
            })
        })
        .collect();
    if missing.is_empty() {
        return UInt32Array::from(values);
    }
    let mut valid = BooleanBufferBuilder::new(values.len());
    valid.append_n(values.len(), true);
    for row in missing {
        valid.set_bit(row, false);
    }
    UInt32Array::new(values.into(), Some(NullBuffer::new(valid.finish())))
}

/// Finds the segment that holds a row of a match, remembering the last one found: rows are mostly asked for in order,
/// and the segments of a long match are not to be counted anew for each.
pub(crate) struct SegmentWalk<'a> {
    members: &'a [bool],
    /// The match at hand, and one of its segments.
    index: Option<u32>,
    segment: usize,
    /// Rows of the match before that segment: all of them, and those of `members`.
    before: u32,
    members_before: u32,
}

impl<'a> SegmentWalk<'a> {
    pub(crate) fn new(members: &'a [bool]) -> Self {
        Self { members, index: None, segment: 0, before: 0, members_before: 0 }
    }

    /// The segment of the `row`-th row of the match, from 0.
    fn find(&mut self, index: u32, found: MatchView<'_>, row: u32) -> Option<Segment> {
        if self.index != Some(index) || row < self.before {
            *self = Self { index: Some(index), ..Self::new(self.members) };
        }
        while let Some(segment) = found.segment(self.segment) {
            if row < self.before + segment.rows {
                return Some(segment);
            }
            self.before += segment.rows;
            self.members_before += if self.is_member(segment) { segment.rows } else { 0 };
            self.segment += 1;
        }
        None
    }

    fn is_member(&self, segment: Segment) -> bool {
        self.members[segment.label.variable as usize]
    }

    /// How many of the match's first `seen` rows are of `members`.
    pub(crate) fn count(&mut self, index: u32, found: MatchView<'_>, seen: u32) -> u32 {
        let Some(segment) = seen.checked_sub(1).and_then(|row| self.find(index, found, row)) else {
            return 0;
        };
        self.members_before + if self.is_member(segment) { seen - self.before } else { 0 }
    }
}

/// Finds rows of a variable in a match, remembering where it is between rows of one match.
#[derive(Default)]
struct ScopeWalk {
    /// The match at hand, and the positions of the variable's rows in it: only where several rows of a match ask.
    index: Option<u32>,
    positions: Vec<u32>,
}

impl ScopeWalk {
    fn find(
        &mut self,
        index: u32,
        found: MatchView<'_>,
        seen: u32,
        members: &[bool],
        at: &RowPointer,
    ) -> Option<u32> {
        if self.index != Some(index) {
            self.index = Some(index);
            self.positions.clear();
            let mut position = found.start;
            for segment in found.segments() {
                if members[segment.label.variable as usize] {
                    self.positions.extend(position..position + segment.rows);
                }
                position += segment.rows;
            }
        }
        let rows = self.positions.partition_point(|position| *position < found.start + seen);
        let inwards = at.logical_offset as usize;
        (inwards < rows).then(|| match at.anchor {
            Anchor::First => self.positions[inwards],
            Anchor::Last => self.positions[rows - 1 - inwards],
        })
    }
}

/// The row that a pointer leads to over `rows` rows from `start` on.
#[inline]
fn in_stretch(start: u32, rows: u32, at: &RowPointer) -> Option<u32> {
    let inwards = (at.logical_offset < rows).then_some(at.logical_offset)?;
    Some(match at.anchor {
        Anchor::First => start + inwards,
        Anchor::Last => start + rows - 1 - inwards,
    })
}

/// The row that a pointer leads to over all rows of a match: in time linear in its segments.
#[inline]
fn in_whole_match(found: MatchView<'_>, members: &[bool], at: &RowPointer) -> Option<u32> {
    let mut left = at.logical_offset;
    match at.anchor {
        Anchor::First => {
            let mut position = found.start;
            for segment in found.segments() {
                if members[segment.label.variable as usize] {
                    if left < segment.rows {
                        return Some(position + left);
                    }
                    left -= segment.rows;
                }
                position += segment.rows;
            }
        }
        Anchor::Last => {
            let mut end = found.start + found.rows();
            for segment in found.segments().rev() {
                if members[segment.label.variable as usize] {
                    if left < segment.rows {
                        return Some(end - 1 - left);
                    }
                    left -= segment.rows;
                }
                end -= segment.rows;
            }
        }
    }
    None
}
