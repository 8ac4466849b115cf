//! A stream finds what a table gives, in the same order, decided at the same moments, however it is cut and however often
//! it is saved and loaded on the way.

use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};

use super::stream::{Found, Stream};

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 800 }
}

#[test]
fn a_stream_in_pieces_finds_what_it_finds_in_one() {
    let first: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let plain = SequenceKnobs { looks_ahead: false, looks_before: false, fails: true, ..SequenceKnobs::ALL };
    let (mut events, mut restored, mut failed, mut before_the_end) = (0, 0, 0, 0);
    let (mut indexed, mut asked) = (0, 0);
    for seed in first..first + cases() {
        let mut random = SplitMix64::new(seed.wrapping_mul(0xA076_1D64_78BD_642F));
        // Half of them compare rows with what runs know, so that runs that wait are indexed by it.
        let knobs = SequenceKnobs { joins: if seed % 2 == 0 { 85 } else { 15 }, ..plain };
        let pattern = random_sequence(&mut random, knobs);
        let shape = StreamShape { disorder: false, ..StreamShape::default() };
        let text = random_stream(&mut random, shape).topics.swap_remove(0).1;
        let batch = text.to_batch().expect("cells fit their columns");
        let new = || Stream::new(&pattern, &batch).expect("a pattern that looks at rows taken only");
        let mut whole = new();
        let expected = whole.push(&batch).and_then(|mut found| {
            found.extend(whole.finish()?);
            Ok(found)
        });
        let mut pieces = new();
        let mut found: Vec<Found> = vec![];
        let mut start = 0;
        let mut outcome = Ok(());
        while start < batch.num_rows() {
            let length = (1 + random.below(3)).min(batch.num_rows() - start);
            let piece = batch.slice(start, length);
            outcome = pieces.push(&piece).map(|more| found.extend(more));
            start += length;
            if outcome.is_err() {
                break;
            }
            if random.chance(60) {
                pieces.tidy(Stream::last_time(&piece).expect("a row"));
            }
            if random.chance(40) {
                asked += pieces.state.index_asked();
                pieces = pieces.restored(&pattern, &batch).expect("what was saved");
                restored += 1;
            }
        }
        before_the_end += found.len();
        indexed += u64::from(pieces.state.index_asked() > 0);
        asked += pieces.state.index_asked();
        let outcome = outcome.and_then(|()| pieces.finish()).map(|more| found.extend(more));
        match (outcome, expected) {
            (Ok(()), Ok(expected)) => {
                assert_eq!(found, expected, "seed {seed}\n{}\n{:?}", pattern.to_json(), text.rows);
                events += found.len();
            }
            (Err(found), Err(expected)) => {
                assert_eq!(found.code(), expected.code(), "seed {seed}");
                failed += 1;
            }
            (found, expected) => panic!("seed {seed}: found {found:?}, expected {expected:?}"),
        }
    }
    println!("{events} events, {before_the_end} before the end; restored {restored} times; {failed} errors");
    println!("indexes asked {asked} times, in {indexed} cases since the last restart");
    assert!(indexed * 10 > cases() && asked > cases() / 2, "{indexed} cases asked {asked} times");
    assert!(events as u64 > 2 * cases() && before_the_end * 2 > events && restored as u64 > cases());
}
