// How the flash of a board lies: what hostLayout() answers, and what vouchBoard is made of. The names here are the
// board's, so the build leaves them as they are (scripts/shorten.mjs).

/** A run of flash. */
export interface Region {
  address: number;
  length: number;
}

export interface StoreRegion extends Region {
  /** Erase unit of slots and store, in bytes. */
  sectorSize: number;
}

export interface Layout {
  engine: Region;
  /** Exactly two, of equal length. */
  slots: Region[];
  store: StoreRegion;
  /** Write unit in bytes: 1, 2, 4, 8, 16 or 32. */
  writeSize: number;
}
