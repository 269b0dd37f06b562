//! FastAPI's detail.

use super::{Failure, Provider};
use crate::error::InferenceError;

/// FastAPI's detail.
#[derive(Clone, Copy, Debug)]
pub struct FastApi;

impl Provider for FastApi {
    fn name(&self) -> &'static str {
        "fastapi"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let _ = failure;
        None
    }
}
