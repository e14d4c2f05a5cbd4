/**
 * A call whose server, network and clock are simulated: carries out the actions of `core/connection.js` in virtual time.
 * The server follows docs/protocol.md. What no browser could do throws: to send on a WebSocket that is not open, to
 * answer a peer connection that is closed.
 */
import assert from 'node:assert/strict';

import { IDLE, isRunning, next } from '../src/core/connection.js';

const ROUND_TRIP_MS = 40;
const CONNECT_MS = 120;
/** Until the server closes a WebSocket that another one has replaced. */
const REPLACED_MS = 2_000;

export class SimulatedCall {
  constructor() {
    this.state = IDLE;
    this.now = 0;
    this.queue = [];
    this.timers = new Map();
    /** The actions so far, each with its time. */
    this.log = [];
    this.sockets = new Map();
    /** WebSockets on which the server's answer is due. */
    this.unanswered = new Set();
    this.peers = new Set();
    this.session = null;
    this.released = 0;
    /** Properties of the world that a test changes. */
    this.microphoneMs = 10;
    this.microphoneFailure = null;
    this.gatewayIsUp = true;
    this.networkIsUp = true;
    this.refusal = null;
    this.restartRefusal = null;
    /** New peer connections find no path. */
    this.pathsFail = false;
    /** They find none, and do not say so. */
    this.pathsAreSilent = false;
    this.answerMs = 0;
    /** The server does what it is asked, and its answers get lost with the WebSocket, which says nothing more. */
    this.answersAreLost = false;
  }

  dispatch(event) {
    const [state, actions] = next(this.state, event);
    this.state = state;
    for (const action of actions) {
      this.log.push({ ...action, at: this.now });
      this.carryOut(action);
    }
    assert.ok(this.sockets.size <= 2 && this.peers.size <= 2, 'no more than the old one and the new one');
    assert.ok(!isRunning(state) || !state.socket || this.sockets.has(state.socket.id));
  }

