//! What the three APIs have in common.

use super::{
    chat,
    failure::{self, Failure},
    messages, responses,
};
use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

/// What every model says, word by word.
pub(super) const WORDS: [&str; 6] = ["All ", "is well ", "here, ", "and ", "everything ", "works."];

/// When every answer was made, in seconds since 1970.
pub(super) const CREATED: u64 = 1_760_000_000;

/// How many tokens every request costs.
pub(super) const TOKENS_IN: usize = 9;
pub(super) const TOKENS_OUT: usize = WORDS.len();

/// The APIs the provider speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Api {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
}

/// The part of a request that matters here.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default = "default_model")]
    pub(super) model: String,
    #[serde(default)]
    pub(super) stream: bool,
    #[serde(default)]
    pub(super) stream_options: StreamOptions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
}

fn default_model() -> String {
    "sim-ok".to_owned()
}

/// The events of a stream: as many in the middle as there are [`WORDS`].
pub(super) struct Events {
    pub(super) opening: Vec<String>,
    pub(super) words: Vec<String>,
    pub(super) closing: Vec<String>,
}

impl Events {
    /// All of them.
    pub(super) fn whole(self) -> Vec<String> {
        [self.opening, self.words, self.closing].concat()
    }

    /// Those up to the last of so many words; none at all for no words.
    pub(super) fn until(self, words: usize) -> Vec<String> {
        match words {
            0 => Vec::new(),
            _ => [&self.opening[..], &self.words[..words]].concat(),
        }
    }
}

impl Api {
    /// The answer in one piece.
    pub(super) fn whole(self, asked: &Asked) -> Value {
        match self {
            Self::Chat => chat::whole(&asked.model),
            Self::Responses => responses::whole(&asked.model),
            Self::Messages => messages::whole(&asked.model),
        }
    }

    /// The answer as a stream.
    pub(super) fn stream(self, asked: &Asked) -> Events {
        match self {
            Self::Chat => chat::events(&asked.model, asked.stream_options.include_usage),
            Self::Responses => responses::events(&asked.model),
            Self::Messages => messages::events(&asked.model),
        }
    }

    /// An error as an event, after so many others.
    pub(super) fn error_event(self, sequence: usize) -> String {
        match self {
            Self::Chat => format!("data: {}\n\n", Failure::Server.openai("").1),
            Self::Responses => responses::error_event(sequence),
            Self::Messages => event(&Failure::Server.anthropic("").1),
        }
    }

    /// A refusal of the whole request.
    pub(super) fn refusal(self, failure: Failure, model: &str) -> Response {
        if matches!(failure, Failure::Crash) {
            return failure::crash().into_response();
        }
        let (status, body, request_id) = match self {
            Self::Chat | Self::Responses => {
                let (status, body) = failure.openai(model);
                (status, body, "x-request-id")
            }
            Self::Messages => {
                let (status, body) = failure.anthropic(model);
                (status, body, "request-id")
            }
        };
        let mut response = (status, [(request_id, "req_simulated")], Json(body)).into_response();
        if matches!(failure, Failure::RateLimit) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// An event named after the `type` in its data.
pub(super) fn event(data: &Value) -> String {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
