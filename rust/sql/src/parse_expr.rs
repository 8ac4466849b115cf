//! Expressions by operator precedence. From loosest to tightest: `OR`, `AND`, `NOT`, predicates (which do not
//! chain), `||`, `+ -`, `* / %`, the sign, `AT TIME ZONE`.

use cepheid_ir::{BinaryOp, Literal};

use crate::ast::{Kind, Node};
use crate::cursor::Cursor;
use crate::error::{Failure, Parsed};
use crate::lexer::TokenKind;
use crate::span::Span;

/// How tightly an operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Or,
    And,
    Not,
    Predicate,
    Concat,
    Sum,
    Product,
    Sign,
    Zone,
    Primary,
}

impl Level {
    /// The level of an operator of the language.
    pub(crate) fn of(op: BinaryOp) -> Self {
        use BinaryOp::*;
        match op {
            Add | Subtract => Self::Sum,
            Multiply | Divide | Modulo => Self::Product,
            Concat => Self::Concat,
            _ => Self::Predicate,
        }
    }

    /// The next tighter level.
    pub(crate) fn tighter(self) -> Self {
        use Level::*;
        match self {
            Or => And,
            And => Not,
            Not => Predicate,
            Predicate => Concat,
            Concat => Sum,
            Sum => Product,
            Product => Sign,
            Sign => Zone,
            Zone | Primary => Primary,
        }
    }
}

/// What stands behind a complete operand and goes on with it.
#[derive(Clone, Copy)]
enum Infix {
    Or,
    And,
    Binary(BinaryOp),
    Is,
    In { negated: bool },
    Like { negated: bool },
    Between { negated: bool },
    AtTimeZone,
}

impl Infix {
    fn level(self) -> Level {
        match self {
            Self::Or => Level::Or,
            Self::And => Level::And,
            Self::Binary(op) => Level::of(op),
            Self::Is | Self::In { .. } | Self::Like { .. } | Self::Between { .. } => Level::Predicate,
            Self::AtTimeZone => Level::Zone,
        }
    }
}

