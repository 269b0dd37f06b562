//! RFC 9457 problem details.

use super::{Dialect, View, json};

/// RFC 9457 problem details.
#[derive(Clone, Copy, Debug)]
pub struct Problem;

impl Dialect for Problem {
    fn name(&self) -> &'static str {
        "problem"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&serde_json::json!({ "error": { "message": view.message() } }))
    }
}
