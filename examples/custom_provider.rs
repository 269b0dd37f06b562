//! A provider and a dialect of one's own: an upstream that fails in its own way, behind an API that
//! has errors of its own.
//!
//! ```text
//! $ cargo run --example custom_provider
//! 503 Service Unavailable, retry-after "2"
//! {"again":true,"ok":false,"why":"no block is free"}
//! overloaded: no block is free (provider Some("engine"), code Some("KV_CACHE_FULL"))
//! ```

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError,
    dialect::{Dialect, View},
    provider::{Failure, Provider, Providers},
};

/// An engine that answers `{"fault":{"reason":"KV_CACHE_FULL","detail":"…","retry_ms":1500}}`.
#[derive(Debug)]
struct Engine;

impl Provider for Engine {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let fault = failure.json().get("fault");
        // No opinion on anything else: the built-in providers are asked next.
        let reason = fault.get("reason").string()?;
        let category = match &*reason {
            "KV_CACHE_FULL" => Category::Overloaded,
            "PROMPT_TOO_LONG" => Category::ContextLengthExceeded,
            _ => Category::UpstreamError,
        };
        let detail = fault.get("detail").string().unwrap_or_default();
        let error = failure.error(self, category, &detail).with_code(reason.into_owned());
        Some(match fault.get("retry_ms").number() {
            Some(wait) => error.with_retry_after(Duration::from_millis(wait)),
            None => error,
        })
    }
}

/// An API whose errors are `{"ok":false,"why":"…","again":true}`.
#[derive(Debug)]
struct House;

impl Dialect for House {
    fn name(&self) -> &'static str {
        "house"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        let why = view.message();
        let again = view.is_retryable();
        json!({ "ok": false, "why": why, "again": again }).to_string().into_bytes()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let upstream = async |_: Request<()>| {
        let body =
            r#"{"fault":{"reason":"KV_CACHE_FULL","detail":"no block is free","retry_ms":1500}}"#;
        Ok::<_, BoxError>(Response::builder().status(500).body(Full::<Bytes>::from(body))?)
    };
    let service = ServiceBuilder::new()
        .layer(
            ErrorNormalizationLayer::new().providers(Providers::auto().with(Engine)).dialect(House),
        )
        .service_fn(upstream);

    let request = Request::post("/generate").body(())?;
    let (head, body) = service.oneshot(request).await?.into_parts();
    println!("{}, retry-after {:?}", head.status, head.headers["retry-after"]);
    println!("{}", String::from_utf8_lossy(&body.collect().await?.to_bytes()));

    // The typed error is there as well, for logs and metrics.
    let error = head.extensions.get::<InferenceError>().ok_or("no error")?;
    println!("{error} (provider {:?}, code {:?})", error.provider(), error.code());
    Ok(())
}
