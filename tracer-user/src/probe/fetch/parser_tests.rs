//! Fetch lists as typed and as understood.

use proptest::prelude::*;

use super::*;
use crate::probe::fetch::syntax::Style;
use crate::probe::fetch::{FetchError, FetchList};

fn shown(text: &str) -> String {
    FetchList::parse(text).unwrap().to_string()
}

fn refused(text: &str) -> FetchError {
    FetchList::parse(text).unwrap_err()
}

#[test]
fn blanks_do_not_matter() {
    assert_eq!(
        shown(" path -> dentry.d_name . name : str,file->f_flags:x32 , x = a [ 3 ]"),
        "path->dentry.d_name.name:str, file->f_flags:x32, x=a[3]"
    );
}

#[test]
fn a_name_in_parentheses_is_a_type_if_a_value_follows() {
    let is_cast = |text: &str| {
        let list = FetchList::parse(text).unwrap();
        matches!(list.items()[0].expr, Expr::Cast { .. })
    };
    assert!(is_cast("(u32)a"));
    assert!(is_cast("(u32)*a"));
    assert!(is_cast("(sock_t *)(a)"));
    assert!(is_cast("(unsigned long)a"));
    assert!(!is_cast("(a)"));
    assert!(!is_cast("(a)->b"));
    assert!(!is_cast("(a)[1]"));
}

#[test]
fn a_cast_binds_less_than_a_step() {
    assert_eq!(shown("((struct sock*)sk)->x"), "((struct sock *)sk)->x");
    assert_eq!(shown("(struct sock*)(sk->x)"), "(struct sock *)sk->x");
    assert_eq!(shown("*((a)).b"), "*a.b");
    assert_eq!(shown("(*a).b"), "(*a).b");
}

#[test]
fn types_of_c_have_their_words_in_any_order() {
    assert_eq!(
        shown("(long unsigned)a, (unsigned long int)a, (const char*)a, (bool)a, (short)a"),
        "(long unsigned int)a, (long unsigned int)a, (char *)a, (_Bool)a, (short int)a"
    );
    assert_eq!(shown("(struct a __user*)b"), "(struct a __user *)b");
    for text in [
        "(long short)a",
        "(struct int)a",
        "(u32 u32)a",
        "(long u32)a",
    ] {
        assert_eq!(*refused(text).problem(), FetchProblem::TypeWords, "{text}");
    }
}

#[test]
fn str_as_a_call_is_a_format() {
    assert_eq!(shown("str(arg0), n=str(*a)"), "arg0:str, n=*a:str");
    assert_eq!(shown("str->a"), "str->a");
}

#[test]
fn formats_have_a_letter_and_a_size() {
    assert_eq!(
        shown("a:d, a:s8, a:d16, a:u32, a:x64, a:o, a:x, a:u, a:ustr"),
        "a:d, a:s8, a:s16, a:u32, a:x64, a:o, a:x, a:u, a:ustr"
    );
    for format in ["x7", "y", "x128", "sym", "strx", "é"] {
        refused(&format!("a:{format}"));
    }
}

#[test]
fn the_place_of_a_mistake_is_marked() {
    assert_eq!(
        refused("a->b, c->*").to_string(),
        "expected the name of a member, found `*`\n  a->b, c->*\n           ^"
    );
    assert_eq!(
        refused("a, (b").to_string(),
        "unclosed parenthesis; add a `)`\n  a, (b\n     ^"
    );
}

#[test]
fn missing_parts_are_reported() {
    assert_eq!(*refused(" ").problem(), FetchProblem::Empty);
    for text in [
        "a,",
        ",a",
        "a b",
        "a=",
        "a:",
        "a[",
        "a[x]",
        "a[1",
        "()",
        "(struct)a",
        "a)",
    ] {
        assert!(
            matches!(refused(text).problem(), FetchProblem::Expected { .. }),
            "{text}: {}",
            refused(text)
        );
    }
    assert_eq!(
        *refused("a[4294967296]").problem(),
        FetchProblem::Number("4294967296".into())
    );
    assert_eq!(*refused("a+1").problem(), FetchProblem::Character('+'));
}

