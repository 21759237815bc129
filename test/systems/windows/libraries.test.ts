/** Libraries beside the kernel: USBD on real descriptors, ports of the miniports, classes that drivers register with. */
import { expect, it } from 'vitest';
import { caller } from './fixtures.ts';

/** A mouse (one interface, an interrupt endpoint) with a second, vendor's interface in two settings. */
const CONFIGURATION = Uint8Array.of(
  ...[9, 2, 66, 0, 2, 1, 0, 0xa0, 50],
  ...[9, 4, 0, 0, 1, 3, 1, 2, 0],
  ...[9, 0x21, 0x11, 1, 0, 1, 0x22, 52, 0],
  ...[7, 5, 0x81, 3, 4, 0, 10],
  ...[9, 4, 1, 0, 0, 255, 0, 0, 0],
  ...[9, 4, 1, 1, 2, 255, 0, 0, 0],
  ...[7, 5, 0x82, 2, 0, 2, 0],
  ...[7, 5, 0x03, 2, 0, 2, 0],
);

/** [word, URB's interfaces, information's pipes, a pipe, a pipe's transfer size] (usb.h of either width). */
const WIDTHS = [
  { machine: 'x64', word: 8, first: 40, pipes: 24, pipe: 24, most: 16 },
  { machine: 'x86', word: 4, first: 24, pipes: 16, pipe: 20, most: 12 },
];

it.each(WIDTHS)('USBD finds interfaces and selects a configuration ($machine)', async (width) => {
  const { k, place, run, call } = await caller({ machine: width.machine });
  k.memory.write(place, CONFIGURATION);
  const any = -1;
  const find = (from: number, ...wanted: number[]) =>
    Number(run('USBD_ParseConfigurationDescriptorEx', place, from, ...wanted));
  expect(find(place, 0, 0, any, any, any)).toBe(place + 9);
  expect(find(place, any, any, 255, any, any)).toBe(place + 34);
  expect(find(place, 1, 1, any, any, any)).toBe(place + 43);
  expect(find(place + 18, any, any, 3, any, any)).toBe(0);
  expect(run('USBD_ParseConfigurationDescriptor', place, 1, 1)).toBe(place + 43);
  expect(run('USBD_ParseDescriptors', place, 66, place, 5)).toBe(place + 27);
  expect(run('USBD_ParseDescriptors', place, 30, place, 5)).toBe(0);
  expect(call('USBD_GetInterfaceLength', place + 9, place + 66)).toBe(25);
  expect(call('USBD_GetInterfaceLength', place + 43, place + 66)).toBe(23);

  const list = place + 128;
  [place + 9, 0, place + 43, 0, 0].forEach((value, i) => {
    k.memory.setPtr(list + i * width.word, value);
  });
  const urb = Number(run('USBD_CreateConfigurationRequestEx', place, list));
  const bytes = width.first + 2 * width.pipes + 3 * width.pipe;
  expect([k.memory.u16(urb), k.memory.u16(urb + 2)]).toEqual([bytes, 0]);
  const second = urb + width.first + width.pipes + width.pipe;
  expect([k.memory.ptr(list + width.word), k.memory.ptr(list + 3 * width.word)]).toEqual([
    urb + width.first,
    second,
  ]);
  expect([0, 2, 3, 4].map((at) => k.memory.u8(second + at))).toEqual([
    width.pipes + 2 * width.pipe,
    1,
    1,
    255,
  ]);
  const out = second + width.pipes + width.pipe;
  expect([k.memory.u16(out), k.memory.u8(out + 2), k.memory.u32(out + 4)]).toEqual([512, 3, 2]);
  expect(k.memory.u32(out + width.most)).toBe(4096);
});

it('a descriptor without a length ends the search', async () => {
  const { k, place, run } = await caller();
  k.memory.write(place, CONFIGURATION);
  k.memory.set8(place + 9, 0);
  expect(run('USBD_ParseConfigurationDescriptor', place, 1, 1)).toBe(0);
});

it('ports have nothing on them under any of their names', async () => {
  const { k, place, call } = await caller();
  expect(call('ScsiPortReadPortUlong', 0xcf8)).toBe(0xffffffff);
  expect(call('VideoPortReadPortUchar', 0x3c0)).toBe(0xff);
  expect(call('StorPortReadPortUshort', 0, 0x1f0)).toBe(0xffff);
  call('StorPortWriteRegisterUlong', 0, place, 0x12345678);
  expect(call('ScsiPortReadRegisterUshort', place)).toBe(0x5678);
  call('StorPortReadPortBufferUchar', 0, 0x1f0, place, 3);
  expect(k.memory.u32(place)).toBe(0x12ffffff);
  expect(call('ScsiPortConvertUlongToPhysicalAddress', -1)).toBe(0xffffffff);
});

