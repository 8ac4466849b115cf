//! Days, times and spans of time as text: `2024-02-29`, `10:15:00.5`, `1 02:00:00`, `90 minutes`.
//!
//! Every function reads its whole text or fails with what is wrong.

use cepheid_ir::Interval;
use cepheid_ir::temporal_text::{self, DAY_NS, EPOCH_DAYS, ERA_DAYS, SECOND_NS, Scan, ZoneText};

type Read<T> = Result<T, String>;

/// A unit of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// So many calendar months.
    Months(i32),
    /// So many nanoseconds.
    Nanoseconds(i64),
}

/// Units of intervals, without the plural `s`, longest exact ones first.
pub(crate) const UNITS: &[(&str, Unit)] = &[
    ("YEAR", Unit::Months(12)),
    ("QUARTER", Unit::Months(3)),
    ("MONTH", Unit::Months(1)),
    ("WEEK", Unit::Nanoseconds(7 * DAY_NS)),
    ("DAY", Unit::Nanoseconds(DAY_NS)),
    ("HOUR", Unit::Nanoseconds(3600 * SECOND_NS)),
    ("MINUTE", Unit::Nanoseconds(60 * SECOND_NS)),
    ("SECOND", Unit::Nanoseconds(SECOND_NS)),
    ("MILLISECOND", Unit::Nanoseconds(1_000_000)),
    ("MICROSECOND", Unit::Nanoseconds(1000)),
    ("NANOSECOND", Unit::Nanoseconds(1)),
];

/// The unit of that name, in the singular or plural, and its position in [`UNITS`].
pub(crate) fn unit(word: &str) -> Option<(usize, Unit)> {
    let upper = word.to_ascii_uppercase();
    let singular = upper.strip_suffix('S').unwrap_or(&upper);
    let position = UNITS.iter().position(|(name, _)| *name == singular)?;
    Some((position, UNITS[position].1))
}

/// See [`temporal_text::read_date`].
pub(crate) fn read_date(text: &str) -> Read<i32> {
    temporal_text::read_date(text).ok_or_else(|| format!("{text:?} is no date; write it as '2024-12-31'"))
}

/// See [`temporal_text::read_time`].
pub(crate) fn read_time(text: &str) -> Read<i64> {
    temporal_text::read_time(text)
        .ok_or_else(|| format!("{text:?} is no time of day; write it as '23:59:59.5'"))
}

/// A timestamp as nanoseconds since 1970, and whether a zone was given: see [`temporal_text::read_timestamp`].
pub(crate) fn read_timestamp(text: &str) -> Read<(i64, bool)> {
    let read = temporal_text::read_timestamp(text)
        .ok_or_else(|| format!("{text:?} is no timestamp; write it as '2024-12-31 23:59:59.5'"))?;
    let offset_ns = match read.zone {
        None => 0,
        Some(ZoneText::Offset(offset_ns)) => offset_ns,
        Some(ZoneText::Named(zone)) => {
            return Err(format!(
                "the zone {zone:?} is not read in a constant; give an offset such as '+02:00', or UTC"
            ));
        }
    };
    let nanoseconds =
        i128::from(read.days) * i128::from(DAY_NS) + i128::from(read.time_ns) - i128::from(offset_ns);
    let nanoseconds = i64::try_from(nanoseconds)
        .map_err(|_| format!("{text:?} is out of range; timestamps reach from 1677-09-21 to 2262-04-11"))?;
    Ok((nanoseconds, read.zone.is_some()))
}

/// `count` units, as of `INTERVAL '1.5' HOUR`.
pub(crate) fn read_count(text: &str, unit: Unit) -> Read<Interval> {
    let mut scan = Scan::new(text);
    let interval = count(&mut scan, unit)?;
    if scan.rest().is_empty() { Ok(interval) } else { Err(format!("{text:?} is no count of units")) }
}

fn count(scan: &mut Scan<'_>, unit: Unit) -> Read<Interval> {
    let text = scan.rest();
    let malformed = || format!("{text:?} does not begin with a count of units");
    let too_large = || format!("{text:?} is out of range for an interval");
    let sign = scan.sign();
    let whole = scan.digits();
    let fraction = if scan.eat('.') { scan.digits() } else { "" };
    if whole.is_empty() && fraction.is_empty() {
        return Err(malformed());
    }
    if whole.len() > 19 || fraction.len() > 15 {
        return Err(too_large());
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| malformed())?;
    let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| too_large())?);
    let per_unit = match unit {
        Unit::Months(months) => i128::from(months),
        Unit::Nanoseconds(nanoseconds) => i128::from(nanoseconds),
    };
    let total = (sign * mantissa).checked_mul(per_unit).ok_or_else(too_large)?;
    if total % scale != 0 {
        return Err(format!("{text:?} is not a whole number of nanoseconds or months"));
    }
    let total = total / scale;
    Ok(match unit {
        Unit::Months(_) => {
            Interval { months: i32::try_from(total).map_err(|_| too_large())?, nanoseconds: 0 }
        }
        Unit::Nanoseconds(_) => {
            Interval { months: 0, nanoseconds: i64::try_from(total).map_err(|_| too_large())? }
        }
    })
}

