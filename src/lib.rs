//! Tower middleware that keeps LLM inference services honest.

pub mod body;
pub mod dialect;
pub mod error;
pub mod error_normalization;
pub mod framing;
mod head;
pub mod observe;
pub mod provider;
pub mod readiness;

pub use self::{
    error::{Category, InferenceError, Origin},
    error_normalization::{ErrorNormalization, ErrorNormalizationLayer},
    head::{RequestHead, RequestedModel},
    readiness::{
        ModelRegistry, Readiness, ReadinessLayer, ReadinessProbe, ReadyFlag, probe_fn,
    },
};
