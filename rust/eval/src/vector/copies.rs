//! Every copy of the loops against the definition, row by row, and so against the scalar copy: all types, all operators,
//! ragged lengths, slices, NaN and NULL.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int64Array, LargeStringArray, PrimitiveArray,
    StringArray, StringViewArray,
};
use arrow_schema::{DataType, Field, Schema};
use cepheid_ir::{BinaryOp, Expr, Literal};
use cepheid_testkit::SplitMix64;

use super::lanes::forced;
use crate::column_reader::ColumnReader;
use crate::mask_set::MaskSet;
use crate::typed::TypedExpr;
use crate::value::Value;

const OPS: [BinaryOp; 7] = [
    BinaryOp::Equal,
    BinaryOp::NotEqual,
    BinaryOp::Less,
    BinaryOp::LessOrEqual,
    BinaryOp::Greater,
    BinaryOp::GreaterOrEqual,
    BinaryOp::IsDistinctFrom,
];

/// One value each of strings that share beginnings and lengths, the empty one among them.
const TEXTS: [&str; 12] = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "abce",
    "abcdefg",
    "abcdefgh",
    "abcdefghi",
    "abcdefgx",
    "abcdefghijklmn",
    "\u{0}",
];

fn numbers(random: &mut SplitMix64, rows: usize) -> Int64Array {
    (0..rows).map(|_| (random.below(8) > 0).then(|| random.below(7) as i64)).collect()
}

fn dictionary<K: ArrowDictionaryKeyType>(codes: &Int64Array, values: ArrayRef) -> ArrayRef {
    let codes = arrow_cast::cast(codes, &K::DATA_TYPE).expect("small codes fit");
    let codes: &PrimitiveArray<K> = codes.as_any().downcast_ref().expect("cast to it");
    Arc::new(DictionaryArray::<K>::new(codes.clone(), values))
}

/// A column of a type.
fn column(random: &mut SplitMix64, name: &str, rows: usize) -> ArrayRef {
    let small = numbers(random, rows);
    let texts: Vec<Option<&str>> =
        (0..rows).map(|_| (random.below(8) > 0).then(|| TEXTS[random.below(TEXTS.len())])).collect();
    let cast = |to: &DataType| arrow_cast::cast(&small, to).expect("small numbers fit");
    match name {
        "float64" => {
            let special = [f64::NAN, f64::INFINITY, -0.0, 0.0, 2.5, -f64::NAN, 3.0];
            let value = |place: i64| special[place as usize];
            Arc::new(small.iter().map(|place| place.map(value)).collect::<Float64Array>())
        }
        "decimal" => cast(&DataType::Decimal128(20, 2)),
        "timestamp" => cast(&DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None)),
        "utf8" => Arc::new(StringArray::from(texts)),
        "large utf8" => Arc::new(LargeStringArray::from(texts)),
        "utf8 view" => Arc::new(StringViewArray::from(texts)),
        "dictionary of int8" => dictionary::<Int8Type>(&small, entries()),
        "dictionary of int16" => dictionary::<Int16Type>(&small, entries()),
        "dictionary of int32" => dictionary::<Int32Type>(&small, entries()),
        "dictionary of uint64" => dictionary::<UInt64Type>(&small, entries()),
        "dictionary of numbers" => {
            dictionary::<Int32Type>(&small, Arc::new(Int64Array::from_iter_values(0..7)))
        }
        "int8" => cast(&DataType::Int8),
        "int16" => cast(&DataType::Int16),
        "int32" => cast(&DataType::Int32),
        "int64" => cast(&DataType::Int64),
        "uint8" => cast(&DataType::UInt8),
        "uint16" => cast(&DataType::UInt16),
        "uint32" => cast(&DataType::UInt32),
        "uint64" => cast(&DataType::UInt64),
        "float32" => cast(&DataType::Float32),
        other => unreachable!("no column of {other}"),
    }
}

/// Entries of a dictionary, one of them NULL and one twice.
fn entries() -> ArrayRef {
    Arc::new(StringArray::from(vec![
        Some("a"),
        Some("abcdefghi"),
        None,
        Some("abc"),
        Some("a"),
        Some(""),
        Some("abcdefgx"),
    ]))
}

const NUMBERS: [&str; 11] = [
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "decimal",
];
const STRINGS: [&str; 7] = [
    "utf8",
    "large utf8",
    "utf8 view",
    "dictionary of int8",
    "dictionary of int16",
    "dictionary of int32",
    "dictionary of uint64",
];

