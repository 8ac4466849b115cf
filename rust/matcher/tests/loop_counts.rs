//! One loop with events in front and behind, counted in numbers of any length, against runs followed from each first row.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{
    AfterMatchSkip, BinaryOp, Contiguity, Definition, Expr, Pattern, PatternNode, Quantifier, Selection,
    Step, Within,
};
use cepheid_matcher::masks::Masks;
use cepheid_matcher::sequence::NO_TIME;
use cepheid_matcher::threads::{Workers, times_shared};
use cepheid_matcher::trend::{Counting, ScanOptions, TrendMatcher, TrendRows, TrendWork};
use cepheid_testkit::{SplitMix64, ordered_times};
use num_bigint::BigUint;

/// Where the loop `b` stands, and the least count of its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// `a ; b+ ; c`
    Between,
    /// `a ; b* ; c`
    MayBeEmpty,
    /// `b+ ; c`
    First,
    /// `a ; b+`
    Last,
}

const SHAPES: [Shape; 4] = [Shape::Between, Shape::MayBeEmpty, Shape::First, Shape::Last];

/// The kinds that a, b and c take: from one to another; `None`: every row.
type Kinds = [Option<(i64, i64)>; 3];

fn pattern(shape: Shape, kinds: Kinds, within: Option<Within>) -> Pattern {
    let variable = |name: &str| PatternNode::Variable(name.into());
    let any = Contiguity::SkipTillAny;
    let least = if shape == Shape::MayBeEmpty { 0 } else { 1 };
    let quantifier = Quantifier { contiguity: any, ..Quantifier::new(least, None) };
    let repeated = PatternNode::Quantified { node: Box::new(variable("b")), quantifier };
    let nodes = match shape {
        Shape::Between | Shape::MayBeEmpty => vec![variable("a"), repeated, variable("c")],
        Shape::First => vec![repeated, variable("c")],
        Shape::Last => vec![variable("a"), repeated],
    };
    let steps = nodes.into_iter().map(|node| Step { contiguity: any, node }).collect();
    let mut pattern = Pattern::algebra(PatternNode::Sequence(steps));
    pattern.selection = Selection::All;
    pattern.after_match = AfterMatchSkip::None;
    pattern.within = within;
    for (name, kinds) in ["a", "b", "c"].into_iter().zip(kinds) {
        let used = match shape {
            Shape::First => name != "a",
            Shape::Last => name != "c",
            _ => true,
        };
        if let Some((least, most)) = kinds.filter(|_| used) {
            let bound = |op, kind: i64| Expr::binary(op, Expr::column("kind"), Expr::literal(kind));
            let condition =
                Expr::And(vec![bound(BinaryOp::GreaterOrEqual, least), bound(BinaryOp::LessOrEqual, most)]);
            pattern.define.push(Definition { variable: name.into(), condition });
        }
    }
    pattern.validate().expect("a pattern");
    pattern.normalise()
}

fn table(keys: &[i64], kinds: &[i64]) -> Table {
    let field = |name| Field::new(name, DataType::Int64, false);
    let schema = Arc::new(Schema::new(vec![field("key"), field("kind")]));
    let column = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column(keys), column(kinds)]);
    Table::new(schema, vec![batch.expect("two columns")]).expect("one batch")
}

/// The runs from each first row, in numbers of those that have no row of the loop yet and of those that have.
fn expected(shape: Shape, kinds: Kinds, within: Option<Within>, rows: &[(i64, i64)]) -> BigUint {
    let fits = |of: usize, kind: i64| kinds[of].is_none_or(|(least, most)| (least..=most).contains(&kind));
    let mut total = BigUint::ZERO;
    for (first, (began, kind)) in rows.iter().enumerate() {
        let timeless = matches!(within, Some(Within::Time { .. })) && *began == NO_TIME;
        if timeless || !fits(usize::from(shape == Shape::First), *kind) {
            continue;
        }
        let (mut without, mut with) = (BigUint::from(1_u32), BigUint::ZERO);
        if shape == Shape::First {
            std::mem::swap(&mut without, &mut with);
        }
        for (row, (time, kind)) in rows.iter().enumerate().skip(first + 1) {
            let over = match within {
                Some(Within::Rows(most)) => (row - first) as u64 > most,
                Some(Within::Time { nanoseconds }) => *time == NO_TIME || time - began >= nanoseconds,
                _ => false,
            };
            if over {
                break;
            }
            if shape != Shape::Last && fits(2, *kind) {
                total += &with;
                if shape == Shape::MayBeEmpty {
                    total += &without;
                }
            }
            if fits(1, *kind) {
                let more = &with + &without;
                if shape == Shape::Last {
                    total += &more;
                }
                with += more;
            }
        }
    }
    total
}

