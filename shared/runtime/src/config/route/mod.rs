mod goods;
mod matcher;
mod price;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::Method;
use serde::Deserialize;

use super::Deployment;
pub use goods::Goods;
pub use matcher::Matcher;
pub use price::Price;

/// Something for sale.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Route {
    /// Its name in logs and metrics; the path, unless another is given.
    pub name: String,
    /// Which requests it answers.
    pub matcher: Matcher,
    /// What they get.
    pub goods: Goods,
    /// What one request costs.
    pub price: Price,
    /// Where it is paid; `None` takes the only deployment.
    pub deployment: Option<String>,
    /// When the price is charged.
    pub charge: Charge,
    /// Answers of the upstream with a status below this are charged.
    pub charge_below: u16,
    /// Methods that are for sale; empty takes all (for a file: GET and HEAD).
    pub methods: Vec<Method>,
    /// Forwards request bodies as they arrive. The request's hash then covers method, path and length only.
    pub stream_requests: bool,
}

/// When a price is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Before the call, whatever becomes of it (the original µRaiden way).
    Before,
    /// The price is held, and charged once the call succeeds.
    After,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    path: Option<String>,
    prefix: Option<String>,
    file: Option<PathBuf>,
    upstream: Option<String>,
    price: Price,
    deployment: Option<String>,
    charge: Option<Charge>,
    charge_below: Option<u16>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    stream_requests: bool,
}

impl TryFrom<Written> for Route {
    type Error = String;

    fn try_from(written: Written) -> Result<Route, String> {
        let matcher = match (written.path, written.prefix) {
            (Some(path), None) => Matcher::Exact(path),
            (None, Some(prefix)) => Matcher::Prefix(prefix),
            _ => return Err("exactly one of `path` and `prefix` is needed".to_owned()),
        };
        let goods = match (written.file, written.upstream) {
            (Some(file), None) => Goods::File(file),
            (None, Some(upstream)) => Goods::Upstream(goods::parse_upstream(&upstream)?),
            _ => return Err("exactly one of `file` and `upstream` is needed".to_owned()),
        };
        let charge = written.charge.unwrap_or(match goods {
            Goods::File(_) => Charge::Before,
            Goods::Upstream(_) => Charge::After,
        });
        let method = |name: &String| Method::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no method"));
        Ok(Route {
            name: written.name.unwrap_or_else(|| matcher.path().to_owned()),
            matcher,
            goods,
            price: written.price,
            deployment: written.deployment,
            charge,
            charge_below: written.charge_below.unwrap_or(500),
            methods: written.methods.iter().map(method).collect::<Result<_, _>>()?,
            stream_requests: written.stream_requests,
        })
    }
}

impl Route {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        if let Goods::File(file) = &mut self.goods {
            *file = folder.join(&*file);
        }
    }

    pub(super) fn problems(&self, key: &str, deployments: &BTreeMap<String, Deployment>, problems: &mut Vec<String>) {
        let path = self.matcher.path();
        if !path.starts_with('/') || path.contains("..") || path.contains("//") || path.contains(['?', '#', '%']) {
            problems.push(format!("{key}: `{path}` must be a plain absolute path such as /reports"));
        }
        match &self.deployment {
            Some(name) if !deployments.contains_key(name) => {
                problems.push(format!("{key}.deployment: there is no deployment `{name}`"));
            }
            None if deployments.len() > 1 && !self.price.is_free() => {
                problems.push(format!("{key}.deployment: name one of the {} deployments", deployments.len()));
            }
            _ => {}
        }
        if !(100..=600).contains(&self.charge_below) {
            problems.push(format!("{key}.charge_below: must be a status between 100 and 600"));
        }
        if let Goods::File(file) = &self.goods {
            match std::fs::metadata(file) {
                Ok(meta) if meta.is_file() => {}
                Ok(_) => problems.push(format!("{key}.file: {} is no file", file.display())),
                Err(error) => problems.push(format!("{key}.file: {}: {error}", file.display())),
            }
        }
    }
}
