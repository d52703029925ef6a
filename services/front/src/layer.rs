//! The paywall inside a program of the seller's own: a tower layer for axum.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{ConnectInfo, OriginalUri, Request};
use axum::response::Response;
use channel::Amount;
use futures::future::BoxFuture;
use http::Method;
use ledger::Ledger;
use runtime::{Config, config};
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};

use crate::admission::admit;
use crate::fault::Fault;
use crate::front::Front;
use crate::goods::{Goods, InnerUri};
use crate::modes::Modes;
use crate::price::Price;
use crate::route::Route;
use crate::till::Till;
use crate::{body, metrics};

/// A front without ports and routes of its own: it sells what the handlers of an axum program answer.
///
/// Everything is as it is with a front: the order of checks, the holds, the receipts, the limits. One configuration file
/// serves both, and so do the watcher and the wallet beside them. Clones are the same paywall.
#[derive(Clone)]
pub struct Paywall {
    front: Arc<Front>,
    config: Arc<Config>,
    care: Arc<JoinHandle<()>>,
}

/// A layer that sells what the handlers inside it answer. Made by [`Paywall::priced`] and [`Paywall::sells`].
///
/// What handlers see of a payment are headers that nobody else can set: `Sluice-Payer`, `Sluice-Channel`, `Sluice-Price` and
/// `Sluice-Request-Id`. A price is held before the handler is called, in a task of its own, and charged when it answers
/// with a status below [`charge_below`](Priced::charge_below); it is given back when it answers another, panics, or takes
/// longer than `front.timeouts.upstream_head_ms`. A client that hangs up changes nothing.
#[derive(Clone)]
pub struct Priced {
    front: Arc<Front>,
    config: config::Route,
    price: Arc<Price>,
    till: Option<Arc<Till>>,
}

/// A handler behind the paywall.
#[derive(Clone)]
pub struct Sold {
    front: Arc<Front>,
    /// `None`: the desk.
    route: Option<Arc<Route>>,
}

impl Paywall {
    /// Reads a configuration and connects to its ledger; waits for a database that is away.
    ///
    /// # Errors
    /// When the configuration cannot be used, or the database is not to be trusted.
    pub async fn open(config: impl AsRef<Path>) -> anyhow::Result<Paywall> {
        let config = config::load(config.as_ref())?;
        let ledger = crate::connect(&config.database).await?;
        Paywall::new(&config, ledger)
    }

    /// A paywall on a ledger that is connected, in a tokio runtime. Routes and ports in the configuration are not used.
    ///
    /// # Errors
    /// When the configuration names what is not there.
    pub fn new(config: &Config, ledger: Ledger) -> anyhow::Result<Paywall> {
        metrics::describe();
        let mut config = config.clone();
        config.front.routes.clear();
        let front = Arc::new(Front::new(&config, ledger, None, Modes::of(&config))?);
        let care = Arc::new(tokio::spawn(front.clone().care()));
        Ok(Paywall { front, config: Arc::new(config), care })
    }

    /// Sells for a fixed price in base units, paid at the only deployment (of several, the first by name).
    ///
    /// `name` stands in logs and metrics. Put it on with `route_layer`, so that axum answers methods that there are no
    /// handlers for, or say [which methods](Priced::methods) are for sale.
    pub fn priced(&self, name: &str, units: u128) -> Priced {
        self.sold_as(config::Route::handler(name, config::Price::Fixed(Amount::new(units))))
    }

