//! Tower middleware that keeps LLM inference services honest.

pub mod dialect;
pub mod error;
pub mod framing;
mod head;
pub mod provider;

pub use self::{
    error::{Category, InferenceError, Origin},
    head::{RequestHead, RequestedModel},
};
