//! Spans of time and of rows: `WITHIN`, as a clause and behind a part, and the time to be absent for.

use cepheid_ir::{Between, Interval, PatternError, PatternNode, Within};

use crate::cursor::Cursor;
use crate::error::{Failure, Parsed, SqlErrorKind};
use crate::lexer::{Token, TokenKind};
use crate::span::Span;

impl Cursor<'_> {
    /// `WITHIN INTERVAL '...' unit`, `WITHIN n ROWS`, or `WITHIN UNBOUNDED`, which a stream may be told.
    pub(crate) fn within_clause(&mut self) -> Parsed<(Within, Span)> {
        if self.word_ahead(1, "UNBOUNDED") {
            let start = self.advance();
            self.advance();
            return Ok((Within::Unbounded, self.since(start)));
        }
        self.within(&["INTERVAL", "a whole number", "UNBOUNDED"])
    }

    /// A part and the bound behind it, if one is.
    pub(crate) fn bounded(&mut self, node: PatternNode) -> Parsed<PatternNode> {
        if !self.at_bound() {
            return Ok(node);
        }
        let (within, span) = self.within(&["INTERVAL", "a whole number"])?;
        if matches!(within, Within::Time { nanoseconds } if nanoseconds <= 0) {
            return Err(Failure::pattern(PatternError::InvalidWithin, span));
        }
        let between = if self.eat_word("BETWEEN") {
            self.expect_word("NEIGHBOURS")?;
            Between::Neighbours
        } else {
            Between::FirstToLast
        };
        if self.at_bound() {
            let message = "a part takes one bound; to bound a bounded part, put it in parentheses";
            return Err(Failure::syntax(self.peek().span, message));
        }
        Ok(PatternNode::Bounded { node: Box::new(node), within, between })
    }

    /// Whether `WITHIN` at the cursor is the word, and not a variable of that name.
    fn at_bound(&self) -> bool {
        self.at_word("WITHIN")
            && (self.peek_ahead(1).kind == TokenKind::Integer
                || (self.word_ahead(1, "INTERVAL") && self.begins_interval(1)))
    }

    fn within(&mut self, expected: &[&str]) -> Parsed<(Within, Span)> {
        let start = self.advance();
        if self.at(TokenKind::Integer) {
            let rows = self.row_count()?;
            if !self.eat_word("ROWS") {
                self.expect_word("ROW")?;
            }
            return Ok((Within::Rows(rows), self.since(start)));
        }
        let nanoseconds = self.span_of_time(start, "WITHIN", expected)?;
        Ok((Within::Time { nanoseconds }, self.since(start)))
    }

    /// `INTERVAL '...' unit` of a fixed length; `start` is the word before it, `what` how an error calls it.
    pub(crate) fn span_of_time(&mut self, start: Token, what: &str, expected: &[&str]) -> Parsed<i64> {
        let interval = if self.at_word("INTERVAL") { self.interval_literal()? } else { None };
        let Some(Interval { months, nanoseconds }) = interval else {
            return Err(self.unexpected(expected));
        };
        if months != 0 {
            let message =
                format!("{what} needs a span of fixed length; months and years have none, so count days");
            return Err(Failure::new(SqlErrorKind::InvalidLiteral, self.since(start), message));
        }
        Ok(nanoseconds)
    }

    /// How many rows a clause counts.
    pub(crate) fn row_count(&mut self) -> Parsed<u64> {
        let span = self.expect(TokenKind::Integer)?.span;
        self.text_of(span).parse().map_err(|_| {
            let message = "this number of rows does not fit 64 bits";
            Failure::new(SqlErrorKind::InvalidLiteral, span, message)
        })
    }
}
