//! Streams whose batches are long enough to be worked on by several threads: what they derive is the same on any number, also
//! where a snapshot goes on with another. (Short streams are held against the definition elsewhere.)

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use cepheid_engine::{DerivedTable, Engine, EngineOptions, Strategy};
use cepheid_ir::Pattern;
use cepheid_matcher::threads::times_shared;
use cepheid_testkit::SplitMix64;

const ROWS: usize = 40_000;
const ROWS_A_BATCH: usize = 10_000;

/// Rows of 3,000 keys, a second apart, some cells of every column but the time NULL.
fn rows() -> RecordBatch {
    let mut random = SplitMix64::new(11);
    let mut cell = |below: usize| random.chance(97).then(|| random.below(below) as i64);
    let keys: Int64Array = (0..ROWS).map(|_| cell(3_000)).collect();
    let values: Int64Array = (0..ROWS).map(|_| cell(100)).collect();
    let texts: StringArray = (0..ROWS).map(|_| cell(1_000).map(|number| format!("text {number}"))).collect();
    let flags: BooleanArray = (0..ROWS).map(|_| cell(2).map(|number| number == 1)).collect();
    let times = TimestampMicrosecondArray::from_iter_values((0..ROWS as i64).map(|row| row * 1_000_000));
    let columns: [(&str, ArrayRef); 5] = [
        ("key", Arc::new(keys)),
        ("value", Arc::new(values)),
        ("text", Arc::new(texts)),
        ("flag", Arc::new(flags)),
        ("time", Arc::new(times)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("rows")
}

/// One matched by lists, of rows that are mostly left out, and one by runs, of all of them.
fn rules() -> Vec<Pattern> {
    let rule = |name: &str, text: &str| {
        let text = format!("SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY key ORDER BY time {text})");
        Pattern { name: Some(name.into()), ..cepheid_sql::parse_pattern(&text).expect("a pattern") }
    };
    vec![
        rule(
            "lists",
            "MEASURES first.text AS began, last.text AS ended, last.flag AS flag, COUNT(small.*) AS small
             AFTER MATCH SKIP PAST LAST ROW PATTERN (first -> small+ [->] -> last) WITHIN INTERVAL '3' HOUR
             DEFINE first AS value < 20, small AS value BETWEEN 20 AND 29, last AS value >= 80",
        ),
        rule(
            "runs",
            "MEASURES a.text AS began, b.text AS ended AFTER MATCH SKIP PAST LAST ROW
             PATTERN (a -> b) WITHIN INTERVAL '2' HOUR DEFINE a AS value < 70, b AS b.value > a.value + 25",
        ),
    ]
}

type Derived = Vec<(String, RecordBatch, Option<RecordBatch>)>;

fn add(derived: Vec<(String, DerivedTable)>, all: &mut Derived) {
    all.extend(derived.into_iter().map(|(topic, table)| (topic, table.batch, table.membership)));
}

/// What is derived, and how often work was shared. `restored_on`: threads of the second half.
fn derived(batch: &RecordBatch, threads: usize, restored_on: usize) -> (Derived, u64) {
    let before = times_shared();
    let options = EngineOptions {
        event_time: "time".into(),
        lateness_ns: Some(0),
        threads: Some(threads),
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(rules(), options).expect("good rules");
    let mut all = vec![];
    for start in (0..ROWS).step_by(ROWS_A_BATCH) {
        if start * 2 == ROWS {
            let half_way = engine.snapshot().expect("a snapshot");
            engine =
                Engine::restore(&half_way, rules(), Some(restored_on), None, None).expect("the same rules");
        }
        add(engine.push(None, &[batch.slice(start, ROWS_A_BATCH)], None).expect("good rows"), &mut all);
    }
    let strategies: Vec<Strategy> = engine.stats().rules.iter().map(|rule| rule.strategy).collect();
    assert_eq!(strategies, [Strategy::StepLists, Strategy::Sequences]);
    add(engine.flush().expect("the end"), &mut all);
    (all, times_shared() - before)
}

#[test]
fn long_streams_are_the_same_on_any_number_of_threads() {
    let batch = rows();
    let (expected, shared) = derived(&batch, 1, 1);
    assert_eq!(shared, 0);
    let found = |rule: &str| -> usize {
        expected.iter().filter(|(topic, ..)| topic == rule).map(|(_, batch, _)| batch.num_rows()).sum()
    };
    assert!(found("lists") > 300 && found("runs") > 3_000, "{} and {}", found("lists"), found("runs"));
    for (threads, restored_on) in [(2, 3), (3, 1), (4, 2)] {
        let (found, shared) = derived(&batch, threads, restored_on);
        assert!(found == expected, "on {threads}, then {restored_on} threads");
        assert!(shared >= 3, "{shared} pieces of work were shared on {threads}, then {restored_on} threads");
    }
}
