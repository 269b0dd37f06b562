//! A small app behind the gate, and the endpoints that say what the gate does.

use axum::{Router, extract::Extension, response::IntoResponse, routing::post};
use tower::ServiceBuilder;
use tower_inference::{ModelNameLayer, ModelRegistry, ReadinessLayer, RequestedModel, endpoints};

/// The app; in place of [`completion`], a real one forwards the request to the service.
pub(crate) fn app(models: &ModelRegistry) -> Router {
    let gate = ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(models.clone()))
        .layer(ReadinessLayer::new(models.clone()));
    let list = endpoints::models(models.clone());
    Router::new()
        .route("/v1/chat/completions", post(completion))
        .route_layer(gate)
        .route_service("/live", endpoints::live())
        .route_service("/ready", endpoints::ready(models.clone()))
        .route_service("/v1/models", list.clone())
        .route_service("/v1/models/{*id}", list)
}

async fn completion(model: Option<Extension<RequestedModel>>) -> impl IntoResponse {
    let model = model.as_ref().map_or("no model in particular", |model| model.as_str());
    format!("a completion by {model}\n")
}
