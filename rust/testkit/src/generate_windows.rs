//! Random windows over the streams of [`random_stream`](crate::generate_streams::random_stream).

use cepheid_ir::{
    Aggregate, AggregateFunction, Anchor, BinaryOp, CaseBranch, ColumnName, Early, Empty, Expr, Frame,
    Function, Interval, Literal, Measure, Reports, RowPointer, Semantics, TestedRow, Window,
};

use crate::generate_events::{LETTERS, MINUTE};
use crate::generate_streams::{EVENT_TIME, TOPICS};
use crate::split_mix::SplitMix64;

/// What a window may be.
#[derive(Clone, Copy, Debug)]
pub struct WindowKnobs {
    /// Frames, as [`frame_kind`] names them.
    pub frames: &'static [&'static str],
    /// Whether rows may be of one topic of [`TOPICS`] alone.
    pub topics: bool,
    /// Whether a condition or a measure may divide by zero.
    pub errors: bool,
}

impl WindowKnobs {
    /// All frames over one table.
    pub const ALL: Self = Self {
        frames: &[
            "tumbling",
            "hopping",
            "hopping apart",
            "sliding",
            "session",
            "rows",
            "rows overlapping",
            "rows apart",
        ],
        topics: false,
        errors: true,
    };
    /// What never raises an error, of one topic or any.
    pub const STREAM: Self = Self { topics: true, errors: false, ..Self::ALL };
}

/// What a frame is called: hopping windows that lie `apart` leave rows in none, and so do those of rows.
pub fn frame_kind(frame: Frame) -> &'static str {
    match frame {
        Frame::Time { size_ns, every_ns, .. } if size_ns == every_ns => "tumbling",
        Frame::Time { size_ns, every_ns, .. } if size_ns > every_ns => "hopping",
        Frame::Time { .. } => "hopping apart",
        Frame::Range { .. } => "sliding",
        Frame::Session { .. } => "session",
        Frame::Rows { rows, every } if rows == every => "rows",
        Frame::Rows { rows, every } if rows > every => "rows overlapping",
        Frame::Rows { .. } => "rows apart",
    }
}

/// A valid window in normal spelling; the same for the same numbers.
///
/// # Panics
/// If the knobs name no frame that there is.
pub fn random_window(random: &mut SplitMix64, knobs: WindowKnobs) -> Window {
    let frame = frame(random, knobs.frames);
    let window = Window {
        name: None,
        topic: (knobs.topics && random.chance(50)).then(|| (*random.choose(&TOPICS)).to_owned()),
        partition_by: match random.below(10) {
            0..=2 => vec![],
            3..=8 => vec![ColumnName::unquoted("p")],
            _ => vec![ColumnName::unquoted("p"), ColumnName::unquoted("k")],
        },
        condition: random.chance(40).then(|| condition(random, knobs)),
        frame,
        measures: values(random, knobs)
            .into_iter()
            .enumerate()
            .map(|(place, value)| Measure { name: format!("value_{place}"), value })
            .collect(),
        reports: reports(random, frame),
        emit: None,
        event_time: None,
    };
    window.validate().expect("a window that can be");
    window.normalise()
}

fn frame(random: &mut SplitMix64, kinds: &[&str]) -> Frame {
    let kind = *random.choose(kinds);
    // Events stand on whole minutes: grids of half minutes have edges between them.
    let unit = *random.choose(&[MINUTE, MINUTE, MINUTE / 2]);
    let (short, longer) = (random.between(1, 4), random.between(1, 4));
    let time = |size: i64, every: i64, random: &mut SplitMix64| Frame::Time {
        size_ns: size * unit,
        every_ns: every * unit,
        offset_ns: if random.chance(50) { 0 } else { random.between(0, every - 1) * unit },
    };
    let rows = |rows: i64, every: i64| Frame::Rows { rows: rows.unsigned_abs(), every: every.unsigned_abs() };
    match kind {
        "tumbling" => time(short, short, random),
        "hopping" => time(short + longer, short, random),
        "hopping apart" => time(short, short + longer, random),
        "sliding" => Frame::Range { preceding_ns: (short - 1) * unit },
        "session" => Frame::Session { gap_ns: short * unit },
        "rows" => rows(short, short),
        "rows overlapping" => rows(short + longer, short),
        "rows apart" => rows(short, short + longer),
        other => panic!("there is no frame `{other}`"),
    }
}

