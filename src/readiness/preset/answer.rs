//! What a server said to a probe, and what that means where nobody knows better.

use crate::{
    error::Category,
    provider::{self, Failure, Providers},
};
use http::{HeaderMap, StatusCode};
use std::{borrow::Cow, time::Duration};

/// What one probe found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server serves.
    Ready,
    /// The server says that it does not serve yet, or no longer.
    NotReady {
        /// How long it will still take, if it said so.
        eta: Option<Duration>,
    },
    /// The server is alive, and did not get to the question. Neither a success nor a failure.
    Busy,
    /// There was no answer, or one that nobody gives who serves.
    Failed,
}

impl Outcome {
    /// The name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady { .. } => "not_ready",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// The answer of a server to a probe: what a [`Preset`](super::Preset) reads.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    status: StatusCode,
    failure: Failure<'a>,
}

impl<'a> Answer<'a> {
    /// An answer with at most the first 64 KiB of its body.
    #[must_use]
    pub fn new(status: StatusCode, headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self { status, failure: Failure::of_answer(status, headers, body) }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text of a header; `None` if it holds anything but visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.failure.header(name)
    }

    /// The bytes of the body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.failure.body()
    }

    /// A top-level member of a JSON body that is `true` or `false`.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.failure.json().get(key).boolean()
    }

    /// A top-level member of a JSON body that is a string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.failure.json().get(key).string()
    }

    /// Whether a top-level member of a JSON body is an empty list or object.
    #[must_use]
    pub fn is_empty(&self, key: &str) -> bool {
        let value = self.failure.json().get(key);
        (value.is_array() || value.is_object()) && !value.is_truthy()
    }

    /// What the answer of a health endpoint means, as most servers write it:
    ///
    /// | answer | outcome |
    /// |---|---|
    /// | 2xx | ready |
    /// | 2xx with `"model_ready": false` or `"ready": false` | not ready |
    /// | any status, with a sentence known to mean "loading" (405 `Model is not ready`) | not ready |
    /// | 429, 529 | busy |
    /// | all else | failed |
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.status.is_success() {
            let denied = ["model_ready", "ready"].iter().any(|key| self.flag(key) == Some(false));
            return if denied { Outcome::NotReady { eta: None } } else { Outcome::Ready };
        }
        let error = Providers::auto().read(&self.failure);
        match self.status.as_u16() {
            _ if error.category() == Category::ModelNotReady => {
                Outcome::NotReady { eta: error.retry_after() }
            }
            429 | 529 => Outcome::Busy,
            _ => Outcome::Failed,
        }
    }

    /// What the answer to real work means: 2xx without an error in it is ready; 429, 503 and 529 are
    /// busy, unless they say "loading"; a model that is not found failed; all other 4xx say nothing of
    /// the model, which counts as busy; all else failed.
    #[must_use]
    pub fn deep_outcome(&self) -> Outcome {
        if self.status.is_success() {
            let error = provider::error_in(self.body()).is_some();
            return if error { Outcome::Failed } else { Outcome::Ready };
        }
        let error = Providers::auto().read(&self.failure);
        match (error.category(), self.status.as_u16()) {
            (Category::ModelNotReady, _) => Outcome::NotReady { eta: error.retry_after() },
            (Category::ModelNotFound, _) => Outcome::Failed,
            (_, 400..=499 | 503 | 529) => Outcome::Busy,
            _ => Outcome::Failed,
        }
    }
}
