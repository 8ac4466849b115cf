//! Constants with a type in front, numbers, and the names of types.

use cepheid_ir::{DataType, Interval, Literal};

use crate::calendar::{
    Unit, read_count, read_counts, read_date, read_fields, read_time, read_timestamp, unit,
};
use crate::cursor::Cursor;
use crate::error::{Failure, Parsed, SqlErrorKind};
use crate::lexer::{Token, TokenKind};
use crate::span::Span;

/// Most digits of a decimal.
const DECIMAL_DIGITS_MAX: usize = 38;

fn invalid_literal(span: Span, message: String) -> Box<Failure> {
    Failure::new(SqlErrorKind::InvalidLiteral, span, message)
}

impl Cursor<'_> {
    /// The value of a number token, behind a minus sign or not.
    pub(crate) fn number_literal(&self, token: Token, negative: bool) -> Parsed<Literal> {
        let text = self.text_of(token.span);
        if token.kind == TokenKind::Integer {
            // With its sign, as the least integer has no positive counterpart.
            let signed = if negative { format!("-{text}") } else { text.to_owned() };
            return signed.parse().map(Literal::Integer).map_err(|_| {
                let message =
                    "this number does not fit 64 bits; write it as DECIMAL '...', or with a point as a float";
                invalid_literal(token.span, message.to_owned())
            });
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Literal::from(if negative { -value } else { value })),
            _ => Err(invalid_literal(token.span, "this number is out of the range of a float".to_owned())),
        }
    }

    /// `DATE '...'` and the like; `None`: no such constant begins here.
    pub(crate) fn typed_literal(&mut self) -> Parsed<Option<Literal>> {
        if self.at_word("INTERVAL") {
            return Ok(self.interval_literal()?.map(Literal::Interval));
        }
        if self.peek_ahead(1).kind != TokenKind::String {
            return Ok(None);
        }
        let read: fn(&str) -> Result<Literal, String> = if self.at_word("DATE") {
            |text| read_date(text).map(Literal::Date)
        } else if self.at_word("TIME") {
            |text| read_time(text).map(Literal::Time)
        } else if self.at_word("TIMESTAMP") {
            |text| read_timestamp(text).map(|(nanoseconds, zoned)| Literal::Timestamp { nanoseconds, zoned })
        } else if self.at_any_word(&["DECIMAL", "NUMERIC"]) {
            read_decimal
        } else {
            return Ok(None);
        };
        self.advance();
        let token = self.advance();
        read(&self.unquoted(token)).map(Some).map_err(|message| invalid_literal(token.span, message))
    }

    /// `INTERVAL [+ | -] '...' [unit [TO unit]]`; `None`: the word is a name.
    pub(crate) fn interval_literal(&mut self) -> Parsed<Option<Interval>> {
        if !self.begins_interval(0) {
            return Ok(None);
        }
        self.advance();
        let signed = matches!(self.peek().kind, TokenKind::Plus | TokenKind::Minus);
        let negative = signed && self.advance().kind == TokenKind::Minus;
        let token = self.advance();
        let is_string = token.kind == TokenKind::String;
        let text = if is_string { self.unquoted(token) } else { self.text_of(token.span).to_owned() };
        let interval = match self.interval_unit() {
            None if is_string => read_counts(&text),
            None => {
                return Err(self.unexpected(&["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"]));
            }
            Some((from, unit)) => {
                if self.at_word("TO") {
                    self.advance();
                    let Some((to, _)) = self.interval_unit() else {
                        return Err(self.unexpected(&["MONTH", "HOUR", "MINUTE", "SECOND"]));
                    };
                    read_fields(&text, from, to)
                } else {
                    read_count(&text, unit)
                }
            }
        };
        let interval = interval.map_err(|message| invalid_literal(token.span, message))?;
        if !negative {
            return Ok(Some(interval));
        }
        match (interval.months.checked_neg(), interval.nanoseconds.checked_neg()) {
            (Some(months), Some(nanoseconds)) => Ok(Some(Interval { months, nanoseconds })),
            _ => Err(invalid_literal(token.span, "this interval is out of range".to_owned())),
        }
    }

    /// Whether a constant begins with the word `INTERVAL` that is `ahead` of the cursor, and not a name.
    pub(crate) fn begins_interval(&self, ahead: usize) -> bool {
        let signed = matches!(self.peek_ahead(ahead + 1).kind, TokenKind::Plus | TokenKind::Minus);
        match self.peek_ahead(ahead + 1 + usize::from(signed)).kind {
            TokenKind::String => true,
            // `interval - 5` is a subtraction from a column.
            TokenKind::Integer | TokenKind::Float => !signed,
            _ => false,
        }
    }

    fn interval_unit(&mut self) -> Option<(usize, Unit)> {
        let token = self.peek();
        let found = (token.kind == TokenKind::Word).then(|| unit(self.text_of(token.span))).flatten();
        if found.is_some() {
            self.advance();
        }
        found
    }

    /// The name of a type.
    pub(crate) fn data_type(&mut self) -> Parsed<DataType> {
        let token = self.peek();
        if token.kind != TokenKind::Word {
            return Err(self.unexpected(&["the name of a type"]));
        }
        let name = self.text_of(token.span).to_ascii_uppercase();
        self.advance();
        Ok(match name.as_str() {
            "BOOLEAN" | "BOOL" => DataType::Boolean,
            "TINYINT" => DataType::Int8,
            "SMALLINT" => DataType::Int16,
            "INTEGER" | "INT" => DataType::Int32,
            "BIGINT" => DataType::Int64,
            "UTINYINT" => DataType::UInt8,
            "USMALLINT" => DataType::UInt16,
            "UINTEGER" => DataType::UInt32,
            "UBIGINT" => DataType::UInt64,
            "REAL" => DataType::Float32,
            "FLOAT" => DataType::Float64,
            "DOUBLE" => {
                self.eat_word("PRECISION");
                DataType::Float64
            }
            "DECIMAL" | "NUMERIC" => self.decimal_type()?,
            "VARCHAR" => DataType::String,
            "CHAR" | "TEXT" | "STRING" => {
                let message = "only VARCHAR takes a length here, and cuts to it; no type pads";
                self.refuse_type_parameter(None, message)?;
                DataType::String
            }
            "DATE" => DataType::Date,
            "TIME" => {
                self.refuse_type_parameter(Some(9), "a TIME has nanoseconds; TIME(9) is the only precision")?;
                self.eat_words(&["WITHOUT", "TIME", "ZONE"]);
                DataType::Time
            }
            "TIMESTAMP" => {
                let message = "a TIMESTAMP has microseconds; TIMESTAMP(6) is the only precision";
                self.refuse_type_parameter(Some(6), message)?;
                self.eat_words(&["WITHOUT", "TIME", "ZONE"]);
                if self.eat_words(&["WITH", "TIME", "ZONE"]) {
                    DataType::TimestampTz
                } else {
                    DataType::Timestamp
                }
            }
            "TIMESTAMPTZ" => DataType::TimestampTz,
            "INTERVAL" => {
                if self.at_words(&["YEAR", "TO", "MONTH"]) {
                    let message = "intervals of months are constants only; convert to INTERVAL DAY TO SECOND";
                    return Err(Failure::unsupported(token.span, message));
                }
                self.expect_words(&["DAY", "TO", "SECOND"])?;
                DataType::Duration
            }
            _ => return Err(unknown_type(self.text_of(token.span), token.span)),
        })
    }

    /// `(n)` behind VARCHAR: the characters that are kept.
    pub(crate) fn length(&mut self) -> Parsed<Option<i64>> {
        let start = self.previous();
        match self.type_parameters()?[..] {
            [] => Ok(None),
            [(length, _)] if i32::try_from(length).is_ok() => Ok(i64::try_from(length).ok()),
            _ => {
                let message = format!("VARCHAR takes one length, of at most {} characters", i32::MAX);
                Err(Failure::new(SqlErrorKind::UnknownType, self.since(start), message))
            }
        }
    }

    /// Refuses what stands in parentheses behind the name of a type unless it says what the type is anyhow.
    fn refuse_type_parameter(&mut self, own: Option<usize>, message: &str) -> Parsed<()> {
        let start = self.previous();
        match self.type_parameters()?[..] {
            [] => Ok(()),
            [(parameter, _)] if Some(parameter) == own => Ok(()),
            _ => Err(Failure::unsupported(self.since(start), message)),
        }
    }

    /// `(n [, m])` behind the name of a type; empty if there is none.
    fn type_parameters(&mut self) -> Parsed<Vec<(usize, Span)>> {
        if !self.eat(TokenKind::LeftParen) {
            return Ok(vec![]);
        }
        let parameters = self.list(|cursor| {
            let token = cursor.expect(TokenKind::Integer)?;
            // A number too long for this is beyond every limit that is checked.
            Ok((cursor.text_of(token.span).parse().unwrap_or(usize::MAX), token.span))
        })?;
        self.expect(TokenKind::RightParen)?;
        Ok(parameters)
    }

    fn decimal_type(&mut self) -> Parsed<DataType> {
        let start = self.previous();
        let parameters = self.type_parameters()?;
        let span = self.since(start);
        let precision = parameters.first().map_or(DECIMAL_DIGITS_MAX, |(digits, _)| *digits);
        let scale = parameters.get(1).map_or(0, |(digits, _)| *digits);
        let valid =
            (1..=DECIMAL_DIGITS_MAX).contains(&precision) && scale <= precision && parameters.len() <= 2;
        match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision), Ok(scale)) if valid => Ok(DataType::Decimal { precision, scale }),
            _ => {
                let message = "DECIMAL takes a precision of 1 to 38 digits and a scale of at most as many";
                Err(Failure::new(SqlErrorKind::UnknownType, span, message))
            }
        }
    }
}

