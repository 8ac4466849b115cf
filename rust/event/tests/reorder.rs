//! What is released, and in what order: random streams, cut at random, against the rules taken row by row.

mod stream;

use cepheid_event::{ReorderBuffer, TimePolicy};
use cepheid_testkit::SplitMix64;
use stream::{Model, Out, Row, Step, TOPICS, batch, late_of, rows_of};

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 500 }
}

struct Stream {
    policy: TimePolicy,
    now: Option<i64>,
    steps: Vec<Step>,
}

/// Small times, so that they often are equal, with a drift; every kind of policy.
fn random_stream(random: &mut SplitMix64) -> Stream {
    let span = |random: &mut SplitMix64, most: i64| random.between(0, most) as u64;
    // Several topics that keep step: equal times, and a watermark that often stands at the time of what comes.
    let in_step = random.chance(30);
    let policy = TimePolicy {
        lateness: random.chance(85).then(|| span(random, if in_step { 2 } else { 12 })),
        idle: random.chance(50).then(|| span(random, 25)),
        future: random.chance(40).then(|| span(random, 30)),
    };
    let topics = if in_step { 2 } else { 1 } + random.below(2);
    let disorder = random.between(0, if in_step { 2 } else { 15 });
    let drift = random.between(0, if in_step { 1 } else { 3 });
    let sorted = random.chance(20);
    let mut base = random.between(-50, 50);
    let now = random.chance(70).then(|| base + random.between(0, 60));
    let mut steps: Vec<Step> = (0..topics).map(Step::Add).collect();
    let mut active = vec![true; topics];
    let mut topic = 0;
    for id in 0..random.between(0, 90) {
        base += random.between(0, drift);
        if !random.chance(70) {
            topic = random.below(topics);
        }
        if random.chance(2) {
            steps.push(Step::Advance(base + random.between(-15, 10)));
        }
        if random.chance(1) {
            steps.push(Step::Flush);
        }
        if random.chance(2) {
            steps.push(if active[topic] { Step::Remove(topic) } else { Step::Add(topic) });
            active[topic] = !active[topic];
        }
        if active[topic] {
            let ahead = if random.chance(2) { random.between(0, 200) } else { 0 };
            let time = if sorted { base } else { base - random.between(0, disorder) + ahead };
            steps.push(Step::Row(topic, Row { time, id }));
        }
    }
    if random.chance(80) {
        steps.push(Step::Flush);
    }
    Stream { policy, now, steps }
}

/// How a run of rows of one topic is pushed.
#[derive(Clone, Copy, Debug)]
enum Cut {
    OneByOne,
    Whole,
    /// Random batches, several to a push, some empty, some slices; restored from its state now and then.
    Random(u64),
}

struct Outcome {
    released: Vec<Out>,
    late: Vec<Out>,
    buffer: ReorderBuffer,
    restored: usize,
}

fn run(stream: &Stream, cut: Cut) -> Outcome {
    let mut buffer = ReorderBuffer::new("ts", stream.policy);
    let (mut released, mut late, mut restored) = (vec![], vec![], 0);
    let mut random = SplitMix64::new(if let Cut::Random(seed) = cut { seed } else { 0 });
    let mut at = 0;
    while at < stream.steps.len() {
        if matches!(cut, Cut::Random(_)) && random.chance(8) {
            let state = buffer.state().unwrap();
            let again = ReorderBuffer::from_state("ts", stream.policy, state.clone()).unwrap();
            assert_eq!(again.state().unwrap(), state);
            assert_eq!((again.stats(), again.waiting()), (buffer.stats(), buffer.waiting()));
            buffer = again;
            restored += 1;
        }
        let out = match stream.steps[at] {
            Step::Row(topic, _) => {
                let more = match cut {
                    Cut::OneByOne => 1,
                    Cut::Whole => usize::MAX,
                    Cut::Random(_) => 1 + random.below(20),
                };
                let rows: Vec<Row> = stream.steps[at..]
                    .iter()
                    .map_while(|step| match step {
                        Step::Row(of, row) if *of == topic => Some(*row),
                        _ => None,
                    })
                    .take(more)
                    .collect();
                at += rows.len() - 1;
                let whole = batch(topic, &rows);
                let mut batches = vec![];
                let mut start = 0;
                while start < rows.len() {
                    let len = match cut {
                        Cut::Random(_) if random.chance(30) => random.below(rows.len() - start + 1),
                        _ => rows.len() - start,
                    };
                    batches.push(if random.chance(50) {
                        whole.slice(start, len)
                    } else {
                        batch(topic, &rows[start..start + len])
                    });
                    start += len;
                }
                buffer.push(TOPICS[topic], &batches, stream.now).unwrap()
            }
            Step::Advance(time) => buffer.advance_to(time).unwrap(),
            Step::Flush => {
                let out = buffer.flush().unwrap();
                assert!(out.ended);
                out
            }
            Step::Add(topic) => {
                assert_eq!(buffer.add_source(TOPICS[topic]).unwrap() as usize, topic);
                at += 1;
                continue;
            }
            Step::Remove(topic) => {
                buffer.remove_source(TOPICS[topic]).unwrap();
                at += 1;
                continue;
            }
        };
        assert_eq!(out.watermark, buffer.clock().watermark());
        released.extend(rows_of(&out.rows));
        late.extend(late_of(&out));
        at += 1;
    }
    if buffer.clock().due().is_some() {
        // What a source that is gone held back comes out by the next call, whichever it is.
        released.extend(rows_of(&buffer.advance_to(i64::MIN).unwrap().rows));
    }
    Outcome { released, late, buffer, restored }
}

