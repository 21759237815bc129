/** `m`: changes memory cell by cell; every line typed is a value, nothing (leave it) or a full stop (the end). */
import type { VxWorks } from '../../systems/vxworks/vxworks.ts';
import { hex } from '../../systems/vxworks/wording.ts';
import { ShellError } from './interpreter.ts';

export class Modifier {
  private readonly k: VxWorks;
  private readonly width: number;
  private at: number;

  constructor(k: VxWorks, at: number, width: number) {
    this.width = width === 0 ? 2 : width;
    if (![1, 2, 4, 8].includes(this.width)) throw new ShellError('the width is 1, 2, 4 or 8');
    this.k = k;
    this.at = at;
    // Fails now, not at the prompt, when nothing is there.
    k.memory.bytes(at, this.width);
  }

  get prompt(): string {
    const bits = this.k.spec.pointerBytes * 8;
    const digits = [...this.k.memory.bytes(this.at, this.width)]
      .reverse()
      .map((byte) => byte.toString(16).padStart(2, '0'));
    return `${hex(this.at, bits)
      .slice(2)
      .padStart(bits / 4, '0')}:  ${digits.join('')}-`;
  }

  /** False at the end. */
  line(text: string): boolean {
    const word = text.trim();
    if (word === '.') return false;
    if (word !== '') this.store(word);
    this.at += this.width;
    this.k.memory.bytes(this.at, this.width);
    return true;
  }

  /** Values are hexadecimal, as what is shown. */
  private store(word: string): void {
    if (!/^(0x)?[0-9a-f]+$/i.test(word)) throw new ShellError(`${word} is no hexadecimal number`);
    let value = BigInt(word.startsWith('0x') ? word : `0x${word}`);
    const bytes = new Uint8Array(this.width);
    for (let i = 0; i < this.width; i++, value >>= 8n) bytes[i] = Number(value & 0xffn);
    this.k.memory.write(this.at, bytes);
  }
}
