//! Looking through pages of a segment for the rows that matter.
//!
//! What is known of a page tells that some of its rows may matter, or that none does. Of a page of the first kind only the
//! columns that the condition names are read, and the times, and then, of the other columns, no more than the rows of which
//! it holds. What has been looked at is not read again.
//!
//! - Cost: O(rows of the pages looked through) for the columns of the condition; where many rows turn out to matter, that is
//!   lost, and the next segments of the topic are read as they are.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, FieldRef, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use cepheid_event::event_times;

use crate::error::StoreError;
use crate::in_pages::InPages;
use crate::passed::{Passed, Passing};
use crate::query::Condition;
use crate::segment_file::{PAGE_ROWS, READ_ROWS, SegmentFile, Wanted};

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

/// Which rows of a segment are read, and what is passed over.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    /// All rows in order.
    pub(crate) ranges: Ranges,
    pub(crate) passing: Passing,
    /// The rows that are read, of the columns that were looked at, where no others are.
    pub(crate) looked_at: Option<RecordBatch>,
}

impl Sifted {
    /// By no more than what is known of pages: those that may matter are read.
    pub(crate) fn by_pages(pages: &[Page]) -> Self {
        let mut sifted = Self::default();
        for page in pages {
            match page {
                Page::Plain { rows, read } => add_range(&mut sifted.ranges, *rows, *read),
                Page::Passed(passed) => sifted.pass_over(*passed),
                Page::MayMatter(passed) => add_range(&mut sifted.ranges, passed.rows as usize, true),
            }
        }
        sifted
    }

    /// Whether any row is read.
    pub(crate) fn reads(&self) -> bool {
        self.ranges.iter().any(|(_, read)| *read)
    }

    fn pass_over(&mut self, passed: Passed) {
        add_range(&mut self.ranges, passed.rows as usize, false);
        self.passing.push(passed);
    }
}

/// What pages are looked through for.
pub(crate) struct Sieve<'a> {
    /// What holds of rows that matter. Of rows of which it cannot be worked out, it may hold.
    pub(crate) condition: &'a Condition,
    /// The topic of the rows.
    pub(crate) topic: &'a str,
    /// The column of their times.
    pub(crate) event_time: &'a str,
}

