//! gRPC: the status in the trailers, which come at once, as headers.

use super::{Dialect, Seen, View};
use crate::error::Category;
use http::{HeaderValue, StatusCode, response};
use std::fmt::Write;

/// A trailers-only answer: HTTP 200, no body, `grpc-status` and `grpc-message`.
///
/// Source: gRPC over HTTP/2, "Responses"; the codes are those of `google.rpc.Code`.
#[derive(Clone, Copy, Debug)]
pub struct Grpc;

impl Dialect for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn content_type(&self) -> &'static str {
        "application/grpc"
    }

    fn body(&self, _: &View<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn head(&self, view: &View<'_>, parts: &mut response::Parts) {
        parts.status = StatusCode::OK;
        parts.headers.insert("grpc-status", code(view.category()).into());
        let message = HeaderValue::try_from(percent_encode(view.message()))
            .expect("percent-encoded text is visible ASCII");
        parts.headers.insert("grpc-message", message);
    }

    fn last_word(&self, _: &View<'_>, _: &Seen<'_>) -> Vec<u8> {
        Vec::new()
    }
}

fn code(category: Category) -> u16 {
    match category {
        Category::Cancelled => 1,
        Category::Unknown => 2,
        Category::InvalidRequest
        | Category::ContextLengthExceeded
        | Category::ContentFilter
        | Category::RequestTooLarge => 3,
        Category::Timeout => 4,
        Category::ModelNotFound | Category::NotFound => 5,
        Category::Permission => 7,
        Category::RateLimited | Category::QuotaExhausted => 8,
        Category::Conflict => 10,
        Category::Unsupported => 12,
        Category::UpstreamError => 13,
        Category::Overloaded | Category::ModelNotReady => 14,
        Category::Authentication => 16,
    }
}

/// Everything but visible ASCII, and the percent sign, as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // U6
    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encode("50% é\n"), "50%25 %C3%A9%0A");
    }
}
