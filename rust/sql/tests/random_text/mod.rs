//! Random expressions, patterns and queries, each in its normal spelling and such as SQL can say.

use cepheid_ir::temporal_text::DAY_NS;
use cepheid_ir::{
    AfterMatchSkip, Aggregate, AggregateFunction, Anchor, Between, BinaryOp, CaseBranch, ColumnName,
    Contiguity, DataType, Definition, EmptyMatches, Expr, Function, Interval, Literal, Measure, OrderItem,
    PartitionEdge, Pattern, PatternNode, Quantifier, Query, RowPointer, RowsPerMatch, SelectItem, Selection,
    Semantics, SkipRow, SortKey, Step, Subset, TestedRow, Within,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

/// Variables of random patterns: folded, quoted, and with the names of keywords.
const VARIABLES: &[&str] =
    &["A", "B", "C", "low", "D e", "NOT", "PERMUTE", "\"q\"", "ÄÖ", "UNTIL", "WITHIN", "TO"];

/// Variables of what must not come.
const ABSENT: &[&str] = &["GONE", "gone", "FOR"];

fn column_name() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        6 => select(&["x", "y", "Price", "first", "order", "end", "date", "interval", "año", "_c", "with"][..])
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
pub(crate) enum Place {
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
    let of_matches = AggregateFunction::ALL.iter().copied().filter(|function| !function.is_of_windows());
    let function = select(of_matches.collect::<Vec<_>>());
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

pub(crate) fn expr(place: Place) -> BoxedStrategy<Expr> {
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

fn any_contiguity() -> impl Strategy<Value = Contiguity> {
    select(&[Contiguity::Strict, Contiguity::SkipTillNext, Contiguity::SkipTillAny][..])
}

fn contiguity() -> impl Strategy<Value = Contiguity> {
    use Contiguity::*;
    prop_oneof![6 => Just(Strict), 1 => Just(SkipTillNext), 1 => Just(SkipTillAny)]
}

fn quantifier() -> impl Strategy<Value = Quantifier> {
    let condition = expr(Place::Condition).prop_map(|condition| Some(Box::new(condition)));
    let until = prop_oneof![6 => Just(None), 1 => condition];
    (0_u32..4, option::of(0_u32..4), any::<bool>(), contiguity(), until).prop_map(
        |(min, more, reluctant, contiguity, until)| Quantifier {
            greedy: reluctant.then_some(false),
            contiguity,
            until,
            ..Quantifier::new(min, more.map(|more| (min + more).max(1)))
        },
    )
}

fn span_of_time() -> impl Strategy<Value = i64> {
    prop_oneof![1..i64::MAX, (1..100_i64).prop_map(|minutes| minutes * 60_000_000_000)]
}

fn within() -> impl Strategy<Value = Within> {
    prop_oneof![
        any::<u64>().prop_map(Within::Rows),
        span_of_time().prop_map(|nanoseconds| Within::Time { nanoseconds }),
    ]
}

/// The bound of a part. A gap between neighbours is shorter than any window around it.
fn bound() -> impl Strategy<Value = (Within, Between)> {
    prop_oneof![
        2 => within().prop_map(|within| (within, Between::FirstToLast)),
        1 => Just((Within::Rows(0), Between::Neighbours)),
        1 => Just((Within::Time { nanoseconds: 1 }, Between::Neighbours)),
    ]
}

fn absent(for_ns: Option<i64>) -> impl Strategy<Value = PatternNode> {
    select(ABSENT).prop_map(move |variable| PatternNode::Absent { variable: variable.to_owned(), for_ns })
}

/// A step, and perhaps what must not come before it.
fn steps(inner: BoxedStrategy<PatternNode>) -> impl Strategy<Value = Vec<Step>> {
    let absence = prop_oneof![
        8 => Just(None),
        1 => (select(&[Contiguity::Strict, Contiguity::SkipTillNext][..]), absent(None)).prop_map(Some),
    ];
    let more = vec((absence, contiguity(), inner.clone()), 1..3);
    (inner, more).prop_map(|(first, more)| {
        // What must not come is no part of its own: something beside it takes rows.
        let takes_rows = |node: &PatternNode| !node.present_variables().is_empty();
        let any_row = takes_rows(&first) || more.iter().any(|(_, _, node)| takes_rows(node));
        let mut steps = vec![Step { contiguity: Contiguity::Strict, node: first }];
        for (absence, contiguity, node) in more {
            let absence = absence.filter(|_| any_row);
            steps.extend(absence.map(|(contiguity, node)| Step { contiguity, node }));
            steps.push(Step { contiguity, node });
        }
        steps
    })
}

fn node() -> BoxedStrategy<PatternNode> {
    let leaf = prop_oneof![
        8 => select(VARIABLES).prop_map(|name| PatternNode::Variable(name.to_owned())),
        1 => Just(PatternNode::Empty),
        1 => select(&[PartitionEdge::Start, PartitionEdge::End][..]).prop_map(PatternNode::Anchor),
    ];
    leaf.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![
            4 => steps(inner.clone().boxed()).prop_map(PatternNode::Sequence),
            3 => vec(inner.clone(), 2..4).prop_map(PatternNode::Alternation),
            1 => (vec(inner.clone(), 2..4), any_contiguity())
                .prop_map(|(parts, contiguity)| PatternNode::Permute { parts, contiguity }),
            4 => (inner.clone(), quantifier())
                .prop_map(|(node, quantifier)| PatternNode::Quantified { node: Box::new(node), quantifier }),
            1 => (inner.clone(), bound())
                .prop_map(|(node, (within, between))| PatternNode::Bounded { node: Box::new(node), within, between }),
            1 => inner.prop_map(|node| PatternNode::Exclusion(Box::new(node))),
        ]
    })
    .boxed()
}

/// All variables, so that every random expression names known ones, around a random part; at either end perhaps
/// something that must not come for a time.
fn root() -> BoxedStrategy<PatternNode> {
    let edge = || {
        let timed = span_of_time().prop_flat_map(|nanoseconds| absent(Some(nanoseconds)));
        prop_oneof![6 => Just(None), 1 => timed.prop_map(Some)]
    };
    (edge(), node(), edge())
        .prop_map(|(leading, part, trailing)| {
            let mut parts: Vec<PatternNode> = leading.into_iter().collect();
            parts.extend(VARIABLES.iter().map(|name| PatternNode::Variable((*name).to_owned())));
            parts.push(part);
            // No random absence is the last step: it would need a time.
            parts.push(PatternNode::Variable("ÄÖ".into()));
            parts.extend(trailing);
            PatternNode::strict_sequence(parts)
        })
        .boxed()
}

/// Whether any word of event sequences is needed to spell the pattern.
fn needs_words_of_event_sequences(pattern: &Pattern) -> bool {
    let text = format!("{:?}", pattern.root);
    let words = ["SkipTill", "Absent {", "Bounded {", "until: Some"];
    words.iter().any(|word| text.contains(word))
        || pattern.selection == Selection::All
        || pattern.timeouts
        || matches!(pattern.after_match, AfterMatchSkip::None | AfterMatchSkip::Consume)
}

/// A pattern in its normal spelling; every name that an expression uses is a variable of it.
pub(crate) fn pattern() -> BoxedStrategy<Pattern> {
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
    let within =
        prop_oneof![3 => Just(None), 3 => within().prop_map(Some), 1 => Just(Some(Within::Unbounded))];
    let skip = (any::<Index>(), select(&[SkipRow::First, SkipRow::Last][..]), 0..6);
    let subsets = vec(subsequence(VARIABLES, 1..4), 0..3);
    (
        (columns(), vec(sort_key, 1..3), root(), rows, measures),
        (define, within, skip, subsets, select(&[0, 0, 0, 1, 2][..]), select(&[false, false, true][..])),
    )
        .prop_map(
            |(
                (partition_by, order_by, root, rows, measures),
                (define, within, skip, subsets, search, timeouts),
            )| {
                let all = search == 2;
                let mut excludes = false;
                root.walk(&mut |node| excludes |= matches!(node, PatternNode::Exclusion(_)));
                let mut pattern = Pattern::sql(root);
                pattern.partition_by = partition_by;
                pattern.order_by = order_by;
                // An excluded row is neither matched nor unmatched.
                let conflict = excludes && rows == RowsPerMatch::AllWithUnmatched;
                pattern.rows_per_match = if conflict { RowsPerMatch::AllShowEmpty } else { rows };
                pattern.timeouts = timeouts;
                pattern.within = within;
                pattern.initial = search == 1;
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
                    0 => AfterMatchSkip::None,
                    1 => AfterMatchSkip::Consume,
                    2 | 3 => AfterMatchSkip::PastLastRow,
                    4 => AfterMatchSkip::ToNextRow,
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
                // As it is spelled: parts that normalising drops need no words.
                let mut pattern = pattern.normalise();
                if needs_words_of_event_sequences(&pattern) {
                    pattern.empty_matches = EmptyMatches::Excluded;
                }
                pattern
            },
        )
        .boxed()
}

pub(crate) fn query() -> BoxedStrategy<Query> {
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
