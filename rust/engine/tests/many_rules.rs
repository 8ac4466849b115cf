//! One engine of many rules against as many engines of one rule each: the same events, errors and counts, however rows
//! are cut and whatever rules come and go. And how much work many rules are.

use std::collections::BTreeMap;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use cepheid_engine::{DerivedTable, Engine, EngineError, EngineOptions, LatePolicy, RuleStats};
use cepheid_ir::{BinaryOp, Expr, Pattern, Selection, Within};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, StreamShape, random_stream};

const KNOBS: [SequenceKnobs; 3] = [
    SequenceKnobs { looks_ahead: false, ..SequenceKnobs::ALL },
    SequenceKnobs { looks_ahead: false, looks_before: false, having: false, ..SequenceKnobs::ALL },
    SequenceKnobs {
        contiguities: &[cepheid_ir::Contiguity::SkipTillNext, cepheid_ir::Contiguity::SkipTillAny],
        looks_ahead: false,
        looks_before: false,
        bounds: false,
        look_back: false,
        ..SequenceKnobs::ALL
    },
];

/// A range of a column that rules share, in one of its spellings.
fn range(random: &mut SplitMix64) -> Expr {
    let column = || Box::new(Expr::column("v"));
    let (low, high) = (random.between(-2, 4), random.between(-2, 4));
    let bound = |random: &mut SplitMix64| {
        let constant = if random.chance(30) { Expr::literal(low as f64 + 0.5) } else { Expr::literal(low) };
        let ops = [BinaryOp::Less, BinaryOp::LessOrEqual, BinaryOp::Greater, BinaryOp::GreaterOrEqual];
        Expr::binary(*random.choose(&ops), *column(), constant)
    };
    match random.below(3) {
        0 => bound(random),
        1 => Expr::And(vec![
            bound(random),
            Expr::binary(BinaryOp::LessOrEqual, *column(), Expr::literal(high)),
        ]),
        _ => {
            let (low, high) =
                (Box::new(Expr::literal(low.min(high))), Box::new(Expr::literal(low.max(high))));
            Expr::Between { operand: column(), low, high }
        }
    }
}

/// So many ranges of one column that rows are ranked among their ends, of rules that share the engine with those compared.
fn crowd() -> Vec<Pattern> {
    let rule = |number: i64| {
        let (low, high, over) = (number % 7 - 3, number % 5, number - 20);
        let text = format!(
            "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY p ORDER BY ts
             PATTERN (a -> b) WITHIN INTERVAL '3' MINUTE
             DEFINE a AS v BETWEEN {low} AND {high}, b AS v > {over})"
        );
        let mut pattern = cepheid_sql::parse_pattern(&text).expect("a pattern");
        pattern.output = cepheid_ir::OutputColumns::Derived;
        Pattern { name: Some(format!("crowd{number}")), ..pattern }
    };
    (0..40).map(rule).collect()
}

/// A rule whose topics are its own.
fn rule(random: &mut SplitMix64, name: &str) -> Pattern {
    loop {
        let knobs = KNOBS[random.below(KNOBS.len())];
        let mut pattern = random_sequence(random, knobs);
        if random.chance(25) {
            // Some row raises an error of this condition, if that is asked of it.
            let divided = Expr::binary(
                BinaryOp::Divide,
                Expr::literal(6_i64),
                Expr::binary(BinaryOp::Subtract, Expr::column("v"), Expr::literal(random.between(-1, 4))),
            );
            let asked = Expr::binary(BinaryOp::Less, divided, Expr::literal(3_i64));
            let place = random.below(pattern.define.len().max(1));
            if let Some(definition) = pattern.define.get_mut(place) {
                let own = definition.condition.clone();
                let both = if random.chance(50) { vec![own, asked] } else { vec![asked, own] };
                definition.condition = if random.chance(80) { Expr::And(both) } else { Expr::Or(both) };
            }
        }
        if random.chance(40) {
            // First and later steps may share what they ask, with each other and with other rules.
            let asked = range(random);
            let step = random.below(pattern.define.len().max(1));
            let steps = if random.chance(50) { vec![step] } else { vec![0, step] };
            for step in steps {
                if let Some(definition) = pattern.define.get_mut(step) {
                    definition.condition = asked.clone();
                }
            }
        }
        pattern.order_by.clear();
        pattern.name = Some(name.to_owned());
        pattern.emit = None;
        if pattern.within.is_none() {
            // All matches of a loop that nothing ends are as many as there are choices of rows.
            let all = pattern.selection == Selection::All;
            pattern.within =
                Some(if all { Within::Time { nanoseconds: 360_000_000_000 } } else { Within::Unbounded });
        }
        for (number, entry) in pattern.emit_at.iter_mut().enumerate() {
            entry.topic = format!("{name}.raised{number}");
        }
        let pattern = pattern.normalise();
        if pattern.validate().is_ok() && Engine::new(vec![pattern.clone()], EngineOptions::default()).is_ok()
        {
            return pattern;
        }
    }
}