/// Counts and units, as of `INTERVAL '1 day 12 hours'`.
pub(crate) fn read_counts(text: &str) -> Read<Interval> {
    let hint =
        || format!("{text:?} is no interval; write it as INTERVAL '10' MINUTE or INTERVAL '1 day 12 hours'");
    let mut scan = Scan::new(text);
    let mut total: Option<Interval> = None;
    while !scan.rest().is_empty() {
        let at = scan.rest();
        scan.sign();
        scan.digits();
        if scan.eat('.') {
            scan.digits();
        }
        let after_count = scan.rest().trim_start();
        let length = after_count.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after_count.len());
        let (_, unit) = unit(&after_count[..length]).ok_or_else(hint)?;
        let mut number = Scan::new(at);
        let part = count(&mut number, unit)?;
        let added = sum(total.unwrap_or_default(), part);
        total = Some(added.ok_or_else(|| format!("{text:?} is out of range for an interval"))?);
        scan.resume(after_count[length..].trim_start());
    }
    total.ok_or_else(hint)
}

/// `1 02:03:04.5` and parts of it, as of `INTERVAL '...' DAY TO SECOND`, or `1-6`, as of `YEAR TO MONTH`; `from` and
/// `to` are positions in [`UNITS`].
pub(crate) fn read_fields(text: &str, from: usize, to: usize) -> Read<Interval> {
    let (first, last) = (UNITS[from].0, UNITS[to].0);
    let malformed = || format!("{text:?} is no interval {first} TO {last}");
    let mut scan = Scan::new(text);
    let sign = scan.sign();
    if (first, last) == ("YEAR", "MONTH") {
        let years = scan.number(1, 9).ok_or_else(malformed)?;
        let months = scan.eat('-').then(|| scan.number(1, 2)).flatten().filter(|months| *months < 12);
        let total = sign * i128::from(years * 12 + months.ok_or_else(malformed)?);
        let months = i32::try_from(total).map_err(|_| malformed())?;
        return if scan.rest().is_empty() {
            Ok(Interval { months, nanoseconds: 0 })
        } else {
            Err(malformed())
        };
    }
    const FIELDS: [(&str, i64); 4] = [("DAY", i64::MAX), ("HOUR", 24), ("MINUTE", 60), ("SECOND", 60)];
    let place = |name: &str| FIELDS.iter().position(|(field, _)| *field == name);
    let (Some(start), Some(end)) = (place(first), place(last)) else {
        return Err(format!("an interval is written YEAR TO MONTH or DAY TO SECOND, not {first} TO {last}"));
    };
    if start >= end {
        return Err(format!("an interval is written with its longer unit first, not {first} TO {last}"));
    }
    let mut total = 0_i128;
    for (index, (name, below)) in FIELDS.iter().enumerate().take(end + 1).skip(start) {
        if index > start {
            let separator = if index == 1 { ' ' } else { ':' };
            scan.eat(separator).then_some(()).ok_or_else(malformed)?;
        }
        let value = scan.number(1, 18).ok_or_else(malformed)?;
        if index > start && value >= *below {
            return Err(malformed());
        }
        let Some((_, Unit::Nanoseconds(per_unit))) = unit(name) else { return Err(malformed()) };
        total += i128::from(value) * i128::from(per_unit);
        if *name == "SECOND" {
            total += i128::from(scan.fraction_ns().ok_or_else(malformed)?);
        }
    }
    if !scan.rest().is_empty() {
        return Err(malformed());
    }
    let nanoseconds =
        i64::try_from(sign * total).map_err(|_| format!("{text:?} is out of range for an interval"))?;
    Ok(Interval { months: 0, nanoseconds })
}

fn sum(left: Interval, right: Interval) -> Option<Interval> {
    Some(Interval {
        months: left.months.checked_add(right.months)?,
        nanoseconds: left.nanoseconds.checked_add(right.nanoseconds)?,
    })
}

/// The day that [`temporal_text::days_from_civil`] counts, as `YYYY-MM-DD`.
pub(crate) fn date_text(days: i64) -> String {
    let shifted = days + EPOCH_DAYS;
    let (era, of_era) = (shifted.div_euclid(ERA_DAYS), shifted.rem_euclid(ERA_DAYS));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA_DAYS - 1)) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let sign = if year < 0 { "-" } else { "" };
    format!("{sign}{:04}-{month:02}-{day:02}", year.abs())
}

/// `HH:MM:SS[.fraction]` of nanoseconds since midnight.
pub(crate) fn time_text(nanoseconds: i64) -> String {
    let (seconds, fraction) = (nanoseconds.div_euclid(SECOND_NS), nanoseconds.rem_euclid(SECOND_NS));
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        text.push_str(format!(".{fraction:09}").trim_end_matches('0'));
    }
    text
}

/// What follows the word `INTERVAL`: a count and a unit, or counts and units where one will not do.
pub(crate) fn interval_text(interval: Interval) -> String {
    let Interval { months, nanoseconds } = interval;
    if months != 0 && nanoseconds != 0 {
        return format!("'{months} months {nanoseconds} nanoseconds'");
    }
    let exact = |unit: &Unit| match *unit {
        Unit::Months(per_unit) => {
            (months != 0 && months % per_unit == 0).then(|| i64::from(months / per_unit))
        }
        Unit::Nanoseconds(per_unit) => {
            (nanoseconds != 0 && nanoseconds % per_unit == 0).then(|| nanoseconds / per_unit)
        }
    };
    let spelled = UNITS.iter().find_map(|(name, unit)| exact(unit).map(|count| format!("'{count}' {name}")));
    spelled.unwrap_or_else(|| "'0' SECOND".into())
}
