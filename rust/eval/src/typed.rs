//! The typed expression: every type inferred, every leaf numbered.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::timezone::Tz;
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Schema};
use cepheid_ir::{BinaryOp, Expr};
use smallvec::{SmallVec, smallvec};

use crate::cast::CastTarget;
use crate::compile;
use crate::display::Text;
use crate::error::EvalError;
use crate::function::Call;
use crate::function::like::LikePattern;
use crate::leaf::{Leaf, SlotValues};
use crate::row;
use crate::value::Value;
use crate::vector;

/// An expression compiled against a schema. Immutable and shareable; evaluating keeps nothing.
#[derive(Clone, Debug)]
pub struct TypedExpr {
    source: Arc<Expr>,
    root: Arc<Node>,
    leaves: Arc<[Leaf]>,
}

/// Equal if compiled from equal expressions against equal leaves.
impl PartialEq for TypedExpr {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.leaves == other.leaves
    }
}

impl TypedExpr {
    /// Infers and checks the types of `expr` over the columns of `schema`.
    ///
    /// # Errors
    /// Anything but data errors; each names the expression and the types it met.
    pub fn compile(expr: &Expr, schema: &Schema) -> Result<Self, EvalError> {
        let source = Arc::new(expr.clone());
        let (root, leaves) = compile::compile(&source, schema)?;
        Ok(Self { source, root: Arc::new(root), leaves: leaves.into() })
    }

    /// As [`compile`](Self::compile), for an expression that must be boolean (or the literal NULL).
    ///
    /// # Errors
    /// [`EvalError::TypeMismatch`] also if it is not.
    pub fn compile_condition(expr: &Expr, schema: &Schema) -> Result<Self, EvalError> {
        let compiled = Self::compile(expr, schema)?;
        compile::expect_condition(&compiled.root)?;
        Ok(compiled)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The expression as it was before compilation.
    pub fn source(&self) -> &Expr {
        &self.source
    }

    /// The type of the result. A bare column keeps its exact type, and a cast has the type that it names; what passes
    /// one of several values on (CASE, COALESCE, GREATEST and their like) has the type that holds them all, with
    /// strings as Utf8. Arithmetic gives Int64, Float64 or Decimal128 with 38 digits.
    pub fn data_type(&self) -> &DataType {
        &self.root.data_type
    }

    /// The distinct leaves; slot `i` holds the values of `leaves()[i]`.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Whether it is one leaf and nothing else.
    pub fn is_leaf(&self) -> bool {
        matches!(self.root.kind, Kind::Slot(_))
    }

    /// The value, if the expression reads nothing and raises nothing.
    pub fn as_constant(&self) -> Option<&Value> {
        if let Kind::Constant(value) = &self.root.kind { Some(value) } else { None }
    }

    /// Whether evaluating it raises no error, whatever the values of its slots, if asking for these raises none. `false`
    /// where that is not plain to see.
    pub fn never_fails(&self) -> bool {
        self.root.never_fails()
    }

    /// Evaluates over `rows` rows; `slots[i]` holds the values of `leaves()[i]` in its type, one for each row.
    /// The result has [`data_type`](Self::data_type).
    ///
    /// # Errors
    /// A data error if [`evaluate_row`](Self::evaluate_row) would raise one for any of the rows, and only then.
    pub fn evaluate_columns(&self, slots: &[ArrayRef], rows: usize) -> Result<ArrayRef, EvalError> {
        vector::evaluate_array(&self.root, slots, rows)
    }

    /// Which rows satisfy a condition: set where it is TRUE, clear where it is FALSE or NULL.
    ///
    /// # Errors
    /// As [`evaluate_columns`](Self::evaluate_columns).
    pub fn evaluate_mask(&self, slots: &[ArrayRef], rows: usize) -> Result<BooleanBuffer, EvalError> {
        vector::evaluate_mask(&self.root, slots, rows, &vector::Known::default())
    }

    /// Evaluates over one row. Operands are evaluated left to right; AND, OR, CASE and COALESCE ask for no more slots
    /// than they need.
    ///
    /// # Errors
    /// Data errors, and those of `slots`.
    pub fn evaluate_row(&self, slots: &mut dyn SlotValues) -> Result<Value, EvalError> {
        row::evaluate(&self.root, slots)
    }

    /// Whether one row satisfies the condition: TRUE, rather than FALSE or NULL.
    ///
    /// # Errors
    /// As [`evaluate_row`](Self::evaluate_row).
    pub fn evaluate_condition(&self, slots: &mut dyn SlotValues) -> Result<bool, EvalError> {
        Ok(matches!(row::evaluate(&self.root, slots)?, Value::Boolean(true)))
    }
}

/// A node of the typed tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Type of the result array. Only slots have encoded types (dictionaries, views, narrow integers).
    pub(crate) data_type: DataType,
    /// Which slots the tree reads.
    pub(crate) reads: Reads,
    /// The expression in short, for errors.
    pub(crate) text: Text,
    /// Whether it was written as a constant, rather than worked out to be one.
    pub(crate) is_literal: bool,
}

