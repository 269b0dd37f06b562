//! A provider to try the gateway on: it speaks three APIs and fails on demand.
//!
//! The model's name decides what happens ([`MODELS`]); any other name answers like `sim-ok`. It is
//! reached over a socket, like every other upstream.

mod api;
mod chat;
mod failure;
mod messages;
mod playback;
mod responses;

use self::{
    api::{Api, Asked},
    failure::Failure,
    playback::{Ending, play},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use serde_json::json;
use std::{fmt::Write, io, net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, time::Instant};

/// After this many words a stream that fails in the middle does so.
const BREAK: usize = 3;

/// A model of the simulated provider.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    behaviour: Behaviour,
}

impl Model {
    /// Whether it takes a stream to see what is special about this model.
    pub(crate) fn needs_stream(&self) -> bool {
        matches!(self.behaviour, Behaviour::FailAfter(_) | Behaviour::BreakOff(_))
    }
}

/// What a model does when it is asked.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Answers, streamed if asked to.
    Work,
    /// Refuses with a status.
    Refuse(Failure),
    /// Says 200, and in the body that it failed.
    FailInside200,
    /// Sends an error event in a 200 stream, after so many words.
    FailAfter(usize),
    /// Breaks off after three words.
    BreakOff(Ending),
}

/// Every model, in the order of a tour.
pub(crate) const MODELS: &[Model] = &[
    model("sim-ok", "answers", Behaviour::Work),
    model("sim-401", "a wrong key", Behaviour::Refuse(Failure::Authentication)),
    model("sim-404", "no such model", Behaviour::Refuse(Failure::ModelNotFound)),
    model("sim-429", "a rate limit, retry-after: 2", Behaviour::Refuse(Failure::RateLimit)),
    model("sim-quota", "no credit left", Behaviour::Refuse(Failure::Quota)),
    model("sim-context", "the prompt is too long", Behaviour::Refuse(Failure::ContextLength)),
    model("sim-500", "a stack trace as plain text", Behaviour::Refuse(Failure::Crash)),
    model("sim-503", "overloaded", Behaviour::Refuse(Failure::Overloaded)),
    model("sim-200-error", "an error in the body of a 200", Behaviour::FailInside200),
    model("sim-error-first", "an error as the first event", Behaviour::FailAfter(0)),
    model("sim-error-mid", "an error event after three words", Behaviour::FailAfter(BREAK)),
    model("sim-cut", "connection cut after three words", Behaviour::BreakOff(Ending::Cut)),
    model("sim-truncated", "a clean end after three words", Behaviour::BreakOff(Ending::Clean)),
    model("sim-stall", "silence after three words", Behaviour::BreakOff(Ending::Silence)),
];

const fn model(name: &'static str, about: &'static str, behaviour: Behaviour) -> Model {
    Model { name, about, behaviour }
}

/// The models as a list for people.
pub(crate) fn list() -> String {
    let mut list = String::from("Models of the simulated provider:\n");
    for Model { name, about, .. } in MODELS {
        writeln!(list, "  {name:<16} {about}").expect("writing to a string does not fail");
    }
    list
}

/// A running simulated provider.
pub(crate) struct Simulated {
    pub(crate) address: SocketAddr,
    pub(crate) ready_at: Instant,
}

/// Starts the provider on a free port of the loopback interface. Until it has warmed up, it answers
/// as some servers do while they load a model: 405.
///
/// # Errors
///
/// No port can be bound.
pub(crate) async fn start(warm_up: Duration) -> io::Result<Simulated> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let ready_at = Instant::now() + warm_up;
    // Each event leaves as it is written. A connection where that fails is about to fail anyway.
    let listener = listener.tap_io(|connection| _ = connection.set_nodelay(true));
    tokio::spawn(async move { axum::serve(listener, router(ready_at)).await });
    Ok(Simulated { address, ready_at })
}

fn router(ready_at: Instant) -> Router {
    let ask = |api| post(move |body: Bytes| async move { answer(api, &body, ready_at) });
    Router::new()
        .route("/v1/chat/completions", ask(Api::Chat))
        .route("/v1/responses", ask(Api::Responses))
        .route("/v1/messages", ask(Api::Messages))
        .route("/v1/models", get(models))
}

async fn models() -> Json<serde_json::Value> {
    let models: Vec<_> = MODELS
        .iter()
        .map(|model| json!({"id": model.name, "object": "model", "created": api::CREATED, "owned_by": "simulated"}))
        .collect();
    Json(json!({"object": "list", "data": models}))
}

fn answer(api: Api, body: &[u8], ready_at: Instant) -> Response {
    if Instant::now() < ready_at {
        let body = Json(json!({"detail": "Model is not ready"}));
        return (StatusCode::METHOD_NOT_ALLOWED, body).into_response();
    }
    let Ok(asked) = serde_json::from_slice::<Asked>(body) else {
        return api.refusal(Failure::InvalidJson, "");
    };
    let model = MODELS.iter().find(|model| model.name == asked.model);
    let behaviour = model.map_or(Behaviour::Work, |model| model.behaviour);
    match behaviour {
        Behaviour::Refuse(failure) => api.refusal(failure, &asked.model),
        Behaviour::FailInside200 => {
            let mut response = api.refusal(Failure::Server, &asked.model);
            *response.status_mut() = StatusCode::OK;
            response
        }
        Behaviour::Work if !asked.stream => Json(api.whole(&asked)).into_response(),
        Behaviour::FailAfter(_) if !asked.stream => api.refusal(Failure::Server, &asked.model),
        Behaviour::BreakOff(ending) if !asked.stream => {
            let mut text = api.whole(&asked).to_string();
            text.truncate(text.len() / 2);
            typed("application/json", play(vec![text], ending))
        }
        Behaviour::Work => stream(api.stream(&asked).whole(), Ending::Clean),
        Behaviour::BreakOff(ending) => stream(api.stream(&asked).until(BREAK), ending),
        Behaviour::FailAfter(words) => {
            let mut events = api.stream(&asked).until(words);
            events.push(api.error_event(events.len()));
            stream(events, Ending::Clean)
        }
    }
}

