/**
 * The code pages of DOS, in which NetWare writes names and messages: 437 (United States) and 850 (Western Europe).
 * Source of the upper halves: the Unicode consortium's mapping files CP437.TXT and CP850.TXT.
 */

export type CodePage = 437 | 850;

/** The characters of bytes 0x80 to 0xff. */
const UPPER: Readonly<Record<CodePage, string>> = {
  437:
    'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐' +
    '└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0',
  850:
    'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐' +
    '└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0',
};

/** Bytes as text. Bytes below 0x80 are ASCII, control characters included. */
export function decodeCodePage(bytes: Uint8Array, page: CodePage): string {
  const upper = UPPER[page];
  let out = '';
  for (const byte of bytes) out += byte < 0x80 ? String.fromCharCode(byte) : upper[byte - 0x80];
  return out;
}

/** Text as bytes; undefined when the page lacks one of its characters. */
export function encodeCodePage(text: string, page: CodePage): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const at = code < 0x80 ? code : UPPER[page].indexOf(text[i]) + 0x80;
    if (at < 0x80 && code >= 0x80) return undefined;
    bytes[i] = at;
  }
  return bytes;
}
