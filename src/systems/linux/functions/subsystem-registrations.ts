/** Registrations with subsystems that nothing here drives: triggers, schedulers, governors, key types and the like. */
import { Errno } from '../errno.ts';
import { register, registeredOnly, unregister } from '../registered.ts';
import { kernelFunctions } from './define.ts';
import { registrationPairs } from './registration.ts';

const pairs = registrationPairs([
  {
    what: 'keyboard notifier',
    add: 'int register_keyboard_notifier(struct notifier_block *nb)',
    remove: 'int unregister_keyboard_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'die notifier',
    add: 'int register_die_notifier(struct notifier_block *nb)',
    remove: 'int unregister_die_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'led trigger',
    add: 'int led_trigger_register(struct led_trigger *trig)',
    remove: 'void led_trigger_unregister(struct led_trigger *trig)',
    name: 'led_trigger.name',
    sameName: -Errno.EEXIST,
  },
  {
    what: 'io scheduler',
    add: 'int elv_register(struct elevator_type *e)',
    remove: 'void elv_unregister(struct elevator_type *e)',
  },
  {
    what: 'key type',
    add: 'int register_key_type(struct key_type *ktype)',
    remove: 'void unregister_key_type(struct key_type *ktype)',
    name: 'key_type.name',
    twice: -Errno.EEXIST,
    sameName: -Errno.EEXIST,
  },
  {
    what: 'asymmetric key parser',
    add: 'int register_asymmetric_key_parser(struct asymmetric_key_parser *parser)',
    remove: 'void unregister_asymmetric_key_parser(struct asymmetric_key_parser *parser)',
    twice: -Errno.EEXIST,
  },
  {
    what: 'pool of compressed memory',
    add: 'void zpool_register_driver(struct zpool_driver *driver)',
    remove: 'int zpool_unregister_driver(struct zpool_driver *driver)',
  },
  {
    what: 'line discipline',
    add: 'int tty_register_ldisc(struct tty_ldisc_ops *new_ldisc)',
    remove: 'void tty_unregister_ldisc(struct tty_ldisc_ops *ldisc)',
  },
  {
    what: 'input handler',
    add: 'int input_register_handler(struct input_handler *handler)',
    remove: 'void input_unregister_handler(struct input_handler *handler)',
    name: 'input_handler.name',
  },
  {
    what: 'cpufreq governor',
    add: 'int cpufreq_register_governor(struct cpufreq_governor *governor)',
    remove: 'void cpufreq_unregister_governor(struct cpufreq_governor *governor)',
  },
  {
    what: 'text search',
    add: 'int textsearch_register(struct ts_ops *ops)',
    remove: 'int textsearch_unregister(struct ts_ops *ops)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'compressed memory pool',
    add: 'void zpool_register_driver(struct zpool_driver *driver)',
    remove: 'int zpool_unregister_driver(struct zpool_driver *driver)',
  },
  {
    what: 'crypto notifier',
    add: 'int crypto_register_notifier(struct notifier_block *nb)',
    remove: 'int crypto_unregister_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
]);

const others = kernelFunctions({
  'void led_trigger_register_simple(const char *name, struct led_trigger **tp)': (k, name, to) => {
    const size = k.types.has('led_trigger.name') ? k.sizeof('led_trigger') : 128;
    const trigger = k.heap.allocateZeroed(size);
    if (trigger !== 0) {
      k.memory.setPtr(trigger, name);
      register(k, 'led trigger', trigger, k.memory.cstring(name));
    }
    k.memory.setPtr(to, trigger);
  },
  'void led_trigger_unregister_simple(struct led_trigger *trig)': (k, trigger) => {
    if (trigger !== 0 && unregister(k, 'led trigger', trigger)) k.heap.free(trigger);
  },
  'void led_trigger_event(struct led_trigger *trig, enum led_brightness event)': () => undefined,
  'int register_shrinker(struct shrinker *shrinker, const char *fmt, ...)': (k, shrinker) =>
    register(k, 'shrinker', shrinker, '', { twice: 0 }),
  'void unregister_shrinker(struct shrinker *shrinker)': (k, shrinker) => {
    unregister(k, 'shrinker', shrinker);
  },
  'void __register_binfmt(struct linux_binfmt *fmt, int insert)': (k, format) => {
    register(k, 'binary format', format, '');
  },
  'void unregister_binfmt(struct linux_binfmt *fmt)': (k, format) => {
    unregister(k, 'binary format', format);
  },
  'bool hv_is_hyperv_initialized(void)': () => 0,
  'void brioctl_set(int (*hook)(struct net *net, unsigned int cmd, void *arg))': (k, hook) => {
    if (hook !== 0) registeredOnly(k, 'bridge ioctl', '');
  },
  'void vlan_ioctl_set(int (*hook)(struct net *net, void *arg))': (k, hook) => {
    if (hook !== 0) registeredOnly(k, 'vlan ioctl', '');
  },
});

export const subsystemFunctions = new Map([...pairs, ...others]);
