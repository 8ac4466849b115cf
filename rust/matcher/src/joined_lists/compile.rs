//! What is asked at each step, sorted by the rows that it is asked of.

use arrow_schema::Schema;
use cepheid_eval::{Leaf, OrderCode, TypedExpr, expression_text};
use cepheid_ir::{Anchor, BinaryOp, Expr};

use crate::automaton::VariableId;
use crate::conditions::needs_no_run;
use crate::lists::window::Bound;
use crate::match_set::Label;
use crate::sequence::SequenceMatcher;
use crate::sequence::joins::{flatten, never_fails};
use crate::sequence::registers::Looked;
use crate::sequence::tests::{Test, TestSource};
use crate::step_lists::StepLists;
use crate::step_lists::settled::{After, waits_for_earlier};

/// See [`crate::joined_lists`].
#[derive(Debug)]
pub struct JoinedLists {
    pub(crate) steps: Vec<Step>,
    /// What a completed row does to the rest.
    pub(super) consumes: bool,
    pub(crate) within: Bound,
}

/// A step, which takes one row.
#[derive(Debug)]
pub(crate) struct Step {
    pub(super) label: Label,
    /// What numbers and masks decide of its rows.
    pub(super) asked: Asked,
    /// What is asked of the row and earlier ones otherwise.
    pub(super) rest: Vec<Rest>,
    /// How entries of the step before are looked through.
    pub(super) access: Access,
    /// Which of the rows that fit may follow an entry of the step before.
    pub(super) following: Following,
    /// Predicates of rows that must not come since the step before; `None`: no row may.
    pub(super) absent: Vec<Option<usize>>,
    /// The same of rows that end the wait of entries of their number alone, by the join that entries are found by.
    pub(super) absent_of_key: Option<Asked>,
    /// An entry for every entry of the step before that its row may follow, since later conditions read beyond this step,
    /// or since finding them once more would cost too much; else one for all of them.
    pub(super) split: bool,
    /// What entries know for joins of later steps.
    pub(super) codes: Vec<Code>,
    /// Columns of the row that conditions over several rows read.
    pub(super) columns: Vec<usize>,
}

/// What masks and numbers decide of rows.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The predicate, by the matcher's number, that they satisfy; `None`: every row does.
    pub(super) guard: Option<usize>,
    /// What else is asked of the row alone.
    pub(super) filters: Vec<OverRow>,
    /// What compares the row with an earlier one.
    pub(super) joins: Vec<Join>,
}

/// An expression over one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OverRow {
    pub(super) whole: TypedExpr,
    /// The column that each leaf reads; `None`: of a row that there never is.
    pub(super) columns: Vec<Option<usize>>,
}

/// A conjunct `row op earlier row` that numbers decide.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) row: OverRow,
    pub(super) op: BinaryOp,
    /// Which of the codes of the step before it compares with.
    pub(super) code: usize,
    /// The step that made this code, and its place there.
    pub(super) made: (usize, usize),
    pub(super) numbers: Numbers,
}

/// What entries know.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Code {
    /// Of their own row.
    Own(OverRow, Numbers),
    /// What the entry before knows.
    Carried(usize),
}

/// How values are turned into numbers that compare as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Ordered(OrderCode),
    /// In order of appearance: for equality.
    Appearance,
}

/// A conjunct that only evaluating it decides.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) whole: TypedExpr,
    pub(super) reads: Vec<Read>,
}

/// What a leaf of a condition over several rows reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// One of the columns of the row that a step took.
    At { step: usize, column: usize },
    /// A row that there never is.
    Nothing,
}

/// See [`Step::access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// All of them.
    Every,
    /// Those of one number, by hash: which join.
    Hashed(usize),
    /// Those of numbers in a range, block by block: which join.
    Ordered(usize),
}

/// See [`Step::following`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// Any.
    Any,
    /// The first that comes, which fits all.
    First,
    /// The first of a key, which fits all of that key.
    FirstOfKey,
    /// The first that fits it.
    FirstOfEach,
}