fn options(lateness_ns: Option<u64>, late: LatePolicy, threads: usize) -> EngineOptions {
    EngineOptions {
        event_time: EVENT_TIME.into(),
        lateness_ns,
        late,
        threads: Some(threads),
        ..EngineOptions::default()
    }
}

type Outcome = Result<Vec<(String, DerivedTable)>, EngineError>;

/// What a rule has derived, and late rows, by topic.
fn of_rule(outcome: &[(String, DerivedTable)], rule: &str) -> BTreeMap<String, DerivedTable> {
    let own = |topic: &str| topic == rule || topic.starts_with(&format!("{rule}."));
    outcome.iter().filter(|(topic, _)| own(topic)).cloned().collect()
}

fn same(one: &BTreeMap<String, DerivedTable>, other: &BTreeMap<String, DerivedTable>) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((topic, one), (known, other))| {
            topic == known
                && one.batch == other.batch
                && one.membership == other.membership
                && one.matches == other.matches
        })
}

/// One engine, and an engine for each of its rules.
struct Both {
    many: Engine,
    single: Vec<(String, Engine)>,
    /// An engine without rules, which has seen all rows: what a rule that comes later is put into.
    nobody: Engine,
    patterns: BTreeMap<String, Pattern>,
    /// Whether both count the same runs. Those whose time is over are cleared away in the order of keys, of each shard for
    /// itself, and left out of snapshots: how many are still there differs between threads, and after a restore.
    counts_alike: bool,
}

impl Both {
    fn call(
        &mut self,
        what: &str,
        mut call: impl FnMut(&mut Engine) -> Outcome,
    ) -> Result<(usize, bool), String> {
        let before: Vec<Vec<u8>> =
            self.single.iter().map(|(_, engine)| engine.snapshot().expect("a snapshot")).collect();
        let outcomes: Vec<Outcome> = self.single.iter_mut().map(|(_, engine)| call(engine)).collect();
        let stats = self.many.stats();
        let found = call(&mut self.many);
        let expected = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
        match (&found, expected) {
            (Err(found), Some(expected)) if found.to_string() == expected.to_string() => {
                let after = self.many.stats();
                let rules = |stats: &cepheid_engine::EngineStats| {
                    stats.rules.iter().map(|rule| (rule.live_runs, rule.matches)).collect::<Vec<_>>()
                };
                if (after.rows, rules(&after)) != (stats.rows, rules(&stats)) {
                    return Err(format!("{what}: an error has left its traces"));
                }
                self.counts_alike = false;
                for ((_, engine), blob) in self.single.iter_mut().zip(before) {
                    let rules = engine.rules();
                    assert_eq!(rules.len(), 1);
                    *engine =
                        Engine::restore(&blob, vec![self.patterns[&rules[0]].clone()], Some(1), None, None)
                            .expect("its own snapshot");
                }
                return Ok((0, true));
            }
            (Ok(_), None) => {}
            (found, expected) => {
                let found = found.as_ref().map(|_| "events").map_err(ToString::to_string);
                return Err(format!("{what}: found {found:?}, expected {expected:?}"));
            }
        }
        let found = found.expect("just seen");
        let mut derived = 0;
        for ((name, engine), outcome) in self.single.iter().zip(outcomes) {
            let (found, expected) = (of_rule(&found, name), of_rule(&outcome.expect("just seen"), name));
            if !same(&found, &expected) {
                return Err(format!("{what}: rule {name}\n  found {found:?}\n  expected {expected:?}"));
            }
            derived += found.values().map(|table| table.matches).sum::<usize>();
            let count = |engine: &Engine| {
                let stats = engine.stats();
                let rule = stats.rules.iter().find(|rule| rule.name == *name).expect("it is there");
                (if self.counts_alike { rule.live_runs } else { 0 }, rule.matches)
            };
            if count(&self.many) != count(engine) {
                return Err(format!(
                    "{what}: rule {name}: {:?} and {:?}\n  {}",
                    count(&self.many),
                    count(engine),
                    self.patterns[name].to_json()
                ));
            }
        }
        let order: Vec<&String> = found.iter().map(|(topic, _)| topic).collect();
        let names = self.many.rules();
        let places: Vec<usize> = order
            .iter()
            .filter_map(|topic| names.iter().position(|name| topic.split('.').next() == Some(name)))
            .collect();
        if !places.is_sorted() {
            return Err(format!("{what}: topics in the order {order:?}"));
        }
        let _ = call(&mut self.nobody).map_err(|error| format!("{what}: without rules {error}"))?;
        Ok((derived, false))
    }
}

