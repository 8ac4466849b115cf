//! The column evaluator and the row evaluator are one meaning told twice.

mod random_expressions;

use std::cell::Cell;

use arrow_array::Array;
use cepheid_eval::{ColumnReader, EvalError, TypedExpr, Value, expression_text};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use random_expressions::{Class, Generator, random_table};

/// What became of the expressions generated.
#[derive(Default)]
struct Tally {
    compared: Cell<usize>,
    with_errors: Cell<usize>,
    rejected: Cell<usize>,
    masks: Cell<usize>,
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

fn cases() -> u32 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 200_000 } else { 6_000 }
}

#[test]
fn columns_give_the_values_and_errors_of_rows() {
    let tally = Tally::default();
    let mut runner =
        TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    runner
        .run(&(any::<u64>(), 0usize..150, 0usize..5), |(seed, rows, depth)| {
            check(seed, rows, depth, &tally);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let cases = cases() as usize;
    assert_eq!(tally.compared.get() + tally.rejected.get(), cases);
    assert!(tally.compared.get() >= cases * 8 / 10, "only {} of {cases} compiled", tally.compared.get());
    assert!(tally.compared.get() >= 2_000);
    assert!(tally.with_errors.get() >= cases / 50, "only {} raised data errors", tally.with_errors.get());
    assert!(tally.masks.get() >= cases / 10, "only {} were conditions", tally.masks.get());
}

fn check(seed: u64, rows: usize, depth: usize, tally: &Tally) {
    let mut generator = Generator::new(seed);
    let table = random_table(&mut generator, rows);
    let class = generator.any_class();
    let expr = generator.expression(class, depth);
    let text = || format!("seed {seed}, rows {rows}, depth {depth}: {}", expression_text(&expr));
    let typed = match TypedExpr::compile(&expr, table.schema_ref()) {
        Ok(typed) => typed,
        Err(error) => {
            assert!(!error.is_data_error(), "{}: {error} at compile time", text());
            count(&tally.rejected);
            return;
        }
    };
    count(&tally.compared);
    let slots: Vec<_> = typed
        .leaves()
        .iter()
        .map(|leaf| match leaf {
            cepheid_eval::Leaf::Column { index, .. } => table.column(*index).clone(),
            other => panic!("{}: unexpected leaf {other:?}", text()),
        })
        .collect();
    let readers: Vec<ColumnReader> = slots.iter().map(ColumnReader::new).collect();
    let by_row: Vec<Result<Value, EvalError>> =
        (0..rows).map(|row| typed.evaluate_row(&mut |slot: usize| Ok(readers[slot].value(row)))).collect();
    let raises = by_row.iter().any(Result::is_err);
    match typed.evaluate_columns(&slots, rows) {
        Err(error) => {
            assert!(error.is_data_error(), "{}: columns raise {error}", text());
            assert!(raises, "{}: columns raise {error}, no row does", text());
            count(&tally.with_errors);
        }
        Ok(column) => {
            assert!(
                !raises,
                "{}: a row raises {:?}, columns do not",
                text(),
                by_row.iter().find(|v| v.is_err())
            );
            assert_eq!(column.len(), rows, "{}", text());
            assert_eq!(column.data_type(), typed.data_type(), "{}", text());
            let reader = ColumnReader::new(&column);
            for (row, expected) in by_row.iter().enumerate() {
                let expected = expected.as_ref().expect("no row raises");
                let found = reader.value(row);
                assert_eq!(&found, expected, "{}: row {row} of {rows}", text());
            }
        }
    }
    if class == Class::Boolean {
        count(&tally.masks);
        match typed.evaluate_mask(&slots, rows) {
            Err(error) => assert!(raises, "{}: the mask raises {error}, no row does", text()),
            Ok(mask) => {
                assert!(!raises, "{}: a row raises, the mask does not", text());
                for (row, expected) in by_row.iter().enumerate() {
                    let expected = matches!(expected, Ok(Value::Boolean(true)));
                    assert_eq!(mask.value(row), expected, "{}: mask of row {row}", text());
                }
            }
        }
    }
}
