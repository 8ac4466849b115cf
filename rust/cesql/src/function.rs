//! The functions that there are.

use std::borrow::Cow;

use crate::evaluate::EvaluationErrorKind;
use crate::limits::CONCAT_BYTES_MAX;
use crate::value::{Kind, Value};

/// A function, of one number of arguments or of any above one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `LENGTH(x)`: how many characters.
    Length,
    /// `CONCAT(x, ...)`: one behind the other; nothing of nothing.
    Concat,
    /// `CONCAT_WS(delimiter, x, ...)`: one behind the other, the delimiter between.
    ConcatWs,
    /// `LOWER(x)`
    Lower,
    /// `UPPER(x)`
    Upper,
    /// `TRIM(x)`: without Unicode's white space around it.
    Trim,
    /// `LEFT(x, n)`: the first characters.
    Left,
    /// `RIGHT(x, n)`: the last characters.
    Right,
    /// `SUBSTRING(x, from)` and `SUBSTRING(x, from, length)`: characters from a place on, counted from 1, or from the
    /// end if it is negative.
    Substring,
    /// `ABS(x)`
    Abs,
    /// `INT(x)`: as Integer.
    Int,
    /// `BOOL(x)`: as Boolean.
    Bool,
    /// `STRING(x)`: as String.
    String,
    /// `IS_INT(x)`: whether it is an Integer, or text of one.
    IsInt,
    /// `IS_BOOL(x)`: whether it is a Boolean, or text of one.
    IsBool,
}

/// What went wrong in a function, and what it gives nevertheless.
pub(crate) struct Mishap<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) kind: EvaluationErrorKind,
    pub(crate) message: String,
}

impl<'a> Mishap<'a> {
    fn new(value: Value<'a>, kind: EvaluationErrorKind, message: String) -> Self {
        Self { value, kind, message }
    }
}

impl Function {
    /// The function that a call means; `name` is in upper case.
    pub fn find(name: &str, arguments: usize) -> Option<Self> {
        let function = match name {
            "LENGTH" => Self::Length,
            "CONCAT" => Self::Concat,
            "CONCAT_WS" => Self::ConcatWs,
            "LOWER" => Self::Lower,
            "UPPER" => Self::Upper,
            "TRIM" => Self::Trim,
            "LEFT" => Self::Left,
            "RIGHT" => Self::Right,
            "SUBSTRING" => Self::Substring,
            "ABS" => Self::Abs,
            "INT" => Self::Int,
            "BOOL" => Self::Bool,
            "STRING" => Self::String,
            "IS_INT" => Self::IsInt,
            "IS_BOOL" => Self::IsBool,
            _ => return None,
        };
        function.takes(arguments).then_some(function)
    }

    fn takes(self, arguments: usize) -> bool {
        match self {
            Self::Concat => true,
            Self::ConcatWs => arguments >= 1,
            Self::Left | Self::Right => arguments == 2,
            Self::Substring => matches!(arguments, 2 | 3),
            Self::Length
            | Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Abs
            | Self::Int
            | Self::Bool
            | Self::String
            | Self::IsInt
            | Self::IsBool => arguments == 1,
        }
    }

    /// The type of what it gives.
    pub fn kind(self) -> Kind {
        match self {
            Self::Length | Self::Abs | Self::Int => Kind::Integer,
            Self::Bool | Self::IsInt | Self::IsBool => Kind::Boolean,
            Self::Concat
            | Self::ConcatWs
            | Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Left
            | Self::Right
            | Self::Substring
            | Self::String => Kind::String,
        }
    }

    /// The type that an argument is cast to; none: it is taken as it is.
    pub(crate) fn parameter(self, place: usize) -> Option<Kind> {
        match self {
            Self::Abs | Self::Int => Some(Kind::Integer),
            Self::Bool => Some(Kind::Boolean),
            Self::IsInt | Self::IsBool => None,
            Self::Left | Self::Right | Self::Substring if place > 0 => Some(Kind::Integer),
            _ => Some(Kind::String),
        }
    }

