//! Trees, events and batches at random, from small alphabets, so that they meet.

use cepheid_cesql::{
    ArithmeticOp, Call, Comparison, Expr, Expression, Function, LikePattern, Literal, Logic, LogicOp,
};
use proptest::prelude::*;

/// The attributes of all expressions.
pub(crate) const NAMES: [&str; 6] = ["subject", "region", "priority", "express", "id", "counter"];

/// A text as a parsed literal can hold it: what is read back is what was written.
fn text() -> impl Strategy<Value = String> {
    const PIECES: &[&str] =
        &["a", "b", "A", "%", "_", "'", "\"", "\\%", "\\_", "\\\\", "5", "-5", "true", "ß", " ", "\n"];
    prop::collection::vec(prop::sample::select(PIECES), 0..4).prop_map(|pieces| pieces.concat()).prop_filter(
        "behind an odd number of backslashes stands one kind of quote alone",
        |text| {
            let mut odd = false;
            let (mut single, mut double) = (false, false);
            for c in text.chars() {
                single |= c == '\'' && odd;
                double |= c == '"' && odd;
                odd = c == '\\' && !odd;
            }
            !(odd || single && double)
        },
    )
}

fn literal() -> impl Strategy<Value = Literal> {
    let number = prop_oneof![-3..4i32, prop::sample::select(&[i32::MIN, i32::MAX, i32::MAX - 1])];
    prop_oneof![
        text().prop_map(Literal::String),
        number.prop_map(Literal::Integer),
        any::<bool>().prop_map(Literal::Boolean),
    ]
}

fn tree() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        literal().prop_map(Expr::Literal),
        (0..NAMES.len()).prop_map(Expr::Attribute),
        (0..NAMES.len()).prop_map(Expr::Exists),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        let pair = (inner.clone(), inner.clone()).prop_map(|(left, right)| Box::new([left, right]));
        let logic_op = prop::sample::select(&[LogicOp::And, LogicOp::Or, LogicOp::Xor]);
        let comparison = prop::sample::select(&[
            Comparison::Equal,
            Comparison::NotEqual,
            Comparison::Less,
            Comparison::LessOrEqual,
            Comparison::Greater,
            Comparison::GreaterOrEqual,
        ]);
        let arithmetic = prop::sample::select(&[
            ArithmeticOp::Multiply,
            ArithmeticOp::Divide,
            ArithmeticOp::Remainder,
            ArithmeticOp::Add,
            ArithmeticOp::Subtract,
        ]);
        const FUNCTIONS: &[&str] = &[
            "LENGTH",
            "CONCAT",
            "CONCAT_WS",
            "LOWER",
            "UPPER",
            "TRIM",
            "LEFT",
            "RIGHT",
            "SUBSTRING",
            "ABS",
            "INT",
            "BOOL",
            "STRING",
            "IS_INT",
            "IS_BOOL",
            "NOSUCH",
        ];
        prop_oneof![
            1 => inner.clone().prop_map(|operand| Expr::Not(Box::new(operand))),
            1 => inner.clone().prop_map(|operand| Expr::Negate(Box::new(operand))),
            3 => (inner.clone(), prop::collection::vec((logic_op, inner.clone()), 1..4))
                .prop_map(|(first, rest)| Expr::Logic(Box::new(Logic { first, rest }))),
            2 => (comparison, pair.clone()).prop_map(|(op, operands)| Expr::Compare(op, operands)),
            2 => (arithmetic, pair).prop_map(|(op, operands)| Expr::Arithmetic(op, operands)),
            1 => (any::<bool>(), inner.clone(), text()).prop_map(|(negated, value, pattern)| Expr::Like {
                negated,
                value: Box::new(value),
                pattern: LikePattern::new(pattern),
            }),
            1 => (any::<bool>(), inner.clone(), prop::collection::vec(inner.clone(), 1..4))
                .prop_map(|(negated, value, set)| Expr::In { negated, value: Box::new(value), set }),
            2 => (prop::sample::select(FUNCTIONS), prop::collection::vec(inner, 0..4)).prop_map(
                |(name, arguments)| {
                    let function = Function::find(name, arguments.len());
                    Expr::Call(Call { name: name.into(), function, arguments })
                }
            ),
        ]
    })
}

/// An expression that first names all attributes in their order, so that reading its text counts them alike.
pub(crate) fn expressions() -> impl Strategy<Value = Expression> {
    tree().prop_map(|tree| {
        let named = (1..NAMES.len()).map(|place| (LogicOp::And, Expr::Exists(place)));
        let names = Expr::Call(Call {
            name: "CONCAT".into(),
            function: Function::find("CONCAT", 1),
            arguments: vec![Expr::Logic(Box::new(Logic { first: Expr::Exists(0), rest: named.collect() }))],
        });
        let root = Expr::Logic(Box::new(Logic {
            first: Expr::Like { negated: false, value: Box::new(names), pattern: LikePattern::new("no") },
            rest: vec![(LogicOp::Or, tree)],
        }));
        Expression::new(root, NAMES.map(String::from).to_vec())
    })
}

/// The tree alone, which may be of any type.
pub(crate) fn bare_expressions() -> impl Strategy<Value = Expression> {
    tree().prop_map(|root| Expression::new(root, NAMES.map(String::from).to_vec()))
}
