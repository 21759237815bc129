/** Does a command line speak of an archive? Only a hint, by names: then what reads archives is loaded. */

/** A module's own ending, behind `.ko`, is none. */
const ARCHIVE =
  /\.(?:deb|rpm|zip|cpio|img|tar|t[gxz]z|gz|xz|zst|lzma|bz2|lz4|tbz2?)(?:\/|(?<!\.ko\.\w+)$)|initr/im;

/** Thousands of words are looked at as one text: a line each. */
export const mentionsArchive = (words: readonly string[]): boolean => ARCHIVE.test(words.join('\n'));
