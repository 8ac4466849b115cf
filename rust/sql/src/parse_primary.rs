//! Operands of expressions: constants, columns, calls, `CASE`, `CAST`, and the functions with a syntax of their own.

use cepheid_ir::{DataType, Function, Literal, Semantics};

use crate::ast::{Call, Case, Kind, Node, Star};
use crate::cursor::{Cursor, is_reserved};
use crate::error::{Failure, Parsed};
use crate::lexer::{Token, TokenKind};
use crate::parse_expr::Level;
use crate::span::Span;

/// Fields of `EXTRACT`, each a function of its own.
const EXTRACT_FIELDS: &[Function] = &[
    Function::Year,
    Function::Quarter,
    Function::Month,
    Function::Week,
    Function::Day,
    Function::DayOfWeek,
    Function::DayOfYear,
    Function::Hour,
    Function::Minute,
    Function::Second,
    Function::Millisecond,
    Function::Microsecond,
    Function::Nanosecond,
];

/// Reads what is special to a function; the token is its name.
type SpecialForm = fn(&mut Cursor<'_>, Token) -> Parsed<Kind>;

impl Cursor<'_> {
    pub(crate) fn primary(&mut self) -> Parsed<Node> {
        let token = self.peek();
        match token.kind {
            TokenKind::Integer | TokenKind::Float => {
                self.advance();
                let literal = self.number_literal(token, false)?;
                self.node(Kind::Literal(literal), token.span)
            }
            TokenKind::String => {
                self.advance();
                let literal = Literal::String(self.unquoted(token));
                self.node(Kind::Literal(literal), token.span)
            }
            TokenKind::LeftParen => self.parenthesised(),
            TokenKind::QuotedWord => self.column_or_call(),
            TokenKind::Word => self.word(token),
            _ => Err(self.unexpected(&["an expression"])),
        }
    }

    fn parenthesised(&mut self) -> Parsed<Node> {
        self.advance();
        self.refuse_subquery()?;
        let mut node = self.expression()?;
        if self.at(TokenKind::Comma) {
            return Err(Failure::unsupported(
                self.peek().span,
                "rows of several values are not supported; compare the columns one by one",
            ));
        }
        let end = self.expect(TokenKind::RightParen)?;
        // A mistake in the operand is shown with its parentheses.
        node.span.end = end.span.end;
        Ok(node)
    }

    /// An operand that begins with a word.
    fn word(&mut self, token: Token) -> Parsed<Node> {
        if self.at_word("CASE") {
            return self.case();
        }
        self.refuse_subquery()?;
        if let Some(constant) = self.constant(token)? {
            return Ok(constant);
        }
        let next = self.peek_ahead(1);
        let semantics = match self.text_of(token.span) {
            word if word.eq_ignore_ascii_case("RUNNING") => Some(Semantics::Running),
            word if word.eq_ignore_ascii_case("FINAL") => Some(Semantics::Final),
            _ => None,
        };
        // Without a call behind it, the word is a column.
        if let Some(semantics) = semantics
            && next.kind == TokenKind::Word
            && !is_reserved(self.text_of(next.span))
            && self.peek_ahead(2).kind == TokenKind::LeftParen
        {
            self.advance();
            let name = self.advance();
            return self.call(token, name, Some((semantics, token.span)));
        }
        if next.kind == TokenKind::LeftParen
            && let Some(node) = self.special_call(token)?
        {
            return Ok(node);
        }
        self.column_or_call()
    }

    /// A constant that begins with a word.
    fn constant(&mut self, token: Token) -> Parsed<Option<Node>> {
        let value = if self.at_word("NULL") {
            Literal::Null
        } else if self.at_any_word(&["TRUE", "FALSE"]) {
            Literal::Boolean(self.at_word("TRUE"))
        } else {
            let Some(value) = self.typed_literal()? else { return Ok(None) };
            let span = self.since(token);
            return self.node(Kind::Literal(value), span).map(Some);
        };
        self.advance();
        self.node(Kind::Literal(value), token.span).map(Some)
    }

    fn column_or_call(&mut self) -> Parsed<Node> {
        if !self.at_name() {
            return Err(self.unexpected(&["an expression"]));
        }
        let first = self.advance();
        if self.at(TokenKind::LeftParen) {
            return self.call(first, first, None);
        }
        let first = self.name_of(first);
        let start = first.span;
        if !self.eat(TokenKind::Dot) {
            return self.node(Kind::Column { qualifier: None, column: first }, start);
        }
        let column = self.name("the name of a column")?;
        if self.at(TokenKind::Dot) {
            let message = "a column has one qualifier at most; fields of structs and names of schemas cannot be reached";
            return Err(Failure::unsupported(self.peek().span, message));
        }
        let span = start.to(column.span);
        self.node(Kind::Column { qualifier: Some(first), column }, span)
    }

    /// The parenthesis of a call and what is in it; `start` is the first token of the whole call.
    fn call(&mut self, start: Token, name: Token, semantics: Option<(Semantics, Span)>) -> Parsed<Node> {
        let name = self.name_of(name);
        self.expect(TokenKind::LeftParen)?;
        let mut call = Call { name, semantics, distinct: None, star: None, args: vec![] };
        if self.at_word("DISTINCT") {
            call.distinct = Some(self.advance().span);
        } else if self.at_word("ALL") && self.argument_follows_all() {
            self.advance();
        }
        if let Some(star) = self.star()? {
            call.star = Some(star);
        } else if !self.at(TokenKind::RightParen) {
            call.args = self.list(Self::expression)?;
        }
        if self.at_words(&["ORDER", "BY"]) {
            let message = "an aggregate takes its rows in the order of the match; ORDER BY cannot stand here";
            return Err(Failure::unsupported(self.peek().span, message));
        }
        if !self.at(TokenKind::RightParen) {
            return Err(self.unexpected(&["`,`", "`)`", "an operator"]));
        }
        self.advance();
        self.refuse_call_suffix()?;
        let span = self.since(start);
        self.node(Kind::Call(Box::new(call)), span)
    }

    /// `SUM(ALL x)` is `SUM(x)`; `f(all)` names a column.
    fn argument_follows_all(&self) -> bool {
        matches!(
            self.peek_ahead(1).kind,
            TokenKind::Word
                | TokenKind::QuotedWord
                | TokenKind::Integer
                | TokenKind::Float
                | TokenKind::String
        ) && !["IN", "IS", "AND", "OR", "LIKE", "BETWEEN", "NOT"].iter().any(|word| self.word_ahead(1, word))
    }

    /// `*` or `v.*`.
    pub(crate) fn star(&mut self) -> Parsed<Option<Star>> {
        let start = self.peek();
        if self.eat(TokenKind::Star) {
            return Ok(Some(Star { qualifier: None, span: start.span }));
        }
        let qualified = self.at_name()
            && self.peek_ahead(1).kind == TokenKind::Dot
            && self.peek_ahead(2).kind == TokenKind::Star;
        if !qualified {
            return Ok(None);
        }
        let qualifier = self.name("a qualifier")?;
        self.advance();
        self.advance();
        Ok(Some(Star { qualifier: Some(qualifier), span: self.since(start) }))
    }

    fn refuse_call_suffix(&self) -> Parsed<()> {
        let span = self.peek().span;
        let parenthesis = self.peek_ahead(1).kind == TokenKind::LeftParen;
        if self.at_word("FILTER") && parenthesis {
            let message =
                "FILTER cannot stand here; aggregate CASE WHEN condition THEN x END, or use COUNT_IF";
            return Err(Failure::unsupported(span, message));
        }
        if self.at_word("OVER") && (parenthesis || self.peek_ahead(1).kind == TokenKind::Word) {
            return Err(Failure::beyond_one_pattern(span, "a window function"));
        }
        if self.at_words(&["WITHIN", "GROUP"]) {
            return Err(Failure::beyond_one_pattern(span, "WITHIN GROUP"));
        }
        if self.at_any_word(&["IGNORE", "RESPECT"]) && self.word_ahead(1, "NULLS") {
            return Err(Failure::unsupported(
                span,
                "navigation and aggregates take no IGNORE or RESPECT NULLS",
            ));
        }
        Ok(())
    }

    fn case(&mut self) -> Parsed<Node> {
        let start = self.advance();
        let operand = if self.at_word("WHEN") { None } else { Some(self.expression()?) };
        let mut branches = Vec::new();
        while self.eat_word("WHEN") {
            let when = self.expression()?;
            self.expect_word("THEN")?;
            branches.push((when, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected(&["WHEN"]));
        }
        let otherwise = if self.eat_word("ELSE") { Some(self.expression()?) } else { None };
        if !self.eat_word("END") {
            let expected: &[&str] = if otherwise.is_some() { &["END"] } else { &["WHEN", "ELSE", "END"] };
            return Err(self.unexpected(expected));
        }
        let span = self.since(start);
        self.node(Kind::Case(Box::new(Case { operand, branches, otherwise })), span)
    }

    /// A call of a function whose arguments are not a plain list; `None`: it is no such function.
    ///
    /// Forms are looked up rather than called from one `match`, which would keep room for all of them on the stack at
    /// every level of a nested expression.
    fn special_call(&mut self, name: Token) -> Parsed<Option<Node>> {
        let is = |word: &str| self.text_of(name.span).eq_ignore_ascii_case(word);
        if is("EXISTS") && self.word_ahead(2, "SELECT") {
            return Err(Failure::beyond_one_pattern(name.span, "a subquery"));
        }
        let Some((_, form)) = Self::FORMS.iter().find(|(word, _)| is(word)) else { return Ok(None) };
        self.advance();
        self.advance();
        let kind = form(self, name)?;
        let span = self.since(name);
        self.node(kind, span).map(Some)
    }

    /// Functions with a syntax of their own, and what reads from behind the parenthesis to the end of each.
    const FORMS: &'static [(&'static str, SpecialForm)] = &[
        ("CAST", |cursor, _| cursor.cast(false)),
        ("TRY_CAST", |cursor, _| cursor.cast(true)),
        ("EXTRACT", |cursor, _| cursor.extract()),
        ("POSITION", |cursor, _| cursor.position()),
        ("SUBSTRING", |cursor, _| cursor.substring()),
        ("SUBSTR", |cursor, _| cursor.substring()),
        ("TRIM", |cursor, _| cursor.trim()),
        ("IF", |cursor, name| cursor.if_call(name)),
        ("NAN", |cursor, _| cursor.float_constant(f64::NAN)),
        ("INFINITY", |cursor, _| cursor.float_constant(f64::INFINITY)),
    ];

    fn float_constant(&mut self, value: f64) -> Parsed<Kind> {
        self.expect(TokenKind::RightParen)?;
        Ok(Kind::Literal(Literal::from(value)))
    }

    fn cast(&mut self, lenient: bool) -> Parsed<Kind> {
        let operand = self.expression()?;
        self.expect_word("AS")?;
        let start = self.peek();
        let to = self.data_type()?;
        let length = if to == DataType::String { self.length()? } else { None };
        let span = operand.span.to(self.since(start));
        self.expect(TokenKind::RightParen)?;
        let cast = Kind::Cast { operand, to, lenient };
        let Some(length) = length else { return Ok(cast) };
        // As in Trino, a longer string is cut.
        let mut args = vec![self.node(cast, span)?];
        for number in [1, length] {
            args.push(self.node(Kind::Literal(Literal::Integer(number)), span)?);
        }
        Ok(Kind::Function { function: Function::Substring, args })
    }

    fn extract(&mut self) -> Parsed<Kind> {
        let field = self.peek();
        let function = Function::from_name(self.text_of(field.span)).filter(|f| EXTRACT_FIELDS.contains(f));
        let Some(function) = function else {
            let names: Vec<String> =
                EXTRACT_FIELDS.iter().map(|field| field.name().to_ascii_uppercase()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(self.unexpected(&names));
        };
        self.advance();
        self.expect_word("FROM")?;
        let operand = self.expression()?;
        self.expect(TokenKind::RightParen)?;
        Ok(Kind::Function { function, args: vec![operand] })
    }

    /// `POSITION(part IN text)` or `POSITION(text, part)`.
    fn position(&mut self) -> Parsed<Kind> {
        let first = self.expression_at(Level::Concat)?;
        let args = if self.eat_word("IN") {
            let text = self.expression_at(Level::Concat)?;
            vec![text, first]
        } else {
            self.more_arguments(first)?
        };
        self.expect(TokenKind::RightParen)?;
        Ok(Kind::Function { function: Function::Strpos, args })
    }

    /// `SUBSTRING(text FROM start [FOR length])` or `SUBSTRING(text, start [, length])`.
    fn substring(&mut self) -> Parsed<Kind> {
        let first = self.expression()?;
        let args = if self.eat_word("FROM") {
            let mut args = vec![first, self.expression()?];
            if self.eat_word("FOR") {
                args.push(self.expression()?);
            }
            args
        } else {
            self.more_arguments(first)?
        };
        self.expect(TokenKind::RightParen)?;
        Ok(Kind::Function { function: Function::Substring, args })
    }

    fn trim(&mut self) -> Parsed<Kind> {
        let token = self.peek();
        let sided = self.at_any_word(&["BOTH", "LEADING", "TRAILING"])
            && !matches!(self.peek_ahead(1).kind, TokenKind::RightParen | TokenKind::Dot | TokenKind::Comma);
        let first = if sided { None } else { Some(self.expression()?) };
        let Some(first) = first.filter(|_| !self.at_word("FROM")) else {
            let message = "TRIM takes the string alone and removes white space; LTRIM and RTRIM take one side, REGEXP_REPLACE other characters";
            return Err(Failure::unsupported(token.span, message));
        };
        let args = self.more_arguments(first)?;
        self.expect(TokenKind::RightParen)?;
        Ok(Kind::Function { function: Function::Trim, args })
    }

    /// `IF(condition, then [, otherwise])`, which is a `CASE`.
    fn if_call(&mut self, name: Token) -> Parsed<Kind> {
        let args = self.list(Self::expression)?;
        let end = self.expect(TokenKind::RightParen)?;
        let mut args = args.into_iter();
        match (args.next(), args.next(), args.next(), args.next()) {
            (Some(when), Some(then), otherwise, None) => {
                Ok(Kind::Case(Box::new(Case { operand: None, branches: vec![(when, then)], otherwise })))
            }
            _ => Err(Failure::invalid(name.span.to(end.span), "IF() takes 2 or 3 arguments")),
        }
    }

    fn more_arguments(&mut self, first: Node) -> Parsed<Vec<Node>> {
        let mut args = vec![first];
        while self.eat(TokenKind::Comma) {
            args.push(self.expression()?);
        }
        Ok(args)
    }
}
