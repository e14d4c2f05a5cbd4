/**
 * How a call connects, comes back after a failure, and ends. Decides only: `next(state, event)` returns the new state and
 * the actions, which `call.js` carries out. The protocol is in docs/protocol.md ("Coming back").
 *
 * What is lost comes back by the cheapest means first: `resume` on another WebSocket, then an ICE restart, then a new
 * peer connection for the same session ("move").
 *
 * @typedef {import('./messages.js').SignalingMessage} SignalingMessage
 *
 * @typedef {'idle' | 'connecting' | 'connected' | 'reconnecting' | 'ended' | 'failed'} Phase
 * `connected` as long as both sides can hear each other, even while the WebSocket is away.
 * @typedef {{code: string, message: string, retryAfterMs?: number}} Failure
 * @typedef {'first' | 'restart' | 'move' | 'resume'} Request What waits for the server's answer.
 * @typedef {'new' | 'connected' | 'disconnected' | 'failed'} PeerState
 * @typedef {'connect' | 'grace' | 'step' | 'retry' | 'give-up'} Timer
 *
 * @typedef {object} Connection
 * @property {Phase} phase
 * @property {Failure | null} failure Why the call failed.
 * @property {string} reason Why it ended.
 * @property {{id: number, state: 'opening' | 'open' | 'attached'} | null} socket `attached`: the session's events come here.
 * @property {number | null} oldSocket A WebSocket whose gateway goes away, until another one is attached.
 * @property {{id: number, state: PeerState} | null} peer The peer connection that is heard.
 * @property {{id: number, state: PeerState} | null} nextPeer The one that will replace it.
 * @property {Request | null} pending
 * @property {boolean} leaving The media worker goes away.
 * @property {boolean} restarted An ICE restart was tried.
 * @property {boolean} waiting For the next attempt.
 * @property {number} attempt
 * @property {Failure | null} lastError The server's last refusal.
 * @property {string} resumeToken Empty while there is no session.
 * @property {number} lastId Of WebSockets and peer connections.
 *
 * @typedef {(
 *   | {type: 'connect', resumeToken?: string}
 *   | {type: 'prepared'} | {type: 'prepare-failed', failure: Failure}
 *   | {type: 'socket-open', socket: number}
 *   | {type: 'socket-closed', socket: number, code: number, reason: string}
 *   | {type: 'message', socket: number, message: SignalingMessage}
 *   | {type: 'goaway', timeLeftMs: number}
 *   | {type: 'peer', peer: number, state: PeerState}
 *   | {type: 'session-ended', reason: string}
 *   | {type: 'timer', timer: Timer}
 *   | {type: 'network-changed'}
 *   | {type: 'disconnect'} | {type: 'leave-page'}
 * )} ConnectionEvent
 *
 * @typedef {(
 *   | {type: 'prepare'}
 *   | {type: 'open-socket', socket: number} | {type: 'close-socket', socket: number}
 *   | {type: 'offer', socket: number, peer: number, request: 'first' | 'restart' | 'move', resumeToken: string}
 *   | {type: 'resume', socket: number, resumeToken: string}
 *   | {type: 'bye', socket: number}
 *   | {type: 'answer', peer: number, sdp: string}
 *   | {type: 'use-peer', peer: number} | {type: 'close-peer', peer: number}
 *   | {type: 'wait', timer: Timer, ms: number} | {type: 'cancel', timer: Timer}
 *   | {type: 'report', failure: Failure}
 *   | {type: 'release'}
 * )} Action
 */

export const CONNECT_TIMEOUT_MS = 20_000;
/** A lost path often heals by itself, because the server answers wherever it hears us from. */
export const GRACE_MS = 1_500;
export const STEP_TIMEOUT_MS = 6_000;
export const DELAYS_MS = [0, 300, 1_200, 2_700, 4_800, 7_000];
/** Without sound the server gives a session up earlier; this is for a server that cannot say so. */
export const GIVE_UP_MS = 60_000;

const NORMAL_CLOSE = 1000;
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;
/** Close reasons after which the session goes on. */
const SURVIVED = ['', 'goaway', 'too_slow'];
const NORMAL_ENDINGS = ['hangup', 'agent_hangup', 'user_idle', 'max_duration', 'ended_by_operator', 'moved', 'replaced', 'bye'];

