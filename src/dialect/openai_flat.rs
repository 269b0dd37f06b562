//! Dynamo's flat body.

use super::{Dialect, View, json};

/// Dynamo's flat body.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiFlat;

impl Dialect for OpenAiFlat {
    fn name(&self) -> &'static str {
        "openai-flat"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&serde_json::json!({ "error": { "message": view.message() } }))
    }
}
