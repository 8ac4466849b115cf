//! From an expression to a typed tree: types are inferred and checked, leaves numbered, constants folded.

use std::sync::Arc;

use arrow_array::timezone::Tz;
use arrow_schema::{DataType, IntervalUnit, Schema, TimeUnit};
use cepheid_event::table::resolve_column;
use cepheid_ir::{Aggregate, BinaryOp, CaseBranch, Expr, Function, RowPointer, limits::EXPR_DEPTH_MAX};

use crate::adapt::{adapt_pair, coarsen_span, make_comparable, unify, widen_date};
use crate::aggregate::{TypedAggregate, result_type};
use crate::cast::{self, CastTarget};
use crate::decimal;
use crate::display::{Text, expression_text};
use crate::error::{EvalError, Fault};
use crate::function::like::LikePattern;
use crate::leaf::Leaf;
use crate::literal;
use crate::row;
use crate::typed::{ConstantSet, Kind, LikeSource, Node, Reads, TypedExpr};
use crate::types::{Class, computed, decimal_type, decoded, equates};
use crate::value::Value;
use crate::whole_number::whole_number;

/// See [`TypedExpr::compile`].
pub(crate) fn compile(expr: &Arc<Expr>, schema: &Schema) -> Result<(Node, Vec<Leaf>), EvalError> {
    let mut compiler = Compiler { schema, whole: expr, leaves: Vec::new(), depth: 0 };
    let root = compiler.node(expr)?;
    Ok((root, compiler.leaves))
}

/// # Errors
/// [`EvalError::TypeMismatch`] if the node is not boolean.
pub(crate) fn expect_condition(node: &Node) -> Result<(), EvalError> {
    expect(&node.text, "a condition must be boolean", &[node], |class| class == Class::Boolean)
}

/// An operand that meets several others meets each of them twice: what it becomes at the last, as a date becomes a
/// timestamp, the first has to follow.
const MEETINGS: usize = 2;

pub(crate) struct Compiler<'a> {
    pub(crate) schema: &'a Schema,
    /// The expression that all of it is of.
    whole: &'a Arc<Expr>,
    leaves: Vec<Leaf>,
    depth: usize,
}

/// A type mismatch: what the expression takes, and what it got.
pub(crate) fn mismatch(text: &Text, expected: impl Into<String>, operands: &[&Node]) -> EvalError {
    let found = operands.iter().map(|node| (node.text.to_string(), node.data_type.to_string())).collect();
    EvalError::TypeMismatch { expression: text.to_string(), expected: expected.into(), found }
}

