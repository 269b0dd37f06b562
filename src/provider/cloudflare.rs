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
