//! What is for sale. Getting it has two steps, so that what can fail for reasons of ours fails before anything is charged:
//! [`Goods::prepare`], then, once sold, [`Ready::call`].

mod caller;
mod file;
mod folder;
mod handler;
mod upstream;
mod wait;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Response};
use runtime::config::{self, Matcher};

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::front::Visit;

pub(crate) use caller::Caller;
pub(crate) use handler::{InnerUri, Service};

/// What a route sells.
pub(crate) enum Goods {
    /// A file.
    File(file::File),
    /// The files below a folder.
    Folder(folder::Folder),
    /// Whatever another server answers.
    Upstream(upstream::Upstream),
    /// Whatever a handler of this program answers.
    Handler(handler::Handler),
}

/// Goods that were prepared for one request.
pub(crate) enum Ready {
    /// An open file.
    File(file::Open),
    /// A request to an upstream, not yet sent.
    Upstream(Box<upstream::Call>),
    /// A request to a handler.
    Handler(Box<handler::Call>),
    /// An answer that is not for sale, such as the right address: nothing is charged for it.
    Aside(Response<Body>),
}

impl Goods {
    pub(crate) fn new(config: &config::Route, caller: &Arc<Caller>) -> anyhow::Result<Goods> {
        let prefix = match &config.matcher {
            Matcher::Prefix(prefix) => segments(prefix),
            Matcher::Exact(_) | Matcher::Regex(_) => 0,
        };
        Ok(match &config.goods {
            config::Goods::File(path) => Goods::File(file::File::new(path)),
            config::Goods::Folder(path) => Goods::Folder(folder::Folder::new(path, prefix)?),
            config::Goods::Upstream { url, strip_prefix } => {
                Goods::Upstream(upstream::Upstream::new(url, if *strip_prefix { prefix } else { 0 }, caller))
            }
            config::Goods::Handler => anyhow::bail!("handlers belong to a program, not to a configuration"),
        })
    }

    /// A handler of the program that embeds us.
    pub(crate) fn handler(service: Service, caller: &Arc<Caller>) -> Goods {
        Goods::Handler(handler::Handler::new(service, caller))
    }

    /// True if the same request gets the same answer at no cost of ours.
    pub(crate) fn can_be_served_again(&self) -> bool {
        matches!(self, Goods::File(_) | Goods::Folder(_))
    }

    /// Does everything but the call. `path` is the request's, decoded.
    pub(crate) async fn prepare(
        &self,
        head: &Parts,
        path: &str,
        upload: Upload,
        visit: &Visit,
    ) -> Result<Ready, Fault> {
        match self {
            Goods::File(file) => file.open(head.method == Method::HEAD).await.map(Ready::File),
            Goods::Folder(folder) => folder.open(head, path).await,
            Goods::Upstream(upstream) => {
                upstream.prepare(head, upload, visit).map(|call| Ready::Upstream(Box::new(call)))
            }
            Goods::Handler(handler) => Ok(Ready::Handler(Box::new(handler.prepare(head, upload)))),
        }
    }
}

impl Ready {
    /// Tells who answers who paid, and for what.
    pub(crate) fn label(&mut self, headers: HeaderMap) {
        match self {
            Ready::Upstream(call) => call.label(headers),
            Ready::Handler(call) => call.label(headers),
            Ready::File(_) | Ready::Aside(_) => {}
        }
    }

    /// Gets the goods. A status of the upstream is an answer, whatever it is; a fault is that there is none.
    pub(crate) async fn call(self, route: &str) -> Result<Response<Body>, Fault> {
        match self {
            Ready::File(open) => Ok(open.answer()),
            Ready::Upstream(call) => call.send(route).await,
            Ready::Handler(call) => call.send(route).await,
            Ready::Aside(answer) => Ok(answer),
        }
    }

    /// As [`Ready::call`], for nothing: who has a file already need not get it again. (Who pays for it gets it.)
    pub(crate) async fn call_for_nothing(self, head: &Parts, route: &str) -> Result<Response<Body>, Fault> {
        match self {
            Ready::File(open) => Ok(open.answer_unless_known(head)),
            ready => ready.call(route).await,
        }
    }
}

/// How many segments a prefix has.
fn segments(prefix: &str) -> usize {
    prefix.split('/').filter(|segment| !segment.is_empty()).count()
}

/// What follows the first segments of a path, encoded or not, with its slash; empty if nothing does.
fn beyond(path: &str, segments: usize) -> &str {
    path.match_indices('/').nth(segments).map_or("", |(at, _)| &path[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_as_many_segments_however_they_are_encoded() {
        for (prefix, path, rest) in [
            ("/", "/a/b", "/a/b"),
            ("/api", "/api/b/", "/b/"),
            ("/api/", "/%61pi/b%20c", "/b%20c"),
            ("/api/v1", "/api/v1", ""),
            ("/api/v1", "/api/v1/", "/"),
        ] {
            assert_eq!(beyond(path, segments(prefix)), rest, "{prefix} {path}");
        }
    }
}
