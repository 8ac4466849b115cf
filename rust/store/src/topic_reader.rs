//! Reading one topic: its segments, then what is in the journal, in the order of positions.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use cepheid_event::event_times;
use cepheid_ir::Expr;
use rusqlite::Connection;

use crate::asked::Asked;
use crate::conform::{METADATA, conform};
use crate::error::{Doing, StoreError};
use crate::fronts::{Fronts, without_fronts};
use crate::passed::{InTurn, Passed, Passing};
use crate::piece::{self, BatchRow, Schemas, SegmentRow, StoredSchema, TopicRow};
use crate::protection::reveal;
use crate::prune::Pruner;
use crate::query::{Condition, filtered};
use crate::reader::{ordinals, positions};
use crate::segment_file::{self, SegmentReader, Wanted};
use crate::sieve::{Page, Ranges, Sieve, Sifted};

/// Batches of the journal that are looked at together.
const LOOK_AHEAD: usize = 256;

/// What comes next of a topic.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Rows, never none.
    Rows(RecordBatch),
    /// Rows that are passed over.
    Passed(Passed),
}

impl Piece {
    /// The position of the first row.
    pub(crate) fn position(&self) -> i64 {
        match self {
            Self::Rows(rows) => positions(rows)[0],
            Self::Passed(passed) => passed.first_position,
        }
    }
}

/// Reads one topic.
pub(crate) struct TopicReader {
    pub(crate) name: Arc<str>,
    topic: TopicRow,
    schemas: Schemas,
    /// By schema: what its rows are asked by what is known of them.
    pruners: HashMap<i64, Pruner>,
    /// What is given.
    schema: SchemaRef,
    asked: Arc<Asked>,
    segments: Option<VecDeque<SegmentRow>>,
    file: Option<(SegmentRow, SegmentReader)>,
    journal: VecDeque<BatchRow>,
    /// The last batch of the journal that was looked at; `None`: all were.
    looked_at: Option<i64>,
    /// The row that comes next, of all that there are: one after the other, without a gap, or something is damaged.
    next_row: i64,
    /// By schema: what tells rows that matter from those that are passed over; empty: none are.
    mattering: HashMap<i64, Mattering>,
    /// Whether pages are looked through for rows that matter.
    sieving: bool,
    /// What is passed over of the open file.
    passing: Passing,
    /// Rows that have been read, of the open file: how many have been given, and their schema.
    read: Option<(RecordBatch, usize, i64)>,
}

impl TopicReader {
    pub(crate) fn new(
        topic: TopicRow,
        schemas: Vec<(i64, StoredSchema)>,
        schema: SchemaRef,
        asked: Arc<Asked>,
        mattering: Option<&Expr>,
    ) -> Self {
        let schema = if asked.numbered { Arc::new(without_fronts(&schema)) } else { schema };
        let mattering = mattering.map_or_else(HashMap::new, |condition| {
            let united = Condition::new(condition, &schema).ok();
            let of_schema = |(number, own): &(i64, StoredSchema)| {
                let united = united.as_ref().filter(|united| united.means_the_same(&own.given))?;
                let pruner = united.pruner(&own.kept, &own.protected);
                let sieve = is_in_files(united, own).then(|| united.clone());
                Some((*number, Mattering { pruner, sieve }))
            };
            schemas.iter().filter_map(of_schema).collect()
        });
        let pruner = |(number, schema): &(i64, StoredSchema)| {
            let condition = asked.condition.as_ref()?;
            let same = condition.means_the_same(&schema.given);
            same.then(|| (*number, condition.pruner(&schema.kept, &schema.protected)))
        };
        Self {
            name: Arc::clone(&topic.name),
            next_row: topic.kept_from,
            pruners: schemas.iter().filter_map(pruner).collect(),
            schemas: schemas.into_iter().collect(),
            topic,
            schema,
            asked,
            segments: None,
            file: None,
            journal: VecDeque::new(),
            looked_at: Some(0),
            mattering,
            sieving: true,
            passing: Passing::default(),
            read: None,
        }
    }

