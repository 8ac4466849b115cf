//! The conformance suite, run by the planner's choice and by every strategy that accepts a case, however the input is
//! cut into batches.

mod membership;

use std::collections::BTreeMap;
use std::path::Path;

use cepheid_engine::{EngineError, MatchOptions, MatchTable, Strategy, match_table, run_query};
use cepheid_event::Table;
use cepheid_ir::{Pattern, PatternError, Query};
use cepheid_sql::{Dialect, SqlError, parse_expression, parse_pattern, parse_query};
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::suite::{Case, Mode, load};

/// Fewest cases that each strategy must have run for the suite to say anything of it.
const CASES_A_STRATEGY_MIN: usize = 20;

/// What a case asks to be run.
enum Question {
    Query(Box<Query>),
    Pattern(Box<Pattern>),
}

fn question(case: &Case) -> Result<Question, SqlError> {
    match case.mode {
        Mode::Sql => Ok(Question::Query(Box::new(parse_query(&case.sql_text())?))),
        Mode::Algebra => {
            let condition = |text: &str| parse_expression(text, Dialect::AlgebraCondition);
            Ok(Question::Pattern(Box::new(case.to_algebra(parse_pattern, condition)?)))
        }
    }
}

fn run(question: &Question, table: &Table, strategy: Option<Strategy>) -> Result<MatchTable, EngineError> {
    let options = MatchOptions { strategy, ..MatchOptions::default() };
    match question {
        Question::Query(query) => run_query(query, table, &options),
        Question::Pattern(pattern) => match_table(pattern, table, &options),
    }
}

/// Says what is wrong, or whether the strategy ran the case: an error that comes before any row is matched is no run
/// of a strategy that was asked for.
fn check(
    case: &Case,
    question: &Question,
    table: &Table,
    strategy: Option<Strategy>,
) -> Result<bool, String> {
    let outcome = run(question, table, strategy);
    if let (Some(_), Err(EngineError::Pattern(PatternError::Unsupported { .. }))) = (strategy, &outcome) {
        return Ok(false);
    }
    let place =
        |error: String| format!("{} [{}]: {error}", case.name, strategy.map_or("planner", Strategy::name));
    match (&case.error, outcome) {
        (Some(code), Err(error)) if error.code() == code => {
            Ok(strategy.is_none() || comes_from_matching(&error))
        }
        (Some(code), Err(error)) => {
            Err(place(format!("expected error `{code}`, got `{}`: {error}", error.code())))
        }
        (Some(code), Ok(_)) => Err(place(format!("expected error `{code}`, got matches"))),
        (None, Err(error)) => Err(place(format!("{error}"))),
        (None, Ok(matches)) => {
            case.check_matches(&membership::members(&matches)).map_err(place)?;
            case.check_output(matches.batch()).map_err(place)?;
            Ok(true)
        }
    }
}

/// Whether a row must have been looked at for the error to come: a search that stops, or a value in a row that an
/// expression cannot take.
fn comes_from_matching(error: &EngineError) -> bool {
    match error {
        EngineError::Match(_) => true,
        EngineError::Eval { source, .. } => source.is_data_error(),
        _ => false,
    }
}

#[test]
fn every_case_gives_its_answer_by_every_strategy_and_every_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let cases = load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut failures = vec![];
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let mut checks = 0;
    for case in &cases {
        let question = match question(case) {
            Ok(question) => question,
            Err(error) if case.error.as_deref() == Some(error.code()) => {
                *ran.entry("refused as text").or_default() += 1;
                continue;
            }
            Err(error) => {
                failures.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let (schema, batch) = case.table();
        for how in USUAL {
            let table = Table::new(schema.clone(), cut(&batch, how)).expect("pieces of one table");
            for strategy in std::iter::once(None).chain(Strategy::ALL.map(Some)) {
                checks += 1;
                match check(case, &question, &table, strategy) {
                    Ok(true) if how == USUAL[0] => {
                        *ran.entry(strategy.map_or("planner", Strategy::name)).or_default() += 1;
                    }
                    Ok(_) => {}
                    Err(error) => failures.push(format!("{error} ({how:?})")),
                }
            }
        }
    }
    println!("{} cases, {checks} checks; ran: {ran:?}", cases.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    // Rows of a row pattern follow each other: those are never lists.
    for strategy in Strategy::ALL.into_iter().filter(|strategy| !strategy.is_of_lists()) {
        let cases = ran.get(strategy.name()).copied().unwrap_or(0);
        assert!(cases >= CASES_A_STRATEGY_MIN, "{strategy} ran only {cases} cases");
    }
}