it('sound and streaming drivers register, and are driven by devices from then on', async () => {
  const { k, session, call } = await caller();
  const driver = k.pool.allocate('nonpaged', k.sizeof('DRIVER_OBJECT'), 0, 0, true);
  const extension = k.pool.allocate('nonpaged', k.sizeof('DRIVER_EXTENSION'), 0, 0, true);
  k.write('DRIVER_OBJECT.DriverExtension', driver, extension);
  expect(call('PcInitializeAdapterDriver', driver, 0, 0x1234)).toBe(0);
  expect(k.read('DRIVER_EXTENSION.AddDevice', extension)).toBe(0x1234);
  expect(k.read('DRIVER_OBJECT.DriverUnload', driver)).not.toBe(0);
  expect(session.registeredOnly().map(({ what }) => what)).toEqual(['audio adapter']);
});

it('64-bit arithmetic of 32-bit compilers, and bits', async () => {
  const { k, place, run } = await caller({ machine: 'x86' });
  expect(run('_aulldvrm', 100_000_000_000n, 7n)).toBe(14_285_714_285n);
  expect([k.cpu.gpr(1), k.cpu.gpr(3)]).toEqual([5, 0]);
  expect(run('_alldvrm', -7n, 2n)).toBe(-3n);
  expect([k.cpu.gpr(1), k.cpu.gpr(3)].map((value) => value | 0)).toEqual([-1, -1]);
  expect(run('RtlExtendedLargeIntegerDivide', 0x1_0000_0003n, 16, place)).toBe(0x1000_0000n);
  expect(k.memory.u32(place)).toBe(3);
  expect(run('RtlLargeIntegerArithmeticShift', -8n, 1)).toBe(-4n);
  expect(
    [0n, 1n, 0x8000_0000_0000_0000n].map((set) => [
      run('RtlFindMostSignificantBit', set),
      run('RtlFindLeastSignificantBit', set),
    ]),
  ).toEqual([
    [-1, -1],
    [0, 0],
    [63, 63],
  ]);
  // The sequence of the C library, from its first number.
  expect([run('rand'), run('rand')]).toEqual([41, 18467]);
  run('_itow', -1, place, 16);
  expect(k.memory.u16(place + 14)).toBe(0x66);
  run('_itoa', -12, place, 10);
  expect(k.memory.cstring(place)).toBe('-12');
});

it('text that cannot be read is not printed, and nothing happens', async () => {
  const { k, session } = await caller();
  session.load('hello.sys', []);
  const text = k.pool.allocate('nonpaged', 32, 0, 0, true);
  k.memory.write(text, new TextEncoder().encode('%s\n\0'));
  const dbgPrint = k.exported('DbgPrint') ?? 0;
  const status = k.runThread('System', false, k.callInt(dbgPrint, text, 1));
  expect(status >>> 0).toBe(0xc0000005);
  expect(k.stopped).toBeUndefined();
});

it('strings of NDIS go from one alphabet to the other', async () => {
  const { k, place, call } = await caller();
  k.memory.write(place + 64, new TextEncoder().encode('A\0b\0\0\0'));
  call('NdisInitUnicodeString', place, place + 64);
  k.memory.set16(place + 18, 16);
  k.memory.setPtr(place + 24, place + 96);
  expect(call('NdisUnicodeStringToAnsiString', place + 16, place)).toBe(0);
  expect([k.memory.u16(place + 16), k.memory.cstring(place + 96)]).toEqual([2, 'Ab']);
});

it.each(['x64', 'x86'])(
  'packets of NDIS come from their pool and go back, with a chain of buffers (%s)',
  async (machine) => {
    const { k, place, call } = await caller({ machine });
    const [status, out] = [place, place + 16];
    call('NdisAllocatePacketPoolEx', status, out, 1, 1, 12);
    const pool = k.memory.ptr(out);
    const packet = () => {
      call('NdisAllocatePacket', status, out, pool);
      return { at: k.memory.ptr(out), status: k.memory.u32(status) };
    };
    const [first, second] = [packet(), packet()];
    expect([first.status, second.status, packet().status]).toEqual([0, 0, 0xc000009a]);
    expect(call('NdisPacketPoolUsage', pool)).toBe(2);
    call('NdisFreePacket', second.at);
    expect(packet().status).toBe(0);

    const data = k.pool.allocate('nonpaged', 6000, 0, 0, true);
    const buffers = [100, 6000].map((bytes) => {
      call('NdisAllocateBuffer', status, out, 0, data, bytes);
      return k.memory.ptr(out);
    });
    // NdisChainBufferAtFront is inline: Head, then Tail.
    k.write('MDL.Next', buffers[0], buffers[1]);
    k.memory.setPtr(first.at + 8, buffers[0]);
    k.memory.setPtr(first.at + 8 + k.word, buffers[1]);
    expect(call('NDIS_BUFFER_TO_SPAN_PAGES', buffers[1])).toBeGreaterThan(1);
    call('NdisQueryBufferSafe', buffers[1], out, status, 0);
    expect([k.memory.ptr(out), k.memory.u32(status)]).toEqual([data, 6000]);
    const taken = ['NdisUnchainBufferAtBack', 'NdisUnchainBufferAtFront', 'NdisUnchainBufferAtFront'].map(
      (name) => {
        call(name, first.at, out);
        return k.memory.ptr(out);
      },
    );
    expect(taken).toEqual([buffers[1], buffers[0], 0]);
  },
);
