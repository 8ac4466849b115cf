//! A stream that is saved and restored goes on as if nothing had been; a state that contradicts itself is refused.

mod stream;

use cepheid_event::{ReorderBuffer, ReorderState, TimePolicy};
use stream::{Row, TOPICS, batch, rows_of};

const POLICY: TimePolicy = TimePolicy { lateness: Some(10), idle: Some(100), future: None };

fn some_stream() -> ReorderBuffer {
    let mut buffer = ReorderBuffer::new("ts", POLICY);
    TOPICS.iter().for_each(|topic| {
        buffer.add_source(topic).unwrap();
    });
    // The schemas come in another order than the topics were given in.
    for (topic, times) in [(2, [40, 38, 41]), (0, [39, 45, 44])] {
        let rows: Vec<Row> = times.iter().map(|time| Row { time: *time, id: *time }).collect();
        buffer.push(TOPICS[topic], &[batch(topic, &rows)], None).unwrap();
    }
    buffer
}

#[test]
fn a_restored_stream_goes_on_with_the_same_columns_and_rows() {
    let mut first = some_stream();
    let mut second = ReorderBuffer::from_state("ts", POLICY, first.state().unwrap()).unwrap();
    assert_eq!(second.columns().schema(), first.columns().schema());
    assert_eq!(second.columns().order(), [2, 0]);
    let rows = [Row { time: 50, id: 50 }, Row { time: 60, id: 60 }];
    for stream in [&mut first, &mut second] {
        let out = stream.push("b", &[batch(1, &rows)], None).unwrap();
        assert_eq!((out.watermark, out.rows.num_rows()), (Some(31), 0));
    }
    let (first, second) = (first.flush().unwrap().rows, second.flush().unwrap().rows);
    assert_eq!(rows_of(&first), rows_of(&second));
    assert_eq!(first.num_rows(), 8);
}

#[test]
fn a_stream_that_passed_over_the_first_rows_of_a_topic_goes_on() {
    let mut first = some_stream();
    first.skip("b", 3).unwrap();
    let second = ReorderBuffer::from_state("ts", POLICY, first.state().unwrap()).unwrap();
    assert_eq!((second.stats(), second.state().unwrap()), (first.stats(), first.state().unwrap()));
    let arrivals: [Vec<u64>; 2] = [first, second].map(|mut stream| {
        stream.push("b", &[batch(1, &[Row { time: 50, id: 50 }])], None).unwrap();
        let rows = stream.flush().unwrap().rows;
        rows.topic.iter().zip(&rows.arrival).filter(|(topic, _)| **topic == 1).map(|(_, row)| *row).collect()
    });
    assert_eq!(arrivals, [vec![3], vec![3]]);
}

type Mistake = fn(&mut ReorderState);

#[test]
fn a_state_that_contradicts_itself_is_refused() {
    let mistakes: [(&str, Mistake); 12] = [
        ("moved further by hand", |state| state.closed = Some(i64::MAX)),
        ("two topics are named `a`", |state| state.topics[1].name = "a".into()),
        ("leaves some out", |state| state.schema_order.truncate(1)),
        ("topic 2 has no schema", |state| state.schema_order[1] = 2),
        ("topic 9 has no schema", |state| state.schema_order[0] = 9),
        ("topic 0 has no schema", |state| state.topics[0].schema = None),
        ("due where it has been", |state| (state.watermark, state.due) = (Some(30), Some(30))),
        ("topic `a`: 3 rows wait, with 2 ordinals", |state| state.topics[0].arrival.truncate(2)),
        ("with 3 ordinals below 2", |state| state.topics[0].rows = 2),
        ("3 rows wait", |state| state.topics[0].arrival.reverse()),
        ("ordinals without rows", |state| state.topics[0].waiting = None),
        ("that the clock has passed", |state| state.watermark = Some(38)),
    ];
    let mut refused = 0;
    for (message, mistake) in mistakes {
        let mut state = some_stream().state().unwrap();
        mistake(&mut state);
        let error = ReorderBuffer::from_state("ts", POLICY, state).unwrap_err();
        assert_eq!(error.code(), "invalid-state", "{message}: {error}");
        assert!(error.to_string().contains(message), "{message}: {error}");
        refused += 1;
    }
    assert_eq!(refused, 12);
    let mut state = some_stream().state().unwrap();
    state.topics[0].waiting = state.topics[2].waiting.take();
    let error = ReorderBuffer::from_state("ts", POLICY, state).unwrap_err();
    assert!(error.to_string().contains("rows of the schema"), "{error}");
    let error = ReorderBuffer::from_state("when", POLICY, some_stream().state().unwrap()).unwrap_err();
    assert_eq!(error.code(), "unknown-column");
}
