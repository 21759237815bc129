/**
 * Words that are not taken from a source at hand, in one place: linkages of the system's own modules as modinfo(1M)
 * shows them. Those of gld and usba are printed in public transcripts; the others are from memory.
 */
export const PART_TEXTS: Readonly<Record<string, string>> = {
  'misc/gld': 'Generic LAN Driver (v2)',
  'misc/mac': 'MAC Services v1.20',
  'misc/usba': 'USBA: USB Architecture 2.0 1.66',
  'misc/net80211': '802.11 Kernel Module',
  'misc/scsi': 'SCSI Bus Utility Routines',
  'misc/sata': 'SATA Module',
  'misc/cs': 'PCMCIA Card Services',
  'misc/mii': 'Ethernet Media Independent Interface',
  'misc/cmlb': 'Common Labeling module',
  'misc/ksocket': 'kernel sockets',
};
