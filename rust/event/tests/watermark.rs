//! How the clock moves: sources that are slow, silent, idle, added, removed, or ahead of their time.

mod stream;

use cepheid_event::{ReorderBuffer, TimePolicy};
use stream::{Row, batch, rows_of};

fn push(
    buffer: &mut ReorderBuffer,
    topic: usize,
    times: &[i64],
    now: Option<i64>,
) -> (Vec<i64>, Option<i64>) {
    let rows: Vec<Row> =
        times.iter().enumerate().map(|(id, time)| Row { time: *time, id: id as i64 }).collect();
    let out = buffer.push(stream::TOPICS[topic], &[batch(topic, &rows)], now).unwrap();
    (out.rows.time.to_vec(), out.watermark)
}

fn buffer(policy: TimePolicy, topics: usize) -> ReorderBuffer {
    let mut buffer = ReorderBuffer::new("ts", policy);
    for topic in &stream::TOPICS[..topics] {
        buffer.add_source(topic).unwrap();
    }
    buffer
}

const LATENESS_10: TimePolicy = TimePolicy { lateness: Some(10), idle: None, future: None };

#[test]
fn the_slowest_source_holds_the_clock_back() {
    let mut stream = buffer(LATENESS_10, 2);
    assert_eq!(push(&mut stream, 0, &[100, 120], None), (vec![], None));
    assert_eq!(push(&mut stream, 1, &[50], None), (vec![], Some(40)));
    assert_eq!(push(&mut stream, 1, &[112], None), (vec![50, 100], Some(102)));
    let watermarks: Vec<_> = stream.stats().iter().map(|stats| stats.watermark).collect();
    assert_eq!(watermarks, [Some(110), Some(102)]);
}

#[test]
fn an_idle_source_does_not_hold_the_clock_back_until_it_speaks_again() {
    let mut stream = buffer(TimePolicy { idle: Some(50), ..LATENESS_10 }, 2);
    // Nothing has come of `b` since 100: at 150 it is waited for, at 151 no more.
    assert_eq!(push(&mut stream, 0, &[100, 150], None), (vec![], None));
    assert!(!stream.stats()[1].idle);
    assert_eq!(push(&mut stream, 0, &[151], None), (vec![100], Some(141)));
    assert!(stream.stats()[1].idle);
    // Within 50 of the greatest, `b` counts again; the clock does not go back for it.
    let (released, watermark) = push(&mut stream, 1, &[145], None);
    assert_eq!((released, watermark), (vec![], Some(141)));
    assert!(!stream.stats()[1].idle);
    assert_eq!(push(&mut stream, 0, &[180], None), (vec![], Some(141)));
    assert_eq!(push(&mut stream, 0, &[196], None), (vec![145, 150, 151, 180], Some(186)));
}

#[test]
fn sources_come_and_go_and_the_clock_never_goes_back() {
    let mut stream = buffer(LATENESS_10, 2);
    push(&mut stream, 0, &[100], None);
    stream.remove_source("b").unwrap();
    assert_eq!((stream.clock().watermark(), stream.clock().due()), (None, Some(90)));
    assert_eq!(push(&mut stream, 0, &[], None), (vec![], Some(90)));
    assert_eq!(stream.clock().due(), None);
    assert_eq!(stream.push("b", &[], None).unwrap_err().code(), "unknown-topic");
    assert_eq!(
        stream.remove_source("b").unwrap_err().to_string(),
        "there is no topic `b` (did you mean `a`?); the topics are `a`"
    );
    stream.add_source("b").unwrap();
    // A new source is waited for, but what has been said stands.
    assert_eq!(push(&mut stream, 0, &[120], None), (vec![], Some(90)));
    assert_eq!(push(&mut stream, 1, &[89, 130], None), (vec![100], Some(110)));
    assert_eq!(stream.stats()[1].late, 1);
    // What waits of a topic that is removed comes out in its turn, and its ordinals go on when it is back.
    stream.remove_source("b").unwrap();
    let (released, _) = push(&mut stream, 0, &[140], None);
    assert_eq!(released, [120, 130]);
    stream.add_source("b").unwrap();
    push(&mut stream, 1, &[150], None);
    let rows = rows_of(&stream.flush().unwrap().rows);
    assert_eq!(rows.iter().map(|row| (row.0, row.1, row.2)).collect::<Vec<_>>(), [(0, 2, 140), (1, 2, 150)]);
}

