//! The text of many events in, one batch of columns for each type out.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use arrow_select::filter::filter;

use crate::build::{Troubles, Values};
use crate::envelope::{self, Checked, name_fault};
use crate::fault::{Code, Fault, IngestError, Trouble, shown};
use crate::keys::{KeyId, Map};
use crate::kind::Kind;
use crate::known::{KnownType, Unknown};
use crate::node::{ABSENT, Node, NodeId, Nodes};
use crate::shape::{Cell, Shaper};
use crate::split::elements;

/// Most bytes of one call's text.
const TEXT_BYTES_MAX: usize = 256 << 20;
/// Most values, those that are missing included, of one call's events of one type: a gigabyte of numbers.
const VALUES_MAX: usize = 1 << 27;
/// Stands for no place.
const NO_PLACE: u32 = u32::MAX;

/// What is said of a call's events, besides what they say themselves.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// The type of all; `None`: each says its own.
    pub topic: Option<&'f str>,
    /// The source of those that say none.
    pub source: &'f str,
    /// The time of those that say none, in microseconds since 1970.
    pub received_us: i64,
    /// What the ids begin with of those that have none.
    pub id_prefix: &'f str,
}

/// Bounds of what is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of one event's text.
    pub payload_bytes_max: usize,
    /// Most columns of data that a type has, if what it does not know becomes columns.
    pub columns_max: usize,
}

/// Events of one type, and of one version of its schema.
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// The type.
    pub topic: String,
    /// The version of its schema, if it has one.
    pub version: Option<i32>,
    /// The envelope's columns, those that are known of the type, and new ones.
    pub batch: RecordBatch,
    /// Which of the call's events they are, in order.
    pub rows: Vec<u32>,
    /// How many columns, the last, are new.
    pub columns_new: usize,
}

/// What a text holds.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// Events, by type in the order in which types come first.
    pub batches: Vec<EventBatch>,
    /// What is no event, in the order of the text.
    pub faults: Vec<Fault>,
    /// The bytes of each of the call's events, those at fault included.
    pub spans: Vec<(usize, usize)>,
}

/// Reads events of types that may be known.
#[derive(Debug)]
pub struct Reader {
    types: Vec<KnownType>,
    /// By name, versions in the order in which they were given.
    by_name: Map<String, Vec<usize>>,
    limits: Limits,
}

/// Events that have one schema.
struct Group<'g> {
    topic: &'g str,
    known: Option<&'g KnownType>,
    events: Vec<Checked>,
}

impl Reader {
    /// Of several versions of a type the last one is that of events that say none.
    pub fn new(types: Vec<KnownType>, limits: Limits) -> Self {
        let mut by_name: Map<String, Vec<usize>> = Map::default();
        for (place, known) in types.iter().enumerate() {
            by_name.entry(known.name.clone()).or_default().push(place);
        }
        Self { types, by_name, limits }
    }

    /// Reads a text: an object, an array of objects, or lines of them.
    ///
    /// Time: O(bytes). Space: some times that. What is wrong with one event concerns no other.
    ///
    /// # Errors
    /// [`IngestError::TextTooLong`]; nothing has been read then.
    pub fn read(&self, text: &[u8], frame: &Frame<'_>) -> Result<Events, IngestError> {
        check_length(text)?;
        let (mut nodes, found) = elements(text);
        let bytes_each = frame.source.len() + frame.id_prefix.len() + 16;
        if found.len().saturating_mul(bytes_each) > i32::MAX as usize {
            return Err(IngestError::TextTooLong { bytes: text.len(), limit: TEXT_BYTES_MAX });
        }
        let mut shaper = Shaper::default();
        let mut out =
            Events { spans: found.iter().map(|element| element.span).collect(), ..Events::default() };
        let mut checked = Vec::with_capacity(found.len());
        for (row, element) in found.into_iter().enumerate() {
            let read = element.value.and_then(|root| {
                check_size(element.span, self.limits.payload_bytes_max)?;
                let event = shaper.event(&mut nodes, root)?;
                envelope::check(&nodes, event, row as u32)
            });
            match read {
                Ok(event) => checked.push(event),
                Err(trouble) => out.faults.push(fault(row, element.span, trouble, frame.topic)),
            }
        }
        let mut scratch = vec![NO_PLACE; nodes.keys.len()];
        for group in self.groups(&nodes, checked, frame, &mut out) {
            let columns = Columns { nodes: &nodes, cells: &shaper.cells, limits: self.limits, group: &group };
            if let Some(batch) = columns.batch(frame, &mut scratch, &mut out)? {
                out.batches.push(batch);
            }
        }
        out.faults.sort_by_key(|fault| fault.row);
        Ok(out)
    }