/// What may be reported beside windows of a frame, now and then.
fn reports(random: &mut SplitMix64, frame: Frame) -> Reports {
    let (by_time, session) = (matches!(frame, Frame::Time { .. }), matches!(frame, Frame::Session { .. }));
    let late_ns = (by_time && random.chance(40)).then(|| random.between(1, 20) * MINUTE / 2);
    let early =
        ((by_time || session) && random.chance(40)).then(|| match random.chance(50) && late_ns.is_none() {
            true => Early::Rows(random.between(1, 3).unsigned_abs()),
            false => Early::EveryNs(random.between(1, 5) * MINUTE / 2),
        });
    let span = |random: &mut SplitMix64| random.chance(50).then(|| random.between(1, 8) * MINUTE / 2);
    let empty = (by_time && random.chance(40)).then(|| Empty { for_ns: span(random) });
    Reports { early, empty, late_ns }
}

/// Reads the row alone; NULL now and then.
fn condition(random: &mut SplitMix64, knobs: WindowKnobs) -> Expr {
    let (v, k) = (|| Expr::column("v"), || Expr::column("k"));
    let small = Expr::literal(random.between(-1, 3));
    let letter = Expr::literal(*random.choose(&LETTERS[..3]));
    match random.below(7) {
        0 | 1 => Expr::binary(BinaryOp::Greater, v(), small),
        2 => Expr::binary(BinaryOp::NotEqual, k(), letter),
        3 => Expr::Not(Box::new(Expr::IsNull(Box::new(v())))),
        4 => Expr::Or(vec![
            Expr::binary(BinaryOp::LessOrEqual, v(), small),
            Expr::binary(BinaryOp::Equal, k(), letter),
        ]),
        5 if knobs.errors && random.chance(40) => {
            Expr::binary(BinaryOp::Less, Expr::binary(BinaryOp::Divide, Expr::literal(4), v()), small)
        }
        _ => Expr::binary(BinaryOp::Less, v(), Expr::literal(random.between(2, 5))),
    }
}

fn values(random: &mut SplitMix64, knobs: WindowKnobs) -> Vec<Expr> {
    if random.chance(90) {
        return (0..random.between(1, 4)).map(|_| measure(random, knobs)).collect();
    }
    // Several aggregates of the same floats, and how many rows there are.
    use AggregateFunction::{Avg, Count, Max, Min, Sum};
    let value = half(random);
    let mut values = vec![measure(random, knobs)];
    values.extend([[Sum, Min], [Max, Avg]].map(|two| of(*random.choose(&two), vec![value.clone()])));
    values.insert(random.below(4), of(Count, vec![]));
    values
}

fn measure(random: &mut SplitMix64, knobs: WindowKnobs) -> Expr {
    match random.below(12) {
        0 | 1 => {
            let name = ["v", "k", EVENT_TIME][random.below(3)];
            row_column(name, *random.choose(&[Anchor::First, Anchor::Last]))
        }
        // How far the window's last row, or the row at hand, is from what the window has.
        2 => Expr::binary(BinaryOp::Subtract, row_column("v", Anchor::Last), number(random)),
        // A window without rows has none to divide by.
        3 => {
            let rows = of(AggregateFunction::Count, vec![]);
            let divisor = Expr::binary(BinaryOp::Add, rows, Expr::literal(1));
            Expr::binary(BinaryOp::Divide, number(random), divisor)
        }
        4 if knobs.errors && random.chance(40) => {
            Expr::binary(BinaryOp::Modulo, number(random), number(random))
        }
        4 => Expr::Call {
            function: Function::Coalesce,
            args: vec![number(random), row_column("v", Anchor::First), Expr::literal(-9)],
        },
        5 => Expr::binary(
            *random.choose(&[BinaryOp::Greater, BinaryOp::LessOrEqual]),
            number(random),
            number(random),
        ),
        _ => aggregate(random),
    }
}

