//! What is for sale and where it is paid: everything that a reload of the configuration replaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use runtime::config::{Config, Matcher};

use crate::goods::Caller;
use crate::route::Route;
use crate::router::Router;
use crate::till::Till;

/// The routes and the tills.
pub(crate) struct Shop {
    pub(crate) router: Router,
    pub(crate) tills: Vec<Arc<Till>>,
}

impl Shop {
    pub(crate) fn new(config: &Config, caller: &Arc<Caller>) -> anyhow::Result<Shop> {
        let tills = config
            .deployments
            .iter()
            .map(|(name, deployment)| Ok((name.clone(), Arc::new(Till::open(name, deployment)?))))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        Ok(Shop { router: routes(config, &tills, caller)?, tills: tills.into_values().collect() })
    }
}

fn routes(config: &Config, tills: &BTreeMap<String, Arc<Till>>, caller: &Arc<Caller>) -> anyhow::Result<Router> {
    let mut router = Router::default();
    for route in &config.front.routes {
        let path = route.matcher.path();
        if let Some(till) = tills.values().find(|till| till.protocol.owns(path)) {
            anyhow::bail!("the route `{}` is at a path that the protocol {} answers", route.name, till.protocol.name());
        }
        let sold = Arc::new(Route::new(route, tills, caller)?);
        match &route.matcher {
            Matcher::Exact(path) => router.add_exact(path, sold),
            Matcher::Prefix(prefix) => router.add_prefix(prefix, sold),
        }
    }
    Ok(router)
}
