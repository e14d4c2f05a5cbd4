/**
 * Talks with a voice agent on an Antiphon server. See docs/client.md.
 *
 *     const client = new VoiceAgentClient({ serverUrl: 'wss://my-server', agentId: 'front-desk' });
 *     client.onTranscript = ({ role, text }) => console.log(role, text);
 *     button.onclick = () => client.connect();
 */
import { isRunning } from './core/connection.js';
import { VoiceAgentError } from './core/errors.js';
import { LevelMeter } from './core/levels.js';
import { Microphone, listDevices } from './core/microphone.js';
import { Playback } from './core/playback.js';
import { QualityMonitor } from './core/quality-monitor.js';
import { ReloadKey } from './core/reload-key.js';
import { serverAddress } from './core/server-address.js';
import { SessionLink } from './core/session-link.js';
import { closed, withEvent } from './core/transcript.js';
import { WakeLock } from './core/wake-lock.js';

export { VoiceAgentError };

/**
 * @typedef {import('./core/connection-types.js').Connection} Connection
 * @typedef {import('./core/connection-types.js').Phase} Phase
 * @typedef {import('./core/messages.js').SessionEvent} SessionEvent
 * @typedef {import('./core/messages.js').StatusWord} StatusWord
 * @typedef {import('./core/messages.js').MetricsEvent} MetricsEvent
 * @typedef {import('./core/messages.js').TransferEvent} TransferEvent
 * @typedef {import('./core/quality.js').Quality} Quality
 * @typedef {import('./core/transcript.js').Transcript} Transcript
 *
 * @typedef {object} VoiceAgentConfig
 * @property {string} [serverUrl] Such as `wss://my-server`. By default the page's own server.
 * @property {string} agentId
 * @property {string} [token] A session token. Each is good for one call.
 * @property {() => Promise<string> | string} [getToken] Called for each call, for servers that require tokens.
 * @property {HTMLAudioElement} [remoteAudio] Plays the agent's voice. By default one that is not shown.
 * @property {RTCIceServer[]} [iceServers] By default those that the server names.
 * @property {RTCIceTransportPolicy} [iceTransportPolicy] `relay` if all sound must pass a TURN server.
 * @property {string} [microphoneId] See `listMicrophones`.
 * @property {string} [speakerId] See `listSpeakers`.
 * @property {boolean} [survivesReload] A reloaded page calls `connect()` and is in the same call. Its key lies in the tab's
 *   `sessionStorage` meanwhile.
 *
 * @typedef {object} CallState
 * @property {Phase} phase
 * @property {StatusWord | ''} status What the agent does.
 * @property {VoiceAgentError | null} error Why the call failed.
 * @property {string} reason Why it ended: `hangup`, `agent_hangup`, `user_idle`, ...
 * @property {boolean} isReady Text can be sent.
 * @property {boolean} isMuted
 * @property {boolean} isAudioBlocked The browser waits for a click: call `startAudio()` from it.
 * @property {Quality | ''} quality Of the connection.
 * @property {Transcript} transcript
 * @property {readonly MetricsEvent[]} turns How long the agent's last turns took.
 */

const KEPT_TURNS = 50;
const NO_ANSWER_MS = 10_000;

/** @type {CallState} */
export const IDLE_CALL = Object.freeze({
  phase: 'idle', status: '', error: null, reason: '', isReady: false, isMuted: false, isAudioBlocked: false, quality: '',
  transcript: [], turns: [],
});

export class VoiceAgentClient {
  #state = IDLE_CALL;
  #config;
  #address;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #microphone = new Microphone((track) => this.#microphoneOpened(track), (error) => this.onError(error));
  #playback;
  #wakeLock = new WakeLock();
  /** @type {AudioContext | null} */
  #audioContext = null;
  /** @type {{microphone?: LevelMeter, agent?: LevelMeter}} */
  #meters = {};
  #qualityMonitor = new QualityMonitor(() => this.#link.statistics(), (quality) => this.#qualityChanged(quality));
  #reloadKey;
  /** @type {AbortController | null} */
  #pageEvents = null;
  #link;

