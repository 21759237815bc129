/**
 * Drivers and their devices: the table of dev_ops by major number, the nodes that driver.conf files and the hardware
 * make, attach and detach, and minor nodes, which are the files in /devices (common/os/devcfg.c, sunddi.c).
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { configuration, textOf } from './configuration.ts';
import { type ConfNode, type PropertyValue, parseDriverConf } from './etc/driver-conf.ts';
import { confHardware, forgetHardware, type Hardware, hardwareOf, pciCard, setHardware } from './hardware.ts';
import { modLoadAndInstall } from './load.ts';
import { Refusal } from './refusal.ts';
import type { Solaris } from './solaris.ts';
import { CE } from './syslog.ts';

/** Major numbers that the table has room for. */
export const MAX_MAJOR = 512;

/** DDI_ATTACH, DDI_DETACH and the states of a node that we tell apart. */
const DDI_ATTACH = 0;
const DDI_DETACH = 0;
/** DDI_PROBE_FAILURE is ENXIO (sys/sunddi.h). */
const PROBE_FAILURE = 6;
export const NODE = { BOUND: 1, ATTACHED: 2 } as const;

/** devopsp: an array of pointers in the kernel's data. */
const opsTable = perKernel<Address, Solaris>((k) => k.data.take(MAX_MAJOR * k.word));

class DeviceTree {
  /** First node of the list through devi_next. */
  first: Address = 0;
  /** Properties of nodes; only functions reach them. */
  readonly properties = new Map<Address, Map<string, PropertyValue>>();
}

const tree = perKernel<DeviceTree, Solaris>(() => new DeviceTree());

export const driverOps = (k: Solaris, major: number): Address =>
  major >= 0 && major < MAX_MAJOR ? k.memory.ptr(k.state(opsTable) + major * k.word) : 0;

export function setDriverOps(k: Solaris, major: number, ops: Address): void {
  k.memory.setPtr(k.state(opsTable) + major * k.word, ops);
}

/** All nodes, in the order they were made. */
export function nodes(k: Solaris): Address[] {
  const found: Address[] = [];
  for (let at = k.state(tree).first; at !== 0; at = k.read('dev_info.devi_next', at)) found.push(at);
  return found;
}

export const instancesOf = (k: Solaris, major: number): Address[] =>
  nodes(k).filter((dip) => k.read('dev_info.devi_major', dip) === major);

export const propertiesOf = (k: Solaris, dip: Address): Map<string, PropertyValue> => {
  const { properties } = k.state(tree);
  const found = properties.get(dip) ?? new Map<string, PropertyValue>();
  properties.set(dip, found);
  return found;
};

/** MODLOADDRVCONF: makes the nodes that /kernel/drv/NAME.conf asks for; gives how many are new. */
export function loadDriverConf(k: Solaris, driver: string): number {
  const major = k.state(configuration).majors.get(driver);
  const conf = findConf(k, driver);
  if (major === undefined || conf === undefined) return 0;
  const { nodes: wanted, errors, globals } = parseDriverConf(conf.text, conf.path);
  for (const { format, text } of errors) k.syslog.say(format, text, CE.WARN);
  let made = 0;
  for (const node of wanted) {
    const place = placeOf(node);
    if (place === undefined) continue;
    const instance = node.instance ?? nextInstance(k, major);
    if (instancesOf(k, major).some((dip) => k.read('dev_info.devi_instance', dip) === instance)) continue;
    const properties = new Map([...globals, ...node.properties]);
    const address = place.address ?? String(instance);
    const hardware = place.bus === undefined ? undefined : confHardware(place.bus, properties);
    makeNode(k, { name: node.name, driver, major, instance, address, properties, hardware });
    made++;
  }
  return made;
}

/**
 * Pseudo devices come out of a file alone, and so do those on a bus that cannot tell what is on it, if the file says
 * where they are; on other buses it is the hardware that makes nodes.
 */
function placeOf(node: ConfNode): { bus?: string; address?: string } | undefined {
  if (node.name === '') return undefined;
  if (node.parent === 'pseudo' || node.parent === '/pseudo') return { address: node.unitAddress };
  const bus = /^\/?(isa|eisa)$/.exec(node.parent === '' ? node.class : node.parent)?.[1];
  const reg = node.properties.get('reg');
  if (bus === undefined || reg === undefined) return undefined;
  return {
    bus: `/${bus}`,
    address: reg
      .slice(0, 2)
      .map((one) => Number(one).toString(16))
      .join(','),
  };
}

const nextInstance = (k: Solaris, major: number): number =>
  Math.max(-1, ...instancesOf(k, major).map((dip) => k.read('dev_info.devi_instance', dip))) + 1;

export function findConf(k: Solaris, driver: string): { path: string; text: string } | undefined {
  const { files, modulePath } = k.state(configuration);
  for (const directory of modulePath) {
    const path = `${directory}/drv/${driver}.conf`;
    const bytes = files.read(path);
    if (bytes !== undefined) return { path, text: textOf(bytes) };
  }
  return undefined;
}

