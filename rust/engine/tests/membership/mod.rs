//! Membership in the form in which tests compare it.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use cepheid_engine::MatchTable;

/// `(variable, arrival)` pairs of every match.
pub(crate) fn members(matches: &MatchTable) -> Vec<Vec<(String, usize)>> {
    let membership = matches.membership().expect("small enough");
    let mut found = vec![vec![]; matches.num_matches()];
    let ordinals = membership.column(0).as_primitive::<Int64Type>();
    let variables = membership.column(1).as_dictionary::<Int32Type>();
    let variables = variables.downcast_dict::<arrow_array::StringArray>().expect("names are strings");
    let rows = membership.column(2).as_primitive::<Int64Type>();
    for ((ordinal, variable), row) in ordinals.values().iter().zip(variables).zip(rows.values()) {
        found[*ordinal as usize].push((variable.expect("not null").to_owned(), *row as usize));
    }
    found
}