#[test]
fn rows_come_out_as_the_rules_say_however_the_stream_is_cut() {
    let (mut streams, mut rows, mut late, mut waiting, mut ties, mut future, mut restored) =
        (0, 0, 0, 0, 0, 0, 0);
    for seed in 0..cases() {
        let stream = random_stream(&mut SplitMix64::new(seed));
        let mut model = Model::new(stream.policy, stream.now);
        stream.steps.iter().for_each(|step| model.step(*step));
        let cuts = [Cut::OneByOne, Cut::Whole, Cut::Random(seed), Cut::Random(!seed)];
        for cut in cuts {
            let outcome = run(&stream, cut);
            let context = format!("seed {seed}, {cut:?}, {:?}, {:?}", stream.policy, stream.now);
            assert_eq!(outcome.released, model.released, "{context}");
            assert_eq!(outcome.late, model.late, "{context}");
            assert_eq!(outcome.buffer.clock().watermark(), model.watermark, "{context}");
            assert_eq!(outcome.buffer.clock().closed(), model.closed, "{context}");
            assert_eq!(outcome.buffer.waiting(), model.waiting.len(), "{context}");
            for (stats, source) in outcome.buffer.stats().iter().zip(&model.sources) {
                let counts = (stats.active, stats.greatest, stats.rows, stats.late, stats.future);
                let expected = (source.active, source.greatest, source.rows, source.late, source.future);
                assert_eq!(counts, expected, "{context}");
            }
            restored += outcome.restored;
            streams += 1;
        }
        let order = |out: &Out| out.2;
        assert!(model.released.is_sorted_by_key(order), "seed {seed}");
        ties +=
            model.released.windows(2).filter(|pair| pair[0].2 == pair[1].2 && pair[0].0 > pair[1].0).count();
        rows += model.released.len();
        late += model.late.len();
        waiting += model.waiting.len();
        future += model.sources.iter().map(|source| source.future).sum::<u64>();
    }
    assert_eq!(streams, cases() * 4);
    // The streams are of every kind: they have late rows, rows left waiting, ties that arrival decided, rows ahead.
    let least = cases() as usize;
    assert!(rows > least * 15, "{rows} rows");
    assert!(late > least * 3, "{late} late rows");
    assert!(waiting > least / 2, "{waiting} rows left waiting");
    assert!(ties > least / 20, "{ties} ties of topics decided by the watermark");
    assert!(future > least as u64 / 5, "{future} rows ahead of the guard");
    assert!(restored > least, "{restored} restored");
}

