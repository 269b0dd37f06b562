//! Finds the model a request asks for, once, for everybody inside.
//!
//! A gate per model, a router and a metric all want the model's name, and for most APIs it stands in
//! the body, which only one of them may read. This layer reads no further than it must, puts the name
//! into the request's extensions as [`RequestedModel`](crate::RequestedModel), and streams the body
//! on exactly as it came.
//!
//! Rules:
//!
//! 1. In this order: a name that somebody has put there already; the path (`deployments/{m}/…`,
//!    `models/{m}:…`, `model/{m}/…`, `v2/models/{m}/…`); a header, if one is
//!    [set](ModelNameLayer::header); the top-level member `model` of a JSON body.
//! 2. Of a body, at most [1 MiB](ModelNameLayer::max_look_ahead) in 16,384 frames is read ahead, for at
//!    most [10 s](ModelNameLayer::look_ahead_timeout). Of duplicate keys the first is taken: the name
//!    is a routing hint, not an authorisation.
//! 3. Multipart, encoded, invalid and failing bodies have no name. Nothing is answered, and nothing
//!    fails: what a body does, its reader sees.
//! 4. While a request waits for its body, it holds no reservation of the inner service: one slow
//!    upload starves nobody. So the inner service must be `Clone`.
//! 5. With [`unless_closed`](ModelNameLayer::unless_closed), no byte is read while the process gate
//!    is closed.
//!
//! The request's body becomes a [`RequestBody`], so a hyper-util client under this layer is a
//! `Client<_, RequestBody<Incoming>>`.
//!
//! # Example: the name is there, and so is the body
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_inference::{ModelNameLayer, RequestBody, RequestedModel};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let service = ServiceBuilder::new().layer(ModelNameLayer::new()).service_fn(
//!     async |request: Request<RequestBody<Full<bytes::Bytes>>>| {
//!         let name = request.extensions().get::<RequestedModel>().cloned();
//!         let body = request.into_body().collect().await?.to_bytes();
//!         Ok::<_, tower::BoxError>(Response::new((name, body)))
//!     },
//! );
//!
//! let text = r#"{"stream": true, "model": "llama-3", "messages": []}"#;
//! let request = Request::post("/v1/chat/completions").body(Full::from(text)).unwrap();
//! let (name, body) = service.oneshot(request).await.unwrap().into_body();
//! assert_eq!(name, Some(RequestedModel::new("llama-3")));
//! assert_eq!(body, text);
//! # });
//! ```

mod body;
mod future;
mod layer;
mod service;

pub use self::{
    body::RequestBody, future::ResponseFuture, layer::ModelNameLayer, service::ModelName,
};
