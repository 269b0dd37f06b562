//! MoFA's gateway, which says in a header what its orchestrator refused.

use super::{Failure, Provider, said};
use crate::error::{Category, InferenceError};

/// Reads `x-mofa-backend: rejected(reason)`, which marks a refusal even where the status does not:
/// before its commit ac7dd98a the gateway answered 200 with the reason as the model's words.
///
/// The message is the error object's if the status is an error, else the reason. What was refused
/// before the orchestrator was asked (a bad key, an empty prompt: 4xx) is no rejection, whatever the
/// header says. All other errors of the gateway are OpenAI's.
///
/// Source: `mofa-org/mofa`, pull request 1340,
/// `crates/mofa-gateway/src/openai_compat/handler.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Mofa;

impl Provider for Mofa {
    fn name(&self) -> &'static str {
        "mofa"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let backend = failure.header_text("x-mofa-backend")?;
        let reason = backend.strip_prefix("rejected(")?;
        // One parenthesis only: reasons end with one of their own.
        let reason = reason.strip_suffix(')').unwrap_or(reason);
        let message = match failure.status() {
            Some(status) if status.is_client_error() => return None,
            Some(_) => said::message(failure.json().get("error")),
            None => None,
        };
        Some(failure.error(self, Category::Overloaded, message.as_deref().unwrap_or(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::Category;
    use crate::provider::answer;

    fn read(status: u16, backend: &str, body: &str) -> (Option<String>, Category, String) {
        let error = answer(status, &[("x-mofa-backend", backend)], body);
        (error.provider().map(str::to_owned), error.category(), error.message().to_owned())
    }

    #[test]
    fn the_header_marks_a_refusal_and_the_error_object_says_why() {
        let error = r#"{"error":{"message":"no memory","type":"server_error","code":null}}"#;
        let text = r#"{"choices":[{"message":{"content":"[rejected] no memory"}}]}"#;
        let table = [
            (503, "rejected(full)", error, "no memory"),
            (503, "rejected(full)", "", "full"),
            (503, "rejected(full)", r#"{"error":{"message":" "}}"#, "full"),
            (200, "rejected(full)", text, "full"),
            (200, "rejected(full)", error, "full"),
            (200, "rejected(full (LocalOnly policy))", text, "full (LocalOnly policy)"),
            (200, "rejected(cut of", text, "cut of"),
        ];
        for (status, backend, body, message) in table {
            let expected = (Some("mofa".to_owned()), Category::Overloaded, message.to_owned());
            assert_eq!(read(status, backend, body), expected, "{status} {backend} {body}");
        }
    }

    #[test]
    fn other_backends_and_refusals_of_the_request_keep_their_own_meaning() {
        let error = r#"{"error":{"message":"it broke","type":"e","code":null}}"#;
        for (status, backend, category) in [
            (500, "local(llama)", Category::UpstreamError),
            (400, "cloud(openai)", Category::InvalidRequest),
            (401, "rejected(full)", Category::Authentication),
            (429, "rejected(full)", Category::RateLimited),
        ] {
            let expected = (Some("openai".to_owned()), category, "it broke".to_owned());
            assert_eq!(read(status, backend, error), expected, "{status} {backend}");
        }
    }
}
