//! LIKE: a text against a pattern.

/// What stands behind LIKE: `%` is any text, `_` any character, and `\%` and `\_` are themselves; so is every other
/// character, a backslash for one.
#[derive(Clone, Debug)]
pub struct LikePattern {
    text: String,
    /// The pieces between `%`: one more than there are of those.
    pieces: Vec<Piece>,
}

/// Characters that follow each other.
#[derive(Clone, Debug)]
struct Piece {
    /// None: any character.
    characters: Vec<Option<char>>,
    /// The same as text if none is any character: it can be searched for.
    plain: Option<String>,
}

impl PartialEq for LikePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LikePattern {}

impl std::hash::Hash for LikePattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl LikePattern {
    /// Reads a pattern; every text is one.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut pieces = vec![vec![]];
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let piece = pieces.last_mut().expect("there is always one");
            match c {
                '%' => pieces.push(vec![]),
                '_' => piece.push(None),
                '\\' => piece.push(rest.next_if(|next| matches!(next, '%' | '_')).or(Some('\\'))),
                c => piece.push(Some(c)),
            }
        }
        let pieces = pieces
            .into_iter()
            .map(|characters| Piece { plain: characters.iter().copied().collect(), characters })
            .collect();
        Self { text, pieces }
    }

    /// As it is written, without quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a text fits as a whole. Takes time linear in the text if the pattern has no `_`, and at most the length
    /// of the text times that of the pattern.
    pub fn fits(&self, text: &str) -> bool {
        let [first, between @ .., last] = &*self.pieces else {
            return self.pieces[0].fits_start(text) == Some("");
        };
        let Some(mut rest) = first.fits_start(text) else { return false };
        for piece in between {
            // The leftmost place leaves the most for what follows.
            let Some(left) = piece.find(rest) else { return false };
            rest = left;
        }
        last.fits_end(rest)
    }
}

impl Piece {
    /// What follows it in a text that begins with it.
    fn fits_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Some(plain) = &self.plain {
            return text.strip_prefix(&**plain);
        }
        let mut rest = text.chars();
        for wanted in &self.characters {
            let found = rest.next()?;
            if wanted.is_some_and(|wanted| wanted != found) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    /// What follows its first place in a text.
    fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Some(plain) = &self.plain {
            return text.find(&**plain).map(|at| &text[at + plain.len()..]);
        }
        text.char_indices().find_map(|(at, _)| self.fits_start(&text[at..]))
    }

    fn fits_end(&self, text: &str) -> bool {
        if let Some(plain) = &self.plain {
            return text.ends_with(&**plain);
        }
        let mut rest = text.chars().rev();
        self.characters
            .iter()
            .rev()
            .all(|wanted| rest.next().is_some_and(|found| wanted.is_none_or(|wanted| wanted == found)))
    }
}