struct Case {
    table: Table,
    times: Vec<i64>,
    matcher: TrendMatcher,
}

impl Case {
    fn asked<T>(&self, ask: impl FnOnce(&TrendRows<'_>, &OrderedRows) -> T) -> T {
        let ordered = OrderedRows::new(&self.table, &[0], &[], &[]).expect("partitions");
        let masks = Masks::evaluate(&self.matcher.predicates, &self.table, &ordered, Workers::default());
        let rows = TrendRows::new(&self.matcher, &ordered, masks.expect("masks"), &self.times);
        ask(&rows.expect("no errors"), &ordered)
    }
}

fn counted(rows: &TrendRows<'_>, options: ScanOptions<'_>) -> Option<Vec<BigUint>> {
    rows.count_loop(u64::MAX, options, &mut TrendWork::default()).expect("not interrupted")
}

#[test]
fn runs_of_a_loop_are_as_many_as_those_from_each_first_row() {
    let (mut taken, mut with_matches, mut long, mut on_threads) = (0, 0, 0, 0);
    for seed in 0..1_200_u64 {
        let mut random = SplitMix64::new(seed);
        let shape = SHAPES[seed as usize % 4];
        // Now and then numbers of many limbs, of which most are put off.
        let great = seed % 150 < 4;
        let rows = if great { 2_500 + random.below(1_500) } else { random.below(150) };
        let bounds = |random: &mut SplitMix64| {
            let least = random.between(0, 9);
            (random.below(8) > 0).then(|| (least, (least + random.between(0, 5)).min(9)))
        };
        let mut kinds: Kinds = [bounds(&mut random), bounds(&mut random), bounds(&mut random)];
        if great {
            // One row in twenty begins, and ends, a run, be it a row of the loop or not.
            kinds = [Some((random.between(8, 10), 10)), Some((0, 9)), Some((random.between(9, 11), 11))];
        }
        let most = if great { 1_700 + random.below(1_500) as i64 } else { 40 };
        let within = match random.below(3) {
            0 => None,
            1 => Some(Within::Rows(random.below(most as usize) as u64)),
            _ => Some(Within::Time { nanoseconds: random.between(1, most * 2) }),
        };
        let partitions = if great { 1 } else { 1 + random.below(3) as i64 };
        let keys: Vec<i64> = (0..rows).map(|_| random.between(0, partitions - 1)).collect();
        let mut kind = || match random.below(20) {
            0 => 10,
            1 => 11,
            _ => random.between(0, 9),
        };
        let of: Vec<i64> = (0..rows).map(|_| if great { kind() } else { kind().min(9) }).collect();
        let times = ordered_times(&mut random, rows, NO_TIME);
        let table = table(&keys, &of);
        let matcher = TrendMatcher::compile(&pattern(shape, kinds, within), table.schema(), true);
        let case = Case { table, times, matcher: matcher.expect("accepted") };
        case.asked(|rows, ordered| {
            let right: Vec<BigUint> = (0..ordered.num_partitions())
                .map(|partition| {
                    let arrivals = ordered.partition(partition).map(|row| ordered.arrival(row) as usize);
                    let rows: Vec<_> = arrivals.map(|row| (case.times[row], of[row])).collect();
                    expected(shape, kinds, within, &rows)
                })
                .collect();
            let what = format!("seed {seed}: {shape:?} {kinds:?} {within:?}");
            assert_eq!(counted(rows, ScanOptions::default()), Some(right.clone()), "{what}");
            let work = &mut TrendWork::default();
            let scanned = rows.scan(&Counting::<BigUint>::new(), ScanOptions::default(), work);
            assert_eq!(scanned.expect("scanned").elements, right, "{what}: by stacks");
            let first = ScanOptions { first_only: true, ..ScanOptions::default() };
            let exists = counted(rows, first).expect("a loop").iter().any(|count| *count > BigUint::ZERO);
            assert_eq!(exists, right.iter().any(|count| *count > BigUint::ZERO), "{what}");
            for threads in [2, 3, 7] {
                let workers = Workers { threads, ..Workers::default() };
                let before = times_shared();
                let shared = counted(rows, ScanOptions { workers, ..ScanOptions::default() });
                assert_eq!(shared, Some(right.clone()), "{what}: {threads} threads");
                on_threads += times_shared() - before;
            }
            taken += 1;
            with_matches += usize::from(right.iter().any(|count| *count > BigUint::ZERO));
            long += usize::from(right.iter().any(|count| count.bits() > 64 * 24));
        });
    }
    assert!(taken == 1_200 && with_matches > 700 && long > 10, "{taken} {with_matches} {long}");
    assert!(on_threads > 1_500, "{on_threads} times on several threads");
}

/// So many rows of kind 1 in a hundred, one each of kinds 0 and 2.
fn kinds(rows: usize, loops: usize) -> Vec<i64> {
    let mut random = SplitMix64::new(7);
    let kind = |_| match random.below(100) {
        0 => 0,
        1 => 2,
        draw if draw < 2 + loops => 1,
        _ => 9,
    };
    (0..rows).map(kind).collect()
}

fn case(kinds: &[i64], within: Option<Within>) -> Case {
    let table = table(&vec![0; kinds.len()], kinds);
    let each = [Some((0, 0)), Some((1, 1)), Some((2, 2))];
    let matcher = TrendMatcher::compile(&pattern(Shape::Between, each, within), table.schema(), false);
    Case { table, times: vec![], matcher: matcher.expect("accepted") }
}

#[test]
fn a_row_costs_little_more_in_a_window_of_thousands_of_digits() {
    let kinds = kinds(400_000, 5);
    let relevant = kinds.iter().filter(|kind| **kind < 9).count() as f64;
    let mut shares = vec![];
    for window in [10, 1_000, 10_000, 100_000] {
        let case = case(&kinds, Some(Within::Rows(window)));
        let work = case.asked(|rows, _| {
            let mut work = TrendWork::default();
            rows.count_loop(u64::MAX, ScanOptions::default(), &mut work).expect("counted").expect("a loop");
            work
        });
        let opened = window as f64 * 0.01;
        let bytes = 2.0 * (16.0 * opened + window as f64 * 0.05 / 8.0) + 1_000.0;
        assert!(work.bytes_max as f64 <= 2.0 * bytes, "{work:?}");
        shares.push(work.operations as f64 / relevant);
    }
    println!("{shares:?}");
    // Five hundred limbs at the end, a seventh of the rows, if they were added each time.
    assert!(shares.len() == 4 && shares.iter().all(|share| *share < 6.0), "{shares:?}");
}

#[test]
fn a_loop_that_may_grow_too_long_is_declined_on_any_number_of_threads() {
    let kinds = kinds(40_000, 50);
    let (mut declined, mut taken) = (0, 0);
    for window in [100, 900, 1_500, 2_500, 10_000] {
        for most in [60, 500, 800, 1_300, 6_000] {
            let case = case(&kinds, Some(Within::Rows(window)));
            let outcomes = [1, 2, 5].map(|threads| {
                let workers = Workers { threads, ..Workers::default() };
                let options = ScanOptions { workers, ..ScanOptions::default() };
                case.asked(|rows, _| rows.count_loop(most, options, &mut TrendWork::default()))
                    .expect("not interrupted")
            });
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{window} {most}");
            declined += usize::from(outcomes[0].is_none());
            taken += usize::from(outcomes[0].is_some());
        }
    }
    assert!(declined > 5 && taken > 5, "{declined} {taken}");
}

#[test]
fn what_is_no_loop_of_one_event_is_declined() {
    let declined = |mut pattern: Pattern, change: &dyn Fn(&mut Vec<Step>)| {
        if let PatternNode::Sequence(steps) = &mut pattern.root {
            change(steps);
        }
        let table = table(&[0; 3], &[0, 1, 2]);
        let matcher = TrendMatcher::compile(&pattern, table.schema(), false).expect("accepted");
        let case = Case { table, times: vec![], matcher };
        case.asked(|rows, _| counted(rows, ScanOptions::default()).is_none())
    };
    let plain = || pattern(Shape::Between, [Some((0, 0)), Some((1, 1)), Some((2, 2))], None);
    assert!(!declined(plain(), &|_| {}));
    assert!(declined(plain(), &|steps| steps[2].contiguity = Contiguity::SkipTillNext));
    assert!(declined(plain(), &|steps| steps[1].contiguity = Contiguity::SkipTillNext));
    assert!(declined(plain(), &|steps| {
        if let PatternNode::Quantified { quantifier, .. } = &mut steps[1].node {
            *quantifier = Quantifier { contiguity: Contiguity::SkipTillAny, ..Quantifier::new(2, None) };
        }
    }));
    assert!(declined(plain(), &|steps| drop(steps.remove(1))));
}
