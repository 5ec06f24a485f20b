/**
 * Hooks of Node's module loader: three modules have a stand-in in a simulated world, whoever imports them. Everything else of the
 * server is loaded as it was built.
 */
const LEVEL = new URL('fake-level.ts', import.meta.url).href;
const SIGNATURES = new URL('fake-signatures.ts', import.meta.url).href;

export async function resolve(specifier, context, next) {
  if (specifier === 'level') return { url: LEVEL, shortCircuit: true };
  const found = await next(specifier, context);
  return /\/(?:proofs\/ed25519|server\/openssl-signer)\.[jt]s$/.test(found.url) ? { ...found, url: SIGNATURES } : found;
}
