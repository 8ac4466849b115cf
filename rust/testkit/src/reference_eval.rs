//! What an expression means, over one row of one match. Values carry their own types; nothing is compiled.

use std::cmp::Ordering;

use cepheid_ir::{Anchor, BinaryOp, DataType, Expr, Literal, Pattern, RowPointer, Semantics, TestedRow};

use crate::calendar::{DAY, civil_from_days, days_from_civil, parse_date, parse_timestamp};
use crate::reference::{Mark, ReferenceError};
use crate::reference_aggregate::evaluate_aggregate;
use crate::reference_function::evaluate_call;
use crate::reference_table::ReferenceTable;
use crate::value::{RefValue, parse_decimal};

/// Where an expression stands: a match, and how much of it the current row has seen.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) table: &'a ReferenceTable,
    /// Arrival ordinals of the partition's rows, in order.
    pub(crate) partition: &'a [usize],
    pub(crate) marks: &'a [Mark<'a>],
    /// Marks up to and including the current row's: what running semantics sees.
    pub(crate) seen: usize,
    pub(crate) match_number: i64,
}

impl<'a> Scene<'a> {
    /// The marks that a pointer or an aggregate may look at, with their places in `marks`.
    pub(crate) fn visible(
        &self,
        variable: Option<&str>,
        semantics: Semantics,
        tested_row: TestedRow,
    ) -> Vec<(usize, &'a Mark<'a>)> {
        let count = match semantics {
            Semantics::Running => self.seen,
            Semantics::Final => self.marks.len(),
        };
        let count = count - usize::from(tested_row == TestedRow::Excluded && count > 0);
        let members = variable.map(|name| self.pattern.members(name));
        let belongs =
            |mark: &Mark<'_>| members.as_ref().is_none_or(|members| members.contains(&mark.variable));
        self.marks[..count].iter().enumerate().filter(|(_, mark)| belongs(mark)).collect()
    }

    /// The place in the partition that a pointer points to: first the logical move, then the physical one.
    fn position(&self, at: &RowPointer) -> Option<usize> {
        let visible = self.visible(at.variable.as_deref(), at.semantics, at.tested_row);
        let offset = at.logical_offset as usize;
        let logical = match at.anchor {
            Anchor::First => visible.get(offset)?,
            Anchor::Last => visible.iter().rev().nth(offset)?,
        };
        let position = i64::try_from(logical.1.position).ok()?.checked_add(at.physical_offset)?;
        usize::try_from(position).ok().filter(|&position| position < self.partition.len())
    }
}

/// Whether a condition is TRUE: NULL is not.
pub(crate) fn evaluate_condition(expr: &Expr, scene: &Scene<'_>) -> Result<bool, ReferenceError> {
    Ok(truth(&evaluate(expr, scene)?)? == Some(true))
}

