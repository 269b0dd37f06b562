//! NVIDIA Dynamo, pull request 10995: one 503 for a model that is registered and cannot serve.

use crate::support::{Answer, always, json, post, send, stack, stack_in, untouched};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::{
    convert::Infallible,
    future::ready,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tower::{BoxError, service_fn};
use tower_inference::{
    Category, ModelRegistry, Origin, dialect, endpoints,
    readiness::{NotReady, State, UnknownModel},
};

const TEXT: &str = "Model `llama-3` is not ready to serve requests yet. The deployment may still be starting up or is not fully provisioned. Please retry shortly.";

const ASK: &str = r#"{"model":"llama-3","input":"hi","messages":[],"stream":true}"#;

/// All surfaces with a model, Anthropic's last.
const SURFACES: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/messages",
];

/// States of a registered model that cannot serve.
const NOT_SERVING: [State; 4] =
    [State::starting(), State::Incomplete, State::Draining, State::Failed];

fn registry(state: State) -> ModelRegistry {
    let models = ModelRegistry::new();
    models.set("llama-3", state);
    models
}

fn dropped_out() -> NotReady {
    NotReady::new(State::Incomplete).for_model("llama-3")
}

async fn at_the_gate(path: &str) -> Answer {
    send(&stack(registry(State::Incomplete), untouched()), post(path, ASK)).await
}

/// The body without its one member that is random.
fn without_wait(answer: &Answer) -> Value {
    let mut body = answer.json();
    let wait = body["error"].as_object_mut().expect("an error object").remove("retry_after");
    let wait = wait.and_then(|wait| wait.as_u64()).expect("the wait is told");
    assert!((2..=5).contains(&wait), "{wait}");
    assert_eq!(answer.header("retry-after"), wait.to_string());
    body
}

// D1 D7
#[tokio::test]
async fn every_surface_answers_503_with_the_one_text() {
    for path in SURFACES {
        for state in NOT_SERVING {
            let answer = send(&stack(registry(state), untouched()), post(path, ASK)).await;
            assert_eq!(answer.status(), 503, "{path} {state:?}");
            assert_eq!(answer.json()["error"]["message"], TEXT, "{path} {state:?}");
        }
    }
}

// D2 D3 D5
#[tokio::test]
async fn gate_dispatcher_and_handler_answer_alike() {
    let open = || registry(State::Ready);
    for path in SURFACES {
        let gate = without_wait(&at_the_gate(path).await);

        let dispatch =
            service_fn(|_| ready(Err::<Response<Full<Bytes>>, _>(dropped_out().into_error())));
        let dispatch = send(&stack(open(), dispatch), post(path, ASK)).await;

        let wrapped = service_fn(|_| {
            ready(Err::<Response<Full<Bytes>>, _>(io::Error::other(dropped_out().into_error())))
        });
        let wrapped = send(&stack(open(), wrapped), post(path, ASK)).await;

        let handler = always(|| {
            let mut answer = json(200, "{}");
            answer.extensions_mut().insert(dropped_out().into_error());
            answer
        });
        let handler = send(&stack(open(), handler), post(path, ASK)).await;

        for (place, answer) in [("dispatch", dispatch), ("wrapped", wrapped), ("handler", handler)]
        {
            assert_eq!(answer.status(), 503, "{path} {place}");
            assert_eq!(answer.header("content-type"), "application/json", "{path} {place}");
            assert_eq!(without_wait(&answer), gate, "{path} {place}");
        }
    }
}

// D3
#[tokio::test]
async fn a_model_that_drops_out_between_gate_and_dispatch_reads_like_one_stopped_at_the_gate() {
    let models = registry(State::Ready);
    let dispatcher = service_fn({
        let models = models.clone();
        move |_| {
            models.set("llama-3", State::Incomplete);
            let error: BoxError = dropped_out().into_error().into();
            ready(Err::<Response<Full<Bytes>>, _>(error))
        }
    });
    let service = stack(models, dispatcher);
    let dropped = send(&service, post("/v1/chat/completions", ASK)).await;
    let stopped = send(&service, post("/v1/chat/completions", ASK)).await;
    assert_eq!((dropped.status().as_u16(), stopped.status().as_u16()), (503, 503));
    assert_eq!(without_wait(&dropped), without_wait(&stopped));
    assert_eq!(dropped.error().origin(), Origin::Readiness);
}

