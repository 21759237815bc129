/** Gives a command line to the process that keeps a kernel, and shows what comes back. */
import { connect, type Socket } from 'node:net';
import type { CommandContext } from '../command.ts';
import { Failure } from '../failure.ts';
import { type Frame, LineReader, line, type Request, showFrame } from './frames.ts';
import { type Place, placeOf } from './place.ts';

/**
 * Runs `argv` (words after `lkm`) beside the kept kernel of a system; resolves to the exit code.
 * @throws Failure when no kernel is kept
 */
export async function forward(
  context: CommandContext,
  system: string,
  argv: readonly string[] = context.argv,
): Promise<number> {
  const socket = await reach(placeOf(system, context.environment), system);
  const request: Request = {
    argv,
    folder: process.cwd(),
    environment: Object.fromEntries(
      Object.entries(context.environment).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value]],
      ),
    ),
    columns: context.columns,
    terminals: [context.isTTY, false],
  };
  socket.write(line(request));
  return await answer(socket, context);
}

/** Is a kernel of this system kept, and does its process listen? */
export async function isKept(context: CommandContext, system: string): Promise<boolean> {
  const place = placeOf(system, context.environment);
  try {
    (await reach(place, system)).destroy();
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

function reach(place: Place, system: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(place.socket);
    socket.once('connect', () => resolve(socket));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      // ECONNREFUSED: its process is gone and left the socket behind.
      const none = code === 'ENOENT' || code === 'ECONNREFUSED';
      reject(
        new Failure(none ? 'no kernel is kept' : `the kept kernel does not answer (${code})`, {
          subject: system,
          hint: none ? `\`lkm boot ${system}\` starts one` : `\`lkm halt ${system}\` ends it`,
        }),
      );
    });
  });
}

function answer(socket: Socket, context: CommandContext): Promise<number> {
  const reader = new LineReader();
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Uint8Array) => {
      for (const text of reader.feed(chunk)) {
        const frame = JSON.parse(text) as Frame;
        if (!('code' in frame)) {
          showFrame(frame, context);
          continue;
        }
        socket.end();
        resolve(frame.code);
      }
    });
    socket.on('error', reject);
    socket.on('close', () =>
      reject(new Failure('the process that kept the kernel ended before it answered')),
    );
  });
}
