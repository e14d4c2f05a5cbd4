import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { EventOrder } from '../src/core/event-order.js';

const BY_SOCKET = true;
const BY_CHANNEL = false;

test('an event that comes on both channels counts once', () => {
  const order = new EventOrder();
  assert.deepEqual([1000, 1000, 2000].map((seq) => order.take(seq, BY_SOCKET)), [true, false, true]);
  assert.deepEqual([1000, 2000, 2001].map((seq) => order.take(seq, BY_CHANNEL)), [false, false, true]);
});

test('what came over the data channel alone is asked for again, because something may be missing before it', () => {
  const order = new EventOrder();
  order.take(1000, BY_SOCKET);
  order.take(4000, BY_CHANNEL);
  assert.equal(order.lastSeq, 1000);
  assert.deepEqual([2000, 3000, 4000, 5000].map((seq) => order.take(seq, BY_SOCKET)), [true, true, false, true]);
  assert.equal(order.lastSeq, 5000);
});

test('memory stays bounded in a long call', () => {
  const order = new EventOrder();
  for (let seq = 1; seq <= 5_000; seq += 1) order.take(seq, BY_CHANNEL);
  assert.equal(order.seen.size, 1_000);
});

test('each event is taken once, whatever comes on which channel', () => {
  const arrival = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.boolean());
  fc.assert(fc.property(fc.array(arrival, { maxLength: 200 }), (arrivals) => {
    const order = new EventOrder();
    const taken = arrivals.filter(([seq, bySocket]) => order.take(seq, bySocket)).map(([seq]) => seq);
    assert.deepEqual(taken, [...new Set(arrivals.map(([seq]) => seq))]);
    assert.equal(order.lastSeq, Math.max(0, ...arrivals.filter(([, bySocket]) => bySocket).map(([seq]) => seq)));
  }));
});
