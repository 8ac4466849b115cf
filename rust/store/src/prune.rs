//! Which rows a condition cannot hold for, by what is known of them.
//!
//! A condition is taken apart into conjunctions and disjunctions of comparisons of a column with constants; each becomes a
//! question to the least value, the greatest, the number of NULLs or the filter of that column. What is of another form
//! may always hold. The comparison itself is put to the evaluator of conditions, so that types meet as they do there.

use arrow_schema::{Schema, SchemaRef};
use cepheid_eval::{TypedExpr, Value};
use cepheid_event::{EventError, resolve_column};
use cepheid_ir::{BinaryOp, Expr, Literal, RowPointer};

use crate::body::Hash;
use crate::conform::METADATA;
use crate::error::StoreError;
use crate::summary::{ColumnSummary, FilterKey, Summary, is_filtered};

/// A condition as questions to summaries of rows of one schema.
#[derive(Clone, Debug)]
pub struct Pruner(Test);

#[derive(Clone, Debug)]
enum Test {
    /// Nothing is known.
    Always,
    All(Vec<Test>),
    Any(Vec<Test>),
    /// `bound` holds of the least value, or of the greatest.
    Extreme {
        column: usize,
        greatest: bool,
        bound: TypedExpr,
    },
    /// One of the keys may be among the values.
    Keys {
        column: usize,
        keys: Vec<FilterKey>,
    },
    /// Some value is NULL.
    SomeNull {
        column: usize,
    },
    /// Some value is not NULL.
    SomeValue {
        column: usize,
    },
}

impl Pruner {
    /// Takes a condition apart. Of protected columns nothing is known: their values may be erased, and are NULL then.
    pub fn new(condition: &Expr, schema: &SchemaRef, protected: &[String]) -> Self {
        Self(test_of(condition, &Known { schema, protected }))
    }

    /// Whether the condition may hold of one of `events` rows. If it says no, it holds of none. `apart` reads the filter of a
    /// column that is kept apart, by its place and its hash.
    ///
    /// # Errors
    /// Those of `apart`.
    pub fn may_hold(&self, summary: &Summary, events: u64, apart: Apart<'_>) -> Result<bool, StoreError> {
        holds(&self.0, summary, events, apart)
    }
}

/// Reads a filter that is kept apart.
pub type Apart<'a> = &'a mut dyn FnMut(usize, &Hash) -> Result<Vec<u8>, StoreError>;

fn holds(test: &Test, summary: &Summary, events: u64, apart: Apart<'_>) -> Result<bool, StoreError> {
    let column = |column: &usize| &summary.columns[*column];
    let some_value = |known: &ColumnSummary| known.nulls < events;
    Ok(match test {
        Test::Always => true,
        Test::All(tests) => {
            for test in tests {
                if !holds(test, summary, events, apart)? {
                    return Ok(false);
                }
            }
            true
        }
        Test::Any(tests) => {
            for test in tests {
                if holds(test, summary, events, apart)? {
                    return Ok(true);
                }
            }
            false
        }
        Test::Extreme { column: place, greatest, bound } => {
            let known = column(place);
            let value = if *greatest { known.greatest() } else { known.least() };
            // A comparison with NULL alone never holds.
            some_value(known) && value.is_none_or(|value| holds_of(bound, value))
        }
        Test::Keys { column: place, keys } => {
            let known = column(place);
            some_value(known) && known.may_hold(keys, |hash| apart(*place, hash))?
        }
        Test::SomeNull { column: place } => column(place).nulls > 0,
        Test::SomeValue { column: place } => some_value(column(place)),
    })
}

/// Whether a comparison holds of a value; what cannot be told is kept.
fn holds_of(bound: &TypedExpr, value: Value) -> bool {
    bound.evaluate_condition(&mut |_| Ok(value.clone())).unwrap_or(true)
}

/// Columns of which something is known.
struct Known<'a> {
    schema: &'a SchemaRef,
    protected: &'a [String],
}

