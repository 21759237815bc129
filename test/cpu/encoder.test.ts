import { describe, expect, it } from 'vitest';
import { interpreterModule } from '../../src/cpu/interpreter.ts';
import {
  block,
  br,
  brIf,
  brTable,
  i32,
  i64,
  iff,
  label,
  local,
  loop,
  ModuleBuilder,
  ret,
  seq,
  signed,
  unsigned,
} from '../../src/cpu/wasm/encoder.ts';

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });

function instantiate(builder: ModuleBuilder): Record<string, (...values: unknown[]) => unknown> {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(builder.finish()), { env: { memory } });
  return instance.exports as Record<string, (...values: unknown[]) => unknown>;
}

describe('the WebAssembly encoder', () => {
  it('writes LEB128 as the specification shows it', () => {
    expect(unsigned(624485)).toEqual([0xe5, 0x8e, 0x26]);
    expect(unsigned(0xffffffff)).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f]);
    expect(signed(-123456)).toEqual([0xc0, 0xbb, 0x78]);
    expect(signed(-123456n)).toEqual(signed(-123456));
    expect(signed(63)).toEqual([0x3f]);
    expect(signed(64)).toEqual([0xc0, 0x00]);
    expect(signed(-64)).toEqual([0x40]);
    expect(signed(-(2 ** 31))).toEqual(signed(-(2n ** 31n)));
    expect(signed(-(2n ** 63n))).toHaveLength(10);
  });

  it('works out branch depths of loops, blocks and tables', () => {
    const builder = new ModuleBuilder({ min: 1, max: 65536 });
    const [n, sum] = [local(0), local(1)];
    const [done, again, one, two] = ['done', 'again', 'one', 'two'].map(label);
    builder.addFunction({
      params: ['i32'],
      results: ['i32'],
      locals: ['i32'],
      exportAs: 'sum',
      body: seq(
        block(
          done,
          loop(
            again,
            seq(
              iff(i32.eqz(n.get), br(done)),
              sum.set(i32.add(sum.get, n.get)),
              n.set(i32.sub(n.get, i32.const(1))),
              br(again),
            ),
          ),
        ),
        sum.get,
      ),
    });
    builder.addFunction({
      params: ['i32'],
      results: ['i32'],
      locals: [],
      exportAs: 'pick',
      body: seq(
        block(two, seq(block(one, brTable([one, two], two, n.get)), ret(i32.const(10)))),
        i32.const(20),
      ),
    });
    const { sum: run, pick } = instantiate(builder);
    expect(run(100)).toBe(5050);
    expect([0, 1, 7].map((value) => pick(value))).toEqual([10, 20, 20]);
  });

  it('gives if-else a value and keeps 64-bit constants', () => {
    const builder = new ModuleBuilder({ min: 1, max: 65536 });
    builder.addFunction({
      params: ['i32'],
      results: ['i64'],
      locals: [],
      exportAs: 'choose',
      body: iff(local(0).get, i64.const(-(2n ** 63n)), i64.const(0xffff_ffff_ffff_fffen), 'i64'),
    });
    const { choose } = instantiate(builder);
    expect([choose(1), choose(0)]).toEqual([-(2n ** 63n), -2n]);
  });

  it('refuses branches to labels that are not open, and imports after functions', () => {
    const builder = new ModuleBuilder({ min: 1, max: 1 });
    const nowhere = label('nowhere');
    builder.addFunction({ params: [], results: [], locals: [], body: brIf(nowhere, i32.const(1)) });
    expect(() => builder.finish()).toThrow(/nowhere/);
    expect(() => builder.importFunction('late', { params: [], results: [] })).toThrow(/before functions/);
  });

  it('makes an interpreter that validates and is the same each time', () => {
    const first = interpreterModule();
    expect(WebAssembly.validate(first)).toBe(true);
    expect(interpreterModule()).toEqual(first);
  });
});
