/**
 * Code requirements as text: a Requirement is a small program in prefix form, printed in the language that codesign -r takes
 * ("Code Signing Requirement Language", TN2206; opcodes and print form as in Security's requirement.h and codesign -d -r-).
 */
import { Invalid, Unsupported } from '../../../bytes/errors.ts';
import { hexOf } from '../../../bytes/hex.ts';
import { ByteView, Cursor } from '../../../bytes/view.ts';
import { oid, Tag } from '../../der.ts';
import { CSMAGIC } from './layout.ts';

const objectIdentifier = (body: Uint8Array): string => oid({ tag: Tag.OID, body, whole: body });

export interface Requirement {
  /** `designated`, `host`, `guest`, `library`, `plugin`. */
  readonly kind: string;
  /** `identifier "org.example.kext" and anchor apple generic` */
  readonly text: string;
}

/** Types of requirements in a set, by number; 0 is in use by none. */
const KINDS: readonly string[] = ['invalid', 'host', 'guest', 'designated', 'library', 'plugin'];

const OP = {
  FALSE: 0,
  TRUE: 1,
  IDENT: 2,
  APPLE_ANCHOR: 3,
  ANCHOR_HASH: 4,
  INFO_KEY_VALUE: 5,
  AND: 6,
  OR: 7,
  CD_HASH: 8,
  NOT: 9,
  INFO_KEY_FIELD: 10,
  CERT_FIELD: 11,
  TRUSTED_CERT: 12,
  TRUSTED_CERTS: 13,
  CERT_GENERIC: 14,
  APPLE_GENERIC_ANCHOR: 15,
  ENTITLEMENT_FIELD: 16,
  CERT_POLICY: 17,
  NAMED_ANCHOR: 18,
  NAMED_CODE: 19,
  PLATFORM: 20,
  NOTARIZED: 21,
  CERT_FIELD_DATE: 22,
  LEGACY_DEV_ID: 23,
} as const;

/** The high byte of an opcode: what to make of one that is not known. */
const FLAGS = { MASK: 0xff000000, GENERIC_FALSE: 0x80000000, GENERIC_SKIP: 0x40000000 } as const;

/** Relations of a field, in the order of their numbers; `@` stands for the value, `<>` for a point in time. */
const MATCHES: readonly string[] = [
  ' /* exists */',
  ' = @',
  ' ~ @',
  ' = @*',
  ' = *@',
  ' < @',
  ' > @',
  ' <= @',
  ' >= @',
  ' = <>',
  ' < <>',
  ' > <>',
  ' <= <>',
  ' >= <>',
  ' absent ',
];

/** Words of the language: a value that is one of them is quoted. */
const KEYWORDS: ReadonlySet<string> = new Set(
  (
    'guest host designated library plugin or and always true never false identifier cdhash platform notarized legacy anchor ' +
    'apple generic certificate cert trusted info entitlement exists absent leaf root timestamp'
  ).split(' '),
);

/** Deeper nesting than any compiler of requirements makes; ends a hostile one. */
const MAX_DEPTH = 200;
const MAX_SET = 64;
/** Where an operand stands decides on parentheses: a lower level binds tighter. */
const LEVEL = { PRIMARY: 0, AND: 1, OR: 2, TOP: 3 } as const;

/** The requirements of a set (CSMAGIC_REQUIREMENTS), or a single one. @throws Truncated, Invalid, Unsupported */
export function readRequirements(bytes: Uint8Array): Requirement[] {
  const view = new ByteView(bytes, false);
  const magic = view.u32(0, 'requirements');
  if (magic === CSMAGIC.REQUIREMENT) return [{ kind: 'designated', text: requirementText(bytes) }];
  if (magic !== CSMAGIC.REQUIREMENTS) throw new Invalid('requirements', 'magic is wrong', { value: magic });
  const count = view.u32(8, 'requirements');
  if (count > MAX_SET) throw new Unsupported('requirements', 'more than there are types', { value: count });
  return Array.from({ length: count }, (_, i) => {
    const type = view.u32(12 + i * 8, 'requirements');
    const offset = view.u32(16 + i * 8, 'requirements');
    const length = view.u32(offset + 4, 'requirement');
    return {
      kind: KINDS[type] ?? `/*unknown type*/ ${type}`,
      text: requirementText(view.slice(offset, length, 'requirement')),
    };
  });
}

/** One requirement (CSMAGIC_REQUIREMENT) as text. @throws Truncated, Invalid, Unsupported */
export function requirementText(bytes: Uint8Array): string {
  const cursor = new Cursor(new ByteView(bytes, false));
  const magic = cursor.u32('requirement');
  if (magic !== CSMAGIC.REQUIREMENT) throw new Invalid('requirement', 'magic is wrong', { value: magic });
  cursor.u32('requirement');
  const form = cursor.u32('requirement');
  if (form !== 1) throw new Unsupported('requirement', 'is not in prefix form', { value: form });
  return new Printer(cursor).expression(LEVEL.TOP, 0);
}

class Printer {
  private readonly cursor: Cursor;

  constructor(cursor: Cursor) {
    this.cursor = cursor;
  }

