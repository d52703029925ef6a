//! Something for sale, as configured and ready to be sold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::request::Parts;
use http::{Method, StatusCode};
use ledger::When;
use runtime::config::{self, FreeQuota};

use crate::fault::Fault;
use crate::goods::{Caller, Goods};
use crate::price::{Former, Price};
use crate::till::{Offer, Till};

/// A route.
pub(crate) struct Route {
    /// In logs and metrics, and the name that a free quota is counted under.
    pub(crate) name: Arc<str>,
    pub(crate) goods: Goods,
    price: Arc<Price>,
    /// What it was before the last reload that changed it.
    former: Option<Former>,
    /// Where it is paid; `None` if nothing is.
    till: Option<Arc<Till>>,
    /// What each client gets for nothing.
    pub(crate) free: Option<FreeQuota>,
    /// Why nothing is sold at the moment.
    pub(crate) maintenance: Option<String>,
    pub(crate) charge: When,
    charge_below: u16,
    /// Empty: all.
    methods: Vec<Method>,
    pub(crate) stream_requests: bool,
}

impl Route {
    /// `previous` is the route that this one replaces: a price that did not change goes on, one that did counts for `grace`.
    pub(crate) fn new(
        config: &config::Route,
        tills: &BTreeMap<String, Arc<Till>>,
        caller: &Arc<Caller>,
        grace: Duration,
        previous: Option<&Route>,
    ) -> anyhow::Result<Route> {
        let till = match &config.deployment {
            Some(name) => tills.get(name),
            None => tills.values().next(),
        };
        let till = if config.is_free() { None } else { till.cloned() };
        anyhow::ensure!(till.is_some() || config.is_free(), "the route `{}` has no deployment", config.name);
        let (price, former) = match previous {
            Some(previous) if previous.price.is(config) => (previous.price.clone(), previous.former.clone()),
            Some(previous) => {
                let is_paid_there =
                    previous.till.as_ref().map(|till| &till.name) == till.as_ref().map(|till| &till.name);
                let former = is_paid_there.then(|| Former::new(previous.price.clone(), grace));
                (Arc::new(Price::new(config, grace, caller)), former)
            }
            None => (Arc::new(Price::new(config, grace, caller)), None),
        };
        let goods = Goods::new(config, caller).with_context(|| format!("the route `{}`", config.name))?;
        Ok(Route { former, ..Route::selling(config, goods, price, till) })
    }

    /// A route that sells these goods at this price, and is as configured for the rest.
    pub(crate) fn selling(config: &config::Route, goods: Goods, price: Arc<Price>, till: Option<Arc<Till>>) -> Route {
        Route {
            name: config.name.as_str().into(),
            goods,
            price,
            former: None,
            till,
            free: config.free,
            maintenance: config.maintenance.clone(),
            charge: match config.charge {
                config::Charge::Before => When::Now,
                config::Charge::After => When::Later,
            },
            charge_below: config.charge_below,
            methods: config.methods.clone(),
            stream_requests: config.stream_requests,
        }
    }

    /// True if nothing here is ever paid for.
    pub(crate) fn is_free(&self) -> bool {
        self.till.is_none()
    }

    /// What this request costs and where it is paid; `None` if it is free. `path` is the request's, decoded.
    ///
    /// # Errors
    /// When the price cannot be known. Nothing is sold then.
    pub(crate) async fn offer(&self, head: &Parts, path: &str) -> Result<Option<Offer>, Fault> {
        let Some(till) = &self.till else { return Ok(None) };
        let quote = self.price.of(head, path).await?;
        let former = self.former.as_ref().and_then(|former| former.of(head, path)).or(quote.former);
        let former = former.filter(|former| !former.is_zero() && *former != quote.price);
        Ok((!quote.price.is_zero()).then(|| Offer { till: till.clone(), price: quote.price, former }))
    }

    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// Whether an answer with this status is worth the price.
    pub(crate) fn charges(&self, status: StatusCode) -> bool {
        status.as_u16() < self.charge_below
    }

    /// The methods, as an `Allow` header names them.
    pub(crate) fn allow(&self) -> String {
        let usual = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let methods = if self.methods.is_empty() { &usual[..] } else { &self.methods[..] };
        let names = methods.iter().map(Method::as_str).chain(["OPTIONS"]);
        names.collect::<Vec<_>>().join(", ")
    }
}
