//! What is said to exclude each other, against all values.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use cepheid_eval::{TypedExpr, Value, read_value};
use cepheid_ir::{BinaryOp, Expr};
use cepheid_testkit::SplitMix64;

/// Every combination of some values of `n` (int64), `f` (float64), `k` (a string) and `d` (a dictionary of strings).
fn rows() -> RecordBatch {
    let integers = [None, Some(-1), Some(0), Some(1), Some(2), Some(3), Some(i64::MAX)];
    let floats = [None, Some(-0.0), Some(0.5), Some(1.0), Some(2.5), Some(f64::NAN), Some(f64::INFINITY)];
    let texts = [None, Some(""), Some("a"), Some("b"), Some("ab")];
    let (mut n, mut f, mut k, mut d) = (vec![], vec![], vec![], vec![]);
    for integer in integers {
        for float in floats {
            for text in texts {
                for coded in texts {
                    n.push(integer);
                    f.push(float);
                    k.push(text);
                    d.push(coded);
                }
            }
        }
    }
    let coded: DictionaryArray<Int32Type> = d.into_iter().collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from(n))),
        ("f", Arc::new(Float64Array::from(f))),
        ("k", Arc::new(StringArray::from(k))),
        ("d", Arc::new(coded)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

fn comparison(random: &mut SplitMix64) -> Expr {
    let ops = [BinaryOp::Equal, BinaryOp::Equal, BinaryOp::Less, BinaryOp::LessOrEqual];
    let ops = [&ops[..], &[BinaryOp::Greater, BinaryOp::GreaterOrEqual, BinaryOp::NotEqual]].concat();
    let op = *random.choose(&ops);
    let text = |random: &mut SplitMix64| Expr::literal(*random.choose(&["", "a", "b", "ab"]));
    match random.below(8) {
        0 => Expr::IsNull(Box::new(Expr::column("n"))),
        1 => Expr::binary(op, Expr::column("f"), Expr::literal(random.between(-1, 3))),
        2 => Expr::binary(op, Expr::column("f"), Expr::literal(random.between(-2, 6) as f64 / 2.0)),
        3 => Expr::binary(op, Expr::column("k"), text(random)),
        4 => Expr::binary(op, text(random), Expr::column("d")),
        5 => Expr::In { operand: Box::new(Expr::column("k")), list: vec![text(random), text(random)] },
        6 => Expr::Between {
            operand: Box::new(Expr::column("n")),
            low: Box::new(Expr::literal(random.between(-1, 2))),
            high: Box::new(Expr::literal(random.between(-1, 4))),
        },
        _ => Expr::binary(op, Expr::column("n"), Expr::literal(random.between(-1, 4))),
    }
}

fn condition(random: &mut SplitMix64) -> Expr {
    match random.below(6) {
        0 => Expr::And(vec![comparison(random), comparison(random)]),
        1 => Expr::Or(vec![comparison(random), comparison(random)]),
        2 => Expr::Not(Box::new(comparison(random))),
        _ => comparison(random),
    }
}

fn satisfied(condition: &TypedExpr, batch: &RecordBatch) -> Vec<bool> {
    let column = |index: usize, row: usize| read_value(batch.column(index), row);
    let holds = |row: usize| {
        let slots: Vec<Value> = condition
            .leaves()
            .iter()
            .map(|leaf| match leaf {
                cepheid_eval::Leaf::Column { index, .. } => column(*index, row),
                other => panic!("{other:?} is no column"),
            })
            .collect();
        condition.evaluate_condition(&mut |slot: usize| Ok(slots[slot].clone())) == Ok(true)
    };
    (0..batch.num_rows()).map(holds).collect()
}

#[test]
fn no_row_satisfies_both_of_what_excludes_each_other() {
    let batch = rows();
    let (mut excluded, mut exclusive) = (0, 0);
    for seed in 0..1_500 {
        let mut random = SplitMix64::new(seed);
        let compiled = [condition(&mut random), condition(&mut random)]
            .map(|condition| TypedExpr::compile_condition(&condition, &batch.schema()).expect("it compiles"));
        let [one, other] = &compiled;
        let [of_one, of_other] = [one, other].map(|condition| satisfied(condition, &batch));
        let both = of_one.iter().zip(&of_other).any(|(one, other)| *one && *other);
        exclusive += u64::from(!both);
        assert_eq!(one.excludes(other), other.excludes(one), "seed {seed}: it goes both ways");
        if one.excludes(other) {
            excluded += 1;
            let sources = [one, other].map(|condition| format!("{:?}", condition.source()));
            assert!(!both, "seed {seed}: a row satisfies both of {sources:?}");
        }
    }
    println!("{excluded} pairs exclude each other, of {exclusive} that no row satisfies");
    assert!(excluded >= 40, "only {excluded} pairs");
}
