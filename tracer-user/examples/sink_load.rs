//! Moves packets through sub-buffers into one sink, as fast as it takes them, and prints what
//! that took: the measured program of `cargo xtask bench sinks`.
//!
//! One thread fills sub-buffers with events of 80 bytes, another one feeds the sink with them.
//! Pipe and socket are read by another process, which drops what it reads.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use rustix::time::{ClockId, clock_gettime};
use tracer::record::pool::{Pool, PoolConfig};
use tracer::record::sink::{
    FileSink, PipeSink, SharedPipe, SharedSocket, Sink, SinkKind, SinkReport, SocketSink,
};
use tracer::record::subbuf::{self, AppendError, Closing, Config, Mode, NotNow, Reader, Writer};
use tracer::sys::page_cache::resident_bytes;
use tracer::trace::ctf::{FIRST_EVENT_OFFSET, PacketHeader};

/// Size of an event in bytes: header and six registers of a system call, rounded.
const EVENT: [u8; 80] = [0x5a; 80];

/// Bytes that the other process reads at a time at most.
const READ_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    Copy,
    Splice,
    Direct,
    Pipe,
    Socket,
    /// Nowhere: reads standard input and drops it.
    Drop,
}

#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    to: To,
    /// Size of a sub-buffer in bytes
    #[arg(default_value_t = 0)]
    sub_buffer: usize,
    /// Sub-buffers of the writer
    #[arg(default_value_t = 0)]
    count: u16,
    /// Packets to move, of the size of a sub-buffer each
    #[arg(default_value_t = 0)]
    packets: u64,
    /// The file to write, which is removed in the end
    #[arg(default_value = "stream")]
    file: PathBuf,
}

/// What moving took.
struct Moved {
    report: SinkReport,
    /// Until the last packet was taken.
    wall: Duration,
    /// Until the sink had finished: the file is on the disk.
    finished: Duration,
    fill_cpu: Duration,
    sink_cpu: Duration,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.to {
        To::Drop => drop_input(),
        To::Copy => to_file(&args, SinkKind::Copy),
        To::Splice => to_file(&args, SinkKind::Splice),
        To::Direct => to_file(&args, SinkKind::Direct),
        To::Pipe => to_pipe(&args),
        To::Socket => to_socket(&args),
    }
}

fn to_file(args: &Args, kind: SinkKind) -> Result<()> {
    let _removed = Removed(&args.file);
    let sink = FileSink::create(&args.file, kind, args.sub_buffer)?;
    let pool = pool(args, 0)?;
    let moved = run(args, &pool, sink)?;
    let file = File::open(&args.file)?;
    let len = file.metadata()?.len();
    ensure!(len == args.bytes(), "{len} bytes are in the file");
    let resident = resident_bytes(file.as_fd(), len)?;
    print(args, &moved, moved.finished, Duration::ZERO, resident);
    Ok(())
}

fn to_pipe(args: &Args) -> Result<()> {
    let mut peer = peer(Stdio::piped())?;
    let pipe = OwnedFd::from(peer.stdin.take().context("a pipe")?);
    let pipe = Arc::new(SharedPipe::new(pipe, "the pipe"));
    let pool = pool(args, 0)?;
    let start = Instant::now();
    let moved = run(args, &pool, PipeSink::new(pipe, 0))?;
    let peer_cpu = peer_cpu(args, peer)?;
    print(args, &moved, start.elapsed(), peer_cpu, 0);
    Ok(())
}

fn to_socket(args: &Args) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    let peer = peer(OwnedFd::from(accepted).into())?;
    let socket = Arc::new(SharedSocket::new(stream, "the socket"));
    // As many pages again: so many packets can be on their way.
    let pool = pool(args, args.count)?;
    let start = Instant::now();
    let sink = SocketSink::new(Arc::clone(&socket), 0, Some(Arc::clone(&pool)));
    let moved = run(args, &pool, sink)?;
    socket.end()?;
    let peer_cpu = peer_cpu(args, peer)?;
    print(args, &moved, start.elapsed(), peer_cpu, 0);
    Ok(())
}

impl Args {
    fn bytes(&self) -> u64 {
        self.packets * self.sub_buffer as u64
    }
}

/// Takes a file away, however it ends.
struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        // The folder goes as well.
        let _ = fs::remove_file(self.0);
    }
}

