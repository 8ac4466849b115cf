//! Equality of a column of strings with constants, for all constants together.
//!
//! Of every row a *key* of 64 bits is made that says nearly all: the first eight bytes of a plain string, or the length
//! and the first four of a view. Keys are compared in vectors, and only rows of equal keys are looked at in full, unless
//! the key says everything.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericStringArray, OffsetSizeTrait, StringViewArray};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::DataType;
use cepheid_ir::BinaryOp;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::bits::{WORD, some_nulls, word_where};
use super::lanes::widest;
use crate::typed::{Kind, Node};
use crate::value::Value;

/// Up to this many constants are compared with one by one, in vectors; more by hash.
const COMPARED_MAX: usize = 16;

/// The constants, if a node asks whether a column of strings is one of them: `x = 'a'`, `x IN ('a', 'b')`.
pub(crate) fn string_question(node: &Node) -> Option<Vec<&str>> {
    let text = |value: &'_ Value| matches!(value, Value::String(_));
    match &node.kind {
        Kind::Compare { op: BinaryOp::Equal, operands } => match (&operands[0].kind, &operands[1].kind) {
            (Kind::Slot(_), Kind::Constant(Value::String(text)))
            | (Kind::Constant(Value::String(text)), Kind::Slot(_)) => Some(vec![text]),
            _ => None,
        },
        // A NULL in the list makes no difference to where the answer is TRUE.
        Kind::In { operand, constants: Some(set), .. }
            if matches!(operand.kind, Kind::Slot(_)) && set.values.iter().all(text) =>
        {
            let texts = set.values.iter().filter_map(|value| match value {
                Value::String(text) => Some(&**text),
                _ => None,
            });
            Some(texts.collect())
        }
        _ => None,
    }
}

/// What is asked of one column.
#[derive(Debug)]
pub(crate) struct Strings<'a> {
    /// Each constant and the questions that it satisfies.
    constants: Vec<(&'a str, Vec<usize>)>,
    questions: usize,
}

impl<'a> Strings<'a> {
    /// Questions as [`string_question`] gives them.
    pub(crate) fn new(questions: impl Iterator<Item = Vec<&'a str>>) -> Self {
        let mut constants: Vec<(&'a str, Vec<usize>)> = vec![];
        let mut places: HashMap<&'a str, usize, FixedState> = HashMap::with_hasher(FixedState::with_seed(0));
        let mut asked = 0;
        for texts in questions {
            for text in texts {
                let place = *places.entry(text).or_insert_with(|| {
                    constants.push((text, vec![]));
                    constants.len() - 1
                });
                constants[place].1.push(asked);
            }
            asked += 1;
        }
        Self { constants, questions: asked }
    }

    /// The mask of each question.
    pub(crate) fn masks(&self, array: &ArrayRef) -> Vec<BooleanBuffer> {
        let rows = array.len();
        let words = match array.data_type() {
            DataType::Utf8 => self.words(&Plain(array.as_string::<i32>()), rows),
            DataType::LargeUtf8 => self.words(&Plain(array.as_string::<i64>()), rows),
            _ => self.words(&Views(array.as_string_view()), rows),
        };
        let nulls = some_nulls(array.nulls());
        let mask = |words: Vec<u64>| {
            let mask = BooleanBuffer::new(Buffer::from_vec(words), 0, rows);
            // What a NULL hides may be any string.
            nulls.map_or(mask.clone(), |nulls| &mask & nulls.inner())
        };
        words.into_iter().map(mask).collect()
    }

    fn words(&self, column: &impl Keyed, rows: usize) -> Vec<Vec<u64>> {
        let mut masks = vec![vec![0_u64; rows.div_ceil(WORD)]; self.questions];
        let keys: Vec<(u64, bool)> = self.constants.iter().map(|(text, _)| column.key_of(text)).collect();
        if self.constants.len() <= COMPARED_MAX {
            self.compare(column, rows, &keys, &mut masks);
        } else {
            self.look_up(column, rows, &keys, &mut masks);
        }
        masks
    }

    fn compare(&self, column: &impl Keyed, rows: usize, keys: &[(u64, bool)], masks: &mut [Vec<u64>]) {
        widest(
            #[inline(always)]
            || {
                let mut block = [0_u64; WORD];
                for (place, start) in (0..rows).step_by(WORD).enumerate() {
                    let block = &mut block[..WORD.min(rows - start)];
                    column.keys(start, block);
                    for ((key, says_all), (text, questions)) in keys.iter().zip(&self.constants) {
                        let mut word = word_where(block, &|of_row: u64| of_row == *key);
                        if word != 0 && !says_all {
                            word = confirmed(column, start, word, text);
                        }
                        questions.iter().for_each(|question| masks[*question][place] |= word);
                    }
                }
            },
        );
    }

    fn look_up(&self, column: &impl Keyed, rows: usize, keys: &[(u64, bool)], masks: &mut [Vec<u64>]) {
        let mut by_key: HashMap<u64, Vec<usize>, FixedState> = HashMap::with_hasher(FixedState::with_seed(0));
        for (constant, (key, _)) in keys.iter().enumerate() {
            by_key.entry(*key).or_default().push(constant);
        }
        let mut block = [0_u64; WORD];
        for start in (0..rows).step_by(WORD) {
            let block = &mut block[..WORD.min(rows - start)];
            column.keys(start, block);
            for (place, key) in block.iter().enumerate() {
                for constant in by_key.get(key).into_iter().flatten() {
                    let (text, questions) = &self.constants[*constant];
                    if keys[*constant].1 || column.equals(start + place, text) {
                        questions.iter().for_each(|question| masks[*question][start / WORD] |= 1 << place);
                    }
                }
            }
        }
    }
}

/// Those of the set rows of a word from `start` on that hold `text`.
#[inline(never)]
fn confirmed(column: &impl Keyed, start: usize, word: u64, text: &str) -> u64 {
    let (mut left, mut holding) = (word, word);
    while left != 0 {
        let place = left.trailing_zeros();
        if !column.equals(start + place as usize, text) {
            holding &= !(1 << place);
        }
        left &= left - 1;
    }
    holding
}

/// A column of strings that gives keys.
trait Keyed {
    /// The key that a row of this string has, and whether no other string has it.
    fn key_of(&self, text: &str) -> (u64, bool);

