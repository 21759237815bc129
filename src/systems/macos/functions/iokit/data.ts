/** Objects of libkern and I/O Kit that kexts refer to: planes, well-known symbols, the two truth values. */
import type { Address } from '../../../../memory/space.ts';
import type { DataSymbol, Macos } from '../../macos.ts';
import { boolean, symbol } from '../../runtime/objects.ts';
import { type PlaneName, planeAt } from '../../runtime/registry.ts';

const pointer = (name: string, value: (k: Macos) => Address): DataSymbol => ({
  name,
  bytes: 8,
  fill: (k, at) => k.memory.setPtr(at, value(k)),
});

const plane = (name: string, which: PlaneName): DataSymbol => pointer(name, (k) => planeAt(k, which));

/** Variables that hold a symbol object: `_gIOLocationKey`, `IOLocation`. */
const SYMBOLS: Readonly<Record<string, string>> = {
  gIOPublishNotification: 'IOServicePublish',
  gIOFirstPublishNotification: 'IOServiceFirstPublish',
  gIOMatchedNotification: 'IOServiceMatched',
  gIOFirstMatchNotification: 'IOServiceFirstMatch',
  gIOTerminatedNotification: 'IOServiceTerminate',
  gIOWillTerminateNotification: 'IOServiceWillTerminate',
  gIOGeneralInterest: 'IOGeneralInterest',
  gIOBusyInterest: 'IOBusyInterest',
  gIOAppPowerStateInterest: 'IOAppPowerStateInterest',
  gIOPriorityPowerStateInterest: 'IOPriorityPowerStateInterest',
  gIODTNameKey: 'name',
  gIODTUnitKey: 'AAPL,unit-string',
  gIODTCompatibleKey: 'compatible',
  gIODTTypeKey: 'device_type',
  gIODTModelKey: 'model',
  ...Object.fromEntries(
    [
      ...[
        'Name',
        'Location',
        'Class',
        'ProviderClass',
        'ProbeScore',
        'MatchCategory',
        'NameMatch',
        'NameMatched',
      ],
      ...[
        'PropertyMatch',
        'PropertyExistsMatch',
        'LocationMatch',
        'ParentMatch',
        'PathMatch',
        'ResourceMatch',
      ],
      ...[
        'DeviceMemory',
        'InterruptControllers',
        'InterruptSpecifiers',
        'Platform',
        'UserClientClass',
        'BSD',
        'Module',
      ],
    ].map((key) => [`gIO${key}Key`, `IO${key}`]),
  ),
};

export const iokitData: readonly DataSymbol[] = [
  plane('_gIOServicePlane', 'IOService'),
  plane('_gIODTPlane', 'IODeviceTree'),
  plane('_gIOPowerPlane', 'IOPower'),
  plane('_gIOACPIPlane', 'IOACPIPlane'),
  ...Object.entries(SYMBOLS).map(([name, text]) => pointer(`_${name}`, (k) => symbol(k, text))),
  // References: each variable holds the address of the one with the object.
  ...(
    [
      ['True', true],
      ['False', false],
    ] as const
  ).map(
    ([name, value]): DataSymbol => ({
      name: `_kOSBoolean${name}`,
      bytes: 16,
      fill: (k, at) => {
        k.memory.setPtr(at, at + k.word);
        k.memory.setPtr(at + k.word, boolean(k, value));
      },
    }),
  ),
];
