//! The database's address. Whoever connects (we, and PostgreSQL's own programs) learns from here what it means.
//!
//! `sslmode` and the files beside it are libpq's. What libpq would let pass silently is refused: an authority that nobody is
//! held against, and a check that anybody passes.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::LedgerError;
use crate::tls::{Identity, Tls, Trust};

/// Where the database is, and how to speak with it.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
}

/// The parameters that are ours to understand, as they stand in the address.
#[derive(Default)]
struct Asked {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    pub(crate) fn parse(url: &str) -> Result<Address, LedgerError> {
        // The parser's own words are not repeated: they may quote the address, and with it the password.
        let malformed = || LedgerError::Refused("url is no PostgreSQL address".into());
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(malformed());
        }
        let (rest, asked) = Asked::take(url).ok_or_else(malformed)?;
        let mut config: Config = rest.parse().map_err(|_| malformed())?;
        let tls = asked.tls(&config).map_err(LedgerError::Refused)?;
        config.ssl_mode(tls.mode);
        Ok(Address { config, tls })
    }

    /// The address as libpq's programs read it from the environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        let hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
        let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
        let mut address = vec![("PGHOST", hosts.join(",")), ("PGSSLMODE", self.tls.name().to_owned())];
        if !ports.is_empty() {
            address.push(("PGPORT", ports.join(",")));
        }
        address.extend(config.get_user().map(|user| ("PGUSER", user.to_owned())));
        address.extend(config.get_dbname().map(|name| ("PGDATABASE", name.to_owned())));
        if let Some(password) = config.get_password() {
            address.push(("PGPASSWORD", String::from_utf8_lossy(password).into_owned()));
        }
        if let Trust::Host(None) = self.tls.trust {
            // libpq knows the system's authorities by name since its version 16; it never looks for them by itself.
            address.extend(openssl_probe::probe().cert_file.map(|file| ("PGSSLROOTCERT", text(&file))));
        }
        address.extend(self.tls.root().map(|root| ("PGSSLROOTCERT", text(root))));
        if let Some(Identity { certificate, key }) = &self.tls.identity {
            address.extend([("PGSSLCERT", text(certificate)), ("PGSSLKEY", text(key))]);
        }
        address
    }
}

impl Asked {
    /// Takes what is ours out of the address; the rest stays as it is written.
    fn take(url: &str) -> Option<(String, Asked)> {
        // As the driver does: whatever comes before the first @ is a name and a password.
        let start = url.find('@').unwrap_or(0);
        let Some(question) = url.get(start..)?.find('?') else { return Some((url.to_owned(), Asked::default())) };
        let (place, query) = url.split_at(start + question);
        let (mut rest, mut asked) = (Vec::new(), Asked::default());
        for pair in query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            let ours = match &*decoded(key)? {
                "sslmode" => &mut asked.mode,
                "sslrootcert" => &mut asked.root,
                "sslcert" => &mut asked.certificate,
                "sslkey" => &mut asked.key,
                _ => {
                    rest.push(pair);
                    continue;
                }
            };
            *ours = Some(decoded(value)?.into_owned());
        }
        Some((format!("{place}?{}", rest.join("&")), asked))
    }

    fn tls(self, config: &Config) -> Result<Tls, String> {
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate: certificate.into(), key: key.into() }),
            (None, None) => None,
            _ => return Err("url has one of sslcert and sslkey; they go together".into()),
        };
        let system = self.root.as_deref() == Some("system");
        let root = self.root.filter(|_| !system).map(PathBuf::from);
        let named = root.is_some() || system;
        let (mode, trust) = match (self.mode.as_deref().unwrap_or("prefer"), root) {
            ("disable", None) if !named => (SslMode::Disable, Trust::Anybody),
            ("prefer", None) if !named => (SslMode::Prefer, Trust::Anybody),
            ("require", None) if !named => (SslMode::Require, Trust::Anybody),
            ("require" | "verify-ca", Some(root)) => (SslMode::Require, Trust::Authority(root)),
            ("verify-full", root) => (SslMode::Require, Trust::Host(root)),
            ("verify-ca", None) => {
                return Err("url has sslmode=verify-ca without the file of an authority (sslrootcert): anybody has a \
                            certificate of one of the system's"
                    .into());
            }
            (mode @ ("disable" | "prefer" | "require"), _) => {
                return Err(format!("url has sslrootcert with sslmode={mode}: say sslmode=verify-full"));
            }
            _ => {
                return Err(
                    "url has an sslmode that is none of disable, prefer, require, verify-ca, verify-full".into()
                );
            }
        };
        // A socket is this machine's own; PostgreSQL speaks no TLS there.
        let on_sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let on_sockets = on_sockets && config.get_hostaddrs().is_empty();
        Ok(if on_sockets { Tls::NONE } else { Tls { mode, trust, identity } })
    }
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

