//! Random rules that read what other rules derive: each derives what the definition does that is run alone, over whole tables,
//! one rule after the other, however the stream is cut and comes, and wherever the engine is saved and restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_select::filter::filter;
use cepheid_engine::{DerivedTable, Engine, EngineError, EngineOptions, Fault, Process, Processor, RuleSpec};
use cepheid_event::{event_times, times_of};
use cepheid_ir::{Expr, Frame, Measure, Pattern, PatternNode, RowPointer, VariableTopic, Within};
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, RandomStream, StreamShape, TOPICS, random_stream};
use cepheid_testkit::generate_windows::{WindowKnobs, random_window};
use cepheid_testkit::{
    RefValue, ReferenceError, ReferenceTable, SequenceInput, SequenceKind, SplitMix64, reference_sequences,
    reference_windows,
};

const MINUTE: i64 = 60_000_000_000;
/// No row of a stream comes so far behind another.
const LATENESS: u64 = 7 * MINUTE as u64;
/// More rows than these of a topic make the definition slow.
const ROWS_READ_MAX: usize = 14;

/// Topics in the order in which rows of equal time go; rules come behind.
const RANKED: [&str; 2] = TOPICS;

/// Events of a topic: what is derived, and the rows of each, as (variable, topic, ordinal).
#[derive(Clone, Debug, Default)]
struct Events {
    /// With the columns `k`, `v`, `p` and the event time, whatever their order.
    rows: ReferenceTable,
    members: Vec<Vec<(String, String, i64)>>,
}

/// Columns that every topic has, so that every rule can read every topic.
const SHARED: [&str; 3] = ["k", "v", "p"];

/// What is reported of each event: columns of its last row, or of that of one of these variables.
fn measures(
    partition_by: &[cepheid_ir::ColumnName],
    variables: &[String],
    random: &mut SplitMix64,
) -> Vec<Measure> {
    let free = SHARED.iter().filter(|name| !partition_by.iter().any(|key| key.name == **name));
    let measure = |name: &&str| {
        let of_one = !variables.is_empty() && random.chance(60);
        let variable = of_one.then(|| random.choose(variables).clone());
        let at = RowPointer { variable, ..RowPointer::default() };
        Measure { name: (*name).into(), value: Expr::Column { name: (*name).into(), quoted: false, at } }
    };
    free.map(measure).collect()
}

/// Passes over rows whose `v` is NULL, and puts the others forward.
#[derive(Debug)]
struct Later {
    by: i64,
}

impl Later {
    /// That of a rule: every other puts rows forward.
    fn of(rule: &str) -> Self {
        Self { by: if rule.ends_with(['1', '3']) { 2 * MINUTE } else { 0 } }
    }
}