interface NewNode {
  readonly name: string;
  readonly driver: string;
  /** UNBOUND while no driver is bound to it. */
  readonly major: number;
  readonly instance: number;
  readonly address: string;
  readonly properties: ReadonlyMap<string, PropertyValue>;
  readonly hardware: Hardware | undefined;
}

/** DDI_MAJOR_T_NONE: the node has no driver. */
const UNBOUND = 0xffffffff;

function makeNode(k: Solaris, node: NewNode): Address {
  const dip = k.heap.take(k.sizeof('dev_info'));
  k.write('dev_info.devi_node_name', dip, k.heap.takeString(node.name));
  k.write('dev_info.devi_addr', dip, k.heap.takeString(node.address));
  k.write('dev_info.devi_binding_name', dip, k.heap.takeString(node.driver));
  k.write('dev_info.devi_major', dip, node.major);
  k.write('dev_info.devi_instance', dip, node.instance);
  k.write('dev_info.devi_state', dip, NODE.BOUND);
  k.state(tree).properties.set(dip, new Map(node.properties));
  if (node.hardware !== undefined) setHardware(k, dip, node.hardware);
  const all = nodes(k);
  const last = all.at(-1);
  if (last === undefined) k.state(tree).first = dip;
  else k.write('dev_info.devi_next', last, dip);
  return dip;
}

/** A card is put into a slot; a driver that is there already is bound to it. */
export function addCard(k: Solaris, name: string): void {
  const card = pciCard(name, nodes(k).filter((dip) => hardwareOf(k, dip)?.bus === '/pci@0,0').length);
  makeNode(k, {
    name,
    driver: name,
    major: UNBOUND,
    instance: 0xffffffff,
    address: card.unitAddress,
    properties: card.properties,
    hardware: card,
  });
  bindHardware(k);
}

/** Binds devices that have no driver to one whose name or alias is among their compatible names, the best first. */
export function bindHardware(k: Solaris): void {
  const { majors, aliases } = k.state(configuration);
  for (const dip of nodes(k)) {
    if (k.read('dev_info.devi_major', dip) >>> 0 !== UNBOUND) continue;
    const names = hardwareOf(k, dip)?.compatible ?? [];
    const driver = names
      .map((name) => (majors.has(name) ? name : aliases.get(name)))
      .find((name) => name !== undefined && majors.has(name));
    if (driver !== undefined) rebind(k, dip, driver, majors.get(driver) ?? UNBOUND);
  }
}

function rebind(k: Solaris, dip: Address, driver: string, major: number): void {
  k.write('dev_info.devi_instance', dip, major === UNBOUND ? UNBOUND : nextInstance(k, major));
  k.heap.free(k.read('dev_info.devi_binding_name', dip));
  k.write('dev_info.devi_binding_name', dip, k.heap.takeString(driver));
  k.write('dev_info.devi_major', dip, major);
}

/** Takes the nodes of a driver out of the tree (MODUNLOADDRVCONF and rem_drv). */
export function removeNodes(k: Solaris, major: number): void {
  const state = k.state(tree);
  let before = 0;
  for (const dip of nodes(k)) {
    const next = k.read('dev_info.devi_next', dip);
    if (k.read('dev_info.devi_major', dip) !== major) {
      before = dip;
      continue;
    }
    // A card stays where it is, without a driver.
    if ((hardwareOf(k, dip)?.compatible.length ?? 0) > 0) {
      rebind(k, dip, k.readString('dev_info.devi_node_name', dip), UNBOUND);
      before = dip;
      continue;
    }
    if (before === 0) state.first = next;
    else k.write('dev_info.devi_next', before, next);
    for (const field of ['devi_node_name', 'devi_addr', 'devi_binding_name'])
      k.heap.free(k.read(`dev_info.${field}`, dip));
    k.heap.free(dip);
    forgetHardware(k, dip);
    state.properties.delete(dip);
  }
}

/** Attaches what of a driver's nodes is not attached yet; gives how many are attached then. */
export function* attachDriver(k: Solaris, driver: string): Steps<number> {
  const major = k.state(configuration).majors.get(driver);
  if (major === undefined || instancesOf(k, major).length === 0) return 0;
  try {
    yield* modLoadAndInstall(k, { name: `drv/${driver}`, usePath: true, autoloaded: true });
  } catch (error) {
    if (error instanceof Refusal) return 0;
    throw error;
  }
  let attached = 0;
  for (const dip of instancesOf(k, major)) if (yield* attachNode(k, dip)) attached++;
  return attached;
}

export const isAttached = (k: Solaris, dip: Address): boolean =>
  k.read('dev_info.devi_state', dip) === NODE.ATTACHED;