impl Cursor<'_> {
    /// A whole expression, as far as it goes.
    pub(crate) fn expression(&mut self) -> Parsed<Node> {
        self.expression_at(Level::Or)
    }

    /// An expression whose operators all bind at least as tightly as `least`.
    pub(crate) fn expression_at(&mut self, least: Level) -> Parsed<Node> {
        self.enter()?;
        let mut left = self.operand(least)?;
        let mut is_predicate = false;
        while let Some(infix) = self.infix() {
            let level = infix.level();
            if level < least {
                break;
            }
            if is_predicate && level >= Level::Predicate {
                let message = "a comparison is complete before this; join two with AND, or put the first in parentheses";
                return Err(Failure::syntax(self.peek().span, message));
            }
            is_predicate = level == Level::Predicate;
            left = self.infix_expression(left, infix)?;
        }
        self.leave();
        Ok(left)
    }

    /// The operator at the cursor, if one is.
    fn infix(&self) -> Option<Infix> {
        use BinaryOp::*;
        let op = match self.peek().kind {
            TokenKind::Plus => Add,
            TokenKind::Minus => Subtract,
            TokenKind::Star => Multiply,
            TokenKind::Slash => Divide,
            TokenKind::Percent => Modulo,
            TokenKind::Concat => Concat,
            TokenKind::Equal => Equal,
            TokenKind::NotEqual => NotEqual,
            TokenKind::Less => Less,
            TokenKind::LessOrEqual => LessOrEqual,
            TokenKind::Greater => Greater,
            TokenKind::GreaterOrEqual => GreaterOrEqual,
            TokenKind::Word => return self.infix_word(),
            _ => return None,
        };
        Some(Infix::Binary(op))
    }

    fn infix_word(&self) -> Option<Infix> {
        if self.at_word("AND") {
            return Some(Infix::And);
        }
        if self.at_word("OR") {
            return Some(Infix::Or);
        }
        if self.at_word("IS") {
            return Some(Infix::Is);
        }
        if self.at_words(&["AT", "TIME", "ZONE"]) {
            return Some(Infix::AtTimeZone);
        }
        let negated = self.at_word("NOT");
        let ahead = usize::from(negated);
        if self.word_ahead(ahead, "IN") {
            Some(Infix::In { negated })
        } else if self.word_ahead(ahead, "LIKE") {
            Some(Infix::Like { negated })
        } else if self.word_ahead(ahead, "BETWEEN") {
            Some(Infix::Between { negated })
        } else {
            None
        }
    }

    /// The operator at the cursor with its right side.
    fn infix_expression(&mut self, left: Node, infix: Infix) -> Parsed<Node> {
        match infix {
            Infix::And | Infix::Or => {
                self.advance();
                let right = self.expression_at(infix.level().tighter())?;
                self.chain(left, right, matches!(infix, Infix::And))
            }
            Infix::Binary(op) => {
                self.advance();
                let right = self.expression_at(Level::of(op).tighter())?;
                let span = left.span.to(right.span);
                self.node(Kind::Binary { op, left, right }, span)
            }
            Infix::Is => self.is_predicate(left),
            Infix::In { negated } => self.in_predicate(left, negated),
            Infix::Like { negated } => self.like_predicate(left, negated),
            Infix::Between { negated } => self.between_predicate(left, negated),
            Infix::AtTimeZone => {
                for _ in 0..3 {
                    self.advance();
                }
                let zone = self.expression_at(Level::Primary)?;
                let span = left.span.to(zone.span);
                let function = cepheid_ir::Function::AtTimezone;
                self.node(Kind::Function { function, args: vec![left, zone] }, span)
            }
        }
    }

    /// `left AND right` or `left OR right`; chains are flat, however they are written.
    fn chain(&mut self, left: Node, right: Node, is_and: bool) -> Parsed<Node> {
        let span = left.span.to(right.span);
        let depth_of = |node: &Node, is_same: bool| if is_same { node.depth } else { node.depth + 1 };
        let same = |node: &Node| match &*node.kind {
            Kind::And(_) => is_and,
            Kind::Or(_) => !is_and,
            _ => false,
        };
        // Counted here rather than from the operands: a long chain is extended in constant time.
        let depth = depth_of(&left, same(&left)).max(depth_of(&right, same(&right)));
        let size = left.size.saturating_add(right.size).saturating_add(1);
        let mut args = Vec::new();
        for node in [left, right] {
            match *node.kind {
                Kind::And(inner) if is_and && args.is_empty() => args = inner,
                Kind::Or(inner) if !is_and && args.is_empty() => args = inner,
                Kind::And(inner) if is_and => args.extend(inner),
                Kind::Or(inner) if !is_and => args.extend(inner),
                kind => args.push(Node { kind: Box::new(kind), ..node }),
            }
        }
        let kind = if is_and { Kind::And(args) } else { Kind::Or(args) };
        Ok(Node { kind: Box::new(kind), span, depth, size })
    }

    fn negated_if(&mut self, negated: bool, node: Node) -> Parsed<Node> {
        let span = node.span;
        if negated { self.node(Kind::Not(node), span) } else { Ok(node) }
    }

    /// `IS [NOT] (NULL | TRUE | FALSE | UNKNOWN | DISTINCT FROM x)`.
    fn is_predicate(&mut self, left: Node) -> Parsed<Node> {
        self.advance();
        let negated = self.eat_word("NOT");
        let start = left.span;
        if self.eat_word("NULL") || self.eat_word("UNKNOWN") {
            let span = start.to(self.previous().span);
            let node = self.node(Kind::IsNull(left), span)?;
            return self.negated_if(negated, node);
        }
        if self.eat_words(&["DISTINCT", "FROM"]) {
            let right = self.expression_at(Level::Concat)?;
            let span = start.to(right.span);
            let node = self.node(Kind::Binary { op: BinaryOp::IsDistinctFrom, left, right }, span)?;
            return self.negated_if(negated, node);
        }
        for (word, value) in [("TRUE", true), ("FALSE", false)] {
            if self.at_word(word) {
                let truth_span = self.advance().span;
                let right = self.node(Kind::Literal(Literal::Boolean(value)), truth_span)?;
                let span = start.to(truth_span);
                let distinct = self.node(Kind::Binary { op: BinaryOp::IsDistinctFrom, left, right }, span)?;
                // `IS TRUE` is "not distinct from TRUE": NULL gives FALSE.
                return self.negated_if(!negated, distinct);
            }
        }
        Err(self.unexpected(&["NOT", "NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT FROM"]))
    }

    fn in_predicate(&mut self, operand: Node, negated: bool) -> Parsed<Node> {
        if negated {
            self.advance();
        }
        self.advance();
        self.expect(TokenKind::LeftParen)?;
        self.refuse_subquery()?;
        let list = self.list(Self::expression)?;
        self.expect(TokenKind::RightParen)?;
        let span = operand.span.to(self.previous().span);
        let node = self.node(Kind::In { operand, list }, span)?;
        self.negated_if(negated, node)
    }

    fn like_predicate(&mut self, operand: Node, negated: bool) -> Parsed<Node> {
        if negated {
            self.advance();
        }
        self.advance();
        let pattern = self.expression_at(Level::Concat)?;
        let mut escape = None;
        if self.eat_word("ESCAPE") {
            let token = self.expect(TokenKind::String)?;
            let text = self.unquoted(token);
            let mut chars = text.chars();
            escape = match (chars.next(), chars.next()) {
                (Some(only), None) => Some(only),
                _ => {
                    return Err(Failure::invalid(
                        token.span,
                        "ESCAPE takes a string of exactly one character",
                    ));
                }
            };
        }
        let span = operand.span.to(self.previous().span);
        let node = self.node(Kind::Like { operand, pattern, escape }, span)?;
        self.negated_if(negated, node)
    }

    fn between_predicate(&mut self, operand: Node, negated: bool) -> Parsed<Node> {
        if negated {
            self.advance();
        }
        self.advance();
        let low = self.expression_at(Level::Concat)?;
        self.expect_word("AND")?;
        let high = self.expression_at(Level::Concat)?;
        let span = operand.span.to(high.span);
        let node = self.node(Kind::Between { operand, low, high }, span)?;
        self.negated_if(negated, node)
    }

    /// What an expression begins with: a prefix operator and its operand, or a primary.
    fn operand(&mut self, least: Level) -> Parsed<Node> {
        let token = self.peek();
        match token.kind {
            TokenKind::Minus => self.negation(),
            TokenKind::Plus => {
                self.advance();
                self.expression_at(Level::Sign)
            }
            TokenKind::Word if self.at_word("NOT") => {
                if least > Level::Not {
                    let message = "NOT cannot stand here; put it and its operand in parentheses";
                    return Err(Failure::syntax(token.span, message));
                }
                self.advance();
                let operand = self.expression_at(Level::Not)?;
                let span = token.span.to(operand.span);
                self.node(Kind::Not(operand), span)
            }
            _ => self.primary(),
        }
    }

    /// A minus sign and its operand; one that stands before a number belongs to it.
    fn negation(&mut self) -> Parsed<Node> {
        let sign = self.advance();
        let signed = match self.peek().kind {
            TokenKind::Integer | TokenKind::Float => {
                let token = self.advance();
                Some(self.number_literal(token, true)?)
            }
            TokenKind::Word
                if self.at_word("INFINITY") && self.peek_ahead(1).kind == TokenKind::LeftParen =>
            {
                self.advance();
                self.advance();
                self.expect(TokenKind::RightParen)?;
                Some(Literal::from(f64::NEG_INFINITY))
            }
            _ => None,
        };
        if let Some(literal) = signed {
            let span = self.since(sign);
            return self.node(Kind::Literal(literal), span);
        }
        let operand = self.expression_at(Level::Sign)?;
        let span: Span = sign.span.to(operand.span);
        self.node(Kind::Negate(operand), span)
    }

    /// Refuses a query where a value stands.
    pub(crate) fn refuse_subquery(&self) -> Parsed<()> {
        let selects = self.at_word("SELECT") && self.peek_ahead(1).kind != TokenKind::Dot;
        if selects || self.at_with_query() {
            return Err(Failure::beyond_one_pattern(self.peek().span, "a subquery"));
        }
        Ok(())
    }

    /// `WITH [RECURSIVE] name AS (...)`: in front of anything else, the word is the name of a column.
    fn at_with_query(&self) -> bool {
        let name = 1 + usize::from(self.word_ahead(1, "RECURSIVE"));
        self.at_word("WITH")
            && matches!(self.peek_ahead(name).kind, TokenKind::Word | TokenKind::QuotedWord)
            && self.word_ahead(name + 1, "AS")
            && self.peek_ahead(name + 2).kind == TokenKind::LeftParen
    }
}
