//! JSON text to nodes, by RFC 8259 and no more: no comments, no NaN, no field twice.

use crate::fault::{Code, Trouble, shown};
use crate::keys::KeyId;
use crate::node::{Node, NodeId, Nodes};

/// How deep objects and arrays may lie in each other.
pub(crate) const DEPTH_MAX: usize = 64;

/// Reads values one after the other; what it has read of a bad one is taken back.
#[derive(Debug)]
pub(crate) struct Parser<'t> {
    pub(crate) nodes: Nodes<'t>,
    /// The next byte.
    pub(crate) at: usize,
    /// Whether all of the text is UTF-8: then no part need be looked at again.
    utf8: bool,
    /// By name: the object that had it last, to tell that it has it twice.
    seen: Vec<u32>,
    objects: u32,
}

type Parsed<T> = Result<T, Trouble>;

impl<'t> Parser<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        let utf8 = std::str::from_utf8(text).is_ok();
        Self { nodes: Nodes::new(text), at: 0, utf8, seen: Vec::new(), objects: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.nodes.text.get(self.at).copied()
    }

    pub(crate) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The value that begins here, and what follows it is next; or what is wrong with it, and then the next byte is any.
    pub(crate) fn value(&mut self) -> Parsed<NodeId> {
        let (id, unescaped) = (self.nodes.list.len(), self.nodes.unescaped.len());
        let start = self.at;
        let found = self.any(0).and_then(|()| self.check_utf8(start));
        if let Err(trouble) = found {
            self.nodes.list.truncate(id);
            self.nodes.unescaped.truncate(unescaped);
            return Err(trouble);
        }
        Ok(id as NodeId)
    }

    fn check_utf8(&self, start: usize) -> Parsed<()> {
        if self.utf8 || std::str::from_utf8(&self.nodes.text[start..self.at]).is_ok() {
            return Ok(());
        }
        Err(Trouble::new(Code::Utf8, "the text is no UTF-8"))
    }

    fn any(&mut self, depth: usize) -> Parsed<()> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => {
                let text = self.string()?;
                self.nodes.list.push(text);
                Ok(())
            }
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn unexpected(&self, wanted: &str) -> Trouble {
        let found = match self.nodes.text.get(self.at..) {
            None | Some([]) => "the text ends".to_owned(),
            Some(rest) => {
                let rest = String::from_utf8_lossy(&rest[..rest.len().min(16)]);
                let word = rest.split([' ', '\n', '\r', '\t']).next().unwrap_or_default();
                format!("{:?} stands", shown(word))
            }
        };
        Trouble::new(Code::Syntax, format!("no JSON: {found} where {wanted} should be (byte {})", self.at))
    }

    fn word(&mut self, word: &str, node: Node) -> Parsed<()> {
        if !self.nodes.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        self.nodes.list.push(node);
        Ok(())
    }

    fn enter(&mut self, depth: usize) -> Parsed<NodeId> {
        if depth >= DEPTH_MAX {
            return Err(Trouble::new(
                Code::Depth,
                format!("objects and arrays lie more than {DEPTH_MAX} deep in each other"),
            ));
        }
        self.at += 1;
        self.skip_space();
        self.nodes.list.push(Node::Null);
        Ok(self.nodes.list.len() as NodeId - 1)
    }

    fn object(&mut self, depth: usize) -> Parsed<()> {
        let start = self.at as u32;
        let own = self.enter(depth)?;
        let mut before = None;
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                before = Some(self.key(before)?);
                self.skip_space();
                if self.peek() != Some(b':') {
                    return Err(self.unexpected("`:`"));
                }
                self.at += 1;
                self.skip_space();
                self.any(depth + 1)?;
                self.skip_space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(self.unexpected("`,` or `}`")),
                }
                self.skip_space();
            }
            self.at += 1;
        }
        let (next, end) = (self.nodes.list.len() as NodeId, self.at as u32);
        self.nodes.list[own as usize] = Node::Object { next, start, end };
        self.check_keys(own)
    }

    fn key(&mut self, before: Option<KeyId>) -> Parsed<KeyId> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("the name of a field"));
        }
        let unescaped = self.nodes.unescaped.len();
        let id = match self.string()? {
            Node::Text { start, end } => {
                let bytes = &self.nodes.text[start as usize..end as usize];
                let name = std::str::from_utf8(bytes)
                    .map_err(|_| Trouble::new(Code::Utf8, "the name of a field is no UTF-8"))?;
                self.nodes.keys.id_after(before, name)
            }
            Node::Unescaped { start, end } => {
                let Nodes { keys, unescaped, .. } = &mut self.nodes;
                keys.id_after(before, &unescaped[start as usize..end as usize])
            }
            _ => unreachable!("a string is a text"),
        };
        self.nodes.unescaped.truncate(unescaped);
        self.nodes.list.push(Node::Key(id));
        Ok(id)
    }

    /// Once an object is read, as objects in it may have the same names.
    fn check_keys(&mut self, object: NodeId) -> Parsed<()> {
        self.objects += 1;
        self.seen.resize(self.nodes.keys.len(), 0);
        for (key, _) in self.nodes.fields(object) {
            if std::mem::replace(&mut self.seen[key as usize], self.objects) == self.objects {
                let name = shown(self.nodes.keys.name(key));
                return Err(Trouble::new(
                    Code::DuplicateKey,
                    format!("an object has the field `{name}` twice"),
                ));
            }
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Parsed<()> {
        let start = self.at as u32;
        let own = self.enter(depth)?;
        if self.peek() != Some(b']') {
            loop {
                self.any(depth + 1)?;
                self.skip_space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err(self.unexpected("`,` or `]`")),
                }
                self.skip_space();
            }
        }
        self.at += 1;
        let (next, end) = (self.nodes.list.len() as NodeId, self.at as u32);
        self.nodes.list[own as usize] = Node::Array { next, start, end };
        Ok(())
    }

    fn string(&mut self) -> Parsed<Node> {
        self.at += 1;
        let start = self.at;
        self.at = plain_end(self.nodes.text, start);
        match self.peek() {
            Some(b'"') => {
                let end = self.at;
                self.at += 1;
                Ok(Node::Text { start: start as u32, end: end as u32 })
            }
            Some(b'\\') => self.escaped(start),
            _ => Err(self.control()),
        }
    }

    fn control(&self) -> Trouble {
        match self.peek() {
            None => Trouble::new(Code::Syntax, "no JSON: the text ends within a string"),
            Some(byte) => Trouble::new(
                Code::Syntax,
                format!("no JSON: a string has the control character {byte:#04x} (byte {})", self.at),
            ),
        }
    }

    /// The rest of a string whose first escape is here.
    fn escaped(&mut self, start: usize) -> Parsed<Node> {
        let begin = self.nodes.unescaped.len();
        let mut from = start;
        loop {
            let bytes = &self.nodes.text[from..self.at];
            let part =
                std::str::from_utf8(bytes).map_err(|_| Trouble::new(Code::Utf8, "the text is no UTF-8"))?;
            self.nodes.unescaped.push_str(part);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let char = self.escape()?;
                    self.nodes.unescaped.push(char);
                }
                _ => return Err(self.control()),
            }
            from = self.at;
            self.at = plain_end(self.nodes.text, from);
        }
        self.at += 1;
        Ok(Node::Unescaped { start: begin as u32, end: self.nodes.unescaped.len() as u32 })
    }

    fn escape(&mut self) -> Parsed<char> {
        let escape = self.nodes.text.get(self.at + 1).copied();
        let char = match escape {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.unexpected("an escape")),
        };
        self.at += 2;
        Ok(char)
    }

    fn unicode(&mut self) -> Parsed<char> {
        let high = self.hex(self.at + 2)?;
        if !(0xd800..0xe000).contains(&high) {
            self.at += 6;
            return Ok(char::from_u32(high).expect("no surrogate"));
        }
        let lone = || Trouble::new(Code::Syntax, "no JSON: a string has half a surrogate pair");
        if high >= 0xdc00 || self.nodes.text.get(self.at + 6..self.at + 8) != Some(b"\\u") {
            return Err(lone());
        }
        let low = self.hex(self.at + 8)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(lone());
        }
        self.at += 12;
        Ok(char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).expect("a pair is a character"))
    }

    fn hex(&self, at: usize) -> Parsed<u32> {
        let digits = self.nodes.text.get(at..at + 4).unwrap_or_default();
        let value =
            digits.iter().try_fold(0, |value, digit| Some(value * 16 + (*digit as char).to_digit(16)?));
        value
            .filter(|_| digits.len() == 4)
            .ok_or_else(|| self.unexpected("an escape of four hexadecimal digits"))
    }

    fn number(&mut self) -> Parsed<()> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let (mut value, mut fits) = (0i64, true);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            // Negated, as there is one negative number more.
            let next = value.checked_mul(10).and_then(|value| value.checked_sub(i64::from(digit - b'0')));
            (value, fits) = (next.unwrap_or_default(), fits && next.is_some());
            self.at += 1;
        }
        if self.at == first || (self.nodes.text[first] == b'0' && self.at > first + 1) {
            self.at = start;
            return Err(self.unexpected("a number"));
        }
        let whole = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let exact = if negative { Some(value).filter(|value| *value != 0) } else { value.checked_neg() };
        self.nodes.list.push(match exact.filter(|_| whole && fits) {
            Some(value) => Node::Int(value),
            None => Node::Number { start: start as u32, end: self.at as u32 },
        });
        Ok(())
    }

    fn digits(&mut self) -> Parsed<()> {
        let first = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == first { Err(self.unexpected("a digit")) } else { Ok(()) }
    }
}

