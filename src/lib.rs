//! Tower middleware that keeps LLM inference services honest.
//!
//! A client of an inference API must never mistake a failure for an answer, never be told the wrong
//! thing to do about it, and never wait on a model that cannot serve. Two layers see to it:
//!
//! * [`ReadinessLayer`] answers 503, in the client's own API dialect, while a shared readiness probe
//!   says "not ready": see [`readiness`].
//! * [`ErrorNormalizationLayer`] turns every upstream failure (an error status, a 200 that holds an
//!   error, an error event in the middle of a stream, a cut, a stall, a service error) into one
//!   structured, provider-aware answer: see [`error_normalization`].
//!
//! They go around any [`tower::Service`] of `http` requests and responses, in any
//! [`ServiceBuilder`](tower::ServiceBuilder) stack, under hyper or axum. Each works alone.
//!
//! # Example: both, in front of a proxy
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_inference::{ErrorNormalizationLayer, ModelNameLayer, ModelRegistry, ReadinessLayer};
//!
//! # use axum::{body::Body, extract::Request, response::Response};
//! # let proxy = tower::service_fn(async |_: Request| Ok::<_, std::convert::Infallible>(Response::new(Body::empty())));
//! let models = ModelRegistry::new();                                // cheap clone, shared
//! let app: axum::Router = axum::Router::new().fallback_service(proxy)
//!     .layer(ServiceBuilder::new()
//!         .layer(ModelNameLayer::new().unless_closed(models.clone()))   // everybody inside knows the model
//!         .layer(ErrorNormalizationLayer::new())                        // provider: auto, dialect: from the request
//!         .layer(ReadinessLayer::new(models.clone())));
//! # let _ = app;
//! ```
//!
//! # Features
//!
//! * `decompression`: error bodies compressed with gzip, deflate, br or zstd are read. Off by default:
//!   then they are answered by their status alone.
//!
//! # Where to look
//!
//! | question | module |
//! |---|---|
//! | what does a provider's failure mean? | [`provider`] |
//! | what does a client see of it? | [`dialect`] |
//! | what went wrong, and may it be retried? | [`error`] |
//! | when does a request pass the gate? | [`readiness`] |
//! | where does the model's name come from? | [`model_name`] |
//! | what do health checks say? | [`endpoints`] |
//! | is this tried again, after how long? | [`retry`] |
//! | how are streams cut into events? | [`framing`] |
//! | what is an operator told? | [`observe`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body;
pub mod dialect;
pub mod endpoints;
pub mod error;
pub mod error_normalization;
pub mod framing;
mod head;
pub mod model_name;
pub mod observe;
pub mod provider;
pub mod readiness;
pub mod retry;
mod sync;

pub use self::{
    error::{Category, InferenceError, Origin},
    error_normalization::{ErrorNormalization, ErrorNormalizationLayer},
    head::{RequestHead, RequestedModel},
    model_name::{ModelName, ModelNameLayer, RequestBody},
    readiness::{
        ModelRegistry, ProbeDriver, Readiness, ReadinessLayer, ReadinessProbe, ReadyFlag, probe_fn,
    },
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
