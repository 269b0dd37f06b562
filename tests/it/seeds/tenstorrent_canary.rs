//! Tenstorrent's canary, pull requests 4275 and 4276: a model that hangs is found out.

use crate::{
    probes::{HEALTHY, Heard, Mode, Server},
    support::{always, json, post, send, stack_in, untouched},
};
use http::{Request, StatusCode};
use http_body_util::Full;
use std::time::Duration;
use tokio::time::sleep;
use tower_inference::{
    Category, InferenceError, Origin, ProbeDriver, ReadyFlag, dialect,
    observe::{Completion, Observe},
    readiness::{Phase, Preset, ProbeHandle, State},
};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);

/// A canary with deep probes, every third, on a server that is up.
async fn canary() -> (Server, ReadyFlag, ProbeHandle, Heard) {
    let (server, flag, heard) = (Server::new(HEALTHY), ReadyFlag::new(), Heard::default());
    let preset = Preset::tenstorrent().model("llama-3");
    let driver = ProbeDriver::new(server.service(), preset, flag.reporter())
        .deep_every(3)
        .observe(heard.clone());
    let handle = driver.handle();
    tokio::spawn(driver.run());
    sleep(MOMENT).await;
    assert_eq!((flag.state(), handle.phase()), (State::Ready, Phase::Healthy));
    (server, flag, handle, heard)
}

fn get(path: &str) -> Request<Full<bytes::Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

// T10 T12 T15
#[tokio::test]
async fn liveness_never_fails_for_want_of_readiness() {
    const ALIVE: &str = r#"{"status":"alive","model_ready":false}"#;
    let flag = ReadyFlag::new();
    for state in [State::starting(), State::Incomplete, State::Failed, State::Draining] {
        flag.set(state);
        let service = stack_in(dialect::Detail, flag.clone(), always(|| json(200, ALIVE)));
        for path in ["/tt-liveness", "/health", "/metrics"] {
            let answer = send(&service, get(path)).await;
            assert_eq!((answer.status().as_u16(), answer.text()), (200, ALIVE), "{path}");
        }
        let service = stack_in(dialect::Detail, flag.clone(), untouched());
        assert_eq!(send(&service, post("/v1/chat/completions", "{}")).await.status(), 503);
    }
}

