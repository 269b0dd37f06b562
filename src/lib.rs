//! Tower middleware that keeps LLM inference services honest.

pub mod error;

pub use self::error::{Category, InferenceError, Origin};
