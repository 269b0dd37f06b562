//! Anthropic Messages: `{"type":"error","error":{"type","message"},"request_id"}`.
//!
//! The outer `"type":"error"` is what the Vercel AI SDK looks for, and mid-stream Anthropic's own
//! SDKs skip an error whose event has no name. The inner type is all that they learn from a stream,
//! since the status was 200: it must be right by itself.

use super::{
    Dialect, Seen, View, data_event,
    members::{Word, close, member, written},
};
use crate::error::Category;
use http::{HeaderValue, header::HeaderName, response};

/// The error object of the Anthropic API, and the header `request-id`; mid-stream `event: error`.
///
/// `request_id` is left out where it is not known; a header the answer already has is kept.
///
/// Source: `docs.anthropic.com/en/api/errors`; anthropic 2.11, @anthropic-ai/sdk 1.11.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn survives_comments(&self) -> bool {
        true
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        envelope(view, true)
    }

    fn head(&self, view: &View<'_>, parts: &mut response::Parts) {
        let safe = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic());
        let id = view.request_id().filter(|id| safe(id));
        let id = id.and_then(|id| HeaderValue::from_str(&id).ok());
        if let Some(id) = id {
            parts.headers.entry(HeaderName::from_static("request-id")).or_insert(id);
        }
    }

    fn last_word(&self, view: &View<'_>, _: &Seen<'_>) -> Vec<u8> {
        data_event(Some("error"), &self.body(view))
    }
}

/// The body without a member of ours, for systems that are reproduced exactly.
pub(super) fn bare_body(view: &View<'_>) -> Vec<u8> {
    envelope(view, false)
}

fn envelope(view: &View<'_>, with_ours: bool) -> Vec<u8> {
    written(|out| {
        out.push(b'{');
        member!(out, "type", Word("error"));
        out.extend_from_slice(b"\"error\":{");
        member!(out, "type", Word(kind(view)));
        member!(out, "message", view.text());
        if with_ours {
            view.write_extensions(out);
        }
        close(out);
        out.push(b',');
        if let Some(id) = view.request_id().filter(|_| with_ours) {
            member!(out, "request_id", &*id);
        }
        close(out);
    })
}

/// Anthropic's type for an error.
fn kind(view: &View<'_>) -> &'static str {
    match view.category() {
        Category::Authentication => "authentication_error",
        Category::Permission => "permission_error",
        // Nothing worth retrying may say "invalid".
        Category::InvalidRequest
        | Category::ContextLengthExceeded
        | Category::ContentFilter
        | Category::Unsupported
            if !view.is_retryable() =>
        {
            "invalid_request_error"
        }
        Category::RequestTooLarge => "request_too_large",
        Category::ModelNotFound | Category::NotFound => "not_found_error",
        Category::QuotaExhausted if view.status() == 402 => "billing_error",
        Category::RateLimited | Category::QuotaExhausted => "rate_limit_error",
        Category::Overloaded | Category::ModelNotReady => "overloaded_error",
        Category::Timeout => "timeout_error",
        Category::Conflict => "conflict_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::{
            Client, Disclosure,
            tests::{FULL_EXTENSIONS, body, full, last_word},
        },
        error::InferenceError,
        head::RequestHead,
    };
    use http::{Request, Response, StatusCode};

    #[test]
    fn the_error_object_is_exact() {
        assert_eq!(
            body(&Anthropic, &InferenceError::new(Category::NotFound, "no"), None),
            concat!(
                r#"{"type":"error","error":{"type":"not_found_error","message":"no","#,
                r#""category":"not_found","retryable":false,"provider_status":null,"model":null,"#,
                r#""origin":"upstream"}}"#
            )
        );
        let object = format!(
            r#"{{"type":"error","error":{{"type":"overloaded_error","message":"it broke","category":"overloaded","retryable":true,{FULL_EXTENSIONS}}},"request_id":"req_1"}}"#
        );
        let error = full(Category::Overloaded);
        assert_eq!(body(&Anthropic, &error, None), object);
        assert_eq!(
            last_word(&Anthropic, &error, None, &Seen::default()),
            format!("event: error\ndata: {object}\n\n")
        );
    }

    fn shown_kind(error: &InferenceError) -> String {
        let value: serde_json::Value =
            serde_json::from_str(&body(&Anthropic, error, None)).unwrap();
        value["error"]["type"].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_category_has_its_type() {
        let table = [
            (Category::Authentication, "authentication_error"),
            (Category::Permission, "permission_error"),
            (Category::InvalidRequest, "invalid_request_error"),
            (Category::ContextLengthExceeded, "invalid_request_error"),
            (Category::ContentFilter, "invalid_request_error"),
            (Category::RequestTooLarge, "request_too_large"),
            (Category::ModelNotFound, "not_found_error"),
            (Category::NotFound, "not_found_error"),
            (Category::RateLimited, "rate_limit_error"),
            (Category::QuotaExhausted, "rate_limit_error"),
            (Category::Overloaded, "overloaded_error"),
            (Category::ModelNotReady, "overloaded_error"),
            (Category::Timeout, "timeout_error"),
            (Category::Conflict, "conflict_error"),
            (Category::Unsupported, "invalid_request_error"),
            (Category::Cancelled, "api_error"),
            (Category::UpstreamError, "api_error"),
            (Category::Unknown, "api_error"),
        ];
        assert_eq!(table.map(|(category, _)| category), Category::ALL);
        for (category, kind) in table {
            assert_eq!(shown_kind(&InferenceError::new(category, "")), kind, "{category}");
        }
    }

    #[test]
    fn a_quota_with_its_own_status_is_a_matter_of_billing() {
        let error = InferenceError::new(Category::QuotaExhausted, "pay")
            .with_provider_status(StatusCode::PAYMENT_REQUIRED);
        assert_eq!(shown_kind(&error), "billing_error");
    }

    // U6
    #[test]
    fn the_request_id_becomes_a_header_where_it_can() {
        let request = Request::post("/v1/messages").body(()).unwrap();
        let client = Client::of(RequestHead::of(&request));
        let answer = |error: InferenceError, there: Option<&str>| {
            let mut old = Response::new(());
            if let Some(there) = there {
                old.headers_mut().insert("request-id", there.parse().unwrap());
            }
            let old = old.into_parts().0;
            let answer = client.replace(old, error, &Anthropic, &Disclosure::default());
            answer.headers().get("request-id").cloned()
        };
        let error = || InferenceError::new(Category::Timeout, "late");
        assert_eq!(answer(error(), None), None);
        assert_eq!(answer(error().with_request_id("req_1"), None).unwrap(), "req_1");
        assert_eq!(answer(error().with_request_id("req_1\r\nx: y"), None), None);
        assert_eq!(answer(error().with_request_id("réq"), None), None);
        assert_eq!(answer(error().with_request_id(""), None), None);
        assert_eq!(answer(error().with_request_id("req_1"), Some("req_0")).unwrap(), "req_0");
    }
}
