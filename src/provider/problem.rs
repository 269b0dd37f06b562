//! Problem details (RFC 9457): `{"type","title","status","detail"}`.

use super::{Failure, Provider, said::{self, Said}};
use crate::error::InferenceError;

/// Reads problem details: NVIDIA NIM, Replicate, and whoever says `application/problem+json`.
///
/// `type` is an address, and no name of a failure unless it is a single word.
#[derive(Clone, Copy, Debug)]
pub struct Problem;

impl Provider for Problem {
    fn name(&self) -> &'static str {
        "problem"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let kind = failure.header("content-type").unwrap_or_default();
        let declared = kind.to_ascii_lowercase().starts_with("application/problem+json");
        let detail = body.get("detail").string();
        let numbered = body.get("status").number().is_some();
        let shaped = numbered && (detail.is_some() || body.get("title").string().is_some());
        if !body.is_object() || !(declared || shaped) {
            return None;
        }
        let mut said = Said::of(body);
        said.message = detail.or_else(|| said::message(body)).unwrap_or_default();
        said.kind = said.kind.filter(|kind| kind != "about:blank");
        Some(said.error(failure, self))
    }
}
