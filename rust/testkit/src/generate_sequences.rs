//! Random patterns of event sequences over the columns of [`random_stream`](crate::generate_streams::random_stream).

use cepheid_ir::{
    AfterMatchSkip, Aggregate, AggregateFunction, Anchor, Between, BinaryOp, ColumnName, Contiguity,
    Definition, EmitAt, Expr, Measure, Pattern, PatternNode, Quantifier, RowPointer, Selection, Semantics,
    SkipRow, SortKey, Step, TestedRow, VariableTopic, Within,
};

use crate::generate_events::{LETTERS, MINUTE};
use crate::generate_streams::{EVENT_TIME, TOPICS};
use crate::split_mix::SplitMix64;

/// What a random pattern may use, so that a test can ask for what a strategy accepts.
#[derive(Clone, Copy, Debug)]
pub struct SequenceKnobs {
    /// Relations between steps and repetitions; not empty.
    pub contiguities: &'static [Contiguity],
    /// `"first"`, `"all"`, or both; not empty.
    pub selections: &'static [Selection],
    /// Loops of events and of groups.
    pub loops: bool,
    /// Groups of steps, repeated, optional or bounded.
    pub groups: bool,
    /// Optional steps.
    pub optional: bool,
    /// Alternation.
    pub alternation: bool,
    /// Parts in any order.
    pub any_order: bool,
    /// `until`.
    pub until: bool,
    /// Loops that say whether they are greedy.
    pub greed: bool,
    /// Absence between steps.
    pub absence_between: bool,
    /// Absence before the first step.
    pub absence_leading: bool,
    /// Absence after the last step.
    pub absence_trailing: bool,
    /// Bounds of parts.
    pub bounds: bool,
    /// A bound of the pattern.
    pub within: bool,
    /// Every `after_match` rather than the default of the selection.
    pub after_match: bool,
    /// `having`.
    pub having: bool,
    /// Timeouts.
    pub timeouts: bool,
    /// Intermediate outputs.
    pub emit_at: bool,
    /// Variables that name topics; the stream must have two.
    pub topics: bool,
    /// Conditions that look back at the run.
    pub look_back: bool,
    /// Of a hundred conditions that look back, how many compare a value with that of an event before.
    pub joins: usize,
    /// All events but the first equal it on one column, most of the time, and nothing is forgotten after a match.
    pub one_key: bool,
    /// Conditions of that kind that may raise an error.
    pub fails: bool,
    /// Conditions that read the row before.
    pub looks_before: bool,
    /// Conditions that read the next row, which a stream has not seen yet.
    pub looks_ahead: bool,
    /// Partitions.
    pub partitions: bool,
    /// Most steps of the outermost sequence.
    pub steps_max: usize,
}

impl SequenceKnobs {
    /// Every construct, of one topic.
    pub const ALL: Self = Self {
        contiguities: &[Contiguity::Strict, Contiguity::SkipTillNext, Contiguity::SkipTillAny],
        selections: &[Selection::First, Selection::All],
        loops: true,
        groups: true,
        optional: true,
        alternation: true,
        any_order: true,
        until: true,
        greed: true,
        absence_between: true,
        absence_leading: true,
        absence_trailing: true,
        bounds: true,
        within: true,
        after_match: true,
        having: true,
        timeouts: true,
        emit_at: true,
        topics: false,
        look_back: true,
        joins: 15,
        fails: false,
        one_key: false,
        looks_before: true,
        looks_ahead: true,
        partitions: true,
        steps_max: 4,
    };
    /// Every construct, of two topics.
    pub const TOPICS: Self = Self { topics: true, ..Self::ALL };
    /// Events one after another, and nothing else.
    pub const PLAIN: Self = Self {
        loops: false,
        groups: false,
        optional: false,
        alternation: false,
        any_order: false,
        until: false,
        greed: false,
        absence_between: false,
        absence_leading: false,
        absence_trailing: false,
        bounds: false,
        within: false,
        after_match: false,
        having: false,
        timeouts: false,
        emit_at: false,
        look_back: false,
        looks_before: false,
        looks_ahead: false,
        ..Self::ALL
    };
    /// What step lists are for: every match of conditions on single events.
    pub const STEP_LISTS: Self = Self {
        contiguities: &[Contiguity::SkipTillNext, Contiguity::SkipTillAny],
        selections: &[Selection::All],
        loops: true,
        optional: true,
        alternation: true,
        absence_between: true,
        within: true,
        ..Self::PLAIN
    };
    /// What joined lists are for: every match of one event after another, compared with each other.
    pub const JOINED_LISTS: Self = Self {
        contiguities: &[Contiguity::SkipTillNext, Contiguity::SkipTillAny],
        selections: &[Selection::All],
        absence_between: true,
        within: true,
        look_back: true,
        joins: 85,
        ..Self::PLAIN
    };
}

