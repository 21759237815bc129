/** Framing of the remote serial protocol (GDB manual, appendix E.1): `$data#checksum`, escapes, acknowledgements. */

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const INTERRUPT = 3;
/** No packet of gdb is longer than what it was told. */
export const PACKET_BYTES = 0x4000;

export type Incoming =
  | { readonly kind: 'packet'; readonly data: Uint8Array }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'interrupt' };

/** Takes bytes as they come and gives what they hold. */
export class PacketReader {
  #bytes = new Uint8Array(0);

  push(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.length + bytes.length);
    joined.set(this.#bytes);
    joined.set(bytes, this.#bytes.length);
    this.#bytes = joined;
  }

  /** The next packet, or undefined until there is a whole one. */
  next(): Incoming | undefined {
    for (let at = 0; at < this.#bytes.length; at++) {
      const byte = this.#bytes[at];
      if (byte === INTERRUPT) {
        this.#drop(at + 1);
        return { kind: 'interrupt' };
      }
      // Acknowledgements, and whatever else stands between packets.
      if (byte !== DOLLAR) continue;
      const end = this.#bytes.indexOf(HASH, at);
      if (end < 0 || end + 2 >= this.#bytes.length) {
        // What can never become a packet is not kept.
        this.#drop(this.#bytes.length - at > 4 * PACKET_BYTES ? this.#bytes.length : at);
        return undefined;
      }
      const data = this.#bytes.slice(at + 1, end);
      const sent = Number.parseInt(String.fromCharCode(this.#bytes[end + 1], this.#bytes[end + 2]), 16);
      this.#drop(end + 3);
      return sent === checksum(data) ? { kind: 'packet', data: unescaped(data) } : { kind: 'damaged' };
    }
    this.#bytes = new Uint8Array(0);
    return undefined;
  }

  #drop(bytes: number): void {
    this.#bytes = this.#bytes.slice(bytes);
  }
}

/** A packet that carries `data`, text as Latin-1. */
export function framed(data: string | Uint8Array): Uint8Array {
  const raw = typeof data === 'string' ? latin1(data) : data;
  const body: number[] = [];
  for (const byte of raw) {
    // Also *, which would be read as a run length.
    if (byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === 0x2a) body.push(ESCAPE, byte ^ 0x20);
    else body.push(byte);
  }
  const sum = checksum(Uint8Array.from(body)).toString(16).padStart(2, '0');
  return Uint8Array.from([DOLLAR, ...body, HASH, ...latin1(sum)]);
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0) & 255);
}

function checksum(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum + byte) & 255, 0);
}

function unescaped(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < bytes.length; at++)
    out.push(bytes[at] === ESCAPE ? (bytes[++at] ?? 0) ^ 0x20 : bytes[at]);
  return Uint8Array.from(out);
}

/** Bytes of hexadecimal digits; what is none is left out. */
export function bytesOf(hex: string): Uint8Array {
  const pairs = hex.match(/[0-9a-fA-F]{2}/g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}
