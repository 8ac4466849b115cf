//! Functions of dates, times, timestamps and spans.

use std::cmp::Ordering;

use arrow_array::timezone::Tz;
use arrow_schema::TimeUnit;
use cepheid_event::nanoseconds_per;
use cepheid_ir::Function;
use cepheid_ir::temporal_text::DAY_NS;
use chrono::{
    DateTime, Datelike, LocalResult, Months, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike,
};

use crate::arithmetic::TIMESTAMP_OVERFLOW;
use crate::error::Fault;
use crate::value::Value;

const DAY_SECONDS: i64 = 86_400;

/// A point on a time line of seconds and nanoseconds since 1970: an instant, or the reading of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    /// Less than 10^9.
    pub(crate) nanosecond: u32,
}

impl Moment {
    pub(crate) fn from_ticks(value: i64, unit: TimeUnit) -> Self {
        let per_second = 1_000_000_000 / nanoseconds_per(unit);
        let rest = value.rem_euclid(per_second) * nanoseconds_per(unit);
        Self { seconds: value.div_euclid(per_second), nanosecond: rest as u32 }
    }

    /// Finer digits are cut off, towards the past.
    pub(crate) fn to_ticks(self, unit: TimeUnit) -> Result<i64, Fault> {
        let per_second = i128::from(1_000_000_000 / nanoseconds_per(unit));
        let ticks = i128::from(self.seconds) * per_second
            + i128::from(i64::from(self.nanosecond) / nanoseconds_per(unit));
        i64::try_from(ticks).map_err(|_| TIMESTAMP_OVERFLOW)
    }

    pub(crate) fn from_days(days: i32) -> Self {
        Self { seconds: i64::from(days) * DAY_SECONDS, nanosecond: 0 }
    }

    /// `time_ns` nanoseconds after a midnight; `None` out of range.
    pub(crate) fn from_clock_reading(days: i64, time_ns: i64) -> Option<Self> {
        let seconds = days.checked_mul(DAY_SECONDS)?.checked_add(time_ns.div_euclid(1_000_000_000))?;
        Some(Self { seconds, nanosecond: time_ns.rem_euclid(1_000_000_000) as u32 })
    }

    /// So many seconds before; `None` out of range.
    pub(crate) fn earlier_by_seconds(self, seconds: i64) -> Option<Self> {
        Some(Self { seconds: self.seconds.checked_sub(seconds)?, ..self })
    }

    pub(crate) fn days(self) -> i64 {
        self.seconds.div_euclid(DAY_SECONDS)
    }

    /// The calendar's reading; an error some 260,000 years from now, where the calendar ends.
    pub(crate) fn civil(self) -> Result<NaiveDateTime, Fault> {
        DateTime::from_timestamp(self.seconds, self.nanosecond)
            .map(|utc| utc.naive_utc())
            .ok_or(TIMESTAMP_OVERFLOW)
    }

    pub(crate) fn from_civil(civil: NaiveDateTime) -> Self {
        let utc = civil.and_utc();
        // A leap second reads as the last nanosecond before it ends.
        Self { seconds: utc.timestamp(), nanosecond: utc.timestamp_subsec_nanos().min(999_999_999) }
    }

    fn nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanosecond)
    }
}

/// What a clock in `zone` reads at the instant.
pub(crate) fn on_clock(instant: Moment, zone: Option<&Tz>) -> Result<Moment, Fault> {
    let Some(zone) = zone else { return Ok(instant) };
    let offset = zone.offset_from_utc_datetime(&instant.civil()?).fix().local_minus_utc();
    Ok(Moment { seconds: instant.seconds + i64::from(offset), ..instant })
}