/// A valid pattern in normal spelling, of the algebra's meaning; the same for the same numbers.
pub fn random_sequence(random: &mut SplitMix64, knobs: SequenceKnobs) -> Pattern {
    loop {
        let pattern = attempt(random, knobs).normalise();
        if pattern.validate().is_ok() {
            return pattern;
        }
    }
}

fn attempt(random: &mut SplitMix64, knobs: SequenceKnobs) -> Pattern {
    let selection = *random.choose(knobs.selections);
    let mut parts = Parts { knobs, pool: vec!["f", "e", "d", "c", "b", "a"] };
    let mut pattern = Pattern::algebra(parts.sequence(random, 1, true));
    pattern.selection = selection;
    pattern.after_match =
        if selection == Selection::First { AfterMatchSkip::PastLastRow } else { AfterMatchSkip::None };
    let absent: Vec<String> = pattern.root.absent_variables().into_iter().map(str::to_owned).collect();
    let names: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
    let present: Vec<String> = names.iter().filter(|name| !absent.contains(name)).cloned().collect();
    if present.is_empty() {
        return pattern;
    }
    let conditions = Conditions { knobs, present: &present };
    for (index, variable) in names.iter().enumerate() {
        let before: Vec<&String> = names[..index].iter().filter(|name| present.contains(name)).collect();
        if let Some(condition) = conditions.of_event(random, index, &before) {
            pattern.define.push(Definition { variable: variable.clone(), condition });
        }
        if knobs.topics && random.chance(55) {
            let topic = (*random.choose(&TOPICS)).to_owned();
            pattern.topics.push(VariableTopic { variable: variable.clone(), topic });
        }
    }
    pattern.measures = conditions.measures(random);
    clauses(random, &conditions, &mut pattern);
    if knobs.one_key && random.chance(80) {
        equate(random, &names, &mut pattern);
    }
    pattern
}

/// Makes every event equal the first on one column.
fn equate(random: &mut SplitMix64, names: &[String], pattern: &mut Pattern) {
    let name = *random.choose(&["p", "v", "k"]);
    pattern.after_match = AfterMatchSkip::None;
    for variable in &names[1..] {
        let other = if random.chance(85) { &names[0] } else { random.choose(names) };
        let at = RowPointer {
            variable: Some(other.clone()),
            anchor: *random.choose(&[Anchor::First, Anchor::Last]),
            tested_row: TestedRow::Excluded,
            ..Default::default()
        };
        let known = Expr::Column { name: name.into(), quoted: false, at };
        let own = Expr::column(name);
        let (left, right) = if random.chance(50) { (own, known) } else { (known, own) };
        let join = Expr::binary(BinaryOp::Equal, left, right);
        match pattern.define.iter_mut().find(|definition| definition.variable == *variable) {
            Some(definition) => {
                let before = definition.condition.clone();
                let parts = if random.chance(50) { vec![before, join] } else { vec![join, before] };
                definition.condition = Expr::And(parts);
            }
            None => pattern.define.push(Definition { variable: variable.clone(), condition: join }),
        }
    }
}

