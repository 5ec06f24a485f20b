/**
 * Configuration: one table gives every setting its flag, environment variable, default, unit and example. Flags win over the
 * environment. All problems are reported at once.
 */
import { z } from 'zod';
import { apiKeyId } from './access.ts';
import { CLOCK_LIMITS } from './clock.ts';
import { EXIT, ExitError } from './errors.ts';
import { HTTP_LIMITS } from './http/call.ts';
import { PUBLISHER_INTERVALS } from './publisher.ts';
import { parseMasterSeed, readMasterFile } from './secrets.ts';
import { SEQUENCER_LIMITS } from './sequencer.ts';

function whole(least: number, most: number): z.ZodType<number> {
  return z
    .string()
    .regex(/^[0-9]{1,15}$/, 'is not a whole number')
    .transform(Number)
    .refine((n) => n >= least && n <= most, `is not between ${least} and ${most}`);
}

const listen = z
  .string()
  .regex(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):[0-9]{1,5}$/, 'is not HOST:PORT')
  .transform((text) => {
    const at = text.lastIndexOf(':');
    return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
  })
  .refine(({ port }) => port <= 65_535, 'has a port above 65535');

/** At most 186 bytes, so that base ‖ /logs/ ‖ name never exceeds 255; no white space and no plus (SPECS CK-1). */
const originBase = z
  .string()
  .regex(/^[!-*,-~]{1,186}$/, 'is not 1 to 186 printable ASCII characters without space or +')
  .refine(
    (text) => !text.endsWith('/') && !text.includes('://'),
    'is a name without scheme and final slash, such as example.com',
  );

interface Setting {
  readonly flag: string;
  readonly value: string;
  readonly help: string;
  readonly fallback: string | undefined;
  readonly schema: z.ZodType<unknown>;
}

const MILLISECONDS_A_YEAR = 366 * 86_400_000;

/** Every setting of the server. The environment variable is INDELIBLE_ and the flag in capitals. */
export const SETTINGS = {
  dataDir: {
    flag: 'data-dir',
    value: 'DIR',
    help: 'data directory, made on the first start; e.g. /var/lib/indelible',
    fallback: './data',
    schema: z.string().min(1),
  },
  listen: {
    flag: 'listen',
    value: 'HOST:PORT',
    help: 'address to listen on; port 0 takes a free one; e.g. 0.0.0.0:8080',
    fallback: '127.0.0.1:8080',
    schema: listen,
  },
  originBase: {
    flag: 'origin-base',
    value: 'NAME',
    help: 'origin of new logs is NAME/logs/LOG, for ever; without it a random one; e.g. audit.example.com',
    fallback: undefined,
    schema: originBase,
  },
  guard: {
    flag: 'guard',
    value: 'FILE',
    help: 'guard file, best on another disk than the data; e.g. /mnt/b/guard (default DIR/guard)',
    fallback: undefined,
    schema: z.string().min(1),
  },
  guardInode: {
    flag: 'guard-inode',
    value: 'on|off',
    help: 'refuse a copied guard; off only where the file system keeps no inodes',
    fallback: 'on',
    schema: z.enum(['on', 'off']),
  },
  masterSeedFile: {
    flag: 'master-seed-file',
    value: 'FILE',
    help: 'file with the master seed, 64 hex digits, mode 0600 (default DIR/keys/master)',
    fallback: undefined,
    schema: z.string().min(1),
  },
  interval: {
    flag: 'interval',
    value: 'MS',
    help: 'at most one signing round in this time, milliseconds; e.g. 1000',
    fallback: String(PUBLISHER_INTERVALS.interval),
    schema: whole(10, 3_600_000),
  },
  refresh: {
    flag: 'refresh',
    value: 'MS',
    help: 'an idle head is signed again after this time, milliseconds; e.g. 600000',
    fallback: String(PUBLISHER_INTERVALS.refresh),
    schema: whole(1000, 86_400_000),
  },
  maxEventSize: {
    flag: 'max-event-size',
    value: 'BYTES',
    help: 'largest event, bytes; e.g. 1048576',
    fallback: String(HTTP_LIMITS.maxEventSize),
    schema: whole(64, 16 * 1_048_576),
  },
  maxEvents: {
    flag: 'max-events',
    value: 'N',
    help: 'most events in one request; e.g. 10000',
    fallback: String(HTTP_LIMITS.maxEvents),
    schema: whole(1, 100_000),
  },
  maxBodySize: {
    flag: 'max-body-size',
    value: 'BYTES',
    help: 'largest request body, bytes; e.g. 16777216',
    fallback: String(HTTP_LIMITS.maxBodySize),
    schema: whole(1024, 256 * 1_048_576),
  },
  ackTimeout: {
    flag: 'ack-timeout',
    value: 'MS',
    help: 'how long ack=signed waits before it answers durable, milliseconds; e.g. 30000',
    fallback: String(HTTP_LIMITS.ackTimeout),
    schema: whole(0, 50_000),
  },
  maxPendingEntries: {
    flag: 'max-pending-entries',
    value: 'N',
    help: 'entries that may wait for their commit before others get 503; e.g. 65536',
    fallback: String(SEQUENCER_LIMITS.maxPendingEntries),
    schema: whole(1, 10_000_000),
  },
  maxForwardStep: {
    flag: 'max-forward-step',
    value: 'MS',
    help: 'largest forward step of the wall clock that is followed, milliseconds (24 h)',
    fallback: String(CLOCK_LIMITS.maxForwardStep),
    schema: whole(1000, MILLISECONDS_A_YEAR),
  },
  maxAbsence: {
    flag: 'max-absence',
    value: 'MS',
    help: 'longest time since the newest entry that counts as having been off, milliseconds (400 days)',
    fallback: String(CLOCK_LIMITS.maxAbsence),
    schema: whole(1000, 100 * MILLISECONDS_A_YEAR),
  },
  writeBuffer: {
    flag: 'write-buffer',
    value: 'BYTES',
    help: "LevelDB's write buffer, bytes; smaller ones only make tests harder; e.g. 4194304",
    fallback: '4194304',
    schema: whole(65_536, 16 * 1_048_576),
  },
  logLevel: {
    flag: 'log-level',
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent; JSON lines on stderr',
    fallback: 'info',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
  },
} as const satisfies Record<string, Setting>;

