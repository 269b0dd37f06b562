//! Anthropic, and the `/v1/messages` routes of others: `{"type":"error","error":{"type","message"}}`.

use super::{Failure, Provider, said::Said};
use crate::error::{Category, InferenceError};

/// Reads answers and `event: error` of the Messages API.
///
/// `invalid_request_error` covers credit, context and filters too, told apart by words;
/// `not_found_error` says `model: NAME` of an unknown model.
///
/// Source: `docs.anthropic.com/en/api/errors`.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let error = body.get("error");
        if body.get("type").string()? != "error" || !error.is_object() {
            return None;
        }
        let mut said = Said::of(error);
        let unknown = said.kind.as_deref() == Some("not_found_error");
        if unknown && said.message.starts_with("model:") {
            said.category = Some(Category::ModelNotFound);
        }
        let read = said.error(failure, self);
        match body.get("request_id").string() {
            Some(id) if read.request_id().is_none() => Some(read.with_request_id(id.into_owned())),
            _ => Some(read),
        }
    }
}