fn row_column(name: &str, anchor: Anchor) -> Expr {
    Expr::Column { name: name.to_owned(), quoted: false, at: RowPointer { anchor, ..RowPointer::default() } }
}

fn of(function: AggregateFunction, args: Vec<Expr>) -> Expr {
    let (semantics, tested_row) = (Semantics::Final, TestedRow::Included);
    Expr::Aggregate(Aggregate { function, args, distinct: false, variable: None, semantics, tested_row })
}

/// An aggregate that is an int64.
fn number(random: &mut SplitMix64) -> Expr {
    use AggregateFunction::{Count, Max, Min, Sum};
    of(*random.choose(&[Count, Sum, Sum, Min, Max]), vec![argument(random)])
}

/// An int64 of one row.
fn argument(random: &mut SplitMix64) -> Expr {
    let value = Expr::column("v");
    match random.below(4) {
        0 => Expr::binary(BinaryOp::Multiply, value, Expr::literal(3)),
        _ => value,
    }
}

/// A float64 of one row: halves, whose sums are exact, and now and then NaN or infinity.
fn half(random: &mut SplitMix64) -> Expr {
    let half = Expr::binary(BinaryOp::Multiply, Expr::column("v"), Expr::literal(0.5));
    if random.chance(60) {
        return half;
    }
    let odd = *random.choose(&[f64::NAN, f64::INFINITY, -0.0]);
    let when = Expr::binary(BinaryOp::Equal, Expr::column("v"), Expr::literal(random.between(0, 3)));
    Expr::Case {
        branches: vec![CaseBranch { when, then: Expr::literal(odd) }],
        otherwise: Some(Box::new(half)),
    }
}

/// Any aggregate. All sums are of integers and halves, so that no order of adding is the right one.
fn aggregate(random: &mut SplitMix64) -> Expr {
    use AggregateFunction::*;
    let letter = || Expr::column("k");
    let holds = |random: &mut SplitMix64| {
        Expr::binary(BinaryOp::Greater, Expr::column("v"), Expr::literal(random.between(-1, 2)))
    };
    let any = |random: &mut SplitMix64| match random.below(6) {
        0 | 1 => letter(),
        2 => half(random),
        3 => Expr::column(EVENT_TIME),
        _ => argument(random),
    };
    // What is off by as much as its contract says, or defined by nobody here, is compared in a test of its own.
    let exact: Vec<_> = AggregateFunction::ALL
        .iter()
        .filter(|function| !function.is_approximate() && **function != UserDefined)
        .collect();
    let function = **random.choose(&exact);
    let args = match function {
        Count if random.chance(40) => vec![],
        Count | Min | Max | ArrayAgg => vec![any(random)],
        Sum | Avg if random.chance(40) => vec![half(random)],
        Sum | Avg | StddevSamp | StddevPop | VarSamp | VarPop => vec![argument(random)],
        CountIf | BoolAnd | BoolOr => vec![holds(random)],
        MinBy | MaxBy => vec![any(random), any(random)],
        Median if random.chance(50) => vec![half(random)],
        Median => vec![argument(random)],
        Quantile => vec![half(random), Expr::literal(*random.choose(&[0.0, 0.25, 0.5, 0.9, 1.0]))],
        TopK => vec![any(random), Expr::literal(random.between(1, 3))],
        ApproxNUnique | ApproxQuantile | ApproxTopK | UserDefined => unreachable!("they are not chosen"),
        Ewma if random.chance(40) => {
            let nanoseconds = random.between(1, 9) * MINUTE / 2;
            vec![half(random), Expr::Literal(Literal::Interval(Interval { months: 0, nanoseconds }))]
        }
        Ewma => vec![half(random), Expr::literal(*random.choose(&[0.125, 0.5, 1.0]))],
    };
    let distinct = matches!(function, Count | Sum | Avg | Min | Max | ArrayAgg) && !args.is_empty();
    match of(function, args) {
        Expr::Aggregate(aggregate) => {
            Expr::Aggregate(Aggregate { distinct: distinct && random.chance(30), ..aggregate })
        }
        other => other,
    }
}
