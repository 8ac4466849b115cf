//! `SELECT ... FROM table MATCH_RECOGNIZE (...) ...`, what it has in common with a query of windows, and what of SQL
//! lies beyond it.

use cepheid_ir::limits;

use crate::ast::{Item, Name, Node, Order, Recognition, Select, Statement};
use crate::cursor::Cursor;
use crate::error::{Failure, Parsed};
use crate::lexer::TokenKind;
use crate::span::Span;

/// What cannot stand after the `MATCH_RECOGNIZE` clause, and how it is named in the refusal.
pub(crate) const BEYOND: &[(&str, &str)] = &[
    ("JOIN", "a join"),
    ("INNER", "a join"),
    ("LEFT", "a join"),
    ("RIGHT", "a join"),
    ("FULL", "a join"),
    ("CROSS", "a join"),
    ("NATURAL", "a join"),
    ("GROUP", "GROUP BY"),
    ("HAVING", "HAVING"),
    ("WINDOW", "WINDOW"),
    ("QUALIFY", "QUALIFY"),
    ("TABLESAMPLE", "TABLESAMPLE"),
    ("UNION", "UNION"),
    ("INTERSECT", "INTERSECT"),
    ("EXCEPT", "EXCEPT"),
];

/// Clauses that an alias without `AS` cannot be taken for.
const TAIL: &[&str] = &["WHERE", "ORDER", "LIMIT", "OFFSET", "FETCH", "ON", "USING"];

