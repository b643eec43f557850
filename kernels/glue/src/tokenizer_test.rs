//! Tests of the whole: JSON in, ids and text out, and what a bad file gets.

use crate::byte_alphabet;
use crate::detokenizer::Detokenizer;
use crate::tokenizer::Tokenizer;

/// A file's tokenizer as JSON, of parts that a test may replace.
struct File {
    model: &'static str,
    pre: Option<&'static str>,
    tokens: Vec<String>,
    types: Vec<u32>,
    merges: Vec<String>,
    scores: Option<Vec<f64>>,
}

const NORMAL: u32 = 1;
const CONTROL: u32 = 3;
const USER_DEFINED: u32 = 4;
const BYTE: u32 = 6;

impl File {
    /// The 256 bytes as ids 0 to 255, a few merges, and special tokens.
    fn byte_level() -> Self {
        let mut tokens: Vec<String> = (0..=255).map(|b| byte_alphabet::encode(&[b])).collect();
        tokens.extend(["he", "ll", "hell", "hello", "Ġhe", "whole"].map(String::from));
        let mut types = vec![NORMAL; tokens.len()];
        tokens.extend(["<|im_end|>", "<tool>", "<|end|>"].map(String::from));
        types.extend([CONTROL, USER_DEFINED, CONTROL]);
        let merges = ["h e", "l l", "he ll", "hell o", "Ġ he"].map(String::from).to_vec();
        Self { model: "gpt2", pre: Some("smollm"), tokens, types, merges, scores: None }
    }

    fn sentence_piece() -> Self {
        let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned()];
        let mut types = vec![2, CONTROL];
        tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
        types.extend([BYTE; 256]);
        let pieces = ["▁", "a", "b", "c", "<", "s", ">", "▁a", "ab", "▁ab", "<s"];
        tokens.extend(pieces.map(String::from));
        types.extend([NORMAL; 11]);
        let scores = (0..tokens.len()).map(|id| -(id as f64)).collect();
        Self { model: "llama", pre: None, tokens, types, merges: Vec::new(), scores: Some(scores) }
    }

    fn json(&self) -> String {
        let strings = |texts: &[String]| {
            let quoted: Vec<String> = texts.iter().map(|text| json_string(text)).collect();
            format!("[{}]", quoted.join(","))
        };
        format!(
            r#"{{"model":"{}","pre":{},"tokens":{},"token_types":{:?},"merges":{},"scores":{},
                "bos_token_id":null,"eos_token_id":2,"add_bos_token":false}}"#,
            self.model,
            self.pre.map_or("null".to_owned(), |pre| format!("{pre:?}")),
            strings(&self.tokens),
            self.types,
            strings(&self.merges),
            self.scores.as_ref().map_or("null".to_owned(), |scores| format!("{scores:?}")),
        )
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::new(self.json().as_bytes()).unwrap()
    }

    fn error(&self) -> String {
        error(self.json().as_bytes())
    }

    fn id(&self, token: &str) -> u32 {
        self.tokens.iter().position(|t| t == token).unwrap() as u32
    }
}

fn json_string(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", c as u32),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

fn error(json: &[u8]) -> String {
    Tokenizer::new(json).err().expect("a bad file was accepted").to_string()
}

#[test]
fn merges_apply_in_rank_order() {
    let file = File::byte_level();
    let ids = file.tokenizer().encode("hello he", false).unwrap();
    assert_eq!(ids, [file.id("hello"), file.id("Ġhe")]);
}

#[test]
fn digits_stand_alone_under_smollm() {
    assert_eq!(File::byte_level().tokenizer().encode("12", false).unwrap(), [0x31, 0x32]);
}

#[test]
fn a_whole_word_is_a_token_only_where_merges_are_ignored() {
    let mut file = File::byte_level();
    assert_eq!(file.tokenizer().encode("whole", false).unwrap().len(), 5);
    file.pre = Some("llama-bpe");
    assert_eq!(file.tokenizer().encode("whole", false).unwrap(), [file.id("whole")]);
}

#[test]
fn special_tokens_are_parsed_only_if_asked() {
    let file = File::byte_level();
    let tokenizer = file.tokenizer();
    let text = "hello<|im_end|>hello";
    let (hello, end) = (file.id("hello"), file.id("<|im_end|>"));
    assert_eq!(tokenizer.encode(text, true).unwrap(), [hello, end, hello]);
    let plain = tokenizer.encode(text, false).unwrap();
    assert!(!plain.contains(&end));
    assert_eq!(tokenizer.vocabulary.decode(&plain, true), text);
}

#[test]
fn no_merge_and_no_whole_word_spells_a_special_token() {
    let mut file = File::byte_level();
    file.pre = Some("llama-bpe");
    file.tokens.push("hehe".to_owned());
    file.types.push(CONTROL);
    file.merges.push("he he".to_owned());
    let ids = file.tokenizer().encode("hehe", false).unwrap();
    assert_eq!(ids, [file.id("he"), file.id("he")]);
}

#[test]
fn user_defined_tokens_match_in_any_text() {
    let file = File::byte_level();
    assert_eq!(file.tokenizer().encode("<tool>", false).unwrap(), [file.id("<tool>")]);
}

#[test]
fn decoding_skips_special_tokens_only_if_asked() {
    let file = File::byte_level();
    let ids = [file.id("hello"), file.id("<|im_end|>"), file.id("<tool>"), 9_999];
    let vocabulary = file.tokenizer().vocabulary;
    assert_eq!(vocabulary.decode(&ids, true), "hello<tool>");
    assert_eq!(vocabulary.decode(&ids, false), "hello<|im_end|><tool>");
    assert_eq!(vocabulary.token_bytes(0xe9), Some(&[0xe9][..]));
    assert_eq!(vocabulary.token_bytes(9_999), None);
}

#[test]
fn a_stream_of_any_bytes_gives_what_decoding_them_at_once_gives() {
    let vocabulary = File::byte_level().tokenizer().vocabulary;
    let mut state = 1u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    // Lead bytes, continuation bytes, ASCII, never-valid bytes, and one special token.
    let bytes = [0x61, 0x80, 0x9f, 0xbf, 0xc3, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, 262];
    for _ in 0..20_000 {
        let ids: Vec<u32> = (0..random(9)).map(|_| bytes[random(13) as usize]).collect();
        let mut stream = Detokenizer::new(vocabulary.clone(), true);
        let mut text = String::new();
        let mut rest = &ids[..];
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(1 + random(rest.len() as u64) as usize);
            text.push_str(&stream.push(head));
            rest = tail;
        }
        text.push_str(&stream.flush());
        assert_eq!(text, vocabulary.decode(&ids, true), "{ids:?}");
    }
}

