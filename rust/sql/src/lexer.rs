//! Text to tokens, each with its span. Keywords are words: whether a word is one depends on where it stands.

use crate::error::{Failure, Parsed, SqlErrorKind};
use crate::span::Span;

/// What a token is; its text is read back from the source by its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a name that was not quoted.
    Word,
    /// `"..."`
    QuotedWord,
    /// `'...'`
    String,
    /// Digits only.
    Integer,
    /// A number with a point or an exponent.
    Float,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    /// `{-`
    ExclusionStart,
    /// `-}`
    ExclusionEnd,
    Comma,
    Dot,
    Semicolon,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    /// `||`
    Concat,
    /// `|`
    Bar,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Question,
    Caret,
    Dollar,
    /// `->`
    Arrow,
    /// `->>`
    DoubleArrow,
    /// After the last token.
    End,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// Splits the text; the last token is [`TokenKind::End`]. Takes time linear in the text.
pub(crate) fn tokens(text: &str) -> Parsed<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank()?;
        let token = lexer.token()?;
        found.push(token);
        if token.kind == TokenKind::End {
            return Ok(found);
        }
    }
}

/// Whether a text is a word that needs no quotes.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(begins_word) && text.chars().all(continues_word)
}

fn begins_word(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn continues_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Passes over the longest run of characters that fit.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !fits(c)).unwrap_or(rest.len());
    }

    fn skip_blank(&mut self) -> Parsed<()> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("--") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let start = self.at;
                match self.text[start + 2..].find("*/") {
                    Some(length) => self.at = start + 2 + length + 2,
                    None => {
                        let span = Span { start, end: start + 2 };
                        return Err(Failure::syntax(span, "this comment is not closed; end it with */"));
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Parsed<Token> {
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token { kind: TokenKind::End, span: Span { start, end: start } });
        };
        let kind = match first {
            '\'' => self.quoted('\'', TokenKind::String)?,
            '"' => self.quoted('"', TokenKind::QuotedWord)?,
            '0'..='9' => self.number()?,
            '.' if self.byte(1).is_some_and(|next| next.is_ascii_digit()) => self.number()?,
            c if begins_word(c) => {
                self.take_while(continues_word);
                TokenKind::Word
            }
            _ => self.punctuation(first)?,
        };
        Ok(Token { kind, span: Span { start, end: self.at } })
    }

    /// A quoted text, in which the quote itself is written twice.
    fn quoted(&mut self, quote: char, kind: TokenKind) -> Parsed<TokenKind> {
        let start = self.at;
        self.at += 1;
        loop {
            let Some(length) = self.rest().find(quote) else {
                let span = Span { start, end: start + 1 };
                let what = if kind == TokenKind::String { "string" } else { "quoted name" };
                return Err(Failure::syntax(span, format!("this {what} is not closed; end it with {quote}")));
            };
            self.at += length + 1;
            if !self.rest().starts_with(quote) {
                break;
            }
            self.at += 1;
        }
        if kind == TokenKind::QuotedWord && self.at == start + 2 {
            return Err(Failure::syntax(Span { start, end: self.at }, "a name cannot be empty"));
        }
        Ok(kind)
    }

    fn number(&mut self) -> Parsed<TokenKind> {
        let start = self.at;
        let mut kind = TokenKind::Integer;
        let digit = |c: char| c.is_ascii_digit();
        self.take_while(digit);
        if self.byte(0) == Some(b'.') {
            kind = TokenKind::Float;
            self.at += 1;
            self.take_while(digit);
        }
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
            if self.byte(1 + sign).is_some_and(|next| next.is_ascii_digit()) {
                kind = TokenKind::Float;
                self.at += 1 + sign;
                self.take_while(digit);
            }
        }
        if self.rest().starts_with(continues_word) {
            self.take_while(continues_word);
            let span = Span { start, end: self.at };
            let text = &self.text[start..self.at];
            return Err(Failure::new(
                SqlErrorKind::InvalidLiteral,
                span,
                format!("`{text}` is no number; a name that begins with a digit is written in double quotes"),
            ));
        }
        Ok(kind)
    }

    fn punctuation(&mut self, first: char) -> Parsed<TokenKind> {
        use TokenKind::*;
        let longer = match (first, self.byte(1), self.byte(2)) {
            ('-', Some(b'>'), Some(b'>')) => Some((DoubleArrow, 3)),
            ('-', Some(b'>'), _) => Some((Arrow, 2)),
            ('-', Some(b'}'), _) => Some((ExclusionEnd, 2)),
            ('{', Some(b'-'), _) => Some((ExclusionStart, 2)),
            ('|', Some(b'|'), _) => Some((Concat, 2)),
            ('<', Some(b'>'), _) | ('!', Some(b'='), _) => Some((NotEqual, 2)),
            ('<', Some(b'='), _) => Some((LessOrEqual, 2)),
            ('>', Some(b'='), _) => Some((GreaterOrEqual, 2)),
            _ => None,
        };
        if let Some((kind, length)) = longer {
            self.at += length;
            return Ok(kind);
        }
        let kind = match first {
            '(' => LeftParen,
            ')' => RightParen,
            '{' => LeftBrace,
            '}' => RightBrace,
            '[' => LeftBracket,
            ']' => RightBracket,
            ',' => Comma,
            '.' => Dot,
            ';' => Semicolon,
            '+' => Plus,
            '-' => Minus,
            '*' => Star,
            '/' => Slash,
            '%' => Percent,
            '|' => Bar,
            '=' => Equal,
            '<' => Less,
            '>' => Greater,
            '?' => Question,
            '^' => Caret,
            '$' => Dollar,
            other => {
                let span = Span { start: self.at, end: self.at + other.len_utf8() };
                let hint = match other {
                    '`' => "; names are quoted with double quotes",
                    ':' => "; a conversion is written CAST(x AS type)",
                    '!' => "; negation is written NOT",
                    '&' => "; a conjunction is written AND",
                    '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => "; quotes are straight: ' and \"",
                    _ => "",
                };
                let message = format!("the character {other:?} has no meaning in SQL{hint}");
                return Err(Failure::syntax(span, message));
            }
        };
        self.at += first.len_utf8();
        Ok(kind)
    }
}

impl TokenKind {
    /// How the token is named in an error.
    pub(crate) fn describe(self) -> &'static str {
        use TokenKind::*;
        match self {
            Word | QuotedWord => "a name",
            String => "a string",
            Integer => "a whole number",
            Float => "a number",
            LeftParen => "`(`",
            RightParen => "`)`",
            LeftBrace => "`{`",
            RightBrace => "`}`",
            LeftBracket => "`[`",
            RightBracket => "`]`",
            ExclusionStart => "`{-`",
            ExclusionEnd => "`-}`",
            Comma => "`,`",
            Dot => "`.`",
            Semicolon => "`;`",
            Plus => "`+`",
            Minus => "`-`",
            Star => "`*`",
            Slash => "`/`",
            Percent => "`%`",
            Concat => "`||`",
            Bar => "`|`",
            Equal => "`=`",
            NotEqual => "`<>`",
            Less => "`<`",
            LessOrEqual => "`<=`",
            Greater => "`>`",
            GreaterOrEqual => "`>=`",
            Question => "`?`",
            Caret => "`^`",
            Dollar => "`$`",
            Arrow => "`->`",
            DoubleArrow => "`->>`",
            End => "the end of the text",
        }
    }
}