/// The instant at which a clock in `zone` reads `local`: the earlier of two; where clocks leapt over the reading, as
/// if they had not yet leapt.
pub(crate) fn from_clock(local: Moment, zone: Option<&Tz>) -> Result<Moment, Fault> {
    let Some(zone) = zone else { return Ok(local) };
    let civil = local.civil()?;
    let offset = match zone.offset_from_local_datetime(&civil) {
        LocalResult::Single(offset) => offset,
        LocalResult::Ambiguous(one, other) => {
            // The earlier instant is that of the greater offset.
            if one.fix().local_minus_utc() >= other.fix().local_minus_utc() { one } else { other }
        }
        LocalResult::None => {
            let before = civil.checked_sub_signed(TimeDelta::days(1)).ok_or(TIMESTAMP_OVERFLOW)?;
            zone.offset_from_utc_datetime(&before)
        }
    };
    Ok(Moment { seconds: local.seconds - i64::from(offset.fix().local_minus_utc()), ..local })
}

/// Moves by calendar months on the clock of `zone`; a day that the month does not have becomes its last.
pub(crate) fn add_months(moment: Moment, months: i64, zone: Option<&Tz>) -> Result<Moment, Fault> {
    if months == 0 {
        return Ok(moment);
    }
    let civil = on_clock(moment, zone)?.civil()?;
    let count = u32::try_from(months.unsigned_abs()).map_err(|_| TIMESTAMP_OVERFLOW)?;
    let moved = if months > 0 {
        civil.checked_add_months(Months::new(count))
    } else {
        civil.checked_sub_months(Months::new(count))
    };
    from_clock(Moment::from_civil(moved.ok_or(TIMESTAMP_OVERFLOW)?), zone)
}

/// A unit of the calendar or the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateUnit {
    Nanosecond,
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl DateUnit {
    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        Ok(match name.to_ascii_lowercase().trim_end_matches('s') {
            "nanosecond" => Self::Nanosecond,
            "microsecond" => Self::Microsecond,
            "millisecond" => Self::Millisecond,
            "second" => Self::Second,
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            _ => {
                return Err(Fault::Argument(format!(
                    "'{name}' is no unit of time; units are nanosecond, microsecond, millisecond, second, minute, hour, \
                     day, week, month, quarter and year"
                )));
            }
        })
    }

    /// Length of the units of the clock.
    fn nanoseconds(self) -> Option<i64> {
        Some(match self {
            Self::Nanosecond => 1,
            Self::Microsecond => 1_000,
            Self::Millisecond => 1_000_000,
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
            _ => return None,
        })
    }

    /// Units of the calendar in days, or in months.
    fn days(self) -> Option<i64> {
        match self {
            Self::Day => Some(1),
            Self::Week => Some(7),
            _ => None,
        }
    }

    fn months(self) -> i64 {
        match self {
            Self::Quarter => 3,
            Self::Year => 12,
            _ => 1,
        }
    }
}

/// `function(args)`; no argument is NULL, `zone` is that of the timestamp argument, `unit` that of a constant first
/// argument.
pub(crate) fn apply(
    function: Function,
    zone: Option<&Tz>,
    unit: Option<DateUnit>,
    args: &[Value],
) -> Result<Value, Fault> {
    let unit = || match (unit, &args[0]) {
        (Some(unit), _) => Ok(unit),
        (None, Value::String(name)) => DateUnit::parse(name),
        _ => Err(Fault::Argument("a unit of time is a string".into())),
    };
    match function {
        Function::DateTrunc => truncate(unit()?, &args[1], zone),
        Function::DateDiff => difference(unit()?, &args[1], &args[2], zone).map(Value::Integer),
        Function::DateAdd => {
            let count = crate::arithmetic::integer(&args[1])?;
            add(unit()?, count, &args[2], zone)
        }
        Function::ToUnixtime => {
            let moment = moment(&args[0])?;
            Ok(Value::Float(moment.seconds as f64 + f64::from(moment.nanosecond) / 1e9))
        }
        Function::FromUnixtime => {
            let seconds = args[0].as_float().unwrap_or(f64::NAN);
            let value = crate::arithmetic::float_to_integer(seconds * 1e6).ok_or(TIMESTAMP_OVERFLOW)?;
            Ok(Value::Timestamp { value, unit: TimeUnit::Microsecond, zoned: true })
        }
        Function::AtTimezone => Ok(args[0].clone()),
        Function::TotalSeconds => match &args[0] {
            Value::Duration { value, unit } => {
                Ok(Value::Float(*value as f64 / (1_000_000_000 / nanoseconds_per(*unit)) as f64))
            }
            Value::Interval { months: 0, days, nanoseconds } => {
                Ok(Value::Float(f64::from(*days) * DAY_SECONDS as f64 + *nanoseconds as f64 / 1e9))
            }
            _ => Err(Fault::Argument("an interval of months has no fixed length".into())),
        },
        Function::Date => {
            let days = on_clock(moment(&args[0])?, zone)?.days();
            Ok(Value::Date(i32::try_from(days).map_err(|_| Fault::Overflow("DATE"))?))
        }
        _ => field(function, &args[0], zone).map(Value::Integer),
    }
}