/// Checks that every operand is of a class that fits; NULL always does.
pub(crate) fn expect(
    text: &Text,
    expected: &str,
    operands: &[&Node],
    fits: impl Fn(Class) -> bool,
) -> Result<(), EvalError> {
    let wrong: Vec<&Node> = operands
        .iter()
        .copied()
        .filter(|node| {
            let class = Class::of(&node.data_type);
            class != Class::Null && !fits(class)
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(mismatch(text, expected, &wrong)) }
}

/// A fault in a constant, found while compiling.
pub(crate) fn constant_fault(fault: Fault, text: &Text) -> EvalError {
    match fault {
        Fault::Regex { pattern, reason } => {
            EvalError::InvalidRegex { expression: text.to_string().into(), pattern, reason, from_data: false }
        }
        Fault::Argument(reason) => EvalError::InvalidCall { expression: text.to_string(), reason },
        other => other.within(text),
    }
}

/// The zone of a timestamp operand, which must be one that is known.
pub(crate) fn zone_of(node: &Node) -> Result<Option<Tz>, EvalError> {
    let DataType::Timestamp(_, Some(zone)) = decoded(&node.data_type) else { return Ok(None) };
    match zone.parse() {
        Ok(zone) => Ok(Some(zone)),
        Err(_) => Err(mismatch(&node.text, format!("`{zone}` is not a known time zone"), &[node])),
    }
}

/// A finished node; folded to its value if it reads nothing and raises nothing.
pub(crate) fn finish(kind: Kind, data_type: DataType, text: Text) -> Node {
    let reads = match kind {
        Kind::Slot(index) => Reads::One(index),
        _ => kind.operands().iter().fold(Reads::Nothing, |reads, node| reads.and(node.reads)),
    };
    let mut node = Node { kind, data_type, reads, text, is_literal: false };
    if reads == Reads::Nothing
        && !matches!(node.kind, Kind::Constant(_))
        && let Ok(value) = row::evaluate(&node, &mut |_: usize| Ok(Value::Null))
    {
        node.kind = Kind::Constant(value);
    }
    node
}

impl Compiler<'_> {
    pub(crate) fn node(&mut self, expr: &Expr) -> Result<Node, EvalError> {
        if self.depth == EXPR_DEPTH_MAX {
            return Err(EvalError::InvalidCall {
                expression: expression_text(expr),
                reason: format!("the expression nests deeper than {EXPR_DEPTH_MAX} levels"),
            });
        }
        self.depth += 1;
        let node = self.node_at_depth(expr);
        self.depth -= 1;
        node
    }

    fn node_at_depth(&mut self, expr: &Expr) -> Result<Node, EvalError> {
        let text = Text::of(self.whole, expr);
        match expr {
            Expr::Literal(literal) => {
                let (value, data_type) = literal::value_of(literal);
                Ok(Node { is_literal: true, ..finish(Kind::Constant(value), data_type, text) })
            }
            Expr::Column { name, quoted, at } => {
                let leaf = self.column(name, *quoted, at, &text)?;
                Ok(self.slot(leaf, text))
            }
            Expr::Classifier { at } => Ok(self.slot(Leaf::Classifier { at: at.clone() }, text)),
            Expr::MatchNumber => Ok(self.slot(Leaf::MatchNumber, text)),
            Expr::Aggregate(aggregate) => {
                let aggregate = self.aggregate(aggregate, &text)?;
                Ok(self.slot(Leaf::Aggregate(aggregate), text))
            }
            Expr::Negate(operand) => self.negation(operand, text),
            Expr::Binary { op, left, right } => {
                match whole_number(*op, left, right, EXPR_DEPTH_MAX - self.depth) {
                    Some(value) => Ok(finish(Kind::Constant(Value::Integer(value)), DataType::Int64, text)),
                    None => self.binary(*op, left, right, text),
                }
            }
            Expr::And(operands) => self.junction(operands, Kind::And, text),
            Expr::Or(operands) => self.junction(operands, Kind::Or, text),
            Expr::Not(operand) => self.not(operand, text),
            Expr::IsNull(operand) => {
                let operand = self.boxed(operand)?;
                Ok(finish(Kind::IsNull(operand), DataType::Boolean, text))
            }
            Expr::In { operand, list } => self.membership(operand, list, text),
            Expr::Between { operand, low, high } => self.between(operand, low, high, text),
            Expr::Like { operand, pattern, escape } => self.like(operand, pattern, *escape, text),
            Expr::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), text),
            Expr::Cast { operand, to, lenient } => {
                let operand = self.boxed(operand)?;
                cast_node(*operand, *to, *lenient, text)
            }
            Expr::Call { function, args } => self.call(*function, args, text),
        }
    }

    /// On the heap, so that deep expressions need little stack.
    fn boxed(&mut self, expr: &Expr) -> Result<Box<Node>, EvalError> {
        self.node(expr).map(Box::new)
    }

    fn all(&mut self, exprs: &[Expr]) -> Result<Vec<Node>, EvalError> {
        let mut nodes = Vec::with_capacity(exprs.len());
        for expr in exprs {
            nodes.push(self.node(expr)?);
        }
        Ok(nodes)
    }

    #[inline(never)]
    fn column(&self, name: &str, quoted: bool, at: &RowPointer, text: &Text) -> Result<Leaf, EvalError> {
        let index = resolve_column(self.schema, name, quoted)
            .map_err(|source| EvalError::Column { expression: text.to_string(), source })?;
        Ok(Leaf::Column { index, at: at.clone(), data_type: self.schema.field(index).data_type().clone() })
    }

    #[inline(never)]
    fn negation(&mut self, operand: &Expr, text: Text) -> Result<Node, EvalError> {
        let operand = self.boxed(operand)?;
        expect(&text, "negation takes a number or a span of time", &[&operand], |class| {
            class.is_number() || class.is_span()
        })?;
        let data_type = match Class::of(&operand.data_type) {
            Class::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            _ => computed(&operand.data_type),
        };
        // `-1.5` is as much a literal as `1.5`, unless the minus overflows.
        let is_literal = operand.is_literal;
        let node = finish(Kind::Negate(operand), data_type, text);
        Ok(Node { is_literal: is_literal && matches!(node.kind, Kind::Constant(_)), ..node })
    }

    #[inline(never)]
    fn not(&mut self, operand: &Expr, text: Text) -> Result<Node, EvalError> {
        let operand = self.boxed(operand)?;
        expect(&text, "NOT takes a condition", &[&operand], |class| class == Class::Boolean)?;
        Ok(finish(Kind::Not(operand), DataType::Boolean, text))
    }

    #[inline(never)]
    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, text: Text) -> Result<Node, EvalError> {
        let left = self.boxed(left)?;
        let right = self.boxed(right)?;
        binary(op, *left, *right, text)
    }

    #[inline(never)]
    fn between(&mut self, operand: &Expr, low: &Expr, high: &Expr, text: Text) -> Result<Node, EvalError> {
        let mut operand = self.boxed(operand)?;
        let mut low = self.boxed(low)?;
        let mut high = self.boxed(high)?;
        for _ in 0..MEETINGS {
            make_comparable(&mut operand, &mut low, &text)?;
            make_comparable(&mut operand, &mut high, &text)?;
        }
        for bound in [&low, &high] {
            if !Class::of(&operand.data_type).orders(Class::of(&bound.data_type)) {
                return Err(mismatch(&text, "BETWEEN takes values that have an order", &[&operand, bound]));
            }
        }
        Ok(finish(Kind::Between(Box::new([*operand, *low, *high])), DataType::Boolean, text))
    }

    #[inline(never)]
    fn like(
        &mut self,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<char>,
        text: Text,
    ) -> Result<Node, EvalError> {
        let operand = self.boxed(operand)?;
        let pattern = self.boxed(pattern)?;
        expect(&text, "LIKE takes strings", &[&operand, &pattern], |class| class == Class::String)?;
        let pattern = if let Kind::Constant(Value::String(pattern)) = &pattern.kind {
            LikeSource::Constant(
                LikePattern::new(pattern, escape).map_err(|fault| constant_fault(fault, &text))?,
            )
        } else {
            LikeSource::Dynamic { pattern, escape }
        };
        Ok(finish(Kind::Like { operand, pattern }, DataType::Boolean, text))
    }

    #[inline(never)]
    fn case(
        &mut self,
        branches: &[CaseBranch],
        otherwise: Option<&Expr>,
        text: Text,
    ) -> Result<Node, EvalError> {
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for branch in branches {
            conditions.push(self.node(&branch.when)?);
            results.push(self.node(&branch.then)?);
        }
        expect(&text, "WHEN takes a condition", &conditions.iter().collect::<Vec<_>>(), |class| {
            class == Class::Boolean
        })?;
        if let Some(otherwise) = otherwise {
            results.push(self.node(otherwise)?);
        }
        let data_type = unify(&mut results, &text, "the results of CASE must be of one type")?;
        let otherwise = if otherwise.is_some() { results.pop().map(Box::new) } else { None };
        let branches = conditions.into_iter().zip(results).collect();
        Ok(finish(Kind::Case { branches, otherwise }, data_type, text))
    }

    #[inline(never)]
    fn call(&mut self, function: Function, args: &[Expr], text: Text) -> Result<Node, EvalError> {
        let args = self.all(args)?;
        crate::compile_call::call(function, args, text)
    }

    fn slot(&mut self, leaf: Leaf, text: Text) -> Node {
        let data_type = leaf.data_type();
        let index = self.leaves.iter().position(|known| *known == leaf).unwrap_or_else(|| {
            self.leaves.push(leaf);
            self.leaves.len() - 1
        });
        finish(Kind::Slot(index), data_type, text)
    }

    fn aggregate(&mut self, aggregate: &Aggregate, text: &Text) -> Result<TypedAggregate, EvalError> {
        let (least, most) = aggregate.function.arity();
        if aggregate.args.len() < least || aggregate.args.len() > most {
            return Err(EvalError::InvalidCall {
                expression: text.to_string(),
                reason: crate::compile_call::arity_reason(aggregate.function.name(), least, most),
            });
        }
        let args = aggregate
            .args
            .iter()
            .map(|arg| TypedExpr::compile(arg, self.schema))
            .collect::<Result<Vec<_>, _>>()?;
        let types: Vec<&DataType> = args.iter().map(TypedExpr::data_type).collect();
        let data_type = result_type(aggregate.function, &types).ok_or_else(|| EvalError::TypeMismatch {
            expression: text.to_string(),
            expected: format!("{} does not take such an argument", aggregate.function.name().to_uppercase()),
            found: args
                .iter()
                .map(|arg| (expression_text(arg.source()), arg.data_type().to_string()))
                .collect(),
        })?;
        Ok(TypedAggregate {
            function: aggregate.function,
            args,
            distinct: aggregate.distinct,
            variable: aggregate.variable.clone(),
            semantics: aggregate.semantics,
            tested_row: aggregate.tested_row,
            data_type,
        })
    }

    fn junction(
        &mut self,
        operands: &[Expr],
        kind: impl Fn(Vec<Node>) -> Kind,
        text: Text,
    ) -> Result<Node, EvalError> {
        let operands = self.all(operands)?;
        expect(&text, "AND and OR take conditions", &operands.iter().collect::<Vec<_>>(), |class| {
            class == Class::Boolean
        })?;
        Ok(finish(kind(operands), DataType::Boolean, text))
    }

    fn membership(&mut self, operand: &Expr, list: &[Expr], text: Text) -> Result<Node, EvalError> {
        let mut operand = self.boxed(operand)?;
        let mut list = self.all(list)?;
        for _ in 0..MEETINGS {
            for element in &mut list {
                make_comparable(&mut operand, element, &text)?;
            }
        }
        for element in &list {
            if !equates(&operand.data_type, &element.data_type) {
                return Err(mismatch(
                    &text,
                    "IN takes values that compare with each other",
                    &[&operand, element],
                ));
            }
        }
        let constants = constant_set(Class::of(&operand.data_type), &list).map(Arc::new);
        Ok(finish(Kind::In { operand, list, constants }, DataType::Boolean, text))
    }
}

