//! The one place where "not ready" is put into words.

use super::State;
use crate::error::{Category, InferenceError, retry_after};
use std::{borrow::Cow, time::Duration};

/// Longest model name shown, in characters.
const LONGEST_NAME: usize = 128;

/// What is said of the whole service; of a model, all but the first word.
const MESSAGE: &str = "Service is not ready to serve requests yet. The deployment may still be \
                       starting up or is not fully provisioned. Please retry shortly.";

/// The same of a model that nobody has heard of.
const UNKNOWN: &str = "Model not found";

/// Why a request cannot be served now.
///
/// Always a 503 (gRPC: status 14), whatever the reason, and always the same text, which says nothing
/// of roles, workers or topology. It is made here, so that the gate and a dispatcher that finds out
/// later say the same.
///
/// # Example: a model that drops out between the gate and its dispatch
///
/// The inner service answers with the same error, and the client cannot tell the difference.
///
/// ```
/// use tower_inference::{Category, readiness::{NotReady, State}};
///
/// let error = NotReady::new(State::Incomplete).for_model("llama-3").into_error();
/// assert_eq!(error.category(), Category::ModelNotReady);
/// assert!(error.message().starts_with("Model `llama-3` is not ready to serve requests yet."));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotReady {
    state: State,
    model: Option<Box<str>>,
}

impl NotReady {
    /// The whole service is in this state.
    #[must_use]
    pub const fn new(state: State) -> Self {
        Self { state, model: None }
    }

    /// Only this model is.
    #[must_use]
    pub fn for_model(self, model: &str) -> Self {
        Self { model: Some(model.into()), ..self }
    }

    /// The state that is not ready.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The model that is not ready; `None` for the whole service.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The sentence for clients. Its first words are matched on by clients in the field.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.model {
            Some(model) => message_for(model),
            None => MESSAGE.to_owned(),
        }
    }

    /// How long a client should wait: the time the start still takes if that is known, else
    /// [2–5 s](retry_after::soon); always within 1–59 s, which every SDK obeys.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self.state {
            State::Starting { eta: Some(eta) } => {
                eta.clamp(Duration::from_secs(1), Duration::from_secs(59))
            }
            _ => retry_after::soon(),
        }
    }

    /// The error to answer with; its label is the name of the state.
    #[must_use]
    pub fn into_error(self) -> InferenceError {
        let message = self.model.as_deref().map_or(MESSAGE.into(), |it| message_for(it).into());
        let state = Some((self.state.as_str(), self.retry_after()));
        let model = self.model.map(String::from);
        InferenceError::of_gate(Category::ModelNotReady, message, "model_not_ready", model, state)
    }
}

fn message_for(model: &str) -> String {
    format!("Model `{}`{}", shown(model), &MESSAGE["Service".len()..])
}

/// The error for a model that nobody has heard of.
pub(crate) fn unknown_model(model: Option<&str>) -> InferenceError {
    let message = match model {
        Some(model) => format!("{UNKNOWN}: `{}`", shown(model)).into(),
        None => UNKNOWN.into(),
    };
    let model = model.map(str::to_owned);
    InferenceError::of_gate(Category::ModelNotFound, message, "model_not_found", model, None)
}

/// A client's name for a model, fit for a sentence: short, and without characters that could end a
/// line, hide text or turn its direction.
fn shown(model: &str) -> Cow<'_, str> {
    let unfit = |c: char| {
        c.is_control()
            || c == '`'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let short = model.char_indices().nth(LONGEST_NAME).map_or(model, |(end, _)| &model[..end]);
    if short.contains(unfit) {
        short.chars().map(|c| if unfit(c) { '\u{fffd}' } else { c }).collect()
    } else {
        Cow::Borrowed(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_model_and_nothing_of_the_topology() {
        let text = NotReady::new(State::Incomplete).for_model("m").message();
        assert_eq!(
            text,
            "Model `m` is not ready to serve requests yet. The deployment may still be starting up \
             or is not fully provisioned. Please retry shortly."
        );
        for word in ["prefill", "decode", "encode", "namespace", "worker"] {
            assert!(!text.to_lowercase().contains(word), "{word}");
        }
    }

    // U10
    #[test]
    fn a_hostile_model_name_stays_a_name() {
        assert_eq!(shown("a\nb\u{202e}c`d\u{1b}[2J"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}[2J");
        assert_eq!(shown(&"é".repeat(1 << 20)).chars().count(), LONGEST_NAME);
    }

    #[test]
    fn a_models_name_is_redacted_and_the_text_without_one_is_shown_as_it_is() {
        let not_ready = NotReady::new(State::Failed);
        let error = not_ready.clone().for_model("/home/me/llama").into_error();
        assert!(error.to_string().starts_with("model_not_ready: Model `[redacted]` is not ready"));
        let unknown = unknown_model(Some("/home/me/llama")).to_string();
        assert_eq!(unknown, "model_not_found: Model not found: `[redacted]`");
        assert_eq!(not_ready.into_error().to_string(), format!("model_not_ready: {MESSAGE}"));
        for text in [MESSAGE, UNKNOWN] {
            assert!(matches!(crate::error::redact(text), Cow::Borrowed(_)));
            assert_eq!(serde_json::to_string(text).unwrap(), format!("\"{text}\""));
            assert!(text.is_ascii());
        }
    }

    #[test]
    fn hints_are_the_eta_within_what_every_sdk_obeys() {
        let hint = |eta| NotReady::new(State::Starting { eta }).retry_after();
        let seconds = Duration::from_secs;
        assert_eq!(hint(Some(seconds(7))), seconds(7));
        assert_eq!(hint(Some(Duration::ZERO)), seconds(1));
        assert_eq!(hint(Some(seconds(600))), seconds(59));
        assert!((seconds(2)..=seconds(5)).contains(&hint(None)));
    }
}
