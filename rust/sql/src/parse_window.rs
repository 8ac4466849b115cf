//! `SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...`: queries of windows, as Flink spells them.

use cepheid_ir::Frame;

use crate::ast::{Item, Name, Node, WindowSelect, WindowSource};
use crate::cursor::Cursor;
use crate::error::{Failure, Parsed, SqlErrorKind};
use crate::lexer::{Token, TokenKind};
use crate::parse_query::{BEYOND, refuse_too_many};

/// A function that puts rows into windows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Windowing {
    Tumble,
    Hop,
    Session,
}

impl Windowing {
    const ALL: [(&'static str, Self); 3] =
        [("TUMBLE", Self::Tumble), ("HOP", Self::Hop), ("SESSION", Self::Session)];

    /// Its parameters, in order; the last may be left out where it is `OFFSET`.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Tumble => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
            Self::Hop => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
            Self::Session => &["DATA", "TIMECOL", "GAP"],
        }
    }
}

/// What the arguments have said so far.
#[derive(Default)]
struct Arguments {
    data: Option<(Name, Vec<Name>)>,
    time: Option<Name>,
    /// Spans in nanoseconds, by the name of the parameter.
    spans: Vec<(&'static str, i64)>,
}

impl Arguments {
    fn has(&self, parameter: &str) -> bool {
        match parameter {
            "DATA" => self.data.is_some(),
            "TIMECOL" => self.time.is_some(),
            _ => self.span(parameter).is_some(),
        }
    }

