//! FastAPI's `{"detail": text}`, as the servers of Tenstorrent write it.
//!
//! Their clients and CI match on the texts that stand for "not ready", which depend on where the
//! request was stopped: the routes that stream or create a job check before they begin, the others
//! find out when they queue the work. No member of ours is added.

use super::{Dialect, OpenAi, Operation, Seen, View, json};
use crate::error::{Category, Origin};
use serde::Serialize;

/// A sentence as `detail`, with texts of its own where a readiness gate refused.
///
/// | operation | [label](View::label) | text |
/// |---|---|---|
/// | embeddings, images | `incomplete`, `failed` | `Service unavailable: No workers available.` |
/// | embeddings, images | other | `Model is not ready: warming up` |
/// | all others, also routes that create jobs | any | `Model is not ready` |
///
/// Mid-stream it is the error event of the API that was asked, OpenAI's if none was recognised: its
/// clients are the SDKs of those, and `detail` tells them nothing.
///
/// Source: `tenstorrent/tt-inference-server`, pull request 4274.
#[derive(Clone, Copy, Debug)]
pub struct Detail;

impl Dialect for Detail {
    fn name(&self) -> &'static str {
        "fastapi"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Body { detail: not_ready(view).unwrap_or(view.message()) })
    }

    fn last_word(&self, view: &View<'_>, seen: &Seen<'_>) -> Vec<u8> {
        let asked: &dyn Dialect = view.operation().map_or(&OpenAi, Operation::dialect);
        asked.last_word(view, seen)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    detail: &'a str,
}

fn not_ready(view: &View<'_>) -> Option<&'static str> {
    if view.category() != Category::ModelNotReady || view.origin() != Origin::Readiness {
        return None;
    }
    let queued = matches!(view.operation(), Some(Operation::Embeddings | Operation::Images));
    Some(match view.label() {
        _ if !queued => "Model is not ready",
        Some("incomplete" | "failed") => "Service unavailable: No workers available.",
        _ => "Model is not ready: warming up",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::tests::{body, full, last_word},
        error::InferenceError,
    };

    #[test]
    fn the_body_is_the_text_alone() {
        assert_eq!(body(&Detail, &full(Category::RateLimited), None), r#"{"detail":"it broke"}"#);
    }

    #[test]
    fn a_closed_gate_has_texts_of_its_own() {
        let check = "Model is not ready";
        let warming = "Model is not ready: warming up";
        let no_workers = "Service unavailable: No workers available.";
        let table = [
            (Some(Operation::Chat), "starting", check),
            (Some(Operation::Completions), "failed", check),
            (Some(Operation::Responses), "draining", check),
            (Some(Operation::Messages), "incomplete", check),
            (Some(Operation::Speech), "starting", check),
            (Some(Operation::Transcription), "starting", check),
            (Some(Operation::Embeddings), "starting", warming),
            (Some(Operation::Images), "draining", warming),
            (None, "starting", check),
            (None, "incomplete", check),
            (Some(Operation::Embeddings), "", warming),
            (Some(Operation::Images), "failed", no_workers),
        ];
        for (operation, label, text) in table {
            let error = InferenceError::new(Category::ModelNotReady, "not now")
                .with_origin(Origin::Readiness)
                .with_label(label);
            let shown = body(&Detail, &error, operation);
            assert_eq!(shown, format!(r#"{{"detail":"{text}"}}"#), "{operation:?} {label}");
        }
    }

    #[test]
    fn a_model_that_an_upstream_calls_not_ready_keeps_the_text_of_the_upstream() {
        let error = InferenceError::new(Category::ModelNotReady, "loading 40%");
        assert_eq!(body(&Detail, &error, Some(Operation::Chat)), r#"{"detail":"loading 40%"}"#);
        let gate = InferenceError::new(Category::ModelNotFound, "who?").with_origin(Origin::Readiness);
        assert_eq!(body(&Detail, &gate, Some(Operation::Chat)), r#"{"detail":"who?"}"#);
    }

    #[test]
    fn streams_end_in_the_words_of_the_api_that_was_asked() {
        let (error, seen) = (full(Category::UpstreamError), Seen::default());
        for (operation, dialect) in [
            (None, &OpenAi as &dyn Dialect),
            (Some(Operation::Chat), &OpenAi),
            (Some(Operation::Responses), &crate::dialect::Responses),
            (Some(Operation::Messages), &crate::dialect::Anthropic),
        ] {
            let expected = last_word(dialect, &error, operation, &seen);
            assert_eq!(last_word(&Detail, &error, operation, &seen), expected, "{operation:?}");
        }
    }
}
