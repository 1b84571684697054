//! Rust as far as its structure needs it: words and signs with their lines, without comments and literals, and without
//! what only tests compile.

/// A word, or a sign.
#[derive(Clone)]
pub struct Token {
    pub text: String,
    /// From 1.
    pub line: usize,
}

/// The tokens of a file.
pub fn tokens(source: &str) -> Vec<Token> {
    let all: Vec<Token> = Scanner { rest: source, line: 1 }.collect();
    let (mut kept, mut rest) = (Vec::new(), &all[..]);
    while let Some((token, after)) = rest.split_first() {
        if is_tests(rest) {
            rest = &rest[item(rest).len()..];
        } else {
            kept.push(token.clone());
            rest = after;
        }
    }
    kept
}

/// Whether these begin with `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_tests(tokens: &[Token]) -> bool {
    let begins =
        |mark: &[&str]| tokens.iter().map(|token| &*token.text).take(mark.len()).eq(mark.iter().copied());
    begins(&["#", "[", "cfg", "(", "test"]) || begins(&["#", "[", "cfg", "(", "all", "(", "test"])
}

/// The item that these begin with, from its attributes on: it ends with its braces, or at a semicolon.
pub fn item(tokens: &[Token]) -> &[Token] {
    let mut depth = 0;
    let ends = |token: &Token| match &*token.text {
        "(" | "[" | "{" => {
            depth += 1;
            false
        }
        ")" | "]" | "}" => {
            depth -= 1;
            token.text == "}" && depth == 0
        }
        sign => sign == ";" && depth == 0,
    };
    tokens.iter().position(ends).map_or(tokens, |end| &tokens[..=end])
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Scanner<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        while let bytes @ 1.. = void(self.rest) {
            self.take(bytes);
        }
        let line = self.line;
        let sign = if self.rest.starts_with("::") { 2 } else { self.rest.chars().next()?.len_utf8() };
        let text = self.take(word(self.rest).max(sign)).to_owned();
        Some(Token { text, line })
    }
}

impl<'a> Scanner<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

/// The bytes of what comes next and is no token: a space, a comment, a literal, a lifetime.
fn void(rest: &str) -> usize {
    match rest.as_bytes() {
        [space, ..] if space.is_ascii_whitespace() => 1,
        [b'/', b'/', ..] => upto(rest, "\n"),
        [b'/', b'*', ..] => upto(rest, "*/"),
        [b'"', ..] => string(rest),
        [b'r', b'"' | b'#', ..] => raw(rest),
        [b'b', b'r', b'"' | b'#', ..] => 1 + raw(&rest[1..]),
        [b'\'', ..] => character(rest),
        _ => 0,
    }
}

fn upto(rest: &str, end: &str) -> usize {
    rest.find(end).map_or(rest.len(), |at| at + end.len())
}

fn word(rest: &str) -> usize {
    rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len())
}

fn string(rest: &str) -> usize {
    let mut escaped = true;
    let end = rest.find(|char| {
        let ends = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |at| at + 1)
}

/// A raw literal; of a raw identifier the mark alone.
fn raw(rest: &str) -> usize {
    let body = 1 + rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    match rest[body..].strip_prefix('"') {
        Some(text) => body + 1 + upto(text, &format!("\"{}", &rest[1..body])),
        None => body,
    }
}

/// A character, or a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => 3 + upto(&rest[3..], "'"),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1 + word(&rest[1..]),
    }
}

#[test]
fn only_what_programs_compile_of_is_read() {
    let source = r####"
        use a::b; // "c"
        /* fn d() */ const E: &str = "\"fn f()", G: &[u8] = br#"h"i"#, J: char = '"', K: char = '\'';
        #[cfg(test)]
        #[path = "l.rs"]
        mod l { fn m() {} }
        #[cfg(test)] fn n() -> o<p, q> {} fn r<'s>() { t }
    "####;
    let tokens = tokens(source);
    let texts: Vec<&str> = tokens.iter().map(|token| &*token.text).collect();
    let kept =
        "use a :: b ; const E : & str = , G : & [ u8 ] = , J : char = , K : char = ; fn r < > ( ) { t }";
    assert_eq!(texts.join(" "), kept);
    assert_eq!(tokens.last().map(|token| token.line), Some(7));
}
