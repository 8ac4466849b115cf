//! The conformance suite, for strategies that take some of its cases.

use std::path::Path;

use cepheid_engine::Strategy;
use cepheid_event::Table;
use cepheid_ir::OutputColumns;
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::{reference_sequences, sequence_suite};

use crate::numbered::{forced, found, numbered, of_reference};

/// Compares a strategy with the definition on every conformance case that it takes, however its rows are cut. How many those
/// are, and how many cases there are.
pub(crate) fn conformance(strategy: Strategy) -> (usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/sequences");
    let cases = sequence_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut taken = 0;
    for case in cases.iter().filter(|case| case.error.is_none()) {
        let Ok(pattern) = case.pattern() else { continue };
        if !pattern.topics.is_empty() || case.events.len() != 1 {
            continue;
        }
        let expected = reference_sequences(&pattern, &case.input()).expect("a case without an error");
        let (_, batch) = case.batches().swap_remove(0);
        for how in USUAL {
            let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
            let options = forced(strategy, case.event_time.as_deref());
            let matches =
                found(&pattern, &table, &options).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let Some(matches) = matches else { break };
            taken += usize::from(how == USUAL[0]);
            if pattern.output == OutputColumns::Derived {
                assert_eq!(numbered(&matches), of_reference(&expected), "{} ({how:?})", case.name);
            }
        }
    }
    (taken, cases.len())
}
