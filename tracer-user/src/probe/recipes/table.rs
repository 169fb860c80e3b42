//! The recipes that come with the tracer, from files by subsystem.
//!
//! ```text
//! # comment
//! sched:sched_wakeup
//!     comm = p->comm
//!     pid = p->pid
//!     target_cpu = p->thread_info.cpu
//! ```
//!
//! An event is followed by its fields, one on each indented line. A line that ends with `\` goes
//! on in the next one. A recipe may list fields that only some kernels have, and a field several
//! times: the first expression that the kernel's types allow counts. An event can have several
//! recipes: the first that covers all fields counts.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::probe::recipes::parser::parse;
use crate::probe::recipes::syntax::Expr;

/// The files.
const FILES: &[(&str, &str)] = &[
    ("block.recipes", include_str!("block.recipes")),
    ("btrfs.recipes", include_str!("btrfs.recipes")),
    ("dma.recipes", include_str!("dma.recipes")),
    ("ext4.recipes", include_str!("ext4.recipes")),
    ("fs.recipes", include_str!("fs.recipes")),
    ("irq.recipes", include_str!("irq.recipes")),
    ("kmem.recipes", include_str!("kmem.recipes")),
    ("kvm.recipes", include_str!("kvm.recipes")),
    ("lock.recipes", include_str!("lock.recipes")),
    ("misc.recipes", include_str!("misc.recipes")),
    ("mmap.recipes", include_str!("mmap.recipes")),
    ("net.recipes", include_str!("net.recipes")),
    ("power.recipes", include_str!("power.recipes")),
    ("sched.recipes", include_str!("sched.recipes")),
    ("timer.recipes", include_str!("timer.recipes")),
    ("vmscan.recipes", include_str!("vmscan.recipes")),
    ("workqueue.recipes", include_str!("workqueue.recipes")),
    ("writeback.recipes", include_str!("writeback.recipes")),
    ("xfs.recipes", include_str!("xfs.recipes")),
];

/// A recipe of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    fields: Vec<FieldRecipe>,
}

/// How a field of an event is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldRecipe {
    pub(super) name: String,
    /// The expression as it was typed.
    pub(super) text: String,
    pub(super) expr: Expr,
}

impl Recipe {
    /// The expressions of a field, the preferred one first.
    pub(super) fn of_field(&self, name: &str) -> impl Iterator<Item = &FieldRecipe> {
        self.fields.iter().filter(move |field| field.name == name)
    }
}

type Recipes = HashMap<String, Vec<Recipe>>;

/// The recipes of an event, the preferred one first.
pub(super) fn of_event(system: &str, name: &str) -> &'static [Recipe] {
    static TABLE: OnceLock<Recipes> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table = Recipes::new();
        for (file, text) in FILES {
            if let Err(error) = read(text, &mut table) {
                log::warn!("{file}: {error}");
            }
        }
        table
    });
    table
        .get(&format!("{system}:{name}"))
        .map_or(&[], Vec::as_slice)
}

/// Adds the recipes of a file to `table`.
fn read(text: &str, table: &mut Recipes) -> Result<(), String> {
    let mut event: Option<(String, Recipe)> = None;
    let mut begun = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at_line = |problem: &str| format!("line {number}: {problem}");
        if line.trim_start().starts_with('#') || (line.trim().is_empty() && begun.is_empty()) {
            continue;
        }
        if let Some(part) = line.strip_suffix('\\') {
            begun.push_str(part);
            continue;
        }
        let line = std::mem::take(&mut begun) + line;
        if !line.starts_with(char::is_whitespace) {
            finish(event.take(), table);
            let name = line.trim();
            if !name.contains(':') || name.contains(char::is_whitespace) {
                return Err(at_line("an event is named as `SYSTEM:NAME`"));
            }
            event = Some((name.to_owned(), Recipe::default()));
            continue;
        }
        let (name, text) = line
            .split_once('=')
            .ok_or_else(|| at_line("a field is `name = expression`"))?;
        let (name, text) = (name.trim().to_owned(), text.trim().to_owned());
        let expr = parse(&text).map_err(|problem| at_line(&problem))?;
        let (_, recipe) = event
            .as_mut()
            .ok_or_else(|| at_line("a field before the first event"))?;
        recipe.fields.push(FieldRecipe { name, text, expr });
    }
    finish(event, table);
    Ok(())
}

fn finish(event: Option<(String, Recipe)>, table: &mut Recipes) {
    if let Some((name, recipe)) = event {
        table.entry(name).or_default().push(recipe);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn all_files_are_included_and_parse() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/recipes");
        let mut known: HashSet<&str> = FILES.iter().map(|(name, _)| *name).collect();
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                !name.ends_with(".recipes") || known.remove(name.as_str()),
                "`{name}` is not in the list of files"
            );
        }
        let mut table = Recipes::new();
        for (name, text) in FILES {
            read(text, &mut table).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(table.contains_key("sched:sched_wakeup"));
    }

    #[test]
    fn a_file_lists_events_with_their_fields() {
        let text = "# a comment\na:b\n    x = p->x\n    x = p->y\n\n    z = 1 + \\\n        2\n\
                    a:b\n    x = 0\n";
        let mut table = Recipes::new();
        read(text, &mut table).unwrap();
        let [first, second] = table["a:b"].as_slice() else {
            panic!("two recipes expected");
        };
        let texts = |recipe: &Recipe, name| {
            let fields = recipe.of_field(name);
            fields.map(|field| field.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(first, "x"), ["p->x", "p->y"]);
        assert_eq!(texts(first, "z").len(), 1);
        assert_eq!(texts(second, "x"), ["0"]);
    }

    #[test]
    fn lines_that_make_no_sense_are_refused_with_their_number() {
        for (text, expected) in [
            ("    a = 1\n", "line 1: a field before the first event"),
            ("a b\n", "line 1: an event is named as `SYSTEM:NAME`"),
            ("a:b\n  c\n", "line 2: a field is `name = expression`"),
            ("a:b\n  c = 1 +\n", "line 2: a name expected at the end"),
        ] {
            assert_eq!(read(text, &mut Recipes::new()).unwrap_err(), expected);
        }
    }
}
