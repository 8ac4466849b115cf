//! A rule's pattern, bound to the merged columns of the topics that it reads.
//!
//! Each variable's conditions and references mean the columns of its own topic. Bound, they name columns of the one
//! schema that all topics share, and a variable with a topic asks for it as a first condition.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampNanosecondArray, UInt16Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use cepheid_event::{EventError, MergedSchema};
use cepheid_ir::{BinaryOp, ColumnName, Expr, Literal, Pattern, PatternNode, RowsPerMatch, SortKey};

use crate::error::EngineError;

/// Column that holds the number of a row's topic; no input column has such a name.
pub(crate) const TOPIC: &str = "\u{0}topic";
/// Column that holds event times where topics have no such column in common.
pub(crate) const TIME: &str = "\u{0}time";

/// Topics whose rows a pattern sees: those it names, or, if some variable names none, all.
pub(crate) fn topics_read(pattern: &Pattern) -> Option<Vec<String>> {
    let mut variables = pattern.root.variables().into_iter();
    variables.all(|variable| pattern.topic(variable).is_some()).then(|| topics_named(pattern))
}

/// Topics that a pattern names.
pub(crate) fn topics_named(pattern: &Pattern) -> Vec<String> {
    let mut topics: Vec<String> = vec![];
    for topic in pattern.root.variables().into_iter().filter_map(|variable| pattern.topic(variable)) {
        if !topics.iter().any(|known| known == topic) {
            topics.push(topic.to_owned());
        }
    }
    topics
}

/// The merged columns, each under a name of its own: what all patterns are bound to.
#[derive(Debug)]
pub(crate) struct BoundColumns {
    of: MergedSchema,
    /// Others that are known to be equal.
    like: OnceLock<Weak<Self>>,
    names: Vec<String>,
    /// The merged columns, then the topic and the time.
    schema: SchemaRef,
}

impl BoundColumns {
    pub(crate) fn new(columns: &MergedSchema) -> Self {
        let names = own_names(columns.schema());
        let mut fields: Vec<Arc<Field>> = columns
            .schema()
            .fields()
            .iter()
            .zip(&names)
            .map(|(field, name)| Arc::new(field.as_ref().clone().with_name(name)))
            .collect();
        fields.push(Arc::new(Field::new(TOPIC, DataType::UInt16, false)));
        fields.push(Arc::new(Field::new(TIME, DataType::Timestamp(TimeUnit::Nanosecond, None), false)));
        Self { of: columns.clone(), like: OnceLock::new(), names, schema: Arc::new(Schema::new(fields)) }
    }

    /// Whether they are still those of these columns.
    pub(crate) fn are_of(&self, columns: &MergedSchema) -> bool {
        Arc::ptr_eq(self.of.schema(), columns.schema())
    }

    /// Whether others are of the same topics, with the same columns.
    pub(crate) fn are_like(&self, others: &Arc<Self>) -> bool {
        let is_known = self.like.get().is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(others)));
        if is_known || std::ptr::eq(self, Arc::as_ptr(others)) {
            return true;
        }
        let same = self.of == others.of;
        if same {
            // Many rules were bound to one of them, as a rule.
            self.like.get_or_init(|| Arc::downgrade(others));
        }
        same
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Those of the [`BoundColumns`].
    pub(crate) schema: SchemaRef,
    /// Name of the column of event time.
    pub(crate) event_time: String,
    /// How many merged columns there were.
    pub(crate) merged: usize,
    /// Of merged columns, where rows are shown: the name that each has for who reads output; `None`: it is none of the topics
    /// read.
    shown: Vec<Option<String>>,
}

impl Binding {
    /// Binds a pattern, and gives it over the bound columns. `topics`: those it reads, `None` for all.
    ///
    /// # Errors
    /// [`EngineError::Event`] for columns that the topics do not have, or not as one.
    pub(crate) fn new(
        pattern: &Pattern,
        topics: Option<&[String]>,
        columns: &MergedSchema,
        bound_columns: &BoundColumns,
        event_time: &str,
    ) -> Result<(Self, Pattern), EngineError> {
        let names = &bound_columns.names;
        let binder = Binder { original: pattern, topics, columns, names };
        let mut bound = pattern.clone();
        for column in &mut bound.partition_by {
            *column = binder.shared(column)?;
        }
        let time = ColumnName::unquoted(event_time);
        let event_time = binder.shared(&time).map_or_else(|_| TIME.to_owned(), |column| column.name);
        // Rows come in order of time; ties by topic and arrival.
        let column = ColumnName { name: event_time.clone(), quoted: true };
        bound.order_by = vec![SortKey { column, descending: false, nulls_first: false }];
        for definition in &mut bound.define {
            binder.bind(&mut definition.condition, pattern.topic(&definition.variable))?;
        }
        binder.ask_for_topics(&mut bound)?;
        bind_untils(&mut bound.root, &binder)?;
        if let Some(having) = &mut bound.having {
            binder.bind(having, None)?;
        }
        let emitted = bound.emit_at.iter_mut().flat_map(|entry| &mut entry.measures);
        for measure in emitted.chain(&mut bound.measures) {
            binder.bind(&mut measure.value, None)?;
        }
        let schema = Arc::clone(&bound_columns.schema);
        let shown = if pattern.rows_per_match == RowsPerMatch::One { vec![] } else { binder.shown() };
        Ok((Self { schema, event_time, merged: names.len(), shown }, bound))
    }

