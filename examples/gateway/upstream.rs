//! Where requests go: the address, and the client that keeps connections to it.

use axum::http::{
    Uri,
    uri::{Authority, InvalidUri, PathAndQuery, Scheme},
};
use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{fmt, net::SocketAddr, path::Path, str::FromStr, sync::Arc, time::Duration};
use tower::BoxError;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A pooled client for http and https, HTTP/1.1 and, where the server offers it, HTTP/2.
pub(crate) type HttpClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A client that trusts the roots of the web, or only those in the PEM file `ca`.
///
/// # Errors
///
/// The file cannot be read, or holds no valid certificate.
pub(crate) fn client<B>(ca: Option<&Path>) -> Result<HttpClient<B>, BoxError>
where
    B: Body + Send,
    B::Data: Send,
{
    let tls = HttpsConnectorBuilder::new();
    let provider = ring::default_provider();
    let tls = match ca {
        None => tls.with_provider_and_webpki_roots(provider)?,
        Some(file) => {
            let config = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots(file)?)
                .with_no_client_auth();
            tls.with_tls_config(config)
        }
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = tls.https_or_http().enable_http1().enable_http2().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector))
}

fn roots(file: &Path) -> Result<RootCertStore, BoxError> {
    let named = |error: BoxError| format!("{}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| named(e.into()))? {
        roots.add(certificate.map_err(|e| named(e.into()))?).map_err(|e| named(e.into()))?;
    }
    if roots.is_empty() {
        return Err(named("no certificate in it".into()).into());
    }
    Ok(roots)
}

/// The address of an upstream. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// Goes before the path of every request; without a slash at its end.
    base: Arc<str>,
}

impl Upstream {
    /// The upstream at this socket, without TLS.
    pub(crate) fn at(socket: SocketAddr) -> Self {
        let authority = socket.to_string().parse().expect("a socket address is an authority");
        Self { scheme: Scheme::HTTP, authority, base: "".into() }
    }

    /// Where a request for `uri` goes.
    ///
    /// # Errors
    ///
    /// The path is too long with the base before it.
    pub(crate) fn address(&self, uri: &Uri) -> Result<Uri, InvalidUri> {
        let path = match uri.path_and_query() {
            Some(path) if self.base.is_empty() => path.clone(),
            Some(path) => PathAndQuery::try_from(format!("{}{path}", self.base))?,
            None => PathAndQuery::from_static("/"),
        };
        let mut parts = axum::http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts).expect("scheme, authority and path make an address"))
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let uri: Uri = url.parse().map_err(|error: InvalidUri| error.to_string())?;
        let scheme = uri.scheme().filter(|&s| *s == Scheme::HTTP || *s == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err("an address begins with http:// or https://".to_owned());
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err("an address has no query and no credentials".to_owned());
        }
        let base = uri.path().trim_end_matches('/').into();
        Ok(Self { scheme: scheme.clone(), authority: authority.clone(), base })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_goes_before_the_path_of_the_request() {
        let table = [
            ("http://host", "/v1/models?a=%2Fb", "http://host/v1/models?a=%2Fb"),
            ("https://host:8443/", "/v1/models", "https://host:8443/v1/models"),
            ("http://host/api/", "/v1/models?x", "http://host/api/v1/models?x"),
            ("http://[::1]:80/a/b", "http://other/c", "http://[::1]:80/a/b/c"),
        ];
        for (upstream, request, expected) in table {
            let upstream: Upstream = upstream.parse().unwrap();
            let address = upstream.address(&request.parse().unwrap()).unwrap();
            assert_eq!(address.to_string(), expected);
        }
    }

    #[test]
    fn an_address_without_a_path_asks_for_the_root() {
        let upstream: Upstream = "http://host".parse().unwrap();
        let address = upstream.address(&Uri::from_static("host:443")).unwrap();
        assert_eq!(address.path(), "/");
    }

    #[test]
    fn addresses_with_credentials_or_a_query_are_refused() {
        for url in ["http://user:key@host", "http://host/?key=1", "host", "/v1", ""] {
            assert!(url.parse::<Upstream>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let error = roots(file).unwrap_err().to_string();
        assert!(error.contains("Cargo.toml") && error.ends_with("no certificate in it"), "{error}");
    }
}
