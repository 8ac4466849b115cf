//! Several conditions over the same columns, evaluated together: what they ask of one column is answered in one
//! reading of it.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;

use crate::error::EvalError;
use crate::leaf::Leaf;
use crate::typed::{Kind, Node, Reads, TypedExpr};
use crate::vector::{self, Codes, Known, Strings, string_question};

/// Conditions to be evaluated over many rows, chunk by chunk.
///
/// - A condition that reads one dictionary column is worked out once for each entry of its dictionary, and a row costs a
///   comparison or a look-up of its code. Dictionaries may change from chunk to chunk.
/// - Equality of strings with constants, for all constants together: a row's first eight bytes are compared, and the
///   rest only where these are equal.
/// - Everything else: as [`TypedExpr::evaluate_mask`].
#[derive(Debug)]
pub struct MaskSet<'a> {
    predicates: &'a [TypedExpr],
    /// Of each predicate: whether no chunk so far raised an error.
    sound: Vec<bool>,
    columns: Vec<Column<'a>>,
}

/// One column, and what is asked of it.
#[derive(Debug)]
struct Column<'a> {
    leaf: &'a Leaf,
    /// The slot of the leaf in each question's expression, and the question.
    questions: Vec<(usize, &'a Node)>,
    /// By the column's type.
    answers: Answers<'a>,
}

#[derive(Debug)]
enum Answers<'a> {
    Codes(Codes),
    Strings(Strings<'a>),
}

impl<'a> MaskSet<'a> {
    /// Gets ready for `rows` rows in all.
    pub fn new(predicates: &'a [TypedExpr], rows: usize) -> Self {
        let mut columns: Vec<Column<'a>> = vec![];
        for predicate in predicates {
            collect(predicate.root(), predicate.leaves(), rows, &mut columns);
        }
        for column in &mut columns {
            if let Answers::Strings(strings) = &mut column.answers {
                let questions = column.questions.iter().map(|(_, node)| *node);
                *strings = Strings::new(questions.filter_map(string_question));
            }
        }
        Self { predicates, sound: vec![true; predicates.len()], columns }
    }

    /// Evaluates the conditions over the next `rows` rows. `column` gives the values of a leaf, one for each row. `found`
    /// is given the number of a condition and its mask, or the data error that one of the rows raises; a condition that
    /// raised one is not evaluated again.
    ///
    /// # Errors
    /// Those of `column`.
    pub fn evaluate<E>(
        &mut self,
        rows: usize,
        mut column: impl FnMut(&Leaf) -> Result<ArrayRef, E>,
        mut found: impl FnMut(usize, Result<BooleanBuffer, EvalError>),
    ) -> Result<(), E> {
        let mut known = Known::default();
        for asked in &mut self.columns {
            let array = column(asked.leaf)?;
            debug_assert_eq!(array.len(), rows, "one value for each row");
            match &mut asked.answers {
                Answers::Codes(codes) => {
                    for (question, mask) in codes.masks(&array, &asked.questions) {
                        known.insert(asked.questions[question].1, mask);
                    }
                }
                Answers::Strings(strings) => {
                    for ((_, node), mask) in asked.questions.iter().zip(strings.masks(&array)) {
                        known.insert(node, mask);
                    }
                }
            }
        }
        for (place, predicate) in self.predicates.iter().enumerate() {
            if !self.sound[place] {
                continue;
            }
            let slots = predicate.leaves().iter().map(&mut column).collect::<Result<Vec<_>, _>>()?;
            let mask = vector::evaluate_mask(predicate.root(), &slots, rows, &known);
            self.sound[place] = mask.is_ok();
            found(place, mask);
        }
        Ok(())
    }
}

/// Finds what a condition asks of single columns.
fn collect<'a>(node: &'a Node, leaves: &'a [Leaf], rows: usize, columns: &mut Vec<Column<'a>>) {
    if let Reads::One(slot) = node.reads
        && !matches!(node.kind, Kind::Slot(_))
    {
        let leaf = &leaves[slot];
        let answers = match leaf.data_type() {
            DataType::Dictionary(..) => Some(Answers::Codes(Codes::new(rows))),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                string_question(node).map(|_| Answers::Strings(Strings::new(std::iter::empty())))
            }
            _ => None,
        };
        if let Some(answers) = answers {
            match columns.iter_mut().find(|column| column.leaf == leaf) {
                Some(column) => column.questions.push((slot, node)),
                None => columns.push(Column { leaf, questions: vec![(slot, node)], answers }),
            }
            return;
        }
    }
    if let Kind::And(operands) | Kind::Or(operands) = &node.kind {
        operands.iter().for_each(|operand| collect(operand, leaves, rows, columns));
    }
}
