// Signing and cookie keys, made once per CRM_HOME, so that a restart does not void the tokens it issued.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** `{ jwks, cookieKeys }` of this home, from `identity-keys.json` (readable by its owner only). */
export function loadKeys(home) {
  const path = join(home, 'identity-keys.json');
  return readKeys(path) ?? makeKeys(home, path);
}

function readKeys(path) {
  try {
    const keys = JSON.parse(readFileSync(path, 'utf8'));
    return keys.jwks?.keys?.length && keys.cookieKeys?.length ? keys : undefined;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    if (error instanceof SyntaxError) rmSync(path); // damaged beyond use: nothing in it can be saved
    else throw error;
    return undefined;
  }
}

function makeKeys(home, path) {
  mkdirSync(home, { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(newKeys(), null, 2), { mode: 0o600 });
  try {
    linkSync(draft, path); // unlike a rename it fails where another process was first: its keys win
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return JSON.parse(readFileSync(path, 'utf8'));
}

function newKeys() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  return {
    jwks: { keys: [{ ...jwk, alg: 'RS256', use: 'sig', kid: randomBytes(16).toString('base64url') }] },
    cookieKeys: [randomBytes(32).toString('base64url')],
  };
}