impl JoinedLists {
    /// `schema`: what the matcher was compiled with.
    ///
    /// # Errors
    /// Why the pattern needs runs of their own, in a sentence.
    pub fn new(matcher: &SequenceMatcher, schema: &Schema) -> Result<Self, &'static str> {
        let plain = StepLists::without_conditions(matcher)?;
        if !plain.chain {
            return Err("a condition reads the run, and steps are repeated, optional or alternatives");
        }
        if plain.settled && waits_for_earlier(matcher) {
            return Err("a match waits for runs that began before it");
        }
        let mut sorted = vec![];
        for (place, shape) in plain.places.iter().enumerate() {
            sorted.push(Sorted::new(matcher, schema, &plain, place, shape.variable)?);
        }
        if sorted.iter().all(|sorted| sorted.conditions.is_empty()) {
            return Err("no condition reads an earlier row");
        }
        let mut steps: Vec<Step> = vec![];
        for (place, Sorted { guard, filters, conditions }) in sorted.into_iter().enumerate() {
            steps.push(Step {
                label: plain.places[place].label,
                asked: Asked { guard, filters, joins: vec![] },
                rest: vec![],
                access: Access::Every,
                following: Following::Any,
                absent: vec![],
                absent_of_key: None,
                split: false,
                codes: vec![],
                columns: vec![],
            });
            let Some(edge) = place.checked_sub(1).map(|before| &plain.edges[before]) else { continue };
            connect(&mut steps, conditions, edge.takes_first);
            for variable in &edge.absent {
                match &matcher.tests[*variable as usize] {
                    Test::Always => steps[place].absent.push(None),
                    Test::Mask { predicate, .. } => steps[place].absent.push(Some(*predicate)),
                    Test::Run { .. } => {
                        let sorted = Sorted::new(matcher, schema, &plain, place, *variable)?;
                        keep_out(&mut steps, sorted)?;
                    }
                }
            }
        }
        // What the last step takes completes a match, and is not looked for again.
        steps.last_mut().expect("a pattern has a step").split = false;
        Ok(Self { steps, consumes: plain.after == After::EndTogether, within: plain.within })
    }

    /// The labels of the rows of every match.
    pub fn shape(&self) -> Vec<Label> {
        self.steps.iter().map(|step| step.label).collect()
    }

    /// How what a row may follow is found, in a sentence for each step that asks for something.
    pub fn outline(&self, variables: &[String]) -> Vec<String> {
        let asks = |step: &&Step| !step.asked.joins.is_empty() || !step.rest.is_empty();
        self.steps.iter().filter(asks).map(|step| self.outline_step(step, variables)).collect()
    }

    fn outline_step(&self, step: &Step, variables: &[String]) -> String {
        let compared = |join: usize| {
            let Join { row, op, made: (from, code), .. } = &step.asked.joins[join];
            let Code::Own(run, _) = &self.steps[*from].codes[*code] else { unreachable!("made there") };
            let (row, run) = (expression_text(row.whole.source()), expression_text(run.whole.source()));
            format!("`{row} {} {run}`", op.symbol())
        };
        let found = match step.access {
            Access::Every => "among all entries in the window".to_owned(),
            Access::Hashed(join) => format!("by hash, by {}, in O(1)", compared(join)),
            Access::Ordered(join) => {
                format!("by order, by {}, in O(b) for b blocks of 64 entries in the window", compared(join))
            }
        };
        let rest = match (step.asked.joins.len(), step.rest.len()) {
            (0 | 1, 0) => "",
            _ => "; the rest of its condition is asked of what is found",
        };
        let pairs = if step.split { "; an entry for each that it follows" } else { "" };
        let name = &variables[step.label.variable as usize];
        format!("what `{name}` follows is found {found}{rest}{pairs}")
    }
}

/// What is asked of a row at one place, sorted.
struct Sorted {
    guard: Option<usize>,
    filters: Vec<OverRow>,
    conditions: Vec<OverRows>,
}

/// What is asked of a row and earlier ones.
enum OverRows {
    Join { row: OverRow, op: BinaryOp, from: usize, run: OverRow, numbers: Numbers },
    Rest { whole: TypedExpr, reads: Vec<(usize, Option<usize>)> },
}

impl Sorted {
    /// Of the condition of a variable, as it is asked where a place is waited for.
    fn new(
        matcher: &SequenceMatcher,
        schema: &Schema,
        plain: &StepLists,
        place: usize,
        variable: VariableId,
    ) -> Result<Self, &'static str> {
        let mut asked = Self { guard: None, filters: vec![], conditions: vec![] };
        let (whole, sources) = match &matcher.tests[variable as usize] {
            Test::Always => return Ok(asked),
            Test::Mask { predicate, .. } => {
                asked.guard = Some(*predicate);
                return Ok(asked);
            }
            Test::Run { whole, guard, sources } => {
                asked.guard = *guard;
                (whole, sources)
            }
        };
        let mut conjuncts = vec![];
        match whole.source() {
            // The guard's conjuncts stand first, and a mask knows them.
            Expr::And(parts) if asked.guard.is_some() => {
                parts
                    .iter()
                    .skip_while(|part| needs_no_run(part))
                    .for_each(|part| flatten(part, &mut conjuncts));
            }
            other => flatten(other, &mut conjuncts),
        }
        let reader = Reader { matcher, plain, place, whole, sources };
        for conjunct in conjuncts {
            reader.sort(conjunct, schema, &mut asked)?;
        }
        Ok(asked)
    }
}

