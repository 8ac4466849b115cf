//! Random tables of every type and random expressions over them, mostly well typed.

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::{BinaryOp, CaseBranch, Expr, Float, Function, Interval, Literal};
use cepheid_testkit::SplitMix64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Boolean,
    Integer,
    Float,
    Decimal,
    String,
    Date,
    Time,
    Timestamp,
    Instant,
    Duration,
}

const CLASSES: [Class; 10] = [
    Class::Boolean,
    Class::Integer,
    Class::Float,
    Class::Decimal,
    Class::String,
    Class::Date,
    Class::Time,
    Class::Timestamp,
    Class::Instant,
    Class::Duration,
];

/// What is generated depends on a seed alone, so that a failure is reproduced by its seed.
pub(crate) struct Generator(SplitMix64);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit)
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        self.0.choose(among).clone()
    }

    pub(crate) fn any_class(&mut self) -> Class {
        if self.one_in(3) { Class::Boolean } else { self.pick(&CLASSES) }
    }

    fn integer(&mut self) -> i64 {
        if self.one_in(12) {
            self.pick(&[i64::MAX, i64::MIN, i64::from(i32::MAX), i64::MAX - 1, 1 << 53])
        } else {
            self.below(9) as i64 - 4
        }
    }

    fn float(&mut self) -> f64 {
        if self.one_in(6) {
            self.pick(&[f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e-300, 9.3e18])
        } else {
            self.below(17) as f64 / 4.0 - 2.0
        }
    }

    fn string(&mut self) -> &'static str {
        self.pick(&[
            "",
            "a",
            "b",
            "ab",
            "Ab",
            "äb",
            "a%b",
            "1",
            "-2.5",
            "2024-02-29",
            "true",
            " a ",
            "日本",
            "abcabc",
        ])
    }

    fn column(&mut self, class: Class) -> Expr {
        let names: &[&str] = match class {
            Class::Boolean => &["bool"],
            Class::Integer => &["i8", "i32", "i64", "u8", "u32", "u64", "dict_int"],
            Class::Float => &["f32", "f64"],
            Class::Decimal => &["dec2", "dec5"],
            Class::String => &["utf8", "large", "view", "dict", "dict8"],
            Class::Date => &["date"],
            Class::Time => &["time"],
            Class::Timestamp => &["ts_s", "ts_us", "ts_ns"],
            Class::Instant => &["tz_ms", "tz_ns"],
            Class::Duration => &["dur_ms", "dur_ns"],
        };
        Expr::column(self.pick(names))
    }

    fn literal(&mut self, class: Class) -> Expr {
        if self.one_in(12) {
            return Expr::Literal(Literal::Null);
        }
        Expr::Literal(match class {
            Class::Boolean => Literal::Boolean(self.one_in(2)),
            Class::Integer => Literal::Integer(self.integer()),
            Class::Float => Literal::Float(Float(self.float())),
            Class::Decimal if self.one_in(2) => Literal::Float(Float(self.below(9) as f64 / 4.0)),
            Class::Decimal => {
                Literal::Decimal { unscaled: self.below(1000) as i128 - 500, scale: self.below(4) as i8 }
            }
            Class::String => Literal::String(self.string().into()),
            Class::Date if self.one_in(2) => Literal::String("2024-02-29".into()),
            Class::Date => Literal::Date(self.below(40_000) as i32 - 10_000),
            Class::Time => Literal::Time(self.below(86_400) as i64 * 1_000_000_000),
            Class::Timestamp if self.one_in(3) => Literal::String("1970-01-01 00:00:01".into()),
            Class::Timestamp => Literal::Timestamp {
                nanoseconds: self.integer().wrapping_mul(500_000_000) % (1 << 60),
                zoned: false,
            },
            Class::Instant => {
                Literal::Timestamp { nanoseconds: self.below(5) as i64 * 1_000_000_000, zoned: true }
            }
            Class::Duration => {
                Literal::Interval(Interval { months: 0, nanoseconds: self.below(5) as i64 * 250_000_000 })
            }
        })
    }

    fn many(&mut self, class: Class, depth: usize, least: usize) -> Vec<Expr> {
        let count = least + self.below(3);
        (0..count).map(|_| self.expression(class, depth)).collect()
    }

    fn boxed(&mut self, class: Class, depth: usize) -> Box<Expr> {
        Box::new(self.expression(class, depth))
    }

    fn binary(&mut self, op: BinaryOp, left: Class, right: Class, depth: usize) -> Expr {
        Expr::Binary { op, left: self.boxed(left, depth), right: self.boxed(right, depth) }
    }

    fn call(&mut self, function: Function, classes: &[Class], depth: usize) -> Expr {
        Expr::Call { function, args: classes.iter().map(|class| self.expression(*class, depth)).collect() }
    }

    /// An expression of the class, nested `depth` deep at most.
    pub(crate) fn expression(&mut self, class: Class, depth: usize) -> Expr {
        if depth == 0 {
            return if self.one_in(3) { self.literal(class) } else { self.column(class) };
        }
        let d = depth - 1;
        match self.below(10) {
            0 => return self.column(class),
            1 => {
                let branches = (0..1 + self.below(2))
                    .map(|_| CaseBranch {
                        when: self.expression(Class::Boolean, d),
                        then: self.expression(class, d),
                    })
                    .collect();
                let otherwise = (!self.one_in(3)).then(|| self.boxed(class, d));
                return Expr::Case { branches, otherwise };
            }
            2 => return Expr::Call { function: Function::Coalesce, args: self.many(class, d, 1) },
            3 if self.one_in(2) => {
                let function = self.pick(&[Function::Greatest, Function::Least]);
                return Expr::Call { function, args: self.many(class, d, 1) };
            }
            3 => return self.call(Function::Nullif, &[class, class], d),
            _ => {}
        }
        use BinaryOp::*;
        use Function as F;
        match class {
            Class::Boolean => self.condition(d),
            Class::Integer => match self.below(8) {
                0 => Expr::Negate(self.boxed(class, d)),
                1 => {
                    let function = self.pick(&[F::Abs, F::Sign, F::Floor]);
                    self.call(function, &[class], d)
                }
                2 => {
                    let from = self.pick(&[
                        Class::String,
                        Class::Float,
                        Class::Decimal,
                        Class::Integer,
                        Class::Boolean,
                    ]);
                    self.cast(from, cepheid_ir::DataType::Int64, d)
                }
                3 => {
                    let function = self.pick(&[F::Year, F::Month, F::Week, F::DayOfWeek, F::DayOfYear]);
                    let of = self.pick(&[Class::Date, Class::Timestamp, Class::Instant]);
                    self.call(function, &[of], d)
                }
                4 => {
                    let function = self.pick(&[F::Hour, F::Minute, F::Second, F::Millisecond]);
                    let of = self.pick(&[Class::Time, Class::Timestamp, Class::Instant]);
                    self.call(function, &[of], d)
                }
                5 => {
                    let function = self.pick(&[F::Length, F::Strpos]);
                    let count = function.arity().0;
                    self.call(function, &[Class::String; 2][..count], d)
                }
                _ => {
                    let op = self.pick(&[Add, Subtract, Multiply, Divide, Modulo]);
                    self.binary(op, class, class, d)
                }
            },
            Class::Float => match self.below(6) {
                0 => Expr::Negate(self.boxed(class, d)),
                1 => {
                    let function =
                        self.pick(&[F::Sqrt, F::Round, F::Ceil, F::Exp, F::Sign, F::Abs, F::Truncate]);
                    self.call(function, &[class], d)
                }
                2 => self.call(F::Round, &[class, Class::Integer], d),
                3 => {
                    let from = self.pick(&[Class::String, Class::Decimal, Class::Integer]);
                    let to = self.pick(&[cepheid_ir::DataType::Float64, cepheid_ir::DataType::Float32]);
                    self.cast(from, to, d)
                }
                _ => {
                    let op = self.pick(&[Add, Subtract, Multiply, Divide, Modulo]);
                    let left = self.pick(&[Class::Float, Class::Integer, Class::Decimal]);
                    self.binary(op, left, class, d)
                }
            },
            Class::Decimal => match self.below(4) {
                0 => {
                    let function = self.pick(&[F::Abs, F::Ceil, F::Floor, F::Round, F::Truncate, F::Sign]);
                    self.call(function, &[class], d)
                }
                1 => {
                    let from = self.pick(&[Class::String, Class::Float, Class::Integer]);
                    self.cast(from, cepheid_ir::DataType::Decimal { precision: 12, scale: 3 }, d)
                }
                _ => {
                    let op = self.pick(&[Add, Subtract, Multiply, Divide, Modulo]);
                    let right = self.pick(&[Class::Decimal, Class::Integer]);
                    self.binary(op, class, right, d)
                }
            },
            Class::String => match self.below(6) {
                0 => self.binary(Concat, class, class, d),
                1 => {
                    let from = self.pick(&CLASSES);
                    self.cast(from, cepheid_ir::DataType::String, d)
                }
                2 => self.call(F::Substring, &[class, Class::Integer, Class::Integer], d),
                3 => self.call(F::Replace, &[class, class, class], d),
                4 => {
                    let from = self.expression(Class::String, d);
                    let pattern = self.pick(&["(a)(b)?", "b+", "^$", "."]);
                    Expr::Call { function: F::RegexpExtract, args: vec![from, Expr::literal(pattern)] }
                }
                _ => {
                    let function = self.pick(&[F::Lower, F::Upper, F::Trim, F::Reverse]);
                    self.call(function, &[class], d)
                }
            },
            Class::Date => match self.below(4) {
                0 => {
                    let of = self.pick(&[Class::Timestamp, Class::Instant]);
                    self.call(F::Date, &[of], d)
                }
                1 => {
                    let op = self.pick(&[Add, Subtract]);
                    let days = Literal::Interval(Interval {
                        months: self.below(3) as i32,
                        nanoseconds: 86_400_000_000_000,
                    });
                    Expr::Binary { op, left: self.boxed(class, d), right: Box::new(Expr::Literal(days)) }
                }
                2 => self.cast(Class::String, cepheid_ir::DataType::Date, d),
                _ => self.with_unit(F::DateTrunc, class, d),
            },
            Class::Time => self.binary(Add, class, Class::Duration, d),
            Class::Timestamp | Class::Instant => match self.below(4) {
                0 => self.with_unit(F::DateTrunc, class, d),
                1 => {
                    let months =
                        Literal::Interval(Interval { months: self.below(30) as i32 - 9, nanoseconds: 1 });
                    Expr::Binary {
                        op: Add,
                        left: self.boxed(class, d),
                        right: Box::new(Expr::Literal(months)),
                    }
                }
                _ => {
                    let op = self.pick(&[Add, Subtract]);
                    self.binary(op, class, Class::Duration, d)
                }
            },
            Class::Duration => match self.below(4) {
                0 => self.binary(Multiply, class, Class::Integer, d),
                1 => self.binary(Add, class, class, d),
                _ => {
                    let of = self.pick(&[Class::Timestamp, Class::Instant]);
                    self.binary(Subtract, of, of, d)
                }
            },
        }
    }

    fn with_unit(&mut self, function: Function, class: Class, depth: usize) -> Expr {
        let unit = self.pick(&["day", "week", "month", "quarter", "year", "hour"]);
        Expr::Call { function, args: vec![Expr::literal(unit), self.expression(class, depth)] }
    }

    fn cast(&mut self, from: Class, to: cepheid_ir::DataType, depth: usize) -> Expr {
        Expr::Cast { operand: self.boxed(from, depth), to, lenient: self.one_in(2) }
    }

    fn condition(&mut self, depth: usize) -> Expr {
        use BinaryOp::*;
        let class = self.pick(&CLASSES);
        let number = [Class::Integer, Class::Float, Class::Decimal];
        match self.below(12) {
            0 => Expr::And(self.many(Class::Boolean, depth, 2)),
            1 => Expr::Or(self.many(Class::Boolean, depth, 2)),
            2 => Expr::Not(self.boxed(Class::Boolean, depth)),
            3 => Expr::IsNull(self.boxed(class, depth)),
            4 => {
                let list = if self.one_in(2) {
                    (0..1 + self.below(4)).map(|_| self.literal(class)).collect()
                } else {
                    self.many(class, depth, 1)
                };
                Expr::In { operand: self.boxed(class, depth), list }
            }
            5 => Expr::Between {
                operand: self.boxed(class, depth),
                low: self.boxed(class, depth),
                high: self.boxed(class, depth),
            },
            6 => {
                let pattern = self.pick(&["a%", "%b", "%b%", "_b", "a!%b", "%", "", "a%c", "%a_c%"]);
                let escape = self.one_in(2).then_some('!');
                Expr::Like {
                    operand: self.boxed(Class::String, depth),
                    pattern: Box::new(Expr::literal(pattern)),
                    escape,
                }
            }
            7 => {
                let function = self.pick(&[Function::StartsWith, Function::EndsWith, Function::Contains]);
                let part = self.literal(Class::String);
                Expr::Call { function, args: vec![self.expression(Class::String, depth), part] }
            }
            8 => {
                let op = self.pick(&[Equal, Less, GreaterOrEqual, IsDistinctFrom]);
                let (left, right) = (self.pick(&number), self.pick(&number));
                self.binary(op, left, right, depth)
            }
            _ => {
                let op =
                    self.pick(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, IsDistinctFrom]);
                self.binary(op, class, class, depth)
            }
        }
    }
}

