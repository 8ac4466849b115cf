//! `parse(unparse(x)) == x`, over random expressions, patterns and queries.

use cepheid_ir::{
    AfterMatchSkip, Aggregate, AggregateFunction, Anchor, BinaryOp, CaseBranch, ColumnName, Contiguity,
    DataType, Definition, Expr, Function, Interval, Literal, Measure, OrderItem, PartitionEdge, Pattern,
    PatternNode, Quantifier, Query, RowPointer, RowsPerMatch, SelectItem, Selection, Semantics, SkipRow,
    SortKey, Step, Subset, TestedRow, Within,
};
use cepheid_sql::{
    Dialect, parse_expression, parse_pattern, parse_query, unparse_expr, unparse_pattern, unparse_query,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::test_runner::{Config, TestRunner};

const DAY_NS: i64 = 86_400_000_000_000;

/// Variables of random patterns: folded, quoted, and with the names of keywords.
const VARIABLES: &[&str] = &["A", "B", "C", "low", "D e", "NOT", "PERMUTE", "\"q\"", "ÄÖ"];

fn column_name() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        6 => select(&["x", "y", "Price", "first", "order", "end", "date", "interval", "año", "_c"][..])
            .prop_map(|name| (name.to_owned(), false)),
        2 => select(&["x", "a b", "select", "say \"hi\"", "1st", "it's", "λ"][..]).prop_map(|name| (name.to_owned(), true)),
        1 => "[a-z_][a-z0-9_]{3,8}q".prop_map(|name| (name, false)),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    let float = prop_oneof![
        any::<f64>().prop_filter("one NaN is enough", |value| !value.is_nan()),
        select(&[0.0, -0.0, 1.0, 1e300, -1e-300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY][..]),
    ];
    let digits = 10_i128.pow(38) - 1;
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        prop_oneof![any::<i64>(), -3_i64..4, select(&[i64::MIN, i64::MAX][..])].prop_map(Literal::Integer),
        float.prop_map(Literal::from),
        (-digits..=digits, 0_i8..=38).prop_map(|(unscaled, scale)| Literal::Decimal { unscaled, scale }),
        (-999_i128..999, 0_i8..=38).prop_map(|(unscaled, scale)| Literal::Decimal { unscaled, scale }),
        prop_oneof![any::<String>(), "[a-c'%\"\\-]{0,6}"].prop_map(Literal::String),
        any::<i32>().prop_map(Literal::Date),
        (0..DAY_NS).prop_map(Literal::Time),
        (any::<i64>(), any::<bool>())
            .prop_map(|(nanoseconds, zoned)| Literal::Timestamp { nanoseconds, zoned }),
        interval().prop_map(Literal::Interval),
    ]
}

fn interval() -> impl Strategy<Value = Interval> {
    let months = prop_oneof![Just(0), -30_i32..30, any::<i32>()];
    let unit = select(&[1, 1000, 1_000_000_000, 60_000_000_000, DAY_NS, 7 * DAY_NS][..]);
    let nanoseconds =
        prop_oneof![Just(0), any::<i64>(), (-50_i64..50, unit).prop_map(|(count, unit)| count * unit)];
    (months, nanoseconds).prop_map(|(months, nanoseconds)| Interval { months, nanoseconds })
}

fn data_type() -> impl Strategy<Value = DataType> {
    use DataType::*;
    let decimal = (1_u8..=38)
        .prop_flat_map(|precision| (Just(precision), 0..=i8::try_from(precision).unwrap()))
        .prop_map(|(precision, scale)| Decimal { precision, scale });
    let plain = select(
        &[
            Boolean,
            Int8,
            Int16,
            Int32,
            Int64,
            UInt8,
            UInt16,
            UInt32,
            UInt64,
            Float32,
            Float64,
            String,
            Date,
            Time,
            Timestamp,
            TimestampTz,
            Duration,
        ][..],
    );
    prop_oneof![4 => plain, 1 => decimal]
}

/// Where an expression stands, and so what it may read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Condition,
    Measure,
    AggregateArgument,
    Outer,
}

