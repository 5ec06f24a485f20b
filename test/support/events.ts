/** Events to test with: real CloudTrail events where the file is there, events of our own otherwise. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ROOT } from './spawn-server.ts';

const FILE = process.env['INDELIBLE_CLOUDTRAIL'] ?? join(ROOT, '../shared/data/cloudtrail.ndjson.gz');

/** Path of the real events, or `undefined` where they are missing. */
export const CLOUDTRAIL: string | undefined = existsSync(FILE) ? FILE : undefined;

/** One event a line, each with a member `eventID`. */
export function sampleEvents(): string[] {
  if (CLOUDTRAIL !== undefined) {
    return gunzipSync(readFileSync(CLOUDTRAIL))
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
  }
  console.log('the CloudTrail events are not here; using 2,000 events of our own');
  return Array.from({ length: 2000 }, (_, i) =>
    JSON.stringify({
      eventID: `event-${i}`,
      eventName: 'GetObject',
      userIdentity: { arn: `arn:aws:iam::1:user/u${i % 7}` },
      note: 'ä€😀'.repeat(i % 9),
    }),
  );
}