    /// The next rows that are asked for, never none at all.
    pub(crate) fn next(&mut self, database: &Connection) -> Result<Option<Piece>, StoreError> {
        loop {
            let (rows, schema) = match self.next_kept(database)? {
                None => return Ok(None),
                Some(Kept::Rows(rows, schema)) => (rows, schema),
                Some(Kept::Passed(passed)) => return Ok(Some(Piece::Passed(passed))),
            };
            let stored = piece::schema(&self.schemas, schema)?;
            let rows = reveal(&rows, &stored.given, &stored.protected, database)?;
            let rows = self.asked_for(&rows)?;
            if rows.num_rows() > 0 {
                return Ok(Some(Piece::Rows(conform(&rows, &self.schema)?)));
            }
        }
    }

    fn next_kept(&mut self, database: &Connection) -> Result<Option<Kept>, StoreError> {
        loop {
            if self.read.is_none()
                && let Some((segment, file)) = &mut self.file
            {
                self.read = file.next()?.map(|rows| (rows, 0, segment.schema));
            }
            if let Some((rows, given, schema)) = self.read.take() {
                if given == rows.num_rows() {
                    continue;
                }
                return self.in_turn(rows, given, schema).map(Some);
            }
            self.file = None;
            if let Some(passed) = self.passing.rest() {
                return Ok(Some(Kept::Passed(passed)));
            }
            if self.segments.is_none() {
                self.segments = Some(piece::segments(database, Some(self.topic.topic))?.into());
            }
            if let Some(segment) = self.segments.as_mut().and_then(VecDeque::pop_front) {
                self.follow(segment.first_position, segment.first_row, segment.events)?;
                self.open(segment, database)?;
                continue;
            }
            let Some(batch) = self.next_batch(database)? else { return Ok(None) };
            let stored = piece::schema(&self.schemas, batch.schema)?;
            if let Some(passed) = self.passed_batch(&batch, stored, database)? {
                return Ok(Some(Kept::Passed(passed)));
            }
            if self.may_hold(&batch, stored, database)? {
                return Ok(Some(Kept::Rows(batch.rows(database, stored)?, batch.schema)));
            }
        }
    }

    /// What comes next where rows have been read of a file, of which so many have been given.
    fn in_turn(&mut self, rows: RecordBatch, given: usize, schema: i64) -> Result<Kept, StoreError> {
        match self.passing.next(&ordinals(&rows)[given..])? {
            InTurn::Passed(passed) => {
                self.read = Some((rows, given, schema));
                Ok(Kept::Passed(passed))
            }
            InTurn::Rows(count) if count == rows.num_rows() => Ok(Kept::Rows(rows, schema)),
            InTurn::Rows(count) => {
                let next = rows.slice(given, count);
                self.read = Some((rows, given + count, schema));
                Ok(Kept::Rows(next, schema))
            }
        }
    }

    /// The rows of a batch, if they are passed over.
    fn passed_batch(
        &self,
        batch: &BatchRow,
        stored: &StoredSchema,
        database: &Connection,
    ) -> Result<Option<Passed>, StoreError> {
        let header = &batch.header;
        let (Some(mattering), Some(times)) = (self.mattering.get(&batch.schema), header.times) else {
            return Ok(None);
        };
        let passed = Passed {
            first_position: header.first_position,
            first_row: header.first_row,
            rows: header.events,
            times,
        };
        if !self.asked.has_all(&passed, batch.end()) {
            return Ok(None);
        }
        let summary = batch.summary(database, stored)?;
        let mut apart = |place, hash: &_| piece::filter(database, header.batch, 0, place, hash);
        let matters =
            !summary.in_order || mattering.pruner.may_hold(&summary, header.events as u64, &mut apart)?;
        Ok((!matters).then_some(passed))
    }

    /// Whether rows that are looked at follow those before.
    fn follow(&mut self, position: i64, first_row: i64, events: i64) -> Result<(), StoreError> {
        if first_row != self.next_row || events < 0 {
            let reason =
                format!("topic `{}` goes on with row {first_row} after row {}", self.name, self.next_row);
            return Err(StoreError::corrupt(u64::try_from(position).ok(), reason));
        }
        self.next_row += events;
        Ok(())
    }

