//! Tenstorrent's inference server, pull request 4274: 503 instead of 405 while a model warms up.

use crate::support::{always, json, post, send, stack, stack_in, untouched};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_inference::{
    Category, ErrorNormalizationLayer, ReadyFlag,
    dialect::{self, Disclosure, StatusPolicy},
    readiness::State,
};

const CHECK: &str = r#"{"detail":"Model is not ready"}"#;
const WARMING: &str = r#"{"detail":"Model is not ready: warming up"}"#;
const NO_WORKERS: &str = r#"{"detail":"Service unavailable: No workers available."}"#;
const QUEUE_FULL: &str = r#"{"detail":"Task queue is full. Please try again later."}"#;
const BUSY: &str = r#"{"detail":"Unable to queue request - system busy"}"#;
const INTERNAL: &str = r#"{"detail":"Internal error processing request"}"#;

/// Routes that queue their work without a check of their own.
const QUEUED: [&str; 2] = ["/v1/images/generations", "/v1/embeddings"];

/// Routes that check before they begin a stream.
const CHECKED: [&str; 4] =
    ["/v1/chat/completions", "/v1/completions", "/v1/audio/speech", "/v1/audio/transcriptions"];

/// Routes that check before they create a job, and are no API of the SDKs'.
const JOBS: [&str; 2] = ["/v1/videos/generations", "/v1/fine_tuning/jobs"];

/// The scheduler's two questions: the ready flag, then a worker.
fn scheduler(model: State, workers: State) -> (ReadyFlag, ReadyFlag) {
    let of = |state| {
        let flag = ReadyFlag::new();
        flag.set(state);
        flag
    };
    (of(model), of(workers))
}

fn ready() -> (ReadyFlag, ReadyFlag) {
    scheduler(State::Ready, State::Ready)
}

fn warming() -> (ReadyFlag, ReadyFlag) {
    scheduler(State::starting(), State::Ready)
}

// T1 T8
#[tokio::test]
async fn a_model_that_warms_up_is_a_503_that_says_so() {
    let service = stack_in(dialect::Detail, warming(), untouched());
    for path in QUEUED {
        let answer = send(&service, post(path, "{}")).await;
        assert_eq!((answer.status().as_u16(), answer.text()), (503, WARMING), "{path}");
    }
}

// T2 T8
#[tokio::test]
async fn without_a_ready_worker_the_ready_flag_does_not_help() {
    for workers in [State::Incomplete, State::Failed] {
        let probe = scheduler(State::Ready, workers);
        for path in QUEUED {
            let service = stack_in(dialect::Detail, probe.clone(), untouched());
            let answer = send(&service, post(path, "{}")).await;
            assert_eq!((answer.status().as_u16(), answer.text()), (503, NO_WORKERS), "{path}");
            let default = send(&stack(probe.clone(), untouched()), post(path, "{}")).await;
            assert_eq!(default.status(), 503, "{path}");
        }
    }
}

// T1 T2
#[tokio::test]
async fn the_ready_flag_is_asked_before_the_workers() {
    let probe = scheduler(State::starting(), State::Incomplete);
    let service = stack_in(dialect::Detail, probe, untouched());
    assert_eq!(send(&service, post(QUEUED[0], "{}")).await.text(), WARMING);
}

// T3
#[tokio::test]
async fn when_both_are_ready_the_request_proceeds() {
    const HEALTHY: &str = r#"{"images":["aGk="]}"#;
    let probe = warming();
    let service = stack_in(dialect::Detail, probe.clone(), always(|| json(200, HEALTHY)));
    assert_eq!(send(&service, post(QUEUED[0], "{}")).await.status(), 503);
    probe.0.set(State::Ready);
    let answer = send(&service, post(QUEUED[0], "{}")).await;
    assert_eq!((answer.status().as_u16(), answer.text()), (200, HEALTHY));
}

// T4
#[tokio::test]
async fn readiness_is_checked_before_the_queue() {
    for path in QUEUED.into_iter().chain(CHECKED) {
        let full = always(|| json(429, QUEUE_FULL));
        let answer = send(&stack(warming(), full), post(path, "{}")).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.error().category(), Category::ModelNotReady, "{path}");
    }
}

async fn assert_status_is_kept(status: u16, body: &'static str) {
    let raised = || always(move || json(status, body));
    let default = send(&stack(ready(), raised()), post(CHECKED[0], "{}")).await;
    let exact = stack_in(dialect::Detail, ready(), raised());
    let exact = send(&exact, post(CHECKED[0], "{}")).await;
    for answer in [default, exact] {
        assert_eq!(answer.status(), status, "{body}");
        assert_eq!(answer.error().provider_status(), StatusCode::from_u16(status).ok(), "{body}");
    }
}

