//! Health and model endpoints that say what the gate does.
//!
//! A health check that disagrees with the gate is worse than none: orchestrators send traffic where
//! it is refused, clients pick models that are not there. These services read the registry that the
//! gate reads.
//!
//! | service | mount at | ready | not ready |
//! |---|---|---|---|
//! | [`live`] | `/live` | 200 `{"status":"live"}` | the same: a loading model is no reason to be killed |
//! | [`ready`], [`health`] | `/ready`, `/health` | 200 `{"status":"ready","models":{…}}` | 503 `{"status":"not_ready","reason":…,"models":{…}}`; `"draining"` while draining |
//! | [`models`] | `/v1/models` | 200, the models that are ready | 503 in the client's dialect |
//! | | `/v1/models/{id}` | 200, if that model is ready | 503 or 404 in the client's dialect |
//! | | `/v1/models/{id}/ready` | 200 `{"id":…,"ready":true,…}` | 200 `{"id":…,"ready":false,…}`, with what is missing |
//!
//! They answer GET and HEAD, everything else with 405.
//!
//! # What operators see of a model
//!
//! `/v1/models/{id}/ready` shows the [`Breakdown`] of a model, with all that clients are not told:
//! roles, replicas, what is missing where. It answers 200 for every model that the registry knows,
//! however closed the gate is, and the [gate lets it pass](crate::ReadinessLayer::exempt). A model
//! whose own id ends in `/ready` comes first. Keep it from clients if they should not see that.
//!
//! ```json
//! {
//!   "id": "llama-3", "object": "model.readiness", "ready": false,
//!   "state": "incomplete", "reported": "ready", "process": "ready",
//!   "namespaces": { "default": {
//!     "ready": false, "present": ["decode"], "missing": ["prefill"], "ambiguous": [],
//!     "units": [{ "id": "d", "role": "decode", "live": 2, "needs": [["prefill"]] }]
//!   } }
//! }
//! ```
//!
//! # Example: an axum router
//!
//! ```
//! use axum::Router;
//! use tower_inference::{ModelRegistry, endpoints};
//!
//! let models = ModelRegistry::new();
//! let app: Router = Router::new()
//!     .route_service("/live", endpoints::live())
//!     .route_service("/ready", endpoints::ready(models.clone()))
//!     .route_service("/v1/models", endpoints::models(models.clone()))
//!     .route_service("/v1/models/{*id}", endpoints::models(models));
//! # let _ = app;
//! ```

use crate::{
    dialect::{Client, Disclosure},
    error::{Category, InferenceError},
    head::RequestHead,
    readiness::{
        Breakdown, Diagnosis, ModelRegistry, NotReady, ReadinessProbe, State, Unit, unknown_model,
    },
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use std::{
    convert::Infallible,
    future::{Ready, ready as done},
    task::{Context, Poll},
};
use tower::Service;

/// Answers 200 as long as the process can answer at all.
#[must_use]
pub fn live() -> Endpoint {
    Endpoint { kind: Kind::Live, models: ModelRegistry::new() }
}

/// Answers 200 while the process and, if there are models, at least one of them is ready.
#[must_use]
pub fn ready(models: ModelRegistry) -> Endpoint {
    Endpoint { kind: Kind::Ready, models }
}

/// The same as [`ready`], under the name that other tools look for.
#[must_use]
pub fn health(models: ModelRegistry) -> Endpoint {
    ready(models)
}

/// Lists the models that are ready, and describes one: `/v1/models/{id}`, of a model or an alias,
/// answers 200, 503 while the model is not ready, and 404 if nobody knows it. A model that is listed
/// passes the gate. `/v1/models/{id}/ready` tells operators why it does or does not; see the
/// [module docs](self).
#[must_use]
pub fn models(models: ModelRegistry) -> Endpoint {
    Endpoint { kind: Kind::Models, models }
}

/// An endpoint over a [`ModelRegistry`]; see the [module docs](self).
#[derive(Clone, Debug)]
pub struct Endpoint {
    kind: Kind,
    models: ModelRegistry,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Live,
    Ready,
    Models,
}

impl<B> Service<Request<B>> for Endpoint {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        done(Ok(self.answer(RequestHead::of(&request))))
    }
}

