//! What the gateway answers itself, and the stack in front of everything else.

use crate::{cli::Cli, proxy::Proxy, simulated};
use axum::{
    Router,
    body::Body,
    http::{HeaderName, header},
    routing::get,
};
use std::{fmt::Write, sync::Arc};
use tower::ServiceBuilder;
use tower_inference::{
    ModelNameLayer, ModelRegistry, ReadinessProbe, RequestBody, endpoints, observe::Observe,
};

/// The whole gateway as one service; `observers` hear of every failure and completion.
pub(crate) fn router(
    cli: &Cli,
    models: &ModelRegistry,
    proxy: Proxy<RequestBody<Body>>,
    observers: Vec<Arc<dyn Observe>>,
) -> Router {
    let inference = ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(models.clone()))
        .option_layer(cli.retry())
        .layer(cli.error_normalization().observe(observers))
        .layer(cli.readiness(models))
        .service(proxy);

    let registry = models.clone();
    let mut router = Router::new()
        .route_service("/live", endpoints::live())
        .route_service("/ready", endpoints::ready(models.clone()))
        .route_service("/health", endpoints::health(models.clone()))
        .route("/metrics", get(async move || (PLAIN_TEXT, metrics(&registry))))
        .fallback_service(inference);
    if !cli.models.is_empty() {
        let list = endpoints::models(models.clone());
        router = router
            .route_service("/v1/models", list.clone())
            .route_service("/v1/models/{*id}", list);
    }
    if cli.upstream.is_none() {
        router = router.route("/", get(async || simulated::list()));
    }
    router
}

/// The content type of Prometheus' text format.
const PLAIN_TEXT: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];

/// What is known, in Prometheus' text format.
fn metrics(models: &ModelRegistry) -> String {
    let snapshot = models.snapshot();
    let mut text = format!(
        "# TYPE tower_inference_ready gauge\ntower_inference_ready {}\n\
         # TYPE tower_inference_model_state gauge\n",
        u8::from(snapshot.not_ready().is_none())
    );
    let in_flight = models.in_flight().map_or(0, |in_flight| in_flight.count());
    writeln!(text, "# TYPE tower_inference_in_flight gauge\ntower_inference_in_flight {in_flight}")
        .expect("writing to a string does not fail");
    for (model, state) in snapshot.models() {
        let state = state.as_str();
        let model = model.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        writeln!(text, r#"tower_inference_model_state{{model="{model}",state="{state}"}} 1"#)
            .expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{self, Upstream};
    use axum::http::{Request, StatusCode};
    use clap::Parser;
    use http_body_util::BodyExt;
    use std::time::Duration;
    use tower::ServiceExt;
    use tower_inference::readiness::State;

    /// A gateway with these options before a simulated provider that is warm, and its registry.
    async fn gateway(options: &[&str]) -> (Router, ModelRegistry) {
        let cli = Cli::parse_from(["gateway"].iter().chain(options));
        let models = cli.registry();
        models.set("a", State::Ready);
        let provider = simulated::start(Duration::ZERO).await.unwrap();
        let client = upstream::client(None).unwrap();
        let proxy = Proxy::new(client, Upstream::at(provider.address));
        (router(&cli, &models, proxy, Vec::new()), models)
    }

    async fn send(gateway: &Router, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
        let response = gateway.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_stack_opens_and_closes_with_the_registry() {
        let (gateway, models) = gateway(&[]).await;
        let ask = async || send(&gateway, "POST", "/v1/messages", r#"{"model":"sim-ok"}"#).await;
        models.set("sim-ok", State::starting());
        let (status, body) = ask().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("overloaded_error") && body.contains("model_not_ready"), "{body}");
        models.set("sim-ok", State::Ready);
        assert_eq!(ask().await.0, StatusCode::OK);
        models.begin_drain();
        assert_eq!(ask().await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn only_its_own_paths_are_not_proxied() {
        let table: [(&[&str], _, _, _); 9] = [
            (&[], "/live", StatusCode::OK, r#"{"status":"live"}"#),
            (&[], "/ready", StatusCode::OK, r#""status":"ready""#),
            (&[], "/health", StatusCode::OK, r#""status":"ready""#),
            (&[], "/metrics", StatusCode::OK, "tower_inference_ready 1"),
            (&[], "/", StatusCode::OK, "sim-stall"),
            (&["--upstream", "http://host"], "/", StatusCode::NOT_FOUND, r#""origin":"upstream""#),
            (&[], "/v1/models", StatusCode::OK, "sim-stall"),
            (&["--models", "a"], "/v1/models", StatusCode::OK, r#""id":"a""#),
            (&["--models", "a"], "/v1/models/b", StatusCode::NOT_FOUND, "model_not_found"),
        ];
        for (options, path, status, part) in table {
            let (gateway, _) = gateway(options).await;
            let (seen, body) = send(&gateway, "GET", path, "").await;
            assert_eq!(seen, status, "{options:?} {path}");
            assert!(body.contains(part), "{options:?} {path}: {body}");
        }
    }

    #[tokio::test]
    async fn errors_are_written_as_the_options_say() {
        let table: [(&str, &[&str], u16, _); 8] = [
            ("sim-error-first", &[], 502, r#"{"error":{"#),
            ("sim-error-first", &["--status-policy", "provider"], 500, r#"{"error":{"#),
            ("sim-error-first", &["--dialect", "fastapi"], 502, r#"{"detail":""#),
            ("sim-error-first", &["--promote-within-ms", "0"], 200, r#"data: {"error":{"#),
            ("sim-stall", &["--idle-timeout-ms", "200"], 200, r#""category":"timeout""#),
            ("sim-401", &["--credentials", "gateway"], 502, "the gateway's request"),
            ("sim-503", &["--retries", "1"], 503, r#""code":"overloaded""#),
            ("sim-b", &["--models", "a", "--unknown-model", "404"], 404, "model_not_found"),
        ];
        for (model, options, status, part) in table {
            let (gateway, _) = gateway(options).await;
            let ask = format!(r#"{{"model":"{model}","stream":true}}"#);
            let (seen, body) = send(&gateway, "POST", "/v1/chat/completions", &ask).await;
            assert_eq!(seen, status, "{model} {options:?}");
            assert!(body.contains(part), "{model} {options:?}: {body}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_tried_again_if_that_is_wanted() {
        for (retries, at_least) in [("0", Duration::ZERO), ("2", Duration::from_millis(750))] {
            let (gateway, _) = gateway(&["--retries", retries]).await;
            let start = tokio::time::Instant::now();
            let ask = r#"{"model":"sim-503"}"#;
            assert_eq!(send(&gateway, "POST", "/v1/chat/completions", ask).await.0.as_u16(), 503);
            assert!(start.elapsed() >= at_least, "{retries} retries took {:?}", start.elapsed());
        }
    }

    #[test]
    fn metrics_say_the_state_of_every_model() {
        let models = ModelRegistry::new();
        models.set("a", State::Ready);
        models.set(r#"b"\"#, State::starting());
        let text = metrics(&models);
        assert!(text.contains("tower_inference_ready 1\n"), "{text}");
        for line in [
            r#"tower_inference_model_state{model="a",state="ready"} 1"#,
            r#"tower_inference_model_state{model="b\"\\",state="starting"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        models.begin_drain();
        assert!(metrics(&models).contains("tower_inference_ready 0\n"));
    }
}
