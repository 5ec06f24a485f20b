import { describe, expect, test } from '@jest/globals';
import { prefersProtobuf } from '../../../server/http/negotiation.ts';

const P = 'application/x-protobuf';
const J = 'application/json';

describe('protobuf is the answer to', () => {
  test.each([
    P,
    'Application/X-Protobuf',
    `${P};q=1`,
    `${P};q=0.001`,
    `${P} ; q=0.5`,
    `${P};Q=1.000`,
    `${P}; charset=utf-8`,
    `${P}; messageType="a,b;q=0"; q=0.3`,
    `text/html, ${P}`,
    `,, ${P} ,`,
    `${P}, ${J};q=0.9`,
    `${J};q=0.9, ${P}`,
    `${J};q=0, ${P};q=0.1`,
    `${J};q=0, */*`,
    `${P}, */*`,
    `*/*, ${P}`,
    `${P}, application/*`,
    `application/*, ${P}`,
    `${P}, ${J}`,
    `${P};q=0.5, ${J};q=0.5`,
    `${P};q=0.5, */*;q=0.1`,
    `application/*;q=0.2, ${P};q=0.3, */*;q=1`,
    `text/plain;x="${J}", ${P}`,
    `text/plain;x="\\", ${P}`.replace('\\"', '\\\\"'),
  ])('%s', (accept) => {
    expect(prefersProtobuf(accept)).toBe(true);
  });
});

describe('JSON is the answer to', () => {
  test.each([
    undefined,
    '',
    ',',
    '*/*',
    J,
    `${J};q=0.1`,
    'application/*',
    'application/*;q=0.1, */*',
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    // Nothing is acceptable: Accept is disregarded.
    'text/html',
    `${P};q=0`,
    `${P};q=0.000`,
    `${P};q=0, ${J};q=0`,
    `${P};q=0, */*`,
    '*/*;q=0',
    `${J}, ${P}`,
    `${J}, ${P};q=0.9`,
    `${P};q=0.9, ${J}`,
    `${P};q=0.5, */*`,
    `${P};q=0, application/*;q=1`,
    // Not media ranges, or no weights.
    `${P};q=2`,
    `${P};q=-1`,
    `${P};q=0.1234`,
    `${P};q=`,
    `${P};q=a`,
    `${P}x`,
    'x-protobuf',
    '*/x-protobuf',
    '*',
    'application/protobuf',
    `text/plain;x=", ${P};y="`,
    `text/plain;x=", ${P}`,
  ])('%j', (accept) => {
    expect(prefersProtobuf(accept)).toBe(false);
  });
});

test('no header takes long to read', () => {
  for (const piece of ['"', '\\"', '"\\', ',', ';', 'q=0', `${P},`, '"\\"'])
    expect(typeof prefersProtobuf(piece.repeat(Math.floor(16_000 / piece.length)))).toBe('boolean');
});
