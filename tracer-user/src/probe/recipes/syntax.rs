//! The syntax tree of an expression of a recipe.

/// An expression, before names and types are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    /// `p`: an argument of the tracepoint.
    Name(String),
    /// `$tid`: a property of the current thread or of the CPU.
    Special(String),
    /// `0x10`.
    Number(i64),
    /// `"text"`.
    Text(String),
    /// `of->name`, `of.name`.
    Member(Box<Expr>, String),
    /// `of[3]`.
    Element(Box<Expr>, Box<Expr>),
    /// `*of`.
    Deref(Box<Expr>),
    /// `&of`.
    AddressOf(Box<Expr>),
    /// `(TYPE)of`; the type as text.
    Cast(String, Box<Expr>),
    /// `-of`, `~of`, `!of`.
    Unary(Unary, Box<Expr>),
    /// `left OP right`.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `condition ? then : otherwise`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `container_of(pointer, struct s, member)`: structure and path of members.
    ContainerOf(Box<Expr>, String, Vec<String>),
    /// `sizeof(TYPE)`.
    SizeOf(String),
    /// `name(arguments)`: a function of recipes.
    Call(String, Vec<Expr>),
}

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `-`.
    Negate,
    /// `~`.
    Invert,
    /// `!`.
    Not,
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `*`.
    Multiply,
    /// `/`, of numbers without a sign.
    Divide,
    /// `%`, of numbers without a sign.
    Remainder,
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `<<`.
    ShiftLeft,
    /// `>>`.
    ShiftRight,
    /// `&`.
    And,
    /// `^`.
    Xor,
    /// `|`.
    Or,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `&&`.
    Both,
    /// `||`.
    Either,
}

impl Binary {
    /// Its sign in C, and how tightly it binds.
    pub(super) const ALL: [(&'static str, Self, u8); 18] = [
        ("<<", Self::ShiftLeft, 8),
        (">>", Self::ShiftRight, 8),
        ("<=", Self::LessOrEqual, 7),
        (">=", Self::GreaterOrEqual, 7),
        ("==", Self::Equal, 6),
        ("!=", Self::NotEqual, 6),
        ("&&", Self::Both, 2),
        ("||", Self::Either, 1),
        ("*", Self::Multiply, 10),
        ("/", Self::Divide, 10),
        ("%", Self::Remainder, 10),
        ("+", Self::Add, 9),
        ("-", Self::Subtract, 9),
        ("<", Self::Less, 7),
        (">", Self::Greater, 7),
        ("&", Self::And, 5),
        ("^", Self::Xor, 4),
        ("|", Self::Or, 3),
    ];

    /// Its result is 0 or 1.
    pub(super) const fn is_condition(self) -> bool {
        matches!(
            self,
            Self::Less
                | Self::LessOrEqual
                | Self::Greater
                | Self::GreaterOrEqual
                | Self::Equal
                | Self::NotEqual
                | Self::Both
                | Self::Either
        )
    }
}