impl Process for Later {
    fn process(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>, Fault> {
        let column = |name: &str| Arc::clone(rows.column_by_name(name).expect("all topics have it"));
        let there = BooleanArray::from_iter((0..rows.num_rows()).map(|row| Some(column("v").is_valid(row))));
        let kept = |array: ArrayRef| filter(&array, &there).expect("of one length");
        let time = kept(column(EVENT_TIME));
        let times = event_times(EVENT_TIME, &time, 0).expect("times");
        let times = times_of(times.iter().map(|time| time + self.by).collect(), time.data_type());
        let mut columns: Vec<(&str, ArrayRef)> =
            SHARED.iter().map(|name| (*name, kept(column(name)))).collect();
        columns.push((EVENT_TIME, times.expect("of the same type")));
        Ok(Some(RecordBatch::try_from_iter(columns).expect("of one length")))
    }
}

/// A rule over some of the topics there are.
fn random_rule(random: &mut SplitMix64, number: usize, topics: &[String]) -> RuleSpec {
    let name = Some(format!("r{number}"));
    if random.chance(if number == 0 { 10 } else { 20 }) {
        let function = Arc::new(Later::of(&format!("r{number}")));
        return Processor { name, topic: random.choose(topics).clone(), emit: None, function }.into();
    }
    if random.chance(35) {
        let mut window = random_window(random, WindowKnobs { topics: false, ..WindowKnobs::STREAM });
        (window.name, window.topic) = (name, Some(random.choose(topics).clone()));
        window.measures = measures(&window.partition_by, &[], random);
        // No row comes late here, and topics of theirs are not to be shared.
        window.reports.late_ns = None;
        return window.into();
    }
    let knobs = SequenceKnobs { looks_ahead: false, steps_max: 3, ..SequenceKnobs::ALL };
    let mut pattern = random_sequence(random, knobs);
    pattern.name = name;
    let read: Vec<String> = match number {
        // Of all sources: what is reported of one that is silent has no type.
        0 => topics.to_vec(),
        _ => (0..1 + random.below(2)).map(|_| random.choose(topics).clone()).collect(),
    };
    let variables: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
    let absent = absent_variables(&pattern.root);
    let taken: Vec<String> = variables.iter().filter(|name| !absent.contains(name)).cloned().collect();
    pattern.topics = variables
        .into_iter()
        .map(|variable| VariableTopic { variable, topic: random.choose(&read).clone() })
        .collect();
    pattern.measures = measures(&pattern.partition_by, &taken, random);
    for entry in &mut pattern.emit_at {
        (entry.topic, entry.measures) =
            (format!("r{number}.raised"), measures(&pattern.partition_by, &[], random));
    }
    pattern.within.get_or_insert(Within::Unbounded);
    pattern.into()
}

fn absent_variables(root: &PatternNode) -> Vec<String> {
    let mut absent = vec![];
    root.walk(&mut |node| {
        if let PatternNode::Absent { variable, .. } = node {
            absent.push(variable.clone());
        }
    });
    absent
}

/// Topics of what a rule derives.
fn topics_of(rule: &RuleSpec) -> Vec<String> {
    match rule {
        RuleSpec::Window(asked) => vec![asked.window.name.clone().expect("named")],
        RuleSpec::Processor(processor) => vec![processor.name.clone().expect("named")],
        RuleSpec::Anomaly(_) => unreachable!("none is made here"),
        RuleSpec::Pattern(pattern) => {
            let own = pattern.name.clone().expect("named");
            let timeouts = pattern.timeouts.then(|| format!("{own}.timeout"));
            let raised = pattern.emit_at.iter().map(|entry| entry.topic.clone());
            [own].into_iter().chain(timeouts).chain(raised).collect()
        }
    }
}

fn reads(rule: &RuleSpec) -> Vec<String> {
    match rule {
        RuleSpec::Window(asked) => asked.window.topic.iter().cloned().collect(),
        RuleSpec::Processor(processor) => vec![processor.topic.clone()],
        RuleSpec::Anomaly(_) => unreachable!("none is made here"),
        RuleSpec::Pattern(pattern) => pattern.topics.iter().map(|entry| entry.topic.clone()).collect(),
    }
}

/// What a rule derives of whole topics. `end`: where the clock stands when the input ends.
fn defined(
    rule: &RuleSpec,
    known: &[(String, Events)],
    end: i64,
) -> Result<Vec<(String, Events)>, ReferenceError> {
    let input = SequenceInput {
        topics: known.iter().map(|(topic, events)| (topic.clone(), events.rows.clone())).collect(),
        event_time: Some(EVENT_TIME.into()),
        arrival: None,
        clock: Some(end),
        lateness: None,
    };
    let mut found: Vec<(String, Events)> =
        topics_of(rule).into_iter().map(|topic| (topic, Events::default())).collect();
    let columns = || [&SHARED[..], &[EVENT_TIME]].concat().into_iter().map(str::to_owned).collect();
    found.iter_mut().for_each(|(_, events)| events.rows.columns = columns());
    match rule {
        RuleSpec::Window(asked) => {
            let window = &asked.window;
            for entry in reference_windows(window, &input)? {
                let keys = window.partition_by.iter().map(|key| key.name.as_str()).zip(&entry.key);
                let values = window.measures.iter().map(|own| own.name.as_str()).zip(&entry.values);
                let row: BTreeMap<&str, &RefValue> = keys.chain(values).collect();
                let short =
                    matches!(window.frame, Frame::Rows { rows, .. } if rows > entry.rows.len() as u64);
                found[0].1.add(&row, if short { end } else { entry.moment }, vec![]);
            }
        }
        RuleSpec::Anomaly(_) => unreachable!("none is made here"),
        RuleSpec::Processor(processor) => {
            let (_, read) =
                known.iter().find(|(topic, _)| *topic == processor.topic).expect("a topic there is");
            let column = |name: &str| read.rows.column_index(name, true).expect("all topics have it");
            let mut rows: Vec<usize> = (0..read.rows.rows.len()).collect();
            rows.sort_by_key(|row| time_of(&read.rows, *row));
            rows.retain(|row| read.rows.rows[*row][column("v")] != RefValue::Null);
            let by = Later::of(processor.name.as_deref().expect("named")).by;
            for row in rows {
                let values = SHARED.iter().map(|name| (*name, &read.rows.rows[row][column(name)])).collect();
                found[0].1.add(&values, time_of(&read.rows, row) + by, vec![]);
            }
        }
        RuleSpec::Pattern(pattern) => {
            for event in reference_sequences(pattern, &input)? {
                let topic = match event.kind {
                    SequenceKind::Match => pattern.name.clone().expect("named"),
                    SequenceKind::Timeout => format!("{}.timeout", pattern.name.as_ref().expect("named")),
                    SequenceKind::Emitted(entry) => pattern.emit_at[entry].topic.clone(),
                };
                let (_, first, row) = &event.members[0];
                let table = &known[*first].1.rows;
                let keys = pattern.partition_by.iter().map(|key| {
                    let column = table.column_index(&key.name, true).expect("all topics have it");
                    (key.name.as_str(), &table.rows[*row][column])
                });
                let values = pattern.measures.iter().map(|own| own.name.as_str()).zip(&event.values);
                let row: BTreeMap<&str, &RefValue> = keys.chain(values).collect();
                let time = if event.moment.end_of_input {
                    end
                } else {
                    i64::try_from(event.moment.time.expect("no row is without a time")).expect("a time")
                };
                let members = event.members.iter();
                let members = members
                    .map(|(variable, topic, row)| (variable.clone(), known[*topic].0.clone(), *row as i64));
                let events =
                    found.iter_mut().find(|(known, _)| *known == topic).expect("a topic of the rule");
                events.1.add(&row, time, members.collect());
            }
        }
    }
    Ok(found)
}

fn time_of(table: &ReferenceTable, row: usize) -> i64 {
    let column = table.column_index(EVENT_TIME, true).expect("all topics have it");
    match table.rows[row][column] {
        RefValue::Timestamp(time) => time,
        ref other => unreachable!("{other} is no time"),
    }
}

impl Events {
    fn add(&mut self, row: &BTreeMap<&str, &RefValue>, time: i64, members: Vec<(String, String, i64)>) {
        let mut values: Vec<RefValue> = SHARED.iter().map(|name| row[name].clone()).collect();
        values.push(RefValue::Timestamp(time));
        self.rows.rows.push(values);
        self.members.push(members);
    }
}

/// What an engine has derived so far.
#[derive(Default)]
struct Derived {
    of: BTreeMap<String, Events>,
}

impl Derived {
    fn add(&mut self, tables: &[(String, DerivedTable)]) {
        for (topic, table) in tables {
            let events = self.of.entry(topic.clone()).or_default();
            let more = ReferenceTable::from_batches(std::slice::from_ref(&table.batch));
            for row in more.rows {
                let value = |name: &&str| {
                    row[more.columns.iter().position(|own| own == name).expect("shared")].clone()
                };
                events.rows.rows.push(SHARED.iter().map(value).collect());
            }
            let first = events.members.len();
            events.members.resize(first + table.matches, vec![]);
            for (event, member) in members_of(table) {
                events.members[first + event].push(member);
            }
        }
    }
}

fn members_of(table: &DerivedTable) -> Vec<(usize, (String, String, i64))> {
    // Of windows there is none.
    let Some(membership) = &table.membership else { return vec![] };
    let names = |column: usize| -> Vec<String> {
        let column = membership.column(column).as_dictionary::<Int32Type>();
        let values = column.values().as_string::<i32>();
        column.keys().iter().map(|key| values.value(key.expect("not null") as usize).to_owned()).collect()
    };
    let (variables, topics) = (names(1), names(3));
    let events = membership.column(0).as_primitive::<Int64Type>();
    let rows = membership.column(2).as_primitive::<Int64Type>();
    let each = variables.into_iter().zip(topics).enumerate();
    each.map(|(place, (variable, topic))| {
        (events.value(place) as usize, (variable, topic, rows.value(place)))
    })
    .collect()
}

/// How rows come, as times of the clock are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// In order, of one topic: each row moves it.
    Rows,
    /// In disorder: each row moves it as far as none can be late.
    Lateness,
    /// It is moved by hand.
    Hand,
}