/// The first byte from here that ends a run of plain characters of a string: quote, backslash, control; or the text's end.
fn plain_end(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Eight bytes at a time: a byte below a bound has its high bit set, for it borrows; those that are not ASCII have not.
    while let Some(bytes) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let equal = |byte: u8| {
            let difference = word ^ (ONES * u64::from(byte));
            difference.wrapping_sub(ONES) & !difference
        };
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (equal(b'"') | equal(b'\\') | control) & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Result<String, Code> {
        let mut parser = Parser::new(text);
        let id = parser.value().map_err(|trouble| trouble.code)?;
        if parser.at != text.len() {
            return Err(Code::Syntax);
        }
        let mut out = String::new();
        parser.nodes.write_json(id, &mut out);
        Ok(out)
    }

    #[test]
    fn text_that_is_json_is_read_and_no_other() {
        for good in [
            "null",
            "true",
            "[]",
            "{}",
            "0",
            "-0",
            "-1.5e-7",
            "9223372036854775807",
            "-9223372036854775808",
            "92233720368547758080",
            r#""""#,
            r#""abcdefghijklmnop""#,
            r#"{"a":{"a":[1,{"b":null}]},"b":"x"}"#,
            "\"é\u{1F600}\"",
        ] {
            assert_eq!(parsed(good.as_bytes()).as_deref(), Ok(good));
        }
        assert_eq!(parsed(br#""a\u00e9\ud83d\ude00\n\/""#).as_deref(), Ok("\"aé\u{1F600}\\n/\""));
        let bad: [(&[u8], Code); 21] = [
            (b"", Code::Syntax),
            (b"NaN", Code::Syntax),
            (b"-Infinity", Code::Syntax),
            (b"01", Code::Syntax),
            (b"1.", Code::Syntax),
            (b".5", Code::Syntax),
            (b"+1", Code::Syntax),
            (b"1e", Code::Syntax),
            (b"tru", Code::Syntax),
            (b"[1,]", Code::Syntax),
            (b"{\"a\"}", Code::Syntax),
            (b"{\"a\":1,}", Code::Syntax),
            (b"{a:1}", Code::Syntax),
            (b"\"a\nb\"", Code::Syntax),
            (b"\"abc", Code::Syntax),
            (b"\"\\x\"", Code::Syntax),
            (b"\"\\ud800\"", Code::Syntax),
            (b"\"\\udc00\\ud800\"", Code::Syntax),
            (b"\"\xff\"", Code::Utf8),
            (b"{\"a\":1,\"b\":{\"a\":2},\"a\":3}", Code::DuplicateKey),
            (b"{\"a\":1,\"\\u0061\":3}", Code::DuplicateKey),
        ];
        for (text, code) in bad {
            assert_eq!(parsed(text), Err(code), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_lies_too_deep_is_refused_without_a_deep_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parsed(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parsed(nested(DEPTH_MAX + 1).as_bytes()), Err(Code::Depth));
        assert_eq!(parsed("[".repeat(1_000_000).as_bytes()), Err(Code::Depth));
    }

    #[test]
    fn the_end_of_plain_characters_is_found_wherever_it_is() {
        for length in 0..40 {
            for end in [b'"', b'\\', b'\n', 0x1f, 0] {
                for fill in [b'a', b' ', b'!', 0x7f, 0x80, 0xff, b'#', b'[', b']'] {
                    let mut text = vec![fill; length];
                    text.push(end);
                    text.extend([fill; 9]);
                    assert_eq!(plain_end(&text, 0), length, "{fill:#x} {end:#x}");
                }
            }
            assert_eq!(plain_end(&vec![b'a'; length], 0), length);
        }
    }
}
