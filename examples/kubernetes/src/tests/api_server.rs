//! An API server that says what it is told to say.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    future, io,
    sync::{Arc, Mutex},
};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// Answers LIST and WATCH of endpoint slices in the namespace `default`.
pub(super) struct ApiServer {
    pub(super) config: kube::Config,
    script: Arc<Script>,
    watch: mpsc::UnboundedSender<Next>,
}

struct Script {
    state: Mutex<Said>,
    /// Of the one watch there is; the next one waits for it to end.
    watch: Arc<AsyncMutex<mpsc::UnboundedReceiver<Next>>>,
}

#[derive(Default)]
struct Said {
    list: Vec<Value>,
    refusal: Option<StatusCode>,
    hangs: bool,
    requests: Vec<String>,
}

/// What comes next in a watch.
enum Next {
    Line(Value),
    End,
    Cut,
}

impl ApiServer {
    /// A server on a free port, whose list holds these slices.
    pub(super) async fn start(list: impl IntoIterator<Item = Value>) -> Self {
        let (watch, receiver) = mpsc::unbounded_channel();
        let script = Arc::new(Script {
            state: Mutex::default(),
            watch: Arc::new(AsyncMutex::new(receiver)),
        });
        let path = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices";
        let app = Router::new().route(path, get(answer)).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        let server = Self { config: kube::Config::new(url), script, watch };
        server.list(list);
        server
    }

    /// What the next LIST answers.
    pub(super) fn list(&self, slices: impl IntoIterator<Item = Value>) {
        self.script.state.lock().unwrap().list = slices.into_iter().collect();
    }

    /// Says in the watch that a slice was `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) fn send(&self, kind: &str, slice: Value) {
        self.next(Next::Line(json!({ "type": kind, "object": slice })));
    }

    /// Says in the watch that it began too long ago, and ends it.
    pub(super) fn expire(&self) {
        self.next(Next::Line(json!({ "type": "ERROR", "object": status(StatusCode::GONE) })));
        self.next(Next::End);
    }

    /// Ends the watch in good order.
    pub(super) fn end(&self) {
        self.next(Next::End);
    }

    /// Cuts the connection of the watch.
    pub(super) fn cut(&self) {
        self.next(Next::Cut);
    }

    fn next(&self, next: Next) {
        self.watch.send(next).unwrap();
    }

    /// Answers this status from now on; `None` for the slices again.
    pub(super) fn refuse(&self, refusal: impl Into<Option<StatusCode>>) {
        self.script.state.lock().unwrap().refusal = refusal.into();
    }

    /// Accepts requests without answering, and says nothing in the watch.
    pub(super) fn hang(&self, hangs: bool) {
        self.script.state.lock().unwrap().hangs = hangs;
    }

    /// The requests so far: `LIST` or `WATCH`, and the selector.
    pub(super) fn requests(&self) -> Vec<String> {
        self.script.state.lock().unwrap().requests.clone()
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    Path(namespace): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    assert_eq!(namespace, "default");
    let is_watch = query.get("watch").is_some_and(|watch| watch == "true");
    let hangs = script.state.lock().unwrap().hangs;
    if hangs {
        return future::pending().await;
    }
    {
        let mut state = script.state.lock().unwrap();
        let verb = if is_watch { "WATCH" } else { "LIST" };
        state.requests.push(format!("{verb} {}", query["labelSelector"]));
        if let Some(refusal) = state.refusal {
            return (refusal, status(refusal).to_string()).into_response();
        }
        if !is_watch {
            let list = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
                "metadata": { "resourceVersion": "1" }, "items": state.list
            });
            return list.to_string().into_response();
        }
    }
    let lines = Arc::clone(&script.watch).lock_owned().await;
    Body::from_stream(stream::unfold(lines, async |mut lines| match lines.recv().await? {
        Next::Line(line) => Some((Ok(Bytes::from(format!("{line}\n"))), lines)),
        Next::End => None,
        Next::Cut => Some((Err(io::Error::other("cut")), lines)),
    }))
    .into_response()
}

fn status(code: StatusCode) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": code.canonical_reason(), "reason": "Scripted", "code": code.as_u16()
    })
}

/// A slice of a service: its name, its labels, and of each of its pods whether it is ready.
pub(crate) fn slice(name: &str, labels: Value, pods: &[(&str, bool)]) -> Value {
    let endpoint = |(pod, ready): &(&str, bool)| {
        json!({
            "addresses": [format!("{name}.{pod}")], "conditions": { "ready": ready },
            "targetRef": { "kind": "Pod", "name": pod, "uid": pod }
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "default", "resourceVersion": "2", "labels": labels
        },
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>()
    })
}