/// Conditions over `x` and `y`, two columns of one type.
fn conditions(name: &str) -> Vec<Expr> {
    let x = || Expr::column("x");
    let mut constants: Vec<Literal> = vec![];
    if STRINGS.contains(&name) {
        constants.extend(TEXTS.map(Literal::from));
    } else if NUMBERS.contains(&name) {
        constants.extend([3_i64, -1, 1 << 40].map(Literal::from));
        constants.extend([2.5, f64::NAN, f64::INFINITY, -0.0].map(Literal::from));
    } else if name == "dictionary of numbers" {
        constants.extend([3_i64, -1].map(Literal::from));
    }
    let mut conditions = vec![];
    for op in OPS {
        conditions.extend(constants.iter().map(|c| Expr::binary(op, x(), Expr::Literal(c.clone()))));
        conditions.push(Expr::binary(op, x(), Expr::column("y")));
    }
    if STRINGS.contains(&name) {
        for list in [&TEXTS[..1], &TEXTS[3..6], &TEXTS[..]] {
            let list: Vec<Expr> = list.iter().map(|text| Expr::literal(*text)).collect();
            let among = Expr::In { operand: Box::new(x()), list };
            conditions.push(Expr::And(vec![among.clone(), Expr::IsNull(Box::new(Expr::column("y")))]));
            conditions.push(Expr::Not(Box::new(among.clone())));
            conditions.push(among);
        }
        // Many questions of which few hold.
        conditions
            .extend((0..40).map(|i| Expr::binary(BinaryOp::Equal, x(), Expr::literal(&*format!("none{i}")))));
    }
    conditions
}

#[test]
fn every_copy_of_a_loop_gives_what_the_definition_gives() {
    let copies = forced::copies();
    let mut compared = vec![0; copies.len()];
    let mut random = SplitMix64::new(7);
    let others = ["timestamp", "dictionary of numbers"];
    for name in NUMBERS.into_iter().chain(STRINGS).chain(others) {
        for (rows, offset) in [(0, 0), (1, 0), (63, 1), (64, 0), (65, 3), (130, 5), (200, 67)] {
            let column = |random: &mut SplitMix64| column(random, name, rows + offset).slice(offset, rows);
            let slots = [column(&mut random), column(&mut random)];
            let schema = Schema::new(vec![
                Field::new("x", slots[0].data_type().clone(), true),
                Field::new("y", slots[1].data_type().clone(), true),
            ]);
            let compile = |condition: &Expr| TypedExpr::compile_condition(condition, &schema).ok();
            let predicates: Vec<TypedExpr> = conditions(name).iter().filter_map(compile).collect();
            assert!(predicates.len() >= OPS.len(), "{name}: only {} conditions compiled", predicates.len());
            let slots_of = |predicate: &TypedExpr| -> Vec<ArrayRef> {
                predicate.leaves().iter().map(|leaf| leaf_of(leaf, &slots)).collect()
            };
            let expected: Vec<Vec<bool>> =
                predicates.iter().map(|predicate| by_rows(predicate, &slots_of(predicate), rows)).collect();
            for ((copy, arch), compared) in copies.iter().zip(&mut compared) {
                forced::with(*arch, || {
                    let mut together = vec![None; predicates.len()];
                    let mut set = MaskSet::new(&predicates, 1 << 20);
                    // The second chunk has the answers of the first one's dictionary to go by.
                    for _ in 0..2 {
                        set.evaluate(
                            rows,
                            |leaf| Ok::<_, ()>(leaf_of(leaf, &slots)),
                            |place, mask| together[place] = Some(mask.expect("comparisons raise nothing")),
                        )
                        .expect("columns are there");
                    }
                    for ((predicate, expected), together) in predicates.iter().zip(&expected).zip(together) {
                        let alone =
                            predicate.evaluate_mask(&slots_of(predicate), rows).expect("nothing is raised");
                        let what = || format!("{copy}: {:?} over {name}, {rows} rows", predicate.source());
                        assert_eq!(&alone.iter().collect::<Vec<_>>(), expected, "{}", what());
                        let together = together.unwrap_or_else(|| panic!("no answer: {}", what()));
                        assert_eq!(&together.iter().collect::<Vec<_>>(), expected, "together, {}", what());
                        *compared += 1;
                    }
                });
            }
        }
    }
    // 20 types, seven lengths; the scalar copy and, where the processor has one, another.
    assert!(compared.iter().all(|count| *count == compared[0] && *count > 5_000), "compared {compared:?}");
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if copies.len() == 1 {
        eprintln!("skipped: this processor has none of the wider vectors");
    }
}

fn leaf_of(leaf: &crate::leaf::Leaf, slots: &[ArrayRef; 2]) -> ArrayRef {
    match leaf {
        crate::leaf::Leaf::Column { index, .. } => Arc::clone(&slots[*index]),
        other => unreachable!("conditions read columns, not {other:?}"),
    }
}

fn by_rows(predicate: &TypedExpr, slots: &[ArrayRef], rows: usize) -> Vec<bool> {
    let readers: Vec<ColumnReader> = slots.iter().map(ColumnReader::new).collect();
    let value = |row: usize| predicate.evaluate_row(&mut |slot: usize| Ok(readers[slot].value(row)));
    (0..rows).map(|row| value(row) == Ok(Value::Boolean(true))).collect()
}