impl Node {
    fn never_fails(&self) -> bool {
        let safe = match &self.kind {
            Kind::Arithmetic { .. } | Kind::Negate(_) => self.data_type == DataType::Float64,
            Kind::Like { pattern, .. } => matches!(pattern, LikeSource::Constant(_)),
            Kind::Cast { .. } | Kind::Call { .. } | Kind::Widen(_) => false,
            _ => true,
        };
        safe && self.kind.operands().into_iter().all(Self::never_fails)
    }
}

/// The slots that a tree reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    One(usize),
    Several,
}

impl Reads {
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, reads) | (reads, Self::Nothing) => reads,
            (Self::One(left), Self::One(right)) if left == right => self,
            _ => Self::Several,
        }
    }
}

/// What a node does.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Constant(Value),
    Slot(usize),
    Negate(Box<Node>),
    Arithmetic {
        op: BinaryOp,
        operands: Box<[Node; 2]>,
        zone: Option<Tz>,
    },
    Compare {
        op: BinaryOp,
        operands: Box<[Node; 2]>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    In {
        operand: Box<Node>,
        list: Vec<Node>,
        constants: Option<Arc<ConstantSet>>,
    },
    Between(Box<[Node; 3]>),
    Like {
        operand: Box<Node>,
        pattern: LikeSource,
    },
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Coalesce(Vec<Node>),
    Cast {
        operand: Box<Node>,
        target: CastTarget,
        lenient: bool,
    },
    Call {
        call: Box<Call>,
        args: Vec<Node>,
    },
    /// To the node's type, which is wider than the operand's: a branch of CASE brought to the type of the others.
    Widen(Box<Node>),
}

/// Where a LIKE pattern comes from.
#[derive(Clone, Debug)]
pub(crate) enum LikeSource {
    Constant(LikePattern),
    Dynamic { pattern: Box<Node>, escape: Option<char> },
}

/// The list of an `IN` that holds constants of one type only.
#[derive(Clone, Debug)]
pub(crate) struct ConstantSet {
    pub(crate) values: hashbrown::HashSet<Value, foldhash::fast::FixedState>,
    pub(crate) has_null: bool,
}

/// Most nodes have no more operands than this.
const OPERANDS: usize = 3;

impl Kind {
    /// The direct operands, in order of evaluation.
    pub(crate) fn operands(&self) -> SmallVec<[&Node; OPERANDS]> {
        match self {
            Self::Constant(_) | Self::Slot(_) => smallvec![],
            Self::Negate(operand)
            | Self::Not(operand)
            | Self::IsNull(operand)
            | Self::Widen(operand)
            | Self::Cast { operand, .. } => smallvec![&**operand],
            Self::Arithmetic { operands, .. } | Self::Compare { operands, .. } => operands.iter().collect(),
            Self::And(operands) | Self::Or(operands) | Self::Coalesce(operands) => operands.iter().collect(),
            Self::In { operand, list, .. } => std::iter::once(&**operand).chain(list).collect(),
            Self::Between(operands) => operands.iter().collect(),
            Self::Like { operand, pattern } => match pattern {
                LikeSource::Constant(_) => smallvec![&**operand],
                LikeSource::Dynamic { pattern, .. } => smallvec![&**operand, &**pattern],
            },
            Self::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            Self::Call { args, .. } => args.iter().collect(),
        }
    }
}
