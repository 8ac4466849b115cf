//! Random patterns over the columns of [`random_table`](crate::generate_events::random_table).

use cepheid_ir::{
    AfterMatchSkip, BinaryOp, ColumnName, Contiguity, Definition, Expr, Measure, PartitionEdge, Pattern,
    PatternNode, Quantifier, RowsPerMatch, SkipRow, SortKey, Subset, Within,
};

use crate::generate_conditions::Names;
use crate::generate_events::{LETTERS, MINUTE};
use crate::split_mix::SplitMix64;

/// What a random pattern may use, so that a test can ask for what a strategy accepts.
///
/// Conditions that read the row under test alone are always possible; the other families are added to them.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// The meaning of the algebra rather than SQL's: no empty matches, variables once each, references that leave
    /// out the row under test, derived columns, skip targets that forgive.
    pub algebra: bool,
    /// Every variable has a condition, and no row satisfies two of them. Overrides the families.
    pub exclusive: bool,
    /// Conditions with PREV and NEXT.
    pub neighbours: bool,
    /// Conditions with FIRST, LAST and columns of other variables.
    pub run_relative: bool,
    /// Conditions with running aggregates.
    pub aggregates: bool,
    /// Conditions with CLASSIFIER and MATCH_NUMBER.
    pub labels: bool,
    /// Conditions that may divide by zero.
    pub errors: bool,
    /// Skip modes other than PAST LAST ROW and TO NEXT ROW, some of which end in an error.
    pub skip_to_variable: bool,
}

impl Features {
    /// Everything of SQL but errors in conditions.
    pub const SQL: Self = Self {
        algebra: false,
        exclusive: false,
        neighbours: true,
        run_relative: true,
        aggregates: true,
        labels: true,
        errors: false,
        skip_to_variable: true,
    };
    /// Everything of the algebra but errors in conditions.
    pub const ALGEBRA: Self = Self { algebra: true, ..Self::SQL };
    /// Conditions that read the row under test alone.
    pub const STATE_FREE: Self =
        Self { neighbours: false, run_relative: false, aggregates: false, labels: false, ..Self::SQL };
    /// Conditions that read rows at a fixed distance.
    pub const NEIGHBOURS: Self = Self { neighbours: true, ..Self::STATE_FREE };
    /// Conditions of which no two hold on one row.
    pub const EXCLUSIVE: Self = Self { exclusive: true, ..Self::STATE_FREE };
    /// Conditions that look back into the run, without aggregates and labels.
    pub const RUN_RELATIVE: Self = Self { run_relative: true, ..Self::NEIGHBOURS };
    /// Conditions with running aggregates, without labels.
    pub const AGGREGATES: Self = Self { aggregates: true, ..Self::RUN_RELATIVE };
}

/// Deepest nesting of a row pattern.
const DEPTH_MAX: usize = 3;
const VARIABLES: [&str; 4] = ["A", "B", "C", "D"];

/// A valid pattern in normal spelling.
pub fn random_pattern(random: &mut SplitMix64, features: Features) -> Pattern {
    loop {
        let pattern = attempt(random, features).normalise();
        // A root without a variable is too common among small ones to be worth more than a few cases.
        let trivial = pattern.root.variables().is_empty() && random.chance(90);
        if !trivial && pattern.validate().is_ok() {
            return pattern;
        }
    }
}

fn attempt(random: &mut SplitMix64, features: Features) -> Pattern {
    let leaves_a_rare_one = if random.chance(15) { 7 } else { 60 };
    let mut parts = Parts { features, pool: VARIABLES.to_vec(), in_exclusion: false, leaves_a_rare_one };
    let depth = 1 + random.below(DEPTH_MAX);
    let mut root = parts.node(random, depth);
    if random.chance(10) {
        let edge = if random.chance(50) { PartitionEdge::Start } else { PartitionEdge::End };
        let mut anchored = vec![PatternNode::Anchor(edge), root];
        if edge == PartitionEdge::End {
            anchored.reverse();
        }
        root = PatternNode::strict_sequence(anchored);
    }
    let mut pattern = if features.algebra { Pattern::algebra(root) } else { Pattern::sql(root) };
    let variables: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
    if variables.is_empty() {
        return pattern;
    }
    if variables.len() > 1 && random.chance(25) {
        let members = variables.iter().skip(random.below(2)).take(2).cloned().collect();
        pattern.subsets.push(Subset { name: "U".into(), variables: members });
    }
    let known: Vec<String> =
        variables.iter().cloned().chain(pattern.subsets.iter().map(|s| s.name.clone())).collect();
    let names = Names { known: &known, features };
    for (index, variable) in variables.iter().enumerate() {
        let condition = if features.exclusive {
            Expr::binary(BinaryOp::Equal, Expr::column("k"), Expr::literal(LETTERS[index]))
        } else if random.chance(20) {
            continue;
        } else {
            names.condition(random)
        };
        pattern.define.push(Definition { variable: variable.clone(), condition });
    }
    for index in 0..random.below(5) {
        pattern.measures.push(Measure { name: format!("m{index}"), value: names.measure(random) });
    }
    if pattern.measures.is_empty() {
        pattern.measures.push(Measure { name: "m".into(), value: Expr::MatchNumber });
    }
    clauses(random, features, &known, &mut pattern);
    pattern
}

