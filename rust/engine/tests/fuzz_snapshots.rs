//! Bytes that are no snapshot, or a damaged one: refused with a typed error, or harmless, and never a panic.

use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use cepheid_engine::{
    Engine, EngineError, EngineOptions, Fault, Process, Processor, RuleSpec, RuleStats, Strategy,
};
use cepheid_ir::{Anomaly, Pattern, Window};
use cepheid_testkit::SplitMix64;
use sha2::{Digest, Sha256};
use std::sync::Arc;

const HEAD_BYTES: usize = 52;

fn patterns() -> Vec<Pattern> {
    let texts = [
        r#"{"cepheid_ir":1,"pattern":{"name":"spree","partition_by":[{"name":"card"}],
          "root":{"sequence":[{"node":{"quantified":{"node":{"variable":"small"},"quantifier":{"min":2,"max":null,"contiguity":"skip_till_next"}}}},
            {"contiguity":"skip_till_next","node":{"variable":"big"}}]},
          "define":[{"variable":"small","condition":{"binary":{"op":"less","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":50}}}}},
                    {"variable":"big","condition":{"binary":{"op":"greater","left":{"column":{"name":"amount"}},"right":{"column":{"name":"amount","at":{"variable":"small"}}}}}}],
          "within":{"time":{"nanoseconds":1000}},"empty_matches":"excluded","output":"derived"}}"#,
        r#"{"cepheid_ir":1,"pattern":{"name":"silent","partition_by":[{"name":"card"}],"selection":"all","after_match":"none",
          "root":{"sequence":[{"node":{"variable":"a"}},{"contiguity":"skip_till_next","node":{"absent":{"variable":"b","for_ns":40}}}]},
          "define":[{"variable":"b","condition":{"binary":{"op":"greater","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":90}}}}}],
          "empty_matches":"excluded","output":"derived"}}"#,
        // By step lists, a loop and an optional step among them.
        r#"{"cepheid_ir":1,"pattern":{"name":"lists","partition_by":[{"name":"card"}],"selection":"all","after_match":"none",
          "root":{"sequence":[{"node":{"quantified":{"node":{"variable":"low"},"quantifier":{"min":1,"max":null,"contiguity":"skip_till_next"}}}},
            {"contiguity":"skip_till_any","node":{"quantified":{"node":{"variable":"mid"},"quantifier":{"min":0,"max":1,"contiguity":"skip_till_next"}}}},
            {"contiguity":"skip_till_any","node":{"variable":"high"}}]},
          "define":[{"variable":"low","condition":{"binary":{"op":"less","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":30}}}}},
                    {"variable":"mid","condition":{"binary":{"op":"less","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":60}}}}},
                    {"variable":"high","condition":{"binary":{"op":"greater","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":80}}}}}],
          "within":{"time":{"nanoseconds":40}},"empty_matches":"excluded","output":"derived"}}"#,
    ];
    texts.iter().map(|text| Pattern::from_json(text).expect("a pattern")).collect()
}

