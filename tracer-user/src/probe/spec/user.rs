//! `uprobe:PATH:SYMBOL[+OFFSET]`, with quotes around parts that need them.

use crate::names::glob::is_glob;
use crate::names::quote::{quoted_end, take_quoted};
use crate::probe::spec::{SpecError, Target, UserSymbol, parse_number, split_offset};

pub(super) fn parse_uprobe(text: &str, place: &str) -> Result<Target, SpecError> {
    let (path, symbol) = split_path("uprobe", text, place)?;
    if let Some((name, rest)) = take_quoted(symbol) {
        let offset = match rest.strip_prefix('+') {
            Some(offset) => parse_number(offset).ok_or_else(|| SpecError::BadOffset {
                probe: text.to_owned(),
                offset: offset.to_owned(),
            })?,
            None => 0,
        };
        return Ok(Target::Uprobe {
            path,
            symbol: UserSymbol::Name(name),
            offset,
        });
    }
    let (symbol, offset) = split_unquoted(text, symbol)?;
    Ok(Target::Uprobe {
        path,
        symbol: parse_symbol(text, symbol)?,
        offset,
    })
}

pub(super) fn parse_uretprobe(text: &str, place: &str) -> Result<Target, SpecError> {
    let (path, symbol) = split_path("uretprobe", text, place)?;
    let symbol = match take_quoted(symbol) {
        Some((name, "")) => UserSymbol::Name(name),
        Some(_) => return Err(SpecError::OffsetOnReturn(text.to_owned())),
        None if symbol.contains('+') && !symbol.contains("operator") => {
            return Err(SpecError::OffsetOnReturn(text.to_owned()));
        }
        None => parse_symbol(text, symbol)?,
    };
    Ok(Target::Uretprobe { path, symbol })
}

/// Splits `PATH:SYMBOL…`. Without quotes, the last colon separates them that is not part of a
/// `::`: paths may contain colons, and names of C++ and Rust do.
fn split_path<'a>(
    kind: &'static str,
    text: &str,
    place: &'a str,
) -> Result<(String, &'a str), SpecError> {
    let missing = || SpecError::NoUserSymbol {
        probe: text.to_owned(),
        kind,
    };
    let (path, symbol) = if let Some((path, rest)) = take_quoted(place) {
        (path, rest.strip_prefix(':').ok_or_else(missing)?)
    } else {
        let at = before_quoted(place)
            .or_else(|| last_single_colon(place))
            .or_else(|| place.rfind(':'))
            .ok_or_else(missing)?;
        (place[..at].to_owned(), &place[at + 1..])
    };
    let has_symbol = match take_quoted(symbol) {
        Some((name, rest)) => !name.is_empty() && (rest.is_empty() || rest.starts_with('+')),
        None => !symbol.is_empty(),
    };
    if path.is_empty() || !has_symbol {
        return Err(missing());
    }
    Ok((path, symbol))
}

/// The colon before a symbol in quotes, with which the text ends, except for an offset.
fn before_quoted(place: &str) -> Option<usize> {
    let colons = place.match_indices(':').map(|(at, _)| at);
    colons.into_iter().find(|at| {
        quoted_end(place, at + 1).is_some_and(|end| {
            let rest = &place[end..];
            rest.is_empty() || rest.starts_with('+')
        })
    })
}

fn last_single_colon(place: &str) -> Option<usize> {
    let bytes = place.as_bytes();
    let is_colon = |at: Option<usize>| at.and_then(|at| bytes.get(at)) == Some(&b':');
    (0..bytes.len()).rev().find(|&at| {
        is_colon(Some(at)) && !is_colon(at.checked_sub(1)) && !is_colon(at.checked_add(1))
    })
}

/// Splits off `+OFFSET`, which is part of the name in `operator+`.
fn split_unquoted<'a>(text: &str, symbol: &'a str) -> Result<(&'a str, u64), SpecError> {
    if !symbol.contains("operator") {
        return split_offset(text, symbol);
    }
    let parts = symbol.rsplit_once('+');
    let parts = parts.and_then(|(name, offset)| Some((name, parse_number(offset)?)));
    match parts {
        Some((name, _)) if is_glob(name) => Err(SpecError::OffsetOnGlob(text.to_owned())),
        Some((name, offset)) if !name.is_empty() => Ok((name, offset)),
        _ => Ok((symbol, 0)),
    }
}

fn parse_symbol(text: &str, symbol: &str) -> Result<UserSymbol, SpecError> {
    if !symbol.starts_with("0x") && !symbol.starts_with("0X") {
        return Ok(UserSymbol::Name(symbol.into()));
    }
    let address = parse_number(symbol).ok_or_else(|| SpecError::BadAddress {
        probe: text.to_owned(),
        address: symbol.to_owned(),
    })?;
    Ok(UserSymbol::Address(address))
}
