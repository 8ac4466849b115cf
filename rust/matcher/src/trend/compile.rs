//! A pattern as operators on what runs wait for.

use std::collections::BTreeMap;

use arrow_schema::Schema;
use cepheid_eval::{Leaf, TypedExpr};
use cepheid_ir::{AfterMatchSkip, Contiguity, Pattern, PatternError, Selection, Within};

use super::loops::LoopShape;
use super::operator::{Operator, START, Taking};
use crate::automaton::ambiguous_at;
use crate::automaton::{Automaton, Next, Target, VariableId};
use crate::conditions::{Condition, Conditions};
use crate::error::MatchError;

/// Most places that take a row, counts written out.
pub(super) const PLACES_MAX: usize = 256;
/// Most things that runs may wait for.
const WAITS_MAX: usize = 512;
/// Most distinct conditions: a symbol is a word of them.
const PREDICATES_MAX: usize = 64;

/// See [`crate::trend`]. Immutable.
#[derive(Debug)]
pub struct TrendMatcher {
    /// Names of the variables.
    pub variables: Vec<String>,
    /// Conditions, to be turned into masks.
    pub predicates: Vec<TypedExpr>,
    /// `accepts[v]`: the predicate that the rows of variable `v` satisfy; `None`: every row does.
    pub accepts: Vec<Option<usize>>,
    /// What a match's last row may be from its first, if the pattern says so.
    pub within: Option<Within>,
    /// Whether rows without a satisfied predicate matter: some variable takes every row.
    pub(super) every_row: bool,
    /// Whether a gap between rows that matter does something.
    pub(super) gaps_matter: bool,
    pub(super) waits: usize,
    automaton: Automaton,
    nodes: Vec<Wait>,
    /// `untils[u]`: the predicate of the u-th ending condition.
    untils: Vec<usize>,
}

/// Something that runs wait for. Number `n` of them is element `n + 1` of the vector.
#[derive(Clone, Debug)]
struct Wait {
    target: Target,
    /// What it becomes once the very next row has passed, if that makes a difference.
    settled: Option<usize>,
    /// The very next row has passed.
    is_settled: bool,
}

impl TrendMatcher {
    /// Whether a partition may be cut for several threads: what ends in a row is of rows in its window.
    pub fn cuts_partitions(&self) -> bool {
        matches!(self.within, Some(Within::Rows(_) | Within::Time { .. }))
    }

    /// Compiles a pattern, which must have passed [`Pattern::validate`]. `timed`: rows have event times, ascending.
    ///
    /// # Errors
    /// [`MatchError::Pattern`] with [`PatternError::Unsupported`] for what is not accepted, by name;
    /// [`MatchError::Condition`] and [`MatchError::Event`] for names and types that do not fit the schema.
    pub fn compile(pattern: &Pattern, schema: &Schema, timed: bool) -> Result<Self, MatchError> {
        refuse_clauses(pattern)?;
        let automaton = Automaton::compile(pattern)?;
        refuse_parts(&automaton)?;
        if !timed && matches!(pattern.within, Some(Within::Time { .. })) {
            return Err(PatternError::WithinNeedsOrder.into());
        }
        let mut conditions = Conditions::compile(pattern, &automaton.variables, schema)?;
        let mut accepts = vec![];
        for (variable, condition) in automaton.variables.iter().zip(&conditions.of) {
            accepts.push(match condition {
                Condition::Always => None,
                Condition::Predicate(predicate) => Some(*predicate),
                Condition::Run { .. } => {
                    return Err(unsupported(
                        format!(
                            "the condition of `{variable}`, which looks back at the match, over all matches"
                        ),
                        "let conditions read the row itself, or rows at a fixed distance from it (prev)",
                    ));
                }
            });
        }
        let untils = until_predicates(&automaton, &mut conditions, schema)?;
        let predicates = conditions.predicates;
        if predicates.len() > PREDICATES_MAX {
            return Err(PatternError::LimitExceeded {
                what: "distinct conditions over all matches",
                found: predicates.len(),
                limit: PREDICATES_MAX,
            }
            .into());
        }
        if let Some(variable) = ambiguous_at(&automaton) {
            return Err(unsupported(
                format!(
                    "a pattern in which several ways lead to one match, which part at `{}`, over all matches",
                    automaton.variables[variable as usize]
                ),
                "write it so that rows and their variables tell the way, such as one loop for a loop of loops",
            ));
        }
        let mut matcher = Self {
            every_row: accepts.contains(&None),
            variables: automaton.variables.clone(),
            predicates,
            accepts,
            within: pattern.within.filter(|within| *within != Within::Unbounded),
            gaps_matter: false,
            waits: 0,
            automaton,
            nodes: vec![],
            untils,
        };
        matcher.number_waits()?;
        matcher.gaps_matter = !matcher.operator(0).is_idle();
        Ok(matcher)
    }