fn host(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => text(path),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(url: &str) -> Result<Vec<(&'static str, String)>, String> {
        Address::parse(url).map(|address| address.environment()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_programs_of_postgresql_hear_what_we_understood() {
        let url = "postgresql://me:se%3Fcret@db:5433/sluice?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem\
                   &options=-c%20jit%3Doff&sslcert=/c.pem&sslkey=/k.pem";
        let mut expected = vec![
            ("PGHOST", "db"),
            ("PGSSLMODE", "verify-full"),
            ("PGPORT", "5433"),
            ("PGUSER", "me"),
            ("PGDATABASE", "sluice"),
            ("PGPASSWORD", "se?cret"),
            ("PGSSLROOTCERT", "/etc/my ca.pem"),
            ("PGSSLCERT", "/c.pem"),
            ("PGSSLKEY", "/k.pem"),
        ];
        let expected: Vec<_> = expected.drain(..).map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(understood(url), Ok(expected));
        assert_eq!(Address::parse(url).unwrap().config.get_options(), Some("-c jit=off"));
    }

    #[test]
    fn a_socket_has_no_tls_whatever_the_address_asks_for() {
        let address = understood("postgresql://me:secret@/sluice?host=/run/pg&port=5433&sslmode=require").unwrap();
        for (name, value) in [("PGHOST", "/run/pg"), ("PGPORT", "5433"), ("PGSSLMODE", "disable")] {
            assert!(address.contains(&(name, value.to_owned())), "{name}");
        }
    }

    #[test]
    fn without_a_word_on_it_tls_is_taken_where_it_is_offered() {
        for (query, name) in [
            ("", "prefer"),
            ("?sslmode=disable", "disable"),
            ("?sslmode=prefer&", "prefer"),
            ("?sslmode=require", "require"),
            ("?sslmode=require&sslrootcert=ca.pem", "verify-ca"),
            ("?sslmode=verify-ca&sslrootcert=ca.pem", "verify-ca"),
            ("?sslmode=verify-full", "verify-full"),
            ("?sslrootcert=system&sslmode=verify-full", "verify-full"),
        ] {
            let address = Address::parse(&format!("postgres://db/sluice{query}")).unwrap();
            assert_eq!(address.tls.name(), name, "{query}");
        }
    }

    #[test]
    fn what_would_check_nothing_is_refused() {
        for (query, says) in [
            ("sslmode=verify", "none of disable, prefer, require, verify-ca, verify-full"),
            ("sslmode=allow", "none of disable, prefer, require, verify-ca, verify-full"),
            ("sslmode=verify-ca", "without the file of an authority"),
            ("sslmode=verify-ca&sslrootcert=system", "without the file of an authority"),
            ("sslmode=require&sslrootcert=system", "sslrootcert with sslmode=require"),
            ("sslrootcert=ca.pem", "sslrootcert with sslmode=prefer"),
            ("sslmode=disable&sslrootcert=ca.pem", "sslrootcert with sslmode=disable"),
            ("sslcert=c.pem", "they go together"),
            ("sslcrl=revoked.pem", "url is no PostgreSQL address"),
            ("sslmode", "url is no PostgreSQL address"),
        ] {
            let error = understood(&format!("postgres://me:geheim@db/sluice?{query}")).unwrap_err();
            assert!(error.contains(says) && !error.contains("geheim"), "{query}: {error}");
        }
        assert!(understood("host=db user=me").is_err());
    }
}