struct Counts {
    calls: usize,
    derived: usize,
    errors: usize,
    changes: usize,
    crowded: usize,
}

fn case(seed: u64, counts: &mut Counts) -> Result<(), String> {
    let mut random = SplitMix64::new(seed);
    let shape = StreamShape { null_times: false, ..StreamShape::default() };
    let mut batches = vec![];
    for _ in 0..1 + random.below(3) {
        let stream = random_stream(&mut random, shape);
        batches.push(stream.topics[0].1.to_batch().expect("cells fit their columns"));
    }
    let schema = batches[0].schema();
    let all = arrow_select::concat::concat_batches(&schema, &batches).expect("one schema");
    let lateness = *random.choose(&[Some(0), Some(120_000_000_000), Some(3_600_000_000_000), None]);
    let late = *random.choose(&[LatePolicy::Drop, LatePolicy::SideOutput]);
    let mut named = 0;
    let mut next = |random: &mut SplitMix64| {
        named += 1;
        rule(random, &format!("r{named}"))
    };
    let rules: Vec<Pattern> = (0..random.below(6)).map(|_| next(&mut random)).collect();
    let threads = 1 + random.below(2);
    let crowd = if random.chance(20) { crowd() } else { vec![] };
    counts.crowded += usize::from(!crowd.is_empty());
    let all_rules = rules.iter().chain(&crowd).cloned().collect();
    let many = Engine::new(all_rules, options(lateness, late, threads)).map_err(|error| error.to_string())?;
    let mut both = Both {
        many,
        single: vec![],
        nobody: Engine::new(Vec::<Pattern>::new(), options(lateness, late, 1)).expect("no rules"),
        patterns: crowd.into_iter().map(|rule| (rule.name.clone().expect("named"), rule)).collect(),
        counts_alike: threads == 1,
    };
    for rule in rules {
        let name = rule.name.clone().expect("named");
        both.patterns.insert(name.clone(), rule.clone());
        both.single.push((name, Engine::new(vec![rule], options(lateness, late, 1)).expect("as before")));
    }
    let mut start = 0;
    while start < all.num_rows() {
        let most = *random.choose(&[1, 3, 40]);
        let rows = (1 + random.below(most)).min(all.num_rows() - start);
        let piece = all.slice(start, rows);
        start += rows;
        counts.calls += 1;
        let push = |engine: &mut Engine| engine.push(None, std::slice::from_ref(&piece), None);
        let (derived, failed) = both.call(&format!("rows {start} less {rows}"), push)?;
        counts.derived += derived;
        counts.errors += usize::from(failed);
        if random.chance(20) {
            counts.changes += 1;
            let given = both.many.rules();
            let compared = &both.single;
            let replaced = (!compared.is_empty()).then(|| compared[random.below(compared.len())].0.clone());
            match (random.below(4), replaced) {
                (0, Some(name)) => {
                    both.many.remove(&name).map_err(|error| error.to_string())?;
                    both.single.retain(|(known, _)| *known != name);
                }
                (1, Some(name)) => {
                    let with = Pattern { name: Some(name.clone()), ..rule(&mut random, &name) };
                    both.many.replace(&name, with.clone()).map_err(|error| error.to_string())?;
                    let engine =
                        both.single.iter_mut().find(|(known, _)| *known == name).expect("it is there");
                    engine.1.replace(&name, with.clone()).map_err(|error| error.to_string())?;
                    both.patterns.insert(name, with);
                }
                (2, Some(_)) => {
                    both.counts_alike = false;
                    let blob = both.many.snapshot().map_err(|error| error.to_string())?;
                    let rules = given.iter().map(|name| both.patterns[name].clone()).collect();
                    both.many = Engine::restore(&blob, rules, Some(1 + random.below(2)), None, None)
                        .map_err(|error| error.to_string())?;
                }
                _ => {
                    let added = next(&mut random);
                    let name = added.name.clone().expect("named");
                    both.many.add(added.clone()).map_err(|error| error.to_string())?;
                    let blob = both.nobody.snapshot().map_err(|error| error.to_string())?;
                    let mut engine = Engine::restore(&blob, Vec::<Pattern>::new(), Some(1), None, None)
                        .map_err(|error| error.to_string())?;
                    engine.add(added.clone()).map_err(|error| error.to_string())?;
                    both.patterns.insert(name.clone(), added);
                    both.single.push((name, engine));
                }
            }
        }
        if random.chance(10) {
            let time = random.between(0, 60) * 60_000_000_000;
            both.call(&format!("advance to {time}"), |engine| engine.advance_to(time))?;
        }
    }
    let (derived, _) = both.call("flush", Engine::flush)?;
    counts.derived += derived;
    Ok(())
}

