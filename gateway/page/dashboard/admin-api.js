/** The administration API of this gateway (docs/admin.md). The key stays in the tab. */

const KEY = 'antiphon:admin-key';
const NO_ANSWER_MS = 5_000;
const MAX_SESSIONS = 500;

export class AdminError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.needsKey = status === 401 || status === 403;
    this.isGone = status === 404;
  }
}

export class AdminApi {
  constructor() {
    this.key = sessionStorage.getItem(KEY) ?? '';
  }

  /** @param {string} key Empty: forget it. */
  useKey(key) {
    this.key = key;
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  }

  /** @returns {Promise<import('./fleet.js').Worker[]>} */
  async workers() {
    return (await this.request('GET', 'workers')).workers;
  }

  /** @returns {Promise<{sessions: import('./fleet.js').Session[], total: number}>} The newest 500. */
  async sessions() {
    return this.request('GET', `sessions?limit=${MAX_SESSIONS}`);
  }

  /**
   * @param {string} session
   * @returns {Promise<import('./fleet.js').Session>}
   */
  async session(session) {
    return this.request('GET', `sessions/${encodeURIComponent(session)}`);
  }

  /**
   * @param {string} session
   * @returns {Promise<import('./fleet.js').Entry[]>}
   */
  async transcript(session) {
    return (await this.request('GET', `sessions/${encodeURIComponent(session)}/transcript`)).transcript;
  }

  /**
   * @param {string} worker
   * @param {boolean} move Its sessions are asked to leave as well.
   */
  async drain(worker, move) {
    await this.request('POST', `workers/${encodeURIComponent(worker)}/drain`, { move });
  }

  /** @param {string} worker */
  async undoDrain(worker) {
    await this.request('DELETE', `workers/${encodeURIComponent(worker)}/drain`);
  }

  /** @param {string} session */
  async end(session) {
    await this.request('DELETE', `sessions/${encodeURIComponent(session)}`);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   */
  async request(method, path, body) {
    /** @type {Record<string, string>} */
    const headers = this.key ? { authorization: `Bearer ${this.key}` } : {};
    let response;
    try {
      response = await fetch(`/api/${path}`, {
        method, headers, signal: AbortSignal.timeout(NO_ANSWER_MS), ...(body ? { body: JSON.stringify(body) } : {}),
      });
    } catch {
      throw new AdminError(0, 'The gateway does not answer.');
    }
    const content = await response.json().catch(() => ({}));
    if (!response.ok) throw new AdminError(response.status, content.message ?? `The gateway answered ${response.status}.`);
    return content;
  }
}
