//! Aggregation over all matches: how much is done for a row, and what a window takes, whatever its length. Counted, not
//! timed.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{
    AfterMatchSkip, BinaryOp, Contiguity, Definition, Expr, Pattern, PatternNode, Quantifier, Selection,
    Step, Within,
};
use cepheid_matcher::Workers;
use cepheid_matcher::masks::Masks;
use cepheid_matcher::threads::times_shared;
use cepheid_matcher::trend::{Counting, Exact, ScanOptions, TrendMatcher, TrendRows, TrendWork, Wide};
use cepheid_testkit::SplitMix64;
use num_bigint::BigUint;

/// `A ; B+ ; C` over kinds 0, 1 and 2, all matches.
fn kleene(within: Option<Within>) -> Pattern {
    let variable = |name: &str| PatternNode::Variable(name.into());
    let any = Contiguity::SkipTillAny;
    let quantifier = Quantifier { contiguity: any, ..Quantifier::new(1, None) };
    let step = |node| Step { contiguity: any, node };
    let steps = vec![
        Step { contiguity: Contiguity::Strict, node: variable("a") },
        step(PatternNode::Quantified { node: Box::new(variable("b")), quantifier }),
        step(variable("c")),
    ];
    let mut pattern = Pattern::algebra(PatternNode::Sequence(steps));
    pattern.selection = Selection::All;
    pattern.after_match = AfterMatchSkip::None;
    pattern.within = within;
    for (variable, kind) in ["a", "b", "c"].into_iter().zip(0_i64..) {
        let condition = Expr::binary(BinaryOp::Equal, Expr::column("kind"), Expr::literal(kind));
        pattern.define.push(Definition { variable: variable.into(), condition });
    }
    pattern.validate().expect("a pattern");
    pattern.normalise()
}

