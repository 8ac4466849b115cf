//! Expressions: conditions of variables, measures, and the expressions of an outer `SELECT`.
//!
//! One tree serves every front end. What differs between SQL and the Python algebra (whether the row under test
//! already belongs to its variable) is written in the tree itself, in [`RowPointer::tested_row`], so that the
//! evaluator never asks which front end a tree came from.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use crate::function::{AggregateFunction, Function};
use crate::literal::{DataType, Literal};

/// Most expressions have no more sub-expressions than this, and those that ask for these need no memory of their own.
const OPERANDS: usize = 3;

/// A typed-by-inference expression with SQL three-valued logic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// A column of the row that `at` points to; NULL where it points to no row.
    Column {
        /// Column name, as written.
        name: String,
        /// `true`: the name was quoted in SQL and must match exactly. `false`: an exact match is preferred, then a
        /// unique match without regard to case.
        #[serde(default, skip_serializing_if = "is_false")]
        quoted: bool,
        /// Which row of the match (or, in an aggregate's argument, of the aggregated rows: always the default).
        #[serde(default, skip_serializing_if = "RowPointer::is_default")]
        at: RowPointer,
    },
    /// The name of the variable that the row at `at` was mapped to; NULL where it points to no row of the match.
    Classifier {
        /// Which row.
        #[serde(default, skip_serializing_if = "RowPointer::is_default")]
        at: RowPointer,
    },
    /// The ordinal of the match within its partition, from 1.
    MatchNumber,
    /// An aggregate over rows of the match.
    Aggregate(Aggregate),
    /// Arithmetic negation.
    Negate(Box<Expr>),
    /// A binary operation.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Conjunction of two or more conditions, evaluated left to right, stopping at the first that is false.
    And(Vec<Expr>),
    /// Disjunction of two or more conditions, evaluated left to right, stopping at the first that is true.
    Or(Vec<Expr>),
    /// Negation; NULL stays NULL.
    Not(Box<Expr>),
    /// Whether the operand is NULL; never NULL itself.
    IsNull(Box<Expr>),
    /// `operand IN (list)`.
    In {
        /// The value looked for.
        operand: Box<Expr>,
        /// The values it may equal; not empty.
        list: Vec<Expr>,
    },
    /// `operand BETWEEN low AND high`, both ends included.
    Between {
        /// The value tested.
        operand: Box<Expr>,
        /// Lower bound.
        low: Box<Expr>,
        /// Upper bound.
        high: Box<Expr>,
    },
    /// `operand LIKE pattern [ESCAPE escape]`: `%` any string, `_` any one character.
    Like {
        /// The string tested.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape character, none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        escape: Option<char>,
    },
    /// Searched `CASE`; the simple form is lowered to equalities. Later branches are not evaluated once one holds.
    Case {
        /// Conditions and results, in order; not empty.
        branches: Vec<CaseBranch>,
        /// Result when no condition holds; NULL when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<Box<Expr>>,
    },
    /// A conversion.
    Cast {
        /// The value converted.
        operand: Box<Expr>,
        /// The type asked for.
        to: DataType,
        /// `true` (`TRY_CAST`): a value that does not convert gives NULL; `false`: an error.
        #[serde(default, skip_serializing_if = "is_false")]
        lenient: bool,
    },
    /// A scalar function.
    Call {
        /// Which one.
        function: Function,
        /// Its arguments.
        args: Vec<Expr>,
    },
}

/// One `WHEN ... THEN ...`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseBranch {
    /// The condition.
    pub when: Expr,
    /// The result when the condition is true.
    pub then: Expr,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: integers truncate towards zero; division by zero of integers and decimals is an error, of floats infinite.
    Divide,
    /// `%`: the sign of the left operand.
    Modulo,
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `IS DISTINCT FROM`: `<>` where NULL is a value like any other; never NULL itself.
    IsDistinctFrom,
    /// `||`: NULL if either side is.
    Concat,
}

