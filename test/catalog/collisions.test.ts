import { expect, it } from 'vitest';
import { caseCollisions } from '../../src/catalog/collisions.ts';

it('finds paths that differ in case alone', () => {
  expect(
    caseCollisions(['net/xt_dscp.ko', 'net/xt_DSCP.ko', 'net/a.ko', 'NET/A.ko', 'net/b.ko', 'net/b.ko']),
  ).toEqual([
    ['net/xt_dscp.ko', 'net/xt_DSCP.ko'],
    ['net/a.ko', 'NET/A.ko'],
  ]);
});