    /// The predicates of the places (`None`: every row satisfies it), if each takes one row, is followed by the next
    /// alone, and any rows may lie between them.
    pub(super) fn chain(&self) -> Option<Vec<Option<usize>>> {
        let positions = &self.automaton.positions;
        let only = |targets: &[Target], step: Next| {
            let [target] = targets else { return false };
            let way = &self.automaton.ways[target.way as usize];
            let open = way.absences.is_empty() && way.ends.is_empty() && way.guards.is_empty();
            let any = way.relation == Contiguity::SkipTillAny || matches!(step, Next::Accept | Next::Take(0));
            target.step == step && open && any
        };
        let follows = |place: usize| match place + 1 < positions.len() {
            true => Next::Take(place as u32 + 1),
            false => Next::Accept,
        };
        let in_line = only(&self.automaton.start, Next::Take(0))
            && self.untils.is_empty()
            && positions.iter().enumerate().all(|(place, position)| only(&position.follow, follows(place)));
        in_line.then(|| positions.iter().map(|position| self.accepts[position.variable as usize]).collect())
    }

    /// The pattern as one loop with an event in front or behind or both, if it is that and any rows may lie between.
    pub(super) fn loop_shape(&self) -> Option<LoopShape> {
        let positions = &self.automaton.positions;
        let open = |target: &Target| {
            let way = &self.automaton.ways[target.way as usize];
            way.absences.is_empty() && way.ends.is_empty() && way.guards.is_empty()
        };
        let any = |target: &Target| {
            target.step == Next::Accept
                || self.automaton.ways[target.way as usize].relation == Contiguity::SkipTillAny
        };
        let all_any =
            positions.iter().flat_map(|position| &position.follow).all(|target| open(target) && any(target));
        let [start] = self.automaton.start.as_slice() else { return None };
        if !(all_any && open(start) && start.step == Next::Take(0) && self.untils.is_empty()) {
            return None;
        }
        let follow = |place: usize| {
            let mut steps: Vec<Option<u32>> = vec![];
            for target in &positions[place].follow {
                steps.push(match target.step {
                    Next::Take(place) => Some(place),
                    Next::Accept => None,
                });
            }
            steps.sort_unstable();
            steps
        };
        let accepts = |place: usize| self.accepts[positions[place].variable as usize];
        let followed: Vec<_> = (0..positions.len()).map(follow).collect();
        let followed: Vec<&[Option<u32>]> = followed.iter().map(Vec::as_slice).collect();
        let (doubles, completes, needs_loop) = match followed.as_slice() {
            [[Some(1)], [Some(1), Some(2)], [None]] => (1, 2, true),
            [[Some(1), Some(2)], [Some(1), Some(2)], [None]] => (1, 2, false),
            [[Some(1)], [None, Some(1)]] => (1, 1, false),
            [[Some(0), Some(1)], [None]] => (0, 1, false),
            _ => return None,
        };
        Some(LoopShape {
            opens: accepts(0),
            doubles: accepts(doubles),
            completes: accepts(completes),
            needs_loop,
        })
    }

