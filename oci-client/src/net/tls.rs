use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::options::{ClientOptions, Identity};
use crate::{Error, Result};

/// The TLS of a client: its own provider, so that no process-global default is read or set. `None` when no provider
/// is compiled in.
pub(super) fn config(options: &ClientOptions) -> Result<Option<Arc<ClientConfig>>> {
    let Some(provider) = provider() else {
        return if options.roots.is_empty() && options.identity.is_none() {
            Ok(None)
        } else {
            Err(Error::Config {
                what: "certificates",
                reason: "TLS is not compiled in (feature ring)".into(),
            })
        };
    };
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    #[cfg(feature = "native-roots")]
    if options.native_roots {
        let native = rustls_native_certs::load_native_certs();
        if native.certs.is_empty() {
            let reason =
                native.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
            return Err(Error::Config { what: "roots of the operating system", reason });
        }
        roots.add_parsable_certificates(native.certs);
    }
    for pem in &options.roots {
        for certificate in certificates(pem, "root certificates")? {
            roots.add(certificate).map_err(|e| unusable("root certificates", &e))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("TLS versions", &e))?
        .with_root_certificates(roots);
    let mut config = match &options.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificates: chain, key }) => {
            let chain = certificates(chain, "client certificate")?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| unusable("client key", &e))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| unusable("client certificate", &e))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>> {
    let found =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|e| unusable(what, &e))?;
    if found.is_empty() {
        return Err(Error::Config { what, reason: "no certificate in the PEM text".into() });
    }
    Ok(found)
}

fn unusable(what: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Config { what, reason: error.to_string() }
}

#[cfg(feature = "ring")]
fn provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn provider() -> Option<Arc<CryptoProvider>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_unusable() {
        for (options, what) in [
            (ClientOptions::default().root_certificates(""), "root certificates"),
            (ClientOptions::default().root_certificates("no PEM"), "root certificates"),
            (ClientOptions::default().client_certificate("", ""), "client certificate"),
        ] {
            match config(&options) {
                Err(Error::Config { what: named, .. }) => {
                    assert!(
                        named == what || cfg!(not(any(feature = "ring", feature = "aws-lc-rs"))),
                        "{named}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(config(&ClientOptions::default()).is_ok());
    }
}
