//! Predicates as bitmaps: what a row costs before any search, on a million rows.
//!
//! `cargo bench -p cepheid-matcher` times them. Answers are asserted before anything is timed.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use std::sync::Arc;

use arrow_array::types::{Int16Type, Int32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    StringViewArray,
};
use arrow_schema::{Field, Schema};
use cepheid_eval::TypedExpr;
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{BinaryOp, Expr, RowPointer};
use cepheid_matcher::Workers;
use cepheid_matcher::masks::Masks;
use cepheid_testkit::SplitMix64;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 1_000_000;
const SYMBOLS: usize = 500;

fn column(name: &str) -> ArrayRef {
    let mut random = SplitMix64::new(1);
    let codes: Vec<usize> = (0..ROWS).map(|_| random.below(SYMBOLS)).collect();
    // Four to eight bytes each.
    let names: Vec<String> = (0..SYMBOLS).map(|code| format!("S{}{}", code, &"wxyz"[..code % 5])).collect();
    let values = Arc::new(StringArray::from_iter_values(&names));
    let texts = || codes.iter().map(|code| names[*code].as_str());
    match name {
        "dictionary of int32" => {
            let keys = Int32Array::from_iter_values(codes.iter().map(|code| *code as i32));
            Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
        }
        "dictionary of int16" => {
            let keys = Int16Array::from_iter_values(codes.iter().map(|code| *code as i16));
            Arc::new(DictionaryArray::<Int16Type>::new(keys, values))
        }
        "utf8" => Arc::new(StringArray::from_iter_values(texts())),
        "utf8 view" => Arc::new(StringViewArray::from_iter_values(texts())),
        "int64" => Arc::new(Int64Array::from_iter_values(codes.iter().map(|code| *code as i64))),
        "float64" => Arc::new(Float64Array::from_iter_values(codes.iter().map(|code| *code as f64))),
        other => unreachable!("no column of {other}"),
    }
}

fn table(name: &str) -> Table {
    let column = column(name);
    let schema = Arc::new(Schema::new(vec![Field::new("x", column.data_type().clone(), false)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("one column");
    Table::new(schema, vec![batch]).expect("one batch")
}

fn compare(op: BinaryOp, constant: Expr) -> Expr {
    Expr::binary(op, Expr::column("x"), constant)
}

/// The column one row back.
fn previous(name: &str) -> Expr {
    let at = RowPointer { physical_offset: -1, ..RowPointer::default() };
    Expr::Column { name: name.into(), quoted: false, at }
}

fn masks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("masks");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let mut measure = |name: &str, what: &str, conditions: &[Expr]| {
        let table = table(name);
        let predicates: Vec<TypedExpr> = conditions
            .iter()
            .map(|condition| TypedExpr::compile_condition(condition, table.schema()).expect("it compiles"))
            .collect();
        let rows = OrderedRows::new(&table, &[], &[], &[]).expect("one partition");
        let answer = Masks::evaluate(&predicates, &table, &rows, Workers::default()).expect("nothing fails");
        for bits in &answer.of {
            let set = bits.as_ref().expect("no data error").count(0, ROWS);
            assert!(set > 1000 && set < ROWS, "{name}, {what}: {set} rows");
        }
        group.bench_function(format!("{what} of {name}"), |bencher| {
            bencher.iter(|| Masks::evaluate(&predicates, &table, &rows, Workers::default()));
        });
    };
    let equal = |text: &str| compare(BinaryOp::Equal, Expr::literal(text));
    for name in ["dictionary of int32", "dictionary of int16", "utf8", "utf8 view"] {
        measure(name, "three equalities", &[equal("S17wx"), equal("S203wxy"), equal("S400")]);
    }
    for name in ["int64", "float64"] {
        let constant =
            |value: i64| if name == "int64" { Expr::literal(value) } else { Expr::literal(value as f64) };
        measure(name, "less", &[compare(BinaryOp::Less, constant(100))]);
        measure(name, "greater", &[compare(BinaryOp::Greater, constant(100))]);
        measure(name, "equal", &[compare(BinaryOp::Equal, constant(100))]);
    }
    for name in ["int64", "float64"] {
        let pair = |op| Expr::binary(op, Expr::column("x"), previous("x"));
        measure(name, "down and up", &[pair(BinaryOp::Less), pair(BinaryOp::Greater)]);
    }
    group.finish();
}

criterion_group!(benches, masks);
criterion_main!(benches);
