//! What a text says, as a tree.

use crate::function::Function;
use crate::like::LikePattern;
use crate::value::Kind;

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    pub(crate) root: Expr,
    pub(crate) attributes: Vec<String>,
}

impl Expression {
    /// An expression that is put together by hand; `attributes` are the names that [`Expr::Attribute`] counts.
    pub fn new(root: Expr, attributes: Vec<String>) -> Self {
        Self { root, attributes }
    }

    /// The tree.
    pub fn root(&self) -> &Expr {
        &self.root
    }

    /// The attributes that it names, in lower case, each once, in order of appearance.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// Functions that it calls and that do not exist, in upper case, each once, with their number of arguments.
    pub fn missing_functions(&self) -> Vec<(String, usize)> {
        let mut missing = Vec::new();
        self.root.visit(&mut |expr| {
            if let Expr::Call(call) = expr
                && call.function.is_none()
            {
                let called = (call.name.clone(), call.arguments.len());
                if !missing.contains(&called) {
                    missing.push(called);
                }
            }
        });
        missing
    }

    /// The type of its value; none where that depends on the event.
    pub fn kind(&self) -> Option<Kind> {
        self.root.kind()
    }
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// The value of an attribute, by its place among the names of the expression.
    Attribute(usize),
    /// Whether the event has an attribute.
    Exists(usize),
    /// `NOT x`
    Not(Box<Expr>),
    /// `-x`
    Negate(Box<Expr>),
    /// `x AND y OR z`, of one precedence and from left to right.
    Logic(Box<Logic>),
    /// `x < y`
    Compare(Comparison, Box<[Expr; 2]>),
    /// `x + y`
    Arithmetic(ArithmeticOp, Box<[Expr; 2]>),
    /// `x LIKE 'pattern'`
    Like {
        /// `NOT LIKE`.
        negated: bool,
        /// What is compared.
        value: Box<Expr>,
        /// With what.
        pattern: LikePattern,
    },
    /// `x IN (y, z)`
    In {
        /// `NOT IN`.
        negated: bool,
        /// What is looked for.
        value: Box<Expr>,
        /// Where; never empty.
        set: Vec<Expr>,
    },
    /// `F(x, y)`
    Call(Call),
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i32),
    /// True or false.
    Boolean(bool),
}

/// Truths put together from left to right. A list, not a tree: thousands of alternatives are no nesting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Logic {
    /// The first truth.
    pub first: Expr,
    /// What is put to it, one after the other; never empty.
    pub rest: Vec<(LogicOp, Expr)>,
}

/// How two truths become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogicOp {
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `XOR`
    Xor,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArithmeticOp {
    /// `*`
    Multiply,
    /// `/`, cut towards 0.
    Divide,
    /// `%`, with the sign of the dividend.
    Remainder,
    /// `+`
    Add,
    /// `-`
    Subtract,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Its name in upper case.
    pub name: String,
    /// The function with this name and so many arguments; none: there is no such.
    pub function: Option<Function>,
    /// What it is called with.
    pub arguments: Vec<Expr>,
}

impl Expr {
    /// The type of its value; none where that depends on the event.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Literal(literal) => Some(literal.kind()),
            Self::Attribute(_) => None,
            Self::Negate(_) | Self::Arithmetic(..) => Some(Kind::Integer),
            Self::Call(call) => Some(call.function.map_or(Kind::Boolean, Function::kind)),
            Self::Exists(_)
            | Self::Not(_)
            | Self::Logic(_)
            | Self::Compare(..)
            | Self::Like { .. }
            | Self::In { .. } => Some(Kind::Boolean),
        }
    }

    /// The nodes right below it, from left to right.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Attribute(_) | Self::Exists(_) => vec![],
            Self::Not(operand) | Self::Negate(operand) => vec![operand],
            Self::Logic(logic) => {
                std::iter::once(&logic.first).chain(logic.rest.iter().map(|(_, operand)| operand)).collect()
            }
            Self::Compare(_, operands) | Self::Arithmetic(_, operands) => operands.iter().collect(),
            Self::Like { value, .. } => vec![value],
            Self::In { value, set, .. } => std::iter::once(&**value).chain(set).collect(),
            Self::Call(call) => call.arguments.iter().collect(),
        }
    }

    /// Hands every node to `see`, each before those below it.
    pub(crate) fn visit(&self, see: &mut impl FnMut(&Self)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }
}

impl Literal {
    /// The type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::Integer(_) => Kind::Integer,
            Self::Boolean(_) => Kind::Boolean,
        }
    }
}

impl LogicOp {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
        }
    }
}

impl Comparison {
    /// As it is written.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl ArithmeticOp {
    /// As it is written.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Remainder => '%',
            Self::Add => '+',
            Self::Subtract => '-',
        }
    }
}

/// How tightly a node holds what is in it; a looser one inside stands in parentheses. The order is that of the
/// specification, which is not SQL's: NOT and signs come before LIKE, IN and arithmetic, and AND, OR, XOR are equal.
pub(crate) mod precedence {
    use super::{ArithmeticOp, Expr};

    pub(crate) const LOGIC: u8 = 1;
    pub(crate) const COMPARISON: u8 = 2;
    pub(crate) const SUM: u8 = 3;
    pub(crate) const PRODUCT: u8 = 4;
    pub(crate) const IN: u8 = 5;
    pub(crate) const LIKE: u8 = 6;
    pub(crate) const UNARY: u8 = 7;
    pub(crate) const WHOLE: u8 = 8;

    pub(crate) fn of_arithmetic(op: ArithmeticOp) -> u8 {
        match op {
            ArithmeticOp::Multiply | ArithmeticOp::Divide | ArithmeticOp::Remainder => PRODUCT,
            ArithmeticOp::Add | ArithmeticOp::Subtract => SUM,
        }
    }

    pub(crate) fn of(expr: &Expr) -> u8 {
        match expr {
            Expr::Literal(_) | Expr::Attribute(_) | Expr::Exists(_) | Expr::Call(_) => WHOLE,
            Expr::Not(_) | Expr::Negate(_) => UNARY,
            Expr::Logic(_) => LOGIC,
            Expr::Compare(..) => COMPARISON,
            Expr::Arithmetic(op, _) => of_arithmetic(*op),
            Expr::Like { .. } => LIKE,
            Expr::In { .. } => IN,
        }
    }
}