pub(crate) fn evaluate(expr: &Expr, scene: &Scene<'_>) -> Result<RefValue, ReferenceError> {
    Ok(match expr {
        Expr::Literal(literal) => literal_value(literal),
        Expr::Column { name, quoted, at } => {
            let column = scene.table.column_index(name, *quoted)?;
            match scene.position(at) {
                Some(position) => scene.table.rows[scene.partition[position]][column].clone(),
                None => RefValue::Null,
            }
        }
        Expr::Classifier { at } => {
            let position = scene.position(at);
            let mark = scene.marks.iter().find(|mark| Some(mark.position) == position);
            mark.map_or(RefValue::Null, |mark| RefValue::String(mark.variable.to_owned()))
        }
        Expr::MatchNumber => RefValue::Integer(i128::from(scene.match_number)),
        Expr::Aggregate(aggregate) => evaluate_aggregate(aggregate, scene)?,
        Expr::Negate(operand) => match evaluate(operand, scene)? {
            RefValue::Decimal { unscaled, scale } => RefValue::Decimal { unscaled: -unscaled, scale },
            RefValue::Interval { months, nanoseconds } => {
                RefValue::Interval { months: -months, nanoseconds: -nanoseconds }
            }
            RefValue::Float(value) => RefValue::Float(-value),
            value => arithmetic(BinaryOp::Subtract, RefValue::Integer(0), value)?,
        },
        Expr::Binary { op, left, right } => {
            let (left, right) = adapt(left, evaluate(left, scene)?, right, evaluate(right, scene)?);
            binary(*op, left, right)?
        }
        Expr::And(operands) => connect(operands, scene, false)?,
        Expr::Or(operands) => connect(operands, scene, true)?,
        Expr::Not(operand) => boolean(truth(&evaluate(operand, scene)?)?.map(|value| !value)),
        Expr::IsNull(operand) => RefValue::Boolean(evaluate(operand, scene)?.is_null()),
        Expr::In { operand, list } => {
            let value = evaluate(operand, scene)?;
            let mut answer = Some(false);
            for candidate in list {
                let (left, right) = adapt(operand, value.clone(), candidate, evaluate(candidate, scene)?);
                match compare(&left, &right)? {
                    Some(Ordering::Equal) => return Ok(RefValue::Boolean(true)),
                    Some(_) => {}
                    None => answer = None,
                }
            }
            boolean(answer)
        }
        Expr::Between { operand, low, high } => {
            let value = evaluate(operand, scene)?;
            let (left, right) = adapt(operand, value.clone(), low, evaluate(low, scene)?);
            let above = compare(&left, &right)?.map(Ordering::is_ge);
            let (left, right) = adapt(operand, value, high, evaluate(high, scene)?);
            let below = compare(&left, &right)?.map(Ordering::is_le);
            match (above, below) {
                (Some(false), _) | (_, Some(false)) => RefValue::Boolean(false),
                (Some(true), Some(true)) => RefValue::Boolean(true),
                _ => RefValue::Null,
            }
        }
        Expr::Like { operand, pattern, escape } => {
            match (evaluate(operand, scene)?, evaluate(pattern, scene)?) {
                (RefValue::Null, _) | (_, RefValue::Null) => RefValue::Null,
                (RefValue::String(text), RefValue::String(pattern)) => {
                    let (text, pattern): (Vec<char>, Vec<char>) =
                        (text.chars().collect(), pattern.chars().collect());
                    RefValue::Boolean(like(&text, &pattern, *escape))
                }
                _ => return Err(ReferenceError::TypeMismatch("LIKE".into())),
            }
        }
        Expr::Case { branches, otherwise } => {
            for branch in branches {
                if evaluate_condition(&branch.when, scene)? {
                    return evaluate(&branch.then, scene);
                }
            }
            otherwise.as_ref().map_or(Ok(RefValue::Null), |otherwise| evaluate(otherwise, scene))?
        }
        Expr::Cast { operand, to, lenient } => match cast(evaluate(operand, scene)?, *to) {
            Err(ReferenceError::InvalidCast) if *lenient => RefValue::Null,
            other => other?,
        },
        Expr::Call { function, args } => evaluate_call(*function, args, scene)?,
    })
}

/// AND (`decisive` FALSE) and OR (`decisive` TRUE): left to right, up to the first operand that decides.
fn connect(operands: &[Expr], scene: &Scene<'_>, decisive: bool) -> Result<RefValue, ReferenceError> {
    let mut answer = Some(!decisive);
    for operand in operands {
        match truth(&evaluate(operand, scene)?)? {
            Some(value) if value == decisive => return Ok(RefValue::Boolean(decisive)),
            Some(_) => {}
            None => answer = None,
        }
    }
    Ok(boolean(answer))
}

fn boolean(truth: Option<bool>) -> RefValue {
    truth.map_or(RefValue::Null, RefValue::Boolean)
}

fn truth(value: &RefValue) -> Result<Option<bool>, ReferenceError> {
    match value {
        RefValue::Null => Ok(None),
        RefValue::Boolean(value) => Ok(Some(*value)),
        other => Err(ReferenceError::TypeMismatch(format!("{other} is no condition"))),
    }
}

pub(crate) fn compare(left: &RefValue, right: &RefValue) -> Result<Option<Ordering>, ReferenceError> {
    left.compare(right).map_err(|_| ReferenceError::TypeMismatch(format!("{left} and {right}")))
}

fn literal_value(literal: &Literal) -> RefValue {
    match literal {
        Literal::Null => RefValue::Null,
        Literal::Boolean(value) => RefValue::Boolean(*value),
        Literal::Integer(value) => RefValue::Integer(i128::from(*value)),
        Literal::Float(value) => RefValue::Float(value.0),
        Literal::Decimal { unscaled, scale } => RefValue::Decimal { unscaled: *unscaled, scale: *scale },
        Literal::String(value) => RefValue::String(value.clone()),
        Literal::Date(days) => RefValue::Date(*days),
        Literal::Time(nanoseconds) => RefValue::Time(*nanoseconds),
        Literal::Timestamp { nanoseconds, .. } => RefValue::Timestamp(*nanoseconds),
        Literal::Interval(interval) => {
            RefValue::Interval { months: interval.months, nanoseconds: interval.nanoseconds }
        }
    }
}

