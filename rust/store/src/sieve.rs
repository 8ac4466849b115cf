//! Looking through pages of a segment for the rows that matter.
//!
//! What is known of a page tells that some of its rows may matter, or that none does. Of a page of the first kind only the
//! columns that the condition names are read, and then, of all columns, no more than the rows of which it holds, and those
//! that say when what lies between them begins and ends.
//!
//! - Cost: O(rows of the pages looked through) for the columns of the condition; where many rows turn out to matter, that is
//!   lost, and the next segments of the topic are read as they are.

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use crate::error::StoreError;
use crate::passed::{Passed, Passing, Stretch};
use crate::query::Condition;
use crate::segment_file::{SegmentFile, Wanted};

/// Rows next to each other that do not matter, and are read all the same: to part what is around them costs more.
const GAP_ROWS_MIN: usize = 64;

/// A page is read as a whole where more than one of so many rows would be.
const READ_SHARE: usize = 16;

/// A page of a segment, as far as its summary tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Page {
    /// Rows that are read, or not asked for.
    Plain { rows: usize, read: bool },
    /// None of its rows matters.
    Passed(Passed),
    /// What it is if none does.
    MayMatter(Passed),
}

/// Which rows of pages a condition holds of, one after the other, and whether it paid to ask: where it holds of many, no
/// more is asked, and what is given ends early. Of rows of which the condition cannot be worked out, it may hold.
///
/// # Errors
/// [`StoreError::Corrupt`]; what the disk refuses.
pub(crate) fn look_through(
    file: &SegmentFile,
    condition: &Condition,
    topic: &str,
    ranges: Ranges,
) -> Result<(BooleanBuffer, bool), StoreError> {
    let names: Vec<String> = condition.columns().into_iter().map(str::to_owned).collect();
    // A text that many rows have is asked about once, and not written out for each of them.
    let with_dictionaries = file.with_dictionaries(&names)?;
    let over_dictionaries = condition.over(with_dictionaries.schema());
    let (file, condition) = match &over_dictionaries {
        Ok(over_dictionaries) => (&with_dictionaries, over_dictionaries),
        Err(_) => (file, condition),
    };
    let mut rows = file.read(Wanted { columns: Some(&names), ranges, ..Wanted::default() })?;
    let mut matter = BooleanBufferBuilder::new(0);
    let mut holds = 0;
    while let Some(rows) = rows.next()? {
        let mask = condition.mask(&rows, topic);
        let mask = mask.unwrap_or_else(|_| BooleanBuffer::new_set(rows.num_rows()));
        holds += mask.count_set_bits();
        matter.append_buffer(&mask);
        if holds > matter.len() / READ_SHARE {
            return Ok((matter.finish(), false));
        }
    }
    Ok((matter.finish(), true))
}

/// Decides, page by page, which rows are read.
///
/// `matter`: of the rows that may matter, one after the other, whether they do; where it ends, pages are read as they are.
pub(crate) fn sift(pages: &[Page], matter: &BooleanBuffer) -> (Ranges, Passing) {
    let (mut ranges, mut passing) = (Ranges::new(), Passing::default());
    let mut looked = 0;
    for page in pages {
        match page {
            Page::Plain { rows, read } => add_range(&mut ranges, *rows, *read),
            Page::Passed(passed) => {
                add_range(&mut ranges, passed.rows as usize, false);
                passing.push(Stretch { passed: *passed, reads: (false, false) });
            }
            Page::MayMatter(passed) => {
                let rows = passed.rows as usize;
                let parted = looked + rows <= matter.len()
                    && sift_page(passed, &matter.slice(looked, rows), &mut ranges, &mut passing);
                if !parted {
                    add_range(&mut ranges, rows, true);
                }
                looked += rows;
            }
        }
    }
    (ranges, passing)
}

/// Ranges of the rows that may matter.
pub(crate) fn may_matter(pages: &[Page]) -> Ranges {
    let mut ranges = Ranges::new();
    for page in pages {
        match page {
            Page::Plain { rows, .. } => add_range(&mut ranges, *rows, false),
            Page::Passed(passed) => add_range(&mut ranges, passed.rows as usize, false),
            Page::MayMatter(passed) => add_range(&mut ranges, passed.rows as usize, true),
        }
    }
    ranges
}

/// Rows of a segment in order: how many, and whether they are read.
pub(crate) type Ranges = Vec<(usize, bool)>;

/// Adds rows to those before them.
pub(crate) fn add_range(ranges: &mut Ranges, rows: usize, read: bool) {
    match ranges.last_mut() {
        _ if rows == 0 => {}
        Some((before, same)) if *same == read => *before += rows,
        _ => ranges.push((rows, read)),
    }
}