/// The list as a set, if its values are constants whose `==` is the operand's `=`.
fn constant_set(operand: Class, list: &[Node]) -> Option<ConstantSet> {
    let mut set = ConstantSet { values: Default::default(), has_null: false };
    for node in list {
        let Kind::Constant(value) = &node.kind else { return None };
        let value = match (operand, value) {
            (_, Value::Null) => {
                set.has_null = true;
                continue;
            }
            (Class::Integer, Value::Integer(_) | Value::Unsigned(_))
            | (Class::String, Value::String(_))
            | (Class::Boolean, Value::Boolean(_))
            | (Class::Date, Value::Date(_))
            | (Class::Time, Value::Time(_))
            | (Class::Timestamp { .. }, Value::Timestamp { .. })
            | (Class::Duration(_), Value::Duration { .. })
            | (Class::Decimal(_), Value::Decimal { .. }) => value.clone(),
            (Class::Float, value) => Value::Float(value.as_float()?),
            (Class::Decimal(_), Value::Integer(value)) => {
                Value::Decimal { unscaled: (*value).into(), scale: 0 }
            }
            _ => return None,
        };
        set.values.insert(value);
    }
    Some(set)
}

/// `CAST(operand AS to)`.
pub(crate) fn cast_node(
    operand: Node,
    to: cepheid_ir::DataType,
    lenient: bool,
    text: Text,
) -> Result<Node, EvalError> {
    if !cast::convertible(Class::of(&operand.data_type), to) {
        return Err(mismatch(&text, format!("there is no conversion to {}", to.sql_name()), &[&operand]));
    }
    if let cepheid_ir::DataType::Decimal { precision, scale } = to
        && !(1..=decimal::DIGITS_MAX).contains(&precision)
            | (scale < 0)
            | (i16::from(scale) > i16::from(precision))
    {
        return Err(EvalError::InvalidCall {
            expression: text.to_string(),
            reason: "a decimal has 1 to 38 digits, of which 0 to all stand after the point".into(),
        });
    }
    let target = CastTarget { to, zone: zone_of(&operand)? };
    Ok(finish(Kind::Cast { operand: Box::new(operand), target, lenient }, cast::arrow_type(to), text))
}

