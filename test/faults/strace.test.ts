/** What a trace says of the calls of a server, and which faults are made of it. The traces are lines of real ones. */
import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '../support/random.ts';
import { type Call, parseTrace } from './strace.ts';
import { drawPlan, fileKind } from './syscall-faults.ts';

const TRACE = `10 mkdir("/d/keys", 0700) = 0
10 openat(AT_FDCWD</w>, "/other/file", O_RDONLY|O_CLOEXEC) = 20</other/file>
10 openat(AT_FDCWD</w>, "/d/guard.tmp-010000000001", O_WRONLY|O_CREAT|O_EXCL|O_TRUNC|O_CLOEXEC, 0600) = 21</d/guard.tmp-010000000001>
10 write(21</d/guard.tmp-010000000001>, "indelible gu"..., 16384) = 16384
10 link("/d/guard.tmp-010000000001", "/d/guard") = 0
11 pwrite64(22</d/guard>, "a\\"b, 7)     "..., 4096, 8192 <unfinished ...>
12 openat(AT_FDCWD</w>, "/d/db/000003.log", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 25</d/db/000003.log>
11 <... pwrite64 resumed>) = -1 EIO (Input/output error) (INJECTED)
12 write(25</d/db/000003.log>, "\\336\\353\\353k\\312\\n"..., 2769) = 2769
12 write(25</d/db/000003.log>, "3C\\305\\253O"..., 598) = -1 EIO (Input/output error) (INJECTED)
10 write(1<pipe:[7]>, "listening on"..., 40) = 40
12 fdatasync(25</d/db/000003.log>) = -1 EFBIG (File too large)
10 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
10 fsync(27</d>) = 0
10 +++ exited with 0 +++
`;

describe('parseTrace', () => {
  const calls = parseTrace(TRACE, '/d');

  test('gives the calls about files of the data directory, by the stage of the server', () => {
    expect(calls.map(({ thread, name, files, stage }) => [thread, name, files, stage])).toEqual([
      ['10', 'mkdir', ['keys'], 'start'],
      ['10', 'openat', ['guard.tmp-010000000001'], 'start'],
      ['10', 'write', ['guard.tmp-010000000001'], 'start'],
      ['10', 'link', ['guard.tmp-010000000001', 'guard'], 'start'],
      ['11', 'pwrite64', ['guard'], 'start'],
      ['12', 'openat', ['db/000003.log'], 'start'],
      ['12', 'write', ['db/000003.log'], 'start'],
      ['12', 'write', ['db/000003.log'], 'start'],
      ['12', 'fdatasync', ['db/000003.log'], 'running'],
      ['10', 'fsync', [''], 'stop'],
    ]);
  });

  test('says where in its file a write goes', () => {
    expect(calls.flatMap(({ range }) => (range === undefined ? [] : [range]))).toEqual([
      { offset: 0, size: 16384 },
      { offset: 8192, size: 4096 },
      { offset: 0, size: 2769 },
      { offset: 2769, size: 598 },
    ]);
  });

  test('says which calls were made to fail', () => {
    expect(calls.filter(({ failed }) => failed).map(({ name }) => name)).toEqual(['pwrite64', 'write', 'fdatasync']);
  });
});

describe('drawPlan', () => {
  const call = (name: string, file: string, stage: Call['stage'], thread = '12'): Call => ({
    ...{ thread, name, files: [file], stage, failed: false },
    range: name === 'write' ? { offset: 100, size: 50 } : undefined,
  });
  const calls = [
    call('openat', 'db/000003.log', 'start'),
    call('write', 'db/000003.log', 'running'),
    call('write', 'db/LOG', 'running', '13'),
    call('write', 'db/000003.log', 'running'),
    call('fdatasync', 'db/000003.log', 'stop'),
  ];
  const recordings = { 'first start': calls, restart: calls };
  const commands = (seed: number): string[] => {
    const random = seededRandom(seed);
    return Array.from({ length: 300 }, () => drawPlan(recordings, random).fault.wrapper('/trace', '/d').join(' '));
  };

  test('draws the same of the same seed', () => {
    expect(commands(1)).toEqual(commands(1));
    expect(commands(1)).not.toEqual(commands(2));
  });

  test('counts calls in their thread, about their file', () => {
    const drawn = new Set(commands(3));
    expect(drawn).toContain(
      'strace -D -f -qq -y --seccomp-bpf -s 0 -o /trace -P /d/db/000003.log -e trace=write -e inject=write:error=EIO:when=2',
    );
    expect(drawn).toContain(
      'strace -D -f -qq -y --seccomp-bpf -s 0 -o /trace -P /d/db/LOG -e trace=write -e inject=write:error=EIO:when=1',
    );
  });

  test('kills without a filter, in which strace would lose the signal', () => {
    const kills = commands(4).filter((command) => command.includes('signal=KILL'));
    expect(kills.length).toBeGreaterThan(0);
    expect(kills.filter((command) => command.includes('--seccomp-bpf'))).toEqual([]);
  });

  test('makes writes short within what was written, without a limit for the trace', () => {
    const limits = commands(5).flatMap((command) => /-o \/trace .* prlimit --fsize=([0-9]+)$/.exec(command)?.[1] ?? []);
    expect(limits.length).toBeGreaterThan(0);
    for (const limit of limits.map(Number)) expect(limit >= 100 && limit < 150).toBe(true);
  });
});

test('fileKind tells files by what they are for', () => {
  expect(['db/000012.log', 'db/MANIFEST-000007', 'db/000001.dbtmp', 'db/CURRENT', ''].map(fileKind)).toEqual([
    'db/N.log',
    'db/MANIFEST-N',
    'db/N.dbtmp',
    'db/CURRENT',
    '',
  ]);
  expect(fileKind('keys/master.tmp-010000000001')).toBe('keys/master.tmp');
  expect(fileKind('derived/by-hash/000003.log')).toBe('derived');
});
