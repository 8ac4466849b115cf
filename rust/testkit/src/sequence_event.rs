//! What an event sequence pattern derives from a closed input: the definition that the matcher is held to.
//!
//! `docs/developers/decisions/0005-the-meaning-of-event-sequences.md` read aloud: every run of every start row, row by
//! row and deadline by deadline. The number of runs is exponential; meant for inputs of a dozen rows.

use std::cmp::Ordering;

use cepheid_ir::{AfterMatchSkip, EmptyMatches, Measure, Pattern};

use crate::reference::{ReferenceError, resolve_columns};
use crate::reference_eval::{Scene, evaluate};
use crate::sequence_input::{MergedRows, SequenceInput, merge};
use crate::sequence_run::Setting;
use crate::sequence_timeline::{Derived, simulate};
use crate::value::RefValue;

/// What an event is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SequenceKind {
    /// A match.
    Match,
    /// A run that the pattern's WITHIN has ended.
    Timeout,
    /// Rows accepted so far, for the entry of this ordinal in the pattern's `emit_at`.
    Emitted(usize),
}

/// When something is decided: at a row, at a deadline, or at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The row's event time or the deadline; `None` where it is NULL or there is none.
    pub time: Option<i128>,
    /// The row's place in the order of all rows that the pattern sees; `None` for a deadline.
    pub row: Option<usize>,
    /// Whether only the end of the input decides.
    pub end_of_input: bool,
}

impl Ord for Moment {
    /// A deadline comes before every row of its time. Rows of NULL time stand where the order of rows has put them.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_end = self.end_of_input.cmp(&other.end_of_input);
        by_end.then_with(|| match (self.row, other.row) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => {
                let nulls_last = |moment: &Self| (moment.time.is_none(), moment.time);
                nulls_last(self).cmp(&nulls_last(other)).then(self.row.cmp(&other.row))
            }
        })
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One derived event.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceEvent {
    /// From what.
    pub kind: SequenceKind,
    /// When it is decided.
    pub moment: Moment,
    /// Ordinal of its partition, in the order of the partitions' first rows.
    pub partition: usize,
    /// Ordinal of a match among those of its partition, from 1; 0 for everything else.
    pub number: i64,
    /// Variable, topic ordinal, and row ordinal in that topic of each row, in the order of rows.
    pub members: Vec<(String, usize, usize)>,
    /// The measures, over all of `members`: those of the pattern, or of its `emit_at`.
    pub values: Vec<RefValue>,
}

/// Everything that the pattern derives from the input, in order of decision.
///
/// # Errors
/// What is wrong with the pattern or the columns it reads, and the first run-time error.
pub fn reference_sequences(
    pattern: &Pattern,
    input: &SequenceInput,
) -> Result<Vec<SequenceEvent>, ReferenceError> {
    pattern.validate()?;
    refuse_undefined(pattern)?;
    let rows = merge(pattern, input)?;
    resolve_all_columns(pattern, &rows)?;
    let topics: Vec<String> = input.topics.iter().map(|(name, _)| name.clone()).collect();
    let variables = pattern.root.variables();
    // Matches that forget others are numbered in the order in which they are considered, others as they come out.
    let considered = !matches!(pattern.after_match, AfterMatchSkip::None | AfterMatchSkip::Consume);
    let mut found: Vec<(SortKey, usize, Derived<'_>, i64)> = vec![];
    for (ordinal, partition) in rows.partitions.iter().enumerate() {
        let setting = Setting { pattern, rows: &rows, partition, topics: &topics };
        let derived = simulate(setting)?.into_iter();
        let mut in_turn: Vec<_> = derived
            .map(|derived| (SortKey::of(&derived, partition, &variables), ordinal, derived, 0))
            .collect();
        if !considered {
            in_turn.sort_by(|(left, ..), (right, ..)| left.cmp(right));
        }
        let matches = in_turn.iter_mut().filter(|(_, _, derived, _)| derived.kind == SequenceKind::Match);
        for ((.., number), ordinal) in matches.zip(1..) {
            *number = ordinal;
        }
        found.extend(in_turn);
    }
    found.sort_by(|(left, ..), (right, ..)| left.cmp(right));
    let mut events = vec![];
    for (_, ordinal, derived, number) in found {
        let partition = &rows.partitions[ordinal];
        let measures: &[Measure] = match derived.kind {
            SequenceKind::Emitted(entry) => &pattern.emit_at[entry].measures,
            _ => &pattern.measures,
        };
        let scene = Scene {
            pattern,
            table: &rows.table,
            partition,
            marks: &derived.marks,
            seen: derived.marks.len(),
            match_number: number,
        };
        let mut values = vec![];
        for measure in measures {
            values.push(evaluate(&measure.value, &scene)?);
        }
        let members = derived.marks.iter().map(|mark| {
            let (topic, row) = rows.origins[partition[mark.position]];
            (mark.variable.to_owned(), topic, row)
        });
        events.push(SequenceEvent {
            kind: derived.kind,
            moment: derived.moment,
            partition: ordinal,
            number,
            members: members.collect(),
            values,
        });
    }
    Ok(events)
}

/// The order of derived events: the moment, last row, first row, membership; kinds are topics of their own.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    moment: Moment,
    last: usize,
    first: usize,
    /// Place of each row in the order of all rows, and of its variable in the pattern.
    members: Vec<(usize, usize)>,
    kind: SequenceKind,
}

impl SortKey {
    fn of(derived: &Derived<'_>, partition: &[usize], variables: &[&str]) -> Self {
        let place = |name: &str| variables.iter().position(|variable| *variable == name);
        let members: Vec<(usize, usize)> = derived
            .marks
            .iter()
            .map(|mark| (partition[mark.position], place(mark.variable).expect("a variable of the pattern")))
            .collect();
        let (first, last) = (members[0].0, members[members.len() - 1].0);
        Self { moment: derived.moment, last, first, members, kind: derived.kind }
    }
}

/// What the rules leave open.
fn refuse_undefined(pattern: &Pattern) -> Result<(), ReferenceError> {
    if pattern.root.may_match_nothing() && pattern.empty_matches == EmptyMatches::Allowed {
        return Err(ReferenceError::Unsupported("empty matches and iterations of event sequences".into()));
    }
    Ok(())
}

/// A missing column is an error, unless there are no rows of any topic that the pattern names.
fn resolve_all_columns(pattern: &Pattern, rows: &MergedRows) -> Result<(), ReferenceError> {
    if rows.table.columns.is_empty() {
        return Ok(());
    }
    let conditions = pattern.define.iter().map(|definition| &definition.condition);
    let emitted = pattern.emit_at.iter().flat_map(|entry| &entry.measures);
    let measures = pattern.measures.iter().chain(emitted).map(|measure| &measure.value);
    let expressions = conditions.chain(measures).chain(pattern.root.untils()).chain(&pattern.having);
    resolve_columns(expressions, &rows.table)
}
