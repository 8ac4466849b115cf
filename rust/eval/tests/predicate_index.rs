//! The index of predicates against each predicate by itself.

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int16Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, UInt64Array,
};
use cepheid_eval::{Guard, PredicateIndex, TypedExpr, Value, read_value};
use cepheid_ir::{BinaryOp, Expr};
use cepheid_testkit::SplitMix64;

const TEXTS: [&str; 5] = ["a", "bb", "", "naïve", "a string of more than twelve bytes"];
/// Columns of text, and of numbers.
const OF_TEXT: [&str; 5] = ["plain", "large", "view", "coded", "few"];
const OF_NUMBERS: [&str; 4] = ["wide", "narrow", "unsigned", "decoded"];

fn batch(random: &mut SplitMix64, rows: usize) -> RecordBatch {
    let texts = |random: &mut SplitMix64| -> Vec<Option<&str>> {
        (0..rows).map(|_| (!random.chance(15)).then(|| *random.choose(&TEXTS))).collect()
    };
    let numbers = |random: &mut SplitMix64| -> Vec<Option<i64>> {
        (0..rows).map(|_| (!random.chance(15)).then(|| random.between(-2, 5))).collect()
    };
    let coded: DictionaryArray<Int32Type> = texts(random).into_iter().collect();
    // A dictionary of more entries than there are rows.
    let entries = StringArray::from_iter_values(TEXTS.iter().copied().cycle().take(100));
    let codes = (0..rows).map(|_| (!random.chance(15)).then(|| random.below(100) as i8)).collect();
    let few = DictionaryArray::<Int8Type>::new(codes, Arc::new(entries));
    let of_numbers = (0..rows).map(|_| (!random.chance(15)).then(|| random.below(3) as i32)).collect();
    let decoded = DictionaryArray::<Int32Type>::new(
        of_numbers,
        Arc::new(Int64Array::from(vec![Some(3), None, Some(-1)])),
    );
    let columns: [(&str, ArrayRef); 9] = [
        ("plain", Arc::new(StringArray::from(texts(random)))),
        ("large", Arc::new(LargeStringArray::from(texts(random)))),
        ("view", Arc::new(texts(random).into_iter().collect::<StringViewArray>())),
        ("coded", Arc::new(coded)),
        ("few", Arc::new(few)),
        ("wide", Arc::new(Int64Array::from(numbers(random)))),
        (
            "narrow",
            Arc::new(numbers(random).into_iter().map(|n| n.map(|n| n as i16)).collect::<Int16Array>()),
        ),
        (
            "unsigned",
            Arc::new(
                numbers(random).into_iter().map(|n| n.map(|n| n.unsigned_abs())).collect::<UInt64Array>(),
            ),
        ),
        ("decoded", Arc::new(decoded)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("columns")
}

fn leaf(random: &mut SplitMix64) -> Expr {
    let (column, constant) = if random.chance(60) {
        (*random.choose(&OF_TEXT), Expr::literal(*random.choose(&TEXTS)))
    } else {
        (*random.choose(&OF_NUMBERS), Expr::literal(random.between(-2, 6)))
    };
    let column = Expr::column(column);
    if random.chance(10) {
        return Expr::Not(Box::new(Expr::binary(BinaryOp::Equal, column, constant)));
    }
    if random.chance(15) {
        // An error where `narrow` is 2, and a number in any case.
        let divisor = Expr::binary(BinaryOp::Subtract, Expr::column("narrow"), Expr::literal(2_i64));
        let quotient = Expr::binary(BinaryOp::Divide, Expr::literal(4_i64), divisor);
        return Expr::binary(BinaryOp::Greater, quotient, Expr::literal(1_i64));
    }
    let op = *random.choose(&[BinaryOp::Equal, BinaryOp::Equal, BinaryOp::Equal, BinaryOp::Less]);
    if random.chance(50) || op != BinaryOp::Equal {
        Expr::binary(op, column, constant)
    } else {
        Expr::binary(op, constant, column)
    }
}

fn predicate(random: &mut SplitMix64, depth: usize) -> Expr {
    if depth == 0 || random.chance(40) {
        return leaf(random);
    }
    let parts = (0..2 + random.below(2)).map(|_| predicate(random, depth - 1)).collect();
    if random.chance(60) { Expr::And(parts) } else { Expr::Or(parts) }
}

/// What a predicate says of a row by itself; `None`: it raises an error.
fn alone(predicate: &TypedExpr, batch: &RecordBatch, row: usize) -> Option<bool> {
    let values: Vec<Value> = predicate
        .leaves()
        .iter()
        .map(|leaf| match leaf {
            cepheid_eval::Leaf::Column { index, .. } => read_value(batch.column(*index).as_ref(), row),
            other => unreachable!("{other:?}"),
        })
        .collect();
    predicate.evaluate_condition(&mut |slot: usize| Ok(values[slot].clone())).ok()
}

#[test]
fn rows_that_a_guard_leaves_out_neither_satisfy_nor_raise() {
    let (mut exact, mut guarded, mut failed, mut satisfied_rows) = (0, 0, 0, 0);
    for seed in 0..400 {
        let mut random = SplitMix64::new(seed);
        let mut index = PredicateIndex::default();
        let mut held: Vec<(TypedExpr, Guard)> = vec![];
        for _ in 0..4 {
            let rows = *random.choose(&[0, 1, 5, 150]);
            let batch = batch(&mut random, rows);
            for _ in 0..random.below(6) {
                let typed =
                    TypedExpr::compile_condition(&predicate(&mut random, 2), &batch.schema()).expect("typed");
                let guard = index.add(&typed);
                held.push((typed, guard));
            }
            if !held.is_empty() && random.chance(50) {
                let (_, guard) = held.swap_remove(random.below(held.len()));
                index.remove(&guard);
            }
            let asked = index.ask(|column| Arc::clone(batch.column(column)), rows).expect("asked");
            for (predicate, guard) in &held {
                if guard.atoms.iter().any(|atom| asked.failed().contains(atom)) {
                    failed += 1;
                    assert!((0..rows).any(|row| alone(predicate, &batch, row).is_none()), "seed {seed}");
                    continue;
                }
                exact += usize::from(guard.exact);
                guarded += usize::from(!guard.exact);
                for row in 0..rows {
                    let found = guard.atoms.iter().any(|atom| asked.rows(*atom).contains(&(row as u32)));
                    let expected = alone(predicate, &batch, row);
                    satisfied_rows += usize::from(expected == Some(true));
                    assert!(
                        found || expected == Some(false),
                        "seed {seed}: {predicate:?} {guard:?} row {row}"
                    );
                    assert!(
                        !guard.exact || expected == Some(found),
                        "seed {seed}: {predicate:?} {guard:?} row {row}"
                    );
                }
                assert!(guard.atoms.iter().all(|atom| asked.rows(*atom).is_sorted()));
            }
        }
        held.iter().for_each(|(_, guard)| index.remove(guard));
        assert!(index.is_empty(), "seed {seed}");
    }
    println!("{exact} exact, {guarded} guarded, {failed} failed, {satisfied_rows} rows satisfied");
    assert!(exact > 1000 && guarded > 300 && failed > 50 && satisfied_rows > 5000);
}

#[test]
fn constants_of_a_column_share_one_pass() {
    let mut random = SplitMix64::new(1);
    let batch = batch(&mut random, 50);
    let mut index = PredicateIndex::default();
    for number in 0..500 {
        let equal = Expr::binary(
            BinaryOp::Equal,
            Expr::column("plain"),
            Expr::literal(format!("S{number}").as_str()),
        );
        index.add(&TypedExpr::compile_condition(&equal, &batch.schema()).expect("typed"));
        index.add(&TypedExpr::compile_condition(&equal, &batch.schema()).expect("typed"));
        let less = Expr::binary(BinaryOp::Less, Expr::column("wide"), Expr::literal(number % 2));
        index.add(&TypedExpr::compile_condition(&less, &batch.schema()).expect("typed"));
    }
    assert_eq!(index.len(), 502);
    let asked = index.ask(|column| Arc::clone(batch.column(column)), 50).expect("asked");
    assert_eq!(asked.passes, 3, "one over the texts, and one for each of two comparisons");
}

const REALS: [f64; 9] = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 0.5, 2.0, 7.25, f64::INFINITY, f64::NAN];

/// Columns whose ranges are ranked: `narrow`, `decoded` and `wide` as in [`batch`], `real`, and `spread`, of many values.
fn ranged_batch(random: &mut SplitMix64, rows: usize) -> RecordBatch {
    let batch = batch(random, rows);
    let reals = (0..rows).map(|_| (!random.chance(10)).then(|| *random.choose(&REALS)));
    let reals: Float64Array = reals.collect();
    let spread: Int64Array = (0..rows)
        .map(|_| match random.below(20) {
            0 => None,
            1 => Some(i64::MAX),
            2 => Some(i64::MIN),
            _ => Some(random.between(0, 1000)),
        })
        .collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("wide", Arc::clone(&batch["wide"])),
        ("narrow", Arc::clone(&batch["narrow"])),
        ("decoded", Arc::clone(&batch["decoded"])),
        ("real", Arc::new(reals)),
        ("spread", Arc::new(spread)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("columns")
}

fn range(random: &mut SplitMix64) -> Expr {
    let name = *random.choose(&["wide", "narrow", "decoded", "real", "spread", "spread"]);
    let column = || Expr::column(name);
    let constant = |random: &mut SplitMix64| match (name, random.below(8)) {
        ("spread", 0) => Expr::literal(*random.choose(&[i64::MIN, i64::MAX])),
        ("spread", _) => Expr::literal(random.between(-5, 1005)),
        (_, 0 | 1) => Expr::literal(*random.choose(&REALS)),
        _ => Expr::literal(random.between(-3, 6)),
    };
    let bound = |random: &mut SplitMix64| {
        let ops = [
            BinaryOp::Less,
            BinaryOp::LessOrEqual,
            BinaryOp::Greater,
            BinaryOp::GreaterOrEqual,
            BinaryOp::Equal,
        ];
        let (op, constant) = (*random.choose(&ops), constant(random));
        if random.chance(50) {
            Expr::binary(op, column(), constant)
        } else {
            Expr::binary(op, constant, column())
        }
    };
    match random.below(3) {
        0 => bound(random),
        1 => Expr::And((0..2 + random.below(2)).map(|_| bound(random)).collect()),
        _ => {
            let (low, high) = (Box::new(constant(random)), Box::new(constant(random)));
            Expr::Between { operand: Box::new(column()), low, high }
        }
    }
}

#[test]
fn ranges_that_are_ranked_hold_the_rows_that_each_does_alone() {
    let (mut asked_of_rows, mut satisfied_rows, mut exact, mut spared) = (0, 0, 0, 0);
    for seed in 0..25 {
        let mut random = SplitMix64::new(seed);
        let mut index = PredicateIndex::default();
        let mut held: Vec<(TypedExpr, Guard)> = vec![];
        for _ in 0..4 {
            let rows = *random.choose(&[0, 1, 5, 150, 400]);
            let batch = ranged_batch(&mut random, rows);
            for _ in 0..150 {
                let typed = TypedExpr::compile_condition(&range(&mut random), &batch.schema());
                let typed = typed.expect("typed");
                let guard = index.add(&typed);
                held.push((typed, guard));
            }
            for _ in 0..random.below(100) {
                let (_, guard) = held.swap_remove(random.below(held.len()));
                index.remove(&guard);
            }
            let asked = index.ask(|column| Arc::clone(batch.column(column)), rows).expect("asked");
            spared += index.len() - asked.passes;
            for (predicate, guard) in &held {
                exact += usize::from(guard.exact);
                for row in 0..rows {
                    let found =
                        guard.atoms.iter().any(|atom| asked.rows(*atom).binary_search(&(row as u32)).is_ok());
                    let expected = alone(predicate, &batch, row).expect("no range raises an error");
                    let right = if guard.exact { found == expected } else { found || !expected };
                    let text = cepheid_eval::expression_text(predicate.source());
                    assert!(right, "seed {seed}: {text} row {row}: found {found}, expected {expected}");
                    asked_of_rows += 1;
                    satisfied_rows += usize::from(found);
                }
                assert!(guard.atoms.iter().all(|atom| asked.rows(*atom).is_sorted()));
            }
        }
        held.iter().for_each(|(_, guard)| index.remove(guard));
        assert!(index.is_empty(), "seed {seed}");
    }
    println!("{asked_of_rows} asked, {satisfied_rows} satisfied, {exact} exact, {spared} passes spared");
    assert!(asked_of_rows > 1_000_000 && satisfied_rows > 200_000 && exact > 10_000 && spared > 5_000);
}

#[test]
fn a_thousand_ranges_that_exclude_each_other_are_one_pass() {
    let rows = 5_000;
    let values: ArrayRef =
        Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * 7919 % 1_000_000)));
    let batch = RecordBatch::try_from_iter([("value", values)]).expect("a column");
    let mut index = PredicateIndex::default();
    for number in 0..1000_i64 {
        let low = Expr::binary(BinaryOp::GreaterOrEqual, Expr::column("value"), Expr::literal(number * 1000));
        let high = Expr::binary(BinaryOp::Less, Expr::column("value"), Expr::literal(number * 1000 + 1000));
        let range = Expr::And(vec![low, high]);
        index.add(&TypedExpr::compile_condition(&range, &batch.schema()).expect("typed"));
    }
    let asked = index.ask(|column| Arc::clone(batch.column(column)), rows as usize).expect("asked");
    assert_eq!(asked.passes, 1);
    assert_eq!(asked.atoms().map(|atom| asked.rows(atom).len()).sum::<usize>(), rows as usize);
}