// T4 T5
#[tokio::test]
async fn a_full_queue_keeps_its_429_where_the_status_is_the_providers() {
    for body in [QUEUE_FULL, BUSY] {
        let exact = ErrorNormalizationLayer::new()
            .dialect(dialect::Detail)
            .disclosure(Disclosure::default().status(StatusPolicy::Provider))
            .layer(always(move || json(429, body)));
        let answer = send(&exact, post(CHECKED[0], "{}")).await;
        assert_eq!((answer.status().as_u16(), answer.text()), (429, body));

        // To all other clients a full queue is what it is: no capacity, try again.
        let default = stack(ready(), always(move || json(429, body)));
        let default = send(&default, post(CHECKED[0], "{}")).await;
        assert_eq!(default.status(), 503);
        assert_eq!(default.error().category(), Category::Overloaded);
        assert_eq!(default.header("x-should-retry"), "true");
    }
}

// T5 T6
#[tokio::test]
async fn what_the_scheduler_raises_keeps_its_status() {
    let table = [
        (
            400,
            r#"{"detail":"Prompt length (5000) + max_tokens (100) exceeds max model length (4096)"}"#,
        ),
        (401, r#"{"detail":"Invalid or missing API Key"}"#),
        (404, r#"{"detail":"Not Found"}"#),
        (422, r#"{"detail":"prompt: Field required"}"#),
        (429, r#"{"detail":"Too many requests"}"#),
        (500, INTERNAL),
        (501, r#"{"detail":"Streaming responses are not supported for batched prompts."}"#),
        (503, NO_WORKERS),
    ];
    for (status, body) in table {
        assert_status_is_kept(status, body).await;
    }
}

// T5 T6 T8
#[tokio::test]
async fn what_the_scheduler_raises_keeps_its_text() {
    for (status, body) in [(429, QUEUE_FULL), (429, BUSY), (500, INTERNAL), (503, NO_WORKERS)] {
        let service = stack_in(dialect::Detail, ready(), always(move || json(status, body)));
        assert_eq!(send(&service, post(CHECKED[0], "{}")).await.text(), body);
    }
}

// T7 T8
#[tokio::test]
async fn routes_that_may_stream_check_before_they_begin() {
    for probe in [
        warming(),
        scheduler(State::Ready, State::Incomplete),
        scheduler(State::Draining, State::Ready),
        scheduler(State::Failed, State::Failed),
    ] {
        let service = stack_in(dialect::Detail, probe, untouched());
        for path in CHECKED {
            for ask in [r#"{"model":"m"}"#, r#"{"model":"m","stream":true}"#] {
                let answer = send(&service, post(path, ask)).await;
                assert_eq!((answer.status().as_u16(), answer.text()), (503, CHECK), "{path}");
                assert_eq!(answer.header("content-type"), "application/json", "{path}");
            }
        }
    }
}

// T7 T8
#[tokio::test]
async fn routes_that_create_jobs_check_before_they_begin() {
    let service = stack_in(dialect::Detail, warming(), untouched());
    for path in JOBS {
        let answer = send(&service, post(path, "{}")).await;
        assert_eq!((answer.status().as_u16(), answer.text()), (503, CHECK), "{path}");
    }
}

// T9
#[tokio::test]
async fn a_405_of_a_server_that_warms_up_never_reaches_the_client() {
    let before = || always(|| json(405, CHECK));
    for path in QUEUED.into_iter().chain(CHECKED).chain(JOBS) {
        for (place, probe) in [("gate", warming()), ("upstream", ready())] {
            let answer = send(&stack(probe, before()), post(path, "{}")).await;
            assert_eq!(answer.status(), 503, "{path} {place}");
            assert_eq!(answer.error().category(), Category::ModelNotReady, "{path} {place}");
            assert_eq!(answer.json()["error"]["retryable"], true, "{path} {place}");
        }
    }
}

fn wrong_method() -> Response<Full<Bytes>> {
    let mut answer = json(405, r#"{"detail":"Method Not Allowed"}"#);
    answer.headers_mut().insert("allow", HeaderValue::from_static("POST"));
    answer
}

// T9
#[tokio::test]
async fn a_wrong_method_stays_405_while_the_gate_is_open() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        for path in QUEUED.into_iter().chain(CHECKED) {
            let request = Request::builder().method(&method).uri(path);
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let answer = send(&stack(ready(), always(wrong_method)), request).await;
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert_eq!(answer.header("allow"), "POST");
            assert_eq!(answer.error().category(), Category::Unsupported);
        }
    }
}

// T9
#[tokio::test]
async fn while_the_gate_is_closed_it_answers_before_the_router_does() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = Request::builder().method(&method).uri(CHECKED[0]);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let answer = send(&stack(warming(), always(wrong_method)), request).await;
        assert_eq!(answer.status(), 503, "{method}");
    }
}
