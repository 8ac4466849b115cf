//! Chains of single rows, counted by subtraction, against the ways from each first row added up.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{
    AfterMatchSkip, BinaryOp, Contiguity, Definition, Expr, Pattern, PatternNode, Selection, Step, Within,
};
use cepheid_matcher::masks::Masks;
use cepheid_matcher::sequence::NO_TIME;
use cepheid_matcher::threads::{Workers, times_shared};
use cepheid_matcher::trend::{Counting, Exact, ScanOptions, TrendMatcher, TrendRows, TrendWork};
use cepheid_testkit::{SplitMix64, ordered_times};

/// Steps one after another with any rows between; step j takes rows whose kind is at least `least[j]`, every row if that is
/// `None`.
fn chain(least: &[Option<i64>], within: Option<Within>) -> Pattern {
    let name = |step: usize| format!("v{step}");
    let step = |place| Step { contiguity: Contiguity::SkipTillAny, node: PatternNode::Variable(name(place)) };
    let mut pattern = Pattern::algebra(PatternNode::Sequence((0..least.len()).map(step).collect()));
    pattern.selection = Selection::All;
    pattern.after_match = AfterMatchSkip::None;
    pattern.within = within;
    for (place, least) in least.iter().enumerate() {
        if let Some(least) = least {
            let condition =
                Expr::binary(BinaryOp::GreaterOrEqual, Expr::column("kind"), Expr::literal(*least));
            pattern.define.push(Definition { variable: name(place), condition });
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

/// Ways from every first row, one after another.
fn expected(least: &[Option<i64>], within: Option<Within>, rows: &[(i64, i64)]) -> i128 {
    let fits = |place: usize, kind: i64| least[place].is_none_or(|least| kind >= least);
    let mut total = 0;
    for (first, (began, kind)) in rows.iter().enumerate() {
        let timeless = matches!(within, Some(Within::Time { .. })) && *began == NO_TIME;
        if timeless || !fits(0, *kind) {
            continue;
        }
        let mut ways = vec![0_i128; least.len()];
        ways[0] = 1;
        for (row, (time, kind)) in rows.iter().enumerate().skip(first + 1) {
            let over = match within {
                Some(Within::Rows(most)) => (row - first) as u64 > most,
                Some(Within::Time { nanoseconds }) => *time == NO_TIME || time - began >= nanoseconds,
                _ => false,
            };
            if over {
                break;
            }
            for place in (1..least.len()).rev().filter(|place| fits(*place, *kind)) {
                ways[place] += ways[place - 1];
            }
        }
        total += if least.len() == 1 { 1 } else { ways[least.len() - 1] };
    }
    total
}

#[test]
fn what_leaves_the_window_is_subtracted_and_nothing_else() {
    let (mut taken, mut with_matches, mut past_64_bits, mut on_threads) = (0, 0, 0, 0);
    for seed in 0..1_000_u64 {
        let mut random = SplitMix64::new(seed);
        let steps = 2 + random.below(7);
        // Now and then long chains of anything: more ways than 64 bits hold.
        let great = seed % 100 == 0;
        let steps = if great { 8 } else { steps };
        let rows = if great { 1_100 } else { random.below(150) };
        let least: Vec<Option<i64>> =
            (0..steps).map(|_| (!great && random.below(8) > 0).then(|| random.between(0, 5))).collect();
        let within = match random.below(3) {
            _ if great => None,
            0 => None,
            1 => Some(Within::Rows(random.below(40) as u64)),
            _ => Some(Within::Time { nanoseconds: random.between(1, 60) }),
        };
        let partitions = if great { 1 } else { 1 + random.below(3) as i64 };
        let keys: Vec<i64> = (0..rows).map(|_| random.between(0, partitions - 1)).collect();
        let kinds: Vec<i64> = (0..rows).map(|_| random.between(0, 5)).collect();
        let times = ordered_times(&mut random, rows, NO_TIME);

        let table = table(&keys, &kinds);
        let matcher = TrendMatcher::compile(&chain(&least, within), table.schema(), true).expect("accepted");
        let ordered = OrderedRows::new(&table, &[0], &[], &[]).expect("partitions");
        let masks =
            Masks::evaluate(&matcher.predicates, &table, &ordered, Workers::default()).expect("masks");
        let rows = TrendRows::new(&matcher, &ordered, masks, &times).expect("no errors");
        let mut work = TrendWork::default();
        let counted = rows.count_chain(ScanOptions::default(), &mut work).expect("not interrupted");
        let counted = counted.expect("a chain of at most eight rows");
        let of = |partition| -> Vec<(i64, i64)> {
            let rows = ordered.partition(partition).map(|position| ordered.arrival(position) as usize);
            rows.map(|row| (times[row], kinds[row])).collect()
        };
        let right: Vec<i128> =
            (0..ordered.num_partitions()).map(|partition| expected(&least, within, &of(partition))).collect();
        assert_eq!(counted, right, "seed {seed}: {least:?} {within:?}");
        let scanned =
            rows.scan(&Counting::<Exact>::new(), ScanOptions::default(), &mut work).expect("scanned");
        let scanned: Vec<_> = scanned.elements.iter().map(|runs| runs.get().expect("fits")).collect();
        assert_eq!(counted, scanned, "seed {seed}: by stacks");
        let first = ScanOptions { first_only: true, ..ScanOptions::default() };
        let exists = rows.count_chain(first, &mut work).expect("not interrupted").expect("a chain");
        assert_eq!(exists.iter().any(|ways| *ways > 0), right.iter().any(|ways| *ways > 0), "seed {seed}");
        for threads in [2, 3, 7] {
            let workers = Workers { threads, ..Workers::default() };
            let before = times_shared();
            let shared = rows.count_chain(ScanOptions { workers, ..ScanOptions::default() }, &mut work);
            assert_eq!(
                shared.expect("not interrupted"),
                Some(right.clone()),
                "seed {seed}: {threads} threads"
            );
            on_threads += times_shared() - before;
        }
        taken += 1;
        with_matches += usize::from(right.iter().any(|ways| *ways > 0));
        past_64_bits += usize::from(right.iter().any(|ways| *ways > i128::from(u64::MAX)));
    }
    assert!(taken == 1_000 && with_matches > 500 && past_64_bits == 10, "{with_matches} {past_64_bits}");
    assert!(on_threads > 1_000, "{on_threads} times on several threads");
}

#[test]
fn rows_enter_and_leave_once_whatever_the_window() {
    let mut random = SplitMix64::new(5);
    let kinds: Vec<i64> = (0..200_000).map(|_| random.between(0, 9)).collect();
    let table = table(&vec![0; kinds.len()], &kinds);
    let relevant = kinds.iter().filter(|kind| **kind >= 7).count() as u64;
    for window in [10, 1_000, 100_000] {
        let pattern = chain(&[Some(7), Some(8), Some(9)], Some(Within::Rows(window)));
        let matcher = TrendMatcher::compile(&pattern, table.schema(), false).expect("accepted");
        let ordered = OrderedRows::new(&table, &[], &[], &[]).expect("one partition");
        let masks =
            Masks::evaluate(&matcher.predicates, &table, &ordered, Workers::default()).expect("masks");
        let rows = TrendRows::new(&matcher, &ordered, masks, &[]).expect("no errors");
        let mut work = TrendWork::default();
        rows.count_chain(ScanOptions::default(), &mut work).expect("not interrupted").expect("a chain");
        assert_eq!(work.rows, relevant);
        assert!(work.operations <= 2 * relevant && work.bytes_max == 0, "{work:?} of {relevant}");
    }
}

#[test]
fn what_is_no_chain_of_rows_is_declined() {
    let kinds = [1, 2, 3];
    let table = table(&[0; 3], &kinds);
    let declined = |pattern: &Pattern| {
        let matcher = TrendMatcher::compile(pattern, table.schema(), false).expect("accepted");
        let ordered = OrderedRows::new(&table, &[], &[], &[]).expect("one partition");
        let masks =
            Masks::evaluate(&matcher.predicates, &table, &ordered, Workers::default()).expect("masks");
        let rows = TrendRows::new(&matcher, &ordered, masks, &[]).expect("no errors");
        let counted = rows.count_chain(ScanOptions::default(), &mut TrendWork::default());
        counted.expect("not interrupted").is_none()
    };
    let mut next = chain(&[Some(1), Some(2)], None);
    if let PatternNode::Sequence(steps) = &mut next.root {
        steps[1].contiguity = Contiguity::SkipTillNext;
    }
    assert!(!declined(&chain(&[Some(1), Some(2)], None)));
    assert!(declined(&next));
    assert!(declined(&chain(&[Some(1); 9], None)));
}
