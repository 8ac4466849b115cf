//! Scalar functions over single values: the one definition of each.

pub(crate) mod like;
pub(crate) mod math;
pub(crate) mod temporal;
pub(crate) mod text;

use std::cmp::Ordering;

use arrow_array::timezone::Tz;
use cepheid_ir::Function;
use regex::Regex;

use crate::error::Fault;
use crate::value::{Value, compare_values, equal_values};

/// A call with everything that its constant arguments and its types decide.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    /// The family that defines the function.
    pub(crate) family: Family,
    /// Zone of the timestamp argument.
    pub(crate) zone: Option<Tz>,
    /// Unit, where a constant names it.
    pub(crate) unit: Option<temporal::DateUnit>,
    /// Regular expression, where it is constant.
    pub(crate) regex: Option<Regex>,
}

/// Where a function is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Math,
    Text,
    Temporal,
    Comparison,
}

/// The family of `function`.
pub(crate) fn family_of(function: Function) -> Family {
    use Function::*;
    match function {
        Abs | Ceil | Floor | Round | Truncate | Sign | Sqrt | Cbrt | Exp | Ln | Log2 | Log10 | Log
        | Power | Mod | Sin | Cos | Tan | Asin | Acos | Atan | Atan2 | Degrees | Radians | Pi | IsNan
        | IsFinite => Family::Math,
        Greatest | Least | Coalesce | Nullif => Family::Comparison,
        Lower | Upper | Length | Trim | Ltrim | Rtrim | Substring | Strpos | StartsWith | EndsWith
        | Contains | Replace | Concat | Reverse | Lpad | Rpad | SplitPart | RegexpLike | RegexpExtract
        | RegexpReplace => Family::Text,
        Year | Quarter | Month | Week | Day | DayOfWeek | DayOfYear | Hour | Minute | Second
        | Millisecond | Microsecond | Nanosecond | DateTrunc | DateDiff | DateAdd | ToUnixtime
        | FromUnixtime | AtTimezone | TotalSeconds | Date => Family::Temporal,
    }
}

/// The call's value: NULL if any argument is, but for `nullif`.
pub(crate) fn apply(call: &Call, args: &[Value]) -> Result<Value, Fault> {
    if call.function == Function::Nullif {
        let equal = !args[0].is_null() && !args[1].is_null() && equal_values(&args[0], &args[1]);
        return Ok(if equal { Value::Null } else { args[0].clone() });
    }
    if args.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    match call.family {
        Family::Math => math::apply(call.function, args),
        Family::Text => text::apply(call.function, call.regex.as_ref(), args),
        Family::Temporal => temporal::apply(call.function, call.zone.as_ref(), call.unit, args),
        Family::Comparison => {
            let wanted = if call.function == Function::Least { Ordering::Less } else { Ordering::Greater };
            let mut chosen = &args[0];
            for arg in &args[1..] {
                if compare_values(arg, chosen) == Some(wanted) {
                    chosen = arg;
                }
            }
            Ok(chosen.clone())
        }
    }
}
