// The network's one encoding, as far as a reader of proofs needs it: fields in order, integers big-endian at fixed width, lists and
// bytes of varying length behind their length (u32) and bounded. consensus/types/src/canonical.rs is the other half.

/** The bytes are no canonical encoding. */
export class Malformed extends Error {}

/** Bytes from outside that have not been read yet. */
export class Reader {
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** The next `count` bytes. */
  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.bytes.length) throw new Malformed("the bytes end too early");
    const taken = this.bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(): number {
    return Number(number(this.take(2)));
  }

  u32(): number {
    return Number(number(this.take(4)));
  }

  u64(): bigint {
    return number(this.take(8));
  }

  bool(): boolean {
    const tag = this.u8();
    if (tag > 1) throw new Malformed(`unknown bool tag ${tag}`);
    return tag === 1;
  }

  /** Bytes behind their length, at most `bound`. */
  blob(bound: number): Uint8Array {
    return this.take(this.#length(bound));
  }

  /** A list behind its length, at most `bound` entries. */
  list<T>(bound: number, entry: () => T): T[] {
    const length = this.#length(bound);
    const entries: T[] = [];
    while (entries.length < length) entries.push(entry());
    return entries;
  }

  /** Everything must have been read. */
  end(): void {
    if (this.#at !== this.bytes.length) throw new Malformed("bytes are left over after the value");
  }

  #length(bound: number): number {
    const length = this.u32();
    if (length > bound) throw new Malformed(`a list of ${length} is longer than its bound ${bound}`);
    return length;
  }
}

/** A big-endian number of any width. */
export function number(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** A big-endian number at a fixed width. */
export function encoded(value: bigint | number, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  for (let at = width - 1, rest = BigInt(value); at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
  return bytes;
}

export function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
