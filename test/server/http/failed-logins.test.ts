/** API keys that are refused: logged up to a rate, recorded when they come in bursts, and never repeated. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { type Burst, FailedLogins } from '../../../server/http/failed-logins.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const SECRET = 'c0de'.repeat(16);
const KEY = `ind_0123456789abcdef_${SECRET}`;
const MINUTE = 60_000;

let clock: ManualClock;
let lines: Record<string, unknown>[];
let bursts: Burst[];
let logins: FailedLogins;

beforeEach(() => {
  clock = new ManualClock();
  lines = [];
  bursts = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  logins = new FailedLogins({ clock, logger: pino({}, stream), onBurst: (burst) => void bursts.push(burst) });
});

function refuse(count: number, authorization = `Bearer ${KEY}`): void {
  for (let i = 0; i < count; i++) logins.refused(authorization, '203.0.113.9');
}

describe('refused API keys', () => {
  test('are logged with the address and the id of the key, never with the key', () => {
    refuse(1);
    for (const other of ['Bearer hunter2', `Bearer ${KEY}0`, `Basic ${SECRET}`, KEY, '']) refuse(1, other);
    expect(lines.map(({ msg, client, key }) => [msg, client, key])).toEqual([
      ['refused an API key: unknown or revoked', '203.0.113.9', '0123456789abcdef'],
      ...Array.from({ length: 3 }, () => ['refused an API key: unknown or revoked', '203.0.113.9', undefined]),
      ['refused an API key: unknown or revoked', '203.0.113.9', '0123456789abcdef'],
      ['refused an API key: unknown or revoked', '203.0.113.9', undefined],
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/c0de|hunter2/);
  });

  test('fill no log: ten lines a minute, and one that counts the rest', () => {
    refuse(50);
    expect(lines).toHaveLength(10);
    clock.advance(MINUTE);
    refuse(1);
    expect(lines.slice(10).map(({ msg, unlogged }) => [msg, unlogged])).toEqual([
      ['more API keys were refused than were logged', 40],
      ['refused an API key: unknown or revoked', undefined],
    ]);
    clock.advance(MINUTE);
    refuse(1);
    expect(lines).toHaveLength(13);
  });

  test('are a burst from the hundredth in one minute on', () => {
    refuse(99);
    clock.advance(MINUTE);
    refuse(99);
    expect(bursts).toEqual([]);
    clock.advance(30_000);
    refuse(1);
    expect(bursts).toEqual([{ failures: 100, seconds: 30 }]);
  });

  test('are recorded at most once a minute, however long it goes on', () => {
    for (let second = 0; second < 300; second++) {
      refuse(10);
      clock.advance(1000);
    }
    expect(bursts.length).toBe(5);
  });
});