/// A window of every frame, over states of every kind.
fn windows() -> Vec<Window> {
    let grid =
        r#"{"time":{"size_ns":20,"every_ns":6}},"reports":{"early":{"every_ns":4},"empty":{"for_ns":60}}"#;
    let late = r#"{"time":{"size_ns":20,"every_ns":6}},"reports":{"early":{"every_ns":4},"late_ns":60}"#;
    let frames = [
        ("tumbling", r#"{"time":{"size_ns":40,"every_ns":40}}"#),
        ("reported", grid),
        ("again", late),
        ("early", r#"{"session":{"gap_ns":4}},"reports":{"early":{"rows":2}}"#),
        ("hopping", r#"{"time":{"size_ns":20,"every_ns":6}}"#),
        ("sliding", r#"{"range":{"preceding_ns":9}}"#),
        ("session", r#"{"session":{"gap_ns":4}}"#),
        ("counted", r#"{"rows":{"rows":7,"every":9}}"#),
        ("overlapping", r#"{"rows":{"rows":7,"every":2}}"#),
    ];
    let window = |(name, frame): (&str, &str)| {
        let measure = |name: &str, args: &str| {
            let function = name.split('-').next().expect("a name has a beginning");
            format!(
                r#"{{"name":"{name}","value":{{"aggregate":{{"function":"{function}","args":[{args}]}}}}}}"#
            )
        };
        let (amount, units) = (r#"{"column":{"name":"amount"}}"#, r#"{"column":{"name":"units"}}"#);
        let with = |column: &str, constant: &str| format!(r#"{column},{{"literal":{{{constant}}}}}"#);
        let big = format!(
            r#"{{"binary":{{"op":"greater","left":{amount},"right":{{"literal":{{"integer":50}}}}}}}}"#
        );
        let measures = [
            measure("count", ""),
            measure("count-present", units),
            measure("count_if", &big),
            measure("sum", amount),
            measure("sum-whole", units),
            measure("stddev", amount),
            measure("variance-whole", units),
            measure("min", amount),
            measure("max-whole", units),
            measure("median", amount),
            measure("top_k", &with(units, r#""integer":2"#)),
            measure("ewma", &with(amount, r#""float":0.5"#)),
            measure("ewma-by-age", &with(amount, r#""interval":{"nanoseconds":9}"#)),
            measure(
                "approx_top_k",
                &format!(r#"{},{{"literal":{{"float":0.1}}}}"#, with(units, r#""integer":2"#)),
            ),
            measure("approx_n_unique", units),
            measure("approx_quantile", &with(amount, r#""float":0.5"#)),
            measure("array_agg", amount),
            format!(
                r#"{{"name":"kinds","value":{{"aggregate":{{"function":"count","distinct":true,"args":[{amount}]}}}}}}"#
            ),
            r#"{"name":"first","value":{"column":{"name":"card","at":{"anchor":"first"}}}}"#.to_owned(),
            r#"{"name":"last","value":{"column":{"name":"units"}}}"#.to_owned(),
        ];
        let text = format!(
            r#"{{"cepheid_ir":1,"window":{{"name":"{name}","partition_by":[{{"name":"card"}}],"frame":{frame},"measures":[{}]}}}}"#,
            measures.join(",")
        );
        Window::from_json(&text).expect("a window")
    };
    frames.into_iter().map(window).collect()
}

/// Gives what it is given.
#[derive(Debug)]
struct Same;

impl Process for Same {
    fn process(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>, Fault> {
        Ok(Some(rows.clone()))
    }
}

/// An anomaly rule of every method.
fn anomalies() -> Vec<Anomaly> {
    let methods = [
        r#"{"ewma":{"alpha":0.1,"threshold":3.0,"warm_up":3}}"#,
        r#"{"mad":{"recent":{"rows":9},"threshold":3.0,"warm_up":3}}"#,
        r#"{"mad":{"recent":{"span_ns":20},"threshold":3.0,"warm_up":3}}"#,
        r#"{"cusum":{"drift":0.5,"threshold":5.0,"warm_up":4}}"#,
        r#"{"quantile_band":{"low":0.1,"high":0.9,"recent":{"span_ns":20},"margin":0.0,"warm_up":3}}"#,
        r#"{"rate_of_change":{"limit":2.0,"per_ns":1}}"#,
        r#"{"seasonal":{"period_ns":12,"every_ns":4,"offset_ns":0,"alpha":0.3,"threshold":3.0,"warm_up":1}}"#,
    ];
    let rule = |(place, method): (usize, &&str)| {
        let value = r#"{"column":{"name":"amount"}}"#;
        let text = format!(
            r#"{{"cepheid_ir":1,"anomaly":{{"name":"odd{place}","partition_by":[{{"name":"card"}}],"value":{value},"method":{method}}}}}"#
        );
        Anomaly::from_json(&text).expect("an anomaly rule")
    };
    methods.iter().enumerate().map(rule).collect()
}

fn rules() -> Vec<RuleSpec> {
    let patterns = patterns().into_iter().map(RuleSpec::from);
    let windows = windows().into_iter().map(RuleSpec::from);
    let same =
        Processor { name: Some("same".into()), topic: String::new(), emit: None, function: Arc::new(Same) };
    let anomalies = anomalies().into_iter().map(RuleSpec::from);
    patterns.chain(windows).chain(anomalies).chain([same.into()]).collect()
}

fn rows(from: i64, count: usize, random: &mut SplitMix64) -> RecordBatch {
    let ts: Int64Array = (from..from + count as i64).collect();
    let card: Int64Array = (0..count).map(|_| random.below(5) as i64).collect();
    let amount: Float64Array = (0..count).map(|_| random.below(100) as f64).collect();
    let units: Int64Array =
        (0..count).map(|_| Some(random.below(9) as i64).filter(|units| *units > 0)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(ts)),
        ("card", Arc::new(card)),
        ("amount", Arc::new(amount)),
        ("units", Arc::new(units)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn snapshot(random: &mut SplitMix64) -> Vec<u8> {
    let options = EngineOptions {
        event_time: "ts".into(),
        lateness_ns: Some(5),
        ids: true,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(rules(), options).expect("good rules");
    engine.push(Some(""), &[rows(0, 64, random)], None).expect("good rows");
    assert_eq!(engine.stats().rules[2].strategy, Strategy::StepLists);
    let keeps = |rule: &RuleStats| match rule.strategy {
        Strategy::Windows | Strategy::Anomalies => rule.keys > 0,
        Strategy::Processor => rule.matches > 0,
        _ => rule.live_runs > 0,
    };
    assert!(engine.stats().rules.iter().all(keeps), "something is saved of every rule");
    engine.snapshot().expect("a snapshot")
}

/// Restores, and if that works goes on: a state that was let in must not break later.
fn try_out(bytes: &[u8], random: &mut SplitMix64) -> bool {
    match Engine::restore(bytes, rules(), Some(2), None, None) {
        Ok(mut engine) => {
            let _ = engine.push(Some(""), &[rows(64, 20, random)], None);
            let _ = engine.flush();
            let _ = engine.snapshot();
            true
        }
        Err(error) => {
            assert!(
                matches!(
                    error,
                    EngineError::InvalidSnapshot { .. }
                        | EngineError::SnapshotVersion { .. }
                        | EngineError::SnapshotRules { .. }
                ),
                "{error:?}"
            );
            false
        }
    }
}

#[test]
fn damaged_bytes_are_noticed() {
    let mut random = SplitMix64::new(7);
    let bytes = snapshot(&mut random);
    assert!(try_out(&bytes, &mut random), "the snapshot itself is good");
    let mut tried = 0;
    for length in 0..bytes.len() {
        assert!(!try_out(&bytes[..length], &mut random), "cut to {length} bytes it was let in");
        tried += 1;
    }
    // Every bit of the head, and one of each byte of what its checksum is of.
    let head = (0..HEAD_BYTES * 8).map(|bit| (bit / 8, bit % 8));
    let body: Vec<(usize, usize)> = (HEAD_BYTES..bytes.len()).map(|byte| (byte, random.below(8))).collect();
    for (byte, bit) in head.chain(body) {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 1 << bit;
        assert!(!try_out(&damaged, &mut random), "with bit {bit} of byte {byte} flipped it was let in");
        tried += 1;
    }
    assert!(tried > 5_000, "tried only {tried}");
}

#[test]
fn bodies_that_lie_under_a_good_checksum_do_no_harm() {
    let seconds: u64 = std::env::var("CEPHEID_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut random = SplitMix64::new(11);
    let bytes = snapshot(&mut random);
    let plain = zstd::stream::decode_all(&bytes[HEAD_BYTES..]).expect("a good snapshot");
    let (mut tried, mut let_in) = (0, 0);
    while Instant::now() < until || tried < 500 {
        let mut lied = plain.clone();
        for _ in 0..1 + random.below(4) {
            let place = random.below(lied.len());
            match random.below(4) {
                0 => lied[place] = random.below(256) as u8,
                1 => lied[place] = lied[place].wrapping_add(1),
                2 => drop(lied.remove(place)),
                _ => lied.insert(place, random.below(256) as u8),
            }
        }
        let packed = zstd::bulk::compress(&lied, 1).expect("memory can be written to");
        let mut bytes = bytes[..12].to_vec();
        bytes.extend_from_slice(&(lied.len() as u64).to_le_bytes());
        // The checksum is of the version, too.
        let checksum = Sha256::new().chain_update(&bytes[8..12]).chain_update(&packed).finalize();
        bytes.extend_from_slice(&checksum);
        bytes.extend_from_slice(&packed);
        let_in += usize::from(try_out(&bytes, &mut random));
        tried += 1;
    }
    println!("{tried} tried, {let_in} let in");
    assert!(tried >= 500, "tried only {tried}");
    // Many lies are harmless: another time, another count. If none were let in, the checks would be tested by nothing.
    assert!(let_in > 0, "nothing was let in");
}