/// Everything around the row pattern.
fn clauses(random: &mut SplitMix64, conditions: &Conditions<'_>, pattern: &mut Pattern) {
    let knobs = conditions.knobs;
    if knobs.partitions && random.chance(35) {
        pattern.partition_by.push(ColumnName::unquoted("p"));
    }
    // The event time is named by the pattern or when it is run.
    if random.chance(30) {
        let column = ColumnName::unquoted(EVENT_TIME);
        pattern.order_by.push(SortKey { column, descending: false, nulls_first: false });
    }
    if knobs.within && random.chance(50) {
        pattern.within = Some(match random.below(4) {
            0 => Within::Rows(random.between(1, 5) as u64),
            _ => Within::Time { nanoseconds: random.between(2, 8) * MINUTE },
        });
    }
    pattern.timeouts =
        knobs.timeouts && matches!(pattern.within, Some(Within::Time { .. })) && random.chance(50);
    if knobs.after_match && random.chance(65) {
        pattern.after_match = match random.below(6) {
            0 => AfterMatchSkip::PastLastRow,
            1 => AfterMatchSkip::ToNextRow,
            2 => AfterMatchSkip::None,
            3 => AfterMatchSkip::Consume,
            _ => AfterMatchSkip::ToVariable {
                variable: random.choose(conditions.present).clone(),
                row: *random.choose(&[SkipRow::First, SkipRow::Last]),
                strict: random.chance(10),
            },
        };
    }
    if knobs.having && random.chance(15) {
        let least = Expr::literal(random.between(-1, 3));
        pattern.having = Some(Expr::binary(BinaryOp::GreaterOrEqual, Expr::column("v"), least));
    }
    if knobs.emit_at && random.chance(20) {
        pattern.emit_at.push(EmitAt {
            variable: random.choose(conditions.present).clone(),
            topic: "raised".into(),
            measures: conditions.measures(random),
        });
    }
}

/// Makes the row pattern.
struct Parts {
    knobs: SequenceKnobs,
    /// Names not yet used, the next one last.
    pool: Vec<&'static str>,
}

impl Parts {
    fn event(&mut self) -> Option<PatternNode> {
        Some(PatternNode::Variable(self.pool.pop()?.to_owned()))
    }

    /// Steps one after another; the outermost sequence may begin and end with absence.
    fn sequence(&mut self, random: &mut SplitMix64, depth: usize, outermost: bool) -> PatternNode {
        let knobs = self.knobs;
        let count = if outermost { 1 + random.below(knobs.steps_max) } else { 2 };
        let mut steps: Vec<Step> = vec![];
        if outermost && knobs.absence_leading && random.chance(10) {
            let for_ns = random.chance(70).then(|| random.between(1, 5) * MINUTE);
            steps.extend(self.absence(Contiguity::Strict, for_ns));
        }
        for place in 0..count {
            let mut contiguity = relation(random, knobs);
            if place > 0 && knobs.absence_between && random.chance(15) {
                steps.extend(self.absence(kind(random), None));
                contiguity = relation(random, knobs);
            }
            if let Some(node) = self.part(random, depth) {
                steps.push(Step { contiguity, node });
            }
        }
        if outermost && knobs.absence_trailing && random.chance(15) {
            let kind = kind(random);
            let timed = kind != Contiguity::Strict && random.chance(60);
            steps.extend(self.absence(kind, timed.then(|| random.between(1, 5) * MINUTE)));
        }
        match steps.len() {
            0 => PatternNode::Empty,
            1 => steps.remove(0).node,
            _ => PatternNode::Sequence(steps),
        }
    }

    fn absence(&mut self, contiguity: Contiguity, for_ns: Option<i64>) -> Option<Step> {
        // One name is kept for a step: absence alone is no pattern.
        if self.pool.len() < 2 {
            return None;
        }
        let variable = self.pool.pop()?.to_owned();
        Some(Step { contiguity, node: PatternNode::Absent { variable, for_ns } })
    }