fn moment(value: &Value) -> Result<Moment, Fault> {
    match value {
        Value::Timestamp { value, unit, .. } => Ok(Moment::from_ticks(*value, *unit)),
        Value::Date(days) => Ok(Moment::from_days(*days)),
        Value::Time(nanoseconds) => Ok(Moment::from_ticks(*nanoseconds, TimeUnit::Nanosecond)),
        _ => Err(Fault::Argument("not a point in time".into())),
    }
}

/// A point in time in the type of `like`.
fn back(moment: Moment, like: &Value) -> Result<Value, Fault> {
    Ok(match like {
        Value::Date(_) => Value::Date(i32::try_from(moment.days()).map_err(|_| Fault::Overflow("DATE"))?),
        Value::Time(_) => Value::Time(moment.to_ticks(TimeUnit::Nanosecond)?.rem_euclid(DAY_NS)),
        Value::Timestamp { unit, zoned, .. } => {
            Value::Timestamp { value: moment.to_ticks(*unit)?, unit: *unit, zoned: *zoned }
        }
        _ => Value::Null,
    })
}

fn field(function: Function, value: &Value, zone: Option<&Tz>) -> Result<i64, Fault> {
    let clock = on_clock(moment(value)?, zone)?;
    let second_of_day = clock.seconds.rem_euclid(DAY_SECONDS);
    let date = || Ok::<NaiveDate, Fault>(clock.civil()?.date());
    Ok(match function {
        Function::Year => i64::from(date()?.year()),
        Function::Quarter => i64::from(date()?.quarter()),
        Function::Month => i64::from(date()?.month()),
        Function::Week => i64::from(date()?.iso_week().week()),
        Function::Day => i64::from(date()?.day()),
        Function::DayOfWeek => i64::from(date()?.weekday().number_from_monday()),
        Function::DayOfYear => i64::from(date()?.ordinal()),
        Function::Hour => second_of_day / 3600,
        Function::Minute => second_of_day / 60 % 60,
        Function::Second => second_of_day % 60,
        Function::Millisecond => i64::from(clock.nanosecond / 1_000_000),
        Function::Microsecond => i64::from(clock.nanosecond / 1_000),
        _ => i64::from(clock.nanosecond),
    })
}

