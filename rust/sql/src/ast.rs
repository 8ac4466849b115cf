//! What was written, with the place of everything that can be at fault; names are not yet resolved.

use std::collections::HashSet;

use cepheid_ir::{
    BinaryOp, DataType, Frame, Function, Literal, PatternNode, RowsPerMatch, Semantics, SkipRow, Within,
};

use crate::span::Span;

/// A name as written.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) quoted: bool,
    pub(crate) span: Span,
}

impl Name {
    /// The name of a variable: as in Trino, upper case unless it is quoted.
    pub(crate) fn folded(&self) -> String {
        if self.quoted { self.text.clone() } else { self.text.to_uppercase() }
    }
}

/// Distinct names of variables and subsets, in the order in which they were first written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    listed: Vec<String>,
    set: HashSet<String>,
}

impl Names {
    /// Whether the name is new.
    pub(crate) fn insert(&mut self, name: &str) -> bool {
        let new = self.set.insert(name.to_owned());
        if new {
            self.listed.push(name.to_owned());
        }
        new
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    pub(crate) fn listed(&self) -> &[String] {
        &self.listed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(String::as_str)
    }
}

/// An expression and its extent.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Box<Kind>,
    pub(crate) span: Span,
    /// Levels of nesting; a leaf is 1.
    pub(crate) depth: usize,
    /// Expressions in the tree once it is lowered.
    pub(crate) size: usize,
}

/// What an expression is.
#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    Column {
        qualifier: Option<Name>,
        column: Name,
    },
    Negate(Node),
    Not(Node),
    IsNull(Node),
    Binary {
        op: BinaryOp,
        left: Node,
        right: Node,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    In {
        operand: Node,
        list: Vec<Node>,
    },
    Between {
        operand: Node,
        low: Node,
        high: Node,
    },
    Like {
        operand: Node,
        pattern: Node,
        escape: Option<char>,
    },
    Case(Box<Case>),
    Cast {
        operand: Node,
        to: DataType,
        lenient: bool,
    },
    /// A function with a syntax of its own, like `EXTRACT`.
    Function {
        function: Function,
        args: Vec<Node>,
    },
    Call(Box<Call>),
}

/// `CASE [operand] WHEN .. THEN .. [ELSE ..] END`.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) operand: Option<Node>,
    pub(crate) branches: Vec<(Node, Node)>,
    pub(crate) otherwise: Option<Node>,
}

/// `[RUNNING | FINAL] name([DISTINCT] arguments)`: a function, an aggregate or a navigation.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: Name,
    pub(crate) semantics: Option<(Semantics, Span)>,
    pub(crate) distinct: Option<Span>,
    pub(crate) star: Option<Star>,
    pub(crate) args: Vec<Node>,
}

/// `*` or `v.*` as an argument.
#[derive(Debug)]
pub(crate) struct Star {
    pub(crate) qualifier: Option<Name>,
    pub(crate) span: Span,
}

impl Kind {
    /// Depth and size of an expression of this kind.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let over = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.fold((1, 1_usize), |(depth, size), node| {
                (depth.max(node.depth + 1), size.saturating_add(node.size))
            })
        };
        match self {
            Self::Literal(_) | Self::Column { .. } => (1, 1),
            Self::Negate(operand)
            | Self::Not(operand)
            | Self::IsNull(operand)
            | Self::Cast { operand, .. } => (operand.depth + 1, operand.size.saturating_add(1)),
            Self::Binary { left, right, .. } => over(&mut [left, right].into_iter()),
            Self::And(args) | Self::Or(args) | Self::Function { args, .. } => over(&mut args.iter()),
            Self::Call(call) => over(&mut call.args.iter()),
            Self::In { operand, list } => over(&mut std::iter::once(operand).chain(list)),
            Self::Between { operand, low, high } => over(&mut [operand, low, high].into_iter()),
            Self::Like { operand, pattern, .. } => over(&mut [operand, pattern].into_iter()),
            Self::Case(case) => {
                let branches = case.branches.iter().flat_map(|(when, then)| [when, then]);
                let (depth, size) = over(&mut branches.chain(&case.otherwise));
                match &case.operand {
                    // Lowered to `operand = when`, so the operand is copied into every branch.
                    Some(operand) => {
                        let copies = operand.size.saturating_add(1).saturating_mul(case.branches.len());
                        (depth.max(operand.depth + 1) + 1, size.saturating_add(copies))
                    }
                    None => (depth, size),
                }
            }
        }
    }
}