/// A float literal that meets a decimal is the decimal that its text spells.
fn adapt(left_expr: &Expr, left: RefValue, right_expr: &Expr, right: RefValue) -> (RefValue, RefValue) {
    let spelled = |expr: &Expr, value: RefValue, other: &RefValue| match (expr, &value, other) {
        (Expr::Literal(_), RefValue::Float(float), RefValue::Decimal { .. }) => {
            parse_decimal(&format!("{float}")).unwrap_or(value)
        }
        _ => value,
    };
    let left = spelled(left_expr, left, &right);
    let right = spelled(right_expr, right, &left);
    (left, right)
}

fn binary(op: BinaryOp, left: RefValue, right: RefValue) -> Result<RefValue, ReferenceError> {
    use BinaryOp::*;
    if op == IsDistinctFrom {
        let distinct = match (left.is_null(), right.is_null()) {
            (false, false) => compare(&left, &right)? != Some(Ordering::Equal),
            (left_null, right_null) => left_null != right_null,
        };
        return Ok(RefValue::Boolean(distinct));
    }
    if left.is_null() || right.is_null() {
        return Ok(RefValue::Null);
    }
    if op.is_comparison() {
        let order = compare(&left, &right)?;
        return Ok(boolean(order.map(|order| match op {
            Equal => order.is_eq(),
            NotEqual => order.is_ne(),
            Less => order.is_lt(),
            LessOrEqual => order.is_le(),
            Greater => order.is_gt(),
            _ => order.is_ge(),
        })));
    }
    match (op, left, right) {
        (Concat, RefValue::String(left), RefValue::String(right)) => Ok(RefValue::String(left + &right)),
        (Concat, left, right) => Err(ReferenceError::TypeMismatch(format!("{left} || {right}"))),
        (op, left, right) => arithmetic(op, left, right),
    }
}

/// `+ - * / %` of numbers, times and spans of time. NULL in, NULL out.
pub(crate) fn arithmetic(op: BinaryOp, left: RefValue, right: RefValue) -> Result<RefValue, ReferenceError> {
    use RefValue::*;
    let mismatch = |left: &RefValue, right: &RefValue| {
        ReferenceError::TypeMismatch(format!("{left} {} {right}", op.symbol()))
    };
    match (&left, &right) {
        (Null, _) | (_, Null) => Ok(Null),
        (Integer(left), Integer(right)) => {
            let narrow = |value: i128| i64::try_from(value).map_err(|_| ReferenceError::Overflow);
            integers(op, narrow(*left)?, narrow(*right)?).map(|value| Integer(i128::from(value)))
        }
        (Float(_), Integer(_) | Float(_) | Decimal { .. }) | (Integer(_) | Decimal { .. }, Float(_)) => {
            let (Some(l), Some(r)) = (left.as_float(), right.as_float()) else {
                return Err(mismatch(&left, &right));
            };
            Ok(Float(match op {
                BinaryOp::Add => l + r,
                BinaryOp::Subtract => l - r,
                BinaryOp::Multiply => l * r,
                BinaryOp::Divide => l / r,
                _ => l % r,
            }))
        }
        (Integer(_) | Decimal { .. }, Integer(_) | Decimal { .. }) => decimals(op, &left, &right),
        (Timestamp(l), Timestamp(r)) if op == BinaryOp::Subtract => {
            Ok(Interval { months: 0, nanoseconds: l.checked_sub(*r).ok_or(ReferenceError::Overflow)? })
        }
        (Date(l), Date(r)) if op == BinaryOp::Subtract => Ok(Integer(i128::from(*l) - i128::from(*r))),
        (Timestamp(time), Interval { months, nanoseconds }) if is_sum(op) => {
            shift_time(*time, sign(op) * months, i64::from(sign(op)) * nanoseconds)
        }
        (Interval { months, nanoseconds }, Timestamp(time)) if op == BinaryOp::Add => {
            shift_time(*time, *months, *nanoseconds)
        }
        (Interval { months: lm, nanoseconds: ln }, Interval { months: rm, nanoseconds: rn })
            if is_sum(op) =>
        {
            Ok(Interval { months: lm + sign(op) * rm, nanoseconds: ln + i64::from(sign(op)) * rn })
        }
        _ => Err(mismatch(&left, &right)),
    }
}

fn is_sum(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Add | BinaryOp::Subtract)
}

fn sign(op: BinaryOp) -> i32 {
    if op == BinaryOp::Subtract { -1 } else { 1 }
}

fn integers(op: BinaryOp, left: i64, right: i64) -> Result<i64, ReferenceError> {
    if matches!(op, BinaryOp::Divide | BinaryOp::Modulo) && right == 0 {
        return Err(ReferenceError::DivisionByZero);
    }
    let value = match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Subtract => left.checked_sub(right),
        BinaryOp::Multiply => left.checked_mul(right),
        BinaryOp::Divide => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    value.ok_or(ReferenceError::Overflow)
}

