/** A web site as a user would make it: pages, the packages beside them, and the log server behind the same origin under /logs/. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { extname, join } from 'node:path';
import { ROOT } from '../support/spawn-server.ts';

const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.html': 'text/html; charset=utf-8' };

export interface Site {
  readonly url: string;
  /** Paths that were asked for and are not there. */
  readonly missing: readonly string[];
  close(): Promise<void>;
}

/** Serves `pages` by path, built files as an installed package, and passes /logs/ and /moved/ on to the log server. */
export async function serveSite(pages: ReadonlyMap<string, string>, logServer: string): Promise<Site> {
  const missing: string[] = [];
  const server = createServer((req, res) => {
    const { pathname } = new URL(req.url ?? '/', 'http://site.invalid');
    if (pathname.startsWith('/moved/')) {
      res.writeHead(302, { location: pathname.slice('/moved'.length) }).end();
      return;
    }
    if (pathname.startsWith('/logs/')) {
      const passed = request(`${logServer}${req.url}`, { method: req.method, headers: req.headers }, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      });
      passed.on('error', () => res.destroy());
      req.pipe(passed);
      return;
    }
    const page = pages.get(pathname);
    const file = join(ROOT, pathname.replace('/node_modules/indelible/', '/'));
    const isOpen = /^\/(?:node_modules\/(?:indelible\/dist|@noble)|test\/browser)\//.test(pathname) && existsSync(file);
    if (page === undefined && !isOpen) {
      missing.push(pathname);
      res.writeHead(404).end();
      return;
    }
    res.writeHead(200, { 'content-type': TYPES[extname(pathname)] ?? 'application/octet-stream' });
    res.end(page ?? readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: urlOf(server), missing, close: () => closed(server) };
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('bug: a server without a port');
  return `http://127.0.0.1:${address.port}`;
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
