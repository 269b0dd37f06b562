//! How to ask a server whether it is ready, and how to read what it says.
//!
//! Every server has its own way of saying "not yet": no listener at all, 400, 405, 503 with and
//! without a body, a 200 with a flag in it. A [`Preset`] is one server's way: a path to ask, a function
//! that reads the answer, and optionally real work to ask for.
//!
//! | preset | asks | not ready | a deep probe asks |
//! |---|---|---|---|
//! | [`vllm`](Preset::vllm) | `/health` | no listener, 503 | `/v1/completions` |
//! | [`sglang`](Preset::sglang) | `/health` | 503 | `/generate` |
//! | [`tgi`](Preset::tgi) | `/health` | no listener, 503 | `/generate` |
//! | [`llama_cpp`](Preset::llama_cpp) | `/health` | 503 `Loading model` | `/completion` |
//! | [`ollama`](Preset::ollama) | `/api/version` | no listener | `/api/generate` |
//! | [`triton`](Preset::triton), KServe | `/v2/health/ready`, or the model's | 400, 503, `"ready": false` | `/v2/models/{m}/generate` |
//! | [`dynamo`](Preset::dynamo) | `/health` | 503 `not_ready`, no instances | `/v1/chat/completions` |
//! | [`tenstorrent`](Preset::tenstorrent) | `/tt-liveness` | 405, `"model_ready": false` | `/v1/chat/completions` |
//! | [`http`](Preset::http) | a path of yours | all but 2xx | yours |
//!
//! A server that does not answer is not ready, whatever the preset; its bodies are read up to 64 KiB.
//!
//! # Example: a server of your own
//!
//! ```
//! use tower_inference::readiness::{Outcome, preset::{Answer, Preset}};
//!
//! fn read(answer: &Answer<'_>) -> Outcome {
//!     match answer.text("state").as_deref() {
//!         Some("LOADING") => Outcome::NotReady { eta: None },
//!         Some("FULL") => Outcome::Busy,
//!         _ => answer.outcome(), // as most servers mean it
//!     }
//! }
//!
//! let preset = Preset::http("/status").read_with(read).deep("/run", r#"{"tokens": 1}"#);
//! # let _ = preset;
//! ```

mod answer;

pub use self::answer::{Answer, Outcome};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, request};
use serde_json::{Value, json};
use std::fmt::Write;

/// How one kind of server is asked whether it is ready; see the [module docs](self) for the table.
#[derive(Clone, Debug)]
pub struct Preset {
    path: String,
    headers: HeaderMap,
    read: fn(&Answer<'_>) -> Outcome,
    work: Work,
    model: Option<String>,
}

/// What a deep probe asks for: one token, in the server's own API.
#[derive(Clone, Debug)]
enum Work {
    None,
    Chat,
    Completion,
    SgLang,
    Tgi,
    LlamaCpp,
    Ollama,
    Triton,
    Own { path: String, body: Bytes },
}

impl Preset {
    /// GET this path; [`Answer::outcome`] reads what comes back: 2xx is ready.
    ///
    /// # Panics
    ///
    /// If it is no path with an optional query, beginning with a slash.
    #[must_use]
    #[track_caller]
    pub fn http(path: &str) -> Self {
        assert_path(path);
        Self::new(path, as_most_mean_it, Work::None)
    }

    /// vLLM. Does not listen while it loads; a 503 means that its engine died.
    #[must_use]
    pub fn vllm() -> Self {
        Self::new("/health", as_most_mean_it, Work::Completion)
    }

    /// SGLang. 503 while it starts, shuts down or stalls.
    #[must_use]
    pub fn sglang() -> Self {
        Self::new("/health", unavailable_is_not_ready, Work::SgLang)
    }

    /// Hugging Face's text-generation-inference. Listens only after its shards are up, so that a 503
    /// is a failure.
    #[must_use]
    pub fn tgi() -> Self {
        Self::new("/health", as_most_mean_it, Work::Tgi)
    }

    /// llama.cpp's server. 503 `Loading model`; older ones `{"status":"loading model"}`.
    #[must_use]
    pub fn llama_cpp() -> Self {
        Self::new("/health", llama_cpp, Work::LlamaCpp)
    }

    /// Ollama. Loads within a request, so that only a deep probe, with a [model](Self::model), says
    /// more than that it runs.
    #[must_use]
    pub fn ollama() -> Self {
        Self::new("/api/version", as_most_mean_it, Work::Ollama)
    }

