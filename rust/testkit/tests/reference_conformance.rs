//! The reference gives the answers that the suite's authors worked out by hand.

use std::collections::BTreeMap;
use std::path::Path;

use cepheid_ir::{Pattern, Query};
use cepheid_sql::{Dialect, SqlError, parse_expression, parse_pattern, parse_query};
use cepheid_testkit::suite::{self, Case, Mode};
use cepheid_testkit::{RefValue, ReferenceError, ReferenceMatch, reference_matches, reference_query};

/// Fewest cases that the suite may have: a guard against reading the wrong folder.
const CASES_MIN: usize = 250;

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let cases = suite::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases
}

/// Why a case gave no answer.
enum Failure {
    Sql(SqlError),
    Reference(ReferenceError),
}

impl Failure {
    fn code(&self) -> &str {
        match self {
            Self::Sql(error) => error.code(),
            Self::Reference(error) => error.code(),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Sql(error) => error.to_string(),
            Self::Reference(error) => error.to_string(),
        }
    }
}

struct Answer {
    matches: Vec<Vec<(String, usize)>>,
    columns: Vec<String>,
    rows: Vec<Vec<RefValue>>,
}

fn answer(case: &Case) -> Result<Answer, Failure> {
    let query = match case.mode {
        Mode::Sql => parse_query(&case.sql_text()).map_err(Failure::Sql)?,
        Mode::Algebra => {
            let parse_condition = |text: &str| parse_expression(text, Dialect::AlgebraCondition);
            of_pattern(case.to_algebra(parse_pattern, parse_condition).map_err(Failure::Sql)?)
        }
    };
    let table = case.reference_table();
    let matched = reference_matches(&query.pattern, &table).map_err(Failure::Reference)?;
    let selected = reference_query(&query, &table).map_err(Failure::Reference)?;
    let members = |found: ReferenceMatch| found.members;
    Ok(Answer {
        matches: matched.matches.into_iter().map(members).collect(),
        columns: selected.columns,
        rows: selected.rows,
    })
}

/// `SELECT *` of a pattern.
fn of_pattern(pattern: Pattern) -> Query {
    Query {
        table: "t".into(),
        table_quoted: false,
        pattern,
        select: vec![cepheid_ir::SelectItem::All],
        filter: None,
        order_by: vec![],
        offset: 0,
        limit: None,
    }
}

fn check(case: &Case) -> Result<(), String> {
    match (answer(case), &case.error) {
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err(failure), Some(code)) if failure.code() == code => Ok(()),
        (Err(failure), _) => Err(format!("{}: [{}] {}", case.name, failure.code(), failure.message())),
        (Ok(answer), None) => {
            case.check_matches(&answer.matches)?;
            case.check_rows(&answer.columns, &answer.rows)
        }
    }
}

#[test]
fn the_reference_gives_the_answers_worked_out_by_hand() {
    let cases = cases();
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The case with one part of its expectation changed, for each part that it has.
fn changed(case: &Case) -> Vec<(&'static str, Case)> {
    let mut changed = vec![];
    let mut change = |part, edit: &dyn Fn(&mut Case)| {
        let mut other = case.clone();
        edit(&mut other);
        changed.push((part, other));
    };
    if case.error.is_some() {
        change("error", &|case| case.error = Some("no-such-code".into()));
        change("no error", &|case| case.error = None);
    } else {
        change("an error", &|case| case.error = Some("syntax".into()));
    }
    if let Some(matches) = &case.matches {
        let row = BTreeMap::from([("NO_SUCH_VARIABLE".to_owned(), vec![0])]);
        change("one match more", &|case| case.matches.iter_mut().for_each(|m| m.push(row.clone())));
        if !matches.is_empty() {
            change("one match fewer", &|case| case.matches.iter_mut().for_each(|m| drop(m.pop())));
            change("another row", &|case| case.matches.iter_mut().for_each(|m| m[0] = row.clone()));
        }
    }
    if let Some(output) = &case.output {
        let width = output.columns.len();
        change("one row more", &|case| {
            case.output.iter_mut().for_each(|output| output.rows.push(vec![RefValue::Null; width]));
        });
        if !output.rows.is_empty() {
            change("one row fewer", &|case| case.output.iter_mut().for_each(|o| drop(o.rows.pop())));
        }
        if width > 0 && !output.rows.is_empty() {
            change("another value", &|case| {
                if let Some(output) = &mut case.output {
                    let cell = &mut output.rows[0][width - 1];
                    *cell = if cell.is_null() { RefValue::Integer(i128::MAX) } else { RefValue::Null };
                }
            });
        }
    }
    changed
}

/// An expectation that any answer would meet is no expectation.
#[test]
fn every_case_refuses_a_wrong_answer() {
    let cases = cases();
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for (part, case) in cases.iter().flat_map(changed) {
        assert!(check(&case).is_err(), "{} accepts {part}", case.name);
        *refused.entry(part).or_default() += 1;
    }
    assert_eq!(refused["an error"] + refused["error"], cases.len());
    assert_eq!(refused.len(), 9, "{refused:?}");
    assert!(refused.values().all(|count| *count >= 10), "{refused:?}");
}

/// The tables survive the way through Arrow, by which the engine sees them.
#[test]
fn the_tables_are_the_same_in_arrow() {
    let mut rows = 0;
    for case in cases() {
        let (_, batch) = case.table();
        let table = case.reference_table();
        let read = cepheid_testkit::ReferenceTable::from_batches(&[batch]);
        assert_eq!(read.columns, table.columns, "{}", case.name);
        assert_eq!(read.rows.len(), table.rows.len(), "{}", case.name);
        for (left, right) in read.rows.iter().flatten().zip(table.rows.iter().flatten()) {
            assert!(left.is_same(right), "{}: {left} and {right}", case.name);
        }
        rows += table.rows.len();
    }
    assert!(rows > 500, "only {rows} rows");
}
