//! Leaves and slots: what is read, in which type, and only when it is needed.

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int8Array, NullArray, StringArray, TimestampSecondArray,
};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cepheid_eval::{EvalError, Leaf, TypedExpr, Value, expression_text, read_value};
use cepheid_ir::{Aggregate, AggregateFunction, BinaryOp, Expr, Function, Literal, RowPointer};

fn schema() -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    Schema::new(vec![
        Field::new("price", DataType::Int32, true),
        Field::new("kind", dictionary, true),
        Field::new("nothing", DataType::Null, true),
    ])
}

fn compile(expr: &Expr) -> TypedExpr {
    TypedExpr::compile(expr, &schema()).expect("well typed")
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn previous(name: &str) -> Expr {
    let at = RowPointer { physical_offset: -1, ..RowPointer::default() };
    Expr::Column { name: name.into(), quoted: false, at }
}

fn sum_of(variable: &str, arg: Expr) -> Expr {
    Expr::Aggregate(Aggregate {
        function: AggregateFunction::Sum,
        args: vec![arg],
        distinct: false,
        variable: Some(variable.into()),
        semantics: Default::default(),
        tested_row: Default::default(),
    })
}

#[test]
fn each_row_of_a_column_is_a_leaf_of_its_own() {
    let sum = sum_of("A", binary(BinaryOp::Multiply, Expr::column("price"), Expr::literal(2)));
    let classifier = Expr::Classifier { at: RowPointer::default() };
    let expr = Expr::And(vec![
        binary(BinaryOp::Less, Expr::column("price"), previous("price")),
        binary(BinaryOp::Less, Expr::column("price"), sum),
        binary(BinaryOp::Equal, classifier, Expr::literal("A")),
        binary(BinaryOp::Equal, Expr::MatchNumber, Expr::literal(1)),
    ]);
    let typed = compile(&expr);
    let types: Vec<DataType> = typed.leaves().iter().map(Leaf::data_type).collect();
    assert_eq!(types, [DataType::Int32, DataType::Int32, DataType::Int64, DataType::Utf8, DataType::Int64]);
    let Leaf::Column { index: 0, at, .. } = &typed.leaves()[1] else { panic!("PREV(price)") };
    assert_eq!(at.physical_offset, -1);
    let Leaf::Aggregate(aggregate) = &typed.leaves()[2] else { panic!("SUM(A.price * 2)") };
    assert_eq!(aggregate.variable.as_deref(), Some("A"));
    assert_eq!(aggregate.args[0].leaves().len(), 1);
    let mut accumulator = aggregate.accumulator();
    for price in [3, 4] {
        let arg =
            aggregate.args[0].evaluate_row(&mut |_: usize| Ok(Value::Integer(price))).expect("no overflow");
        accumulator.push(&[arg]);
    }
    assert_eq!(accumulator.value(), Ok(Value::Integer(14)));
}

#[test]
fn slots_are_asked_for_only_when_needed() {
    let less = |limit: i64| binary(BinaryOp::Less, previous("price"), Expr::literal(limit));
    let is_one = binary(BinaryOp::Equal, Expr::column("price"), Expr::literal(1));
    let choice = Expr::Case {
        branches: vec![cepheid_ir::CaseBranch { when: is_one.clone(), then: Expr::literal(true) }],
        otherwise: Some(Box::new(less(9))),
    };
    let coalesce = Expr::Call { function: Function::Coalesce, args: vec![is_one.clone(), less(9)] };
    for (expr, expected) in [
        (Expr::And(vec![Expr::Not(Box::new(is_one.clone())), less(9)]), false),
        (Expr::Or(vec![is_one, less(9)]), true),
        (choice, true),
        (coalesce, true),
    ] {
        let typed = compile(&expr);
        let mut asked = Vec::new();
        let holds = typed.evaluate_condition(&mut |slot: usize| {
            asked.push(slot);
            Ok(Value::Integer(1))
        });
        assert_eq!(holds, Ok(expected));
        assert_eq!(asked, [0], "{expr:?}");
    }
}

#[test]
fn an_error_of_the_slots_ends_the_evaluation() {
    let typed = compile(&binary(BinaryOp::Less, previous("price"), Expr::literal(1)));
    let broken = EvalError::Arrow { reason: "no such row".into() };
    assert_eq!(typed.evaluate_row(&mut |_: usize| Err(broken.clone())), Err(broken));
}

/// Rows: a, NULL (the key), b, NULL (the entry), a. The entry `x` is referred to by no row.
fn dictionary() -> ArrayRef {
    let keys = Int8Array::from(vec![Some(0), None, Some(1), Some(2), Some(0)]);
    let entries = StringArray::from(vec![Some("1"), Some("2"), None, Some("x")]);
    Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(entries)))
}

