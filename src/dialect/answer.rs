//! An error as a whole answer: status, headers and body.
//!
//! The rules that hold for every dialect stand here, so that no dialect can forget one.

use super::{Client, Dialect, Disclosure, View, client::Kind};
use crate::error::{InferenceError, Origin, redact};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, response};
use std::{borrow::Cow, sync::LazyLock};

/// Headers that describe the body they came with, or ask for a retry: they go when the body goes.
static OF_THE_OLD_BODY: [HeaderName; 23] = [
    header::ACCEPT_RANGES,
    header::AGE,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
    X_SHOULD_RETRY,
];

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const FALSE: HeaderValue = HeaderValue::from_static("false");
const DIGITS: &str = "0123456789";

/// The headers of most answers: without a wait, and with each number of seconds of one digit. A copy of
/// all of them costs what two cost that are inserted.
static USUAL: LazyLock<[HeaderMap; 1 + DIGITS.len()]> = LazyLock::new(|| {
    std::array::from_fn(|n| {
        let wait = (n > 0).then(|| HeaderValue::from_static(&DIGITS[n - 1..n]));
        let others = [
            (X_SHOULD_RETRY, TRUE),
            (header::CONTENT_TYPE, JSON),
            (header::CACHE_CONTROL, NO_STORE),
            (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
        ];
        wait.map(|wait| (header::RETRY_AFTER, wait)).into_iter().chain(others).collect()
    })
});

/// The usual headers with this wait, in seconds.
fn usual(wait: Option<u64>) -> Option<&'static HeaderMap> {
    match wait {
        None => USUAL.first(),
        Some(seconds) => USUAL.get(usize::try_from(seconds).ok()?.checked_add(1)?),
    }
}

impl Client {
    /// This error as an answer of ours, in `dialect`: see [`replace`](Self::replace).
    #[must_use]
    pub fn answer(
        self,
        error: InferenceError,
        dialect: &dyn Dialect,
        disclosure: &Disclosure,
    ) -> Response<Bytes> {
        let (parts, ()) = Response::new(()).into_parts();
        self.replace(parts, error, dialect, disclosure)
    }

    /// This error in place of the answer with the head `parts`.
    ///
    /// Headers that say nothing about the old body survive: request ids, rate limits, cookies; all but
    /// the cookies are [redacted](crate::error::redact()) as the message is. The error is left in the
    /// extensions. A request for the head alone gets no body, an upgrade a
    /// bare 503, gRPC a status in the trailers.
    #[must_use]
    pub fn replace(
        self,
        mut parts: response::Parts,
        error: InferenceError,
        dialect: &dyn Dialect,
        disclosure: &Disclosure,
    ) -> Response<Bytes> {
        let dialect = if self.kind() == Kind::Grpc { &super::Grpc } else { dialect };
        if !parts.headers.is_empty() {
            for name in &OF_THE_OLD_BODY {
                parts.headers.remove(name);
            }
            if disclosure.is_redacting() {
                redact_values(&mut parts.headers);
            }
        }
        let view = View::of(&error, self.operation(), disclosure);
        parts.status = view.status();
        let wait = view.retry_after();
        let usual =
            usual(wait).filter(|_| self.kind() != Kind::Upgrade && parts.headers.is_empty());
        match usual {
            Some(usual) => parts.headers = usual.clone(),
            None => {
                if let Some(seconds) = wait {
                    parts.headers.insert(header::RETRY_AFTER, seconds.into());
                }
            }
        }
        // For the SDKs that would retry a permanent failure by its status alone (openai and anthropic,
        // Python and Node).
        if usual.is_none() || !view.should_retry() {
            let verdict = if view.should_retry() { TRUE } else { FALSE };
            parts.headers.insert(X_SHOULD_RETRY, verdict);
        }
        let body = match self.kind() {
            Kind::Upgrade => {
                parts.status = match error.origin() {
                    Origin::Readiness => StatusCode::SERVICE_UNAVAILABLE,
                    _ => parts.status,
                };
                parts.headers.remove(header::CONTENT_TYPE);
                Bytes::new()
            }
            kind => {
                let content_type = dialect.content_type();
                if usual.is_none() || JSON != content_type {
                    let content_type = HeaderValue::from_static(content_type);
                    parts.headers.insert(header::CONTENT_TYPE, content_type);
                }
                if usual.is_none() {
                    parts.headers.insert(header::CACHE_CONTROL, NO_STORE);
                    parts.headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
                }
                dialect.head(&view, &mut parts);
                let body = dialect.body(&view);
                if kind == Kind::Head {
                    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
                    Bytes::new()
                } else {
                    body.into()
                }
            }
        };
        let name = dialect.name();
        parts.extensions.insert(error.with_rendered_in(name));
        Response::from_parts(parts, body)
    }
}

