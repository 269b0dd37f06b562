//! A readiness gate that follows the endpoints of Kubernetes services: `README.md` says how to run it.

mod app;
mod slices;
#[cfg(test)]
mod tests;
mod watch;

use clap::Parser;
use kube::{Api, Client, Config, runtime::watcher::DefaultBackoff};
use slices::Slices;
use std::{future::Future, io, net::SocketAddr};
use tokio::{net::TcpListener, select, signal::unix};
use tower::BoxError;
use tower_inference::{ModelRegistry, readiness::UnknownModel};

/// Serves a small app whose gate follows the endpoints of Kubernetes services.
#[derive(Parser)]
struct Cli {
    /// Follow these services; all of one model, or of several
    #[arg(long, value_name = "NAMES", required = true, value_delimiter = ',')]
    service: Vec<String>,

    /// The namespace they are in; by default that of the kubeconfig, or of this pod
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// The model of services without the label tower-inference/model; by default the service's name
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// The roles that a model needs, of services with the label tower-inference/role
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    roles: Vec<String>,

    /// Listen here; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let cli = Cli::parse();
    let config = watch::with_limits(Config::infer().await?, watch::WATCH);
    let namespace = cli.namespace.unwrap_or_else(|| config.default_namespace.clone());
    let api = Api::namespaced(Client::try_from(config)?, &namespace);
    let services = watch::slices_of(&cli.service, watch::WATCH);
    let slices = Slices::new(cli.model, cli.roles);

    let models = ModelRegistry::discovering().unknown_model(UnknownModel::NotFound);
    let app = app::app(&models);
    let follow = watch::follow(models.clone(), api, services, DefaultBackoff::default(), slices);
    let following = tokio::spawn(follow);
    let stop = stop_signal()?;
    let listener = TcpListener::bind(cli.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let drain = async move {
        stop.await;
        following.abort();
        models.begin_drain();
    };
    axum::serve(listener, app).with_graceful_shutdown(drain).await?;
    Ok(())
}

/// Ready when the process is asked to stop: SIGTERM, or ctrl-c.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    Ok(async move {
        select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
