//! A request that is refused, and the same answer as it is made elsewhere.

use super::{Work, gate::oneshot};
use axum::{Json, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use std::{
    convert::Infallible,
    future::{Ready, ready},
};
use tower::{Layer, Service, service_fn};
use tower_inference::{ReadinessLayer, ReadyFlag};

const CHAT: &str = "/v1/chat/completions";
const MESSAGE: &str = "The model is starting and cannot serve requests yet.";

#[derive(Serialize)]
struct Envelope {
    error: Inside,
}

#[derive(Serialize)]
struct Inside {
    message: &'static str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: &'static str,
    category: &'static str,
    retryable: bool,
    retry_after: u32,
    provider_status: Option<u16>,
    model: Option<&'static str>,
    origin: &'static str,
}

const TYPED: Envelope = Envelope {
    error: Inside {
        message: MESSAGE,
        r#type: "service_unavailable",
        param: None,
        code: "model_not_ready",
        category: "model_not_ready",
        retryable: true,
        retry_after: 3,
        provider_status: None,
        model: None,
        origin: "readiness",
    },
};

/// A service that answers every request so.
fn answers<B>(
    answer: impl Fn() -> Response<B> + Clone,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<B>,
    Error = Infallible,
    Future = Ready<Result<Response<B>, Infallible>>,
> + Clone {
    service_fn(move |_| ready(Ok(answer())))
}

fn empty() -> Response<Full<Bytes>> {
    Response::new(Full::default())
}

const RETRY_AFTER: (header::HeaderName, HeaderValue) =
    (header::RETRY_AFTER, HeaderValue::from_static("3"));

/// What a refusal costs that says nothing.
pub(crate) fn bare() -> Work {
    oneshot(CHAT, answers(empty))
}

pub(crate) fn ours() -> Work {
    let mut work = oneshot(CHAT, ReadinessLayer::new(ReadyFlag::new()).layer(answers(empty)));
    // What is made once, for all answers.
    work(1);
    work
}

/// A body made beforehand, and two headers.
pub(crate) fn prerendered() -> Work {
    let body = Bytes::from(serde_json::to_vec(&TYPED).expect("is JSON"));
    let answer = move || {
        let mut answer = Response::new(Full::new(body.clone()));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        answer.headers_mut().insert(RETRY_AFTER.0, RETRY_AFTER.1);
        answer
    };
    oneshot(CHAT, answers(answer))
}

pub(crate) fn axum_typed() -> Work {
    let answer = || (StatusCode::SERVICE_UNAVAILABLE, [RETRY_AFTER], Json(TYPED)).into_response();
    oneshot(CHAT, answers::<Body>(answer))
}

pub(crate) fn axum_value() -> Work {
    let answer = || {
        let body = serde_json::json!({"error": {
            "message": MESSAGE,
            "type": "service_unavailable",
            "param": null,
            "code": "model_not_ready",
            "category": "model_not_ready",
            "retryable": true,
            "retry_after": 3,
            "provider_status": null,
            "model": null,
            "origin": "readiness",
        }});
        (StatusCode::SERVICE_UNAVAILABLE, [RETRY_AFTER], Json(body)).into_response()
    };
    oneshot(CHAT, answers::<Body>(answer))
}
