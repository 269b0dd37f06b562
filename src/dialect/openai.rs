//! OpenAI chat, completions, embeddings, images and audio: `{"error":{"message","type","param","code"}}`.
//!
//! All four members are always present, `code` a string or null: an integer makes one SDK throw
//! while it reports the failure. The pair of type and code tells the Vercel AI SDK, which derives a
//! status from words in them, the same as the status does: nothing worth retrying says "invalid".

use super::{
    Dialect, Extensions, View,
    members::{Word, close, member, written},
};
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

    fn survives_comments(&self) -> bool {
        true
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        written(|out| {
            out.extend_from_slice(b"{\"error\":{");
            member!(out, "message", view.text());
            member!(out, "type", Word(kind(view)));
            member!(out, "param", view.param().as_deref());
            member!(out, "code", code(view).map(Word));
            view.write_extensions(out);
            close(out);
            out.push(b'}');
        })
    }
}

/// The members of `error`, for those who write more around it.
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
        Self {
            message: view.message(),
            r#type: kind(view),
            param: view.param(),
            code: code(view),
            extensions: view.extensions(),
        }
    }

    pub(super) fn kind(&self) -> &'a str {
        self.r#type
    }

    pub(super) fn code(&self) -> Option<&'a str> {
        self.code
    }

    pub(super) fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }
}

/// What keeps clients from trying again: the Vercel AI SDK reads a 400 from it. Types and codes of ours
/// that say so begin with it.
const INVALID: &str = "invalid";

/// The type: the provider's where it says more, else OpenAI's for the category. Always a
/// [word](is_word).
pub(super) fn kind<'a>(view: &View<'a>) -> &'a str {
    let (ours, _) = kind_and_code(view.category());
    match specific_kind(view) {
        Some(theirs) => theirs,
        None if view.is_retryable() && ours.starts_with(INVALID) => "server_error",
        None => ours,
    }
}

/// The code: the provider's where it may be shown, else OpenAI's for the category. Always a
/// [word](is_word).
pub(super) fn code<'a>(view: &View<'a>) -> Option<&'a str> {
    let (_, ours) = kind_and_code(view.category());
    let ours = ours.filter(|code| !(view.is_retryable() && code.starts_with(INVALID)));
    if ours.is_some_and(|code| view.has_code(code)) {
        return ours;
    }
    let theirs = view.code().filter(|code| is_word(code) && !misleads(code, view));
    theirs.or(ours)
}

/// Whether a code can stand in for ours: a short word, and no number in a string.
fn is_word(code: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=64).contains(&code.len())
        && code.bytes().all(word)
        && code.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Whether a word of the provider's keeps clients from trying again where they should.
fn misleads(word: &str, view: &View<'_>) -> bool {
    let invalid = |at: &[u8]| at.eq_ignore_ascii_case(INVALID.as_bytes());
    view.is_retryable() && word.as_bytes().windows(INVALID.len()).any(invalid)
}