// T11 T13
#[tokio::test(start_paused = true)]
async fn a_server_that_denies_readiness_in_whatever_words_is_starting() {
    let words = [
        (200, r#"{"status":"alive","model_ready":false}"#),
        (405, r#"{"detail":"Model is not ready"}"#),
        (500, r#"{"detail":"405: Model is not ready"}"#),
        (503, r#"{"detail":"Service unavailable: No workers available."}"#),
    ];
    for (status, body) in words {
        let (server, flag, ..) = canary().await;
        server.set(Mode::Answers(status, body));
        sleep(25 * SECOND).await;
        assert_eq!(flag.state(), State::starting(), "{status} {body}");
        sleep(600 * SECOND).await;
        assert_eq!(flag.state(), State::starting(), "{status} {body}");
        server.set(HEALTHY);
        sleep(5 * SECOND).await;
        assert_eq!(flag.state(), State::Ready, "{status} {body}");
    }
}

// T16
#[tokio::test(start_paused = true)]
async fn a_canary_goes_through_its_states() {
    let (server, flag) = (Server::new(Mode::Refuses), ReadyFlag::new());
    let driver = ProbeDriver::new(server.service(), Preset::tenstorrent(), flag.reporter());
    let handle = driver.handle();
    let mut phases = vec![handle.phase()];
    tokio::spawn(driver.run());
    for tick in 0..700 {
        match tick {
            100 => server.set(HEALTHY),
            200 => server.set(Mode::Hangs),
            _ => {}
        }
        sleep(SECOND / 10).await;
        if phases.last() != Some(&handle.phase()) {
            phases.push(handle.phase());
        }
    }
    let expected = [Phase::Starting, Phase::Healthy, Phase::Probing, Phase::Suspect, Phase::Dead];
    assert_eq!(phases, expected);
}

// T17
#[tokio::test(start_paused = true)]
async fn the_defaults_are_a_grace_of_30_s_a_timeout_of_3_s_and_3_misses() {
    let (server, flag, heard) = (Server::new(Mode::Hangs), ReadyFlag::new(), Heard::default());
    let driver = ProbeDriver::new(server.service(), Preset::tenstorrent(), flag.reporter());
    tokio::spawn(driver.observe(heard.clone()).run());
    sleep(30 * SECOND).await;
    assert_eq!(flag.state(), State::starting());
    // The third miss after the grace period.
    sleep(18 * SECOND).await;
    assert_eq!(flag.state(), State::Failed);
    assert!(heard.probes.lock().unwrap().iter().all(|probe| *probe == (false, "failed")));
    assert!(server.paths().iter().all(|path| path == "/tt-liveness"), "deep probes are off");
}

// T18
#[tokio::test(start_paused = true)]
async fn a_request_that_completes_aborts_the_running_probe_without_a_miss() {
    let (server, flag, handle, heard) = canary().await;
    server.set(Mode::Hangs);
    for _ in 0..600 {
        sleep(SECOND).await;
        handle.completed(&Completion::new(None, StatusCode::OK));
    }
    assert_eq!(flag.state(), State::Ready);
    let probes = heard.probes.lock().unwrap();
    assert!(probes.len() > 100, "{}", probes.len());
    assert!(probes[1..].iter().all(|(_, outcome)| *outcome == "aborted"), "{probes:?}");
}

// T18
#[tokio::test(start_paused = true)]
async fn a_request_that_completes_clears_the_misses() {
    let (server, flag, handle, _) = canary().await;
    for _ in 0..20 {
        server.set(Mode::Refuses);
        sleep(7 * SECOND).await;
        handle.completed(&Completion::new(None, StatusCode::OK));
        assert_eq!(flag.state(), State::Ready);
    }
}

// T19
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_no_miss() {
    const FULL: &str = r#"{"detail":"Task queue is full. Please try again later."}"#;
    let (server, flag, handle, heard) = canary().await;
    server.set_work(Mode::Answers(429, FULL));
    sleep(600 * SECOND).await;
    assert_eq!((flag.state(), handle.phase()), (State::Ready, Phase::Healthy));
    assert!(heard.probes.lock().unwrap().contains(&(true, "busy")));
}

// T20
#[tokio::test(start_paused = true)]
async fn a_shallow_success_does_not_hide_a_model_that_hangs() {
    let (server, flag, handle, heard) = canary().await;
    server.set_work(Mode::Hangs);
    sleep(60 * SECOND + 3 * 5 * SECOND).await;
    assert_eq!((flag.state(), handle.phase()), (State::Ready, Phase::Suspect));
    sleep(2 * (60 * SECOND + 3 * 5 * SECOND)).await;
    assert_eq!(handle.phase(), Phase::Dead);
    assert!(!flag.state().is_ready());
    let count = |probe| heard.probes.lock().unwrap().iter().filter(|it| **it == probe).count();
    assert!(count((false, "ready")) > 3 && count((true, "failed")) >= 3);
    // Nor does it open the gate again: a deep one must.
    sleep(600 * SECOND).await;
    assert_eq!(flag.state(), State::Failed);
    server.set_work(HEALTHY);
    sleep(65 * SECOND).await;
    assert_eq!(flag.state(), State::Ready);
}

// T21
#[tokio::test(start_paused = true)]
async fn a_dead_model_is_a_503() {
    let (server, flag, ..) = canary().await;
    server.set(Mode::Refuses);
    sleep(60 * SECOND).await;
    let service = stack_in(dialect::Detail, flag, untouched());
    let answer = send(&service, post("/v1/chat/completions", "{}")).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.error().category(), Category::ModelNotReady);
    assert_eq!(answer.error().label(), Some("failed"));
}

// T14
#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_and_is_restarted_is_taken_back() {
    let (server, flag, handle, heard) = canary().await;
    let broken = InferenceError::new(Category::UpstreamError, "").with_origin(Origin::Service);
    for _ in 0..3 {
        server.set(Mode::Refuses);
        handle.failed(&broken);
        handle.failed(&broken);
        handle.failed(&broken);
        assert_eq!(flag.state(), State::starting(), "it may be restarting");
        sleep(25 * SECOND).await;
        assert_eq!(flag.state(), State::starting());
        server.set(HEALTHY);
        sleep(5 * SECOND).await;
        assert_eq!(flag.state(), State::Ready);
    }
    // T22: what a gauge shows is told.
    let states: Vec<_> = heard.states.lock().unwrap().iter().map(|(_, state)| *state).collect();
    let (up, down) = (State::Ready, State::starting());
    assert_eq!(states, [up, down, up, down, up, down, up]);
}