    fn span(&self, parameter: &str) -> Option<i64> {
        self.spans.iter().find(|(name, _)| *name == parameter).map(|(_, span)| *span)
    }
}

/// Clauses that an alias without `AS` cannot be taken for.
const TAIL: &[&str] = &["WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "MATCH_RECOGNIZE"];

impl Cursor<'_> {
    /// Whether a table function stands here, where a table could.
    pub(crate) fn at_window(&self) -> bool {
        self.at_word("TABLE") && self.peek_ahead(1).kind == TokenKind::LeftParen
    }

    /// What stands behind `SELECT ... FROM`, to the end.
    pub(crate) fn window_query(&mut self, items: Vec<Item>) -> Parsed<WindowSelect> {
        self.expect_word("TABLE")?;
        self.expect(TokenKind::LeftParen)?;
        let source = self.window_source()?;
        self.expect(TokenKind::RightParen)?;
        self.refuse_beyond_window()?;
        let named = self.eat_word("AS") || (self.at_name() && !self.at_any_word(TAIL));
        let alias = if named { Some(self.name("an alias")?) } else { None };
        self.refuse_beyond_window()?;
        let filter = self.filter()?;
        self.refuse_beyond_window()?;
        let start = self.peek();
        if !self.eat_words(&["GROUP", "BY"]) {
            let mut failure = self.unexpected(&["GROUP BY"]);
            if self.at(TokenKind::End) {
                "a query of windows groups its rows; add GROUP BY window_start, window_end and the keys"
                    .clone_into(&mut failure.message);
            }
            return Err(failure);
        }
        let group_by = self.list(Self::grouped)?;
        let group_by_span = self.since(start);
        refuse_too_many("GROUP BY", group_by.len(), group_by_span)?;
        self.refuse_beyond_window()?;
        let tail = self.peek();
        let having = if self.eat_word("HAVING") { Some(self.expression()?) } else { None };
        self.refuse_beyond_window()?;
        let order = self.order()?;
        let beyond_window = (self.peek().span.start > tail.span.start).then_some(tail.span);
        self.refuse_beyond_window()?;
        self.eat(TokenKind::Semicolon);
        self.end_of_text(&["the end of the query"])?;
        Ok(WindowSelect {
            items,
            source,
            alias,
            filter,
            group_by,
            group_by_span,
            having,
            order,
            beyond_window,
        })
    }

    /// One of the columns of `GROUP BY`, perhaps with a qualifier.
    fn grouped(&mut self) -> Parsed<Node> {
        let sets = self.at_words(&["GROUPING", "SETS"]);
        if sets || (self.at_any_word(&["ROLLUP", "CUBE"]) && self.peek_ahead(1).kind == TokenKind::LeftParen)
        {
            return Err(Failure::beyond_one_window(self.peek().span, "more than one grouping"));
        }
        self.expression()
    }

    fn refuse_beyond_window(&self) -> Parsed<()> {
        if self.at(TokenKind::Comma) {
            return Err(Failure::beyond_one_window(self.peek().span, "a second table"));
        }
        let known = BEYOND.iter().filter(|(word, _)| !matches!(*word, "GROUP" | "HAVING"));
        for (word, construct) in known.chain(&[("MATCH_RECOGNIZE", "a pattern over windows")]) {
            if self.at_word(word) {
                return Err(Failure::beyond_one_window(self.peek().span, construct));
            }
        }
        Ok(())
    }

    /// `TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL ... [, offset])`, or `HOP` or `SESSION`, arguments by place or name.
    fn window_source(&mut self) -> Parsed<WindowSource> {
        let start = self.peek();
        let windowing = self.windowing()?;
        self.expect(TokenKind::LeftParen)?;
        let parameters = windowing.parameters();
        let mut arguments = Arguments::default();
        let mut by_name = false;
        for place in 0.. {
            let parameter = if self.at_argument_name() {
                by_name = true;
                self.argument_name(parameters, &arguments)?
            } else if by_name {
                return Err(self.unexpected(&["the name of an argument"]));
            } else if let Some(parameter) = parameters.get(place) {
                *parameter
            } else {
                return Err(self.unexpected(&["`)`"]));
            };
            self.argument(windowing, parameter, &mut arguments)?;
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        let missing = parameters.iter().find(|name| **name != "OFFSET" && !arguments.has(name));
        if let Some(missing) = missing {
            let mut failure = self.unexpected(&[]);
            failure.message = format!("{missing} is missing: {}", usage(windowing));
            return Err(failure);
        }
        self.expect(TokenKind::RightParen)?;
        let frame = frame(windowing, &arguments);
        let span = self.since(start);
        let (Some((table, partition_by)), Some(time)) = (arguments.data, arguments.time) else {
            return Err(self.unexpected(&["a table", "DESCRIPTOR"]));
        };
        Ok(WindowSource { table, time, partition_by, frame, span })
    }

    fn windowing(&mut self) -> Parsed<Windowing> {
        if let Some((_, windowing)) = Windowing::ALL.into_iter().find(|(name, _)| self.at_word(name)) {
            self.advance();
            return Ok(windowing);
        }
        if self.at_word("CUMULATE") {
            let message = "CUMULATE has no counterpart here; TUMBLE by the step, and sum up the Arrow result in DuckDB or Polars";
            return Err(Failure::unsupported(self.peek().span, message));
        }
        let called = self.at_name() && self.peek_ahead(1).kind == TokenKind::LeftParen;
        let expected = Windowing::ALL.map(|(name, _)| name);
        let mut failure = self.unexpected(&expected);
        if called {
            failure.kind = SqlErrorKind::UnknownFunction;
        }
        Err(failure)
    }

    /// Whether `NAME =>` stands here.
    fn at_argument_name(&self) -> bool {
        let [equal, greater] = [1, 2].map(|ahead| self.peek_ahead(ahead));
        self.at_name()
            && (equal.kind, greater.kind) == (TokenKind::Equal, TokenKind::Greater)
            && equal.span.end == greater.span.start
    }

    fn argument_name(&mut self, parameters: &[&'static str], arguments: &Arguments) -> Parsed<&'static str> {
        let Some(parameter) = parameters.iter().find(|name| self.at_word(name)) else {
            return Err(self.unexpected(parameters));
        };
        if arguments.has(parameter) {
            return Err(Failure::syntax(self.peek().span, format!("{parameter} is given twice")));
        }
        for _ in ["name", "=", ">"] {
            self.advance();
        }
        Ok(parameter)
    }

    fn argument(
        &mut self,
        windowing: Windowing,
        parameter: &'static str,
        arguments: &mut Arguments,
    ) -> Parsed<()> {
        let start = self.peek();
        match parameter {
            "DATA" => arguments.data = Some(self.windowed_table(windowing)?),
            "TIMECOL" => {
                self.expect_word("DESCRIPTOR")?;
                self.expect(TokenKind::LeftParen)?;
                arguments.time = Some(self.name("the column of the event time")?);
                self.expect(TokenKind::RightParen)?;
            }
            _ => {
                let span = self.span_of_time(start, parameter, &["INTERVAL"])?;
                self.check_span(parameter, span, start)?;
                arguments.spans.push((parameter, span));
            }
        }
        Ok(())
    }

    fn check_span(&self, parameter: &str, span: i64, start: Token) -> Parsed<()> {
        if span > 0 || parameter == "OFFSET" {
            return Ok(());
        }
        let message = format!("{parameter} must be longer than zero");
        Err(Failure::new(SqlErrorKind::InvalidLiteral, self.since(start), message))
    }

    /// `TABLE t [PARTITION BY k | PARTITION BY (k, ...)]`.
    fn windowed_table(&mut self, windowing: Windowing) -> Parsed<(Name, Vec<Name>)> {
        self.expect_word("TABLE")?;
        let table = self.name("the name of a table")?;
        if self.at(TokenKind::Dot) {
            let message =
                "a table has one name here, that of the argument it is given as; leave the schema out";
            return Err(Failure::unsupported(self.peek().span, message));
        }
        let place = self.peek();
        if !self.eat_words(&["PARTITION", "BY"]) {
            return Ok((table, vec![]));
        }
        if windowing != Windowing::Session {
            let message = "only sessions have a PARTITION BY; keys of other windows stand in GROUP BY";
            return Err(Failure::unsupported(place.span, message));
        }
        let column = |cursor: &mut Self| cursor.name("the name of a column");
        if !self.eat(TokenKind::LeftParen) {
            return Ok((table, vec![column(self)?]));
        }
        let columns = self.list(column)?;
        self.expect(TokenKind::RightParen)?;
        Ok((table, columns))
    }
}

fn usage(windowing: Windowing) -> &'static str {
    match windowing {
        Windowing::Tumble => "TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset])",
        Windowing::Hop => "HOP(TABLE t, DESCRIPTOR(ts), slide, size [, offset])",
        Windowing::Session => "SESSION(TABLE t [PARTITION BY k], DESCRIPTOR(ts), gap)",
    }
}

/// The frame; every span but `OFFSET` is there, and longer than zero.
fn frame(windowing: Windowing, arguments: &Arguments) -> Frame {
    let span = |parameter| arguments.span(parameter).unwrap_or(1);
    let every_ns = match windowing {
        Windowing::Tumble => span("SIZE"),
        Windowing::Hop => span("SLIDE"),
        Windowing::Session => return Frame::Session { gap_ns: span("GAP") },
    };
    // One step on, the grid is the same.
    let offset_ns = arguments.span("OFFSET").unwrap_or(0).rem_euclid(every_ns);
    Frame::Time { size_ns: span("SIZE"), every_ns, offset_ns }
}
