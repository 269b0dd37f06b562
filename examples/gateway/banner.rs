//! What a newcomer reads first, and may copy into a second terminal.

use crate::{cli::Cli, simulated};
use std::{
    io::{self, Write},
    net::SocketAddr,
};

/// Says where the gateway listens: the first line of its output.
///
/// # Errors
///
/// Nobody reads the output.
pub(crate) fn print(cli: &Cli, listening: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{listening}")?;
    match &cli.upstream {
        Some(upstream) => writeln!(out, "forwarding to {upstream}")?,
        None => tour(&mut out, cli, listening)?,
    }
    out.flush()
}

fn tour(out: &mut impl Write, cli: &Cli, listening: SocketAddr) -> io::Result<()> {
    let seconds = f64::from(u32::try_from(cli.warm_up_ms).unwrap_or(u32::MAX)) / 1000.0;
    let ask = |path, body| {
        format!("curl -iN http://{listening}{path} -H 'content-type: application/json' -d '{body}'")
    };
    let chat = |model, stream| {
        let stream = if stream { r#","stream":true"# } else { "" };
        ask("/v1/chat/completions", format!(r#"{{"model":"{model}"{stream}}}"#))
    };
    writeln!(
        out,
        "
A simulated provider stands behind it. It warms up for {seconds} s (--warm-up-ms): until then this
gets a 503 with retry-after, in the dialect of the request, and afterwards a 200:

  {ok}
  {ok_messages}

A load balancer asks these:

  curl -i http://{listening}/ready
  curl -i http://{listening}/metrics

Each of these models fails in its own way, and each answer says what went wrong and whether to retry:
",
        ok = chat("sim-ok", true),
        ok_messages = ask("/v1/messages", r#"{"model":"sim-ok"}"#.to_owned()),
    )?;
    for model in simulated::MODELS.iter().skip(1) {
        writeln!(out, "  # {}", model.about)?;
        writeln!(out, "  {}", chat(model.name, model.needs_stream()))?;
    }
    writeln!(
        out,
        "
The last one waits for --idle-timeout-ms, 300 s by default. /v1/responses and /v1/messages fail in
their own words. `--upstream URL` forwards to a real service, `--help` explains the rest."
    )
}
