//! What rules have found at a call, made into tables.
//!
//! The rows of all of it are gathered once, and what rules report alike is made at once and cut up: a thousand rules of one
//! template cost hardly more than one that finds as much.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use cepheid_event::{EventError, MergedBatch, MergedSchema, Table};
use cepheid_ir::RowsPerMatch;
use cepheid_matcher::sequence::{FoundKind, FoundSequence, FoundSequences};

use super::derived::{DerivedTable, Part};
use super::event_ids::{EventIds, IdOf, RowIds};
use super::history::History;
use super::rule::{Compiled, Rule};
use crate::error::EngineError;
use crate::matches::{MatchTable, RowLabels};
use crate::plan::Measures;
use crate::sequences::{FoundByPlan, derive_sequences};

/// Kinds of output that a rule is compared with, the last ones: rules of one template mostly come together.
const KINDS_COMPARED: usize = 4;

/// What one rule has found for one topic.
struct Section<'a> {
    rule: usize,
    topic: String,
    kind: FoundKind,
    compiled: &'a Compiled,
    all: &'a FoundSequences,
    entries: Vec<FoundSequence>,
}

impl Section<'_> {
    fn measures(&self) -> &Measures {
        let outputs = &self.compiled.plan.outputs;
        match self.kind {
            FoundKind::Emitted(index) => &outputs.emitted[index as usize],
            FoundKind::Match | FoundKind::Timeout => &outputs.measures,
        }
    }

    /// Whether the two are made in the same way, one row a match.
    fn is_like(&self, other: &Self) -> bool {
        let one_row = |section: &Self| section.compiled.plan.pattern().rows_per_match == RowsPerMatch::One;
        Arc::ptr_eq(&self.compiled.plan.outputs, &other.compiled.plan.outputs)
            && std::ptr::eq(self.measures(), other.measures())
            && one_row(self)
            && one_row(other)
    }

    fn num_rows(&self) -> usize {
        self.entries.iter().map(|entry| entry.end - entry.start).sum()
    }

    /// The ids of what is reported, row by row. An event that has several rows has its own and their numbers.
    fn ids(&self, rule: &Rule, ordinals: &[u64], rows: &RowIds, event_of: Option<&[u32]>) -> EventIds {
        let place = |ordinal: &u64| ordinals.binary_search(ordinal).expect("every row has been gathered");
        let automaton = rule.automaton();
        let of_entry = |entry: &FoundSequence| {
            let mut id = IdOf::new(rule.fingerprint(), &self.topic);
            id = match self.kind {
                FoundKind::Match => id,
                FoundKind::Timeout => id.and("timeout"),
                FoundKind::Emitted(place) => id.and("emit_at").and(&place.to_string()),
            };
            for (row, position) in self.all.rows_of(entry).iter().zip(self.all.places_of(entry)) {
                let variable = automaton.positions[*position as usize].variable;
                id = id.and(&automaton.variables[variable as usize]).and(rows.id(place(row)));
            }
            (id.text(), self.all.rows_of(entry).last().map(place))
        };
        let by_entry: Vec<(String, Option<usize>)> = self.entries.iter().map(of_entry).collect();
        let cause = |row: &Option<usize>| row.map(|row| (rows.id(row), rows.story(row)));
        let mut ids = EventIds::default();
        match event_of {
            None => by_entry.iter().for_each(|(id, row)| ids.push(id.clone(), cause(row))),
            Some(event_of) => {
                let mut last = (u32::MAX, 0);
                for event in event_of {
                    last = if last.0 == *event { (*event, last.1 + 1) } else { (*event, 0) };
                    // Rows of no match are refused of sequences.
                    let (id, row) = &by_entry[*event as usize];
                    ids.push(format!("{id}/{}", last.1), cause(row));
                }
            }
        }
        ids
    }

    fn into_part(self, table: DerivedTable, event_of: Option<Vec<u32>>) -> Part {
        let order = self.entries.iter().map(|entry| {
            let rows = self.all.rows_of(entry);
            (entry.moment, rows.last().copied(), rows.first().copied())
        });
        Part { order: order.collect(), topic: self.topic, rule: self.rule, table, event_of }
    }
}

