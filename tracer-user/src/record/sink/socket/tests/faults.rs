//! What the kernel may answer, and peers that go.

use super::*;

#[test]
fn short_counts_and_interruptions_change_nothing() {
    let (stream, peer) = connection();
    let received = reader(peer);
    let mut turn = 0;
    let calls = Faults::new(move |call| {
        turn += 1;
        match (turn % 4, &mut *call) {
            (_, Call::SetZeroCopy { .. } | Call::TakeError { .. } | Call::EndSending { .. }) => {
                None
            }
            (0, _) => Some(Err(Errno::INTR)),
            (1, Call::Send { .. } | Call::SendPages { .. }) => Some(Err(Errno::AGAIN)),
            (2, Call::Send { head, body, .. }) if !head.is_empty() => {
                *head = &head[..head.len().min(7)];
                *body = &[];
                None
            }
            (2 | 3, Call::Send { body, .. }) => {
                *body = &body[..body.len().min(1001)];
                None
            }
            (2 | 3, Call::SendPages { bytes, .. }) => {
                *bytes = &bytes[..bytes.len().min(5003)];
                None
            }
            _ => gathering(*call),
        }
    });
    let socket = Arc::new(SharedSocket::with(calls, stream, "the peer"));
    let mut source = TestStream::new(0, 4);
    let mut sink = sink_of(&source, &socket);
    for turn in 0..20 {
        if turn % 3 == 0 {
            source.write();
            let packet = source.reader.get().unwrap();
            sink.write_packet(&packet.io_slices()).unwrap();
            packet.put();
        } else {
            source.send(&mut sink).unwrap();
        }
    }
    sink.finish().unwrap();
    socket.end().unwrap();
    assert!(received.join().unwrap() == source.expected);
    assert_eq!(source.held(), 0);
}

#[test]
fn a_socket_that_does_not_block_is_waited_for() {
    let (stream, peer) = connection();
    stream.set_nonblocking(true).unwrap();
    let (waits, waited) = mpsc::channel();
    let calls = Faults::new(move |call| {
        if matches!(call, Call::AwaitRoom { .. }) {
            let _ = waits.send(());
        }
        None
    });
    let socket = Arc::new(SharedSocket::with(calls, stream, "the peer"));
    let body = vec![7; 4 << 20];
    let expected = body.clone();
    let sender = thread::spawn(move || {
        socket.send(Frame::Packet(0), &body).unwrap();
        socket.end().unwrap();
    });
    waited.recv().unwrap();
    let received = reader(peer).join().unwrap();
    sender.join().unwrap();
    assert!(received[HEADER_LEN..] == expected);
}

#[test]
fn at_the_kernels_limit_pages_are_waited_for() {
    let (stream, peer) = connection();
    let (waits, waited) = mpsc::channel();
    let received = thread::spawn(move || {
        waited.recv().unwrap();
        reader(peer).join().unwrap()
    });
    // The kernel takes one send at a time.
    let mut in_flight = false;
    let calls = Faults::new(move |call| match call {
        Call::SendPages { .. } if in_flight => Some(Err(Errno::NOBUFS)),
        Call::SendPages { .. } => {
            in_flight = true;
            None
        }
        Call::ReadCompletion { .. } => {
            let answer = gathering(*call);
            in_flight &= answer != Some(Ok(0));
            answer
        }
        Call::AwaitCompletion { .. } => {
            let _ = waits.send(());
            None
        }
        _ => None,
    });
    let socket = Arc::new(SharedSocket::with(calls, stream, "the peer"));
    let mut source = TestStream::new(0, 8);
    let mut sink = sink_of(&source, &socket);
    for _ in 0..8 {
        source.send(&mut sink).unwrap();
        assert_eq!(sink.report().way, WriteMethod::Socket);
    }
    sink.finish().unwrap();
    socket.end().unwrap();
    assert!(received.join().unwrap() == source.expected);
}

