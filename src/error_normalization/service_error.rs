//! What an error of the inner service means. It is answered, never propagated.
//!
//! The texts are ours: what a connector or a pool says of addresses and internals stays in the
//! error's source, for the operator.

use super::config::Config;
use crate::error::{Category, InferenceError, Origin};
use std::{error::Error, io};
use tower::BoxError;

/// How deep a chain of causes is followed.
const DEEPEST: usize = 32;

/// What this error means: a user's word first, then whatever known error stands in the chain.
pub(super) fn read(error: BoxError, config: &Config) -> InferenceError {
    if let Some(error) = config.map_error.as_ref().and_then(|map| map(&*error)) {
        return error;
    }
    if let Some(error) = chain(&*error).find_map(|cause| cause.downcast_ref::<InferenceError>()) {
        return error.clone();
    }
    let (category, message) = chain(&*error)
        .find_map(known)
        .unwrap_or((Category::UpstreamError, "the request to the upstream failed"));
    InferenceError::new(category, message).with_origin(Origin::Service).with_source(error)
}

/// The error and its causes. `io::Error` hides what it wraps from `source()`, so it is asked too.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
        Some(current)
    })
    .take(DEEPEST)
}

fn known(cause: &(dyn Error + 'static)) -> Option<(Category, &'static str)> {
    if cause.is::<tower::timeout::error::Elapsed>() {
        return Some((Category::Timeout, "the upstream did not answer in time"));
    }
    if cause.is::<tower::load_shed::error::Overloaded>() {
        return Some((Category::Overloaded, "the service is at its limit"));
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::TimedOut => {
                Some((Category::Timeout, "the upstream did not answer in time"))
            }
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => {
                Some((Category::UpstreamError, "the upstream could not be reached"))
            }
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => {
                Some((Category::UpstreamError, "the upstream closed the connection"))
            }
            _ => None,
        };
    }
    // tower's buffer is behind a feature that pulls in more; its closed worker is known by its text.
    let text = cause.to_string();
    (text == "buffer's worker closed unexpectedly")
        .then_some((Category::Overloaded, "the service is shutting down"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(error: impl Into<BoxError>) -> Category {
        read(error.into(), &Config::default()).category()
    }

    #[test]
    fn an_inference_error_is_found_under_whatever_wraps_it() {
        let ours = || InferenceError::new(Category::ModelNotReady, "soon");
        assert_eq!(category(ours()), Category::ModelNotReady);
        assert_eq!(category(io::Error::other(ours())), Category::ModelNotReady);
        assert_eq!(category(io::Error::other(io::Error::other(ours()))), Category::ModelNotReady);
    }

    #[test]
    fn towers_errors_are_known() {
        assert_eq!(category(tower::timeout::error::Elapsed::new()), Category::Timeout);
        assert_eq!(category(tower::load_shed::error::Overloaded::new()), Category::Overloaded);
    }

    #[tokio::test]
    async fn a_buffer_whose_worker_is_gone_is_known_by_its_text() {
        use tower::{ServiceExt, buffer::Buffer, service_fn};
        let inner = service_fn(|()| async { Ok::<_, BoxError>(()) });
        let (mut buffer, worker) = Buffer::pair(inner, 1);
        drop(worker);
        let error = buffer.ready().await.err().unwrap();
        assert_eq!(category(error), Category::Overloaded);
    }

    #[test]
    fn io_errors_are_known_by_their_kind_and_not_quoted() {
        let error = io::Error::new(io::ErrorKind::ConnectionRefused, "10.0.0.7:8000 refused");
        let error = read(error.into(), &Config::default());
        assert_eq!(error.category(), Category::UpstreamError);
        assert_eq!(error.message(), "the upstream could not be reached");
        assert!(error.source().unwrap().to_string().contains("10.0.0.7:8000"));
        assert_eq!(category(io::Error::from(io::ErrorKind::TimedOut)), Category::Timeout);
    }

    #[test]
    fn what_nobody_knows_is_an_upstream_error() {
        assert_eq!(category("boom"), Category::UpstreamError);
        assert_eq!(read(BoxError::from("boom"), &Config::default()).origin(), Origin::Service);
    }

    #[test]
    fn the_users_word_comes_first() {
        let config = Config {
            map_error: Some(std::sync::Arc::new(|error| {
                Some(InferenceError::new(Category::Conflict, error.to_string()))
            })),
            ..Config::default()
        };
        assert_eq!(read(BoxError::from("boom"), &config).category(), Category::Conflict);
    }
}