/// A table of `rows` rows: small values, nulls in most columns, extremes now and then.
pub(crate) fn random_table(g: &mut Generator, rows: usize) -> RecordBatch {
    let extra = g.below(3);
    let all = rows + extra;
    let nulls = g.pick(&[0, 4, 10]);
    macro_rules! values {
        ($make:expr) => {
            (0..all).map(|_| if nulls > 0 && g.one_in(nulls) { None } else { Some($make) })
        };
    }
    macro_rules! array {
        ($type:ty, $make:expr) => {
            Arc::new(values!($make).collect::<$type>()) as ArrayRef
        };
    }
    let decimal = |array: Decimal128Array, scale| {
        Arc::new(array.with_precision_and_scale(20, scale).expect("20 digits hold small numbers")) as ArrayRef
    };
    let strings: DictionaryArray<Int32Type> = values!(g.string()).collect();
    let small_strings: DictionaryArray<Int8Type> = values!(g.string()).collect();
    let integers = arrow_cast::cast(
        &(array!(Int32Array, g.below(5) as i32 - 2)),
        &DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Int32)),
    )
    .expect("integers go into a dictionary");
    let second = 1_000_000_000;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", array!(BooleanArray, g.one_in(2))),
        ("i8", array!(Int8Array, g.integer() as i8)),
        ("i32", array!(Int32Array, g.integer() as i32)),
        ("i64", array!(Int64Array, g.integer())),
        ("u8", array!(UInt8Array, g.integer() as u8)),
        ("u32", array!(UInt32Array, g.integer() as u32)),
        ("u64", array!(UInt64Array, g.integer() as u64)),
        ("f32", array!(Float32Array, g.float() as f32)),
        ("f64", array!(Float64Array, g.float())),
        ("dec2", decimal(values!(g.below(2000) as i128 - 1000).collect(), 2)),
        ("dec5", decimal(values!(g.integer() as i128).collect(), 5)),
        ("utf8", array!(StringArray, g.string())),
        ("large", array!(LargeStringArray, g.string())),
        ("view", array!(StringViewArray, g.string())),
        ("dict", Arc::new(strings)),
        ("dict8", Arc::new(small_strings)),
        ("dict_int", integers),
        ("date", array!(Date32Array, g.below(40_000) as i32 - 10_000)),
        ("time", array!(Time64NanosecondArray, g.below(86_400) as i64 * second)),
        ("ts_s", array!(TimestampSecondArray, g.below(100_000) as i64 * 40_000 - 1_000_000)),
        ("ts_us", array!(TimestampMicrosecondArray, g.integer())),
        ("ts_ns", array!(TimestampNanosecondArray, g.integer())),
        (
            "tz_ms",
            Arc::new(
                values!(g.below(100_000) as i64 * 40_000_000)
                    .collect::<TimestampMillisecondArray>()
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        (
            "tz_ns",
            Arc::new(values!(g.integer()).collect::<TimestampNanosecondArray>().with_timezone("+05:30")),
        ),
        ("dur_ms", array!(DurationMillisecondArray, g.integer())),
        ("dur_ns", array!(DurationNanosecondArray, g.integer())),
    ];
    assert_eq!(columns[19].1.data_type(), &DataType::Timestamp(TimeUnit::Second, None));
    // Sliced, so that offsets are not all zero.
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns have one length")
        .slice(extra, rows)
}