/** @type {Connection} */
export const IDLE = Object.freeze({
  phase: 'idle', failure: null, reason: '', socket: null, oldSocket: null, peer: null, nextPeer: null, pending: null,
  leaving: false, restarted: false, waiting: false, attempt: 0, lastError: null, resumeToken: '', lastId: 0,
});

/**
 * @param {Connection} state
 * @param {ConnectionEvent} event
 * @returns {[Connection, Action[]]}
 */
export function next(state, event) {
  const step = new Step(state);
  if (event.type === 'connect') step.connect(event.resumeToken ?? '');
  else if (isRunning(state)) step.take(event);
  return [step.state, step.actions];
}

/** @param {Connection} state */
export function isRunning({ phase }) {
  return phase === 'connecting' || phase === 'connected' || phase === 'reconnecting';
}

/** The state after one event, and the actions so far. */
class Step {
  /** @param {Connection} state */
  constructor(state) {
    /** @type {Connection} */
    this.state = { ...state };
    /** @type {Action[]} */
    this.actions = [];
  }

  /** @param {string} resumeToken */
  connect(resumeToken) {
    if (isRunning(this.state)) return;
    this.state = { ...IDLE, phase: 'connecting', lastId: this.state.lastId, resumeToken };
    this.actions.push({ type: 'prepare' }, { type: 'wait', timer: 'connect', ms: CONNECT_TIMEOUT_MS });
  }

  /** @param {Exclude<ConnectionEvent, {type: 'connect'}>} event */
  take(event) {
    const { socket, oldSocket } = this.state;
    switch (event.type) {
      case 'prepared':
        // Whoever is asked for the microphone may take their time.
        this.actions.push({ type: 'wait', timer: 'connect', ms: CONNECT_TIMEOUT_MS });
        return this.advance();
      case 'prepare-failed':
        return this.fail(event.failure);
      case 'socket-open':
        if (event.socket !== socket?.id) return;
        this.state.socket = { id: event.socket, state: 'open' };
        return this.advance();
      case 'socket-closed':
        if (event.socket === oldSocket) this.state.oldSocket = null;
        if (event.socket === socket?.id) this.socketClosed(event.code, event.reason);
        return;
      case 'message':
        if (event.socket === socket?.id) this.message(event.message);
        return;
      case 'goaway':
        return this.mediaGoesAway(event.timeLeftMs);
      case 'peer':
        return this.peerChanged(event.peer, event.state);
      case 'session-ended':
        return this.sessionEnded(event.reason);
      case 'timer':
        return this.timerEnded(event.timer);
      case 'network-changed':
        if (this.state.peer?.state === 'disconnected') this.peerLost();
        else if (this.state.waiting) this.tryAgain();
        return;
      case 'disconnect':
        if (socket && socket.state !== 'opening') this.actions.push({ type: 'bye', socket: socket.id });
        return this.end('ended', 'hangup');
      case 'leave-page': // a reloaded page comes back to the session
        return this.end('ended', 'page_left');
    }
  }

  /** The next step towards two people who hear each other, and a WebSocket that has the session. */
  advance() {
    const { socket, peer, pending, resumeToken, leaving, restarted, waiting } = this.state;
    if (pending || waiting || socket?.state === 'opening') return;
    if (!socket) return this.openSocket();
    if (!resumeToken) return this.offer('first');
    if (socket.state === 'open' && peer && !leaving) return this.resume();
    if (peer?.state === 'connected' && !leaving) return this.settle();
    if (this.state.nextPeer) return; // answered, and connecting
    if (peer && !leaving && !restarted) return peer.state === 'failed' ? this.offer('restart') : undefined;
    this.offer('move');
  }

  settle() {
    const { socket, peer, leaving } = this.state;
    if (peer?.state !== 'connected') return;
    this.state.phase = 'connected';
    this.cancel('connect', 'grace', 'give-up');
    if (socket?.state !== 'attached' || leaving) return;
    this.state.attempt = 0;
    this.state.restarted = false;
    this.cancel('step');
  }

  openSocket() {
    const id = (this.state.lastId += 1);
    this.state.socket = { id, state: 'opening' };
    this.actions.push({ type: 'open-socket', socket: id });
    this.waitForStep();
  }