/// What rules have found, rule by rule and topic by topic. `found`: by place among the rules, ascending.
///
/// # Errors
/// That of the first rule whose measures raise one, and what Arrow refuses.
pub(crate) fn derive(
    rules: &[Rule],
    found: &[(usize, FoundSequences)],
    columns: &MergedSchema,
    history: &History,
    topic_names: &[String],
    ids: bool,
) -> Result<Vec<Part>, EngineError> {
    let mut sections = vec![];
    for (place, all) in found {
        add_sections(&rules[*place], *place, all, &mut sections);
    }
    if sections.is_empty() {
        return Ok(vec![]);
    }
    let gathered = Gathered::new(&sections, columns, history, topic_names)?;
    let kinds = kinds_of(&sections);
    let tables = gathered.tables(&sections, &kinds).or_else(|error| {
        if kinds.len() == sections.len() {
            return Err(error);
        }
        // Some rule is at fault: the first is to be named.
        let alone: Vec<Vec<usize>> = (0..sections.len()).map(|section| vec![section]).collect();
        gathered.tables(&sections, &alone)
    })?;
    let mut parts = Vec::with_capacity(sections.len());
    let row_ids = ids.then(|| RowIds::of(&gathered.rows, columns));
    for (section, (mut table, event_of)) in sections.into_iter().zip(tables) {
        if let Some(row_ids) = &row_ids {
            let ids = section.ids(&rules[section.rule], &gathered.ordinals, row_ids, event_of.as_deref());
            table.batch = ids.add_to(&table.batch, |name| rules[section.rule].reports(name))?;
            table.part_of = None;
        }
        parts.push(section.into_part(table, event_of));
    }
    Ok(parts)
}

fn add_sections<'a>(rule: &'a Rule, place: usize, all: &'a FoundSequences, sections: &mut Vec<Section<'a>>) {
    let Some(compiled) = &rule.compiled else { return };
    let emitted = rule.pattern.emit_at.iter().enumerate();
    let emitted = emitted.map(|(index, entry)| (FoundKind::Emitted(index as u16), entry.topic.clone()));
    let timeouts = rule.pattern.timeouts.then(|| (FoundKind::Timeout, rule.emits_timeouts()));
    let own = (FoundKind::Match, rule.emits().to_owned());
    for (kind, topic) in std::iter::once(own).chain(timeouts).chain(emitted) {
        let entries: Vec<FoundSequence> =
            all.found.iter().filter(|entry| entry.kind == kind).copied().collect();
        if !entries.is_empty() {
            sections.push(Section { rule: place, topic, kind, compiled, all, entries });
        }
    }
}

