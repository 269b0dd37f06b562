//! NVIDIA NeMo Gym's body: an object under `detail`, with six keys.
//!
//! Its clients branch on them, so they are exactly these, and none of ours is added.

use super::{Dialect, OpenAi, Operation, Seen, View, json};
use crate::error::Category;
use serde::Serialize;
use std::borrow::Cow;

/// Labels that are Gym's own classes.
const CLASSES: [&str; 6] = [
    "authentication",
    "model_not_found",
    "rate_limit",
    "request_error",
    "transient_upstream_failure",
    "provider_error",
];

/// `{"detail":{"provider_status","retryable","provider_context","model","category","message"}}`.
///
/// The category is the error's [label](View::label) where that is one of Gym's classes, as its
/// [provider](crate::provider::NemoGym) leaves it, else the nearest to ours. `base_url` is shown only
/// with [`ProviderContext::Full`](super::ProviderContext::Full). Mid-stream the last word is that of
/// the API that was asked.
///
/// Source: `NVIDIA-NeMo/Gym`, pull request 1797.
#[derive(Clone, Copy, Debug)]
pub struct DetailObject;

impl Dialect for DetailObject {
    fn name(&self) -> &'static str {
        "nemo-gym"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Body {
            detail: Detail {
                provider_status: view.provider_status().unwrap_or(500),
                retryable: view.is_retryable(),
                provider_context: Context { base_url: view.endpoint() },
                model: view.model(),
                category: class(view),
                message: view.message(),
            },
        })
    }

    fn last_word(&self, view: &View<'_>, seen: &Seen<'_>) -> Vec<u8> {
        let asked: &dyn Dialect = view.operation().map_or(&OpenAi, Operation::dialect);
        asked.last_word(view, seen)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    detail: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    provider_status: u16,
    retryable: bool,
    provider_context: Context<'a>,
    model: Option<Cow<'a, str>>,
    category: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Context<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<&'a str>,
}

fn class<'a>(view: &View<'a>) -> &'a str {
    if let Some(label) = view.label().filter(|label| CLASSES.contains(label)) {
        return label;
    }
    match view.category() {
        Category::Authentication | Category::Permission => "authentication",
        Category::ModelNotFound | Category::NotFound => "model_not_found",
        Category::RateLimited | Category::QuotaExhausted => "rate_limit",
        Category::InvalidRequest | Category::ContextLengthExceeded | Category::ContentFilter => {
            "request_error"
        }
        Category::Overloaded
        | Category::ModelNotReady
        | Category::Timeout
        | Category::UpstreamError => "transient_upstream_failure",
        Category::RequestTooLarge
        | Category::Conflict
        | Category::Unsupported
        | Category::Cancelled
        | Category::Unknown => "provider_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::{
            Disclosure, ProviderContext,
            tests::{body, full},
        },
        error::InferenceError,
    };

    #[test]
    fn there_are_exactly_six_keys() {
        assert_eq!(
            body(&DetailObject, &full(Category::RateLimited), None),
            r#"{"detail":{"provider_status":418,"retryable":true,"provider_context":{},"model":"llama-3","category":"rate_limit","message":"it broke"}}"#
        );
    }

    #[test]
    fn the_address_is_shown_only_where_everything_is() {
        let error = InferenceError::new(Category::Timeout, "").with_endpoint("http://upstream/v1");
        let disclosure = Disclosure::default().provider_context(ProviderContext::Full);
        let text = DetailObject.body(&View::of(&error, None, &disclosure));
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(r#""provider_context":{"base_url":"http://upstream/v1"}"#), "{text}");
    }

    #[test]
    fn a_label_of_gyms_wins_over_the_category() {
        let error = full(Category::Unknown).with_label("authentication");
        assert!(body(&DetailObject, &error, None).contains(r#""category":"authentication""#));
        let gate = full(Category::ModelNotReady).with_label("starting");
        assert!(body(&DetailObject, &gate, None).contains(r#""transient_upstream_failure""#));
    }
}
