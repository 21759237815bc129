/** How machine code is executed. `auto`: interpreted until it proves to be hot; `wasm`: translated nearly at once. */
export const ENGINES = ['interpreter', 'wasm', 'auto'] as const;
export type Engine = (typeof ENGINES)[number];