/// A call of an engine, which may have to be made again.
type Call<'a> = &'a dyn Fn(&mut Engine) -> Result<Vec<(String, DerivedTable)>, EngineError>;

struct Outcome {
    derived: Derived,
    restored: u64,
    /// How often a topic had to be told of before a call could be.
    told: u64,
}

fn run(
    rules: &[RuleSpec],
    stream: &RandomStream,
    clock: Clock,
    random: &mut SplitMix64,
) -> Result<Outcome, EngineError> {
    let topics = RANKED.iter().map(|topic| (*topic).to_owned()).chain(rules.iter().flat_map(topics_of));
    // In whatever order they come, rules read each other.
    let mut shuffled = rules.to_vec();
    for place in (1..shuffled.len()).rev() {
        shuffled.swap(place, random.below(place + 1));
    }
    let mut engine = Engine::new(
        shuffled.clone(),
        EngineOptions {
            event_time: EVENT_TIME.to_owned(),
            topics: topics.collect(),
            lateness_ns: match clock {
                Clock::Rows => Some(0),
                Clock::Lateness => Some(LATENESS),
                Clock::Hand => None,
            },
            threads: Some(1 + random.below(3)),
            ..EngineOptions::default()
        },
    )?;
    let batches: Vec<RecordBatch> =
        stream.topics.iter().map(|(_, table)| table.to_batch().expect("cells fit their columns")).collect();
    let read: Vec<String> = rules.iter().flat_map(reads).collect();
    let (mut derived, mut restored, mut arrived, mut told) = (Derived::default(), 0, 0, 0);
    // What is reported of a topic that has sent nothing has no type: those who read it have to be told before.
    let mut ask = |engine: &mut Engine, call: Call<'_>| loop {
        match call(engine) {
            Err(EngineError::SilentTopic { silent, .. }) => {
                let source = stream.topics.iter().position(|(topic, _)| *topic == silent);
                let source = source.expect("every rule reads sources in the end");
                assert!(engine.push(Some(&silent), &[batches[source].slice(0, 0)], None)?.is_empty());
                told += 1;
            }
            answer => break answer,
        }
    };
    let most = *random.choose(&[1, 1, 3, 40]);
    while arrived < stream.arrival.len() {
        if random.chance(20) {
            let blob = engine.snapshot()?;
            engine = Engine::restore(&blob, shuffled.clone(), Some(1 + random.below(3)), None, None)?;
            restored += 1;
        }
        let (topic, row) = stream.arrival[arrived];
        let together = stream.arrival[arrived..].iter().take_while(|(other, _)| *other == topic).count();
        let rows = (1 + random.below(most)).min(together);
        arrived += rows;
        let name = stream.topics[topic].0.as_str();
        if read.iter().any(|known| known == name) {
            let pushed = batches[topic].slice(row, rows);
            let push = |engine: &mut Engine| engine.push(Some(name), std::slice::from_ref(&pushed), None);
            derived.add(&ask(&mut engine, &push)?);
        }
        let ahead =
            stream.arrival[arrived..].iter().filter(|(topic, _)| read.contains(&stream.topics[*topic].0));
        let ahead = ahead.map(|(topic, row)| time_of(&stream.topics[*topic].1.to_reference(), *row)).min();
        if let (Clock::Hand, Some(ahead), true) = (clock, ahead, random.chance(40)) {
            let time = ahead - random.between(1, MINUTE);
            derived.add(&ask(&mut engine, &|engine| engine.advance_to(time))?);
        }
    }
    derived.add(&ask(&mut engine, &Engine::flush)?);
    assert!(engine.flush()?.is_empty(), "something is derived after the end");
    Ok(Outcome { derived, restored, told })
}

