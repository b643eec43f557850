//! The one error of this crate: what is wrong with a model file's tokenizer.

use std::fmt;

/// A tokenizer that cannot be built, in words that name what is wrong.
///
/// Whatever a file holds ends here and never in a panic: a panic in WebAssembly is a trap, which
/// takes the instance, and with it every model of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A file may hold any text, so what an error quotes of it is cut and escaped.
pub fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_none() { format!("{head:?}") } else { format!("{head:?}...") }
}
