//! Random conditions and measures over the columns of [`random_table`](crate::generate_events::random_table).

use cepheid_ir::{Aggregate, AggregateFunction, Anchor, BinaryOp, Expr, RowPointer, Semantics, TestedRow};

use crate::generate_events::LETTERS;
use crate::generate_patterns::Features;
use crate::split_mix::SplitMix64;

/// A maker of conditions.
type Family<'n> = fn(&Names<'n>, &mut SplitMix64) -> Expr;

/// The names that an expression may mention, and how.
pub(crate) struct Names<'n> {
    /// Variables and subsets of the pattern.
    pub(crate) known: &'n [String],
    pub(crate) features: Features,
}

impl<'n> Names<'n> {
    /// In the algebra a reference covers rows accepted before the one under test.
    fn tested_row(&self) -> TestedRow {
        if self.features.algebra { TestedRow::Excluded } else { TestedRow::Included }
    }

    /// A condition of one of the families that the features ask for.
    pub(crate) fn condition(&self, random: &mut SplitMix64) -> Expr {
        let features = self.features;
        let mut families: Vec<Family<'n>> = vec![Self::state_free];
        let offered: [(bool, Family<'n>); 5] = [
            (features.neighbours, Self::neighbour),
            (features.run_relative, Self::run_relative),
            (features.aggregates, Self::running_aggregate),
            (features.labels, Self::label),
            (features.errors, Self::fallible),
        ];
        families.extend(offered.into_iter().filter(|(asked, _)| *asked).map(|(_, family)| family));
        let operand = |random: &mut SplitMix64| random.choose(&families)(self, random);
        let first = operand(random);
        // More disjunctions than conjunctions: conditions that seldom hold test little.
        match random.below(10) {
            0 => Expr::And(vec![first, operand(random)]),
            1..=4 => Expr::Or(vec![first, operand(random)]),
            5 => Expr::Not(Box::new(first)),
            _ => first,
        }
    }

    /// Reads the row under test alone.
    fn state_free(&self, random: &mut SplitMix64) -> Expr {
        let small = Expr::literal(random.between(0, 3));
        match random.below(9) {
            0 => compare(Expr::column("v"), small, random),
            1 => compare(Expr::column("w"), Expr::literal(random.between(-1, 3) as f64 / 2.0), random),
            2 => Expr::binary(BinaryOp::Equal, Expr::column("k"), letter(random)),
            3 => {
                Expr::In { operand: Box::new(Expr::column("k")), list: vec![letter(random), letter(random)] }
            }
            4 => Expr::Between {
                operand: Box::new(Expr::column("v")),
                low: Box::new(Expr::literal(random.between(-1, 1))),
                high: Box::new(Expr::literal(random.between(1, 4))),
            },
            5 => Expr::IsNull(Box::new(Expr::column("v"))),
            6 => Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::column("k"))))),
            7 => compare(Expr::binary(BinaryOp::Add, Expr::column("v"), Expr::column("v")), small, random),
            _ => Expr::binary(BinaryOp::IsDistinctFrom, Expr::column("k"), letter(random)),
        }
    }

    /// Reads rows at a fixed distance.
    fn neighbour(&self, random: &mut SplitMix64) -> Expr {
        let offset = *random.choose(&[-1, -1, -1, -2, 1, 2]);
        let name = *random.choose(&["v", "v", "w"]);
        let other = column(name, RowPointer { physical_offset: offset, ..Default::default() });
        match random.below(6) {
            0 => Expr::IsNull(Box::new(other)),
            _ => compare(Expr::column(name), other, random),
        }
    }

    /// Reads rows of the run.
    fn run_relative(&self, random: &mut SplitMix64) -> Expr {
        let variable = if random.chance(80) { Some(random.choose(self.known).clone()) } else { None };
        let pointer = RowPointer {
            variable,
            anchor: *random.choose(&[Anchor::First, Anchor::Last]),
            logical_offset: *random.choose(&[0, 0, 0, 1, 2]),
            physical_offset: *random.choose(&[0, 0, 0, 0, -1, 1]),
            semantics: Semantics::Running,
            tested_row: self.tested_row(),
        };
        let other = column("v", pointer);
        let missing = Expr::IsNull(Box::new(other.clone()));
        let comparison = compare(Expr::column("v"), other, random);
        // A comparison with a row that is not there yet never holds: let half of them begin.
        if random.chance(50) { Expr::Or(vec![missing, comparison]) } else { comparison }
    }

    fn running_aggregate(&self, random: &mut SplitMix64) -> Expr {
        let small = random.between(0, 4);
        let total = self.aggregate(random, Semantics::Running, self.tested_row());
        match random.below(4) {
            0 => compare(Expr::column("v"), self.number_of(random), random),
            1 => Expr::Or(vec![
                Expr::IsNull(Box::new(total.clone())),
                Expr::Not(Box::new(Expr::IsNull(Box::new(total)))),
            ]),
            2 => compare(self.number_of(random), self.number_of(random), random),
            _ => compare(self.number_of(random), Expr::literal(small), random),
        }
    }

    /// An aggregate that is a number.
    fn number_of(&self, random: &mut SplitMix64) -> Expr {
        use AggregateFunction::*;
        let function = *random.choose(&[Count, Sum, Avg, Min, Max]);
        Expr::Aggregate(Aggregate {
            function,
            args: vec![Expr::column("v")],
            distinct: random.chance(15),
            variable: if random.chance(65) { Some(random.choose(self.known).clone()) } else { None },
            semantics: Semantics::Running,
            tested_row: self.tested_row(),
        })
    }

    /// Any aggregate.
    fn aggregate(&self, random: &mut SplitMix64, semantics: Semantics, tested_row: TestedRow) -> Expr {
        use AggregateFunction::*;
        let (function, args) = match random.below(9) {
            0 | 1 => (Count, vec![]),
            2 => (Count, vec![Expr::column("k")]),
            3 => (*random.choose(&[Sum, Avg]), vec![Expr::column(*random.choose(&["v", "w"]))]),
            4 => (*random.choose(&[Min, Max]), vec![Expr::column(*random.choose(&["v", "w", "k"]))]),
            5 => (ArrayAgg, vec![Expr::column("v")]),
            6 => (CountIf, vec![Expr::binary(BinaryOp::Greater, Expr::column("v"), Expr::literal(1))]),
            7 => (*random.choose(&[BoolAnd, BoolOr]), vec![Expr::IsNull(Box::new(Expr::column("v")))]),
            _ => (*random.choose(&[StddevPop, VarSamp]), vec![Expr::column("v")]),
        };
        let distinct =
            !args.is_empty() && matches!(function, Count | Sum | Avg | ArrayAgg) && random.chance(25);
        let variable = if random.chance(60) { Some(random.choose(self.known).clone()) } else { None };
        Expr::Aggregate(Aggregate { function, args, distinct, variable, semantics, tested_row })
    }

    /// Reads labels and the number of the match.
    fn label(&self, random: &mut SplitMix64) -> Expr {
        let before = RowPointer { logical_offset: 1, ..Default::default() };
        let first = RowPointer { anchor: Anchor::First, ..Default::default() };
        let name = Expr::literal(random.choose(self.known).as_str());
        match random.below(4) {
            0 => Expr::binary(BinaryOp::LessOrEqual, Expr::MatchNumber, Expr::literal(random.between(1, 3))),
            1 => Expr::binary(BinaryOp::Equal, Expr::Classifier { at: first }, name),
            2 => Expr::binary(BinaryOp::IsDistinctFrom, Expr::Classifier { at: before }, name),
            _ => Expr::binary(BinaryOp::NotEqual, Expr::Classifier { at: before }, name),
        }
    }

    /// Divides by a value that may be zero.
    fn fallible(&self, random: &mut SplitMix64) -> Expr {
        let quotient = Expr::binary(BinaryOp::Divide, Expr::literal(4), Expr::column("v"));
        let divided = compare(quotient, Expr::literal(1), random);
        let guard = Expr::binary(BinaryOp::NotEqual, Expr::column("v"), Expr::literal(0));
        if random.chance(60) { Expr::And(vec![guard, divided]) } else { divided }
    }

    /// A measure. A label is asked for only of rows that every semantics has seen.
    pub(crate) fn measure(&self, random: &mut SplitMix64) -> Expr {
        let semantics = if random.chance(30) { Semantics::Final } else { Semantics::Running };
        let variable = if random.chance(60) { Some(random.choose(self.known).clone()) } else { None };
        let pointer = RowPointer {
            variable: variable.clone(),
            semantics,
            anchor: *random.choose(&[Anchor::First, Anchor::Last]),
            logical_offset: *random.choose(&[0, 0, 1, 2]),
            physical_offset: *random.choose(&[0, 0, 0, -1, 1]),
            tested_row: TestedRow::Included,
        };
        let name = *random.choose(&["v", "v", "w", "k", "t"]);
        match random.below(8) {
            0 => Expr::MatchNumber,
            1 => Expr::Classifier { at: RowPointer { variable, ..Default::default() } },
            2 => Expr::Classifier { at: RowPointer { physical_offset: 0, ..pointer } },
            3 => column(name, RowPointer::default()),
            4 => column(name, pointer),
            5 => Expr::binary(BinaryOp::Subtract, column("v", pointer), Expr::column("v")),
            _ => self.aggregate(random, semantics, TestedRow::Included),
        }
    }
}

fn column(name: &str, at: RowPointer) -> Expr {
    Expr::Column { name: name.to_owned(), quoted: false, at }
}

fn letter(random: &mut SplitMix64) -> Expr {
    Expr::literal(*random.choose(&LETTERS[..3]))
}

fn compare(left: Expr, right: Expr, random: &mut SplitMix64) -> Expr {
    use BinaryOp::*;
    let op = *random.choose(&[
        Equal,
        NotEqual,
        Less,
        LessOrEqual,
        LessOrEqual,
        Greater,
        GreaterOrEqual,
        GreaterOrEqual,
    ]);
    Expr::binary(op, left, right)
}