/// Has the second topic send nothing before all of the first is there and over.
fn speak_later(stream: &mut RandomStream, by: i64) {
    let table = &mut stream.topics[1].1;
    let time = table.columns.iter().position(|column| column.name == EVENT_TIME).expect("all topics have it");
    for row in &mut table.rows {
        if let RefValue::Timestamp(at) = &mut row[time] {
            *at += by;
        }
    }
    stream.arrival.sort_by_key(|(topic, _)| *topic);
}

/// Says where the two differ.
fn compare(expected: &[(String, Events)], found: &Derived) -> Result<(), String> {
    for (topic, events) in expected {
        let own = found.of.get(topic);
        let rows = own.map_or(&[][..], |own| &own.rows.rows);
        let plain: Vec<Vec<RefValue>> =
            events.rows.rows.iter().map(|row| row[..SHARED.len()].to_vec()).collect();
        let columns: Vec<String> = SHARED.iter().map(|name| (*name).to_owned()).collect();
        let table = ReferenceTable { columns: columns.clone(), rows: plain };
        table.check(&columns, rows).map_err(|difference| format!("topic `{topic}`: {difference}"))?;
        let members = own.map_or(&[][..], |own| &own.members);
        if members != events.members {
            return Err(format!("topic `{topic}`: rows {:?}, not {:?}", members, events.members));
        }
    }
    match found.of.keys().find(|topic| !expected.iter().any(|(known, _)| known == *topic)) {
        Some(topic) => Err(format!("events of topic `{topic}`")),
        None => Ok(()),
    }
}