impl Sieve<'_> {
    /// Decides, row by row, which are read of the pages that may matter, and whether it paid to ask: where many rows matter,
    /// no more is asked, and pages are read as they are.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]; what the disk refuses.
    pub(crate) fn look_through(
        &self,
        file: &SegmentFile,
        pages: &[Page],
    ) -> Result<(Sifted, bool), StoreError> {
        let mut names: Vec<String> = self.condition.columns().into_iter().map(str::to_owned).collect();
        names.push(self.event_time.into());
        let over_dictionaries = self.over_dictionaries(file, &names)?;
        let (read, condition) = match &over_dictionaries {
            Some((with_dictionaries, condition)) => (with_dictionaries, condition),
            None => (file, self.condition),
        };
        let wanted = Wanted { columns: Some(&names), ranges: may_matter(pages), ..Wanted::default() };
        let mut rows = InPages::new(read.read_by(PAGE_ROWS, wanted)?);
        let mut sifted = Sifted::default();
        let mut collected = Some(Collected { schema: file.columns(Some(&names)), parts: vec![], rows: 0 });
        let (mut looked, mut holds, mut pays) = (0, 0, true);
        for page in pages {
            let passed = match page {
                Page::Plain { rows, read } => {
                    add_range(&mut sifted.ranges, *rows, *read);
                    collected = collected.filter(|_| !read);
                    continue;
                }
                Page::Passed(passed) => {
                    sifted.pass_over(*passed);
                    continue;
                }
                Page::MayMatter(passed) => passed,
            };
            // Not asked at once: a few rows say little of all.
            pays = pays && (looked < READ_ROWS || holds <= looked / READ_SHARE);
            if !pays {
                add_range(&mut sifted.ranges, passed.rows as usize, true);
                collected = None;
                continue;
            }
            let rows = rows.next(passed.rows as usize)?;
            let mask = condition.mask(&rows, self.topic);
            let mask = mask.unwrap_or_else(|_| BooleanBuffer::new_set(rows.num_rows()));
            looked += rows.num_rows();
            holds += mask.count_set_bits();
            let found = self.sift_page(passed, &mask, &rows, &mut sifted)?;
            collected = match collected {
                Some(mut collected) => collected.add(&rows, &found)?.then_some(collected),
                None => None,
            };
        }
        sifted.looked_at = collected.map(Collected::all).transpose()?.flatten();
        Ok((sifted, pays && holds <= looked / READ_SHARE))
    }

    /// The file and the condition, if it can be asked so, such that a text that many rows have is asked about once, and not
    /// written out for each of them.
    fn over_dictionaries(
        &self,
        file: &SegmentFile,
        names: &[String],
    ) -> Result<Option<(SegmentFile, Condition)>, StoreError> {
        let with_dictionaries = file.with_dictionaries(names)?;
        let condition = self.condition.over(with_dictionaries.schema()).ok();
        Ok(condition.map(|condition| (with_dictionaries, condition)))
    }

    /// Parts a page, or, where so many rows would be read that it is better read as a whole, does not. Gives which rows are
    /// read, from the one to before the other.
    fn sift_page(
        &self,
        page: &Passed,
        matter: &BooleanBuffer,
        rows: &RecordBatch,
        sifted: &mut Sifted,
    ) -> Result<Vec<(usize, usize)>, StoreError> {
        let length = matter.len();
        let mut found: Vec<(usize, usize)> = vec![];
        for (start, end) in matter.set_slices() {
            match found.last_mut() {
                Some((_, before)) if start - *before < GAP_ROWS_MIN => *before = end,
                None if start < GAP_ROWS_MIN => found.push((0, end)),
                _ => found.push((start, end)),
            }
        }
        match found.last_mut() {
            Some((_, end)) if length - *end < GAP_ROWS_MIN => *end = length,
            Some(_) => {}
            // A page of which nothing matters is passed over however short it is.
            None => {
                sifted.pass_over(*page);
                return Ok(found);
            }
        }
        let read: usize = found.iter().map(|(from, to)| to - from).sum();
        if read > length / READ_SHARE {
            add_range(&mut sifted.ranges, length, true);
            return Ok(vec![(0, length)]);
        }
        let column = rows.column_by_name(self.event_time).ok_or_else(|| page.not_read())?;
        let mut gaps = vec![];
        let mut after = 0;
        for (from, to) in found.iter().copied().chain([(length, length)]) {
            if from > after {
                gaps.push((after, from));
            }
            after = to;
        }
        // The first and the last of each gap.
        let borders =
            UInt32Array::from_iter_values(gaps.iter().flat_map(|(from, to)| [*from as u32, *to as u32 - 1]));
        let times = event_times(self.event_time, &take(column, &borders, None)?, 0)?;
        let mut after = 0;
        for ((from, to), times) in gaps.into_iter().zip(times.chunks_exact(2)) {
            add_range(&mut sifted.ranges, from - after, true);
            sifted.pass_over(page.part(from, to, (times[0], times[1])));
            after = to;
        }
        add_range(&mut sifted.ranges, length - after, true);
        Ok(found)
    }
}

/// Rows that will be read, of the columns that are looked at.
struct Collected {
    /// Those columns, as the file has them.
    schema: SchemaRef,
    parts: Vec<RecordBatch>,
    rows: usize,
}

impl Collected {
    /// Adds rows of a page; `false`: they are too many to be kept.
    fn add(&mut self, page: &RecordBatch, found: &[(usize, usize)]) -> Result<bool, StoreError> {
        let count: usize = found.iter().map(|(from, to)| to - from).sum();
        self.rows += count;
        if count == 0 {
            return Ok(true);
        }
        if self.rows > READ_ROWS {
            return Ok(false);
        }
        let places =
            UInt32Array::from_iter_values(found.iter().flat_map(|(from, to)| *from as u32..*to as u32));
        let taken = |(field, column): (&FieldRef, &ArrayRef)| {
            // A text may have been read as a dictionary.
            cast(&take(column, &places, None)?, field.data_type())
        };
        let columns = self.schema.fields().iter().zip(page.columns()).map(taken);
        let columns = columns.collect::<Result<_, ArrowError>>()?;
        self.parts.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(true)
    }

