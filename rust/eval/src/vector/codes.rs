//! Conditions of one dictionary column: worked out for each entry of the dictionary, then spread over codes.

use std::sync::Arc;

use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, DictionaryArray, downcast_dictionary_array, new_null_array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer};

use super::bits::{WORD, pack, some_nulls, word_where};
use super::lanes::widest;
use super::{Known, evaluate_mask};
use crate::typed::Node;

/// Up to this many codes in all are compared with one by one, in vectors; more are looked up.
const COMPARED_MAX: usize = 6;

/// Questions answered by one look-up: the bits of a byte.
const BYTE: usize = 8;

/// Answers of some conditions for each entry of the last dictionary that was met.
#[derive(Debug)]
pub(crate) struct Codes {
    /// Entries that may still be worked out: not more in all than the table has rows, however often the dictionary changes.
    room: usize,
    /// The entries that the answers are about.
    entries: Option<ArrayRef>,
    /// `holding[q]`: places of the entries that satisfy question `q`, ascending; `None`: some entry, perhaps one that no
    /// row refers to, raises an error.
    holding: Vec<Option<Vec<usize>>>,
    /// `of_null[q]`: whether NULL satisfies question `q`.
    of_null: Vec<bool>,
    method: Method,
}

/// How codes become bits.
#[derive(Debug)]
enum Method {
    /// Codes are compared with those that satisfy the question.
    Compare,
    /// `tables[t][code]`: the answers of up to eight questions; the questions themselves.
    Bytes(Vec<(Vec<u8>, Vec<usize>)>),
    /// `first[code]..first[code + 1]`: where in `questions` those that the code satisfies stand. For many questions of
    /// which few hold.
    Lists { first: Vec<u32>, questions: Vec<u32> },
}

