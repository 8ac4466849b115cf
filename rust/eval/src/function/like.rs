//! LIKE: `%` any string, `_` any one character.

use crate::error::Fault;

/// A pattern made ready.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LikePattern {
    Equal(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    /// `prefix%suffix`.
    Ends(String, String),
    General(Vec<Token>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token {
    Char(char),
    /// `_`
    One,
    /// `%`, never two in a row.
    Any,
}

impl LikePattern {
    /// # Errors
    /// An escape character that stands before anything but `%`, `_` or itself.
    pub(crate) fn new(pattern: &str, escape: Option<char>) -> Result<Self, Fault> {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            let token = if Some(c) == escape {
                match chars.next() {
                    Some(next) if next == '%' || next == '_' || Some(next) == escape => Token::Char(next),
                    _ => {
                        return Err(Fault::Argument(
                            "the escape character must stand before %, _ or itself".into(),
                        ));
                    }
                }
            } else {
                match c {
                    '%' => Token::Any,
                    '_' => Token::One,
                    other => Token::Char(other),
                }
            };
            if !(token == Token::Any && tokens.last() == Some(&Token::Any)) {
                tokens.push(token);
            }
        }
        Ok(Self::classify(tokens))
    }

    fn classify(tokens: Vec<Token>) -> Self {
        let text = |tokens: &[Token]| {
            tokens
                .iter()
                .map(|token| if let Token::Char(c) = token { Some(*c) } else { None })
                .collect::<Option<String>>()
        };
        let simple = match tokens.as_slice() {
            [Token::Any] => Some(Self::Prefix(String::new())),
            [Token::Any, middle @ .., Token::Any] => text(middle).map(Self::Contains),
            [Token::Any, rest @ ..] => text(rest).map(Self::Suffix),
            [rest @ .., Token::Any] => text(rest).map(Self::Prefix),
            all => match all.iter().position(|token| *token == Token::Any) {
                None => text(all).map(Self::Equal),
                Some(split) => text(&all[..split])
                    .zip(text(&all[split + 1..]))
                    .map(|(head, tail)| Self::Ends(head, tail)),
            },
        };
        simple.unwrap_or(Self::General(tokens))
    }

    /// Whether the whole of `text` fits. O(text) for all but general patterns, O(text x pattern) for those.
    #[inline]
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equal(whole) => text == whole,
            Self::Prefix(head) => text.starts_with(head.as_str()),
            Self::Suffix(tail) => text.ends_with(tail.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Ends(head, tail) => {
                text.len() >= head.len() + tail.len()
                    && text.starts_with(head.as_str())
                    && text.ends_with(tail.as_str())
            }
            Self::General(tokens) => general(tokens, text),
        }
    }
}

/// Greedy matching that goes back to the last `%` only, which is enough.
fn general(tokens: &[Token], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    // Where to resume when a character does not fit: after the last `%`, one character further on.
    let mut resume: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        match tokens.get(at) {
            Some(Token::Any) => {
                at += 1;
                resume = Some((at, rest.clone()));
                continue;
            }
            Some(token) => {
                let mut next = rest.clone();
                match next.next() {
                    Some(c) if *token == Token::One || *token == Token::Char(c) => {
                        rest = next;
                        at += 1;
                        continue;
                    }
                    Some(_) => {}
                    None => return false,
                }
            }
            None if rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((after, from)) = &mut resume else { return false };
        if from.next().is_none() {
            return false;
        }
        rest = from.clone();
        at = *after;
    }
}
