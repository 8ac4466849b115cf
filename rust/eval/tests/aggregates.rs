//! What every aggregate gives, that taking a row back leaves no trace, and that clones part for good.

use std::collections::HashSet;

use arrow_schema::{DataType, Field, Schema};
use cepheid_eval::{Leaf, RunningAggregate, TypedAggregate, TypedExpr, Value};
use cepheid_ir::{Aggregate, AggregateFunction, Expr};
use cepheid_testkit::SplitMix64;

/// Those of matches: the others are of windows, and tested there.
fn of_matches() -> Vec<AggregateFunction> {
    AggregateFunction::ALL.iter().copied().filter(|function| !function.is_of_windows()).collect()
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("i", DataType::Int32, true),
        Field::new("f", DataType::Float64, true),
        Field::new("d", DataType::Decimal128(10, 2), true),
        Field::new("s", DataType::LargeUtf8, true),
        Field::new("b", DataType::Boolean, true),
    ])
}

fn aggregate(function: AggregateFunction, columns: &[&str], distinct: bool) -> TypedAggregate {
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
    assert_eq!(typed.data_type(), &aggregate.data_type);
    aggregate.clone()
}

fn null() -> Value {
    Value::Null
}

fn integers(values: &[i64]) -> Vec<Vec<Value>> {
    values.iter().map(|value| vec![Value::Integer(*value)]).collect()
}

fn ranked(rows: &[(&str, i64)]) -> Vec<Vec<Value>> {
    rows.iter().map(|(x, by)| vec![Value::from(*x), Value::Integer(*by)]).collect()
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
        // Rows of one x and several y are not the same row.
        (MinBy, &["s", "i"], true, ranked(&[("a", 3), ("b", 2), ("a", 1)]), Ok("a".into())),
        (MaxBy, &["s", "i"], true, ranked(&[("a", 1), ("b", 2), ("a", 3)]), Ok("a".into())),
    ];
    let mut covered = HashSet::new();
    let count = cases.len();
    for (function, columns, distinct, rows, expected) in cases {
        let aggregate = aggregate(function, columns, distinct);
        let (mut accumulator, mut running) = (aggregate.accumulator(), aggregate.running_aggregate());
        for row in &rows {
            accumulator.push(row);
            running.push(row);
        }
        assert_eq!(accumulator.len(), rows.len());
        assert_eq!(accumulator.value().map_err(|error| error.code()), expected, "{function:?} of {rows:?}");
        assert_eq!(running.value().map_err(|error| error.code()), expected, "{function:?} of {rows:?}");
        covered.insert(function);
    }
    assert_eq!(count, 29);
    let missing: Vec<_> = of_matches().into_iter().filter(|function| !covered.contains(function)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}

fn list(values: &[Value]) -> Value {
    Value::List(values.into())
}

/// Columns that `function` takes.
fn columns_of(function: AggregateFunction) -> &'static [&'static str] {
    use AggregateFunction::*;
    match function {
        CountIf | BoolAnd | BoolOr => &["b"],
        MinBy | MaxBy => &["f", "i"],
        _ => &["f"],
    }
}

/// A row of few distinct values, for the columns of [`columns_of`].
fn random_row(random: &mut SplitMix64, columns: &[&str]) -> Vec<Value> {
    let draw = random.below(7);
    let first = match draw {
        0 => Value::Null,
        _ if columns == ["b"] => Value::Boolean(draw.is_multiple_of(2)),
        _ => Value::Float(draw as f64 * 0.1),
    };
    let mut row = vec![first];
    if columns.len() == 2 {
        row.push(if random.chance(9) { Value::Null } else { Value::Integer(random.between(0, 5)) });
    }
    row
}

/// Bit for bit: a state is brought back or copied, never worked out by subtraction.
fn bits(value: Result<Value, cepheid_eval::EvalError>) -> String {
    format!("{value:?}")
}

fn all_at_once(aggregate: &TypedAggregate, rows: &[Vec<Value>]) -> String {
    let mut fresh = aggregate.accumulator();
    for row in rows {
        fresh.push(row);
    }
    bits(fresh.value())
}

#[test]
fn taking_rows_back_leaves_no_trace() {
    let mut checked = 0;
    for function in of_matches() {
        let columns = columns_of(function);
        for distinct in [false, true] {
            let aggregate = aggregate(function, columns, distinct);
            let mut walked = aggregate.accumulator();
            let mut rows: Vec<Vec<Value>> = Vec::new();
            let mut random = SplitMix64::new(17);
            for _ in 0..300 {
                if random.chance(60) || rows.is_empty() {
                    let row = random_row(&mut random, columns);
                    walked.push(&row);
                    rows.push(row);
                } else {
                    walked.pop();
                    rows.pop();
                }
                assert_eq!(bits(walked.value()), all_at_once(&aggregate, &rows), "{function:?}");
                checked += 1;
            }
            walked.clear();
            assert!(walked.is_empty());
            walked.pop();
            assert_eq!(walked.len(), 0);
        }
    }
    assert_eq!(checked, of_matches().len() * 2 * 300);
}

#[test]
fn running_aggregates_that_part_know_nothing_of_each_other() {
    let mut checked = 0;
    for function in of_matches() {
        let columns = columns_of(function);
        for distinct in [false, true] {
            let aggregate = aggregate(function, columns, distinct);
            let mut random = SplitMix64::new(29);
            let mut runs: Vec<(RunningAggregate, Vec<Vec<Value>>)> =
                vec![(aggregate.running_aggregate(), vec![])];
            for _ in 0..150 {
                let chosen = random.below(runs.len());
                match random.below(20) {
                    0..=2 if runs.len() < 8 => runs.push(runs[chosen].clone()),
                    3 if runs.len() > 1 => drop(runs.swap_remove(chosen)),
                    4 if random.chance(10) => {
                        runs[chosen].0.clear();
                        runs[chosen].1.clear();
                    }
                    _ => {
                        let row = random_row(&mut random, columns);
                        runs[chosen].0.push(&row);
                        runs[chosen].1.push(row);
                    }
                }
                for (running, rows) in &runs {
                    assert_eq!(bits(running.value()), all_at_once(&aggregate, rows), "{function:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > of_matches().len() * 2 * 150 * 3, "only {checked} values compared");
}

#[test]
fn a_list_of_a_million_rows_is_dropped_without_recursion() {
    let mut running = aggregate(AggregateFunction::ArrayAgg, &["i"], false).running_aggregate();
    for row in 0..1_000_000 {
        running.push(&[Value::Integer(row)]);
    }
    let branch = running.clone();
    drop(running);
    let Ok(Value::List(values)) = branch.value() else { panic!("a list") };
    assert_eq!(values.len(), 1_000_000);
    assert_eq!(values[999_999], Value::Integer(999_999));
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
        assert_eq!(aggregate(function, columns, false).data_type, expected, "{function:?} of {columns:?}");
    }
}
