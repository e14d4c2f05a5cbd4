/**
 * How a call connects, comes back after a failure, and ends. Decides only: `next(state, event)` returns the new state and
 * the actions, which `session-link.js` carries out. The protocol is in docs/protocol.md ("Coming back").
 *
 * What is lost comes back by the cheapest means first: `resume` on another WebSocket, then an ICE restart, then a new
 * peer connection for the same session ("move").
 *
 * @typedef {import('./connection-types.js').Action} Action
 * @typedef {import('./connection-types.js').Connection} Connection
 * @typedef {import('./connection-types.js').ConnectionEvent} ConnectionEvent
 * @typedef {import('./connection-types.js').Failure} Failure
 * @typedef {import('./connection-types.js').PeerState} PeerState
 * @typedef {import('./connection-types.js').Timer} Timer
 */

export const CONNECT_TIMEOUT_MS = 20_000;
/** A lost path often heals by itself, because the server answers wherever it hears us from. */
export const GRACE_MS = 1_500;
export const STEP_TIMEOUT_MS = 6_000;
export const DELAYS_MS = [0, 300, 1_200, 2_700, 4_800, 7_000];
/** Without sound the server gives a session up earlier; this is for a server that cannot say so. */
export const GIVE_UP_MS = 60_000;

const NORMAL_CLOSE = 1000;
const TRY_AGAIN_LATER = 1013;
/** Close reasons after which the session goes on. */
const SURVIVED = ['', 'goaway', 'too_slow'];
const NORMAL_ENDINGS = ['hangup', 'agent_hangup', 'user_idle', 'max_duration', 'ended_by_operator', 'moved', 'replaced', 'bye'];
const NO_AUDIO = { code: 'connect_timeout', message: 'No audio connection could be made.' };

/** @type {Connection} */
export const IDLE = Object.freeze({
  phase: 'idle', failure: null, reason: '', socket: null, oldSocket: null, peer: null, nextPeer: null, pending: null,
  leaving: false, restarted: false, waiting: false, attempt: 0, resumeToken: '', lastId: 0,
});

/**
 * As long as a timer may run. Afterwards it is cancelled.
 * @type {Record<Timer, (state: Connection) => boolean>}
 */
const RUNS_WHILE = {
  connect: ({ phase }) => phase === 'connecting',
  grace: ({ peer }) => peer?.state === 'disconnected',
  step: (state) => !state.waiting && !isWhole(state),
  retry: ({ waiting }) => waiting,
  'give-up': ({ phase }) => phase === 'reconnecting',
};

/**
 * @param {Connection} state
 * @param {ConnectionEvent} event
 * @returns {[Connection, Action[]]}
 */
export function next(state, event) {
  const step = new Step(state);
  if (event.type === 'connect') step.connect(event.resumeToken ?? '');
  else if (isRunning(state)) step.take(event);
  if (isWhole(step.state)) Object.assign(step.state, { attempt: 0, restarted: false });
  if (isRunning(step.state)) step.cancelTimers(state);
  return [step.state, step.actions];
}

/** @param {Pick<Connection, 'phase'>} state */
export function isRunning({ phase }) {
  return phase === 'connecting' || phase === 'connected' || phase === 'reconnecting';
}