    /// Triton, or whoever speaks KServe's v2 protocol. With a [model](Self::model), asks whether that
    /// one is ready.
    #[must_use]
    pub fn triton() -> Self {
        Self::new("/v2/health/ready", triton, Work::Triton)
    }

    /// NVIDIA Dynamo's frontend. Older ones say that they are healthy without any instance.
    #[must_use]
    pub fn dynamo() -> Self {
        Self::new("/health", dynamo, Work::Chat)
    }

    /// Tenstorrent's servers, in Python and C++. 405 `Model is not ready`, or a 200 that says so.
    #[must_use]
    pub fn tenstorrent() -> Self {
        Self::new("/tt-liveness", as_most_mean_it, Work::Chat)
    }

    /// The preset of this name, written like its function; `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "vllm" => Self::vllm(),
            "sglang" => Self::sglang(),
            "tgi" => Self::tgi(),
            "llama_cpp" => Self::llama_cpp(),
            "ollama" => Self::ollama(),
            "triton" | "kserve" => Self::triton(),
            "dynamo" => Self::dynamo(),
            "tenstorrent" => Self::tenstorrent(),
            _ => return None,
        })
    }

    fn new(path: &str, read: fn(&Answer<'_>) -> Outcome, work: Work) -> Self {
        Self { path: path.to_owned(), headers: HeaderMap::new(), read, work, model: None }
    }

    /// Names the model that deep probes ask, and Triton's shallow ones. Default: none, which Ollama,
    /// Triton, Dynamo and Tenstorrent need for deep probes.
    #[must_use]
    pub fn model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }

    /// Adds a header to every probe, such as `authorization`. Default: none.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Reads answers to shallow probes with this function.
    #[must_use]
    pub fn read_with(self, read: fn(&Answer<'_>) -> Outcome) -> Self {
        Self { read, ..self }
    }

    /// Lets deep probes POST this JSON to this path; [`Answer::deep_outcome`] reads the answer.
    ///
    /// # Panics
    ///
    /// If it is no path with an optional query, beginning with a slash.
    #[must_use]
    #[track_caller]
    pub fn deep(self, path: &str, body: impl Into<Bytes>) -> Self {
        assert_path(path);
        Self { work: Work::Own { path: path.to_owned(), body: body.into() }, ..self }
    }

    /// The request of a shallow probe.
    #[must_use]
    pub fn request(&self) -> Request<Bytes> {
        match (&self.work, &self.model) {
            (Work::Triton, Some(model)) => {
                let path = format!("/v2/models/{}/ready", escaped(model));
                self.finish(Request::get(path), Bytes::new())
            }
            _ => self.finish(Request::get(&*self.path), Bytes::new()),
        }
    }

    /// What the answer to [`request`](Self::request) means.
    #[must_use]
    pub fn read(&self, answer: &Answer<'_>) -> Outcome {
        (self.read)(answer)
    }

    /// The request of a deep probe; `None` if there is none, or if it needs a model.
    #[must_use]
    pub fn deep_request(&self) -> Option<Request<Bytes>> {
        let model = self.model.as_deref();
        let (path, mut body) = match &self.work {
            Work::None => return None,
            Work::Own { path, body } => return Some(self.post(path, body.clone())),
            Work::Chat => {
                let messages = json!([{"role": "user", "content": "1"}]);
                let body = json!({"model": model?, "messages": messages, "max_tokens": 1});
                return Some(self.post("/v1/chat/completions", text(&body)));
            }
            Work::Triton => {
                let path = format!("/v2/models/{}/generate", escaped(model?));
                return Some(self.post(&path, text(&json!({"text_input": "1", "max_tokens": 1}))));
            }
            Work::Ollama => {
                let options = json!({"num_predict": 1});
                let body =
                    json!({"model": model?, "prompt": "1", "stream": false, "options": options});
                return Some(self.post("/api/generate", text(&body)));
            }
            Work::Completion => ("/v1/completions", json!({"prompt": "1", "max_tokens": 1})),
            Work::SgLang => {
                ("/generate", json!({"text": "1", "sampling_params": {"max_new_tokens": 1}}))
            }
            Work::Tgi => ("/generate", json!({"inputs": "1", "parameters": {"max_new_tokens": 1}})),
            Work::LlamaCpp => ("/completion", json!({"prompt": "1", "n_predict": 1})),
        };
        if let (Some(model), "/v1/completions") = (model, path) {
            body["model"] = model.into();
        }
        Some(self.post(path, text(&body)))
    }

    /// What the answer to [`deep_request`](Self::deep_request) means: [`Answer::deep_outcome`].
    #[must_use]
    pub fn read_deep(&self, answer: &Answer<'_>) -> Outcome {
        answer.deep_outcome()
    }

    fn post(&self, path: &str, body: Bytes) -> Request<Bytes> {
        self.finish(Request::post(path).header(header::CONTENT_TYPE, "application/json"), body)
    }

    fn finish(&self, request: request::Builder, body: Bytes) -> Request<Bytes> {
        let mut request = request.body(body).expect("paths are checked or escaped");
        request.headers_mut().extend(self.headers.clone());
        request
    }
}

