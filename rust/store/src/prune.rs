//! Which rows a condition neither holds for nor fails on, by what is known of them.
//!
//! A condition is taken apart into conjunctions and disjunctions of comparisons of a column with constants; each becomes a
//! question to the least value, the greatest, the number of NULLs or the filter of that column. What is of another form
//! may always hold. The comparison itself is put to the evaluator of conditions, so that types meet as they do there.
//!
//! Operands are asked from the left, as of a row: FALSE ends a conjunction, NULL does not. What may raise an error (a
//! division, a conversion) is left out only behind an operand that is FALSE of every row; so whoever leaves rows out meets
//! the errors that all rows would raise.

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
    /// Nothing is known of its value.
    Unknown {
        /// Whether some row may raise an error.
        raises: bool,
    },
    /// FALSE of every row.
    Never,
    /// NULL of every row.
    Null,
    All(Several),
    Any(Several),
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

/// Operands, in the order in which a row is asked.
#[derive(Clone, Debug)]
struct Several {
    tests: Vec<Test>,
    /// Where those begin that raise no error, up to the last.
    safe_from: usize,
}

impl Several {
    fn of(tests: Vec<Test>) -> Self {
        let safe_from = tests.iter().rposition(Test::raises).map_or(0, |last| last + 1);
        Self { tests, safe_from }
    }
}

impl Test {
    fn raises(&self) -> bool {
        match self {
            Self::Unknown { raises } => *raises,
            Self::All(several) | Self::Any(several) => several.safe_from > 0,
            _ => false,
        }
    }
}

/// What is known of a condition's value in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// FALSE of every row; no error is raised.
    False,
    /// FALSE or NULL of every row; no error is raised.
    NotTrue,
    /// It may be anything; no error is raised.
    Open,
    /// A row may raise an error.
    Raises,
}

impl Pruner {
    /// Takes a condition apart. `asked`: the columns over which it is asked of rows, which say what may raise an error;
    /// `schema`: those of which something is known. Of protected columns nothing is: their values may be erased, and are NULL
    /// then.
    pub fn new(condition: &Expr, asked: &Schema, schema: &SchemaRef, protected: &[String]) -> Self {
        Self(test_of(condition, &Known { asked, schema, protected }))
    }

    /// Whether the condition may hold of one of `events` rows, or raise an error. If it says no, it holds of none, and
    /// raises none. `apart` reads the filter of a column that is kept apart, by its place and its hash.
    ///
    /// # Errors
    /// Those of `apart`.
    pub fn may_hold(&self, summary: &Summary, events: u64, apart: Apart<'_>) -> Result<bool, StoreError> {
        let verdict = verdict(&self.0, summary, events, apart)?;
        Ok(matches!(verdict, Verdict::Open | Verdict::Raises))
    }
}

/// Reads a filter that is kept apart.
pub type Apart<'a> = &'a mut dyn FnMut(usize, &Hash) -> Result<Vec<u8>, StoreError>;

fn verdict(test: &Test, summary: &Summary, events: u64, apart: Apart<'_>) -> Result<Verdict, StoreError> {
    let column = |column: &usize| &summary.columns[*column];
    let some_value = |known: &ColumnSummary| known.nulls < events;
    // Of a comparison of a column with a constant: NULL alone compares to NULL.
    let compared = |known: &ColumnSummary, holds: bool| match holds {
        true => Verdict::Open,
        false if known.nulls == 0 => Verdict::False,
        false => Verdict::NotTrue,
    };
    Ok(match test {
        Test::Unknown { raises: true } => Verdict::Raises,
        Test::Unknown { raises: false } => Verdict::Open,
        Test::Never => Verdict::False,
        Test::Null => Verdict::NotTrue,
        Test::All(several) => return verdict_of_all(several, summary, events, apart),
        Test::Any(several) => return verdict_of_any(several, summary, events, apart),
        Test::Extreme { column: place, greatest, bound } => {
            let known = column(place);
            let value = if *greatest { known.greatest() } else { known.least() };
            compared(known, some_value(known) && value.is_none_or(|value| holds_of(bound, value)))
        }
        Test::Keys { column: place, keys } => {
            let known = column(place);
            compared(known, some_value(known) && known.may_hold(keys, |hash| apart(*place, hash))?)
        }
        Test::SomeNull { column: place } if column(place).nulls == 0 => Verdict::False,
        Test::SomeValue { column: place } if !some_value(column(place)) => Verdict::False,
        Test::SomeNull { .. } | Test::SomeValue { .. } => Verdict::Open,
    })
}

