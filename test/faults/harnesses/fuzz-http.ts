/** A real server under requests that nobody should send, over bare sockets. */
import { fuzzHttp } from '../../fuzz/http/run.ts';
import type { Harness, Plant } from '../harness.ts';

const QUICK = 50_000;
const FULL = 1_000_000;

function plant(count: number, file: string, text: string, replacement: string): Plant {
  return { bugs: [{ file, text, replacement }], count };
}

const REQUEST = 'server/http/request.js';

export const harness: Harness = {
  id: 'fuzz-http',
  title: 'altered, smuggled and broken requests',
  required:
    'one strict reply to each request that stands in the bytes and none to anything else, no 5xx but the declared ones, no stall, memory that does not grow, and a log that holds what was acknowledged',
  unit: 'requests',
  count: { quick: QUICK, full: FULL },
  alone: true,
  least: { connections: 0.1, canaries: 0.05, acknowledged: 0.001, 'status 200': 0.2, 'status 400': 0.02 },
  plants: {
    'two-lengths-of-a-body': plant(
      5000,
      'server/http/http-server.js',
      'requireHostHeader: false,',
      'requireHostHeader: false, insecureHTTPParser: true,',
    ),
    'two-hosts': plant(5000, 'server/http/site.js', 'hosts > 1 || ', ''),
    'exception-as-500': plant(
      5000,
      REQUEST,
      "throw new ServerError('bad_parameter', 'the query is not percent-encoded UTF-8', { cause });",
      'throw cause;',
    ),
    'first-piece-of-a-body': plant(5000, REQUEST, 'Buffer.concat(chunks)', '(chunks[0] ?? Buffer.alloc(0))'),
    'answer-twice': plant(
      5000,
      'server/http/whole-reply.js',
      'res.end();',
      "res.end(); if (req.headers.accept !== undefined) socket.write('HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n');",
    ),
    'closed-at-once': plant(20_000, 'server/http/connections.js', 'socket.destroySoon = () => this.end(socket);', ''),
    'cut-without-a-reason': plant(
      5000,
      'server/http/http-server.js',
      "connections.cut(stream, 'tunnel')",
      'stream.destroy()',
    ),
    stall: plant(
      5000,
      'server/http/negotiation.js',
      'const ranges = readRanges(accept);',
      'const ranges = readRanges(accept); for (const { user } = process.cpuUsage(); process.cpuUsage().user < user + 4e6;);',
    ),
    leak: plant(
      9000,
      'server/http/site.js',
      'const started = performance.now();',
      'const started = performance.now(); (globalThis.kept ??= []).push(Buffer.alloc(49152, 1));',
    ),
  },
  async run({ count, seed, build, progress }) {
    const limits = count >= FULL ? 'long' : count >= QUICK ? 'short' : 'none';
    const options = { count, seed, limits, progress } as const;
    const { requests, violations, seen } = await fuzzHttp(build === undefined ? options : { ...options, build });
    return { tried: requests, violations, seen };
  },
};
