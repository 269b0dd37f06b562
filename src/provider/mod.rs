//! Who the upstream is, and how it writes its errors.
//!
//! Every provider has its own words for the same 18 things. A [`Provider`] reads one family's way
//! of failing into an [`InferenceError`]; [`Providers`] asks them one after the other, from the most
//! specific to the fallback, which knows only the status.
//!
//! Rules:
//!
//! 1. Structured fields decide before text does. Text is a last resort: short phrases, valid only
//!    for the statuses they were seen with. Digits in free text decide nothing. What is left open
//!    goes by the status; where that is missing, by a status among the members.
//! 2. "No opinion" is a value: a provider that does not recognise a shape returns `None` and the
//!    next one is asked. Some provider always answers.
//! 3. A failure is an error status, a 200 whose body is an error, or the data of an event in a
//!    stream; the last two have no status that means anything.
//! 4. Provider text is data: it is never interpreted as an envelope of ours, and it is redacted
//!    when it is shown.
//!
//! # Ambiguous shapes
//!
//! Where more than one provider could read a body, the one that reads most of it is asked first:
//!
//! | shape | claimed by | could be read by | why |
//! |---|---|---|---|
//! | an error with `category`, `retryable` and `origin` | `inference` | `anthropic`, `openai`, `problem` | a gateway of this crate has judged already |
//! | `type: "error"` around an `error` object | `anthropic` | `openai` | only Anthropic's Messages API, and those who imitate it, name the envelope |
//! | an `error` object beside `x-mofa-backend: rejected(…)` | `mofa` | `openai` | the header tells a refusal from a failure, the body does not |
//! | a `base_resp` with a `status_code` that is not 0 | `minimax` | nobody | an answer of theirs has it too, with 0 |
//! | an `error` object with a number `code` and a word `status` | `google` | `openai` | `google.rpc.Status`: reasons and quotas are in `details` |
//! | `errors`, or `error`, as an array of objects with `message` | `cloudflare` | nobody | `error` of OpenAI is an object |
//! | any other `error` object, in whatever order of members | `openai` | nobody | the shape that most servers write; the words in it differ, not the shape |
//! | `detail` or `title` with a number `status` | `problem` | nobody | FastAPI writes no `status` |
//! | `application/problem+json` without `status` | `problem` | `fastapi` | the content type is a declaration |
//! | `message` beside a string `error` | `openai-flat` | `error-text` | `error` is then the reason phrase (Spring), `message` the sentence |
//! | `error_msg` at the top, or a `fault`, or a `requestStatus` | `openai-flat` | nobody | Qianfan and Huawei; Apigee and WSO2; NVIDIA's functions |
//! | `errors` as an array of sentences, beside a `name` | `openai-flat` | nobody | Stability AI; Cloudflare's are objects |
//! | `message` at the top, `code` or not | `openai-flat` | nobody | Bedrock and Cohere send nothing more; the header `x-amzn-errortype` names AWS |
//! | a string `error`, with or without `code` | `error-text` | nobody | xAI's `code` is a sentence too |
//! | `detail` with a `status` that is a word | `fastapi` | nobody | problem details have a number there |
//! | a page under any content type | `html` | nobody | proxies label pages as JSON |
//! | a string in JSON, members that nobody knows | `text` | nobody | shown as it came |
//! | nothing, or `"error": null` | `unknown` | nobody | only the status is left |
//!
//! The error is named after whoever signs it, by a header or a member that is his alone
//! (`x-amzn-errortype`, `metadata.provider_name`), else after its shape.
//!
//! Not counted are `text` and `unknown`, which read whatever is left. `nemo-gym` claims every
//! failure, so it is asked only by name.
//!
//! # Example: reading a refusal
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_inference::{Category, provider::{Failure, Providers}};
//!
//! let body = br#"{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
//! let headers = HeaderMap::new();
//! let failure = Failure::of_answer(StatusCode::TOO_MANY_REQUESTS, &headers, body);
//!
//! let error = Providers::auto().read(&failure);
//! assert_eq!(error.category(), Category::RateLimited);
//! assert_eq!(error.provider(), Some("openai"));
//! ```
//!
//! # Example: a provider of your own
//!
//! ```
//! use tower_inference::{Category, InferenceError, provider::{Failure, Provider, Providers}};
//!
//! #[derive(Debug)]
//! struct Teapot;
//!
//! impl Provider for Teapot {
//!     fn name(&self) -> &'static str {
//!         "teapot"
//!     }
//!
//!     fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
//!         let brewing = failure.json().get("brewing").boolean()?;
//!         let category = if brewing { Category::ModelNotReady } else { Category::UpstreamError };
//!         Some(failure.error(self, category, "the pot is not ready"))
//!     }
//! }
//!
//! // Asked before the built-in ones.
//! let providers = Providers::auto().with(Teapot);
//! # let headers = http::HeaderMap::new();
//! # let failure = Failure::of_answer(http::StatusCode::IM_A_TEAPOT, &headers, br#"{"brewing":true}"#);
//! # assert_eq!(providers.read(&failure).category(), Category::ModelNotReady);
//! ```