#[test]
fn a_row_ahead_of_its_time_moves_no_clock_and_waits() {
    let policy = TimePolicy { future: Some(100), ..LATENESS_10 };
    let mut stream = buffer(policy, 1);
    assert_eq!(push(&mut stream, 0, &[1_000, 1_101, 9_000, 1_100], Some(1_000)), (vec![1_000], Some(1_090)));
    let stats = &stream.stats()[0];
    assert_eq!((stats.future, stats.late, stats.waiting, stats.greatest), (2, 0, 3, Some(1_100)));
    assert_eq!(push(&mut stream, 0, &[1_120], Some(1_100)), (vec![1_100, 1_101], Some(1_110)));
    // Without a now there is no guard.
    assert_eq!(push(&mut stream, 0, &[5_000], None), (vec![1_120], Some(4_990)));
    let out = stream.flush().unwrap();
    assert_eq!((out.rows.time.to_vec(), out.watermark, out.ended), (vec![5_000, 9_000], Some(9_000), true));
}

#[test]
fn the_clock_moved_by_hand_closes_the_time_it_was_moved_to() {
    let mut stream = buffer(TimePolicy::default(), 2);
    assert_eq!(push(&mut stream, 0, &[30, 10, 20], None), (vec![], None));
    let out = stream.advance_to(20).unwrap();
    assert_eq!((out.rows.time.to_vec(), out.watermark), (vec![10, 20], Some(20)));
    assert_eq!(stream.advance_to(15).unwrap().watermark, Some(20));
    let out =
        stream.push("b", &[batch(1, &[Row { time: 20, id: 0 }, Row { time: 21, id: 1 }])], None).unwrap();
    assert_eq!((out.late.len(), out.late[0].time.to_vec(), out.rows.num_rows()), (1, vec![20], 0));
    assert_eq!(stream.advance_to(i64::MAX).unwrap().rows.time.to_vec(), [21, 30]);
}

#[test]
fn after_a_flush_the_clock_stands_at_the_greatest_time() {
    let mut stream = buffer(LATENESS_10, 2);
    assert_eq!(stream.flush().unwrap().watermark, None);
    push(&mut stream, 0, &[30, 25], None);
    let out = stream.flush().unwrap();
    assert_eq!((out.rows.time.to_vec(), out.watermark, out.ended), (vec![25, 30], Some(30), true));
    let out =
        stream.push("b", &[batch(1, &[Row { time: 30, id: 0 }, Row { time: 31, id: 1 }])], None).unwrap();
    assert_eq!((out.late[0].time.to_vec(), out.ended), (vec![30], false));
    assert_eq!(stream.flush().unwrap().rows.time.to_vec(), [31]);
}

#[test]
fn times_at_the_ends_of_what_there_is_do_not_overflow() {
    let policy = TimePolicy { lateness: Some(u64::MAX), idle: Some(1), future: Some(u64::MAX) };
    let mut stream = buffer(policy, 2);
    push(&mut stream, 0, &[i64::MIN, i64::MAX, i64::MIN], Some(i64::MAX));
    push(&mut stream, 1, &[i64::MIN, i64::MAX], Some(i64::MIN));
    assert_eq!(stream.stats().iter().map(|stats| stats.late).sum::<u64>(), 0);
    let out = stream.flush().unwrap();
    assert_eq!(out.watermark, Some(i64::MAX));
    let stats = stream.stats();
    assert_eq!(stats.iter().map(|stats| stats.rows).sum::<u64>(), 5);
    assert_eq!(stream.waiting(), 0);
}