    /// One step.
    fn part(&mut self, random: &mut SplitMix64, depth: usize) -> Option<PatternNode> {
        let knobs = self.knobs;
        let nested = depth > 0;
        Some(match random.below(20) {
            0 | 1 if knobs.groups && nested => {
                let group = self.sequence(random, depth - 1, false);
                self.around_group(random, group)
            }
            2 | 3 if knobs.alternation && nested => {
                let left = self.part(random, depth - 1)?;
                match self.part(random, depth - 1) {
                    Some(right) => PatternNode::Alternation(vec![left, right]),
                    None => left,
                }
            }
            4 if knobs.any_order && nested => {
                let count = 2 + usize::from(random.chance(30));
                let mut parts = vec![self.event()?];
                parts.extend((1..count).filter_map(|_| self.part(random, 0)));
                match parts.len() {
                    1 => parts.remove(0),
                    _ => PatternNode::Permute { parts, contiguity: relation(random, knobs) },
                }
            }
            5..=10 if knobs.loops => {
                let event = self.event()?;
                let repeated = self.repeat(random, event);
                if knobs.bounds && random.chance(20) { self.bound(random, repeated) } else { repeated }
            }
            11 | 12 if knobs.optional => {
                let event = self.event()?;
                quantified(
                    event,
                    Quantifier { contiguity: Contiguity::SkipTillNext, ..Quantifier::new(0, Some(1)) },
                )
            }
            13 if knobs.bounds => {
                let event = self.event()?;
                PatternNode::Bounded {
                    node: Box::new(event),
                    within: bound_of(random),
                    between: Between::Neighbours,
                }
            }
            _ => self.event()?,
        })
    }

    fn around_group(&self, random: &mut SplitMix64, group: PatternNode) -> PatternNode {
        match random.below(4) {
            0 if self.knobs.bounds => self.bound(random, group),
            1 if self.knobs.optional => quantified(
                group,
                Quantifier { contiguity: Contiguity::SkipTillNext, ..Quantifier::new(0, Some(1)) },
            ),
            _ if self.knobs.loops => self.repeat(random, group),
            _ => group,
        }
    }

    fn bound(&self, random: &mut SplitMix64, node: PatternNode) -> PatternNode {
        let between = *random.choose(&[Between::FirstToLast, Between::Neighbours]);
        PatternNode::Bounded { node: Box::new(node), within: bound_of(random), between }
    }

    fn repeat(&self, random: &mut SplitMix64, node: PatternNode) -> PatternNode {
        let (min, max) = *random.choose(&[
            (0, None),
            (1, None),
            (1, None),
            (2, None),
            (0, Some(2)),
            (1, Some(2)),
            (2, Some(2)),
            (2, Some(3)),
        ]);
        let until = (self.knobs.until && random.chance(if node.variables().len() > 1 { 40 } else { 20 }))
            .then(|| Box::new(equal(LETTERS[random.below(LETTERS.len())])));
        let greedy =
            if self.knobs.greed { *random.choose(&[None, None, Some(true), Some(false)]) } else { None };
        let contiguity = relation(random, self.knobs);
        quantified(node, Quantifier { min, max, greedy, contiguity, until })
    }
}

fn quantified(node: PatternNode, quantifier: Quantifier) -> PatternNode {
    PatternNode::Quantified { node: Box::new(node), quantifier }
}

/// A relation; strict ones seldom match, and come half as often as others.
fn relation(random: &mut SplitMix64, knobs: SequenceKnobs) -> Contiguity {
    match *random.choose(knobs.contiguities) {
        Contiguity::Strict if random.chance(50) => *random.choose(knobs.contiguities),
        other => other,
    }
}

/// The relation before an absence.
fn kind(random: &mut SplitMix64) -> Contiguity {
    *random.choose(&[Contiguity::Strict, Contiguity::SkipTillNext, Contiguity::SkipTillNext])
}

fn bound_of(random: &mut SplitMix64) -> Within {
    match random.below(3) {
        0 => Within::Rows(random.between(1, 3) as u64),
        _ => Within::Time { nanoseconds: random.between(1, 5) * MINUTE },
    }
}

