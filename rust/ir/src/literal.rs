//! Constants and the types that can be named.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Literal {
    /// NULL, of whatever type its surroundings ask for.
    Null,
    /// TRUE or FALSE.
    Boolean(bool),
    /// An integer; takes the type of the integer, float or decimal it meets.
    Integer(i64),
    /// A floating-point number. Meeting a decimal, it is read as the decimal that its shortest text spells.
    Float(Float),
    /// `unscaled * 10^-scale`, from `DECIMAL '1.50'` or Python's `Decimal`.
    Decimal {
        /// Unscaled value; a string on the wire, as JSON numbers do not hold 128 bits.
        #[serde(with = "i128_text")]
        unscaled: i128,
        /// Digits after the point, 0 to 38.
        scale: i8,
    },
    /// A string. Meeting a date or time, it is read as one.
    String(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// A point in time.
    Timestamp {
        /// Nanoseconds since 1970-01-01T00:00:00 (in UTC if `zoned`).
        nanoseconds: i64,
        /// Whether it names an instant, or the reading of a clock in no particular zone.
        zoned: bool,
    },
    /// A span of time.
    Interval(Interval),
}

/// A span of time: calendar months and an exact rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Calendar months; zero unless the interval was written in years or months.
    #[serde(default)]
    pub months: i32,
    /// Nanoseconds; days count as 24 hours.
    #[serde(default)]
    pub nanoseconds: i64,
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Literal {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Literal {
    fn from(value: f64) -> Self {
        Self::Float(Float(value))
    }
}

impl From<&str> for Literal {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

/// A float that equals itself, bit for bit, so that expressions can be compared; infinities and NaN travel as text.
#[derive(Clone, Copy, Debug)]
pub struct Float(pub f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(if self.0.is_nan() {
                "nan"
            } else if self.0 > 0.0 {
                "inf"
            } else {
                "-inf"
            })
        }
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(f64),
            Text(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Number(value) => Ok(Self(value)),
            Wire::Text(text) => match text.as_str() {
                "nan" => Ok(Self(f64::NAN)),
                "inf" => Ok(Self(f64::INFINITY)),
                "-inf" => Ok(Self(f64::NEG_INFINITY)),
                other => Err(serde::de::Error::custom(format!("`{other}` is not a float"))),
            },
        }
    }
}

mod i128_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is not a 128-bit integer")))
    }
}

/// A type that `CAST` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DataType {
    /// `BOOLEAN`
    Boolean,
    /// `TINYINT`
    Int8,
    /// `SMALLINT`
    Int16,
    /// `INTEGER`
    Int32,
    /// `BIGINT`
    Int64,
    /// `UTINYINT`
    #[serde(rename = "uint8")]
    UInt8,
    /// `USMALLINT`
    #[serde(rename = "uint16")]
    UInt16,
    /// `UINTEGER`
    #[serde(rename = "uint32")]
    UInt32,
    /// `UBIGINT`
    #[serde(rename = "uint64")]
    UInt64,
    /// `REAL`
    Float32,
    /// `DOUBLE`
    Float64,
    /// `DECIMAL(precision, scale)`
    Decimal {
        /// Total digits, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: i8,
    },
    /// `VARCHAR`
    String,
    /// `DATE`
    Date,
    /// `TIME`
    Time,
    /// `TIMESTAMP`: microseconds, without a zone.
    Timestamp,
    /// `TIMESTAMP WITH TIME ZONE`: microseconds in UTC.
    TimestampTz,
    /// `INTERVAL DAY TO SECOND`: an exact span, nanoseconds.
    Duration,
}

impl DataType {
    /// The type's name in SQL.
    pub fn sql_name(self) -> String {
        match self {
            Self::Boolean => "BOOLEAN".into(),
            Self::Int8 => "TINYINT".into(),
            Self::Int16 => "SMALLINT".into(),
            Self::Int32 => "INTEGER".into(),
            Self::Int64 => "BIGINT".into(),
            Self::UInt8 => "UTINYINT".into(),
            Self::UInt16 => "USMALLINT".into(),
            Self::UInt32 => "UINTEGER".into(),
            Self::UInt64 => "UBIGINT".into(),
            Self::Float32 => "REAL".into(),
            Self::Float64 => "DOUBLE".into(),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
            Self::String => "VARCHAR".into(),
            Self::Date => "DATE".into(),
            Self::Time => "TIME".into(),
            Self::Timestamp => "TIMESTAMP".into(),
            Self::TimestampTz => "TIMESTAMP WITH TIME ZONE".into(),
            Self::Duration => "INTERVAL DAY TO SECOND".into(),
        }
    }
}