    /// Binds a rule that asks its rows one by one, of one topic or of any, in the same way: its keys and expressions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn of_rows<'e>(
        topic: Option<&String>,
        partition_by: &mut [ColumnName],
        exprs: impl IntoIterator<Item = &'e mut Expr>,
        columns: &MergedSchema,
        bound_columns: &BoundColumns,
        event_time: &str,
    ) -> Result<Self, EngineError> {
        let names = &bound_columns.names;
        // It has no variables that could be of other topics.
        let original = Pattern::algebra(PatternNode::Variable(String::new()));
        let topics = topic.map(std::slice::from_ref);
        let binder = Binder { original: &original, topics, columns, names };
        for column in partition_by {
            // In rows of a topic that lacks it, it is NULL.
            let found = binder.column(topic.map(String::as_str), &column.name, column.quoted)?;
            let found = found.expect("the topics that it reads are known");
            *column = ColumnName { name: names[found].clone(), quoted: true };
        }
        let time = ColumnName::unquoted(event_time);
        let event_time = binder.shared(&time).map_or_else(|_| TIME.to_owned(), |column| column.name);
        exprs.into_iter().try_for_each(|expr| binder.bind(expr, topic.map(String::as_str)))?;
        let schema = Arc::clone(&bound_columns.schema);
        Ok(Self { schema, event_time, merged: names.len(), shown: vec![] })
    }

    /// Output without the columns that binding added, and without those of topics that are not read, all of which a pattern that
    /// shows all rows shows too: which there are depends on what has sent something. `is_own`: whether a column of a name is the
    /// pattern's own.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub(crate) fn without_added(
        &self,
        batch: RecordBatch,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<RecordBatch, EngineError> {
        let schema = batch.schema();
        let shown = |field: &FieldRef| {
            self.schema.index_of(field.name()).ok().and_then(|place| self.shown.get(place))
        };
        let stays = |(field, _): &(&FieldRef, &ArrayRef)| {
            ![TOPIC, TIME].contains(&field.name().as_str())
                && (!matches!(shown(field), Some(None)) || is_own(field.name()))
        };
        let kept: Vec<(&FieldRef, &ArrayRef)> =
            schema.fields().iter().zip(batch.columns()).filter(stays).collect();
        let is_free = |name: &str| kept.iter().all(|(field, _)| field.name() != name);
        let renamed = |(field, _): &(&FieldRef, &ArrayRef)| match shown(field) {
            Some(Some(name)) if is_free(name) => Arc::new(field.as_ref().clone().with_name(name)),
            _ => Arc::clone(field),
        };
        let fields: Vec<FieldRef> = kept.iter().map(renamed).collect();
        let columns: Vec<ArrayRef> = kept.iter().map(|(_, column)| Arc::clone(column)).collect();
        if columns.len() == schema.fields().len() && fields.iter().eq(schema.fields()) {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let shown = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        Ok(shown.map_err(EventError::from)?)
    }

    /// Rows of the merged schema as rows of the bound one.
    pub(crate) fn table_batch(
        &self,
        batch: &RecordBatch,
        topic: &ScalarBuffer<u16>,
        time: &ScalarBuffer<i64>,
    ) -> Result<RecordBatch, EngineError> {
        let mut arrays: Vec<ArrayRef> = batch.columns()[..self.merged].to_vec();
        arrays.push(Arc::new(UInt16Array::new(topic.clone(), None)));
        arrays.push(Arc::new(TimestampNanosecondArray::new(time.clone(), None)));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let bound = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        Ok(bound.map_err(EventError::from)?)
    }
}

/// Names that tell columns apart: of several of one name, the first keeps it.
fn own_names(schema: &Schema) -> Vec<String> {
    let mut taken: HashSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut seen = HashSet::new();
    let mut names = vec![];
    for field in schema.fields() {
        let mut name = field.name().clone();
        if !seen.insert(name.clone()) {
            let mut number = 2;
            while !taken.insert(format!("{name} ({}, {number})", field.data_type())) {
                number += 1;
            }
            name = format!("{name} ({}, {number})", field.data_type());
        }
        names.push(name);
    }
    names
}

fn bind_untils(node: &mut cepheid_ir::PatternNode, binder: &Binder<'_>) -> Result<(), EngineError> {
    if let cepheid_ir::PatternNode::Quantified { quantifier, .. } = node
        && let Some(until) = &mut quantifier.until
    {
        binder.bind(until, None)?;
    }
    node.children_mut().into_iter().try_for_each(|child| bind_untils(child, binder))
}

struct Binder<'a> {
    original: &'a Pattern,
    topics: Option<&'a [String]>,
    columns: &'a MergedSchema,
    names: &'a [String],
}

