/** Backing devices, groups of managed resources, root devices, reachable addresses, tables of handlers. */
import { describe, expect, it } from 'vitest';
import { bootLinux } from '../../../../src/systems/linux/bootkernel.ts';
import { sysDirectory } from '../../../../src/systems/linux/sysfs.ts';
import { characterDevices } from '../../../../src/systems/linux/vfs/chrdev.ts';
import { builtinKernel } from '../kernel.ts';
import { boot, call, text, varArgs } from './harness.ts';

const k = boot();
const ENOENT = -2;

function device(name: string): number {
  const at = k.heap.allocateZeroed(k.sizeof('device'));
  call(k, 'device_initialize', at);
  call(k, 'dev_set_name', at, text(k, name), varArgs([]));
  return at;
}

describe('backing devices', () => {
  it('are in their class while registered, and freed with the last reference', () => {
    const bdi = Number(call(k, 'bdi_alloc', -1));
    expect(call(k, 'bdi_register', bdi, text(k, '%.28s-%d'), varArgs([text(k, 'mtd'), 0]))).toBe(0);
    const folder = sysDirectory(k, 'devices/virtual/bdi').child('mtd-0');
    expect(folder?.child('read_ahead_kb')).toBeDefined();
    expect(k.read('backing_dev_info.ra_pages', bdi)).toBe(32);
    call(k, 'bdi_unregister', bdi);
    expect(sysDirectory(k, 'class/bdi').child('mtd-0')).toBeUndefined();
    call(k, 'bdi_put', bdi);
  });
});

describe('groups of managed resources', () => {
  const count = (at: number): number => Number(call(k, 'devres_release_group', at, 0));

  it('release what was added since they were opened, inner groups included', () => {
    const at = device('groups');
    const add = () => call(k, 'devm_kmalloc', at, 32, 0);
    add();
    const outer = Number(call(k, 'devres_open_group', at, 0, 0));
    add();
    const inner = Number(call(k, 'devres_open_group', at, 0, 0));
    add();
    call(k, 'devres_close_group', at, inner);
    add();
    expect(call(k, 'devres_release_group', at, outer)).toBe(3);
    // The first resource is the only thing left.
    expect([...listed(at)]).toHaveLength(1);
  });

  it('can be taken away without what they hold', () => {
    const at = device('kept');
    const group = Number(call(k, 'devres_open_group', at, 0, 0));
    call(k, 'devm_kmalloc', at, 32, 0);
    call(k, 'devres_close_group', at, group);
    call(k, 'devres_remove_group', at, group);
    expect([...listed(at)]).toHaveLength(1);
    call(k, 'devres_open_group', at, 0, 0);
    call(k, 'devm_kmalloc', at, 32, 0);
    // Without a name the last one that is open is meant.
    expect(count(at)).toBe(1);
  });

  function* listed(at: number): Generator<number> {
    const head = at + k.offset('device.devres_head');
    for (let node = k.memory.ptr(head); node !== head; node = k.memory.ptr(node)) yield node;
  }
});

describe('root devices', () => {
  it('lie right below /sys/devices', () => {
    const root = Number(call(k, '__root_device_register', text(k, 'pseudo_0'), 0));
    expect(sysDirectory(k, 'devices').child('pseudo_0')).toBeDefined();
    call(k, 'root_device_unregister', root);
    expect(sysDirectory(k, 'devices').child('pseudo_0')).toBeUndefined();
  });
});

describe('addresses that a device reaches', () => {
  it('must cover the first 16 MiB, and a mask to write to', () => {
    const at = device('dma');
    expect(call(k, 'dma_set_mask', at, 0xffff_ffffn)).toBe(-5);
    expect(call(k, 'dma_set_coherent_mask', at, 0xf_ffffn)).toBe(-5);
    expect(call(k, 'dma_set_coherent_mask', at, 0xffff_ffffn)).toBe(0);
    expect(k.read('device.coherent_dma_mask', at)).toBe(0xffff_ffff);
  });

  it('page modes are encoded as the PAT has them', () => {
    expect([0, 1, 2, 3, 4, 5].map((mode) => call(k, 'cachemode2protval', mode))).toEqual([
      0, 0x08, 0x10, 0x18, 0x98, 0x88,
    ]);
  });
});

describe('tables of handlers', () => {
  it('rtnetlink messages go family by family', () => {
    expect(call(k, 'rtnl_unregister', 28, 24)).toBe(ENOENT);
    expect(call(k, 'rtnl_register_module', 0, 28, 24, 1, 0, 0)).toBe(0);
    expect(call(k, 'rtnl_register_module', 0, 28, 25, 1, 0, 0)).toBe(0);
    expect(call(k, 'rtnl_unregister', 28, 24)).toBe(0);
    call(k, 'rtnl_unregister_all', 28);
    expect(call(k, 'rtnl_unregister', 28, 25)).toBe(ENOENT);
  });

  it('one entry for each number', () => {
    expect(call(k, 'inet_add_offload', 0x1000, 132)).toBe(0);
    expect(call(k, 'inet_add_offload', 0x2000, 132)).toBe(-1);
    expect(call(k, 'inet_del_offload', 0x1000, 132)).toBe(0);
    expect(call(k, 'lwtunnel_encap_add_ops', 0x1000, 11)).toBe(-34);
  });
});

describe('frame buffer options', () => {
  const options = (commandLine: string, name: string): [number, string | undefined] => {
    const own = bootLinux(builtinKernel(), { commandLine });
    const to = own.heap.allocateZeroed(own.word);
    const off = Number(call(own, 'fb_get_options', text(own, name), to));
    const at = own.memory.ptr(to);
    return [off, at === 0 ? undefined : own.memory.cstring(at)];
  };

  it('go by the name of the driver, or to all', () => {
    expect(options('quiet', 'hgafb')).toEqual([0, undefined]);
    expect(options('video=hgafb:font:VGA video=sstfb:off', 'hgafb')).toEqual([0, 'font:VGA']);
    expect(options('video=hgafb:font:VGA video=sstfb:off', 'sstfb')).toEqual([1, 'off']);
    expect(options('video=1024x768', 'sstfb')).toEqual([0, '1024x768']);
    expect(options('video=ofonly', 'sstfb')).toEqual([1, undefined]);
  });
});

describe('character devices with a device', () => {
  it('come and go together', () => {
    const at = device('both0');
    const number = 240 * 2 ** 20 + 5;
    k.write('device.devt', at, number);
    const cdev = Number(call(k, 'cdev_alloc'));
    expect(call(k, 'cdev_device_add', cdev, at)).toBe(0);
    expect(k.state(characterDevices).find(number)).toBe(cdev);
    expect(sysDirectory(k, 'devices').child('both0')).toBeDefined();
    call(k, 'cdev_device_del', cdev, at);
    expect(k.state(characterDevices).find(number)).toBe(0);
    expect(sysDirectory(k, 'devices').child('both0')).toBeUndefined();
  });
});
