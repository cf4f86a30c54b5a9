// The provider's few pages: plain HTML in French, no script, readable on a telephone and in the dark.
import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --ink: #182433; --soft: #667382; --line: #d5dce4; --card: #fff; --page: #f3f5f8;
  --accent: #066fd1; --bad: #b3261e; --bad-page: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --soft: #9aa6b4; --line: #36414e; --card: #1d2733;
  --page: #121a24; --accent: #4299f0; --bad: #ffb4ab; --bad-page: #442022; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { width: 100%; max-width: 24rem; }
.brand { text-align: center; color: var(--soft); font-weight: 600; letter-spacing: .04em; margin: 0 0 .75rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1.75rem;
  box-shadow: 0 1px 3px rgb(0 0 0 / 8%); }
h1 { font-size: 1.25rem; margin: 0 0 1rem; }
p { margin: 0 0 1rem; }
label { display: block; font-weight: 600; margin: 0 0 .25rem; }
input:not([type=hidden]) { width: 100%; padding: .55rem .7rem; margin: 0 0 1rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: 6px; }
input:focus-visible, button:focus-visible, a:focus-visible, summary:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px; }
button { width: 100%; padding: .6rem; font: inherit; font-weight: 600; color: #fff; background: #066fd1;
  border: 0; border-radius: 6px; cursor: pointer; }
button:hover { background: #0559a8; }
button.quiet { margin-top: .5rem; color: inherit; background: transparent; border: 1px solid var(--line); }
.alert { padding: .6rem .8rem; border-radius: 6px; color: var(--bad); background: var(--bad-page); }
details { margin-top: 1.25rem; color: var(--soft); font-size: .875rem; }
summary { cursor: pointer; }
details p { margin: .5rem 0 0; }
.card > p:last-child { margin-bottom: 0; }
ul { margin: .5rem 0 0; padding-left: 1.1rem; }
a { color: var(--accent); }
.technical { color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
`;

// No form-action: Chromium applies it to the redirects after a form too, and ours lead back to the CRM.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:', // the blank icon, which spares a request for /favicon.ico
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Headers that every page goes out with. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** The sign-in form. `failed` after a wrong password; `username` is what was typed or hinted. */
export function signInPage({ action, cast, username = '', failed = false }) {
  const alert = '<p class="alert" role="alert" id="erreur">Identifiant ou mot de passe incorrect.</p>';
  const described = failed ? ' aria-describedby="erreur" aria-invalid="true"' : '';
  const onName = username ? '' : ' autofocus';
  const onPassword = username ? ' autofocus' : '';
  return page('Connexion', `
    <h1>Connexion</h1>
    ${failed ? alert : ''}
    <form method="post" action="${escape(action)}">
      <label for="username">Identifiant</label>
      <input id="username" name="username" value="${escape(username)}" autocomplete="username"
        autocapitalize="none" spellcheck="false" required${onName}${described}>
      <label for="password">Mot de passe</label>
      <input id="password" name="password" type="password" autocomplete="current-password"
        required${onPassword}${described}>
      <button type="submit">Se connecter</button>
    </form>
    <details>
      <summary>Comptes de démonstration</summary>
      <ul>${cast.accounts.map(({ username: name }) => `<li>${escape(name)}</li>`).join('')}</ul>
      <p>Mot de passe de tous : ${escape(cast.password)}</p>
    </details>`);
}

/** The form was left open too long, or its cookie is gone. */
export function expiredPage(settings) {
  return page('Page expirée', `
    <h1>Cette page a expiré</h1>
    <p>La connexion n’a pas été terminée à temps, ou elle l’a déjà été dans un autre onglet.</p>
    <p><a href="${escape(settings.crmAddresses[0])}/">Revenir à l’application</a></p>`);
}

export function notFoundPage() {
  return page('Page introuvable', '<h1>Page introuvable</h1><p>Il n’y a rien à cette adresse.</p>');
}

/** For oidc-provider: a request that no redirect can answer. */
export function renderErrorPage(settings) {
  return (ctx, out) => {
    const detail = [out.error, out.error_description].filter(Boolean).join(' : ');
    send(ctx, page('Connexion impossible', `
      <h1>Connexion impossible</h1>
      <p>La demande de l’application n’a pas pu être traitée.</p>
      <p><a href="${escape(settings.crmAddresses[0])}/">Revenir à l’application</a></p>
      <p class="technical">${escape(detail)}</p>`));
  };
}

/** For oidc-provider: the question before signing out somebody whose wish is not proven by a token. */
export function renderLogoutPage(ctx, form) {
  send(ctx, page('Déconnexion', `
    <h1>Voulez-vous vous déconnecter ?</h1>
    ${form}
    <button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Se déconnecter</button>
    <button type="submit" form="op.logoutForm" class="quiet">Rester connecté</button>`));
}

export function renderSignedOutPage(settings) {
  return (ctx) => send(ctx, page('Déconnexion', `
    <h1>Vous êtes déconnecté</h1>
    <p><a href="${escape(settings.crmAddresses[0])}/">Revenir à l’application</a></p>`));
}

function send(ctx, body) {
  ctx.set(PAGE_HEADERS);
  ctx.body = body;
}

function page(title, content) {
  return `<!doctype html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · CRM</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main>
<p class="brand">CRM · identité (démonstration)</p>
<div class="card">${content}
</div>
</main>
</body>
</html>
`;
}

function escape(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (character) => entities[character]);
}