#[test]
fn conditions_of_one_dictionary_column_see_every_null_and_no_unused_entry() {
    let kind = || Expr::column("kind");
    let cast = Expr::Cast { operand: Box::new(kind()), to: cepheid_ir::DataType::Int64, lenient: false };
    let cases = [
        (binary(BinaryOp::Equal, kind(), Expr::literal("1")), [true, false, false, false, true]),
        (Expr::IsNull(Box::new(kind())), [false, true, false, true, false]),
        (binary(BinaryOp::IsDistinctFrom, kind(), Expr::literal("1")), [false, true, true, true, false]),
        (binary(BinaryOp::Less, cast.clone(), Expr::literal(2)), [true, false, false, false, true]),
        (
            binary(
                BinaryOp::Equal,
                Expr::Call { function: Function::Coalesce, args: vec![kind(), Expr::literal("0")] },
                Expr::literal("0"),
            ),
            [false, true, false, true, false],
        ),
    ];
    for (expr, expected) in cases {
        let typed = compile(&expr);
        let mask = typed.evaluate_mask(&[dictionary()], 5).expect("the unused entry raises nothing");
        assert_eq!(mask, BooleanBuffer::from(expected.as_slice()), "{expr:?}");
    }
    let bare = compile(&kind()).evaluate_columns(&[dictionary()], 5).expect("a column");
    assert_eq!(&bare, &dictionary());
    let numbers =
        compile(&cast).evaluate_columns(&[dictionary()], 5).expect("the unused entry raises nothing");
    let values: Vec<Value> = (0..5).map(|row| read_value(numbers.as_ref(), row)).collect();
    assert_eq!(values, [1.into(), Value::Null, 2.into(), Value::Null, 1.into()]);
}

#[test]
fn nothing_is_a_condition_that_never_holds() {
    let nothing: ArrayRef = Arc::new(NullArray::new(3));
    let conditions = [
        Expr::column("nothing"),
        Expr::Not(Box::new(Expr::column("nothing"))),
        Expr::And(vec![Expr::literal(true), Expr::column("nothing")]),
        binary(BinaryOp::Equal, Expr::column("nothing"), Expr::literal(1)),
    ];
    for condition in conditions {
        let typed = TypedExpr::compile(&condition, &schema()).expect("well typed");
        let mask = typed.evaluate_mask(std::slice::from_ref(&nothing), 3).expect("nothing fails");
        assert_eq!(mask.count_set_bits(), 0, "{condition:?}");
        assert_eq!(
            typed.evaluate_columns(std::slice::from_ref(&nothing), 3).expect("nothing fails").len(),
            3
        );
    }
}

#[test]
fn constants_fill_as_many_rows_as_asked() {
    let yes = compile(&Expr::literal(true));
    assert_eq!(yes.as_constant(), Some(&Value::Boolean(true)));
    assert_eq!(yes.evaluate_mask(&[], 3).expect("constant").count_set_bits(), 3);
    let column = yes.evaluate_columns(&[], 2).expect("constant");
    assert_eq!(column.as_ref(), &BooleanArray::from(vec![true, true]) as &dyn Array);
    assert_eq!(yes.evaluate_columns(&[], 0).expect("constant").len(), 0);
}

