//! A tree as text that reads back as the same tree.

use std::fmt::Write;

use crate::ast::{Expr, Expression, Literal, precedence};

/// The text of an expression, with as few parentheses as it takes.
pub fn unparse(expression: &Expression) -> String {
    let mut writer = Writer { text: String::new(), attributes: &expression.attributes };
    writer.expr(&expression.root, precedence::LOGIC);
    writer.text
}

struct Writer<'e> {
    text: String,
    attributes: &'e [String],
}

impl Writer<'_> {
    /// In parentheses if it holds together less tightly than `least`.
    fn expr(&mut self, expr: &Expr, least: u8) {
        if precedence::of(expr) < least {
            self.text.push('(');
            self.bare(expr);
            self.text.push(')');
        } else {
            self.bare(expr);
        }
    }

    fn bare(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(Literal::String(text)) => self.quoted(text),
            Expr::Literal(Literal::Integer(number)) => self.shown(number),
            Expr::Literal(Literal::Boolean(truth)) => {
                self.text.push_str(if *truth { "TRUE" } else { "FALSE" })
            }
            Expr::Attribute(place) => self.text.push_str(&self.attributes[*place]),
            Expr::Exists(place) => {
                self.text.push_str("EXISTS ");
                self.text.push_str(&self.attributes[*place]);
            }
            Expr::Not(operand) => {
                self.text.push_str("NOT ");
                self.expr(operand, precedence::UNARY);
            }
            Expr::Negate(operand) => {
                self.text.push('-');
                // Without the space, the sign would be the number's own.
                if matches!(**operand, Expr::Literal(Literal::Integer(0..))) {
                    self.text.push(' ');
                }
                self.expr(operand, precedence::UNARY);
            }
            Expr::Logic(logic) => {
                self.expr(&logic.first, precedence::COMPARISON);
                for (op, operand) in &logic.rest {
                    self.between(op.word());
                    self.expr(operand, precedence::COMPARISON);
                }
            }
            Expr::Compare(op, operands) => self.binary(operands, op.sign(), precedence::COMPARISON),
            Expr::Arithmetic(op, operands) => {
                let mut sign = [0; 4];
                self.binary(operands, op.sign().encode_utf8(&mut sign), precedence::of_arithmetic(*op));
            }
            Expr::Like { negated, value, pattern } => {
                self.expr(value, precedence::LIKE);
                self.between(if *negated { "NOT LIKE" } else { "LIKE" });
                self.quoted(pattern.text());
            }
            Expr::In { negated, value, set } => {
                self.expr(value, precedence::IN);
                self.between(if *negated { "NOT IN" } else { "IN" });
                self.list(set);
            }
            Expr::Call(call) => {
                self.text.push_str(&call.name);
                self.list(&call.arguments);
            }
        }
    }

    fn binary(&mut self, operands: &[Expr; 2], sign: &str, holds: u8) {
        let [left, right] = operands;
        self.expr(left, holds);
        self.between(sign);
        self.expr(right, holds + 1);
    }

    fn between(&mut self, word: &str) {
        self.text.push(' ');
        self.text.push_str(word);
        self.text.push(' ');
    }

    fn list(&mut self, exprs: &[Expr]) {
        self.text.push('(');
        for (place, expr) in exprs.iter().enumerate() {
            if place > 0 {
                self.text.push_str(", ");
            }
            self.expr(expr, precedence::LOGIC);
        }
        self.text.push(')');
    }

    fn shown(&mut self, number: &i32) {
        write!(self.text, "{number}").expect("text can always be written to");
    }

    /// In the quotes that can hold it. Every text that was read can be held by one kind: behind an odd number of
    /// backslashes stands the other kind's quote alone.
    fn quoted(&mut self, text: &str) {
        let quote = if single_holds(text) { '\'' } else { '"' };
        self.text.push(quote);
        for c in text.chars() {
            if c == quote {
                self.text.push('\\');
            }
            self.text.push(c);
        }
        self.text.push(quote);
    }
}

/// Whether no single quote stands behind an odd number of backslashes.
fn single_holds(text: &str) -> bool {
    let mut odd = false;
    for c in text.chars() {
        if c == '\'' && odd {
            return false;
        }
        odd = c == '\\' && !odd;
    }
    true
}
