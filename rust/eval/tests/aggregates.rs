//! What every aggregate gives, and that taking a row back leaves no trace.

use std::collections::HashSet;

use arrow_schema::{DataType, Field, Schema};
use cepheid_eval::{Accumulator, Leaf, TypedExpr, Value};
use cepheid_ir::{Aggregate, AggregateFunction, Expr};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("i", DataType::Int32, true),
        Field::new("f", DataType::Float64, true),
        Field::new("d", DataType::Decimal128(10, 2), true),
        Field::new("s", DataType::LargeUtf8, true),
        Field::new("b", DataType::Boolean, true),
    ])
}

fn accumulator(function: AggregateFunction, columns: &[&str], distinct: bool) -> (Accumulator, DataType) {
    let aggregate = Aggregate {
        function,
        args: columns.iter().map(|column| Expr::column(*column)).collect(),
        distinct,
        variable: None,
        semantics: Default::default(),
        tested_row: Default::default(),
    };
    let typed = TypedExpr::compile(&Expr::Aggregate(aggregate), &schema()).expect("a well-typed aggregate");
    let [Leaf::Aggregate(aggregate)] = typed.leaves() else { panic!("one leaf") };
    (aggregate.accumulator(), typed.data_type().clone())
}

fn null() -> Value {
    Value::Null
}

fn integers(values: &[i64]) -> Vec<Vec<Value>> {
    values.iter().map(|value| vec![Value::Integer(*value)]).collect()
}

fn dec(unscaled: i128) -> Value {
    Value::Decimal { unscaled, scale: 2 }
}