    /// Events by type and version, in the order in which these come first.
    fn groups<'g>(
        &'g self,
        nodes: &'g Nodes<'_>,
        events: Vec<Checked>,
        frame: &Frame<'g>,
        out: &mut Events,
    ) -> Vec<Group<'g>> {
        let mut groups: Vec<Group<'g>> = Vec::new();
        let mut places: Map<(&str, Option<i32>), usize> = Map::default();
        for event in events {
            let row = event.row as usize;
            let found = envelope::event_type(nodes, &event.event, frame.topic)
                .map_err(|trouble| (trouble, frame.topic))
                .and_then(|topic| {
                    let known = self.known(topic, event.version).map_err(|trouble| (trouble, Some(topic)))?;
                    Ok((topic, known))
                });
            match found {
                Err((trouble, topic)) => out.faults.push(fault(row, out.spans[row], trouble, topic)),
                Ok((topic, known)) => {
                    let version = known.and_then(|known| known.version);
                    let place = *places.entry((topic, version)).or_insert(groups.len());
                    if place == groups.len() {
                        groups.push(Group { topic, known, events: Vec::new() });
                    }
                    groups[place].events.push(event);
                }
            }
        }
        groups
    }

    /// What is known of a type in a version.
    fn known(&self, topic: &str, version: Option<i32>) -> Result<Option<&KnownType>, Trouble> {
        let Some(places) = self.by_name.get(topic) else { return Ok(None) };
        let newest = places.last().map(|place| &self.types[*place]);
        if newest.is_some_and(|known| known.version.is_none()) || version.is_none() {
            return Ok(newest);
        }
        let found = places.iter().map(|place| &self.types[*place]).find(|known| known.version == version);
        found.map(Some).ok_or_else(|| {
            let known: Vec<_> = places.iter().filter_map(|place| self.types[*place].version).collect();
            let version = version.unwrap_or_default();
            let reason = format!("`{topic}` has no version {version} of its schema (it has {known:?})");
            Trouble::new(Code::SchemaVersion, reason)
        })
    }
}

pub(crate) fn check_length(text: &[u8]) -> Result<(), IngestError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(IngestError::TextTooLong { bytes: text.len(), limit: TEXT_BYTES_MAX });
    }
    Ok(())
}

pub(crate) fn check_size((start, end): (usize, usize), limit: usize) -> Result<(), Trouble> {
    if end - start > limit {
        let reason = format!(
            "it has {} bytes, and an event may have {limit}; keep what is large elsewhere, and its place in the event",
            end - start
        );
        return Err(Trouble::new(Code::PayloadTooLarge, reason));
    }
    Ok(())
}

pub(crate) fn check_values(rows: usize, columns: usize, text: usize) -> Result<(), IngestError> {
    if rows.saturating_mul(columns) > VALUES_MAX {
        return Err(IngestError::TooManyValues { rows, columns, bytes: text });
    }
    Ok(())
}

pub(crate) fn fault(row: usize, span: (usize, usize), trouble: Trouble, topic: Option<&str>) -> Fault {
    Fault { row, span, code: trouble.code, reason: trouble.reason, topic: topic.map(Into::into) }
}

/// Columns of one group in the making.
struct Columns<'c, 't> {
    nodes: &'c Nodes<'t>,
    cells: &'c [Cell],
    limits: Limits,
    group: &'c Group<'c>,
}

/// A column that is new.
struct NewColumn {
    key: KeyId,
    kind: Kind,
    ids: Vec<NodeId>,
}