// D4
#[tokio::test]
async fn no_answer_names_the_topology() {
    const WORDS: [&str; 6] = ["prefill", "decode", "encode", "namespace", "worker", "topology"];
    for path in SURFACES {
        for state in NOT_SERVING {
            let process = registry(State::Ready);
            process.set_process(state);
            for models in [registry(state), process] {
                let answer = send(&stack(models, untouched()), post(path, ASK)).await;
                let shown = format!("{:?} {}", answer.headers(), answer.text()).to_lowercase();
                for word in WORDS {
                    assert!(!shown.contains(word), "{word}: {shown}");
                }
            }
        }
    }
}

// D6
#[tokio::test]
async fn clients_find_the_known_words_and_a_code() {
    for path in SURFACES {
        let error = at_the_gate(path).await.json()["error"].take();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("is not ready to serve requests yet"), "{path}");
        assert_eq!(error["category"], "model_not_ready", "{path}");
        if path != "/v1/messages" {
            assert_eq!(error["code"], "model_not_ready", "{path}");
        }
    }
    // The other thing that clients wake a model on.
    let models = registry(State::Ready).unknown_model(UnknownModel::NotFound);
    let answer = send(&stack(models, untouched()), post(SURFACES[0], r#"{"model":"x"}"#)).await;
    assert_eq!(answer.status(), 404);
    assert!(answer.text().contains("Model not found"));
}

// D8
#[tokio::test]
async fn anthropic_clients_are_told_that_it_is_overloaded() {
    let body = at_the_gate("/v1/messages").await.json();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "overloaded_error");
    assert_eq!(body["error"]["message"], TEXT);
}

