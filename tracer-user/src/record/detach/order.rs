//! What a recorder sends to the detacher.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use crate::record::attach::StillAttached;
use crate::record::control::protocol::Status;
use crate::sys::descriptors;

/// What to detach, and for which session.
pub(super) struct Order {
    /// The status of the session at its end, with the number of programs.
    pub(super) status: Status,
    pub(super) attached: StillAttached,
}

/// What comes before the descriptors: the length of this in JSON, then that.
#[derive(Serialize, Deserialize)]
struct Header {
    status: Status,
    links: usize,
    /// Whether the map of the rings follows the links.
    rings: bool,
    cpu_count: u32,
}

pub(super) fn send(
    mut socket: &UnixStream,
    status: Status,
    attached: &StillAttached,
) -> io::Result<()> {
    let header = serde_json::to_vec(&Header {
        status,
        links: attached.links.len(),
        rings: attached.rings.is_some(),
        cpu_count: attached.cpu_count,
    })?;
    let len = u32::try_from(header.len()).map_err(io::Error::other)?;
    socket.write_all(&len.to_ne_bytes())?;
    socket.write_all(&header)?;
    descriptors::send(socket, &attached.links)?;
    descriptors::send(socket, attached.rings.as_slice())
}

pub(super) fn receive(mut socket: &UnixStream) -> io::Result<Order> {
    let mut len = [0; size_of::<u32>()];
    socket.read_exact(&mut len)?;
    // Not a byte more: the descriptors that come with it would be lost.
    let mut header = Vec::new();
    let len = u64::from(u32::from_ne_bytes(len));
    socket.take(len).read_to_end(&mut header)?;
    let header: Header = serde_json::from_slice(&header)?;
    let links = descriptors::receive(socket, header.links)?;
    let rings = descriptors::receive(socket, usize::from(header.rings))?;
    Ok(Order {
        status: header.status,
        attached: StillAttached {
            links,
            rings: rings.into_iter().next(),
            cpu_count: header.cpu_count,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::record::control::protocol::Detaching;
    use crate::record::control::testing::status;

    /// Pipes whose writing ends stand for links; the reading ends see when they are closed.
    fn links(count: usize) -> (Vec<io::PipeReader>, Vec<OwnedFd>) {
        let pipes = (0..count).map(|_| {
            let (reader, writer) = io::pipe().unwrap();
            (reader, writer.into())
        });
        pipes.unzip()
    }

    #[test]
    fn links_are_closed_by_who_received_them() {
        let (recorder, detacher) = UnixStream::pair().unwrap();
        let (mut ends, links) = links(300);
        let (_, mut maps) = self::links(1);
        let attached = StillAttached {
            links,
            rings: maps.pop(),
            cpu_count: 2,
        };
        let detaching = Some(Detaching {
            left: 300,
            total: 400,
        });
        let status = Status {
            detaching,
            ..status()
        };
        send(&recorder, status.clone(), &attached).unwrap();
        // The recorder ends.
        drop((attached, recorder));
        let order = receive(&detacher).unwrap();
        assert_eq!(order.status, status);
        assert_eq!(order.attached.links.len(), 300);
        assert_eq!(order.attached.cpu_count, 2);
        assert!(order.attached.rings.is_some());
        drop(order);
        for end in &mut ends {
            assert_eq!(end.read(&mut [0]).unwrap(), 0, "closed");
        }
    }

    #[test]
    fn an_order_that_breaks_off_is_an_error() {
        let (recorder, detacher) = UnixStream::pair().unwrap();
        (&recorder).write_all(&100u32.to_ne_bytes()).unwrap();
        drop(recorder);
        assert!(receive(&detacher).is_err());
    }
}
