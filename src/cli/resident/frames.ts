/** What goes over the socket of a kept kernel: one JSON object a line, in both directions. */
import type { Output } from '../output.ts';

/** A command line to be run beside the kernel, as if it had been given there. */
export interface Request {
  readonly argv: readonly string[];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly columns: number;
  /** Which of standard output and standard error is a terminal. */
  readonly terminals: readonly [out: boolean, err: boolean];
}

/** Text goes as it is, bytes in base64. The last frame has the exit code. */
export type Frame =
  | { readonly out: string }
  | { readonly bytes: string }
  | { readonly err: string }
  | { readonly errBytes: string }
  | { readonly code: number };

/** Longest line in either direction, in characters: a file that is shown goes in one piece. */
const LONGEST = 1 << 30;

/** Cuts what arrives into lines. */
export class LineReader {
  private readonly decoder = new TextDecoder();
  private parts: string[] = [];
  private length = 0;

  /** Complete lines, without their line feeds. @throws RangeError for a line longer than any frame */
  feed(chunk: Uint8Array): string[] {
    const [first, ...more] = this.decoder.decode(chunk, { stream: true }).split('\n');
    this.parts.push(first);
    this.length += first.length;
    if (this.length > LONGEST) throw new RangeError('a frame is longer than 1 GiB');
    const last = more.pop();
    if (last === undefined) return [];
    const lines = [this.parts.join(''), ...more];
    this.parts = [last];
    this.length = last.length;
    return lines;
  }
}

export const line = (value: Request | Frame): string => `${JSON.stringify(value)}\n`;

/** What the other side wrote, written here. */
export function showFrame(frame: Exclude<Frame, { code: number }>, to: Pick<Output, 'out' | 'err'>): void {
  if ('out' in frame) to.out(frame.out);
  else if ('bytes' in frame) to.out(Buffer.from(frame.bytes, 'base64'));
  else if ('err' in frame) to.err(frame.err);
  else to.err(Buffer.from(frame.errBytes, 'base64'));
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** An output that goes to the other side. */
export function frameOutput(send: (frame: Frame) => void, closed: () => boolean): Output {
  return {
    out: (text) => send(typeof text === 'string' ? { out: text } : { bytes: base64(text) }),
    err: (text) => send(typeof text === 'string' ? { err: text } : { errBytes: base64(text) }),
    get closed() {
      return closed();
    },
  };
}
