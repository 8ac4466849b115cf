//! Random inputs of event sequences: few rows, tiny alphabets, equal times, NULLs and disorder on purpose.

use arrow_schema::{DataType, TimeUnit};

use crate::generate_events::{LETTERS, MINUTE};
use crate::sequence_input::SequenceInput;
use crate::split_mix::SplitMix64;
use crate::text_table::{TextColumn, TextTable};
use crate::value::RefValue;

/// Names of the topics of a stream that has several.
pub const TOPICS: [&str; 2] = ["left", "right"];
/// The column of event time.
pub const EVENT_TIME: &str = "ts";

/// Partition keys.
const KEYS: [&str; 3] = ["x", "y", "z"];

/// What a stream may hold.
#[derive(Clone, Copy, Debug)]
pub struct StreamShape {
    /// Whether the rows are of two topics, [`TOPICS`], rather than of one without a name.
    pub two_topics: bool,
    /// Whether event times may be NULL, as values and keys may.
    pub null_times: bool,
    /// Whether rows may arrive in another order than that of their times.
    pub disorder: bool,
    /// Most rows, all topics together.
    pub rows_max: usize,
}

impl Default for StreamShape {
    fn default() -> Self {
        Self { two_topics: false, null_times: false, disorder: true, rows_max: 12 }
    }
}

/// Rows of one or two topics and the order in which they arrive.
#[derive(Clone, Debug)]
pub struct RandomStream {
    /// Topics by name; one table has the empty name. Columns: `k` (string of one letter), `ts` (timestamp in whole
    /// minutes), `v` (int64), `p` (string, the key).
    pub topics: Vec<(String, TextTable)>,
    /// (topic, row) ordinals in order of arrival; rows of one topic in their own order.
    pub arrival: Vec<(usize, usize)>,
}

impl RandomStream {
    /// The stream as the reference reads it, rows of equal time in order of arrival.
    pub fn to_input(&self) -> SequenceInput {
        let arrival = Some(self.arrival.clone());
        SequenceInput { arrival, ..SequenceInput::of_text(&self.topics, Some(EVENT_TIME)) }
    }

    /// The same rows in a batch: equal times go by the order of topics, then by arrival.
    pub fn to_batch_input(&self) -> SequenceInput {
        SequenceInput { arrival: None, ..self.to_input() }
    }
}

/// A stream; the same for the same numbers.
pub fn random_stream(random: &mut SplitMix64, shape: StreamShape) -> RandomStream {
    let least = if random.chance(85) { shape.rows_max / 2 } else { 0 };
    let rows = least + random.below(shape.rows_max - least + 1);
    let keys = 1 + random.below(KEYS.len());
    let letters = *random.choose(&[2, 3, 3, 3, 4, 4]);
    let longest_gap = *random.choose(&[1, 1, 2, 4]);
    let ordered = !shape.disorder || random.chance(60);
    let names: &[&str] = if shape.two_topics { &TOPICS } else { &[""] };
    let mut topics: Vec<(String, TextTable)> = names
        .iter()
        .map(|name| ((*name).to_owned(), TextTable { columns: columns(), rows: vec![] }))
        .collect();
    let (mut arrival, mut time) = (vec![], random.between(0, 3));
    for _ in 0..rows {
        time += random.between(0, longest_gap);
        let shown = if ordered { time } else { time + random.between(-3, 3) };
        let nulls = 8;
        let cell = |percent: usize, value: RefValue, random: &mut SplitMix64| {
            if random.chance(percent) { RefValue::Null } else { value }
        };
        let letter = RefValue::String(LETTERS[random.below(letters)].to_owned());
        let value = RefValue::Integer(random.between(-1, 4).into());
        let key = RefValue::String(KEYS[random.below(keys)].to_owned());
        let topic = random.below(topics.len());
        arrival.push((topic, topics[topic].1.rows.len()));
        topics[topic].1.rows.push(vec![
            cell(nulls, letter, random),
            cell(if shape.null_times { 10 } else { 0 }, RefValue::Timestamp(shown * MINUTE), random),
            cell(nulls, value, random),
            cell(nulls, key, random),
        ]);
    }
    RandomStream { topics, arrival }
}

fn columns() -> Vec<TextColumn> {
    let named = [
        ("k", DataType::Utf8),
        (EVENT_TIME, DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("v", DataType::Int64),
        ("p", DataType::Utf8),
    ];
    named
        .into_iter()
        .map(|(name, data_type)| TextColumn { name: name.into(), data_type, declared: true })
        .collect()
}