/// Everything around the row pattern.
fn clauses(random: &mut SplitMix64, features: Features, known: &[String], pattern: &mut Pattern) {
    let by = |name: &str, random: &mut SplitMix64| SortKey {
        column: ColumnName::unquoted(name),
        descending: random.chance(30),
        nulls_first: random.chance(30),
    };
    if random.chance(50) {
        pattern.partition_by.push(ColumnName::unquoted("p"));
    }
    if random.chance(5) {
        pattern.partition_by.push(ColumnName::unquoted("k"));
    }
    match random.below(5) {
        // Derived columns report the time, which is the first order key.
        0 if !features.algebra => {}
        1 => pattern.order_by = vec![by("t", random), by("v", random)],
        2 if !features.algebra => pattern.order_by = vec![by("v", random)],
        _ => pattern.order_by = vec![by("t", random)],
    }
    if random.chance(25) {
        pattern.within = Some(if random.chance(50) {
            // In descending order a span of time would bound nothing.
            pattern.order_by =
                vec![SortKey { column: ColumnName::unquoted("t"), descending: false, nulls_first: false }];
            Within::Time { nanoseconds: random.between(1, 6) * MINUTE }
        } else {
            Within::Rows(random.between(0, 4) as u64)
        });
    }
    use RowsPerMatch::*;
    pattern.rows_per_match =
        *random.choose(&[One, One, AllShowEmpty, AllShowEmpty, AllOmitEmpty, AllWithUnmatched]);
    pattern.initial = random.chance(5);
    pattern.after_match = match random.below(if features.skip_to_variable { 5 } else { 4 }) {
        0..=2 => AfterMatchSkip::PastLastRow,
        3 => AfterMatchSkip::ToNextRow,
        _ => AfterMatchSkip::ToVariable {
            variable: random.choose(known).clone(),
            row: *random.choose(&[SkipRow::First, SkipRow::Last]),
            strict: !features.algebra,
        },
    };
}

/// Makes the row pattern.
struct Parts {
    features: Features,
    /// Variables that may still be used; in SQL they are never used up.
    pool: Vec<&'static str>,
    /// Exclusions are not nested.
    in_exclusion: bool,
    /// How rare empty parts and anchors are: they mean most where they come in loops, several at a time.
    leaves_a_rare_one: usize,
}

impl Parts {
    fn node(&mut self, random: &mut SplitMix64, depth: usize) -> PatternNode {
        if depth == 0 {
            return self.leaf(random);
        }
        // Parts of unequal depth: full trees are too long for small tables.
        let depth = 1 + random.below(depth);
        match random.below(20) {
            0..=6 => {
                let count = 2 + random.below(2);
                PatternNode::strict_sequence((0..count).map(|_| self.node(random, depth - 1)).collect())
            }
            7..=9 => {
                let count = 2 + random.below(2);
                PatternNode::Alternation((0..count).map(|_| self.node(random, depth - 1)).collect())
            }
            10..=15 => {
                let (min, max) = *random.choose(&[
                    (0, None),
                    (1, None),
                    (1, None),
                    (2, None),
                    (0, Some(1)),
                    (0, Some(2)),
                    (1, Some(2)),
                    (2, Some(2)),
                    (1, Some(3)),
                    (2, Some(3)),
                ]);
                let quantifier = Quantifier { greedy: Some(random.chance(65)), ..Quantifier::new(min, max) };
                PatternNode::Quantified { node: Box::new(self.node(random, depth - 1)), quantifier }
            }
            16 | 17 => {
                let count = 2 + usize::from(random.chance(25));
                let parts = (0..count).map(|_| self.node(random, depth - 1)).collect();
                PatternNode::Permute { parts, contiguity: Contiguity::Strict }
            }
            _ if self.in_exclusion => self.node(random, depth - 1),
            _ => {
                self.in_exclusion = true;
                let inner = self.node(random, depth - 1);
                self.in_exclusion = false;
                PatternNode::Exclusion(Box::new(inner))
            }
        }
    }

    fn leaf(&mut self, random: &mut SplitMix64) -> PatternNode {
        match random.below(self.leaves_a_rare_one) {
            0 => return PatternNode::Empty,
            1 => return PatternNode::Anchor(PartitionEdge::Start),
            2 => return PatternNode::Anchor(PartitionEdge::End),
            _ => {}
        }
        if self.pool.is_empty() {
            return PatternNode::Empty;
        }
        let index = random.below(self.pool.len());
        let variable = if self.features.algebra { self.pool.remove(index) } else { self.pool[index] };
        PatternNode::Variable(variable.to_owned())
    }
}