impl BinaryOp {
    /// Whether the operator yields a boolean from two comparable operands.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual | IsDistinctFrom)
    }

    /// The operator of the same comparison with its sides exchanged; of what is no order, itself.
    #[must_use]
    pub fn mirrored(self) -> Self {
        use BinaryOp::*;
        match self {
            Less => Greater,
            LessOrEqual => GreaterOrEqual,
            Greater => Less,
            GreaterOrEqual => LessOrEqual,
            other => other,
        }
    }

    /// The operator as written in SQL.
    pub fn symbol(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Add => "+",
            Subtract => "-",
            Multiply => "*",
            Divide => "/",
            Modulo => "%",
            Equal => "=",
            NotEqual => "<>",
            Less => "<",
            LessOrEqual => "<=",
            Greater => ">",
            GreaterOrEqual => ">=",
            IsDistinctFrom => "IS DISTINCT FROM",
            Concat => "||",
        }
    }
}

/// Which row a column or a classifier is read from.
///
/// The row is found in two moves, as in ISO/IEC 19075-5: first the *logical* one, among the rows mapped to
/// `variable` (`FIRST(v.x, k)`: the k-th after its first; `LAST(v.x, k)`: the k-th before its last), then the
/// *physical* one, `physical_offset` rows on in the ordered partition, inside the match or not. A pointer that
/// leaves the rows of the variable, or the partition, points to no row.
///
/// The default is the last row so far of the whole match: in a condition, the row under test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowPointer {
    /// A variable or a subset; `None` is the universal variable: every row of the match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Over the rows up to the current one, or over the finished match. Conditions are always running.
    #[serde(skip_serializing_if = "Semantics::is_running")]
    pub semantics: Semantics,
    /// From which end `logical_offset` counts.
    #[serde(skip_serializing_if = "Anchor::is_last")]
    pub anchor: Anchor,
    /// Rows of the variable to move inwards from `anchor`.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub logical_offset: u32,
    /// Rows of the partition to move from there: negative for `PREV`, positive for `NEXT`.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub physical_offset: i64,
    /// Whether the row under test already belongs to its variable.
    #[serde(skip_serializing_if = "TestedRow::is_included")]
    pub tested_row: TestedRow,
}

impl RowPointer {
    /// Whether this is the row under test (in a condition) or the last row so far (in a measure).
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the row is a fixed distance from the row under test, whatever the run: the condition that reads it
    /// needs no run.
    pub fn is_physical(&self) -> bool {
        self.variable.is_none()
            && self.semantics == Semantics::Running
            && self.anchor == Anchor::Last
            && self.logical_offset == 0
            && self.tested_row == TestedRow::Included
    }
}

/// Rows up to the current one, or all rows of the match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Semantics {
    /// Rows of the match up to and including the current one.
    #[default]
    Running,
    /// All rows of the finished match.
    Final,
}

impl Semantics {
    fn is_running(&self) -> bool {
        *self == Self::Running
    }
}

/// From which end of a variable's rows a logical offset counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The variable's first row.
    First,
    /// The variable's last row.
    #[default]
    Last,
}

impl Anchor {
    fn is_last(&self) -> bool {
        *self == Self::Last
    }
}

/// Whether the row under test counts among the rows of its variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestedRow {
    /// It counts, as in SQL's `DEFINE`.
    #[default]
    Included,
    /// It does not, as in the algebra's `ref()`: only rows accepted before.
    Excluded,
}

impl TestedRow {
    fn is_included(&self) -> bool {
        *self == Self::Included
    }
}

/// An aggregate over the rows of a variable, a subset, or the whole match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Which one.
    pub function: AggregateFunction,
    /// Evaluated on each aggregated row; empty only for `COUNT(*)` and `COUNT(v.*)`. In it, a column or classifier
    /// with the default pointer is that of the aggregated row; no other pointer and no aggregate may stand here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Expr>,
    /// Equal arguments count once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub distinct: bool,
    /// A variable or a subset; `None`: every row of the match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Over the rows so far or the whole match.
    #[serde(default, skip_serializing_if = "Semantics::is_running")]
    pub semantics: Semantics,
    /// Whether the row under test counts.
    #[serde(default, skip_serializing_if = "TestedRow::is_included")]
    pub tested_row: TestedRow,
}

