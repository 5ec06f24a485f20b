/** What the bench sends, in which order, and which scenarios there are. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { decodeBundle } from '../../tree/bundles.ts';
import { temporaryFolder } from '../support/spawn-server.ts';
import { forEach } from './measure/concurrency.ts';
import { allocatedBytes } from './measure/disk.ts';
import { asRaw, eventOf, ndjson, rawBatch, rawEntries, realEvents, withUniqueDigits } from './measure/payloads.ts';
import { writeRequests } from './measure/requests.ts';
import { alternate, ratios } from './measure/rounds.ts';
import { memoryOf, usageOf } from './measure/usage.ts';
import { allScenarios } from './scenarios.ts';
import { Shared } from './shared.ts';

const folder = temporaryFolder('bench');
afterAll(folder.remove);

describe('payloads', () => {
  test('no two entries are equal: the digits of each are its own', () => {
    const batch = withUniqueDigits(rawBatch(3, 200), 'abcdef01', 254);
    const starts = decodeBundle(batch, 3).map((entry) => Buffer.from(entry.subarray(0, 16)).toString());
    expect(starts).toEqual(['abcdef01000000fe', 'abcdef01000000ff', 'abcdef0100000100']);
    expect(rawEntries(200).every(({ bytes, unique }) => bytes.length === 200 && unique[0] === 0)).toBe(true);
  });

  test('events have the size that was asked for, and stay JSON with their digits in', () => {
    const events = Array.from({ length: 3 }, () => eventOf(200));
    expect(events.map((event) => Buffer.byteLength(event))).toEqual([200, 200, 200]);
    const ids = withUniqueDigits(ndjson(events), 'abcdef01', 1)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).eventID);
    expect(ids).toEqual(['abcdef0100000001', 'abcdef0100000002', 'abcdef0100000003']);
  });

  test('the same events as raw entries, with the digits where they were', () => {
    const events = [eventOf(200), eventOf(300), eventOf(200)];
    const lines = withUniqueDigits(ndjson(events), 'abcdef01', 7).toString().trimEnd().split('\n');
    const entries = decodeBundle(withUniqueDigits(asRaw(ndjson(events)), 'abcdef01', 7), 3);
    expect(entries.map((entry) => Buffer.from(entry).toString())).toEqual(lines);
  });

  test('the real events too', () => {
    const events = realEvents();
    const lines = withUniqueDigits(ndjson(events), '12345678', 0).toString().trimEnd().split('\n');
    expect(new Set(lines.map((line) => JSON.parse(line).eventID)).size).toBe(events.length);
  });
});

test('requests are written with their length and the places of their digits', () => {
  const file = join(folder.path, 'requests');
  const body = { bytes: Buffer.from('ab0000000000000000'), unique: [2] };
  writeRequests(file, [
    { method: 'POST', path: '/add', headers: { 'x-key': '1' }, body },
    { method: 'GET', path: '/tile' },
  ]);
  const post = 'POST /add HTTP/1.1\r\nHost: 127.0.0.1\r\nx-key: 1\r\nContent-Length: 18\r\n\r\n';
  const get = 'GET /tile HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
  expect(readFileSync(file, 'latin1')).toBe(
    `${post.length + 18} ${post.length + 2}\n${post}ab0000000000000000${get.length}\n${get}`,
  );
  rmSync(file);
});

describe('rounds', () => {
  test('go A B A B, and leave out who is missing', async () => {
    const order: string[] = [];
    const round = (name: string) => async (): Promise<number> => order.push(name);
    const rounds = await alternate(2, { a: round('a'), gone: undefined, b: round('b') });
    expect(order).toEqual(['a', 'b', 'a', 'b']);
    expect(rounds).toEqual({ a: [1, 3], gone: [], b: [2, 4] });
  });

  test('ratios are those of the pairs', () => {
    const own = (value: number): number => value;
    expect(ratios([2, 9], own, [1, 3], own)).toEqual([2, 3]);
    expect(ratios([2, 9], own, [], own)).toEqual([]);
  });
});

test('many things are done some at a time, each once', async () => {
  const done: number[] = [];
  let running = 0;
  let most = 0;
  await forEach([1, 2, 3, 4, 5], 2, async (item) => {
    most = Math.max(most, ++running);
    await new Promise(setImmediate);
    running--;
    done.push(item);
  });
  expect(done.sort()).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
});

test('what scenarios share is made once, again if that failed, and removed', async () => {
  const shared = new Shared(folder.path);
  const made: string[] = [];
  const make = async (path: string): Promise<string> => {
    made.push(path);
    if (made.length === 1) throw new Error('the disk is full');
    return path;
  };
  await expect(shared.once('store', make)).rejects.toThrow('the disk is full');
  const [first, second] = await Promise.all([shared.once('store', make), shared.once('store', make)]);
  expect([first, second]).toEqual([made[1], made[1]]);
  expect(existsSync(first)).toBe(true);
  shared.remove();
  expect(made.filter((path) => existsSync(path))).toEqual([]);
});

test('what a process has used can be read', () => {
  expect(usageOf(process.pid).cpuMicros).toBeGreaterThan(0);
  const { rssBytes, peakRssBytes, ownBytes } = memoryOf(process.pid);
  expect(rssBytes).toBeGreaterThan(10e6);
  expect(peakRssBytes).toBeGreaterThanOrEqual(rssBytes * 0.9);
  // A Node is more than the 30 MB of its own program that are mapped.
  expect(ownBytes).toBeGreaterThan(10e6);
  expect(ownBytes).toBeLessThan(rssBytes * 1.1);
  expect(allocatedBytes(join(import.meta.dirname, 'report'))).toBeGreaterThan(0);
});

test('each scenario has the letter of its file, once', async () => {
  const scenarios = await allScenarios();
  const ids = scenarios.map(({ id }) => id);
  expect(ids).toEqual([...'abcdefghijklmno']);
});
