//! Every case of `tests/conformance/cesql`: of one event, and as a filter of a batch with one row.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{Field, Schema};
use cepheid_cesql::{Attributes, Filter, Reading, Value, parse, unparse, whole};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    test: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    name: String,
    expression: String,
    #[serde(default)]
    event: BTreeMap<String, Plain>,
    value: Option<Plain>,
    #[serde(default)]
    errors: Vec<String>,
    syntax_error: Option<String>,
    /// Whether it is a case of the published kit.
    #[serde(default)]
    kit: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Plain {
    Boolean(bool),
    Integer(i64),
    String(String),
}

impl Plain {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Boolean(truth) => Value::Boolean(*truth),
            Self::Integer(number) => whole(*number),
            Self::String(text) => Value::String(text.into()),
        }
    }

    fn column(&self) -> ArrayRef {
        match self {
            Self::Boolean(truth) => Arc::new(BooleanArray::from(vec![*truth])),
            Self::Integer(number) => Arc::new(Int64Array::from(vec![*number])),
            Self::String(text) => Arc::new(StringArray::from(vec![&**text])),
        }
    }
}

struct Event<'e> {
    names: &'e [String],
    attributes: &'e BTreeMap<String, Plain>,
}

impl Attributes for Event<'_> {
    fn read(&self, place: usize) -> Reading<'_> {
        self.attributes
            .get(&self.names[place])
            .map_or(Reading::Missing, |plain| Reading::Value(plain.value()))
    }
}

#[test]
fn every_case_gives_the_value_and_the_errors_that_it_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/cesql");
    let (mut ran, mut of_the_kit) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let cases: Cases = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for case in cases.test {
            check(&case);
            ran += 1;
            of_the_kit += usize::from(case.kit);
        }
    }
    assert_eq!((ran, of_the_kit), (459, 282));
}

fn check(case: &Case) {
    let name = &case.name;
    if let Some(code) = &case.syntax_error {
        let error = parse(&case.expression).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
        return;
    }
    let mut event = case.event.clone();
    for (attribute, value) in [("id", "a-1"), ("source", "/shop"), ("type", "shop.order.created")] {
        event.entry(attribute.into()).or_insert_with(|| Plain::String(value.into()));
    }
    let expression = parse(&case.expression).unwrap_or_else(|error| panic!("{name}: {error}"));
    let row = Event { names: expression.attributes(), attributes: &event };
    let found = expression.evaluate(&row);
    let errors: Vec<_> = found.errors.iter().map(|error| error.kind.name()).collect();
    assert_eq!(errors, case.errors, "{name}");
    assert_eq!(found.value, case.value.as_ref().expect(name).value(), "{name}");

    let fields: Vec<_> = event
        .iter()
        .map(|(name, value)| Field::new(name, value.column().data_type().clone(), true))
        .collect();
    let batch = RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        event.values().map(Plain::column).collect(),
        &RecordBatchOptions::new(),
    )
    .unwrap();
    let mask = Filter::new(&expression).mask(&batch);
    assert_eq!(mask.errors, u64::from(!case.errors.is_empty()), "{name}");
    let passes = case.errors.is_empty() && found.value == Value::Boolean(true);
    assert_eq!(mask.selected, BooleanArray::from(vec![passes]), "{name}");

    let text = unparse(&expression);
    let again = parse(&text).unwrap_or_else(|error| panic!("{name}: {text}: {error}"));
    assert_eq!(again, expression, "{name}: {text}");
}
