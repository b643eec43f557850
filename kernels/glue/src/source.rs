//! The JSON in which the engine hands over a model file's own tokenizer.

use std::collections::HashMap;

use tokenizers::json::Json;

use crate::error::{Error, Result, quoted};

/// No vocabulary in use is within a factor of four of these; a hostile file ends here.
pub const TOKENS_MAX: usize = 1 << 20;
pub const MERGES_MAX: usize = 1 << 22;
pub const TOKEN_BYTES_MAX: usize = 1 << 12;

/// GGUF's `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Normal,
    Unknown,
    /// Steers the model: `<|im_end|>`. Text spells it only where the caller asks for that.
    Control,
    /// Added by whoever tuned the model; matched whole in any text.
    UserDefined,
    Unused,
    /// `<0x0A>`: one byte, for what a SentencePiece vocabulary cannot spell.
    Byte,
}

impl TokenKind {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            // Undefined: llama.cpp takes it for a normal token.
            0 | 1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }

    /// Whether only a caller who asks for special tokens may spell it, and decoding may skip it.
    pub fn is_special(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }
}

/// A tokenizer as its file declares it: every field present has the right type, every count agrees,
/// every id is one of the tokens, and no token is there twice.
#[derive(Debug)]
pub struct Source {
    pub model: String,
    pub pre: Option<String>,
    pub tokens: Vec<String>,
    pub kinds: Vec<TokenKind>,
    pub ids: HashMap<String, u32>,
    pub merges: Vec<String>,
    pub scores: Option<Vec<f64>>,
    pub bos_id: Option<u32>,
    pub eos_id: Option<u32>,
    pub unknown_id: Option<u32>,
    pub padding_id: Option<u32>,
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    pub add_space_prefix: Option<bool>,
    pub chat_template: Option<String>,
}

impl Source {
    pub fn parse(json: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(json).map_err(|e| {
            Error::new(format!("Cannot read the tokenizer: byte {} is not UTF-8", e.valid_up_to()))
        })?;
        let document =
            Json::parse(text).map_err(|e| Error::new(format!("Cannot read the tokenizer: {e}")))?;
        if document.entries().is_none() {
            return Err(Error::new("Cannot read the tokenizer: it is not a JSON object"));
        }
        let tokens = strings(&document, "tokens", TOKENS_MAX)?
            .ok_or_else(|| Error::new("Cannot read the tokenizer: it has no `tokens`"))?;
        let ids = ids_by_token(&tokens)?;
        let id = |name: &str| token_id(&document, name, tokens.len());
        Ok(Self {
            model: string(&document, "model")?
                .ok_or_else(|| Error::new("Cannot read the tokenizer: it has no `model`"))?,
            pre: string(&document, "pre")?,
            kinds: kinds(&document, tokens.len())?,
            merges: strings(&document, "merges", MERGES_MAX)?.unwrap_or_default(),
            scores: scores(&document, tokens.len())?,
            bos_id: id("bos_token_id")?,
            eos_id: id("eos_token_id")?,
            unknown_id: id("unknown_token_id")?,
            padding_id: id("padding_token_id")?,
            add_bos: boolean(&document, "add_bos_token")?,
            add_eos: boolean(&document, "add_eos_token")?,
            add_space_prefix: boolean(&document, "add_space_prefix")?,
            chat_template: string(&document, "chat_template")?,
            tokens,
            ids,
        })
    }
}

fn wrong_type(name: &str, wanted: &str) -> Error {
    Error::new(format!("Cannot read the tokenizer: `{name}` is not {wanted}"))
}

fn wrong_count(name: &str, count: usize, token_count: usize) -> Error {
    let (count, of) = (count.to_string(), token_count.to_string());
    Error::new(format!("Cannot read the tokenizer: {count} `{name}` for {of} tokens"))
}

fn string(document: &Json<'_>, name: &str) -> Result<Option<String>> {
    match document.field(name) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(wrong_type(name, "a string")),
        },
    }
}

