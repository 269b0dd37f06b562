//! Tower middleware that keeps LLM inference services honest.

pub mod error;
pub mod framing;

pub use self::error::{Category, InferenceError, Origin};