fn test_of(condition: &Expr, known: &Known<'_>) -> Test {
    match condition {
        Expr::And(parts) => Test::All(parts.iter().map(|part| test_of(part, known)).collect()),
        Expr::Or(parts) => Test::Any(parts.iter().map(|part| test_of(part, known)).collect()),
        Expr::Binary { op, left, right } => match (&**left, &**right) {
            (column, Expr::Literal(constant)) => comparison(column, *op, constant, known),
            (Expr::Literal(constant), column) => comparison(column, op.mirrored(), constant, known),
            _ => Test::Always,
        },
        Expr::Between { operand, low, high } => match (&**low, &**high) {
            (Expr::Literal(low), Expr::Literal(high)) => Test::All(vec![
                comparison(operand, BinaryOp::GreaterOrEqual, low, known),
                comparison(operand, BinaryOp::LessOrEqual, high, known),
            ]),
            _ => Test::Always,
        },
        Expr::In { operand, list } => {
            let equal = |value: &Expr| match value {
                Expr::Literal(constant) => comparison(operand, BinaryOp::Equal, constant, known),
                _ => Test::Always,
            };
            Test::Any(list.iter().map(equal).collect())
        }
        Expr::IsNull(operand) => {
            column_of(operand, known).map_or(Test::Always, |column| Test::SomeNull { column })
        }
        Expr::Not(operand) => match &**operand {
            Expr::IsNull(operand) => {
                column_of(operand, known).map_or(Test::Always, |column| Test::SomeValue { column })
            }
            _ => Test::Always,
        },
        _ => Test::Always,
    }
}

fn comparison(operand: &Expr, op: BinaryOp, constant: &Literal, known: &Known<'_>) -> Test {
    let Some(column) = column_of(operand, known) else {
        // A column that these rows do not have is NULL in all of them.
        return if is_missing(operand, known.schema) { Test::Any(vec![]) } else { Test::Always };
    };
    let extreme = |op: BinaryOp, greatest: bool| {
        let right = Box::new(Expr::Literal(constant.clone()));
        let bound = Expr::Binary { op, left: Box::new(operand.clone()), right };
        match TypedExpr::compile_condition(&bound, known.schema) {
            // One slot: the column.
            Ok(bound) if bound.leaves().len() == 1 => Test::Extreme { column, greatest, bound },
            _ => Test::Always,
        }
    };
    match op {
        BinaryOp::Less | BinaryOp::LessOrEqual => extreme(op, false),
        BinaryOp::Greater | BinaryOp::GreaterOrEqual => extreme(op, true),
        BinaryOp::Equal => {
            let mut tests =
                vec![extreme(BinaryOp::LessOrEqual, false), extreme(BinaryOp::GreaterOrEqual, true)];
            if let Some(key) = filter_key(constant, known.schema, column) {
                tests.push(Test::Keys { column, keys: vec![key] });
            }
            Test::All(tests)
        }
        _ => Test::Always,
    }
}

/// A constant as the filter of a column has it; `None`: it has none, or the two are of different kinds.
fn filter_key(constant: &Literal, schema: &Schema, column: usize) -> Option<FilterKey> {
    use arrow_schema::DataType;
    let mut data_type = schema.field(column).data_type();
    if !is_filtered(data_type) {
        return None;
    }
    if let DataType::Dictionary(_, values) = data_type {
        data_type = values;
    }
    match constant {
        Literal::Integer(value) if data_type.is_integer() => Some(FilterKey::Integer(*value)),
        Literal::String(text) if !data_type.is_integer() => Some(FilterKey::Text(text.clone())),
        _ => None,
    }
}

/// The column that an expression is, if it is one and no more.
fn column_of(expr: &Expr, known: &Known<'_>) -> Option<usize> {
    let column = match expr {
        Expr::Column { name, quoted, at } if *at == RowPointer::default() => {
            resolve_column(known.schema, name, *quoted).ok()
        }
        _ => None,
    }?;
    (!known.protected.contains(known.schema.field(column).name())).then_some(column)
}

