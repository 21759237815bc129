/** Variables of the kernel that nobody wrote: reading one is told as calling a function is. */
import { describe, expect, it } from 'vitest';
import { MissingFunctionReached } from '../../../src/kernel/missing.ts';
import { Perm } from '../../../src/memory/space.ts';
import { Macos } from '../../../src/systems/macos/macos.ts';
import { macosData, macosFunctions } from '../../../src/systems/macos/registry.ts';
import { findRelease } from '../../../src/systems/macos/release.ts';

function kernel(name: string): Macos {
  const release = findRelease(name);
  if (release === undefined) throw new Error(name);
  return new Macos({ release, architecture: 'x86_64', functions: macosFunctions, data: macosData });
}

/** movabs $address, %rax; mov offset(%rax), %rax; ret */
function reader(k: Macos, address: number, offset: number): number {
  const code = new Uint8Array([0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x8b, 0x40, offset, 0xc3]);
  new DataView(code.buffer).setBigUint64(2, BigInt.asUintN(64, BigInt(address)), true);
  const at = k.mapPages(k.kextArea, 1, Perm.R | Perm.X, 'code');
  k.memory.poke(at, code);
  return at;
}

describe('a variable of the kernel', () => {
  it.each([0, 8])('that nobody wrote is named when code reads it (at +%i)', (offset) => {
    const k = kernel('10.15');
    const at = reader(k, k.link('_gIOCatalogue'), offset);
    const read = (): unknown => k.runAs({ name: 'test', uid: 0 }, k.call(at));
    expect(read).toThrow(MissingFunctionReached);
    expect(read).toThrow(/gIOCatalogue/);
    expect(k.panicked).toBeUndefined();
    expect([...k.missing.keys()]).toEqual(['gIOCatalogue']);
  });

  it('that is there is read', () => {
    const k = kernel('10.15');
    const system = k.memory.ptr(k.link('_gPEEFISystemTable'));
    expect(new TextDecoder().decode(k.memory.peek(system, 8))).toBe('IBI SYST');
    const services = k.memory.u64(system + 88);
    expect(services).toBe(BigInt.asUintN(64, BigInt(k.memory.ptr(k.link('_gPEEFIRuntimeServices')))));
    const at = reader(k, system, 0);
    expect(() => k.runAs({ name: 'test', uid: 0 }, k.call(at))).not.toThrow();
  });
});
