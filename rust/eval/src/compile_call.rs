//! Calls of scalar functions: arity, argument types, result types.

use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::{BinaryOp, Function};

use crate::adapt::{make_comparable, unify};
use crate::compile::{arithmetic, as_string, constant_fault, expect, finish, mismatch, zone_of};
use crate::display::Text;
use crate::error::EvalError;
use crate::function::temporal::DateUnit;
use crate::function::text::compile_regex;
use crate::function::{Call, Family, family_of};
use crate::typed::{Kind, Node};
use crate::types::{Class, computed, decoded, equates};
use crate::value::Value;

/// What an error says about a wrong number of arguments.
pub(crate) fn arity_reason(name: &str, least: usize, most: usize) -> String {
    match (least, most) {
        (0, 0) => format!("{name} takes no arguments"),
        (least, most) if least == most => {
            format!("{name} takes {least} argument{}", if least == 1 { "" } else { "s" })
        }
        (least, most) => format!("{name} takes {least} to {most} arguments"),
    }
}

/// `function(args)`.
pub(crate) fn call(function: Function, mut args: Vec<Node>, text: Text) -> Result<Node, EvalError> {
    let (least, most) = function.arity();
    if args.len() < least || args.len() > most {
        let reason = arity_reason(function.name(), least, most);
        return Err(EvalError::InvalidCall { expression: text.to_string(), reason });
    }
    let family = family_of(function);
    let mut call = Call { function, family, zone: None, unit: None, regex: None };
    let data_type = match family {
        Family::Math => {
            if function == Function::Mod
                && let (Some(right), Some(left)) = (args.pop(), args.pop())
            {
                return arithmetic(BinaryOp::Modulo, left, right, text);
            }
            math_type(function, &args, &text)?
        }
        Family::Text => {
            if function == Function::Concat {
                args = args.into_iter().map(|arg| as_string(arg, &text)).collect::<Result<_, _>>()?;
            }
            if matches!(function, Function::RegexpLike | Function::RegexpExtract | Function::RegexpReplace)
                && let Kind::Constant(Value::String(pattern)) = &args[1].kind
            {
                call.regex = Some(compile_regex(pattern).map_err(|fault| constant_fault(fault, &text))?);
            }
            text_type(function, &args, &text)?
        }
        Family::Temporal => temporal_type(&mut call, &mut args, &text)?,
        Family::Comparison => match function {
            Function::Coalesce => {
                let data_type = unify(&mut args, &text, "the arguments of coalesce must be of one type")?;
                return Ok(finish(Kind::Coalesce(args), data_type, text));
            }
            Function::Nullif => {
                let [left, right] = args.as_mut_slice() else {
                    return Err(mismatch(&text, "two arguments", &[]));
                };
                make_comparable(left, right, &text)?;
                if !equates(&left.data_type, &right.data_type) {
                    return Err(mismatch(&text, "nullif takes two values of one kind", &[left, right]));
                }
                decoded(&left.data_type)
            }
            _ => {
                let data_type = unify(&mut args, &text, "the arguments must be of one type")?;
                let class = Class::of(&data_type);
                if !class.orders(class) {
                    return Err(mismatch(
                        &text,
                        "the arguments must have an order",
                        &args.iter().collect::<Vec<_>>(),
                    ));
                }
                data_type
            }
        },
    };
    Ok(finish(Kind::Call { call: Box::new(call), args }, data_type, text))
}

fn math_type(function: Function, args: &[Node], text: &Text) -> Result<DataType, EvalError> {
    use Function::*;
    let operands: Vec<&Node> = args.iter().collect();
    expect(text, &format!("{} takes numbers", function.name()), &operands, Class::is_number)?;
    if let (Round, Some(digits)) = (function, args.get(1)) {
        expect(text, "the digits of round are an integer", &[digits], |class| class == Class::Integer)?;
    }
    Ok(match function {
        Abs | Ceil | Floor | Round | Truncate | Sign if args[0].data_type == DataType::Null => {
            DataType::Float64
        }
        Abs | Ceil | Floor | Round | Truncate | Sign => computed(&args[0].data_type),
        IsNan | IsFinite => DataType::Boolean,
        _ => DataType::Float64,
    })
}

