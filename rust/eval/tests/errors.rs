//! Expressions that do not compile say what, where and which types.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cepheid_eval::{EvalError, TypedExpr, Value};
use cepheid_ir::{Aggregate, AggregateFunction, BinaryOp, Expr, Function, Literal};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("price", DataType::Float64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("Name2", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("zoned", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("lost", DataType::Timestamp(TimeUnit::Microsecond, Some("Atlantis".into())), true),
        Field::new("pair", DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into()), true),
        Field::new("bytes", DataType::Binary, true),
        Field::new("numbers", DataType::new_list(DataType::Int32, true), true),
        Field::new("words", DataType::new_list(DataType::Utf8, true), true),
        Field::new(
            "lost_runs",
            run_ends_of(DataType::Timestamp(TimeUnit::Second, Some("Atlantis".into()))),
            true,
        ),
    ])
}

fn run_ends_of(values: DataType) -> DataType {
    DataType::RunEndEncoded(
        Field::new("run_ends", DataType::Int32, false).into(),
        Field::new("values", values, true).into(),
    )
}

fn col(name: &str) -> Expr {
    Expr::column(name)
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn call(function: Function, args: Vec<Expr>) -> Expr {
    Expr::Call { function, args }
}

fn compile(expr: &Expr) -> Result<TypedExpr, EvalError> {
    TypedExpr::compile(expr, &schema())
}

#[test]
fn what_does_not_compile_names_the_expression_and_the_types() {
    let like_escape = Expr::Like {
        operand: Box::new(col("name")),
        pattern: Box::new(Expr::literal("a!b")),
        escape: Some('!'),
    };
    let cases = vec![
        (col("prise"), "unknown-column", "in `prise`: there is no column `prise` (did you mean `price`?)"),
        (
            binary(BinaryOp::Less, col("price"), col("name")),
            "type-mismatch",
            "`price < name`: `<` takes two values of one kind, but `price` is Float64 and `name` is Utf8",
        ),
        (binary(BinaryOp::Add, col("name"), Expr::literal(1)), "type-mismatch", "`name + 1`"),
        (binary(BinaryOp::Less, col("at"), col("zoned")), "type-mismatch", "`at < zoned`"),
        (binary(BinaryOp::Less, col("pair"), col("pair")), "type-mismatch", "`pair < pair`"),
        (
            binary(BinaryOp::Equal, col("at"), Expr::literal("yesterday")),
            "invalid-literal",
            "`at = 'yesterday'`: 'yesterday' is not a timestamp",
        ),
        (Expr::Not(Box::new(col("price"))), "type-mismatch", "`NOT price`: NOT takes a condition"),
        (Expr::And(vec![col("price"), col("name")]), "type-mismatch", "`price AND name`"),
        (call(Function::Sqrt, vec![col("name")]), "type-mismatch", "`sqrt(name)`: sqrt takes numbers"),
        (call(Function::Sqrt, vec![]), "invalid-call", "`sqrt()`: sqrt takes 1 argument"),
        (call(Function::Hour, vec![col("lost")]), "type-mismatch", "`Atlantis` is not a known time zone"),
        (
            call(Function::Hour, vec![col("lost_runs")]),
            "type-mismatch",
            "`Atlantis` is not a known time zone",
        ),
        (
            binary(BinaryOp::Equal, col("pair"), col("bytes")),
            "type-mismatch",
            "`pair = bytes`: `=` takes two values of one kind",
        ),
        (binary(BinaryOp::NotEqual, col("numbers"), col("words")), "type-mismatch", "`numbers <> words`"),
        (
            Expr::In { operand: Box::new(col("bytes")), list: vec![col("pair")] },
            "type-mismatch",
            "IN takes values that compare with each other",
        ),
        (call(Function::Nullif, vec![col("pair"), col("bytes")]), "type-mismatch", "`nullif(pair, bytes)`"),
        (
            binary(BinaryOp::Add, Expr::Literal(Literal::Null), Expr::literal("a")),
            "type-mismatch",
            "`NULL + 'a'`",
        ),
        (
            binary(BinaryOp::Subtract, Expr::literal(true), Expr::Literal(Literal::Null)),
            "type-mismatch",
            "`TRUE - NULL`",
        ),
        (
            binary(BinaryOp::Less, col("at"), Expr::literal("2024-01-01 00:00:00+02:00")),
            "invalid-literal",
            "is not a timestamp without a time zone",
        ),
        (
            binary(BinaryOp::Equal, col("at"), Expr::literal("2024-01-01 23:59:60")),
            "invalid-literal",
            "23:59:60",
        ),
        // A string that was worked out is a string, whether or not it could be worked out beforehand.
        (
            binary(
                BinaryOp::Less,
                col("at"),
                binary(BinaryOp::Concat, Expr::literal("2024-01-"), Expr::literal("01")),
            ),
            "type-mismatch",
            "`at < ('2024-01-' || '01')`",
        ),
        (
            call(Function::DateTrunc, vec![Expr::literal("fortnight"), col("at")]),
            "invalid-call",
            "'fortnight' is no unit of time",
        ),
        (call(Function::AtTimezone, vec![col("zoned"), Expr::literal("Mars")]), "invalid-call", "'Mars'"),
        (
            call(Function::RegexpLike, vec![col("name"), Expr::literal("(")]),
            "invalid-regex",
            "the regular expression '(' does not compile: unclosed group",
        ),
        (
            call(Function::RegexpLike, vec![col("name"), Expr::literal("(a{1000}){1000}")]),
            "invalid-regex",
            "it is too large",
        ),
        (like_escape, "invalid-call", "the escape character must stand before %, _ or itself"),
        (
            Expr::Cast { operand: Box::new(col("pair")), to: cepheid_ir::DataType::Int64, lenient: true },
            "type-mismatch",
            "`TRY_CAST(pair AS BIGINT)`: there is no conversion to BIGINT",
        ),
        (
            Expr::Aggregate(Aggregate {
                function: AggregateFunction::Sum,
                args: vec![col("name")],
                distinct: false,
                variable: Some("A".into()),
                semantics: Default::default(),
                tested_row: Default::default(),
            }),
            "type-mismatch",
            "`SUM(A.name)`",
        ),
        (
            call(Function::Coalesce, vec![col("price"), col("name")]),
            "type-mismatch",
            "`coalesce(price, name)`",
        ),
    ];
    let mut codes = HashSet::new();
    let count = cases.len();
    for (expr, code, message) in cases {
        let error = compile(&expr).expect_err(message);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(message), "`{error}` does not say `{message}`");
        assert!(!error.is_data_error(), "{error}");
        codes.insert(code);
    }
    assert_eq!((count, codes.len()), (29, 5));
}

