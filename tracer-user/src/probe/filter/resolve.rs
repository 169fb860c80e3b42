//! Resolves a parsed filter to conditions on the events of one class.

use crate::names::Suggestions;
use crate::probe::filter::error::{Fault, FilterProblem};
use crate::probe::filter::resolved::{
    Condition, NumberSource, NumberTest, TextCheck, TextSource, TextTest,
};
use crate::probe::filter::syntax::{Expr, Literal, Name, Operator, Relation, Span, Spanned, Test};
use crate::probe::filter::time::Time;
use crate::probe::filter::value_type::{NumberType, ValueType};
use crate::trace::FieldPlace;
use crate::trace::event::{EventClass, Field};

/// Context fields of every event; the last ones are known only while the event fires.
const CONTEXTS: [&str; 6] = ["pid", "tid", "comm", "cpu", "uid", "cgroup"];
const RECORDED_CONTEXTS: usize = 4;

/// Where a filter is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In the kernel, while the event fires.
    InKernel,
    /// On recorded events.
    Recorded,
}

/// What names stand for.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) class: &'a EventClass,
    pub(super) stage: Stage,
}

impl Names<'_> {
    fn contexts(&self) -> &'static [&'static str] {
        match self.stage {
            Stage::InKernel => &CONTEXTS,
            Stage::Recorded => &CONTEXTS[..RECORDED_CONTEXTS],
        }
    }

    /// Context fields that the class records in addition.
    fn recorded_contexts(&self) -> &[Field] {
        match self.stage {
            Stage::InKernel => &[],
            Stage::Recorded => &self.class.context,
        }
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// Resolves `expr` for the events of a class.
pub(super) fn resolve(expr: &Expr, names: &Names<'_>) -> Result<Condition> {
    let all = |parts: &[Expr]| -> Result<Box<[Condition]>> {
        parts.iter().map(|part| resolve(part, names)).collect()
    };
    Ok(match expr {
        Expr::Any(parts) => Condition::Any(all(parts)?),
        Expr::All(parts) => Condition::All(all(parts)?),
        Expr::Not(part) => Condition::Not(Box::new(resolve(part, names)?)),
        Expr::Test(Test::Bits { name, mask }) => {
            let bits = bits(name, *mask, names)?;
            Condition::Number(NumberTest {
                source: bits.source,
                ty: bits.ty,
                mask: Some(bits.mask),
                relation: Relation::NotEqual,
                value: 0,
            })
        }
        Expr::Test(Test::Compare {
            name,
            mask: Some(mask),
            operator,
            literal,
        }) => {
            let bits = bits(name, *mask, names)?;
            let ty = NumberType {
                signed: false,
                ..bits.ty
            };
            let name = format!("{name} & {:#x}", bits.mask);
            let (relation, value) = constant(&name, ty, *operator, literal)?;
            Condition::Number(NumberTest {
                source: bits.source,
                ty: bits.ty,
                mask: Some(bits.mask),
                relation,
                value,
            })
        }
        Expr::Test(Test::Compare {
            name,
            mask: None,
            operator,
            literal,
        }) => match source(name, names)? {
            Operand::Number(source, ty) => {
                let literal = &in_nanoseconds(name, literal, names)?;
                let (relation, value) = constant(&name.to_string(), ty, *operator, literal)?;
                Condition::Number(NumberTest {
                    source,
                    ty,
                    mask: None,
                    relation,
                    value,
                })
            }
            Operand::Text(source, max) => Condition::Text(TextTest {
                source,
                check: check(name, max, *operator, literal)?,
            }),
        },
    })
}

/// A value that a name stands for.
enum Operand {
    Number(NumberSource, NumberType),
    /// With the most bytes that it has, if that is known.
    Text(TextSource, Option<u32>),
}

/// The value that `name` stands for: a field before a context, and a context that the class
/// records before one that every event has.
fn source(name: &Spanned<Name>, names: &Names<'_>) -> Result<Operand> {
    let class = names.class;
    let (text, in_payload) = match &name.value {
        Name::Context(text) => (text, None),
        Name::Plain(text) => (text, position(&class.fields, text)),
    };
    let found = if let Some(index) = in_payload {
        field_source(&class.fields[index], index, FieldPlace::of(class, index))
    } else if let Some(index) = position(names.recorded_contexts(), text) {
        let place = FieldPlace::of_context(class, index);
        field_source(&class.context[index], class.fields.len() + index, place)
    } else {
        common_source(text, names).ok_or_else(|| missing(&name.value, names))
    };
    found.map_err(|problem| Fault::new(name.span, problem))
}

fn position(fields: &[Field], name: &str) -> Option<usize> {
    fields.iter().position(|field| field.name == name)
}

fn field_names(fields: &[Field]) -> impl Iterator<Item = &str> {
    fields.iter().map(|field| field.name.as_str())
}

fn missing(name: &Name, names: &Names<'_>) -> FilterProblem {
    let class = names.class;
    let contexts = || {
        let common = names.contexts().iter().copied();
        common.chain(field_names(names.recorded_contexts()))
    };
    match name {
        Name::Context(name) => FilterProblem::NoSuchContext {
            name: name.clone(),
            suggestions: Suggestions::near(name, contexts()),
            contexts: listed(contexts()),
        },
        Name::Plain(name) => FilterProblem::NoSuchField {
            name: name.clone(),
            class: class.name.clone(),
            suggestions: Suggestions::near(name, field_names(&class.fields).chain(contexts())),
            fields: listed(field_names(&class.fields)),
            contexts: listed(contexts()),
        },
    }
}

/// What every event has.
fn common_source(name: &str, names: &Names<'_>) -> Option<Operand> {
    if !names.contexts().contains(&name) {
        return None;
    }
    let number = |source| Operand::Number(source, NumberType::ID);
    Some(match name {
        "pid" => number(NumberSource::Pid),
        "tid" => number(NumberSource::Tid),
        "cpu" => number(NumberSource::Cpu),
        "uid" => number(NumberSource::Uid),
        "cgroup" => Operand::Number(NumberSource::Cgroup, NumberType::CGROUP),
        "comm" => Operand::Text(TextSource::Comm, None),
        _ => return None,
    })
}

fn field_source(
    field: &Field,
    index: usize,
    place: Option<FieldPlace>,
) -> std::result::Result<Operand, FilterProblem> {
    let ty = ValueType::from(&field.ty);
    match (ty, place) {
        (ValueType::Number(ty), Some(place)) => {
            Ok(Operand::Number(NumberSource::Field { index, place }, ty))
        }
        (ValueType::Text(max), Some(place)) => {
            Ok(Operand::Text(TextSource::Field { index, place }, max))
        }
        _ => Err(FilterProblem::ManyValues {
            name: field.name.clone(),
            ty,
        }),
    }
}

/// Names for messages.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        "no fields".to_owned()
    } else {
        quoted.join(", ")
    }
}

