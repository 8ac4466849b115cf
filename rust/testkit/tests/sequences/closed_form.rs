//! Plain sequences, said in one formula: a match is every tuple of rows that keeps each relation. It shares nothing
//! with the growing of runs but the evaluation of conditions, which here only compare letters.

use cepheid_ir::{AfterMatchSkip, Contiguity, Pattern, PatternNode, Selection, Step, Within};
use cepheid_testkit::{SplitMix64, reference_sequences};

use super::notation::*;

const SEEDS: u64 = 3000;
const LETTERS: [&str; 3] = ["a", "b", "c"];

/// One step after the first: what may lie before it.
struct Relation {
    contiguity: Contiguity,
    /// Letter of an absent event, and whether it is strict.
    absent: Option<(char, bool)>,
}

/// A random chain of events `a`, `aa`, ..., with the letters that they accept and the relations between them.
fn chain(random: &mut SplitMix64) -> (Pattern, Vec<char>, Vec<Relation>) {
    let (mut steps, mut letters, mut relations) = (vec![], vec![], vec![]);
    let mut names: Vec<(String, char)> = vec![];
    let mut name = |letter: char, repeat: usize| {
        let name: String = std::iter::repeat_n(letter, repeat).collect();
        names.push((name.clone(), letter));
        name
    };
    for place in 0..1 + random.below(4) {
        let letter = random.choose(&LETTERS).chars().next().unwrap();
        let contiguity = *random.choose(&[Next, Then, Then, Any, Any, Any]);
        let mut absent = None;
        if place > 0 && random.chance(25) {
            let forbidden = random.choose(&LETTERS).chars().next().unwrap();
            let strict = random.chance(40);
            let node = PatternNode::Absent { variable: name(forbidden, place + 20), for_ns: None };
            steps.push(Step { contiguity: if strict { Next } else { Then }, node });
            absent = Some((forbidden, strict));
        }
        steps.push(Step { contiguity, node: PatternNode::Variable(name(letter, place + 1)) });
        letters.push(letter);
        if place > 0 {
            relations.push(Relation { contiguity, absent });
        }
    }
    let root = if steps.len() == 1 { steps.remove(0).node } else { PatternNode::Sequence(steps) };
    (first(root), letters, relations)
}

/// Whether the rows, one a step, are a match.
fn is_match(rows: &[char], tuple: &[usize], letters: &[char], relations: &[Relation]) -> bool {
    tuple.iter().zip(letters).all(|(&row, letter)| rows[row] == *letter)
        && tuple.windows(2).zip(letters[1..].iter().zip(relations)).all(|(pair, (letter, relation))| {
            let between = &rows[pair[0] + 1..pair[1]];
            let allowed = match relation.contiguity {
                Contiguity::Strict => between.is_empty(),
                Contiguity::SkipTillNext => !between.contains(letter),
                Contiguity::SkipTillAny => true,
            };
            allowed
                && match relation.absent {
                    None => true,
                    Some((forbidden, true)) => rows[pair[0] + 1] != forbidden,
                    Some((forbidden, false)) => !between.contains(&forbidden),
                }
        })
}

/// Every increasing tuple of `count` rows, in lexicographic order.
fn tuples(rows: usize, count: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..count {
        all = all
            .into_iter()
            .flat_map(|tuple: Vec<usize>| {
                let from = tuple.last().map_or(0, |last| last + 1);
                (from..rows).map(move |row| [tuple.clone(), vec![row]].concat())
            })
            .collect();
    }
    all
}

#[test]
fn plain_sequences_match_where_every_relation_is_kept() {
    let (mut matches, mut chosen) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = SplitMix64::new(seed);
        let (pattern, letters, relations) = chain(&mut random);
        let rows: Vec<char> =
            (0..4 + random.below(7)).map(|_| random.choose(&LETTERS).chars().next().unwrap()).collect();
        let bound = random.chance(20).then(|| 1 + random.below(4));
        let pattern = Pattern {
            within: bound.map(|rows| Within::Rows(rows as u64)),
            after_match: AfterMatchSkip::None,
            ..pattern
        };
        let mut expected = tuples(rows.len(), letters.len());
        expected.retain(|tuple| {
            let short = bound.is_none_or(|rows| tuple[tuple.len() - 1] - tuple[0] <= rows);
            short && is_match(&rows, tuple, &letters, &relations)
        });
        let text: String = rows.iter().flat_map(|letter| [*letter, ' ']).collect();
        let input = cepheid_testkit::SequenceInput::table(table(&text), None);
        let found = |selection| {
            let pattern = Pattern { selection, ..pattern.clone() }.normalise();
            let events = reference_sequences(&pattern, &input).unwrap();
            let rows = |event: cepheid_testkit::SequenceEvent| {
                event.members.into_iter().map(|(_, _, row)| row).collect::<Vec<usize>>()
            };
            let mut found: Vec<Vec<usize>> = events.into_iter().map(rows).collect();
            found.sort();
            found
        };
        assert_eq!(found(Selection::All), expected, "seed {seed}, rows {text}: {pattern:?}");
        matches += expected.len();
        // Row by row taking is preferred to skipping: the least tuple of each start row.
        expected.dedup_by_key(|tuple| tuple[0]);
        assert_eq!(found(Selection::First), expected, "seed {seed}, rows {text}: {pattern:?}");
        chosen += expected.len();
    }
    assert!(matches > 3000 && chosen > 2000 && matches > chosen + 500, "{matches} matches, {chosen} chosen");
}