/// Pages for the sub-buffers, and `spares` more.
fn pool(args: &Args, spares: u16) -> io::Result<Arc<Pool>> {
    let pool = Pool::new(PoolConfig {
        run_bytes: args.sub_buffer,
        max_runs: usize::from(args.count) + 1 + usize::from(spares),
        reuse: true,
    })?;
    Ok(Arc::new(pool))
}

/// Moves all packets to the sink, which it drops.
fn run(args: &Args, pool: &Pool, sink: impl Sink) -> Result<Moved> {
    let config = Config {
        slots: args.count,
        mode: Mode::Discard,
        header_len: FIRST_EVENT_OFFSET,
    };
    let (writer, reader) = subbuf::create(config, pool)?;
    let start = Instant::now();
    thread::scope(|scope| {
        let sender = thread::current();
        let filler = scope.spawn(move || fill(writer, args.packets, &sender));
        let moved = send(reader, sink, filler.thread(), start);
        // After an error nobody takes what it fills.
        let moved = moved.unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(1)
        });
        let fill_cpu = filler.join().ok().context("the filling thread panicked")?;
        Ok(Moved { fill_cpu, ..moved })
    })
}

/// Fills sub-buffers; gives the CPU time of its thread.
fn fill(mut writer: Writer, packets: u64, sender: &Thread) -> Duration {
    let packet_len = writer.capacity();
    let (mut done, mut events) = (0, 0);
    while done < packets {
        match writer.append(&EVENT) {
            Ok(_) => events += 1,
            Err(AppendError::Full) => thread::park(),
            Err(_) => {
                let header = PacketHeader {
                    packet_bits: packet_len as u64 * 8,
                    content_bits: packet_len as u64 * 8,
                    ..PacketHeader::default()
                };
                let closing = Closing {
                    packet_len,
                    events,
                    ..Closing::default()
                };
                writer.close(closing, |page, sequence| {
                    PacketHeader { sequence, ..header }.write_to(page);
                });
                sender.unpark();
                (done, events) = (done + 1, 0);
            }
        }
    }
    drop(writer);
    sender.unpark();
    cpu(ClockId::ThreadCPUTime)
}

/// Feeds the sink until the filling thread has ended.
fn send(
    mut reader: Reader,
    mut sink: impl Sink,
    filler: &Thread,
    start: Instant,
) -> io::Result<Moved> {
    let cpu_before = cpu(ClockId::ThreadCPUTime);
    loop {
        match reader.get() {
            Ok(packet) => {
                sink.take(packet)?;
                filler.unpark();
            }
            Err(NotNow::Empty) => thread::park(),
            Err(NotNow::Again) => {}
            Err(NotNow::Finished) => break,
        }
    }
    let wall = start.elapsed();
    sink.finish()?;
    Ok(Moved {
        report: sink.report(),
        wall,
        finished: start.elapsed(),
        fill_cpu: Duration::ZERO,
        sink_cpu: cpu(ClockId::ThreadCPUTime).saturating_sub(cpu_before),
    })
}

/// The process that reads `input` and drops it.
fn peer(input: Stdio) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("drop")
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
}

/// Waits for it; gives its CPU time.
fn peer_cpu(args: &Args, peer: Child) -> Result<Duration> {
    let output = peer.wait_with_output()?;
    ensure!(output.status.success(), "the reading process failed");
    let text = String::from_utf8(output.stdout)?;
    let (bytes, cpu_ns) = text.trim().split_once(' ').context("two numbers")?;
    // Each packet is a frame.
    let frames = args.bytes() + args.packets * tracer::trace::folder::frames::HEADER_LEN as u64;
    ensure!(
        bytes.parse() == Ok(frames),
        "{bytes} bytes of {frames} came"
    );
    Ok(Duration::from_nanos(cpu_ns.parse()?))
}

fn drop_input() -> Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => break,
            read => bytes += read as u64,
        }
    }
    println!("{bytes} {}", cpu(ClockId::ProcessCPUTime).as_nanos());
    Ok(())
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Prints a line of names and values; the way is the rest of it.
fn print(args: &Args, moved: &Moved, arrived: Duration, peer_cpu: Duration, resident: u64) {
    println!(
        "bytes {} wall_ns {} arrived_ns {} sink_cpu_ns {} fill_cpu_ns {} peer_cpu_ns {} \
         resident_bytes {resident} way {}",
        args.bytes(),
        moved.wall.as_nanos(),
        arrived.as_nanos(),
        moved.sink_cpu.as_nanos(),
        moved.fill_cpu.as_nanos(),
        peer_cpu.as_nanos(),
        moved.report
    );
}
