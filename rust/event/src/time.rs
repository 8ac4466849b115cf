//! Time in Arrow's units.

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use crate::error::EventError;

/// Nanoseconds in one unit of time.
pub const fn nanoseconds_per(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A time, date or integer column as 64-bit integers of its own unit; shared where it is 64 bits wide.
///
/// # Errors
/// What Arrow refuses.
pub fn as_int64(array: &dyn Array) -> Result<ArrayRef, EventError> {
    // Arrow casts 32-bit times and dates by way of their own width.
    if matches!(array.data_type(), DataType::Date32 | DataType::Time32(_)) {
        let integers = arrow_cast::cast(array, &DataType::Int32)?;
        return Ok(arrow_cast::cast(&integers, &DataType::Int64)?);
    }
    Ok(arrow_cast::cast(array, &DataType::Int64)?)
}
