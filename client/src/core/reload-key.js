/** As long as the server keeps the call of a page that was left. */
const VALID_MS = 10_000;

/** The key of a call while its page is reloaded. It lies in the tab's `sessionStorage`, which ends with the tab. */
export class ReloadKey {
  /** @param {string} name Of the server and the agent. */
  constructor(name) {
    this.name = `antiphon:${name}`;
  }

  /** @param {string} resumeToken */
  keep(resumeToken) {
    sessionStorage.setItem(this.name, `${Date.now()} ${resumeToken}`);
  }

  /** The resume token; empty if there is none, or if the call has ended by now. */
  get token() {
    const [leftAt, token = ''] = sessionStorage.getItem(this.name)?.split(' ') ?? [];
    return Date.now() - Number(leftAt) < VALID_MS ? token : '';
  }

  /** Returns the token, and forgets it. */
  take() {
    const { token } = this;
    sessionStorage.removeItem(this.name);
    return token;
  }
}