  resume() {
    const { socket, resumeToken } = this.state;
    this.state.pending = 'resume';
    this.actions.push({ type: 'resume', socket: /** @type {{id: number}} */ (socket).id, resumeToken });
    this.waitForStep();
  }

  /** @param {'first' | 'restart' | 'move'} request */
  offer(request) {
    const { socket, resumeToken } = this.state;
    let peer = this.state.peer?.id ?? 0;
    if (request === 'restart') this.state.restarted = true;
    else {
      peer = this.state.lastId += 1;
      if (this.state.peer) this.state.nextPeer = { id: peer, state: 'new' };
      else this.state.peer = { id: peer, state: 'new' };
    }
    this.state.pending = request;
    this.actions.push({
      type: 'offer', socket: /** @type {{id: number}} */ (socket).id, peer, request, resumeToken: request === 'move' ? resumeToken : '',
    });
    if (request !== 'first') this.waitForStep();
    else this.cancel('step');
  }

  /** @param {SignalingMessage} message */
  message(message) {
    switch (message.type) {
      case 'session':
      case 'resumed': {
        this.state.socket = { id: /** @type {{id: number}} */ (this.state.socket).id, state: 'attached' };
        this.state.resumeToken = message.resumeToken;
        this.state.lastError = null;
        if (message.type === 'session') return;
        this.state.pending = null;
        this.closeOldSocket();
        this.cancel('step');
        this.settle();
        return this.advance();
      }
      case 'answer': {
        const { pending, peer, nextPeer } = this.state;
        const answered = pending === 'move' ? nextPeer ?? peer : peer;
        this.state.pending = null;
        if (answered) this.actions.push({ type: 'answer', peer: answered.id, sdp: message.sdp });
        if (pending === 'move') this.closeOldSocket();
        return;
      }
      case 'goaway':
        if (message.scope === 'signaling') return this.signalingGoesAway();
        if (message.reason === 'connect_timeout' || message.reason === 'dtls_failed') return this.stepFailed();
        return this.mediaGoesAway(message.timeLeftMs);
      case 'error':
        return this.refused(message);
    }
  }