impl Columns<'_, '_> {
    fn batch(
        &self,
        frame: &Frame<'_>,
        scratch: &mut [u32],
        out: &mut Events,
    ) -> Result<Option<EventBatch>, IngestError> {
        let events = &self.group.events;
        let mut troubles = Troubles::new(events.len());
        let (mut columns, places) = self.known_columns(scratch, &mut troubles)?;
        let new = self.new_columns(scratch, &mut troubles);
        for key in places {
            scratch[key as usize] = NO_PLACE;
        }
        for column in new.iter().flatten() {
            scratch[column.key as usize] = NO_PLACE;
        }
        let new = new?;
        check_values(events.len(), columns.len() + new.len(), self.nodes.text.len())?;
        let kept: Vec<bool> = (0..events.len() as u32).map(|row| !troubles.has(row)).collect();
        if !troubles.is_empty() {
            let mask = BooleanArray::from(kept.clone());
            for column in &mut columns {
                *column = filter(column, &mask)?;
            }
        }
        let good: Vec<&Checked> =
            events.iter().zip(&kept).filter_map(|(event, kept)| kept.then_some(event)).collect();
        for (row, trouble) in troubles.take() {
            let row = events[row].row as usize;
            out.faults.push(fault(row, out.spans[row], trouble, Some(self.group.topic)));
        }
        if good.is_empty() {
            return Ok(None);
        }
        let mut fields = envelope::fields();
        let version = self.group.known.and_then(|known| known.version);
        let mut arrays = envelope::columns(self.nodes, &good, self.group.topic, version, frame);
        if let Some(known) = self.group.known {
            fields.extend(known.columns.fields().iter().cloned());
        }
        arrays.append(&mut columns);
        let rows: Vec<u32> = (0..good.len() as u32).collect();
        for column in &new {
            let name = self.nodes.keys.name(column.key);
            let field = column.kind.field(name);
            let mut none = Troubles::new(good.len());
            let ids: Vec<NodeId> =
                column.ids.iter().zip(&kept).filter_map(|(id, kept)| kept.then_some(*id)).collect();
            let values = Values { nodes: self.nodes, ids: &ids, rows: &rows, path: name };
            arrays.push(values.build(&field, &mut none)?);
            debug_assert!(none.is_empty(), "a kind was found that holds all values of `{name}`");
            fields.push(Arc::new(field));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(good.len()));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        Ok(Some(EventBatch {
            topic: self.group.topic.into(),
            version,
            batch,
            rows: good.iter().map(|event| event.row).collect(),
            columns_new: new.len(),
        }))
    }

