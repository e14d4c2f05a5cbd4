import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { DELAYS_MS, GIVE_UP_MS, IDLE, isRunning, next } from '../src/core/connection.js';
import { SimulatedCall, inACall } from './call.js';

test('a call connects', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  assert.equal(call.state.phase, 'connecting');
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['first']);
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

test('hanging up while the WebSocket opens ends it, and sends nothing on it', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  call.run(20);
  assert.equal(call.state.socket.state, 'opening');
  call.dispatch({ type: 'disconnect' });
  assert.deepEqual(call.did('bye'), []);
  assert.equal(call.state.phase, 'ended');
});

test('whoever is asked for the microphone may take their time', () => {
  const call = new SimulatedCall();
  call.microphoneMs = 5 * 60_000;
  call.dispatch({ type: 'connect' });
  call.run(5 * 60_000 + 1_000);
  assert.ok(call.isSettled);
});

test('the network changes while the microphone is asked for', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect' });
  call.dispatch({ type: 'network-changed' });
  assert.deepEqual(call.did('open-socket'), []);
});

test('a server that takes eight seconds for its first answer is waited for', () => {
  const call = new SimulatedCall();
  call.answerMs = 8_000;
  call.dispatch({ type: 'connect' });
  call.run(9_000);
  assert.ok(call.isSettled);
  assert.equal(call.did('open-socket').length, 1);
});

test('a first call without a path to the server fails', () => {
  const call = new SimulatedCall();
  call.pathsFail = true;
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.equal(call.state.failure?.code, 'connect_timeout');
});

test('a call that has ended can be made again', () => {
  const call = inACall();
  call.dispatch({ type: 'disconnect' });
  const { lastId } = call.state;
  call.dispatch({ type: 'connect' });
  assert.ok(call.state.lastId > lastId, 'it is told apart from the earlier one');
  call.run(1_000);
  assert.ok(call.isSettled);
});

test('what is still heard of an earlier call is nothing to the next one', () => {
  const call = inACall();
  const { socket: { id: socket }, peer: { id: peer } } = call.state;
  call.dispatch({ type: 'disconnect' });
  assert.equal(call.state.resumeToken, '', 'a page that is left now has no call to come back to');
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.ok(call.isSettled);
  const before = call.state;
  for (const state of ['failed', 'disconnected', 'connected']) call.dispatch({ type: 'peer', peer, state });
  call.dispatch({ type: 'socket-open', socket });
  call.dispatch({ type: 'message', socket, message: { type: 'goaway', scope: 'media', timeLeftMs: 0, reason: 'draining' } });
  call.dispatch({ type: 'socket-closed', socket, code: 1000, reason: 'hangup' });
  assert.deepEqual(call.state, before);
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
  assert.deepEqual(call.offers, []);
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
  call.gatewayGoesAway();
  assert.ok(call.sockets.has(old));
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.notEqual(call.state.socket.id, old);
});

test('a gateway that goes away and closes at once is left too', () => {
  const call = inACall();
  call.gatewayGoesAway();
  call.closeByServer([...call.sockets.keys()][0], 1001, 'goaway');
  call.run(1_000);
  assert.ok(call.isSettled);
});

test('two gateways go away, one after the other', () => {
  const call = inACall();
  for (const _ of [1, 2]) {
    call.gatewayGoesAway();
    call.run(1_000);
    assert.ok(call.isSettled);
  }
  assert.equal(call.did('open-socket').length, 2);
});

test('a gateway goes away to which the call was about to come', () => {
  const call = inACall();
  call.during(2_000, { refusal: { code: 'broker_unavailable', retryAfterMs: 1_000 } });
  call.gatewayGoesAway();
  call.run(500);
  call.toClient(call.state.socket.id, { type: 'goaway', scope: 'signaling', timeLeftMs: 10_000, reason: 'draining' });
  call.run(20_000);
  assert.ok(call.isSettled);
});

