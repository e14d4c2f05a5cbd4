/**
 * A call whose server, network and clock are simulated: carries out the actions of `core/connection.js` in virtual time.
 * The server follows docs/protocol.md.
 */
import { IDLE, next } from '../src/core/connection.js';

const ROUND_TRIP_MS = 40;
const CONNECT_MS = 120;

export class SimulatedCall {
  constructor() {
    this.state = IDLE;
    this.now = 0;
    this.queue = [];
    this.timers = new Map();
    this.log = [];
    this.sockets = new Map();
    this.peers = new Map();
    this.session = null;
    this.released = 0;
    /** Properties of the world that a test changes. */
    this.gatewayIsUp = true;
    this.networkIsUp = true;
    this.refusal = null;
    this.microphoneFailure = null;
  }

  dispatch(event) {
    const [state, actions] = next(this.state, event);
    this.state = state;
    for (const action of actions) {
      this.log.push(action);
      this.carryOut(action);
    }
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
        this.after(10, () => this.dispatch(this.microphoneFailure
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
        this.sockets.delete(action.socket);
        break;
      case 'resume':
        this.toServer(action.socket, () => this.resumed(action));
        break;
      case 'offer':
        if (action.request !== 'restart') this.peers.set(action.peer, 'new');
        this.toServer(action.socket, () => this.offered(action));
        break;
      case 'answer':
        this.after(CONNECT_MS, () => {
          const isOnServer = this.session?.peer === action.peer && this.session.mediaIsUp;
          this.peerState(action.peer, isOnServer && this.networkIsUp ? 'connected' : 'failed');
        });
        break;
      case 'close-peer':
        this.peers.delete(action.peer);
        break;
      case 'bye':
        this.session = null;
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

  toServer(socket, answer) {
    this.after(ROUND_TRIP_MS, () => this.networkIsUp && this.sockets.get(socket) === 'open' && answer());
  }

  toClient(socket, message) {
    if (this.sockets.get(socket) === 'open') this.dispatch({ type: 'message', socket, message });
  }

  resumed({ socket, resumeToken }) {
    if (this.session?.token !== resumeToken) return this.toClient(socket, { type: 'error', code: 'resume_refused', message: 'old' });
    this.attach(socket);
    this.toClient(socket, { type: 'resumed', sessionId: 's1', resumeToken: this.session.token, expiresAt: 0 });
    this.tellMediaIsDown();
  }

  offered({ socket, peer, request, resumeToken }) {
    if (this.refusal) {
      this.toClient(socket, { type: 'error', message: 'refused', ...this.refusal });
      if (request === 'first') this.closeByServer(socket, 1013, this.refusal.code);
      return;
    }
    if (request === 'restart') {
      if (!this.session?.mediaIsUp) return; // nobody answers
      return this.toClient(socket, { type: 'answer', sdp: '' });
    }
    if (request === 'first') this.session = { token: 't1', number: 1, peer, mediaIsUp: true, socket };
    else if (this.session?.token !== resumeToken) {
      return this.toClient(socket, { type: 'error', code: 'resume_refused', message: 'old' });
    }
    this.session.peer = peer;
    this.session.mediaIsUp = true;
    this.attach(socket);
    const { token } = this.session;
    this.toClient(socket, { type: 'session', sessionId: 's1', resumeToken: token, iceServers: [], expiresAt: 0 });
    this.toClient(socket, { type: 'answer', sdp: '' });
  }

  attach(socket) {
    const before = this.session.socket;
    this.session.number += 1;
    this.session.token = `t${this.session.number}`;
    this.session.socket = socket;
    if (before !== socket) this.closeByServer(before, 1000, 'replaced');
  }

  peerState(peer, state) {
    if (this.peers.has(peer)) this.dispatch({ type: 'peer', peer, state });
  }

  closeByServer(socket, code, reason) {
    if (!this.sockets.delete(socket)) return;
    this.dispatch({ type: 'socket-closed', socket, code, reason });
  }

  // What happens to a call.

  cutWebSockets() {
    for (const socket of [...this.sockets.keys()]) this.closeByServer(socket, 1006, '');
  }

  killMediaWorker() {
    if (!this.session) return;
    this.session.mediaIsUp = false;
    this.after(300, () => this.tellMediaIsDown());
    this.after(5_000, () => !this.session?.mediaIsUp && this.peerState(this.session?.peer, 'disconnected'));
  }

  tellMediaIsDown() {
    if (!this.session || this.session.mediaIsUp) return;
    this.toClient(this.session.socket, { type: 'goaway', scope: 'media', timeLeftMs: 0, reason: 'media_worker_lost' });
  }

  loseNetwork(ms) {
    this.networkIsUp = false;
    const peer = this.session?.peer;
    this.after(2_000, () => this.networkIsUp || this.peerState(peer, 'disconnected'));
    this.after(ms, () => {
      this.networkIsUp = true;
      this.dispatch({ type: 'network-changed' });
    });
  }

  /** Both hear each other, and events come. */
  get isSettled() {
    const { socket, peer, phase } = this.state;
    return phase === 'connected' && this.session?.socket === socket?.id && this.session?.peer === peer?.id
      && socket?.state === 'attached' && this.session?.mediaIsUp;
  }

  did(type) {
    return this.log.filter((action) => action.type === type);
  }
}

export function inACall() {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  call.log = [];
  return call;
}