#[test]
fn conditions_must_be_boolean() {
    let error = TypedExpr::compile_condition(&col("price"), &schema()).expect_err("a float is no condition");
    assert_eq!(error.to_string(), "`price`: a condition must be boolean, but `price` is Float64");
    assert!(TypedExpr::compile_condition(&Expr::Literal(Literal::Null), &schema()).is_ok());
}

#[test]
fn column_names_fold_case_unless_quoted() {
    assert!(compile(&col("PRICE")).is_ok());
    let quoted = Expr::Column { name: "PRICE".into(), quoted: true, at: Default::default() };
    assert_eq!(compile(&quoted).expect_err("quoted names are exact").code(), "unknown-column");
}

#[test]
fn nesting_past_the_limit_is_refused_and_long_text_is_cut() {
    let mut expr = col("price");
    for _ in 0..cepheid_ir::limits::EXPR_DEPTH_MAX - 1 {
        expr = Expr::Negate(Box::new(expr));
    }
    assert!(compile(&expr).is_ok());
    let error = compile(&Expr::Negate(Box::new(expr))).expect_err("one level too deep");
    assert_eq!(error.code(), "invalid-call");
    let many =
        Expr::Or((0..10_000).map(|i| binary(BinaryOp::Equal, col("price"), Expr::literal(i))).collect());
    let text = cepheid_eval::expression_text(&many);
    assert!(text.len() < 200 && text.ends_with('…'), "{text}");
}

