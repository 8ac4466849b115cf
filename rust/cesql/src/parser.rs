//! Tokens to a tree: operator precedence, from left to right.

use std::ops::Range;

use crate::ast::{ArithmeticOp, Call, Comparison, Expr, Expression, Literal, Logic, LogicOp, precedence};
use crate::error::{ParseError, ParseErrorKind, Parsed};
use crate::function::Function;
use crate::lexer::{Token, TokenKind, tokens, unquoted};
use crate::like::LikePattern;
use crate::limits::{DEPTH_MAX, TEXT_BYTES_MAX};

const OPERAND: &[&str] = &["an attribute", "a constant", "a function", "NOT", "EXISTS", "("];
const OPERATOR: &[&str] = &["an operator", "the end of the expression"];

/// Reads an expression.
///
/// # Errors
/// [`ParseError`], with the place of the fault.
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    if text.len() > TEXT_BYTES_MAX {
        let start = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let message = format!("the expression has {} bytes; the limit is {TEXT_BYTES_MAX}", text.len());
        return Err(ParseError::new(text, ParseErrorKind::Limit, start..start, message));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, attributes: vec![], open: 0 };
    let node = parser.whole_text()?;
    Ok(Expression { root: node.expr, attributes: parser.attributes })
}

/// A tree, and how many levels it has.
struct Node {
    expr: Expr,
    height: usize,
}

impl Node {
    fn leaf(expr: Expr) -> Self {
        Self { expr, height: 1 }
    }
}

/// What stands between two operands, or behind one.
enum Operator {
    Logic(LogicOp),
    Compare(Comparison),
    Arithmetic(ArithmeticOp),
    Like { negated: bool },
    In { negated: bool },
}

impl Operator {
    fn precedence(&self) -> u8 {
        match self {
            Self::Logic(_) => precedence::LOGIC,
            Self::Compare(_) => precedence::COMPARISON,
            Self::Arithmetic(op) => precedence::of_arithmetic(*op),
            Self::In { .. } => precedence::IN,
            Self::Like { .. } => precedence::LIKE,
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    attributes: Vec<String>,
    /// Calls of `nested` that have not returned.
    open: usize,
}

impl Parser<'_> {
    fn whole_text(&mut self) -> Parsed<Node> {
        let node = self.expression(precedence::LOGIC)?;
        if self.kind() == TokenKind::End { Ok(node) } else { Err(self.unexpected(OPERATOR)) }
    }

    fn kind(&self) -> TokenKind {
        self.tokens[self.at].kind
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].span.clone()
    }

    fn word_at(&self, ahead: usize) -> &str {
        self.tokens
            .get(self.at + ahead)
            .filter(|token| token.kind == TokenKind::Word)
            .map_or("", |token| &self.text[token.span.clone()])
    }

    fn at_word(&self, word: &str) -> bool {
        self.word_at(0).eq_ignore_ascii_case(word)
    }

    fn fail<T>(&self, kind: ParseErrorKind, span: Range<usize>, message: String) -> Parsed<T> {
        Err(ParseError::new(self.text, kind, span, message))
    }

