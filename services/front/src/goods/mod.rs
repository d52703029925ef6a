//! What is for sale. Getting it has two steps, so that what can fail for reasons of ours fails before anything is charged:
//! [`Goods::prepare`], then, once sold, [`Ready::call`].

mod file;
mod upstream;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Response};
use runtime::config;

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::forwarded::Peer;

pub(crate) use upstream::Caller;

/// What a route sells.
pub(crate) enum Goods {
    /// A file.
    File(file::File),
    /// Whatever another server answers.
    Upstream(upstream::Upstream),
}

/// Goods that were prepared for one request.
pub(crate) enum Ready {
    /// An open file.
    File(file::Open),
    /// A request to an upstream, not yet sent.
    Upstream(Box<upstream::Call>),
}

impl Goods {
    pub(crate) fn new(config: &config::Goods, caller: &Arc<Caller>) -> Goods {
        match config {
            config::Goods::File(path) => Goods::File(file::File::new(path)),
            config::Goods::Upstream(uri) => Goods::Upstream(upstream::Upstream::new(uri, caller)),
        }
    }

    /// True if the same request gets the same answer at no cost of ours.
    pub(crate) fn can_be_served_again(&self) -> bool {
        matches!(self, Goods::File(_))
    }

    /// Does everything but the call.
    pub(crate) async fn prepare(&self, head: &Parts, upload: Upload, peer: &Peer) -> Result<Ready, Fault> {
        match self {
            Goods::File(file) => file.open(head.method == Method::HEAD).await.map(Ready::File),
            Goods::Upstream(upstream) => {
                upstream.prepare(head, upload, peer).map(|call| Ready::Upstream(Box::new(call)))
            }
        }
    }
}

impl Ready {
    /// Tells an upstream who paid, and for what.
    pub(crate) fn label(&mut self, headers: HeaderMap) {
        if let Ready::Upstream(call) = self {
            call.label(headers);
        }
    }

    /// Gets the goods. A status of the upstream is an answer, whatever it is; a fault is that there is none.
    pub(crate) async fn call(self, route: &str) -> Result<Response<Body>, Fault> {
        match self {
            Ready::File(open) => Ok(open.answer()),
            Ready::Upstream(call) => call.send(route).await,
        }
    }
}