/// Parts a page; `false`: so many rows would be read that it is better read as a whole.
fn sift_page(page: &Passed, matter: &BooleanBuffer, ranges: &mut Ranges, passing: &mut Passing) -> bool {
    // Where rows are passed over: from, to. What lies between is read.
    let mut gaps: Vec<(usize, usize)> = vec![];
    let mut from = 0;
    let mut read = matter.len();
    let ends = matter.set_slices().chain([(matter.len(), matter.len())]);
    for (start, end) in ends {
        // A page of which nothing matters is passed over however short it is.
        if start - from >= GAP_ROWS_MIN || start - from == matter.len() {
            gaps.push((from, start));
            read -= start - from;
        }
        from = end;
    }
    if read > matter.len() / READ_SHARE {
        return false;
    }
    let mut after = 0;
    for (from, to) in gaps {
        add_range(ranges, from - after, true);
        let reads = (from > 0, to < matter.len());
        let borders = (usize::from(reads.0), usize::from(reads.1));
        add_range(ranges, borders.0, true);
        add_range(ranges, to - from - borders.0 - borders.1, false);
        add_range(ranges, borders.1, true);
        passing.push(Stretch { passed: page.part(from, to), reads });
        after = to;
    }
    add_range(ranges, matter.len() - after, true);
    true
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field};
    use cepheid_ir::{BinaryOp, Expr, RowPointer};
    use std::fs::File;
    use std::sync::Arc;

    use super::*;
    use crate::mixed::mixed;
    use crate::passed::InTurn;
    use crate::segment_file::SegmentWriter;

    /// The time of a row: they come in order, some at once.
    fn time(row: i64) -> i64 {
        row / 3 * 10
    }

    /// Rows as a file gives them.
    fn rows(ordinals: &[i64]) -> RecordBatch {
        let column = |of: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ordinals.iter().map(|row| of(*row))))
        };
        let columns =
            [("_position", column(|row| row + 1000)), ("_row", column(|row| row)), ("ts", column(time))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn page(first: usize, rows: usize) -> Passed {
        let (first, rows) = (first as i64, rows as i64);
        let times = (time(first), time(first + rows - 1));
        Passed { first_position: first + 1000, first_row: first, rows, times }
    }

    #[test]
    fn what_is_passed_over_and_what_is_read_is_every_row_once_and_none_that_matters_is_passed_over() {
        let (mut parted, mut whole) = (0, 0);
        for case in 0..400 {
            let seed = &mut (case * 977);
            let mut pages = vec![];
            let mut matter = vec![];
            let mut first = 0;
            for _ in 0..1 + mixed(seed) % 5 {
                let length = [1, 2, 63, 64, 65, 66, 400, 3000][mixed(seed) as usize % 8];
                pages.push(match mixed(seed) % 5 {
                    0 => Page::Plain { rows: length, read: mixed(seed).is_multiple_of(2) },
                    1 => Page::Passed(page(first, length)),
                    _ => {
                        let rare = [1, 20, 100, 1000, 100_000][mixed(seed) as usize % 5];
                        let mut holds: Vec<bool> =
                            (0..length).map(|_| mixed(seed).is_multiple_of(rare)).collect();
                        if mixed(seed).is_multiple_of(4) {
                            // At the borders.
                            holds[0] = true;
                            holds[length - 1] = true;
                        }
                        matter.extend(holds);
                        Page::MayMatter(page(first, length))
                    }
                });
                first += length;
            }
            let (ranges, mut passing) = sift(&pages, &BooleanBuffer::from(matter.clone()));
            assert_eq!(ranges.iter().map(|(rows, _)| rows).sum::<usize>(), first);
            let may_matter: usize =
                may_matter(&pages).iter().filter(|range| range.1).map(|range| range.0).sum();
            assert_eq!(may_matter, matter.len());

            // What the file gives, however it is cut.
            let mut read = vec![];
            let mut row = 0;
            for (rows, is_read) in &ranges {
                if *is_read {
                    read.extend(row..row + *rows as i64);
                }
                row += *rows as i64;
            }
            let mut batches: Vec<RecordBatch> = vec![];
            let mut left = &read[..];
            while !left.is_empty() {
                let cut = (1 + mixed(seed) as usize % 7 * 100 % 301).min(left.len());
                batches.push(rows(&left[..cut]));
                left = &left[cut..];
            }
            let mut told = vec![];
            for batch in batches {
                let mut batch = Some(batch);
                while let Some(rows) = batch.take() {
                    batch = match passing.take(rows, "ts").unwrap() {
                        InTurn::Rows(rows, later) => {
                            let ordinals: &Int64Array = rows.column(1).as_any().downcast_ref().unwrap();
                            told.extend(ordinals.values().iter().map(|row| (*row, true)));
                            later
                        }
                        InTurn::Passed(passed, later) => {
                            told.extend(tell(&passed));
                            later
                        }
                        InTurn::More => None,
                    };
                }
            }
            while let Some(passed) = passing.rest().unwrap() {
                told.extend(tell(&passed));
            }

            let mut expected = vec![];
            let mut asked = matter.iter();
            let mut row = 0;
            for page in &pages {
                let (rows, kind) = match page {
                    Page::Plain { rows, read } => (*rows, Some(*read)),
                    Page::Passed(passed) => (passed.rows as usize, None),
                    Page::MayMatter(passed) => {
                        let rows = passed.rows as usize;
                        let found: Vec<bool> = told
                            .iter()
                            .filter(|(told, _)| (row..row + rows as i64).contains(told))
                            .map(|(_, read)| *read)
                            .collect();
                        assert_eq!(found.len(), rows, "case {case}");
                        for read in &found {
                            let matters = *asked.next().unwrap();
                            assert!(*read || !matters, "case {case}: a row that matters is passed over");
                            expected.push((row, *read));
                            row += 1;
                        }
                        if found.contains(&false) {
                            parted += 1;
                            assert!(found.iter().filter(|read| **read).count() <= rows / READ_SHARE);
                        } else {
                            whole += 1;
                        }
                        continue;
                    }
                };
                for row in row..row + rows as i64 {
                    match kind {
                        Some(false) => {}
                        read => expected.push((row, read == Some(true))),
                    }
                }
                row += rows as i64;
            }
            assert_eq!(told, expected, "case {case}");
        }
        assert!(parted > 100 && whole > 100, "{parted} {whole}");
    }

    /// Rows that are passed over, whose times have to be theirs.
    fn tell(passed: &Passed) -> Vec<(i64, bool)> {
        let end = passed.first_row + passed.rows;
        assert_eq!(passed.times, (time(passed.first_row), time(end - 1)));
        assert_eq!(passed.first_position, passed.first_row + 1000);
        (passed.first_row..end).map(|row| (row, false)).collect()
    }

    #[test]
    fn texts_are_looked_at_in_dictionaries_where_they_are_written_so_and_as_they_are_elsewhere() {
        let rows = 200_000;
        let texts = |few: u64, null: u64| {
            let seed = &mut 7;
            let text = |_| {
                let number = mixed(seed) % few;
                (!number.is_multiple_of(null)).then(|| format!("text number {number}"))
            };
            Arc::new(StringArray::from_iter((0..rows).map(text))) as ArrayRef
        };
        // The dictionary of the last is longer than one may be: after it, texts follow as they are.
        let columns = [("few", texts(50, 7)), ("null", texts(50, 3)), ("many", texts(150_000, 1 << 40))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment.parquet");
        let mut writer = SegmentWriter::new(File::create_new(&path).unwrap(), batch.schema_ref(), "t", "ts");
        writer.write(&batch, &path).unwrap();
        writer.finish(&path).unwrap();
        let file = SegmentFile::open(&path, rows, batch.schema_ref()).unwrap();

        let names = ["few", "many"].map(str::to_owned);
        let dictionaries = file.with_dictionaries(&names).unwrap();
        let is_dictionary = |field: &Arc<Field>| matches!(field.data_type(), DataType::Dictionary(..));
        let found: Vec<bool> = dictionaries.schema().fields().iter().map(is_dictionary).collect();
        assert_eq!(found, [true, false, false]);

        let column = |name: &str| {
            Box::new(Expr::Column { name: name.into(), quoted: false, at: RowPointer::default() })
        };
        let binary = |left: Box<Expr>, op, text: &str| Expr::Binary {
            op,
            left,
            right: Box::new(Expr::Literal(text.into())),
        };
        let joined =
            Box::new(Expr::Binary { op: BinaryOp::Concat, left: column("few"), right: column("many") });
        for condition in [
            binary(column("few"), BinaryOp::Equal, "text number 33"),
            binary(column("null"), BinaryOp::Less, "text number 11"),
            binary(column("many"), BinaryOp::Equal, "text number 77"),
            binary(column("many"), BinaryOp::Less, "text number 1002"),
            binary(joined, BinaryOp::Less, "text number 11"),
            Expr::And(vec![
                Expr::IsNull(column("few")),
                binary(column("many"), BinaryOp::Less, "text number 11"),
            ]),
        ] {
            let condition = Condition::new(&condition, batch.schema_ref()).unwrap();
            let expected = condition.mask(&batch, "t").unwrap();
            let (found, pays) = look_through(&file, &condition, "t", vec![(rows as usize, true)]).unwrap();
            assert!(pays);
            assert_eq!(found, expected);
            assert_ne!(found.count_set_bits(), 0);
        }
    }

    #[test]
    fn where_it_is_not_known_which_rows_matter_pages_are_read_as_they_are() {
        let pages = [Page::MayMatter(page(0, 500)), Page::MayMatter(page(500, 500))];
        let (ranges, _) = sift(&pages, &BooleanBuffer::new_unset(500));
        assert_eq!(ranges, [(500, false), (500, true)]);
    }
}