#[test]
fn the_deepest_expressions_of_every_kind_fit_a_thread_of_two_mebibytes() {
    type Wrap = fn(Expr) -> Expr;
    let wraps: [Wrap; 6] = [
        |inner| Expr::Not(Box::new(inner)),
        |inner| Expr::And(vec![Expr::literal(true), inner]),
        |inner| Expr::Case {
            branches: vec![cepheid_ir::CaseBranch { when: inner, then: Expr::literal(true) }],
            otherwise: None,
        },
        |inner| call(Function::Coalesce, vec![inner, Expr::literal(false)]),
        |inner| binary(BinaryOp::Equal, inner, Expr::literal(true)),
        |inner| Expr::In { operand: Box::new(Expr::literal(true)), list: vec![inner] },
    ];
    let evaluated = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let mut evaluated = 0;
            for wrap in wraps {
                let mut expr = Expr::IsNull(Box::new(col("price")));
                for _ in 0..cepheid_ir::limits::EXPR_DEPTH_MAX - 2 {
                    expr = wrap(expr);
                }
                let typed = compile(&expr).expect("within the limit");
                typed.evaluate_row(&mut |_: usize| Ok(Value::Null)).expect("nothing fails");
                let column: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(1.0)]));
                typed.evaluate_columns(&[column], 2).expect("nothing fails");
                evaluated += 1;
            }
            evaluated
        })
        .expect("a thread")
        .join();
    assert_eq!(evaluated.expect("no overflow of the stack"), 6);
}

#[test]
fn equal_leaves_share_a_slot() {
    let expr = binary(BinaryOp::Greater, binary(BinaryOp::Add, col("price"), col("PRICE")), col("price"));
    assert_eq!(compile(&expr).expect("well typed").leaves().len(), 1);
}

#[test]
fn equality_is_defined_for_what_only_passes_through_and_for_lists() {
    let accepted = [("pair", "pair"), ("bytes", "bytes"), ("numbers", "numbers")];
    for (left, right) in accepted {
        assert!(compile(&binary(BinaryOp::Equal, col(left), col(right))).is_ok(), "{left} = {right}");
    }
    assert!(compile(&binary(BinaryOp::Equal, col("pair"), Expr::Literal(Literal::Null))).is_ok());
}

#[test]
fn what_can_be_folded_decides_no_type() {
    // In each pair the one is folded, the other reads a column; a literal alone takes the type of what it meets.
    let decimal = |unscaled| Expr::Literal(Literal::Decimal { unscaled, scale: 2 });
    let folded = binary(BinaryOp::Add, Expr::literal(0.5), Expr::literal(1.0));
    let read = binary(BinaryOp::Add, col("price"), Expr::literal(1.0));
    let type_of = |expr: &Expr| compile(expr).expect("well typed").data_type().clone();
    for operand in [folded, read] {
        assert_eq!(type_of(&binary(BinaryOp::Add, decimal(150), operand)), DataType::Float64);
    }
    let negative = Expr::Negate(Box::new(Expr::literal(1.5)));
    for literal in [Expr::literal(1.5), negative] {
        assert_eq!(type_of(&binary(BinaryOp::Add, decimal(150), literal)), DataType::Decimal128(38, 2));
    }
}

#[test]
fn strings_past_the_limit_are_refused_before_they_are_made() {
    let concat = |left, right| binary(BinaryOp::Concat, left, right);
    let name = || col("name");
    let cases = [
        // 30 MB three times over: the second `||` is refused.
        (concat(concat(name(), name()), name()), 30_000_000),
        (call(Function::Concat, vec![name(), name(), name()]), 30_000_000),
        // The square of the length.
        (call(Function::RegexpReplace, vec![name(), Expr::literal("."), name()]), 9_000),
        (
            call(Function::RegexpReplace, vec![name(), Expr::literal(".+"), Expr::literal("$0$0$0")]),
            30_000_000,
        ),
        (call(Function::Replace, vec![name(), Expr::literal("a"), name()]), 9_000),
    ];
    assert_eq!(cases.len(), 5);
    for (expr, bytes) in cases {
        let typed = compile(&expr).expect("well typed");
        let text = Value::from("a".repeat(bytes));
        let error = typed.evaluate_row(&mut |_: usize| Ok(text.clone())).expect_err("too long");
        assert_eq!(error.code(), "invalid-argument", "{error}");
        assert!(error.to_string().contains("would be longer than 67108864 bytes"), "{error}");
        assert!(typed.evaluate_row(&mut |_: usize| Ok(Value::from("aa"))).is_ok());
    }
}
