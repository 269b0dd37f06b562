//! Anthropic Messages.

use super::{Dialect, View, json};

/// Anthropic Messages.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&serde_json::json!({ "error": { "message": view.message() } }))
    }
}
