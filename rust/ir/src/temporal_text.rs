//! Days, times of day and timestamps as text: the one reader behind constants, casts and strings that meet a date.
//!
//! White space around the text does not count. A minute has 60 seconds: leap seconds are not read.

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a day.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

/// What a timestamp's text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampText<'t> {
    /// Days since 1970-01-01, on the clock that was read.
    pub days: i64,
    /// Nanoseconds since that clock's midnight.
    pub time_ns: i64,
    /// Where the clock stood, if the text says so.
    pub zone: Option<ZoneText<'t>>,
}

/// The zone at the end of a timestamp's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneText<'t> {
    /// So many nanoseconds ahead of UTC.
    Offset(i64),
    /// A name that is not looked up here, such as `Europe/Berlin`.
    Named(&'t str),
}

/// `YYYY-MM-DD` as days since 1970-01-01; `None` for anything else.
pub fn read_date(text: &str) -> Option<i32> {
    let mut scan = Scan::new(text);
    scan.date().filter(|_| scan.rest().is_empty()).and_then(|days| i32::try_from(days).ok())
}

/// `HH:MM[:SS[.fraction]]` as nanoseconds since midnight; `None` for anything else.
pub fn read_time(text: &str) -> Option<i64> {
    let mut scan = Scan::new(text);
    scan.time().filter(|_| scan.rest().is_empty())
}

/// `YYYY-MM-DD[ HH:MM[:SS[.fraction]][ zone]]`, with a space or a `T` before the time; `None` for anything else.
pub fn read_timestamp(text: &str) -> Option<TimestampText<'_>> {
    let mut scan = Scan::new(text);
    let days = scan.date()?;
    let mut time_ns = 0;
    if scan.eat('T') || scan.eat('t') || scan.rest.starts_with(' ') {
        scan.rest = scan.rest.trim_start();
        time_ns = scan.time()?;
    }
    let rest = scan.rest.trim();
    let zone = if rest.is_empty() {
        None
    } else if let Some(offset) = scan.offset() {
        scan.rest.is_empty().then_some(Some(ZoneText::Offset(offset)))?
    } else if rest.starts_with(|c: char| c.is_alphabetic()) {
        Some(ZoneText::Named(rest))
    } else {
        return None;
    };
    Some(TimestampText { days, time_ns, zone })
}

/// A walk over a text, part by part. A part that is not there leaves the walk where it failed.
#[derive(Clone, Debug)]
pub struct Scan<'t> {
    rest: &'t str,
}

impl<'t> Scan<'t> {
    /// At the beginning of `text`, white space around it taken off.
    pub fn new(text: &'t str) -> Self {
        Self { rest: text.trim() }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'t str {
        self.rest
    }

    /// Goes on at `rest`.
    pub fn resume(&mut self, rest: &'t str) {
        self.rest = rest;
    }

    /// Whether `c` comes next; then it has been read.
    pub fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// -1 after a minus sign, else 1.
    pub fn sign(&mut self) -> i128 {
        if self.eat('-') {
            -1
        } else {
            self.eat('+');
            1
        }
    }

    /// The digits that come next; there may be none.
    pub fn digits(&mut self) -> &'t str {
        let length = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits
    }

    /// A number of at least `least` and at most `most` digits.
    pub fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.digits();
        if digits.len() < least || digits.len() > most { None } else { digits.parse().ok() }
    }

    /// The digits behind a point, as nanoseconds of a second.
    pub fn fraction_ns(&mut self) -> Option<i64> {
        if !self.eat('.') {
            return Some(0);
        }
        let digits = self.digits();
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        let scale = 10_i64.pow(9 - u32::try_from(digits.len()).ok()?);
        Some(digits.parse::<i64>().ok()? * scale)
    }

    /// `YYYY-MM-DD` as days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let sign = if self.eat('-') { -1 } else { 1 };
        let year = self.number(4, 7)? * sign;
        let month = self.eat('-').then(|| self.number(1, 2))??;
        let day = self.eat('-').then(|| self.number(1, 2))??;
        ((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day))
            .then(|| days_from_civil(year, month, day))
    }

    /// `HH:MM[:SS[.fraction]]` as nanoseconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(1, 2).filter(|hour| *hour < 24)?;
        let minute = self.eat(':').then(|| self.number(2, 2))?.filter(|minute| *minute < 60)?;
        let mut nanoseconds = (hour * 60 + minute) * 60 * SECOND_NS;
        if self.eat(':') {
            let second = self.number(2, 2).filter(|second| *second < 60)?;
            nanoseconds += second * SECOND_NS + self.fraction_ns()?;
        }
        Some(nanoseconds)
    }

    /// `Z`, `UTC`, `+02:00` and the like, as nanoseconds ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        self.rest = self.rest.trim_start();
        for name in ["Z", "z", "UTC", "utc", "GMT"] {
            if self.rest == name {
                self.rest = "";
                return Some(0);
            }
        }
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let digits = self.digits();
        let (hours, minutes) = match digits.len() {
            1 | 2 => (digits.parse::<i64>().ok()?, if self.eat(':') { self.number(2, 2)? } else { 0 }),
            4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
            _ => return None,
        };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * SECOND_NS)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days of 400 years of the Gregorian calendar.
pub const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
pub const EPOCH_DAYS: i64 = 719_468;

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that a leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_reading_or_none() {
        let hour_ns = 3600 * SECOND_NS;
        let dates = [
            ("1970-01-02", Some(1)),
            (" 1970-01-02 ", Some(1)),
            ("2024-02-29", Some(19_782)),
            ("2023-02-29", None),
            ("-0001-01-01", Some(-719_893)),
            ("1970-01-02 00:00", None),
            ("19700102", None),
        ];
        for (text, expected) in dates {
            assert_eq!(read_date(text), expected, "{text}");
        }
        let times = [
            ("01:00", Some(hour_ns)),
            (" 01:00:00.5 ", Some(hour_ns + SECOND_NS / 2)),
            ("23:59:59.999999999", Some(DAY_NS - 1)),
            ("23:59:60", None),
            ("24:00", None),
            ("01:00:00.0000000001", None),
            ("01:00Z", None),
        ];
        for (text, expected) in times {
            assert_eq!(read_time(text), expected, "{text}");
        }
        let stamp = |time_ns, zone| Some(TimestampText { days: 1, time_ns, zone });
        let timestamps = [
            ("1970-01-02", stamp(0, None)),
            ("1970-01-02 01:00", stamp(hour_ns, None)),
            (" 1970-01-02T01:00:00 ", stamp(hour_ns, None)),
            ("1970-01-02T01:00:00Z", stamp(hour_ns, Some(ZoneText::Offset(0)))),
            ("1970-01-02 01:00 UTC", stamp(hour_ns, Some(ZoneText::Offset(0)))),
            ("1970-01-02 01:00-02:30", stamp(hour_ns, Some(ZoneText::Offset(-5 * hour_ns / 2)))),
            ("1970-01-02 01:00 +0230", stamp(hour_ns, Some(ZoneText::Offset(5 * hour_ns / 2)))),
            ("1970-01-02 01:00 Europe/Berlin", stamp(hour_ns, Some(ZoneText::Named("Europe/Berlin")))),
            ("1970-01-02 23:59:60", None),
            ("1970-01-02 01:00 +02:00 x", None),
            ("1970-01-02 01:00 +99:00", None),
            ("yesterday", None),
        ];
        for (text, expected) in timestamps {
            assert_eq!(read_timestamp(text), expected, "{text}");
        }
        assert_eq!((dates.len(), times.len(), timestamps.len()), (7, 7, 12));
    }
}