impl Binder<'_> {
    /// See [`Binding::shown`]: of two columns of one name each keeps the one that tells them apart.
    fn shown(&self) -> Vec<Option<String>> {
        let fields = self.columns.schema().fields();
        let mut is_read = vec![self.topics.is_none(); fields.len()];
        for topic in self.topics.into_iter().flatten() {
            let own = self.columns.topic(topic).and_then(|number| self.columns.topic_schema(number));
            for field in own.iter().flat_map(|schema| schema.fields()) {
                if let Ok(place) = self.columns.column(topic, field.name(), true) {
                    is_read[place] = true;
                }
            }
        }
        let alike = |name: &str| -> usize {
            fields.iter().zip(&is_read).filter(|(field, read)| **read && field.name() == name).count()
        };
        let shown = |(place, field): (usize, &FieldRef)| {
            let name = if alike(field.name()) > 1 { &self.names[place] } else { field.name() };
            is_read[place].then(|| name.clone())
        };
        fields.iter().enumerate().map(shown).collect()
    }

    /// Binds an expression whose bare columns are of `topic`, or of any.
    fn bind(&self, expr: &mut Expr, topic: Option<&str>) -> Result<(), EngineError> {
        match expr {
            Expr::Column { name, quoted, at } => {
                let topic = match &at.variable {
                    Some(variable) => self.topic_of(variable),
                    None => topic,
                };
                match self.column(topic, name, *quoted)? {
                    Some(column) => (*name, *quoted) = (self.names[column].clone(), true),
                    // Nothing has come of the topic yet, so no row of it can be meant.
                    None => *expr = Expr::Literal(Literal::Null),
                }
                Ok(())
            }
            Expr::Aggregate(aggregate) => {
                let topic = aggregate.variable.as_deref().and_then(|variable| self.topic_of(variable));
                aggregate.args.iter_mut().try_for_each(|arg| self.bind(arg, topic))
            }
            other => other.children_mut().into_iter().try_for_each(|child| self.bind(child, topic)),
        }
    }

    /// The topic that a variable's rows are of, or those of all variables that a subset unites.
    fn topic_of(&self, name: &str) -> Option<&str> {
        let members = self.original.members(name);
        let first = self.original.topic(members.first()?)?;
        members.iter().all(|variable| self.original.topic(variable) == Some(first)).then_some(first)
    }

    /// The merged column of a name; `None` if the topic's columns are not known yet.
    fn column(&self, topic: Option<&str>, name: &str, quoted: bool) -> Result<Option<usize>, EngineError> {
        if let Some(topic) = topic {
            return match self.columns.column(topic, name, quoted) {
                Ok(column) => Ok(Some(column)),
                Err(EventError::SchemaUnknown { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let Some(topics) = self.topics else { return Ok(Some(self.columns.any_topic(name, quoted)?)) };
        // Of several topics, all that have it must mean one column.
        let known: Vec<(String, SchemaRef)> = topics
            .iter()
            .filter_map(|topic| {
                let number = self.columns.topic(topic)?;
                Some((topic.clone(), Arc::clone(self.columns.topic_schema(number)?)))
            })
            .collect();
        let own = MergedSchema::new(&known)?;
        own.any_topic(name, quoted)?;
        for (topic, _) in &known {
            match self.columns.column(topic, name, quoted) {
                Ok(column) => return Ok(Some(column)),
                Err(EventError::UnknownColumn { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The column of a name that every topic has.
    fn shared(&self, column: &ColumnName) -> Result<ColumnName, EngineError> {
        let found = self.column(None, &column.name, column.quoted)?;
        for topic in self.columns.order() {
            let topic = self.columns.topic_name(*topic);
            if self.topics.is_none_or(|topics| topics.iter().any(|known| known == topic)) {
                self.columns.column(topic, &column.name, column.quoted)?;
            }
        }
        let name = found.map_or_else(|| column.name.clone(), |column| self.names[column].clone());
        Ok(ColumnName { name, quoted: true })
    }

    /// A variable with a topic takes rows of it only.
    fn ask_for_topics(&self, bound: &mut Pattern) -> Result<(), EngineError> {
        if self.topics.is_some_and(|topics| topics.len() == 1) {
            return Ok(());
        }
        for entry in &self.original.topics {
            let asked = match self.columns.topic(&entry.topic) {
                Some(number) if self.columns.topic_schema(number).is_some() => {
                    let column = Expr::Column { name: TOPIC.into(), quoted: true, at: Default::default() };
                    Expr::binary(BinaryOp::Equal, column, Expr::literal(i64::from(number)))
                }
                _ => Expr::literal(false),
            };
            let definition = bound.define.iter_mut().find(|known| known.variable == entry.variable);
            match definition {
                Some(definition) => {
                    let mut conjuncts = vec![asked];
                    match std::mem::replace(&mut definition.condition, Expr::Literal(Literal::Null)) {
                        Expr::And(more) => conjuncts.extend(more),
                        one => conjuncts.push(one),
                    }
                    definition.condition = Expr::And(conjuncts);
                }
                None => bound
                    .define
                    .push(cepheid_ir::Definition { variable: entry.variable.clone(), condition: asked }),
            }
        }
        Ok(())
    }
}