    /// The columns that are known of the type, and their names' numbers, whose places are in `scratch` now.
    fn known_columns(
        &self,
        scratch: &mut [u32],
        troubles: &mut Troubles,
    ) -> Result<(Vec<ArrayRef>, Vec<KeyId>), IngestError> {
        let events = &self.group.events;
        let Some(known) = self.group.known else { return Ok((Vec::new(), Vec::new())) };
        let fields = known.columns.fields();
        check_values(events.len(), fields.len(), self.nodes.text.len())?;
        let mut places = Vec::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            if let Some(key) = self.nodes.keys.find(field.name()) {
                scratch[key as usize] = place as u32;
                places.push(key);
            }
        }
        let mut ids = vec![vec![ABSENT; events.len()]; fields.len()];
        for (row, event) in events.iter().enumerate() {
            for cell in &self.cells[event.event.cells.clone()] {
                let place = scratch[cell.column as usize];
                if place != NO_PLACE {
                    ids[place as usize][row] = cell.node;
                    let binary = cell.base64 && !is_binary(&fields[place as usize]);
                    if binary {
                        troubles.add(row as u32, || self.mismatch(cell, fields[place as usize].data_type()));
                    }
                } else if known.unknown == Unknown::Reject
                    && !cell.beside
                    && self.nodes.get(cell.node) != Node::Null
                {
                    troubles.add(row as u32, || self.unknown(cell.column, known));
                }
            }
        }
        let rows: Vec<u32> = (0..events.len() as u32).collect();
        let mut columns = Vec::with_capacity(fields.len());
        for (field, ids) in fields.iter().zip(&ids) {
            let values = Values { nodes: self.nodes, ids, rows: &rows, path: field.name() };
            columns.push(values.build(field, troubles)?);
            if !field.is_nullable() {
                for (row, id) in ids.iter().enumerate().filter(|(_, id)| self.nodes.get(**id) == Node::Null) {
                    let what = if *id == ABSENT { "is missing" } else { "is null" };
                    let reason = format!("`{}` {what}, which `{}` must have", field.name(), known.name);
                    troubles.add(row as u32, || Trouble::new(Code::MissingField, reason));
                }
            }
        }
        Ok((columns, places))
    }

    fn mismatch(&self, cell: &Cell, wanted: &arrow_schema::DataType) -> Trouble {
        let name = self.nodes.keys.name(cell.column);
        Trouble::new(Code::FieldType, format!("`{name}` is bytes in base64, which are no {wanted}"))
    }

    fn unknown(&self, column: KeyId, known: &KnownType) -> Trouble {
        let version = known.version.map(|version| format!(" (version {version})")).unwrap_or_default();
        let name = shown(self.nodes.keys.name(column));
        Trouble::new(Code::UnknownField, format!("`{}`{version} has no field `{name}`", known.name))
    }

    /// Columns that nobody has declared, of events that are good so far. An event adds all of its columns, or is at fault and
    /// adds none.
    fn new_columns(
        &self,
        scratch: &mut [u32],
        troubles: &mut Troubles,
    ) -> Result<Vec<NewColumn>, IngestError> {
        let known = self.group.known;
        let mut new: Vec<NewColumn> = Vec::new();
        if known.is_some_and(|known| known.unknown != Unknown::Keep) {
            return Ok(new);
        }
        let count = known.map_or(0, |known| known.columns.fields().len());
        let rows = self.group.events.len();
        let mut found: Vec<(&Cell, Kind)> = Vec::new();
        for (row, event) in self.group.events.iter().enumerate() {
            if troubles.has(row as u32) {
                continue;
            }
            found.clear();
            match self.fits(event, scratch, count, &new, &mut found) {
                Err(trouble) => troubles.add(row as u32, || trouble),
                Ok(()) => {
                    for (cell, kind) in &found {
                        let place = &mut scratch[cell.column as usize];
                        if *place == NO_PLACE {
                            *place = (count + new.len()) as u32;
                            if let Err(error) =
                                check_values(rows, count + new.len() + 1, self.nodes.text.len())
                            {
                                *place = NO_PLACE;
                                for column in &new {
                                    scratch[column.key as usize] = NO_PLACE;
                                }
                                return Err(error);
                            }
                            new.push(NewColumn { key: cell.column, kind: *kind, ids: vec![ABSENT; rows] });
                        }
                        let column = &mut new[scratch[cell.column as usize] as usize - count];
                        column.kind = *kind;
                        column.ids[row] = cell.node;
                    }
                }
            }
        }
        Ok(new)
    }

    /// The new values of an event, with the kinds that their columns have with them.
    fn fits<'f>(
        &'f self,
        event: &Checked,
        scratch: &[u32],
        count: usize,
        new: &[NewColumn],
        found: &mut Vec<(&'f Cell, Kind)>,
    ) -> Result<(), Trouble> {
        let mut columns = count + new.len();
        for cell in &self.cells[event.event.cells.clone()] {
            let place = scratch[cell.column as usize];
            if place != NO_PLACE && (place as usize) < count {
                continue;
            }
            let name = self.nodes.keys.name(cell.column);
            let kind = Kind::of(self.nodes, self.nodes.get(cell.node), cell.base64).map_err(|trouble| {
                Trouble::new(trouble.code, format!("`{}`: {}", shown(name), trouble.reason))
            })?;
            let Some(kind) = kind else { continue };
            let kind = if place == NO_PLACE {
                check_column(name)?;
                columns += 1;
                if columns > self.limits.columns_max {
                    let limit = self.limits.columns_max;
                    let reason = format!(
                        "with it the type would have more than {limit} columns; declare those it has"
                    );
                    return Err(Trouble::new(Code::TooManyColumns, reason));
                }
                kind
            } else {
                let before = new[place as usize - count].kind;
                before.with(kind).ok_or_else(|| {
                    let reason = format!(
                        "`{}` is {}, and was {} in the events before; declare what it is",
                        shown(name),
                        self.nodes.describe(self.nodes.get(cell.node)),
                        before.name()
                    );
                    Trouble::new(Code::FieldType, reason)
                })?
            };
            found.push((cell, kind));
        }
        Ok(())
    }
}

fn is_binary(field: &Field) -> bool {
    use arrow_schema::DataType::{Binary, BinaryView, LargeBinary};
    matches!(field.data_type(), Binary | LargeBinary | BinaryView)
}

/// Names that the store gives to its own columns.
const STORE_COLUMNS: [&str; 6] = ["_position", "_topic", "_row", "_stream", "_version", "_recorded"];

/// Whether a column can have a name.
pub(crate) fn check_column(name: &str) -> Result<(), Trouble> {
    let why =
        name_fault(name).or(STORE_COLUMNS.contains(&name).then_some("the store has a column of that name"));
    match why {
        Some(why) => {
            Err(Trouble::new(Code::FieldName, format!("a field cannot be named `{}`: {why}", shown(name))))
        }
        None => Ok(()),
    }
}