/// A number under a bit mask.
struct Bits {
    source: NumberSource,
    ty: NumberType,
    mask: u64,
}

fn bits(name: &Spanned<Name>, mask: Spanned<i128>, names: &Names<'_>) -> Result<Bits> {
    let (source, ty) = match source(name, names)? {
        Operand::Number(source, ty) => (source, ty),
        Operand::Text(_, max) => {
            return Err(Fault::new(
                name.span.to(mask.span),
                not_for_strings("&", name.to_string(), max),
            ));
        }
    };
    // A mask stands for bits: that of a signed number may have the highest one, too.
    let range = (ty.range().0, i128::from(ty.all_bits()));
    let mask = in_range(mask, range, &name.to_string(), ty)? & ty.all_bits();
    Ok(Bits { source, ty, mask })
}

/// Kinds of classes whose field [`DURATION`] has nanoseconds.
const CALLS: [&str; 4] = ["call:", "kretprobe:", "fexit:", "uretprobe:"];
const DURATION: &str = "duration";

/// `literal`, as a number if it is a time and `name` is the duration of a call.
fn in_nanoseconds(
    name: &Spanned<Name>,
    literal: &Spanned<Literal>,
    names: &Names<'_>,
) -> Result<Spanned<Literal>> {
    let Literal::Time(time) = literal.value else {
        return Ok(literal.clone());
    };
    let class = &names.class.name;
    let is_call = CALLS.iter().any(|kind| class.starts_with(kind));
    if is_call && matches!(&name.value, Name::Plain(name) if name == DURATION) {
        return Ok(Spanned {
            value: Literal::Number(time.ns().into()),
            span: literal.span,
        });
    }
    Err(not_a_duration(&name.to_string(), time, literal.span))
}

