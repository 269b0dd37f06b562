//! One failure of an upstream, as it came: status, headers, bytes.

use super::Provider;
use crate::{
    error::{Category, InferenceError, retry_after},
    framing::{json::Json, json_index::Index},
};
use http::{HeaderMap, HeaderName, StatusCode};
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// What an upstream said when it failed; what a [`Provider`] reads.
///
/// Made from an answer or from an event, with limits on what is taken from it:
/// waits are capped at [one hour](Self::with_max_retry_after), messages cut after
/// [2,000 characters](Self::with_max_message).
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    status: Option<StatusCode>,
    headers: Option<&'a HeaderMap>,
    body: &'a [u8],
    index: Index<'a>,
    now: SystemTime,
    max_retry_after: Duration,
    max_message: usize,
}

impl<'a> Failure<'a> {
    /// An answer with an error status.
    #[must_use]
    pub fn of_answer(status: StatusCode, headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        let status = Some(status).filter(|status| !status.is_success());
        let headers = Some(headers).filter(|headers| !headers.is_empty());
        Self { status, headers, ..Self::of_event(body) }
    }

    /// The data of an event in a stream: there is no status, and the headers said that all is well.
    #[must_use]
    pub fn of_event(data: &'a [u8]) -> Self {
        Self {
            status: None,
            headers: None,
            body: data,
            index: Index::of(data),
            now: SystemTime::UNIX_EPOCH,
            max_retry_after: Duration::from_secs(3600),
            max_message: 2000,
        }
    }

    /// The present, which dates in headers are compared with; without it they count as past.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        Self { now, ..self }
    }

    /// The longest wait to believe. Default: one hour.
    #[must_use]
    pub fn with_max_retry_after(self, max: Duration) -> Self {
        Self { max_retry_after: max, ..self }
    }

    /// The longest message to keep, in characters. Default: 2,000.
    #[must_use]
    pub fn with_max_message(self, max: usize) -> Self {
        Self { max_message: max, ..self }
    }

    /// The status, unless it was a success or there was none.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The status as a number, 0 for none: what tables match on.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.status.map_or(0, |status| status.as_u16())
    }

    /// The text of a header; `None` if it holds anything but visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers?.get(name)?.to_str().ok()
    }

    /// The text of a header that may be more than ASCII; whatever is no character becomes U+FFFD.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.headers?.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }

    /// The names of the headers.
    pub(super) fn header_names(&self) -> impl Iterator<Item = &'a str> {
        self.headers.into_iter().flat_map(|headers| headers.keys().map(HeaderName::as_str))
    }

    /// The bytes of the body or event.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The body as text; whatever is no character becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.body)
    }

    /// The body as JSON: its object, or the first object of an array (Google's `[{"error":…}]`), else
    /// [`Json::MISSING`].
    #[must_use]
    pub fn json(&self) -> Json<'_> {
        self.index.json()
    }

    /// The longest wait to believe.
    #[must_use]
    pub fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }

    /// Whether the headers name a wait.
    pub(super) fn names_a_wait(&self) -> bool {
        self.header_wait().is_some()
    }

    fn header_wait(&self) -> Option<Duration> {
        // Few answers have any of them, which is cheaper to see than to ask for each.
        let waits = ["retry-after", "x-ratelimit-", "anthropic-ratelimit-"];
        let names_one = |name: &str| waits.iter().any(|begin| name.starts_with(begin));
        if !self.header_names().any(names_one) {
            return None;
        }
        retry_after::from_headers(self.headers?, self.now, self.max_retry_after)
    }

    /// An error with what every failure has: the provider, the status, the request's id and the wait
    /// from the headers, and a tidied message.
    ///
    /// If the headers name no wait, a sentence such as `try again in 20s` does, for categories that
    /// are retryable.
    #[must_use]
    pub fn error(
        &self,
        provider: &dyn Provider,
        category: Category,
        message: &str,
    ) -> InferenceError {
        let message = tidy(message, self.max_message);
        let wait = self.header_wait().or_else(|| {
            let digits = message.bytes().fold(false, |any, byte| any | byte.is_ascii_digit());
            let asked = category.is_retryable() && digits;
            asked.then(|| retry_after::from_text(&message, self.max_retry_after))?
        });
        let mut error = InferenceError::new(category, message).with_provider(provider.name());
        if let Some(status) = self.status {
            error = error.with_provider_status(status);
        }
        if let Some(wait) = wait {
            error = error.with_retry_after(wait);
        }
        let ids = ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"];
        if let Some(id) = ids.iter().find_map(|name| self.header(name)) {
            error = error.with_request_id(id.to_owned());
        }
        error
    }
}

