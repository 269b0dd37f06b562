//! OpenAI Responses.

use super::{Dialect, View, json};

/// OpenAI Responses.
#[derive(Clone, Copy, Debug)]
pub struct Responses;

impl Dialect for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&serde_json::json!({ "error": { "message": view.message() } }))
    }
}
