//! OpenAI chat, completions, embeddings, images and audio: `{"error":{"message","type","param","code"}}`.
//!
//! All four members are always present, `code` a string or null: an integer makes one SDK throw
//! while it reports the failure. The pair of type and code tells the Vercel AI SDK, which derives a
//! status from words in them, the same as the status does: nothing worth retrying says "invalid".

use super::{Dialect, Extensions, View, json, specific};
use crate::error::Category;
use serde::Serialize;
use std::borrow::Cow;

/// The error object of the OpenAI API; mid-stream, one event that holds nothing but it.
///
/// Source: `platform.openai.com/docs/guides/error-codes`; openai-python 3.52, openai-node 6.49.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Envelope { error: ErrorObject::of(view) })
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorObject<'a>,
}

/// The members of `error`.
#[derive(Serialize)]
pub(super) struct ErrorObject<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<Cow<'a, str>>,
    code: Option<&'a str>,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

impl<'a> ErrorObject<'a> {
    pub(super) fn of(view: &'a View<'_>) -> Self {
        let (kind, code) = kind_and_code(view.category());
        Self {
            message: view.message(),
            r#type: specific_kind(view).unwrap_or(kind),
            param: view.param(),
            code: specific(view.code(), view).or(code),
            extensions: view.extensions(),
        }
    }

    pub(super) fn code(&self) -> Option<&'a str> {
        self.code
    }
}

/// OpenAI's type and code for a category.
pub(super) fn kind_and_code(category: Category) -> (&'static str, Option<&'static str>) {
    match category {
        Category::Authentication => ("authentication_error", Some("invalid_api_key")),
        Category::Permission => ("permission_error", Some("permission_denied")),
        Category::InvalidRequest => ("invalid_request_error", None),
        Category::ContextLengthExceeded => {
            ("invalid_request_error", Some("context_length_exceeded"))
        }
        Category::ContentFilter => ("invalid_request_error", Some("content_filter")),
        Category::RequestTooLarge => ("invalid_request_error", Some("request_too_large")),
        Category::ModelNotFound => ("invalid_request_error", Some("model_not_found")),
        Category::NotFound => ("invalid_request_error", Some("not_found")),
        Category::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        Category::QuotaExhausted => ("insufficient_quota", Some("insufficient_quota")),
        Category::Overloaded => ("service_unavailable", Some("overloaded")),
        Category::ModelNotReady => ("service_unavailable", Some("model_not_ready")),
        Category::Timeout => ("timeout_error", Some("timeout")),
        Category::Conflict => ("conflict_error", Some("conflict")),
        Category::Unsupported => ("invalid_request_error", Some("unsupported")),
        Category::Cancelled => ("server_error", Some("cancelled")),
        Category::UpstreamError => ("server_error", Some("upstream_error")),
        Category::Unknown => ("server_error", Some("unknown")),
    }
}

/// Types of OpenAI's own that say more than ours and mean the same to every client.
fn specific_kind<'a>(view: &View<'a>) -> Option<&'a str> {
    let kept = match view.category() {
        Category::RateLimited => ["requests", "tokens"].as_slice(),
        Category::InvalidRequest => &["image_generation_user_error"],
        _ => &[],
    };
    view.kind().filter(|kind| kept.contains(kind))
}
