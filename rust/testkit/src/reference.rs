//! The definition of a match: everything is tried, in order of preference, and the first that is complete wins.
//!
//! Written to be read next to the rules of ISO/IEC 19075-5, not to be fast: the search is exponential, and meant for
//! tables of a dozen rows.

use cepheid_ir::{
    AfterMatchSkip, Contiguity, EmptyMatches, Expr, PartitionEdge, Pattern, PatternError, PatternNode,
    Quantifier, Selection, SkipRow, Within,
};

use crate::reference_eval::{Scene, evaluate_condition};
use crate::reference_output;
use crate::reference_table::ReferenceTable;
use crate::value::RefValue;

pub use crate::reference_output::reference_query;

/// Search steps after which the reference gives up on one start row.
pub const STEPS_MAX: u64 = 300_000;

/// Everything a pattern says about a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceOutput {
    /// Names of the output columns.
    pub columns: Vec<String>,
    /// Output rows, partitions in order of first appearance.
    pub rows: Vec<Vec<RefValue>>,
    /// Matches in the same order, empty ones included.
    pub matches: Vec<ReferenceMatch>,
}

/// One match.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceMatch {
    /// Arrival ordinal of the row at which the search began.
    pub start: usize,
    /// Variable and arrival ordinal of each row, in the order of the partition, rows inside exclusions included.
    pub members: Vec<(String, usize)>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The pattern says something impossible.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A column that does not exist.
    #[error("no column `{name}`")]
    UnknownColumn {
        /// The name.
        name: String,
    },
    /// A column name that fits several.
    #[error("`{name}` fits several columns")]
    AmbiguousColumn {
        /// The name.
        name: String,
    },
    /// The skip target has no row in the match.
    #[error("AFTER MATCH SKIP: `{variable}` has no row in the match")]
    SkipTargetMissing {
        /// The target.
        variable: String,
    },
    /// The skip target is the first row of the match: the search would never end.
    #[error("AFTER MATCH SKIP: `{variable}` is the first row of the match")]
    SkipTargetIsFirstRow {
        /// The target.
        variable: String,
    },
    /// A number that its type cannot hold.
    #[error("overflow")]
    Overflow,
    /// An integer or decimal divided by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A value that does not convert.
    #[error("invalid cast")]
    InvalidCast,
    /// Operands of types that do not go together.
    #[error("type mismatch: {0}")]
    TypeMismatch(String),
    /// A column that cannot be the event time.
    #[error("column type: {0}")]
    ColumnType(String),
    /// A row without an event time, where every row must have one.
    #[error("row {row} has no event time")]
    NullTime {
        /// Its ordinal in its topic.
        row: usize,
    },
    /// Something the reference does not define.
    #[error("the reference does not define {0}")]
    Unsupported(String),
    /// More than [`STEPS_MAX`] steps from one start row.
    #[error("too many steps")]
    TooManySteps,
}

impl ReferenceError {
    /// The code that the engine gives for the same mistake.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pattern(error) => error.code(),
            Self::UnknownColumn { .. } => "unknown-column",
            Self::AmbiguousColumn { .. } => "ambiguous-column",
            Self::SkipTargetMissing { .. } => "skip-target-missing",
            Self::SkipTargetIsFirstRow { .. } => "skip-target-is-first-row",
            Self::Overflow => "overflow",
            Self::DivisionByZero => "division-by-zero",
            Self::InvalidCast => "invalid-cast",
            Self::TypeMismatch(_) => "type-mismatch",
            Self::ColumnType(_) => "column-type",
            Self::NullTime { .. } => "null-time",
            Self::Unsupported(_) => "unsupported",
            Self::TooManySteps => "too-many-steps",
        }
    }
}

/// A row of the match being grown.
#[derive(Clone, Debug)]
pub(crate) struct Mark<'a> {
    /// Place of the row in its ordered partition.
    pub(crate) position: usize,
    pub(crate) variable: &'a str,
    pub(crate) excluded: bool,
}