    #[cold]
    fn unexpected(&self, expected: &[&'static str]) -> ParseError {
        let message = match self.kind() {
            TokenKind::End => "the expression ends too early".to_owned(),
            // Texts may be long.
            TokenKind::String => "a text in quotes cannot stand here".to_owned(),
            _ => format!("`{}` cannot stand here", shortened(&self.text[self.span()])),
        };
        let error = ParseError::new(self.text, ParseErrorKind::Syntax, self.span(), message);
        error.expecting(expected)
    }

    fn expect(&mut self, kind: TokenKind, expected: &[&'static str]) -> Parsed<()> {
        if self.kind() != kind {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// One level further in, while `read` reads.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.open == DEPTH_MAX {
            return self.fail(ParseErrorKind::Limit, self.span(), too_deep());
        }
        self.open += 1;
        let read = read(self);
        self.open -= 1;
        read
    }

    fn above(&self, expr: Expr, below: usize) -> Parsed<Node> {
        if below == DEPTH_MAX {
            let last = self.tokens[self.at.saturating_sub(1)].span.clone();
            return self.fail(ParseErrorKind::Limit, last, too_deep());
        }
        Ok(Node { expr, height: below + 1 })
    }

    /// What holds together at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Parsed<Node> {
        self.nested(|parser| parser.operands(least))
    }

    /// An operand, and operators with what stands behind them.
    fn operands(&mut self, least: u8) -> Parsed<Node> {
        let mut left = self.operand()?;
        // The last AND, OR or XOR of this call, whose list goes on; not one that stood in parentheses.
        let mut list_goes_on = false;
        while let Some((operator, length)) = self.operator()? {
            let holds = operator.precedence();
            if holds < least {
                break;
            }
            self.at += length;
            left = match operator {
                Operator::Logic(op) => {
                    let right = self.expression(holds + 1)?;
                    let height = left.height.max(right.height + 1);
                    match left.expr {
                        Expr::Logic(mut logic) if list_goes_on => {
                            logic.rest.push((op, right.expr));
                            self.above(Expr::Logic(logic), height - 1)?
                        }
                        first => {
                            list_goes_on = true;
                            let logic = Logic { first, rest: vec![(op, right.expr)] };
                            self.above(Expr::Logic(Box::new(logic)), left.height.max(right.height))?
                        }
                    }
                }
                Operator::Compare(op) => {
                    let right = self.expression(holds + 1)?;
                    let below = left.height.max(right.height);
                    self.above(Expr::Compare(op, Box::new([left.expr, right.expr])), below)?
                }
                Operator::Arithmetic(op) => {
                    let right = self.expression(holds + 1)?;
                    let below = left.height.max(right.height);
                    self.above(Expr::Arithmetic(op, Box::new([left.expr, right.expr])), below)?
                }
                Operator::Like { negated } => {
                    if self.kind() != TokenKind::String {
                        return Err(self.unexpected(&["a pattern in quotes"]));
                    }
                    let pattern = LikePattern::new(unquoted(&self.text[self.span()]));
                    self.at += 1;
                    self.above(Expr::Like { negated, value: Box::new(left.expr), pattern }, left.height)?
                }
                Operator::In { negated } => {
                    self.expect(TokenKind::LeftParen, &["("])?;
                    let (set, below) = self.list()?;
                    let below = below.max(left.height);
                    self.above(Expr::In { negated, value: Box::new(left.expr), set }, below)?
                }
            };
        }
        Ok(left)
    }

    /// The operator that comes next, and how many tokens it has.
    fn operator(&self) -> Parsed<Option<(Operator, usize)>> {
        let operator = match self.kind() {
            TokenKind::Plus => Operator::Arithmetic(ArithmeticOp::Add),
            TokenKind::Minus => Operator::Arithmetic(ArithmeticOp::Subtract),
            TokenKind::Star => Operator::Arithmetic(ArithmeticOp::Multiply),
            TokenKind::Slash => Operator::Arithmetic(ArithmeticOp::Divide),
            TokenKind::Percent => Operator::Arithmetic(ArithmeticOp::Remainder),
            TokenKind::Equal => Operator::Compare(Comparison::Equal),
            TokenKind::NotEqual => Operator::Compare(Comparison::NotEqual),
            TokenKind::Less => Operator::Compare(Comparison::Less),
            TokenKind::LessOrEqual => Operator::Compare(Comparison::LessOrEqual),
            TokenKind::Greater => Operator::Compare(Comparison::Greater),
            TokenKind::GreaterOrEqual => Operator::Compare(Comparison::GreaterOrEqual),
            TokenKind::Word => {
                let (negated, word) = if self.at_word("NOT") { (true, 1) } else { (false, 0) };
                let found = match &*self.word_at(word).to_ascii_uppercase() {
                    "LIKE" => Operator::Like { negated },
                    "IN" => Operator::In { negated },
                    "AND" if !negated => Operator::Logic(LogicOp::And),
                    "OR" if !negated => Operator::Logic(LogicOp::Or),
                    "XOR" if !negated => Operator::Logic(LogicOp::Xor),
                    _ => return Err(self.unexpected(OPERATOR)),
                };
                return Ok(Some((found, word + 1)));
            }
            _ => return Ok(None),
        };
        Ok(Some((operator, 1)))
    }

    /// Signs, NOT, and what they stand before.
    fn operand(&mut self) -> Parsed<Node> {
        match self.kind() {
            TokenKind::Plus | TokenKind::Minus => self.signed(),
            TokenKind::Word if self.at_word("NOT") => {
                self.at += 1;
                let operand = self.nested(Self::operand)?;
                self.above(Expr::Not(Box::new(operand.expr)), operand.height)
            }
            _ => self.whole(),
        }
    }

    /// A sign is part of the number that follows at once; otherwise minus is an operator, and plus nothing.
    fn signed(&mut self) -> Parsed<Node> {
        let (sign, next) = (self.span(), self.tokens[self.at + 1].clone());
        if next.kind == TokenKind::Digits && next.span.start == sign.end {
            self.at += 2;
            return self.integer(sign.start..next.span.end);
        }
        if self.kind() == TokenKind::Plus {
            let message = "`+` stands between two operands, or right before the digits of a number";
            return self.fail(ParseErrorKind::Syntax, sign, message.into());
        }
        self.at += 1;
        let operand = self.nested(Self::operand)?;
        self.above(Expr::Negate(Box::new(operand.expr)), operand.height)
    }

    fn integer(&self, span: Range<usize>) -> Parsed<Node> {
        let digits = &self.text[span.clone()];
        match digits.parse() {
            Ok(number) => Ok(Node::leaf(Expr::Literal(Literal::Integer(number)))),
            Err(_) => {
                let message = format!(
                    "{} is beyond the integers of 32 bits, -2147483648 to 2147483647",
                    shortened(digits)
                );
                self.fail(ParseErrorKind::Literal, span, message)
            }
        }
    }

    /// What needs no parentheses anywhere.
    fn whole(&mut self) -> Parsed<Node> {
        let span = self.span();
        match self.kind() {
            TokenKind::Digits => {
                self.at += 1;
                self.integer(span)
            }
            TokenKind::String => {
                self.at += 1;
                Ok(Node::leaf(Expr::Literal(Literal::String(unquoted(&self.text[span])))))
            }
            TokenKind::LeftParen => {
                self.at += 1;
                let inner = self.expression(precedence::LOGIC)?;
                self.expect(TokenKind::RightParen, &["an operator", ")"])?;
                Ok(inner)
            }
            TokenKind::Word => self.named(),
            _ => Err(self.unexpected(OPERAND)),
        }
    }

    /// TRUE, FALSE, EXISTS, a function, or an attribute.
    fn named(&mut self) -> Parsed<Node> {
        let word = self.word_at(0).to_ascii_uppercase();
        match &*word {
            "TRUE" | "FALSE" => {
                self.at += 1;
                Ok(Node::leaf(Expr::Literal(Literal::Boolean(word == "TRUE"))))
            }
            "EXISTS" => {
                self.at += 1;
                let place = self.attribute()?;
                Ok(Node::leaf(Expr::Exists(place)))
            }
            "AND" | "OR" | "XOR" | "LIKE" | "IN" => Err(self.unexpected(OPERAND)),
            _ if self.tokens[self.at + 1].kind == TokenKind::LeftParen => self.call(word),
            _ => {
                let place = self.attribute()?;
                Ok(Node::leaf(Expr::Attribute(place)))
            }
        }
    }

    fn call(&mut self, name: String) -> Parsed<Node> {
        let letters = |c: char| c == '_' || c.is_ascii_alphabetic();
        if name.starts_with('_') || !name.chars().all(letters) {
            let message =
                format!("`{}` is no name of a function: those have letters and _", shortened(&name));
            return self.fail(ParseErrorKind::Syntax, self.span(), message);
        }
        self.at += 2;
        let (arguments, below) = if self.kind() == TokenKind::RightParen {
            self.at += 1;
            (vec![], 0)
        } else {
            self.list()?
        };
        let function = Function::find(&name, arguments.len());
        self.above(Expr::Call(Call { name, function, arguments }), below)
    }

    /// Expressions up to the closing parenthesis, and the levels of the highest.
    fn list(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        let (mut list, mut height) = (vec![], 0);
        loop {
            let node = self.expression(precedence::LOGIC)?;
            height = height.max(node.height);
            list.push(node.expr);
            if self.kind() != TokenKind::Comma {
                self.expect(TokenKind::RightParen, &["an operator", ",", ")"])?;
                return Ok((list, height));
            }
            self.at += 1;
        }
    }

    /// The place of the attribute that is named here.
    fn attribute(&mut self) -> Parsed<usize> {
        const KEYWORDS: &[&str] = &["and", "or", "xor", "not", "like", "in", "exists", "true", "false"];
        let name = self.word_at(0).to_ascii_lowercase();
        if name.is_empty() || KEYWORDS.contains(&&*name) {
            return Err(self.unexpected(&["the name of an attribute"]));
        }
        if name.contains('_') {
            let message =
                format!("`{}` is no name of an attribute: those have letters and digits", shortened(&name));
            return self.fail(ParseErrorKind::Syntax, self.span(), message);
        }
        self.at += 1;
        // Few texts name more than a handful; and a text is at most 64 KiB.
        let place = self.attributes.iter().position(|known| *known == name);
        Ok(place.unwrap_or_else(|| {
            self.attributes.push(name);
            self.attributes.len() - 1
        }))
    }
}

fn too_deep() -> String {
    format!("the expression is nested more than {DEPTH_MAX} levels deep")
}

fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 30;
    let mut rest = text.chars();
    let shown: String = rest.by_ref().take(SHOWN_MAX).collect();
    if rest.next().is_some() { format!("{shown}...") } else { shown }
}
