//! Rows and steps of one letter each, for tests that count work.

use arrow_array::RecordBatch;
use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::{BinaryOp, Contiguity, Definition, Expr, Pattern, PatternNode, Quantifier, Step};

use crate::generate_streams::EVENT_TIME;
use crate::text_table::{TextColumn, TextTable};
use crate::value::RefValue;

/// A row a letter in column `k`, one each nanosecond.
pub fn rows_of_letters(letters: impl Iterator<Item = char>) -> RecordBatch {
    let column = |name: &str, data_type| TextColumn { name: name.into(), data_type, declared: true };
    let columns = vec![
        column("k", DataType::Utf8),
        column(EVENT_TIME, DataType::Timestamp(TimeUnit::Nanosecond, None)),
    ];
    let row = |(time, letter): (usize, char)| {
        vec![RefValue::String(letter.into()), RefValue::Timestamp(time as i64)]
    };
    let table = TextTable { columns, rows: letters.enumerate().map(row).collect() };
    table.to_batch().expect("cells fit their columns")
}

/// Steps of one letter each, one after another; `a+` repeats. Not yet normal: what is selected has a say in that.
pub fn steps_of_letters(steps: &[&str], contiguity: Contiguity) -> Pattern {
    let step = |name: &&str| {
        let variable = PatternNode::Variable(name[..1].to_owned());
        let quantifier = Quantifier { contiguity, ..Quantifier::new(1, None) };
        let node = match name.ends_with('+') {
            true => PatternNode::Quantified { node: Box::new(variable), quantifier },
            false => variable,
        };
        Step { contiguity, node }
    };
    let mut pattern = Pattern::algebra(PatternNode::Sequence(steps.iter().map(step).collect()));
    for name in steps {
        let condition = Expr::binary(BinaryOp::Equal, Expr::column("k"), Expr::literal(&name[..1]));
        pattern.define.push(Definition { variable: name[..1].to_owned(), condition });
    }
    pattern
}
