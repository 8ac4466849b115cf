//! Random windows over random streams: what they report is what the definition lists, each window as soon as the clock says
//! that no row of it can come any more, however rows are cut and come, wherever the engine is saved and restored, on any number
//! of threads, and after calls that fail.

mod flaky;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cepheid_engine::{
    DerivedTable, Engine, EngineError, EngineOptions, LatePolicy, Process, Processor, RuleSpec,
};
use cepheid_ir::{Early, Frame, Pattern, Timing, Window};
use cepheid_matcher::threads::times_shared;
use cepheid_sql::parse_pattern;
use cepheid_testkit::generate_streams::{EVENT_TIME, RandomStream, StreamShape, TOPICS, random_stream};
use cepheid_testkit::generate_windows::{WindowKnobs, frame_kind, random_window};
use cepheid_testkit::{
    RefValue, ReferenceTable, SequenceInput, SplitMix64, WindowRow, reference_windows, window_table,
};
use flaky::Flaky;

const MINUTE: i64 = 60_000_000_000;
/// Further than this no row of a stream comes behind another.
const DISORDER_MAX: u64 = 6 * MINUTE as u64;

/// How rows come, as times of the clock are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// In order: each row moves it.
    Rows,
    /// In disorder: each row moves it as far as none can be late.
    Lateness,
    /// In disorder: each row moves it so far behind itself, in nanoseconds, and others come late.
    Late(u64),
    /// It is moved by hand.
    Hand,
}

/// What came of a stream.
#[derive(Default)]
struct Reported {
    table: ReferenceTable,
    restored: u64,
    /// Calls that failed.
    failed: u64,
    /// Calls before the end that reported something.
    early: u64,
    /// Windows that were reported before their end, and that were without rows.
    before_end: u64,
    behind_end: u64,
    without_rows: u64,
}

impl Reported {
    fn add(&mut self, derived: &[(String, DerivedTable)]) -> Result<usize, String> {
        let before = self.table.rows.len();
        for (topic, table) in derived {
            if topic != "window" {
                return Err(format!("events of topic `{topic}`"));
            }
            let more = ReferenceTable::from_batches(std::slice::from_ref(&table.batch));
            if more.rows.len() != table.matches {
                return Err(format!("{} events, {} rows", table.matches, more.rows.len()));
            }
            self.table.columns = more.columns;
            self.table.rows.extend(more.rows);
        }
        Ok(self.table.rows.len() - before)
    }
}

/// The event time of a row.
fn time_of(stream: &RandomStream, (topic, row): (usize, usize)) -> i64 {
    match stream.topics[topic].1.rows[row][1] {
        RefValue::Timestamp(time) => time,
        ref other => unreachable!("{other} is no time"),
    }
}

/// Whether no row of a window can come any more once all of its own have and the clock of rows stands at a time.
fn decided(window: &Window, found: &WindowRow, clock: i64) -> bool {
    match window.frame {
        Frame::Time { .. } | Frame::Session { .. } => found.moment <= clock,
        Frame::Range { .. } => found.moment < clock,
        Frame::Rows { rows, .. } => found.rows.len() as u64 == rows && found.moment <= clock,
    }
}

