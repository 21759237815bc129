// Makes fixtures/macos/include/iokit.h: declarations of the classes that drivers inherit from, whose virtual functions stand in
// the order that src/systems/macos/vtables.gen.ts has for one release. What a function gives back is no part of its name; only
// those that fixtures call are told apart.
//
//   node scripts/make-iokit-header-macos.mjs
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { outputFiles } = await build({
  entryPoints: [join(root, 'src/systems/macos/runtime/vtables.ts')],
  bundle: true,
  format: 'esm',
  write: false,
});
const { KernelClasses } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
const classes = new KernelClasses({ name: '10.8' }, 'x86_64');

const CLASSES = [
  'OSMetaClassBase',
  'OSMetaClass',
  'OSObject',
  'IORegistryEntry',
  'IOService',
  'IOUserClient',
];
const BOOLEAN =
  /^(init|initWithTask|start|attach|terminate|open|isOpen|handleOpen|handleIsOpen|finalize|setProperty|isEqualTo|serialize|willTerminate|didTerminate|requestTerminate)$/;
const POINTER = {
  probe: 'IOService *',
  getProvider: 'IOService *',
  getProperty: 'OSObject *',
  getName: 'const char *',
  getMetaClass: 'const OSMetaClass *',
  alloc: 'OSObject *',
};
const NUMBER = /^(message|getRetainCount|setProperties|externalMethod|clientClose|clientDied)$/;
/** Data members: what the size of an object comes from. */
const MEMBERS = {
  OSMetaClass:
    'void *reserved; const OSMetaClass *superClassLink; const void *className; unsigned int classSize; mutable unsigned int instanceCount;',
  OSObject: 'mutable int retainCount;',
  IORegistryEntry: 'void *reserved; OSDictionary *fRegistryTable; OSDictionary *fPropertyTable;',
  IOService:
    'void *reserved; IOService *provider; int generation; IOService *owner; unsigned int state[2]; unsigned long long busy, accumulated; void *pwrMgt; void *previous;',
  IOUserClient: `char inside[${classes.get('IOUserClient').size - classes.get('IOService').size}];`,
};

const demangle = (names) => execFileSync('llvm-cxxfilt', names, { encoding: 'utf8' }).trim().split('\n');
const order = new Map(
  CLASSES.map((name) => [name, name === 'OSMetaClassBase' ? base() : classes.get(name).slots]),
);
function base() {
  const own = classes.get('OSObject').slots;
  return own
    .slice(
      0,
      own.findIndex((slot) => slot.includes('8OSObject4initEv')),
    )
    .map((slot) => slot.replace('8OSObject', '15OSMetaClassBase'));
}
const parents = {
  OSMetaClass: 'OSMetaClassBase',
  OSObject: 'OSMetaClassBase',
  IORegistryEntry: 'OSObject',
  IOService: 'IORegistryEntry',
  IOUserClient: 'IOService',
};

const text = [];
const types = new Set();
for (const name of CLASSES) {
  const slots = order.get(name);
  const above = order.get(parents[name])?.length ?? 0;
  const lines = [];
  for (const [i, full] of demangle(slots).entries()) {
    if (slots[i] === '__cxa_pure_virtual') {
      lines.push('  virtual OSObject *alloc() const = 0;');
      continue;
    }
    const own = full.startsWith(`${name}::`);
    if (!own && i < above) continue;
    const signature = full.slice(full.indexOf('::') + 2);
    const bare = /^(~?\w+)\(/.exec(signature)?.[1];
    if (bare === undefined) throw new Error(`${slots[i]}: ${full}`);
    if (bare.startsWith('~')) {
      if (slots[i].includes('D1Ev')) lines.push(`  virtual ~${name}();`);
      continue;
    }
    for (const [word] of signature
      .slice(bare.length)
      .matchAll(/\b[A-Z_]\w+|\b(?:task|semaphore|ipc_port|mach_timespec)\b/g))
      types.add(word);
    const result = POINTER[bare] ?? (BOOLEAN.test(bare) ? 'bool ' : NUMBER.test(bare) ? 'int ' : 'void ');
    const pure = name === 'OSMetaClassBase' && slots[i].includes('getMetaClass') ? ' = 0' : '';
    lines.push(`  virtual ${result}${signature}${pure};`);
  }
  text.push(
    `class ${name}${parents[name] ? ` : public ${parents[name]}` : ''} {`,
    'public:',
    ...(name === 'OSMetaClass'
      ? [
          '  OSMetaClass(const char *name, const OSMetaClass *parent, unsigned int size);',
          '  void instanceConstructed() const;',
        ]
      : []),
    ...(['OSObject', 'IORegistryEntry', 'IOService', 'IOUserClient'].includes(name)
      ? [
          '  class MetaClass : public OSMetaClass {',
          '  public:',
          '    MetaClass();',
          '    OSObject *alloc() const;',
          '  };',
          '  static const OSMetaClass *const metaClass;',
          '  static MetaClass gMetaClass;',
          `  ${name}(const OSMetaClass *meta);`,
        ]
      : []),
    ...(name === 'OSObject'
      ? ['  static void *operator new(size_t size);', '  static void operator delete(void *at, size_t size);']
      : []),
    ...lines,
    ...(MEMBERS[name] ? ['', `  ${MEMBERS[name]}`] : []),
    '};',
    '',
  );
}
for (const name of CLASSES) types.delete(name);
const head = `/* Made by scripts/make-iokit-header-macos.mjs; do not edit. Classes of I/O Kit as drivers see them, in the order of 10.8. */
#ifndef IOKIT_H
#define IOKIT_H
#include "kext.h"

${[...types]
  .filter((word) => !/RESERVED/.test(word))
  .sort()
  .map((word) => `class ${word};`)
  .join('\n')}
class OSMetaClass;
class OSObject;
class IORegistryEntry;
class IOService;
class IOUserClient;

`;
writeFileSync(
  join(root, 'fixtures/macos/include/iokit.h'),
  `${head}${text.join('\n')}
/* What OSDeclareDefaultStructors and OSDefineMetaClassAndStructors of the system make of a class. */
#define DECLARE_CLASS(name)                                                                        \\
public:                                                                                            \\
  static const OSMetaClass *const superClass;                                                      \\
  static const OSMetaClass *const metaClass;                                                       \\
  static class MetaClass : public OSMetaClass {                                                    \\
  public:                                                                                          \\
    MetaClass();                                                                                   \\
    OSObject *alloc() const;                                                                       \\
  } gMetaClass;                                                                                    \\
  name();                                                                                          \\
  name(const OSMetaClass *meta);                                                                   \\
  const OSMetaClass *getMetaClass() const;                                                         \\
                                                                                                   \\
protected:                                                                                         \\
  ~name();

#define DEFINE_CLASS(name, parent)                                                                 \\
  name::MetaClass name::gMetaClass;                                                                \\
  const OSMetaClass *const name::metaClass = &name::gMetaClass;                                    \\
  const OSMetaClass *const name::superClass = &parent::gMetaClass;                                 \\
  name::name() : parent(&gMetaClass) { gMetaClass.instanceConstructed(); }                         \\
  name::name(const OSMetaClass *meta) : parent(meta) {}                                            \\
  name::~name() {}                                                                                 \\
  const OSMetaClass *name::getMetaClass() const { return &gMetaClass; }                            \\
  name::MetaClass::MetaClass() : OSMetaClass(#name, name::superClass, sizeof(name)) {}             \\
  OSObject *name::MetaClass::alloc() const { return new name; }

#endif
`,
);