/// Tells where the leaves of a condition are read, at one place.
struct Reader<'a> {
    matcher: &'a SequenceMatcher,
    plain: &'a StepLists,
    place: usize,
    whole: &'a TypedExpr,
    sources: &'a [TestSource],
}

impl Reader<'_> {
    fn sort(&self, conjunct: &Expr, schema: &Schema, sorted: &mut Sorted) -> Result<(), &'static str> {
        const UNKNOWN: &str = "a part of a condition does not compile by itself";
        let typed = TypedExpr::compile_condition(conjunct, schema).map_err(|_| UNKNOWN)?;
        let reads = self.reads(&typed)?;
        let own = |reads: &[(usize, Option<usize>)]| {
            reads.iter().all(|(place, column)| *place == self.place || column.is_none())
        };
        let over_row = |whole: TypedExpr, reads: &[(usize, Option<usize>)]| OverRow {
            whole,
            columns: reads.iter().map(|(_, column)| *column).collect(),
        };
        if own(&reads) {
            sorted.filters.push(over_row(typed, &reads));
            return Ok(());
        }
        if let Some((op, left, right)) = comparison(conjunct) {
            let left = TypedExpr::compile(left, schema).map_err(|_| UNKNOWN)?;
            let right = TypedExpr::compile(right, schema).map_err(|_| UNKNOWN)?;
            let (of_left, of_right) = (self.reads(&left)?, self.reads(&right)?);
            let numbers = numbers(op, &left, &right);
            let one_earlier = |reads: &[(usize, Option<usize>)]| {
                let (first, column) = *reads.first()?;
                let same = reads.iter().all(|(place, column)| *place == first && column.is_some());
                (same && first < self.place && column.is_some()).then_some(first)
            };
            let (row, of_row, op, run, of_run) = if own(&of_left) && one_earlier(&of_right).is_some() {
                (left, of_left, op, right, of_right)
            } else {
                (right, of_right, op.mirrored(), left, of_left)
            };
            if let (Some(numbers), false, true, Some(from)) =
                (numbers, of_row.is_empty(), own(&of_row), one_earlier(&of_run))
            {
                let (row, run) = (over_row(row, &of_row), over_row(run, &of_run));
                sorted.conditions.push(OverRows::Join { row, op, from, run, numbers });
                return Ok(());
            }
        }
        if !never_fails(&typed) {
            return Err("a condition over several rows may raise an error");
        }
        sorted.conditions.push(OverRows::Rest { whole: typed, reads });
        Ok(())
    }

    /// The place that each leaf is read at, and the column; no column: there never is such a row.
    fn reads(&self, part: &TypedExpr) -> Result<Vec<(usize, Option<usize>)>, &'static str> {
        let source = |leaf: &Leaf| {
            let known = self.whole.leaves().iter().position(|known| known == leaf);
            self.sources[known.expect("a part's leaves are those of the whole")]
        };
        part.leaves().iter().map(|leaf| self.read(source(leaf))).collect()
    }

    fn read(&self, source: TestSource) -> Result<(usize, Option<usize>), &'static str> {
        let column = |projected: usize| match self.matcher.projection[projected] {
            (column, 0) => Ok(column),
            _ => Err("a condition over several rows looks at neighbours of a row"),
        };
        match source {
            TestSource::UnderTest(projected) => Ok((self.place, Some(column(projected)?))),
            TestSource::Fold { .. } => Err("a condition aggregates rows taken before"),
            TestSource::Lookback { index, includes } => {
                let look = &self.matcher.lookbacks[index];
                let Looked::Column(projected) = look.what else {
                    return Err("a condition reads which variable took a row");
                };
                let counts = |place: &usize| look.members[self.plain.places[*place].variable as usize];
                let mut rows: Vec<usize> = (0..self.place).filter(counts).collect();
                rows.extend(includes.then_some(self.place));
                let offset = look.offset as usize;
                let at = match look.anchor {
                    Anchor::First => rows.get(offset),
                    Anchor::Last => rows.iter().rev().nth(offset),
                };
                Ok(match at {
                    Some(place) => (*place, Some(column(projected)?)),
                    None => (self.place, None),
                })
            }
        }
    }
}

