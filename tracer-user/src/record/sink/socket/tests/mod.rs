//! Real connections on this machine, on which the kernel copies what arrives; where a test
//! is about a network that does not, completions are told apart from that.

mod faults;

use std::io::Read as _;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::sync::mpsc;
use std::thread;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use super::*;
use crate::record::sink::faults::Faults;
use crate::record::sink::source::{PACKET, SUB_BUFFERS, Source};
use crate::sys::memory::PageBuffer;
use crate::sys::output::Call;
use crate::sys::zero_copy::Completion;
use crate::trace::folder::frames::{HEADER_LEN, unpack};

/// Both ends of a connection, ours first. The peer takes two packets or so before it reads,
/// and what it does not take waits on our side.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    set_socket_recv_buffer_size(&listener, 32 << 10).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    set_socket_send_buffer_size(&stream, 400 << 10).unwrap();
    (stream, listener.accept().unwrap().0)
}

fn reader(mut peer: TcpStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// The sink of such a stream, with its pool.
fn sink_of<C: Calls>(source: &Source, socket: &Arc<SharedSocket<C>>) -> SocketSink<C> {
    let pool = Some(Arc::clone(&source.pool));
    SocketSink::new(Arc::clone(socket), source.number, pool)
}

/// Has the kernel answer, but for completions: those are as of a network that reads pages.
fn gathering(mut call: Call<'_>) -> Option<Result<usize, Errno>> {
    let Call::ReadCompletion { found, .. } = &mut call else {
        return None;
    };
    let found = *found;
    let answer = KernelCalls.call(call);
    found.set(found.get().map(|completion| Completion {
        copied: false,
        ..completion
    }));
    Some(answer)
}

#[test]
fn a_late_reader_sees_the_bytes_that_were_sent() {
    const SPARES: usize = 12;
    const PACKETS: usize = 40;
    let (stream, peer) = connection();
    let (waits, waited) = mpsc::channel();
    let calls = Faults::new(move |call| {
        if matches!(call, Call::AwaitCompletion { .. }) {
            // Nobody asks any more after the first time.
            let _ = waits.send(());
        }
        gathering(*call)
    });
    let socket = Arc::new(SharedSocket::with(calls, stream, "the peer"));
    let mut source = Source::new(1, SPARES);
    let pool = Arc::clone(&source.pool);
    let sender = thread::spawn(move || {
        let mut sink = sink_of(&source, &socket);
        for _ in 0..PACKETS {
            source.send(&mut sink).unwrap();
            assert_eq!(sink.report().to_string(), "zero copy to a socket");
        }
        sink.finish().unwrap();
        source
    });
    // The peer has read nothing; the writer has gone round its sub-buffers four times.
    waited.recv().unwrap();
    assert_eq!(pool.stats().in_flight(), SUB_BUFFERS + SPARES);
    let received = reader(peer);
    let source = sender.join().unwrap();
    assert!(received.join().unwrap() == source.expected);
    assert_eq!(source.held(), 0);
    let allocated = pool.stats().allocated;
    assert!(allocated <= (SUB_BUFFERS + SPARES) as u64, "{allocated}");
}

#[test]
fn a_late_reader_would_see_pages_that_are_rewritten_before_their_completion() {
    let (stream, mut peer) = connection();
    let socket = stream.as_fd();
    KernelCalls.call(Call::SetZeroCopy { socket }).unwrap();
    let mut pages = PageBuffer::new(16 * PACKET).unwrap();
    pages.fill(b'o');
    let bytes = &pages;
    let sent = KernelCalls.call(Call::SendPages { socket, bytes }).unwrap();
    pages.fill(b'n');
    let mut received = vec![0; sent];
    peer.read_exact(&mut received).unwrap();
    assert!(received.contains(&b'n'), "the kernel has copied");
}

#[test]
fn streams_that_write_at_once_come_out_apart() {
    const PACKETS: usize = 60;
    let (stream, peer) = connection();
    let received = reader(peer);
    let socket = Arc::new(SharedSocket::with(
        Faults::new(|call| gathering(*call)),
        stream,
        "the peer",
    ));
    socket.send(Frame::Metadata, b"text").unwrap();
    let senders: Vec<_> = (0..3)
        .map(|number| {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                let mut source = Source::new(number, 2);
                let mut sink = sink_of(&source, &socket);
                for _ in 0..PACKETS {
                    source.send(&mut sink).unwrap();
                }
                sink.finish().unwrap();
                source
            })
        })
        .collect();
    let sources = senders.into_iter().map(|sender| sender.join().unwrap());
    let sources: Vec<_> = sources.collect();
    socket.send(Frame::End, b"").unwrap();
    socket.end().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let unpacked = unpack(&mut received.join().unwrap().as_slice(), dir.path()).unwrap();
    assert!(unpacked.complete);
    for source in sources {
        let path = dir.path().join(format!("channel0_{}", source.number));
        let frames = source.expected.chunks(HEADER_LEN + PACKET);
        let expected: Vec<u8> = frames
            .flat_map(|frame| &frame[HEADER_LEN..])
            .copied()
            .collect();
        assert!(std::fs::read(path).unwrap() == expected);
        assert_eq!(source.held(), 0);
    }
}