#[test]
fn many_rules_in_one_engine_derive_what_each_does_alone() {
    let cases = if std::env::var_os("CEPHEID_DEEP").is_some() { 6000 } else { 500 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut counts = Counts { calls: 0, derived: 0, errors: 0, changes: 0, crowded: 0 };
    let mut failures = vec![];
    for seed in base..base + cases {
        if let Err(failure) = case(seed, &mut counts) {
            failures.push(format!("seed {seed}: {failure}"));
        }
    }
    let Counts { calls, derived, errors, changes, crowded } = counts;
    println!(
        "{cases} cases: {calls} calls, {derived} derived, {errors} errors, {changes} changes of rules, {crowded} crowded"
    );
    assert!(
        failures.is_empty(),
        "{} of {cases}:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
    assert!(calls as u64 > cases * 3 && derived as u64 > cases * 5, "{calls} calls, {derived} derived");
    assert!(errors as u64 * 20 > cases && changes as u64 * 2 > cases, "{errors} errors, {changes} changes");
    assert!(crowded as u64 * 10 > cases, "{crowded} crowded");
}

/// `symbol = 'S<n>' >> symbol = 'S<n + 1>'`.
fn pair(number: usize, keyed: bool) -> Pattern {
    let equals = |number: usize| {
        format!(
            r#"{{"binary":{{"op":"equal","left":{{"column":{{"name":"symbol"}}}},"right":{{"literal":{{"string":"S{number}"}}}}}}}}"#
        )
    };
    let partition = if keyed { r#""partition_by":[{"name":"key"}],"# } else { "" };
    Pattern::from_json(&format!(
        r#"{{"cepheid_ir":1,"pattern":{{"name":"rule{number}",{partition}"root":{{"sequence":[{{"node":{{"variable":"a"}}}},
        {{"contiguity":"skip_till_next","node":{{"variable":"b"}}}}]}},
        "define":[{{"variable":"a","condition":{}}},{{"variable":"b","condition":{}}}],
        "within":{{"time":{{"nanoseconds":1000}}}},"empty_matches":"excluded","output":"derived"}}}}"#,
        equals(2 * number),
        equals(2 * number + 1),
    ))
    .expect("a pattern")
}