    fn next_batch(&mut self, database: &Connection) -> Result<Option<BatchRow>, StoreError> {
        if self.journal.is_empty()
            && let Some(after) = self.looked_at
        {
            let topic = self.topic.topic;
            let found = piece::journal(database, topic, after, LOOK_AHEAD, &self.schemas)?;
            self.looked_at = found.last().map(|batch| batch.header.batch);
            for batch in &found {
                self.follow(batch.header.first_position, batch.header.first_row, batch.header.events)?;
            }
            self.journal = found.into();
            if self.looked_at.is_none() && self.next_row != self.topic.events {
                let reason =
                    format!("topic `{}` ends at row {}, not {}", self.name, self.next_row, self.topic.events);
                return Err(StoreError::corrupt(None, reason));
            }
        }
        Ok(self.journal.pop_front())
    }

    fn may_hold(
        &self,
        batch: &BatchRow,
        stored: &StoredSchema,
        database: &Connection,
    ) -> Result<bool, StoreError> {
        let header = &batch.header;
        let times = header.times.unwrap_or((batch.recorded, batch.recorded));
        let plainly = Asked::overlaps(self.asked.positions, header.first_position, batch.end())
            && Asked::overlaps(self.asked.rows, header.first_row, header.first_row + header.events)
            && self.asked.stream.as_ref().is_none_or(|stream| header.stream.as_ref() == Some(stream))
            && self.asked.times_overlap(times);
        match self.pruners.get(&batch.schema) {
            Some(pruner) if plainly => {
                let summary = batch.summary(database, stored)?;
                let mut apart = |place, hash: &_| piece::filter(database, header.batch, 0, place, hash);
                pruner.may_hold(&summary, header.events as u64, &mut apart)
            }
            _ => Ok(plainly),
        }
    }

    /// Opens a segment for those of its pages that may have what is asked for.
    fn open(&mut self, segment: SegmentRow, database: &Connection) -> Result<(), StoreError> {
        let asked = Arc::clone(&self.asked);
        let may_overlap = Asked::overlaps(asked.positions, segment.first_position, segment.last_position + 1)
            && Asked::overlaps(asked.rows, segment.first_row, segment.first_row + segment.events)
            && segment.times.is_none_or(|times| asked.times_overlap(times));
        if !may_overlap {
            return Ok(());
        }
        let stored = piece::schema(&self.schemas, segment.schema)?;
        let pages = self.pages(&segment, stored, database)?;
        let mut sifted = Sifted::by_pages(&pages);
        if let Some(stream) = &asked.stream {
            sifted.ranges = both(&sifted.ranges, &stream_ranges(stream, &segment, database)?);
        }
        if !sifted.reads() {
            self.passing = sifted.passing;
            return Ok(());
        }
        let path = asked.folder.join(&segment.file);
        let file = match asked.known.open(&path, &segment, stored) {
            Err(_) if !path.is_file() => {
                segment_file::check_named(&asked.store, &segment)?;
                return Err(StoreError::corrupt(
                    Some(segment.first_position as u64),
                    format!("the archived file `{}` is missing", segment.file),
                ));
            }
            file => file?,
        };
        let condition = self.mattering.get(&segment.schema).and_then(|mattering| mattering.sieve.as_ref());
        if let Some(condition) = condition
            && self.sieving
            && pages.iter().any(|page| matches!(page, Page::MayMatter(_)))
        {
            let sieve = Sieve { condition, topic: &self.name, event_time: &asked.event_time };
            (sifted, self.sieving) = sieve.look_through(&file, &pages)?;
        }
        let reads = sifted.reads();
        let Sifted { ranges, passing, looked_at } = sifted;
        self.passing = passing;
        if reads {
            // What the file holds as it is can be asked of it before anything else is read.
            let condition = asked.condition.clone().filter(|condition| is_in_files(condition, stored));
            let mut columns = asked.needed();
            let fronts = self.fronts(&segment, &ranges);
            if let Some(fronts) = &fronts {
                let all = || stored.kept.fields().iter().map(|field| field.name().clone()).collect();
                let columns = columns.get_or_insert_with(all);
                columns.retain(|name| METADATA.iter().all(|(own, _)| own != name));
                columns.extend(fronts.read().map(str::to_owned));
            }
            let wanted = Wanted { columns: columns.as_deref(), ranges, condition, fronts, looked_at };
            self.file = Some((segment, file.read(wanted)?));
        }
        Ok(())
    }

