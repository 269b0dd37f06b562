//! A readiness gate around an axum app, opened once the weights are loaded.
//!
//! ```text
//! $ cargo run --example axum_gate
//! /v1/chat/completions: 503 Service Unavailable, retry-after "30"
//! {"error":{"message":"Service is not ready to serve requests yet. The deployment may still be starting up or is not fully provisioned. Please retry shortly.","type":"service_unavailable","param":null,"code":"model_not_ready","category":"model_not_ready","retryable":true,"retry_after":30,"provider_status":null,"model":null,"origin":"readiness"}}
//! /health: 200 OK
//! ok
//! /v1/chat/completions: 200 OK
//! {"choices":[]}
//! ```

use axum::{
    Router,
    body::Body,
    routing::{any, post},
};
use http::Request;
use http_body_util::BodyExt;
use std::time::Duration;
use tower::{BoxError, ServiceExt};
use tower_inference::{ReadinessLayer, ReadyFlag, readiness::State};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let flag = ReadyFlag::new();
    let app = Router::new()
        .route("/v1/chat/completions", post(async || r#"{"choices":[]}"#))
        .route("/health", any(async || "ok"))
        .layer(ReadinessLayer::new(flag.clone()));

    flag.set(State::Starting { eta: Some(Duration::from_secs(30)) });
    show(&app, "/v1/chat/completions").await?;
    // Health checks are exempt: whether to restart a process is not the gate's business.
    show(&app, "/health").await?;

    flag.set(State::Ready);
    show(&app, "/v1/chat/completions").await
}

/// Sends one request through `app`, and prints what comes back.
async fn show(app: &Router, path: &str) -> Result<(), BoxError> {
    let request = Request::post(path).body(Body::empty())?;
    let (head, body) = app.clone().oneshot(request).await?.into_parts();
    let wait = head.headers.get("retry-after").map(|wait| format!(", retry-after {wait:?}"));
    println!("{path}: {}{}", head.status, wait.unwrap_or_default());
    println!("{}", String::from_utf8_lossy(&body.collect().await?.to_bytes()));
    Ok(())
}