fn verdict_of_all(
    all: &Several,
    summary: &Summary,
    events: u64,
    apart: Apart<'_>,
) -> Result<Verdict, StoreError> {
    let mut so_far = Verdict::Open;
    for (place, test) in all.tests.iter().enumerate() {
        match verdict(test, summary, events, apart)? {
            Verdict::Open => {}
            Verdict::NotTrue => so_far = Verdict::NotTrue,
            settled => return Ok(settled),
        }
        // What comes behind is asked of rows that are NULL so far, and may raise an error there.
        if so_far == Verdict::NotTrue && place + 1 >= all.safe_from {
            break;
        }
    }
    Ok(so_far)
}

fn verdict_of_any(
    any: &Several,
    summary: &Summary,
    events: u64,
    apart: Apart<'_>,
) -> Result<Verdict, StoreError> {
    let mut so_far = Verdict::False;
    for (place, test) in any.tests.iter().enumerate() {
        match verdict(test, summary, events, apart)? {
            Verdict::False => {}
            Verdict::NotTrue => so_far = Verdict::NotTrue,
            // Rows of which it is not TRUE are asked the next, which may raise an error.
            Verdict::Open if place + 1 >= any.safe_from => return Ok(Verdict::Open),
            Verdict::Open | Verdict::Raises => return Ok(Verdict::Raises),
        }
    }
    Ok(so_far)
}

/// Whether a comparison holds of a value; what cannot be told is kept.
fn holds_of(bound: &TypedExpr, value: Value) -> bool {
    bound.evaluate_condition(&mut |_| Ok(value.clone())).unwrap_or(true)
}

/// Of a value that raises no error.
const UNKNOWN: Test = Test::Unknown { raises: false };

fn all_of(tests: impl IntoIterator<Item = Test>) -> Test {
    Test::All(Several::of(tests.into_iter().collect()))
}

fn any_of(tests: impl IntoIterator<Item = Test>) -> Test {
    Test::Any(Several::of(tests.into_iter().collect()))
}

/// Whether a row may raise an error; what cannot be told may.
fn may_raise(condition: &Expr, known: &Known<'_>) -> bool {
    !TypedExpr::compile(condition, known.asked).is_ok_and(|compiled| compiled.never_fails())
}

/// Columns of which something is known.
struct Known<'a> {
    asked: &'a Schema,
    schema: &'a SchemaRef,
    protected: &'a [String],
}

fn test_of(condition: &Expr, known: &Known<'_>) -> Test {
    match condition {
        Expr::And(parts) => all_of(parts.iter().map(|part| test_of(part, known))),
        Expr::Or(parts) => any_of(parts.iter().map(|part| test_of(part, known))),
        _ if may_raise(condition, known) => Test::Unknown { raises: true },
        Expr::Literal(Literal::Boolean(false)) => Test::Never,
        Expr::Binary { op, left, right } => match (&**left, &**right) {
            (column, Expr::Literal(constant)) => comparison(column, *op, constant, known),
            (Expr::Literal(constant), column) => comparison(column, op.mirrored(), constant, known),
            _ => UNKNOWN,
        },
        Expr::Between { operand, low, high } => match (&**low, &**high) {
            (Expr::Literal(low), Expr::Literal(high)) => all_of([
                comparison(operand, BinaryOp::GreaterOrEqual, low, known),
                comparison(operand, BinaryOp::LessOrEqual, high, known),
            ]),
            _ => UNKNOWN,
        },
        Expr::In { operand, list } => {
            let equal = |value: &Expr| match value {
                Expr::Literal(constant) => comparison(operand, BinaryOp::Equal, constant, known),
                _ => UNKNOWN,
            };
            any_of(list.iter().map(equal))
        }
        Expr::IsNull(operand) => {
            column_of(operand, known).map_or(UNKNOWN, |column| Test::SomeNull { column })
        }
        Expr::Not(operand) => match &**operand {
            Expr::IsNull(operand) => {
                column_of(operand, known).map_or(UNKNOWN, |column| Test::SomeValue { column })
            }
            _ => UNKNOWN,
        },
        _ => UNKNOWN,
    }
}

