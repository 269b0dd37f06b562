//! How long to wait before trying again, from every place where an upstream may say so.
//!
//! Clients obey this number to the letter: three of the official SDKs sleep exactly as long as they
//! are told. So it is read with suspicion. All functions here are pure: the present time and the
//! cap are arguments.
//!
//! Rules, in the order of asking:
//!
//! 1. `retry-after-ms`, milliseconds, fractions allowed (OpenAI and Anthropic SDKs prefer it).
//! 2. `retry-after`, seconds (fractions allowed) or an HTTP date (RFC 9110, section 10.2.3).
//! 3. `x-ratelimit-reset-requests` and `-tokens` (Go durations: `6m0s`, `20ms`), of these the one
//!    whose `remaining` is 0, else the longer; `x-ratelimit-reset` (seconds).
//! 4. `anthropic-ratelimit-*-reset` (RFC 3339), of the limits with nothing remaining.
//! 5. A sentence of the message: `Please try again in 6m0s`.
//!
//! A date in the past means "now", that is zero. Whatever is negative, not a number, or malformed is ignored,
//! and everything is capped.
//!
//! # Example: two ways to say twenty seconds
//!
//! ```
//! use http::HeaderMap;
//! use std::time::{Duration, SystemTime};
//! use tower_inference::error::retry_after;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("retry-after", "20".parse()?);
//! let hour = Duration::from_secs(3600);
//! let wait = Some(Duration::from_secs(20));
//!
//! assert_eq!(retry_after::from_headers(&headers, SystemTime::now(), hour), wait);
//! assert_eq!(retry_after::from_text("Please try again in 20s.", hour), wait);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use foldhash::quality::RandomState;
use http::HeaderMap;
use std::{
    hash::BuildHasher,
    time::{Duration, SystemTime},
};

/// A hint of our own where nobody named one: 2–5 s, jittered so that clients do not come back all at
/// once.
#[must_use]
pub fn soon() -> Duration {
    // Each `RandomState` has another seed, so the hash of nothing is a random number.
    Duration::from_millis(2000 + RandomState::default().hash_one(()) % 3001)
}

/// The wait that the headers ask for, at most `max`.
#[must_use]
pub fn from_headers(headers: &HeaderMap, now: SystemTime, max: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let wait = text("retry-after-ms")
        .and_then(|ms| seconds(ms, 1e-3))
        .or_else(|| text("retry-after").and_then(|value| seconds_or_date(value, now)))
        .or_else(|| rate_limit_reset(headers, now))
        .or_else(|| anthropic_reset(headers, now))?;
    Some(wait.min(max))
}

/// The wait that a sentence asks for (`try again in 1.5s`, `retry after 20 seconds`), at most `max`.
///
/// Only the number right after one of a few known phrases counts: digits elsewhere decide nothing.
#[must_use]
pub fn from_text(message: &str, max: Duration) -> Option<Duration> {
    const PHRASES: [&str; 6] = [
        "try again in ",
        "try again after ",
        "retry after ",
        "retry in approximately ",
        "retry in ",
        "wait ",
    ];
    let lower = message.to_ascii_lowercase();
    PHRASES.iter().find_map(|phrase| {
        let rest = &lower[lower.find(phrase)? + phrase.len()..];
        let in_short = || {
            let word = rest.split_whitespace().next()?;
            go_duration(word.trim_end_matches(['.', ',', ')', ';']))
        };
        let wait = spelled_out(rest).or_else(in_short);
        wait.map(|wait| wait.min(max))
    })
}

/// `1.5 seconds`, `41 minutes and 54 seconds`: up to three numbers and their units.
fn spelled_out(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, None::<Duration>);
    for _ in 0..3 {
        let Some((wait, after)) = number_and_unit(rest) else { break };
        sum = Some(sum.unwrap_or_default().saturating_add(wait));
        let more = [" and ", ", ", " "].iter().find_map(|between| after.strip_prefix(between));
        let Some(more) = more else { break };
        rest = more;
    }
    sum
}

fn number_and_unit(text: &str) -> Option<(Duration, &str)> {
    let (number, unit) = split_number(text)?;
    let unit = unit.trim_start();
    let end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
    let (unit, rest) = unit.split_at(end);
    let unit = match unit {
        "hour" | "hours" => 3600.0,
        "minute" | "minutes" | "min" | "mins" => 60.0,
        "second" | "seconds" | "sec" | "secs" => 1.0,
        "millisecond" | "milliseconds" => 1e-3,
        _ => return None,
    };
    Some((seconds(number, unit)?, rest))
}

