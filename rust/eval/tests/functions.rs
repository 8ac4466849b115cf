//! What every function and operator gives, by literal examples; each is evaluated folded, over one row and over columns.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cepheid_eval::{TypedExpr, Value, read_value};
use cepheid_ir::{BinaryOp, Expr, Float, Function, Interval, Literal};

/// A table of one column, `n`, with the values 0, 1 and NULL.
fn schema() -> Schema {
    Schema::new(vec![Field::new("n", DataType::Int64, true)])
}

/// How examples were evaluated.
#[derive(Default)]
struct Tally {
    /// Over columns in place of every literal.
    over_columns: usize,
    /// Over columns in place of some of the literals, beside the others.
    beside_literals: usize,
}

/// The value of a constant expression: folded; kept from being folded where an error is raised; and with columns in
/// place of its literals.
fn value(expr: &Expr, tally: &mut Tally) -> Result<Value, String> {
    let folded = evaluate(expr);
    // An expression that raises an error was not folded: below CASE it is evaluated on one row of three.
    assert_eq!(folded, evaluate(&first_row_only(expr.clone())), "{expr:?}");
    let literals = count_literals(expr);
    let data_type = |expr: &Expr| TypedExpr::compile(expr, &schema()).map(|typed| typed.data_type().clone());
    // Some functions take nothing but a constant, and only a literal adapts: a string that meets a date, a float that
    // meets a decimal. Over columns such an example does not compile, or has another type.
    let compare = |spread: Expr| {
        let comparable = data_type(&spread).is_ok_and(|found| Ok(found) == data_type(expr));
        if comparable {
            assert_eq!(folded, evaluate(&spread), "{}", cepheid_eval::expression_text(&spread));
        }
        usize::from(comparable)
    };
    tally.over_columns += compare(spread(expr, |_| true));
    if literals > 1 {
        for chosen in 0..literals {
            tally.beside_literals += compare(spread(expr, |literal| literal == chosen));
        }
    }
    folded
}

/// `CASE WHEN n = 0 THEN expr END`: a column whose first row has the value.
fn first_row_only(expr: Expr) -> Expr {
    let when = binary(BinaryOp::Equal, Expr::column("n"), int(0));
    Expr::Case { branches: vec![cepheid_ir::CaseBranch { when, then: expr }], otherwise: None }
}

fn count_literals(expr: &Expr) -> usize {
    let mut literals = 0;
    expr.walk(&mut |inner| literals += usize::from(matches!(inner, Expr::Literal(_))));
    literals
}

/// `CASE WHEN n IS NULL THEN expr ELSE expr END`: a column that has the value on every row.
fn column_of(expr: Expr) -> Expr {
    let when = Expr::IsNull(Box::new(Expr::column("n")));
    let branches = vec![cepheid_ir::CaseBranch { when, then: expr.clone() }];
    Expr::Case { branches, otherwise: Some(Box::new(expr)) }
}

/// The expression with columns in place of the chosen literals, which are numbered from the left.
fn spread(expr: &Expr, chosen: impl Fn(usize) -> bool) -> Expr {
    fn replace(expr: &mut Expr, next: &mut usize, chosen: &dyn Fn(usize) -> bool) {
        if matches!(expr, Expr::Literal(_)) {
            if chosen(*next) {
                *expr = column_of(std::mem::replace(expr, null()));
            }
            *next += 1;
            return;
        }
        for child in expr.children_mut() {
            replace(child, next, chosen);
        }
    }
    let mut expr = expr.clone();
    replace(&mut expr, &mut 0, &chosen);
    expr
}

fn evaluate(expr: &Expr) -> Result<Value, String> {
    let typed = TypedExpr::compile(expr, &schema()).map_err(|error| format!("{}: {error}", error.code()))?;
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), None]));
    let slots = vec![column; typed.leaves().len()];
    let by_row =
        typed.evaluate_row(&mut |_: usize| Ok(Value::Integer(0))).map_err(|error| error.code().to_owned());
    match typed.evaluate_columns(&slots, 3) {
        Ok(array) => {
            assert_eq!(array.data_type(), typed.data_type());
            assert_eq!(Ok(read_value(array.as_ref(), 0)), by_row, "{expr:?}");
        }
        Err(error) => assert_eq!(Err(error.code().to_owned()), by_row),
    }
    by_row
}

