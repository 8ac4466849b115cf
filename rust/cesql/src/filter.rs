//! Which rows of a batch an expression selects.

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use crate::ast::{Expr, Expression, LogicOp};
use crate::column::{Column, Row};
use crate::evaluate::{Attributes, Reading, Scope};
use crate::fold::folded;
use crate::value::Value;

/// An expression made ready for batches.
///
/// - Meaning: a row is selected if [`Expression::evaluate`] of it gives Boolean true and no error; a value of another
///   type selects nothing, and is not cast.
/// - Time: linear in rows and nodes. A part that reads one attribute alone is asked once for each value of its
///   dictionary if the column is one, and has no more values than rows.
/// - Space: two bits a row for each level of AND, OR, XOR and NOT.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Node,
    names: Vec<String>,
}

/// Rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Which are selected; no NULL.
    pub selected: BooleanArray,
    /// In how many the evaluation met an error; they are not selected.
    pub errors: u64,
}

/// Truths of columns, over predicates of rows.
#[derive(Clone, Debug)]
enum Node {
    Logic {
        first: Box<Node>,
        rest: Vec<(LogicOp, Node)>,
    },
    Not(Box<Node>),
    Predicate {
        expr: Expr,
        /// The attribute that it reads, if it is one alone.
        attribute: Option<usize>,
        /// Whether its value is cast to a truth; the whole expression's is not.
        cast: bool,
    },
}

/// What is known of rows. No row is both; those that were not asked for are neither.
struct Truths {
    yes: BooleanBuffer,
    failed: BooleanBuffer,
}

impl Filter {
    /// Makes an expression ready.
    pub fn new(expression: &Expression) -> Self {
        let names = expression.attributes().to_vec();
        Self { root: Node::of(&folded(expression.root(), &names), false), names }
    }

    /// The rows of a batch that are selected. An attribute is the column of its name, in lower case; a column that is
    /// not there is a missing attribute.
    pub fn mask(&self, batch: &RecordBatch) -> Mask {
        let columns: Vec<Column> = self.names.iter().map(|name| Column::of(batch, name)).collect();
        let rows = Rows { names: &self.names, columns: &columns, count: batch.num_rows() };
        let Truths { yes, failed } = rows.truths(&self.root, &BooleanBuffer::new_set(rows.count));
        let errors = failed.count_set_bits() as u64;
        Mask { selected: BooleanArray::new(yes, None), errors }
    }
}

impl Node {
    fn of(expr: &Expr, cast: bool) -> Self {
        match expr {
            Expr::Logic(logic) => Self::Logic {
                first: Box::new(Self::of(&logic.first, true)),
                rest: logic.rest.iter().map(|(op, operand)| (*op, Self::of(operand, true))).collect(),
            },
            Expr::Not(operand) => Self::Not(Box::new(Self::of(operand, true))),
            _ => {
                let mut read = Vec::new();
                expr.visit(&mut |node| {
                    if let Expr::Attribute(place) | Expr::Exists(place) = node
                        && !read.contains(place)
                    {
                        read.push(*place);
                    }
                });
                let attribute = if let [one] = *read { Some(one) } else { None };
                Self::Predicate { expr: expr.clone(), attribute, cast }
            }
        }
    }
}

struct Rows<'c> {
    names: &'c [String],
    columns: &'c [Column],
    count: usize,
}

impl Rows<'_> {
    /// What is true of rows, of those in `asked`.
    fn truths(&self, node: &Node, asked: &BooleanBuffer) -> Truths {
        match node {
            Node::Logic { first, rest } => {
                let mut left = self.truths(first, asked);
                for (op, operand) in rest {
                    left = self.joined(left, *op, operand, asked);
                }
                left
            }
            Node::Not(operand) => {
                let Truths { yes, failed } = self.truths(operand, asked);
                Truths { yes: &(asked & &!&yes) & &!&failed, failed }
            }
            Node::Predicate { expr, attribute, cast } => {
                let dictionary = attribute.map(|place| &self.columns[place]);
                if let Some(Column::Dictionary { keys, places, values }) = dictionary
                    && values.len() <= self.count
                {
                    let known = OneValue::outcomes(self.names, expr, *cast, values);
                    return self
                        .told(asked, |row| known[if keys.is_valid(row) { places[row] + 1 } else { 0 }]);
                }
                self.told(asked, |row| outcome(self.names, expr, *cast, &Row { columns: self.columns, row }))
            }
        }
    }

    /// `left op right`; only those rows are asked for the right side that the left one leaves open.
    fn joined(&self, left: Truths, op: LogicOp, right: &Node, asked: &BooleanBuffer) -> Truths {
        let open = match op {
            LogicOp::And => left.yes.clone(),
            LogicOp::Or => &(asked & &!&left.yes) & &!&left.failed,
            LogicOp::Xor => asked & &!&left.failed,
        };
        if open.count_set_bits() == 0 {
            return left;
        }
        let right = self.truths(right, &open);
        Truths {
            failed: &left.failed | &right.failed,
            yes: match op {
                LogicOp::And => right.yes,
                LogicOp::Or => &left.yes | &right.yes,
                LogicOp::Xor => &(&left.yes ^ &right.yes) & &!&right.failed,
            },
        }
    }

    fn told(&self, asked: &BooleanBuffer, outcome: impl Fn(usize) -> Option<bool>) -> Truths {
        let [mut yes, mut failed] = [(); 2].map(|()| {
            let mut bits = BooleanBufferBuilder::new(self.count);
            bits.append_n(self.count, false);
            bits
        });
        for row in asked.set_indices() {
            match outcome(row) {
                Some(true) => yes.set_bit(row, true),
                Some(false) => {}
                None => failed.set_bit(row, true),
            }
        }
        Truths { yes: yes.finish(), failed: failed.finish() }
    }
}

/// Whether an expression is true of a row; none if it errs.
fn outcome(names: &[String], expr: &Expr, cast: bool, event: &impl Attributes) -> Option<bool> {
    let value = Scope { names, event, errors: () }.value(expr).ok()?;
    if cast { value.to_boolean() } else { Some(value == Value::Boolean(true)) }
}

/// An event of which one attribute is known, whatever its place.
struct OneValue<'c>(Option<(&'c Column, usize)>);

impl OneValue<'_> {
    /// What an expression is of no value, and of each of a column.
    fn outcomes(names: &[String], expr: &Expr, cast: bool, values: &Column) -> Vec<Option<bool>> {
        let of = |event: &OneValue<'_>| outcome(names, expr, cast, event);
        std::iter::once(of(&OneValue(None)))
            .chain((0..values.len()).map(|row| of(&OneValue(Some((values, row))))))
            .collect()
    }
}

impl Attributes for OneValue<'_> {
    fn read(&self, _: usize) -> Reading<'_> {
        self.0.map_or(Reading::Missing, |(column, row)| column.read(row))
    }
}
