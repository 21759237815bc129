/** Built fixtures of fixtures/freebsd. */
import { readFileSync } from 'node:fs';
import { readElfObject } from '../../../src/formats/elf/object.ts';
import { KldFile } from '../../../src/systems/freebsd/kldfile.ts';

const built = new URL('../../../fixtures/freebsd/built/', import.meta.url);

export const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, built)));
export const kldOf = (name: string): KldFile => new KldFile(readElfObject(fixture(name)));
