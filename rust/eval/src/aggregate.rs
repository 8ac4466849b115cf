//! Aggregates with typed arguments, and the types they give.

use std::sync::Arc;

use arrow_schema::DataType;
use cepheid_ir::{Aggregate, AggregateFunction, Expr, Semantics, TestedRow};

use crate::accumulator::Accumulator;
use crate::display::expression_text;
use crate::fold::Fold;
use crate::running_aggregate::RunningAggregate;
use crate::typed::TypedExpr;
use crate::types::Class;

/// An aggregate with typed arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedAggregate {
    /// Which one.
    pub function: AggregateFunction,
    /// Evaluated on each aggregated row. Their leaves are columns and classifiers of that row (the default pointer)
    /// and the match number. Empty only for `COUNT(*)` and `COUNT(v.*)`.
    pub args: Vec<TypedExpr>,
    /// Equal arguments count once.
    pub distinct: bool,
    /// A variable or a subset; `None`: every row of the match.
    pub variable: Option<String>,
    /// Over the rows so far or the whole match.
    pub semantics: Semantics,
    /// Whether the row under test counts.
    pub tested_row: TestedRow,
    /// Type of the result.
    pub data_type: DataType,
}

impl TypedAggregate {
    /// An accumulator of no rows, whose rows can be taken back.
    pub fn accumulator(&self) -> Accumulator {
        Accumulator::new(self.fold(), self.distinct)
    }

    /// The aggregate of no rows, which only grows. Where many are needed, clone one: that costs next to nothing.
    pub fn running_aggregate(&self) -> RunningAggregate {
        RunningAggregate::new(self.fold(), self.distinct)
    }

    fn fold(&self) -> Fold {
        let class = self.args.first().map_or(Class::Null, |arg| Class::of(arg.data_type()));
        Fold::new(self.function, class, self.text().into())
    }

    /// The name of one that is the user's.
    pub fn user_defined_name(&self) -> Option<String> {
        let user_defined = self.function == AggregateFunction::UserDefined;
        user_defined.then(|| self.source().user_defined_name().unwrap_or_default().to_owned())
    }

    /// The aggregate in short, as errors name it.
    pub fn text(&self) -> String {
        expression_text(&Expr::Aggregate(self.source()))
    }

    fn source(&self) -> Aggregate {
        Aggregate {
            function: self.function,
            args: self.args.iter().map(|arg| arg.source().clone()).collect(),
            distinct: self.distinct,
            variable: self.variable.clone(),
            semantics: self.semantics,
            tested_row: self.tested_row,
        }
    }
}

/// The result type of `function` over an argument of `arg`; `None` if it takes no such argument.
pub(crate) fn result_type(function: AggregateFunction, args: &[&DataType]) -> Option<DataType> {
    use AggregateFunction::*;
    let class = args.first().map_or(Class::Null, |arg| Class::of(arg));
    let decoded = || args.first().map(|arg| crate::types::decoded(arg));
    match function {
        Count => Some(DataType::Int64),
        CountIf if matches!(class, Class::Boolean | Class::Null) => Some(DataType::Int64),
        Sum => match class {
            Class::Null | Class::Integer => Some(DataType::Int64),
            Class::Float => Some(DataType::Float64),
            Class::Decimal(scale) => Some(crate::types::decimal_type(scale)),
            Class::Duration(_) => decoded(),
            _ => None,
        },
        Avg => match class {
            Class::Null | Class::Integer | Class::Float => Some(DataType::Float64),
            Class::Decimal(scale) => Some(crate::types::decimal_type(scale)),
            Class::Duration(_) => decoded(),
            _ => None,
        },
        Min | Max if class.orders(class) => decoded(),
        ApproxNUnique if class == Class::Null || class.orders(class) => Some(DataType::Int64),
        StddevSamp | StddevPop | VarSamp | VarPop | Median | Quantile | Ewma | ApproxQuantile
            if class.is_number() || class == Class::Null =>
        {
            Some(DataType::Float64)
        }
        ArrayAgg | TopK | ApproxTopK => {
            let element = decoded()?;
            Some(DataType::List(Arc::new(arrow_schema::Field::new_list_field(element, true))))
        }
        UserDefined => args.last().map(|value| crate::types::decoded(value)),
        BoolAnd | BoolOr if matches!(class, Class::Boolean | Class::Null) => Some(DataType::Boolean),
        MinBy | MaxBy => {
            let by = Class::of(args.get(1)?);
            if by.orders(by) { decoded() } else { None }
        }
        _ => None,
    }
}