    /// Numbers what runs may wait for: each way to each place once, and where the very next row is asked more than those
    /// behind it, once more.
    fn number_waits(&mut self) -> Result<(), MatchError> {
        let targets = self.automaton.positions.iter().flat_map(|position| &position.follow).copied();
        for target in targets.filter(|target| target.step != Next::Accept).collect::<Vec<_>>() {
            if self.nodes.iter().any(|wait| wait.target == target) {
                continue;
            }
            let way = &self.automaton.ways[target.way as usize];
            let decided =
                way.relation != Contiguity::Strict && way.absences.iter().any(|absence| absence.strict);
            let settled = decided.then_some(self.nodes.len() + 1);
            self.nodes.push(Wait { target, settled, is_settled: false });
            if decided {
                self.nodes.push(Wait { target, settled: None, is_settled: true });
            }
            if self.nodes.len() > WAITS_MAX {
                return Err(PatternError::LimitExceeded {
                    what: "things to wait for over all matches",
                    found: self.nodes.len(),
                    limit: WAITS_MAX,
                }
                .into());
            }
        }
        self.waits = self.nodes.len() + 1;
        Ok(())
    }

    /// What rows do that satisfy the predicates whose bits are set in `symbol`.
    pub(super) fn operator(&self, symbol: u64) -> Operator {
        let holds = |predicate: usize| symbol >> predicate & 1 != 0;
        let until_holds = |of: u32| {
            let until = self.automaton.loops[of as usize].until;
            until.is_some_and(|until| holds(self.untils[until]))
        };
        let satisfies = |variable: VariableId| self.accepts[variable as usize].is_none_or(holds);
        let fits = |place: u32| {
            let position = &self.automaton.positions[place as usize];
            satisfies(position.variable) && !position.loops.iter().any(|of| until_holds(*of))
        };
        let mut sources: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut operator = Operator::default();
        for target in &self.automaton.start {
            if let Next::Take(place) = target.step
                && fits(place)
            {
                sources.entry(place).or_default().push(START);
            }
        }
        let (mut ended, mut turned) = (vec![], vec![]);
        for (number, wait) in self.nodes.iter().enumerate() {
            let Next::Take(place) = wait.target.step else { continue };
            let way = &self.automaton.ways[wait.target.way as usize];
            let taken = fits(place);
            let (mut lost, mut forbidden) = (false, false);
            for absence in way.absences.iter().filter(|absence| !(absence.strict && wait.is_settled)) {
                let comes = satisfies(absence.variable);
                lost |= comes && (absence.strict || !taken);
                forbidden |= comes;
            }
            lost |= way.ends.iter().any(|of| until_holds(*of));
            lost |= way.guards.iter().flat_map(|guard| &guard.heads).any(|head| fits(*head));
            if taken && !lost {
                sources.entry(place).or_default().push(number + 1);
            }
            let passed_over = match way.relation {
                Contiguity::Strict => false,
                Contiguity::SkipTillNext => !taken,
                Contiguity::SkipTillAny => true,
            };
            match wait.settled {
                _ if lost || forbidden || !passed_over => ended.push((number + 1, None)),
                Some(settled) => turned.push((number + 1, Some(settled + 1))),
                None => {}
            }
        }
        operator.moves = ended;
        operator.moves.extend(turned);
        operator.goes_on = !operator.moves.is_empty();
        for (place, from) in sources {
            let follow = &self.automaton.positions[place as usize].follow;
            let number = |target: &Target| {
                let known = self.nodes.iter().position(|wait| wait.target == *target && !wait.is_settled);
                known.expect("every target is numbered") + 1
            };
            let goes_on = follow.iter().filter(|target| target.step != Next::Accept);
            let accepts = follow.iter().any(|target| target.step == Next::Accept);
            operator.begins |= from.contains(&START);
            operator.completes |= accepts;
            operator.goes_on |= from.iter().any(|from| *from != START);
            operator.takes.push(Taking {
                variable: self.automaton.positions[place as usize].variable,
                from,
                to: goes_on.map(number).collect(),
                accepts,
            });
        }
        operator.measured()
    }
}

fn unsupported(construct: impl Into<String>, hint: &str) -> MatchError {
    PatternError::Unsupported { construct: construct.into(), hint: hint.into() }.into()
}

