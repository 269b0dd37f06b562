//! What is asked, in which dialect: found from the path's last segments.

use super::Dialect;
use crate::head::RequestHead;

/// What is asked in a dialect.
///
/// Terminal markers and preamble of a stream belong to it, and whether there are streams at all.
/// Nothing is done to the streams of a request whose operation is not recognised.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// OpenAI `chat/completions`.
    Chat,
    /// OpenAI `completions`.
    Completions,
    /// OpenAI `responses`.
    Responses,
    /// OpenAI `embeddings` and `moderations`: never a stream.
    Embeddings,
    /// OpenAI `images/generations`, `images/edits`, `images/variations`.
    Images,
    /// OpenAI `audio/speech`: audio bytes, or events when asked for.
    Speech,
    /// OpenAI `audio/transcriptions` and `audio/translations`.
    Transcription,
    /// Anthropic `messages`.
    Messages,
    /// Anthropic `messages/count_tokens` and `messages/batches`: never a stream.
    MessageTools,
}

impl Operation {
    /// The operation of a request, by the last segments of its path: a nested router sees a stripped
    /// path, and deployments or projects may stand before.
    ///
    /// The method is not looked at. `messages` counts only after `v1` or with the header
    /// `anthropic-version`, since other APIs have messages too.
    ///
    /// ```
    /// use http::Request;
    /// use tower_inference::{RequestHead, dialect::Operation};
    ///
    /// let request = Request::post("/openai/deployments/gpt/chat/completions").body(())?;
    /// assert_eq!(Operation::of(RequestHead::of(&request)), Some(Operation::Chat));
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn of(head: RequestHead<'_>) -> Option<Self> {
        let path = head.uri().path();
        let mut segments = path.strip_suffix('/').unwrap_or(path).rsplit('/');
        let last = segments.next()?;
        let mut before = || segments.next().unwrap_or_default();
        match last {
            "completions" if before() == "chat" => Some(Self::Chat),
            "completions" => Some(Self::Completions),
            "responses" => Some(Self::Responses),
            "embeddings" | "moderations" => Some(Self::Embeddings),
            "generations" | "edits" | "variations" if before() == "images" => Some(Self::Images),
            "speech" if before() == "audio" => Some(Self::Speech),
            "transcriptions" | "translations" if before() == "audio" => Some(Self::Transcription),
            "messages" if before() == "v1" || is_anthropic(head) => Some(Self::Messages),
            "count_tokens" | "batches" if before() == "messages" => Some(Self::MessageTools),
            _ => None,
        }
    }

    /// The dialect this is asked in.
    #[must_use]
    pub fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Images
            | Self::Speech
            | Self::Transcription => &super::OpenAi,
            Self::Responses => &super::Responses,
            Self::Messages | Self::MessageTools => &super::Anthropic,
        }
    }

    /// Whether an answer with a success status must be JSON when it is no stream.
    #[must_use]
    pub fn answers_json(self) -> bool {
        // Speech is audio, and a transcription may be asked for as text.
        !matches!(self, Self::Speech | Self::Transcription)
    }

    /// Whether answers may be streams.
    #[must_use]
    pub fn streams(self) -> bool {
        !matches!(self, Self::Embeddings | Self::MessageTools)
    }
}

/// Whether a client of the Anthropic API sent this: all of them send the header.
pub(super) fn is_anthropic(head: RequestHead<'_>) -> bool {
    head.headers().contains_key("anthropic-version")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn of(path: &str) -> Option<Operation> {
        Operation::of(RequestHead::of(&Request::post(path).body(()).unwrap()))
    }

    #[test]
    fn operations_are_found_by_the_last_segments() {
        let table = [
            ("/v1/chat/completions", Some(Operation::Chat)),
            ("/chat/completions/", Some(Operation::Chat)),
            ("/openai/deployments/d/chat/completions?api-version=1", Some(Operation::Chat)),
            ("/v1/completions", Some(Operation::Completions)),
            ("/v1/responses", Some(Operation::Responses)),
            ("/v1/responses/resp_1/cancel", None),
            ("/v1/embeddings", Some(Operation::Embeddings)),
            ("/v1/moderations", Some(Operation::Embeddings)),
            ("/v1/images/generations", Some(Operation::Images)),
            ("/v1/images/edits", Some(Operation::Images)),
            ("/v1/audio/speech", Some(Operation::Speech)),
            ("/v1/audio/transcriptions", Some(Operation::Transcription)),
            ("/v1/messages", Some(Operation::Messages)),
            ("/api/anthropic/v1/messages", Some(Operation::Messages)),
            ("/v1/messages/count_tokens", Some(Operation::MessageTools)),
            ("/v1/messages/batches", Some(Operation::MessageTools)),
            ("/v1/threads/thread_1/messages", None),
            ("/messages", None),
            ("/edits", None),
            ("/v1/models", None),
            ("/events", None),
            ("/", None),
        ];
        for (path, expected) in table {
            assert_eq!(of(path), expected, "{path}");
        }
    }

    #[test]
    fn messages_anywhere_count_with_the_header() {
        let request = Request::post("/messages").header("anthropic-version", "2023-06-01");
        let request = request.body(()).unwrap();
        assert_eq!(Operation::of(RequestHead::of(&request)), Some(Operation::Messages));
    }
}