fn text(body: &Value) -> Bytes {
    body.to_string().into()
}

#[track_caller]
fn assert_path(path: &str) {
    let valid = path.starts_with('/') && path.parse::<Uri>().is_ok();
    assert!(valid, "{path:?} is no path that begins with a slash");
}

/// A model's name as a part of a path; slashes stay, as in `meta/llama-3`.
fn escaped(model: &str) -> String {
    let mut path = String::with_capacity(model.len());
    for byte in model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                path.push(byte.into());
            }
            _ => write!(path, "%{byte:02X}").expect("a string takes all that is written"),
        }
    }
    path
}

fn as_most_mean_it(answer: &Answer<'_>) -> Outcome {
    answer.outcome()
}

fn unavailable_is_not_ready(answer: &Answer<'_>) -> Outcome {
    match answer.status().as_u16() {
        503 => Outcome::NotReady { eta: None },
        _ => answer.outcome(),
    }
}

fn llama_cpp(answer: &Answer<'_>) -> Outcome {
    match answer.text("status") {
        Some(status) if status == "loading model" => Outcome::NotReady { eta: None },
        _ => answer.outcome(),
    }
}

fn triton(answer: &Answer<'_>) -> Outcome {
    match answer.status().as_u16() {
        400 => Outcome::NotReady { eta: None },
        _ => answer.outcome(),
    }
}