fn equal(letter: &str) -> Expr {
    Expr::binary(BinaryOp::Equal, Expr::column("k"), Expr::literal(letter))
}

/// Makes conditions and measures.
struct Conditions<'n> {
    knobs: SequenceKnobs,
    /// Variables that a match may have rows of.
    present: &'n [String],
}

impl Conditions<'_> {
    /// Mostly a letter: conditions that seldom hold test little.
    fn of_event(&self, random: &mut SplitMix64, index: usize, before: &[&String]) -> Option<Expr> {
        if self.knobs.look_back && !before.is_empty() && random.chance(self.knobs.joins) {
            return Some(self.joined(random, index, before));
        }
        let letter = LETTERS[if random.chance(75) { index % 3 } else { random.below(4) }];
        let first = match random.below(12) {
            0 => return None,
            1 | 2 => Expr::In {
                operand: Box::new(Expr::column("k")),
                list: vec![Expr::literal(letter), Expr::literal(*random.choose(&LETTERS))],
            },
            3 => Expr::binary(BinaryOp::Greater, Expr::column("v"), Expr::literal(random.between(-1, 1))),
            4 => Expr::Not(Box::new(equal(letter))),
            _ => equal(letter),
        };
        let second = match random.below(8) {
            0 if self.knobs.look_back => self.compared_with_last(random),
            1 if self.knobs.look_back => self.counted(random),
            2 if self.knobs.looks_before => neighbour(random, -1),
            3 if self.knobs.looks_ahead && random.chance(40) => neighbour(random, 1),
            _ => return Some(first),
        };
        Some(Expr::And(vec![first, second]))
    }

    /// A value of the row against one that the run knows, alone or among other conjuncts.
    fn joined(&self, random: &mut SplitMix64, index: usize, before: &[&String]) -> Expr {
        let mut conjuncts = vec![];
        if random.chance(40) {
            let letters = [LETTERS[index % 3], *random.choose(&LETTERS)].map(Expr::literal);
            conjuncts.push(Expr::In { operand: Box::new(Expr::column("k")), list: letters.into() });
        }
        conjuncts.push(self.join(random, before));
        match random.below(12) {
            0 | 1 => conjuncts.push(self.join(random, before)),
            2 => conjuncts.push(self.counted(random)),
            // Zero raises an error where it is asked for, also behind a comparison with NULL.
            3 if self.knobs.fails && random.chance(40) => conjuncts.push(Expr::binary(
                BinaryOp::GreaterOrEqual,
                Expr::binary(BinaryOp::Divide, Expr::literal(4), Expr::column("v")),
                Expr::literal(-4),
            )),
            _ => {}
        }
        let condition = if conjuncts.len() == 1 { conjuncts.remove(0) } else { Expr::And(conjuncts) };
        if random.chance(8) {
            return Expr::Or(vec![condition, equal(LETTERS[random.below(LETTERS.len())])]);
        }
        condition
    }

    fn join(&self, random: &mut SplitMix64, before: &[&String]) -> Expr {
        use BinaryOp::*;
        let variable = match random.below(10) {
            // Of an event that has no row yet there is nothing to compare with.
            0 => random.choose(self.present).clone(),
            _ => (*random.choose(before)).clone(),
        };
        let name = *random.choose(&["v", "v", "v", "k", "p", EVENT_TIME]);
        let at = RowPointer {
            variable: Some(variable.clone()),
            anchor: *random.choose(&[Anchor::First, Anchor::Last, Anchor::Last]),
            logical_offset: u32::from(random.chance(5)),
            tested_row: TestedRow::Excluded,
            ..Default::default()
        };
        let mut known = Expr::Column { name: name.into(), quoted: false, at };
        let mut own = Expr::column(name);
        if name == "v" {
            match random.below(6) {
                0 => known = Expr::binary(Add, known, Expr::literal(random.between(-1, 1))),
                1 => own = Expr::binary(Multiply, own, Expr::literal(random.between(-1, 2))),
                2 => {
                    known = Expr::Aggregate(Aggregate {
                        function: *random.choose(&[
                            AggregateFunction::Count,
                            AggregateFunction::Sum,
                            AggregateFunction::Min,
                        ]),
                        args: vec![Expr::column("v")],
                        distinct: false,
                        variable: Some(variable),
                        semantics: Semantics::Running,
                        tested_row: TestedRow::Excluded,
                    });
                }
                _ => {}
            }
        }
        let op = *random.choose(&[Equal, Equal, Equal, Less, LessOrEqual, Greater, GreaterOrEqual]);
        if random.chance(30) { Expr::binary(op, known, own) } else { Expr::binary(op, own, known) }
    }

    /// `ref(v)` is NULL, or the row's own value is no smaller.
    fn compared_with_last(&self, random: &mut SplitMix64) -> Expr {
        let at = RowPointer {
            variable: Some(random.choose(self.present).clone()),
            anchor: *random.choose(&[Anchor::First, Anchor::Last, Anchor::Last]),
            logical_offset: u32::from(random.chance(20)),
            tested_row: TestedRow::Excluded,
            ..Default::default()
        };
        let other = Expr::Column { name: "v".into(), quoted: false, at };
        let op = *random.choose(&[BinaryOp::GreaterOrEqual, BinaryOp::NotEqual, BinaryOp::LessOrEqual]);
        let missing = Expr::IsNull(Box::new(other.clone()));
        Expr::Or(vec![missing, Expr::binary(op, Expr::column("v"), other)])
    }

    /// An aggregate of the rows accepted so far.
    fn counted(&self, random: &mut SplitMix64) -> Expr {
        let variable = Some(random.choose(self.present).clone());
        let tested_row = TestedRow::Excluded;
        let semantics = Semantics::Running;
        if random.chance(50) {
            let function = AggregateFunction::Count;
            let count =
                Aggregate { function, args: vec![], distinct: false, variable, semantics, tested_row };
            return Expr::binary(
                BinaryOp::LessOrEqual,
                Expr::Aggregate(count),
                Expr::literal(random.between(1, 3)),
            );
        }
        let function = *random.choose(&[AggregateFunction::Sum, AggregateFunction::Max]);
        let args = vec![Expr::column("v")];
        let sum =
            Expr::Aggregate(Aggregate { function, args, distinct: false, variable, semantics, tested_row });
        let missing = Expr::IsNull(Box::new(sum.clone()));
        Expr::Or(vec![missing, Expr::binary(BinaryOp::LessOrEqual, sum, Expr::literal(random.between(1, 6)))])
    }

    fn measures(&self, random: &mut SplitMix64) -> Vec<Measure> {
        let variable = Some(random.choose(self.present).clone());
        let at = RowPointer {
            variable: variable.clone(),
            anchor: *random.choose(&[Anchor::First, Anchor::Last]),
            semantics: Semantics::Final,
            ..Default::default()
        };
        let total = Aggregate {
            function: AggregateFunction::Sum,
            args: vec![Expr::column("v")],
            distinct: false,
            variable: if random.chance(50) { variable } else { None },
            semantics: Semantics::Final,
            tested_row: TestedRow::Included,
        };
        vec![
            Measure { name: "one".into(), value: Expr::Column { name: "v".into(), quoted: false, at } },
            Measure { name: "total".into(), value: Expr::Aggregate(total) },
        ]
    }
}

/// A comparison with the row before, or after.
fn neighbour(random: &mut SplitMix64, physical_offset: i64) -> Expr {
    let at = RowPointer { physical_offset, ..Default::default() };
    let other = Expr::Column { name: "v".into(), quoted: false, at };
    let op = *random.choose(&[BinaryOp::GreaterOrEqual, BinaryOp::LessOrEqual, BinaryOp::NotEqual]);
    Expr::binary(op, Expr::column("v"), other)
}