fn comparison(conjunct: &Expr) -> Option<(BinaryOp, &Expr, &Expr)> {
    use BinaryOp::*;
    match conjunct {
        Expr::Binary { op: op @ (Equal | Less | LessOrEqual | Greater | GreaterOrEqual), left, right } => {
            Some((*op, left, right))
        }
        _ => None,
    }
}

/// The numbers that decide a comparison, if there are any that do.
fn numbers(op: BinaryOp, left: &TypedExpr, right: &TypedExpr) -> Option<Numbers> {
    let code = OrderCode::of(left.data_type(), right.data_type())?;
    if code.is_exact() {
        return Some(Numbers::Ordered(code));
    }
    (op == BinaryOp::Equal && code.is_of_text()).then_some(Numbers::Appearance)
}

/// Adds to the last of the steps what is asked over it and earlier ones, and to these what they must know for it.
fn connect(steps: &mut [Step], conditions: Vec<OverRows>, takes_first: bool) {
    let (own, before) = steps.split_last_mut().expect("the step has been added");
    let place = before.len();
    let mut earliest = place;
    for condition in conditions {
        match condition {
            OverRows::Join { row, op, from, run, numbers } => {
                earliest = earliest.min(from);
                let made = number_of(&mut before[from].codes, Code::Own(run, numbers));
                let code = (from + 1..place)
                    .fold(made, |code, step| number_of(&mut before[step].codes, Code::Carried(code)));
                own.asked.joins.push(Join { row, op, code, made: (from, made), numbers });
            }
            OverRows::Rest { whole, reads } => {
                let mut read = |(at, column): (usize, Option<usize>)| {
                    let Some(column) = column else { return Read::Nothing };
                    earliest = earliest.min(at);
                    let columns = if at == place { &mut own.columns } else { &mut before[at].columns };
                    Read::At { step: at, column: number_of(columns, column) }
                };
                let reads = reads.into_iter().map(&mut read).collect();
                own.rest.push(Rest { whole, reads });
            }
        }
    }
    for step in &mut before[(earliest + 1).min(place)..] {
        step.split = true;
    }
    let is_equality = |join: &Join| join.op == BinaryOp::Equal;
    own.access = match own.asked.joins.iter().position(is_equality) {
        Some(join) => Access::Hashed(join),
        None if own.asked.joins.is_empty() => Access::Every,
        None => Access::Ordered(0),
    };
    own.following = match (takes_first, own.access, own.asked.joins.len(), own.rest.len()) {
        (false, ..) => Following::Any,
        (true, _, 0, 0) => Following::First,
        (true, Access::Hashed(_), 1, 0) => Following::FirstOfKey,
        _ => Following::FirstOfEach,
    };
    own.split |= !own.rest.is_empty() || own.following == Following::FirstOfEach;
}

/// Adds to the last of the steps rows that must not come before it, which equal what it finds entries by.
fn keep_out(steps: &mut [Step], sorted: Sorted) -> Result<(), &'static str> {
    const OTHERWISE: &str =
        "what must not come is compared with earlier rows, other than as what comes next is";
    let (own, before) = steps.split_last_mut().expect("the step has been added");
    let Sorted { guard, filters, mut conditions } = sorted;
    let (Access::Hashed(by), Some(OverRows::Join { row, op: BinaryOp::Equal, from, run, numbers }), None) =
        (own.access, conditions.pop(), conditions.pop())
    else {
        return Err(OTHERWISE);
    };
    let Join { code, made, .. } = own.asked.joins[by];
    if made.0 != from || before[from].codes[made.1] != Code::Own(run, numbers) || own.absent_of_key.is_some()
    {
        return Err(OTHERWISE);
    }
    let join = Join { row, op: BinaryOp::Equal, code, made, numbers };
    own.absent_of_key = Some(Asked { guard, filters, joins: vec![join] });
    Ok(())
}

/// Where something stands in a list that holds it, or is made to.
fn number_of<T: PartialEq>(known: &mut Vec<T>, wanted: T) -> usize {
    known.iter().position(|entry| *entry == wanted).unwrap_or_else(|| {
        known.push(wanted);
        known.len() - 1
    })
}