fn pointer(place: Place) -> BoxedStrategy<RowPointer> {
    if matches!(place, Place::AggregateArgument | Place::Outer) {
        return Just(RowPointer::default()).boxed();
    }
    let semantics = if place == Place::Measure {
        vec![Semantics::Running, Semantics::Final]
    } else {
        vec![Semantics::Running]
    };
    (
        option::of(select(VARIABLES)),
        select(semantics),
        select(vec![Anchor::First, Anchor::Last]),
        prop_oneof![3 => Just(0), 2 => 1_u32..4, 1 => any::<u32>()],
        prop_oneof![3 => Just(0), 2 => -3_i64..4, 1 => -i64::MAX..i64::MAX],
    )
        .prop_map(|(variable, semantics, anchor, logical_offset, physical_offset)| RowPointer {
            variable: variable.map(str::to_owned),
            semantics,
            anchor,
            logical_offset,
            physical_offset,
            tested_row: TestedRow::Included,
        })
        .boxed()
}

fn leaf(place: Place) -> BoxedStrategy<Expr> {
    let column =
        || (column_name(), pointer(place)).prop_map(|((name, quoted), at)| Expr::Column { name, quoted, at });
    match place {
        Place::Outer => prop_oneof![3 => column(), 2 => literal().prop_map(Expr::Literal)].boxed(),
        Place::AggregateArgument => prop_oneof![
            4 => column(),
            2 => literal().prop_map(Expr::Literal),
            1 => pointer(place).prop_map(|at| Expr::Classifier { at }),
        ]
        .boxed(),
        Place::Condition | Place::Measure => prop_oneof![
            5 => column(),
            3 => literal().prop_map(Expr::Literal),
            1 => pointer(place).prop_map(|at| Expr::Classifier { at }),
            1 => Just(Expr::MatchNumber),
            2 => aggregate(place),
        ]
        .boxed(),
    }
}

fn aggregate(place: Place) -> BoxedStrategy<Expr> {
    let function = select(AggregateFunction::ALL);
    let last = if place == Place::Measure { Semantics::Final } else { Semantics::Running };
    (
        function,
        vec(expr(Place::AggregateArgument), 2),
        any::<bool>(),
        option::of(select(VARIABLES)),
        any::<bool>(),
    )
        .prop_map(move |(function, mut args, distinct, variable, is_final)| {
            args.truncate(function.arity().1);
            if function == AggregateFunction::Count && !distinct && is_final {
                args.clear();
            }
            // An argument without a column cannot say whose rows are meant.
            let mut reads_column = args.is_empty();
            args.iter().for_each(|arg| {
                arg.walk(&mut |expr| {
                    reads_column |= matches!(expr, Expr::Column { .. } | Expr::Classifier { .. })
                });
            });
            Expr::Aggregate(Aggregate {
                function,
                distinct: distinct && !args.is_empty(),
                args,
                variable: variable.filter(|_| reads_column).map(str::to_owned),
                semantics: if is_final { last } else { Semantics::Running },
                tested_row: TestedRow::Included,
            })
        })
        .boxed()
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    select(
        &[
            Add,
            Subtract,
            Multiply,
            Divide,
            Modulo,
            Equal,
            NotEqual,
            Less,
            LessOrEqual,
            Greater,
            GreaterOrEqual,
            IsDistinctFrom,
            Concat,
        ][..],
    )
}

