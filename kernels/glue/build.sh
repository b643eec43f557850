#!/bin/sh
# Builds the package in pkg/ from the sources beside this file, and the digest of those sources.
# Only whoever changes the sources runs this: the package is committed, so that users need no Rust.
#
# Needs on PATH:
#   cargo and rustc   1.88 or later, with a standard library for wasm32-unknown-unknown. rustup:
#                     `rustup target add wasm32-unknown-unknown`. Debian: packages rustc-web,
#                     cargo-web, rust-web-src and lld-22, whose standard library is built with
#                     `cargo build --release -Zbuild-std=std,panic_abort --target
#                     wasm32-unknown-unknown` in an empty library crate (RUSTC_BOOTSTRAP=1,
#                     RUSTFLAGS="-C embed-bitcode=yes -C target-feature=+simd128") and whose rlibs
#                     go to /usr/lib/rustlib/wasm32-unknown-unknown/lib.
#   wasm-pack         0.15: `cargo install wasm-pack`
#   wasm-bindgen      0.2.130, equal to Cargo.toml's: `cargo install wasm-bindgen-cli --version ...`
set -eu
cd "$(dirname "$0")"

# Panic messages hold the paths of sources; those of whoever built it are nobody's business.
crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
remaps=""
for folder in "$crates"/*; do
  remaps="$remaps --remap-path-prefix=$folder=crates"
done
flags="-C target-feature=+simd128 --cfg getrandom_backend=\"wasm_js\""
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$flags $remaps"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-../../build/glue}"

# `bundler` is the form in which the module itself imports the WebAssembly file: Deno loads that as
# part of the program, without a permission to read.
wasm-pack build --mode no-install --release --target bundler --no-pack --out-dir pkg
rm -f pkg/.gitignore
find Cargo.toml Cargo.lock src -type f | LC_ALL=C sort | xargs sha256sum > pkg/SOURCES.sha256