fn int(value: i64) -> Expr {
    Expr::literal(value)
}

fn float(value: f64) -> Expr {
    Expr::literal(value)
}

fn text(value: &str) -> Expr {
    Expr::literal(value)
}

fn decimal(unscaled: i128, scale: i8) -> Expr {
    Expr::Literal(Literal::Decimal { unscaled, scale })
}

fn null() -> Expr {
    Expr::Literal(Literal::Null)
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn cast(operand: Expr, to: cepheid_ir::DataType) -> Expr {
    Expr::Cast { operand: Box::new(operand), to, lenient: false }
}

/// `TIMESTAMP '...'`, to the microsecond.
fn timestamp(at: &str) -> Expr {
    cast(text(at), cepheid_ir::DataType::Timestamp)
}

fn instant(at: &str) -> Expr {
    cast(text(at), cepheid_ir::DataType::TimestampTz)
}

fn in_zone(at: &str, zone: &str) -> Expr {
    Expr::Call { function: Function::AtTimezone, args: vec![instant(at), text(zone)] }
}

fn date(at: &str) -> Expr {
    cast(text(at), cepheid_ir::DataType::Date)
}

fn span(nanoseconds: i64) -> Expr {
    Expr::Literal(Literal::Interval(Interval { months: 0, nanoseconds }))
}

fn months(months: i32) -> Expr {
    Expr::Literal(Literal::Interval(Interval { months, nanoseconds: 0 }))
}

fn ok(value: impl Into<Value>) -> Result<Value, String> {
    Ok(value.into())
}

fn dec(unscaled: i128, scale: i8) -> Result<Value, String> {
    Ok(Value::Decimal { unscaled, scale })
}

/// A result as text, by CAST.
fn shown(expr: Expr, tally: &mut Tally) -> Result<Value, String> {
    value(&expr, tally)?;
    evaluate(&cast(expr, cepheid_ir::DataType::String))
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

#[test]
fn every_function_gives_what_its_contract_says() {
    use Function::*;
    let t = || timestamp("2024-02-29 13:14:15.123456");
    let pi = std::f64::consts::PI;
    let cases: Vec<(Function, Vec<Expr>, Result<Value, String>)> = vec![
        (Abs, vec![int(-3)], ok(3)),
        (Abs, vec![int(i64::MIN)], Err("overflow".into())),
        (Abs, vec![decimal(-150, 2)], dec(150, 2)),
        (Abs, vec![null()], Ok(Value::Null)),
        (Ceil, vec![float(1.2)], ok(2.0)),
        (Ceil, vec![decimal(-150, 2)], dec(-100, 2)),
        (Ceil, vec![int(4)], ok(4)),
        (Floor, vec![float(-1.2)], ok(-2.0)),
        (Floor, vec![decimal(-150, 2)], dec(-200, 2)),
        (Round, vec![float(2.5)], ok(3.0)),
        (Round, vec![float(-2.5)], ok(-3.0)),
        (Round, vec![float(2.675), int(2)], ok(2.68)),
        (Round, vec![int(1250), int(-2)], ok(1300)),
        (Round, vec![decimal(12345, 3), int(1)], dec(12300, 3)),
        (Truncate, vec![float(-1.7)], ok(-1.0)),
        (Truncate, vec![decimal(199, 2)], dec(100, 2)),
        (Sign, vec![float(-1.7)], ok(-1.0)),
        (Sign, vec![int(0)], ok(0)),
        (Sign, vec![decimal(-5, 1)], dec(-10, 1)),
        (Sqrt, vec![int(9)], ok(3.0)),
        (Sqrt, vec![float(-1.0)], ok(f64::NAN)),
        (Cbrt, vec![float(27.0)], ok(3.0)),
        (Exp, vec![int(0)], ok(1.0)),
        (Ln, vec![float(1.0)], ok(0.0)),
        (Ln, vec![float(0.0)], ok(f64::NEG_INFINITY)),
        (Log2, vec![int(8)], ok(3.0)),
        (Log10, vec![int(1000)], ok(3.0)),
        (Log, vec![int(2), int(1024)], ok(10.0)),
        (Power, vec![int(2), int(10)], ok(1024.0)),
        (Mod, vec![int(-7), int(3)], ok(-1)),
        (Mod, vec![int(7), int(0)], Err("division-by-zero".into())),
        (Sin, vec![int(0)], ok(0.0)),
        (Cos, vec![int(0)], ok(1.0)),
        (Tan, vec![int(0)], ok(0.0)),
        (Asin, vec![int(1)], ok(pi / 2.0)),
        (Acos, vec![int(1)], ok(0.0)),
        (Atan, vec![int(0)], ok(0.0)),
        (Atan2, vec![int(1), int(0)], ok(pi / 2.0)),
        (Degrees, vec![float(pi)], ok(180.0)),
        (Radians, vec![int(180)], ok(pi)),
        (Pi, vec![], ok(pi)),
        (IsNan, vec![float(f64::NAN)], ok(true)),
        (IsNan, vec![int(1)], ok(false)),
        (IsFinite, vec![float(f64::INFINITY)], ok(false)),
        (IsFinite, vec![float(1.0)], ok(true)),
        (Greatest, vec![int(1), int(3), int(2)], ok(3)),
        (Greatest, vec![int(1), null()], Ok(Value::Null)),
        (Greatest, vec![int(1), float(1.5)], ok(1.5)),
        (Least, vec![text("b"), text("a")], ok("a")),
        (Coalesce, vec![null(), int(2), binary(BinaryOp::Divide, int(1), int(0))], ok(2)),
        (Nullif, vec![int(2), int(2)], Ok(Value::Null)),
        (Nullif, vec![int(2), null()], ok(2)),
        (Lower, vec![text("ÄbC")], ok("äbc")),
        (Upper, vec![text("äbC")], ok("ÄBC")),
        (Length, vec![text("日本x")], ok(3)),
        (Trim, vec![text(" a ")], ok("a")),
        (Ltrim, vec![text(" a ")], ok("a ")),
        (Rtrim, vec![text(" a ")], ok(" a")),
        (Substring, vec![text("äbcd"), int(2)], ok("bcd")),
        (Substring, vec![text("äbcd"), int(1), int(2)], ok("äb")),
        (Substring, vec![text("äbcd"), int(-2)], ok("cd")),
        (Substring, vec![text("abc"), int(0)], ok("")),
        (Substring, vec![text("abc"), int(i64::MIN), int(i64::MAX)], ok("")),
        (Strpos, vec![text("äbcb"), text("b")], ok(2)),
        (Strpos, vec![text("abc"), text("x")], ok(0)),
        (StartsWith, vec![text("abc"), text("ab")], ok(true)),
        (EndsWith, vec![text("abc"), text("ab")], ok(false)),
        (Contains, vec![text("abc"), text("bc")], ok(true)),
        (Replace, vec![text("aXbX"), text("X"), text("--")], ok("a--b--")),
        (Concat, vec![text("a"), int(1), text("b")], ok("a1b")),
        (Concat, vec![text("a"), null()], Ok(Value::Null)),
        (Reverse, vec![text("äb")], ok("bä")),
        (Lpad, vec![text("7"), int(3), text("0")], ok("007")),
        (Lpad, vec![text("abc"), int(2), text("0")], ok("ab")),
        (Rpad, vec![text("a"), int(4), text("xy")], ok("axyx")),
        (Rpad, vec![text("a"), int(-1), text("x")], Err("invalid-argument".into())),
        (SplitPart, vec![text("a,b,c"), text(","), int(2)], ok("b")),
        (SplitPart, vec![text("a,b"), text(","), int(3)], Ok(Value::Null)),
        (SplitPart, vec![text("a,b"), text(","), int(0)], Err("invalid-argument".into())),
        (RegexpLike, vec![text("xay"), text("a.")], ok(true)),
        (RegexpExtract, vec![text("k=v"), text("(.)=(.)"), int(2)], ok("v")),
        (RegexpExtract, vec![text("k=v"), text("z")], Ok(Value::Null)),
        (RegexpExtract, vec![text("k=v"), text("k"), int(1)], Err("invalid-argument".into())),
        (RegexpReplace, vec![text("a1b2"), text("([0-9])"), text("<$1>")], ok("a<1>b<2>")),
        (Year, vec![t()], ok(2024)),
        (Year, vec![in_zone("2023-12-31 23:30:00", "Europe/Berlin")], ok(2024)),
        (Quarter, vec![t()], ok(1)),
        (Month, vec![t()], ok(2)),
        (Week, vec![date("2021-01-03")], ok(53)),
        (Day, vec![t()], ok(29)),
        (DayOfWeek, vec![t()], ok(4)),
        (DayOfYear, vec![t()], ok(60)),
        (Hour, vec![t()], ok(13)),
        (Hour, vec![in_zone("2024-07-01 12:00:00", "Europe/Berlin")], ok(14)),
        (Hour, vec![timestamp("1969-12-31 23:59:59.5")], ok(23)),
        (Minute, vec![t()], ok(14)),
        (Second, vec![t()], ok(15)),
        (Millisecond, vec![t()], ok(123)),
        (Microsecond, vec![t()], ok(123_456)),
        (Nanosecond, vec![t()], ok(123_456_000)),
        (DateDiff, vec![text("day"), date("2024-02-28"), date("2024-03-01")], ok(2)),
        (DateDiff, vec![text("month"), date("2024-01-31"), date("2024-02-29")], ok(1)),
        (DateDiff, vec![text("month"), date("2024-01-15"), date("2024-03-14")], ok(1)),
        (DateDiff, vec![text("year"), date("2024-03-01"), date("2023-03-02")], ok(0)),
        (DateDiff, vec![text("hours"), t(), timestamp("2024-02-29 16:14:15")], ok(2)),
        (ToUnixtime, vec![timestamp("1970-01-01 00:00:01.5")], ok(1.5)),
        (TotalSeconds, vec![span(90 * SECOND)], ok(90.0)),
    ];
    let shown_cases: Vec<(Function, Vec<Expr>, &str)> = vec![
        (DateTrunc, vec![text("hour"), t()], "2024-02-29 13:00:00.000000"),
        (DateTrunc, vec![text("week"), date("2024-02-29")], "2024-02-26"),
        (DateTrunc, vec![text("quarter"), date("2024-06-30")], "2024-04-01"),
        (
            DateTrunc,
            vec![text("day"), in_zone("2024-03-31 10:00:00", "Europe/Berlin")],
            "2024-03-31 00:00:00.000000 Europe/Berlin",
        ),
        (DateAdd, vec![text("month"), int(1), date("2024-01-31")], "2024-02-29"),
        (DateAdd, vec![text("hour"), int(-14), t()], "2024-02-28 23:14:15.123456"),
        (
            DateAdd,
            vec![text("day"), int(1), in_zone("2024-03-30 11:00:00", "Europe/Berlin")],
            "2024-03-31 12:00:00.000000 Europe/Berlin",
        ),
        (FromUnixtime, vec![float(1.5)], "1970-01-01 00:00:01.500000 UTC"),
        (
            AtTimezone,
            vec![instant("2024-01-01 00:00:00"), text("-05:00")],
            "2023-12-31 19:00:00.000000 -05:00",
        ),
        (Date, vec![in_zone("2023-12-31 23:30:00", "Europe/Berlin")], "2024-01-01"),
    ];
    let mut covered = HashSet::new();
    let mut checked = 0;
    let mut tally = Tally::default();
    for (function, args, expected) in cases {
        let expr = Expr::Call { function, args };
        assert_eq!(value(&expr, &mut tally), expected, "{}", cepheid_eval::expression_text(&expr));
        covered.insert(function);
        checked += 1;
    }
    for (function, args, expected) in shown_cases {
        let expr = Expr::Call { function, args };
        let name = cepheid_eval::expression_text(&expr);
        assert_eq!(shown(expr, &mut tally), ok(expected), "{name}");
        covered.insert(function);
        checked += 1;
    }
    let missing: Vec<_> = Function::ALL.iter().filter(|function| !covered.contains(function)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    assert_eq!(checked, 117);
    assert_eq!((tally.over_columns, tally.beside_literals), (111, 133));
}

#[test]
fn every_operator_gives_what_its_contract_says() {
    use BinaryOp::*;
    let cases: Vec<(Expr, Result<Value, String>)> = vec![
        (binary(Add, int(1), int(2)), ok(3)),
        (binary(Add, int(i64::MAX), int(1)), Err("overflow".into())),
        (binary(Add, int(1), float(0.5)), ok(1.5)),
        (binary(Add, decimal(150, 2), decimal(5, 1)), dec(200, 2)),
        (binary(Add, decimal(150, 2), float(0.1)), dec(160, 2)),
        (binary(Subtract, int(1), null()), Ok(Value::Null)),
        (binary(Add, null(), span(SECOND)), Ok(Value::Null)),
        (binary(Subtract, date("2024-03-31"), null()), Ok(Value::Null)),
        (binary(Subtract, date("2024-03-01"), date("2024-02-28")), ok(2)),
        (binary(Multiply, decimal(150, 2), decimal(5, 1)), dec(750, 3)),
        (binary(Multiply, int(1 << 62), int(2)), Err("overflow".into())),
        (binary(Divide, int(-7), int(2)), ok(-3)),
        (binary(Divide, int(1), int(0)), Err("division-by-zero".into())),
        (binary(Divide, float(1.0), float(0.0)), ok(f64::INFINITY)),
        (binary(Divide, int(1), float(0.0)), ok(f64::INFINITY)),
        (binary(Divide, decimal(200, 2), int(3)), dec(666_667, 6)),
        (binary(Divide, decimal(1, 0), decimal(0, 2)), Err("division-by-zero".into())),
        (binary(Divide, int(i64::MIN), int(-1)), Err("overflow".into())),
        (binary(Modulo, int(i64::MIN), int(-1)), ok(0)),
        (binary(Modulo, decimal(-750, 2), int(2)), dec(-150, 2)),
        (binary(Equal, float(f64::NAN), float(f64::NAN)), ok(true)),
        (binary(Less, float(f64::INFINITY), float(f64::NAN)), ok(true)),
        (binary(Less, float(-0.0), float(0.0)), ok(false)),
        (binary(Equal, float(-0.0), float(0.0)), ok(true)),
        (binary(Equal, int(1), decimal(100, 2)), ok(true)),
        (binary(NotEqual, text("a"), text("A")), ok(true)),
        (binary(Less, text("B"), text("a")), ok(true)),
        (binary(LessOrEqual, int(2), int(2)), ok(true)),
        (
            binary(Greater, Expr::Literal(Literal::Boolean(true)), Expr::Literal(Literal::Boolean(false))),
            ok(true),
        ),
        (binary(GreaterOrEqual, int(1), null()), Ok(Value::Null)),
        (binary(IsDistinctFrom, null(), null()), ok(false)),
        (binary(IsDistinctFrom, null(), int(1)), ok(true)),
        (binary(Concat, text("a"), text("b")), ok("ab")),
        (binary(Concat, text("a"), null()), Ok(Value::Null)),
        (binary(Equal, date("2024-02-29"), text("2024-02-29")), ok(true)),
        (binary(Less, timestamp("2024-01-01 00:00:00"), text("2024-01-01 00:00:00.5")), ok(true)),
        (binary(Equal, date("2024-02-29"), timestamp("2024-02-29 00:00:00")), ok(true)),
        (
            binary(Equal, instant("2024-01-01 12:00:00+02:00"), in_zone("2024-01-01 10:00:00", "Asia/Tokyo")),
            ok(true),
        ),
        (Expr::Negate(Box::new(int(i64::MIN))), Err("overflow".into())),
        (Expr::Negate(Box::new(decimal(5, 1))), dec(-5, 1)),
        (Expr::Not(Box::new(null())), Ok(Value::Null)),
        (Expr::IsNull(Box::new(null())), ok(true)),
        (Expr::In { operand: Box::new(int(1)), list: vec![int(2), null()] }, Ok(Value::Null)),
        (Expr::In { operand: Box::new(int(2)), list: vec![int(2), null()] }, ok(true)),
        (Expr::In { operand: Box::new(text("x")), list: vec![text("y")] }, ok(false)),
        (
            Expr::Between { operand: Box::new(int(5)), low: Box::new(int(6)), high: Box::new(null()) },
            ok(false),
        ),
        (Expr::And(vec![Expr::Literal(Literal::Boolean(false)), failing()]), ok(false)),
        (Expr::And(vec![null(), failing()]), Err("division-by-zero".into())),
        (Expr::Or(vec![Expr::Literal(Literal::Boolean(true)), failing()]), ok(true)),
        (Expr::Or(vec![null(), Expr::Literal(Literal::Boolean(false))]), Ok(Value::Null)),
        // A date beside a timestamp is its midnight, wherever in the list or on whichever side it stands.
        (is_in(leap_day(), vec![date("2024-02-29"), timestamp("2024-03-01 12:00:00")]), ok(true)),
        (is_in(leap_day(), vec![timestamp("2024-02-29 00:00:00"), date("2024-03-01")]), ok(true)),
        (is_in(leap_day(), vec![date("2024-03-01"), timestamp("2024-02-29 12:00:00")]), ok(false)),
        (is_in(timestamp("2024-02-29 00:00:00"), vec![date("2024-02-29")]), ok(true)),
        (between(leap_day(), date("2024-02-28"), timestamp("2024-02-29 12:00:00")), ok(true)),
        (between(leap_day(), timestamp("2024-02-29 00:00:00"), date("2024-03-01")), ok(true)),
        (between(leap_day(), date("2024-03-01"), timestamp("2024-03-02 00:00:00")), ok(false)),
        (between(timestamp("2024-02-29 12:00:00"), date("2024-02-29"), date("2024-03-01")), ok(true)),
        // A clock that is set back shows this reading twice: the first counts.
        (
            binary(Equal, in_zone("2024-10-27 00:30:00", "Europe/Berlin"), text("2024-10-27 02:30:00")),
            ok(true),
        ),
        (like("abc", "a%", None), ok(true)),
        (like("a%c", "a!%c", Some('!')), ok(true)),
        (like("abc", "a!%c", Some('!')), ok(false)),
        (like("äbc", "_b_", None), ok(true)),
        (like("aXbXc", "%X_", None), ok(true)),
        (like("mississippi", "m%iss%pp_", None), ok(true)),
        (like("mississippi", "m%iss%pp", None), ok(false)),
    ];
    let shown_cases = vec![
        (binary(Add, timestamp("2024-01-31 10:00:00"), months(1)), "2024-02-29 10:00:00.000000"),
        (binary(Subtract, date("2024-03-31"), months(1)), "2024-02-29"),
        (binary(Add, date("2024-02-28"), span(2 * DAY)), "2024-03-01"),
        (binary(Subtract, timestamp("2024-01-02 00:00:00"), timestamp("2024-01-01 12:00:00")), "0 12:00:00"),
        (binary(Multiply, span(SECOND), float(1.5)), "0 00:00:01.5"),
        (binary(Divide, span(3 * SECOND), int(2)), "0 00:00:01.5"),
        (
            binary(Add, in_zone("2024-03-30 11:00:00", "Europe/Berlin"), span(DAY)),
            "2024-03-31 13:00:00.000000 Europe/Berlin",
        ),
    ];
    let (first, second) = (cases.len(), shown_cases.len());
    assert_eq!((first, second), (66, 7));
    let mut tally = Tally::default();
    for (expr, expected) in cases {
        assert_eq!(value(&expr, &mut tally), expected, "{}", cepheid_eval::expression_text(&expr));
    }
    for (expr, expected) in shown_cases {
        let name = cepheid_eval::expression_text(&expr);
        assert_eq!(shown(expr, &mut tally), ok(expected), "{name}");
    }
    assert_eq!((tally.over_columns, tally.beside_literals), (67, 149));
}

fn leap_day() -> Expr {
    date("2024-02-29")
}

fn is_in(operand: Expr, list: Vec<Expr>) -> Expr {
    Expr::In { operand: Box::new(operand), list }
}

fn between(operand: Expr, low: Expr, high: Expr) -> Expr {
    Expr::Between { operand: Box::new(operand), low: Box::new(low), high: Box::new(high) }
}

fn failing() -> Expr {
    binary(BinaryOp::Equal, binary(BinaryOp::Divide, int(1), int(0)), int(1))
}

fn like(operand: &str, pattern: &str, escape: Option<char>) -> Expr {
    Expr::Like { operand: Box::new(text(operand)), pattern: Box::new(text(pattern)), escape }
}

#[test]
fn casts_convert_or_say_what_does_not() {
    use cepheid_ir::DataType as T;
    let invalid = || Err("invalid-cast".to_owned());
    let cases: Vec<(Expr, T, Result<Value, String>)> = vec![
        (float(2.5), T::Int64, ok(3)),
        (float(-2.5), T::Int64, ok(-3)),
        (float(9.3e18), T::Int64, invalid()),
        (float(f64::NAN), T::Int32, invalid()),
        (float(1.8e19), T::UInt64, Ok(Value::Unsigned(18_000_000_000_000_000_000))),
        (int(300), T::Int8, invalid()),
        (int(-1), T::UInt8, invalid()),
        (text("12"), T::Int32, ok(12)),
        (text(" 12"), T::Int32, invalid()),
        (text("1.5"), T::Float64, ok(1.5)),
        (text("1.005"), T::Decimal { precision: 4, scale: 2 }, dec(101, 2)),
        (text("123.4"), T::Decimal { precision: 4, scale: 2 }, invalid()),
        (float(0.1), T::Decimal { precision: 10, scale: 3 }, dec(100, 3)),
        // Digits beyond the scale round, however many they are.
        (float(1e-300), T::Decimal { precision: 10, scale: 3 }, dec(0, 3)),
        (float(-5e-4), T::Decimal { precision: 10, scale: 3 }, dec(-1, 3)),
        (float(4.9e-4), T::Decimal { precision: 10, scale: 3 }, dec(0, 3)),
        (text("1e-50"), T::Decimal { precision: 10, scale: 3 }, dec(0, 3)),
        (text(&format!("1.{}", "3".repeat(200))), T::Decimal { precision: 10, scale: 3 }, dec(1333, 3)),
        (text("99.9996"), T::Decimal { precision: 5, scale: 3 }, invalid()),
        (text("1e40"), T::Decimal { precision: 38, scale: 0 }, invalid()),
        (text("1.5.2"), T::Decimal { precision: 10, scale: 3 }, invalid()),
        (float(f64::INFINITY), T::Decimal { precision: 10, scale: 3 }, invalid()),
        (text("true"), T::Boolean, ok(true)),
        (text("yes"), T::Boolean, invalid()),
        (int(0), T::Boolean, ok(false)),
        (float(1.0), T::String, ok("1.0")),
        (int(-5), T::String, ok("-5")),
        (decimal(-5, 2), T::String, ok("-0.05")),
        (text("2024-02-30"), T::Date, invalid()),
        (text("1970-01-02"), T::Date, Ok(Value::Date(1))),
        (text("01:02:03"), T::Time, Ok(Value::Time(3723 * SECOND))),
        // One reader for all: white space around does not count, a minute has 60 seconds.
        (text(" 01:02 "), T::Time, Ok(Value::Time(3720 * SECOND))),
        (text("23:59:60"), T::Time, invalid()),
        (text("1970-01-01 23:59:60"), T::Timestamp, invalid()),
        (text(" 1970-01-02 "), T::Date, Ok(Value::Date(1))),
        (text("1970-01-02 00:00:00"), T::Date, invalid()),
        (text("1970-01-02 00:00"), T::Timestamp, stamp(86_400_000_000, false)),
        // With a zone it is an instant, not what a clock shows.
        (text("1970-01-01T00:00:00Z"), T::Timestamp, invalid()),
        (text("1970-01-01 01:00 Europe/Berlin"), T::TimestampTz, stamp(0, true)),
        (text("1970-01-01 01:00 Atlantis"), T::TimestampTz, invalid()),
        (date("1970-01-02"), T::Timestamp, stamp(86_400_000_000, false)),
        (text("1970-01-01T01:00:00+01:00"), T::TimestampTz, stamp(0, true)),
        (in_zone("1970-01-01 00:00:00", "+01:00"), T::Timestamp, stamp(3_600_000_000, false)),
        (
            text("2 minutes"),
            T::Duration,
            Ok(Value::Duration { value: 120 * SECOND, unit: TimeUnit::Nanosecond }),
        ),
        (Expr::Literal(Literal::Float(Float(0.1))), T::Float32, ok(f64::from(0.1f32))),
    ];
    assert_eq!(cases.len(), 45);
    let mut tally = Tally::default();
    for (operand, to, expected) in cases {
        let lenient = Expr::Cast { operand: Box::new(operand.clone()), to, lenient: true };
        let strict = cast(operand, to);
        let name = cepheid_eval::expression_text(&strict);
        assert_eq!(value(&strict, &mut tally), expected, "{name}");
        assert_eq!(value(&lenient, &mut tally), Ok(expected.unwrap_or_default()), "TRY_ {name}");
    }
    assert_eq!((tally.over_columns, tally.beside_literals), (88, 2));
}

fn stamp(value: i64, zoned: bool) -> Result<Value, String> {
    Ok(Value::Timestamp { value, unit: TimeUnit::Microsecond, zoned })
}