#[test]
fn a_kernel_that_copies_on_the_way_is_spared_the_trouble() {
    let (stream, peer) = connection();
    let received = reader(peer);
    let socket = Arc::new(SharedSocket::new(stream, "the peer"));
    let mut source = Source::new(0, 4);
    let mut sink = sink_of(&source, &socket);
    source.send(&mut sink).unwrap();
    assert_eq!(sink.report().way, Way::Socket);
    sink.finish().unwrap();
    for _ in 0..20 {
        source.send(&mut sink).unwrap();
        assert_eq!(source.held(), 0);
    }
    let report = sink.report().to_string();
    assert!(
        report.starts_with("copy to a socket: the kernel copies"),
        "{report}"
    );
    socket.end().unwrap();
    assert!(received.join().unwrap() == source.expected);
}

#[test]
fn packets_that_are_lent_may_be_rewritten_at_once() {
    let (stream, peer) = connection();
    let socket = Arc::new(SharedSocket::new(stream, "the peer"));
    let mut sink = SocketSink::new(Arc::clone(&socket), 0, None);
    let mut page = PageBuffer::new(8192).unwrap();
    let mut expected = Vec::new();
    for round in 1..=3 {
        page.fill(round);
        sink.write_packet(&[IoSlice::new(&page)]).unwrap();
        expected.extend(Frame::Packet(0).header(8192));
        expected.extend([round; 8192]);
    }
    page.fill(0xff);
    socket.end().unwrap();
    assert!(reader(peer).join().unwrap() == expected);
}

#[test]
fn an_address_is_known_from_a_path() {
    let address = |text: &str| SharedSocket::address(Path::new(text)).map(str::to_owned);
    assert_eq!(address("tcp://host:1"), Some("tcp://host:1".to_owned()));
    assert_eq!(address("tcp"), None);
    assert_eq!(address("./tcp://host:1"), None);
}

#[test]
fn where_nobody_listens_the_error_says_what_to_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = SharedSocket::connect(&address).unwrap_err().to_string();
    assert!(error.contains(&address), "{error}");
    assert!(error.contains("nc -l"), "{error}");
}

#[test]
fn an_address_without_a_port_is_refused() {
    let error = SharedSocket::connect("tcp://localhost")
        .unwrap_err()
        .to_string();
    assert!(error.contains("`tcp://HOST:PORT`"), "{error}");
}

#[test]
fn a_connection_is_made_to_whoever_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = SharedSocket::connect(&address).unwrap();
    let received = reader(listener.accept().unwrap().0);
    socket.send(Frame::End, b"").unwrap();
    socket.end().unwrap();
    assert_eq!(received.join().unwrap(), Frame::End.header(0));
}
