//! Plain text, and JSON that is in no shape we know.

use super::{Failure, Provider, said::Said};
use crate::{error::InferenceError, framing::json::Json};

/// Reads what is left that can be read: a sentence, a JSON string (NeMo Gym quotes whole bodies in
/// one), an object of unknown members, which is shown as it came.
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl Provider for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let text = failure.text();
        if text.trim().is_empty() || is_binary(&text) {
            return None;
        }
        let json = Json::of(failure.body());
        let says_nothing = !json.members().any(|(_, member)| member.is_truthy());
        if json.is_object() && says_nothing && !text.trim_start().starts_with("{'") {
            return None; // but a Python dictionary, which is no JSON, is read
        }
        let string = json.string();
        Some(Said::text(string.unwrap_or(text)).error(failure, self))
    }
}

/// Whether this was never meant to be read, such as a compressed body.
fn is_binary(text: &str) -> bool {
    let odd = |c: &char| *c == char::REPLACEMENT_CHARACTER || *c == '\0';
    let (odd, all) = text.chars().take(512).fold((0, 0), |(n, all), c| (n + usize::from(odd(&c)), all + 1));
    odd * 8 > all
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn what_can_be_read_is_the_message() {
        let table = [
            (503, "upstream connect error or disconnect/reset before headers", Category::UpstreamError),
            (429, "slow down", Category::RateLimited),
            (401, "the author is unknown", Category::Authentication),
            (500, "the author of 401 pages", Category::UpstreamError),
            (500, r#"{"unexpected":"payload"}"#, Category::UpstreamError),
        ];
        for (status, body, category) in table {
            let error = answer(status, &[], body);
            assert_eq!((error.category(), error.message()), (category, body));
        }
        assert_eq!(answer(500, &[], "{'detail': 'no x'}").message(), "no x");
        assert_eq!(answer(500, &[], "\"quoted\\nline\"").message(), "quoted line");
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_status() {
        let error = answer(503, &[], "\u{1f}\u{fffd}\u{8}\0\0\0\u{fffd}\u{fffd}");
        assert_eq!((error.provider(), error.category()), (Some("unknown"), Category::Overloaded));
        for body in ["{}", r#"{"error":null}"#, r#"{"error":{}}"#] {
            let error = answer(503, &[], body);
            assert_eq!(error.message(), "the upstream answered 503 Service Unavailable", "{body}");
        }
    }
}