fn text_type(function: Function, args: &[Node], text: &Text) -> Result<DataType, EvalError> {
    use Function::*;
    let integers: &[usize] = match function {
        Substring => &[1, 2],
        Lpad | Rpad => &[1],
        SplitPart | RegexpExtract => &[2],
        _ => &[],
    };
    for (position, arg) in args.iter().enumerate() {
        if integers.contains(&position) {
            let expected = format!("argument {} of {} is an integer", position + 1, function.name());
            expect(text, &expected, &[arg], |class| class == Class::Integer)?;
        } else {
            let expected = format!("argument {} of {} is a string", position + 1, function.name());
            expect(text, &expected, &[arg], |class| class == Class::String)?;
        }
    }
    Ok(match function {
        Length | Strpos => DataType::Int64,
        StartsWith | EndsWith | Contains | RegexpLike => DataType::Boolean,
        _ => DataType::Utf8,
    })
}

fn temporal_type(call: &mut Call, args: &mut [Node], text: &Text) -> Result<DataType, EvalError> {
    use Function::*;
    let function = call.function;
    let is_timestamp = |class| matches!(class, Class::Timestamp { .. });
    if matches!(function, DateTrunc | DateDiff | DateAdd) {
        expect(text, "the unit of time is a string", &[&args[0]], |class| class == Class::String)?;
        if let Kind::Constant(Value::String(unit)) = &args[0].kind {
            call.unit = Some(DateUnit::parse(unit).map_err(|fault| constant_fault(fault, text))?);
        }
    }
    match function {
        DateTrunc | DateAdd => {
            let point = &args[args.len() - 1];
            expect(text, &format!("{} takes a date or a timestamp", function.name()), &[point], |class| {
                is_timestamp(class) || matches!(class, Class::Date | Class::Time)
            })?;
            if function == DateAdd {
                expect(text, "the count of date_add is an integer", &[&args[1]], |class| {
                    class == Class::Integer
                })?;
            }
            call.zone = zone_of(point)?;
            Ok(decoded(&point.data_type))
        }
        DateDiff => {
            let [_, from, to] = args else { return Err(mismatch(text, "three arguments", &[])) };
            make_comparable(from, to, text)?;
            expect(text, "date_diff takes dates or timestamps", &[from, to], |class| {
                is_timestamp(class) || class == Class::Date
            })?;
            if !Class::of(&from.data_type).orders(Class::of(&to.data_type)) {
                return Err(mismatch(text, "date_diff takes two points in time of one kind", &[from, to]));
            }
            call.zone = zone_of(from)?;
            Ok(DataType::Int64)
        }
        ToUnixtime => {
            expect(text, "to_unixtime takes a timestamp or a date", &[&args[0]], |class| {
                is_timestamp(class) || class == Class::Date
            })?;
            Ok(DataType::Float64)
        }
        FromUnixtime => {
            expect(text, "from_unixtime takes a number of seconds", &[&args[0]], Class::is_number)?;
            Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        }
        AtTimezone => {
            expect(text, "at_timezone takes a timestamp with a time zone", &[&args[0]], |class| {
                matches!(class, Class::Timestamp { zoned: true, .. })
            })?;
            let Kind::Constant(Value::String(zone)) = &args[1].kind else {
                return Err(mismatch(text, "the time zone is a constant string", &[&args[1]]));
            };
            if zone.parse::<arrow_array::timezone::Tz>().is_err() {
                let reason =
                    format!("'{zone}' is not a known time zone; name one as 'Europe/Berlin' or '+02:00'");
                return Err(EvalError::InvalidCall { expression: text.to_string(), reason });
            }
            let unit = match Class::of(&args[0].data_type) {
                Class::Timestamp { unit, .. } => unit,
                _ => TimeUnit::Microsecond,
            };
            Ok(DataType::Timestamp(unit, Some(zone.clone())))
        }
        TotalSeconds => {
            expect(text, "total_seconds takes a span of time", &[&args[0]], Class::is_span)?;
            Ok(DataType::Float64)
        }
        Date => {
            expect(text, "date takes a timestamp or a date", &[&args[0]], |class| {
                is_timestamp(class) || class == Class::Date
            })?;
            call.zone = zone_of(&args[0])?;
            Ok(DataType::Date32)
        }
        Hour | Minute | Second | Millisecond | Microsecond | Nanosecond => {
            expect(
                text,
                &format!("{} takes a timestamp or a time", function.name()),
                &[&args[0]],
                |class| is_timestamp(class) || class == Class::Time,
            )?;
            call.zone = zone_of(&args[0])?;
            Ok(DataType::Int64)
        }
        _ => {
            expect(
                text,
                &format!("{} takes a timestamp or a date", function.name()),
                &[&args[0]],
                |class| is_timestamp(class) || class == Class::Date,
            )?;
            call.zone = zone_of(&args[0])?;
            Ok(DataType::Int64)
        }
    }
}
