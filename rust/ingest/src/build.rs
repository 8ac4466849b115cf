//! Values of JSON as an Arrow array of a type.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ListArray, StructArray, new_null_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};

use crate::decimal::unscaled;
use crate::fault::{Code, Trouble};
use crate::kind::is_json;
use crate::node::{ABSENT, Node, NodeId, Nodes};
use crate::number::{float, whole};
use crate::time::{full_date, moment};

/// What is wrong with rows, the first of each.
#[derive(Debug)]
pub(crate) struct Troubles {
    by_row: Vec<Option<Trouble>>,
    count: usize,
}

impl Troubles {
    pub(crate) fn new(rows: usize) -> Self {
        Self { by_row: vec![None; rows], count: 0 }
    }

    pub(crate) fn add(&mut self, row: u32, trouble: impl FnOnce() -> Trouble) {
        let slot = &mut self.by_row[row as usize];
        if slot.is_none() {
            *slot = Some(trouble());
            self.count += 1;
        }
    }

    pub(crate) fn has(&self, row: u32) -> bool {
        self.by_row[row as usize].is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What is wrong, by row.
    pub(crate) fn take(self) -> impl Iterator<Item = (usize, Trouble)> {
        self.by_row.into_iter().enumerate().filter_map(|(row, trouble)| Some((row, trouble?)))
    }
}

/// Values that become a column: each with the row whose it is, and the column's path for messages.
pub(crate) struct Values<'v, 't> {
    pub(crate) nodes: &'v Nodes<'t>,
    pub(crate) ids: &'v [NodeId],
    pub(crate) rows: &'v [u32],
    pub(crate) path: &'v str,
}

type Built = Result<ArrayRef, ArrowError>;

impl Values<'_, '_> {
    /// The column. A value that it cannot take is NULL in it, and its row in `troubles`.
    pub(crate) fn build(&self, field: &Field, troubles: &mut Troubles) -> Built {
        use DataType::*;
        if self.ids.iter().all(|id| *id == ABSENT) {
            return Ok(new_null_array(field.data_type(), self.ids.len()));
        }
        if is_json(field) && field.data_type() == &Utf8 {
            return Ok(self.json());
        }
        match field.data_type() {
            Boolean => Ok(self.booleans(troubles)),
            Int8 => Ok(self.integers::<Int8Type>(troubles)),
            Int16 => Ok(self.integers::<Int16Type>(troubles)),
            Int32 => Ok(self.integers::<Int32Type>(troubles)),
            Int64 => Ok(self.integers::<Int64Type>(troubles)),
            UInt8 => Ok(self.integers::<UInt8Type>(troubles)),
            UInt16 => Ok(self.integers::<UInt16Type>(troubles)),
            UInt32 => Ok(self.integers::<UInt32Type>(troubles)),
            UInt64 => Ok(self.integers::<UInt64Type>(troubles)),
            Float64 => {
                Ok(self.primitives::<Float64Type>("float64", troubles, |_, nodes, node| float(nodes, node)))
            }
            Float32 => Ok(self.primitives::<Float32Type>("float32", troubles, |_, nodes, node| {
                float(nodes, node).map(|value| value as f32).filter(|value| value.is_finite())
            })),
            Utf8 => Ok(self.texts(troubles)),
            LargeUtf8 | Utf8View => cast(&self.texts(troubles), field.data_type()),
            Binary => Ok(self.binaries(troubles)),
            LargeBinary | BinaryView => cast(&self.binaries(troubles), field.data_type()),
            Timestamp(unit, zone) => self.timestamps(*unit, zone.is_some(), field.data_type(), troubles),
            Date32 => Ok(self.dates(troubles)),
            Date64 => cast(&self.dates(troubles), &Date64),
            Decimal128(precision, scale) => self.decimals(*precision, *scale, troubles),
            Duration(_) => self.durations(field.data_type(), troubles),
            List(item) => self.list(item, troubles),
            LargeList(item) => cast(&self.list(item, troubles)?, field.data_type()),
            Struct(_) => self.structs(field, troubles),
            other => self.read_from_text(other, troubles),
        }
    }

    fn each(&self) -> impl Iterator<Item = (u32, Node)> {
        self.rows.iter().zip(self.ids).map(|(row, id)| (*row, self.nodes.get(*id)))
    }

    fn refuse(&self, troubles: &mut Troubles, row: u32, node: Node, wanted: &str) {
        troubles.add(row, || {
            let number = matches!(node, Node::Int(_) | Node::Number { .. });
            let code = if number && is_numeric(wanted) { Code::NumberRange } else { Code::FieldType };
            Trouble::new(
                code,
                format!("`{}` is {}, which is no {wanted}", self.path, self.nodes.describe(node)),
            )
        });
    }

