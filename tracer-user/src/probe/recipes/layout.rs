//! The payload that a recipe yields.

use tracer_common::REALTIME_PRIORITIES;

use crate::probe::fetch::FieldSource;
use crate::probe::recipes::node::{Bytes, Content, Current, Node};
use crate::probe::recipes::resolve::Resolver;
use crate::probe::recipes::syntax::{Binary, Expr};
use crate::probe::recipes::table::FieldRecipe;
use crate::probe::tracepoint::{Form, Written};

/// The values of a payload, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLayout {
    /// The values.
    pub values: Vec<Value>,
}

/// A value of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its start in the payload, in bytes; `None`: it follows the value before it.
    pub at: Option<u32>,
    /// Its size in bytes; that of a string is not known in advance.
    pub len: u32,
    /// What it is.
    pub content: Content,
}

/// A resolved recipe: the layout, where filters find each field, and the expressions that are
/// part of it.
pub(super) struct Resolved {
    pub(super) layout: RecordLayout,
    pub(super) sources: Vec<FieldSource>,
    pub(super) texts: Vec<String>,
}

/// Resolves the fields of a payload. `recipes` has the expressions of a field of the kernel.
pub(super) fn resolve<'r, I: Iterator<Item = &'r FieldRecipe>>(
    written: &[Written],
    recipes: impl Fn(&str) -> I,
    resolver: &mut Resolver<'_>,
) -> Result<Resolved, String> {
    let mut record = Resolved {
        layout: RecordLayout { values: Vec::new() },
        sources: Vec::new(),
        texts: Vec::new(),
    };
    for field in written {
        let (len, content, source) = match &field.kernel {
            Some(name) => {
                let (text, content) = of_kernel(field.form, name, recipes(name), resolver)?;
                record.texts.push(format!("{name}={text}"));
                content
            }
            None => added(field.form)?,
        };
        record.layout.values.push(Value {
            at: field.at,
            len,
            content,
        });
        record.sources.push(source);
    }
    Ok(record)
}

type Part = (u32, Content, FieldSource);

/// A field of the kernel, by the first expression that can be resolved.
fn of_kernel<'r>(
    form: Form,
    name: &str,
    recipes: impl Iterator<Item = &'r FieldRecipe>,
    resolver: &mut Resolver<'_>,
) -> Result<(&'r str, Part), String> {
    let mut problem = format!("it has no field `{name}`");
    for FieldRecipe { text, expr, .. } in recipes {
        match part(form, expr, resolver) {
            Ok(part) => return Ok((text, part)),
            Err(reason) => problem = format!("`{name} = {text}`: {reason}"),
        }
    }
    Err(problem)
}

fn part(form: Form, expr: &Expr, resolver: &mut Resolver<'_>) -> Result<Part, String> {
    Ok(match form {
        Form::Number { bytes } => {
            let node = resolver.number(expr)?;
            let source = FieldSource::Computed(node.clone());
            (u32::from(bytes), stored(node, bytes), source)
        }
        Form::Priority => {
            let node = resolver.number(expr)?;
            // Filters see the kernel's value.
            let source = FieldSource::Computed(node.clone());
            let priority = Node::Binary {
                operator: Binary::Subtract,
                left: node.into(),
                right: Node::Constant(REALTIME_PRIORITIES.into()).into(),
                unsigned: false,
            };
            (4, stored(priority, 4), source)
        }
        Form::Bytes { len } => {
            let bytes = resolver.bytes(expr, len)?;
            let source = match &bytes {
                Bytes::At {
                    address, offset, ..
                } => FieldSource::ComputedText {
                    address: address.clone().plus(*offset),
                    len,
                },
                Bytes::Comm => FieldSource::Nowhere,
            };
            (len, Content::Bytes(bytes), source)
        }
        Form::String => {
            let text = resolver.text(expr)?;
            (0, Content::Text(text), FieldSource::Nowhere)
        }
        Form::Tid | Form::Pid | Form::OfRecord => {
            return Err("only the kernel's record has it".to_owned());
        }
    })
}

/// A field that the kernel's record lacks.
fn added(form: Form) -> Result<Part, String> {
    let current = match form {
        Form::Tid => Current::Tid,
        Form::Pid => Current::Pid,
        _ => return Err("only the kernel's record has it".to_owned()),
    };
    Ok((4, stored(Node::Current(current), 4), FieldSource::Nowhere))
}

fn stored(node: Node, bytes: u8) -> Content {
    Content::Number(node.stored_in(bytes * 8))
}
