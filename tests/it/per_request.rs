//! What one request asks of the layers, by its extensions.

use crate::script::{CHAT, Script, Step, TEXT, data, exchange, json, stream, text};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::{convert::Infallible, time::Duration};
use tower::{Layer, ServiceExt, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, ReadinessLayer, ReadyFlag,
    dialect::{Anthropic, Problem, RequestedDialect},
    error_normalization::PromoteWithin,
};

const ERROR: &str =
    "data: {\"error\":{\"message\":\"the engine died\",\"type\":\"server_error\"}}\n\n";

fn in_problem() -> Request<()> {
    Request::post(CHAT).extension(RequestedDialect::new(Problem)).body(()).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_in_the_dialect_it_asks_for() {
    for layer in [ErrorNormalizationLayer::new(), ErrorNormalizationLayer::new().dialect(Anthropic)]
    {
        let upstream = json(Script::frames([ERROR.strip_prefix("data: ").unwrap()]));
        let (head, body) = text(exchange(&layer, in_problem(), upstream).await).await;
        assert_eq!(head.headers["content-type"], "application/problem+json");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["status"], 502);

        let upstream = stream(Script::frames([TEXT, ERROR]));
        let (_, body) = text(exchange(&layer, in_problem(), upstream).await).await;
        let last: Value =
            serde_json::from_str(body.rsplit_once("data: ").unwrap().1.trim_end()).unwrap();
        assert_eq!(last["detail"], "the engine died", "{body}");
    }
}

#[tokio::test]
async fn a_refused_request_is_answered_in_the_dialect_it_asks_for() {
    let inner = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let gate = ReadinessLayer::new(ReadyFlag::new()).dialect(Anthropic).layer(inner);
    let answer = gate.oneshot(in_problem()).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], "model_not_ready");
}

#[tokio::test(start_paused = true)]
async fn a_request_says_how_long_its_head_waits() {
    let late = || stream(Script::new([Step::Wait(Duration::from_secs(3))]).then(data(ERROR)));
    let status = async |layer: ErrorNormalizationLayer, wait: Option<u64>| {
        let mut request = Request::post(CHAT).body(()).unwrap();
        if let Some(wait) = wait {
            request.extensions_mut().insert(PromoteWithin(Duration::from_secs(wait)));
        }
        exchange(&layer, request, late()).await.status().as_u16()
    };
    let layer = ErrorNormalizationLayer::new;
    assert_eq!(status(layer(), None).await, 502);
    for wait in [0, 1] {
        assert_eq!(status(layer(), Some(wait)).await, 200);
    }
    assert_eq!(status(layer().promote_within(Duration::ZERO), Some(5)).await, 502);
}