mod failure;
mod in_band;
mod names;
mod phrases;
mod plain;
mod said;
mod senders;
mod wrapped;

pub use self::failure::Failure;
pub(crate) use self::in_band::{error_event, error_in};

use crate::error::InferenceError;
use std::{fmt, sync::Arc};

/// Reads the failures of one family of upstreams.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The provider's name, as it is shown in `provider_context` and chosen by
    /// [`Providers::named`].
    fn name(&self) -> &'static str;

    /// What this failure means, or `None` if it is not this provider's way of failing.
    ///
    /// Start from [`Failure::error`], which fills in what every failure has.
    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError>;
}

/// The one line a new provider adds, at its place in the order of asking.
macro_rules! providers {
    ($($module:ident => $provider:ident,)+; only by name: $($other:ident => $chosen:ident,)+) => {
        $(mod $module; pub use self::$module::$provider;)+
        $(mod $other; pub use self::$other::$chosen;)+

        /// The built-in providers, from the most specific to the fallback.
        const BUILT_IN: &[&dyn Provider] = &[$(&$provider,)+];

        /// Providers that claim every failure, so that they are asked only when chosen.
        const BY_NAME: &[&dyn Provider] = &[$(&$chosen::new(),)+];
    };
}

providers! {
    inference => Inference,
    anthropic => Anthropic,
    mofa => Mofa,
    minimax => MiniMax,
    google => Google,
    cloudflare => Cloudflare,
    openai => OpenAi,
    problem => Problem,
    openai_flat => OpenAiFlat,
    error_text => ErrorText,
    fastapi => FastApi,
    html => Html,
    text => Text,
    fallback => Fallback, // asked last, and always answers
    ;
    only by name:
    nemo_gym => NemoGym,
}

/// The providers that are asked what a failure means, in their order.
#[derive(Clone, Debug, Default)]
pub struct Providers {
    first: Vec<Arc<dyn Provider>>,
    named: Option<Named>,
}

#[derive(Clone, Copy, Debug)]
enum Named {
    Shape(&'static dyn Provider),
    Sender(&'static str),
}

impl Providers {
    /// All built-in providers: the shape of the failure decides. This is the default.
    #[must_use]
    pub fn auto() -> Self {
        Self::default()
    }

    /// The upstream of this name; `None` if it is not one of [`names`](Self::names).
    ///
    /// The name of a built-in provider has that one asked first, then all others. The name of
    /// somebody who writes in their shapes, such as `"cohere"` or `"ollama"`, has the shape decide,
    /// and errors of an API carry that name, whether they are signed or not; pages and plain text,
    /// which may be a proxy's, do not.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let shape = BUILT_IN.iter().chain(BY_NAME).find(|provider| provider.name() == name);
        let sender = || senders::NAMES.iter().find(|known| **known == name);
        let named = match shape {
            Some(provider) => Named::Shape(*provider),
            None => Named::Sender(sender()?),
        };
        Some(Self { first: Vec::new(), named: Some(named) })
    }

    /// The names of the built-in providers, in the order of asking, of those that are asked only
    /// when chosen, and then of those who write in the shapes of others.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let shapes = BUILT_IN.iter().chain(BY_NAME).map(|provider| provider.name());
        shapes.chain(senders::NAMES.iter().copied())
    }

