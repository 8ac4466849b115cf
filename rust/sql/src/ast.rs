//! What was written, with the place of everything that can be at fault; names are not yet resolved.

use cepheid_ir::{
    BinaryOp, DataType, Function, Literal, PatternNode, RowsPerMatch, Semantics, SkipRow, Within,
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
    To { variable: Name, row: SkipRow },
}

/// A row pattern, its variables in place, and where each was named.
#[derive(Debug)]
pub(crate) struct RowPattern {
    pub(crate) root: PatternNode,
    pub(crate) span: Span,
    /// First occurrence of each variable, in order.
    pub(crate) variables: Vec<(String, Span)>,
}

/// `MATCH_RECOGNIZE ( ... )`.
#[derive(Debug)]
pub(crate) struct Recognition {
    pub(crate) partition_by: Vec<Name>,
    pub(crate) order_by: Vec<SortItem<Name>>,
    pub(crate) measures: Vec<(Node, Name)>,
    pub(crate) rows_per_match: Option<(RowsPerMatch, Span)>,
    pub(crate) skip: Option<Skip>,
    pub(crate) initial: bool,
    pub(crate) all_matches: bool,
    pub(crate) pattern: RowPattern,
    pub(crate) within: Option<(Within, Span)>,
    pub(crate) subsets: Vec<(Name, Vec<Name>)>,
    pub(crate) define: Vec<(Name, Node)>,
}

/// One entry of the select list.
#[derive(Debug)]
pub(crate) enum Item {
    All { qualifier: Option<Name> },
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
    pub(crate) order_by: Vec<SortItem<Node>>,
    pub(crate) offset: u64,
    pub(crate) limit: Option<u64>,
    /// From the first clause after the `MATCH_RECOGNIZE` clause or the select list that is more than `*`, if any.
    pub(crate) beyond_pattern: Option<Span>,
}
