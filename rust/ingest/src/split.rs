//! Where each event of a text begins and ends, and where the next one does after one that cannot be read.
//!
//! In an array, a bad element ends at the comma or bracket that its own brackets and quotes lead to. Among lines it ends with
//! its line; if brackets are open then, with the last line before one that begins an object. What never closes takes all that
//! follows with it, as nobody can tell where it was meant to end.

use crate::fault::{Code, Trouble};
use crate::node::{NodeId, Nodes};
use crate::parse::Parser;

/// One element of a text: its bytes, and the value or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) span: (usize, usize),
    pub(crate) value: Result<NodeId, Trouble>,
}

/// The elements of a text.
pub(crate) fn elements(text: &[u8]) -> (Nodes<'_>, Vec<Element>) {
    let mut splitter = Splitter { parser: Parser::new(text), found: Vec::new() };
    if text.starts_with(b"\xef\xbb\xbf") {
        // The mark that editors put in front of UTF-8.
        splitter.parser.at = 3;
    }
    splitter.parser.skip_space();
    let start = splitter.parser.at;
    if splitter.parser.peek() != Some(b'[') {
        splitter.lines();
    } else if !splitter.array() {
        // Something comes after the array: it was the first of several lines.
        let mut again = Splitter { parser: Parser::new(text), found: Vec::new() };
        again.parser.at = start;
        again.lines();
        splitter = again;
    }
    (splitter.parser.nodes, splitter.found)
}

struct Splitter<'t> {
    parser: Parser<'t>,
    found: Vec<Element>,
}

impl Splitter<'_> {
    fn push(&mut self, start: usize, end: usize, value: Result<NodeId, Trouble>) {
        self.found.push(Element { span: (start, end), value });
    }

    /// Elements of the array that begins here. Whether nothing comes after it.
    fn array(&mut self) -> bool {
        self.parser.at += 1;
        self.parser.skip_space();
        if self.parser.peek() == Some(b']') {
            self.parser.at += 1;
            self.parser.skip_space();
            return self.parser.peek().is_none();
        }
        loop {
            let start = self.parser.at;
            let mut value = self.parser.value();
            let mut end = self.parser.at;
            self.parser.skip_space();
            if value.is_ok() && !matches!(self.parser.peek(), Some(b',' | b']') | None) {
                value =
                    Err(Trouble::new(Code::Syntax, format!("no JSON: `,` or `]` is missing (byte {end})")));
            }
            if value.is_err() {
                let text = self.parser.nodes.text;
                self.parser.at = separator(text, start);
                end = trimmed_end(text, start, self.parser.at);
            }
            self.push(start, end, value);
            match self.parser.peek() {
                Some(b',') => self.parser.at += 1,
                Some(_) => break,
                None => {
                    let last_is_bad = self.found.last().is_some_and(|element| element.value.is_err());
                    if !last_is_bad {
                        let trouble = Trouble::new(Code::Syntax, "no JSON: the text ends within an array");
                        self.push(self.parser.at, self.parser.at, Err(trouble));
                    }
                    return true;
                }
            }
            self.parser.skip_space();
        }
        self.parser.at += 1;
        self.parser.skip_space();
        self.parser.peek().is_none()
    }

    /// Objects one after the other, as a rule one a line.
    fn lines(&mut self) {
        loop {
            self.parser.skip_space();
            if self.parser.peek().is_none() {
                break;
            }
            let start = self.parser.at;
            let mut value = self.parser.value();
            let mut end = self.parser.at;
            let text = self.parser.nodes.text;
            if value.is_ok() {
                let rest = &text[end..line_end(text, end)];
                if let Some(place) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) {
                    let at = end + place;
                    value = Err(Trouble::new(
                        Code::Syntax,
                        format!("no JSON: a line goes on after its event (byte {at})"),
                    ));
                }
            }
            if value.is_err() {
                self.parser.at = bad_line_end(text, start);
                end = trimmed_end(text, start, self.parser.at);
            }
            self.push(start, end, value);
        }
    }
}

