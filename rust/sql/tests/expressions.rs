//! Expression text and the tree it spells.

use cepheid_ir::{
    Aggregate, AggregateFunction, Anchor, BinaryOp, CaseBranch, DataType, Expr, Function, Interval, Literal,
    RowPointer, Semantics, TestedRow,
};
use cepheid_sql::{Dialect, parse_expression};

use BinaryOp::*;

fn x() -> Expr {
    Expr::column("x")
}

fn y() -> Expr {
    Expr::column("y")
}

fn int(value: i64) -> Expr {
    Expr::literal(value)
}

fn text(value: &str) -> Expr {
    Expr::literal(value)
}

fn bin(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::binary(op, left, right)
}

fn not(operand: Expr) -> Expr {
    Expr::Not(Box::new(operand))
}

fn negate(operand: Expr) -> Expr {
    Expr::Negate(Box::new(operand))
}

fn call(function: Function, args: Vec<Expr>) -> Expr {
    Expr::Call { function, args }
}

fn cast(operand: Expr, to: DataType) -> Expr {
    Expr::Cast { operand: Box::new(operand), to, lenient: false }
}

fn at(name: &str, at: RowPointer) -> Expr {
    Expr::Column { name: name.into(), quoted: false, at }
}

fn pointer(variable: &str) -> RowPointer {
    RowPointer { variable: Some(variable.into()), ..RowPointer::default() }
}

fn aggregate(function: AggregateFunction, args: Vec<Expr>, variable: Option<&str>) -> Aggregate {
    Aggregate {
        function,
        args,
        distinct: false,
        variable: variable.map(str::to_owned),
        semantics: Semantics::Running,
        tested_row: TestedRow::Included,
    }
}

fn interval(months: i32, nanoseconds: i64) -> Expr {
    Expr::Literal(Literal::Interval(Interval { months, nanoseconds }))
}

fn check(dialect: Dialect, table: Vec<(&str, Expr)>, cases: usize) {
    assert_eq!(table.len(), cases, "cases were added or lost");
    for (text, expected) in table {
        match parse_expression(text, dialect) {
            Ok(found) => assert_eq!(found, expected, "for {text}"),
            Err(error) => panic!("{text} does not parse:\n{error}"),
        }
    }
}

#[test]
fn operators_bind_as_in_sql() {
    check(
        Dialect::Condition,
        vec![
            ("x + y * 2", bin(Add, x(), bin(Multiply, y(), int(2)))),
            ("(x + y) * 2", bin(Multiply, bin(Add, x(), y()), int(2))),
            ("x - y - 1", bin(Subtract, bin(Subtract, x(), y()), int(1))),
            ("x - (y - 1)", bin(Subtract, x(), bin(Subtract, y(), int(1)))),
            ("x / y % 3", bin(Modulo, bin(Divide, x(), y()), int(3))),
            ("x || y || 'z'", bin(Concat, bin(Concat, x(), y()), text("z"))),
            ("x || y + 1", bin(Concat, x(), bin(Add, y(), int(1)))),
            ("x = y + 1", bin(Equal, x(), bin(Add, y(), int(1)))),
            ("x <> y", bin(NotEqual, x(), y())),
            ("x != y", bin(NotEqual, x(), y())),
            ("x<=y", bin(LessOrEqual, x(), y())),
            ("x>=-1", bin(GreaterOrEqual, x(), int(-1))),
            ("NOT x = y", not(bin(Equal, x(), y()))),
            ("NOT NOT x", not(not(x()))),
            ("NOT x AND y", Expr::And(vec![not(x()), y()])),
            ("x AND y AND NOT x", Expr::And(vec![x(), y(), not(x())])),
            ("x AND (y AND x)", Expr::And(vec![x(), y(), x()])),
            ("(x OR y) OR (x OR y)", Expr::Or(vec![x(), y(), x(), y()])),
            ("x OR y AND x", Expr::Or(vec![x(), Expr::And(vec![y(), x()])])),
            ("(x OR y) AND x", Expr::And(vec![Expr::Or(vec![x(), y()]), x()])),
            ("-x", negate(x())),
            ("- - x", negate(negate(x()))),
            ("+x", x()),
            ("-x * y", bin(Multiply, negate(x()), y())),
            ("-(5)", negate(int(5))),
            ("x - -5", bin(Subtract, x(), int(-5))),
            ("x -5", bin(Subtract, x(), int(5))),
            ("x -- to the end\n + /* five */ 5", bin(Add, x(), int(5))),
            (
                "x AT TIME ZONE 'Europe/Rome' = y",
                bin(Equal, call(Function::AtTimezone, vec![x(), text("Europe/Rome")]), y()),
            ),
        ],
        29,
    );
}