    /// What stands in front of rows of a segment, where no more is asked for than where they are.
    fn fronts(&self, segment: &SegmentRow, ranges: &Ranges) -> Option<Fronts> {
        let follow = segment.last_position + 1 - segment.first_position == segment.events;
        let position = follow.then_some(segment.first_position);
        self.asked.numbered.then(|| Fronts::new(ranges, segment.first_row, position))
    }

    /// Pages of a segment, and which of them may be asked for, or matter.
    fn pages(
        &self,
        segment: &SegmentRow,
        stored: &StoredSchema,
        database: &Connection,
    ) -> Result<Vec<Page>, StoreError> {
        let (pruner, mattering) = (self.pruners.get(&segment.schema), self.mattering.get(&segment.schema));
        let asks = pruner.is_some() || mattering.is_some();
        let known = if asks { self.asked.known.pages(database, segment, stored)? } else { None };
        let pages = match &known {
            Some(known) => Cow::Borrowed(&known.rows),
            None => Cow::Owned(piece::pages(database, segment.segment, asks)?),
        };
        let ends = pages.iter().skip(1).map(|page| page.first_position).chain([segment.last_position + 1]);
        let mut found = vec![];
        for (place, (page, end)) in pages.iter().zip(ends).enumerate() {
            let first = segment.first_row + page.first_row;
            let rows = page.events as usize;
            let mut read = Asked::overlaps(self.asked.rows, first, first + page.events)
                && page.times.is_none_or(|times| self.asked.times_overlap(times));
            if !read || (pruner.is_none() && mattering.is_none()) {
                found.push(Page::Plain { rows, read });
                continue;
            }
            let summary = match &known {
                Some(known) => Cow::Borrowed(&known.summaries[place]),
                None => Cow::Owned(page.summary(segment, stored)?),
            };
            let events = page.events as u64;
            let mut apart =
                |place, hash: &_| piece::filter(database, segment.segment, page.first_row, place, hash);
            if let Some(pruner) = pruner {
                read = pruner.may_hold(&summary, events, &mut apart)?;
            }
            let passed = page.times.map(|times| Passed {
                first_position: page.first_position,
                first_row: first,
                rows: page.events,
                times,
            });
            let passed = passed.filter(|passed| read && summary.in_order && self.asked.has_all(passed, end));
            found.push(match mattering.zip(passed) {
                None => Page::Plain { rows, read },
                Some((mattering, passed)) if mattering.pruner.may_hold(&summary, events, &mut apart)? => {
                    Page::MayMatter(passed)
                }
                Some((_, passed)) => Page::Passed(passed),
            });
        }
        let covered: i64 = pages.iter().map(|page| page.events).sum();
        if covered != segment.events {
            let reason = format!("the pages of `{}` are not all there", segment.file);
            return Err(StoreError::corrupt(Some(segment.first_position as u64), reason));
        }
        Ok(found)
    }