/// The end of what is between two places, without the white space there.
fn trimmed_end(text: &[u8], start: usize, end: usize) -> usize {
    end - text[start..end].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn line_end(text: &[u8], from: usize) -> usize {
    text[from..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |place| from + place)
}

/// Where a line that cannot be read ends.
fn bad_line_end(text: &[u8], start: usize) -> usize {
    let end = line_end(text, start);
    if text[start] != b'{' || is_closed(&text[start..end]) {
        return end;
    }
    let next = text[end..].windows(2).position(|pair| pair == b"\n{");
    next.map_or(text.len(), |place| end + place)
}

/// Whether brackets and quotes are closed.
fn is_closed(text: &[u8]) -> bool {
    let mut depth = Depth::default();
    for byte in text {
        depth.step(*byte);
    }
    depth.open == 0 && !depth.quoted
}

/// The comma or bracket after an element of an array; the text's end if there is none.
fn separator(text: &[u8], start: usize) -> usize {
    let mut depth = Depth::default();
    for (place, byte) in text.iter().enumerate().skip(start) {
        if depth.open == 0 && !depth.quoted && matches!(byte, b',' | b']') {
            return place;
        }
        depth.step(*byte);
    }
    text.len()
}

/// How many brackets are open, and whether a quote is.
#[derive(Default)]
struct Depth {
    open: usize,
    quoted: bool,
    escaped: bool,
}

impl Depth {
    fn step(&mut self, byte: u8) {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.open += 1,
            b'}' | b']' => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(&str, bool)> {
        let (_, found) = elements(text.as_bytes());
        found.iter().map(|element| (&text[element.span.0..element.span.1], element.value.is_ok())).collect()
    }

    #[test]
    fn elements_of_arrays_and_lines_are_told_apart() {
        let cases: [(&str, &[(&str, bool)]); 22] = [
            ("", &[]),
            (" \n\t", &[]),
            ("[]", &[]),
            (" [ ] \n", &[]),
            ("\u{feff}{\"a\":1}", &[("{\"a\":1}", true)]),
            ("[{},{\"a\":[1]} , 3]", &[("{}", true), ("{\"a\":[1]}", true), ("3", true)]),
            ("[{\"a\":NaN},{}]", &[("{\"a\":NaN}", false), ("{}", true)]),
            ("[{\"a\":[}, \"]\"]},{}]", &[("{\"a\":[}, \"]\"]}", false), ("{}", true)]),
            ("[{}{},{}]", &[("{}{}", false), ("{}", true)]),
            ("[{},,{}]", &[("{}", true), ("", false), ("{}", true)]),
            ("[{},", &[("{}", true), ("", false)]),
            ("[{}", &[("{}", true), ("", false)]),
            ("[{},{\"a\":\"x},{}]", &[("{}", true), ("{\"a\":\"x},{}]", false)]),
            ("{}\n\n{}\r\n", &[("{}", true), ("{}", true)]),
            ("{\n \"a\": 1\n}", &[("{\n \"a\": 1\n}", true)]),
            ("{}\nnonsense, really\n{}", &[("{}", true), ("nonsense, really", false), ("{}", true)]),
            ("{\"a\":\"x\n{}\n", &[("{\"a\":\"x", false), ("{}", true)]),
            ("{\"a\":1\n{}\n{}", &[("{\"a\":1", false), ("{}", true), ("{}", true)]),
            ("{\"a\":NaN}\nx\n{}", &[("{\"a\":NaN}", false), ("x", false), ("{}", true)]),
            ("{} {}\n{}", &[("{} {}", false), ("{}", true)]),
            ("[1]\n{}", &[("[1]", true), ("{}", true)]),
            ("{\n \"a\": NaN\n}\n{}", &[("{\n \"a\": NaN\n}", false), ("{}", true)]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }
}
