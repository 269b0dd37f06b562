//! Hosts and addresses that mean something only inside a network.

use super::run;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const INTERNAL_SUFFIXES: &[&str] = &[
    ".consul",
    ".corp",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localdomain",
    ".svc",
];

/// Schemes whose addresses name a host, not a bucket or a model.
const HOST_SCHEMES: &[&str] = &[
    "amqp",
    "grpc",
    "grpcs",
    "http",
    "https",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "tcp",
    "ws",
    "wss",
];

/// An internal host or private address and its port.
pub(super) fn internal_len(word: &str, after: &str) -> Option<usize> {
    let host = word.trim_end_matches('.');
    let port = match after.strip_prefix(':') {
        Some(digits) if host.len() == word.len() => run(digits, |b| b.is_ascii_digit()),
        _ => 0,
    };
    let here = port > 0 && host.eq_ignore_ascii_case("localhost");
    if !here && !host.as_bytes().contains(&b'.') {
        return None;
    }
    let named = INTERNAL_SUFFIXES.iter().any(|suffix| {
        let name = host.len().checked_sub(suffix.len()).filter(|len| *len > 0);
        name.is_some_and(|len| host[len..].eq_ignore_ascii_case(suffix))
    });
    let private = host.len() <= 15 && host.parse().is_ok_and(|ip| is_private(IpAddr::V4(ip)));
    (named || private || here).then(|| host.len() + if port > 0 { port + 1 } else { 0 })
}

/// Whether a URL leads to a host without a domain, such as a service of Kubernetes.
pub(super) fn is_local_url(scheme: &str, host: &str) -> bool {
    let known = HOST_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known && !host.is_empty() && !host.contains('.')
}

/// `host='model-server'`, as Python writes a pool of connections: what to skip, and the length.
pub(super) fn named_host(word: &str, after: &str) -> Option<(usize, usize)> {
    let quote = after.strip_prefix('=').filter(|_| word.eq_ignore_ascii_case("host"))?;
    let skipped = 1 + run(quote, |b| b == b'\'' || b == b'"').min(1);
    let host = &after[skipped..];
    let host = &host[..run(host, super::is_word)];
    let local = skipped == 2 && !host.is_empty() && !host.contains('.');
    local.then_some((skipped, host.len()))
}

pub(super) fn private_ipv6(text: &str) -> Option<usize> {
    let part = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let len = text.bytes().take(46).take_while(part).count();
    let address = text[..len].trim_end_matches('.');
    let address = address.strip_suffix(':').filter(|a| !a.ends_with(':')).unwrap_or(address);
    if !address.contains(':') {
        return None;
    }
    let ip: Ipv6Addr = address.parse().ok()?;
    is_private(IpAddr::V6(ip)).then_some(address.len())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let carrier = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64; // RFC 6598
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || carrier
        }
        IpAddr::V6(ip) => {
            let mapped: Option<Ipv4Addr> = ip.to_ipv4_mapped();
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || mapped.is_some_and(|ip| is_private(IpAddr::V4(ip)))
        }
    }
}
