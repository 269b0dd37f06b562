//! NVIDIA NeMo Gym, pull request 1797: errors of a provider keep their status and their sense.

use crate::support::{Answer, always, json, post, send, stack};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use std::{future::ready, io};
use tower::{Layer, service_fn};
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError, ModelRegistry,
    dialect::{DetailObject, Disclosure, ProviderContext, StatusPolicy},
    provider::{NemoGym, Providers},
};

const SURFACES: [&str; 2] = ["/v1/chat/completions", "/v1/responses"];
const ASK: &str = r#"{"model":"policy_model","input":"hi"}"#;

/// What providers answer, and the category and message that clients should get.
const TABLE: [(u16, &str, Category, &str); 10] = [
    (
        401,
        r#"{"error":{"message":"Invalid API key"}}"#,
        Category::Authentication,
        "Invalid API key",
    ),
    (
        400,
        r#"{"error":{"message":"missing field messages"}}"#,
        Category::InvalidRequest,
        "missing field messages",
    ),
    (404, r#"{"error":{"message":"no such thing"}}"#, Category::NotFound, "no such thing"),
    (429, r#"{"error":{"message":"slow down"}}"#, Category::RateLimited, "slow down"),
    (500, r#"{"error":{"message":"it broke"}}"#, Category::UpstreamError, "it broke"),
    (503, r#"{"error":{"message":"at capacity"}}"#, Category::Overloaded, "at capacity"),
    (
        502,
        "gateway timeout while reading upstream response",
        Category::UpstreamError,
        "gateway timeout while reading upstream response",
    ),
    (400, r#"{"message":"top-level message"}"#, Category::InvalidRequest, "top-level message"),
    (422, r#"{"detail":"top-level detail"}"#, Category::InvalidRequest, "top-level detail"),
    (504, r#"{"error":{"message":"too late"}}"#, Category::Timeout, "too late"),
];

async fn both(answer: impl Fn() -> Response<Full<Bytes>> + Clone) -> [Answer; 2] {
    let service = stack(ModelRegistry::new(), always(answer));
    [send(&service, post(SURFACES[0], ASK)).await, send(&service, post(SURFACES[1], ASK)).await]
}

// G3
#[tokio::test]
async fn chat_and_responses_give_the_same_structured_answer() {
    for (status, body, category, message) in TABLE {
        let [chat, responses] = both(|| json(status, body)).await;
        assert_eq!(chat.status(), responses.status(), "{body}");
        assert_eq!(chat.headers(), responses.headers(), "{body}");
        assert_eq!(chat.text(), responses.text(), "{body}");
        let error = chat.json()["error"].take();
        assert_eq!(error["category"], category.as_str(), "{body}");
        assert_eq!(error["message"], message, "{body}");
        assert_eq!(error["retryable"], category.is_retryable(), "{body}");
        assert_eq!(error["provider_status"], status, "{body}");
        assert_eq!(error["model"], "policy_model", "{body}");
    }
}

// G5
#[tokio::test]
async fn bodies_of_successes_are_untouched() {
    for body in [
        r#"{"id":"chatcmpl-1","object":"chat.completion","choices":[{"message":{"content":"error: 500"}}]}"#,
        " {\"id\": \"resp_1\",\n \"error\": null, \"output\": []}\n",
        r#"{"unexpected":"payload","nested":{"error":{"message":"not mine"}}}"#,
        r#"["a list"]"#,
    ] {
        let sent = || {
            let mut answer = json(200, body);
            answer.headers_mut().insert("x-request-id", "req_1".parse().unwrap());
            answer
        };
        for answer in both(sent).await {
            assert_eq!((answer.status().as_u16(), answer.text()), (200, body));
            assert_eq!(answer.headers(), sent().headers());
        }
    }
}

// G6
#[tokio::test]
async fn an_error_of_a_provider_keeps_its_status() {
    for (status, body, _, _) in TABLE {
        for answer in both(|| json(status, body)).await {
            assert_eq!(answer.status(), status, "{body}");
        }
    }
}

// G6
#[tokio::test]
async fn the_address_of_the_inner_server_is_not_shown() {
    let failed = || {
        let error = InferenceError::new(Category::UpstreamError, "it broke")
            .with_provider("policy_provider")
            .with_endpoint("http://policy-model.internal:8000");
        let mut answer = json(500, "{}");
        answer.extensions_mut().insert(error);
        answer
    };
    for answer in both(failed).await {
        assert_eq!(answer.json()["error"]["provider_context"]["provider"], "policy_provider");
        assert!(!answer.text().contains("policy-model"), "{}", answer.text());
    }
}

// G6
#[tokio::test]
async fn a_connection_that_fails_is_a_502_that_names_no_inner_server() {
    let refused = service_fn(|_| {
        let text = "Cannot connect to host policy-model.internal:8000";
        let error = io::Error::new(io::ErrorKind::ConnectionRefused, text);
        ready(Err::<Response<Full<Bytes>>, _>(error))
    });
    let service = stack(ModelRegistry::new(), refused);
    for path in SURFACES {
        let answer = send(&service, post(path, ASK)).await;
        assert_eq!(answer.status(), 502, "{path}");
        assert_eq!(answer.json()["error"]["category"], "upstream_error", "{path}");
        assert!(!answer.text().contains("policy-model"), "{path}");
    }
}

// G6
#[tokio::test]
async fn the_500s_that_other_servers_make_of_everything_are_seen_through() {
    let wrapped = r#""Hit an exception in policy_model calling an inner server: b'{\"error\":{\"message\":\"Rate limit reached\",\"type\":\"tokens\",\"param\":null,\"code\":\"rate_limit_exceeded\"}}'""#;
    for answer in both(|| json(500, wrapped)).await {
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.json()["error"]["category"], "rate_limited");
    }
}

/// Gym's own answers: its classification, its six keys, its status.
async fn exact(path: &str, status: u16, body: &'static str) -> Answer {
    let gym = NemoGym::new().model("policy_model").base_url("http://upstream/v1");
    let disclosure = Disclosure::default()
        .redaction(false)
        .provider_context(ProviderContext::Full)
        .status(StatusPolicy::Provider);
    let service = ErrorNormalizationLayer::new()
        .providers(Providers::auto().with(gym))
        .dialect(DetailObject)
        .disclosure(disclosure)
        .layer(always(move || json(status, body)));
    send(&service, post(path, r#"{"model":"what the client asked for"}"#)).await
}

// G1 G2 G3 G4 G7 G16 G18, V1 V2 V4 V6 V7 V8 V9 V11 V13 V14 V15
#[tokio::test]
async fn its_own_answers_are_reproduced_key_by_key() {
    let table = [
        (
            401,
            r#"{"error":{"message":"Invalid API key"}}"#,
            "authentication",
            false,
            "Invalid API key",
        ),
        (400, "missing field messages", "request_error", false, "missing field messages"),
        (500, "", "transient_upstream_failure", true, "Provider request failed"),
        (404, r#"{"message":"no such model"}"#, "model_not_found", false, "no such model"),
        (429, r#"{"detail":"slow down"}"#, "rate_limit", true, "slow down"),
        (503, "busy", "transient_upstream_failure", true, "busy"),
        (
            502,
            "gateway timeout while reading upstream response",
            "transient_upstream_failure",
            true,
            "gateway timeout while reading upstream response",
        ),
        (
            418,
            r#"{"unexpected":"payload"}"#,
            "provider_error",
            false,
            r#"{"unexpected":"payload"}"#,
        ),
        (418, "auth token expired", "authentication", false, "auth token expired"),
        (
            418,
            "requested model was not found",
            "model_not_found",
            false,
            "requested model was not found",
        ),
        (418, "rate limit exceeded upstream", "rate_limit", false, "rate limit exceeded upstream"),
    ];
    for (status, body, category, retryable, message) in table {
        for path in SURFACES {
            let answer = exact(path, status, body).await;
            assert_eq!(answer.status(), status, "{body}");
            let expected = serde_json::json!({ "detail": {
                "provider_status": status,
                "retryable": retryable,
                "provider_context": { "base_url": "http://upstream/v1" },
                "model": "policy_model",
                "category": category,
                "message": message,
            }});
            assert_eq!(answer.json(), expected, "{body}");
            assert_eq!(answer.error().label(), Some(category));
        }
    }
}

// G19, V5
#[tokio::test]
async fn long_messages_are_cut_to_two_hundred_characters() {
    let long: &'static str = Box::leak("x".repeat(500).into_boxed_str());
    let answer = exact(SURFACES[0], 418, long).await;
    let message = answer.json()["detail"]["message"].as_str().unwrap().to_owned();
    assert_eq!((message.len(), message.ends_with("x...")), (200, true));
}

// G1, V3
#[tokio::test]
async fn a_failure_without_a_status_is_a_500() {
    let service = ErrorNormalizationLayer::new()
        .dialect(DetailObject)
        .disclosure(Disclosure::default().status(StatusPolicy::Provider))
        .layer(service_fn(|_: http::Request<Full<Bytes>>| {
            ready(Err::<Response<Full<Bytes>>, _>(io::Error::from(io::ErrorKind::ConnectionReset)))
        }));
    let answer = send(&service, post(SURFACES[0], ASK)).await;
    assert_eq!(answer.status(), 500);
    let detail = answer.json()["detail"].take();
    assert_eq!(detail["category"], "transient_upstream_failure");
    assert_eq!((&detail["provider_status"], &detail["retryable"]), (&500.into(), &true.into()));
}

// G14
#[tokio::test]
async fn its_classification_is_never_used_unless_chosen() {
    let [answer, _] = both(|| json(503, r#"{"error":{"message":"the author is away"}}"#)).await;
    assert_eq!(answer.error().category(), Category::Overloaded);
    assert_eq!(answer.error().label(), None);
}
