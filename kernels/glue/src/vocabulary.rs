//! What each token id stands for in bytes: all that decoding needs.

use crate::byte_alphabet;
use crate::error::{Error, Result, quoted};
use crate::source::{Source, TokenKind};

/// SentencePiece's spelling of a space, U+2581.
pub const SPACE_MARK: char = '\u{2581}';

/// How a vocabulary spells bytes in its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// GPT-2's byte alphabet.
    ByteLevel,
    /// Text with `▁` for a space, and `<0xNN>` tokens for single bytes.
    SentencePiece,
}

pub struct Vocabulary {
    bytes: Vec<u8>,
    /// `bytes[ends[id - 1]..ends[id]]` is what `id` stands for.
    ends: Vec<u32>,
    kinds: Vec<TokenKind>,
}

impl Vocabulary {
    pub fn new(source: &Source, spelling: Spelling) -> Result<Self> {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(source.tokens.len());
        for (token, &kind) in source.tokens.iter().zip(&source.kinds) {
            bytes.extend_from_slice(&token_bytes(token, kind, spelling)?);
            ends.push(bytes.len() as u32);
        }
        Ok(Self { bytes, ends, kinds: source.kinds.clone() })
    }

    pub fn token_count(&self) -> usize {
        self.ends.len()
    }

    /// `None` for an id outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        let end = *self.ends.get(id as usize)? as usize;
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] as usize };
        Some(&self.bytes[start..end])
    }

    pub fn kind(&self, id: u32) -> Option<TokenKind> {
        self.kinds.get(id as usize).copied()
    }

    /// What `id` adds to a text: nothing if it is special and `skip_special` is set, and nothing if
    /// it is no token at all (a model's output layer may be padded past its vocabulary).
    pub fn text_bytes(&self, id: u32, skip_special: bool) -> &[u8] {
        if skip_special && self.kind(id).is_some_and(TokenKind::is_special) {
            return &[];
        }
        self.token_bytes(id).unwrap_or(&[])
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            bytes.extend_from_slice(self.text_bytes(id, skip_special));
        }
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        }
    }
}

fn token_bytes(token: &str, kind: TokenKind, spelling: Spelling) -> Result<Vec<u8>> {
    // Added tokens are written as the text they are, whatever the vocabulary's spelling.
    if kind.is_special() || kind == TokenKind::UserDefined {
        return Ok(token.as_bytes().to_vec());
    }
    match spelling {
        // A token outside the alphabet can only be padding; it stands for its own name.
        Spelling::ByteLevel => {
            Ok(byte_alphabet::decode(token).unwrap_or_else(|| token.as_bytes().to_vec()))
        }
        Spelling::SentencePiece if kind == TokenKind::Byte => match byte_of(token) {
            Some(byte) => Ok(vec![byte]),
            None => {
                let text = quoted(token);
                Err(Error::new(format!(
                    "Cannot read the tokenizer: byte token {text} names no byte"
                )))
            }
        },
        Spelling::SentencePiece => Ok(token.replace(SPACE_MARK, " ").into_bytes()),
    }
}

/// The byte of a token of the form `<0x0A>`.
pub fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    // `from_str_radix` alone would take "+A".
    let is_hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { u8::from_str_radix(digits, 16).ok() } else { None }
}