    /// All of them, if there are any.
    fn all(self) -> Result<Option<RecordBatch>, StoreError> {
        let any = !self.parts.is_empty();
        Ok(any.then(|| concat_batches(&self.schema, &self.parts)).transpose()?)
    }
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

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, Int64Array, StringArray};
    use arrow_buffer::BooleanBufferBuilder;
    use arrow_schema::{DataType, Field, Schema};
    use cepheid_ir::{BinaryOp, Expr, RowPointer};
    use std::fs::File;
    use std::path::Path;

    use super::*;
    use crate::fronts::Fronts;
    use crate::mixed::mixed;
    use crate::passed::InTurn;
    use crate::reader::{ordinals, own_columns, positions};
    use crate::segment_file::SegmentWriter;

    /// The time of a row: they come in order, some at once.
    fn time(row: i64) -> i64 {
        row / 3 * 10
    }

    /// A row's text: few are different.
    fn text(row: i64, matters: bool) -> Option<String> {
        match row % 11 {
            _ if matters => Some("matters".into()),
            3 => None,
            few => Some(format!("text {few}")),
        }
    }

    /// Rows that matter, or do not, in a file.
    fn file(folder: &Path, matter: &[bool]) -> SegmentFile {
        let numbers = 0..matter.len() as i64;
        let column = |of: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.clone().map(of)))
        };
        let texts = numbers.clone().zip(matter).map(|(row, matters)| text(row, *matters));
        let columns = [
            ("more", column(|row| row * 7)),
            ("ts", column(time)),
            ("text", Arc::new(StringArray::from_iter(texts)) as ArrayRef),
        ];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)));
        let rows = rows.unwrap();
        let path = folder.join("segment.parquet");
        let mut writer = SegmentWriter::new(File::create(&path).unwrap(), rows.schema_ref(), "t", "ts");
        for first in (0..matter.len()).step_by(PAGE_ROWS) {
            writer.write(&rows.slice(first, PAGE_ROWS.min(matter.len() - first)), &path).unwrap();
        }
        writer.finish(&path).unwrap();
        SegmentFile::open(&path, matter.len() as i64, rows.schema_ref()).unwrap()
    }

    fn page(first: usize, rows: usize) -> Passed {
        let (first, rows) = (first as i64, rows as i64);
        let times = (time(first), time(first + rows - 1));
        Passed { first_position: first + 1000, first_row: first, rows, times }
    }

    /// What holds of rows that matter.
    fn condition(schema: &Schema) -> Condition {
        let column = Box::new(Expr::Column { name: "text".into(), quoted: false, at: RowPointer::default() });
        let right = Box::new(Expr::Literal("matters".into()));
        let equal = Expr::Binary { op: BinaryOp::Equal, left: column, right };
        Condition::new(&equal, &Arc::new(schema.clone())).unwrap()
    }

    fn look_through(file: &SegmentFile, pages: &[Page]) -> (Sifted, bool) {
        let condition = condition(file.schema());
        Sieve { condition: &condition, topic: "t", event_time: "ts" }.look_through(file, pages).unwrap()
    }

    /// Which rows are read, and which passed over, in the order in which it is told. Those that are read have their values.
    fn told(file: &SegmentFile, sifted: Sifted, columns: &[String], matter: &[bool]) -> Vec<(i64, bool)> {
        let Sifted { ranges, mut passing, looked_at } = sifted;
        let fronts = Some(Fronts::new(&ranges, 0, Some(1000)));
        let wanted = Wanted { columns: Some(columns), ranges, fronts, looked_at, ..Wanted::default() };
        let mut reader = file.read(wanted).unwrap();
        let mut told = vec![];
        while let Some(rows) = reader.next().unwrap() {
            let names: Vec<String> =
                own_columns(&rows).schema_ref().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!(names, columns);
            let values = |name: &str, row: usize| -> Option<i64> {
                Some(rows.column_by_name(name)?.as_primitive::<Int64Type>().value(row))
            };
            let mut given = 0;
            while given < rows.num_rows() {
                match passing.next(&ordinals(&rows)[given..]).unwrap() {
                    InTurn::Passed(passed) => told.extend(tell(&passed)),
                    InTurn::Rows(count) => {
                        for row in given..given + count {
                            let number = ordinals(&rows)[row];
                            assert_eq!(positions(&rows)[row], number + 1000);
                            assert_eq!(values("ts", row).unwrap(), time(number));
                            assert!(values("more", row).is_none_or(|more| more == number * 7));
                            let texts = rows.column_by_name("text").unwrap().as_string::<i32>();
                            let found = texts.is_valid(row).then(|| texts.value(row).to_owned());
                            assert_eq!(found, text(number, matter[number as usize]));
                            told.push((number, true));
                        }
                        given += count;
                    }
                }
            }
        }
        while let Some(passed) = passing.rest() {
            told.extend(tell(&passed));
        }
        told
    }

    /// Rows that are passed over, whose times have to be theirs.
    fn tell(passed: &Passed) -> Vec<(i64, bool)> {
        let end = passed.first_row + passed.rows;
        assert_eq!(passed.times, (time(passed.first_row), time(end - 1)));
        assert_eq!(passed.first_position, passed.first_row + 1000);
        (passed.first_row..end).map(|row| (row, false)).collect()
    }

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_passed_over_and_what_is_read_is_every_row_once_and_none_that_matters_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (mut parted, mut whole, mut known) = (0, 0, 0);
        for case in 0..400 {
            let seed = &mut (case * 977);
            let mut pages = vec![];
            let mut matter: Vec<bool> = vec![];
            for _ in 0..1 + mixed(seed) % 5 {
                let first = matter.len();
                let length = [1, 2, 63, 64, 65, 66, 400, 3000][mixed(seed) as usize % 8];
                let rare = [1, 20, 100, 1000, 100_000][mixed(seed) as usize % 5];
                matter.extend((0..length).map(|_| mixed(seed).is_multiple_of(rare)));
                pages.push(match mixed(seed) % 8 {
                    0 => Page::Plain { rows: length, read: mixed(seed).is_multiple_of(4) },
                    1 => {
                        matter[first..].fill(false);
                        Page::Passed(page(first, length))
                    }
                    _ => {
                        if mixed(seed).is_multiple_of(4) {
                            // At the borders.
                            matter[first] = true;
                            matter[first + length - 1] = true;
                        }
                        Page::MayMatter(page(first, length))
                    }
                });
            }
            let file = file(folder.path(), &matter);
            let (sifted, _) = look_through(&file, &pages);
            assert_eq!(sifted.ranges.iter().map(|(rows, _)| rows).sum::<usize>(), matter.len());
            let read_unseen = pages.iter().any(|page| matches!(page, Page::Plain { read: true, .. }));
            assert!(!(read_unseen && sifted.looked_at.is_some()));
            known += usize::from(sifted.looked_at.is_some());
            let columns = if mixed(seed).is_multiple_of(2) {
                names(&["ts", "text"])
            } else {
                names(&["more", "ts", "text"])
            };
            let told = told(&file, sifted, &columns, &matter);

            let mut expected = vec![];
            let mut first = 0;
            for page in &pages {
                let rows = match page {
                    Page::Plain { rows, read } => {
                        expected
                            .extend((first..first + rows).filter(|_| *read).map(|row| (row as i64, true)));
                        first += rows;
                        continue;
                    }
                    Page::Passed(passed) | Page::MayMatter(passed) => first..first + passed.rows as usize,
                };
                let is_in = |row: i64| rows.contains(&(row as usize));
                let of_page: Vec<(i64, bool)> = told.iter().copied().filter(|(row, _)| is_in(*row)).collect();
                assert!(of_page.iter().all(|(row, read)| *read || !matter[*row as usize]), "case {case}");
                assert!(of_page.iter().map(|(row, _)| *row as usize).eq(rows.clone()), "case {case}");
                let read = of_page.iter().filter(|(_, read)| *read).count();
                if read < rows.len() {
                    parted += 1;
                    assert!(read <= rows.len() / READ_SHARE);
                } else {
                    whole += 1;
                }
                expected.extend(of_page);
                first = rows.end;
            }
            assert_eq!(told, expected, "case {case}");
        }
        assert!(parted > 100 && whole > 100 && known > 100, "{parted} {whole} {known}");
    }

    #[test]
    fn where_many_rows_matter_no_more_is_asked_and_where_many_are_read_none_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let pages: Vec<Page> =
            (0..32).map(|number| Page::MayMatter(page(number * PAGE_ROWS, PAGE_ROWS))).collect();
        for (of, pays, is_known) in [(10, false, false), (20, true, false), (1000, true, true)] {
            // One row of so many, but none of the first page.
            let matters = |row: usize| row >= PAGE_ROWS && row.is_multiple_of(of);
            let matter: Vec<bool> = (0..32 * PAGE_ROWS).map(matters).collect();
            let file = file(folder.path(), &matter);
            let (sifted, paid) = look_through(&file, &pages);
            assert_eq!((paid, sifted.looked_at.is_some()), (pays, is_known), "one of {of}");
            assert_eq!(sifted.ranges[0], (PAGE_ROWS + if of == 1000 { 808 } else { 0 }, false));
            let told = told(&file, sifted, &names(&["more", "ts", "text"]), &matter);
            assert!(told.iter().map(|(row, _)| *row as usize).eq(0..matter.len()));
            assert!(told.iter().all(|(row, read)| *read || !matter[*row as usize]));
        }
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

        let names = ["few", "null", "many"].map(str::to_owned);
        let dictionaries = file.with_dictionaries(&names).unwrap();
        let is_dictionary = |field: &Arc<Field>| matches!(field.data_type(), DataType::Dictionary(..));
        let found: Vec<bool> = dictionaries.schema().fields().iter().map(is_dictionary).collect();
        assert_eq!(found, [true, true, false]);

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
            let sieve = Sieve { condition: &condition, topic: "t", event_time: "ts" };
            let (file, condition) = sieve.over_dictionaries(&file, &names).unwrap().unwrap();
            let mut reader = file.read(Wanted { columns: Some(&names), ..Wanted::default() }).unwrap();
            let mut found = BooleanBufferBuilder::new(0);
            while let Some(rows) = reader.next().unwrap() {
                found.append_buffer(&condition.mask(&rows, "t").unwrap());
            }
            let found = found.finish();
            assert_eq!(found, expected);
            assert_ne!(found.count_set_bits(), 0);
        }
    }
}