fn unknown_type(name: &str, span: Span) -> Box<Failure> {
    const NAMES: &[&str] = &[
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "REAL",
        "DOUBLE",
        "DECIMAL",
        "VARCHAR",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "INTERVAL DAY TO SECOND",
    ];
    let message = format!("there is no type `{name}`; the types are {}", NAMES.join(", "));
    Failure::new(SqlErrorKind::UnknownType, span, message).with_nearest(name, NAMES.iter().copied())
}

/// `[+ | -] digits [. digits]`, of at most 38 digits that count.
fn read_decimal(text: &str) -> Result<Literal, String> {
    let malformed = || format!("{text:?} is no decimal of at most 38 digits; write it as '12.50'");
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: String = [whole, fraction].concat();
    let counting = all.trim_start_matches('0');
    let only_digits = all.bytes().all(|byte| byte.is_ascii_digit());
    if all.is_empty()
        || !only_digits
        || counting.len() > DECIMAL_DIGITS_MAX
        || fraction.len() > DECIMAL_DIGITS_MAX
    {
        return Err(malformed());
    }
    let value: i128 = if counting.is_empty() { 0 } else { counting.parse().map_err(|_| malformed())? };
    let scale = i8::try_from(fraction.len()).map_err(|_| malformed())?;
    Ok(Literal::Decimal { unscaled: if negative { -value } else { value }, scale })
}
