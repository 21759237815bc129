import { gunzipSync } from 'fflate';

/** Longest configuration that is taken: real ones have 0.3 MB. Bounds what a hostile image can make us unpack. */
const MAX_CONFIG_BYTES = 4 << 20;

/** A `.config` text: `CONFIG_X` to its value, strings without quotes; options that are "not set" are left out. */
export function parseConfig(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^(CONFIG_\w+)=(?:"(.*)"|(.*?))\s*$/.exec(line);
    if (match !== null) options.set(match[1]!, match[2]?.replace(/\\(.)/g, '$1') ?? match[3]!);
  }
  return options;
}

/** The configuration that CONFIG_IKCONFIG puts between two marks, as gzip; undefined where there is none. */
export function embeddedConfig(bytes: Uint8Array): Map<string, string> | undefined {
  const start = find(bytes, 'IKCFG_ST', 0);
  const end = start < 0 ? -1 : find(bytes, 'IKCFG_ED', start);
  if (end < start + 26) return undefined; // less than a gzip header and trailer
  const packed = bytes.subarray(start + 8, end);
  // The last four bytes of gzip are the unpacked size: refuse before unpacking, not after.
  const size = new DataView(packed.buffer, packed.byteOffset, packed.byteLength).getUint32(
    packed.length - 4,
    true,
  );
  if (size > MAX_CONFIG_BYTES) return undefined;
  return parseConfig(new TextDecoder().decode(gunzipSync(packed, { out: new Uint8Array(size) })));
}

function find(bytes: Uint8Array, mark: string, from: number): number {
  const first = mark.charCodeAt(0);
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1;
    while (i < mark.length && bytes[at + i] === mark.charCodeAt(i)) i++;
    if (i === mark.length) return at;
  }
  return -1;
}
