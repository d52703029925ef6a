//! A route as it is written, and what can be said against it without looking at anything else.

use std::path::PathBuf;

use http::Method;
use serde::Deserialize;

use super::goods::parse_address;
use super::{Charge, FreeQuota, Goods, Matcher, Pattern, Price, Route};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    name: Option<String>,
    path: Option<String>,
    prefix: Option<String>,
    regex: Option<Pattern>,
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
    upstream: Option<String>,
    strip_prefix: Option<bool>,
    price: Price,
    paid: Option<Vec<Pattern>>,
    free: Option<FreeQuota>,
    maintenance: Option<String>,
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
        let matcher = match (written.path, written.prefix, written.regex) {
            (Some(path), None, None) => Matcher::Exact(path),
            (None, Some(prefix), None) => Matcher::Prefix(prefix),
            (None, None, Some(pattern)) => Matcher::Regex(pattern),
            _ => return Err("exactly one of `path`, `prefix` and `regex` is needed".to_owned()),
        };
        let goods = match (written.file, written.folder, written.upstream) {
            (Some(file), None, None) => Goods::File(file),
            (None, Some(folder), None) => Goods::Folder(folder),
            (None, None, Some(upstream)) => Goods::Upstream {
                url: parse_address("upstream", &upstream, false)?,
                strip_prefix: written.strip_prefix.unwrap_or(false),
            },
            _ => return Err("exactly one of `file`, `folder` and `upstream` is needed".to_owned()),
        };
        if written.strip_prefix.is_some() && goods.is_local() {
            return Err("`strip_prefix` belongs to `upstream`".to_owned());
        }
        let charge = written.charge.unwrap_or(if goods.is_local() { Charge::Before } else { Charge::After });
        let methods = written.methods.iter().map(|name| parse_method(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Route {
            name: written.name.unwrap_or_else(|| matcher.text().to_owned()),
            methods: for_sale(&goods, &written.price, methods)?,
            matcher,
            goods,
            price: written.price,
            paid: written.paid,
            free: written.free,
            maintenance: written.maintenance,
            deployment: written.deployment,
            charge,
            charge_below: written.charge_below.unwrap_or(500),
            stream_requests: written.stream_requests,
        })
    }
}

/// The methods that are for sale; none named is all.
fn for_sale(goods: &Goods, price: &Price, named: Vec<Method>) -> Result<Vec<Method>, String> {
    match price {
        Price::PerMethod(_) if !named.is_empty() => {
            Err("`price.per_method` names the methods, not `methods`".to_owned())
        }
        Price::PerMethod(prices) => {
            let mut methods: Vec<_> = prices.iter().map(|(method, _)| method.clone()).collect();
            if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
                methods.push(Method::HEAD);
            }
            Ok(methods)
        }
        _ if named.is_empty() && goods.is_local() => Ok(vec![Method::GET, Method::HEAD]),
        _ => Ok(named),
    }
}

pub(super) fn parse_method(name: &str) -> Result<Method, String> {
    Method::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no method"))
}
