//! In a table, rows far from the rarest event that every match needs are passed over; what is found stays the same.

use cepheid_ir::{Selection, Within};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};

use super::stream::Stream;
use super::work::{all, rows, sequence};

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 1500 }
}

/// What nothing stands against passing rows over in.
const KNOBS: SequenceKnobs = SequenceKnobs {
    selections: &[Selection::All],
    after_match: false,
    absence_leading: false,
    timeouts: false,
    emit_at: false,
    look_back: false,
    looks_ahead: false,
    looks_before: false,
    ..SequenceKnobs::ALL
};

#[test]
fn a_table_finds_what_a_stream_finds_though_it_looks_at_fewer_rows() {
    let (mut events, mut fewer, mut fewer_with_events, mut at_once) = (0, 0, 0, 0);
    for seed in 0..cases() {
        let mut random = SplitMix64::new(seed.wrapping_mul(0xC2B2_AE3D_27D4_EB4F));
        let mut pattern = random_sequence(&mut random, KNOBS);
        // Narrow windows, so that there is something beyond them.
        if random.chance(60) {
            pattern.within = Some(match random.below(3) {
                0 => Within::Rows(random.between(1, 3) as u64),
                _ => Within::Time { nanoseconds: random.between(1, 3) * 60_000_000_000 },
            });
        }
        if random.chance(30) {
            pattern.selection = Selection::First;
        }
        let shape = StreamShape { disorder: false, ..StreamShape::default() };
        let text = random_stream(&mut random, shape).topics.swap_remove(0).1;
        let batch = text.to_batch().expect("cells fit their columns");
        let mut stream = Stream::new(&pattern, &batch).expect("a pattern that looks at rows taken only");
        let expected = stream.push(&batch).and_then(|mut found| {
            found.extend(stream.finish()?);
            Ok(found)
        });
        let (found, visited) = Stream::table(&pattern, &batch).expect("no condition that fails");
        let expected = expected.expect("no condition that fails");
        assert_eq!(found, expected, "seed {seed}\n{}\n{:?}", pattern.to_json(), text.rows);
        events += found.len();
        if visited < stream.state.rows_visited() {
            fewer += 1;
            fewer_with_events += u64::from(!found.is_empty());
        }
        at_once += u64::from(visited == 0 && stream.state.rows_visited() > 0);
    }
    println!(
        "{events} events; {fewer} tables with rows passed over, {fewer_with_events} of them with events"
    );
    println!("{at_once} tables without the event that every match needs");
    assert!(events as u64 > cases() && fewer * 8 > cases() && fewer_with_events * 40 > cases());
}

#[test]
fn only_rows_near_the_rarest_event_are_looked_at() {
    for length in [4000, 16_000] {
        // An `a` and a `b` in turn, and four times a `c`.
        let letter = |row: usize| match row {
            _ if row % (length / 4) == length / 8 => 'c',
            _ if row.is_multiple_of(2) => 'a',
            _ => 'b',
        };
        let batch = rows((0..length).map(letter));
        for within in [Within::Rows(10), Within::Time { nanoseconds: 11 }] {
            let mut pattern = all(sequence(&["a", "b", "c"]));
            pattern.within = Some(within);
            let (found, visited) = Stream::table(&pattern, &batch).expect("no errors");
            assert!(visited <= 4 * 22, "{visited} of {length} rows, {within:?}");
            assert_eq!(found.len(), 4 * 5, "{within:?}");
        }
    }
}
