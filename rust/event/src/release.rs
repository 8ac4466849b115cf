//! What a change of the clock lets out.

use arrow_array::RecordBatch;
use arrow_buffer::ScalarBuffer;

use crate::error::EventError;
use crate::late::{LateRows, Verdict};
use crate::merge::{MergedBatch, MergedSchema, Segment};
use crate::reorder::{Prepared, ReorderBuffer};
use crate::runs::Place;
use crate::watermark::Clock;

/// What a call lets out.
#[derive(Clone, Debug)]
pub struct Released {
    /// Rows in the order of their release. Appended to those of earlier calls they are in order.
    pub rows: MergedBatch,
    /// Late rows, one entry for each pushed batch that has some.
    pub late: Vec<LateRows>,
    /// The watermark after the call: all rows up to and including it are out, all deadlines up to it are due.
    pub watermark: Option<i64>,
    /// No row before this time comes any more, all that are accepted from now on are of it or later.
    pub complete_before: Option<i64>,
    /// Whether this was the end of the input: every deadline is due.
    pub ended: bool,
}

/// A pushed batch, judged.
pub(crate) struct Judged {
    pub(crate) batch: RecordBatch,
    pub(crate) times: ScalarBuffer<i64>,
    /// The ordinal of its first row.
    pub(crate) first: u64,
    pub(crate) verdict: Verdict,
}

impl ReorderBuffer {
    /// The change to `clock`, with the rows that it lets out: of those that wait and those just pushed to `topic`.
    pub(crate) fn prepared(
        &self,
        clock: Clock,
        topic: Option<u16>,
        columns: &MergedSchema,
        judged: &[Judged],
        late: Vec<LateRows>,
    ) -> Result<Prepared, EventError> {
        let watermark = clock.watermark;
        let mut taken = vec![];
        let counts = self.runs.up_to(watermark);
        let rows = match (watermark, topic) {
            (None, _) => MergedBatch::empty(columns),
            (Some(watermark), topic) if counts.iter().all(|count| *count == 0) && are_in_order(judged) => {
                pass_through(columns, topic, judged, watermark)?
            }
            (Some(watermark), topic) => {
                let mut places: Vec<Place> = self.runs.first(&counts).collect();
                for batch in judged {
                    add_ready(&mut places, topic.expect("rows come to a topic"), batch, watermark);
                }
                places.sort();
                self.gather(columns, topic, judged, &places, &mut taken)?
            }
        };
        Ok(Prepared {
            version: self.version,
            released: Released {
                rows,
                late,
                watermark,
                complete_before: clock.complete_before(),
                ended: false,
            },
            clock,
            counts,
            taken,
            pushed: None,
        })
    }

    /// The rows at `places`, and in `taken` how many of each chunk they are.
    fn gather(
        &self,
        columns: &MergedSchema,
        topic: Option<u16>,
        judged: &[Judged],
        places: &[Place],
        taken: &mut Vec<(u16, usize, usize)>,
    ) -> Result<MergedBatch, EventError> {
        const UNUSED: usize = usize::MAX;
        let pushed_from = judged.first().map(|batch| batch.first);
        let mut sources: Vec<(u16, &RecordBatch)> =
            judged.iter().map(|batch| (topic.unwrap_or_default(), &batch.batch)).collect();
        // Which source a topic's chunk is, and the chunk that the topic's last row was found in.
        let mut numbers: Vec<(Vec<usize>, usize)> =
            self.topics.iter().map(|topic| (vec![UNUSED; topic.held.chunks.len()], 0)).collect();
        let mut hint = 0;
        let mut segments: Vec<Segment> = vec![];
        for place in places {
            let (source, row) =
                if Some(place.topic) == topic && pushed_from.is_some_and(|first| place.arrival >= first) {
                    let spans = |batch: &Judged| {
                        (batch.first..batch.first + batch.times.len() as u64).contains(&place.arrival)
                    };
                    if !spans(&judged[hint]) {
                        hint = judged.partition_point(|batch| batch.first <= place.arrival) - 1;
                    }
                    (hint, (place.arrival - judged[hint].first) as usize)
                } else {
                    let held = &self.topics[place.topic as usize].held;
                    let (numbers, last) = &mut numbers[place.topic as usize];
                    let (chunk, row) = held.locate(place.arrival, *last);
                    *last = chunk;
                    if numbers[chunk] == UNUSED {
                        numbers[chunk] = sources.len();
                        sources.push((place.topic, &held.chunks[chunk].batch));
                        taken.push((place.topic, chunk, 0));
                    }
                    taken[numbers[chunk] - judged.len()].2 += 1;
                    (numbers[chunk], row)
                };
            match segments.last_mut() {
                Some(last) if last.source == source && last.start + last.len == row => last.len += 1,
                _ => segments.push(Segment { source, start: row, len: 1 }),
            }
        }
        Ok(MergedBatch {
            batch: columns.gather(&sources, &segments)?,
            time: places.iter().map(|place| place.time).collect(),
            topic: places.iter().map(|place| place.topic).collect(),
            arrival: places.iter().map(|place| place.arrival).collect(),
        })
    }
}

/// Whether the rows, batch after batch, are in order of time, none of them late.
fn are_in_order(judged: &[Judged]) -> bool {
    let mut last = i64::MIN;
    judged.iter().all(|Judged { times, verdict, .. }| {
        let follows = times[0] >= last;
        last = times[times.len() - 1];
        follows && verdict.late.is_empty() && (verdict.in_order || times.is_sorted())
    })
}

/// Rows in order that nothing waits before: those up to the watermark, as they are.
fn pass_through(
    columns: &MergedSchema,
    topic: Option<u16>,
    judged: &[Judged],
    watermark: i64,
) -> Result<MergedBatch, EventError> {
    let Some(topic) = topic else { return Ok(MergedBatch::empty(columns)) };
    let mut segments = vec![];
    for (source, batch) in judged.iter().enumerate() {
        let len = batch.times.partition_point(|time| *time <= watermark);
        if len > 0 {
            segments.push(Segment { source, start: 0, len });
        }
    }
    let Some(first) = segments.first().map(|segment| judged[segment.source].first) else {
        return Ok(MergedBatch::empty(columns));
    };
    let rows: usize = segments.iter().map(|segment| segment.len).sum();
    let sources: Vec<(u16, &RecordBatch)> = judged.iter().map(|batch| (topic, &batch.batch)).collect();
    let time = match segments.as_slice() {
        [only] => judged[only.source].times.slice(0, only.len),
        several => several
            .iter()
            .flat_map(|segment| judged[segment.source].times[..segment.len].iter().copied())
            .collect(),
    };
    Ok(MergedBatch {
        batch: columns.gather(&sources, &segments)?,
        time,
        topic: vec![topic; rows].into(),
        arrival: (first..first + rows as u64).collect(),
    })
}

/// Adds the places of a pushed batch's rows up to the watermark, late ones left out.
fn add_ready(places: &mut Vec<Place>, topic: u16, batch: &Judged, watermark: i64) {
    let mut late = batch.verdict.late.iter().copied().peekable();
    let mut at_watermark = batch.verdict.at_watermark.iter().copied().peekable();
    for (row, time) in batch.times.iter().enumerate() {
        let is_late = late.next_if_eq(&(row as u32)).is_some();
        let at_watermark = at_watermark.next_if_eq(&(row as u32)).is_some();
        if !is_late && *time <= watermark {
            places.push(Place { time: *time, at_watermark, topic, arrival: batch.first + row as u64 });
        }
    }
}