impl Endpoint {
    fn answer(&self, head: RequestHead<'_>) -> Response<String> {
        if !matches!(*head.method(), Method::GET | Method::HEAD) {
            let error = InferenceError::new(Category::Unsupported, "only GET is allowed here")
                .with_provider_status(StatusCode::METHOD_NOT_ALLOWED);
            let mut answer = refuse(head, error);
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match self.kind {
            Kind::Live => respond(head, StatusCode::OK, &json!({ "status": "live" })),
            Kind::Ready => self.readiness(head),
            Kind::Models => match after_models(head.uri().path()) {
                "" => self.list(head),
                rest => self.model(head, rest),
            },
        }
    }

    fn readiness(&self, head: RequestHead<'_>) -> Response<String> {
        let snapshot = self.models.snapshot();
        let states =
            snapshot.models().map(|(name, state)| (name.to_owned(), state.as_str().into()));
        let states: Map<String, Value> = states.collect();
        match snapshot.not_ready() {
            None => respond(head, StatusCode::OK, &json!({ "status": "ready", "models": states })),
            Some(state) => {
                let status = match state {
                    State::Draining => "draining",
                    _ => "not_ready",
                };
                let body = json!({ "status": status, "reason": state.as_str(), "models": states });
                let mut answer = respond(head, StatusCode::SERVICE_UNAVAILABLE, &body);
                let wait = NotReady::new(state).retry_after().as_secs().max(1);
                answer.headers_mut().insert(header::RETRY_AFTER, wait.into());
                answer
            }
        }
    }

    fn list(&self, head: RequestHead<'_>) -> Response<String> {
        let snapshot = self.models.snapshot();
        if !snapshot.process().is_ready() {
            return refuse(head, NotReady::new(snapshot.process()).into_error());
        }
        let ready = snapshot.models().filter(|(_, state)| state.is_ready());
        let data: Vec<Value> = ready.map(|(name, _)| describe(name)).collect();
        respond(head, StatusCode::OK, &json!({ "object": "list", "data": data }))
    }

    /// One model, or its breakdown; `rest` is the path behind `/models/`.
    fn model(&self, head: RequestHead<'_>, rest: &str) -> Response<String> {
        let id = percent_decode(rest);
        match rest.strip_suffix("/ready") {
            Some(parent) if self.models.state(&id).is_none() => {
                self.break_down(head, &percent_decode(parent))
            }
            _ => self.describe(head, &id),
        }
    }

    fn break_down(&self, head: RequestHead<'_>, id: &str) -> Response<String> {
        match self.models.breakdown(id) {
            Some(breakdown) => respond(head, StatusCode::OK, &show(&breakdown)),
            None => refuse(head, unknown_model(Some(id))),
        }
    }

    fn describe(&self, head: RequestHead<'_>, id: &str) -> Response<String> {
        if let Some(closed) = self.models.closed() {
            return refuse(head, closed.into_error());
        }
        match self.models.state(id) {
            Some(State::Ready) => respond(head, StatusCode::OK, &describe(id)),
            Some(state) => refuse(head, NotReady::new(state).for_model(id).into_error()),
            None => refuse(head, unknown_model(Some(id))),
        }
    }
}

/// A model as OpenAI's API describes it.
fn describe(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": "tower-inference" })
}

/// All there is to tell operators about a model.
fn show(breakdown: &Breakdown) -> Value {
    let namespaces: Map<String, Value> = breakdown
        .namespaces()
        .map(|(name, units)| {
            let diagnosis = Diagnosis::of(units);
            let shown = json!({
                "ready": diagnosis.is_ready(),
                "present": diagnosis.present().collect::<Vec<_>>(),
                "missing": diagnosis.missing().collect::<Vec<_>>(),
                "ambiguous": diagnosis.ambiguous().collect::<Vec<_>>(),
                "units": units.iter().map(show_unit).collect::<Vec<_>>(),
            });
            (name.to_owned(), shown)
        })
        .collect();
    let serves = breakdown.state().is_ready() && breakdown.process().is_ready();
    json!({
        "id": breakdown.model(),
        "object": "model.readiness",
        "ready": serves,
        "state": breakdown.state().as_str(),
        "reported": breakdown.reported().as_str(),
        "process": breakdown.process().as_str(),
        "namespaces": namespaces,
    })
}

fn show_unit(unit: &Unit) -> Value {
    let needs: Vec<Vec<&str>> = unit.needs().map(Iterator::collect).collect();
    json!({ "id": unit.id(), "role": unit.role(), "live": unit.live(), "needs": needs })
}

fn respond(head: RequestHead<'_>, status: StatusCode, body: &Value) -> Response<String> {
    let text = body.to_string();
    let mut answer = Response::new(String::new());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if *head.method() == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, text.len().into());
    } else {
        *answer.body_mut() = text;
    }
    answer
}

/// An error in the client's dialect.
fn refuse(head: RequestHead<'_>, error: InferenceError) -> Response<String> {
    let client = Client::of(head);
    let answer = client.answer(error, client.dialect(), &Disclosure::default());
    answer.map(|body| String::from_utf8_lossy(&body).into_owned())
}

/// What stands behind `/models/` in a path; empty for the list.
fn after_models(path: &str) -> &str {
    let at = path.find("/models").map_or(path.len(), |at| at + "/models".len());
    path[at..].trim_start_matches('/')
}

