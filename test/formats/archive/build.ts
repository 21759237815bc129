/** Small archives of every format, made by hand. */
import { gzipSync, zipSync } from 'fflate';

export interface Made {
  readonly path: string;
  readonly text?: string;
  readonly link?: string;
}

const latin = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const filled = (bytes: Uint8Array, step: number): Uint8Array =>
  join([bytes, new Uint8Array((step - (bytes.length % step)) % step)]);

function tarHeader(name: string, type: string, size: number, link = ''): Uint8Array {
  const block = new Uint8Array(512);
  const put = (at: number, text: string) => block.set(latin(text), at);
  put(0, name.slice(0, 100));
  put(100, '0000644\0');
  put(124, `${size.toString(8).padStart(11, '0')}\0`);
  put(136, `${(1_700_000_000).toString(8)}\0`);
  put(148, '        ');
  put(156, type);
  put(157, link);
  put(257, 'ustar\0' + '00');
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return block;
}

export function tar(files: readonly Made[], names: 'plain' | 'gnu' | 'pax' = 'plain'): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { path, text, link } of files) {
    const body = latin(text ?? '');
    if (names === 'gnu')
      parts.push(tarHeader('././@LongLink', 'L', path.length + 1), filled(latin(`${path}\0`), 512));
    if (names === 'pax') {
      const rest = ` path=${path}\n`;
      let length = rest.length + 1;
      while (`${length}${rest}`.length !== length) length++;
      parts.push(tarHeader('pax', 'x', length), filled(latin(`${length}${rest}`), 512));
    }
    const type = link === undefined ? (text === undefined ? '5' : '0') : '2';
    parts.push(tarHeader(names === 'plain' ? path : 'short', type, body.length, link), filled(body, 512));
  }
  return join([...parts, new Uint8Array(1024)]);
}

export function cpio(files: readonly Made[]): Uint8Array {
  const hex = (value: number) => value.toString(16).padStart(8, '0');
  const parts: Uint8Array[] = [];
  for (const { path, text, link } of [...files, { path: 'TRAILER!!!', text: '' }]) {
    const mode = link !== undefined ? 0o120777 : text === undefined ? 0o040755 : 0o100644;
    const body = latin(link ?? text ?? '');
    const fields = [
      parts.length + 1,
      mode,
      0,
      0,
      1,
      1_700_000_000,
      body.length,
      0,
      0,
      0,
      0,
      path.length + 1,
      0,
    ];
    parts.push(filled(latin(`070701${fields.map(hex).join('')}${path}\0`), 4), filled(body, 4));
  }
  return join(parts);
}

export const zip = (files: readonly Made[]): Uint8Array =>
  zipSync(
    Object.fromEntries(
      files.filter(({ text }) => text !== undefined).map(({ path, text }) => [path, latin(text ?? '')]),
    ),
  );

export function deb(data: Uint8Array, name = 'data.tar.gz'): Uint8Array {
  const member = (title: string, body: Uint8Array) =>
    filled(
      join([
        latin(
          `${title.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'644'.padEnd(8)}${String(body.length).padEnd(10)}\`\n`,
        ),
        body,
      ]),
      2,
    );
  return join([latin('!<arch>\n'), member('debian-binary', latin('2.0\n')), member(name, data)]);
}

export function rpm(payload: Uint8Array): Uint8Array {
  const lead = new Uint8Array(96);
  lead.set([0xed, 0xab, 0xee, 0xdb]);
  const header = (entries: number, size: number) => {
    const bytes = new Uint8Array(16 + 16 * entries + size);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x8eade801);
    view.setUint32(8, entries);
    view.setUint32(12, size);
    return bytes;
  };
  return join([lead, filled(header(1, 5), 8), header(2, 7), payload]);
}

export const gz = (bytes: Uint8Array): Uint8Array => gzipSync(bytes);
export { join };