fn binary(op: BinaryOp, mut left: Node, mut right: Node, text: Text) -> Result<Node, EvalError> {
    if op == BinaryOp::Concat {
        return crate::compile_call::call(Function::Concat, vec![left, right], text);
    }
    if op.is_comparison() {
        make_comparable(&mut left, &mut right, &text)?;
        let equality = matches!(op, BinaryOp::Equal | BinaryOp::NotEqual | BinaryOp::IsDistinctFrom);
        let defined = if equality {
            equates(&left.data_type, &right.data_type)
        } else {
            Class::of(&left.data_type).orders(Class::of(&right.data_type))
        };
        if !defined {
            let expected = format!("`{}` takes two values of one kind", op.symbol());
            return Err(mismatch(&text, expected, &[&left, &right]));
        }
        return Ok(finish(Kind::Compare { op, operands: Box::new([left, right]) }, DataType::Boolean, text));
    }
    arithmetic(op, left, right, text)
}

/// A string as it is, anything else as text.
pub(crate) fn as_string(node: Node, within: &Text) -> Result<Node, EvalError> {
    if matches!(Class::of(&node.data_type), Class::String | Class::Null) {
        return Ok(node);
    }
    cast_node(node, cepheid_ir::DataType::String, false, within.clone())
}

pub(crate) fn arithmetic(
    op: BinaryOp,
    mut left: Node,
    mut right: Node,
    text: Text,
) -> Result<Node, EvalError> {
    use BinaryOp::{Add, Divide, Multiply, Subtract};
    adapt_pair(&mut left, &mut right, &text)?;
    widen_date(&mut left, &mut right)?;
    coarsen_span(&mut left, &right);
    coarsen_span(&mut right, &left);
    let nanosecond_time = DataType::Time64(TimeUnit::Nanosecond);
    let calendar_span = DataType::Interval(IntervalUnit::MonthDayNano);
    let (l, r) = (Class::of(&left.data_type), Class::of(&right.data_type));
    let data_type = match (l, r) {
        (Class::Null, Class::Null) => Some(DataType::Null),
        (Class::Null, other) if other.is_number() => Some(computed(&right.data_type)),
        (other, Class::Null) if other.is_number() => Some(computed(&left.data_type)),
        (Class::Integer, Class::Integer) => Some(DataType::Int64),
        (Class::Float, other) | (other, Class::Float) if other.is_number() => Some(DataType::Float64),
        (l, r) if l.is_exact_number() && r.is_exact_number() => {
            let scale = |class| if let Class::Decimal(scale) = class { scale } else { 0 };
            let (l, r) = (scale(l), scale(r));
            match op {
                Multiply => decimal::product_scale(l, r).map(decimal_type),
                Divide => Some(decimal_type(decimal::quotient_scale(l, r))),
                _ => Some(decimal_type(l.max(r))),
            }
        }
        (Class::Duration(_), number) if matches!(op, Multiply | Divide) && number.is_number() => {
            Some(decoded(&left.data_type))
        }
        (number, Class::Duration(_)) if op == Multiply && number.is_number() => {
            Some(decoded(&right.data_type))
        }
        (Class::Null, other) if other.is_temporal() && (op == Add || op == Subtract) => {
            Some(decoded(&right.data_type))
        }
        (other, Class::Null) if other.is_temporal() && (op == Add || op == Subtract) => {
            Some(decoded(&left.data_type))
        }
        (Class::Date, Class::Date) if op == Subtract => Some(DataType::Int64),
        (Class::Time, Class::Time) if op == Subtract => Some(DataType::Duration(TimeUnit::Nanosecond)),
        (Class::Timestamp { unit: l, zoned: lz }, Class::Timestamp { unit: r, zoned: rz })
            if op == Subtract && lz == rz =>
        {
            Some(DataType::Duration(l.max(r)))
        }
        (Class::Duration(l), Class::Duration(r)) if op == Add || op == Subtract => {
            Some(DataType::Duration(l.max(r)))
        }
        (l, r) if l.is_span() && r.is_span() && (op == Add || op == Subtract) => Some(calendar_span),
        (point, span) if span.is_span() && (op == Add || op == Subtract) => {
            moved_type(point, &left.data_type, span, &nanosecond_time)
        }
        (span, point) if span.is_span() && op == Add => {
            moved_type(point, &right.data_type, span, &nanosecond_time)
        }
        _ => None,
    };
    let Some(data_type) = data_type else {
        let expected = format!("`{}` is not defined between these types", op.symbol());
        return Err(mismatch(&text, expected, &[&left, &right]));
    };
    let zone = zone_of(&left)?.or(zone_of(&right)?);
    Ok(finish(Kind::Arithmetic { op, operands: Box::new([left, right]), zone }, data_type, text))
}

/// The type of a point in time moved by a span.
fn moved_type(point: Class, point_type: &DataType, span: Class, time: &DataType) -> Option<DataType> {
    match (point, span) {
        (Class::Date, _) => Some(DataType::Date32),
        (Class::Time, Class::Duration(_)) => Some(time.clone()),
        (Class::Timestamp { .. }, Class::Interval) => Some(decoded(point_type)),
        (Class::Timestamp { unit, .. }, Class::Duration(span)) => {
            let DataType::Timestamp(_, zone) = decoded(point_type) else { return None };
            Some(DataType::Timestamp(unit.max(span), zone))
        }
        _ => None,
    }
}
