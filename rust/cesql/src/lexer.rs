//! Text to tokens, each with its place.

use std::ops::Range;

use crate::error::{ParseError, ParseErrorKind, Parsed};

/// What a token is; its text is read back from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Letters, digits and underscores; a keyword or a name.
    Word,
    /// Digits only.
    Digits,
    /// A text in quotes of either kind.
    String,
    LeftParen,
    RightParen,
    Comma,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// After the last token.
    End,
}

/// One token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

/// Splits the text; the last token is [`TokenKind::End`]. Takes time linear in the text.
pub(crate) fn tokens(text: &str) -> Parsed<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            at += 1;
        }
        let Some(&first) = bytes.get(at) else {
            found.push(Token { kind: TokenKind::End, span: at..at });
            return Ok(found);
        };
        let (kind, length) = match (first, bytes.get(at + 1)) {
            (b'\'' | b'"', _) => (TokenKind::String, string_length(text, at)?),
            (b'(', _) => (TokenKind::LeftParen, 1),
            (b')', _) => (TokenKind::RightParen, 1),
            (b',', _) => (TokenKind::Comma, 1),
            (b'+', _) => (TokenKind::Plus, 1),
            (b'-', _) => (TokenKind::Minus, 1),
            (b'*', _) => (TokenKind::Star, 1),
            (b'/', _) => (TokenKind::Slash, 1),
            (b'%', _) => (TokenKind::Percent, 1),
            (b'=', _) => (TokenKind::Equal, 1),
            (b'!', Some(b'=')) | (b'<', Some(b'>')) => (TokenKind::NotEqual, 2),
            (b'<', Some(b'=')) => (TokenKind::LessOrEqual, 2),
            (b'<', _) => (TokenKind::Less, 1),
            (b'>', Some(b'=')) => (TokenKind::GreaterOrEqual, 2),
            (b'>', _) => (TokenKind::Greater, 1),
            (byte, _) if continues_word(byte) => {
                let length = bytes[at..].iter().take_while(|byte| continues_word(**byte)).count();
                let digits = bytes[at..at + length].iter().all(u8::is_ascii_digit);
                (if digits { TokenKind::Digits } else { TokenKind::Word }, length)
            }
            _ => return Err(stray(text, at)),
        };
        found.push(Token { kind, span: at..at + length });
        at += length;
    }
}

fn continues_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// How many bytes a text in quotes has, both quotes counted. A backslash takes the next character with it.
fn string_length(text: &str, start: usize) -> Parsed<usize> {
    let bytes = text.as_bytes();
    let quote = bytes[start];
    let mut at = start + 1;
    // Quotes and backslashes are never part of a longer character in UTF-8.
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == quote => return Ok(at + 1 - start),
            _ => at += 1,
        }
    }
    let quote = char::from(quote);
    let message =
        format!("this text is not closed; end it with {quote}, and write {quote} inside it as \\{quote}");
    Err(ParseError::new(text, ParseErrorKind::Syntax, start..start + 1, message))
}

/// A character that begins nothing.
fn stray(text: &str, at: usize) -> ParseError {
    let found = text[at..].chars().next().unwrap_or(' ');
    let message = match found {
        '!' => "`!` stands only in `!=`; a condition is negated with NOT".to_owned(),
        '.' => "attributes have no parts, and numbers no fraction: `.` stands only inside text".to_owned(),
        _ => format!("`{}` begins nothing; text stands in quotes", found.escape_debug()),
    };
    ParseError::new(text, ParseErrorKind::Syntax, at..at + found.len_utf8(), message)
}

/// What a text in quotes says: its own quote stands there behind a backslash; every other backslash is itself.
pub(crate) fn unquoted(quoted: &str) -> String {
    let quote = quoted.chars().next().unwrap_or('\'');
    let mut said = String::with_capacity(quoted.len());
    let mut rest = quoted[1..quoted.len() - 1].chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            said.push(c);
            continue;
        }
        match rest.next() {
            Some(next) if next == quote => said.push(next),
            Some(next) => said.extend(['\\', next]),
            None => said.push('\\'),
        }
    }
    said
}
