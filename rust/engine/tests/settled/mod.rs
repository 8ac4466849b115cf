//! Random patterns of runs that mostly have no choice.

use cepheid_ir::{AfterMatchSkip, BinaryOp, Contiguity, Definition, Expr, Pattern, Selection};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};

const KNOBS: SequenceKnobs = SequenceKnobs {
    contiguities: &[Contiguity::SkipTillNext],
    selections: &[Selection::First],
    ..SequenceKnobs::STEP_LISTS
};

/// One preferred match a start row, each step taking the next row that fits; every fourth with conditions that let a row fit several
/// of them, the rest with a letter for each event, of its own as long as there are some. `seed` says what a match forgets.
pub(crate) fn random_settled(random: &mut SplitMix64, seed: u64, absence_between: bool) -> Pattern {
    let mut pattern = random_sequence(random, SequenceKnobs { absence_between, ..KNOBS });
    pattern.after_match = match seed % 7 % 4 {
        0 => AfterMatchSkip::Consume,
        1 => AfterMatchSkip::None,
        2 => AfterMatchSkip::ToNextRow,
        _ => AfterMatchSkip::PastLastRow,
    };
    if !random.chance(25) {
        let names: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
        let letters = ["a", "b", "c", "d"].into_iter().cycle();
        let define = |(variable, letter): (String, &str)| Definition {
            variable,
            condition: Expr::binary(BinaryOp::Equal, Expr::column("k"), Expr::literal(letter)),
        };
        pattern.define = names.into_iter().zip(letters).map(define).collect();
    }
    pattern
}
