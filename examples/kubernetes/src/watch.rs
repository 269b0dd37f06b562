//! From the API server to the registry.
//!
//! A watcher by itself resumes after a failure without a word, and a gate that had closed would stay
//! closed for as long as nothing changes. So every failure ends the stream of updates, which closes
//! the gate, and another watcher begins with a list, which opens it again.
//!
//! | the API server | the gate |
//! |---|---|
//! | ends a watch, as it does every half a minute | stays as it is, the watch is resumed |
//! | has forgotten where the watch was (410) | stays as it is until a new list replaces it at once |
//! | answers with another error, or not at all | closes, until there is a new list |

use crate::slices::{SERVICE, Slices};
use futures::{Stream, StreamExt, TryStreamExt, future::ready, stream};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Config,
    runtime::{
        WatchStreamExt,
        watcher::{self, Error, Event, watcher},
    },
};
use std::time::Duration;
use tower_inference::{ModelRegistry, readiness::Update};

/// How long one watch lasts before the API server ends it.
pub(crate) const WATCH: Duration = Duration::from_secs(30);

/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// `config` with limits for a client whose watches last this long: nothing else tells that an API
/// server is gone whose connections stay open.
pub(crate) fn with_limits(mut config: Config, watch: Duration) -> Config {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(watch + watch / 6);
    // Else the time that a connection was idle counts too.
    config.reset_reader_on_write = true;
    // Retries would hide a failure for minutes.
    config.default_retry = false;
    config
}

/// Which slices to watch: those of these services.
pub(crate) fn slices_of(services: &[String], watch: Duration) -> watcher::Config {
    let seconds = u32::try_from(watch.as_secs()).unwrap_or(u32::MAX);
    let selector = format!("{SERVICE} in ({})", services.join(","));
    watcher::Config::default().labels(&selector).timeout(seconds)
}

/// Tells the registry what becomes of the slices, without end. After a failure the next watch waits
/// for the next of `backoff`.
pub(crate) async fn follow(
    models: ModelRegistry,
    api: Api<EndpointSlice>,
    config: watcher::Config,
    mut backoff: impl Iterator<Item = Duration>,
    mut slices: Slices,
) {
    loop {
        let events = watcher(api.clone(), config.clone()).default_backoff();
        models.follow(updates(events, &mut slices)).await;
        tokio::time::sleep(backoff.next().unwrap_or(WATCH)).await;
    }
}

/// The updates that follow from these events, until the first failure.
fn updates(
    events: impl Stream<Item = Result<Event<EndpointSlice>, Error>>,
    slices: &mut Slices,
) -> impl Stream<Item = Update> {
    events
        .inspect_err(|error| eprintln!("{error}"))
        .take_while(|event| ready(event.as_ref().err().is_none_or(is_expired)))
        .flat_map(|event| {
            stream::iter(event.map_or_else(|_| Vec::new(), |event| slices.apply(event)))
        })
}

/// Whether the watcher is about to make a new list. It does so for a 410 in a watch, not for one in
/// place of it.
fn is_expired(error: &Error) -> bool {
    matches!(error, Error::WatchError(status) if status.code == 410)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn failed(code: u16) -> Error {
        Error::WatchError(Status { code, ..Status::default() }.boxed())
    }

    #[tokio::test]
    async fn updates_end_with_the_first_failure_that_is_no_expiry() {
        let not_started = || {
            let gone = Status { code: 410, ..Status::default() };
            Error::WatchStartFailed(kube::Error::Api(gone.boxed()))
        };
        let table =
            [(failed(410), 2), (failed(500), 1), (not_started(), 1), (Error::NoResourceVersion, 1)];
        for (error, lists) in table {
            let name = error.to_string();
            let events = [Ok(Event::InitDone), Err(error), Ok(Event::Init), Ok(Event::InitDone)];
            let mut slices = Slices::new(None, Vec::new());
            let updates: Vec<_> = updates(stream::iter(events), &mut slices).collect().await;
            assert_eq!(updates, vec![Update::Synced; lists], "{name}");
        }
    }

    #[test]
    fn the_selector_names_all_services() {
        let config = slices_of(&["a".into(), "b".into()], WATCH);
        assert_eq!(config.label_selector.as_deref(), Some("kubernetes.io/service-name in (a,b)"));
        assert_eq!(config.timeout, Some(30));
    }
}
