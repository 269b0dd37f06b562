//! What is asked, in which dialect: found from the path's last segments.

use super::Dialect;
use crate::head::{RequestHead, split_last};
use http::HeaderName;

/// All clients of the Anthropic API send it.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

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
    /// Gemini `:generateContent`, `:embedContent`, `:countTokens` and the like: never a stream.
    GeminiGenerate,
    /// Gemini `:streamGenerateContent` with `alt=sse`.
    GeminiStream,
    /// Gemini `:streamGenerateContent` without it: an array of JSON that passes as it comes.
    GeminiArray,
    /// Ollama `api/chat` and `api/generate`: lines of JSON, unless asked for in one piece.
    OllamaChat,
    /// Ollama `api/embed` and `api/embeddings`: never a stream.
    OllamaEmbed,
    /// Ollama `api/pull`, `api/push` and `api/create`: streams of their own kind, never touched.
    OllamaModels,
    /// Cohere `v2/chat`.
    CohereChat,
    /// Cohere `embed` and `rerank`: never a stream.
    CohereEmbed,
    /// Text Generation Inference `generate` and `generate_stream`.
    Generate,
    /// `KServe` v2 `models/{m}/infer`, `generate` and `generate_stream`, whose streams have no
    /// marker.
    Infer,
}

/// How a stream is cut into events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    Sse,
    Ndjson,
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
        let path = path.strip_suffix('/').unwrap_or(path);
        let (rest, last) = split_last(path, b'/').unwrap_or(("", path));
        let before = || split_last(rest, b'/').map_or(rest, |(_, before)| before);
        match last {
            "completions" if before() == "chat" => Some(Self::Chat),
            "completions" => Some(Self::Completions),
            "responses" => Some(Self::Responses),
            "generations" | "edits" | "variations" if before() == "images" => Some(Self::Images),
            "speech" if before() == "audio" => Some(Self::Speech),
            "transcriptions" | "translations" if before() == "audio" => Some(Self::Transcription),
            "messages" if before() == "v1" || is_anthropic(head) => Some(Self::Messages),
            "count_tokens" | "batches" if before() == "messages" => Some(Self::MessageTools),
            "chat" => match before() {
                "api" => Some(Self::OllamaChat),
                "v2" => Some(Self::CohereChat),
                _ => None,
            },
            "generate" | "generate_stream" => match before() {
                "api" => Some(Self::OllamaChat),
                _ if is_kserve(path) => Some(Self::Infer),
                _ => Some(Self::Generate),
            },
            "infer" if is_kserve(path) => Some(Self::Infer),
            "embeddings" if before() == "api" => Some(Self::OllamaEmbed),
            "embeddings" | "moderations" => Some(Self::Embeddings),
            "embed" => match before() {
                "api" => Some(Self::OllamaEmbed),
                "v1" | "v2" => Some(Self::CohereEmbed),
                _ => None,
            },
            "rerank" if matches!(before(), "v1" | "v2") => Some(Self::CohereEmbed),
            "pull" | "push" | "create" if before() == "api" => Some(Self::OllamaModels),
            _ => Self::of_method(split_last(last, b':')?.1, head.uri().query()),
        }
    }

    /// The operation of a Gemini method.
    fn of_method(method: &str, query: Option<&str>) -> Option<Self> {
        match method {
            "streamGenerateContent" => {
                let sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
                Some(if sse { Self::GeminiStream } else { Self::GeminiArray })
            }
            "generateContent" | "embedContent" | "batchEmbedContents" | "countTokens"
            | "predict" => Some(Self::GeminiGenerate),
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
            | Self::Transcription
            | Self::Generate
            | Self::Infer => &super::OpenAi,
            Self::Responses => &super::Responses,
            Self::Messages | Self::MessageTools => &super::Anthropic,
            Self::GeminiGenerate | Self::GeminiStream | Self::GeminiArray => &super::Gemini,
            Self::OllamaChat | Self::OllamaEmbed | Self::OllamaModels => &super::Ollama,
            Self::CohereChat | Self::CohereEmbed => &super::Cohere,
        }
    }

    /// Whether an answer with a success status must be JSON when it is no stream.
    #[must_use]
    pub fn answers_json(self) -> bool {
        // Speech is audio, a transcription may be asked for as text, and two pass as they come.
        !matches!(self, Self::Speech | Self::Transcription | Self::GeminiArray | Self::OllamaModels)
    }

    /// How the streams of this operation are cut into events; `None` if there are none to watch.
    pub(crate) fn framing(self) -> Option<Framing> {
        match self {
            Self::Embeddings
            | Self::MessageTools
            | Self::GeminiGenerate
            | Self::GeminiArray
            | Self::OllamaEmbed
            | Self::OllamaModels
            | Self::CohereEmbed => None,
            Self::OllamaChat => Some(Framing::Ndjson),
            _ => Some(Framing::Sse),
        }
    }
}

/// Whether this is a path of `KServe`'s v2 protocol.
fn is_kserve(path: &str) -> bool {
    path.contains("/v2/models/") || path.starts_with("v2/models/")
}

/// Whether a client of the Anthropic API sent this.
pub(super) fn is_anthropic(head: RequestHead<'_>) -> bool {
    head.headers().contains_key(ANTHROPIC_VERSION)
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
            ("/v1beta/models/gemini-2:generateContent", Some(Operation::GeminiGenerate)),
            (
                "/v1beta/models/gemini-2:streamGenerateContent?key=k&alt=sse",
                Some(Operation::GeminiStream),
            ),
            ("/v1beta/models/gemini-2:streamGenerateContent", Some(Operation::GeminiArray)),
            ("/v1beta/models/gemini-2:unheardOf", None),
            ("/api/chat", Some(Operation::OllamaChat)),
            ("/api/generate", Some(Operation::OllamaChat)),
            ("/api/embed", Some(Operation::OllamaEmbed)),
            ("/api/embeddings", Some(Operation::OllamaEmbed)),
            ("/api/pull", Some(Operation::OllamaModels)),
            ("/v2/chat", Some(Operation::CohereChat)),
            ("/v2/embed", Some(Operation::CohereEmbed)),
            ("/v1/rerank", Some(Operation::CohereEmbed)),
            ("/chat", None),
            ("/generate_stream", Some(Operation::Generate)),
            ("/v2/models/m/generate_stream", Some(Operation::Infer)),
            ("/v2/models/m/versions/1/infer", Some(Operation::Infer)),
            ("/infer", None),
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
