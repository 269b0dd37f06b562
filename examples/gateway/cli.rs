//! The command line.

use crate::{simulated, upstream::Upstream};
use axum::http::uri::PathAndQuery;
use clap::{
    Args, CommandFactory, Parser, ValueEnum, builder::PossibleValuesParser, error::ErrorKind,
    value_parser,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tower::retry::RetryLayer;
use tower_inference::{
    ErrorNormalizationLayer, ModelRegistry, ProbeDriver, ReadinessLayer,
    dialect::{self, Disclosure, StatusPolicy},
    error_normalization::Credentials,
    provider::Providers,
    readiness::{Preset, UnknownModel},
    retry::RetryPolicy,
};

/// The choice of a provider or a dialect by what is seen.
const AUTO: &str = "auto";

/// A gateway for LLM inference services whose clients are told the truth: a failure is an error in
/// their own API, and a model that is not ready is a 503.
///
/// Without --upstream it starts a simulated provider, and prints what to try on it.
#[derive(Parser)]
#[command(name = "gateway", after_help = simulated::list())]
pub(crate) struct Cli {
    /// Listen here; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Forward to this address, http or https; a path in it goes before every request's own
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<Upstream>,

    /// Trust the certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub(crate) upstream_ca: Option<PathBuf>,

    /// Serve these models, and list them at /v1/models
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) models: Vec<String>,

    /// Forward requests for a model that is not served, or answer 404
    #[arg(long, value_name = "ACTION", default_value = "pass")]
    unknown_model: OnUnknown,

    /// Let the simulated provider warm up for so many milliseconds
    #[arg(long, value_name = "N", default_value_t = 3000, conflicts_with = "upstream")]
    pub(crate) warm_up_ms: u64,

    #[command(flatten)]
    errors: Errors,

    #[command(flatten)]
    gate: Gate,
}

/// How failures are read and shown.
#[derive(Args)]
struct Errors {
    /// Ask this provider first what a failure means
    #[arg(long, value_name = "NAME", default_value = AUTO, value_parser = providers())]
    provider: String,

    /// Write errors in this dialect; auto goes by the request
    #[arg(long, value_name = "NAME", default_value = AUTO, value_parser = dialects())]
    dialect: String,

    /// Show the status of the category, or the one the provider sent
    #[arg(long, value_name = "POLICY", default_value = "normalized")]
    status_policy: Status,

    /// Whose credentials the upstream sees; those of the gateway are no matter of its clients
    #[arg(long, value_name = "OWNER", default_value = "client")]
    credentials: Owner,

    /// Try a failed request again so many times, if its body was read whole
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,

    /// Take credentials, addresses and paths out of messages
    #[arg(long, value_name = "SWITCH", default_value = "on")]
    redaction: Switch,

    /// Read at most so many bytes of an error
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    max_error_body: usize,

    /// End a stream after so many milliseconds without an event
    #[arg(long, value_name = "N", default_value_t = 300_000, value_parser = value_parser!(u64).range(1..))]
    idle_timeout_ms: u64,

    /// Wait at most so many milliseconds for the first event of a stream
    #[arg(long, value_name = "N", default_value_t = 600_000, value_parser = value_parser!(u64).range(1..))]
    first_event_timeout_ms: u64,

    /// Hold a stream's head back so long that an early error gets a status; 0: never
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    promote_within_ms: u64,
}

/// When the gate opens and closes by itself.
#[derive(Args)]
struct Gate {
    /// Ask the upstream for its health at this path; without it, it counts as ready
    #[arg(long, value_name = "PATH", requires = "upstream", value_parser = path)]
    probe_path: Option<String>,

    /// Ask every so many milliseconds
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = value_parser!(u64).range(1..))]
    probe_interval_ms: u64,

    /// Give up a probe after so many milliseconds
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = value_parser!(u64).range(1..))]
    probe_timeout_ms: u64,

    /// Close the gate after so many failures in a row
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    failure_threshold: u32,

    /// Open the gate after so many good probes in a row
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    success_threshold: u32,

    /// Keep requests waiting for a starting model for so many milliseconds; 0: refuse them
    #[arg(long, value_name = "N", default_value_t = 0)]
    hold_ms: u64,

    /// Keep at most so many requests waiting
    #[arg(long, value_name = "N", default_value_t = 1000)]
    hold_max: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum OnUnknown {
    Pass,
    #[value(name = "404")]
    NotFound,
}

#[derive(Clone, Copy, ValueEnum)]
enum Status {
    Normalized,
    Provider,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum Owner {
    Client,
    Gateway,
}

impl Cli {
    /// The options of this process. Ends it with a message and status 2 where they make no sense.
    pub(crate) fn of_process() -> Self {
        let cli = Self::parse();
        if let Err(error) = cli.check() {
            error.exit()
        }
        cli
    }

    fn check(&self) -> Result<(), clap::Error> {
        let refuse = |kind, message: String| Err(Self::command().error(kind, message));
        if self.unknown_model == OnUnknown::NotFound && self.served().next().is_none() {
            let message = "--unknown-model 404 without --models would refuse every request";
            return refuse(ErrorKind::MissingRequiredArgument, message.to_owned());
        }
        Ok(())
    }

