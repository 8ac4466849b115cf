//! How much work a stream is: every row is looked at once, and runs are looked at only for rows that they wait for.

use arrow_array::RecordBatch;
use cepheid_ir::{AfterMatchSkip, Contiguity, Pattern, Selection};
use cepheid_testkit::letters::{rows_of_letters as rows, steps_of_letters};

use super::stream::Stream;

const ROWS: usize = 2000;

fn sequence(steps: &[&str]) -> Pattern {
    steps_of_letters(steps, Contiguity::SkipTillNext).normalise()
}

fn all(pattern: Pattern) -> Pattern {
    Pattern { selection: Selection::All, after_match: AfterMatchSkip::None, ..pattern }
}

/// Rows and runs visited, events found, and the most runs alive at once, in chunks of this many rows.
fn work(pattern: &Pattern, batch: &RecordBatch, chunk: usize) -> (u64, u64, usize, usize) {
    let mut stream = Stream::new(pattern, batch).expect("a pattern of plain events");
    let (mut found, mut alive) = (0, 0);
    for start in (0..batch.num_rows()).step_by(chunk) {
        let length = chunk.min(batch.num_rows() - start);
        found += stream.push(&batch.slice(start, length)).expect("no errors").len();
        alive = alive.max(stream.state.live_runs());
    }
    found += stream.finish().expect("no errors").len();
    (stream.state.rows_visited(), stream.state.runs_visited(), found, alive)
}

#[test]
fn a_row_is_looked_at_once_however_the_stream_is_cut() {
    let batch = rows("aab".chars().cycle().take(ROWS));
    for pattern in [sequence(&["a", "b"]), all(sequence(&["a", "b"])), sequence(&["a+", "b"])] {
        let whole = work(&pattern, &batch, ROWS);
        assert_eq!(whole.0, ROWS as u64);
        assert!(whole.2 >= ROWS / 3, "{whole:?}");
        for chunk in [1, 7, 500] {
            let cut = work(&pattern, &batch, chunk);
            assert_eq!((cut.0, cut.1, cut.2), (whole.0, whole.1, whole.2), "in chunks of {chunk}");
        }
    }
}

#[test]
fn rows_that_no_condition_accepts_are_not_looked_at() {
    let batch = rows("axxxxxxxxx".chars().cycle().take(ROWS));
    for pattern in [sequence(&["a", "b"]), all(sequence(&["a", "b"]))] {
        assert_eq!(work(&pattern, &batch, 50).0, ROWS as u64 / 10);
    }
}

#[test]
fn runs_that_wait_for_what_never_comes_cost_nothing() {
    let batch = rows(std::iter::repeat_n('a', ROWS));
    for steps in [&["a", "b"][..], &["a", "b", "c"]] {
        for pattern in [sequence(steps), all(sequence(steps))] {
            let (_, runs, found, _) = work(&pattern, &batch, 100);
            assert_eq!(found, 0);
            assert!(runs <= 2 * ROWS as u64, "{runs} visits for {ROWS} rows");
        }
    }
    // A loop takes every row, but of all start rows only the first can still be reported.
    for steps in [&["a+", "b"][..], &["a+", "b+", "c"]] {
        let (_, runs, _, alive) = work(&sequence(steps), &batch, 100);
        assert!(runs <= 2 * ROWS as u64 && alive == 1, "{runs} visits, {alive} runs for {ROWS} rows");
    }
    // A `b` between moves every run once, and no more.
    let middle = (0..ROWS).map(|row| if row == ROWS / 2 { 'b' } else { 'a' });
    let (_, runs, _, _) = work(&all(sequence(&["a", "b", "c"])), &rows(middle), 100);
    assert!(runs <= 3 * ROWS as u64, "{runs} visits for {ROWS} rows");
}
