/**
 * `npm start`: installs and builds what is missing, then runs the tour.
 * `npm start -- ARGS`: the same, then `lkm ARGS`.
 */
import { join } from 'node:path';
import { checkNode, ensureBuilt, ensureDependencies, root, runNode } from './setup.mjs';

checkNode();
ensureDependencies();
await ensureBuilt();
const args = process.argv.slice(2);
// npm runs scripts in the package's folder; file names on the command line mean the folder the person is in.
if (process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
process.exitCode = runNode([join(root, 'dist', 'lkm.js'), ...(args.length === 0 ? ['tour'] : args)]);
