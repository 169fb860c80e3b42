//! The filter language: conditions on events, as users of ftrace and perf know them.
//!
//! ```text
//! prev_prio < 100 && !(prev_comm ~ "kworker/*")
//! filename ~ '/etc/*' || (flags & 0x3) == 1
//! ctx.pid == 4711 && ret < 0
//! ```
//!
//! | part | meaning |
//! |---|---|
//! | `==` `!=` `<` `<=` `>` `>=` | a number (left) with a number (right); strings have `==` and `!=`, byte by byte |
//! | `~` | a string with a [pattern](crate::names::glob) of `*`, `?`, `[a-z]`, `[!a-z]`, as a whole |
//! | `flags & 0x40` | whether any of these bits is set |
//! | `(flags & 3) == 1` | these bits, without a sign |
//! | `&&` `\|\|` `!( )` `( )` | `&&` binds tighter than `\|\|` |
//! | `12` `-1` `0x1f` `017` | whole numbers within the range of what they are compared with |
//! | `7ns` `5us` `10ms` `1s` | a time, compared with the `duration` of a call |
//! | `"text"` `'text'` | `\` stands before a quote or another `\` |
//! | `prev_pid` | a field of the event; pointers, enumerations and single characters are numbers |
//! | `pid` `tid` `comm` `cpu` | process, thread, the thread's name, CPU of each event, unless the class has a field of that name |
//! | `uid` `cgroup` | user and cgroup (its number, version 2) of the thread, while the event fires; for a recorded event, if its class records them |
//! | `ctx.pid` | one of these contexts, whatever fields there are |
//!
//! A name is on the left and a literal on the right, so that a program can hold all that
//! a filter compares with as constants.
//!
//! Three steps, each a type: [`Filter`] is text with its [tree](Expr); [`Resolved`] is
//! typed and knows where in the events of one class its values lie; it
//! [looks](Resolved::matches) at the bytes of an event. [`FilterError`] shows the place in
//! the text.

mod error;
mod eval;
mod ids;
mod lexer;
mod parser;
mod resolve;
mod resolved;
mod split;
mod syntax;
mod time;
mod value_type;

use std::fmt;
use std::str::FromStr;

use self::resolve::{Names, Stage};
use crate::trace::event::EventClass;

pub use error::{FilterError, FilterProblem};
pub use eval::EventContext;
pub use ids::{IdSource, IdTest};
pub use resolved::{
    Condition, NumberSource, NumberTest, Resolved, TextCheck, TextSource, TextTest,
};
pub use split::probe_and_filter;
pub use syntax::{Expr, Literal, Name, Operator, Relation, Span, Spanned, Test};
pub use time::Time;
pub use value_type::{NumberType, ValueType};

/// A filter as typed. Displays as its text.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    expr: Expr,
}

impl Filter {
    /// Reads a filter. Names and types are looked at by [`resolve`](Self::resolve).
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let expr = parser::parse(text).map_err(|fault| FilterError::new(text, fault))?;
        Ok(Self {
            text: text.to_owned(),
            expr,
        })
    }

    /// What was typed, as a tree.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// The filter for the events of `class` that were recorded.
    ///
    /// # Errors
    /// If the class has no such field, or one of another type.
    pub fn resolve(&self, class: &EventClass) -> Result<Resolved, FilterError> {
        Ok(Resolved {
            class: class.id,
            condition: self.condition(class, Stage::Recorded)?,
        })
    }

    /// What has to be true of an event of `class` while it happens.
    ///
    /// # Errors
    /// As those of [`resolve`](Self::resolve).
    pub fn condition_of(&self, class: &EventClass) -> Result<Condition, FilterError> {
        self.condition(class, Stage::InKernel)
    }

    fn condition(&self, class: &EventClass, stage: Stage) -> Result<Condition, FilterError> {
        resolve::resolve(&self.expr, &Names { class, stage })
            .map_err(|fault| FilterError::new(&self.text, fault))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
