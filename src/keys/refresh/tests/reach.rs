//! Keys inside private networks: an API server as a stock cluster has it, plain http in a mesh, and a proxy on the way.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::path::PathBuf;

use rcgen::{KeyPair, SanType};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::keys::Reach;
use crate::net::Network;
use crate::x509::{Authority, Roots, root, svid};

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl";

/// The answer of an API server to who is not logged in.
const FORBIDDEN: &str =
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"reason\":\"Forbidden\",\"code\":403}";

/// An API server under an authority of its own that gives its keys, and where they are, to the logged in only.
async fn api_server(authority: &Authority, keys: String) -> u16 {
    let (key, mut params) = (KeyPair::generate().unwrap(), svid("spiffe://unused.example/a"));
    params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
    let der = authority.issue_for(&params, &key);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = config.with_no_client_auth().with_single_cert(vec![CertificateDer::from(der)], private).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let metadata = format!(r#"{{"issuer":"https://localhost:{port}","jwks_uri":"https://localhost:{port}/openid/v1/jwks"}}"#);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, keys, metadata) = (acceptor.clone(), keys.clone(), metadata.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let logged_in =
                    request.to_ascii_lowercase().contains(&format!("authorization: bearer {}", TOKEN.to_ascii_lowercase()));
                let answer = match (logged_in, request.contains("openid-configuration")) {
                    (true, true) => ok("application/json", &metadata),
                    (true, false) => ok("application/jwk-set+json", &keys),
                    (false, _) => ok("application/json", FORBIDDEN).replace("200 OK", "403 Forbidden"),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

fn loopback() -> Vec<Network> {
    vec![Network::parse("127.0.0.0/8").unwrap(), Network::parse("::1/128").unwrap()]
}

fn token_file(text: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let path = std::env::temp_dir().join(format!("countersign-token-{}-{number}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// The number of keys, or why there are none.
async fn fetched(location: KeyLocation, reach: Reach) -> Result<usize, String> {
    let location = KeyLocation::Within(Box::new(location), Box::new(reach));
    let state = CacheState::new(FetchTarget::whole(location, policy()), Arc::default());
    refresh(&state, &patient()).await.map(|(material, _)| material.keys.keys().len()).map_err(|reason| reason.to_string())
}

#[test]
fn a_stock_cluster_gives_its_keys_to_its_own_authority_and_token_and_to_nothing_less() {
    run(async {
        let (authority, stranger, key) = (root("kubernetes"), root("other"), key());
        let port = api_server(&authority, format!(r#"{{"keys":[{}]}}"#, key.public_jwk())).await;
        let uri = || KeyLocation::Uri(Url::parse(&format!("https://localhost:{port}/openid/v1/jwks")).unwrap());
        let discovery =
            || KeyLocation::Discovery { issuer: Issuer::parse(&format!("https://localhost:{port}")).unwrap(), hosts: vec![] };
        let roots = |of: &Authority| Some(Arc::new(Roots::from_der([&of.der]).unwrap()));
        let file = token_file(&format!("{TOKEN}\n"));
        let whole =
            || Reach { networks: loopback(), authorities: roots(&authority), token_file: Some(file.clone()), ..Reach::default() };
        assert_eq!(fetched(uri(), whole()).await, Ok(1));
        assert_eq!(fetched(discovery(), whole()).await, Ok(1), "discovery and keys alike");
        for (lacking, why) in [
            (Reach { token_file: None, ..whole() }, "the status 403"),
            (Reach { token_file: Some(token_file("wrong")), ..whole() }, "the status 403"),
            (Reach { token_file: Some(token_file(" \n")), ..whole() }, "it holds no token"),
            (Reach { token_file: Some(token_file("a b")), ..whole() }, "it holds no token"),
            (Reach { token_file: Some("/nowhere/token".into()), ..whole() }, "cannot be had from /nowhere/token"),
            (Reach { authorities: None, ..whole() }, "by no authority that is trusted here"),
            (Reach { authorities: roots(&stranger), ..whole() }, "by no authority that is trusted here"),
        ] {
            let told = fetched(uri(), lacking).await.unwrap_err();
            assert!(told.contains(why) && !told.contains(TOKEN), "{why}: {told}");
        }
        // The platform replaces the token; nobody is asked to load anything again.
        std::fs::write(&file, "stale").unwrap();
        assert!(fetched(uri(), whole()).await.is_err());
        std::fs::write(&file, TOKEN).unwrap();
        assert_eq!(fetched(uri(), whole()).await, Ok(1));
    });
}

#[test]
fn why_there_was_no_connection_is_told_apart() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let port = api_server(&root("a"), String::new()).await;
        let named = |address: String| KeyLocation::Uri(Url::parse(&address).unwrap());
        let reach = || Reach { networks: loopback(), ..Reach::default() };
        for (address, why) in [
            (format!("https://localhost:{port}/k"), "by no authority that is trusted here"),
            (format!("https://localhost:{closed}/k"), "the connection was refused"),
            ("https://no-such-name.invalid/k".to_owned(), "the name of the host leads to no address"),
        ] {
            let told = fetched(named(address), reach()).await.unwrap_err();
            assert!(told.contains(why), "{why}: {told}");
        }
    });
}

/// Plain http is for addresses that an operator named; a name that leads elsewhere is not followed there.
#[test]
fn plain_http_stays_in_the_networks_that_are_named_for_it() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| answers.keys = published(&[&key]));
        let uri = |address: &str| KeyLocation::Uri(Url::parse(address).unwrap());
        let plain = |networks: &[&str]| Reach {
            networks: networks.iter().map(|network| Network::parse(network).unwrap()).collect(),
            plain: true,
            ..Reach::default()
        };
        assert_eq!(fetched(uri(&format!("{}/keys", origin.address)), plain(&[])).await, Ok(1), "this machine");
        for (address, networks, why) in [
            ("http://10.1.2.3/keys", &["10.2.0.0/16"][..], "networks that are named for it only"),
            ("http://93.184.216.34/keys", &[], "networks that are named for it only"),
        ] {
            let told = fetched(uri(address), plain(networks)).await.unwrap_err();
            assert!(told.contains(why), "{address}: {told}");
        }
        let told = fetched(uri("http://10.1.2.3/keys"), Reach { networks: loopback(), ..Reach::default() }).await.unwrap_err();
        assert!(told.contains("neither https nor http on a loopback host"), "{told}");
    });
}

/// The proxy is asked for a tunnel to the very host, and what goes through it is for the server alone.
#[test]
fn a_proxy_of_a_rule_is_asked_for_the_address_of_its_keys() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let reach = Reach { proxy: Some(proxy), token_file: Some(token_file(TOKEN)), ..Reach::default() };
        let location = KeyLocation::Uri(Url::parse("https://login.acme.example/keys").unwrap());
        assert!(fetched(location, reach).await.is_err());
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("CONNECT login.acme.example:443 HTTP/1.1\r\n") && !asked.contains(TOKEN), "{asked}");
    });
}
