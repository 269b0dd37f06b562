//! Ollama: `{"error": "<sentence>"}`, on a line of its own in a stream.
//!
//! An object as `error` is a TypeError in its Python client (0.6.3), and server-sent events a
//! JSONDecodeError, so the extension members stand beside the sentence.

use super::{Dialect, Extensions, Seen, View, json};
use serde::Serialize;

/// A sentence as `error`. Source: `server/routes.go`; ollama-python 0.6.3, `ResponseError`.
#[derive(Clone, Copy, Debug)]
pub struct Ollama;

impl Dialect for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Body { error: view.message(), extensions: view.extensions() })
    }

    fn last_word(&self, view: &View<'_>, _: &Seen<'_>) -> Vec<u8> {
        let mut line = self.body(view);
        line.push(b'\n');
        line
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::tests::{body, last_word},
        error::{Category, InferenceError},
    };

    #[test]
    fn the_error_is_a_sentence_on_one_line() {
        let error = InferenceError::new(Category::Overloaded, "server\nbusy");
        let text = body(&Ollama, &error, None);
        assert!(text.starts_with(r#"{"error":"server\nbusy","category":"overloaded""#), "{text}");
        let line = last_word(&Ollama, &error, None, &Seen::default());
        assert_eq!(line, format!("{text}\n"));
    }
}
