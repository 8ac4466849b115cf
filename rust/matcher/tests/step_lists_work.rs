//! How much work step lists are, counted: nothing here looks at a clock.

use arrow_array::RecordBatch;
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{AfterMatchSkip, Contiguity, Pattern, Selection, Within};
use cepheid_matcher::lists::{Lists, ListsFound, ListsWork, SearchLimits};
use cepheid_matcher::sequence::{Chunk, SequenceMatcher};
use cepheid_matcher::{StepLists, Workers};
use cepheid_testkit::letters::{rows_of_letters as rows, steps_of_letters};

/// All matches of steps of one letter each; `b+` repeats.
fn pattern(steps: &[&str], contiguity: Contiguity, within: Option<u64>) -> Pattern {
    let pattern = Pattern {
        selection: Selection::All,
        after_match: AfterMatchSkip::None,
        within: within.map(Within::Rows),
        ..steps_of_letters(steps, contiguity)
    };
    pattern.normalise()
}

/// What it takes to find the first `most` matches of a table.
fn find(pattern: &Pattern, batch: &RecordBatch, most: usize) -> ListsFound {
    let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one schema");
    let matcher =
        SequenceMatcher::compile(pattern, &batch.schema(), false).expect("a pattern of plain events");
    let steps = StepLists::new(&matcher).expect("conditions on single events");
    let rows = OrderedRows::new(&table, &[], &[], &[]).expect("no keys");
    let masks = matcher.masks_by_arrival(&table, Workers::default()).expect("strings").expect("single rows");
    let chunk = Chunk { table: &table, rows: &rows, times: &[], ordinals: &[], fresh_from: 0 };
    Lists::Step(&steps)
        .find(&masks, chunk, most, SearchLimits::default())
        .expect("room")
        .expect("conditions without errors")
}

fn counted(pattern: &Pattern, batch: &RecordBatch) -> (u64, ListsWork) {
    let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one schema");
    let matcher =
        SequenceMatcher::compile(pattern, &batch.schema(), false).expect("a pattern of plain events");
    let found = find(pattern, batch, 0);
    let rows = OrderedRows::new(&table, &[], &[], &[]).expect("no keys");
    let masks = matcher.masks_by_arrival(&table, Workers::default()).expect("strings").expect("single rows");
    let chunk = Chunk { table: &table, rows: &rows, times: &[], ordinals: &[], fresh_from: 0 };
    let steps = StepLists::new(&matcher).expect("conditions on single events");
    (
        Lists::Step(&steps)
            .count(&masks, chunk, SearchLimits::default())
            .expect("room")
            .expect("conditions without errors"),
        found.work,
    )
}

const ROWS: usize = 20_000;

/// Every tenth row is an `a`, every tenth a `b`; a `c` comes once in `every` rows.
fn letters(every: usize) -> RecordBatch {
    rows((0..ROWS).map(|row| match row {
        row if row % every == every - 1 => 'c',
        row if row % 10 == 0 => 'a',
        row if row % 10 == 5 => 'b',
        _ => 'x',
    }))
}

#[test]
fn a_row_is_the_same_work_in_every_window() {
    // One row completes anything, and then nothing is in reach of it: all that is left is keeping the lists.
    let batch = letters(ROWS * 2);
    let work: Vec<ListsWork> = [10, 100, 1_000, 10_000, 1_000_000]
        .map(|window| {
            find(&pattern(&["a", "b", "c"], Contiguity::SkipTillAny, Some(window)), &batch, usize::MAX).work
        })
        .to_vec();
    assert_eq!(work[0].rows, ROWS as u64 / 5);
    for other in &work {
        assert_eq!((other.rows, other.entries, other.marks), (work[0].rows, work[0].entries, 0), "{work:?}");
    }
}

#[test]
fn lists_hold_what_is_in_the_window() {
    let batch = letters(ROWS * 2);
    for window in [500, 1_000, 2_000, 4_000] {
        let pattern = pattern(&["a", "b", "c"], Contiguity::SkipTillAny, Some(window));
        let work = find(&pattern, &batch, usize::MAX).work;
        // A fifth of the rows are in a list; a list is cut back when half of it has left the window, and may hold twice as
        // much as it has entries.
        let relevant = window as usize / 5;
        assert!(work.bytes_max <= relevant.max(512) * 4 * 24, "{work:?} for a window of {window} rows");
        assert!(work.bytes_max >= relevant * 8, "{work:?} for a window of {window} rows");
    }
}

#[test]
fn what_is_marked_is_in_a_match() {
    let mut compared = 0;
    for contiguity in [Contiguity::SkipTillNext, Contiguity::SkipTillAny] {
        for steps in [&["a", "b", "c"][..], &["a", "c"], &["c", "b", "a", "c"]] {
            for window in [None, Some(20), Some(200)] {
                let found = find(&pattern(steps, contiguity, window), &letters(100), 200_000);
                assert!(found.work.marks <= found.rows.len() as u64, "{steps:?} {window:?} {:?}", found.work);
                compared += u64::from(found.matches > 0);
            }
        }
    }
    // A loop has many more matches than rows.
    let found =
        find(&pattern(&["a", "b+", "c"], Contiguity::SkipTillAny, Some(90)), &letters(100), usize::MAX);
    assert!(found.matches > 100_000 && found.work.marks * 100 < found.rows.len() as u64, "{:?}", found.work);
    assert!(compared >= 14, "only {compared} patterns had matches");
}

#[test]
fn the_first_matches_do_not_wait_for_the_rest() {
    let batch = letters(ROWS);
    let pattern = pattern(&["a", "b+", "c"], Contiguity::SkipTillAny, None);
    // The one `c` completes 2^2000 matches and more.
    for most in [1, 10, 1000] {
        let found = find(&pattern, &batch, most);
        assert_eq!(found.matches, most);
        assert!(found.work.marks <= found.work.entries, "{:?}", found.work);
        assert_eq!(found.work.entries, ROWS as u64 / 5 + 1);
    }
}

#[test]
fn counting_what_is_consumed_marks_every_entry_once() {
    let mut consuming = pattern(&["a", "b", "c"], Contiguity::SkipTillAny, None);
    consuming.after_match = AfterMatchSkip::Consume;
    let batch = letters(100);
    let (matches, work) = counted(&consuming, &batch);
    assert_eq!(matches, find(&consuming, &batch, usize::MAX).matches as u64);
    assert!(matches > 5_000 && work.entries <= ROWS as u64 / 5, "{matches} matches, {work:?}");
}
