//! A kernel function that calls itself: `ep_poll_callback`, which wakes those that wait for an
//! epoll instance, and so runs once more for each instance that watches another one.

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::OwnedFd;

/// Watches an eventfd by an epoll instance, that one by the next, up to `levels` of them, and
/// writes to the eventfd `count` times. Each write calls the function `levels` times, each
/// call within the one before.
pub(super) fn nest(levels: u32, count: u64) -> Result<()> {
    let event = eventfd(0, EventfdFlags::CLOEXEC).context("cannot make an eventfd")?;
    let mut files = vec![event];
    for level in 1..=levels {
        let instance = watch(&files[files.len() - 1])
            .with_context(|| format!("cannot watch, on level {level}"))?;
        files.push(instance);
    }
    let time = super::repeat(count, || {
        rustix::io::write(&files[0], &1_u64.to_ne_bytes())?;
        Ok(())
    })?;
    super::report("nest", count, time);
    Ok(())
}

/// An epoll instance that watches a file.
fn watch(file: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let instance = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(0);
    epoll::add(&instance, file, data, epoll::EventFlags::IN)?;
    Ok(instance)
}
