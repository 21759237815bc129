/** `--gdb PORT`: runs a command under gdb, and runs it again from the start where gdb goes back. */
import { Abandoned } from '../kernel/abandon.ts';
import { DebugControl } from '../kernel/debug/control.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { SocketError, WaitingSocket } from '../targets/gdb/socket.ts';
import { GdbStub } from '../targets/gdb/stub.ts';
import type { CommandContext } from './command.ts';
import { Failure } from './failure.ts';

/** Hands a kernel that has run nothing yet to whoever looks at it. */
export type Attach = (k: Kernel) => void;

/** Runs `body`, under gdb when --gdb was given. A body may be run several times: all it keeps is made in it. */
export async function debuggable(
  context: CommandContext,
  body: (context: CommandContext, attach: Attach) => Promise<number>,
): Promise<number> {
  const port = context.options.integer('gdb');
  if (port === undefined) return body(context, () => {});
  const socket = listen(port);
  context.err(`waiting for gdb: target remote 127.0.0.1:${socket.port}\n`);
  socket.accept();
  const stub = new GdbStub(socket);
  const control = new DebugControl(stub);
  stub.serve(control);
  const quiet = withoutRepetition(context, control);
  for (;;) {
    try {
      const code = await body(quiet, (k) => control.attach(k));
      stub.exited(code);
      return code;
    } catch (error) {
      if (error instanceof Abandoned && control.replaying) continue;
      stub.exited(1);
      if (!(error instanceof Abandoned)) throw error;
      context.err(`${error.message}\n`);
      return 1;
    }
  }
}

function listen(port: number): WaitingSocket {
  try {
    return new WaitingSocket(port);
  } catch (error) {
    if (!(error instanceof SocketError)) throw error;
    const hint = error.code === 'EADDRINUSE' ? 'Give another port, or 0 for a free one.' : undefined;
    throw new Failure(`port ${port} cannot be listened on: ${error.message}`, { subject: '--gdb', hint });
  }
}

/** The same context, silent while a run is repeated: what it says was said before. */
function withoutRepetition(context: CommandContext, control: DebugControl): CommandContext {
  const quiet: CommandContext = Object.create(context);
  return Object.assign(quiet, {
    out: (text: string | Uint8Array) => control.replaying || context.out(text),
    err: (text: string) => control.replaying || context.err(text),
    output: {
      out: (text: string | Uint8Array) => control.replaying || context.output.out(text),
      err: (text: string) => control.replaying || context.output.err(text),
      get closed() {
        return context.output.closed;
      },
    },
  });
}
