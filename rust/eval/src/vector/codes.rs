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

/// Blocks of 64 codes after which it is looked at anew whether most of them have something in them.
const WORDS_OF_STRETCH: usize = 64;

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
        let answered: Vec<(usize, &[usize])> = (self.holding.iter().enumerate())
            .filter_map(|(question, holding)| Some((question, holding.as_deref()?)))
            .collect();
        let all: Vec<K::Native> = answered.iter().flat_map(|(_, entries)| *entries).map(code).collect();
        let wanted = || -> Vec<Vec<K::Native>> {
            answered.iter().map(|(_, entries)| entries.iter().map(code).collect()).collect()
        };
        let words = match *all.as_slice() {
            [a, b] => together(codes, [a, b], &wanted()),
            [a, b, c] => together(codes, [a, b, c], &wanted()),
            [a, b, c, d] => together(codes, [a, b, c, d], &wanted()),
            [a, b, c, d, e] => together(codes, [a, b, c, d, e], &wanted()),
            [a, b, c, d, e, f] => together(codes, [a, b, c, d, e, f], &wanted()),
            // One question at most holds anywhere.
            _ => {
                let mask = |entries: &[usize]| match entries.first().map(code) {
                    None => BooleanBuffer::new_unset(codes.len()),
                    Some(one) => pack(codes, |code| code == one),
                };
                return answered.into_iter().map(|(question, entries)| (question, mask(entries))).collect();
            }
        };
        let mask = |words| BooleanBuffer::new(Buffer::from_vec(words), 0, codes.len());
        answered.into_iter().map(|(question, _)| question).zip(words.into_iter().map(mask)).collect()
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

/// Masks of questions, each of which some codes satisfy; `all`: these of all of them. The codes are gone through once, and
/// where none of 64 is wanted by anybody, which is seen sooner than which it is, nothing else is asked.
fn together<C: ArrowNativeType, const N: usize>(
    codes: &[C],
    all: [C; N],
    wanted: &[Vec<C>],
) -> Vec<Vec<u64>> {
    let mut masks = vec![vec![0; codes.len().div_ceil(WORD)]; wanted.len()];
    widest(
        #[inline(always)]
        || {
            let mut is_sparse = true;
            for (stretch, codes) in codes.chunks(WORD * WORDS_OF_STRETCH).enumerate() {
                let (blocks, rest) = codes.as_chunks::<WORD>();
                let first = stretch * WORDS_OF_STRETCH;
                let mut hits = 0;
                if is_sparse {
                    for (at, block) in blocks.iter().enumerate() {
                        // Without a way out in between several are compared at once.
                        let is_wanted =
                            |any, code: &C| all.iter().fold(any, |any, one| any | (*code == *one));
                        if block.iter().fold(false, is_wanted) {
                            hits += 1;
                            for (mask, wanted) in masks.iter_mut().zip(wanted) {
                                mask[first + at] = word_of_any(block, wanted);
                            }
                        }
                    }
                } else {
                    let mut any = [0; WORDS_OF_STRETCH];
                    for (mask, wanted) in masks.iter_mut().zip(wanted) {
                        let words = mask[first..].iter_mut().zip(&mut any);
                        each_word(blocks, wanted, words);
                    }
                    hits = any.iter().filter(|any| **any != 0).count();
                }
                if !rest.is_empty() {
                    for (mask, wanted) in masks.iter_mut().zip(wanted) {
                        mask[first + blocks.len()] = word_of_any(rest, wanted);
                    }
                }
                is_sparse = hits <= WORDS_OF_STRETCH / 2;
            }
        },
    );
    masks
}

/// The word of up to 64 codes: set where one is any of those wanted.
#[inline(always)]
fn word_of_any<C: ArrowNativeType>(codes: &[C], wanted: &[C]) -> u64 {
    match *wanted {
        [] => 0,
        [one] => word_where(codes, &|code| code == one),
        _ => word_where(codes, &|code| wanted.iter().fold(false, |any, one| any | (code == *one))),
    }
}

/// Puts the words of blocks where they belong, and to what is known of any question.
#[inline(always)]
fn each_word<'a, C: ArrowNativeType>(
    blocks: &[[C; WORD]],
    wanted: &[C],
    words: impl Iterator<Item = (&'a mut u64, &'a mut u64)>,
) {
    #[inline(always)]
    fn put<'a, C: ArrowNativeType>(
        blocks: &[[C; WORD]],
        words: impl Iterator<Item = (&'a mut u64, &'a mut u64)>,
        holds: impl Fn(C) -> bool,
    ) {
        for (block, (word, any)) in blocks.iter().zip(words) {
            *word = word_where(block, &holds);
            *any |= *word;
        }
    }
    match *wanted {
        [] => {}
        [one] => put(blocks, words, |code| code == one),
        [one, other] => put(blocks, words, |code| (code == one) | (code == other)),
        _ => put(blocks, words, |code| wanted.iter().fold(false, |any, one| any | (code == *one))),
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

#[cfg(test)]
mod tests {
    use cepheid_testkit::SplitMix64;

    use super::super::lanes::forced;
    use super::*;

    /// Holds masks of codes against their definition, and gives how many bits there are and how many are set.
    fn compare<const N: usize>(codes: &[i16], all: [i16; N], wanted: &[Vec<i16>]) -> (usize, usize) {
        let right = |wanted: &[i16], row: usize| codes.get(row).is_some_and(|code| wanted.contains(code));
        let (mut bits, mut set) = (0, 0);
        for (name, copy) in forced::copies() {
            let masks = forced::with(copy, || together(codes, all, wanted));
            assert_eq!(masks.len(), wanted.len());
            for (mask, wanted) in masks.iter().zip(wanted) {
                assert_eq!(mask.len(), codes.len().div_ceil(WORD));
                for row in 0..mask.len() * WORD {
                    let holds = mask[row / WORD] >> (row % WORD) & 1 != 0;
                    assert_eq!(holds, right(wanted, row), "{name}: {wanted:?} at {row} of {}", codes.len());
                    (bits, set) = (bits + 1, set + usize::from(holds));
                }
            }
        }
        (bits, set)
    }

    #[test]
    fn questions_asked_together_are_answered_as_each_alone_however_many_rows_are_wanted() {
        let (mut bits, mut set) = (0, 0);
        let mut add = |(more, of_them)| (bits, set) = (bits + more, set + of_them);
        for seed in 0..60 {
            let mut random = SplitMix64::new(seed);
            let rows = *random.choose(&[0, 1, 63, 64, 65, 4096, 4097, 9000, 20_000]);
            // Stretches with nothing, a few rows, and many that are wanted take turns.
            let shares: Vec<usize> = (0..8).map(|_| *random.choose(&[0, 1, 50, 100])).collect();
            let code = |row: usize| match random.chance(shares[row / 4000 % 8]) {
                true => random.below(6) as i16,
                false => 6 + random.below(300) as i16,
            };
            let codes: Vec<i16> = (0..rows).map(code).collect();
            add(compare(&codes, [0, 1], &[vec![0], vec![1]]));
            add(compare(&codes, [0, 1, 2], &[vec![0], vec![1], vec![2]]));
            add(compare(&codes, [0, 1, 2, 1], &[vec![0, 1], vec![], vec![2, 1]]));
            add(compare(&codes, [5, 0, 1, 2, 3], &[vec![5], vec![0, 1, 2, 3]]));
            add(compare(&codes, [0, 1, 2, 3, 4, 5], &[vec![0], vec![1, 2, 3], vec![4, 5]]));
        }
        assert!(bits > 4_000_000 && set > 400_000, "{set} of {bits}");
    }
}
