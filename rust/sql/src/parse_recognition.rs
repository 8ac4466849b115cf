//! `MATCH_RECOGNIZE ( ... )`: its clauses, in the standard's order.

use cepheid_ir::{RowsPerMatch, SkipRow};

use crate::ast::{Aggregation, Clauses, Name, Node, Recognition, RowPattern, Skip, SortItem};
use crate::cursor::Cursor;
use crate::error::{Failure, Parsed, SqlErrorKind};
use crate::lexer::TokenKind;
use crate::span::Span;

/// The clauses, in the order in which they must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Clause {
    PartitionBy,
    OrderBy,
    Measures,
    Aggregate,
    RowsPerMatch,
    AfterMatch,
    Search,
    Pattern,
    Within,
    Subset,
    Define,
}

impl Clause {
    const ALL: [Self; 11] = [
        Self::PartitionBy,
        Self::OrderBy,
        Self::Measures,
        Self::Aggregate,
        Self::RowsPerMatch,
        Self::AfterMatch,
        Self::Search,
        Self::Pattern,
        Self::Within,
        Self::Subset,
        Self::Define,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::PartitionBy => "PARTITION BY",
            Self::OrderBy => "ORDER BY",
            Self::Measures => "MEASURES",
            Self::Aggregate => "AGGREGATE",
            Self::RowsPerMatch => "ONE ROW | ALL ROWS PER MATCH",
            Self::AfterMatch => "AFTER MATCH",
            Self::Search => "INITIAL | SEEK | ALL MATCHES",
            Self::Pattern => "PATTERN",
            Self::Within => "WITHIN",
            Self::Subset => "SUBSET",
            Self::Define => "DEFINE",
        }
    }
}

const ORDER: &str = "PARTITION BY, ORDER BY, MEASURES or AGGREGATE, ONE ROW or ALL ROWS PER MATCH, AFTER MATCH, INITIAL or SEEK \
    or ALL MATCHES, PATTERN, WITHIN, SUBSET, DEFINE";