/// A duration as Go and protobuf write it: `6m0s`, `1.5s`, `20ms`, `2h`.
///
/// ```
/// use std::time::Duration;
/// use tower_inference::error::retry_after::go_duration;
///
/// assert_eq!(go_duration("6m0.5s"), Some(Duration::from_millis(360_500)));
/// assert_eq!(go_duration("-1s"), None);
/// ```
#[must_use]
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest)?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let unit = match &tail[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(seconds(number, unit)?)?;
        rest = &tail[end..];
    }
    (!text.is_empty()).then_some(total)
}

fn seconds_or_date(value: &str, now: SystemTime) -> Option<Duration> {
    seconds(value, 1.0).or_else(|| Some(until(httpdate::parse_http_date(value).ok()?, now)))
}

/// The longest reset of the limits that are used up, or of all of them if none says it is.
fn rate_limit_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let resets = ["requests", "tokens"].into_iter().filter_map(|what| {
        let reset = headers.get(format!("x-ratelimit-reset-{what}"))?.to_str().ok()?;
        let wait = go_duration(reset.trim()).or_else(|| seconds(reset, 1.0))?;
        Some((used_up(headers, &format!("x-ratelimit-remaining-{what}")), wait))
    });
    let longest = resets.max_by_key(|(used_up, wait)| (*used_up, *wait)).map(|(_, wait)| wait);
    longest.or_else(|| {
        let reset = headers.get("x-ratelimit-reset")?.to_str().ok()?.trim();
        let wait = seconds(reset, 1.0).or_else(|| go_duration(reset))?;
        // Some send the moment instead of the wait, in seconds since 1970.
        let moment = SystemTime::UNIX_EPOCH.checked_add(wait)?;
        Some(if wait.as_secs() > 1_000_000_000 { until(moment, now) } else { wait })
    })
}

fn anthropic_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let limits = ["requests", "tokens", "input-tokens", "output-tokens"];
    let resets = limits.into_iter().filter_map(|limit| {
        let prefix = format!("anthropic-ratelimit-{limit}");
        used_up(headers, &format!("{prefix}-remaining")).then_some(())?;
        let reset = headers.get(format!("{prefix}-reset"))?.to_str().ok()?;
        Some(until(rfc3339(reset)?, now))
    });
    resets.max()
}

fn used_up(headers: &HeaderMap, name: &str) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes() == b"0")
}

fn until(moment: SystemTime, now: SystemTime) -> Duration {
    moment.duration_since(now).unwrap_or_default()
}

