//! A pattern compiled against a schema: everything that can be settled before a row is read.

use arrow_schema::Schema;
use cepheid_eval::TypedExpr;
use cepheid_event::{OrderKey, resolve_column};
use cepheid_ir::{ColumnName, OutputColumns, Pattern, PatternError, SortKey};
use cepheid_matcher::{Matcher, Strategy};

use crate::error::EngineError;

/// How a batch is to be matched.
#[derive(Clone, Debug, Default)]
pub struct MatchOptions {
    /// Column that holds the event time, where the pattern itself names no order.
    pub event_time: Option<String>,
    /// Most search steps from one start row before [`cepheid_matcher::MatchError::StepLimit`], on top of 64 a row of
    /// the partition; half a million by default. Only backtracking counts steps.
    pub step_limit: Option<u64>,
    /// Only this strategy may run; for tests and comparisons.
    pub strategy: Option<Strategy>,
    /// Asked every few milliseconds by searches that may take long; `true` ends them with
    /// [`cepheid_matcher::MatchError::Interrupted`].
    pub interrupted: Option<fn() -> bool>,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    pub(crate) matcher: Matcher,
    pub(crate) partition_by: Vec<usize>,
    pub(crate) order_by: Vec<OrderKey>,
    /// The column of `match_start` and `match_end`.
    pub(crate) event_time: Option<usize>,
    pub(crate) measures: Vec<(String, TypedExpr)>,
}

impl Plan {
    /// Validates and compiles.
    ///
    /// # Errors
    /// [`EngineError`] for whatever in the pattern cannot be, or does not fit the schema.
    pub fn new(pattern: &Pattern, schema: &Schema, options: &MatchOptions) -> Result<Self, EngineError> {
        let mut pattern = pattern.clone();
        if let Some(event_time) = &options.event_time
            && pattern.order_by.is_empty()
        {
            let column = ColumnName::unquoted(event_time.as_str());
            pattern.order_by.push(SortKey { column, descending: false, nulls_first: false });
        }
        pattern.validate()?;
        let pattern = pattern.normalise();
        let column = |name: &ColumnName| resolve_column(schema, &name.name, name.quoted);
        let partition_by = pattern.partition_by.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let order_by = pattern
            .order_by
            .iter()
            .map(|key| {
                let SortKey { descending, nulls_first, .. } = *key;
                Ok(OrderKey { column: column(&key.column)?, descending, nulls_first })
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let event_time = match &options.event_time {
            Some(name) => Some(resolve_column(schema, name, false)?),
            None => order_by.first().map(|key| key.column),
        };
        let measures = pattern
            .measures
            .iter()
            .map(|measure| {
                let compiled = TypedExpr::compile(&measure.value, schema);
                let context = format!("measure `{}`", measure.name);
                Ok((measure.name.clone(), compiled.map_err(EngineError::in_context(context))?))
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let plan = Self {
            matcher: Matcher::compile(&pattern, schema)?,
            partition_by,
            order_by,
            event_time,
            measures,
        };
        plan.output_names(schema)?;
        Ok(plan)
    }

    /// The pattern, in its normal spelling.
    pub fn pattern(&self) -> &Pattern {
        self.matcher.pattern()
    }

    /// The matcher.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// Names of the output columns before the measures; a measure may not take one of them.
    fn output_names(&self, schema: &Schema) -> Result<(), EngineError> {
        if self.pattern().output == OutputColumns::Standard {
            return Ok(());
        }
        let mut taken: Vec<&str> = vec!["match_number", "match_start", "match_end"];
        taken.extend(self.partition_by.iter().map(|column| schema.field(*column).name().as_str()));
        match self.measures.iter().find(|(name, _)| taken.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(EngineError::Pattern(PatternError::MeasureNameTaken { name: name.clone() }))
            }
            None => Ok(()),
        }
    }
}