/// What one search found: the preferred match from a start position.
pub(crate) type Found<'a> = Option<Vec<Mark<'a>>>;

/// Finds the matches of a table and builds their output.
///
/// # Errors
/// Whatever is wrong with the pattern, and the first run-time error that the search meets.
pub fn reference_matches(
    pattern: &Pattern,
    table: &ReferenceTable,
) -> Result<ReferenceOutput, ReferenceError> {
    pattern.validate()?;
    refuse_gaps(pattern)?;
    let conditions = pattern.define.iter().map(|definition| &definition.condition);
    resolve_columns(conditions.chain(pattern.measures.iter().map(|measure| &measure.value)), table)?;
    let mut output =
        ReferenceOutput { columns: reference_output::columns(pattern, table)?, ..Default::default() };
    for partition in partitions(pattern, table)? {
        match_partition(pattern, table, &partition, &mut output)?;
    }
    Ok(output)
}

/// Searches from the first row on; each match says where the next search begins.
fn match_partition(
    pattern: &Pattern,
    table: &ReferenceTable,
    partition: &[usize],
    output: &mut ReferenceOutput,
) -> Result<(), ReferenceError> {
    let mut number = 0;
    let mut start = 0;
    // Rows before this one are in a match already: they are not unmatched even if a later search from them fails.
    let mut matched_up_to = 0;
    while start < partition.len() {
        let searched = !pattern.initial || start == 0;
        let found = if searched { search(pattern, table, partition, start, number + 1)? } else { None };
        let Some(marks) = found else {
            if start >= matched_up_to {
                reference_output::emit_unmatched(pattern, table, partition[start], output)?;
            }
            start += 1;
            continue;
        };
        number += 1;
        output.matches.push(ReferenceMatch {
            start: partition[start],
            members: marks.iter().map(|mark| (mark.variable.to_owned(), partition[mark.position])).collect(),
        });
        let scene =
            Scene { pattern, table, partition, marks: &marks, seen: marks.len(), match_number: number };
        reference_output::emit_match(&scene, start, output)?;
        matched_up_to = matched_up_to.max(start + marks.len());
        start = next_start(pattern, start, &marks)?;
    }
    Ok(())
}

/// `AFTER MATCH SKIP`.
fn next_start(pattern: &Pattern, start: usize, marks: &[Mark<'_>]) -> Result<usize, ReferenceError> {
    match &pattern.after_match {
        // An empty match has no last row: the next row it is, or the search would not move.
        AfterMatchSkip::PastLastRow => Ok(start + marks.len().max(1)),
        AfterMatchSkip::ToNextRow => Ok(start + 1),
        AfterMatchSkip::ToVariable { variable, row, strict } => {
            let members = pattern.members(variable);
            let mut rows =
                marks.iter().filter(|mark| members.contains(&mark.variable)).map(|mark| mark.position);
            let target = match row {
                SkipRow::First => rows.next(),
                SkipRow::Last => rows.next_back(),
            };
            match target {
                Some(position) if position > start => Ok(position),
                _ if !strict => Ok(start + 1),
                None => Err(ReferenceError::SkipTargetMissing { variable: variable.clone() }),
                Some(_) => Err(ReferenceError::SkipTargetIsFirstRow { variable: variable.clone() }),
            }
        }
        AfterMatchSkip::None | AfterMatchSkip::Consume => {
            Err(ReferenceError::Unsupported("AFTER MATCH without SKIP".into()))
        }
    }
}

/// The preferred match that begins at `start`.
fn search<'a>(
    pattern: &'a Pattern,
    table: &'a ReferenceTable,
    partition: &'a [usize],
    start: usize,
    match_number: i64,
) -> Result<Found<'a>, ReferenceError> {
    let mut search =
        Search { pattern, table, partition, start, match_number, marks: vec![], exclusions: 0, steps: 0 };
    let complete = search.explore(&pattern.root, &mut |search| {
        Ok(pattern.empty_matches == EmptyMatches::Allowed || !search.marks.is_empty())
    })?;
    Ok(complete.then_some(search.marks))
}

