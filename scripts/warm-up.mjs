/**
 * `node warm-up.mjs WORDS`: runs lkm with these words and keeps the compiled code of its scripts (code-cache.mjs), beside
 * each of them. What an earlier such process has kept is in it too, as this one has begun with it.
 */
import { writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { gzipSync } from 'node:zlib';
import { root } from './setup.mjs';

/**
 * Kept code says of a function that it had been through the baseline compiler, and V8 then compiles it so at its first call:
 * a quarter of the time in which hot code is first translated (measured). And code that has not run for some collections of
 * garbage is thrown away. Here nothing of the two happens; but compiled code is taken under the flags alone under which it
 * was made, so that they are as ever while a script is compiled or kept.
 */
const CHANGED = ['sparkplug', 'flush-bytecode'];
const change = v8.setFlagsFromString;
const asEver = () => {
  for (const flag of CHANGED) change(`--${flag}`);
};
const asHere = () => {
  for (const flag of CHANGED) change(`--no-${flag}`);
};
asHere();

const scripts = [];
vm.Script = class extends vm.Script {
  constructor(code, options) {
    asEver();
    super(code, options);
    asHere();
    scripts.push({ script: this, path: options.filename });
  }
};
// Programs set flags of theirs when they have been compiled.
v8.setFlagsFromString = () => {};
syncBuiltinESMExports();

process.on('exit', () => {
  asEver();
  for (const { script, path } of scripts) {
    const cache = path.replace(/\.c?js$/, `.${process.version}-${process.arch}.cache`);
    writeFileSync(cache, gzipSync(script.createCachedData(), { level: 0 }));
  }
});

process.argv.splice(1, 1, join(root, 'dist', 'lkm.js'));
await import('../dist/lkm.js');