fn refuse_clauses(pattern: &Pattern) -> Result<(), MatchError> {
    let refused: [(bool, &str, &str); 5] = [
        (pattern.selection != Selection::All, "one match a start row", "ask for matches(\"all\")"),
        (
            pattern.after_match != AfterMatchSkip::None,
            "an after-match skip over all matches",
            "leave after_match(...) out, or match without aggregate(...)",
        ),
        (
            pattern.having.is_some() || pattern.timeouts || !pattern.emit_at.is_empty(),
            "what asks for single matches, over all of them,",
            "leave having(...), timeouts(...) and emit_at(...) out",
        ),
        (
            !pattern.topics.is_empty(),
            "events of several topics over all matches",
            "put the rows of all topics into one table, with the topic as a column for conditions to read",
        ),
        (pattern.initial, "INITIAL over all matches", "leave it out"),
    ];
    match refused.into_iter().find(|(refused, ..)| *refused) {
        Some((_, construct, hint)) => Err(unsupported(construct, hint)),
        None => Ok(()),
    }
}

fn refuse_parts(automaton: &Automaton) -> Result<(), MatchError> {
    if !automaton.bounds.is_empty() {
        return Err(unsupported(
            "a bound on a part, or on gaps between rows, over all matches",
            "bound the whole pattern from its first row to its last: within(...) of the pattern",
        ));
    }
    if automaton.accepts_empty() {
        return Err(unsupported(
            "a pattern that may be empty, over all matches,",
            "let one event be required",
        ));
    }
    let targets = || automaton.positions.iter().flat_map(|position| &position.follow);
    if targets().chain(&automaton.start).any(|target| target.at_start || target.at_end) {
        return Err(unsupported("`^` and `$` over all matches", "leave the anchor out"));
    }
    let absent = |target: &Target| {
        let way = &automaton.ways[target.way as usize];
        way.absences.first().map(|absence| automaton.variables[absence.variable as usize].as_str())
    };
    if let Some(variable) = automaton.start.iter().find_map(absent) {
        return Err(unsupported(
            format!("absent `{variable}` as the first step, over all matches,"),
            "let an event come before what is absent",
        ));
    }
    let ends = |target: &&Target| target.step == Next::Accept;
    if let Some(variable) = targets().filter(ends).find_map(absent) {
        return Err(unsupported(
            format!("absent `{variable}` as the last step, over all matches,"),
            "let an event come after what is absent",
        ));
    }
    for guard in automaton.ways.iter().flat_map(|way| &way.guards) {
        if automaton.loops[guard.of as usize].until.is_some() {
            return Err(unsupported(
                "a greedy loop that a condition ends, over all matches,",
                "leave greedy out",
            ));
        }
    }
    if automaton.positions.len() > PLACES_MAX {
        return Err(PatternError::LimitExceeded {
            what: "single-row steps over all matches, counts written out,",
            found: automaton.positions.len(),
            limit: PLACES_MAX,
        }
        .into());
    }
    Ok(())
}

/// The conditions that end loops, as predicates.
fn until_predicates(
    automaton: &Automaton,
    conditions: &mut Conditions,
    schema: &Schema,
) -> Result<Vec<usize>, MatchError> {
    let mut untils = vec![];
    for condition in &automaton.untils {
        let whole = TypedExpr::compile_condition(condition, schema).map_err(|source| {
            MatchError::Condition { variable: "until".to_owned(), source: Box::new(source) }
        })?;
        if !whole.leaves().iter().all(|leaf| matches!(leaf, Leaf::Column { at, .. } if at.is_physical())) {
            return Err(unsupported(
                "an until condition that looks back at the match, over all matches",
                "let conditions read the row itself, or rows at a fixed distance from it (prev)",
            ));
        }
        let known = conditions.predicates.iter().position(|predicate| *predicate == whole);
        untils.push(known.unwrap_or_else(|| {
            conditions.predicates.push(whole);
            conditions.predicates.len() - 1
        }));
    }
    Ok(untils)
}