test('a gateway that goes away while it asks for the answer to a move is left afterwards', () => {
  for (const ms of [20, 60, 100, 150]) {
    const call = inACall();
    call.answerMs = 40;
    call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
    call.run(ms);
    call.gatewayGoesAway();
    call.run(1_000);
    assert.equal(call.state.phase, 'connected');
    assert.equal(call.session.peer, call.state.peer.id, `${ms} ms`);
    assert.equal(call.state.socket?.state, 'attached', `${ms} ms`);
    call.run(11_000);
    assert.ok(call.isSettled);
    assert.deepEqual(call.offers, ['move']);
  }
});

test('gateway and media worker go away together', () => {
  const call = inACall();
  call.gatewayGoesAway();
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['move']);
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
  assert.deepEqual(call.offers, ['move']);
});

test('a WebSocket that is cut while the media worker is left comes back with the move', () => {
  const call = inACall();
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.cutWebSockets();
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual([call.did('resume').length, call.offers], [0, ['move', 'move']]);
});

test('a client that was asked to leave stays if the drain is undone before it has moved', () => {
  const call = inACall();
  call.refusal = { code: 'no_capacity', retryAfterMs: 5_000 };
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.run(1_000);
  call.refusal = null;
  call.dispatch({ type: 'stay' });
  call.run(20_000);
  assert.ok(call.isSettled);
  assert.equal(call.did('offer').length, 1);
});

test('a killed media worker is left at once', () => {
  const call = inACall();
  call.killMediaWorker();
  call.run(301);
  assert.equal(call.state.phase, 'reconnecting');
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['move']);
});

test('a full server is not asked again before the time that it named, whatever comes meanwhile', () => {
  const meanwhile = {
    'another goaway': (call) => call.dispatch({ type: 'goaway', timeLeftMs: 0 }),
    'the close of the WebSocket': (call) => call.cutWebSockets(),
    nothing: () => {},
  };
  for (const [name, happens] of Object.entries(meanwhile)) {
    const call = inACall();
    call.refusal = { code: 'no_capacity', retryAfterMs: 8_000 };
    call.killMediaWorker();
    call.run(1_000);
    call.refusal = null;
    happens(call);
    const refused = call.did('offer')[0].at;
    call.run(10_000);
    assert.ok(call.isSettled, name);
    assert.ok(call.did('offer')[1].at - refused >= 8_000, name);
    assert.equal(call.did('open-socket').length, name.includes('WebSocket') ? 1 : 0, 'the WebSocket stays as it is');
  }
});

test('a server that refuses the move on a new WebSocket closes it, and is asked again later', () => {
  const call = inACall();
  const { token } = call;
  call.dispatch({ type: 'leave-page' });
  call.refusal = { code: 'too_many_moves', retryAfterMs: 3_000 };
  call.dispatch({ type: 'connect', resumeToken: token });
  call.run(1_000);
  assert.equal(call.state.phase, 'connecting');
  call.refusal = null;
  call.run(3_000);
  assert.ok(call.isSettled);
  const [refused, again] = call.did('offer');
  assert.ok(again.at - refused.at >= 3_000);
});

test('a new peer connection that fails is replaced at once', () => {
  const call = inACall();
  call.during(210, { pathsFail: true });
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['move', 'move']);
  assert.deepEqual(call.did('open-socket'), [], 'the WebSocket stays as it is');
});

test('new peer connections that keep failing are tried ever more rarely', () => {
  const call = inACall();
  call.pathsFail = true;
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.run(20_000);
  assert.ok(call.offers.length < 9, `${call.offers.length} offers`);
  call.pathsFail = false;
  call.run(8_000);
  assert.ok(call.isSettled);
});

test('a new peer connection is heard only once it is connected', () => {
  const call = inACall();
  const old = call.state.peer.id;
  call.pathsAreSilent = true;
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.run(200);
  call.peerState(call.state.nextPeer, 'disconnected');
  assert.deepEqual(call.did('use-peer'), []);
  assert.equal(call.state.peer.id, old);
});

