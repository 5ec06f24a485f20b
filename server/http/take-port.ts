/** Taking the port that an operator names, before anything is made: a first start must not fail on a taken one after its key was made. */
import type { SecureContextOptions } from 'node:tls';
import { EXIT, ExitError } from '../errors.ts';
import { type BoundHttpServer, bindHttp, type Listen } from './http-server.ts';

/** Throws ExitError 2. */
export async function takePort(listen: Listen, tls?: SecureContextOptions): Promise<BoundHttpServer> {
  try {
    return await bindHttp(listen, {}, tls);
  } catch (cause) {
    const message = `cannot listen on ${listen.host}:${listen.port}: ${(cause as Error).message}`;
    throw new ExitError(EXIT.usage, message, { cause });
  }
}
