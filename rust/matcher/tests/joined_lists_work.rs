//! How much work joined lists are, counted: nothing here looks at a clock.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{
    AfterMatchSkip, BinaryOp, Contiguity, Expr, Pattern, RowPointer, Selection, TestedRow, Within,
};
use cepheid_matcher::JoinedLists;
use cepheid_matcher::Workers;
use cepheid_matcher::lists::{Lists, ListsFound, ListsWork, SearchLimits};
use cepheid_matcher::sequence::{Chunk, SequenceMatcher};
use cepheid_testkit::letters::steps_of_letters;

const ROWS: usize = 20_000;

/// All matches of steps of one letter each; of the second `v` compares with that of the first.
fn pattern(steps: &[&str], op: BinaryOp, within: Option<u64>) -> Pattern {
    let mut pattern = Pattern {
        selection: Selection::All,
        after_match: AfterMatchSkip::None,
        within: within.map(Within::Rows),
        ..steps_of_letters(steps, Contiguity::SkipTillAny)
    };
    let at = RowPointer {
        variable: Some(steps[0].to_owned()),
        tested_row: TestedRow::Excluded,
        ..RowPointer::default()
    };
    let earlier = Expr::Column { name: "v".into(), quoted: false, at };
    let letter = pattern.define[1].condition.clone();
    pattern.define[1].condition = Expr::And(vec![letter, Expr::binary(op, Expr::column("v"), earlier)]);
    pattern.normalise()
}

fn rows(letter: impl Fn(usize) -> char, value: impl Fn(usize) -> i64) -> RecordBatch {
    let letters = StringArray::from_iter_values((0..ROWS).map(|row| letter(row).to_string()));
    let values = Int64Array::from_iter_values((0..ROWS).map(value));
    RecordBatch::try_from_iter([("k", Arc::new(letters) as ArrayRef), ("v", Arc::new(values))])
        .expect("columns of one length")
}

/// Every tenth row is an `a`, every tenth a `b`; a `c` comes once in `every` rows.
fn letters(every: usize) -> impl Fn(usize) -> char {
    move |row| match row {
        row if row % every == every - 1 => 'c',
        row if row % 10 == 0 => 'a',
        row if row % 10 == 5 => 'b',
        _ => 'x',
    }
}

fn find(pattern: &Pattern, batch: &RecordBatch) -> ListsFound {
    let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one schema");
    let matcher = SequenceMatcher::compile(pattern, &batch.schema(), false).expect("columns that are there");
    let joined = JoinedLists::new(&matcher, &batch.schema()).expect("one step after another");
    let rows = OrderedRows::new(&table, &[], &[], &[]).expect("no keys");
    let masks = matcher.masks_by_arrival(&table, Workers::default()).expect("strings").expect("single rows");
    let chunk = Chunk { table: &table, rows: &rows, times: &[], ordinals: &[], fresh_from: 0 };
    Lists::Joined(&joined)
        .find(&masks, chunk, usize::MAX, SearchLimits::default())
        .expect("room")
        .expect("conditions without errors")
}

#[test]
fn by_hash_what_is_looked_at_is_in_a_match() {
    let mut matches = 0;
    for keys in [10, 100, 1_000] {
        for window in [100, 1_000, 10_000] {
            let batch = rows(letters(50), |row| (row / 10) as i64 * 7 % keys);
            let found = find(&pattern(&["a", "b"], BinaryOp::Equal, Some(window)), &batch);
            let (work, asked) = (found.work, ROWS as u64 / 10);
            // One more is looked at where the window ends.
            assert!(work.looked_at <= found.matches as u64 + asked, "{keys} keys, {window} rows: {work:?}");
            let found = find(&pattern(&["a", "b", "c"], BinaryOp::Equal, Some(window / 10)), &batch);
            let (work, members) = (found.work, found.rows.len() as u64);
            matches += found.matches;
            // A row that has something to follow is looked at, too, by those which nothing can complete any more.
            assert!(
                work.looked_at <= 2 * members + 4 * asked,
                "{keys} keys, {window} rows: {work:?}, {members}"
            );
            assert!(work.marks <= members);
        }
    }
    assert!(matches > 100_000, "{matches}");
}

#[test]
fn by_order_what_is_looked_at_is_a_block_for_each_match_and_the_bounds_of_the_rest() {
    let mut matches = 0;
    for (below, window) in [(1_000_000, 10_000), (1_000, 1_000), (10, 500), (1, 20_000)] {
        // A rising tide of `a`, above all of which few `b` are.
        let value = move |row: usize| match row % 10 {
            0 => row as i64,
            _ => (row as i64 * 7919 % 1_000_003) % below,
        };
        let batch = rows(letters(50), value);
        let found = find(&pattern(&["a", "b"], BinaryOp::Greater, Some(window)), &batch);
        let (work, asked) = (found.work, ROWS as u64 / 10);
        let blocks = window / 10 / 64 + 2;
        // The block that the window begins in may hold what fits, but began too early.
        let most = 64 * found.matches as u64 + asked * (blocks + 64);
        assert!(work.looked_at <= most, "{work:?}, {} matches, at most {most}", found.matches);
        matches += found.matches;
    }
    assert!(matches > 100_000, "{matches}");
}

#[test]
fn nothing_is_looked_at_but_around_the_rare() {
    // Of each step in turn one row in 5,000.
    for rare in 0..3 {
        let letter = move |row: usize| match row % 10 {
            2 if rare != 0 => 'a',
            5 if rare != 1 => 'b',
            8 if rare != 2 => 'c',
            0 if row % 5_000 == 2_500 => ['a', 'b', 'c'][rare],
            _ => 'x',
        };
        let batch = rows(letter, |_| 1);
        let found = find(&pattern(&["a", "b", "c"], BinaryOp::Equal, Some(100)), &batch);
        let ListsWork { rows, entries, looked_at, .. } = found.work;
        assert!(found.matches >= 100, "{} matches", found.matches);
        // Four rare rows, around each some twenty of the others' in two windows.
        assert!(rows <= 4 * 45 && entries <= 4 * 45, "rare: {rare}, {:?}", found.work);
        assert!(looked_at <= 3 * found.rows.len() as u64, "rare: {rare}, {:?}", found.work);
    }
    let never = find(&pattern(&["a", "b", "c"], BinaryOp::Equal, Some(100)), &rows(letters(ROWS * 2), |_| 1));
    assert_eq!((never.work.rows, never.work.entries, never.work.looked_at), (0, 0, 0));
}

#[test]
fn lists_hold_what_is_in_the_window() {
    let batch = rows(letters(100), |row| (row / 10) as i64);
    for op in [BinaryOp::Equal, BinaryOp::LessOrEqual] {
        for window in [500, 1_000, 2_000, 4_000] {
            let work = find(&pattern(&["a", "b", "c"], op, Some(window)), &batch).work;
            // A fifth of the rows are in a list; a list is cut back when half of it has left the window, and may hold twice
            // as much as it has entries.
            let held = (window as usize / 5).max(1024);
            assert!(work.bytes_max <= held * 4 * 56, "{work:?} for a window of {window} rows");
        }
    }
}
