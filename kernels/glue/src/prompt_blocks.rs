//! Chained hashes of prompt blocks.

use xxhash_rust::xxh3::xxh3_64;

/// The hash of each full block of `page_tokens` tokens, chained: hash `i` covers the seed and all
/// tokens of blocks `0..=i`, so equal prefixes under one seed hash equal. A ragged tail has none.
///
/// A hint, not proof: XXH3 is fast, not cryptographic, and 64 bits collide. Whoever acts on a match
/// compares the tokens themselves. Between tenants the seed keeps hashes apart, not secret.
///
/// XXH3's output is fixed by its specification, so a gateway and a node of different builds agree.
pub fn hash_prompt_blocks(tokens: &[u32], page_tokens: usize, seed: &[u8]) -> Vec<u64> {
    assert!(page_tokens > 0, "page_tokens must be positive");
    let mut parent = xxh3_64(seed);
    let mut bytes = Vec::new();
    let mut hashes = Vec::with_capacity(tokens.len() / page_tokens);
    for block in tokens.chunks_exact(page_tokens) {
        bytes.clear();
        bytes.extend_from_slice(&parent.to_le_bytes());
        bytes.extend(block.iter().flat_map(|token| token.to_le_bytes()));
        parent = xxh3_64(&bytes);
        hashes.push(parent);
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prefixes_hash_equal_and_only_they() {
        let a: Vec<u32> = (0..64).collect();
        let mut b = a.clone();
        b[20] = 7;
        let (a, b) = (hash_prompt_blocks(&a, 16, b"m"), hash_prompt_blocks(&b, 16, b"m"));
        assert_eq!(a[0], b[0]);
        assert!((1..4).all(|i| a[i] != b[i]));
    }

    #[test]
    fn the_same_block_elsewhere_hashes_differently() {
        let hashes = hash_prompt_blocks(&[5; 32], 16, b"m");
        assert_ne!(hashes[0], hashes[1]);
    }

    #[test]
    fn a_ragged_tail_has_none() {
        assert_eq!(hash_prompt_blocks(&[1; 15], 16, b"").len(), 0);
        assert_eq!(hash_prompt_blocks(&[1; 31], 16, b"").len(), 1);
        assert_eq!(hash_prompt_blocks(&[], 1, b"").len(), 0);
    }

    #[test]
    fn seeds_keep_models_and_tenants_apart() {
        let hash = |seed: &[u8]| hash_prompt_blocks(&[1; 16], 16, seed)[0];
        assert_ne!(hash(b"model a"), hash(b"model b"));
    }

    #[test]
    fn the_values_are_fixed() {
        let tokens: Vec<u32> = (0..32).collect();
        // From xxHash's own implementation.
        let expected = [0xd38c_b5d0_e5a5_54d3, 0xc179_cd13_7dc9_baca];
        assert_eq!(hash_prompt_blocks(&tokens, 16, b"redraft"), expected);
    }
}
