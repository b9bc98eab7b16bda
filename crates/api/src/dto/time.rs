//! Times: many ways to write one in a request, one way in an answer.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc};

/// What four digits can name, and every part of Bailey can keep.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// Reads a time of ISO 8601 in any form that clients may use; without a zone it is UTC.
///
/// Date: `2039`, `2039-01`, `2039-1-1`, `2039-01-01`, `20390101`. Then, after `T` or a blank:
/// `10`, `10:00`, `1000`, `10:00:05`, with a fraction after `.` or `,`. Then `Z`, `+05`, `+0530`,
/// `+05:30`. The result is truncated to microseconds. `None` for anything else, and for times
/// that aren't in the years 1 to 9999 in UTC.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let mut rest = Text(text);
    let (date, is_full) = rest.date()?;
    let (mut time, mut offset) = (NaiveTime::MIN, TimeDelta::zero());
    if !rest.0.is_empty() {
        (is_full && (rest.eat("T") || rest.eat(" "))).then_some(())?;
        time = rest.time()?;
        offset = rest.zone()?;
    }
    let utc = date.and_time(time).checked_sub_signed(offset)?.and_utc();
    (rest.0.is_empty() && YEARS.contains(&utc.year())).then_some(utc)
}

/// Writes a time as the contract wants it: UTC without saying so, microseconds only if there are any.
#[must_use]
pub fn format(time: DateTime<Utc>) -> String {
    let pattern = if time.nanosecond() / 1000 == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
    time.format(pattern).to_string()
}

/// The same with microseconds in any case: as orders tell an expiration.
#[must_use]
pub fn format_full(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// What is left to read.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn eat(&mut self, expected: &str) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let length = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        (length >= least).then_some(())?;
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        digits.parse().ok()
    }

    /// The date, and whether it names a day.
    fn date(&mut self) -> Option<(NaiveDate, bool)> {
        let year = i32::try_from(self.number(4, 4)?).ok()?;
        let (mut month, mut day) = (None, None);
        if !self.0.is_empty() {
            let is_dashed = self.eat("-");
            month = Some(if is_dashed { self.number(1, 2)? } else { self.number(2, 2)? });
            // `YYYYMM` could be meant as `YYMMDD`.
            (is_dashed || !self.0.is_empty()).then_some(())?;
        }
        if month.is_some() && !self.0.is_empty() {
            day = Some(if self.eat("-") { self.number(1, 2)? } else { self.number(2, 2)? });
        }
        Some((NaiveDate::from_ymd_opt(year, month.unwrap_or(1), day.unwrap_or(1))?, day.is_some()))
    }

    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.number(2, 2)?;
        let (mut minute, mut second, mut micro) = (0, 0, 0);
        if self.eat(":") || self.digit_follows() {
            minute = self.number(2, 2)?;
            if self.eat(":") || self.digit_follows() {
                second = self.number(1, 2)?;
                if self.eat(".") || self.eat(",") {
                    micro = self.fraction()?;
                }
            }
        }
        NaiveTime::from_hms_micro_opt(hour, minute, second, micro)
    }

    fn digit_follows(&self) -> bool {
        self.0.starts_with(|character: char| character.is_ascii_digit())
    }

    /// A fraction of a second, in microseconds; further digits are cut off.
    fn fraction(&mut self) -> Option<u32> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        (length > 0).then_some(())?;
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        format!("{:0<6.6}", digits).parse().ok()
    }

    /// The offset from UTC: less than a day, though the minutes alone may be any two digits.
    fn zone(&mut self) -> Option<TimeDelta> {
        if self.0.is_empty() || self.eat("Z") {
            return Some(TimeDelta::zero());
        }
        let sign = if self.eat("+") {
            1
        } else if self.eat("-") {
            -1
        } else {
            return None;
        };
        let hours = self.number(2, 2)?;
        self.eat(":");
        let minutes = if self.0.is_empty() { 0 } else { self.number(2, 2)? };
        let offset = TimeDelta::minutes(i64::from(hours * 60 + minutes));
        (offset < TimeDelta::days(1)).then(|| offset * sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_as_barbican_reads_it() {
        let cases = [
            ("2039-01-01T00:00:00", "2039-01-01T00:00:00"),
            ("2039-01-01 00:00", "2039-01-01T00:00:00"),
            ("2039-01-01T10", "2039-01-01T10:00:00"),
            ("2039-01-01T1000", "2039-01-01T10:00:00"),
            ("2039-01-01T10:0000", "2039-01-01T10:00:00"),
            ("2039-01-01T10:00:5", "2039-01-01T10:00:05"),
            ("2039-01-01T10:00:05.1234567", "2039-01-01T10:00:05.123456"),
            ("2039-01-01T10:00:05,5", "2039-01-01T10:00:05.500000"),
            ("2039-01-01T10Z", "2039-01-01T10:00:00"),
            ("2039-01-01T10:00+05", "2039-01-01T05:00:00"),
            ("2039-01-01T10:00+05:", "2039-01-01T05:00:00"),
            ("2039-01-01T10:00-0530", "2039-01-01T15:30:00"),
            ("2039-01-01T10:00+05:30", "2039-01-01T04:30:00"),
            ("2039-01-01T10:00+23:59", "2038-12-31T10:01:00"),
            ("2039-01-01T10:00+05:99", "2039-01-01T03:21:00"),
            ("2039-01-01T10:00-00:00", "2039-01-01T10:00:00"),
            ("2039-1-1", "2039-01-01T00:00:00"),
            ("2039-01-1T10", "2039-01-01T10:00:00"),
            ("2039-0101", "2039-01-01T00:00:00"),
            ("203901-01", "2039-01-01T00:00:00"),
            ("2039-1", "2039-01-01T00:00:00"),
            ("2039", "2039-01-01T00:00:00"),
            ("20390101T0000Z", "2039-01-01T00:00:00"),
            ("2040-02-29", "2040-02-29T00:00:00"),
            ("9999-12-31", "9999-12-31T00:00:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).map(format).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let cases = [
            "",
            "soon",
            "203901",
            "2039-",
            "2039-01-",
            "2039-001",
            "2039-W01",
            "2039-13-01",
            "2039-02-30",
            "0000-01-01",
            "99999-01-01",
            "٢٠٣٩",
            "2039-01-01Z",
            "2039-01T10",
            "2039-01-01T",
            "2039-01-01t10:00",
            "2039-01-01  10:00",
            "2039-01-01T10:",
            "2039-01-01T10:00:",
            "2039-01-01T10:00:00.",
            "2039-01-01T24:00",
            "2039-01-01T23:59:60",
            "2039-01-01T10:00z",
            "2039-01-01T10:00 Z",
            "2039-01-01T00:00:00-5:00",
            "2039-01-01T10:00+24:00",
            "2039-01-01T10:00+05:3",
            "9999-12-31T23:59:59-05:00",
            "0001-01-01T00:00+01",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
