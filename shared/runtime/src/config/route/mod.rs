mod goods;
mod matcher;
mod parse;
mod pattern;
mod price;
mod quota;

use std::collections::BTreeMap;
use std::path::Path;

use http::Method;
use serde::Deserialize;

use super::Deployment;
pub use goods::Goods;
pub use matcher::Matcher;
use parse::parse_method;
pub use pattern::Pattern;
pub use price::Price;
pub use quota::FreeQuota;

/// How many routes may be found by regex, which are tried one after the other, and how many `paid` patterns a route has.
const MAX_PATTERNS: usize = 100;
/// The longest notice of maintenance, in bytes.
const MAX_NOTICE: usize = 500;

/// Something for sale.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "parse::Written")]
pub struct Route {
    /// Its name in logs and metrics, and the name that a free quota is counted under; the path, unless another is given.
    pub name: String,
    /// Which requests it answers.
    pub matcher: Matcher,
    /// What they get.
    pub goods: Goods,
    /// What one request costs.
    pub price: Price,
    /// The paths that cost the price, all others being free; `None`: every path does.
    pub paid: Option<Vec<Pattern>>,
    /// What each client gets for nothing.
    pub free: Option<FreeQuota>,
    /// Why nothing is sold at the moment.
    pub maintenance: Option<String>,
    /// Where it is paid; `None` takes the only deployment.
    pub deployment: Option<String>,
    /// When the price is charged.
    pub charge: Charge,
    /// Answers of the upstream with a status below this are charged.
    pub charge_below: u16,
    /// Methods that are for sale; empty takes all.
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

impl Route {
    /// What a handler answers, at this price: in a program that embeds a front. Everything else is as for an upstream, and
    /// can be changed.
    pub fn handler(name: &str, price: Price) -> Route {
        Route {
            name: name.to_owned(),
            matcher: Matcher::Prefix("/".to_owned()),
            goods: Goods::Handler,
            price,
            paid: None,
            free: None,
            maintenance: None,
            deployment: None,
            charge: Charge::After,
            charge_below: 500,
            methods: Vec::new(),
            stream_requests: false,
        }
    }

    /// True if nothing here is ever paid for.
    pub fn is_free(&self) -> bool {
        self.price.is_free() || self.paid.as_ref().is_some_and(Vec::is_empty)
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        self.goods.resolve_paths(folder);
    }

    /// What makes no sense, one sentence each, beginning with the key.
    pub fn problems(&self, deployments: &BTreeMap<String, Deployment>) -> Vec<String> {
        let mut problems = Vec::new();
        let key = self.matcher.key().0;
        problems.extend(self.matcher.problem().map(|problem| format!("{key}: {problem}")));
        problems.extend(self.goods.problem(&self.matcher));
        problems.extend(self.price.problem(&self.matcher).map(|problem| format!("price.{problem}")));
        if self.paid.as_ref().is_some_and(|paid| paid.len() > MAX_PATTERNS) {
            problems.push(format!("paid: at most {MAX_PATTERNS} patterns"));
        }
        if self.free.is_some_and(|free| free.requests == 0) {
            problems.push("free.requests: must be above 0".to_owned());
        }
        if self.free.is_some() && self.is_free() {
            problems.push("free: everything here is free already".to_owned());
        }
        if self.maintenance.as_ref().is_some_and(|notice| notice.is_empty() || notice.len() > MAX_NOTICE) {
            problems.push(format!("maintenance: must be a sentence of at most {MAX_NOTICE} bytes"));
        }
        match &self.deployment {
            Some(name) if !deployments.contains_key(name) => {
                problems.push(format!("deployment: there is no deployment `{name}`"));
            }
            None if deployments.len() > 1 && !self.is_free() => {
                problems.push(format!("deployment: name one of the {} deployments", deployments.len()));
            }
            _ => {}
        }
        if !(100..=600).contains(&self.charge_below) {
            problems.push("charge_below: must be a status between 100 and 600".to_owned());
        }
        problems
    }
}

/// What is wrong with the routes, one by one and together.
pub(super) fn problems(routes: &[Route], deployments: &BTreeMap<String, Deployment>, problems: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        let key = format!("front.routes.{index}");
        problems.extend(route.problems(deployments).into_iter().map(|problem| format!("{key}.{problem}")));
        if let Some(first) = seen.insert(route.matcher.key(), index) {
            problems.push(format!("{key}: the same path as front.routes.{first}"));
        }
    }
    if routes.iter().filter(|route| matches!(route.matcher, Matcher::Regex(_))).count() > MAX_PATTERNS {
        problems.push(format!("front.routes: at most {MAX_PATTERNS} of them have a regex"));
    }
}
