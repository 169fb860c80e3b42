use super::*;
use crate::probe::filter::syntax::Relation;

fn parsed(text: &str) -> Expr {
    parse(text).unwrap_or_else(|fault| panic!("{text}: {}", fault.problem))
}

/// The problem, and the part of the text that it is about.
fn refused(text: &str) -> (FilterProblem, &str) {
    match parse(text) {
        Ok(expr) => panic!("{text}: {expr:?}"),
        Err(Fault { span, problem }) => (*problem, &text[span.start..span.end]),
    }
}

fn number(name: &str, relation: Relation, number: i128) -> Expr {
    Expr::Test(Test::Compare {
        name: Name::Plain(name.into()).into(),
        mask: None,
        operator: Operator::Relation(relation).into(),
        literal: Literal::Number(number).into(),
    })
}

fn is_one(name: &str) -> Expr {
    number(name, Relation::Equal, 1)
}

fn bits(name: &str, mask: i128) -> Expr {
    Expr::Test(Test::Bits {
        name: Name::Plain(name.into()).into(),
        mask: mask.into(),
    })
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

#[test]
fn comparisons_have_a_name_and_a_literal() {
    assert_eq!(parsed("pid==1"), is_one("pid"));
    assert_eq!(
        parsed("ret >= -4"),
        number("ret", Relation::GreaterOrEqual, -4)
    );
    let expected = Expr::Test(Test::Compare {
        name: Name::Context("comm".into()).into(),
        mask: None,
        operator: Operator::Glob.into(),
        literal: Literal::Text("chrom*".into()).into(),
    });
    assert_eq!(parsed("ctx.comm ~ 'chrom*'"), expected);
}

#[test]
fn bits_are_a_condition_or_are_compared() {
    assert_eq!(parsed("flags & 0x40"), bits("flags", 0x40));
    assert_eq!(parsed("((flags & 0x40))"), bits("flags", 0x40));
    let expected = Expr::Test(Test::Compare {
        name: Name::Plain("flags".into()).into(),
        mask: Some(3.into()),
        operator: Operator::Relation(Relation::Equal).into(),
        literal: Literal::Number(1).into(),
    });
    assert_eq!(parsed("(flags & 3) == 1"), expected);
}

#[test]
fn and_binds_tighter_than_or() {
    let both = Expr::All(vec![is_one("a"), is_one("b")]);
    let expected = Expr::Any(vec![both, is_one("c")]);
    assert_eq!(parsed("a == 1 && b == 1 || c == 1"), expected);
    assert_eq!(parsed("(a == 1 && b == 1) || c == 1"), expected);
}

#[test]
fn parentheses_join_first() {
    let either = Expr::Any(vec![is_one("a"), is_one("b")]);
    let expected = Expr::All(vec![either, is_one("c")]);
    assert_eq!(parsed("(a == 1 || b == 1) && c == 1"), expected);
}

#[test]
fn a_row_of_joins_is_one_level() {
    let expected = Expr::All(vec![is_one("a"), is_one("b"), is_one("c")]);
    assert_eq!(parsed("a == 1 && b == 1 && c == 1"), expected);
}

#[test]
fn not_stands_before_parentheses() {
    assert_eq!(parsed("!(a == 1)"), not(is_one("a")));
    assert_eq!(parsed("! !(a == 1)"), not(not(is_one("a"))));
    assert_eq!(refused("!a == 1"), (FilterProblem::BareNot, "a"));
}

#[test]
fn blanks_mean_nothing() {
    assert_eq!(parsed(" a==1&&!( b&1 ) "), parsed("a == 1 && !(b & 1)"));
}

#[test]
fn what_is_parsed_is_shown() {
    for (text, shown) in [
        ("a==0x10", "a == 16"),
        ("(a&3)==1", "(a & 0x3) == 1"),
        ("!(a & 1)", "!(a & 0x1)"),
        ("a ~ 'say \"\\\\'", r#"a ~ "say \"\\""#),
        ("(a==1||b==1)&&!!(c==1)", "(a == 1 || b == 1) && !!(c == 1)"),
        ("(a==1&&b==1)&&c==1", "(a == 1 && b == 1) && c == 1"),
        ("(a==1&&b==1)||c==1", "a == 1 && b == 1 || c == 1"),
    ] {
        assert_eq!(parsed(text).to_string(), shown);
    }
}

#[test]
fn spans_are_those_of_the_text() {
    let text = "pid == 1 && (flags & 0x3) != 2";
    let Expr::All(parts) = parsed(text) else {
        panic!("two conditions expected");
    };
    let Some(Expr::Test(Test::Compare {
        name,
        mask: Some(mask),
        operator,
        literal,
    })) = parts.get(1)
    else {
        panic!("a comparison of bits expected");
    };
    let spans = [name.span, mask.span, operator.span, literal.span];
    assert_eq!(
        spans.map(|span| &text[span.start..span.end]),
        ["flags", "0x3", "!=", "2"]
    );
}

#[test]
fn nothing_is_no_filter() {
    assert_eq!(refused(""), (FilterProblem::Empty, ""));
    assert_eq!(refused(" \n"), (FilterProblem::Empty, ""));
}

#[test]
fn a_missing_operand_is_named() {
    let expected = |text, expected, after: &str, found: &str, at| {
        let problem = FilterProblem::Expected {
            expected,
            after: (!after.is_empty()).then(|| after.to_owned()),
            found: found.to_owned(),
        };
        assert_eq!(refused(text), (problem, at), "{text}");
    };
    expected("a ==", "a number or a string", "==", "the end", "");
    expected("a == && b", "a number or a string", "==", "`&&`", "&&");
    expected("a == 1 &&", "a condition", "&&", "the end", "");
    expected("== 1", "a condition", "", "`==`", "==");
    expected("()", "a condition", "(", "`)`", ")");
    expected("a & b", "a number", "&", "`b`", "b");
    expected("a 1", "a comparison", "a", "`1`", "1");
    expected("a == 1 b == 1", "`&&`, `||` or the end", "1", "`b`", "b");
    expected("(a == 1 b", "`)`, `&&` or `||`", "1", "`b`", "b");
    expected("!1", "`(`", "!", "`1`", "1");
}

#[test]
fn a_name_alone_is_refused() {
    for text in ["a", "(a)", "a && b == 1", "b == 1 || a"] {
        assert_eq!(refused(text), (FilterProblem::NameAlone("a".into()), "a"));
    }
}

#[test]
fn sides_of_a_comparison_are_not_swapped() {
    assert_eq!(
        refused("1 < a"),
        (FilterProblem::LiteralOnTheLeft("1".into()), "1")
    );
    assert_eq!(
        refused("comm == bash"),
        (FilterProblem::NameOnTheRight("bash".into()), "bash")
    );
}

#[test]
fn chains_of_comparisons_are_refused() {
    assert_eq!(refused("a < b <= c"), (FilterProblem::Chained, "<="));
    assert_eq!(refused("a < 1 == 1"), (FilterProblem::Chained, "=="));
    assert_eq!(refused("(a < 1) != 1"), (FilterProblem::Chained, "!="));
    assert_eq!(refused("(a & 3) == 1 == 1"), (FilterProblem::Chained, "=="));
    assert_eq!(refused("!(a & 3) == 1"), (FilterProblem::Chained, "=="));
}

#[test]
fn a_mask_without_parentheses_is_refused() {
    assert_eq!(refused("a & 3 == 1"), (FilterProblem::BareMask, "a & 3 =="));
    assert_eq!(refused("a == 1 & 3"), (FilterProblem::BareMask, "a == 1 &"));
}

#[test]
fn parentheses_come_in_pairs() {
    assert_eq!(refused("a == 1 && (b == 1"), (FilterProblem::Unclosed, "("));
    assert_eq!(refused("a == 1)"), (FilterProblem::Unopened, ")"));
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: u32, open: &str, close: &str| {
        let times = |text: &str| text.repeat(depth as usize);
        format!("{}a == 1{}", times(open), times(close))
    };
    for (open, close) in [("(", ")"), ("!(", ")")] {
        parsed(&nested(MAX_DEPTH, open, close));
        let too_deep = nested(MAX_DEPTH + 1, open, close);
        let (problem, _) = refused(&too_deep);
        assert_eq!(problem, FilterProblem::TooDeep(MAX_DEPTH));
    }
}

#[test]
fn parentheses_beside_each_other_are_not_nested() {
    let parts = vec!["(a == 1)"; 2 * MAX_DEPTH as usize];
    parsed(&parts.join(" && "));
}

#[test]
fn what_is_shown_is_as_deep_as_what_was_typed() {
    let depth = MAX_DEPTH as usize;
    let text = format!(
        "{}(a == 1){}",
        "!(".repeat(depth - 1),
        ")".repeat(depth - 1)
    );
    let expr = parsed(&text);
    assert_eq!(parsed(&expr.to_string()), expr);
}