/// A decimal number times a unit; `None` unless the result is a sane duration.
///
/// `f64::from_str` alone would accept `inf`, `nan`, `1e300` and a sign.
fn seconds(number: &str, unit: f64) -> Option<Duration> {
    let number = number.trim();
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `2026-11-20T12:00:00Z`, with a fraction or an offset if need be (RFC 3339).
fn rfc3339(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separated = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')]
        .iter()
        .all(|&(at, byte)| text.as_bytes().get(at) == Some(&byte));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !separated || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if zone.is_ascii() => {
            let digit = |b: &u8| i64::from(b.wrapping_sub(b'0').min(9));
            let minutes = (digit(h1) * 10 + digit(h2)) * 60 + digit(m1) * 10 + digit(m2);
            if *sign == b'+' { minutes * 60 } else { -minutes * 60 }
        }
        _ => return None,
    };
    // Days since 1970 in the proleptic Gregorian calendar, the year beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 719_469;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// 2026-11-20T12:00:00Z
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_176_000)
    }

    fn read(headers: &[(&'static str, &str)]) -> Option<f64> {
        let headers = headers.iter().map(|(k, v)| ((*k).parse().unwrap(), v.parse().unwrap()));
        let wait = from_headers(&headers.collect(), noon(), HOUR);
        wait.map(|wait| wait.as_secs_f64())
    }

    // U11
    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let table = [
            ("20", Some(20.0)),
            (" 20 ", Some(20.0)),
            ("0", Some(0.0)),
            ("1.5", Some(1.5)),
            ("Fri, 20 Nov 2026 12:00:30 GMT", Some(30.0)),
            ("Friday, 20-Nov-26 12:00:30 GMT", Some(30.0)),
            ("Fri Nov 20 12:00:30 2026", Some(30.0)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", Some(0.0)),
            ("99999999", Some(3600.0)),
            ("18446744073709551616", None),
            ("-1", None),
            ("+5", None),
            ("5s", None),
            ("1e3", None),
            ("nan", None),
            ("inf", None),
            ("", None),
            ("Fri, 31 Feb 2026 12:00:00 GMT", None),
        ];
        for (value, expected) in table {
            assert_eq!(read(&[("retry-after", value)]), expected, "{value:?}");
        }
    }

    #[test]
    fn hints_of_our_own_are_spread_over_three_seconds() {
        let hints: Vec<_> = (0..100).map(|_| soon().as_secs_f64()).collect();
        assert!(hints.iter().all(|hint| (2.0..=5.0).contains(hint)));
        assert!(hints.iter().any(|hint| *hint < 3.5) && hints.iter().any(|hint| *hint > 3.5));
    }

    // U12
    #[test]
    fn milliseconds_win_over_seconds() {
        assert_eq!(read(&[("retry-after", "9"), ("retry-after-ms", "250")]), Some(0.25));
    }

    #[test]
    fn a_malformed_header_does_not_hide_a_good_one() {
        assert_eq!(read(&[("retry-after-ms", "soon"), ("retry-after", "9")]), Some(9.0));
    }

    // U12
    #[test]
    fn the_limit_that_is_used_up_decides() {
        let headers = [
            ("x-ratelimit-reset-requests", "2ms"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("x-ratelimit-remaining-tokens", "149984"),
        ];
        assert_eq!(read(&headers), Some(0.002));
        assert_eq!(read(&headers[2..]), Some(360.0));
    }

    #[test]
    fn a_bare_reset_is_a_wait_or_a_moment() {
        assert_eq!(read(&[("x-ratelimit-reset", "17")]), Some(17.0));
        assert_eq!(read(&[("x-ratelimit-reset", "1795176017")]), Some(17.0));
    }

    // U12
    #[test]
    fn anthropic_resets_are_dates() {
        let reset = "anthropic-ratelimit-tokens-reset";
        let remaining = "anthropic-ratelimit-tokens-remaining";
        for (value, expected) in [
            ("2026-11-20T12:00:05Z", Some(5.0)),
            ("2026-11-20T12:00:05.250Z", Some(5.0)),
            ("2026-11-20T13:00:05+01:00", Some(5.0)),
            ("2026-11-20T12:00:05", None),
            ("2026-13-20T12:00:05Z", None),
            ("tomorrow", None),
        ] {
            assert_eq!(read(&[(reset, value), (remaining, "0")]), expected, "{value}");
            assert_eq!(read(&[(reset, value), (remaining, "12")]), None, "{value}");
        }
    }

    // U12
    #[test]
    fn sentences_are_read_only_after_a_known_phrase() {
        let table = [
            ("Rate limit reached. Please try again in 6m0s.", Some(360.0)),
            ("Please try again in 9m38.016s. Visit", Some(578.016)),
            ("Please try again in 20ms", Some(0.02)),
            ("Please retry after 7 seconds.", Some(7.0)),
            ("Rate limit is exceeded. Try again in 86400 seconds.", Some(3600.0)),
            ("Please try again in 2 minutes", Some(120.0)),
            ("Try again in 41 minutes and 54 seconds.", Some(2514.0)),
            ("Try again in 1 hour, 2 minutes, 3 seconds and 4 apples", Some(3600.0)),
            ("Try again in 2 seconds 30 days from now", Some(2.0)),
            ("limit 10000, used 9000, requested 2000", None),
            ("please try again in a moment", None),
            ("please try again in -5s", None),
            ("please try again in 5 parsecs", None),
        ];
        for (message, expected) in table {
            assert_eq!(from_text(message, HOUR).map(|w| w.as_secs_f64()), expected, "{message}");
        }
    }

    // U11
    #[test]
    fn hostile_durations_do_not_panic() {
        for text in ["", ".", "1", "s", "1e9s", "999999999999999999999999h", "1h1", "1.2.3s"] {
            assert_eq!(go_duration(text), None, "{text:?}");
        }
    }
}
