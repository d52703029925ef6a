//! How many connections one client holds: who opens thousands and says nothing leaves places for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::rates::network;

/// Who holds how many connections. It has no more entries than there are connections.
pub(crate) struct Guests {
    most: usize,
    present: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among its client's; given back when dropped.
pub(crate) struct Guest {
    guests: Arc<Guests>,
    client: IpAddr,
}

impl Guests {
    /// At most so many connections for each client: an IPv4 address, or the /64 of an IPv6 one.
    pub(crate) fn new(most: usize) -> Arc<Guests> {
        Arc::new(Guests { most, present: Mutex::default() })
    }

    /// A place for one more connection of this client; `None` if it has enough.
    pub(crate) fn enter(self: &Arc<Guests>, client: IpAddr) -> Option<Guest> {
        let client = network(client);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let count = present.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Guest { guests: self.clone(), client })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut present = self.guests.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = present.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_gets_them_back() {
        let guests = Guests::new(2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = guests.enter(ip("2001:db8::1"));
        let second = guests.enter(ip("2001:db8::2"));
        assert!(first.is_some() && second.is_some() && guests.enter(ip("2001:db8::3")).is_none());
        assert!(guests.enter(ip("192.0.2.1")).is_some());
        drop(first);
        assert!(guests.enter(ip("2001:db8::3")).is_some());
        drop(second);
        assert!(guests.present.lock().unwrap().is_empty());
    }
}