/// Sends packets with some system calls answered by `rule`; returns its report.
fn report_with(
    spares: usize,
    rule: impl FnMut(&mut Call<'_>) -> Option<Result<usize, Errno>> + Send + 'static,
) -> String {
    let (stream, peer) = connection();
    let received = reader(peer);
    let calls = Faults::new(rule);
    let socket = Arc::new(SharedSocket::with(calls, stream, "the peer"));
    let mut source = TestStream::new(0, spares);
    let mut sink = sink_of(&source, &socket);
    for _ in 0..4 {
        source.send(&mut sink).unwrap();
    }
    assert_eq!(source.held(), 0);
    socket.end().unwrap();
    assert!(received.join().unwrap() == source.expected);
    sink.report().to_string()
}

#[test]
fn a_kernel_that_keeps_no_pages_gets_copies() {
    let report = report_with(4, |call| {
        matches!(call, Call::SendPages { .. }).then_some(Err(Errno::NOBUFS))
    });
    assert!(
        report.starts_with("copy to a socket: the kernel keeps no pages"),
        "{report}"
    );
}

#[test]
fn a_kernel_without_zero_copy_gets_copies() {
    let report = report_with(4, |call| {
        assert!(!matches!(call, Call::SendPages { .. }));
        matches!(call, Call::SetZeroCopy { .. }).then_some(Err(Errno::NOPROTOOPT))
    });
    assert_eq!(report, "copy to a socket: the kernel has no SO_ZEROCOPY");
}

#[test]
fn without_pages_to_spare_packets_are_copied() {
    let report = report_with(0, |_| None);
    assert!(
        report.starts_with("copy to a socket: the pool has no pages"),
        "{report}"
    );
}

#[test]
fn a_peer_that_has_gone_is_an_error_once_and_for_all() {
    let (stream, peer) = connection();
    let socket = Arc::new(SharedSocket::new(stream, "tcp://there:1"));
    let mut source = TestStream::new(0, 4);
    let mut sink = sink_of(&source, &socket);
    for _ in 0..4 {
        source.send(&mut sink).unwrap();
    }
    // With bytes that it has not read: the connection is reset.
    drop(peer);
    let error = sink.finish().unwrap_err();
    assert!(error.to_string().contains("`tcp://there:1`"), "{error}");
    for _ in 0..2 {
        let error = source.send(&mut sink).unwrap_err();
        assert!(
            error.to_string().ends_with("its reader has closed it"),
            "{error}"
        );
    }
    assert_eq!(
        socket.send(Frame::End, b"").unwrap_err().kind(),
        error.kind()
    );
}

#[test]
fn a_peer_that_goes_while_pages_are_waited_for_is_an_error() {
    let (stream, peer) = connection();
    let mut peer = Some(peer);
    let calls = Faults::new(move |call| {
        if matches!(call, Call::AwaitCompletion { .. }) {
            drop(peer.take());
        }
        None
    });
    let socket = Arc::new(SharedSocket::with(calls, stream, "the peer"));
    let mut source = TestStream::new(0, 2);
    let mut sink = sink_of(&source, &socket);
    let error = (0..100).find_map(|_| source.send(&mut sink).err());
    let error = error.unwrap().to_string();
    assert!(error.ends_with("its reader has closed it"), "{error}");
}

#[test]
fn nothing_is_sent_after_a_broken_frame() {
    let (stream, peer) = connection();
    let mut turn = 0;
    let calls = Faults::new(move |call| {
        turn += u32::from(matches!(call, Call::Send { .. }));
        match (turn, call) {
            (1, Call::Send { body, .. }) => {
                *body = &body[..100];
                None
            }
            (2, Call::Send { .. }) => Some(Err(Errno::IO)),
            _ => None,
        }
    });
    let socket = SharedSocket::with(calls, stream, "the peer");
    assert!(socket.send(Frame::Packet(0), &[1; 4096]).is_err());
    assert!(socket.send(Frame::Packet(1), &[2; 4096]).is_err());
    drop(socket);
    assert_eq!(reader(peer).join().unwrap().len(), HEADER_LEN + 100);
}
