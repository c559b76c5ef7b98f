use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use oci_client::blocking::{Client, Repository};
use oci_client::credentials::AuthFiles;
use oci_client::{ClientOptions, Credentials, PlainHttp, Reference};

use crate::Failure;

/// How a program gets at a registry: the flags that all of them have.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Access {
    /// Speak plain http; loopback hosts need no telling
    #[arg(long)]
    pub plain_http: bool,
    /// User name and password for the registry
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<UserPassword>,
    /// A file with credentials, as podman's auth.json or docker's config.json, instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
}

impl Access {
    /// The repository of a reference. Nothing is sent yet.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn repository(&self, reference: &Reference) -> Result<Repository, Failure> {
        let files = self.authfile.as_ref().map_or_else(AuthFiles::from_environment, AuthFiles::only);
        let mut options = ClientOptions::default().credential_source(Arc::new(files));
        if self.plain_http {
            options = options.plain_http(PlainHttp::Always);
        }
        if let Some(UserPassword { user, password }) = &self.creds {
            options = options.credentials(reference.registry(), Credentials::basic(user, password))?;
        }
        Ok(Client::with(options)?.repository(reference)?)
    }
}

/// `USER:PASSWORD`. Debug shows neither.
#[derive(Clone)]
pub struct UserPassword {
    user: String,
    password: String,
}

impl FromStr for UserPassword {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                Ok(Self { user: user.to_owned(), password: password.to_owned() })
            }
            _ => Err("expected USER:PASSWORD"),
        }
    }
}

impl std::fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserPassword(…)")
    }
}
