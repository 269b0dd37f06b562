//! NVIDIA Dynamo's readiness, pull requests 10995, 10503 and 7763: when a model that is served in parts
//! can serve, and what the health endpoints say meanwhile.

use crate::support::{Answer, always, json, post, send, stack};
use bytes::Bytes;
use futures::{channel::mpsc, stream};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_inference::{
    ModelRegistry, endpoints,
    readiness::{State, Unit, UnknownModel, Update},
};

const CHAT: &str = "/v1/chat/completions";

fn decode(live: usize) -> Unit {
    Unit::new("decode").with_role("decode").with_live(live).with_need(["prefill"])
}

fn prefill(live: usize) -> Unit {
    Unit::new("prefill").with_role("prefill").with_live(live).with_need(["decode"])
}

fn encode(live: usize) -> Unit {
    let unit = Unit::new("encode").with_role("encode").with_live(live);
    unit.with_need(["prefill", "decode"]).with_need(["aggregated"])
}

fn aggregated(id: &str) -> Unit {
    Unit::new(id).with_role("aggregated")
}

/// A registry that holds only these units of `llama-3`, in one namespace.
fn registry(units: &[Unit]) -> ModelRegistry {
    let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
    units.iter().for_each(|unit| models.set_unit("llama-3", "default", unit.clone()));
    models
}

