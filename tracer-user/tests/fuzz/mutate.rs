//! From inputs that mean something to others that almost do.

use crate::random::Random;

/// Inputs are not longer than this many bytes: what a parser does with more, it does with
/// these.
const MAX_LEN: usize = 16 << 10;

/// Numbers at the edges of what fits.
const EDGES: [u32; 10] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
];

/// A new input, out of those in `inputs` and of `tokens`.
pub(crate) fn mutate(inputs: &[&[u8]], tokens: &[&str], random: &mut Random) -> Vec<u8> {
    if random.one_of(12) {
        return of_tokens(tokens, random);
    }
    let mut bytes = random.pick(inputs).to_vec();
    // Mostly few changes: what has many is refused for the first of them.
    let most = random.below(6);
    for _ in 0..=random.below(most + 1) {
        change(&mut bytes, inputs, tokens, random);
        bytes.truncate(MAX_LEN);
    }
    bytes
}

fn of_tokens(tokens: &[&str], random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..random.below(24) {
        let token: &&str = random.pick(tokens);
        text.push_str(token);
        if !random.one_of(4) {
            text.push(' ');
        }
    }
    text.into_bytes()
}

fn change(bytes: &mut Vec<u8>, inputs: &[&[u8]], tokens: &[&str], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(40)).min(bytes.len());
    match random.below(11) {
        0 => bytes.truncate(at),
        1 => set(bytes, at, random.next() as u8),
        2 => {
            let flipped = bytes.get(at).map(|byte| byte ^ (1 << random.below(8)));
            set(bytes, at, flipped.unwrap_or_default());
        }
        3 => drop(bytes.drain(at..end)),
        4 => insert(bytes, at, random.pick(tokens).as_bytes()),
        5 => {
            let token = random.pick(tokens).as_bytes();
            bytes.splice(at..end.min(at + token.len()), token.iter().copied());
        }
        // The same again, many times: depth and length.
        6 => {
            let part = bytes[at..end].repeat(1 + random.below(100));
            insert(bytes, at, &part);
        }
        7 => {
            let part = random.pick(tokens).repeat(1 + random.below(100));
            insert(bytes, at, part.as_bytes());
        }
        // The end of another input.
        8 => {
            let other = random.pick(inputs);
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        // A part of another input.
        9 => {
            let other = random.pick(inputs);
            let from = random.below(other.len() + 1);
            let to = (from + random.below(80)).min(other.len());
            insert(bytes, at, &other[from..to]);
        }
        _ => {
            let at = at & !3;
            let edge = random.pick(&EDGES).to_le_bytes();
            if let Some(word) = bytes.get_mut(at..at + 4) {
                word.copy_from_slice(&edge);
            }
        }
    }
}

fn set(bytes: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    let room = MAX_LEN.saturating_sub(bytes.len()).min(part.len());
    bytes.splice(at..at, part[..room].iter().copied());
}
