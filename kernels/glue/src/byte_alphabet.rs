//! GPT-2's byte alphabet: a printable character for each of the 256 bytes.

/// Characters of the alphabet lie below this: 256 plus the 68 bytes that had to move.
const CODE_POINTS: usize = 324;

const NO_BYTE: u16 = u16::MAX;

/// The byte that each code point stands for.
static BYTES: [u16; CODE_POINTS] = bytes_by_code_point();

const fn is_printable(byte: usize) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

const fn bytes_by_code_point() -> [u16; CODE_POINTS] {
    let mut bytes = [NO_BYTE; CODE_POINTS];
    let mut moved = 256;
    let mut byte = 0;
    while byte < 256 {
        if is_printable(byte) {
            bytes[byte] = byte as u16;
        } else {
            bytes[moved] = byte as u16;
            moved += 1;
        }
        byte += 1;
    }
    bytes
}

/// The bytes that `token` spells, or `None` if a character of it is not in the alphabet.
pub fn decode(token: &str) -> Option<Vec<u8>> {
    token
        .chars()
        .map(|c| match BYTES.get(c as usize) {
            Some(&byte) if byte != NO_BYTE => Some(byte as u8),
            _ => None,
        })
        .collect()
}

/// How `bytes` are spelled.
pub fn encode(bytes: &[u8]) -> String {
    let is_spelling = |c: &char, byte: u8| BYTES[*c as usize] == u16::from(byte);
    let alphabet = || (0..CODE_POINTS as u32).filter_map(char::from_u32);
    bytes.iter().filter_map(|&byte| alphabet().find(|c| is_spelling(c, byte))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_round_trips() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
    }

    #[test]
    fn space_is_g_with_a_dot() {
        assert_eq!(decode("Ġthe"), Some(b" the".to_vec()));
    }

    #[test]
    fn what_is_outside_the_alphabet_has_no_bytes() {
        assert_eq!(decode("a b"), None);
        assert_eq!(decode("漢"), None);
        assert_eq!(decode("\u{144}"), None);
    }
}
