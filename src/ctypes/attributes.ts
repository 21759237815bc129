import type { Token } from './lex.ts';

/** What attributes say about layout. Everything else they say does not matter here. */
export interface AttributeSet {
  readonly packed: boolean;
  readonly align?: number;
}

export const NO_ATTRIBUTES: AttributeSet = { packed: false };

/** The parser's side of reading annotations. */
export interface TokenStream {
  peek(ahead?: number): Token;
  next(): Token;
  expect(text: string): void;
  /** Reads a constant expression. */
  constant(): number;
  fail(problem: string): never;
  isType(name: string): boolean;
}

/** Storage classes, qualifiers and function specifiers: none changes a layout or a call. */
const STORAGE = new Set([
  ...[
    'extern',
    'static',
    'register',
    'auto',
    'inline',
    '__inline',
    '__inline__',
    '_Noreturn',
    '__extension__',
  ],
  ...['const', 'volatile', 'restrict', '__restrict', '__restrict__', '__const', '__volatile__', '_Atomic'],
  ...['_Thread_local', '__forceinline', '__const__'],
]);

/** Words without effect on layout that stand before, within or behind declarators in real headers. */
const IGNORED = new Set([
  // Linux (sparse address spaces, sections, checks)
  ...[
    '__user',
    '__kernel',
    '__iomem',
    '__rcu',
    '__percpu',
    '__force',
    '__bitwise',
    '__private',
    '__nocast',
    '__safe',
  ],
  ...['__init', '__exit', '__meminit', '__initdata', '__must_check', '__always_inline', '__cold', '__weak'],
  ...[
    '__pure',
    '__attribute_const__',
    '__malloc',
    '__deprecated',
    '__visible',
    '__maybe_unused',
    '__always_unused',
  ],
  ...[
    'noinline',
    '__noreturn',
    'asmlinkage',
    '__sched',
    '__latent_entropy',
    '__no_sanitize_or_inline',
    'notrace',
  ],
  ...['__read_mostly', '__ro_after_init', '__designated_init', '__no_randomize_layout', '__randomize_layout'],
  ...[
    '__cpuidle',
    '__used',
    '__noclone',
    'fastcall',
    '__refdata',
    '__weak_reference',
    'noinstr',
    '__nonstring',
  ],
  // Windows (SAL 1, calling conventions: both are for the reader of a prototype, not for its layout)
  ...[
    'IN',
    'OUT',
    'INOUT',
    'OPTIONAL',
    'CONST',
    'FAR',
    'NEAR',
    'UNALIGNED',
    '__unaligned',
    '__ptr64',
    '__ptr32',
  ],
  ...[
    'NTAPI',
    'WINAPI',
    'APIENTRY',
    'CALLBACK',
    'FASTCALL',
    'NTSYSAPI',
    'NTKERNELAPI',
    'NTHALAPI',
    'DECLSPEC_IMPORT',
  ],
  ...['__stdcall', '__cdecl', '__fastcall', '__thiscall', '_stdcall', '_cdecl', '_fastcall', '__vectorcall'],
]);

/** Ignored words that take arguments. */
const IGNORED_CALLS =
  /^(__printf|__scanf|__counted_by|__counted_by_le|__alloc_size|__cond_acquires|__acquires|__releases|__must_hold|__asm__|asm|__asm|__diagnose_as|__section|_(In|Out|Inout|Ret|When|Post|Pre|Field|Struct|Success|IRQL|Function|Requires|Releases|Acquires|At|Use|Deref|Must|Check|Null|Param)\w*_?)$/;

/** Cache line of every machine here that pads to it; s390x has 256, which its own headers spell out. */
const CACHE_LINE = 64;

export class Annotations {
  readonly #stream: TokenStream;

  constructor(stream: TokenStream) {
    this.#stream = stream;
  }

  isStorageOrQualifier(word: string): boolean {
    return STORAGE.has(word);
  }

  /** Does an annotation begin with this word? `following` is the text of the token after it. */
  starts(word: string, following: string): boolean {
    if (/^(__attribute__|__attribute|__declspec|_Alignas|alignas)$/.test(word)) return true;
    if (/^(__packed|____?cacheline\w*aligned\w*)$/.test(word)) return true;
    if (word === '__aligned' && following === '(') return true;
    if (IGNORED.has(word)) return !this.#stream.isType(word);
    return IGNORED_CALLS.test(word) && !this.#stream.isType(word);
  }

  /** Reads one annotation and adds what it says to what is known. */
  read(before: AttributeSet): AttributeSet {
    const { text } = this.#stream.next();
    if (text === '__packed') return { ...before, packed: true };
    if (/^____?cacheline/.test(text)) return raise(before, CACHE_LINE);
    if (/^(__aligned|_Alignas|alignas)$/.test(text)) return raise(before, this.#argument());
    if (/^__attribute/.test(text)) return this.#gnu(before);
    if (text === '__declspec') return this.#declspec(before);
    if (this.#stream.peek().text === '(' && IGNORED_CALLS.test(text)) this.#skip();
    return before;
  }

  #argument(): number {
    this.#stream.expect('(');
    const value = this.#alignment(this.#stream.constant());
    this.#stream.expect(')');
    return value;
  }

  #alignment(value: number): number {
    const powerOfTwo = value >= 1 && value <= 1 << 28 && Number.isInteger(Math.log2(value));
    if (!powerOfTwo) this.#stream.fail(`alignment ${value} is not a power of two`);
    return value;
  }

  /** `__attribute__((a, b(c)))`. */
  #gnu(before: AttributeSet): AttributeSet {
    this.#stream.expect('(');
    this.#stream.expect('(');
    let attributes = before;
    while (this.#stream.peek().text !== ')') {
      if (this.#stream.peek().kind === 'end') this.#stream.fail("')' is missing");
      attributes = this.#one(attributes);
      if (this.#stream.peek().text === ',') this.#stream.next();
    }
    this.#stream.expect(')');
    this.#stream.expect(')');
    return attributes;
  }

  #declspec(before: AttributeSet): AttributeSet {
    this.#stream.expect('(');
    const attributes = this.#one(before);
    this.#stream.expect(')');
    return attributes;
  }

  #one(before: AttributeSet): AttributeSet {
    const name = this.#stream.next().text.replace(/^__|__$/g, '');
    const called = this.#stream.peek().text === '(';
    if (name === 'packed') return { ...before, packed: true };
    if (name === 'aligned' || name === 'align') {
      // Without a number gcc means the largest alignment of the machine: 16 wherever modules are built.
      return raise(before, called ? this.#argument() : 16);
    }
    if (/^(vector_size|mode)$/.test(name))
      this.#stream.fail(`attribute '${name}' changes the type and is not supported`);
    if (called) this.#skip();
    return before;
  }

  #skip(): void {
    let depth = 0;
    do {
      const { text, kind } = this.#stream.next();
      if (kind === 'end') this.#stream.fail("')' is missing");
      if (text === '(') depth++;
      if (text === ')') depth--;
    } while (depth > 0);
  }
}

function raise(before: AttributeSet, align: number): AttributeSet {
  return { ...before, align: Math.max(before.align ?? 1, align) };
}