#[test]
fn predicates_have_their_sql_forms() {
    let between =
        |low, high| Expr::Between { operand: Box::new(x()), low: Box::new(low), high: Box::new(high) };
    let like = |escape| Expr::Like { operand: Box::new(x()), pattern: Box::new(text("a%")), escape };
    let is_in = || Expr::In { operand: Box::new(x()), list: vec![int(1), int(2)] };
    let is_null = || Expr::IsNull(Box::new(x()));
    let differs = |right| bin(IsDistinctFrom, x(), right);
    check(
        Dialect::Condition,
        vec![
            ("x IS NULL", is_null()),
            ("x IS NOT NULL", not(is_null())),
            ("x IS UNKNOWN", is_null()),
            ("x IS DISTINCT FROM y", differs(y())),
            ("x is not distinct from y", not(differs(y()))),
            ("x IS TRUE", not(differs(Expr::literal(true)))),
            ("x IS NOT TRUE", differs(Expr::literal(true))),
            ("x IS FALSE", not(differs(Expr::literal(false)))),
            ("x IS NOT FALSE", differs(Expr::literal(false))),
            ("x BETWEEN 1 AND 2", between(int(1), int(2))),
            ("x NOT BETWEEN 1 AND 2", not(between(int(1), int(2)))),
            ("NOT x BETWEEN 1 AND 2", not(between(int(1), int(2)))),
            ("x BETWEEN 1 AND 2 AND y", Expr::And(vec![between(int(1), int(2)), y()])),
            ("x BETWEEN y - 1 AND y + 1", between(bin(Subtract, y(), int(1)), bin(Add, y(), int(1)))),
            ("x IN (1, 2)", is_in()),
            ("x NOT IN (1, 2)", not(is_in())),
            ("x LIKE 'a%'", like(None)),
            ("x NOT LIKE 'a%'", not(like(None))),
            ("x LIKE 'a%' ESCAPE '!'", like(Some('!'))),
            ("x LIKE 'a%' ESCAPE ''''", like(Some('\''))),
        ],
        20,
    );
}

#[test]
fn constants_are_exact() {
    let lit = Expr::Literal;
    let stamp = |nanoseconds, zoned| lit(Literal::Timestamp { nanoseconds, zoned });
    let decimal = |unscaled, scale| lit(Literal::Decimal { unscaled, scale });
    const S: i64 = 1_000_000_000;
    check(
        Dialect::Condition,
        vec![
            ("1", int(1)),
            ("-1", int(-1)),
            ("9223372036854775807", int(i64::MAX)),
            ("-9223372036854775808", int(i64::MIN)),
            ("1.5", Expr::literal(1.5)),
            (".5", Expr::literal(0.5)),
            ("2.", Expr::literal(2.0)),
            ("1e3", Expr::literal(1000.0)),
            ("1.5E-3", Expr::literal(0.0015)),
            ("-0.0", Expr::literal(-0.0)),
            ("nan()", Expr::literal(f64::NAN)),
            ("infinity()", Expr::literal(f64::INFINITY)),
            ("-infinity()", Expr::literal(f64::NEG_INFINITY)),
            ("''", text("")),
            ("'it''s'", text("it's")),
            ("'-- no /* comment'", text("-- no /* comment")),
            ("TRUE", Expr::literal(true)),
            ("false", Expr::literal(false)),
            ("NULL", lit(Literal::Null)),
            ("DECIMAL '1.50'", decimal(150, 2)),
            ("DECIMAL '-0.05'", decimal(-5, 2)),
            ("decimal '12'", decimal(12, 0)),
            ("DATE '1970-01-01'", lit(Literal::Date(0))),
            ("DATE '2024-02-29'", lit(Literal::Date(19_782))),
            ("DATE '1969-12-31'", lit(Literal::Date(-1))),
            ("DATE '1600-03-01'", lit(Literal::Date(-135_080))),
            ("TIME '00:00:01.5'", lit(Literal::Time(1_500_000_000))),
            ("TIME '10:15'", lit(Literal::Time(36_900 * S))),
            ("TIMESTAMP '1970-01-02'", stamp(86_400 * S, false)),
            ("TIMESTAMP '1970-01-01 00:00:01.000000001'", stamp(S + 1, false)),
            ("TIMESTAMP '1970-01-01T00:00:01Z'", stamp(S, true)),
            ("TIMESTAMP '1970-01-01 02:00:00+02:00'", stamp(0, true)),
            ("TIMESTAMP '1970-01-01 00:00:00 -05:30'", stamp(19_800 * S, true)),
            ("TIMESTAMP '1970-01-01 00:00:00 UTC'", stamp(0, true)),
            ("INTERVAL '1' DAY", interval(0, 86_400 * S)),
            ("INTERVAL '10' MINUTES", interval(0, 600 * S)),
            ("INTERVAL '-1.5' SECOND", interval(0, -1_500_000_000)),
            ("INTERVAL - '2' HOUR", interval(0, -7200 * S)),
            ("INTERVAL 5 minute", interval(0, 300 * S)),
            ("INTERVAL '2' WEEK", interval(0, 14 * 86_400 * S)),
            ("INTERVAL '250' MILLISECOND", interval(0, 250_000_000)),
            ("INTERVAL '7' NANOSECONDS", interval(0, 7)),
            ("INTERVAL '3' MONTH", interval(3, 0)),
            ("INTERVAL '2' YEARS", interval(24, 0)),
            ("INTERVAL '1-6' YEAR TO MONTH", interval(18, 0)),
            ("INTERVAL '1 02:03:04.5' DAY TO SECOND", interval(0, 93_784 * S + S / 2)),
            ("INTERVAL '02:03' HOUR TO MINUTE", interval(0, 7380 * S)),
            ("INTERVAL '-1 12' DAY TO HOUR", interval(0, -129_600 * S)),
            ("INTERVAL '1 day 12 hours'", interval(0, 129_600 * S)),
            ("INTERVAL '1 month -1 second'", interval(1, -S)),
            ("interval - 5", bin(Subtract, Expr::column("interval"), int(5))),
        ],
        51,
    );
}

