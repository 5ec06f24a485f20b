/**
 * Loaded into a server before its own code (`node --import`): temporary files get names that can be told beforehand, `…tmp-NAMES0000000001` and
 * so on, since strace must be given the paths of the files whose calls are to fail. All other random bytes are random.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

/** Bytes of the random part of a name (server/files.ts); nothing else asks for so many. */
const NAME_BYTES = 6;

const { randomBytes } = crypto;
// Another one for each start in a directory: what an interrupted start left behind must not be in the way, as it would not be otherwise.
const names = Number(process.env.PREDICTABLE_NAMES);
let made = 0;

crypto.randomBytes = (size, ...rest) => {
  if (size !== NAME_BYTES || rest.length > 0) return randomBytes(size, ...rest);
  const name = Buffer.alloc(NAME_BYTES, 0);
  name.writeUInt8(names, 0);
  name.writeUInt8(++made, NAME_BYTES - 1);
  return name;
};
syncBuiltinESMExports();
