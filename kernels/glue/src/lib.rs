//! Redraft's WebAssembly side: the tokenizer of a model file, the incremental detokenizer and the
//! prompt-block hashes. `bindings` is what JavaScript sees; everything else is plain Rust.

mod bindings;
mod byte_alphabet;
pub mod byte_pair;
pub mod detokenizer;
pub mod error;
pub mod pre_tokenizer;
pub mod prompt_blocks;
pub mod sentence_piece;
pub mod source;
pub mod tokenizer;
pub mod vocabulary;

#[cfg(test)]
mod tokenizer_test;
