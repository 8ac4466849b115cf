//! Equality of all rows of a run on one column, made a matter of keys.
//!
//! Where every row behind the first must equal an earlier one on the same column, rows of different values never meet:
//! matching them key by key gives the same, and what is left of the conditions often reads no run. Numbers of matches,
//! which count within the pattern's own partitions, are for the caller to give.

use arrow_schema::Schema;
use cepheid_eval::{OrderCode, TypedExpr};
use cepheid_event::resolve_column;
use cepheid_ir::{
    AfterMatchSkip, Anchor, BinaryOp, ColumnName, Contiguity, Expr, Pattern, RowPointer, TestedRow, Within,
};

use crate::automaton::{Automaton, Next, Target, VariableId};
use crate::sequence::SequenceMatcher;
use crate::sequence::joins::{flatten, never_fails};

/// A matcher that a table may be matched with in place of another, when it is partitioned by some columns more. What it
/// finds counts in these finer partitions.
#[derive(Debug)]
pub struct Promoted {
    /// The matcher.
    pub matcher: SequenceMatcher,
    /// The columns, behind those that the pattern names.
    pub keys: Vec<usize>,
}

impl Promoted {
    /// Finds every column that all rows of a run of `matcher` share. `schema` and `timed`: what it was compiled with.
    ///
    /// # Errors
    /// Why there is none, in a sentence.
    pub fn new(matcher: &SequenceMatcher, schema: &Schema, timed: bool) -> Result<Self, String> {
        let mut promoted: Option<Self> = None;
        loop {
            let from = promoted.as_ref().map_or(matcher, |promoted| &promoted.matcher);
            match promote(from.pattern(), from.automaton(), schema) {
                Ok(Promotion { column, pattern }) => {
                    let matcher = SequenceMatcher::compile(&pattern, schema, timed);
                    let mut keys = promoted.map_or(vec![], |promoted| promoted.keys);
                    keys.push(column);
                    promoted = Some(Self { matcher: matcher.map_err(|error| error.to_string())?, keys });
                }
                Err(reason) => return promoted.ok_or(reason),
            }
        }
    }
}

/// A pattern of which every run keeps to one value of a column, written for rows of that value.
struct Promotion {
    /// The column, which the pattern's partitions are to be divided by.
    column: usize,
    /// What is asked there.
    pattern: Pattern,
}

/// Finds a column that all rows of a run share, and says why there is none.
///
/// What sees rows of other keys stands against it: `after_match` (a match forgets what other keys have begun, or waits
/// for it), strict contiguity, bounds by rows, `PREV` and `NEXT`, absence before the first row, `until`; and so does a
/// condition that may raise an error, which would be met for rows of fewer keys.
fn promote(pattern: &Pattern, automaton: &Automaton, schema: &Schema) -> Result<Promotion, String> {
    sees_no_other_keys(pattern, automaton)?;
    let mut conditions = vec![];
    for variable in &automaton.variables {
        let Some(condition) = pattern.condition(variable) else {
            conditions.push(None);
            continue;
        };
        let typed = TypedExpr::compile_condition(condition, schema).map_err(|error| error.to_string())?;
        if !never_fails(&typed) {
            return Err(format!("the condition of `{variable}` may raise an error"));
        }
        conditions.push(Some(condition));
    }
    // Variables whose rows, or whose absence, are asked for when a run has begun; and after which places.
    let follows = automaton.positions.iter().enumerate().flat_map(|(place, position)| {
        let of_way =
            |target: &Target| automaton.ways[target.way as usize].absences.iter().map(|a| a.variable);
        let taken = |target: &Target| match target.step {
            Next::Take(next) => Some(automaton.positions[next as usize].variable),
            Next::Accept => None,
        };
        let asked: Vec<VariableId> =
            position.follow.iter().flat_map(|target| of_way(target).chain(taken(target))).collect();
        asked.into_iter().map(move |variable| (place, variable))
    });
    let follows: Vec<(usize, VariableId)> = follows.collect();
    if follows.is_empty() {
        return Err("a run is one row".into());
    }
    let mut candidates: Vec<usize> = vec![];
    for (_, variable) in &follows {
        let own: Vec<usize> =
            joins(*variable, &conditions, automaton, schema).map(|join| join.column).collect();
        if own.is_empty() {
            let name = &automaton.variables[*variable as usize];
            return Err(format!("nothing makes `{name}` equal an earlier event on one of its columns"));
        }
        for column in own {
            if !candidates.contains(&column) {
                candidates.push(column);
            }
        }
    }
    let taken_before = |other: VariableId, place: usize| !reachable_without(automaton, other)[place];
    let shared = candidates.into_iter().find(|column| {
        follows.iter().all(|(place, variable)| {
            joins(*variable, &conditions, automaton, schema)
                .any(|join| join.column == *column && taken_before(join.other, *place))
        })
    });
    let Some(column) = shared else {
        return Err("not every event has to equal an earlier one on the same column".into());
    };
    let name = ColumnName { name: schema.field(column).name().clone(), quoted: true };
    if pattern.partition_by.iter().any(|key| resolve_column(schema, &key.name, key.quoted) == Ok(column)) {
        return Err("rows are partitioned by that column as it is".into());
    }
    let may_begin = |variable: usize| {
        automaton.start.iter().any(|target| match target.step {
            Next::Take(place) => usize::from(automaton.positions[place as usize].variable) == variable,
            Next::Accept => false,
        })
    };
    let mut promoted = pattern.clone();
    for definition in &mut promoted.define {
        let Some(variable) = automaton.variables.iter().position(|known| *known == definition.variable)
        else {
            continue;
        };
        if !follows.iter().any(|(_, asked)| usize::from(*asked) == variable) {
            continue;
        }
        let mut conjuncts = vec![];
        flatten(&definition.condition, &mut conjuncts);
        let rewritten = conjuncts.into_iter().map(|conjunct| {
            let join = join(variable as VariableId, conjunct, automaton, schema);
            // Only where the other has a row for sure is it the key that decides.
            let decided = join.is_some_and(|join| {
                let mut places = follows.iter().filter(|(_, asked)| usize::from(*asked) == variable);
                // A run that has no row yet has none to equal.
                join.column == column
                    && !may_begin(variable)
                    && places.all(|(place, _)| taken_before(join.other, *place))
            });
            if !decided {
                return conjunct.clone();
            }
            // NULL equals nothing, though rows without a key are a group like any other.
            let own = Expr::Column { name: name.name.clone(), quoted: true, at: RowPointer::default() };
            Expr::Not(Box::new(Expr::IsNull(Box::new(own))))
        });
        let mut rewritten: Vec<Expr> = rewritten.collect();
        definition.condition = if rewritten.len() == 1 { rewritten.remove(0) } else { Expr::And(rewritten) };
    }
    promoted.partition_by.push(name);
    Ok(Promotion { column, pattern: promoted })
}