impl Cursor<'_> {
    /// A whole query and nothing behind it but a semicolon.
    pub(crate) fn statement(&mut self) -> Parsed<Statement> {
        if self.at_word("WITH") {
            return Err(Failure::beyond_one_pattern(self.peek().span, "WITH"));
        }
        self.expect_word("SELECT")?;
        if self.at_word("DISTINCT") {
            return Err(Failure::beyond_one_pattern(self.peek().span, "SELECT DISTINCT"));
        }
        let items_start = self.peek();
        let items = self.list(Self::item)?;
        let items_span = self.since(items_start);
        refuse_too_many("the select list", items.len(), items_span)?;
        if !self.eat_word("FROM") {
            return Err(self.unexpected(&["FROM", "`,`", "an operator"]));
        }
        if self.at_window() {
            return Ok(Statement::Window(Box::new(self.window_query(items)?)));
        }
        Ok(Statement::Pattern(Box::new(self.pattern_query(items, items_span)?)))
    }

    /// What stands behind `SELECT ... FROM`.
    fn pattern_query(&mut self, items: Vec<Item>, items_span: Span) -> Parsed<Select> {
        let table = self.table()?;
        let recognition = self.recognition()?;
        let alias = self.matches_alias()?;
        let mut select = Select {
            beyond_pattern: (!matches!(items[..], [Item::All { .. }])).then_some(items_span),
            items,
            table,
            recognition,
            alias,
            filter: None,
            order: Order::default(),
        };
        let tail = self.peek();
        self.refuse_beyond()?;
        select.filter = self.filter()?;
        self.refuse_beyond()?;
        select.order = self.order()?;
        if self.peek().span.start > tail.span.start {
            select.beyond_pattern.get_or_insert(tail.span);
        }
        self.end_of_query()?;
        Ok(select)
    }

    /// `MATCH_RECOGNIZE (...)` alone and nothing behind it but a semicolon.
    pub(crate) fn bare_recognition(&mut self) -> Parsed<Recognition> {
        let recognition = self.recognition()?;
        self.end_of_query()?;
        Ok(recognition)
    }

    pub(crate) fn end_of_text(&self, expected: &[&str]) -> Parsed<()> {
        if self.at(TokenKind::End) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn end_of_query(&mut self) -> Parsed<()> {
        self.refuse_beyond()?;
        self.eat(TokenKind::Semicolon);
        self.end_of_text(&["the end of the query"])
    }

    fn refuse_beyond(&self) -> Parsed<()> {
        if self.at(TokenKind::Comma) {
            return Err(Failure::beyond_one_pattern(self.peek().span, "a second table"));
        }
        for (word, construct) in BEYOND {
            if self.at_word(word) {
                return Err(Failure::beyond_one_pattern(self.peek().span, construct));
            }
        }
        Ok(())
    }

    /// One entry of the select list.
    fn item(&mut self) -> Parsed<Item> {
        if let Some(star) = self.star()? {
            return Ok(Item::All { qualifier: star.qualifier, span: star.span });
        }
        let value = self.expression()?;
        let alias = if self.eat_word("AS") || self.at_name() { Some(self.name("an alias")?) } else { None };
        Ok(Item::Value { value, alias })
    }

    /// The one table, with or without an alias of its own, which nothing can use.
    fn table(&mut self) -> Parsed<Name> {
        if self.at(TokenKind::LeftParen) {
            return Err(Failure::beyond_one_pattern(self.peek().span, "a subquery"));
        }
        let table = self.name("the name of a table")?;
        match self.peek().kind {
            TokenKind::Dot => {
                let message =
                    "a table has one name here, that of the argument it is given as; leave the schema out";
                return Err(Failure::unsupported(self.peek().span, message));
            }
            TokenKind::LeftParen => {
                return Err(Failure::beyond_one_pattern(self.peek().span, "a table function"));
            }
            _ => {}
        }
        self.refuse_beyond()?;
        if self.eat_word("AS") {
            self.name("an alias")?;
        } else if self.at_name() && !self.at_word("MATCH_RECOGNIZE") && !self.at_any_word(TAIL) {
            let alias = self.name("an alias")?;
            if !self.at_word("MATCH_RECOGNIZE") {
                self.refuse_beyond()?;
                let mut failure = self.unexpected(&["MATCH_RECOGNIZE"]);
                if let Some(nearest) = crate::error::nearest(&alias.text, ["MATCH_RECOGNIZE"]) {
                    failure.span = alias.span;
                    failure.message = format!("`{}` cannot stand here", alias.text);
                    failure.nearest = Some(nearest);
                }
                return Err(failure);
            }
        }
        self.refuse_beyond()?;
        Ok(table)
    }

    /// `[AS] alias` behind the clause.
    fn matches_alias(&mut self) -> Parsed<Option<Name>> {
        self.refuse_beyond()?;
        if !self.eat_word("AS") && (!self.at_name() || self.at_any_word(TAIL)) {
            return Ok(None);
        }
        let alias = self.name("an alias")?;
        if self.at(TokenKind::LeftParen) {
            let message =
                "columns of the matches are named by their measures; a list of names cannot stand here";
            return Err(Failure::unsupported(self.peek().span, message));
        }
        Ok(Some(alias))
    }

    /// `WHERE`, if it stands here.
    pub(crate) fn filter(&mut self) -> Parsed<Option<Node>> {
        if self.eat_word("WHERE") { self.expression().map(Some) } else { Ok(None) }
    }

    /// `ORDER BY`, `OFFSET` and `LIMIT`, the last two in either order.
    pub(crate) fn order(&mut self) -> Parsed<Order> {
        let mut order = Order::default();
        let start = self.peek();
        if self.eat_words(&["ORDER", "BY"]) {
            order.by = self.list(|cursor| {
                let value = cursor.expression()?;
                cursor.sort_item(value)
            })?;
            refuse_too_many("ORDER BY", order.by.len(), self.since(start))?;
        }
        let (mut offset, mut limit) = (false, false);
        loop {
            if !offset && self.eat_word("OFFSET") {
                offset = true;
                order.offset = self.row_count()?;
                let _ = self.eat_word("ROWS") || self.eat_word("ROW");
            } else if !limit && self.eat_word("LIMIT") {
                limit = true;
                order.limit = if self.eat_word("ALL") { None } else { Some(self.row_count()?) };
            } else if !limit && self.at_word("FETCH") {
                limit = true;
                order.limit = Some(self.fetch()?);
            } else {
                return Ok(order);
            }
        }
    }

    /// `FETCH (FIRST | NEXT) [n] (ROW | ROWS) ONLY`.
    fn fetch(&mut self) -> Parsed<u64> {
        self.advance();
        if !self.eat_word("FIRST") && !self.eat_word("NEXT") {
            return Err(self.unexpected(&["FIRST", "NEXT"]));
        }
        let count = if self.at(TokenKind::Integer) { self.row_count()? } else { 1 };
        if !self.eat_word("ROWS") && !self.eat_word("ROW") {
            return Err(self.unexpected(&["ROWS", "ROW"]));
        }
        if self.at_words(&["WITH", "TIES"]) {
            return Err(Failure::beyond_one_pattern(self.peek().span, "WITH TIES"));
        }
        self.expect_word("ONLY")?;
        Ok(count)
    }
}

pub(crate) fn refuse_too_many(clause: &str, items: usize, span: Span) -> Parsed<()> {
    if items > limits::CLAUSE_ITEMS_MAX {
        let what = format!("{clause} has {items} items");
        return Err(Failure::limit(span, &what, limits::CLAUSE_ITEMS_MAX));
    }
    Ok(())
}