/// One key of an `ORDER BY` of columns.
#[derive(Debug)]
pub(crate) struct SortItem<V> {
    pub(crate) value: V,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// `AFTER MATCH SKIP ...`.
#[derive(Debug)]
pub(crate) enum Skip {
    PastLastRow,
    ToNextRow,
    To {
        variable: Name,
        row: SkipRow,
    },
    /// `NONE`, of event sequences.
    Nowhere,
    /// `AFTER MATCH CONSUME`, of event sequences.
    Consume,
}

/// A row pattern, its variables in place, and where each was named.
#[derive(Debug)]
pub(crate) struct RowPattern {
    pub(crate) root: PatternNode,
    pub(crate) span: Span,
    pub(crate) variables: Names,
    /// Where each of them stands first.
    pub(crate) places: Vec<Span>,
    /// What stands behind `UNTIL`, one entry a quantified part, in the order in which those parts end. A condition can
    /// name subsets, which come later in the text: it is lowered when all of the clause has been read.
    pub(crate) untils: Vec<Option<Node>>,
}

/// `MATCH_RECOGNIZE ( ... )`.
#[derive(Debug)]
pub(crate) struct Recognition {
    pub(crate) pattern: RowPattern,
    pub(crate) clauses: Clauses,
}

/// Every clause but `PATTERN`, which alone must be there.
#[derive(Debug, Default)]
pub(crate) struct Clauses {
    pub(crate) partition_by: Vec<Name>,
    pub(crate) order_by: Vec<SortItem<Name>>,
    pub(crate) measures: Vec<(Node, Name)>,
    pub(crate) aggregate: Option<Aggregation>,
    pub(crate) rows_per_match: Option<(RowsPerMatch, Span)>,
    pub(crate) timeouts: bool,
    pub(crate) skip: Option<Skip>,
    pub(crate) initial: bool,
    pub(crate) all_matches: bool,
    pub(crate) within: Option<(Within, Span)>,
    pub(crate) subsets: Vec<(Name, Vec<Name>)>,
    pub(crate) define: Vec<(Name, Node)>,
}

/// `AGGREGATE value AS name, ... [EVERY INTERVAL ...]`.
#[derive(Debug)]
pub(crate) struct Aggregation {
    pub(crate) values: Vec<(Node, Name)>,
    pub(crate) every_ns: Option<i64>,
    pub(crate) span: Span,
}

/// One entry of the select list.
#[derive(Debug)]
pub(crate) enum Item {
    All { qualifier: Option<Name>, span: Span },
    Value { value: Node, alias: Option<Name> },
}

/// `SELECT ... FROM ... MATCH_RECOGNIZE (...) ...`.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) items: Vec<Item>,
    pub(crate) table: Name,
    pub(crate) recognition: Recognition,
    pub(crate) alias: Option<Name>,
    pub(crate) filter: Option<Node>,
    pub(crate) order: Order,
    /// From the first clause after the `MATCH_RECOGNIZE` clause or the select list that is more than `*`, if any.
    pub(crate) beyond_pattern: Option<Span>,
}

/// `ORDER BY`, `OFFSET` and `LIMIT`.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) by: Vec<SortItem<Node>>,
    pub(crate) offset: u64,
    pub(crate) limit: Option<u64>,
}

/// `SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...`.
#[derive(Debug)]
pub(crate) struct WindowSelect {
    pub(crate) items: Vec<Item>,
    pub(crate) source: WindowSource,
    pub(crate) alias: Option<Name>,
    pub(crate) filter: Option<Node>,
    pub(crate) group_by: Vec<Node>,
    pub(crate) group_by_span: Span,
    pub(crate) having: Option<Node>,
    pub(crate) order: Order,
    /// The first clause that says which windows come out, and how they are ordered, if any.
    pub(crate) beyond_window: Option<Span>,
}

/// `TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL ...)` and the like.
#[derive(Debug)]
pub(crate) struct WindowSource {
    pub(crate) table: Name,
    pub(crate) time: Name,
    /// `PARTITION BY` of a session.
    pub(crate) partition_by: Vec<Name>,
    pub(crate) frame: Frame,
    pub(crate) span: Span,
}

/// A whole query.
#[derive(Debug)]
pub(crate) enum Statement {
    Pattern(Box<Select>),
    Window(Box<WindowSelect>),
}