    /// The models served: those named, else those of the simulated provider.
    pub(crate) fn served(&self) -> impl Iterator<Item = &str> {
        let simulated = self.upstream.is_none() && self.models.is_empty();
        let simulated = simulated::MODELS.iter().filter(move |_| simulated).map(|model| model.name);
        self.models.iter().map(String::as_str).chain(simulated)
    }

    /// A registry without models yet.
    pub(crate) fn registry(&self) -> ModelRegistry {
        ModelRegistry::new().unknown_model(match self.unknown_model {
            OnUnknown::Pass => UnknownModel::Pass,
            OnUnknown::NotFound => UnknownModel::NotFound,
        })
    }

    /// How much of an error clients see.
    pub(crate) fn disclosure(&self) -> Disclosure {
        let status = match self.errors.status_policy {
            Status::Normalized => StatusPolicy::Normalized,
            Status::Provider => StatusPolicy::Provider,
        };
        Disclosure::default().redaction(self.errors.redaction == Switch::On).status(status)
    }

    /// The dialect of all errors, unless it follows from the request.
    pub(crate) fn dialect(&self) -> Option<&'static dyn dialect::Dialect> {
        dialect::named(&self.errors.dialect)
    }

    /// What asks the upstream for its health, if that is wanted. It reports to the process's state, and
    /// real requests count beside its probes.
    pub(crate) fn probe_driver<S>(
        &self,
        upstream: S,
        models: &ModelRegistry,
    ) -> Option<ProbeDriver<S>> {
        let gate = &self.gate;
        let preset = Preset::http(gate.probe_path.as_deref()?);
        let driver = ProbeDriver::new(upstream, preset, models.process_reporter())
            .period(Duration::from_millis(gate.probe_interval_ms))
            .timeout(Duration::from_millis(gate.probe_timeout_ms))
            .failure_threshold(gate.failure_threshold)
            .success_threshold(gate.success_threshold);
        Some(driver)
    }

    /// The layer that refuses requests while the models cannot serve them, or lets them wait.
    pub(crate) fn readiness(&self, models: &ModelRegistry) -> ReadinessLayer<ModelRegistry> {
        let layer = ReadinessLayer::new(models.clone()).disclosure(self.disclosure());
        let layer = match self.dialect() {
            Some(dialect) => layer.dialect(dialect),
            None => layer,
        };
        match self.gate.hold_ms {
            0 => layer,
            max_wait => layer.hold(Duration::from_millis(max_wait), self.gate.hold_max),
        }
    }

    /// The layer that tries again, if it is wanted.
    pub(crate) fn retry(&self) -> Option<RetryLayer<RetryPolicy>> {
        let retries = self.errors.retries;
        (retries > 0).then(|| RetryLayer::new(RetryPolicy::new(retries)))
    }

    /// The layer that turns failures into answers.
    pub(crate) fn error_normalization(&self) -> ErrorNormalizationLayer {
        let errors = &self.errors;
        let layer = ErrorNormalizationLayer::new()
            .providers(Providers::named(&errors.provider).unwrap_or_default())
            .disclosure(self.disclosure())
            .credentials(match errors.credentials {
                Owner::Client => Credentials::Client,
                Owner::Gateway => Credentials::Gateway,
            })
            .idle_timeout(Duration::from_millis(errors.idle_timeout_ms))
            .first_event_timeout(Duration::from_millis(errors.first_event_timeout_ms))
            .promote_within(Duration::from_millis(errors.promote_within_ms))
            .max_error_body(errors.max_error_body);
        match self.dialect() {
            Some(dialect) => layer.dialect(dialect),
            None => layer,
        }
    }
}

/// A path to probe.
fn path(text: &str) -> Result<String, String> {
    match text.parse::<PathAndQuery>() {
        Ok(path) if text.starts_with('/') => Ok(path.to_string()),
        _ => Err("it must begin with a slash, and be fit for a URL".to_owned()),
    }
}

fn providers() -> PossibleValuesParser {
    PossibleValuesParser::new([AUTO].into_iter().chain(Providers::names()))
}

fn dialects() -> PossibleValuesParser {
    PossibleValuesParser::new([AUTO].into_iter().chain(dialect::names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let cli = Cli::try_parse_from(["gateway"].into_iter().chain(line.split_whitespace()))?;
        cli.check().map(|()| cli)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn senseless_options_are_refused() {
        for line in [
            "--upstream ftp://host",
            "--upstream host:80",
            "--provider nobody",
            "--dialect esperanto",
            "--idle-timeout-ms 0",
            "--upstream http://host --unknown-model 404",
            "--upstream http://host --warm-up-ms 1",
            "--upstream-ca roots.pem",
            "--probe-path /health",
            "--upstream http://host --probe-path health",
            "--failure-threshold 0",
        ] {
            assert_eq!(parse(line).err().expect(line).exit_code(), 2);
        }
    }

    #[test]
    fn the_simulated_models_are_served_unless_others_are_named() {
        let count = |line: &str| parse(line).unwrap().served().count();
        assert_eq!(count(""), simulated::MODELS.len());
        assert_eq!(count("--models a,b"), 2);
        assert_eq!(count("--upstream http://host"), 0);
    }
}