  expression(level: number, depth: number): string {
    if (depth > MAX_DEPTH) throw new Unsupported('requirement', `is nested deeper than ${MAX_DEPTH} levels`);
    const op = this.cursor.u32('opcode of a requirement');
    const plain = (op & ~FLAGS.MASK) >>> 0;
    const pair = (word: string, own: number): string => {
      const text = `${this.expression(own, depth + 1)} ${word} ${this.expression(own, depth + 1)}`;
      return level < own ? `(${text})` : text;
    };
    if (plain === OP.AND) return pair('and', LEVEL.AND);
    if (plain === OP.OR) return pair('or', LEVEL.OR);
    if (plain === OP.NOT) return `! ${this.expression(LEVEL.PRIMARY, depth + 1)}`;
    return this.primary(plain) ?? this.unknown(op, plain);
  }

  private primary(op: number): string | undefined {
    switch (op) {
      case OP.FALSE:
        return 'never';
      case OP.TRUE:
        return 'always';
      case OP.IDENT:
        return `identifier ${this.value()}`;
      case OP.APPLE_ANCHOR:
        return 'anchor apple';
      case OP.APPLE_GENERIC_ANCHOR:
        return 'anchor apple generic';
      case OP.NAMED_ANCHOR:
        return `anchor apple ${this.value()}`;
      case OP.TRUSTED_CERTS:
        return 'anchor trusted';
      case OP.NAMED_CODE:
        return `(${this.value()})`;
      case OP.CD_HASH:
        return `cdhash ${this.hash()}`;
      case OP.PLATFORM:
        return `platform = ${this.cursor.u32() | 0}`;
      case OP.NOTARIZED:
        return 'notarized';
      case OP.LEGACY_DEV_ID:
        return 'legacy';
      case OP.INFO_KEY_VALUE:
        return `info[${this.key()}] = ${this.value()}`;
      case OP.INFO_KEY_FIELD:
        return `info[${this.key()}]${this.match()}`;
      case OP.ENTITLEMENT_FIELD:
        return `entitlement[${this.key()}]${this.match()}`;
      default:
        return this.certificate(op);
    }
  }

  private certificate(op: number): string | undefined {
    switch (op) {
      case OP.ANCHOR_HASH:
        return `certificate ${this.slot()} = ${this.hash()}`;
      case OP.TRUSTED_CERT:
        return `certificate ${this.slot()}trusted`;
      case OP.CERT_FIELD:
        return `certificate ${this.slot()}[${this.key()}]${this.match()}`;
      case OP.CERT_GENERIC:
        return `certificate ${this.slot()}[field.${objectIdentifier(this.data())}]${this.match()}`;
      case OP.CERT_POLICY:
        return `certificate ${this.slot()}[policy.${objectIdentifier(this.data())}]${this.match()}`;
      case OP.CERT_FIELD_DATE:
        return `certificate ${this.slot()}[timestamp.${objectIdentifier(this.data())}]${this.match()}`;
      default:
        return undefined;
    }
  }

  /** Newer opcodes say themselves how long they are and what they count as. */
  private unknown(op: number, plain: number): string {
    if ((op & FLAGS.GENERIC_FALSE) !== 0) {
      this.data();
      return `false /* opcode ${plain} */`;
    }
    if ((op & FLAGS.GENERIC_SKIP) !== 0) {
      this.data();
      return `/* opcode ${plain} */`;
    }
    throw new Unsupported('requirement', 'an opcode is unknown', { value: op, offset: this.cursor.at - 4 });
  }

  private data(): Uint8Array {
    const length = this.cursor.u32('length of a value');
    const bytes = this.cursor.bytes(length, 'value of a requirement');
    // Values are padded to whole words.
    this.cursor.skip(Math.min((4 - (length % 4)) % 4, this.cursor.left), 'value of a requirement');
    return bytes;
  }

  private value(dots = false): string {
    return valueText(this.data(), dots);
  }

  private key(): string {
    return this.value(true);
  }

  private hash(): string {
    return `H"${hexOf(this.data())}"`;
  }

  private slot(): string {
    const slot = this.cursor.u32('certificate of a requirement') | 0;
    if (slot === 0) return 'leaf';
    return slot === -1 ? 'root' : String(slot);
  }

  private match(): string {
    const kind = this.cursor.u32('relation of a requirement');
    const form = MATCHES[kind];
    if (form === undefined)
      throw new Unsupported('requirement', 'a relation is unknown', {
        value: kind,
        offset: this.cursor.at - 4,
      });
    if (form.includes('<>')) return form.replace('<>', this.moment());
    return form.includes('@') ? form.replace('@', () => this.value()) : form;
  }

  /** Seconds since the start of 2001, as CFDate describes itself. */
  private moment(): string {
    const seconds = Number(BigInt.asIntN(64, this.cursor.u64('point in time')));
    const date = new Date((seconds + 978307200) * 1000);
    if (Number.isNaN(date.getTime())) return `<${seconds}>`;
    return `<${date.toISOString().slice(0, 19).replace('T', ' ')} +0000>`;
  }
}

/** A plain word, text in quotation marks, or hexadecimal digits: the simplest that can be read again. */
function valueText(bytes: Uint8Array, dots: boolean): string {
  if (bytes.some((byte) => byte > 0x7e || (byte < 0x20 && !(byte >= 9 && byte <= 13))))
    return `0x${hexOf(bytes)}`;
  const text = String.fromCharCode(...bytes);
  const simple = dots ? /^[A-Za-z.][A-Za-z0-9.]*$/ : /^[A-Za-z][A-Za-z0-9]*$/;
  if (text === '' || (simple.test(text) && !KEYWORDS.has(text))) return text;
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
