//! The exported classes and functions. No logic: errors become JavaScript's `Error`.

use wasm_bindgen::prelude::*;

use crate::prompt_blocks;
use crate::{detokenizer, tokenizer};

/// The tokenizer of one model file.
#[wasm_bindgen]
pub struct Tokenizer(tokenizer::Tokenizer);

#[wasm_bindgen]
impl Tokenizer {
    /// @param json What `redraft_tokenizer` of the C ABI gives, UTF-8.
    #[wasm_bindgen(constructor)]
    pub fn new(json: &[u8]) -> Result<Tokenizer, JsError> {
        Ok(Tokenizer(tokenizer::Tokenizer::new(json)?))
    }

    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>, JsError> {
        Ok(self.0.encode(text, parse_special)?)
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.0.vocabulary.decode(ids, skip_special)
    }

    pub fn detokenizer(&self, skip_special: bool) -> Detokenizer {
        let vocabulary = self.0.vocabulary.clone();
        Detokenizer(detokenizer::Detokenizer::new(vocabulary, skip_special))
    }

    #[wasm_bindgen(js_name = tokenBytes)]
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        self.0.vocabulary.token_bytes(id).map(<[u8]>::to_vec)
    }

    #[wasm_bindgen(getter, js_name = vocabSize)]
    pub fn vocab_size(&self) -> usize {
        self.0.vocabulary.token_count()
    }

    #[wasm_bindgen(getter, js_name = specialIds)]
    pub fn special_ids(&self) -> Vec<u32> {
        self.0.special_ids().to_vec()
    }

    #[wasm_bindgen(getter, js_name = bosId)]
    pub fn bos_id(&self) -> Option<u32> {
        self.0.bos_id
    }

    #[wasm_bindgen(getter, js_name = eosId)]
    pub fn eos_id(&self) -> Option<u32> {
        self.0.eos_id
    }

    #[wasm_bindgen(getter, js_name = unknownId)]
    pub fn unknown_id(&self) -> Option<u32> {
        self.0.unknown_id
    }

    #[wasm_bindgen(getter, js_name = paddingId)]
    pub fn padding_id(&self) -> Option<u32> {
        self.0.padding_id
    }

    #[wasm_bindgen(getter, js_name = addBos)]
    pub fn add_bos(&self) -> bool {
        self.0.add_bos
    }

    /// The file's own template, Jinja.
    #[wasm_bindgen(getter, js_name = chatTemplate)]
    pub fn chat_template(&self) -> Option<String> {
        self.0.chat_template.clone()
    }

    #[wasm_bindgen(getter, js_name = addEos)]
    pub fn add_eos(&self) -> bool {
        self.0.add_eos
    }
}

/// Text for tokens as they come, never splitting a character.
#[wasm_bindgen]
pub struct Detokenizer(detokenizer::Detokenizer);

#[wasm_bindgen]
impl Detokenizer {
    pub fn push(&mut self, ids: &[u32]) -> String {
        self.0.push(ids)
    }

    pub fn flush(&mut self) -> String {
        self.0.flush()
    }
}

/// Chained hashes of the full blocks of `tokens`.
#[wasm_bindgen(js_name = hashPromptBlocks)]
pub fn hash_prompt_blocks(
    tokens: &[u32],
    page_tokens: usize,
    seed: &[u8],
) -> Result<Vec<u64>, JsError> {
    if page_tokens == 0 {
        return Err(JsError::new("Cannot hash blocks of 0 tokens"));
    }
    Ok(prompt_blocks::hash_prompt_blocks(tokens, page_tokens, seed))
}
