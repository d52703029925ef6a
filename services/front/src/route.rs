//! Something for sale, as configured and ready to be sold.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(test)]
use channel::Amount;
use http::request::Parts;
use http::{Method, StatusCode};
use ledger::When;
use runtime::config;

use crate::fault::Fault;
use crate::goods::{Caller, Goods};
use crate::price::Price;
use crate::till::{Offer, Till};

/// A route.
pub(crate) struct Route {
    /// In logs and metrics.
    pub(crate) name: String,
    pub(crate) goods: Goods,
    price: Price,
    /// Where it is paid; `None` if nothing is.
    till: Option<Arc<Till>>,
    pub(crate) charge: When,
    charge_below: u16,
    /// Empty: all.
    methods: Vec<Method>,
    pub(crate) stream_requests: bool,
}

impl Route {
    pub(crate) fn new(
        config: &config::Route,
        tills: &BTreeMap<String, Arc<Till>>,
        caller: &Arc<Caller>,
    ) -> anyhow::Result<Route> {
        let till = match &config.deployment {
            Some(name) => tills.get(name),
            None => tills.values().next(),
        };
        let till = if config.price.is_free() { None } else { till.cloned() };
        anyhow::ensure!(till.is_some() || config.price.is_free(), "the route `{}` has no deployment", config.name);
        let methods = match (&config.goods, config.methods.is_empty()) {
            (config::Goods::File(_), true) => vec![Method::GET, Method::HEAD],
            _ => config.methods.clone(),
        };
        Ok(Route {
            name: config.name.clone(),
            goods: Goods::new(&config.goods, caller),
            price: Price::new(&config.price),
            till,
            charge: match config.charge {
                config::Charge::Before => When::Now,
                config::Charge::After => When::Later,
            },
            charge_below: config.charge_below,
            methods,
            stream_requests: config.stream_requests,
        })
    }

    /// True if nothing here is ever paid for.
    pub(crate) fn is_free(&self) -> bool {
        self.till.is_none()
    }

    /// What this request costs and where it is paid; `None` if it is free.
    ///
    /// # Errors
    /// When the price cannot be known. Nothing is sold then.
    pub(crate) async fn offer(&self, head: &Parts) -> Result<Option<Offer>, Fault> {
        let Some(till) = &self.till else { return Ok(None) };
        let price = self.price.of(head).await?;
        Ok((!price.is_zero()).then(|| Offer { till: till.clone(), price }))
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

    #[cfg(test)]
    pub(crate) fn for_test(name: &str) -> Route {
        let goods = Goods::new(&config::Goods::File("/dev/null".into()), &Caller::for_test());
        Route {
            name: name.to_owned(),
            goods,
            price: Price::Fixed(Amount::ZERO),
            till: None,
            charge: When::Now,
            charge_below: 500,
            methods: Vec::new(),
            stream_requests: false,
        }
    }
}