    /// Those of rows that are asked for.
    fn asked_for(&self, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let asked = &self.asked;
        let ordinals = ordinals(rows);
        let (from, to) = (
            positions(rows)
                .partition_point(|position| *position < asked.positions.0)
                .max(ordinals.partition_point(|row| *row < asked.rows.0)),
            positions(rows)
                .partition_point(|position| *position < asked.positions.1)
                .min(ordinals.partition_point(|row| *row < asked.rows.1)),
        );
        let mut rows = part(rows, from, to.saturating_sub(from));
        if let Some((since, until)) = asked.times {
            let is_in = |time: i64| since <= time && time < until;
            let mask = match rows.column_by_name(&asked.event_time) {
                Some(column) => {
                    let times = event_times(&asked.event_time, column, 0)?;
                    BooleanBuffer::collect_bool(times.len(), |row| is_in(times[row]))
                }
                None => {
                    let recorded = rows.column(4).as_primitive::<TimestampNanosecondType>().values();
                    BooleanBuffer::collect_bool(recorded.len(), |row| is_in(recorded[row]))
                }
            };
            rows = filtered(&rows, mask)?;
        }
        if let Some(stream) = &asked.stream {
            let streams = rows.column(2).as_string::<i32>();
            let mask = BooleanBuffer::collect_bool(streams.len(), |row| {
                streams.is_valid(row) && streams.value(row) == stream
            });
            rows = filtered(&rows, mask)?;
        }
        if let Some(condition) = &asked.condition {
            let mask = condition.mask(&rows, &self.name)?;
            rows = filtered(&rows, mask)?;
        }
        Ok(rows)
    }
}

/// Rows from one on: they themselves, where that is all of them.
pub(crate) fn part(rows: &RecordBatch, from: usize, count: usize) -> RecordBatch {
    if count == rows.num_rows() { rows.clone() } else { rows.slice(from, count) }
}

/// What tells rows of one schema that matter from those that do not.
struct Mattering {
    /// By what is known of rows.
    pruner: Pruner,
    /// By the rows themselves, where a file holds what they are asked.
    sieve: Option<Condition>,
}

/// Whether files of a schema hold all columns that a condition reads, as they are.
fn is_in_files(condition: &Condition, stored: &StoredSchema) -> bool {
    let is_kept = |name: &&str| {
        let in_file = stored.kept.column_with_name(name).is_some()
            || METADATA.iter().any(|(own, _)| own == name && *own != "_topic");
        in_file && !stored.protected.iter().any(|secret| secret == name)
    };
    let columns = condition.columns();
    !columns.is_empty() && columns.iter().all(is_kept)
}

/// What comes next, as it is kept: rows and their schema.
enum Kept {
    Rows(RecordBatch, i64),
    Passed(Passed),
}

/// Which rows of a segment are of a stream.
fn stream_ranges(
    stream: &str,
    segment: &SegmentRow,
    database: &Connection,
) -> Result<Vec<(usize, bool)>, StoreError> {
    let query = "SELECT segment_row, events FROM batches WHERE stream = ? AND segment = ? ORDER BY batch";
    let mut statement = database.prepare_cached(query).doing("look for a stream")?;
    let found = statement
        .query_map(rusqlite::params![stream, segment.segment], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .doing("look for a stream")?;
    let mut ranges = vec![];
    let mut end = 0;
    for batch in found {
        let (first, events) = batch.doing("look for a stream")?;
        if first > end {
            ranges.push(((first - end) as usize, false));
        }
        ranges.push((events as usize, true));
        end = first + events;
    }
    if segment.events > end {
        ranges.push(((segment.events - end) as usize, false));
    }
    Ok(ranges)
}

/// Rows that two lists of ranges have in common.
fn both(left: &[(usize, bool)], right: &[(usize, bool)]) -> Vec<(usize, bool)> {
    let (mut left, mut right) = (left.iter().copied(), right.iter().copied());
    let (mut one, mut other) = (left.next(), right.next());
    let mut ranges: Vec<(usize, bool)> = vec![];
    while let (Some((rows, read)), Some((others, other_read))) = (one, other) {
        let common = rows.min(others);
        if common > 0 {
            ranges.push((common, read && other_read));
        }
        one = if rows > common { Some((rows - common, read)) } else { left.next() };
        other = if others > common { Some((others - common, other_read)) } else { right.next() };
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet() {
        let left = [(10, true), (5, false), (5, true)];
        let right = [(3, false), (9, true), (8, true)];
        assert_eq!(both(&left, &right), [(3, false), (7, true), (2, false), (3, false), (5, true)]);
        assert_eq!(both(&left, &[(20, false)]).iter().map(|(rows, _)| rows).sum::<usize>(), 20);
    }
}
