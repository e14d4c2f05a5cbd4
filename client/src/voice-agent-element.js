/**
 * `<voice-agent server-url="https://my-server" agent-id="front-desk">`: a call with an agent, in any web page.
 *
 *     <script type="module" src="https://my-server/client/voice-agent-element.js"></script>
 *
 * Attributes: `server-url` (by default the server that this file came from), `agent-id`, `push-to-talk`,
 * `survives-reload`. Events: `voice-agent-state`, `voice-agent-transcript`, `voice-agent-error`, `voice-agent-ended`, which
 * bubble. Style: `--voice-agent-accent` and others, and `::part()` (docs/client.md).
 */
import { isRunning } from './core/connection.js';
import { DevicePicker } from './element/device-picker.js';
import { Presence } from './element/presence.js';
import { STYLE } from './element/style.js';
import { TalkButton } from './element/talk-button.js';
import { TEMPLATE } from './element/template.js';
import { TranscriptView } from './element/transcript-view.js';
import { VoiceAgentClient, VoiceAgentError } from './voice-agent.js';

/**
 * @typedef {import('./voice-agent.js').CallState} CallState
 * @typedef {import('./voice-agent.js').VoiceAgentConfig} VoiceAgentConfig
 */

const STATUS = {
  '': 'Connecting', connecting: 'Connecting', listening: 'Listening', thinking: 'Thinking', speaking: 'Speaking',
  reconnecting: 'The agent is coming back', ended: 'Ended',
};
const PHASES = { idle: 'Ready', connecting: 'Connecting', connected: '', reconnecting: 'Reconnecting', ended: 'Call ended', failed: 'Call failed' };
const ENDINGS = /** @type {Record<string, string>} */ ({
  agent_hangup: 'The agent has ended the call', user_idle: 'The call ended because nobody spoke',
  max_duration: 'The call has reached its longest duration', ended_by_operator: 'An operator has ended the call',
  moved: 'The call goes on in another window', replaced: 'The call goes on in another window',
});
const QUALITY = { good: 'Good connection', poor: 'Poor connection', lost: 'No connection', '': '' };