#[test]
fn a_zone_under_an_encoding_is_still_its_zone() {
    let zoned: ArrayRef = Arc::new(
        TimestampSecondArray::from(vec![Some(0), Some(0), None, Some(1_720_000_000)])
            .with_timezone("Europe/Berlin"),
    );
    let field = |name: &str, data_type: DataType, nullable| Arc::new(Field::new(name, data_type, nullable));
    let plain = zoned.data_type().clone();
    let encodings = [
        plain.clone(),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(plain.clone())),
        DataType::RunEndEncoded(field("run_ends", DataType::Int32, false), field("values", plain, true)),
    ];
    let call = |function, args| Expr::Call { function, args };
    let literal = Expr::literal("2024-07-03 11:46:40");
    let mut checked = 0;
    for encoding in encodings {
        let schema = Schema::new(vec![Field::new("t", encoding.clone(), true)]);
        let column = arrow_cast::cast(&zoned, &encoding).expect("an encoding");
        let t = || Expr::column("t");
        let day = call(Function::DateTrunc, vec![Expr::literal("day"), t()]);
        let text = |operand| Expr::Cast {
            operand: Box::new(operand),
            to: cepheid_ir::DataType::String,
            lenient: false,
        };
        let expected: [(Expr, [Value; 4]); 3] = [
            (call(Function::Hour, vec![t()]), [1.into(), 1.into(), Value::Null, 11.into()]),
            (
                text(day),
                [
                    "1970-01-01 00:00:00 Europe/Berlin".into(),
                    "1970-01-01 00:00:00 Europe/Berlin".into(),
                    Value::Null,
                    "2024-07-03 00:00:00 Europe/Berlin".into(),
                ],
            ),
            // The string is read on the clock of the column's zone.
            (
                Expr::binary(BinaryOp::Equal, t(), literal.clone()),
                [false.into(), false.into(), Value::Null, true.into()],
            ),
        ];
        for (expr, expected) in expected {
            let typed = TypedExpr::compile(&expr, &schema).expect("well typed");
            let found = typed.evaluate_columns(std::slice::from_ref(&column), 4).expect("nothing fails");
            for (row, expected) in expected.iter().enumerate() {
                assert_eq!(
                    &read_value(found.as_ref(), row),
                    expected,
                    "{encoding}: {}",
                    expression_text(&expr)
                );
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 3 * 4);
}

#[test]
fn a_constant_finer_than_the_column_lies_between_its_values() {
    let schema = Schema::new(vec![Field::new("t", DataType::Timestamp(TimeUnit::Second, None), true)]);
    let column: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![Some(-2), Some(-1), Some(0), Some(1), None]));
    let mut checked = 0;
    for nanoseconds in [-1_500_000_000, -1, 1, 500_000_000, 1_000_000_000] {
        for op in [
            BinaryOp::Equal,
            BinaryOp::NotEqual,
            BinaryOp::Less,
            BinaryOp::LessOrEqual,
            BinaryOp::Greater,
            BinaryOp::GreaterOrEqual,
            BinaryOp::IsDistinctFrom,
        ] {
            let constant = || Expr::Literal(Literal::Timestamp { nanoseconds, zoned: false });
            for expr in [
                Expr::binary(op, Expr::column("t"), constant()),
                Expr::binary(op, constant(), Expr::column("t")),
            ] {
                let typed = TypedExpr::compile(&expr, &schema).expect("well typed");
                let found = typed.evaluate_columns(std::slice::from_ref(&column), 5).expect("nothing fails");
                for row in 0..5 {
                    let by_row = typed.evaluate_row(&mut |_: usize| Ok(read_value(column.as_ref(), row)));
                    assert_eq!(
                        Ok(read_value(found.as_ref(), row)),
                        by_row,
                        "{} at {row}",
                        expression_text(&expr)
                    );
                    checked += 1;
                }
            }
        }
    }
    assert_eq!(checked, 5 * 7 * 2 * 5);
}