export function* attachNode(k: Solaris, dip: Address): Steps<boolean> {
  if (isAttached(k, dip)) return true;
  const ops = driverOps(k, k.read('dev_info.devi_major', dip));
  if (ops === 0) return false;
  k.write('dev_info.devi_ops', dip, ops);
  const probe = k.read('dev_ops.devo_probe', ops);
  if (probe !== 0 && (yield* k.callInt(probe, dip)) === PROBE_FAILURE) return false;
  const attach = k.read('dev_ops.devo_attach', ops);
  const status = attach === 0 ? -1 : yield* k.callInt(attach, dip, DDI_ATTACH);
  if (status === 0) {
    k.write('dev_info.devi_state', dip, NODE.ATTACHED);
    return true;
  }
  removeMinors(k, dip);
  return false;
}

/** Detaches all instances of a driver; false when one is open or does not want to. */
export function* detachDriver(k: Solaris, driver: string): Steps<boolean> {
  const major = k.state(configuration).majors.get(driver);
  if (major === undefined) return true;
  for (const dip of instancesOf(k, major)) if (!(yield* detachNode(k, dip))) return false;
  return true;
}

function* detachNode(k: Solaris, dip: Address): Steps<boolean> {
  if (!isAttached(k, dip)) return true;
  if (k.read('dev_info.devi_ref', dip) > 0) return false;
  const ops = k.read('dev_info.devi_ops', dip);
  const detach = k.read('dev_ops.devo_detach', ops);
  if (detach === 0 || (yield* k.callInt(detach, dip, DDI_DETACH)) !== 0) return false;
  removeMinors(k, dip);
  k.write('dev_info.devi_state', dip, NODE.BOUND);
  k.write('dev_info.devi_ops', dip, 0);
  return true;
}

// -- minor nodes --------------------------------------------------------------------------------------------

/** dev_t: 32 bits of each number in 64-bit kernels, 14 and 18 in 32-bit ones (sys/mkdev.h). */
export const makeDevice = (k: Solaris, major: number, minor: number): number =>
  k.bits === 64 ? major * 2 ** 32 + minor : ((major << 18) | minor) >>> 0;

export const majorNumber = (k: Solaris, dev: number): number =>
  k.bits === 64 ? Math.floor(dev / 2 ** 32) >>> 0 : dev >>> 18;

export const minorNumber = (k: Solaris, dev: number): number =>
  k.bits === 64 ? ((dev % 2 ** 32) + 2 ** 32) % 2 ** 32 : dev & 0x3ffff;

export function createMinor(
  k: Solaris,
  dip: Address,
  minor: { name: string; type: string; specType: number; number: number },
): void {
  const at = k.heap.take(k.sizeof('minor_node'));
  k.write('minor_node.name', at, k.heap.takeString(minor.name));
  k.write('minor_node.node_type', at, k.heap.takeString(minor.type));
  k.write('minor_node.dev', at, makeDevice(k, k.read('dev_info.devi_major', dip), minor.number));
  k.write('minor_node.spec_type', at, minor.specType);
  const all = minorsOf(k, dip);
  const last = all.at(-1);
  if (last === undefined) k.write('dev_info.devi_minor', dip, at);
  else k.write('minor_node.next', last, at);
}

export function minorsOf(k: Solaris, dip: Address): Address[] {
  const found: Address[] = [];
  for (let at = k.read('dev_info.devi_minor', dip); at !== 0; at = k.read('minor_node.next', at))
    found.push(at);
  return found;
}

/** All of a node's, or the one of that name. */
export function removeMinors(k: Solaris, dip: Address, name?: string): void {
  const kept: Address[] = [];
  for (const at of minorsOf(k, dip)) {
    if (name !== undefined && k.readString('minor_node.name', at) !== name) {
      kept.push(at);
      continue;
    }
    k.heap.free(k.read('minor_node.name', at));
    k.heap.free(k.read('minor_node.node_type', at));
    k.heap.free(at);
  }
  k.write('dev_info.devi_minor', dip, kept[0] ?? 0);
  for (const [i, at] of kept.entries()) k.write('minor_node.next', at, kept[i + 1] ?? 0);
}

export interface DeviceFile {
  /** Below /devices: `pseudo/echo@0:echo`. */
  readonly path: string;
  readonly dev: number;
  readonly dip: Address;
  readonly block: boolean;
  /** node_type of ddi_create_minor_node, such as ddi_pseudo. */
  readonly type: string;
}

/** S_IFBLK */
const S_IFBLK = 0x6000;

/** `/pseudo/echo@0` */
export const nodePath = (k: Solaris, dip: Address): string =>
  `${hardwareOf(k, dip)?.bus ?? '/pseudo'}/${k.readString('dev_info.devi_node_name', dip)}@${k.readString('dev_info.devi_addr', dip)}`;

/** The files in /devices that attached drivers made. */
export function deviceFiles(k: Solaris): DeviceFile[] {
  return nodes(k).flatMap((dip) =>
    minorsOf(k, dip).map((minor) => ({
      path: `${nodePath(k, dip).slice(1)}:${k.readString('minor_node.name', minor)}`,
      dev: k.read('minor_node.dev', minor),
      dip,
      block: k.read('minor_node.spec_type', minor) === S_IFBLK,
      type: k.readString('minor_node.node_type', minor),
    })),
  );
}
