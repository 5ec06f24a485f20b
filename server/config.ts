/**
 * Configuration: one table gives every setting its flag, environment variable, key in the configuration file, default, unit and
 * example. read-config.ts reads them from wherever they stand.
 */
import { z } from 'zod';
import { CLOCK_LIMITS } from './clock.ts';
import type { MinFreeSpace } from './free-space.ts';
import { HTTP_LIMITS } from './http/call.ts';
import { parseProxies } from './http/trusted-proxies.ts';
import { PUBLISHER_INTERVALS } from './publisher.ts';
import { SEQUENCER_LIMITS } from './sequencer.ts';

function whole(least: number, most: number): z.ZodType<number> {
  return z
    .string()
    .regex(/^[0-9]{1,15}$/, 'is not a whole number')
    .transform(Number)
    .refine((n) => n >= least && n <= most, `is not between ${least} and ${most}`)
    .meta({ shape: 'number' });
}

const onOff = z.enum(['on', 'off'], 'is not on or off').meta({ shape: 'switch' });
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

const proxies = z
  .string()
  .transform((text, context) => {
    try {
      return parseProxies(text);
    } catch (error) {
      context.addIssue((error as Error).message);
      return z.NEVER;
    }
  })
  .meta({ shape: 'list' });

const listen = z
  .string()
  .regex(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):[0-9]{1,5}$/, 'is not HOST:PORT')
  .transform((text) => {
    const at = text.lastIndexOf(':');
    return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
  })
  .refine(({ port }) => port <= 65_535, 'has a port above 65535');

/** At most 186 bytes, so that base ‖ /logs/ ‖ name never exceeds 255; no white space and no plus (C2SP signed-note). */
const originBase = z
  .string()
  .regex(/^[!-*,-~]{1,186}$/, 'is not 1 to 186 printable ASCII characters without space or +')
  .refine(
    (text) => !text.endsWith('/') && !text.includes('://'),
    'is a name without scheme and final slash, such as example.com',
  );

const files = z
  .string()
  .transform((text) => text.split(',').filter((path) => path !== ''))
  .meta({ shape: 'list' });

/** At most 255 bytes, for a cosignature may have to name it in one byte of length (C2SP tlog-cosignature); no white space and no plus (C2SP signed-note). */
const witnessName = z
  .string()
  .regex(/^[!-*,-~]{1,255}$/, 'is not 1 to 255 printable ASCII characters without space or +')
  .refine(
    (text) => !text.endsWith('/') && !text.includes('://'),
    'is a name without scheme and final slash, such as witness.example.com/w1',
  );

/** Bytes, or a share of the file system. */
const minFreeSpace = z
  .string()
  .regex(/^(?:[0-9]{1,15}|[0-9]{1,2}%)$/, 'is neither bytes such as 1073741824 nor a share such as 10%')
  .transform((text): NonNullable<MinFreeSpace> => {
    return text.endsWith('%') ? { percent: Number(text.slice(0, -1)) } : { bytes: Number(text) };
  });

export interface Setting {
  readonly flag: string;
  readonly value: string;
  readonly help: string;
  readonly fallback: string | undefined;
  readonly schema: z.ZodType<unknown>;
}

const MILLISECONDS_A_YEAR = 366 * 86_400_000;

