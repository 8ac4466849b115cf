//! Appends one after another, made ready side by side: what comes of them is what comes of each in turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use cepheid_event::Table;
use cepheid_store::{
    Append, EventLog, LogOptions, Position, Query, Reader, StoreError, StoreView, TopicPattern, verify,
};
use cepheid_testkit::SplitMix64;

fn open(path: &Path) -> EventLog {
    let options = LogOptions { event_time: None, author: "test".into(), clock: Arc::new(|| 7) };
    EventLog::open(path, options).unwrap()
}

fn numbers() -> SplitMix64 {
    SplitMix64::new(1)
}

fn append(rows: usize, random: &mut SplitMix64) -> Append {
    let values: Vec<i64> = (0..rows).map(|_| random.between(0, 999)).collect();
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values(values.iter().map(|value| format!("t{value}"))));
    let times: ArrayRef = Arc::new(Int64Array::from(values));
    let rows = RecordBatch::try_from_iter([("ts", times), ("text", texts)]).unwrap();
    let rows = Table::new(rows.schema(), vec![rows]).unwrap();
    Append { topic: "t".into(), rows, stream: None, expected_version: None, idempotency_key: None }
}

/// Appends of none, one, few, and many rows; two are longer than a commit.
fn appends() -> Vec<Append> {
    let mut random = numbers();
    let mut appends = vec![];
    let mut version = 0;
    for place in 0..400 {
        let rows = match place {
            100 | 101 => 150_000,
            place if place % 7 == 0 => random.below(3),
            place if place % 5 == 0 => 2_000 + random.below(9_000),
            _ => random.below(300),
        };
        let mut one = append(rows, &mut random);
        one.topic = format!("t{}", place % 3);
        if place % 4 == 0 {
            one.stream = Some("s".into());
            one.expected_version = Some(version);
            version += rows as u64;
        }
        one.idempotency_key = (place % 2 == 0).then(|| format!("key {place}"));
        appends.push(one);
    }
    // A repeat of one that is far behind, and of one that is just being written.
    appends.insert(300, appends[20].clone());
    appends.insert(302, appends[301].clone());
    appends
}

fn in_a_pipeline(log: &EventLog, appends: Vec<Append>) -> (Vec<Position>, Result<(), StoreError>) {
    let (mut appends, mut positions) = (appends.into_iter(), vec![]);
    let outcome = log.append_each(|| appends.next(), |written| positions.extend(written));
    (positions, outcome)
}

fn all(path: &Path) -> Vec<RecordBatch> {
    let query = Query { topics: vec![TopicPattern::new(">").unwrap()], metadata: true, ..Query::default() };
    let mut reader = Reader::open(path, &query).unwrap();
    std::iter::from_fn(|| reader.next_batch().unwrap()).collect()
}

#[test]
fn what_is_appended_in_a_pipeline_is_what_each_append_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.db"), folder.path().join("other.db"));
    let log = open(&one);
    let expected: Vec<Position> = appends().into_iter().map(|one| log.append(one).unwrap()).collect();
    let (found, outcome) = in_a_pipeline(&open(&other), appends());
    outcome.unwrap();
    assert_eq!(found, expected);
    assert_eq!(found.iter().filter(|position| position.repeated).count(), 2);
    let rows: usize = all(&one).iter().map(RecordBatch::num_rows).sum();
    assert!(rows > 300_000, "{rows}");
    assert_eq!(all(&one), all(&other));
    for path in [&one, &other] {
        assert!(verify(path, None).unwrap().fault.is_none());
    }
}

#[test]
fn at_the_first_that_is_refused_it_ends() {
    let mut cases = 0;
    for place in [0, 1, 60, 130, 199] {
        for kind in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s.db");
            let log = open(&path);
            let mut given: Vec<Append> = (0..200).map(|_| append(10, &mut numbers())).collect();
            let bad = &mut given[place];
            match kind {
                // Before it is compressed, and when it is committed.
                0 => bad.topic = String::new(),
                1 => bad.stream = Some(String::new()),
                2 => (bad.stream, bad.expected_version) = (Some("s".into()), Some(5)),
                _ => {
                    let times: ArrayRef = Arc::new(StringArray::from(vec!["x"; 3]));
                    let rows = RecordBatch::try_from_iter([("text", times)]).unwrap();
                    bad.rows = Table::new(rows.schema(), vec![rows]).unwrap();
                    bad.stream = Some("s".into());
                    bad.expected_version = Some(1);
                }
            }
            let (positions, outcome) = in_a_pipeline(&log, given);
            match (kind, outcome) {
                (0 | 1, Err(StoreError::InvalidName { .. }))
                | (2 | 3, Err(StoreError::VersionConflict { .. })) => {}
                (_, other) => panic!("{place} {kind}: {other:?}"),
            }
            assert_eq!(positions.len(), place);
            let rows: usize = all(&path).iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows, 10 * place);
            assert_eq!(StoreView::open(&path).unwrap().next_position().unwrap(), 10 * place as u64);
            // It goes on.
            assert_eq!(log.append(append(1, &mut numbers())).unwrap().first, 10 * place as u64);
            cases += 1;
        }
    }
    assert_eq!(cases, 20);
}

#[test]
fn a_panic_of_what_gives_appends_is_told_and_nothing_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    let mut given = 0;
    let next = || {
        given += 1;
        assert!(given < 100, "no more");
        Some(append(500, &mut numbers()))
    };
    let caught = catch_unwind(AssertUnwindSafe(|| log.append_each(next, drop)));
    assert!(caught.is_err());
    log.append(append(1, &mut numbers())).unwrap();
    assert!(verify(&path, None).unwrap().fault.is_none());
}

#[test]
fn pipelines_of_several_threads_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    let positions: Vec<Vec<Position>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    let of_thread = |place: usize| {
                        let mut one = append(place % 50, &mut numbers());
                        one.topic = format!("t{thread}");
                        one
                    };
                    let (positions, outcome) = in_a_pipeline(log, (0..150).map(of_thread).collect());
                    outcome.unwrap();
                    positions
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut rows = 0;
    for of_thread in &positions {
        assert_eq!(of_thread.len(), 150);
        assert!(of_thread.is_sorted_by(|one, next| one.first + one.events <= next.first));
        assert!(of_thread.is_sorted_by(|one, next| one.row + one.events == next.row));
        rows += of_thread.iter().map(|position| position.events).sum::<u64>();
    }
    assert_eq!(StoreView::open(&path).unwrap().next_position().unwrap(), rows);
    assert!(verify(&path, None).unwrap().fault.is_none());
}

#[test]
fn whoever_finds_that_it_is_over_tells_those_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("s.db"));
    let mut good = 0;
    for round in 0..600 {
        let mut given: Vec<Append> = (0..round % 4).map(|_| append(1, &mut numbers())).collect();
        let mut bad = append(1, &mut numbers());
        bad.topic = String::new();
        given.push(bad);
        let (positions, outcome) = in_a_pipeline(&log, given);
        assert!(matches!(outcome, Err(StoreError::InvalidName { .. })), "{outcome:?}");
        assert_eq!(positions.len(), round % 4);
        good += positions.len();
    }
    assert_eq!(good, 900);
}

#[test]
fn of_no_appends_nothing_comes() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("s.db"));
    let (positions, outcome) = in_a_pipeline(&log, vec![]);
    outcome.unwrap();
    assert!(positions.is_empty());
}