    /// Keys of the rows from `start` on; what a NULL hides has some key.
    fn keys(&self, start: usize, keys: &mut [u64]);

    /// Whether a row holds the string, if it is not NULL.
    fn equals(&self, row: usize, text: &str) -> bool;
}

/// Keys are the first eight bytes; shorter strings are filled up with bytes that no string has.
struct Plain<'a, O: OffsetSizeTrait>(&'a GenericStringArray<O>);

const KEY_BYTES: usize = 8;

#[inline(always)]
fn first_bytes(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end.wrapping_sub(start);
    let word = match bytes.get(start..).and_then(|rest| rest.first_chunk::<KEY_BYTES>()) {
        Some(word) => u64::from_le_bytes(*word),
        None => {
            let mut word = [0xff; KEY_BYTES];
            let rest = bytes.get(start..end).unwrap_or_default();
            word[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(word)
        }
    };
    if length >= KEY_BYTES { word } else { word | u64::MAX << (8 * length) }
}

impl<O: OffsetSizeTrait> Keyed for Plain<'_, O> {
    fn key_of(&self, text: &str) -> (u64, bool) {
        (first_bytes(text.as_bytes(), 0, text.len()), text.len() < KEY_BYTES)
    }

    #[inline(always)]
    fn keys(&self, start: usize, keys: &mut [u64]) {
        let bytes = self.0.value_data();
        let offsets = &self.0.value_offsets()[start..start + keys.len() + 1];
        for (key, bounds) in keys.iter_mut().zip(offsets.windows(2)) {
            *key = first_bytes(bytes, bounds[0].as_usize(), bounds[1].as_usize());
        }
    }

    fn equals(&self, row: usize, text: &str) -> bool {
        self.0.value(row) == text
    }
}

/// Keys are the lower half of the view: the length and the first four bytes, filled up with zeros.
struct Views<'a>(&'a StringViewArray);

impl Keyed for Views<'_> {
    fn key_of(&self, text: &str) -> (u64, bool) {
        let mut prefix = [0; 4];
        let shown = text.len().min(prefix.len());
        prefix[..shown].copy_from_slice(&text.as_bytes()[..shown]);
        // A string of 4 GiB is in no view.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        (u64::from(length) | u64::from(u32::from_le_bytes(prefix)) << 32, text.len() <= prefix.len())
    }

    #[inline(always)]
    fn keys(&self, start: usize, keys: &mut [u64]) {
        for (key, view) in keys.iter_mut().zip(&self.0.views()[start..]) {
            *key = *view as u64;
        }
    }

    fn equals(&self, row: usize, text: &str) -> bool {
        self.0.value(row) == text
    }
}
