//! MoFA's body.

use super::{Dialect, View, json};

/// MoFA's body.
#[derive(Clone, Copy, Debug)]
pub struct Mofa;

impl Dialect for Mofa {
    fn name(&self) -> &'static str {
        "mofa"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&serde_json::json!({ "error": { "message": view.message() } }))
    }
}
