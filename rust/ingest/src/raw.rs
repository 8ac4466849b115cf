//! Objects as they come, before anything says what their fields mean: for mappers.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use crate::build::{Troubles, Values};
use crate::fault::{Code, Fault, IngestError, Trouble, shown};
use crate::keys::{KeyId, Map};
use crate::kind::Kind;
use crate::node::{ABSENT, Node, NodeId, Nodes};
use crate::read::{Limits, Reader, check_column, check_length, check_size, check_values, fault};
use crate::split::elements;

/// Most tables that the objects of a call become, if types of their fields differ.
const TABLES_MAX: usize = 64;

/// Objects whose fields have types that meet, as a table. Fields of objects in objects are named by their path, with dots.
#[derive(Clone, Debug)]
pub struct RawRows {
    /// The columns.
    pub batch: RecordBatch,
    /// Which of the call's objects they are, in order.
    pub rows: Vec<u32>,
}

/// Tables, what is no object, and the bytes of each element.
pub type RawTables = (Vec<RawRows>, Vec<Fault>, Vec<(usize, usize)>);

/// A table in the making.
#[derive(Default)]
struct Table {
    columns: Map<KeyId, usize>,
    kinds: Vec<(KeyId, Kind)>,
    rows: Vec<u32>,
    /// The values of each row.
    cells: Vec<Vec<(KeyId, NodeId)>>,
}

impl Reader {
    /// Reads a text as [`Reader::read`] does, but gives objects no meaning.
    ///
    /// # Errors
    /// As those of [`Reader::read`].
    pub fn read_raw(&self, text: &[u8], limits: &Limits) -> Result<RawTables, IngestError> {
        check_length(text)?;
        let (mut nodes, found) = elements(text);
        let spans = found.iter().map(|element| element.span).collect();
        let (mut tables, mut faults): (Vec<Table>, Vec<Fault>) = (Vec::new(), Vec::new());
        for (row, element) in found.into_iter().enumerate() {
            let taken = element.value.and_then(|root| {
                check_size(element.span, limits.payload_bytes_max)?;
                let mut cells = Vec::new();
                flatten(&mut nodes, root, None, &mut cells)?;
                add(&nodes, &mut tables, row as u32, cells, limits)
            });
            if let Err(trouble) = taken {
                faults.push(fault(row, element.span, trouble, None));
            }
        }
        let tables = tables.into_iter().map(|table| table.batch(&nodes)).collect::<Result<_, _>>()?;
        Ok((tables, faults, spans))
    }
}

/// The values of an object, those of objects in it under their paths.
fn flatten(
    nodes: &mut Nodes<'_>,
    object: NodeId,
    path: Option<&str>,
    cells: &mut Vec<(KeyId, NodeId)>,
) -> Result<(), Trouble> {
    let Node::Object { next, .. } = nodes.get(object) else {
        let reason = format!("an event is an object, not {}", nodes.describe(nodes.get(object)));
        return Err(Trouble::new(Code::NotObject, reason));
    };
    let mut at = object + 1;
    while at < next {
        let Node::Key(key) = nodes.get(at) else { unreachable!("a name stands in front of each value") };
        let value = at + 1;
        at = nodes.after(value);
        let own = path.map(|path| format!("{path}.{}", nodes.keys.name(key)));
        if let Node::Object { .. } = nodes.get(value) {
            let path = own.unwrap_or_else(|| nodes.keys.name(key).into());
            flatten(nodes, value, Some(&path), cells)?;
            continue;
        }
        let key = own.map_or(key, |own| nodes.keys.id(&own));
        cells.push((key, value));
    }
    Ok(())
}

/// Adds a row to the first table whose types meet its own.
fn add(
    nodes: &Nodes<'_>,
    tables: &mut Vec<Table>,
    row: u32,
    cells: Vec<(KeyId, NodeId)>,
    limits: &Limits,
) -> Result<(), Trouble> {
    let mut kinds: Map<KeyId, Option<Kind>> = Map::default();
    for (key, node) in &cells {
        let name = nodes.keys.name(*key);
        check_column(name)?;
        let kind = Kind::of(nodes, nodes.get(*node), false)?;
        if kinds.insert(*key, kind).is_some() {
            let reason = format!("two fields have the path `{}`", shown(name));
            return Err(Trouble::new(Code::DuplicateKey, reason));
        }
    }
    let too_many = || {
        let limit = limits.columns_max;
        Trouble::new(Code::TooManyColumns, format!("with it the table would have more than {limit} columns"))
    };
    let fits = |table: &Table| {
        let new = cells.iter().filter(|(key, _)| !table.columns.contains_key(key)).count();
        table.kinds.len() + new <= limits.columns_max
            && cells.iter().all(|(key, _)| match (table.columns.get(key), kinds[key]) {
                (Some(place), Some(kind)) => table.kinds[*place].1.with(kind).is_some(),
                _ => true,
            })
    };
    if cells.len() > limits.columns_max {
        return Err(too_many());
    }
    let place = match tables.iter().position(fits) {
        Some(place) => place,
        None if tables.len() < TABLES_MAX => {
            tables.push(Table::default());
            tables.len() - 1
        }
        None => {
            let reason = format!(
                "the types of its fields differ from those of {TABLES_MAX} kinds of objects before it"
            );
            return Err(Trouble::new(Code::FieldType, reason));
        }
    };
    let table = &mut tables[place];
    for (key, _) in &cells {
        // A field that is null everywhere has no type, and is left out.
        let Some(kind) = kinds[key] else { continue };
        let place = *table.columns.entry(*key).or_insert_with(|| {
            table.kinds.push((*key, kind));
            table.kinds.len() - 1
        });
        let known = &mut table.kinds[place].1;
        *known = known.with(kind).expect("it was found to fit");
    }
    table.rows.push(row);
    table.cells.push(cells);
    Ok(())
}

impl Table {
    fn batch(self, nodes: &Nodes<'_>) -> Result<RawRows, IngestError> {
        let count = self.rows.len();
        check_values(count, self.kinds.len(), nodes.text.len())?;
        let mut ids = vec![vec![ABSENT; count]; self.kinds.len()];
        for (row, cells) in self.cells.iter().enumerate() {
            for (key, node) in cells {
                if let Some(place) = self.columns.get(key) {
                    ids[*place][row] = *node;
                }
            }
        }
        let places: Vec<u32> = (0..count as u32).collect();
        let (mut fields, mut arrays): (Vec<_>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        for ((key, kind), ids) in self.kinds.iter().zip(&ids) {
            let name = nodes.keys.name(*key);
            let field = kind.field(name);
            let mut troubles = Troubles::new(count);
            arrays.push(Values { nodes, ids, rows: &places, path: name }.build(&field, &mut troubles)?);
            fields.push(field);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        Ok(RawRows { batch, rows: self.rows })
    }
}
