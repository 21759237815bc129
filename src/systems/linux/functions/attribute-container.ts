/**
 * Attribute containers and transport classes (drivers/base/attribute_container.c, transport_class.c): what a transport
 * adds to the devices of hosts that come. The classes are there; hosts never come to this machine.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { initKlist } from '../driver/names.ts';
import type { Linux } from '../linux.ts';
import { addTail, initList, removeInit } from '../lists.ts';
import { register, unregister } from '../registered.ts';
import { kernelFunctions } from './define.ts';
import { registerClass, unregisterClass } from './device.ts';

const KIND = 'attribute container';
/** ATTRIBUTE_CONTAINER_NO_CLASSDEVS */
const NO_CLASSDEVS = 1;

/** attribute_container_list, which the kernel does not export. */
const containers = perKernel<Address, Linux>((k) => {
  const head = k.heap.allocateZeroed(k.sizeof('list_head'));
  initList(k, head);
  return head;
});

function addContainer(k: Linux, container: Address): number {
  const link = container + k.offset('attribute_container.node');
  initList(k, link);
  initKlist(k, container + k.offset('attribute_container.containers'));
  addTail(k, link, k.state(containers));
  const at = k.read('attribute_container.class', container);
  const name = at === 0 ? '' : k.readString('class.name', at);
  return register(k, KIND, container, name, { twice: 0 });
}

/** No device has been added, so none is in the way. */
function removeContainer(k: Linux, container: Address): number {
  if (unregister(k, KIND, container)) removeInit(k, container + k.offset('attribute_container.node'));
  return 0;
}

const classOf = (k: Linux, transport: Address): Address => transport + k.offset('transport_class.class');

export const attributeContainers = kernelFunctions({
  'int attribute_container_register(struct attribute_container *cont)': addContainer,
  'int attribute_container_unregister(struct attribute_container *cont)': removeContainer,
  'int transport_class_register(struct transport_class *tclass)': (k, transport) =>
    registerClass(k, classOf(k, transport), k.readString('class.name', classOf(k, transport))),
  'void transport_class_unregister(struct transport_class *tclass)': (k, transport) =>
    unregisterClass(k, classOf(k, transport)),
  'int anon_transport_class_register(struct anon_transport_class *atc)': (k, anonymous) => {
    const container = anonymous + k.offset('anon_transport_class.container');
    const flags = k.read('attribute_container.flags', container);
    k.write('attribute_container.flags', container, flags | NO_CLASSDEVS);
    const error = addContainer(k, container);
    if (error !== 0) return error;
    const transport = anonymous + k.offset('anon_transport_class.tclass');
    for (const method of ['setup', 'remove'] as const)
      k.write(`transport_class.${method}`, transport, k.addressOf('anon_transport_dummy_function'));
    return 0;
  },
  'void anon_transport_class_unregister(struct anon_transport_class *atc)': (k, anonymous) => {
    removeContainer(k, anonymous + k.offset('anon_transport_class.container'));
  },
  'int anon_transport_dummy_function(struct transport_container *tc, struct device *dev, struct device *cdev)':
    () => 0,
});
