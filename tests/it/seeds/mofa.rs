//! MoFA, pull request 1340: a rejection by the orchestrator is a 503, not a 200 with a text.

use crate::support::{Answer, always, json, post, send, stack, stack_in};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use std::{convert::Infallible, future::ready};
use tower::{Service, service_fn};
use tower_inference::{Category, InferenceError, ModelRegistry, RequestBody, dialect};

const PATH: &str = "/v1/chat/completions";
const REASON: &str = "Local admission rejected for 'mofa-local' (7168MB required) and cloud fallback is disabled (LocalOnly policy)";
const ASK: &str = r#"{"model":"mofa-local","messages":[{"role":"user","content":"hi"}]}"#;
const ASK_STREAM: &str =
    r#"{"model":"mofa-local","messages":[{"role":"user","content":"hi"}],"stream":true}"#;

fn exact(message: &str, kind: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}","type":"{kind}","code":null}}}}"#)
}

fn routed(mut answer: Response<Full<Bytes>>, backend: &[u8]) -> Response<Full<Bytes>> {
    let backend = HeaderValue::from_bytes(backend).expect("the backend is a header");
    answer.headers_mut().insert("x-mofa-backend", backend);
    answer.headers_mut().insert("x-mofa-latency-ms", HeaderValue::from_static("12"));
    answer
}

fn rejected() -> String {
    format!("rejected({REASON})")
}

/// The rejection of today.
fn refusal() -> Response<Full<Bytes>> {
    routed(json(503, &exact(REASON, "server_error")), rejected().as_bytes())
}

/// The same before the pull request: the assistant says it.
fn completion_that_talks_about_it() -> Response<Full<Bytes>> {
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"[rejected] {REASON}"}},"finish_reason":"stop"}}]}}"#
    );
    routed(json(200, &body), rejected().as_bytes())
}

fn stream_that_talks_about_it() -> Response<Full<Bytes>> {
    let body = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"[rejected] {REASON}\"}}}}]}}\n\ndata: [DONE]\n\n"
    );
    let mut answer = routed(json(200, &body), rejected().as_bytes());
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
    answer
}

/// A handler that leaves the rejection to the layer.
fn typed() -> Response<Full<Bytes>> {
    let mut answer = routed(json(200, ""), rejected().as_bytes());
    answer.extensions_mut().insert(InferenceError::new(Category::Overloaded, REASON));
    answer
}

const REJECTIONS: [fn() -> Response<Full<Bytes>>; 4] =
    [refusal, completion_that_talks_about_it, stream_that_talks_about_it, typed];

async fn default(inner: fn() -> Response<Full<Bytes>>, ask: &str) -> Answer {
    send(&stack(ModelRegistry::new(), always(inner)), post(PATH, ask)).await
}

async fn mofa(inner: fn() -> Response<Full<Bytes>>, ask: &str) -> Answer {
    let service = stack_in(dialect::Mofa, ModelRegistry::new(), always(inner));
    send(&service, post(PATH, ask)).await
}

// M1 M2
#[tokio::test]
async fn a_rejection_is_a_503_streamed_or_not() {
    for inner in REJECTIONS {
        for ask in [ASK, ASK_STREAM] {
            for answer in [default(inner, ask).await, mofa(inner, ask).await] {
                assert_eq!(answer.status(), 503, "{answer:?}");
                assert_eq!(answer.error().category(), Category::Overloaded);
            }
        }
    }
}

// M2
#[tokio::test]
async fn a_rejected_stream_is_decided_before_its_first_byte() {
    for inner in REJECTIONS {
        for answer in [default(inner, ASK_STREAM).await, mofa(inner, ASK_STREAM).await] {
            assert_eq!(answer.header("content-type"), "application/json");
            assert!(!answer.text().contains("data:") && !answer.text().contains("[DONE]"));
            assert_eq!(answer.json()["error"]["message"], REASON);
        }
    }
}

// M3
#[tokio::test]
async fn the_body_is_exact() {
    for inner in REJECTIONS {
        assert_eq!(mofa(inner, ASK).await.text(), exact(REASON, "server_error"));
    }
}

// M4
#[tokio::test]
async fn no_success_carries_the_rejection() {
    for inner in [completion_that_talks_about_it, stream_that_talks_about_it] {
        for ask in [ASK, ASK_STREAM] {
            for answer in [default(inner, ask).await, mofa(inner, ask).await] {
                assert!(!answer.status().is_success());
                assert!(!answer.text().contains("[rejected]"), "{}", answer.text());
            }
        }
    }
}

// M4
#[tokio::test]
async fn a_model_may_say_the_word_while_the_header_says_that_it_ran() {
    const BODY: &str = r#"{"object":"chat.completion","choices":[{"message":{"content":"[rejected] is a word"}}]}"#;
    let answer = mofa(|| routed(json(200, BODY), b"local(mofa-local)"), ASK).await;
    assert_eq!((answer.status().as_u16(), answer.text()), (200, BODY));
}

