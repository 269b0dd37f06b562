//! Turns every upstream failure into one structured answer, in the client's own API dialect.
//!
//! An upstream fails in many ways: an error status in another API's shape, a 200 that holds an error,
//! an error event in the middle of a stream, a cut, a stall, a connection that is never made. Of 48
//! such fault × SDK cells, 33 end as silent success (openai, anthropic and google-genai, Python and
//! Node). With this layer a client sees what its SDK knows how to raise.
//!
//! # Rules
//!
//! Every answer is one of four:
//!
//! | answer | when | what is changed |
//! |---|---|---|
//! | passes | anything healthy that is not below | nothing: byte-, frame-, header- and extension-identical |
//! | checked | a recognised operation's JSON (or untyped, HTML, text) 200 | nothing: it is read before it is released |
//! | watched | a recognised operation's event stream | the bytes of whole events are identical; `content-length`, `etag`, digests and `accept-ranges` go |
//! | replaced | all failures | status, body, and the headers that described the old body |
//!
//! 1. The dialect follows from the request, unless [set](ErrorNormalizationLayer::dialect) for all, or
//!    for [this one](crate::dialect::RequestedDialect). Streams
//!    are touched only where the [operation](crate::dialect::Operation) is recognised: an
//!    application's own `/events` never is.
//! 2. An error body is read up to [64 KiB](ErrorNormalizationLayer::max_error_body) and
//!    [5 s](ErrorNormalizationLayer::error_body_timeout); the rest is dropped.
//! 3. A JSON 200 of known length up to 64 KiB is collected and judged by its top-level keys; of a
//!    longer one the first key decides.
//! 4. Of a stream only whole events leave. An error event becomes the dialect's own, after which the
//!    body ends; a stream that breaks, stalls or lacks its terminal marker ends with one too.
//! 5. The head of a stream waits for the first meaningful event, at most
//!    [10 s](ErrorNormalizationLayer::promote_within), or as long as
//!    [its request](PromoteWithin) says: an error before it becomes a real status, the
//!    only kind that SDKs retry. *What it costs:* a client that shows "connected" at the head sees it
//!    later; the first token is not delayed.
//! 6. An answer that this crate has rendered already is left alone, unless the layer is set to
//!    another dialect: the outermost wins. A bare [`InferenceError`](crate::InferenceError) in an
//!    answer's extensions means "render me".
//! 7. 1xx, 101, 204, 304, redirects, OPTIONS, gRPC and compressed answers with a success status pass.
//!
//! # Caveats
//!
//! Hop-by-hop headers of the upstream (`connection`, `keep-alive`) are not this layer's: a proxy
//! takes them off, as `examples/gateway` does. A stream that broke says so in its last event, so that
//! no client depends on how its connection ends.
//!
//! The wait for the response *head* belongs to `tower::timeout`, whose error is answered 504. Timers
//! are made when they are needed: a runtime without time works until then, and panics there.
//!
//! # Example: a provider's refusal, for an Anthropic client
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_inference::ErrorNormalizationLayer;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let upstream = async |_: Request<()>| {
//!     let page = Full::<bytes::Bytes>::from("<html><title>502 Bad Gateway</title></html>");
//!     Ok::<_, tower::BoxError>(Response::builder().status(502).body(page).expect("valid"))
//! };
//! let service = ServiceBuilder::new().layer(ErrorNormalizationLayer::new()).service_fn(upstream);
//!
//! let request = Request::post("/v1/messages").body(()).expect("valid");
//! let (head, body) = service.oneshot(request).await.expect("infallible").into_parts();
//! let body: serde_json::Value =
//!     serde_json::from_slice(&body.collect().await.expect("whole").to_bytes()).expect("JSON");
//!
//! assert_eq!(head.status, 502);
//! assert_eq!(body["type"], "error");
//! assert_eq!(body["error"]["type"], "api_error");
//! assert_eq!(body["error"]["category"], "upstream_error");
//! # });
//! ```

mod body;
mod breaks;
mod config;
mod credentials;
mod cutter;
mod decode;
mod exchange;
mod future;
mod judge;
mod layer;
mod queue;
mod reading;
mod service;
mod service_error;
mod silence;
mod stream;
mod template;
mod watched;

pub use self::{
    body::ResponseBody,
    config::{PromoteWithin, TerminalMarker, Unrecognised},
    credentials::Credentials,
    future::ResponseFuture,
    layer::ErrorNormalizationLayer,
    service::ErrorNormalization,
};