/// Runs a stream through an engine, and compares what it reports with the definition after each call.
///
/// `make` gives an engine of [`rules`], `restore` the same of a snapshot; calls fail when `flaky` does, which is one of them.
fn compare(
    window: &Window,
    (stream, flaky): (&RandomStream, Option<&Flaky>),
    clock: Clock,
    random: &mut SplitMix64,
    make: &dyn Fn(EngineOptions) -> Engine,
    restore: &dyn Fn(&[u8], usize) -> Engine,
) -> Result<Reported, String> {
    let time = |origin: (usize, usize)| time_of(stream, origin);
    // Rows of all topics move the clock.
    let clock_at_end = stream.arrival.iter().map(|origin| time(*origin)).max();
    let lateness = match clock {
        Clock::Late(lateness) => Some(lateness),
        _ => None,
    };
    let input = SequenceInput { clock: clock_at_end, lateness, ..stream.to_input() };
    let expected = window_table(window, &input).map_err(|error| error.to_string())?;
    let windows = reference_windows(window, &input).map_err(|error| error.to_string())?;
    let two_topics = stream.topics.len() > 1;
    let mut engine = make(EngineOptions {
        event_time: EVENT_TIME.to_owned(),
        topics: if two_topics { TOPICS.map(str::to_owned).to_vec() } else { vec![] },
        lateness_ns: match clock {
            Clock::Rows => Some(0),
            Clock::Lateness => Some(DISORDER_MAX),
            Clock::Late(lateness) => Some(lateness),
            Clock::Hand => None,
        },
        late: LatePolicy::Drop,
        threads: Some(1 + random.below(3)),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..EngineOptions::default()
    });
    let batches: Vec<_> =
        stream.topics.iter().map(|(_, table)| table.to_batch().expect("cells fit their columns")).collect();
    let mut reported = Reported::default();
    let most = *random.choose(&[1, 3, 40]);
    let mut arrived = 0;
    while arrived < stream.arrival.len() {
        if random.chance(20) {
            let blob = engine.snapshot().map_err(|error| error.to_string())?;
            engine = restore(&blob, 1 + random.below(3));
            engine.share_from(NonZeroUsize::MIN);
            reported.restored += 1;
        }
        // Rows of one topic that come one after the other come together.
        let (topic, row) = stream.arrival[arrived];
        let together = stream.arrival[arrived..].iter().take_while(|(other, _)| *other == topic).count();
        let rows = (1 + random.below(most)).min(together);
        let name = two_topics.then_some(stream.topics[topic].0.as_str());
        let pushed = [batches[topic].slice(row, rows)];
        if let Some(flaky) = flaky.filter(|_| random.chance(30)) {
            let before = engine.snapshot().map_err(|error| error.to_string())?;
            flaky.fails.store(true, Ordering::Relaxed);
            match engine.push(name, &pushed, None) {
                Err(EngineError::Processor { .. }) => {
                    reported.failed += 1;
                    if engine.snapshot().map_err(|error| error.to_string())? != before {
                        return Err("a call that failed has changed something".into());
                    }
                }
                // Nothing was reported, so nobody was asked: the engine goes on from before.
                Ok(_) => {
                    engine = restore(&before, 1 + random.below(3));
                    engine.share_from(NonZeroUsize::MIN);
                }
                Err(error) => return Err(error.to_string()),
            }
            flaky.fails.store(false, Ordering::Relaxed);
        }
        let derived = engine.push(name, &pushed, None);
        let mut more = reported.add(&derived.map_err(|error| error.to_string())?)?;
        arrived += rows;
        let ahead = stream.arrival[arrived..].iter().map(|origin| time(*origin)).min();
        if let (Clock::Hand, Some(ahead), true) = (clock, ahead, random.chance(40)) {
            let derived = engine.advance_to(ahead - random.between(1, MINUTE));
            more += reported.add(&derived.map_err(|error| error.to_string())?)?;
        } else if let (Clock::Rows | Clock::Lateness | Clock::Late(_), Some(clock)) =
            (clock, engine.stats().watermark_ns)
        {
            let came = |found: &WindowRow| {
                found.rows.iter().all(|origin| stream.arrival[..arrived].contains(origin))
            };
            let due = windows.iter().filter(|found| came(found) && decided(window, found, clock));
            let due = due.count();
            if due != reported.table.rows.len() {
                let found = reported.table.rows.len();
                return Err(format!("{found} windows reported at {clock}, not {due}\n  {expected}"));
            }
        }
        reported.early += u64::from(more > 0);
    }
    reported.before_end = windows.iter().filter(|found| found.timing == Timing::Early).count() as u64;
    reported.behind_end = windows.iter().filter(|found| found.timing == Timing::Late).count() as u64;
    reported.without_rows = windows.iter().filter(|found| found.rows.is_empty()).count() as u64;
    let derived = engine.flush().map_err(|error| error.to_string())?;
    reported.add(&derived)?;
    if !reported.table.rows.is_empty() || !expected.rows.is_empty() {
        expected.check(&reported.table.columns, &reported.table.rows)?;
    }
    match engine.flush().map_err(|error| error.to_string())?.as_slice() {
        [] => Ok(reported),
        _ => Err("something is reported after the end".into()),
    }
}

/// The window, a rule that derives nothing but has rows of all topics come, and perhaps one that reads what the window reports.
fn rules(window: &Window, flaky: Option<&Arc<Flaky>>) -> Vec<RuleSpec> {
    let text = "MATCH_RECOGNIZE (ORDER BY ts PATTERN (x) DEFINE x AS v > 1000)";
    let idle = Pattern { name: Some("idle".into()), ..parse_pattern(text).expect("a pattern") };
    let reads = |flaky: &Arc<Flaky>| {
        let function = Arc::clone(flaky) as Arc<dyn Process>;
        RuleSpec::from(Processor { name: Some("flaky".into()), topic: "window".into(), emit: None, function })
    };
    [RuleSpec::from(window.clone()), RuleSpec::from(idle)].into_iter().chain(flaky.map(reads)).collect()
}

