//! FastAPI's detail string, as Tenstorrent's server writes it.

use super::{Dialect, View, json};

/// FastAPI's detail string, as Tenstorrent's server writes it.
#[derive(Clone, Copy, Debug)]
pub struct Detail;

impl Dialect for Detail {
    fn name(&self) -> &'static str {
        "detail"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&serde_json::json!({ "error": { "message": view.message() } }))
    }
}