#[test]
fn sentence_piece_joins_by_score_and_falls_back_to_bytes() {
    let file = File::sentence_piece();
    let tokenizer = file.tokenizer();
    // Twice the better score leads to the longer token: "▁" with "a", then "▁a" with "b".
    assert_eq!(tokenizer.encode("ab", false).unwrap(), [file.id("▁ab")]);
    assert_eq!(tokenizer.encode("b a", false).unwrap(), ["▁", "b", "▁a"].map(|t| file.id(t)));
    let e_acute = ["▁", "<0xC3>", "<0xA9>"].map(|t| file.id(t));
    assert_eq!(tokenizer.encode("é", false).unwrap(), e_acute);
    assert_eq!(tokenizer.vocabulary.decode(&e_acute, true), " é");
}

#[test]
fn sentence_piece_text_spells_no_control_token() {
    let file = File::sentence_piece();
    let tokenizer = file.tokenizer();
    let plain = tokenizer.encode("<s>", false).unwrap();
    assert_eq!(plain, ["▁", "<s", ">"].map(|t| file.id(t)));
    assert_eq!(tokenizer.encode("<s>", true).unwrap(), [file.id("<s>")]);
}

#[test]
fn sentence_piece_needs_scores_and_every_byte() {
    let mut file = File::sentence_piece();
    file.tokens[2 + 0x41] = "<0x+1>".to_owned();
    assert!(file.error().contains("byte 0x41 has no token"));
    file.scores = None;
    assert!(file.error().contains("without `scores`"));
}

#[test]
fn a_byte_without_a_token_is_left_out() {
    let mut file = File::byte_level();
    file.tokens[7] = "zz".to_owned();
    assert_eq!(file.tokenizer().encode("a\u{7}b", false).unwrap(), [0x61, 0x62]);
}

#[test]
fn a_bad_file_is_named() {
    let with = |change: fn(&mut File)| {
        let mut file = File::byte_level();
        change(&mut file);
        file.error()
    };
    assert!(with(|f| f.model = "bert").contains("model \"bert\" is neither"));
    assert!(with(|f| f.pre = Some("x")).contains("pre-tokenizer \"x\" is not supported"));
    assert!(with(|f| f.tokens[7] = "hello".into()).contains("tokens 7 and 259 are both \"hello\""));
    assert!(with(|f| f.types.truncate(264)).contains("264 `token_types` for 265 tokens"));
    assert!(with(|f| f.types[3] = 9).contains("`token_types[3]` is not a token type"));
    assert!(with(|f| f.merges[0] = "he".into()).contains("merge 0 is \"he\", not two tokens"));
    assert!(with(|f| f.merges[0] = "h zz".into()).contains("merge 0 names \"zz\""));
    assert!(with(|f| f.merges[0] = "o o".into()).contains("merge 0 names \"oo\""));
    assert!(with(|f| f.merges[0] = " ".into()).contains("merge 0 names \"\""));
    assert!(with(|f| f.merges.push("h e".into())).contains("merge 5, \"h e\", is there twice"));
    assert!(with(|f| f.tokens[9] = "a".repeat(5_000)).contains("token 9 has 5000 bytes"));
    assert!(with(|f| f.scores = Some(vec![0.0])).contains("1 `scores` for 265 tokens"));
}

#[test]
fn bad_json_is_an_error_wherever_it_is_cut() {
    let json = File::byte_level().json();
    for end in (0..json.len()).filter(|end| end % 7 == 0) {
        assert!(Tokenizer::new(&json.as_bytes()[..end]).is_err());
    }
    assert!(error(b"\xff").contains("byte 0 is not UTF-8"));
    assert!(error(b"[]").contains("not a JSON object"));
    assert!(error(b"{}").contains("no `tokens`"));
    assert!(error(br#"{"tokens":[]}"#).contains("no tokens"));
    assert!(error(br#"{"tokens":["a",1]}"#).contains("`tokens[1]` is not a string"));
    assert!(error(br#"{"tokens":["a"],"model":7}"#).contains("`model` is not a string"));
    let json = br#"{"tokens":["a"],"model":"gpt2","eos_token_id":1}"#;
    assert!(error(json).contains("`eos_token_id` is not one of the 1 token ids"));
    assert!(error("[".repeat(100_000).as_bytes()).contains("invalid JSON"));
}
