import { jittered } from './backoff.js';
import { IDLE, isRunning, next } from './connection.js';
import { EventOrder } from './event-order.js';
import { Peer } from './peer.js';

/**
 * @typedef {import('./connection-types.js').Action} Action
 * @typedef {import('./connection-types.js').Connection} Connection
 * @typedef {import('./connection-types.js').ConnectionEvent} ConnectionEvent
 * @typedef {import('./connection-types.js').Failure} Failure
 * @typedef {import('./connection-types.js').Timer} Timer
 * @typedef {import('./messages.js').ControlMessage} ControlMessage
 * @typedef {import('./messages.js').SessionEvent} SessionEvent
 *
 * @typedef {object} Listener
 * @property {() => Promise<Preparation>} prepare Opens the microphone, and finds out what the server wants. Rejects with a failure.
 * @property {(state: Connection) => void} onState
 * @property {(event: SessionEvent) => void} onEvent Each once.
 * @property {(failure: Failure) => void} onReport The call survives it.
 * @property {(voice: MediaStream) => void} onVoice
 * @property {() => void} onOpen `send` works; again after the session has moved.
 * @property {() => void} onRelease
 *
 * @typedef {{agentId: string, token?: string, iceServers: RTCIceServer[], iceTransportPolicy?: RTCIceTransportPolicy, track: MediaStreamTrack, survivesReload: boolean}} Preparation
 */

/** An agent may be silent just then. */
const HANDOVER_MS = 300;

/** Carries out what `connection.js` decides: WebSockets, peer connections, timers. */
export class SessionLink {
  /**
   * @param {string} signalingUrl
   * @param {Listener} listener
   * @param {RTCConfiguration} configuration
   */
  constructor(signalingUrl, listener, configuration = {}) {
    this.signalingUrl = signalingUrl;
    this.listener = listener;
    this.configuration = configuration;
    this.state = IDLE;
    this.sessionId = '';
    this.order = new EventOrder();
    /** @type {Preparation | null} */
    this.preparation = null;
    /** @type {Map<number, WebSocket>} */
    this.sockets = new Map();
    /** @type {Map<number, Peer>} */
    this.peers = new Map();
    /** @type {Map<Timer, ReturnType<typeof setTimeout>>} */
    this.timers = new Map();
  }

  /** @param {ConnectionEvent} event */
  dispatch(event) {
    const before = this.state;
    const [state, actions] = next(before, event);
    this.state = state;
    if (event.type === 'connect' && actions.length > 0) {
      this.order = new EventOrder();
      this.sessionId = '';
    }
    for (const action of actions) this.carryOut(action);
    if (state !== before) this.listener.onState(state);
  }

  /**
   * False while there is no data channel.
   * @param {ControlMessage} message
   */
  send(message) {
    return this.peers.get(this.state.peer?.id ?? 0)?.send(message) ?? false;
  }

  /** @param {MediaStreamTrack} track */
  replaceTrack(track) {
    if (this.preparation) this.preparation.track = track;
    for (const peer of this.peers.values()) void peer.replaceTrack(track);
  }

  /** The statistics of the peer connection that is heard. */
  async statistics() {
    return this.peers.get(this.state.peer?.id ?? 0)?.connection.getStats();
  }

  /** @param {Action} action */
  carryOut(action) {
    switch (action.type) {
      case 'prepare':
        return void this.prepare();
      case 'open-socket':
        return this.openSocket(action.socket);
      case 'close-socket':
        return this.closeSocket(action.socket);
      case 'resume':
        return this.signal(action.socket, { type: 'resume', resumeToken: action.resumeToken, lastSeq: this.order.lastSeq });
      case 'bye':
        return this.signal(action.socket, { type: 'bye' });
      case 'offer':
        return void this.offer(action);
      case 'answer':
        return void this.answer(action.peer, action.sdp);
      case 'use-peer':
        return void this.usePeer(action.peer, action.insteadOf);
      case 'close-peer':
        this.peers.get(action.peer)?.close();
        this.peers.delete(action.peer);
        return;
      case 'wait':
        return this.wait(action.timer, action.ms);
      case 'cancel':
        clearTimeout(this.timers.get(action.timer));
        this.timers.delete(action.timer);
        return;
      case 'report':
        return this.listener.onReport(action.failure);
      case 'release':
        return this.release();
    }
  }

  async prepare() {
    const { lastId } = this.state;
    const isCurrent = () => isRunning(this.state) && this.state.lastId === lastId;
    try {
      const preparation = await this.listener.prepare();
      if (isCurrent()) {
        this.preparation = preparation;
        this.dispatch({ type: 'prepared' });
      } else if (!isRunning(this.state)) this.listener.onRelease();
    } catch (error) {
      const { code = 'failed', message, retryAfterMs } = /** @type {Error & {code?: string, retryAfterMs?: number}} */ (error);
      if (isCurrent()) this.dispatch({ type: 'prepare-failed', failure: { code, message, retryAfterMs } });
    }
  }

