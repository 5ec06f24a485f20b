/** Servers and their witnesses, as processes: what a guard cannot notice a witness does, and two servers witness each other. */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { parseVerifierKey } from '../../proofs/key.ts';
import { freePort } from '../support/free-port.ts';
import { killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { killWitnesses, WitnessProcess } from '../support/spawn-witness.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder('witnesses');
});
afterEach(async () => {
  await killAll();
  await killWitnesses();
  folder.remove();
});

const at = (...names: string[]): string => join(folder.path, ...names);
const FLAGS = ['--interval', '100', '--log-level', 'warn'];

async function keysOf(server: ServerProcess): Promise<string[]> {
  const { logs } = (await (await server.fetch('/admin/logs')).json()) as { logs: { verifier_key: string }[] };
  return logs.map(({ verifier_key: key }) => key);
}

/** Every file of a directory, by its path in it. */
function filesOf(directory: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, name);
    if (statSync(path).isFile()) files.set(relative(directory, path), readFileSync(path));
  }
  return files;
}

/** Puts a directory back as it was; files that are there keep their inodes, and so does the guard. */
function restore(directory: string, files: ReadonlyMap<string, Buffer>): void {
  for (const name of filesOf(directory).keys()) if (!files.has(name)) rmSync(join(directory, name));
  for (const [name, bytes] of files) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    const fd = openSync(path, existsSync(path) ? 'r+' : 'w', 0o600);
    ftruncateSync(fd, 0);
    writeSync(fd, bytes);
    closeSync(fd);
  }
}

test('a data directory that was restored together with its guard, in the same inodes, is refused because a witness holds a larger head', async () => {
  const dataDir = at('data');
  let server = await ServerProcess.start({ dataDir });
  writeFileSync(at('logs.txt'), `${(await keysOf(server)).map((key) => `log ${key}\n`).join('')}quorum none\n`);
  await server.stop();
  const witness = await WitnessProcess.start({ dataDir: at('w'), policy: at('logs.txt'), name: 'witness.test/w' });
  writeFileSync(at('policy.txt'), `witness w ${witness.vkey} ${witness.url}\nquorum w\n`);
  const flags = [...FLAGS, '--witness-policy', at('policy.txt')];

  server = await ServerProcess.start({ dataDir, flags });
  const append = async (n: number): Promise<void> => {
    const reply = await server.append({ n }, '?ack=witnessed');
    expect(await reply.json()).toMatchObject({ ack: 'witnessed' });
  };
  await append(1);
  expect((await server.stop()).code).toBe(0);
  const old = filesOf(dataDir);
  server = await ServerProcess.start({ dataDir, flags });
  await append(2);
  await append(3);
  expect((await server.stop()).code).toBe(0);
  const inode = statSync(join(dataDir, 'guard')).ino;
  const newest = filesOf(dataDir);

  restore(dataDir, old);
  expect(statSync(join(dataDir, 'guard')).ino).toBe(inode);
  server = await ServerProcess.start({ dataDir, flags });
  expect(server.url).toBe('');
  expect((await server.exited).code).toBe(78);
  expect(server.stderr).toMatch(/rollback: witness w holds a checkpoint of size 3 that the key of log main has signed/);
  const kept = readdirSync(join(dataDir, 'evidence')).filter((name) => name.startsWith('main-'));
  expect(kept).toHaveLength(2);
  const key = parseVerifierKey(
    readFileSync(at('logs.txt'), 'utf8')
      .split(/[\s]+/)
      .find((word) => word.includes('/main+')) as string,
  );
  const sizes = kept.map((name) => openCheckpoint(readFileSync(join(dataDir, 'evidence', name)), key).treeSize);
  expect(sizes.sort()).toEqual([1, 3]);

  // Nobody else notices: without the witness it starts.
  server = await ServerProcess.start({ dataDir, flags: FLAGS });
  expect(server.url).not.toBe('');
  await server.stop('SIGKILL');

  restore(dataDir, newest);
  server = await ServerProcess.start({ dataDir, flags });
  await append(4);
  expect((await server.stop()).code).toBe(0);
}, 120_000);

test('two servers cosign each other, each in one process', async () => {
  const ports = [await freePort(), await freePort()] as const;
  const names = ['alice', 'bob'] as const;
  const base = (i: number): readonly string[] => [
    ...FLAGS,
    ...['--listen', `127.0.0.1:${ports[i]}`, '--origin-base', `${names[i]}.example`],
    ...['--witness-name', `witness.${names[i]}.example`, '--witness-logs', at(`known-to-${names[i]}.txt`)],
  ];
  const dirs = [at('a'), at('b')];
  for (const name of names) writeFileSync(at(`known-to-${name}.txt`), 'quorum none\n');
  const keys: string[][] = [];
  const witnessKeys: string[] = [];
  for (const i of [0, 1]) {
    const server = await ServerProcess.start({
      dataDir: dirs[i] as string,
      flags: [...base(i), '--log-level', 'info'],
    });
    keys.push(await keysOf(server));
    witnessKeys.push(/"witness":"([^"]+)"/.exec(server.stderr)?.[1] as string);
    await server.stop();
  }
  for (const i of [0, 1]) {
    const other = 1 - i;
    const lines = (keys[other] as string[]).map((key) => `log ${key}\n`).join('');
    writeFileSync(at(`known-to-${names[i]}.txt`), `${lines}quorum none\n`);
    const url = `http://127.0.0.1:${ports[other]}/witness`;
    writeFileSync(at(`policy-${names[i]}.txt`), `witness peer ${witnessKeys[other]} ${url}\nquorum peer\n`);
  }
  const servers = await Promise.all(
    [0, 1].map((i) =>
      ServerProcess.start({
        dataDir: dirs[i] as string,
        flags: [...base(i), '--witness-policy', at(`policy-${names[i]}.txt`)],
      }),
    ),
  );
  for (const [i, server] of servers.entries()) {
    const reply = (await (await server.append({ n: 1 }, '?ack=witnessed')).json()) as {
      ack: string;
      checkpoint: string;
    };
    expect(reply.ack).toBe('witnessed');
    expect(reply.checkpoint).toContain(`— witness.${names[1 - i]}.example `);
  }
  // One alone shows nothing new, takes entries, and goes on when the other is back.
  const [alice, bob] = servers as [ServerProcess, ServerProcess];
  await bob.stop();
  expect(await (await alice.append({ n: 2 })).json()).toMatchObject({ ack: 'durable' });
  await ServerProcess.start({
    dataDir: dirs[1] as string,
    flags: [...base(1), '--witness-policy', at('policy-bob.txt')],
  });
  expect(await (await alice.append({ n: 3 }, '?ack=witnessed')).json()).toMatchObject({ ack: 'witnessed' });
}, 120_000);