fn is_missing(expr: &Expr, schema: &Schema) -> bool {
    let Expr::Column { name, quoted, at } = expr else { return false };
    let found = resolve_column(schema, name, *quoted);
    // The store's own columns are in no summary.
    let is_stores = METADATA.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    !is_stores && *at == RowPointer::default() && matches!(found, Err(EventError::UnknownColumn { .. }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    };
    use cepheid_eval::ColumnReader;

    use super::*;

    fn column(name: &str) -> Expr {
        Expr::Column { name: name.into(), quoted: false, at: RowPointer::default() }
    }

    fn compared(name: &str, op: BinaryOp, constant: Literal) -> Expr {
        Expr::Binary { op, left: Box::new(column(name)), right: Box::new(Expr::Literal(constant)) }
    }

    fn rows() -> RecordBatch {
        let number: ArrayRef = Arc::new(Int32Array::from(vec![Some(3), None, Some(8)]));
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("ant"), Some("bee"), None]));
        let float: ArrayRef = Arc::new(Float64Array::from(vec![1.5, -2.0, -f64::NAN]));
        let nothing: ArrayRef = Arc::new(Int32Array::from(vec![None, None, None]));
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![10, 20, 30]));
        let columns = [("n", number), ("t", text), ("f", float), ("z", nothing), ("ts", time)];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn what_is_left_out_is_what_cannot_hold() {
        use BinaryOp::*;
        let rows = rows();
        let summary = Summary::decode(&Summary::of(&rows, None).0.encode(), rows.schema_ref()).unwrap();
        let at = |nanoseconds| Literal::Timestamp { nanoseconds, zoned: false };
        let cases = [
            (compared("n", Equal, 8.into()), true),
            (compared("n", Equal, 9.into()), false),
            // In the range, but not among the values: the filter knows.
            (compared("n", Equal, 5.into()), false),
            (compared("n", Less, 3.into()), false),
            (compared("n", LessOrEqual, 3.into()), true),
            (compared("n", Greater, 7.into()), true),
            (compared("n", Greater, 8.into()), false),
            (compared("n", Equal, 2.5.into()), false),
            (compared("t", Equal, "bee".into()), true),
            (compared("t", Equal, "bat".into()), false),
            (compared("t", Greater, "bee".into()), false),
            (compared("f", Less, (-1.0).into()), true),
            (compared("f", Less, (-2.0).into()), false),
            // NaN is the greatest.
            (compared("f", Greater, 1e300.into()), true),
            (compared("z", Equal, 1.into()), false),
            (compared("ts", GreaterOrEqual, at(30_001)), false),
            (compared("ts", GreaterOrEqual, at(30_000)), true),
            (Expr::IsNull(Box::new(column("n"))), true),
            (Expr::IsNull(Box::new(column("f"))), false),
            (Expr::Not(Box::new(Expr::IsNull(Box::new(column("z"))))), false),
            (Expr::And(vec![compared("n", Equal, 8.into()), compared("t", Equal, "cat".into())]), false),
            (Expr::Or(vec![compared("n", Equal, 9.into()), compared("t", Equal, "ant".into())]), true),
            (
                Expr::In {
                    operand: Box::new(column("t")),
                    list: vec![Expr::Literal("x".into()), Expr::Literal("bee".into())],
                },
                true,
            ),
            (Expr::In { operand: Box::new(column("t")), list: vec![Expr::Literal("x".into())] }, false),
            // Nothing is known of a sum.
            (
                Expr::Binary {
                    op: Equal,
                    left: Box::new(Expr::Negate(Box::new(column("n")))),
                    right: Box::new(Expr::Literal(1.into())),
                },
                true,
            ),
        ];
        for (condition, expected) in &cases {
            assert_eq!(
                Pruner::new(condition, rows.schema_ref(), &[])
                    .may_hold(&summary, 3, &mut |_, _| unreachable!("so few values"))
                    .unwrap(),
                *expected,
                "{condition:?}"
            );
            // And never where a row satisfies it.
            let typed = TypedExpr::compile_condition(condition, rows.schema_ref()).unwrap();
            let slots: Vec<ArrayRef> = typed
                .leaves()
                .iter()
                .map(|leaf| match leaf {
                    cepheid_eval::Leaf::Column { index, .. } => Arc::clone(rows.column(*index)),
                    other => panic!("{other:?}"),
                })
                .collect();
            let mask = typed.evaluate_mask(&slots, 3).unwrap();
            assert!(*expected || mask.count_set_bits() == 0, "{condition:?}");
        }
        assert_eq!(cases.len(), 25);
    }

    #[test]
    fn long_texts_are_bounded_by_their_beginning() {
        let long = "b".repeat(100);
        let text: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
        let rows = RecordBatch::try_from_iter([("t", text)]).unwrap();
        let known = &Summary::of(&rows, None).0.columns[0];
        assert_eq!(
            known.least(),
            Some(
                ColumnReader::new(&(Arc::new(StringArray::from(vec!["b".repeat(64)])) as ArrayRef)).value(0)
            )
        );
        assert_eq!(known.greatest(), None::<Value>);
    }
}
