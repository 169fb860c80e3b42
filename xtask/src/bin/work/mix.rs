//! Events of many kinds: processes, files, sockets, memory, timers.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::sync;

/// Bytes of a file.
const BYTES: usize = 256 * 1024;

/// Does a bit of everything until the time is over. Files are made in `folder`.
pub(super) fn mix(time: Duration, folder: &Path) -> Result<u64> {
    let end = Instant::now() + time;
    let mut rounds = 0;
    while Instant::now() < end {
        processes().context("cannot start processes")?;
        files(folder, rounds).context("cannot use files")?;
        if let Err(error) = sockets() {
            // Guests may have no loopback device.
            eprintln!("work: sockets: {error:#}");
        }
        memory();
        threads();
        thread::sleep(Duration::from_millis(20));
        rounds += 1;
    }
    Ok(rounds)
}

fn processes() -> Result<()> {
    let program = std::env::current_exe()?;
    for status in ["0", "1"] {
        Command::new(&program).args(["exit", status]).status()?;
    }
    let mut child = Command::new(&program).args(["sleep", "10000"]).spawn()?;
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn files(folder: &Path, round: u64) -> Result<()> {
    let one = folder.join(format!("mix-{round}"));
    let other = folder.join("mix-renamed");
    let mut file = File::create(&one)?;
    file.write_all(&vec![round as u8; BYTES])?;
    file.sync_all()?;
    drop(file);
    fs::rename(&one, &other)?;
    let mut content = Vec::new();
    File::open(&other)?.read_to_end(&mut content)?;
    fs::File::options().write(true).open(&other)?.set_len(10)?;
    fs::create_dir(&one)?;
    fs::remove_dir(&one)?;
    fs::hard_link(&other, &one)?;
    fs::remove_file(&one)?;
    fs::remove_file(&other)?;
    if round.is_multiple_of(8) {
        sync();
    }
    Ok(())
}

fn sockets() -> Result<()> {
    let mut answer = [0; 1000];
    let (mut one, mut other) = UnixStream::pair()?;
    one.write_all(b"text")?;
    other.read_exact(&mut answer[..4])?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    let thread = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut bytes = vec![0; 100_000];
        stream.read_exact(&mut bytes)?;
        stream.write_all(&bytes[..1000])
    });
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&vec![7; 100_000])?;
    stream.read_exact(&mut answer)?;
    drop(stream);
    let _ = thread.join();
    // A port without a listener: a reset.
    let _ = TcpStream::connect(server);
    let (one, other) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    one.send_to(b"text", other.local_addr()?)?;
    other.recv(&mut answer)?;
    Ok(())
}

/// Allocations of this size are mappings of their own.
fn memory() {
    let mut bytes = vec![1_u8; 4 * BYTES];
    bytes[BYTES] = 2;
    std::hint::black_box(&bytes);
}

/// Wakes threads, which sleep for a moment.
fn threads() {
    let (send, receive) = mpsc::channel::<()>();
    let woken = thread::spawn(move || {
        while receive.recv().is_ok() {
            thread::sleep(Duration::from_micros(200));
        }
    });
    for _ in 0..20 {
        let _ = send.send(());
        thread::yield_now();
    }
    drop(send);
    let _ = woken.join();
}