/** @param {Connection} state */
function isWhole({ phase, socket, nextPeer, pending, leaving }) {
  return phase === 'connected' && socket?.state === 'attached' && nextPeer === null && !pending && !leaving;
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
    this.state = { ...IDLE, phase: 'connecting', lastId: this.state.lastId + 1, resumeToken };
    this.actions.push({ type: 'prepare' }); // without a timer: whoever is asked for the microphone may take their time
  }

  /** @param {Exclude<ConnectionEvent, {type: 'connect'}>} event */
  take(event) {
    const { socket, peer } = this.state;
    switch (event.type) {
      case 'prepared':
        this.wait('connect', CONNECT_TIMEOUT_MS);
        return this.advance();
      case 'prepare-failed':
        return this.fail(event.failure);
      case 'socket-open':
        if (event.socket !== socket?.id) return;
        this.state.socket = { id: event.socket, state: 'open' };
        return this.advance();
      case 'socket-closed':
        if (event.socket === socket?.id) this.socketClosed(event.code, event.reason);
        return;
      case 'message':
        if (event.socket === socket?.id) this.message(event.socket, event.message);
        return;
      case 'goaway':
        return this.mediaGoesAway(event.timeLeftMs);
      case 'stay':
        // An offer that is on its way moves the session all the same.
        if (this.state.nextPeer === null && peer?.state !== 'failed') this.state.leaving = false;
        return;
      case 'peer':
        if (event.peer === this.state.nextPeer) this.nextPeerChanged(event.peer, event.state);
        else if (event.peer === peer?.id) this.peerChanged(event.peer, event.state);
        return;
      case 'session-ended':
        return this.sessionEnded(event.reason);
      case 'timer':
        return this.timerEnded(event.timer);
      case 'network-changed':
        return this.networkChanged();
      case 'disconnect':
        if (socket && socket.state !== 'opening') this.actions.push({ type: 'bye', socket: socket.id });
        return this.end('ended', 'hangup');
      case 'leave-page': // a reloaded page comes back to the session
        return this.end('ended', 'page_left');
    }
  }

  /** The next step towards two people who hear each other, and a WebSocket that has the session. */
  advance() {
    const { socket, peer, nextPeer, pending, resumeToken, leaving, restarted, waiting } = this.state;
    if (pending || waiting || nextPeer !== null || socket?.state === 'opening') return;
    if (!socket) return this.openSocket();
    if (!resumeToken) return this.offer('first', socket.id);
    if (socket.state === 'open' && peer && !leaving) return this.resume(socket.id);
    if (!peer || leaving) return this.offer('move', socket.id);
    if (peer.state === 'failed') this.offer(restarted ? 'move' : 'restart', socket.id);
  }

  openSocket() {
    const id = (this.state.lastId += 1);
    this.state.socket = { id, state: 'opening' };
    this.actions.push({ type: 'open-socket', socket: id });
    this.waitForStep();
  }

  /** @param {number} socket */
  resume(socket) {
    this.state.pending = 'resume';
    this.actions.push({ type: 'resume', socket, resumeToken: this.state.resumeToken });
    this.waitForStep();
  }

  /**
   * @param {import('./connection-types.js').OfferRequest} request
   * @param {number} socket
   */
  offer(request, socket) {
    const resumeToken = request === 'move' ? this.state.resumeToken : '';
    let peer = this.state.peer?.id ?? 0;
    if (request === 'restart') this.state.restarted = true;
    else this.state.nextPeer = peer = this.state.lastId += 1;
    this.state.pending = request;
    this.actions.push({ type: 'offer', socket, peer, request, resumeToken });
    this.waitForStep();
  }

  /**
   * @param {number} socket
   * @param {import('./messages.js').SignalingMessage} message
   */
  message(socket, message) {
    switch (message.type) {
      case 'session':
      case 'resumed':
        this.state.socket = { id: socket, state: 'attached' };
        this.state.resumeToken = message.resumeToken;
        this.closeOldSocket();
        this.state.pending = null;
        return this.advance();
      case 'answer': {
        const answered = this.state.nextPeer ?? this.state.peer?.id;
        this.state.pending = null;
        if (answered) this.actions.push({ type: 'answer', peer: answered, sdp: message.sdp });
        return;
      }
      case 'goaway':
        if (message.scope === 'signaling') return this.signalingGoesAway(socket);
        if (message.reason === 'connect_timeout' || message.reason === 'dtls_failed') return this.stepFailed();
        return this.mediaGoesAway(message.timeLeftMs);
      case 'error':
        return this.refused(message);
    }
  }

  /** @param {Failure} error */
  refused({ code, message, retryAfterMs }) {
    const failure = { code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    const { pending } = this.state;
    this.state.pending = null;
    if (!pending) this.actions.push({ type: 'report', failure });
    else if (code === 'resume_refused' || code === 'resume_token_reused') this.fail({ code: 'session_lost', message: 'The call has ended.' });
    else if (pending === 'restart' || (pending !== 'first' && retryAfterMs !== undefined)) this.stepFailed(retryAfterMs);
    else this.fail(failure);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  socketClosed(code, reason) {
    const { resumeToken, waiting } = this.state;
    this.state.socket = null;
    if (code === NORMAL_CLOSE) return this.sessionEnded(reason || 'hangup');
    if (resumeToken && (SURVIVED.includes(reason) || code === TRY_AGAIN_LATER)) {
      if (!waiting) this.stepFailed();
    } else if (reason) this.sessionEnded(reason);
    else this.fail({ code: 'unreachable', message: 'The server cannot be reached.' });
  }

  /** @param {number} socket */
  signalingGoesAway(socket) {
    if (this.state.pending || this.state.oldSocket !== null) return; // its close comes later, and is survived too
    Object.assign(this.state, { oldSocket: socket, socket: null });
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
  nextPeerChanged(id, state) {
    const { peer, phase } = this.state;
    if (state === 'failed') return phase === 'connecting' ? this.fail(NO_AUDIO) : this.stepFailed();
    if (state === 'disconnected') return;
    this.actions.push({ type: 'use-peer', peer: id, insteadOf: peer?.id ?? null });
    Object.assign(this.state, { peer: { id, state }, nextPeer: null, leaving: false, phase: 'connected' });
    this.advance();
  }

  /**
   * @param {number} id
   * @param {PeerState} state
   */
  peerChanged(id, state) {
    if (state === 'failed') return this.peerLost();
    if (state === 'connected') Object.assign(this.state, { peer: { id, state }, phase: 'connected' });
    else {
      this.soundLost(state);
      this.wait('grace', GRACE_MS);
    }
  }

  peerLost() {
    this.soundLost('failed');
    this.advance();
  }

  /** @param {'disconnected' | 'failed'} state */
  soundLost(state) {
    const { peer, phase } = this.state;
    if (peer) this.state.peer = { id: peer.id, state };
    if (phase !== 'connected') return;
    this.state.phase = 'reconnecting';
    this.wait('give-up', GIVE_UP_MS);
  }

  /** @param {Timer} timer */
  timerEnded(timer) {
    switch (timer) {
      case 'connect':
        return this.fail(NO_AUDIO);
      case 'grace':
        return this.peerLost();
      case 'step':
        return this.stepFailed();
      case 'retry':
        return this.tryAgain();
      case 'give-up':
        return this.fail({ code: 'connection_lost', message: 'The connection was lost.' });
    }
  }

  /** Try again after a while. A WebSocket on which an answer is missing may be dead. */
  stepFailed(atLeastMs = 0) {
    const { socket, nextPeer, pending, attempt } = this.state;
    if (socket && (socket.state === 'opening' || pending)) {
      this.actions.push({ type: 'close-socket', socket: socket.id });
      this.state.socket = null;
    }
    if (nextPeer !== null) this.actions.push({ type: 'close-peer', peer: nextPeer });
    Object.assign(this.state, { nextPeer: null, pending: null, attempt: attempt + 1, waiting: true });
    this.wait('retry', Math.max(atLeastMs, DELAYS_MS[Math.min(attempt, DELAYS_MS.length - 1)] ?? 0));
  }

  /** Nothing is worth waiting for that began on the old network. */
  networkChanged() {
    const { socket, peer, waiting } = this.state;
    if (peer?.state === 'disconnected') this.soundLost('failed');
    else if (!waiting && socket?.state !== 'opening') return;
    if (socket?.state === 'opening') {
      this.actions.push({ type: 'close-socket', socket: socket.id });
      this.state.socket = null;
    }
    this.tryAgain();
  }

  tryAgain() {
    this.state.waiting = false;
    this.advance();
  }

  closeOldSocket() {
    if (this.state.oldSocket !== null) this.actions.push({ type: 'close-socket', socket: this.state.oldSocket });
    this.state.oldSocket = null;
  }

  /** The first offer has a deadline of its own. */
  waitForStep() {
    if (this.state.resumeToken) this.wait('step', STEP_TIMEOUT_MS);
  }

  /**
   * @param {Timer} timer
   * @param {number} ms
   */
  wait(timer, ms) {
    this.actions.push({ type: 'wait', timer, ms });
  }

  /** @param {Connection} before */
  cancelTimers(before) {
    for (const timer of /** @type {Timer[]} */ (Object.keys(RUNS_WHILE))) {
      const runs = RUNS_WHILE[timer];
      if (runs(before) && !runs(this.state)) this.actions.push({ type: 'cancel', timer });
    }
  }

  /** @param {string} reason */
  sessionEnded(reason) {
    if (NORMAL_ENDINGS.includes(reason)) return this.end('ended', reason);
    this.fail({ code: reason, message: `The server ended the call (${reason}).` });
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
    Object.assign(this.state, { phase, reason, failure, resumeToken: '' });
    this.actions.push({ type: 'release' });
  }
}
