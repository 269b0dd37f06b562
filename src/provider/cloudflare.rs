//! Cloudflare: `{"success":false,"errors":[{"code","message"}]}`.

use super::{Failure, Provider, said::Said};
use crate::error::InferenceError;

/// Reads the first of `errors`, as Workers AI sends them, or of `error` where that is an array, as
/// the AI Gateway does.
///
/// Source of the codes: `developers.cloudflare.com/workers-ai/platform/errors`.
#[derive(Clone, Copy, Debug)]
pub struct Cloudflare;

impl Provider for Cloudflare {
    fn name(&self) -> &'static str {
        "cloudflare"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let mut items = body.get("errors").items().chain(body.get("error").items());
        let first = items.find(|item| item.get("message").string().is_some())?;
        Some(Said::of(first).error(failure, self))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn the_first_error_counts() {
        let table = [
            (429, r#"{"success":false,"errors":[{"code":3040,"message":"m"}]}"#, Category::Overloaded, "3040"),
            (429, r#"{"success":false,"errors":[{"code":3036,"message":"m"}]}"#, Category::QuotaExhausted, "3036"),
            (401, r#"{"success":false,"error":[{"code":2009,"message":"m"}]}"#, Category::Authentication, "2009"),
        ];
        for (status, body, category, code) in table {
            let error = answer(status, &[], body);
            assert_eq!((error.category(), error.code()), (category, Some(code)), "{body}");
            assert_eq!(error.provider(), Some("cloudflare"));
        }
    }
}
