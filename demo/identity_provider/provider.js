// oidc-provider, configured until a client cannot tell it from Keycloak with deploy/keycloak/realm.json.
import { Provider, interactionPolicy } from 'oidc-provider';

import { personClaims, serviceTokenClaims, userTokenClaims } from './claims.js';
import { announceSignOuts, answerUserinfo, endSessionByRefreshToken, signOutWithoutAsking } from './endpoints.js';
import { readForm } from './forms.js';
import { renderErrorPage, renderLogoutPage, renderSignedOutPage } from './pages.js';
import { memoryAdapters } from './store.js';

const PROTOCOL = '/protocol/openid-connect';
const MINUTE = 60;
const HOUR = 60 * MINUTE;

// Keycloak's defaults. A refresh renews the idle time; nothing outlives the session's maximum.
const ACCESS_TOKEN_LIFESPAN = 5 * MINUTE;
const SSO_SESSION_IDLE = 30 * MINUTE;
const SSO_SESSION_MAX = 10 * HOUR;

// oidc-provider issues JWT access tokens for a « resource » only, so everything belongs to one of ours.
const RESOURCE = 'urn:crm:api';
const SCOPES = 'openid profile email';

/** An oidc-provider for this realm. `cast` are the accounts, `keys` what signs tokens and cookies. */
export function buildProvider(settings, cast, keys) {
  const accounts = new Map(cast.accounts.map((account) => [account.sub, account]));
  const provider = new Provider(settings.issuer, {
    ...identityOf(accounts),
    ...tokensOf(settings, cast, accounts),
    ...pagesOf(settings),
    adapter: memoryAdapters(),
    clients: clientsOf(settings),
    clientAuthMethods: ['client_secret_basic'],
    cookies: cookiesOf(settings, keys),
    jwks: keys.jwks,
    pkce: { required: () => true },
    responseTypes: ['code'],
    routes: {
      authorization: `${PROTOCOL}/auth`,
      end_session: `${PROTOCOL}/logout`,
      jwks: `${PROTOCOL}/certs`,
      pushed_authorization_request: `${PROTOCOL}/ext/par/request`,
      revocation: `${PROTOCOL}/revoke`,
      token: `${PROTOCOL}/token`,
      userinfo: `${PROTOCOL}/userinfo`,
    },
  });
  answerUserinfo(provider, `${PROTOCOL}/userinfo`, { accounts, signingKey: keys.jwks.keys[0] });
  signOutWithoutAsking(provider);
  endSessionByRefreshToken(provider, `${PROTOCOL}/logout`, settings, readForm);
  announceSignOuts(provider, settings, keys.jwks.keys[0]);
  return provider;
}

function clientsOf(settings) {
  return [
    {
      client_id: settings.clientId,
      client_secret: settings.clientSecret,
      client_name: 'CRM',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: settings.crmAddresses.map((address) => `${address}/connexion/retour`),
      post_logout_redirect_uris: settings.crmAddresses.flatMap((address) => [
        `${address}/`,
        `${address}/connexion`,
      ]),
    },
    {
      client_id: settings.syncClientId,
      client_secret: settings.syncClientSecret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ];
}

function cookiesOf(settings, keys) {
  const options = { httpOnly: true, sameSite: 'lax', path: settings.realmPath };
  return {
    keys: keys.cookieKeys,
    // Cookies ignore ports: with the port in their names, two homes on one machine do not mix sessions.
    names: {
      session: `identity_session_${settings.port}`,
      interaction: `identity_interaction_${settings.port}`,
      resume: `identity_resume_${settings.port}`,
    },
    long: options,
    short: { httpOnly: true, sameSite: 'lax' }, // each sign-in under its own path: two tabs do not disturb each other
  };
}

function identityOf(accounts) {
  return {
    claims: {
      openid: ['sub', 'typ', 'azp', 'sid', 'acr', 'auth_time', 'organisation'],
      profile: ['name', 'given_name', 'family_name', 'preferred_username'],
      email: ['email', 'email_verified'],
      iss: null,
    },
    conformIdTokenClaims: false, // Keycloak puts the scopes' claims into the ID token too
    async findAccount(ctx, sub, token) {
      const account = accounts.get(sub);
      return account && { accountId: sub, claims: () => idTokenClaims(account, token) };
    },
  };
}

function idTokenClaims(account, token) {
  return { sub: account.sub, typ: 'ID', azp: token?.clientId, sid: token?.sessionUid, ...personClaims(account) };
}

function tokensOf(settings, cast, accounts) {
  return {
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: SCOPES,
          accessTokenFormat: 'jwt',
          accessTokenTTL: ACCESS_TOKEN_LIFESPAN,
        }),
      },
      revocation: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: renderLogoutPage,
        postLogoutSuccessSource: renderSignedOutPage(settings),
      },
    },
    scopes: ['openid', 'profile', 'email', 'roles', 'offline_access'],
    ttl: {
      AccessToken: ACCESS_TOKEN_LIFESPAN,
      AuthorizationCode: MINUTE,
      ClientCredentials: ACCESS_TOKEN_LIFESPAN,
      Grant: SSO_SESSION_MAX,
      IdToken: ACCESS_TOKEN_LIFESPAN,
      Interaction: 30 * MINUTE,
      RefreshToken: SSO_SESSION_IDLE,
      Session: SSO_SESSION_MAX,
    },
    // Keycloak issues a refresh token without being asked for offline_access, and a new one at every refresh
    // while the former ones live on (store.js leaves them usable).
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    loadExistingGrant: grantEverything,
    formats: { customizers: { jwt: accessTokenShaper(cast, accounts) } },
  };
}

/** No consent page: Keycloak asks for none by default. */
async function grantEverything(ctx) {
  const { provider, client, session } = ctx.oidc;
  const known = await provider.Grant.find(session.grantIdFor(client.clientId) ?? '');
  if (known && known.accountId === session.accountId) return known;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid profile email roles');
  grant.addResourceScope(RESOURCE, SCOPES);
  await grant.save();
  return grant;
}

/** Replaces oidc-provider's RFC 9068 payload by the one that Keycloak writes. */
function accessTokenShaper(cast, accounts) {
  return (ctx, token, structured) => {
    const { jti, iat, exp, iss } = structured.payload;
    const account = accounts.get(token.accountId);
    const particular = account
      ? userTokenClaims(account, { clientId: token.clientId, sid: token.sessionUid, scope: token.scope })
      : serviceTokenClaims(cast.service_account, token.clientId);
    structured.header = { typ: 'JWT' };
    structured.payload = { exp, iat, jti, iss, ...particular };
  };
}

function pagesOf(settings) {
  const policy = interactionPolicy.base();
  policy.remove('consent');
  return {
    interactions: {
      policy,
      url: (ctx, interaction) => `${settings.realmPath}/login-actions/authenticate/${interaction.uid}`,
    },
    renderError: renderErrorPage(settings),
  };
}
