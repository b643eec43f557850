//! A model file's tokenizer, built for the tokenizers library.

use std::collections::BTreeMap;
use std::rc::Rc;

use tokenizers::pipeline::{
    EncodeOptions, NormalizerChain, PipelineModel, PipelineNormalizer, PipelinePostProcessor,
    PipelinePreTokenizer, PipelineToken, PipelineTokenizer,
};
use tokenizers::vocab::bucket_added_vocabulary::{AddedToken, AddedVocabulary};

use crate::error::{Error, Result, quoted};
use crate::source::{Source, TokenKind};
use crate::vocabulary::{Spelling, Vocabulary};
use crate::{byte_pair, pre_tokenizer, sentence_piece};

pub struct Tokenizer {
    pipeline: PipelineTokenizer,
    pub vocabulary: Rc<Vocabulary>,
    pub bos_id: Option<u32>,
    pub eos_id: Option<u32>,
    pub unknown_id: Option<u32>,
    pub padding_id: Option<u32>,
    pub add_bos: bool,
    pub add_eos: bool,
    pub chat_template: Option<String>,
    special_ids: Vec<u32>,
}

/// What differs between the two tokenizer models.
struct Parts {
    model: PipelineModel,
    normalizers: Vec<PipelineNormalizer>,
    pre_tokenizer: PipelinePreTokenizer,
    spelling: Spelling,
    add_bos: bool,
}

impl Tokenizer {
    /// # Errors
    /// If the JSON is not what `kernels/include/redraft.h` says, or its tokenizer is not supported.
    pub fn new(json: &[u8]) -> Result<Self> {
        let source = Source::parse(json)?;
        let parts = parts(&source)?;
        let vocabulary = Vocabulary::new(&source, parts.spelling)?;
        let pipeline = PipelineTokenizer::from_parts(
            added_vocabulary(&source)?,
            parts.normalizers,
            parts.pre_tokenizer,
            parts.model,
            PipelinePostProcessor::default(),
            None, // Decoding is ours: see vocabulary and detokenizer.
            BTreeMap::new(),
            None,
            None,
        );
        let is_special = |id: &u32| source.kinds[*id as usize].is_special();
        Ok(Self {
            pipeline,
            special_ids: (0..source.tokens.len() as u32).filter(is_special).collect(),
            vocabulary: Rc::new(vocabulary),
            bos_id: source.bos_id,
            eos_id: source.eos_id,
            unknown_id: source.unknown_id,
            padding_id: source.padding_id,
            add_bos: source.add_bos.unwrap_or(parts.add_bos),
            add_eos: source.add_eos.unwrap_or(false),
            chat_template: source.chat_template,
        })
    }

    /// Token ids of `text`, with nothing added before or after. Where `parse_special` is not set,
    /// text that reads like a special token is encoded as the plain characters it is. A byte that
    /// no token spells is left out.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>> {
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: !parse_special,
            ..EncodeOptions::default()
        };
        let mut tokens = Vec::with_capacity(text.len() / 3);
        self.pipeline
            .encode_into(text, &options, &mut tokens)
            .map_err(|e| Error::new(format!("Cannot encode the text: {e}")))?;
        let mut ids = PipelineToken::cast_slice(&tokens).to_vec();
        let count = self.vocabulary.token_count() as u32;
        ids.retain(|&id| id < count); // The rest are bytes that no token spells: see byte_pair.
        Ok(ids)
    }

    /// Ids of control and unknown tokens, in order.
    pub fn special_ids(&self) -> &[u32] {
        &self.special_ids
    }
}

fn parts(source: &Source) -> Result<Parts> {
    match source.model.as_str() {
        "gpt2" => {
            let rule = pre_tokenizer::rule(source.pre.as_deref())?;
            Ok(Parts {
                model: byte_pair::model(source, rule.ignore_merges)?,
                normalizers: Vec::new(),
                pre_tokenizer: rule.pre_tokenizer,
                spelling: Spelling::ByteLevel,
                add_bos: rule.add_bos,
            })
        }
        "llama" => Ok(Parts {
            model: sentence_piece::model(source)?,
            normalizers: sentence_piece::normalizers(source.add_space_prefix.unwrap_or(true))?,
            pre_tokenizer: PipelinePreTokenizer::None,
            spelling: Spelling::SentencePiece,
            add_bos: true,
        }),
        other => {
            let name = quoted(other);
            Err(Error::new(format!(
                "Cannot read the tokenizer: model {name} is neither \"gpt2\" nor \"llama\""
            )))
        }
    }
}

/// Tokens that are matched whole in the text before the model sees it.
fn added_vocabulary(source: &Source) -> Result<AddedVocabulary> {
    let added = source.tokens.iter().zip(&source.kinds).filter_map(|(token, kind)| {
        let special = kind.is_special();
        let matched = !token.is_empty() && (special || *kind == TokenKind::UserDefined);
        matched.then(|| AddedToken::from(token.as_str(), special).normalized(false))
    });
    let mut vocabulary = AddedVocabulary::new();
    vocabulary
        .add_tokens(
            added,
            source.tokens.len(),
            |token| source.ids.get(token).copied(),
            None::<&NormalizerChain<'_>>,
        )
        .map_err(|e| Error::new(format!("Cannot read the tokenizer: {e}")))?;
    Ok(vocabulary)
}