    /// What it gives; the arguments are as many as it takes, and have its types.
    pub(crate) fn call<'a>(self, arguments: Vec<Value<'a>>) -> Result<Value<'a>, Mishap<'a>> {
        let mut rest = arguments.into_iter();
        match self {
            Self::Concat => concat("CONCAT", "", rest),
            Self::ConcatWs => {
                let delimiter = text(rest.next());
                concat("CONCAT_WS", &delimiter, rest)
            }
            Self::Length => match i32::try_from(text(rest.next()).chars().count()) {
                Ok(length) => Ok(Value::Integer(length)),
                Err(_) => Err(Mishap::new(
                    Value::Integer(i32::MAX),
                    EvaluationErrorKind::FunctionEvaluation,
                    "LENGTH of a text with more characters than 32 bits count".into(),
                )),
            },
            Self::Lower => Ok(Value::String(text(rest.next()).to_lowercase().into())),
            Self::Upper => Ok(Value::String(text(rest.next()).to_uppercase().into())),
            Self::Trim => Ok(Value::String(part(text(rest.next()), str::trim))),
            Self::Left => ends("LEFT", text(rest.next()), number(rest.next()), |text, count| {
                &text[..character_start(text, count)]
            }),
            Self::Right => ends("RIGHT", text(rest.next()), number(rest.next()), |text, count| {
                &text[character_start_from_end(text, count)..]
            }),
            Self::Substring => {
                let (text, from) = (text(rest.next()), number(rest.next()));
                substring(text, from, rest.next().map(|length| number(Some(length))))
            }
            Self::Abs => match number(rest.next()) {
                i32::MIN => Err(Mishap::new(
                    Value::Integer(i32::MAX),
                    EvaluationErrorKind::Math,
                    "ABS(-2147483648) is more than an Integer holds".into(),
                )),
                number => Ok(Value::Integer(number.abs())),
            },
            Self::Int | Self::Bool | Self::String => Ok(rest.next().unwrap_or(Value::Boolean(false))),
            Self::IsInt => Ok(Value::Boolean(rest.next().is_some_and(|value| match value {
                Value::Integer(_) => true,
                Value::String(_) => value.to_integer().is_some(),
                Value::Boolean(_) => false,
            }))),
            Self::IsBool => Ok(Value::Boolean(rest.next().is_some_and(|value| match value {
                Value::Boolean(_) => true,
                Value::String(_) => value.to_boolean().is_some(),
                Value::Integer(_) => false,
            }))),
        }
    }
}

fn text(value: Option<Value<'_>>) -> Cow<'_, str> {
    value.map(Value::into_text).unwrap_or_default()
}

fn number(value: Option<Value<'_>>) -> i32 {
    value.and_then(|value| value.to_integer()).unwrap_or(0)
}

/// A part of a text, borrowed if the text is.
fn part<'a>(text: Cow<'a, str>, cut: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text)),
        Cow::Owned(text) => Cow::Owned(cut(&text).to_owned()),
    }
}

/// Where the character of a number, from 0, begins; the end if there are fewer.
fn character_start(text: &str, number: usize) -> usize {
    text.char_indices().nth(number).map_or(text.len(), |(at, _)| at)
}

/// Where the last so many characters begin; the start if there are fewer.
fn character_start_from_end(text: &str, count: usize) -> usize {
    match count.checked_sub(1) {
        None => text.len(),
        Some(before) => text.char_indices().nth_back(before).map_or(0, |(at, _)| at),
    }
}

fn concat<'a>(
    name: &str,
    delimiter: &str,
    texts: impl ExactSizeIterator<Item = Value<'a>> + Clone,
) -> Result<Value<'a>, Mishap<'a>> {
    let mut made = String::new();
    for (place, value) in texts.enumerate() {
        let text = value.into_text();
        if made.len() + text.len() + delimiter.len() > CONCAT_BYTES_MAX {
            return Err(Mishap::new(
                Value::zero(Kind::String),
                EvaluationErrorKind::FunctionEvaluation,
                format!("{name} of more than {CONCAT_BYTES_MAX} bytes"),
            ));
        }
        if place > 0 {
            made.push_str(delimiter);
        }
        made.push_str(&text);
    }
    Ok(Value::String(made.into()))
}

fn ends<'a>(
    name: &str,
    text: Cow<'a, str>,
    count: i32,
    cut: fn(&str, usize) -> &str,
) -> Result<Value<'a>, Mishap<'a>> {
    match usize::try_from(count) {
        Ok(count) => Ok(Value::String(part(text, |text| cut(text, count)))),
        Err(_) => Err(Mishap::new(
            Value::String(text),
            EvaluationErrorKind::FunctionEvaluation,
            format!("{name} of {count} characters; the number must be 0 or more"),
        )),
    }
}

fn substring<'a>(text: Cow<'a, str>, from: i32, length: Option<i32>) -> Result<Value<'a>, Mishap<'a>> {
    let wrong = |message: String| {
        Mishap::new(Value::zero(Kind::String), EvaluationErrorKind::FunctionEvaluation, message)
    };
    let length = match length.map(usize::try_from) {
        None => usize::MAX,
        Some(Ok(length)) => length,
        Some(Err(_)) => return Err(wrong("SUBSTRING of a negative length".into())),
    };
    if from == 0 {
        return Ok(Value::zero(Kind::String));
    }
    let characters = text.chars().count();
    let distance = from.unsigned_abs() as usize;
    if distance > characters {
        return Err(wrong(format!("SUBSTRING from {from} of a text of {characters} characters")));
    }
    let skipped = if from > 0 { distance - 1 } else { characters - distance };
    Ok(Value::String(part(text, |text| {
        let rest = &text[character_start(text, skipped)..];
        &rest[..character_start(rest, length)]
    })))
}
