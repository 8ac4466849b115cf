//! The pattern: which rows, in which order, and what to report of them.

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, is_false};
use crate::trend::Trend;

/// A whole pattern, from partitioning to output. Every front end lowers to this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The rule's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Columns whose equal values (NULL equals NULL) form a partition; none: one partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<ColumnName>,
    /// The order of rows in a partition; ties, and an empty list, go by arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<SortKey>,
    /// What to look for.
    pub root: PatternNode,
    /// Unions of variables, usable in expressions and as skip targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Subset>,
    /// Conditions of variables; a variable without one accepts every row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub define: Vec<Definition>,
    /// What to report of a match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Measure>,
    /// One output row a match, or one a row.
    #[serde(default)]
    pub rows_per_match: RowsPerMatch,
    /// Where the search goes on after a match.
    #[serde(default)]
    pub after_match: AfterMatchSkip,
    /// Longest time or row distance from a match's first row to its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
    /// One preferred match per start row, or every match.
    #[serde(default, skip_serializing_if = "Selection::is_first")]
    pub selection: Selection,
    /// Only a match that begins at the first row of its partition counts (SQL's `INITIAL`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub initial: bool,
    /// Whether empty matches and empty iterations are part of the language.
    pub empty_matches: EmptyMatches,
    /// Which columns the result has.
    pub output: OutputColumns,
    /// Topic of the derived events; the rule's name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit: Option<String>,
    /// Topics that variables take their rows from; a variable without one takes rows of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<VariableTopic>,
    /// Asked of a finished match: one that it does not hold for is none. Sees the match as a measure does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub having: Option<Expr>,
    /// Whether runs that the pattern's WITHIN by time ends are reported too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub timeouts: bool,
    /// Events to derive while a run is still growing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emit_at: Vec<EmitAt>,
    /// Values over all matches, in place of the matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
}

/// Where a variable's rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableTopic {
    /// The variable.
    pub variable: String,
    /// The topic.
    pub topic: String,
}

/// An intermediate output: an event derived whenever a row is accepted for a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmitAt {
    /// The variable.
    pub variable: String,
    /// Topic of the derived event.
    pub topic: String,
    /// What it reports, over the rows accepted so far, the new one included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Measure>,
}

/// A column, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnName {
    /// As written.
    pub name: String,
    /// `true`: the name must match exactly; `false`: case is forgiven where that is unique.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quoted: bool,
}

impl ColumnName {
    /// A name that was not quoted.
    pub fn unquoted(name: impl Into<String>) -> Self {
        Self { name: name.into(), quoted: false }
    }
}

/// One key of an ordering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SortKey {
    /// The column.
    pub column: ColumnName,
    /// Greatest first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub descending: bool,
    /// NULLs before all values; by default they come last, in either direction, as in Trino.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nulls_first: bool,
}

/// The row pattern itself: a regular expression over variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PatternNode {
    /// One row that satisfies the variable's condition.
    Variable(String),
    /// All steps, in order; at least two.
    Sequence(Vec<Step>),
    /// One of these, the earlier preferred; at least two.
    Alternation(Vec<PatternNode>),
    /// All of these, in any order; the order in which they are listed preferred, then lexicographically; at least two.
    Permute {
        /// The parts.
        parts: Vec<PatternNode>,
        /// The relation between one part and the next.
        #[serde(default)]
        contiguity: Contiguity,
    },
    /// A part repeated.
    Quantified {
        /// The part.
        node: Box<PatternNode>,
        /// How often.
        quantifier: Quantifier,
    },
    /// Matched, but left out of the rows that `ALL ROWS PER MATCH` reports.
    Exclusion(Box<PatternNode>),
    /// No row that satisfies the variable's condition. Its kind is the relation written before it: *strict*: the very
    /// next row does not satisfy it; otherwise no row does until the next one is accepted.
    Absent {
        /// The variable, of which no match has a row.
        variable: String,
        /// As the first step: for how long before the first row (without it: ever); as the last: for how long after
        /// the last row (without it: until the pattern's WITHIN is over). Nanoseconds, more than zero.
        #[serde(rename = "for_ns", default, skip_serializing_if = "Option::is_none")]
        for_ns: Option<i64>,
    },
    /// A part with a bound on its extent.
    Bounded {
        /// The part.
        node: Box<PatternNode>,
        /// The bound.
        within: Within,
        /// What is measured.
        #[serde(default, skip_serializing_if = "Between::is_first_to_last")]
        between: Between,
    },
    /// The start (`^`) or the end (`$`) of the partition.
    Anchor(PartitionEdge),
    /// No row: always matches.
    Empty,
}

