//! Classes of types, and the type that several types have in common.

use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::decimal::DIGITS_MAX;

/// What operations ask of a type: everything but its encoding and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Null,
    Boolean,
    Integer,
    Float,
    Decimal(i8),
    String,
    Date,
    Time,
    Timestamp {
        unit: TimeUnit,
        zoned: bool,
    },
    Duration(TimeUnit),
    Interval,
    List,
    /// Passes through, and may be compared for equality with its like.
    Opaque,
}

impl Class {
    pub(crate) fn of(data_type: &DataType) -> Self {
        use DataType as T;
        match data_type {
            T::Null => Self::Null,
            T::Boolean => Self::Boolean,
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
                Self::Integer
            }
            T::Float16 | T::Float32 | T::Float64 => Self::Float,
            T::Decimal32(_, scale) | T::Decimal64(_, scale) | T::Decimal128(_, scale) => {
                Self::Decimal(*scale)
            }
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::String,
            T::Date32 | T::Date64 => Self::Date,
            T::Time32(_) | T::Time64(_) => Self::Time,
            T::Timestamp(unit, zone) => Self::Timestamp { unit: *unit, zoned: zone.is_some() },
            T::Duration(unit) => Self::Duration(*unit),
            T::Interval(_) => Self::Interval,
            T::List(_) => Self::List,
            T::Dictionary(_, value) => Self::of(value),
            T::RunEndEncoded(_, values) => Self::of(values.data_type()),
            _ => Self::Opaque,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Decimal(_))
    }

    pub(crate) fn is_exact_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal(_))
    }

    /// A point in time, or a span of it.
    pub(crate) fn is_temporal(self) -> bool {
        self.is_span() || matches!(self, Self::Date | Self::Time | Self::Timestamp { .. })
    }

    pub(crate) fn is_span(self) -> bool {
        matches!(self, Self::Duration(_) | Self::Interval)
    }

    /// Whether `<` is defined between the two.
    pub(crate) fn orders(self, other: Self) -> bool {
        use Class::*;
        match (self, other) {
            (Null, _) | (_, Null) => true,
            (Timestamp { zoned: l, .. }, Timestamp { zoned: r, .. }) => l == r,
            (l, r) if l.is_number() && r.is_number() => true,
            (l, r) if l.is_span() && r.is_span() => true,
            (Boolean, Boolean) | (String, String) | (Date, Date) | (Time, Time) => true,
            _ => false,
        }
    }
}

/// Whether `=` is defined between values of the two types: those that have an order, lists of such, and values that
/// only pass through, with values of the very same type.
pub(crate) fn equates(left: &DataType, right: &DataType) -> bool {
    let (left, right) = (decoded(left), decoded(right));
    match (&left, &right) {
        (DataType::List(l), DataType::List(r)) => equates(l.data_type(), r.data_type()),
        _ => match (Class::of(&left), Class::of(&right)) {
            (Class::Opaque, Class::Opaque) => left == right,
            (l, r) => l.orders(r),
        },
    }
}

/// `scale` digits after the point, of 38 in all.
pub(crate) fn decimal_type(scale: i8) -> DataType {
    DataType::Decimal128(DIGITS_MAX, scale)
}

/// The type with its encoding undone: what an operation that passes a value of this type on yields.
pub(crate) fn decoded(data_type: &DataType) -> DataType {
    use DataType as T;
    match data_type {
        T::Dictionary(_, value) => decoded(value),
        T::RunEndEncoded(_, values) => decoded(values.data_type()),
        T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Float16 => T::Float32,
        T::Date64 => T::Date32,
        T::Decimal32(_, scale) | T::Decimal64(_, scale) => decimal_type(*scale),
        other => other.clone(),
    }
}

/// The type that arithmetic computes a number, or anything else, in.
pub(crate) fn computed(data_type: &DataType) -> DataType {
    match Class::of(data_type) {
        Class::Integer => DataType::Int64,
        Class::Float => DataType::Float64,
        Class::Decimal(scale) => decimal_type(scale),
        _ => decoded(data_type),
    }
}

/// The type that holds the values of both, for the branches of CASE and the like.
pub(crate) fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use Class::*;
    let (left, right) = (decoded(left), decoded(right));
    if left == right {
        return Some(left);
    }
    Some(match (Class::of(&left), Class::of(&right)) {
        (Null, _) => right,
        (_, Null) => left,
        (Integer, Integer) => DataType::Int64,
        (Float, r) if r.is_number() => DataType::Float64,
        (l, Float) if l.is_number() => DataType::Float64,
        (Decimal(l), Decimal(r)) => decimal_type(l.max(r)),
        (Decimal(scale), Integer) | (Integer, Decimal(scale)) => decimal_type(scale.max(0)),
        (Time, Time) => DataType::Time64(TimeUnit::Nanosecond),
        (Timestamp { unit: l, zoned: lz }, Timestamp { unit: r, zoned: rz }) if lz == rz => {
            let DataType::Timestamp(_, zone) = left else { return None };
            DataType::Timestamp(l.max(r), zone)
        }
        (Duration(l), Duration(r)) => DataType::Duration(l.max(r)),
        (Duration(_) | Interval, Duration(_) | Interval) => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}