test('a new peer connection that the server gives up is replaced, while the old one is heard', () => {
  const call = inACall();
  const old = call.state.peer.id;
  call.pathsAreSilent = true;
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  for (const reason of ['dtls_failed', 'connect_timeout']) {
    call.run(100);
    call.pathsAreSilent = reason === 'dtls_failed';
    call.toClient(call.state.socket.id, { type: 'goaway', scope: 'media', timeLeftMs: 0, reason });
    assert.deepEqual([call.state.phase, call.state.peer.id], ['connected', old]);
  }
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['move', 'move', 'move']);
});

test('a move that is refused for good ends the call with the reason', () => {
  const call = inACall();
  call.refusal = { code: 'bad_sdp' };
  call.killMediaWorker();
  call.run(1_000);
  assert.deepEqual(call.state.failure, { code: 'bad_sdp', message: 'refused' });
});

test('a WebSocket that has died unnoticed is replaced when it is needed', () => {
  const call = inACall();
  call.deadenWebSocket();
  call.dispatch({ type: 'goaway', timeLeftMs: 30_000 });
  call.run(10_000);
  assert.ok(call.isSettled);
});

test('answers that get lost do not lose the session', () => {
  const call = inACall();
  call.during(15_000, { answersAreLost: true });
  call.cutWebSockets();
  call.run(14_000);
  assert.equal(call.state.phase, 'connected');
  call.run(10_000);
  assert.ok(call.isSettled);
  assert.ok(call.did('resume').length >= 3);
});

test('a gateway without its broker is asked again, also if the next answer gets lost', () => {
  const call = inACall();
  call.refusal = { code: 'broker_unavailable', retryAfterMs: 500 };
  call.cutWebSockets();
  call.run(300);
  call.refusal = null;
  call.during(1_000, { answersAreLost: true });
  call.run(10_000);
  assert.ok(call.isSettled);
});