/// One step of a sequence and how it follows the step before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// May rows lie between the step before and this one? Of no meaning, and strict, for the first step.
    #[serde(default, skip_serializing_if = "Contiguity::is_strict")]
    pub contiguity: Contiguity,
    /// The step.
    pub node: PatternNode,
}

/// May rows lie between two rows of a run?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contiguity {
    /// No: the very next row.
    #[default]
    Strict,
    /// Rows that do not satisfy the step waited for.
    SkipTillNext,
    /// Any rows.
    SkipTillAny,
}

impl Contiguity {
    fn is_strict(&self) -> bool {
        *self == Self::Strict
    }
}

/// An edge of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionEdge {
    /// Before its first row.
    Start,
    /// After its last row.
    End,
}

/// How often a part may repeat, and which number is preferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantifier {
    /// Fewest repetitions.
    pub min: u32,
    /// Most repetitions; `None`: without bound.
    pub max: Option<u32>,
    /// Under [`Selection::First`]: prefer more repetitions to fewer, as when it is not said. Under
    /// [`Selection::All`], `Some(true)`: a run that has left the part passes no row over that the part would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greedy: Option<bool>,
    /// The relation between one repetition and the next.
    #[serde(default, skip_serializing_if = "Contiguity::is_strict")]
    pub contiguity: Contiguity,
    /// A condition that ends the repetition: a row that satisfies it is never taken by the part. Of a single event it
    /// ends a loop that has begun; a group it ends altogether, in any run that is inside it or waits for its first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Box<Expr>>,
}

impl Quantifier {
    /// `min` to `max` times, nothing else said.
    pub fn new(min: u32, max: Option<u32>) -> Self {
        Self { min, max, greedy: None, contiguity: Contiguity::Strict, until: None }
    }

    /// Whether more repetitions are preferred.
    pub fn is_greedy(&self) -> bool {
        self.greedy.unwrap_or(true)
    }
}

/// Between which rows a bound is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// The part's first row and each of its others.
    #[default]
    FirstToLast,
    /// Each of the part's rows and the one before; of a single event: its row and the row accepted before it.
    Neighbours,
}

impl Between {
    fn is_first_to_last(&self) -> bool {
        *self == Self::FirstToLast
    }
}

/// A named union of variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// The variables it unites; not empty.
    pub variables: Vec<String>,
}

/// The condition of a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The variable.
    pub variable: String,
    /// A boolean; NULL does not match.
    pub condition: Expr,
}

/// A reported value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Name of the output column.
    pub name: String,
    /// Its value.
    pub value: Expr,
}

/// Shape of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsPerMatch {
    /// One row a match, empty matches included.
    #[default]
    One,
    /// One row a matched row, and one for an empty match (`SHOW EMPTY MATCHES`, the default).
    AllShowEmpty,
    /// One row a matched row, none for an empty match.
    AllOmitEmpty,
    /// As `AllShowEmpty`, and one row, with NULL measures, for every input row that no match holds.
    AllWithUnmatched,
}

