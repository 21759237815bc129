/** The older functions for properties of nodes (ddi_prop_op(9F)): values as bytes, numbers in the machine's order. */
import type { Address } from '../../../memory/space.ts';
import { propertiesOf } from '../devices.ts';
import type { PropertyValue } from '../etc/driver-conf.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const SUCCESS = 0;
const NOT_FOUND = 1;
const NO_MEMORY = 3;
const BUF_TOO_SMALL = 5;
/** What ddi_prop_op is asked for (sys/ddipropdefs.h). */
const OP = { LENGTH: 0, LENGTH_AND_BUFFER: 1, LENGTH_AND_ALLOCATE: 2 } as const;

function encoded(value: PropertyValue): Uint8Array {
  const numbers = value.filter((one) => typeof one === 'number');
  if (numbers.length === value.length) return new Uint8Array(Int32Array.from(numbers).buffer);
  return new TextEncoder().encode(value.map((one) => `${one}\0`).join(''));
}

function bytesOf(k: Solaris, dip: Address, name: Address): Uint8Array | undefined {
  const value = dip === 0 || name === 0 ? undefined : propertiesOf(k, dip).get(k.memory.cstring(name));
  return value === undefined ? undefined : encoded(value);
}

function operate(k: Solaris, dip: Address, how: number, name: Address, to: Address, length: Address): number {
  const bytes = bytesOf(k, dip, name);
  if (bytes === undefined) return NOT_FOUND;
  const room = k.memory.i32(length);
  k.memory.set32(length, bytes.length);
  if (how === OP.LENGTH) return SUCCESS;
  if (how === OP.LENGTH_AND_BUFFER) {
    if (room < bytes.length) return BUF_TOO_SMALL;
    k.memory.write(to, bytes);
    return SUCCESS;
  }
  const at = k.heap.allocate(bytes.length, k.convention.returnAddress(k.cpu));
  if (at === 0) return NO_MEMORY;
  k.memory.write(at, bytes);
  k.memory.setPtr(to, at);
  return SUCCESS;
}

function number(k: Solaris, dip: Address, name: Address, fallback: number): number {
  const value = dip === 0 ? undefined : propertiesOf(k, dip).get(k.memory.cstring(name))?.[0];
  return typeof value === 'number' ? value : fallback;
}

function strings(k: Solaris, array: Address, count: number): string[] {
  return Array.from({ length: Math.min(count, 1024) }, (_, i) =>
    k.memory.cstring(k.memory.ptr(array + i * k.word)),
  );
}

function numbers(k: Solaris, array: Address, count: number): number[] {
  return Array.from({ length: Math.min(count, 1024) }, (_, i) => k.memory.i32(array + 4 * i));
}

function set(k: Solaris, dip: Address, name: Address, value: PropertyValue): number {
  propertiesOf(k, dip).set(k.memory.cstring(name), value);
  return SUCCESS;
}

export const olderProperties = kernelFunctions({
  'int ddi_prop_op(dev_t dev, dev_info_t *dip, int op, int flags, char *name, caddr_t value, int *length)': (
    k,
    _dev,
    dip,
    op,
    _flags,
    name,
    value,
    length,
  ) => operate(k, dip, op, name, value, length),
  'int ddi_getprop(dev_t dev, dev_info_t *dip, int flags, char *name, int fallback)': (
    k,
    _dev,
    dip,
    _flags,
    name,
    fallback,
  ) => number(k, dip, name, fallback),
  'int ddi_getproplen(dev_t dev, dev_info_t *dip, int flags, char *name, int *length)': (
    k,
    _dev,
    dip,
    _flags,
    name,
    length,
  ) => operate(k, dip, OP.LENGTH, name, 0, length),
  'int ddi_getlongprop(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t *value, int *length)': (
    k,
    _dev,
    dip,
    _flags,
    name,
    value,
    length,
  ) => operate(k, dip, OP.LENGTH_AND_ALLOCATE, name, value, length),
  'int ddi_getlongprop_buf(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t value, int *length)': (
    k,
    _dev,
    dip,
    _flags,
    name,
    value,
    length,
  ) => operate(k, dip, OP.LENGTH_AND_BUFFER, name, value, length),
  'int ddi_prop_update_int_array(dev_t dev, dev_info_t *dip, char *name, int *array, uint_t count)': (
    k,
    _dev,
    dip,
    name,
    array,
    count,
  ) => set(k, dip, name, numbers(k, array, count)),
  'int ddi_prop_update_string_array(dev_t dev, dev_info_t *dip, char *name, char **array, uint_t count)': (
    k,
    _dev,
    dip,
    name,
    array,
    count,
  ) => set(k, dip, name, strings(k, array, count)),
  // Without a value a property is a number of 0, whose being there counts.
  'int ddi_prop_create(dev_t dev, dev_info_t *dip, int flag, char *name, caddr_t value, int length)': (
    k,
    _dev,
    dip,
    _flag,
    name,
    value,
    length,
  ) => set(k, dip, name, length < 4 ? [0] : numbers(k, value, Math.floor(length / 4))),
});