#[test]
fn every_aggregate_gives_what_its_contract_says() {
    use AggregateFunction::*;
    let floats = |values: &[f64]| values.iter().map(|v| vec![Value::Float(*v)]).collect::<Vec<_>>();
    let with_null = |mut rows: Vec<Vec<Value>>| {
        rows.push(vec![null()]);
        rows
    };
    let booleans = vec![vec![Value::Boolean(true)], vec![null()], vec![Value::Boolean(false)]];
    let by = vec![
        vec![Value::from("a"), Value::Integer(2)],
        vec![Value::from("b"), Value::Integer(5)],
        vec![Value::from("c"), null()],
        vec![null(), Value::Integer(1)],
    ];
    type Case =
        (AggregateFunction, &'static [&'static str], bool, Vec<Vec<Value>>, Result<Value, &'static str>);
    let cases: Vec<Case> = vec![
        (Count, &[], false, vec![vec![], vec![]], Ok(2.into())),
        (Count, &["i"], false, with_null(integers(&[1, 1])), Ok(2.into())),
        (Count, &["i"], true, with_null(integers(&[1, 1, 2])), Ok(2.into())),
        (Count, &["i"], false, vec![], Ok(0.into())),
        (CountIf, &["b"], false, booleans.clone(), Ok(1.into())),
        (Sum, &["i"], false, with_null(integers(&[1, 2])), Ok(3.into())),
        (Sum, &["i"], true, integers(&[2, 2, 3]), Ok(5.into())),
        (Sum, &["i"], false, vec![], Ok(null())),
        (Sum, &["i"], false, integers(&[i64::MAX, 1]), Err("overflow")),
        (Sum, &["i"], false, integers(&[i64::MAX, 1, -1]), Ok(i64::MAX.into())),
        (Sum, &["f"], false, floats(&[0.5, 1.0]), Ok(1.5.into())),
        (Sum, &["d"], false, vec![vec![dec(150)], vec![dec(50)]], Ok(dec(200))),
        (Avg, &["i"], false, integers(&[1, 2]), Ok(1.5.into())),
        (Avg, &["d"], false, vec![vec![dec(1)], vec![dec(2)]], Ok(dec(2))),
        (Min, &["s"], false, vec![vec!["b".into()], vec!["a".into()], vec![null()]], Ok("a".into())),
        (Max, &["f"], false, floats(&[1.0, f64::NAN, 2.0]), Ok(f64::NAN.into())),
        (StddevSamp, &["f"], false, floats(&[1.0]), Ok(null())),
        (StddevSamp, &["i"], false, integers(&[1, 3, 5]), Ok(2.0.into())),
        (StddevPop, &["i"], false, integers(&[1, 3]), Ok(1.0.into())),
        (VarSamp, &["i"], false, integers(&[1, 3, 5]), Ok(4.0.into())),
        (VarPop, &["i"], false, integers(&[1, 3]), Ok(1.0.into())),
        (ArrayAgg, &["i"], false, with_null(integers(&[2, 1])), Ok(list(&[2.into(), 1.into(), null()]))),
        (ArrayAgg, &["i"], true, integers(&[2, 1, 2]), Ok(list(&[2.into(), 1.into()]))),
        (BoolAnd, &["b"], false, booleans.clone(), Ok(false.into())),
        (BoolOr, &["b"], false, booleans, Ok(true.into())),
        (MinBy, &["s", "i"], false, by.clone(), Ok(null())),
        (MaxBy, &["s", "i"], false, by, Ok("b".into())),
    ];
    let mut covered = HashSet::new();
    let count = cases.len();
    for (function, columns, distinct, rows, expected) in cases {
        let (mut accumulator, _) = accumulator(function, columns, distinct);
        for row in &rows {
            accumulator.push(row).expect("no row fails");
        }
        assert_eq!(accumulator.len(), rows.len());
        let found = accumulator.value().map_err(|error| error.code());
        assert_eq!(found, expected, "{function:?} of {rows:?}");
        covered.insert(function);
    }
    assert_eq!(count, 27);
    let missing: Vec<_> =
        AggregateFunction::ALL.iter().filter(|function| !covered.contains(function)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}

fn list(values: &[Value]) -> Value {
    Value::List(values.into())
}

#[test]
fn taking_rows_back_leaves_no_trace() {
    let mut checked = 0;
    for function in AggregateFunction::ALL {
        use AggregateFunction::*;
        let columns: &[&str] = match function {
            CountIf | BoolAnd | BoolOr => &["b"],
            MinBy | MaxBy => &["f", "i"],
            _ => &["f"],
        };
        for distinct in [false, true] {
            let (mut walked, _) = accumulator(*function, columns, distinct);
            let mut rows: Vec<Vec<Value>> = Vec::new();
            let mut state = 17u64;
            for _ in 0..300 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let draw = state >> 40;
                if draw % 5 < 3 || rows.is_empty() {
                    let value = match draw % 7 {
                        0 => Value::Null,
                        n if columns == ["b"] => Value::Boolean(n % 2 == 0),
                        n => Value::Float(n as f64 * 0.1),
                    };
                    let mut row = vec![value];
                    if columns.len() == 2 {
                        row.push(if draw.is_multiple_of(11) {
                            Value::Null
                        } else {
                            Value::Integer(draw as i64 % 6)
                        });
                    }
                    walked.push(&row).expect("no row fails");
                    rows.push(row);
                } else {
                    walked.pop();
                    rows.pop();
                }
                let (mut fresh, _) = accumulator(*function, columns, distinct);
                for row in &rows {
                    fresh.push(row).expect("no row fails");
                }
                // Bit for bit: the state before is brought back, not worked out by subtraction.
                assert_eq!(format!("{:?}", walked.value()), format!("{:?}", fresh.value()), "{function:?}");
                checked += 1;
            }
            walked.clear();
            assert!(walked.is_empty());
            walked.pop();
            assert_eq!(walked.len(), 0);
        }
    }
    assert_eq!(checked, AggregateFunction::ALL.len() * 2 * 300);
}

#[test]
fn result_types_follow_the_arguments() {
    use AggregateFunction::*;
    let cases: [(AggregateFunction, &[&str], DataType); 8] = [
        (Count, &[], DataType::Int64),
        (Sum, &["i"], DataType::Int64),
        (Sum, &["f"], DataType::Float64),
        (Sum, &["d"], DataType::Decimal128(38, 2)),
        (Avg, &["i"], DataType::Float64),
        (Min, &["i"], DataType::Int32),
        (Max, &["s"], DataType::Utf8),
        (MinBy, &["s", "i"], DataType::Utf8),
    ];
    for (function, columns, expected) in cases {
        assert_eq!(accumulator(function, columns, false).1, expected, "{function:?} of {columns:?}");
    }
}
