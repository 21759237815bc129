/**
 * Text of a module (its name, its log, its strings) made safe for a terminal: control characters other than line feed
 * and tab, which could move the cursor or send the terminal commands, are shown as \xNN, the way dmesg shows them.
 * C1 controls count too (ECMA-48, 8.3); bidirectional overrides, which can make text read as other text, as \u{NNNN}.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