/// Numbers of sections, those together that are made in the same way, in order of their firsts.
fn kinds_of(sections: &[Section<'_>]) -> Vec<Vec<usize>> {
    let mut kinds: Vec<Vec<usize>> = vec![];
    for (number, section) in sections.iter().enumerate() {
        let mut latest = kinds.iter_mut().rev().take(KINDS_COMPARED);
        match latest.find(|kind| sections[kind[0]].is_like(section)) {
            Some(kind) => kind.push(number),
            None => kinds.push(vec![number]),
        }
    }
    kinds
}

/// A table, and the event that each of its rows is of, as in [`Part`].
type Derived = (DerivedTable, Option<Vec<u32>>);

/// The rows of all that was found.
struct Gathered {
    ordinals: Vec<u64>,
    rows: MergedBatch,
    labels: Arc<RowLabels>,
    /// By the number of merged columns that rules know.
    tables: Vec<(usize, Table)>,
}

impl Gathered {
    fn new(
        sections: &[Section<'_>],
        columns: &MergedSchema,
        history: &History,
        topic_names: &[String],
    ) -> Result<Self, EngineError> {
        let rows_of = |section: &Section<'_>| -> Vec<u64> {
            section.entries.iter().flat_map(|entry| section.all.rows_of(entry)).copied().collect()
        };
        let mut ordinals: Vec<u64> = sections.iter().flat_map(rows_of).collect();
        ordinals.sort_unstable();
        ordinals.dedup();
        let rows = history.gather(columns, &ordinals)?;
        let mut tables: Vec<(usize, Table)> = vec![];
        for section in sections {
            let binding = &section.compiled.binding;
            if !tables.iter().any(|(merged, _)| *merged == binding.merged) {
                let batch = binding.table_batch(&rows.batch, &rows.topic, &rows.time)?;
                tables.push((binding.merged, Table::new(Arc::clone(&binding.schema), vec![batch])?));
            }
        }
        let labels = RowLabels {
            topics: topic_names.to_vec(),
            topic_of: rows.topic.to_vec(),
            arrival_of: rows.arrival.to_vec(),
        };
        Ok(Self { ordinals, rows, labels: Arc::new(labels), tables })
    }

    /// The table of each section.
    fn tables(&self, sections: &[Section<'_>], kinds: &[Vec<usize>]) -> Result<Vec<Derived>, EngineError> {
        let mut tables: Vec<Option<Derived>> = sections.iter().map(|_| None).collect();
        for kind in kinds {
            let own: Vec<&Section<'_>> = kind.iter().map(|number| &sections[*number]).collect();
            for (number, table) in kind.iter().zip(self.of_kind(&own)?) {
                tables[*number] = Some(table);
            }
        }
        Ok(tables.into_iter().map(|table| table.expect("every section is of a kind")).collect())
    }

    /// The tables of sections that are made in the same way.
    fn of_kind(&self, sections: &[&Section<'_>]) -> Result<Vec<Derived>, EngineError> {
        let merged = sections[0].compiled.binding.merged;
        let (_, table) =
            self.tables.iter().find(|(known, _)| *known == merged).expect("made of these sections");
        let by_plan: Vec<FoundByPlan<'_>> = sections
            .iter()
            .map(|section| FoundByPlan {
                plan: &section.compiled.plan,
                all: section.all,
                found: &section.entries,
            })
            .collect();
        let arrival =
            |ordinal: u64| self.ordinals.binary_search(&ordinal).expect("every row has been gathered") as u32;
        let labels = Some(Arc::clone(&self.labels));
        let matches = derive_sequences(&by_plan, sections[0].measures(), table, &arrival, labels, 1)?;
        let (event_of, membership) = (matches.row_events(), matches.membership()?);
        let MatchTable { batch, matches, .. } = matches;
        let membership = Some(membership);
        let batch = sections[0].compiled.shown(batch)?;
        let whole = DerivedTable::new(batch, membership, matches.len());
        if sections.len() == 1 {
            return Ok(vec![(whole, event_of)]);
        }
        let shown = Arc::new(whole.batch.clone());
        let (mut first, mut first_row) = (0, 0);
        let mut tables = Vec::with_capacity(sections.len());
        for section in sections {
            let (end, end_row) = (first + section.entries.len(), first_row + section.num_rows());
            tables.push((whole.cut(&shown, first..end, first_row..end_row)?, None));
            (first, first_row) = (end, end_row);
        }
        Ok(tables)
    }
}

impl DerivedTable {
    /// Some events, one row each, and the rows of their membership. `shown`: all of the events.
    fn cut(
        &self,
        shown: &Arc<RecordBatch>,
        events: Range<usize>,
        members: Range<usize>,
    ) -> Result<Self, EngineError> {
        let membership = self.membership.as_ref().expect("that of matches is kept");
        let membership = membership.slice(members.start, members.len());
        let mut columns = membership.columns().to_vec();
        let numbers = columns[0].as_primitive::<Int64Type>().values();
        let from = events.start as i64;
        columns[0] = Arc::new(Int64Array::from_iter_values(numbers.iter().map(|number| number - from)));
        let membership = Some(RecordBatch::try_new(membership.schema(), columns).map_err(EventError::from)?);
        let batch = self.batch.slice(events.start, events.len());
        let part_of = Some((Arc::clone(shown), events.start));
        Ok(Self { part_of, ..Self::new(batch, membership, events.len()) })
    }
}
