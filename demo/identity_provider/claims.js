// What stands in the tokens, claim by claim, as Keycloak with deploy/keycloak/realm.json puts it.

// Roles that Keycloak gives to everybody: the CRM must read past them.
const KEYCLOAKS_OWN_ROLES = ['default-roles-crm', 'offline_access', 'uma_authorization'];

/** Claims about a person that ID token, access token and userinfo share. Roles are not among them. */
export function personClaims(account) {
  return {
    name: `${account.given_name} ${account.family_name}`,
    given_name: account.given_name,
    family_name: account.family_name,
    preferred_username: account.username,
    email: account.email,
    email_verified: account.email_verified,
    organisation: account.organisation,
  };
}

/** What a person's access token carries beyond the standard claims. */
export function userTokenClaims(account, { clientId, sid, scope }) {
  return {
    sub: account.sub,
    typ: 'Bearer',
    azp: clientId,
    sid,
    acr: '1',
    aud: [clientId, 'winleadplus', 'account'],
    realm_access: { roles: [...account.roles, ...KEYCLOAKS_OWN_ROLES] },
    resource_access: { account: { roles: ['manage-account', 'view-profile'] } },
    scope,
    ...personClaims(account),
  };
}

/** What the service account's access token carries: it may read WinLeadPlus and is nobody in the CRM. */
export function serviceTokenClaims(service, clientId) {
  return {
    sub: service.sub,
    typ: 'Bearer',
    azp: clientId,
    acr: '1',
    aud: ['winleadplus', 'account'],
    realm_access: { roles: KEYCLOAKS_OWN_ROLES },
    scope: 'profile email',
    preferred_username: service.username,
    email_verified: false,
    client_id: clientId,
  };
}
