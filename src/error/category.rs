//! What went wrong: one of 18 values, each with a status and a verdict on retrying.

use http::StatusCode;
use std::fmt;

/// What went wrong, in words that every provider's failures can be sorted into.
///
/// A category answers the two questions a client has: *which status does this deserve* and *may the
/// very same request succeed later*. How it is spelled on the wire is the business of each
/// [dialect](crate::dialect).
///
/// | category | status | also kept | retryable |
/// |---|---|---|---|
/// | [`Authentication`](Self::Authentication) | 401 | | no |
/// | [`Permission`](Self::Permission) | 403 | 451 | no |
/// | [`InvalidRequest`](Self::InvalidRequest) | 400 | 411 412 414 416 422 431 | no |
/// | [`ContextLengthExceeded`](Self::ContextLengthExceeded) | 400 | | no |
/// | [`ContentFilter`](Self::ContentFilter) | 400 | 403 | no |
/// | [`RequestTooLarge`](Self::RequestTooLarge) | 413 | | no |
/// | [`ModelNotFound`](Self::ModelNotFound) | 404 | 410 | no |
/// | [`NotFound`](Self::NotFound) | 404 | 410 | no |
/// | [`RateLimited`](Self::RateLimited) | 429 | | yes |
/// | [`QuotaExhausted`](Self::QuotaExhausted) | 429 | 402 | no |
/// | [`Overloaded`](Self::Overloaded) | 503 | 529 | yes |
/// | [`ModelNotReady`](Self::ModelNotReady) | 503 | | yes |
/// | [`Timeout`](Self::Timeout) | 504 | 408 | yes |
/// | [`Conflict`](Self::Conflict) | 409 | | yes |
/// | [`Unsupported`](Self::Unsupported) | 501 | 405 406 415 | no |
/// | [`Cancelled`](Self::Cancelled) | 499 | | no |
/// | [`UpstreamError`](Self::UpstreamError) | 502 | 500 | yes |
/// | [`Unknown`](Self::Unknown) | 502 | any 4xx and 5xx | no |
///
/// # Example: the status a client sees
///
/// ```
/// use http::StatusCode;
/// use tower_inference::Category;
///
/// assert_eq!(Category::Overloaded.status(), 503);
/// // A provider's own 529 says the same, more precisely, and is kept.
/// assert!(Category::Overloaded.keeps(StatusCode::from_u16(529)?));
/// assert!(!Category::Overloaded.keeps(StatusCode::INTERNAL_SERVER_ERROR));
/// # Ok::<(), http::status::InvalidStatusCode>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Category {
    /// The credentials are missing, malformed, expired or wrong.
    Authentication,
    /// The credentials are good, but do not allow this.
    Permission,
    /// The request is malformed, or asks for something that cannot be.
    InvalidRequest,
    /// The prompt, or the prompt and the answer asked for, exceed the model's context.
    ContextLengthExceeded,
    /// A safety system refused the prompt or the answer.
    ContentFilter,
    /// The request's body has too many bytes.
    RequestTooLarge,
    /// There is no such model, or not for this caller.
    ModelNotFound,
    /// There is no such route or resource.
    NotFound,
    /// Too many requests or tokens in too short a time.
    RateLimited,
    /// No money or allowance is left: waiting does not help.
    QuotaExhausted,
    /// The service is there, but has no capacity right now.
    Overloaded,
    /// The model is known, but not ready to serve: starting, incomplete, draining or failed.
    ModelNotReady,
    /// No answer came in time.
    Timeout,
    /// The request collided with another one.
    Conflict,
    /// The method, media type or feature is not supported.
    Unsupported,
    /// The caller went away.
    Cancelled,
    /// The upstream failed, or answered something that is no answer.
    UpstreamError,
    /// A failure that nothing is known about.
    Unknown,
}

impl Category {
    /// All categories, in the order of the table above.
    pub const ALL: [Self; 18] = [
        Self::Authentication,
        Self::Permission,
        Self::InvalidRequest,
        Self::ContextLengthExceeded,
        Self::ContentFilter,
        Self::RequestTooLarge,
        Self::ModelNotFound,
        Self::NotFound,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::Overloaded,
        Self::ModelNotReady,
        Self::Timeout,
        Self::Conflict,
        Self::Unsupported,
        Self::Cancelled,
        Self::UpstreamError,
        Self::Unknown,
    ];