/// Kinds 0, 1 and 2 of so many rows in a hundred, others 9.
fn table(rows: usize, shares: [usize; 3]) -> Table {
    let mut random = SplitMix64::new(7);
    let kind = |_| {
        let mut draw = random.below(100);
        for (kind, share) in shares.into_iter().enumerate() {
            if draw < share {
                return kind as i64;
            }
            draw -= share;
        }
        9
    };
    let kinds: Int64Array = (0..rows).map(kind).collect::<Vec<i64>>().into();
    let schema = Arc::new(Schema::new(vec![Field::new("kind", DataType::Int64, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(kinds)]).expect("one column");
    Table::new(schema, vec![batch]).expect("one batch")
}

fn big_count(table: &Table, within: Option<Within>) -> BigUint {
    let matcher = TrendMatcher::compile(&kleene(within), table.schema(), false).expect("accepted");
    let rows = OrderedRows::new(table, &[], &[], &[]).expect("one partition");
    let masks = Masks::evaluate(&matcher.predicates, table, &rows, Workers::default()).expect("masks");
    let rows = TrendRows::new(&matcher, &rows, masks, &[]).expect("no errors");
    let counted = rows.scan(&Counting::<BigUint>::new(), ScanOptions::default(), &mut TrendWork::default());
    counted.expect("counted").elements.swap_remove(0)
}

fn work(table: &Table, within: Option<Within>) -> (TrendWork, Exact, f64) {
    let matcher = TrendMatcher::compile(&kleene(within), table.schema(), false).expect("accepted");
    let rows = OrderedRows::new(table, &[], &[], &[]).expect("one partition");
    let masks = Masks::evaluate(&matcher.predicates, table, &rows, Workers::default()).expect("masks");
    let rows = TrendRows::new(&matcher, &rows, masks, &[]).expect("no errors");
    let mut work = TrendWork::default();
    // Exact numbers stop where they are lost.
    let exact = rows.scan(&Counting::<Exact>::new(), ScanOptions::default(), &mut TrendWork::default());
    let counted = exact.expect("counted");
    let wide = rows.scan(&Counting::<Wide>::new(), ScanOptions::default(), &mut work);
    (work, counted.elements[0], wide.expect("counted").elements[0].to_f64())
}

#[test]
fn work_a_relevant_row_is_flat_in_the_window() {
    let table = table(400_000, [1, 5, 1]);
    let mut shares = vec![];
    for window in [10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let (work, ..) = work(&table, Some(Within::Rows(window)));
        assert!((27_000..29_000).contains(&work.rows), "{work:?}");
        shares.push((window, work.operations as f64 / work.rows as f64));
    }
    println!("{shares:?}");
    assert_eq!(shares.len(), 6);
    // Three things to wait for, at most three elements touched for each: forwards, and once more when the stacks are turned.
    assert!(shares.iter().all(|(_, share)| *share <= 18.0), "{shares:?}");
}

#[test]
fn what_a_window_takes_is_linear_in_its_relevant_rows() {
    let table = table(400_000, [1, 5, 1]);
    for window in [1_000, 10_000, 100_000] {
        let (work, ..) = work(&table, Some(Within::Rows(window)));
        let relevant = window as f64 * 0.07;
        let share = work.bytes_max as f64 / relevant;
        println!("{window} rows: {} bytes, {share:.1} a relevant row", work.bytes_max);
        assert!(share <= 64.0, "{share} bytes a relevant row of a window of {window}");
    }
}

#[test]
fn without_a_window_nothing_is_kept_of_rows() {
    let (work, ..) = work(&table(100_000, [1, 5, 1]), None);
    assert_eq!(work.bytes_max, 0);
}

#[test]
fn windows_count_what_plain_enumeration_of_first_rows_counts() {
    let table = table(3_000, [3, 4, 3]);
    let kinds: Vec<i64> = {
        let column = table.slice(0, 0..3_000).expect("a slice");
        column.as_any().downcast_ref::<Int64Array>().expect("numbers").values().to_vec()
    };
    for window in [5_usize, 50, 300] {
        let mut expected = 0_f64;
        for first in (0..kinds.len()).filter(|row| kinds[*row] == 0) {
            // Choices of one b or more so far.
            let mut choices = 0_f64;
            for kind in &kinds[first + 1..(first + window + 1).min(kinds.len())] {
                match kind {
                    1 => choices = 2.0 * choices + 1.0,
                    2 => expected += choices,
                    _ => {}
                }
            }
        }
        let (_, exact, wide) = work(&table, Some(Within::Rows(window as u64)));
        let exact = exact.get().expect("fewer than 2^127");
        assert!(
            (exact as f64 - expected).abs() <= expected * 1e-12,
            "{window}: {exact}, expected {expected}"
        );
        assert!((wide - expected).abs() <= expected * 1e-12, "{window}: {wide}, expected {expected}");
        assert!(exact > 0);
    }
}

#[test]
fn a_count_past_127_bits_says_so_and_is_near() {
    let table = table(1_500, [1, 60, 1]);
    for window in [None, Some(Within::Rows(700))] {
        let (_, exact, wide) = work(&table, window);
        assert_eq!(exact.get(), None);
        let big = big_count(&table, window);
        assert!(big.bits() > 127 && wide > 2_f64.powi(127), "{big}");
        // The first 53 bits of the one are those of the other.
        let shift = big.bits() - 53;
        let leading = u64::try_from(&big >> shift).expect("53 bits") as f64;
        let ratio = if wide.is_finite() { wide / leading / 2_f64.powi(shift as i32) } else { 1.0 };
        assert!((ratio - 1.0).abs() < 1e-12, "{wide} for {big}");
    }
}

#[test]
fn numbers_of_all_kinds_count_the_same() {
    let table = table(20_000, [2, 3, 2]);
    for window in [3, 40, 500] {
        let window = Some(Within::Rows(window));
        let (_, exact, wide) = work(&table, window);
        let exact = exact.get().expect("fewer than 2^127");
        assert_eq!(big_count(&table, window), (exact as u128).into());
        assert!((wide - exact as f64).abs() <= exact as f64 * 1e-12, "{exact}, {wide}");
    }
}

#[test]
fn what_is_lost_past_127_bits_is_the_same_on_any_number_of_threads() {
    let table = table(6_000, [1, 60, 1]);
    let (mut shared, mut lost) = (0, 0);
    // About 0.6 bits a row of the window.
    for window in [50, 190, 200, 210, 220, 230, 300] {
        let within = Some(Within::Rows(window));
        let matcher = TrendMatcher::compile(&kleene(within), table.schema(), false).expect("accepted");
        let rows = OrderedRows::new(&table, &[], &[], &[]).expect("one partition");
        let masks = Masks::evaluate(&matcher.predicates, &table, &rows, Workers::default()).expect("masks");
        let rows = TrendRows::new(&matcher, &rows, masks, &[]).expect("no errors");
        let scan = |threads| {
            let workers = Workers { threads, ..Workers::default() };
            let options = ScanOptions { workers, ..ScanOptions::default() };
            let exact = rows.scan(&Counting::<Exact>::new(), options, &mut TrendWork::default());
            let wide = rows.scan(&Counting::<Wide>::new(), options, &mut TrendWork::default());
            (exact.expect("counted").elements, wide.expect("counted").elements)
        };
        let alone = scan(1);
        lost += u64::from(alone.0[0].get().is_none());
        let before = times_shared();
        for threads in [2, 3, 5] {
            assert_eq!(scan(threads), alone, "{threads} threads, {window} rows");
        }
        shared += times_shared() - before;
    }
    // Floats are not: their sums are rounded.
    assert_eq!(shared, 7 * 3);
    assert!((2..6).contains(&lost), "{lost} of 7 windows");
}
