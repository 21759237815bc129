/** Steps of the tour: why modules (memory), and at what cost (fragmentation, TLB misses). */
import { type MemoryMeasure, verdicts } from '../../systems/linux/memory-report.ts';
import { EXPERIMENT_MODULES, measureMemory } from '../../tools/linux/memory-experiment.ts';
import type { LinuxStep } from './record.ts';
import type { Stage } from './stage.ts';

const CYCLES = 100;

/** Measured on a fresh kernel; the same seed gives the same figures. */
function measured(stage: Stage): MemoryMeasure {
  stage.boot();
  stage.say(
    `${EXPERIMENT_MODULES.length} modules are loaded, one at a time comes or goes by chance ${CYCLES} times, and all ` +
      'are used. (lkm memory shows everything.)',
  );
  return measureMemory(stage.console, { modules: EXPERIMENT_MODULES, cycles: CYCLES, seed: stage.seed });
}

/** Says each verdict; gives those whose claim holds. */
function judged(stage: Stage, measure: MemoryMeasure, claims: RegExp): Set<string> {
  const holding = new Set<string>();
  for (const { claim, holds, because } of verdicts(measure)) {
    if (!claims.test(claim)) continue;
    stage.say(`"${claim}": here this ${holds ? 'holds' : 'does not hold'}: ${because}.`);
    if (holds) holding.add(claim);
  }
  return holding;
}

const onDemand: LinuxStep = {
  name: 'on-demand',
  title: 'Loading on demand saves memory',
  statement:
    'Without modules a kernel would have to contain everything that anybody might need, in memory that most never use; a new ' +
    'part would mean building a kernel and starting the machine again.',
  by: 'lkm memory',
  play(stage) {
    const measure = measured(stage);
    judged(stage, measure, /on demand|waste/);
    stage.fact(
      'fewer pages were in use than with everything built in',
      measure.meanPages > 0 && measure.meanPages < measure.pages,
    );
    stage.fact('with every module gone their addresses are free again', stage.k.moduleArea.usedPages === 0);
  },
};

const fragments: LinuxStep = {
  name: 'fragmentation',
  title: 'Modules fragment memory and cost TLB misses',
  statement:
    'The base kernel lies in one piece and in large pages. Modules come in small pages, wherever some are free: they ' +
    'scatter, and the processor needs more entries of its TLB (its table of recent address translations) for them.',
  by: 'lkm memory',
  play(stage) {
    const measure = measured(stage);
    judged(stage, measure, /scatters|fragments|TLB|misses/);
    const { pieces, entries, perRound } = measure;
    stage.fact(
      'the modules lie in more pieces than when they were loaded in one go',
      pieces.cycled > pieces.fresh,
    );
    stage.fact('they need more TLB entries than in one piece', entries.modulesSmall > entries.modulesLarge);
    stage.fact('and cost more TLB misses', perRound.cycled.mapped.misses > perRound.cycled.contiguous.misses);
  },
};

export const memory: readonly LinuxStep[] = [onDemand, fragments];
