//! Random aggregations over all matches of random event sequences.

use cepheid_ir::{
    Aggregate, AggregateFunction, BinaryOp, Expr, Measure, Pattern, Selection, Semantics, TestedRow, Trend,
};

use crate::generate_events::MINUTE;
use crate::generate_sequences::{SequenceKnobs, random_sequence};
use crate::split_mix::SplitMix64;

/// What aggregations accept, and a little that they do not.
pub const TREND_KNOBS: SequenceKnobs = SequenceKnobs {
    selections: &[Selection::All],
    absence_leading: false,
    absence_trailing: false,
    bounds: false,
    after_match: false,
    having: false,
    timeouts: false,
    emit_at: false,
    look_back: false,
    ..SequenceKnobs::ALL
};

/// A valid pattern in normal spelling that aggregates over all its matches; the same for the same numbers.
pub fn random_trend(random: &mut SplitMix64, knobs: SequenceKnobs) -> Pattern {
    loop {
        let mut pattern = random_sequence(random, knobs);
        pattern.measures = vec![];
        let absent: Vec<String> = pattern.root.absent_variables().into_iter().map(str::to_owned).collect();
        let mut present: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
        present.retain(|name| !absent.contains(name));
        let values = (0..random.between(1, 4)).map(|place| value(random, &present, place)).collect();
        // Windows go by event time, which every stream has.
        let every_ns = random.chance(40).then(|| random.between(1, 4) * MINUTE);
        pattern.trend = Some(Trend { values, every_ns });
        if pattern.validate().is_ok() {
            return pattern.normalise();
        }
    }
}

fn value(random: &mut SplitMix64, present: &[String], place: i64) -> Measure {
    use AggregateFunction::{Avg, Count, Max, Min, Sum};
    let function = *random.choose(&[Count, Count, Sum, Sum, Avg, Min, Max]);
    let number = || Expr::column("v");
    let arg = match (function, random.below(4)) {
        (Count, 0 | 1) => None,
        (Count | Min | Max, 2) => Some(Expr::column("k")),
        (_, 3) => Some(Expr::binary(BinaryOp::Multiply, number(), Expr::literal(3_i64))),
        _ => Some(number()),
    };
    let variable = random.chance(70).then(|| random.choose(present).clone());
    let args: Vec<Expr> = arg.into_iter().collect();
    let aggregate = Aggregate {
        function,
        args,
        distinct: false,
        variable,
        semantics: Semantics::Final,
        tested_row: TestedRow::Included,
    };
    Measure { name: format!("value_{place}"), value: Expr::Aggregate(aggregate) }
}
