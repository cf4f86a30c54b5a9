// Places where oidc-provider, left to itself, differs from Keycloak in a way that a client notices.
import { createPrivateKey, createPublicKey, randomUUID, sign, timingSafeEqual, verify } from 'node:crypto';

import { personClaims } from './claims.js';

class BadTokenError extends Error {}

/**
 * Userinfo for JWT access tokens: oidc-provider keeps no record of them and refuses any that has an audience,
 * while Keycloak accepts its own tokens there for as long as the session lives.
 */
export function answerUserinfo(provider, path, { accounts, signingKey }) {
  const grantOf = rememberGrants(provider);
  const publicKey = createPublicKey({ key: signingKey, format: 'jwk' });

  async function subjectOf(authorization) {
    const payload = verifiedPayload(authorization, publicKey);
    const grantId = grantOf(payload.jti);
    if (!grantId || !(await provider.Grant.find(grantId))) throw new BadTokenError('the session is over');
    return accounts.get(payload.sub);
  }

  provider.use(async (ctx, next) => {
    if (ctx.path !== path || !['GET', 'POST'].includes(ctx.method)) return next();
    ctx.set('cache-control', 'no-store');
    try {
      const account = await subjectOf(ctx.get('authorization'));
      ctx.body = { sub: account.sub, ...personClaims(account) };
    } catch (error) {
      if (!(error instanceof BadTokenError)) throw error;
      ctx.status = 401;
      ctx.set('www-authenticate', 'Bearer realm="crm", error="invalid_token"');
      ctx.body = { error: 'invalid_token', error_description: 'Token verification failed' };
    }
  });
}

/** Which grant each living access token came from, so that signing out voids the tokens here as well. */
function rememberGrants(provider) {
  const grants = new Map();
  provider.on('access_token.issued', ({ jti, grantId, exp }) => {
    const now = Date.now() / 1000;
    for (const [old, entry] of grants) if (entry.exp <= now) grants.delete(old);
    grants.set(jti, { grantId, exp });
  });
  return (jti) => grants.get(jti)?.grantId;
}

function verifiedPayload(authorization, publicKey) {
  const [, head, body, signature] = /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/i.exec(authorization) ?? [];
  if (!signature) throw new BadTokenError('no bearer token');
  const signed = Buffer.from(`${head}.${body}`);
  if (!verify('RSA-SHA256', signed, publicKey, Buffer.from(signature, 'base64url'))) {
    throw new BadTokenError('the signature is not ours');
  }
  const payload = JSON.parse(Buffer.from(body, 'base64url'));
  if (payload.typ !== 'Bearer' || payload.exp <= Date.now() / 1000) throw new BadTokenError('not a living token');
  return payload;
}

/**
 * Sign-out that comes with a valid `id_token_hint` ends the session at once and goes back to the client.
 * oidc-provider would ask first, or need script to go on. Without a hint, or with one about somebody else
 * than the person signed in here, its question stays.
 */
export function signOutWithoutAsking(provider) {
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'end_session' || ctx.status !== 200) return;
    const { session, entities, params } = ctx.oidc;
    if (!entities.IdTokenHint) return;
    if (session.accountId && session.accountId !== entities.IdTokenHint.payload.sub) return;
    await endSession(provider, ctx);
    ctx.redirect(landing(ctx, params));
  });
}

/** A client ends the session of its own refresh token, without a browser: Keycloak's way beside the standard. */
export function endSessionByRefreshToken(provider, path, settings, readForm) {
  const expected = Buffer.from(`Basic ${btoa(`${settings.clientId}:${settings.clientSecret}`)}`);

  provider.use(async (ctx, next) => {
    const given = Buffer.from(ctx.get('authorization'));
    if (ctx.path !== path || ctx.method !== 'POST' || given.length === 0) return next();
    const isOurs = given.length === expected.length && timingSafeEqual(given, expected);
    const token = (await readForm(ctx.req)).get('refresh_token') ?? '';
    const known = isOurs && (await provider.RefreshToken.find(token));
    if (!known) {
      ctx.status = isOurs ? 400 : 401;
      ctx.body = { error: isOurs ? 'invalid_grant' : 'invalid_client' };
      return;
    }
    const session = await provider.Session.findByUid(known.sessionUid);
    if (session) await voidSession(provider, session);
    ctx.status = 204;
  });
}

/** Tell the CRM of every session that ends (OpenID Connect Back-Channel Logout 1.0), as Keycloak does, in its words. */
export function announceSignOuts(provider, settings, signingKey) {
  const key = createPrivateKey({ key: signingKey, format: 'jwk' });

  provider.on('session.destroyed', async (session) => {
    if (!session.accountId) return;
    const now = Math.floor(Date.now() / 1000);
    const logoutToken = signed(key, signingKey.kid, {
      iss: provider.issuer,
      aud: settings.clientId,
      iat: now,
      exp: now + 120,
      jti: randomUUID(),
      typ: 'Logout',
      sub: session.accountId,
      sid: session.uid,
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    const address = `${settings.crmAddresses[0]}/deconnexion/par-le-fournisseur`;
    try {
      await fetch(address, { method: 'POST', body: new URLSearchParams({ logout_token: logoutToken }) });
    } catch (error) {
      console.error(`identity: the CRM was not told of a sign-out: ${error.message}`);
    }
  });
}

function signed(key, kid, payload) {
  const parts = [{ alg: 'RS256', typ: 'JWT', kid }, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signature = sign('RSA-SHA256', Buffer.from(parts.join('.')), key);
  return [...parts, signature.toString('base64url')].join('.');
}

async function voidSession(provider, session) {
  for (const { grantId } of Object.values(session.authorizations ?? {})) {
    if (!grantId) continue;
    await provider.RefreshToken.revokeByGrantId(grantId);
    await provider.AuthorizationCode.revokeByGrantId(grantId);
    await provider.Grant.adapter.destroy(grantId);
  }
  await session.destroy();
}

async function endSession(provider, ctx) {
  const { session, cookies } = ctx.oidc;
  await voidSession(provider, session);
  const { pathname } = new URL(provider.issuer);
  cookies.set(provider.cookieName('session'), null, { path: pathname, overwrite: true });
}

function landing(ctx, params) {
  if (!params.post_logout_redirect_uri) return ctx.oidc.urlFor('end_session_success');
  const target = new URL(params.post_logout_redirect_uri);
  if (params.state !== undefined) target.searchParams.set('state', params.state);
  return target.href;
}
