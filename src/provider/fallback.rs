//! What is left when nobody recognises a body: the status alone.

use super::{Failure, Provider};
use crate::error::{Category, InferenceError};

/// Knows only the status, and always answers.
///
/// | status | category |
/// |---|---|
/// | 400, 411, 412, 414, 416, 422, 431 | invalid request |
/// | 401, 407 | authentication |
/// | 402 | quota exhausted |
/// | 403, 451 | permission |
/// | 404, 410 | not found |
/// | 405, 406, 415, 501 | unsupported |
/// | 408, 504, 522, 524 | timeout |
/// | 409, 423 | conflict |
/// | 413 | request too large |
/// | 429 | rate limited |
/// | 499 | cancelled |
/// | 503, 529 | overloaded |
/// | other 5xx, 424, none | upstream error |
/// | other | unknown |
#[derive(Clone, Copy, Debug)]
pub struct Fallback;

impl Provider for Fallback {
    fn name(&self) -> &'static str {
        "unknown"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        Some(read(failure))
    }
}

pub(super) fn read(failure: &Failure<'_>) -> InferenceError {
    failure.error(&Fallback, category(failure.code()), &message(failure))
}

/// A sentence for those who said none.
pub(super) fn message(failure: &Failure<'_>) -> String {
    match failure.status().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("the upstream answered {} {reason}", failure.code()),
        None if failure.code() > 0 => format!("the upstream answered {}", failure.code()),
        None => "the upstream failed without saying why".to_owned(),
    }
}

/// The category of a status, 0 for none.
pub(super) fn category(status: u16) -> Category {
    match status {
        400 | 411 | 412 | 414 | 416 | 422 | 431 => Category::InvalidRequest,
        401 | 407 => Category::Authentication,
        402 => Category::QuotaExhausted,
        403 | 451 => Category::Permission,
        404 | 410 => Category::NotFound,
        405 | 406 | 415 | 501 => Category::Unsupported,
        408 | 504 | 522 | 524 => Category::Timeout,
        409 | 423 => Category::Conflict,
        413 => Category::RequestTooLarge,
        429 => Category::RateLimited,
        499 => Category::Cancelled,
        503 | 529 => Category::Overloaded,
        0 | 424 | 500..=599 => Category::UpstreamError,
        _ => Category::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    #[test]
    fn every_status_gets_an_answer_with_its_own_code_where_possible() {
        let headers = HeaderMap::new();
        for code in 400..600 {
            let status = StatusCode::from_u16(code).unwrap();
            let error = read(&Failure::of_answer(status, &headers, b""));
            assert_eq!(error.provider_status(), Some(status));
            assert!(error.status().is_client_error() || error.status().is_server_error());
            assert!(error.message().contains(&code.to_string()));
        }
    }

    #[test]
    fn an_event_without_a_word_is_an_upstream_error() {
        assert_eq!(read(&Failure::of_event(b"")).category(), Category::UpstreamError);
    }
}