  /** @param {Failure} error */
  refused({ code, message, retryAfterMs }) {
    const failure = { code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    this.state.lastError = failure;
    const { pending } = this.state;
    this.state.pending = null;
    if (code === 'resume_refused' && pending) return this.fail({ code: 'session_lost', message: 'The call has ended.' });
    if (pending === 'first') return this.fail(failure);
    if (pending === 'restart') return this.stepFailed();
    if (pending && retryAfterMs !== undefined) return this.stepFailed(retryAfterMs);
    if (pending) return this.fail(failure);
    this.actions.push({ type: 'report', failure });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  socketClosed(code, reason) {
    const { resumeToken, waiting } = this.state;
    this.state.socket = null;
    if (code === NORMAL_CLOSE) return this.sessionEnded(reason || 'hangup');
    if (resumeToken && (SURVIVED.includes(reason) || code === GOING_AWAY || code === TRY_AGAIN_LATER)) {
      return waiting ? undefined : this.stepFailed();
    }
    if (reason) return this.sessionEnded(reason);
    this.fail({ code: 'unreachable', message: 'The server cannot be reached.' });
  }

  signalingGoesAway() {
    const { socket, resumeToken, pending } = this.state;
    if (!resumeToken || pending || !socket || this.state.oldSocket !== null) return;
    this.state.oldSocket = socket.id;
    this.state.socket = null;
    this.advance();
  }

  /** @param {number} timeLeftMs */
  mediaGoesAway(timeLeftMs) {
    this.state.leaving = true;
    if (timeLeftMs === 0) this.soundLost('failed');
    this.advance();
  }

  /**
   * @param {number} id
   * @param {PeerState} state
   */
  peerChanged(id, state) {
    const { peer, nextPeer, phase } = this.state;
    if (id === nextPeer?.id) {
      if (state === 'failed') return this.stepFailed();
      if (state !== 'connected') return;
      if (peer) this.actions.push({ type: 'close-peer', peer: peer.id });
      Object.assign(this.state, { peer: { id, state }, nextPeer: null, leaving: false });
      this.actions.push({ type: 'use-peer', peer: id });
      return this.settle();
    }
    if (id !== peer?.id) return;
    switch (state) {
      case 'connected':
        this.state.peer = { id, state };
        if (phase === 'connecting') this.actions.push({ type: 'use-peer', peer: id });
        return this.settle();
      case 'disconnected':
        this.soundLost(state);
        this.actions.push({ type: 'wait', timer: 'grace', ms: GRACE_MS });
        return;
      case 'failed':
        return this.peerLost();
    }
  }

  peerLost() {
    this.cancel('grace');
    if (this.state.phase === 'connecting') {
      return this.fail({ code: 'connect_timeout', message: 'No audio connection could be made.' });
    }
    const wasRestarted = this.state.restarted;
    this.soundLost('failed');
    if (wasRestarted) this.stepFailed();
    else this.advance();
  }

  /** @param {'disconnected' | 'failed'} state */
  soundLost(state) {
    const { peer, phase } = this.state;
    if (peer) this.state.peer = { id: peer.id, state };
    if (phase !== 'connected') return;
    this.state.phase = 'reconnecting';
    this.actions.push({ type: 'wait', timer: 'give-up', ms: GIVE_UP_MS });
  }

  /** @param {Timer} timer */
  timerEnded(timer) {
    switch (timer) {
      case 'connect':
        return this.fail({ code: 'connect_timeout', message: 'No audio connection could be made.' });
      case 'grace':
        return this.state.peer?.state === 'disconnected' ? this.peerLost() : undefined;
      case 'step':
        if (this.state.phase === 'connecting' && !this.state.resumeToken) return; // has its own deadline
        return this.stepFailed();
      case 'retry':
        return this.tryAgain();
      case 'give-up':
        return this.fail({ code: 'connection_lost', message: 'The connection was lost.' });
    }
  }

  /** Try again after a while. A WebSocket on which an answer is missing may be dead. */
  stepFailed(atLeastMs = 0) {
    const { socket, peer, nextPeer, pending, attempt, phase } = this.state;
    if (socket && (socket.state === 'opening' || pending)) this.closeSocket();
    if (nextPeer) this.actions.push({ type: 'close-peer', peer: nextPeer.id });
    if (phase === 'connecting' && peer) { // the first peer connection of a page that was reloaded
      this.actions.push({ type: 'close-peer', peer: peer.id });
      this.state.peer = null;
    }
    Object.assign(this.state, { nextPeer: null, pending: null });
    this.cancel('step');
    const ms = Math.max(atLeastMs, DELAYS_MS[Math.min(attempt, DELAYS_MS.length - 1)] ?? 0);
    Object.assign(this.state, { attempt: attempt + 1, waiting: true });
    this.actions.push({ type: 'wait', timer: 'retry', ms });
  }

  tryAgain() {
    this.cancel('retry');
    this.state.waiting = false;
    this.advance();
  }

  closeSocket() {
    if (this.state.socket) this.actions.push({ type: 'close-socket', socket: this.state.socket.id });
    this.state.socket = null;
  }

  closeOldSocket() {
    if (this.state.oldSocket !== null) this.actions.push({ type: 'close-socket', socket: this.state.oldSocket });
    this.state.oldSocket = null;
  }

  waitForStep() {
    this.actions.push({ type: 'wait', timer: 'step', ms: STEP_TIMEOUT_MS });
  }

  /** @param {Timer[]} timers */
  cancel(...timers) {
    for (const timer of timers) this.actions.push({ type: 'cancel', timer });
  }

  /** @param {string} reason */
  sessionEnded(reason) {
    if (NORMAL_ENDINGS.includes(reason)) return this.end('ended', reason);
    const { lastError } = this.state;
    const isExplained = lastError?.code === reason || !this.state.resumeToken;
    this.fail((isExplained && lastError) || { code: reason, message: `The server ended the call (${reason}).` });
  }

  /** @param {Failure} failure */
  fail(failure) {
    this.end('failed', failure.code, failure);
  }

  /**
   * @param {'ended' | 'failed'} phase
   * @param {string} reason
   * @param {Failure | null} failure
   */
  end(phase, reason, failure = null) {
    Object.assign(this.state, { phase, reason, failure, resumeToken: '', waiting: false, pending: null });
    this.actions.push({ type: 'release' });
  }
}
