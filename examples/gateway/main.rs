//! A gateway for LLM inference services, made of the layers of `tower-inference`.
//!
//! ```text
//! cargo run --release --example gateway
//! cargo run --release --example gateway -- --upstream http://127.0.0.1:8000 --models llama-3
//! ```
//!
//! The stack is in `routes.rs`, the service in its middle in `proxy.rs`. Without `--upstream` a
//! simulated provider stands behind the gateway and fails on demand.

mod banner;
mod cli;
mod proxy;
mod routes;
mod serve;
mod simulated;
mod upstream;

use crate::{cli::Cli, proxy::Proxy, upstream::Upstream};
use axum::body::Bytes;
use http_body_util::Full;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};
use tower::BoxError;
use tower_inference::{ModelRegistry, observe::Observe, readiness::State};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::of_process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), BoxError> {
    let stop = serve::stop_signal()?;
    let listener = TcpListener::bind(cli.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", cli.listen))?;
    let models = cli.registry();
    let upstream = match &cli.upstream {
        Some(upstream) => {
            for model in cli.served() {
                models.set(model, State::Ready);
            }
            upstream.clone()
        }
        None => {
            let warming_up = Duration::from_millis(cli.warm_up_ms);
            let simulated = simulated::start(warming_up).await?;
            let served: Vec<_> = cli.served().map(str::to_owned).collect();
            for model in &served {
                models.set(model, State::Starting { eta: Some(warming_up) });
            }
            tokio::spawn(warm_up(models.clone(), served, simulated.ready_at));
            Upstream::at(simulated.address)
        }
    };
    let ca = cli.upstream_ca.as_deref();
    let probed = Proxy::<Full<Bytes>>::new(upstream::client(ca)?, upstream.clone());
    let mut observers: Vec<Arc<dyn Observe>> = Vec::new();
    if let Some(driver) = cli.probe_driver(probed, &models) {
        observers.push(Arc::new(driver.handle()));
        tokio::spawn(driver.observe(StateLog).run());
    }
    let proxy = Proxy::new(upstream::client(ca)?, upstream);
    let router = routes::router(cli, &models, proxy, observers);
    // A reader that goes away after the first line is no reason to stop.
    _ = banner::print(cli, listener.local_addr()?);
    serve::serve(listener, router, stop, || models.begin_drain()).await;
    Ok(())
}

/// Opens the gate of these models when the simulated provider is ready.
async fn warm_up(models: ModelRegistry, served: Vec<String>, ready_at: Instant) {
    sleep_until(ready_at).await;
    for model in served {
        models.set(&model, State::Ready);
    }
}

/// Writes to stderr when the gate opens and closes.
struct StateLog;

impl Observe for StateLog {
    fn state_changed(&self, model: Option<&str>, state: State) {
        eprintln!("{} is {}", model.unwrap_or("the upstream"), state.as_str());
    }
}
