// Everything the pretend provider reads from its environment, checked once.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const REALM_PATH = '/realms/crm';

/** Settings of this process; throws an Error that names the first variable that is missing or wrong. */
export function readSettings(env = process.env) {
  const port = portOf(env, 'IDENTITY_PORT');
  return Object.freeze({
    port,
    realmPath: REALM_PATH,
    issuer: `http://127.0.0.1:${port}${REALM_PATH}`,
    home: resolve(env.CRM_HOME || '.local'),
    crmAddresses: crmAddresses(env.PUBLIC_URL || `http://127.0.0.1:${env.PORT || 8000}`),
    clientId: env.OIDC_CLIENT_ID || 'crm',
    clientSecret: required(env, 'OIDC_CLIENT_SECRET'),
    syncClientId: env.WINLEADPLUS_CLIENT_ID || 'crm-sync',
    syncClientSecret: required(env, 'WINLEADPLUS_CLIENT_SECRET'),
  });
}

/** The cast of the demo, shared with the seed and the pretend WinLeadPlus. */
export function readCast() {
  return JSON.parse(readFileSync(new URL('../accounts.json', import.meta.url), 'utf8'));
}

function required(env, name) {
  if (!env[name]) throw new Error(`${name} is not set`);
  return env[name];
}

function portOf(env, name) {
  const port = Number(required(env, name));
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`${name} is not a port`);
  return port;
}

/** PUBLIC_URL first, then its loopback spellings: people type localhost where the setting says 127.0.0.1. */
function crmAddresses(publicUrl) {
  const url = new URL(publicUrl);
  const port = url.port ? `:${url.port}` : '';
  const spellings = ['127.0.0.1', 'localhost'].map((host) => `${url.protocol}//${host}${port}`);
  return [...new Set([publicUrl.replace(/\/+$/, ''), ...spellings])];
}