/// Undoes `%XX`; whatever is no character becomes U+FFFD.
fn percent_decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let (bytes, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2)));
        match escape.filter(|_| byte == b'%').and_then(|(h, l)| u8::try_from(h << 4 | l).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(endpoint: &Endpoint, path: &str) -> (u16, Value) {
        let request = Request::get(path).body(()).unwrap();
        let answer = endpoint.answer(RequestHead::of(&request));
        (answer.status().as_u16(), serde_json::from_str(answer.body()).unwrap())
    }

    #[test]
    fn readiness_says_what_the_registry_says() {
        let models = ModelRegistry::new();
        let endpoint = ready(models.clone());
        assert_eq!(get(&endpoint, "/ready").0, 200);
        models.set("a", State::starting());
        let body =
            json!({ "status": "not_ready", "reason": "starting", "models": { "a": "starting" } });
        assert_eq!(get(&endpoint, "/ready"), (503, body));
        models.set("a", State::Ready);
        let body = json!({ "status": "ready", "models": { "a": "ready" } });
        assert_eq!(get(&endpoint, "/ready"), (200, body));
        models.begin_drain();
        let body =
            json!({ "status": "draining", "reason": "draining", "models": { "a": "ready" } });
        assert_eq!(get(&endpoint, "/ready"), (503, body));
    }

    #[test]
    fn liveness_does_not_depend_on_readiness() {
        assert_eq!(get(&live(), "/live"), (200, json!({ "status": "live" })));
    }

    #[test]
    fn only_ready_models_are_listed_and_the_others_say_why() {
        let registry = ModelRegistry::new();
        registry.set("meta/a b", State::Ready);
        registry.set("b", State::starting());
        let endpoint = models(registry.clone());
        let (status, list) = get(&endpoint, "/v1/models");
        assert_eq!((status, &list["data"][0]["id"]), (200, &json!("meta/a b")));
        assert_eq!(list["data"].as_array().unwrap().len(), 1);
        assert_eq!(get(&endpoint, "/v1/models/meta/a%20b").0, 200);
        assert_eq!(get(&endpoint, "/v1/models/b").0, 503);
        let (status, unknown) = get(&endpoint, "/v1/models/c");
        assert_eq!((status, &unknown["error"]["code"]), (404, &json!("model_not_found")));
        registry.set_process(State::starting());
        assert_eq!(get(&endpoint, "/v1/models").0, 503);
        assert_eq!(get(&endpoint, "/v1/models/c").0, 503);
    }

    #[test]
    fn the_breakdown_is_shown_however_closed_the_gate_is() {
        let registry = ModelRegistry::new();
        let decode = Unit::new("d").with_role("decode").with_live(2).with_need(["prefill"]);
        registry.set_unit("meta/a b", "blue", decode);
        registry.set_unit("meta/a b", "green", Unit::new("x"));
        registry.alias("gpt", "meta/a b");
        registry.begin_drain();
        let body = json!({
            "id": "meta/a b", "object": "model.readiness", "ready": false,
            "state": "ready", "reported": "ready", "process": "draining",
            "namespaces": {
                "blue": {
                    "ready": false,
                    "present": ["decode"], "missing": ["prefill"], "ambiguous": [],
                    "units": [{ "id": "d", "role": "decode", "live": 2, "needs": [["prefill"]] }],
                },
                "green": {
                    "ready": true,
                    "present": [], "missing": [], "ambiguous": [],
                    "units": [{ "id": "x", "role": null, "live": 1, "needs": [] }],
                },
            },
        });
        let endpoint = models(registry);
        for path in ["/v1/models/meta/a%20b/ready", "/v1/models/gpt/ready"] {
            assert_eq!(get(&endpoint, path), (200, body.clone()), "{path}");
        }
        for path in ["/v1/models/x/ready", "/v1/models/gpt/x/ready", "/v1/models/gpt/ready/ready"] {
            assert_eq!(get(&endpoint, path).0, 404, "{path}");
        }
        // Escaped, it is no path segment of its own but a part of an id, which nobody knows.
        assert_eq!(get(&endpoint, "/v1/models/gpt%2Fready").0, 503);
    }

    #[test]
    fn an_id_that_ends_in_ready_is_an_id() {
        let registry = ModelRegistry::new();
        registry.set("a", State::Ready);
        registry.set("a/ready", State::Ready);
        registry.set("ready", State::Ready);
        let endpoint = models(registry);
        for (path, id, object) in [
            ("/v1/models/a/ready", "a/ready", "model"),
            ("/v1/models/a/ready/ready", "a/ready", "model.readiness"),
            ("/v1/models/ready", "ready", "model"),
            ("/v1/models/ready/ready", "ready", "model.readiness"),
        ] {
            let (status, body) = get(&endpoint, path);
            assert_eq!(
                (status, &body["id"], &body["object"]),
                (200, &json!(id), &json!(object)),
                "{path}"
            );
        }
    }

    #[test]
    fn other_methods_are_refused() {
        let request = Request::delete("/v1/models/a").body(()).unwrap();
        let answer = models(ModelRegistry::new()).answer(RequestHead::of(&request));
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
    }

    #[test]
    fn escapes_of_paths_are_undone() {
        assert_eq!(percent_decode("a%2Fb%"), "a/b%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%ff"), "\u{fffd}");
    }
}
