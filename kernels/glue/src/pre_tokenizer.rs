//! Which way a byte-level vocabulary cuts text into words, by GGUF's `tokenizer.ggml.pre`.
//!
//! The names are llama.cpp's; each stands for a list of regular expressions. We take those that the
//! tokenizers library cuts natively: its regex engine would add more to the package than all the
//! rest of it, for vocabularies that no Llama-architecture model of today uses. Another name is
//! refused, for a wrong cut gives wrong ids with no other sign than a worse model.

use tokenizers::SplitDelimiterBehavior::Isolated;
use tokenizers::pipeline::PipelinePreTokenizer;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::PipelineSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use crate::error::{Error, Result, quoted};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// Llama 3's with one digit a word.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

const GPT_4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// GPT-4o's without contractions and with one digit a word.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// What a `pre` implies.
#[derive(Debug)]
pub struct Rule {
    pub pre_tokenizer: PipelinePreTokenizer,
    /// A word that is a token as it stands becomes that token, though no merges lead to it.
    pub ignore_merges: bool,
    /// Whether a prompt starts with the BOS token where the file does not say.
    pub add_bos: bool,
}

/// # Errors
/// If `pre` is missing or not one of those above.
pub fn rule(pre: Option<&str>) -> Result<Rule> {
    let Some(pre) = pre else {
        return Err(Error::new(
            "Cannot read the tokenizer: it names no pre-tokenizer (`pre`); convert the model anew",
        ));
    };
    let (pieces, whole_words): (&[Piece], bool) = match pre {
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" | "trillion" | "gigachat"
        | "a.x-4.0" | "mellum" | "granite-docling" => (&[Piece::Pattern(GPT2)], false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b"
        | "mellum2" => (&[Piece::EachDigit, Piece::Pattern(GPT2)], false),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0"
        | "lfm2" => (&[Piece::Pattern(LLAMA3)], true),
        "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" => (&[Piece::Pattern(LLAMA3)], false),
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "megrez" | "stablelm2" | "hunyuan"
        | "solar-open" | "grok-2" => (&[Piece::Pattern(QWEN2)], false),
        "tekken" => (&[Piece::Pattern(TEKKEN)], true),
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" => (&[Piece::Pattern(GPT_4O)], false),
        _ => {
            let name = quoted(pre);
            return Err(Error::new(format!(
                "Cannot read the tokenizer: pre-tokenizer {name} is not supported"
            )));
        }
    };
    // In llama.cpp the vocabularies that take whole words also default to a BOS token.
    Ok(Rule {
        pre_tokenizer: pre_tokenizer(pieces)?,
        ignore_merges: whole_words,
        add_bos: whole_words,
    })
}

#[derive(Clone, Copy)]
enum Piece {
    EachDigit,
    Pattern(&'static str),
}

fn pre_tokenizer(pieces: &[Piece]) -> Result<PipelinePreTokenizer> {
    let mut cuts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        cuts.push(match piece {
            Piece::EachDigit => PipelinePreTokenizer::Digits(Digits::new(true)),
            Piece::Pattern(pattern) => PipelinePreTokenizer::Split(native_split(pattern)?),
        });
    }
    Ok(PipelinePreTokenizer::Sequence(PipelineSequence::new(cuts)))
}

fn native_split(pattern: &str) -> Result<Split> {
    let split = Split::native(SplitPattern::Regex(pattern.to_owned()), Isolated, false)
        .map_err(|e| Error::new(format!("Cannot build the pre-tokenizer: {e}")))?;
    // A pattern that the library did not know would fail at the first prompt.
    if split.grammar().is_none() {
        return Err(Error::new("Cannot build the pre-tokenizer: its pattern has no native form"));
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pipeline::{PreTokenizer, PreTokenizerScratch};

    fn words<'t>(pre: &str, text: &'t str) -> Vec<&'t str> {
        let mut spans = Vec::new();
        let mut scratch = PreTokenizerScratch::default();
        let rule = rule(Some(pre)).unwrap();
        rule.pre_tokenizer.pre_tokenize(text, &mut scratch, &mut spans).unwrap();
        spans.iter().map(|span| &text[span.range()]).collect()
    }

    #[test]
    fn each_family_cuts_its_way() {
        let text = "It's 1234 ÀB'LL\n\n  x";
        let gpt2 = ["It", "'s", " 1234", " ÀB", "'", "LL", "\n\n ", " x"];
        assert_eq!(words("gpt-2", text), gpt2);
        let smollm = ["It", "'s", " ", "1", "2", "3", "4", " ÀB", "'", "LL", "\n\n ", " x"];
        assert_eq!(words("smollm", text), smollm);
        let llama3 = ["It", "'s", " ", "123", "4", " ÀB", "'LL", "\n\n", " ", " x"];
        assert_eq!(words("llama-bpe", text), llama3);
        let qwen2 = ["It", "'s", " ", "1", "2", "3", "4", " ÀB", "'LL", "\n\n", " ", " x"];
        assert_eq!(words("qwen2", text), qwen2);
        let gpt_4o = ["It's", " ", "123", "4", " ÀB'LL", "\n\n", " ", " x"];
        assert_eq!(words("gpt-4o", text), gpt_4o);
        let tekken = ["It", "'s", " ", "1", "2", "3", "4", " ÀB", "'LL", "\n\n", " ", " x"];
        assert_eq!(words("tekken", text), tekken);
    }

    #[test]
    fn an_unknown_name_is_refused_by_name() {
        let error = rule(Some("no-such")).unwrap_err().to_string();
        assert_eq!(error, "Cannot read the tokenizer: pre-tokenizer \"no-such\" is not supported");
        assert!(rule(None).unwrap_err().to_string().contains("names no pre-tokenizer"));
        assert!(rule(Some("")).is_err());
    }

    #[test]
    fn llama_3_takes_whole_words_and_a_bos_token() {
        let rule = rule(Some("llama-bpe")).unwrap();
        assert!(rule.ignore_merges && rule.add_bos);
    }
}
