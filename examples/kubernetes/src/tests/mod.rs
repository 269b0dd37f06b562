//! The whole way, from what an API server says to what a client is answered.

pub(crate) mod api_server;

use crate::{app::app, slices::Slices, watch};
use api_server::{ApiServer, slice};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::{iter, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower::ServiceExt;
use tower_inference::{ModelRegistry, readiness::UnknownModel};

const OK: StatusCode = StatusCode::OK;
const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// How long a watch lasts here.
const WATCH: Duration = Duration::from_secs(1);

/// The app that follows the service `llama`.
struct Gate {
    app: Router,
    following: JoinHandle<()>,
}

impl Gate {
    fn new(server: &ApiServer, roles: &[&str]) -> Self {
        let config = watch::with_limits(server.config.clone(), WATCH);
        let api = Api::namespaced(Client::try_from(config).unwrap(), "default");
        let services = watch::slices_of(&["llama".to_owned()], WATCH);
        let slices = Slices::new(None, roles.iter().copied().map(String::from).collect());
        let models = ModelRegistry::discovering().unknown_model(UnknownModel::NotFound);
        let app = app(&models);
        let backoff = iter::repeat(Duration::from_millis(10));
        let following = tokio::spawn(watch::follow(models, api, services, backoff, slices));
        Self { app, following }
    }

    /// What a request for this model is answered now.
    async fn ask(&self, model: &str) -> (StatusCode, String) {
        let request = Request::post("/v1/chat/completions")
            .body(Body::from(json!({ "model": model, "messages": [] }).to_string()))
            .unwrap();
        let (head, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8(body.into()).unwrap())
    }

    /// Waits until requests for this model are answered so, and returns what they were until then.
    async fn until(&self, model: &str, status: StatusCode) -> Vec<StatusCode> {
        let mut before = Vec::new();
        let changed = async {
            loop {
                match self.ask(model).await.0 {
                    now if now == status => return,
                    now => before.push(now),
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        let changed = timeout(Duration::from_secs(10), changed).await.is_ok();
        assert!(changed, "never {status}, but {:?}", before.last());
        before
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// A slice of the service `llama`.
fn llama(name: &str, pods: &[(&str, bool)]) -> Value {
    slice(name, json!({ "kubernetes.io/service-name": "llama" }), pods)
}

fn with_role(role: &str, pods: &[(&str, bool)]) -> Value {
    let labels = json!({ "kubernetes.io/service-name": "llama", "tower-inference/role": role });
    slice(role, labels, pods)
}

#[tokio::test]
async fn a_model_is_ready_while_one_of_its_endpoints_is() {
    let server = ApiServer::start([llama("x", &[("a", false), ("b", false)])]).await;
    let gate = Gate::new(&server, &[]);
    gate.until("llama", UNAVAILABLE).await;
    server.send("MODIFIED", llama("x", &[("a", true), ("b", false)]));
    gate.until("llama", OK).await;
    server.send("ADDED", llama("y", &[("c", true)]));
    server.send("MODIFIED", llama("x", &[("a", false), ("b", false)]));
    server.send("MODIFIED", llama("y", &[("c", false)]));
    gate.until("llama", UNAVAILABLE).await;
    let (_, body) = gate.ask("llama").await;
    assert!(body.contains("Model `llama` is not ready to serve requests yet."), "{body}");
    assert!(
        server.requests().iter().all(|it| it.ends_with("kubernetes.io/service-name in (llama)"))
    );
}

#[tokio::test]
async fn nothing_passes_before_the_first_list() {
    let server = ApiServer::start([llama("x", &[("a", true)])]).await;
    server.refuse(StatusCode::FORBIDDEN);
    let gate = Gate::new(&server, &[]);
    while server.requests().len() < 3 {
        assert_eq!(gate.ask("llama").await.0, UNAVAILABLE);
        assert_eq!(gate.ask("other").await.0, UNAVAILABLE);
        sleep(Duration::from_millis(2)).await;
    }
    server.refuse(None);
    gate.until("llama", OK).await;
    assert_eq!(gate.ask("other").await.0, NOT_FOUND);
}

#[tokio::test]
async fn a_model_needs_all_of_its_roles() {
    let server = ApiServer::start([with_role("decode", &[("d", true)])]).await;
    let gate = Gate::new(&server, &["prefill", "decode"]);
    gate.until("llama", UNAVAILABLE).await;
    server.send("ADDED", with_role("prefill", &[("p", false)]));
    server.send("MODIFIED", with_role("prefill", &[("p", true)]));
    gate.until("llama", OK).await;
    server.send("MODIFIED", with_role("decode", &[("d", false)]));
    gate.until("llama", UNAVAILABLE).await;
    server.send("MODIFIED", with_role("decode", &[("d", true)]));
    gate.until("llama", OK).await;
    server.send("DELETED", with_role("prefill", &[]));
    gate.until("llama", UNAVAILABLE).await;
}

#[tokio::test]
async fn a_deleted_slice_takes_its_endpoints_with_it() {
    let server = ApiServer::start([llama("x", &[("a", true)])]).await;
    let gate = Gate::new(&server, &[]);
    gate.until("llama", OK).await;
    server.send("DELETED", llama("x", &[("a", true)]));
    gate.until("llama", UNAVAILABLE).await;
}

#[tokio::test]
async fn a_broken_watch_closes_the_gate_until_there_is_a_new_list() {
    let server = ApiServer::start([llama("x", &[("a", true)])]).await;
    let gate = Gate::new(&server, &[]);
    gate.until("llama", OK).await;
    server.refuse(UNAVAILABLE);
    server.cut();
    gate.until("llama", UNAVAILABLE).await;
    let (_, body) = gate.ask("llama").await;
    assert!(body.contains("Service is not ready"), "{body}");
    // Nothing changes meanwhile, so that only a list can tell.
    server.refuse(None);
    gate.until("llama", OK).await;
}

#[tokio::test]
async fn a_silent_api_server_closes_the_gate() {
    let server = ApiServer::start([llama("x", &[("a", true)])]).await;
    let gate = Gate::new(&server, &[]);
    gate.until("llama", OK).await;
    server.hang(true);
    gate.until("llama", UNAVAILABLE).await;
    server.hang(false);
    gate.until("llama", OK).await;
}

#[tokio::test]
async fn a_watch_that_ends_in_good_order_is_resumed_with_the_gate_open() {
    let server = ApiServer::start([llama("x", &[("a", true)])]).await;
    let gate = Gate::new(&server, &[]);
    gate.until("llama", OK).await;
    server.end();
    server.end();
    server.send("MODIFIED", llama("x", &[("a", false)]));
    let before = gate.until("llama", UNAVAILABLE).await;
    assert!(before.iter().all(|status| *status == OK), "{before:?}");
    assert_eq!(server.requests().iter().filter(|it| it.starts_with("LIST")).count(), 1);
}

#[tokio::test]
async fn an_expired_watch_leaves_the_gate_open_until_a_new_list_replaces_all() {
    let server = ApiServer::start([llama("x", &[("a", true)])]).await;
    let gate = Gate::new(&server, &[]);
    gate.until("llama", OK).await;
    let other = json!({ "kubernetes.io/service-name": "llama", "tower-inference/model": "qwen" });
    server.list([slice("y", other, &[("b", true)])]);
    server.expire();
    let before = gate.until("qwen", OK).await;
    assert!(before.iter().all(|status| *status == NOT_FOUND), "the gate closed: {before:?}");
    gate.until("llama", UNAVAILABLE).await;
}