  /** @param {VoiceAgentConfig} config */
  constructor(config) {
    this.#config = config;
    this.#address = serverAddress(config.serverUrl ?? location.origin);
    this.#reloadKey = new ReloadKey(`${this.#address.http}:${config.agentId}`);
    this.#playback = new Playback(config.remoteAudio ?? new Audio(), (isAudioBlocked) => this.#change({ isAudioBlocked }));
    this.#link = new SessionLink(`${this.#address.webSocket}/signaling`, {
      prepare: () => this.#prepare(),
      onState: (connection) => this.#connectionChanged(connection),
      onEvent: (event) => this.#eventCame(event),
      onReport: ({ code, message, retryAfterMs }) => this.onError(new VoiceAgentError(code, message, retryAfterMs)),
      onVoice: (voice) => this.#voiceCame(voice),
      onOpen: () => this.#channelOpened(),
      onRelease: () => this.#release(),
    }, config.iceTransportPolicy ? { iceTransportPolicy: config.iceTransportPolicy } : {});
  }

  /** Another object after each change. */
  get state() {
    return this.#state;
  }

  get agentId() {
    return this.#config.agentId;
  }

  /** Of the microphone in use, or else of the one that was chosen; empty for the default one. */
  get microphoneId() {
    return this.#microphone.deviceId || this.#config.microphoneId || '';
  }

  /** Of the call, or of the last one. An operator finds the call by it. */
  get sessionId() {
    return this.#link.sessionId;
  }

  /**
   * What was said, once as interim text or more, then as final text.
   * @param {{role: 'user' | 'agent', text: string, final: boolean, interrupted: boolean, seq: number}} _transcript
   */
  onTranscript(_transcript) {}
  /** @param {StatusWord} _status What the agent does. */
  onStatus(_status) {}
  /** @param {CallState} _state Whatever has changed. */
  onStateChange(_state) {}
  /** @param {VoiceAgentError} _error One that the call survives. */
  onError(_error) {}
  /** @param {TransferEvent} _transfer The agent wants the caller to be connected to `uri`. */
  onTransfer(_transfer) {}
  /** @param {SessionEvent} _event Any event of the session (docs/protocol.md). */
  onEvent(_event) {}
  /** @param {VoiceAgentError | null} _error The call is over; why, if it failed. */
  onEnded(_error) {}

  /**
   * Changes options from the next call on.
   * @param {Pick<VoiceAgentConfig, 'token' | 'getToken' | 'iceServers' | 'survivesReload'>} options
   */
  configure(options) {
    this.#config = { ...this.#config, ...options };
  }

  /**
   * Calls the agent. Resolves when both can hear each other; rejects with a `VoiceAgentError`.
   * @returns {Promise<void>}
   */
  connect() {
    return new Promise((resolve, reject) => {
      if (isRunning(this.#link.state)) return reject(new VoiceAgentError('busy', 'There is a call already.'));
      this.#state = { ...IDLE_CALL, isMuted: this.#state.isMuted };
      // Here, because browsers start one only in answer to a click.
      this.#audioContext = new AudioContext();
      this.#watchPage();
      const unsubscribe = this.subscribe(() => {
        const { phase, error, reason } = this.#state;
        if (phase === 'connecting') return;
        unsubscribe();
        if (phase === 'connected') resolve();
        else reject(error ?? new VoiceAgentError(reason, 'The call has ended.'));
      });
      this.#link.dispatch({ type: 'connect', resumeToken: this.#config.survivesReload ? this.#reloadKey.take() : '' });
    });
  }

  /** Ends the call. */
  disconnect() {
    this.#link.dispatch({ type: 'disconnect' });
  }

  /**
   * Types instead of speaking. False while the call is not ready for it.
   * @param {string} text At most 2,000 characters.
   */
  sendText(text) {
    return this.#link.send({ type: 'text', text });
  }

  /** Makes the agent stop speaking. */
  interrupt() {
    return this.#link.send({ type: 'interrupt' });
  }

  /**
   * Presses or releases the push-to-talk button, for agents that have one.
   * @param {boolean} pressed
   */
  sendTalk(pressed) {
    return this.#link.send({ type: 'talk', pressed });
  }

  /** @param {boolean} isMuted The microphone; the call goes on. */
  mute(isMuted) {
    this.#microphone.mute(isMuted);
    this.#link.send({ type: 'mute', muted: isMuted });
    this.#change({ isMuted });
  }

  /** Lets the agent be heard if the browser has blocked it. To be called from a click. */
  async startAudio() {
    await Promise.all([this.#audioContext?.resume(), this.#playback.start()]);
  }

  /** The microphones, once the person has allowed the page to use one. */
  listMicrophones() {
    return listDevices('audioinput');
  }

  /** The loudspeakers that `chooseSpeaker` can choose. */
  listSpeakers() {
    return listDevices('audiooutput');
  }

  /**
   * Changes the microphone, also in a call. Rejects with a `VoiceAgentError`; the last one stays in use then.
   * @param {string} deviceId
   */
  async chooseMicrophone(deviceId) {
    if (isRunning(this.#link.state)) await this.#microphone.open(deviceId, true);
    this.#config = { ...this.#config, microphoneId: deviceId };
  }

  /**
   * Changes the loudspeaker, also in a call. Rejects with a `VoiceAgentError`; the last one stays in use then.
   * @param {string} deviceId
   */
  async chooseSpeaker(deviceId) {
    if (isRunning(this.#link.state)) await this.#playback.chooseDevice(deviceId);
    this.#config = { ...this.#config, speakerId: deviceId };
  }

  /** How loud both sides are now, from 0 to 1. Cheap: to be called for each frame of an animation. */
  levels() {
    return { microphone: this.#meters.microphone?.read() ?? 0, agent: this.#meters.agent?.read() ?? 0 };
  }

  /**
   * Calls `listener` after each change of `state`. Returns what ends this.
   * @param {() => void} listener
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @param {Partial<CallState>} changes */
  #change(changes) {
    this.#state = { ...this.#state, ...changes };
    this.onStateChange(this.#state);
    for (const listener of [...this.#listeners]) listener();
  }

  async #prepare() {
    const { getToken, iceServers, microphoneId } = this.#config;
    const opening = this.#microphone.open(microphoneId);
    opening.catch(() => {}); // told below, unless something else fails first
    const token = getToken ? await getToken() : this.#config.token;
    const [named] = await Promise.all([iceServers ? { iceServers } : this.#fetchIceServers(token), opening]);
    const { track } = this.#microphone;
    if (!track) throw new VoiceAgentError('hangup', 'The call has ended.');
    return { agentId: this.agentId, token, ...named, track, survivesReload: this.#config.survivesReload ?? false };
  }

  /**
   * @param {string} [token]
   * @returns {Promise<Pick<RTCConfiguration, 'iceTransportPolicy'> & {iceServers: RTCIceServer[]}>}
   */
  async #fetchIceServers(token) {
    const headers = token ? { authorization: `Bearer ${token}` } : undefined;
    let response;
    try {
      response = await fetch(`${this.#address.http}/api/ice-servers`, { headers, signal: AbortSignal.timeout(NO_ANSWER_MS) });
    } catch {
      throw new VoiceAgentError('unreachable', 'The server cannot be reached.');
    }
    const content = await response.json().catch(() => ({}));
    if (response.ok) return content;
    throw new VoiceAgentError(content.code ?? 'unreachable', content.message ?? 'The server cannot be reached.');
  }

  /** @param {MediaStreamTrack} track */
  #microphoneOpened(track) {
    this.#link.replaceTrack(track);
    this.#meter('microphone', new MediaStream([track]));
  }

  /** @param {MediaStream} voice */
  #voiceCame(voice) {
    const { speakerId } = this.#config;
    // One that is gone leaves the default loudspeaker.
    if (speakerId) void this.#playback.chooseDevice(speakerId).catch(() => {});
    void this.#playback.play(voice);
    this.#meter('agent', voice);
  }

  /**
   * @param {'microphone' | 'agent'} side
   * @param {MediaStream} stream
   */
  #meter(side, stream) {
    this.#meters[side]?.close();
    if (this.#audioContext) this.#meters[side] = new LevelMeter(this.#audioContext, stream);
  }

  #channelOpened() {
    if (this.#state.isMuted) this.#link.send({ type: 'mute', muted: true });
    this.#change({ isReady: true });
  }

  /** @param {Connection} connection */
  #connectionChanged({ phase, failure, reason }) {
    if (phase === this.#state.phase) return;
    const isOver = phase === 'ended' || phase === 'failed';
    const error = failure && new VoiceAgentError(failure.code, failure.message, failure.retryAfterMs);
    /** @type {Partial<CallState>} */
    const changes = { phase, reason, error };
    if (phase === 'connected') {
      void this.#wakeLock.hold();
      this.#qualityMonitor.start();
      changes.quality = '';
    } else if (phase === 'reconnecting') changes.quality = 'lost';
    if (isOver) Object.assign(changes, { status: 'ended', isReady: false, quality: '', transcript: closed(this.#state.transcript) });
    this.#change(changes);
    if (isOver) this.onEnded(error);
  }

  /** @param {SessionEvent} event */
  #eventCame(event) {
    this.onEvent(event);
    const transcript = withEvent(this.#state.transcript, event);
    if (transcript !== this.#state.transcript) this.#change({ transcript });
    switch (event.type) {
      case 'transcript':
      case 'transcript-partial': {
        const { type, role, text, seq } = event;
        return this.onTranscript({ role, text, seq, final: type === 'transcript', interrupted: type === 'transcript' && !!event.interrupted });
      }
      case 'status':
        this.#change({ status: event.status });
        return this.onStatus(event.status);
      case 'metrics':
        return this.#change({ turns: [...this.#state.turns, event].slice(-KEPT_TURNS) });
      case 'transfer':
        return this.onTransfer(event);
      case 'error':
        return this.onError(new VoiceAgentError(event.code, event.message));
    }
  }

  #watchPage() {
    this.#pageEvents = new AbortController();
    const options = { signal: this.#pageEvents.signal };
    const networkChanged = () => this.#link.dispatch({ type: 'network-changed' });
    addEventListener('online', networkChanged, options);
    addEventListener('pagehide', () => this.#leavePage(), options);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible' || this.#state.phase === 'connecting') return;
      void this.#wakeLock.hold();
      networkChanged();
    }, options);
  }

  /** @param {Quality} quality */
  #qualityChanged(quality) {
    if (this.#state.phase === 'connected' && quality !== this.#state.quality) this.#change({ quality });
  }

  #leavePage() {
    const { resumeToken } = this.#link.state;
    const staysPossible = this.#config.survivesReload && resumeToken;
    if (staysPossible) this.#reloadKey.keep(resumeToken);
    this.#link.dispatch({ type: staysPossible ? 'leave-page' : 'disconnect' });
  }

  /** Whether `connect()` goes on with the call of the page that was reloaded. */
  get canResume() {
    return Boolean(this.#config.survivesReload && this.#reloadKey.token);
  }

  #release() {
    this.#pageEvents?.abort();
    this.#qualityMonitor.stop();
    this.#microphone.close();
    this.#playback.stop();
    this.#meters.microphone?.close();
    this.#meters.agent?.close();
    this.#meters = {};
    void this.#audioContext?.close();
    this.#audioContext = null;
    this.#wakeLock.release();
  }
}
