//! Places and values that many matches share: worked out once for all of them, not match by match.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::DataType;
use cepheid_event::EventError;
use cepheid_ir::{Anchor, RowPointer};
use cepheid_matcher::Label;

use crate::derive::Scene;
use crate::error::EngineError;
use crate::matches::Ordinals;

impl Scene<'_> {
    /// The position that a pointer leads to from every output row, where all matches have the same segments and each is a
    /// row of the output: the first or last row of a variable then stands at the beginning or the end of the same segment
    /// in every match, and if segments are single rows, so does every other. `members`: the variables it names.
    pub(crate) fn in_every_match(&self, members: Option<&[bool]>, at: &RowPointer) -> Option<UInt32Array> {
        if !self.output.shows_whole_matches() || at.physical_offset != 0 {
            return None;
        }
        if let Some(stride) = self.set.single_rows() {
            let row = self.row_of_every_match(stride, members, at)?;
            let position = |index: u32| index * stride as u32 + row as u32;
            return Some(UInt32Array::from_iter_values(self.output.matches.iter().map(position)));
        }
        if at.logical_offset != 0 {
            return None;
        }
        let shape: Vec<Label> = self.set.shape().collect();
        let is_member = |label: &Label| members.is_none_or(|members| members[label.variable as usize]);
        let (segments, back) = match at.anchor {
            Anchor::First => (shape.iter().position(is_member)?, 0),
            Anchor::Last => (shape.iter().rposition(is_member)? + 1, 1),
        };
        let positions = self.set.positions_after(segments);
        Some(match &self.output.matches {
            Ordinals::All(_) => {
                positions.into_iter().map(|position| position - back).collect::<Vec<_>>().into()
            }
            Ordinals::Listed(indices) => {
                let position = |index: &u32| positions[*index as usize] - back;
                UInt32Array::from_iter_values(indices.iter().map(position))
            }
        })
    }

    /// The values of a column at what [`in_every_match`](Self::in_every_match) gives the positions of, if the output is of all
    /// matches and each of their segments is one row.
    pub(crate) fn read_in_every_match(
        &self,
        column: usize,
        members: Option<&[bool]>,
        at: &RowPointer,
    ) -> Result<Option<ArrayRef>, EngineError> {
        if !self.output.shows_whole_matches() || at.physical_offset != 0 {
            return Ok(None);
        }
        let (Some(stride), Ordinals::All(_)) = (self.set.single_rows(), &self.output.matches) else {
            return Ok(None);
        };
        let Some(row) = self.row_of_every_match(stride, members, at) else { return Ok(None) };
        Ok(Some(self.rows.gather_every(self.table, column, (row, stride))?))
    }

    /// Which row of every match a pointer leads to, where all have the same rows.
    fn row_of_every_match(&self, stride: usize, members: Option<&[bool]>, at: &RowPointer) -> Option<usize> {
        let shape: Vec<Label> = self.set.shape().collect();
        let is_member = |label: &Label| members.is_none_or(|members| members[label.variable as usize]);
        let mut rows = (0..stride).filter(|row| is_member(&shape[*row]));
        let inwards = at.logical_offset as usize;
        match at.anchor {
            Anchor::First => rows.nth(inwards),
            Anchor::Last => rows.rev().nth(inwards),
        }
    }

    /// A column that rows are partitioned by, read once a partition rather than once a match; `None` where that does not
    /// pay, or where values that are equal as keys need not be the same (`-0.0` and `0.0`).
    pub(crate) fn of_partitions(&self, column: usize) -> Result<Option<ArrayRef>, EngineError> {
        let partitions = self.rows.num_partitions();
        let data_type = self.table.schema().field(column).data_type();
        let plain = match data_type {
            DataType::Dictionary(_, values) => &**values,
            other => other,
        };
        let exact = plain.is_integer() || plain.is_temporal() || plain.is_string();
        if !self.output.shows_whole_matches() || !exact || 2 * partitions > self.output.len() {
            return Ok(None);
        }
        let firsts = (0..partitions).map(|partition| self.rows.partition(partition).start);
        let keys = self.read(column, &UInt32Array::from_iter_values(firsts))?;
        let mut partition_of = vec![0_u32; self.set.len()];
        for (partition, matches) in self.set.partitions().enumerate() {
            partition_of[matches].fill(partition as u32);
        }
        let partition_of = match &self.output.matches {
            Ordinals::All(_) => UInt32Array::from(partition_of),
            Ordinals::Listed(indices) => {
                UInt32Array::from_iter_values(indices.iter().map(|index| partition_of[*index as usize]))
            }
        };
        Ok(Some(arrow_select::take::take(&keys, &partition_of, None).map_err(EventError::from)?))
    }
}