    fn json(&self) -> ArrayRef {
        let mut built = StringBuilder::with_capacity(self.ids.len(), 0);
        let mut text = String::new();
        for id in self.ids {
            if self.nodes.get(*id) == Node::Null {
                built.append_null();
            } else {
                text.clear();
                self.nodes.write_json(*id, &mut text);
                built.append_value(&text);
            }
        }
        Arc::new(built.finish())
    }

    fn booleans(&self, troubles: &mut Troubles) -> ArrayRef {
        let mut built = BooleanBuilder::with_capacity(self.ids.len());
        for (row, node) in self.each() {
            match node {
                Node::Bool(value) => built.append_value(value),
                Node::Null => built.append_null(),
                _ => {
                    self.refuse(troubles, row, node, "bool");
                    built.append_null();
                }
            }
        }
        Arc::new(built.finish())
    }

    fn integers<T: ArrowPrimitiveType>(&self, troubles: &mut Troubles) -> ArrayRef
    where
        T::Native: TryFrom<i128>,
    {
        let name = T::DATA_TYPE.to_string().to_lowercase();
        self.primitives::<T>(&name, troubles, |_, nodes, node| T::Native::try_from(whole(nodes, node)?).ok())
    }

    fn primitives<T: ArrowPrimitiveType>(
        &self,
        wanted: &str,
        troubles: &mut Troubles,
        read: impl Fn(Option<&str>, &Nodes<'_>, Node) -> Option<T::Native>,
    ) -> ArrayRef {
        let mut built = PrimitiveBuilder::<T>::with_capacity(self.ids.len());
        for (row, node) in self.each() {
            if node == Node::Null {
                built.append_null();
                continue;
            }
            let value = read(self.nodes.text_of(node), self.nodes, node);
            if value.is_none() {
                self.refuse(troubles, row, node, wanted);
            }
            built.append_option(value);
        }
        Arc::new(built.finish())
    }

    fn texts(&self, troubles: &mut Troubles) -> ArrayRef {
        let mut built = StringBuilder::with_capacity(self.ids.len(), self.ids.len() * 8);
        for (row, node) in self.each() {
            match self.nodes.text_of(node) {
                Some(text) => built.append_value(text),
                None => {
                    if node != Node::Null {
                        self.refuse(troubles, row, node, "string");
                    }
                    built.append_null();
                }
            }
        }
        Arc::new(built.finish())
    }

    fn binaries(&self, troubles: &mut Troubles) -> ArrayRef {
        let mut built = BinaryBuilder::with_capacity(self.ids.len(), 0);
        for (row, node) in self.each() {
            let bytes = self.nodes.text_of(node).and_then(base64);
            if bytes.is_none() && node != Node::Null {
                self.refuse(troubles, row, node, "binary (text in base64)");
            }
            built.append_option(bytes);
        }
        Arc::new(built.finish())
    }

    fn timestamps(&self, unit: TimeUnit, zoned: bool, wanted: &DataType, troubles: &mut Troubles) -> Built {
        let (per_second, nanos_per) = match unit {
            TimeUnit::Second => (1, 1_000_000_000),
            TimeUnit::Millisecond => (1_000, 1_000_000),
            TimeUnit::Microsecond => (1_000_000, 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, 1),
        };
        let words = if zoned {
            "timestamp with an offset, as RFC 3339 has it"
        } else {
            "timestamp without an offset"
        };
        let counts = self.primitives::<Int64Type>(words, troubles, |text, _, _| {
            let (seconds, nanos) = moment(text?, zoned)?;
            seconds.checked_mul(per_second)?.checked_add(nanos / nanos_per)
        });
        cast(&counts, wanted)
    }

    fn dates(&self, troubles: &mut Troubles) -> ArrayRef {
        self.primitives::<Date32Type>("date", troubles, |text, _, _| {
            i32::try_from(full_date(text?.as_bytes())?).ok()
        })
    }

    /// Whole numbers of the type's unit, which is how durations go out.
    fn durations(&self, wanted: &DataType, troubles: &mut Troubles) -> Built {
        let counts = self.primitives::<Int64Type>("duration (a whole number)", troubles, |_, nodes, node| {
            i64::try_from(whole(nodes, node)?).ok()
        });
        cast(&counts, wanted)
    }

    fn decimals(&self, precision: u8, scale: i8, troubles: &mut Troubles) -> Built {
        let wanted = format!("decimal({precision},{scale})");
        let built = self.primitives::<Decimal128Type>(&wanted, troubles, |text, nodes, node| match node {
            Node::Int(value) => unscaled(&value.to_string(), precision, scale),
            Node::Number { start, end } => unscaled(nodes.slice(start, end), precision, scale),
            _ => unscaled(text?, precision, scale),
        });
        let data =
            built.to_data().into_builder().data_type(DataType::Decimal128(precision, scale)).build()?;
        Ok(arrow_array::make_array(data))
    }

    fn list(&self, item: &Arc<Field>, troubles: &mut Troubles) -> Built {
        let (mut ids, mut rows, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(self.ids.len()));
        let mut valid = Vec::with_capacity(self.ids.len());
        for (place, (row, node)) in self.each().enumerate() {
            let before = ids.len();
            match node {
                Node::Array { .. } => ids.extend(self.nodes.elements(self.ids[place])),
                Node::Null => {}
                _ => self.refuse(troubles, row, node, "list"),
            }
            valid.push(matches!(node, Node::Array { .. }));
            rows.resize(ids.len(), row);
            lengths.push(ids.len() - before);
        }
        let path = format!("{}[]", self.path);
        let values = Values { nodes: self.nodes, ids: &ids, rows: &rows, path: &path };
        let values = values.build(item, troubles)?;
        let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        let item = Arc::new(item.as_ref().clone().with_nullable(true));
        Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, nulls)?))
    }

    fn structs(&self, field: &Field, troubles: &mut Troubles) -> Built {
        let DataType::Struct(fields) = field.data_type() else { unreachable!("asked of structs alone") };
        let places: crate::keys::Map<_, _> = fields
            .iter()
            .enumerate()
            .filter_map(|(place, field)| Some((self.nodes.keys.find(field.name())?, place)))
            .collect();
        let mut ids = vec![vec![ABSENT; self.ids.len()]; fields.len()];
        let mut valid = Vec::with_capacity(self.ids.len());
        for (place, (row, node)) in self.each().enumerate() {
            let is_object = matches!(node, Node::Object { .. });
            if !is_object && node != Node::Null {
                self.refuse(troubles, row, node, "object");
            }
            for (key, value) in self.nodes.fields(self.ids[place]) {
                match places.get(&key) {
                    Some(child) => ids[*child][place] = value,
                    None => troubles.add(row, || {
                        let name = crate::fault::shown(self.nodes.keys.name(key));
                        let reason =
                            format!("`{}` has a field `{name}`, which its type does not have", self.path);
                        Trouble::new(Code::UnknownField, reason)
                    }),
                }
            }
            valid.push(is_object);
        }
        let mut columns = Vec::with_capacity(fields.len());
        for (field, ids) in fields.iter().zip(&ids) {
            let path = format!("{}.{}", self.path, field.name());
            columns.push(
                Values { nodes: self.nodes, ids, rows: self.rows, path: &path }.build(field, troubles)?,
            );
        }
        let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        if fields.is_empty() {
            return Ok(Arc::new(StructArray::new_empty_fields(self.ids.len(), nulls)));
        }
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?))
    }

    /// Of types that JSON has no numbers or words for: as their text.
    fn read_from_text(&self, wanted: &DataType, troubles: &mut Troubles) -> Built {
        if !can_cast_types(&DataType::Utf8, wanted) {
            for (row, node) in self.each().filter(|(_, node)| *node != Node::Null) {
                self.refuse(troubles, row, node, &format!("{wanted}, of which JSON has no form"));
            }
            return Ok(new_null_array(wanted, self.ids.len()));
        }
        let texts = self.texts(troubles);
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let built = cast_with_options(&texts, wanted, &options)?;
        for (place, (row, node)) in self.each().enumerate() {
            if built.is_null(place) && texts.is_valid(place) {
                self.refuse(troubles, row, node, &wanted.to_string());
            }
        }
        Ok(built)
    }
}

fn is_numeric(wanted: &str) -> bool {
    ["int", "uint", "float", "decimal"].iter().any(|kind| wanted.starts_with(kind))
}

/// Bytes of a text in base64, with padding.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.chunks_exact(4) {
        let mut bits = 0u32;
        for byte in four {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' => 0,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    // Padding stands at the end alone.
    if text[..text.len() - padding].contains(&b'=') {
        return None;
    }
    bytes.truncate(bytes.len() - padding);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_and_nothing_else() {
        let cases: [(&str, Option<&[u8]>); 9] = [
            ("", Some(b"")),
            ("aGVsbG8=", Some(b"hello")),
            ("aGVsbG8h", Some(b"hello!")),
            ("/+8=", Some(&[0xff, 0xef])),
            ("aGVsbG8", None),
            ("aG=sbG8=", None),
            ("====", None),
            ("aGVs bG8", None),
            ("é===", None),
        ];
        for (text, expected) in cases {
            assert_eq!(base64(text).as_deref(), expected, "{text}");
        }
    }
}