type Name = keyof typeof SETTINGS;
type Parsed = {
  readonly [K in Name]:
    | z.output<(typeof SETTINGS)[K]['schema']>
    | ((typeof SETTINGS)[K]['fallback'] extends undefined ? undefined : never);
};

export interface Config extends Parsed {
  /** Master seed that was given, if any. */
  readonly masterSeed: Uint8Array | undefined;
  /** Admin key of the environment, if any. */
  readonly adminKey: string | undefined;
}

export function environmentName(flag: string): string {
  return `INDELIBLE_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** Reads flags (by setting) and environment. Throws ExitError 2 that lists every problem, or 78 for a key file that others can read. */
export function readConfig(flags: Readonly<Partial<Record<Name, string>>>, environment: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, { flag, fallback, schema }] of Object.entries(SETTINGS) as [Name, Setting][]) {
    const variable = environmentName(flag);
    const [text, source] =
      flags[name] !== undefined ? [flags[name], `--${flag}`] : [environment[variable] ?? fallback, variable];
    if (text === undefined) continue;
    const parsed = schema.safeParse(text);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(`${source}: '${text}' ${parsed.error.issues.map(({ message }) => message).join('; ')}`);
  }
  const adminKey = environment['INDELIBLE_ADMIN_KEY'];
  if (adminKey !== undefined && apiKeyId(adminKey) === undefined) {
    // The value may be somebody's secret with a typing error: it is not repeated.
    problems.push('INDELIBLE_ADMIN_KEY: is not of the form ind_ and 16 hex digits, _ and 64 hex digits');
  }
  const seedText = environment['INDELIBLE_MASTER_SEED'];
  if (seedText !== undefined && !/^[0-9a-f]{64}$/.test(seedText))
    problems.push('INDELIBLE_MASTER_SEED: is not 64 lowercase hex digits');
  if (problems.length > 0) throw new ExitError(EXIT.usage, problems.join('\n'));
  const parsed = values as unknown as Parsed;
  const masterSeed =
    seedText !== undefined ? parseMasterSeed(seedText, 'INDELIBLE_MASTER_SEED') : readSeedFile(parsed.masterSeedFile);
  return { ...parsed, masterSeed, adminKey };
}

function readSeedFile(path: string | undefined): Uint8Array | undefined {
  if (path === undefined) return undefined;
  try {
    return readMasterFile(path);
  } catch (cause) {
    if (cause instanceof ExitError) throw cause;
    throw new ExitError(EXIT.usage, `--master-seed-file: cannot read ${path}`, { cause });
  }
}