fn dynamo(answer: &Answer<'_>) -> Outcome {
    let denied = answer.text("status").is_some_and(|status| status == "not_ready");
    if denied || (answer.status().is_success() && answer.is_empty("instances")) {
        return Outcome::NotReady { eta: None };
    }
    answer.outcome()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    const NOT_READY: Outcome = Outcome::NotReady { eta: None };

    fn answer<'a>(status: u16, headers: &'a HeaderMap, body: &'a str) -> Answer<'a> {
        Answer::new(StatusCode::from_u16(status).unwrap(), headers, body.as_bytes())
    }

    #[test]
    fn every_server_is_read_in_its_own_words() {
        use Outcome::{Busy, Failed, Ready};
        let table = [
            ("vllm", 200, "", Ready),
            ("vllm", 503, "", Failed),
            ("vllm", 429, "", Busy),
            ("sglang", 200, "", Ready),
            ("sglang", 503, "", NOT_READY),
            ("sglang", 500, "", Failed),
            ("tgi", 200, "", Ready),
            ("tgi", 503, r#"{"error":"unhealthy","error_type":"healthcheck"}"#, Failed),
            ("llama_cpp", 200, r#"{"status":"ok"}"#, Ready),
            (
                "llama_cpp",
                503,
                r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
                NOT_READY,
            ),
            ("llama_cpp", 503, r#"{"status":"loading model"}"#, NOT_READY),
            ("llama_cpp", 503, "", Failed),
            ("ollama", 200, r#"{"version":"0.9.0"}"#, Ready),
            ("ollama", 502, "<html>", Failed),
            ("triton", 200, "", Ready),
            ("triton", 400, "", NOT_READY),
            ("triton", 400, r#"{"error":"Model version not ready"}"#, NOT_READY),
            ("kserve", 200, r#"{"ready":true}"#, Ready),
            ("kserve", 200, r#"{"name":"m","ready":false}"#, NOT_READY),
            ("kserve", 503, r#"{"error":"Model with name m is not ready."}"#, NOT_READY),
            ("kserve", 404, r#"{"error":"Model with name m does not exist."}"#, Failed),
            ("dynamo", 200, r#"{"status":"healthy","instances":[{"id":1}]}"#, Ready),
            ("dynamo", 200, r#"{"status":"healthy"}"#, Ready),
            ("dynamo", 200, r#"{"status":"healthy","instances":[]}"#, NOT_READY),
            (
                "dynamo",
                503,
                r#"{"status":"not_ready","message":"Initial model discovery in progress"}"#,
                NOT_READY,
            ),
            ("tenstorrent", 200, r#"{"status":"alive","model_ready":true}"#, Ready),
            ("tenstorrent", 200, r#"{"status":"alive","model_ready":false}"#, NOT_READY),
            ("tenstorrent", 405, r#"{"detail":"Model is not ready"}"#, NOT_READY),
            ("tenstorrent", 500, r#"{"detail":"405: Model is not ready"}"#, NOT_READY),
            (
                "tenstorrent",
                503,
                r#"{"detail":"Service unavailable: No workers available."}"#,
                NOT_READY,
            ),
            ("tenstorrent", 405, r#"{"detail":"Method Not Allowed"}"#, Failed),
        ];
        for (name, status, body, expected) in table {
            let preset = Preset::named(name).unwrap();
            let headers = HeaderMap::new();
            assert_eq!(
                preset.read(&answer(status, &headers, body)),
                expected,
                "{name} {status} {body}"
            );
        }
    }

    #[test]
    fn a_named_wait_is_the_eta() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("20"));
        let outcome =
            answer(503, &headers, r#"{"error":"Model x is currently loading"}"#).outcome();
        let eta = Some(std::time::Duration::from_secs(20));
        assert_eq!(outcome, Outcome::NotReady { eta });
    }

    #[test]
    fn real_work_is_read_for_what_it_proves() {
        let table = [
            (200, r#"{"choices":[{"text":"."}]}"#, Outcome::Ready),
            (200, r#"{"error":{"message":"engine died"}}"#, Outcome::Failed),
            (429, "", Outcome::Busy),
            (503, "", Outcome::Busy),
            (503, r#"{"error":{"message":"Loading model"}}"#, NOT_READY),
            (405, r#"{"detail":"Model is not ready"}"#, NOT_READY),
            (401, "", Outcome::Busy),
            (404, r#"{"error":{"message":"x","code":"model_not_found"}}"#, Outcome::Failed),
            (500, "", Outcome::Failed),
            (302, "", Outcome::Failed),
        ];
        for (status, body, expected) in table {
            let headers = HeaderMap::new();
            assert_eq!(answer(status, &headers, body).deep_outcome(), expected, "{status} {body}");
        }
    }

    #[test]
    fn requests_are_in_the_servers_own_api() {
        let table = [
            ("vllm", "/health", Some("/v1/completions")),
            ("sglang", "/health", Some("/generate")),
            ("tgi", "/health", Some("/generate")),
            ("llama_cpp", "/health", Some("/completion")),
            ("ollama", "/api/version", Some("/api/generate")),
            ("triton", "/v2/models/a/b%20c/ready", Some("/v2/models/a/b%20c/generate")),
            ("dynamo", "/health", Some("/v1/chat/completions")),
            ("tenstorrent", "/tt-liveness", Some("/v1/chat/completions")),
        ];
        for (name, path, deep) in table {
            let preset = Preset::named(name).unwrap().model("a/b c");
            assert_eq!(preset.request().uri(), path, "{name}");
            let request = preset.deep_request();
            assert_eq!(request.as_ref().map(|it| it.uri().path()), deep, "{name}");
            let body: Value = serde_json::from_slice(request.unwrap().body()).unwrap();
            assert!(body.is_object(), "{name}");
        }
        assert_eq!(Preset::triton().request().uri(), "/v2/health/ready");
        for name in ["ollama", "triton", "dynamo", "tenstorrent"] {
            assert!(Preset::named(name).unwrap().deep_request().is_none(), "{name}");
        }
        assert!(Preset::http("/ready?full=1").deep_request().is_none());
        assert!(Preset::named("http").is_none());
    }

    #[test]
    fn headers_go_with_every_probe() {
        let key = HeaderValue::from_static("Bearer k");
        let preset =
            Preset::http("/").deep("/run", "{}").header(header::AUTHORIZATION, key.clone());
        for request in [preset.request(), preset.deep_request().unwrap()] {
            assert_eq!(request.headers()["authorization"], key);
        }
    }

    #[test]
    #[should_panic(expected = "no path")]
    fn a_path_that_is_none_is_refused_at_once() {
        let _ = Preset::http("health");
    }
}