fn comparison(operand: &Expr, op: BinaryOp, constant: &Literal, known: &Known<'_>) -> Test {
    let Some(column) = column_of(operand, known) else {
        // A column that these rows do not have is NULL in all of them.
        return if is_missing(operand, known.schema) { Test::Null } else { UNKNOWN };
    };
    let extreme = |op: BinaryOp, greatest: bool| {
        let right = Box::new(Expr::Literal(constant.clone()));
        let bound = Expr::Binary { op, left: Box::new(operand.clone()), right };
        match TypedExpr::compile_condition(&bound, known.schema) {
            // One slot: the column.
            Ok(bound) if bound.leaves().len() == 1 => Test::Extreme { column, greatest, bound },
            _ => UNKNOWN,
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
            all_of(tests)
        }
        _ => UNKNOWN,
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
    use crate::mixed::mixed;

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
                Pruner::new(condition, rows.schema_ref(), rows.schema_ref(), &[])
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

    /// Columns of few rows: numbers with and without zeros and NULLs.
    fn numbers(seed: &mut u64) -> RecordBatch {
        let rows = 1 + mixed(seed) % 3;
        let column = |name, seed: &mut u64| {
            let (least, null) = (mixed(seed) % 3, mixed(seed).is_multiple_of(3));
            let value = |seed: &mut u64| {
                (!null || !mixed(seed).is_multiple_of(3)).then(|| (least + mixed(seed) % 2) as i32)
            };
            let values: Vec<Option<i32>> = (0..rows).map(|_| value(seed)).collect();
            (name, Arc::new(Int32Array::from(values)) as ArrayRef, true)
        };
        let columns = ["a", "b", "c"].map(|name| column(name, seed));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    /// A condition, some part of which may divide by zero.
    fn some_condition(depth: u64, seed: &mut u64) -> Expr {
        let name = ["a", "b", "c", "gone"][mixed(seed) as usize % 4];
        let constant = (mixed(seed) % 4) as i64;
        match mixed(seed) % (if depth > 0 { 8 } else { 5 }) {
            0 if name != "gone" => {
                let (left, right) = (Box::new(column("a")), Box::new(column(name)));
                let quotient = Expr::Binary { op: BinaryOp::Divide, left, right };
                let right = Box::new(Expr::Literal(constant.into()));
                Expr::Binary { op: BinaryOp::Greater, left: Box::new(quotient), right }
            }
            1 => Expr::IsNull(Box::new(column(name))),
            2 => Expr::Not(Box::new(Expr::IsNull(Box::new(column(name))))),
            0 | 3 => compared(name, BinaryOp::Equal, constant.into()),
            4 => compared(name, BinaryOp::Less, constant.into()),
            junction => {
                let parts = (0..1 + mixed(seed) % 3).map(|_| some_condition(depth - 1, seed)).collect();
                if junction == 5 { Expr::Or(parts) } else { Expr::And(parts) }
            }
        }
    }

    #[test]
    fn rows_that_are_left_out_raise_no_error_either() {
        let (mut left_out, mut raised, mut both) = (0, 0, 0);
        for case in 0..30_000 {
            let seed = &mut (case * 977);
            let rows = numbers(seed);
            let condition = some_condition(2, seed);
            // A column that these rows do not have is NULL of all of them.
            let mut fields = rows.schema().fields().to_vec();
            fields.push(Arc::new(arrow_schema::Field::new("gone", arrow_schema::DataType::Int32, true)));
            let asked = Schema::new(fields);
            let typed = TypedExpr::compile_condition(&condition, &asked).unwrap();
            let slot = |leaf: &cepheid_eval::Leaf| match leaf {
                cepheid_eval::Leaf::Column { index, .. } if *index < 3 => Arc::clone(rows.column(*index)),
                _ => arrow_array::new_null_array(&arrow_schema::DataType::Int32, rows.num_rows()),
            };
            let slots: Vec<ArrayRef> = typed.leaves().iter().map(slot).collect();
            let mask = typed.evaluate_mask(&slots, rows.num_rows());

            let (summary, _) = Summary::of(&rows, None);
            let pruner = Pruner::new(&condition, &asked, rows.schema_ref(), &[]);
            let apart: Apart<'_> = &mut |_, _| unreachable!("so few values");
            if !pruner.may_hold(&summary, rows.num_rows() as u64, apart).unwrap() {
                left_out += 1;
                both += usize::from(!typed.never_fails());
                let mask = mask.unwrap_or_else(|error| panic!("case {case}: {condition:?}: {error}"));
                assert_eq!(mask.count_set_bits(), 0, "case {case}: {condition:?}");
            } else {
                raised += usize::from(mask.is_err());
            }
        }
        assert!(left_out > 3000 && raised > 1000 && both > 100, "{left_out} {raised} {both}");
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