#[test]
fn functions_and_their_special_forms() {
    let when = |when, then| CaseBranch { when, then };
    let case =
        |branches, otherwise: Option<Expr>| Expr::Case { branches, otherwise: otherwise.map(Box::new) };
    check(
        Dialect::Condition,
        vec![
            ("abs(x)", call(Function::Abs, vec![x()])),
            ("CEILING(x)", call(Function::Ceil, vec![x()])),
            ("round(x, 2)", call(Function::Round, vec![x(), int(2)])),
            ("pi()", call(Function::Pi, vec![])),
            ("coalesce(x, y, 0)", call(Function::Coalesce, vec![x(), y(), int(0)])),
            ("date(x)", call(Function::Date, vec![x()])),
            ("EXTRACT(HOUR FROM x)", call(Function::Hour, vec![x()])),
            ("extract(dow from x)", call(Function::DayOfWeek, vec![x()])),
            ("POSITION('a' IN x)", call(Function::Strpos, vec![x(), text("a")])),
            ("position(x, 'a')", call(Function::Strpos, vec![x(), text("a")])),
            ("SUBSTRING(x FROM 2)", call(Function::Substring, vec![x(), int(2)])),
            ("SUBSTRING(x FROM 2 FOR 3)", call(Function::Substring, vec![x(), int(2), int(3)])),
            ("substr(x, 2, 3)", call(Function::Substring, vec![x(), int(2), int(3)])),
            ("trim(x)", call(Function::Trim, vec![x()])),
            ("CASE WHEN x THEN 1 END", case(vec![when(x(), int(1))], None)),
            ("CASE WHEN x THEN 1 ELSE 2 END", case(vec![when(x(), int(1))], Some(int(2)))),
            (
                "CASE x WHEN 1 THEN 'a' WHEN 2 THEN 'b' END",
                case(
                    vec![when(bin(Equal, x(), int(1)), text("a")), when(bin(Equal, x(), int(2)), text("b"))],
                    None,
                ),
            ),
            ("IF(x, 1, 2)", case(vec![when(x(), int(1))], Some(int(2)))),
            ("CAST(x AS BIGINT)", cast(x(), DataType::Int64)),
            ("CAST(x AS int)", cast(x(), DataType::Int32)),
            ("CAST(x AS VARCHAR)", cast(x(), DataType::String)),
            ("CAST(x AS text)", cast(x(), DataType::String)),
            (
                "CAST(x AS VARCHAR(10))",
                call(Function::Substring, vec![cast(x(), DataType::String), int(1), int(10)]),
            ),
            (
                "TRY_CAST(x AS VARCHAR(0))",
                call(
                    Function::Substring,
                    vec![
                        Expr::Cast { operand: Box::new(x()), to: DataType::String, lenient: true },
                        int(1),
                        int(0),
                    ],
                ),
            ),
            ("CAST(x AS TIME(9))", cast(x(), DataType::Time)),
            ("CAST(x AS DECIMAL(10, 2))", cast(x(), DataType::Decimal { precision: 10, scale: 2 })),
            ("CAST(x AS DECIMAL)", cast(x(), DataType::Decimal { precision: 38, scale: 0 })),
            ("CAST(x AS DOUBLE PRECISION)", cast(x(), DataType::Float64)),
            ("CAST(x AS TIMESTAMP(6))", cast(x(), DataType::Timestamp)),
            ("CAST(x AS TIMESTAMP WITH TIME ZONE)", cast(x(), DataType::TimestampTz)),
            ("CAST(x AS TIMESTAMP WITHOUT TIME ZONE)", cast(x(), DataType::Timestamp)),
            ("CAST(x AS INTERVAL DAY TO SECOND)", cast(x(), DataType::Duration)),
            (
                "TRY_CAST(x AS REAL)",
                Expr::Cast { operand: Box::new(x()), to: DataType::Float32, lenient: true },
            ),
        ],
        33,
    );
}

