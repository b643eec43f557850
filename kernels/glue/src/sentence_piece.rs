//! SentencePiece BPE (GGUF's tokenizer model "llama"): a score per token instead of merges.

use std::collections::HashMap;

use tokenizers::models::bpe::{BpeConfig, PipelineBPE};
use tokenizers::normalizers::{Prepend, Replace, replace::ReplacePattern};
use tokenizers::pipeline::{PipelineModel, PipelineNormalizer};

use crate::error::{Error, Result};
use crate::source::{Source, TokenKind};
use crate::vocabulary::{SPACE_MARK, byte_of};

/// A pair that merges, with the score of what it makes and the characters of its halves.
struct Merge<'s> {
    left: &'s str,
    right: &'s str,
    score: f64,
    left_chars: usize,
    right_chars: usize,
}

/// # Errors
/// If the file has no scores, or a byte has no token.
pub fn model(source: &Source) -> Result<PipelineModel> {
    let Some(scores) = &source.scores else {
        return Err(Error::new("Cannot read the tokenizer: a `llama` model without `scores`"));
    };
    let mut vocab = HashMap::with_capacity(source.tokens.len());
    let mut bytes_spelled = [false; 256];
    for (id, (token, kind)) in source.tokens.iter().zip(&source.kinds).enumerate() {
        if token.is_empty() || kind.is_special() || *kind == TokenKind::Unused {
            continue; // No text spells these.
        }
        if let (TokenKind::Byte, Some(byte)) = (kind, byte_of(token)) {
            bytes_spelled[byte as usize] = true;
        }
        vocab.insert(token.as_str(), id as u32);
    }
    if let Some(byte) = bytes_spelled.iter().position(|spelled| !spelled) {
        return Err(Error::new(format!(
            "Cannot read the tokenizer: byte 0x{byte:02X} has no token"
        )));
    }
    let config = BpeConfig {
        merges: merges(source, scores, &vocab),
        vocab: vocab.into_iter().map(|(token, id)| (token.to_owned(), id)).collect(),
        byte_fallback: true,
        cache_capacity: 0, // As in byte_pair.
        ..BpeConfig::default()
    };
    PipelineBPE::from_config(config)
        .map(PipelineModel::BPE)
        .map_err(|e| Error::new(format!("Cannot read the tokenizer: {e}")))
}

/// Every way to make a token of two others, best score first: SentencePiece joins the pair whose
/// result scores highest, which is BPE with the merges in that order.
fn merges(source: &Source, scores: &[f64], vocab: &HashMap<&str, u32>) -> Vec<(String, String)> {
    let joins = |token: &str| {
        vocab.get(token).is_some_and(|&id| {
            matches!(source.kinds[id as usize], TokenKind::Normal | TokenKind::UserDefined)
        })
    };
    let mut merges = Vec::new();
    for (id, token) in source.tokens.iter().enumerate() {
        if !joins(token) {
            continue;
        }
        let chars = token.chars().count();
        for (left_chars, (at, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(at);
            if joins(left) && joins(right) {
                let right_chars = chars - left_chars;
                merges.push(Merge { left, right, score: scores[id], left_chars, right_chars });
            }
        }
    }
    // Among ways to the same token, the order in which Hugging Face's converter ranks them.
    merges.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(b.left_chars.cmp(&a.left_chars))
            .then(b.right_chars.cmp(&a.right_chars))
    });
    merges.into_iter().map(|merge| (merge.left.to_owned(), merge.right.to_owned())).collect()
}

/// Spaces become `▁`, and a text starts with one unless the file says otherwise.
pub fn normalizers(add_space_prefix: bool) -> Result<Vec<PipelineNormalizer>> {
    let mut normalizers = Vec::new();
    if add_space_prefix {
        normalizers.push(PipelineNormalizer::Prepend(Prepend::new(SPACE_MARK.to_string())));
    }
    let space = Replace::new(ReplacePattern::String(" ".to_owned()), SPACE_MARK)
        .map_err(|e| Error::new(format!("Cannot build the normalizer: {e}")))?;
    normalizers.push(PipelineNormalizer::Replace(space));
    Ok(normalizers)
}