impl Cursor<'_> {
    /// `MATCH_RECOGNIZE ( clauses )`.
    pub(crate) fn recognition(&mut self) -> Parsed<Recognition> {
        self.expect_word("MATCH_RECOGNIZE")?;
        self.expect(TokenKind::LeftParen)?;
        let mut clauses = Clauses::default();
        let mut pattern = None;
        let mut last: Option<Clause> = None;
        while !self.at(TokenKind::RightParen) {
            let Some(clause) = self.clause() else { return Err(self.no_clause(last)) };
            if let Some(last) = last
                && clause <= last
            {
                return Err(out_of_order(self.peek().span, clause, last));
            }
            self.clause_body(clause, &mut clauses, &mut pattern)?;
            last = Some(clause);
        }
        let Some(pattern) = pattern else {
            return Err(self.no_clause(last));
        };
        self.advance();
        Ok(Recognition { pattern, clauses })
    }

    /// The clause that begins at the cursor.
    fn clause(&self) -> Option<Clause> {
        let begins = |clause: &Clause| match clause {
            Clause::PartitionBy => self.at_words(&["PARTITION", "BY"]),
            Clause::OrderBy => self.at_words(&["ORDER", "BY"]),
            Clause::Measures => self.at_word("MEASURES"),
            Clause::Aggregate => self.at_word("AGGREGATE"),
            Clause::RowsPerMatch => self.at_words(&["ONE", "ROW"]) || self.at_words(&["ALL", "ROWS"]),
            Clause::AfterMatch => self.at_words(&["AFTER", "MATCH"]),
            Clause::Search => self.at_any_word(&["INITIAL", "SEEK"]) || self.at_words(&["ALL", "MATCHES"]),
            Clause::Pattern => self.at_word("PATTERN") && self.peek_ahead(1).kind == TokenKind::LeftParen,
            Clause::Within => self.at_word("WITHIN"),
            Clause::Subset => self.at_word("SUBSET"),
            Clause::Define => self.at_word("DEFINE"),
        };
        Clause::ALL.into_iter().find(begins)
    }

    /// No clause begins at the cursor, or the one that is needed is missing.
    fn no_clause(&self, last: Option<Clause>) -> Box<Failure> {
        let may_follow = Clause::ALL.into_iter().filter(|clause| last.is_none_or(|last| *clause > last));
        let mut expected: Vec<&str> = may_follow.map(Clause::name).collect();
        if last.is_some_and(|last| last >= Clause::Pattern) {
            expected.push("`)`");
        }
        self.unexpected(&expected)
    }

    fn clause_body(
        &mut self,
        clause: Clause,
        clauses: &mut Clauses,
        pattern: &mut Option<RowPattern>,
    ) -> Parsed<()> {
        match clause {
            Clause::PartitionBy => {
                self.expect_words(&["PARTITION", "BY"])?;
                clauses.partition_by = self.list(|cursor| cursor.plain_column())?;
            }
            Clause::OrderBy => {
                self.expect_words(&["ORDER", "BY"])?;
                clauses.order_by = self.list(|cursor| {
                    let column = cursor.plain_column()?;
                    cursor.sort_item(column)
                })?;
            }
            Clause::Measures => {
                self.advance();
                clauses.measures = self.named_values("the name of the measure")?;
            }
            Clause::Aggregate => {
                let start = self.advance();
                let values = self.named_values("the name of the value")?;
                let every_ns = if self.at_word("EVERY") {
                    let every = self.advance();
                    Some(self.span_of_time(every, "EVERY", &["INTERVAL"])?)
                } else {
                    None
                };
                clauses.aggregate = Some(Aggregation { values, every_ns, span: self.since(start) });
            }
            Clause::RowsPerMatch => {
                clauses.rows_per_match = Some(self.rows_per_match()?);
                clauses.timeouts = self.eat_words(&["WITH", "TIMEOUT", "ROWS"]);
            }
            Clause::AfterMatch => clauses.skip = Some(self.skip()?),
            Clause::Search => {
                clauses.initial = self.at_word("INITIAL");
                clauses.all_matches = self.eat_words(&["ALL", "MATCHES"]);
                if !clauses.all_matches {
                    self.advance();
                }
            }
            Clause::Pattern => {
                self.advance();
                *pattern = Some(self.row_pattern()?);
            }
            Clause::Within => clauses.within = Some(self.within_clause()?),
            Clause::Subset => {
                self.advance();
                clauses.subsets = self.list(Self::subset)?;
            }
            Clause::Define => {
                self.advance();
                clauses.define = self.list(|cursor| {
                    let variable = cursor.name("a variable")?;
                    cursor.expect_word("AS")?;
                    Ok((variable, cursor.expression()?))
                })?;
            }
        }
        Ok(())
    }

    /// `value AS name, ...`.
    fn named_values(&mut self, what: &'static str) -> Parsed<Vec<(Node, Name)>> {
        self.list(|cursor| {
            let value = cursor.expression()?;
            cursor.expect_as()?;
            Ok((value, cursor.name(what)?))
        })
    }

    /// `AS` behind an expression, where an operator could stand too.
    fn expect_as(&mut self) -> Parsed<()> {
        if self.eat_word("AS") { Ok(()) } else { Err(self.unexpected(&["AS", "an operator"])) }
    }

    fn plain_column(&mut self) -> Parsed<Name> {
        let name = self.name("the name of a column")?;
        let next = self.peek();
        match next.kind {
            TokenKind::LeftParen
            | TokenKind::Dot
            | TokenKind::Plus
            | TokenKind::Minus
            | TokenKind::Star
            | TokenKind::Slash
            | TokenKind::Percent
            | TokenKind::Concat => Err(Failure::unsupported(
                next.span,
                "rows are partitioned and ordered by columns of the table only; add the expression as a column first",
            )),
            _ => Ok(name),
        }
    }

    /// What may follow the value in an `ORDER BY`.
    pub(crate) fn sort_item<V>(&mut self, value: V) -> Parsed<SortItem<V>> {
        let descending = !self.eat_word("ASC") && self.eat_word("DESC");
        let mut nulls_first = false;
        if self.at_word("NULLS") {
            self.advance();
            nulls_first = self.eat_word("FIRST");
            if !nulls_first && !self.eat_word("LAST") {
                return Err(self.unexpected(&["FIRST", "LAST"]));
            }
        }
        Ok(SortItem { value, descending, nulls_first })
    }

    fn rows_per_match(&mut self) -> Parsed<(RowsPerMatch, Span)> {
        let start = self.peek();
        let one = self.eat_words(&["ONE", "ROW"]);
        if !one {
            self.expect_words(&["ALL", "ROWS"])?;
        }
        self.expect_words(&["PER", "MATCH"])?;
        let rows = if one {
            RowsPerMatch::One
        } else if self.eat_words(&["OMIT", "EMPTY", "MATCHES"]) {
            RowsPerMatch::AllOmitEmpty
        } else if self.eat_words(&["WITH", "UNMATCHED", "ROWS"]) {
            RowsPerMatch::AllWithUnmatched
        } else {
            self.eat_words(&["SHOW", "EMPTY", "MATCHES"]);
            RowsPerMatch::AllShowEmpty
        };
        Ok((rows, self.since(start)))
    }

    fn skip(&mut self) -> Parsed<Skip> {
        self.expect_words(&["AFTER", "MATCH"])?;
        if self.eat_word("CONSUME") {
            return Ok(Skip::Consume);
        }
        if !self.eat_word("SKIP") {
            return Err(self.unexpected(&["SKIP", "CONSUME"]));
        }
        if self.eat_word("NONE") {
            return Ok(Skip::Nowhere);
        }
        if self.eat_words(&["PAST", "LAST", "ROW"]) {
            return Ok(Skip::PastLastRow);
        }
        if self.eat_words(&["TO", "NEXT", "ROW"]) {
            return Ok(Skip::ToNextRow);
        }
        if !self.eat_word("TO") {
            return Err(self.unexpected(&[
                "PAST LAST ROW",
                "TO NEXT ROW",
                "TO FIRST",
                "TO LAST",
                "TO",
                "NONE",
            ]));
        }
        // `TO FIRST PATTERN (...)` skips to a variable named FIRST.
        let names_row = self.at_any_word(&["FIRST", "LAST"])
            && matches!(self.peek_ahead(1).kind, TokenKind::Word | TokenKind::QuotedWord)
            && !self.search_follows();
        let row = if names_row && self.eat_word("FIRST") {
            SkipRow::First
        } else {
            if names_row {
                self.advance();
            }
            SkipRow::Last
        };
        Ok(Skip::To { variable: self.name("a variable")?, row })
    }

    /// Whether one of the clauses after `AFTER MATCH` begins at the next token.
    fn search_follows(&self) -> bool {
        let pattern_at = |ahead| {
            self.word_ahead(ahead, "PATTERN") && self.peek_ahead(ahead + 1).kind == TokenKind::LeftParen
        };
        let search = self.word_ahead(1, "INITIAL") || self.word_ahead(1, "SEEK");
        pattern_at(1)
            || (search && pattern_at(2))
            || (self.word_ahead(1, "ALL") && self.word_ahead(2, "MATCHES"))
    }

    fn subset(&mut self) -> Parsed<(Name, Vec<Name>)> {
        let name = self.name("the name of the subset")?;
        self.expect(TokenKind::Equal)?;
        self.expect(TokenKind::LeftParen)?;
        let members = self.list(|cursor| cursor.name("a variable"))?;
        if !self.eat(TokenKind::RightParen) {
            return Err(self.unexpected(&["`,`", "`)`"]));
        }
        Ok((name, members))
    }
}

fn out_of_order(span: Span, clause: Clause, last: Clause) -> Box<Failure> {
    let message = if clause == last {
        format!("{} stands twice", clause.name())
    } else {
        format!("{} must stand before {}; the order is {ORDER}", clause.name(), last.name())
    };
    Failure::new(SqlErrorKind::ClauseOrder, span, message)
}