  /** Until so many ms have passed. */
  run(ms) {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.queue, ...this.timers.values()].sort((one, other) => one.at - other.at)[0];
      if (!due || due.at > end) break;
      this.now = due.at;
      this.queue = this.queue.filter((item) => item !== due);
      for (const [name, timer] of this.timers) if (timer === due) this.timers.delete(name);
      due.run();
    }
    this.now = end;
  }

  after(ms, run) {
    this.queue.push({ at: this.now + ms, run });
  }

  carryOut(action) {
    switch (action.type) {
      case 'prepare':
        this.after(this.microphoneMs, () => this.dispatch(this.microphoneFailure
          ? { type: 'prepare-failed', failure: this.microphoneFailure } : { type: 'prepared' }));
        break;
      case 'open-socket':
        this.sockets.set(action.socket, 'opening');
        this.after(ROUND_TRIP_MS, () => {
          if (!this.sockets.has(action.socket) || !this.networkIsUp) return; // silence, as in a real network
          if (!this.gatewayIsUp) return this.closeByServer(action.socket, 1006, '');
          this.sockets.set(action.socket, 'open');
          this.dispatch({ type: 'socket-open', socket: action.socket });
        });
        break;
      case 'close-socket':
        assert.equal(typeof action.socket, 'number');
        this.sockets.delete(action.socket);
        break;
      case 'resume':
        this.request(action.socket, () => this.resumed(action));
        break;
      case 'offer':
        if (action.request === 'restart') assert.ok(this.peers.has(action.peer));
        else this.peers.add(action.peer);
        this.request(action.socket, () => this.offered(action));
        break;
      case 'answer':
        assert.ok(this.peers.has(action.peer), 'an answer for a peer connection that is closed');
        this.after(CONNECT_MS, () => this.connectPeer(action.peer));
        break;
      case 'use-peer':
        assert.ok(this.peers.has(action.peer));
        this.peers.delete(action.insteadOf);
        break;
      case 'close-peer':
        this.peers.delete(action.peer);
        break;
      case 'bye':
        this.toServer(action.socket, () => (this.session = null));
        break;
      case 'wait':
        this.timers.set(action.timer, {
          at: this.now + action.ms, run: () => this.dispatch({ type: 'timer', timer: action.timer }),
        });
        break;
      case 'cancel':
        this.timers.delete(action.timer);
        break;
      case 'release':
        this.released += 1;
        this.timers.clear();
        this.sockets.clear();
        this.peers.clear();
        break;
    }
  }

  request(socket, answer) {
    assert.ok(!this.unanswered.has(socket), 'asked before the last answer came');
    this.unanswered.add(socket);
    this.toServer(socket, answer);
  }

  toServer(socket, answer) {
    assert.ok(['open', 'dead'].includes(this.sockets.get(socket)), 'sent on a WebSocket that is not open');
    this.after(ROUND_TRIP_MS, () => {
      if (!this.networkIsUp || this.sockets.get(socket) !== 'open') return;
      if (this.answersAreLost) this.sockets.set(socket, 'dead');
      answer();
    });
  }

  toClient(socket, message) {
    if (this.sockets.get(socket) !== 'open') return;
    if (['answer', 'resumed', 'error'].includes(message.type)) this.unanswered.delete(socket);
    this.dispatch({ type: 'message', socket, message });
  }

  resumed({ socket, resumeToken }) {
    if (this.refusal) return this.refuse(socket, this.refusal);
    if (!this.session?.tokens.includes(resumeToken)) return this.refuse(socket, { code: 'resume_refused' });
    this.attach(socket, resumeToken);
    this.toClient(socket, { type: 'resumed', sessionId: 's1', resumeToken: this.token, expiresAt: 0 });
    this.tellMediaIsDown();
  }

  offered({ socket, peer, request, resumeToken }) {
    if (request === 'restart') {
      if (this.restartRefusal) return this.refuse(socket, this.restartRefusal);
      if (this.session?.mediaIsUp) this.toClient(socket, { type: 'answer', sdp: '' }); // else nobody answers
      return;
    }
    if (this.refusal) return this.refuse(socket, this.refusal);
    if (request === 'first') this.session = { number: 0, peer, socket };
    else if (!this.session?.tokens.includes(resumeToken)) return this.refuse(socket, { code: 'resume_refused' });
    Object.assign(this.session, { peer, mediaIsUp: true });
    this.attach(socket, resumeToken);
    this.after(this.answerMs, () => {
      this.toClient(socket, { type: 'session', sessionId: 's1', resumeToken: this.token, iceServers: [], expiresAt: 0 });
      this.toClient(socket, { type: 'answer', sdp: '' });
    });
  }

  refuse(socket, error) {
    this.toClient(socket, { type: 'error', message: 'refused', ...error });
    const closes = error.retryAfterMs && error.code !== 'broker_unavailable';
    if (closes && this.session?.socket !== socket) this.closeByServer(socket, 1013, error.code);
  }

  /** The newest token counts, and the one that was shown last. */
  attach(socket, shown) {
    const before = this.session.socket;
    this.session.number += 1;
    this.session.tokens = [`t${this.session.number}`, shown];
    this.session.socket = socket;
    if (before !== socket) this.after(REPLACED_MS, () => this.networkIsUp && this.closeByServer(before, 1000, 'replaced'));
  }

  get token() {
    return this.session.tokens[0];
  }

  connectPeer(peer) {
    if (this.pathsAreSilent) return;
    const isOnServer = this.session?.peer === peer && this.session.mediaIsUp && !this.pathsFail;
    this.peerState(peer, isOnServer && this.networkIsUp ? 'connected' : 'failed');
  }

  peerState(peer, state) {
    if (this.peers.has(peer)) this.dispatch({ type: 'peer', peer, state });
  }

  closeByServer(socket, code, reason) {
    if (this.sockets.get(socket) === 'dead' || !this.sockets.delete(socket)) return;
    this.dispatch({ type: 'socket-closed', socket, code, reason });
  }

  // What happens to a call.

  cutWebSockets() {
    for (const socket of [...this.sockets.keys()]) this.closeByServer(socket, 1006, '');
  }

  /** The WebSocket says nothing more, not even that it is closed. */
  deadenWebSocket() {
    const { socket } = this.state;
    if (socket && this.sockets.get(socket.id) === 'open') this.sockets.set(socket.id, 'dead');
  }

  gatewayGoesAway() {
    const { socket } = this.session;
    this.toClient(socket, { type: 'goaway', scope: 'signaling', timeLeftMs: 10_000, reason: 'draining' });
    this.after(10_000, () => this.closeByServer(socket, 1001, 'goaway'));
  }

  killMediaWorker() {
    const { peer } = this.session;
    this.session.mediaIsUp = false;
    this.after(300, () => this.tellMediaIsDown());
    this.after(5_000, () => this.peerState(peer, 'disconnected'));
  }

  tellMediaIsDown() {
    if (!this.session || this.session.mediaIsUp) return;
    this.toClient(this.session.socket, { type: 'goaway', scope: 'media', timeLeftMs: 0, reason: 'media_worker_lost' });
  }

  /** The caller's address changes, say. */
  losePath() {
    if (this.session.peer === this.state.peer?.id) this.peerState(this.session.peer, 'disconnected');
  }

  loseNetwork(ms) {
    this.networkIsUp = false;
    const { peer } = this.session;
    this.after(2_000, () => this.networkIsUp || this.peerState(peer, 'disconnected'));
    this.after(ms, () => {
      this.networkIsUp = true;
      this.dispatch({ type: 'network-changed' });
    });
  }

  /** A property of the world for some time. */
  during(ms, properties) {
    const before = Object.fromEntries(Object.keys(properties).map((name) => [name, this[name]]));
    Object.assign(this, properties);
    this.after(ms, () => Object.assign(this, before));
  }

  /** Both hear each other, events come, and nothing is under way. */
  get isSettled() {
    const { socket, peer, phase } = this.state;
    return phase === 'connected' && this.session?.socket === socket?.id && this.session?.peer === peer?.id
      && socket?.state === 'attached' && this.session?.mediaIsUp && this.sockets.size === 1 && this.peers.size === 1
      && this.timers.size === 0;
  }

  did(type) {
    return this.log.filter((action) => action.type === type);
  }

  /** The kinds of offers, in their order. */
  get offers() {
    return this.did('offer').map(({ request }) => request);
  }
}

export function inACall() {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.ok(call.isSettled);
  call.log = [];
  return call;
}