fn boolean(document: &Json<'_>, name: &str) -> Result<Option<bool>> {
    match document.field(name) {
        None => Ok(None),
        Some(value) => value.as_bool().map(Some).ok_or_else(|| wrong_type(name, "a boolean")),
    }
}

fn array<'d, 'j>(document: &'d Json<'j>, name: &str) -> Result<Option<&'d [Json<'j>]>> {
    match document.field(name) {
        None => Ok(None),
        Some(value) => value.as_array().map(Some).ok_or_else(|| wrong_type(name, "an array")),
    }
}

fn strings(document: &Json<'_>, name: &str, count_max: usize) -> Result<Option<Vec<String>>> {
    let Some(values) = array(document, name)? else { return Ok(None) };
    if values.len() > count_max {
        let count = values.len();
        let message =
            format!("Cannot read the tokenizer: {count} `{name}`, the limit is {count_max}");
        return Err(Error::new(message));
    }
    let text = |(index, value): (usize, &Json<'_>)| {
        let text =
            value.as_str().ok_or_else(|| wrong_type(&format!("{name}[{index}]"), "a string"))?;
        // A merge holds two tokens and the space between them.
        if text.len() > 2 * TOKEN_BYTES_MAX + 1 {
            let message = format!("Cannot read the tokenizer: `{name}[{index}]` is too long");
            return Err(Error::new(message));
        }
        Ok(text.to_owned())
    };
    values.iter().enumerate().map(text).collect::<Result<_>>().map(Some)
}

fn ids_by_token(tokens: &[String]) -> Result<HashMap<String, u32>> {
    if tokens.is_empty() {
        return Err(Error::new("Cannot read the tokenizer: it has no tokens"));
    }
    let mut ids = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > TOKEN_BYTES_MAX {
            let bytes = token.len();
            return Err(Error::new(format!(
                "Cannot read the tokenizer: token {id} has {bytes} bytes, over {TOKEN_BYTES_MAX}"
            )));
        }
        if token.is_empty() {
            continue; // Files in use have them, as padding. No text spells one.
        }
        if let Some(first) = ids.insert(token.clone(), id as u32) {
            let text = quoted(token);
            let message =
                format!("Cannot read the tokenizer: tokens {first} and {id} are both {text}");
            return Err(Error::new(message));
        }
    }
    Ok(ids)
}

/// Without types, all tokens are normal ones: a vocabulary with no control token is legal.
fn kinds(document: &Json<'_>, token_count: usize) -> Result<Vec<TokenKind>> {
    let Some(values) = array(document, "token_types")? else {
        return Ok(vec![TokenKind::Normal; token_count]);
    };
    if values.len() != token_count {
        return Err(wrong_count("token_types", values.len(), token_count));
    }
    let kind = |(index, value): (usize, &Json<'_>)| {
        value
            .as_u32()
            .and_then(TokenKind::of)
            .ok_or_else(|| wrong_type(&format!("token_types[{index}]"), "a token type, 0 to 6"))
    };
    values.iter().enumerate().map(kind).collect()
}

fn scores(document: &Json<'_>, token_count: usize) -> Result<Option<Vec<f64>>> {
    let Some(values) = array(document, "scores")? else { return Ok(None) };
    if values.len() != token_count {
        return Err(wrong_count("scores", values.len(), token_count));
    }
    let score = |(index, value): (usize, &Json<'_>)| {
        value
            .as_f64()
            .filter(|score| score.is_finite())
            .ok_or_else(|| wrong_type(&format!("scores[{index}]"), "a finite number"))
    };
    values.iter().enumerate().map(score).collect::<Result<_>>().map(Some)
}

fn token_id(document: &Json<'_>, name: &str, token_count: usize) -> Result<Option<u32>> {
    let Some(value) = document.field(name) else { return Ok(None) };
    match value.as_u32() {
        Some(id) if (id as usize) < token_count => Ok(Some(id)),
        _ => Err(wrong_type(name, &format!("one of the {token_count} token ids"))),
    }
}
