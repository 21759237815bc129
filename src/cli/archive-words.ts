/** Does a command line speak of an archive? Only a hint, by names: then what reads archives is loaded. */

const ARCHIVE = /\.(deb|rpm|zip|cpio|img|tar|t[gxz]z|gz|xz|zst|lzma|bz2|lz4|tbz2?)(\/|$)|initr/i;
/** A module's own ending. */
const MODULE = /\.ko\.[a-z]+$/;

export const mentionsArchive = (words: readonly string[]): boolean =>
  words.some((word) => ARCHIVE.test(word.replace(MODULE, '')));