/// What is to match after the part at hand; true once the whole match is complete.
type Rest<'r, 'a> = &'r mut dyn FnMut(&mut Search<'a>) -> Result<bool, ReferenceError>;

/// A search from one start row: the rows taken so far.
struct Search<'a> {
    pattern: &'a Pattern,
    table: &'a ReferenceTable,
    partition: &'a [usize],
    start: usize,
    match_number: i64,
    marks: Vec<Mark<'a>>,
    /// Exclusions around the part at hand.
    exclusions: usize,
    steps: u64,
}

impl<'a> Search<'a> {
    /// The next row to take.
    fn position(&self) -> usize {
        self.start + self.marks.len()
    }

    /// Matches `node`, then `rest`, trying in order of preference. On success the marks stay; on failure they are as
    /// they were.
    fn explore(&mut self, node: &'a PatternNode, rest: Rest<'_, 'a>) -> Result<bool, ReferenceError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(ReferenceError::TooManySteps);
        }
        match node {
            PatternNode::Absent { .. } => Err(ReferenceError::Unsupported("absence in row patterns".into())),
            PatternNode::Bounded { .. } => {
                Err(ReferenceError::Unsupported("bounds of parts in row patterns".into()))
            }
            PatternNode::Empty => rest(self),
            PatternNode::Anchor(PartitionEdge::Start) => Ok(self.position() == 0 && rest(self)?),
            PatternNode::Anchor(PartitionEdge::End) => {
                Ok(self.position() == self.partition.len() && rest(self)?)
            }
            PatternNode::Variable(variable) => self.take_row(variable, rest),
            PatternNode::Sequence(steps) => {
                let nodes: Vec<&PatternNode> = steps.iter().map(|step| &step.node).collect();
                self.explore_all(&nodes, rest)
            }
            PatternNode::Alternation(parts) => {
                for part in parts {
                    if self.explore(part, rest)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            PatternNode::Permute { parts, .. } => {
                for order in permutations(parts.len()) {
                    let nodes: Vec<&PatternNode> = order.into_iter().map(|index| &parts[index]).collect();
                    if self.explore_all(&nodes, rest)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            PatternNode::Exclusion(inner) => {
                self.exclusions += 1;
                let complete = self.explore(inner, &mut |search| {
                    // What follows the part is outside of it, and what is tried next after a failure inside again.
                    search.exclusions -= 1;
                    let complete = rest(search)?;
                    search.exclusions += 1;
                    Ok(complete)
                })?;
                self.exclusions -= 1;
                Ok(complete)
            }
            PatternNode::Quantified { node, quantifier } => match quantifier.max {
                Some(max) => self.copies(node, quantifier, max, 0, rest),
                None if quantifier.min == 0 => {
                    let enter =
                        |search: &mut Self, rest: Rest<'_, 'a>| search.iterations(node, quantifier, 1, rest);
                    self.prefer(quantifier.is_greedy(), enter, rest)
                }
                None => self.iterations(node, quantifier, 1, rest),
            },
        }
    }

    fn explore_all(&mut self, nodes: &[&'a PatternNode], rest: Rest<'_, 'a>) -> Result<bool, ReferenceError> {
        match nodes {
            [] => rest(self),
            [first, others @ ..] => self.explore(first, &mut |search| search.explore_all(others, rest)),
        }
    }

    /// The next row, if its variable's condition holds with the row added to the match.
    fn take_row(&mut self, variable: &'a str, rest: Rest<'_, 'a>) -> Result<bool, ReferenceError> {
        let position = self.position();
        if position == self.partition.len() {
            return Ok(false);
        }
        self.marks.push(Mark { position, variable, excluded: self.exclusions > 0 });
        let complete = self.within_bounds()? && self.condition_holds(variable)? && rest(self)?;
        if !complete {
            self.marks.pop();
        }
        Ok(complete)
    }

    fn condition_holds(&self, variable: &str) -> Result<bool, ReferenceError> {
        let Some(condition) = self.pattern.condition(variable) else { return Ok(true) };
        evaluate_condition(
            condition,
            &Scene {
                pattern: self.pattern,
                table: self.table,
                partition: self.partition,
                marks: &self.marks,
                seen: self.marks.len(),
                match_number: self.match_number,
            },
        )
    }

    /// `WITHIN`, as one more condition on the row just taken.
    fn within_bounds(&self) -> Result<bool, ReferenceError> {
        let position = self.start + self.marks.len() - 1;
        match self.pattern.within {
            None => Ok(true),
            Some(Within::Unbounded) => Ok(true),
            Some(Within::Rows(rows)) => Ok((position - self.start) as u64 <= rows),
            Some(Within::Time { nanoseconds }) => {
                let (first, last) = (self.time(self.start)?, self.time(position)?);
                Ok(
                    matches!((first, last), (Some(first), Some(last)) if last - first < i128::from(nanoseconds)),
                )
            }
        }
    }

    /// Event time of a row in nanoseconds, from the first order key; `None` where that is NULL.
    fn time(&self, position: usize) -> Result<Option<i128>, ReferenceError> {
        let key = self.pattern.order_by.first().filter(|key| !key.descending);
        let key = key.ok_or(PatternError::WithinNeedsOrder)?;
        let column = self.table.column_index(&key.column.name, key.column.quoted)?;
        match &self.table.rows[self.partition[position]][column] {
            RefValue::Null => Ok(None),
            RefValue::Timestamp(nanoseconds) => Ok(Some(i128::from(*nanoseconds))),
            RefValue::Date(days) => Ok(Some(i128::from(*days) * 86_400_000_000_000)),
            other => Err(ReferenceError::TypeMismatch(format!("WITHIN by time over {other}"))),
        }
    }

    /// One part preferred (`enter`) or passed over, in the order that greediness says.
    fn prefer(
        &mut self,
        greedy: bool,
        enter: impl Fn(&mut Self, Rest<'_, 'a>) -> Result<bool, ReferenceError>,
        rest: Rest<'_, 'a>,
    ) -> Result<bool, ReferenceError> {
        if greedy && enter(self, rest)? {
            return Ok(true);
        }
        Ok(rest(self)? || (!greedy && enter(self, rest)?))
    }

    /// `{min,max}`: copies written out, `X X (X (X)?)?`; `done` of them are behind.
    fn copies(
        &mut self,
        node: &'a PatternNode,
        quantifier: &'a Quantifier,
        max: u32,
        done: u32,
        rest: Rest<'_, 'a>,
    ) -> Result<bool, ReferenceError> {
        if done == max {
            return rest(self);
        }
        let another = |search: &mut Self, rest: Rest<'_, 'a>| {
            let before = search.marks.len();
            search.explore(node, &mut |search| {
                if search.marks.len() == before && search.pattern.empty_matches == EmptyMatches::Excluded {
                    return Ok(false);
                }
                search.copies(node, quantifier, max, done + 1, rest)
            })
        };
        if done < quantifier.min {
            another(self, rest)
        } else {
            self.prefer(quantifier.is_greedy(), another, rest)
        }
    }

    /// A loop without upper bound, from its iteration number `iteration` on.
    ///
    /// Up to its minimum count, or as its first, an iteration may be empty. If the last of these was empty the loop
    /// ends there. A later iteration must take a row. In the algebra every iteration must.
    fn iterations(
        &mut self,
        node: &'a PatternNode,
        quantifier: &'a Quantifier,
        iteration: u32,
        rest: Rest<'_, 'a>,
    ) -> Result<bool, ReferenceError> {
        let obligatory = quantifier.min.max(1);
        let before = self.marks.len();
        self.explore(node, &mut |search| {
            let empty = search.marks.len() == before;
            if empty && (iteration > obligatory || search.pattern.empty_matches == EmptyMatches::Excluded) {
                return Ok(false);
            }
            if iteration < obligatory {
                return search.iterations(node, quantifier, iteration + 1, rest);
            }
            if empty {
                return rest(search);
            }
            let again = |search: &mut Self, rest: Rest<'_, 'a>| {
                search.iterations(node, quantifier, iteration + 1, rest)
            };
            search.prefer(quantifier.is_greedy(), again, rest)
        })
    }
}

/// The orders of `count` things, lexicographically.
pub(crate) fn permutations(count: usize) -> Vec<Vec<usize>> {
    fn extend(chosen: &mut Vec<usize>, count: usize, all: &mut Vec<Vec<usize>>) {
        if chosen.len() == count {
            all.push(chosen.clone());
        }
        for index in 0..count {
            if !chosen.contains(&index) {
                chosen.push(index);
                extend(chosen, count, all);
                chosen.pop();
            }
        }
    }
    let mut all = vec![];
    extend(&mut vec![], count, &mut all);
    all
}

/// Rows of equal keys together, in order of first appearance; within each the order of `ORDER BY`, ties by arrival.
fn partitions(pattern: &Pattern, table: &ReferenceTable) -> Result<Vec<Vec<usize>>, ReferenceError> {
    let mut keys = vec![];
    for column in &pattern.partition_by {
        keys.push(table.column_index(&column.name, column.quoted)?);
    }
    let mut order = vec![];
    for key in &pattern.order_by {
        order.push((table.column_index(&key.column.name, key.column.quoted)?, key));
    }
    let cell = |row: usize, column: usize| &table.rows[row][column];
    let mut partitions: Vec<Vec<usize>> = vec![];
    for row in 0..table.rows.len() {
        let same_key =
            |other: usize| keys.iter().all(|&key| cell(row, key).total_order(cell(other, key)).is_eq());
        match partitions.iter_mut().find(|partition| same_key(partition[0])) {
            Some(partition) => partition.push(row),
            None => partitions.push(vec![row]),
        }
    }
    for partition in &mut partitions {
        partition.sort_by(|&left, &right| {
            let compare = |(column, key): &(usize, &cepheid_ir::SortKey)| {
                cell(left, *column).sort_order(cell(right, *column), key.descending, key.nulls_first)
            };
            order.iter().map(compare).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
    }
    Ok(partitions)
}

fn refuse_gaps(pattern: &Pattern) -> Result<(), ReferenceError> {
    let mut strict = pattern.selection == Selection::First;
    pattern.root.walk(&mut |node| {
        strict &= match node {
            PatternNode::Sequence(steps) => steps.iter().all(|step| step.contiguity == Contiguity::Strict),
            PatternNode::Permute { contiguity, .. } => *contiguity == Contiguity::Strict,
            PatternNode::Quantified { quantifier, .. } => quantifier.contiguity == Contiguity::Strict,
            _ => true,
        };
    });
    if strict { Ok(()) } else { Err(ReferenceError::Unsupported("gaps and ALL MATCHES".into())) }
}

/// A missing column is an error even where no row would read it.
pub(crate) fn resolve_columns<'e>(
    expressions: impl Iterator<Item = &'e Expr>,
    table: &ReferenceTable,
) -> Result<(), ReferenceError> {
    let mut resolved = Ok(());
    for expression in expressions {
        expression.walk(&mut |expr| {
            if let Expr::Column { name, quoted, .. } = expr
                && resolved.is_ok()
            {
                resolved = table.column_index(name, *quoted).map(|_| ());
            }
        });
    }
    resolved
}
