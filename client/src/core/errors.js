/** What a person can do about an error. */
const CURES = new Map(Object.entries({
  microphone_denied: 'Allow the microphone in the address bar of the browser, then call again.',
  microphone_missing: 'Plug a microphone in, then call again.',
  microphone_busy: 'Close the other program that uses the microphone, then call again.',
  speaker_missing: 'Plug the loudspeaker in, or choose another one.',
  insecure_page: 'Open this page by https, or as http://127.0.0.1 on the machine that serves it.',
  unreachable: 'Check the network, then call again.',
  connection_lost: 'Check the network, then call again.',
  connect_timeout: 'A firewall may be blocking UDP between you and the server.',
  token_required: 'Open this page by the link that you were given.',
  token_used: 'Open a new link for another call.',
  token_expired: 'Open a new link.',
}));

export class VoiceAgentError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {number} [retryAfterMs]
   */
  constructor(code, message, retryAfterMs) {
    super(message);
    this.name = 'VoiceAgentError';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** What a person can do about it; empty if there is nothing to say. */
  get cure() {
    if (this.retryAfterMs) return `Please try again in ${Math.ceil(this.retryAfterMs / 1000)} s.`;
    return CURES.get(this.code) ?? '';
  }
}
