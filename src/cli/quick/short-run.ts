/** How the engine is set for programs that end in less than a second. */

/** V8's flags change their meaning between its versions: these were measured on Node 20's. */
const MEASURED = /^11\./;

/**
 * Optimises less, and later: in a run this short a third of the processor time went into optimising code that was hardly
 * used any more (measured: a fifth less for depmod over 4,000 modules, an eighth for modinfo). Small functions inlined
 * into each other are what makes that expensive.
 */
export function tuneForShortRun(): void {
  if (!MEASURED.test(process.versions.v8)) return;
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  // On threads of its own the optimiser takes processors from the two that read modules.
  setFlagsFromString('--no-concurrent-recompilation');
  // Heaps are small: waiting for threads that help to collect them takes longer than doing it (on busy processors much so).
  setFlagsFromString('--no-parallel-scavenge');
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=60');
  setFlagsFromString('--interrupt-budget=200000');
}