fn expr(place: Place) -> BoxedStrategy<Expr> {
    leaf(place)
        .prop_recursive(5, 24, 4, |inner| {
            let boxed = || inner.clone().prop_map(Box::new);
            let branches = vec((inner.clone(), inner.clone()), 1..3).prop_map(|branches| {
                branches.into_iter().map(|(when, then)| CaseBranch { when, then }).collect::<Vec<_>>()
            });
            prop_oneof![
                4 => (binary_op(), boxed(), boxed()).prop_map(|(op, left, right)| Expr::Binary { op, left, right }),
                2 => boxed().prop_map(Expr::Negate),
                2 => boxed().prop_map(Expr::Not),
                1 => boxed().prop_map(Expr::IsNull),
                2 => vec(inner.clone(), 2..4).prop_map(Expr::And),
                2 => vec(inner.clone(), 2..4).prop_map(Expr::Or),
                1 => (boxed(), vec(inner.clone(), 1..4)).prop_map(|(operand, list)| Expr::In { operand, list }),
                1 => (boxed(), boxed(), boxed())
                    .prop_map(|(operand, low, high)| Expr::Between { operand, low, high }),
                1 => (boxed(), boxed(), option::of(any::<char>()))
                    .prop_map(|(operand, pattern, escape)| Expr::Like { operand, pattern, escape }),
                1 => (branches, option::of(boxed()))
                    .prop_map(|(branches, otherwise)| Expr::Case { branches, otherwise }),
                1 => (boxed(), data_type(), any::<bool>())
                    .prop_map(|(operand, to, lenient)| Expr::Cast { operand, to, lenient }),
                2 => (select(Function::ALL), vec(inner.clone(), 3)).prop_map(|(function, mut args)| {
                    args.truncate(function.arity().1);
                    Expr::Call { function, args }
                }),
            ]
        })
        // Fewest arguments are at most three, so every call is well formed; chains must be flat, as they are parsed.
        .prop_map(|mut expr| {
            expr.walk_mut(&mut |expr| match expr {
                Expr::And(args) => flatten(args, |arg| if let Expr::And(inner) = arg { Ok(inner) } else { Err(arg) }),
                Expr::Or(args) => flatten(args, |arg| if let Expr::Or(inner) = arg { Ok(inner) } else { Err(arg) }),
                _ => {}
            });
            expr
        })
        .boxed()
}

fn flatten(args: &mut Vec<Expr>, open: fn(Expr) -> Result<Vec<Expr>, Expr>) {
    for arg in std::mem::take(args) {
        match open(arg) {
            Ok(inner) => args.extend(inner),
            Err(other) => args.push(other),
        }
    }
}

fn node() -> BoxedStrategy<PatternNode> {
    let leaf = prop_oneof![
        8 => select(VARIABLES).prop_map(|name| PatternNode::Variable(name.to_owned())),
        1 => Just(PatternNode::Empty),
        1 => select(&[PartitionEdge::Start, PartitionEdge::End][..]).prop_map(PatternNode::Anchor),
    ];
    let contiguity = || {
        use Contiguity::*;
        prop_oneof![6 => Just(Strict), 1 => Just(SkipTillNext), 1 => Just(SkipTillAny)]
    };
    let quantifier =
        (0_u32..4, option::of(0_u32..4), any::<bool>()).prop_map(|(min, more, greedy)| Quantifier {
            greedy: greedy.then_some(false),
            ..Quantifier::new(min, more.map(|more| (min + more).max(1)))
        });
    leaf.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![
            4 => vec((contiguity(), inner.clone()), 2..4).prop_map(|steps| {
                let steps = steps.into_iter().map(|(contiguity, node)| Step { contiguity, node });
                PatternNode::Sequence(steps.collect())
            }),
            3 => vec(inner.clone(), 2..4).prop_map(PatternNode::Alternation),
            1 => vec(inner.clone(), 2..4)
                .prop_map(|parts| PatternNode::Permute { parts, contiguity: Contiguity::Strict }),
            4 => (inner.clone(), quantifier.clone())
                .prop_map(|(node, quantifier)| PatternNode::Quantified { node: Box::new(node), quantifier }),
            1 => inner.prop_map(|node| PatternNode::Exclusion(Box::new(node))),
        ]
    })
    .boxed()
}

