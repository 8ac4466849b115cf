//! What is taken back leaves no trace: the next chunk finds what it would have found anyway.

use cepheid_ir::Pattern;
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};

use super::stream::{Found, Stream};

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 4_000 } else { 600 }
}

fn random_pattern(random: &mut SplitMix64) -> Pattern {
    let joins = if random.chance(50) { 85 } else { 15 };
    let knobs =
        SequenceKnobs { looks_ahead: false, looks_before: false, fails: true, joins, ..SequenceKnobs::ALL };
    random_sequence(random, knobs)
}

#[test]
fn a_chunk_taken_back_leaves_no_trace() {
    let (mut taken_back, mut undone, mut events, mut failed, mut asked) = (0, 0, 0, 0, 0);
    for seed in 0..cases() {
        let mut random = SplitMix64::new(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        let pattern = random_pattern(&mut random);
        let shape = StreamShape { disorder: false, ..StreamShape::default() };
        let text = random_stream(&mut random, shape).topics.swap_remove(0).1;
        let batch = text.to_batch().expect("cells fit their columns");
        let mut plain = Stream::new(&pattern, &batch).expect("a pattern that looks at rows taken only");
        let mut tried = plain.clone();
        let mut start = 0;
        while start < batch.num_rows() {
            let length = (1 + random.below(4)).min(batch.num_rows() - start);
            // Something else comes first, and is taken back: all that is left, and even the end.
            let before = tried.saved();
            let counts = |stream: &Stream| {
                let state = &stream.state;
                let visited = (state.rows_visited(), state.runs_visited(), state.index_asked());
                (state.live_runs(), state.partitions(), visited)
            };
            let counted = counts(&tried);
            let mut ahead = tried.clone();
            ahead.state.begin();
            let more = ahead.push(&batch.slice(start, batch.num_rows() - start));
            let end = if random.chance(50) { ahead.finish() } else { Ok(vec![]) };
            undone += more.map_or(0, |found| found.len()) + end.map_or(0, |found| found.len());
            ahead.state.roll_back();
            tried.state = ahead.state;
            taken_back += 1;
            assert_eq!(tried.saved(), before, "seed {seed}");
            assert_eq!(counts(&tried), counted, "seed {seed}");

            tried.state.begin();
            let found = tried.push(&batch.slice(start, length));
            let expected = plain.push(&batch.slice(start, length));
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    tried.state.commit();
                    // What is over is let go of in one stream only: it must not be missed.
                    tried.tidy(Stream::last_time(&batch.slice(start, length)).expect("rows"));
                    assert_eq!(found, expected, "seed {seed}, rows {start}..");
                    events += found.len();
                }
                (Err(found), Err(expected)) => {
                    assert_eq!(found.code(), expected.code());
                    failed += 1;
                    break;
                }
                (found, expected) => panic!("seed {seed}: found {found:?}, expected {expected:?}"),
            }
            start += length;
        }
        asked += tried.state.index_asked();
        if start >= batch.num_rows() {
            let told = |outcome: Result<Vec<Found>, _>| outcome.map_err(|error| format!("{error}"));
            assert_eq!(told(tried.finish()), told(plain.finish()), "seed {seed}, the end");
        }
    }
    assert!(asked > cases(), "indexes were asked {asked} times");
    println!("{taken_back} chunks taken back, {undone} events with them; {events} events, {failed} errors");
    assert!(taken_back > 3 * cases() as usize && undone as u64 > 2 * cases() && events as u64 > cases());
}
