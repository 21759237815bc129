import type { Plugin } from 'esbuild';

/** See interpreter-plugin.mjs. */
export const embedInterpreter: Plugin;