/// Asks for a model through the whole stack.
async fn ask(models: &ModelRegistry, model: &str) -> Answer {
    let service = stack(models.clone(), always(|| json(200, "{}")));
    send(&service, post(CHAT, &format!(r#"{{"model":"{model}"}}"#))).await
}

/// The status of such an answer, after what the other surfaces say has been compared with it.
async fn status(models: &ModelRegistry) -> u16 {
    let answer = ask(models, "llama-3").await;
    let status = answer.status().as_u16();
    let (list, body) = get(models, "/v1/models").await;
    if list == 200 {
        let listed = body["data"].as_array().unwrap().iter().any(|it| it["id"] == "llama-3");
        assert_eq!(listed, status == 200, "{body}");
    }
    assert_eq!(get(models, "/v1/models/llama-3").await.0, status);
    assert_eq!(get(models, "/health").await.0, if status == 200 { 200 } else { 503 });
    if status == 503 {
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    status
}

/// Asks an endpoint: of health alone, of models behind the gate.
async fn get(models: &ModelRegistry, path: &str) -> (u16, Value) {
    let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let answer = match path {
        "/live" => send(&endpoints::live(), request).await,
        "/health" => send(&endpoints::health(models.clone()), request).await,
        _ => send(&stack(models.clone(), endpoints::models(models.clone())), request).await,
    };
    (answer.status().as_u16(), answer.json())
}

// D13
#[tokio::test]
async fn a_part_that_dies_closes_the_gate_and_opens_it_when_it_comes_back() {
    let models = registry(&[decode(1)]);
    assert_eq!(status(&models).await, 503);
    for _ in 0..2 {
        models.set_unit("llama-3", "default", prefill(2));
        assert_eq!(status(&models).await, 200);
        models.set_unit("llama-3", "default", prefill(0));
        assert_eq!(status(&models).await, 503);
        models.set_unit("llama-3", "default", prefill(1));
        assert_eq!(status(&models).await, 200);
        models.remove_unit("llama-3", "default", "prefill");
        assert_eq!(status(&models).await, 503);
    }
}

// D13 D17 D18 D19 D20 D21 D22
#[tokio::test]
async fn a_model_passes_the_gate_exactly_while_its_units_are_complete() {
    let other = |unit: Unit| {
        let copy = Unit::new("other").with_live(unit.live()).with_role(unit.role().unwrap());
        unit.needs().fold(copy, Unit::with_need)
    };
    let nobody = || Unit::new("old").with_live(0);
    let table: [(&[Unit], u16); 20] = [
        // Complete, and with a part missing.
        (&[aggregated("a")], 200),
        (&[decode(1), prefill(1)], 200),
        (&[encode(1), decode(3), prefill(1)], 200),
        (&[decode(1)], 503),
        (&[prefill(1)], 503),
        (&[encode(1), prefill(1)], 503),
        // Any alternative will do, all of whose roles are live.
        (&[encode(1), aggregated("a")], 200),
        (&[encode(1), aggregated("a").with_live(0)], 503),
        (&[encode(1), decode(1), prefill(0)], 503),
        // What is dead needs nothing, and is missing.
        (&[decode(0), prefill(0)], 503),
        (&[aggregated("a"), encode(0)], 503),
        (&[Unit::new("d").with_role("decode"), decode(0)], 200),
        // Who says no role leaves nothing to check but who lives.
        (&[Unit::new("old")], 200),
        (&[nobody()], 503),
        (&[Unit::new("old"), decode(0)], 200),
        (&[nobody(), decode(1)], 200),
        (&[nobody(), decode(0)], 503),
        // Duplicates of a role close nothing.
        (&[decode(1), other(decode(1)), prefill(1)], 200),
        (&[decode(1), prefill(1), other(prefill(0))], 200),
        (&[aggregated("a"), aggregated("b")], 200),
    ];
    for (units, expected) in table {
        assert_eq!(status(&registry(units)).await, expected, "{units:?}");
    }
    let empty = registry(&[aggregated("a")]);
    empty.remove_unit("llama-3", "default", "a");
    assert_eq!(status(&empty).await, 503);
}

// D15 D12
#[tokio::test]
async fn an_alias_is_neither_listed_nor_another_model() {
    let models = registry(&[decode(1), prefill(1)]);
    models.alias("gpt", "llama-3");
    assert_eq!(ask(&models, "gpt").await.status(), 200);
    assert_eq!(get(&models, "/v1/models/gpt").await.0, 200);
    let (_, list) = get(&models, "/v1/models").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    models.set_unit("llama-3", "default", prefill(0));
    assert_eq!(ask(&models, "gpt").await.status(), 503);
    assert_eq!(get(&models, "/v1/models/gpt").await.0, 503);
    models.remove("llama-3");
    assert_eq!(ask(&models, "gpt").await.status(), 404);
    assert_eq!(get(&models, "/v1/models/gpt").await.0, 404);
}

// D15b
#[tokio::test]
async fn operators_see_the_breakdown_of_every_model_while_the_gate_is_closed() {
    let models = registry(&[decode(2), prefill(0)]);
    models.set("qwen-3", State::Failed);
    models.set_process(State::starting());
    assert_eq!(get(&models, "/v1/models/llama-3").await.0, 503);
    let (code, body) = get(&models, "/v1/models/llama-3/ready").await;
    assert_eq!(code, 200);
    assert_eq!((&body["ready"], &body["state"]), (&json!(false), &json!("incomplete")));
    let namespace = &body["namespaces"]["default"];
    assert_eq!(namespace["present"], json!(["decode"]));
    assert_eq!(namespace["missing"], json!(["prefill"]));
    assert_eq!(namespace["units"][0]["live"], 2);

    let (code, body) = get(&models, "/v1/models/qwen-3/ready").await;
    assert_eq!((code, &body["state"]), (200, &json!("failed")));
    assert_eq!(get(&models, "/v1/models/gpt-9/ready").await.0, 404);
}

// D15b D21
#[tokio::test]
async fn operators_see_which_roles_are_ambiguous() {
    let models =
        registry(&[Unit::new("v1").with_role("decode"), Unit::new("v2").with_role("decode")]);
    let (_, body) = get(&models, "/v1/models/llama-3/ready").await;
    assert_eq!(body["ready"], true);
    assert_eq!(body["namespaces"]["default"]["ambiguous"], json!(["decode"]));
}

// D15b
#[tokio::test]
async fn a_model_whose_id_ends_in_ready_comes_before_a_breakdown() {
    let models = registry(&[aggregated("a")]);
    models.set("llama-3/ready", State::Ready);
    let (code, body) = get(&models, "/v1/models/llama-3/ready").await;
    assert_eq!((code, &body["object"]), (200, &json!("model")));
    models.set("llama-3/ready", State::starting());
    assert_eq!(get(&models, "/v1/models/llama-3/ready").await.0, 503);
    models.remove("llama-3/ready");
    let (_, body) = get(&models, "/v1/models/llama-3/ready").await;
    assert_eq!(body["object"], "model.readiness");
}

// D16
#[tokio::test]
async fn one_complete_namespace_is_enough() {
    let models = registry(&[decode(1)]);
    assert_eq!(status(&models).await, 503);
    // The missing part does not count in another namespace.
    models.set_unit(
        "llama-3",
        "next",
        Unit::new("prefill").with_role("prefill").with_need(["decode"]),
    );
    assert_eq!(status(&models).await, 503);
    models.set_unit("llama-3", "canary", aggregated("a"));
    assert_eq!(status(&models).await, 200);
    models.remove_unit("llama-3", "canary", "a");
    assert_eq!(status(&models).await, 503);
}

// D16 D12
#[tokio::test]
async fn incomplete_is_503_and_unknown_404() {
    let models = registry(&[decode(1)]);
    assert_eq!(ask(&models, "llama-3").await.status(), 503);
    assert_eq!(ask(&models, "gpt-9").await.status(), 404);
}

// D23
#[tokio::test]
async fn health_tells_discovering_failed_ready_and_draining_apart() {
    let models = ModelRegistry::discovering();
    let health = async || {
        let (status, body) = get(&models, "/health").await;
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        (status, text("status"), text("reason"))
    };
    let expect = |status, name: &str, reason: &str| (status, name.to_owned(), reason.to_owned());
    assert_eq!(health().await, expect(503, "not_ready", "starting"));
    models.follow(stream::empty()).await;
    assert_eq!(health().await, expect(503, "not_ready", "failed"));
    models.set_unit("llama-3", "default", aggregated("a"));
    models.apply(Update::Synced);
    assert_eq!(health().await, expect(200, "ready", ""));
    models.begin_drain();
    assert_eq!(health().await, expect(503, "draining", "draining"));
}

// D24: there, a server that stops is no longer live. Here, an answer that it is not would have it killed
// before its last request has ended.
#[tokio::test]
async fn what_can_answer_is_alive() {
    let models = registry(&[decode(1)]);
    for state in [State::Ready, State::starting(), State::Failed, State::Draining] {
        models.set_process(state);
        assert_eq!(get(&models, "/live").await, (200, json!({ "status": "live" })), "{state:?}");
    }
}

// D25
#[tokio::test]
async fn nothing_is_ready_before_the_first_discovery_nor_without_a_model() {
    let models = ModelRegistry::discovering();
    let (updates, discovered) = mpsc::unbounded();
    let follow = tokio::spawn(models.follow(discovered));
    let tell = async |update| {
        updates.unbounded_send(update).unwrap();
        while !updates.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let unit = |unit| Update::Unit { model: "llama-3".into(), namespace: "default".into(), unit };

    tell(unit(aggregated("a"))).await;
    assert_eq!(status(&models).await, 503, "there may be more to come");
    tell(Update::Synced).await;
    assert_eq!(status(&models).await, 200);
    tell(Update::RemoveModel { model: "llama-3".into() }).await;
    assert_eq!(get(&models, "/health").await.0, 503, "there is nothing to be ready");
    tell(unit(decode(1))).await;
    assert_eq!(status(&models).await, 503);
    tell(unit(prefill(1))).await;
    assert_eq!(status(&models).await, 200);

    follow.abort();
    assert!(follow.await.unwrap_err().is_cancelled());
    assert_eq!(status(&models).await, 503, "nobody knows any more");
}

// D25
#[tokio::test]
async fn a_registry_that_nobody_fills_is_as_ready_as_its_process() {
    let models = ModelRegistry::new();
    assert_eq!(get(&models, "/health").await.0, 200);
    assert_eq!(ask(&models, "llama-3").await.status(), 200);
}