#[test]
fn random_streams_report_the_windows_of_the_definition() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 2_000 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut frames, mut failures) = (BTreeMap::<&str, u64>::new(), vec![]);
    let (mut windows, mut early, mut restored, mut topics) = (0, 0, 0, 0);
    let (mut before_end, mut behind_end, mut without_rows) = (0, 0, 0);
    let (mut failed, shared_before) = (0, times_shared());
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 17);
        let mut window = random_window(&mut random, WindowKnobs::STREAM);
        window.name = Some("window".into());
        let late = Clock::Late(random.between(0, 3).unsigned_abs() * MINUTE as u64 / 2);
        let clock = [Clock::Rows, Clock::Lateness, Clock::Hand, late, late][seed as usize % 5];
        let reports = &mut window.reports;
        let can_be_late =
            matches!(window.frame, Frame::Time { .. }) && !matches!(reports.early, Some(Early::Rows(_)));
        if clock == late && can_be_late && random.chance(80) {
            reports.late_ns = Some(random.between(1, 20) * MINUTE / 2);
        }
        // Rows of equal time go by topic only while they wait: what is of any topic is asked of one table.
        let two_topics = window.topic.is_some();
        let shape = StreamShape {
            two_topics,
            null_times: false,
            disorder: clock != Clock::Rows,
            ..StreamShape::default()
        };
        let mut stream = random_stream(&mut random, shape);
        // Many streams are in order all the same.
        for _ in 0..4 {
            if matches!(clock, Clock::Late(_))
                && stream.arrival.is_sorted_by_key(|origin| time_of(&stream, *origin))
            {
                stream = random_stream(&mut random, shape);
            }
        }
        let flaky = random.chance(40).then(Arc::<Flaky>::default);
        let rules = || rules(&window, flaky.as_ref());
        let make = |options| Engine::new(rules(), options).expect("rules that a stream can answer");
        let restore = |blob: &[u8], threads| {
            Engine::restore(blob, rules(), Some(threads), None, None).expect("its own snapshot")
        };
        match compare(&window, (&stream, flaky.as_deref()), clock, &mut random, &make, &restore) {
            Ok(reported) => {
                let some = !reported.table.rows.is_empty();
                *frames.entry(frame_kind(window.frame)).or_default() += u64::from(some);
                windows += u64::from(some);
                early += u64::from(reported.early > 0);
                restored += reported.restored;
                failed += reported.failed;
                before_end += u64::from(reported.before_end > 0);
                behind_end += u64::from(reported.behind_end > 0);
                without_rows += u64::from(reported.without_rows > 0);
                topics += u64::from(two_topics && some);
            }
            Err(difference) => {
                let tables = stream.topics.iter().map(|(topic, table)| {
                    let table = table.to_reference();
                    format!("  rows of `{topic}`\n    {table}")
                });
                failures.push(format!(
                    "seed {seed}, {clock:?}: {difference}\n  window {}\n{}\n  arrival {:?}",
                    window.to_json(),
                    tables.collect::<Vec<_>>().join("\n"),
                    stream.arrival
                ));
            }
        }
    }
    println!(
        "{windows} of {cases} with windows, {early} before the end, {topics} of a topic, {restored} restored"
    );
    println!(
        "{frames:?}; {before_end} with reports before the end of a window, {behind_end} behind it, {without_rows} of empty ones"
    );
    assert!(
        failures.is_empty(),
        "{} failures of {cases}, the first:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n\n")
    );
    assert!(windows * 100 >= cases * 80 && early * 100 >= cases * 40 && topics * 100 >= cases * 25);
    assert!(restored >= cases / 2, "only {restored} restored");
    let shared = times_shared() - shared_before;
    println!("{failed} calls that failed, {shared} times shared among threads");
    assert!(failed >= cases / 20, "only {failed} calls that failed");
    assert!(shared >= cases / 10, "only {shared} times shared among threads");
    assert!(behind_end * 100 >= cases * 4, "only {behind_end} with reports behind the end of a window");
    assert!(before_end * 100 >= cases * 8 && without_rows * 100 >= cases * 3);
    assert!(frames.len() == 8 && frames.values().all(|ran| ran * 100 >= cases * 5), "{frames:?}");
}
