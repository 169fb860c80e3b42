//! BTF, looked at as those who ask for types do.

use std::sync::Arc;

use tracer::kernel::btf::{Btf, Kind, NameKind, Type};
use tracer::probe::fetch::{FetchList, Scope};

use crate::subjects::{Outcome, Subject};

/// Types of the C compiler's own making.
pub(crate) const SAMPLE: &[u8] = include_bytes!("../../corpus/btf/accepted-types.btf");

/// Types that are looked at of one input: more are like those.
const MOST: usize = 64;

pub(crate) const SUBJECT: Subject = Subject {
    name: "btf",
    tokens: &[
        "\x01\0\0\0",
        "\0\0\0\0",
        "\x01\0\0\x01",
        "\0\0\0\x02",
        "\0\0\0\x03",
        "\x02\0\0\x04",
        "\x02\0\0\x05",
        "\x02\0\0\x06",
        "\0\0\0\x07",
        "\0\0\0\x08",
        "\0\0\0\x0a",
        "\0\0\0\x0c",
        "\x01\0\0\x0d",
        "\0\0\0\x0e",
        "\0\0\0\x10",
        "\0\0\0\x12",
        "\x02\0\0\x13",
        "\0\0\0\x1f",
        "\x04\0\0\0",
        "\x08\0\0\0",
        "\x20\0\0\0",
        "\x40\0\0\0",
        "\0\0\0\0int\0",
        "\x05\0\0\0\0\0\0\x02\x05\0\0\0",
    ],
    default_runs: 500,
    run,
};

fn run(bytes: &[u8]) -> Outcome {
    // As the BTF of a module, whatever stands in it counts from the kernel's.
    let kernel = Btf::parse(SAMPLE.to_vec(), None).expect("BTF of the corpus");
    if let Ok(module) = Btf::parse(bytes.to_vec(), Some(Arc::new(kernel))) {
        look(&module);
    }
    match Btf::parse(bytes.to_vec(), None) {
        Ok(btf) => {
            look(&btf);
            Outcome::Accepted
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Outcome::Refused
        }
    }
}

fn look(btf: &Btf) {
    for id in btf.ids().take(MOST) {
        look_at(btf, btf.get(id));
    }
    let _ = btf.find(NameKind::Struct, "file");
    assert!(matches!(btf.get(u32::MAX).kind(), Kind::Void));
}

fn look_at(btf: &Btf, ty: Type<'_>) {
    assert!(!ty.to_string().is_empty());
    let stripped = ty.stripped();
    assert_eq!(stripped.stripped().id(), stripped.id());
    let _ = ty.size();
    match ty.kind() {
        Kind::Composite(composite) => {
            let members: Vec<_> = composite.unfolded().take(MOST).collect();
            let tag = if composite.is_union() {
                "union"
            } else {
                "struct"
            };
            for member in members {
                assert!(!member.name.is_empty());
                fetch(
                    btf,
                    &format!("(({tag} {} *)arg0)->{}", ty.name(), member.name),
                );
            }
        }
        Kind::Enum(enumeration) => {
            let _ = enumeration.enumerators().take(MOST).count();
            fetch(btf, &format!("*(enum {} *)arg0", ty.name()));
        }
        Kind::Prototype(prototype) => {
            drop(prototype.returned().to_string());
            for argument in prototype.arguments().take(MOST) {
                drop(argument.ty.to_string());
            }
        }
        Kind::Typedef(_) => fetch(btf, &format!("*({} *)arg0", ty.name())),
        _ => {}
    }
}

/// A way that leads through these types, where its names can be typed.
fn fetch(btf: &Btf, text: &str) {
    let followed = [
        format!("*{text}"),
        format!("{text}[1]"),
        format!("{text}:str"),
    ];
    for text in std::iter::once(text.to_owned()).chain(followed) {
        if let Ok(list) = FetchList::parse(&text)
            && let Err(error) = list.resolve(&Scope::instruction(Some(btf)))
        {
            assert!(!error.to_string().is_empty());
        }
    }
}
