import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { GIVE_UP_MS, IDLE, isRunning, next } from '../src/core/connection.js';
import { SimulatedCall, inACall } from './call.js';

const requests = (call) => [...call.did('offer').map(({ request }) => request)];

test('a call connects', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  assert.equal(call.state.phase, 'connecting');
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(requests(call), ['first']);
  assert.equal(call.did('use-peer').length, 1);
});

test('hanging up ends it at once, and says so to the server', () => {
  const call = inACall();
  call.dispatch({ type: 'disconnect' });
  assert.equal(call.state.phase, 'ended');
  assert.equal(call.did('bye').length, 1);
  assert.equal(call.released, 1);
});

test('hanging up while the microphone is asked for ends it', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  call.dispatch({ type: 'disconnect' });
  call.run(60_000);
  assert.equal(call.state.phase, 'ended');
  assert.equal(call.did('open-socket').length, 0);
});

test('a call that has ended can be made again', () => {
  const call = inACall();
  call.dispatch({ type: 'disconnect' });
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.ok(call.isSettled);
});

test('a second connect does nothing', () => {
  const call = inACall();
  const before = call.state;
  call.dispatch({ type: 'connect' });
  assert.deepEqual(call.state, before);
  assert.deepEqual(call.log, []);
});

test('without a microphone there is no call', () => {
  const call = new SimulatedCall();
  call.microphoneFailure = { code: 'microphone_denied', message: 'no' };
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.equal(call.state.failure?.code, 'microphone_denied');
});

test('a server that cannot be reached is told as such', () => {
  const call = new SimulatedCall();
  call.gatewayIsUp = false;
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.equal(call.state.failure?.code, 'unreachable');
});

test('a server that says nothing fails the call in the end', () => {
  const call = new SimulatedCall();
  call.networkIsUp = false;
  call.dispatch({ type: 'connect' });
  call.run(30_000);
  assert.equal(call.state.failure?.code, 'connect_timeout');
});

test('a full server says when to try again', () => {
  const call = new SimulatedCall();
  call.refusal = { code: 'no_capacity', retryAfterMs: 3_000 };
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.deepEqual(call.state.failure, { code: 'no_capacity', message: 'refused', retryAfterMs: 3_000 });
});

test('a cut WebSocket is opened again while the talk goes on', () => {
  const call = inACall();
  call.cutWebSockets();
  assert.equal(call.state.phase, 'connected');
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.equal(call.did('resume').length, 1);
  assert.deepEqual(requests(call), []);
});

test('a gateway that is away for long does not end a call that is heard', () => {
  const call = inACall();
  call.gatewayIsUp = false;
  call.cutWebSockets();
  call.run(5 * 60_000);
  assert.equal(call.state.phase, 'connected');
  call.gatewayIsUp = true;
  call.run(10_000);
  assert.ok(call.isSettled);
});

test('a gateway that goes away is left before it closes', () => {
  const call = inACall();
  const old = call.state.socket.id;
  call.toClient(old, { type: 'goaway', scope: 'signaling', timeLeftMs: 10_000, reason: 'draining' });
  assert.ok(call.sockets.has(old));
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.notEqual(call.state.socket.id, old);
  assert.ok(!call.sockets.has(old));
});

test('a media worker that drains is left unheard: the old one is heard until the new one is connected', () => {
  const call = inACall();
  const old = call.state.peer.id;
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  assert.equal(call.state.phase, 'connected');
  assert.ok(call.peers.has(old));
  call.run(100);
  assert.equal(call.state.peer.id, old);
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.notEqual(call.state.peer.id, old);
  assert.deepEqual(requests(call), ['move']);
});

test('a killed media worker is left at once', () => {
  const call = inACall();
  call.killMediaWorker();
  call.run(301);
  assert.equal(call.state.phase, 'reconnecting');
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(requests(call), ['move']);
});

test('a new peer connection that fails is tried again', () => {
  const call = inACall();
  call.refusal = { code: 'no_capacity', retryAfterMs: 2_000 };
  call.killMediaWorker();
  call.run(1_000);
  call.refusal = null;
  call.run(10_000);
  assert.ok(call.isSettled);
  const waits = call.did('wait').filter(({ timer }) => timer === 'retry').map(({ ms }) => ms);
  assert.ok(waits.some((ms) => ms >= 2_000), `waited ${waits}`);
});

test('a network that comes back within seconds needs no new connection', () => {
  const call = inACall();
  call.dispatch({ type: 'peer', peer: call.state.peer.id, state: 'disconnected' });
  assert.equal(call.state.phase, 'reconnecting');
  call.run(500);
  call.dispatch({ type: 'peer', peer: call.state.peer.id, state: 'connected' });
  assert.equal(call.state.phase, 'connected');
  call.run(10_000);
  assert.deepEqual(call.did('offer'), []);
});

test('a lost path is mended by an ICE restart first, then by a new peer connection', () => {
  const call = inACall();
  call.session.mediaIsUp = false; // and nobody says so
  call.dispatch({ type: 'peer', peer: call.state.peer.id, state: 'disconnected' });
  call.run(20_000);
  assert.ok(call.isSettled);
  assert.deepEqual(requests(call), ['restart', 'move']);
});

test('a network away for 20 s: the call is there again, without a person doing anything', () => {
  const call = inACall();
  call.loseNetwork(20_000);
  call.run(19_000);
  assert.equal(call.state.phase, 'reconnecting');
  call.run(12_000);
  assert.ok(call.isSettled);
});

test('after a minute without sound the call has failed', () => {
  const call = inACall();
  call.loseNetwork(10 * 60_000);
  call.run(2_001 + GIVE_UP_MS);
  assert.equal(call.state.failure?.code, 'connection_lost');
  assert.equal(call.released, 1);
});

