//! Byte-level BPE (GGUF's tokenizer model "gpt2"), checked and handed to the tokenizers library.

use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::{BpeConfig, PipelineBPE};
use tokenizers::pipeline::PipelineModel;

use crate::byte_alphabet;
use crate::error::{Error, Result, quoted};
use crate::source::Source;

/// Ids at or above the count of tokens stand for bytes that the vocabulary cannot spell.
///
/// # Errors
/// If a merge is no pair of tokens that makes a third.
pub fn model(source: &Source, ignore_merges: bool) -> Result<PipelineModel> {
    let mut vocab = HashMap::with_capacity(source.tokens.len());
    for (id, (token, kind)) in source.tokens.iter().zip(&source.kinds).enumerate() {
        // Without the special tokens no text can spell one, by merges or as a whole word; and a
        // token outside the alphabet can match no bytes.
        if !kind.is_special() && byte_alphabet::decode(token).is_some_and(|b| !b.is_empty()) {
            vocab.insert(token.clone(), id as u32);
        }
    }
    let merges = merges(source, &vocab)?;
    check_dense_merges(&merges, &vocab)?;
    spell_missing_bytes(&mut vocab, source.tokens.len());
    let config = BpeConfig {
        merges: merges
            .into_iter()
            .map(|(left, right)| (left.to_owned(), right.to_owned()))
            .collect(),
        vocab: vocab.into_iter().collect(),
        byte_level: true,
        ignore_merges,
        // The library's cache knows a long word by its hash alone and would outlive a request: what
        // one tenant sends must never change the ids of another's prompt.
        cache_capacity: 0,
        ..BpeConfig::default()
    };
    PipelineBPE::from_config(config)
        .map(PipelineModel::BPE)
        .map_err(|e| Error::new(format!("Cannot read the tokenizer: {e}")))
}

/// A vocabulary may lack bytes that its training text never had: SmolLM2's has no 0x04, no 0xF1.
/// The library would refuse it, llama.cpp drops such bytes. We give them ids past the vocabulary,
/// so that `Tokenizer::encode` can drop them.
fn spell_missing_bytes(vocab: &mut HashMap<String, u32>, token_count: usize) {
    let mut next_id = token_count as u32;
    for byte in 0..=u8::MAX {
        vocab.entry(byte_alphabet::encode(&[byte])).or_insert_with(|| {
            next_id += 1;
            next_id - 1
        });
    }
}

type Pair<'s> = (&'s str, &'s str);

fn merges<'s>(source: &'s Source, vocab: &HashMap<String, u32>) -> Result<Vec<Pair<'s>>> {
    let mut merges = Vec::with_capacity(source.merges.len());
    let mut seen = HashSet::with_capacity(source.merges.len());
    let mut product = String::new();
    for (rank, merge) in source.merges.iter().enumerate() {
        let Some((left, right)) = merge.split_once(' ') else {
            let text = quoted(merge);
            return Err(Error::new(format!(
                "Cannot read the tokenizer: merge {rank} is {text}, not two tokens"
            )));
        };
        product.clear();
        product.push_str(left);
        product.push_str(right);
        if let Some(&id) = source.ids.get(&product)
            && source.kinds[id as usize].is_special()
        {
            continue; // See model(): text must not spell a special token.
        }
        for token in [left, right, product.as_str()] {
            if !vocab.contains_key(token) {
                let text = quoted(token);
                return Err(Error::new(format!(
                    "Cannot read the tokenizer: merge {rank} names {text}, which is not a token"
                )));
            }
        }
        if !seen.insert((left, right)) {
            let text = quoted(merge);
            return Err(Error::new(format!(
                "Cannot read the tokenizer: merge {rank}, {text}, is there twice"
            )));
        }
        merges.push((left, right));
    }
    Ok(merges)
}

/// The library keeps the merges between its first 512 symbols in a grid of u16 indexes and asserts
/// that they fit. Llama 3, the fullest vocabulary known, has 15,000; a hostile one gets an error.
fn check_dense_merges(merges: &[(&str, &str)], vocab: &HashMap<String, u32>) -> Result<()> {
    const SYMBOLS: usize = 512;
    const MERGES_MAX: usize = u16::MAX as usize;
    if merges.len() < MERGES_MAX {
        return Ok(());
    }
    // The library's order of symbols: tokens that no merge makes, by id; then the rest, by rank.
    let products: Vec<u32> = merges.iter().map(|(l, r)| vocab[&format!("{l}{r}")]).collect();
    let made: HashSet<u32> = products.iter().copied().collect();
    let mut first: Vec<u32> = vocab.values().copied().filter(|id| !made.contains(id)).collect();
    first.sort_unstable();
    let mut placed: HashSet<u32> = first.iter().copied().take(SYMBOLS).collect();
    for &id in &products {
        if placed.len() == SYMBOLS {
            break;
        }
        placed.insert(id);
    }
    let is_dense = |merge: &&(&str, &str)| {
        placed.contains(&vocab[merge.0]) && placed.contains(&vocab[merge.1])
    };
    if merges.iter().filter(is_dense).count() >= MERGES_MAX {
        return Err(Error::new("Cannot read the tokenizer: too many merges of the first tokens"));
    }
    Ok(())
}
