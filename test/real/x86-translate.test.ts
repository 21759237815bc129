/** Every instruction of real modules goes through the translator and the block builder: nothing throws or is lost. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { IrBuilder } from '../../src/cpu/builder.ts';
import { X86Translator } from '../../src/cpu/x86/lift.ts';
import { readElfObject } from '../../src/formats/elf/object.ts';
import { Random, seedOfRun } from '../cpu/x86/random.ts';
import { describeWith, moduleFiles, needs } from './require.ts';

const SAMPLE = 40;
const ROOM = 1 << 20;
const AT = 0x1000;

/** Translates a section block after block; returns the instructions described. */
function translateSection(data: Uint8Array, translator: X86Translator, builder: IrBuilder): number {
  const limits = { instructions: 48, end: ROOM, stopsAt: () => false };
  // Nops behind the section, so that its last instruction is whole.
  const fetch = (va: number) => data[va] ?? 0x90;
  let instructions = 0;
  for (let pc = 0; pc < data.length; pc = builder.next) {
    builder.start(pc, AT, limits);
    translator.translate(fetch, pc, builder);
    if (!builder.ended || builder.next <= pc) throw new Error(`block at ${pc} does not end`);
    instructions += builder.instructions;
  }
  return instructions;
}

describeWith(needs('debian-amd64'), 'translation of real modules', ({ modules }) => {
  it('describes every instruction', () => {
    const files = moduleFiles(modules);
    const seed = seedOfRun();
    const random = new Random(seed);
    const full = process.env.LKM_FULL === '1';
    const chosen = full ? files : Array.from({ length: SAMPLE }, () => random.pick(files));
    const builder = new IrBuilder(new ArrayBuffer(ROOM));
    const translator = new X86Translator();
    let instructions = 0;
    for (const file of chosen) {
      for (const section of readElfObject(readFileSync(file)).sections) {
        if (!section.executable || section.size === 0) continue;
        try {
          instructions += translateSection(section.data, translator, builder);
        } catch (error) {
          throw new Error(`${file} ${section.name}, seed ${seed}`, { cause: error });
        }
      }
    }
    console.log(`${instructions} instructions of ${chosen.length} modules, seed ${seed}`);
    expect(instructions).toBeGreaterThan(0);
  }, 600_000);
});
