//! One request and what is needed to answer it, when its answer turns out to be a failure.

use super::{
    ResponseBody,
    config::{Config, PromoteWithin},
    credentials, decode, service_error,
};
use crate::{
    dialect::{Client, Dialect, RequestedDialect, Seen, View},
    error::{Category, InferenceError, retry_after},
    head::{RequestHead, RequestedModel},
    observe::{Completion, StreamEnd, StreamOutcome},
    provider::Failure,
};
use bytes::Bytes;
use http::{Response, StatusCode, response};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tower::BoxError;

#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) config: Arc<Config>,
    pub(super) client: Client,
    model: Option<RequestedModel>,
    dialect: Option<RequestedDialect>,
    promote_within: Option<PromoteWithin>,
    /// When the request came, if anybody is to hear how long its first event took.
    began: Option<Instant>,
}

impl Exchange {
    pub(super) fn of(head: RequestHead<'_>, config: &Arc<Config>) -> Self {
        let client = Client::of(head);
        let operates = client.operation().is_some();
        let extensions = head.extensions();
        Self {
            config: Arc::clone(config),
            client,
            model: extensions.get().cloned(),
            dialect: extensions.get().cloned(),
            promote_within: if operates { extensions.get().copied() } else { None },
            began: (operates && config.observer.is_some()).then(Instant::now),
        }
    }

    /// The dialect that somebody has set, for this request or for all.
    pub(super) fn set_dialect(&self) -> Option<&dyn Dialect> {
        self.dialect.as_ref().map(RequestedDialect::get).or(self.config.dialect.as_deref())
    }

    fn dialect(&self) -> &dyn Dialect {
        self.set_dialect().unwrap_or_else(|| self.client.dialect())
    }

    pub(super) fn promote_within(&self) -> Duration {
        self.promote_within.map_or(self.config.promote_within, |PromoteWithin(wait)| wait)
    }

    /// How long ago the request came; `None` if nobody is to hear of it.
    #[inline]
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }

    /// What the upstream's answer with this head and body means.
    pub(super) fn read_answer(&self, head: &response::Parts, body: &[u8]) -> InferenceError {
        let body = decode::decode(&head.headers, body, self.config.max_error_body);
        let failure = Failure::of_answer(head.status, &head.headers, &body).at(SystemTime::now());
        self.complete(self.config.providers.read(&failure))
    }

    /// What an error event means.
    pub(super) fn read_event(&self, data: &[u8]) -> InferenceError {
        self.complete(self.config.providers.read(&Failure::of_event(data)))
    }

    /// What an error of the inner service means.
    pub(super) fn read_service_error(&self, error: BoxError) -> InferenceError {
        self.complete(service_error::read(error, &self.config))
    }

    /// Adds what the request knows, and a hint where a client would come back too soon by itself:
    /// SDKs wait half a second, a model takes longer to load.
    pub(super) fn complete(&self, mut error: InferenceError) -> InferenceError {
        if let (Some(model), None) = (&self.model, error.model()) {
            error = error.with_model(model.as_str().to_owned());
        }
        if error.category() == Category::ModelNotReady && error.retry_after().is_none() {
            error = error.with_retry_after(retry_after::soon());
        }
        error
    }

    /// This error as the answer, in place of the one with the head `parts`; the observer hears it.
    pub(super) fn replace<B>(
        &self,
        parts: response::Parts,
        error: InferenceError,
    ) -> Response<ResponseBody<B>> {
        self.observe(&error);
        self.render(parts, error)
    }

    /// The same for an error that the observer has heard of.
    pub(super) fn render<B>(
        &self,
        mut parts: response::Parts,
        error: InferenceError,
    ) -> Response<ResponseBody<B>> {
        if self.config.credentials.hides(&error) {
            credentials::remove_account(&mut parts.headers);
        }
        let error = self.config.credentials.public(error);
        self.client
            .replace(parts, error, self.dialect(), &self.config.disclosure)
            .map(ResponseBody::full)
    }

    /// This error as the end of a stream; the observer hears it.
    pub(super) fn last_word(&self, error: &InferenceError, seen: &Seen<'_>) -> Bytes {
        self.observe(error);
        let error = &self.config.credentials.public(error.clone());
        let view = View::of(error, self.client.operation(), &self.config.disclosure);
        self.dialect().last_word(&view, seen).into()
    }

    /// How often a client hears a comment while it waits, if it survives one.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        let dialect = self.client.dialect();
        self.config.keep_alive.filter(|_| dialect.survives_comments())
    }

    /// Whether the body of a stream fails after its last word.
    pub(super) fn fails_after_last_word(&self) -> bool {
        self.dialect().fails_after_last_word()
    }

    /// Whether an answer that `error` was rendered into is to be rendered again, in another dialect.
    pub(super) fn renders_again(&self, error: &InferenceError) -> bool {
        self.set_dialect().is_some_and(|dialect| error.rendered_in() != Some(dialect.name()))
    }

    /// Tells the observer of a stream's end, with what it has seen of the stream.
    pub(super) fn stream_ended(
        &self,
        outcome: StreamOutcome,
        events: u64,
        first_event: Option<Duration>,
    ) {
        if let Some(observer) = &self.config.observer {
            let model = self.model.as_ref().map(RequestedModel::as_str);
            let took = self.elapsed().unwrap_or_default();
            observer.stream_ended(&StreamEnd { model, outcome, events, first_event, took });
        }
        if outcome == StreamOutcome::Completed {
            self.completed(StatusCode::OK);
        }
    }

    /// Tells the observer of work that was done; health checks and lists of models are none.
    #[inline]
    pub(super) fn completed(&self, status: StatusCode) {
        if let (Some(observer), Some(_)) = (&self.config.observer, self.client.operation()) {
            let model = self.model.as_ref().map(RequestedModel::as_str);
            observer.completed(&Completion::new(model, status));
        }
    }

    fn observe(&self, error: &InferenceError) {
        if let Some(observer) = &self.config.observer {
            observer.failed(error);
        }
    }
}
