// The pretend identity provider: Keycloak's addresses, tokens and manners, on loopback, for development and tests.
//
//   IDENTITY_PORT=8081 OIDC_CLIENT_SECRET=… WINLEADPLUS_CLIENT_SECRET=… node demo/identity_provider/server.js
import { createServer } from 'node:http';

import { readForm } from './forms.js';
import { loadKeys } from './keys.js';
import { PAGE_HEADERS, expiredPage, notFoundPage, signInPage } from './pages.js';
import { buildProvider } from './provider.js';
import { readCast, readSettings } from './settings.js';

const settings = settingsOrExit();
const cast = readCast();
const provider = buildProvider(settings, cast, loadKeys(settings.home));
const answerProtocol = provider.callback();
const signInPath = `${settings.realmPath}/login-actions/authenticate/`;

provider.on('server_error', (ctx, error) => console.error(`identity: ${ctx.method} ${ctx.path}:`, error));

const server = createServer((request, response) => {
  route(request, response).catch((error) => {
    console.error(`identity: ${request.method} ${request.url.split('?')[0]}:`, error);
    if (!response.headersSent) sendPage(response, 500, expiredPage(settings));
  });
});
server.on('error', (error) => {
  console.error(`identity: ${error.message}`);
  process.exit(1);
});
server.listen(settings.port, '127.0.0.1', () => console.log(`identity: ${settings.issuer}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, stop);

function settingsOrExit() {
  try {
    return readSettings();
  } catch (error) {
    console.error(`identity: ${error.message}`);
    return process.exit(1);
  }
}

function stop() {
  server.close(() => process.exit(0));
  server.closeAllConnections();
}

async function route(request, response) {
  const path = request.url.split('?')[0];
  if (path.startsWith(signInPath)) return signIn(request, response);
  if (!path.startsWith(`${settings.realmPath}/`)) return sendPage(response, 404, notFoundPage());
  // Addresses in answers are the issuer's, whichever name the request came by: as Keycloak with a fixed hostname.
  request.headers.host = `127.0.0.1:${settings.port}`;
  request.originalUrl = request.url; // oidc-provider learns from the two that it is mounted below the realm
  request.url = request.url.slice(settings.realmPath.length);
  return answerProtocol(request, response);
}

async function signIn(request, response) {
  const interaction = await pendingInteraction(request, response);
  if (!interaction) return sendPage(response, 400, expiredPage(settings));
  const form = { action: request.url, cast, username: interaction.params.login_hint };
  if (request.method !== 'POST') return sendPage(response, 200, signInPage(form));

  const fields = await readForm(request);
  const account = accountFor(fields.get('username') ?? '', fields.get('password') ?? '');
  const login = { accountId: account?.sub, acr: '1' };
  if (account) return provider.interactionFinished(request, response, { login });
  // 200, as Keycloak answers: the form is shown again, nothing went wrong with the request itself.
  return sendPage(response, 200, signInPage({ ...form, username: fields.get('username') ?? '', failed: true }));
}

/** The sign-in that this browser began and that the address names, or undefined when it is over. */
async function pendingInteraction(request, response) {
  try {
    const interaction = await provider.interactionDetails(request, response);
    return request.url.split('?')[0] === `${signInPath}${interaction.uid}` ? interaction : undefined;
  } catch (error) {
    if (error.name === 'SessionNotFound') return undefined;
    throw error;
  }
}

function accountFor(username, password) {
  if (password !== cast.password) return undefined;
  return cast.accounts.find((account) => account.username === username.trim().toLowerCase());
}

function sendPage(response, status, body) {
  response.writeHead(status, PAGE_HEADERS).end(body);
}
