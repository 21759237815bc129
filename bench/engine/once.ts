/**
 * One workload in a process of its own, its first call included:
 * `node engine-once.js ENGINE FLAT WHICH BYTES FILE` prints the result, the two times and the instructions.
 */
import { openSync, readFileSync, readSync } from 'node:fs';
import type * as Bare from '../../src/cpu/bare-machine.ts';
import type { Engine } from '../../src/cpu/engines.ts';
import { now } from '../clock.ts';

// The library as it is built and shipped, not a bundle of its sources.
const library = new URL('../../node/cpu/bare-machine.js', import.meta.url);
const { bareMachine }: typeof Bare = await import(library.href);

const [engine, flat, which, bytes, path] = process.argv.slice(2);
const size = Number(bytes);
const room = (size + 4095) & ~4095;
const machine = bareMachine(engine as Engine, readFileSync(flat), 3 * room + 65536);
const scratch = machine.data + room;
// Piece by piece: whole copies would be collected in the time of the call.
const piece = new Uint8Array(65536);
const input = openSync(path, 'r');
for (let at = 0; at < size; at += piece.length) {
  const read = readSync(input, piece, 0, Math.min(piece.length, size - at), at);
  machine.memory.write(machine.data + at, piece.subarray(0, read));
}
piece.fill(1);
for (let at = 0; at < 2 * room + 65536; at += piece.length)
  machine.memory.write(scratch + at, piece.subarray(0, Math.min(piece.length, 2 * room + 65536 - at)));
// Node loads what tells the time when it is first asked, and reading the system's file costs more the first time.
performance.now();
now();
const own = now();
const wall = performance.now();
const result = machine.call(Number(which), machine.data, size, scratch);
const ownSeconds = (now() - own) / 1e3;
const wallSeconds = (performance.now() - wall) / 1e3;
console.log(`${result} ${ownSeconds.toFixed(9)} ${wallSeconds.toFixed(9)} ${machine.cpu.retired}`);
// Compilers may still be at work on other threads.
process.exit(0);
