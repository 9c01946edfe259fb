//! Time stamps as text.

/// Microseconds since the Unix epoch as RFC 3339 in UTC with milliseconds:
/// `2021-07-01T07:52:14.822Z`.
///
/// The proleptic Gregorian calendar, by `civil_from_days` of Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms". Rounded down.
pub fn rfc3339_millis(microseconds: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let milliseconds = microseconds.div_euclid(1000);
    let (days, of_day) = (milliseconds.div_euclid(DAY_MS), milliseconds.rem_euclid(DAY_MS));

    // Days from 0000-03-01, so that a leap day ends its year; eras of 400 years repeat.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);

    let (hour, minute, second, ms) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_times_before_the_epoch() {
        for (microseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_625_125_934_822_999, "2021-07-01T07:52:14.822Z"),
            (1_709_251_199_999_000, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339_millis(microseconds), text);
        }
    }
}
