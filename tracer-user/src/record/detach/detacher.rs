//! The process that detaches.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::record::control::protocol::{Detaching, Status};
use crate::record::control::{Call, ControlSocket, RuntimeDir, Server};
use crate::record::detach::order::{self, Order};
use crate::sys::bpf;

/// The name of the process, which was started by another path.
const NAME: &CStr = c"tracer";

/// How often a detacher that pauses looks whether it may go on.
const PAUSE: Duration = Duration::from_millis(20);

/// How long it pauses in all: a recorder may be stopped while it attaches.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Detaches what the recorder at the other end of standard input hands over.
///
/// # Errors
/// If there is no recorder.
pub fn run() -> Result<()> {
    // Signals to the recorder's process group or terminal are not for this process. It leads no
    // group, so that this works.
    let _ = rustix::process::setsid();
    let Order { status, attached } = receive()
        .context("cannot receive what is to be detached; only `tracer record` runs this")?;
    let _ = rustix::thread::set_name(NAME);
    let left = Arc::new(AtomicU64::new(attached.links.len() as u64));
    let (done, is_done) = oneshot::channel();
    let detached = {
        let left = Arc::clone(&left);
        thread::spawn(move || {
            if let Some(rings) = attached.rings {
                free_rings(&rings, attached.cpu_count);
            }
            detach(attached.links, &left);
            // The server may have failed.
            let _ = done.send(());
        })
    };
    // Without a socket it is not listed.
    let _ = serve(&status, &left, is_done);
    // A panic has been reported by its hook.
    let _ = detached.join();
    Ok(())
}

/// Takes the order from standard input.
fn receive() -> io::Result<Order> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let order = order::receive(&socket)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(order)
}

/// Lets the kernel free the rings before the programs are gone, which do not use them any more.
fn free_rings(rings: &OwnedFd, cpu_count: u32) {
    for cpu in 0..cpu_count {
        // An element of a CPU that was not recorded is empty.
        let _ = bpf::delete(rings.as_fd(), &cpu.to_ne_bytes());
    }
}

fn detach(links: Vec<OwnedFd>, left: &AtomicU64) {
    let runtime = RuntimeDir::open(&RuntimeDir::default_path());
    let runtime = runtime.ok().flatten();
    let mut patience = LONGEST_PAUSE;
    for link in links {
        let before = Instant::now();
        while runtime.as_ref().is_some_and(RuntimeDir::is_attaching) && before.elapsed() < patience
        {
            thread::sleep(PAUSE);
        }
        patience = patience.saturating_sub(before.elapsed());
        drop(link);
        // Relaxed: a number to show.
        left.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers requests until everything is detached.
fn serve(at_end: &Status, left: &AtomicU64, mut done: oneshot::Receiver<()>) -> Result<()> {
    let runtime_dir = RuntimeDir::create(&RuntimeDir::default_path())?;
    let socket = ControlSocket::claim_detaching(runtime_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut server = Server::start(socket)?;
        loop {
            tokio::select! {
                call = server.next() => answer(call, at_end, left),
                _ = &mut done => break,
            }
        }
        server.close().await;
        Ok(())
    })
}

fn answer(call: Call, at_end: &Status, left: &AtomicU64) {
    match call {
        Call::Status(answer) => answer.give(Ok(Status {
            pid: std::process::id(),
            detaching: at_end.detaching.map(|detaching| Detaching {
                // Relaxed: a number to show.
                left: left.load(Ordering::Relaxed),
                ..detaching
            }),
            ..at_end.clone()
        })),
        Call::Snapshot(_, answer) => answer.give(Err("the recording has ended".to_owned())),
    }
}
