//! Turns a stream of token ids into text that never splits a character.

use std::rc::Rc;

use crate::vocabulary::Vocabulary;

/// Text for tokens as they come. All it gives, joined, is `Vocabulary::decode` of all the ids.
pub struct Detokenizer {
    vocabulary: Rc<Vocabulary>,
    skip_special: bool,
    /// The start of a character whose rest has not come; at most 3 bytes between calls.
    pending: Vec<u8>,
}

impl Detokenizer {
    pub fn new(vocabulary: Rc<Vocabulary>, skip_special: bool) -> Self {
        Self { vocabulary, skip_special, pending: Vec::new() }
    }

    /// The text that `ids` complete.
    pub fn push(&mut self, ids: &[u32]) -> String {
        let mut bytes = std::mem::take(&mut self.pending);
        for &id in ids {
            bytes.extend_from_slice(self.vocabulary.text_bytes(id, self.skip_special));
        }
        let complete = bytes.len() - incomplete_bytes(&bytes);
        self.pending = bytes.split_off(complete);
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        }
    }

    /// The stream has ended: a character still open will never close.
    pub fn flush(&mut self) -> String {
        let pending = std::mem::take(&mut self.pending);
        String::from_utf8_lossy(&pending).into_owned()
    }
}

/// Bytes at the end that start a character and may yet be completed.
fn incomplete_bytes(bytes: &[u8]) -> usize {
    // A character has at most 4 bytes, so an open one starts within the last 3.
    for start in (bytes.len().saturating_sub(3)..bytes.len()).rev() {
        if bytes[start] & 0xc0 == 0x80 {
            continue; // A continuation byte: the character starts earlier.
        }
        // `error_len` is `None` exactly if the input ended where it could have gone on.
        return match std::str::from_utf8(&bytes[start..]) {
            Err(e) if e.valid_up_to() == 0 && e.error_len().is_none() => bytes.len() - start,
            _ => 0,
        };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_character_is_held_back() {
        assert_eq!(incomplete_bytes("aé".as_bytes()), 0);
        assert_eq!(incomplete_bytes(b"a\xc3"), 1);
        assert_eq!(incomplete_bytes(b"a\xf0\x9f\x99"), 3);
        assert_eq!(incomplete_bytes("🙂".as_bytes()), 0);
    }

    #[test]
    fn bytes_that_no_byte_can_save_are_not() {
        assert_eq!(incomplete_bytes(b"\x80\x80"), 0);
        assert_eq!(incomplete_bytes(b"\xe0\x80"), 0); // Overlong.
        assert_eq!(incomplete_bytes(b"\xed\xa0"), 0); // A surrogate.
        assert_eq!(incomplete_bytes(b"\xff"), 0);
        assert_eq!(incomplete_bytes(b"\xf5\x80"), 0); // Past U+10FFFF.
    }
}