test('a session that is gone ends the call', () => {
  const call = inACall();
  call.session.token = 'another';
  call.cutWebSockets();
  call.run(1_000);
  assert.equal(call.state.failure?.code, 'session_lost');
});

test('the agent hangs up', () => {
  const call = inACall();
  call.dispatch({ type: 'session-ended', reason: 'agent_hangup' });
  assert.deepEqual([call.state.phase, call.state.reason], ['ended', 'agent_hangup']);
});

test('the server ends the call for a reason of its own', () => {
  const call = inACall();
  call.closeByServer(call.state.socket.id, 1011, 'no_pipeline');
  assert.equal(call.state.failure?.code, 'no_pipeline');
});

test('a refused message is reported, and the call goes on', () => {
  const call = inACall();
  call.toClient(call.state.socket.id, { type: 'error', code: 'bad_message', message: 'text: missing' });
  assert.equal(call.did('report')[0]?.failure.code, 'bad_message');
  assert.ok(call.isSettled);
});

test('a reloaded page comes back to its session', () => {
  const call = inACall();
  const { token } = call.session;
  call.dispatch({ type: 'leave-page' });
  assert.equal(call.did('bye').length, 0);
  call.dispatch({ type: 'connect', resumeToken: token });
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(requests(call), ['move']);
});

test('a reloaded page whose session has ended fails, and can call anew', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect', resumeToken: 'old' });
  call.run(1_000);
  assert.equal(call.state.failure?.code, 'session_lost');
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.ok(call.isSettled);
});

const FAULTS = {
  cut: (call) => call.cutWebSockets(),
  kill: (call) => call.killMediaWorker(),
  network: (call) => call.loseNetwork(4_000),
  gateway: (call) => {
    call.gatewayIsUp = false;
    call.cutWebSockets();
    call.after(3_000, () => (call.gatewayIsUp = true));
  },
  goawayMedia: (call) => call.dispatch({ type: 'goaway', timeLeftMs: 20_000 }),
  goawaySignaling: (call) => call.toClient(call.session?.socket, {
    type: 'goaway', scope: 'signaling', timeLeftMs: 20_000, reason: 'draining',
  }),
  full: (call) => {
    call.refusal = { code: 'no_capacity', retryAfterMs: 1_000 };
    call.after(3_000, () => (call.refusal = null));
  },
};

test('whatever fails, and in whatever order: the call comes back, with one WebSocket and one peer connection', () => {
  const fault = fc.record({ name: fc.constantFrom(...Object.keys(FAULTS)), afterMs: fc.integer({ min: 0, max: 5_000 }) });
  fc.assert(fc.property(fc.array(fault, { maxLength: 8 }), (faults) => {
    const call = inACall();
    for (const { name, afterMs } of faults) {
      call.run(afterMs);
      FAULTS[name](call);
    }
    call.run(50_000);
    assert.ok(call.isSettled, JSON.stringify({ state: call.state, session: call.session }));
    assert.equal(call.sockets.size, 1);
    assert.equal(call.peers.size, 1);
    assert.deepEqual([...call.timers.keys()], []);
  }), { numRuns: 2_000 });
});

test('arbitrary events never throw, and an ended call has released everything once', () => {
  const id = fc.integer({ min: 0, max: 4 });
  const failure = fc.record({ code: fc.constant('x'), message: fc.constant('y') });
  const message = fc.oneof(
    fc.record({ type: fc.constant('session'), resumeToken: fc.constant('t'), sessionId: fc.constant('s') }),
    fc.record({ type: fc.constant('resumed'), resumeToken: fc.constant('t') }),
    fc.record({ type: fc.constant('answer'), sdp: fc.constant('') }),
    fc.record({ type: fc.constant('error'), code: fc.constantFrom('no_capacity', 'resume_refused', 'bad_sdp'), message: fc.constant('') }),
    fc.record({ type: fc.constant('goaway'), scope: fc.constantFrom('media', 'signaling'), timeLeftMs: fc.constantFrom(0, 1000) }),
  );
  const event = fc.oneof(
    fc.constant({ type: 'connect' }), fc.constant({ type: 'prepared' }), fc.constant({ type: 'disconnect' }),
    fc.constant({ type: 'network-changed' }), fc.constant({ type: 'leave-page' }),
    fc.record({ type: fc.constant('prepare-failed'), failure }),
    fc.record({ type: fc.constant('socket-open'), socket: id }),
    fc.record({ type: fc.constant('socket-closed'), socket: id, code: fc.constantFrom(1000, 1001, 1006, 1011, 1013), reason: fc.constantFrom('', 'x') }),
    fc.record({ type: fc.constant('message'), socket: id, message }),
    fc.record({ type: fc.constant('goaway'), timeLeftMs: fc.constantFrom(0, 1000) }),
    fc.record({ type: fc.constant('peer'), peer: id, state: fc.constantFrom('connected', 'disconnected', 'failed') }),
    fc.record({ type: fc.constant('timer'), timer: fc.constantFrom('connect', 'grace', 'step', 'retry', 'give-up') }),
    fc.record({ type: fc.constant('session-ended'), reason: fc.constantFrom('hangup', 'silent_timeout') }),
  );
  fc.assert(fc.property(fc.array(event, { maxLength: 60 }), (events) => {
    let state = IDLE;
    let calls = 0;
    let releases = 0;
    for (const each of events) {
      const [after, actions] = next(state, each);
      if (!isRunning(state) && isRunning(after)) calls += 1;
      releases += actions.filter(({ type }) => type === 'release').length;
      state = after;
    }
    assert.equal(releases, calls - (isRunning(state) ? 1 : 0));
  }), { numRuns: 5_000 });
});
