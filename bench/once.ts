/** A process of its own for one lifecycle, the first in it: `node once.js ROOT MODULE` prints the times as JSON. */
import { lifecycle } from './lifecycle.ts';

const [root, modulePath] = process.argv.slice(2);
console.log(JSON.stringify(lifecycle(root, modulePath, 1)));