/// Where the search goes on after a match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AfterMatchSkip {
    /// At the row after the match's last one.
    #[default]
    PastLastRow,
    /// At the row after the match's first one.
    ToNextRow,
    /// At a row of a variable.
    ToVariable {
        /// The variable or subset.
        variable: String,
        /// Its first row or its last.
        row: SkipRow,
        /// What if the variable has no row in the match, or its row is the match's first: `true`: an error, as in
        /// SQL; `false`: the search goes on at the next row.
        #[serde(default, skip_serializing_if = "is_false")]
        strict: bool,
    },
    /// Matches do not influence each other.
    None,
    /// Every match that a row completes is reported, then every run is forgotten.
    Consume,
}

/// Which row of a skip target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipRow {
    /// Its first row.
    First,
    /// Its last row.
    Last,
}

/// A bound on the extent of a match. The end is exclusive for time, inclusive for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Within {
    /// `last - first <` this many nanoseconds, in the time of the first order key.
    Time {
        /// More than zero.
        nanoseconds: i64,
    },
    /// `row(last) - row(first) <=` this many rows.
    Rows(u64),
    /// None, and that is meant: a stream may wait for ever.
    Unbounded,
}

/// How many matches a start row gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The most preferred one.
    #[default]
    First,
    /// Every distinct run.
    All,
}

impl Selection {
    fn is_first(&self) -> bool {
        *self == Self::First
    }
}

/// Whether a match, or an iteration of a loop, may be without rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyMatches {
    /// As in SQL. An iteration of a loop without upper bound may be empty only up to its minimum count (or as its
    /// first); after an empty iteration the loop ends.
    Allowed,
    /// As in the algebra: the empty match is no match, and every iteration takes at least one row.
    Excluded,
}

/// Which columns a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputColumns {
    /// Those of the SQL standard: for one row per match the partition columns and the measures; for all rows the
    /// partition columns, the order columns, the measures and the other input columns.
    Standard,
    /// Those of a derived event: the partition columns, `match_number`, `match_start`, `match_end`, the measures; for
    /// all rows also the other input columns.
    Derived,
}

impl PatternNode {
    /// A strict sequence; a single part stands for itself, none for the empty pattern.
    pub fn strict_sequence(parts: Vec<Self>) -> Self {
        match parts.len() {
            0 => Self::Empty,
            1 => parts.into_iter().next().expect("one part"),
            _ => Self::Sequence(
                parts.into_iter().map(|node| Step { contiguity: Contiguity::Strict, node }).collect(),
            ),
        }
    }