impl Codes {
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            room: rows.max(WORD),
            entries: None,
            holding: vec![],
            of_null: vec![],
            method: Method::Compare,
        }
    }

    /// The masks of those questions that could be answered, with their numbers. A question is a node and the slot that it
    /// reads the column from.
    pub(crate) fn masks(
        &mut self,
        array: &ArrayRef,
        questions: &[(usize, &Node)],
    ) -> Vec<(usize, BooleanBuffer)> {
        let array = array.as_ref();
        downcast_dictionary_array! {
            array => {
                if !self.entries.as_ref().is_some_and(|entries| Arc::ptr_eq(entries, array.values())) {
                    if array.values().len() > self.room {
                        return vec![];
                    }
                    self.room -= array.values().len();
                    self.learn(array.values(), questions);
                }
                self.spread(array)
            }
            _ => vec![]
        }
    }

    /// Works out the answers for every entry.
    fn learn(&mut self, values: &ArrayRef, questions: &[(usize, &Node)]) {
        self.entries = Some(Arc::clone(values));
        self.holding.clear();
        self.of_null.clear();
        // NULL keys are one more entry: IS NULL and COALESCE see it too.
        let null = new_null_array(values.data_type(), 1);
        let entries = arrow_select::concat::concat(&[values.as_ref(), null.as_ref()]);
        let count = values.len();
        for (slot, node) in questions {
            let mask = entries.as_ref().ok().and_then(|entries| {
                // Nothing else is read from other slots.
                let slots = vec![Arc::clone(entries); slot + 1];
                evaluate_mask(node, &slots, count + 1, &Known::default()).ok()
            });
            self.of_null.push(mask.as_ref().is_some_and(|mask| mask.value(count)));
            self.holding.push(mask.map(|mask| mask.slice(0, count).set_indices().collect()));
        }
        self.method = self.method(count);
    }

    fn method(&self, entries: usize) -> Method {
        let answered = || (0..self.holding.len()).filter(|question| self.holding[*question].is_some());
        let holding = |question: usize| self.holding[question].as_deref().unwrap_or_default();
        let in_all: usize = answered().map(|question| holding(question).len()).sum();
        if in_all <= COMPARED_MAX {
            return Method::Compare;
        }
        let questions: Vec<usize> = answered().collect();
        // A row of a list costs some four times what a question costs in a byte.
        if questions.len() > BYTE && 4 * in_all / entries.max(1) < questions.len() / 4 {
            let mut first = vec![0_u32; entries + 1];
            for question in &questions {
                holding(*question).iter().for_each(|entry| first[entry + 1] += 1);
            }
            for entry in 0..entries {
                first[entry + 1] += first[entry];
            }
            let mut next = first.clone();
            let mut listed = vec![0_u32; in_all];
            for question in &questions {
                for entry in holding(*question) {
                    listed[next[*entry] as usize] = *question as u32;
                    next[*entry] += 1;
                }
            }
            return Method::Lists { first, questions: listed };
        }
        let table = |of: &[usize]| {
            let mut table = vec![0_u8; entries];
            for (bit, question) in of.iter().enumerate() {
                holding(*question).iter().for_each(|entry| table[*entry] |= 1 << bit);
            }
            (table, of.to_vec())
        };
        Method::Bytes(questions.chunks(BYTE).map(table).collect())
    }

    fn spread<K: ArrowDictionaryKeyType>(&self, array: &DictionaryArray<K>) -> Vec<(usize, BooleanBuffer)> {
        let codes: &[K::Native] = array.keys().values();
        let masks: Vec<(usize, BooleanBuffer)> = match &self.method {
            Method::Compare => self.compared::<K>(codes),
            Method::Bytes(tables) => {
                tables.iter().flat_map(|(table, questions)| looked_up(codes, table, questions)).collect()
            }
            Method::Lists { first, questions } => self.listed(codes, first, questions),
        };
        // What a NULL key hides may be any code.
        let Some(nulls) = some_nulls(array.keys().nulls()) else { return masks };
        let of_null = |(question, mask): (usize, BooleanBuffer)| {
            let valid = nulls.inner();
            (question, if self.of_null[question] { &mask | &!valid } else { &mask & valid })
        };
        masks.into_iter().map(of_null).collect()
    }

    fn compared<K: ArrowDictionaryKeyType>(&self, codes: &[K::Native]) -> Vec<(usize, BooleanBuffer)> {
        let code = |entry: &usize| K::Native::from_usize(*entry).expect("an entry has a code");
        let mask = |entries: &[usize]| match entries {
            [] => BooleanBuffer::new_unset(codes.len()),
            [one] => {
                let one = code(one);
                pack(codes, |code| code == one)
            }
            [one, other] => {
                let (one, other) = (code(one), code(other));
                pack(codes, |code| (code == one) | (code == other))
            }
            more => {
                let more: Vec<K::Native> = more.iter().map(code).collect();
                pack(codes, |code| more.iter().fold(false, |any, one| any | (code == *one)))
            }
        };
        let answered = self.holding.iter().enumerate();
        answered.filter_map(|(question, holding)| Some((question, mask(holding.as_deref()?)))).collect()
    }

    fn listed<C: ArrowNativeType>(
        &self,
        codes: &[C],
        first: &[u32],
        questions: &[u32],
    ) -> Vec<(usize, BooleanBuffer)> {
        let words = codes.len().div_ceil(WORD);
        let mut masks: Vec<Vec<u64>> =
            self.holding.iter().map(|holding| vec![0; if holding.is_some() { words } else { 0 }]).collect();
        for (row, code) in codes.iter().enumerate() {
            // What a NULL key hides may be past the entries.
            let Some(&[from, to]) = first.get(code.as_usize()..).and_then(|rest| rest.first_chunk()) else {
                continue;
            };
            for question in &questions[from as usize..to as usize] {
                masks[*question as usize][row / WORD] |= 1 << (row % WORD);
            }
        }
        let answered =
            masks.into_iter().enumerate().filter(|(question, _)| self.holding[*question].is_some());
        answered
            .map(|(question, words)| (question, BooleanBuffer::new(Buffer::from_vec(words), 0, codes.len())))
            .collect()
    }
}

/// Masks of up to eight questions, by a byte for each code.
fn looked_up<C: ArrowNativeType>(
    codes: &[C],
    table: &[u8],
    questions: &[usize],
) -> Vec<(usize, BooleanBuffer)> {
    let words = codes.len().div_ceil(WORD);
    let mut masks: Vec<Vec<u64>> = questions.iter().map(|_| Vec::with_capacity(words)).collect();
    widest(
        #[inline(always)]
        || {
            let mut symbols = [0_u8; WORD];
            for codes in codes.chunks(WORD) {
                let mut any = 0;
                for (symbol, code) in symbols.iter_mut().zip(codes) {
                    // What a NULL key hides may be past the entries.
                    *symbol = table.get(code.as_usize()).copied().unwrap_or(0);
                    any |= *symbol;
                }
                for (bit, mask) in masks.iter_mut().enumerate() {
                    let holds = |symbol: u8| symbol >> bit & 1 != 0;
                    mask.push(if any >> bit & 1 == 0 {
                        0
                    } else {
                        word_where(&symbols[..codes.len()], &holds)
                    });
                }
            }
        },
    );
    let mask = |words| BooleanBuffer::new(Buffer::from_vec(words), 0, codes.len());
    questions.iter().copied().zip(masks.into_iter().map(mask)).collect()
}