#[test]
fn every_function_of_the_language_is_reached_by_its_name() {
    let mut checked = 0;
    for function in Function::ALL {
        let args = vec!["x"; function.arity().0];
        let text = format!("{}({})", function.name(), args.join(", "));
        let expected = call(*function, args.iter().map(|_| x()).collect());
        assert_eq!(parse_expression(&text, Dialect::Outer).unwrap(), expected, "for {text}");
        checked += 1;
    }
    for function in AggregateFunction::ALL {
        let args = vec!["x"; function.arity().1];
        let text = format!("{}({})", function.name(), args.join(", "));
        let expected = Expr::Aggregate(aggregate(*function, args.iter().map(|_| x()).collect(), None));
        assert_eq!(parse_expression(&text, Dialect::Measure).unwrap(), expected, "for {text}");
        checked += 1;
    }
    assert!(checked >= 85, "only {checked} functions");
}

#[test]
fn keywords_are_names_where_nothing_else_is_meant() {
    let names = [
        "first",
        "last",
        "prev",
        "next",
        "match",
        "pattern",
        "define",
        "measures",
        "order",
        "partition",
        "rows",
        "row",
        "one",
        "subset",
        "after",
        "skip",
        "within",
        "running",
        "final",
        "date",
        "time",
        "timestamp",
        "interval",
        "decimal",
        "cast",
        "extract",
        "position",
        "count",
        "sum",
        "end",
        "limit",
        "offset",
        "a",
        "año",
        "_x1",
        "permute",
        "absent",
        "group",
        "by",
        "to",
        "with",
        "exists",
        "trim",
    ];
    for name in names {
        let found = parse_expression(&format!("{name} > 1"), Dialect::Condition);
        assert_eq!(found.unwrap(), bin(Greater, Expr::column(name), int(1)), "for {name}");
        let qualified = parse_expression(&format!("a.{name} in (1)"), Dialect::Condition);
        let expected = Expr::In { operand: Box::new(at(name, pointer("A"))), list: vec![int(1)] };
        assert_eq!(qualified.unwrap(), expected, "for a.{name}");
    }
    assert_eq!(names.len(), 43);
}

#[test]
fn pointers_follow_the_standard() {
    let first = |k| RowPointer { anchor: Anchor::First, logical_offset: k, ..pointer("A") };
    let last = |k| RowPointer { logical_offset: k, ..pointer("A") };
    let physical = |offset, at: RowPointer| RowPointer { physical_offset: offset, ..at };
    let is_final = |at: RowPointer| RowPointer { semantics: Semantics::Final, ..at };
    let classifier = |at| Expr::Classifier { at };
    check(
        Dialect::Measure,
        vec![
            ("a.x", at("x", pointer("A"))),
            ("\"a\".x", at("x", pointer("a"))),
            ("A.\"X y\"", Expr::Column { name: "X y".into(), quoted: true, at: pointer("A") }),
            ("FIRST(A.x)", at("x", first(0))),
            ("FIRST(A.x, 2)", at("x", first(2))),
            ("LAST(A.x)", at("x", last(0))),
            ("LAST(A.x, 1)", at("x", last(1))),
            ("RUNNING LAST(A.x)", at("x", last(0))),
            ("FINAL LAST(A.x, 1)", at("x", is_final(last(1)))),
            ("FINAL FIRST(A.x)", at("x", is_final(first(0)))),
            ("PREV(x)", at("x", physical(-1, RowPointer::default()))),
            ("PREV(A.x, 3)", at("x", physical(-3, pointer("A")))),
            ("PREV(A.x, 0)", at("x", pointer("A"))),
            ("NEXT(A.x)", at("x", physical(1, pointer("A")))),
            ("PREV(FIRST(A.x, 2), 4)", at("x", physical(-4, first(2)))),
            ("NEXT(FINAL LAST(A.x), 1)", at("x", physical(1, is_final(last(0))))),
            (
                "PREV(A.x * A.y + 1, 2)",
                bin(
                    Add,
                    bin(Multiply, at("x", physical(-2, pointer("A"))), at("y", physical(-2, pointer("A")))),
                    int(1),
                ),
            ),
            (
                "FIRST(abs(A.x - A.y))",
                call(Function::Abs, vec![bin(Subtract, at("x", first(0)), at("y", first(0)))]),
            ),
            ("CLASSIFIER()", classifier(RowPointer::default())),
            ("CLASSIFIER(a)", classifier(pointer("A"))),
            ("LAST(CLASSIFIER(), 1)", classifier(RowPointer { logical_offset: 1, ..RowPointer::default() })),
            ("PREV(CLASSIFIER(A))", classifier(physical(-1, pointer("A")))),
            ("MATCH_NUMBER()", Expr::MatchNumber),
        ],
        23,
    );
}

