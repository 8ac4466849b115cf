//! Functions of strings. Positions and lengths count characters (code points), from 1.

use cepheid_ir::Function;
use regex::{Regex, RegexBuilder};

use crate::arithmetic::integer;
use crate::cast::to_text;
use crate::error::Fault;
use crate::value::Value;

/// Largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Longest string that a function may make, in bytes.
const RESULT_BYTES_MAX: usize = 1 << 26;

/// Compiles a regular expression within limits.
pub(crate) fn compile_regex(pattern: &str) -> Result<Regex, Fault> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build().map_err(
        |error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                // The last line says what is wrong; those before it draw the pattern.
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            };
            Fault::Regex { pattern: pattern.to_owned(), reason }
        },
    )
}

/// `function(args)`; no argument is NULL; `regex` is the compiled second argument if that is constant.
pub(crate) fn apply(function: Function, regex: Option<&Regex>, args: &[Value]) -> Result<Value, Fault> {
    if function == Function::Concat {
        return bounded(args.iter().map(to_text).collect::<String>());
    }
    let s = string(&args[0]);
    let part = |position: usize| args.get(position).map_or("", string);
    let value = match function {
        Function::Lower => s.to_lowercase().into(),
        Function::Upper => s.to_uppercase().into(),
        Function::Length => Value::Integer(s.chars().count() as i64),
        Function::Trim => s.trim().into(),
        Function::Ltrim => s.trim_start().into(),
        Function::Rtrim => s.trim_end().into(),
        Function::Substring => {
            let length = args.get(2).map(integer).transpose()?;
            substring(s, integer(&args[1])?, length).into()
        }
        Function::Strpos => Value::Integer(position(s, part(1))),
        Function::StartsWith => Value::Boolean(s.starts_with(part(1))),
        Function::EndsWith => Value::Boolean(s.ends_with(part(1))),
        Function::Contains => Value::Boolean(s.contains(part(1))),
        Function::Replace => return replace(s, part(1), part(2)),
        Function::Reverse => s.chars().rev().collect::<String>().into(),
        Function::Lpad | Function::Rpad => {
            return pad(s, integer(&args[1])?, part(2), function == Function::Lpad);
        }
        Function::SplitPart => return split_part(s, part(1), integer(&args[2])?),
        _ => return with_regex(function, regex, s, part(1), args.get(2)),
    };
    Ok(value)
}

fn string(value: &Value) -> &str {
    if let Value::String(text) = value { text } else { "" }
}

fn bounded(text: String) -> Result<Value, Fault> {
    if text.len() > RESULT_BYTES_MAX {
        return Err(Fault::Argument(format!("the string would be longer than {RESULT_BYTES_MAX} bytes")));
    }
    Ok(text.into())
}

/// Byte offset of the character at `index`; the length of `s` past its end.
fn offset_of(s: &str, index: usize) -> usize {
    if s.is_ascii() {
        index.min(s.len())
    } else {
        s.char_indices().nth(index).map_or(s.len(), |(offset, _)| offset)
    }
}

/// Nothing for a start of 0 or outside the string, as in Trino.
fn substring(s: &str, start: i64, length: Option<i64>) -> &str {
    let index = match start {
        0 => return "",
        1.. => start - 1,
        _ => match (s.chars().count() as i64).checked_add(start) {
            Some(index) if index >= 0 => index,
            _ => return "",
        },
    };
    let tail = &s[offset_of(s, usize::try_from(index).unwrap_or(usize::MAX))..];
    match length {
        None => tail,
        Some(length) => &tail[..offset_of(tail, usize::try_from(length.max(0)).unwrap_or(usize::MAX))],
    }
}

fn position(s: &str, part: &str) -> i64 {
    s.find(part).map_or(0, |offset| s[..offset].chars().count() as i64 + 1)
}

fn replace(s: &str, from: &str, to: &str) -> Result<Value, Fault> {
    // The result is measured before it is made.
    let count = s.matches(from).count();
    if count.saturating_mul(to.len()) > RESULT_BYTES_MAX {
        return Err(Fault::Argument(format!("the string would be longer than {RESULT_BYTES_MAX} bytes")));
    }
    Ok(s.replace(from, to).into())
}

fn pad(s: &str, size: i64, fill: &str, left: bool) -> Result<Value, Fault> {
    let size = usize::try_from(size).map_err(|_| Fault::Argument("the size must not be negative".into()))?;
    let length = s.chars().count();
    if length >= size {
        return Ok(s[..offset_of(s, size)].into());
    }
    if fill.is_empty() {
        return Err(Fault::Argument("the fill must not be empty".into()));
    }
    if size > RESULT_BYTES_MAX / 4 {
        return Err(Fault::Argument(format!(
            "the string would be longer than {} characters",
            RESULT_BYTES_MAX / 4
        )));
    }
    let filling: String = fill.chars().cycle().take(size - length).collect();
    Ok(if left { format!("{filling}{s}") } else { format!("{s}{filling}") }.into())
}

fn split_part(s: &str, separator: &str, index: i64) -> Result<Value, Fault> {
    if index < 1 {
        return Err(Fault::Argument("the index of a field counts from 1".into()));
    }
    if separator.is_empty() {
        return Err(Fault::Argument("the separator must not be empty".into()));
    }
    let index = usize::try_from(index - 1).unwrap_or(usize::MAX);
    Ok(s.split(separator).nth(index).map_or(Value::Null, Value::from))
}

fn with_regex(
    function: Function,
    regex: Option<&Regex>,
    s: &str,
    pattern: &str,
    third: Option<&Value>,
) -> Result<Value, Fault> {
    let compiled;
    let regex = match regex {
        Some(regex) => regex,
        None => {
            compiled = compile_regex(pattern)?;
            &compiled
        }
    };
    match function {
        Function::RegexpLike => Ok(Value::Boolean(regex.is_match(s))),
        Function::RegexpExtract => {
            let group = third.map(integer).transpose()?.unwrap_or(0);
            let group = usize::try_from(group)
                .ok()
                .filter(|group| *group < regex.captures_len())
                .ok_or_else(|| {
                    Fault::Argument(format!(
                        "there is no group {group}; the last is {}",
                        regex.captures_len() - 1
                    ))
                })?;
            let found =
                regex.captures(s).and_then(|captures| captures.get(group).map(|found| found.as_str()));
            Ok(found.map_or(Value::Null, Value::from))
        }
        _ => bounded(regex.replace_all(s, third.map_or("", string)).into_owned()),
    }
}