#[test]
fn a_batch_in_order_passes_through_without_a_copy() {
    let mut buffer = ReorderBuffer::new("ts", TimePolicy { lateness: Some(0), ..TimePolicy::default() });
    buffer.add_source("a").unwrap();
    let rows: Vec<Row> = (0..100).map(|id| Row { time: id / 2, id }).collect();
    let whole = batch(0, &rows);
    let mut passed = 0;
    for start in [0, 40] {
        let pushed = whole.slice(start, 40);
        let out = buffer.push("a", std::slice::from_ref(&pushed), None).unwrap().rows;
        assert_eq!(out.num_rows(), 40);
        for name in ["only_a", "ts", "id"] {
            let (from, to) = (pushed.column_by_name(name).unwrap(), out.batch.column_by_name(name).unwrap());
            let address = |array: &arrow_array::ArrayRef| {
                let data = array.to_data();
                (data.buffers()[0].as_ptr() as usize) + data.offset()
            };
            assert_eq!(address(from), address(to), "{name}");
            passed += 1;
        }
        let times = out.time.inner().as_ptr();
        assert_eq!(times, pushed.column_by_name("ts").unwrap().to_data().buffers()[0].as_ptr());
    }
    assert_eq!(passed, 6);
    assert_eq!(buffer.bytes(), 0);
}

#[test]
fn one_row_ahead_of_its_time_does_not_keep_the_batch_it_came_in() {
    let policy = TimePolicy { lateness: Some(0), future: Some(1_000_000), ..TimePolicy::default() };
    let mut buffer = ReorderBuffer::new("ts", policy);
    buffer.add_source("a").unwrap();
    let mut rows: Vec<Row> = (0..50_000).map(|row| Row { time: row, id: 1_000 + row }).collect();
    rows[25_000].time = 10_000_000;
    let whole = batch(0, &rows);
    // Cut as a caller would: the row that waits then is in a slice that would keep the whole table.
    let mut released = 0;
    for start in (0..50_000).step_by(1_000) {
        released += buffer.push("a", &[whole.slice(start, 1_000)], Some(0)).unwrap().rows.num_rows();
    }
    assert_eq!((released, buffer.waiting()), (49_999, 1));
    assert!(whole.get_array_memory_size() > 1_000_000);
    assert!(buffer.bytes() < 2_000, "{} bytes", buffer.bytes());
    let out = buffer.flush().unwrap();
    assert_eq!(rows_of(&out.rows), [(0, 25_000, 10_000_000, 26_000)]);
    assert_eq!((buffer.waiting(), buffer.bytes()), (0, 0));
}

#[test]
fn memory_is_that_of_the_rows_within_lateness_however_small_the_batches() {
    let policy = TimePolicy { lateness: Some(5_000), ..TimePolicy::default() };
    let mut buffer = ReorderBuffer::new("ts", policy);
    buffer.add_source("a").unwrap();
    let mut random = SplitMix64::new(7);
    let (mut released, mut most_early, mut most_late) = (vec![], 0, 0);
    for id in 0..40_000 {
        let row = Row { time: id - random.between(0, 4_000), id };
        let out = buffer.push("a", &[batch(0, &[row])], None).unwrap();
        assert!(out.late.is_empty());
        released.extend(out.rows.time.iter().copied());
        let most = if id < 20_000 { &mut most_early } else { &mut most_late };
        if id % 100 == 0 {
            *most = buffer.bytes().max(*most);
        }
    }
    released.extend(buffer.flush().unwrap().rows.time.iter().copied());
    assert_eq!(released.len(), 40_000);
    assert!(released.is_sorted());
    assert!(most_late < most_early * 11 / 10, "{most_early} bytes, then {most_late}");
    // 5,000 rows of some 50 bytes, and 24 for the place of each.
    assert!(most_late < 1_500_000, "{most_late} bytes");
}

#[test]
fn dictionaries_that_change_from_batch_to_batch_are_put_together_past_the_codes_they_came_with() {
    let mut buffer = ReorderBuffer::new("ts", TimePolicy { lateness: None, ..TimePolicy::default() });
    buffer.add_source("a").unwrap();
    for first in (0..1_000).step_by(50) {
        // Two hundred and more values in all, of which 8 bits would not hold the codes; interleaved by time.
        let rows: Vec<Row> = (first..first + 50).map(|id| Row { time: id % 50, id }).collect();
        buffer.push("a", &[batch(0, &rows)], None).unwrap();
    }
    let out = buffer.advance_to(100).unwrap();
    let rows = rows_of(&out.rows);
    assert_eq!(rows.len(), 1_000);
    assert!(rows.is_sorted_by_key(|row| (row.2, row.1)));
}