fn not_a_duration(name: &str, time: Time, span: Span) -> Fault {
    let problem = FilterProblem::NotADuration {
        name: name.to_owned(),
        literal: time.to_string(),
    };
    Fault::new(span, problem)
}

/// How a number has to stand to which constant, sign-extended to 64 bits.
fn constant(
    name: &str,
    ty: NumberType,
    operator: Spanned<Operator>,
    literal: &Spanned<Literal>,
) -> Result<(Relation, u64)> {
    let Operator::Relation(relation) = operator.value else {
        let problem = FilterProblem::Operator {
            operator: Operator::Glob.text(),
            needs: "strings",
            name: name.to_owned(),
            ty: ValueType::Number(ty),
            instead: "`==`, `!=`, `<`, `<=`, `>`, `>=` or `&`",
        };
        return Err(Fault::new(operator.span, problem));
    };
    match &literal.value {
        Literal::Number(number) => {
            let number = Spanned {
                value: *number,
                span: literal.span,
            };
            Ok((relation, in_range(number, ty.range(), name, ty)?))
        }
        Literal::Time(time) => Err(not_a_duration(name, *time, literal.span)),
        Literal::Text(_) => Err(mismatch(name, ValueType::Number(ty), literal)),
    }
}

/// What has to be true of a string.
fn check(
    name: &Spanned<Name>,
    max: Option<u32>,
    operator: Spanned<Operator>,
    literal: &Spanned<Literal>,
) -> Result<TextCheck> {
    let make: fn(Box<str>) -> TextCheck = match operator.value {
        Operator::Glob => TextCheck::Glob,
        Operator::Relation(Relation::Equal) => TextCheck::Equal,
        Operator::Relation(Relation::NotEqual) => TextCheck::NotEqual,
        Operator::Relation(_) => {
            let problem = not_for_strings(operator.value.text(), name.to_string(), max);
            return Err(Fault::new(operator.span, problem));
        }
    };
    let text = match &literal.value {
        Literal::Text(text) => text,
        Literal::Number(_) | Literal::Time(_) => {
            return Err(mismatch(&name.to_string(), ValueType::Text(max), literal));
        }
    };
    match max {
        Some(max) if text.len() > max as usize && operator.value != Operator::Glob => {
            // The kernel ends most strings that it cuts with a NUL.
            let kept = text.floor_char_boundary((max as usize).saturating_sub(1));
            let pattern = Literal::Text(format!("{}*", &text[..kept]));
            let problem = FilterProblem::TextLength {
                len: text.len(),
                name: name.to_string(),
                max,
                pattern: pattern.to_string(),
            };
            Err(Fault::new(literal.span, problem))
        }
        _ => Ok(make(text.as_str().into())),
    }
}

/// A number as 64 bits, if it is within `range`.
fn in_range(
    number: Spanned<i128>,
    (min, max): (i128, i128),
    name: &str,
    ty: NumberType,
) -> Result<u64> {
    if (min..=max).contains(&number.value) {
        return Ok(number.value as u64);
    }
    let problem = FilterProblem::Range {
        number: number.value,
        name: name.to_owned(),
        ty: ValueType::Number(ty),
        min,
        max,
    };
    Err(Fault::new(number.span, problem))
}

fn mismatch(name: &str, ty: ValueType, literal: &Spanned<Literal>) -> Fault {
    let (literal_ty, hint) = match literal.value {
        Literal::Number(_) | Literal::Time(_) => ("a number", "put strings in quotes"),
        Literal::Text(_) => ("a string", "numbers stand without quotes"),
    };
    let problem = FilterProblem::Mismatch {
        name: name.to_owned(),
        ty,
        literal: literal.to_string(),
        literal_ty,
        hint,
    };
    Fault::new(literal.span, problem)
}

fn not_for_strings(operator: &'static str, name: String, max: Option<u32>) -> FilterProblem {
    FilterProblem::Operator {
        operator,
        needs: "numbers",
        name,
        ty: ValueType::Text(max),
        instead: "`==`, `!=` or `~`",
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
