//! Functions of strings. Positions and lengths count characters (code points), from 1.

use cepheid_ir::Function;
use regex::{Regex, RegexBuilder};

use crate::arithmetic::integer;
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
        return concat(args);
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

/// Refuses a string of `bytes` bytes, which has not been made yet, if that is too long.
fn check_length(bytes: usize) -> Result<(), Fault> {
    if bytes > RESULT_BYTES_MAX {
        return Err(Fault::Argument(format!("the string would be longer than {RESULT_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// The compiler has made strings of everything.
fn concat(args: &[Value]) -> Result<Value, Fault> {
    let parts: Vec<&str> = args.iter().map(string).collect();
    check_length(parts.iter().map(|part| part.len()).sum())?;
    Ok(parts.concat().into())
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
    let count = s.matches(from).count();
    check_length((s.len() - count * from.len()).saturating_add(count.saturating_mul(to.len())))?;
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
        _ => replace_matches(regex, s, third.map_or("", string)),
    }
}

/// A piece of what takes the place of a match.
enum Piece<'t> {
    Text(&'t str),
    Group(&'t str),
}

/// What [`Regex::replace_all`] gives, measured piece by piece, so that no string past the limit is made.
fn replace_matches(regex: &Regex, s: &str, to: &str) -> Result<Value, Fault> {
    let pieces = pieces(to);
    let mut result = String::new();
    let mut copied = 0;
    for captures in regex.captures_iter(s) {
        let Some(whole) = captures.get(0) else { continue };
        append(&mut result, &s[copied..whole.start()])?;
        for piece in &pieces {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Group(name) => {
                    let group = match name.parse() {
                        Ok(index) => captures.get(index),
                        Err(_) => captures.name(name),
                    };
                    group.map_or("", |group| group.as_str())
                }
            };
            append(&mut result, text)?;
        }
        copied = whole.end();
    }
    append(&mut result, &s[copied..])?;
    Ok(result.into())
}

fn append(result: &mut String, part: &str) -> Result<(), Fault> {
    check_length(result.len() + part.len())?;
    result.push_str(part);
    Ok(())
}

/// `$1`, `$name` and `${name}` are groups, `$$` is a dollar sign, and so is one before anything else.
fn pieces(to: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = to;
    while let Some(dollar) = rest.find('$') {
        pieces.push(Piece::Text(&rest[..dollar]));
        let after = &rest[dollar + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let bare = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .map_or((after, ""), |end| after.split_at(end));
        rest = if let Some(after) = after.strip_prefix('$') {
            pieces.push(Piece::Text("$"));
            after
        } else if let Some((name, after)) = braced {
            pieces.push(Piece::Group(name));
            after
        } else if !bare.0.is_empty() {
            pieces.push(Piece::Group(bare.0));
            bare.1
        } else {
            pieces.push(Piece::Text("$"));
            after
        };
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_replaced_as_the_regex_crate_replaces_them() {
        let regexes = ["(a)(?P<name>b)?", "b*", "", "(?P<a1>.)(.)", "x"];
        let replacements = [
            "", "-", "$1", "<$name>", "${name}x", "$1x", "$$1", "$", "$$", "a$", "$-", "${", "${}", "$0$0",
            "$9", "é$1é",
        ];
        let mut checked = 0;
        for regex in regexes {
            let regex = compile_regex(regex).expect("a regular expression");
            for to in replacements {
                for s in ["", "ab", "aab-b", "日本ab"] {
                    let expected = regex.replace_all(s, to).into_owned();
                    assert_eq!(replace_matches(&regex, s, to), Ok(expected.into()), "{regex} {to} {s}");
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 5 * 16 * 4);
    }
}
