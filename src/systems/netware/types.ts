/**
 * C types that NLMs see, declared by ourselves. Handles are opaque. The layout of the load definition structure is known
 * in parts only: the fields that are set here stand at the offsets that are documented, the rest is zero.
 */
export const NETWARE_TYPES = `
typedef unsigned char BYTE; typedef unsigned short WORD; typedef unsigned int LONG;
typedef unsigned int size_t;
typedef void *va_list;
typedef struct ResourceTag *RTAG;
typedef void *SCREEN;

struct lkm_load_definition {
  void *LDLink;
  char unknown1[0x10];
  LONG LDCodeImageOffset;
  char unknown2[4];
  LONG LDDataImageOffset;
  char unknown3[0x18];
  LONG LDInitializationProcedure;
  char unknown4[0xc];
  char LDFileName[36];
};

/* Ours: what stands behind a resource tag's handle. */
struct lkm_resource_tag { void *module; LONG signature; LONG count; char description[52]; };

struct commandParserStructure { struct commandParserStructure *Link; void *parseRoutine; RTAG RTag; };
`;
