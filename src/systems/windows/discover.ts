/** Names that a driver's file holds: found by looking, so some may be missing and none is a promise. */
import type { PeFile } from '../../formats/pe/read.ts';

export interface FoundNames {
  readonly devices: readonly string[];
  readonly links: readonly string[];
}

const MAX_NAMES = 256;

/** Texts of 16-bit units that begin with `\`. */
function* wideTexts(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at + 1 < bytes.length; at++) {
    if (bytes[at] !== 0x5c || bytes[at + 1] !== 0) continue;
    let text = '';
    let end = at;
    while (
      end + 1 < bytes.length &&
      bytes[end + 1] === 0 &&
      bytes[end] >= 0x20 &&
      bytes[end] < 0x7f &&
      text.length < 256
    ) {
      text += String.fromCharCode(bytes[end]);
      end += 2;
    }
    if (text.length < 4) continue;
    yield text;
    at = end;
  }
}

export function findNames(pe: PeFile): FoundNames {
  const devices = new Set<string>();
  const links = new Set<string>();
  for (const { data } of pe.sections) {
    for (const text of wideTexts(data)) {
      if (devices.size + links.size > MAX_NAMES) break;
      if (/^\\Device\\/i.test(text)) devices.add(text);
      else if (/^\\(DosDevices|\?\?|GLOBAL\?\?)\\/i.test(text)) links.add(text);
    }
  }
  return { devices: [...devices], links: [...links] };
}