/// A pattern in its normal spelling; every name that an expression uses is a variable of it.
fn pattern() -> BoxedStrategy<Pattern> {
    let columns = || vec(column_name().prop_map(|(name, quoted)| ColumnName { name, quoted }), 0..3);
    let sort_key = (column_name(), any::<bool>(), any::<bool>()).prop_map(
        |((name, quoted), descending, nulls_first)| SortKey {
            column: ColumnName { name, quoted },
            descending,
            nulls_first,
        },
    );
    let rows = {
        use RowsPerMatch::*;
        select(&[One, AllShowEmpty, AllOmitEmpty, AllWithUnmatched][..])
    };
    let measures = vec((column_name(), expr(Place::Measure)), 0..3);
    let define = (subsequence(VARIABLES, 0..4), vec(expr(Place::Condition), 4));
    let within = prop_oneof![
        2 => Just(None),
        1 => any::<u64>().prop_map(|rows| Some(Within::Rows(rows))),
        1 => (1..i64::MAX).prop_map(|nanoseconds| Some(Within::Time { nanoseconds })),
        1 => (1..100_i64).prop_map(|minutes| Some(Within::Time { nanoseconds: minutes * 60_000_000_000 })),
    ];
    let skip = (any::<Index>(), select(&[SkipRow::First, SkipRow::Last][..]), 0..3);
    let subsets = vec(subsequence(VARIABLES, 1..4), 0..3);
    (
        (columns(), vec(sort_key, 1..3), node(), rows, measures),
        (define, within, skip, subsets, any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(
                (partition_by, order_by, root, rows, measures),
                (define, within, skip, subsets, initial, all),
            )| {
                // All variables occur, so that every random expression names known ones.
                let all_variables = VARIABLES.iter().map(|name| PatternNode::Variable((*name).to_owned()));
                let mut parts: Vec<PatternNode> = all_variables.collect();
                parts.push(root);
                let mut pattern = Pattern::sql(PatternNode::strict_sequence(parts));
                pattern.partition_by = partition_by;
                pattern.order_by = order_by;
                pattern.rows_per_match = rows;
                pattern.within = within;
                pattern.initial = initial && !all;
                pattern.selection = if all { Selection::All } else { Selection::First };
                pattern.subsets = subsets
                    .into_iter()
                    .zip(["U", "u2"])
                    .map(|(variables, name)| Subset {
                        name: name.into(),
                        variables: variables.into_iter().map(str::to_owned).collect(),
                    })
                    .collect();
                let (target, row, kind) = skip;
                pattern.after_match = match kind {
                    0 if all => AfterMatchSkip::None,
                    0 => AfterMatchSkip::PastLastRow,
                    1 => AfterMatchSkip::ToNextRow,
                    _ => {
                        let variable = target.get(VARIABLES).to_string();
                        AfterMatchSkip::ToVariable { variable, row, strict: true }
                    }
                };
                for ((name, _), value) in measures {
                    if pattern.measures.iter().all(|measure| measure.name != name) {
                        pattern.measures.push(Measure { name, value });
                    }
                }
                let (variables, conditions) = define;
                pattern.define = variables
                    .into_iter()
                    .zip(conditions)
                    .map(|(variable, condition)| Definition { variable: variable.into(), condition })
                    .collect();
                pattern.normalise()
            },
        )
        .boxed()
}

fn query() -> BoxedStrategy<Query> {
    let item = prop_oneof![
        1 => Just(SelectItem::All),
        3 => (column_name(), expr(Place::Outer)).prop_map(|((name, _), value)| SelectItem::Value { name, value }),
    ];
    let order_item = (expr(Place::Outer), any::<bool>(), any::<bool>())
        .prop_map(|(value, descending, nulls_first)| OrderItem { value, descending, nulls_first });
    (
        (column_name(), pattern(), vec(item, 1..4), option::of(expr(Place::Outer))),
        (vec(order_item, 0..3), any::<u64>(), option::of(any::<u64>())),
    )
        .prop_map(|(((table, table_quoted), pattern, select, filter), (order_by, offset, limit))| Query {
            table,
            table_quoted,
            pattern,
            select,
            filter,
            // A bare number would be an ordinal of the select list.
            order_by: order_by
                .into_iter()
                .filter(|item| !matches!(item.value, Expr::Literal(Literal::Integer(_))))
                .collect(),
            offset,
            limit,
        })
        .boxed()
}

/// Runs `check` on `cases` random values and asserts that it ran that often.
fn for_all<T: std::fmt::Debug>(
    cases: u32,
    strategy: BoxedStrategy<T>,
    check: impl Fn(&T) -> Result<(), TestCaseError>,
) {
    let ran = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |value| {
        ran.set(ran.get() + 1);
        check(&value)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(ran.get() >= cases, "only {} of {cases} cases ran", ran.get());
}

fn same<T: PartialEq + std::fmt::Debug>(
    text: &str,
    found: Result<T, cepheid_sql::SqlError>,
    expected: &T,
) -> Result<(), TestCaseError> {
    match found {
        Ok(found) => prop_assert_eq!(&found, expected, "from {}", text),
        Err(error) => return Err(TestCaseError::fail(format!("{text}\n{error}"))),
    }
    Ok(())
}

#[test]
fn expressions_survive_a_round_trip() {
    let places = [
        (Place::Condition, Dialect::Condition),
        (Place::Measure, Dialect::Measure),
        (Place::Outer, Dialect::Outer),
    ];
    for (place, dialect) in places {
        for_all(1500, expr(place), |expr| {
            let text = unparse_expr(expr);
            same(&text, parse_expression(&text, dialect), expr)
        });
    }
}

#[test]
fn patterns_survive_a_round_trip() {
    for_all(600, pattern(), |pattern| {
        let conflict = pattern.validate().err().map(|error| error.code());
        let text = unparse_pattern(pattern);
        match conflict {
            None => same(&text, parse_pattern(&text), pattern),
            // The generator makes this one mistake, and the text must make the same.
            Some(code) => {
                prop_assert_eq!(code, "conflicting-clauses");
                prop_assert_eq!(parse_pattern(&text).map_err(|error| error.code()), Err(code));
                Ok(())
            }
        }
    });
}

#[test]
fn queries_survive_a_round_trip() {
    for_all(300, query(), |query| {
        if query.pattern.validate().is_err() {
            return Ok(());
        }
        let text = unparse_query(query);
        same(&text, parse_query(&text), query)
    });
}

#[test]
fn unparsed_text_has_no_needless_parentheses() {
    let table = [
        "x + y * 2 - -5",
        "(x + y) * 2",
        "x - (y - 1)",
        "NOT x = y AND (x OR y)",
        "-(5) + -x",
        "x IS NOT NULL AND y IS NOT DISTINCT FROM 1",
        "x NOT BETWEEN 1 AND 2 OR x NOT IN (1, 2) OR x NOT LIKE 'a''b' ESCAPE '!'",
        "NOT (x = 1 OR y)",
        "CASE WHEN x THEN 'a' ELSE NULL END",
        "CAST(x AS TIMESTAMP WITH TIME ZONE) - INTERVAL '10' MINUTE",
        "PREV(FIRST(A.x, 2)) > NEXT(\"b\".\"X\", 3)",
        "COUNT(*) + COUNT(A.*) + SUM(DISTINCT A.x * A.y)",
        "CLASSIFIER(A) || LAST(CLASSIFIER(), 1)",
        "DATE '2024-02-29' < DATE '-0044-03-15'",
        "TIMESTAMP '2024-01-01 00:00:00.5 UTC' = t",
        "DECIMAL '-0.05' + 1.0 + 1e300",
    ];
    for text in table {
        let parsed = parse_expression(text, Dialect::Condition).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(unparse_expr(&parsed), text);
    }
    assert_eq!(table.len(), 16);
}

#[test]
fn a_clause_is_written_a_line_a_clause() {
    let text = "SELECT symbol, total * 2 AS double
FROM trades MATCH_RECOGNIZE (
  PARTITION BY symbol
  ORDER BY ts DESC NULLS FIRST
  MEASURES FINAL LAST(UP.price) AS \"top price\"
  ALL ROWS PER MATCH OMIT EMPTY MATCHES
  AFTER MATCH SKIP TO FIRST UP
  PATTERN (^ STRT ({- DOWN+? -} | PERMUTE(UP, \"low\")){2,3} -> UP{,4}? $)
  WITHIN INTERVAL '10' MINUTE
  SUBSET U = (UP, \"low\")
  DEFINE DOWN AS price < PREV(price), UP AS price > AVG(DOWN.price)
)
WHERE symbol <> 'A'
ORDER BY total DESC
OFFSET 1
LIMIT 10";
    let query = parse_query(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(unparse_query(&query), text.replace("{,4}", "{0,4}"));
}