/// Takes out of the upstream's headers what a message may not hold either. Cookies are the client's own.
fn redact_values(headers: &mut HeaderMap) {
    for (_, value) in headers.iter_mut().filter(|(name, _)| *name != header::SET_COOKIE) {
        let text = String::from_utf8_lossy(value.as_bytes());
        if let Cow::Owned(redacted) = redact(&text) {
            let nothing = || HeaderValue::from_static("");
            *value = HeaderValue::from_str(&redacted).unwrap_or_else(|_| nothing());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialect::OpenAi, error::Category, head::RequestHead};
    use http::{Method, Request};
    use std::time::Duration;

    fn client(request: http::request::Builder) -> Client {
        Client::of(RequestHead::of(&request.body(()).unwrap()))
    }

    fn chat(method: Method) -> Client {
        client(Request::builder().method(method).uri("/v1/chat/completions"))
    }

    fn error() -> InferenceError {
        InferenceError::new(Category::RateLimited, "slow down")
            .with_retry_after(Duration::from_millis(1500))
    }

    // H9
    #[test]
    fn what_described_the_old_body_goes_and_the_rest_survives() {
        let mut old = Response::builder().status(429);
        for name in &OF_THE_OLD_BODY {
            old = old.header(name, "0");
        }
        let old = old
            .header("x-request-id", "req_1")
            .header("x-ratelimit-limit-requests", "10")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2");
        let (parts, ()) = old.body(()).unwrap().into_parts();
        let new = chat(Method::POST).replace(parts, error(), &OpenAi, &Disclosure::default());
        let mut names: Vec<_> =
            new.headers().iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                ("cache-control", "no-store"),
                ("content-type", "application/json"),
                ("retry-after", "2"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("x-content-type-options", "nosniff"),
                ("x-ratelimit-limit-requests", "10"),
                ("x-request-id", "req_1"),
                ("x-should-retry", "true"),
            ]
        );
    }

    #[test]
    fn headers_are_redacted_but_for_cookies() {
        let kept = [
            ("www-authenticate", "Bearer realm=\"api\", error=\"invalid_token\""),
            ("x-request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
            ("request-id", "0f8fad5b-d9cb-469f-a165-70867728950e"),
            ("cf-ray", "8f3c2d1e0a9b7c6d-FRA"),
            ("via", "1.1 google, 1.1 varnish (Varnish/7.4)"),
            ("set-cookie", "__cf_bm=sk-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL; Path=/"),
            ("x-amzn-errortype", "ThrottlingException"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        let hidden = ("x-upstream", "http://10.1.2.3:8000/v1");
        let old = kept
            .into_iter()
            .chain([hidden])
            .fold(Response::builder(), |old, (name, value)| old.header(name, value));
        let (parts, ()) = old.body(()).unwrap().into_parts();
        let new = chat(Method::POST).replace(parts, error(), &OpenAi, &Disclosure::default());
        for (name, value) in kept {
            assert_eq!(new.headers()[name], value);
        }
        assert_eq!(new.headers()["x-upstream"], "[redacted]/v1");
    }

    #[test]
    fn the_error_is_left_in_the_extensions_with_its_dialect() {
        let answer = chat(Method::POST).answer(error(), &OpenAi, &Disclosure::default());
        let error = answer.extensions().get::<InferenceError>().unwrap();
        assert_eq!(error.category(), Category::RateLimited);
        assert_eq!(error.rendered_in(), Some("openai"));
    }

    #[test]
    fn a_request_for_the_head_gets_the_head_alone() {
        let whole = chat(Method::POST).answer(error(), &OpenAi, &Disclosure::default());
        let head = chat(Method::HEAD).answer(error(), &OpenAi, &Disclosure::default());
        assert_eq!(head.status(), 429);
        assert!(head.body().is_empty());
        assert_eq!(head.headers()["content-length"], whole.body().len().to_string());
    }

    #[test]
    fn an_upgrade_gets_a_bare_503() {
        let upgrade = client(Request::get("/v1/realtime").header("upgrade", "websocket"));
        let error = error().with_origin(Origin::Readiness);
        let old = Response::builder().header("content-type", "text/html").body(()).unwrap();
        let answer = upgrade.replace(old.into_parts().0, error, &OpenAi, &Disclosure::default());
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "2");
        assert!(answer.body().is_empty() && !answer.headers().contains_key("content-type"));
    }

    #[test]
    fn grpc_gets_a_status_in_the_trailers() {
        let grpc = client(Request::post("/pkg.Svc/M").header("content-type", "application/grpc"));
        let answer = grpc.answer(error(), &OpenAi, &Disclosure::default());
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["grpc-status"], "8");
        assert!(answer.body().is_empty());
    }

    // U6
    #[test]
    fn every_byte_in_a_message_yields_the_same_headers() {
        for byte in 0..=255_u8 {
            let error =
                InferenceError::new(Category::UpstreamError, format!("a{}b", char::from(byte)));
            let answer = chat(Method::POST).answer(error, &OpenAi, &Disclosure::default());
            assert_eq!(answer.headers().len(), 4, "byte {byte}");
            assert_eq!(
                serde_json::from_slice::<serde_json::Value>(answer.body()).unwrap()["error"]["message"],
                format!("a{}b", char::from(byte))
            );
        }
    }
}