fn decimals(op: BinaryOp, left: &RefValue, right: &RefValue) -> Result<RefValue, ReferenceError> {
    let (l, r, scale) = left.to_common_scale(right).ok_or(ReferenceError::Overflow)?;
    let (unscaled, scale) = match op {
        BinaryOp::Add => (l.checked_add(r), scale),
        BinaryOp::Subtract => (l.checked_sub(r), scale),
        BinaryOp::Multiply => (l.checked_mul(r), scale + scale),
        _ => return Err(ReferenceError::Unsupported("division of decimals".into())),
    };
    Ok(RefValue::Decimal { unscaled: unscaled.ok_or(ReferenceError::Overflow)?, scale })
}

fn shift_time(time: i64, months: i32, nanoseconds: i64) -> Result<RefValue, ReferenceError> {
    let (days, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    let month_ordinal = year * 12 + month - 1 + i64::from(months);
    let (year, month) = (month_ordinal.div_euclid(12), month_ordinal.rem_euclid(12) + 1);
    // The 31st of a shorter month is its last day.
    let next_month = days_from_civil(year + month / 12, month % 12 + 1, 1);
    let days = (days_from_civil(year, month, 1) + day - 1).min(next_month - 1);
    let shifted = days.checked_mul(DAY).and_then(|time| time.checked_add(rest)?.checked_add(nanoseconds));
    Ok(RefValue::Timestamp(shifted.ok_or(ReferenceError::Overflow)?))
}

fn like(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
    match pattern {
        [] => text.is_empty(),
        [mark, literal, rest @ ..] if Some(*mark) == escape => {
            text.first() == Some(literal) && like(&text[1..], rest, escape)
        }
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| like(&text[skipped..], rest, escape)),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest, escape),
        [literal, rest @ ..] => text.first() == Some(literal) && like(&text[1..], rest, escape),
    }
}

fn cast(value: RefValue, to: DataType) -> Result<RefValue, ReferenceError> {
    use RefValue::*;
    let invalid = ReferenceError::InvalidCast;
    let range: Option<(i128, i128)> = match to {
        DataType::Int8 => Some((i8::MIN.into(), i8::MAX.into())),
        DataType::Int16 => Some((i16::MIN.into(), i16::MAX.into())),
        DataType::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
        DataType::Int64 => Some((i64::MIN.into(), i64::MAX.into())),
        DataType::UInt8 => Some((0, u8::MAX.into())),
        DataType::UInt16 => Some((0, u16::MAX.into())),
        DataType::UInt32 => Some((0, u32::MAX.into())),
        DataType::UInt64 => Some((0, u64::MAX.into())),
        _ => None,
    };
    if let Some((least, most)) = range {
        let number = match value {
            Null => return Ok(Null),
            Integer(value) => value,
            Boolean(value) => i128::from(value),
            // Half away from zero; what no i128 holds is out of every range anyway.
            Float(value) if value.is_finite() => value.round() as i128,
            String(text) => text.parse().map_err(|_| invalid.clone())?,
            _ => return Err(invalid),
        };
        return if (least..=most).contains(&number) { Ok(Integer(number)) } else { Err(invalid) };
    }
    match (to, value) {
        (_, Null) => Ok(Null),
        (DataType::Float64, String(text)) => text.parse().map(Float).map_err(|_| invalid),
        (DataType::Float64, value) => value.as_float().map(Float).ok_or(invalid),
        (DataType::Float32, value) => {
            value.as_float().map(|value| Float(f64::from(value as f32))).ok_or(invalid)
        }
        (DataType::Boolean, Boolean(value)) => Ok(Boolean(value)),
        (DataType::Boolean, Integer(value)) => Ok(Boolean(value != 0)),
        (DataType::String, String(text)) => Ok(String(text)),
        (DataType::String, Integer(value)) => Ok(String(value.to_string())),
        (DataType::String, Boolean(value)) => Ok(String(value.to_string())),
        (DataType::Date, String(text)) => {
            let days = parse_date(&text).and_then(|days| i32::try_from(days).ok());
            days.map(Date).ok_or(invalid)
        }
        (DataType::Date, Timestamp(time)) => {
            i32::try_from(time.div_euclid(DAY)).map(Date).map_err(|_| invalid)
        }
        (DataType::Timestamp, String(text)) => parse_timestamp(&text).map(Timestamp).ok_or(invalid),
        (DataType::Timestamp, Timestamp(time)) => Ok(Timestamp(time)),
        (DataType::Timestamp, Date(days)) => Ok(Timestamp(i64::from(days) * DAY)),
        (to, value) => Err(ReferenceError::Unsupported(format!("CAST({value} AS {})", to.sql_name()))),
    }
}
