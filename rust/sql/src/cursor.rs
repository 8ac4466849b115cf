//! The parser's place among the tokens, and what every rule of the grammar needs.

use cepheid_ir::limits;

use crate::ast::{Kind, Name, Node};
use crate::error::{Failure, Parsed, nearest};
use crate::lexer::{Token, TokenKind, tokens};
use crate::span::Span;

/// Every level of an expression may bring an operand's level and a pair of parentheses; a navigation around a column
/// brings a little more. The exact limit is checked on the lowered tree, this one keeps the parser's stack bounded.
const NESTING_MAX: usize = 2 * limits::EXPR_DEPTH_MAX + 8;

/// Nodes that simple `CASE`s may copy in one text: nested, they would multiply without bound.
const COPIES_MAX: usize = 100_000;

/// Words that cannot be names unless they are quoted: in front of each, a missing operand would go unnoticed.
const RESERVED: &[&str] = &[
    "AND", "AS", "BETWEEN", "CASE", "DISTINCT", "ELSE", "FALSE", "FROM", "IN", "IS", "LIKE", "NOT", "NULL",
    "OR", "SELECT", "THEN", "TRUE", "WHEN", "WHERE",
];

/// Whether a word must be quoted to be a name.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// The tokens of a text and a place among them.
pub(crate) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// Always before or at the last token, which is `End`.
    at: usize,
    nesting: usize,
    copies: usize,
}

impl<'t> Cursor<'t> {
    /// Splits the text into tokens and stands before the first.
    pub(crate) fn new(text: &'t str) -> Parsed<Self> {
        if text.len() > limits::TEXT_BYTES_MAX {
            let what = format!("the text has {} bytes", text.len());
            return Err(Failure::limit(Span::default(), &what, limits::TEXT_BYTES_MAX));
        }
        Ok(Self { text, tokens: tokens(text)?, at: 0, nesting: 0, copies: 0 })
    }

    pub(crate) fn peek(&self) -> Token {
        self.tokens[self.at]
    }

    pub(crate) fn peek_ahead(&self, ahead: usize) -> Token {
        self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    /// The token before the cursor.
    pub(crate) fn previous(&self) -> Token {
        self.tokens[self.at.saturating_sub(1)]
    }

    pub(crate) fn advance(&mut self) -> Token {
        let token = self.tokens[self.at];
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(crate) fn text_of(&self, span: Span) -> &'t str {
        &self.text[span.start..span.end]
    }

    /// From a token on to the token before the cursor.
    pub(crate) fn since(&self, start: Token) -> Span {
        start.span.to(self.previous().span)
    }

    pub(crate) fn at(&self, kind: TokenKind) -> bool {
        self.peek().kind == kind
    }

    pub(crate) fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        if self.at(kind) { Ok(self.advance()) } else { Err(self.unexpected(&[kind.describe()])) }
    }

    /// Whether the token `ahead` of the cursor is this word, not quoted.
    pub(crate) fn word_ahead(&self, ahead: usize, word: &str) -> bool {
        let token = self.peek_ahead(ahead);
        token.kind == TokenKind::Word && self.text_of(token.span).eq_ignore_ascii_case(word)
    }

    pub(crate) fn at_word(&self, word: &str) -> bool {
        self.word_ahead(0, word)
    }

