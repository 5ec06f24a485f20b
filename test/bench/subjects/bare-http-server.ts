/** The process of the yardstick (bare-http.ts). */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const HEADERS = {
  'content-security-policy': "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

let answered = 0;
const bodies = new Map<string, Buffer>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const reply = request.method === 'GET' ? bytes(request.url ?? '/0') : String(answered++);
    response.writeHead(200, {
      ...HEADERS,
      'content-type': 'text/plain; charset=utf-8',
      'content-length': reply.length,
    });
    response.end(reply);
  });
});

function bytes(path: string): Buffer {
  let body = bodies.get(path);
  if (body === undefined) {
    body = Buffer.alloc(Number(path.slice(1)), 'x');
    bodies.set(path, body);
  }
  return body;
}

server.listen(0, '127.0.0.1', 4096, () => {
  process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