fn stream(events: Vec<String>, ending: Ending) -> Response {
    typed("text/event-stream; charset=utf-8", play(events, ending))
}

fn typed(content_type: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::Value;

    const PATHS: [(Api, &str); 3] = [
        (Api::Chat, "data: [DONE]\n\n"),
        (Api::Responses, "event: response.completed\n"),
        (Api::Messages, "event: message_stop\n"),
    ];

    fn ask(api: Api, model: &str, stream: bool) -> Response {
        let body = json!({"model": model, "stream": stream}).to_string();
        answer(api, body.as_bytes(), Instant::now())
    }

    /// What arrives, and whether the body ended cleanly.
    async fn read(response: Response) -> (String, bool) {
        let mut body = response.into_body();
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (text, false) };
            let data = frame.into_data().unwrap();
            text.push_str(std::str::from_utf8(&data).unwrap());
        }
        (text, true)
    }

    #[tokio::test(start_paused = true)]
    async fn the_refusals_have_their_statuses_in_every_api() {
        let table = [
            ("sim-401", [401, 401, 401]),
            ("sim-404", [404, 404, 404]),
            ("sim-429", [429, 429, 429]),
            ("sim-quota", [429, 429, 400]),
            ("sim-context", [400, 400, 400]),
            ("sim-500", [500, 500, 500]),
            ("sim-503", [503, 503, 529]),
            ("sim-200-error", [200, 200, 200]),
        ];
        for (model, statuses) in table {
            for ((api, _), status) in PATHS.into_iter().zip(statuses) {
                let response = ask(api, model, true);
                assert_eq!(response.status(), status, "{model} {api:?}");
                let (text, clean) = read(response).await;
                assert!(clean);
                let json = serde_json::from_str::<Value>(&text);
                match json {
                    Ok(json) => assert!(json["error"]["message"].is_string(), "{model} {api:?}"),
                    Err(_) => assert_eq!(model, "sim-500"),
                }
            }
        }
        assert_eq!(ask(Api::Chat, "sim-429", false).headers()["retry-after"], "2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_healthy_stream_ends_with_its_terminal_marker() {
        for (api, marker) in PATHS {
            let (text, clean) = read(ask(api, "sim-ok", true)).await;
            assert!(clean);
            assert!(text.contains(marker), "{api:?}: {text}");
            for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                assert!(line == "[DONE]" || serde_json::from_str::<Value>(line).is_ok(), "{line}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_break_off_after_three_words_without_a_marker() {
        for (api, marker) in PATHS {
            for (model, ends_cleanly) in
                [("sim-cut", false), ("sim-truncated", true), ("sim-error-mid", true)]
            {
                let (text, clean) = read(ask(api, model, true)).await;
                assert_eq!(clean, ends_cleanly, "{api:?} {model}");
                assert!(text.contains("here") && !text.contains("everything"), "{api:?}: {text}");
                assert!(!text.contains(marker), "{api:?}: {text}");
                assert_eq!(text.contains("server"), model == "sim-error-mid", "{api:?}: {text}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_comes_as_the_first_event_in_the_words_of_the_api() {
        for (api, first) in [
            (Api::Chat, "data: {\"error\":"),
            (Api::Responses, "event: error\n"),
            (Api::Messages, "event: error\n"),
        ] {
            let (text, clean) = read(ask(api, "sim-error-first", true)).await;
            assert!(clean && text.starts_with(first), "{api:?}: {text}");
            assert_eq!(text.matches("data: ").count(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_answer_falls_silent() {
        for stream in [true, false] {
            let reading = read(ask(Api::Chat, "sim-stall", stream));
            assert!(tokio::time::timeout(Duration::from_secs(3600), reading).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn usage_is_streamed_only_to_those_who_ask() {
        for (usage, chunks) in [(true, 1), (false, 0)] {
            let body = json!({"stream": true, "stream_options": {"include_usage": usage}});
            let response = answer(Api::Chat, body.to_string().as_bytes(), Instant::now());
            assert_eq!(read(response).await.0.matches("total_tokens").count(), chunks);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_warms_up_answers_405_until_it_is_ready() {
        let ready_at = Instant::now() + Duration::from_secs(3);
        let response = answer(Api::Chat, b"{}", ready_at);
        assert_eq!(response.status(), 405);
        assert_eq!(read(response).await.0, r#"{"detail":"Model is not ready"}"#);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(answer(Api::Chat, b"{}", ready_at).status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_no_json_is_refused_as_the_api_does() {
        for (api, _) in PATHS {
            let response = answer(api, b"{\"model\":", Instant::now());
            assert_eq!(response.status(), 400);
        }
    }
}