    /// Sells on any terms that a configuration knows: begin with [`config::Route::handler`]. A price that is taken from the
    /// path needs the `matcher` that finds it there.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn sells(&self, terms: config::Route) -> anyhow::Result<Priced> {
        let problems = terms.problems(&self.config.deployments);
        anyhow::ensure!(problems.is_empty(), "{}: {}", terms.name, problems.join("\n"));
        anyhow::ensure!(terms.goods == config::Goods::Handler, "{}: its goods are none of a handler", terms.name);
        Ok(self.sold_as(terms))
    }

    fn sold_as(&self, terms: config::Route) -> Priced {
        let shop = self.front.shop.load();
        let is_it = |till: &&Arc<Till>| terms.deployment.as_ref().is_none_or(|name| till.name.as_ref() == name);
        let till = if terms.is_free() { None } else { shop.tills.iter().find(is_it).cloned() };
        let price = Price::new(&terms, self.config.front.timeouts.price_grace, &self.front.caller);
        Priced { front: self.front.clone(), config: terms, price: Arc::new(price), till }
    }

    /// The protocols' own paths: closing, statistics. Payers need them; merge them into the program's router.
    pub fn desk<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let desk = Sold { front: self.front.clone(), route: None };
        let shop = self.front.shop.load();
        let mut roots: Vec<_> = shop.tills.iter().flat_map(|till| till.protocol.roots()).collect();
        roots.sort_unstable();
        roots.dedup();
        roots.into_iter().fold(Router::new(), |router, root| {
            let below = [root.to_string(), format!("{root}/"), format!("{root}/{{*rest}}")];
            below.iter().fold(router, |router, path| router.route_service(path, desk.clone()))
        })
    }

    /// Waits until the calls in flight are settled, but no longer than `front.timeouts.grace_ms`. Nothing is sold
    /// afterwards; call it once the program takes no more requests.
    pub async fn close(&self) {
        if tokio::time::timeout(self.front.timeouts.grace, self.front.settled()).await.is_err() {
            tracing::warn!("some calls were not over within the grace; their holds expire");
        }
        self.care.abort();
        self.front.ledger.close().await;
    }
}

impl Priced {
    /// Sells by these methods alone; others are answered 405 and cost nothing. Without a word on it, by all.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Priced {
        self.config.methods = methods.into_iter().collect();
        self
    }

    /// When the price is charged: [`After`](config::Charge::After) the handler, unless said otherwise.
    pub fn charge(mut self, when: config::Charge) -> Priced {
        self.config.charge = when;
        self
    }

    /// Answers with a status below this are charged; 500, unless said otherwise.
    pub fn charge_below(mut self, status: u16) -> Priced {
        self.config.charge_below = status;
        self
    }

    /// Hands request bodies to the handler as they arrive. Otherwise they are read whole first, at most
    /// `front.limits.body_bytes`, and are a part of what makes a repeated request the same.
    pub fn stream_requests(mut self) -> Priced {
        self.config.stream_requests = true;
        self
    }
}

impl<S> Layer<S> for Priced
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Service = Sold;

    fn layer(&self, handler: S) -> Sold {
        let goods = Goods::handler(BoxCloneSyncService::new(handler), &self.front.caller);
        let route = Route::selling(&self.config, goods, self.price.clone(), self.till.clone());
        Sold { front: self.front.clone(), route: Some(Arc::new(route)) }
    }
}

impl Service<Request> for Sold {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // how many come in is `front.limits.in_flight`'s to say
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Sold { front, route } = self.clone();
        Box::pin(async move { Ok(answer(&front, route, request).await) })
    }
}

async fn answer(front: &Arc<Front>, route: Option<Arc<Route>>, mut request: Request) -> Response {
    let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else {
        tracing::error!("no client address: serve with `into_make_service_with_connect_info::<SocketAddr>()`");
        return Fault::Internal.answer().map(axum::body::Body::new);
    };
    let peer = front.trust.peer(address.ip());
    // A nested router cuts the path short for its handlers; what is sold is at the whole of it.
    if let Some(OriginalUri(whole)) = request.extensions().get::<OriginalUri>().cloned() {
        let inner = std::mem::replace(request.uri_mut(), whole);
        request.extensions_mut().insert(InnerUri(inner));
    }
    admit(front, peer, route, request.map(body::boxed), None).await.map(axum::body::Body::new)
}
