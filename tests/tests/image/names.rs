//! A name service such as a cluster's: what the programs ask for by a short name, it knows by a long one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What every server of the test is called.
pub const NEIGHBOUR: &str = "neighbour";
/// What it is called in full.
pub const IN_FULL: &str = "neighbour.shop.svc.cluster.local";
/// As the kubelet writes it into `resolv.conf`.
const SEARCH: [&str; 3] = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"];

/// Runs while it lives.
pub struct Names {
    address: Ipv4Addr,
    asked: Arc<Mutex<Vec<String>>>,
    /// None where the port of name services is not ours to take.
    server: Option<JoinHandle<()>>,
}

impl Names {
    /// On an address of its own, since `resolv.conf` knows no other port than 53. Who is not root puts the name into
    /// `/etc/hosts` instead.
    pub async fn start() -> Result<Names> {
        let address = Ipv4Addr::new(127, 53, rand::random(), rand::random_range(1..255));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = match UdpSocket::bind(SocketAddr::from((address, 53))).await {
            Ok(socket) => Some(tokio::spawn(serve(socket, asked.clone()))),
            Err(error) => {
                println!("there is no name service, only a file of names: {error}");
                None
            }
        };
        Ok(Names { address, asked, server })
    }

    /// What tells a container of it.
    pub fn flags(&self) -> Vec<String> {
        if self.server.is_none() {
            return vec![format!("--add-host={NEIGHBOUR}:127.0.0.1")];
        }
        let search = SEARCH.map(|domain| format!("--dns-search={domain}"));
        search.into_iter().chain([format!("--dns={}", self.address), "--dns-opt=ndots:5".to_owned()]).collect()
    }

    /// Whether anybody asked for this name; nobody asks what is in a file.
    pub fn was_asked(&self, name: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        self.server.is_none() || asked.iter().any(|asked| asked == name)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.server.iter().for_each(JoinHandle::abort);
    }
}

async fn serve(socket: UdpSocket, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = answer(&buffer[..length], &asked) {
            let _ = socket.send_to(&answer, client).await; // who is gone asks no more
        }
    }
}

/// The name has an IPv4 address and none of IPv6; no other name is known.
fn answer(query: &[u8], asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let query = Packet::parse(query).ok()?;
    let question = query.questions.first()?;
    let name = question.qname.to_string().to_lowercase();
    let mut answer = Packet::new_reply(query.id());
    answer.questions.push(question.clone());
    if name != IN_FULL {
        *answer.rcode_mut() = RCODE::NameError;
    } else if question.qtype == QTYPE::TYPE(TYPE::A) {
        let address = RData::A(A { address: Ipv4Addr::LOCALHOST.into() });
        answer.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 5, address));
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    answer.build_bytes_vec().ok()
}
