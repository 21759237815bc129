/** Commands beyond gdb's own: `monitor NAME`. */
import type { Kernel } from '../../kernel/kernel.ts';
import type { Thread } from '../../kernel/thread.ts';
import { liveFrame, StackReader } from '../../kernel/trace/stack.ts';
import { pointerText } from '../../kernel/trace/values.ts';
import { addSymbolFile } from './libraries.ts';

const HELP = `monitor modules           what is loaded, as add-symbol-file commands
monitor backtrace         the stack through machine code and kernel functions
monitor threads           the threads, and what they wait for
monitor symbol ADDRESS    the symbol an address lies in
monitor find NAME         the address of a symbol
monitor log [LINES]       the end of the kernel's log
monitor time              instructions executed, and the kernel's own time
`;

const LOG_LINES = 20;

/** The answer to a command, in lines. */
export function monitor(k: Kernel, thread: Thread, command: string): string {
  const [name, argument = ''] = command.trim().split(/\s+/);
  switch (name) {
    case 'modules':
      return (
        k
          .placed()
          .map((file) => `${addSymbolFile(k, file)}\n`)
          .join('') || 'nothing is loaded\n'
      );
    case 'backtrace':
    case 'bt':
      return new StackReader(k)
        .read(thread, liveFrame(k))
        .map(
          ({ name: where, frame }, n) => `#${n}  ${frame === undefined ? where : pointerText(k, frame.ip)}\n`,
        )
        .join('');
    case 'threads':
      return [...k.scheduler.threads]
        .map(({ id, name: who, state, blockedWhy }) => `${id} ${who}: ${state} ${blockedWhy}`.trimEnd())
        .join('\n')
        .concat('\n');
    case 'symbol':
      return /^0x[0-9a-f]{1,16}$/i.test(argument)
        ? `${pointerText(k, Number(BigInt.asIntN(k.cpu.bits, BigInt(argument))))}\n`
        : 'symbol ADDRESS: the address in hexadecimal, with 0x\n';
    case 'find': {
      const found = k.symbols.find(argument);
      return found === undefined
        ? `no symbol ${argument}\n`
        : `0x${BigInt.asUintN(k.cpu.bits, BigInt(found)).toString(16)}\n`;
    }
    case 'log':
      return k.log.records
        .slice(-(Number.parseInt(argument, 10) || LOG_LINES))
        .map(({ text }) => `${text}\n`)
        .join('');
    case 'time':
      return `${k.cpu.retired} instructions, ${Math.round(k.time.now())} ns\n`;
    default:
      return HELP;
  }
}
