/**
 * Whether a text is well-formed XML with no more in it than a property list has. Asked before the parser sees it: that one
 * writes to the console about everything it does not like, goes on after some of it, and its stack is the host's.
 */
import { Invalid, Unsupported } from '../../bytes/errors.ts';

/** Open elements at once; honest lists have fewer than ten. */
const MAX_DEPTH = 200;
/** What one step reads: a comment, CDATA, instruction or document type; a tag (closing, name, empty); text. */
const TOKEN =
  /<!--[\s\S]*?-->|(<!\[CDATA\[[\s\S]*?\]\]>)|<\?[\w-]+(?:\s[^<>]*?)?\?>|(<!DOCTYPE\s[^<>[\]]*>)|<(\/?)([a-zA-Z]+)(?:\s+[a-z:]+\s*=\s*(?:"[^"<&]*"|'[^'<&]*'))*\s*(\/?)>|([^<]+)/y;
const REFERENCE = /&(?!(?:lt|gt|amp|quot|apos|#\d{1,7}|#x[\da-fA-F]{1,6});)[^;\s<]{0,20};?/;

/**
 * The root element and what follows: declaration and document type tell nothing, and are left out.
 * @throws Invalid, Unsupported for what is not well-formed, declares entities, or nests too deep
 */
export function rootOfPlistXml(text: string, what: string): string {
  if (/<!ENTITY/i.test(text)) throw new Unsupported(what, 'declares entities');
  const open: string[] = [];
  let root: number | undefined;
  const wrong = (problem: string, offset: number): never => {
    throw new Invalid(what, `is no property list: ${problem}`, { offset });
  };
  for (let at = 0; at < text.length; ) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text) ?? wrong(`no markup: ${text.slice(at, at + 12).split('\n')[0]}`, at);
    const [whole, cdata, doctype, closing, name, empty, chars] = match;
    if (name !== undefined) {
      if (closing === '/' && open.pop() !== name) wrong(`</${name}> closes what is not open`, at);
      if (closing !== '/' && open.length === 0 && root !== undefined) wrong(`<${name}> behind its end`, at);
      root ??= at;
      if (closing !== '/' && empty !== '/') open.push(name);
      if (open.length > MAX_DEPTH) throw new Unsupported(what, `is nested deeper than ${MAX_DEPTH} levels`);
    } else if (doctype !== undefined) {
      if (root !== undefined) wrong('a document type behind its start', at);
    } else if (open.length === 0 && (cdata ?? chars ?? '').trim() !== '') wrong('text outside of it', at);
    const reference = chars === undefined ? null : REFERENCE.exec(chars);
    if (reference !== null) wrong(`${reference[0]} is no reference of XML`, at);
    at += whole.length;
  }
  if (open.length > 0) wrong(`<${open.at(-1)}> is not closed`, text.length);
  return text.slice(root ?? wrong('there is no element in it', 0));
}
