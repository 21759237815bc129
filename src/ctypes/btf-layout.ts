/** Constants of the BPF Type Format (kernel documentation, bpf/btf.rst, section 2). No logic. */

export const BTF_MAGIC = 0xeb9f;
export const BTF_VERSION = 1;
export const BTF_HEADER_BYTES = 24;
/** Words of `struct btf_type`: name offset, info, size or type. */
export const TYPE_WORDS = 3;

/** btf.rst section 2.2: kinds. */
export const Kind = {
  Void: 0,
  Int: 1,
  Pointer: 2,
  Array: 3,
  Struct: 4,
  Union: 5,
  Enum: 6,
  Forward: 7,
  Typedef: 8,
  Volatile: 9,
  Const: 10,
  Restrict: 11,
  Function: 12,
  FunctionPrototype: 13,
  Variable: 14,
  DataSection: 15,
  Float: 16,
  DeclTag: 17,
  TypeTag: 18,
  Enum64: 19,
} as const;

/** Words that follow the three of a type: fixed part and part per element (`vlen` of them). */
export const EXTRA_WORDS: readonly (readonly [fixed: number, each: number])[] = [
  [0, 0], // void
  [1, 0], // int: encoding
  [0, 0], // pointer
  [3, 0], // array: element type, index type, count
  [0, 3], // struct: name, type, offset
  [0, 3], // union
  [0, 2], // enum: name, value
  [0, 0], // forward
  [0, 0], // typedef
  [0, 0], // volatile
  [0, 0], // const
  [0, 0], // restrict
  [0, 0], // function
  [0, 2], // function prototype: name, type
  [1, 0], // variable: linkage
  [0, 3], // data section: type, offset, size
  [0, 0], // float
  [1, 0], // declaration tag: component
  [0, 0], // type tag
  [0, 3], // enum64: name, low, high
];

/** Encoding bits of an int (section 2.2.1). */
export const INT_SIGNED = 1;
export const INT_CHAR = 2;
export const INT_BOOL = 4;

export const infoKind = (info: number): number => (info >>> 24) & 0x1f;
export const infoLength = (info: number): number => info & 0xffff;
export const infoFlag = (info: number): boolean => info >>> 31 === 1;