/// Refuses what goes by rows of other keys.
fn sees_no_other_keys(pattern: &Pattern, automaton: &Automaton) -> Result<(), String> {
    let refuse = |what: &str| Err(what.to_owned());
    if pattern.after_match != AfterMatchSkip::None {
        return refuse("a match forgets what others have begun");
    }
    let by_rows = |within: &Within| matches!(within, Within::Rows(_));
    if pattern.within.as_ref().is_some_and(by_rows)
        || automaton.bounds.iter().any(|part| by_rows(&part.within))
    {
        return refuse("a bound counts rows");
    }
    if pattern.initial || automaton.start.iter().any(|target| target.at_start) {
        return refuse("a match begins at the first row");
    }
    let leading =
        automaton.start.iter().any(|target| !automaton.ways[target.way as usize].absences.is_empty());
    if leading || !automaton.untils.is_empty() {
        return refuse("an absence before the first row, or `until`, is asked of every row");
    }
    let strict = |target: &Target| {
        let way = &automaton.ways[target.way as usize];
        let next = target.step != Next::Accept && way.relation == Contiguity::Strict;
        next || way.absences.iter().any(|absence| absence.strict)
    };
    if automaton.positions.iter().flat_map(|position| &position.follow).any(strict) {
        return refuse("strict contiguity looks at the very next row");
    }
    let mut beside = false;
    let conditions = pattern.define.iter().map(|definition| &definition.condition).chain(&pattern.having);
    for condition in conditions {
        condition.walk(&mut |expr| match expr {
            Expr::Column { at, .. } | Expr::Classifier { at } => beside |= at.physical_offset != 0,
            _ => {}
        });
    }
    if beside { refuse("a condition reads the row before or after") } else { Ok(()) }
}

/// A conjunct that makes a row equal an earlier one on the same column.
struct Join {
    column: usize,
    /// The variable of the earlier row.
    other: VariableId,
}

fn joins<'a>(
    variable: VariableId,
    conditions: &[Option<&'a Expr>],
    automaton: &'a Automaton,
    schema: &'a Schema,
) -> impl Iterator<Item = Join> + use<'a> {
    let mut conjuncts = vec![];
    if let Some(condition) = conditions[usize::from(variable)] {
        flatten(condition, &mut conjuncts);
    }
    conjuncts.into_iter().filter_map(move |conjunct| join(variable, conjunct, automaton, schema))
}

fn join(variable: VariableId, conjunct: &Expr, automaton: &Automaton, schema: &Schema) -> Option<Join> {
    let Expr::Binary { op: BinaryOp::Equal, left, right } = conjunct else { return None };
    let own_name = &automaton.variables[usize::from(variable)];
    let column_of = |side: &Expr| match side {
        Expr::Column { name, quoted, at } => Some((resolve_column(schema, name, *quoted).ok()?, at.clone())),
        _ => None,
    };
    let is_own = |at: &RowPointer| {
        let of_itself = at.variable.as_ref().is_none_or(|name| name == own_name);
        let last = at.anchor == Anchor::Last && at.tested_row == TestedRow::Included;
        of_itself && last && at.logical_offset == 0 && at.physical_offset == 0
    };
    let (left, right) = (column_of(left)?, column_of(right)?);
    let (own, earlier) = if is_own(&left.1) { (left, right) } else { (right, left) };
    let data_type = schema.field(own.0).data_type();
    let plain = earlier.1.logical_offset == 0 && earlier.1.physical_offset == 0;
    let fits = is_own(&own.1) && own.0 == earlier.0 && plain && OrderCode::of(data_type, data_type).is_some();
    let other = earlier.1.variable.as_ref().filter(|name| fits && *name != own_name)?;
    let other = automaton.variables.iter().position(|known| known == other)?;
    Some(Join { column: own.0, other: other as VariableId })
}

/// Places that a run may come to without having taken a row for a variable, the place's own row included.
fn reachable_without(automaton: &Automaton, variable: VariableId) -> Vec<bool> {
    let mut reached = vec![false; automaton.positions.len()];
    let mut open: Vec<&Target> = automaton.start.iter().collect();
    while let Some(target) = open.pop() {
        let Next::Take(place) = target.step else { continue };
        let position = &automaton.positions[place as usize];
        if position.variable != variable && !std::mem::replace(&mut reached[place as usize], true) {
            open.extend(&position.follow);
        }
    }
    reached
}