/// Whether a text is words of ASCII with one blank between them, as most are. All bytes are looked at,
/// so that it is many at a time.
fn is_tidy(text: &[u8]) -> bool {
    let blank = |byte: &u8| *byte == b' ';
    let visible = text.iter().fold(true, |all, byte| all & (b' '..=b'~').contains(byte));
    let pairs = text.iter().zip(text.iter().skip(1));
    let single = pairs.fold(true, |all, (first, second)| all & !(blank(first) & blank(second)));
    visible && single && text.first().is_some_and(|b| !blank(b)) && !text.ends_with(b" ")
}

/// One line of at most `max` characters: runs of blanks and control characters become one blank.
fn tidy(text: &str, max: usize) -> String {
    if text.len() < max && is_tidy(text.as_bytes()) {
        return text.to_owned();
    }
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let mut out = String::with_capacity(text.len().min(max));
    let mut count = 0;
    for word in text.split(blank).filter(|word| !word.is_empty()) {
        if count > 0 {
            if count + 2 >= max {
                out.push('…');
                return out;
            }
            out.push(' ');
            count += 1;
        }
        for c in word.chars() {
            if count + 1 >= max {
                out.push('…');
                return out;
            }
            out.push(c);
            count += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // U7
    #[test]
    fn messages_become_one_bounded_line() {
        assert_eq!(tidy(" a\r\n\tb\u{0}c  ", 100), "a b c");
        assert_eq!(tidy("\u{1b}[2Jx", 100), "[2Jx");
        for (text, line) in [("a b", "a b"), ("a  b", "a b"), (" a", "a"), ("a ", "a"), ("", "")] {
            assert_eq!(tidy(text, 100), line, "{text:?}");
        }
        assert_eq!((tidy("abc d", 6), tidy("abc d", 5)), ("abc d".into(), "abc…".into()));
        let cut = tidy(&"é".repeat(5000), 2000);
        assert_eq!(cut.chars().count(), 2000);
        assert!(cut.ends_with('…'));
        for words in ["é ".repeat(5000), "éé ".repeat(5000), "ééé ".repeat(5000)] {
            assert!(tidy(&words, 2000).chars().count() <= 2000);
        }
    }

    #[test]
    fn a_wait_is_found_in_whichever_header_it_is() {
        for (name, value) in [
            ("retry-after", "9"),
            ("retry-after-ms", "9000"),
            ("x-ratelimit-reset", "9"),
            ("x-ratelimit-reset-tokens", "9s"),
            ("anthropic-ratelimit-tokens-reset", "1970-01-01T00:00:09Z"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("anthropic-ratelimit-tokens-remaining", "0".parse().unwrap());
            headers.insert(name, value.parse().unwrap());
            let failure = Failure::of_answer(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
            assert_eq!(failure.header_wait(), Some(Duration::from_secs(9)), "{name}");
        }
    }

    #[test]
    fn the_first_object_of_an_array_is_the_body() {
        assert!(Failure::of_event(br#"[{"error":{}}]"#).json().is_object());
        assert!(Failure::of_event(b"[1]").json().is_missing());
        assert!(Failure::of_event(b"<html>").json().is_missing());
    }

    #[test]
    fn a_success_is_no_status_of_a_failure() {
        let headers = HeaderMap::new();
        let failure = Failure::of_answer(StatusCode::OK, &headers, b"{}");
        assert_eq!((failure.status(), failure.code()), (None, 0));
    }
}