    /// The name in snake case, as it is written into answers: `"rate_limited"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::InvalidRequest => "invalid_request",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::ContentFilter => "content_filter",
            Self::RequestTooLarge => "request_too_large",
            Self::ModelNotFound => "model_not_found",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::ModelNotReady => "model_not_ready",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
            Self::UpstreamError => "upstream_error",
            Self::Unknown => "unknown",
        }
    }

    /// The category of this [name](Self::as_str), if there is one.
    ///
    /// ```
    /// use tower_inference::Category;
    ///
    /// assert_eq!(Category::from_name("timeout"), Some(Category::Timeout));
    /// assert_eq!(Category::from_name("Timeout"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == name)
    }

    /// The status a client sees, unless the provider's own status [says the same](Self::keeps).
    #[must_use]
    pub fn status(self) -> StatusCode {
        let code = match self {
            Self::InvalidRequest | Self::ContextLengthExceeded | Self::ContentFilter => 400,
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::ModelNotFound | Self::NotFound => 404,
            Self::Conflict => 409,
            Self::RequestTooLarge => 413,
            Self::RateLimited | Self::QuotaExhausted => 429,
            Self::Cancelled => 499,
            Self::Unsupported => 501,
            Self::UpstreamError | Self::Unknown => 502,
            Self::Overloaded | Self::ModelNotReady => 503,
            Self::Timeout => 504,
        };
        StatusCode::from_u16(code).expect("the codes above are all between 100 and 999")
    }

    /// Whether a provider's status is kept in an answer of this category, because it says the same
    /// as [`status`](Self::status) or more.
    #[must_use]
    pub fn keeps(self, provider_status: StatusCode) -> bool {
        let code = provider_status.as_u16();
        provider_status == self.status()
            || match self {
                Self::Permission => code == 451,
                Self::InvalidRequest => matches!(code, 411 | 412 | 414 | 416 | 422 | 431),
                Self::ContentFilter => code == 403,
                Self::ModelNotFound | Self::NotFound => code == 410,
                Self::QuotaExhausted => code == 402,
                Self::Overloaded => code == 529,
                Self::Timeout => code == 408,
                Self::Unsupported => matches!(code, 405 | 406 | 415),
                Self::UpstreamError => code == 500,
                Self::Unknown => matches!(code, 400..=599),
                _ => false,
            }
    }

    /// Whether the very same request may succeed later.
    ///
    /// This is the rule for the category; a provider that knows better overrides it for one error:
    /// see [`InferenceError::is_retryable`](crate::InferenceError::is_retryable).
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Overloaded
                | Self::ModelNotReady
                | Self::Timeout
                | Self::Conflict
                | Self::UpstreamError
        )
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_round_trip() {
        for category in Category::ALL {
            assert_eq!(Category::from_name(category.as_str()), Some(category));
        }
    }

    #[test]
    fn a_category_keeps_its_own_status() {
        for category in Category::ALL {
            assert!(category.keeps(category.status()), "{category}");
            assert!(!category.keeps(StatusCode::OK), "{category}");
        }
    }

    #[test]
    fn statuses_and_verdicts_follow_the_table() {
        // category, status, also kept, retryable
        let table = [
            (Category::Authentication, 401, &[][..], false),
            (Category::Permission, 403, &[451], false),
            (Category::InvalidRequest, 400, &[411, 412, 414, 416, 422, 431], false),
            (Category::ContextLengthExceeded, 400, &[], false),
            (Category::ContentFilter, 400, &[403], false),
            (Category::RequestTooLarge, 413, &[], false),
            (Category::ModelNotFound, 404, &[410], false),
            (Category::NotFound, 404, &[410], false),
            (Category::RateLimited, 429, &[], true),
            (Category::QuotaExhausted, 429, &[402], false),
            (Category::Overloaded, 503, &[529], true),
            (Category::ModelNotReady, 503, &[], true),
            (Category::Timeout, 504, &[408], true),
            (Category::Conflict, 409, &[], true),
            (Category::Unsupported, 501, &[405, 406, 415], false),
            (Category::Cancelled, 499, &[], false),
            (Category::UpstreamError, 502, &[500], true),
        ];
        for (category, status, kept, retryable) in table {
            assert_eq!(category.status(), status, "{category}");
            assert_eq!(category.is_retryable(), retryable, "{category}");
            for code in 400..600 {
                let expected = code == status || kept.contains(&code);
                let code = StatusCode::from_u16(code).unwrap();
                assert_eq!(category.keeps(code), expected, "{category} {code}");
            }
        }
        assert!((400..600).all(|c| Category::Unknown.keeps(StatusCode::from_u16(c).unwrap())));
    }
}
