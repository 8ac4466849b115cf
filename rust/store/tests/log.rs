//! The log as its users in Rust see it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use cepheid_event::Table;
use cepheid_ir::{BinaryOp, Expr, RowPointer};
use cepheid_store::{
    Append, EventLog, LogOptions, Passed, Query, Reader, StoreError, StoreView, StoredRows, TopicPattern,
    Transaction, verify,
};

fn options(time: &Arc<AtomicI64>) -> LogOptions {
    let time = Arc::clone(time);
    let clock = Arc::new(move || time.load(Ordering::Relaxed));
    LogOptions { event_time: None, author: "test".into(), clock }
}

fn open(path: &Path) -> EventLog {
    EventLog::open(path, options(&Arc::new(AtomicI64::new(0)))).unwrap()
}

fn append(topic: &str, times: &[i64]) -> Append {
    let column: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
    let rows = RecordBatch::try_from_iter([("ts", column)]).unwrap();
    let rows = Table::new(rows.schema(), vec![rows]).unwrap();
    Append { topic: topic.into(), rows, stream: None, expected_version: None, idempotency_key: None }
}

fn read(path: &Path) -> Vec<i64> {
    let mut reader = Reader::open(path, &Query::default()).unwrap();
    let mut found = vec![];
    while let Some(rows) = reader.next_batch().unwrap() {
        let column = rows.column_by_name("ts").unwrap();
        found.extend_from_slice(column.as_any().downcast_ref::<Int64Array>().unwrap().values());
    }
    found
}

#[test]
fn sqlite_is_one_without_the_reset_race_of_its_log() {
    // Fixed in 3.51.3: before, a writer could begin the log anew under a checkpoint.
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    let second = EventLog::open(&path, options(&Arc::default()));
    match second {
        Err(StoreError::Locked { holder, .. }) => assert!(holder.contains("process"), "{holder}"),
        other => panic!("{other:?}"),
    }
    drop(log);
    open(&path);
}

#[test]
fn a_clock_that_steps_back_takes_no_record_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let time = Arc::new(AtomicI64::new(50));
    let log = EventLog::open(&path, options(&time)).unwrap();
    for now in [50, 20, 70] {
        time.store(now, Ordering::Relaxed);
        log.append(append("t", &[now])).unwrap();
    }
    let view = StoreView::open(&path).unwrap();
    assert_eq!(view.authors().unwrap()[0].recorded, (50, 70));
    let mut reader = Reader::open(&path, &Query { times: (Some(50), None), ..Query::default() }).unwrap();
    // Of event time, not of recording.
    assert_eq!(reader.next_batch().unwrap().unwrap().num_rows(), 2);
}

#[test]
fn one_refused_change_takes_none_of_the_others_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    let (mut appended, mut conflicts) = (0, 0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    // All of them expect to be first: one is, each time.
                    (0..25)
                        .filter(|number| {
                            let mut one = append("t", &[*number]);
                            one.stream = Some("s".into());
                            one.expected_version = Some(*number as u64);
                            log.append(one).is_ok()
                        })
                        .count()
                })
            })
            .collect();
        for thread in threads {
            let of_thread = thread.join().unwrap();
            appended += of_thread;
            conflicts += 25 - of_thread;
        }
    });
    assert_eq!(read(&path).len(), appended);
    assert!((1..=25).contains(&appended), "{appended}");
    assert_eq!(appended + conflicts, 100);
    assert_eq!(verify(&path, None).unwrap().fault, None);
}

#[test]
fn a_transaction_that_is_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    let mut transaction = Transaction::new();
    transaction.append(append("t", &[1]));
    transaction.save(cepheid_store::transaction::STATE, "engine".into(), vec![1]);
    let mut last = append("t", &[2]);
    (last.stream, last.expected_version) = (Some("s".into()), Some(9));
    transaction.append(last);
    assert!(matches!(
        log.commit(transaction),
        Err(StoreError::VersionConflict { expected: 9, actual: 0, .. })
    ));
    let view = StoreView::open(&path).unwrap();
    assert_eq!(view.next_position().unwrap(), 0);
    assert_eq!(view.value("state", "engine").unwrap(), None);
}

#[test]
fn a_reader_sees_one_state_whatever_is_archived_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    for time in 0..10 {
        log.append(append(if time % 3 == 0 { "a" } else { "b" }, &[time])).unwrap();
    }
    let mut reader = Reader::open(&path, &Query::default()).unwrap();
    log.seal(&[], 1).unwrap();
    log.append(append("a", &[99])).unwrap();
    let mut found = 0;
    while let Some(next) = reader.next_rows().unwrap() {
        let StoredRows::Read(topic, rows) = next else {
            panic!("nothing is passed over unless that is asked for")
        };
        assert!(&*topic == "a" || &*topic == "b");
        found += rows.num_rows();
    }
    assert_eq!(found, 10);
    assert_eq!(read(&path), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99]);
    log.compact(&[TopicPattern::new("b").unwrap()]).unwrap();
    assert_eq!(read(&path).len(), 11);
}

#[test]
fn rows_that_do_not_matter_are_passed_over_together_up_to_where_time_steps_back_or_others_stand_between() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    for times in [&[0, 1][..], &[2, 3], &[50], &[60, 61], &[59, 70]] {
        log.append(append("a", times)).unwrap();
    }
    log.append(append("b", &[80])).unwrap();
    log.append(append("a", &[90, 91])).unwrap();
    log.append(append("a", &[91])).unwrap();
    let column = Expr::Column { name: "ts".into(), quoted: false, at: RowPointer::default() };
    let is_50 = Expr::Binary {
        op: BinaryOp::Equal,
        left: Box::new(column),
        right: Box::new(Expr::Literal(50.into())),
    };
    let query = Query { mattering: vec![("a".into(), is_50)], ..Query::default() };
    let told = || {
        let mut reader = Reader::open(&path, &query).unwrap();
        let mut told = vec![];
        while let Some(next) = reader.next_rows().unwrap() {
            told.push(match next {
                StoredRows::Read(topic, rows) => format!("{topic}: {} read", rows.num_rows()),
                StoredRows::Passed(topic, passed) => {
                    let Passed { first_position, first_row, rows, times } = passed;
                    format!("{topic}: {rows} from {first_position}, {first_row}, at {times:?}")
                }
            });
        }
        told
    };
    let expected = [
        "a: 4 from 0, 0, at (0, 3)",
        "a: 1 read",
        "a: 2 from 5, 5, at (60, 61)",
        "a: 2 from 7, 7, at (59, 70)",
        "b: 1 read",
        "a: 3 from 10, 9, at (90, 91)",
    ];
    assert_eq!(told(), expected);
}

#[test]
fn files_that_a_crash_has_left_are_out_of_the_way_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let log = open(&path);
    log.append(append("t", &[1])).unwrap();
    log.seal(&[], 1).unwrap();
    drop(log);
    let topic = folder.path().join("s.db-archive").join("t");
    // Of rows that there are, of rows that there are not yet, never finished, and not ours.
    let left =
        ["0000000000000000-0.parquet", "0000000000000001-9.parquet", "0000000000000001-9.parquet.unfinished"];
    for left in left.into_iter().chain(["somebody's.txt"]) {
        std::fs::write(topic.join(left), b"left").unwrap();
    }
    open(&path);
    let mut names: Vec<String> = topic
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["0000000000000000-1.parquet", "0000000000000001-9.parquet.unnamed", "somebody's.txt"]);
    assert_eq!(read(&path), [1]);
}
