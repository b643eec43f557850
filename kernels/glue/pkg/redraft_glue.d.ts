/* tslint:disable */
/* eslint-disable */

/**
 * Text for tokens as they come, never splitting a character.
 */
export class Detokenizer {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    flush(): string;
    push(ids: Uint32Array | number[]): string;
}

/**
 * The tokenizer of one model file.
 */
export class Tokenizer {
    free(): void;
    [Symbol.dispose](): void;
    decode(ids: Uint32Array | number[], skip_special: boolean): string;
    detokenizer(skip_special: boolean): Detokenizer;
    encode(text: string, parse_special: boolean): Uint32Array;
    /**
     * @param json What `redraft_tokenizer` of the C ABI gives, UTF-8.
     */
    constructor(json: Uint8Array | number[]);
    tokenBytes(id: number): Uint8Array | undefined;
    readonly addBos: boolean;
    readonly addEos: boolean;
    readonly bosId: number | undefined;
    /**
     * The file's own template, Jinja.
     */
    readonly chatTemplate: string | undefined;
    readonly eosId: number | undefined;
    readonly paddingId: number | undefined;
    readonly specialIds: Uint32Array;
    readonly unknownId: number | undefined;
    readonly vocabSize: number;
}

/**
 * Chained hashes of the full blocks of `tokens`.
 */
export function hashPromptBlocks(tokens: Uint32Array | number[], page_tokens: number, seed: Uint8Array | number[]): BigUint64Array;