/** A server that renders pages has no `HTMLElement`, and may import this all the same. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

export class VoiceAgentElement extends Base {
  static observedAttributes = ['agent-id', 'server-url', 'push-to-talk'];

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.innerHTML = TEMPLATE;
    // Not a <style>, which a content security policy may forbid.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    /** @type {VoiceAgentClient | null} */
    this.client = null;
    /**
     * For what attributes cannot say.
     * @type {Partial<VoiceAgentConfig>}
     */
    this.config = {};
    this.presence = new Presence(this.find('.presence'), () => this.client?.levels() ?? { microphone: 0, agent: 0 });
    this.transcript = new TranscriptView(this.find('#conversation'), this.find('#transcript'));
    this.talkButton = new TalkButton(this.find('#talkBtn'), (pressed) => this.client?.sendTalk(pressed) ?? false);
    this.microphones = new DevicePicker(
      this.find('#microphone'),
      async () => (await this.client?.listMicrophones()) ?? [],
      (id) => this.chose({ microphoneId: id }, this.client?.chooseMicrophone(id)),
    );
    this.speakers = new DevicePicker(
      this.find('#speaker'),
      async () => (await this.client?.listSpeakers()) ?? [],
      (id) => this.chose({ speakerId: id }, this.client?.chooseSpeaker(id)),
    );
    this.find('#callBtn').onclick = () => (this.isInCall ? this.client?.disconnect() : void this.connect());
    this.find('#muteBtn').onclick = () => this.client?.mute(!this.client.state.isMuted);
    this.find('#interruptBtn').onclick = () => this.client?.interrupt();
    this.find('#audioBtn').onclick = () => void this.client?.startAudio();
    this.addEventListener('keydown', ({ key }) => key === 'Escape' && this.escape());
    root.addEventListener('pointerdown', ({ target }) => {
      if (!this.find('.devices').contains(target)) this.find('.devices').open = false;
    });
    this.find('#textForm').onsubmit = (/** @type {SubmitEvent} */ event) => this.submitted(event);
    this.onDeviceChange = () => void this.refreshDevices();
    this.onWindowBlur = () => this.talkButton.press(false);
  }

  connectedCallback() {
    navigator.mediaDevices?.addEventListener('devicechange', this.onDeviceChange);
    addEventListener('blur', this.onWindowBlur);
    this.attributeChangedCallback();
  }

  disconnectedCallback() {
    navigator.mediaDevices?.removeEventListener('devicechange', this.onDeviceChange);
    removeEventListener('blur', this.onWindowBlur);
    this.client?.disconnect();
    this.presence.stop();
  }

  attributeChangedCallback() {
    this.find('#talkBtn').hidden = !this.hasAttribute('push-to-talk');
    this.find('#callBtn').toggleAttribute('disabled', !this.isInCall && !this.getAttribute('agent-id'));
    if (this.isConnected && !this.isInCall && this.hasAttribute('survives-reload') && this.createClient().canResume) void this.connect();
  }

  get isInCall() {
    return this.client !== null && isRunning(this.client.state);
  }

  /** Calls the agent. What goes wrong is shown, and told by `voice-agent-ended`. */
  async connect() {
    if (this.isInCall) return;
    this.showProblem(null);
    this.client = this.createClient();
    await this.client.connect().catch(() => {});
  }

  disconnect() {
    this.client?.disconnect();
  }

  createClient() {
    const client = new VoiceAgentClient({
      serverUrl: this.getAttribute('server-url') ?? new URL(import.meta.url).origin,
      agentId: this.getAttribute('agent-id') ?? '',
      survivesReload: this.hasAttribute('survives-reload'),
      ...this.config,
    });
    client.onStateChange = (state) => this.show(state);
    client.onTranscript = (transcript) => {
      if (transcript.final && transcript.role === 'agent') this.showProblem(null); // the agent answers again
      this.tell('transcript', transcript);
    };
    client.onError = (error) => {
      this.showProblem(error);
      this.tell('error', error);
    };
    client.onEnded = (error) => {
      if (error) this.showProblem(error);
      this.tell('ended', { reason: client.state.reason, error });
    };
    return client;
  }

  /** @param {CallState} state */
  show(state) {
    const { phase, status, reason, isReady, isMuted, isAudioBlocked, quality, transcript } = state;
    const { isInCall } = this;
    this.presence.show(state);
    this.transcript.show(state);
    this.find('.hint').hidden = transcript.length > 0;
    const word = this.find('.status .word');
    const text = PHASES[phase] ? ENDINGS[phase === 'ended' ? reason : ''] ?? PHASES[phase] : isMuted ? 'Muted' : STATUS[status];
    if (word.textContent !== text) word.textContent = text;
    // Who hears the agent need not be told that it speaks.
    this.find('.status').ariaLive = phase === 'connected' ? 'off' : 'polite';
    const dot = this.find('.quality');
    dot.hidden = !quality;
    dot.dataset.quality = quality;
    if (dot.textContent !== QUALITY[quality]) dot.textContent = QUALITY[quality];
    const call = this.find('#callBtn');
    call.classList.toggle('in-call', isInCall);
    this.find('#callBtn span').textContent = isInCall ? 'Hang up' : 'Call';
    const mute = this.find('#muteBtn');
    mute.toggleAttribute('disabled', !isInCall);
    mute.setAttribute('aria-pressed', String(isMuted));
    this.find('#interruptBtn').toggleAttribute('disabled', !isReady);
    this.find('#textInput').toggleAttribute('disabled', !isReady);
    this.find('#textBtn').toggleAttribute('disabled', !isReady);
    this.find('#audioBtn').hidden = !isAudioBlocked || !isInCall;
    const begins = isReady && this.find('#talkBtn').disabled;
    this.talkButton.enable(isReady);
    // The space key, which may have begun the call, is to talk now, not to hang up. Without push-to-talk this does nothing.
    if (begins && this.shadowRoot?.activeElement === call) this.find('#talkBtn').focus();
    if (phase !== this.dataset.phase && phase === 'connected') void this.refreshDevices();
    this.dataset.phase = phase;
    this.tell('state', state);
  }

  escape() {
    const devices = this.find('.devices');
    if (devices.open) devices.open = false;
    else this.client?.interrupt();
  }

  async refreshDevices() {
    const counts = await Promise.all([this.microphones.refresh(), this.speakers.refresh()]);
    this.find('.devices').hidden = !this.isInCall || Math.max(...counts) < 2;
  }

  /**
   * The next calls have the devices too.
   * @param {Partial<VoiceAgentConfig>} devices
   * @param {Promise<void>} [done]
   */
  async chose(devices, done) {
    try {
      await done;
      this.config = { ...this.config, ...devices };
    } catch (error) {
      this.showProblem(/** @type {VoiceAgentError} */ (error));
    }
  }

  /** @param {VoiceAgentError | null} error */
  showProblem(error) {
    const problem = this.find('#problem');
    problem.hidden = !error;
    problem.dataset.code = error?.code ?? '';
    problem.textContent = error ? [sentence(error.message), error.cure].filter(Boolean).join(' ') : '';
  }

  /** @param {SubmitEvent} event */
  submitted(event) {
    event.preventDefault();
    const input = /** @type {HTMLInputElement} */ (this.find('#textInput'));
    const text = input.value.trim();
    if (text && this.client?.sendText(text)) input.value = '';
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(`voice-agent-${name}`, { detail, bubbles: true, composed: true }));
  }

  /**
   * An element of the template.
   * @param {string} selector
   * @returns {any}
   */
  find(selector) {
    return this.shadowRoot?.querySelector(selector);
  }
}

/** @param {string} text */
function sentence(text) {
  const ended = /[.!?]$/.test(text) ? text : `${text}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}

if (globalThis.customElements && !customElements.get('voice-agent')) customElements.define('voice-agent', VoiceAgentElement);