    pub(crate) fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.word_ahead(ahead, word))
    }

    pub(crate) fn at_any_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.at_word(word))
    }

    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        self.eat_words(&[word])
    }

    pub(crate) fn eat_words(&mut self, words: &[&str]) -> bool {
        let found = self.at_words(words);
        if found {
            for _ in words {
                self.advance();
            }
        }
        found
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Parsed<Token> {
        if self.at_word(word) { Ok(self.advance()) } else { Err(self.unexpected(&[word])) }
    }

    pub(crate) fn expect_words(&mut self, words: &[&str]) -> Parsed<()> {
        words.iter().try_for_each(|word| self.expect_word(word).map(drop))
    }

    /// Whether a name can begin here.
    pub(crate) fn at_name(&self) -> bool {
        let token = self.peek();
        match token.kind {
            TokenKind::QuotedWord => true,
            TokenKind::Word => !is_reserved(self.text_of(token.span)),
            _ => false,
        }
    }

    pub(crate) fn name(&mut self, what: &str) -> Parsed<Name> {
        if !self.at_name() {
            let mut failure = self.unexpected(&[what]);
            let token = self.peek();
            if token.kind == TokenKind::Word {
                let word = self.text_of(token.span);
                failure.message = format!("`{word}` is a keyword; as a name it is written \"{word}\"");
            }
            return Err(failure);
        }
        let token = self.advance();
        Ok(self.name_of(token))
    }

    /// The name that a word or quoted word spells.
    pub(crate) fn name_of(&self, token: Token) -> Name {
        let quoted = token.kind == TokenKind::QuotedWord;
        let text = if quoted { self.unquoted(token) } else { self.text_of(token.span).to_owned() };
        Name { text, quoted, span: token.span }
    }

    /// The contents of a string or a quoted name.
    pub(crate) fn unquoted(&self, token: Token) -> String {
        let inner = &self.text[token.span.start + 1..token.span.end - 1];
        if token.kind == TokenKind::String { inner.replace("''", "'") } else { inner.replace("\"\"", "\"") }
    }

    /// Items separated by commas, at least one.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(TokenKind::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// The token at the cursor fits no rule.
    pub(crate) fn unexpected(&self, expected: &[&str]) -> Box<Failure> {
        let token = self.peek();
        let found = match token.kind {
            TokenKind::End => "the text ends too early".to_owned(),
            TokenKind::Word => format!("`{}` cannot stand here", shortened(self.text_of(token.span))),
            TokenKind::QuotedWord => format!("{} cannot stand here", shortened(self.text_of(token.span))),
            TokenKind::String => "a string cannot stand here".to_owned(),
            TokenKind::Integer | TokenKind::Float => "a number cannot stand here".to_owned(),
            TokenKind::LeftBracket => "`[` cannot stand here; names are quoted with double quotes".to_owned(),
            kind => format!("{} cannot stand here", kind.describe()),
        };
        let mut failure = Failure::syntax(token.span, found);
        failure.expected = expected.iter().map(|text| (*text).to_owned()).collect();
        if token.kind == TokenKind::Word {
            let words =
                expected.iter().copied().filter(|text| text.starts_with(|c: char| c.is_ascii_uppercase()));
            failure.nearest = nearest(self.text_of(token.span), words);
        }
        failure
    }

    /// One level deeper; every call is paired with [`leave`](Self::leave) unless the parse fails.
    pub(crate) fn enter(&mut self) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.too_deep(self.peek().span));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.nesting -= 1;
    }

    fn too_deep(&self, span: Span) -> Box<Failure> {
        Failure::limit(span, "the expression is nested too deep", limits::EXPR_DEPTH_MAX)
    }

    /// An expression, its extent checked.
    pub(crate) fn node(&mut self, kind: Kind, span: Span) -> Parsed<Node> {
        let (depth, size) = kind.extent();
        if depth > NESTING_MAX {
            return Err(self.too_deep(span));
        }
        if let Kind::Case(case) = &kind
            && let Some(operand) = &case.operand
        {
            self.copies = self.copies.saturating_add(operand.size.saturating_mul(case.branches.len()));
            if self.copies > COPIES_MAX {
                let what = "the operands of simple CASEs come to too many expressions when written out";
                return Err(Failure::limit(operand.span, what, COPIES_MAX));
            }
        }
        Ok(Node { kind: Box::new(kind), span, depth, size })
    }
}

fn shortened(word: &str) -> String {
    const SHOWN: usize = 40;
    if word.chars().count() <= SHOWN {
        word.to_owned()
    } else {
        word.chars().take(SHOWN).chain("...".chars()).collect()
    }
}