test('a gateway without its broker for seconds is asked again and again', () => {
  const call = inACall();
  call.during(3_000, { refusal: { code: 'broker_unavailable', retryAfterMs: 500 } });
  call.cutWebSockets();
  call.run(10_000);
  assert.ok(call.isSettled);
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

test('a lost path leads to an ICE restart, and if that fails to a new peer connection', () => {
  const call = inACall();
  call.session.mediaIsUp = false; // and nobody says so
  call.dispatch({ type: 'peer', peer: call.state.peer.id, state: 'disconnected' });
  call.run(20_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['restart', 'move']);
});

test('every lost path gets its own ICE restart', () => {
  const call = inACall();
  const { id } = call.state.peer;
  for (const seconds of [1, 2]) {
    call.losePath();
    call.run(3_000);
    assert.ok(call.isSettled);
    assert.equal(call.offers.length, seconds);
  }
  assert.deepEqual(call.offers, ['restart', 'restart']);
  assert.equal(call.state.peer.id, id);
});

test('a peer connection that fails outright is restarted', () => {
  const call = inACall();
  call.peerState(call.state.peer.id, 'failed');
  assert.deepEqual(call.offers, ['restart']);
  call.run(1_000);
  assert.ok(call.isSettled);
});

test('a restart that is refused is followed by a new peer connection', () => {
  const call = inACall();
  call.restartRefusal = { code: 'media_worker_lost' };
  call.losePath();
  call.run(3_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['restart', 'move']);
});

test('a restart that brings nothing is followed by a new peer connection, also if the old one fails again', () => {
  const call = inACall();
  call.losePath();
  call.during(2_000, { pathsFail: true });
  call.run(3_000);
  assert.ok(call.isSettled);
  assert.deepEqual([...new Set(call.offers)], ['restart', 'move']);
});

test('a path that heals by itself while a restart is under way needs nothing more', () => {
  const call = inACall();
  call.session.mediaIsUp = false;
  call.losePath();
  call.run(2_000);
  assert.deepEqual(call.offers, ['restart']);
  call.session.mediaIsUp = true;
  call.peerState(call.state.peer.id, 'connected');
  assert.equal(call.state.phase, 'connected');
  call.run(20_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['restart']);
  call.losePath();
  call.run(3_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['restart', 'restart']);
});

test('a path that heals by itself while another is tried is kept', () => {
  const call = inACall();
  const { id } = call.state.peer;
  call.pathsAreSilent = true;
  call.losePath();
  call.run(8_000);
  assert.deepEqual(call.offers, ['restart', 'move']);
  call.peerState(id, 'connected');
  call.run(20_000);
  assert.deepEqual([call.state.phase, call.state.peer.id, call.peers.size], ['connected', id, 1]);
  assert.equal(call.timers.size, 0);
});

test('a network change retries lost connections at once', () => {
  const call = inACall();
  call.losePath();
  assert.deepEqual(call.offers, []);
  call.dispatch({ type: 'network-changed' });
  assert.deepEqual(call.offers, ['restart']);
});

test('when the network is there again, nobody waits for the next attempt', () => {
  const call = inACall();
  call.gatewayIsUp = false;
  call.cutWebSockets();
  call.run(30_000);
  call.gatewayIsUp = true;
  call.dispatch({ type: 'network-changed' });
  call.run(200);
  assert.ok(call.isSettled);
});

test('when the network is there again, nobody waits, also if the path was lost only now', () => {
  const call = inACall();
  call.gatewayIsUp = false;
  call.cutWebSockets();
  call.run(10_000);
  call.losePath();
  call.gatewayIsUp = true;
  call.dispatch({ type: 'network-changed' });
  call.run(400);
  assert.ok(call.isSettled);
});

test('a WebSocket stuck opening while offline is reopened when the network returns', () => {
  const call = inACall();
  call.networkIsUp = false;
  call.cutWebSockets();
  call.run(3_000);
  assert.equal(call.state.socket.state, 'opening');
  call.networkIsUp = true;
  call.dispatch({ type: 'network-changed' });
  call.run(200);
  assert.ok(call.isSettled);
});

test('a change of the network leaves a call alone that lacks nothing', () => {
  const call = inACall();
  call.dispatch({ type: 'network-changed' });
  assert.deepEqual(call.log, []);
});

test('after it came back, the first attempt is at once again', () => {
  const call = inACall();
  call.during(20_000, { gatewayIsUp: false });
  call.cutWebSockets();
  call.run(40_000);
  assert.ok(call.isSettled);
  call.log = [];
  call.cutWebSockets();
  assert.equal(call.did('wait')[0].ms, 0);
});

test('the attempts get rarer, down to one in seven seconds', () => {
  const call = inACall();
  call.gatewayIsUp = false;
  call.cutWebSockets();
  call.run(60_000);
  const waits = call.did('wait').filter(({ timer }) => timer === 'retry').map(({ ms }) => ms);
  assert.deepEqual(waits.slice(0, 8), [...DELAYS_MS, 7_000, 7_000]);
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
  call.session.tokens = ['another'];
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
  assert.match(call.state.failure.message, /no_pipeline/);
});

test('closes that a session survives are no end', () => {
  for (const [code, reason] of [[1001, 'goaway'], [1001, ''], [1006, ''], [1008, 'too_slow'], [1013, 'broker_unavailable']]) {
    const call = inACall();
    call.closeByServer(call.state.socket.id, code, reason);
    call.run(1_000);
    assert.ok(call.isSettled, `${code} ${reason}`);
  }
});

test('closes that say how the session ended are its end', () => {
  for (const reason of ['bye', 'user_idle', 'max_duration', 'ended_by_operator', 'replaced', 'moved', '']) {
    const call = inACall();
    call.closeByServer(call.state.socket.id, 1000, reason);
    assert.deepEqual([call.state.phase, call.state.reason, call.state.failure], ['ended', reason || 'hangup', null]);
  }
});

test('a first call on which the WebSocket is closed says why', () => {
  for (const [reason, code] of [['offer_timeout', 'offer_timeout'], ['', 'unreachable']]) {
    const call = new SimulatedCall();
    call.dispatch({ type: 'connect' });
    call.run(55);
    call.closeByServer(call.state.socket.id, 1008, reason);
    assert.equal(call.state.failure?.code, code);
  }
});

test('a refused message is reported, and the call goes on', () => {
  const call = inACall();
  call.toClient(call.state.socket.id, { type: 'error', code: 'bad_message', message: 'text: missing' });
  assert.equal(call.did('report')[0]?.failure.code, 'bad_message');
  assert.ok(call.isSettled);
});

test('a reloaded page comes back to its session', () => {
  const call = inACall();
  const { token } = call;
  call.dispatch({ type: 'leave-page' });
  assert.equal(call.did('bye').length, 0);
  call.dispatch({ type: 'connect', resumeToken: token });
  call.run(1_000);
  assert.ok(call.isSettled);
  assert.deepEqual(call.offers, ['move']);
});

test('a reloaded page whose answer gets lost comes back too', () => {
  const call = inACall();
  const { token } = call;
  call.dispatch({ type: 'leave-page' });
  call.during(2_000, { answersAreLost: true });
  call.dispatch({ type: 'connect', resumeToken: token });
  call.run(10_000);
  assert.ok(call.isSettled);
});

test('a reloaded page whose session has ended fails, and can start another call', () => {
  const call = new SimulatedCall();
  call.dispatch({ type: 'connect', resumeToken: 'old' });
  call.run(1_000);
  assert.equal(call.state.failure?.code, 'session_lost');
  call.dispatch({ type: 'connect' });
  call.run(1_000);
  assert.ok(call.isSettled);
});

test('a call that lacks nothing does nothing', () => {
  const call = inACall();
  call.run(10 * 60_000);
  assert.deepEqual(call.log, []);
});

const FAULTS = {
  cut: (call) => call.cutWebSockets(),
  dead: (call) => call.deadenWebSocket(),
  kill: (call) => call.killMediaWorker(),
  path: (call) => call.losePath(),
  network: (call) => call.loseNetwork(4_000),
  networkChanged: (call) => call.dispatch({ type: 'network-changed' }),
  gateway: (call) => {
    call.during(3_000, { gatewayIsUp: false });
    call.cutWebSockets();
  },
  goawayMedia: (call) => call.dispatch({ type: 'goaway', timeLeftMs: 20_000 }),
  goawaySignaling: (call) => call.gatewayGoesAway(),
  full: (call) => call.during(3_000, { refusal: { code: 'no_capacity', retryAfterMs: 1_000 } }),
  noRestart: (call) => call.during(3_000, { restartRefusal: { code: 'bad_sdp' } }),
  noPath: (call) => call.during(2_000, { pathsFail: true }),
  noBroker: (call) => call.during(3_000, { refusal: { code: 'broker_unavailable', retryAfterMs: 300 } }),
  silentPaths: (call) => call.during(2_000, { pathsAreSilent: true }),
  lostAnswers: (call) => call.during(2_000, { answersAreLost: true }),
};
const HEALTHY = {
  gatewayIsUp: true, networkIsUp: true, refusal: null, restartRefusal: null, pathsFail: false, pathsAreSilent: false,
  answersAreLost: false,
};

test('whatever fails, and in whatever order: the call comes back, with one WebSocket and one peer connection', () => {
  const fault = fc.record({ name: fc.constantFrom(...Object.keys(FAULTS)), afterMs: fc.integer({ min: 0, max: 4_000 }) });
  fc.assert(fc.property(fc.array(fault, { maxLength: 8 }), (faults) => {
    const call = inACall();
    for (const { name, afterMs } of faults) {
      call.run(afterMs);
      FAULTS[name](call);
    }
    call.run(4_000);
    Object.assign(call, HEALTHY);
    call.run(40_000);
    assert.ok(call.isSettled, JSON.stringify({ state: call.state, session: call.session, timers: [...call.timers.keys()] }));
    call.log = [];
    call.run(60_000);
    assert.deepEqual(call.log, [], 'and then it is quiet');
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
      for (const action of actions) if (action.type === 'answer') assert.equal(typeof action.peer, 'number');
      releases += actions.filter(({ type }) => type === 'release').length;
      state = after;
    }
    assert.equal(releases, calls - (isRunning(state) ? 1 : 0));
  }), { numRuns: 5_000 });
});