fn truncate(unit: DateUnit, value: &Value, zone: Option<&Tz>) -> Result<Value, Fault> {
    let clock = on_clock(moment(value)?, zone)?;
    if let Some(length) = unit.nanoseconds() {
        // The offset of a zone may change within the hour, so the part cut off is taken from the instant.
        let rest = clock.nanoseconds().rem_euclid(i128::from(length)) as i64;
        let instant = moment(value)?.nanoseconds() - i128::from(rest);
        let seconds = instant.div_euclid(1_000_000_000);
        let nanosecond = instant.rem_euclid(1_000_000_000) as u32;
        return back(
            Moment { seconds: i64::try_from(seconds).map_err(|_| TIMESTAMP_OVERFLOW)?, nanosecond },
            value,
        );
    }
    if matches!(value, Value::Time(_)) {
        return Err(Fault::Argument("a time has no calendar".into()));
    }
    let date = clock.civil()?.date();
    let first = match unit {
        DateUnit::Day => Some(date),
        DateUnit::Week => {
            date.checked_sub_signed(TimeDelta::days(i64::from(date.weekday().num_days_from_monday())))
        }
        DateUnit::Quarter => NaiveDate::from_ymd_opt(date.year(), date.quarter() * 3 - 2, 1),
        DateUnit::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1),
        _ => date.with_day(1),
    };
    let midnight = first.ok_or(TIMESTAMP_OVERFLOW)?.and_time(chrono::NaiveTime::MIN);
    back(from_clock(Moment::from_civil(midnight), zone)?, value)
}

fn add(unit: DateUnit, count: i64, value: &Value, zone: Option<&Tz>) -> Result<Value, Fault> {
    let start = moment(value)?;
    if let Some(length) = unit.nanoseconds() {
        if matches!(value, Value::Date(_)) {
            return Err(Fault::Argument(
                "a date moves by whole days only; cast it to TIMESTAMP first".into(),
            ));
        }
        let moved = start.nanoseconds() + i128::from(count) * i128::from(length);
        let seconds = i64::try_from(moved.div_euclid(1_000_000_000)).map_err(|_| TIMESTAMP_OVERFLOW)?;
        return back(Moment { seconds, nanosecond: moved.rem_euclid(1_000_000_000) as u32 }, value);
    }
    if matches!(value, Value::Time(_)) {
        return Err(Fault::Argument("a time has no calendar".into()));
    }
    if let Some(days) = unit.days() {
        let clock = on_clock(start, zone)?;
        let span = count.checked_mul(days * DAY_SECONDS).ok_or(TIMESTAMP_OVERFLOW)?;
        let seconds = clock.seconds.checked_add(span).ok_or(TIMESTAMP_OVERFLOW)?;
        return back(from_clock(Moment { seconds, ..clock }, zone)?, value);
    }
    let months = count.checked_mul(unit.months()).ok_or(TIMESTAMP_OVERFLOW)?;
    back(add_months(start, months, zone)?, value)
}

/// Whole units from one to the other, counted towards zero.
fn difference(unit: DateUnit, from: &Value, to: &Value, zone: Option<&Tz>) -> Result<i64, Fault> {
    let (from, to) = (moment(from)?, moment(to)?);
    if let Some(length) = unit.nanoseconds() {
        return whole(to.nanoseconds() - from.nanoseconds(), i128::from(length));
    }
    let (from, to) = (on_clock(from, zone)?, on_clock(to, zone)?);
    if let Some(days) = unit.days() {
        return whole(to.nanoseconds() - from.nanoseconds(), i128::from(days) * i128::from(DAY_NS));
    }
    let (first, last) = (from.civil()?, to.civil()?);
    let month_of = |civil: NaiveDateTime| i64::from(civil.year()) * 12 + i64::from(civil.month0());
    let months = month_of(last) - month_of(first);
    // A month is whole once the same day and time of day is reached, or the month's last day stands for it.
    let reached = add_months(from, months, None)?;
    let whole_months = match (months.cmp(&0), reached.cmp(&to)) {
        (Ordering::Greater, Ordering::Greater) => months - 1,
        (Ordering::Less, Ordering::Less) => months + 1,
        _ => months,
    };
    Ok(whole_months / unit.months())
}

fn whole(span: i128, length: i128) -> Result<i64, Fault> {
    i64::try_from(span / length).map_err(|_| Fault::Overflow("BIGINT"))
}

/// Nanoseconds since midnight.
pub(crate) fn time_of(civil: NaiveDateTime) -> i64 {
    i64::from(civil.num_seconds_from_midnight()) * 1_000_000_000
        + i64::from(civil.nanosecond().min(999_999_999))
}