/// OpenAI's type and code for a category.
fn kind_and_code(category: Category) -> (&'static str, Option<&'static str>) {
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
fn specific_kind(view: &View<'_>) -> Option<&'static str> {
    let kept = match view.category() {
        Category::RateLimited => ["requests", "tokens"].as_slice(),
        Category::InvalidRequest => &["image_generation_user_error"],
        _ => &[],
    };
    view.kind_among(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::tests::{FULL_EXTENSIONS, body, full, last_word},
        error::InferenceError,
    };

    #[test]
    fn the_error_object_is_exact() {
        assert_eq!(
            body(&OpenAi, &InferenceError::new(Category::InvalidRequest, "no \"n\""), None),
            concat!(
                r#"{"error":{"message":"no \"n\"","type":"invalid_request_error","param":null,"code":null,"#,
                r#""category":"invalid_request","retryable":false,"provider_status":null,"model":null,"#,
                r#""origin":"upstream"}}"#
            )
        );
        let object = format!(
            r#"{{"error":{{"message":"it broke","type":"service_unavailable","param":"max_tokens","code":"its_code","category":"overloaded","retryable":true,{FULL_EXTENSIONS}}}}}"#
        );
        let error = full(Category::Overloaded);
        assert_eq!(body(&OpenAi, &error, None), object);
        let word = last_word(&OpenAi, &error, None, &crate::dialect::Seen::default());
        assert_eq!(word, format!("data: {object}\n\n"));
    }

    /// Type and code of an error, as they are shown.
    fn shown(error: &InferenceError) -> (String, Option<String>) {
        let value: serde_json::Value = serde_json::from_str(&body(&OpenAi, error, None)).unwrap();
        let text = |key: &str| value["error"][key].as_str().map(str::to_owned);
        (text("type").unwrap(), text("code"))
    }

    #[test]
    fn every_category_has_its_type_and_code() {
        let table = [
            (Category::Authentication, "authentication_error", Some("invalid_api_key")),
            (Category::Permission, "permission_error", Some("permission_denied")),
            (Category::InvalidRequest, "invalid_request_error", None),
            (
                Category::ContextLengthExceeded,
                "invalid_request_error",
                Some("context_length_exceeded"),
            ),
            (Category::ContentFilter, "invalid_request_error", Some("content_filter")),
            (Category::RequestTooLarge, "invalid_request_error", Some("request_too_large")),
            (Category::ModelNotFound, "invalid_request_error", Some("model_not_found")),
            (Category::NotFound, "invalid_request_error", Some("not_found")),
            (Category::RateLimited, "rate_limit_error", Some("rate_limit_exceeded")),
            (Category::QuotaExhausted, "insufficient_quota", Some("insufficient_quota")),
            (Category::Overloaded, "service_unavailable", Some("overloaded")),
            (Category::ModelNotReady, "service_unavailable", Some("model_not_ready")),
            (Category::Timeout, "timeout_error", Some("timeout")),
            (Category::Conflict, "conflict_error", Some("conflict")),
            (Category::Unsupported, "invalid_request_error", Some("unsupported")),
            (Category::Cancelled, "server_error", Some("cancelled")),
            (Category::UpstreamError, "server_error", Some("upstream_error")),
            (Category::Unknown, "server_error", Some("unknown")),
        ];
        assert_eq!(table.map(|(category, ..)| category), Category::ALL);
        for (category, kind, code) in table {
            let (shown_kind, shown_code) = shown(&InferenceError::new(category, ""));
            assert_eq!((&*shown_kind, shown_code.as_deref()), (kind, code), "{category}");
        }
    }

    #[test]
    fn a_code_of_the_provider_is_shown_only_if_it_is_a_word_that_does_not_mislead() {
        let long = "x".repeat(65);
        for (code, category, expected) in [
            ("tokens_per_min", Category::RateLimited, "tokens_per_min"),
            ("404", Category::ModelNotFound, "model_not_found"),
            ("", Category::Timeout, "timeout"),
            ("no such key", Category::Authentication, "invalid_api_key"),
            (&long, Category::Conflict, "conflict"),
            ("Invalid_State", Category::Overloaded, "overloaded"),
            ("Invalid_State", Category::NotFound, "Invalid_State"),
        ] {
            let error = InferenceError::new(category, "").with_code(code.to_owned());
            assert_eq!(shown(&error).1.as_deref(), Some(expected), "{code}");
        }
    }

    #[test]
    fn a_type_of_openai_is_kept_where_it_says_more() {
        for (kind, category, expected) in [
            ("tokens", Category::RateLimited, "tokens"),
            ("tokens", Category::Timeout, "timeout_error"),
            ("image_generation_user_error", Category::InvalidRequest, "image_generation_user_error"),
            ("BadRequest", Category::InvalidRequest, "invalid_request_error"),
        ] {
            let error = InferenceError::new(category, "").with_kind(kind);
            assert_eq!(shown(&error).0, expected, "{kind}");
        }
    }

    #[test]
    fn a_bad_request_worth_retrying_is_a_server_error() {
        let error = InferenceError::new(Category::InvalidRequest, "sampling failed")
            .with_code("tool_use_failed")
            .with_retryable(true);
        assert_eq!(shown(&error), ("server_error".to_owned(), Some("tool_use_failed".to_owned())));
    }
}
