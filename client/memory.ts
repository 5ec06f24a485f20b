/**
 * What a client remembers between calls: the newest head it has seen of each log, and the verifier key it trusts for each URL.
 * A log that shows an older or another tree later is caught by this, and by nothing else that one client can do alone.
 */
import { formatKeyId } from '../proofs/key.ts';

/** Keeps heads and pinned keys. What it gives back is verified again, so it need not be trusted, only lasting. */
export interface HeadMemory {
  /** The checkpoint (signed note) remembered for a log and key. */
  read(origin: string, keyId: number): Promise<string | undefined>;
  /**
   * Replaces `previous` by `note`. Gives false, and changes nothing, where something else is remembered by now: of two
   * clients at once, the slower one has to look again. After true, the note must survive a crash.
   */
  write(origin: string, keyId: number, note: string, previous: string | undefined): Promise<boolean>;
  /** The verifier key (text) pinned for a log's base URL. */
  readPin(url: string): Promise<string | undefined>;
  writePin(url: string, verifierKey: string): Promise<void>;
}

/** The name under which a head is remembered: an origin has no plus sign. */
export function headName(origin: string, keyId: number): string {
  return `${origin}+${formatKeyId(keyId)}`;
}

/** Remembers as long as the process lives. */
export function inMemoryHeads(): HeadMemory {
  const heads = new Map<string, string>();
  const pins = new Map<string, string>();
  return {
    read: async (origin, keyId) => heads.get(headName(origin, keyId)),
    write: async (origin, keyId, note, previous) => {
      const name = headName(origin, keyId);
      if (heads.get(name) !== previous) return false;
      heads.set(name, note);
      return true;
    },
    readPin: async (url) => pins.get(url),
    writePin: async (url, verifierKey) => {
      pins.set(url, verifierKey);
    },
  };
}
