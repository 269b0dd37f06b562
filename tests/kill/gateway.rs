//! The gateway as a process, seen from outside.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

pub(crate) struct Gateway {
    process: Child,
    pub(crate) address: SocketAddr,
}

/// What the gateway holds at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    /// Its resident memory, in KiB.
    pub(crate) memory: u64,
}

impl Gateway {
    pub(crate) fn start(path: &str, upstream: SocketAddr) -> Self {
        let trim = concat!(env!("CARGO_TARGET_TMPDIR"), "/trim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kill/trim.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-pthread", "-o", trim, source]);
        assert!(compiler.status().expect("Rust needs cc too").success());
        let mut process = Command::new(path)
            .env("LD_PRELOAD", trim)
            .args(["--listen", "127.0.0.1:0", "--models", "m", "--upstream"])
            .arg(format!("http://{upstream}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        Self { process, address }
    }

    pub(crate) fn held(&self) -> Held {
        let process = format!("/proc/{}", self.process.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Held {
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
            threads: field("Threads:"),
            memory: field("VmRSS:"),
        }
    }

    /// Asks it to stop: how long it took, whether it was content, and what it said.
    pub(crate) fn stop(&mut self) -> (Duration, bool, String) {
        let begin = Instant::now();
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        let content = self.process.wait().unwrap().success();
        let time = begin.elapsed();
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (time, content, said)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
