//! The row pattern: a regular expression over variables.

use cepheid_ir::{Contiguity, PartitionEdge, PatternError, PatternNode, Quantifier, Step, limits};

use crate::ast::{Names, Node, RowPattern};
use crate::cursor::Cursor;
use crate::error::{Failure, Parsed};
use crate::lexer::{Token, TokenKind};
use crate::span::Span;

/// Names seen so far, and the depth of groups around the cursor.
#[derive(Default)]
struct Seen {
    variables: Names,
    places: Vec<Span>,
    untils: Vec<Option<Node>>,
    depth: usize,
}

impl Cursor<'_> {
    /// `( row pattern )`.
    pub(crate) fn row_pattern(&mut self) -> Parsed<RowPattern> {
        let start = self.expect(TokenKind::LeftParen)?;
        let mut seen = Seen::default();
        let root =
            if self.at(TokenKind::RightParen) { PatternNode::Empty } else { self.alternation(&mut seen)? };
        self.group_end(TokenKind::RightParen)?;
        Ok(RowPattern {
            root,
            span: self.since(start),
            variables: seen.variables,
            places: seen.places,
            untils: seen.untils,
        })
    }

    fn alternation(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        let mut parts = vec![self.sequence(seen)?];
        while self.eat(TokenKind::Bar) {
            parts.push(self.sequence(seen)?);
        }
        Ok(match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                PatternNode::Alternation(parts)
            }
        })
    }

    fn sequence(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        let mut steps = vec![Step { contiguity: Contiguity::Strict, node: self.step(seen)? }];
        loop {
            let contiguity = match self.peek().kind {
                TokenKind::Arrow => Contiguity::SkipTillNext,
                TokenKind::DoubleArrow => Contiguity::SkipTillAny,
                _ if self.at_pattern_primary() => Contiguity::Strict,
                _ => break,
            };
            if contiguity != Contiguity::Strict {
                self.advance();
            }
            steps.push(Step { contiguity, node: self.step(seen)? });
        }
        Ok(match steps.pop() {
            Some(only) if steps.is_empty() => only.node,
            last => {
                steps.extend(last);
                PatternNode::Sequence(steps)
            }
        })
    }

    fn at_pattern_primary(&self) -> bool {
        use TokenKind::*;
        matches!(self.peek().kind, Word | QuotedWord | LeftParen | ExclusionStart | Caret | Dollar)
    }

    /// A part with its quantifier and its bound.
    fn step(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        let node = self.quantified(seen)?;
        self.bounded(node)
    }

    fn quantified(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        let node = self.pattern_primary(seen)?;
        let Some(quantifier) = self.quantifier()? else {
            if self.at(TokenKind::LeftBracket) {
                let message = "a relation in brackets is that between repetitions; it stands behind a quantifier or PERMUTE(...)";
                return Err(Failure::syntax(self.peek().span, message));
            }
            return Ok(node);
        };
        seen.untils.push(self.until()?);
        let again = self.peek();
        if matches!(
            again.kind,
            TokenKind::Star | TokenKind::Plus | TokenKind::Question | TokenKind::LeftBrace
        ) {
            let message = "a part takes one quantifier; to repeat a repetition, put it in parentheses";
            return Err(Failure::syntax(again.span, message));
        }
        Ok(PatternNode::Quantified { node: Box::new(node), quantifier })
    }

    fn pattern_primary(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        let token = self.peek();
        match token.kind {
            TokenKind::Caret => {
                self.advance();
                Ok(PatternNode::Anchor(PartitionEdge::Start))
            }
            TokenKind::Dollar => {
                self.advance();
                Ok(PatternNode::Anchor(PartitionEdge::End))
            }
            TokenKind::LeftParen if self.peek_ahead(1).kind == TokenKind::RightParen => {
                self.advance();
                self.advance();
                Ok(PatternNode::Empty)
            }
            TokenKind::LeftParen => self.group(TokenKind::RightParen, seen),
            TokenKind::ExclusionStart => {
                let inner = self.group(TokenKind::ExclusionEnd, seen)?;
                Ok(PatternNode::Exclusion(Box::new(inner)))
            }
            TokenKind::Word | TokenKind::QuotedWord => {
                let opens = self.peek_ahead(1).kind == TokenKind::LeftParen;
                if opens && self.at_word("PERMUTE") {
                    return self.permutation(seen);
                }
                if opens && self.at_word("ABSENT") {
                    return self.absent(seen);
                }
                self.variable(seen).map(PatternNode::Variable)
            }
            _ => Err(self.unexpected(&["a variable", "`(`", "`{-`", "`^`", "`$`"])),
        }
    }

    fn variable(&mut self, seen: &mut Seen) -> Parsed<String> {
        let name = self.name("a variable")?;
        let folded = name.folded();
        if seen.variables.insert(&folded) {
            seen.places.push(name.span);
            if seen.places.len() > limits::VARIABLES_MAX {
                return Err(Failure::limit(
                    name.span,
                    "the pattern has too many variables",
                    limits::VARIABLES_MAX,
                ));
            }
        }
        Ok(folded)
    }

    /// What lies between the token at the cursor and the one that closes it.
    fn group(&mut self, close: TokenKind, seen: &mut Seen) -> Parsed<PatternNode> {
        let open = self.advance();
        deeper(seen, open)?;
        let node = self.alternation(seen)?;
        self.group_end(close)?;
        seen.depth -= 1;
        Ok(node)
    }

    fn group_end(&mut self, close: TokenKind) -> Parsed<()> {
        if self.eat(close) {
            return Ok(());
        }
        Err(self.unexpected(&["a variable", "a quantifier", "`->`", "`|`", close.describe()]))
    }

    fn permutation(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        let word = self.advance();
        deeper(seen, word)?;
        self.advance();
        let mut parts = self.list(|cursor| cursor.alternation(seen))?;
        if !self.eat(TokenKind::RightParen) {
            return Err(self.unexpected(&["`,`", "`)`"]));
        }
        seen.depth -= 1;
        if parts.len() > limits::PERMUTE_PARTS_MAX {
            let what = format!("PERMUTE has {} parts", parts.len());
            return Err(Failure::limit(self.since(word), &what, limits::PERMUTE_PARTS_MAX));
        }
        let contiguity = self.relation()?;
        Ok(match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                PatternNode::Permute { parts, contiguity }
            }
        })
    }

    /// `ABSENT(v [FOR INTERVAL '...' unit])`.
    fn absent(&mut self, seen: &mut Seen) -> Parsed<PatternNode> {
        self.advance();
        self.advance();
        let variable = self.variable(seen)?;
        let mut for_ns = None;
        if self.at_word("FOR") {
            let start = self.advance();
            let nanoseconds = self.span_of_time(start, "FOR", &["INTERVAL"])?;
            if nanoseconds <= 0 {
                let problem = "the time to be absent for must be longer than zero";
                let error = PatternError::InvalidAbsence { variable, problem };
                return Err(Failure::pattern(error, self.since(start)));
            }
            for_ns = Some(nanoseconds);
        }
        if !self.eat(TokenKind::RightParen) {
            return Err(self.unexpected(if for_ns.is_none() { &["FOR", "`)`"] } else { &["`)`"] }));
        }
        Ok(PatternNode::Absent { variable, for_ns })
    }

    /// `[->]` or `[->>]`: the relation between repetitions, or between parts in any order.
    fn relation(&mut self) -> Parsed<Contiguity> {
        if !self.eat(TokenKind::LeftBracket) {
            return Ok(Contiguity::Strict);
        }
        let contiguity = match self.peek().kind {
            TokenKind::Arrow => Contiguity::SkipTillNext,
            TokenKind::DoubleArrow => Contiguity::SkipTillAny,
            _ => return Err(self.unexpected(&["`->`", "`->>`"])),
        };
        self.advance();
        self.expect(TokenKind::RightBracket)?;
        Ok(contiguity)
    }

    /// `UNTIL (condition)` behind a quantifier.
    fn until(&mut self) -> Parsed<Option<Node>> {
        if !self.at_word("UNTIL") || self.peek_ahead(1).kind != TokenKind::LeftParen {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let condition = self.expression()?;
        if !self.eat(TokenKind::RightParen) {
            return Err(self.unexpected(&["`)`", "an operator"]));
        }
        Ok(Some(condition))
    }

    /// `* + ? {n} {n,} {,m} {n,m}`, each reluctant with `?` behind it, and then perhaps a relation.
    fn quantifier(&mut self) -> Parsed<Option<Quantifier>> {
        let start = self.peek();
        let (min, max) = match start.kind {
            TokenKind::Star => (0, None),
            TokenKind::Plus => (1, None),
            TokenKind::Question => (0, Some(1)),
            TokenKind::LeftBrace => {
                let bounds = self.braced_bounds()?;
                return self.with_preference(bounds).map(Some);
            }
            _ => return Ok(None),
        };
        self.advance();
        self.with_preference((min, max)).map(Some)
    }

    fn with_preference(&mut self, (min, max): (u32, Option<u32>)) -> Parsed<Quantifier> {
        // Greedy is what a quantifier is that says nothing.
        let greedy = self.eat(TokenKind::Question).then_some(false);
        Ok(Quantifier { greedy, contiguity: self.relation()?, ..Quantifier::new(min, max) })
    }

    fn braced_bounds(&mut self) -> Parsed<(u32, Option<u32>)> {
        let start = self.advance();
        let least = self.bound()?;
        let (min, max) = if self.eat(TokenKind::Comma) {
            (least.unwrap_or(0), self.bound()?)
        } else {
            let Some(exact) = least else { return Err(self.unexpected(&["a whole number", "`,`"])) };
            (exact, Some(exact))
        };
        if !self.eat(TokenKind::RightBrace) {
            return Err(self.unexpected(&["`}`"]));
        }
        match max {
            Some(max) if max < 1 || max < min => {
                Err(Failure::pattern(PatternError::InvalidQuantifier { min, max }, self.since(start)))
            }
            max => Ok((min, max)),
        }
    }

    fn bound(&mut self) -> Parsed<Option<u32>> {
        if !self.at(TokenKind::Integer) {
            return Ok(None);
        }
        let token = self.advance();
        match self.text_of(token.span).parse() {
            Ok(count) if count <= limits::REPEAT_MAX => Ok(Some(count)),
            _ => Err(Failure::limit(token.span, "too many repetitions", limits::REPEAT_MAX as usize)),
        }
    }
}

fn deeper(seen: &mut Seen, open: Token) -> Parsed<()> {
    seen.depth += 1;
    if seen.depth > limits::PATTERN_DEPTH_MAX {
        return Err(Failure::limit(open.span, "the pattern is nested too deep", limits::PATTERN_DEPTH_MAX));
    }
    Ok(())
}