/** Every setting of the server. The environment variable is INDELIBLE_ and the flag in capitals; the file has the flag in snake_case. */
export const SETTINGS = {
  dataDir: {
    flag: 'data-dir',
    value: 'DIR',
    help: 'data directory, made on the first start; e.g. /var/lib/indelible',
    fallback: './data',
    schema: z.string().min(1, 'is empty'),
  },
  listen: {
    flag: 'listen',
    value: 'HOST:PORT',
    help: 'address to listen on; port 0 takes a free one; e.g. 0.0.0.0:8080',
    fallback: '127.0.0.1:8080',
    schema: listen,
  },
  tlsCert: {
    flag: 'tls-cert',
    value: 'FILE',
    help: 'certificate and its chain, PEM: serves HTTPS; read again on SIGHUP; e.g. /etc/indelible/tls.crt',
    fallback: undefined,
    schema: z.string().min(1, 'is empty'),
  },
  tlsKey: {
    flag: 'tls-key',
    value: 'FILE',
    help: "the certificate's private key, PEM, mode 0600; e.g. /etc/indelible/tls.key",
    fallback: undefined,
    schema: z.string().min(1, 'is empty'),
  },
  trustedProxies: {
    flag: 'trusted-proxies',
    value: 'LIST',
    help: 'addresses and ranges of reverse proxies that are believed X-Forwarded-For and -Proto; e.g. 127.0.0.1,10.0.0.0/8',
    fallback: '',
    schema: proxies,
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
    schema: z.string().min(1, 'is empty'),
  },
  guardInode: {
    flag: 'guard-inode',
    value: 'on|off',
    help: 'refuse a copied guard; off only where the file system keeps no inodes',
    fallback: 'on',
    schema: onOff,
  },
  masterSeedFile: {
    flag: 'master-seed-file',
    value: 'FILE',
    help: 'file with the master seed, 64 hex digits, mode 0600 (default DIR/keys/master)',
    fallback: undefined,
    schema: z.string().min(1, 'is empty'),
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
  witnessPolicy: {
    flag: 'witness-policy',
    value: 'FILES',
    help: 'policies (C2SP tlog-policy) that name the witnesses of this server; of several, a log takes the first that names its key, else the first without a log; e.g. /etc/indelible/witnesses.txt',
    fallback: '',
    schema: files,
  },
  publish: {
    flag: 'publish',
    value: 'RULE',
    help: 'require-quorum: heads are shown when the quorum of witnesses has signed them; best-effort: with the cosignatures that came',
    fallback: 'require-quorum',
    schema: z.enum(['require-quorum', 'best-effort'], 'is not require-quorum or best-effort'),
  },
  witnessTimeout: {
    flag: 'witness-timeout',
    value: 'MS',
    help: 'longest that a witness may take to cosign a head, or to say what it holds, milliseconds; e.g. 5000',
    fallback: '5000',
    schema: whole(100, 60_000),
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
    schema: whole(1024, 128 * 1_048_576),
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
  keyRequests: {
    flag: 'key-requests',
    value: 'N',
    help: 'requests a second that one API key may send before others get 429, 0: any number; e.g. 500',
    fallback: '0',
    schema: whole(0, 1_000_000),
  },
  keyEntries: {
    flag: 'key-entries',
    value: 'N',
    help: 'entries a second that one API key may append before others get 429, 0: any number; e.g. 10000',
    fallback: '0',
    schema: whole(0, 10_000_000),
  },
  failedLogins: {
    flag: 'failed-logins',
    value: 'N',
    help: 'refused API keys a minute from one address before others from there get 429, 0: any number; e.g. 100',
    fallback: '100',
    schema: whole(0, 1_000_000),
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
    help: 'longest time since the newest entry or head that counts as having been off, milliseconds (400 days)',
    fallback: String(CLOCK_LIMITS.maxAbsence),
    schema: whole(1000, 100 * MILLISECONDS_A_YEAR),
  },
  writeBuffer: {
    flag: 'write-buffer',
    value: 'BYTES',
    help: "LevelDB's write buffer, bytes; smaller ones only make tests harder; e.g. 12582912",
    fallback: '12582912',
    schema: whole(65_536, 16 * 1_048_576),
  },
  minFreeSpace: {
    flag: 'min-free-space',
    value: 'BYTES or N%',
    help: 'free space below which appends answer 507, 0: never; e.g. 10% (default the larger of 5% and twice the write buffer)',
    fallback: undefined,
    schema: minFreeSpace,
  },
  scrubRate: {
    flag: 'scrub-rate',
    value: 'MB/S',
    help: 'how fast everything stored is checked again in the background, megabytes a second; 0 switches it off; e.g. 4',
    fallback: '4',
    schema: whole(0, 10_000),
  },
  scrubDelay: {
    flag: 'scrub-delay',
    value: 'SECONDS',
    help: 'how long after a start that begins, seconds; e.g. 60',
    fallback: '60',
    schema: whole(0, 86_400),
  },
  witnessLogs: {
    flag: 'witness-logs',
    value: 'FILE',
    help: 'be a witness too, under /witness/, for the log lines of this trust policy; read again on SIGHUP; e.g. /etc/indelible/peers.txt',
    fallback: undefined,
    schema: z.string().min(1, 'is empty'),
  },
  witnessName: {
    flag: 'witness-name',
    value: 'NAME',
    help: 'name of that witness, for ever; e.g. witness.example.com/w1',
    fallback: undefined,
    schema: witnessName,
  },
  logLevel: {
    flag: 'log-level',
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent; JSON lines on stderr',
    fallback: 'info',
    schema: z.enum(LEVELS, `is not one of ${LEVELS.join(', ')}`),
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;
export type Parsed = {
  readonly [K in SettingName]:
    | z.output<(typeof SETTINGS)[K]['schema']>
    | ((typeof SETTINGS)[K]['fallback'] extends undefined ? undefined : never);
};

export interface Config extends Parsed {
  /** Master seed that was given, if any. */
  readonly masterSeed: Uint8Array | undefined;
  /** Admin key that was given, if any. */
  readonly adminKey: string | undefined;
}

export function environmentName(flag: string): string {
  return `INDELIBLE_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** The key of a setting in the configuration file. */
export function fileKey(flag: string): string {
  return flag.replaceAll('-', '_');
}

/** How a setting is written in YAML: as a number, as true or false, as a list of texts, or as text. */
export type Shape = 'number' | 'switch' | 'list' | 'text';

export function shapeOf({ schema }: Setting): Shape {
  return (schema.meta()?.['shape'] as Shape | undefined) ?? 'text';
}