impl Expr {
    /// A column of the row under test.
    pub fn column(name: impl Into<String>) -> Self {
        Self::Column { name: name.into(), quoted: false, at: RowPointer::default() }
    }

    /// A constant.
    pub fn literal(value: impl Into<Literal>) -> Self {
        Self::Literal(value.into())
    }

    /// A binary operation.
    pub fn binary(op: BinaryOp, left: Self, right: Self) -> Self {
        Self::Binary { op, left: Box::new(left), right: Box::new(right) }
    }

    /// The direct sub-expressions, in the order in which they are written.
    pub fn children(&self) -> SmallVec<[&Self; OPERANDS]> {
        let mut children = smallvec![];
        self.each_child(|child| children.push(child));
        children
    }

    /// Calls `visit` on the direct sub-expressions, in the order in which they are written.
    #[inline]
    fn each_child<'a>(&'a self, mut visit: impl FnMut(&'a Self)) {
        match self {
            Self::Literal(_) | Self::Column { .. } | Self::Classifier { .. } | Self::MatchNumber => {}
            Self::Aggregate(aggregate) => aggregate.args.iter().for_each(visit),
            Self::Negate(operand)
            | Self::Not(operand)
            | Self::IsNull(operand)
            | Self::Cast { operand, .. } => visit(operand),
            Self::Binary { left, right, .. } => [left, right].into_iter().for_each(|part| visit(part)),
            Self::And(args) | Self::Or(args) | Self::Call { args, .. } => args.iter().for_each(visit),
            Self::In { operand, list } => std::iter::once(&**operand).chain(list).for_each(visit),
            Self::Between { operand, low, high } => {
                [operand, low, high].into_iter().for_each(|part| visit(part))
            }
            Self::Like { operand, pattern, .. } => {
                [operand, pattern].into_iter().for_each(|part| visit(part))
            }
            Self::Case { branches, otherwise } => branches
                .iter()
                .flat_map(|branch| [&branch.when, &branch.then])
                .chain(otherwise.as_deref())
                .for_each(visit),
        }
    }

    /// The direct sub-expressions, to be changed in place.
    pub fn children_mut(&mut self) -> SmallVec<[&mut Self; OPERANDS]> {
        match self {
            Self::Literal(_) | Self::Column { .. } | Self::Classifier { .. } | Self::MatchNumber => {
                smallvec![]
            }
            Self::Aggregate(aggregate) => aggregate.args.iter_mut().collect(),
            Self::Negate(operand)
            | Self::Not(operand)
            | Self::IsNull(operand)
            | Self::Cast { operand, .. } => {
                smallvec![&mut **operand]
            }
            Self::Binary { left, right, .. } => smallvec![&mut **left, &mut **right],
            Self::And(args) | Self::Or(args) | Self::Call { args, .. } => args.iter_mut().collect(),
            Self::In { operand, list } => std::iter::once(&mut **operand).chain(list).collect(),
            Self::Between { operand, low, high } => smallvec![&mut **operand, &mut **low, &mut **high],
            Self::Like { operand, pattern, .. } => smallvec![&mut **operand, &mut **pattern],
            Self::Case { branches, otherwise } => branches
                .iter_mut()
                .flat_map(|branch| [&mut branch.when, &mut branch.then])
                .chain(otherwise.as_deref_mut())
                .collect(),
        }
    }

    /// Calls `visit` on this expression and every expression below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.each_child(|child| child.walk(visit));
    }

    /// Calls `change` on this expression and every expression below it, children first.
    pub fn walk_mut(&mut self, change: &mut dyn FnMut(&mut Self)) {
        for child in self.children_mut() {
            child.walk_mut(change);
        }
        change(self);
    }

    /// Levels of nesting; a leaf is 1.
    pub fn depth(&self) -> usize {
        1 + self.children().into_iter().map(Self::depth).max().unwrap_or(0)
    }
}

pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero_u32(value: &u32) -> bool {
    *value == 0
}

fn is_zero_i64(value: &i64) -> bool {
    *value == 0
}