// M5 M7
#[tokio::test]
async fn the_diagnostic_headers_survive_a_rejection() {
    for inner in REJECTIONS {
        for answer in [default(inner, ASK).await, mofa(inner, ASK).await] {
            assert_eq!(answer.header("x-mofa-backend"), rejected());
            assert_eq!(answer.header("x-mofa-latency-ms"), "12");
        }
    }
}

// M5
#[tokio::test]
async fn the_diagnostic_headers_survive_success() {
    let backends: [fn() -> Response<Full<Bytes>>; 3] = [
        || routed(json(200, "{}"), b"local(mofa-local)"),
        || routed(json(200, "{}"), b"local-degraded(mofa-local, Q4)"),
        || routed(json(200, "{}"), b"cloud(openai)"),
    ];
    for inner in backends {
        let (sent, answer) = (inner(), mofa(inner, ASK).await);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers(), sent.headers());
        assert_eq!(answer.text(), "{}");
    }
}

// M6
#[tokio::test]
async fn a_reason_that_is_no_header_value_is_still_answered() {
    const RAW: &str = "no memory\r\nx-evil: 1\u{1}\u{7f} \"sorry\" \\ é";
    let typed = || {
        let mut answer = json(200, "");
        answer.extensions_mut().insert(InferenceError::new(Category::Overloaded, RAW));
        answer
    };
    for answer in [default(typed, ASK).await, mofa(typed, ASK).await] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.json()["error"]["message"], RAW);
        assert!(!answer.headers().contains_key("x-evil"));
    }
}

// M6
#[tokio::test]
async fn a_refusal_whose_header_vanished_is_still_answered() {
    let bare = || json(503, &exact("no memory\\nfor é", "server_error"));
    for answer in [default(bare, ASK).await, mofa(bare, ASK).await] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.json()["error"]["message"], "no memory for é");
    }
}

async fn assert_reason_beyond_ascii_is_shown(status: u16) {
    const REASON: &str = "mémoire insuffisante";
    let inner = always(move || {
        let body = exact(REASON, "server_error");
        routed(json(status, &body), format!("rejected({REASON})").as_bytes())
    });
    let service = stack_in(dialect::Mofa, ModelRegistry::new(), inner);
    let answer = send(&service, post(PATH, ASK)).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text(), exact(REASON, "server_error"));
    assert!(answer.headers().contains_key("x-mofa-backend"));
}

// M6
#[tokio::test]
async fn a_refusal_with_a_reason_beyond_ascii_is_answered() {
    assert_reason_beyond_ascii_is_shown(503).await;
}

// M4 M6
#[tokio::test]
async fn a_success_with_a_reason_beyond_ascii_is_a_rejection() {
    assert_reason_beyond_ascii_is_shown(200).await;
}

/// MoFA's handler, whose orchestrator rejects everything: key, rate, request, then backend.
fn gateway()
-> impl Service<Request<RequestBody<Full<Bytes>>>, Response = Response<Full<Bytes>>, Error = Infallible>
+ Clone {
    service_fn(|request: Request<RequestBody<Full<Bytes>>>| {
        let has = |name: &str| request.headers().contains_key(name);
        ready(Ok(if !has("authorization") {
            json(401, &exact(KEY, "authentication_error"))
        } else if has("x-too-fast") {
            json(429, &exact(RATE, "rate_limit_error"))
        } else if has("x-empty") {
            json(400, &exact(EMPTY, "invalid_request_error"))
        } else {
            refusal()
        }))
    })
}

const KEY: &str = "Invalid API key provided";
const RATE: &str = "Rate limit exceeded. Please slow down your requests.";
const EMPTY: &str = "messages must not be empty";

// M8
#[tokio::test]
async fn a_rejected_backend_hides_neither_key_nor_rate_nor_request() {
    let table: [(&[&str], u16, &str, &str, Category); 4] = [
        (&["x-too-fast", "x-empty"], 401, KEY, "authentication_error", Category::Authentication),
        (
            &["authorization", "x-too-fast", "x-empty"],
            429,
            RATE,
            "rate_limit_error",
            Category::RateLimited,
        ),
        (
            &["authorization", "x-empty"],
            400,
            EMPTY,
            "invalid_request_error",
            Category::InvalidRequest,
        ),
        (&["authorization"], 503, REASON, "server_error", Category::Overloaded),
    ];
    let exactly = stack_in(dialect::Mofa, ModelRegistry::new(), gateway());
    let default = stack(ModelRegistry::new(), gateway());
    for (headers, status, message, kind, category) in table {
        let request = || {
            let mut request = post(PATH, ASK);
            for header in headers {
                let name = http::HeaderName::from_static(header);
                request.headers_mut().insert(name, HeaderValue::from_static("1"));
            }
            request
        };
        let answer = send(&exactly, request()).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.text(), exact(message, kind));
        let answer = send(&default, request()).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.error().category(), category);
        assert_eq!(answer.json()["error"]["message"], message);
    }
}