#[test]
fn no_list_is_too_long_or_too_deep() {
    assert!(FetchList::parse(&vec!["a"; MAX_FETCHED].join(",")).is_ok());
    let long = vec!["a"; MAX_FETCHED + 1].join(",");
    assert_eq!(*refused(&long).problem(), FetchProblem::TooMany);
    for step in ["*", "(", "&", "(u8)"] {
        let deep = format!("{}a", step.repeat(100_000));
        assert_eq!(*refused(&deep).problem(), FetchProblem::TooDeep(MAX_DEPTH));
    }
    let deep = format!("a{}", "->b".repeat(100_000));
    assert_eq!(*refused(&deep).problem(), FetchProblem::TooDeep(MAX_DEPTH));
}

#[test]
fn fields_are_called_like_their_way() {
    let name = |text: &str| FetchList::parse(text).unwrap().items()[0].expr.field_name();
    assert_eq!(
        name("path->dentry->d_name.name:str"),
        "path_dentry_d_name_name"
    );
    assert_eq!(name("*((struct a *)&b)->c[3]"), "b_c_3");
}

fn names() -> impl Strategy<Value = Spanned<String>> {
    "[a-w][a-z0-9_]{0,5}z".prop_map(Into::into)
}

fn types() -> impl Strategy<Value = Spanned<TypeName>> {
    let tags = prop_oneof![
        Just(Tag::Struct),
        Just(Tag::Union),
        Just(Tag::Enum),
        Just(Tag::Plain)
    ];
    let tagged = (tags, names().prop_map(|name| name.value));
    let plain = prop_oneof![Just("long unsigned int"), Just("char"), Just("void")]
        .prop_map(|name| (Tag::Plain, name.to_owned()));
    (prop_oneof![tagged, plain], 0_u8..4, any::<bool>()).prop_map(
        |((tag, name), pointers, user)| {
            TypeName {
                tag,
                name,
                pointers,
                user,
            }
            .into()
        },
    )
}

fn expressions() -> impl Strategy<Value = Expr> {
    names()
        .prop_map(Expr::Name)
        .prop_recursive(12, 12, 1, |of| {
            let of = of.prop_map(Box::new);
            let sign = Spanned::from(());
            prop_oneof![
                (of.clone(), any::<bool>(), names()).prop_map(|(of, arrow, name)| Expr::Member {
                    of,
                    arrow,
                    name
                }),
                (of.clone(), any::<u32>()).prop_map(|(of, index)| Expr::Index {
                    of,
                    index: index.into()
                }),
                of.clone().prop_map(move |of| Expr::Deref { of, sign }),
                of.clone().prop_map(move |of| Expr::AddressOf { of, sign }),
                (types(), of).prop_map(|(ty, of)| Expr::Cast { ty, of }),
            ]
        })
}

fn formats() -> impl Strategy<Value = Spanned<Format>> {
    let styles = prop_oneof![
        Just(Style::Signed),
        Just(Style::Unsigned),
        Just(Style::Hexadecimal),
        Just(Style::Octal)
    ];
    let bits = prop_oneof![Just(None), Just(Some(8)), Just(Some(64))];
    prop_oneof![
        Just(Format::String(Memory::Kernel)),
        Just(Format::String(Memory::User)),
        (styles, bits).prop_map(|(style, bits)| Format::Number { style, bits }),
    ]
    .prop_map(Into::into)
}

proptest! {
    #[test]
    fn what_is_shown_is_understood_alike(
        items in prop::collection::vec(
            (prop::option::of(names()), expressions(), prop::option::of(formats()))
                .prop_map(|(name, expr, format)| Item { name, expr, format }),
            1..4,
        )
    ) {
        let text: Vec<String> = items.iter().map(ToString::to_string).collect();
        let list = FetchList::parse(&text.join(", ")).unwrap();
        prop_assert_eq!(list.items(), items.as_slice());
        prop_assert_eq!(list.to_string(), text.join(", "));
    }

    #[test]
    fn no_text_is_a_panic(text in r"[a-c0-9 ()\[\]*&:,.=>\-é]{0,40}|.{0,20}") {
        match FetchList::parse(&text) {
            Ok(list) => prop_assert_eq!(FetchList::parse(&list.to_string()), Ok(list)),
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 3),
        }
    }
}
