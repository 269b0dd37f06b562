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
        let string = Json::of(failure.body()).string();
        Some(Said::text(string.unwrap_or(text)).error(failure, self))
    }
}

/// Whether this was never meant to be read, such as a compressed body.
fn is_binary(text: &str) -> bool {
    let odd = |c: &char| *c == char::REPLACEMENT_CHARACTER || *c == '\0';
    let (odd, all) = text.chars().take(512).fold((0, 0), |(n, all), c| (n + usize::from(odd(&c)), all + 1));
    odd * 8 > all
}