#[test]
fn aggregates_take_their_variable_from_their_columns() {
    use AggregateFunction::*;
    let agg = |function, args, variable| Expr::Aggregate(aggregate(function, args, variable));
    check(
        Dialect::Measure,
        vec![
            ("COUNT(*)", agg(Count, vec![], None)),
            ("count()", agg(Count, vec![], None)),
            ("COUNT(a.*)", agg(Count, vec![], Some("A"))),
            ("COUNT(A.x)", agg(Count, vec![x()], Some("A"))),
            ("SUM(x)", agg(Sum, vec![x()], None)),
            ("SUM(A.x * A.y)", agg(Sum, vec![bin(Multiply, x(), y())], Some("A"))),
            ("SUM(1)", agg(Sum, vec![int(1)], None)),
            ("mean(A.x)", agg(Avg, vec![x()], Some("A"))),
            ("MAX_BY(A.x, A.y)", agg(MaxBy, vec![x(), y()], Some("A"))),
            ("COUNT_IF(A.x > 1)", agg(CountIf, vec![bin(Greater, x(), int(1))], Some("A"))),
            (
                "ARRAY_AGG(CLASSIFIER(A))",
                agg(ArrayAgg, vec![Expr::Classifier { at: RowPointer::default() }], Some("A")),
            ),
            ("SUM(ALL A.x)", agg(Sum, vec![x()], Some("A"))),
            (
                "COUNT(DISTINCT A.x)",
                Expr::Aggregate(Aggregate { distinct: true, ..aggregate(Count, vec![x()], Some("A")) }),
            ),
            (
                "FINAL COUNT(*)",
                Expr::Aggregate(Aggregate { semantics: Semantics::Final, ..aggregate(Count, vec![], None) }),
            ),
            ("RUNNING SUM(A.x)", agg(Sum, vec![x()], Some("A"))),
            ("A.x - AVG(A.x)", bin(Subtract, at("x", pointer("A")), agg(Avg, vec![x()], Some("A")))),
        ],
        16,
    );
}

#[test]
fn in_the_algebra_a_variable_is_what_was_accepted_before() {
    let excluded = |at: RowPointer| RowPointer { tested_row: TestedRow::Excluded, ..at };
    let first = RowPointer { anchor: Anchor::First, logical_offset: 1, ..pointer("b") };
    check(
        Dialect::AlgebraCondition,
        vec![
            ("x", x()),
            ("b.x", at("x", excluded(pointer("b")))),
            ("Big.x", at("x", excluded(pointer("Big")))),
            ("FIRST(b.x, 1)", at("x", excluded(first.clone()))),
            ("PREV(x)", at("x", RowPointer { physical_offset: -1, ..RowPointer::default() })),
            (
                "SUM(b.x)",
                Expr::Aggregate(Aggregate {
                    tested_row: TestedRow::Excluded,
                    ..aggregate(AggregateFunction::Sum, vec![x()], Some("b"))
                }),
            ),
            (
                "COUNT(b.*)",
                Expr::Aggregate(Aggregate {
                    tested_row: TestedRow::Excluded,
                    ..aggregate(AggregateFunction::Count, vec![], Some("b"))
                }),
            ),
        ],
        7,
    );
    check(
        Dialect::AlgebraMeasure,
        vec![("b.x", at("x", pointer("b"))), ("FIRST(b.x, 1)", at("x", first))],
        2,
    );
}
