// Where oidc-provider keeps sessions, grants, codes and tokens: this process's memory.
// A restart forgets them, so people sign in again; the keys outlive it (keys.js).

const SWEEP_EVERY_MS = 60_000;

/** Entries that vanish when their time is over. */
class Expiring {
  #entries = new Map();

  constructor() {
    // unref: housekeeping must not keep the process alive once the server has closed.
    setInterval(() => this.#sweep(), SWEEP_EVERY_MS).unref();
  }

  get(key) {
    const entry = this.#entries.get(key);
    return entry && entry.expiresAt > Date.now() ? entry.value : undefined;
  }

  set(key, value, seconds) {
    this.#entries.set(key, { value, expiresAt: seconds ? Date.now() + seconds * 1000 : Infinity });
  }

  delete(key) {
    this.#entries.delete(key);
  }

  deleteWhere(matches) {
    for (const [key, { value }] of this.#entries) if (matches(value)) this.#entries.delete(key);
  }

  #sweep() {
    for (const key of this.#entries.keys()) if (this.get(key) === undefined) this.#entries.delete(key);
  }
}

/** A function that makes the adapter of each model, as oidc-provider asks for. */
export function memoryAdapters() {
  const sessionsByUid = new Expiring();
  return (model) => new MemoryAdapter(model, sessionsByUid);
}

class MemoryAdapter {
  #entries = new Expiring();

  constructor(model, sessionsByUid) {
    this.model = model;
    this.sessionsByUid = sessionsByUid;
  }

  async upsert(id, payload, expiresIn) {
    this.#entries.set(id, payload, expiresIn);
    if (this.model === 'Session') this.sessionsByUid.set(payload.uid, id, expiresIn);
  }

  async find(id) {
    return this.#entries.get(id);
  }

  async findByUid(uid) {
    return this.find(this.sessionsByUid.get(uid));
  }

  async consume(id) {
    // Keycloak's « Revoke Refresh Token » is off by default: a refresh token may be used again.
    // Two workers that refresh at the same moment must not sign the user out here, as they would not there.
    if (this.model === 'RefreshToken') return;
    const payload = this.#entries.get(id);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.#entries.delete(id);
  }

  async revokeByGrantId(grantId) {
    this.#entries.deleteWhere((payload) => payload.grantId === grantId);
  }
}