    /// Asks `provider` before the ones added so far.
    #[must_use]
    pub fn with(mut self, provider: impl Provider + 'static) -> Self {
        self.first.insert(0, Arc::new(provider));
        self
    }

    /// What this failure means.
    #[must_use]
    pub fn read(&self, failure: &Failure<'_>) -> InferenceError {
        let chosen = match self.named {
            Some(Named::Shape(provider)) => Some(provider),
            _ => None,
        };
        let added = self.first.iter().map(|provider| &**provider);
        if let Some(read) = added.chain(chosen).find_map(|provider| provider.read(failure)) {
            return read;
        }
        let mut built_in = BUILT_IN.iter();
        let read = built_in.find_map(|provider| Some((provider.name(), provider.read(failure)?)));
        let (shape, read) = read.unwrap_or_else(|| (Fallback.name(), fallback::read(failure)));
        let sender = match self.named {
            Some(Named::Sender(name))
                if !matches!(shape, "inference" | "html" | "text" | "unknown") =>
            {
                Some(name)
            }
            _ => senders::name(failure, shape),
        };
        match sender {
            Some(name) => read.with_provider(name),
            None => read,
        }
    }
}

/// What all built-in providers make of an answer, for the tests of each; status 0 is an event.
#[cfg(test)]
fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> InferenceError {
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let headers = headers.collect();
    let failure = match http::StatusCode::from_u16(status) {
        Ok(status) => Failure::of_answer(status, &headers, body.as_bytes()),
        Err(_) => Failure::of_event(body.as_bytes()),
    };
    Providers::auto().read(&failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Category;

    #[test]
    fn every_provider_can_be_named_once() {
        let mut names: Vec<_> = Providers::names().collect();
        assert!(names.iter().all(|name| Providers::named(name).is_some()));
        assert!(Providers::named("nobody").is_none());
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn whatever_the_body_the_status_is_not_lost() {
        let deep = "[".repeat(100_000);
        let deeper = format!("{{\"error\":{deep}");
        let bodies = [
            "",
            " ",
            "null",
            "[]",
            "{}",
            "\"\"",
            "NaN",
            "{\"error\":null}",
            "{\"error\":{}}",
            "{\"error\":[]}",
            "{\"detail\":null}",
            "{\"message\":\"\"}",
            "\u{0}\u{1}",
            "{\"error\":1e999}",
            &deep,
            &deeper,
        ];
        for body in bodies {
            let error = answer(429, &[], body);
            assert_eq!(error.category(), Category::RateLimited, "{body:.30}");
            assert_eq!(error.provider_status().map(|s| s.as_u16()), Some(429));
            assert!(!error.message().is_empty(), "{body:.30}");
        }
    }

    #[test]
    fn an_event_goes_by_the_status_among_its_members() {
        let table = [
            (r#"{"error":{"message":"x","code":400}}"#, Category::InvalidRequest),
            (r#"{"error":{"message":"x","code":"503"}}"#, Category::Overloaded),
            (r#"{"error":{"message":"x","http_status_code":422}}"#, Category::InvalidRequest),
            (r#"{"message":"x","type":"e","status_code":429}"#, Category::RateLimited),
            (r#"{"error":{"message":"x","code":1}}"#, Category::UpstreamError),
            (
                r#"{"error":{"message":"x","type":"invalid_request_error"}}"#,
                Category::InvalidRequest,
            ),
            (r#"{"error":"x"}"#, Category::UpstreamError),
            (
                r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}}"#,
                Category::RateLimited,
            ),
        ];
        for (body, expected) in table {
            let error = answer(0, &[], body);
            assert_eq!((error.category(), error.provider_status()), (expected, None), "{body}");
        }
    }
}