/// Row `n` has symbol `S<n>`, modulo `symbols`.
fn symbols(rows: std::ops::Range<i64>, symbols: i64) -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("ts", std::sync::Arc::new(TimestampNanosecondArray::from_iter_values(rows.clone()))),
        (
            "symbol",
            std::sync::Arc::new(StringArray::from_iter_values(
                rows.clone().map(|row| format!("S{}", row % symbols)),
            )),
        ),
        ("key", std::sync::Arc::new(Int64Array::from_iter_values(rows.map(|row| row / 2 % 7)))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// Rules visited, passes over columns, rows put to rules, and matches, of pushes of `at_once` rows of 8 symbols, with so many rules.
fn work(rules: usize, keyed: bool, at_once: i64) -> (u64, u64, u64, u64) {
    let rules = (0..rules).map(|number| pair(number, keyed)).collect();
    let mut engine = Engine::new(rules, options(Some(0), LatePolicy::Drop, 1)).expect("rules");
    for start in (0..80).step_by(at_once as usize) {
        engine.push(None, &[symbols(start..start + at_once, 8)], None).expect("good rows");
    }
    let stats = engine.stats();
    let sum = |of: fn(&RuleStats) -> u64| stats.rules.iter().map(of).sum();
    (stats.rules_visited, stats.passes, sum(|rule| rule.rows_visited), sum(|rule| rule.matches))
}

#[test]
fn rules_that_no_row_concerns_cost_no_work() {
    let mut compared = 0;
    for keyed in [false, true] {
        for at_once in [1, 8, 80] {
            // Four rules find what the eight symbols hold; the others wait for symbols that do not come.
            let few = work(4, keyed, at_once);
            assert_eq!((few.2, few.3), (80, 40));
            let counts: &[usize] = if at_once == 8 { &[40, 400, 1000] } else { &[40, 400] };
            for rules in counts.iter().copied() {
                let many = work(rules, keyed, at_once);
                // The first call compiles, and so begins, all of them; it visits those that rows concern.
                assert_eq!(many, few, "{rules} rules, {at_once} rows at once, keyed: {keyed}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 14);
    let (visited, passes, ..) = work(400, false, 1);
    assert!(visited <= 2 * 80 && passes == 80, "{visited} visits, {passes} passes");
}

#[test]
fn adding_and_removing_a_rule_leaves_the_others_as_they_are() {
    let mut engine =
        Engine::new((0..50).map(|n| pair(n, false)).collect(), options(Some(0), LatePolicy::Drop, 1))
            .expect("rules");
    engine.push(None, &[symbols(0..1, 100)], None).expect("good rows");
    let visited = engine.stats().rules_visited;
    engine.add(pair(50, false)).expect("a rule");
    engine.remove("rule7").expect("it is there");
    let derived = engine.push(None, &[symbols(1..2, 100)], None).expect("good rows");
    assert_eq!(
        derived.iter().map(|(topic, table)| (topic.as_str(), table.matches)).collect::<Vec<_>>(),
        [("rule0", 1)]
    );
    assert_eq!(engine.stats().rules_visited, visited + 1);
    let derived = engine.push(None, &[symbols(2..102, 102)], None).expect("good rows");
    assert_eq!(derived.len(), 49, "every rule but the first, which is through, and the one that is gone");
}

#[test]
fn what_many_rules_find_is_what_each_would_report_alone() {
    let mut compared = 0;
    for rules in [1, 2, 30] {
        let patterns: Vec<Pattern> = (0..rules).map(|number| pair(number, number % 3 == 2)).collect();
        let mut many = Engine::new(patterns.clone(), options(Some(0), LatePolicy::Drop, 1)).expect("rules");
        let found = many.push(None, &[symbols(0..400, 64)], None).expect("good rows");
        assert_eq!(found.len(), rules);
        for (pattern, (topic, found)) in patterns.into_iter().zip(&found) {
            let mut one = Engine::new(vec![pattern], options(Some(0), LatePolicy::Drop, 1)).expect("a rule");
            let alone = one.push(None, &[symbols(0..400, 64)], None).expect("good rows");
            let [(own_topic, own)] = alone.as_slice() else { panic!("one topic") };
            assert_eq!((topic, found.matches, &found.batch), (own_topic, own.matches, &own.batch));
            assert_eq!(found.membership, own.membership);
            compared += 1;
        }
    }
    assert_eq!(compared, 33);
}

#[test]
fn rules_that_could_not_be_compiled_are_what_they_were() {
    let mut compared = 0;
    for keyed in [[false, true, true], [true, false, true], [true, true, false]] {
        for threads in [1, 3] {
            let engine = || {
                let rules = keyed.into_iter().enumerate().map(|(number, keyed)| pair(number, keyed));
                Engine::new(rules.collect(), options(Some(0), LatePolicy::Drop, threads)).expect("rules")
            };
            let (mut tried, mut fresh) = (engine(), engine());
            let good = symbols(0..64, 8);
            // Those in front of the first with a key are compiled, those behind it are not looked at.
            let without_key = good.project(&[0, 1]).expect("two of its columns");
            for _ in 0..2 {
                let refused = tried.push(None, std::slice::from_ref(&without_key), None);
                assert!(matches!(refused, Err(EngineError::Event(_))), "{refused:?}");
                assert_eq!(tried.stats().bytes, fresh.stats().bytes);
                assert_eq!(tried.snapshot().expect("a snapshot"), fresh.snapshot().expect("a snapshot"));
            }
            let mut derived = [&mut tried, &mut fresh].map(|engine| {
                let found = engine.push(None, std::slice::from_ref(&good), None).expect("good rows");
                found.into_iter().map(|(topic, found)| (topic, found.batch)).collect::<Vec<_>>()
            });
            assert_eq!(derived[0].len(), 3);
            assert_eq!(std::mem::take(&mut derived[0]), derived[1]);
            assert_eq!(tried.snapshot().expect("a snapshot"), fresh.snapshot().expect("a snapshot"));
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}