#[test]
fn random_rules_derive_what_each_derives_alone_of_whole_topics() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 1_500 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut ran, mut restored, mut failures) = (0, 0, vec![]);
    let (mut by_level, mut passed_on, mut kinds) = ([0_u64; 4], 0_u64, BTreeMap::<&str, u64>::new());
    let (mut processors, mut told) = (0_u64, 0_u64);
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 23);
        let clock = [Clock::Rows, Clock::Lateness, Clock::Hand][seed as usize % 3];
        let two_topics = clock != Clock::Rows;
        let shape = StreamShape {
            two_topics,
            null_times: false,
            disorder: clock != Clock::Rows,
            ..StreamShape::default()
        };
        let mut stream = random_stream(&mut random, shape);
        stream.topics[0].0 = TOPICS[0].to_owned();
        if clock == Clock::Hand && random.chance(80) {
            speak_later(&mut stream, 30 * MINUTE);
        }
        let mut known: Vec<(String, Events)> = stream
            .topics
            .iter()
            .map(|(topic, table)| (topic.clone(), Events { rows: table.to_reference(), members: vec![] }))
            .collect();
        // A source that nobody pushes moves no clock.
        let times = |(topic, row): &(usize, usize)| time_of(&known[*topic].1.rows, *row);
        let sources = known.len();
        let mut levels: BTreeMap<String, usize> = known.iter().map(|(topic, _)| (topic.clone(), 0)).collect();
        let (mut rules, mut outcome) = (vec![], Ok(()));
        let count = 2 + random.below(3);
        let mut ends = vec![];
        ends.extend(stream.arrival.iter().map(|origin| (stream.topics[origin.0].0.clone(), times(origin))));
        for number in 0..count {
            // What rules derive is read more often than what there was anyway.
            let mut readable: Vec<String> = known[..sources].iter().map(|(topic, _)| topic.clone()).collect();
            for (topic, events) in &known[sources..] {
                let times = if events.rows.rows.is_empty() { 1 } else { 5 };
                readable.extend((0..times).map(|_| topic.clone()));
            }
            let rule = random_rule(&mut random, number, &readable);
            let rows = |topic: &String| {
                known.iter().find(|(own, _)| own == topic).map_or(0, |(_, events)| events.rows.rows.len())
            };
            let mut read = reads(&rule);
            read.sort();
            read.dedup();
            if read.iter().map(rows).sum::<usize>() > ROWS_READ_MAX {
                continue;
            }
            let level = read.iter().map(|topic| levels[topic]).max().unwrap_or(0) + 1;
            levels.extend(topics_of(&rule).into_iter().map(|topic| (topic, level)));
            rules.push(rule.clone());
            // The clock of the end is that of the sources that are read, which is not known before all rules are.
            known.extend(topics_of(&rule).into_iter().map(|topic| (topic, Events::default())));
            match defined(&rule, &known[..known.len() - topics_of(&rule).len()], 0) {
                Ok(found) => {
                    let from = known.len() - found.len();
                    known.splice(from.., found);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let read: Vec<String> = rules.iter().flat_map(reads).collect();
        let end = ends.iter().filter(|(topic, _)| read.contains(topic)).map(|(_, time)| *time).max();
        let mut expected: Vec<(String, Events)> = known[..sources].to_vec();
        for rule in &rules {
            match defined(rule, &expected, end.unwrap_or(0)) {
                Ok(found) => expected.extend(found),
                Err(error) => outcome = Err(error),
            }
        }
        if outcome.is_err() {
            *kinds.entry("not defined").or_default() += 1;
            continue;
        }
        let found = match run(&rules, &stream, clock, &mut random) {
            Ok(found) => found,
            Err(EngineError::Pattern(_)) => {
                *kinds.entry("unsupported").or_default() += 1;
                continue;
            }
            Err(error) => {
                failures.push(format!("seed {seed}, {clock:?}: {error}\n{}", describe(&rules, &stream)));
                continue;
            }
        };
        ran += 1;
        restored += found.restored;
        told += found.told;
        processors += rules.iter().filter(|rule| matches!(rule, RuleSpec::Processor(_))).count() as u64;
        for (topic, events) in &expected[sources..] {
            if !events.rows.rows.is_empty() {
                by_level[levels[topic].min(4) - 1] += 1;
                passed_on += u64::from(read.contains(topic));
            }
        }
        if let Err(difference) = compare(&expected[sources..], &found.derived) {
            failures.push(format!("seed {seed}, {clock:?}: {difference}\n{}", describe(&rules, &stream)));
        }
    }
    println!(
        "{ran} of {cases} ran, {restored} restored, topics with events by level {by_level:?}, {passed_on} of them read; {processors} processors, {told} topics told of; {kinds:?}"
    );
    assert!(
        failures.is_empty(),
        "{} failures of {ran}, the first:\n{}",
        failures.len(),
        failures[..failures.len().min(4)].join("\n\n")
    );
    assert!(
        processors * 100 >= cases * 20 && told * 1_500 >= cases,
        "{processors} processors, {told} told of"
    );
    assert!(ran * 100 >= cases * 60 && restored >= cases, "{ran} ran, {restored} restored");
    assert!(by_level[1] * 100 >= cases * 25 && by_level[2] * 100 >= cases * 5, "{by_level:?}");
}

/// A failure as whoever mends it wants to see it.
fn describe(rules: &[RuleSpec], stream: &RandomStream) -> String {
    let rules = rules.iter().map(|rule| match rule {
        RuleSpec::Pattern(pattern) => Pattern::to_json(pattern),
        RuleSpec::Window(asked) => asked.window.to_json(),
        RuleSpec::Anomaly(rule) => rule.to_json(),
        RuleSpec::Processor(processor) => format!("{processor:?}"),
    });
    let tables =
        stream.topics.iter().map(|(topic, table)| format!("`{topic}`\n    {}", table.to_reference()));
    format!(
        "  {}\n  {}\n  arrival {:?}",
        rules.collect::<Vec<_>>().join("\n  "),
        tables.collect::<Vec<_>>().join("\n  "),
        stream.arrival
    )
}