// D8 D9
#[tokio::test]
async fn the_flat_dialect_writes_the_bytes_of_the_system() {
    let flat = format!(r#"{{"message":"{TEXT}","type":"Service Unavailable","code":503}}"#);
    let anthropic =
        format!(r#"{{"type":"error","error":{{"type":"overloaded_error","message":"{TEXT}"}}}}"#);
    let dispatcher =
        service_fn(|_| ready(Err::<Response<Full<Bytes>>, _>(dropped_out().into_error())));
    for path in SURFACES {
        let expected = if path == "/v1/messages" { &anthropic } else { &flat };
        let gate = stack_in(dialect::OpenAiFlat, registry(State::Incomplete), untouched());
        let gate = send(&gate, post(path, ASK)).await;
        let dispatch = stack_in(dialect::OpenAiFlat, registry(State::Ready), dispatcher);
        let dispatch = send(&dispatch, post(path, ASK)).await;
        for answer in [gate, dispatch] {
            assert_eq!(answer.status(), 503, "{path}");
            assert_eq!(answer.text(), expected, "{path}");
            assert_eq!(answer.error().category(), Category::ModelNotReady);
        }
    }
}

// D9
#[tokio::test]
async fn by_default_the_error_is_nested_and_its_type_a_slug() {
    for path in &SURFACES[..7] {
        let body = at_the_gate(path).await.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{path}");
        assert_eq!(body["error"]["type"], "service_unavailable", "{path}");
        assert!(body["error"]["param"].is_null(), "{path}");
    }
}

/// A body that must not be read.
struct Unread;

impl Body for Unread {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body is read")
    }
}

// D11
#[tokio::test]
async fn the_process_is_asked_first_before_a_byte_of_the_body_is_read() {
    let models = registry(State::Incomplete).unknown_model(UnknownModel::NotFound);
    models.set_process(State::starting());
    for path in SURFACES {
        let request = Request::post(path).header("content-type", "application/json");
        let answer = send(&stack(models.clone(), untouched()), request.body(Unread).unwrap()).await;
        assert_eq!(answer.status(), 503, "{path}");
        let message = answer.json()["error"]["message"].take();
        assert!(message.as_str().unwrap().starts_with("Service is not ready"), "{path} {message}");
    }
}

// D11
#[tokio::test]
async fn the_model_is_asked_second_and_the_work_begins_last() {
    let models = registry(State::starting());
    models.set_process(State::starting());
    let work = service_fn(async |request: Request<tower_inference::RequestBody<Full<Bytes>>>| {
        let body = request.into_body().collect().await.expect("the body is whole").to_bytes();
        Ok::<_, Infallible>(json(200, std::str::from_utf8(&body).expect("the body is text")))
    });
    let service = stack(models.clone(), work);
    let message = async || {
        let answer = send(&service, post("/v1/chat/completions", ASK)).await;
        answer.json()["error"]["message"].as_str().map(str::to_owned)
    };
    assert!(message().await.unwrap().starts_with("Service is not ready"));
    models.set_process(State::Ready);
    assert_eq!(message().await.unwrap(), TEXT);
    models.set("llama-3", State::Ready);
    let answer = send(&service, post("/v1/chat/completions", ASK)).await;
    assert_eq!((answer.status().as_u16(), answer.text()), (200, ASK));
}

// D12
#[tokio::test]
async fn an_unknown_model_is_404_and_a_registered_one_503_never_swapped() {
    let models = registry(State::Ready).unknown_model(UnknownModel::NotFound);
    models.set("qwen-3", State::Incomplete);
    let service = stack(models.clone(), always(|| json(200, r#"{"object":"list"}"#)));
    let table = [
        ("llama-3", 200, None),
        ("qwen-3", 503, Some(Category::ModelNotReady)),
        ("gpt-9", 404, Some(Category::ModelNotFound)),
        ("qwen", 404, Some(Category::ModelNotFound)),
    ];
    for path in SURFACES {
        for (model, status, category) in table {
            let answer = send(&service, post(path, &format!(r#"{{"model":"{model}"}}"#))).await;
            assert_eq!(answer.status(), status, "{path} {model}");
            if let Some(category) = category {
                assert_eq!(answer.error().category(), category, "{path} {model}");
            }
        }
    }
    models.remove("qwen-3");
    let answer = send(&service, post(SURFACES[0], r#"{"model":"qwen-3"}"#)).await;
    assert_eq!(answer.status(), 404);
}

// D12 D12a
#[tokio::test]
async fn of_models_it_does_not_know_the_gate_has_no_opinion() {
    let not_found = || json(404, r#"{"message":"Model not found","type":"Not Found","code":404}"#);
    let service = stack(registry(State::Incomplete), always(not_found));
    let answer = send(&service, post("/v1/chat/completions", r#"{"model":"building"}"#)).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.error().origin(), Origin::Upstream);
    assert_eq!(answer.error().category(), Category::ModelNotFound);
    assert_eq!(answer.json()["error"]["message"], "Model not found");
}

// D15
#[tokio::test]
async fn a_model_is_listed_exactly_while_it_passes_the_gate() {
    let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
    let list = stack(models.clone(), endpoints::models(models.clone()));
    let chat = stack(models.clone(), always(|| json(200, "{}")));
    let get = |path: &str| Request::get(path).body(Full::<Bytes>::default()).unwrap();
    for state in [State::Ready].into_iter().chain(NOT_SERVING).chain([State::Ready]) {
        models.set("llama-3", state);
        models.set("qwen-3", State::Ready);
        let (listed, expected) = match state {
            State::Ready => (vec!["llama-3", "qwen-3"], 200),
            _ => (vec!["qwen-3"], 503),
        };
        let answer = send(&list, get("/v1/models")).await;
        let data = answer.json()["data"].take();
        let ids: Vec<_> = data.as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
        assert_eq!(
            (answer.status().as_u16(), ids),
            (200, listed.into_iter().map(Value::from).collect())
        );

        for (model, status) in [("llama-3", expected), ("qwen-3", 200), ("gpt-9", 404)] {
            let one = send(&list, get(&format!("/v1/models/{model}"))).await;
            assert_eq!(one.status(), status, "{model} {state:?}");
            let ask = format!(r#"{{"model":"{model}"}}"#);
            let gate = send(&chat, post("/v1/chat/completions", &ask)).await;
            assert_eq!(gate.status(), status, "{model} {state:?}");
            if status != 200 {
                assert_eq!(one.error().message(), gate.error().message(), "{model} {state:?}");
            }
        }
    }
}

// D15a
#[tokio::test]
async fn nothing_is_listed_while_the_process_starts() {
    let models = registry(State::Ready);
    models.set_process(State::starting());
    let list = stack(models.clone(), endpoints::models(models));
    for path in ["/v1/models", "/v1/models/llama-3", "/v1/models/gpt-9"] {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        assert_eq!(send(&list, request).await.status(), 503, "{path}");
    }
}