  /** @param {number} id */
  openSocket(id) {
    const socket = new WebSocket(this.signalingUrl);
    this.sockets.set(id, socket);
    socket.onopen = () => this.dispatch({ type: 'socket-open', socket: id });
    socket.onmessage = ({ data }) => this.received(id, data);
    socket.onclose = ({ code, reason }) => {
      this.sockets.delete(id);
      this.dispatch({ type: 'socket-closed', socket: id, code, reason });
    };
  }

  /** @param {number} id */
  closeSocket(id) {
    const socket = this.sockets.get(id);
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.sockets.delete(id);
  }

  /**
   * @param {number} socket
   * @param {import('./messages.js').ClientMessage} message
   */
  signal(socket, message) {
    // A socket that is closing drops it; what happens then, its close event decides.
    this.sockets.get(socket)?.send(JSON.stringify(message));
  }

  /** @param {Extract<Action, {type: 'offer'}>} action */
  async offer({ socket, peer: id, request, resumeToken }) {
    const { preparation } = this;
    if (!preparation) return;
    const { agentId, token, survivesReload } = preparation;
    try {
      const peer = this.peers.get(id) ?? this.createPeer(id, preparation);
      const sdp = await peer.offer({ iceRestart: request === 'restart' });
      if (this.peers.get(id) !== peer) return;
      const proof = request === 'move' ? { resumeToken, lastSeq: this.order.lastSeq } : request === 'first' && token ? { token } : {};
      this.signal(socket, { type: 'offer', sdp, agentId, survivesReload, ...proof });
    } catch {
      this.dispatch({ type: 'peer', peer: id, state: 'failed' });
    }
  }

  /**
   * @param {number} id
   * @param {Preparation} preparation
   */
  createPeer(id, { iceServers, iceTransportPolicy, track }) {
    const peer = new Peer({ iceServers, iceTransportPolicy, ...this.configuration }, track, {
      onState: (state) => this.dispatch({ type: 'peer', peer: id, state }),
      onMessage: (text) => this.event(JSON.parse(text), false),
      onOpen: () => this.listener.onOpen(),
    });
    this.peers.set(id, peer);
    return peer;
  }

  /**
   * The old peer connection plays what it has received, until the new one is heard.
   * @param {number} id
   * @param {number | null} oldId
   */
  async usePeer(id, oldId) {
    const peer = this.peers.get(id);
    const old = this.peers.get(oldId ?? 0);
    if (old?.connection.connectionState === 'connected') await peer?.untilHeard(HANDOVER_MS);
    if (peer?.voice && this.peers.get(id) === peer) this.listener.onVoice(peer.voice);
    old?.close();
    this.peers.delete(oldId ?? 0);
  }

  /**
   * @param {number} id
   * @param {string} sdp
   */
  async answer(id, sdp) {
    try {
      await this.peers.get(id)?.answer(sdp);
    } catch {
      this.dispatch({ type: 'peer', peer: id, state: 'failed' });
    }
  }

  /**
   * @param {number} socket
   * @param {string} text
   */
  received(socket, text) {
    const message = JSON.parse(text);
    if (message.seq !== undefined) return this.event(message, true);
    if (message.type === 'session') {
      this.sessionId = message.sessionId;
      if (this.preparation && message.iceServers.length > 0) this.preparation.iceServers = message.iceServers;
    }
    this.dispatch({ type: 'message', socket, message });
  }

  /**
   * @param {SessionEvent} event
   * @param {boolean} bySocket
   */
  event(event, bySocket) {
    if (event.seq === undefined || !this.order.take(event.seq, bySocket)) return; // a pong has no number
    if (event.type === 'goaway') this.dispatch({ type: 'goaway', timeLeftMs: event.timeLeftMs });
    else if (event.type === 'stay') this.dispatch({ type: 'stay' });
    else this.listener.onEvent(event);
    if (event.type === 'status' && event.status === 'ended') {
      this.dispatch({ type: 'session-ended', reason: event.reason ?? 'hangup' });
    }
  }

  /**
   * @param {Timer} timer
   * @param {number} ms
   */
  wait(timer, ms) {
    clearTimeout(this.timers.get(timer));
    const wait = timer === 'retry' ? jittered(ms, Math.random()) : ms;
    this.timers.set(timer, setTimeout(() => this.dispatch({ type: 'timer', timer }), wait));
  }

  release() {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    for (const peer of this.peers.values()) peer.close();
    this.peers.clear();
    for (const id of [...this.sockets.keys()]) this.closeSocket(id);
    this.preparation = null;
    this.listener.onRelease();
  }
}