    /// The direct parts, in the order in which they are written.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Variable(_) | Self::Absent { .. } | Self::Anchor(_) | Self::Empty => vec![],
            Self::Sequence(steps) => steps.iter().map(|step| &step.node).collect(),
            Self::Alternation(parts) | Self::Permute { parts, .. } => parts.iter().collect(),
            Self::Quantified { node, .. } | Self::Exclusion(node) | Self::Bounded { node, .. } => vec![node],
        }
    }

    /// The direct parts, to be changed in place.
    pub fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Variable(_) | Self::Absent { .. } | Self::Anchor(_) | Self::Empty => vec![],
            Self::Sequence(steps) => steps.iter_mut().map(|step| &mut step.node).collect(),
            Self::Alternation(parts) | Self::Permute { parts, .. } => parts.iter_mut().collect(),
            Self::Quantified { node, .. } | Self::Exclusion(node) | Self::Bounded { node, .. } => vec![node],
        }
    }

    /// Calls `visit` on this part and every part below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// The variables, those of absent events too, each once, in the order of their first appearance.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut seen = std::collections::HashSet::new();
        self.walk(&mut |node| {
            if let Self::Variable(name) | Self::Absent { variable: name, .. } = node
                && seen.insert(name.as_str())
            {
                names.push(name.as_str());
            }
        });
        names
    }

    /// The variables that a match can have rows of.
    pub fn present_variables(&self) -> std::collections::HashSet<&str> {
        let mut names = std::collections::HashSet::new();
        self.walk(&mut |node| {
            if let Self::Variable(name) = node {
                names.insert(name.as_str());
            }
        });
        names
    }

    /// The variables of absent events.
    pub fn absent_variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.walk(&mut |node| {
            if let Self::Absent { variable, .. } = node {
                names.push(variable.as_str());
            }
        });
        names
    }

    /// The conditions that end loops, in the order in which they are written.
    pub fn untils(&self) -> Vec<&Expr> {
        let mut conditions = Vec::new();
        self.walk(&mut |node| {
            if let Self::Quantified { quantifier, .. } = node {
                conditions.extend(quantifier.until.as_deref());
            }
        });
        conditions
    }

    /// Whether the whole, or what some loop repeats, can be without rows: where it matters if the empty match is one.
    pub fn may_match_nothing(&self) -> bool {
        let mut found = self.may_be_empty();
        self.walk(&mut |node| {
            if let Self::Quantified { node, .. } = node {
                found |= node.may_be_empty();
            }
        });
        found
    }

    fn may_be_empty(&self) -> bool {
        match self {
            Self::Variable(_) => false,
            Self::Absent { .. } | Self::Anchor(_) | Self::Empty => true,
            Self::Sequence(steps) => steps.iter().all(|step| step.node.may_be_empty()),
            Self::Alternation(parts) => parts.iter().any(Self::may_be_empty),
            Self::Permute { parts, .. } => parts.iter().all(Self::may_be_empty),
            Self::Quantified { node, quantifier } => quantifier.min == 0 || node.may_be_empty(),
            Self::Exclusion(node) | Self::Bounded { node, .. } => node.may_be_empty(),
        }
    }

    /// Levels of nesting; a variable is 1.
    pub fn depth(&self) -> usize {
        1 + self.children().into_iter().map(Self::depth).max().unwrap_or(0)
    }
}

impl Pattern {
    /// How many rows before a row its conditions read, as they are written.
    pub fn rows_before(&self) -> u64 {
        let mut before = 0;
        let conditions = self.define.iter().map(|definition| &definition.condition);
        for condition in conditions.chain(self.root.untils()) {
            condition.walk(&mut |part| {
                if let Expr::Column { at, .. } = part {
                    before = before.max(at.physical_offset.min(0).unsigned_abs());
                }
            });
        }
        before
    }

    /// A pattern of SQL's meaning with every clause at its default.
    pub fn sql(root: PatternNode) -> Self {
        Self::with(root, EmptyMatches::Allowed, OutputColumns::Standard)
    }

    /// A pattern of the algebra's meaning with every clause at its default.
    pub fn algebra(root: PatternNode) -> Self {
        Self::with(root, EmptyMatches::Excluded, OutputColumns::Derived)
    }

    fn with(root: PatternNode, empty_matches: EmptyMatches, output: OutputColumns) -> Self {
        Self {
            name: None,
            partition_by: vec![],
            order_by: vec![],
            root,
            subsets: vec![],
            define: vec![],
            measures: vec![],
            rows_per_match: RowsPerMatch::One,
            after_match: AfterMatchSkip::PastLastRow,
            within: None,
            selection: Selection::First,
            initial: false,
            empty_matches,
            output,
            emit: None,
            topics: vec![],
            having: None,
            timeouts: false,
            emit_at: vec![],
            trend: None,
        }
    }

    /// The topic that a variable takes its rows from, if it names one.
    pub fn topic(&self, variable: &str) -> Option<&str> {
        self.topics.iter().find(|entry| entry.variable == variable).map(|entry| entry.topic.as_str())
    }

    /// The variables that a name stands for: itself, or the members of the subset.
    pub fn members<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        match self.subsets.iter().find(|subset| subset.name == name) {
            Some(subset) => subset.variables.iter().map(String::as_str).collect(),
            None => vec![name],
        }
    }

    /// The condition of a variable, if it has one.
    pub fn condition(&self, variable: &str) -> Option<&Expr> {
        self.define.iter().find(|definition| definition.variable == variable).map(|d| &d.condition)
    }
}
