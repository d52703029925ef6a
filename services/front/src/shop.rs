//! What is for sale and where it is paid: everything that a reload of the configuration replaces.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use runtime::config::Config;

use crate::access::Access;
use crate::goods::Caller;
use crate::route::Route;
use crate::router::Router;
use crate::till::Till;

/// The routes, the tills, and who may buy.
pub(crate) struct Shop {
    pub(crate) router: Router,
    pub(crate) tills: Vec<Arc<Till>>,
    pub(crate) access: Access,
    /// By what they answer, for the shop that replaces this one.
    routes: HashMap<(&'static str, String), Arc<Route>>,
}

impl Shop {
    /// `previous` is the shop that this one replaces.
    ///
    /// # Errors
    /// When the configuration names what is not there.
    pub(crate) fn new(config: &Config, caller: &Arc<Caller>, previous: Option<&Shop>) -> anyhow::Result<Shop> {
        let tills = config
            .deployments
            .iter()
            .map(|(name, deployment)| {
                Ok((name.clone(), Arc::new(Till::open(name, deployment, &config.front.paywall)?)))
            })
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let (mut router, mut routes) = (Router::new(), HashMap::new());
        for route in &config.front.routes {
            let (name, path) = (&route.name, route.matcher.text());
            if let Some(till) = tills.values().find(|till| till.protocol.owns(path)) {
                anyhow::bail!("the route `{name}` is at a path that the protocol {} answers", till.protocol.name());
            }
            let key = route.matcher.key();
            let previous = previous.and_then(|previous| previous.routes.get(&key)).map(Arc::as_ref);
            let sold = Arc::new(Route::new(route, &tills, caller, config.front.timeouts.price_grace, previous)?);
            router.add(&route.matcher, sold.clone());
            routes.insert(key, sold);
        }
        Ok(Shop { router, tills: tills.into_values().collect(), access: Access::new(&config.front.access), routes })
    }
}
